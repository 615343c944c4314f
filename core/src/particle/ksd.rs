//! Kernelised Stein discrepancy: how far particles are from a density known by its score.
//!
//! ```text
//! u(x, y) = k g_x . g_y - g_x . grad_x k + g_y . grad_x k + tr(grad_x grad_y k)
//! KSD^2   = mean of u over all n^2 pairs (V, at least 0), or over the n (n - 1) pairs i != j (U, unbiased)
//! RBF  k = exp(-q/h)         grad_x k = -(2/h) k (x - y)               trace = k (2 d/h - 4 q/h^2)
//! IMQ  k = (1 + q/h)^(-1/2)  grad_x k = -(1/h) (1 + q/h)^(-3/2) (x-y)  trace = d/h (1+q/h)^(-3/2) - 3 q/h^2 (1+q/h)^(-5/2)
//! ```
//! `q = |x - y|^2`. IMQ with `h = 1` is the kernel of Gorham and Mackey; it detects samples that do not converge, which the Gaussian
//! kernel misses from three dimensions on. Take it on the position alone, not on momenta.
//!
//! Pairs are visited in order, sums run in `f64`; nothing is stored. Cost: `3 n^2 d` flops.
//!
//! References: Liu, Lee and Jordan, *A kernelized Stein discrepancy for goodness-of-fit tests* (2016); Gorham and Mackey, *Measuring
//! sample quality with kernels* (2017).

use super::{check_cloud, check_positive};
use crate::memory::InRows;
use crate::pairs::Family;
use crate::simd::math;
use crate::{Error, Real};

/// The kernel.
///
/// ```
/// use thalweg::particle::ksd::Config;
/// assert_eq!(Config::IMQ.h, 1.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Family.
    pub family: Family,
    /// Bandwidth, a squared length; finite and positive.
    pub h: f64,
}

impl Config {
    /// `(1 + |x - y|^2)^(-1/2)`.
    pub const IMQ: Self = Self {
        family: Family::Imq,
        h: 1.0,
    };

    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first that is out of range.
    ///
    /// ```
    /// use thalweg::particle::ksd::Config;
    /// assert!(Config::IMQ.validate().is_ok() && Config { h: -1.0, ..Config::IMQ }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check_positive("h", self.h)
    }
}

/// Squared discrepancies.
///
/// ```
/// use thalweg::particle::ksd::{Config, squared};
/// // One particle of a normal density in two dimensions: |g|^2 + d.
/// let found = squared(&Config::IMQ, 2, &[1.0_f32, 2.0], &[-1.0, -2.0])?;
/// assert_eq!((found.v, found.u), (7.0, 0.0));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Squared {
    /// V-statistic: never negative but for rounding, biased by the diagonal.
    pub v: f64,
    /// U-statistic: unbiased, may be negative; 0 for one particle.
    pub u: f64,
}

/// Both statistics; 0 without particles.
///
/// # Errors
/// [`Error::Length`] when shapes do not fit, [`Error::Parameter`] for `h` out of range, [`Error::NonFinite`] with the
/// index of the particle.
pub fn squared<T: Real>(
    config: &Config,
    d: usize,
    particles: &[T],
    scores: &[T],
) -> Result<Squared, Error> {
    config.validate()?;
    let n = check_cloud(d, particles, scores)?;
    let rows = || particles.in_rows(d).zip(scores.in_rows(d));
    let (mut diagonal, mut below) = (0.0, 0.0);
    for (i, x) in rows().enumerate() {
        diagonal += pair(config, x, x);
        // A separate sum for each row keeps the rounding of the whole small.
        below += rows().take(i).fold(0.0, |sum, y| sum + pair(config, x, y));
    }
    let (n, others) = (n as f64, n.saturating_sub(1) as f64);
    let (pairs, off) = (n * n, n * others);
    let ratio = |sum: f64, count: f64| if count > 0.0 { sum / count } else { 0.0 };
    Ok(Squared {
        v: ratio(diagonal + 2.0 * below, pairs),
        u: ratio(2.0 * below, off),
    })
}

fn pair<T: Real>(config: &Config, (x, gx): (&[T], &[T]), (y, gy): (&[T], &[T])) -> f64 {
    let (mut q, mut product, mut along) = (0.0, 0.0, 0.0);
    for ((&x, &gx), (&y, &gy)) in x.iter().zip(gx).zip(y.iter().zip(gy)) {
        let (delta, gx, gy) = (x.to_f64() - y.to_f64(), gx.to_f64(), gy.to_f64());
        q += delta * delta;
        product += gx * gy;
        along += (gx - gy) * delta;
    }
    // h > 0 is checked, q >= 0.
    let (d, t) = (x.len() as f64, 1.0 / config.h);
    match config.family {
        Family::Rbf => {
            let k = math::exp(-q * t);
            if k > 0.0 {
                k * (product + 2.0 * t * along + 2.0 * t * (d - 2.0 * q * t))
            } else {
                // Nothing is left of a pair so far apart, though q may be infinite.
                0.0
            }
        }
        Family::Imq => {
            let inverse = 1.0 / (1.0 + q * t);
            let k = libm::sqrt(inverse);
            let slope = t * k * inverse;
            if k > 0.0 {
                k * product + slope * (along + d - 3.0 * q * t * inverse)
            } else {
                0.0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{golden, painted};
    use super::*;
    use std::vec::Vec;

    #[test]
    fn both_kernels_agree_with_numpy() {
        let (x, g) = (painted::<f64>(1, 21), painted::<f64>(3, 21));
        for (name, family) in [("ksd_imq", Family::Imq), ("ksd_rbf", Family::Rbf)] {
            let found = squared(&Config { family, h: 1.3 }, 3, &x, &g).unwrap();
            let expected = golden(name);
            assert!((found.v - expected[0]).abs() < 1e-13 && (found.u - expected[1]).abs() < 1e-13);
        }
    }

    #[test]
    fn exact_draws_are_nearer_than_shifted_ones() {
        use crate::random::{Purpose, normal, stream};
        let mut rng = stream(1, 0, 0, Purpose::DATA);
        let x: Vec<f64> = (0..400).map(|_| normal(&mut rng)).collect();
        let at = |shift: f64| {
            let x: Vec<f64> = x.iter().map(|x| x + shift).collect();
            let g: Vec<f64> = x.iter().map(|x| -x).collect();
            squared(&Config::IMQ, 2, &x, &g).unwrap()
        };
        let (near, far) = (at(0.0), at(1.0));
        assert!(
            near.u.abs() < 0.05 && far.u > 0.3 && near.v >= 0.0,
            "{near:?} {far:?}"
        );
    }

    #[test]
    fn a_pair_that_is_far_apart_keeps_its_diagonal_only() {
        // Scores 0: the diagonal is d/h times 1 (IMQ) or 2 (RBF); of the pair, IMQ leaves (d - 3)/h (q/h)^(-3/2), which vanishes.
        for far in [1e8_f64, 1e160, 1.7e308] {
            for (family, own) in [(Family::Imq, 1.0), (Family::Rbf, 2.0)] {
                let config = Config { family, h: 1.0 };
                let found = squared(&config, 1, &[0.0, far], &[0.0; 2]).unwrap();
                assert!((found.v - own / 2.0).abs() < 1e-15, "{far} {found:?}");
                assert!(found.u.abs() < 1e-15, "{far} {found:?}");
            }
        }
    }

    #[test]
    fn no_particles_have_no_discrepancy_and_bad_scores_are_named() {
        let found = squared::<f32>(&Config::IMQ, 2, &[], &[]);
        assert_eq!(found, Ok(Squared { v: 0.0, u: 0.0 }));
        let found = squared(&Config::IMQ, 1, &[1.0, 2.0_f32], &[0.0, f32::NAN]);
        assert_eq!(
            found,
            Err(Error::NonFinite {
                name: "scores",
                at: crate::At::Particle(1)
            })
        );
        assert!(
            squared(
                &Config {
                    h: 0.0,
                    ..Config::IMQ
                },
                1,
                &[1.0_f32],
                &[0.0]
            )
            .is_err()
        );
    }
}
