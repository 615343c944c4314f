//! Matrices: row-major views of the caller's slices, and dense linear algebra on them.
//!
//! | function | what | cost (flops) | scratch |
//! |---|---|---|---|
//! | [`gemv`], [`gemv_transposed`] | `y <- alpha A x + beta y`, `y <- alpha A^T x + beta y` | `2 m n` | none |
//! | [`gemm`] | `C <- alpha A B + beta C`, each factor plain or transposed | `2 m n k` | [`gemm_scratch`], may be empty |
//! | [`syrk`] | `C <- alpha A A^T + beta C` | `n^2 k` | as [`gemm`] |
//! | [`squared_distances_into`] | by differences, accurate at any distance | `3 n m d` | none |
//! | [`gram_distances_into`], [`gram_self_distances_into`] | by inner products, fast | `2 n m d`, `n^2 d` | [`gram_distances_scratch`] |
//! | [`cholesky`] | `A = L L^T` in place | `n^3 / 3` | none |
//! | [`cholesky_solve`], [`cholesky_solve_vector`], [`solve_lower`], [`solve_lower_transposed`] | solves with `L` | `2 n^2` a side | none |
//! | [`symmetric_eigen`] | eigenvalues, eigenvectors as rows | `9 n^3` | [`symmetric_eigen_scratch`] |
//! | [`log_determinant`], [`trace`], [`add_diagonal`], [`transpose_into`], [`symmetrize`] | what they say | `n` to `n^2` | none |
//!
//! # Shapes and storage
//! [`MatrixRef`] and [`MatrixMut`] are slices with a number of rows, of columns, and a distance between rows
//! (`stride`), so a block of a matrix is a matrix. Element `(i, j)` is `data[i * stride + j]`. A transpose is
//! not a layout but a role in a product: [`Factor::Transposed`].
//!
//! nalgebra is column-major: a row-major `r x c` view is a column-major `c x r` one.
//! [`MatrixRef::as_nalgebra`] keeps the shape by means of strides; `From<&SMatrix>` for [`Factor`] keeps it by
//! means of the transposed role; nothing is copied.
//!
//! # The order of sums
//! Each function states the order in which it adds. No order depends on the register width, on blocking, or
//! on how the rows of a result are divided among threads.

mod cholesky;
mod distance;
mod eigen;
mod elementary;
mod gemm;
mod gemv;
#[cfg(feature = "nalgebra")]
mod nalgebra;
mod syrk;
pub(crate) mod tile;
mod view;

pub use cholesky::{
    cholesky, cholesky_solve, cholesky_solve_vector, log_determinant, solve_lower,
    solve_lower_transposed,
};
pub use distance::{
    gram_distances_into, gram_distances_scratch, gram_self_distances_into, squared_distances_into,
};
pub use eigen::{symmetric_eigen, symmetric_eigen_scratch};
pub use elementary::{add_diagonal, symmetrize, trace, transpose_into};
pub(crate) use gemm::pack;
pub use gemm::{Product, gemm, gemm_scratch};
pub use gemv::{gemv, gemv_transposed};
pub use syrk::{Upper, syrk};
pub use view::{Factor, MatrixMut, MatrixRef, Rows, RowsMut};

use crate::real::kernels;
use crate::simd;

kernels! {
    /// The loops behind the functions of this module.
    trait Kernels<T> {
        fn product(job: gemm::Job<'_, T>) {
            gemm::packed(job);
        }
        fn add_row(a: T, x: &[T], y: &mut [T]) {
            simd::update(&gemv::AddRows([a]), [y], [x]);
        }
        fn add_two_rows(a: [T; 2], x: [&[T]; 2], y: &mut [T]) {
            simd::update(&gemv::AddRows(a), [y], x);
        }
        fn add_four_rows(a: [T; gemv::ROWS], x: [&[T]; gemv::ROWS], y: &mut [T]) {
            simd::update(&gemv::AddRows(a), [y], x);
        }
        fn from_gram(norm: T, norms: &[T], out: &mut [T]) {
            simd::update(&distance::FromGram(norm), [out], [norms]);
        }
        fn rotate(c: T, s: T, x: &mut [T], y: &mut [T]) {
            simd::update(&eigen::Rotate(c, s), [x, y], []);
        }
    }
}
