//! Kernel and step of the weights from Jacobian rows.

use super::gram;
use crate::error::{check, check_length, check_scratch};
use crate::matrix::{MatrixMut, MatrixRef, Product, gemm_scratch, gemv_transposed, symmetrize};
use crate::memory::{InRows, cut};
use crate::{Arithmetic, Error, Real, vector};

/// Most rows of a tile.
const TILE: usize = 128;

/// Terms that are added in one chain before they are added to the kernel: of 795,100 in one chain single precision would lose half the digits.
const CHAIN: usize = 2048;

/// Least elements of scratch: a tile.
const fn least_scratch_len(n: usize, m: usize) -> usize {
    let height = if n < TILE { n } else { TILE };
    let width = if m < TILE { m } else { TILE };
    height.saturating_mul(width)
}

/// Elements of scratch of [`add_jacobian_kernel_between`] for `n` and `m` samples, at full speed; for one set `m = n`. A tile, of at most
/// 128 x 128, is enough.
///
/// ```
/// use thalweg::kernel::tangent::jacobian_kernel_scratch_len;
/// use thalweg::matrix::gemm_scratch;
/// assert_eq!(jacobian_kernel_scratch_len(3, 5), 15 + gemm_scratch(3, 5, 2048));
/// assert_eq!(jacobian_kernel_scratch_len(usize::MAX, usize::MAX), 128 * 128 + gemm_scratch(128, 128, 2048));
/// ```
#[must_use]
pub const fn jacobian_kernel_scratch_len(n: usize, m: usize) -> usize {
    let height = if n < TILE { n } else { TILE };
    let width = if m < TILE { m } else { TILE };
    least_scratch_len(n, m) + gemm_scratch(height, width, CHAIN)
}

/// Adds `(1/C) sum_c <J_ic, J_jc>` for all pairs of rows of `a` to the symmetric `h`, which is `n x n`: of its old elements only the lower
/// triangle counts.
///
/// `a` has `n` rows of the same entries of the Jacobian: all `C P`, or some of them, so that a kernel may be accumulated over classes,
/// layers or any other division of the entries. Sums are taken in chains of 2,048 terms. Scratch: [`jacobian_kernel_scratch_len`]. Cost:
/// `n^2` flops an entry.
///
/// # Errors
/// No outputs; [`Error::Length`] when `h` is not square, rows are not whole, or the scratch is short. `h` is unchanged.
///
/// ```
/// use thalweg::Arithmetic;
/// use thalweg::kernel::tangent::{add_jacobian_kernel, jacobian_kernel_scratch_len};
/// use thalweg::matrix::MatrixMut;
/// // Two outputs, two parameters: a sample with J = [1 0; 0 2], one with J = [3 1; 1 1].
/// let jacobian = [1.0_f64, 0.0, 0.0, 2.0, 3.0, 1.0, 1.0, 1.0];
/// let (mut h, mut scratch) = ([0.0; 4], [0.0; jacobian_kernel_scratch_len(2, 2)]);
/// add_jacobian_kernel(Arithmetic::Portable, 2, &jacobian, MatrixMut::new(&mut h, 2, 2)?, &mut scratch)?;
/// assert_eq!(h, [2.5, 2.5, 2.5, 6.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn add_jacobian_kernel<T: Real>(
    arithmetic: Arithmetic,
    outputs: usize,
    a: &[T],
    mut h: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    check_length("columns of h", h.rows(), h.columns())?;
    add(arithmetic, outputs, [a, a], true, h.reborrow(), scratch)?;
    symmetrize(h)
}

/// Adds `(1/C) sum_c <J_ic, J_jc>` for the rows `i` of `a` and `j` of `b` to `h`, which is `n x m`: samples of two clients.
///
/// Rows as in [`add_jacobian_kernel`]. Cost: `2 n m` flops an entry.
///
/// # Errors
/// As [`add_jacobian_kernel`]; [`Error::Length`] when rows of `b` are shorter or longer.
///
/// ```
/// use thalweg::Arithmetic;
/// use thalweg::kernel::tangent::{add_jacobian_kernel_between, jacobian_kernel_scratch_len};
/// use thalweg::matrix::MatrixMut;
/// let (a, b) = ([1.0_f64, 0.0, 0.0, 2.0], [3.0, 1.0, 1.0, 1.0]);
/// let (mut h, mut scratch) = ([0.5], [0.0; jacobian_kernel_scratch_len(1, 1)]);
/// add_jacobian_kernel_between(Arithmetic::Portable, 2, [&a, &b], MatrixMut::new(&mut h, 1, 1)?, &mut scratch)?;
/// assert_eq!(h, [0.5 + (3.0 + 2.0) / 2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn add_jacobian_kernel_between<T: Real>(
    arithmetic: Arithmetic,
    outputs: usize,
    rows: [&[T]; 2],
    h: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    add(arithmetic, outputs, rows, false, h, scratch)
}

fn add<T: Real>(
    arithmetic: Arithmetic,
    outputs: usize,
    [a, b]: [&[T]; 2],
    is_lower: bool,
    mut h: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    check("outputs", outputs > 0, "must be positive")?;
    let (n, m) = (h.rows(), h.columns());
    let entries = a.len().checked_div(n).unwrap_or(0);
    check_length("a", n * entries, a.len())?;
    check_length("b", m.saturating_mul(entries), b.len())?;
    let least = least_scratch_len(n, m);
    check_scratch("scratch", least, scratch.len())?;
    let ([products], pack) = cut(scratch, [least])?;
    let (a, b) = (
        MatrixRef::new(a, n, entries)?,
        MatrixRef::new(b, m, entries)?,
    );
    let how = Product::plain(arithmetic);
    let weight = T::ONE / T::from_usize(outputs);
    for start in (0..entries).step_by(CHAIN) {
        let chain = start..entries.min(start + CHAIN);
        let (a, b) = (a.block(0..n, chain.clone())?, b.block(0..m, chain)?);
        for i in (0..n).step_by(TILE) {
            let rows = i..n.min(i + TILE);
            let end = if is_lower { rows.end } else { m };
            for j in (0..end).step_by(TILE) {
                let columns = j..m.min(j + TILE);
                let ([products], _) = cut(products, [rows.len() * columns.len()])?;
                let view = MatrixMut::new(products, rows.len(), columns.len())?;
                let is_square = is_lower && i == j;
                gram(how, [(a, &rows), (b, &columns)], is_square, view, pack)?;
                let mut out = h.block_mut(rows.clone(), columns.clone())?;
                let products = products.in_rows(columns.len());
                for (out, products) in out.row_iter_mut().zip(products) {
                    vector::axpy(weight, products, out)?;
                }
            }
        }
    }
    Ok(())
}

/// Adds `sum_ic r_ic J_ic` to `out`, for the Jacobian rows of some samples and as many residuals.
///
/// `jacobian` is `n x C x P`, `residuals` `n x C`, `out` `P`. Rows are added one after another: the bits do not depend on how they are
/// divided among calls.
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
