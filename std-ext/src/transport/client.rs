//! The client's side: answers each round once, repeats the answer as often as it is asked.

use std::io::{self, Read, Write};
use std::time::Instant;

use thalweg::federated::ProtocolError;
use thalweg::wire::{
    Body, DecodeError, Dtype, Expect, Fingerprint, Frame, Header, Kind, Payload, SERVER, crc32c,
    decode, encode_into,
};

use super::line::{Event, Idle, Line};
use super::server::{ABORTED, REFUSED};
use super::{Limits, TransportError};

/// Who a client is.
///
/// [`Client::run`] connects, answers rounds, and connects again when the line is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its number.
    pub id: u32,
    /// Seed of the run.
    pub seed: u64,
    /// Parameters of the model.
    pub d: u32,
    /// Rows of its shard.
    pub samples: u64,
    /// Fingerprint of the settings that it shares with the server, of which the lower 24 bits count; 0 to state none.
    pub settings: u32,
    /// Deadlines and sizes.
    pub limits: Limits,
}

/// What a client did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rounds that were answered.
    pub rounds: u64,
    /// Rounds that the client had to sit out.
    pub passed: u64,
    /// Messages that were sent again.
    pub repeats: u64,
    /// Times that the line was lost.
    pub reconnects: u64,
}

/// The round that was answered last.
struct Answered {
    round: u64,
    /// Kind and check of the frame that opened it.
    opening: (Kind, u32),
    reply: Vec<u8>,
}

/// What is kept between messages.
#[derive(Default)]
struct Memory {
    summary: Summary,
    last: Option<Answered>,
    /// The state cannot follow; a model is wanted.
    lost: bool,
    /// When a frame of the server arrived last.
    heard: Option<Instant>,
    /// The latest round that was opened on this line; none at its beginning.
    newest: Option<u64>,
    /// The major version that the server spoke on the line before.
    version: Option<u8>,
}

/// How a line ended.
enum End {
    Stop,
    Lost,
    Version(u8),
}

impl Client {
    /// Takes part in a run until the server ends it.
    ///
    /// `connect` opens a line; it is asked again after failures, after pauses that double, until [`Limits::join_timeout`] has
    /// passed since a frame last arrived. `answer` reads the frame that opens a round and writes the reply, as the protocols of
    /// [`thalweg::federated`] do; each round comes to it once. A server that was started again opens earlier rounds once more: then
    /// a Model of an earlier round comes to `answer`, which begins anew with it.
    ///
    /// Returns when the run is finished. [`Summary::rounds`] is 0 for a client that had no part in it.
    ///
    /// # Errors
    /// [`TransportError::Io`] or [`TransportError::Silent`] when the server is gone; [`TransportError::Aborted`] when it ended the run
    /// early; [`TransportError::Version`] when it speaks another wire format; [`TransportError::Algorithms`], [`TransportError::Differs`],
    /// [`TransportError::NoSuchClient`], [`TransportError::Displaced`] or [`TransportError::SentAway`] when it sends the client away;
    /// [`TransportError::Protocol`] for what `answer` says, except for rounds that are sat out: a client that joined late,
    /// values that are not finite.
    pub fn run<S: Read + Write>(
        &self,
        mut connect: impl FnMut() -> io::Result<S>,
        mut answer: impl FnMut(&Frame<'_>, &mut [u8]) -> Result<usize, ProtocolError>,
    ) -> Result<Summary, TransportError> {
        let mut memory = Memory::default();
        let (mut since, mut pause) = (Instant::now(), self.limits.frame_timeout / 10);
        let waited = self.limits.join_timeout;
        loop {
            let line = connect().map(|stream| Line::new(stream, self.limits.frame));
            let lost = match line {
                Ok(mut line) => match self.follow(&mut line, &mut memory, since, &mut answer)? {
                    End::Stop => return Ok(memory.summary),
                    End::Lost => {
                        memory.summary.reconnects += 1;
                        match memory.version {
                            Some(found) => TransportError::Version { found },
                            None => TransportError::Silent { waited },
                        }
                    }
                    // Once it may be damage.
                    End::Version(found) if memory.version == Some(found) => {
                        return Err(TransportError::Version { found });
                    }
                    End::Version(found) => {
                        memory.summary.reconnects += 1;
                        memory.version = Some(found);
                        TransportError::Version { found }
                    }
                },
                Err(source) => TransportError::Io {
                    what: "cannot connect to the server",
                    source,
                },
            };
            if let Some(heard) = memory.heard.take() {
                (since, pause) = (heard, self.limits.frame_timeout / 10);
            }
            let Some(left) = waited.checked_sub(since.elapsed()) else {
                return Err(lost);
            };
            std::thread::sleep(pause.min(left));
            pause = (2 * pause).min(4 * self.limits.frame_timeout);
        }
    }

    /// Serves one line until it ends, or nothing has been heard for too long; the silence began at `since`.
    fn follow<S: Read + Write>(
        &self,
        line: &mut Line<S>,
        memory: &mut Memory,
        since: Instant,
        answer: &mut impl FnMut(&Frame<'_>, &mut [u8]) -> Result<usize, ProtocolError>,
    ) -> Result<End, TransportError> {
        memory.newest = None;
        line.send(&self.hello(memory)?);
        let (mut asked, mut heard, mut idle) = (Instant::now(), since, Idle::new());
        let expect = Expect {
            client: Some(SERVER),
            seed: Some(self.seed),
            d: Some(self.d),
            ..Expect::default()
        };
        loop {
            line.flush();
            let event = line.poll(self.limits.frame_timeout);
            let moved = event.is_some() || line.has_moved();
            if line.is_closed() && event.is_none() {
                return Ok(End::Lost);
            }
            match event {
                Some(Event::Frame(frame)) => match decode(&frame, &expect) {
                    Ok(found) => {
                        heard = Instant::now();
                        (memory.heard, memory.version) = (Some(heard), None);
                        match found.header.kind {
                            Kind::Stop if found.header.round == ABORTED => {
                                return Err(TransportError::Aborted);
                            }
                            Kind::Stop => return Ok(End::Stop),
                            Kind::Hello => return Err(self.rejection_reason(&found)),
                            Kind::Model | Kind::Estimate => {
                                let opening = (found.header.kind, crc32c(&frame));
                                let reply = self.reply(&found, opening, memory, answer)?;
                                line.send(&reply);
                                asked = Instant::now();
                                heard = asked;
                                memory.heard = Some(heard);
                            }
                            _ => {}
                        }
                    }
                    // A server of another run is no server; anything else was damage.
                    Err(DecodeError::WrongSeed { .. }) => return Err(self.differs("seed")),
                    Err(DecodeError::WrongDimension { .. }) => {
                        return Err(self.differs("dimension"));
                    }
                    Err(_) => {}
                },
                Some(Event::Version(found)) => return Ok(End::Version(found)),
                Some(Event::Damaged) => {
                    memory.summary.repeats += 1;
                    line.send(&self.hello(memory)?);
                    asked = Instant::now();
                }
                None if heard.elapsed() >= self.limits.join_timeout => return Ok(End::Lost),
                None if asked.elapsed() >= self.limits.frame_timeout => {
                    memory.summary.repeats += 1;
                    line.send(&self.hello(memory)?);
                    asked = Instant::now();
                }
                None => {}
            }
            idle.rest(moved, self.limits.pause);
        }
    }

    /// Why the server answers with a Hello: the field that differs, the client refused, or its place taken.
    fn rejection_reason(&self, hello: &Frame<'_>) -> TransportError {
        let client = self.id;
        let expected = match hello.payload::<f32>() {
            Ok(Payload::Hello { samples }) => samples,
            _ => self.samples,
        };
        let (theirs, own) = (
            Fingerprint::from_code(hello.header.k),
            Fingerprint::new(self.settings),
        );
        if hello.header.round == REFUSED {
            TransportError::SentAway { client }
        } else if theirs.differs_in_algorithms(own) {
            TransportError::Algorithms {
                client,
                expected: theirs.algorithms,
                found: own.algorithms,
            }
        } else if theirs.differs_in_settings(own) {
            self.differs("fingerprint of its settings")
        } else if expected == 0 {
            TransportError::NoSuchClient { client }
        } else if expected != self.samples {
            self.differs("number of samples")
        } else {
            TransportError::Displaced { client }
        }
    }

    const fn differs(&self, what: &'static str) -> TransportError {
        let client = self.id;
        TransportError::Differs { client, what }
    }

    /// The answer to the frame that opens a round: the one that was given before, or a new one.
    fn reply(
        &self,
        frame: &Frame<'_>,
        opening: (Kind, u32),
        memory: &mut Memory,
        answer: &mut impl FnMut(&Frame<'_>, &mut [u8]) -> Result<usize, ProtocolError>,
    ) -> Result<Vec<u8>, TransportError> {
        let header = frame.header;
        let round = header.round;
        let earlier = memory.newest.replace(memory.newest.unwrap_or(0).max(round));
        if let Some(last) = memory.last.as_ref().filter(|_| !memory.lost) {
            // Another frame of the same kind opens this round on a line that begins: the server was started again.
            let is_other =
                earlier.is_none() && last.opening.0 == opening.0 && last.opening.1 != opening.1;
            if last.round == round && !is_other {
                memory.summary.repeats += 1;
                return Ok(last.reply.clone());
            }
            // The state belongs to rounds that this server has not seen.
            memory.lost = last.round >= round && header.kind != Kind::Model;
        }
        // A frame that was overtaken by a later one, or that does not help.
        if memory.lost && header.kind != Kind::Model || earlier.is_some_and(|newest| newest > round)
        {
            return self.hello(memory);
        }
        let mut out = vec![0; self.limits.frame];
        let reply = match answer(frame, &mut out) {
            Ok(len) => {
                out.truncate(len);
                memory.summary.rounds += 1;
                out
            }
            // The state is some rounds behind: only a model helps.
            Err(ProtocolError::Decode(DecodeError::WrongRound { .. }))
                if header.kind != Kind::Model =>
            {
                memory.lost = true;
                return self.hello(memory);
            }
            Err(
                ProtocolError::NotSynchronised { .. }
                | ProtocolError::Decode(DecodeError::WrongRound { .. })
                | ProtocolError::Argument(thalweg::Error::NonFinite { .. }),
            ) => {
                memory.summary.passed += 1;
                self.frame(Kind::Drop, Dtype::None, 0, round, &Body::Empty)?
            }
            Err(error) => return Err(error.into()),
        };
        memory.lost = false;
        memory.last = Some(Answered {
            round,
            opening,
            reply: reply.clone(),
        });
        Ok(reply)
    }

    /// "Here I am": the round that is wanted next, 0 for a client without a state.
    fn hello(&self, memory: &Memory) -> Result<Vec<u8>, TransportError> {
        let wanted = match &memory.last {
            Some(last) if !memory.lost => last.round.saturating_add(1),
            _ => 0,
        };
        let body = Body::Hello {
            samples: self.samples,
        };
        let k = Fingerprint::new(self.settings).code();
        self.frame(Kind::Hello, Dtype::F32, k, wanted, &body)
    }

    fn frame(
        &self,
        kind: Kind,
        dtype: Dtype,
        k: u32,
        round: u64,
        body: &Body<'_, f32>,
    ) -> Result<Vec<u8>, TransportError> {
        let header = Header {
            client: self.id,
            round,
            seed: self.seed,
            ..Header::new(kind, dtype, self.d, k)
        };
        let mut out = vec![0; header.frame_len()];
        encode_into(&header, body, &mut out)?;
        Ok(out)
    }
}
