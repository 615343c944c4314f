//! FedAvg: clients train on their own data, the server averages the changes of the model.
//!
//! ```text
//! server broadcasts x^r
//! client i trains from x^r to y_i and sends C_i(y_i - x^r)
//! x^{r+1} = x^r + eta * sum_i w_i C_i(y_i - x^r) / sum_i w_i          w_i: samples of client i
//! ```
//!
//! With the identity, `eta = 1` and one full-batch step of local training it is gradient descent. Compressors must be
//! unbiased, or their bias stays; for contractive ones see [`ef21`](super::ef21).
//!
//! Reference: McMahan et al., "Communication-efficient learning of deep networks from decentralized data", 2017, Algorithm 1.
//!
//! ```
//! use thalweg::compress::{Buffers, Identity};
//! use thalweg::federated::{Run, fed_avg::*};
//! let config = Config { run: Run { seed: 0, clients: 2 }, server_learning_rate: 1.0, compressor: Identity };
//! let mut server = Server::new([1.0_f32], [0.0])?;
//! let (mut down, mut up) = ([0; 64], [0; 64]);
//! let len = broadcast(&config, &mut server, &mut down)?;
//! for (id, samples, trained) in [(0, 30, 2.0), (1, 10, 6.0)] {
//!     let mut client = Client::new(id, [0.0_f32], [0.0])?;
//!     receive(&config, &mut client, &down[..len])?;
//!     client.params_mut()[0] = trained;
//!     let len = reply(&config, &mut client, Buffers::default(), &mut up)?;
//!     accept(&config, &mut server, samples, &up[..len], Buffers::values(&mut [0.0]))?;
//! }
//! finish(&config, &mut server)?;
//! assert_eq!(server.params(), [3.0]); // (30 * 2 + 10 * 6) / 40
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of clients below their number, a u32"
)]

use crate::compress::{Buffers, Compressor, Key, Weight};
use crate::error::{check, check_length};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::wire::{self, Body, DecodeError, Dtype, Expect, Header, Kind, Payload, SERVER, decode};
use crate::{Error, Real, Storage, vector};

use super::{Ledger, ProtocolError, Run, message};

/// Hyperparameters of FedAvg.
///
/// ```
/// use thalweg::{compress::Identity, federated::{Run, fed_avg::Config}};
/// let config = Config { run: Run { seed: 0, clients: 2 }, server_learning_rate: 1.0_f32, compressor: Identity };
/// assert!(config.validate(3).is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config<T, C> {
    /// Seed and number of clients.
    pub run: Run,
    /// Step `eta` along the mean change; 1 is plain averaging.
    pub server_learning_rate: T,
    /// The operator on the changes.
    pub compressor: C,
}

impl<T: Real, C: Compressor<T>> Config<T, C> {
    /// Checks the hyperparameters against a dimension.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the hyperparameter.
    pub fn validate(&self, d: usize) -> Result<(), Error> {
        message::check_run(self.run, &self.compressor, d)?;
        let rate = self.server_learning_rate;
        check(
            "server_learning_rate",
            rate.is_finite() && rate > T::ZERO,
            "must be finite and positive",
        )
    }
}

/// A client: the model as it was broadcast, and the copy that it trains.
#[derive(Clone, Copy, Debug)]
pub struct Client<B> {
    id: u32,
    round: u64,
    /// `start` is the model as it was broadcast.
    is_ready: bool,
    start: B,
    params: B,
}

impl<T: Real, B: Storage<Elem = T>> Client<B> {
    /// A client before its first broadcast; both buffers have length `d`.
    ///
    /// # Errors
    /// [`Error::Length`] when the lengths differ.
    ///
    /// ```
    /// use thalweg::federated::fed_avg::Client;
    /// assert_eq!(Client::new(3, [0.0_f32; 2], [0.0; 2])?.id(), 3);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(id: u32, start: B, params: B) -> Result<Self, Error> {
        check_length("params", start.as_slice().len(), params.as_slice().len())?;
        Ok(Self {
            id,
            round: 0,
            is_ready: false,
            start,
            params,
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

    /// The model.
    #[must_use]
    pub fn params(&self) -> &[T] {
        self.params.as_slice()
    }

    /// Makes the client one before its first broadcast: it takes the next model, whatever its round.
    ///
    /// For a client that reconnects to a server that was started again at an earlier round.
    ///
    /// ```
    /// use thalweg::compress::Identity;
    /// use thalweg::federated::{Run, fed_avg::*};
    /// let config = Config { run: Run { seed: 0, clients: 1 }, server_learning_rate: 1.0, compressor: Identity };
    /// let mut server = Server::new([2.0_f32], [0.0])?;
    /// let mut client = Client::new(0, [0.0], [0.0])?;
    /// let mut frame = [0; 64];
    /// let len = broadcast(&config, &mut server, &mut frame)?;
    /// client.rejoin();
    /// receive(&config, &mut client, &frame[..len])?;
    /// assert_eq!((client.round(), client.params()), (0, &[2.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn rejoin(&mut self) {
        (self.round, self.is_ready) = (0, false);
    }

    /// The model, to be trained in place.
    pub fn params_mut(&mut self) -> &mut [T] {
        self.params.as_mut_slice()
    }
}

/// Reads a broadcast: the model to train from.
///
/// # Errors
/// [`ProtocolError::Decode`] when the frame is not a model of this run, or of an earlier round (see [`Client::rejoin`]); the client
/// stays as it is.
pub fn receive<T: Real, C: Compressor<T>, B: Storage<Elem = T>>(
    config: &Config<T, C>,
    client: &mut Client<B>,
    bytes: &[u8],
) -> Result<(), ProtocolError> {
    config.validate(client.params().len())?;
    let d = message::dimension(client.params().len())?;
    let expect = Expect {
        kind: Some(Kind::Model),
        client: Some(SERVER),
        ..message::expect::<T>(config.run, d)
    };
    let frame = decode(bytes, &expect)?;
    let (expected, found) = (client.round, frame.header.round);
    if found < expected {
        return Err(DecodeError::WrongRound { expected, found }.into());
    }
    let Payload::Values(values) = frame.payload::<T>()? else {
        return Err(Error::Parameter {
            name: "frame",
            rule: "must carry a model",
        }
        .into());
    };
    let both = client
        .start
        .as_mut_slice()
        .iter_mut()
        .zip(client.params.as_mut_slice());
    for ((start, x), v) in both.zip(values.iter()) {
        (*start, *x) = (v, v);
    }
    (client.round, client.is_ready) = (found, true);
    Ok(())
}

/// Writes the client's reply after training: the change of the model, compressed; returns its length.
///
/// The broadcast model is spent: the next reply needs the next broadcast.
///
/// # Errors
/// [`ProtocolError::Argument`] when the trained model is not finite, the magnitudes of its change do not have a finite sum, or the
/// buffers or the compressor do not fit; [`ProtocolError::Encode`] when `out` is short; [`ProtocolError::NotSynchronised`] without an
/// unspent broadcast. The client is as before.
///
/// A compressor outside this crate that fails although all this holds has spent the broadcast, too.
pub fn reply<T: Real, C: Compressor<T>, B: Storage<Elem = T>>(
    config: &Config<T, C>,
    client: &mut Client<B>,
    buffers: Buffers<'_, T>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    let len = client.params().len();
    config.validate(len)?;
    check(
        "client",
        client.id < config.run.clients,
        "must be below the number of clients",
    )?;
    if let Some(index) = vector::first_non_finite(client.params()) {
        return Err(Error::NonFinite {
            name: "params",
            at: crate::At::Element(index),
        }
        .into());
    }
    if !client.is_ready {
        return Err(ProtocolError::NotSynchronised { client: client.id });
    }
    let d = message::dimension(len)?;
    // All that could fail is checked first: the difference below cannot be undone.
    let key = Key {
        seed: config.run.seed,
        round: client.round,
        client: client.id,
    };
    message::check_room(&config.compressor, key, len, &buffers, out)?;
    let (start, params) = (client.start.as_mut_slice(), client.params.as_slice());
    message::check_change("change of the model", start, params)?;
    client.is_ready = false;
    for (change, &x) in start.iter_mut().zip(params) {
        *change = x - *change;
    }
    let message = config.compressor.compress(key, start, buffers)?;
    wire::message::encode_into(&message, key, d, out)
}

/// The server: the model, and the weighted sum of the round that is open.
#[derive(Clone, Copy, Debug)]
pub struct Server<B> {
    round: u64,
    turn: u32,
    weight: u64,
    params: B,
    sum: B,
    ledger: Ledger,
}

impl<T: Real, B: Storage<Elem = T>> Server<B> {
    /// A server at the initial model; both buffers have length `d`.
    ///
    /// # Errors
    /// [`Error::Length`] when the lengths differ.
    ///
    /// ```
    /// use thalweg::federated::fed_avg::Server;
    /// assert_eq!(Server::new([1.0_f32, 2.0], [0.0; 2])?.params(), [1.0, 2.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(params: B, mut sum: B) -> Result<Self, Error> {
        check_length("sum", params.as_slice().len(), sum.as_slice().len())?;
        sum.as_mut_slice().fill(-T::ZERO);
        Ok(Self {
            round: 0,
            turn: 0,
            weight: 0,
            params,
            sum,
            ledger: Ledger::default(),
        })
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

    /// The model.
    #[must_use]
    pub fn params(&self) -> &[T] {
        self.params.as_slice()
    }

    /// The bits sent so far.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Opens the round, or opens it again: no client has been heard.
    fn open(&mut self) {
        (self.turn, self.weight) = (0, 0);
        self.sum.as_mut_slice().fill(-T::ZERO);
    }

    fn fields(&self) -> [Field; 6] {
        let d = self.params().len();
        let words = Field::words::<u64>(Ledger::WORDS);
        [
            Field::U64,
            Field::U32,
            Field::U64,
            words,
            Field::reals::<T>(d),
            Field::reals::<T>(d),
        ]
    }
}

/// Writes the frame that opens the round, for all clients and for those that rejoin; the ledger counts it once a round.
///
/// # Errors
/// [`ProtocolError::Encode`] when `out` is shorter than the frame.
pub fn broadcast<T: Real, C: Compressor<T>, B: Storage<Elem = T>>(
    config: &Config<T, C>,
    server: &mut Server<B>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    config.validate(server.params().len())?;
    let d = message::dimension(server.params().len())?;
    let header = Header {
        round: server.round,
        seed: config.run.seed,
        ..Header::new(Kind::Model, Dtype::of::<T>(), d, d)
    };
    let len = wire::encode_into(&header, &Body::Values(server.params()), out)?;
    server.ledger.broadcast(&header);
    Ok(len)
}

/// Adds the reply of the client whose turn it is, weighted by its number of samples.
///
/// # Errors
/// As [`estimator::accept`](super::estimator::accept), and [`ProtocolError::Argument`] for zero samples. The round is as before.
pub fn accept<T: Real, C: Compressor<T>, B: Storage<Elem = T>>(
    config: &Config<T, C>,
    server: &mut Server<B>,
    samples: u32,
    bytes: &[u8],
    buffers: Buffers<'_, T>,
) -> Result<(), ProtocolError> {
    config.validate(server.params().len())?;
    check("samples", samples > 0, "must be at least 1")?;
    let d = message::dimension(server.params().len())?;
    let (key, frame) = message::open::<T>(bytes, config.run, server.round, server.turn, d)?;
    let message = wire::message::read(&frame, buffers)?;
    let weight = Weight::Value(T::from_f64(f64::from(samples)));
    config
        .compressor
        .accumulate(key, &message, weight, server.sum.as_mut_slice())?;
    server.turn += 1;
    server.weight = server.weight.saturating_add(u64::from(samples));
    server.ledger.uplink(&frame.header);
    Ok(())
}

/// Passes over the client whose turn it is: the mean is over those who replied.
///
/// # Errors
/// [`ProtocolError::OutOfTurn`] when every client has been heard or skipped.
pub fn skip<T: Real, C: Compressor<T>, B: Storage<Elem = T>>(
    config: &Config<T, C>,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    message::check_turn(config.run, server.turn, server.turn)?;
    server.turn += 1;
    Ok(())
}

/// Closes the round: the model moves by the mean change.
///
/// # Errors
/// [`ProtocolError::Incomplete`] while a client is missing. [`ProtocolError::Empty`] when none replied: it is client 0's turn
/// again. [`ProtocolError::Argument`] when the sum or the new model is not finite; the round stays as it is, and [`reopen`] discards
/// its replies.
pub fn finish<T: Real, C: Compressor<T>, B: Storage<Elem = T>>(
    config: &Config<T, C>,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    config.validate(server.params().len())?;
    let next_round = message::close(config.run, server.round, server.turn)?;
    if server.weight == 0 {
        server.open();
        return Err(ProtocolError::Empty);
    }
    // The weight is at least 1.
    let total = T::from_f64(server.weight as f64);
    let eta = config.server_learning_rate;
    let (params, sum) = (server.params.as_slice(), server.sum.as_slice());
    message::check_next("sum", [eta, total], params, sum)?;
    for (x, &s) in server
        .params
        .as_mut_slice()
        .iter_mut()
        .zip(server.sum.as_slice())
    {
        *x += eta * (s / total);
    }
    server.round = next_round;
    server.open();
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
/// use thalweg::compress::Identity;
/// use thalweg::federated::{Run, fed_avg::*};
/// let config = Config { run: Run { seed: 0, clients: 2 }, server_learning_rate: 1.0, compressor: Identity };
/// let mut server = Server::new([2.0_f32], [0.0])?;
/// skip(&config, &mut server)?;
/// reopen(&config, &mut server)?;
/// assert_eq!(server.turn(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn reopen<T: Real, C: Compressor<T>, B: Storage<Elem = T>>(
    config: &Config<T, C>,
    server: &mut Server<B>,
) -> Result<(), ProtocolError> {
    config.validate(server.params().len())?;
    server.open();
    Ok(())
}

impl<T: Real, B: Storage<Elem = T>> Snapshot for Server<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut w = Writer::new(out, *b"FAVG", 1)?;
        w.u64(self.round)?;
        w.u32(self.turn)?;
        w.u64(self.weight)?;
        w.words(&self.ledger.words())?;
        w.slice(self.params.as_slice())?;
        w.slice(self.sum.as_slice())?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"FAVG", 1, &self.fields())?;
        let (round, turn, weight) = (r.u64()?, r.u32()?, r.u64()?);
        // No more samples than that many replies can state.
        if weight > u64::from(turn) * u64::from(u32::MAX) {
            return Err(SnapshotError::Value {
                name: "weight",
                rule: "must be at most 2^32 - 1 for each client before `turn`",
            });
        }
        (self.round, self.turn, self.weight) = (round, turn, weight);
        let mut words = [0; Ledger::WORDS];
        r.words_into(&mut words)?;
        self.ledger = Ledger::from_words(words);
        r.slice_into(self.params.as_mut_slice())?;
        r.slice_into(self.sum.as_mut_slice())?;
        r.finish()
    }
}
