//! TopK: the `k` largest magnitudes with their coordinates, exactly, in time linear in `d`.
//!
//! ```text
//! C(x)_j = x_j  for the k largest |x_j| (ties: the lower j), else 0
//! |C(x) - x|^2 <= (1 - k/d) |x|^2:  alpha = k/d, with equality when all |x_j| are equal
//! ```
//!
//! # Selection
//! The `k`-th magnitude is found by bisection on its bits, below the largest one and at first near it; a step is a count on
//! lanes, and most counts are over a sample:
//! 1. Of a sample of [`SAMPLE`] elements, four from a jittered place in each stretch of the vector, a magnitude that about
//!    `k + 5 sigma` elements should reach.
//! 2. One pass over lanes collects the elements above it, in order; of ties that crowd the sample the first `k`. NaN reaches
//!    every magnitude, so the pass finds NaN at no cost.
//! 3. Of those candidates the exact `k`-th; one pass keeps what lies above it and the first of its ties.
//!
//! When fewer than `k` elements survive, or more than the buffers hold (the sample was unlucky, or an adversary knew
//! it), the bisection runs on the vector itself, then one pass collects. The result is the same: it depends on neither the
//! sample nor the buffers' lengths.
//!
//! Buffers of length `k` are enough; those of length [`candidates`] let the short way run.
//!
//! | | reads | writes |
//! |---|---|---|
//! | short way | `d` once, sample and candidates a dozen times, at most 40 (`f64`: 75) | candidates once |
//! | bisection on the vector | `d` a dozen times, at most 40 (`f64`: 75) | `k` |
//!
//! An index costs `ceil(log2 d)` bits on the wire: it depends on the data, so the receiver cannot derive it.
//!
//! Reference: Alistarh et al., "The convergence of sparsified gradient methods", 2018.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions and counts below the length of a slice; products with the sample only where `d` has 32 bits"
)]

use core::ops::Range;

use super::{
    Buffers, Compressor, Contractive, KIND, Key, Lengths, Message, Operator, Weight, check_k,
    first, index_bits, scalar_bits, scatter,
};
use crate::compress::Kernels as _;
use crate::error::check_length;
use crate::memory::must;
use crate::simd::{self, BitLanes, Kernel, Lanes, Mask, Simd};
use crate::{Error, Real, vector};

/// Elements sampled for the first guess of the `k`-th magnitude.
pub const SAMPLE: usize = 8192;

/// Elements sampled side by side: a place costs a cache miss, its neighbours nothing. Were they all of one magnitude, so that
/// a run counts as one element, the slack of [`sample_rank`] would still be more than 2.4 deviations.
const RUN: usize = 4;

/// Vectors shorter than this, and `k` above an eighth of the length, are bisected at once.
const SHORT: usize = 4 * SAMPLE;

/// Elements that one step of a pass looks at.
const ROW: usize = 32;

/// TopK.
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Contractive, Key, Message, TopK};
/// let (mut values, mut indices) = ([0.0; 2], [0; 2]);
/// let buffers = Buffers { indices: &mut indices, ..Buffers::values(&mut values) };
/// let message = TopK { k: 2 }.compress(Key::default(), &[3.0_f32, -1.0, 3.0, -4.0], buffers)?;
/// assert_eq!(message, Message::Sparse { indices: &[0, 3], values: &[3.0, -4.0] });
/// assert_eq!((TopK { k: 2 }).alpha(4), 0.5);
/// assert_eq!(Compressor::<f32>::bits(&TopK { k: 2 }, 1000), 2 * (32 + 10));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopK {
    /// Coordinates sent, between 1 and `d`.
    pub k: usize,
}

/// Length of the buffers with which the sampled selection almost never needs the long way.
///
/// It is never less than `k`; for a `d` that TopK does not take it is `k`.
///
/// ```
/// use thalweg::compress::top_k::candidates;
/// assert_eq!(candidates(100, 5), 5);
/// assert!(candidates(1_000_000, 10_000) < 22_000);
/// ```
#[must_use]
pub const fn candidates(d: usize, k: usize) -> usize {
    if !is_sampled(d, k) {
        return k;
    }
    let rank = sample_rank(d, k) as u64;
    // Four deviations above the expected number of elements that reach the sampled rank, and room for the sample itself.
    let most = (rank + 4 * rank.isqrt() + 4) * d as u64 / SAMPLE as u64 + ROW as u64;
    // Below d: k <= d/8, so most < d/4, and SAMPLE <= d/4.
    if most < SAMPLE as u64 {
        SAMPLE
    } else {
        most as usize
    }
}

/// Coordinates have 32 bits, so that products of `d` and [`SAMPLE`] fit in 64.
const fn is_sampled(d: usize, k: usize) -> bool {
    d >= SHORT && d as u64 <= u32::MAX as u64 && k <= d / 8
}

/// Rank in the sample whose magnitude at least `k` elements should reach: five deviations of slack.
const fn sample_rank(d: usize, k: usize) -> usize {
    // d >= SHORT > 0 wherever this is called; k <= d, so the quotient is at most SAMPLE.
    let expected = (k as u64 * SAMPLE as u64).div_ceil(if d == 0 { 1 } else { d as u64 });
    (expected + 5 * expected.isqrt() + 4) as usize
}

impl Operator for TopK {
    fn validate(&self, d: usize) -> Result<(), Error> {
        check_k(self.k, d)
    }

    fn lengths(&self, d: usize) -> Lengths {
        let n = candidates(d, self.k);
        Lengths {
            values: n,
            indices: n,
            ..Lengths::default()
        }
    }
}

impl<T: Real> Compressor<T> for TopK {
    fn compress<'m>(
        &self,
        _: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        check_k(self.k, x.len())?;
        first("values", self.k, &mut *buffers.values)?;
        first("indices", self.k, &mut *buffers.indices)?;
        T::Kernels::top_k(x, self.k, buffers.values, buffers.indices)?;
        Ok(Message::Sparse {
            values: first("values", self.k, buffers.values)?,
            indices: first("indices", self.k, buffers.indices)?,
        })
    }

    fn accumulate(
        &self,
        _: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        let Message::Sparse { indices, values } = *message else {
            return Err(KIND);
        };
        check_k(self.k, out.len())?;
        check_length("message", self.k, values.len())?;
        check_length("message", self.k, indices.len())?;
        let rises = indices.is_sorted_by(|a, b| a < b);
        let fits = indices.last().is_some_and(|&i| (i as usize) < out.len());
        crate::error::check(
            "message",
            rises && fits,
            "must have strictly increasing indices below the dimension",
        )?;
        scatter(indices, values, weight.times(1, 1)?, out);
        Ok(())
    }

    fn bits(&self, d: usize) -> u64 {
        let each = scalar_bits::<T>() + u64::from(index_bits(d));
        each.saturating_mul(self.k as u64)
    }
}

impl Contractive for TopK {
    fn alpha(&self, d: usize) -> f64 {
        self.k as f64 / d.max(1) as f64
    }
}

/// Writes the `k` largest and their indices to the front of buffers that hold at least as many.
pub(super) fn select<T: Real>(
    x: &[T],
    k: usize,
    values: &mut [T],
    indices: &mut [u32],
) -> Result<(), Error> {
    if is_sampled(x.len(), k) && short_way(x, k, values, indices)? {
        return Ok(());
    }
    long_way(x, k, values, indices)
}

/// The magnitude's bits: an integer in the order of magnitudes.
#[inline(always)]
fn magnitude<T: Real>(x: T) -> u64 {
    x.abs().to_bits_u64()
}

fn not_a_number(index: usize) -> Error {
    Error::NonFinite {
        name: "x",
        at: crate::At::Element(index),
    }
}

/// Where run `i` of the sample begins: somewhere in the `i`-th stretch.
#[inline(always)]
fn sampled_place(i: usize, stretch: usize) -> usize {
    // A multiplicative hash: no period that the data could share.
    let jitter = u64::from((i as u32).wrapping_mul(0x9E37_79B9)) * (stretch - RUN + 1) as u64;
    i * stretch + (jitter >> 32) as usize
}

/// Steps 1 to 3; false when the candidates are too few or too many.
fn short_way<T: Real>(
    x: &[T],
    k: usize,
    values: &mut [T],
    indices: &mut [u32],
) -> Result<bool, Error> {
    let stretch = x.len() / (SAMPLE / RUN);
    let Some(sample) = values.get_mut(..SAMPLE) else {
        return Ok(false);
    };
    let (runs, _) = sample.as_chunks_mut::<RUN>();
    for (i, run) in runs.iter_mut().enumerate() {
        let place = sampled_place(i, stretch);
        if let Some(sampled) = x.get(place..).and_then(|x| x.first_chunk()) {
            *run = *sampled;
        }
    }
    let rank = sample_rank(x.len(), k);
    // A threshold that a few more elements reach serves as well.
    let guess = bisect(sample, rank, rank / 16, 0..above(sample));
    let collected = simd::dispatch(Collect {
        x,
        least: T::from_bits_u64(guess.key),
        // Ties that crowd the sample would crowd the buffers.
        ties: if guess.ties == 0 { 0 } else { k },
        most: usize::MAX,
        values: &mut *values,
        indices: &mut *indices,
    })?;
    let Some(found) = collected.filter(|&found| found >= k) else {
        return Ok(false);
    };
    let candidates = first("values", found, &mut *values)?;
    let range = guess.key..above(candidates);
    let Selected { key, mut ties } = bisect(candidates, k, 0, range);
    let mut kept = 0;
    for i in 0..found {
        let (Some(&value), Some(&index)) = (values.get(i), indices.get(i)) else {
            break;
        };
        // Written in any case, counted if it stays: a branch here would be taken at random.
        if let (Some(v), Some(j)) = (values.get_mut(kept), indices.get_mut(kept)) {
            (*v, *j) = (value, index);
        }
        let m = magnitude(value);
        let tie = m == key && ties > 0;
        ties -= usize::from(tie);
        kept += usize::from(m > key || tie);
    }
    Ok(true)
}

/// Bisection on the vector itself.
fn long_way<T: Real>(
    x: &[T],
    k: usize,
    values: &mut [T],
    indices: &mut [u32],
) -> Result<(), Error> {
    let end = above(x);
    if end > magnitude(T::INFINITY) + 1 {
        let nan = x.iter().position(|x| x.is_nan());
        return Err(not_a_number(nan.unwrap_or(0)));
    }
    let Selected { key, ties } = bisect(x, k, 0, 0..end);
    simd::dispatch(Collect {
        x,
        least: T::from_bits_u64(key),
        ties,
        most: k,
        values,
        indices,
    })?;
    Ok(())
}

/// Magnitudes above `key` are selected, and the first `ties` of those equal to it.
struct Selected {
    key: u64,
    ties: usize,
}

/// One above the largest magnitude, and above that of infinity by more where there is a NaN.
fn above<T: Real>(x: &[T]) -> u64 {
    magnitude(vector::norm_inf(x)) + 1
}

/// Selects `rank` to `rank + slack` of the largest magnitudes, or just `rank` where ties leave no other choice; at least `rank`
/// elements reach the start of the range, and none its end. NaN counts as infinity.
fn bisect<T: Real>(x: &[T], rank: usize, slack: usize, range: Range<u64>) -> Selected {
    let mut low = range.start;
    let mut high = range.end.min(magnitude(T::INFINITY) + 1).max(low + 1);
    let mut above = 0;
    // A factor of 2 below the largest magnitude, then of 4, 16, ..., until something is found between.
    let mut stride = 1 << T::MANTISSA_BITS;
    while high - low > 1 {
        let half = (high - low) / 2;
        let middle = if stride < half {
            high - stride
        } else {
            low + half
        };
        let reached = simd::dispatch(Count {
            x,
            least: T::from_bits_u64(middle),
        });
        if reached < rank {
            (high, above) = (middle, reached);
            stride = stride.saturating_mul(2);
        } else if reached <= rank + slack {
            return Selected {
                key: middle - 1,
                ties: 0,
            };
        } else {
            low = middle;
            stride = high;
        }
    }
    Selected {
        key: low,
        ties: rank - above,
    }
}

/// Bit `i` is set where magnitude `i` of the row is above `least`, or equal and `ties` count; NaN always is.
#[inline(always)]
fn reaching<T: Real, S: Simd>(simd: S, row: &[T; ROW], least: T, ties: bool) -> u32 {
    let least = T::Lanes::<S>::splat(simd, least);
    let mut mask = 0;
    for (g, group) in T::Lanes::<S>::groups(row).0.iter().enumerate() {
        let magnitudes = T::Lanes::<S>::load(simd, group).abs();
        // Negated, so that NaN reaches.
        let reaches = if ties {
            !magnitudes.lt(least)
        } else {
            !magnitudes.le(least)
        };
        mask |= reaches.bits() << (g * T::Lanes::<S>::LEN);
    }
    mask
}

/// Counts elements of magnitude at least `least`.
struct Count<'a, T> {
    x: &'a [T],
    least: T,
}

impl<T: Real> Kernel for Count<'_, T> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let least = T::Lanes::<S>::splat(simd, self.least).to_bits();
        let (groups, rest) = T::Lanes::<S>::groups(self.x);
        // As integers, where soft floating point would call a function: a smaller magnitude borrows from the bit of the sign.
        let mut below = T::Lanes::<S>::splat(simd, T::ZERO).to_bits();
        for group in groups {
            let magnitudes = T::Lanes::<S>::load(simd, group).abs().to_bits();
            below = below + (magnitudes - least).shr(size_of::<T>() as u32 * 8 - 1);
        }
        let mut count = self.x.len();
        for lane in T::Lanes::<S>::from_bits(below).into_array().as_ref() {
            count -= lane.to_bits_u64() as usize;
        }
        let below = |x: &&T| magnitude(**x) < magnitude(self.least);
        count - rest.iter().filter(below).count()
    }
}

/// Collects elements of magnitude above `least` in order, and the first `ties` of those equal to it, until `most`.
struct Collect<'a, T> {
    x: &'a [T],
    least: T,
    ties: usize,
    most: usize,
    values: &'a mut [T],
    indices: &'a mut [u32],
}

impl<T: Real> Collect<'_, T> {
    /// Takes the elements of a row, with room for all and no ties to count. The first slot is written in any case and
    /// counted if there is one: whether a row has an element is a branch taken at random. True when one is NaN.
    #[inline(always)]
    fn take_row(&mut self, row: &[T; ROW], start: usize, mut mask: u32, found: &mut usize) -> bool {
        let mut nan = false;
        loop {
            let i = mask.trailing_zeros() as usize % ROW;
            let value = must(row.get(i).copied());
            if let (Some(v), Some(j)) = (self.values.get_mut(*found), self.indices.get_mut(*found))
            {
                (*v, *j) = (value, (start + i) as u32);
            }
            nan |= value.is_nan();
            *found += usize::from(mask != 0);
            mask &= mask.wrapping_sub(1);
            if mask == 0 {
                return nan;
            }
        }
    }

    /// Takes element `index`; false when the buffers are full.
    #[inline(always)]
    fn take(&mut self, index: usize, found: &mut usize) -> Result<bool, Error> {
        let Some(&value) = self.x.get(index) else {
            return Ok(true);
        };
        if value.is_nan() {
            return Err(not_a_number(index));
        }
        if value.abs() == self.least {
            if self.ties == 0 {
                return Ok(true);
            }
            self.ties -= 1;
        }
        let (Some(v), Some(i)) = (self.values.get_mut(*found), self.indices.get_mut(*found)) else {
            return Ok(false);
        };
        (*v, *i) = (value, index as u32);
        *found += 1;
        Ok(true)
    }
}

impl<T: Real> Kernel for Collect<'_, T> {
    /// Number of elements, `None` when the buffers cannot hold them.
    type Output = Result<Option<usize>, Error>;

    #[inline(always)]
    fn run<S: Simd>(mut self, simd: S) -> Self::Output {
        let room = self.values.len().min(self.indices.len());
        let mut found = 0;
        let (rows, rest) = self.x.as_chunks::<ROW>();
        for (r, row) in rows.iter().enumerate() {
            let start = r * ROW;
            let mut mask = reaching(simd, row, self.least, self.ties > 0);
            if self.ties == 0 && room.saturating_sub(found) >= ROW {
                if self.take_row(row, start, mask, &mut found) {
                    let nan = row.iter().position(|x| x.is_nan());
                    return Err(not_a_number(start + nan.unwrap_or(0)));
                }
            } else {
                while mask != 0 {
                    let index = start + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    if !self.take(index, &mut found)? {
                        return Ok(None);
                    }
                }
            }
            if found >= self.most {
                return Ok(Some(found));
            }
        }
        let start = self.x.len() - rest.len();
        for (i, x) in (start..).zip(rest) {
            if x.abs() < self.least || found >= self.most {
                continue;
            }
            if !self.take(i, &mut found)? {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }
}

#[cfg(test)]
mod tests;
