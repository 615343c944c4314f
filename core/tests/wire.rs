//! Frames against `golden/frames.txt`, which `golden/frames.py` writes without our code.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in helpers too"
)]

use thalweg::Real;
use thalweg::wire::*;

const GOLDEN: &str = include_str!("golden/frames.txt");

fn golden(name: &str) -> Vec<u8> {
    let line = GOLDEN
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let hex = line.unwrap_or_else(|| panic!("no golden frame `{name}`"));
    (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

/// Encodes to the golden bytes, decodes the golden bytes to the header, and writes them again.
fn holds<T: Real>(name: &str, header: Header, body: Body<'_, T>) -> Vec<u8> {
    let header = Header {
        round: 0x0102_0304_0506_0708,
        seed: 42,
        ..header
    };
    let expected = golden(name);
    let mut out = vec![0xA5; header.frame_len()];
    assert_eq!(
        encode_into(&header, &body, &mut out),
        Ok(expected.len()),
        "{name}"
    );
    assert_eq!(out, expected, "{name}");
    let frame = decode(
        &expected,
        &Expect {
            non_finite: true,
            ..Expect::default()
        },
    )
    .unwrap();
    assert_eq!(frame.header, header, "{name}");
    out.fill(0xA5);
    assert_eq!(frame.encode_into(&mut out), Ok(expected.len()), "{name}");
    assert_eq!(out, expected, "{name}");
    out
}

fn every_kind<T: Real>(t: &str) {
    let reals = |xs: &[f64]| xs.iter().map(|&x| T::from_f64(x)).collect::<Vec<_>>();
    let values = reals(&[1.0, -2.5, 0.0, -0.0, 3.0e-39, 1.0e20, 0.1]);
    let five = reals(&[1.0, -0.25, 0.0, -0.0, 4096.0]);
    let signs = reals(&[1.0, -1.0, -0.0, 0.0, -9.0, 2.0, 2.0, 2.0, -2.0]);
    let dtype = Dtype::of::<T>();
    let client = |kind, d, k| Header {
        client: 3,
        ..Header::new(kind, dtype, d, k)
    };
    let server = |kind, d, k| Header::new(kind, dtype, d, k);
    let check = |name: &str, header, body| {
        let bytes = holds::<T>(&format!("{name}_{t}"), header, body);
        let frame = decode(&bytes, &Expect::default()).unwrap();
        read_back(&frame.payload::<T>().unwrap(), &body);
    };
    check(
        "hello",
        client(Kind::Hello, 7, 0),
        Body::Hello { samples: 1797 },
    );
    check("model", server(Kind::Model, 7, 7), Body::Values(&values));
    check(
        "estimate",
        server(Kind::Estimate, 7, 7),
        Body::Values(&values),
    );
    check("dense", client(Kind::Dense, 7, 7), Body::Values(&values));
    check(
        "perm_k",
        client(Kind::PermK, 1000, 7),
        Body::Values(&values),
    );
    check(
        "rand_k",
        client(Kind::RandK, 1000, 7),
        Body::Values(&values),
    );
    check(
        "rand_seq_k",
        client(Kind::RandSeqK, 1000, 7),
        Body::Values(&values),
    );
    let indices = [0, 1, 2, 511, 512, 998, 999];
    let sparse = Body::Sparse {
        indices: &indices,
        values: &values,
    };
    check("sparse", client(Kind::Sparse, 1000, 7), sparse);
    check("natural", client(Kind::Natural, 5, 5), Body::Natural(&five));
    let body = Body::Sign {
        scale: T::from_f64(0.75),
        values: &signs,
    };
    check("sign", client(Kind::Sign, 9, 9), body);
    let body = Body::Dithered {
        norm: T::from_f64(2.5),
        levels: &[0, 5, -5, 1, -2],
    };
    check("dithered", client(Kind::Dithered, 5, 5), body);
    let body = Body::Dithered {
        norm: T::from_f64(1.5),
        levels: &[0, 1, -1],
    };
    check(
        "natural_dithered",
        client(Kind::NaturalDithered, 3, 1),
        body,
    );
    check(
        "jacobian",
        client(Kind::Jacobian, 7, 12),
        Body::Values(&values),
    );
    check(
        "logits",
        client(Kind::Logits, 3, 2),
        Body::Values(&values[..6]),
    );
    check(
        "candidate",
        server(Kind::Candidate, 7, 4),
        Body::Values(&values),
    );
    check("losses", client(Kind::Losses, 7, 7), Body::Values(&values));
    let kept = Kept { bits: 3, count: 4 };
    let body = Body::Quantised {
        sample: 12,
        range: [T::from_f64(0.5), T::from_f64(4.0)],
        indices: &[3, 500, 501, 999],
        codes: &[0, 7, 8 | 3, 8 | 7],
    };
    check(
        "quantised_jacobian",
        client(Kind::QuantisedJacobian, 1000, kept.code()),
        body,
    );
}

/// The views hold the numbers of the body, bit for bit.
fn read_back<T: Real>(payload: &Payload<'_, T>, body: &Body<'_, T>) {
    let bits = |xs: &[T]| xs.iter().map(|x| x.to_bits_u64()).collect::<Vec<_>>();
    match (payload, body) {
        (Payload::Hello { samples: a }, Body::Hello { samples: b }) => assert_eq!(a, b),
        (Payload::Values(a), Body::Values(b)) => {
            assert_eq!(bits(&a.iter().collect::<Vec<_>>()), bits(b));
        }
        (
            Payload::Sparse { indices, values },
            Body::Sparse {
                indices: i,
                values: v,
            },
        ) => {
            assert_eq!(indices.iter().collect::<Vec<_>>(), *i);
            assert_eq!(bits(&values.iter().collect::<Vec<_>>()), bits(v));
        }
        (Payload::Natural(a), Body::Natural(b)) => {
            assert_eq!(bits(&a.iter().collect::<Vec<_>>()), bits(b));
        }
        (Payload::Sign { scale, signs }, Body::Sign { scale: s, values }) => {
            assert_eq!(scale, s);
            let expected = values
                .iter()
                .map(|&x| u32::from(x.to_f64().is_sign_negative()));
            assert!(signs.iter().eq(expected));
        }
        (Payload::Dithered { norm, levels }, Body::Dithered { norm: n, levels: l }) => {
            assert_eq!(norm, n);
            assert_eq!(levels.iter().collect::<Vec<_>>(), *l);
        }
        (
            Payload::Quantised(row),
            Body::Quantised {
                sample,
                range,
                indices,
                ..
            },
        ) => {
            assert_eq!((row.sample, row.range), (*sample, *range));
            // Seven steps of 0.5 between 0.5 and 4.
            let values = [0.5, 4.0, -2.0, -4.0].map(T::from_f64);
            assert!(row.iter().eq(indices.iter().copied().zip(values)));
        }
        _ => panic!("another payload than the body"),
    }
}

#[test]
fn frames_of_single_precision_are_the_golden_bytes() {
    every_kind::<f32>("f32");
}

#[test]
fn frames_of_double_precision_are_the_golden_bytes() {
    every_kind::<f64>("f64");
}

#[test]
fn control_frames_and_edge_cases_are_the_golden_bytes() {
    let control = |kind| Header::new(kind, Dtype::None, 7, 0);
    let client = |kind| Header {
        client: 3,
        ..control(kind)
    };
    holds::<f32>(
        "round_full",
        control(Kind::Round),
        Body::Round { full: true },
    );
    holds::<f64>(
        "round_compressed",
        control(Kind::Round),
        Body::Round { full: false },
    );
    let labels = Header {
        client: 3,
        ..Header::new(Kind::Labels, Dtype::None, 10, 5)
    };
    holds::<f32>("labels", labels, Body::Classes(&[9, 0, 3, 3, 8]));
    let key = Header {
        client: 3,
        ..Header::new(Kind::PublicKey, Dtype::None, 7, 4)
    };
    holds::<f32>("public_key", key, Body::Bytes(&[1, 2, 0xFE, 0xFF]));
    let seed = Header::new(Kind::SealedSeed, Dtype::None, 7, 5);
    holds::<f64>("sealed_seed", seed, Body::Bytes(b"seed!"));
    holds::<f32>("ack", client(Kind::Ack), Body::Empty);
    holds::<f32>("drop", client(Kind::Drop), Body::Empty);
    holds::<f64>("stop", control(Kind::Stop), Body::Empty);

    let header = |kind, d, k| Header {
        client: 3,
        ..Header::new(kind, Dtype::F32, d, k)
    };
    let values = [f32::from_bits(0x7FC0_0000), f32::NEG_INFINITY];
    let dense = Header {
        flags: ALLOW_NON_FINITE,
        ..header(Kind::Dense, 2, 2)
    };
    holds("non_finite", dense, Body::Values(&values));
    let one = Body::Sparse {
        indices: &[0],
        values: &[1.5_f32],
    };
    holds("sparse_one_coordinate", header(Kind::Sparse, 1, 1), one);
    holds::<f32>("perm_k_idle", header(Kind::PermK, 3, 0), Body::Values(&[]));
}

#[test]
fn every_golden_frame_is_read() {
    // 12 kinds in two precisions, three edge cases, five control frames.
    assert_eq!(GOLDEN.lines().count(), 45);
    for line in GOLDEN.lines() {
        let name = line.split(' ').next().unwrap();
        let any = Expect {
            non_finite: true,
            ..Expect::default()
        };
        assert!(decode(&golden(name), &any).is_ok(), "{name}");
    }
}

/// A frame that [`encode_into`] refuses, with the content of its payload put in by hand.
fn refuses(header: Header, payload: &[u8]) -> DecodeError {
    let mut out = vec![0; header.frame_len()];
    start(&header, &mut out).unwrap().copy_from_slice(payload);
    match seal(&mut out) {
        Err(EncodeError::Invalid(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_have_one_form_and_labels_stay_below_the_classes() {
    let row = |least: f32, largest: f32, fields: u8| {
        let [a, b, c, d] = least.to_le_bytes();
        let [e, f, g, h] = largest.to_le_bytes();
        vec![9, 0, 0, 0, a, b, c, d, e, f, g, h, 0b10, fields]
    };
    let kept = Kept { bits: 3, count: 1 };
    let header = Header::new(Kind::QuantisedJacobian, Dtype::F32, 4, kept.code());
    for (least, largest, fields, accepted) in [
        (1.0, 2.0, 0b1111, true),
        (2.0, 2.0, 0b1000, true),
        // Levels of an empty range, a negative magnitude, minus zero, a range upside down, padding.
        (2.0, 2.0, 0b0001, false),
        (-1.0, 2.0, 0, false),
        (-0.0, 2.0, 0, false),
        (2.0, 1.0, 0, false),
        (1.0, 2.0, 0b1_0000, false),
        (f32::NAN, 2.0, 0, false),
        (1.0, f32::INFINITY, 0, false),
    ] {
        let payload = row(least, largest, fields);
        let mut out = vec![0; header.frame_len()];
        start(&header, &mut out).unwrap().copy_from_slice(&payload);
        assert_eq!(
            seal(&mut out).is_ok(),
            accepted,
            "{least} {largest} {fields:b}"
        );
    }
    for bits in [0, 25, 31] {
        let header = Header {
            k: Kept { bits, count: 1 }.code(),
            ..header
        };
        assert!(matches!(
            start(&header, &mut [0; 99]),
            Err(EncodeError::Invalid(DecodeError::Count { .. }))
        ));
    }
    let labels = Header::new(Kind::Labels, Dtype::None, 10, 2);
    let error = DecodeError::IndexRange {
        position: 1,
        index: 10,
    };
    assert_eq!(refuses(labels, &[0xA0]), error);
    // With one class a label has no bits: four billion of them would fit an empty payload.
    let labels = Header {
        d: 1,
        k: u32::MAX,
        ..labels
    };
    let error = DecodeError::Count { d: 1, k: u32::MAX };
    assert_eq!(
        start(&labels, &mut [0; 99]),
        Err(EncodeError::Invalid(error))
    );
    // A product of counts that no frame can have.
    let logits = Header::new(Kind::Logits, Dtype::F64, u32::MAX, u32::MAX);
    let error = start(&logits, &mut [0; 99]).unwrap_err();
    assert!(matches!(
        error,
        EncodeError::Invalid(DecodeError::TooLong { .. })
    ));
}
