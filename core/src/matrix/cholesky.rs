//! Cholesky factor of a positive definite matrix, and solves with it.
//!
//! ```text
//! A = L L^T,  L lower triangular with a positive diagonal:
//! l_ij = (a_ij - <l_i, l_j>_{k < j}) / l_jj,   l_ii = sqrt(a_ii - <l_i, l_i>_{k < i})      row by row
//! A x = b:   L y = b (forward),  L^T x = y (back)
//! ```
//! `A` is `n x n`; inner products are [`vector::dot`] of rows, 32-lane sums. Cost: `n^3 / 3` flops, a solve `2 n^2` for each right-hand
//! side. Reference: Golub, Van Loan, "Matrix computations" (4th ed., 2013), 4.2.5 (row-wise) and 3.1.

use super::{MatrixMut, MatrixRef};
use crate::error::check_length;
use crate::matrix::Kernels as _;
use crate::memory::must;
use crate::{Error, Real, vector};

/// Replaces the lower triangle of a symmetric matrix by its Cholesky factor.
///
/// Only the lower triangle is read and written; what lies above stays.
///
/// # Errors
/// [`Error::Length`] unless `a` is square. [`Error::Singular`] at the first row whose pivot is not a positive finite number:
/// then the rows before it hold the factor, that row is overwritten in part, and the rows after it are unchanged.
///
/// ```
/// use thalweg::matrix::{MatrixMut, cholesky};
/// let mut a = [4.0_f32, 0.0, 2.0, 10.0];
/// cholesky(MatrixMut::new(&mut a, 2, 2)?)?;
/// assert_eq!(a, [2.0, 0.0, 1.0, 3.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn cholesky<T: Real>(mut a: MatrixMut<'_, T>) -> Result<(), Error> {
    check_length("columns of a", a.rows(), a.columns())?;
    for i in 0..a.rows() {
        let (above, mut below) = a.reborrow().split_rows_at(i);
        let row = must(below.row_mut(0));
        for (j, l) in above.view().row_iter().enumerate() {
            let (l, diagonal) = must(l.split_at_checked(j));
            let (head, rest) = must(row.split_at_mut_checked(j));
            if let (Some(x), Some(pivot)) = (rest.first_mut(), diagonal.first()) {
                // The pivot is positive: checked when its row was done.
                *x = (*x - vector::dot(head, l)?) / *pivot;
            }
        }
        if let Some((head, rest)) = row.split_at_mut_checked(i)
            && let Some(x) = rest.first_mut()
        {
            let pivot = *x - vector::norm2_squared(head);
            if !(pivot > T::ZERO && pivot.is_finite()) {
                return Err(Error::Singular {
                    name: "a",
                    index: i,
                });
            }
            // In range: the pivot is positive.
            *x = pivot.sqrt();
        }
    }
    Ok(())
}

/// Checks a triangular factor and the length of what it is applied to.
fn check_factor<T: Real>(l: &MatrixRef<'_, T>, name: &'static str, n: usize) -> Result<(), Error> {
    check_length("columns of l", l.rows(), l.columns())?;
    check_length(name, l.rows(), n)?;
    for (i, row) in l.row_iter().enumerate() {
        if row.get(i).is_none_or(|x| *x == T::ZERO) {
            return Err(Error::Singular {
                name: "l",
                index: i,
            });
        }
    }
    Ok(())
}

/// Divides each element by the same number, which is not zero: see [`check_factor`].
fn divide<T: Real>(row: &mut [T], pivot: T) {
    row.iter_mut().for_each(|x| *x /= pivot);
}

/// `B <- L^-1 B`: forward substitution for many right-hand sides, the columns of `b`.
///
/// Row `i` takes `- l_ij b_j` for `j` ascending, then is divided by `l_ii`. Above the diagonal `l` is not read.
///
/// # Errors
/// [`Error::Length`] unless `l` is square with the rows of `b`; [`Error::Singular`] when its diagonal holds a zero. `b` is
/// unchanged.
///
/// ```
/// use thalweg::matrix::{MatrixMut, MatrixRef, solve_lower};
/// let l = MatrixRef::new(&[2.0_f32, 0.0, 1.0, 3.0], 2, 2)?;
/// let mut b = [2.0, 7.0];
/// solve_lower(l, MatrixMut::new(&mut b, 2, 1)?)?;
/// assert_eq!(b, [1.0, 2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn solve_lower<T: Real>(l: MatrixRef<'_, T>, mut b: MatrixMut<'_, T>) -> Result<(), Error> {
    check_factor(&l, "rows of b", b.rows())?;
    for (i, l) in l.row_iter().enumerate() {
        let (done, mut below) = b.reborrow().split_rows_at(i);
        let row = must(below.row_mut(0));
        for (l, done) in l.iter().zip(done.view().row_iter()) {
            T::Kernels::add_row(-*l, done, row);
        }
        if let Some(pivot) = l.get(i) {
            divide(row, *pivot);
        }
    }
    Ok(())
}

/// `B <- L^-T B`: back substitution for many right-hand sides, the columns of `b`.
///
/// For `i` descending, row `i` is divided by `l_ii` and then taken `l_ij` times from each row `j < i`. Above the diagonal `l` is not
/// read.
///
/// # Errors
/// As [`solve_lower`].
///
/// ```
/// use thalweg::matrix::{MatrixMut, MatrixRef, solve_lower_transposed};
/// let l = MatrixRef::new(&[2.0_f32, 0.0, 1.0, 3.0], 2, 2)?;
/// let mut b = [4.0, 6.0];
/// solve_lower_transposed(l, MatrixMut::new(&mut b, 2, 1)?)?;
/// assert_eq!(b, [1.0, 2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn solve_lower_transposed<T: Real>(
    l: MatrixRef<'_, T>,
    mut b: MatrixMut<'_, T>,
) -> Result<(), Error> {
    check_factor(&l, "rows of b", b.rows())?;
    for i in (0..l.rows()).rev() {
        let l = must(l.row(i));
        let (mut above, mut below) = b.reborrow().split_rows_at(i);
        let row = must(below.row_mut(0));
        if let Some(pivot) = l.get(i) {
            divide(row, *pivot);
        }
        for (l, above) in l.iter().zip(above.row_iter_mut()) {
            T::Kernels::add_row(-*l, row, above);
        }
    }
    Ok(())
}

/// `B <- (L L^T)^-1 B`, with the factor of [`cholesky`].
///
/// # Errors
/// As [`solve_lower`].
///
/// ```
/// use thalweg::matrix::{MatrixMut, MatrixRef, cholesky_solve};
/// // A = [[4, 2], [2, 10]], A (1, 2) = (8, 22).
/// let l = MatrixRef::new(&[2.0_f32, 0.0, 1.0, 3.0], 2, 2)?;
/// let mut b = [8.0, 22.0];
/// cholesky_solve(l, MatrixMut::new(&mut b, 2, 1)?)?;
/// assert_eq!(b, [1.0, 2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn cholesky_solve<T: Real>(l: MatrixRef<'_, T>, mut b: MatrixMut<'_, T>) -> Result<(), Error> {
    solve_lower(l, b.reborrow())?;
    solve_lower_transposed(l, b)
}

/// `x <- (L L^T)^-1 x` for one right-hand side, in rows: inner products forward, multiples of rows back.
///
/// The forward sums are 32-lane sums, so the bits may differ from [`cholesky_solve`] with one column.
///
/// # Errors
/// As [`solve_lower`].
///
/// ```
/// use thalweg::matrix::{MatrixRef, cholesky_solve_vector};
/// let l = MatrixRef::new(&[2.0_f32, 0.0, 1.0, 3.0], 2, 2)?;
/// let mut x = [8.0, 22.0];
/// cholesky_solve_vector(l, &mut x)?;
/// assert_eq!(x, [1.0, 2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn cholesky_solve_vector<T: Real>(l: MatrixRef<'_, T>, x: &mut [T]) -> Result<(), Error> {
    check_factor(&l, "x", x.len())?;
    for (i, l) in l.row_iter().enumerate() {
        if let (Some((done, rest)), Some(l), Some(pivot)) =
            (x.split_at_mut_checked(i), l.get(..i), l.get(i))
            && let Some(x) = rest.first_mut()
        {
            *x = (*x - vector::dot(done, l)?) / *pivot;
        }
    }
    for i in (0..l.rows()).rev() {
        let l = must(l.row(i));
        if let (Some((above, rest)), Some(l), Some(pivot)) =
            (x.split_at_mut_checked(i), l.get(..i), l.get(i))
            && let Some(x) = rest.first_mut()
        {
            *x /= *pivot;
            vector::axpy(-*x, l, above)?;
        }
    }
    Ok(())
}

/// Logarithm of the determinant of `A = L L^T`: `2 sum_i ln l_ii`, first to last.
///
/// # Errors
/// As [`solve_lower`].
///
/// ```
/// use thalweg::matrix::{MatrixRef, log_determinant};
/// let l = MatrixRef::new(&[2.0_f64, 0.0, 1.0, 3.0], 2, 2)?;
/// assert!((log_determinant(l)? - 36.0_f64.ln()).abs() < 1e-15 * 36.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn log_determinant<T: Real>(l: MatrixRef<'_, T>) -> Result<T, Error> {
    check_factor(&l, "rows of l", l.rows())?;
    let diagonal = l.row_iter().enumerate().filter_map(|(i, row)| row.get(i));
    let sum = diagonal.fold(T::ZERO, |sum, x| sum + x.ln());
    Ok(sum + sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::{Product, Upper, gemm, syrk};
    use std::vec;
    use std::vec::Vec;

    /// `min(i, j) + 1`: its factor is the lower triangle of ones, its determinant 1.
    fn brownian<T: Real>(n: usize) -> Vec<T> {
        (0..n * n)
            .map(|at| T::from_usize((at / n).min(at % n) + 1))
            .collect()
    }

    fn the_factor_of_brownian_covariance_is_ones<T: Real>() {
        for n in [0, 1, 2, 7, 40] {
            let mut a = brownian::<T>(n);
            cholesky(MatrixMut::new(&mut a, n, n).unwrap()).unwrap();
            for i in 0..n {
                for j in 0..n {
                    let expected = if j <= i { T::ONE } else { T::from_usize(i + 1) };
                    assert_eq!(a[i * n + j], expected, "n={n} ({i}, {j})");
                }
            }
            let l = MatrixRef::new(&a, n, n).unwrap();
            assert_eq!(log_determinant(l).unwrap(), T::ZERO);
        }
    }

    #[test]
    fn the_factor_of_brownian_covariance_is_the_triangle_of_ones() {
        the_factor_of_brownian_covariance_is_ones::<f32>();
        the_factor_of_brownian_covariance_is_ones::<f64>();
    }

    fn log_determinant_of_powers_of_two<T: Real>(eps: f64) {
        // Pivots 2, 4, .., 2^n, with anything below and above them: det A = 4^(1 + .. + n), beyond the type from n = 40 on in f32.
        for n in [1, 2, 7, 40] {
            let l: Vec<T> = (0..n * n)
                .map(|at| match at / n == at % n {
                    true => T::from_f64(libm::exp2((at / n + 1) as f64)),
                    false => T::from_f64(-3.0),
                })
                .collect();
            let found = log_determinant(MatrixRef::new(&l, n, n).unwrap()).unwrap();
            let expected = (n * (n + 1)) as f64 * core::f64::consts::LN_2;
            let error = (found.to_f64() - expected).abs();
            assert!(error <= n as f64 * eps * expected, "n={n}: {found:?}");
        }
    }

    #[test]
    fn the_log_determinant_is_that_of_the_pivots_also_where_the_determinant_overflows() {
        log_determinant_of_powers_of_two::<f32>(f64::from(f32::EPSILON));
        log_determinant_of_powers_of_two::<f64>(f64::EPSILON);
    }

    #[test]
    fn factor_and_solves_invert_a_random_positive_matrix() {
        let (n, r) = (53, 5);
        let g: Vec<f64> = (0..n * n)
            .map(|i| ((i * i * 31 + 7 * i) % 257) as f64 / 128.0 - 1.0)
            .collect();
        let mut a = vec![0.0; n * n];
        for i in 0..n {
            a[i * n + i] = 3.0;
        }
        let g = MatrixRef::new(&g, n, n).unwrap();
        let view = MatrixMut::new(&mut a, n, n).unwrap();
        syrk(
            Product {
                beta: 1.0,
                ..Product::PLAIN
            },
            g,
            Upper::Mirror,
            view,
            &mut [],
        )
        .unwrap();
        let mut l = a.clone();
        cholesky(MatrixMut::new(&mut l, n, n).unwrap()).unwrap();
        let l = MatrixRef::new(&l, n, n).unwrap();
        let x: Vec<f64> = (0..n * r).map(|i| (i % 13) as f64 - 6.0).collect();
        let mut b = vec![0.0; n * r];
        gemm(
            Product::PLAIN,
            MatrixRef::new(&a, n, n).unwrap(),
            MatrixRef::new(&x, n, r).unwrap(),
            MatrixMut::new(&mut b, n, r).unwrap(),
            &mut [],
        )
        .unwrap();
        let mut column: Vec<f64> = b.iter().step_by(r).copied().collect();
        cholesky_solve(l, MatrixMut::new(&mut b, n, r).unwrap()).unwrap();
        cholesky_solve_vector(l, &mut column).unwrap();
        for (found, expected) in b.iter().zip(&x) {
            assert!((found - expected).abs() < 1e-11, "{found} {expected}");
        }
        for (found, expected) in column.iter().zip(x.iter().step_by(r)) {
            assert!((found - expected).abs() < 1e-11, "{found} {expected}");
        }
    }

    #[test]
    fn an_indefinite_matrix_names_the_row() {
        // Leading minors 1, 3, -3.
        let mut a = [1.0_f32, 0.0, 0.0, 1.0, 4.0, 0.0, 2.0, 2.0, 3.0];
        let error = cholesky(MatrixMut::new(&mut a, 3, 3).unwrap()).unwrap_err();
        assert_eq!(
            error,
            Error::Singular {
                name: "a",
                index: 2
            }
        );
        let mut a = [f64::NAN];
        let error = cholesky(MatrixMut::new(&mut a, 1, 1).unwrap()).unwrap_err();
        assert_eq!(
            error,
            Error::Singular {
                name: "a",
                index: 0
            }
        );
        assert!(cholesky(MatrixMut::new(&mut [1.0_f64; 2], 1, 2).unwrap()).is_err());
    }

    #[test]
    fn a_zero_on_the_diagonal_of_a_factor_is_an_error_before_anything_is_written() {
        let l = MatrixRef::new(&[1.0_f32, 0.0, 5.0, 0.0], 2, 2).unwrap();
        let mut b = [1.0, 1.0];
        let singular = Err(Error::Singular {
            name: "l",
            index: 1,
        });
        let view = MatrixMut::new(&mut b, 2, 1).unwrap();
        assert_eq!(cholesky_solve(l, view), singular);
        assert_eq!(cholesky_solve_vector(l, &mut b), singular);
        assert_eq!(b, [1.0, 1.0]);
        assert!(cholesky_solve_vector(l, &mut [0.0; 3]).is_err());
    }
}
