//! Feeds the committed fuzz seeds, and each of them with every byte changed, to the checks of the fuzz targets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failed check is a failed test"
)]
#![allow(unreachable_pub, reason = "`checks` is a library in the fuzz crate")]

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/lib.rs"]
mod checks;

/// Changes that turn digits into other digits, signs, separators, line ends, high bytes.
const FLIPS: [u8; 8] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80];

/// Seeds stay small, so that this test stays quick.
const LONGEST: usize = 600;

fn feed(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/seeds")
        .join(target);
    let mut seeds = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        assert!(
            bytes.len() <= LONGEST,
            "{}: seeds are small",
            path.display()
        );
        seeds += 1;
        check(&bytes);
        for i in 0..bytes.len() {
            check(&bytes[..i]);
            for flip in FLIPS {
                bytes[i] ^= flip;
                check(&bytes);
                bytes[i] ^= flip;
            }
        }
    }
    assert!(seeds >= 3, "{}: {seeds} seeds", folder.display());
}

#[test]
fn idx_files_give_a_consistent_array_or_an_error() {
    feed("idx", checks::idx::check);
}

#[test]
fn libsvm_files_give_a_consistent_set_or_an_error() {
    feed("libsvm", checks::libsvm::check);
}

#[test]
fn csv_files_give_a_consistent_set_or_an_error() {
    feed("csv", checks::csv::check);
}

#[test]
fn frames_are_refused_or_have_one_form() {
    feed("frame", checks::frame::check);
}

#[test]
fn saved_states_are_refused_or_have_one_form() {
    feed("snapshot", checks::snapshot::check);
}

#[test]
fn a_stream_gives_the_same_frames_however_it_is_cut() {
    feed("stream", checks::stream::check);
}

#[test]
fn protocols_survive_any_sequence_of_frames() {
    feed("server", checks::server::check);
}

#[test]
fn hostile_numbers_in_saved_states_are_refused_or_harmless() {
    feed("restore", checks::restore::check);
}

#[test]
fn tensor_files_are_refused_or_survive_being_written() {
    feed("tensors", checks::tensors::check);
}
