//! Multilayer perceptron of any depth: affine maps with ReLU, tanh or sigmoid between them.
//!
//! Gradients come by back-propagation over blocks of rows. In addition to the mean gradient there are the per-sample
//! gradients and the Jacobian of the outputs, whole or as a product from either side, for tangent kernels and
//! for diagnostics.
//!
//! ```text
//! a_0 = x,  z_l = W_l a_(l-1) + b_l,  a_l = h(z_l),  f = z_L
//! F(w) = mean_i loss(f(x_i), y_i) + (l2 / 2) |w|^2
//!
//! d_L = slope of the loss,  d_(l-1) = (W_l^T d_l) * h'(z_(l-1)),  dF/dW_l = mean d_l a_(l-1)^T,  dF/db_l = mean d_l
//! ```
//!
//! Parameters lie layer after layer, weights (`outputs x inputs`, row-major) before biases: the order of
//! PyTorch's `parameters()`. `l2` covers weights and biases, like the weight decay of an optimiser. The
//! derivative of ReLU at 0 is 0. Both `h'` come from `a_l`, so that `z_l` is not kept.
//!
//! Cost for `P` parameters: value 2P flops a row, gradient 6P, Jacobian `C` times a gradient without its sum,
//! product with a vector 4P. Scratch: [`Model::scratch_len`], which does not grow
//! beyond [`BLOCK_ROWS`] rows.
//!
//! Rumelhart, Hinton, Williams: Learning representations by back-propagating errors, 1986.

mod activation;
mod deltas;
mod jacobian;
mod predict;
mod propagate;
mod trunk;
mod weighted;

pub use activation::Activation;
pub(crate) use activation::ActivationKernels;

use rand_core::Rng;

use self::propagate::{Pass, Work};
use super::{
    BLOCK_ROWS, Batch, Init, Labels, Loss, Objective, SHORT, at_most_block, blocks_of, dense,
    start_gradient,
};
use crate::error::{check, check_length, check_scratch};
use crate::memory::must;
use crate::{Arithmetic, Error, Real, vector};

/// A network: the sizes of its layers and how it is trained.
///
/// ```
/// use thalweg::model::{Batch, Objective, mlp};
/// // f(x) = w2 relu(w1 x + b1) + b2 with one unit: 3 relu(2 * 1 - 1) + 0.5 = 3.5, target 1.5.
/// const MODEL: mlp::Model<'static, f64> = mlp::Model {
///     loss: thalweg::model::Loss::Squared,
///     ..mlp::Model::new(&[1, 1, 1])
/// };
/// let mut scratch = [0.0; MODEL.scratch_len(1)];
/// let mut grad = [0.0; MODEL.dim()];
/// let batch = Batch::targets(&[1.0], 1, &[1.5], 1)?;
/// let value = MODEL.value_and_gradient_into(&[2.0, -1.0, 3.0, 0.5], &batch, &mut grad, &mut scratch)?;
/// assert_eq!(value, 2.0); // (3.5 - 1.5)^2 / 2
/// assert_eq!(grad, [6.0, 6.0, 2.0, 2.0]); // residual 2 times (3 x, 3, a, 1)
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model<'a, T> {
    /// Features, units of each hidden layer, outputs: two entries at least, all positive.
    pub sizes: &'a [usize],
    /// Between layers; the last layer has none.
    pub activation: Activation,
    /// What outputs are measured with.
    pub loss: Loss,
    /// Weight of half the squared norm of all parameters, finite and not negative.
    pub l2: T,
    /// Arithmetic of the matrix products.
    pub arithmetic: Arithmetic,
}

impl<'a, T: Real> Model<'a, T> {
    /// ReLU, cross-entropy, no penalty, portable arithmetic.
    ///
    /// ```
    /// use thalweg::model::mlp::Model;
    /// assert_eq!(Model::<f32>::new(&[784, 100, 10]).dim(), 79510);
    /// ```
    pub const fn new(sizes: &'a [usize]) -> Self {
        Self {
            sizes,
            activation: Activation::Relu,
            loss: Loss::CrossEntropy,
            l2: T::ZERO,
            arithmetic: Arithmetic::Portable,
        }
    }

    /// Number of parameters: `sum_l outputs_l (inputs_l + 1)`.
    ///
    /// ```
    /// use thalweg::model::mlp::Model;
    /// assert_eq!(Model::<f32>::new(&[64, 16, 10]).dim(), 64 * 16 + 16 + 16 * 10 + 10);
    /// ```
    pub const fn dim(&self) -> usize {
        let (mut sizes, mut total) = (self.sizes, 0_usize);
        while let [inputs, rest @ ..] = sizes {
            if let [outputs, ..] = rest {
                total = total.saturating_add(outputs.saturating_mul(inputs.saturating_add(1)));
            }
            sizes = rest;
        }
        total
    }

    /// Features per row.
    ///
    /// ```
    /// assert_eq!(thalweg::model::mlp::Model::<f32>::new(&[64, 16, 10]).inputs(), 64);
    /// ```
    pub const fn inputs(&self) -> usize {
        match self.sizes {
            [inputs, ..] => *inputs,
            [] => 0,
        }
    }

    /// Outputs per row.
    ///
    /// ```
    /// assert_eq!(thalweg::model::mlp::Model::<f32>::new(&[64, 16, 10]).outputs(), 10);
    /// ```
    pub const fn outputs(&self) -> usize {
        match self.sizes {
            [_, .., outputs] => *outputs,
            _ => 0,
        }
    }

    /// Sum and largest of the sizes above the features.
    const fn widths(&self) -> (usize, usize) {
        let (mut sizes, mut sum, mut most) = (self.sizes, 0_usize, 0);
        while let [_, rest @ ..] = sizes {
            if let [outputs, ..] = rest {
                sum = sum.saturating_add(*outputs);
                most = if *outputs > most { *outputs } else { most };
            }
            sizes = rest;
        }
        (sum, most)
    }

    /// Elements of scratch for `rows` rows at once, without packing.
    const fn work_len(&self, rows: usize) -> usize {
        let (sum, most) = self.widths();
        rows.saturating_mul(
            self.inputs()
                .saturating_add(sum)
                .saturating_add(most.saturating_mul(2)),
        )
    }

    /// Elements of packing for the products with `rows` rows.
    const fn pack_len(&self, rows: usize) -> usize {
        let (mut sizes, mut most) = (self.sizes, 0);
        while let [inputs, rest @ ..] = sizes {
            if let [outputs, ..] = rest {
                let len = dense::pack_len(rows, *inputs, *outputs);
                most = if len > most { len } else { most };
            }
            sizes = rest;
        }
        most
    }

    /// Elements of scratch on a batch of `rows` rows, for all functions but the Jacobian, at full speed.
    ///
    /// [`least_scratch_len`](Self::least_scratch_len) and what the products want for packing, of which
    /// any part may be missing.
    ///
    /// ```
    /// use thalweg::model::mlp::Model;
    /// let model = Model::<f32>::new(&[64, 16, 10]);
    /// assert_eq!(model.scratch_len(1000), model.scratch_len(64));
    /// assert!(model.scratch_len(8) > model.least_scratch_len(8));
    /// ```
    pub const fn scratch_len(&self, rows: usize) -> usize {
        let rows = at_most_block(rows);
        self.work_len(rows).saturating_add(self.pack_len(rows))
    }

    /// Least elements of scratch on a batch of `rows` rows: for small memories, at a lower speed.
    ///
    /// `min(rows, 64) (inputs + sum of the other sizes + 2 largest of them)`. With
    /// [`Arithmetic::Portable`] the bits do not depend on the length of the scratch. A gradient without its value
    /// does with that of a single row, whatever the batch: it is one chain of sums over the rows, and takes as many at a time
    /// as there is room for.
    ///
    /// ```
    /// use thalweg::model::mlp::Model;
    /// let model = Model::<f32>::new(&[64, 16, 10]);
    /// assert_eq!(model.least_scratch_len(8), 8 * (64 + 26 + 32));
    /// ```
    pub const fn least_scratch_len(&self, rows: usize) -> usize {
        self.work_len(at_most_block(rows))
    }

    /// Elements of scratch of [`jacobian_into`](Self::jacobian_into), for any number of rows.
    ///
    /// The least is `outputs (inputs + sum of the other sizes + 2 largest of them)`; the rest is for packing.
    ///
    /// ```
    /// use thalweg::model::mlp::Model;
    /// assert!(Model::<f32>::new(&[64, 16, 10]).jacobian_scratch_len() > 10 * (64 + 26 + 32));
    /// ```
    pub const fn jacobian_scratch_len(&self) -> usize {
        self.work_len(self.outputs())
            .saturating_add(self.pack_len(self.outputs()))
    }

    /// Checks a scratch for `rows` rows.
    fn check_scratch(&self, rows: usize, scratch: &[T]) -> Result<(), Error> {
        check_scratch("scratch", self.least_scratch_len(rows), scratch.len())
    }

    /// Checks the sizes and the penalty.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    ///
    /// ```
    /// use thalweg::model::mlp::Model;
    /// assert!(Model::<f32>::new(&[64, 10]).validate().is_ok());
    /// assert!(Model::<f32>::new(&[64, 0, 10]).validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check(
            "sizes",
            self.sizes.len() >= 2 && self.sizes.iter().all(|&size| size > 0),
            "must be two or more positive numbers",
        )?;
        check(
            "l2",
            self.l2.is_finite() && self.l2 >= T::ZERO,
            "must be finite and not negative",
        )
    }

    /// Draws initial parameters, layer after layer, with biases zero.
    ///
    /// # Errors
    /// [`Error::Length`] of `params`; sizes or penalty out of range.
    ///
    /// ```
    /// use thalweg::model::{Init, mlp::Model};
    /// use thalweg::random::{Purpose, stream};
    /// let mut params = [9.0_f32; 5];
    /// let rng = &mut stream(1, 0, 0, Purpose::INIT);
    /// Model::new(&[4, 1]).init_into(Init::KaimingUniform, rng, &mut params)?;
    /// assert_eq!(params[4], 0.0);
    /// assert!(params.iter().all(|w| w.abs() <= 1.5_f32.sqrt()));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn init_into(&self, init: Init, rng: &mut impl Rng, params: &mut [T]) -> Result<(), Error> {
        self.validate()?;
        check_length("params", self.dim(), params.len())?;
        let mut rest = params;
        for (inputs, outputs) in self.layers() {
            let cut = inputs.saturating_mul(outputs);
            let (weights, above) = rest.split_at_mut_checked(cut).ok_or(SHORT)?;
            let (biases, above) = above.split_at_mut_checked(outputs).ok_or(SHORT)?;
            init.fill(inputs, outputs, rng, weights);
            biases.fill(T::ZERO);
            rest = above;
        }
        Ok(())
    }

    /// Everything that the functions of parameters and features need.
    pub(crate) fn check_inputs(&self, params: &[T], batch: &Batch<'_, T>) -> Result<(), Error> {
        self.validate()?;
        check_length("params", self.dim(), params.len())?;
        batch.check_features(self.inputs())
    }

    fn check_labels(&self, batch: &Batch<'_, T>) -> Result<(), Error> {
        match (self.loss, batch.labels()) {
            (Loss::Squared, Labels::Targets { .. }) => batch.check_targets(self.outputs()),
            _ => batch.check_classes(self.outputs()),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "windows of 2")]
    pub(crate) fn layers(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + use<'a, T> {
        self.sizes.windows(2).filter_map(|pair| match *pair {
            [inputs, outputs] => Some((inputs, outputs)),
            _ => None,
        })
    }

    /// `l2 / 2 |params|^2`.
    fn penalty(&self, params: &[T]) -> f64 {
        if self.l2 == T::ZERO {
            return 0.0;
        }
        (self.l2 * vector::norm2_squared(params)).to_f64() / 2.0
    }

    /// Rows that the scratch has room for at once.
    fn rows_at_once(&self, scratch: &[T]) -> usize {
        let rows = must(scratch.len().checked_div(self.work_len(1)));
        rows.clamp(1, BLOCK_ROWS)
    }

    /// The value without weights, and where a slice is given for it the gradient, with the weights of rows if there are some; `most`
    /// rows at a time.
    fn evaluate(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        most: usize,
        mut grad: Option<(&mut [T], Option<&[T]>)>,
        scratch: &mut [T],
    ) -> Result<T, Error> {
        self.check_inputs(params, batch)?;
        self.check_labels(batch)?;
        self.check_scratch(batch.len().min(most), scratch)?;
        if let Some((grad, _)) = &grad {
            check_length("grad", self.dim(), grad.len())?;
        }
        let outputs = self.outputs();
        let scale = T::ONE / T::from_usize(batch.len());
        if let Some((grad, _)) = &mut grad {
            start_gradient(self.l2, params, grad);
        }
        let mut sum = 0.0;
        for (start, rows) in blocks_of(most, batch.len()) {
            let Work {
                gathered,
                acts,
                spare,
                mut dense,
            } = self.split(rows, scratch).ok_or(SHORT)?;
            let x = batch.block(start, rows, gathered);
            let z = self
                .forward(params, x, rows, acts, &mut dense)
                .ok_or(SHORT)?;
            sum += self.loss.measure(batch, start, outputs, scale, z);
            if let Some((grad, weights)) = &mut grad {
                if let Some(weights) = weights {
                    weighted::scale_rows(weights.get(start..).ok_or(SHORT)?, outputs, z);
                }
                let pass = Pass {
                    rows,
                    x,
                    acts,
                    spare,
                    dense: &mut dense,
                };
                self.accumulate(params, pass, grad).ok_or(SHORT)?;
            }
        }
        let mean = sum * self.loss.weight(outputs) / batch.len() as f64;
        Ok(T::from_f64(mean + self.penalty(params)))
    }
}

impl<T: Real> Objective<T> for Model<'_, T> {
    fn dim(&self) -> usize {
        Model::dim(self)
    }

    fn scratch_len(&self, rows: usize) -> usize {
        Model::scratch_len(self, rows)
    }

    fn value(&self, params: &[T], batch: &Batch<'_, T>, scratch: &mut [T]) -> Result<T, Error> {
        self.evaluate(params, batch, BLOCK_ROWS, None, scratch)
    }

    fn gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let most = self.rows_at_once(scratch);
        self.evaluate(params, batch, most, Some((grad, None)), scratch)
            .map(drop)
    }

    fn value_and_gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        self.evaluate(params, batch, BLOCK_ROWS, Some((grad, None)), scratch)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::tests::{check_golden, check_gradient, painted};

    use std::vec;
    use std::vec::Vec;

    const SIZES: [&[usize]; 4] = [&[5, 3], &[5, 4, 3], &[5, 7, 4, 3], &[1, 2, 1, 2]];
    const ACTIVATIONS: [Activation; 3] = [Activation::Relu, Activation::Tanh, Activation::Sigmoid];

    pub(super) fn each_model(mut check: impl FnMut(Model<'_, f64>)) {
        for sizes in SIZES {
            for activation in ACTIVATIONS {
                for loss in [Loss::CrossEntropy, Loss::Squared] {
                    for l2 in [0.0, 0.3] {
                        check(Model {
                            activation,
                            loss,
                            l2,
                            ..Model::new(sizes)
                        });
                    }
                }
            }
        }
    }

    pub(super) fn classes(rows: usize, classes: usize) -> Vec<u32> {
        (0..rows).map(|i| (i * 7 % classes) as u32).collect()
    }

    #[test]
    fn gradients_are_slopes_of_values_across_blocks_and_lists() {
        let rows = BLOCK_ROWS + 3;
        each_model(|model| {
            let (d, c) = (model.inputs(), model.outputs());
            let (x, y) = (painted(rows * d, 5), classes(rows, c));
            let params = painted(model.dim(), 11);
            let batch = Batch::classes(&x, d, &y).unwrap();
            let mini = batch.select(&[4, 1, 4]).unwrap();
            check_gradient(&model.on(&batch), &params, 1e-6);
            check_gradient(&model.on(&mini), &params, 1e-6);
            if model.loss == Loss::Squared {
                let y = painted(rows * c, 6);
                let batch = Batch::targets(&x, d, &y, c).unwrap();
                check_gradient(&model.on(&batch), &params, 1e-6);
            }
        });
    }

    #[test]
    fn values_and_gradients_are_those_of_automatic_differentiation() {
        // torch 2.15, float64: core/tests/golden/model.py; mse_loss / 2 has our factor.
        let (x, y) = (painted(9 * 6, 21), painted(9 * 3, 22));
        let (classes, params) = (classes(9, 3), painted::<f64>(6 * 5 + 5 + 24 + 15, 23));
        for (activation, loss, golden) in [
            (
                Activation::Relu,
                Loss::CrossEntropy,
                [2.445759771107868, 0.4246339992830702, 1.2213129763542436],
            ),
            (
                Activation::Relu,
                Loss::Squared,
                [1.8698103472331251, -0.10869644302214415, 1.9918595101137966],
            ),
            (
                Activation::Tanh,
                Loss::CrossEntropy,
                [2.280078617439868, -0.1360428130988901, 0.38702394659483386],
            ),
            (
                Activation::Tanh,
                Loss::Squared,
                [1.6711481676634188, -0.10200648185539338, 0.5118016624515138],
            ),
        ] {
            let model = Model {
                activation,
                loss,
                l2: 0.1,
                ..Model::new(&[6, 5, 4, 3])
            };
            let batch = match loss {
                Loss::CrossEntropy => Batch::classes(&x, 6, &classes),
                Loss::Squared => Batch::targets(&x, 6, &y, 3),
            };
            check_golden(&model.on(&batch.unwrap()), &params, golden);
        }
    }

    #[test]
    fn gradients_have_the_same_bits_at_every_level_through_a_list_and_unpacked() {
        let rows = BLOCK_ROWS + 9;
        let model = Model::<f32> {
            activation: Activation::Tanh,
            ..Model::new(&[33, 17, 10])
        };
        let (x, y) = (painted(rows * 33, 5), classes(rows, 10));
        let params = painted(model.dim(), 11);
        let batch = Batch::classes(&x, 33, &y).unwrap();
        let list: Vec<u32> = (0..rows as u32).collect();
        let bits = |batch: &Batch<'_, f32>, scratch: usize| {
            let mut scratch = vec![f32::NAN; scratch];
            let mut grad = vec![f32::NAN; model.dim()];
            let value = model
                .value_and_gradient_into(&params, batch, &mut grad, &mut scratch)
                .unwrap();
            // The gradient alone, in blocks of one, two and three rows.
            for rows in 1..4 {
                let mut alone = vec![f32::NAN; model.dim()];
                let few = &mut vec![f32::NAN; model.least_scratch_len(rows)];
                model
                    .gradient_into(&params, batch, &mut alone, few)
                    .unwrap();
                assert!(
                    grad.iter()
                        .zip(&alone)
                        .all(|(a, b)| a.to_bits() == b.to_bits())
                );
            }
            grad.push(value);
            grad.iter().map(|g| g.to_bits()).collect::<Vec<_>>()
        };
        let (all, least) = (model.scratch_len(rows), model.least_scratch_len(rows));
        let expected = bits(&batch, least);
        for level in crate::testing::levels() {
            assert_eq!(bits(&batch, all), expected, "{level:?}");
            let listed = batch.select(&list).unwrap();
            assert_eq!(bits(&listed, least), expected, "{level:?}");
        }
    }

    #[test]
    fn confident_outputs_do_not_overflow() {
        let model = Model::<f32>::new(&[1, 2]);
        let batch = Batch::classes(&[1.0], 1, &[1]).unwrap();
        let (mut scratch, mut grad) = ([0.0; 7], [0.0; 4]);
        let value = model
            .value_and_gradient_into(&[1e30, -1e30, 0.0, 0.0], &batch, &mut grad, &mut scratch)
            .unwrap();
        assert_eq!(value, 2e30);
        assert_eq!(grad, [1.0, -1.0, 1.0, -1.0]);
    }

    #[test]
    fn not_a_number_reaches_value_and_gradient() {
        let model = Model::<f32>::new(&[1, 2, 2]);
        let batch = Batch::classes(&[f32::NAN], 1, &[1]).unwrap();
        let (mut scratch, mut grad) = ([0.0; 9], [0.0; 10]);
        let value = model
            .value_and_gradient_into(&[1.0; 10], &batch, &mut grad, &mut scratch)
            .unwrap();
        assert!(value.is_nan() && grad.iter().all(|g| g.is_nan()));
    }

    #[test]
    fn bad_arguments_are_named_and_nothing_is_written() {
        let model = Model::<f32>::new(&[2, 3, 2]);
        let x = [0.5; 4];
        let batch = Batch::classes(&x, 2, &[0, 1]).unwrap();
        let none = batch.select(&[]).unwrap();
        let wide = Batch::classes(&x, 1, &[0; 4]).unwrap();
        let high = Batch::classes(&x, 2, &[0, 2]).unwrap();
        let bare = Batch::new(&x, 2, Labels::None).unwrap();
        let need = model.least_scratch_len(2);
        let broken = Model {
            l2: f32::NAN,
            ..model
        };
        let empty = Model {
            sizes: &[2],
            ..model
        };
        for (model, params, batch, scratch, grad, expected) in [
            (model, 16, batch, need, 17, "params"),
            (model, 17, none, need, 17, "batch"),
            (model, 17, wide, need, 17, "features"),
            (model, 17, high, need, 17, "labels"),
            (model, 17, bare, need, 17, "labels"),
            (model, 17, batch, need / 2 - 1, 17, "scratch"),
            (model, 17, batch, need, 16, "grad"),
            (broken, 17, batch, need, 17, "l2"),
            (empty, 0, batch, need, 0, "sizes"),
        ] {
            let (mut scratch, mut grad) = (vec![7.0; scratch], vec![7.0; grad]);
            let error = model
                .gradient_into(&vec![0.0; params], &batch, &mut grad, &mut scratch)
                .unwrap_err();
            let (Error::Length { name, .. } | Error::Parameter { name, .. }) = error else {
                panic!("{error}")
            };
            assert_eq!(name, expected);
            assert!(scratch.iter().chain(&grad).all(|&x| x == 7.0), "{name}");
        }
    }
}
