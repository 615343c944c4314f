//! Hashes of the cases, from `cargo run --bin same_bits -- --print`.

/// One number a case, in order.
#[rustfmt::skip]
pub const EXPECTED: &[u64] = &[
    0xc2a29f8d87368978, // vector f32
    0xf9dfccdcfe9a5754, // vector f64
    0x91f5678742caab2a, // math f32
    0x8aa4796c4466d878, // math f64
    0x18eff5b9408e12af, // gemm f32
    0xa12a1107df2f0391, // gemm f64
    0x4c52fe79be1f00e3, // random
    0x4229efb088a51229, // optim f32
    0x8be847e9de51ce28, // optim f64
    0xf82f6c3c441b1c83, // marina and perm_k
    0xe07d37a1021be5e7, // marina and rand_k
    0x0c8896a1f14d6a2c, // ef21 and top_k
];
