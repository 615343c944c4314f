//! The second derivative of `Phi`, the drift of the limit, and Euler steps along the manifold.
//!
//! In the basis of eigenvectors, with `h_a = 0` for the tangent ones, both contractions of the third derivative are elementwise:
//!
//! ```text
//! S~ = V S V^T                                     rows of V are the eigenvectors
//! A~_ab = S~_ab                  a and b tangent, else 0
//! B~_ab = S~_ab / (h_a + h_b)    unless both are tangent, then 0
//! d2Phi[S] = - H^+ T[V^T A~ V] - P_t T[V^T B~ V]
//! ```
//!
//! `B~` holds the mixed term (`1 / h_a` with a tangent `b`) and the inverse Lyapunov operator at once. `S~` is diagonal for
//! isotropic noise and for label noise; the latter has no `A~`. Cost: at most eight products of `D x D` matrices and two third
//! derivatives.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices below the length of a slice, and counts that are bounded where they are restored"
)]

use super::SmoothLoss;
use super::manifold::{HessianBasis, basis_len, inverse, newton};
use crate::error::{
    check, check_length, check_scratch, ensure_finite, ensure_finite_at, ensure_finite_by,
};
use crate::matrix::{self, Factor, MatrixMut, MatrixRef, Product};
use crate::memory::{cut, front};
use crate::model::copy;
use crate::{At, Error, Real, vector};

/// The covariance of one stochastic gradient.
///
/// ```
/// use thalweg::dynamics::limit_flow::Noise;
/// assert_eq!(Noise::Label(1.0_f64), Noise::Label(1.0));
/// ```
#[derive(Clone, Copy, Debug)]
pub enum Noise<'a, T> {
    /// `c I`: it diffuses along the manifold.
    Isotropic(T),
    /// `c H`: that of label noise with `c = delta^2`. It does not diffuse.
    Label(T),
    /// Any symmetric matrix, D x D.
    Covariance(MatrixRef<'a, T>),
}

impl<T: Real> Noise<'_, T> {
    /// Its numbers are finite, and a covariance is `d x d`.
    fn check(&self, d: usize) -> Result<(), Error> {
        match self {
            Self::Isotropic(c) | Self::Label(c) => {
                ensure_finite_at("noise", c.is_finite(), At::Value)
            }
            Self::Covariance(s) => {
                check_length("rows of noise", d, s.rows())?;
                check_length("columns of noise", d, s.columns())?;
                let mut rows = s.row_iter().enumerate();
                rows.try_for_each(|(i, row)| {
                    ensure_finite_by("noise", row, |j| At::Element(i * d + j))
                })
            }
        }
    }
}

impl<T: Real> PartialEq for Noise<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Isotropic(a), Self::Isotropic(b)) | (Self::Label(a), Self::Label(b)) => a == b,
            (Self::Covariance(a), Self::Covariance(b)) => a.row_iter().eq(b.row_iter()),
            _ => false,
        }
    }
}

/// Elements of scratch for [`drift_into`] and [`second_derivative_into`] in `d` dimensions.
///
/// ```
/// assert_eq!(thalweg::dynamics::limit_flow::drift_scratch_len(4), 60);
/// ```
pub const fn drift_scratch_len(d: usize) -> usize {
    d.saturating_mul(d.saturating_add(1)).saturating_mul(3)
}

/// Writes `d2Phi(x)[S]` at a point of the manifold, for the `S` of a noise.
///
/// # Errors
/// [`Error::Length`], [`Error::NonFinite`] in the noise (`i d + j` in a covariance), and those of the loss.
///
/// ```
/// use thalweg::dynamics::label_noise::Sparse;
/// use thalweg::dynamics::limit_flow::{HessianBasis, Noise, drift_scratch_len, basis_len, second_derivative_into};
/// use thalweg::matrix::MatrixRef;
/// let mut problem = Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[0.0])?;
/// let (x, mut memory, mut out) = ([1.0, 1.0], [0.0; basis_len(2)], [0.0; 2]);
/// let basis = HessianBasis::new(&mut problem, &x, &mut memory)?;
/// let s = Noise::Covariance(MatrixRef::new(&[1.0, -1.0, -1.0, 1.0], 2, 2)?);
/// second_derivative_into(&mut problem, &x, &basis, s, &mut out, &mut [0.0; drift_scratch_len(2)])?;
/// // The flow keeps u v and ends at u = v = sqrt(u v), whose second derivative along (1, -1) is -1.
/// assert!((out[0] + 1.0).abs() < 1e-14 && (out[1] + 1.0).abs() < 1e-14);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn second_derivative_into<T: Real>(
    loss: &mut (impl SmoothLoss<T> + ?Sized),
    x: &[T],
    basis: &HessianBasis<'_, T>,
    noise: Noise<'_, T>,
    out: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    let d = loss.dim();
    check_length("basis", d, basis.dim())?;
    check_length("x", d, x.len())?;
    check_length("out", d, out.len())?;
    check_scratch("scratch", drift_scratch_len(d), scratch.len())?;
    noise.check(d)?;
    let square = d.saturating_mul(d);
    let ([p, q, third, part], rest) = cut(scratch, [square, square, d, d])?;

    out.fill(T::ZERO);
    let v = basis.vectors();
    let spans: &[bool] = match noise {
        Noise::Label(_) => &[false],
        _ => &[true, false],
    };
    for &tangent in spans {
        rotate(basis, noise, p, q)?;
        filter(basis, tangent, &mut MatrixMut::new(q, d, d)?);
        product(v.t(), MatrixRef::new(q, d, d)?, p, d)?;
        product(MatrixRef::new(p, d, d)?, v, q, d)?;
        loss.third_into(x, MatrixRef::new(q, d, d)?, third, rest)?;
        if tangent {
            basis.pseudo_inverse_into(third, part)?;
        } else {
            basis.tangent_into(third, part)?;
        }
        vector::axpy(-T::ONE, part, out)?;
    }
    Ok(())
}

/// `q = S~`.
fn rotate<T: Real>(
    basis: &HessianBasis<'_, T>,
    noise: Noise<'_, T>,
    p: &mut [T],
    q: &mut [T],
) -> Result<(), Error> {
    let (d, v) = (basis.dim(), basis.vectors());
    let diagonal: &dyn Fn(usize) -> T = match noise {
        Noise::Covariance(s) => {
            product(v, s, p, d)?;
            return product(MatrixRef::new(p, d, d)?, v.t(), q, d);
        }
        Noise::Isotropic(c) => &move |_| c,
        Noise::Label(c) => &move |a| c * basis.value(a),
    };
    q.fill(T::ZERO);
    let mut q = MatrixMut::new(q, d, d)?;
    for a in 0..d {
        if let Some(x) = q.get_mut(a, a) {
            *x = diagonal(a);
        }
    }
    Ok(())
}

/// `A~` or `B~` in place of `S~`.
fn filter<T: Real>(basis: &HessianBasis<'_, T>, tangent: bool, s: &mut MatrixMut<'_, T>) {
    for (a, row) in s.row_iter_mut().enumerate() {
        for (b, x) in row.iter_mut().enumerate() {
            let sum = basis.value(a) + basis.value(b);
            *x = if tangent {
                if sum == T::ZERO { *x } else { T::ZERO }
            } else {
                *x * inverse(sum)
            };
        }
    }
}

fn product<'a, T: Real>(
    a: impl Into<Factor<'a, T>>,
    b: impl Into<Factor<'a, T>>,
    out: &mut [T],
    d: usize,
) -> Result<(), Error> {
    let out = MatrixMut::new(out, d, d)?;
    matrix::gemm(Product::PLAIN, a, b, out, &mut [])
}

/// Writes the drift `1/2 d2Phi(x)[Sigma]` of the limit at a point of the manifold.
///
/// # Errors
/// As [`second_derivative_into`].
///
/// ```
/// use thalweg::dynamics::label_noise::Sparse;
/// use thalweg::dynamics::limit_flow::{HessianBasis, Noise, drift_into, drift_scratch_len, basis_len};
/// use thalweg::matrix::MatrixRef;
/// let mut problem = Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[0.0])?;
/// let (x, mut memory, mut out) = ([1.0, 1.0], [0.0; basis_len(2)], [0.0; 2]);
/// let basis = HessianBasis::new(&mut problem, &x, &mut memory)?;
/// drift_into(&mut problem, &x, &basis, Noise::Label(1.0), &mut out, &mut [0.0; drift_scratch_len(2)])?;
/// // -1/4 grad (4 (u u + v v)): u v falls at the rate 4.
/// assert!((out[0] + 2.0).abs() < 1e-14 && (out[1] + 2.0).abs() < 1e-14);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn drift_into<T: Real>(
    loss: &mut (impl SmoothLoss<T> + ?Sized),
    x: &[T],
    basis: &HessianBasis<'_, T>,
    noise: Noise<'_, T>,
    out: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    second_derivative_into(loss, x, basis, noise, out, scratch)?;
    vector::scale(T::from_f64(0.5), out);
    Ok(())
}

/// Elements of scratch for [`step`] in `d` dimensions.
///
/// ```
/// assert_eq!(thalweg::dynamics::limit_flow::step_scratch_len(4), 96);
/// ```
pub const fn step_scratch_len(d: usize) -> usize {
    basis_len(d)
        .saturating_add(drift_scratch_len(d))
        .saturating_add(d.saturating_mul(2))
}

/// One Euler step of the limit on the manifold: `x <- x + dt drift + P_t increment`, then Newton steps back onto it.
///
/// `increment` is the caller's draw of `Sigma^{1/2} dW`, with variance `Sigma dt`; empty for none (label noise does not
/// diffuse). The error of a path to a fixed time is of order `dt` without diffusion, `sqrt(dt)` with it.
///
/// # Errors
/// [`Error::Length`]; [`Error::Parameter`] for a bad time or a negative size of the noise; [`Error::NonFinite`] in `x`, the
/// noise, the increment, or a place on the way; those of the loss and of [`HessianBasis::new`]. [`Error::NoConvergence`] for a
/// step so long that eight Newton steps do not lead back: the gradient is above `sqrt(eps)` of the largest eigenvalue times
/// the length of the step. `x` is then as before.
///
/// ```
/// use thalweg::dynamics::label_noise::Sparse;
/// use thalweg::dynamics::limit_flow::{Noise, step, step_scratch_len};
/// use thalweg::matrix::MatrixRef;
/// let mut problem = Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[0.0])?;
/// let mut x = [1.0, 1.0];
/// for _ in 0..100 {
///     step(&mut problem, &mut x, Noise::Label(1.0), 1e-3, &[], &mut [0.0; step_scratch_len(2)])?;
/// }
/// // u = v = exp(-2 t), by Euler steps.
/// assert!((x[0] - 0.998_f64.powi(100)).abs() < 1e-12 && (x[0] - x[1]).abs() < 1e-14);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real>(
    loss: &mut (impl SmoothLoss<T> + ?Sized),
    x: &mut [T],
    noise: Noise<'_, T>,
    dt: f64,
    increment: &[T],
    scratch: &mut [T],
) -> Result<(), Error> {
    let d = loss.dim();
    check(
        "dt",
        dt.is_finite() && dt >= 0.0,
        "must be finite and at least 0",
    )?;
    check_length("x", d, x.len())?;
    if !increment.is_empty() {
        check_length("increment", d, increment.len())?;
    }
    check_scratch("scratch", step_scratch_len(d), scratch.len())?;
    noise.check(d)?;
    if let Noise::Isotropic(c) | Noise::Label(c) = noise {
        check("noise", c >= T::ZERO, "must be at least 0")?;
    }
    ensure_finite("x", x)?;
    ensure_finite("increment", increment)?;
    let ([moved], scratch) = cut(scratch, [d])?;
    let ([drift, memory], rest) = cut(scratch, [d, basis_len(d)])?;
    let basis = HessianBasis::new(loss, x, memory)?;
    drift_into(loss, x, &basis, noise, drift, rest)?;
    copy(x, moved);
    if !increment.is_empty() {
        let tangent = front("scratch", rest, d)?;
        basis.tangent_into(increment, tangent)?;
        vector::axpy(T::ONE, tangent, moved)?;
    }
    vector::axpy(T::from_f64(dt), drift, moved)?;
    ensure_finite("x", moved)?;
    let largest = basis.largest();
    let length = vector::squared_distance(moved, x)?.sqrt();
    let rank = basis.rank();
    // The Newton steps need less than the drift: its memory and that of the basis are free.
    let left = newton(loss, moved, rank, ROUNDING, NEWTON_STEPS, scratch)?;
    let rounding = T::EPSILON * T::from_usize(1024) * vector::norm2(moved);
    if left > largest * (T::EPSILON.sqrt() * length + rounding) {
        return Err(Error::NoConvergence {
            name: "retraction",
            iterations: NEWTON_STEPS,
        });
    }
    copy(moved, x);
    Ok(())
}

/// Newton steps after an Euler step, which is off the manifold by `dt^2`.
const NEWTON_STEPS: usize = 8;
/// Gradient that ends them early: they cost little, so nearly none.
const ROUNDING: f64 = 1e-300;

#[cfg(test)]
mod tests;
