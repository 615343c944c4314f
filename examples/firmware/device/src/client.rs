//! The client: reads its shard, answers each round once, repeats the answer as often as it is asked.
//!
//! The conversation is that of `thalweg_std::transport`, whose module states it; this is its client without an allocator and
//! without a clock but for the board's beat.

use core::fmt;

use embedded_io::{ErrorKind, Read, ReadReady, Write, WriteReady};
use thalweg::compress::{self, Identity, RandK, TopK};
use thalweg::federated::machine::{self, Client};
use thalweg::federated::{Protocol, ProtocolError, Run, ef21, marina};
use thalweg::model::{Batch, Objective, mlp};
use thalweg::vector;
use thalweg::wire::{
    Body, DecodeError, Dtype, Expect, Fingerprint, Frame, Header, Kind, Payload, SERVER, decode,
    encode_into, encoded_len,
};

use crate::line::Line;
use crate::memory::Buffers;
use crate::shard::{Method, Shard};

/// Beats of silence after which the client says Hello again.
const PATIENCE: u32 = 4;

/// How often it says so in vain before it gives the server up: after two minutes.
const GIVE_UP: u32 = 60;

/// The round of a Stop of a run that has ended early, as `thalweg_std::transport` states it.
const ABORTED: u64 = u64::MAX;

/// The round of a Hello to a client whose replies were refused.
const REFUSED: u64 = 1;

/// How many frames of earlier rounds in a row tell a server that was started again from a frame that was late.
const EARLIER: u32 = 2;

/// What a client did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rounds that were answered.
    pub rounds: u64,
    /// Rounds that the client had to sit out.
    pub passed: u64,
    /// Messages that were sent again.
    pub repeats: u64,
}

/// Why a client ends before the run does.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// The shard's run needs more than the image has.
    Capacity {
        /// The buffer.
        name: &'static str,
        /// Elements needed.
        needed: usize,
        /// Elements there.
        found: usize,
    },
    /// The server computes with other algorithms than the image: their bits differ.
    Algorithms {
        /// The server's version.
        expected: u8,
        /// The image's.
        found: u8,
    },
    /// The server's settings have another fingerprint than the shard.
    Settings {
        /// The server's.
        expected: u32,
        /// The shard's.
        found: u32,
    },
    /// The server expects another number of rows of this client; 0 when it has no such client.
    Samples {
        /// Rows expected.
        expected: u64,
        /// Rows of the shard.
        found: u64,
    },
    /// Another client has taken the place of this one.
    Displaced,
    /// The server could not use the replies of this client.
    SentAway,
    /// The server ended the run before its budget was spent.
    Aborted,
    /// The server is gone.
    Silent,
    /// The serial port failed.
    Line(ErrorKind),
    /// The protocol refused: another run's server, or a shard that does not fit its own network.
    Protocol(ProtocolError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capacity {
                name,
                needed,
                found,
            } => write!(f, "`{name}` has {found} elements, {needed} are needed"),
            Self::Algorithms { expected, found } => write!(
                f,
                "version {found} of the algorithms, the server has version {expected}"
            ),
            // The server keeps its own to itself: what it states is another value, not its own.
            Self::Settings { found, .. } => {
                write!(f, "settings {found:06x}, the server has others")
            }
            Self::Samples { expected: 0, .. } => f.write_str("the server has no such client"),
            Self::Samples { found, .. } => {
                write!(f, "{found} rows, the server expects another number")
            }
            Self::Displaced => f.write_str("another client has taken the place of this one"),
            Self::SentAway => f.write_str("the server could not use the replies of this client"),
            Self::Aborted => f.write_str("the server ended the run early"),
            Self::Silent => f.write_str("the server is silent"),
            Self::Line(kind) => write!(f, "the serial port failed: {kind:?}"),
            Self::Protocol(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Failure {}

impl<E: Into<ProtocolError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Protocol(error.into())
    }
}

/// Takes part in a run until the server ends it.
///
/// A server that was started again opens earlier rounds once more: the client begins anew with its model.
///
/// `beat` returns true about every half second, whenever it is asked.
///
/// # Errors
/// A [`Failure`]. Damage, loss and silence on the line are none.
pub fn run<S: Read + ReadReady + Write + WriteReady>(
    serial: S,
    shard: &Shard<'_>,
    buffers: Buffers<'_>,
    beat: impl FnMut() -> bool,
) -> Result<Summary, Failure> {
    let header = &shard.header;
    let columns = usize::from(header.features);
    let sizes = [
        columns,
        usize::from(header.hidden),
        usize::from(header.classes),
    ];
    let model = mlp::Model::<f32>::new(&sizes);
    let d = model.dim();
    let dimension = u32::try_from(d).unwrap_or(u32::MAX);
    let (run, step_size, k) = (
        Run {
            seed: header.seed,
            clients: header.clients,
        },
        header.step_size,
        header.k as usize,
    );
    let incoming = first(
        "incoming",
        encoded_len(Kind::Model, Dtype::F32, dimension, dimension),
        buffers.incoming,
    )?;
    let mut work = Work {
        model,
        batch: Batch::classes(shard.features, columns, shard.classes)?,
        // The factor that makes the plain mean over clients the mean over rows.
        factor: ((u64::from(header.clients) * u64::from(header.rows)) as f64
            / f64::from(header.total)) as f32,
        gradient: first("gradient", d, buffers.gradient)?,
        scratch: buffers.scratch,
        indices: buffers.indices,
    };
    let conversation = Conversation {
        who: ClientIdentity {
            id: header.client,
            seed: header.seed,
            d: dimension,
            samples: u64::from(header.rows),
            settings: header.settings,
        },
        line: Line::new(serial, incoming),
        reply: buffers.reply,
        len: 0,
        last: None,
        lost: false,
        earlier: 0,
        summary: Summary::default(),
    };
    let marina = |probability| Hyper {
        run,
        step_size,
        probability,
    };
    let ef21 = ef21::Config {
        run,
        step_size,
        restart: header.probability,
        compressor: TopK { k },
    };
    let whole = marina(1.0).with(Identity);
    let perm_k = marina(header.probability).with(run.perm_k());
    let rand_k = marina(header.probability).with(RandK::new(k));
    let protocol: &dyn Protocol<f32> = match header.method {
        Method::Whole => &whole,
        Method::MarinaPermK => &perm_k,
        Method::MarinaRandK => &rand_k,
        Method::Ef21TopK => &ef21,
    };
    let state = first("state", protocol.client_len(d), buffers.state)?;
    let mut client = Client::new(protocol, header.client, state)?;
    conversation.follow(beat, &mut |anew, frame, out| {
        work.answer(protocol, &mut client, anew, frame, out)
    })
}

/// What MARINA's configurations share.
struct Hyper {
    run: Run,
    step_size: f32,
    probability: f64,
}

impl Hyper {
    const fn with<C>(self, compressor: C) -> marina::Config<f32, C> {
        marina::Config {
            run: self.run,
            step_size: self.step_size,
            probability: self.probability,
            compressor,
        }
    }
}

/// The first `needed` elements of a buffer.
fn first<'m, T>(
    name: &'static str,
    needed: usize,
    buffer: &'m mut [T],
) -> Result<&'m mut [T], Failure> {
    let found = buffer.len();
    buffer.get_mut(..needed).ok_or(Failure::Capacity {
        name,
        needed,
        found,
    })
}

/// What turns a broadcast into a reply.
struct Work<'a> {
    model: mlp::Model<'a, f32>,
    batch: Batch<'a, f32>,
    factor: f32,
    gradient: &'a mut [f32],
    scratch: &'a mut [f32],
    indices: &'a mut [u32],
}

impl Work<'_> {
    /// Moves to the point of the broadcast, takes the gradient there, and writes the reply; a client that begins `anew` has no state.
    fn answer(
        &mut self,
        protocol: &dyn Protocol<f32>,
        client: &mut Client<&mut [f32]>,
        anew: bool,
        frame: &Frame<'_>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        if anew {
            client.rejoin();
        }
        machine::receive(protocol, client, frame)?;
        self.model
            .gradient_into(client.params(), &self.batch, self.gradient, self.scratch)?;
        vector::scale(self.factor, self.gradient);
        let buffers = compress::Buffers {
            values: self.scratch,
            indices: self.indices,
            levels: &mut [],
        };
        machine::reply(protocol, client, self.gradient, buffers, out)
    }
}

/// What a client signs its frames with.
#[derive(Clone, Copy)]
struct ClientIdentity {
    id: u32,
    seed: u64,
    d: u32,
    samples: u64,
    settings: u32,
}

impl ClientIdentity {
    fn header(&self, kind: Kind, dtype: Dtype, k: u32, round: u64) -> Header {
        Header {
            client: self.id,
            round,
            seed: self.seed,
            ..Header::new(kind, dtype, self.d, k)
        }
    }

    /// Why the server answers with a Hello: it states what it expected.
    fn rejection_reason(&self, hello: &Frame<'_>) -> Failure {
        let (theirs, own) = (
            Fingerprint::from_code(hello.header.k),
            Fingerprint::new(self.settings),
        );
        let found = self.samples;
        let expected = match hello.payload::<f32>() {
            Ok(Payload::Hello { samples }) => samples,
            _ => found,
        };
        if hello.header.round == REFUSED {
            Failure::SentAway
        } else if theirs.differs_in_algorithms(own) {
            Failure::Algorithms {
                expected: theirs.algorithms,
                found: own.algorithms,
            }
        } else if theirs.differs_in_settings(own) {
            Failure::Settings {
                expected: theirs.settings,
                found: own.settings,
            }
        } else if expected != found {
            Failure::Samples { expected, found }
        } else {
            Failure::Displaced
        }
    }
}

/// A line, and what is kept between messages.
struct Conversation<'m, S> {
    who: ClientIdentity,
    line: Line<'m, S>,
    /// The reply to the round that was answered last, of `len` bytes.
    reply: &'m mut [u8],
    len: usize,
    last: Option<Answered>,
    /// The state cannot follow; a model is wanted.
    lost: bool,
    /// Frames of earlier rounds since the last one that was in turn.
    earlier: u32,
    summary: Summary,
}

/// A round that was answered.
#[derive(Clone, Copy)]
struct Answered {
    round: u64,
    opening: Opening,
}

/// Kind and check of the frame that opened a round.
type Opening = (Kind, Option<[u8; 4]>);

/// Reads the frame that opens a round, after forgetting the state on request, and writes the reply.
type Answer<'a> = &'a mut dyn FnMut(bool, &Frame<'_>, &mut [u8]) -> Result<usize, ProtocolError>;

impl<S: Read + ReadReady + Write + WriteReady> Conversation<'_, S> {
    fn follow(
        mut self,
        mut beat: impl FnMut() -> bool,
        answer: Answer<'_>,
    ) -> Result<Summary, Failure> {
        self.hello()?;
        let (mut silent, mut vain, mut fresh) = (0, 0, false);
        loop {
            let reply = self.reply.get(..self.len).unwrap_or_default();
            if self.line.pump(reply).map_err(Failure::Line)? {
                (silent, fresh) = (0, true);
            }
            if fresh && !self.line.owes_reply() {
                match self.take(answer)? {
                    Taken::Nothing => fresh = false,
                    Taken::Frame => vain = 0,
                    Taken::Stop => return Ok(self.summary),
                }
            }
            if beat() {
                silent += 1;
            }
            if silent >= PATIENCE {
                // Neither a frame nor the rest of one: ask again.
                (silent, vain) = (0, vain + 1);
                if vain >= GIVE_UP {
                    return Err(Failure::Silent);
                }
                fresh = self.line.deframer.expire();
                self.ask_again()?;
            }
        }
    }

    /// Takes the next frame, if it is whole.
    fn take(&mut self, answer: Answer<'_>) -> Result<Taken, Failure> {
        let expect = Expect {
            client: Some(SERVER),
            seed: Some(self.who.seed),
            d: Some(self.who.d),
            ..Expect::default()
        };
        let Some(found) = self.line.deframer.next() else {
            return Ok(Taken::Nothing);
        };
        let Ok(frame) = found else {
            self.ask_again()?;
            return Ok(Taken::Frame);
        };
        let found = match decode(frame, &expect) {
            Ok(found) => found,
            // A server of another run is no server; anything else was damage.
            Err(error @ (DecodeError::WrongSeed { .. } | DecodeError::WrongDimension { .. })) => {
                return Err(ProtocolError::Decode(error).into());
            }
            Err(_) => return Ok(Taken::Frame),
        };
        let round = found.header.round;
        match found.header.kind {
            Kind::Stop if round == ABORTED => return Err(Failure::Aborted),
            Kind::Stop => return Ok(Taken::Stop),
            Kind::Hello => return Err(self.who.rejection_reason(&found)),
            Kind::Model | Kind::Estimate => {}
            _ => return Ok(Taken::Frame),
        }
        let kind = found.header.kind;
        let opening = (kind, frame.last_chunk().copied());
        let mut anew = false;
        match self.last {
            Some(last) if last.round == round && !self.lost => {
                if last.opening.0 != kind || last.opening == opening {
                    self.earlier = 0;
                    self.summary.repeats += 1;
                    self.line.send_reply();
                    return Ok(Taken::Frame);
                }
                // The same round with other numbers: no frame that comes again, but a server that was started again.
                anew = true;
            }
            Some(last) if last.round > round && !self.lost => {
                // One may be late. A line keeps the order, and nothing earlier comes after the next Hello.
                self.earlier += 1;
                if self.earlier < EARLIER {
                    self.hello()?;
                    return Ok(Taken::Frame);
                }
                anew = true;
            }
            Some(last) if last.round >= round => anew = true,
            _ => {}
        }
        if anew && kind != Kind::Model {
            // The state belongs to rounds that this server has not seen.
            (self.lost, self.earlier) = (true, 0);
            self.hello()?;
            return Ok(Taken::Frame);
        }
        self.earlier = 0;
        self.len = match answer(anew, &found, self.reply) {
            Ok(len) => {
                self.summary.rounds += 1;
                len
            }
            // The state is some rounds behind: only a model helps.
            Err(ProtocolError::Decode(DecodeError::WrongRound { .. })) => {
                self.lost = true;
                self.hello()?;
                return Ok(Taken::Frame);
            }
            Err(
                ProtocolError::NotSynchronised { .. }
                | ProtocolError::Argument(thalweg::Error::NonFinite { .. }),
            ) => {
                self.summary.passed += 1;
                let (kind, none) = (Kind::Drop, Dtype::None);
                let header = self.who.header(kind, none, 0, round);
                encode_into(&header, &Body::<f32>::Empty, self.reply)?
            }
            Err(error) => return Err(error.into()),
        };
        self.lost = false;
        self.last = Some(Answered { round, opening });
        self.line.send_reply();
        Ok(Taken::Frame)
    }

    fn ask_again(&mut self) -> Result<(), ProtocolError> {
        self.summary.repeats += 1;
        self.hello()
    }

    /// "Here I am": the round that is wanted next, 0 for a client without a state.
    fn hello(&mut self) -> Result<(), ProtocolError> {
        let wanted = match self.last {
            Some(last) if !self.lost => last.round.saturating_add(1),
            _ => 0,
        };
        let who = self.who;
        let fingerprint = Fingerprint::new(who.settings).code();
        let body: Body<'_, f32> = Body::Hello {
            samples: who.samples,
        };
        let header = who.header(Kind::Hello, Dtype::F32, fingerprint, wanted);
        self.line
            .send_hello(|out| Ok(encode_into(&header, &body, out)?))
    }
}

/// What the line held.
enum Taken {
    Nothing,
    Frame,
    Stop,
}
