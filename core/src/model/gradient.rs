//! The contract of a differentiable function, and an objective on the rows of one batch as such a function.

use super::{Batch, Objective};
use crate::{Error, Real};

/// A differentiable function of a vector: a loss on fixed rows, an energy, a test function.
///
/// What needs gradients and no data takes `&impl Gradient<T>` or `&dyn Gradient<T>`. A function of parameters *and* rows is an
/// [`Objective`]; [`Objective::on`] binds the rows.
///
/// ```
/// use thalweg::model::{Batch, Gradient, Objective, linear, quadratic::Quadratic};
///
/// fn descend(f: &impl Gradient<f64>, x: &mut [f64], steps: usize) -> Result<(), thalweg::Error> {
///     let mut grad = [0.0; 1];
///     for _ in 0..steps {
///         f.gradient_into(x, &mut grad, &mut [])?;
///         thalweg::vector::axpy(-0.5, &grad, x)?;
///     }
///     Ok(())
/// }
/// // x^2 / 2 - x has its minimum at 1; with step 1/2 the distance halves.
/// let mut x = [9.0];
/// descend(&Quadratic { dim: 1, curvature: 2.0, shift: 0.0, linear: 1.0 }, &mut x, 3)?;
/// assert_eq!(x, [2.0]);
/// // (x - 1)^2 / 2, from a row with feature 1 and target 1, has the same gradient.
/// let batch = Batch::targets(&[1.0], 1, &[1.0], 1)?;
/// let mut x = [9.0];
/// descend(&linear::Model::new(1).on(&batch), &mut x, 3)?;
/// assert_eq!(x, [2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub trait Gradient<T: Real> {
    /// Number of arguments.
    fn dim(&self) -> usize;

    /// Elements of scratch with which the other functions run at full speed.
    fn scratch_len(&self) -> usize;

    /// Value at `x`.
    ///
    /// # Errors
    /// Wrong lengths or settings; the contents of `scratch` are unspecified.
    fn value(&self, x: &[T], scratch: &mut [T]) -> Result<T, Error>;

    /// Writes the gradient at `x`.
    ///
    /// # Errors
    /// As [`value`](Self::value), and a wrong length of `grad`, which is then unchanged.
    fn gradient_into(&self, x: &[T], grad: &mut [T], scratch: &mut [T]) -> Result<(), Error>;

    /// Writes the gradient and returns the value: one pass where the function can share work.
    ///
    /// # Errors
    /// As [`gradient_into`](Self::gradient_into).
    fn value_and_gradient_into(
        &self,
        x: &[T],
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        self.gradient_into(x, grad, scratch)?;
        self.value(x, scratch)
    }
}

/// An objective on the rows of one batch: what [`Objective::on`] returns.
///
/// ```
/// use thalweg::model::{Batch, Gradient, Objective, OnBatch, linear};
/// let batch = Batch::targets(&[2.0_f64], 1, &[6.0], 1)?;
/// let model: &dyn Objective<f64> = &linear::Model::new(1);
/// assert_eq!(OnBatch::new(model, &batch).value(&[1.0], &mut [])?, 8.0); // (2 - 6)^2 / 2
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
pub struct OnBatch<'a, O: ?Sized, T> {
    objective: &'a O,
    batch: Batch<'a, T>,
}

impl<O: ?Sized, T: Copy> Clone for OnBatch<'_, O, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: ?Sized, T: Copy> Copy for OnBatch<'_, O, T> {}

impl<'a, O: ?Sized, T: Copy> OnBatch<'a, O, T> {
    /// Binds the rows; for objectives behind `dyn`.
    ///
    /// ```
    /// use thalweg::model::{Batch, Gradient, OnBatch, linear};
    /// let batch = Batch::targets(&[2.0_f64], 1, &[6.0], 1)?;
    /// assert_eq!(OnBatch::new(&linear::Model::new(1), &batch).dim(), 1);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub const fn new(objective: &'a O, batch: &Batch<'a, T>) -> Self {
        Self {
            objective,
            batch: *batch,
        }
    }
}

impl<T: Real, O: Objective<T> + ?Sized> Gradient<T> for OnBatch<'_, O, T> {
    fn dim(&self) -> usize {
        self.objective.dim()
    }

    fn scratch_len(&self) -> usize {
        self.objective.scratch_len(self.batch.len())
    }

    fn value(&self, x: &[T], scratch: &mut [T]) -> Result<T, Error> {
        self.objective.value(x, &self.batch, scratch)
    }

    fn gradient_into(&self, x: &[T], grad: &mut [T], scratch: &mut [T]) -> Result<(), Error> {
        self.objective.gradient_into(x, &self.batch, grad, scratch)
    }

    fn value_and_gradient_into(
        &self,
        x: &[T],
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        self.objective
            .value_and_gradient_into(x, &self.batch, grad, scratch)
    }
}
