//! Reconstructions as outputs: their Jacobian and the product of its transpose.
//!
//! ```text
//! f = D E x:   df_c/dE = D[c]^T x^T,   df_c/dD[c] = E x, the other rows of D 0
//! J^T r: dE = sum_i (D^T r_i) x_i^T,   dD = sum_i r_i (E x_i)^T
//! ```

use super::{Model, Work};
use crate::error::check_length;
use crate::memory::InRows;
use crate::model::{Batch, Outputs, SHORT, blocks, copy};
use crate::{Error, Real};

impl<T: Real> Outputs<T> for Model<T> {
    fn outputs(&self) -> usize {
        self.pixels
    }

    fn outputs_scratch_len(&self, rows: usize) -> usize {
        self.scratch_len(rows)
    }

    fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        Model::outputs_into(self, params, batch, out, scratch)
    }

    fn jacobian_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.check(params, batch, scratch)?;
        let sample = self.pixels.saturating_mul(self.dim());
        check_length("out", batch.len().saturating_mul(sample), out.len())?;
        for (i, out) in out.in_rows_mut(sample).enumerate() {
            let x = batch.row(i).ok_or(SHORT)?;
            self.row_jacobian(params, x, out, scratch).ok_or(SHORT)?;
        }
        Ok(())
    }

    fn jacobian_transpose_times_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        residuals: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.check(params, batch, scratch)?;
        let size = batch.len().saturating_mul(self.pixels);
        check_length("residuals", size, residuals.len())?;
        check_length("out", self.dim(), out.len())?;
        out.fill(T::ZERO);
        let mut rest = residuals;
        for (start, rows) in blocks(batch.len()) {
            let cut = rows.saturating_mul(self.pixels);
            let (r, later) = rest.split_at_checked(cut).ok_or(SHORT)?;
            self.add_block(params, batch, (start, rows, r), out, scratch)
                .ok_or(SHORT)?;
            rest = later;
        }
        Ok(())
    }
}

impl<T: Real> Model<T> {
    fn row_jacobian(&self, params: &[T], x: &[T], out: &mut [T], scratch: &mut [T]) -> Option<()> {
        let (p, k) = (self.pixels, self.code);
        let (encoder, decoder) = params.split_at_checked(p.checked_mul(k)?)?;
        let Work {
            codes: [code, _],
            mut dense,
            ..
        } = self.split(1, scratch)?;
        code.fill(T::ZERO);
        dense.forward_add(1, x, encoder, k, code)?;
        let outputs = out.in_rows_mut(params.len()).zip(decoder.in_rows(k));
        for (c, (out, weights)) in outputs.enumerate() {
            let (of_encoder, of_decoder) = out.split_at_mut_checked(encoder.len())?;
            for (out, &weight) in of_encoder.in_rows_mut(p).zip(weights) {
                for (out, &x) in out.iter_mut().zip(x) {
                    *out = weight * x;
                }
            }
            of_decoder.fill(T::ZERO);
            copy(code, of_decoder.in_rows_mut(k).nth(c)?);
        }
        Some(())
    }

    fn add_block(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        (start, rows, r): (usize, usize, &[T]),
        out: &mut [T],
        scratch: &mut [T],
    ) -> Option<()> {
        let (encoder, decoder) = params.split_at_checked(self.pixels.checked_mul(self.code)?)?;
        let Work {
            gathered,
            codes: [code, slopes],
            mut dense,
            ..
        } = self.split(rows, scratch)?;
        let x = batch.block(start, rows, gathered);
        code.fill(T::ZERO);
        dense.forward_add(rows, x, encoder, self.code, code)?;
        let (of_encoder, of_decoder) = out.split_at_mut_checked(encoder.len())?;
        dense.weights_add(rows, r, code, of_decoder)?;
        dense.backward(rows, r, decoder, slopes)?;
        dense.weights_add(rows, slopes, x, of_encoder)
    }
}
