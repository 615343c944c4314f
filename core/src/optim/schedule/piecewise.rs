//! From boundary to boundary, by jumps or along a path.

use core::f64::consts::PI;

use super::{Schedule, check_finite, check_increasing};
use crate::Error;
use crate::error::check;

/// `init`, multiplied by a scale from each boundary on.
///
/// ```
/// use thalweg::optim::schedule::{PiecewiseConstant, Schedule};
/// let drops = PiecewiseConstant { init: 1.0, boundaries: &[(10, 0.5), (20, 0.5)] };
/// assert_eq!([9, 10, 20].map(|t| drops.value(t)), [1.0, 0.5, 0.25]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PiecewiseConstant<'a> {
    /// First value; finite.
    pub init: f64,
    /// Steps and the scales that hold from them on, in any order; scales are finite and at least 0, as in optax.
    pub boundaries: &'a [(u64, f64)],
}

impl Schedule for PiecewiseConstant<'_> {
    fn value(&self, step: u64) -> f64 {
        let passed = self.boundaries.iter().filter(|(at, _)| *at <= step);
        passed.fold(self.init, |value, (_, scale)| value * scale)
    }

    fn validate(&self) -> Result<(), Error> {
        check_finite("init", self.init)?;
        check_scales(self.boundaries)
    }
}

fn check_scales(boundaries: &[(u64, f64)]) -> Result<(), Error> {
    check(
        "boundaries",
        boundaries.iter().all(|(_, s)| *s >= 0.0 && s.is_finite()),
        "must have finite scales, none of them negative",
    )
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
    /// First value; finite.
    pub init: f64,
    /// Steps, increasing, and the scale of the value that is reached there; finite and at least 0, as in optax.
    pub boundaries: &'a [(u64, f64)],
}

impl Schedule for PiecewiseInterpolate<'_> {
    fn value(&self, step: u64) -> f64 {
        let points = self
            .boundaries
            .iter()
            .scan(self.init, |value, (at, scale)| {
                *value *= scale;
                Some((*at, *value))
            });
        along(self.kind, self.init, points, step)
    }

    fn validate(&self) -> Result<(), Error> {
        check_finite("init", self.init)?;
        check_increasing("boundaries", self.boundaries.iter().map(|(at, _)| *at))?;
        check_scales(self.boundaries)
    }
}

/// The value at a step on the path from `init` through points, whose steps increase; the last one holds from there on.
pub(super) fn along(
    kind: Interpolation,
    init: f64,
    points: impl IntoIterator<Item = (u64, f64)>,
    step: u64,
) -> f64 {
    let (mut from, mut start) = (0, init);
    for (to, end) in points {
        if step <= from && step < to {
            return start;
        }
        if step < to {
            // from < step < to: the interval is not empty.
            let t = step.saturating_sub(from) as f64 / to.saturating_sub(from) as f64;
            return kind.between(start, end, t);
        }
        (from, start) = (to, end);
    }
    start
}
