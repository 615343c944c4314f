//! Between the compressors' messages and the frames that carry them.

use crate::compress::{Buffers, Key, Message};
use crate::error::check_scratch;
use crate::wire::{self, Body, Dtype, Expect, Frame, Header, Kind, Payload, decode};
use crate::{Error, Real};

use super::ProtocolError;

/// Kind of the frame that carries a message.
///
/// ```
/// use thalweg::{compress::Message, federated::kind_of, wire::Kind};
/// assert_eq!(kind_of(&Message::PermK(&[1.0_f32])), Kind::PermK);
/// ```
#[must_use]
pub const fn kind_of<T>(message: &Message<'_, T>) -> Kind {
    match message {
        Message::Dense(_) => Kind::Dense,
        Message::PermK(_) => Kind::PermK,
        Message::RandK(_) => Kind::RandK,
        Message::RandSeqK(_) => Kind::RandSeqK,
        Message::Sparse { .. } => Kind::Sparse,
        Message::Natural(_) => Kind::Natural,
        Message::Sign { .. } => Kind::Sign,
        Message::Dithered { .. } => Kind::Dithered,
        Message::NaturalDithered { .. } => Kind::NaturalDithered,
        Message::Nothing => Kind::Drop,
    }
}

/// Bytes of the largest frame of a protocol on `d` numbers: a buffer of this length holds any reply and any
/// broadcast.
///
/// ```
/// // A sparse frame of all d coordinates is the largest: 52 bytes, 3 indices of 2 bits, 3 floats.
/// assert_eq!(thalweg::federated::frame_len::<f32>(3), 52 + 1 + 12);
/// ```
#[must_use]
pub const fn frame_len<T: Real>(d: u32) -> usize {
    wire::encoded_len(Kind::Sparse, Dtype::of::<T>(), d, d)
}

/// Bytes of a frame whose payload has this many bits.
pub(super) fn longest(bits: u64) -> usize {
    usize::try_from(bits.div_ceil(8))
        .map_or(usize::MAX, |bytes| bytes.saturating_add(wire::OVERHEAD))
}

/// The dimension as a frame states it.
pub(super) fn dimension(len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::Parameter {
        name: "params",
        rule: "must have fewer than 2^32 elements",
    })
}

/// Writes the frame of a message; answers its length and the bits that it sends.
pub(super) fn encode<T: Real>(
    message: &Message<'_, T>,
    key: Key,
    d: u32,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    let (mut k, mut dtype) = (dimension(message.len())?, Dtype::of::<T>());
    let body = match *message {
        Message::Dense(x) | Message::PermK(x) | Message::RandK(x) | Message::RandSeqK(x) => {
            Body::Values(x)
        }
        Message::Sparse { indices, values } => Body::Sparse { indices, values },
        Message::Natural(values) => Body::Natural(values),
        Message::Sign { scale, values } => Body::Sign { scale, values },
        Message::Dithered { norm, most, levels }
        | Message::NaturalDithered { norm, most, levels } => {
            k = most;
            Body::Dithered { norm, levels }
        }
        Message::Nothing => {
            dtype = Dtype::None;
            Body::Empty
        }
    };
    let header = Header {
        client: key.client,
        round: key.round,
        seed: key.seed,
        ..Header::new(kind_of(message), dtype, d, k)
    };
    Ok(wire::encode_into(&header, &body, out)?)
}

/// Reads a reply that must come from `key`, of dimension `d`.
pub(super) fn open<T: Real>(bytes: &[u8], key: Key, d: u32) -> Result<Frame<'_>, ProtocolError> {
    let expect = Expect {
        round: Some(key.round),
        client: Some(key.client),
        seed: Some(key.seed),
        d: Some(d),
        ..Expect::default()
    };
    let frame = decode(bytes, &expect)?;
    // A frame without values has no type of its own; another type is refused here.
    frame.payload::<T>()?;
    Ok(frame)
}

/// Copies the payload of a frame into buffers, as a message.
pub(super) fn read<'m, T: Real>(
    frame: &Frame<'_>,
    buffers: Buffers<'m, T>,
) -> Result<Message<'m, T>, ProtocolError> {
    let Buffers {
        values: value_buffer,
        indices: index_buffer,
        levels: level_buffer,
    } = buffers;
    match frame.payload::<T>()? {
        Payload::Values(values) => {
            let into = first("values", values.len(), value_buffer)?;
            values.copy_into(into)?;
            Ok(match frame.header.kind {
                Kind::PermK => Message::PermK(into),
                Kind::RandK => Message::RandK(into),
                Kind::RandSeqK => Message::RandSeqK(into),
                _ => Message::Dense(into),
            })
        }
        Payload::Sparse { indices, values } => {
            let value_buffer = first("values", values.len(), value_buffer)?;
            let index_buffer = first("indices", indices.len(), index_buffer)?;
            values.copy_into(value_buffer)?;
            for (to, from) in index_buffer.iter_mut().zip(indices.iter()) {
                *to = from;
            }
            Ok(Message::Sparse {
                indices: index_buffer,
                values: value_buffer,
            })
        }
        Payload::Natural(exponents) => {
            let into = first("values", exponents.len(), value_buffer)?;
            for (to, from) in into.iter_mut().zip(exponents.iter()) {
                *to = from;
            }
            Ok(Message::Natural(into))
        }
        Payload::Sign { scale, signs } => {
            let into = first("values", signs.len(), value_buffer)?;
            for (to, minus) in into.iter_mut().zip(signs.iter()) {
                *to = if minus == 0 { T::ONE } else { -T::ONE };
            }
            Ok(Message::Sign {
                scale,
                values: into,
            })
        }
        Payload::Dithered { norm, levels } => {
            let into = first("levels", levels.len(), level_buffer)?;
            for (to, from) in into.iter_mut().zip(levels.iter()) {
                *to = from;
            }
            let (most, levels) = (frame.header.k, &*into);
            Ok(match frame.header.kind {
                Kind::NaturalDithered => Message::NaturalDithered { norm, most, levels },
                _ => Message::Dithered { norm, most, levels },
            })
        }
        Payload::Empty if frame.header.kind == Kind::Drop => Ok(Message::Nothing),
        _ => Err(Error::Parameter {
            name: "frame",
            rule: "must carry a message of a compressor",
        }
        .into()),
    }
}

/// The first `len` elements of a buffer that must hold them.
fn first<'m, U>(name: &'static str, len: usize, buffer: &'m mut [U]) -> Result<&'m mut [U], Error> {
    let found = buffer.len();
    check_scratch(name, len, found)?;
    buffer.get_mut(..len).ok_or(Error::Length {
        name,
        expected: len,
        found,
    })
}
