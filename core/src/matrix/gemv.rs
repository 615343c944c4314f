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
use crate::matrix::Kernels as _;
use crate::memory::must;
use crate::simd::{Lanes, Update};
use crate::{Error, Real, vector};

/// Rows that one pass over `y` adds.
pub(super) const ROWS: usize = 4;

/// `y + a_0 x_0 + a_1 x_1 + ...`, from left to right.
#[derive(Clone, Copy)]
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
        let mut next = || must(rows.next());
        let four = [next(), next(), next(), next()];
        let factors = [alpha * x0, alpha * x1, alpha * x2, alpha * x3];
        T::Kernels::add_four_rows(factors, four, y);
    }
    for (&x, row) in rest.iter().zip(rows) {
        T::Kernels::add_row(alpha * x, row, y);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn painted<T: Real>(n: usize, phase: usize) -> Vec<T> {
        (0..n)
            .map(|i| T::from_f64(((i * 37 + phase) % 251) as f64 / 16.0 - 7.8))
            .collect()
    }

    fn check<T: Real>(m: usize, n: usize, alpha: f64, beta: f64) {
        let (alpha, beta) = (T::from_f64(alpha), T::from_f64(beta));
        let data = painted::<T>(m * (n + 2), 3);
        let a = MatrixRef::with_stride(&data, m, n, n + 2).unwrap();
        let keep = |y: T| if beta == T::ZERO { T::ZERO } else { beta * y };

        let (x, start) = (painted::<T>(n, 5), painted::<T>(m, 7));
        let mut y = start.clone();
        gemv(alpha, a, &x, beta, &mut y).unwrap();
        for (i, (found, start)) in y.iter().zip(&start).enumerate() {
            let expected = alpha * vector::dot(a.row(i).unwrap(), &x).unwrap() + keep(*start);
            assert_eq!(*found, expected, "m={m} n={n} row {i}");
        }

        let (x, start) = (painted::<T>(m, 5), painted::<T>(n, 7));
        for level in crate::testing::levels() {
            let mut y = start.clone();
            gemv_transposed(alpha, a, &x, beta, &mut y).unwrap();
            for (j, (found, start)) in y.iter().zip(&start).enumerate() {
                let mut expected = keep(*start);
                for (i, x) in x.iter().enumerate() {
                    expected += (alpha * *x) * a.get(i, j).unwrap();
                }
                assert_eq!(
                    found.to_bits_u64(),
                    expected.to_bits_u64(),
                    "{level:?} column {j}"
                );
            }
        }
    }

    #[test]
    fn both_forms_follow_the_stated_order() {
        for (m, n) in [(0, 3), (3, 0), (1, 1), (4, 33), (7, 65), (38, 17)] {
            check::<f32>(m, n, 1.0, 0.0);
            check::<f64>(m, n, -0.3, 1.7);
            check::<f32>(m, n, 2.5, 1.0);
        }
    }

    #[test]
    fn beta_zero_does_not_read_the_old_result() {
        let a = [1.0_f64; 6];
        let a = MatrixRef::new(&a, 2, 3).unwrap();
        let (mut y, mut z) = ([f64::NAN; 2], vec![f64::NAN; 3]);
        gemv(1.0, a, &[1.0; 3], 0.0, &mut y).unwrap();
        gemv_transposed(1.0, a, &[1.0; 2], 0.0, &mut z).unwrap();
        assert_eq!((y, &z[..]), ([3.0; 2], &[2.0; 3][..]));
        assert!(gemv(1.0, a, &[1.0; 2], 0.0, &mut y).is_err());
        assert!(gemv_transposed(1.0, a, &[1.0; 2], 0.0, &mut y).is_err());
        assert_eq!(y, [3.0; 2]);
    }
}
