//! The natural logarithm, and its parts that other functions share.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "bits of floating-point numbers within the range that the function has reduced to"
)]

use super::exp::Exp;
use super::{pattern, polynomial};
use crate::Real;
use crate::simd::{BitLanes, Lanes};

/// Numbers of the logarithm for one scalar type.
pub trait Ln: Exp {
    /// Bit pattern of `sqrt(1/2)`, truncated.
    const SQRT_HALF_BITS: u64;
    /// `(ln((1 + s) / (1 - s)) - 2 s) / s^3` in `z = s^2`, for `1/sqrt(2) <= (1 + s) / (1 - s) <= sqrt(2)`.
    fn ln_series<L: Lanes<Scalar = Self>>(z: L) -> L;
}

impl Ln for f32 {
    const SQRT_HALF_BITS: u64 = 0x3f35_04f3;
    // core/tests/golden/coefficients.py ln: error 2^-31.1 of the logarithm.
    #[inline(always)]
    fn ln_series<L: Lanes<Scalar = Self>>(z: L) -> L {
        polynomial(
            z,
            [
                0.6666666865348816,
                0.40000301599502563,
                0.2853906750679016,
                0.2355320304632187,
            ],
        )
    }
}

impl Ln for f64 {
    const SQRT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcc;
    // core/tests/golden/coefficients.py ln: error 2^-58.6 of the logarithm.
    #[inline(always)]
    fn ln_series<L: Lanes<Scalar = Self>>(z: L) -> L {
        polynomial(
            z,
            [
                0.6666666666666698,
                0.39999999999611857,
                0.2857142870387939,
                0.2222220213792079,
                0.18183394249479812,
                0.1531809460619749,
                0.14758000135728525,
            ],
        )
    }
}

/// A positive normal number as `m 2^k` with `sqrt(1/2) <= m < sqrt(2)`: the pair (k, m).
#[inline(always)]
pub(super) fn split<L: Lanes>(x: L) -> (L, L) {
    let stored = L::Scalar::MANTISSA_BITS;
    let root = pattern(x, L::Scalar::SQRT_HALF_BITS);
    // The distance from sqrt(1/2) to 1 carries a significand above sqrt(2) into the exponent.
    let bits = x.to_bits() - root + x.constant(L::Scalar::ONE).to_bits();
    let m = L::from_bits((bits & pattern(x, (1 << stored) - 1)) + root);
    // Behind the leading bit of 2^23 (2^52) the biased exponent is the number that it is.
    let shift = L::Scalar::from_f64((1_u64 << stored) as f64);
    let biased = L::from_bits(bits.shr(stored) | x.constant(shift).to_bits());
    let k = biased - x.constant(shift + L::Scalar::from_usize(L::Scalar::BIAS as usize));
    (k, m)
}

/// `k ln 2 + ln(1 + f) + c` for `c` far less than the rest.
///
/// With `s = f / (2 + f)` and `R(s) = ln((1 + s) / (1 - s)) - 2 s`, and since `f - s f = 2 s`:
///
/// ```text
/// ln(1 + f) = f - (f^2 / 2 - s (f^2 / 2 + R(s) / s))
/// ```
///
/// `f` is exact and leads, so that the roundings behind it cost little.
#[inline(always)]
pub(super) fn combine<L: Lanes>(k: L, f: L, c: L) -> L {
    let s = f / (f.constant(L::Scalar::from_f64(2.0)) + f);
    let z = s * s;
    let r = z * L::Scalar::ln_series(z);
    let half_square = f.constant(L::Scalar::from_f64(0.5)) * f * f;
    let low = k * k.constant(L::Scalar::LN_2_LOW) + c;
    k * k.constant(L::Scalar::LN_2_HIGH) - ((half_square - (s * (half_square + r) + low)) - f)
}

/// Natural logarithm: at most 0.9 ULP for `f32`, 0.9 for `f64`, subnormal arguments included.
///
/// Negative infinity at ±0, NaN for negative arguments and NaN, infinity at infinity; 0 at 1.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::ln(1.0_f32), 0.0);
/// assert_eq!(math::ln(0.0_f64), f64::NEG_INFINITY);
/// assert!((math::ln(10.0_f64) - 2.302585092994046).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn ln<L: Lanes>(x: L) -> L {
    let zero = x.constant(L::Scalar::ZERO);
    // Subnormal numbers are brought into range first: 2^24 or 2^53.
    let lift = L::Scalar::MANTISSA_BITS as usize + 1;
    let subnormal = x.lt(x.constant(L::Scalar::MIN_POSITIVE));
    let (k, m) = split(L::select(
        subnormal,
        x * x.constant(L::Scalar::from_f64((1_u64 << lift) as f64)),
        x,
    ));
    let k = L::select(subnormal, k - k.constant(L::Scalar::from_usize(lift)), k);
    let y = combine(k, m - x.constant(L::Scalar::ONE), zero);

    let infinity = x.constant(L::Scalar::INFINITY);
    let beyond = L::select(x.lt(zero), x.constant(L::Scalar::NAN), x);
    let beyond = L::select(x.eq(zero), -infinity, beyond);
    L::select(zero.lt(x) & x.lt(infinity), y, beyond)
}

/// Natural logarithm of positive normal finite numbers: the bits of [`ln`], two thirds of its work.
#[inline(always)]
pub(crate) fn ln_normal<L: Lanes>(x: L) -> L {
    let (k, m) = split(x);
    combine(
        k,
        m - x.constant(L::Scalar::ONE),
        x.constant(L::Scalar::ZERO),
    )
}

#[cfg(test)]
mod tests {
    super::super::testing::accuracy!("ln", super::super::ln_into, f64::ln, |_| true, f32 0.9, f64 0.9);
}
