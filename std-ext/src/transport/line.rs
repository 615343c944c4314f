//! One stream: frames in, frames out, never a wait.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use thalweg::wire::Deframer;

/// Frames that wait to be sent: the one that is under way, and the newest behind it.
const OUTBOX: usize = 2;

/// What a line has to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A frame with the right checks.
    Frame(Vec<u8>),
    /// A frame had begun, and its bytes are wrong or its end did not come in time.
    Damaged,
}

/// A stream with its buffers.
#[derive(Debug)]
pub(super) struct Line<S> {
    stream: S,
    deframer: Deframer<Vec<u8>>,
    /// Frames to send, and how much of the first is gone.
    outbox: VecDeque<Vec<u8>>,
    sent: usize,
    /// When the frame began that is arriving.
    began: Option<Instant>,
    closed: bool,
}

impl<S: Read + Write> Line<S> {
    pub(super) fn new(stream: S, frame: usize) -> Self {
        Self {
            stream,
            deframer: Deframer::new(vec![0; frame]),
            outbox: VecDeque::new(),
            sent: 0,
            began: None,
            closed: false,
        }
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    /// Queues a frame. Behind the one that is under way stands only the newest: a slow reader misses messages, and no
    /// memory grows. The last frame is not queued twice.
    pub(super) fn send(&mut self, frame: &[u8]) {
        if self.outbox.back().is_none_or(|last| last != frame) {
            self.outbox.truncate(OUTBOX - 1);
            self.outbox.push_back(frame.to_vec());
        }
        self.flush();
    }

    /// Hands to the stream what it takes; answers whether anything moved.
    pub(super) fn flush(&mut self) -> bool {
        let mut moved = false;
        while let (Some(frame), false) = (self.outbox.front(), self.closed) {
            match self
                .stream
                .write(frame.get(self.sent..).unwrap_or_default())
            {
                Ok(0) => self.closed = true,
                Ok(n) => {
                    moved = true;
                    self.sent += n;
                    if self.sent >= frame.len() {
                        self.outbox.pop_front();
                        self.sent = 0;
                    }
                }
                Err(error) if is_idle(error.kind()) => break,
                Err(_) => self.closed = true,
            }
        }
        moved
    }

    /// The next event, if one is here; reads once at most.
    pub(super) fn poll(&mut self, timeout: Duration) -> Option<Event> {
        if let Some(event) = self.take() {
            return Some(event);
        }
        if !self.closed {
            match self.stream.read(self.deframer.space()) {
                Ok(0) => self.closed = true,
                Ok(n) => self.deframer.filled(n),
                Err(error) if is_idle(error.kind()) => {}
                Err(_) => self.closed = true,
            }
        }
        if let Some(event) = self.take() {
            return Some(event);
        }
        if self.deframer.pending() == 0 {
            self.began = None;
            return None;
        }
        // Dripping does not help: the clock runs from the first byte of the frame.
        if self.began.get_or_insert_with(Instant::now).elapsed() < timeout {
            return None;
        }
        self.began = None;
        self.deframer.expire();
        Some(self.take().unwrap_or(Event::Damaged))
    }

    fn take(&mut self) -> Option<Event> {
        let found = self.deframer.next()?;
        self.began = None;
        Some(match found {
            Ok(frame) => Event::Frame(frame.to_vec()),
            Err(_) => Event::Damaged,
        })
    }
}

fn is_idle(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
