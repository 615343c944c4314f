//! The inner loop: N steps of an optimiser from a fixed start, its state zero at the start of every path.
//!
//! ```text
//! for t = 0 .. N-1:   y <- step(y, g_y(x, y; S_t))
//! ```
//!
//! A path that inherits the momentum of another is another map of x, so each one starts with its moments at
//! zero. Moments: s d numbers, s = 0 for gradient descent, 1 with momentum, 2 for Adam.

use crate::error::{check, check_scratch, ensure_finite};
use crate::memory::cut;
use crate::optim::{Optimiser, State, adam, sgd};
use crate::{Error, Real};

use super::{Place, Problem, Round, Variables, copy, is_bounded, lost};

/// The optimiser of the inner loop.
///
/// ```
/// use thalweg::bilevel::descent::Method;
/// assert!(matches!(Method::gd(0.1), Method::Sgd(config) if config.momentum == 0.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Gradient descent, with momentum if its config has some.
    Sgd(sgd::Config),
    /// Adam, without AMSGrad.
    Adam(adam::Config),
}

impl Method {
    /// Plain gradient descent.
    #[must_use]
    pub const fn gd(step_size: f64) -> Self {
        Self::Sgd(sgd::Config::new(step_size))
    }

    /// Elements of the moments for `d` weights.
    ///
    /// ```
    /// use thalweg::bilevel::descent::Method;
    /// assert_eq!(Method::gd(0.1).state_len(40), 0);
    /// assert_eq!(Method::Adam(Default::default()).state_len(40), 80);
    /// ```
    #[must_use]
    pub const fn state_len(&self, d: usize) -> usize {
        match self {
            Self::Sgd(config) => config.state_len(d),
            Self::Adam(config) => config.state_len(d),
        }
    }
}

/// The inner loop of every path.
///
/// ```
/// use thalweg::bilevel::descent::{Config, Method};
/// assert!(Config { steps: 50, method: Method::gd(0.2) }.validate().is_ok());
/// assert!(Config { steps: 50, method: Method::gd(f64::NAN) }.validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Steps N; with 0 the inner variable does not depend on x.
    pub steps: u64,
    /// The optimiser.
    pub method: Method,
}

impl Config {
    /// Checks the optimiser.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn validate(&self) -> Result<(), Error> {
        match self.method {
            Method::Sgd(config) => config.validate(),
            Method::Adam(config) => {
                check("amsgrad", !config.amsgrad, "must be off in an inner loop")?;
                config.validate()
            }
        }
    }
}

/// Scratch of [`run`] in addition to that of the problem: y, a gradient and the moments.
///
/// ```
/// use thalweg::bilevel::descent::{Config, Method, scratch_len};
/// let config = Config { steps: 9, method: Method::gd(0.1) };
/// assert_eq!(scratch_len(&config, 40), 80);
/// ```
#[must_use]
pub const fn scratch_len(config: &Config, d: usize) -> usize {
    d.saturating_add(path_len(config, d))
}

/// Scratch of [`descend`] in addition to that of the problem: a gradient and the moments.
pub(super) const fn path_len(config: &Config, d: usize) -> usize {
    d.saturating_add(config.method.state_len(d))
}

/// Descends from `y` in place.
///
/// # Errors
/// Those of the problem and the optimiser; a scratch shorter than [`scratch_len`] and the problem's together;
/// [`Error::NonFinite`] named `x` or `y`, or `inner path` with the step whose result has no finite squared norm. `y` is then as before.
///
/// ```
/// use thalweg::bilevel::{Round, descent, ridge};
/// use thalweg::matrix::MatrixRef;
/// // One sample: g = (w - 3)^2 / 2 + e^0 w^2 / 2, whose minimum is 3/2.
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// let config = descent::Config { steps: 1, method: descent::Method::gd(0.5) };
/// let mut w = [0.0];
/// descent::run(&config, Round { seed: 0, number: 0 }, &problem, &[0.0], &mut w, &mut [0.0; 3])?;
/// assert_eq!(w, [1.5]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn run<T: Real>(
    config: &Config,
    round: Round,
    problem: &(impl Problem<T> + ?Sized),
    x: &[T],
    y: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    config.validate()?;
    let d = y.len();
    let least = scratch_len(config, d).saturating_add(problem.scratch_len());
    check_scratch("scratch", least, scratch.len())?;
    ensure_finite("x", x)?;
    ensure_finite("y", y)?;
    let ([end], scratch) = cut(scratch, [d])?;
    copy(y, end);
    descend(
        config,
        round,
        problem,
        Variables { x, y: end },
        lost,
        scratch,
    )?;
    copy(end, y);
    Ok(())
}

/// A step of an optimiser, with its state, on weights and their gradient.
type Step<'a, T> = &'a mut dyn FnMut(&mut [T], &[T]) -> Result<(), Error>;

/// Descends from `y` in place; `lost` makes the error of the step whose result has no finite squared norm.
pub(super) fn descend<T: Real>(
    config: &Config,
    round: Round,
    problem: &(impl Problem<T> + ?Sized),
    variables: Variables<'_, T>,
    lost: impl Fn(u64) -> Error,
    scratch: &mut [T],
) -> Result<(), Error> {
    let Variables { x, y } = variables;
    let d = y.len();
    let ([grad, state], scratch) = cut(scratch, [d, config.method.state_len(d)])?;
    problem.prepare(x, scratch)?;
    let mut follow = |step: Step<'_, T>| {
        for t in 0..config.steps {
            problem.inner_gradient_into(Place::new(x, y, &round.inner(t)), grad, scratch)?;
            step(y, grad)?;
            if !is_bounded(y) {
                return Err(lost(t));
            }
        }
        Ok(())
    };
    match config.method {
        Method::Sgd(method) => {
            let mut state = State::new_in(state);
            follow(&mut |y, grad| method.step(&mut state, y, grad))
        }
        Method::Adam(method) => {
            let mut state = State::new_in(state);
            follow(&mut |y, grad| method.step(&mut state, y, grad))
        }
    }
}
