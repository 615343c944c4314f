//! From numbers to bytes: header, payload, check.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "widths of at most 64 bits times counts of 32, in u64"
)]

use super::bits::pack;
use super::decode::{Fixed, check_content, check_header, frame_crc, natural_code};
use super::payload::{Body, Payload, store};
use super::{
    Dtype, EncodeError, HEADER, Header, Kept, MAGIC, MAJOR, MINOR, OVERHEAD, Shape, index_bits,
    level_bits,
};
use crate::Real;

/// Writes a frame; returns its length.
///
/// # Errors
/// [`EncodeError::Body`] when the body is not the one of the kind, [`EncodeError::Length`] when a slice
/// and the header disagree, [`EncodeError::Space`] when `out` is short: `out` is untouched.
/// [`EncodeError::NotPowerOfTwo`] and [`EncodeError::Invalid`] when [`decode`](super::decode) would refuse the
/// frame (a NaN, indices out of order): what stands in `out` then is not a frame.
///
/// ```
/// use thalweg::wire::*;
/// let mut out = [0; 100];
/// let header = Header { round: 7, client: 3, ..Header::new(Kind::PermK, Dtype::F32, 9, 2) };
/// let len = encode_into(&header, &Body::Values(&[1.0_f32, -1.0]), &mut out)?;
/// assert_eq!(len, 60);
/// assert_eq!(out[48..56], [0, 0, 0x80, 0x3F, 0, 0, 0x80, 0xBF]);
/// # Ok::<(), EncodeError>(())
/// ```
pub fn encode_into<T: Real>(
    header: &Header,
    body: &Body<'_, T>,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    let kind = header.kind;
    if header.dtype != Dtype::None && header.dtype != Dtype::of::<T>() {
        return Err(EncodeError::Body { kind });
    }
    let (d, k) = (header.d as usize, header.k as usize);
    let same = |name, expected, found| {
        if expected == found {
            Ok(())
        } else {
            Err(EncodeError::Length {
                name,
                expected,
                found,
            })
        }
    };
    match (kind.shape(), *body) {
        (Shape::Samples, Body::Hello { samples }) => put_samples(samples, start(header, out)?),
        (Shape::Values | Shape::Numbered | Shape::Rows, Body::Values(values)) => {
            let expected = match kind.shape() {
                Shape::Values => k,
                Shape::Numbered => d,
                _ => d.saturating_mul(k),
            };
            same("values", expected, values.len())?;
            put_values(values.iter().copied(), start(header, out)?);
        }
        (Shape::Sparse, Body::Sparse { indices, values }) => {
            same("indices", k, indices.len())?;
            same("values", k, values.len())?;
            check_below(header.d, indices)?;
            let payload = start(header, out)?;
            put_sparse(
                header.d,
                indices.iter().copied(),
                values.iter().copied(),
                payload,
            );
        }
        (Shape::Natural, Body::Natural(values)) => {
            same("values", d, values.len())?;
            if let Some(index) = values.iter().position(|&x| natural_code(x).is_none()) {
                return Err(EncodeError::NotPowerOfTwo { index });
            }
            put_natural(values.iter().copied(), start(header, out)?);
        }
        (Shape::Sign, Body::Sign { scale, values }) => {
            same("values", d, values.len())?;
            let sign = 8 * T::BYTES as u32 - 1;
            let signs = values.iter().map(|x| (x.to_bits_u64() >> sign) as u32);
            put_head_and_codes(scale, 1, signs, start(header, out)?);
        }
        (Shape::Dithered, Body::Dithered { norm, levels }) => {
            same("levels", d, levels.len())?;
            if let Some((position, level)) = levels
                .iter()
                .map(|level| level.unsigned_abs())
                .enumerate()
                .find(|&(_, level)| level > header.k)
            {
                return Err(super::DecodeError::LevelRange { position, level }.into());
            }
            put_levels(header.k, norm, levels.iter().copied(), start(header, out)?);
        }
        (Shape::Coin, Body::Round { full }) => put_coin(full, start(header, out)?),
        (Shape::Empty, Body::Empty) => {
            start(header, out)?;
        }
        (
            Shape::Quantised,
            Body::Quantised {
                sample,
                range,
                indices,
                codes,
            },
        ) => {
            let kept = Kept::from_code(header.k);
            same("indices", kept.count as usize, indices.len())?;
            same("codes", kept.count as usize, codes.len())?;
            check_below(header.d, indices)?;
            let levels = codes.iter().map(|code| code & !(1 << kept.bits));
            if let Some((position, level)) = levels
                .enumerate()
                .find(|&(_, level)| level >> kept.bits != 0)
            {
                return Err(super::DecodeError::LevelRange { position, level }.into());
            }
            let row = (indices.iter().copied(), codes.iter().copied());
            put_quantised(header, (sample, range), row, start(header, out)?);
        }
        (Shape::Classes, Body::Classes(classes)) => {
            same("classes", k, classes.len())?;
            check_below(header.d, classes)?;
            let payload = start(header, out)?;
            pack(payload, index_bits(header.d), classes.iter().copied());
        }
        (Shape::Bytes, Body::Bytes(bytes)) => {
            same("bytes", k, bytes.len())?;
            put_bytes(bytes, start(header, out)?);
        }
        _ => return Err(EncodeError::Body { kind }),
    }
    seal(out)
}

/// Writes a QuantisedJacobian from indices below `d` and codes that are made on the way.
pub(crate) fn quantised_into<T: Real>(
    header: &Header,
    head: (u32, [T; 2]),
    row: (impl Iterator<Item = u32>, impl Iterator<Item = u32>),
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    put_quantised(header, head, row, start(header, out)?);
    seal(out)
}

/// Writes Labels from classes below `d`.
pub(crate) fn classes_into(
    header: &Header,
    classes: impl Iterator<Item = u32>,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    pack(start(header, out)?, index_bits(header.d), classes);
    seal(out)
}

/// Checks indices that packing would cut down to ones that look right.
fn check_below(d: u32, indices: &[u32]) -> Result<(), EncodeError> {
    match indices.iter().enumerate().find(|&(_, &index)| index >= d) {
        Some((position, &index)) => Err(super::DecodeError::IndexRange { position, index }.into()),
        None => Ok(()),
    }
}

/// Writes a header and lends the payload, to be filled in place and then [`seal`]ed.
///
/// For a compressor that writes its values where they leave from, without a message buffer.
///
/// # Errors
/// [`EncodeError::Space`] when `out` is short, [`EncodeError::Invalid`] when the header breaks a rule;
/// `out` is untouched.
///
/// ```
/// use thalweg::wire::*;
/// let mut out = [0; 60];
/// let payload = start(&Header::new(Kind::RandK, Dtype::F32, 9, 2), &mut out)?;
/// payload[..4].copy_from_slice(&1.0_f32.to_le_bytes());
/// payload[4..].copy_from_slice(&2.0_f32.to_le_bytes());
/// assert_eq!(seal(&mut out), Ok(60));
/// assert!(decode(&out, &Expect::default()).is_ok());
/// # Ok::<(), EncodeError>(())
/// ```
pub fn start<'a>(header: &Header, out: &'a mut [u8]) -> Result<&'a mut [u8], EncodeError> {
    let announced = check_header(header)?;
    let (needed, found) = (header.frame_len(), out.len());
    let space = EncodeError::Space { needed, found };
    let frame = out.get_mut(..needed).ok_or(space)?;
    let (head, rest) = frame.split_first_chunk_mut::<HEADER>().ok_or(space)?;
    // Without the proof that `split_last_chunk_mut` needs on 32-bit targets.
    let len = rest.len().saturating_sub(4);
    let (payload, _) = rest.split_at_mut_checked(len).ok_or(space)?;

    let mut fields = [0_u8; HEADER];
    let mut at = Cursor(&mut fields);
    at.put(MAGIC);
    at.put([MAJOR, MINOR, header.kind.code(), header.dtype.code()]);
    at.put(header.flags.to_le_bytes());
    at.put([0; 2]);
    at.put(header.client.to_le_bytes());
    at.put(header.round.to_le_bytes());
    at.put(header.seed.to_le_bytes());
    at.put(header.d.to_le_bytes());
    at.put(header.k.to_le_bytes());
    at.put((announced as u32).to_le_bytes());
    let crc = frame_crc(&fields, &[]);
    if let Some((_, check)) = fields.split_last_chunk_mut::<4>() {
        *check = crc.to_le_bytes();
    }
    *head = fields;
    Ok(payload)
}

/// Checks the frame that [`start`] began and writes its check; returns its length.
///
/// # Errors
/// [`EncodeError::Invalid`] when [`decode`](super::decode) would refuse the frame.
///
/// ```
/// use thalweg::wire::*;
/// let mut out = [0; 52];
/// start(&Header::new(Kind::Stop, Dtype::None, 9, 0), &mut out)?;
/// assert_eq!(seal(&mut out), Ok(52));
/// # Ok::<(), EncodeError>(())
/// ```
pub fn seal(out: &mut [u8]) -> Result<usize, EncodeError> {
    let space = EncodeError::Space {
        needed: OVERHEAD,
        found: out.len(),
    };
    let (head, rest) = out.split_first_chunk_mut::<HEADER>().ok_or(space)?;
    let fixed = Fixed::read(head)?;
    let (needed, found) = (fixed.header.frame_len(), HEADER + rest.len());
    let space = EncodeError::Space { needed, found };
    // Split by the checked form: the compiler does not see that the last chunk's place is in range.
    let (payload, rest) = rest
        .split_at_mut_checked(needed.saturating_sub(OVERHEAD))
        .ok_or(space)?;
    let crc = rest.first_chunk_mut::<4>().ok_or(space)?;
    check_content(&fixed.header, payload)?;
    *crc = frame_crc(head, payload).to_le_bytes();
    Ok(needed)
}

/// Writes a frame from the views of another.
pub(super) fn payload_into<T: Real>(
    header: &Header,
    payload: &Payload<'_, T>,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    let bytes = start(header, out)?;
    match *payload {
        Payload::Hello { samples } => put_samples(samples, bytes),
        Payload::Values(values) => put_values(values.iter(), bytes),
        Payload::Sparse { indices, values } => {
            put_sparse(header.d, indices.iter(), values.iter(), bytes);
        }
        Payload::Natural(exponents) => put_natural(exponents.iter(), bytes),
        Payload::Sign { scale, signs } => put_head_and_codes(scale, 1, signs.iter(), bytes),
        Payload::Dithered { norm, levels } => put_levels(header.k, norm, levels.iter(), bytes),
        Payload::Round { full } => put_coin(full, bytes),
        Payload::Empty => {}
        Payload::Quantised(row) => {
            let codes = (row.indices.iter(), row.codes.iter());
            put_quantised(header, (row.sample, row.range), codes, bytes);
        }
        Payload::Classes(classes) => pack(bytes, index_bits(header.d), classes.iter()),
        Payload::Bytes(content) => put_bytes(content, bytes),
    }
    seal(out)
}

/// Writes fixed-size pieces; the pieces of a header add up to its size.
struct Cursor<'a>(&'a mut [u8]);

impl Cursor<'_> {
    fn put<const N: usize>(&mut self, piece: [u8; N]) {
        if let Some((to, rest)) = core::mem::take(&mut self.0).split_first_chunk_mut::<N>() {
            *to = piece;
            self.0 = rest;
        }
    }
}

fn put_samples(samples: u64, out: &mut [u8]) {
    Cursor(out).put(samples.to_le_bytes());
}

fn put_coin(full: bool, out: &mut [u8]) {
    Cursor(out).put([u8::from(full)]);
}

fn put_values<T: Real>(values: impl Iterator<Item = T>, out: &mut [u8]) {
    for (to, value) in out.chunks_exact_mut(T::BYTES).zip(values) {
        store(value, to);
    }
}

fn put_sparse<T: Real>(
    d: u32,
    indices: impl Iterator<Item = u32>,
    values: impl ExactSizeIterator<Item = T>,
    out: &mut [u8],
) {
    let cut = out
        .len()
        .saturating_sub(values.len().saturating_mul(T::BYTES));
    if let Some((head, rest)) = out.split_at_mut_checked(cut) {
        pack(head, index_bits(d), indices);
        put_values(values, rest);
    }
}

fn put_quantised<T: Real>(
    header: &Header,
    (sample, [least, largest]): (u32, [T; 2]),
    (indices, codes): (impl Iterator<Item = u32>, impl Iterator<Item = u32>),
    out: &mut [u8],
) {
    let kept = Kept::from_code(header.k);
    let mut at = Cursor(out);
    at.put(sample.to_le_bytes());
    for (value, place) in [least, largest]
        .into_iter()
        .zip(at.0.chunks_exact_mut(T::BYTES))
    {
        store(value, place);
    }
    let Some(rest) = at.0.get_mut(2 * T::BYTES..) else {
        return;
    };
    let packed = (u64::from(kept.count) * u64::from(index_bits(header.d))).div_ceil(8);
    // No longer than the payload, which is in memory.
    if let Some((head, rest)) = rest.split_at_mut_checked(packed as usize) {
        pack(head, index_bits(header.d), indices);
        pack(rest, 1 + kept.bits, codes);
    }
}

fn put_bytes(bytes: &[u8], out: &mut [u8]) {
    for (to, &from) in out.iter_mut().zip(bytes) {
        *to = from;
    }
}

fn put_natural<T: Real>(values: impl Iterator<Item = T>, out: &mut [u8]) {
    // Both callers hand in powers of two only.
    pack(
        out,
        Dtype::of::<T>().natural_bits(),
        values.filter_map(natural_code),
    );
}

fn put_levels<T: Real>(k: u32, norm: T, levels: impl Iterator<Item = i32>, out: &mut [u8]) {
    let width = level_bits(k);
    let sign = 1_u32 << (width - 1).min(31);
    let codes = levels.map(|level| level.unsigned_abs() | if level < 0 { sign } else { 0 });
    put_head_and_codes(norm, width, codes, out);
}

fn put_head_and_codes<T: Real>(
    head: T,
    width: u32,
    codes: impl Iterator<Item = u32>,
    out: &mut [u8],
) {
    if let Some((first, rest)) = out.split_at_mut_checked(T::BYTES) {
        store(head, first);
        pack(rest, width, codes);
    }
}
