//! Trains, and saves each step to the flash of the board `virt`, until the power fails.
//!
//! After a start it restores the newest checkpoint and repeats the training from the beginning up to that step: the two
//! must have the same bits. It says `restored n` (0 for an empty flash), then `saved n` after each step.
//! QEMU keeps the flash in a file: `-drive if=pflash,unit=1,format=raw,file=...`, 32 MiB; with it, the image is given by
//! `-device loader,file=...` in place of `-kernel`, which would look for it in this flash.
#![no_std]
#![no_main]

#[path = "../board.rs"]
mod board;

use thalweg::snapshot::{Field, Flash, Reader, Slots, Snapshot, SnapshotError, Writer, saved_len};
use thalweg::vector;

/// Parameters: a checkpoint takes some five hundred writes, so that power mostly fails within one.
const D: usize = 256;
const LEN: usize = saved_len(&Training::FIELDS);
const BUFFER: usize = Slots::<Cfi>::buffer_len(LEN);

/// Heavy-ball descent on `|x|^2 / 2`.
struct Training {
    steps: u64,
    x: [f32; D],
    v: [f32; D],
}

impl Training {
    const FIELDS: [Field; 3] = [Field::U64, Field::reals::<f32>(D), Field::reals::<f32>(D)];

    const fn new() -> Self {
        Self {
            steps: 0,
            x: [1.5; D],
            v: [0.0; D],
        }
    }

    fn reset(&mut self) {
        self.steps = 0;
        for (i, (x, v)) in self.x.iter_mut().zip(&mut self.v).enumerate() {
            (*x, *v) = (1.0 + i as f32, 0.0);
        }
    }

    /// `v <- 0.9 v + x`, `x <- x - 0.01 v`.
    fn step(&mut self) -> Result<(), thalweg::Error> {
        vector::scale(0.9, &mut self.v);
        vector::axpy(1.0, &self.x, &mut self.v)?;
        vector::axpy(-0.01, &self.v, &mut self.x)?;
        self.steps += 1;
        Ok(())
    }
}

impl Snapshot for Training {
    fn snapshot_len(&self) -> usize {
        LEN
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"TRAI", 1)?;
        writer.u64(self.steps)?;
        writer.slice(&self.x)?;
        writer.slice(&self.v)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"TRAI", 1, &Self::FIELDS)?;
        self.steps = reader.u64()?;
        reader.slice_into(&mut self.x)?;
        reader.slice_into(&mut self.v)?;
        reader.finish()
    }
}

/// The second flash of the board: two chips of 16 bits side by side, with the commands of Intel's (CFI 0001).
struct Cfi;

impl Cfi {
    const BASE: usize = 0x2200_0000;
    /// Two sectors.
    const LEN: usize = 2 * Self::ERASE_SIZE;
    const PROGRAM: u32 = 0x0040_0040;
    const ERASE: u32 = 0x0020_0020;
    const CONFIRM: u32 = 0x00D0_00D0;
    const READ: u32 = 0x00FF_00FF;
    const READY: u32 = 0x0080_0080;
    const FAILED: u32 = 0x003A_003A;

    fn at(offset: u32) -> *mut u32 {
        (Self::BASE + offset as usize) as *mut u32
    }

    /// A command, its second half, and a wait for its end.
    fn run(offset: u32, command: u32, second: u32) -> Result<(), ()> {
        let at = Self::at(offset);
        // SAFETY: the flash's commands; offsets are aligned and inside, as `Flash` promises and `range` checks.
        let state = unsafe {
            at.write_volatile(command);
            at.write_volatile(second);
            loop {
                let state = at.read_volatile();
                if state & Self::READY == Self::READY {
                    at.write_volatile(Self::READ);
                    break state;
                }
            }
        };
        if state & Self::FAILED == 0 {
            Ok(())
        } else {
            Err(())
        }
    }

    fn range(offset: u32, len: usize) -> Result<(), ()> {
        let end = (offset as usize).checked_add(len).ok_or(())?;
        if end <= Self::LEN { Ok(()) } else { Err(()) }
    }
}

impl Flash for Cfi {
    type Error = ();
    const WRITE_SIZE: usize = 4;
    const ERASE_SIZE: usize = 256 << 10;

    fn capacity(&self) -> usize {
        Self::LEN
    }

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), ()> {
        Self::range(offset, bytes.len())?;
        let from = Self::at(offset).cast::<u8>();
        for (i, byte) in bytes.iter_mut().enumerate() {
            // SAFETY: inside the flash, which shows its memory between commands.
            *byte = unsafe { from.add(i).read_volatile() };
        }
        Ok(())
    }

    fn erase(&mut self, from: u32, to: u32) -> Result<(), ()> {
        Self::range(to, 0)?;
        for sector in (from..to).step_by(Self::ERASE_SIZE) {
            Self::run(sector, Self::ERASE, Self::CONFIRM)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), ()> {
        Self::range(offset, bytes.len())?;
        for (at, word) in (offset..).step_by(4).zip(bytes.as_chunks().0) {
            Self::run(at, Self::PROGRAM, u32::from_le_bytes(*word))?;
        }
        Ok(())
    }
}

static mut MEMORY: (Training, Training, [u8; BUFFER]) =
    (Training::new(), Training::new(), [0; BUFFER]);

fn train() -> Option<()> {
    // SAFETY: runs once, and nothing else names the static.
    let (state, again, buffer) = unsafe { board::only(&raw mut MEMORY) };
    let mut slots = Slots::open(Cfi, buffer).ok()?;
    state.reset();
    let restored = slots.restore(state, buffer).ok()?;
    // Checkpoint n holds step n.
    if restored.unwrap_or(0) != state.steps {
        return None;
    }
    again.reset();
    while again.steps < state.steps {
        again.step().ok()?;
    }
    let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
    if !same(&state.x, &again.x) || !same(&state.v, &again.v) {
        return None;
    }
    board::print(c"restored ");
    board::print_number(state.steps as usize, b'\n');
    loop {
        state.step().ok()?;
        let sequence = slots.save(state, buffer).ok()?;
        board::print(c"saved ");
        board::print_number(sequence as usize, b'\n');
    }
}

#[cfg_attr(target_arch = "arm", cortex_m_rt::entry)]
#[cfg_attr(target_arch = "riscv32", riscv_rt::entry)]
fn main() -> ! {
    let _ = train();
    board::exit(1, c"the checkpoint is not the state that was saved\n")
}
