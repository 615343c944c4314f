//! K7: counts in equal bins, and the distance between two of them.

use crate::Error;
use crate::error::check;

/// Bins of a histogram, beside one below and one above.
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
