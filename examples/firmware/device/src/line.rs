//! The serial line: frames in, frames out, both at once.

use embedded_io::{Error as _, ErrorKind, Read, ReadReady, Write, WriteReady};
use heapless::Deque;
use thalweg::wire::{Deframer, OVERHEAD};

/// Bytes of a Hello, the longest of the short frames.
const SHORT: usize = OVERHEAD + 8;

/// What waits to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outgoing {
    /// The short frame.
    Hello,
    /// The reply, in the client's buffer.
    Reply,
}

/// A serial port with its buffers.
///
/// At most one short frame and the reply wait to be sent, so no queue can overflow and no frame is overwritten while it leaves.
#[derive(Debug)]
pub(crate) struct Line<'m, S> {
    serial: S,
    pub(crate) deframer: Deframer<&'m mut [u8]>,
    outbox: Deque<Outgoing, 2>,
    sent: usize,
    hello: [u8; SHORT],
}

impl<'m, S: Read + ReadReady + Write + WriteReady> Line<'m, S> {
    pub(crate) const fn new(serial: S, incoming: &'m mut [u8]) -> Self {
        Self {
            serial,
            deframer: Deframer::new(incoming),
            outbox: Deque::new(),
            sent: 0,
            hello: [0; SHORT],
        }
    }

    /// The reply has not left yet; its buffer must stay as it is.
    pub(crate) fn owes_reply(&self) -> bool {
        self.outbox.iter().any(|&out| out == Outgoing::Reply)
    }

    /// Queues the reply.
    pub(crate) fn send_reply(&mut self) {
        if !self.owes_reply() {
            // Room for one of each.
            let _ = self.outbox.push_back(Outgoing::Reply);
        }
    }

    /// Queues a short frame that `write` writes; one that waits already says the same.
    pub(crate) fn send_hello<E>(
        &mut self,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        if !self.outbox.iter().any(|&out| out == Outgoing::Hello) {
            write(&mut self.hello)?;
            let _ = self.outbox.push_back(Outgoing::Hello);
        }
        Ok(())
    }

    /// Takes what has arrived and sends a byte, if the port is ready; returns whether anything moved.
    ///
    /// A byte at a time each way: a port without a separate queue loses what is not fetched while a frame leaves.
    pub(crate) fn pump(&mut self, reply: &[u8]) -> Result<bool, ErrorKind> {
        let mut moved = false;
        while self.serial.read_ready().map_err(|e| e.kind())? {
            let space = self.deframer.space();
            if space.is_empty() {
                break;
            }
            let count = self.serial.read(space).map_err(|e| e.kind())?;
            self.deframer.filled(count);
            moved |= count > 0;
        }
        let Some(front) = self.outbox.front() else {
            return Ok(moved);
        };
        let frame = match front {
            Outgoing::Hello => &self.hello,
            Outgoing::Reply => reply,
        };
        let Some(byte) = frame.get(self.sent..).and_then(|rest| rest.get(..1)) else {
            self.outbox.pop_front();
            self.sent = 0;
            return Ok(true);
        };
        if self.serial.write_ready().map_err(|e| e.kind())? {
            self.sent += self.serial.write(byte).map_err(|e| e.kind())?;
            moved = true;
        }
        Ok(moved)
    }
}
