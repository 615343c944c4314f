//! The comparison of two windows with error bars that know of correlation.

use core::cmp::Ordering;

use super::batch_means::{BatchMeans, MEANS, Summary, mean_and_error};
use crate::Error;
use crate::error::check;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};

/// Correlation times that a window must hold before it is judged.
const LEAST_TIMES: f64 = 50.0;

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

    /// Adds a sample. A window that holds NaN or an infinity is [`Verdict::Inconclusive`].
    pub fn push(&mut self, x: f64) {
        if self.samples == 0 {
            self.origin = x;
        }
        let y = x - self.origin;
        self.first.push(y);
        self.second.push(y * y);
        self.sum += y;
        self.samples = self.samples.saturating_add(1);
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

    /// Appends what another thread or device has seen of a later part of the same run, or of a run of the same process.
    ///
    /// Slots are joined as by [`BatchMeans::merge`]; with parts of whole slots they are those of one window.
    ///
    /// ```
    /// use thalweg::dynamics::invariant_measure::Window;
    /// let (mut all, mut first, mut second) = (Window::new(), Window::new(), Window::new());
    /// for i in 0..64_u8 {
    ///     let part = if i < 32 { &mut first } else { &mut second };
    ///     [part, &mut all].map(|window| window.push(f64::from(i % 7)));
    /// }
    /// first.merge(&second);
    /// assert_eq!(first, all);
    /// ```
    pub fn merge(&mut self, next: &Self) {
        if self.samples == 0 {
            *self = *next;
            return;
        }
        let shift = next.origin - self.origin;
        let [first, second] = BatchMeans::shifted([&next.first, &next.second], shift);
        self.first.merge(&first);
        self.second.merge(&second);
        self.sum += next.sum + next.samples as f64 * shift;
        self.samples = self.samples.saturating_add(next.samples);
    }

    /// Layout of a saved state, here and in a monitor.
    pub(super) const FIELDS: [Field; 10] = {
        let [a, b, c, d] = BatchMeans::FIELDS;
        [Field::U64, Field::reals::<f64>(2), a, b, c, d, a, b, c, d]
    };

    pub(super) fn write(&self, writer: &mut Writer<'_>) -> Result<(), SnapshotError> {
        writer.u64(self.samples)?;
        writer.slice(&[self.origin, self.sum])?;
        self.first.write(writer)?;
        self.second.write(writer)
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<Self, SnapshotError> {
        let samples = reader.u64()?;
        let mut reals = [0.0; 2];
        reader.slice_into(&mut reals)?;
        let [origin, sum] = reals;
        let window = Self {
            origin,
            samples,
            first: BatchMeans::read(reader)?,
            second: BatchMeans::read(reader)?,
            sum,
        };
        // Parts that were joined may have dropped samples, none can have more.
        if !window.first.is_aligned(&window.second) || window.first.held() > samples {
            return Err(SnapshotError::Value {
                name: "samples",
                rule: "must be those of both batch means, or more",
            });
        }
        Ok(window)
    }
}

impl Snapshot for Window {
    fn snapshot_len(&self) -> usize {
        saved_len(&Self::FIELDS)
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"IMWI", 1)?;
        self.write(&mut writer)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"IMWI", 1, &Self::FIELDS)?;
        let state = Self::read(&mut reader)?;
        reader.finish()?;
        *self = state;
        Ok(())
    }
}

/// The outcome of comparing two windows of one observable.
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
            Self::Drifting => "not stationary",
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
    /// The verdict.
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
        report.verdict = match worst.partial_cmp(&critical) {
            Some(Ordering::Greater) => Verdict::Drifting,
            Some(_) => Verdict::Stationary,
            None => Verdict::Inconclusive,
        };
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
