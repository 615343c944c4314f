//! Slopes of each output in the units of each hidden layer: what a tangent kernel is made from.

use super::Model;
use crate::Real;
use crate::memory::InRows;
use crate::model::copy;
use crate::model::dense::Dense;

impl<T: Real> Model<'_, T> {
    /// Units of all hidden layers together.
    pub(crate) const fn hidden(&self) -> usize {
        let (sum, _) = self.widths();
        sum.saturating_sub(self.outputs())
    }

    /// Writes `a_1 .. a_(L-1)` of `n` rows, layer after layer.
    pub(crate) fn activations_into(
        &self,
        params: &[T],
        x: &[T],
        n: usize,
        acts: &mut [T],
        dense: &mut Dense<'_, T>,
    ) -> Option<()> {
        let trunk = self.trunk();
        if acts.is_empty() {
            return Some(());
        }
        let last = trunk.forward(params.get(..trunk.dim())?, x, n, acts, dense)?;
        self.activation.apply(last);
        Some(())
    }

    /// Writes `df_c(x_i)/dz_l` for `l = 1 .. L-1`, layer after layer, each rows x outputs x units.
    pub(crate) fn deltas_into(
        &self,
        params: &[T],
        n: usize,
        acts: &[T],
        deltas: &mut [T],
        dense: &mut Dense<'_, T>,
    ) -> Option<()> {
        let rows = n.checked_mul(self.outputs())?;
        let (mut params, mut acts, mut deltas) = (params, acts, deltas);
        let mut above: &[T] = &[];
        for (inputs, outputs) in self.layers().rev() {
            if acts.is_empty() {
                break;
            }
            let weights = inputs.checked_mul(outputs)?;
            let cut = params.len().checked_sub(weights.checked_add(outputs)?)?;
            let (below, layer) = params.split_at_checked(cut)?;
            let weights = layer.get(..weights)?;
            let (lower_acts, a) =
                acts.split_at_checked(acts.len().checked_sub(n.checked_mul(inputs)?)?)?;
            let cut = deltas.len().checked_sub(rows.checked_mul(inputs)?)?;
            let (lower_deltas, d) = deltas.split_at_mut_checked(cut)?;
            if above.is_empty() {
                // The outputs have no activation: each has its row of weights.
                for d in d.in_rows_mut(weights.len()) {
                    copy(weights, d);
                }
            } else {
                dense.backward(rows, above, weights, d)?;
            }
            let samples = d.in_rows_mut(inputs.checked_mul(self.outputs())?);
            for (a, d) in a.in_rows(inputs).zip(samples) {
                for d in d.in_rows_mut(inputs) {
                    self.activation.slope(a, d);
                }
            }
            (params, acts, deltas, above) = (below, lower_acts, lower_deltas, d);
        }
        Some(())
    }

    /// Writes `h'(z_(L-1)) sqrt(mean_c W_L[c]^2)`, rows x units: its Gram matrix is the mean over outputs of that of the slopes.
    pub(crate) fn mean_deltas_into(&self, params: &[T], acts: &[T], out: &mut [T]) -> Option<()> {
        let head = self.head();
        let (units, outputs) = (head.inputs(), head.outputs());
        let offset = params.len().checked_sub(head.dim())?;
        let weights = params.get(offset..)?.get(..units.checked_mul(outputs)?)?;
        let (first, rest) = out.split_at_mut_checked(units)?;
        first.fill(T::ZERO);
        for row in weights.in_rows(units) {
            for (sum, &w) in first.iter_mut().zip(row) {
                *sum += w * w;
            }
        }
        let inverse = T::ONE / T::from_usize(outputs);
        for sum in first.iter_mut() {
            *sum = (*sum * inverse).sqrt();
        }
        for row in rest.in_rows_mut(units) {
            copy(first, row);
        }
        let top = acts.get(acts.len().checked_sub(out.len())?..)?;
        self.activation.slope(top, out);
        Some(())
    }
}
