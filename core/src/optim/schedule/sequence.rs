//! Schedules one after the other.

use super::{Schedule, WarmupCosineDecay, check_increasing};
use crate::Error;
use crate::error::check;

/// Cosine decays that restart warm; each cycle is a [`WarmupCosineDecay`] whose `decay_steps` is its length.
///
/// ```
/// use thalweg::optim::schedule::{Schedule, Sgdr, WarmupCosineDecay};
/// let cycle = WarmupCosineDecay { init: 0.0, peak: 1.0, warmup_steps: 0, decay_steps: 4, end: 0.0, exponent: 1.0 };
/// let restarts = Sgdr { cycles: &[cycle, WarmupCosineDecay { decay_steps: 8, ..cycle }] };
/// assert_eq!([0, 4, 12].map(|t| restarts.value(t)), [1.0, 1.0, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgdr<'a> {
    /// The cycles in order, at least one; the last one stays at its end. Without any the value is 0.
    pub cycles: &'a [WarmupCosineDecay],
}

impl Schedule for Sgdr<'_> {
    fn value(&self, step: u64) -> f64 {
        let (mut t, mut value) = (step, 0.0);
        for cycle in self.cycles {
            value = cycle.value(t);
            match t.checked_sub(cycle.decay_steps) {
                Some(past) => t = past,
                None => break,
            }
        }
        value
    }

    fn validate(&self) -> Result<(), Error> {
        check("cycles", !self.cycles.is_empty(), "must have a cycle")?;
        self.cycles.iter().try_for_each(Schedule::validate)
    }
}

/// Schedules one after the other; each counts its own steps from its boundary.
///
/// ```
/// use thalweg::optim::schedule::{Constant, Join, Polynomial, Schedule};
/// let down = Polynomial::linear(1.0, 0.0, 4);
/// let join = Join { first: &Constant(1.0), rest: &[(10, &down)] };
/// assert_eq!([9, 10, 12].map(|t| join.value(t)), [1.0, 1.0, 0.5]);
/// ```
#[derive(Clone, Copy)]
pub struct Join<'a> {
    /// The schedule before the first boundary.
    pub first: &'a dyn Schedule,
    /// Boundaries, increasing, and the schedules from them on.
    pub rest: &'a [(u64, &'a dyn Schedule)],
}

impl core::fmt::Debug for Join<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let boundaries = self.rest.iter().map(|(at, _)| at);
        f.debug_list().entries(boundaries).finish()
    }
}

impl Schedule for Join<'_> {
    fn value(&self, step: u64) -> f64 {
        let begun = self.rest.iter().rev();
        let mut begun = begun.filter_map(|(at, s)| Some((step.checked_sub(*at)?, s)));
        match begun.next() {
            Some((t, schedule)) => schedule.value(t),
            None => self.first.value(step),
        }
    }

    fn validate(&self) -> Result<(), Error> {
        check_increasing("rest", self.rest.iter().map(|(at, _)| *at))?;
        self.first.validate()?;
        self.rest.iter().try_for_each(|(_, s)| s.validate())
    }
}
