//! What an image takes from its board: the shard, the serial port, the time, the way out.

#![allow(dead_code, reason = "each image uses a part")]

use core::ffi::CStr;
use core::panic::PanicInfo;

use thalweg_device::boards::{self, Board};

/// The board that the image is for; the build script has checked the name.
pub const BOARD: &Board = match boards::find(env!("BOARD")) {
    Some(board) => board,
    None => panic!("an unknown board"),
};

/// The decimal number in an environment variable of the build.
pub const fn number(text: &str) -> usize {
    let (mut rest, mut number) = (text.as_bytes(), 0);
    while let [digit @ b'0'..=b'9', others @ ..] = rest {
        number = 10 * number + (*digit - b'0') as usize;
        rest = others;
    }
    assert!(rest.is_empty() && number > 0, "not a positive number");
    number
}

/// The flash that is kept for the shard.
pub fn shard() -> &'static [u8] {
    unsafe extern "C" {
        static __shard: u8;
    }
    // SAFETY: the linker places the symbol at the region of the table, which nothing writes.
    unsafe { core::slice::from_raw_parts(&raw const __shard, BOARD.shard.len) }
}

/// The one reference to a static.
///
/// # Safety
/// No other reference to it exists, nor will.
pub const unsafe fn only<T>(place: *mut T) -> &'static mut T {
    // SAFETY: the caller's promise; a static is aligned and initialised.
    unsafe { &mut *place }
}

/// What the stack is painted with.
const PAINT: u32 = 0xA5A5_5A5A;

/// Memory below the live frames, of which the stack's use is to be known.
pub struct Stack {
    bottom: usize,
    top: usize,
}

impl Stack {
    /// Bytes beneath the caller's frame that the frames of this type's functions may take.
    pub const MARGIN: usize = 128;

    /// Paints the last `len` bytes of the memory, or what the statics leave of them, up to the frame of the caller.
    #[inline(never)]
    pub fn paint(len: usize) -> Self {
        unsafe extern "C" {
            /// Where the statics end.
            static __sheap: u8;
        }
        let end = (BOARD.ram.origin + BOARD.ram.len) & !3;
        let stack = Self {
            bottom: (end - len).max((&raw const __sheap).addr() + 3 & !3),
            top: Self::here(),
        };
        for at in stack.words() {
            // SAFETY: below the frame of this function, above the statics: memory that nothing uses.
            unsafe { (at as *mut u32).write_volatile(PAINT) }
        }
        stack
    }

    /// Bytes below the frame of whoever has painted that were written since.
    #[inline(never)]
    pub fn depth(&self) -> usize {
        // SAFETY: the words that were painted.
        let painted = |at: &usize| unsafe { (*at as *const u32).read_volatile() } == PAINT;
        let untouched = self.words().take_while(painted).count();
        Self::MARGIN + self.top - self.bottom - 4 * untouched
    }

    /// All that can be told: a depth as large is larger.
    pub fn most(&self) -> usize {
        Self::MARGIN + self.top - self.bottom
    }

    fn words(&self) -> impl Iterator<Item = usize> + use<> {
        (self.bottom..self.top).step_by(4)
    }

    fn here() -> usize {
        let here = 0_u32;
        ((&raw const here).addr() & !3) - Self::MARGIN
    }
}

/// Exit statuses of QEMU.
pub struct Exit;

impl Exit {
    /// The server has ended the run.
    pub const DONE: i32 = 0;
    /// There is no shard, or it does not fit.
    pub const BAD_SHARD: i32 = 2;
    /// The protocol or the port refused.
    pub const REFUSED: i32 = 3;
}

/// Writes a message to the debugger, without the formatting machinery.
pub fn print(message: &CStr) {
    semihosting::sys::arm_compat::sys_write0(message);
}

/// A number in decimal, then a byte.
pub fn print_number(number: usize, end: u8) {
    let (mut text, mut rest) = ([b'0'; 12], number);
    text[11] = 0;
    text[10] = end;
    let mut start = 9;
    for place in (0..10).rev() {
        start = place;
        text[place] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let text = text.get(start..).unwrap_or_default();
    print(CStr::from_bytes_with_nul(text).unwrap_or_default());
}

/// Writes a message and ends.
pub fn exit(status: i32, message: &CStr) -> ! {
    print(message);
    semihosting::process::exit(status)
}

/// The image does not link while this is reachable: nobody defines the function.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    unsafe extern "C" {
        fn a_panic_is_reachable() -> !;
    }
    // SAFETY: never executed.
    unsafe { a_panic_is_reachable() }
}

/// Tells when half a second has passed.
#[cfg(target_arch = "arm")]
pub struct Clock(cortex_m::peripheral::SYST);

#[cfg(target_arch = "arm")]
impl Clock {
    /// The system timer, from here on.
    pub fn new() -> Self {
        // SAFETY: the image asks for a clock once.
        let mut timer = unsafe { cortex_m::Peripherals::steal() }.SYST;
        timer.set_clock_source(cortex_m::peripheral::syst::SystClkSource::Core);
        // 24 bits hold half a second of 33 MHz.
        timer.set_reload(BOARD.clock / 2 - 1);
        timer.clear_current();
        timer.enable_counter();
        Self(timer)
    }

    /// True once for each half second.
    pub fn beat(&mut self) -> bool {
        self.0.has_wrapped()
    }
}

/// Tells when half a second has passed.
#[cfg(target_arch = "riscv32")]
pub struct Clock(u32);

#[cfg(target_arch = "riscv32")]
impl Clock {
    /// The machine's timer, from here on.
    pub fn new() -> Self {
        Self(riscv::register::time::read() as u32)
    }

    /// True once for each half second.
    pub fn beat(&mut self) -> bool {
        let now = riscv::register::time::read() as u32;
        let passed = now.wrapping_sub(self.0) >= BOARD.clock / 2;
        if passed {
            self.0 = now;
        }
        passed
    }
}
