//! Energy distance between particles and a reference sample.
//!
//! ```text
//! E = 2 mean |x - y| - mean |x - x'| - mean |y - y'|      over all pairs, zeros included
//! ```
//! At least 0, and 0 for equal samples; no bandwidth to choose. The term of the reference alone is computed once. Sums run in `f64` in the
//! order of the rows. Cost: `n (n/2 + |Y|)` distances.
//!
//! Reference: Szekely and Rizzo, *Energy statistics* (2013).

use super::mmd::{mean_between, mean_within, squared_distance};
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
        let own = mean_within(d, sample, distance, 0.0);
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
        let own = mean_within(self.d, particles, distance, 0.0);
        let between = mean_between(self.d, particles, self.sample, distance);
        Ok(2.0 * between - own - self.own)
    }
}

/// `|a - b|`; where the square over- or underflows, of rows scaled by a power of two.
fn distance<T: Real>(a: &[T], b: &[T]) -> f64 {
    let q = squared_distance(a, b);
    if (1e-290..1e300).contains(&q) {
        return libm::sqrt(q);
    }
    // 2^-600 and 2^600. Differences of large coordinates may overflow, so those are scaled first.
    let [down, up] = [(1023_u64 - 600) << 52, (1023_u64 + 600) << 52].map(f64::from_bits);
    let pairs = a.iter().zip(b).map(|(a, b)| (a.to_f64(), b.to_f64()));
    let square = |delta: f64| delta * delta;
    if q < 1.0 {
        libm::sqrt(pairs.map(|(a, b)| square(up * (a - b))).sum()) * down
    } else {
        libm::sqrt(pairs.map(|(a, b)| square(down * a - down * b)).sum()) * up
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{golden, painted};
    use super::*;

    #[test]
    fn coordinates_of_any_size_have_their_distance() {
        // 2 |(3, 4) s| - 0 - 0.
        for s in [5e-324, 1e-200, 1.0, 1e8, 1e153, 1e200, 1e306] {
            let reference = Reference::new(2, &[0.0_f64; 2]).unwrap();
            let found = reference.distance(&[3.0 * s, 4.0 * s]).unwrap();
            assert!((found / s - 10.0).abs() < 1e-14, "{s}: {found}");
        }
        // The mean of four rows at 0 and one far away: 2 (far/5) - 2 (4 far)/25 = 2 far/25.
        for far in [1e8_f32, 1e30] {
            let found = Reference::new(1, &[0.0_f32]).unwrap();
            let found = found.distance(&[0.0, 0.0, far, 0.0, 0.0]).unwrap();
            assert!((found / f64::from(far) - 0.08).abs() < 1e-15, "{found}");
        }
    }

    #[test]
    fn the_distance_is_that_of_numpy() {
        let (x, y) = (painted::<f64>(1, 21), painted::<f64>(4, 15));
        let reference = Reference::new(3, &y).unwrap();
        assert!((reference.distance(&x).unwrap() - golden("energy")[0]).abs() < 1e-14);
        assert!(reference.distance(&y).unwrap().abs() < 1e-14);
        assert!(reference.distance(&[]).is_err() && Reference::<f32>::new(3, &[]).is_err());
    }
}
