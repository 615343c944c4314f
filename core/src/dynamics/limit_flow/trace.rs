//! The trace of a matrix that is known by its products with vectors.

use rand_core::Rng;

use crate::error::{check, check_length};
use crate::{Error, Real, random, vector};

/// A mean with its standard error.
///
/// ```
/// use thalweg::dynamics::limit_flow::Estimate;
/// assert_eq!(Estimate { mean: 3.0, error: 0.0 }.mean, 3.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Mean over the probes.
    pub mean: f64,
    /// Estimated standard deviation of the mean; NaN with a single probe.
    pub error: f64,
}

/// Estimates `tr H` from `probes` products with random signs: the mean of `<s, H s>`.
///
/// ```text
/// E <s, H s> = tr H,    Var <s, H s> = 2 sum_{i != j} h_ij^2       exact when H is diagonal
/// ```
///
/// `product(s, out)` writes `H s`. One word of the generator per element of a probe. Reference: Hutchinson, *A stochastic estimator of
/// the trace of the influence matrix* (1990).
///
/// # Errors
/// [`Error::Parameter`] without probes, [`Error::Length`] unless the buffers are equal in length, and what `product` returns.
///
/// ```
/// use thalweg::dynamics::limit_flow::hutchinson_trace;
/// use thalweg::random::{self, Purpose};
/// let mut rng = random::stream(1, 0, 0, Purpose::DIRECTION);
/// let diagonal = |s: &[f64], out: &mut [f64]| {
///     out.copy_from_slice(&[2.0 * s[0], 3.0 * s[1]]);
///     Ok(())
/// };
/// let found = hutchinson_trace(diagonal, 2, &mut [0.0; 2], &mut [0.0; 2], &mut rng)?;
/// assert_eq!((found.mean, found.error), (5.0, 0.0));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn hutchinson_trace<T: Real>(
    mut product: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    probes: usize,
    signs: &mut [T],
    out: &mut [T],
    rng: &mut impl Rng,
) -> Result<Estimate, Error> {
    check("probes", probes > 0, "must be positive")?;
    check_length("out", signs.len(), out.len())?;
    let (mut mean, mut squares) = (0.0, 0.0);
    for k in 1..=probes {
        signs.fill_with(|| random::rademacher(rng));
        product(signs, out)?;
        let x = vector::dot(signs, out)?.to_f64();
        // Welford's update; k is positive.
        let difference = x - mean;
        mean += difference / k as f64;
        squares += difference * (x - mean);
    }
    let variance = squares / (probes as f64 - 1.0);
    Ok(Estimate {
        mean,
        // A sum of squares is not negative; one probe divides 0 by 0.
        error: libm::sqrt(variance / probes as f64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{MatrixRef, gemv};
    use crate::random::Purpose;

    #[test]
    fn the_estimate_is_within_its_error_and_the_error_within_its_law() {
        let h = [4.0, 1.0, -2.0, 1.0, 3.0, 0.5, -2.0, 0.5, -1.0];
        let view = MatrixRef::new(&h, 3, 3).unwrap();
        let mut rng = random::stream(3, 0, 0, Purpose::DIRECTION);
        let product = |s: &[f64], out: &mut [f64]| gemv(1.0, view, s, 0.0, out);
        let probes = 4000;
        let found =
            hutchinson_trace(product, probes, &mut [0.0; 3], &mut [0.0; 3], &mut rng).unwrap();
        // 2 (1 + 4 + 1/4) twice over i != j.
        let law = (4.0 * 5.25 / probes as f64).sqrt();
        assert!((found.error / law - 1.0).abs() < 0.1, "{found:?} {law}");
        assert!((found.mean - 6.0).abs() < 4.0 * law, "{found:?}");
    }

    #[test]
    fn the_error_of_few_probes_is_that_of_their_values() {
        let mut rng = random::stream(3, 0, 0, Purpose::DIRECTION);
        // In one dimension a probe is the factor itself.
        let mut values = [5.0, 6.0, 8.0].into_iter();
        let product = |s: &[f64], out: &mut [f64]| {
            out[0] = values.next().unwrap() * s[0];
            Ok(())
        };
        let found = hutchinson_trace(product, 3, &mut [0.0], &mut [0.0], &mut rng).unwrap();
        // Squares about 19/3 sum to 14/3, over 2 and 3.
        assert!((found.mean - 19.0 / 3.0).abs() < 1e-14, "{found:?}");
        assert!(
            (found.error - (7.0_f64 / 9.0).sqrt()).abs() < 1e-14,
            "{found:?}"
        );
    }

    #[test]
    fn no_probes_and_unequal_buffers_are_refused() {
        let mut rng = random::stream(3, 0, 0, Purpose::DIRECTION);
        let product = |_: &[f32], _: &mut [f32]| Ok(());
        let none = hutchinson_trace(product, 0, &mut [0.0], &mut [0.0], &mut rng);
        assert!(none.is_err());
        let unequal = hutchinson_trace(product, 1, &mut [0.0], &mut [], &mut rng);
        assert!(unequal.is_err());
    }
}
