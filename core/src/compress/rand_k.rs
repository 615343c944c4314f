//! RandK: `k` coordinates drawn from a shared seed, without their indices.
//!
//! ```text
//! C(x)_j = (d/k) x_j  for the k drawn coordinates, else 0
//! E C(x) = x,  E |C(x)|^2 = (d/k) |x|^2:  omega = d/k - 1
//! ```
//!
//! | form | draw | memory | cost |
//! |---|---|---|---|
//! | [`RandK`] | first `k` images of a keyed bijection of `0..d` | none | `O(k)` |
//! | [`Pool`] | `k` swaps of a Fisher-Yates shuffle | `d` words | `O(k)` |
//! | [`RandSeqK`] | one start, `k` cyclically consecutive | none | `O(k)`, streaming |
//!
//! With independent draws the AB constants of `n` clients are `(omega/n, 0)`. With one draw for all
//! ([`RandK::same_on_all`]) the error of the mean is `omega |mean a_i|^2`; `(omega, 0)` is a valid pair.
//!
//! Reference: Gorbunov et al., "MARINA", 2021; Burlachenko, Richtarik, "Unlocking FedNL", 2024 (RandSeqK).

mod consecutive;
mod pool;

pub use consecutive::RandSeqK;
pub use pool::Pool;

use super::{
    Ab, Buffers, Compressor, KIND, Key, Lengths, Message, Operator, Unbiased, Weight, check_k,
    draw, first, gather, scalar_bits, scatter,
};
use crate::error::check_length;
use crate::{Error, Real};

/// RandK without a table.
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Key, RandK, Unbiased, Weight};
/// let rand_k = RandK::new(2);
/// let (mut values, mut out) = ([0.0; 2], [0.0_f32; 8]);
/// let message = rand_k.compress(Key::default(), &[1.0; 8], Buffers::values(&mut values))?;
/// rand_k.accumulate(Key::default(), &message, Weight::ONE, &mut out)?;
/// assert_eq!(out.iter().filter(|o| **o == 4.0).count(), 2);
/// assert_eq!(rand_k.omega(8), 3.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RandK {
    /// Coordinates sent, between 1 and `d`.
    pub k: usize,
    /// All clients use the same draw.
    pub same_on_all: bool,
}

impl RandK {
    /// Independent draws.
    ///
    /// ```
    /// assert!(!thalweg::compress::RandK::new(5).same_on_all);
    /// ```
    #[must_use]
    pub const fn new(k: usize) -> Self {
        Self {
            k,
            same_on_all: false,
        }
    }

    /// One draw for all clients of a round.
    ///
    /// ```
    /// use thalweg::compress::{Key, RandK};
    /// let (mut a, mut b) = ([0; 3], [0; 3]);
    /// RandK::same_on_all(3).support_into(Key { client: 0, ..Key::default() }, 50, &mut a)?;
    /// RandK::same_on_all(3).support_into(Key { client: 9, ..Key::default() }, 50, &mut b)?;
    /// assert_eq!(a, b);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub const fn same_on_all(k: usize) -> Self {
        Self {
            k,
            same_on_all: true,
        }
    }

    /// Writes the drawn coordinates in the order of the message; `out` has length `k`.
    ///
    /// # Errors
    /// [`Error::Parameter`] unless `1 <= k <= d`, [`Error::Length`].
    ///
    /// ```
    /// use thalweg::compress::{Key, RandK};
    /// let mut all = [0; 5];
    /// RandK::new(5).support_into(Key::default(), 5, &mut all)?;
    /// assert_eq!(all.iter().sum::<u32>(), 0 + 1 + 2 + 3 + 4);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn support_into(&self, key: Key, d: usize, out: &mut [u32]) -> Result<(), Error> {
        check_k(self.k, d)?;
        check_length("out", self.k, out.len())?;
        draw::coordinates(key, self.who(key), d)?.forward_into(0, out)
    }

    fn who(&self, key: Key) -> u64 {
        who(self.same_on_all, key)
    }
}

fn who(same_on_all: bool, key: Key) -> u64 {
    if same_on_all {
        draw::SHARED
    } else {
        u64::from(key.client)
    }
}

/// `d/k - 1`; `k` is between 1 and `d` in a valid compressor.
fn omega(k: usize, d: usize) -> f64 {
    d as f64 / k.max(1) as f64 - 1.0
}

fn ab(k: usize, same_on_all: bool, d: usize, n: usize) -> Ab {
    let copies = if same_on_all { 1 } else { n.max(1) };
    Ab {
        a: omega(k, d) / copies as f64,
        b: 0.0,
    }
}

/// The values of a RandK message and the factor that they are added with.
fn check_message<'a, T: Real>(
    k: usize,
    message: &Message<'a, T>,
    weight: Weight<T>,
    out: &[T],
) -> Result<(&'a [T], T), Error> {
    let Message::RandK(values) = *message else {
        return Err(KIND);
    };
    check_k(k, out.len())?;
    check_length("message", k, values.len())?;
    Ok((values, weight.times(out.len(), k)?))
}

impl Operator for RandK {
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

impl<T: Real> Compressor<T> for RandK {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        check_k(self.k, x.len())?;
        let values = first("values", self.k, buffers.values)?;
        let pi = draw::coordinates(key, self.who(key), x.len())?;
        draw::chunks(&pi, 0, values, |indices, values| {
            gather(indices, x, values);
        })?;
        Ok(Message::RandK(values))
    }

    fn accumulate(
        &self,
        key: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        let (values, factor) = check_message(self.k, message, weight, out)?;
        let pi = draw::coordinates(key, self.who(key), out.len())?;
        draw::chunks_of(&pi, 0, values, |indices, values| {
            scatter(indices, values, factor, out);
        })
    }

    fn bits(&self, _: usize) -> u64 {
        scalar_bits::<T>().saturating_mul(self.k as u64)
    }
}

impl Unbiased for RandK {
    fn omega(&self, d: usize) -> f64 {
        omega(self.k, d)
    }

    fn ab(&self, d: usize, n: usize) -> Ab {
        ab(self.k, self.same_on_all, d, n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn key(round: u64) -> Key {
        Key {
            seed: 11,
            round,
            client: 2,
        }
    }

    /// Mean of `C(x)` and of `|C(x)|^2` over keyed draws.
    fn moments(d: usize, draws: u64, mut apply: impl FnMut(Key, &mut [f64])) -> (Vec<f64>, f64) {
        let (mut mean, mut square) = (vec![0.0; d], 0.0);
        for round in 0..draws {
            let mut c = vec![0.0; d];
            apply(key(round), &mut c);
            square += c.iter().map(|c| c * c).sum::<f64>() / draws as f64;
            mean.iter_mut()
                .zip(c)
                .for_each(|(m, c)| *m += c / draws as f64);
        }
        (mean, square)
    }

    fn is_unbiased_with_omega<C: Unbiased + Compressor<f64>>(mut draw: impl FnMut(Key) -> C) {
        let x: Vec<f64> = (0..9).map(|i| f64::from(i) / 4.0 - 1.0).collect();
        let mut omega = f64::NAN;
        let (mean, square) = moments(9, 30_000, |key, out| {
            let c = draw(key);
            omega = c.omega(9);
            let mut values = [0.0; 9];
            let message = c.compress(key, &x, Buffers::values(&mut values)).unwrap();
            c.accumulate(key, &message, Weight::ONE, out).unwrap();
        });
        assert_eq!(omega, 9.0 / 4.0 - 1.0);
        for (m, x) in mean.iter().zip(&x) {
            assert!((m - x).abs() < 0.1, "{m} for {x}");
        }
        let expected = (omega + 1.0) * x.iter().map(|x| x * x).sum::<f64>();
        assert!(
            (square / expected - 1.0).abs() < 0.02,
            "{square} for {expected}"
        );
    }

    #[test]
    fn all_forms_are_unbiased_with_the_stated_omega() {
        is_unbiased_with_omega(|_| RandK::new(4));
        is_unbiased_with_omega(|_| RandK::same_on_all(4));
        is_unbiased_with_omega(|_| RandSeqK::new(4));
        is_unbiased_with_omega(|key| {
            let mut pool = Pool::new([0_u32; 9], 4).unwrap();
            pool.draw(key).unwrap();
            pool
        });
    }

    #[test]
    fn supports_hold_k_distinct_coordinates_on_both_ends() {
        let mut pool = Pool::new(vec![0_u32; 1003].leak() as &mut [u32], 40).unwrap();
        for round in 0..50 {
            let mut support = [0; 40];
            RandK::new(40)
                .support_into(key(round), 1003, &mut support)
                .unwrap();
            pool.draw(key(round)).unwrap();
            let mut fresh = Pool::new([0_u32; 1003], 40).unwrap();
            fresh.draw(key(round)).unwrap();
            assert_eq!(pool.support(key(round)), fresh.support(key(round)));
            for support in [
                &mut support[..],
                &mut pool.support(key(round)).unwrap().to_vec(),
            ] {
                support.sort_unstable();
                assert!(support.is_sorted_by(|a, b| a < b));
                assert!(support[39] < 1003);
            }
        }
    }

    #[test]
    fn k_equal_to_d_is_the_identity() {
        let x: Vec<f32> = (0..33).map(|i| i as f32 + 0.1).collect();
        let mut values = [0.0; 33];
        let mut out = [0.0; 33];
        let c = RandK::new(33);
        let message = c
            .compress(key(0), &x, Buffers::values(&mut values))
            .unwrap();
        c.accumulate(key(0), &message, Weight::ONE, &mut out)
            .unwrap();
        assert_eq!(out[..], x);
    }

    #[test]
    fn the_error_with_one_draw_for_all_is_omega_times_the_mean() {
        // Two clients, inputs a and -a: the mean is zero, and so is the mean of the messages.
        let x = [1.0_f64, 2.0, 3.0, 4.0];
        let y = x.map(|x| -x);
        let c = RandK::same_on_all(1);
        for round in 0..10 {
            let mut g = [0.0; 4];
            for (client, x) in [(0, &x), (1, &y)] {
                let k = Key {
                    client,
                    ..key(round)
                };
                let mut values = [0.0];
                let message = c.compress(k, x, Buffers::values(&mut values)).unwrap();
                c.accumulate(k, &message, Weight::Mean(2), &mut g).unwrap();
            }
            assert_eq!(g, [0.0; 4]);
        }
        assert_eq!(c.ab(4, 2), Ab { a: 3.0, b: 0.0 });
        assert_eq!(RandK::new(1).ab(4, 2), Ab { a: 1.5, b: 0.0 });
    }

    #[test]
    fn every_client_draws_for_itself_unless_one_draw_is_for_all() {
        let support = |same_on_all, client| {
            let (mut out, key) = ([0; 16], Key { client, ..key(0) });
            let form = RandK {
                same_on_all,
                ..RandK::new(16)
            };
            form.support_into(key, 1 << 20, &mut out).unwrap();
            let form = RandSeqK {
                same_on_all,
                ..RandSeqK::new(16)
            };
            (out, form.start(key, 1 << 20).unwrap())
        };
        let of_all = support(true, 0);
        for client in 0..5 {
            let own = support(false, client);
            assert_eq!(support(true, client), of_all);
            assert!(own.0 != of_all.0 && own.1 != of_all.1, "{client}");
            for other in 0..client {
                let other = support(false, other);
                assert!(own.0 != other.0 && own.1 != other.1, "{client}");
            }
        }
    }

    #[test]
    fn counts_outside_one_to_d_are_refused() {
        for k in [0, 5] {
            let mut values = [0.0_f32; 8];
            for error in [
                RandK::new(k)
                    .compress(key(0), &[0.0; 4], Buffers::values(&mut values))
                    .err(),
                RandSeqK::new(k).start(key(0), 4).err(),
                Pool::new([0_u32; 4], k).err(),
            ] {
                assert!(
                    matches!(error, Some(Error::Parameter { name: "k", .. })),
                    "{k}"
                );
            }
        }
    }
}
