//! nalgebra matrices seen as views, and views seen as nalgebra matrices, without a copy.

use nalgebra::base::storage::{IsContiguous, RawStorage, RawStorageMut};
use nalgebra::{Const, Dim, Dyn, Matrix, MatrixView, MatrixViewMut, Scalar};

use super::{Factor, MatrixMut, MatrixRef};
use crate::memory::must_or;

/// A read view of run-time shape with strides, as nalgebra writes it.
pub(super) type View<'a, T> = MatrixView<'a, T, Dyn, Dyn, Dyn, Const<1>>;
/// A written view of run-time shape with strides, as nalgebra writes it.
pub(super) type ViewMut<'a, T> = MatrixViewMut<'a, T, Dyn, Dyn, Dyn, Const<1>>;

/// Rows without elements all start at the same place: nalgebra checks the length of the data by the start of
/// the last row.
const fn row_stride(columns: usize, stride: usize) -> usize {
    if columns == 0 { 0 } else { stride }
}

impl<'a, T: Scalar> MatrixRef<'a, T> {
    /// The same matrix of the same shape for nalgebra.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// let a = MatrixRef::new(&[1.0_f64, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3)?.as_nalgebra();
    /// assert_eq!((a.shape(), a[(0, 2)]), ((2, 3), 3.0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn as_nalgebra(&self) -> View<'a, T> {
        MatrixView::from_slice_with_strides_generic(
            self.data(),
            Dyn(self.rows()),
            Dyn(self.columns()),
            Dyn(row_stride(self.columns(), self.stride())),
            Const::<1>,
        )
    }

    /// The transpose of a contiguous nalgebra matrix, which is column-major: its columns are the rows here.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// let m = nalgebra::Matrix2x3::new(1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0);
    /// let a = MatrixRef::transpose_of(&m);
    /// assert_eq!((a.rows(), a.row(2)), (3, Some(&[3.0, 6.0][..])));
    /// ```
    pub fn transpose_of<R: Dim, C: Dim, S: RawStorage<T, R, C> + IsContiguous>(
        matrix: &'a Matrix<T, R, C, S>,
    ) -> Self {
        let (rows, columns) = matrix.shape();
        // A contiguous storage holds exactly rows * columns elements.
        must_or(
            Self::new(matrix.as_slice(), columns, rows).ok(),
            Self::empty(),
        )
    }
}

impl<'a, T: Scalar> MatrixMut<'a, T> {
    /// The same matrix of the same shape for nalgebra, to be written.
    ///
    /// ```
    /// let mut data = [1.0_f64, 2.0, 3.0, 4.0];
    /// let a = thalweg::matrix::MatrixMut::new(&mut data, 2, 2)?;
    /// a.into_nalgebra().transpose_mut();
    /// assert_eq!(data, [1.0, 3.0, 2.0, 4.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn into_nalgebra(self) -> ViewMut<'a, T> {
        let (rows, columns) = (self.rows(), self.columns());
        let stride = row_stride(columns, self.stride());
        MatrixViewMut::from_slice_with_strides_generic(
            self.into_data(),
            Dyn(rows),
            Dyn(columns),
            Dyn(stride),
            Const::<1>,
        )
    }

    /// The transpose of a contiguous nalgebra matrix, to be written.
    ///
    /// ```
    /// use thalweg::matrix::MatrixMut;
    /// let mut m = nalgebra::Matrix2::<f32>::zeros();
    /// if let Some(x) = MatrixMut::transpose_of(&mut m).get_mut(0, 1) {
    ///     *x = 5.0;
    /// }
    /// assert_eq!(m[(1, 0)], 5.0);
    /// ```
    pub fn transpose_of<R: Dim, C: Dim, S: RawStorageMut<T, R, C> + IsContiguous>(
        matrix: &'a mut Matrix<T, R, C, S>,
    ) -> Self {
        let (rows, columns) = matrix.shape();
        // A contiguous storage holds exactly rows * columns elements.
        must_or(
            Self::new(matrix.as_mut_slice(), columns, rows).ok(),
            Self::empty(),
        )
    }
}

/// A contiguous nalgebra matrix as a factor of the same shape.
///
/// ```
/// use thalweg::matrix::Factor;
/// let m = nalgebra::Matrix2x3::new(1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0);
/// let a = Factor::from(&m);
/// assert_eq!((a.rows(), a.columns(), a.get(0, 2)), (2, 3, Some(3.0)));
/// ```
impl<'a, T, R, C, S> From<&'a Matrix<T, R, C, S>> for Factor<'a, T>
where
    T: Scalar,
    R: Dim,
    C: Dim,
    S: RawStorage<T, R, C> + IsContiguous,
{
    fn from(matrix: &'a Matrix<T, R, C, S>) -> Self {
        Self::Transposed(MatrixRef::transpose_of(matrix))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nalgebra::SMatrix;

    #[test]
    fn strided_views_keep_shape_and_elements_in_nalgebra() {
        let data: [f64; 14] = core::array::from_fn(|i| i as f64);
        let a = MatrixRef::with_stride(&data, 3, 4, 5).unwrap();
        let n = a.as_nalgebra();
        for i in 0..3 {
            for j in 0..4 {
                assert_eq!(Some(n[(i, j)]), a.get(i, j));
            }
        }
        for (r, c) in [(0, 0), (0, 4), (3, 0)] {
            let empty = MatrixRef::with_stride(&data, r, c, 5).unwrap();
            assert_eq!(empty.as_nalgebra().shape(), (r, c));
        }
    }

    #[test]
    fn a_fixed_matrix_goes_through_gemm_without_a_copy() {
        let a = SMatrix::<f64, 2, 3>::new(1.0, 2.0, 3.0, 4.0, 5.0, 6.0);
        let b = SMatrix::<f64, 3, 2>::new(7.0, 8.0, 9.0, 10.0, 11.0, 12.0);
        let mut c = SMatrix::<f64, 2, 2>::zeros();
        // (A B)^T = B^T A^T, and a column-major C is the row-major C^T.
        crate::matrix::gemm(
            crate::matrix::Product::PLAIN,
            Factor::from(&b).t(),
            Factor::from(&a).t(),
            MatrixMut::transpose_of(&mut c),
            &mut [],
        )
        .unwrap();
        assert_eq!(c, SMatrix::<f64, 2, 2>::new(58.0, 64.0, 139.0, 154.0));
    }
}
