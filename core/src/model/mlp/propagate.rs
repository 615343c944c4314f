//! Forward and back-propagation on one block of rows.

use super::Model;
use crate::Real;
use crate::memory::cut;
use crate::model::copy;
use crate::model::dense::{self, Dense};

/// The parts of the scratch.
pub(super) struct Work<'s, T> {
    /// Listed rows.
    pub(super) gathered: &'s mut [T],
    /// `a_1 .. a_L`, each rows x size.
    pub(super) acts: &'s mut [T],
    /// Two of rows x the widest layer.
    pub(super) spare: [&'s mut [T]; 2],
    /// What is left serves for packing.
    pub(super) dense: Dense<'s, T>,
}

/// A block of rows that has been propagated forward.
pub(super) struct Pass<'a, 'd, T> {
    pub(super) rows: usize,
    /// The rows.
    pub(super) x: &'a [T],
    /// `a_1 .. a_(L-1)`, and `d_L` in place of `a_L`.
    pub(super) acts: &'a [T],
    /// As in [`Work`].
    pub(super) spare: [&'a mut [T]; 2],
    pub(super) dense: &'a mut Dense<'d, T>,
}

/// Where a layer's parameters begin, and its shape.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) inputs: usize,
    pub(super) outputs: usize,
}

impl<T: Real> Model<'_, T> {
    pub(super) fn split<'s>(&self, rows: usize, scratch: &'s mut [T]) -> Option<Work<'s, T>> {
        let (sum, most) = self.widths();
        // A product that overflows is longer than any memory.
        let lengths = [self.inputs(), sum, most, most].map(|size| rows.saturating_mul(size));
        let ([gathered, acts, first, second], pack) = cut(scratch, lengths).ok()?;
        Some(Work {
            gathered,
            acts,
            spare: [first, second],
            dense: Dense {
                arithmetic: self.arithmetic,
                pack,
            },
        })
    }

    /// Fills `acts` with `a_1 .. a_L` of the rows in `x`; the outputs `a_L` are its end.
    pub(super) fn forward<'s>(
        &self,
        params: &[T],
        x: &[T],
        rows: usize,
        acts: &'s mut [T],
        dense: &mut Dense<'_, T>,
    ) -> Option<&'s mut [T]> {
        let (mut params, mut below, mut rest) = (params, x, &mut *acts);
        for (inputs, outputs) in self.layers() {
            let (weights, biases, above) = dense::split(params, inputs, outputs)?;
            let (a, higher) = rest.split_at_mut_checked(rows.checked_mul(outputs)?)?;
            dense.forward(rows, below, weights, biases, a)?;
            if !higher.is_empty() {
                self.activation.apply(a);
            }
            (params, below, rest) = (above, a, higher);
        }
        let top = acts.len().checked_sub(rows.checked_mul(self.outputs())?)?;
        acts.get_mut(top..)
    }

    /// Walks down from `d_L`, which stands in place of `a_L`, and hands each layer's offset in the parameters
    /// and sizes, `d_l` and `a_(l-1)` to `visit`.
    pub(super) fn backward(
        &self,
        params: &[T],
        pass: Pass<'_, '_, T>,
        mut visit: impl FnMut(&mut Dense<'_, T>, Place, &[T], &[T]) -> Option<()>,
    ) -> Option<()> {
        let Pass {
            rows,
            x,
            acts,
            spare: [mut held, mut free],
            dense,
        } = pass;
        let top = rows.checked_mul(self.outputs())?;
        let (mut acts, slopes) = acts.split_at_checked(acts.len().checked_sub(top)?)?;
        copy(slopes, held);
        let mut offset = params.len();
        for (inputs, outputs) in self.layers().rev() {
            offset = offset.checked_sub(outputs.checked_mul(inputs.checked_add(1)?)?)?;
            let place = Place {
                offset,
                inputs,
                outputs,
            };
            let delta = held.get(..rows.checked_mul(outputs)?)?;
            if acts.is_empty() {
                return visit(dense, place, delta, x);
            }
            let size = rows.checked_mul(inputs)?;
            let (rest, below) = acts.split_at_checked(acts.len().checked_sub(size)?)?;
            visit(dense, place, delta, below)?;
            let (weights, ..) = dense::split(params.get(offset..)?, inputs, outputs)?;
            let under = free.get_mut(..size)?;
            dense.backward(rows, delta, weights, under)?;
            self.activation.slope(below, under);
            acts = rest;
            (held, free) = (free, held);
        }
        Some(())
    }

    /// `out <- out + sum over rows of d_l a_(l-1)^T` in every layer.
    pub(super) fn accumulate(
        &self,
        params: &[T],
        pass: Pass<'_, '_, T>,
        out: &mut [T],
    ) -> Option<()> {
        let rows = pass.rows;
        let add = |dense: &mut Dense<'_, T>, place: Place, delta: &[T], below: &[T]| {
            let layer = out.get_mut(place.offset..)?;
            let weights = place.inputs.checked_mul(place.outputs)?;
            let (weights, rest) = layer.split_at_mut_checked(weights)?;
            dense::biases_add(delta, rest.get_mut(..place.outputs)?);
            dense.weights_add(rows, delta, below, weights)
        };
        self.backward(params, pass, add)
    }
}
