//! The static library: all of [`thalweg::c`].
#![cfg_attr(target_os = "none", no_std)]

pub use thalweg::c::*;

/// On bare metal a panic that is reachable from any function breaks the link.
#[cfg(target_os = "none")]
mod no_panic {
    unsafe extern "C" {
        fn thalweg_can_panic() -> !;
    }

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        // SAFETY: never linked, so never called.
        unsafe { thalweg_can_panic() }
    }
}
