//! Empirical tangent kernel of a finite network, and the steps of weights that go with it.
//!
//! ```text
//! J_ic = df_c(x_i)/dw                    N x C x P
//! H_ij = (1/C) sum_c <J_ic, J_jc>        N x N
//! sum_ic S_ic J_ic                       P
//! ```
//!
//! From Jacobians that clients have sent: [`add_kernel`] for the samples of one client or of two, block after block, and
//! [`add_transposed_product`].
//!
//! Reference: Yue et al., *Neural tangent kernel empowered federated learning* (arXiv 2110.03681, 2022); Jacot, Gabriel and Hongler, *Neural
//! tangent kernel* (2018).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of rows that are slices in memory"
)]

use crate::error::{check, check_length};
use crate::matrix::{MatrixMut, MatrixRef, Product, gemm, gemv_transposed};
use crate::{Arithmetic, Error, Real};

/// Adds `(1/C) sum_c <J_ic, J_jc>` for the rows `i` of `a` and `j` of `b` to `h`, which is `n x m`.
///
/// `a` holds `n` rows and `b` `m` rows of the same entries of the Jacobian: all `C P`, or some of them, so that a kernel may be accumulated over
/// classes, layers or any other division of the entries.
///
/// # Errors
/// No outputs; [`Error::Length`] when rows are not whole or differ in length. `h` is unchanged.
///
/// ```
/// use thalweg::Arithmetic;
/// use thalweg::kernel::tangent::add_kernel;
/// use thalweg::matrix::MatrixMut;
/// // Two outputs, two parameters: one sample with J = [1 0; 0 2], one with J = [3 1; 1 1].
/// let mut h = [0.0_f64];
/// let view = MatrixMut::new(&mut h, 1, 1)?;
/// add_kernel(Arithmetic::Portable, 2, [&[1.0, 0.0, 0.0, 2.0], &[3.0, 1.0, 1.0, 1.0]], view, &mut [])?;
/// assert_eq!(h, [(3.0 + 2.0) / 2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn add_kernel<T: Real>(
    arithmetic: Arithmetic,
    outputs: usize,
    [a, b]: [&[T]; 2],
    h: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    check("outputs", outputs > 0, "must be positive")?;
    let width = a.len().checked_div(h.rows()).unwrap_or(0);
    check_length("a", h.rows() * width, a.len())?;
    check_length("b", h.columns() * width, b.len())?;
    let a = MatrixRef::new(a, h.rows(), width)?;
    let b = MatrixRef::new(b, h.columns(), width)?;
    let how = Product {
        alpha: T::ONE / T::from_usize(outputs),
        ..Product::adding(arithmetic)
    };
    gemm(how, a, b.t(), h, scratch)
}

/// Adds `sum_ic r_ic J_ic` to `out`, for the Jacobian rows of some samples and as many residuals.
///
/// `jacobian` is `n x C x P`, `residuals` `n x C`, `out` `P`. Rows are added one after another: the bits do not depend on how they are divided among calls.
///
/// # Errors
/// [`Error::Length`] when `jacobian` does not hold a row of `P` for each residual; `out` is unchanged.
///
/// ```
/// use thalweg::kernel::tangent::add_transposed_product;
/// let mut out = [0.5_f32, 0.0];
/// add_transposed_product(&[1.0, 2.0, 3.0, 4.0], &[1.0, 10.0], &mut out)?;
/// assert_eq!(out, [31.5, 42.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn add_transposed_product<T: Real>(
    jacobian: &[T],
    residuals: &[T],
    out: &mut [T],
) -> Result<(), Error> {
    let size = residuals.len().saturating_mul(out.len());
    check_length("jacobian", size, jacobian.len())?;
    let rows = MatrixRef::new(jacobian, residuals.len(), out.len())?;
    gemv_transposed(T::ONE, rows, residuals, T::ONE, out)
}
