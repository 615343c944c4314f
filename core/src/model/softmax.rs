//! Softmax (multinomial logistic) regression with biases.
//!
//! ```text
//! f(x) = W x + b                                          W: classes x features, b: classes
//! F(W, b) = mean_i ( ln sum_c exp f_c(x_i) - f_y(i)(x_i) ) + (l2 / 2) (|W|^2 + |b|^2)
//! dF/dW = mean_i (softmax(f(x_i)) - onehot(y_i)) x_i^T + l2 W,  dF/db without x_i
//! ```
//!
//! Convex; Lipschitz gradient with constant at most `lambda_max(mean x~ x~^T) / 2 + l2`, `x~ = (x, 1)` (Böhning 1992).
//! It is the [network](super::mlp) without hidden layers, and each function here is that network's.
//! Parameters: `W` row-major, then `b`. Cost: value `2 C d` flops a row, gradient `4 C d`.

use super::{Batch, Loss, Objective, mlp};
use crate::{Arithmetic, Error, Real};

/// The shape of the regression and its penalty.
///
/// ```
/// use thalweg::model::{Batch, Objective, softmax};
/// const MODEL: softmax::Model<f64> = softmax::Model::new(2, 2);
/// let batch = Batch::classes(&[1.0, 2.0, 3.0, 4.0], 2, &[0, 1])?;
/// let (mut scratch, mut grad) = ([0.0; MODEL.scratch_len(2)], [0.0; MODEL.dim()]);
/// let value = MODEL.value_and_gradient_into(&[0.0; 6], &batch, &mut grad, &mut scratch)?;
/// // Both classes have probability 1/2: ln 2, and residuals (-1/2, 1/2), (1/2, -1/2).
/// assert_eq!(value, core::f64::consts::LN_2);
/// assert_eq!(grad, [0.5, 0.5, -0.5, -0.5, 0.0, 0.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model<T> {
    /// Features per row and classes, in the form that networks take: both positive.
    pub sizes: [usize; 2],
    /// Weight of half the squared norm of all parameters, finite and not negative.
    pub l2: T,
    /// Arithmetic of the matrix products.
    pub arithmetic: Arithmetic,
}

impl<T: Real> Model<T> {
    /// No penalty, portable arithmetic.
    ///
    /// ```
    /// assert_eq!(thalweg::model::softmax::Model::<f32>::new(64, 10).dim(), 650);
    /// ```
    pub const fn new(features: usize, classes: usize) -> Self {
        Self {
            sizes: [features, classes],
            l2: T::ZERO,
            arithmetic: Arithmetic::Portable,
        }
    }

    /// The same model as a network, for Jacobians and per-sample gradients.
    ///
    /// ```
    /// let model = thalweg::model::softmax::Model::<f32>::new(64, 10);
    /// assert_eq!(model.network().outputs(), 10);
    /// ```
    pub const fn network(&self) -> mlp::Model<'_, T> {
        mlp::Model {
            sizes: &self.sizes,
            activation: mlp::Activation::Relu,
            loss: Loss::CrossEntropy,
            l2: self.l2,
            arithmetic: self.arithmetic,
        }
    }

    /// Number of parameters: `classes (features + 1)`.
    ///
    /// ```
    /// assert_eq!(thalweg::model::softmax::Model::<f32>::new(784, 10).dim(), 7850);
    /// ```
    pub const fn dim(&self) -> usize {
        self.network().dim()
    }

    /// Elements of scratch on a batch of `rows` rows, at full speed.
    ///
    /// ```
    /// let model = thalweg::model::softmax::Model::<f32>::new(64, 10);
    /// assert_eq!(model.scratch_len(64), model.scratch_len(1797));
    /// ```
    pub const fn scratch_len(&self, rows: usize) -> usize {
        self.network().scratch_len(rows)
    }

    /// Least elements of scratch on a batch of `rows` rows: `min(rows, 64) (features + 3 classes)`.
    ///
    /// ```
    /// assert_eq!(thalweg::model::softmax::Model::<f32>::new(64, 10).least_scratch_len(8), 8 * 94);
    /// ```
    pub const fn least_scratch_len(&self, rows: usize) -> usize {
        self.network().least_scratch_len(rows)
    }

    /// Writes the outputs `W x + b`: rows x classes.
    ///
    /// # Errors
    /// Wrong lengths or settings; an empty batch.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels, softmax::Model};
    /// let batch = Batch::new(&[3.0_f32], 1, Labels::None)?;
    /// let (mut scratch, mut out) = ([0.0; 7], [0.0; 2]);
    /// Model::new(1, 2).outputs_into(&[1.0, -1.0, 0.5, 0.0], &batch, &mut out, &mut scratch)?;
    /// assert_eq!(out, [3.5, -3.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.network().outputs_into(params, batch, out, scratch)
    }

    /// Share of rows whose largest output (the first among equals) is that of their class.
    ///
    /// # Errors
    /// As [`value`](Objective::value).
    ///
    /// ```
    /// use thalweg::model::{Batch, softmax::Model};
    /// let batch = Batch::classes(&[3.0_f32, -3.0], 1, &[0, 0])?;
    /// let share = Model::new(1, 2).accuracy(&[1.0, -1.0, 0.0, 0.0], &batch, &mut [0.0; 14])?;
    /// assert_eq!(share, 0.5);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn accuracy(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        scratch: &mut [T],
    ) -> Result<f64, Error> {
        self.network().accuracy(params, batch, scratch)
    }
}

impl<T: Real> Objective<T> for Model<T> {
    fn dim(&self) -> usize {
        Model::dim(self)
    }

    fn scratch_len(&self, rows: usize) -> usize {
        Model::scratch_len(self, rows)
    }

    fn value(&self, params: &[T], batch: &Batch<'_, T>, scratch: &mut [T]) -> Result<T, Error> {
        self.network().value(params, batch, scratch)
    }

    fn gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.network().gradient_into(params, batch, grad, scratch)
    }

    fn value_and_gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        self.network()
            .value_and_gradient_into(params, batch, grad, scratch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{check_gradient, painted};

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        let model = Model {
            l2: 0.1,
            ..Model::new(6, 4)
        };
        let x = painted(9 * 6, 1);
        let batch = Batch::classes(&x, 6, &[0, 1, 2, 3, 3, 2, 1, 0, 0]).unwrap();
        check_gradient(&model.on(&batch), &painted(28, 2), 1e-5);
    }

    #[test]
    fn equal_outputs_cost_the_logarithm_of_the_classes() {
        let model = Model::<f64>::new(3, 8);
        let x = painted(3, 1);
        let batch = Batch::classes(&x, 3, &[5]).unwrap();
        let mut scratch = [0.0; 27];
        let value = model.value(&[0.25; 32], &batch, &mut scratch).unwrap();
        assert!((value - libm::log(8.0)).abs() < 1e-15);
    }

    #[test]
    fn descent_separates_what_a_line_separates() {
        let model = Model::<f32>::new(2, 2);
        let x = painted(100 * 2, 3);
        let y: std::vec::Vec<u32> = x.chunks(2).map(|x| u32::from(x[0] > x[1])).collect();
        let batch = Batch::classes(&x, 2, &y).unwrap();
        let mut scratch = std::vec![0.0; model.scratch_len(100)];
        let (mut params, mut grad) = ([0.0; 6], [0.0; 6]);
        for _ in 0..300 {
            model
                .gradient_into(&params, &batch, &mut grad, &mut scratch)
                .unwrap();
            crate::vector::axpy(-4.0, &grad, &mut params).unwrap();
        }
        assert!(model.accuracy(&params, &batch, &mut scratch).unwrap() > 0.97);
    }
}
