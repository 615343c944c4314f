//! From one value to another: lines, powers, exponentials, cosines, steps.

use core::f64::consts::PI;

use super::{Schedule, check_finite, check_positive, check_steps};
use crate::Error;
use crate::optim::check_non_negative;

/// From `init` to `end` along `(1 - t / steps)^power`; a line when `power` is 1.
///
/// ```
/// use thalweg::optim::schedule::{Polynomial, Schedule};
/// let square = Polynomial { power: 2.0, begin: 10, ..Polynomial::linear(1.0, 0.0, 4) };
/// assert_eq!([5, 12, 99].map(|t| square.value(t)), [1.0, 0.25, 0.0]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Polynomial {
    /// Value up to `begin`; finite.
    pub init: f64,
    /// Value from `begin + steps` on; finite.
    pub end: f64,
    /// Exponent; finite and positive.
    pub power: f64,
    /// Length of the transition; 0 keeps `init` throughout.
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
        let t = step.saturating_sub(self.begin);
        if self.steps == 0 || t == 0 {
            return self.init;
        }
        if t >= self.steps {
            return self.end;
        }
        let left = 1.0 - t as f64 / self.steps as f64;
        (self.init - self.end) * libm::pow(left, self.power) + self.end
    }

    fn validate(&self) -> Result<(), Error> {
        check_finite("init", self.init)?;
        check_finite("end", self.end)?;
        check_positive("power", self.power)
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
    /// Value up to `begin`; finite.
    pub init: f64,
    /// Factor per `steps`; finite, at least 0; 0 keeps `init` throughout, as in optax.
    pub rate: f64,
    /// Steps in which the value changes by the factor; 0 keeps `init` throughout.
    pub steps: u64,
    /// Where the decay begins.
    pub begin: u64,
    /// Holds the value for `steps` and then jumps.
    pub staircase: bool,
    /// Least value when `rate` is below 1, largest when above; finite.
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
        // Nothing is left nothing by a growth that overflows.
        let value = if t == 0 || self.init == 0.0 {
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

    fn validate(&self) -> Result<(), Error> {
        check_finite("init", self.init)?;
        check_non_negative("rate", self.rate)?;
        check_finite("end", self.end.unwrap_or(0.0))
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
    /// First value; finite.
    pub init: f64,
    /// Length of the decay; at least 1, as in optax. 0 keeps `init` throughout.
    pub steps: u64,
    /// Share of `init` that is left at the end; finite.
    pub alpha: f64,
    /// Exponent of the cosine; finite and positive.
    pub exponent: f64,
}

impl Schedule for CosineDecay {
    fn value(&self, step: u64) -> f64 {
        if self.steps == 0 || step == 0 {
            return self.init;
        }
        if step >= self.steps {
            return self.init * self.alpha;
        }
        let left = cosine(step, self.steps, self.exponent);
        self.init * ((1.0 - self.alpha) * left + self.alpha)
    }

    fn validate(&self) -> Result<(), Error> {
        check_finite("init", self.init)?;
        check_steps("steps", self.steps)?;
        check_finite("alpha", self.alpha)?;
        check_positive("exponent", self.exponent)
    }
}

/// `((1 + cos(pi t / steps)) / 2)^exponent`, from 1 to 0 for `t` up to `steps`, which is positive.
pub(super) fn cosine(t: u64, steps: u64, exponent: f64) -> f64 {
    let half = 0.5 * (1.0 + libm::cos(PI * (t as f64 / steps as f64)));
    libm::pow(half, exponent)
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
    /// First value; finite.
    pub init: f64,
    /// Factor of each jump; finite, at least 0.
    pub rate: f64,
    /// Steps between jumps; 0 keeps `init` throughout.
    pub steps: u64,
}

impl Schedule for Step {
    fn value(&self, step: u64) -> f64 {
        match step.checked_div(self.steps) {
            Some(jumps) if self.init != 0.0 => self.init * crate::Real::powi(self.rate, jumps),
            _ => self.init,
        }
    }

    fn validate(&self) -> Result<(), Error> {
        check_finite("init", self.init)?;
        check_non_negative("rate", self.rate)
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
    /// Scale of the whole; finite.
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

    fn validate(&self) -> Result<(), Error> {
        check_finite("factor", self.factor)
    }
}
