//! Scores: from a closure, or from a function with a gradient, such as an objective on a mini-batch.
//!
//! ```text
//! grad log p(x) = grad log prior(x) - N grad mean_loss(x)
//! ```
//! With the mean of the loss over a mini-batch in place of the mean over all `N` rows, the estimate is unbiased: `N / B` times the gradient of
//! the batch's likelihood and the full gradient of the prior. One batch is drawn per step and shared by all particles.

use crate::error::check_length;
use crate::memory::InRows;
use crate::model::Gradient;
use crate::particle::Kernels as _;
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

/// Factors of the likelihood and of the prior, which is normal with mean 0.
///
/// ```
/// use thalweg::particle::score::Weights;
/// assert_eq!(Weights { rows: 10.0, precision: 0.0 }, Weights::flat(10.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights<T> {
    /// Rows of the whole data set, whatever a batch holds: the factor of the mean loss.
    pub rows: T,
    /// Precision of the prior in every coordinate; 0 is a flat one.
    pub precision: T,
}

impl<T: Real> Weights<T> {
    /// A flat prior.
    ///
    /// ```
    /// assert_eq!(thalweg::particle::score::Weights::flat(3.0_f32).precision, 0.0);
    /// ```
    pub const fn flat(rows: T) -> Self {
        Self {
            rows,
            precision: T::ZERO,
        }
    }
}

/// `-(rows loss + precision x)`.
impl<T: Real> Update<T, 1, 1> for Weights<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [g]: [L; 1], [x]: [L; 1]) -> [L; 1] {
        [-(g.constant(self.rows) * g + g.constant(self.precision) * x)]
    }
}

/// Writes the scores of the posterior of a mean negative log-likelihood; of an objective by [`Objective::on`](crate::model::Objective::on).
///
/// Scratch is that of the function.
///
/// # Errors
/// [`Error::Length`] when the shapes do not fit, and those of the function: scores of earlier particles are written then.
///
/// ```
/// use thalweg::model::quadratic::Quadratic;
/// use thalweg::particle::score;
/// // x^2 / 2 - x for each of 10 rows, and the prior N(0, 1/3): -(10 (x - 1) + 3 x).
/// let f = Quadratic { dim: 1, curvature: 2.0, shift: 0.0, linear: 1.0 };
/// let mut scores = [0.0; 2];
/// let weights = score::Weights { rows: 10.0, precision: 3.0 };
/// score::from_gradient(&f, weights, &[0.0, 2.0], &mut scores, &mut [])?;
/// assert_eq!(scores, [10.0, -16.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn from_gradient<T: Real>(
    f: &(impl Gradient<T> + ?Sized),
    weights: Weights<T>,
    particles: &[T],
    scores: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    let d = f.dim();
    super::count(particles.len(), d)?;
    check_length("scores", particles.len(), scores.len())?;
    for (x, out) in particles.in_rows(d).zip(scores.in_rows_mut(d)) {
        f.gradient_into(x, out, scratch)?;
        T::Kernels::posterior_score(weights, x, out);
    }
    Ok(())
}
