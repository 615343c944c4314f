//! Claims about whole frames: what goes in comes out, and nothing else is let in.

use super::*;
use std::vec;
use std::vec::Vec;

mod faults;

/// A frame of every kind, with `d` coordinates and values of type `T`.
fn frames<T: Real>(d: u32) -> Vec<(Header, Vec<u8>)> {
    let k = d.div_ceil(2);
    let n = d as usize;
    let reals: Vec<T> = (0..n).map(|i| T::from_f64(0.75 - 1.5 * i as f64)).collect();
    let powers: Vec<T> = (0..n)
        .map(|i| match i % 5 {
            0 => T::ZERO,
            1 => -T::ZERO,
            j => T::from_f64([0.0, 0.0, 1.0, -0.25, 4096.0][j]),
        })
        .collect();
    let indices: Vec<u32> = (0..d).step_by(2).collect();
    let levels: Vec<i32> = (0..d as i32).map(|i| (i * 3) % 11 - 5).collect();
    let codes: Vec<u32> = (0..k).map(|i| i * 5 % 16).collect();
    let rows = [&reals[..], &reals, &reals].concat();
    Kind::ALL
        .into_iter()
        .filter(|&kind| kind != Kind::Labels || d >= 2)
        .map(|kind| {
            let (count, body) = match kind.shape() {
                Shape::Samples => (
                    0,
                    Body::Hello {
                        samples: 0x0102_0304_0506_0708,
                    },
                ),
                Shape::Values if kind.takes(d, k) => (k, Body::Values(&reals[..k as usize])),
                Shape::Values => (d, Body::Values(&reals[..])),
                Shape::Sparse => (
                    k,
                    Body::Sparse {
                        indices: &indices,
                        values: &reals[..k as usize],
                    },
                ),
                Shape::Natural => (d, Body::Natural(&powers)),
                Shape::Sign => (
                    d,
                    Body::Sign {
                        scale: T::from_f64(0.5),
                        values: &reals,
                    },
                ),
                Shape::Dithered => (
                    5,
                    Body::Dithered {
                        norm: T::from_f64(2.5),
                        levels: &levels,
                    },
                ),
                Shape::Coin => (0, Body::Round { full: true }),
                Shape::Empty => (0, Body::Empty),
                Shape::Numbered => (5, Body::Values(&reals[..])),
                Shape::Quantised => (
                    Kept { bits: 3, count: k }.code(),
                    Body::Quantised {
                        sample: 5,
                        range: [
                            T::from_f64(0.0),
                            T::from_f64(if k == 0 { 0.0 } else { 1.75 }),
                        ],
                        indices: &indices,
                        codes: &codes,
                    },
                ),
                Shape::Classes => (k, Body::Classes(&indices)),
                Shape::Rows => (3, Body::Values(&rows)),
                Shape::Bytes => (5, Body::Bytes(b"bytes")),
            };
            let dtype = if kind.is_scalar_free() {
                Dtype::None
            } else {
                Dtype::of::<T>()
            };
            let header = Header {
                client: 3,
                round: 0x1122_3344_5566_7788,
                seed: 0x99AA_BBCC_DDEE_FF00,
                ..Header::new(kind, dtype, d, count)
            };
            let mut bytes = vec![0xA5; header.frame_len()];
            assert_eq!(
                encode_into(&header, &body, &mut bytes),
                Ok(bytes.len()),
                "{kind:?} d {d}"
            );
            (header, bytes)
        })
        .collect()
}

fn all_frames(d: u32) -> Vec<(Header, Vec<u8>)> {
    let mut all = frames::<f32>(d);
    all.extend(frames::<f64>(d));
    all
}

/// Recomputes both checks after a test has changed the bytes.
fn mend(bytes: &mut [u8]) {
    let crc = crc32c(&bytes[..44]).to_le_bytes();
    bytes[44..48].copy_from_slice(&crc);
    let end = bytes.len() - 4;
    let crc = crc32c(&[&bytes[..44], &bytes[48..end]].concat()).to_le_bytes();
    bytes[end..].copy_from_slice(&crc);
}

#[test]
fn a_payload_does_not_pass_behind_the_header_of_another_round() {
    for (header, bytes) in all_frames(9) {
        let mut spliced = bytes.clone();
        spliced[16] ^= 1;
        let crc = crc32c(&spliced[..44]).to_le_bytes();
        spliced[44..48].copy_from_slice(&crc);
        let fault = decode(&spliced, &Expect::default()).unwrap_err();
        assert!(
            matches!(fault, DecodeError::Crc { part: "frame", .. }),
            "{:?}",
            header.kind
        );
    }
}

#[test]
fn every_kind_comes_back_byte_for_byte() {
    for d in [0, 1, 2, 3, 4, 7, 8, 9, 16, 31, 32, 33, 1003] {
        for (header, bytes) in all_frames(d) {
            let frame = decode(&bytes, &Expect::default()).unwrap();
            assert_eq!(frame.header, header);
            let mut again = vec![0x5A; bytes.len()];
            assert_eq!(frame.encode_into(&mut again), Ok(bytes.len()));
            assert_eq!(again, bytes, "{:?} d {d}", header.kind);
            let head = bytes.first_chunk().unwrap();
            assert_eq!(frame_len(head, CAP), Ok(bytes.len()));
            assert_eq!(
                encoded_len(header.kind, header.dtype, header.d, header.k),
                bytes.len()
            );
        }
    }
}

#[test]
fn lengths_are_those_of_the_layout() {
    // Indices of ceil(log2 1000) = 10 bits, padded to a byte, then the values.
    for (dtype, bits, bytes) in [
        (Dtype::F32, 3 * (10 + 32), 4 + 3 * 4),
        (Dtype::F64, 3 * (10 + 64), 4 + 3 * 8),
    ] {
        assert_eq!(payload_bits(Kind::Sparse, dtype, 1000, 3), bits);
        assert_eq!(payload_len(Kind::Sparse, dtype, 1000, 3), bytes);
        let frame = 48 + bytes as usize + 4;
        assert_eq!(encoded_len(Kind::Sparse, dtype, 1000, 3), frame);
    }
    for (k, taken) in [(0, false), (1, true), (1 << 30, true), (1 << 31, false)] {
        assert_eq!(Kind::Dithered.takes(5, k), taken, "{k}");
        assert_eq!(Kind::NaturalDithered.takes(5, k), taken, "{k}");
    }
}

#[test]
fn a_payload_may_be_as_long_as_its_field_can_say() {
    // 9 bits a value: 3 817 748 706 of them are 2^32 - 1 bytes, one more is 2^32.
    let d = 3_817_748_706;
    let header = Header::new(Kind::Natural, Dtype::F32, d, d);
    let (needed, found) = (header.frame_len(), 0);
    let error = start(&header, &mut []).unwrap_err();
    assert_eq!(error, EncodeError::Space { needed, found });
    let header = Header::new(Kind::Natural, Dtype::F32, d + 1, d + 1);
    let (cap, found) = (u32::MAX as usize, 1 << 32);
    let error = start(&header, &mut []).unwrap_err();
    assert_eq!(error, DecodeError::TooLong { cap, found }.into());
}

#[test]
fn a_frame_cut_short_is_not_sealed() {
    let mut out = [0; 60];
    let header = Header::new(Kind::RandK, Dtype::F32, 9, 2);
    start(&header, &mut out).unwrap();
    let (needed, found) = (60, 55);
    let error = seal(&mut out[..found]);
    assert_eq!(error, Err(EncodeError::Space { needed, found }));
    let (needed, found) = (52, 47);
    let error = seal(&mut out[..found]);
    assert_eq!(error, Err(EncodeError::Space { needed, found }));
}

#[test]
fn views_know_how_many_they_are() {
    for d in [0, 3] {
        let (n, empty) = (d as usize, d == 0);
        for (header, bytes) in frames::<f32>(d) {
            let frame = decode(&bytes, &Expect::default()).unwrap();
            let expected = match header.kind.shape() {
                Shape::Values | Shape::Sparse | Shape::Classes => header.k as usize,
                Shape::Rows => 3 * n,
                Shape::Quantised => Kept::from_code(header.k).count as usize,
                _ => n,
            };
            let found = match frame.payload::<f32>().unwrap() {
                Payload::Values(x) => (x.len(), x.is_empty()),
                Payload::Sparse { indices, values } => {
                    assert_eq!((indices.len(), indices.is_empty()), (values.len(), empty));
                    (values.len(), values.is_empty())
                }
                Payload::Natural(x) => (x.len(), x.is_empty()),
                Payload::Sign { signs, .. } => (signs.len(), signs.is_empty()),
                Payload::Dithered { levels, .. } => (levels.len(), levels.is_empty()),
                Payload::Quantised(row) => (row.len(), row.is_empty()),
                Payload::Classes(classes) => (classes.len(), classes.is_empty()),
                _ => continue,
            };
            assert_eq!(found, (expected, empty), "{:?}", header.kind);
        }
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let error = DecodeError::WrongRound {
        expected: 5,
        found: 4,
    };
    let text = std::format!("{error}");
    assert_eq!(text, "frame has round 4, expected 5");
    let error = EncodeError::Space {
        needed: 60,
        found: 55,
    };
    let text = std::format!("{error}");
    assert_eq!(text, "frame needs 60 bytes, destination has 55");
}

#[test]
fn numbers_come_back_bit_for_bit() {
    let values = [1.5_f64, -0.0, f64::MIN_POSITIVE / 2.0, f64::MAX, -3.0];
    let header = Header::new(Kind::Sparse, Dtype::F64, 1000, 5);
    let indices = [0, 1, 500, 998, 999];
    let mut bytes = vec![0; header.frame_len()];
    encode_into(
        &header,
        &Body::Sparse {
            indices: &indices,
            values: &values,
        },
        &mut bytes,
    )
    .unwrap();
    let frame = decode(&bytes, &Expect::default()).unwrap();
    let Payload::Sparse {
        indices: i,
        values: v,
    } = frame.payload::<f64>().unwrap()
    else {
        panic!("sparse");
    };
    assert_eq!(i.iter().collect::<Vec<_>>(), indices);
    let mut back = [0.0; 5];
    v.copy_into(&mut back).unwrap();
    assert_eq!(back.map(f64::to_bits), values.map(f64::to_bits));
    assert_eq!(v.get(4), Some(-3.0));
    assert_eq!(v.get(5), None);
    assert!(v.copy_into(&mut [0.0; 4]).is_err());

    let header = Header::new(Kind::Natural, Dtype::F64, 3, 3);
    let powers = [-0.5_f64, 0.0, 2.0_f64.powi(-1022)];
    let mut bytes = vec![0; header.frame_len()];
    encode_into(&header, &Body::Natural(&powers), &mut bytes).unwrap();
    let frame = decode(&bytes, &Expect::default()).unwrap();
    let Payload::Natural(back) = frame.payload::<f64>().unwrap() else {
        panic!("natural")
    };
    assert_eq!(back.iter().collect::<Vec<_>>(), powers);

    let header = Header::new(Kind::Dithered, Dtype::F32, 3, i32::MAX as u32);
    let levels = [i32::MAX, -i32::MAX, 0];
    let mut bytes = vec![0; header.frame_len()];
    encode_into(
        &header,
        &Body::Dithered {
            norm: 1.0_f32,
            levels: &levels,
        },
        &mut bytes,
    )
    .unwrap();
    let frame = decode(&bytes, &Expect::default()).unwrap();
    let Payload::Dithered { norm, levels: back } = frame.payload::<f32>().unwrap() else {
        panic!("dithered");
    };
    assert_eq!(
        (norm, back.iter().collect::<Vec<_>>()),
        (1.0, levels.to_vec())
    );

    let header = Header::new(Kind::Sign, Dtype::F32, 9, 9);
    let signs = [1.0_f32, -1.0, 0.0, -0.0, 5.0, -5.0, 1.0, 1.0, -1.0];
    let mut bytes = vec![0; header.frame_len()];
    encode_into(
        &header,
        &Body::Sign {
            scale: 0.25,
            values: &signs,
        },
        &mut bytes,
    )
    .unwrap();
    let frame = decode(&bytes, &Expect::default()).unwrap();
    let Payload::Sign { scale, signs: back } = frame.payload::<f32>().unwrap() else {
        panic!("sign");
    };
    assert_eq!(scale, 0.25);
    assert_eq!(back.iter().collect::<Vec<_>>(), [0, 1, 0, 1, 0, 1, 0, 0, 1]);
}

#[test]
fn a_later_minor_version_may_append_entries() {
    let (_, bytes) = frames::<f32>(9).remove(4);
    let extend = |tail: &[u8]| {
        let mut later = bytes[..bytes.len() - 4].to_vec();
        later.extend_from_slice(tail);
        later.extend_from_slice(&[0; 4]);
        later[5] = 1;
        later[10] = tail.len() as u8;
        mend(&mut later);
        later
    };
    for tail in [
        &[][..],
        &[7, 0, 0, 0],
        &[7, 0, 2, 0, 0xAA, 0xBB, 8, 0, 0, 0],
    ] {
        let later = extend(tail);
        let frame = decode(&later, &Expect::default()).unwrap();
        assert_eq!(frame.minor, 1);
        let mut again = vec![0; bytes.len()];
        assert_eq!(frame.encode_into(&mut again), Ok(bytes.len()));
        assert_eq!(again, bytes);
    }
    for tail in [&[7][..], &[7, 0, 1, 0], &[7, 0, 0, 0, 1]] {
        let fault = decode(&extend(tail), &Expect::default()).unwrap_err();
        assert_eq!(
            fault,
            DecodeError::NonCanonical {
                what: "a torn tail"
            }
        );
    }
}
