//! One cycle: up to a peak, down again, and out.

use super::piecewise::along;
use super::{Interpolation, Schedule, check_finite, check_positive, check_steps};
use crate::Error;
use crate::error::check;

/// The step at a share of a cycle, rounded down.
const fn at(share: f64, steps: u64) -> u64 {
    (share * steps as f64) as u64
}

fn check_share(
    name: &'static str,
    least: f64,
    share: f64,
    rule: &'static str,
) -> Result<(), Error> {
    check(name, share >= least && share <= 1.0, rule)
}

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
    /// Length of the cycle; at least 1, as in optax.
    pub steps: u64,
    /// Largest value; finite.
    pub peak: f64,
    /// Share of the steps at which the peak is reached; in [0, 1], default 0.3.
    pub start: f64,
    /// Share of the steps at which the first value is reached again; between `start` and 1, default 0.85.
    pub last: f64,
    /// Peak over first value; finite and positive, default 25.
    pub divisor: f64,
    /// First over last value; finite and positive, default 1e4.
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
        let first = self.peak / self.divisor;
        let points = [
            (at(self.start, self.steps), self.peak),
            (at(self.last, self.steps), first),
            (self.steps, first / self.final_divisor),
        ];
        along(Interpolation::Linear, first, points, step)
    }

    fn validate(&self) -> Result<(), Error> {
        check_steps("steps", self.steps)?;
        check_finite("peak", self.peak)?;
        check_share("start", 0.0, self.start, "must be in [0, 1]")?;
        check_share(
            "last",
            self.start,
            self.last,
            "must be between `start` and 1",
        )?;
        check_positive("divisor", self.divisor)?;
        check_positive("final_divisor", self.final_divisor)
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
    /// Length of the cycle; at least 1, as in optax.
    pub steps: u64,
    /// Largest value; finite.
    pub peak: f64,
    /// Share of the steps at which the peak is reached; in [0, 1], default 0.3.
    pub start: f64,
    /// Peak over first value; finite and positive, default 25.
    pub divisor: f64,
    /// First over last value; finite and positive, default 1e4.
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
        let first = self.peak / self.divisor;
        let points = [
            (at(self.start, self.steps), self.peak),
            (self.steps, first / self.final_divisor),
        ];
        along(Interpolation::Cosine, first, points, step)
    }

    fn validate(&self) -> Result<(), Error> {
        check_steps("steps", self.steps)?;
        check_finite("peak", self.peak)?;
        check_share("start", 0.0, self.start, "must be in [0, 1]")?;
        check_positive("divisor", self.divisor)?;
        check_positive("final_divisor", self.final_divisor)
    }
}
