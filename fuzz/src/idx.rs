//! IDX arrays and their join with labels.

use thalweg_std::data::{Limits, idx};

/// What is accepted has as many bytes as its dimensions say, and is written back byte for byte.
pub fn check(bytes: &[u8]) {
    let limits = Limits {
        bytes: 1 << 16,
        values: 1 << 16,
        ..Limits::default()
    };
    let Ok(array) = idx::read(bytes, "fuzz", &limits) else {
        return;
    };
    let size: usize = array
        .dimensions()
        .iter()
        .map(|&size| size as usize)
        .product();
    assert_eq!(array.bytes().len(), size);
    assert!(size <= limits.values);

    let mut written = Vec::new();
    idx::write(&array, &mut written).expect("a vector takes all");
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        assert_eq!(written, bytes, "plain files have one form");
    }
    assert_eq!(
        idx::read(&written[..], "fuzz", &limits).expect("own output"),
        array
    );

    // An array of rank 1 is labels: of itself as one-pixel images.
    match idx::dataset(&array, &array) {
        Ok(data) => {
            assert_eq!(array.dimensions().len(), 1);
            for (i, &byte) in array.bytes().iter().enumerate() {
                let name = &data.class_names()[data.labels()[i] as usize];
                assert_eq!(*name, byte.to_string());
            }
        }
        Err(_) => assert_ne!(array.dimensions().len(), 1),
    }
}
