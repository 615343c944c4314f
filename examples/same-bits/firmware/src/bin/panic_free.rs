//! The suite with a panic handler that does not link: building this image proves that no panic is reachable.
//!
//! A panic in any kernel that the suite calls would need `a_panic_is_reachable`, which nobody defines, and the
//! linker would say so. The image also runs: it exits with 0 when all bits agree.
#![no_std]
#![no_main]

use core::panic::PanicInfo;
use semihosting::process;

/// All cases, where the flash holds them.
const GROUPS: &[&[same_bits::Case]] = if cfg!(small_flash) {
    &[same_bits::SMALL]
} else {
    &[same_bits::SMALL, same_bits::LARGE]
};

fn suite() -> ! {
    let same = same_bits::run(GROUPS, |_| {});
    process::exit(if same { 0 } else { 1 })
}

#[cfg(target_arch = "arm")]
#[cortex_m_rt::entry]
fn main() -> ! {
    suite()
}

#[cfg(target_arch = "riscv32")]
#[riscv_rt::entry]
fn main() -> ! {
    suite()
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn a_panic_is_reachable() -> !;
    }
    // SAFETY: never executed, since the image does not link while this is reachable.
    unsafe { a_panic_is_reachable() }
}
