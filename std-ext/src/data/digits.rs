//! The handwritten digits that ship with the crate.

use super::csv;
use super::dataset::Dataset;
use super::error::DataError;

const FILE: &[u8] = include_bytes!("../../data/digits.csv.gz");

/// UCI optical digits: 1,797 images of 8 x 8 pixels in 0..=16, ten classes.
///
/// E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits (test part), UCI Machine Learning
/// Repository, 1998, doi:10.24432/C50P49, CC BY 4.0; origin and check sums in `data/README.md`. The file is
/// part of the program: nothing is read from disk.
///
/// # Errors
/// None for the file as committed; the type is that of the reader.
///
/// ```
/// let digits = thalweg_std::data::digits()?;
/// assert_eq!((digits.rows(), digits.columns(), digits.classes()), (1797, 64, 10));
/// assert_eq!(digits.labels()[..4], [0, 1, 2, 3]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn digits() -> Result<Dataset, DataError> {
    csv::read(FILE, "digits.csv.gz", &csv::Options::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From scikit-learn 1.9.1, printed by `data/make_digits.py`.
    #[test]
    fn digits_are_those_of_scikit_learn() {
        let digits = digits().unwrap();
        let sum: f64 = digits.features().iter().map(|&x| f64::from(x)).sum();
        assert_eq!(sum, 561_718.0);
        assert!(digits.features().iter().all(|x| (0.0..=16.0).contains(x)));
        let mut counts = [0; 10];
        for &label in digits.labels() {
            counts[label as usize] += 1;
        }
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(digits.labels()[1794..], [8, 9, 8]);
        assert_eq!(
            digits.row(1796).unwrap()[..8],
            [0.0, 0.0, 10.0, 14.0, 8.0, 1.0, 0.0, 0.0]
        );
        let names: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
        assert_eq!(digits.class_names(), names);
    }
}
