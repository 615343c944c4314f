//! The same-bits suite on bare metal: prints a line a case, and exits with 0 when all agree.
#![no_std]
#![no_main]

use core::panic::PanicInfo;
use semihosting::{println, process};

fn suite() -> ! {
    let same = same_bits::run(|name, found, expected| {
        if found != expected {
            println!("{}: {:#018x}, expected {:#018x}", name, found, expected);
        }
    });
    println!(
        "{} cases, {}",
        same_bits::CASES.len(),
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
