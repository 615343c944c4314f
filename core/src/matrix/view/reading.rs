//! A matrix that is read, and its rows.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use core::ops::Range;

use super::{Factor, check_range, span};
use crate::Error;
use crate::error::check_length;
use crate::memory::{front_ref, must};

/// A matrix that is read: `rows x columns`, element `(i, j)` at `data[i * stride + j]`.
///
/// ```
/// use thalweg::matrix::MatrixRef;
/// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
/// assert_eq!(a.row(1), Some(&[4.0, 5.0, 6.0][..]));
/// assert_eq!(a.get(0, 2), Some(3.0));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
pub struct MatrixRef<'a, T> {
    /// Exactly `span(rows, columns, stride)` elements.
    pub(super) data: &'a [T],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) stride: usize,
}

impl<T> Clone for MatrixRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for MatrixRef<'_, T> {}

impl<'a, T> MatrixRef<'a, T> {
    /// A matrix whose rows follow each other without gaps.
    ///
    /// # Errors
    /// [`Error::Length`] unless `data` holds exactly `rows * columns` elements.
    ///
    /// ```
    /// use thalweg::{Error, matrix::MatrixRef};
    /// let error = MatrixRef::new(&[0.0_f32; 5], 2, 3).unwrap_err();
    /// assert_eq!(error, Error::Length { name: "data", expected: 6, found: 5 });
    /// ```
    pub fn new(data: &'a [T], rows: usize, columns: usize) -> Result<Self, Error> {
        check_length("data", span(rows, columns, columns)?, data.len())?;
        Self::with_stride(data, rows, columns, columns)
    }

    /// A matrix whose rows start `stride` elements apart; elements past the last row are left out.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `stride < columns`, [`Error::Length`] when `data` ends before the last row.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// let a = MatrixRef::with_stride(&[1.0_f32, 2.0, 9.0, 3.0, 4.0], 2, 2, 3)?;
    /// assert_eq!(a.get(1, 0), Some(3.0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn with_stride(
        data: &'a [T],
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> Result<Self, Error> {
        let least = span(rows, columns, stride)?;
        Ok(Self {
            data: front_ref("data", data, least)?,
            rows,
            columns,
            stride,
        })
    }

    /// A matrix without elements.
    #[cfg(feature = "nalgebra")]
    pub(in crate::matrix) const fn empty() -> Self {
        Self {
            data: &[],
            rows: 0,
            columns: 0,
            stride: 0,
        }
    }

    /// Number of rows.
    ///
    /// ```
    /// assert_eq!(thalweg::matrix::MatrixRef::new(&[0.0_f32; 6], 2, 3)?.rows(), 2);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    ///
    /// ```
    /// assert_eq!(thalweg::matrix::MatrixRef::new(&[0.0_f32; 6], 2, 3)?.columns(), 3);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Elements between the starts of two rows.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// assert_eq!(MatrixRef::with_stride(&[0.0_f32; 8], 2, 3, 5)?.stride(), 5);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The elements from the first to the last, gaps between rows included.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// assert_eq!(MatrixRef::new(&[1.0_f32, 2.0], 1, 2)?.data(), [1.0, 2.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn data(&self) -> &'a [T] {
        self.data
    }

    /// One row; `None` past the last.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// let a = MatrixRef::new(&[1.0_f32, 2.0], 2, 1)?;
    /// assert_eq!(a.row(1), Some(&[2.0][..]));
    /// assert_eq!(a.row(2), None);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub fn row(&self, i: usize) -> Option<&'a [T]> {
        if i >= self.rows {
            return None;
        }
        if self.columns == 0 {
            return Some(&[]);
        }
        // i < rows, so the product does not exceed the length of `data`.
        self.data.get(i * self.stride..)?.get(..self.columns)
    }

    /// The rows in order.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0], 2, 2)?;
    /// assert_eq!(a.row_iter().map(|row| row[0]).sum::<f32>(), 4.0);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub fn row_iter(&self) -> Rows<'a, T> {
        Rows {
            matrix: *self,
            next: 0,
        }
    }

    /// One element; `None` outside the matrix.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// let a = MatrixRef::new(&[1.0_f32, 2.0], 1, 2)?;
    /// assert_eq!((a.get(0, 1), a.get(0, 2)), (Some(2.0), None));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub fn get(&self, i: usize, j: usize) -> Option<T>
    where
        T: Copy,
    {
        self.row(i)?.get(j).copied()
    }

    /// The block of some rows and some columns.
    ///
    /// # Errors
    /// [`Error::Parameter`] when a range does not lie within the matrix.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
    /// let b = a.block(0..2, 1..3)?;
    /// assert_eq!(b.row(1), Some(&[5.0, 6.0][..]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn block(&self, rows: Range<usize>, columns: Range<usize>) -> Result<Self, Error> {
        check_range("rows", &rows, self.rows)?;
        check_range("columns", &columns, self.columns)?;
        let (r, c) = (rows.end - rows.start, columns.end - columns.start);
        if r == 0 || c == 0 {
            return Self::with_stride(&[], r, c, self.stride);
        }
        // The block is not empty, so its first element exists.
        let first = rows.start * self.stride + columns.start;
        Self::with_stride(must(self.data.get(first..)), r, c, self.stride)
    }

    /// This matrix in the role of its transpose, for [`gemm`](crate::matrix::gemm).
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// let a = MatrixRef::new(&[0.0_f32; 6], 2, 3)?;
    /// assert_eq!((a.t().rows(), a.t().columns()), (3, 2));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn t(self) -> Factor<'a, T> {
        Factor::Transposed(self)
    }
}

/// The rows of a [`MatrixRef`]; see [`MatrixRef::row_iter`].
#[derive(Debug)]
pub struct Rows<'a, T> {
    matrix: MatrixRef<'a, T>,
    next: usize,
}

impl<'a, T> Iterator for Rows<'a, T> {
    type Item = &'a [T];

    #[inline]
    fn next(&mut self) -> Option<&'a [T]> {
        let row = self.matrix.row(self.next)?;
        self.next += 1;
        Some(row)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.matrix.rows - self.next;
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Rows<'_, T> {}
