//! One check for each fuzz target: what must hold whatever the bytes are.
//!
//! The fuzzer and the stable test `std-ext/tests/fuzz_seeds.rs` call the same functions; a check panics when it
//! fails. `c_api.rs` needs the C interface: its target and `examples/c/tests/fuzz_seeds.rs` include it by its path. Seeds stand
//! in `seeds/<target>`. Run one with `cargo +nightly fuzz run idx fuzz/corpus/idx fuzz/seeds/idx -- -max_total_time=60`.

pub mod bytes;
pub mod csv;
pub mod frame;
pub mod idx;
pub mod libsvm;
pub mod restore;
pub mod server;
pub mod snapshot;
pub mod stream;
pub mod tensors;
