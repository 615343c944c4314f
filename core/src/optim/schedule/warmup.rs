//! A line up to the peak before another schedule.

use super::{Constant, CosineDecay, ExponentialDecay, Polynomial, Schedule};

/// A line from `init` to `peak`, then `after`, whose own step 0 is the end of the line.
fn warm_up(init: f64, peak: f64, steps: u64, step: u64, after: &impl Schedule) -> f64 {
    match step.checked_sub(steps) {
        Some(past) => after.value(past),
        None => Polynomial::linear(init, peak, steps).value(step),
    }
}

/// A line from `init` to `peak`, then `peak` for ever.
///
/// ```
/// use thalweg::optim::schedule::{Schedule, WarmupConstant};
/// let warm = WarmupConstant { init: 0.0, peak: 1.0, warmup_steps: 4 };
/// assert_eq!([1, 4, 9].map(|t| warm.value(t)), [0.25, 1.0, 1.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupConstant {
    /// First value.
    pub init: f64,
    /// Value from `warmup_steps` on.
    pub peak: f64,
    /// Length of the line.
    pub warmup_steps: u64,
}

impl Schedule for WarmupConstant {
    fn value(&self, step: u64) -> f64 {
        let after = Constant(self.peak);
        warm_up(self.init, self.peak, self.warmup_steps, step, &after)
    }
}

/// A line from `init` to `peak`, then half a cosine down to `end`.
///
/// ```
/// use thalweg::optim::schedule::{Schedule, WarmupCosineDecay};
/// let warm = WarmupCosineDecay { init: 0.0, peak: 1.0, warmup_steps: 2, decay_steps: 6, end: 0.5, exponent: 1.0 };
/// assert_eq!([1, 2, 6].map(|t| warm.value(t)), [0.5, 1.0, 0.5]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WarmupCosineDecay {
    /// First value.
    pub init: f64,
    /// Value at `warmup_steps`.
    pub peak: f64,
    /// Length of the line.
    pub warmup_steps: u64,
    /// Length of line and cosine together.
    pub decay_steps: u64,
    /// Value from `decay_steps` on.
    pub end: f64,
    /// Exponent of the cosine.
    pub exponent: f64,
}

impl Schedule for WarmupCosineDecay {
    fn value(&self, step: u64) -> f64 {
        let after = CosineDecay {
            init: self.peak,
            steps: self.decay_steps.saturating_sub(self.warmup_steps),
            // The peak is not zero where it divides.
            alpha: if self.peak == 0.0 {
                0.0
            } else {
                self.end / self.peak
            },
            exponent: self.exponent,
        };
        warm_up(self.init, self.peak, self.warmup_steps, step, &after)
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
    /// First value.
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
}
