//! TopK: the `k` largest magnitudes with their coordinates, exactly, in time linear in `d`.
//!
//! ```text
//! C(x)_j = x_j  for the k largest |x_j| (ties: the lower j), else 0
//! |C(x) - x|^2 <= (1 - k/d) |x|^2:  alpha = k/d, with equality when all |x_j| are equal
//! ```
//!
//! # Selection
//! 1. A sample of [`SAMPLE`] elements, one from a jittered place in each stretch of the vector, gives a magnitude that about
//!    `k + 4 sigma` elements should reach.
//! 2. One pass over lanes collects the elements above it and the first `k` that equal it, in order. NaN reaches every
//!    magnitude, so the pass finds NaN at no cost.
//! 3. Bisection on the bits of a magnitude, each step a count on lanes, gives the exact `k`-th of the candidates; one
//!    pass keeps what lies above it and the first of its ties. The sample's magnitude is found in the same way.
//!
//! When fewer than `k` elements survive, or more than the buffers hold (the sample was unlucky, or an adversary knew
//! it), radix selection runs on the vector itself: one pass for each byte of a magnitude, then one that collects. The
//! answer is the same: it depends on neither the sample nor the buffers' lengths.
//!
//! Buffers of length `k` are enough; those of length [`candidates`] let the short way run.
//!
//! | | reads | writes |
//! |---|---|---|
//! | short way | `d` once, sample and candidates up to 32 times (`f64`: 64) | candidates once |
//! | radix on the vector | `d` 5 times (`f64`: 9) | `k` |
//!
//! An index costs `ceil(log2 d)` bits on the wire: it depends on the data, so the receiver cannot derive it.
//!
//! Reference: Alistarh et al., "The convergence of sparsified gradient methods", 2018.

use super::{
    Buffers, Compressor, Contractive, KIND, Key, Lengths, Message, Weight, check_k, first,
    index_bits, scalar_bits, scatter,
};
use crate::error::check_length;
use crate::simd::{self, Kernel, Lanes, Mask, Simd};
use crate::{Error, Real};

/// Elements sampled for the first guess of the `k`-th magnitude.
pub const SAMPLE: usize = 8192;

/// Vectors shorter than this, and `k` above an eighth of the length, go to radix selection at once.
const SHORT: usize = 4 * SAMPLE;

/// Elements that one step of the collecting pass looks at.
const ROW: usize = 32;

/// TopK.
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Contractive, Key, Message, TopK};
/// let (mut values, mut indices) = ([0.0; 2], [0; 2]);
/// let buffers = Buffers { indices: &mut indices, ..Buffers::values(&mut values) };
/// let message = TopK { k: 2 }.compress(Key::default(), &[3.0_f32, -1.0, 3.0, -4.0], buffers)?;
/// assert_eq!(message, Message::Sparse { indices: &[0, 3], values: &[3.0, -4.0] });
/// assert_eq!(Contractive::<f32>::alpha(&TopK { k: 2 }, 4), 0.5);
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
/// ```
/// use thalweg::compress::top_k::candidates;
/// assert_eq!(candidates(100, 5), 5);
/// assert!(candidates(1_000_000, 10_000) < 21_000);
/// ```
#[must_use]
pub const fn candidates(d: usize, k: usize) -> usize {
    if !is_sampled(d, k) {
        return k;
    }
    let rank = sample_rank(d, k) as u64;
    // Four deviations above the expected number of elements that reach the sampled rank, and room for the sample itself.
    let most = (rank + 4 * rank.isqrt() + 4) * d as u64 / SAMPLE as u64 + ROW as u64;
    let room = if most < SAMPLE as u64 {
        SAMPLE as u64
    } else {
        most
    };
    if room < d as u64 { room as usize } else { d }
}

const fn is_sampled(d: usize, k: usize) -> bool {
    d >= SHORT && k <= d / 8
}

/// Rank in the sample whose magnitude at least `k` elements should reach: four deviations of slack.
const fn sample_rank(d: usize, k: usize) -> usize {
    // d >= SHORT > 0 wherever this is called; k <= d, so the quotient is at most SAMPLE.
    let expected = (k as u64 * SAMPLE as u64).div_ceil(if d == 0 { 1 } else { d as u64 });
    (expected + 4 * expected.isqrt() + 4) as usize
}

impl<T: Real> Compressor<T> for TopK {
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

    fn compress<'m>(
        &self,
        _: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        check_k(self.k, x.len())?;
        first("values", self.k, &mut *buffers.values)?;
        first("indices", self.k, &mut *buffers.indices)?;
        let short =
            is_sampled(x.len(), self.k) && short_way(x, self.k, buffers.values, buffers.indices)?;
        if !short {
            long_way(x, self.k, buffers.values, buffers.indices)?;
        }
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

impl<T: Real> Contractive<T> for TopK {
    fn alpha(&self, d: usize) -> f64 {
        self.k as f64 / d.max(1) as f64
    }
}

/// The magnitude's bits: an integer in the order of magnitudes.
#[inline(always)]
fn magnitude<T: Real>(x: T) -> u64 {
    x.abs().to_bits_u64()
}

fn not_a_number(index: usize) -> Error {
    Error::NonFinite { name: "x", index }
}

/// Steps 1 to 3; false when the candidates are too few or too many.
fn short_way<T: Real>(
    x: &[T],
    k: usize,
    values: &mut [T],
    indices: &mut [u32],
) -> Result<bool, Error> {
    let stretch = x.len() / SAMPLE;
    let Some(sample) = values.get_mut(..SAMPLE) else {
        return Ok(false);
    };
    for (i, sampled) in sample.iter_mut().enumerate() {
        // A multiplicative hash: no period that the data could share.
        let jitter = u64::from((i as u32).wrapping_mul(0x9E37_79B9)) * stretch as u64;
        if let Some(&x) = x.get(i * stretch + (jitter >> 32) as usize) {
            *sampled = x;
        }
    }
    let rank = sample_rank(x.len(), k);
    // A threshold that a few more elements reach serves as well.
    let guess = bisect(sample, rank, rank / 16, 0);
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
    let Selected { key, mut ties } = bisect(first("values", found, values)?, k, 0, guess.key);
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

/// Radix selection on the vector itself.
fn long_way<T: Real>(
    x: &[T],
    k: usize,
    values: &mut [T],
    indices: &mut [u32],
) -> Result<(), Error> {
    if let Some(index) = x.iter().position(|x| x.is_nan()) {
        return Err(not_a_number(index));
    }
    let Selected { key, ties } = select(&|| x.iter().map(|&x| magnitude(x)), k);
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

/// Selects `rank` to `rank + slack` of the largest magnitudes, or just `rank` where ties leave no other choice; at least `rank`
/// elements reach `low`.
fn bisect<T: Real>(x: &[T], rank: usize, slack: usize, low: u64) -> Selected {
    let (mut low, mut high) = (low, magnitude(T::INFINITY) + 1);
    let mut above = 0;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let reached = count(x, T::from_bits_u64(middle));
        if reached < rank {
            (high, above) = (middle, reached);
        } else if reached - rank <= slack {
            return Selected {
                key: middle - 1,
                ties: 0,
            };
        } else {
            low = middle;
        }
    }
    Selected {
        key: low,
        ties: rank - above,
    }
}

/// Elements of magnitude at least `least`.
fn count<T: Real>(x: &[T], least: T) -> usize {
    // Whole numbers below 2^24: their sums are exact.
    x.chunks(simd::BLOCK)
        .map(|x| {
            let [reached] = simd::sum(&Reaches { least }, [x]);
            reached.to_f64() as usize
        })
        .sum()
}

#[derive(Clone, Copy)]
struct Reaches<T> {
    least: T,
}

impl<T: Real> simd::Sum<T, 1, 1> for Reaches<T> {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        let reaches = x.constant(self.least).le(x.abs());
        [L::select(reaches, x.constant(T::ONE), x.constant(T::ZERO))]
    }
}

/// Selects the `rank`-th largest of keys that can be walked several times, a byte of the key at a time from the top.
#[inline(always)]
fn select<I: Iterator<Item = u64>>(keys: &impl Fn() -> I, rank: usize) -> Selected {
    // The bits in which the keys differ from the first; those above are the answer's already. Magnitudes have no sign
    // bit, so no shift reaches 64.
    let one = keys().next().unwrap_or(0);
    let differ = keys().fold(0, |all, k| all | (k ^ one));
    let mut shift = u64::BITS - differ.leading_zeros();
    let (mut key, mut left) = (one >> shift << shift, rank);
    while shift > 0 {
        let width = shift.min(8);
        let above = shift;
        shift -= width;
        let mut counts = [0_u32; 256];
        for k in keys() {
            if k >> above == key >> above
                && let Some(count) = counts.get_mut((k >> shift) as usize & ((1 << width) - 1))
            {
                *count += 1;
            }
        }
        for (digit, &count) in counts.iter().enumerate().rev() {
            if left <= count as usize {
                key |= (digit as u64) << shift;
                break;
            }
            left -= count as usize;
        }
    }
    Selected { key, ties: left }
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
    /// Bit `i` is set where element `i` of the row is to be looked at; NaN is.
    #[inline(always)]
    fn mask<S: Simd>(&self, simd: S, row: &[T; ROW]) -> u32 {
        let least = T::Lanes::<S>::splat(simd, self.least);
        let mut mask = 0;
        for (g, group) in T::Lanes::<S>::groups(row).0.iter().enumerate() {
            let magnitudes = T::Lanes::<S>::load(simd, group).abs();
            // Negated, so that NaN reaches.
            let reaches = if self.ties > 0 {
                !magnitudes.lt(least)
            } else {
                !magnitudes.le(least)
            };
            mask |= reaches.bits() << (g * T::Lanes::<S>::LEN);
        }
        mask
    }

    /// Takes the elements of a row, with room for all and no ties to count. The first slot is written in any case and
    /// counted if there is one: whether a row has an element is a branch taken at random. True when one is NaN.
    #[inline(always)]
    fn take_row(&mut self, row: &[T; ROW], start: usize, mut mask: u32, found: &mut usize) -> bool {
        let mut nan = false;
        loop {
            let i = mask.trailing_zeros() as usize % ROW;
            let value = row.get(i).copied().unwrap_or_default();
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
            let (start, mut mask) = (r * ROW, self.mask(simd, row));
            if self.ties == 0 && found + ROW <= room {
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
            let below = x.abs() < self.least;
            if !below && found < self.most && !self.take(i, &mut found)? {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// The definition: sort by magnitude, then by coordinate.
    fn sorted<T: Real>(x: &[T], k: usize) -> Vec<(u32, u64)> {
        let mut order: Vec<u32> = (0..x.len() as u32).collect();
        order.sort_by_key(|&i| (core::cmp::Reverse(magnitude(x[i as usize])), i));
        order.truncate(k);
        order.sort_unstable();
        order
            .iter()
            .map(|&i| (i, x[i as usize].to_bits_u64()))
            .collect()
    }

    fn found<T: Real>(x: &[T], k: usize, room: usize) -> Result<Vec<(u32, u64)>, Error> {
        let (mut values, mut indices) = (vec![T::ZERO; room], vec![0; room]);
        let buffers = Buffers {
            values: &mut values,
            indices: &mut indices,
            ..Buffers::default()
        };
        let Message::Sparse { indices, values } =
            TopK { k }.compress(Key::default(), x, buffers)?
        else {
            panic!("another kind");
        };
        assert_eq!(indices.len(), k);
        Ok(indices
            .iter()
            .zip(values)
            .map(|(&i, v)| (i, v.to_bits_u64()))
            .collect())
    }

    fn words(n: usize) -> impl Iterator<Item = u32> {
        (0..n as u32).map(|i| {
            let x = i.wrapping_mul(0x9E37_79B9) ^ 0x1234_5678;
            (x ^ (x >> 15)).wrapping_mul(0x85EB_CA6B)
        })
    }

    /// Inputs of every temper; the generated ones have no NaN.
    fn inputs<T: Real>(n: usize) -> Vec<(&'static str, Vec<T>)> {
        let real = |f: &dyn Fn(usize, u32) -> f64| -> Vec<T> {
            words(n)
                .enumerate()
                .map(|(i, w)| T::from_f64(f(i, w)))
                .collect()
        };
        let unit = |w: u32| f64::from(w) / 2.0_f64.powi(31) - 1.0;
        vec![
            ("uniform", real(&|_, w| unit(w))),
            ("rising", real(&|i, _| i as f64)),
            ("falling", real(&|i, _| -((n - i) as f64))),
            (
                "constant",
                real(&|_, w| if w % 2 == 0 { 2.5 } else { -2.5 }),
            ),
            ("zero", real(&|_, w| if w % 2 == 0 { 0.0 } else { -0.0 })),
            (
                "heavy tail",
                real(&|_, w| 1.0 / (unit(w) * unit(w) * unit(w) + 1e-30)),
            ),
            ("many ties", real(&|_, w| f64::from(w % 7) - 3.0)),
            (
                "one large",
                real(&|i, w| if i == n / 2 { 1e30 } else { unit(w) }),
            ),
            (
                "last large",
                real(&|i, w| {
                    if i + n / 50 > n {
                        1e9 + unit(w)
                    } else {
                        unit(w)
                    }
                }),
            ),
            (
                "mostly zero",
                real(&|_, w| if w % 100 == 0 { unit(w) } else { 0.0 }),
            ),
            ("tiny", real(&|_, w| unit(w) * 1e-41)),
            (
                "infinite",
                real(&|_, w| if w % 64 == 0 { f64::INFINITY } else { unit(w) }),
            ),
        ]
    }

    fn the_answer_is_that_of_a_full_sort<T: Real>() {
        for n in [1, 2, 31, 32, 33, 1003, 4097] {
            for (name, x) in inputs::<T>(n) {
                for k in [1, n / 100, n / 3, n - 1, n] {
                    let k = k.max(1);
                    assert_eq!(
                        found(&x, k, k).unwrap(),
                        sorted(&x, k),
                        "{name} n={n} k={k}"
                    );
                }
            }
        }
    }

    #[test]
    fn the_answer_is_that_of_a_full_sort_at_every_length() {
        the_answer_is_that_of_a_full_sort::<f32>();
        the_answer_is_that_of_a_full_sort::<f64>();
    }

    fn sampled_selection_is_exact<T: Real>(k: usize) {
        let n = 5 * SHORT + 13;
        for (name, x) in inputs::<T>(n) {
            let expected = sorted(&x, k);
            for level in simd::Level::ALL
                .into_iter()
                .filter(|l| simd::force(Some(*l)))
            {
                for room in [k, candidates(n, k), n] {
                    assert!(
                        found(&x, k, room).unwrap() == expected,
                        "{level:?} {name} k={k} room={room}"
                    );
                }
            }
            simd::force(None);
        }
    }

    #[test]
    fn sampled_selection_is_exact_at_every_level_and_room() {
        sampled_selection_is_exact::<f32>(1);
        sampled_selection_is_exact::<f32>(1700);
        sampled_selection_is_exact::<f64>(170);
    }

    #[test]
    fn the_short_way_suffices_on_ordinary_vectors_and_on_equal_magnitudes() {
        let n = 40 * SHORT;
        for k in [n / 1000, n / 100, n / 10] {
            for (name, x) in inputs::<f32>(n) {
                if ["one large", "last large", "mostly zero", "tiny", "infinite"].contains(&name) {
                    continue;
                }
                let room = candidates(n, k);
                let (mut values, mut indices) = (vec![0.0; room], vec![0; room]);
                assert!(
                    short_way(&x, k, &mut values, &mut indices).unwrap(),
                    "{name} {k}"
                );
            }
        }
    }

    #[test]
    fn a_nan_is_named_wherever_it_stands() {
        let n = SHORT + 5;
        for at in [0, 31, 32, 20_000, n - 1] {
            for k in [1, 100, n] {
                for room in [k, candidates(n, k)] {
                    // With ties, and without.
                    for mut x in [vec![1.0_f32; n], (0..n).map(|i| 1.0 + i as f32).collect()] {
                        x[at] = f32::NAN;
                        assert_eq!(found(&x, k, room), Err(not_a_number(at)));
                    }
                }
            }
        }
    }

    #[test]
    fn the_error_is_within_the_contraction() {
        for (name, x) in inputs::<f64>(1003) {
            if name == "infinite" {
                continue;
            }
            for k in [1, 10, 500, 1003] {
                let kept: f64 = found(&x, k, k)
                    .unwrap()
                    .iter()
                    .map(|v| f64::from_bits(v.1).powi(2))
                    .sum();
                let all: f64 = x.iter().map(|x| x * x).sum();
                let alpha = Contractive::<f64>::alpha(&TopK { k }, x.len());
                assert!(
                    all - kept <= (1.0 - alpha) * all * (1.0 + 1e-12),
                    "{name} {k}"
                );
            }
        }
    }

    #[test]
    fn hostile_messages_leave_the_sum_alone() {
        let mut out = [1.0_f32; 4];
        let hostile: [(&[u32], &[f32]); 5] = [
            (&[0, 4], &[1.0, 1.0]),
            (&[1, 1], &[1.0, 1.0]),
            (&[2, 1], &[1.0, 1.0]),
            (&[0], &[1.0]),
            (&[0, 1, 2], &[1.0, 1.0]),
        ];
        for (indices, values) in hostile {
            let message = Message::Sparse { indices, values };
            let answer = TopK { k: 2 }.accumulate(Key::default(), &message, Weight::ONE, &mut out);
            assert!(answer.is_err(), "{indices:?}");
        }
        assert_eq!(out, [1.0; 4]);
        assert!(matches!(
            found(&[1.0_f32], 2, 2),
            Err(Error::Parameter { name: "k", .. })
        ));
        assert!(matches!(
            found(&[1.0_f32], 0, 2),
            Err(Error::Parameter { name: "k", .. })
        ));
        assert!(matches!(
            found(&[1.0_f32; 3], 2, 1),
            Err(Error::Length { .. })
        ));
    }
}
