//! A client as the server sees it, connected or not.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::super::Limits;
use super::super::line::{Event, Line};
use super::Opening;

/// Replies that make up for a round that waited in vain.
const PENANCE: u32 = 8;

/// Misses beyond which patience does not shrink: it is a millionth by then.
const MISSES: u32 = 10;

/// A client, connected or not.
#[derive(Debug)]
pub(super) struct Peer<S> {
    line: Option<Line<S>>,
    /// It missed something, and needs the model.
    pub(super) behind: bool,
    /// It was silent for a whole round; until it asks or answers again no round waits for it.
    pub(super) away: bool,
    pub(super) asked: Instant,
    /// Its last reply.
    pub(super) replied: Option<u64>,
    /// Refused replies.
    pub(super) refusals: u32,
    /// Rounds that waited for it in vain, in [`PENANCE`]s; each reply takes one off.
    misses: u32,
    /// Its line has answered a round.
    has_answered: bool,
    /// When a frame came on its line.
    heard: Instant,
}

impl<S: Read + Write> Peer<S> {
    pub(super) fn new() -> Self {
        Self {
            line: None,
            behind: false,
            away: false,
            asked: Instant::now(),
            replied: None,
            refusals: 0,
            misses: 0,
            has_answered: false,
            heard: Instant::now(),
        }
    }

    pub(super) const fn is_here(&self) -> bool {
        self.line.is_some()
    }

    /// Whether its line has answered a round, and said something lately.
    pub(super) fn is_alive(&self, lately: Duration) -> bool {
        self.line.is_some() && self.has_answered && self.heard.elapsed() < lately
    }

    /// Takes a line; the older one, if there is one.
    pub(super) fn seat(&mut self, line: Line<S>) -> Option<Line<S>> {
        (self.away, self.has_answered) = (false, false);
        self.line.replace(line)
    }

    /// Gives up the line.
    pub(super) const fn leave(&mut self) -> Option<Line<S>> {
        self.line.take()
    }

    pub(super) const fn has_answered(&mut self) {
        self.has_answered = true;
    }

    pub(super) const fn has_replied(&mut self, round: u64) {
        self.replied = Some(round);
        self.misses = self.misses.saturating_sub(1);
    }

    /// The round was closed without it.
    pub(super) fn has_missed(&mut self, gone: &[u8]) {
        // Nobody waited for one that was away.
        if !self.away {
            self.misses = (self.misses + PENANCE).min(MISSES * PENANCE);
        }
        // Its state may have moved with an answer that never came.
        self.behind = true;
        self.away = true;
        self.send(gone);
    }

    /// How long a round waits for it, if it waits `whole` for others.
    pub(super) fn patience(&self, whole: Duration) -> Duration {
        whole / (1 << (2 * self.misses.div_ceil(PENANCE)))
    }

    pub(super) fn send(&mut self, frame: &[u8]) {
        if let Some(line) = &mut self.line {
            line.send(frame);
        }
    }

    /// Sends, again if need be, what opens the round for this client.
    pub(super) fn open(&mut self, opening: &Opening<'_>) {
        self.asked = Instant::now();
        self.send(if self.behind {
            opening.welcome
        } else {
            opening.frame
        });
    }

    /// Replies to a client that wants a round. It can follow if that is the open one, or the next: then it has answered.
    pub(super) fn hello(&mut self, wanted: u64, opening: &Opening<'_>) {
        let follows = wanted == opening.round || wanted == opening.round.saturating_add(1);
        self.behind |= !follows;
        self.open(opening);
    }

    /// Whether bytes went either way since this was asked last.
    pub(super) fn has_moved(&mut self) -> bool {
        self.line.as_mut().is_some_and(Line::has_moved)
    }

    /// Moves bytes both ways; the next event. A line that has ended is given up.
    pub(super) fn poll(&mut self, limits: &Limits) -> Option<Event> {
        let line = self.line.as_mut()?;
        line.flush();
        let event = line.poll(limits.frame_timeout);
        if matches!(event, Some(Event::Frame(_))) {
            self.heard = Instant::now();
        }
        if line.is_closed() && event.is_none() {
            // Nobody waits for one whose line was closed for what it sent.
            self.away |= line.is_spent();
            self.line = None;
        }
        event
    }
}
