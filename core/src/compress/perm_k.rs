//! PermK: the clients' messages together cover every coordinate.
//!
//! All clients know one random permutation `s` of the clients and one `pi` of the coordinates. Client `i` takes the place
//! `b = s(i)`, and the places cut the permuted coordinates among themselves:
//!
//! ```text
//! d >= n, d = q n + r   block b starts at b (q + 1) if b < r, else r (q + 1) + (b - r) q,
//!                       and has q + 1 coordinates if b < r, else q
//!                       C_i(x)_j = n x_j  for j in pi[block], else 0
//! n > d, q = floor(n/d) places b < q d own the coordinate b mod d, the other n - q d are idle
//!                       C_i(x)_j = (n/q) x_j  for the own j, else 0
//! ```
//!
//! | symbol | meaning |
//! |---|---|
//! | `n`, `d` | clients; dimension |
//! | `q`, `r` | quotient and remainder of the larger by the smaller |
//!
//! The multiplier is `n` whatever the block's length; it is the permutation of the clients that makes this unbiased
//! when `n` does not divide `d`, since each client then owns each coordinate with probability `1/n` exactly.
//! `E |mean C_i(a_i) - mean a_i|^2 = A mean |a_i|^2 - B |mean a_i|^2` holds with equality, `A = B = 1` for `d >= n`.
//!
//! The mean of equal inputs is the input bit for bit when `d >= n` or `q = 1`: the only addend of a coordinate has weight
//! `n (1/n) = 1`. With `q > 1` owners the mean adds `q` terms `x_j / q`, exact when `q` is a power of two and within
//! `q` roundings otherwise.
//!
//! # Forms
//! | form | memory | cost of a message |
//! |---|---|---|
//! | [`PermK::new`] | none: `pi` is a keyed bijection | `O(d/n)` random reads |
//! | [`PermK::contiguous`] | none: `pi` is the identity | none: the message is a part of `x` |
//! | [`Table`] | `d + n` words, shared by all clients of a process | `O(d/n)` random reads, `O(d)` a round for the table |
//!
//! The first and the last send the same messages for the same key. The second has the same constants, and suits vectors
//! whose neighbours need not be spread.
//!
//! Reference: Szlendak, Tyurin, Richtarik, ICLR 2022, definitions 2 and 3.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "the branches give n and d that are not zero, and places below n"
)]

mod table;

pub use table::Table;

use super::{
    Ab, Buffers, Compressor, KIND, Key, Lengths, Message, Operator, Unbiased, Weight,
    check_dimension, draw, first, gather, scalar_bits, scatter,
};
use crate::error::{check, check_length};
use crate::{Error, Real};

/// What one place owns: `pi[start..start + len]`, together with `owners - 1` other places.
///
/// ```
/// use thalweg::compress::perm_k::Block;
/// // 8 coordinates, 3 clients: blocks of 3, 3 and 2.
/// assert_eq!(Block::new(8, 3, 2), Some(Block { start: 6, len: 2, owners: 1 }));
/// // 3 coordinates, 7 clients: two owners each and one idle client.
/// assert_eq!(Block::new(3, 7, 4), Some(Block { start: 1, len: 1, owners: 2 }));
/// assert_eq!(Block::new(3, 7, 6), Some(Block { start: 0, len: 0, owners: 2 }));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First position in the permuted coordinates.
    pub start: usize,
    /// Number of coordinates; 0 for an idle place.
    pub len: usize,
    /// Places that own each coordinate: 1, or `floor(n/d)` when there are more clients than coordinates.
    pub owners: usize,
}

impl Block {
    /// The share of a place among `n` in dimension `d`; `None` unless `place < n` and `d > 0`.
    #[must_use]
    pub const fn new(d: usize, n: usize, place: usize) -> Option<Self> {
        if d == 0 || place >= n {
            return None;
        }
        if n > d {
            let (owners, at) = (n / d, place % d);
            let idle = place / d >= owners;
            return Some(Self {
                start: if idle { 0 } else { at },
                len: if idle { 0 } else { 1 },
                owners,
            });
        }
        let (q, r) = (d / n, d % n);
        // Blocks before this one hold q coordinates each, and min(place, r) of them one more: at most d in total.
        let longer = if place < r { place } else { r };
        Some(Self {
            start: place * q + longer,
            len: if place < r { q + 1 } else { q },
            owners: 1,
        })
    }
}

/// PermK without a table.
///
/// ```
/// use thalweg::compress::{Compressor, PermK, Unbiased};
/// let perm_k = PermK::new(4);
/// assert_eq!(perm_k.omega(10), 3.0);
/// assert_eq!(Compressor::<f32>::bits(&perm_k, 10), 3 * 32);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PermK {
    /// Number of clients, `n`.
    pub clients: usize,
    /// Whether `pi` is the identity, so that blocks are contiguous.
    pub contiguous: bool,
}

impl PermK {
    /// Blocks of a keyed permutation of the coordinates.
    ///
    /// ```
    /// assert_eq!(thalweg::compress::PermK::new(4).clients, 4);
    /// ```
    #[must_use]
    pub const fn new(clients: usize) -> Self {
        Self {
            clients,
            contiguous: false,
        }
    }

    /// Contiguous blocks, dealt to the clients at random.
    ///
    /// ```
    /// use thalweg::compress::{Buffers, Compressor, Key, Message, PermK};
    /// let x = [1.0_f32, 2.0, 3.0, 4.0];
    /// let message = PermK::contiguous(2).compress(Key::default(), &x, Buffers::default())?;
    /// assert!(message == Message::PermK(&x[..2]) || message == Message::PermK(&x[2..]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub const fn contiguous(clients: usize) -> Self {
        Self {
            clients,
            contiguous: true,
        }
    }

    /// What a client owns in one round.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a client beyond their number, no clients, or `d = 0`.
    ///
    /// ```
    /// use thalweg::compress::{Key, PermK};
    /// let perm_k = PermK::new(3);
    /// let lens = [0, 1, 2].map(|client| perm_k.share(Key { client, ..Key::default() }, 8).unwrap().len);
    /// assert_eq!(lens.iter().sum::<usize>(), 8);
    /// ```
    pub fn share(&self, key: Key, d: usize) -> Result<Block, Error> {
        validate(self.clients, d)?;
        // A client beyond their number stays where it is, so that its place is none.
        let place = draw::clients(key, self.clients)?.forward(u64::from(key.client));
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        Block::new(d, self.clients, place).ok_or(CLIENT)
    }

    /// Writes the coordinates of a client, in the order of its message; `out` has the length of the share.
    ///
    /// # Errors
    /// As [`PermK::share`], and [`Error::Length`].
    ///
    /// ```
    /// use thalweg::compress::{Key, PermK};
    /// let key = Key::default();
    /// let share = PermK::contiguous(2).share(key, 4)?;
    /// let mut indices = [0; 2];
    /// PermK::contiguous(2).support_into(key, 4, &mut indices)?;
    /// assert_eq!(indices, [share.start as u32, share.start as u32 + 1]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn support_into(&self, key: Key, d: usize, out: &mut [u32]) -> Result<(), Error> {
        let share = self.share(key, d)?;
        check_length("out", share.len, out.len())?;
        if self.is_identity(d) {
            for (i, o) in (share.start..).zip(out) {
                *o = i as u32;
            }
        } else {
            draw::coordinates(key, draw::SHARED, d)?.forward_into(share.start as u64, out)?;
        }
        Ok(())
    }

    /// Coordinates are not permuted: by choice, or because the clients' order is random enough for one each.
    const fn is_identity(&self, d: usize) -> bool {
        self.contiguous || self.clients > d
    }
}

const CLIENT: Error = Error::Parameter {
    name: "client",
    rule: "must be less than the number of clients",
};

fn validate(clients: usize, d: usize) -> Result<(), Error> {
    check_dimension(d)?;
    let fits = clients > 0 && u32::try_from(clients).is_ok();
    check("clients", fits, "must be between 1 and 2^32 - 1")
}

/// Elements of the longest message: `ceil(d/n)`.
///
/// ```
/// assert_eq!(thalweg::compress::perm_k::message_len(10, 4), 3);
/// assert_eq!(thalweg::compress::perm_k::message_len(4, 10), 1);
/// ```
#[must_use]
pub const fn message_len(d: usize, clients: usize) -> usize {
    if clients == 0 { 0 } else { d.div_ceil(clients) }
}

fn omega(clients: usize, d: usize) -> f64 {
    // `owners` is at least 1.
    let owners = Block::new(d, clients, 0).map_or(1, |share| share.owners);
    clients as f64 / owners as f64 - 1.0
}

fn ab(clients: usize, d: usize) -> Ab {
    match Block::new(d, clients, 0) {
        Some(share) if share.owners > 1 => {
            // Two owners are of two clients: n > 1.
            let (n, q) = (clients as f64, share.owners as f64);
            let a = (n - q) / (q * (n - 1.0));
            Ab { a, b: a }
        }
        // With q = 1 the fraction is 1, and one client sends everything.
        _ => Ab { a: 1.0, b: 1.0 },
    }
}

impl Operator for PermK {
    fn validate(&self, d: usize) -> Result<(), Error> {
        validate(self.clients, d)
    }

    fn lengths(&self, d: usize) -> Lengths {
        Lengths {
            values: if self.contiguous {
                0
            } else {
                message_len(d, self.clients)
            },
            ..Lengths::default()
        }
    }

    fn clients(&self) -> Option<usize> {
        Some(self.clients)
    }
}

impl<T: Real> Compressor<T> for PermK {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        let d = x.len();
        let share = self.share(key, d)?;
        if self.is_identity(d) {
            let block = x.get(share.start..).and_then(|x| x.get(..share.len));
            return block.map(Message::PermK).ok_or(CLIENT);
        }
        let values = first("values", share.len, buffers.values)?;
        let pi = draw::coordinates(key, draw::SHARED, d)?;
        draw::chunks(&pi, share.start, values, |indices, values| {
            gather(indices, x, values);
        })?;
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
        let d = out.len();
        let share = self.share(key, d)?;
        check_length("message", share.len, values.len())?;
        let factor = weight.times(self.clients, share.owners)?;
        if self.is_identity(d) {
            let block = out.get_mut(share.start..).into_iter().flatten();
            for (o, &value) in block.zip(values) {
                *o += factor * value;
            }
            return Ok(());
        }
        let pi = draw::coordinates(key, draw::SHARED, d)?;
        draw::chunks_of(&pi, share.start, values, |indices, values| {
            scatter(indices, values, factor, out);
        })
    }

    fn bits(&self, d: usize) -> u64 {
        scalar_bits::<T>().saturating_mul(message_len(d, self.clients) as u64)
    }
}

impl Unbiased for PermK {
    fn omega(&self, d: usize) -> f64 {
        omega(self.clients, d)
    }

    /// `A = B`, for `n` the compressor's own number of clients.
    fn ab(&self, d: usize, _: usize) -> Ab {
        ab(self.clients, d)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    const CASES: [(usize, usize); 10] = [
        (1, 1),
        (1, 7),
        (3, 6),
        (3, 8),
        (5, 7),
        (4, 4),
        (6, 3),
        (7, 3),
        (10, 4),
        (24, 113),
    ];

    fn key(round: u64, client: usize) -> Key {
        Key {
            seed: 5,
            round,
            client: client as u32,
        }
    }

    /// `C_i(x)` as a vector.
    fn applied<C: Compressor<f64>>(c: &C, key: Key, x: &[f64]) -> Vec<f64> {
        let mut values = vec![0.0; x.len()];
        let message = c.compress(key, x, Buffers::values(&mut values)).unwrap();
        let mut out = vec![0.0; x.len()];
        c.accumulate(key, &message, Weight::ONE, &mut out).unwrap();
        out
    }

    #[test]
    fn every_coordinate_is_owned_once_or_q_times() {
        for (n, d) in CASES {
            for form in [PermK::new(n), PermK::contiguous(n)] {
                for round in 0..20 {
                    let mut owners = vec![0; d];
                    for client in 0..n {
                        let share = form.share(key(round, client), d).unwrap();
                        let mut support = vec![0; share.len];
                        form.support_into(key(round, client), d, &mut support)
                            .unwrap();
                        support.iter().for_each(|&j| owners[j as usize] += 1);
                    }
                    assert_eq!(owners, vec![(n / d).max(1); d], "n={n} d={d}");
                }
            }
        }
    }

    #[test]
    fn the_mean_of_equal_inputs_is_the_input_bit_for_bit() {
        // 24 clients, and 226 = 2 d clients with two owners each: halves add up exactly.
        for (n, d) in [(24, 113), (226, 113), (113, 113), (1, 113), (150, 113)] {
            let x: Vec<f32> = (0..d).map(|i| 0.1 + (i as f32).sqrt() * 1e3).collect();
            for form in [PermK::new(n), PermK::contiguous(n)] {
                let mut mean = vec![0.0; d];
                for client in 0..n {
                    let mut values = vec![0.0; message_len(d, n)];
                    let buffers = Buffers::values(&mut values);
                    let message = form.compress(key(3, client), &x, buffers).unwrap();
                    form.accumulate(key(3, client), &message, Weight::Mean(n), &mut mean)
                        .unwrap();
                }
                assert_eq!(mean, x, "n={n}");
            }
        }
    }

    #[test]
    fn each_client_is_unbiased_even_when_n_does_not_divide_d() {
        // The authors' test: n = 5, d = 9, 30 000 draws, tolerance 0.1.
        let x: Vec<f64> = (0..9).map(|i| f64::from(i) / 4.0 - 1.0).collect();
        for client in 0..5 {
            let mut mean = [0.0; 9];
            for round in 0..30_000 {
                let c = applied(&PermK::new(5), key(round, client), &x);
                mean.iter_mut().zip(c).for_each(|(m, c)| *m += c / 30_000.0);
            }
            for (m, x) in mean.iter().zip(&x) {
                assert!((m - x).abs() < 0.1, "client {client}: {m} for {x}");
            }
        }
    }

    /// `E |mean C_i(a_i) - mean a_i|^2`, `mean |a_i|^2` and `|mean a_i|^2` over many rounds.
    fn error_of_mean(form: PermK, a: &[Vec<f64>], rounds: u64) -> (f64, f64, f64) {
        let (n, d) = (a.len(), a[0].len());
        let mean: Vec<f64> = (0..d)
            .map(|j| a.iter().map(|a| a[j]).sum::<f64>() / n as f64)
            .collect();
        let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>();
        let mut error = 0.0;
        for round in 0..rounds {
            let mut g = vec![0.0; d];
            for (client, a) in a.iter().enumerate() {
                let mut values = vec![0.0; message_len(d, n)];
                let k = key(round, client);
                let message = form.compress(k, a, Buffers::values(&mut values)).unwrap();
                form.accumulate(k, &message, Weight::Mean(n), &mut g)
                    .unwrap();
            }
            g.iter_mut().zip(&mean).for_each(|(g, m)| *g -= m);
            error += norm(&g) / rounds as f64;
        }
        let spread = a.iter().map(|a| norm(a)).sum::<f64>() / n as f64;
        (error, spread, norm(&mean))
    }

    #[test]
    fn the_ab_inequality_holds_with_equality_at_the_published_constants() {
        let cases = [
            (3, 6, 1.0),
            (3, 8, 1.0),
            (5, 7, 1.0),
            (6, 3, 0.4),
            (7, 3, 5.0 / 12.0),
            (10, 4, 4.0 / 9.0),
            (4, 4, 1.0),
        ];
        for (n, d, constant) in cases {
            // Entries between -1 and 1 from a multiplicative hash.
            let a: Vec<Vec<f64>> = (0..n)
                .map(|i| {
                    let entry = |j| f64::from(((i * d + j) as u32 + 1).wrapping_mul(0x9E37_79B9));
                    (0..d).map(|j| entry(j) / 2.0_f64.powi(31) - 1.0).collect()
                })
                .collect();
            for form in [PermK::new(n), PermK::contiguous(n)] {
                let ab = form.ab(d, n);
                assert!((ab.a - constant).abs() < 1e-15 && ab.a == ab.b, "{ab:?}");
                let (error, spread, mean) = error_of_mean(form, &a, 40_000);
                let expected = ab.a * spread - ab.b * mean;
                let off = (error / expected - 1.0).abs();
                assert!(off < 0.01, "{form:?} d={d}: {error} for {expected}");
            }
        }
    }

    #[test]
    fn two_clients_in_two_dimensions_give_the_enumerated_error() {
        // Mean (2, 0.5). Either client 0 owns coordinate 0: (1, -1), or coordinate 1: (3, 2);
        // squared errors 1 + 2.25 and 1 + 2.25, whose mean is 3.25.
        let a = [vec![1.0, 2.0], vec![3.0, -1.0]];
        for form in [PermK::new(2), PermK::contiguous(2)] {
            assert_eq!(error_of_mean(form, &a, 64).0, 3.25);
        }
    }

    #[test]
    fn messages_of_different_clients_are_orthogonal() {
        let x: Vec<f64> = (1..=113).map(f64::from).collect();
        let c: Vec<_> = (0..24)
            .map(|i| applied(&PermK::new(24), key(0, i), &x))
            .collect();
        for i in 0..24 {
            assert!(c[i].iter().any(|v| *v != 0.0));
            for j in 0..i {
                assert!(c[i].iter().zip(&c[j]).all(|(a, b)| a * b == 0.0));
            }
        }
    }

    #[test]
    fn the_table_sends_the_messages_of_the_form_without_one() {
        for (n, d) in CASES {
            let mut table = Table::new(vec![0; d].leak(), vec![0; n].leak()).unwrap();
            let x: Vec<f64> = (0..d).map(|i| i as f64).collect();
            for round in 0..5 {
                table.draw(5, round).unwrap();
                for client in 0..n {
                    let k = key(round, client);
                    assert_eq!(applied(&table, k, &x), applied(&PermK::new(n), k, &x));
                    let share = PermK::new(n).share(k, d).unwrap();
                    let mut support = vec![0; share.len];
                    PermK::new(n).support_into(k, d, &mut support).unwrap();
                    assert_eq!(table.support(k).unwrap(), (&support[..], share));
                }
            }
        }
    }

    #[test]
    fn wrong_arguments_are_named_and_leave_the_sum_alone() {
        let x = [1.0_f32; 6];
        let mut values = [0.0; 3];
        let name = |error| match error {
            Err(Error::Parameter { name, .. } | Error::Length { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        let mut sent = |form: PermK, client, x: &[f32], room: usize| {
            let buffers = Buffers::values(&mut values[..room]);
            name(form.compress(key(0, client), x, buffers).map(|_| ()))
        };
        assert_eq!(sent(PermK::new(0), 0, &x, 3), "clients");
        assert_eq!(sent(PermK::new(2), 2, &x, 3), "client");
        assert_eq!(sent(PermK::new(2), 0, &[], 3), "x");
        assert_eq!(sent(PermK::new(2), 0, &x, 2), "values");
        let mut out = [7.0_f32; 6];
        let mut added = |message: Message<'_, f32>, weight| {
            name(PermK::new(2).accumulate(key(0, 0), &message, weight, &mut out))
        };
        assert_eq!(added(Message::PermK(&[1.0; 2]), Weight::ONE), "message");
        assert_eq!(added(Message::RandK(&[1.0; 3]), Weight::ONE), "message");
        assert_eq!(added(Message::PermK(&[1.0; 3]), Weight::Mean(0)), "weight");
        assert_eq!(out, [7.0; 6]);
    }
}
