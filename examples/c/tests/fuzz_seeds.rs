//! Feeds the committed seeds of the fuzz target `c_api`, and each of them with every byte changed, to its check.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a failed check is a failed test"
)]
#![allow(unreachable_pub, reason = "the check is a library of the fuzz target")]

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/src/bytes.rs"]
mod bytes;
#[path = "../../../fuzz/src/c_api.rs"]
mod c_api;

#[test]
fn calls_with_hostile_arguments_write_what_they_say_or_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/c_api");
    let mut seeds = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let mut bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(bytes.len() <= 600, "seeds are small");
        seeds += 1;
        c_api::check(&bytes);
        for i in 0..bytes.len() {
            c_api::check(&bytes[..i]);
            for change in 1..=u8::MAX {
                bytes[i] ^= change;
                c_api::check(&bytes);
                bytes[i] ^= change;
            }
        }
    }
    assert!(seeds >= 3, "{seeds} seeds");
}
