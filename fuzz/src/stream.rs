//! Frames in a stream of bytes.

use thalweg::wire::{Deframer, Expect, HEADER, crc32c, decode};

/// Buffer of the deframer; frames of the seeds fit.
const BUFFER: usize = 640;

/// The same frames come out however the bytes are cut, and a frame behind the bytes is found.
pub fn check(bytes: &[u8]) {
    one(bytes);
    // A fuzzer does not guess two checksums: put them right, so that whole frames occur.
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
    let whole = frames(bytes, BUFFER);
    for piece in [1, 7, 49] {
        assert_eq!(frames(bytes, piece), whole, "pieces of {piece}");
    }
    // Stop, round 0, seed 0, d = 1: whatever stands before it, it is found once the line is silent.
    let mut stop = [0; HEADER + 4];
    let header =
        thalweg::wire::Header::new(thalweg::wire::Kind::Stop, thalweg::wire::Dtype::None, 1, 0);
    thalweg::wire::encode_into(&header, &thalweg::wire::Body::<f32>::Empty, &mut stop)
        .expect("room");
    let found = frames(&[bytes, &stop].concat(), BUFFER);
    let hidden = found
        .iter()
        .any(|frame| frame.windows(stop.len()).any(|part| part == stop));
    assert!(hidden, "the frame behind the bytes is lost");
}

fn frames(mut bytes: &[u8], piece: usize) -> Vec<Vec<u8>> {
    let mut memory = [0; BUFFER];
    let mut deframer = Deframer::new(&mut memory[..]);
    let (mut found, mut taken) = (Vec::new(), 0);
    while !bytes.is_empty() {
        let space = deframer.space();
        let n = piece.min(space.len()).min(bytes.len());
        assert!(n > 0, "no room though every frame was taken");
        space[..n].copy_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
        taken += n;
        deframer.filled(n);
        drain(&mut deframer, &mut found);
    }
    while deframer.expire() {
        drain(&mut deframer, &mut found);
    }
    let lent: usize = found.iter().map(Vec::len).sum();
    assert_eq!(
        lent as u64 + deframer.skipped(),
        taken as u64,
        "every byte is in a frame or skipped"
    );
    found
}

fn drain(deframer: &mut Deframer<&mut [u8]>, found: &mut Vec<Vec<u8>>) {
    while let Some(frame) = deframer.next() {
        let Ok(frame) = frame else {
            continue;
        };
        assert!(frame.len() <= BUFFER);
        // Checks and length are right: what is left to refuse is the content.
        if let Err(error) = decode(frame, &Expect::default()) {
            assert!(
                !matches!(error, thalweg::wire::DecodeError::Crc { .. }),
                "{error}"
            );
        }
        found.push(frame.to_vec());
    }
}
