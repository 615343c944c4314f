//! PermK with both permutations in tables.

use super::super::{
    Ab, Buffers, Compressor, KIND, Key, Lengths, Message, Operator, Unbiased, Weight, draw, first,
    gather, scalar_bits, scatter,
};
use super::{Block, CLIENT, ab, message_len, omega, validate};
use crate::error::{check, check_length};
use crate::{Error, Real, Storage};

/// PermK from tables of both permutations, for a process that holds many clients.
///
/// [`Table::draw`] fills the tables for a round; messages are those of [`PermK::new`](super::PermK::new).
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Key, PermK, perm_k};
/// let x = [1.0_f32, 2.0, 3.0, 4.0, 5.0];
/// let mut table = perm_k::Table::new([0_u32; 5], [0_u32; 2])?;
/// table.draw(3, 0)?;
/// let key = Key { seed: 3, round: 0, client: 1 };
/// let (mut a, mut b) = ([0.0; 3], [0.0; 3]);
/// let tabled = table.compress(key, &x, Buffers::values(&mut a))?;
/// assert_eq!(tabled, PermK::new(2).compress(key, &x, Buffers::values(&mut b))?);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Table<D, N> {
    coordinates: D,
    clients: N,
    drawn: Option<(u64, u64)>,
}

impl<D: Storage<Elem = u32>, N: Storage<Elem = u32>> Table<D, N> {
    /// Tables of `d` coordinates and `n` clients.
    ///
    /// # Errors
    /// [`Error::Parameter`] when either is empty or longer than 2^32 - 1.
    ///
    /// ```
    /// assert!(thalweg::compress::perm_k::Table::new([0_u32; 5], [0_u32; 0]).is_err());
    /// ```
    pub fn new(coordinates: D, clients: N) -> Result<Self, Error> {
        validate(clients.as_slice().len(), coordinates.as_slice().len())?;
        Ok(Self {
            coordinates,
            clients,
            drawn: None,
        })
    }

    /// Fills the tables for one round.
    ///
    /// # Errors
    /// None beyond those of [`Table::new`].
    ///
    /// ```
    /// let mut table = thalweg::compress::perm_k::Table::new([0_u32; 3], [0_u32; 2])?;
    /// table.draw(1, 7)?;
    /// assert_eq!(table.coordinates().iter().sum::<u32>(), 0 + 1 + 2);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn draw(&mut self, seed: u64, round: u64) -> Result<(), Error> {
        let key = Key {
            seed,
            round,
            client: 0,
        };
        let (pi, s) = (self.coordinates.as_mut_slice(), self.clients.as_mut_slice());
        draw::clients(key, s.len())?.forward_into(0, s)?;
        if s.len() > pi.len() {
            for (i, p) in (0..).zip(pi) {
                *p = i;
            }
        } else {
            draw::coordinates(key, draw::SHARED, pi.len())?.forward_into(0, pi)?;
        }
        self.drawn = Some((seed, round));
        Ok(())
    }

    /// The permuted coordinates.
    pub fn coordinates(&self) -> &[u32] {
        self.coordinates.as_slice()
    }

    /// The coordinates of a client, in the order of its message, and its share.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a round that is not the drawn one, or a client beyond their number.
    ///
    /// ```
    /// use thalweg::compress::{Key, perm_k::Table};
    /// let mut table = Table::new([0_u32; 3], [0_u32; 1])?;
    /// table.draw(1, 7)?;
    /// let key = Key { seed: 1, round: 7, client: 0 };
    /// assert_eq!(table.support(key)?.0, table.coordinates());
    /// assert!(table.support(Key { round: 8, ..key }).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn support(&self, key: Key) -> Result<(&[u32], Block), Error> {
        let (pi, s) = (self.coordinates.as_slice(), self.clients.as_slice());
        let drawn = self.drawn == Some((key.seed, key.round));
        check(
            "round",
            drawn,
            "must be the one that the table was drawn for",
        )?;
        let place = *s.get(key.client as usize).ok_or(CLIENT)?;
        let share = Block::new(pi.len(), s.len(), place as usize).ok_or(CLIENT)?;
        let block = pi.get(share.start..).and_then(|pi| pi.get(..share.len));
        Ok((block.ok_or(CLIENT)?, share))
    }
}

impl<D: Storage<Elem = u32>, N: Storage<Elem = u32>> Operator for Table<D, N> {
    fn validate(&self, d: usize) -> Result<(), Error> {
        check_length("x", self.coordinates.as_slice().len(), d)
    }

    fn lengths(&self, d: usize) -> Lengths {
        Lengths {
            values: message_len(d, self.clients.as_slice().len()),
            ..Lengths::default()
        }
    }

    fn clients(&self) -> Option<usize> {
        Some(self.clients.as_slice().len())
    }

    fn check_key(&self, key: Key) -> Result<(), Error> {
        self.support(key).map(|_| ())
    }
}

impl<T: Real, D: Storage<Elem = u32>, N: Storage<Elem = u32>> Compressor<T> for Table<D, N> {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        self.validate(x.len())?;
        let (indices, share) = self.support(key)?;
        let values = first("values", share.len, buffers.values)?;
        gather(indices, x, values);
        Ok(Message::PermK(values))
    }

    fn accumulate(
        &self,
        key: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        let Message::PermK(values) = *message else {
            return Err(KIND);
        };
        check_length("out", self.coordinates.as_slice().len(), out.len())?;
        let (indices, share) = self.support(key)?;
        check_length("message", share.len, values.len())?;
        let factor = weight.times(self.clients.as_slice().len(), share.owners)?;
        scatter(indices, values, factor, out);
        Ok(())
    }

    fn bits(&self, d: usize) -> u64 {
        scalar_bits::<T>().saturating_mul(message_len(d, self.clients.as_slice().len()) as u64)
    }
}

impl<D: Storage<Elem = u32>, N: Storage<Elem = u32>> Unbiased for Table<D, N> {
    fn omega(&self, d: usize) -> f64 {
        omega(self.clients.as_slice().len(), d)
    }

    fn ab(&self, d: usize, _: usize) -> Ab {
        ab(self.clients.as_slice().len(), d)
    }
}
