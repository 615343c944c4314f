//! Values and gradients over blocks of rows.
//!
//! ```text
//! batch of M rows -> at most 32 blocks of h rows, h = 64 ceil(M / 2048)     a function of M alone
//! value = sum_b (M_b / M) value_b,  grad = sum_b (M_b / M) grad_b           in block order
//! ```
//! The blocks do not depend on the threads, so neither do the bits. They are not the bits of the objective on the
//! whole batch, which adds rows in another order; a batch of one block has those too. Penalties on the
//! parameters are kept, since the weights sum to 1.
//!
//! Memory: `d` numbers and a scratch per block, kept between calls.

use rayon::prelude::*;
use thalweg::Real;
use thalweg::error::Error;
use thalweg::model::{BLOCK_ROWS, Batch, Objective};

use super::combine_into;

/// Most blocks of a batch.
pub const MOST_BLOCKS: usize = 32;

/// Rows of a block of a batch of `rows` rows.
///
/// ```
/// use thalweg_std::par::objective::block_rows;
/// assert_eq!([block_rows(10), block_rows(2048), block_rows(2049)], [64, 64, 128]);
/// ```
#[must_use]
pub const fn block_rows(rows: usize) -> usize {
    let blocks = rows.div_ceil(BLOCK_ROWS * MOST_BLOCKS);
    BLOCK_ROWS * if blocks == 0 { 1 } else { blocks }
}

/// Memory of the blocks.
///
/// ```
/// use thalweg::model::{Batch, linear};
/// use thalweg_std::par::objective::ParallelObjective;
/// let model = linear::Model::<f64>::new(1);
/// let (x, y) = (vec![1.0; 200], vec![3.0; 200]);
/// let batch = Batch::targets(&x, 1, &y, 1)?;
/// let mut grad = [0.0];
/// let value = ParallelObjective::new().value_and_gradient_into(&model, &[1.0], &batch, &mut grad)?;
/// assert_eq!((value, grad), (2.0, [-2.0])); // (1 - 3)^2 / 2
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ParallelObjective<T> {
    parts: Vec<Part<T>>,
}

#[derive(Clone, Debug)]
struct Part<T> {
    grad: Vec<T>,
    scratch: Vec<T>,
    value: f64,
    weight: f64,
}

impl<T: Real> ParallelObjective<T> {
    /// No memory yet; the first call takes what it needs.
    #[must_use]
    pub const fn new() -> Self {
        Self { parts: Vec::new() }
    }

    /// Writes the gradient and returns the value.
    ///
    /// # Errors
    /// Those of the objective; `grad` is unchanged then.
    pub fn value_and_gradient_into(
        &mut self,
        objective: &(impl Objective<T> + Sync),
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
    ) -> Result<T, Error> {
        let (rows, d) = (batch.len(), objective.dim());
        let height = block_rows(rows);
        // One block for no rows: an objective without data.
        let blocks = rows.div_ceil(height).max(1);
        self.parts.resize_with(blocks, || Part {
            grad: Vec::new(),
            scratch: Vec::new(),
            value: 0.0,
            weight: 1.0,
        });
        let run = |(i, part): (usize, &mut Part<T>)| {
            let start = i * height;
            let count = rows.saturating_sub(start).min(height);
            let block = if blocks == 1 {
                *batch
            } else {
                batch.range(start, count)?
            };
            part.grad.resize(d, T::ZERO);
            part.scratch
                .resize(objective.scratch_len(block.len()), T::ZERO);
            let Part { grad, scratch, .. } = part;
            let value = objective.value_and_gradient_into(params, &block, grad, scratch)?;
            part.value = value.to_f64();
            part.weight = if blocks == 1 {
                1.0
            } else {
                // More than one block: there are rows.
                count as f64 / rows as f64
            };
            Ok(())
        };
        if blocks == 1 {
            self.parts.iter_mut().enumerate().try_for_each(run)?;
        } else {
            self.parts.par_iter_mut().enumerate().try_for_each(run)?;
        }
        let parts: Vec<&[T]> = self.parts.iter().map(|part| part.grad.as_slice()).collect();
        let weights: Vec<T> = self
            .parts
            .iter()
            .map(|part| T::from_f64(part.weight))
            .collect();
        combine_into(&parts, &weights, grad)?;
        Ok(T::from_f64(
            self.parts.iter().map(|part| part.weight * part.value).sum(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{painted, with_threads};
    use super::*;
    use thalweg::model::mlp;

    const MODEL: mlp::Model<'static, f32> = mlp::Model {
        l2: 0.01,
        ..mlp::Model::new(&[20, 12, 4])
    };

    #[test]
    fn any_number_of_threads_gives_the_same_bits_and_the_gradient_of_core() {
        let params = painted(MODEL.dim(), 1);
        for rows in [1, 64, 65, 1003, 2500] {
            let features = painted(20 * rows, 2);
            let labels: Vec<u32> = (0..rows as u32).map(|i| i * 7 % 4).collect();
            let list: Vec<u32> = (0..rows as u32).rev().collect();
            let all = Batch::classes(&features, 20, &labels).unwrap();
            for batch in [all, all.select(&list).unwrap()] {
                let mut scratch = vec![0.0; MODEL.scratch_len(rows)];
                let mut whole = vec![0.0; MODEL.dim()];
                let value = MODEL
                    .value_and_gradient_into(&params, &batch, &mut whole, &mut scratch)
                    .unwrap();
                let run = |threads: usize| {
                    let mut grad = vec![f32::NAN; MODEL.dim()];
                    let value = with_threads(threads, || {
                        let mut parts = ParallelObjective::new();
                        // A second call finds the memory of the first.
                        let _ = parts.value_and_gradient_into(&MODEL, &params, &all, &mut grad);
                        parts
                            .value_and_gradient_into(&MODEL, &params, &batch, &mut grad)
                            .unwrap()
                    });
                    (value, grad)
                };
                let one = run(1);
                let largest = whole.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
                assert!(largest > 1e-3);
                assert!((one.0 - value).abs() < 1e-5 * value);
                for (a, b) in one.1.iter().zip(&whole) {
                    assert!(
                        (a - b).abs() < 1e-5 * largest,
                        "{rows} rows: {a} against {b}"
                    );
                }
                if rows <= 64 {
                    assert!(one.0 == value && one.1 == whole, "one block is the whole");
                }
                for threads in [2, 3, 8] {
                    let found = run(threads);
                    assert_eq!(found.0.to_bits(), one.0.to_bits());
                    assert!(found.1 == one.1, "{rows} rows, {threads} threads");
                }
            }
        }
    }

    #[test]
    fn errors_of_the_objective_leave_the_gradient_alone() {
        let features = painted(20 * 200, 2);
        let mut labels = vec![0_u32; 200];
        labels[150] = 4;
        let batch = Batch::classes(&features, 20, &labels).unwrap();
        let mut grad = vec![7.0_f32; MODEL.dim()];
        let params = painted(MODEL.dim(), 1);
        let mut parts = ParallelObjective::new();
        assert!(
            parts
                .value_and_gradient_into(&MODEL, &params, &batch, &mut grad)
                .is_err()
        );
        assert!(
            parts
                .value_and_gradient_into(&MODEL, &params[1..], &batch, &mut grad)
                .is_err()
        );
        assert!(grad.iter().all(|&g| g == 7.0));
    }
}
