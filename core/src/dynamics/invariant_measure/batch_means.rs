//! K6: batch means in fixed memory.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices below the length of a slice, and counts that are bounded where they are restored"
)]

use crate::memory::must;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};

/// Slots of [`BatchMeans`].
pub const SLOTS: usize = 32;
/// Batch means that a summary uses.
pub const MEANS: usize = 16;
/// Samples a slot that a saved state may claim: more are no exact `f64`, and take a century at a million a second.
const LONGEST: u64 = 1 << 52;

/// Sums of consecutive samples in at most 32 slots of equal length, which doubles when they are full.
///
/// ```
/// use thalweg::dynamics::invariant_measure::BatchMeans;
/// let mut means = BatchMeans::new();
/// for _ in 0..1000 {
///     means.push(3.0);
/// }
/// let summary = means.summary().unwrap_or_else(|| unreachable!());
/// assert_eq!((summary.mean, summary.error, summary.samples), (3.0, 0.0, 512)); // 16 slots of 32
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchMeans {
    slots: [f64; SLOTS],
    /// Samples a slot; a power of two.
    len: u64,
    fill: usize,
    sum: f64,
    count: u64,
}

/// What the last 16 slots say.
///
/// ```
/// use thalweg::dynamics::invariant_measure::BatchMeans;
/// assert_eq!(BatchMeans::new().summary(), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Mean of the batch means.
    pub mean: f64,
    /// Standard error of the mean: deviation of the batch means over 4.
    pub error: f64,
    /// Samples that were used.
    pub samples: u64,
}

impl BatchMeans {
    /// Nothing seen.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            slots: [0.0; SLOTS],
            len: 1,
            fill: 0,
            sum: 0.0,
            count: 0,
        }
    }

    /// Adds a sample. NaN and infinities stay in the sum of their slot, and show in every summary that uses it.
    pub fn push(&mut self, x: f64) {
        self.sum += x;
        self.count = self.count.saturating_add(1);
        if self.count >= self.len {
            let sum = self.sum;
            self.append(sum);
            (self.sum, self.count) = (0.0, 0);
        }
    }

    /// Sums of the complete slots.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::BatchMeans;
    /// let mut means = BatchMeans::new();
    /// (0..32).for_each(|i| means.push(f64::from(i)));
    /// assert_eq!((means.slot_len(), means.slots()[15]), (2, 61.0)); // 30 + 31
    /// ```
    #[must_use]
    pub fn slots(&self) -> &[f64] {
        must(self.slots.get(..self.fill))
    }

    /// Samples in each slot.
    #[must_use]
    pub const fn slot_len(&self) -> u64 {
        self.len
    }

    /// The last 16 batch means, oldest first.
    pub(super) fn means(&self) -> Option<[f64; MEANS]> {
        let slots = self.slots().last_chunk::<MEANS>()?;
        // A length is at least 1.
        Some(slots.map(|sum| sum / self.len as f64))
    }

    /// Mean and standard error; nothing before 16 slots are complete.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let (mean, error) = mean_and_error(&self.means()?);
        Some(Summary {
            mean,
            error,
            samples: self.len.saturating_mul(MEANS as u64),
        })
    }

    /// Appends the complete slots of a later part of the run, or of another device's run of the same process.
    ///
    /// The shorter slots are joined to the length of the longer; what does not fill a slot is dropped.
    pub fn merge(&mut self, next: &Self) {
        while self.len < next.len {
            self.halve();
        }
        // Shorter slots fill one together, also once an append has doubled this length.
        (self.sum, self.count) = (0.0, 0);
        for &sum in next.slots() {
            self.sum += sum;
            self.count = self.count.saturating_add(next.len);
            if self.count >= self.len {
                let sum = self.sum;
                self.append(sum);
                (self.sum, self.count) = (0.0, 0);
            }
        }
        (self.sum, self.count) = (0.0, 0);
    }

    /// Sums of `x` and of `x^2` as they are once `shift` is added to every `x`.
    pub(super) fn shifted(pair: [&Self; 2], shift: f64) -> [Self; 2] {
        let [mut first, mut second] = pair.map(|means| *means);
        let move_sums = |sum: &mut f64, squares: &mut f64, count: u64| {
            let n = count as f64;
            *squares += 2.0 * shift * *sum + n * shift * shift;
            *sum += n * shift;
        };
        for (sum, squares) in first
            .slots
            .iter_mut()
            .zip(&mut second.slots)
            .take(first.fill)
        {
            move_sums(sum, squares, first.len);
        }
        move_sums(&mut first.sum, &mut second.sum, first.count);
        [first, second]
    }

    fn append(&mut self, sum: f64) {
        if let Some(slot) = self.slots.get_mut(self.fill) {
            *slot = sum;
            self.fill += 1;
        }
        if self.fill == SLOTS {
            self.halve();
        }
    }

    /// Joins slots in pairs; an odd last slot is dropped.
    fn halve(&mut self) {
        let slots = self.slots;
        for (to, pair) in self.slots.iter_mut().zip(slots.as_chunks::<2>().0) {
            let [a, b] = *pair;
            *to = a + b;
        }
        self.fill /= 2;
        self.len = self.len.saturating_mul(2);
    }

    /// Layout of a saved state, here and in a window.
    pub(super) const FIELDS: [Field; 4] = [
        Field::U64,
        Field::U64,
        Field::U64,
        Field::reals::<f64>(SLOTS + 1),
    ];

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<(), SnapshotError> {
        writer.u64(self.len)?;
        writer.u64(self.fill as u64)?;
        writer.u64(self.count)?;
        let mut reals = [self.sum; SLOTS + 1];
        for (to, from) in reals.iter_mut().zip(&self.slots) {
            *to = *from;
        }
        writer.slice(&reals)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, SnapshotError> {
        let (len, fill, count) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let mut reals = [0.0; SLOTS + 1];
        reader.slice_into(&mut reals)?;
        let [slots @ .., sum] = reals;
        let refused = |name, rule| Err(SnapshotError::Value { name, rule });
        if !len.is_power_of_two() || len > LONGEST {
            return refused("len", "must be a power of two, at most 2^52");
        }
        if fill >= SLOTS as u64 {
            return refused("fill", "must be below 32");
        }
        if count >= len {
            return refused("count", "must be below the length of a slot");
        }
        Ok(Self {
            slots,
            len,
            fill: fill as usize,
            sum,
            count,
        })
    }

    /// Slots of the same length, as many of them, and as many samples in the open one.
    pub(super) const fn is_aligned(&self, other: &Self) -> bool {
        self.len == other.len && self.fill == other.fill && self.count == other.count
    }

    /// Samples in the slots and in the open one.
    pub(super) const fn held(&self) -> u64 {
        let whole = self.len.saturating_mul(self.fill as u64);
        whole.saturating_add(self.count)
    }
}

impl Default for BatchMeans {
    fn default() -> Self {
        Self::new()
    }
}

impl Snapshot for BatchMeans {
    fn snapshot_len(&self) -> usize {
        saved_len(&Self::FIELDS)
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"IMBM", 1)?;
        self.write(&mut writer)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"IMBM", 1, &Self::FIELDS)?;
        let state = Self::read(&mut reader)?;
        reader.finish()?;
        *self = state;
        Ok(())
    }
}

/// Mean and its standard error from 16 means; both divisors are constants.
pub(super) fn mean_and_error(means: &[f64; MEANS]) -> (f64, f64) {
    let n = MEANS as f64;
    let mean = means.iter().sum::<f64>() / n;
    let squares: f64 = means.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, libm::sqrt(squares / (n - 1.0) / n))
}
