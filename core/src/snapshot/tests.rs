//! What is saved comes back, and nothing else is taken for it.

use super::*;
use crate::Real;
use crate::wire::crc32c;
use std::vec;
use std::vec::Vec;

/// One field of every type.
#[derive(Clone, Debug)]
struct Demo<T> {
    step: u64,
    seed: u32,
    half: Vec<u16>,
    tag: Vec<u8>,
    scale: T,
    a: Vec<T>,
    b: Vec<T>,
}

impl<T: Real> Demo<T> {
    fn new(n: usize, m: usize) -> Self {
        let value = |i: usize| T::from_f64(i as f64 * 0.75 - 3.0);
        Self {
            step: 0x0123_4567_89AB_CDEF,
            seed: 0xDEAD_BEEF,
            half: (0..n as u16).map(|i| i.wrapping_mul(0x9E37)).collect(),
            tag: b"moments".to_vec(),
            scale: -T::ZERO,
            a: (0..n).map(value).collect(),
            b: (0..m)
                .map(|i| if i == 1 { T::NAN } else { -value(i) })
                .collect(),
        }
    }

    fn fields(&self) -> [Field; 7] {
        [
            Field::U64,
            Field::U32,
            Field::words::<u16>(self.half.len()),
            Field::words::<u8>(self.tag.len()),
            Field::real::<T>(),
            Field::reals::<T>(self.a.len()),
            Field::reals::<T>(self.b.len()),
        ]
    }

    fn bits(&self) -> Vec<u64> {
        let mut bits = vec![self.step, u64::from(self.seed), self.scale.to_bits_u64()];
        bits.extend(self.half.iter().map(|&x| u64::from(x)));
        bits.extend(self.tag.iter().map(|&x| u64::from(x)));
        bits.extend(self.a.iter().chain(&self.b).map(|x| x.to_bits_u64()));
        bits
    }

    fn saved(&self) -> Vec<u8> {
        let mut bytes = vec![0xA5; self.snapshot_len()];
        assert_eq!(self.save(&mut bytes), Ok(bytes.len()));
        bytes
    }
}

impl<T: Real> Snapshot for Demo<T> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut w = Writer::new(out, *b"DEMO", 3)?;
        w.u64(self.step)?;
        w.u32(self.seed)?;
        w.words(&self.half)?;
        w.bytes(&self.tag)?;
        w.real(self.scale)?;
        w.slice(&self.a)?;
        w.slice(&self.b)?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"DEMO", 3, &self.fields())?;
        self.step = r.u64()?;
        self.seed = r.u32()?;
        r.words_into(&mut self.half)?;
        let tag = r.bytes(self.tag.len())?;
        self.tag.copy_from_slice(tag);
        self.scale = r.real()?;
        r.slice_into(&mut self.a)?;
        r.slice_into(&mut self.b)?;
        r.finish()
    }
}

/// Another state of the same shape.
fn blank<T: Real>(n: usize, m: usize) -> Demo<T> {
    let mut blank = Demo::new(n, m);
    (blank.step, blank.seed, blank.scale) = (1, 2, T::ONE);
    blank.tag.fill(b'x');
    blank.half.fill(9);
    blank.a.fill(T::ONE);
    blank.b.fill(T::ONE);
    blank
}

fn comes_back<T: Real>() {
    for (n, m) in [(0, 0), (1, 0), (3, 2), (1003, 4097)] {
        let state = Demo::<T>::new(n, m);
        let mut other = blank::<T>(n, m);
        other.restore(&state.saved()).unwrap();
        assert_eq!(other.bits(), state.bits());
        assert_eq!(other.saved(), state.saved());
    }
}

#[test]
fn every_bit_comes_back() {
    comes_back::<f32>();
    comes_back::<f64>();
}

#[test]
fn the_payload_of_a_nan_and_the_sign_of_zero_survive() {
    let patterns = [0x7FF8_0000_0000_1234_u64, 0xFFF0_0000_0000_0001, 1 << 63, 1];
    let values = patterns.map(f64::from_bits);
    let mut bytes = [0; 68];
    let mut w = Writer::new(&mut bytes, *b"BITS", 1).unwrap();
    w.slice(&values).unwrap();
    assert_eq!(w.finish(), Ok(68));
    let mut back = [0.0; 4];
    let mut r = Reader::new(&bytes, *b"BITS", 1, &[Field::reals::<f64>(4)]).unwrap();
    r.slice_into(&mut back).unwrap();
    assert_eq!(back.map(f64::to_bits), patterns);
}

#[test]
fn every_flipped_bit_and_every_truncation_is_refused_and_changes_nothing() {
    let saved = Demo::<f32>::new(3, 2).saved();
    let mut state = blank::<f32>(3, 2);
    let before = state.bits();
    for bit in 0..8 * saved.len() {
        let mut bad = saved.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(state.restore(&bad).is_err(), "bit {bit}");
        assert_eq!(state.bits(), before, "bit {bit}");
    }
    for len in 0..saved.len() {
        assert!(state.restore(&saved[..len]).is_err(), "length {len}");
        assert_eq!(state.bits(), before, "length {len}");
    }
    let mut long = saved.clone();
    long.push(0);
    let (expected, found) = (saved.len() as u64, long.len());
    assert_eq!(
        state.restore(&long),
        Err(SnapshotError::Length { expected, found })
    );
}

#[test]
fn a_state_of_another_shape_is_named_and_changes_nothing() {
    // Equal in total length: only the last two fields differ.
    let mut state = blank::<f32>(3, 2);
    let before = state.bits();
    let mut swapped = Demo::<f32>::new(3, 3);
    swapped.a.pop();
    assert_eq!(swapped.snapshot_len(), state.snapshot_len());
    let fault = state.restore(&swapped.saved()).unwrap_err();
    assert_eq!(
        fault,
        SnapshotError::Count {
            field: 5,
            expected: 3,
            found: 2
        }
    );
    let fault = state.restore(&Demo::<f64>::new(3, 2).saved()).unwrap_err();
    assert_eq!(
        fault,
        SnapshotError::Element {
            field: 4,
            expected: Element::F32,
            found: 2
        }
    );
    assert_eq!(state.bits(), before);
}

#[test]
fn kind_version_and_fields_are_named() {
    let mut bytes = [0; 60];
    let mut w = Writer::new(&mut bytes, *b"ADAM", 2).unwrap();
    w.u64(5).unwrap();
    w.u16(6).unwrap();
    let len = w.finish().unwrap();
    let bytes = &bytes[..len];
    let layout = [Field::U64, Field::U16];
    assert!(Reader::new(bytes, *b"ADAM", 2, &layout).is_ok());
    let fault =
        |kind, version, fields: &[Field]| Reader::new(bytes, kind, version, fields).unwrap_err();
    assert_eq!(
        fault(*b"LION", 2, &layout),
        SnapshotError::Kind {
            expected: *b"LION",
            found: *b"ADAM"
        }
    );
    assert_eq!(
        fault(*b"ADAM", 3, &layout),
        SnapshotError::Version {
            expected: 3,
            found: 2
        }
    );
    assert_eq!(
        fault(*b"ADAM", 2, &[Field::U64]),
        SnapshotError::Fields {
            expected: 1,
            found: 2
        }
    );
    assert_eq!(
        fault(*b"ADAM", 2, &[Field::U64, Field::U16, Field::U16]),
        SnapshotError::Fields {
            expected: 3,
            found: 2
        }
    );
    assert_eq!(
        Reader::new(&[0; 28], *b"ADAM", 2, &[]).unwrap_err(),
        SnapshotError::BadMagic { found: [0; 4] }
    );
}

#[test]
fn single_words_of_every_width_come_back() {
    let fields = [Field::U64, Field::U32, Field::U16];
    let mut out = [0; 80];
    let mut w = Writer::new(&mut out, *b"DEMO", 1).unwrap();
    w.u64(0x0123_4567_89AB_CDEF).unwrap();
    w.u32(0xDEAD_BEEF).unwrap();
    w.u16(0xCAFE).unwrap();
    let len = w.finish().unwrap();
    assert_eq!(len, saved_len(&fields));
    let mut r = Reader::new(&out[..len], *b"DEMO", 1, &fields).unwrap();
    assert_eq!(r.u64(), Ok(0x0123_4567_89AB_CDEF));
    assert_eq!(r.u32(), Ok(0xDEAD_BEEF));
    assert_eq!(r.u16(), Ok(0xCAFE));
    assert_eq!(r.finish(), Ok(()));
}

#[test]
fn a_short_destination_is_named() {
    let state = Demo::<f32>::new(3, 2);
    let needed = state.snapshot_len();
    for found in 0..needed {
        let answer = state.save(&mut vec![0; found]);
        assert!(
            matches!(answer, Err(SnapshotError::Space { .. })),
            "length {found}"
        );
    }
    assert_eq!(
        state.save(&mut vec![0; needed - 1]),
        Err(SnapshotError::Space {
            needed,
            found: needed - 1
        })
    );
}

#[test]
fn a_count_from_a_hostile_header_is_never_multiplied() {
    // A field that announces 2^56 - 1 doubles, under a valid check.
    let mut bytes = [0; 36];
    let mut w = Writer::new(&mut bytes, *b"HUGE", 1).unwrap();
    w.slice::<f64>(&[]).unwrap();
    w.finish().unwrap();
    bytes[24..31].fill(0xFF);
    let crc = crc32c(&bytes[..32]).to_le_bytes();
    bytes[32..].copy_from_slice(&crc);
    let fault = Reader::new(&bytes, *b"HUGE", 1, &[Field::reals::<f64>(0)]).unwrap_err();
    assert_eq!(
        fault,
        SnapshotError::Count {
            field: 0,
            expected: 0,
            found: (1 << 56) - 1
        }
    );
}
