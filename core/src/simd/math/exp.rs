//! The natural exponential, and its parts that other functions share.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "bits of floating-point numbers within the range that the function has reduced to"
)]

use super::polynomial;
use crate::Real;
use crate::simd::{BitLanes, Lanes};

/// Numbers of the exponential for one scalar type.
pub trait Exp: Sized {
    /// Bias of the exponent.
    const BIAS: u32;
    /// `e^x` overflows to infinity from here on.
    const EXP_MOST: Self;
    /// `e^x` rounds to zero from here down.
    const EXP_LEAST: Self;
    /// `log2 e`.
    const LOG2_E: Self;
    /// `ln 2`.
    const LN_2: Self;
    /// `ln 2` to so few bits that its product with any exponent is exact.
    const LN_2_HIGH: Self;
    /// `ln 2 - LN_2_HIGH`.
    const LN_2_LOW: Self;
    /// Added to `|x|` less than a quarter of it, rounds `x` to an integer `k`, and leaves `k` plus twice the bias of the
    /// exponent in the low bits: 1.5 * 2^23 + 254 or 1.5 * 2^52 + 2046.
    const ROUND_EXPONENT: Self;
    /// `(e^r - 1 - r) / r^2` for `|r| <= ln(2) / 2`.
    fn exp_series<L: Lanes<Scalar = Self>>(r: L) -> L;
}

impl Exp for f32 {
    const BIAS: u32 = 127;
    const EXP_MOST: Self = 89.0;
    const EXP_LEAST: Self = -104.0;
    const LOG2_E: Self = core::f32::consts::LOG2_E;
    const LN_2: Self = core::f32::consts::LN_2;
    // core/tests/golden/coefficients.py ln2.
    const LN_2_HIGH: Self = 0.693145751953125;
    const LN_2_LOW: Self = 1.428606765330187e-06;
    const ROUND_EXPONENT: Self = 12_582_912.0 + 254.0;
    // core/tests/golden/coefficients.py exp: error 2^-25.8 of e^r - 1.
    #[inline(always)]
    fn exp_series<L: Lanes<Scalar = Self>>(r: L) -> L {
        polynomial(
            r,
            [
                0.5,
                0.1666654348373413,
                0.04166628420352936,
                0.008366525173187256,
                0.001394620630890131,
            ],
        )
    }
}

impl Exp for f64 {
    const BIAS: u32 = 1023;
    const EXP_MOST: Self = 710.0;
    const EXP_LEAST: Self = -746.0;
    const LOG2_E: Self = core::f64::consts::LOG2_E;
    const LN_2: Self = core::f64::consts::LN_2;
    // core/tests/golden/coefficients.py ln2.
    const LN_2_HIGH: Self = 0.6931471805601177;
    const LN_2_LOW: Self = -1.7239444525614835e-13;
    const ROUND_EXPONENT: Self = 6_755_399_441_055_744.0 + 2046.0;
    // core/tests/golden/coefficients.py exp: error 2^-59.7 of e^r - 1.
    #[inline(always)]
    fn exp_series<L: Lanes<Scalar = Self>>(r: L) -> L {
        polynomial(
            r,
            [
                0.5,
                0.16666666666666677,
                0.0416666666666667,
                0.008333333333321865,
                0.00138888888888676,
                0.00019841269885637928,
                2.4801587359493733e-05,
                2.755724461684528e-06,
                2.7557243382873403e-07,
                2.510891934709283e-08,
                2.0924317081663386e-09,
            ],
        )
    }
}

/// An argument as `k ln 2 + r`.
pub(super) struct Split<L> {
    /// [`Exp::ROUND_EXPONENT`] + k.
    pub(super) rounded: L,
    /// `x` less the leading part of `k ln 2`: exact.
    pub(super) high: L,
    /// The rest of `k ln 2`; `r = high - low`.
    pub(super) low: L,
}

/// Splits `EXP_LEAST <= x <= EXP_MOST`; NaN makes both parts NaN.
#[inline(always)]
pub(super) fn split<L: Lanes>(x: L) -> Split<L> {
    let magic = x.constant(L::Scalar::ROUND_EXPONENT);
    let rounded = x * x.constant(L::Scalar::LOG2_E) + magic;
    let k = rounded - magic;
    Split {
        rounded,
        high: x - k * x.constant(L::Scalar::LN_2_HIGH),
        low: k * x.constant(L::Scalar::LN_2_LOW),
    }
}

/// `x` where it decides the exponential; the nearer bound where the result is 0 or infinity; NaN stays.
#[inline(always)]
pub(super) fn limit<L: Lanes>(x: L) -> L {
    // The bound comes first, so that a NaN lane, the second argument, is kept.
    let x = x.constant(L::Scalar::EXP_MOST).least(x);
    x.constant(L::Scalar::EXP_LEAST).largest(x)
}

/// `y 2^k` for `y` near 1, rounded once: two factors, so that neither leaves the normal range.
///
/// With `b` the bias, the low bits of `rounded` hold `k + 2 b`, and the factors have the exponent fields
/// `floor((k + 2 b) / 2)` and the rest. The bits above them fall off in the shift to the exponent.
#[inline(always)]
pub(super) fn times_power<L: Lanes>(y: L, rounded: L) -> L {
    let bits = rounded.to_bits();
    let half = bits.shr(1);
    let first = half.shl(L::Scalar::MANTISSA_BITS);
    let second = (bits - half).shl(L::Scalar::MANTISSA_BITS);
    y * L::from_bits(first) * L::from_bits(second)
}

/// `e^r` for a remainder of [`split`].
#[inline(always)]
pub(super) fn near_one<L: Lanes>(r: L) -> L {
    r.constant(L::Scalar::ONE) + (r + r * r * L::Scalar::exp_series(r))
}

/// Natural exponential: at most 1.2 ULP for `f32`, 1.2 for `f64`, subnormal results included.
///
/// Infinity above the largest finite result, 0 below half the least subnormal number, 1 at ±0, NaN at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::exp(0.0_f32), 1.0);
/// assert_eq!(math::exp(f64::NEG_INFINITY), 0.0);
/// assert!((math::exp(1.0_f64) - 2.718281828459045).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn exp<L: Lanes>(x: L) -> L {
    let s = split(limit(x));
    times_power(near_one(s.high - s.low), s.rounded)
}

#[cfg(test)]
mod tests {
    super::super::testing::accuracy!("exp", super::super::exp_into, f64::exp, |_| true, f32 1.2, f64 1.2);

    #[test]
    fn overflow_and_underflow_set_in_where_they_must() {
        // ln(2^128 - 2^103) = 88.7228..., ln(2^-150) = -103.9720...
        for edge in [88.72284_f32, -103.97208] {
            for near in edge.to_bits() - 50..edge.to_bits() + 50 {
                let x = f32::from_bits(near);
                let truth = f64::from(x).exp() as f32;
                assert_eq!(
                    super::exp(x) == f32::INFINITY,
                    truth == f32::INFINITY,
                    "{x}"
                );
                assert_eq!(super::exp(x) == 0.0, truth == 0.0, "{x}");
            }
        }
    }
}
