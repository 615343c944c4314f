//! Counts the instructions and the stack of kernels, one line each; `bash examples/firmware/figures` makes the table.
//!
//! Each kernel is a function that is not inlined, so that the symbol table tells its flash, what is inlined into it included.
#![no_std]
#![no_main]

#[path = "../../board.rs"]
mod board;
#[cfg(c_kernels)]
mod c;
mod kernels;

use core::ffi::CStr;
use core::hint::black_box;

use board::{BOARD, Stack};
use kernels::{KERNELS, ROOM, Room};

/// The part of the memory in which the use of the stack shows.
const STACK: usize = if BOARD.ram.len < 1 << 16 {
    BOARD.ram.len
} else {
    1 << 16
};

/// Fills the arrays: x positive, y of both signs.
fn paint(room: &mut Room) {
    let mut state = 0x2545_F491_u32;
    for ((x, y), z) in room.x.iter_mut().zip(&mut room.y).zip(&mut room.z) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        *x = (state >> 8) as f32 / 16_777_216.0 + 0.5;
        *y = (state as i32 >> 8) as f32 / 8_388_608.0;
        *z = *x - *y;
    }
}

/// A counter of instructions: the emulator passes 64 ns of its time in each (`-icount shift=6`).
#[cfg(target_arch = "arm")]
fn instructions(run: impl FnOnce()) -> u32 {
    // SAFETY: nothing else uses the timer.
    let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
    timer.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
    timer.set_reload(0xFF_FFFF);
    timer.clear_current();
    timer.enable_counter();
    let before = cortex_m::peripheral::SYST::get_current();
    run();
    let after = cortex_m::peripheral::SYST::get_current();
    let ticks = u64::from(before.wrapping_sub(after) & 0xFF_FFFF);
    // 10^9 / 64 instructions a second; rounded.
    let clock = u64::from(BOARD.clock);
    ((ticks * 15_625_000 + clock / 2) / clock) as u32
}

/// A counter of instructions, exact under `-icount shift=0`.
#[cfg(target_arch = "riscv32")]
fn instructions(run: impl FnOnce()) -> u32 {
    let count = || -> u32 {
        let count;
        // SAFETY: reads a counter.
        unsafe { core::arch::asm!("csrr {}, minstret", out(reg) count) };
        count
    };
    let before = count();
    run();
    count().wrapping_sub(before)
}

fn line(
    name: &CStr,
    kernel: extern "C" fn(&mut Room),
    room: &mut Room,
    elements: usize,
    ram: usize,
) {
    // Once to settle what the first call does otherwise: Adam's first step, a frame to be decoded.
    paint(room);
    black_box(kernel)(room);
    paint(room);
    let count = instructions(|| black_box(kernel)(room));
    let refused = room.result.is_nan();
    paint(room);
    let stack = Stack::paint(STACK);
    black_box(kernel)(room);
    let depth = stack.depth();
    // The first line states what can be told.
    let ram = if name == c"nothing" {
        stack.most()
    } else {
        ram
    };
    board::print(name);
    board::print(if refused { c" refused " } else { c" " });
    board::print_number(elements, b' ');
    board::print_number(count as usize, b' ');
    board::print_number(depth, b' ');
    board::print_number(ram, b'\n');
}

fn start() -> ! {
    // SAFETY: `start` runs once, and nothing else names the static.
    let room = unsafe { board::only(&raw mut ROOM) };
    for &(name, kernel, elements, ram) in KERNELS {
        line(name, kernel, room, elements, ram);
    }
    #[cfg(c_kernels)]
    for (name, kernel) in c::KERNELS {
        line(name, kernel, room, kernels::N, 0);
    }
    board::exit(0, c"")
}

#[cfg(target_arch = "arm")]
#[cortex_m_rt::entry]
fn main() -> ! {
    start()
}

#[cfg(target_arch = "riscv32")]
#[riscv_rt::entry]
fn main() -> ! {
    start()
}
