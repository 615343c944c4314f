//! A scale that follows a metric: the one schedule with a memory.

use crate::Error;
use crate::error::check;

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
        crate::optim::check_non_negative("threshold", self.threshold)?;
        crate::optim::check_non_negative("least", self.least)
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
