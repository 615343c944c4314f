//! Smaller images.

use super::dataset::Dataset;
use super::error::{DataError, check};

impl Dataset {
    /// Images shrunk by taking the mean of each square of `factor` by `factor` pixels.
    ///
    /// Columns are `height * width` pixels, row by row. Sums are in `f64`, left to right and down.
    ///
    /// # Errors
    /// [`DataError::Parameter`] when `height * width` is not the number of columns, or when `factor` is zero or
    /// does not divide both sides.
    ///
    /// ```
    /// use thalweg_std::data::{Dataset, Targets};
    /// let image = vec![1.0, 3.0, 0.0, 0.0, 5.0, 7.0, 0.0, 8.0];
    /// let image = Dataset::new(8, image, Targets::Absent)?;
    /// assert_eq!(image.mean_pool(2, 4, 2)?.features(), [4.0, 2.0]);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    pub fn mean_pool(&self, height: usize, width: usize, factor: usize) -> Result<Self, DataError> {
        let pixels = height.checked_mul(width);
        check(
            "height",
            pixels == Some(self.columns()),
            "times width must be the columns",
        )?;
        let divides = |side: usize| side.checked_rem(factor) == Some(0);
        check(
            "factor",
            divides(height) && divides(width),
            "must divide both sides",
        )?;

        // Neither side is zero: their product is the columns.
        let small = width / factor;
        let mut features = Vec::with_capacity(self.features().len() / (factor * factor));
        let mut sums = vec![0.0; small];
        // Bands of `factor` lines; the columns hold whole bands, so none crosses two images.
        for band in self.features().chunks_exact(width * factor) {
            sums.fill(0.0);
            for line in band.chunks_exact(width) {
                for (sum, square) in sums.iter_mut().zip(line.chunks_exact(factor)) {
                    *sum += square.iter().map(|&x| f64::from(x)).sum::<f64>();
                }
            }
            let area = (factor * factor) as f64;
            features.extend(sums.iter().map(|sum| (sum / area) as f32));
        }
        Self::new(small * (height / factor), features, self.targets().clone())
    }
}

#[cfg(test)]
mod tests {

    use crate::data::digits;

    #[test]
    fn each_pixel_is_the_mean_of_its_square() {
        let digits = digits().unwrap();
        let small = digits.mean_pool(8, 8, 2).unwrap();
        assert_eq!((small.rows(), small.columns()), (1797, 16));
        assert_eq!(small.labels(), digits.labels());
        for i in [0, 1, 1796] {
            let (image, pooled) = (digits.row(i).unwrap(), small.row(i).unwrap());
            for y in 0..4 {
                for x in 0..4 {
                    let at = 16 * y + 2 * x;
                    let sum = image[at] + image[at + 1] + image[at + 8] + image[at + 9];
                    assert_eq!(pooled[4 * y + x], sum / 4.0);
                }
            }
        }
    }

    #[test]
    fn a_factor_of_one_changes_nothing() {
        let digits = digits().unwrap();
        assert_eq!(digits.mean_pool(8, 8, 1).unwrap(), digits);
    }

    #[test]
    fn sides_that_do_not_fit_are_refused() {
        let digits = digits().unwrap();
        for (height, width, factor) in [
            (8, 7, 1),
            (0, 0, 1),
            (8, 8, 0),
            (8, 8, 3),
            (64, 1, 2),
            (usize::MAX, 2, 1),
        ] {
            assert!(digits.mean_pool(height, width, factor).is_err());
        }
    }
}
