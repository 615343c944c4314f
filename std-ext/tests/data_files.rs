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

fn array(rank: u8, dimensions: &[u8], bytes: &[u8]) -> Vec<u8> {
    let sizes = dimensions.iter().flat_map(|&size| [0, 0, 0, size]);
    [0, 0, 8, rank]
        .into_iter()
        .chain(sizes)
        .chain(bytes.iter().copied())
        .collect()
}

/// As MNIST is distributed by several mirrors, and EMNIST by its authors.
#[test]
fn files_have_the_names_of_mirrors_and_relatives() {
    let folder = folder("names");
    let limits = Limits::default();
    let put = |path: String, bytes: &[u8]| {
        let bytes = if path.ends_with(".gz") {
            gzip(bytes)
        } else {
            bytes.to_vec()
        };
        fs::write(folder.join(path), bytes).unwrap();
    };
    let set = |prefix: &str, test: &str, mark: &str, end: &str, pixel: u8| {
        for (part, label) in [("train", 3), (test, 3)] {
            let name = |rest: &str| format!("{prefix}{part}-{rest}-ubyte{end}");
            put(
                name(&format!("images{mark}idx3")),
                &array(3, &[1, 1, 2], &[pixel, 0]),
            );
            put(
                name(&format!("labels{mark}idx1")),
                &array(1, &[1], &[label]),
            );
        }
    };
    set("emnist-letters-", "test", "-", ".gz", 1);
    let (train, test) = idx::read_folder(&folder, &limits).unwrap();
    assert_eq!(
        (train.features(), test.features()),
        (&[1.0, 0.0][..], &[1.0, 0.0][..])
    );
    assert_eq!(test.class_names(), ["3"]);

    set("emnist-digits-", "test", "-", "", 2);
    let at = folder.display();
    assert_eq!(
        idx::read_folder(&folder, &limits).unwrap_err().to_string(),
        format!(
            "{at}: several sets, `emnist-digits`, `emnist-letters`; name one of them to `idx::read_set`"
        )
    );
    for (name, pixel) in [
        ("emnist-letters", 1.0),
        ("emnist-digits", 2.0),
        ("emnist-digits-", 2.0),
    ] {
        let (train, _) = idx::read_set(&folder, name, &limits).unwrap();
        assert_eq!(train.features()[0], pixel);
    }
    assert_eq!(
        idx::read_set(&folder, "emnist-byclass", &limits)
            .unwrap_err()
            .to_string(),
        format!(
            "{at}: no file `emnist-byclass-train-images-idx3-ubyte`, with a dot or `.gz` or without; \
             it has `emnist-digits`, `emnist-letters`"
        )
    );

    // Unnamed files come first; some mirrors have a folder of the same name next to the file with a dot.
    fs::create_dir(folder.join("train-images-idx3-ubyte")).unwrap();
    set("", "t10k", ".", "", 7);
    let (train, test) = idx::read_folder(&folder, &limits).unwrap();
    assert_eq!((train.features()[0], test.features()[0]), (7.0, 7.0));
    assert_eq!(idx::read_set(&folder, "", &limits).unwrap().0, train);
}

/// gzip(1) 1.12: zeros at the end are left out silently, other bytes with a warning. Python 3.11: zeros also between members.
#[test]
fn gzip_with_zero_padding_is_read() {
    let zeros = |count| vec![0; count];
    for padding in [1, 100, 100_000] {
        let text = [
            gzip(b"1,2,a\n"),
            zeros(padding),
            gzip(b"3,4,b\n"),
            zeros(padding),
        ]
        .concat();
        let data = csv::read(&text[..], "t", &csv::Options::default()).unwrap();
        assert_eq!(data.features(), [1.0, 2.0, 3.0, 4.0]);
        let text = [gzip(b"1 1:1\n"), zeros(padding)].concat();
        let data = libsvm::read(&text[..], "t", &libsvm::Options::default()).unwrap();
        assert_eq!(data.features.rows(), 1);
        let file = [gzip(&array(1, &[2], &[5, 6])), zeros(padding)].concat();
        assert_eq!(
            idx::read(&file[..], "t", &Limits::default())
                .unwrap()
                .bytes(),
            [5, 6]
        );
    }
    // Padding is bytes too: an endless one meets the cap.
    let limits = Limits {
        bytes: 10,
        ..Limits::default()
    };
    let packed = gzip(&array(1, &[1], &[5]));
    let endless = std::io::Read::chain(&packed[..], std::io::repeat(0));
    let error = idx::read(endless, "t", &limits).unwrap_err();
    assert!(
        matches!(error, DataError::Limit { field: "bytes", .. }),
        "{error}"
    );
}

#[test]
fn other_bytes_behind_gzip_are_no_damage() {
    let whole = gzip(b"1,2,a\n");
    for (tail, found) in [
        (&b"x"[..], "x"),
        (b"\0\0<html>", "<html>"),
        (b"\x1f\x8c padding padding", "\\x1f..."),
    ] {
        let text = [&whole, tail].concat();
        let expected = format!(
            "t at byte 6: all data was read and its check sums agree, but what follows the gzip stream is not gzip: `{found}`; \
             cut it off, for instance with `gzip -dc`, which warns and leaves it out"
        );
        let error = csv::read(&text[..], "t", &csv::Options::default()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    // A member that is cut is damage, the first and the second.
    for cut in 1..whole.len() {
        let error = csv::read(&whole[..cut], "t", &csv::Options::default()).unwrap_err();
        let is_named = cut == 1 || matches!(error, DataError::Gzip { .. });
        assert!(is_named, "{cut}: {error}");
        let text = [&whole[..], &[0; 3], &whole[..cut]].concat();
        let error = csv::read(&text[..], "t", &csv::Options::default()).unwrap_err();
        assert!(matches!(error, DataError::Gzip { .. }), "{cut}: {error}");
    }
    let mut damaged = [whole.clone(), whole.clone()].concat();
    let last = damaged.len() - 8;
    damaged[last] ^= 1;
    let error = csv::read(&damaged[..], "t", &csv::Options::default()).unwrap_err();
    assert!(matches!(error, DataError::Gzip { .. }), "{error}");
}

/// Both readers of text name what the bytes are.
#[test]
fn encodings_packed_files_and_stray_bytes_are_named() {
    const TEXT: &str = "1,2,a\n3,4,b\n";
    let wide = |encode: fn(u16) -> [u8; 2], mark: &str| -> Vec<u8> {
        format!("{mark}{TEXT}")
            .encode_utf16()
            .flat_map(encode)
            .collect()
    };
    let little = wide(u16::to_le_bytes, "\u{feff}");
    let big = wide(u16::to_be_bytes, "\u{feff}");
    let utf32: Vec<u8> = "\u{feff}1,2"
        .chars()
        .flat_map(|c| u32::from(c).to_le_bytes())
        .collect();
    for (bytes, expected) in [
        (
            &little[..],
            "t: the text is UTF-16, little-endian; convert it: `iconv -f UTF-16 -t UTF-8`",
        ),
        (
            &big,
            "t: the text is UTF-16, big-endian; convert it: `iconv -f UTF-16 -t UTF-8`",
        ),
        (
            &little[2..],
            "t:1:2: zero bytes as in UTF-16, little-endian; convert it: `iconv -f UTF-16LE -t UTF-8`",
        ),
        (
            &big[2..],
            "t:1:1: zero bytes as in UTF-16, big-endian; convert it: `iconv -f UTF-16BE -t UTF-8`",
        ),
        // An empty line first: the zeros of the second tell the order by their place in the file.
        (
            b"\n\x001\0,\x002\0,\0a\0\n\0",
            "t:2:1: zero bytes as in UTF-16, little-endian; convert it: `iconv -f UTF-16LE -t UTF-8`",
        ),
        (
            &utf32,
            "t: the text is UTF-32, little-endian; convert it: `iconv -f UTF-32 -t UTF-8`",
        ),
        (
            b"PK\x03\x04\x14\0",
            "t: a zip archive or a workbook; unpack it: `unzip`; save a sheet of a workbook as CSV",
        ),
        (b"BZh91AY&SY\0", "t: a bzip2 file; unpack it: `bunzip2`"),
        (b"\xfd7zXZ\0", "t: an xz file; unpack it: `unxz`"),
        (
            b"<!doctype html>\n",
            "t: a web page; fetch the file itself, not the page that shows it",
        ),
        (
            b"1 1:1\n\x1a",
            "t:2:1: the byte \\x1a, Ctrl-Z, which ended files under CP/M and DOS; cut it off: `tr -d '\\032'`",
        ),
        (
            b"1 1:1\n2 1:1\0\0\0",
            "t:2:6: the byte \\x00, NUL, which text does not have; \
             cut padding off: `tr -d '\\000'`; a file with more of them is not text",
        ),
        (
            b"1 1:1\n\0",
            "t:2:1: the byte \\x00, NUL, which text does not have; \
             cut padding off: `tr -d '\\000'`; a file with more of them is not text",
        ),
    ] {
        let options = csv::Options {
            label: csv::Label::Absent,
            header: csv::Header::Present,
            ..csv::Options::default()
        };
        let options = csv::Options {
            delimiter: if bytes.contains(&b',') { b',' } else { b' ' },
            ..options
        };
        let error = csv::read(bytes, "t", &options).unwrap_err();
        assert_eq!(error.to_string(), expected);
        let error = libsvm::read(bytes, "t", &libsvm::Options::default()).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let marked = format!("\u{feff}{TEXT}");
    for bytes in [marked.as_bytes(), &gzip(marked.as_bytes())] {
        let data = csv::read(bytes, "t", &csv::Options::default()).unwrap();
        assert_eq!(data.features(), [1.0, 2.0, 3.0, 4.0]);
    }
    let data = libsvm::read(
        "\u{feff}1 1:1\n".as_bytes(),
        "t",
        &libsvm::Options::default(),
    )
    .unwrap();
    assert_eq!(data.features.rows(), 1);
    // Packed twice, and an archive in place of IDX.
    let error = csv::read(&gzip(&gzip(b"1,a\n"))[..], "t", &csv::Options::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "t: a gzip file within a gzip file; unpack it once: `gunzip`"
    );
    let error = idx::read(&b"PK\x03\x04\x14\0"[..], "t", &Limits::default()).unwrap_err();
    assert!(error.to_string().starts_with("t: a zip archive"), "{error}");
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
