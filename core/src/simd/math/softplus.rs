//! The smooth positive part.

use super::exp::exp;
use super::ln_1p::ln_1p;
use crate::Real;
use crate::simd::Lanes;

/// `ln(1 + e^x)`: at most 2.0 ULP for `f32`, 2.0 for `f64`, subnormal results included.
///
/// `max(x, 0) + ln(1 + e^-|x|)`, in which nothing overflows or cancels. 0 and infinity at the infinities, NaN at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::softplus(1000.0_f32), 1000.0);
/// assert!((math::softplus(0.0_f64) - 0.6931471805599453).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn softplus<L: Lanes>(x: L) -> L {
    // Zero comes first, so that a NaN lane, the second argument, is kept.
    x.constant(L::Scalar::ZERO).largest(x) + ln_1p(exp(-x.abs()))
}

#[cfg(test)]
mod tests {
    super::super::testing::accuracy!(
        "softplus", super::super::softplus_into,
        |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), |_| true, f32 2.0, f64 2.0
    );

    #[test]
    fn nan_stays() {
        assert!(super::softplus(f32::NAN).is_nan());
    }
}
