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
//! A schedule answers for any step in any order, so that a resumed run needs the step number alone. Steps are counted from
//! 0. Everything is `f64`, like the hyperparameters; cosines and powers are those of `libm`, the same on every target.
//! Any other hyperparameter can follow a schedule too: the configs are arguments of each step.
//!
//! A schedule has no error: a length of 0 steps means that its start never ends (as in optax), or for a
//! warm-up that it is over at once; non-finite fields give non-finite values, which every `step` refuses by name.
//!
//! | schedule | semantics |
//! |---|---|
//! | [`Constant`], [`Polynomial`] (linear), [`ExponentialDecay`], [`CosineDecay`] | optax |
//! | [`WarmupConstant`], [`WarmupCosineDecay`], [`WarmupExponentialDecay`] | optax |
//! | [`PiecewiseConstant`], [`PiecewiseInterpolate`], [`LinearOnecycle`], [`CosineOnecycle`] | optax |
//! | [`Sgdr`], [`Join`] | optax; for `Sgdr` with equal or growing periods |
//! | [`Step`], [`ReduceOnPlateau`] | PyTorch |
//! | [`Noam`] | burn |

mod decay;
mod onecycle;
mod piecewise;
mod plateau;
mod sequence;
mod warmup;

pub use decay::{CosineDecay, ExponentialDecay, Noam, Polynomial, Step};
pub use onecycle::{CosineOnecycle, LinearOnecycle};
pub use piecewise::{Interpolation, PiecewiseConstant, PiecewiseInterpolate};
pub use plateau::{Plateau, ReduceOnPlateau};
pub use sequence::{Join, Sgdr};
pub use warmup::{WarmupConstant, WarmupCosineDecay, WarmupExponentialDecay};

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
}

/// The same value at every step.
///
/// ```
/// use thalweg::optim::schedule::{Constant, Schedule};
/// assert_eq!(Constant(0.1).value(7), 0.1);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant(
    /// The value.
    pub f64,
);

impl Schedule for Constant {
    fn value(&self, _: u64) -> f64 {
        self.0
    }
}
