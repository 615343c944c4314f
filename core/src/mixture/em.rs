//! Expectation maximisation of a Gaussian mixture over all rows.
//!
//! ```text
//! r_ik = exp(l_ik - LSE_k l_ik)                                  with the old parameters
//! n_k = sum_i r_ik,   pi_k = n_k / sum n,   mu_k = sum_i r_ik x_i / n_k
//! Sigma_k = sum_i r_ik (x_i - mu_k)(x_i - mu_k)^T / n_k + reg I       diagonal: its diagonal; spherical: the mean of that
//! Sigma   = sum_k sum_i r_ik (x_i - mu_k)(x_i - mu_k)^T / sum n + reg I       tied
//! ```
//!
//! Every step raises the mean log-likelihood when `reg` is 0, or leaves it. Means are formed about the old means, covariances about the new
//! ones, in two passes in `f64`, row after row. With scratch for all `N K` responsibilities the second pass reads what the first has
//! computed; with less it computes them again, a block of rows at a time: the bits are the same.
//!
//! Cost: `N K` evaluations (`2 N K` with less scratch) and exponentials, `N K D (D + 5)` flops for the moments.
//!
//! [`fit`] repeats the step until the log-likelihood stops rising, [`start`] sets a mixture from the data, [`fit_starts`] keeps the best of several
//! starts.
//!
//! Reference: Bishop, *Pattern recognition and machine learning* (2006), 9.23 to 9.28. A step is one iteration of scikit-learn's
//! `GaussianMixture`, but for its `10 eps` in every `n_k`.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of rows and components that are slices in memory"
)]

mod fit;
mod start;

use super::gaussian::{
    Covariance, Evaluator, Mixture, add_outer, check_data, moments_into, row, row_mut,
};
use super::{WEIGHT_FLOOR, responsibilities};
use crate::error::{check, check_length, check_scratch, ensure_finite, ensure_finite_at};
use crate::matrix::MatrixRef;
use crate::memory::{cut, must};
use crate::{At, Error, Real, Storage, vector};

pub use fit::{Fit, Fitted, fit, fit_starts};
pub use start::{Init, start, start_scratch_len};

/// Hyperparameters.
///
/// ```
/// assert_eq!(thalweg::mixture::em::Config::default().reg_covar, 1e-6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Added to the variances; finite, at least 0. 1e-6 by default, as in scikit-learn.
    pub reg_covar: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { reg_covar: 1e-6 }
    }
}

impl Config {
    /// Checks the range that the field states.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    ///
    /// ```
    /// assert!(thalweg::mixture::em::Config { reg_covar: -1.0 }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check_reg(self.reg_covar)
    }
}

/// Rows of data, and how much each counts.
///
/// A row of weight 2 counts as two rows that are equal, a row of weight 0 as none.
///
/// ```
/// use thalweg::matrix::MatrixRef;
/// use thalweg::mixture::em::Rows;
/// let data = MatrixRef::new(&[1.0_f64, 3.0], 2, 1)?;
/// assert_eq!(Rows::from(data).total(), 2.0);
/// assert_eq!(Rows { data, weights: Some(&[0.5, 0.25]) }.total(), 0.75);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a, T> {
    /// The rows: N x D.
    pub data: MatrixRef<'a, T>,
    /// A weight for each row, finite and not negative; `None` is 1 for all.
    pub weights: Option<&'a [f64]>,
}

impl<'a, T> From<MatrixRef<'a, T>> for Rows<'a, T> {
    fn from(data: MatrixRef<'a, T>) -> Self {
        Self {
            data,
            weights: None,
        }
    }
}

impl<T: Real> Rows<'_, T> {
    /// Sum of the weights.
    pub fn total(&self) -> f64 {
        match self.weights {
            Some(weights) => weights.iter().fold(0.0, |sum, w| sum + *w),
            None => self.data.rows() as f64,
        }
    }

    fn weight(&self, i: usize) -> f64 {
        match self.weights {
            Some(weights) => must(weights.get(i).copied()),
            None => 1.0,
        }
    }

    fn check(&self, d: usize) -> Result<(), Error> {
        check_data(d, &self.data)?;
        let Some(weights) = self.weights else {
            return Ok(());
        };
        check_length("weights", self.data.rows(), weights.len())?;
        ensure_finite("weights", weights)?;
        let positive = weights.iter().all(|w| *w >= 0.0);
        check("weights", positive, "must not be negative")?;
        let total = self.total();
        let positive = total > 0.0 && total.is_finite();
        check("weights", positive, "must have a positive, finite sum")
    }
}

/// Checks what is added to variances.
pub(super) fn check_reg(reg_covar: f64) -> Result<(), Error> {
    check(
        "reg_covar",
        reg_covar >= 0.0 && reg_covar.is_finite(),
        "must be finite and not negative",
    )
}

/// What a step has found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// `(1/N) sum_i ln p(x_i)`, weighted, of the parameters before the step: scikit-learn's `lower_bound_`. -inf when a row is impossible.
    pub mean_log_likelihood: f64,
    /// Components that kept their covariance, because the one of the rows was not positive definite.
    pub kept: usize,
    /// Likelihoods evaluated.
    pub evaluations: u64,
}

/// Numbers of scratch in addition to the responsibilities.
const fn sums_len(covariance: Covariance, k: usize, d: usize) -> usize {
    k.saturating_mul(d.saturating_add(1))
        .saturating_add(covariance.factors_len(k, d))
        .saturating_add(d)
        .saturating_add(covariance.scratch_len(d))
}

/// Numbers of scratch with which a step on `n` rows evaluates each likelihood once.
///
/// ```
/// use thalweg::mixture::{em, gaussian::Covariance};
/// // Responsibilities; weights, means and covariances; a row; two triangles.
/// assert_eq!(em::scratch_len(Covariance::Full, 7, 2, 2), 7 * 2 + 2 * (1 + 2 + 3) + 2 + 6);
/// ```
#[must_use]
pub const fn scratch_len(covariance: Covariance, n: usize, k: usize, d: usize) -> usize {
    n.saturating_mul(k)
        .saturating_add(sums_len(covariance, k, d))
}

/// Numbers of scratch that a step needs, on any number of rows.
///
/// ```
/// use thalweg::mixture::{em, gaussian::Covariance};
/// let least = em::least_scratch_len(Covariance::Full, 2, 2);
/// assert_eq!(least, em::scratch_len(Covariance::Full, 1, 2, 2));
/// ```
#[must_use]
pub const fn least_scratch_len(covariance: Covariance, k: usize, d: usize) -> usize {
    scratch_len(covariance, 1, k, d)
}

/// Blocks of `height` rows: first row, and number of rows.
fn blocks(rows: usize, height: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut start = 0_usize;
    core::iter::from_fn(move || {
        let here = rows.saturating_sub(start).min(height);
        let block = (start, here);
        start = start.saturating_add(here);
        (here > 0).then_some(block)
    })
}

/// The responsibilities of a row; returns its log-likelihood.
fn soft<T: Real>(
    evaluator: &mut Evaluator<'_, T>,
    (i, x): (usize, &[T]),
    r: &mut [f64],
) -> Result<f64, Error> {
    evaluator.log_joints_into(x, r);
    let log_density = responsibilities(r);
    // A row may be impossible.
    let fits = !log_density.is_nan() && log_density != f64::INFINITY;
    ensure_finite_at("log-likelihood", fits, At::Row(i))?;
    Ok(log_density)
}

/// Fills the weighted responsibilities of a block of rows; returns the weighted sum of what `expect` returns.
fn fill<T: Real>(
    evaluator: &mut Evaluator<'_, T>,
    rows: &Rows<'_, T>,
    start: usize,
    r: &mut [f64],
    mut expect: impl FnMut(&mut Evaluator<'_, T>, (usize, &[T]), &mut [f64]) -> Result<f64, Error>,
) -> Result<f64, Error> {
    let k = evaluator.mixture.components();
    let mut sum = 0.0;
    for (i, r) in (start..).zip(r.chunks_exact_mut(k.max(1))) {
        let weight = rows.weight(i);
        if weight == 0.0 {
            r.fill(0.0);
            continue;
        }
        let value = expect(evaluator, (i, must(rows.data.row(i))), r)?;
        vector::scale(weight, r);
        sum += weight * value;
    }
    Ok(sum)
}

/// Calls `add(component, responsibility, row)` for every responsibility of a block that is not 0.
fn for_each<T: Real>(
    k: usize,
    data: &MatrixRef<'_, T>,
    start: usize,
    r: &[f64],
    mut add: impl FnMut(usize, f64, &[T]),
) {
    for (i, r) in (start..).zip(r.chunks_exact(k.max(1))) {
        let x = must(data.row(i));
        for (j, r) in r.iter().enumerate().filter(|(_, r)| **r > 0.0) {
            add(j, *r, x);
        }
    }
}

/// One step over all rows.
///
/// `rows` are a matrix, or [`Rows`] with weights. `scratch` has [`scratch_len`] numbers, or fewer down to [`least_scratch_len`]. A component whose responsibilities sum to less than
/// [`WEIGHT_FLOOR`] keeps mean and covariance, and gets that weight.
///
/// # Errors
/// [`Error::Parameter`] for a config out of range, data without rows or weights that are negative or all 0; [`Error::Length`]; [`Error::NonFinite`] with the row for data
/// that are not finite, and for a log-likelihood that is NaN or +inf, since the parameters are not finite. The mixture is as before.
///
/// ```
/// use thalweg::matrix::MatrixRef;
/// use thalweg::mixture::{em, gaussian::{Covariance, Mixture}};
/// // One component: a step is maximum likelihood, mean 3 and variance (4 + 0 + 4)/3.
/// let mut mixture = Mixture::new(Covariance::Full, 1, 1, [0.0_f64; 4])?;
/// let data = MatrixRef::new(&[1.0, 3.0, 5.0], 3, 1)?;
/// let config = em::Config { reg_covar: 0.0 };
/// let mut scratch = [0.0; em::scratch_len(Covariance::Full, 3, 1, 1)];
/// let found = em::step(&config, &mut mixture, data, &mut scratch)?;
/// assert_eq!((mixture.view().means(), found.evaluations), (&[3.0][..], 3));
/// assert!((mixture.view().factors()[0] - (3.0_f64 / 8.0).sqrt()).abs() < 1e-15);
/// // Before it, -ln(2 pi)/2 - (1 + 9 + 25)/6.
/// let before = -core::f64::consts::TAU.ln() / 2.0 - 35.0 / 6.0;
/// assert!((found.mean_log_likelihood - before).abs() < 1e-14);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<'a, T: Real, B: Storage<Elem = T>>(
    config: &Config,
    mixture: &mut Mixture<B>,
    rows: impl Into<Rows<'a, T>>,
    scratch: &mut [f64],
) -> Result<Outcome, Error> {
    pass(config, mixture, rows.into(), scratch, soft)
}

/// Parameters from the responsibilities that `expect` fills.
fn pass<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    mixture: &mut Mixture<B>,
    of: Rows<'_, T>,
    scratch: &mut [f64],
    mut expect: impl FnMut(&mut Evaluator<'_, T>, (usize, &[T]), &mut [f64]) -> Result<f64, Error>,
) -> Result<Outcome, Error> {
    config.validate()?;
    let view = mixture.view();
    let (shape, k, d) = (view.covariance(), view.components(), view.dim());
    of.check(d)?;
    check_scratch("scratch", least_scratch_len(shape, k, d), scratch.len())?;
    let (n, f) = (of.data.rows(), shape.factor_len(d));
    let kd = k.saturating_mul(d);
    let kf = shape.factors_len(k, d);
    let ([weights, first, second, dx, room], r) =
        cut(scratch, [k, kd, kf, d, shape.scratch_len(d)])?;
    // At least one row, by the check of the scratch.
    let height = must(r.len().checked_div(k)).min(n);
    let mut evaluator = Evaluator::new(view);
    let mut sum = 0.0;
    weights.fill(0.0);
    first.fill(0.0);
    second.fill(0.0);
    for (start, rows) in blocks(n, height) {
        let r = must(r.get_mut(..rows.saturating_mul(k)));
        sum += fill(&mut evaluator, &of, start, r, &mut expect)?;
        for_each(k, &of.data, start, r, |j, r, x| {
            if let Some(n) = weights.get_mut(j) {
                *n += r;
            }
            let old = row(view.means(), j, d);
            for ((s, x), m) in row_mut(first, j, d).iter_mut().zip(x).zip(old) {
                *s += r * (x.to_f64() - m.to_f64());
            }
        });
    }
    for (j, n) in weights.iter().enumerate() {
        let old = row(view.means(), j, d);
        for (s, m) in row_mut(first, j, d).iter_mut().zip(old) {
            // Positive: components of less weight keep their mean.
            *s = m.to_f64() + if *n > WEIGHT_FLOOR { *s / *n } else { 0.0 };
        }
    }
    for (start, rows) in blocks(n, height) {
        let r = must(r.get_mut(..rows.saturating_mul(k)));
        if height < n {
            fill(&mut evaluator, &of, start, r, &mut expect)?;
        }
        for_each(k, &of.data, start, r, |j, r, x| {
            for ((dx, x), m) in dx.iter_mut().zip(x).zip(row(first, j, d)) {
                *dx = x.to_f64() - *m;
            }
            add_outer(shape, r, dx, row_mut(second, shape.factor_of(j), f));
        });
    }
    let evaluations = evaluator.count;
    let mut parts = mixture.parts()?;
    let mut kept = 0;
    dx.fill(0.0);
    if shape == Covariance::Tied {
        // Rows whose responsibilities are not all 0 have the sum 1.
        let total = vector::sum(weights);
        if total > 0.0 {
            moments_into(shape, (total, second), dx, config.reg_covar, room);
            kept = usize::from(parts.set_covariance(0, room).is_err());
        }
    }
    for (j, n) in weights.iter().enumerate() {
        if *n > WEIGHT_FLOOR {
            if shape != Covariance::Tied {
                moments_into(shape, (*n, row(second, j, f)), dx, config.reg_covar, room);
                kept += usize::from(parts.set_covariance(j, room).is_err());
            }
            parts.set_mean(j, row(first, j, d), dx);
        }
    }
    parts.set_floored_weights(weights);
    Ok(Outcome {
        // The total is positive: checked.
        mean_log_likelihood: sum / of.total(),
        kept,
        evaluations,
    })
}
