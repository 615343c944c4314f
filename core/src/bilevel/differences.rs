//! Second-order products by central differences of gradients: [`aid`](super::aid) and [`itd`](super::itd) where no second
//! derivatives are at hand.
//!
//! ```text
//! g_yy v           ~  (g_y(x, y + e v) - g_y(x, y - e v)) / (2 e)
//! d/dx <g_y, v>    ~  (g_x(x, y + e v) - g_x(x, y - e v)) / (2 e)        since g_yx = (g_xy)^T
//! e = eps^(1/3) max(1, |y|) / |v|                                        eps: the spacing of numbers at 1
//! ```
//!
//! Each product is two gradients; the truncation is O(e^2), exact for a g that is quadratic in y, and rounding leaves
//! about eps^(2/3): 1e-10 in `f64`, 1e-4 in `f32`. The mixed product asks for g_x, the slope of the *inner* loss in the
//! outer variable, which ESJ does not need: [`InnerSlope`].
//!
//! Scratch: d + max(p, d) beside that of the problem. Preparation for x is repeated after a mixed product, since a slope in x may take
//! the memory that it lies in.

use crate::storage::cut;
use crate::{Error, Real, vector};

use super::{Draw, Problem, SecondOrder};

/// The slope of the inner loss in the outer variable.
pub trait InnerSlope<T: Real>: Problem<T> {
    /// Writes `g_x(x, y; draw)`, p elements; what was prepared in `scratch` may be lost.
    ///
    /// # Errors
    /// As [`inner_gradient_into`](Problem::inner_gradient_into).
    fn inner_slope_into(
        &self,
        x: &[T],
        y: &[T],
        draw: &Draw,
        scratch: &mut [T],
        grad_x: &mut [T],
    ) -> Result<(), Error>;
}

/// A problem with the products that its gradients give.
///
/// ```
/// use thalweg::bilevel::{Problem, Round, SecondOrder, differences::Differences, ridge};
/// use thalweg::matrix::MatrixRef;
/// // g = (w - 3)^2 / 2 + e^l w^2 / 2: at l = 0, w = 2 the Hessian is 2, d/dl g_w = w.
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// let products = Differences::new(&problem);
/// let (draw, mut out, mut scratch) = (Round { seed: 0, number: 0 }.inner(0), [0.0], [0.0; 3]);
/// assert_eq!(products.scratch_len(), scratch.len());
/// products.hessian_product_into(&[0.0], &[2.0], &[0.5], &draw, &mut scratch, &mut out)?;
/// assert!((out[0] - 1.0).abs() < 1e-9);
/// products.mixed_product_into(&[0.0], &[2.0], &[0.5], &draw, &mut scratch, &mut out)?;
/// assert!((out[0] - 1.0).abs() < 1e-9);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Differences<'a, P> {
    problem: &'a P,
}

impl<'a, P> Differences<'a, P> {
    /// The products of `problem`.
    #[must_use]
    pub const fn new(problem: &'a P) -> Self {
        Self { problem }
    }

    /// `out <- (gradient(y + e v) - gradient(y - e v)) / (2 e)`; zeros along `v = 0`.
    fn difference<T: Real>(
        y: &[T],
        v: &[T],
        [shifted, other]: [&mut [T]; 2],
        out: &mut [T],
        mut gradient: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let norm = vector::norm2(v);
        if norm == T::ZERO {
            out.fill(T::ZERO);
            return Ok(());
        }
        let e = T::from_f64(libm::cbrt(T::EPSILON.to_f64())) * vector::norm2(y).largest(T::ONE);
        let e = e / norm;
        vector::axpby_into(T::ONE, y, -e, v, shifted)?;
        gradient(shifted, other)?;
        vector::axpby_into(T::ONE, y, e, v, shifted)?;
        gradient(shifted, out)?;
        vector::axpy(-T::ONE, other, out)?;
        // e is a multiple of 1 / |v|: 0 only where |v| is infinite, and then the products are not finite anyway.
        vector::scale(T::ONE / (e + e), out);
        Ok(())
    }
}

impl<T: Real, P: Problem<T>> Problem<T> for Differences<'_, P> {
    fn outer_dim(&self) -> usize {
        self.problem.outer_dim()
    }

    fn inner_dim(&self) -> usize {
        self.problem.inner_dim()
    }

    fn scratch_len(&self) -> usize {
        let (p, d) = (self.outer_dim(), self.inner_dim());
        let own = self.problem.scratch_len();
        d.saturating_add(p.max(d)).saturating_add(own)
    }

    fn prepare(&self, x: &[T], scratch: &mut [T]) -> Result<(), Error> {
        let (_, scratch) = self.split(scratch)?;
        self.problem.prepare(x, scratch)
    }

    fn inner_gradient_into(
        &self,
        x: &[T],
        y: &[T],
        draw: &Draw,
        scratch: &mut [T],
        grad_y: &mut [T],
    ) -> Result<(), Error> {
        let (_, scratch) = self.split(scratch)?;
        self.problem
            .inner_gradient_into(x, y, draw, scratch, grad_y)
    }

    fn outer_value(&self, x: &[T], y: &[T], draw: &Draw, scratch: &mut [T]) -> Result<T, Error> {
        let (_, scratch) = self.split(scratch)?;
        self.problem.outer_value(x, y, draw, scratch)
    }

    fn outer_gradients_into(
        &self,
        x: &[T],
        y: &[T],
        draw: &Draw,
        scratch: &mut [T],
        grad_x: &mut [T],
        grad_y: &mut [T],
    ) -> Result<T, Error> {
        let (_, scratch) = self.split(scratch)?;
        self.problem
            .outer_gradients_into(x, y, draw, scratch, grad_x, grad_y)
    }
}

impl<P> Differences<'_, P> {
    /// A shifted y, a second gradient, and the problem's own scratch.
    fn split<'b, T: Real>(
        &self,
        scratch: &'b mut [T],
    ) -> Result<([&'b mut [T]; 2], &'b mut [T]), Error>
    where
        P: Problem<T>,
    {
        let (p, d) = (self.problem.outer_dim(), self.problem.inner_dim());
        cut(scratch, [d, p.max(d)])
    }
}

impl<T: Real, P: InnerSlope<T>> SecondOrder<T> for Differences<'_, P> {
    fn hessian_product_into(
        &self,
        x: &[T],
        y: &[T],
        v: &[T],
        draw: &Draw,
        scratch: &mut [T],
        out: &mut [T],
    ) -> Result<(), Error> {
        let ([shifted, other], scratch) = self.split(scratch)?;
        let ([other], _) = cut(other, [out.len()])?;
        Self::difference(y, v, [shifted, other], out, |y, grad| {
            self.problem.inner_gradient_into(x, y, draw, scratch, grad)
        })
    }

    fn mixed_product_into(
        &self,
        x: &[T],
        y: &[T],
        v: &[T],
        draw: &Draw,
        scratch: &mut [T],
        out: &mut [T],
    ) -> Result<(), Error> {
        let ([shifted, other], scratch) = self.split(scratch)?;
        let ([other], _) = cut(other, [out.len()])?;
        Self::difference(y, v, [shifted, other], out, |y, grad| {
            self.problem.inner_slope_into(x, y, draw, scratch, grad)
        })?;
        self.problem.prepare(x, scratch)
    }
}
