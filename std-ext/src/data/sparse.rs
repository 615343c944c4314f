//! Rows that are mostly zero.

use super::dataset::Dataset;
use super::error::{DataError, check};
use super::limits::Limits;
use super::targets::Targets;

/// Compressed sparse rows: for each row its columns, ascending, and their values.
///
/// ```
/// use thalweg_std::data::libsvm;
/// let data = libsvm::read("1 2:0.5\n2 1:1 3:2\n".as_bytes(), "two", &Default::default())?;
/// let csr = &data.features;
/// assert_eq!((csr.rows(), csr.columns(), csr.non_zeros()), (2, 3, 3));
/// assert_eq!(csr.row(1), Some((&[0, 2][..], &[1.0, 2.0][..])));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Csr {
    pub(super) columns: usize,
    /// Where each row starts; one more than the rows.
    pub(super) starts: Vec<usize>,
    pub(super) indices: Vec<u32>,
    pub(super) values: Vec<f32>,
}

impl Csr {
    /// Number of rows.
    ///
    /// ```
    /// let data = thalweg_std::data::libsvm::read("1 3:0.5\n".as_bytes(), "one", &Default::default())?;
    /// assert_eq!(data.features.rows(), 1);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Number of columns.
    ///
    /// ```
    /// let data = thalweg_std::data::libsvm::read("1 3:0.5\n".as_bytes(), "one", &Default::default())?;
    /// assert_eq!(data.features.columns(), 3);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Number of stored values.
    ///
    /// ```
    /// let data = thalweg_std::data::libsvm::read("1 3:0.5\n".as_bytes(), "one", &Default::default())?;
    /// assert_eq!(data.features.non_zeros(), 1);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn non_zeros(&self) -> usize {
        self.values.len()
    }

    /// Columns (from 0) and values of one row.
    ///
    /// ```
    /// let data = thalweg_std::data::libsvm::read("1 3:0.5\n".as_bytes(), "one", &Default::default())?;
    /// assert_eq!(data.features.row(0), Some((&[2][..], &[0.5][..])));
    /// assert_eq!(data.features.row(1), None);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn row(&self, i: usize) -> Option<(&[u32], &[f32])> {
        let range = *self.starts.get(i)?..*self.starts.get(i + 1)?;
        Some((self.indices.get(range.clone())?, self.values.get(range)?))
    }
}

/// Sparse rows with their targets.
///
/// ```
/// use thalweg_std::data::{Limits, libsvm};
/// let data = libsvm::read("-1 2:0.5\n+1 1:1\n".as_bytes(), "two", &Default::default())?;
/// let dense = data.to_dense(&Limits::default())?;
/// assert_eq!(dense.features(), [0.0, 0.5, 1.0, 0.0]);
/// assert_eq!(dense.labels(), [0, 1]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SparseDataset {
    /// The rows.
    pub features: Csr,
    /// What is to be predicted for each.
    pub targets: Targets,
    /// The query that each row belongs to, in files for ranking; empty in others, and where it was skipped.
    pub query_ids: Vec<i64>,
}

impl SparseDataset {
    /// Writes the zeros out; query identifiers are left behind.
    ///
    /// # Errors
    /// [`DataError::TooDense`] when rows times columns is over `limits.values`: one large index makes
    /// every row as long.
    ///
    /// ```
    /// use thalweg_std::data::{Limits, libsvm};
    /// let data = libsvm::read("1 3:0.5\n".as_bytes(), "one", &Default::default())?;
    /// assert_eq!(data.to_dense(&Limits::default())?.features(), [0.0, 0.0, 0.5]);
    /// assert!(data.to_dense(&Limits { values: 2, ..Default::default() }).is_err());
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn to_dense(&self, limits: &Limits) -> Result<Dataset, DataError> {
        let (rows, columns) = (self.features.rows(), self.features.columns);
        let size = rows
            .checked_mul(columns)
            .filter(|&size| size <= limits.values);
        let size = size.ok_or(DataError::TooDense {
            rows,
            columns,
            limit: limits.values,
        })?;
        check("columns", columns > 0, "must be positive")?;
        let mut dense = vec![0.0; size];
        for (i, out) in dense.chunks_exact_mut(columns).enumerate() {
            let (indices, values) = self.features.row(i).unwrap_or_default();
            for (&j, &value) in indices.iter().zip(values) {
                if let Some(slot) = out.get_mut(j as usize) {
                    *slot = value;
                }
            }
        }
        Dataset::new(columns, dense, self.targets.clone())
    }

    /// Gives a test set the columns and the class numbers of its training set.
    ///
    /// A column that never occurs in the test file is missing from its count (`a9a.t` has 122 of 123).
    ///
    /// # Errors
    /// [`DataError::Parameter`] when the test set has more columns or another kind of target;
    /// [`DataError::UnknownLabel`] for a label that `train` has not. Nothing is changed then.
    ///
    /// ```
    /// use thalweg_std::data::libsvm;
    /// let train = libsvm::read("-1 3:1\n+1 1:1\n".as_bytes(), "train", &Default::default())?;
    /// let mut test = libsvm::read("+1 1:1\n".as_bytes(), "test", &Default::default())?;
    /// test.match_to(&train)?;
    /// assert_eq!(test.features.columns(), 3);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn match_to(&mut self, train: &Self) -> Result<(), DataError> {
        let columns = train.features.columns;
        check(
            "columns",
            self.features.columns <= columns,
            "must be at most the training set's",
        )?;
        self.targets.match_to(&train.targets)?;
        self.features.columns = columns;
        Ok(())
    }
}
