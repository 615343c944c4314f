//! Linear autoencoder: the nonconvex test problem of permutation compressors.
//!
//! ```text
//! F(E, D) = (1 / (n p)) sum_i |D E x_i - x_i|^2 + lambda |E^T D^T - I|_F^2
//!
//! r_i = D E x_i - x_i
//! dF/dD = (2 / (n p)) sum_i r_i (E x_i)^T + 2 lambda (D (E E^T) - E^T)
//! dF/dE = (2 / (n p)) sum_i (D^T r_i) x_i^T + 2 lambda ((D^T D) E - D^T)
//! ```
//!
//! `x_i` has `p` pixels, `E` is `k x p`, `D` is `p x k`, no biases; parameters are `E`, then `D`, row-major: `2 k p` of them.
//! The penalty goes through the two `k x k` Gram matrices, never through `p x p`:
//! `|D E - I|^2 = <D^T D, E E^T> - 2 <E^T, D> + p`, which is at least `p - k` and so loses no digits to cancellation
//! as long as the code is narrower than the image.
//!
//! Cost: value `4 k p` flops a row, gradient `12 k p`, penalty `8 k^2 p` once. Labels are not looked at.
//!
//! Szlendak, Tyurin, Richtárik: Permutation Compressors for Provably Faster Distributed Nonconvex
//! Optimization, 2021 (arXiv 2110.03300), the MNIST experiment: `p = 784`, `k = 16`, `lambda` in {0, 1e-5, 1e-3}, Xavier-normal
//! start of standard deviation `sqrt(2 / (p + k))`.

mod outputs;

use rand_core::Rng;

use super::dense::{self, Dense};
use super::{Batch, Init, Objective, SHORT, at_most_block, blocks};
use crate::error::{check, check_length, check_scratch};
use crate::matrix::{MatrixMut, MatrixRef, Product, gemm, gemm_scratch};
use crate::memory::cut;
use crate::{Arithmetic, Error, Real, vector};

/// The sizes and the penalty.
///
/// ```
/// use thalweg::model::{Batch, Labels, Objective, autoencoder::Model};
/// // One pixel, one unit: r = (3 * 0.5 - 1) 2 = 1.
/// const MODEL: Model<f64> = Model { penalty: 0.5, ..Model::new(1, 1) };
/// let (mut scratch, mut grad) = ([0.0; MODEL.scratch_len(1)], [0.0; 2]);
/// let batch = Batch::new(&[2.0], 1, Labels::None)?;
/// let value = MODEL.value_and_gradient_into(&[0.5, 3.0], &batch, &mut grad, &mut scratch)?;
/// assert_eq!(value, 1.0 + 0.5 * 0.25);
/// // 2 r D x + (D E - 1) D, 2 r E x + (D E - 1) E
/// assert_eq!(grad, [12.0 + 1.5, 2.0 + 0.25]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model<T> {
    /// Features per row `p`, positive.
    pub pixels: usize,
    /// Width of the code `k`, positive.
    pub code: usize,
    /// Weight `lambda` of the distance of `D E` from the identity, finite and not negative.
    pub penalty: T,
    /// Arithmetic of the matrix products.
    pub arithmetic: Arithmetic,
}

/// The parts of the scratch.
struct Work<'s, T> {
    /// Listed rows.
    gathered: &'s mut [T],
    /// rows x pixels: reconstructions, then residuals.
    residuals: &'s mut [T],
    /// rows x code: `E x` and `D^T r`.
    codes: [&'s mut [T]; 2],
    /// What is left serves for packing.
    dense: Dense<'s, T>,
}

impl<T: Real> Model<T> {
    /// No penalty, portable arithmetic.
    ///
    /// ```
    /// assert_eq!(thalweg::model::autoencoder::Model::<f32>::new(784, 16).dim(), 25_088);
    /// ```
    pub const fn new(pixels: usize, code: usize) -> Self {
        Self {
            pixels,
            code,
            penalty: T::ZERO,
            arithmetic: Arithmetic::Portable,
        }
    }

    /// Number of parameters: `2 k p`.
    ///
    /// ```
    /// assert_eq!(thalweg::model::autoencoder::Model::<f32>::new(196, 16).dim(), 6272);
    /// ```
    pub const fn dim(&self) -> usize {
        self.pixels.saturating_mul(self.code).saturating_mul(2)
    }

    /// Draws both matrices by the same rule; the published start is [`Init::XavierNormal`].
    ///
    /// # Errors
    /// [`Error::Length`] of `params`.
    ///
    /// ```
    /// use thalweg::model::{Init, autoencoder::Model};
    /// use thalweg::random::{Purpose, stream};
    /// let model = Model::<f32>::new(784, 16);
    /// assert_eq!(Init::XavierNormal.deviation(784, 16), 0.05);
    /// let mut params = vec![0.0; model.dim()];
    /// model.init_into(Init::XavierNormal, &mut stream(1, 0, 0, Purpose::INIT), &mut params)?;
    /// let square = thalweg::vector::norm2_squared(&params) / 25_088.0;
    /// assert!((square / 0.0025 - 1.0).abs() < 0.03);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn init_into(&self, init: Init, rng: &mut impl Rng, params: &mut [T]) -> Result<(), Error> {
        check_length("params", self.dim(), params.len())?;
        let (encoder, decoder) = params
            .split_at_mut_checked(self.pixels.saturating_mul(self.code))
            .ok_or(SHORT)?;
        init.fill(self.pixels, self.code, rng, encoder);
        init.fill(self.code, self.pixels, rng, decoder);
        Ok(())
    }

    /// Elements of scratch on a batch of `rows` rows, at full speed.
    ///
    /// ```
    /// let model = thalweg::model::autoencoder::Model::<f32>::new(784, 16);
    /// assert_eq!(model.scratch_len(64), model.scratch_len(1000));
    /// ```
    pub const fn scratch_len(&self, rows: usize) -> usize {
        let block = at_most_block(rows);
        let (p, k) = (self.pixels, self.code);
        let lengths = [
            dense::pack_len(block, p, k),
            dense::pack_len(block, k, p),
            gemm_scratch(k, k, p),
            gemm_scratch(p, k, k),
            gemm_scratch(k, p, k),
        ];
        let [mut most, b, c, d, e] = lengths;
        most = if b > most { b } else { most };
        most = if c > most { c } else { most };
        most = if d > most { d } else { most };
        most = if e > most { e } else { most };
        self.least_scratch_len(rows).saturating_add(most)
    }

    /// Least elements of scratch: `max(2 b (p + k), 2 k^2)`, `b = min(rows, 64)`.
    ///
    /// ```
    /// let model = thalweg::model::autoencoder::Model::<f32>::new(784, 16);
    /// assert_eq!(model.least_scratch_len(8), 2 * 8 * 800);
    /// ```
    pub const fn least_scratch_len(&self, rows: usize) -> usize {
        let row = self.pixels.saturating_add(self.code).saturating_mul(2);
        let block = at_most_block(rows).saturating_mul(row);
        let grams = self.code.saturating_mul(self.code).saturating_mul(2);
        if grams > block { grams } else { block }
    }

    /// Checks the ranges of the fields.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    ///
    /// ```
    /// assert!(thalweg::model::autoencoder::Model::<f32>::new(4, 0).validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check("pixels", self.pixels > 0, "must be positive")?;
        check("code", self.code > 0, "must be positive")?;
        check(
            "penalty",
            self.penalty.is_finite() && self.penalty >= T::ZERO,
            "must be finite and not negative",
        )
    }

    fn check(&self, params: &[T], batch: &Batch<'_, T>, scratch: &[T]) -> Result<(), Error> {
        self.validate()?;
        check_length("params", self.dim(), params.len())?;
        batch.check_features(self.pixels)?;
        let least = self.least_scratch_len(batch.len());
        check_scratch("scratch", least, scratch.len())
    }

    fn split<'s>(&self, rows: usize, scratch: &'s mut [T]) -> Option<Work<'s, T>> {
        let (image, code) = (rows.checked_mul(self.pixels)?, rows.checked_mul(self.code)?);
        let ([gathered, residuals, first, second], pack) =
            cut(scratch, [image, image, code, code]).ok()?;
        Some(Work {
            gathered,
            residuals,
            codes: [first, second],
            dense: Dense {
                arithmetic: self.arithmetic,
                pack,
            },
        })
    }

    /// Mean square of the residuals, and `|D E - I|^2`; gradient where a slice is given for it.
    fn evaluate(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        mut grad: Option<&mut [T]>,
        scratch: &mut [T],
    ) -> Option<T> {
        let (p, k) = (self.pixels, self.code);
        let (encoder, decoder) = params.split_at_checked(p.checked_mul(k)?)?;
        let scale = T::from_f64(2.0) / (T::from_usize(batch.len()) * T::from_usize(p));
        if let Some(grad) = &mut grad {
            grad.fill(T::ZERO);
        }
        let mut value = if self.penalty == T::ZERO {
            0.0
        } else {
            self.penalty(encoder, decoder, grad.as_deref_mut(), scratch)?
        };
        let mut sum = 0.0;
        for (start, rows) in blocks(batch.len()) {
            let Work {
                gathered,
                residuals,
                codes: [code, slopes],
                mut dense,
            } = self.split(rows, scratch)?;
            let x = batch.block(start, rows, gathered);
            code.fill(T::ZERO);
            dense.forward_add(rows, x, encoder, k, code)?;
            residuals.fill(T::ZERO);
            dense.forward_add(rows, code, decoder, p, residuals)?;
            vector::axpy(-T::ONE, x, residuals).ok()?;
            sum += vector::norm2_squared(residuals).to_f64();
            if let Some(grad) = &mut grad {
                vector::scale(scale, residuals);
                let (encoder_grad, decoder_grad) = grad.split_at_mut_checked(p.checked_mul(k)?)?;
                dense.weights_add(rows, residuals, code, decoder_grad)?;
                dense.backward(rows, residuals, decoder, slopes)?;
                dense.weights_add(rows, slopes, x, encoder_grad)?;
            }
        }
        value += sum / (batch.len() as f64 * p as f64);
        Some(T::from_f64(value))
    }

    /// `lambda |D E - I|^2`, whose gradient is added where a slice is given for it.
    fn penalty(
        &self,
        encoder: &[T],
        decoder: &[T],
        grad: Option<&mut [T]>,
        scratch: &mut [T],
    ) -> Option<f64> {
        let (p, k) = (self.pixels, self.code);
        let square = k.checked_mul(k)?;
        let ([encoder_gram, decoder_gram], pack) = cut(scratch, [square; 2]).ok()?;
        let e = MatrixRef::new(encoder, k, p).ok()?;
        let d = MatrixRef::new(decoder, p, k).ok()?;
        let how = self.arithmetic;
        let target = MatrixMut::new(encoder_gram, k, k).ok()?;
        gemm(Product::plain(how), e, e.t(), target, pack).ok()?;
        let target = MatrixMut::new(decoder_gram, k, k).ok()?;
        gemm(Product::plain(how), d.t(), d, target, pack).ok()?;
        // <E^T, D> = trace(D E), row j of D against column j of E.
        let mut trace = 0.0;
        for (j, row) in d.row_iter().enumerate() {
            for (l, &d) in row.iter().enumerate() {
                trace += (d * e.get(l, j)?).to_f64();
            }
        }
        let grams = vector::dot(encoder_gram, decoder_gram).ok()?.to_f64();
        let value = self.penalty.to_f64() * (grams - 2.0 * trace + p as f64);
        let Some(grad) = grad else {
            return Some(value);
        };
        let twice = self.penalty + self.penalty;
        let (encoder_grad, decoder_grad) = grad.split_at_mut_checked(encoder.len())?;
        let gram = MatrixRef::new(decoder_gram, k, k).ok()?;
        let mut target = MatrixMut::new(encoder_grad, k, p).ok()?;
        gemm(
            Product {
                arithmetic: how,
                alpha: twice,
                beta: T::ONE,
            },
            gram,
            e,
            target.reborrow(),
            pack,
        )
        .ok()?;
        for (j, row) in d.row_iter().enumerate() {
            for (l, &d) in row.iter().enumerate() {
                *target.get_mut(l, j)? -= twice * d;
            }
        }
        let gram = MatrixRef::new(encoder_gram, k, k).ok()?;
        let mut target = MatrixMut::new(decoder_grad, p, k).ok()?;
        gemm(
            Product {
                arithmetic: how,
                alpha: twice,
                beta: T::ONE,
            },
            d,
            gram,
            target.reborrow(),
            pack,
        )
        .ok()?;
        for (l, row) in e.row_iter().enumerate() {
            for (j, &e) in row.iter().enumerate() {
                *target.get_mut(j, l)? -= twice * e;
            }
        }
        Some(value)
    }

    /// Writes the reconstructions `D E x_i`: rows x pixels.
    ///
    /// # Errors
    /// Wrong lengths or settings; an empty batch.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels, autoencoder::Model};
    /// let batch = Batch::new(&[1.0_f32, 2.0], 2, Labels::None)?;
    /// let (mut scratch, mut out) = ([0.0; 6], [0.0; 2]);
    /// Model::new(2, 1).outputs_into(&[1.0, 1.0, 0.5, 2.0], &batch, &mut out, &mut scratch)?;
    /// assert_eq!(out, [1.5, 6.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.check(params, batch, scratch)?;
        let size = batch.len().saturating_mul(self.pixels);
        check_length("out", size, out.len())?;
        let mut rest = out;
        for (start, rows) in blocks(batch.len()) {
            rest = self
                .reconstruct(params, batch, (start, rows), rest, scratch)
                .ok_or(SHORT)?;
        }
        Ok(())
    }

    /// Reconstructs one block at the head of `out`, and returns what follows it.
    fn reconstruct<'o>(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        (start, rows): (usize, usize),
        out: &'o mut [T],
        scratch: &mut [T],
    ) -> Option<&'o mut [T]> {
        let (p, k) = (self.pixels, self.code);
        let (encoder, decoder) = params.split_at_checked(p.checked_mul(k)?)?;
        let (out, rest) = out.split_at_mut_checked(rows.checked_mul(p)?)?;
        let mut work = self.split(rows, scratch)?;
        let [code, _] = work.codes;
        code.fill(T::ZERO);
        let x = batch.block(start, rows, work.gathered);
        work.dense.forward_add(rows, x, encoder, k, code)?;
        out.fill(T::ZERO);
        work.dense.forward_add(rows, code, decoder, p, out)?;
        Some(rest)
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
        self.check(params, batch, scratch)?;
        self.evaluate(params, batch, None, scratch).ok_or(SHORT)
    }

    fn gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.value_and_gradient_into(params, batch, grad, scratch)
            .map(drop)
    }

    fn value_and_gradient_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        grad: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        self.check(params, batch, scratch)?;
        check_length("grad", self.dim(), grad.len())?;
        self.evaluate(params, batch, Some(grad), scratch)
            .ok_or(SHORT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{check_golden, check_gradient, painted};
    use crate::model::{BLOCK_ROWS, Labels};
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn values_and_gradients_are_those_of_automatic_differentiation() {
        // torch 2.15, float64: core/tests/golden/model.py.
        let x = painted(5 * 7, 31);
        let batch = Batch::new(&x, 7, Labels::None).unwrap();
        let params = [painted::<f64>(21, 32), painted(21, 33)].concat();
        for (penalty, golden) in [
            (
                0.0,
                [0.62227596216754, -0.9927143387388546, 1.2642222565652816],
            ),
            (
                0.125,
                [2.3650839054700503, -1.3271593383765545, 7.21134439143975],
            ),
        ] {
            let model = Model {
                penalty,
                ..Model::new(7, 3)
            };
            check_golden(&model.on(&batch), &params, golden);
        }
    }

    #[test]
    fn gradients_are_slopes_of_values_across_blocks_and_shapes() {
        let rows = BLOCK_ROWS + 3;
        for (pixels, code) in [(1, 1), (5, 2), (3, 3), (2, 20)] {
            for penalty in [0.0, 0.3] {
                let model = Model {
                    penalty,
                    ..Model::new(pixels, code)
                };
                let x = painted(rows * pixels, 5);
                let batch = Batch::new(&x, pixels, Labels::None).unwrap();
                let params = painted(model.dim(), 6);
                check_gradient(&model.on(&batch), &params, 1e-5);
                let mini = batch.select(&[9, 66, 9]).unwrap();
                check_gradient(&model.on(&mini), &params, 1e-5);
            }
        }
    }

    #[test]
    fn an_orthonormal_basis_of_the_data_reconstructs_it() {
        // E = (1, 1) / sqrt 2 = D^T on data along (1, 1): no loss, and |D E - I|^2 = p - k = 1.
        let root = libm::sqrt(0.5);
        let x = [1.0, 1.0, -3.0, -3.0];
        let batch = Batch::new(&x, 2, Labels::None).unwrap();
        let model = Model {
            penalty: 0.25,
            ..Model::new(2, 1)
        };
        let mut scratch = vec![f64::NAN; model.least_scratch_len(2)];
        let params = [root; 4];
        let mut out = [0.0; 4];
        model
            .outputs_into(&params, &batch, &mut out, &mut scratch)
            .unwrap();
        assert!(out.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-15));
        let value = model.value(&params, &batch, &mut scratch).unwrap();
        assert!((value - 0.25).abs() < 1e-15);
    }

    #[test]
    fn gradients_have_the_same_bits_at_every_level_and_unpacked() {
        let rows = BLOCK_ROWS + 9;
        let model = Model::<f32> {
            penalty: 0.01,
            ..Model::new(49, 5)
        };
        let x = painted(rows * 49, 5);
        let params = painted(model.dim(), 6);
        let batch = Batch::new(&x, 49, Labels::None).unwrap();
        let bits = |scratch: usize| {
            let mut scratch = vec![f32::NAN; scratch];
            let mut grad = vec![f32::NAN; model.dim()];
            let value = model
                .value_and_gradient_into(&params, &batch, &mut grad, &mut scratch)
                .unwrap();
            grad.push(value);
            grad.iter().map(|g| g.to_bits()).collect::<Vec<_>>()
        };
        let expected = bits(model.least_scratch_len(rows));
        for level in crate::testing::levels() {
            assert_eq!(bits(model.scratch_len(rows)), expected, "{level:?}");
        }
    }

    #[test]
    fn bad_arguments_are_named_and_nothing_is_written() {
        let x = [0.5_f32; 8];
        let batch = Batch::new(&x, 4, Labels::None).unwrap();
        let model = Model::new(4, 2);
        let need = model.least_scratch_len(2);
        let broken = Model {
            penalty: -1.0,
            ..model
        };
        let narrow = Batch::new(&x, 2, Labels::None).unwrap();
        for (model, params, batch, scratch, grad, expected) in [
            (model, 15, batch, need, 16, "params"),
            (model, 16, batch.select(&[]).unwrap(), need, 16, "batch"),
            (model, 16, narrow, need, 16, "features"),
            (model, 16, batch, need - 1, 16, "scratch"),
            (model, 16, batch, need, 15, "grad"),
            (broken, 16, batch, need, 16, "penalty"),
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
