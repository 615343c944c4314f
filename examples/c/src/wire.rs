//! Frames with values or coordinates, and those without a payload; [`rounding`](super::rounding) has the others.

use super::{Error, Fault, Status, finish, one, one_mut, slice, slice_mut};
use thalweg::Real;
use thalweg::wire::{self, Body, Dtype, Expect, Frame, Header, Kind, Payload, Values};

/// The fields of a frame: [`Header`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FrameHeader {
    /// Round of the protocol.
    pub round: u64,
    /// Seed of the run.
    pub seed: u64,
    /// The sender's number.
    pub client: u32,
    /// Dimension of the model.
    pub d: u32,
    /// Values sent.
    pub k: u32,
    /// Code of the kind, `THALWEG_KIND_*`.
    pub kind: u32,
    /// Code of the scalar type: 0 none, 1 `f32`, 2 `f64`.
    pub dtype: u32,
    /// Flags.
    pub flags: u32,
}

/// A client joins.
pub const THALWEG_KIND_HELLO: u32 = 1;
/// The model, `d` values.
pub const THALWEG_KIND_MODEL: u32 = 2;
/// The gradient estimate, `d` values.
pub const THALWEG_KIND_ESTIMATE: u32 = 3;
/// A client's `d` values.
pub const THALWEG_KIND_DENSE: u32 = 4;
/// A client's share of the shared permutation.
pub const THALWEG_KIND_PERM_K: u32 = 5;
/// The values at `k` drawn coordinates.
pub const THALWEG_KIND_RAND_K: u32 = 6;
/// The values at `k` consecutive coordinates.
pub const THALWEG_KIND_RAND_SEQ_K: u32 = 7;
/// Coordinates and values.
pub const THALWEG_KIND_SPARSE: u32 = 8;
/// Signed powers of two.
pub const THALWEG_KIND_NATURAL: u32 = 9;
/// A scale and `d` signs.
pub const THALWEG_KIND_SIGN: u32 = 10;
/// A norm and `d` levels.
pub const THALWEG_KIND_DITHERED: u32 = 11;
/// A norm and `d` levels at powers of two.
pub const THALWEG_KIND_NATURAL_DITHERED: u32 = 12;
/// A round is opened.
pub const THALWEG_KIND_ROUND: u32 = 13;
/// Received and applied.
pub const THALWEG_KIND_ACK: u32 = 14;
/// A client leaves, or is left out.
pub const THALWEG_KIND_DROP: u32 = 15;
/// The run ends.
pub const THALWEG_KIND_STOP: u32 = 16;
/// The Jacobian of the outputs for sample `k`.
pub const THALWEG_KIND_JACOBIAN: u32 = 17;
/// The large elements of one, quantised.
pub const THALWEG_KIND_QUANTISED_JACOBIAN: u32 = 18;
/// The classes of a client's samples.
pub const THALWEG_KIND_LABELS: u32 = 19;
/// The outputs of the model on a client's samples.
pub const THALWEG_KIND_LOGITS: u32 = 20;
/// A model that the server may choose.
pub const THALWEG_KIND_CANDIDATE: u32 = 21;
/// The losses of the candidates.
pub const THALWEG_KIND_LOSSES: u32 = 22;
/// The public key of a client.
pub const THALWEG_KIND_PUBLIC_KEY: u32 = 23;
/// A seed, encrypted for one client.
pub const THALWEG_KIND_SEALED_SEED: u32 = 24;
/// No values.
pub const THALWEG_DTYPE_NONE: u32 = 0;
/// `float`.
pub const THALWEG_DTYPE_F32: u32 = 1;
/// `double`.
pub const THALWEG_DTYPE_F64: u32 = 2;
/// Bytes of a frame around its payload.
pub const THALWEG_FRAME_OVERHEAD: usize = 52;

pub(super) unsafe fn header(pointer: *const FrameHeader) -> Result<Header, Fault> {
    // SAFETY: the contract of the call.
    let &FrameHeader {
        round,
        seed,
        client,
        d,
        k,
        kind,
        dtype,
        flags,
    } = unsafe { one("header", pointer)? };
    let unknown = |name| thalweg::Error::Parameter {
        name,
        rule: "must be one of the values that the header lists",
    };
    Ok(Header {
        kind: u8::try_from(kind)
            .ok()
            .and_then(Kind::from_code)
            .ok_or(unknown("kind"))?,
        dtype: u8::try_from(dtype)
            .ok()
            .and_then(Dtype::from_code)
            .ok_or(unknown("dtype"))?,
        flags: u16::try_from(flags).map_err(|_| unknown("flags"))?,
        client,
        d,
        k,
        round,
        seed,
    })
}

pub(super) unsafe fn frame<'a>(bytes: *const u8, len: usize) -> Result<Frame<'a>, Fault> {
    // SAFETY: the contract of the call.
    let bytes = unsafe { slice("bytes", bytes, len)? };
    // The bytes are in memory: their number is cap enough.
    let expect = Expect {
        cap: len,
        ..Expect::default()
    };
    Ok(wire::decode(bytes, &expect)?)
}

pub(super) unsafe fn write<T: Real>(
    header: &Header,
    body: &Body<'_, T>,
    out: *mut u8,
    room: usize,
    written: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (out, written) = unsafe { (slice_mut("out", out, room)?, one_mut("written", written)?) };
    *written = wire::encode_into(header, body, out)?;
    Ok(())
}

unsafe fn write_values<T: Real>(
    fields: *const FrameHeader,
    values: *const T,
    count: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (header, values) = unsafe { (header(fields)?, slice("values", values, count)?) };
    let body = if header.kind == Kind::Natural {
        Body::Natural(values)
    } else {
        Body::Values(values)
    };
    // SAFETY: the contract of the call.
    unsafe { write(&header, &body, out, room, written) }
}

unsafe fn write_sparse<T: Real>(
    fields: *const FrameHeader,
    indices: *const u32,
    values: *const T,
    k: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (header, indices, values) = unsafe {
        (
            header(fields)?,
            slice("indices", indices, k)?,
            slice("values", values, k)?,
        )
    };
    // SAFETY: the contract of the call.
    unsafe {
        write(
            &header,
            &Body::Sparse { indices, values },
            out,
            room,
            written,
        )
    }
}

unsafe fn write_control(
    fields: *const FrameHeader,
    number: u64,
    out: *mut u8,
    room: usize,
    written: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let header = unsafe { header(fields)? };
    let body: Body<'_, f32> = match header.kind {
        Kind::Hello => Body::Hello { samples: number },
        Kind::Round => Body::Round { full: number != 0 },
        _ => Body::Empty,
    };
    // SAFETY: the contract of the call.
    unsafe { write(&header, &body, out, room, written) }
}

/// What a function for one kind of payload says of another.
pub(super) const KIND: Fault = Fault::Kernel(thalweg::Error::Parameter {
    name: "bytes",
    rule: "must be a frame of the kind that this function reads",
});

unsafe fn read_values<T: Real>(
    bytes: *const u8,
    len: usize,
    values: *mut T,
    room: usize,
    count: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (frame, values, count) = unsafe {
        (
            frame(bytes, len)?,
            slice_mut("values", values, room)?,
            one_mut("count", count)?,
        )
    };
    match frame.payload::<T>()? {
        Payload::Values(read) => *count = copy_values(&read, values)?,
        Payload::Natural(read) => *count = copy("values", read.len(), read.iter(), values)?,
        _ => return Err(KIND),
    }
    Ok(())
}

fn copy_values<T: Real>(read: &Values<'_, T>, out: &mut [T]) -> Result<usize, Fault> {
    let found = out.len();
    let place = out.get_mut(..read.len()).ok_or(thalweg::Error::Length {
        name: "values",
        expected: read.len(),
        found,
    })?;
    read.copy_into(place)?;
    Ok(read.len())
}

/// Fills `out` with all `found` elements of `read`, and returns their number.
pub(super) fn copy<T>(
    name: &'static str,
    found: usize,
    read: impl Iterator<Item = T>,
    out: &mut [T],
) -> Result<usize, Fault> {
    thalweg::error::check_scratch(name, found, out.len())?;
    out.iter_mut().zip(read).for_each(|(out, read)| *out = read);
    Ok(found)
}

unsafe fn read_sparse<T: Real>(
    bytes: *const u8,
    len: usize,
    indices: *mut u32,
    values: *mut T,
    room: usize,
    count: *mut usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (frame, indices, values, count) = unsafe {
        (
            frame(bytes, len)?,
            slice_mut("indices", indices, room)?,
            slice_mut("values", values, room)?,
            one_mut("count", count)?,
        )
    };
    let Payload::Sparse {
        indices: read,
        values: read_values,
    } = frame.payload::<T>()?
    else {
        return Err(KIND);
    };
    copy("values", read.len(), read.iter(), indices)?;
    *count = copy_values(&read_values, values)?;
    Ok(())
}

/// Writes a frame without values: Hello with its `number` of samples, Round with 1 for a full one, Ack, Drop, Stop.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_write_control(
    header: *const FrameHeader,
    number: u64,
    out: *mut u8,
    room: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, write_control(header, number, out, room, written)) }
}

/// Checks a whole frame, and writes its fields to `header`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_read(
    bytes: *const u8,
    len: usize,
    header: *mut FrameHeader,
    error: *mut Error,
) -> Status {
    let run = || {
        // SAFETY: the contract of the call.
        let (frame, out) = unsafe { (frame(bytes, len)?, one_mut("header", header)?) };
        let Header {
            kind,
            dtype,
            flags,
            client,
            d,
            k,
            round,
            seed,
        } = frame.header;
        *out = FrameHeader {
            round,
            seed,
            client,
            d,
            k,
            kind: kind.code().into(),
            dtype: dtype.code().into(),
            flags: flags.into(),
        };
        Ok(())
    };
    // SAFETY: the contract of the call.
    unsafe { finish(error, run()) }
}

/// Writes the number that Hello and Round carry to `number`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_number(
    bytes: *const u8,
    len: usize,
    number: *mut u64,
    error: *mut Error,
) -> Status {
    let run = || {
        // SAFETY: the contract of the call.
        let (frame, out) = unsafe { (frame(bytes, len)?, one_mut("number", number)?) };
        *out = match frame.payload::<f32>()? {
            Payload::Hello { samples } => samples,
            Payload::Round { full } => full.into(),
            _ => return Err(KIND),
        };
        Ok(())
    };
    // SAFETY: the contract of the call.
    unsafe { finish(error, run()) }
}

/// Writes a frame with values: Model, Estimate, Dense, PermK, RandK, RandSeqK, Natural; `written` receives its length.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_write_values_f32(
    header: *const FrameHeader,
    values: *const f32,
    count: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            write_values(header, values, count, out, room, written),
        )
    }
}

/// [`thalweg_frame_write_values_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_write_values_f64(
    header: *const FrameHeader,
    values: *const f64,
    count: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            write_values(header, values, count, out, room, written),
        )
    }
}

/// Writes a Sparse frame.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_write_sparse_f32(
    header: *const FrameHeader,
    indices: *const u32,
    values: *const f32,
    k: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            write_sparse(header, indices, values, k, out, room, written),
        )
    }
}

/// [`thalweg_frame_write_sparse_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_write_sparse_f64(
    header: *const FrameHeader,
    indices: *const u32,
    values: *const f64,
    k: usize,
    out: *mut u8,
    room: usize,
    written: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            write_sparse(header, indices, values, k, out, room, written),
        )
    }
}

/// Reads the values of a frame with values; `count` receives their number.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_values_f32(
    bytes: *const u8,
    len: usize,
    values: *mut f32,
    room: usize,
    count: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, read_values(bytes, len, values, room, count)) }
}

/// [`thalweg_frame_values_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_values_f64(
    bytes: *const u8,
    len: usize,
    values: *mut f64,
    room: usize,
    count: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, read_values(bytes, len, values, room, count)) }
}

/// Reads the coordinates and values of a Sparse frame.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_sparse_f32(
    bytes: *const u8,
    len: usize,
    indices: *mut u32,
    values: *mut f32,
    room: usize,
    count: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, read_sparse(bytes, len, indices, values, room, count)) }
}

/// [`thalweg_frame_sparse_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_frame_sparse_f64(
    bytes: *const u8,
    len: usize,
    indices: *mut u32,
    values: *mut f64,
    room: usize,
    count: *mut usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, read_sparse(bytes, len, indices, values, room, count)) }
}
