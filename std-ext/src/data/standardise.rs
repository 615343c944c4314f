//! Columns of mean zero and variance one.

use super::dataset::Dataset;
use super::error::{DataError, check};

/// Mean and standard deviation of each column of a training set, to be applied to it and to its test set.
///
/// ```text
/// x_j <- (x_j - mean_j) / sd_j,    sd_j^2 = (1/n) sum_i (x_ij - mean_j)^2
/// ```
///
/// Sums are in `f64`, row by row, and the deviations are taken about the mean (two passes). A column that
/// is constant in the training set is left as it is, in the test set too: it says nothing, and its
/// deviation is zero.
///
/// ```
/// use thalweg_std::data::{Dataset, Standardiser, Targets};
/// let mut train = Dataset::new(2, vec![1.0, 5.0, 3.0, 5.0], Targets::Absent)?;
/// let standardiser = Standardiser::fit(&train);
/// standardiser.apply(&mut train)?;
/// assert_eq!(train.features(), [-1.0, 5.0, 1.0, 5.0]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Standardiser {
    means: Vec<f64>,
    /// 1 for constant columns, whose mean is given as 0.
    deviations: Vec<f64>,
}

impl Standardiser {
    /// Means and deviations of a training set.
    ///
    /// ```
    /// use thalweg_std::data::{Dataset, Standardiser, Targets};
    /// let train = Dataset::new(1, vec![1.0, 5.0], Targets::Absent)?;
    /// let standardiser = Standardiser::fit(&train);
    /// assert_eq!((standardiser.means(), standardiser.deviations()), (&[3.0][..], &[2.0][..]));
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn fit(train: &Dataset) -> Self {
        let columns = train.columns();
        // A dataset has at least one row.
        let n = train.rows() as f64;
        let rows = || train.features().chunks_exact(columns);
        let first = rows().next().unwrap_or_default();

        let mut means = vec![0.0; columns];
        let mut is_constant = vec![true; columns];
        for row in rows() {
            for (((mean, constant), &x), x0) in
                means.iter_mut().zip(&mut is_constant).zip(row).zip(first)
            {
                *mean += f64::from(x);
                *constant &= x == *x0;
            }
        }
        for mean in &mut means {
            *mean /= n;
        }
        let mut deviations = vec![0.0; columns];
        for row in rows() {
            for ((square, mean), &x) in deviations.iter_mut().zip(&means).zip(row) {
                let difference = f64::from(x) - mean;
                *square += difference * difference;
            }
        }
        for ((deviation, mean), constant) in deviations.iter_mut().zip(&mut means).zip(is_constant)
        {
            // `f64::sqrt` is correctly rounded. Values that are not equal differ by a subnormal of f32 at
            // least, whose square is a normal f64: the deviation is not zero.
            *deviation = (*deviation / n).sqrt();
            if constant {
                (*mean, *deviation) = (0.0, 1.0);
            }
        }
        Self { means, deviations }
    }

    /// Standardises a set in place.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when the columns are not as many as in the training set.
    ///
    /// ```
    /// use thalweg_std::data::{Dataset, Standardiser, Targets};
    /// let mut train = Dataset::new(1, vec![1.0, 5.0], Targets::Absent)?;
    /// let standardiser = Standardiser::fit(&train);
    /// standardiser.apply(&mut train)?;
    /// assert_eq!(train.features(), [-1.0, 1.0]);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn apply(&self, data: &mut Dataset) -> Result<(), DataError> {
        let columns = data.columns();
        check(
            "columns",
            columns == self.means.len(),
            "must agree with the training set's",
        )?;
        for row in data.features_mut().chunks_exact_mut(columns) {
            for ((x, mean), deviation) in row.iter_mut().zip(&self.means).zip(&self.deviations) {
                *x = ((f64::from(*x) - mean) / deviation) as f32;
            }
        }
        Ok(())
    }

    /// Mean of each column; 0 where the column is constant and left alone.
    ///
    /// ```
    /// use thalweg_std::data::{Dataset, Standardiser, Targets};
    /// let train = Dataset::new(1, vec![1.0, 5.0], Targets::Absent)?;
    /// let standardiser = Standardiser::fit(&train);
    /// assert_eq!(standardiser.means(), [3.0]);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn means(&self) -> &[f64] {
        &self.means
    }

    /// Standard deviation of each column; 1 where the column is constant and left alone.
    ///
    /// ```
    /// use thalweg_std::data::{Dataset, Standardiser, Targets};
    /// let train = Dataset::new(1, vec![1.0, 5.0], Targets::Absent)?;
    /// let standardiser = Standardiser::fit(&train);
    /// assert_eq!(standardiser.deviations(), [2.0]);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn deviations(&self) -> &[f64] {
        &self.deviations
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Targets, digits};

    /// scikit-learn 1.9.1, `StandardScaler().fit(load_digits().data)`: `mean_` and `scale_` of column 20.
    #[test]
    fn digits_agree_with_scikit_learn() {
        let standardiser = Standardiser::fit(&digits().unwrap());
        assert!((standardiser.means()[20] - 7.09794101279911).abs() < 1e-12);
        assert!((standardiser.deviations()[20] - 6.174009933121506).abs() < 1e-12);
        // Columns 0, 32 and 39 are zero throughout.
        for j in 0..64 {
            let is_constant = standardiser.deviations()[j] == 1.0 && standardiser.means()[j] == 0.0;
            assert_eq!(is_constant, [0, 32, 39].contains(&j), "{j}");
        }
    }

    #[test]
    fn the_test_set_is_moved_by_the_training_sets_numbers() {
        let train = Dataset::new(2, vec![0.0, 7.0, 4.0, 7.0], Targets::Absent).unwrap();
        let mut test = Dataset::new(2, vec![6.0, 9.0], Targets::Absent).unwrap();
        Standardiser::fit(&train).apply(&mut test).unwrap();
        assert_eq!(test.features(), [2.0, 9.0]);
        let mut narrow = Dataset::new(1, vec![6.0], Targets::Absent).unwrap();
        assert!(Standardiser::fit(&train).apply(&mut narrow).is_err());
    }

    #[test]
    fn a_large_offset_and_subnormals_lose_nothing() {
        let mut far = Dataset::new(1, vec![1e7, 1e7 + 1.0], Targets::Absent).unwrap();
        Standardiser::fit(&far).apply(&mut far).unwrap();
        assert_eq!(far.features(), [-1.0, 1.0]);
        let mut near = Dataset::new(1, vec![0.0, f32::from_bits(1)], Targets::Absent).unwrap();
        Standardiser::fit(&near).apply(&mut near).unwrap();
        assert_eq!(near.features(), [-1.0, 1.0]);
    }
}
