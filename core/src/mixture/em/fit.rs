//! Steps until the log-likelihood stops rising, from one start or the best of several.

use super::{Config, Init, Rows, start, step};
use crate::error::{check, check_length};
use crate::memory::must;
use crate::mixture::gaussian::Mixture;
use crate::model::copy;
use crate::{Error, Real, Storage};

/// When to stop; scikit-learn's names and defaults.
///
/// ```
/// let fit = thalweg::mixture::em::Fit::default();
/// assert_eq!((fit.tol, fit.max_iter, fit.em.reg_covar), (1e-3, 100, 1e-6));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The step.
    pub em: Config,
    /// Ends when the mean log-likelihood changes by less; finite, at least 0.
    pub tol: f64,
    /// Most steps; at least 1.
    pub max_iter: usize,
}

impl Default for Fit {
    fn default() -> Self {
        Self {
            em: Config::default(),
            tol: 1e-3,
            max_iter: 100,
        }
    }
}

impl Fit {
    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    ///
    /// ```
    /// use thalweg::mixture::em::Fit;
    /// assert!(Fit { max_iter: 0, ..Fit::default() }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        self.em.validate()?;
        let tol = self.tol >= 0.0 && self.tol.is_finite();
        check("tol", tol, "must be finite and not negative")?;
        check("max_iter", self.max_iter > 0, "must be at least 1")
    }
}

/// What a fit has done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Fitted {
    /// Steps taken.
    pub iterations: usize,
    /// The last change was below the tolerance.
    pub converged: bool,
    /// Mean log-likelihood before the last step: scikit-learn's `lower_bound_`. The step has raised it since.
    pub mean_log_likelihood: f64,
    /// Components that kept their covariance in the last step.
    pub kept: usize,
    /// Likelihoods evaluated.
    pub evaluations: u64,
}

/// Steps from the mixture as it is, which is a warm start.
///
/// # Errors
/// Those of [`step`]: the mixture has the parameters of the last step that succeeded.
///
/// ```
/// use thalweg::matrix::MatrixRef;
/// use thalweg::mixture::{em::{self, Fit}, gaussian::{Covariance, Mixture}};
/// let mut mixture = Mixture::new(Covariance::Full, 1, 1, [0.0_f64; 4])?;
/// let data = MatrixRef::new(&[1.0, 3.0, 5.0], 3, 1)?;
/// let found = em::fit(&Fit::default(), &mut mixture, data, &mut [0.0; em::scratch_len(Covariance::Full, 3, 1, 1)])?;
/// // One component is at its maximum after one step; the second sees it, the third sees no change.
/// assert!(found.converged && found.iterations == 3);
/// assert_eq!(mixture.view().means(), [3.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn fit<'a, T: Real, B: Storage<Elem = T>>(
    config: &Fit,
    mixture: &mut Mixture<B>,
    rows: impl Into<Rows<'a, T>>,
    scratch: &mut [f64],
) -> Result<Fitted, Error> {
    config.validate()?;
    let rows = rows.into();
    let mut fitted = Fitted {
        mean_log_likelihood: f64::NEG_INFINITY,
        ..Fitted::default()
    };
    while fitted.iterations < config.max_iter && !fitted.converged {
        let found = step(&config.em, mixture, rows, scratch)?;
        // NaN while every row is impossible.
        let change = (found.mean_log_likelihood - fitted.mean_log_likelihood).abs();
        fitted = Fitted {
            iterations: fitted.iterations.saturating_add(1),
            converged: change < config.tol,
            mean_log_likelihood: found.mean_log_likelihood,
            kept: found.kept,
            evaluations: fitted.evaluations.saturating_add(found.evaluations),
        };
    }
    Ok(fitted)
}

/// The best of `n_init` starts by the mean log-likelihood; the first of those that are equal.
///
/// Start `i` has the seed `seed + i`. `best` holds as many numbers as the mixture has parameters, `scratch` is that of
/// [`start`](super::start_scratch_len), or more.
///
/// # Errors
/// Those of [`start`] and [`fit`]; [`Error::Parameter`] for `n_init = 0`.
///
/// ```
/// use thalweg::matrix::MatrixRef;
/// use thalweg::mixture::{em::{self, Fit, Init}, gaussian::{Covariance, Mixture}};
/// let mut mixture = Mixture::new(Covariance::Spherical, 2, 1, [0.0_f64; 8])?;
/// let data = MatrixRef::new(&[1.0, 1.5, 9.0, 9.5], 4, 1)?;
/// let mut scratch = [0.0; em::start_scratch_len(Covariance::Spherical, 4, 2, 1)];
/// em::fit_starts(&Fit::default(), (Init::KMeans, 7, 3), &mut mixture, &mut [0.0; 8], data, &mut scratch)?;
/// let mut means = [mixture.view().means()[0], mixture.view().means()[1]];
/// means.sort_by(f64::total_cmp);
/// assert!((means[0] - 1.25).abs() < 1e-12 && (means[1] - 9.25).abs() < 1e-12);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn fit_starts<'a, T: Real, B: Storage<Elem = T>>(
    config: &Fit,
    (init, seed, n_init): (Init, u64, usize),
    mixture: &mut Mixture<B>,
    best: &mut [T],
    rows: impl Into<Rows<'a, T>>,
    scratch: &mut [f64],
) -> Result<Fitted, Error> {
    check("n_init", n_init > 0, "must be at least 1")?;
    check_length("best", mixture.params().len(), best.len())?;
    let rows = rows.into();
    let mut found: Option<Fitted> = None;
    for i in 0..n_init as u64 {
        start(
            &config.em,
            init,
            mixture,
            rows,
            seed.wrapping_add(i),
            scratch,
        )?;
        let fitted = fit(config, mixture, rows, scratch)?;
        let evaluations = found.map_or(0, |found| found.evaluations);
        let all = evaluations.saturating_add(fitted.evaluations);
        match &mut found {
            Some(found) if fitted.mean_log_likelihood <= found.mean_log_likelihood => {
                found.evaluations = all;
            }
            _ => {
                copy(mixture.params(), best);
                found = Some(Fitted {
                    evaluations: all,
                    ..fitted
                });
            }
        }
    }
    copy(best, mixture.params_mut());
    // There is at least one start.
    Ok(must(found))
}
