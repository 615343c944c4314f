//! The client's side: answers each round once, repeats the answer as often as it is asked.

use std::io::{self, Read, Write};
use std::time::Instant;

use thalweg::federated::ProtocolError;
use thalweg::wire::{Body, DecodeError, Dtype, Expect, Header, Kind, SERVER, decode, encode_into};

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
}

/// How a line ended.
enum End {
    Stop,
    Lost,
}

impl Client {
    /// Takes part in a run until the server ends it.
    ///
    /// `connect` opens a line; it is asked again after failures until [`Limits::join_timeout`] has passed since a frame
    /// last arrived. `answer` reads the frame that opens a round and writes the reply, as the protocols of
    /// [`thalweg::federated`] do; each round comes to it once.
    ///
    /// # Errors
    /// [`TransportError::Io`] or [`TransportError::Silent`] when the server is gone; [`TransportError::Protocol`] for what
    /// `answer` says, except for rounds that are sat out: a client that joined late, values that are not finite.
    pub fn run<S: Read + Write>(
        &self,
        mut connect: impl FnMut() -> io::Result<S>,
        mut answer: impl FnMut(&[u8], &mut [u8]) -> Result<usize, ProtocolError>,
    ) -> Result<Summary, TransportError> {
        let mut memory = Memory::default();
        let mut heard = Instant::now();
        let waited = self.limits.join_timeout;
        loop {
            match connect() {
                Ok(stream) => {
                    let mut line = Line::new(stream, self.limits.frame);
                    match self.follow(&mut line, &mut memory, &mut heard, &mut answer)? {
                        End::Stop => return Ok(memory.summary),
                        End::Lost => memory.summary.reconnects += 1,
                    }
                    if heard.elapsed() >= waited {
                        return Err(TransportError::Silent { waited });
                    }
                }
                Err(source) if heard.elapsed() >= waited => {
                    let what = "cannot connect to the server";
                    return Err(TransportError::Io { what, source });
                }
                Err(_) => {}
            }
            // A server that refuses is not asked more often than a tenth of a frame's time allows.
            std::thread::sleep(self.limits.frame_timeout / 10);
        }
    }

    /// Serves one line until it ends.
    fn follow<S: Read + Write>(
        &self,
        line: &mut Line<S>,
        memory: &mut Memory,
        heard: &mut Instant,
        answer: &mut impl FnMut(&[u8], &mut [u8]) -> Result<usize, ProtocolError>,
    ) -> Result<End, TransportError> {
        line.send(&self.hello(memory)?);
        let mut asked = Instant::now();
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
                Some(Event::Frame(frame)) => match decode(&frame, &expect).map(|f| f.header) {
                    Ok(header) if header.kind == Kind::Stop => return Ok(End::Stop),
                    Ok(header) if matches!(header.kind, Kind::Model | Kind::Estimate) => {
                        *heard = Instant::now();
                        asked = *heard;
                        let reply = self.reply(header, &frame, memory, answer)?;
                        line.send(&reply);
                    }
                    Ok(header) if header.kind == Kind::Ack => *heard = Instant::now(),
                    Ok(_) => {}
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
                self.frame(Kind::Drop, Dtype::None, round, &Body::Empty)?
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
        let samples = self.samples;
        self.frame(Kind::Hello, Dtype::F32, wanted, &Body::Hello { samples })
    }

    fn frame(
        &self,
        kind: Kind,
        dtype: Dtype,
        round: u64,
        body: &Body<'_, f32>,
    ) -> Result<Vec<u8>, TransportError> {
        let header = Header {
            client: self.id,
            round,
            seed: self.seed,
            ..Header::new(kind, dtype, self.d, 0)
        };
        let mut out = vec![0; header.frame_len()];
        encode_into(&header, body, &mut out)?;
        Ok(out)
    }
}
