//! The same-bits suite on bare metal: prints a line a case, and exits with 0 when all agree.
#![no_std]
#![no_main]

use core::panic::PanicInfo;
use semihosting::{println, process};

/// All cases, where the flash holds them.
const GROUPS: &[&[same_bits::Case]] = if cfg!(small_flash) {
    &[same_bits::SMALL]
} else {
    &[same_bits::SMALL, same_bits::LARGE]
};

fn suite() -> ! {
    let same = same_bits::run(GROUPS, |case| {
        if !case.is_same() {
            println!("{:x?}", case);
        }
    });
    println!(
        "{} cases, {}",
        GROUPS.iter().map(|group| group.len()).sum::<usize>(),
        if same { "same bits" } else { "DIFFERENT" }
    );
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
fn panic(info: &PanicInfo<'_>) -> ! {
    println!("{}", info);
    process::exit(101)
}
