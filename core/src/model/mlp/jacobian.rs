//! Gradients row by row, and the Jacobian of the outputs: whole, or as a product from either side.

use super::Model;
use super::propagate::{Pass, Place, Work};

use crate::error::{check_length, check_scratch};
use crate::model::dense::{self, Dense};
use crate::model::{BLOCK_ROWS, Batch, SHORT, blocks, copy};
use crate::{Error, Real, vector};

impl<T: Real> Model<'_, T> {
    /// Writes each row's own gradient, penalty included: rows x parameters. Their mean is the gradient.
    ///
    /// # Errors
    /// As [`gradient_into`](crate::model::Objective::gradient_into).
    ///
    /// ```
    /// use thalweg::model::{Batch, Loss, mlp::Model};
    /// let model = Model { loss: Loss::Squared, ..Model::<f64>::new(&[1, 1]) };
    /// let batch = Batch::targets(&[2.0, 3.0], 1, &[1.0, 1.0], 1)?;
    /// let mut out = [0.0; 4];
    /// model.sample_gradients_into(&[1.0, 0.0], &batch, &mut out, &mut [0.0; 8])?;
    /// // Residuals 1 and 2, each times (x, 1).
    /// assert_eq!(out, [2.0, 1.0, 6.0, 2.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sample_gradients_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.check_inputs(params, batch)?;
        self.check_labels(batch)?;
        self.check_scratch(batch.len(), scratch)?;
        let size = batch.len().saturating_mul(self.dim());
        check_length("out", size, out.len())?;
        let mut out = out.chunks_mut(BLOCK_ROWS.saturating_mul(self.dim()).max(1));
        for (start, rows) in blocks(batch.len()) {
            let Work {
                gathered,
                acts,
                spare,
                mut dense,
            } = self.split(rows, scratch).ok_or(SHORT)?;
            let x = batch.block(start, rows, gathered);
            let out = out.next().ok_or(SHORT)?;
            let z = self
                .forward(params, x, rows, acts, &mut dense)
                .ok_or(SHORT)?;
            self.loss.measure(batch, start, self.outputs(), T::ONE, z);
            let pass = Pass {
                rows,
                x,
                acts,
                spare,
                dense: &mut dense,
            };
            self.outer_products(params, pass, out).ok_or(SHORT)?;
            if self.l2 != T::ZERO {
                for row in out.chunks_exact_mut(params.len().max(1)) {
                    vector::axpy(self.l2, params, row)?;
                }
            }
        }
        Ok(())
    }

    /// Row `i` of `out` becomes the gradient that row `i` of `d_L` alone gives.
    fn outer_products(&self, params: &[T], pass: Pass<'_, '_, T>, out: &mut [T]) -> Option<()> {
        let each = |_: &mut Dense<'_, T>, place: Place, delta: &[T], below: &[T]| {
            let deltas = delta.chunks_exact(place.outputs.max(1));
            let belows = below.chunks_exact(place.inputs.max(1));
            let outs = out.chunks_exact_mut(params.len().max(1));
            for ((delta, below), out) in deltas.zip(belows).zip(outs) {
                dense::outer(delta, below, out.get_mut(place.offset..)?)?;
            }
            Some(())
        };
        self.backward(params, pass, each)
    }

    /// Writes the Jacobian of the outputs: rows x outputs x parameters, the slope of output `c` on row `i`.
    ///
    /// Labels are not looked at, and the penalty has no part in it.
    ///
    /// # Errors
    /// Wrong lengths or settings; scratch below [`jacobian_scratch_len`](Self::jacobian_scratch_len).
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels, mlp::Model};
    /// let model = Model::<f64>::new(&[1, 1, 1]);
    /// let batch = Batch::new(&[1.0], 1, Labels::None)?;
    /// let mut out = [0.0; 4];
    /// model.jacobian_into(&[2.0, -1.0, 3.0, 0.5], &batch, &mut out, &mut [0.0; 5])?;
    /// assert_eq!(out, [3.0, 3.0, 1.0, 1.0]); // (w2 x, w2, a, 1)
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn jacobian_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.check_inputs(params, batch)?;
        check_scratch("scratch", self.work_len(self.outputs()), scratch.len())?;
        let (classes, dim) = (self.outputs(), self.dim());
        let size = batch.len().saturating_mul(classes).saturating_mul(dim);
        check_length("out", size, out.len())?;
        let samples = out.chunks_exact_mut(classes.saturating_mul(dim).max(1));
        for (i, out) in samples.enumerate() {
            let Work {
                gathered: x,
                acts,
                spare,
                mut dense,
            } = self.split(classes, scratch).ok_or(SHORT)?;
            // One copy of the row for each output: then `d_L` is the identity.
            let row = batch.row(i).ok_or(SHORT)?;
            for x in x.chunks_exact_mut(row.len().max(1)) {
                copy(row, x);
            }
            let z = self
                .forward(params, x, classes, acts, &mut dense)
                .ok_or(SHORT)?;
            z.fill(T::ZERO);
            for z in z.iter_mut().step_by(classes.saturating_add(1)) {
                *z = T::ONE;
            }
            let pass = Pass {
                rows: classes,
                x,
                acts,
                spare,
                dense: &mut dense,
            };
            self.outer_products(params, pass, out).ok_or(SHORT)?;
        }
        Ok(())
    }

    /// Writes the Jacobian times a vector of parameters, `J v`: rows x outputs.
    ///
    /// # Errors
    /// As [`outputs_into`](Self::outputs_into); [`Error::Length`] for `v`.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels, mlp::Model};
    /// let model = Model::<f64>::new(&[1, 1, 1]);
    /// let batch = Batch::new(&[1.0], 1, Labels::None)?;
    /// let (mut scratch, mut out) = ([0.0; 5], [0.0; 1]);
    /// model.jacobian_times_into(&[2.0, -1.0, 3.0, 0.5], &batch, &[1.0, 10.0, 100.0, 1000.0], &mut out, &mut scratch)?;
    /// assert_eq!(out, [3.0 + 30.0 + 100.0 + 1000.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn jacobian_times_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        v: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.check_inputs(params, batch)?;
        check_length("v", self.dim(), v.len())?;
        self.check_scratch(batch.len(), scratch)?;
        let size = batch.len().saturating_mul(self.outputs());
        check_length("out", size, out.len())?;
        let mut out = out.chunks_mut(BLOCK_ROWS.saturating_mul(self.outputs()).max(1));
        for (start, rows) in blocks(batch.len()) {
            let work = self.split(rows, scratch).ok_or(SHORT)?;
            let out = out.next().ok_or(SHORT)?;
            self.tangent([params, v], batch, (start, rows), out, work)
                .ok_or(SHORT)?;
        }
        Ok(())
    }

    /// Forward mode on one block.
    fn tangent(
        &self,
        [mut params, mut v]: [&[T]; 2],
        batch: &Batch<'_, T>,
        (start, rows): (usize, usize),
        out: &mut [T],
        work: Work<'_, T>,
    ) -> Option<()> {
        let Work {
            gathered,
            mut acts,
            spare: [mut under, mut over],
            mut dense,
        } = work;
        let mut below = batch.block(start, rows, gathered);
        self.forward(params, below, rows, acts, &mut dense)?;
        for (l, (inputs, outputs)) in self.layers().enumerate() {
            let (weights, _, above) = dense::split(params, inputs, outputs)?;
            let (dw, db, v_above) = dense::split(v, inputs, outputs)?;
            let size = rows.checked_mul(outputs)?;
            let (a, rest) = acts.split_at_mut_checked(size)?;
            dense.forward(rows, below, dw, db, over.get_mut(..size)?)?;
            if l > 0 {
                let under = under.get(..rows.checked_mul(inputs)?)?;
                dense.forward_add(rows, under, weights, outputs, over.get_mut(..size)?)?;
            }
            if above.is_empty() {
                copy(over.get(..size)?, out);
                return Some(());
            }
            self.activation.slope(a, over.get_mut(..size)?);
            (params, v, below, acts) = (above, v_above, a, rest);
            (under, over) = (over, under);
        }
        Some(())
    }

    /// Writes the transposed Jacobian times numbers per row and output, `sum_ic r_ic J_ic`: one back-propagation.
    ///
    /// # Errors
    /// As [`outputs_into`](Self::outputs_into); [`Error::Length`] for `residuals` (rows x outputs).
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels, mlp::Model};
    /// let model = Model::<f64>::new(&[1, 1, 1]);
    /// let batch = Batch::new(&[1.0], 1, Labels::None)?;
    /// let (mut scratch, mut out) = ([0.0; 5], [0.0; 4]);
    /// model.jacobian_transpose_times_into(&[2.0, -1.0, 3.0, 0.5], &batch, &[2.0], &mut out, &mut scratch)?;
    /// assert_eq!(out, [6.0, 6.0, 2.0, 2.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn jacobian_transpose_times_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        residuals: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.check_inputs(params, batch)?;
        let size = batch.len().saturating_mul(self.outputs());
        check_length("residuals", size, residuals.len())?;
        self.check_scratch(batch.len(), scratch)?;
        check_length("out", self.dim(), out.len())?;
        out.fill(T::ZERO);
        let mut residuals = residuals.chunks(BLOCK_ROWS.saturating_mul(self.outputs()).max(1));
        for (start, rows) in blocks(batch.len()) {
            let work = self.split(rows, scratch).ok_or(SHORT)?;
            let r = residuals.next().ok_or(SHORT)?;
            let (mut dense, acts) = (work.dense, work.acts);
            let x = batch.block(start, rows, work.gathered);
            let z = self
                .forward(params, x, rows, acts, &mut dense)
                .ok_or(SHORT)?;
            copy(r, z);
            let pass = Pass {
                rows,
                x,
                acts,
                spare: work.spare,
                dense: &mut dense,
            };
            self.accumulate(params, pass, out).ok_or(SHORT)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{classes, each_model};
    use super::*;
    use crate::model::tests::painted;
    use crate::model::{Labels, Objective};
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn sample_gradients_average_to_the_gradient() {
        let rows = BLOCK_ROWS + 3;
        each_model(|model| {
            let (d, c, p) = (model.inputs(), model.outputs(), model.dim());
            let (x, y) = (painted(rows * d, 5), classes(rows, c));
            let params = painted(p, 11);
            let batch = Batch::classes(&x, d, &y).unwrap();
            let mut scratch = vec![f64::NAN; model.scratch_len(rows)];
            let (mut grad, mut each) = (vec![f64::NAN; p], vec![f64::NAN; rows * p]);
            model
                .gradient_into(&params, &batch, &mut grad, &mut scratch)
                .unwrap();
            model
                .sample_gradients_into(&params, &batch, &mut each, &mut scratch)
                .unwrap();
            for j in 0..p {
                let mean = each.chunks(p).map(|g| g[j]).sum::<f64>() / rows as f64;
                assert!((mean - grad[j]).abs() < 1e-14, "{mean} {}", grad[j]);
            }
        });
    }

    #[test]
    fn the_jacobian_is_the_slope_of_the_outputs_and_agrees_with_its_products() {
        let rows = BLOCK_ROWS + 3;
        each_model(|model| {
            let (d, c, p) = (model.inputs(), model.outputs(), model.dim());
            let (x, params) = (painted(rows * d, 5), painted(p, 11));
            let (v, r) = (painted::<f64>(p, 12), painted::<f64>(rows * c, 13));
            let batch = Batch::new(&x, d, Labels::None).unwrap();
            let mut scratch = vec![f64::NAN; model.scratch_len(rows)];
            let mut jacobian = vec![f64::NAN; rows * c * p];
            model
                .jacobian_into(
                    &params,
                    &batch,
                    &mut jacobian,
                    &mut vec![f64::NAN; model.jacobian_scratch_len()],
                )
                .unwrap();
            let mut outputs_at = |h: f64| {
                let moved: Vec<f64> = params.iter().zip(&v).map(|(x, v)| x + h * v).collect();
                let mut out = vec![f64::NAN; rows * c];
                model
                    .outputs_into(&moved, &batch, &mut out, &mut scratch)
                    .unwrap();
                out
            };
            let (ahead, back) = (outputs_at(1e-6), outputs_at(-1e-6));
            let mut product = vec![f64::NAN; rows * c];
            model
                .jacobian_times_into(&params, &batch, &v, &mut product, &mut scratch)
                .unwrap();
            for (i, row) in jacobian.chunks(p).enumerate() {
                let slope = (ahead[i] - back[i]) / 2e-6;
                assert!((product[i] - slope).abs() < 1e-8, "{} {slope}", product[i]);
                let dot: f64 = row.iter().zip(&v).map(|(a, b)| a * b).sum();
                assert!((product[i] - dot).abs() < 1e-13, "{} {dot}", product[i]);
            }
            let mut pulled = vec![f64::NAN; p];
            model
                .jacobian_transpose_times_into(&params, &batch, &r, &mut pulled, &mut scratch)
                .unwrap();
            for j in 0..p {
                let sum: f64 = jacobian.chunks(p).zip(&r).map(|(row, r)| row[j] * r).sum();
                assert!((pulled[j] - sum).abs() < 1e-12, "{} {sum}", pulled[j]);
            }
        });
    }
}
