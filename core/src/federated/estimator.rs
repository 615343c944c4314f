//! What MARINA and EF21 share: a server that keeps an estimate of the gradient, clients that follow it.
//!
//! ```text
//! round 0    server broadcasts x^0 (Model); every client sends its whole gradient at x^0
//! round r    server broadcasts g (Estimate); everybody moves, x <- x - gamma g
//!            client i sends its message at the new x; the server forms the next g
//! ```
//! The server's state after [`finish`] and a client's after [`receive`] of the frame that [`broadcast`] then writes
//! hold the same `x`, bit for bit: both compute `x_j - gamma g_j` from the same numbers.
//!
//! A reply is read, checked and added while `g` is kept: only [`finish`] replaces it. A frame that is refused leaves the round
//! as it was, and the client may send again.

use crate::compress::{Buffers, Compressor, Key, Weight};
use crate::error::{check, check_length};
use crate::random::{self, Purpose};
use crate::simd::{self, Lanes, Update};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::wire::{self, Body, Dtype, Expect, Header, Kind, Payload, SERVER, decode};
use crate::{Real, Storage, vector};

use super::{Ledger, ProtocolError, Run, message};

/// A protocol whose server keeps an estimate of the gradient.
pub trait Protocol<T: Real> {
    /// The operator of compressed rounds.
    type Compressor: Compressor<T>;
    /// Seed and number of clients.
    fn run(&self) -> Run;
    /// Step size `gamma`.
    fn step_size(&self) -> T;
    /// The operator of compressed rounds.
    fn compressor(&self) -> &Self::Compressor;
    /// Everybody sends the whole gradient in this round; true for round 0.
    fn is_full(&self, round: u64) -> bool;
    /// Checks the hyperparameters against a dimension.
    ///
    /// # Errors
    /// [`Error::Parameter`](crate::Error::Parameter) naming the hyperparameter.
    fn validate(&self, d: usize) -> Result<(), crate::Error> {
        validate(self, d)
    }
}

/// The first round sends whole gradients, and every other one with a probability: one coin for all clients and the server.
pub(super) fn is_full(run: Run, round: u64, probability: f64) -> bool {
    let mut coin = random::stream(run.seed, round, 0, Purpose::COIN);
    round == 0 || random::bernoulli(&mut coin, probability)
}

/// Checks what every protocol has.
pub(super) fn validate<T: Real, P: Protocol<T> + ?Sized>(
    config: &P,
    d: usize,
) -> Result<(), crate::Error> {
    check("clients", config.run().clients > 0, "must be at least 1")?;
    let step = config.step_size();
    check(
        "step_size",
        step.is_finite() && step > T::ZERO,
        "must be finite and positive",
    )?;
    config.compressor().validate(d)
}

/// `x <- x - gamma g`.
#[derive(Clone, Copy)]
struct Step<T>(T);
impl<T: Real> Update<T, 1, 1> for Step<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], [g]: [L; 1]) -> [L; 1] {
        [x - x.constant(self.0) * g]
    }
}

/// A client: the model, and a memory of the same length that the protocol gives its meaning.
///
/// MARINA's memory is the previous gradient, EF21's is what the server believes of this client.
#[derive(Clone, Copy, Debug)]
pub struct Client<B> {
    id: u32,
    round: u64,
    synchronised: bool,
    params: B,
    pub(super) memory: B,
}

impl<T: Real, B: Storage<Elem = T>> Client<B> {
    /// A client that has not heard of a run yet; both buffers have length `d`.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) when the lengths differ.
    ///
    /// ```
    /// use thalweg::federated::estimator::Client;
    /// let client = Client::new(0, [0.0_f32; 3], [0.0; 3])?;
    /// assert_eq!((client.id(), client.round()), (0, 0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(id: u32, params: B, memory: B) -> Result<Self, crate::Error> {
        check_length("memory", params.as_slice().len(), memory.as_slice().len())?;
        Ok(Self {
            id,
            round: 0,
            synchronised: false,
            params,
            memory,
        })
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// The round of the last broadcast.
    #[must_use]
    pub const fn round(&self) -> u64 {
        self.round
    }

    /// The point at which the gradient is to be taken.
    #[must_use]
    pub fn params(&self) -> &[T] {
        self.params.as_slice()
    }

    /// The key of its next message.
    pub(super) fn key(&self, run: Run) -> Key {
        Key {
            seed: run.seed,
            round: self.round,
            client: self.id,
        }
    }

    /// Checks a gradient before anything is written.
    pub(super) fn check_gradient(&self, run: Run, gradient: &[T]) -> Result<u32, ProtocolError> {
        check(
            "client",
            self.id < run.clients,
            "must be below the number of clients",
        )?;
        check_length("gradient", self.params().len(), gradient.len())?;
        if let Some(index) = vector::first_non_finite(gradient) {
            return Err(crate::Error::NonFinite {
                name: "gradient",
                index,
            }
            .into());
        }
        Ok(message::dimension(gradient.len())?)
    }

    /// Sends the whole gradient and remembers it.
    pub(super) fn reply_full(
        &mut self,
        run: Run,
        gradient: &[T],
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        let d = self.check_gradient(run, gradient)?;
        let whole = crate::compress::Message::Dense(gradient);
        let len = message::encode(&whole, self.key(run), d, out)?;
        for (m, &g) in self.memory.as_mut_slice().iter_mut().zip(gradient) {
            *m = g;
        }
        self.synchronised = true;
        Ok(len)
    }

    /// The error of a client that cannot take part in a compressed round.
    pub(super) const fn check_synchronised(&self) -> Result<(), ProtocolError> {
        if self.synchronised {
            Ok(())
        } else {
            Err(ProtocolError::NotSynchronised { client: self.id })
        }
    }

    fn fields(&self) -> [Field; 5] {
        let d = self.params().len();
        [
            Field::U32,
            Field::U64,
            Field::U32,
            Field::reals::<T>(d),
            Field::reals::<T>(d),
        ]
    }
}

/// Reads a broadcast and moves the client: `x <- x - gamma g`, or `x <- x^r` for a Model frame.
///
/// `g` is applied as it is read; the client never holds it. A Model frame at a round above 0 lets a client join late: it
/// takes part again from the next full round on.
///
/// # Errors
/// [`ProtocolError::Decode`] when the frame is damaged, or not the next one of this run; the client stays where it is.
pub fn receive<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    client: &mut Client<B>,
    bytes: &[u8],
) -> Result<(), ProtocolError> {
    let d = message::dimension(client.params().len())?;
    config.validate(client.params().len())?;
    let expect = Expect {
        client: Some(SERVER),
        seed: Some(config.run().seed),
        d: Some(d),
        dtype: Some(Dtype::of::<T>()),
        ..Expect::default()
    };
    let frame = decode(bytes, &expect)?;
    let is_model = frame.header.kind == Kind::Model;
    if !is_model {
        let expect = Expect {
            kind: Some(Kind::Estimate),
            round: Some(client.round.saturating_add(1)),
            ..expect
        };
        decode(bytes, &expect)?;
    }
    let Payload::Values(values) = frame.payload::<T>()? else {
        return Err(crate::Error::Parameter {
            name: "frame",
            rule: "must carry a model or an estimate",
        }
        .into());
    };
    let gamma = config.step_size();
    for (x, v) in client.params.as_mut_slice().iter_mut().zip(values.iter()) {
        *x = if is_model { v } else { *x - gamma * v };
    }
    client.synchronised &= !is_model;
    client.round = frame.header.round;
    Ok(())
}

/// The server: model, estimate of the gradient, and the sum of the round that is open.
#[derive(Clone, Copy, Debug)]
pub struct Server<B> {
    round: u64,
    turn: u32,
    heard: u32,
    params: B,
    estimate: B,
    sum: B,
    ledger: Ledger,
}

impl<T: Real, B: Storage<Elem = T>> Server<B> {
    /// A server at the initial model `params`, waiting for the gradients of round 0; each buffer has length `d`.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) when the lengths differ.
    ///
    /// ```
    /// use thalweg::federated::estimator::Server;
    /// let server = Server::new([1.0_f32, 2.0], [0.0; 2], [0.0; 2])?;
    /// assert_eq!((server.round(), server.params()), (0, &[1.0, 2.0][..]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(params: B, estimate: B, sum: B) -> Result<Self, crate::Error> {
        let d = params.as_slice().len();
        check_length("estimate", d, estimate.as_slice().len())?;
        check_length("sum", d, sum.as_slice().len())?;
        let mut server = Self {
            round: 0,
            turn: 0,
            heard: 0,
            params,
            estimate,
            sum,
            ledger: Ledger::default(),
        };
        server.estimate.as_mut_slice().fill(T::ZERO);
        server.sum.as_mut_slice().fill(-T::ZERO);
        Ok(server)
    }

    /// The round that is open.
    #[must_use]
    pub const fn round(&self) -> u64 {
        self.round
    }

    /// The client whose reply is awaited.
    #[must_use]
    pub const fn turn(&self) -> u32 {
        self.turn
    }

    /// The model of the open round.
    #[must_use]
    pub fn params(&self) -> &[T] {
        self.params.as_slice()
    }

    /// The estimate that led to the model.
    #[must_use]
    pub fn estimate(&self) -> &[T] {
        self.estimate.as_slice()
    }

    /// The bits sent so far.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    fn fields(&self) -> [Field; 7] {
        let d = self.params().len();
        [
            Field::U64,
            Field::U32,
            Field::U32,
            Field::words::<u64>(Ledger::WORDS),
            Field::reals::<T>(d),
            Field::reals::<T>(d),
            Field::reals::<T>(d),
        ]
    }
}

/// Writes the frame that opens the round: the model in round 0, the estimate afterwards.
///
/// # Errors
/// [`ProtocolError::Encode`] when `out` is shorter than the frame.
pub fn broadcast<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    let kind = if server.round == 0 {
        Kind::Model
    } else {
        Kind::Estimate
    };
    announce(config, server, kind, out)
}

/// Writes a Model frame of the open round, for a client that joins or rejoins.
///
/// # Errors
/// [`ProtocolError::Encode`] when `out` is shorter than the frame.
pub fn welcome<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    announce(config, server, Kind::Model, out)
}

fn announce<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
    kind: Kind,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    config.validate(server.params().len())?;
    let d = message::dimension(server.params().len())?;
    let header = Header {
        round: server.round,
        seed: config.run().seed,
        ..Header::new(kind, Dtype::of::<T>(), d, d)
    };
    let values = if kind == Kind::Model {
        server.params()
    } else {
        server.estimate()
    };
    let len = wire::encode_into(&header, &Body::Values(values), out)?;
    server.ledger.broadcast(&header);
    Ok(len)
}

/// Adds the reply of the client whose turn it is.
///
/// `buffers` hold the decoded message: the lengths of the compressor for `d`; a full round needs none.
///
/// # Errors
/// [`ProtocolError::OutOfTurn`], [`ProtocolError::Decode`] for a damaged or foreign frame, [`ProtocolError::Argument`] for a
/// message of another kind or size than the compressor sends, or short buffers. The round is as before.
pub fn accept<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
    bytes: &[u8],
    buffers: Buffers<'_, T>,
) -> Result<(), ProtocolError> {
    let run = config.run();
    let d = message::dimension(server.params().len())?;
    config.validate(server.params().len())?;
    let found = decode(bytes, &Expect::default())?.header.client;
    if server.turn >= run.clients || found != server.turn {
        return Err(ProtocolError::OutOfTurn {
            expected: server.turn,
            found,
        });
    }
    let key = Key {
        seed: run.seed,
        round: server.round,
        client: server.turn,
    };
    let frame = message::open::<T>(bytes, key, d)?;
    if config.is_full(server.round) {
        let Payload::Values(values) = frame.payload::<T>()? else {
            return Err(NOT_WHOLE.into());
        };
        if frame.header.kind != Kind::Dense {
            return Err(NOT_WHOLE.into());
        }
        for (s, g) in server.sum.as_mut_slice().iter_mut().zip(values.iter()) {
            *s += g;
        }
    } else {
        let message = message::read(&frame, buffers)?;
        let weight = Weight::Mean(run.clients as usize);
        config
            .compressor()
            .accumulate(key, &message, weight, server.sum.as_mut_slice())?;
    }
    server.turn += 1;
    server.heard += 1;
    server.ledger.uplink(&frame.header);
    Ok(())
}

const NOT_WHOLE: crate::Error = crate::Error::Parameter {
    name: "frame",
    rule: "must carry a whole gradient in a full round",
};

/// Passes over the client whose turn it is.
///
/// In a compressed round its change counts as zero; in a full round the mean is over those who replied.
///
/// # Errors
/// [`ProtocolError::OutOfTurn`] when every client has been heard or skipped.
pub fn skip<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    if server.turn >= config.run().clients {
        return Err(ProtocolError::OutOfTurn {
            expected: server.turn,
            found: server.turn,
        });
    }
    server.turn += 1;
    Ok(())
}

/// Closes the round: the sum becomes the estimate, and the model takes its step.
///
/// # Errors
/// [`ProtocolError::Incomplete`] while a client is missing, [`ProtocolError::Empty`] when none replied to a full round,
/// [`ProtocolError::Argument`] when the new estimate is not finite. The round stays open.
pub fn finish<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    if server.turn < config.run().clients {
        return Err(ProtocolError::Incomplete {
            missing: server.turn,
        });
    }
    if let Some(index) = vector::first_non_finite(server.sum.as_slice()) {
        return Err(crate::Error::NonFinite {
            name: "estimate",
            index,
        }
        .into());
    }
    let full = config.is_full(server.round);
    if full && server.heard == 0 {
        return Err(ProtocolError::Empty);
    }
    // heard >= 1 in a full round.
    let count = if full {
        T::from_usize(server.heard as usize)
    } else {
        T::ONE
    };
    let next_is_full = config.is_full(server.round.saturating_add(1));
    for (g, s) in server
        .estimate
        .as_mut_slice()
        .iter_mut()
        .zip(server.sum.as_mut_slice())
    {
        *g = *s / count;
        *s = if next_is_full { -T::ZERO } else { *g };
    }
    simd::update(
        &Step(config.step_size()),
        [server.params.as_mut_slice()],
        [server.estimate.as_slice()],
    );
    server.round = server.round.saturating_add(1);
    (server.turn, server.heard) = (0, 0);
    server.ledger.close_round();
    Ok(())
}

impl<T: Real, B: Storage<Elem = T>> Snapshot for Client<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut w = Writer::new(out, *b"FCLI", 1)?;
        w.u32(self.id)?;
        w.u64(self.round)?;
        w.u32(u32::from(self.synchronised))?;
        w.slice(self.params.as_slice())?;
        w.slice(self.memory.as_slice())?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"FCLI", 1, &self.fields())?;
        self.id = r.u32()?;
        self.round = r.u64()?;
        self.synchronised = r.u32()? != 0;
        r.slice_into(self.params.as_mut_slice())?;
        r.slice_into(self.memory.as_mut_slice())?;
        r.finish()
    }
}

impl<T: Real, B: Storage<Elem = T>> Snapshot for Server<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut w = Writer::new(out, *b"FSRV", 1)?;
        w.u64(self.round)?;
        w.u32(self.turn)?;
        w.u32(self.heard)?;
        w.words(&self.ledger.words())?;
        w.slice(self.params.as_slice())?;
        w.slice(self.estimate.as_slice())?;
        w.slice(self.sum.as_slice())?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"FSRV", 1, &self.fields())?;
        self.round = r.u64()?;
        self.turn = r.u32()?;
        self.heard = r.u32()?;
        let mut words = [0; Ledger::WORDS];
        r.words_into(&mut words)?;
        self.ledger = Ledger::from_words(words);
        r.slice_into(self.params.as_mut_slice())?;
        r.slice_into(self.estimate.as_mut_slice())?;
        r.slice_into(self.sum.as_mut_slice())?;
        r.finish()
    }
}
