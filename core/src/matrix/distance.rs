//! Squared Euclidean distances between the rows of two matrices.
//!
//! ```text
//! explicit:  d_ij = sum_k (x_ik - y_jk)^2                        32-lane sums, as `vector::squared_distance`
//! Gram:      d_ij = max(0, (|x_i|^2 + |y_j|^2) - 2 <x_i, y_j>)
//! ```
//! `X` is `n x d`, `Y` is `m x d`. The explicit form is accurate to a relative error of about `(d/32 + 7) u` at any distance, `3 n m d`
//! flops. The Gram form runs at the speed of [`gemm`](super::gemm), `2 n m d` flops, with an *absolute* error of about `2 d u (|x_i|^2 +
//! |y_j|^2)`, `u` the unit roundoff: near duplicates far from the origin lose all digits, and a difference that rounding makes negative
//! becomes 0. Centre the rows first where that matters.

use super::gemm::{gemm, gemm_scratch};
use super::{MatrixMut, MatrixRef, Product, Upper, syrk};
use crate::error::check_length;
use crate::matrix::Kernels as _;
use crate::memory::{cut, must};
use crate::simd::{Lanes, Update};
use crate::{Arithmetic, Error, Real, vector};

/// `max(0, (a + b_j) + g_j)`; NaN stays.
#[derive(Clone, Copy)]
pub(super) struct FromGram<T>(pub(super) T);
impl<T: Real> Update<T, 1, 1> for FromGram<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [g]: [L; 1], [b]: [L; 1]) -> [L; 1] {
        let zero = g.constant(T::ZERO);
        [zero.largest((g.constant(self.0) + b) + g)]
    }
}

fn check_shapes<T>(
    x: &MatrixRef<'_, T>,
    y: &MatrixRef<'_, T>,
    out: &MatrixMut<'_, T>,
) -> Result<(), Error> {
    check_length("columns of y", x.columns(), y.columns())?;
    check_length("rows of out", x.rows(), out.rows())?;
    check_length("columns of out", y.rows(), out.columns())
}

/// All squared distances by explicit differences; equal rows are at distance 0 exactly.
///
/// # Errors
/// [`Error::Length`] when the shapes do not fit; `out` is unchanged.
///
/// ```
/// use thalweg::matrix::{MatrixMut, MatrixRef, squared_distances_into};
/// let x = MatrixRef::new(&[0.0_f32, 0.0, 3.0, 4.0], 2, 2)?;
/// let mut out = [9.0; 4];
/// squared_distances_into(x, x, MatrixMut::new(&mut out, 2, 2)?)?;
/// assert_eq!(out, [0.0, 25.0, 25.0, 0.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn squared_distances_into<T: Real>(
    x: MatrixRef<'_, T>,
    y: MatrixRef<'_, T>,
    mut out: MatrixMut<'_, T>,
) -> Result<(), Error> {
    check_shapes(&x, &y, &out)?;
    for (out, x) in out.row_iter_mut().zip(x.row_iter()) {
        for (out, y) in out.iter_mut().zip(y.row_iter()) {
            // + 0 turns the -0 of a sum without terms positive.
            *out = vector::squared_distance(x, y)? + T::ZERO;
        }
    }
    Ok(())
}

/// Elements of scratch for the Gram forms with `n` and `m` rows of length `d`.
///
/// ```
/// use thalweg::matrix::{gemm_scratch, gram_distances_scratch};
/// assert_eq!(gram_distances_scratch(10, 20, 3), 20 + gemm_scratch(10, 20, 3));
/// ```
pub const fn gram_distances_scratch(n: usize, m: usize, d: usize) -> usize {
    m.saturating_add(gemm_scratch(n, m, d))
}

/// All squared distances by way of the Gram matrix.
///
/// The absolute error is about `2 d u (|x_i|^2 + |y_j|^2)`, `u` the unit roundoff; negative results become 0. For distances
/// within one set, [`gram_self_distances_into`] has an exact diagonal and half the cost. Scratch: [`gram_distances_scratch`]; with at
/// least `m` but fewer, the plain loops of [`gemm`](super::gemm) are used.
///
/// # Errors
/// [`Error::Length`] when the shapes do not fit or `scratch` is shorter than the rows of `y`; `out` is unchanged.
///
/// ```
/// use thalweg::Arithmetic;
/// use thalweg::matrix::{MatrixMut, MatrixRef, gram_distances_into};
/// let x = MatrixRef::new(&[0.0_f32, 0.0, 3.0, 4.0], 2, 2)?;
/// let y = MatrixRef::new(&[3.0_f32, 0.0], 1, 2)?;
/// let mut out = [0.0; 2];
/// gram_distances_into(Arithmetic::Portable, x, y, MatrixMut::new(&mut out, 2, 1)?, &mut [0.0; 1])?;
/// assert_eq!(out, [9.0, 16.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn gram_distances_into<T: Real>(
    arithmetic: Arithmetic,
    x: MatrixRef<'_, T>,
    y: MatrixRef<'_, T>,
    mut out: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    check_shapes(&x, &y, &out)?;
    let ([norms], scratch) = cut(scratch, [y.rows()])?;
    let minus_two = -(T::ONE + T::ONE);
    gemm(
        Product {
            arithmetic,
            alpha: minus_two,
            ..Product::PLAIN
        },
        x,
        y.t(),
        out.reborrow(),
        scratch,
    )?;
    fill_norms(norms, y);
    for (out, x) in out.row_iter_mut().zip(x.row_iter()) {
        T::Kernels::from_gram(vector::norm2_squared(x), norms, out);
    }
    Ok(())
}

/// All squared distances within one set by way of the Gram matrix: symmetric, the diagonal exactly 0.
///
/// Accuracy and scratch are those of [`gram_distances_into`] with `y = x`.
///
/// # Errors
/// [`Error::Length`] when the shapes do not fit or `scratch` is shorter than the rows of `x`; `out` is unchanged.
///
/// ```
/// use thalweg::Arithmetic;
/// use thalweg::matrix::{MatrixMut, MatrixRef, gram_self_distances_into};
/// let x = MatrixRef::new(&[0.0_f32, 0.0, 3.0, 4.0], 2, 2)?;
/// let mut out = [9.0; 4];
/// gram_self_distances_into(Arithmetic::Portable, x, MatrixMut::new(&mut out, 2, 2)?, &mut [0.0; 2])?;
/// assert_eq!(out, [0.0, 25.0, 25.0, 0.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn gram_self_distances_into<T: Real>(
    arithmetic: Arithmetic,
    x: MatrixRef<'_, T>,
    mut out: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    check_shapes(&x, &x, &out)?;
    let ([norms], scratch) = cut(scratch, [x.rows()])?;
    let minus_two = -(T::ONE + T::ONE);
    syrk(
        Product {
            arithmetic,
            alpha: minus_two,
            ..Product::PLAIN
        },
        x,
        Upper::Mirror,
        out.reborrow(),
        scratch,
    )?;
    fill_norms(norms, x);
    for (i, out) in out.row_iter_mut().enumerate() {
        let norm = must(norms.get(i).copied());
        T::Kernels::from_gram(norm, norms, out);
        if let Some(diagonal) = out.get_mut(i) {
            *diagonal = T::ZERO;
        }
    }
    Ok(())
}

fn fill_norms<T: Real>(norms: &mut [T], y: MatrixRef<'_, T>) {
    for (norm, y) in norms.iter_mut().zip(y.row_iter()) {
        *norm = vector::norm2_squared(y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn rows(n: usize, d: usize, phase: usize) -> Vec<f32> {
        (0..n * d)
            .map(|i| ((i * 37 + phase) % 251) as f32 / 64.0 - 1.9)
            .collect()
    }

    fn exact(x: &[f32], y: &[f32]) -> f64 {
        let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
        x.iter().zip(y).map(square).sum()
    }

    #[test]
    fn both_forms_agree_with_differences_in_double_precision() {
        for (n, m, d) in [(0, 3, 2), (3, 2, 0), (1, 1, 1), (13, 29, 7), (40, 33, 70)] {
            let (x, y) = (rows(n, d, 3), rows(m, d, 50));
            let (xm, ym) = (
                MatrixRef::new(&x, n, d).unwrap(),
                MatrixRef::new(&y, m, d).unwrap(),
            );
            let (mut a, mut b) = (vec![9.0; n * m], vec![9.0; n * m]);
            squared_distances_into(xm, ym, MatrixMut::new(&mut a, n, m).unwrap()).unwrap();
            for length in [m, gram_distances_scratch(n, m, d)] {
                let view = MatrixMut::new(&mut b, n, m).unwrap();
                let mut scratch = vec![0.0; length];
                gram_distances_into(Arithmetic::Portable, xm, ym, view, &mut scratch).unwrap();
                for i in 0..n {
                    for j in 0..m {
                        let (x, y) = (xm.row(i).unwrap(), ym.row(j).unwrap());
                        let exact = exact(x, y);
                        let norms: f64 = [x, y]
                            .into_iter()
                            .flatten()
                            .map(|v| f64::from(*v).powi(2))
                            .sum();
                        let u = f64::from(f32::EPSILON) / 2.0;
                        assert!((f64::from(a[i * m + j]) - exact).abs() <= 10.0 * u * exact);
                        let bound = 2.0 * d as f64 * u * norms;
                        assert!((f64::from(b[i * m + j]) - exact).abs() <= bound);
                    }
                }
            }
        }
    }

    #[test]
    fn distances_within_a_set_are_symmetric_with_an_exact_diagonal() {
        let (n, d) = (37, 19);
        let mut x = rows(n, d, 3);
        // Far from the origin, where the Gram form cancels.
        x.iter_mut().for_each(|v| *v += 100.0);
        let x = MatrixRef::new(&x, n, d).unwrap();
        let mut out = vec![0.0; n * n];
        let mut scratch = vec![0.0; gram_distances_scratch(n, n, d)];
        for arithmetic in [Arithmetic::Portable, Arithmetic::Fast] {
            let view = MatrixMut::new(&mut out, n, n).unwrap();
            gram_self_distances_into(arithmetic, x, view, &mut scratch).unwrap();
            for i in 0..n {
                assert_eq!(out[i * n + i].to_bits(), 0);
                for j in 0..n {
                    assert_eq!(out[i * n + j], out[j * n + i]);
                    assert!(out[i * n + j] >= 0.0);
                }
            }
        }
    }

    #[test]
    fn the_explicit_form_keeps_near_duplicates_that_the_gram_form_loses() {
        let x = [1000.0_f32, 2000.0, 1000.0 + 1.0 / 1024.0, 2000.0];
        let x = MatrixRef::new(&x, 2, 2).unwrap();
        let (mut a, mut b) = ([0.0; 4], [0.0; 4]);
        squared_distances_into(x, x, MatrixMut::new(&mut a, 2, 2).unwrap()).unwrap();
        let view = MatrixMut::new(&mut b, 2, 2).unwrap();
        gram_self_distances_into(Arithmetic::Portable, x, view, &mut [0.0; 2]).unwrap();
        assert_eq!(a, [0.0, f32::powi(2.0, -20), f32::powi(2.0, -20), 0.0]);
        assert_ne!(b[1], a[1]);
    }

    #[test]
    fn shapes_and_scratch_are_checked_by_name() {
        let x = MatrixRef::new(&[1.0_f32; 6], 2, 3).unwrap();
        let y = MatrixRef::new(&[1.0_f32; 4], 2, 2).unwrap();
        let mut out = [7.0; 4];
        let name = |r: Result<(), Error>| match r {
            Err(Error::Length { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        let found = squared_distances_into(x, y, MatrixMut::new(&mut out, 2, 2).unwrap());
        assert_eq!(name(found), "columns of y");
        let view = MatrixMut::new(&mut out, 1, 4).unwrap();
        assert_eq!(name(squared_distances_into(x, x, view)), "rows of out");
        let view = MatrixMut::new(&mut out, 2, 2).unwrap();
        let found = gram_distances_into(Arithmetic::Portable, x, x, view, &mut [0.0]);
        assert_eq!(name(found), "scratch");
        assert_eq!(out, [7.0; 4]);
    }
}
