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

use core::f64::consts::PI;

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

/// From `init` to `end` along `(1 - t / steps)^power`; a line when `power` is 1.
///
/// ```
/// use thalweg::optim::schedule::{Polynomial, Schedule};
/// let square = Polynomial { power: 2.0, begin: 10, ..Polynomial::linear(1.0, 0.0, 4) };
/// assert_eq!([5, 12, 99].map(|t| square.value(t)), [1.0, 0.25, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    /// Value up to `begin`.
    pub init: f64,
    /// Value from `begin + steps` on.
    pub end: f64,
    /// Exponent.
    pub power: f64,
    /// Length of the transition; 0 keeps `init` for ever.
    pub steps: u64,
    /// Where the transition begins.
    pub begin: u64,
}

impl Polynomial {
    /// A line from `init` to `end`.
    ///
    /// ```
    /// use thalweg::optim::schedule::{Polynomial, Schedule};
    /// assert_eq!(Polynomial::linear(1.0, 0.0, 4).value(1), 0.75);
    /// ```
    pub const fn linear(init: f64, end: f64, steps: u64) -> Self {
        Self {
            init,
            end,
            power: 1.0,
            steps,
            begin: 0,
        }
    }
}

impl Schedule for Polynomial {
    fn value(&self, step: u64) -> f64 {
        if self.steps == 0 {
            return self.init;
        }
        let t = step.saturating_sub(self.begin).min(self.steps);
        let left = 1.0 - t as f64 / self.steps as f64;
        (self.init - self.end) * libm::pow(left, self.power) + self.end
    }
}

/// `init * rate^(t / steps)`.
///
/// ```
/// use thalweg::optim::schedule::{ExponentialDecay, Schedule};
/// let decay = ExponentialDecay { init: 8.0, rate: 0.5, steps: 10, begin: 0, staircase: true, end: Some(3.0) };
/// assert_eq!([9, 10, 20].map(|t| decay.value(t)), [8.0, 4.0, 3.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExponentialDecay {
    /// Value up to `begin`.
    pub init: f64,
    /// Factor per `steps`; 0 keeps `init` for ever, as in optax.
    pub rate: f64,
    /// Steps in which the value changes by the factor; 0 keeps `init` for ever.
    pub steps: u64,
    /// Where the decay begins.
    pub begin: u64,
    /// Holds the value for `steps` and then jumps.
    pub staircase: bool,
    /// Least value when `rate` is below 1, largest when above.
    pub end: Option<f64>,
}

impl Schedule for ExponentialDecay {
    fn value(&self, step: u64) -> f64 {
        if self.steps == 0 || self.rate == 0.0 {
            return self.init;
        }
        let t = step.saturating_sub(self.begin);
        let mut exponent = t as f64 / self.steps as f64;
        if self.staircase {
            exponent = libm::floor(exponent);
        }
        let value = if t == 0 {
            self.init
        } else {
            self.init * libm::pow(self.rate, exponent)
        };
        match self.end {
            Some(end) if self.rate < 1.0 => libm::fmax(value, end),
            Some(end) => libm::fmin(value, end),
            None => value,
        }
    }
}

/// Half a cosine from `init` to `alpha * init`.
///
/// ```
/// use thalweg::optim::schedule::{CosineDecay, Schedule};
/// let decay = CosineDecay { init: 2.0, steps: 10, alpha: 0.0, exponent: 1.0 };
/// assert_eq!(decay.value(0), 2.0);
/// assert!((decay.value(5) - 1.0).abs() < 1e-15 && decay.value(10) == 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosineDecay {
    /// First value.
    pub init: f64,
    /// Length of the decay; 0 keeps `init` for ever.
    pub steps: u64,
    /// Share of `init` that is left at the end.
    pub alpha: f64,
    /// Exponent of the cosine.
    pub exponent: f64,
}

impl Schedule for CosineDecay {
    fn value(&self, step: u64) -> f64 {
        if self.steps == 0 {
            return self.init;
        }
        let t = step.min(self.steps) as f64 / self.steps as f64;
        let cosine = 0.5 * (1.0 + libm::cos(PI * t));
        self.init * ((1.0 - self.alpha) * libm::pow(cosine, self.exponent) + self.alpha)
    }
}

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

/// `init`, multiplied by a scale from each boundary on.
///
/// ```
/// use thalweg::optim::schedule::{PiecewiseConstant, Schedule};
/// let drops = PiecewiseConstant { init: 1.0, boundaries: &[(10, 0.5), (20, 0.5)] };
/// assert_eq!([9, 10, 20].map(|t| drops.value(t)), [1.0, 0.5, 0.25]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PiecewiseConstant<'a> {
    /// First value.
    pub init: f64,
    /// Steps and the scales that hold from them on, in any order.
    pub boundaries: &'a [(u64, f64)],
}

impl Schedule for PiecewiseConstant<'_> {
    fn value(&self, step: u64) -> f64 {
        let passed = self.boundaries.iter().filter(|(at, _)| *at <= step);
        passed.fold(self.init, |value, (_, scale)| value * scale)
    }
}

/// The path between two values.
///
/// ```
/// use thalweg::optim::schedule::Interpolation;
/// assert_eq!(Interpolation::Linear.between(2.0, 4.0, 0.25), 2.5);
/// assert_eq!(Interpolation::Cosine.between(2.0, 4.0, 1.0), 4.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interpolation {
    /// A line.
    Linear,
    /// Half a cosine.
    Cosine,
}

impl Interpolation {
    /// The value at a share `t` of the way from `start` to `end`.
    pub fn between(self, start: f64, end: f64, t: f64) -> f64 {
        match self {
            Self::Linear => (end - start) * t + start,
            Self::Cosine => end + (start - end) / 2.0 * (libm::cos(PI * t) + 1.0),
        }
    }
}

/// From value to value, each the previous one times a scale.
///
/// ```
/// use thalweg::optim::schedule::{Interpolation, PiecewiseInterpolate, Schedule};
/// let path = PiecewiseInterpolate { kind: Interpolation::Linear, init: 1.0, boundaries: &[(4, 2.0), (8, 0.5)] };
/// assert_eq!([2, 4, 6, 9].map(|t| path.value(t)), [1.5, 2.0, 1.5, 1.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PiecewiseInterpolate<'a> {
    /// The path within an interval.
    pub kind: Interpolation,
    /// First value.
    pub init: f64,
    /// Steps, increasing, and the scale of the value that is reached there.
    pub boundaries: &'a [(u64, f64)],
}

impl Schedule for PiecewiseInterpolate<'_> {
    fn value(&self, step: u64) -> f64 {
        let (mut from, mut start) = (0, self.init);
        for &(to, scale) in self.boundaries {
            let end = start * scale;
            if step < to {
                // from <= step < to: the interval is not empty.
                let t = step.saturating_sub(from) as f64 / to.saturating_sub(from) as f64;
                return self.kind.between(start, end, t);
            }
            (from, start) = (to, end);
        }
        start
    }
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
    /// The cycles in order; the last one stays at its end. Without any the value is 0.
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
}

/// `init * rate^floor(t / steps)`.
///
/// ```
/// use thalweg::optim::schedule::{Schedule, Step};
/// let steps = Step { init: 1.0, rate: 0.5, steps: 10 };
/// assert_eq!([9, 10, 25].map(|t| steps.value(t)), [1.0, 0.5, 0.25]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// First value.
    pub init: f64,
    /// Factor of each jump.
    pub rate: f64,
    /// Steps between jumps; 0 keeps `init` for ever.
    pub steps: u64,
}

impl Schedule for Step {
    fn value(&self, step: u64) -> f64 {
        match step.checked_div(self.steps) {
            Some(jumps) => self.init * crate::Real::powi(self.rate, jumps),
            None => self.init,
        }
    }
}

/// `factor * dim^-1/2 * min(t^-1/2, t warmup^-3/2)` with `t = step + 1`: the transformer's schedule.
///
/// Reference: Vaswani et al., *Attention is all you need* (2017), equation 3.
///
/// ```
/// use thalweg::optim::schedule::{Noam, Schedule};
/// let noam = Noam { factor: 1.0, dim: 4, warmup_steps: 4 };
/// assert_eq!([0, 3, 15].map(|t| noam.value(t)), [0.0625, 0.25, 0.125]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noam {
    /// Scale of the whole.
    pub factor: f64,
    /// Width of the model; 0 counts as 1.
    pub dim: u64,
    /// Steps of linear growth; 0 counts as 1.
    pub warmup_steps: u64,
}

impl Schedule for Noam {
    fn value(&self, step: u64) -> f64 {
        let t = step as f64 + 1.0;
        let warmup = self.warmup_steps.max(1) as f64;
        // All three roots are of numbers at least 1.
        let rise = t / (warmup * libm::sqrt(warmup));
        self.factor / libm::sqrt(self.dim.max(1) as f64) * libm::fmin(1.0 / libm::sqrt(t), rise)
    }
}

/// Lowers a factor when a metric, to be minimised, has not improved for a while.
///
/// The metric counts as improved when it is below `best * (1 - threshold)`. After `patience` steps without that, the factor
/// is multiplied and `cooldown` steps are not counted. A NaN metric never improves.
///
/// ```
/// use thalweg::optim::schedule::{Plateau, ReduceOnPlateau};
/// let config = ReduceOnPlateau { patience: 1, ..ReduceOnPlateau::default() };
/// let mut plateau = Plateau::new();
/// let scales = [5.0, 5.0, 5.0].map(|loss| plateau.observe(&config, loss));
/// assert_eq!(scales, [Ok(1.0), Ok(1.0), Ok(0.1)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReduceOnPlateau {
    /// Multiplier of the scale; in (0, 1), default 0.1.
    pub factor: f64,
    /// Observations without improvement that are tolerated; default 10.
    pub patience: u64,
    /// Relative improvement that counts; finite, at least 0, default 1e-4.
    pub threshold: f64,
    /// Observations after a reduction that are not counted; default 0.
    pub cooldown: u64,
    /// Least scale; finite, at least 0, default 0.
    pub least: f64,
}

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        Self {
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            cooldown: 0,
            least: 0.0,
        }
    }
}

impl ReduceOnPlateau {
    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::schedule::ReduceOnPlateau;
    /// let config = ReduceOnPlateau { factor: 1.0, ..Default::default() };
    /// assert_eq!(config.validate().unwrap_err().to_string(), "`factor` must be in (0, 1)");
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        let inside = self.factor > 0.0 && self.factor < 1.0;
        check("factor", inside, "must be in (0, 1)")?;
        super::check_non_negative("threshold", self.threshold)?;
        super::check_non_negative("least", self.least)
    }
}

/// State of [`ReduceOnPlateau`]: best metric, scale, counters.
///
/// ```
/// assert_eq!(thalweg::optim::schedule::Plateau::new().scale(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    best: f64,
    scale: f64,
    bad: u64,
    cooling: u64,
}

impl Plateau {
    /// Nothing observed, scale 1.
    pub const fn new() -> Self {
        Self {
            best: f64::INFINITY,
            scale: 1.0,
            bad: 0,
            cooling: 0,
        }
    }

    /// Factor for the learning rate.
    pub const fn scale(&self) -> f64 {
        self.scale
    }

    /// Takes note of a metric and returns the scale that holds from here on.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the config is not valid; nothing is changed then.
    pub fn observe(&mut self, config: &ReduceOnPlateau, metric: f64) -> Result<f64, Error> {
        config.validate()?;
        if metric < self.best * (1.0 - config.threshold) {
            self.best = metric;
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        if self.bad > config.patience {
            self.scale = libm::fmax(self.scale * config.factor, config.least);
            self.cooling = config.cooldown;
            self.bad = 0;
        }
        Ok(self.scale)
    }
}

impl Default for Plateau {
    fn default() -> Self {
        Self::new()
    }
}
