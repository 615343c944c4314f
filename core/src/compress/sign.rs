//! Scaled sign: one bit an entry and one magnitude for all.
//!
//! ```text
//! C(x)_j = (|x|_1 / d) sign(x_j)
//! |C(x) - x|^2 = (1 - alpha(x)) |x|^2,  alpha(x) = |x|_1^2 / (d |x|^2) >= 1/d
//! ```
//!
//! The sign bit is sent as it stands, so that zero counts as positive: the error above is the same whatever sign
//! zeros get. `alpha = 1/d` is reached by a vector with one entry; for a vector of equal magnitudes `alpha(x) = 1`.
//!
//! Reference: Karimireddy et al., "Error feedback fixes SignSGD", 2019, equation 3.

use super::{
    Buffers, Compressor, Contractive, KIND, Key, Lengths, Message, Operator, Weight,
    check_dimension, scalar_bits,
};
use crate::compress::Kernels as _;
use crate::error::check_length;
use crate::simd::{BitLanes, Lanes, Update};
use crate::{Error, Real, vector};

/// Scaled sign; the message lends the input's sign bits.
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Key, Sign, Weight};
/// let x = [1.0_f32, -2.0, 3.0, -6.0];
/// let message = Sign.compress(Key::default(), &x, Buffers::default())?;
/// let mut out = [0.0; 4];
/// Sign.accumulate(Key::default(), &message, Weight::ONE, &mut out)?;
/// assert_eq!(out, [3.0, -3.0, 3.0, -3.0]);
/// assert_eq!(Compressor::<f32>::bits(&Sign, 4), 36);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sign;

/// `y + factor sign(x)`.
#[derive(Clone, Copy)]
pub(super) struct AddSign<T>(pub(super) T);
impl<T: Real> Update<T, 1, 1> for AddSign<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [y]: [L; 1], [x]: [L; 1]) -> [L; 1] {
        let sign = x.to_bits() & L::Bits::splat(x.simd(), L::SIGN);
        [y + L::from_bits(x.constant(self.0).to_bits() ^ sign)]
    }
}

impl Sign {
    /// The contraction on one vector, `|x|_1^2 / (d |x|^2)`; 1 for the zero vector.
    ///
    /// ```
    /// use thalweg::compress::Sign;
    /// assert_eq!(Sign.alpha_of(&[2.0_f32, -2.0, -2.0, 2.0]), 1.0);
    /// assert_eq!(Sign.alpha_of(&[0.0_f32, 3.0, 0.0, 0.0]), 0.25);
    /// ```
    #[must_use]
    pub fn alpha_of<T: Real>(&self, x: &[T]) -> f64 {
        let norm = vector::norm2(x).to_f64();
        if norm == 0.0 {
            return 1.0;
        }
        // norm > 0, so x is not empty.
        let ratio = vector::sum_abs(x).to_f64() / norm;
        ratio * ratio / x.len() as f64
    }
}

impl Operator for Sign {
    fn validate(&self, d: usize) -> Result<(), Error> {
        check_dimension(d)
    }

    fn lengths(&self, _: usize) -> Lengths {
        Lengths::default()
    }
}

impl<T: Real> Compressor<T> for Sign {
    fn compress<'m>(&self, _: Key, x: &'m [T], _: Buffers<'m, T>) -> Result<Message<'m, T>, Error> {
        check_dimension(x.len())?;
        // The divisor is at least 1.
        let scale = vector::sum_abs(x) / T::from_usize(x.len());
        if !scale.is_finite() {
            return Err(match vector::first_non_finite(x) {
                Some(index) => Error::NonFinite {
                    name: "x",
                    at: crate::At::Element(index),
                },
                None => Error::NonFinite {
                    name: "scale",
                    at: crate::At::Element(0),
                },
            });
        }
        Ok(Message::Sign { scale, values: x })
    }

    fn accumulate(
        &self,
        _: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        let Message::Sign { scale, values } = *message else {
            return Err(KIND);
        };
        check_length("message", out.len(), values.len())?;
        let factor = weight.times(1, 1)? * scale;
        T::Kernels::add_signs(factor, values, out);
        Ok(())
    }

    fn bits(&self, d: usize) -> u64 {
        scalar_bits::<T>().saturating_add(d as u64)
    }
}

impl Contractive for Sign {
    fn alpha(&self, d: usize) -> f64 {
        1.0 / d.max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn the_error_is_exactly_the_stated_share_of_the_norm() {
        for n in [1, 2, 31, 33, 1003] {
            let x: Vec<f64> = (0..n)
                .map(|i| ((i * 37 + 5) % 251) as f64 / 16.0 - 7.0)
                .collect();
            for level in crate::testing::levels() {
                let mut error = x.clone();
                let message = Sign
                    .compress(Key::default(), &x, Buffers::default())
                    .unwrap();
                Sign.accumulate(Key::default(), &message, Weight::Value(-1.0), &mut error)
                    .unwrap();
                let (all, left) = (vector::norm2_squared(&x), vector::norm2_squared(&error));
                let alpha = Sign.alpha_of(&x);
                assert!(
                    (left - (1.0 - alpha) * all).abs() < 1e-12 * all,
                    "{level:?} n={n}"
                );
                assert!(alpha >= Sign.alpha(n));
            }
        }
    }

    #[test]
    fn a_negative_weight_turns_every_sign() {
        let mut out = vec![0.0_f32; 40];
        let x: Vec<f32> = (0..40)
            .map(|i| if i % 3 == 0 { -1.0 } else { 0.0 })
            .collect();
        let message = Message::Sign {
            scale: 2.0,
            values: &x,
        };
        Sign.accumulate(Key::default(), &message, Weight::Value(-0.5), &mut out)
            .unwrap();
        assert!(
            out.iter()
                .enumerate()
                .all(|(i, o)| *o == if i % 3 == 0 { 1.0 } else { -1.0 })
        );
    }

    #[test]
    fn non_finite_inputs_and_empty_ones_are_named() {
        let error = Sign.compress(Key::default(), &[1.0, f32::NAN], Buffers::default());
        assert_eq!(
            error,
            Err(Error::NonFinite {
                name: "x",
                at: crate::At::Element(1)
            })
        );
        assert!(
            Compressor::<f32>::compress(&Sign, Key::default(), &[], Buffers::default()).is_err()
        );
    }
}
