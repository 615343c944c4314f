//! The hyperbolic tangent.

use super::expm1::expm1;
use crate::Real;
use crate::simd::Lanes;

/// Hyperbolic tangent: at most 3.0 ULP for `f32`, 3.0 for `f64`.
///
/// With `t = e^(-2|x|) - 1`, `tanh |x| = -t / (t + 2)`; the divisor lies between 1 and 2. Odd, keeps the sign of zero,
/// ±1 at ±infinity, NaN at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::tanh(-0.0_f32).to_bits(), (-0.0_f32).to_bits());
/// assert_eq!(math::tanh(f64::NEG_INFINITY), -1.0);
/// // tanh(ln 2) = (2 - 1/2) / (2 + 1/2)
/// assert!((math::tanh(0.6931471805599453_f64) - 0.6).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn tanh<L: Lanes>(x: L) -> L {
    let two = x.constant(L::Scalar::from_f64(2.0));
    let t = expm1(-two * x.abs());
    (-t / (t + two)).copy_sign(x)
}

#[cfg(test)]
mod tests {
    super::super::testing::accuracy!("tanh", super::super::tanh_into, f64::tanh, |_| true, f32 3.0, f64 3.0);
}
