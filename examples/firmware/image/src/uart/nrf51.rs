//! Nordic's nRF51 port (reference manual 3.0, chapter 29): six bytes in, one out.

use core::sync::atomic::{AtomicBool, Ordering};

use super::Register;

const STARTRX: Register<u32> = Register::at(0x000);
const STARTTX: Register<u32> = Register::at(0x008);
const RXDRDY: Register<u32> = Register::at(0x108);
const TXDRDY: Register<u32> = Register::at(0x11C);
const ENABLE: Register<u32> = Register::at(0x500);
const RXD: Register<u32> = Register::at(0x518);
const TXD: Register<u32> = Register::at(0x51C);
const BAUDRATE: Register<u32> = Register::at(0x524);

/// The port says when a byte has left, not that it is idle: the first byte waits for nothing.
static IDLE: AtomicBool = AtomicBool::new(true);

pub(super) fn enable() {
    // 1 Mbaud.
    BAUDRATE.write(0x1000_0000);
    ENABLE.write(4);
    STARTRX.write(1);
    STARTTX.write(1);
}

pub(super) fn has_byte() -> bool {
    RXDRDY.read() != 0
}

pub(super) fn has_room() -> bool {
    IDLE.load(Ordering::Relaxed) || TXDRDY.read() != 0
}

pub(super) fn get() -> u8 {
    // The event before the byte: one that arrives in between raises it again.
    RXDRDY.write(0);
    RXD.read() as u8
}

pub(super) fn put(byte: u8) {
    IDLE.store(false, Ordering::Relaxed);
    TXDRDY.write(0);
    TXD.write(u32::from(byte));
}
