//! `ln(1 + x)` without cancellation near zero.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "bits of floating-point numbers within the range that the function has reduced to"
)]

use super::ln::{combine, split};
use crate::Real;
use crate::simd::Lanes;

/// `ln(1 + x)`: at most 0.9 ULP for `f32`, 0.9 for `f64`.
///
/// Keeps the sign of zero and subnormal arguments. Negative infinity at -1, NaN beneath and at NaN, infinity at
/// infinity.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::ln_1p(1e-30_f32), 1e-30);
/// assert_eq!(math::ln_1p(-1.0_f64), f64::NEG_INFINITY);
/// ```
#[inline(always)]
pub fn ln_1p<L: Lanes>(x: L) -> L {
    let (zero, one) = (x.constant(L::Scalar::ZERO), x.constant(L::Scalar::ONE));
    // 1 + x = u + lost exactly, and ln(u + lost) = ln u + lost / u to working precision.
    let u = one + x;
    let back = u - one;
    let lost = (one - (u - back)) + (x - back);
    let (k, m) = split(u);
    let near = k.eq(zero);
    // Where no power of two is taken out, x itself is the exact argument.
    let f = L::select(near, x, m - one);
    // u > 0 wherever the result is used.
    let c = L::select(near, zero, lost / u);
    let y = combine(k, f, c);

    let tiny = x
        .abs()
        .lt(x.constant(L::Scalar::EPSILON * L::Scalar::from_f64(0.25)));
    let y = L::select(tiny, x, y);
    let infinity = x.constant(L::Scalar::INFINITY);
    let beyond = L::select(x.lt(-one), x.constant(L::Scalar::NAN), x);
    let beyond = L::select(x.eq(-one), -infinity, beyond);
    L::select((-one).lt(x) & x.lt(infinity), y, beyond)
}

#[cfg(test)]
mod tests {
    super::super::testing::accuracy!("ln_1p", super::super::ln_1p_into, f64::ln_1p, |_| true, f32 0.9, f64 0.9);
}
