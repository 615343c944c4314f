//! Randomness as an argument: keyed streams, draws, samples and permutations.
//!
//! A stream is named by four words, `(seed, round, client, purpose)`. Whoever knows them holds the same
//! generator: a server derives the indices that a client has chosen and no index crosses the link. Nothing is
//! global, so the order in which clients run, or the number of threads, cannot change a draw.
//!
//! # From key to state
//! With `next(x)` the first output of a SplitMix64 generator whose state is `x`, and words
//! `w = (seed, round, client, purpose)`:
//!
//! ```text
//! a_0 = next(w_0)          a_i = next(a_{i-1} xor w_i)    i = 1, 2, 3
//! s_3 = next(a_3)          s_i = next(a_i xor s_{i+1})    i = 2, 1, 0
//! ```
//!
//! `(s_0 .. s_3)` is the state of xoshiro256++. `next` is a bijection of 64-bit words, so each pass is a
//! bijection of 256-bit states: **different keys never share a state**, and each word of the state
//! depends on all four words of the key. A hash of the key to 64 bits would make two of 5e8 streams coincide
//! with probability 0.7 %.
//!
//! # Members
//! | what | function | words of the generator |
//! |---|---|---|
//! | integer below `n` | [`below`], [`below_u64`], [`below_usize`] | 1, more with probability `n / 2^32` (`2^64`) |
//! | shuffle, `k` distinct of `d` | [`shuffle`], [`sample_into`] | one integer each |
//! | order of `0..d` without a table | [`Permutation`] | 1, as its key |
//! | number in `[0, 1)` | [`uniform`] | 1 |
//! | standard normal | [`normal`], [`normal_pair`] | 2 |
//! | sign, coin, choice by weight | [`rademacher`], [`bernoulli`], [`categorical`] | 1 |
//! | slices of words, uniform and normal numbers, signs | [`NoiseStream`] | 64 to seed, its own after that |
//!
//! [`Stream`] and [`NoiseStream`] are saved and restored through [`Snapshot`](crate::snapshot::Snapshot), or as their words.
//!
//! Reference: Blackman and Vigna, *Scrambled linear pseudorandom number generators*, ACM TOMS 47(4), 2021;
//! Steele, Lea and Flood, *Fast splittable pseudorandom number generators*, OOPSLA 2014.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions in a block of lanes; no divisor is zero"
)]

use core::convert::Infallible;

use rand_core::{SeedableRng, TryRng};
use rand_xoshiro::Xoshiro256PlusPlus;

mod integer;
mod lanes;
mod permutation;
mod saved;
mod variate;

pub use integer::{below, below_u64, below_usize, sample_into, sample_scratch_len, shuffle};
pub use lanes::NoiseStream;
pub(crate) use lanes::{Kernels, RandomMap};
pub use permutation::Permutation;
pub use variate::{bernoulli, categorical, normal, normal_pair, rademacher, uniform};

/// What the draws of a stream are for; two purposes never share draws.
///
/// Numbers below 2^32 are reserved for this crate; a program makes its own above.
///
/// ```
/// use thalweg::random::Purpose;
/// const DROPOUT: Purpose = Purpose::custom(7);
/// assert_eq!(DROPOUT.0, (1 << 32) + 7);
/// assert_ne!(Purpose::COIN, Purpose::BATCH);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Purpose(pub u64);

impl Purpose {
    /// Choices of a compressor: coordinates, permutations, rounding.
    pub const COMPRESSOR: Self = Self(1);
    /// Coins that all parties toss together, such as the full round of MARINA.
    pub const COIN: Self = Self(2);
    /// Samples of a minibatch.
    pub const BATCH: Self = Self(3);
    /// Initial parameters.
    pub const INIT: Self = Self(4);
    /// Noise added to gradients, labels or particles.
    pub const NOISE: Self = Self(5);
    /// Generated data.
    pub const DATA: Self = Self(6);
    /// Split of a dataset among clients.
    pub const PARTITION: Self = Self(7);
    /// Random directions of a gradient-free estimate.
    pub const DIRECTION: Self = Self(8);
    /// Stochastic rounding of stored state.
    pub const ROUNDING: Self = Self(9);
    /// Choice of the clients that take part in a round.
    pub const SELECTION: Self = Self(10);
    /// Proposals to the chains over the labels of a mixture, and their acceptance.
    pub const COMPONENT: Self = Self(11);

    /// A purpose of the calling program.
    #[must_use]
    pub const fn custom(number: u32) -> Self {
        Self((1 << 32) + number as u64)
    }
}

/// The stream of a key; see the [module](self) for the mixing.
///
/// ```
/// use rand_core::Rng;
/// use thalweg::random::{self, Purpose};
/// let mut server = random::stream(42, 3, 1, Purpose::COMPRESSOR);
/// let mut client = random::stream(42, 3, 1, Purpose::COMPRESSOR);
/// assert_eq!(server.next_u64(), client.next_u64());
/// assert_ne!(server.next_u64(), random::stream(42, 3, 2, Purpose::COMPRESSOR).next_u64());
/// ```
#[must_use]
pub fn stream(seed: u64, round: u64, client: u64, purpose: Purpose) -> Stream {
    let a0 = mix(seed);
    let a1 = mix(a0 ^ round);
    let a2 = mix(a1 ^ client);
    let a3 = mix(a2 ^ purpose.0);
    let s3 = mix(a3);
    let s2 = mix(a2 ^ s3);
    let s1 = mix(a1 ^ s2);
    let s0 = mix(a0 ^ s1);
    Stream::from_state([s0, s1, s2, s3])
}

/// First output of a SplitMix64 generator whose state is `x`: a bijection.
#[inline]
pub(crate) const fn mix(x: u64) -> u64 {
    let z = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Xoshiro256++ with a state that can be saved: as four words, or as a [`Snapshot`](crate::snapshot::Snapshot).
///
/// ```
/// use rand_core::Rng;
/// use thalweg::random::Stream;
/// let mut stream = Stream::from_state([1, 2, 3, 4]);
/// assert_eq!(stream.next_u64(), (5 << 23) + 1); // rotate(s0 + s3, 23) + s0
/// let mut resumed = Stream::from_state(stream.state());
/// assert_eq!(resumed.next_u64(), stream.next_u64());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream(Xoshiro256PlusPlus);

impl Stream {
    /// The four words of the state.
    #[must_use]
    pub fn state(&self) -> [u64; 4] {
        let bytes = self.0.state();
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        words
    }

    /// The generator with this state; four zeros, which xoshiro never leaves, are replaced.
    #[must_use]
    pub fn from_state(state: [u64; 4]) -> Self {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(state) {
            *bytes = word.to_le_bytes();
        }
        Self(Xoshiro256PlusPlus::from_seed(bytes))
    }
}

impl TryRng for Stream {
    type Error = Infallible;

    #[inline]
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0.try_next_u32()
    }
    #[inline]
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0.try_next_u64()
    }
    #[inline]
    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        self.0.try_fill_bytes(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::Rng;

    #[test]
    fn streams_match_python() {
        // core/tests/golden/random.py.
        let expected = [
            (
                stream(0, 0, 0, Purpose(0)),
                [0x0e3c_f20f_cc7c_0d73, 0x65da_e5a4_429d_d257],
            ),
            (
                stream(1, 2, 3, Purpose(4)),
                [0x954b_6eb0_c9fb_d0fe, 0xc647_8b25_ab31_fa25],
            ),
            (
                stream(u64::MAX, 1_000_000, 7, Purpose::COMPRESSOR),
                [0xc47b_29a8_c814_5514, 0xf18e_20c6_3857_c4de],
            ),
        ];
        for (mut stream, words) in expected {
            assert_eq!(words, [stream.next_u64(), stream.next_u64()]);
        }
    }

    #[test]
    fn each_word_of_the_key_changes_every_word_of_the_state() {
        let key = stream(5, 6, 7, Purpose(8)).state();
        for other in [
            stream(4, 6, 7, Purpose(8)),
            stream(5, 7, 7, Purpose(8)),
            stream(5, 6, 6, Purpose(8)),
            stream(5, 6, 7, Purpose(9)),
        ] {
            assert!(key.iter().zip(other.state()).all(|(a, b)| *a != b));
        }
    }

    #[test]
    fn a_state_survives_the_round_trip() {
        let mut stream = stream(1, 2, 3, Purpose::NOISE);
        for _ in 0..10 {
            let mut resumed = Stream::from_state(stream.state());
            assert_eq!(resumed, stream);
            assert_eq!(resumed.next_u64(), stream.next_u64());
        }
    }

    #[test]
    fn the_zero_state_still_produces_numbers() {
        let mut stream = Stream::from_state([0; 4]);
        assert_ne!(stream.next_u64() | stream.next_u64(), 0);
    }
}
