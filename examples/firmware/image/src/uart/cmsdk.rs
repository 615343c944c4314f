//! ARM's CMSDK port (DDI 0479): one byte each way.

use super::Register;

const DATA: Register<u32> = Register::at(0x0);
const STATE: Register<u32> = Register::at(0x4);
const CTRL: Register<u32> = Register::at(0x8);
const BAUDDIV: Register<u32> = Register::at(0x10);

pub(super) fn enable() {
    // The smallest divider that the port takes.
    BAUDDIV.write(16);
    // Transmitter and receiver.
    CTRL.write(0b11);
}

pub(super) fn has_byte() -> bool {
    STATE.read() & 0b10 != 0
}

pub(super) fn has_room() -> bool {
    STATE.read() & 0b01 == 0
}

pub(super) fn get() -> u8 {
    DATA.read() as u8
}

pub(super) fn put(byte: u8) {
    DATA.write(u32::from(byte));
}
