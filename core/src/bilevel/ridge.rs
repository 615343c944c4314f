//! Ridge regression with a penalty per feature: the outer variable holds the logarithms of the penalties.
//!
//! ```text
//! g(l, w) = |X w - y|^2 / (2 n) + sum_j exp(l_j) w_j^2 / 2
//! f(l, w) = |X_v w - y_v|^2 / (2 n_v)                        no direct term: f_l = 0
//! ```
//!
//! p = d. Gradient descent on g is stable while `alpha (largest eigenvalue of X^T X / n + exp(max l)) < 2`: clamp l, with room for
//! the smoothing radius.

use crate::error::{check, check_length};
use crate::matrix::{MatrixRef, gemv, gemv_transposed};
use crate::memory::cut;
use crate::real::kernels;
use crate::simd::{self, Lanes, Map, Update, math};
use crate::{Error, Real, vector};

use super::differences::InnerSlope;
use super::{Place, SecondOrder};

/// Rows of features with their targets.
///
/// ```
/// use thalweg::bilevel::ridge::Data;
/// use thalweg::matrix::MatrixRef;
/// assert!(Data::new(MatrixRef::new(&[1.0_f32, 2.0], 2, 1)?, &[3.0]).is_err()); // two rows, one target
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Data<'a, T> {
    features: MatrixRef<'a, T>,
    targets: &'a [T],
}

impl<'a, T: Real> Data<'a, T> {
    /// Rows with a target each.
    ///
    /// # Errors
    /// [`Error::Length`] when the counts differ, [`Error::Parameter`] when there is no row.
    pub fn new(features: MatrixRef<'a, T>, targets: &'a [T]) -> Result<Self, Error> {
        check_length("targets", features.rows(), targets.len())?;
        check("features", features.rows() > 0, "must have a row")?;
        Ok(Self { features, targets })
    }

    /// Number of features.
    ///
    /// ```
    /// use thalweg::bilevel::ridge::Data;
    /// use thalweg::matrix::MatrixRef;
    /// assert_eq!(Data::new(MatrixRef::new(&[1.0_f32, 2.0], 1, 2)?, &[3.0])?.columns(), 2);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub const fn columns(&self) -> usize {
        self.features.columns()
    }

    pub(super) const fn rows(&self) -> usize {
        self.targets.len()
    }

    /// `r <- X w - y`; returns `|r|^2 / (2 n)`.
    pub(super) fn residual(&self, w: &[T], r: &mut [T]) -> Result<T, Error> {
        for (r, &y) in r.iter_mut().zip(self.targets) {
            *r = -y;
        }
        gemv(T::ONE, self.features, w, T::ONE, r)?;
        Ok(vector::norm2_squared(r) / T::from_usize(self.rows().saturating_mul(2)))
    }

    /// `out <- X^T r / n`.
    pub(super) fn pull_back(&self, r: &[T], out: &mut [T]) -> Result<(), Error> {
        // There is a row.
        let share = T::ONE / T::from_usize(self.rows());
        gemv_transposed(share, self.features, r, T::ZERO, out)
    }

    /// `r <- X v`, `out <- X^T X v / n`.
    pub(super) fn gram(&self, v: &[T], r: &mut [T], out: &mut [T]) -> Result<(), Error> {
        gemv(T::ONE, self.features, v, T::ZERO, r)?;
        self.pull_back(r, out)
    }
}

/// Training rows within, validation rows without.
///
/// ```
/// use thalweg::bilevel::{Problem, ridge};
/// use thalweg::matrix::MatrixRef;
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f32, 2.0], 1, 2)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// assert_eq!((problem.outer_dim(), problem.inner_dim(), problem.scratch_len()), (2, 2, 1));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a, T> {
    train: Data<'a, T>,
    validation: Data<'a, T>,
}

impl<'a, T: Real> Problem<'a, T> {
    /// A problem of two sets of rows.
    ///
    /// # Errors
    /// [`Error::Length`] when they differ in their number of features.
    pub fn new(train: Data<'a, T>, validation: Data<'a, T>) -> Result<Self, Error> {
        check_length("validation", train.columns(), validation.columns())?;
        Ok(Self { train, validation })
    }
}

/// `out <- out + exp(l) v`.
#[derive(Clone, Copy)]
struct Penalty;
impl<T: Real> Update<T, 1, 2> for Penalty {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [out]: [L; 1], [l, v]: [L; 2]) -> [L; 1] {
        [out + math::exp(l) * v]
    }
}

/// `exp(l) w w / 2`.
#[derive(Clone, Copy)]
struct Slope;
impl<T: Real> Map<T, 2, 1> for Slope {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [l, w]: [L; 2]) -> [L; 1] {
        [math::exp(l) * w * w * l.constant(T::from_f64(0.5))]
    }
}

/// `exp(l) w v`.
#[derive(Clone, Copy)]
struct Mixed;
impl<T: Real> Map<T, 3, 1> for Mixed {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [l, w, v]: [L; 3]) -> [L; 1] {
        [math::exp(l) * w * v]
    }
}

kernels! {
    /// The penalty of a ridge and its derivatives.
    trait Kernels<T> {
        fn add_penalty(l: &[T], v: &[T], out: &mut [T]) {
            simd::update(&Penalty, [out], [l, v]);
        }
        fn penalty_slope(l: &[T], w: &[T], out: &mut [T]) {
            simd::map(&Slope, [l, w], [out]);
        }
        fn penalty_mixed(read: [&[T]; 3], out: &mut [T]) {
            simd::map(&Mixed, read, [out]);
        }
    }
}

impl<T: Real> super::Problem<T> for Problem<'_, T> {
    fn outer_dim(&self) -> usize {
        self.train.columns()
    }

    fn inner_dim(&self) -> usize {
        self.train.columns()
    }

    fn scratch_len(&self) -> usize {
        self.train.rows().max(self.validation.rows())
    }

    fn inner_gradient_into(
        &self,
        at: Place<'_, T>,
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, .. } = at;
        let ([r], _) = cut(scratch, [self.train.rows()])?;
        self.train.residual(y, r)?;
        self.train.pull_back(r, grad_y)?;
        T::Kernels::add_penalty(x, y, grad_y);
        Ok(())
    }

    fn outer_value(&self, at: Place<'_, T>, scratch: &mut [T]) -> Result<T, Error> {
        let Place { y, .. } = at;
        let ([r], _) = cut(scratch, [self.validation.rows()])?;
        self.validation.residual(y, r)
    }

    fn outer_gradients_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let Place { y, .. } = at;
        let ([r], _) = cut(scratch, [self.validation.rows()])?;
        let value = self.validation.residual(y, r)?;
        self.validation.pull_back(r, grad_y)?;
        grad_x.fill(T::ZERO);
        Ok(value)
    }
}

impl<T: Real> InnerSlope<T> for Problem<'_, T> {
    fn inner_slope_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, .. } = at;
        T::Kernels::penalty_slope(x, y, grad_x);
        Ok(())
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
        let ([r], _) = cut(scratch, [self.train.rows()])?;
        self.train.gram(v, r, out)?;
        T::Kernels::add_penalty(x, v, out);
        Ok(())
    }

    fn mixed_product_into(
        &self,
        at: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, .. } = at;
        T::Kernels::penalty_mixed([x, y, v], out);
        Ok(())
    }
}
