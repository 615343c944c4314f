//! K6, and the comparison of two windows with error bars that know of correlation.

use crate::Error;
use crate::error::check;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};

/// Slots of [`BatchMeans`].
pub const SLOTS: usize = 32;
/// Batch means that a summary uses.
pub const MEANS: usize = 16;
/// Correlation times that a window must hold before it is judged.
const LEAST_TIMES: f64 = 50.0;

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
    /// Samples a slot; at least 1.
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

    /// Adds a sample.
    pub fn push(&mut self, x: f64) {
        self.sum += x;
        self.count += 1;
        if self.count == self.len {
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
        self.slots.get(..self.fill).unwrap_or(&self.slots)
    }

    /// Samples in each slot.
    #[must_use]
    pub const fn slot_len(&self) -> u64 {
        self.len
    }

    /// The last 16 batch means, oldest first.
    fn means(&self) -> Option<[f64; MEANS]> {
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
        let mut next = *next;
        while self.len < next.len {
            self.halve();
        }
        while next.len < self.len {
            next.halve();
        }
        // An append may double this length; what is left of `next` then fills a slot together.
        (self.sum, self.count) = (0.0, 0);
        for &sum in next.slots() {
            self.sum += sum;
            self.count += next.len;
            if self.count == self.len {
                let sum = self.sum;
                self.append(sum);
                (self.sum, self.count) = (0.0, 0);
            }
        }
        (self.sum, self.count) = (0.0, 0);
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

    const FIELDS: [Field; 4] = [
        Field::U64,
        Field::U64,
        Field::U64,
        Field::reals::<f64>(SLOTS + 1),
    ];
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
        writer.u64(self.len)?;
        writer.u64(self.fill as u64)?;
        writer.u64(self.count)?;
        let mut reals = [self.sum; SLOTS + 1];
        for (to, from) in reals.iter_mut().zip(&self.slots) {
            *to = *from;
        }
        writer.slice(&reals)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"IMBM", 1, &Self::FIELDS)?;
        let (len, fill, count) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let mut reals = [0.0; SLOTS + 1];
        reader.slice_into(&mut reals)?;
        reader.finish()?;
        // Bytes that pass the check but no state could have written: the nearest state that could.
        self.len = len.max(1);
        self.fill = fill.min(SLOTS as u64 - 1) as usize;
        self.count = count.min(self.len - 1);
        let [slots @ .., sum] = reals;
        (self.slots, self.sum) = (slots, sum);
        Ok(())
    }
}

/// Mean and its standard error from 16 means; both divisors are constants.
fn mean_and_error(means: &[f64; MEANS]) -> (f64, f64) {
    let n = MEANS as f64;
    let mean = means.iter().sum::<f64>() / n;
    let squares: f64 = means.iter().map(|x| (x - mean) * (x - mean)).sum();
    (mean, libm::sqrt(squares / (n - 1.0) / n))
}

/// Batch means of one observable and of its square, both about its first value.
///
/// From the two the spread about any centre follows, so that no sample is kept.
///
/// ```
/// use thalweg::dynamics::invariant_measure::Window;
/// let mut window = Window::new();
/// for i in 0..64 {
///     window.push(f64::from(i % 2));
/// }
/// assert_eq!((window.samples(), window.mean(), window.variance()), (64, Some(0.5), Some(0.25)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    origin: f64,
    samples: u64,
    first: BatchMeans,
    second: BatchMeans,
    sum: f64,
}

impl Window {
    /// Nothing seen.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            origin: 0.0,
            samples: 0,
            first: BatchMeans::new(),
            second: BatchMeans::new(),
            sum: 0.0,
        }
    }

    /// Adds a sample.
    pub fn push(&mut self, x: f64) {
        if self.samples == 0 {
            self.origin = x;
        }
        let y = x - self.origin;
        self.first.push(y);
        self.second.push(y * y);
        self.sum += y;
        self.samples += 1;
    }

    /// Samples seen.
    #[must_use]
    pub const fn samples(&self) -> u64 {
        self.samples
    }

    /// Mean of all samples.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        (self.samples > 0).then(|| self.origin + self.sum / self.samples as f64)
    }

    /// Variance of the samples in the last 16 slots.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        let (spread, _) = mean_and_error(&self.spread()?);
        Some(spread.max(0.0))
    }

    /// Mean and standard error of the observable.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let summary = self.first.summary()?;
        Some(Summary {
            mean: summary.mean + self.origin,
            ..summary
        })
    }

    /// Mean of `(x - mean)^2` in each of the 16 slots.
    fn spread(&self) -> Option<[f64; MEANS]> {
        let (y, yy) = (self.first.means()?, self.second.means()?);
        let (c, _) = mean_and_error(&y);
        let mut out = [0.0; MEANS];
        for ((out, y), yy) in out.iter_mut().zip(y).zip(yy) {
            *out = yy - 2.0 * c * y + c * c;
        }
        Some(out)
    }

    /// Correlation time `len var(batch means) / var(x)` in samples; 0 for a constant.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::Window;
    /// assert_eq!(Window::new().correlation_time(), None);
    /// ```
    #[must_use]
    pub fn correlation_time(&self) -> Option<f64> {
        let (summary, variance) = (self.summary()?, self.variance()?);
        if summary.error == 0.0 {
            return Some(0.0);
        }
        let between = summary.error * summary.error * MEANS as f64;
        Some(self.first.slot_len() as f64 * between / variance)
    }
}

/// What two windows say of one observable.
///
/// ```
/// use thalweg::dynamics::invariant_measure::Verdict;
/// assert_eq!(Verdict::Inconclusive.to_string(), "inconclusive");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Neither mean nor spread differs at the level asked for.
    Stationary,
    /// Mean or spread differs.
    Drifting,
    /// A window holds fewer than 16 batches or 50 correlation times, or values that are not finite.
    Inconclusive,
}

impl core::fmt::Display for Verdict {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Stationary => "stationary",
            Self::Drifting => "drifting",
            Self::Inconclusive => "inconclusive",
        })
    }
}

/// The figures behind a verdict.
///
/// ```
/// use thalweg::dynamics::invariant_measure::{Verdict, Window, compare};
/// let report = compare(&Window::new(), &Window::new(), 1)?;
/// assert_eq!(report.verdict, Verdict::Inconclusive); // too short
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// The answer.
    pub verdict: Verdict,
    /// Difference of the means over its standard error; NaN when a window is too short.
    pub mean_score: f64,
    /// The same for the spread.
    pub spread_score: f64,
    /// Score above which equality is rejected.
    pub critical: f64,
    /// The longer of the correlation times, in samples; NaN when a window is too short.
    pub correlation_time: f64,
}

impl Report {
    /// Equality of the means is rejected, whatever the guard on the window says.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::{Window, compare};
    /// assert!(!compare(&Window::new(), &Window::new(), 1)?.rejects_mean());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub fn rejects_mean(&self) -> bool {
        self.mean_score.abs() > self.critical
    }
}

/// Two-sided 1 % point of Student's t with 30 degrees of freedom, the level divided by the number of observables.
///
/// The number is rounded up to a power of two, at most 64. Values: `scipy.stats.t.isf(0.005 / k, 30)`, SciPy 1.17.1.
///
/// # Errors
/// A number of observables outside 1 to 64.
///
/// ```
/// use thalweg::dynamics::invariant_measure::critical;
/// assert_eq!((critical(1)?, critical(4)?), (2.75, 3.29989));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn critical(observables: usize) -> Result<f64, Error> {
    match observables {
        1 => Ok(2.75),
        2 => Ok(3.02980),
        3..=4 => Ok(3.29989),
        5..=8 => Ok(3.56263),
        9..=16 => Ok(3.81980),
        17..=32 => Ok(4.07279),
        33..=64 => Ok(4.32270),
        _ => Err(Error::Parameter {
            name: "observables",
            rule: "must be between 1 and 64",
        }),
    }
}

/// Compares two windows of one observable out of `observables` that are judged together.
///
/// ```text
/// z = (m_1 - m_2) / sqrt(s_1^2 + s_2^2)          means and standard errors of 16 batches each; 30 degrees of freedom
/// the same with (x - mean)^2 in place of x
/// INCONCLUSIVE when a window is shorter than 50 correlation times, whatever z is
/// ```
///
/// # Errors
/// A number of observables outside 1 to 64; windows with different numbers of samples.
pub fn compare(a: &Window, b: &Window, observables: usize) -> Result<Report, Error> {
    let critical = critical(observables)?;
    check(
        "b",
        a.samples == b.samples,
        "must hold as many samples as the other window",
    )?;
    let mut report = Report {
        verdict: Verdict::Inconclusive,
        mean_score: f64::NAN,
        spread_score: f64::NAN,
        critical,
        correlation_time: f64::NAN,
    };
    let (Some(m), Some(n)) = (a.summary(), b.summary()) else {
        return Ok(report);
    };
    let (Some(p), Some(q)) = (a.spread(), b.spread()) else {
        return Ok(report);
    };
    let (Some(s), Some(t)) = (a.correlation_time(), b.correlation_time()) else {
        return Ok(report);
    };
    report.mean_score = score((m.mean, m.error), (n.mean, n.error));
    report.spread_score = score(mean_and_error(&p), mean_and_error(&q));
    report.correlation_time = s.max(t);
    let worst = if report.mean_score.is_nan() || report.spread_score.is_nan() {
        f64::NAN
    } else {
        report.mean_score.abs().max(report.spread_score.abs())
    };
    let is_long = |samples: u64, time: f64| samples as f64 >= LEAST_TIMES * time;
    if is_long(m.samples, s) && is_long(n.samples, t) {
        if worst <= critical {
            report.verdict = Verdict::Stationary;
        } else if worst > critical {
            report.verdict = Verdict::Drifting;
        }
    }
    Ok(report)
}

/// Difference over its error: 0 for equal constants, infinite for others.
fn score((m, s): (f64, f64), (n, t): (f64, f64)) -> f64 {
    if m == n {
        return 0.0;
    }
    // Different means: a zero error makes this infinite, as it should be.
    (m - n) / libm::sqrt(s * s + t * t)
}
