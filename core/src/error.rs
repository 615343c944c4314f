//! What can be wrong with the arguments of a kernel.
//!
//! A rule is text, not an enum: about 120 of them are written in 180 places, two in three of them once, and no caller tells them apart but
//! by reading. The rule of an algorithm stays in its file that way.

use core::fmt;

use crate::{Real, vector};

/// Where a value is that is not finite.
///
/// ```
/// use thalweg::error::At;
/// assert_eq!((At::Step(7).to_string(), At::Value.to_string()), (" at step 7".into(), "".into()));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum At {
    /// An element of a slice; of a matrix `i * columns + j`.
    Element(usize),
    /// A row of the data.
    Row(usize),
    /// A particle of a cloud.
    Particle(usize),
    /// A direction of an estimator.
    Direction(usize),
    /// A step or iteration.
    Step(u64),
    /// The quantity itself: a scalar, or a sum of finite terms that overflows.
    Value,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Element(i) => write!(f, " at index {i}"),
            Self::Row(i) => write!(f, " at row {i}"),
            Self::Particle(i) => write!(f, " at particle {i}"),
            Self::Direction(i) => write!(f, " in direction {i}"),
            Self::Step(t) => write!(f, " at step {t}"),
            Self::Value => Ok(()),
        }
    }
}

/// An argument that a kernel cannot work with; nothing has been written when it is returned.
///
/// Variants carry the name of the argument, so that the message says which one to mend.
///
/// ```
/// use thalweg::{Error, vector};
/// let mut y = [1.0_f32; 3];
/// let error = vector::axpy(2.0, &[1.0, 2.0], &mut y).unwrap_err();
/// assert_eq!(error, Error::Length { name: "y", expected: 2, found: 3 });
/// assert_eq!(error.to_string(), "`y` has length 3, expected 2");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A slice of the wrong length.
    Length {
        /// The argument.
        name: &'static str,
        /// The length that the other arguments ask for (the least one where a scratch may be longer).
        expected: usize,
        /// The length that was passed.
        found: usize,
    },
    /// A hyperparameter, count or index outside its range.
    Parameter {
        /// The parameter.
        name: &'static str,
        /// What it must be, as a clause: `"must be finite and positive"`.
        rule: &'static str,
    },
    /// A value that is NaN or infinite where a finite one is needed.
    NonFinite {
        /// The argument or quantity.
        name: &'static str,
        /// The first such place.
        at: At,
    },
    /// A matrix that is not positive definite or not invertible to working precision.
    Singular {
        /// The matrix.
        name: &'static str,
        /// Row at which the factorisation stopped.
        index: usize,
    },
    /// An iteration that did not reach its tolerance.
    NoConvergence {
        /// The iteration.
        name: &'static str,
        /// Iterations spent.
        iterations: usize,
    },
    /// A parameter too large for the iteration to remain stable.
    Unstable {
        /// The parameter that is too large.
        name: &'static str,
        /// The step at which it shows.
        step: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Length {
                name,
                expected,
                found,
            } => {
                write!(f, "`{name}` has length {found}, expected {expected}")
            }
            Self::Parameter { name, rule } => write!(f, "`{name}` {rule}"),
            Self::NonFinite { name, at } => write!(f, "`{name}` is not finite{at}"),
            Self::Singular { name, index } => {
                write!(
                    f,
                    "`{name}` is singular to working precision at row {index}"
                )
            }
            Self::NoConvergence { name, iterations } => {
                write!(f, "`{name}` did not converge in {iterations} iterations")
            }
            Self::Unstable { name, step } => write!(f, "`{name}` is too large at step {step}"),
        }
    }
}

impl core::error::Error for Error {}

/// Checks the length of an argument.
///
/// # Errors
/// [`Error::Length`] when `found != expected`.
///
/// ```
/// assert!(thalweg::error::check_length("grad", 4, 4).is_ok());
/// assert!(thalweg::error::check_length("grad", 4, 3).is_err());
/// ```
#[inline]
pub const fn check_length(name: &'static str, expected: usize, found: usize) -> Result<(), Error> {
    if expected == found {
        Ok(())
    } else {
        Err(Error::Length {
            name,
            expected,
            found,
        })
    }
}

/// Checks that a scratch buffer holds at least `least` elements.
///
/// # Errors
/// [`Error::Length`] when `found < least`.
///
/// ```
/// assert!(thalweg::error::check_scratch("scratch", 4, 9).is_ok());
/// assert!(thalweg::error::check_scratch("scratch", 4, 3).is_err());
/// ```
#[inline]
pub const fn check_scratch(name: &'static str, least: usize, found: usize) -> Result<(), Error> {
    if found >= least {
        Ok(())
    } else {
        Err(Error::Length {
            name,
            expected: least,
            found,
        })
    }
}

/// Checks a rule on a parameter.
///
/// # Errors
/// [`Error::Parameter`] when `holds` is false.
///
/// ```
/// let error = thalweg::error::check("k", 7 <= 5, "must be at most the dimension").unwrap_err();
/// assert_eq!(error.to_string(), "`k` must be at most the dimension");
/// ```
#[inline]
pub const fn check(name: &'static str, holds: bool, rule: &'static str) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(Error::Parameter { name, rule })
    }
}

/// Checks that every element is finite.
///
/// # Errors
/// [`Error::NonFinite`] with the first that is NaN or infinite.
///
/// ```
/// let error = thalweg::error::ensure_finite("grad", &[1.0, f32::NAN]).unwrap_err();
/// assert_eq!(error.to_string(), "`grad` is not finite at index 1");
/// ```
#[inline]
pub fn ensure_finite<T: Real>(name: &'static str, x: &[T]) -> Result<(), Error> {
    ensure_finite_by(name, x, At::Element)
}

/// [`ensure_finite`] of elements that belong to something larger: `place` maps the index of one to it.
#[inline]
pub(crate) fn ensure_finite_by<T: Real>(
    name: &'static str,
    x: &[T],
    place: impl FnOnce(usize) -> At,
) -> Result<(), Error> {
    match vector::first_non_finite(x) {
        None => Ok(()),
        Some(index) => Err(Error::NonFinite {
            name,
            at: place(index),
        }),
    }
}

/// Checks a quantity of which it is known whether it is finite.
#[inline]
pub(crate) const fn ensure_finite_at(
    name: &'static str,
    is_finite: bool,
    at: At,
) -> Result<(), Error> {
    if is_finite {
        Ok(())
    } else {
        Err(Error::NonFinite { name, at })
    }
}
