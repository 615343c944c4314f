//! Natural compression: each entry goes to one of the two powers of two around it.
//!
//! ```text
//! |x| = m 2^e, 1 <= m < 2   ->   2^(e+1) with probability m - 1, else 2^e; the sign is kept
//! E C(x) = x,  E C(x)^2 - x^2 = (m - 1)(2 - m) 2^(2e),  relative to x^2 at most 1/8, at m = 4/3
//! ```
//!
//! On the bits this is one integer addition: add uniform bits below the exponent, let them carry, clear the mantissa.
//! A carry happens with probability `mantissa / 2^23` (`f64`: `2^52`), which is `m - 1` exactly.
//!
//! | input | output |
//! |---|---|
//! | zero | zero of the same sign |
//! | subnormal `m 2^-149` | 0 or `2^-126`, unbiased; the relative bound of 1/8 does not hold here |
//! | at least `2^127` (`f64`: `2^1023`) | `2^127`: the carry would be infinite; biased |
//! | infinity, NaN | itself, for the caller to refuse |
//!
//! An entry is 9 bits on the wire, exponent and sign (`f64`: 12).
//!
//! Reference: Horvath et al., "Natural compression for distributed deep learning", 2022, definition 1.

#![allow(clippy::arithmetic_side_effects, reason = "widths of at most 64 bits")]

use super::noise::Noise;
use super::{Buffers, Compressor, KIND, Key, Lengths, Message, Operator, Unbiased, Weight, first};
use crate::compress::Kernels as _;
use crate::error::check_length;
use crate::memory::must;
use crate::random::RandomMap;
use crate::simd::{BitLanes, Lanes};
use crate::{Error, Real, vector};

/// Natural compression.
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Key, Message, Natural, Unbiased};
/// let mut values = [0.0; 3];
/// let message = Natural.compress(Key::default(), &[1.0_f32, -0.5, 3.0], Buffers::values(&mut values))?;
/// assert!(message == Message::Natural(&[1.0, -0.5, 2.0]) || message == Message::Natural(&[1.0, -0.5, 4.0]));
/// assert_eq!(Natural.omega(3), 0.125);
/// assert_eq!(Compressor::<f32>::bits(&Natural, 3), 27);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Natural;

/// `x` rounded with the bits of a number in `[1, 2)`.
#[inline(always)]
pub(super) fn rounded<L: Lanes>(x: L, noise: L) -> L {
    let mantissa = x.constant(mantissa()).to_bits();
    let powers = L::from_bits((x.to_bits() + (noise.to_bits() & mantissa)).and_not(mantissa));
    let truncated = L::from_bits(x.to_bits().and_not(mantissa));
    let top = x.constant(top());
    let rest = L::select(x.eq(x), truncated, x);
    L::select(x.abs().lt(top), powers, rest)
}

/// All bits below the exponent.
fn mantissa<T: Real>() -> T {
    T::from_bits_u64((1 << T::MANTISSA_BITS) - 1)
}

/// The largest power of two.
fn top<T: Real>() -> T {
    T::from_bits_u64(T::MAX.to_bits_u64() >> T::MANTISSA_BITS << T::MANTISSA_BITS)
}

#[derive(Clone, Copy)]
pub(super) struct Round;

impl<T: Real> RandomMap<T> for Round {
    type Out = T;

    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, x: L, noise: L) -> L {
        rounded(x, noise)
    }

    #[inline(always)]
    fn emit(&self, result: T) -> T {
        result
    }
}

/// Elements rounded in place at a time: whole rows of the generators.
const CHUNK: usize = 256;

impl Natural {
    /// Rounds in place: the values that [`Compressor::compress`] sends for the same key.
    ///
    /// ```
    /// use thalweg::compress::{Key, Natural};
    /// let mut x = [4.0_f32, 0.0, -0.25];
    /// Natural.round(Key::default(), &mut x);
    /// assert_eq!(x, [4.0, 0.0, -0.25]);
    /// ```
    pub fn round<T: Real>(&self, key: Key, x: &mut [T]) {
        let (mut noise, mut before) = (Noise::new(key), [T::ZERO; CHUNK]);
        for x in x.chunks_mut(CHUNK) {
            for (before, x) in before.iter_mut().zip(&*x) {
                *before = *x;
            }
            T::Kernels::natural(&mut noise, must(before.get(..x.len())), x);
        }
    }
}

impl Operator for Natural {
    fn validate(&self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    fn lengths(&self, d: usize) -> Lengths {
        Lengths {
            values: d,
            ..Lengths::default()
        }
    }
}

impl<T: Real> Compressor<T> for Natural {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        let values = first("values", x.len(), buffers.values)?;
        T::Kernels::natural(&mut Noise::new(key), x, values);
        Ok(Message::Natural(values))
    }

    fn accumulate(
        &self,
        _: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        let Message::Natural(values) = *message else {
            return Err(KIND);
        };
        check_length("message", out.len(), values.len())?;
        vector::axpy(weight.times(1, 1)?, values, out)
    }

    fn bits(&self, d: usize) -> u64 {
        // Exponent and sign: 9 or 12.
        let code = 8 * T::BYTES as u64 - u64::from(T::MANTISSA_BITS);
        code.saturating_mul(d as u64)
    }
}

impl Unbiased for Natural {
    fn omega(&self, _: usize) -> f64 {
        0.125
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::vec;
    use std::vec::Vec;

    fn key(round: u64) -> Key {
        Key {
            seed: 1,
            round,
            client: 0,
        }
    }

    fn mean_and_square<T: Real>(m: f64, draws: usize) -> (f64, f64) {
        let mut x = vec![T::from_f64(m); draws];
        Natural.round(key(0), &mut x);
        let mean = x.iter().map(|x| x.to_f64()).sum::<f64>() / draws as f64;
        let square = x.iter().map(|x| x.to_f64().powi(2)).sum::<f64>() / draws as f64;
        (mean, square)
    }

    #[test]
    fn the_relative_variance_is_that_of_the_mantissa() {
        for m in [1.0, 1.1, 1.25, 4.0 / 3.0, 1.5, 1.9, -1.3, 11.0] {
            for (mean, square) in [
                mean_and_square::<f32>(m, 200_000),
                mean_and_square::<f64>(m, 200_000),
            ] {
                // The standard error is below 0.0012 |m|.
                assert!((mean / m - 1.0).abs() < 0.005, "{mean} for {m}");
                let base = m.abs() / 2.0_f64.powi(m.abs().log2().floor() as i32);
                let omega = (base - 1.0) * (2.0 - base) / (base * base);
                assert!(
                    (square / (m * m) - 1.0 - omega).abs() < 0.01,
                    "{square} for {m}"
                );
                assert!(omega <= 0.125 + 1e-15);
            }
        }
    }

    #[test]
    fn powers_of_two_zeros_and_non_finite_numbers_stay() {
        let x = [
            0.0_f32,
            -0.0,
            1.0,
            -2.0_f32.powi(-126),
            2.0_f32.powi(127),
            f32::INFINITY,
            f32::NEG_INFINITY,
        ];
        for round in 0..100 {
            let mut y = x;
            Natural.round(key(round), &mut y);
            assert_eq!(x.map(f32::to_bits), y.map(f32::to_bits));
            let mut y = [f32::NAN, -f64::NAN as f32];
            Natural.round(key(round), &mut y);
            assert!(y.iter().all(|y| y.is_nan()));
        }
    }

    #[test]
    fn the_top_exponent_saturates_and_subnormals_stay_unbiased() {
        let mut x = [f32::MAX, -f32::MAX, 1.5 * 2.0_f32.powi(127)];
        Natural.round(key(0), &mut x);
        assert_eq!(x, [1.0, -1.0, 1.0].map(|s| s * 2.0_f32.powi(127)));
        let tiny = f32::from_bits(3 << 20);
        let mut x = vec![tiny; 100_000];
        Natural.round(key(0), &mut x);
        assert!(x.iter().all(|x| *x == 0.0 || *x == f32::MIN_POSITIVE));
        let up = x.iter().filter(|x| **x > 0.0).count() as f64 / 1e5;
        assert!((up - 3.0 / 8.0).abs() < 0.006, "{up}");
    }

    fn levels_and_forms_agree<T: Real>() {
        for n in [0, 1, 2, 31, 32, 33, CHUNK - 1, CHUNK, CHUNK + 1, 1003, 4097] {
            let x: Vec<T> = (0..n)
                .map(|i| T::from_f64(((i * 37) % 251) as f64 / 16.0 - 7.8))
                .collect();
            let mut first: Option<Vec<u64>> = None;
            for level in crate::testing::levels() {
                let mut values = vec![T::ZERO; n];
                let mut y = x.clone();
                Natural.round(key(7), &mut y);
                let message = Natural.compress(key(7), &x, Buffers::values(&mut values));
                assert_eq!(message, Ok(Message::Natural(&y)), "{level:?}");
                let bits: Vec<u64> = y.iter().map(|y| y.to_bits_u64()).collect();
                assert_eq!(*first.get_or_insert(bits.clone()), bits, "{level:?} n={n}");
            }
            let below = |x: T| x.abs().to_f64().log2().floor() as i32;
            for (x, y) in x.iter().zip(first.unwrap()) {
                let y = T::from_bits_u64(y).to_f64();
                let low = if x.abs() > T::ZERO {
                    2.0_f64.powi(below(*x))
                } else {
                    0.0
                };
                assert!(y.abs() == low || y.abs() == 2.0 * low, "{y} for {x}");
            }
        }
    }

    #[test]
    fn every_level_and_the_form_in_place_give_the_same_bits() {
        levels_and_forms_agree::<f32>();
        levels_and_forms_agree::<f64>();
    }
}
