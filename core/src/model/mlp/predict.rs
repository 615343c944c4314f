//! Outputs and accuracy.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "rows and columns of a slice; the divisor is at least 1"
)]

use super::Model;
use super::propagate::Work;
use crate::error::check_length;
use crate::model::{BLOCK_ROWS, Batch, SHORT, blocks, copy};
use crate::{Error, Real, vector};

impl<T: Real> Model<'_, T> {
    /// Writes the outputs, before any softmax: rows x outputs.
    ///
    /// # Errors
    /// Wrong lengths or settings; an empty batch.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels, mlp::Model};
    /// let model = Model::<f32>::new(&[2, 1]);
    /// let batch = Batch::new(&[1.0, 2.0, 3.0, 4.0], 2, Labels::None)?;
    /// let (mut scratch, mut out) = ([0.0; 16], [0.0; 2]);
    /// model.outputs_into(&[10.0, 1.0, 0.5], &batch, &mut out, &mut scratch)?;
    /// assert_eq!(out, [12.5, 34.5]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.check_inputs(params, batch)?;
        self.check_scratch(batch.len(), scratch)?;
        let size = batch.len().saturating_mul(self.outputs());
        check_length("out", size, out.len())?;
        let mut out = out.chunks_mut(BLOCK_ROWS.saturating_mul(self.outputs()).max(1));
        for (start, rows) in blocks(batch.len()) {
            self.block_outputs(params, batch, start, rows, scratch)
                .zip(out.next())
                .map(|(z, out)| copy(z, out))
                .ok_or(SHORT)?;
        }
        Ok(())
    }

    /// Outputs of one block, in the scratch.
    fn block_outputs<'s>(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        start: usize,
        rows: usize,
        scratch: &'s mut [T],
    ) -> Option<&'s mut [T]> {
        let Work {
            gathered,
            acts,
            mut dense,
            ..
        } = self.split(rows, scratch)?;
        let x = batch.block(start, rows, gathered);
        self.forward(params, x, rows, acts, &mut dense)
    }

    /// Share of rows whose largest output (the first among equals) is that of their class.
    ///
    /// # Errors
    /// As [`value`](crate::model::Objective::value); labels must be classes.
    ///
    /// ```
    /// use thalweg::model::{Batch, mlp::Model};
    /// let model = Model::<f32>::new(&[1, 2]);
    /// let batch = Batch::classes(&[1.0, 2.0, -1.0, -2.0], 1, &[0, 0, 1, 0])?;
    /// let share = model.accuracy(&[1.0, -1.0, 0.0, 0.0], &batch, &mut [0.0; 28])?;
    /// assert_eq!(share, 0.75);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn accuracy(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        scratch: &mut [T],
    ) -> Result<f64, Error> {
        self.check_inputs(params, batch)?;
        batch.check_classes(self.outputs())?;
        self.check_scratch(batch.len(), scratch)?;
        let mut hits = 0_usize;
        for (start, rows) in blocks(batch.len()) {
            let z = self
                .block_outputs(params, batch, start, rows, scratch)
                .ok_or(SHORT)?;
            hits += (start..)
                .zip(z.chunks_exact(self.outputs().max(1)))
                .filter(|(i, z)| vector::argmax(z) == batch.class(*i).map(|c| c as usize))
                .count();
        }
        Ok(hits as f64 / batch.len() as f64)
    }
}
