//! The server's side: one thread that looks at every line in turn.

mod gate;
mod peer;
mod roster;

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use thalweg::federated::{ProtocolError, Run};
use thalweg::wire::{Checked, DecodeError, Expect, Fingerprint, Kind, decode};

use super::line::{Event, Idle};
use super::{Limits, TransportError};
use gate::Gate;
use peer::Peer;
use roster::Roster;

pub(super) use roster::{ABORTED, REFUSED};

/// Where streams come from.
pub trait Accept {
    /// A stream whose calls come back soon.
    type Stream: Read + Write;
    /// The next stream, if one is here; never waits.
    ///
    /// # Errors
    /// When no stream will come any more.
    fn accept(&mut self) -> io::Result<Option<Self::Stream>>;
}

/// Streams that are there from the beginning: serial lines.
#[derive(Clone, Debug)]
pub struct Fixed<S>(pub Vec<S>);

impl<S: Read + Write> Accept for Fixed<S> {
    type Stream = S;

    fn accept(&mut self) -> io::Result<Option<S>> {
        Ok(self.0.pop())
    }
}

/// What opens a round.
#[derive(Clone, Copy, Debug)]
pub struct Opening<'a> {
    /// The round.
    pub round: u64,
    /// The frame for clients that took part in the round before.
    pub frame: &'a [u8],
    /// The frame for those that did not: the model.
    pub welcome: &'a [u8],
}

/// Why a round has no reply of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Absence {
    /// It said nothing in time, or is not connected.
    Silent,
    /// It said that it sits the round out: it joined late, or its numbers are not finite.
    SatOut,
    /// It sent a whole frame whose content is refused.
    Refused(ProtocolError),
    /// It was sent away, since its replies were refused too often.
    SentAway,
}

/// The frame of a reply, checked where it arrived.
pub type Reply = Checked<Vec<u8>>;

/// What a client has said in a round.
#[derive(Clone)]
enum Answer {
    Awaited,
    Missing(Absence),
    Given(Reply),
}

impl Answer {
    const fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited)
    }

    const fn is_given(&self) -> bool {
        matches!(self, Self::Given(_))
    }
}

/// Refused replies after which a client is sent away, in a run.
const REFUSALS: u32 = 3;

/// A server and its clients.
#[derive(Debug)]
pub struct Server<A: Accept> {
    run: Run,
    roster: Roster,
    limits: Limits,
    gate: Gate<A>,
    peers: Vec<Peer<A::Stream>>,
    /// Of the round before.
    absences: Vec<(u32, Absence)>,
    left_out: u64,
}

impl<A: Accept> Server<A> {
    /// A server that nobody has joined; `samples` holds the rows of each client, by number.
    pub fn new(door: A, seed: u64, d: u32, samples: &[u64], limits: Limits) -> Self {
        Self {
            run: Run {
                seed,
                clients: samples.len() as u32,
            },
            roster: Roster {
                seed,
                d,
                samples: samples.to_vec(),
                fingerprint: Fingerprint::new(0),
            },
            gate: Gate::new(door, &limits),
            limits,
            peers: samples.iter().map(|_| Peer::new()).collect(),
            absences: Vec::new(),
            left_out: 0,
        }
    }

    /// States the fingerprint of the settings, of which the lower 24 bits count: clients that state another one are sent away.
    #[must_use]
    pub fn with_settings(mut self, settings: u32) -> Self {
        self.roster.fingerprint = Fingerprint::new(settings);
        self
    }

    /// How often a client was left out of a round: it was silent, or its reply was refused here.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Deadlines and sizes.
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The clients that have no reply in the round before, in their order, and why.
    pub fn absences(&self) -> &[(u32, Absence)] {
        &self.absences
    }

    /// Waits until every client has joined.
    ///
    /// # Errors
    /// After [`Limits::join_timeout`]: why a client was sent away, or [`TransportError::NotJoined`]; [`TransportError::Io`].
    pub fn join(&mut self) -> Result<(), TransportError> {
        let began = Instant::now();
        let here = self.roster.control(Kind::Ack, 0)?;
        let mut idle = Idle::new();
        loop {
            let mut moved = self.admit(&here, None)?;
            for peer in &mut self.peers {
                if peer.poll(&self.limits).is_some() {
                    // Whoever asks while others are missing hears that the server is there.
                    moved = true;
                    peer.send(&here);
                }
            }
            let Some(missing) = self.peers.iter().position(|peer| !peer.is_here()) else {
                return Ok(());
            };
            if began.elapsed() >= self.limits.join_timeout {
                let refused = self.gate.refused.take();
                return Err(refused.unwrap_or(TransportError::NotJoined {
                    missing: missing as u32,
                    clients: self.run.clients,
                    waited: self.limits.join_timeout,
                }));
            }
            idle.rest(moved, self.limits.pause);
        }
    }

    /// Opens a round and collects the replies, by client; `None` for one that is left out, for the reason in
    /// [`absences`](Self::absences).
    ///
    /// A reply is complete, canonical, finite, and of this run, round and client; whether it is the message of the protocol is for
    /// the protocol to say. The first one counts. If the protocol refuses it, call [`refuse`](Self::refuse).
    ///
    /// A client that misses rounds which wait for it is waited for a quarter as long from miss to miss, and at most as long
    /// as all others took once more; eight replies make up for a miss.
    ///
    /// # Errors
    /// [`TransportError::NoReply`] when no client replied within [`Limits::round_timeout`]: nothing has changed, and the round may be
    /// opened again. [`TransportError::NotFinite`] when every client that could take part has said that it cannot;
    /// [`TransportError::Io`] when the listener failed.
    pub fn round(&mut self, opening: &Opening<'_>) -> Result<Vec<Option<Reply>>, TransportError> {
        let began = Instant::now();
        let here = self.roster.control(Kind::Ack, opening.round)?;
        let mut answers = vec![Answer::Awaited; self.peers.len()];
        for peer in &mut self.peers {
            peer.open(opening);
        }
        let mut idle = Idle::new();
        // When all that is waited for with full patience was there.
        let mut settled = None;
        loop {
            let mut moved = self.admit(&here, Some(opening))?;
            for (id, (peer, answer)) in (0..).zip(self.peers.iter_mut().zip(&mut answers)) {
                match peer.poll(&self.limits) {
                    Some(Event::Frame(frame)) => {
                        moved = true;
                        hear(&self.roster, id, peer, frame, opening, answer);
                    }
                    Some(_) => {
                        moved = true;
                        peer.open(opening);
                    }
                    None => moved |= peer.has_moved(),
                }
                if !answer.is_given() && peer.asked.elapsed() >= self.limits.frame_timeout {
                    peer.open(opening);
                }
            }
            let elapsed = began.elapsed();
            if self.is_over(&answers, elapsed, &mut settled) {
                break;
            }
            idle.rest(moved, self.limits.pause);
        }
        self.close(opening, answers)
    }

    /// Whether a round need not wait any longer.
    fn is_over(
        &self,
        answers: &[Answer],
        elapsed: Duration,
        settled: &mut Option<Duration>,
    ) -> bool {
        let whole = self.limits.round_timeout;
        if elapsed >= whole {
            return true;
        }
        if !answers.iter().any(Answer::is_given) {
            let sat_out = |a: &Answer| matches!(a, Answer::Missing(Absence::SatOut));
            return answers.iter().all(sat_out);
        }
        let both = || self.peers.iter().zip(answers);
        let awaited = |(peer, answer): &(&Peer<_>, &Answer)| answer.is_awaited() && !peer.away;
        let is_trusted = |(peer, _): &(&Peer<_>, &Answer)| peer.patience(whole) == whole;
        if !both().filter(is_trusted).any(|pair| awaited(&pair)) {
            settled.get_or_insert(elapsed);
        }
        let Some(settled) = *settled else {
            return false;
        };
        let is_due = |(peer, _): (&Peer<_>, &Answer)| {
            elapsed >= peer.patience(whole) && elapsed >= 2 * settled
        };
        both().filter(awaited).all(is_due)
    }

    /// Draws the conclusions for every client, and hands over the replies.
    fn close(
        &mut self,
        opening: &Opening<'_>,
        answers: Vec<Answer>,
    ) -> Result<Vec<Option<Reply>>, TransportError> {
        let round = opening.round;
        let is_quiet = !answers.iter().any(Answer::is_given);
        let gone = self.roster.control(Kind::Drop, round)?;
        self.absences.clear();
        let mut replies = Vec::new();
        for (id, (peer, answer)) in (0..).zip(self.peers.iter_mut().zip(answers)) {
            let absence = match answer {
                Answer::Given(frame) => {
                    peer.has_replied(round);
                    replies.push(Some(frame));
                    continue;
                }
                Answer::Awaited => {
                    if !is_quiet {
                        self.left_out += 1;
                        peer.has_missed(&gone);
                    }
                    if peer.refusals < REFUSALS {
                        Absence::Silent
                    } else {
                        Absence::SentAway
                    }
                }
                Answer::Missing(absence) => absence,
            };
            self.absences.push((id, absence));
            replies.push(None);
        }
        let refused = self.absences.iter();
        let refused = refused.filter(|(_, absence)| matches!(absence, Absence::Refused(_)));
        for client in refused.map(|&(id, _)| id).collect::<Vec<_>>() {
            self.left_out += u64::from(!is_quiet);
            self.refuse(client)?;
        }
        if !is_quiet {
            return Ok(replies);
        }
        let sat_out = |(_, absence): &&(u32, Absence)| matches!(absence, Absence::SatOut);
        let passed = self.absences.iter().filter(sat_out).count();
        // Nobody is late in the first round, and who replied to the round before is not late in this one.
        let followed = |peer: &Peer<_>| peer.replied == round.checked_sub(1);
        if passed == self.peers.len() && self.peers.iter().all(followed) {
            return Err(TransportError::NotFinite { round });
        }
        Err(TransportError::NoReply {
            round,
            passed,
            waited: self.limits.round_timeout,
        })
    }

    /// States that the protocol has refused the reply of a client: it goes on with the model, and is sent away after three refusals.
    ///
    /// # Errors
    /// None for a number below the number of clients.
    pub fn refuse(&mut self, client: u32) -> Result<(), TransportError> {
        let peer = self.peers.get_mut(client as usize);
        let peer = peer.ok_or(TransportError::NoSuchClient { client })?;
        peer.behind = true;
        peer.refusals += 1;
        if peer.refusals < REFUSALS {
            return Ok(());
        }
        peer.away = true;
        if let Some(line) = peer.leave() {
            let answer = self.roster.farewell(client, REFUSED)?;
            self.gate.dismiss(line, &answer);
        }
        Ok(())
    }

    /// States to every client that the run is finished, until it has closed its line or five frame times have passed.
    ///
    /// # Errors
    /// [`TransportError::Io`] when the listener failed.
    pub fn stop(&mut self) -> Result<(), TransportError> {
        self.part(0)
    }

    /// As [`stop`](Self::stop), for a run that ends early: its clients end with [`TransportError::Aborted`].
    ///
    /// # Errors
    /// [`TransportError::Io`] when the listener failed.
    pub fn abort(&mut self) -> Result<(), TransportError> {
        self.part(ABORTED)
    }

    fn part(&mut self, how: u64) -> Result<(), TransportError> {
        let began = Instant::now();
        let stop = self.roster.control(Kind::Stop, how)?;
        for peer in &mut self.peers {
            peer.send(&stop);
        }
        let mut idle = Idle::new();
        while self.peers.iter().any(Peer::is_here)
            && began.elapsed() < 5 * self.limits.frame_timeout
        {
            let mut moved = self.admit(&stop, None)?;
            for peer in &mut self.peers {
                if peer.poll(&self.limits).is_some() {
                    moved = true;
                    peer.send(&stop);
                }
            }
            idle.rest(moved, self.limits.pause);
        }
        Ok(())
    }

    /// Takes in connections; a stranger that says Hello becomes a peer and is sent what it needs.
    fn admit(
        &mut self,
        greeting: &[u8],
        opening: Option<&Opening<'_>>,
    ) -> Result<bool, TransportError> {
        let moved = self.gate.look(&self.roster, &self.limits)?;
        // A line that has answered keeps its place for as long as a client lets pass between two messages, and some more.
        let alive = 2 * self.limits.frame_timeout;
        let peers = &self.peers;
        let is_free = |id: u32| !peers.get(id as usize).is_some_and(|p| p.is_alive(alive));
        let guests = self
            .gate
            .admitted(is_free, &self.roster, alive, &self.limits);
        for (guest, line) in guests {
            let Some(peer) = self.peers.get_mut(guest.id as usize) else {
                continue;
            };
            let older = peer.seat(line);
            match opening {
                Some(opening) => peer.hello(guest.wanted, opening),
                None => peer.send(greeting),
            }
            if let Some(older) = older {
                self.gate.displace(guest.id, older, &self.roster);
            }
        }
        Ok(moved)
    }
}

/// Reads a frame of a peer while a round is open.
fn hear<S: Read + Write>(
    roster: &Roster,
    id: u32,
    peer: &mut Peer<S>,
    frame: Vec<u8>,
    opening: &Opening<'_>,
    answer: &mut Answer,
) {
    let expect = Expect {
        client: Some(id),
        seed: Some(roster.seed),
        d: Some(roster.d),
        ..Expect::default()
    };
    let frame = match Checked::new(frame, &expect) {
        Ok(frame) => frame,
        Err((bytes, _)) => {
            let expect = Expect {
                round: Some(opening.round),
                ..expect
            };
            match decode(&bytes, &expect) {
                // The fault is in the content alone: it is what the client has to say.
                Err(error) if is_content(&error) => {
                    peer.has_answered();
                    if !answer.is_given() {
                        *answer = Answer::Missing(Absence::Refused(error.into()));
                    }
                }
                // What is not of this run is noise; what is of another round is late.
                _ => {}
            }
            return;
        }
    };
    let header = frame.frame().header;
    if header.kind == Kind::Hello {
        peer.away = false;
        peer.hello(header.round, opening);
    } else if header.round == opening.round {
        peer.behind = false;
        peer.away = false;
        peer.has_answered();
        if !answer.is_given() {
            *answer = match header.kind {
                Kind::Drop => Answer::Missing(Absence::SatOut),
                Kind::Model | Kind::Estimate | Kind::Round | Kind::Ack | Kind::Stop => {
                    // A server says so, never a client.
                    let (expected, found) = (Kind::Dense, header.kind);
                    let error = DecodeError::WrongKind { expected, found };
                    Answer::Missing(Absence::Refused(error.into()))
                }
                _ => Answer::Given(frame),
            };
        }
    }
}

/// Whether a frame is right but for the values that it carries.
const fn is_content(error: &DecodeError) -> bool {
    matches!(
        error,
        DecodeError::NonFinite { .. }
            | DecodeError::NonFiniteFlag
            | DecodeError::NonCanonical { .. }
            | DecodeError::IndexOrder { .. }
            | DecodeError::IndexRange { .. }
            | DecodeError::LevelRange { .. }
    )
}
