//! Powers of two.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "bits of floating-point numbers within the range that the function has reduced to"
)]

use super::exp::{Exp, near_one, times_power};
use super::pattern;
use crate::Real;
use crate::simd::{BitLanes, Lanes};

/// `x` between the exponents beyond which a power of two is 0 or infinity; NaN stays.
#[inline(always)]
fn limit<L: Lanes>(x: L) -> L {
    let bias = L::Scalar::BIAS as usize;
    let most = L::Scalar::from_usize(bias + 1);
    let least = -L::Scalar::from_usize(bias + L::Scalar::MANTISSA_BITS as usize + 1);
    x.constant(least).largest(x.constant(most).least(x))
}

/// `2^x`: at most 1.2 ULP for `f32`, 1.2 for `f64`; exact for integers, subnormal results included.
///
/// Infinity from 128 (1024) on, 0 from -150 (-1075) down, 1 at ±0, NaN at NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::exp2(10.0_f32), 1024.0);
/// assert_eq!(math::exp2(-1074.0_f64), 5e-324);
/// assert!((math::exp2(0.5_f64) - 1.4142135623730951).abs() < 1e-15);
/// ```
#[inline(always)]
pub fn exp2<L: Lanes>(x: L) -> L {
    let x = limit(x);
    let magic = x.constant(L::Scalar::ROUND_EXPONENT);
    let rounded = x + magic;
    let r = x - (rounded - magic);
    times_power(near_one(r * x.constant(L::Scalar::LN_2)), rounded)
}

/// `2^x` for `x <= 0`, but 0 where that is below the least normal number: at most 1.2 ULP. NaN at NaN.
///
/// For kernels of a distance, whose argument is rounded already: two thirds of the instructions of [`exp`](super::exp()).
#[inline(always)]
pub(crate) fn exp2_down<L: Lanes>(x: L) -> L {
    let bias = L::Scalar::from_usize(L::Scalar::BIAS as usize);
    let least = x.constant(L::Scalar::ONE - bias);
    let magic = x.constant(L::Scalar::ROUND_EXPONENT - bias);
    let nearest = least.largest(x);
    let rounded = nearest + magic;
    let r = nearest - (rounded - magic);
    // The low bits of `rounded` are the exponent field, between 1 and the bias.
    let power = L::from_bits(rounded.to_bits().shl(L::Scalar::MANTISSA_BITS));
    (near_one(r * x.constant(L::Scalar::LN_2)) * power).clear(x.lt(least))
}

/// `x 2^k`, rounded once: exact unless the result is subnormal or overflows.
///
/// `k` is an integer (others are rounded to the nearest one) of any size. ±0, infinities and NaN in `x` stay; NaN where
/// `k` is NaN.
///
/// ```
/// use thalweg::simd::math;
/// assert_eq!(math::scale(3.0_f32, 4.0), 48.0);
/// assert_eq!(math::scale(5e-324_f64, 1074.0), 1.0);
/// ```
#[inline(always)]
pub fn scale<L: Lanes>(x: L, k: L) -> L {
    let stored = L::Scalar::MANTISSA_BITS;
    let zero = x.constant(L::Scalar::ZERO);
    // Subnormal numbers are brought into range first: 2^24 or 2^53.
    let lift = stored as usize + 1;
    let subnormal = x.abs().lt(x.constant(L::Scalar::MIN_POSITIVE));
    let y = L::select(
        subnormal,
        x * x.constant(L::Scalar::from_f64((1_u64 << lift) as f64)),
        x,
    );
    // Behind the leading bit of 2^23 (2^52) the exponent field is the number that it is.
    let shift = x.constant(L::Scalar::from_f64((1_u64 << stored) as f64));
    let field = y.abs().to_bits().shr(stored);
    let biased = L::from_bits(field | shift.to_bits()) - shift;
    let bias = L::Scalar::from_usize(L::Scalar::BIAS as usize);
    let lifted = L::select(subnormal, x.constant(L::Scalar::from_usize(lift)), zero);
    let exponent = limit((biased - lifted - x.constant(bias)) + k);
    let one = x.constant(L::Scalar::ONE);
    let significand = L::from_bits((y.to_bits() & pattern(x, (1 << stored) - 1)) | one.to_bits());
    let rounded = exponent + x.constant(L::Scalar::ROUND_EXPONENT);
    let scaled = times_power(significand.copy_sign(x), rounded);
    let magnitude = x.abs();
    let ordinary = zero.lt(magnitude) & magnitude.lt(x.constant(L::Scalar::INFINITY));
    let result = L::select(ordinary, scaled, x);
    L::select(k.eq(k), result, k)
}

#[cfg(test)]
mod tests {
    use super::*;

    super::super::testing::accuracy!("exp2", super::super::exp2_into, f64::exp2, |_| true, f32 1.2, f64 1.2);

    #[test]
    fn powers_without_subnormal_results_are_those_of_exp2_or_zero() {
        use crate::simd::Scalar;
        fn down<T: Real>(x: f64, bound: f64) {
            let one = |x: f64| -> T {
                exp2_down(T::Lanes::<Scalar>::splat(Scalar, T::from_f64(x))).halving_sum()
            };
            let (found, expected) = (one(x).to_f64(), T::from_f64(x).to_f64().exp2());
            if expected < T::MIN_POSITIVE.to_f64() {
                assert_eq!(found, 0.0, "{x}");
            } else {
                assert!(
                    (found / expected - 1.0).abs() <= bound,
                    "{x}: {found} {expected}"
                );
            }
        }
        for i in 0..4000 {
            down::<f32>(-f64::from(i) * 0.0377, 1.2 * f64::from(f32::EPSILON));
            down::<f64>(-f64::from(i) * 0.277, 1.2 * f64::EPSILON);
        }
    }

    #[test]
    fn integers_give_exact_powers() {
        for k in -149..=127 {
            let expected = libm::scalbnf(1.0, k);
            assert_eq!(exp2(k as f32), expected, "{k}");
        }
        for k in -1074..=1023 {
            assert_eq!(exp2(f64::from(k)), libm::scalbn(1.0, k), "{k}");
        }
    }

    #[test]
    fn scaling_rounds_once_as_scalbn_does() {
        let mut bits = 1_u64;
        for k in (-2200..2200).chain([-150, -149, 276, 277, -1075, -1074, 2097, 2098]) {
            bits = bits
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            for x in [
                f64::from_bits(bits),
                f64::from_bits(bits & 0x800f_ffff_ffff_ffff),
                1.5,
                f64::MAX,
                5e-324,
                -0.0,
            ] {
                if !x.is_nan() {
                    let expected = libm::scalbn(x, k);
                    assert_eq!(
                        scale(x, f64::from(k)).to_bits(),
                        expected.to_bits(),
                        "{x:e} {k}"
                    );
                }
            }
            for x in [
                f32::from_bits((bits >> 32) as u32),
                f32::from_bits((bits >> 32) as u32 & 0x807f_ffff),
                f32::MAX,
                1e-45,
            ] {
                if !x.is_nan() {
                    let expected = libm::scalbnf(x, k);
                    assert_eq!(
                        scale(x, k as f32).to_bits(),
                        expected.to_bits(),
                        "{x:e} {k}"
                    );
                }
            }
        }
        assert_eq!(scale(1.0_f32, f32::INFINITY), f32::INFINITY);
        assert_eq!(scale(1.0_f64, f64::NEG_INFINITY), 0.0);
        assert!(scale(1.0_f64, f64::NAN).is_nan() && scale(f32::NAN, 0.0).is_nan());
    }
}
