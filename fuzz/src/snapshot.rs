//! Saved states.

use thalweg::snapshot::{Field, Reader, Writer};
use thalweg::wire::crc32c;

const LAYOUT: [Field; 3] = [Field::U64, Field::reals::<f32>(3), Field::words::<u16>(2)];

/// What is read is written back byte for byte, with and without a valid check behind the bytes.
pub fn check(bytes: &[u8]) {
    one(bytes);
    let mut mended = bytes.to_vec();
    if let Some(end) = mended.len().checked_sub(4) {
        let crc = crc32c(&mended[..end]).to_le_bytes();
        mended[end..].copy_from_slice(&crc);
        one(&mended);
    }
}

fn one(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(bytes, *b"FUZZ", 1, &LAYOUT) else {
        return;
    };
    let step = reader.u64().expect("checked against the layout");
    let (mut reals, mut words) = ([0.0_f32; 3], [0_u16; 2]);
    reader
        .slice_into(&mut reals)
        .expect("checked against the layout");
    reader
        .words_into(&mut words)
        .expect("checked against the layout");
    reader.finish().expect("checked against the layout");

    let mut written = vec![0xA5; bytes.len()];
    let mut writer = Writer::new(&mut written, *b"FUZZ", 1).expect("room");
    writer.u64(step).expect("room");
    writer.slice(&reals).expect("room");
    writer.words(&words).expect("room");
    assert_eq!(writer.finish(), Ok(bytes.len()));
    assert_eq!(written, bytes, "a state has one form");
}
