//! The permutations that both ends derive from a key, walked in pieces that fit the stack.

use rand_core::Rng;

use super::Key;
use crate::Error;
use crate::error::check;
use crate::random::{self, Purpose};

/// The stream of what all clients of a round share; no client has this number.
pub(super) const SHARED: u64 = u64::MAX;
/// The stream of the permutation of the clients.
const CLIENTS: u64 = u64::MAX - 1;
/// Coordinates computed at a time: half a kilobyte of stack.
const CHUNK: usize = 128;

/// A keyed bijection of `0..n`: an alternating Feistel network on the least even number of bits, walked until it lands inside.
#[derive(Debug)]
pub(super) struct Permutation {
    keys: [u64; 6],
    n: u32,
    half: u32,
}

impl Permutation {
    fn new(rng: &mut impl Rng, n: u32) -> Self {
        let bits = 32 - n.saturating_sub(1).leading_zeros();
        let mut keys = [0; 6];
        for key in &mut keys {
            *key = rng.next_u64();
        }
        Self {
            keys,
            n,
            half: bits.div_ceil(2).max(1),
        }
    }

    /// Image of `i < n`.
    pub(super) fn forward(&self, i: u32) -> u32 {
        let mask = (1_u64 << self.half) - 1;
        let mut x = u64::from(i);
        loop {
            let (mut left, mut right) = (x >> self.half, x & mask);
            for key in self.keys {
                let f = (right ^ key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
                let f = (f ^ (f >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                (left, right) = (right, left ^ (f >> (64 - self.half)));
            }
            x = left << self.half | right;
            if x < u64::from(self.n) {
                return x as u32;
            }
        }
    }

    /// Images of `start`, `start + 1`, ...
    pub(super) fn forward_into(&self, start: u32, out: &mut [u32]) {
        for (i, o) in (start..).zip(out) {
            *o = self.forward(i);
        }
    }
}

/// The permutation of `d` coordinates of one stream.
pub(super) fn coordinates(key: Key, who: u64, d: usize) -> Result<Permutation, Error> {
    permutation(key, who, "x", d)
}

/// The permutation of the clients.
pub(super) fn clients(key: Key, n: usize) -> Result<Permutation, Error> {
    permutation(key, CLIENTS, "clients", n)
}

fn permutation(key: Key, who: u64, name: &'static str, n: usize) -> Result<Permutation, Error> {
    let len = u32::try_from(n).unwrap_or(0);
    check(name, len > 0, "must have between 1 and 2^32 - 1 elements")?;
    let mut stream = random::stream(key.seed, key.round, who, Purpose::COMPRESSOR);
    Ok(Permutation::new(&mut stream, len))
}

/// Calls `f` with `pi[start + i ..]` and the values at `i ..`, a chunk at a time, to be written.
pub(super) fn chunks<T>(
    pi: &Permutation,
    start: usize,
    values: &mut [T],
    mut f: impl FnMut(&[u32], &mut [T]),
) {
    let mut at = start as u32;
    for values in values.chunks_mut(CHUNK) {
        let mut indices = [0; CHUNK];
        let indices = indices
            .split_at_mut_checked(values.len())
            .map_or(&mut [][..], |(a, _)| a);
        pi.forward_into(at, indices);
        f(indices, values);
        at = at.wrapping_add(CHUNK as u32);
    }
}

/// As [`chunks`], for values to be read.
pub(super) fn chunks_of<T>(
    pi: &Permutation,
    start: usize,
    values: &[T],
    mut f: impl FnMut(&[u32], &[T]),
) {
    let mut at = start as u32;
    for values in values.chunks(CHUNK) {
        let mut indices = [0; CHUNK];
        let indices = indices
            .split_at_mut_checked(values.len())
            .map_or(&mut [][..], |(a, _)| a);
        pi.forward_into(at, indices);
        f(indices, values);
        at = at.wrapping_add(CHUNK as u32);
    }
}
