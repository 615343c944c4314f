//! A scale that follows a metric: the one schedule with a memory.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "a count above zero, and lengths that saturate"
)]

use crate::Error;
use crate::error::check;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};

/// Whether a metric is better when it is smaller, or larger: PyTorch's `mode`.
///
/// ```
/// assert_eq!(thalweg::optim::schedule::Mode::default(), thalweg::optim::schedule::Mode::Min);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Losses: smaller is better.
    #[default]
    Min,
    /// Accuracies, log-likelihoods, rewards: larger is better.
    Max,
}

/// What the threshold of an improvement is measured in: PyTorch's `threshold_mode`.
///
/// ```
/// use thalweg::optim::schedule::ThresholdMode;
/// assert_eq!(ThresholdMode::default(), ThresholdMode::Relative);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ThresholdMode {
    /// The magnitude of the best metric.
    #[default]
    Relative,
    /// The unit of the metric.
    Absolute,
}

/// Lowers a factor when a metric has not improved for a while.
///
/// ```text
/// margin = threshold |best|                 absolute: threshold
/// improved  if  metric < best - margin      Mode::Max: metric > best + margin
/// ```
///
/// The first metric that is not NaN is an improvement. After `patience` observations without one, the factor is multiplied and
/// `cooldown` observations are not counted. A NaN metric never improves.
///
/// Semantics of `torch.optim.lr_scheduler.ReduceLROnPlateau`, but for metrics below zero: PyTorch's relative bar, `best (1 - threshold)`,
/// lies above a negative best metric, so that a constant one improves at each step.
///
/// ```
/// use thalweg::optim::schedule::{Plateau, ReduceOnPlateau};
/// let config = ReduceOnPlateau { patience: 1, ..ReduceOnPlateau::default() };
/// let mut plateau = Plateau::new();
/// let scales = [-5.0, -5.0, -5.0].map(|loss| plateau.observe(&config, loss));
/// assert_eq!(scales, [Ok(1.0), Ok(1.0), Ok(0.1)]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReduceOnPlateau {
    /// Which metrics are better; default [`Mode::Min`]. Not to be changed during a run.
    pub mode: Mode,
    /// Multiplier of the scale; in (0, 1), default 0.1.
    pub factor: f64,
    /// Observations without improvement that are tolerated; default 10.
    pub patience: u64,
    /// Improvement that counts; finite, at least 0, default 1e-4.
    pub threshold: f64,
    /// What the threshold is measured in; default [`ThresholdMode::Relative`].
    pub threshold_mode: ThresholdMode,
    /// Observations after a reduction that are not counted; default 0.
    pub cooldown: u64,
    /// Least scale; finite, at least 0, default 0. A scale that is below it already stays.
    pub least: f64,
}

impl Default for ReduceOnPlateau {
    fn default() -> Self {
        Self {
            mode: Mode::Min,
            factor: 0.1,
            patience: 10,
            threshold: 1e-4,
            threshold_mode: ThresholdMode::Relative,
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

    /// Whether a metric that is not NaN improves on the best one.
    fn improves(&self, metric: f64, best: f64) -> bool {
        let (metric, best) = match self.mode {
            Mode::Min => (metric, best),
            Mode::Max => (-metric, -best),
        };
        let margin = match self.threshold_mode {
            // Of an infinite best metric every share is infinite.
            ThresholdMode::Relative if best.is_finite() => self.threshold * best.abs(),
            ThresholdMode::Relative => 0.0,
            ThresholdMode::Absolute => self.threshold,
        };
        metric < best - margin
    }
}

/// State of [`ReduceOnPlateau`]: best metric, scale, counters.
///
/// ```
/// assert_eq!(thalweg::optim::schedule::Plateau::new().scale(), 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plateau {
    /// Never NaN.
    best: Option<f64>,
    scale: f64,
    bad: u64,
    cooling: u64,
}

impl Plateau {
    /// Nothing observed, scale 1.
    pub const fn new() -> Self {
        Self {
            best: None,
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
        let improved = match self.best {
            _ if metric.is_nan() => false,
            Some(best) => config.improves(metric, best),
            None => true,
        };
        if improved {
            self.best = Some(metric);
            self.bad = 0;
        } else {
            self.bad = self.bad.saturating_add(1);
        }
        if self.cooling > 0 {
            self.cooling -= 1;
            self.bad = 0;
        }
        if self.bad > config.patience {
            let reduced = libm::fmax(self.scale * config.factor, config.least);
            self.scale = libm::fmin(self.scale, reduced);
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

const KIND: [u8; 4] = *b"PLAT";
const FIELDS: [Field; 4] = [
    Field::real::<f64>(),
    Field::real::<f64>(),
    Field::U64,
    Field::U64,
];

impl Snapshot for Plateau {
    fn snapshot_len(&self) -> usize {
        saved_len(&FIELDS)
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, KIND, 1)?;
        // NaN stands for no metric: none that is NaN is ever the best.
        writer.real(self.best.unwrap_or(f64::NAN))?;
        writer.real(self.scale)?;
        writer.u64(self.bad)?;
        writer.u64(self.cooling)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, KIND, 1, &FIELDS)?;
        let best: f64 = reader.real()?;
        let restored = Self {
            best: (!best.is_nan()).then_some(best),
            scale: reader.real()?,
            bad: reader.u64()?,
            cooling: reader.u64()?,
        };
        if !(0.0..=1.0).contains(&restored.scale) {
            return Err(SnapshotError::Value {
                name: "scale",
                rule: "must be in [0, 1]",
            });
        }
        reader.finish()?;
        *self = restored;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const QUICK: ReduceOnPlateau = ReduceOnPlateau {
        mode: Mode::Min,
        factor: 0.5,
        patience: 1,
        threshold: 0.01,
        threshold_mode: ThresholdMode::Relative,
        cooldown: 0,
        least: 0.0,
    };

    fn scales(config: &ReduceOnPlateau, metrics: &[f64]) -> Vec<f64> {
        let mut plateau = Plateau::new();
        let observe = |m: &f64| plateau.observe(config, *m).unwrap();
        metrics.iter().map(observe).collect()
    }

    #[test]
    fn a_constant_metric_is_a_plateau_whatever_its_sign() {
        let config = ReduceOnPlateau {
            patience: 2,
            factor: 0.1,
            ..QUICK
        };
        for mode in [Mode::Min, Mode::Max] {
            for metric in [1.0, -1.0, 0.0, -1e300, 1e-320, f64::INFINITY] {
                let found = scales(&ReduceOnPlateau { mode, ..config }, &[metric; 8]);
                let expected = [1.0, 1.0, 1.0, 0.1, 0.1, 0.1, 0.01, 0.01];
                for (f, e) in found.iter().zip(expected) {
                    assert!((f - e).abs() < 1e-15, "{mode:?} {metric}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn a_metric_that_rises_from_below_zero_does_not_improve() {
        let mut plateau = Plateau::new();
        for t in 0..234 {
            let metric = -10.0 + 0.03 * f64::from(t);
            plateau.observe(&QUICK, metric).unwrap();
        }
        assert_eq!(plateau.best, Some(-10.0));
        // -10 - 0.01 * 10 is the bar.
        plateau.observe(&QUICK, -10.09).unwrap();
        assert_eq!(plateau.best, Some(-10.0));
        plateau.observe(&QUICK, -10.11).unwrap();
        assert_eq!(plateau.best, Some(-10.11));
    }

    #[test]
    fn maximising_is_minimising_the_negative() {
        let up = ReduceOnPlateau {
            mode: Mode::Max,
            ..QUICK
        };
        let metrics = [0.1, 0.5, 0.504, 0.506, 0.4, -3.0, f64::NAN, 0.52, 0.52];
        for threshold_mode in [ThresholdMode::Relative, ThresholdMode::Absolute] {
            let with = |config| ReduceOnPlateau {
                threshold_mode,
                ..config
            };
            let negative = metrics.map(|m| -m);
            assert_eq!(
                scales(&with(up), &metrics),
                scales(&with(QUICK), &negative),
                "{threshold_mode:?}"
            );
        }
        // 0.504 is within 0.005 of 0.5, 0.506 is not; then two worse ones.
        let found = scales(&up, &metrics);
        assert_eq!(found, [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5]);
    }

    #[test]
    fn an_absolute_threshold_is_in_the_unit_of_the_metric() {
        let config = ReduceOnPlateau {
            threshold: 2.0,
            threshold_mode: ThresholdMode::Absolute,
            ..QUICK
        };
        // 98 is not below 100 - 2; 97 is; -1 is not below 0 - 2, and so on.
        let found = scales(&config, &[100.0, 98.0, 97.0, 0.0, -1.0, -2.0, -3.0]);
        assert_eq!(found, [1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5]);
    }

    #[test]
    fn the_first_metric_is_taken_whatever_the_threshold() {
        for threshold in [0.0, 1.0, 5.0] {
            for threshold_mode in [ThresholdMode::Relative, ThresholdMode::Absolute] {
                let config = ReduceOnPlateau {
                    threshold,
                    threshold_mode,
                    ..QUICK
                };
                for metric in [3.0, -3.0, f64::INFINITY, 0.0] {
                    let mut plateau = Plateau::new();
                    plateau.observe(&config, f64::NAN).unwrap();
                    assert_eq!((plateau.best, plateau.bad), (None, 1));
                    plateau.observe(&config, metric).unwrap();
                    assert_eq!((plateau.best, plateau.bad), (Some(metric), 0));
                }
                // Anything finite is better than an infinite loss.
                let mut plateau = Plateau::new();
                plateau.observe(&config, f64::INFINITY).unwrap();
                plateau.observe(&config, 1e300).unwrap();
                assert_eq!(plateau.best, Some(1e300));
            }
        }
    }

    #[test]
    fn a_run_of_nan_lowers_the_scale() {
        assert_eq!(scales(&QUICK, &[f64::NAN; 4]), [1.0, 0.5, 0.5, 0.25]);
    }

    #[test]
    fn the_least_scale_never_raises_one() {
        let config = ReduceOnPlateau {
            least: 2.0,
            patience: 0,
            ..QUICK
        };
        assert_eq!(scales(&config, &[1.0; 4]), [1.0; 4]);
    }

    #[test]
    fn a_restored_plateau_goes_on_with_the_same_scales() {
        let config = ReduceOnPlateau {
            cooldown: 2,
            ..QUICK
        };
        let metric = |t: u32| -1.0 - f64::from(t % 5) * 0.1;
        for saved_at in [0, 1, 7] {
            let mut plateau = Plateau::new();
            for t in 0..saved_at {
                plateau.observe(&config, metric(t)).unwrap();
            }
            let mut bytes = vec![0; plateau.snapshot_len()];
            assert_eq!(plateau.save(&mut bytes), Ok(bytes.len()));
            let mut resumed = Plateau::new();
            resumed.observe(&config, -99.0).unwrap();
            resumed.restore(&bytes).unwrap();
            for t in saved_at..30 {
                let found = resumed.observe(&config, metric(t)).unwrap();
                assert_eq!(found, plateau.observe(&config, metric(t)).unwrap());
            }
            assert_eq!(resumed, plateau);
            assert!(plateau.scale() < 1.0);
            bytes[40] ^= 1;
            let before = resumed;
            assert!(resumed.restore(&bytes).is_err());
            assert_eq!(resumed, before);
        }
    }

    #[test]
    fn a_scale_that_no_run_reaches_is_not_restored() {
        for scale in [1.5, -0.5, f64::NAN] {
            let bad = Plateau {
                scale,
                ..Plateau::new()
            };
            let mut bytes = [0; 128];
            let len = bad.save(&mut bytes).unwrap();
            let mut plateau = Plateau::new();
            assert!(matches!(
                plateau.restore(&bytes[..len]),
                Err(SnapshotError::Value { name: "scale", .. })
            ));
            assert_eq!(plateau, Plateau::new());
        }
    }
}
