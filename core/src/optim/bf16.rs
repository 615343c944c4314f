//! Moments kept in 16 bits, rounded at random so that small changes are not lost.
//!
//! bf16 is the upper half of an `f32`: its exponents, and 8 significant bits. A moving average with decay 0.999
//! changes by less than a thousandth per step, and half a gap of bf16 is a few thousandths of the number: rounded
//! to nearest, the average of squared gradients stops at a quarter of its limit. Rounding at random, up as often as the
//! discarded part says, has the right mean, so the average arrives:
//!
//! ```text
//! round(x, r) = upper half of (bits(x) + r)     r uniform in 0 .. 2^16
//! E round(x, r) = x                             exactly: up with probability (lower half of x) / 2^16
//! ```
//!
//! The moments alone are narrow; parameters, gradients and arithmetic stay in `f32` or `f64`. Blocks of 256 moments
//! are widened, advanced by the same kernel as the wide form, and rounded again; the wide block lives on the stack.
//!
//! | member | moments | bytes per parameter | wide form |
//! |---|---|---|---|
//! | [`adam`] | 2 | 4 | 8 (`f32`) |
//! | [`sgd`] with momentum | 1 | 2 | 4 (`f32`) |
//!
//! # The random bits
//! They come from the [`Lanes32`] that the step is given: one word for each parameter, drawn in runs of 256 (so
//! `n` parameters consume `ceil(n / 32)` steps of the generator). To resume, save its [`state`](Lanes32::state)
//! too, or key it by the step, and nothing needs to be saved:
//!
//! ```
//! use thalweg::optim::{adam, bf16};
//! use thalweg::random::{Lanes32, Purpose, stream};
//! let mut state = bf16::adam::State::<[u16; 2]>::new();
//! let mut x = [1.0_f32, -1.0];
//! for _ in 0..10 {
//!     let mut lanes = Lanes32::new(&mut stream(7, state.steps(), 0, Purpose::NOISE));
//!     bf16::adam::step(&adam::Config::adam(), &mut state, &mut x, &[0.5, -0.5], &mut lanes)?;
//! }
//! // The gradient is constant, so ten steps have about ten times the length of the learning rate.
//! assert!((x[0] - 0.99).abs() < 3e-4 && (x[1] + 0.99).abs() < 3e-4);
//! # Ok::<(), thalweg::Error>(())
//! ```
//!
//! # At the edges
//! Zero and numbers below the smallest normal one become zero, as in every optimiser here; infinities stay; NaN stays NaN.
//! A finite number above the largest bf16, 3.39e38, becomes that number rather than infinity: an `f64` moment
//! is rounded to `f32` first, and is cut there.
//!
//! References: Gupta, Agrawal, Gopalakrishnan and Narayanan, *Deep learning with limited numerical precision*
//! (2015), section 3.1, for the rounding; Zamirai, Zhang, Aberger and De Sa, *Revisiting bfloat16 training* (2020),
//! for its use with bf16.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "a count above zero, and lengths that saturate"
)]

pub mod adam;
pub mod sgd;

use crate::Real;
use crate::random::Lanes32;
use crate::simd::{Kernel, Simd};

/// Parameters that are widened at a time.
const BLOCK: usize = 256;

/// The largest finite bf16 followed by ones: every magnitude up to it is cut to a finite number.
const TOP: u32 = 0x7F7F_FFFF;
const INFINITE: u32 = 0x7F80_0000;
const LEAST_NORMAL: u32 = 0x0080_0000;

/// The number with these bits.
///
/// ```
/// assert_eq!(thalweg::optim::bf16::widen(0x3FC0), 1.5);
/// ```
#[inline(always)]
#[must_use]
pub fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The bits of one of the two bf16 numbers around `x`: its mean over all `random` is `x`.
///
/// ```
/// use thalweg::optim::bf16::{round, widen};
/// // 1 + 2^-9 is a quarter of the way from 1 to the next number, 1 + 2^-7.
/// let x = 1.0 + 1.0 / 512.0;
/// let ups = (0..=u16::MAX).filter(|&r| widen(round(x, r)) > x).count();
/// assert_eq!(ups, 65536 / 4);
/// ```
#[inline(always)]
#[must_use]
pub fn round(x: f32, random: u16) -> u16 {
    let bits = x.to_bits();
    let (sign, magnitude) = (bits & 0x8000_0000, bits & 0x7FFF_FFFF);
    // The sum is below 2^31 + 2^16.
    let sum = magnitude + u32::from(random);
    let finite = sign | if sum < TOP { sum } else { TOP };
    let kept = if magnitude < LEAST_NORMAL { 0 } else { finite };
    // A NaN whose payload lies in the lower half would turn into an infinity.
    let kept = if magnitude == INFINITE { bits } else { kept };
    let kept = if magnitude > INFINITE {
        sign | 0x7FC0_0000
    } else {
        kept
    };
    (kept >> 16) as u16
}

/// Widens a block; what is left of `to` keeps its contents.
struct Widen<'a, T> {
    from: &'a [u16],
    to: &'a mut [T],
}

impl<T: Real> Kernel for Widen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to = T::from_f64(f64::from(widen(*from)));
        }
    }
}

/// Rounds a block with 16 bits of each word, from bit `shift` on.
struct Narrow<'a, T> {
    from: &'a [T],
    words: &'a [u32],
    shift: u32,
    to: &'a mut [u16],
}

impl<T: Real> Kernel for Narrow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for ((to, from), word) in self.to.iter_mut().zip(self.from).zip(self.words) {
            let random = word.wrapping_shr(self.shift) as u16;
            *to = round(nearest(*from), random);
        }
    }
}

/// The nearest `f32`; a finite number beyond all of them becomes the largest.
#[inline(always)]
fn nearest<T: Real>(x: T) -> f32 {
    let y = x.to_f64() as f32;
    if T::BYTES == 8 && x.is_finite() {
        y.clamp(-f32::MAX, f32::MAX)
    } else {
        y
    }
}

/// Takes the next [`BLOCK`] elements off a slice, or the last ones; `zip` over `chunks` would divide by a length that
/// is a constant only where it is inlined.
#[inline(always)]
fn next<'a, E>(rest: &mut &'a mut [E]) -> &'a mut [E] {
    let at = BLOCK.min(rest.len());
    let (block, tail) = core::mem::take(rest)
        .split_at_mut_checked(at)
        .unwrap_or_default();
    *rest = tail;
    block
}

/// Words for the next `n` elements, at most [`BLOCK`].
fn draw<'a>(lanes: &mut Lanes32, words: &'a mut [u32; BLOCK], n: usize) -> &'a [u32] {
    let (words, _) = words.split_at_mut_checked(n).unwrap_or_default();
    lanes.fill_u32(words);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_over_all_random_words_is_the_number() {
        for x in [
            1.0_f32,
            1.001,
            -0.1,
            std::f32::consts::PI,
            1e-30,
            -2.5e37,
            1.999_999_9,
            f32::MIN_POSITIVE * 1.7,
        ] {
            let sum: f64 = (0..=u16::MAX).map(|r| f64::from(widen(round(x, r)))).sum();
            // Every term is a multiple of the gap, so the sum of 2^16 of them is exact.
            assert_eq!(sum / 65536.0, f64::from(x), "{x}");
        }
    }

    #[test]
    fn numbers_with_eight_significant_bits_are_kept() {
        for bits in (0x0080..0x7F80_u16).flat_map(|b| [b, b | 0x8000]) {
            for r in [0, 1, 0x8000, u16::MAX] {
                assert_eq!(round(widen(bits), r), bits);
            }
        }
    }

    #[test]
    fn edges_stay_where_they_are_and_subnormals_become_zero() {
        for r in [0, 1, 0x7FFF, 0x8000, u16::MAX] {
            assert_eq!((round(0.0, r), round(-0.0, r)), (0, 0));
            assert_eq!(round(f32::MIN_POSITIVE / 2.0, r), 0);
            assert_eq!(round(-1e-45, r), 0);
            assert_eq!(round(f32::INFINITY, r), 0x7F80);
            assert_eq!(round(f32::NEG_INFINITY, r), 0xFF80);
            assert_eq!((round(f32::MAX, r), round(f32::MIN, r)), (0x7F7F, 0xFF7F));
            assert!(widen(round(f32::NAN, r)).is_nan());
            assert!(widen(round(f32::from_bits(0x7F80_0001), r)).is_nan());
            assert_eq!(round(nearest(1e300_f64), r), 0x7F7F);
            assert_eq!(round(nearest(f64::NEG_INFINITY), r), 0xFF80);
            assert!(widen(round(nearest(f64::NAN), r)).is_nan());
        }
    }
}
