//! Models with closed-form gradients, and the two traits that training loops are written against.
//!
//! An [`Objective`] is a function of a parameter vector and a [`Batch`]. It owns nothing: parameters, data
//! and scratch are the caller's slices, and the length of each is a `const fn` of the model. A [`Gradient`] is a function of a vector
//! alone: an energy, a test function, or an objective [on](Objective::on) the rows of one batch.
//!
//! | model | loss of one row | parameters |
//! |---|---|---|
//! | [`quadratic`] | `x^T A x / 2 - b^T x` (no data) | `d` |
//! | [`linear`] | `(a^T x - y)^2 / 2` | `features` |
//! | [`logistic`] | `ln(1 + exp(-y a^T x))`, or `(1 - sigmoid(y a^T x))^2` | `features` |
//! | [`softmax`] | cross-entropy of an affine map | `classes (features + 1)` |
//! | [`mlp`] | cross-entropy or squared loss of a network | `sum_l outputs_l (inputs_l + 1)` |
//! | [`autoencoder`] | mean square of `D E x - x` | `2 code pixels` |
//!
//! # Batches
//! A [`Batch`] views row-major features, labels and, optionally, a list of row numbers: a client's shard, or
//! a shuffled mini-batch, is the whole data set with another list, and nothing is copied by the caller.
//! Models that multiply matrices gather the listed rows, [`BLOCK_ROWS`] at a time, into their scratch: one
//! read and one write per feature in addition to the two or more multiplications that follow it.
//!
//! # Sums over rows
//! Losses are means over the rows of the batch. Rows are taken in order, in blocks of [`BLOCK_ROWS`]; losses
//! are added in `f64`, gradients block after block. The result depends on the order of rows and on nothing
//! else: not on the SIMD level, nor on whether rows come through a list.
//!
//! # Errors
//! Every function checks all lengths, labels and settings first and writes nothing when one is wrong. What is
//! finite or not is not checked: NaN and infinity propagate into values and gradients.

use crate::{Error, Real};

pub mod autoencoder;
mod batch;
pub(crate) mod dense;
mod gradient;
mod init;
pub mod linear;
pub mod logistic;
mod loss;
pub mod mlp;
mod outputs;
pub mod quadratic;
pub mod softmax;

pub use batch::{Batch, Labels};
pub use gradient::{Gradient, OnBatch};
pub use init::Init;
pub use loss::Loss;
pub(crate) use loss::LossKernels;
pub use outputs::Outputs;

/// Most rows that a model handles at once; scratch does not grow beyond it.
pub const BLOCK_ROWS: usize = 64;

/// Error for a scratch that an arithmetic slip in a model has cut too short; lengths are checked before.
const SHORT: Error = Error::Parameter {
    name: "scratch",
    rule: "must have the stated length",
};

/// Start and length of the blocks of `rows` rows.
fn blocks(rows: usize) -> impl Iterator<Item = (usize, usize)> {
    blocks_of(BLOCK_ROWS, rows)
}

/// Start and length of the blocks of at most `most` rows, one at least.
fn blocks_of(most: usize, rows: usize) -> impl Iterator<Item = (usize, usize)> {
    let most = most.max(1);
    (0..rows)
        .step_by(most)
        .map(move |start| (start, rows.saturating_sub(start).min(most)))
}

/// Rows that are handled at once in a batch of `rows`.
const fn at_most_block(rows: usize) -> usize {
    if rows < BLOCK_ROWS { rows } else { BLOCK_ROWS }
}

/// Copies the common length.
pub(crate) fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

/// The gradient of `l2 / 2 |params|^2`, to which a model adds; zero (also at infinity) without a penalty.
fn start_gradient<T: Real>(l2: T, params: &[T], grad: &mut [T]) {
    if l2 == T::ZERO {
        return grad.fill(T::ZERO);
    }
    for (g, &x) in grad.iter_mut().zip(params) {
        *g = l2 * x;
    }
}

/// A differentiable function of a parameter vector, as a mean over the rows of a batch.
///
/// Loops take `&impl Objective<T>` or `&dyn Objective<T>`. Scratch need not be cleared between calls; it holds
/// nothing that a later call reads.
///
/// ```
/// use thalweg::model::{Batch, Gradient, Objective, linear};
/// let model = linear::Model::<f64>::new(1);
/// let (x, y) = ([1.0, 2.0], [1.0, 0.0]);
/// let batch = Batch::targets(&x, 1, &y, 1)?;
/// // Means over two rows: ((1 - 1)^2 + (2 - 0)^2) / 4, and the second row's 2 (2 - 0) / 2.
/// let mut grad = [0.0];
/// assert_eq!(model.value_and_gradient_into(&[1.0], &batch, &mut grad, &mut [])?, 1.0);
/// assert_eq!(grad, [2.0]);
/// // With its rows bound it is a function of the parameters alone.
/// assert_eq!(model.on(&batch).value(&[1.0], &mut [])?, 1.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub trait Objective<T: Real> {
    /// Number of parameters.
    fn dim(&self) -> usize;

    /// Elements of scratch with which the other functions run at full speed on a batch of `rows` rows.
    ///
    /// A model may accept less; see its `least_scratch_len`.
    fn scratch_len(&self, rows: usize) -> usize;

    /// Value at `params`.
    ///
    /// # Errors
    /// Wrong lengths, labels or settings; nothing useful is in `scratch` then, as ever.
    fn value(&self, params: &[T], batch: &Batch<'_, T>, scratch: &mut [T]) -> Result<T, Error>;

    /// Writes the gradient at `params`.
    ///
    /// # Errors
    /// As [`value`](Self::value), and a wrong length of `grad`, which is then unchanged.
    fn gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error>;

    /// The objective on these rows, as a function of the parameters.
    ///
    /// ```
    /// use thalweg::model::{Batch, Gradient, Objective, linear};
    /// let batch = Batch::targets(&[2.0_f64], 1, &[6.0], 1)?;
    /// let model = linear::Model::new(1);
    /// let mut grad = [0.0];
    /// model.on(&batch).gradient_into(&[1.0], &mut grad, &mut [])?;
    /// assert_eq!(grad, [-8.0]); // 2 (2 - 6)
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    fn on<'a>(&'a self, batch: &Batch<'a, T>) -> OnBatch<'a, Self, T>
    where
        Self: Sized,
    {
        OnBatch::new(self, batch)
    }

    /// Writes the gradient and returns the value: one pass where the model can share work.
    ///
    /// # Errors
    /// As [`gradient_into`](Self::gradient_into).
    fn value_and_gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        self.gradient_into(params, batch, grad, scratch)?;
        self.value(params, batch, scratch)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// Numbers in [-1, 1) from a multiplicative generator; the phase picks the sequence.
    pub(crate) fn painted<T: Real>(n: usize, phase: u64) -> Vec<T> {
        let mut state = phase.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        (0..n)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                T::from_f64((state >> 40) as f64 / f64::from(1 << 23) - 1.0)
            })
            .collect()
    }

    /// Central differences in every coordinate agree with the gradient to 1e-6 of its largest element.
    pub(crate) fn check_gradient(f: &impl Gradient<f64>, params: &[f64], h: f64) {
        let mut scratch = vec![f64::NAN; f.scratch_len()];
        let mut grad = vec![f64::NAN; f.dim()];
        let value = f
            .value_and_gradient_into(params, &mut grad, &mut scratch)
            .unwrap();
        assert_eq!(value, f.value(params, &mut scratch).unwrap());
        let mut again = vec![f64::NAN; f.dim()];
        f.gradient_into(params, &mut again, &mut scratch).unwrap();
        assert_eq!(grad, again);
        let size = grad.iter().fold(0.0_f64, |m, g| m.max(g.abs()));
        assert!(size > 1e-3, "the test point is stationary");
        for j in 0..params.len() {
            let mut at = |x: f64| {
                let mut moved = params.to_vec();
                moved[j] = x;
                f.value(&moved, &mut scratch).unwrap()
            };
            let slope = (at(params[j] + h) - at(params[j] - h)) / (2.0 * h);
            assert!(
                (slope - grad[j]).abs() <= 1e-6 * size,
                "coordinate {j}: {slope} against {}",
                grad[j]
            );
        }
    }

    /// Value, `sum_j cos(j + 1) g_j` and `sum_j g_j^2` of another library agree to 1e-12.
    pub(crate) fn check_golden(
        f: &impl Gradient<f64>,
        params: &[f64],
        [value, weighted, squared]: [f64; 3],
    ) {
        let mut scratch = vec![f64::NAN; f.scratch_len()];
        let mut grad = vec![f64::NAN; f.dim()];
        let found = f
            .value_and_gradient_into(params, &mut grad, &mut scratch)
            .unwrap();
        let cosines = (1..).map(|j| libm::cos(f64::from(j)));
        let sum: f64 = cosines.zip(&grad).map(|(c, g)| c * g).sum();
        let square: f64 = grad.iter().map(|g| g * g).sum();
        for (found, expected) in [(found, value), (sum, weighted), (square, squared)] {
            let error = (found - expected).abs();
            assert!(
                error <= 1e-12 * expected.abs().max(1.0),
                "{found} against {expected}"
            );
        }
    }
}
