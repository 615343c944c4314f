//! How far particles are from a target.

use thalweg::particle::bandwidth::{Bandwidth, median_squared_distance};
use thalweg::particle::{ksd, mmd};
use thalweg::{Arithmetic, Error};

use super::problem::Problem;

/// Reference draws with what every comparison with them shares.
#[derive(Clone, Copy, Debug)]
pub struct Yardstick<'a> {
    reference: mmd::Reference<'a, f64>,
    draws: usize,
    /// Bandwidth of the kernel.
    pub width: f64,
}

/// Draws whose median squared distance is the bandwidth.
const FOR_WIDTH: usize = 500;

impl<'a> Yardstick<'a> {
    /// The reference of a target; `None` where it has none.
    ///
    /// # Errors
    /// Wrong lengths.
    pub fn new(problem: &'a Problem) -> Result<Option<Self>, Error> {
        let Some(draws) = problem.reference.as_deref() else {
            return Ok(None);
        };
        let d = problem.dim();
        let width = match problem.width {
            Some(width) => width,
            None => {
                let part = draws.get(..FOR_WIDTH * d).unwrap_or(draws);
                let mut scratch = vec![0.0; Bandwidth::default().scratch_len(FOR_WIDTH, d)];
                median_squared_distance(Arithmetic::Portable, d, part, &mut scratch)?
            }
        };
        Ok(Some(Self {
            reference: mmd::Reference::new(d, draws, width)?,
            draws: draws.len() / d,
            width,
        }))
    }

    /// `mean k(X, X) + mean k(Y, Y) - 2 mean k(X, Y)`: the squared discrepancy, all pairs counted.
    ///
    /// # Errors
    /// Wrong lengths.
    pub fn mmd2(&self, theta: &[f64]) -> Result<f64, Error> {
        self.reference.squared(theta)
    }

    /// Expected square discrepancy of `n` exact draws: `(1 - E k) / n`.
    #[must_use]
    pub fn floor(&self, n: usize) -> f64 {
        (1.0 - self.reference.mean_kernel()) / n as f64
    }

    /// What the finite number of reference draws alone may add.
    #[must_use]
    pub fn resolution(&self) -> f64 {
        self.floor(self.draws)
    }
}

/// Kernel Stein discrepancy: inverse multiquadric `(1 + |x - y|^2)^(-1/2)`, all pairs, square root.
///
/// # Errors
/// Wrong lengths.
pub fn ksd(d: usize, theta: &[f64], scores: &[f64]) -> Result<f64, Error> {
    Ok(ksd::squared(&ksd::Config::IMQ, d, theta, scores)?
        .v
        .max(0.0)
        .sqrt())
}

/// Means and variances of the coordinates, and the covariance of the first two.
#[must_use]
pub fn moments(d: usize, theta: &[f64]) -> (Vec<f64>, Vec<f64>, f64) {
    let n = (theta.len() / d).max(1) as f64;
    let mut mean = vec![0.0; d];
    for row in theta.chunks_exact(d) {
        for (mean, x) in mean.iter_mut().zip(row) {
            *mean += x / n;
        }
    }
    let (mut variance, mut covariance) = (vec![0.0; d], 0.0);
    for row in theta.chunks_exact(d) {
        let off: Vec<f64> = row.iter().zip(&mean).map(|(x, m)| x - m).collect();
        for (v, x) in variance.iter_mut().zip(&off) {
            *v += x * x / n;
        }
        if let [a, b, ..] = off[..] {
            covariance += a * b / n;
        }
    }
    (mean, variance, covariance)
}
