//! The permutations that both ends derive from a key, walked in pieces that fit the stack.

use rand_core::Rng;

use super::Key;
use crate::Error;
use crate::error::check;
use crate::random::{self, Permutation, Purpose};

/// The stream of what all clients of a round share; no client has this number.
pub(super) const SHARED: u64 = u64::MAX;
/// The stream of the permutation of the clients.
const CLIENTS: u64 = u64::MAX - 1;
/// Coordinates computed at a time: a kilobyte of stack.
const CHUNK: usize = 256;

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
    Ok(Permutation::new(stream.next_u64(), u64::from(len)))
}

/// Calls `f` with `pi[start + i ..]` and the values at `i ..`, a chunk at a time, to be written.
pub(super) fn chunks<T>(
    pi: &Permutation,
    start: usize,
    values: &mut [T],
    mut f: impl FnMut(&[u32], &mut [T]),
) -> Result<(), Error> {
    let mut at = start as u64;
    for values in values.chunks_mut(CHUNK) {
        let mut indices = [0; CHUNK];
        let indices = indices
            .split_at_mut_checked(values.len())
            .map_or(&mut [][..], |(a, _)| a);
        pi.forward_into(at, indices)?;
        f(indices, values);
        at = at.wrapping_add(CHUNK as u64);
    }
    Ok(())
}

/// As [`chunks`], for values to be read.
pub(super) fn chunks_of<T>(
    pi: &Permutation,
    start: usize,
    values: &[T],
    mut f: impl FnMut(&[u32], &[T]),
) -> Result<(), Error> {
    let mut at = start as u64;
    for values in values.chunks(CHUNK) {
        let mut indices = [0; CHUNK];
        let indices = indices
            .split_at_mut_checked(values.len())
            .map_or(&mut [][..], |(a, _)| a);
        pi.forward_into(at, indices)?;
        f(indices, values);
        at = at.wrapping_add(CHUNK as u64);
    }
    Ok(())
}
