//! The distribution function of the standard normal distribution.

use super::exp::{Exp, limit, near_one, split, times_power};
use super::{pattern, polynomial};
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

#[cfg(test)]
mod tests {
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
