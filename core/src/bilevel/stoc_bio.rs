//! stocBiO: the implicit hypergradient by a Neumann series of Hessian-vector products, each on a minibatch drawn anew.
//!
//! ```text
//! y = y^N(x);   r_0 = f_y(x, y; D)
//! r_{q+1} = r_q - eta g_yy(x, y; B_q) r_q,   q = 0 .. Q-1
//! v = eta (r_0 + ... + r_Q),   h = f_x(x, y; D) - d/dx <g_y(x, y; B_Q), v>
//! ```
//!
//! The mean of v is `eta sum_{q <= Q} (I - eta g_yy)^q f_y`, which tends to `g_yy^{-1} f_y` while eta is below 2 over the largest
//! curvature; what is left is the factor `(1 - eta mu)^{Q+1}` for curvatures of at least mu. Without minibatches it is the fixed point of
//! [`aid`](super::aid) with Q + 1 products.
//!
//! | symbol | meaning |
//! |---|---|
//! | eta | step size of the series |
//! | Q | Hessian-vector products |
//! | D | outer minibatch, [`Round::outer`] |
//! | B_q | inner minibatch, [`Round::inner`] of N + q: those after the ones of the inner loop |
//!
//! Cost: N inner gradients, Q Hessian-vector products, one mixed product.
//!
//! Reference: Ji, Yang and Liang, *Bilevel optimization: convergence analysis and enhanced design*, ICML 2021, algorithm 2 and equation 6,
//! where the sum runs from q = -1 to Q - 1.

use crate::error::{check_scratch, ensure_finite_at};
use crate::memory::cut;
use crate::{At, Error, Real, vector};

use super::{
    Place, Round, SecondOrder, Variables, check_dims, check_outer, check_rate, copy, descent,
    is_bounded, lost, subtract_mixed,
};

/// Hyperparameters.
///
/// ```
/// use thalweg::bilevel::{descent, stoc_bio};
/// let inner = descent::Config { steps: 50, method: descent::Method::gd(0.2) };
/// let config = stoc_bio::Config { inner, products: 10, eta: 0.2 };
/// assert!(config.validate().is_ok());
/// assert!(stoc_bio::Config { eta: 0.0, ..config }.validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// The inner loop.
    pub inner: descent::Config,
    /// Hessian-vector products Q; with 0, `v = eta f_y`.
    pub products: usize,
    /// Step size eta of the series; finite and positive, and below 2 over the largest curvature of g for the series to converge.
    pub eta: f64,
}

impl Config {
    /// Checks the inner loop and eta.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn validate(&self) -> Result<(), Error> {
        check_rate::<f64>("eta", self.eta)?;
        self.inner.validate()
    }
}

/// Scratch of [`hypergradient`]: y^N, a term, the sum, f_x, a mixed product, the inner loop; `problem` is the problem's own.
///
/// ```
/// use thalweg::bilevel::{descent, stoc_bio};
/// let inner = descent::Config { steps: 50, method: descent::Method::gd(0.2) };
/// let config = stoc_bio::Config { inner, products: 10, eta: 0.2 };
/// assert_eq!(stoc_bio::scratch_len(&config, 3, 5, 0), 4 * 5 + 2 * 3);
/// ```
#[must_use]
pub const fn scratch_len(config: &Config, p: usize, d: usize, problem: usize) -> usize {
    p.saturating_mul(2)
        .saturating_add(d.saturating_mul(3))
        .saturating_add(descent::path_len(&config.inner, d))
        .saturating_add(problem)
}

/// Writes the hypergradient into `h`, moves `y` from y^0 to y^N, returns the outer value.
///
/// # Errors
/// Wrong lengths and settings; [`Error::NonFinite`] named `x`, `y`, `inner path`, `outer value`, `outer gradient f_x`,
/// `outer gradient f_y`, `Neumann term` with its product as the index, `solution`, `mixed product` or `hypergradient`. `y` and `h` are then
/// as before.
///
/// ```
/// use thalweg::bilevel::{Round, Variables, descent, ridge, stoc_bio};
/// use thalweg::matrix::MatrixRef;
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// let inner = descent::Config { steps: 1, method: descent::Method::gd(0.5) };
/// let config = stoc_bio::Config { inner, products: 1, eta: 0.25 };
/// let (mut w, mut h, mut scratch) = ([0.0], [0.0], [0.0; 7]);
/// let variables = Variables { x: &[0.0], y: &mut w };
/// stoc_bio::hypergradient(&config, Round { seed: 0, number: 0 }, &problem, variables, &mut h, &mut scratch)?;
/// // w = 3/2, f_w = -3/2, Hessian 2: v = (1 + 1/2) f_w / 4 = -9/16; h = -e^0 w v.
/// assert_eq!(h, [27.0 / 32.0]);
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
    let eta = check_rate::<T>("eta", config.eta)?;
    let (p, d) = check_dims(problem, x, ("y", y), h)?;
    let least = scratch_len(config, p, d, problem.scratch_len());
    check_scratch("scratch", least, scratch.len())?;
    let ([y_n, r, v, mixed, fx], scratch) = cut(scratch, [d, d, d, p, p])?;
    copy(y, y_n);
    let path = Variables { x, y: y_n };
    descent::descend(&config.inner, round, problem, path, lost, scratch)?;
    let ([product], scratch) = cut(scratch, [d])?;
    let value = problem.outer_gradients_into(Place::new(x, y_n, &round.outer()), fx, r, scratch)?;
    check_outer(value, fx, r)?;
    problem.prepare(x, scratch)?;
    copy(r, v);
    let mut step = config.inner.steps;
    for index in 0..config.products {
        let draw = round.inner(step);
        problem.hessian_product_into(Place::new(x, y_n, &draw), r, product, scratch)?;
        vector::axpy(-eta, product, r)?;
        ensure_finite_at("Neumann term", is_bounded(r), At::Step(index as u64))?;
        vector::axpy(T::ONE, r, v)?;
        step = step.wrapping_add(1);
    }
    vector::scale(eta, v);
    let draw = round.inner(step);
    subtract_mixed(problem, Place::new(x, y_n, &draw), v, [mixed, fx], scratch)?;
    copy(fx, h);
    copy(y_n, y);
    Ok(value)
}
