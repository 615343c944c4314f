//! The coordinate-wise median.
//!
//! ```text
//! out_j = the middle one of x_1j .. x_nj in order,  n odd
//!         the mean of the two middle ones,          n even
//! ```
//!
//! Its breakdown point is 1/2: while fewer than half of the vectors are arbitrary, each coordinate stays between the least and the
//! greatest value of the others. For independent normal vectors its variance tends to `pi / 2 = 1.571` times that of the mean.
//!
//! Vectors count once each, whatever their weights. A compressor that sends few coordinates gives a median of zero where fewer than
//! half of the vectors have a number: use operators that send all of them. The cost is that of sorting the columns of `n` rows, about
//! `n (log2 n)^2 / 4` comparisons a coordinate, in place. NaN counts as the greatest number.
//!
//! Reference: Yin, Chen, Ramchandran, Bartlett, "Byzantine-robust distributed learning: towards optimal statistical rates", 2018,
//! Definition 1 and Algorithm 1. The reference leaves the even case open; it is that of NumPy.

use super::{Add, Aggregator, Combined, Pushed, ordered};
use crate::{Error, Real};

/// The coordinate-wise median.
///
/// ```
/// use thalweg::aggregate::{Aggregator, Median};
/// let mut memory = [0.0_f32; 8];
/// let mut pushed = Median.open(3, 2, &mut memory)?;
/// for x in [[1.0, 2.0], [3.0, -4.0], [1e30, -1e30]] {
///     Median.push_slice(&mut pushed, 1, &x)?;
/// }
/// let mut median = [0.0; 2];
/// Median.finish_into(&mut pushed, &mut median)?;
/// assert_eq!(median, [3.0, -4.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Median;

impl<T: Real> Aggregator<T> for Median {
    fn validate(&self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    fn memory_len(&self, n: usize, d: usize) -> usize {
        ordered::memory_len(n, d)
    }

    fn push(&self, pushed: &mut Pushed<'_, T>, _: u32, add: Add<'_, T>) -> Result<(), Error> {
        ordered::push(pushed, add)
    }

    fn finish<'m>(&self, pushed: &'m mut Pushed<'_, T>) -> Result<Combined<'m, T>, Error> {
        // One or two are left.
        ordered::finish(pushed, |n| n / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn median<const N: usize>(rows: [[f64; 3]; N]) -> [f64; 3] {
        let mut memory = [f64::NAN; 64];
        let memory = &mut memory[..Aggregator::<f64>::memory_len(&Median, N, 3)];
        let mut pushed = Median.open(N, 3, memory).unwrap();
        for row in &rows {
            Median.push_slice(&mut pushed, 9, row).unwrap();
        }
        let mut out = [0.0; 3];
        for _ in 0..2 {
            Median.finish_into(&mut pushed, &mut out).unwrap();
        }
        out
    }

    #[test]
    fn an_odd_number_has_a_middle_value_and_an_even_one_the_mean_of_two() {
        let [a, b, c, d] = [
            [4.0, -1.0, 7.0],
            [1.0, -2.0, 7.0],
            [2.0, -9.0, 8.0],
            [8.0, -1.0, 9.0],
        ];
        assert_eq!(median([a]), a);
        assert_eq!(median([a, b]), [2.5, -1.5, 7.0]);
        assert_eq!(median([a, b, c]), [2.0, -2.0, 7.0]);
        assert_eq!(median([a, b, c, d]), [3.0, -1.5, 7.5]);
    }

    #[test]
    fn equal_values_count_as_often_as_they_occur_and_a_zero_is_positive() {
        let rows = [[1.0, -0.0, 0.0], [1.0, 0.0, -0.0], [5.0, -0.0, 3.0]];
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [1, 2, 0]] {
            let out = median(order.map(|i: usize| rows[i]));
            assert_eq!(out.map(f64::to_bits), [1.0, 0.0, 0.0].map(f64::to_bits));
        }
    }
}
