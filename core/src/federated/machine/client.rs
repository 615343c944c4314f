//! The client of a protocol.

use crate::compress::{Buffers, Key, Message};
use crate::error::{check, check_length, ensure_finite};
use crate::memory::must;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::wire::{self, DecodeError, Expect, Frame, Kind, Payload, SERVER, Values};
use crate::{At, Error, Real, Storage};

use super::check_state;
use crate::federated::protocol::Place;
use crate::federated::{Protocol, ProtocolError, message};

/// A client: the model, and a memory of the same length where the protocol keeps an estimate.
///
/// MARINA's memory is the previous gradient; for EF21 it is `h_i`, which the server also tracks (in the mean). FedAvg has none.
#[derive(Clone, Copy, Debug)]
pub struct Client<B> {
    round: u64,
    id: u32,
    d: u32,
    standing: Standing,
    /// Model, memory.
    memory: B,
}

/// What a client has of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::federated) enum Standing {
    /// Nothing: it waits for a Model frame.
    Outside,
    /// The model; its memory is not that of the server.
    Following,
    /// Model and memory.
    Synchronised,
}

impl Standing {
    /// The number that a saved state holds.
    const fn code(self) -> u32 {
        match self {
            Self::Following => 0,
            Self::Synchronised => 1,
            Self::Outside => 2,
        }
    }

    const fn from_code(code: u32) -> Option<Self> {
        match code {
            0 => Some(Self::Following),
            1 => Some(Self::Synchronised),
            2 => Some(Self::Outside),
            _ => None,
        }
    }
}

impl<T: Real, B: Storage<Elem = T>> Client<B> {
    /// A client before its first broadcast; `memory` is as long as [`Protocol::client_len`] says for the dimension of the model.
    ///
    /// # Errors
    /// [`Error::Length`] for a memory that is the client's for no dimension.
    ///
    /// ```
    /// use thalweg::aggregate::Mean;
    /// use thalweg::compress::Identity;
    /// use thalweg::federated::{Run, fed_avg, machine::Client, marina};
    /// let run = Run { seed: 1, clients: 2 };
    /// let marina = marina::Config { run, step_size: 0.5, probability: 1.0, compressor: Identity };
    /// let average = fed_avg::Config { run, server_learning_rate: 1.0, compressor: Identity, aggregator: Mean };
    /// assert_eq!(Client::new(&marina, 0, [0.0_f32; 6])?.params().len(), 3);
    /// assert_eq!(Client::new(&average, 0, [0.0_f32; 3])?.params().len(), 3);
    /// assert!(Client::new(&marina, 0, [0.0_f32; 5]).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new<P: Protocol<T> + ?Sized>(config: &P, id: u32, memory: B) -> Result<Self, Error> {
        let found = memory.as_slice().len();
        let d = if config.keeps_estimate() {
            found / 2
        } else {
            found
        };
        check_length("memory", config.client_len(d), found)?;
        Ok(Self {
            round: 0,
            id,
            d: message::dimension(d)?,
            standing: Standing::Outside,
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

    /// The point at which the gradient is to be taken, or from which the model is to be trained.
    #[must_use]
    pub fn params(&self) -> &[T] {
        let d = self.d as usize;
        must(self.memory.as_slice().get(..d))
    }

    /// Makes the client one before its first broadcast: it takes the next Model frame, whatever its round.
    ///
    /// For a client that reconnects to a server that was started again at an earlier round, or that was restored from a state
    /// whose reply never arrived. It takes part again from the next full round on.
    ///
    /// ```
    /// use thalweg::compress::{Buffers, Identity};
    /// use thalweg::federated::machine::{Client, Server, broadcast, receive, reply};
    /// use thalweg::federated::{Run, decode, marina};
    /// let run = Run { seed: 1, clients: 1 };
    /// let config = marina::Config { run, step_size: 0.5, probability: 0.5, compressor: Identity };
    /// let mut server = Server::new(&config, &[4.0_f32], [0.0; 3])?;
    /// let mut client = Client::new(&config, 0, [0.0; 2])?;
    /// let mut frame = [0; 64];
    /// let len = broadcast(&config, &mut server, &mut frame)?;
    /// let model = decode::<f32>(&frame[..len], 1)?;
    /// receive(&config, &mut client, &model)?;
    /// reply(&config, &mut client, &mut [1.0], Buffers::default(), &mut [0; 64])?;
    /// // The model of round 0 again: refused, unless the client rejoins.
    /// assert!(receive(&config, &mut client, &model).is_err());
    /// client.rejoin();
    /// receive(&config, &mut client, &model)?;
    /// assert_eq!((client.round(), client.params()), (0, &[4.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn rejoin(&mut self) {
        (self.round, self.standing) = (0, Standing::Outside);
    }

    /// Model and memory.
    fn parts(&mut self) -> (&mut [T], &mut [T]) {
        let all = self.memory.as_mut_slice();
        let d = (self.d as usize).min(all.len());
        must(all.split_at_mut_checked(d))
    }

    fn check<P: Protocol<T> + ?Sized>(&self, config: &P) -> Result<(), Error> {
        let (d, found) = (self.d as usize, self.memory.as_slice().len());
        check_state(config, d, config.client_len(d), found)?;
        Ok(())
    }

    /// Checks that a Model frame leads forwards.
    ///
    /// A client without a memory loses nothing by the model of its own round.
    fn check_model(&self, found: u64) -> Result<(), ProtocolError> {
        let least = match self.standing {
            Standing::Outside => 0,
            Standing::Following => self.round,
            Standing::Synchronised => self.next_round()?,
        };
        if found < least {
            let expected = least;
            return Err(DecodeError::WrongRound { expected, found }.into());
        }
        Ok(())
    }

    /// Checks that an Estimate frame leads from the client's model to the next one.
    fn check_estimate(&self, found: u64) -> Result<(), ProtocolError> {
        let expected = match self.standing {
            Standing::Outside if found == 0 => {
                let (expected, found) = (Kind::Model, Kind::Estimate);
                return Err(DecodeError::WrongKind { expected, found }.into());
            }
            Standing::Outside => 0,
            _ => self.next_round()?,
        };
        if found != expected {
            return Err(DecodeError::WrongRound { expected, found }.into());
        }
        Ok(())
    }

    fn next_round(&self) -> Result<u64, Error> {
        self.round.checked_add(1).ok_or(message::LAST_ROUND)
    }

    fn fields(&self) -> [Field; 5] {
        let d = self.d as usize;
        let rest = self.memory.as_slice().len().saturating_sub(d);
        [
            Field::U32,
            Field::U64,
            Field::U32,
            Field::reals::<T>(d),
            Field::reals::<T>(rest),
        ]
    }
}

/// Reads a broadcast and moves the client: `x <- x + s g` for an Estimate frame, or `x <- x^r` for a Model frame.
///
/// `g` is applied as it is read; the client never holds it. A Model frame at a round above 0 lets a client join late: where
/// the protocol keeps an estimate, it takes part again from the next full round on.
///
/// # Errors
/// [`ProtocolError::Decode`] when the frame is of another run, or leads back: an Estimate that is not of the next round, a
/// Model that is not of a later one (see [`Client::rejoin`]). [`ProtocolError::Argument`] when the step leaves the finite
/// numbers. The client stays where it is.
pub fn receive<T: Real, P: Protocol<T> + ?Sized, B: Storage<Elem = T>>(
    config: &P,
    client: &mut Client<B>,
    frame: &Frame<'_>,
) -> Result<(), ProtocolError> {
    client.check(config)?;
    let keeps_estimate = config.keeps_estimate();
    let expect = Expect {
        kind: (!keeps_estimate).then_some(Kind::Model),
        client: Some(SERVER),
        ..message::expect(config.run(), client.d)
    };
    expect.check(&frame.header)?;
    let found = frame.header.round;
    match (frame.header.kind, frame.payload::<T>()?) {
        (Kind::Model, Payload::Values(values)) => {
            client.check_model(found)?;
            values.copy_into(client.parts().0)?;
            client.standing = Standing::Following;
        }
        (Kind::Estimate, Payload::Values(values)) => {
            client.check_estimate(found)?;
            step(config.step(), &values, client.parts().0)?;
        }
        _ => {
            return Err(Error::Parameter {
                name: "frame",
                rule: "must carry a model or an estimate",
            }
            .into());
        }
    }
    client.round = found;
    Ok(())
}

/// Writes the client's reply to the last broadcast; returns its length.
///
/// `local` is the client's gradient at [`Client::params`] (MARINA, EF21), or the model that it trained from there (FedAvg). It
/// becomes scratch, except in a full round. `buffers` hold the message, as long as the compressor's
/// [`lengths`](crate::compress::Operator::lengths) for `d`; `out` holds the frame ([`frame_len`](crate::federated::frame_len) is always
/// enough).
///
/// # Errors
/// [`ProtocolError::Argument`] for a wrong length, a `local` that is not finite, a difference whose magnitudes do not have a
/// finite sum, short buffers, or a compressor that does not fit `d` or the number of clients; [`ProtocolError::Encode`] when `out` is
/// short; [`ProtocolError::NotSynchronised`] for a client that joined late. Client and `local` are as before.
///
/// A compressor outside this crate that fails although all this holds has destroyed `local`; a client of MARINA then loses its place until
/// the next full round.
pub fn reply<T: Real, P: Protocol<T> + ?Sized, B: Storage<Elem = T>>(
    config: &P,
    client: &mut Client<B>,
    local: &mut [T],
    buffers: Buffers<'_, T>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    config.validate(local.len())?;
    let (run, keeps_estimate) = (config.run(), config.keeps_estimate());
    check(
        "client",
        client.id < run.clients,
        "must be below the number of clients",
    )?;
    let [name, change] = if keeps_estimate {
        ["gradient", "change of the gradient"]
    } else {
        ["params", "change of the model"]
    };
    check_length(name, client.params().len(), local.len())?;
    client.check(config)?;
    ensure_finite(name, local)?;
    let is_full = config.is_full(client.round);
    let is_ready = match client.standing {
        Standing::Outside => false,
        Standing::Following => is_full || !keeps_estimate,
        Standing::Synchronised => true,
    };
    if !is_ready {
        return Err(ProtocolError::NotSynchronised { client: client.id });
    }
    let d = client.d;
    let key = Key {
        seed: run.seed,
        round: client.round,
        client: client.id,
    };
    if is_full {
        let len = wire::message::encode_into(&Message::Dense(local), key, d, out)?;
        for (m, &g) in client.parts().1.iter_mut().zip(local.iter()) {
            *m = g;
        }
        client.standing = Standing::Synchronised;
        return Ok(len);
    }
    // All that could fail is checked first: what the protocol does to `local` and the memory cannot be undone.
    message::check_room(config.compressor(), key, local.len(), &buffers, out)?;
    let mut standing = client.standing;
    let (params, memory) = client.parts();
    let from = if keeps_estimate { &*memory } else { &*params };
    message::check_change(change, from, local)?;
    let place = Place {
        key,
        d,
        params,
        memory,
        standing: &mut standing,
    };
    let sent = config.reply(place, local, buffers, out);
    client.standing = standing;
    sent
}

/// `x <- x + s g`, unless an element would leave the finite numbers.
fn step<T: Real>(s: T, g: &Values<'_, T>, x: &mut [T]) -> Result<(), Error> {
    let lost = |(&x, g): (&T, T)| !(x + s * g).is_finite();
    if let Some(index) = x.iter().zip(g.iter()).position(lost) {
        let name = "params";
        return Err(Error::NonFinite {
            name,
            at: At::Element(index),
        });
    }
    for (x, g) in x.iter_mut().zip(g.iter()) {
        *x += s * g;
    }
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
        w.u32(self.standing.code())?;
        w.slice(self.params())?;
        let d = self.d as usize;
        w.slice(must(self.memory.as_slice().get(d..)))?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"FCLI", 1, &self.fields())?;
        let (id, round, code) = (r.u32()?, r.u64()?, r.u32()?);
        let standing = Standing::from_code(code).ok_or(SnapshotError::Value {
            name: "standing",
            rule: "must be 0, 1 or 2",
        })?;
        (self.id, self.round, self.standing) = (id, round, standing);
        let (params, memory) = self.parts();
        r.slice_into(params)?;
        r.slice_into(memory)?;
        r.finish()
    }
}
