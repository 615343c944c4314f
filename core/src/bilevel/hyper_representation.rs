//! Shallow hyper-representation: linear features without, a linear head within.
//!
//! ```text
//! g(H, w) = |X_g H w - y_g|^2 / (2 n_g) + b |w|^2 / 2
//! f(H, w) = |X_f H w - y_f|^2 / (2 n_f)                  direct term: f_H = s_f w^T, s_f = X_f^T (X_f H w - y_f) / n_f
//! ```
//!
//! `x` is H row by row: m x d for m inputs and d features, so p = m d. The direct term is most of the gradient here.
//! [`network`] has features of any depth and one or many heads.

use crate::error::{check, check_length};
use crate::matrix::{MatrixRef, gemv, gemv_transposed};
use crate::memory::cut;
use crate::{Error, Real, vector};

use super::differences::InnerSlope;
use super::ridge::Data;
use super::{Place, SecondOrder};

pub mod network;

/// The problem of two sets of rows.
///
/// ```
/// use thalweg::bilevel::{Problem as _, hyper_representation, ridge};
/// use thalweg::matrix::MatrixRef;
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64, 2.0], 1, 2)?, &[3.0])?;
/// let problem = hyper_representation::Problem::new(data, data, 5, 0.1)?;
/// assert_eq!((problem.outer_dim(), problem.inner_dim()), (10, 5));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a, T> {
    inner: Data<'a, T>,
    outer: Data<'a, T>,
    features: usize,
    ridge: T,
}

impl<'a, T: Real> Problem<'a, T> {
    /// Rows of the inner and the outer loss, number d of features, penalty b on the head.
    ///
    /// # Errors
    /// [`Error::Length`] when the rows differ in length; [`Error::Parameter`] when b is negative or not finite.
    pub fn new(
        inner: Data<'a, T>,
        outer: Data<'a, T>,
        features: usize,
        ridge: T,
    ) -> Result<Self, Error> {
        check_length("outer", inner.columns(), outer.columns())?;
        let holds = ridge.is_finite() && ridge >= T::ZERO;
        check("ridge", holds, "must be finite and at least 0")?;
        Ok(Self {
            inner,
            outer,
            features,
            ridge,
        })
    }

    fn matrix<'b>(&self, x: &'b [T]) -> Result<MatrixRef<'b, T>, Error> {
        MatrixRef::new(x, self.inner.columns(), self.features)
    }

    /// `hw <- H w`, `s <- X^T (X H w - y) / n`; returns the loss.
    fn pull_back(
        &self,
        data: &Data<'_, T>,
        h: MatrixRef<'_, T>,
        w: &[T],
        s: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let ([hw, r], _) = cut(scratch, [h.rows(), data.rows()])?;
        gemv(T::ONE, h, w, T::ZERO, hw)?;
        let value = data.residual(hw, r)?;
        data.pull_back(r, s)?;
        Ok(value)
    }
}

/// `out <- out + s v^T`.
fn add_outer_product<T: Real>(s: &[T], v: &[T], out: &mut [T]) -> Result<(), Error> {
    for (row, &s) in out.chunks_exact_mut(v.len().max(1)).zip(s) {
        vector::axpy(s, v, row)?;
    }
    Ok(())
}

impl<T: Real> super::Problem<T> for Problem<'_, T> {
    fn outer_dim(&self) -> usize {
        self.inner.columns().saturating_mul(self.features)
    }

    fn inner_dim(&self) -> usize {
        self.features
    }

    fn scratch_len(&self) -> usize {
        let rows = self.inner.rows().max(self.outer.rows());
        rows.saturating_add(self.inner.columns().saturating_mul(2))
    }

    fn inner_gradient_into(
        &self,
        at: Place<'_, T>,
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, .. } = at;
        let h = self.matrix(x)?;
        let ([s], scratch) = cut(scratch, [h.rows()])?;
        self.pull_back(&self.inner, h, y, s, scratch)?;
        gemv_transposed(T::ONE, h, s, T::ZERO, grad_y)?;
        vector::axpy(self.ridge, y, grad_y)
    }

    fn outer_value(&self, at: Place<'_, T>, scratch: &mut [T]) -> Result<T, Error> {
        let Place { x, y, .. } = at;
        let h = self.matrix(x)?;
        let ([hw, r], _) = cut(scratch, [h.rows(), self.outer.rows()])?;
        gemv(T::ONE, h, y, T::ZERO, hw)?;
        self.outer.residual(hw, r)
    }

    fn outer_gradients_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let Place { x, y, .. } = at;
        let h = self.matrix(x)?;
        let ([s], scratch) = cut(scratch, [h.rows()])?;
        let value = self.pull_back(&self.outer, h, y, s, scratch)?;
        gemv_transposed(T::ONE, h, s, T::ZERO, grad_y)?;
        grad_x.fill(T::ZERO);
        add_outer_product(s, y, grad_x)?;
        Ok(value)
    }
}

impl<T: Real> InnerSlope<T> for Problem<'_, T> {
    /// `s_g w^T`.
    fn inner_slope_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, .. } = at;
        let h = self.matrix(x)?;
        let ([s], scratch) = cut(scratch, [h.rows()])?;
        self.pull_back(&self.inner, h, y, s, scratch)?;
        grad_x.fill(T::ZERO);
        add_outer_product(s, y, grad_x)
    }
}

impl<T: Real> SecondOrder<T> for Problem<'_, T> {
    fn hessian_product_into(
        &self,
        at: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, .. } = at;
        let h = self.matrix(x)?;
        let ([s, hv, r], _) = cut(scratch, [h.rows(), h.rows(), self.inner.rows()])?;
        gemv(T::ONE, h, v, T::ZERO, hv)?;
        self.inner.gram(hv, r, s)?;
        gemv_transposed(T::ONE, h, s, T::ZERO, out)?;
        vector::axpy(self.ridge, v, out)
    }

    /// `s_g v^T + (X_g^T X_g H v / n_g) w^T`.
    fn mixed_product_into(
        &self,
        at: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, .. } = at;
        let h = self.matrix(x)?;
        out.fill(T::ZERO);
        let ([s], scratch) = cut(scratch, [h.rows()])?;
        self.pull_back(&self.inner, h, y, s, scratch)?;
        add_outer_product(s, v, out)?;
        let ([hv, r], _) = cut(scratch, [h.rows(), self.inner.rows()])?;
        gemv(T::ONE, h, v, T::ZERO, hv)?;
        self.inner.gram(hv, r, s)?;
        add_outer_product(s, y, out)
    }
}
