//! Gradients in which rows count differently.

use super::Model;
use crate::error::check_length;
use crate::model::Batch;
use crate::{Error, Real, vector};

impl<T: Real> Model<'_, T> {
    /// Writes the gradient of `sum_i v_i loss(f(x_i), y_i) / n + (l2 / 2) |w|^2` for weights `v` of the n rows.
    ///
    /// # Errors
    /// As [`gradient_into`](crate::model::Objective::gradient_into); [`Error::Length`] for `weights`.
    ///
    /// ```
    /// use thalweg::model::{Batch, Loss, mlp::Model};
    /// let model = Model { loss: Loss::Squared, ..Model::<f64>::new(&[1, 1]) };
    /// let batch = Batch::targets(&[1.0, 2.0], 1, &[0.0, 0.0], 1)?;
    /// let (mut scratch, mut grad) = ([0.0; 8], [0.0; 2]);
    /// model.weighted_gradient_into(&[1.0, 0.0], &batch, &[4.0, 0.5], &mut grad, &mut scratch)?;
    /// assert_eq!(grad, [4.0 / 2.0 + 0.5 * 4.0 / 2.0, 4.0 / 2.0 + 0.5 * 2.0 / 2.0]); // v_i x_i^2 / n, v_i x_i / n
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn weighted_gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        weights: &[T],
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        check_length("weights", batch.len(), weights.len())?;
        let most = self.rows_at_once(scratch);
        self.evaluate(params, batch, most, Some((grad, Some(weights))), scratch)
            .map(drop)
    }
}

/// Multiplies every row of slopes by its weight.
pub(super) fn scale_rows<T: Real>(weights: &[T], outputs: usize, slopes: &mut [T]) {
    for (row, &weight) in slopes.chunks_exact_mut(outputs.max(1)).zip(weights) {
        vector::scale(weight, row);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{classes, each_model};
    use crate::model::tests::painted;
    use crate::model::{BLOCK_ROWS, Batch, Objective};
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_weight_counts_the_copies_of_a_row() {
        each_model(|model| {
            // Rows of both blocks are left out, kept once or kept twice.
            let rows = BLOCK_ROWS + 5;
            let (x, y) = (
                painted(rows * model.inputs(), 3),
                classes(rows, model.outputs()),
            );
            let batch = Batch::classes(&x, model.inputs(), &y).unwrap();
            let weights: Vec<f64> = (0..rows).map(|i| (i * 5 % 3) as f64).collect();
            let copies: Vec<u32> = (0..rows as u32)
                .flat_map(|i| vec![i; (i as usize) * 5 % 3])
                .collect();
            let params = painted(model.dim(), 4);
            let mut scratch = vec![f64::NAN; model.scratch_len(copies.len())];
            let (mut found, mut expected) = (vec![0.0; model.dim()], vec![0.0; model.dim()]);
            model
                .weighted_gradient_into(&params, &batch, &weights, &mut found, &mut scratch)
                .unwrap();
            let chosen = batch.select(&copies).unwrap();
            model
                .gradient_into(&params, &chosen, &mut expected, &mut scratch)
                .unwrap();
            // A mean over other numbers of rows; the penalty counts once.
            let ratio = rows as f64 / copies.len() as f64;
            for ((found, expected), w) in found.iter().zip(&expected).zip(&params) {
                let penalty = model.l2 * w;
                assert!(((found - penalty) * ratio - (expected - penalty)).abs() < 1e-14);
            }
            assert!(
                model
                    .weighted_gradient_into(
                        &params,
                        &batch,
                        &weights[1..],
                        &mut found,
                        &mut scratch
                    )
                    .is_err()
            );
        });
    }
}
