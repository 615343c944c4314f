//! Frames of every kind, and bytes that are not frames.

use thalweg::Real;
use thalweg::compress::{Buffers, PermK};
use thalweg::snapshot::{Element, Field, Reader, SnapshotError, Writer, saved_len};
use thalweg::wire::{
    self, Bits, Body, CAP, Checked, Crc32c, DecodeError, Dtype, Expect, Exponents, Fingerprint,
    Frame, HEADER, Header, Kept, Kind, Levels, Packed, Payload, SERVER, Values, crc32c, decode,
    encode_into, encoded_len, index_bits, level_bits, message, payload_bits, payload_len, seal,
    start,
};

use crate::{Hash, MISSING, Outcome, paint};

const D: usize = 21;

/// The body that a kind carries, and its count.
fn body<'a, T: Real>(kind: Kind, x: &'a [T; D], powers: &'a [T; D]) -> Option<(Body<'a, T>, u32)> {
    let some = x.get(..4)?;
    Some(match kind {
        Kind::Hello => (Body::Hello { samples: 1234 }, 0),
        Kind::Model | Kind::Estimate | Kind::Dense => (Body::Values(x), D as u32),
        Kind::PermK | Kind::RandK | Kind::RandSeqK => (Body::Values(some), 4),
        Kind::Sparse => {
            let indices = &[0, 3, 7, 20];
            let values = some;
            (Body::Sparse { indices, values }, 4)
        }
        Kind::Natural => (Body::Natural(powers), D as u32),
        Kind::Sign => {
            let scale = T::from_f64(0.7);
            (Body::Sign { scale, values: x }, D as u32)
        }
        Kind::Dithered | Kind::NaturalDithered => {
            const LEVELS: [i32; D] = {
                let mut levels = [0; D];
                let mut i = 0;
                while i < D {
                    levels[i] = (i % 7) as i32 - 3;
                    i += 1;
                }
                levels
            };
            let norm = T::from_f64(1.3);
            let levels = &LEVELS;
            (Body::Dithered { norm, levels }, 3)
        }
        Kind::Round => (Body::Round { full: true }, 0),
        Kind::Jacobian | Kind::Candidate => (Body::Values(x), 6),
        Kind::Losses => (Body::Values(x), D as u32),
        Kind::Logits => (Body::Values(x), 1),
        Kind::Labels => (Body::Classes(&[0, 20, 7]), 3),
        Kind::PublicKey | Kind::SealedSeed => (Body::Bytes(&[1, 2, 255]), 3),
        Kind::QuantisedJacobian => {
            let body = Body::Quantised {
                sample: 6,
                range: [T::from_f64(0.3), T::from_f64(1.7)],
                indices: &[0, 3, 7, 20],
                codes: &[0, 7, 8, 13],
            };
            (body, Kept { bits: 3, count: 4 }.code())
        }
        _ => (Body::Empty, 0),
    })
}

fn feed<T: Real>(frame: &Frame<'_>, hash: &mut Hash) -> Outcome {
    match frame.payload::<T>()? {
        Payload::Hello { samples } => hash.word(samples),
        Payload::Values(x) => values(&x, hash)?,
        Payload::Sparse { indices, values: x } => {
            packed(&indices, hash);
            values(&x, hash)?;
        }
        Payload::Natural(x) => exponents(&x, hash),
        Payload::Sign { scale, signs } => {
            hash.reals(&[scale]);
            packed(&signs, hash);
        }
        Payload::Dithered { norm, levels: x } => {
            hash.reals(&[norm]);
            levels(&x, hash);
        }
        Payload::Round { full } => hash.word(full.into()),
        Payload::Quantised(row) => {
            hash.size(row.len() + usize::from(row.is_empty()));
            hash.word(row.sample.into());
            row.iter().for_each(|(i, x)| {
                hash.word(i.into());
                hash.reals(&[x]);
            });
        }
        Payload::Classes(x) => packed(&x, hash),
        Payload::Bytes(x) => hash.bytes(x),
        _ => {}
    }
    Ok(())
}

fn values<T: Real>(x: &Values<'_, T>, hash: &mut Hash) -> Outcome {
    let mut copy = [T::ZERO; D];
    x.copy_into(copy.get_mut(..x.len()).ok_or(MISSING)?)?;
    hash.reals(&copy);
    hash.reals(&[x.get(1).unwrap_or(T::ZERO)]);
    x.iter().for_each(|x| hash.reals(&[x]));
    hash.word(x.is_empty().into());
    Ok(())
}

fn packed(x: &Packed<'_>, hash: &mut Hash) {
    hash.size(x.len() + usize::from(x.is_empty()));
    x.iter().for_each(|x| hash.word(x.into()));
}

fn exponents<T: Real>(x: &Exponents<'_, T>, hash: &mut Hash) {
    hash.size(x.len() + usize::from(x.is_empty()));
    x.iter().for_each(|x| hash.reals(&[x]));
}

fn levels(x: &Levels<'_>, hash: &mut Hash) {
    hash.size(x.len() + usize::from(x.is_empty()));
    x.iter().for_each(|x| hash.word(x as u64));
}

/// The message of a frame has the bytes of the frame.
fn same_message<T: Real>(found: &Frame<'_>, frame: &[u8]) -> Outcome {
    let (mut values, mut indices, mut levels) = ([T::ZERO; D], [0; D], [0; D]);
    let mut again = [0; 256];
    let d = found.header.d;
    let buffers = Buffers {
        values: &mut values,
        indices: &mut indices,
        levels: &mut levels,
    };
    let (key, sent) = message::decode::<T>(frame, &Expect::default(), buffers)?;
    let len = message::encode_into(&sent, key, d, &mut again)?;
    let is_same = again.get(..len) == Some(frame)
        && len == message::frame_len(&sent, d)
        && message::kind_of(&sent) == found.header.kind;
    let buffers = Buffers {
        values: &mut values,
        indices: &mut indices,
        levels: &mut levels,
    };
    message::read::<T>(found, buffers)?;
    if is_same && message::longest::<T>(&PermK::new(4), D) == 52 + 6 * T::BYTES {
        Ok(())
    } else {
        Err(MISSING)
    }
}

pub(super) fn frames<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut bytes, mut again) = ([T::ZERO; D], [0; 256], [0; 256]);
    paint(&mut x, 60);
    let powers = x.map(|x| T::from_f64(if x < T::ZERO { -0.25 } else { 4.0 }));
    for kind in Kind::ALL {
        let (body, k) = body(kind, &x, &powers).ok_or(MISSING)?;
        let dtype = if kind.is_scalar_free() {
            Dtype::None
        } else {
            Dtype::of::<T>()
        };
        let d = D as u32;
        let header = Header {
            client: 3,
            round: 9,
            seed: 5,
            ..Header::new(kind, dtype, d, k)
        };
        let len = encode_into(&header, &body, &mut bytes)?;
        let frame = bytes.get(..len).ok_or(MISSING)?;
        hash.bytes(frame);
        hash.size(header.frame_len() + encoded_len(kind, dtype, d, k));
        hash.word(payload_bits(kind, dtype, d, k) + payload_len(kind, dtype, d, k));
        let head = frame.first_chunk::<HEADER>().ok_or(MISSING)?;
        hash.size(wire::frame_len(head, CAP)?);
        let expect = Expect {
            kind: Kind::from_code(kind.code()),
            dtype: Dtype::from_code(dtype.code()),
            client: Some(3),
            round: Some(9),
            seed: Some(5),
            d: Some(d),
            k: Some(k),
            ..Expect::default()
        };
        let checked = Checked::new(frame, &expect).map_err(|(_, error)| error)?;
        feed::<T>(&checked.frame(), hash)?;
        let found = decode(frame, &expect)?;
        if (4..=12).contains(&kind.code()) || kind == Kind::Drop {
            same_message::<T>(&found, frame)?;
        }
        let len = found.encode_into(&mut again)?;
        hash.word((again.get(..len) == Some(frame)).into());
        hash.word(kind.takes(d, k).into());
        // A frame in two parts: the payload is written in place.
        if let Body::Values(_) = body {
            start(&header, &mut again)?.fill(0);
            hash.size(seal(&mut again)?);
        }
    }
    hash.size(Dtype::of::<T>().bytes());
    hash.word(Dtype::of::<T>().natural_bits().into());
    Ok(())
}

pub(super) fn hostile(hash: &mut Hash) -> Outcome {
    let mut bytes = [0; 96];
    let header = Header::new(Kind::PermK, Dtype::F32, 9, 4);
    let len = encode_into(&header, &Body::Values(&[1.0_f32; 4]), &mut bytes)?;
    hash.word(header.client.abs_diff(SERVER).into());
    let expect = Expect::default();
    // Every flip of a bit, and every length, is noticed.
    for bit in 0..8 * len {
        let flip = |bytes: &mut [u8]| {
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        };
        flip(&mut bytes);
        let frame = bytes.get(..len).ok_or(MISSING)?;
        hash.word(decode(frame, &expect).is_err().into());
        flip(&mut bytes);
        let short = bytes.get(..bit / 8).ok_or(MISSING)?;
        let truncated = matches!(decode(short, &expect), Err(DecodeError::Truncated { .. }));
        hash.word(truncated.into());
    }
    let mut crc = Crc32c::new();
    crc.update(b"123");
    crc.update(b"456789");
    hash.word(crc.value().into());
    hash.word(crc32c(&bytes).into());
    Bits::new(&bytes, 5, 100).for_each(|field| hash.word(field.into()));
    hash.word((index_bits(1000) + level_bits(12)).into());
    let (own, none) = (Fingerprint::new(7), Fingerprint::from_code(0));
    let differs = own.differs_in_algorithms(none) || own.differs_in_settings(none);
    if differs || Fingerprint::from_code(own.code()) != own {
        return Err(MISSING);
    }

    const FIELDS: [Field; 6] = [
        Field::U64,
        Field::U32,
        Field::U16,
        Field::real::<f64>(),
        Field::reals::<f32>(3),
        Field::words::<u8>(2),
    ];
    const LEN: usize = saved_len(&FIELDS);
    let mut saved = [0; LEN];
    let mut writer = Writer::new(&mut saved, *b"TEST", 1)?;
    writer.u64(1)?;
    writer.u32(2)?;
    writer.u16(3)?;
    writer.real(4.5_f64)?;
    writer.slice(&[1.0_f32, -0.0, 2.5])?;
    writer.bytes(&[7, 8])?;
    hash.size(writer.finish()?);
    hash.bytes(&saved);
    let mut reader = Reader::new(&saved, *b"TEST", 1, &FIELDS)?;
    let mut x = [0.0_f32; 3];
    hash.word(reader.u64()? + u64::from(reader.u32()?) + u64::from(reader.u16()?));
    hash.reals(&[reader.real::<f64>()?]);
    reader.slice_into(&mut x)?;
    hash.reals(&x);
    hash.bytes(reader.bytes(2)?);
    reader.finish()?;
    for i in 0..LEN {
        if let Some(byte) = saved.get_mut(i) {
            *byte ^= 0x10;
        }
        hash.word(Reader::new(&saved, *b"TEST", 1, &FIELDS).is_err().into());
        if let Some(byte) = saved.get_mut(i) {
            *byte ^= 0x10;
        }
    }
    let other = Reader::new(&saved, *b"REST", 1, &FIELDS);
    hash.word(matches!(other, Err(SnapshotError::Kind { .. })).into());
    let mut words = Writer::new(&mut bytes, *b"WORD", 1)?;
    words.words(&[1_u16, 2, 3])?;
    let len = words.finish()?;
    let fields = [Field::words::<u16>(3)];
    let saved = bytes.get(..len).ok_or(MISSING)?;
    let mut halves = [0_u16; 3];
    Reader::new(saved, *b"WORD", 1, &fields)?.words_into(&mut halves)?;
    halves.iter().for_each(|&word| hash.word(word.into()));
    hash.size(Element::of::<f32>().bytes());
    Ok(())
}
