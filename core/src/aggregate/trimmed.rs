//! The coordinate-wise trimmed mean.
//!
//! ```text
//! k = floor(beta n)
//! out_j = (x_(k+1)j + ... + x_(n-k)j) / (n - 2 k),  x_(1)j <= ... <= x_(n)j the values of coordinate j in order
//! ```
//!
//! While at most `k` vectors are arbitrary, each coordinate stays between the least and the greatest value of the others: choose `beta` at
//! least the fraction of adversaries. `n` is the number of vectors that were pushed, not that of the clients; `beta n` is rounded to `f64` before `floor`.
//! With `beta = 0` it is the mean without weights, and the largest `beta` below 1/2 gives the [`Median`](super::Median).
//!
//! Vectors count once each, whatever their weights. The values that are left are added in ascending order, one rounding each: the bits
//! do not depend on the order of the vectors. Cost and NaN as for the median. A sum that overflows is not refused: the mean is infinite then.
//!
//! Reference: Yin, Chen, Ramchandran, Bartlett, "Byzantine-robust distributed learning: towards optimal statistical rates", 2018,
//! Definition 2 and Algorithm 1. The reference takes `beta n` for an integer; it is rounded down, as in SciPy's `trim_mean`.

use super::{Add, Aggregator, Combined, Pushed, ordered};
use crate::error::check;
use crate::{Error, Real};

/// The coordinate-wise trimmed mean.
///
/// ```
/// use thalweg::aggregate::{Aggregator, TrimmedMean};
/// let trimmed = TrimmedMean { fraction: 0.25 };
/// let mut memory = [0.0_f32; 5];
/// let mut pushed = trimmed.open(4, 1, &mut memory)?;
/// for x in [1.0, 3.0, 1e30, 2.0] {
///     trimmed.push_slice(&mut pushed, 1, &[x])?;
/// }
/// let mut mean = [0.0];
/// trimmed.finish_into(&mut pushed, &mut mean)?;
/// assert_eq!(mean, [2.5]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrimmedMean {
    /// Fraction `beta` of the vectors that is left out at either end, in `[0, 1/2)`.
    pub fraction: f64,
}

impl<T: Real> Aggregator<T> for TrimmedMean {
    fn validate(&self, _: usize) -> Result<(), Error> {
        let fraction = self.fraction;
        check(
            "fraction",
            (0.0..0.5).contains(&fraction),
            "must be in [0, 1/2)",
        )
    }

    fn memory_len(&self, n: usize, d: usize) -> usize {
        ordered::memory_len(n, d)
    }

    fn push(&self, pushed: &mut Pushed<'_, T>, _: u32, add: Add<'_, T>) -> Result<(), Error> {
        ordered::push(pushed, add)
    }

    fn finish<'m>(&self, pushed: &'m mut Pushed<'_, T>) -> Result<Combined<'m, T>, Error> {
        // Below n / 2; a fraction that `validate` refuses is cut to that.
        ordered::finish(pushed, |n| (self.fraction * n as f64) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::Median;
    use std::string::ToString;
    use std::vec;

    fn trimmed(fraction: f64, rows: &[[f32; 2]]) -> [f32; 2] {
        let (rule, n) = (TrimmedMean { fraction }, rows.len());
        let mut memory = vec![f32::NAN; Aggregator::<f32>::memory_len(&rule, n, 2)];
        let mut pushed = rule.open(n, 2, &mut memory).unwrap();
        for row in rows {
            rule.push_slice(&mut pushed, 9, row).unwrap();
        }
        let mut out = [0.0; 2];
        for _ in 0..2 {
            rule.finish_into(&mut pushed, &mut out).unwrap();
        }
        out
    }

    const ROWS: [[f32; 2]; 5] = [[9.0, -8.0], [1.0, 1.0], [2.0, 1e30], [6.0, 2.0], [4.0, 3.0]];

    #[test]
    fn the_number_left_out_is_rounded_down() {
        assert_eq!(trimmed(0.0, &ROWS[3..]), [5.0, 2.5]);
        for fraction in [0.2, 0.25, 0.39] {
            assert_eq!(trimmed(fraction, &ROWS), [4.0, 2.0]);
        }
        for fraction in [0.4, 0.5 - f64::EPSILON] {
            assert_eq!(trimmed(fraction, &ROWS), [4.0, 2.0]);
        }
        assert_eq!(trimmed(0.4, &ROWS[..2]), [5.0, -3.5]);
    }

    #[test]
    fn the_largest_fraction_gives_the_median() {
        let mut memory = [0.0_f32; 12];
        for n in 1..=5 {
            let memory = &mut memory[..2 * n + 2];
            let mut pushed = Median.open(n, 2, memory).unwrap();
            for row in &ROWS[..n] {
                Median.push_slice(&mut pushed, 1, row).unwrap();
            }
            let mut out = [0.0; 2];
            Median.finish_into(&mut pushed, &mut out).unwrap();
            assert_eq!(trimmed(0.5 - f64::EPSILON / 4.0, &ROWS[..n]), out, "{n}");
        }
    }

    #[test]
    fn a_fraction_of_one_half_a_negative_one_and_nan_are_refused() {
        for fraction in [0.5, 1.0, -1e-300, f64::NAN, f64::INFINITY] {
            let rule = TrimmedMean { fraction };
            let error = Aggregator::<f32>::validate(&rule, 3).unwrap_err();
            assert_eq!(error.to_string(), "`fraction` must be in [0, 1/2)");
            assert!(rule.open(1, 1, &mut [0.0_f32; 2]).is_err());
        }
    }
}
