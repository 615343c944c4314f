//! One cycle: up to a peak, down again, and out.

use super::{Interpolation, PiecewiseInterpolate, Schedule};

/// Up to a peak and down again along lines, then down to almost nothing.
///
/// ```
/// use thalweg::optim::schedule::{LinearOnecycle, Schedule};
/// let cycle = LinearOnecycle::new(100, 1.0);
/// assert_eq!(cycle.value(0), 0.04);
/// assert!((cycle.value(30) - 1.0).abs() < 1e-15 && (cycle.value(85) - 0.04).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinearOnecycle {
    /// Length of the cycle.
    pub steps: u64,
    /// Largest value.
    pub peak: f64,
    /// Share of the steps at which the peak is reached; default 0.3.
    pub start: f64,
    /// Share of the steps at which the first value is reached again; default 0.85.
    pub last: f64,
    /// Peak over first value; default 25.
    pub divisor: f64,
    /// First over last value; default 1e4.
    pub final_divisor: f64,
}

impl LinearOnecycle {
    /// optax's defaults.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::schedule::LinearOnecycle::new(9, 1.0).divisor, 25.0);
    /// ```
    pub const fn new(steps: u64, peak: f64) -> Self {
        Self {
            steps,
            peak,
            start: 0.3,
            last: 0.85,
            divisor: 25.0,
            final_divisor: 1e4,
        }
    }
}

impl Schedule for LinearOnecycle {
    fn value(&self, step: u64) -> f64 {
        let at = |share: f64| (share * self.steps as f64) as u64;
        PiecewiseInterpolate {
            kind: Interpolation::Linear,
            init: self.peak / self.divisor,
            boundaries: &[
                (at(self.start), self.divisor),
                (at(self.last), 1.0 / self.divisor),
                (self.steps, 1.0 / self.final_divisor),
            ],
        }
        .value(step)
    }
}

/// Up to a peak and down to almost nothing along half cosines.
///
/// ```
/// use thalweg::optim::schedule::{CosineOnecycle, Schedule};
/// let cycle = CosineOnecycle::new(100, 1.0);
/// assert!((cycle.value(15) - 0.52).abs() < 1e-15 && (cycle.value(30) - 1.0).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineOnecycle {
    /// Length of the cycle.
    pub steps: u64,
    /// Largest value.
    pub peak: f64,
    /// Share of the steps at which the peak is reached; default 0.3.
    pub start: f64,
    /// Peak over first value; default 25.
    pub divisor: f64,
    /// First over last value; default 1e4.
    pub final_divisor: f64,
}

impl CosineOnecycle {
    /// optax's defaults.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::schedule::CosineOnecycle::new(9, 1.0).start, 0.3);
    /// ```
    pub const fn new(steps: u64, peak: f64) -> Self {
        Self {
            steps,
            peak,
            start: 0.3,
            divisor: 25.0,
            final_divisor: 1e4,
        }
    }
}

impl Schedule for CosineOnecycle {
    fn value(&self, step: u64) -> f64 {
        let at = (self.start * self.steps as f64) as u64;
        PiecewiseInterpolate {
            kind: Interpolation::Cosine,
            init: self.peak / self.divisor,
            boundaries: &[
                (at, self.divisor),
                (self.steps, 1.0 / (self.divisor * self.final_divisor)),
            ],
        }
        .value(step)
    }
}
