//! Bandwidth of the kernel: fixed, or from the median of the squared distances.
//!
//! ```text
//! med = median of |y_i - y_j|^2 over all n^2 ordered pairs, the n zeros included
//! h   = max(floor, scale med / ln(n + 1))
//! ```
//! `h` is a squared length: the kernel is `exp(-|x - y|^2 / h)`. With `scale = 1` this is the heuristic of SVGD. The median of an even
//! count is the mean of the middle two, as NumPy takes it. On extended states the distances are joint
//! unless a momentum bandwidth is named.
//!
//! The median is exact and selected, not sorted. With room for the distances ([`Bandwidth::scratch_len`], half of the square and, from 64 rows, some) they are
//! computed once, and counted on lanes: a sample tells where to look, two or three counts narrow that to a few hundred numbers. Without
//! it they are computed again for every round of a histogram, a block of rows at a time, and nothing of order `n^2` is kept: 256
//! equal steps of bit patterns between the least and the largest candidate, then again within the step that holds the median,
//! at most 4 rounds for `f32` and 8 for `f64` (non-negative floats are in the order of their bit patterns). Either way the n zeros of the
//! diagonal are counted, and every other distance counts twice.
//!
//! Distances come from the Gram matrix while every squared distance to the mean is at most 64 medians, and by differences otherwise, for
//! the reason in [`pairs`](crate::pairs): a particle thrown far away does not change the bandwidth of the others.
//!
//! Reference: Liu and Wang, *Stein variational gradient descent* (2016), section 5, and the published code.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of particles and draws that are slices in memory"
)]

mod select;

use self::select::Distances;
use super::{check_finite, check_positive};
use crate::error::check_scratch;
use crate::memory::{must, take};
use crate::pairs::PairKernels as _;
use crate::pairs::{Kept, Rows, distances_len, distances_scratch_len, kept_len, resolving};
use crate::{Arithmetic, Error, Real};

/// Rows from which distances are kept for the sums: strips of fewer are mostly what they are padded with.
pub(super) const KEEP_FROM: usize = 64;

/// How the bandwidth is found.
///
/// ```
/// use thalweg::particle::bandwidth::Bandwidth;
/// assert_eq!(Bandwidth::default(), Bandwidth::Median { scale: 1.0, floor: 1e-8 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bandwidth {
    /// This value of h; finite and positive.
    Fixed(f64),
    /// `max(floor, scale med / ln(n + 1))`.
    Median {
        /// Multiplier; finite and positive.
        scale: f64,
        /// Least bandwidth; finite and positive.
        floor: f64,
    },
}

impl Default for Bandwidth {
    fn default() -> Self {
        Self::median(1.0)
    }
}

/// A bandwidth, and whether the floor decided it.
///
/// ```
/// use thalweg::Arithmetic;
/// use thalweg::particle::bandwidth::{Bandwidth, SelectedBandwidth};
/// // All particles equal: the median is 0.
/// let found = Bandwidth::default().choose(Arithmetic::Portable, 1, &[2.0_f64; 3], &mut [0.0; 9])?;
/// assert_eq!(found, SelectedBandwidth { h: 1e-8, is_floored: true });
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SelectedBandwidth<T> {
    /// The bandwidth, a squared length.
    pub h: T,
    /// The median rule gave less than the floor: the particles are that close together (half of the `n^2` pairs, each particle with
    /// itself included, coincide or nearly so), or there is only one.
    pub is_floored: bool,
}

impl Bandwidth {
    /// The median rule with a multiplier and a floor of 1e-8.
    ///
    /// ```
    /// use thalweg::particle::bandwidth::Bandwidth;
    /// assert_eq!(Bandwidth::median(4.0), Bandwidth::Median { scale: 4.0, floor: 1e-8 });
    /// ```
    pub const fn median(scale: f64) -> Self {
        Self::Median { scale, floor: 1e-8 }
    }

    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first that is out of range.
    ///
    /// ```
    /// assert!(thalweg::particle::bandwidth::Bandwidth::Fixed(0.0).validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Fixed(h) => check_positive("h", h),
            Self::Median { scale, floor } => {
                check_positive("scale", scale)?;
                check_positive("floor", floor)
            }
        }
    }

    /// Elements of scratch with which [`choose`](Self::choose) computes each distance once.
    ///
    /// ```
    /// use thalweg::particle::bandwidth::Bandwidth;
    /// assert_eq!(Bandwidth::Fixed(1.0).scratch_len(1000, 50), 0);
    /// ```
    pub const fn scratch_len(&self, n: usize, m: usize) -> usize {
        match self {
            Self::Fixed(_) => 0,
            Self::Median { .. } => room_len(n).saturating_add(self.work_len(n, m)),
        }
    }

    /// [`scratch_len`](Self::scratch_len) less the distances.
    pub(super) const fn work_len(&self, n: usize, m: usize) -> usize {
        match self {
            Self::Fixed(_) => 0,
            Self::Median { .. } => {
                let (kept, again) = (distances_len(n, m), distances_scratch_len(n, m));
                let is_kept = n >= KEEP_FROM && kept > again;
                fixed_len(n, m).saturating_add(if is_kept { kept } else { again })
            }
        }
    }

    /// Elements of scratch that [`choose`](Self::choose) needs.
    ///
    /// ```
    /// use thalweg::particle::bandwidth::Bandwidth;
    /// assert_eq!(Bandwidth::default().least_scratch_len(10, 2), 10 * 3 + 10);
    /// ```
    pub const fn least_scratch_len(&self, n: usize, m: usize) -> usize {
        match self {
            Self::Fixed(_) => 0,
            Self::Median { .. } => fixed_len(n, m).saturating_add(n),
        }
    }

    /// The bandwidth for rows `y` of `m` coordinates.
    ///
    /// # Errors
    /// [`Error::Parameter`] as [`validate`](Self::validate), or when the bandwidth is not finite and positive in `T`;
    /// [`Error::Length`] when `m` does not divide `y` or the scratch is shorter than
    /// [`least_scratch_len`](Self::least_scratch_len); [`Error::NonFinite`] with the index of the first row that is not finite.
    ///
    /// ```
    /// use thalweg::Arithmetic;
    /// use thalweg::particle::bandwidth::Bandwidth;
    /// // Distances 0 (3 times), 1 (2), 4 (2), 9 (2): the median is 1.
    /// let found = Bandwidth::median(2.0).choose(Arithmetic::Portable, 1, &[0.0_f64, 1.0, 3.0], &mut [0.0; 9])?;
    /// assert!((found.h - 2.0 / 4.0_f64.ln()).abs() < 1e-15);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn choose<T: Real>(
        &self,
        arithmetic: Arithmetic,
        m: usize,
        y: &[T],
        scratch: &mut [T],
    ) -> Result<SelectedBandwidth<T>, Error> {
        let n = super::count(y.len(), m)?;
        let (scratch, room) = with_room(n, self.work_len(n, m), scratch);
        Ok(self.choose_keeping(arithmetic, m, y, scratch, room)?.0)
    }

    /// [`choose`](Self::choose) with room for distances apart: those of the Gram matrix are handed on, from [`KEEP_FROM`] rows.
    pub(super) fn choose_keeping<'a, T: Real>(
        &self,
        arithmetic: Arithmetic,
        m: usize,
        y: &[T],
        scratch: &mut [T],
        room: &'a mut [T],
    ) -> Result<(SelectedBandwidth<T>, Option<Kept<'a, T>>), Error> {
        self.validate()?;
        let n = super::count(y.len(), m)?;
        let mut kept = None;
        let (h, is_floored) = match *self {
            Self::Fixed(h) => (h, false),
            Self::Median { scale, floor } => {
                let med;
                (med, kept) = T::Kernels::median_of_pairs(arithmetic, m, y, scratch, room)?;
                // n + 1 >= 2 where there is a distance, so the logarithm is positive.
                let h = scale * med.to_f64() / libm::log(n.max(1) as f64 + 1.0);
                // An infinite one, of distances that overflow, is refused below.
                if h < floor { (floor, true) } else { (h, false) }
            }
        };
        let h = T::from_f64(h);
        check_positive("h", h.to_f64())?;
        Ok((SelectedBandwidth { h, is_floored }, kept))
    }
}

/// Centred rows and norms.
const fn fixed_len(n: usize, m: usize) -> usize {
    n.saturating_mul(m.saturating_add(1))
}

/// Pairs below the diagonal.
const fn pairs(n: usize) -> usize {
    n.saturating_mul(n.saturating_sub(1)) / 2
}

/// Room for the distances.
const fn room_len(n: usize) -> usize {
    if n < KEEP_FROM { pairs(n) } else { kept_len(n) }
}

/// Cuts room for the distances off the end of a scratch that has `work` elements besides.
pub(super) const fn with_room<T>(n: usize, work: usize, scratch: &mut [T]) -> (&mut [T], &mut [T]) {
    match scratch.len().checked_sub(room_len(n)) {
        #[allow(
            clippy::disallowed_methods,
            reason = "rest is at most the length; a const fn takes no closure"
        )]
        Some(rest) if rest >= work => scratch.split_at_mut(rest),
        _ => (scratch, &mut []),
    }
}

/// Median of the squared distances over all ordered pairs of rows, zeros of the diagonal included; 0 without rows.
///
/// Scratch as for [`Bandwidth::choose`].
///
/// # Errors
/// [`Error::Length`] when `m` does not divide `y` or the scratch is too short, [`Error::NonFinite`] with the index of the first row that is
/// not finite. Half of the distances may overflow: the median is infinite then.
///
/// ```
/// use thalweg::Arithmetic;
/// use thalweg::particle::bandwidth::median_squared_distance;
/// // 0, 0, 4, 4: the mean of the middle two.
/// assert_eq!(median_squared_distance(Arithmetic::Portable, 1, &[0.0_f32, 2.0], &mut [0.0; 6]), Ok(2.0));
/// ```
pub fn median_squared_distance<T: Real>(
    arithmetic: Arithmetic,
    m: usize,
    y: &[T],
    scratch: &mut [T],
) -> Result<T, Error> {
    let n = super::count(y.len(), m)?;
    let (scratch, room) = with_room(n, Bandwidth::default().work_len(n, m), scratch);
    Ok(T::Kernels::median_of_pairs(arithmetic, m, y, scratch, room)?.0)
}

/// The median, and the distances, if they are those of the Gram matrix and there was room.
pub(crate) fn median_keeping<'a, T: Real>(
    arithmetic: Arithmetic,
    m: usize,
    y: &[T],
    mut scratch: &mut [T],
    room: &'a mut [T],
) -> Result<(T, Option<Kept<'a, T>>), Error> {
    let n = super::count(y.len(), m)?;
    let rule = Bandwidth::default();
    check_scratch("scratch", rule.least_scratch_len(n, m), scratch.len())?;
    check_finite("particles", y, m)?;
    if n < 2 {
        return Ok((T::ZERO, None));
    }
    let (centred, norms) = (take(&mut scratch, y.len()), take(&mut scratch, n));
    let rows = resolving(arithmetic, m, y, centred, norms, T::MAX)?;
    let is_stored = room.len() >= room_len(n);
    // Within a quarter of the reach, so that its error is small next to the bandwidth, which is less, too.
    let within = |median: T| median / T::from_usize(4);
    if is_stored && n >= KEEP_FROM && scratch.len() >= distances_len(n, m) && !rows.is_explicit {
        let layout = rows.keep_distances(room, scratch);
        let median = middle(n, &layout.of(room).into());
        if rows.resolves(within(median)) {
            return Ok((median, Some(layout.of(room))));
        }
        let rows = resolving(arithmetic, m, y, centred, norms, within(median))?;
        return Ok((median_of(&rows, Some(room), scratch)?, None));
    }
    let mut again = if is_stored { Some(room) } else { None };
    let median = median_of(&rows, again.as_deref_mut(), scratch)?;
    if rows.resolves(within(median)) {
        return Ok((median, None));
    }
    let rows = resolving(arithmetic, m, y, centred, norms, within(median))?;
    Ok((median_of(&rows, again, scratch)?, None))
}

/// The median of all ordered pairs, from all distances.
fn middle<T: Real>(n: usize, all: &Distances<'_, T>) -> T {
    // In u64: n^2 does not fit into the usize of a small board.
    let n = n as u64;
    let (high, before) = all.select(n.saturating_mul(n) / 2);
    if n.is_multiple_of(2) {
        mean(before, high)
    } else {
        high
    }
}

/// The mean of two ordered numbers.
fn mean<T: Real>(low: T, high: T) -> T {
    if low == high {
        // Infinite ones have no difference.
        return high;
    }
    low + (high - low) / (T::ONE + T::ONE)
}

/// The median over at least two rows; `room` for the distances below the diagonal lets them be computed once.
fn median_of<T: Real>(
    rows: &Rows<'_, T>,
    room: Option<&mut [T]>,
    scratch: &mut [T],
) -> Result<T, Error> {
    if let Some(room) = room {
        let (mut free, mut len) = (&mut *room, 0);
        rows.distances(
            |row| {
                for (to, &q) in take(&mut free, row.len()).iter_mut().zip(row) {
                    *to = q;
                }
                len += row.len();
            },
            scratch,
        )?;
        let all = Distances {
            single: &[],
            double: must(room.get(..len)),
            zeros: rows.n() as u64,
        };
        return Ok(middle(rows.n(), &all));
    }
    // Ranks among the pairs: of n^2 sorted entries the first n are the diagonal, the others come in twos. In u64: n^2 does
    // not fit into the usize of a small board.
    let n = rows.n() as u64;
    let rank = |at: u64| at.checked_sub(n).map(|at| at / 2);
    let half = n.saturating_mul(n) / 2;
    let upper = rank(half);
    let lower = if n.is_multiple_of(2) {
        rank(half.saturating_sub(1))
    } else {
        upper
    };
    let mut again = Again(rows, scratch);
    let high = again.select(upper)?;
    if lower == upper {
        return Ok(high);
    }
    Ok(mean(again.select(lower)?, high))
}

/// Distances that are computed at each visit.
struct Again<'a, 'b, T>(&'a Rows<'b, T>, &'a mut [T]);

impl<T: Real> Again<'_, '_, T> {
    fn visit(&mut self, visit: impl FnMut(&[T])) -> Result<(), Error> {
        self.0.distances(visit, self.1)
    }

    /// The distance of this rank, from 0; 0 for one on the diagonal.
    fn select(&mut self, rank: Option<u64>) -> Result<T, Error> {
        let Some(mut rank) = rank else {
            return Ok(T::ZERO);
        };
        // Candidates have bit patterns from `low` to `high`.
        let (mut low, mut high) = (u64::MAX, 0);
        self.visit(|row| {
            for q in row {
                let bits = q.to_bits_u64();
                (low, high) = (low.min(bits), high.max(bits));
            }
        })?;
        while low < high {
            // The least shift that leaves 256 steps.
            let shift = (64 - (high - low).leading_zeros()).saturating_sub(8);
            let mut counts = [0_u64; 256];
            self.visit(|row| {
                for q in row {
                    let bits = q.to_bits_u64();
                    // Below `low` the difference wraps to a step that does not exist.
                    let step = bits.wrapping_sub(low) >> shift;
                    if bits <= high
                        && let Some(count) = counts.get_mut(step as usize)
                    {
                        *count += 1;
                    }
                }
            })?;
            for (step, count) in (0_u64..).zip(counts) {
                if rank < count {
                    // step <= (high - low) >> shift, so the sum is at most `high`; the end of the step may lie past the largest pattern.
                    low = low.saturating_add(step << shift);
                    high = high.min(low.saturating_add((1 << shift) - 1));
                    break;
                }
                rank -= count;
            }
        }
        Ok(T::from_bits_u64(low))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{golden, painted};
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn median<T: Real>(m: usize, y: &[T], is_stored: bool) -> T {
        let (n, rule) = (y.len() / m, Bandwidth::default());
        let len = match is_stored {
            true => rule.scratch_len(n, m),
            false => rule.least_scratch_len(n, m),
        };
        median_squared_distance(Arithmetic::Portable, m, y, &mut vec![T::NAN; len]).unwrap()
    }

    #[test]
    fn the_median_is_that_of_numpy_over_all_pairs() {
        let x = painted::<f64>(1, 21);
        for is_stored in [false, true] {
            let odd = median(3, &x, is_stored);
            assert!((odd / golden("median_odd")[0] - 1.0).abs() < 1e-14);
            let even = median(3, &x[..18], is_stored);
            assert!((even / golden("median_even")[0] - 1.0).abs() < 1e-14);
        }
    }

    fn selection_equals_sorting<T: Real>() {
        for n in [1, 2, 3, 4, 5, 10, 33, 150, 151, 225, 450] {
            for m in [1, 2, 7] {
                let mut y = painted::<T>(n, n * m);
                if n > 30 {
                    // Many coincidences.
                    y.truncate(n * m / 2);
                    y.resize(n * m, T::ONE);
                }
                let mut all: Vec<T> = Vec::new();
                for a in y.chunks(m) {
                    for b in y.chunks(m) {
                        all.push(
                            a.iter()
                                .zip(b)
                                .fold(T::ZERO, |s, (a, b)| s + (*a - *b) * (*a - *b)),
                        );
                    }
                }
                all.sort_by(|a, b| a.partial_cmp(b).unwrap());
                let half = all.len() / 2;
                let expected = if all.len() % 2 == 1 {
                    all[half].to_f64()
                } else {
                    (all[half - 1].to_f64() + all[half].to_f64()) / 2.0
                };
                let (kept, again) = (median(m, &y, true), median(m, &y, false));
                assert_eq!(kept.to_bits_u64(), again.to_bits_u64());
                let bound = 50.0 * T::EPSILON.to_f64() * (expected + 4.0 * m as f64);
                assert!(
                    (kept.to_f64() - expected).abs() <= bound,
                    "{n} {m}: {kept} {expected}"
                );
            }
        }
    }

    #[test]
    fn selection_agrees_with_a_sort_of_explicit_differences() {
        selection_equals_sorting::<f32>();
        selection_equals_sorting::<f64>();
    }

    #[test]
    fn the_floor_decides_when_half_of_the_pairs_coincide() {
        let mut y = [3.0_f32; 10];
        y[0] = 1e3;
        let found = Bandwidth::Median {
            scale: 1.0,
            floor: 0.5,
        }
        .choose(Arithmetic::Portable, 1, &y, &mut [0.0; 40]);
        assert_eq!(
            found,
            Ok(SelectedBandwidth {
                h: 0.5,
                is_floored: true
            })
        );
        let none = Bandwidth::default().choose::<f64>(Arithmetic::Portable, 2, &[], &mut []);
        assert!(none.unwrap().is_floored);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let median = |scale, floor| Bandwidth::Median { scale, floor };
        for bad in [
            Bandwidth::Fixed(f64::NAN),
            median(0.0, 1.0),
            median(1.0, -1.0),
        ] {
            assert!(bad.validate().is_err());
        }
        let short =
            Bandwidth::default().choose(Arithmetic::Portable, 1, &[1.0_f32; 4], &mut [0.0; 11]);
        assert!(matches!(
            short,
            Err(Error::Length {
                name: "scratch",
                expected: 12,
                ..
            })
        ));
        // 1e-60 is not a number of f32.
        let small = Bandwidth::Fixed(1e-60).choose(Arithmetic::Portable, 1, &[1.0_f32], &mut []);
        assert!(small.is_err());
    }
}
