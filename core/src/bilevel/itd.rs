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

use crate::error::{check, check_scratch, ensure_finite_at};
use crate::memory::cut;
use crate::optim::sgd;
use crate::{At, Error, Real, vector};

use super::descent::{self, Method};
use super::{
    Place, Round, SecondOrder, Variables, check_bounded, check_dims, check_outer, copy, is_bounded,
    lost,
};

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

/// Scratch of [`hypergradient`]: the path, f_x, f_y, y^N, two products; `problem` is the problem's own. `None` when it cannot be counted.
///
/// ```
/// assert_eq!(thalweg::bilevel::itd::scratch_len(50, 3, 5, 0), Some(50 * 5 + 3 * 5 + 2 * 3));
/// ```
#[must_use]
pub const fn scratch_len(steps: u64, p: usize, d: usize, problem: usize) -> Option<usize> {
    if steps as usize as u64 != steps {
        return None;
    }
    let Some(path) = d.checked_mul(steps as usize) else {
        return None;
    };
    let rest = p
        .saturating_mul(2)
        .saturating_add(d.saturating_mul(3))
        .saturating_add(problem);
    path.checked_add(rest)
}

/// Writes the hypergradient into `h`, moves `y` from y^0 to y^N, returns the outer value.
///
/// # Errors
/// Wrong lengths, or an inner loop that is not plain gradient descent; [`Error::NonFinite`] named `x`, `y`, `inner path`, `outer value`,
/// `outer gradient f_x`, `outer gradient f_y`, `mixed product` or `adjoint` with the inner step as its index, or `hypergradient`. `y` and
/// `h` are then as before.
///
/// ```
/// use thalweg::bilevel::{Round, Variables, descent, itd, ridge};
/// use thalweg::matrix::MatrixRef;
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// let inner = descent::Config { steps: 2, method: descent::Method::gd(0.25) };
/// let (mut w, mut h, mut scratch) = ([0.0], [0.0], [0.0; 9]);
/// let variables = Variables { x: &[0.0], y: &mut w };
/// itd::hypergradient(&inner, Round { seed: 0, number: 0 }, &problem, variables, &mut h, &mut scratch)?;
/// // w^1 = 3/4, w^2 = 9/8; dw^2/dl = -1/4 (3/4 + 2 * 0) = -3/16; f_w = 9/8 - 3.
/// assert_eq!(h, [3.0 / 16.0 * 15.0 / 8.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn hypergradient<T: Real>(
    inner: &descent::Config,
    round: Round,
    problem: &(impl SecondOrder<T> + ?Sized),
    variables: Variables<'_, T>,
    h: &mut [T],
    scratch: &mut [T],
) -> Result<T, Error> {
    let Variables { x, y } = variables;
    let alpha = step_size::<T>(inner)?;
    let (p, d) = check_dims(problem, x, ("y", y), h)?;
    let least = scratch_len(inner.steps, p, d, problem.scratch_len()).unwrap_or(usize::MAX);
    check_scratch("scratch", least, scratch.len())?;
    let path = d.saturating_mul(inner.steps as usize);
    let ([path, a, product, mixed, fx, y_n], scratch) = cut(scratch, [path, d, d, p, p, d])?;
    copy(y, y_n);
    // An empty path has no chunks; d = 0 would have chunks of length 0.
    let width = d.max(1);
    problem.prepare(x, scratch)?;
    for (t, stored) in (0_u64..).zip(path.chunks_exact_mut(width)) {
        copy(y_n, stored);
        problem.inner_gradient_into(Place::new(x, y_n, &round.inner(t)), product, scratch)?;
        vector::axpy(-alpha, product, y_n)?;
        if !is_bounded(y_n) {
            return Err(lost(t));
        }
    }
    let value = problem.outer_gradients_into(Place::new(x, y_n, &round.outer()), fx, a, scratch)?;
    check_outer(value, fx, a)?;
    problem.prepare(x, scratch)?;
    for (t, y_t) in path.chunks_exact(width).enumerate().rev() {
        let draw = round.inner(t as u64);
        problem.mixed_product_into(Place::new(x, y_t, &draw), a, mixed, scratch)?;
        check_at(t, "mixed product", mixed)?;
        vector::axpy(-alpha, mixed, fx)?;
        problem.hessian_product_into(Place::new(x, y_t, &draw), a, product, scratch)?;
        vector::axpy(-alpha, product, a)?;
        check_at(t, "adjoint", a)?;
    }
    check_bounded("hypergradient", fx)?;
    copy(fx, h);
    copy(y_n, y);
    Ok(value)
}

/// Checks the squared norm of what the reverse pass has at inner step `index`.
fn check_at<T: Real>(index: usize, name: &'static str, x: &[T]) -> Result<(), Error> {
    ensure_finite_at(name, is_bounded(x), At::Step(index as u64))
}
