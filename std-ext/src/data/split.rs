//! Training set and test set.

use super::dataset::Dataset;
use super::draw::{Kind, permutation, stream};
use super::error::{DataError, check, check_rows};

/// Divides `0..rows` at random into a training part and a test part of `test` rows, each ascending.
///
/// # Errors
/// [`DataError::Parameter`] when either part would be empty.
///
/// ```
/// let (train, test) = thalweg_std::data::split(10, 3, 42)?;
/// assert_eq!((train.len(), test.len()), (7, 3));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn split(rows: usize, test: usize, seed: u64) -> Result<(Vec<u32>, Vec<u32>), DataError> {
    check_rows(rows)?;
    check(
        "test",
        test > 0 && test < rows,
        "must be positive and below the number of rows",
    )?;
    let mut train = permutation(&mut stream(seed, Kind::Split, 0), rows);
    let mut test = train.split_off(rows - test);
    train.sort_unstable();
    test.sort_unstable();
    Ok((train, test))
}

impl Dataset {
    /// A training set and a test set of `test` rows; see [`split`].
    ///
    /// # Errors
    /// As [`split`].
    ///
    /// ```
    /// let (train, test) = thalweg_std::data::digits()?.split(360, 42)?;
    /// assert_eq!((train.rows(), test.rows()), (1437, 360));
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn split(&self, test: usize, seed: u64) -> Result<(Self, Self), DataError> {
        let (train, test) = split(self.rows(), test, seed)?;
        Ok((self.select(&train)?, self.select(&test)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_disjoint_and_cover_all_rows() {
        for (rows, test) in [(2, 1), (10, 9), (1797, 360)] {
            let (mut all, part) = split(rows, test, 1).unwrap();
            assert_eq!(part.len(), test);
            all.extend(part);
            all.sort_unstable();
            assert_eq!(all, (0..rows as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(split(100, 30, 1).unwrap(), split(100, 30, 1).unwrap());
        assert_ne!(split(100, 30, 1).unwrap(), split(100, 30, 2).unwrap());
    }

    #[test]
    fn an_empty_part_is_refused() {
        for (rows, test) in [(0, 0), (1, 1), (5, 0), (5, 5), (5, 6)] {
            assert!(split(rows, test, 1).is_err());
        }
    }
}
