#![no_main]

#[path = "../src/bytes.rs"]
mod bytes;
#[path = "../src/c_api.rs"]
mod c_api;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| c_api::check(bytes));
