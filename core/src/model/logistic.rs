//! Binary classification by a linear score: logistic regression, and a bounded nonconvex loss.
//!
//! ```text
//! m_i = y_i a_i^T x,  y_i = 1 for class 1 and -1 for class 0
//!
//! Logistic    F(x) = mean_i ln(1 + exp(-m_i))      + (l2 / 2) |x|^2       slope in m: -s,        s = 1 / (1 + exp(m))
//! Nonconvex   F(x) = mean_i (1 - 1 / (1 + exp(-m_i)))^2 + (l2 / 2) |x|^2  slope in m: -2 s^2 (1 - s)
//! ```
//!
//! `a_i` is a row of features, `x` the parameters: `d` of each. An intercept is a feature that is always 1.
//! Gradients are Lipschitz with constant at most `mean |a_i|^2 / 4 + l2` (logistic) and `0.16 mean |a_i|^2 + l2`
//! (nonconvex: `|d^2/dm^2 s^2| = |2 s^2 (1 - s) (2 - 3 s)| <= 0.155`).
//!
//! Both losses are finite for every finite score: only `exp(-|m|)` is taken, and `ln(1 + e)` keeps its digits
//! for small `e` (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 1.14.1). Cost: `4 d` flops and one
//! exponential a row, no scratch.
//!
//! The nonconvex loss is that of the experiments in Gorbunov, Burlachenko, Li, Richtárik: MARINA, 2021 (arXiv 2102.07845).

use super::linear::Rows;
use super::{Batch, Objective};
use crate::error::check_length;
use crate::{Error, Real};

/// The loss of a row.
///
/// ```
/// assert_eq!(thalweg::model::logistic::Loss::default(), thalweg::model::logistic::Loss::Logistic);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Loss {
    /// `ln(1 + exp(-m))`.
    #[default]
    Logistic,
    /// `(1 - sigmoid(m))^2`, between 0 and 1.
    Nonconvex,
}

/// The number of features, the loss and the penalty.
///
/// ```
/// use thalweg::model::{Batch, Objective, logistic::Model};
/// let batch = Batch::classes(&[1.0_f64, 2.0], 2, &[1])?;
/// let mut grad = [0.0; 2];
/// let value = Model::new(2).value_and_gradient_into(&[0.0, 0.0], &batch, &mut grad, &mut [])?;
/// assert_eq!(value, core::f64::consts::LN_2);
/// assert_eq!(grad, [-0.5, -1.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Model<T> {
    /// Features per row, which is the number of parameters; positive.
    pub features: usize,
    /// The loss of a row.
    pub loss: Loss,
    /// Weight of half the squared norm of the parameters, finite and not negative.
    pub l2: T,
}

impl Loss {
    /// Loss of a margin, and its slope.
    fn at<T: Real>(self, margin: T) -> (T, T) {
        let e = (-margin.abs()).exp();
        let u = T::ONE + e;
        // s = 1 / (1 + exp(m)) and 1 - s; u is in [1, 2].
        let (s, rest) = if margin < T::ZERO {
            (T::ONE / u, e / u)
        } else {
            (e / u, T::ONE / u)
        };
        match self {
            Self::Logistic => {
                let gap = u - T::ONE;
                // gap = 0 when e is below half an ulp of 1: then ln(1 + e) = e to working precision.
                let tail = if gap == T::ZERO { e } else { u.ln() * e / gap };
                // The second argument of `largest` is kept when it is NaN.
                (T::ZERO.largest(-margin) + tail, -s)
            }
            Self::Nonconvex => (s * s, -(s + s) * s * rest),
        }
    }
}

impl<T: Real> Model<T> {
    /// Logistic loss, no penalty.
    ///
    /// ```
    /// assert_eq!(thalweg::model::logistic::Model::<f32>::new(3).l2, 0.0);
    /// ```
    pub const fn new(features: usize) -> Self {
        Self {
            features,
            loss: Loss::Logistic,
            l2: T::ZERO,
        }
    }

    pub(super) fn rows(&self) -> Rows<T> {
        Rows {
            features: self.features,
            l2: self.l2,
        }
    }

    /// Loss of row `i` with score `z`, and its slope in `z`.
    fn of_score(&self, batch: &Batch<'_, T>) -> impl Fn(usize, T) -> (T, T) {
        let loss = self.loss;
        move |i, z| {
            let sign = match batch.class(i) {
                Some(1) => T::ONE,
                _ => -T::ONE,
            };
            let (value, slope) = loss.at(sign * z);
            (value, sign * slope)
        }
    }

    fn check(&self, params: &[T], batch: &Batch<'_, T>) -> Result<(), Error> {
        self.rows().check(params, batch)?;
        batch.check_classes(2)
    }

    /// Writes the scores `a_i^T x`; class 1 is the likelier where they are positive.
    ///
    /// # Errors
    /// Wrong lengths or settings; an empty batch.
    ///
    /// ```
    /// use thalweg::model::{Batch, Labels, logistic::Model};
    /// let batch = Batch::new(&[1.0_f32, 2.0, 0.0, 1.0], 2, Labels::None)?;
    /// let mut out = [0.0; 2];
    /// Model::new(2).outputs_into(&[3.0, 1.0], &batch, &mut out)?;
    /// assert_eq!(out, [5.0, 1.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn outputs_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        self.rows().outputs_into(params, batch, out)
    }

    /// Share of rows whose score has the sign of their class; a score of 0 counts for class 0.
    ///
    /// # Errors
    /// As [`value`](Objective::value).
    ///
    /// ```
    /// use thalweg::model::{Batch, logistic::Model};
    /// let batch = Batch::classes(&[1.0_f32, -1.0, 0.0, 5.0], 1, &[1, 0, 0, 0])?;
    /// assert_eq!(Model::new(1).accuracy(&[2.0], &batch)?, 0.75);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn accuracy(&self, params: &[T], batch: &Batch<'_, T>) -> Result<f64, Error> {
        self.check(params, batch)?;
        let hits = self
            .rows()
            .scores(params, batch)
            .filter(|&(i, z)| batch.class(i) == Some(u32::from(z > T::ZERO)))
            .count();
        Ok(hits as f64 / batch.len() as f64)
    }

    /// Writes each row's own gradient, penalty included: rows x parameters.
    ///
    /// # Errors
    /// As [`gradient_into`](Objective::gradient_into).
    ///
    /// ```
    /// use thalweg::model::{Batch, logistic::Model};
    /// let batch = Batch::classes(&[2.0_f32, 4.0], 1, &[1, 0])?;
    /// let mut out = [0.0; 2];
    /// Model::new(1).sample_gradients_into(&[0.0], &batch, &mut out)?;
    /// assert_eq!(out, [-1.0, 2.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sample_gradients_into(
        &self,
        params: &[T],
        batch: &Batch<'_, T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        self.check(params, batch)?;
        self.rows()
            .sample_gradients_into(params, batch, self.of_score(batch), out)
    }
}

impl<T: Real> Objective<T> for Model<T> {
    fn dim(&self) -> usize {
        self.features
    }

    fn scratch_len(&self, _rows: usize) -> usize {
        0
    }

    fn value(&self, params: &[T], batch: &Batch<'_, T>, _: &mut [T]) -> Result<T, Error> {
        self.check(params, batch)?;
        Ok(self
            .rows()
            .evaluate(params, batch, self.of_score(batch), None))
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
        _: &mut [T],
    ) -> Result<T, Error> {
        self.check(params, batch)?;
        check_length("grad", self.features, grad.len())?;
        Ok(self
            .rows()
            .evaluate(params, batch, self.of_score(batch), Some(grad)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tests::{check_golden, check_gradient, painted};

    const CLASSES: [u32; 8] = [1, 0, 0, 1, 1, 0, 1, 0];

    fn each_loss(mut check: impl FnMut(Model<f64>)) {
        for loss in [Loss::Logistic, Loss::Nonconvex] {
            check(Model {
                loss,
                l2: 0.1,
                ..Model::new(4)
            });
        }
    }

    #[test]
    fn the_gradient_is_the_slope_of_the_value() {
        let a = painted(32, 1);
        let batch = Batch::classes(&a, 4, &CLASSES).unwrap();
        each_loss(|model| {
            check_gradient(&model.on(&batch), &painted(4, 3), 1e-5);
            let mini = batch.select(&[7, 0, 7]).unwrap();
            check_gradient(&model.on(&mini), &painted(4, 3), 1e-5);
        });
    }

    #[test]
    fn value_and_gradient_are_those_of_automatic_differentiation() {
        // torch 2.15, float64: core/tests/golden/model.py.
        let a = painted(32, 41);
        let w: std::vec::Vec<f64> = painted::<f64>(4, 42).iter().map(|w| 3.0 * w).collect();
        let batch = Batch::classes(&a, 4, &CLASSES).unwrap();
        each_loss(|model| {
            let golden = match model.loss {
                Loss::Logistic => [0.9924080168528598, 0.08679114702519442, 0.1008819550414006],
                Loss::Nonconvex => [
                    0.5123162399118788,
                    -0.009012815399325524,
                    0.06066592086225728,
                ],
            };
            check_golden(&model.on(&batch), &w, golden);
        });
    }

    #[test]
    fn far_margins_keep_their_digits() {
        let at = |m: f64| Loss::Logistic.at(m);
        assert_eq!(at(-1e300), (1e300, -1.0));
        assert_eq!(at(50.0).0, libm::exp(-50.0));
        assert!((at(20.0).0 / libm::log1p(libm::exp(-20.0)) - 1.0).abs() < 1e-15);
        assert_eq!(at(800.0), (0.0, -0.0));
        assert!(at(f64::NAN).0.is_nan() && at(f64::NAN).1.is_nan());
        assert_eq!(Loss::Nonconvex.at(-1e300_f64).0, 1.0);
        assert_eq!(Loss::Nonconvex.at(0.0_f64), (0.25, -0.25));
    }

    #[test]
    fn a_third_class_is_named_and_nothing_is_written() {
        let batch = Batch::classes(&[1.0_f32, 2.0], 1, &[0, 2]).unwrap();
        let mut grad = [7.0];
        let error = Model::new(1)
            .gradient_into(&[0.0], &batch, &mut grad, &mut [])
            .unwrap_err();
        assert!(matches!(error, Error::Parameter { name: "labels", .. }));
        assert_eq!(grad, [7.0]);
    }
}
