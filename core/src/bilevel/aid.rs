//! AID: the hypergradient by the implicit function theorem at the end of the inner loop.
//!
//! ```text
//! solve g_yy v = f_y at (x, y^N),   h = f_x - d/dx <g_y(x, y^N), v>
//! conjugate gradients:  M steps from v = 0
//! fixed point:          v <- v - eta (g_yy v - f_y), M times from v = 0
//! ```
//!
//! It assumes that y^N is a minimum. g is taken on the minibatch of inner step N. Conjugate gradients that have met f_y exactly stop, with
//! the last iterate; they take a small f_y times a power of two, so that no square underflows.
//! Reference: Grazzi et al., *On the iteration complexity of hypergradient computation*, ICML 2020.

use crate::error::check_scratch;
use crate::memory::cut;
use crate::solve::conjugate_gradients::{self, check_residual};
use crate::{Error, Real, vector};

use super::{
    Place, Round, SecondOrder, Variables, check_dims, check_outer, check_rate, copy, descent, lost,
    subtract_mixed,
};

/// How the linear system is solved.
///
/// ```
/// use thalweg::bilevel::aid::Solver;
/// assert_ne!(Solver::ConjugateGradients, Solver::FixedPoint { step_size: 0.1 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Solver {
    /// Conjugate gradients: for g convex in y.
    ConjugateGradients,
    /// Gradient descent on the quadratic; the step must be below 2 over the largest curvature.
    FixedPoint {
        /// Step eta; finite and positive. That of the inner loop is the published choice.
        step_size: f64,
    },
}

/// Hyperparameters.
///
/// ```
/// use thalweg::bilevel::{aid, descent};
/// let inner = descent::Config { steps: 50, method: descent::Method::gd(0.2) };
/// let config = aid::Config { inner, products: 10, solver: aid::Solver::ConjugateGradients };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// The inner loop.
    pub inner: descent::Config,
    /// Hessian-vector products M.
    pub products: usize,
    /// The solver.
    pub solver: Solver,
}

impl Config {
    /// Checks the inner loop and the step of the solver.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn validate(&self) -> Result<(), Error> {
        if let Solver::FixedPoint { step_size } = self.solver {
            check_rate::<f64>("step_size", step_size)?;
        }
        self.inner.validate()
    }
}

/// Scratch of [`hypergradient`]: y^N, the solver's vectors, f_x, a mixed product, the inner loop; `problem` is the problem's own.
///
/// ```
/// use thalweg::bilevel::{aid, descent};
/// let inner = descent::Config { steps: 50, method: descent::Method::gd(0.2) };
/// let config = aid::Config { inner, products: 10, solver: aid::Solver::ConjugateGradients };
/// assert_eq!(aid::scratch_len(&config, 3, 5, 0), 5 * 5 + 2 * 3);
/// ```
#[must_use]
pub const fn scratch_len(config: &Config, p: usize, d: usize, problem: usize) -> usize {
    p.saturating_mul(2)
        .saturating_add(d.saturating_mul(4))
        .saturating_add(descent::path_len(&config.inner, d))
        .saturating_add(problem)
}

/// Writes the hypergradient into `h`, moves `y` from y^0 to y^N, returns the outer value.
///
/// # Errors
/// Wrong lengths and settings; [`Error::NonFinite`] named `x`, `y`, `inner path`, `outer value`, `outer gradient f_x`,
/// `outer gradient f_y`, `residual` with the product of the solver as its index, `solution`, `mixed product` or `hypergradient`. `y` and
/// `h` are then as before.
///
/// ```
/// use thalweg::bilevel::{Round, Variables, aid, descent, ridge};
/// use thalweg::matrix::MatrixRef;
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// let inner = descent::Config { steps: 1, method: descent::Method::gd(0.5) };
/// let config = aid::Config { inner, products: 1, solver: aid::Solver::ConjugateGradients };
/// let (mut w, mut h, mut scratch) = ([0.0], [0.0], [0.0; 9]);
/// let variables = Variables { x: &[0.0], y: &mut w };
/// aid::hypergradient(&config, Round { seed: 0, number: 0 }, &problem, variables, &mut h, &mut scratch)?;
/// // w = 3/2, f_w = -3/2, Hessian 2: v = -3/4; h = -e^0 w v.
/// assert_eq!(h, [9.0 / 8.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn hypergradient<T: Real>(
    config: &Config,
    round: Round,
    problem: &(impl SecondOrder<T> + ?Sized),
    variables: Variables<'_, T>,
    h: &mut [T],
    scratch: &mut [T],
) -> Result<T, Error> {
    let Variables { x, y } = variables;
    config.validate()?;
    let eta = match config.solver {
        Solver::FixedPoint { step_size } => check_rate("step_size", step_size)?,
        Solver::ConjugateGradients => T::ZERO,
    };
    let (p, d) = check_dims(problem, x, ("y", y), h)?;
    let least = scratch_len(config, p, d, problem.scratch_len());
    check_scratch("scratch", least, scratch.len())?;
    let ([y_n, v, r, mixed, fx], scratch) = cut(scratch, [d, d, d, p, p])?;
    copy(y, y_n);
    let path = Variables { x, y: y_n };
    descent::descend(&config.inner, round, problem, path, lost, scratch)?;
    let ([system], scratch) = cut(scratch, [conjugate_gradients::scratch_len(d)])?;
    let value = problem.outer_gradients_into(Place::new(x, y_n, &round.outer()), fx, r, scratch)?;
    check_outer(value, fx, r)?;
    let draw = round.inner(config.inner.steps);
    problem.prepare(x, scratch)?;
    match config.solver {
        Solver::FixedPoint { .. } => {
            let ([product], _) = cut(system, [d])?;
            v.fill(T::ZERO);
            for step in 0..config.products {
                problem.hessian_product_into(Place::new(x, y_n, &draw), v, product, scratch)?;
                vector::axpy(-T::ONE, r, product)?;
                check_residual(vector::norm2_squared(product), step)?;
                vector::axpy(-eta, product, v)?;
            }
        }
        Solver::ConjugateGradients => {
            let product = |q: &[T], out: &mut [T]| {
                problem.hessian_product_into(Place::new(x, y_n, &draw), q, out, scratch)
            };
            conjugate_gradients::solve(product, config.products, r, v, system)?;
        }
    }
    subtract_mixed(problem, Place::new(x, y_n, &draw), v, [mixed, fx], scratch)?;
    copy(fx, h);
    copy(y_n, y);
    Ok(value)
}
