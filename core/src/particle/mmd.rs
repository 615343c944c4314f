//! Maximum mean discrepancy between particles and a reference sample.
//!
//! ```text
//! MMD^2 = mean k(X, X) + mean k(Y, Y) - 2 mean k(X, Y),    k = exp(-|x - y|^2 / h)
//! ```
//! All pairs count, the diagonal included (V-statistic). Fix h from the reference sample Y, never from the particles X. For `n`
//! independent exact draws the expectation is about `(1 - E k)/n`: quote it as the floor. The term of the reference alone is computed
//! once. Sums run in `f64` in the order of the rows; nothing is stored. Cost: `n (n/2 + |Y|)` kernels.
//!
//! Reference: Gretton et al., *A kernel two-sample test* (2012).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of particles and draws that are slices in memory"
)]

use super::{check_finite, check_positive, count};
use crate::memory::InRows;
use crate::simd::math;
use crate::{Error, Real};

/// A reference sample with the mean of its own kernel.
///
/// ```
/// use thalweg::particle::mmd::Reference;
/// let reference = Reference::new(1, &[0.0_f64], 2.0)?;
/// // 1 + 1 - 2 exp(-1/2).
/// assert!((reference.squared(&[1.0])? - (2.0 - 2.0 * (-0.5_f64).exp())).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference<'a, T> {
    d: usize,
    sample: &'a [T],
    h: f64,
    own: f64,
}

impl<'a, T: Real> Reference<'a, T> {
    /// Computes the term of the sample alone.
    ///
    /// # Errors
    /// [`Error::Length`] when `d` does not divide the sample, [`Error::Parameter`] for `h` out of range or an empty sample,
    /// [`Error::NonFinite`] with the index of the row.
    pub fn new(d: usize, sample: &'a [T], h: f64) -> Result<Self, Error> {
        check_positive("h", h)?;
        let n = count(sample.len(), d)?;
        crate::error::check("sample", n > 0, "must not be empty")?;
        check_finite("sample", sample, d)?;
        let own = mean_within(d, sample, |a, b| kernel(h, a, b), 1.0);
        Ok(Self { d, sample, h, own })
    }

    /// Mean of the kernel over all pairs of the sample; `(1 - this) / n` is the floor of n exact draws.
    pub const fn mean_kernel(&self) -> f64 {
        self.own
    }

    /// Squared discrepancy of particles.
    ///
    /// # Errors
    /// [`Error::Length`] when the dimension does not divide the particles, [`Error::Parameter`] when there are none, [`Error::NonFinite`]
    /// with the index of the particle.
    pub fn squared(&self, particles: &[T]) -> Result<f64, Error> {
        let n = count(particles.len(), self.d)?;
        crate::error::check("particles", n > 0, "must not be empty")?;
        check_finite("particles", particles, self.d)?;
        let k = |a: &[T], b: &[T]| kernel(self.h, a, b);
        let own = mean_within(self.d, particles, k, 1.0);
        Ok(own + self.own - 2.0 * mean_between(self.d, particles, self.sample, k))
    }
}

fn kernel<T: Real>(h: f64, a: &[T], b: &[T]) -> f64 {
    math::exp(-squared_distance(a, b) / h)
}

/// Mean of `f(x, x')` over all ordered pairs of a sample with at least one row; `diagonal` is `f(x, x)`.
pub(super) fn mean_within<T: Real>(
    d: usize,
    x: &[T],
    f: impl Fn(&[T], &[T]) -> f64,
    diagonal: f64,
) -> f64 {
    let n = (x.len() / d.max(1)) as f64;
    let below = x.in_rows(d).enumerate().fold(0.0, |sum, (i, a)| {
        let row = x.in_rows(d).take(i);
        sum + row.fold(0.0, |sum, b| sum + f(a, b))
    });
    (n * diagonal + 2.0 * below) / (n * n)
}

/// Mean of `f(x, y)` over all pairs; both samples have a row.
pub(super) fn mean_between<T: Real>(
    d: usize,
    x: &[T],
    y: &[T],
    f: impl Fn(&[T], &[T]) -> f64,
) -> f64 {
    let pairs = (x.len() / d.max(1)) as f64 * (y.len() / d.max(1)) as f64;
    let sum = x.in_rows(d).fold(0.0, |sum, a| {
        sum + y.in_rows(d).fold(0.0, |sum, b| sum + f(a, b))
    });
    sum / pairs
}

pub(super) fn squared_distance<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).fold(0.0, |sum, (a, b)| {
        let delta = a.to_f64() - b.to_f64();
        sum + delta * delta
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{golden, painted};
    use super::*;

    #[test]
    fn the_statistic_is_that_of_numpy() {
        let (x, y) = (painted::<f64>(1, 21), painted::<f64>(4, 15));
        let reference = Reference::new(3, &y, 3.0).unwrap();
        assert!((reference.squared(&x).unwrap() - golden("mmd")[0]).abs() < 1e-14);
        assert!(reference.squared(&y).unwrap().abs() < 1e-15);
    }

    #[test]
    fn a_row_far_from_all_others_adds_only_itself() {
        // 4 equal rows and one at any distance: own = (16 + 1)/25, between = 4/5 with the reference at the four, whose own is 1.
        for far in [1e3, 1e8, 1e160, 1.7e308] {
            let reference = Reference::new(1, &[1.0_f64], 2.0).unwrap();
            let found = reference.squared(&[1.0, 1.0, far, 1.0, 1.0]).unwrap();
            assert!(
                (found - (17.0 / 25.0 + 1.0 - 8.0 / 5.0)).abs() < 1e-15,
                "{far}: {found}"
            );
        }
        let reference = Reference::new(1, &[1.0_f32], 2.0).unwrap();
        let found = reference.squared(&[1.0, 1.0, f32::MAX, 1.0, 1.0]).unwrap();
        assert!(
            (found - (17.0 / 25.0 + 1.0 - 8.0 / 5.0)).abs() < 1e-15,
            "{found}"
        );
    }

    #[test]
    fn empty_and_bad_samples_are_named() {
        assert!(Reference::<f32>::new(1, &[], 1.0).is_err());
        assert!(Reference::new(1, &[1.0_f32], 0.0).is_err());
        let reference = Reference::new(2, &[1.0_f32, 2.0], 1.0).unwrap();
        assert!(reference.squared(&[]).is_err());
        let found = reference.squared(&[0.0, 0.0, 0.0, f32::INFINITY]);
        assert_eq!(
            found,
            Err(Error::NonFinite {
                name: "particles",
                at: crate::At::Particle(1)
            })
        );
    }
}
