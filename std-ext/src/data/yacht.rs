//! The towing tests of yachts that ship with the crate.

use super::csv;
use super::dataset::Dataset;
use super::error::DataError;
use super::targets::TargetKind;

const FILE: &[u8] = include_bytes!("../../data/yacht.csv");

/// UCI yacht hydrodynamics: 308 towing tests, six columns, the residuary resistance to be predicted.
///
/// J. Gerritsma, R. Onnink, A. Versluis: Yacht Hydrodynamics, UCI Machine Learning Repository, 1981,
/// doi:10.24432/C5XG7R, CC BY 4.0; columns, origin and check sum in `data/README.md`. The file is part of the program:
/// nothing is read from disk.
///
/// # Errors
/// None for the file as committed; the type is that of the reader.
///
/// ```
/// use thalweg_std::data::{Targets, yacht};
/// let yacht = yacht()?;
/// assert_eq!((yacht.rows(), yacht.columns()), (308, 6));
/// assert!(matches!(yacht.targets(), Targets::Real(resistance) if resistance[..2] == [0.11, 0.27]));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn yacht() -> Result<Dataset, DataError> {
    let options = csv::Options {
        targets: TargetKind::Real,
        header: csv::Header::Absent,
        ..csv::Options::default()
    };
    csv::read(FILE, "yacht.csv", &options)
}

#[cfg(test)]
mod tests {
    use super::super::targets::Targets;
    use super::*;

    /// From the origin, printed by `data/make_yacht.py`.
    #[test]
    fn yachts_are_those_of_the_origin() {
        let yacht = yacht().unwrap();
        let mut sums = [0.0; 7];
        let Targets::Real(resistance) = yacht.targets() else {
            panic!("numbers, not classes")
        };
        for (row, &y) in yacht.features().chunks_exact(6).zip(resistance) {
            for (sum, &x) in sums.iter_mut().zip(row.iter().chain([&y])) {
                *sum += f64::from(x);
            }
        }
        let expected = [-733.6, 173.754, 1474.9, 1212.54, 987.7, 88.55, 3232.57];
        for (sum, expected) in sums.iter().zip(expected) {
            // 308 numbers rounded to f32.
            assert!((sum - expected).abs() < 3e-3, "{sum} {expected}");
        }
        assert_eq!(yacht.row(307).unwrap(), [-2.3, 0.6, 4.34, 4.23, 2.73, 0.45]);
        assert_eq!(resistance[307], 46.66);
    }
}
