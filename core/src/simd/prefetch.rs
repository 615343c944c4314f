//! A hint that memory will soon be read or written.

#![allow(unsafe_code, reason = "intrinsic")]

/// Asks for the cache line of an element; does nothing where there is no element or no such instruction.
///
/// A hint has no effect on results; it pays where a kernel knows, long before, the lines that it will want next and
/// where their stride defeats the hardware's own guess: rows of a tile of a matrix.
#[inline(always)]
pub(crate) fn prefetch<T>(x: Option<&T>) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    if let Some(x) = x {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and cannot fault; the target has SSE2.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(core::ptr::from_ref(x).cast()) };
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    let _ = x;
}
