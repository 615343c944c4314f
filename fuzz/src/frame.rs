//! Frames of clients and server.

use thalweg::Real;
use thalweg::wire::{
    DecodeError, Dtype, Expect, Frame, HEADER, Kind, MINOR, Payload, crc32c, decode, frame_len,
};

/// What is decoded is written back byte for byte, with and without valid checks around the bytes.
pub fn check(bytes: &[u8]) {
    one(bytes);
    // A fuzzer does not guess two checksums: put them right, so that the rules behind them are reached.
    let mut mended = bytes.to_vec();
    if mended.len() >= HEADER + 4 {
        let end = mended.len() - 4;
        let header = crc32c(&mended[..HEADER - 4]).to_le_bytes();
        mended[HEADER - 4..HEADER].copy_from_slice(&header);
        let whole = [&mended[..HEADER - 4], &mended[HEADER..end]].concat();
        mended[end..].copy_from_slice(&crc32c(&whole).to_le_bytes());
        one(&mended);
    }
}

fn one(bytes: &[u8]) {
    let any = Expect {
        non_finite: true,
        ..Expect::default()
    };
    let Ok(frame) = decode(bytes, &any) else {
        return;
    };
    let header = frame.header;
    let head = bytes.first_chunk().expect("a frame has a header");
    assert_eq!(frame_len(head, bytes.len()), Ok(bytes.len()));
    assert!(frame_len(head, bytes.len() - 1).is_err());

    let mut written = vec![0xA5; header.frame_len()];
    assert_eq!(frame.encode_into(&mut written), Ok(written.len()));
    if frame.minor == MINOR {
        assert_eq!(written, bytes, "a frame has one form");
    } else {
        assert!(written.len() <= bytes.len(), "only a tail is lost");
    }

    let exact = Expect {
        kind: Some(header.kind),
        round: Some(header.round),
        client: Some(header.client),
        seed: Some(header.seed),
        d: Some(header.d),
        k: Some(header.k),
        dtype: Some(header.dtype),
        ..any
    };
    assert!(decode(bytes, &exact).is_ok());
    let (expected, found) = (!header.round, header.round);
    let stale = Expect {
        round: Some(expected),
        ..exact
    };
    assert_eq!(
        decode(bytes, &stale).unwrap_err(),
        DecodeError::WrongRound { expected, found }
    );

    match header.dtype {
        Dtype::F64 => contents::<f64>(&frame),
        _ => contents::<f32>(&frame),
    }
}

fn contents<T: Real>(frame: &Frame<'_>) {
    let (d, k) = (frame.header.d, frame.header.k);
    let finite = |x: T| frame.header.flags != 0 || x.is_finite();
    match frame.payload::<T>().expect("its own type") {
        Payload::Values(values) => {
            let expected = match frame.header.kind {
                Kind::Jacobian | Kind::Candidate => d as usize,
                Kind::Logits => d as usize * k as usize,
                _ => k as usize,
            };
            assert_eq!(values.iter().count(), expected);
            assert!(values.iter().all(finite));
        }
        Payload::Sparse { indices, values } => {
            let indices: Vec<u32> = indices.iter().collect();
            assert_eq!((indices.len(), values.len()), (k as usize, k as usize));
            assert!(indices.iter().all(|&i| i < d) && indices.is_sorted_by(|a, b| a < b));
            assert!(values.iter().all(finite));
        }
        Payload::Natural(values) => {
            assert_eq!(values.iter().count(), d as usize);
            assert!(values.iter().all(finite));
        }
        Payload::Sign { scale, signs } => {
            assert_eq!(signs.iter().count(), d as usize);
            assert!(finite(scale));
        }
        Payload::Dithered { norm, levels } => {
            assert_eq!(levels.iter().count(), d as usize);
            assert!(levels.iter().all(|level| level.unsigned_abs() <= k));
            assert!(finite(norm));
        }
        Payload::Quantised(row) => {
            let [least, largest] = row.range;
            assert!(row.iter().count() == row.len() && T::ZERO <= least && least <= largest);
            assert!(
                row.iter()
                    .all(|(i, x)| i < d && least <= x.abs() && x.abs() <= largest)
            );
        }
        Payload::Classes(classes) => {
            assert_eq!(classes.iter().count(), k as usize);
            assert!(classes.iter().all(|class| class < d));
        }
        Payload::Bytes(bytes) => assert_eq!(bytes.len(), k as usize),
        _ => {}
    }
}
