//! Compressors that send a few bits of every element: scaled signs, and dithering (QSGD, TernGrad, natural).
//!
//! Their messages are a number for all elements and a small one for each, which frames carry packed.

use super::compress::{DrawKey, key};
use super::wire::{FrameHeader, KIND, copy, frame, header, write};
use super::{Error, Fault, Status, choice, finish, flag, one, one_mut, slice, slice_mut};
use thalweg::Real;
use thalweg::compress::{
    Buffers, Compressor, Dithering, Key, Message, NaturalDithering, Norm, Sign, Weight,
};
use thalweg::wire::{Body, Payload};

/// Levels are shares of the Euclidean norm.
pub const THALWEG_NORM_TWO: u32 = 0;
/// Levels are shares of the largest magnitude.
pub const THALWEG_NORM_MAX: u32 = 1;

/// What dithering rounds to: [`Dithering`] and [`NaturalDithering`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct DitheringConfig {
    /// Levels above zero.
    pub levels: u32,
    /// The norm that they divide, `THALWEG_NORM_*`.
    pub norm: u32,
    /// Not 0: the levels are powers of two, else equidistant.
    pub natural: u32,
}

/// QSGD with some levels; TernGrad has one level of `THALWEG_NORM_MAX`.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_dithering_config(levels: u32) -> DitheringConfig {
    DitheringConfig {
        levels,
        norm: THALWEG_NORM_TWO,
        natural: 0,
    }
}

enum Dither {
    Even(Dithering),
    Natural(NaturalDithering),
}

unsafe fn dither(config: *const DitheringConfig) -> Result<Dither, Fault> {
    // SAFETY: the contract of the call.
    let &DitheringConfig {
        levels,
        norm,
        natural,
    } = unsafe { one("config", config)? };
    let norm = choice("norm", norm, [Norm::Two, Norm::Max])?;
    Ok(if flag("natural", natural)? {
        Dither::Natural(NaturalDithering { levels, norm })
    } else {
        Dither::Even(Dithering { levels, norm })
    })
}

unsafe fn send<T: Real>(
    config: *const DitheringConfig,
    at: *const DrawKey,
    x: *const T,
    d: usize,
    levels: *mut i32,
    norm: *mut T,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (dither, key, x, levels, out) = unsafe {
        (
            dither(config)?,
            key(at)?,
            slice("x", x, d)?,
            slice_mut("levels", levels, d)?,
            one_mut("norm", norm)?,
        )
    };
    let buffers = Buffers {
        levels,
        ..Buffers::default()
    };
    let message = match dither {
        Dither::Even(dithering) => dithering.compress(key, x, buffers)?,
        Dither::Natural(dithering) => dithering.compress(key, x, buffers)?,
    };
    if let Message::Dithered { norm, .. } | Message::NaturalDithered { norm, .. } = message {
        *out = norm;
    }
    Ok(())
}

unsafe fn add<T: Real>(
    config: *const DitheringConfig,
    levels: *const i32,
    norm: T,
    clients: usize,
    out: *mut T,
    d: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (dither, levels, out) = unsafe {
        (
            dither(config)?,
            slice("levels", levels, d)?,
            slice_mut("out", out, d)?,
        )
    };
    let (key, weight) = (Key::default(), Weight::Mean(clients));
    match dither {
        Dither::Even(dithering) => {
            let most = dithering.levels;
            let message = Message::Dithered { norm, most, levels };
            dithering.accumulate(key, &message, weight, out)?;
        }
        Dither::Natural(dithering) => {
            let most = dithering.levels;
            let message = Message::NaturalDithered { norm, most, levels };
            dithering.accumulate(key, &message, weight, out)?;
        }
    }
    Ok(())
}

unsafe fn send_sign<T: Real>(x: *const T, d: usize, scale: *mut T) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (x, out) = unsafe { (slice("x", x, d)?, one_mut("scale", scale)?) };
    if let Message::Sign { scale, .. } = Sign.compress(Key::default(), x, Buffers::default())? {
        *out = scale;
    }
    Ok(())
}

unsafe fn add_sign<T: Real>(
    scale: T,
    signs: *const T,
    clients: usize,
    out: *mut T,
    d: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (values, out) = unsafe { (slice("signs", signs, d)?, slice_mut("out", out, d)?) };
    let message = Message::Sign { scale, values };
    Ok(Sign.accumulate(Key::default(), &message, Weight::Mean(clients), out)?)
}

unsafe fn write_sign<T: Real>(
    fields: *const FrameHeader,
    scale: T,
    signs: *const T,
    d: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (header, values) = unsafe { (header(fields)?, slice("signs", signs, d)?) };
    // SAFETY: the contract of the call.
    unsafe { write(&header, &Body::Sign { scale, values }, out, room, written) }
}

unsafe fn read_sign<T: Real>(
    bytes: *const u8,
    len: usize,
    scale: *mut T,
    signs: *mut T,
    room: usize,
    count: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (frame, out, signs, count) = unsafe {
        (
            frame(bytes, len)?,
            one_mut("scale", scale)?,
            slice_mut("signs", signs, room)?,
            one_mut("count", count)?,
        )
    };
    let Payload::Sign { scale, signs: read } = frame.payload::<T>()? else {
        return Err(KIND);
    };
    let one = |bit| if bit == 0 { T::ONE } else { -T::ONE };
    *count = copy("signs", read.len(), read.iter().map(one), signs)?;
    *out = scale;
    Ok(())
}

unsafe fn write_dithered<T: Real>(
    fields: *const FrameHeader,
    norm: T,
    levels: *const i32,
    d: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (header, levels) = unsafe { (header(fields)?, slice("levels", levels, d)?) };
    // SAFETY: the contract of the call.
    unsafe {
        write(
            &header,
            &Body::Dithered { norm, levels },
            out,
            room,
            written,
        )
    }
}

unsafe fn read_dithered<T: Real>(
    bytes: *const u8,
    len: usize,
    norm: *mut T,
    levels: *mut i32,
    room: usize,
    count: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (frame, out, levels, count) = unsafe {
        (
            frame(bytes, len)?,
            one_mut("norm", norm)?,
            slice_mut("levels", levels, room)?,
            one_mut("count", count)?,
        )
    };
    let Payload::Dithered { norm, levels: read } = frame.payload::<T>()? else {
        return Err(KIND);
    };
    *count = copy("levels", read.len(), read.iter(), levels)?;
    *out = norm;
    Ok(())
}

/// Writes the `d` signed levels that `key.client` sends of `x`, and the norm that they divide.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_dithering_compress_f32(
    config: *const DitheringConfig,
    key: *const DrawKey,
    x: *const f32,
    d: usize,
    levels: *mut i32,
    norm: *mut f32,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send(config, key, x, d, levels, norm)) }
}

/// [`thalweg_dithering_compress_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_dithering_compress_f64(
    config: *const DitheringConfig,
    key: *const DrawKey,
    x: *const f64,
    d: usize,
    levels: *mut i32,
    norm: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send(config, key, x, d, levels, norm)) }
}

/// `out <- out + C(x)/clients` from `d` levels and their norm; `out` is untouched if a level is above `config.levels`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_dithering_add_f32(
    config: *const DitheringConfig,
    levels: *const i32,
    norm: f32,
    clients: usize,
    out: *mut f32,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add(config, levels, norm, clients, out, d)) }
}

/// [`thalweg_dithering_add_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_dithering_add_f64(
    config: *const DitheringConfig,
    levels: *const i32,
    norm: f64,
    clients: usize,
    out: *mut f64,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add(config, levels, norm, clients, out, d)) }
}

/// The magnitude that is sent with the signs of `x`: the mean of the magnitudes.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_sign_compress_f32(
    x: *const f32,
    d: usize,
    scale: *mut f32,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send_sign(x, d, scale)) }
}

/// [`thalweg_sign_compress_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_sign_compress_f64(
    x: *const f64,
    d: usize,
    scale: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, send_sign(x, d, scale)) }
}

/// `out <- out + C(x)/clients` from the magnitude and `d` values of which only the signs count.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_sign_add_f32(
    scale: f32,
    signs: *const f32,
    clients: usize,
    out: *mut f32,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add_sign(scale, signs, clients, out, d)) }
}

/// [`thalweg_sign_add_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_sign_add_f64(
    scale: f64,
    signs: *const f64,
    clients: usize,
    out: *mut f64,
    d: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, add_sign(scale, signs, clients, out, d)) }
}

/// Writes a Sign frame.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_write_sign_f32(
    header: *const FrameHeader,
    scale: f32,
    signs: *const f32,
    d: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            write_sign(header, scale, signs, d, out, room, written),
        )
    }
}

/// [`thalweg_frame_write_sign_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_write_sign_f64(
    header: *const FrameHeader,
    scale: f64,
    signs: *const f64,
    d: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            write_sign(header, scale, signs, d, out, room, written),
        )
    }
}

/// Reads a Sign frame: the magnitude, and 1 or -1 for each element; `count` receives their number.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_sign_f32(
    bytes: *const u8,
    len: usize,
    scale: *mut f32,
    signs: *mut f32,
    room: usize,
    count: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, read_sign(bytes, len, scale, signs, room, count)) }
}

/// [`thalweg_frame_sign_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_sign_f64(
    bytes: *const u8,
    len: usize,
    scale: *mut f64,
    signs: *mut f64,
    room: usize,
    count: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, read_sign(bytes, len, scale, signs, room, count)) }
}

/// Writes a Dithered or NaturalDithered frame, whose `k` is the number of levels.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_write_dithered_f32(
    header: *const FrameHeader,
    norm: f32,
    levels: *const i32,
    d: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            write_dithered(header, norm, levels, d, out, room, written),
        )
    }
}

/// [`thalweg_frame_write_dithered_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_write_dithered_f64(
    header: *const FrameHeader,
    norm: f64,
    levels: *const i32,
    d: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            write_dithered(header, norm, levels, d, out, room, written),
        )
    }
}

/// Reads a Dithered or NaturalDithered frame: the norm and the levels; `count` receives their number.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_dithered_f32(
    bytes: *const u8,
    len: usize,
    norm: *mut f32,
    levels: *mut i32,
    room: usize,
    count: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, read_dithered(bytes, len, norm, levels, room, count)) }
}

/// [`thalweg_frame_dithered_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_dithered_f64(
    bytes: *const u8,
    len: usize,
    norm: *mut f64,
    levels: *mut i32,
    room: usize,
    count: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, read_dithered(bytes, len, norm, levels, room, count)) }
}

#[cfg(test)]
mod tests;
