//! Compressors: what a client sends, and how a server adds it up.
//!
//! PermK and RandK send values alone: their coordinates follow from the key on both sides. TopK sends coordinates too.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "sizes of types, and positions in a text of fixed length"
)]

use super::{Error, Fault, Status, finish, one, one_mut, slice, slice_mut};
use thalweg::Real;
use thalweg::compress::{
    Buffers, Compressor, Key, Message, Natural, PermK, RandK, TopK, Weight, perm_k, top_k,
};

/// What shared draws are drawn from: [`Key`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DrawKey {
    /// Seed of the run.
    pub seed: u64,
    /// Round of the protocol.
    pub round: u64,
    /// Client that sends.
    pub client: u32,
}

pub(super) unsafe fn key(pointer: *const DrawKey) -> Result<Key, Fault> {
    // SAFETY: the contract of the call.
    let &DrawKey {
        seed,
        round,
        client,
    } = unsafe { one("key", pointer)? };
    Ok(Key {
        seed,
        round,
        client,
    })
}

/// Values that PermK's client sends at most: `ceil(d/n)`; the share of one client can be one less, or none.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_perm_k_len(d: usize, clients: usize) -> usize {
    perm_k::message_len(d, clients)
}

/// Room in which TopK runs at full speed; `k` is enough, and the room is never less.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_top_k_room(d: usize, k: usize) -> usize {
    top_k::candidates(d, k)
}

/// Compresses `x` into the front of `values`; returns the number of values.
fn compress_into<T: Real>(
    compressor: &impl Compressor<T>,
    key: Key,
    x: &[T],
    values: &mut [T],
) -> Result<usize, Fault> {
    let message = compressor.compress(key, x, Buffers::values(&mut *values))?;
    let (Message::PermK(sent) | Message::RandK(sent) | Message::Natural(sent)) = message else {
        return Err(Fault::Kernel(thalweg::Error::Parameter {
            name: "message",
            rule: "must have values alone",
        }));
    };
    let count = sent.len();
    // PermK with more clients than coordinates lends its block of `x` and writes nothing.
    let lent = x.as_ptr_range().contains(&sent.as_ptr()).then(|| {
        let bytes = sent.as_ptr().addr().saturating_sub(x.as_ptr().addr());
        bytes / size_of::<T>()
    });
    let found = values.len();
    let place = values.get_mut(..count).ok_or(thalweg::Error::Length {
        name: "values",
        expected: count,
        found,
    })?;
    if let Some(start) = lent {
        for (to, &from) in place.iter_mut().zip(x.iter().skip(start)) {
            *to = from;
        }
    }
    Ok(count)
}

unsafe fn send<T: Real>(
    compressor: &impl Compressor<T>,
    at: *const DrawKey,
    x: *const T,
    d: usize,
    values: *mut T,
    room: usize,
    count: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (key, x, values, sent) = unsafe {
        (
            key(at)?,
            slice("x", x, d)?,
            slice_mut("values", values, room)?,
            one_mut("sent", count)?,
        )
    };
    *sent = compress_into(compressor, key, x, values)?;
    Ok(())
}

unsafe fn add<T: Real>(
    compressor: &impl Compressor<T>,
    at: *const DrawKey,
    message: &Message<'_, T>,
    clients: usize,
    out: *mut T,
    d: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (key, out) = unsafe { (key(at)?, slice_mut("out", out, d)?) };
    Ok(compressor.accumulate(key, message, Weight::Mean(clients), out)?)
}

unsafe fn add_perm_k<T: Real>(
    at: *const DrawKey,
    values: *const T,
    count: usize,
    clients: usize,
    out: *mut T,
    d: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let values = unsafe { slice("values", values, count)? };
    // SAFETY: the contract of the call.
    unsafe {
        add(
            &PermK::new(clients),
            at,
            &Message::PermK(values),
            clients,
            out,
            d,
        )
    }
}

unsafe fn add_rand_k<T: Real>(
    at: *const DrawKey,
    values: *const T,
    k: usize,
    clients: usize,
    out: *mut T,
    d: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let values = unsafe { slice("values", values, k)? };
    // SAFETY: the contract of the call.
    unsafe { add(&RandK::new(k), at, &Message::RandK(values), clients, out, d) }
}

unsafe fn send_top_k<T: Real>(
    k: usize,
    x: *const T,
    d: usize,
    values: *mut T,
    indices: *mut u32,
    room: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (x, values, indices) = unsafe {
        (
            slice("x", x, d)?,
            slice_mut("values", values, room)?,
            slice_mut("indices", indices, room)?,
        )
    };
    let buffers = Buffers {
        indices,
        ..Buffers::values(values)
    };
    TopK { k }.compress(Key::default(), x, buffers)?;
    Ok(())
}

unsafe fn add_top_k<T: Real>(
    values: *const T,
    indices: *const u32,
    k: usize,
    clients: usize,
    out: *mut T,
    d: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (values, indices, out) = unsafe {
        (
            slice("values", values, k)?,
            slice("indices", indices, k)?,
            slice_mut("out", out, d)?,
        )
    };
    let message = Message::Sparse { indices, values };
    Ok(TopK { k }.accumulate(Key::default(), &message, Weight::Mean(clients), out)?)
}

/// Writes the values that `key.client` of `clients` sends of `x`; `room` is at least [`thalweg_perm_k_len`], `sent` receives their number.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_perm_k_compress_f32(
    key: *const DrawKey,
    clients: usize,
    x: *const f32,
    d: usize,
    values: *mut f32,
    room: usize,
    sent: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            send(&PermK::new(clients), key, x, d, values, room, sent),
        )
    }
}

/// [`thalweg_perm_k_compress_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_perm_k_compress_f64(
    key: *const DrawKey,
    clients: usize,
    x: *const f64,
    d: usize,
    values: *mut f64,
    room: usize,
    sent: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            send(&PermK::new(clients), key, x, d, values, room, sent),
        )
    }
}

/// `out <- out + C(x)/clients` from the values of `key.client`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_perm_k_add_f32(
    key: *const DrawKey,
    clients: usize,
    values: *const f32,
    sent: usize,
    out: *mut f32,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add_perm_k(key, values, sent, clients, out, d)) }
}

/// [`thalweg_perm_k_add_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_perm_k_add_f64(
    key: *const DrawKey,
    clients: usize,
    values: *const f64,
    sent: usize,
    out: *mut f64,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add_perm_k(key, values, sent, clients, out, d)) }
}

/// Writes the `k` values that `key.client` sends of `x`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_rand_k_compress_f32(
    key: *const DrawKey,
    k: usize,
    x: *const f32,
    d: usize,
    values: *mut f32,
    room: usize,
    sent: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send(&RandK::new(k), key, x, d, values, room, sent)) }
}

/// [`thalweg_rand_k_compress_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_rand_k_compress_f64(
    key: *const DrawKey,
    k: usize,
    x: *const f64,
    d: usize,
    values: *mut f64,
    room: usize,
    sent: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send(&RandK::new(k), key, x, d, values, room, sent)) }
}

/// `out <- out + C(x)/clients` from the `k` values of `key.client`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_rand_k_add_f32(
    key: *const DrawKey,
    clients: usize,
    values: *const f32,
    k: usize,
    out: *mut f32,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add_rand_k(key, values, k, clients, out, d)) }
}

/// [`thalweg_rand_k_add_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_rand_k_add_f64(
    key: *const DrawKey,
    clients: usize,
    values: *const f64,
    k: usize,
    out: *mut f64,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add_rand_k(key, values, k, clients, out, d)) }
}

/// Writes the `k` largest magnitudes of `x` and their coordinates to the first `k` places; `room` is at least `k`, [`thalweg_top_k_room`] for full speed.
/// A NaN in `x` is found on the way: `values` and `indices` then hold nothing of use.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_top_k_compress_f32(
    k: usize,
    x: *const f32,
    d: usize,
    values: *mut f32,
    indices: *mut u32,
    room: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send_top_k(k, x, d, values, indices, room)) }
}

/// [`thalweg_top_k_compress_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_top_k_compress_f64(
    k: usize,
    x: *const f64,
    d: usize,
    values: *mut f64,
    indices: *mut u32,
    room: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send_top_k(k, x, d, values, indices, room)) }
}

/// `out <- out + C(x)/clients` from `k` values and coordinates; `out` is untouched unless the coordinates rise strictly below `d`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_top_k_add_f32(
    values: *const f32,
    indices: *const u32,
    k: usize,
    clients: usize,
    out: *mut f32,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add_top_k(values, indices, k, clients, out, d)) }
}

/// [`thalweg_top_k_add_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_top_k_add_f64(
    values: *const f64,
    indices: *const u32,
    k: usize,
    clients: usize,
    out: *mut f64,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add_top_k(values, indices, k, clients, out, d)) }
}

/// Rounds each element of `x` to a power of two at random, without bias.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_natural_compress_f32(
    key: *const DrawKey,
    x: *const f32,
    d: usize,
    values: *mut f32,
    room: usize,
    sent: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send(&Natural, key, x, d, values, room, sent)) }
}

/// [`thalweg_natural_compress_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_natural_compress_f64(
    key: *const DrawKey,
    x: *const f64,
    d: usize,
    values: *mut f64,
    room: usize,
    sent: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send(&Natural, key, x, d, values, room, sent)) }
}

#[cfg(test)]
mod tests;
