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
//! A product that is not finite is an error, `Hessian product` or `mixed product`, and `out` is then as before; so is a `y` or `v` that is
//! not finite. A `v` so short that e overflows counts as zero.
//!
//! Scratch: d + 2 max(p, d) in addition to that of the problem. Preparation for x is repeated after a mixed product, since a slope in x may take
//! the memory that it lies in.

use crate::error::ensure_finite;
use crate::memory::cut;
use crate::solve::central_difference_into;
use crate::{Error, Real, vector};

use super::{Place, Problem, SecondOrder, copy};

/// The slope of the inner loss in the outer variable.
pub trait InnerSlope<T: Real>: Problem<T> {
    /// Writes `g_x(x, y; draw)`, p elements; what was prepared in `scratch` may be lost.
    ///
    /// # Errors
    /// As [`inner_gradient_into`](Problem::inner_gradient_into).
    fn inner_slope_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error>;
}

/// A problem with the products that its gradients give.
///
/// ```
/// use thalweg::bilevel::{Place, Problem, Round, SecondOrder, differences::Differences, ridge};
/// use thalweg::matrix::MatrixRef;
/// // g = (w - 3)^2 / 2 + e^l w^2 / 2: at l = 0, w = 2 the Hessian is 2, d/dl g_w = w.
/// let data = ridge::Data::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[3.0])?;
/// let problem = ridge::Problem::new(data, data)?;
/// let products = Differences::new(&problem);
/// let (draw, mut out, mut scratch) = (Round { seed: 0, number: 0 }.inner(0), [0.0], [0.0; 4]);
/// assert_eq!(products.scratch_len(), scratch.len());
/// products.hessian_product_into(Place::new(&[0.0], &[2.0], &draw), &[0.5], &mut out, &mut scratch)?;
/// assert!((out[0] - 1.0).abs() < 1e-9);
/// products.mixed_product_into(Place::new(&[0.0], &[2.0], &draw), &[0.5], &mut out, &mut scratch)?;
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
        name: &'static str,
        [y, v]: [&[T]; 2],
        [high, scratch]: [&mut [T]; 2],
        out: &mut [T],
        gradient: impl FnMut(&[T], &mut [T]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        ensure_finite("y", y)?;
        ensure_finite("v", v)?;
        let norm = vector::norm2(v);
        let e = T::from_f64(libm::cbrt(T::EPSILON.to_f64())) * vector::norm2(y).largest(T::ONE);
        // Infinite where v is zero.
        let e = e / norm;
        if !e.is_finite() {
            out.fill(T::ZERO);
            return Ok(());
        }
        let ([high], _) = cut(high, [out.len()])?;
        // e is 0 only where |v| overflows, and then the product is not finite.
        central_difference_into([y, v], e, gradient, high, scratch)?;
        ensure_finite(name, high)?;
        copy(high, out);
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
        d.saturating_add(p.max(d).saturating_mul(2))
            .saturating_add(own)
    }

    fn prepare(&self, x: &[T], scratch: &mut [T]) -> Result<(), Error> {
        let (_, scratch) = self.split(scratch)?;
        self.problem.prepare(x, scratch)
    }

    fn inner_gradient_into(
        &self,
        at: Place<'_, T>,
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let (_, scratch) = self.split(scratch)?;
        self.problem.inner_gradient_into(at, grad_y, scratch)
    }

    fn outer_value(&self, at: Place<'_, T>, scratch: &mut [T]) -> Result<T, Error> {
        let (_, scratch) = self.split(scratch)?;
        self.problem.outer_value(at, scratch)
    }

    fn outer_gradients_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let (_, scratch) = self.split(scratch)?;
        self.problem
            .outer_gradients_into(at, grad_x, grad_y, scratch)
    }
}

impl<P> Differences<'_, P> {
    /// A product, a shifted y with a gradient, and the problem's own scratch.
    fn split<'b, T: Real>(
        &self,
        scratch: &'b mut [T],
    ) -> Result<([&'b mut [T]; 2], &'b mut [T]), Error>
    where
        P: Problem<T>,
    {
        let (p, d) = (self.problem.outer_dim(), self.problem.inner_dim());
        let longer = p.max(d);
        cut(scratch, [longer, d.saturating_add(longer)])
    }
}

impl<T: Real, P: InnerSlope<T>> SecondOrder<T> for Differences<'_, P> {
    fn hessian_product_into(
        &self,
        at: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, draw } = at;
        let (pieces, scratch) = self.split(scratch)?;
        Self::difference("Hessian product", [y, v], pieces, out, |y, grad| {
            self.problem
                .inner_gradient_into(Place::new(x, y, draw), grad, scratch)
        })
    }

    fn mixed_product_into(
        &self,
        at: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, draw } = at;
        let (pieces, scratch) = self.split(scratch)?;
        Self::difference("mixed product", [y, v], pieces, out, |y, grad| {
            self.problem
                .inner_slope_into(Place::new(x, y, draw), grad, scratch)
        })?;
        self.problem.prepare(x, scratch)
    }
}
