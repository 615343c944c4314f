//! Scores: from a closure, or from an objective on a mini-batch.
//!
//! ```text
//! grad log p(x) = grad log prior(x) - N grad mean_loss(x)
//! ```
//! With the mean of the loss over a mini-batch in place of the mean over all `N` rows, the estimate is unbiased: `N / B` times the gradient of
//! the batch's likelihood and the whole gradient of the prior. One batch is drawn per step and shared by all particles.

use crate::error::check_length;
use crate::model::{Batch, Objective};
use crate::particle::Kernels as _;
use crate::particle::rows::InRows;
use crate::simd::{Lanes, Update};
use crate::{Error, Real};

/// Writes a score for each particle: `score(x_i, out_i)`.
///
/// # Errors
/// [`Error::Length`] when the shapes do not fit.
///
/// ```
/// // A standard normal density has the score -x.
/// let mut scores = [0.0; 4];
/// thalweg::particle::score::from_fn(2, &[1.0, 2.0, 3.0, 4.0], &mut scores, |x, out| {
///     out.copy_from_slice(x);
///     thalweg::vector::scale(-1.0, out);
/// })?;
/// assert_eq!(scores, [-1.0, -2.0, -3.0, -4.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn from_fn<T: Real>(
    d: usize,
    particles: &[T],
    scores: &mut [T],
    mut score: impl FnMut(&[T], &mut [T]),
) -> Result<(), Error> {
    super::count(particles.len(), d)?;
    check_length("scores", particles.len(), scores.len())?;
    for (x, out) in particles.in_rows(d).zip(scores.in_rows_mut(d)) {
        score(x, out);
    }
    Ok(())
}

/// `-(rows loss + precision x)`.
#[derive(Clone, Copy)]
pub(super) struct Posterior<T> {
    pub(super) rows: T,
    pub(super) precision: T,
}
impl<T: Real> Update<T, 1, 1> for Posterior<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [g]: [L; 1], [x]: [L; 1]) -> [L; 1] {
        [-(g.constant(self.rows) * g + g.constant(self.precision) * x)]
    }
}

/// Writes the scores of the posterior of an objective that is a mean negative log-likelihood.
///
/// `rows` is the number of rows of the whole data set, whatever the batch holds; the prior is normal with mean 0 and this `precision`
/// in every coordinate (0: flat). Scratch is that of the objective.
///
/// # Errors
/// [`Error::Length`] when the shapes do not fit, and those of the objective: scores of earlier particles are written then.
///
/// ```
/// use thalweg::model::{Batch, quadratic::Quadratic};
/// use thalweg::particle::score;
/// // x^2 / 2 - x for each of 10 rows, and the prior N(0, 1/3): -(10 (x - 1) + 3 x).
/// let f = Quadratic { dim: 1, curvature: 2.0, shift: 0.0, linear: 1.0 };
/// let mut scores = [0.0; 2];
/// score::from_objective(&f, &Batch::none(), 10, 3.0, &[0.0, 2.0], &mut scores, &mut [])?;
/// assert_eq!(scores, [10.0, -16.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn from_objective<T: Real>(
    objective: &(impl Objective<T> + ?Sized),
    batch: &Batch<'_, T>,
    rows: usize,
    precision: T,
    particles: &[T],
    scores: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    let d = objective.dim();
    super::count(particles.len(), d)?;
    check_length("scores", particles.len(), scores.len())?;
    let rows = T::from_usize(rows);
    for (x, out) in particles.in_rows(d).zip(scores.in_rows_mut(d)) {
        objective.gradient_into(x, batch, scratch, out)?;
        T::Kernels::posterior_score(rows, precision, x, out);
    }
    Ok(())
}
