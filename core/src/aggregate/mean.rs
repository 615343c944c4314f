//! The weighted mean, `sum_i w_i x_i / sum_i w_i`.
//!
//! Its breakdown point is 0: one vector far from the others moves it as far as it likes. Vectors are added in the order in which they
//! are pushed, one rounding each. One pass over `d` numbers a vector.

use super::{Add, Aggregator, Combined, Pushed, check_total};
use crate::compress::Weight;
use crate::{Error, Real};

/// The mean.
///
/// A sum that is not finite is not refused: the mean is not finite then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mean;

impl<T: Real> Aggregator<T> for Mean {
    fn validate(&self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    fn memory_len(&self, _: usize, d: usize) -> usize {
        d
    }

    fn is_mean(&self) -> bool {
        true
    }

    fn push(&self, pushed: &mut Pushed<'_, T>, weight: u32, add: Add<'_, T>) -> Result<(), Error> {
        let factor = Weight::Value(T::from_f64(f64::from(weight)));
        add(factor, pushed.memory)?;
        pushed.total = pushed.total.saturating_add(u64::from(weight));
        Ok(())
    }

    fn finish<'m>(&self, pushed: &'m mut Pushed<'_, T>) -> Result<Combined<'m, T>, Error> {
        check_total(pushed.total)?;
        Ok(Combined {
            sum: pushed.memory,
            divisor: T::from_f64(pushed.total as f64),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_weighs_its_vectors() {
        let mut memory = [f64::NAN; 3];
        let mut pushed = Mean.open(2, 3, &mut memory).unwrap();
        Mean.push_slice(&mut pushed, 3, &[1.0, -2.0, 0.0]).unwrap();
        Mean.push_slice(&mut pushed, 1, &[5.0, 2.0, -4.0]).unwrap();
        let mut out = [0.0; 3];
        for _ in 0..2 {
            Mean.finish_into(&mut pushed, &mut out).unwrap();
            assert_eq!(out, [2.0, -1.0, -1.0]);
        }
    }

    #[test]
    fn nothing_pushed_a_weight_of_zero_another_length_and_nan_are_refused() {
        let mut memory = [0.0_f32; 2];
        assert!(Mean.open(2, 3, &mut memory).is_err());
        let mut pushed = Mean.open(2, 2, &mut memory).unwrap();
        assert!(Mean.finish(&mut pushed).is_err());
        assert!(Mean.push_slice(&mut pushed, 0, &[1.0; 2]).is_err());
        assert!(Mean.push_slice(&mut pushed, 1, &[1.0; 3]).is_err());
        let (name, at) = ("x", crate::At::Element(1));
        let error = Mean.push_slice(&mut pushed, 1, &[1.0, f32::NAN]);
        assert_eq!(error, Err(Error::NonFinite { name, at }));
        assert_eq!(pushed.total, 0);
        Mean.push_slice(&mut pushed, 7, &[3.0, -3.0]).unwrap();
        let combined = Mean.finish(&mut pushed).unwrap();
        assert_eq!((combined.sum, combined.divisor), (&[21.0, -21.0][..], 7.0));
        let mut none: [f32; 0] = [];
        let mut pushed = Mean.open(1, 0, &mut none).unwrap();
        Mean.push_slice(&mut pushed, 1, &[]).unwrap();
        assert!(Mean.finish_into(&mut pushed, &mut []).is_ok());
    }
}
