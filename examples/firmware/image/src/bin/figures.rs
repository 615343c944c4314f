//! Counts the instructions and the stack of kernels, one line each; `bash examples/firmware/figures` makes the table.
//!
//! Each kernel is a function that is not inlined, so that the symbol table tells its flash, what is inlined into it included.
#![no_std]
#![no_main]

#[path = "../board.rs"]
mod board;

use core::ffi::CStr;
use core::hint::black_box;

#[cfg(target_arch = "arm")]
use board::BOARD;
use board::Stack;
use thalweg::compress::{Buffers, Compressor, Dithering, Key, Natural, PermK, RandK, TopK};
use thalweg::model::{Batch, Objective, mlp};
use thalweg::optim::{adam, lion, sgd};
use thalweg::particle::svgd;
use thalweg::simd::{self, Lanes, Map};
use thalweg::wire::{Body, Crc32c, Dtype, Expect, Header, Kind, decode, encode_into};
use thalweg::{Real, vector};

/// Elements of a vector.
const N: usize = 256;
/// Coordinates in a sparse message.
const K: usize = 32;

/// What kernels work on.
struct Room {
    x: [f32; N],
    y: [f32; N],
    z: [f32; N],
    indices: [u32; K],
    levels: [i32; K],
    bytes: [u8; 4 * N + 64],
    sgd: sgd::State<[f32; N]>,
    adam: adam::State<[f32; N]>,
    lion: lion::State<[f32; N]>,
    /// Keeps results alive.
    result: f32,
}

static mut ROOM: Room = Room {
    x: [0.0; N],
    y: [0.0; N],
    z: [0.0; N],
    indices: [0; K],
    levels: [0; K],
    bytes: [0; 4 * N + 64],
    sgd: sgd::State::new(),
    adam: adam::State::new(),
    lion: lion::State::new(),
    result: 0.0,
};

const KEY: Key = Key {
    seed: 1,
    round: 2,
    client: 3,
};

#[derive(Clone, Copy)]
struct Add;
impl<T: Real> Map<T, 2, 1> for Add {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, y]: [L; 2]) -> [L; 1] {
        [x + y]
    }
}

#[derive(Clone, Copy)]
struct Root;
impl<T: Real> Map<T, 1, 1> for Root {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        [x.sqrt()]
    }
}

#[derive(Clone, Copy)]
struct Exp;
impl<T: Real> Map<T, 1, 1> for Exp {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        [simd::math::exp(x)]
    }
}

/// A network of 8 features, 8 hidden units and 4 classes on 4 rows.
const NETWORK: mlp::Model<'static, f32> = mlp::Model::new(&[8, 8, 4]);
const ROWS: usize = 4;
const D: usize = NETWORK.dim();
const CLASSES: [u32; ROWS] = [0, 1, 2, 3];

/// Particles, of two dimensions.
const PARTICLES: usize = 8;

/// Functions, a line of the table each: name, elements, bytes of the arrays that the caller lends, body.
macro_rules! kernels {
    ($($name:ident $elements:expr, $ram:expr, $body:expr;)*) => {
        $(
            #[inline(never)]
            #[unsafe(no_mangle)]
            extern "C" fn $name(room: &mut Room) {
                let body: fn(&mut Room) -> Option<()> = $body;
                if body(room).is_none() {
                    room.result = f32::NAN;
                }
            }
        )*
        const KERNELS: &[(&CStr, extern "C" fn(&mut Room), usize, usize)] = &[
            $((
                // SAFETY: ends with a zero byte, and has no other.
                unsafe { CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()) },
                $name, $elements, $ram,
            ),)*
        ];
    };
}

kernels! {
    nothing 1, 0, |_| Some(());
    vector_dot N, 8 * N, |r| { r.result = vector::dot(&r.x, &r.y).ok()?; Some(()) };
    vector_scale N, 4 * N, |r| { vector::scale(black_box(1.5), &mut r.z); Some(()) };
    vector_add N, 12 * N, |r| { simd::map(&Add, [&r.x, &r.y], [&mut r.z]); Some(()) };
    vector_mean N, 4 * N, |r| { r.result = vector::sum(&r.x) / N as f32; Some(()) };
    vector_power N, 4 * N, |r| { r.result = vector::norm2_squared(&r.x); Some(()) };
    vector_sqrt N, 8 * N, |r| { simd::map(&Root, [&r.x], [&mut r.z]); Some(()) };
    vector_axpy N, 8 * N, |r| vector::axpy(black_box(0.5), &r.x, &mut r.z).ok();
    simd_exp N, 8 * N, |r| { simd::map(&Exp, [&r.y], [&mut r.z]); Some(()) };
    sgd_momentum N, 12 * N, |r| {
        sgd::step(&sgd::Config { momentum: 0.9, ..sgd::Config::new(0.1) }, &mut r.sgd, &mut r.z, &r.y).ok()
    };
    adam_step N, 16 * N, |r| adam::step(&adam::Config::adam(), &mut r.adam, &mut r.z, &r.y).ok();
    lion_step N, 12 * N, |r| lion::step(&lion::Config::new(1e-3), &mut r.lion, &mut r.z, &r.y).ok();
    perm_k K, 4 * (N + K), |r| {
        let buffers = Buffers::values(&mut r.z);
        PermK::new(N / K).compress(KEY, &r.y, buffers).ok().map(drop)
    };
    rand_k K, 4 * (N + K), |r| {
        let buffers = Buffers::values(&mut r.z);
        RandK::new(K).compress(KEY, &r.y, buffers).ok().map(drop)
    };
    top_k N, 4 * N + 8 * K, |r| {
        let buffers = Buffers { indices: &mut r.indices, ..Buffers::values(&mut r.z) };
        TopK { k: K }.compress(KEY, &r.y, buffers).ok().map(drop)
    };
    natural N, 8 * N, |r| Natural.compress(KEY, &r.y, Buffers::values(&mut r.z)).ok().map(drop);
    qsgd K, 8 * K, |r| {
        let buffers = Buffers { levels: &mut r.levels, ..Buffers::values(&mut r.z) };
        Dithering::qsgd(15).compress(KEY, r.y.get(..K)?, buffers).ok().map(drop)
    };
    crc32c 4 * N, 4 * N, |r| {
        let mut crc = Crc32c::new();
        crc.update(r.bytes.get(..4 * N)?);
        r.result = f32::from_bits(crc.value());
        Some(())
    };
    frame_encode N, 8 * N + 52, |r| {
        let header = Header::new(Kind::Model, Dtype::F32, N as u32, N as u32);
        encode_into(&header, &Body::Values(&r.y), &mut r.bytes).ok().map(drop)
    };
    frame_decode N, 4 * N + 52, |r| {
        decode(r.bytes.get(..4 * N + 52)?, &Expect::default()).ok().map(drop)
    };
    mlp_gradient ROWS * D, 4 * (2 * D + 8 * ROWS + NETWORK.least_scratch_len(ROWS)), |r| {
        let batch = Batch::classes(r.x.get(..8 * ROWS)?, 8, &CLASSES).ok()?;
        let (grad, scratch) = r.z.split_at_mut_checked(D)?;
        NETWORK.gradient_into(r.y.get(..D)?, &batch, scratch, grad).ok()
    };
    svgd_step PARTICLES * PARTICLES, 4 * (4 * PARTICLES + svgd::Config::new(0.1).least_scratch_len(PARTICLES, 2)), |r| {
        let mut state = svgd::State::<[f32; 0]>::from_storage([]);
        let (particles, scratch) = r.z.split_at_mut_checked(2 * PARTICLES)?;
        svgd::step(&svgd::Config::new(0.1), &mut state, 2, particles, r.y.get(..2 * PARTICLES)?, scratch).ok().map(drop)
    };
}

/// The same kernels in C, where a C compiler is at hand.
#[cfg(c_kernels)]
mod c {
    use super::{CStr, N, Room};

    unsafe extern "C" {
        fn arm_dot_prod_f32(x: *const f32, y: *const f32, n: u32, result: *mut f32);
        fn arm_scale_f32(x: *const f32, scale: f32, out: *mut f32, n: u32);
        fn arm_add_f32(x: *const f32, y: *const f32, out: *mut f32, n: u32);
        fn arm_mean_f32(x: *const f32, n: u32, result: *mut f32);
        fn arm_power_f32(x: *const f32, n: u32, result: *mut f32);
        fn roots_f32(x: *const f32, out: *mut f32, n: u32);
    }

    extern "C" fn dot(r: &mut Room) {
        // SAFETY: arrays of N elements that do not overlap, here and below.
        unsafe { arm_dot_prod_f32(r.x.as_ptr(), r.y.as_ptr(), N as u32, &mut r.result) }
    }
    extern "C" fn scale(r: &mut Room) {
        let z = r.z.as_mut_ptr();
        // SAFETY: as above; in place, which the function allows.
        unsafe { arm_scale_f32(z, 1.5, z, N as u32) }
    }
    extern "C" fn add(r: &mut Room) {
        // SAFETY: as above.
        unsafe { arm_add_f32(r.x.as_ptr(), r.y.as_ptr(), r.z.as_mut_ptr(), N as u32) }
    }
    extern "C" fn mean(r: &mut Room) {
        // SAFETY: as above.
        unsafe { arm_mean_f32(r.x.as_ptr(), N as u32, &mut r.result) }
    }
    extern "C" fn power(r: &mut Room) {
        // SAFETY: as above.
        unsafe { arm_power_f32(r.x.as_ptr(), N as u32, &mut r.result) }
    }
    extern "C" fn sqrt(r: &mut Room) {
        // SAFETY: as above.
        unsafe { roots_f32(r.x.as_ptr(), r.z.as_mut_ptr(), N as u32) }
    }

    /// Functions of `c/kernels.c` by their names.
    pub const KERNELS: [(&CStr, extern "C" fn(&mut Room)); 6] = [
        (c"arm_dot_prod_f32", dot),
        (c"arm_scale_f32", scale),
        (c"arm_add_f32", add),
        (c"arm_mean_f32", mean),
        (c"arm_power_f32", power),
        (c"roots_f32", sqrt),
    ];
}

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
    let stack = Stack::paint();
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
        line(name, kernel, room, N, 0);
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
