//! The error function.

use super::normal_cdf::upper_tail;
use super::polynomial;
use crate::Real;
use crate::simd::Lanes;

/// Numbers of the error function for one scalar type.
pub trait Erf: Sized {
    /// Square root of two.
    const SQRT_2: Self;
    /// `erf(x) / x - 1` in `z = x^2` for `|x| <= 1`.
    fn erf_series<L: Lanes<Scalar = Self>>(z: L) -> L;
}

impl Erf for f32 {
    const SQRT_2: Self = core::f32::consts::SQRT_2;
    // core/tests/golden/coefficients.py erf: error 2^-27.1.
    #[inline(always)]
    fn erf_series<L: Lanes<Scalar = Self>>(z: L) -> L {
        polynomial(
            z,
            [
                0.12837916612625122,
                -0.37612637877464294,
                0.11283782869577408,
                -0.02686544507741928,
                0.005221074912697077,
                -0.0008484712452627718,
                0.00011270548566244543,
                -9.680136827228125e-06,
            ],
        )
    }
}

impl Erf for f64 {
    const SQRT_2: Self = core::f64::consts::SQRT_2;
    // core/tests/golden/coefficients.py erf: error 2^-56.0.
    #[inline(always)]
    fn erf_series<L: Lanes<Scalar = Self>>(z: L) -> L {
        polynomial(
            z,
            [
                0.1283791670955126,
                -0.3761263890318375,
                0.11283791670954885,
                -0.026866170645077875,
                0.005223977624828431,
                -0.0008548326981425541,
                0.00012055331132955798,
                -1.4925595772180445e-05,
                1.6461008477795947e-06,
                -1.6350396222798252e-07,
                1.466032872232511e-08,
                -1.1374955734553238e-09,
                5.960685336093912e-11,
            ],
        )
    }
}

/// Error function: at most 1.5 ULP for `f32`, 1.5 for `f64`.
///
/// A series up to 1, one less twice the upper tail of the normal distribution beyond: there the tail is at most a
/// sixth of the result, and so are its errors. Odd, keeps the sign of zero, ±1 at ±infinity, NaN at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::erf(f32::INFINITY), 1.0);
/// assert!((math::erf(1.0_f64) - 0.8427007929497149).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn erf<L: Lanes>(x: L) -> L {
    let one = x.constant(L::Scalar::ONE);
    let magnitude = x.abs();
    let near = x + x * L::Scalar::erf_series(x * x);
    let tail = upper_tail(magnitude * x.constant(L::Scalar::SQRT_2));
    let far = (one - (tail + tail)).copy_sign(x);
    L::select(magnitude.lt(one), near, far)
}

#[cfg(test)]
mod tests {
    super::super::testing::accuracy!("erf", super::super::erf_into, libm::erf, |_| true, f32 1.5, f64 1.5);
}
