//! The server of an estimator protocol.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of clients below their number, a u32"
)]

use crate::compress::{Buffers, Compressor, Weight};
use crate::error::check_length;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::vector::Kernels as _;
use crate::wire::{self, Body, Dtype, Header, Kind, Payload};
use crate::{Error, Real, Storage};

use super::Protocol;
use crate::federated::{Ledger, ProtocolError, message};

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
    /// [`Error::Length`] when the lengths differ.
    ///
    /// ```
    /// use thalweg::federated::estimator::Server;
    /// let server = Server::new([1.0_f32, 2.0], [0.0; 2], [0.0; 2])?;
    /// assert_eq!((server.round(), server.params()), (0, &[1.0, 2.0][..]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(params: B, estimate: B, sum: B) -> Result<Self, Error> {
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

    /// Opens the round, or opens it again: no client has been heard, and the sum is where it begins.
    fn open(&mut self, is_full: bool) {
        (self.turn, self.heard) = (0, 0);
        for (s, &g) in self
            .sum
            .as_mut_slice()
            .iter_mut()
            .zip(self.estimate.as_slice())
        {
            *s = if is_full { -T::ZERO } else { g };
        }
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
/// The ledger counts it once a round.
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
    let (header, len) = announce(config, server, kind, out)?;
    server.ledger.broadcast(&header);
    Ok(len)
}

/// Writes a Model frame of the open round, for a client that joins or rejoins.
///
/// It is for one client, and the ledger does not count it.
///
/// # Errors
/// [`ProtocolError::Encode`] when `out` is shorter than the frame.
pub fn welcome<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &Server<B>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    announce(config, server, Kind::Model, out).map(|(_, len)| len)
}

fn announce<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &Server<B>,
    kind: Kind,
    out: &mut [u8],
) -> Result<(Header, usize), ProtocolError> {
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
    Ok((header, len))
}

/// Adds the reply of the client whose turn it is.
///
/// `buffers` hold the decoded message: as many values, indices and levels as the frame carries, at most `d` of each; a full
/// round needs none.
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
    config.validate(server.params().len())?;
    let d = message::dimension(server.params().len())?;
    let (key, frame) = message::open::<T>(bytes, run, server.round, server.turn, d)?;
    if config.is_full(server.round) {
        let (Kind::Dense, Payload::Values(values)) = (frame.header.kind, frame.payload::<T>()?)
        else {
            return Err(Error::Parameter {
                name: "frame",
                rule: "must carry a full gradient in a full round",
            }
            .into());
        };
        for (s, g) in server.sum.as_mut_slice().iter_mut().zip(values.iter()) {
            *s += g;
        }
    } else {
        let message = wire::message::read(&frame, buffers)?;
        let weight = Weight::Mean(run.clients as usize);
        config
            .compressor()
            .accumulate(key, &message, weight, server.sum.as_mut_slice())?;
    }
    // The turn is below the number of clients, and no more have been heard than have had theirs.
    server.turn += 1;
    server.heard += 1;
    server.ledger.uplink(&frame.header);
    Ok(())
}

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
    message::check_turn(config.run(), server.turn, server.turn)?;
    server.turn += 1;
    Ok(())
}

/// Closes the round: the sum becomes the estimate, and the model takes its step.
///
/// # Errors
/// [`ProtocolError::Incomplete`] while a client is missing. [`ProtocolError::Empty`] when none replied to a full round: it is client
/// 0's turn again. [`ProtocolError::Argument`] when the new estimate or the new model is not finite; the round stays as it is,
/// and [`reopen`] discards its replies.
pub fn finish<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    config.validate(server.params().len())?;
    let next_round = message::close(config.run(), server.round, server.turn)?;
    let full = config.is_full(server.round);
    if full && server.heard == 0 {
        server.open(full);
        return Err(ProtocolError::Empty);
    }
    // heard >= 1 in a full round.
    let count = if full {
        T::from_usize(server.heard as usize)
    } else {
        T::ONE
    };
    let gamma = config.step_size();
    let (params, sum) = (server.params.as_slice(), server.sum.as_slice());
    message::check_next("estimate", [-gamma, count], params, sum)?;
    for (g, &s) in server
        .estimate
        .as_mut_slice()
        .iter_mut()
        .zip(server.sum.as_slice())
    {
        *g = s / count;
    }
    let params = server.params.as_mut_slice();
    T::Kernels::axpy(-gamma, server.estimate.as_slice(), params);
    server.round = next_round;
    server.open(config.is_full(next_round));
    server.ledger.close_round();
    Ok(())
}

/// Discards the replies of the open round: it is client 0's turn again.
///
/// For a round that cannot close, such as one whose replies have an infinite sum.
///
/// # Errors
/// [`ProtocolError::Argument`] for hyperparameters that do not fit.
///
/// ```
/// use thalweg::compress::{Buffers, Identity};
/// use thalweg::federated::estimator::{Client, Server, accept, broadcast, finish, receive, reopen};
/// use thalweg::federated::{Run, marina};
/// let run = Run { seed: 1, clients: 1 };
/// let config = marina::Config { run, step_size: 2.0, probability: 1.0, compressor: Identity };
/// let mut server = Server::new([0.0_f32], [0.0], [0.0])?;
/// let mut client = Client::new(0, [0.0], [0.0])?;
/// let mut frame = [0; 64];
/// let len = broadcast(&config, &mut server, &mut frame)?;
/// receive(&config, &mut client, &frame[..len])?;
/// // A finite gradient, but a step of it leaves the finite numbers.
/// for (gradient, closes) in [(f32::MAX, false), (3.0, true)] {
///     let len = marina::reply(&config, &mut client, &mut [gradient], Buffers::default(), &mut frame)?;
///     accept(&config, &mut server, &frame[..len], Buffers::default())?;
///     assert_eq!(finish(&config, &mut server).is_ok(), closes);
///     reopen(&config, &mut server)?;
/// }
/// assert_eq!((server.round(), server.params()), (1, &[-6.0][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn reopen<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    config.validate(server.params().len())?;
    server.open(config.is_full(server.round));
    Ok(())
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
        let (round, turn, heard) = (r.u64()?, r.u32()?, r.u32()?);
        if heard > turn {
            return Err(SnapshotError::Value {
                name: "heard",
                rule: "must be at most `turn`",
            });
        }
        (self.round, self.turn, self.heard) = (round, turn, heard);
        let mut words = [0; Ledger::WORDS];
        r.words_into(&mut words)?;
        self.ledger = Ledger::from_words(words);
        r.slice_into(self.params.as_mut_slice())?;
        r.slice_into(self.estimate.as_mut_slice())?;
        r.slice_into(self.sum.as_mut_slice())?;
        r.finish()
    }
}
