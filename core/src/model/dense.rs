//! Affine layers on blocks of rows: what networks, softmax regression and autoencoders are made of.
//!
//! ```text
//! Z = X W^T + 1 b^T      X: rows x inputs, W: outputs x inputs, Z: rows x outputs, all row-major
//! dW += D^T X,  db += D^T 1,  dX = D W          D: rows x outputs
//! ```
//!
//! Lengths are the caller's to check; shapes that do not fit give `None`.

use crate::matrix::{MatrixMut, MatrixRef, Product, gemm, gemm_scratch};
use crate::{Arithmetic, Real};

/// Weights (`outputs x inputs`), biases, and the parameters of the layers above.
pub(super) type Layer<'p, T> = (&'p [T], &'p [T], &'p [T]);

/// The first layer of a parameter vector: weights, then biases.
pub(super) fn split<T>(params: &[T], inputs: usize, outputs: usize) -> Option<Layer<'_, T>> {
    let (weights, rest) = params.split_at_checked(inputs.checked_mul(outputs)?)?;
    let (biases, rest) = rest.split_at_checked(outputs)?;
    Some((weights, biases, rest))
}

/// Elements with which the products of one layer are packed.
pub(super) const fn pack_len(rows: usize, inputs: usize, outputs: usize) -> usize {
    let lengths = [
        gemm_scratch(rows, outputs, inputs),
        gemm_scratch(outputs, inputs, rows),
        gemm_scratch(rows, inputs, outputs),
    ];
    let [mut most, second, third] = lengths;
    if second > most {
        most = second;
    }
    if third > most { third } else { most }
}

/// How products are computed: the arithmetic, and space for packing (any length, see [`gemm`]).
pub(crate) struct Dense<'s, T> {
    pub(crate) arithmetic: Arithmetic,
    pub(crate) pack: &'s mut [T],
}

impl<T: Real> Dense<'_, T> {
    /// `Z <- X W^T + 1 b^T`.
    pub(super) fn forward(
        &mut self,
        rows: usize,
        x: &[T],
        weights: &[T],
        biases: &[T],
        z: &mut [T],
    ) -> Option<()> {
        for z in z.chunks_exact_mut(biases.len().max(1)) {
            super::copy(biases, z);
        }
        self.forward_add(rows, x, weights, biases.len(), z)
    }

    /// `Z <- Z + X W^T`.
    pub(super) fn forward_add(
        &mut self,
        rows: usize,
        x: &[T],
        weights: &[T],
        outputs: usize,
        z: &mut [T],
    ) -> Option<()> {
        let inputs = weights.len().checked_div(outputs)?;
        let x = MatrixRef::new(x, rows, inputs).ok()?;
        let w = MatrixRef::new(weights, outputs, inputs).ok()?;
        let z = MatrixMut::new(z, rows, outputs).ok()?;
        gemm(Product::adding(self.arithmetic), x, w.t(), z, self.pack).ok()
    }

    /// `dW <- dW + D^T X`.
    pub(super) fn weights_add(
        &mut self,
        rows: usize,
        delta: &[T],
        x: &[T],
        grad_weights: &mut [T],
    ) -> Option<()> {
        let outputs = delta.len().checked_div(rows)?;
        let inputs = x.len().checked_div(rows)?;
        let d = MatrixRef::new(delta, rows, outputs).ok()?;
        let x = MatrixRef::new(x, rows, inputs).ok()?;
        let dw = MatrixMut::new(grad_weights, outputs, inputs).ok()?;
        gemm(Product::adding(self.arithmetic), d.t(), x, dw, self.pack).ok()
    }

    /// `dX <- D W`.
    pub(super) fn backward(
        &mut self,
        rows: usize,
        delta: &[T],
        weights: &[T],
        dx: &mut [T],
    ) -> Option<()> {
        let outputs = delta.len().checked_div(rows)?;
        let inputs = dx.len().checked_div(rows)?;
        let d = MatrixRef::new(delta, rows, outputs).ok()?;
        let w = MatrixRef::new(weights, outputs, inputs).ok()?;
        let dx = MatrixMut::new(dx, rows, inputs).ok()?;
        gemm(Product::plain(self.arithmetic), d, w, dx, self.pack).ok()
    }
}

/// `db <- db + D^T 1`, in the order of rows.
pub(super) fn biases_add<T: Real>(delta: &[T], grad_biases: &mut [T]) {
    for delta in delta.chunks_exact(grad_biases.len().max(1)) {
        for (b, &d) in grad_biases.iter_mut().zip(delta) {
            *b += d;
        }
    }
}

/// One row's gradient: `dW <- d x^T`, `db <- d`.
pub(super) fn outer<T: Real>(delta: &[T], x: &[T], layer: &mut [T]) -> Option<()> {
    let weights = delta.len().checked_mul(x.len())?;
    let (weights, biases) = layer.split_at_mut_checked(weights)?;
    for (&d, w) in delta.iter().zip(weights.chunks_exact_mut(x.len().max(1))) {
        for (w, &x) in w.iter_mut().zip(x) {
            *w = d * x;
        }
    }
    super::copy(delta, biases);
    Some(())
}
