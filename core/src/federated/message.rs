//! Between the compressors' messages and the frames that carry them.

use crate::compress::dithering::MOST_LEVELS;
use crate::compress::{Buffers, Compressor, Key, Message};
use crate::error::{check, check_scratch};
use crate::simd::{self, Lanes, Sum};
use crate::wire::{self, Body, Dtype, EncodeError, Expect, Frame, Header, Kind, Payload, decode};
use crate::{Error, Real};

use super::{ProtocolError, Run};

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
/// // Below three coordinates it is a dithered one: a norm, and 22 bits a level.
/// assert_eq!(thalweg::federated::frame_len::<f32>(1), 52 + 4 + 3);
/// ```
#[must_use]
pub const fn frame_len<T: Real>(d: u32) -> usize {
    let dtype = Dtype::of::<T>();
    let sparse = wire::encoded_len(Kind::Sparse, dtype, d, d);
    let dithered = wire::encoded_len(Kind::Dithered, dtype, d, MOST_LEVELS);
    if sparse < dithered { dithered } else { sparse }
}

/// What every frame of a run must have.
///
/// The bytes of a frame are in memory when it is read, so that its length needs no other cap than that of the largest frame: of this
/// minor version, or of a later one with a tail behind it.
pub(super) fn expect<T: Real>(run: Run, d: u32) -> Expect {
    let longest = frame_len::<T>(d).saturating_add(usize::from(u16::MAX));
    Expect {
        seed: Some(run.seed),
        d: Some(d),
        cap: longest.max(wire::CAP),
        ..Expect::default()
    }
}

/// Checks the clients of a run, and that the compressor is made for as many.
pub(super) fn check_run<T: Real>(
    run: Run,
    compressor: &impl Compressor<T>,
    d: usize,
) -> Result<(), Error> {
    check("clients", run.clients > 0, "must be at least 1")?;
    compressor.validate(d)?;
    let stated = compressor.clients();
    check(
        "clients",
        stated.is_none_or(|n| u32::try_from(n) == Ok(run.clients)),
        "must be as many in the compressor as in the run",
    )
}

/// Checks that a client is the one whose turn it is.
pub(super) fn check_turn(run: Run, turn: u32, found: u32) -> Result<(), ProtocolError> {
    if turn < run.clients && found == turn {
        return Ok(());
    }
    let expected = turn;
    Err(ProtocolError::OutOfTurn { expected, found })
}

/// The error at the end of the rounds.
pub(super) const LAST_ROUND: Error = Error::Parameter {
    name: "round",
    rule: "must be below 2^64 - 1",
};

/// Checks that every client has had its turn; returns the round that follows.
pub(super) fn close(run: Run, round: u64, turn: u32) -> Result<u64, ProtocolError> {
    if turn < run.clients {
        return Err(ProtocolError::Incomplete { missing: turn });
    }
    let rule = "must be as many as had their turn in the round";
    check("clients", turn == run.clients, rule)?;
    Ok(round.checked_add(1).ok_or(LAST_ROUND)?)
}

/// Checks that a message can be drawn, and that it and its frame have room, whatever their length turns out to be.
pub(super) fn check_room<T: Real>(
    compressor: &impl Compressor<T>,
    key: Key,
    d: usize,
    buffers: &Buffers<'_, T>,
    out: &[u8],
) -> Result<(), ProtocolError> {
    compressor.check_key(key)?;
    compressor.lengths(d).check(buffers)?;
    let (needed, found) = (longest(compressor.bits(d)), out.len());
    if found < needed {
        return Err(EncodeError::Space { needed, found }.into());
    }
    Ok(())
}

/// `|to - from|`.
#[derive(Clone, Copy)]
struct Change;
impl<T: Real> Sum<T, 2, 1> for Change {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [from, to]: [L; 2]) -> [L; 1] {
        [(to - from).abs()]
    }
}

/// Checks that the sum of the magnitudes of `to - from` is finite: so is then every norm that a compressor takes of it.
pub(super) fn check_change<T: Real>(name: &'static str, from: &[T], to: &[T]) -> Result<(), Error> {
    let [sum] = simd::sum(&Change, [from, to]);
    if sum.is_finite() {
        return Ok(());
    }
    let finite = |&(&from, &to): &(&T, &T)| (to - from).is_finite();
    let found = from.iter().zip(to).take_while(finite).count();
    // Where each element is finite and their sum is not, the first one stands for all.
    let index = if found < from.len() { found } else { 0 };
    Err(Error::NonFinite { name, index })
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

/// Writes the frame of a message; returns its length in bytes.
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

/// Reads a reply, once, which must be of the client whose turn it is; returns the key of its draws.
pub(super) fn open<T: Real>(
    bytes: &[u8],
    run: Run,
    round: u64,
    turn: u32,
    d: u32,
) -> Result<(Key, Frame<'_>), ProtocolError> {
    let expect = expect::<T>(run, d);
    let any = Expect {
        cap: expect.cap,
        ..Expect::default()
    };
    let frame = decode(bytes, &any)?;
    check_turn(run, turn, frame.header.client)?;
    let of_round = Expect {
        round: Some(round),
        ..expect
    };
    of_round.check(&frame.header)?;
    // A frame without values has no type of its own; another type is refused here.
    frame.payload::<T>()?;
    let key = Key {
        seed: run.seed,
        round,
        client: turn,
    };
    Ok((key, frame))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::{Dithering, Identity, Lazy, Natural, NaturalDithering, Norm, Sign};

    const RUN: Run = Run {
        seed: 1,
        clients: 2,
    };

    #[test]
    fn the_cap_of_a_frame_follows_the_dimension() {
        // 2^28 bytes hold fewer than 2^26 floats.
        for d in [70_000_000, 1 << 30] {
            assert!(expect::<f32>(RUN, d).cap >= 52 + 4 * d as usize, "{d}");
        }
        assert!(expect::<f64>(RUN, 1 << 29).cap >= 52 + 8 * (1 << 29));
        // A later minor version may put a tail behind the largest frame.
        assert!(expect::<f32>(RUN, 70_000_000).cap >= frame_len::<f32>(70_000_000) + 65_535);
    }

    #[test]
    fn a_buffer_of_frame_len_holds_the_message_of_every_compressor() {
        let dithering = Dithering::qsgd(MOST_LEVELS);
        let natural = NaturalDithering {
            levels: 64,
            norm: Norm::Two,
        };
        for d in 0..40 {
            let bits = [
                Compressor::<f32>::bits(&dithering, d),
                Compressor::<f32>::bits(&natural, d),
                Compressor::<f32>::bits(&Lazy { p: 0.5 }, d),
                Compressor::<f32>::bits(&Identity, d),
                Compressor::<f32>::bits(&Natural, d),
                Compressor::<f32>::bits(&Sign, d),
            ];
            for bits in bits {
                assert!(longest(bits) <= frame_len::<f32>(d as u32), "{d}: {bits}");
            }
            let wide = longest(Compressor::<f64>::bits(&dithering, d));
            assert!(wide <= frame_len::<f64>(d as u32), "{d}");
        }
    }

    #[test]
    fn every_message_comes_back_as_it_was_sent() {
        let values = &[0.5_f64, -8.0, 0.0][..];
        let signs = &[1.0_f64, -1.0, 1.0][..];
        let (scale, norm, most) = (0.75, 3.0, 5);
        let (indices, levels) = (&[0_u32, 2, 8][..], &[5, 0, -3][..]);
        let key = Key {
            seed: RUN.seed,
            round: 7,
            client: 1,
        };
        for message in [
            Message::Dense(values),
            Message::PermK(&values[..2]),
            Message::RandK(values),
            Message::RandSeqK(values),
            Message::Sparse { indices, values },
            Message::Natural(values),
            Message::Sign {
                scale,
                values: signs,
            },
            Message::Dithered { norm, most, levels },
            Message::NaturalDithered { norm, most, levels },
            Message::Nothing,
        ] {
            let d = if let Message::Sparse { .. } = message {
                9
            } else {
                3
            };
            let mut bytes = [0; 100];
            let len = encode(&message, key, d, &mut bytes).unwrap();
            let (found, frame) = open::<f64>(&bytes[..len], RUN, 7, 1, d).unwrap();
            let (mut values, mut indices, mut levels) = ([9.0; 3], [9; 3], [9; 3]);
            let buffers = Buffers {
                values: &mut values,
                indices: &mut indices,
                levels: &mut levels,
            };
            assert_eq!((read(&frame, buffers), found), (Ok(message), key));
        }
    }

    #[test]
    fn control_frames_are_no_messages_but_for_a_drop() {
        let key = Key {
            seed: RUN.seed,
            round: 7,
            client: 1,
        };
        for kind in [Kind::Ack, Kind::Stop, Kind::Drop] {
            let header = Header {
                client: key.client,
                round: key.round,
                seed: key.seed,
                ..Header::new(kind, Dtype::None, 3, 0)
            };
            let mut bytes = [0; 52];
            wire::encode_into::<f64>(&header, &Body::Empty, &mut bytes).unwrap();
            let (_, frame) = open::<f64>(&bytes, RUN, 7, 1, 3).unwrap();
            let found = read::<f64>(&frame, Buffers::default());
            if kind == Kind::Drop {
                assert_eq!(found, Ok(Message::Nothing));
            } else {
                let argument = matches!(
                    found,
                    Err(ProtocolError::Argument(Error::Parameter {
                        name: "frame",
                        ..
                    }))
                );
                assert!(argument, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_change_is_refused_at_its_first_infinite_element() {
        let name = "change";
        let error = check_change(name, &[0.0, -f32::MAX], &[1.0, f32::MAX]);
        assert_eq!(error, Err(Error::NonFinite { name, index: 1 }));
        // Each is finite, their sum is not.
        let error = check_change(name, &[0.0; 2], &[f32::MAX; 2]);
        assert_eq!(error, Err(Error::NonFinite { name, index: 0 }));
        assert_eq!(check_change(name, &[0.0], &[f32::MAX]), Ok(()));
    }
}
