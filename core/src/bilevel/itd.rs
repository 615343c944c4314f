//! ITD: the exact hypergradient, by the chain rule backwards through the inner loop.
//!
//! ```text
//! h = f_x,  a = f_y
//! for t = N-1 .. 0:   h <- h - alpha d/dx <g_y(x, y^t; S_t), a>
//!                     a <- a - alpha g_yy(x, y^t; S_t) a
//! ```
//!
//! It stores the whole path: memory grows with N. Inner loops of plain gradient descent only.
//! Reference: Franceschi et al., *Forward and reverse gradient-based hyperparameter optimization*, ICML 2017, algorithm 1.

use crate::error::{check, check_scratch};
use crate::optim::sgd;
use crate::storage::cut;
use crate::{Error, Real, vector};

use super::descent::{self, Method};
use super::{Round, SecondOrder, check_dims, check_path};

/// The step size of a plain descent.
pub(super) fn step_size<T: Real>(inner: &descent::Config) -> Result<T, Error> {
    inner.validate()?;
    match inner.method {
        Method::Sgd(config) if config == sgd::Config::new(config.learning_rate) => {
            Ok(T::from_f64(config.learning_rate))
        }
        _ => check("method", false, "must be plain gradient descent").map(|()| T::ZERO),
    }
}

/// Scratch of [`hypergradient`]: the path, f_y, two products; `problem` is the problem's own. `None` when it cannot be counted.
///
/// ```
/// assert_eq!(thalweg::bilevel::itd::scratch_len(50, 3, 5, 0), Some(50 * 5 + 3 * 5 + 3));
/// ```
#[must_use]
pub const fn scratch_len(steps: u64, p: usize, d: usize, problem: usize) -> Option<usize> {
    if steps > usize::MAX as u64 {
        return None;
    }
    let Some(path) = d.checked_mul(steps as usize) else {
        return None;
    };
    let rest = p
        .saturating_add(d.saturating_mul(3))
        .saturating_add(problem);
    path.checked_add(rest)
}

/// Writes the hypergradient into `h`, moves `y` from y^0 to y^N, answers the outer value.
///
/// # Errors
/// Wrong lengths, or an inner loop that is not plain gradient descent; [`Error::NonFinite`] named `inner path`.
///
/// ```
/// use thalweg::bilevel::{Round, descent, itd, ridge};
/// use thalweg::matrix::MatrixRef;
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// let inner = descent::Config { steps: 2, method: descent::Method::gd(0.25) };
/// let (mut w, mut h, mut scratch) = ([0.0], [0.0], [0.0; 9]);
/// itd::hypergradient(&inner, Round { seed: 0, number: 0 }, &problem, &[0.0], &mut w, &mut scratch, &mut h)?;
/// // w^1 = 3/4, w^2 = 9/8; dw^2/dl = -1/4 (3/4 + 2 * 0) = -3/16; f_w = 9/8 - 3.
/// assert_eq!(h, [3.0 / 16.0 * 15.0 / 8.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn hypergradient<T: Real>(
    inner: &descent::Config,
    round: Round,
    problem: &(impl SecondOrder<T> + ?Sized),
    x: &[T],
    y: &mut [T],
    scratch: &mut [T],
    h: &mut [T],
) -> Result<T, Error> {
    let alpha = step_size::<T>(inner)?;
    let (p, d) = check_dims(problem, x, y, h)?;
    let least = scratch_len(inner.steps, p, d, problem.scratch_len()).unwrap_or(usize::MAX);
    check_scratch("scratch", least, scratch.len())?;
    let path = d.saturating_mul(inner.steps as usize);
    let ([path, a, product, mixed, grad], scratch) = cut(scratch, [path, d, d, p, d])?;
    // An empty path has no chunks; d = 0 would have chunks of length 0.
    let width = d.max(1);
    problem.prepare(x, scratch)?;
    for (t, stored) in (0_u64..).zip(path.chunks_exact_mut(width)) {
        for (to, &from) in stored.iter_mut().zip(&*y) {
            *to = from;
        }
        problem.inner_gradient_into(x, y, &round.inner(t), scratch, grad)?;
        vector::axpy(-alpha, grad, y)?;
    }
    let value = problem.outer_gradients_into(x, y, &round.outer(), scratch, h, a)?;
    check_path(y, value)?;
    problem.prepare(x, scratch)?;
    for (t, y) in path.chunks_exact(width).enumerate().rev() {
        let draw = round.inner(t as u64);
        problem.mixed_product_into(x, y, a, &draw, scratch, mixed)?;
        vector::axpy(-alpha, mixed, h)?;
        problem.hessian_product_into(x, y, a, &draw, scratch, product)?;
        vector::axpy(-alpha, product, a)?;
    }
    Ok(value)
}
