//! The posterior of a regression whose noise is not known.

use crate::error::{check, check_length};
use crate::memory::must_or;
use crate::model::{Batch, Objective};
use crate::{Error, Real, vector};

/// `p(w, s | data)` for targets with normal noise of variance `exp(-s)`; `s` is the last parameter.
///
/// ```text
/// y_i ~ N(f(x_i; w), exp(-s))        w ~ N(0, I / precision)        exp(s) ~ Gamma(shape, rate)
///
/// -ln p = rows (exp(s) F(w; batch) - s / 2) + (precision / 2) |w|^2 - shape s + rate exp(s) + constant
/// ```
///
/// `F` is the mean of `(f(x_i; w) - y_i)^2 / 2`: the squared loss of [`model`](crate::model), with one output a row and no
/// penalty. The density is that of `s`, not of `exp(s)`, so its prior has `shape` and not `shape - 1`. With a network
/// for `f` this is the Bayesian network of the reference, but for its prior on `precision`, which is a number here.
/// `rows` is as for [`Posterior`](super::Posterior).
///
/// Reference: Hernández-Lobato and Adams: Probabilistic backpropagation, ICML 2015; Liu and Wang: Stein variational
/// gradient descent, NeurIPS 2016, section 5.
///
/// ```
/// use thalweg::model::{Batch, Objective, linear};
/// use thalweg::particle::target::Regression;
/// let batch = Batch::targets(&[1.0_f64], 1, &[3.0], 1)?;
/// let target = Regression { objective: linear::Model::new(1), rows: 1.0, precision: 0.0, shape: 1.0, rate: 0.5 };
/// let mut grad = [0.0; 2];
/// target.gradient_into(&[1.0, 0.0], &batch, &mut grad, &mut [])?;
/// assert_eq!(grad, [-2.0, 1.0]); // residual -2; 2 - 1/2 - 1 + 1/2
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Regression<O, T> {
    /// The squared loss.
    pub objective: O,
    /// Rows of the whole data; finite and not negative.
    pub rows: T,
    /// Inverse variance of the prior of `w`; finite and not negative.
    pub precision: T,
    /// Shape of the prior of the inverse variance of the noise; finite and positive.
    pub shape: T,
    /// Its rate: the prior mean is `shape / rate`; finite and positive.
    pub rate: T,
}

impl<O, T: Real> Regression<O, T> {
    /// Checks the four numbers.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    ///
    /// ```
    /// use thalweg::model::linear::Model;
    /// use thalweg::particle::target::Regression;
    /// let objective = Model::<f32>::new(1);
    /// assert!(Regression { objective, rows: 1.0, precision: 0.0, shape: 0.0, rate: 1.0 }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        for (name, x) in [("rows", self.rows), ("precision", self.precision)] {
            let holds = x.is_finite() && x >= T::ZERO;
            check(name, holds, "must be finite and not negative")?;
        }
        for (name, x) in [("shape", self.shape), ("rate", self.rate)] {
            let positive = x.is_finite() && x > T::ZERO;
            check(name, positive, "must be finite and positive")?;
        }
        Ok(())
    }
}

impl<T: Real, O: Objective<T>> Regression<O, T> {
    /// Checks the length; the weights and the logarithm of the inverse variance.
    fn split<'a>(&self, params: &'a [T]) -> Result<(&'a [T], T), Error> {
        check_length("params", self.dim(), params.len())?;
        let (&s, w) = must_or(params.split_last(), (&T::ZERO, &[]));
        Ok((w, s))
    }
}

impl<T: Real, O: Objective<T>> Objective<T> for Regression<O, T> {
    fn dim(&self) -> usize {
        self.objective.dim().saturating_add(1)
    }

    fn scratch_len(&self, rows: usize) -> usize {
        self.objective.scratch_len(rows)
    }

    fn value(&self, params: &[T], batch: &Batch<'_, T>, scratch: &mut [T]) -> Result<T, Error> {
        self.validate()?;
        let (w, s) = self.split(params)?;
        let loss = self.objective.value(w, batch, scratch)?;
        let (half, gamma) = (T::from_f64(0.5), s.exp());
        let likelihood = self.rows * (gamma * loss - half * s);
        let prior = half * self.precision * vector::norm2_squared(w);
        Ok(likelihood + prior - self.shape * s + self.rate * gamma)
    }

    fn gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.validate()?;
        let (w, s) = self.split(params)?;
        check_length("grad", self.dim(), grad.len())?;
        if let Some((noise, grad)) = grad.split_last_mut() {
            let loss = self
                .objective
                .value_and_gradient_into(w, batch, grad, scratch)?;
            let gamma = s.exp();
            vector::scale(self.rows * gamma, grad);
            vector::axpy(self.precision, w, grad)?;
            let slope = self.rows * (gamma * loss - T::from_f64(0.5));
            *noise = slope - self.shape + self.rate * gamma;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{check_gradient, painted};
    use crate::model::{Loss, mlp};

    const NETWORK: mlp::Model<'static, f64> = mlp::Model {
        activation: mlp::Activation::Tanh,
        loss: Loss::Squared,
        ..mlp::Model::new(&[3, 4, 1])
    };
    const TARGET: Regression<mlp::Model<'static, f64>, f64> = Regression {
        objective: NETWORK,
        rows: 5.0,
        precision: 0.5,
        shape: 2.0,
        rate: 0.3,
    };

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        let (x, y) = (painted(15, 1), painted(5, 2));
        let batch = Batch::targets(&x, 3, &y, 1).unwrap();
        check_gradient(&TARGET.on(&batch), &painted(TARGET.dim(), 3), 1e-5);
    }

    #[test]
    fn without_rows_the_most_likely_precision_is_that_of_its_prior() {
        // d/ds (shape s - rate exp(s)) = 0 at exp(s) = shape / rate.
        let (x, y) = (painted(3, 1), painted(1, 2));
        let batch = Batch::targets(&x, 3, &y, 1).unwrap();
        let target = Regression {
            rows: 0.0,
            ..TARGET
        };
        let mut w = [0.0; 22];
        w[21] = (2.0_f64 / 0.3).ln();
        let (mut scratch, mut grad) = ([0.0; 600], [9.0; 22]);
        target
            .gradient_into(&w, &batch, &mut grad, &mut scratch)
            .unwrap();
        assert!(grad.iter().all(|g| g.abs() < 1e-15), "{grad:?}");
    }

    #[test]
    fn errors_leave_the_gradient_alone() {
        let (x, y) = (painted(3, 1), painted(1, 2));
        let batch = Batch::targets(&x, 3, &y, 1).unwrap();
        let (mut scratch, mut grad) = ([0.0; 600], [7.0; 22]);
        #[rustfmt::skip]
        let bad = [
            Regression { rows: f64::NAN, ..TARGET },
            Regression { precision: -1.0, ..TARGET },
            Regression { shape: 0.0, ..TARGET },
            Regression { rate: f64::INFINITY, ..TARGET },
        ];
        for target in bad {
            assert!(
                target
                    .gradient_into(&[0.0; 22], &batch, &mut grad, &mut scratch)
                    .is_err()
            );
            assert!(target.value(&[0.0; 22], &batch, &mut scratch).is_err());
        }
        assert!(
            TARGET
                .gradient_into(&[0.0; 21], &batch, &mut grad, &mut scratch)
                .is_err()
        );
        assert_eq!(grad, [7.0; 22]);
    }
}
