//! One stream: frames in, frames out, never a wait.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use thalweg::wire::{DecodeError, Deframer};

/// Frames that wait to be sent: the one that is under way, and the newest behind it.
const OUTBOX: usize = 2;

/// Damaged frames in a row that end a line. Each costs at most one check of the longest frame, so a forger of nested headers costs
/// so many of them, and has to connect again.
const DAMAGED: u32 = 64;

/// Bytes outside frames that end a line on which no frame has arrived yet, in longest frames of at least [`SHORT`] bytes.
const NOISE: u64 = 4;

/// See [`NOISE`].
const SHORT: u64 = 4096;

/// What a line has to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A frame with the right checks.
    Frame(Vec<u8>),
    /// A frame had begun, and its bytes are wrong or its end did not come in time.
    Damaged,
    /// The first bytes of the line begin a frame of this major version.
    Version(u8),
}

/// Pauses while nothing moves: a share of the silence so far, so that a long wait costs no processor time and no answer waits for
/// more than a sixteenth of the time that it took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Idle(Instant);

/// The longest pause.
const LONGEST: Duration = Duration::from_millis(20);

impl Idle {
    pub(super) fn new() -> Self {
        Self(Instant::now())
    }

    /// Sleeps for at least `shortest`, unless something has moved.
    pub(super) fn rest(&mut self, moved: bool, shortest: Duration) {
        if moved {
            self.0 = Instant::now();
            return;
        }
        let pause = (self.0.elapsed() / 16).min(LONGEST);
        std::thread::sleep(pause.max(shortest));
    }
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
    /// Damaged frames since the last good one.
    damaged: u32,
    /// Whether a good frame has arrived, and the bytes outside frames that end the line before one has.
    is_known: bool,
    noise: u64,
    moved: bool,
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
            damaged: 0,
            is_known: false,
            noise: NOISE * SHORT.max(frame as u64),
            moved: false,
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

    /// Whether bytes went either way since this was asked last.
    pub(super) const fn has_moved(&mut self) -> bool {
        std::mem::replace(&mut self.moved, false)
    }

    /// Hands to the stream what it takes.
    pub(super) fn flush(&mut self) {
        while let (Some(frame), false) = (self.outbox.front(), self.closed) {
            match self
                .stream
                .write(frame.get(self.sent..).unwrap_or_default())
            {
                Ok(0) => self.closed = true,
                Ok(n) => {
                    self.moved = true;
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
    }

    /// The next event, if one is here; reads once at most.
    pub(super) fn poll(&mut self, timeout: Duration) -> Option<Event> {
        if let Some(event) = self.take() {
            return Some(event);
        }
        if !self.closed {
            match self.stream.read(self.deframer.space()) {
                Ok(0) => self.closed = true,
                Ok(n) => {
                    self.moved = true;
                    self.deframer.filled(n);
                }
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
        self.take().or_else(|| Some(self.refuse()))
    }

    fn take(&mut self) -> Option<Event> {
        if self.is_spent() {
            return None;
        }
        let is_first = self.deframer.skipped() == 0 && !self.is_known;
        let found = self.deframer.next()?;
        self.began = None;
        match found {
            Ok(frame) => {
                let event = Event::Frame(frame.to_vec());
                (self.damaged, self.is_known) = (0, true);
                Some(event)
            }
            Err(DecodeError::Version { found }) if is_first => Some(Event::Version(found)),
            Err(_) => Some(self.refuse()),
        }
    }

    fn refuse(&mut self) -> Event {
        self.damaged += 1;
        Event::Damaged
    }

    /// Whether the line has sent nothing but damage for too long; it is closed then.
    pub(super) fn is_spent(&mut self) -> bool {
        let is_noise = !self.is_known && self.deframer.skipped() > self.noise;
        let is_spent = self.damaged >= DAMAGED || is_noise;
        self.closed |= is_spent;
        is_spent
    }
}

fn is_idle(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
