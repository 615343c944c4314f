//! Hashes of the cases, from `cargo run --bin same_bits -- --print`.

/// One number a case, in order.
#[rustfmt::skip]
pub const EXPECTED: &[u64] = &[
    0xc2a29f8d87368978, // vector f32
    0xf9dfccdcfe9a5754, // vector f64
];
