//! The logistic function.

use super::exp::exp;
use crate::Real;
use crate::simd::Lanes;

/// Logistic function `1 / (1 + e^-x)`: at most 2.5 ULP for `f32`, 2.5 for `f64`, subnormal results included.
///
/// From `z = e^-|x|`, which cannot overflow, so that the left tail falls to 0 through the subnormal numbers; the
/// divisor lies between 1 and 2. 1/2 at ±0, 0 and 1 at the infinities, NaN at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::sigmoid(0.0_f32), 0.5);
/// // 1 / (1 + e^(-ln 3)) = 3 / 4
/// assert!((math::sigmoid(1.0986122886681098_f64) - 0.75).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn sigmoid<L: Lanes>(x: L) -> L {
    let one = x.constant(L::Scalar::ONE);
    let z = exp(-x.abs());
    L::select(x.lt(x.constant(L::Scalar::ZERO)), z, one) / (one + z)
}

#[cfg(test)]
mod tests {
    super::super::testing::accuracy!("sigmoid", super::super::sigmoid_into, |x| if x > 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }, |_| true, f32 2.5, f64 2.5);
}
