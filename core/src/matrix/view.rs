//! Row-major views with a stride.

use core::ops::Range;

use crate::Error;
use crate::error::{check, check_length, check_scratch};

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
    data: &'a [T],
    rows: usize,
    columns: usize,
    stride: usize,
}

impl<T> Clone for MatrixRef<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for MatrixRef<'_, T> {}

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

/// Elements from the first to the last of a matrix; an error when the count does not fit a `usize`.
fn span(rows: usize, columns: usize, stride: usize) -> Result<usize, Error> {
    check(
        "stride",
        stride >= columns && stride <= isize::MAX as usize,
        "must be at least `columns` and fit the address space",
    )?;
    if rows == 0 || columns == 0 {
        return Ok(0);
    }
    (rows - 1)
        .checked_mul(stride)
        .and_then(|n| n.checked_add(columns))
        .ok_or(Error::Parameter {
            name: "rows",
            rule: "times `stride` must fit the address space",
        })
}

/// Checks that a range lies within `0..length`.
fn check_range(name: &'static str, range: &Range<usize>, length: usize) -> Result<(), Error> {
    check(
        name,
        range.start <= range.end && range.end <= length,
        "must be a range within the matrix",
    )
}

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
        check_scratch("data", least, data.len())?;
        Ok(Self {
            data: data.get(..least).unwrap_or(data),
            rows,
            columns,
            stride,
        })
    }

    /// A matrix without elements.
    pub(super) const fn empty() -> Self {
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
        Self::with_stride(self.data.get(first..).unwrap_or(&[]), r, c, self.stride)
    }

    /// This matrix in the role of its transpose, for [`gemm`](super::gemm).
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
        check_scratch("data", least, data.len())?;
        Ok(Self {
            data: data.get_mut(..least).unwrap_or(&mut []),
            rows,
            columns,
            stride,
        })
    }

    /// A matrix without elements.
    pub(super) const fn empty() -> Self {
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
        let data = self.data.get_mut(first..).unwrap_or(&mut []);
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
        let (above, below) = self
            .data
            .split_at_mut_checked(cut)
            .unwrap_or((&mut [], &mut []));
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
            part(above.get_mut(..kept).unwrap_or(&mut []), top),
            part(below, self.rows - top),
        )
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

/// A factor of a product: a matrix as it is, or in the role of its transpose.
///
/// A [`MatrixRef`] converts into the plain form, [`MatrixRef::t`] gives the other.
///
/// ```
/// use thalweg::matrix::{Factor, MatrixRef};
/// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
/// assert_eq!(Factor::from(a).get(0, 1), Some(2.0));
/// assert_eq!(a.t().get(0, 1), Some(4.0));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
pub enum Factor<'a, T> {
    /// The matrix.
    Plain(MatrixRef<'a, T>),
    /// Its transpose.
    Transposed(MatrixRef<'a, T>),
}

impl<T> Clone for Factor<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Factor<'_, T> {}

impl<'a, T> From<MatrixRef<'a, T>> for Factor<'a, T> {
    #[inline]
    fn from(matrix: MatrixRef<'a, T>) -> Self {
        Self::Plain(matrix)
    }
}

impl<'a, T> Factor<'a, T> {
    /// Rows of the factor.
    ///
    /// ```
    /// let a = thalweg::matrix::MatrixRef::new(&[0.0_f32; 6], 2, 3)?;
    /// assert_eq!(a.t().rows(), 3);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn rows(&self) -> usize {
        match self {
            Self::Plain(m) => m.rows,
            Self::Transposed(m) => m.columns,
        }
    }

    /// Columns of the factor.
    ///
    /// ```
    /// let a = thalweg::matrix::MatrixRef::new(&[0.0_f32; 6], 2, 3)?;
    /// assert_eq!(a.t().columns(), 2);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn columns(&self) -> usize {
        match self {
            Self::Plain(m) => m.columns,
            Self::Transposed(m) => m.rows,
        }
    }

    /// One element of the factor; `None` outside it.
    ///
    /// ```
    /// let a = thalweg::matrix::MatrixRef::new(&[1.0_f32, 2.0], 1, 2)?;
    /// assert_eq!(a.t().get(1, 0), Some(2.0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub fn get(&self, i: usize, j: usize) -> Option<T>
    where
        T: Copy,
    {
        match self {
            Self::Plain(m) => m.get(i, j),
            Self::Transposed(m) => m.get(j, i),
        }
    }

    /// The transpose of this factor.
    ///
    /// ```
    /// let a = thalweg::matrix::MatrixRef::new(&[0.0_f32; 6], 2, 3)?;
    /// assert_eq!(a.t().t().rows(), 2);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[inline]
    pub const fn t(self) -> Self {
        match self {
            Self::Plain(m) => Self::Transposed(m),
            Self::Transposed(m) => Self::Plain(m),
        }
    }

    /// The factor of some rows: what a thread needs that computes these rows of a product.
    ///
    /// # Errors
    /// [`Error::Parameter`] when the range does not lie within the factor.
    ///
    /// ```
    /// let a = thalweg::matrix::MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?;
    /// assert_eq!(a.t().row_range(1..3)?.get(0, 1), Some(5.0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn row_range(&self, rows: Range<usize>) -> Result<Self, Error> {
        Ok(match self {
            Self::Plain(m) => Self::Plain(m.block(rows, 0..m.columns)?),
            Self::Transposed(m) => Self::Transposed(m.block(0..m.rows, rows)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn constructors_name_what_is_wrong() {
        let data = [0.0_f32; 10];
        assert_eq!(
            MatrixRef::new(&data, 3, 3).unwrap_err(),
            Error::Length {
                name: "data",
                expected: 9,
                found: 10
            }
        );
        assert!(matches!(
            MatrixRef::with_stride(&data, 2, 3, 2).unwrap_err(),
            Error::Parameter { name: "stride", .. }
        ));
        assert_eq!(
            MatrixRef::with_stride(&data, 3, 3, 4).unwrap_err(),
            Error::Length {
                name: "data",
                expected: 11,
                found: 10
            }
        );
        assert!(matches!(
            MatrixRef::new(&data, usize::MAX, 2).unwrap_err(),
            Error::Parameter { name: "rows", .. }
        ));
        assert!(MatrixMut::new(&mut [0.0_f32; 3], usize::MAX, usize::MAX).is_err());
    }

    #[test]
    fn empty_matrices_have_the_stated_number_of_rows() {
        let none: [f32; 0] = [];
        for (r, c) in [(0, 0), (0, 3), (3, 0)] {
            let a = MatrixRef::new(&none, r, c).unwrap();
            assert_eq!(a.row_iter().count(), r);
            assert_eq!(a.row_iter().map(<[f32]>::len).sum::<usize>(), 0);
            let mut none = none;
            assert_eq!(
                MatrixMut::new(&mut none, r, c)
                    .unwrap()
                    .row_iter_mut()
                    .count(),
                r
            );
        }
    }

    #[test]
    fn a_block_of_a_block_addresses_the_elements_of_the_whole() {
        let data: Vec<usize> = (0..7 * 9).collect();
        let a = MatrixRef::with_stride(&data, 7, 8, 9).unwrap();
        let b = a.block(1..6, 2..8).unwrap().block(2..5, 1..4).unwrap();
        for i in 0..3 {
            for j in 0..3 {
                assert_eq!(b.get(i, j), Some((i + 3) * 9 + j + 3));
            }
        }
        assert!(a.block(3..8, 0..1).is_err() && a.block(0..1, 8..9).is_err());
        #[allow(clippy::reversed_empty_ranges, reason = "the error is the point")]
        let reversed = a.block(3..2, 0..1);
        assert!(reversed.is_err());
        assert_eq!(a.block(7..7, 0..8).unwrap().rows(), 0);
        assert_eq!(a.block(0..7, 8..8).unwrap().row_iter().count(), 7);
    }

    #[test]
    fn split_rows_cover_each_row_once() {
        for i in 0..=5 {
            let mut data = [0_u32; 4 * 5];
            let whole = MatrixMut::with_stride(&mut data, 4, 3, 5).unwrap();
            let (mut top, mut bottom) = whole.split_rows_at(i);
            assert_eq!(top.rows() + bottom.rows(), 4);
            for row in top.row_iter_mut().chain(bottom.row_iter_mut()) {
                row.iter_mut().for_each(|x| *x += 1);
            }
            let row = [1, 1, 1, 0, 0];
            assert_eq!(data.as_chunks::<5>().0, [row; 4], "split at {i}");
        }
    }

    #[test]
    fn written_rows_and_elements_are_those_that_are_read() {
        let mut data = [0_u32; 12];
        let mut a = MatrixMut::with_stride(&mut data, 3, 3, 4).unwrap();
        for (i, row) in a.row_iter_mut().enumerate() {
            for (j, x) in row.iter_mut().enumerate() {
                *x = (10 * i + j) as u32;
            }
        }
        *a.get_mut(2, 1).unwrap() += 500;
        a.block_mut(0..1, 1..3).unwrap().fill(7);
        let rows: Vec<&[u32]> = a.view().row_iter().collect();
        assert_eq!(rows, [&[0, 7, 7], &[10, 11, 12], &[20, 521, 22]]);
        assert_eq!(a.view().t().get(1, 2), Some(521));
        assert_eq!(a.view().t().row_range(1..2).unwrap().get(0, 2), Some(521));
    }
}
