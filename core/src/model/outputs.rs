//! Models whose outputs can be differentiated: what a tangent kernel is made from.

use super::{Batch, Objective, linear, logistic, mlp, softmax};
use crate::{Error, Real};

/// A model with `C` outputs a row, their Jacobian in the `P` parameters, and the product of its transpose.
///
/// ```text
/// f(X; w): N x C       J_ic = df_c(x_i)/dw: N x C x P       J^T r = sum_ic r_ic J_ic: P
/// ```
///
/// Labels are not read, and penalties have no part in it. Rows are independent: the Jacobian of [`Batch::range`]`(i, 1)` is row `i` of
/// the Jacobian of the batch, with the same bits, so that `C P` numbers of memory are enough to send a batch row by row. The Jacobian of a
/// single output, in `P` numbers, is the transposed product of one row with a unit vector.
///
/// [`linear`] and [`logistic`] have one output, the score `a^T x`. [`quadratic`](super::quadratic) reads no data and has no outputs.
///
/// ```
/// use thalweg::model::{Batch, Labels, Outputs, linear, mlp};
///
/// /// Largest slope of an output.
/// fn steepest(model: &impl Outputs<f64>, params: &[f64], x: &[f64]) -> Result<f64, thalweg::Error> {
///     let batch = Batch::new(x, x.len(), Labels::None)?;
///     let mut jacobian = vec![0.0; model.outputs() * model.dim()];
///     let mut scratch = vec![0.0; model.outputs_scratch_len(1)];
///     model.jacobian_into(params, &batch, &mut jacobian, &mut scratch)?;
///     Ok(thalweg::vector::norm_inf(&jacobian))
/// }
/// // f = a^T x has the slopes a; f = 3 relu(2 x - 1) + 0.5 at x = 1 has 3 x, 3, a, 1.
/// assert_eq!(steepest(&linear::Model::new(2), &[7.0, 7.0], &[1.0, -5.0])?, 5.0);
/// assert_eq!(steepest(&mlp::Model::new(&[1, 1, 1]), &[2.0, -1.0, 3.0, 0.5], &[1.0])?, 3.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub trait Outputs<T: Real>: Objective<T> {
    /// Outputs per row, `C`.
    fn outputs(&self) -> usize;

    /// Elements of scratch with which the functions of this trait run at full speed on a batch of `rows` rows.
    fn outputs_scratch_len(&self, rows: usize) -> usize;

    /// Writes the outputs: rows x outputs.
    ///
    /// # Errors
    /// Wrong lengths or settings; an empty batch. `out` is unchanged.
    fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error>;

    /// Writes the Jacobian: rows x outputs x parameters.
    ///
    /// # Errors
    /// As [`outputs_into`](Self::outputs_into).
    fn jacobian_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error>;

    /// Writes the transposed Jacobian times numbers per row and output: one back-propagation, with `residuals` in place of the slope of
    /// the loss.
    ///
    /// # Errors
    /// As [`outputs_into`](Self::outputs_into).
    fn jacobian_transpose_times_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        residuals: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error>;
}

impl<T: Real> Outputs<T> for mlp::Model<'_, T> {
    fn outputs(&self) -> usize {
        mlp::Model::outputs(self)
    }

    fn outputs_scratch_len(&self, rows: usize) -> usize {
        self.scratch_len(rows).max(self.jacobian_scratch_len())
    }

    fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        mlp::Model::outputs_into(self, params, batch, out, scratch)
    }

    fn jacobian_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        mlp::Model::jacobian_into(self, params, batch, out, scratch)
    }

    fn jacobian_transpose_times_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        residuals: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        mlp::Model::jacobian_transpose_times_into(self, params, batch, residuals, out, scratch)
    }
}

impl<T: Real> Outputs<T> for softmax::Model<T> {
    fn outputs(&self) -> usize {
        self.network().outputs()
    }

    fn outputs_scratch_len(&self, rows: usize) -> usize {
        self.network().outputs_scratch_len(rows)
    }

    fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.network().outputs_into(params, batch, out, scratch)
    }

    fn jacobian_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.network().jacobian_into(params, batch, out, scratch)
    }

    fn jacobian_transpose_times_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        residuals: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.network()
            .jacobian_transpose_times_into(params, batch, residuals, out, scratch)
    }
}

/// A model of one score `a^T x`, in terms of what its scores have in common.
macro_rules! score {
    ($model:ident) => {
        impl<T: Real> Outputs<T> for $model::Model<T> {
            fn outputs(&self) -> usize {
                1
            }

            fn outputs_scratch_len(&self, _rows: usize) -> usize {
                0
            }

            fn outputs_into(
                &self,
                params: &[T],
                batch: &Batch<'_, T>,
                out: &mut [T],
                _: &mut [T],
            ) -> Result<(), Error> {
                self.rows().outputs_into(params, batch, out)
            }

            fn jacobian_into(
                &self,
                params: &[T],
                batch: &Batch<'_, T>,
                out: &mut [T],
                _: &mut [T],
            ) -> Result<(), Error> {
                self.rows().jacobian_into(params, batch, out)
            }

            fn jacobian_transpose_times_into(
                &self,
                params: &[T],
                batch: &Batch<'_, T>,
                residuals: &[T],
                out: &mut [T],
                _: &mut [T],
            ) -> Result<(), Error> {
                self.rows()
                    .jacobian_transpose_times_into(params, batch, residuals, out)
            }
        }
    };
}
score!(linear);
score!(logistic);
