//! Data hyper-cleaning: the outer variable holds a weight for every training row, some of which carry a wrong label.
//!
//! ```text
//! g(l, w) = (1/n) sum_i sigmoid(l_i) loss(w; x_i, c_i) + b |w|^2 / 2       n training rows, labels partly wrong
//! f(l, w) = mean loss(w; validation rows)                                   labels right; no direct term: f_l = 0
//! ```
//!
//! p = n, d = parameters of the network, b its `l2`; with sizes `[features, classes]` it is softmax regression. A row whose
//! gradient points against the validation gradient loses its weight: rows with `l_i < 0` at the end are those held to be
//! wrong. One step of the inner loop from w^0 gives `h_i = -alpha sigmoid'(l_i) <grad loss_i(w^0), f_w(w^1)> / n`.
//!
//! Cost: a gradient of the network on n rows. Reference: Franceschi et al., *Forward and reverse gradient-based hyperparameter
//! optimization*, ICML 2017, section 5.1; the sigmoid is that of Shaban et al., *Truncated back-propagation for bilevel
//! optimization*, AISTATS 2019.

use crate::error::{check, check_length};
use crate::memory::cut;
use crate::model::{Batch, Objective, mlp};
use crate::simd::math;
use crate::{Error, Real};

use super::Place;
use super::differences::InnerSlope;

/// Rows with labels that may be wrong within, rows to be trusted without.
///
/// ```
/// use thalweg::bilevel::{Problem as _, hyper_cleaning};
/// use thalweg::model::{Batch, mlp};
/// let train = Batch::classes(&[1.0_f32, -1.0, 0.5], 1, &[0, 1, 1])?;
/// let validation = Batch::classes(&[2.0, -2.0], 1, &[0, 1])?;
/// let problem = hyper_cleaning::Problem::new(mlp::Model::new(&[1, 2]), train, validation)?;
/// assert_eq!((problem.outer_dim(), problem.inner_dim()), (3, 4));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a, T> {
    network: mlp::Model<'a, T>,
    train: Batch<'a, T>,
    validation: Batch<'a, T>,
}

impl<'a, T: Real> Problem<'a, T> {
    /// The network, whose penalty counts within only, and the two sets of rows.
    ///
    /// # Errors
    /// A network out of range; [`Error::Length`] of its features; [`Error::Parameter`] for a set without rows.
    pub fn new(
        network: mlp::Model<'a, T>,
        train: Batch<'a, T>,
        validation: Batch<'a, T>,
    ) -> Result<Self, Error> {
        network.validate()?;
        for (name, batch) in [("train", train), ("validation", validation)] {
            check(name, !batch.is_empty(), "must hold at least one row")?;
            check_length(name, network.inputs(), batch.columns())?;
        }
        Ok(Self {
            network,
            train,
            validation,
        })
    }
}

impl<T: Real> super::Problem<T> for Problem<'_, T> {
    fn outer_dim(&self) -> usize {
        self.train.len()
    }

    fn inner_dim(&self) -> usize {
        self.network.dim()
    }

    /// Weights of rows, and the network's own.
    fn scratch_len(&self) -> usize {
        let rows = self.train.len().max(self.validation.len());
        let network = self.network.scratch_len(rows);
        self.train.len().saturating_add(network)
    }

    fn prepare(&self, x: &[T], scratch: &mut [T]) -> Result<(), Error> {
        let ([weights], _) = cut(scratch, [self.train.len()])?;
        math::sigmoid_into(x, weights)
    }

    fn inner_gradient_into(
        &self,
        at: Place<'_, T>,
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { y, .. } = at;
        let ([weights], scratch) = cut(scratch, [self.train.len()])?;
        let network = &self.network;
        network.weighted_gradient_into(y, &self.train, weights, grad_y, scratch)
    }

    fn outer_value(&self, at: Place<'_, T>, scratch: &mut [T]) -> Result<T, Error> {
        let Place { y, .. } = at;
        super::without_penalty(self.network).value(y, &self.validation, scratch)
    }

    fn outer_gradients_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let Place { y, .. } = at;
        grad_x.fill(T::ZERO);
        let network = super::without_penalty(self.network);
        network.value_and_gradient_into(y, &self.validation, grad_y, scratch)
    }
}

impl<T: Real> InnerSlope<T> for Problem<'_, T> {
    /// `sigmoid'(l_i) loss(w; x_i, c_i) / n`.
    fn inner_slope_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, .. } = at;
        let network = super::without_penalty(self.network);
        let n = T::from_usize(self.train.len());
        math::sigmoid_into(x, grad_x)?;
        for (i, slope) in grad_x.iter_mut().enumerate() {
            let row = self.train.range(i, 1)?;
            // There is a row.
            *slope = *slope * (T::ONE - *slope) * network.value(y, &row, scratch)? / n;
        }
        Ok(())
    }
}
