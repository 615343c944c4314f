//! Connections before and after they are a client's: strangers, newcomers to a place that is taken, lines that are sent away.

use std::io;
use std::time::{Duration, Instant};

use super::super::line::{Event, Line};
use super::super::{Limits, TransportError};
use super::Accept;
use super::roster::{Guest, Roster, of_this_version};

/// A line, and since when it waits.
type Since<S> = (Instant, Line<S>);

/// Descriptors that are kept free for the rest of the program once the system has said that there are no more.
const SPARE: usize = 4;

/// Everything that is connected and no peer.
#[derive(Debug)]
pub(super) struct Gate<A: Accept> {
    door: A,
    /// Most strangers, and most lines that leave.
    room: usize,
    /// Lines that have not said Hello.
    strangers: Vec<Since<A::Stream>>,
    /// Lines of clients whose place is taken by a line that lives.
    waiting: Vec<(Guest, Since<A::Stream>)>,
    /// Lines that hear why they are not served, and close.
    leaving: Vec<Since<A::Stream>>,
    /// Why a line was sent away last, or why none could be taken in.
    pub(super) refused: Option<TransportError>,
}

impl<A: Accept> Gate<A> {
    pub(super) fn new(door: A, limits: &Limits) -> Self {
        Self {
            door,
            room: limits.strangers.max(1),
            strangers: Vec::new(),
            waiting: Vec::new(),
            leaving: Vec::new(),
            refused: None,
        }
    }

    /// Takes in a connection if there is one, and looks at all: clients that have said who they are wait for their place. Returns
    /// whether anything moved.
    pub(super) fn look(
        &mut self,
        roster: &Roster,
        limits: &Limits,
    ) -> Result<bool, TransportError> {
        let mut moved = self.accept(limits)?;
        self.leaving.retain_mut(|(since, line)| {
            line.flush();
            // What it says is of no interest; its end is.
            line.poll(limits.frame_timeout);
            !line.is_closed() && since.elapsed() < limits.frame_timeout
        });
        for (since, mut line) in std::mem::take(&mut self.strangers) {
            match line.poll(limits.frame_timeout) {
                Some(Event::Frame(frame)) => {
                    moved = true;
                    match roster.check(&frame) {
                        Ok(guest) => self.wait(guest, line, roster),
                        Err(rejection) => {
                            self.refused = Some(rejection.error);
                            if let Some(answer) = rejection.answer {
                                self.dismiss(line, &answer);
                            }
                        }
                    }
                }
                Some(Event::Version(found)) => {
                    moved = true;
                    self.refused = Some(TransportError::Version { found });
                    self.dismiss(line, &of_this_version()?);
                }
                event => {
                    moved |= event.is_some();
                    if !line.is_closed() && since.elapsed() < limits.join_timeout {
                        self.strangers.push((since, line));
                    }
                }
            }
        }
        Ok(moved)
    }

    fn accept(&mut self, limits: &Limits) -> Result<bool, TransportError> {
        match self.door.accept() {
            Ok(None) => Ok(false),
            Ok(Some(stream)) => {
                if self.strangers.len() >= self.room {
                    self.strangers.remove(0);
                }
                let line = Line::new(stream, limits.frame);
                self.strangers.push((Instant::now(), line));
                Ok(true)
            }
            Err(source) if is_exhausted(&source) => {
                self.shed();
                let what = "no more connections can be taken in";
                self.refused = Some(TransportError::Io { what, source });
                Ok(false)
            }
            Err(source) => Err(TransportError::Io {
                what: "the listener failed",
                source,
            }),
        }
    }

    /// Closes the oldest lines that are nobody's, and keeps fewer from here on.
    fn shed(&mut self) {
        let open = self.strangers.len() + self.leaving.len();
        self.room = self.room.min(open.saturating_sub(SPARE).max(1));
        let leaving = self.leaving.len().min(SPARE);
        self.leaving.drain(..leaving);
        let strangers = self.strangers.len().min(SPARE - leaving);
        self.strangers.drain(..strangers);
    }

    /// Lets a line wait until the line that has its place is silent. One that waits for the same place gives way.
    fn wait(&mut self, guest: Guest, line: Line<A::Stream>, roster: &Roster) {
        if let Some(at) = self.waiting.iter().position(|(g, _)| g.id == guest.id) {
            let (_, (_, older)) = self.waiting.remove(at);
            self.displace(guest.id, older, roster);
        }
        self.waiting.push((guest, (Instant::now(), line)));
    }

    /// Lines whose place is free by now; those that have waited for `patience` without that are sent away.
    pub(super) fn admitted(
        &mut self,
        is_free: impl Fn(u32) -> bool,
        roster: &Roster,
        patience: Duration,
        limits: &Limits,
    ) -> Vec<(Guest, Line<A::Stream>)> {
        let mut guests = Vec::new();
        for (guest, (since, mut line)) in std::mem::take(&mut self.waiting) {
            // It may say Hello again meanwhile, which changes nothing.
            let event = line.poll(limits.frame_timeout);
            if line.is_closed() && event.is_none() {
                continue;
            }
            if is_free(guest.id) {
                guests.push((guest, line));
            } else if since.elapsed() >= patience {
                self.displace(guest.id, line, roster);
            } else {
                self.waiting.push((guest, (since, line)));
            }
        }
        guests
    }

    /// Sends away a line whose place another one has.
    pub(super) fn displace(&mut self, id: u32, line: Line<A::Stream>, roster: &Roster) {
        if let Ok(answer) = roster.farewell(id, 0) {
            self.dismiss(line, &answer);
        }
    }

    /// Says a last word to a line.
    pub(super) fn dismiss(&mut self, mut line: Line<A::Stream>, answer: &[u8]) {
        line.send(answer);
        if self.leaving.len() >= self.room {
            self.leaving.remove(0);
        }
        self.leaving.push((Instant::now(), line));
    }
}

/// Whether the system has no descriptor or memory left for one more connection: the ones that are there go on.
fn is_exhausted(error: &io::Error) -> bool {
    #[cfg(windows)]
    const NONE_LEFT: [i32; 2] = [10024, 10055];
    // EMFILE, ENFILE, ENOMEM; ENOBUFS of Linux and of the BSDs.
    #[cfg(not(windows))]
    const NONE_LEFT: [i32; 5] = [24, 23, 12, 105, 55];
    error
        .raw_os_error()
        .is_some_and(|code| NONE_LEFT.contains(&code))
}
