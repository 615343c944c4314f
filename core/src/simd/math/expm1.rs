//! `e^x - 1` without cancellation near zero.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "bits of floating-point numbers within the range that the function has reduced to"
)]

use super::exp::{Exp, limit, split};
use super::pattern;
use crate::Real;
use crate::simd::{BitLanes, Lanes};

/// `e^x - 1`: at most 1.3 ULP for `f32`, 1.3 for `f64`.
///
/// Keeps the sign of zero and subnormal arguments; -1 for large negative arguments, infinity on overflow, NaN at
/// NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::expm1(1e-30_f32), 1e-30);
/// assert_eq!(math::expm1(f64::NEG_INFINITY), -1.0);
/// ```
#[inline(always)]
pub fn expm1<L: Lanes>(x: L) -> L {
    let half = x.constant(L::Scalar::from_f64(0.5));
    // Beneath, e^x is less than a quarter ULP of one, and 2^k below stays normal.
    let low_end = x.constant(-L::Scalar::from_usize(
        L::Scalar::MANTISSA_BITS as usize + 1,
    ));
    let s = split(low_end.largest(limit(x)));
    let r = s.high - s.low;
    let lost = (s.high - r) - s.low;
    // e^r - 1 = r + bend, with the rounding of r restored.
    let bend = r * r * L::Scalar::exp_series(r) + lost;

    // 2^(k - 1): halved throughout, so that the largest power is a number.
    let k = s.rounded.to_bits() - pattern(x, u64::from(L::Scalar::BIAS) + 1);
    let power = L::from_bits(k.shl(L::Scalar::MANTISSA_BITS));
    // 2^k (1 + r + bend) - 1: the first sum is exact in two parts, since |2^k - 1| is 0 or exceeds |2^k r|.
    let gap = power - half;
    let straight = power * r;
    let sum = gap + straight;
    let rest = (straight - (sum - gap)) + power * bend;
    let y = sum + rest;
    // Halves of tiny numbers are not exact, nor is the sign of zero kept; there e^x - 1 rounds to x.
    let tiny = x
        .abs()
        .lt(x.constant(L::Scalar::EPSILON * L::Scalar::from_f64(0.25)));
    L::select(tiny, x, y + y)
}

#[cfg(test)]
mod tests {
    super::super::testing::accuracy!("expm1", super::super::expm1_into, f64::exp_m1, |_| true, f32 1.3, f64 1.3);
}
