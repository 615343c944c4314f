//! Readers on paths: folders, gzip under any name, paths that are not there or not files.

#![allow(clippy::unwrap_used, reason = "a failed read is a failed test")]

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use flate2::{Compression, write::GzEncoder};
use thalweg_std::data::{DataError, Limits, csv, idx, libsvm};

/// An empty folder of this name.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_folder_gives_training_and_test_set_with_the_same_classes() {
    let folder = folder("mnist");
    let images = |n: u8| {
        [
            &[0, 0, 8, 3, 0, 0, 0, n, 0, 0, 0, 1, 0, 0, 0, 2],
            &[n; 8][..2 * n as usize],
        ]
        .concat()
    };
    let labels = |labels: &[u8]| [&[0, 0, 8, 1, 0, 0, 0, labels.len() as u8], labels].concat();
    let write = |name: &str, bytes: Vec<u8>| fs::write(folder.join(name), bytes).unwrap();
    write("train-images-idx3-ubyte", images(3));
    write("train-labels-idx1-ubyte.gz", gzip(&labels(&[4, 0, 9])));
    write("t10k-images-idx3-ubyte.gz", gzip(&images(2)));
    let error = idx::read_folder(&folder, &Limits::default()).unwrap_err();
    assert!(
        matches!(&error, DataError::Open { path, .. } if path.ends_with("t10k-labels-idx1-ubyte"))
    );

    write("t10k-labels-idx1-ubyte", labels(&[9, 4]));
    let (train, test) = idx::read_folder(&folder, &Limits::default()).unwrap();
    assert_eq!((train.rows(), train.columns()), (3, 2));
    assert_eq!(train.labels(), [1, 0, 2]);
    assert_eq!(test.labels(), [2, 1]);
    assert_eq!(test.features(), [2.0; 4]);

    write("t10k-labels-idx1-ubyte", labels(&[9, 5]));
    let error = idx::read_folder(&folder, &Limits::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "row 1: label `5` is not one of the training set's classes"
    );
}

#[test]
fn gzip_is_known_by_its_content() {
    let folder = folder("gzip");
    fs::write(folder.join("plain.gz"), "1,2,a\n").unwrap();
    fs::write(folder.join("packed.csv"), gzip(b"1,2,a\n")).unwrap();
    let options = csv::Options::default();
    let plain = csv::read_path(folder.join("plain.gz"), &options).unwrap();
    assert_eq!(
        csv::read_path(folder.join("packed.csv"), &options).unwrap(),
        plain
    );
}

#[test]
fn errors_begin_with_the_path() {
    let folder = folder("errors");
    let path = folder.join("a9a");
    fs::write(&path, "1 1:1\n1 2:x\n").unwrap();
    let error = libsvm::read_path(&path, &libsvm::Options::default())
        .unwrap_err()
        .to_string();
    let expected = format!(
        "{}:2:3: found value `x`, expected a finite number",
        path.display()
    );
    assert_eq!(error, expected);

    let missing = folder.join("missing");
    let error = csv::read_path(&missing, &csv::Options::default()).unwrap_err();
    assert!(matches!(error, DataError::Open { .. }));
    assert!(
        error
            .to_string()
            .starts_with(&format!("{}: cannot open: ", missing.display()))
    );

    // Opens on some systems, reads on none.
    let error = idx::read_path(&folder, &Limits::default()).unwrap_err();
    assert!(
        matches!(error, DataError::Open { .. } | DataError::Read { .. }),
        "{error}"
    );
}
