//! What an estimate is made of.

use crate::bilevel::descent;
use crate::error::check;
use crate::{Error, Real};

/// What is perturbed.
///
/// ```
/// assert_eq!(thalweg::bilevel::es_jacobian::Estimate::default(), thalweg::bilevel::es_jacobian::Estimate::Response);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Estimate {
    /// The result of training only: ESJ.
    #[default]
    Response,
    /// The outer value as a function of x alone: HOZOG.
    OuterValue,
}

/// The difference quotient along a direction.
///
/// ```
/// assert_eq!(thalweg::bilevel::es_jacobian::Difference::default(), thalweg::bilevel::es_jacobian::Difference::Forward);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Difference {
    /// One more path per direction, bias O(mu).
    #[default]
    Forward,
    /// Two more paths per direction, bias O(mu^2).
    Central,
}

/// The law of the directions.
///
/// ```
/// assert_eq!(thalweg::bilevel::es_jacobian::Direction::default(), thalweg::bilevel::es_jacobian::Direction::Gaussian);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Direction {
    /// Standard normal: unbiased.
    #[default]
    Gaussian,
    /// Signs, each with probability 1/2: unbiased, the least variance, and a third of the time to draw.
    Rademacher,
    /// Uniform on the unit sphere: the indirect term comes out 1/p as long.
    UnitSphere,
    /// Uniform on the unit sphere, coefficients times p: unbiased.
    UnitSphereTimesP,
    /// The p unit vectors, coefficients summed: exact up to the bias of the difference; `directions` above 0 means all p.
    Basis,
}

/// Where the inner loop of a round starts.
///
/// ```
/// assert_eq!(thalweg::bilevel::es_jacobian::Start::default(), thalweg::bilevel::es_jacobian::Start::Cold);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the same y^0 in every round.
    #[default]
    Cold,
    /// Where the unperturbed path of the last round ended.
    Warm,
}

/// Hyperparameters.
///
/// ```
/// use thalweg::bilevel::{descent, es_jacobian::{Config, Difference}};
/// let inner = descent::Config { steps: 20, method: descent::Method::gd(1e-3) };
/// let config = Config { directions: 10, difference: Difference::Central, ..Config::new(inner) };
/// assert!(config.validate::<f32>().is_ok());
/// let error = Config { radius: 1e-6, ..config }.validate::<f32>().unwrap_err();
/// assert_eq!(error.to_string(), "`radius` must be finite when doubled, and above 1e-6 in f32, 1.9e-15 in f64");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Seed of directions and minibatches.
    pub seed: u64,
    /// The inner loop.
    pub inner: descent::Config,
    /// Directions Q per round; 0 gives the direct gradient.
    pub directions: usize,
    /// Smoothing radius mu; default 0.01. In `f32` rounding costs 0.1 % at 1e-3 forward and passes 10 % at 1e-6.
    pub radius: f64,
    /// Forward or central.
    pub difference: Difference,
    /// The law of the directions.
    pub direction: Direction,
    /// Cold or warm.
    pub start: Start,
    /// ESJ or HOZOG.
    pub estimate: Estimate,
}

impl Config {
    /// ESJ with one Gaussian direction, forward differences and the published radius 0.01, cold start.
    #[must_use]
    pub const fn new(inner: descent::Config) -> Self {
        Self {
            seed: 0,
            inner,
            directions: 1,
            radius: 0.01,
            difference: Difference::Forward,
            direction: Direction::Gaussian,
            start: Start::Cold,
            estimate: Estimate::Response,
        }
    }

    /// Checks the radius against the precision of `T`, and the inner loop.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn validate<T: Real>(&self) -> Result<(), Error> {
        let least = 1e-6 * (T::EPSILON.to_f64() / f64::from(f32::EPSILON));
        check(
            "radius",
            // Central differences divide by twice the radius.
            self.radius > least && T::from_f64(2.0 * self.radius).is_finite(),
            "must be finite when doubled, and above 1e-6 in f32, 1.9e-15 in f64",
        )?;
        self.inner.validate()
    }

    /// Directions of a round with `p` outer variables.
    ///
    /// ```
    /// use thalweg::bilevel::{descent, es_jacobian::{Config, Direction}};
    /// let config = Config::new(descent::Config { steps: 1, method: descent::Method::gd(0.1) });
    /// assert_eq!(config.count(40), 1);
    /// assert_eq!(Config { direction: Direction::Basis, ..config }.count(40), 40);
    /// ```
    #[must_use]
    pub const fn count(&self, p: usize) -> usize {
        match (self.direction, self.directions) {
            (_, 0) => 0,
            (Direction::Basis, _) => p,
            (_, directions) => directions,
        }
    }
}
