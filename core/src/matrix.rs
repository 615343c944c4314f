//! Matrices: row-major views of the caller's slices, and dense linear algebra on them.
//!
//! | function | what | cost (flops) | scratch |
//! |---|---|---|---|
//! | [`gemv`], [`gemv_transposed`] | `y <- alpha A x + beta y`, `y <- alpha A^T x + beta y` | `2 m n` | none |
//! | [`gemm`] | `C <- alpha A B + beta C`, each factor plain or transposed | `2 m n k` | [`gemm_scratch`], may be empty |
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

mod gemm;
mod gemv;
mod nalgebra;
mod tile;
mod view;

pub use gemm::{gemm, gemm_scratch};
pub use gemv::{gemv, gemv_transposed};
pub use view::{Factor, MatrixMut, MatrixRef, Rows, RowsMut};
