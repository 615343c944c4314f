//! Dense rows of numbers with a target each.

use thalweg::model::{Batch, Labels};

use super::error::{DataError, check, check_rows};
use super::targets::Targets;

/// Dense rows of `f32`, row-major, with their targets.
///
/// ```
/// use thalweg_std::data::{Dataset, Targets};
/// let labels = Targets::Class { labels: vec![0, 1], names: vec!["cat".into(), "dog".into()] };
/// let data = Dataset::new(3, vec![1., 2., 3., 4., 5., 6.], labels)?;
/// assert_eq!((data.rows(), data.columns(), data.classes()), (2, 3, 2));
/// assert_eq!(data.row(1), Some(&[4., 5., 6.][..]));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    rows: usize,
    columns: usize,
    features: Vec<f32>,
    targets: Targets,
}

impl Dataset {
    /// A dataset from its parts.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when `columns` is zero, when there is no row, when the lengths disagree or
    /// when a label is not below the number of names.
    ///
    /// ```
    /// use thalweg_std::data::{Dataset, Targets};
    /// assert!(Dataset::new(2, vec![1.0; 3], Targets::Absent).is_err());
    /// ```
    pub fn new(columns: usize, features: Vec<f32>, targets: Targets) -> Result<Self, DataError> {
        check("columns", columns > 0, "must be positive")?;
        let rows = features.len() / columns;
        check_rows(rows)?;
        check(
            "features",
            rows > 0 && features.len() == rows * columns,
            "must hold a positive number of whole rows",
        )?;
        check(
            "targets",
            targets.len().is_none_or(|n| n == rows),
            "must be as many as the rows",
        )?;
        if let Targets::Class { labels, names } = &targets {
            let in_range = labels.iter().all(|&label| (label as usize) < names.len());
            check("labels", in_range, "must be below the number of classes")?;
        }
        Ok(Self {
            rows,
            columns,
            features,
            targets,
        })
    }

    /// Number of rows, at least 1.
    ///
    /// ```
    /// let digits = thalweg_std::data::digits()?;
    /// assert_eq!(digits.rows(), 1797);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of features of a row, at least 1.
    ///
    /// ```
    /// let digits = thalweg_std::data::digits()?;
    /// assert_eq!(digits.columns(), 64);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// All features, row-major, `rows * columns`.
    ///
    /// ```
    /// let digits = thalweg_std::data::digits()?;
    /// assert_eq!(digits.features().len(), 1797 * 64);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// All features, to be changed in place.
    ///
    /// ```
    /// let mut digits = thalweg_std::data::digits()?;
    /// digits.features_mut()[0] = 7.0;
    /// assert_eq!(digits.features()[0], 7.0);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn features_mut(&mut self) -> &mut [f32] {
        &mut self.features
    }

    /// The features of one row.
    ///
    /// ```
    /// let digits = thalweg_std::data::digits()?;
    /// assert_eq!(digits.row(0).map(|row| row[2]), Some(5.0));
    /// assert_eq!(digits.row(1797), None);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn row(&self, i: usize) -> Option<&[f32]> {
        self.features.chunks_exact(self.columns).nth(i)
    }

    /// The targets.
    ///
    /// ```
    /// let digits = thalweg_std::data::digits()?;
    /// assert_eq!(digits.targets().len(), Some(1797));
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn targets(&self) -> &Targets {
        &self.targets
    }

    /// Class of each row; empty unless the targets are classes.
    ///
    /// ```
    /// let digits = thalweg_std::data::digits()?;
    /// assert_eq!(digits.labels()[1796], 8);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        match &self.targets {
            Targets::Class { labels, .. } => labels,
            Targets::Absent | Targets::Real(_) => &[],
        }
    }

    /// Number of classes; zero unless the targets are classes.
    ///
    /// ```
    /// let digits = thalweg_std::data::digits()?;
    /// assert_eq!(digits.classes(), 10);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn classes(&self) -> usize {
        self.class_names().len()
    }

    /// Label of each class as the file has it; empty unless the targets are classes.
    ///
    /// ```
    /// let digits = thalweg_std::data::digits()?;
    /// assert_eq!(digits.class_names()[9], "9");
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn class_names(&self) -> &[String] {
        match &self.targets {
            Targets::Class { names, .. } => names,
            Targets::Absent | Targets::Real(_) => &[],
        }
    }

    /// Multiplies every feature, as by `1.0 / 255.0` for pixels.
    ///
    /// ```
    /// use thalweg_std::data::{Dataset, Targets};
    /// let mut data = Dataset::new(1, vec![16.0, 8.0], Targets::Absent)?;
    /// data.scale(1.0 / 16.0);
    /// assert_eq!(data.features(), [1.0, 0.5]);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn scale(&mut self, factor: f32) {
        for x in &mut self.features {
            *x *= factor;
        }
    }

    /// A copy of some rows, in the order given; a row may be taken more than once.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when `rows` is empty or holds an index that is not a row.
    ///
    /// ```
    /// use thalweg_std::data::{Dataset, Targets};
    /// let data = Dataset::new(1, vec![1.0, 2.0, 3.0], Targets::Absent)?;
    /// assert_eq!(data.select(&[2, 0])?.features(), [3.0, 1.0]);
    /// assert!(data.select(&[3]).is_err());
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn select(&self, rows: &[u32]) -> Result<Self, DataError> {
        const OUT_OF_RANGE: DataError = DataError::Parameter {
            name: "rows",
            rule: "must be below the number of rows",
        };
        let mut features = Vec::with_capacity(rows.len().saturating_mul(self.columns));
        for &i in rows {
            features.extend_from_slice(self.row(i as usize).ok_or(OUT_OF_RANGE)?);
        }
        let targets = self.targets.select(rows).ok_or(OUT_OF_RANGE)?;
        Self::new(self.columns, features, targets)
    }

    /// Copies the features and classes of some rows into a batch's buffers, without allocating.
    ///
    /// `features` has length `rows.len() * columns`; `labels` has length `rows.len()`, or is empty where the
    /// targets are not classes.
    ///
    /// # Errors
    /// [`DataError::Parameter`] for a wrong length or an index that is not a row; nothing is written then.
    ///
    /// ```
    /// let digits = thalweg_std::data::digits()?;
    /// let (mut features, mut labels) = ([0.0; 2 * 64], [0; 2]);
    /// digits.gather_into(&[9, 1796], &mut features, &mut labels)?;
    /// assert_eq!(labels, [9, 8]);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn gather_into(
        &self,
        rows: &[u32],
        features: &mut [f32],
        labels: &mut [u32],
    ) -> Result<(), DataError> {
        let all = self.labels();
        let wanted = if all.is_empty() { 0 } else { rows.len() };
        let size = rows.len().checked_mul(self.columns);
        check(
            "features",
            size == Some(features.len()),
            "must have rows times columns elements",
        )?;
        check(
            "labels",
            labels.len() == wanted,
            "must have an element for each row with a class",
        )?;
        check(
            "rows",
            rows.iter().all(|&i| (i as usize) < self.rows),
            "must be below the number of rows",
        )?;
        for (&i, out) in rows.iter().zip(features.chunks_exact_mut(self.columns)) {
            if let Some(row) = self.row(i as usize) {
                out.copy_from_slice(row);
            }
        }
        for (&i, out) in rows.iter().zip(labels) {
            *out = all.get(i as usize).copied().unwrap_or_default();
        }
        Ok(())
    }

    /// All rows, as the objectives of [`thalweg::model`] take them; copies nothing.
    ///
    /// # Errors
    /// None for a dataset; the type is that of [`Batch::new`].
    ///
    /// ```
    /// use thalweg_std::data::{Batches, digits};
    /// let digits = digits()?;
    /// let mut batches = Batches::epochs(digits.rows(), 32, 42, 0)?;
    /// let all = digits.batch()?;
    /// let batch = all.select(batches.next_batch())?;
    /// assert_eq!((all.len(), batch.len()), (1797, 32));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn batch(&self) -> Result<Batch<'_, f32>, thalweg::Error> {
        let labels = match &self.targets {
            Targets::Absent => Labels::None,
            Targets::Class { labels, .. } => Labels::Classes(labels),
            Targets::Real(values) => Labels::Targets { values, width: 1 },
        };
        Batch::new(&self.features, self.columns, labels)
    }

    /// Numbers the classes of a test set as the training set does; their columns must agree.
    ///
    /// Readers number the labels that they see. A test file in which a class is missing would be numbered
    /// differently from its training file without this.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when columns or kinds of target differ; [`DataError::UnknownLabel`] for a
    /// label that `train` has not. Nothing is changed then.
    ///
    /// ```
    /// use thalweg_std::data::csv;
    /// let train = csv::read("0,a\n1,b\n2,c\n".as_bytes(), "train", &Default::default())?;
    /// let mut test = csv::read("5,c\n".as_bytes(), "test", &Default::default())?;
    /// assert_eq!(test.labels(), [0]);
    /// test.match_to(&train)?;
    /// assert_eq!(test.labels(), [2]);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn match_to(&mut self, train: &Self) -> Result<(), DataError> {
        check(
            "columns",
            self.columns == train.columns,
            "must agree with the training set's",
        )?;
        self.targets.match_to(&train.targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unequal_parts_are_refused() {
        let named = |labels: &[u32]| Targets::Class {
            labels: labels.to_vec(),
            names: vec!["a".into()],
        };
        assert!(Dataset::new(0, vec![], Targets::Absent).is_err());
        assert!(Dataset::new(2, vec![], Targets::Absent).is_err());
        assert!(Dataset::new(2, vec![0.0; 3], Targets::Absent).is_err());
        assert!(Dataset::new(1, vec![0.0; 2], Targets::Real(vec![0.0])).is_err());
        assert!(Dataset::new(1, vec![0.0; 2], named(&[0, 1])).is_err());
        assert!(Dataset::new(1, vec![0.0; 2], named(&[0, 0])).is_ok());
    }

    #[test]
    fn a_label_unknown_to_the_training_set_is_named_and_changes_nothing() {
        let set = |labels: Vec<u32>, names: &[&str]| {
            let names = names.iter().map(ToString::to_string).collect();
            Dataset::new(1, vec![0.0; labels.len()], Targets::Class { labels, names }).unwrap()
        };
        let train = set(vec![0, 1], &["1", "2"]);
        let mut test = set(vec![0, 0, 1], &["2", "7"]);
        let before = test.clone();
        let error = test.match_to(&train).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 2: label `7` is not one of the training set's classes"
        );
        assert_eq!(test, before);
    }
}
