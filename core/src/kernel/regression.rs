//! Gaussian-process regression with the kernel of an infinitely wide network, on labels times a scale.
//!
//! ```text
//! f(X) = alpha c   =>   f(X_*) ~ N(alpha K_*n K^-1 c,  K_** - K_*n K^-1 K_n*)
//! ```
//! | symbol | meaning | shape |
//! |---|---|---|
//! | K, [`Covariance`] | kernel of the training rows | n x n |
//! | K_*n | kernel between test and training rows | N_t x n |
//! | c | labels | n |
//! | alpha | label scale; the larger, the more the mean outweighs the spread, which does not depend on it | 1 |
//!
//! This conditions on values. The posterior of a classifier conditions on signs: [`posterior`](super::posterior). As `alpha` grows the
//! signs of draws become those of kernel interpolation, `K_*n K^-1 c`.
//!
//! Cost: `2 n^2` flops for the weights, `2 n` a test row for the mean, `n^2 N_t + n N_t^2` for the covariance. Reference: Rasmussen and
//! Williams, *Gaussian processes for machine learning* (2006), equations 2.23 to 2.24, without noise; Bernstein and Yue (arXiv
//! 2110.04274).

use rand_core::Rng;

use super::covariance::Covariance;
use super::dot;
use crate::error::{check, check_length};
use crate::matrix::{
    MatrixMut, MatrixRef, Product, Upper, cholesky_solve_vector, solve_lower, syrk,
};
use crate::memory::{front, must};
use crate::random::normal;
use crate::{Arithmetic, Error, Real};

/// `K^-1 c`, the weights of the training rows.
///
/// # Errors
/// [`Error::Length`] when the lengths differ; `out` is unchanged.
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, regression::weights_into};
/// use thalweg::matrix::MatrixRef;
/// let mut memory = [0.0; 4];
/// let k = Covariance::new(MatrixRef::new(&[1.0, 0.5, 0.5, 1.0], 2, 2)?, &mut memory)?;
/// let mut w = [0.0; 2];
/// weights_into(&k, &[1.0, -1.0], &mut w)?;
/// assert!((w[0] - 2.0).abs() < 1e-15 && (w[1] + 2.0).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn weights_into(
    covariance: &Covariance<'_>,
    labels: &[f64],
    out: &mut [f64],
) -> Result<(), Error> {
    check_length("labels", covariance.n(), labels.len())?;
    check_length("out", covariance.n(), out.len())?;
    for (out, &label) in out.iter_mut().zip(labels) {
        *out = label;
    }
    cholesky_solve_vector(covariance.factor(), out)
}

/// Mean at the test rows: `alpha K_*n w` with the weights of [`weights_into`].
///
/// `alpha = 1` gives kernel interpolation; only the sign matters as `alpha` goes to infinity.
///
/// # Errors
/// [`Error::Parameter`] when `alpha` is not finite, [`Error::Length`] when shapes do not fit; `out` is unchanged.
///
/// ```
/// use thalweg::kernel::regression::mean_into;
/// use thalweg::matrix::MatrixRef;
/// let mut mean = [0.0];
/// mean_into(10.0, &[2.0, -2.0], MatrixRef::new(&[0.75_f32, 0.5], 1, 2)?, &mut mean)?;
/// assert_eq!(mean, [5.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn mean_into<T: Real>(
    alpha: f64,
    weights: &[f64],
    cross: MatrixRef<'_, T>,
    out: &mut [f64],
) -> Result<(), Error> {
    check("alpha", alpha.is_finite(), "must be finite")?;
    check_length("columns of cross", weights.len(), cross.columns())?;
    check_length("out", cross.rows(), out.len())?;
    for (out, row) in out.iter_mut().zip(cross.row_iter()) {
        *out = alpha * dot(row, weights);
    }
    Ok(())
}

/// Covariance at the test rows: `K_** - K_*n K^-1 K_n*`, whatever the label scale.
///
/// `prior` is `K_**`; the diagonal of the result is at least 0. Work: `n N_t` numbers.
///
/// # Errors
/// [`Error::Length`] when shapes or scratch do not fit; `out` is unchanged.
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, regression::covariance_into};
/// use thalweg::matrix::{MatrixMut, MatrixRef};
/// let mut memory = [0.0; 1];
/// let k = Covariance::new(MatrixRef::new(&[1.0], 1, 1)?, &mut memory)?;
/// let (cross, prior) = (MatrixRef::new(&[0.5], 1, 1)?, MatrixRef::new(&[1.0], 1, 1)?);
/// let mut out = [0.0];
/// covariance_into(&k, cross, prior, MatrixMut::new(&mut out, 1, 1)?, &mut [0.0; 1])?;
/// assert_eq!(out, [0.75]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn covariance_into<T: Real>(
    covariance: &Covariance<'_>,
    cross: MatrixRef<'_, T>,
    prior: MatrixRef<'_, T>,
    mut out: MatrixMut<'_, f64>,
    scratch: &mut [f64],
) -> Result<(), Error> {
    let (n, tests) = (covariance.n(), cross.rows());
    check_length("columns of cross", n, cross.columns())?;
    check_length("rows of prior", tests, prior.rows())?;
    check_length("columns of prior", tests, prior.columns())?;
    check_length("rows of out", tests, out.rows())?;
    check_length("columns of out", tests, out.columns())?;
    let len = n.saturating_mul(tests);
    let mut v = MatrixMut::new(front("scratch", scratch, len)?, n, tests)?;
    for (j, row) in cross.row_iter().enumerate() {
        for (i, x) in row.iter().enumerate() {
            if let Some(v) = v.get_mut(i, j) {
                *v = x.to_f64();
            }
        }
    }
    solve_lower(covariance.factor(), v.reborrow())?;
    for (out, prior) in out.row_iter_mut().zip(prior.row_iter()) {
        for (out, x) in out.iter_mut().zip(prior) {
            *out = x.to_f64();
        }
    }
    let subtract = Product {
        alpha: -1.0,
        ..Product::adding(Arithmetic::Portable)
    };
    let v = v.view();
    syrk(subtract, v.t(), Upper::Mirror, out.reborrow(), &mut [])?;
    for i in 0..tests {
        if let Some(x) = out.get_mut(i, i) {
            *x = x.largest(0.0);
        }
    }
    Ok(())
}

/// One draw of the values at the test rows: `mean + L g`, `g` standard normal.
///
/// `covariance` is that of [`covariance_into`], factorised with a jitter where rounding asks for it. Each element takes two words of the
/// generator.
///
/// # Errors
/// [`Error::Length`] when the lengths differ; nothing is drawn then.
///
/// ```
/// use thalweg::kernel::{covariance::Covariance, regression::draw_into};
/// use thalweg::matrix::MatrixRef;
/// use thalweg::random::{self, Purpose};
/// let mut memory = [0.0; 1];
/// let k = Covariance::new(MatrixRef::new(&[4.0], 1, 1)?, &mut memory)?;
/// let rng = random::stream(1, 0, 0, Purpose::NOISE);
/// let mut f = [0.0];
/// draw_into(&k, &[10.0], &mut rng.clone(), &mut f)?;
/// assert_eq!(f[0], 10.0 + 2.0 * random::normal::<f64>(&mut rng.clone()));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn draw_into(
    covariance: &Covariance<'_>,
    mean: &[f64],
    rng: &mut impl Rng,
    out: &mut [f64],
) -> Result<(), Error> {
    check_length("mean", covariance.n(), mean.len())?;
    check_length("out", covariance.n(), out.len())?;
    out.fill_with(|| normal(rng));
    // Rows from the last on, so that each reads the normal numbers before it.
    let rows = covariance.factor();
    for (i, &mean) in mean.iter().enumerate().rev() {
        let row = must(rows.row(i).and_then(|row| row.get(..=i)));
        let value = mean + dot(row, must(out.get(..=i)));
        if let Some(out) = out.get_mut(i) {
            *out = value;
        }
    }
    Ok(())
}
