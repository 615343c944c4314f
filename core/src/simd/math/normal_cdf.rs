//! The distribution function of the standard normal distribution.

use super::exp::{Exp, limit, near_one, split, times_power};
use super::{ln, ln_1p, pattern, polynomial};
use crate::Real;
use crate::simd::Lanes;

/// Numbers of the normal distribution for one scalar type.
pub trait Normal: Exp {
    /// The upper tail rounds to zero from here on.
    const TAIL_END: Self;
    /// Keeps so many leading bits that the square is exact.
    const HALF_WIDTH: u64;
    /// Centre of the series.
    const TAIL_CENTRE: Self;
    /// `(1 + y) e^(y^2 / 2) Q(y)` in `t = (y - c) / (y + c)` for all `y >= 0`, with Q the upper tail and c the centre.
    fn tail_series<L: Lanes<Scalar = Self>>(t: L) -> L;
}

impl Normal for f32 {
    const TAIL_END: Self = 15.0;
    const HALF_WIDTH: u64 = 0xffff_f000;
    const TAIL_CENTRE: Self = 3.0;
    // core/tests/golden/coefficients.py tail_f32: absolute error 2^-26.1 at values from 0.40 to 0.53.
    #[inline(always)]
    fn tail_series<L: Lanes<Scalar = Self>>(t: L) -> L {
        polynomial(
            t,
            [
                0.48605579137802124,
                -0.09652674198150635,
                -0.016432596370577812,
                0.04516350105404854,
                -0.02272457256913185,
                0.00116371747571975,
                0.0029870369471609592,
                -0.00036461991840042174,
                -0.00047439493937417865,
                3.499985905364156e-05,
                5.9874364524148405e-05,
                2.82786771776955e-07,
            ],
        )
    }
}

impl Normal for f64 {
    const TAIL_END: Self = 40.0;
    const HALF_WIDTH: u64 = 0xffff_ffff_f800_0000;
    const TAIL_CENTRE: Self = 5.0;
    // core/tests/golden/coefficients.py tail_f64: absolute error 2^-54.8 at values from 0.40 to 0.53.
    #[inline(always)]
    fn tail_series<L: Lanes<Scalar = Self>>(t: L) -> L {
        polynomial(
            t,
            [
                0.46151582985003775,
                -0.09155228183400903,
                0.031030368425962827,
                0.010002352385228992,
                -0.026401042966266285,
                0.02453696324368874,
                -0.015170415403298797,
                0.0065220006676633985,
                -0.001676072336999072,
                7.79159820934064e-06,
                0.00018233410215395118,
                -5.3607584361328596e-05,
                -9.8959428944849e-06,
                9.059833145074343e-06,
                -7.071391203834967e-08,
                -1.3074630705250123e-06,
                1.2845986546249128e-07,
                1.962942293762422e-07,
                -2.6894295781095033e-08,
                -3.096331143234855e-08,
                4.030535800914937e-09,
                4.4056679605280636e-09,
                -4.3576001557157856e-10,
                -3.823642333396709e-10,
                2.5586994997438722e-11,
            ],
        )
    }
}

/// Probability of a standard normal variable above `y >= 0`; NaN stays.
///
/// ```text
/// Q(y) = e^(-y^2 / 2) p((y - c) / (y + c)) / (1 + y)
/// ```
///
/// The square is taken as the exact `h^2` of a shortened `y` and the rest `(y - h) (y + h)`: the rounding of `y^2`
/// would be multiplied by `y^2 / 2`.
#[inline(always)]
pub(super) fn upper_tail<L: Lanes>(y: L) -> L {
    let half = y.constant(L::Scalar::from_f64(0.5));
    let y = y.constant(L::Scalar::TAIL_END).least(y);
    let h = L::from_bits(y.to_bits() & pattern(y, L::Scalar::HALF_WIDTH));
    let s = split(limit(-(half * h * h)));
    let r = (s.high - s.low) - half * (y - h) * (y + h);
    let centre = y.constant(L::Scalar::TAIL_CENTRE);
    let p = L::Scalar::tail_series((y - centre) / (y + centre));
    let y = near_one(r) * p / (y.constant(L::Scalar::ONE) + y);
    times_power(y, s.rounded)
}

/// Probability of a standard normal variable below `x`: at most 5.0 ULP for `f32`, 4.5 for `f64`.
///
/// The bound holds far into the left tail, subnormal results included. 0 and 1 at the infinities, NaN at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::normal_cdf(0.0_f64), 0.5);
/// assert!((math::normal_cdf(-1.959963984540054_f64) - 0.025).abs() < 1e-16);
/// ```
#[inline(always)]
pub fn normal_cdf<L: Lanes>(x: L) -> L {
    let tail = upper_tail(x.abs());
    let zero = x.constant(L::Scalar::ZERO);
    L::select(x.lt(zero), tail, x.constant(L::Scalar::ONE) - tail)
}

/// Logarithm of the probability of a standard normal variable below `x`: at most 7.0 ULP for `f32`, 7.0 for `f64`.
///
/// ```text
/// ln Phi(-y) = -y^2 / 2 + ln(p((y - c) / (y + c)) / (1 + y))     y >= 0, with the series of the upper tail
/// ln Phi(y)  = ln(1 - Q(y))
/// ```
///
/// The left tail is finite as far as `y^2` is: the exponential that [`normal_cdf`] underflows by is never formed. Negative infinity at
/// negative infinity, 0 at infinity, NaN at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::ln_normal_cdf(f64::INFINITY), 0.0);
/// // Mills: Q(y) is about exp(-y^2 / 2) / (y sqrt(2 pi)).
/// let mills = -5000.0 - (100.0 * (2.0 * core::f64::consts::PI).sqrt()).ln();
/// assert!((math::ln_normal_cdf(-100.0_f64) - mills).abs() < 2e-4);
/// ```
#[inline(always)]
pub fn ln_normal_cdf<L: Lanes>(x: L) -> L {
    let (one, zero) = (x.constant(L::Scalar::ONE), x.constant(L::Scalar::ZERO));
    // Finite, so that the quotient of the series is a number; its square is infinite where that of x is.
    let y = x.constant(L::Scalar::MAX).least(x.abs());
    let centre = x.constant(L::Scalar::TAIL_CENTRE);
    let p = L::Scalar::tail_series((y - centre) / (y + centre));
    let tail = ln(p / (one + y)) - x.constant(L::Scalar::from_f64(0.5)) * y * y;
    L::select(x.lt(zero), tail, ln_1p(-upper_tail(y)) + zero)
}

#[cfg(test)]
mod tests {
    mod of_logarithms {
        /// By the asymptotic series where the complementary error function is small.
        fn truth(x: f64) -> f64 {
            let q = |y: f64| 0.5 * libm::erfc(y / core::f64::consts::SQRT_2);
            if x > 0.0 {
                (-q(x)).ln_1p() + 0.0
            } else if x > -30.0 || x.is_nan() {
                q(-x).ln()
            } else {
                let z = 1.0 / (x * x);
                let series = (-z * (1.0 - z * (3.0 - z * (15.0 - 105.0 * z)))).ln_1p();
                -0.5 * x * x - (-x).ln() - 0.918_938_533_204_672_8 + series
            }
        }

        super::super::super::testing::accuracy!(
            "ln_normal_cdf", super::super::super::ln_normal_cdf_into, truth, |_| true, f32 7.0, f64 7.0
        );
    }

    super::super::testing::accuracy!(
        "normal_cdf", super::super::normal_cdf_into,
        |x| 0.5 * libm::erfc(-x / core::f64::consts::SQRT_2), |_| true, f32 5.0, f64 4.5
    );

    #[test]
    fn half_lies_beneath_zero() {
        assert_eq!(super::normal_cdf(0.0_f32), 0.5);
        assert_eq!(super::normal_cdf(-0.0_f64), 0.5);
    }
}
