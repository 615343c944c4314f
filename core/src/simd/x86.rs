//! x86-64: SSE2 always, AVX2 with FMA and AVX-512 after detection.

pub(super) mod avx2;
pub(super) mod avx512;
pub(super) mod sse2;
