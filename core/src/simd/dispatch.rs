//! Which instruction set a kernel runs on.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "operations on lanes, and counts of lanes that divide 32"
)]
#![allow(
    unsafe_code,
    reason = "calls of functions with target features, after detection"
)]

use core::sync::atomic::{AtomicU8, Ordering};

use super::{Scalar, Simd};

/// An instruction set, in order of width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Level {
    /// No SIMD.
    Scalar,
    /// x86-64 with SSE2, all but soft-float targets: 128 bits.
    Sse2,
    /// AArch64: 128 bits.
    Neon,
    /// WebAssembly: 128 bits.
    Simd128,
    /// x86-64 with AVX2 and FMA: 256 bits.
    Avx2,
    /// x86-64 with AVX-512 f, vl, bw, dq: 512 bits.
    Avx512,
}

impl Level {
    /// All levels, narrowest first.
    pub const ALL: [Self; 6] = [
        Self::Scalar,
        Self::Sse2,
        Self::Neon,
        Self::Simd128,
        Self::Avx2,
        Self::Avx512,
    ];

    /// This machine can run the level.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            Self::Sse2 => cfg!(all(target_arch = "x86_64", target_feature = "sse2")),
            Self::Neon => cfg!(target_arch = "aarch64"),
            Self::Simd128 => cfg!(all(target_arch = "wasm32", target_feature = "simd128")),
            Self::Avx2 => has_avx2(),
            Self::Avx512 => has_avx512(),
        }
    }
}

/// A computation that is generic over the instruction set.
pub trait Kernel {
    /// What it returns.
    type Output;
    /// Runs with the lanes of one instruction set; to be marked `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// Level forced by [`force`] plus one; zero when none is.
static FORCED: AtomicU8 = AtomicU8::new(0);

/// Makes [`dispatch`] use one level, or the best one again with `None`; for tests and benches.
///
/// Results do not depend on the level, so a concurrent kernel is not disturbed. Returns whether the machine
/// has the level; if not, nothing changes.
#[doc(hidden)]
pub fn force(level: Option<Level>) -> bool {
    match level {
        None => FORCED.store(0, Ordering::Relaxed),
        Some(level) if level.is_available() => FORCED.store(level as u8 + 1, Ordering::Relaxed),
        Some(_) => return false,
    }
    true
}

/// The level that [`dispatch`] uses.
///
/// ```
/// use thalweg::simd::{Level, level};
/// assert!(level() >= Level::Scalar && level().is_available());
/// ```
#[inline]
pub fn level() -> Level {
    match FORCED.load(Ordering::Relaxed) {
        0 => best(),
        forced => forced_level(forced),
    }
}

/// Out of line: a program forces no level, and has no table to jump through at every call.
#[cold]
fn forced_level(forced: u8) -> Level {
    match forced {
        1 => Level::Scalar,
        2 => Level::Sse2,
        3 => Level::Neon,
        4 => Level::Simd128,
        5 => Level::Avx2,
        _ => Level::Avx512,
    }
}

#[inline]
fn best() -> Level {
    if has_avx512() {
        Level::Avx512
    } else if has_avx2() {
        Level::Avx2
    } else if cfg!(all(target_arch = "x86_64", target_feature = "sse2")) {
        Level::Sse2
    } else if cfg!(target_arch = "aarch64") {
        Level::Neon
    } else if cfg!(all(target_arch = "wasm32", target_feature = "simd128")) {
        Level::Simd128
    } else {
        Level::Scalar
    }
}

// `--cfg thalweg_levels="baseline"` leaves AVX2 and AVX-512 out: the tests of a desk build in half the time, with the same bits.
#[cfg(all(
    target_arch = "x86_64",
    target_feature = "sse2",
    not(thalweg_levels = "baseline")
))]
cpufeatures::new!(cpuid_avx2, "avx2", "fma");
#[cfg(all(
    target_arch = "x86_64",
    target_feature = "sse2",
    not(thalweg_levels = "baseline")
))]
cpufeatures::new!(
    cpuid_avx512,
    "avx512f",
    "avx512vl",
    "avx512bw",
    "avx512dq",
    "avx2",
    "fma"
);

#[cfg(all(
    target_arch = "x86_64",
    target_feature = "sse2",
    not(thalweg_levels = "baseline")
))]
#[inline]
fn has_avx2() -> bool {
    cpuid_avx2::get()
}
#[cfg(all(
    target_arch = "x86_64",
    target_feature = "sse2",
    not(thalweg_levels = "baseline")
))]
#[inline]
fn has_avx512() -> bool {
    cpuid_avx512::get()
}
#[cfg(not(all(
    target_arch = "x86_64",
    target_feature = "sse2",
    not(thalweg_levels = "baseline")
)))]
#[inline]
const fn has_avx2() -> bool {
    false
}
#[cfg(not(all(
    target_arch = "x86_64",
    target_feature = "sse2",
    not(thalweg_levels = "baseline")
)))]
#[inline]
const fn has_avx512() -> bool {
    false
}

/// Runs a kernel on the widest instruction set of this machine.
///
/// Cost: one or two relaxed atomic loads on x86-64, nothing elsewhere that the optimiser cannot remove.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    match level() {
        #[cfg(all(
            target_arch = "x86_64",
            target_feature = "sse2",
            not(thalweg_levels = "baseline")
        ))]
        // SAFETY: `level` returns a level that was detected on this machine.
        Level::Avx512 => unsafe { run_avx512(kernel) },
        #[cfg(all(
            target_arch = "x86_64",
            target_feature = "sse2",
            not(thalweg_levels = "baseline")
        ))]
        // SAFETY: as above.
        Level::Avx2 => unsafe { run_avx2(kernel) },
        #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
        Level::Sse2 => run_sse2(kernel),
        #[cfg(target_arch = "aarch64")]
        Level::Neon => kernel.run(super::aarch64::Neon(())),
        #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
        Level::Simd128 => kernel.run(super::wasm32::Simd128(())),
        _ => run_scalar(kernel),
    }
}

/// Not inlined on x86-64: what works out the scalars of a kernel is inlined the more readily, and they stay in registers.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
#[inline(never)]
fn run_sse2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(super::x86::sse2::Sse2(()))
}

#[cfg_attr(target_arch = "x86_64", inline(never))]
#[cfg_attr(not(target_arch = "x86_64"), inline(always))]
fn run_scalar<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Scalar)
}

#[cfg(all(
    target_arch = "x86_64",
    target_feature = "sse2",
    not(thalweg_levels = "baseline")
))]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(super::x86::avx2::Avx2(()))
}

#[cfg(all(
    target_arch = "x86_64",
    target_feature = "sse2",
    not(thalweg_levels = "baseline")
))]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(super::x86::avx512::Avx512(()))
}
