//! A matrix that is written, and its rows.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use core::ops::Range;

use super::{MatrixRef, check_range, span};
use crate::Error;
use crate::error::check_length;
use crate::memory::{front, must};

/// A matrix that is written: as [`MatrixRef`].
///
/// ```
/// use thalweg::matrix::MatrixMut;
/// let mut data = [0.0_f32; 4];
/// let mut a = MatrixMut::new(&mut data, 2, 2)?;
/// if let Some(row) = a.row_mut(1) {
///     row.copy_from_slice(&[5.0, 6.0]);
/// }
/// assert_eq!(data, [0.0, 0.0, 5.0, 6.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
pub struct MatrixMut<'a, T> {
    /// Exactly `span(rows, columns, stride)` elements.
    data: &'a mut [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<'a, T> MatrixMut<'a, T> {
    /// A matrix whose rows follow each other without gaps.
    ///
    /// # Errors
    /// [`Error::Length`] unless `data` holds exactly `rows * columns` elements.
    ///
    /// ```
    /// assert!(thalweg::matrix::MatrixMut::new(&mut [0.0_f32; 6], 2, 3).is_ok());
    /// assert!(thalweg::matrix::MatrixMut::new(&mut [0.0_f32; 7], 2, 3).is_err());
    /// ```
    pub fn new(data: &'a mut [T], rows: usize, columns: usize) -> Result<Self, Error> {
        check_length("data", span(rows, columns, columns)?, data.len())?;
        Self::with_stride(data, rows, columns, columns)
    }

    /// A matrix whose rows start `stride` elements apart; elements past the last row are left out.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `stride < columns`, [`Error::Length`] when `data` ends before the last row.
    ///
    /// ```
    /// use thalweg::matrix::MatrixMut;
    /// let mut data = [0.0_f32; 5];
    /// MatrixMut::with_stride(&mut data, 2, 2, 3)?.fill(1.0);
    /// assert_eq!(data, [1.0, 1.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn with_stride(
        data: &'a mut [T],
        rows: usize,
        columns: usize,
        stride: usize,
    ) -> Result<Self, Error> {
        let least = span(rows, columns, stride)?;
        Ok(Self {
            data: front("data", data, least)?,
            rows,
            columns,
            stride,
        })
    }

    /// A matrix without elements.
    #[cfg(feature = "nalgebra")]
    pub(in crate::matrix) const fn empty() -> Self {
        Self {
            data: &mut [],
            rows: 0,
            columns: 0,
            stride: 0,
        }
    }

    /// Number of rows.
    ///
    /// ```
    /// assert_eq!(thalweg::matrix::MatrixMut::new(&mut [0.0_f32; 6], 2, 3)?.rows(), 2);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    ///
    /// ```
    /// assert_eq!(thalweg::matrix::MatrixMut::new(&mut [0.0_f32; 6], 2, 3)?.columns(), 3);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Elements between the starts of two rows.
    ///
    /// ```
    /// assert_eq!(thalweg::matrix::MatrixMut::new(&mut [0.0_f32; 6], 2, 3)?.stride(), 3);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// The same matrix, to be read.
    ///
    /// ```
    /// let mut data = [1.0_f32, 2.0];
    /// let a = thalweg::matrix::MatrixMut::new(&mut data, 1, 2)?;
    /// assert_eq!(a.view().get(0, 1), Some(2.0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn view(&self) -> MatrixRef<'_, T> {
        MatrixRef {
            data: self.data,
            rows: self.rows,
            columns: self.columns,
            stride: self.stride,
        }
    }

    /// The same matrix with a shorter borrow, for functions that take a [`MatrixMut`] by value.
    ///
    /// ```
    /// let mut data = [1.0_f32, 2.0];
    /// let mut a = thalweg::matrix::MatrixMut::new(&mut data, 1, 2)?;
    /// a.reborrow().fill(3.0);
    /// assert_eq!(a.view().get(0, 0), Some(3.0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn reborrow(&mut self) -> MatrixMut<'_, T> {
        MatrixMut {
            data: self.data,
            rows: self.rows,
            columns: self.columns,
            stride: self.stride,
        }
    }

    /// The elements from the first to the last, gaps between rows included.
    ///
    /// ```
    /// let mut data = [1.0_f32, 2.0];
    /// let a = thalweg::matrix::MatrixMut::new(&mut data, 1, 2)?;
    /// assert_eq!(a.into_data(), [1.0, 2.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn into_data(self) -> &'a mut [T] {
        self.data
    }

    /// One row; `None` past the last.
    ///
    /// ```
    /// let mut data = [1.0_f32, 2.0];
    /// let mut a = thalweg::matrix::MatrixMut::new(&mut data, 2, 1)?;
    /// assert!(a.row_mut(1).is_some() && a.row_mut(2).is_none());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub fn row_mut(&mut self, i: usize) -> Option<&mut [T]> {
        if i >= self.rows {
            return None;
        }
        if self.columns == 0 {
            return Some(&mut []);
        }
        // i < rows, so the product does not exceed the length of `data`.
        self.data
            .get_mut(i * self.stride..)?
            .get_mut(..self.columns)
    }

    /// The rows in order.
    ///
    /// ```
    /// let mut data = [0.0_f32; 4];
    /// let mut a = thalweg::matrix::MatrixMut::new(&mut data, 2, 2)?;
    /// for (i, row) in a.row_iter_mut().enumerate() {
    ///     row.fill(i as f32);
    /// }
    /// assert_eq!(data, [0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn row_iter_mut(&mut self) -> RowsMut<'_, T> {
        RowsMut {
            rest: self.reborrow(),
        }
    }

    /// One element, to be written; `None` outside the matrix.
    ///
    /// ```
    /// let mut data = [0.0_f32; 4];
    /// let mut a = thalweg::matrix::MatrixMut::new(&mut data, 2, 2)?;
    /// if let Some(x) = a.get_mut(1, 0) {
    ///     *x = 7.0;
    /// }
    /// assert_eq!(data, [0.0, 0.0, 7.0, 0.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub fn get_mut(&mut self, i: usize, j: usize) -> Option<&mut T> {
        self.row_mut(i)?.get_mut(j)
    }

    /// Writes one value to every element; gaps between rows are left alone.
    ///
    /// ```
    /// let mut data = [0.0_f32; 4];
    /// thalweg::matrix::MatrixMut::new(&mut data, 2, 2)?.fill(2.0);
    /// assert_eq!(data, [2.0; 4]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn fill(&mut self, value: T)
    where
        T: Copy,
    {
        for row in self.row_iter_mut() {
            row.fill(value);
        }
    }

    /// The block of some rows and some columns.
    ///
    /// # Errors
    /// [`Error::Parameter`] when a range does not lie within the matrix.
    ///
    /// ```
    /// let mut data = [0.0_f32; 6];
    /// let mut a = thalweg::matrix::MatrixMut::new(&mut data, 2, 3)?;
    /// a.block_mut(1..2, 1..3)?.fill(1.0);
    /// assert_eq!(data, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn block_mut(
        &mut self,
        rows: Range<usize>,
        columns: Range<usize>,
    ) -> Result<MatrixMut<'_, T>, Error> {
        check_range("rows", &rows, self.rows)?;
        check_range("columns", &columns, self.columns)?;
        let (r, c) = (rows.end - rows.start, columns.end - columns.start);
        if r == 0 || c == 0 {
            return MatrixMut::with_stride(&mut [], r, c, self.stride);
        }
        // The block is not empty, so its first element exists.
        let first = rows.start * self.stride + columns.start;
        let data = must(self.data.get_mut(first..));
        MatrixMut::with_stride(data, r, c, self.stride)
    }

    /// The rows before row `i`, and the rest: how threads share a result.
    ///
    /// All rows are in the first part when `i` is past the last.
    ///
    /// ```
    /// let mut data = [0.0_f32; 6];
    /// let a = thalweg::matrix::MatrixMut::new(&mut data, 3, 2)?;
    /// let (top, mut bottom) = a.split_rows_at(1);
    /// bottom.fill(1.0);
    /// assert_eq!((top.rows(), bottom.rows()), (1, 2));
    /// assert_eq!(data, [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn split_rows_at(self, i: usize) -> (Self, Self) {
        let top = i.min(self.rows);
        // At most the first element past `data`, so no overflow.
        let cut = self.data.len().min(top.saturating_mul(self.stride));
        let (above, below) = must(self.data.split_at_mut_checked(cut));
        // The gap after the last row above is no part of the view.
        let gap = if below.is_empty() {
            0
        } else {
            self.stride - self.columns
        };
        let kept = above.len().saturating_sub(gap);
        let part = |data, rows| Self {
            data,
            rows,
            columns: self.columns,
            stride: self.stride,
        };
        (
            part(must(above.get_mut(..kept)), top),
            part(below, self.rows - top),
        )
    }
}

/// The rows of a [`MatrixMut`]; see [`MatrixMut::row_iter_mut`].
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    rest: MatrixMut<'a, T>,
}

impl<'a, T> Iterator for RowsMut<'a, T> {
    type Item = &'a mut [T];

    #[inline]
    fn next(&mut self) -> Option<&'a mut [T]> {
        let rest = &mut self.rest;
        rest.rows = rest.rows.checked_sub(1)?;
        let cut = rest.stride.min(rest.data.len());
        let (row, below) = core::mem::take(&mut rest.data).split_at_mut_checked(cut)?;
        rest.data = below;
        row.get_mut(..rest.columns)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.rest.rows, Some(self.rest.rows))
    }
}

impl<T> ExactSizeIterator for RowsMut<'_, T> {}
