//! Matrix times vector.
//!
//! ```text
//! y_i <- alpha <a_i, x> + beta y_i                  rows: 32-lane sums, as `vector::dot`
//! y   <- beta y, then y <- y + (alpha x_i) a_i      transposed: i ascending
//! ```
//! `A` is `m x n`. With `beta = 0` the old `y` is not read, so that NaN in it does not spread. Cost: `2 m n`
//! flops, `A` is read once. Reference: Lawson, Hanson, Kincaid, Krogh, "Basic linear algebra subprograms"
//! (1979), and its level 2 (1988), xGEMV; the order of sums is ours.

use super::MatrixRef;
use crate::error::check_length;
use crate::simd::{self, Lanes, Update};
use crate::{Error, Real, vector};

/// Rows that one pass over `y` adds.
const ROWS: usize = 4;

/// `y + a_0 x_0 + a_1 x_1 + ...`, from left to right.
pub(super) struct AddRows<T, const R: usize>(pub(super) [T; R]);
impl<T: Real, const R: usize> Update<T, 1, R> for AddRows<T, R> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [y]: [L; 1], x: [L; R]) -> [L; 1] {
        let mut sum = y;
        for (a, x) in self.0.iter().zip(x) {
            sum = sum + y.constant(*a) * x;
        }
        [sum]
    }
}

/// `y <- beta y`; zeros for `beta = 0`, whatever `y` holds.
pub(super) fn rescale<T: Real>(beta: T, y: &mut [T]) {
    if beta == T::ZERO {
        y.fill(T::ZERO);
    } else if beta != T::ONE {
        vector::scale(beta, y);
    }
}

/// `y <- alpha A x + beta y`.
///
/// # Errors
/// [`Error::Length`] unless `x` has an element per column of `a` and `y` one per row.
///
/// ```
/// use thalweg::matrix::{MatrixRef, gemv};
/// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0], 2, 2)?;
/// let mut y = [1.0, 1.0];
/// gemv(2.0, a, &[1.0, 1.0], 10.0, &mut y)?;
/// assert_eq!(y, [16.0, 24.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn gemv<T: Real>(
    alpha: T,
    a: MatrixRef<'_, T>,
    x: &[T],
    beta: T,
    y: &mut [T],
) -> Result<(), Error> {
    check_length("x", a.columns(), x.len())?;
    check_length("y", a.rows(), y.len())?;
    for (y, row) in y.iter_mut().zip(a.row_iter()) {
        let product = alpha * vector::dot(row, x)?;
        *y = if beta == T::ZERO {
            product
        } else {
            product + beta * *y
        };
    }
    Ok(())
}

/// `y <- alpha A^T x + beta y`.
///
/// # Errors
/// [`Error::Length`] unless `x` has an element per row of `a` and `y` one per column.
///
/// ```
/// use thalweg::matrix::{MatrixRef, gemv_transposed};
/// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0], 2, 2)?;
/// let mut y = [f32::NAN; 2];
/// gemv_transposed(1.0, a, &[1.0, 10.0], 0.0, &mut y)?;
/// assert_eq!(y, [31.0, 42.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn gemv_transposed<T: Real>(
    alpha: T,
    a: MatrixRef<'_, T>,
    x: &[T],
    beta: T,
    y: &mut [T],
) -> Result<(), Error> {
    check_length("x", a.rows(), x.len())?;
    check_length("y", a.columns(), y.len())?;
    rescale(beta, y);
    let (groups, rest) = x.as_chunks::<ROWS>();
    let mut rows = a.row_iter();
    for &[x0, x1, x2, x3] in groups {
        let mut next = || rows.next().unwrap_or(&[]);
        let four = [next(), next(), next(), next()];
        let factors = [alpha * x0, alpha * x1, alpha * x2, alpha * x3];
        simd::update(&AddRows(factors), [&mut *y], four);
    }
    for (&x, row) in rest.iter().zip(rows) {
        simd::update(&AddRows([alpha * x]), [&mut *y], [row]);
    }
    Ok(())
}
