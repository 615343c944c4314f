//! x86-64: SSE2 always, AVX2 with FMA and AVX-512 after detection.

#[cfg(not(thalweg_levels = "baseline"))]
pub(super) mod avx2;
#[cfg(not(thalweg_levels = "baseline"))]
pub(super) mod avx512;
pub(super) mod sse2;
