//! The role of a matrix in a product.

use core::ops::Range;

use super::MatrixRef;
use crate::Error;

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
            Self::Plain(m) => m.rows(),
            Self::Transposed(m) => m.columns(),
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
            Self::Plain(m) => m.columns(),
            Self::Transposed(m) => m.rows(),
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
            Self::Plain(m) => Self::Plain(m.block(rows, 0..m.columns())?),
            Self::Transposed(m) => Self::Transposed(m.block(0..m.rows(), rows)?),
        })
    }
}
