//! A line up to the peak before another schedule.

use super::decay::cosine;
use super::{Constant, ExponentialDecay, Polynomial, Schedule, check_finite, check_positive};
use crate::Error;
use crate::error::check;

/// A line from `init` to `peak`, then `after`, whose own step 0 is the end of the line.
fn warm_up(init: f64, peak: f64, steps: u64, step: u64, after: &impl Schedule) -> f64 {
    match step.checked_sub(steps) {
        Some(past) => after.value(past),
        None => Polynomial::linear(init, peak, steps).value(step),
    }
}

/// A line from `init` to `peak`, then `peak` for the rest of the run.
///
/// ```
/// use thalweg::optim::schedule::{Schedule, WarmupConstant};
/// let warm = WarmupConstant { init: 0.0, peak: 1.0, warmup_steps: 4 };
/// assert_eq!([1, 4, 9].map(|t| warm.value(t)), [0.25, 1.0, 1.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupConstant {
    /// First value; finite.
    pub init: f64,
    /// Value from `warmup_steps` on; finite.
    pub peak: f64,
    /// Length of the line.
    pub warmup_steps: u64,
}

impl Schedule for WarmupConstant {
    fn value(&self, step: u64) -> f64 {
        let after = Constant(self.peak);
        warm_up(self.init, self.peak, self.warmup_steps, step, &after)
    }

    fn validate(&self) -> Result<(), Error> {
        check_finite("init", self.init)?;
        check_finite("peak", self.peak)
    }
}

/// A line from `init` to `peak`, then half a cosine down (or up) to `end`.
///
/// ```text
/// value = end + (peak - end) ((1 + cos(pi u)) / 2)^exponent     u = (t - warmup_steps) / (decay_steps - warmup_steps)
/// ```
///
/// ```
/// use thalweg::optim::schedule::{Schedule, WarmupCosineDecay};
/// let warm = WarmupCosineDecay { init: 0.0, peak: 1.0, warmup_steps: 2, decay_steps: 6, end: 0.5, exponent: 1.0 };
/// assert_eq!([1, 2, 6].map(|t| warm.value(t)), [0.5, 1.0, 0.5]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupCosineDecay {
    /// First value; finite.
    pub init: f64,
    /// Value at `warmup_steps`; finite.
    pub peak: f64,
    /// Length of the line; below `decay_steps`.
    pub warmup_steps: u64,
    /// Length of line and cosine together; optax, too, refuses one without room for a cosine.
    pub decay_steps: u64,
    /// Value from `decay_steps` on, however long the line; finite.
    pub end: f64,
    /// Exponent of the cosine; finite and positive.
    pub exponent: f64,
}

impl Schedule for WarmupCosineDecay {
    fn value(&self, step: u64) -> f64 {
        if step >= self.decay_steps {
            return self.end;
        }
        match step.checked_sub(self.warmup_steps) {
            None => Polynomial::linear(self.init, self.peak, self.warmup_steps).value(step),
            Some(0) => self.peak,
            Some(t) => {
                // warmup_steps < step < decay_steps.
                let steps = self.decay_steps.saturating_sub(self.warmup_steps);
                self.end + (self.peak - self.end) * cosine(t, steps, self.exponent)
            }
        }
    }

    fn validate(&self) -> Result<(), Error> {
        check_finite("init", self.init)?;
        check_finite("peak", self.peak)?;
        let has_room = self.warmup_steps < self.decay_steps;
        check("decay_steps", has_room, "must be above `warmup_steps`")?;
        check_finite("end", self.end)?;
        check_positive("exponent", self.exponent)
    }
}

/// A line from `init` to the first value of a decay, then that decay.
///
/// ```
/// use thalweg::optim::schedule::{ExponentialDecay, Schedule, WarmupExponentialDecay};
/// let decay = ExponentialDecay { init: 1.0, rate: 0.5, steps: 1, begin: 0, staircase: false, end: None };
/// let warm = WarmupExponentialDecay { init: 0.0, warmup_steps: 2, decay };
/// assert_eq!([1, 2, 3].map(|t| warm.value(t)), [0.5, 1.0, 0.5]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupExponentialDecay {
    /// First value; finite.
    pub init: f64,
    /// Length of the line.
    pub warmup_steps: u64,
    /// What follows; its `init` is the peak, its steps are counted from the end of the line.
    pub decay: ExponentialDecay,
}

impl Schedule for WarmupExponentialDecay {
    fn value(&self, step: u64) -> f64 {
        warm_up(
            self.init,
            self.decay.init,
            self.warmup_steps,
            step,
            &self.decay,
        )
    }

    fn validate(&self) -> Result<(), Error> {
        check_finite("init", self.init)?;
        self.decay.validate()
    }
}
