//! The server's side: one thread that looks at every line in turn.

use std::io::{self, Read, Write};
use std::time::Instant;

use thalweg::federated::{ProtocolError, Run};
use thalweg::wire::{Body, Dtype, Expect, Header, Kind, Payload, SERVER, decode, encode_into};

use super::line::{Event, Line};
use super::{Limits, TransportError};

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

/// A client, connected or not.
#[derive(Debug)]
struct Peer<S> {
    line: Option<Line<S>>,
    /// It missed something, and needs the model.
    behind: bool,
    /// It was silent for a whole round; until it asks or answers again no round waits for it.
    away: bool,
    asked: Instant,
}

/// What a client has said in a round.
#[derive(Clone)]
enum Answer {
    Awaited,
    Passed,
    Given(Vec<u8>),
}

/// A server and its clients.
#[derive(Debug)]
pub struct Server<A: Accept> {
    door: A,
    run: Run,
    d: u32,
    samples: Vec<u64>,
    limits: Limits,
    settings: u32,
    /// Lines that have not said Hello.
    strangers: Vec<(Instant, Line<A::Stream>)>,
    /// Lines that are told why they are not served, and close.
    leaving: Vec<(Instant, Line<A::Stream>)>,
    peers: Vec<Peer<A::Stream>>,
    /// Why a client was sent away last.
    refused: Option<TransportError>,
    left_out: u64,
}

impl<A: Accept> Server<A> {
    /// A server that nobody has joined; `samples` holds the rows of each client, by number.
    pub fn new(door: A, seed: u64, d: u32, samples: &[u64], limits: Limits) -> Self {
        let peer = |_: &u64| Peer {
            line: None,
            behind: false,
            away: false,
            asked: Instant::now(),
        };
        Self {
            door,
            run: Run {
                seed,
                clients: samples.len() as u32,
            },
            d,
            samples: samples.to_vec(),
            limits,
            settings: 0,
            strangers: Vec::new(),
            leaving: Vec::new(),
            peers: samples.iter().map(peer).collect(),
            refused: None,
            left_out: 0,
        }
    }

    /// States the fingerprint of the settings: clients that state another one are sent away.
    #[must_use]
    pub fn with_settings(self, settings: u32) -> Self {
        Self { settings, ..self }
    }

    /// How often a client was left out of a round.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Waits until every client has joined.
    ///
    /// # Errors
    /// After [`Limits::join_timeout`]: why a client was sent away, or [`TransportError::NotJoined`]; [`TransportError::Io`].
    pub fn join(&mut self) -> Result<(), TransportError> {
        let began = Instant::now();
        let here = self.control(Kind::Ack, 0)?;
        loop {
            let mut moved = self.admit(&here, None)?;
            for peer in &mut self.peers {
                if peer.poll(&self.limits).is_some() {
                    // Whoever asks while others are missing hears that the server is there.
                    moved = true;
                    peer.send(&here);
                }
            }
            let Some(missing) = self.peers.iter().position(|peer| peer.line.is_none()) else {
                return Ok(());
            };
            if began.elapsed() >= self.limits.join_timeout {
                return Err(self.refused.take().unwrap_or(TransportError::NotJoined {
                    missing: missing as u32,
                    clients: self.run.clients,
                    waited: self.limits.join_timeout,
                }));
            }
            self.rest(moved);
        }
    }

    /// Opens a round and collects the replies, by client; `None` for one that is left out.
    ///
    /// A reply is whole, canonical, and of this run, round and client; whether it is the message of the protocol is for the
    /// protocol to say.
    ///
    /// # Errors
    /// [`TransportError::NoReply`] when no client replied; [`TransportError::Io`] when the listener failed.
    pub fn round(&mut self, opening: &Opening<'_>) -> Result<Vec<Option<Vec<u8>>>, TransportError> {
        let began = Instant::now();
        let here = self.control(Kind::Ack, opening.round)?;
        let mut answers = vec![Answer::Awaited; self.peers.len()];
        for peer in &mut self.peers {
            peer.open(opening);
        }
        loop {
            let mut moved = self.admit(&here, Some(opening))?;
            for (id, (peer, answer)) in self.peers.iter_mut().zip(&mut answers).enumerate() {
                let event = peer.poll(&self.limits);
                moved |= event.is_some();
                match event {
                    Some(Event::Frame(frame)) => {
                        let expect = Expect {
                            client: Some(id as u32),
                            seed: Some(self.run.seed),
                            d: Some(self.d),
                            ..Expect::default()
                        };
                        // What is not of this run is noise; what is of another round is late.
                        let Ok(header) = decode(&frame, &expect).map(|frame| frame.header) else {
                            continue;
                        };
                        if header.kind == Kind::Hello {
                            peer.away = false;
                            peer.hello(header.round, opening);
                        } else if header.round == opening.round {
                            peer.behind = false;
                            peer.away = false;
                            if matches!(answer, Answer::Awaited) {
                                *answer = match header.kind {
                                    Kind::Drop => Answer::Passed,
                                    _ => Answer::Given(frame),
                                };
                            }
                        }
                    }
                    Some(Event::Damaged) => peer.open(opening),
                    None => {}
                }
                let awaited = matches!(answer, Answer::Awaited);
                if awaited && peer.asked.elapsed() >= self.limits.frame_timeout {
                    peer.open(opening);
                }
            }
            let done = self
                .peers
                .iter()
                .zip(&answers)
                .all(|(peer, answer)| peer.away || !matches!(answer, Answer::Awaited));
            let given = answers.iter().any(|a| !matches!(a, Answer::Awaited));
            if (done && given) || began.elapsed() >= self.limits.round_timeout {
                break;
            }
            self.rest(moved);
        }
        let gone = self.control(Kind::Drop, opening.round)?;
        for (peer, answer) in self.peers.iter_mut().zip(&answers) {
            if matches!(answer, Answer::Awaited) {
                // Its state may have moved with an answer that never came.
                peer.behind = true;
                peer.away = true;
                peer.send(&gone);
                self.left_out += 1;
            }
        }
        if !answers.iter().any(|a| matches!(a, Answer::Given(_))) {
            let passed = answers.iter().filter(|a| matches!(a, Answer::Passed));
            return Err(TransportError::NoReply {
                round: opening.round,
                passed: passed.count(),
                waited: self.limits.round_timeout,
            });
        }
        let replies = answers.into_iter().map(|answer| match answer {
            Answer::Given(frame) => Some(frame),
            _ => None,
        });
        Ok(replies.collect())
    }

    /// Tells every client that the run is over, until it has closed its line or five frame times have passed.
    ///
    /// # Errors
    /// [`TransportError::Io`] when the listener failed.
    pub fn stop(&mut self) -> Result<(), TransportError> {
        let began = Instant::now();
        let stop = self.control(Kind::Stop, 0)?;
        for peer in &mut self.peers {
            peer.send(&stop);
        }
        while self.peers.iter().any(|peer| peer.line.is_some())
            && began.elapsed() < 5 * self.limits.frame_timeout
        {
            let mut moved = self.admit(&stop, None)?;
            for peer in &mut self.peers {
                if peer.poll(&self.limits).is_some() {
                    moved = true;
                    peer.send(&stop);
                }
            }
            self.rest(moved);
        }
        Ok(())
    }

    /// Takes in connections; a stranger that says Hello becomes a peer and is sent what it needs.
    fn admit(
        &mut self,
        greeting: &[u8],
        opening: Option<&Opening<'_>>,
    ) -> Result<bool, TransportError> {
        let what = "the listener failed";
        let source = |source| TransportError::Io { what, source };
        let mut moved = false;
        if let Some(stream) = self.door.accept().map_err(source)? {
            moved = true;
            if self.strangers.len() >= self.limits.strangers.max(1) {
                self.strangers.remove(0);
            }
            let line = Line::new(stream, self.limits.frame);
            self.strangers.push((Instant::now(), line));
        }
        self.leaving.retain_mut(|(since, line)| {
            line.flush();
            line.poll(self.limits.frame_timeout);
            !line.is_closed() && since.elapsed() < self.limits.frame_timeout
        });
        let mut kept = Vec::new();
        for (since, mut line) in std::mem::take(&mut self.strangers) {
            let event = line.poll(self.limits.frame_timeout);
            moved |= event.is_some();
            let Some(Event::Frame(frame)) = event else {
                if !line.is_closed() && since.elapsed() < self.limits.join_timeout {
                    kept.push((since, line));
                }
                continue;
            };
            match self.check_hello(&frame) {
                Ok((id, wanted)) => {
                    let Some(peer) = self.peers.get_mut(id as usize) else {
                        continue;
                    };
                    // The newest line of a client replaces an older one.
                    let older = peer.line.replace(line);
                    peer.away = false;
                    match opening {
                        Some(opening) => peer.hello(wanted, opening),
                        None => peer.send(greeting),
                    }
                    if let Some(older) = older {
                        self.dismiss(id, older)?;
                    }
                }
                Err((id, refused)) => {
                    self.dismiss(id, line)?;
                    self.refused = Some(refused);
                }
            }
        }
        self.strangers = kept;
        Ok(moved)
    }

    /// Client and wanted round of a Hello of this run; otherwise who it was, and what is wrong.
    fn check_hello(&self, frame: &[u8]) -> Result<(u32, u64), (u32, TransportError)> {
        let protocol = |error| TransportError::Protocol(ProtocolError::Decode(error));
        // First who it is: damage and other protocols end here.
        let anyone = Expect::default();
        let header = decode(frame, &anyone).map_err(|e| (SERVER, protocol(e)))?;
        let Header {
            client,
            round,
            k: found,
            ..
        } = header.header;
        let expect = Expect {
            kind: Some(Kind::Hello),
            seed: Some(self.run.seed),
            d: Some(self.d),
            ..anyone
        };
        let refuse = |error| (client, error);
        let said = decode(frame, &expect)
            .and_then(|frame| frame.payload::<f32>())
            .map_err(|error| refuse(protocol(error)))?;
        let expected = self.settings;
        if found != expected && found != 0 && expected != 0 {
            return Err(refuse(TransportError::Settings {
                client,
                expected,
                found,
            }));
        }
        let Some(&expected) = self.samples.get(client as usize) else {
            return Err(refuse(TransportError::NoSuchClient { client }));
        };
        match said {
            Payload::Hello { samples: found } if found != expected => {
                Err(refuse(TransportError::Samples {
                    client,
                    expected,
                    found,
                }))
            }
            _ => Ok((client, round)),
        }
    }

    /// Tells a line what was expected of the client, in the seed and dimension of the run, and lets it go.
    fn dismiss(&mut self, client: u32, mut line: Line<A::Stream>) -> Result<(), TransportError> {
        let samples = self.samples.get(client as usize).copied().unwrap_or(0);
        let header = Header {
            seed: self.run.seed,
            ..Header::new(Kind::Hello, Dtype::F32, self.d, self.settings)
        };
        let mut out = vec![0; header.frame_len()];
        let expected: Body<'_, f32> = Body::Hello { samples };
        encode_into(&header, &expected, &mut out)?;
        line.send(&out);
        if self.leaving.len() >= self.limits.strangers.max(1) {
            self.leaving.remove(0);
        }
        self.leaving.push((Instant::now(), line));
        Ok(())
    }

    fn rest(&self, moved: bool) {
        if !moved {
            std::thread::sleep(self.limits.pause);
        }
    }

    fn control(&self, kind: Kind, round: u64) -> Result<Vec<u8>, TransportError> {
        let header = Header {
            round,
            seed: self.run.seed,
            ..Header::new(kind, Dtype::None, self.d, 0)
        };
        let mut out = vec![0; header.frame_len()];
        encode_into(&header, &Body::<f32>::Empty, &mut out)?;
        Ok(out)
    }
}

impl<S: Read + Write> Peer<S> {
    fn send(&mut self, frame: &[u8]) {
        if let Some(line) = &mut self.line {
            line.send(frame);
        }
    }

    /// Sends, again if need be, what opens the round for this client.
    fn open(&mut self, opening: &Opening<'_>) {
        self.asked = Instant::now();
        self.send(if self.behind {
            opening.welcome
        } else {
            opening.frame
        });
    }

    /// Answers a client that wants a round. It can follow if that is the open one, or the next: then it has answered.
    fn hello(&mut self, wanted: u64, opening: &Opening<'_>) {
        let follows = wanted == opening.round || wanted == opening.round.saturating_add(1);
        self.behind |= !follows;
        self.open(opening);
    }

    /// Moves bytes both ways; the next event. A line that has ended is given up.
    fn poll(&mut self, limits: &Limits) -> Option<Event> {
        let line = self.line.as_mut()?;
        line.flush();
        let event = line.poll(limits.frame_timeout);
        if line.is_closed() && event.is_none() {
            self.line = None;
        }
        event
    }
}
