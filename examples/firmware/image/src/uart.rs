//! A polled serial port: the traits, over the five functions that each kind of port has of its own.

#[cfg_attr(uart = "cmsdk", path = "uart/cmsdk.rs")]
#[cfg_attr(uart = "nrf51", path = "uart/nrf51.rs")]
#[cfg_attr(uart = "ns16550", path = "uart/ns16550.rs")]
mod port;

use core::convert::Infallible;
use core::marker::PhantomData;

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};

use crate::board::BOARD;

/// A register of the port, of one width: some take bytes, some words.
struct Register<W>(usize, PhantomData<W>);

impl<W: Copy> Register<W> {
    /// At an offset of the port.
    const fn at(offset: usize) -> Self {
        Self(BOARD.port + offset, PhantomData)
    }

    fn read(&self) -> W {
        // SAFETY: a device register of the board's table, read in its width.
        unsafe { (self.0 as *const W).read_volatile() }
    }

    fn write(&self, value: W) {
        // SAFETY: as above; a write touches nothing but the port.
        unsafe { (self.0 as *mut W).write_volatile(value) }
    }
}

/// The board's serial port; a single value exists.
pub struct Serial(());

impl Serial {
    /// Enables both directions.
    pub fn new() -> Self {
        port::enable();
        Self(())
    }
}

impl ErrorType for Serial {
    type Error = Infallible;
}

impl ReadReady for Serial {
    fn read_ready(&mut self) -> Result<bool, Infallible> {
        Ok(port::has_byte())
    }
}

impl WriteReady for Serial {
    fn write_ready(&mut self) -> Result<bool, Infallible> {
        Ok(port::has_room())
    }
}

impl Read for Serial {
    /// Waits for the first byte, takes what has arrived.
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let mut count = 0;
        for byte in bytes {
            while count == 0 && !port::has_byte() {}
            if !port::has_byte() {
                break;
            }
            *byte = port::get();
            count += 1;
        }
        Ok(count)
    }
}

impl Write for Serial {
    /// Waits for room for one byte.
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Infallible> {
        let Some(&byte) = bytes.first() else {
            return Ok(0);
        };
        while !port::has_room() {}
        port::put(byte);
        Ok(1)
    }

    fn flush(&mut self) -> Result<(), Infallible> {
        while !port::has_room() {}
        Ok(())
    }
}
