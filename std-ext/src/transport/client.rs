//! The client's side: answers each round once, repeats the answer as often as it is asked.

use std::io::{self, Read, Write};
use std::time::Instant;

use thalweg::federated::ProtocolError;
use thalweg::wire::{
    Body, DecodeError, Dtype, Expect, Frame, Header, Kind, Payload, SERVER, decode, encode_into,
};

use super::line::{Event, Line};
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
    /// Fingerprint of the settings that it shares with the server, 0 to state none.
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

/// What is kept between messages.
#[derive(Default)]
struct Memory {
    summary: Summary,
    /// The round that was answered last, and the answer.
    last: Option<(u64, Vec<u8>)>,
    /// The state cannot follow; a model is wanted.
    lost: bool,
    /// When a frame of the server arrived last.
    heard: Option<Instant>,
}

/// How a line ended.
enum End {
    Stop,
    Lost,
}

impl Client {
    /// Takes part in a run until the server ends it.
    ///
    /// `connect` opens a line; it is asked again after failures, after pauses that double, until [`Limits::join_timeout`] has
    /// passed since a frame last arrived. `answer` reads the frame that opens a round and writes the reply, as the protocols of
    /// [`thalweg::federated`] do; each round comes to it once.
    ///
    /// # Errors
    /// [`TransportError::Io`] or [`TransportError::Silent`] when the server is gone; [`TransportError::Settings`],
    /// [`TransportError::Samples`], [`TransportError::NoSuchClient`] or [`TransportError::Displaced`] when it sends the client away;
    /// [`TransportError::Protocol`] for what `answer` says, except for rounds that are sat out: a client that joined late,
    /// values that are not finite.
    pub fn run<S: Read + Write>(
        &self,
        mut connect: impl FnMut() -> io::Result<S>,
        mut answer: impl FnMut(&[u8], &mut [u8]) -> Result<usize, ProtocolError>,
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
                        TransportError::Silent { waited }
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
        answer: &mut impl FnMut(&[u8], &mut [u8]) -> Result<usize, ProtocolError>,
    ) -> Result<End, TransportError> {
        line.send(&self.hello(memory)?);
        let (mut asked, mut heard) = (Instant::now(), since);
        let expect = Expect {
            client: Some(SERVER),
            seed: Some(self.seed),
            d: Some(self.d),
            ..Expect::default()
        };
        loop {
            let moved = line.flush();
            let event = line.poll(self.limits.frame_timeout);
            if line.is_closed() && event.is_none() {
                return Ok(End::Lost);
            }
            match event {
                Some(Event::Frame(frame)) => match decode(&frame, &expect) {
                    Ok(found) => {
                        heard = Instant::now();
                        memory.heard = Some(heard);
                        match found.header.kind {
                            Kind::Stop => return Ok(End::Stop),
                            Kind::Hello => return Err(self.sent_away(&found)),
                            Kind::Model | Kind::Estimate => {
                                let reply = self.reply(found.header, &frame, memory, answer)?;
                                line.send(&reply);
                                asked = Instant::now();
                                heard = asked;
                                memory.heard = Some(heard);
                            }
                            _ => {}
                        }
                    }
                    // A server of another run is no server; anything else was damage.
                    Err(
                        error
                        @ (DecodeError::WrongSeed { .. } | DecodeError::WrongDimension { .. }),
                    ) => return Err(ProtocolError::Decode(error).into()),
                    Err(_) => {}
                },
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
                None if !moved => std::thread::sleep(self.limits.pause),
                None => {}
            }
        }
    }

    /// Why the server answers with a Hello: it states what it expected.
    fn sent_away(&self, hello: &Frame<'_>) -> TransportError {
        let (client, found) = (self.id, self.samples);
        let expected = match hello.payload::<f32>() {
            Ok(Payload::Hello { samples }) => samples,
            _ => found,
        };
        if hello.header.k != self.settings && hello.header.k != 0 && self.settings != 0 {
            TransportError::Settings {
                client,
                expected: hello.header.k,
                found: self.settings,
            }
        } else if expected == 0 {
            TransportError::NoSuchClient { client }
        } else if expected != found {
            TransportError::Samples {
                client,
                expected,
                found,
            }
        } else {
            TransportError::Displaced { client }
        }
    }

    /// The answer to the frame that opens a round: the one that was given before, or a new one.
    fn reply(
        &self,
        header: Header,
        frame: &[u8],
        memory: &mut Memory,
        answer: &mut impl FnMut(&[u8], &mut [u8]) -> Result<usize, ProtocolError>,
    ) -> Result<Vec<u8>, TransportError> {
        let round = header.round;
        match &memory.last {
            Some((last, reply)) if *last == round && !memory.lost => {
                memory.summary.repeats += 1;
                return Ok(reply.clone());
            }
            // A frame that was overtaken by a later one.
            Some((last, _)) if *last > round => return self.hello(memory),
            _ => {}
        }
        let mut out = vec![0; self.limits.frame];
        let reply = match answer(frame, &mut out) {
            Ok(len) => {
                out.truncate(len);
                memory.summary.rounds += 1;
                out
            }
            // The state is some rounds behind: only a model helps.
            Err(ProtocolError::Decode(DecodeError::WrongRound { .. })) => {
                memory.lost = true;
                return self.hello(memory);
            }
            Err(
                ProtocolError::NotSynchronised { .. }
                | ProtocolError::Argument(thalweg::Error::NonFinite { .. }),
            ) => {
                memory.summary.passed += 1;
                self.frame(Kind::Drop, Dtype::None, 0, round, &Body::Empty)?
            }
            Err(error) => return Err(error.into()),
        };
        memory.lost = false;
        memory.last = Some((round, reply.clone()));
        Ok(reply)
    }

    /// "Here I am": the round that is wanted next, 0 for a client without a state.
    fn hello(&self, memory: &Memory) -> Result<Vec<u8>, TransportError> {
        let wanted = match &memory.last {
            Some((round, _)) if !memory.lost => round.saturating_add(1),
            _ => 0,
        };
        let body = Body::Hello {
            samples: self.samples,
        };
        self.frame(Kind::Hello, Dtype::F32, self.settings, wanted, &body)
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
