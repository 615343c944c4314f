//! RandK on consecutive coordinates.

use super::super::{
    Ab, Buffers, Compressor, KIND, Key, Lengths, Message, Operator, Unbiased, Weight, check_k,
    first, scalar_bits,
};
use super::{ab, omega, who};
use crate::error::check_length;
use crate::random::{self, Purpose};
use crate::{Error, Real};

/// RandK on `k` cyclically consecutive coordinates: one random number, streaming reads.
///
/// Each coordinate is drawn with probability `k/d`, so the constants are those of [`RandK`](super::RandK).
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Key, Message, RandSeqK};
/// let x = [0.0_f32, 1.0, 2.0, 3.0, 4.0];
/// let mut values = [0.0; 3];
/// let Message::RandSeqK(v) = RandSeqK::new(3).compress(Key::default(), &x, Buffers::values(&mut values))?
///     else { unreachable!() };
/// assert_eq!((v[1], v[2]), ((v[0] + 1.0) % 5.0, (v[0] + 2.0) % 5.0));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandSeqK {
    /// Coordinates sent, between 1 and `d`.
    pub k: usize,
    /// All clients use the same draw.
    pub same_on_all: bool,
}

impl RandSeqK {
    /// Independent draws.
    ///
    /// ```
    /// assert_eq!(thalweg::compress::RandSeqK::new(5).k, 5);
    /// ```
    #[must_use]
    pub const fn new(k: usize) -> Self {
        Self {
            k,
            same_on_all: false,
        }
    }

    /// First coordinate of the message.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `1 <= k <= d`.
    ///
    /// ```
    /// use thalweg::compress::{Key, RandSeqK};
    /// assert!(RandSeqK::new(2).start(Key::default(), 7)? < 7);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn start(&self, key: Key, d: usize) -> Result<usize, Error> {
        check_k(self.k, d)?;
        let who = who(self.same_on_all, key);
        let mut stream = random::stream(key.seed, key.round, who, Purpose::COMPRESSOR);
        let d = u32::try_from(d).unwrap_or(u32::MAX);
        Ok(random::below(&mut stream, d) as usize)
    }
}

impl Operator for RandSeqK {
    fn validate(&self, d: usize) -> Result<(), Error> {
        check_k(self.k, d)
    }

    fn lengths(&self, _: usize) -> Lengths {
        Lengths {
            values: self.k,
            ..Lengths::default()
        }
    }
}

impl<T: Real> Compressor<T> for RandSeqK {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        let start = self.start(key, x.len())?;
        let values = first("values", self.k, buffers.values)?;
        let cycle = x.iter().skip(start).chain(x);
        for (value, &x) in values.iter_mut().zip(cycle) {
            *value = x;
        }
        Ok(Message::RandSeqK(values))
    }

    fn accumulate(
        &self,
        key: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        let Message::RandSeqK(values) = *message else {
            return Err(KIND);
        };
        let start = self.start(key, out.len())?;
        check_length("message", self.k, values.len())?;
        let factor = weight.times(out.len(), self.k)?;
        let Some((head, tail)) = out.split_at_mut_checked(start) else {
            return Err(KIND);
        };
        for (o, &value) in tail.iter_mut().chain(head).zip(values) {
            *o += factor * value;
        }
        Ok(())
    }

    fn bits(&self, _: usize) -> u64 {
        scalar_bits::<T>().saturating_mul(self.k as u64)
    }
}

impl Unbiased for RandSeqK {
    fn omega(&self, d: usize) -> f64 {
        omega(self.k, d)
    }

    fn ab(&self, d: usize, n: usize) -> Ab {
        ab(self.k, self.same_on_all, d, n)
    }
}
