//! Lazy compression: all of the vector, or nothing.
//!
//! ```text
//! C(x) = x / p with probability p, else 0
//! omega = 1/p - 1
//! ```
//!
//! A message is one bit, and `B d` bits more when the coin falls so: `1 + p B d` on average.

use super::{
    Buffers, Compressor, KIND, Key, Lengths, Message, Operator, Unbiased, Weight, scalar_bits,
};
use crate::error::{check, check_length};
use crate::random::{self, Purpose};
use crate::{Error, Real, vector};

/// Sends everything with probability `p`; the coin is the client's own.
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Key, Lazy, Message, Unbiased};
/// let lazy = Lazy { p: 0.25 };
/// let x = [1.0_f32, 2.0];
/// let message = lazy.compress(Key::default(), &x, Buffers::default())?;
/// assert!(message == Message::Dense(&x) || message == Message::Nothing);
/// assert_eq!(lazy.omega(2), 3.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lazy {
    /// Probability of sending, in `(0, 1]`.
    pub p: f64,
}

impl Lazy {
    /// Whether the client of this key sends.
    ///
    /// ```
    /// use thalweg::compress::{Key, Lazy};
    /// assert!(Lazy { p: 1.0 }.sends(Key::default()));
    /// ```
    #[must_use]
    pub fn sends(&self, key: Key) -> bool {
        let client = u64::from(key.client);
        let mut stream = random::stream(key.seed, key.round, client, Purpose::COMPRESSOR);
        random::uniform::<f64>(&mut stream) < self.p
    }
}

impl Operator for Lazy {
    fn validate(&self, _: usize) -> Result<(), Error> {
        let inside = self.p > 0.0 && self.p <= 1.0;
        check("p", inside, "must be above 0 and at most 1")
    }

    fn lengths(&self, _: usize) -> Lengths {
        Lengths::default()
    }
}

impl<T: Real> Compressor<T> for Lazy {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        _: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        self.validate(x.len())?;
        Ok(if self.sends(key) {
            Message::Dense(x)
        } else {
            Message::Nothing
        })
    }

    fn accumulate(
        &self,
        _: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        self.validate(out.len())?;
        match *message {
            Message::Nothing => Ok(()),
            Message::Dense(values) => {
                check_length("message", out.len(), values.len())?;
                vector::axpy(weight.over(self.p)?, values, out)
            }
            _ => Err(KIND),
        }
    }

    /// One bit more than the vector; see the module for the mean.
    fn bits(&self, d: usize) -> u64 {
        scalar_bits::<T>()
            .saturating_mul(d as u64)
            .saturating_add(1)
    }
}

impl Unbiased for Lazy {
    fn omega(&self, _: usize) -> f64 {
        // Positive in a valid compressor.
        1.0 / self.p - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_the_input() {
        let lazy = Lazy { p: 0.3 };
        let mut mean = [0.0_f64; 2];
        for round in 0..30_000 {
            let key = Key {
                seed: 4,
                round,
                client: 0,
            };
            let message = lazy
                .compress(key, &[1.0, -2.0], Buffers::default())
                .unwrap();
            lazy.accumulate(key, &message, Weight::Mean(30_000), &mut mean)
                .unwrap();
        }
        // Standard error: sqrt(7/3) / sqrt(30 000) = 0.009.
        assert!(
            (mean[0] - 1.0).abs() < 0.04 && (mean[1] + 2.0).abs() < 0.08,
            "{mean:?}"
        );
    }

    #[test]
    fn a_client_sends_where_its_draw_is_below_the_probability() {
        let key = Key {
            seed: 5,
            round: 6,
            client: 7,
        };
        let mut stream = random::stream(5, 6, 7, Purpose::COMPRESSOR);
        let p = random::uniform::<f64>(&mut stream);
        assert!(p > 0.0 && !Lazy { p }.sends(key));
        assert!(Lazy { p: p.next_up() }.sends(key));
    }

    #[test]
    fn probabilities_outside_the_range_are_refused() {
        for p in [0.0, -0.1, 1.1, f64::NAN] {
            let error = Lazy { p }.compress(Key::default(), &[1.0_f32], Buffers::default());
            assert!(
                matches!(error, Err(Error::Parameter { name: "p", .. })),
                "{p}"
            );
        }
    }
}
