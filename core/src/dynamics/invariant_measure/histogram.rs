//! K7: counts in equal bins, and the distance between two of them.

use crate::Error;
use crate::error::check;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};

/// Bins of a histogram, in addition to one below and one above.
pub const BINS: usize = 64;

/// Counts of one observable in 64 equal bins, and of what lies below and above them.
///
/// ```
/// use thalweg::dynamics::invariant_measure::Histogram;
/// let mut histogram = Histogram::new(0.0, 64.0)?;
/// for x in [-1.0, 0.0, 0.5, 63.5, 64.0] {
///     histogram.push(x);
/// }
/// assert_eq!((histogram.below(), histogram.bins()[0], histogram.bins()[63], histogram.above()), (1, 2, 1, 1));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Histogram {
    low: f64,
    high: f64,
    bins: [u32; BINS],
    below: u32,
    above: u32,
}

impl Histogram {
    /// Empty, over `[low, high)`.
    ///
    /// # Errors
    /// Bounds that are not finite and in order, or whose difference is not finite.
    pub fn new(low: f64, high: f64) -> Result<Self, Error> {
        check(
            "high",
            low < high && (high - low).is_finite(),
            "must be above `low`, at a finite distance",
        )?;
        Ok(Self {
            low,
            high,
            bins: [0; BINS],
            below: 0,
            above: 0,
        })
    }

    /// Counts `x`; NaN counts as above.
    pub fn push(&mut self, x: f64) {
        // The width is positive; `x < high` and rounding may still give BINS, which is the last bin.
        let place = (x - self.low) / (self.high - self.low) * BINS as f64;
        let count = if x < self.low {
            &mut self.below
        } else if x < self.high {
            match self.bins.get_mut((place as usize).min(BINS - 1)) {
                Some(bin) => bin,
                None => &mut self.above,
            }
        } else {
            &mut self.above
        };
        *count = count.saturating_add(1);
    }

    /// The counts in the bins.
    #[must_use]
    pub const fn bins(&self) -> &[u32; BINS] {
        &self.bins
    }

    /// The count below the first bin.
    #[must_use]
    pub const fn below(&self) -> u32 {
        self.below
    }

    /// The count above the last bin.
    #[must_use]
    pub const fn above(&self) -> u32 {
        self.above
    }

    /// Adds the counts of another thread or device.
    ///
    /// # Errors
    /// Other bounds.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        self.check_bounds(other)?;
        for (to, from) in self.counts_mut().zip(other.counts()) {
            *to = to.saturating_add(from);
        }
        Ok(())
    }

    /// Total variation `sum |p - q| / 2` in `[0, 1]`; nothing when one is empty.
    ///
    /// # Errors
    /// Other bounds.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::Histogram;
    /// let (mut a, mut b) = (Histogram::new(0.0, 1.0)?, Histogram::new(0.0, 1.0)?);
    /// assert_eq!(a.total_variation(&b)?, None);
    /// (a.push(0.1), a.push(0.9), b.push(0.1));
    /// assert_eq!(a.total_variation(&b)?, Some(0.5));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn total_variation(&self, other: &Self) -> Result<Option<f64>, Error> {
        self.check_bounds(other)?;
        let total = |h: &Self| h.counts().map(u64::from).sum::<u64>() as f64;
        let (n, m) = (total(self), total(other));
        if n == 0.0 || m == 0.0 {
            return Ok(None);
        }
        let pairs = self.counts().zip(other.counts());
        let sum: f64 = pairs
            .map(|(a, b)| (f64::from(a) / n - f64::from(b) / m).abs())
            .sum();
        Ok(Some(sum / 2.0))
    }

    fn check_bounds(&self, other: &Self) -> Result<(), Error> {
        check(
            "other",
            (self.low, self.high) == (other.low, other.high),
            "must have the same bounds",
        )
    }

    fn counts(&self) -> impl Iterator<Item = u32> {
        let ends = [self.below, self.above];
        self.bins.into_iter().chain(ends)
    }

    fn counts_mut(&mut self) -> impl Iterator<Item = &mut u32> {
        self.bins
            .iter_mut()
            .chain([&mut self.below, &mut self.above])
    }
}

const FIELDS: [Field; 2] = [Field::reals::<f64>(2), Field::words::<u32>(BINS + 2)];

impl Snapshot for Histogram {
    fn snapshot_len(&self) -> usize {
        saved_len(&FIELDS)
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"IMHI", 1)?;
        writer.slice(&[self.low, self.high])?;
        let mut counts = [0; BINS + 2];
        for (to, from) in counts.iter_mut().zip(self.counts()) {
            *to = from;
        }
        writer.words(&counts)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"IMHI", 1, &FIELDS)?;
        let (mut bounds, mut counts) = ([0.0; 2], [0; BINS + 2]);
        reader.slice_into(&mut bounds)?;
        reader.words_into(&mut counts)?;
        reader.finish()?;
        let [low, high] = bounds;
        let mut state = Self::new(low, high).map_err(|_| SnapshotError::Value {
            name: "high",
            rule: "must be above `low`, at a finite distance",
        })?;
        for (to, from) in state.counts_mut().zip(counts) {
            *to = from;
        }
        *self = state;
        Ok(())
    }
}

/// Distance of the shapes of two windows, from the histograms of their halves in the order of time.
///
/// ```text
/// TV(window 1, window 2) / max(TV(halves of window 1), TV(halves of window 2))
/// ```
/// The divisor is what noise alone does: samples of one law give about `1 / sqrt 2`, since halves have half the samples.
/// Above 1 the shapes differ by more than they do inside the windows. Nothing when a half is empty, or when no half
/// differs from its other.
///
/// # Errors
/// Different bounds.
///
/// ```
/// use thalweg::dynamics::invariant_measure::{Histogram, shape_ratio};
/// let mut halves = [Histogram::new(0.0, 1.0)?; 4];
/// for (k, half) in halves.iter_mut().enumerate() {
///     // 8 samples each: k in one bin, the rest in another.
///     (0..8).for_each(|i| half.push(if i < k { 0.9 } else { 0.1 }));
/// }
/// let [a, b, c, d] = &halves;
/// // 1/16 against 5/16; halves are at a distance of 1/8.
/// assert_eq!(shape_ratio([a, b], [c, d])?, Some(2.0));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn shape_ratio([a, b]: [&Histogram; 2], [c, d]: [&Histogram; 2]) -> Result<Option<f64>, Error> {
    let (mut first, mut second) = (*a, *c);
    first.merge(b)?;
    second.merge(d)?;
    let (within, others) = (a.total_variation(b)?, c.total_variation(d)?);
    let (Some(p), Some(q), Some(between)) = (within, others, first.total_variation(&second)?)
    else {
        return Ok(None);
    };
    let noise = p.max(q);
    Ok((noise > 0.0).then(|| between / noise))
}
