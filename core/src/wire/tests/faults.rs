//! What is wrong with a frame is named, and costs nothing.

use super::*;

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
    assert_eq!(fault(|b| b[6] = 25), DecodeError::Kind { found: 25 });
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
