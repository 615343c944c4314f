//! Claims about whole frames: what goes in comes out, and nothing else is let in.

use super::*;
use std::vec;
use std::vec::Vec;

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
    Kind::ALL
        .into_iter()
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
            };
            let scalar_free = matches!(kind.shape(), Shape::Coin | Shape::Empty);
            let dtype = if scalar_free {
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
fn every_flipped_bit_is_refused() {
    for (header, bytes) in all_frames(9) {
        for bit in 0..8 * bytes.len() {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let answer = decode(&bad, &Expect::default());
            assert!(answer.is_err(), "{:?} bit {bit}", header.kind);
        }
    }
}

#[test]
fn a_flipped_bit_under_a_mended_check_is_refused_or_canonical() {
    let any = Expect {
        non_finite: true,
        ..Expect::default()
    };
    for (header, bytes) in all_frames(9) {
        for bit in 0..8 * bytes.len() {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            mend(&mut bad);
            if let Ok(frame) = decode(&bad, &any)
                && frame.minor == MINOR
            {
                let mut again = vec![0; bad.len()];
                assert_eq!(frame.encode_into(&mut again), Ok(bad.len()));
                assert_eq!(again, bad, "{:?} bit {bit}", header.kind);
            }
        }
    }
}

#[test]
fn every_truncation_is_named() {
    for (header, bytes) in all_frames(9) {
        for len in 0..bytes.len() {
            let needed = if len < HEADER { OVERHEAD } else { bytes.len() };
            assert_eq!(
                decode(&bytes[..len], &Expect::default()).unwrap_err(),
                DecodeError::Truncated { needed, found: len },
                "{:?}",
                header.kind
            );
        }
        let mut long = bytes.clone();
        long.push(0);
        assert_eq!(
            decode(&long, &Expect::default()).unwrap_err(),
            DecodeError::TrailingBytes {
                expected: bytes.len(),
                found: bytes.len() + 1
            }
        );
    }
}

/// A frame with one edit under valid checks.
fn edited(header: Header, body: Body<'_, f32>, edit: impl Fn(&mut [u8])) -> DecodeError {
    let mut bytes = vec![0; header.frame_len()];
    encode_into(&header, &body, &mut bytes).unwrap();
    edit(&mut bytes);
    mend(&mut bytes);
    decode(&bytes, &Expect::default()).unwrap_err()
}

#[test]
fn header_faults_are_named() {
    let header = Header::new(Kind::PermK, Dtype::F32, 9, 2);
    let body = Body::Values(&[1.0, 2.0]);
    let fault = |edit: fn(&mut [u8])| edited(header, body, edit);
    assert_eq!(
        fault(|b| b[0] = 0),
        DecodeError::BadMagic { found: *b"\0TWF" }
    );
    assert_eq!(fault(|b| b[4] = 2), DecodeError::Version { found: 2 });
    assert_eq!(fault(|b| b[6] = 0), DecodeError::Kind { found: 0 });
    assert_eq!(fault(|b| b[6] = 17), DecodeError::Kind { found: 17 });
    assert_eq!(fault(|b| b[7] = 3), DecodeError::Dtype { found: 3 });
    assert_eq!(fault(|b| b[7] = 0), DecodeError::Dtype { found: 0 });
    assert_eq!(
        fault(|b| b[9] = 1),
        DecodeError::NonCanonical {
            what: "an unknown flag"
        }
    );
    assert_eq!(
        fault(|b| b[10] = 1),
        DecodeError::NonCanonical {
            what: "a tail in this minor version"
        }
    );
    assert_eq!(fault(|b| b[36] = 10), DecodeError::Count { d: 9, k: 10 });
    assert_eq!(
        fault(|b| b[36] = 3),
        DecodeError::Length {
            expected: 12,
            found: 8
        }
    );
    assert_eq!(
        fault(|b| b[43] = 0xFF),
        DecodeError::Length {
            expected: 8,
            found: 0xFF00_0008
        }
    );
    assert_eq!(fault(|b| b[8] = 1), DecodeError::NonFiniteFlag);
}

#[test]
fn a_header_that_lies_about_its_length_costs_nothing() {
    // All ones in d and k: 2^32 - 1 values of four bytes exceed the length field.
    let header = Header::new(Kind::Dense, Dtype::F32, u32::MAX, u32::MAX);
    assert_eq!(
        payload_len(header.kind, header.dtype, header.d, header.k),
        4 * 0xFFFF_FFFF
    );
    assert!(matches!(
        start(&header, &mut [0; 64]),
        Err(EncodeError::Invalid(DecodeError::TooLong { .. }))
    ));
    // The longest frame that the length field holds, announced in 48 bytes.
    let header = Header::new(Kind::Sign, Dtype::F32, u32::MAX, u32::MAX);
    assert_eq!(start(&header, &mut []).unwrap_err(), {
        let needed = header.frame_len();
        EncodeError::Space { needed, found: 0 }
    });
    let (_, bytes) = frames::<f32>(9).remove(Kind::Sign.code() as usize - 1);
    let mut head: [u8; HEADER] = *bytes.first_chunk().unwrap();
    head[32..40].fill(0xFF);
    head[40..44].copy_from_slice(&(4_u32 + (1 << 29)).to_le_bytes());
    let crc = crc32c(&head[..44]).to_le_bytes();
    head[44..].copy_from_slice(&crc);
    let found = OVERHEAD as u64 + 4 + (1 << 29);
    assert_eq!(
        frame_len(&head, CAP),
        Err(DecodeError::TooLong { cap: CAP, found })
    );
}

#[test]
fn content_faults_are_named() {
    let sparse = Header::new(Kind::Sparse, Dtype::F32, 9, 2);
    let body = Body::Sparse {
        indices: &[1, 8],
        values: &[1.0, 2.0],
    };
    // Four bits an index: 0x81 holds 1, then 8.
    let fault = |edit: fn(&mut [u8])| edited(sparse, body, edit);
    assert_eq!(
        fault(|b| b[48] = 0x11),
        DecodeError::IndexOrder { position: 1 }
    );
    assert_eq!(
        fault(|b| b[48] = 0x91),
        DecodeError::IndexRange {
            position: 1,
            index: 9
        }
    );
}

#[test]
fn padding_levels_coins_and_nan_are_named() {
    let sparse = Header::new(Kind::Sparse, Dtype::F32, 9, 1);
    let body = Body::Sparse {
        indices: &[8],
        values: &[1.0],
    };
    let padding = DecodeError::NonCanonical {
        what: "padding that is not zero",
    };
    assert_eq!(edited(sparse, body, |b| b[48] = 0x18), padding);
    let nan = |b: &mut [u8]| b[49..53].copy_from_slice(&f32::NAN.to_le_bytes());
    assert_eq!(
        edited(sparse, body, nan),
        DecodeError::NonFinite { index: 0 }
    );

    let dithered = Header::new(Kind::Dithered, Dtype::F32, 2, 5);
    let body = Body::Dithered {
        norm: 1.0,
        levels: &[0, -5],
    };
    // Four bits a level: 0, then sign 8 and magnitude 5.
    assert_eq!(
        edited(dithered, body, |b| b[52] = 0x60),
        DecodeError::LevelRange {
            position: 1,
            level: 6
        }
    );
    assert_eq!(
        edited(dithered, body, |b| b[52] = 0x08),
        DecodeError::NonCanonical {
            what: "a level of minus zero"
        }
    );
    let inf = |b: &mut [u8]| b[48..52].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert_eq!(
        edited(dithered, body, inf),
        DecodeError::NonFinite { index: 0 }
    );

    let natural = Header::new(Kind::Natural, Dtype::F32, 1, 1);
    let body = Body::Natural(&[1.0]);
    assert_eq!(edited(natural, body, |b| b[49] = 2), padding);
    assert_eq!(
        edited(natural, body, |b| b[48] = 0xFF),
        DecodeError::NonFinite { index: 0 }
    );

    let sign = Header::new(Kind::Sign, Dtype::F32, 3, 3);
    let body = Body::Sign {
        scale: 1.0,
        values: &[1.0; 3],
    };
    assert_eq!(edited(sign, body, |b| b[52] = 8), padding);

    let coin = Header::new(Kind::Round, Dtype::None, 9, 0);
    assert_eq!(
        edited(coin, Body::Round { full: false }, |b| b[48] = 2),
        DecodeError::NonCanonical {
            what: "a coin that is neither 0 nor 1"
        }
    );
}

#[test]
fn non_finite_values_need_the_flag_and_the_receiver() {
    let values = [1.0_f32, f32::NAN];
    let header = Header::new(Kind::Model, Dtype::F32, 2, 2);
    let mut bytes = vec![0; header.frame_len()];
    assert_eq!(
        encode_into(&header, &Body::Values(&values), &mut bytes),
        Err(EncodeError::Invalid(DecodeError::NonFinite { index: 1 }))
    );
    let flagged = Header {
        flags: ALLOW_NON_FINITE,
        ..header
    };
    encode_into(&flagged, &Body::Values(&values), &mut bytes).unwrap();
    assert_eq!(
        decode(&bytes, &Expect::default()).unwrap_err(),
        DecodeError::NonFiniteFlag
    );
    assert!(
        decode(
            &bytes,
            &Expect {
                non_finite: true,
                ..Expect::default()
            }
        )
        .is_ok()
    );
}

#[test]
fn stale_and_foreign_frames_are_named() {
    let (header, bytes) = frames::<f32>(9).remove(4);
    assert_eq!(header.kind, Kind::PermK);
    let all = Expect {
        kind: Some(Kind::PermK),
        round: Some(header.round),
        client: Some(3),
        seed: Some(header.seed),
        d: Some(9),
        k: Some(5),
        dtype: Some(Dtype::F32),
        ..Expect::default()
    };
    assert!(decode(&bytes, &all).is_ok());
    let fault = |expect: Expect| decode(&bytes, &expect).unwrap_err();
    assert_eq!(
        fault(Expect {
            kind: Some(Kind::RandK),
            ..all
        }),
        DecodeError::WrongKind {
            expected: Kind::RandK,
            found: Kind::PermK
        }
    );
    assert_eq!(
        fault(Expect {
            round: Some(1),
            ..all
        }),
        DecodeError::WrongRound {
            expected: 1,
            found: header.round
        }
    );
    assert_eq!(
        fault(Expect {
            client: Some(4),
            ..all
        }),
        DecodeError::WrongClient {
            expected: 4,
            found: 3
        }
    );
    assert_eq!(
        fault(Expect {
            seed: Some(1),
            ..all
        }),
        DecodeError::WrongSeed {
            expected: 1,
            found: header.seed
        }
    );
    assert_eq!(
        fault(Expect { d: Some(8), ..all }),
        DecodeError::WrongDimension {
            expected: 8,
            found: 9
        }
    );
    assert_eq!(
        fault(Expect { k: Some(4), ..all }),
        DecodeError::WrongCount {
            expected: 4,
            found: 5
        }
    );
    assert_eq!(
        fault(Expect {
            dtype: Some(Dtype::F64),
            ..all
        }),
        DecodeError::WrongDtype {
            expected: 2,
            found: 1
        }
    );
    assert!(matches!(
        fault(Expect { cap: 71, ..all }),
        DecodeError::TooLong { cap: 71, found: 72 }
    ));
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

#[test]
fn a_refused_body_leaves_the_destination_alone() {
    let header = Header::new(Kind::PermK, Dtype::F32, 9, 2);
    let mut out = [0xA5; 60];
    let bodies = [
        Body::Values(&[1.0_f32; 3][..]),
        Body::Empty,
        Body::Natural(&[1.0; 9]),
    ];
    for body in bodies {
        assert!(encode_into(&header, &body, &mut out).is_err());
    }
    assert!(encode_into(&header, &Body::Values(&[1.0_f64; 2]), &mut out).is_err());
    let sparse = Header::new(Kind::Sparse, Dtype::F32, 8, 1);
    let wide = Body::Sparse {
        indices: &[9],
        values: &[1.0_f32],
    };
    assert_eq!(
        encode_into(&sparse, &wide, &mut out),
        Err(EncodeError::Invalid(DecodeError::IndexRange {
            position: 0,
            index: 9
        }))
    );
    let natural = Header::new(Kind::Natural, Dtype::F32, 2, 2);
    assert_eq!(
        encode_into(&natural, &Body::Natural(&[1.0_f32, 3.0]), &mut out),
        Err(EncodeError::NotPowerOfTwo { index: 1 })
    );
    assert_eq!(out, [0xA5; 60]);
}
