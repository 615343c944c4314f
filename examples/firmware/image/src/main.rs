//! A federated client: the shard in flash, the server at the serial port.
//!
//! The image serves every client of every run whose network has at most `HIDDEN` hidden units: which it is, the shard
//! tells. It exits with 0 and states the stack that it has used when the server ends the run, and with 2 and a message when there is no shard or it does not fit.
#![no_std]
#![no_main]

mod board;
mod uart;

use core::ffi::CStr;

use board::{BOARD, Exit, Stack};
use thalweg::federated::ProtocolError;
use thalweg::model::mlp;
use thalweg::wire::DecodeError;
use thalweg_device::client::{self, Failure};
use thalweg_device::memory::{Fits, Memory, frame_len, indices_len, scratch_len};
use thalweg_device::shard::{self, ShardError};

/// The largest network: digits of 64 pixels in ten classes.
const SIZES: [usize; 3] = [64, board::number(env!("HIDDEN")), 10];
const D: usize = mlp::Model::<f32>::new(&SIZES).dim();

type Buffers = Memory<D, { scratch_len(&SIZES) }, { indices_len(&SIZES) }, { frame_len(&SIZES) }>;

/// Buffers and stack fit the board's memory.
const _: () = Fits::<{ size_of::<Buffers>() + BOARD.stack }, { BOARD.ram.len }>::CHECK;

static mut MEMORY: Buffers = Memory::new();

/// A shard that is part of the image fits the board's flash.
#[cfg(shard)]
mod included {
    use super::*;

    const BYTES: &[u8] = include_bytes!(env!("SHARD"));
    const _: () = Fits::<{ BYTES.len() }, { BOARD.shard.len }>::CHECK;

    #[repr(C, align(64))]
    struct Aligned([u8; BYTES.len()]);

    #[used]
    #[unsafe(link_section = ".shard")]
    static SHARD: Aligned = Aligned(*include_bytes!(env!("SHARD")));
}

fn start() -> ! {
    let shard = match shard::read(board::shard()) {
        Ok(shard) => shard,
        Err(ShardError::Truncated { .. }) => {
            board::exit(Exit::BAD_SHARD, c"the shard is longer than its flash\n")
        }
        Err(ShardError::Magic) => board::exit(
            Exit::BAD_SHARD,
            c"no shard in flash: give QEMU -device loader,file=...,addr=...\n",
        ),
        Err(ShardError::Version { .. }) => {
            board::exit(Exit::BAD_SHARD, c"the shard is of another version\n")
        }
        Err(ShardError::Crc { .. }) => {
            board::exit(Exit::BAD_SHARD, c"the shard's check is wrong\n")
        }
        Err(ShardError::Field { .. }) => {
            board::exit(Exit::BAD_SHARD, c"a field of the shard is out of range\n")
        }
        Err(_) => board::exit(Exit::BAD_SHARD, c"the shard is not aligned\n"),
    };
    // SAFETY: `start` runs once, and nothing else names the static.
    let memory = unsafe { board::only(&raw mut MEMORY) };
    let mut clock = board::Clock::new();
    let stack = Stack::paint(BOARD.stack);
    match client::run(uart::Serial::new(), &shard, memory.lend(), || clock.beat()) {
        Ok(_) => {
            board::print(c"stack: ");
            board::print_number(stack.depth(), b' ');
            board::print(c"bytes of ");
            board::print_number(stack.most(), b'\n');
            board::exit(Exit::DONE, c"")
        }
        Err(Failure::Capacity { .. }) => board::exit(
            Exit::BAD_SHARD,
            c"the shard's network is larger than the image's\n",
        ),
        Err(failure) => board::exit(Exit::REFUSED, words(failure)),
    }
}

/// What a failure is, without the formatting machinery.
fn words(failure: Failure) -> &'static CStr {
    match failure {
        Failure::Algorithms { .. } => {
            c"the server computes with other algorithms than this image\n"
        }
        Failure::Settings { .. } => c"the shard was written for a server with other settings\n",
        Failure::Samples { .. } => c"the server expects other rows of this client, or none\n",
        Failure::Displaced => c"another client has taken the place of this one\n",
        Failure::SentAway => c"the server could not use the replies of this client\n",
        Failure::Aborted => c"the server ended the run early\n",
        Failure::Silent => c"the server is silent\n",
        Failure::Protocol(ProtocolError::Decode(DecodeError::WrongSeed { .. })) => {
            c"the server's run has another seed than the shard\n"
        }
        Failure::Protocol(ProtocolError::Decode(DecodeError::WrongDimension { .. })) => {
            c"the server's model has another dimension than the shard\n"
        }
        Failure::Protocol(_) => c"the protocol refused: k does not fit\n",
        _ => c"the serial port failed\n",
    }
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
