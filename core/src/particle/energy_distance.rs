//! Energy distance between particles and a reference sample.
//!
//! ```text
//! E = 2 mean |x - y| - mean |x - x'| - mean |y - y'|      over all pairs, zeros included
//! ```
//! At least 0, and 0 for equal samples; no bandwidth to choose. The term of the reference alone is computed once. Sums run in `f64` in the
//! order of the rows. Cost: `n (n/2 + |Y|)` distances.
//!
//! Reference: Szekely and Rizzo, *Energy statistics* (2013).

use super::mmd::{mean_between, mean_within};
use super::{check_finite, count};
use crate::{Error, Real};

/// A reference sample with the mean of its own distances.
///
/// ```
/// use thalweg::particle::energy_distance::Reference;
/// // 2 |3 - 0| - 0 - 0.
/// assert_eq!(Reference::new(1, &[0.0_f32])?.distance(&[3.0])?, 6.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference<'a, T> {
    d: usize,
    sample: &'a [T],
    own: f64,
}

impl<'a, T: Real> Reference<'a, T> {
    /// Computes the term of the sample alone.
    ///
    /// # Errors
    /// [`Error::Length`] when `d` does not divide the sample, [`Error::Parameter`] for an empty one, [`Error::NonFinite`] with the
    /// index of the row.
    pub fn new(d: usize, sample: &'a [T]) -> Result<Self, Error> {
        let n = count(sample.len(), d)?;
        crate::error::check("sample", n > 0, "must not be empty")?;
        check_finite("sample", sample, d)?;
        let own = mean_within(d, sample, libm::sqrt, 0.0);
        Ok(Self { d, sample, own })
    }

    /// Distance of particles.
    ///
    /// # Errors
    /// [`Error::Length`] when the dimension does not divide the particles, [`Error::Parameter`] when there are none, [`Error::NonFinite`]
    /// with the index of the particle.
    pub fn distance(&self, particles: &[T]) -> Result<f64, Error> {
        let n = count(particles.len(), self.d)?;
        crate::error::check("particles", n > 0, "must not be empty")?;
        check_finite("particles", particles, self.d)?;
        let own = mean_within(self.d, particles, libm::sqrt, 0.0);
        let between = mean_between(self.d, particles, self.sample, libm::sqrt);
        Ok(2.0 * between - own - self.own)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{golden, painted};
    use super::*;

    #[test]
    fn the_distance_is_that_of_numpy() {
        let (x, y) = (painted::<f64>(1, 21), painted::<f64>(4, 15));
        let reference = Reference::new(3, &y).unwrap();
        assert!((reference.distance(&x).unwrap() - golden("energy")[0]).abs() < 1e-14);
        assert!(reference.distance(&y).unwrap().abs() < 1e-14);
        assert!(reference.distance(&[]).is_err() && Reference::<f32>::new(3, &[]).is_err());
    }
}
