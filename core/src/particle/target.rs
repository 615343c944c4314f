//! Densities to try samplers on, as energies: a [`Gradient`](crate::model::Gradient) whose value is `-ln p`.
//!
//! | target | what makes it hard | parameters | exact draws | moments |
//! |---|---|---|---|---|
//! | [`Gaussian`] | a covariance of any condition number | any | yes | given |
//! | [`Mixture`] | modes apart | any | yes | closed form |
//! | [`DoubleBanana`] | two thin curved ridges | 2 | by rejection, 1 in 9.4 | quadrature |
//! | [`Funnel`] | a scale that is itself a parameter | 2 or more | yes | closed form |
//! | [`Posterior`] | the data: any objective with a normal prior | the objective's | no | no |
//! | [`Regression`] | the same with unknown noise, as for a Bayesian network | the objective's and 1 | no | no |
//!
//! The score `grad ln p` is the gradient with its sign changed:
//! [`from_gradient`](super::score::from_gradient) with one row and a flat prior. An energy differs from a loss in the sign only, so that
//! mini-batches, blocks of rows in threads and penalties work for both.
//!
//! The first four take no data; the last two are objectives, [on](crate::model::Objective::on) a batch. The values of the first four are normalised (the banana's is not). Coordinates
//! that are not finite propagate.

use crate::Error;
use crate::error::check_length;

mod banana;
mod funnel;
mod gaussian;
mod mixture;
mod posterior;
mod regression;

pub use banana::DoubleBanana;
pub use funnel::Funnel;
pub use gaussian::Gaussian;
pub use mixture::Mixture;
pub use posterior::Posterior;
pub use regression::Regression;

/// `ln(2 pi)`.
const LN_TAU: f64 = 1.837_877_066_409_345_5;

/// Checks the lengths of parameters and gradient.
fn check_lengths<T>(dim: usize, params: &[T], grad: &[T]) -> Result<(), Error> {
    check_length("params", dim, params.len())?;
    check_length("grad", dim, grad.len())
}

#[cfg(test)]
mod tests {
    use crate::model::Gradient;
    use std::vec;

    /// Log-density and score of another library: density to 1e-13, slopes by its central differences to 1e-7.
    pub(super) fn check_golden(
        energy: &impl Gradient<f64>,
        x: &[f64],
        log_density: f64,
        score: &[f64],
    ) {
        let mut scratch = vec![f64::NAN; energy.scratch_len()];
        let value = energy.value(x, &mut scratch).unwrap();
        assert!(
            (value + log_density).abs() <= 1e-13 * log_density.abs().max(1.0),
            "{value} {log_density}"
        );
        let mut found = vec![f64::NAN; x.len()];
        crate::particle::score::from_gradient(
            energy,
            crate::particle::score::Weights::flat(1.0),
            x,
            &mut found,
            &mut scratch,
        )
        .unwrap();
        for (found, score) in found.iter().zip(score) {
            assert!(
                (found - score).abs() <= 1e-7 * score.abs().max(1.0),
                "{found} {score}"
            );
        }
    }

    /// Means and covariances of `draws` draws lie within five standard errors, taking fourth moments to be
    /// at most `tails` times the square of the variances.
    pub(super) fn check_draws(
        draws: usize,
        tails: f64,
        mean: &[f64],
        covariance: &[f64],
        mut draw: impl FnMut(&mut [f64]),
    ) {
        let d = mean.len();
        let (mut x, mut sum, mut products) = (vec![0.0; d], vec![0.0; d], vec![0.0; d * d]);
        for _ in 0..draws {
            draw(&mut x);
            for i in 0..d {
                sum[i] += x[i];
                for j in 0..d {
                    products[i * d + j] += (x[i] - mean[i]) * (x[j] - mean[j]);
                }
            }
        }
        let n = draws as f64;
        for i in 0..d {
            let bound = 5.0 * (covariance[i * d + i] / n).sqrt();
            assert!((sum[i] / n - mean[i]).abs() < bound, "mean {i}: {sum:?}");
            for j in 0..d {
                let scale = (covariance[i * d + i] * covariance[j * d + j]).sqrt();
                let found = products[i * d + j] / n;
                assert!(
                    (found - covariance[i * d + j]).abs() < 5.0 * scale * (tails / n).sqrt(),
                    "covariance {i} {j}: {found}"
                );
            }
        }
    }
}
