//! thalweg as a static library: a flat C interface over the caller's slices, for engines that are not written in Rust.
//! It calls the public functions of [`thalweg`] and adds nothing to them.
//!
//! Functions take pointers with lengths and plain structs, and keep nothing. Those that can fail return a [`Status`]; their
//! last argument may point to an [`Error`], which then says in words what is wrong; it may be null. The numbers, the bits
//! and the checks are those of the Rust functions, whose documentation holds.
//!
//! # Safety, for all functions
//! A pointer with a length must be valid for that many elements, and memory that is written must not overlap any other
//! argument. Null and misaligned pointers are answered with a status; a null pointer with length zero is an empty slice.
//!
//! ```
//! use thalweg_c::{Status, optim::{AdamConfig, thalweg_adam_config, thalweg_adam_step_f32}};
//! let config = AdamConfig { learning_rate: 0.5, ..thalweg_adam_config() };
//! let (mut x, g, mut m, mut v, mut steps) = ([1.0_f32], [3.0_f32], [0.0_f32], [0.0_f32], 0_u64);
//! let null = core::ptr::null_mut();
//! // SAFETY: all pointers lead to one element each.
//! let status = unsafe {
//!     thalweg_adam_step_f32(&config, &mut steps, m.as_mut_ptr(), v.as_mut_ptr(), null, x.as_mut_ptr(), g.as_ptr(), 1, null.cast())
//! };
//! assert_eq!(status, Status::Ok);
//! assert!((x[0] - 0.5).abs() < 1e-6 && steps == 1); // the first step is learning_rate * sign(g)
//! ```

#![cfg_attr(target_os = "none", no_std)]
#![allow(
    clippy::arithmetic_side_effects,
    reason = "sizes of types, and positions in a text of fixed length"
)]
#![allow(
    clippy::too_many_arguments,
    reason = "C has no slices: each is a pointer and a length"
)]
#![allow(
    unsafe_code,
    reason = "pointers of another language become slices here, and nowhere else"
)]

pub mod compress;
pub mod kernel;
pub mod mixture;
#[cfg(target_os = "none")]
mod no_panic;
pub mod optim;
pub mod particle;
pub mod rounding;
pub mod stream;
pub mod vector;
pub mod wire;

use core::ffi::c_char;
use core::fmt::{self, Display, Write};

use thalweg::wire::{DecodeError, EncodeError};

/// What a call ended with. `thalweg_status_name` gives the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Status {
    /// Done.
    Ok = 0,
    /// A slice of the wrong length.
    Length = 1,
    /// A hyperparameter, count or index outside its range.
    Parameter = 2,
    /// A value that is NaN or infinite where a finite one is needed.
    NonFinite = 3,
    /// A matrix that is not invertible to working precision.
    Singular = 4,
    /// An iteration that did not reach its tolerance.
    NoConvergence = 5,
    /// A value for which an iteration diverges.
    Unstable = 6,
    /// A pointer that is null where elements are needed.
    Null = 7,
    /// A pointer that is not aligned to its elements, or a length beyond the address space.
    Pointer = 8,
    /// Bytes that are not a frame of this format, or not the one asked for.
    Decode = 9,
    /// A frame that cannot be written.
    Encode = 10,
}

/// Bytes of an [`Error`]'s text with the zero at its end.
pub const THALWEG_ERROR_TEXT: usize = 124;

/// A status and the same in words: which argument, what it is, what it must be.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Error {
    /// The status that the call answered.
    pub status: Status,
    /// Zero-terminated ASCII, cut where the room ends.
    pub text: [c_char; THALWEG_ERROR_TEXT],
}

/// The name of a status, zero-terminated, valid for the life of the program.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_status_name(status: u32) -> *const c_char {
    match status {
        0 => c"ok",
        1 => c"length",
        2 => c"parameter",
        3 => c"non-finite",
        4 => c"singular",
        5 => c"no convergence",
        6 => c"unstable",
        7 => c"null pointer",
        8 => c"bad pointer",
        9 => c"decode",
        10 => c"encode",
        _ => c"unknown",
    }
    .as_ptr()
}

/// The version of the library, `"major.minor.patch"`, zero-terminated, valid for the life of the program.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// What is wrong with a call.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Kernel(thalweg::Error),
    Null(&'static str),
    Pointer(&'static str),
    Decode(DecodeError),
    Encode(EncodeError),
}

impl From<thalweg::Error> for Fault {
    fn from(error: thalweg::Error) -> Self {
        Self::Kernel(error)
    }
}

impl From<DecodeError> for Fault {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<EncodeError> for Fault {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl Fault {
    const fn status(&self) -> Status {
        match self {
            Self::Kernel(error) => match error {
                thalweg::Error::Length { .. } => Status::Length,
                thalweg::Error::Parameter { .. } => Status::Parameter,
                thalweg::Error::NonFinite { .. } => Status::NonFinite,
                thalweg::Error::Singular { .. } => Status::Singular,
                thalweg::Error::NoConvergence { .. } => Status::NoConvergence,
                thalweg::Error::Unstable { .. } => Status::Unstable,
                // A kind of error that has no code yet.
                _ => Status::Parameter,
            },
            Self::Null(_) => Status::Null,
            Self::Pointer(_) => Status::Pointer,
            Self::Decode(_) => Status::Decode,
            Self::Encode(_) => Status::Encode,
        }
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => error.fmt(f),
            Self::Null(name) => write!(f, "`{name}` is null"),
            Self::Pointer(name) => write!(f, "`{name}` is not aligned, or too long"),
            Self::Decode(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
        }
    }
}

/// Writes text into a fixed room and leaves a zero at its end.
struct Text<'a> {
    room: &'a mut [c_char; THALWEG_ERROR_TEXT],
    len: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let Some(place) = self
                .room
                .get_mut(..THALWEG_ERROR_TEXT - 1)
                .and_then(|room| room.get_mut(self.len))
            else {
                break;
            };
            *place = byte as c_char;
            self.len += 1;
        }
        Ok(())
    }
}

/// Ends a call: the status, and the error where the caller wants one.
///
/// # Safety
/// `error` is null or valid for writing.
unsafe fn finish(error: *mut Error, outcome: Result<(), Fault>) -> Status {
    let status = match &outcome {
        Ok(()) => Status::Ok,
        Err(fault) => fault.status(),
    };
    if error.is_null() || !error.is_aligned() {
        return status;
    }
    let mut found = Error {
        status,
        text: [0; THALWEG_ERROR_TEXT],
    };
    if let Err(fault) = outcome {
        // Text never fails.
        let _ = write!(
            Text {
                room: &mut found.text,
                len: 0
            },
            "{fault}"
        );
    }
    // SAFETY: not null, aligned, and valid by the contract of the call.
    unsafe { error.write(found) };
    status
}

/// A slice of the caller's memory.
///
/// # Safety
/// `pointer` is null or valid for reading `len` elements for as long as the call runs, and nothing writes to them.
unsafe fn slice<'a, T>(
    name: &'static str,
    pointer: *const T,
    len: usize,
) -> Result<&'a [T], Fault> {
    check_pointer(name, pointer, len)?;
    if len == 0 {
        return Ok(&[]);
    }
    // SAFETY: not null, aligned, short enough, and valid by the contract of the call.
    Ok(unsafe { core::slice::from_raw_parts(pointer, len) })
}

/// A slice of the caller's memory, to be written.
///
/// # Safety
/// `pointer` is null or valid for reading and writing `len` elements for as long as the call runs, and no other argument reaches them.
unsafe fn slice_mut<'a, T>(
    name: &'static str,
    pointer: *mut T,
    len: usize,
) -> Result<&'a mut [T], Fault> {
    check_pointer(name, pointer, len)?;
    if len == 0 {
        return Ok(&mut []);
    }
    // SAFETY: not null, aligned, short enough, valid and not shared by the contract of the call.
    Ok(unsafe { core::slice::from_raw_parts_mut(pointer, len) })
}

/// One value of the caller's.
///
/// # Safety
/// As [`slice`].
unsafe fn one<'a, T>(name: &'static str, pointer: *const T) -> Result<&'a T, Fault> {
    check_pointer(name, pointer, 1)?;
    // SAFETY: not null, aligned, and valid by the contract of the call.
    Ok(unsafe { &*pointer })
}

/// One value of the caller's, to be written.
///
/// # Safety
/// As [`slice_mut`].
unsafe fn one_mut<'a, T>(name: &'static str, pointer: *mut T) -> Result<&'a mut T, Fault> {
    check_pointer(name, pointer, 1)?;
    // SAFETY: not null, aligned, valid and not shared by the contract of the call.
    Ok(unsafe { &mut *pointer })
}

fn check_pointer<T>(name: &'static str, pointer: *const T, len: usize) -> Result<(), Fault> {
    if len == 0 {
        return Ok(());
    }
    if pointer.is_null() {
        return Err(Fault::Null(name));
    }
    let fits = len
        .checked_mul(size_of::<T>())
        .is_some_and(|bytes| bytes <= isize::MAX as usize);
    if !pointer.is_aligned() || !fits {
        return Err(Fault::Pointer(name));
    }
    Ok(())
}

/// Reads a flag or a choice among `N` values.
fn choice<V: Copy, const N: usize>(
    name: &'static str,
    code: u32,
    values: [V; N],
) -> Result<V, Fault> {
    values
        .get(code as usize)
        .copied()
        .ok_or(Fault::Kernel(thalweg::Error::Parameter {
            name,
            rule: "must be one of the values that the header lists",
        }))
}

fn flag(name: &'static str, code: u32) -> Result<bool, Fault> {
    choice(name, code, [false, true])
}

/// Products and sums as on every target, with the same bits.
pub const THALWEG_ARITHMETIC_PORTABLE: u32 = 0;
/// Whatever is fast on this target.
pub const THALWEG_ARITHMETIC_FAST: u32 = 1;

fn arithmetic(code: u32) -> Result<thalweg::Arithmetic, Fault> {
    choice(
        "arithmetic",
        code,
        [thalweg::Arithmetic::Portable, thalweg::Arithmetic::Fast],
    )
}

#[cfg(test)]
mod tests;
