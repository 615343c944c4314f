//! The posterior of a model under a normal prior.

use crate::error::check;
use crate::model::{Batch, Objective};
use crate::{Error, Real, vector};

/// `p(w | data)` for independent rows whose negative log-likelihood is the loss, with prior `N(0, I / precision)`.
///
/// ```text
/// -ln p = rows F(w; batch) + (precision / 2) |w|^2 + constant        F: mean loss over the rows of the batch
/// ```
///
/// `rows` is the number of rows of the whole data: on a mini-batch the likelihood is then scaled by `rows / batch`, which makes
/// the gradient unbiased, and the prior counts in full. All particles of a step should see the same mini-batch. Set the
/// objective's own penalty to zero.
///
/// Logistic and cross-entropy losses are negative log-likelihoods. The squared loss is one for noise of variance 1: with
/// noise of variance `s2`, divide `rows` by it; see [`Regression`](super::Regression) for noise that is not known.
///
/// ```
/// use thalweg::model::{Batch, Objective, logistic};
/// use thalweg::particle::target::Posterior;
/// let batch = Batch::classes(&[1.0_f64, 2.0], 2, &[1])?;
/// let target = Posterior { objective: logistic::Model::new(2), rows: 10.0, precision: 0.25 };
/// let mut grad = [0.0; 2];
/// target.gradient_into(&[0.0, 0.0], &batch, &mut grad, &mut [])?;
/// assert_eq!(grad, [-5.0, -10.0]); // ten rows like this one, each -1/2 of its features
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Posterior<O, T> {
    /// The loss.
    pub objective: O,
    /// Rows of the whole data; finite and not negative.
    pub rows: T,
    /// Inverse variance of the prior; finite and not negative.
    pub precision: T,
}

impl<O, T: Real> Posterior<O, T> {
    /// Checks the two numbers.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    ///
    /// ```
    /// use thalweg::model::linear::Model;
    /// use thalweg::particle::target::Posterior;
    /// let target = Posterior { objective: Model::<f32>::new(1), rows: -1.0_f32, precision: 1.0 };
    /// assert!(target.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        for (name, x) in [("rows", self.rows), ("precision", self.precision)] {
            let holds = x.is_finite() && x >= T::ZERO;
            check(name, holds, "must be finite and not negative")?;
        }
        Ok(())
    }

    fn energy(&self, loss: T, params: &[T]) -> T {
        let prior = T::from_f64(0.5) * self.precision * vector::norm2_squared(params);
        self.rows * loss + prior
    }

    fn finish(&self, params: &[T], grad: &mut [T]) -> Result<(), Error> {
        vector::scale(self.rows, grad);
        vector::axpy(self.precision, params, grad)
    }
}

impl<T: Real, O: Objective<T>> Objective<T> for Posterior<O, T> {
    fn dim(&self) -> usize {
        self.objective.dim()
    }

    fn scratch_len(&self, rows: usize) -> usize {
        self.objective.scratch_len(rows)
    }

    fn value(&self, params: &[T], batch: &Batch<'_, T>, scratch: &mut [T]) -> Result<T, Error> {
        self.validate()?;
        let loss = self.objective.value(params, batch, scratch)?;
        Ok(self.energy(loss, params))
    }

    fn gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.validate()?;
        self.objective.gradient_into(params, batch, grad, scratch)?;
        self.finish(params, grad)
    }

    fn value_and_gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        self.validate()?;
        let loss = self
            .objective
            .value_and_gradient_into(params, batch, grad, scratch)?;
        self.finish(params, grad)?;
        Ok(self.energy(loss, params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::logistic;
    use crate::model::tests::{check_gradient, painted};

    const CLASSES: [u32; 8] = [1, 0, 0, 1, 1, 0, 1, 0];

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        let a = painted(32, 1);
        let batch = Batch::classes(&a, 4, &CLASSES).unwrap();
        let target = Posterior {
            objective: logistic::Model::new(4),
            rows: 8.0,
            precision: 0.25,
        };
        check_gradient(&target.on(&batch), &painted(4, 3), 1e-5);
    }

    #[test]
    fn the_mean_over_disjoint_mini_batches_is_the_gradient_of_all() {
        let a = painted::<f64>(32, 1);
        let batch = Batch::classes(&a, 4, &CLASSES).unwrap();
        let target = Posterior {
            objective: logistic::Model::new(4),
            rows: 8.0,
            precision: 0.25,
        };
        let w = painted(4, 3);
        let gradient = |batch: &Batch<'_, f64>| {
            let mut grad = [0.0; 4];
            target.gradient_into(&w, batch, &mut grad, &mut []).unwrap();
            grad
        };
        let (a, b) = (
            gradient(&batch.range(0, 4).unwrap()),
            gradient(&batch.range(4, 4).unwrap()),
        );
        for ((a, b), all) in a.iter().zip(b).zip(gradient(&batch)) {
            assert!((0.5 * (a + b) - all).abs() < 1e-13);
        }
        assert_ne!(a, b);
    }

    #[test]
    fn errors_leave_the_gradient_alone() {
        let good = Posterior {
            objective: logistic::Model::new(1),
            rows: 8.0_f32,
            precision: 0.25,
        };
        let batch = Batch::classes(&[1.0], 1, &[1]).unwrap();
        let mut grad = [7.0];
        for target in [
            Posterior {
                rows: f32::NAN,
                ..good
            },
            Posterior {
                precision: -1.0,
                ..good
            },
        ] {
            assert!(
                target
                    .gradient_into(&[0.0], &batch, &mut grad, &mut [])
                    .is_err()
            );
            assert!(target.value(&[0.0], &batch, &mut []).is_err());
        }
        assert!(
            good.value_and_gradient_into(&[0.0; 2], &batch, &mut grad, &mut [])
                .is_err()
        );
        assert_eq!(grad, [7.0]);
    }
}
