//! The PC's port, 16550: sixteen bytes each way, registers of a byte.

use super::Register;

const DATA: Register<u8> = Register::at(0);
const FIFO: Register<u8> = Register::at(2);
const STATE: Register<u8> = Register::at(5);

pub(super) fn enable() {
    FIFO.write(1);
}

pub(super) fn has_byte() -> bool {
    STATE.read() & 0x01 != 0
}

pub(super) fn has_room() -> bool {
    STATE.read() & 0x20 != 0
}

pub(super) fn get() -> u8 {
    DATA.read()
}

pub(super) fn put(byte: u8) {
    DATA.write(byte);
}
