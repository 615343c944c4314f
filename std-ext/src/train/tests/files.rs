//! Files: by another hand, damaged, of other tools, and when the process is killed.

use super::*;

use std::fs;
use std::path::PathBuf;

fn small() -> (Trainer<f32>, Vec<u8>) {
    let groups = [Group::new("all", Optimiser::adamw())];
    let tensors = [Tensor::new("w", &[2], "all"), Tensor::new("b", &[], "all")];
    let mut trainer = Trainer::new(&groups, &tensors).unwrap();
    let mut x = [1.0, 2.0, 3.0];
    trainer.step(&mut x, &[0.5, -0.5, 1.0]).unwrap();
    let bytes = trainer.checkpoint(&x, &[("seed", 7)]).unwrap().to_bytes();
    (trainer, bytes)
}

#[test]
fn every_torn_length_and_every_flipped_bit_is_refused() {
    let (_, mut bytes) = small();
    assert!(TensorFile::from_bytes(&bytes, "small").is_ok());
    for len in 0..bytes.len() {
        let error = TensorFile::from_bytes(&bytes[..len], "small").unwrap_err();
        assert!(error.to_string().starts_with("small at byte "), "{error}");
    }
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let found = TensorFile::from_bytes(&bytes, "small");
            assert!(found.is_err(), "byte {at}, bit {bit}");
            bytes[at] ^= 1 << bit;
        }
    }
    bytes.push(0);
    assert!(TensorFile::from_bytes(&bytes, "small").is_err());
}

/// Files by another hand, from `tests.py`.
fn golden(name: &str) -> Vec<u8> {
    let lines = include_str!("../tests.txt").lines();
    let hex = lines
        .filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
        .next()
        .unwrap();
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

#[test]
fn files_have_the_bytes_of_an_independent_writer_and_those_of_the_library_are_read() {
    let mut file = TensorFile::new();
    file.set("format", "pt");
    file.set("quote", "\"\n");
    file.push("w", &[2, 1], &[1.0_f32, -0.0]).unwrap();
    file.push("b", &[], &[0.5_f64]).unwrap();
    file.push_bytes("s", &[1, 2, 3]).unwrap();
    assert_eq!(file.to_bytes(), golden("ours"));
    for name in ["ours", "theirs"] {
        let read = TensorFile::from_bytes(&golden(name), name).unwrap();
        assert_eq!(
            bits(&read.values::<f32>("w").unwrap()),
            [0x3F80_0000, 0x8000_0000]
        );
        assert_eq!(read.values::<f64>("b").unwrap(), [0.5]);
        assert_eq!(read.bytes("s").unwrap(), [1, 2, 3]);
        assert_eq!(read.shape("w"), Some(&[2, 1][..]));
        assert_eq!(read.metadata("format"), Some("pt"));
    }
}

/// A file of another tool: no check, its own order and spacing.
fn foreign(header: &str, data: usize) -> Result<TensorFile, TrainError> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend_from_slice(header.as_bytes());
    bytes.resize(bytes.len() + data, 1);
    TensorFile::from_bytes(&bytes, "foreign")
}

#[test]
fn files_of_other_tools_are_read_and_their_lies_are_not() {
    let file = foreign(
        r#"{"b":{"dtype":"BF16","shape":[3],"data_offsets":[4,10]}, "a":{"shape":[1],"data_offsets":[0,4],"dtype":"F32"},"c":{"dtype":"I64","shape":[0],"data_offsets":[10,10]}}"#,
        10,
    )
    .unwrap();
    assert_eq!(file.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(
        file.values::<f32>("a").unwrap(),
        [f32::from_bits(0x0101_0101)]
    );
    let error = file.values::<f32>("b").unwrap_err();
    assert_eq!(
        error.to_string(),
        "foreign: tensor `b`: found BF16, expected F32"
    );
    let tensor = |shape: &str, begin: usize, end: usize| {
        format!(r#"{{"dtype":"F32","shape":{shape},"data_offsets":[{begin},{end}]}}"#)
    };
    let huge = format!("[{},{}]", usize::MAX, 4);
    for (header, data, word) in [
        (
            format!(r#"{{"a":{}}}"#, tensor("[2]", 0, 4)),
            4,
            "has 4 bytes",
        ),
        (
            format!(r#"{{"a":{}}}"#, tensor("[1]", 0, 4)),
            5,
            "belong to no tensor",
        ),
        (
            format!(r#"{{"a":{}}}"#, tensor("[1]", 4, 8)),
            8,
            "expected a range from 0",
        ),
        (
            format!(r#"{{"a":{}}}"#, tensor("[1]", 4, 0)),
            4,
            "expected a range from 0",
        ),
        (format!(r#"{{"a":{}}}"#, tensor("[2]", 0, 8)), 4, "within 4"),
        (
            format!(r#"{{"a":{}}}"#, tensor(&huge, 0, 4)),
            4,
            "has 4 bytes",
        ),
        (
            format!(
                r#"{{"a":{},"b":{}}}"#,
                tensor("[1]", 0, 4),
                tensor("[1]", 0, 4)
            ),
            4,
            "expected a range from 4",
        ),
        (
            format!(
                r#"{{"a":{},"a":{}}}"#,
                tensor("[1]", 0, 4),
                tensor("[1]", 4, 8)
            ),
            8,
            "second tensor named `a`",
        ),
        (
            r#"{"a":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}"#.to_owned(),
            1,
            "unknown type `F4`",
        ),
        (
            r#"{"__metadata__":{"thalweg.crc32c":"00000000"}}"#.to_owned(),
            0,
            "is damaged",
        ),
        (
            r#"{"__metadata__":{"a":"","thalweg.crc32c":"00000000"}}"#.to_owned(),
            0,
            "not the first entry",
        ),
        (
            r#"{"__metadata__":{"thalweg.file":"1"}}"#.to_owned(),
            0,
            "not the first entry",
        ),
    ] {
        let error = foreign(&header, data).unwrap_err().to_string();
        assert!(error.contains(word), "{header}: {error}");
    }
    // Lengths that no memory is taken for.
    for len in [u64::MAX, 100_000_001, 100_000_000] {
        let error = TensorFile::from_bytes(&len.to_le_bytes(), "foreign").unwrap_err();
        assert!(
            error.to_string().starts_with("foreign at byte 0"),
            "{error}"
        );
    }
}

/// A folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("thalweg-train-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_file_is_replaced_as_a_whole_or_not_at_all() {
    let folder = folder("replace");
    let path = folder.join("model.safetensors");
    let (trainer, _) = small();
    let mut params = [0.0; 3];
    trainer.save(&path, &[1.0, 2.0, 3.0], &[]).unwrap();
    trainer
        .save(&path, &[4.0, 5.0, 6.0], &[("seed", 9)])
        .unwrap();
    let (mut other, _) = small();
    assert_eq!(other.load(&path, &mut params).unwrap()["seed"], 9);
    assert_eq!(params, [4.0, 5.0, 6.0]);
    // What cannot be written leaves the old file, and nothing next to it.
    assert!(trainer.save(&path, &[0.0; 2], &[]).is_err());
    assert!(trainer.save(&folder, &params, &[]).is_err());
    let missing = folder.join("missing").join("model");
    let error = trainer.save(&missing, &params, &[]).unwrap_err();
    assert!(error.to_string().contains("cannot write"), "{error}");
    let error = other.load(&missing, &mut params).unwrap_err();
    assert!(error.to_string().contains("cannot read"), "{error}");
    assert!(other.load(&folder, &mut params).is_err());
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
    other.load(&path, &mut params).unwrap();
    #[cfg(unix)]
    {
        // A link stays one, and permissions stay.
        use std::os::unix::fs::{PermissionsExt, symlink};
        let link = folder.join("latest");
        symlink(&path, &link).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        trainer.save(&link, &[7.0, 8.0, 9.0], &[]).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        other.load(&path, &mut params).unwrap();
        assert_eq!(params, [7.0, 8.0, 9.0]);
    }
    fs::remove_dir_all(&folder).unwrap();
}

/// Names the file that the program of the test below writes again and again.
const KILLED: &str = "THALWEG_TRAIN_KILLED";

/// Parameters of one value, large enough that writing them takes a while.
fn uniform(value: f32) -> TensorFile {
    let mut file = TensorFile::new();
    file.push("w", &[1 << 18], &vec![value; 1 << 18]).unwrap();
    file
}

#[test]
fn saves_until_it_is_killed() {
    let Some(path) = std::env::var_os(KILLED) else {
        return;
    };
    for value in [2.0, 3.0].into_iter().cycle() {
        uniform(value).write(&path).unwrap();
    }
}

#[test]
fn a_killed_process_leaves_the_old_file_or_the_new_one() {
    let folder = folder("killed");
    let path = folder.join("model.safetensors");
    uniform(1.0).write(&path).unwrap();
    for pause in [1, 5, 20, 60, 120, 200] {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "train::tests::files::saves_until_it_is_killed"])
            .env(KILLED, &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause));
        // It ends by itself only if it does not write at all.
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none() || pause < 60, "{ended:?}");
        child.kill().unwrap();
        child.wait().unwrap();
        let values = TensorFile::read(&path).unwrap().values::<f32>("w").unwrap();
        assert!(values.iter().all(|v| *v == values[0]), "{pause}");
    }
    fs::remove_dir_all(&folder).unwrap();
}
