//! Integers below a bound, shuffles, and samples without replacement.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions in a block of lanes; no divisor is zero"
)]

use rand_core::Rng;

use crate::Error;
use crate::error::check;
use crate::memory::{front, must};

/// An integer in `0..n`, every value equally likely; 0 when `n` is 0.
///
/// Lemire's multiply-and-reject: the high half of `x n` for a 32-bit word `x`; words whose low half is below
/// `2^32 mod n` are rejected, which leaves exactly `floor(2^32 / n)` words for each value. A division happens with
/// probability `n / 2^32` only.
///
/// Reference: Lemire, *Fast random integer generation in an interval*, ACM TOMACS 29(1), 2019, algorithm 5.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let mut rng = random::stream(1, 0, 0, Purpose::DATA);
/// assert!(random::below(&mut rng, 6) < 6);
/// assert_eq!(random::below(&mut rng, 1), 0);
/// assert_eq!(random::below(&mut rng, 0), 0);
/// ```
#[inline]
pub fn below(rng: &mut impl Rng, n: u32) -> u32 {
    let mut product = u64::from(rng.next_u32()) * u64::from(n);
    if (product as u32) < n {
        // Something is below n.
        let rejected = must(n.wrapping_neg().checked_rem(n));
        while (product as u32) < rejected {
            product = u64::from(rng.next_u32()) * u64::from(n);
        }
    }
    (product >> 32) as u32
}

/// An integer in `0..n` from 64-bit words, every value equally likely; 0 when `n` is 0.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let mut rng = random::stream(1, 0, 0, Purpose::DATA);
/// assert!(random::below_u64(&mut rng, 1 << 40) < 1 << 40);
/// assert_eq!(random::below_u64(&mut rng, 0), 0);
/// ```
#[inline]
pub fn below_u64(rng: &mut impl Rng, n: u64) -> u64 {
    let mut product = u128::from(rng.next_u64()) * u128::from(n);
    if (product as u64) < n {
        // Something is below n.
        let rejected = must(n.wrapping_neg().checked_rem(n));
        while (product as u64) < rejected {
            product = u128::from(rng.next_u64()) * u128::from(n);
        }
    }
    (product >> 64) as u64
}

/// An index in `0..n`: [`below`] when `n` fits in 32 bits, [`below_u64`] above.
///
/// The same draws on 32-bit and 64-bit machines.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let mut rng = random::stream(1, 0, 0, Purpose::DATA);
/// assert_eq!(random::below_usize(&mut rng, 1), 0);
/// ```
#[inline]
pub fn below_usize(rng: &mut impl Rng, n: usize) -> usize {
    match u32::try_from(n) {
        Ok(n) => below(rng, n) as usize,
        Err(_) => below_u64(rng, n as u64) as usize,
    }
}

/// Puts a slice in uniformly random order: Fisher-Yates from the top.
///
/// For `i = n - 1, ..., 1`: swap element `i` with element [`below`]`(i + 1)`. The last draw is for `i = 1`.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let mut x = [1, 2, 3, 4, 5];
/// random::shuffle(&mut random::stream(1, 0, 0, Purpose::DATA), &mut x);
/// x.sort();
/// assert_eq!(x, [1, 2, 3, 4, 5]);
/// ```
pub fn shuffle<U>(rng: &mut impl Rng, x: &mut [U]) {
    let mut left = x;
    while let Some((last, rest)) = left.split_last_mut() {
        if rest.is_empty() {
            return;
        }
        // The index `rest.len()` means: stay.
        let j = below_usize(rng, rest.len() + 1);
        if let Some(other) = rest.get_mut(j) {
            core::mem::swap(last, other);
        }
        left = rest;
    }
}

/// Marks a free slot; never a sample, since samples are below `d <= u32::MAX`.
const FREE: u32 = u32::MAX;

/// Scratch words for a sample of `k`: a power of two, at least `2 k`.
///
/// ```
/// assert_eq!(thalweg::random::sample_scratch_len(3), 8);
/// assert_eq!(thalweg::random::sample_scratch_len(0), 1);
/// ```
#[must_use]
pub const fn sample_scratch_len(k: usize) -> usize {
    match k.saturating_mul(2).checked_next_power_of_two() {
        Some(n) => n,
        None => usize::MAX,
    }
}

/// Fills `out` with distinct integers below `d`: a uniformly random subset, in O(k) for `k = out.len()`.
///
/// Floyd's algorithm: for `j = d - k, ..., d - 1` draw `t = `[`below`]`(j + 1)` and take `t`, or `j` if `t` is taken
/// already. Membership is a table of open addresses in the caller's scratch, at most half full.
///
/// Every *set* is equally likely; the *order* is not uniform (`d - 1` can only come last): [`shuffle`] `out` where
/// the order matters. Exactly `k` draws.
///
/// Reference: Bentley and Floyd, *A sample of brilliance*, CACM 30(9), 1987.
///
/// # Errors
/// [`Error::Parameter`] when `out` is longer than `d`, [`Error::Length`] when `scratch` is shorter than
/// [`sample_scratch_len`]; nothing is drawn or written then.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let mut rng = random::stream(1, 0, 0, Purpose::COMPRESSOR);
/// let (mut out, mut scratch) = ([0; 3], [0; random::sample_scratch_len(3)]);
/// random::sample_into(&mut rng, 3, &mut out, &mut scratch)?;
/// out.sort();
/// assert_eq!(out, [0, 1, 2]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn sample_into(
    rng: &mut impl Rng,
    d: u32,
    out: &mut [u32],
    scratch: &mut [u32],
) -> Result<(), Error> {
    let k = out.len();
    check("out", k <= d as usize, "must not be longer than `d`")?;
    let table = front("scratch", scratch, sample_scratch_len(k))?;
    table.fill(FREE);
    for (j, out) in (d - k as u32..d).zip(out) {
        let t = below(rng, j + 1);
        *out = if insert(table, t) {
            t
        } else {
            insert(table, j);
            j
        };
    }
    Ok(())
}

/// Adds `x` to a table of open addresses; false when it is there already.
///
/// The table's length is a power of two and one slot at least is free, so the search ends.
fn insert(table: &mut [u32], x: u32) -> bool {
    let mask = table.len().wrapping_sub(1);
    // Multiplicative hashing keeps the good bits at the top; fold them down.
    let hash = x.wrapping_mul(0x9E37_79B1);
    let start = (hash ^ (hash >> 16)) as usize;
    for probe in 0..table.len() {
        match table.get_mut(start.wrapping_add(probe) & mask) {
            Some(slot) if *slot == FREE => {
                *slot = x;
                return true;
            }
            Some(slot) if *slot == x => return false,
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::{Purpose, stream};
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};
    use std::vec;
    use std::vec::Vec;

    /// A generator that replays words, to see what is rejected.
    struct Replay(Vec<u32>);
    impl rand_core::TryRng for Replay {
        type Error = core::convert::Infallible;
        fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
            Ok(self.0.remove(0))
        }
        fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
            Ok(u64::from(self.0.remove(0)))
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Self::Error> {
            Ok(())
        }
    }

    #[test]
    fn below_rejects_the_words_that_would_make_it_biased() {
        // 2^32 mod 3 = 1: the only word whose product has a low half below 1 is 0.
        let mut rng = Replay(vec![0, 0, u32::MAX]);
        assert_eq!(below(&mut rng, 3), 2);
        assert!(rng.0.is_empty());
        // n = 2^31 + 1: 2^32 mod n = 2^31 - 1. Word 1 has low half n >= that: kept, value 0.
        let mut rng = Replay(vec![0, 1]);
        assert_eq!(below(&mut rng, (1 << 31) + 1), 0);
        assert!(rng.0.is_empty());
    }

    #[test]
    fn below_a_power_of_two_is_the_top_bits() {
        let mut rng = Replay(vec![0, 0xDEAD_BEEF, u32::MAX]);
        let found: Vec<u32> = (0..3).map(|_| below(&mut rng, 256)).collect();
        assert_eq!(found, [0, 0xDE, 0xFF]);
    }

    /// Chi-square of counts against equal expectations.
    fn chi_square(counts: impl IntoIterator<Item = u64>, expected: f64) -> f64 {
        counts
            .into_iter()
            .map(|c| (c as f64 - expected) * (c as f64 - expected) / expected)
            .sum()
    }

    #[test]
    fn below_is_uniform() {
        // False alarm 1e-5 each: SciPy 1.17.1 chi2.isf(1e-5, 9) = 39.34.
        let mut rng = stream(7, 0, 0, Purpose::DATA);
        let mut counts = [[0_u64; 10]; 2];
        for _ in 0..100_000 {
            counts[0][below(&mut rng, 10) as usize] += 1;
            counts[1][below_u64(&mut rng, 10) as usize] += 1;
        }
        for counts in counts {
            let x = chi_square(counts, 1e4);
            assert!(x < 39.34, "{x}");
        }
    }

    #[test]
    fn every_order_of_four_is_equally_likely() {
        // False alarm 1e-5: chi2.isf(1e-5, 23) = 63.97.
        let mut rng = stream(8, 0, 0, Purpose::DATA);
        let mut counts = BTreeMap::new();
        for _ in 0..240_000 {
            let mut x = [0_u8, 1, 2, 3];
            shuffle(&mut rng, &mut x);
            *counts.entry(x).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        let x = chi_square(counts.into_values(), 1e4);
        assert!(x < 63.97, "{x}");
    }

    #[test]
    fn shuffle_draws_from_the_top() {
        // Draws below 4, 3, 2 with words that give 0 each time: swaps (3,0), (2,0), (1,0).
        let mut x = [0, 1, 2, 3];
        // Word 1 gives the value 0 and is never rejected for n <= 4.
        shuffle(&mut Replay(vec![1, 1, 1]), &mut x);
        assert_eq!(x, [1, 2, 3, 0]);
    }

    #[test]
    fn every_subset_is_equally_likely() {
        // C(6, 3) = 20 subsets; false alarm 1e-5: chi2.isf(1e-5, 19) = 57.37.
        let mut rng = stream(9, 0, 0, Purpose::DATA);
        let mut counts = BTreeMap::new();
        for _ in 0..200_000 {
            let (mut out, mut scratch) = ([0; 3], [0; 8]);
            sample_into(&mut rng, 6, &mut out, &mut scratch).unwrap();
            out.sort_unstable();
            *counts.entry(out).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 20);
        let x = chi_square(counts.into_values(), 1e4);
        assert!(x < 57.37, "{x}");
    }

    #[test]
    fn shuffles_and_samples_match_python() {
        // core/tests/golden/random.py.
        let mut x: [u32; 10] = core::array::from_fn(|i| i as u32);
        shuffle(&mut stream(1, 2, 3, Purpose(4)), &mut x);
        assert_eq!(x, [4, 8, 1, 0, 9, 3, 7, 2, 6, 5]);
        let (mut out, mut scratch) = ([0; 8], [0; 16]);
        sample_into(
            &mut stream(1, 2, 3, Purpose(4)),
            100,
            &mut out,
            &mut scratch,
        )
        .unwrap();
        assert_eq!(out, [54, 72, 23, 31, 52, 67, 7, 47]);
    }

    #[test]
    fn samples_are_distinct_and_in_range() {
        let mut rng = stream(10, 0, 0, Purpose::DATA);
        for (d, k) in [
            (1, 1),
            (1, 0),
            (0, 0),
            (1003, 1003),
            (u32::MAX, 4097),
            (5000, 4097),
        ] {
            let mut out = vec![0; k];
            let mut scratch = vec![0; sample_scratch_len(k)];
            sample_into(&mut rng, d, &mut out, &mut scratch).unwrap();
            assert!(out.iter().all(|&i| i < d));
            assert_eq!(out.iter().collect::<BTreeSet<_>>().len(), k);
        }
    }

    #[test]
    fn a_sample_that_cannot_be_is_an_error_and_draws_nothing() {
        let mut rng = stream(11, 0, 0, Purpose::DATA);
        let before = rng.clone();
        assert!(sample_into(&mut rng, 2, &mut [0; 3], &mut [0; 8]).is_err());
        assert!(sample_into(&mut rng, 9, &mut [0; 3], &mut [0; 7]).is_err());
        assert_eq!(rng, before);
    }
}
