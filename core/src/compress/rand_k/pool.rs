//! RandK from an index pool.

use super::super::{
    Ab, Buffers, Compressor, Key, Lengths, Message, Operator, Unbiased, Weight, check_k, first,
    gather, scalar_bits, scatter,
};
use super::{ab, check_message, omega};
use crate::error::{check, check_length};
use crate::random::{self, Purpose};
use crate::{Error, Real, Storage};

/// RandK by `k` swaps of an index pool: exactly uniform subsets, at `d` words of memory.
///
/// The draw for a key does not depend on earlier draws: the swaps of the last draw are undone first, also in `O(k)`
/// (the touched positions are `0..k` and the drawn values). Supports differ from those of [`RandK`](super::RandK).
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Key, Message, rand_k::Pool};
/// let mut pool = Pool::new([0_u32; 6], 2)?;
/// let key = Key { seed: 1, round: 5, client: 0 };
/// pool.draw(key)?;
/// let mut values = [0.0; 2];
/// let message = pool.compress(key, &[0.0_f32, 1.0, 2.0, 3.0, 4.0, 5.0], Buffers::values(&mut values))?;
/// let drawn = [pool.support(key)?[0] as f32, pool.support(key)?[1] as f32];
/// assert_eq!(message, Message::RandK(&drawn));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Pool<B> {
    pool: B,
    k: usize,
    drawn: Option<Key>,
}

impl<B: Storage<Elem = u32>> Pool<B> {
    /// A pool of `d` coordinates from which `k` are drawn.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `1 <= k <= d`.
    ///
    /// ```
    /// assert!(thalweg::compress::rand_k::Pool::new([0_u32; 3], 4).is_err());
    /// ```
    pub fn new(mut pool: B, k: usize) -> Result<Self, Error> {
        check_k(k, pool.as_slice().len())?;
        for (i, p) in (0..).zip(pool.as_mut_slice()) {
            *p = i;
        }
        Ok(Self {
            pool,
            k,
            drawn: None,
        })
    }

    /// Draws the coordinates of a key, in `O(k)`.
    ///
    /// # Errors
    /// None beyond those of [`Pool::new`].
    ///
    /// ```
    /// use thalweg::compress::{Key, rand_k::Pool};
    /// let mut pool = Pool::new([0_u32; 9], 3)?;
    /// pool.draw(Key::default())?;
    /// let first: Vec<u32> = pool.support(Key::default())?.to_vec();
    /// pool.draw(Key { round: 1, ..Key::default() })?;
    /// pool.draw(Key::default())?;
    /// assert_eq!(pool.support(Key::default())?, first);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn draw(&mut self, key: Key) -> Result<(), Error> {
        let (pool, k) = (self.pool.as_mut_slice(), self.k);
        if self.drawn.take().is_some() {
            for i in 0..k {
                let value = pool.get(i).copied().unwrap_or(0) as usize;
                if let Some(p) = pool.get_mut(value).filter(|_| value >= k) {
                    *p = value as u32;
                }
            }
            for (i, p) in (0..).zip(pool.iter_mut().take(k)) {
                *p = i;
            }
        }
        let mut stream = random::stream(
            key.seed,
            key.round,
            u64::from(key.client),
            Purpose::COMPRESSOR,
        );
        let d = u32::try_from(pool.len()).unwrap_or(u32::MAX);
        for i in 0..k {
            let left = d.saturating_sub(i as u32);
            let j = i.saturating_add(random::below(&mut stream, left) as usize);
            // Both lie below d.
            if j < pool.len() && i < pool.len() {
                #[allow(clippy::disallowed_methods, reason = "checked in the line above")]
                pool.swap(i, j);
            }
        }
        self.drawn = Some(key);
        Ok(())
    }

    /// The drawn coordinates, in the order of the message.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a key that is not the drawn one.
    pub fn support(&self, key: Key) -> Result<&[u32], Error> {
        let drawn = self.drawn == Some(key);
        check("key", drawn, "must be the one that the pool was drawn for")?;
        self.pool.as_slice().get(..self.k).ok_or(Error::Parameter {
            name: "k",
            rule: "must be at most the dimension",
        })
    }
}

impl<B: Storage<Elem = u32>> Operator for Pool<B> {
    fn validate(&self, d: usize) -> Result<(), Error> {
        check_length("x", self.pool.as_slice().len(), d)
    }

    fn lengths(&self, _: usize) -> Lengths {
        Lengths {
            values: self.k,
            ..Lengths::default()
        }
    }

    fn check_key(&self, key: Key) -> Result<(), Error> {
        self.support(key).map(|_| ())
    }
}

impl<T: Real, B: Storage<Elem = u32>> Compressor<T> for Pool<B> {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        self.validate(x.len())?;
        let indices = self.support(key)?;
        let values = first("values", self.k, buffers.values)?;
        gather(indices, x, values);
        Ok(Message::RandK(values))
    }

    fn accumulate(
        &self,
        key: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        check_length("out", self.pool.as_slice().len(), out.len())?;
        let (values, factor) = check_message(self.k, message, weight, out)?;
        scatter(self.support(key)?, values, factor, out);
        Ok(())
    }

    fn bits(&self, _: usize) -> u64 {
        scalar_bits::<T>().saturating_mul(self.k as u64)
    }
}

impl<B: Storage<Elem = u32>> Unbiased for Pool<B> {
    fn omega(&self, d: usize) -> f64 {
        omega(self.k, d)
    }

    fn ab(&self, d: usize, n: usize) -> Ab {
        ab(self.k, false, d, n)
    }
}
