//! A normal density with any covariance.

use rand_core::Rng;

use super::{LN_TAU, check_lengths};
use crate::error::{check, check_length};
use crate::matrix::{MatrixMut, MatrixRef, cholesky_solve_vector, solve_lower};
use crate::memory::{front, must};
use crate::model::Gradient;
use crate::{Error, Real, random, vector};

/// `N(mean, L L^T)`, by its mean and the lower Cholesky factor `L` of its covariance.
///
/// ```text
/// -ln p(x) = |L^-1 (x - mean)|^2 / 2 + sum_i ln l_ii + (d / 2) ln(2 pi)       gradient (L L^T)^-1 (x - mean)
/// ```
///
/// The factor comes from [`matrix::cholesky`](crate::matrix::cholesky); above its diagonal it is not read. The
/// factor and not the precision, because draws need it and an ill-conditioned covariance keeps half of its digits
/// in its root. Cost: `d^2` flops a value, `2 d^2` a gradient or a draw.
///
/// ```
/// use thalweg::model::Gradient;
/// use thalweg::particle::target::Gaussian;
/// let target = Gaussian { mean: &[1.0_f64, 0.0], factor: &[2.0, 0.0, 0.0, 0.5] };
/// let (mut scratch, mut grad) = ([0.0; 2], [0.0; 2]);
/// let value = target.value_and_gradient_into(&[3.0, 0.5], &mut grad, &mut scratch)?;
/// assert_eq!(grad, [0.5, 2.0]); // 2 / 4, 0.5 / 0.25
/// assert!((value - 1.0 - core::f64::consts::TAU.ln()).abs() < 1e-15); // the determinant is 1
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gaussian<'a, T> {
    /// Mean: `d` numbers.
    pub mean: &'a [T],
    /// Lower Cholesky factor of the covariance: `d x d`, row after row, with a positive diagonal.
    pub factor: &'a [T],
}

impl<'a, T: Real> Gaussian<'a, T> {
    /// The factor as a matrix, checked.
    fn factor(&self) -> Result<MatrixRef<'a, T>, Error> {
        let d = self.mean.len();
        check_length("factor", d.saturating_mul(d), self.factor.len())?;
        let l = MatrixRef::new(self.factor, d, d)?;
        let mut diagonal = l.row_iter().enumerate().filter_map(|(i, row)| row.get(i));
        check(
            "factor",
            diagonal.all(|l| *l > T::ZERO),
            "must have a positive diagonal",
        )?;
        Ok(l)
    }

    /// Writes an exact draw: `mean + L z` with `d` standard normal numbers, one after the other.
    ///
    /// # Errors
    /// Wrong lengths, or a diagonal that is not positive; nothing is drawn then.
    ///
    /// ```
    /// use thalweg::particle::target::Gaussian;
    /// use thalweg::random::{Purpose, normal, stream};
    /// let mut x = [0.0_f64];
    /// let rng = || stream(1, 0, 0, Purpose::DATA);
    /// Gaussian { mean: &[5.0], factor: &[2.0] }.sample_into(&mut rng(), &mut x)?;
    /// assert_eq!(x[0], 5.0 + 2.0 * normal::<f64>(&mut rng()));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sample_into(&self, rng: &mut impl Rng, out: &mut [T]) -> Result<(), Error> {
        let l = self.factor()?;
        check_length("out", self.mean.len(), out.len())?;
        for x in &mut *out {
            *x = random::normal(rng);
        }
        // From the last row up: row i reads z_0 .. z_i, which the rows below no longer need.
        for (i, mean) in self.mean.iter().enumerate().rev() {
            let z = must(out.get(..=i));
            let row = must(l.row(i).and_then(|row| row.get(..=i)));
            let x = *mean + vector::dot(row, z)?;
            if let Some(out) = out.get_mut(i) {
                *out = x;
            }
        }
        Ok(())
    }

    /// Writes the covariance `L L^T`: `d x d`.
    ///
    /// # Errors
    /// Wrong lengths, or a diagonal that is not positive.
    ///
    /// ```
    /// use thalweg::particle::target::Gaussian;
    /// let target = Gaussian { mean: &[0.0_f32; 2], factor: &[2.0, 0.0, 1.0, 3.0] };
    /// let mut covariance = [0.0; 4];
    /// target.covariance_into(&mut covariance)?;
    /// assert_eq!(covariance, [4.0, 2.0, 2.0, 10.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn covariance_into(&self, out: &mut [T]) -> Result<(), Error> {
        let l = self.factor()?;
        let d = self.mean.len();
        check_length("out", d.saturating_mul(d), out.len())?;
        let mut out = out.iter_mut();
        for (i, a) in l.row_iter().enumerate() {
            for (j, b) in l.row_iter().enumerate() {
                let shared = i.min(j);
                if let (Some(a), Some(b), Some(out)) =
                    (a.get(..=shared), b.get(..=shared), out.next())
                {
                    *out = vector::dot(a, b)?;
                }
            }
        }
        Ok(())
    }
}

impl<T: Real> Gradient<T> for Gaussian<'_, T> {
    fn dim(&self) -> usize {
        self.mean.len()
    }

    /// `d`; the gradient alone needs none.
    fn scratch_len(&self) -> usize {
        self.mean.len()
    }

    fn value(&self, params: &[T], scratch: &mut [T]) -> Result<T, Error> {
        let (l, d) = (self.factor()?, self.mean.len());
        check_length("params", d, params.len())?;
        let y = front("scratch", scratch, d)?;
        vector::subtract_into(params, self.mean, y)?;
        solve_lower(l, MatrixMut::new(y, d, 1)?)?;
        let diagonal = l.row_iter().enumerate().filter_map(|(i, row)| row.get(i));
        let logs = diagonal.fold(T::ZERO, |sum, l| sum + l.ln());
        let half = T::from_f64(0.5);
        Ok(half * (vector::norm2_squared(y) + T::from_f64(LN_TAU) * T::from_usize(d)) + logs)
    }

    fn gradient_into(&self, params: &[T], grad: &mut [T], _: &mut [T]) -> Result<(), Error> {
        let l = self.factor()?;
        check_lengths(self.mean.len(), params, grad)?;
        vector::subtract_into(params, self.mean, grad)?;
        cholesky_solve_vector(l, grad)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{check_draws, check_golden};
    use super::*;
    use crate::model::tests::check_gradient;
    use crate::random::{Purpose, stream};

    const MEAN: [f64; 3] = [1.0, -2.0, 0.5];
    // Above the diagonal nothing is read.
    const FACTOR: [f64; 9] = [2.0, f64::NAN, 9.0, 0.5, 0.3, 9.0, -1.0, 0.2, 0.1];
    const TARGET: Gaussian<'static, f64> = Gaussian {
        mean: &MEAN,
        factor: &FACTOR,
    };

    #[test]
    fn density_and_score_are_those_of_scipy() {
        // core/tests/golden/target.py.
        let score = [75.383_333_33, -80.833_333_33, 110.0];
        check_golden(&TARGET, &[0.3, -1.5, 0.2], -63.035_904_882_858_9, &score);
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        check_gradient(&TARGET, &[0.3, -1.5, 0.2], 1e-3);
    }

    #[test]
    fn draws_have_the_moments() {
        let mut covariance = [0.0; 9];
        TARGET.covariance_into(&mut covariance).unwrap();
        // L L^T by hand.
        let expected = [4.0, 1.0, -2.0, 1.0, 0.34, -0.44, -2.0, -0.44, 1.05];
        for (found, expected) in covariance.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-15);
        }
        let mut rng = stream(3, 0, 0, Purpose::DATA);
        check_draws(40_000, 3.0, &MEAN, &expected, |x| {
            TARGET.sample_into(&mut rng, x).unwrap();
        });
    }

    #[test]
    fn bad_arguments_are_named_and_nothing_is_written() {
        let mut grad = [7.0; 3];
        let bad = Gaussian {
            factor: &[1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0],
            ..TARGET
        };
        let x = [0.0; 3];
        let outcomes = [
            bad.gradient_into(&x, &mut grad, &mut []),
            TARGET.gradient_into(&x[..2], &mut grad, &mut []),
            bad.sample_into(&mut stream(1, 0, 0, Purpose::DATA), &mut grad),
            bad.covariance_into(&mut grad),
            TARGET.covariance_into(&mut grad),
            TARGET.value(&x, &mut [0.0; 2]).map(drop),
        ];
        assert!(outcomes.iter().all(Result::is_err));
        let Err(Error::Parameter { name, .. }) = outcomes[0] else {
            panic!("{:?}", outcomes[0])
        };
        assert_eq!(name, "factor");
        assert_eq!(grad, [7.0; 3]);
    }
}
