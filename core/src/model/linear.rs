//! Least squares: linear and ridge regression on one target, without a bias.
//!
//! ```text
//! F(x) = (1 / 2 n) sum_i (a_i^T x - y_i)^2 + (l2 / 2) |x|^2
//! grad F = (1 / n) sum_i (a_i^T x - y_i) a_i + l2 x
//! ```
//!
//! `a_i` is a row of features, `x` the parameters: `d` of each. An intercept is a feature that is always 1. Labels
//! are targets of width 1. Gradients are Lipschitz with constant `lambda_max(A^T A / n) + l2`.
//!
//! Each row is met twice, in a dot product and in a multiple added to the gradient: `4 d` flops, no scratch and
//! no gathering. Shared with [`logistic`](super::logistic), which has another loss of `a_i^T x`.

use super::{Batch, Objective, copy, start_gradient};
use crate::error::{check, check_length};
use crate::memory::{InRows, must_or};
use crate::{Error, Real, vector};

/// The number of features and the penalty.
///
/// ```
/// use thalweg::model::{Batch, Objective, linear::Model};
/// let model = Model { l2: 0.5, ..Model::new(2) };
/// let batch = Batch::targets(&[1.0_f64, 2.0, 0.0, 1.0], 2, &[4.0, 1.0], 1)?;
/// let mut grad = [0.0; 2];
/// // Residuals 1 + 2 - 4 = -1 and 1 - 1 = 0.
/// let value = model.value_and_gradient_into(&[1.0, 1.0], &batch, &mut grad, &mut [])?;
/// assert_eq!(value, 1.0 / 4.0 + 0.5);
/// assert_eq!(grad, [-0.5 + 0.5, -1.0 + 0.5]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model<T> {
    /// Features per row, which is the number of parameters; positive.
    pub features: usize,
    /// Weight of half the squared norm of the parameters, finite and not negative.
    pub l2: T,
}

impl<T: Real> Model<T> {
    /// No penalty.
    ///
    /// ```
    /// assert_eq!(thalweg::model::linear::Model::<f32>::new(3).l2, 0.0);
    /// ```
    pub const fn new(features: usize) -> Self {
        Self {
            features,
            l2: T::ZERO,
        }
    }

    pub(super) fn rows(&self) -> Rows<T> {
        Rows {
            features: self.features,
            l2: self.l2,
        }
    }

    /// Half the squared residual of row `i`, and the residual.
    fn loss(batch: &Batch<'_, T>) -> impl Fn(usize, T) -> (T, T) {
        move |i, z| {
            let target = batch.target(i).and_then(|y| y.first().copied());
            let residual = z - must_or(target, T::NAN);
            (residual * residual * T::from_f64(0.5), residual)
        }
    }

    fn check(&self, params: &[T], batch: &Batch<'_, T>) -> Result<(), Error> {
        self.rows().check(params, batch)?;
        batch.check_targets(1)
    }

    /// Writes the predictions `a_i^T x`.
    ///
    /// # Errors
    /// Wrong lengths or settings; an empty batch.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels, linear::Model};
    /// let batch = Batch::new(&[1.0_f32, 2.0, 0.0, 1.0], 2, Labels::None)?;
    /// let mut out = [0.0; 2];
    /// Model::new(2).outputs_into(&[3.0, 1.0], &batch, &mut out)?;
    /// assert_eq!(out, [5.0, 1.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        self.rows().outputs_into(params, batch, out)
    }

    /// Writes each row's own gradient, penalty included: rows x parameters.
    ///
    /// # Errors
    /// As [`gradient_into`](Objective::gradient_into).
    ///
    /// ```
    /// use thalweg::model::{Batch, linear::Model};
    /// let batch = Batch::targets(&[1.0_f32, 2.0], 1, &[0.0, 1.0], 1)?;
    /// let mut out = [0.0; 2];
    /// Model::new(1).sample_gradients_into(&[3.0], &batch, &mut out)?;
    /// assert_eq!(out, [3.0, 10.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sample_gradients_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        self.check(params, batch)?;
        self.rows()
            .sample_gradients_into(params, batch, Self::loss(batch), out)
    }
}

impl<T: Real> Objective<T> for Model<T> {
    fn dim(&self) -> usize {
        self.features
    }

    fn scratch_len(&self, _rows: usize) -> usize {
        0
    }

    fn value(&self, params: &[T], batch: &Batch<'_, T>, _: &mut [T]) -> Result<T, Error> {
        self.check(params, batch)?;
        Ok(self.rows().evaluate(params, batch, Self::loss(batch), None))
    }

    fn gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.value_and_gradient_into(params, batch, grad, scratch)
            .map(drop)
    }

    fn value_and_gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        _: &mut [T],
    ) -> Result<T, Error> {
        self.check(params, batch)?;
        check_length("grad", self.features, grad.len())?;
        Ok(self
            .rows()
            .evaluate(params, batch, Self::loss(batch), Some(grad)))
    }
}

/// What the losses of `z_i = a_i^T x` share. A loss takes `i` and `z_i` and gives its value and its slope.
pub(super) struct Rows<T> {
    pub(super) features: usize,
    pub(super) l2: T,
}

impl<T: Real> Rows<T> {
    pub(super) fn check(&self, params: &[T], batch: &Batch<'_, T>) -> Result<(), Error> {
        check("features", self.features > 0, "must be positive")?;
        check(
            "l2",
            self.l2.is_finite() && self.l2 >= T::ZERO,
            "must be finite and not negative",
        )?;
        check_length("params", self.features, params.len())?;
        batch.check_features(self.features)
    }

    /// Value, and gradient where a slice is given for it.
    pub(super) fn evaluate(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        loss: impl Fn(usize, T) -> (T, T),
        mut grad: Option<&mut [T]>,
    ) -> T {
        let scale = T::ONE / T::from_usize(batch.len());
        if let Some(grad) = &mut grad {
            start_gradient(self.l2, params, grad);
        }
        let mut sum = 0.0;
        for (i, row) in rows(*batch) {
            let (value, slope) = loss(i, must_or(vector::dot(row, params).ok(), T::NAN));
            sum += value.to_f64();
            if let Some(grad) = &mut grad {
                // The lengths are equal: `check` has seen them.
                let _ = vector::axpy(slope * scale, row, grad);
            }
        }
        let penalty = if self.l2 == T::ZERO {
            0.0
        } else {
            (self.l2 * vector::norm2_squared(params)).to_f64() / 2.0
        };
        T::from_f64(sum / batch.len() as f64 + penalty)
    }

    pub(super) fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        self.check(params, batch)?;
        check_length("out", batch.len(), out.len())?;
        for (out, (_, z)) in out.iter_mut().zip(self.scores(params, batch)) {
            *out = z;
        }
        Ok(())
    }

    /// Each row of features is the Jacobian of its score.
    pub(super) fn jacobian_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        self.check(params, batch)?;
        let size = batch.len().saturating_mul(self.features);
        check_length("out", size, out.len())?;
        for (out, (_, row)) in out.in_rows_mut(self.features).zip(rows(*batch)) {
            copy(row, out);
        }
        Ok(())
    }

    /// `A^T r`.
    pub(super) fn jacobian_transpose_times_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        residuals: &[T],
        out: &mut [T],
    ) -> Result<(), Error> {
        self.check(params, batch)?;
        check_length("residuals", batch.len(), residuals.len())?;
        check_length("out", self.features, out.len())?;
        out.fill(T::ZERO);
        for (&r, (_, row)) in residuals.iter().zip(rows(*batch)) {
            vector::axpy(r, row, out)?;
        }
        Ok(())
    }

    /// Positions and `a_i^T x`.
    pub(super) fn scores<'a>(
        &self,
        params: &'a [T],
        batch: &Batch<'a, T>,
    ) -> impl Iterator<Item = (usize, T)> + use<'a, T> {
        rows(*batch).map(|(i, row)| (i, must_or(vector::dot(row, params).ok(), T::NAN)))
    }

    pub(super) fn sample_gradients_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        loss: impl Fn(usize, T) -> (T, T),
        out: &mut [T],
    ) -> Result<(), Error> {
        let size = batch.len().saturating_mul(self.features);
        check_length("out", size, out.len())?;
        let outs = out.chunks_exact_mut(self.features.max(1));
        for (out, (i, row)) in outs.zip(rows(*batch)) {
            let (_, slope) = loss(i, vector::dot(row, params)?);
            start_gradient(self.l2, params, out);
            vector::axpy(slope, row, out)?;
        }
        Ok(())
    }
}

fn rows<'a, T: Real>(batch: Batch<'a, T>) -> impl Iterator<Item = (usize, &'a [T])> {
    (0..batch.len()).filter_map(move |i| Some((i, batch.row(i)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{check_gradient, painted};

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        let (a, y) = (painted(9 * 5, 1), painted(9, 2));
        let batch = Batch::targets(&a, 5, &y, 1).unwrap();
        let model = Model {
            l2: 0.25,
            ..Model::new(5)
        };
        let mini = batch.select(&[8, 0, 8]).unwrap();
        check_gradient(&model.on(&batch), &painted(5, 3), 1e-4);
        check_gradient(&model.on(&mini), &painted(5, 3), 1e-4);
    }

    #[test]
    fn the_gradient_vanishes_at_the_solution_of_the_normal_equations() {
        // A = [1 0; 1 1; 0 2], y = (1, 0, 1): (A^T A + 3 l2) x = A^T y with l2 = 1/3 is [3 1; 1 6] x = (1, 2).
        let a = [1.0_f64, 0.0, 1.0, 1.0, 0.0, 2.0];
        let batch = Batch::targets(&a, 2, &[1.0, 0.0, 1.0], 1).unwrap();
        let model = Model {
            l2: 1.0 / 3.0,
            ..Model::new(2)
        };
        let mut grad = [f64::NAN; 2];
        let x = [4.0 / 17.0, 5.0 / 17.0];
        model.gradient_into(&x, &batch, &mut grad, &mut []).unwrap();
        assert!(vector::norm_inf(&grad) < 1e-16, "{grad:?}");
    }

    #[test]
    fn sample_gradients_average_to_the_gradient() {
        let (a, y, x) = (painted(9 * 5, 1), painted(9, 2), painted::<f64>(5, 3));
        let batch = Batch::targets(&a, 5, &y, 1).unwrap();
        let model = Model {
            l2: 0.25,
            ..Model::new(5)
        };
        let (mut grad, mut each) = ([0.0; 5], [0.0; 45]);
        model.gradient_into(&x, &batch, &mut grad, &mut []).unwrap();
        model.sample_gradients_into(&x, &batch, &mut each).unwrap();
        for j in 0..5 {
            let mean = each.chunks(5).map(|g| g[j]).sum::<f64>() / 9.0;
            assert!((mean - grad[j]).abs() < 1e-15);
        }
    }

    #[test]
    fn bad_arguments_are_named_and_nothing_is_written() {
        let a = [1.0_f32; 4];
        let batch = Batch::targets(&a, 2, &[0.0; 2], 1).unwrap();
        let pairs = Batch::targets(&a, 2, &[0.0; 4], 2).unwrap();
        let bare = Batch::classes(&a, 2, &[0; 2]).unwrap();
        let model = Model::new(2);
        let broken = Model { l2: -1.0, ..model };
        let mut grad = [7.0; 2];
        for (model, params, batch, expected) in [
            (model, &[0.0; 3][..], batch, "params"),
            (model, &[0.0; 2], batch.select(&[]).unwrap(), "batch"),
            (Model::new(3), &[0.0; 3], batch, "features"),
            (Model::new(0), &[], batch, "features"),
            (model, &[0.0; 2], pairs, "targets"),
            (model, &[0.0; 2], bare, "labels"),
            (broken, &[0.0; 2], batch, "l2"),
        ] {
            let error = model
                .gradient_into(params, &batch, &mut grad, &mut [])
                .unwrap_err();
            let (Error::Length { name, .. } | Error::Parameter { name, .. }) = error else {
                panic!("{error}")
            };
            assert_eq!((name, grad), (expected, [7.0; 2]));
        }
        assert!(
            model
                .gradient_into(&[0.0; 2], &batch, &mut [0.0; 3], &mut [])
                .is_err()
        );
    }
}
