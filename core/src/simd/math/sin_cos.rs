//! Sine and cosine, of radians and of turns.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "bits of floating-point numbers within the range that the function has reduced to"
)]

use super::exp::Exp;
use super::{pattern, polynomial};
use crate::Real;
use crate::simd::{BitLanes, Lanes};

/// Numbers of the circle for one scalar type.
pub trait SinCos: Exp {
    /// The largest angle in radians that is reduced.
    const RADIANS_MOST: Self;
    /// The largest angle in turns that is reduced.
    const TURNS_MOST: Self;
    /// Added to a number less than a quarter of it, rounds that to an integer, whose last bits are then the last bits:
    /// 1.5 * 2^23 or 1.5 * 2^52.
    const ROUND: Self;
    /// `2 / pi`.
    const QUARTERS_PER_RADIAN: Self;
    /// `pi / 2`.
    const FRAC_PI_2: Self;
    /// `pi / 2` in parts; the product of each but the last with a number of quarters within bounds is exact.
    const RADIANS_PER_QUARTER: [Self; 4];
    /// `(sin r - r) / r^3` in `z = r^2` for `|r| <= pi / 4`.
    fn sin_series<L: Lanes<Scalar = Self>>(z: L) -> L;
    /// `(cos r - 1 + r^2 / 2) / r^4` in `z = r^2` for `|r| <= pi / 4`.
    fn cos_series<L: Lanes<Scalar = Self>>(z: L) -> L;
}

impl SinCos for f32 {
    const RADIANS_MOST: Self = 6400.0;
    const TURNS_MOST: Self = 1_048_576.0;
    const ROUND: Self = 12_582_912.0;
    const QUARTERS_PER_RADIAN: Self = core::f32::consts::FRAC_2_PI;
    const FRAC_PI_2: Self = core::f32::consts::FRAC_PI_2;
    // core/tests/golden/coefficients.py half_pi: 12 bits each.
    const RADIANS_PER_QUARTER: [Self; 4] = [
        1.57080078125,
        -4.453584551811218e-06,
        -8.706138032721356e-10,
        6.223371969669989e-14,
    ];
    // core/tests/golden/coefficients.py sin: error 2^-28.1 of the sine.
    #[inline(always)]
    fn sin_series<L: Lanes<Scalar = Self>>(z: L) -> L {
        polynomial(
            z,
            [
                -0.1666666716337204,
                0.008333329111337662,
                -0.0001983937545446679,
                2.7186238185095135e-06,
            ],
        )
    }
    // core/tests/golden/coefficients.py cos: error 2^-31.0.
    #[inline(always)]
    fn cos_series<L: Lanes<Scalar = Self>>(z: L) -> L {
        polynomial(
            z,
            [
                0.041666653007268906,
                -0.0013887586537748575,
                2.446023245283868e-05,
            ],
        )
    }
}

impl SinCos for f64 {
    const RADIANS_MOST: Self = 1.6e6;
    const TURNS_MOST: Self = 1_048_576.0;
    const ROUND: Self = 6_755_399_441_055_744.0;
    const QUARTERS_PER_RADIAN: Self = core::f64::consts::FRAC_2_PI;
    const FRAC_PI_2: Self = core::f64::consts::FRAC_PI_2;
    // core/tests/golden/coefficients.py half_pi: 32 bits each.
    const RADIANS_PER_QUARTER: [Self; 4] = [
        1.5707963267341256,
        6.077100506303966e-11,
        2.0222662487111665e-21,
        8.4784276603689e-32,
    ];
    // core/tests/golden/coefficients.py sin: error 2^-56.6 of the sine.
    #[inline(always)]
    fn sin_series<L: Lanes<Scalar = Self>>(z: L) -> L {
        polynomial(
            z,
            [
                -0.16666666666666638,
                0.008333333333323685,
                -0.00019841269830626163,
                2.7557313929995943e-06,
                -2.505079024007905e-08,
                1.5898431050922593e-10,
            ],
        )
    }
    // core/tests/golden/coefficients.py cos: error 2^-61.3.
    #[inline(always)]
    fn cos_series<L: Lanes<Scalar = Self>>(z: L) -> L {
        polynomial(
            z,
            [
                0.04166666666666666,
                -0.0013888888888883306,
                2.4801587294814433e-05,
                -2.755731579217937e-07,
                2.0875907142195847e-09,
                -1.1368632874787192e-11,
            ],
        )
    }
}

/// Sine and cosine of `r` radians and `n` quarter turns, from [`SinCos::ROUND`] + n and `|r| <= pi / 4`.
#[inline(always)]
fn rotate<L: Lanes>(r: L, rounded: L) -> (L, L) {
    let one = r.constant(L::Scalar::ONE);
    let z = r * r;
    // On the magnitude, so that a negative zero keeps its sign.
    let magnitude = r.abs();
    let sin = (magnitude + magnitude * z * L::Scalar::sin_series(z)).copy_sign(r);
    let half = r.constant(L::Scalar::from_f64(0.5)) * z;
    let leading = one - half;
    let cos = leading + (((one - leading) - half) + z * z * L::Scalar::cos_series(z));

    let n = rounded.to_bits();
    let (unit, two) = (pattern(r, 1), pattern(r, 2));
    // All ones where n is odd: there sine and cosine change places.
    let odd = pattern(r, 0) - (n & unit);
    let swap = (sin.to_bits() ^ cos.to_bits()) & odd;
    let to_sign = L::Scalar::BYTES as u32 * 8 - 2;
    let sin_sign = (n & two).shl(to_sign);
    let cos_sign = ((n + unit) & two).shl(to_sign);
    (
        L::from_bits(sin.to_bits() ^ swap ^ sin_sign),
        L::from_bits(cos.to_bits() ^ swap ^ cos_sign),
    )
}

/// Sine and cosine of radians: each at most 2.6 ULP for `f32` up to 6400, 1.4 for `f64` up to 1.6e6.
///
/// NaN beyond these magnitudes, where the reduction would lose digits, and at NaN. The sine keeps the sign of zero.
///
/// ```
/// use thalweg::simd::math;
/// let (sin, cos) = math::sin_cos(0.5235987755982989_f64); // pi / 6
/// assert!((sin - 0.5).abs() < 1e-15 && (cos * cos - 0.75).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn sin_cos<L: Lanes>(x: L) -> (L, L) {
    let magic = x.constant(L::Scalar::ROUND);
    let rounded = x * x.constant(L::Scalar::QUARTERS_PER_RADIAN) + magic;
    let n = rounded - magic;
    let r = L::Scalar::RADIANS_PER_QUARTER
        .into_iter()
        .fold(x, |r, part| r - n * x.constant(part));
    let (sin, cos) = rotate(r, rounded);
    // The reduction loses the sign of zero.
    let sin = L::select(x.eq(x.constant(L::Scalar::ZERO)), x, sin);
    let within = x.abs().le(x.constant(L::Scalar::RADIANS_MOST));
    let nan = x.constant(L::Scalar::NAN);
    (L::select(within, sin, nan), L::select(within, cos, nan))
}

/// Sine of radians: see [`sin_cos`].
///
/// ```
/// assert_eq!(thalweg::simd::math::sin(-0.0_f32).to_bits(), (-0.0_f32).to_bits());
/// ```
#[inline(always)]
pub fn sin<L: Lanes>(x: L) -> L {
    sin_cos(x).0
}

/// Cosine of radians: see [`sin_cos`].
///
/// ```
/// assert_eq!(thalweg::simd::math::cos(0.0_f64), 1.0);
/// ```
#[inline(always)]
pub fn cos<L: Lanes>(x: L) -> L {
    sin_cos(x).1
}

/// Sine and cosine of turns of `2 pi`: each at most 2.3 ULP for `f32`, 1.6 for `f64`, up to 2^20 turns.
///
/// The reduction is exact, so that multiples of a quarter turn give exact results. A zero sine has the sign of `x`, a
/// zero cosine is positive. NaN beyond 2^20 turns and at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::sin_cos_turns(0.25_f32), (1.0, 0.0));
/// assert_eq!(math::sin_cos_turns(0.5_f64), (0.0, -1.0));
/// ```
#[inline(always)]
pub fn sin_cos_turns<L: Lanes>(x: L) -> (L, L) {
    let zero = x.constant(L::Scalar::ZERO);
    let (sin, cos) = sin_cos_of_turn(x);
    let sin = L::select(sin.eq(zero), zero.copy_sign(x), sin);
    let within = x.abs().le(x.constant(L::Scalar::TURNS_MOST));
    let nan = x.constant(L::Scalar::NAN);
    (L::select(within, sin, nan), L::select(within, cos, nan))
}

/// [`sin_cos_turns`] of finite angles within its bound, but that a sine of zero is positive: the bits for angles that are not
/// negative.
#[inline(always)]
pub(crate) fn sin_cos_of_turn<L: Lanes>(x: L) -> (L, L) {
    let zero = x.constant(L::Scalar::ZERO);
    let magic = x.constant(L::Scalar::ROUND);
    let quarters = x * x.constant(L::Scalar::from_f64(4.0));
    let rounded = quarters + magic;
    let r = quarters - (rounded - magic);
    let (sin, cos) = rotate(r * x.constant(L::Scalar::FRAC_PI_2), rounded);
    (sin + zero, cos + zero)
}

#[cfg(test)]
mod tests {
    use super::super::{cos_into, sin_cos_into, sin_cos_turns_into, sin_into, testing};
    use crate::{Error, Real};
    use std::vec;

    mod sin {
        super::testing::accuracy!("sin", super::sin_into, f64::sin, |x| x.abs() <= 6400.0, f32 2.6, f64 1.4);
    }

    mod cos {
        super::testing::accuracy!("cos", super::cos_into, f64::cos, |x| x.abs() <= 6400.0, f32 2.6, f64 1.4);
    }

    fn sin_turns<T: Real>(x: &[T], out: &mut [T]) -> Result<(), Error> {
        sin_cos_turns_into(x, out, &mut vec![T::ZERO; x.len()])
    }

    fn cos_turns<T: Real>(x: &[T], out: &mut [T]) -> Result<(), Error> {
        sin_cos_turns_into(x, &mut vec![T::ZERO; x.len()], out)
    }

    /// Sine of a number of quarter turns, shifted by some.
    fn sin_quarters(x: f64, shift: f64) -> f64 {
        let n = (4.0 * x).round();
        let r = (4.0 * x - n) * core::f64::consts::FRAC_PI_2;
        match (n + shift).rem_euclid(4.0) as u32 {
            0 => r.sin(),
            1 => r.cos(),
            2 => -r.sin(),
            _ => -r.cos(),
        }
    }

    fn true_sin_turns(x: f64) -> f64 {
        match sin_quarters(x, 0.0) {
            0.0 => 0.0_f64.copysign(x),
            y => y,
        }
    }

    fn true_cos_turns(x: f64) -> f64 {
        sin_quarters(x, 1.0) + 0.0
    }

    mod sin_of_turns {
        super::testing::accuracy!(
            "sin_turns", super::sin_turns, super::true_sin_turns, |x| x.abs() <= 1_048_576.0, f32 2.3, f64 1.6
        );
    }

    mod cos_of_turns {
        super::testing::accuracy!(
            "cos_turns", super::cos_turns, super::true_cos_turns, |x| x.abs() <= 1_048_576.0, f32 2.3, f64 1.6
        );
    }

    #[test]
    fn angles_beyond_the_bound_give_nan() {
        let (mut sin, mut cos) = ([0.0; 4], [0.0; 4]);
        sin_cos_into(
            &[6400.0_f32, 6401.0, f32::MAX, f32::INFINITY],
            &mut sin,
            &mut cos,
        )
        .unwrap();
        assert!(sin[0].is_finite() && cos[0].is_finite());
        assert!(sin[1..].iter().chain(&cos[1..]).all(|y| y.is_nan()));
        let turns = [1_048_576.0_f32, 1_048_577.0, f32::MAX, f32::NAN];
        sin_cos_turns_into(&turns, &mut sin, &mut cos).unwrap();
        assert_eq!((sin[0], cos[0]), (0.0, 1.0));
        assert!(sin[1..].iter().chain(&cos[1..]).all(|y| y.is_nan()));
    }
}
