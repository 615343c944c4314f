//! Trace, diagonal, transpose, mirror.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use super::{MatrixMut, MatrixRef};
use crate::error::check_length;
use crate::memory::must;
use crate::{Error, Real};

/// Side of the squares in which [`transpose_into`] moves: two of them fit an L1 cache many times over.
const SQUARE: usize = 16;

/// Sum of the diagonal, first to last.
///
/// # Errors
/// [`Error::Length`] unless `a` is square.
///
/// ```
/// use thalweg::matrix::{MatrixRef, trace};
/// assert_eq!(trace(MatrixRef::new(&[1.0_f32, 9.0, 9.0, 2.0], 2, 2)?)?, 3.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn trace<T: Real>(a: MatrixRef<'_, T>) -> Result<T, Error> {
    check_length("columns of a", a.rows(), a.columns())?;
    let diagonal = a.row_iter().enumerate().filter_map(|(i, row)| row.get(i));
    Ok(diagonal.fold(T::ZERO, |sum, x| sum + *x))
}

/// `A <- A + x I`.
///
/// # Errors
/// [`Error::Length`] unless `a` is square.
///
/// ```
/// use thalweg::matrix::{MatrixMut, add_diagonal};
/// let mut a = [1.0_f32, 2.0, 2.0, 1.0];
/// add_diagonal(0.5, MatrixMut::new(&mut a, 2, 2)?)?;
/// assert_eq!(a, [1.5, 2.0, 2.0, 1.5]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn add_diagonal<T: Real>(x: T, mut a: MatrixMut<'_, T>) -> Result<(), Error> {
    check_length("columns of a", a.rows(), a.columns())?;
    for (i, row) in a.row_iter_mut().enumerate() {
        if let Some(d) = row.get_mut(i) {
            *d += x;
        }
    }
    Ok(())
}

/// `out <- A^T`.
///
/// # Errors
/// [`Error::Length`] unless `out` has the rows of `a` as columns and the columns of `a` as rows.
///
/// ```
/// use thalweg::matrix::{MatrixMut, MatrixRef, transpose_into};
/// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
/// let mut out = [0.0; 6];
/// transpose_into(a, MatrixMut::new(&mut out, 3, 2)?)?;
/// assert_eq!(out, [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn transpose_into<T: Real>(
    a: MatrixRef<'_, T>,
    mut out: MatrixMut<'_, T>,
) -> Result<(), Error> {
    check_length("rows of out", a.columns(), out.rows())?;
    check_length("columns of out", a.rows(), out.columns())?;
    for i0 in (0..a.rows()).step_by(SQUARE) {
        for j0 in (0..a.columns()).step_by(SQUARE) {
            for j in j0..a.columns().min(j0 + SQUARE) {
                let to = must(out.row_mut(j).and_then(|row| row.get_mut(i0..)));
                for (i, to) in (i0..).zip(to.iter_mut().take(SQUARE)) {
                    if let Some(x) = a.get(i, j) {
                        *to = x;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Copies the lower triangle of a square matrix over the upper one.
///
/// # Errors
/// [`Error::Length`] unless `a` is square.
///
/// ```
/// use thalweg::matrix::{MatrixMut, symmetrize};
/// let mut a = [1.0_f32, 0.0, 7.0, 2.0];
/// symmetrize(MatrixMut::new(&mut a, 2, 2)?)?;
/// assert_eq!(a, [1.0, 7.0, 7.0, 2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn symmetrize<T: Real>(mut a: MatrixMut<'_, T>) -> Result<(), Error> {
    check_length("columns of a", a.rows(), a.columns())?;
    mirror_lower(&mut a);
    Ok(())
}

/// [`symmetrize`] of a matrix that is known to be square.
pub(super) fn mirror_lower<T: Real>(a: &mut MatrixMut<'_, T>) {
    for i0 in (0..a.rows()).step_by(SQUARE) {
        for j0 in (0..=i0).step_by(SQUARE) {
            for i in i0..a.rows().min(i0 + SQUARE) {
                for j in j0..i.min(j0 + SQUARE) {
                    let x = a.view().get(i, j);
                    if let (Some(x), Some(to)) = (x, a.get_mut(j, i)) {
                        *to = x;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn a_transpose_moves_each_element_at_any_shape_and_stride() {
        for (r, c) in [(0, 4), (1, 1), (1, 40), (17, 33), (48, 16)] {
            let data: Vec<f64> = (0..r * (c + 3)).map(|i| i as f64).collect();
            let a = MatrixRef::with_stride(&data, r, c, c + 3).unwrap();
            let mut out = vec![-1.0; c * (r + 2)];
            transpose_into(a, MatrixMut::with_stride(&mut out, c, r, r + 2).unwrap()).unwrap();
            let out = MatrixRef::with_stride(&out, c, r, r + 2).unwrap();
            for i in 0..r {
                for j in 0..c {
                    assert_eq!(out.get(j, i), a.get(i, j));
                }
            }
        }
    }

    #[test]
    fn symmetrize_reads_the_lower_triangle_only() {
        for n in [0, 1, 5, 16, 37] {
            let mut data: Vec<f32> = (0..n * n).map(|i| i as f32).collect();
            let before = data.clone();
            symmetrize(MatrixMut::new(&mut data, n, n).unwrap()).unwrap();
            for i in 0..n {
                for j in 0..=i {
                    assert_eq!(data[i * n + j], before[i * n + j]);
                    assert_eq!(data[j * n + i], before[i * n + j]);
                }
            }
        }
    }

    #[test]
    fn square_is_asked_for_where_it_is_needed() {
        let mut data = [0.0_f32; 6];
        assert!(trace(MatrixRef::new(&data, 2, 3).unwrap()).is_err());
        assert!(add_diagonal(1.0, MatrixMut::new(&mut data, 2, 3).unwrap()).is_err());
        assert!(symmetrize(MatrixMut::new(&mut data, 2, 3).unwrap()).is_err());
        let mut out = [0.0_f32; 6];
        let a = MatrixRef::new(&data, 2, 3).unwrap();
        assert!(transpose_into(a, MatrixMut::new(&mut out, 2, 3).unwrap()).is_err());
    }
}
