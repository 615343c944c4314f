//! Learning-rate schedules: a number for a step, without memory.
//!
//! ```
//! use thalweg::optim::schedule::{Schedule, WarmupCosineDecay};
//! let schedule = WarmupCosineDecay { init: 0.0, peak: 0.8, warmup_steps: 4, decay_steps: 12, end: 0.0, exponent: 1.0 };
//! assert_eq!(schedule.value(2), 0.4);
//! assert_eq!(schedule.value(4), 0.8);
//! assert!((schedule.value(8) - 0.4).abs() < 1e-15);
//! ```
//!
//! A schedule has a value for any step in any order, so that a resumed run needs the step number alone. Steps are counted from
//! 0. Everything is `f64`, like the hyperparameters; cosines and powers are those of `libm`, the same on every target.
//! Any other hyperparameter can follow a schedule too: the configs are arguments of each step.
//!
//! [`Schedule::value`] has no error. [`Schedule::validate`] has: it names the first field that is out of the range that it states, and
//! belongs before a run. Of a valid schedule every value is finite, but for growth beyond the largest `f64`, and the ends are exact: the
//! first value is `init` and the last one `end` bit for bit. Non-finite fields give non-finite values, which every `step` refuses by name.
//! A length of 0 steps means that the start never ends (as in optax), or for a warm-up that it is over at once.
//!
//! | schedule | semantics |
//! |---|---|
//! | [`Constant`], [`Polynomial`] (linear), [`ExponentialDecay`], [`CosineDecay`] | optax |
//! | [`WarmupConstant`], [`WarmupCosineDecay`], [`WarmupExponentialDecay`] | optax |
//! | [`PiecewiseConstant`], [`PiecewiseInterpolate`], [`LinearOnecycle`], [`CosineOnecycle`] | optax |
//! | [`Sgdr`], [`Join`] | optax; for `Sgdr` with equal or growing periods |
//! | [`Step`], [`ReduceOnPlateau`] | PyTorch |
//! | [`Noam`] | burn |

// Held by `tests::values_of_valid_schedules_are_finite`, `tests::first_and_last_values_are_those_of_the_fields` and
// `tests::every_field_out_of_range_is_named`.

mod decay;
mod onecycle;
mod piecewise;
mod plateau;
mod sequence;
mod warmup;

pub use decay::{CosineDecay, ExponentialDecay, Noam, Polynomial, Step};
pub use onecycle::{CosineOnecycle, LinearOnecycle};
pub use piecewise::{Interpolation, PiecewiseConstant, PiecewiseInterpolate};
pub use plateau::{Mode, Plateau, ReduceOnPlateau, ThresholdMode};
pub use sequence::{Join, Sgdr};
pub use warmup::{WarmupConstant, WarmupCosineDecay, WarmupExponentialDecay};

use crate::Error;
use crate::error::check;

/// A number for each step.
///
/// ```
/// use thalweg::optim::schedule::Schedule;
/// struct Halving;
/// impl Schedule for Halving {
///     fn value(&self, step: u64) -> f64 { 1.0 / (1.0 + step as f64) }
/// }
/// assert_eq!(Halving.value(1), 0.5);
/// ```
pub trait Schedule {
    /// The value at a step, counted from 0.
    fn value(&self, step: u64) -> f64;

    /// Checks every range that the fields state; a schedule without ranges needs no other check.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::schedule::{Polynomial, Schedule};
    /// let bad = Polynomial { power: -1.0, ..Polynomial::linear(1.0, 0.0, 4) };
    /// assert_eq!(bad.validate().unwrap_err().to_string(), "`power` must be finite and positive");
    /// ```
    fn validate(&self) -> Result<(), Error> {
        Ok(())
    }
}

fn check_finite(name: &'static str, x: f64) -> Result<(), Error> {
    check(name, x.is_finite(), "must be finite")
}

fn check_positive(name: &'static str, x: f64) -> Result<(), Error> {
    let positive = x > 0.0 && x.is_finite();
    check(name, positive, "must be finite and positive")
}

fn check_steps(name: &'static str, steps: u64) -> Result<(), Error> {
    check(name, steps > 0, "must be at least 1")
}

/// Refuses boundaries of which one is not above the one before it.
fn check_increasing(
    name: &'static str,
    mut boundaries: impl Iterator<Item = u64>,
) -> Result<(), Error> {
    let mut last = None;
    let increase = boundaries.all(|at| last.replace(at).is_none_or(|before| before < at));
    check(name, increase, "must have increasing boundaries")
}

/// The same value at every step.
///
/// ```
/// use thalweg::optim::schedule::{Constant, Schedule};
/// assert_eq!(Constant(0.1).value(7), 0.1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(
    /// The value; finite.
    pub f64,
);

impl Schedule for Constant {
    fn value(&self, _: u64) -> f64 {
        self.0
    }

    fn validate(&self) -> Result<(), Error> {
        check_finite("constant", self.0)
    }
}

#[cfg(test)]
mod tests;
