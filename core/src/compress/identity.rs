//! Identity: everything is sent.

use super::{
    Buffers, Compressor, Contractive, KIND, Key, Lengths, Message, Operator, Unbiased, Weight,
    scalar_bits,
};
use crate::error::check_length;
use crate::{Error, Real, vector};

/// `C(x) = x`: the baseline, and the full round of every protocol.
///
/// The message is the input itself: nothing is copied.
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Identity, Key, Weight};
/// let message = Identity.compress(Key::default(), &[1.0_f32, 2.0], Buffers::default())?;
/// let mut out = [10.0, 10.0];
/// Identity.accumulate(Key::default(), &message, Weight::Mean(2), &mut out)?;
/// assert_eq!(out, [10.5, 11.0]);
/// assert_eq!(Compressor::<f32>::bits(&Identity, 2), 64);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity;

impl Operator for Identity {
    fn validate(&self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    fn lengths(&self, _: usize) -> Lengths {
        Lengths::default()
    }
}

impl<T: Real> Compressor<T> for Identity {
    fn compress<'m>(&self, _: Key, x: &'m [T], _: Buffers<'m, T>) -> Result<Message<'m, T>, Error> {
        Ok(Message::Dense(x))
    }

    fn accumulate(
        &self,
        _: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        let Message::Dense(values) = message else {
            return Err(KIND);
        };
        check_length("message", out.len(), values.len())?;
        vector::axpy(weight.times(1, 1)?, values, out)
    }

    fn bits(&self, d: usize) -> u64 {
        scalar_bits::<T>().saturating_mul(d as u64)
    }
}

impl Unbiased for Identity {
    fn omega(&self, _: usize) -> f64 {
        0.0
    }
}

impl Contractive for Identity {
    fn alpha(&self, _: usize) -> f64 {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_another_length_leaves_the_sum_alone() {
        let mut out = [1.0_f32; 3];
        let message = Message::Dense(&[1.0, 2.0][..]);
        let error = Identity.accumulate(Key::default(), &message, Weight::ONE, &mut out);
        assert_eq!(
            error,
            Err(Error::Length {
                name: "message",
                expected: 3,
                found: 2
            })
        );
        assert_eq!(out, [1.0; 3]);
        let message = Message::PermK(&[1.0, 2.0, 3.0][..]);
        assert_eq!(
            Identity.accumulate(Key::default(), &message, Weight::ONE, &mut out),
            Err(KIND)
        );
    }
}
