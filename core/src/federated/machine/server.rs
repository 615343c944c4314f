//! The server of a protocol.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of clients below their number, a u32"
)]

use crate::aggregate::Pushed;
use crate::compress::{Buffers, Weight};
use crate::error::check;
use crate::memory::must;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::vector::Kernels as _;
use crate::wire::{self, Body, Dtype, Frame, Header, Kind, Payload};
use crate::{Error, Real, Storage};

use super::check_state;
use crate::federated::{Ledger, Protocol, ProtocolError, message};

/// The server: the model, the estimate if the protocol keeps one, and the replies of the round that is open.
#[derive(Clone, Copy, Debug)]
pub struct Server<B> {
    round: u64,
    /// Sum of the weights of the replies.
    weight: u64,
    turn: u32,
    d: u32,
    keeps_estimate: bool,
    /// Model, estimate, what the aggregator keeps.
    memory: B,
    ledger: Ledger,
}

/// Model, estimate, and what the aggregator keeps.
fn split<T>(d: usize, keeps_estimate: bool, memory: &mut [T]) -> [&mut [T]; 3] {
    let (params, rest) = cut(memory, d);
    let (estimate, rest) = cut(rest, if keeps_estimate { d } else { 0 });
    [params, estimate, rest]
}

/// The first `n` elements and the others; lengths were checked when the state was made.
fn cut<T>(all: &mut [T], n: usize) -> (&mut [T], &mut [T]) {
    let n = n.min(all.len());
    must(all.split_at_mut_checked(n))
}

impl<T: Real, B: Storage<Elem = T>> Server<B> {
    /// A server at the initial model, waiting for the replies of round 0.
    ///
    /// `memory` is as long as [`Protocol::server_len`] says, whatever it holds.
    ///
    /// # Errors
    /// [`Error::Length`] for a memory of another length, and what [`Protocol::validate`] says.
    ///
    /// ```
    /// use thalweg::compress::Identity;
    /// use thalweg::federated::{Run, machine::Server, marina};
    /// let run = Run { seed: 1, clients: 2 };
    /// let config = marina::Config { run, step_size: 0.5, probability: 1.0, compressor: Identity };
    /// let server = Server::new(&config, &[1.0_f32, 2.0], [0.0; 6])?;
    /// assert_eq!((server.round(), server.params()), (0, &[1.0, 2.0][..]));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new<P: Protocol<T> + ?Sized>(config: &P, start: &[T], memory: B) -> Result<Self, Error> {
        let len = start.len();
        let d = check_state(config, len, config.server_len(len), memory.as_slice().len())?;
        let mut server = Self {
            round: 0,
            weight: 0,
            turn: 0,
            d,
            keeps_estimate: config.keeps_estimate(),
            memory,
            ledger: Ledger::default(),
        };
        let [params, estimate, sum] = server.parts();
        for (to, &from) in params.iter_mut().zip(start) {
            *to = from;
        }
        estimate.fill(T::ZERO);
        sum.fill(-T::ZERO);
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
        must(self.memory.as_slice().get(..self.dim()))
    }

    /// The estimate that led to the model; empty for a protocol that keeps none.
    #[must_use]
    pub fn estimate(&self) -> &[T] {
        let rest = must(self.memory.as_slice().get(self.dim()..));
        must(rest.get(..self.estimate_len()))
    }

    /// The bits sent so far.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    const fn dim(&self) -> usize {
        self.d as usize
    }

    const fn estimate_len(&self) -> usize {
        if self.keeps_estimate { self.dim() } else { 0 }
    }

    fn parts(&mut self) -> [&mut [T]; 3] {
        let (d, keeps_estimate) = (self.dim(), self.keeps_estimate);
        split(d, keeps_estimate, self.memory.as_mut_slice())
    }

    /// Checks that the state is one of this protocol.
    fn check<P: Protocol<T> + ?Sized>(&self, config: &P) -> Result<(), Error> {
        let (expected, found) = (config.server_len(self.dim()), self.memory.as_slice().len());
        check_state(config, self.dim(), expected, found)?;
        let keeps_estimate = config.keeps_estimate();
        check(
            "server",
            self.keeps_estimate == keeps_estimate,
            "must be that of the protocol",
        )
    }

    /// Opens the round, or opens it again: no client has been heard, and the sum is where it begins.
    fn open(&mut self, begins_anew: bool) {
        (self.turn, self.weight) = (0, 0);
        let [_, estimate, sum] = self.parts();
        if begins_anew {
            sum.fill(-T::ZERO);
            return;
        }
        for (s, &g) in sum.iter_mut().zip(estimate.iter()) {
            *s = g;
        }
    }

    /// Kind of a saved state, its fields, and how many of them there are.
    fn shape(&self) -> ([u8; 4], [Field; 7], usize) {
        let (d, words) = (
            Field::reals::<T>(self.dim()),
            Field::words::<u64>(Ledger::WORDS),
        );
        let before = self.dim() + self.estimate_len();
        let sum = Field::reals::<T>(self.memory.as_slice().len().saturating_sub(before));
        let [round, turn] = [Field::U64, Field::U32];
        if self.keeps_estimate {
            (*b"FSRV", [round, turn, Field::U32, words, d, d, sum], 7)
        } else {
            (*b"FAVG", [round, turn, Field::U64, words, d, sum, sum], 6)
        }
    }
}

/// Whether the sum of a round begins at zero, not at the estimate.
fn begins_anew<T: Real, P: Protocol<T> + ?Sized>(config: &P, round: u64) -> bool {
    !config.keeps_estimate() || config.is_full(round)
}

/// Writes the frame that opens the round, for all clients: the estimate, or the model in round 0 and where there is no estimate.
///
/// The ledger counts it once a round.
///
/// # Errors
/// [`ProtocolError::Encode`] when `out` is shorter than the frame.
pub fn broadcast<T: Real, P: Protocol<T> + ?Sized, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    let kind = if server.round == 0 || !server.keeps_estimate {
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
pub fn welcome<T: Real, P: Protocol<T> + ?Sized, B: Storage<Elem = T>>(
    config: &P,
    server: &Server<B>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    announce(config, server, Kind::Model, out).map(|(_, len)| len)
}

fn announce<T: Real, P: Protocol<T> + ?Sized, B: Storage<Elem = T>>(
    config: &P,
    server: &Server<B>,
    kind: Kind,
    out: &mut [u8],
) -> Result<(Header, usize), ProtocolError> {
    server.check(config)?;
    let header = Header {
        round: server.round,
        seed: config.run().seed,
        ..Header::new(kind, Dtype::of::<T>(), server.d, server.d)
    };
    let values = if kind == Kind::Model {
        server.params()
    } else {
        server.estimate()
    };
    let len = wire::encode_into(&header, &Body::Values(values), out)?;
    Ok((header, len))
}

/// Takes the reply of the client whose turn it is; `samples` is its number of samples, by which FedAvg weighs the mean.
///
/// `buffers` hold the decoded message: as many values, indices and levels as the frame carries, at most `d` of each; a full
/// round needs none.
///
/// # Errors
/// [`ProtocolError::OutOfTurn`], [`ProtocolError::Decode`] for a foreign frame, [`ProtocolError::Argument`] for a
/// message of another kind or size than the compressor sends, zero samples, or short buffers. The round is as before.
pub fn accept<T: Real, P: Protocol<T> + ?Sized, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
    samples: u32,
    frame: &Frame<'_>,
    buffers: Buffers<'_, T>,
) -> Result<(), ProtocolError> {
    server.check(config)?;
    check("samples", samples > 0, "must be at least 1")?;
    let (run, round, d) = (config.run(), server.round, server.dim());
    let key = message::check_reply::<T>(frame, run, round, server.turn, server.d)?;
    let mut total = server.weight;
    let [_, _, memory] = server.parts();
    if begins_anew(config, round) {
        let mut pushed = Pushed { d, total, memory };
        let (aggregator, weight) = (config.aggregator(), config.weight(samples));
        if config.is_full(round) {
            let (Kind::Dense, Payload::Values(values)) = (frame.header.kind, frame.payload::<T>()?)
            else {
                return Err(Error::Parameter {
                    name: "frame",
                    rule: "must carry a full gradient in a full round",
                }
                .into());
            };
            aggregator.push(&mut pushed, weight, &mut |weight, out| {
                let factor = weight.times(1, 1)?;
                for (s, g) in out.iter_mut().zip(values.iter()) {
                    *s += factor * g;
                }
                Ok(())
            })?;
        } else {
            let message = wire::message::read(frame, buffers)?;
            aggregator.push(&mut pushed, weight, &mut |weight, out| {
                config.compressor().accumulate(key, &message, weight, out)
            })?;
        }
        total = pushed.total;
    } else {
        let message = wire::message::read(frame, buffers)?;
        let weight = Weight::Mean(run.clients as usize);
        config
            .compressor()
            .accumulate(key, &message, weight, memory)?;
        total += 1;
    }
    // The turn is below the number of clients.
    server.turn += 1;
    server.weight = total;
    server.ledger.uplink(&frame.header);
    Ok(())
}

/// Passes over the client whose turn it is.
///
/// Where compressed differences are sent its change counts as zero; else the replies of the others are combined.
///
/// # Errors
/// [`ProtocolError::OutOfTurn`] when every client has been heard or skipped.
pub fn skip<T: Real, P: Protocol<T> + ?Sized, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    message::check_turn(config.run(), server.turn, server.turn)?;
    server.turn += 1;
    Ok(())
}

/// Closes the round: the replies are combined, and the model takes its step.
///
/// # Errors
/// [`ProtocolError::Incomplete`] while a client is missing. [`ProtocolError::Empty`] when none replied and the round does not add to
/// an estimate: it is client 0's turn again. [`ProtocolError::Argument`] when the combined vector or the new model is not finite; the
/// round stays as it is, and [`reopen`] discards its replies.
pub fn finish<T: Real, P: Protocol<T> + ?Sized, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    server.check(config)?;
    let next_round = message::close(config.run(), server.round, server.turn)?;
    let anew = begins_anew(config, server.round);
    if anew && server.weight == 0 {
        server.open(anew);
        return Err(ProtocolError::Empty);
    }
    let (step, d, total) = (config.step(), server.dim(), server.weight);
    let keeps_estimate = server.keeps_estimate;
    let [params, estimate, memory] = server.parts();
    let mut pushed = Pushed { d, total, memory };
    let (sum, divisor) = if anew {
        let combined = config.aggregator().finish(&mut pushed)?;
        (combined.sum, combined.divisor)
    } else {
        (&*pushed.memory, T::ONE)
    };
    let name = if keeps_estimate { "estimate" } else { "sum" };
    message::check_next(name, [step, divisor], params, sum)?;
    if keeps_estimate {
        for (g, &s) in estimate.iter_mut().zip(sum) {
            *g = s / divisor;
        }
        T::Kernels::axpy(step, estimate, params);
    } else {
        for (x, &s) in params.iter_mut().zip(sum) {
            *x += step * (s / divisor);
        }
    }
    server.round = next_round;
    server.open(begins_anew(config, next_round));
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
/// use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reopen, reply};
/// use thalweg::federated::{Run, decode, marina};
/// let run = Run { seed: 1, clients: 1 };
/// let config = marina::Config { run, step_size: 2.0, probability: 1.0, compressor: Identity };
/// let mut server = Server::new(&config, &[0.0_f32], [0.0; 3])?;
/// let mut client = Client::new(&config, 0, [0.0; 2])?;
/// let mut frame = [0; 64];
/// let len = broadcast(&config, &mut server, &mut frame)?;
/// receive(&config, &mut client, &decode::<f32>(&frame[..len], 1)?)?;
/// // A finite gradient, but a step of it leaves the finite numbers.
/// for (gradient, closes) in [(f32::MAX, false), (3.0, true)] {
///     let len = reply(&config, &mut client, &mut [gradient], Buffers::default(), &mut frame)?;
///     accept(&config, &mut server, 1, &decode::<f32>(&frame[..len], 1)?, Buffers::default())?;
///     assert_eq!(finish(&config, &mut server).is_ok(), closes);
///     reopen(&config, &mut server)?;
/// }
/// assert_eq!((server.round(), server.params()), (1, &[-6.0][..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn reopen<T: Real, P: Protocol<T> + ?Sized, B: Storage<Elem = T>>(
    config: &P,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    server.check(config)?;
    server.open(begins_anew(config, server.round));
    Ok(())
}

impl<T: Real, B: Storage<Elem = T>> Snapshot for Server<B> {
    fn snapshot_len(&self) -> usize {
        let (_, fields, count) = self.shape();
        saved_len(must(fields.get(..count)))
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let (kind, ..) = self.shape();
        let mut w = Writer::new(out, kind, 1)?;
        w.u64(self.round)?;
        w.u32(self.turn)?;
        if self.keeps_estimate {
            // Each reply counts once, and there are no more than turns.
            w.u32(self.weight.min(u32::MAX.into()) as u32)?;
        } else {
            w.u64(self.weight)?;
        }
        w.words(&self.ledger.words())?;
        w.slice(self.params())?;
        if self.keeps_estimate {
            w.slice(self.estimate())?;
        }
        let before = self.dim() + self.estimate_len();
        w.slice(must(self.memory.as_slice().get(before..)))?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let (kind, fields, count) = self.shape();
        let mut r = Reader::new(bytes, kind, 1, must(fields.get(..count)))?;
        let (round, turn) = (r.u64()?, r.u32()?);
        let weight = if self.keeps_estimate {
            let heard = r.u32()?;
            if heard > turn {
                return Err(SnapshotError::Value {
                    name: "heard",
                    rule: "must be at most `turn`",
                });
            }
            u64::from(heard)
        } else {
            let weight = r.u64()?;
            // No more samples than that many replies can state.
            if weight > u64::from(turn) * u64::from(u32::MAX) {
                return Err(SnapshotError::Value {
                    name: "weight",
                    rule: "must be at most 2^32 - 1 for each client before `turn`",
                });
            }
            weight
        };
        (self.round, self.turn, self.weight) = (round, turn, weight);
        let mut words = [0; Ledger::WORDS];
        r.words_into(&mut words)?;
        self.ledger = Ledger::from_words(words);
        let keeps_estimate = self.keeps_estimate;
        let [params, estimate, sum] = self.parts();
        r.slice_into(params)?;
        if keeps_estimate {
            r.slice_into(estimate)?;
        }
        r.slice_into(sum)?;
        r.finish()
    }
}
