//! Affine layers on blocks of rows: what networks, softmax regression and autoencoders are made of.
//!
//! ```text
//! Z = X W^T + 1 b^T      X: rows x inputs, W: outputs x inputs, Z: rows x outputs, all row-major
//! dW += D^T X,  db += D^T 1,  dX = D W          D: rows x outputs
//! ```
//!
//! Lengths are the caller's to check; what does not fit is left out.

use crate::Real;
use crate::simd::{self, Lanes, Sum, Update};

struct Product;
impl<T: Real> Sum<T, 2, 1> for Product {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x, y]: [L; 2]) -> [L; 1] {
        [x * y]
    }
}

struct Add<T>(T);
impl<T: Real> Update<T, 1, 1> for Add<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [y]: [L; 1], [x]: [L; 1]) -> [L; 1] {
        [y + y.constant(self.0) * x]
    }
}

fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    let [sum] = simd::sum(&Product, [x, y]);
    sum
}

/// Weights (`outputs x inputs`), biases, and the parameters of the layers above.
pub(crate) type Layer<'p, T> = (&'p [T], &'p [T], &'p [T]);

/// The first layer of a parameter vector: weights, then biases.
pub(crate) fn split<T>(params: &[T], inputs: usize, outputs: usize) -> Option<Layer<'_, T>> {
    let (weights, rest) = params.split_at_checked(inputs.checked_mul(outputs)?)?;
    let (biases, rest) = rest.split_at_checked(outputs)?;
    Some((weights, biases, rest))
}

/// `Z <- X W^T + 1 b^T`.
pub(crate) fn forward<T: Real>(x: &[T], weights: &[T], biases: &[T], z: &mut [T]) {
    let inputs = weights.len() / biases.len().max(1);
    let rows = x.chunks_exact(inputs.max(1));
    for (x, z) in rows.zip(z.chunks_exact_mut(biases.len().max(1))) {
        let weights = weights.chunks_exact(inputs.max(1));
        for ((z, w), &b) in z.iter_mut().zip(weights).zip(biases) {
            *z = dot(x, w) + b;
        }
    }
}

/// `Z <- Z + X W^T`.
pub(crate) fn forward_add<T: Real>(x: &[T], weights: &[T], outputs: usize, z: &mut [T]) {
    let inputs = weights.len() / outputs.max(1);
    let rows = x.chunks_exact(inputs.max(1));
    for (x, z) in rows.zip(z.chunks_exact_mut(outputs.max(1))) {
        for (z, w) in z.iter_mut().zip(weights.chunks_exact(inputs.max(1))) {
            *z += dot(x, w);
        }
    }
}

/// `dW <- dW + D^T X`, `db <- db + D^T 1`.
pub(crate) fn accumulate<T: Real>(
    delta: &[T],
    x: &[T],
    grad_weights: &mut [T],
    grad_biases: &mut [T],
) {
    let inputs = (grad_weights.len() / grad_biases.len().max(1)).max(1);
    let rows = delta.chunks_exact(grad_biases.len().max(1));
    for (delta, x) in rows.zip(x.chunks_exact(inputs)) {
        for (&d, w) in delta.iter().zip(grad_weights.chunks_exact_mut(inputs)) {
            simd::update(&Add(d), [w], [x]);
        }
        for (b, &d) in grad_biases.iter_mut().zip(delta) {
            *b += d;
        }
    }
}

/// `dX <- D W`.
pub(crate) fn backward<T: Real>(delta: &[T], weights: &[T], outputs: usize, dx: &mut [T]) {
    let inputs = (weights.len() / outputs.max(1)).max(1);
    let rows = delta.chunks_exact(outputs.max(1));
    for (delta, dx) in rows.zip(dx.chunks_exact_mut(inputs)) {
        dx.fill(T::ZERO);
        for (&d, w) in delta.iter().zip(weights.chunks_exact(inputs)) {
            simd::update(&Add(d), [&mut *dx], [w]);
        }
    }
}

/// One row's gradient: `dW <- d x^T`, `db <- d`.
pub(crate) fn outer<T: Real>(delta: &[T], x: &[T], layer: &mut [T]) {
    let weights = delta.len().saturating_mul(x.len());
    let Some((weights, biases)) = layer.split_at_mut_checked(weights) else {
        return;
    };
    for (&d, w) in delta.iter().zip(weights.chunks_exact_mut(x.len().max(1))) {
        for (w, &x) in w.iter_mut().zip(x) {
            *w = d * x;
        }
    }
    for (b, &d) in biases.iter_mut().zip(delta) {
        *b = d;
    }
}
