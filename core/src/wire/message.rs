//! Between a compressor's message and the frame that carries it.
//!
//! [`encode_into`] writes the frame of a [`Message`], [`decode`] checks the bytes of one and copies its payload into the caller's buffers, and
//! [`read`] does so for a frame whose rules are already checked. What comes back has the bits of what was sent, but for the values of
//! [`Message::Sign`], of which only the sign travels: they come back as 1 and -1.
//!
//! ```
//! use thalweg::compress::{Buffers, Compressor, Key, Message, TopK, Weight};
//! use thalweg::wire::{Expect, message};
//! let (top_k, key) = (TopK { k: 2 }, Key { seed: 9, round: 4, client: 1 });
//! // A client keeps the two largest of four, ...
//! let (mut values, mut indices, mut frame) = ([0.0_f32; 2], [0; 2], [0; 61]);
//! assert_eq!(message::longest::<f32>(&top_k, 4), 61);
//! let buffers = Buffers { indices: &mut indices, ..Buffers::values(&mut values) };
//! let sent = top_k.compress(key, &[0.5, 3.0, 0.0, -2.0], buffers)?;
//! let len = message::encode_into(&sent, key, 4, &mut frame)?;
//! // ... which are two indices of two bits, from the lowest bit on, and two numbers, between a header and a check.
//! assert_eq!(frame[48..len - 4], [0b11_01, 0, 0, 0x40, 0x40, 0, 0, 0, 0xC0]);
//!
//! // The server asks for the seed, the dimension and the round that it knows.
//! let expect = Expect { seed: Some(9), d: Some(4), round: Some(4), ..Expect::default() };
//! let (mut values, mut indices, mut sum) = ([0.0_f32; 4], [0; 4], [0.0; 4]);
//! let buffers = Buffers { indices: &mut indices, ..Buffers::values(&mut values) };
//! let (from, received) = message::decode(&frame[..len], &expect, buffers)?;
//! assert_eq!(from, key);
//! top_k.accumulate(from, &received, Weight::ONE, &mut sum)?;
//! assert_eq!(sum, [0.0, 3.0, 0.0, -2.0]);
//! # Ok::<(), thalweg::ProtocolError>(())
//! ```
//!
//! # Hostile bytes
//! [`decode`] refuses by name what [`wire::decode`](super::decode) refuses, a frame of another kind, values of another type, and a payload that is
//! longer than the buffers, which are untouched then. That a message is the one that a compressor sends for a key is for its
//! [`accumulate`](crate::compress::Compressor::accumulate) to say: it checks kind, count, range of the levels and dimension before it writes.

use super::{Body, Dtype, Expect, Frame, Header, Kind, OVERHEAD, Payload, encoded_len};
use crate::compress::{Buffers, Compressor, Key, Message};
use crate::error::check_scratch;
use crate::{Error, ProtocolError, Real};

/// Kind of the frame that carries a message.
///
/// ```
/// use thalweg::{compress::Message, wire::{Kind, message}};
/// assert_eq!(message::kind_of(&Message::PermK(&[1.0_f32])), Kind::PermK);
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

/// Bytes of the frame of a message about a vector of length `d`: the buffer that [`encode_into`] needs.
///
/// ```
/// use thalweg::{compress::Message, wire::message};
/// // Header and check are 52 bytes, a number has 4.
/// assert_eq!(message::frame_len(&Message::PermK(&[1.0_f32, 2.0]), 100), 52 + 8);
/// assert_eq!(message::frame_len(&Message::<f32>::Nothing, 100), 52);
/// ```
#[must_use]
pub const fn frame_len<T: Real>(message: &Message<'_, T>, d: u32) -> usize {
    let (dtype, k) = match message {
        Message::Nothing => (Dtype::None, 0),
        Message::Dithered { most, .. } | Message::NaturalDithered { most, .. } => {
            (Dtype::of::<T>(), *most)
        }
        // A message that is too long is refused when it is written.
        _ if message.len() > u32::MAX as usize => return usize::MAX,
        _ => (Dtype::of::<T>(), message.len() as u32),
    };
    encoded_len(kind_of(message), dtype, d, k)
}

/// Bytes that hold the frame of any message that a compressor makes of a vector of length `d`.
///
/// ```
/// use thalweg::{compress::PermK, wire::message};
/// // The longest of three blocks of seven coordinates has three.
/// assert_eq!(message::longest::<f32>(&PermK::new(3), 7), 52 + 12);
/// ```
#[must_use]
pub fn longest<T: Real>(compressor: &(impl Compressor<T> + ?Sized), d: usize) -> usize {
    usize::try_from(compressor.bits(d).div_ceil(8))
        .map_or(usize::MAX, |bytes| bytes.saturating_add(OVERHEAD))
}

/// Writes the frame of a message about a vector of length `d`, with the numbers of its key; returns its length in bytes.
///
/// # Errors
/// [`ProtocolError::Encode`] when `out` is shorter than [`frame_len`], `d` is not the dimension of the message, or the message could not be read
/// again: a value that is not finite, an index out of order, a value of natural compression that is no power of two.
/// [`ProtocolError::Argument`] for a message of 2^32 elements.
///
/// ```
/// use thalweg::{compress::{Key, Message}, wire::message};
/// let mut out = [0; 60];
/// let key = Key { seed: 0, round: 0, client: 3 };
/// assert_eq!(message::encode_into(&Message::RandK(&[1.0_f32, -1.0]), key, 9, &mut out)?, 60);
/// assert_eq!(out[12..16], [3, 0, 0, 0]);
/// assert_eq!(out[48..56], [0, 0, 0x80, 0x3F, 0, 0, 0x80, 0xBF]);
/// // A vector of one element has no two that were drawn.
/// assert!(message::encode_into(&Message::RandK(&[1.0_f32, -1.0]), key, 1, &mut out).is_err());
/// # Ok::<(), thalweg::ProtocolError>(())
/// ```
pub fn encode_into<T: Real>(
    message: &Message<'_, T>,
    key: Key,
    d: u32,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    let mut dtype = Dtype::of::<T>();
    let mut k = u32::try_from(message.len()).map_err(|_| Error::Parameter {
        name: "message",
        rule: "must have fewer than 2^32 elements",
    })?;
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
    Ok(super::encode_into(&header, &body, out)?)
}

/// Checks the bytes of a frame and copies its message into buffers; also returns the key of its draws.
///
/// # Errors
/// [`ProtocolError::Decode`] for bytes that [`wire::decode`](super::decode) refuses, or whose values are of another type;
/// [`ProtocolError::Argument`] for a frame that no compressor sends, and for a buffer that is too short. The buffers are untouched.
///
/// ```
/// use thalweg::compress::{Buffers, Key, Message};
/// use thalweg::wire::{Body, Dtype, Expect, Header, Kind, encode_into, message};
/// let mut bytes = [0; 60];
/// let header = Header { round: 3, client: 5, ..Header::new(Kind::PermK, Dtype::F32, 9, 2) };
/// encode_into(&header, &Body::Values(&[1.0_f32, -0.0]), &mut bytes)?;
/// let mut values = [7.0_f32; 3];
/// let (key, message) = message::decode(&bytes, &Expect::default(), Buffers::values(&mut values))?;
/// assert_eq!(key, Key { seed: 0, round: 3, client: 5 });
/// assert_eq!(message, Message::PermK(&[1.0, -0.0]));
/// # Ok::<(), thalweg::ProtocolError>(())
/// ```
pub fn decode<'m, T: Real>(
    bytes: &[u8],
    expect: &Expect,
    buffers: Buffers<'m, T>,
) -> Result<(Key, Message<'m, T>), ProtocolError> {
    let frame = super::decode(bytes, expect)?;
    let key = Key {
        seed: frame.header.seed,
        round: frame.header.round,
        client: frame.header.client,
    };
    Ok((key, read(&frame, buffers)?))
}

/// Copies the message of a frame into buffers.
///
/// # Errors
/// As [`decode`], but for the bytes, which have been checked.
///
/// ```
/// use thalweg::compress::{Buffers, Message};
/// use thalweg::wire::{Body, Dtype, Expect, Header, Kind, decode, encode_into, message};
/// let mut bytes = [0; 52];
/// encode_into(&Header::new(Kind::Drop, Dtype::None, 9, 0), &Body::<f32>::Empty, &mut bytes)?;
/// let frame = decode(&bytes, &Expect::default())?;
/// assert_eq!(message::read::<f32>(&frame, Buffers::default())?, Message::Nothing);
/// # Ok::<(), thalweg::ProtocolError>(())
/// ```
pub fn read<'m, T: Real>(
    frame: &Frame<'_>,
    buffers: Buffers<'m, T>,
) -> Result<Message<'m, T>, ProtocolError> {
    let Buffers {
        values: value_buffer,
        indices: index_buffer,
        levels: level_buffer,
    } = buffers;
    let kind = frame.header.kind;
    match (frame.payload::<T>()?, kind) {
        (Payload::Values(values), Kind::Dense | Kind::PermK | Kind::RandK | Kind::RandSeqK) => {
            let into = first("values", values.len(), value_buffer)?;
            values.copy_into(into)?;
            Ok(match kind {
                Kind::PermK => Message::PermK(into),
                Kind::RandK => Message::RandK(into),
                Kind::RandSeqK => Message::RandSeqK(into),
                _ => Message::Dense(into),
            })
        }
        (Payload::Sparse { indices, values }, _) => {
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
        (Payload::Natural(exponents), _) => {
            let into = first("values", exponents.len(), value_buffer)?;
            for (to, from) in into.iter_mut().zip(exponents.iter()) {
                *to = from;
            }
            Ok(Message::Natural(into))
        }
        (Payload::Sign { scale, signs }, _) => {
            let into = first("values", signs.len(), value_buffer)?;
            for (to, minus) in into.iter_mut().zip(signs.iter()) {
                *to = if minus == 0 { T::ONE } else { -T::ONE };
            }
            Ok(Message::Sign {
                scale,
                values: into,
            })
        }
        (Payload::Dithered { norm, levels }, _) => {
            let into = first("levels", levels.len(), level_buffer)?;
            for (to, from) in into.iter_mut().zip(levels.iter()) {
                *to = from;
            }
            let (most, levels) = (frame.header.k, &*into);
            Ok(match kind {
                Kind::NaturalDithered => Message::NaturalDithered { norm, most, levels },
                _ => Message::Dithered { norm, most, levels },
            })
        }
        (Payload::Empty, Kind::Drop) => Ok(Message::Nothing),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{PermK, Weight};
    use crate::wire::{DecodeError, EncodeError};
    use std::format;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    const KEY: Key = Key {
        seed: 0x0123_4567_89AB_CDEF,
        round: 1 << 40,
        client: 6,
    };
    const D: u32 = 5;

    /// One message of each kind about a vector of length 5, none of them empty but the last.
    fn messages<'a, T: Real>(values: &'a [T; 5], powers: &'a [T; 5]) -> [Message<'a, T>; 10] {
        let norm = T::from_f64(3.25);
        [
            Message::Dense(values),
            Message::PermK(&values[..2]),
            Message::RandK(&values[..3]),
            Message::RandSeqK(&values[..4]),
            Message::Sparse {
                indices: &[0, 3, 4],
                values: &values[..3],
            },
            Message::Natural(powers),
            Message::Sign {
                scale: norm,
                values: powers,
            },
            Message::Dithered {
                norm,
                most: 7,
                levels: &[0, 7, -7, 1, -1],
            },
            Message::NaturalDithered {
                norm,
                most: 8,
                levels: &[8, 0, -1, -8, 3],
            },
            Message::Nothing,
        ]
    }

    fn round_trip<T: Real>(values: [T; 5], powers: [T; 5]) {
        // A NaN in each buffer, so that what is not written shows.
        for message in &messages(&values, &powers) {
            let len = frame_len(message, D);
            let mut bytes = vec![0; len];
            assert_eq!(encode_into(message, KEY, D, &mut bytes), Ok(len));
            let (mut v, mut i, mut l) = ([T::from_f64(f64::NAN); 6], [99; 6], [99; 6]);
            let buffers = Buffers {
                values: &mut v,
                indices: &mut i,
                levels: &mut l,
            };
            let expect = Expect {
                seed: Some(KEY.seed),
                d: Some(D),
                ..Expect::default()
            };
            let (key, found) = decode(&bytes, &expect, buffers).unwrap();
            // `Debug` of a float tells -0 from 0, and is exact.
            let words = |message: &Message<'_, T>| match *message {
                Message::Sign { scale, values } => {
                    let sign = |v: &T| v.to_bits_u64() >> (8 * T::BYTES - 1);
                    let signs: Vec<u64> = values.iter().map(sign).collect();
                    format!("{scale:?} {signs:?}")
                }
                other => format!("{other:?}"),
            };
            assert_eq!((key, words(&found)), (KEY, words(message)));
        }
    }

    #[test]
    fn messages_of_every_kind_come_back_with_their_bits() {
        round_trip::<f32>(
            [f32::MAX, -0.0, 1e-45, -1.5, 0.1],
            [0.25, -4.0, 0.0, 1.0, -f32::MIN_POSITIVE],
        );
        round_trip::<f64>(
            [f64::MAX, -0.0, 5e-324, -1.5, 0.1],
            [0.25, -4.0, 0.0, 1.0, -f64::MIN_POSITIVE],
        );
    }

    #[test]
    fn blocks_of_perm_k_add_up_to_the_vector_behind_the_wire() {
        // d = n k, a remainder, one coordinate each, more clients than coordinates with and without idle ones.
        for (d, n) in [(8, 4), (7, 3), (5, 5), (3, 6), (3, 8), (1, 4), (2, 5)] {
            let x: Vec<f32> = (0..d).map(|i| i as f32 - 2.5).collect();
            let (perm_k, mut mean) = (PermK::new(n), vec![0.0; d]);
            let (mut frames, mut idle) = (Vec::new(), 0);
            for client in 0..n as u32 {
                let key = Key { client, ..KEY };
                let mut values = vec![0.0; d];
                let message = perm_k
                    .compress(key, &x, Buffers::values(&mut values))
                    .unwrap();
                idle += usize::from(message.is_empty());
                let mut bytes = vec![0; longest::<f32>(&perm_k, d)];
                let len = encode_into(&message, key, d as u32, &mut bytes).unwrap();
                assert_eq!(len, frame_len(&message, d as u32));
                bytes.truncate(len);
                frames.push(bytes);
            }
            // Of n clients on d < n coordinates, n - d floor(n/d) send nothing.
            let expected = if n > d { n % d } else { 0 };
            assert_eq!(idle, expected, "{d} {n}");
            for bytes in &frames {
                let mut values = vec![f32::NAN; d];
                let (key, message) =
                    decode(bytes, &Expect::default(), Buffers::values(&mut values)).unwrap();
                perm_k
                    .accumulate(key, &message, Weight::Mean(n), &mut mean)
                    .unwrap();
            }
            for (found, x) in mean.iter().zip(&x) {
                assert!((found - x).abs() <= 1e-6 * x.abs(), "{d} {n}: {found} {x}");
            }
        }
    }

    #[test]
    fn a_frame_of_no_message_is_refused_and_the_buffers_are_untouched() {
        let mut bytes = [0; 60];
        for kind in [Kind::Model, Kind::Estimate] {
            let header = Header::new(kind, Dtype::F32, 2, 2);
            super::super::encode_into(&header, &Body::Values(&[1.0_f32, 2.0]), &mut bytes).unwrap();
            let mut values = [7.0_f32; 2];
            let found = decode(&bytes, &Expect::default(), Buffers::values(&mut values));
            let error = found.unwrap_err();
            assert_eq!(
                error.to_string(),
                "`frame` must carry a message of a compressor"
            );
            assert_eq!(values, [7.0; 2]);
        }
        for kind in [Kind::Ack, Kind::Stop] {
            let header = Header::new(kind, Dtype::None, 2, 0);
            let len = super::super::encode_into(&header, &Body::<f32>::Empty, &mut bytes).unwrap();
            let found = decode::<f32>(&bytes[..len], &Expect::default(), Buffers::default());
            assert!(found.is_err(), "{kind:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let short = |name, expected| {
            ProtocolError::Argument(Error::Length {
                name,
                expected,
                found: expected - 1,
            })
        };
        for (at, message) in messages(&[1.0_f32; 5], &[2.0; 5]).iter().enumerate() {
            let len = frame_len(message, D);
            let mut bytes = vec![0; len];
            // A frame that is one byte short, and a vector of another length.
            let space = EncodeError::Space {
                needed: len,
                found: len - 1,
            };
            assert_eq!(
                encode_into(message, KEY, D, &mut bytes[..len - 1]),
                Err(space.into())
            );
            assert_eq!(bytes, vec![0; len]);
            let exact = matches!(
                kind_of(message),
                Kind::Dense | Kind::Natural | Kind::Sign | Kind::Dithered | Kind::NaturalDithered
            );
            let mut room = [0; 200];
            assert_eq!(encode_into(message, KEY, D + 1, &mut room).is_err(), exact);
            encode_into(message, KEY, D, &mut bytes).unwrap();
            let expect = Expect {
                d: Some(D + 1),
                ..Expect::default()
            };
            let (mut v, mut i, mut l) = ([7.0_f32; 5], [7; 5], [7; 5]);
            let buffers = Buffers {
                values: &mut v,
                indices: &mut i,
                levels: &mut l,
            };
            let wrong = DecodeError::WrongDimension {
                expected: D + 1,
                found: D,
            };
            assert_eq!(decode(&bytes, &expect, buffers), Err(wrong.into()));
            // Buffers that are one element short.
            let (needed, name) = match message {
                Message::Dithered { levels, .. } | Message::NaturalDithered { levels, .. } => {
                    (levels.len(), "levels")
                }
                message => (message.len(), "values"),
            };
            if needed > 0 {
                let cut = needed - 1;
                let buffers = Buffers {
                    values: &mut v[..cut],
                    indices: &mut i,
                    levels: &mut l[..cut],
                };
                let found = decode(&bytes, &Expect::default(), buffers);
                assert_eq!(found, Err(short(name, needed)), "{at}");
            }
            if let Message::Sparse { .. } = message {
                let buffers = Buffers {
                    values: &mut v,
                    indices: &mut i[..2],
                    levels: &mut l,
                };
                let found = decode(&bytes, &Expect::default(), buffers);
                assert_eq!(found, Err(short("indices", 3)));
            }
            assert_eq!((v, i, l), ([7.0; 5], [7; 5], [7; 5]));
        }
    }

    #[test]
    fn damaged_bytes_and_values_of_another_type_are_refused() {
        let message = Message::Sparse {
            indices: &[0, 3, 4],
            values: &[1.0_f32, 2.0, 3.0],
        };
        let mut bytes = vec![0; frame_len(&message, D)];
        encode_into(&message, KEY, D, &mut bytes).unwrap();
        let refused = |bytes: &[u8]| {
            let (mut v, mut i) = ([7.0_f32; 5], [7; 5]);
            let buffers = Buffers {
                indices: &mut i,
                ..Buffers::values(&mut v)
            };
            let found = decode(bytes, &Expect::default(), buffers).is_err();
            assert_eq!((v, i), ([7.0; 5], [7; 5]));
            found
        };
        for at in 0..bytes.len() {
            assert!(refused(&bytes[..at]), "{at}");
            for bit in 0..8 {
                bytes[at] ^= 1 << bit;
                assert!(refused(&bytes), "{at} {bit}");
                bytes[at] ^= 1 << bit;
            }
        }
        let wide = decode::<f64>(&bytes, &Expect::default(), Buffers::default());
        assert!(matches!(
            wide,
            Err(ProtocolError::Decode(DecodeError::WrongDtype { .. }))
        ));
        // What could not be read again is not written.
        for message in [
            Message::Dense(&[1.0_f32, 2.0, f32::NAN, 0.0, 0.0][..]),
            Message::Natural(&[1.0, 2.0, 3.0, 0.0, 0.0]),
            Message::Sparse {
                indices: &[3, 3],
                values: &[1.0, 2.0],
            },
            Message::Dithered {
                norm: 1.0,
                most: 3,
                levels: &[0, 4, 0, 0, 0],
            },
        ] {
            let mut out = [0; 100];
            assert!(
                encode_into(&message, KEY, D, &mut out).is_err(),
                "{message:?}"
            );
        }
    }
}
