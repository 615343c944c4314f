//! The client of an estimator protocol.

use crate::compress::{Buffers, Compressor, Key, Message};
use crate::error::{check, check_length};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::wire::{self, DecodeError, Expect, Kind, Payload, SERVER, Values, decode};
use crate::{Error, Real, Storage, vector};

use super::Protocol;
use crate::federated::{ProtocolError, Run, message};

/// A client: the model, and a memory of the same length that the protocol gives its meaning.
///
/// MARINA's memory is the previous gradient; for EF21 it is `h_i`, which the server also tracks (in the mean).
#[derive(Clone, Copy, Debug)]
pub struct Client<B> {
    id: u32,
    round: u64,
    standing: Standing,
    params: B,
    pub(in crate::federated) memory: B,
}

/// What a client has of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
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
    /// A client before its first broadcast; both buffers have length `d`.
    ///
    /// # Errors
    /// [`Error::Length`] when the lengths differ.
    ///
    /// ```
    /// use thalweg::federated::estimator::Client;
    /// let client = Client::new(0, [0.0_f32; 3], [0.0; 3])?;
    /// assert_eq!((client.id(), client.round()), (0, 0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(id: u32, params: B, memory: B) -> Result<Self, Error> {
        check_length("memory", params.as_slice().len(), memory.as_slice().len())?;
        Ok(Self {
            id,
            round: 0,
            standing: Standing::Outside,
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

    /// Makes the client one before its first broadcast: it takes the next Model frame, whatever its round.
    ///
    /// For a client that reconnects to a server that was started again at an earlier round, or that was restored from a state
    /// whose reply never arrived. It takes part again from the next full round on.
    ///
    /// ```
    /// use thalweg::compress::{Buffers, Identity};
    /// use thalweg::federated::estimator::{Client, Server, broadcast, receive};
    /// use thalweg::federated::{Run, marina};
    /// let run = Run { seed: 1, clients: 1 };
    /// let config = marina::Config { run, step_size: 0.5, probability: 0.5, compressor: Identity };
    /// let mut server = Server::new([4.0_f32], [0.0], [0.0])?;
    /// let mut client = Client::new(0, [0.0], [0.0])?;
    /// let mut frame = [0; 64];
    /// let len = broadcast(&config, &mut server, &mut frame)?;
    /// receive(&config, &mut client, &frame[..len])?;
    /// marina::reply(&config, &mut client, &mut [1.0], Buffers::default(), &mut [0; 64])?;
    /// // The model of round 0 again: refused, unless the client rejoins.
    /// assert!(receive(&config, &mut client, &frame[..len]).is_err());
    /// client.rejoin();
    /// receive(&config, &mut client, &frame[..len])?;
    /// assert_eq!((client.round(), client.params()), (0, &[4.0][..]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn rejoin(&mut self) {
        (self.round, self.standing) = (0, Standing::Outside);
    }

    /// The key of its next message.
    pub(in crate::federated) fn key(&self, run: Run) -> Key {
        Key {
            seed: run.seed,
            round: self.round,
            client: self.id,
        }
    }

    /// Checks a gradient before anything is written; returns the dimension.
    fn check_gradient(&self, run: Run, gradient: &[T]) -> Result<u32, ProtocolError> {
        check(
            "client",
            self.id < run.clients,
            "must be below the number of clients",
        )?;
        check_length("gradient", self.params().len(), gradient.len())?;
        if let Some(index) = vector::first_non_finite(gradient) {
            let name = "gradient";
            return Err(Error::NonFinite {
                name,
                at: crate::At::Element(index),
            }
            .into());
        }
        Ok(message::dimension(gradient.len())?)
    }

    /// Sends the full gradient and remembers it.
    pub(in crate::federated) fn reply_full(
        &mut self,
        run: Run,
        gradient: &[T],
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        let d = self.check_gradient(run, gradient)?;
        if self.standing == Standing::Outside {
            return Err(ProtocolError::NotSynchronised { client: self.id });
        }
        let full = Message::Dense(gradient);
        let len = wire::message::encode_into(&full, self.key(run), d, out)?;
        for (m, &g) in self.memory.as_mut_slice().iter_mut().zip(gradient) {
            *m = g;
        }
        self.standing = Standing::Synchronised;
        Ok(len)
    }

    /// Checks all that a compressed reply can fail for, before anything is written; returns the dimension.
    pub(in crate::federated) fn check_compressed(
        &self,
        run: Run,
        compressor: &impl Compressor<T>,
        gradient: &[T],
        buffers: &Buffers<'_, T>,
        out: &[u8],
    ) -> Result<u32, ProtocolError> {
        let d = self.check_gradient(run, gradient)?;
        if self.standing != Standing::Synchronised {
            return Err(ProtocolError::NotSynchronised { client: self.id });
        }
        message::check_room(compressor, self.key(run), gradient.len(), buffers, out)?;
        message::check_change("change of the gradient", self.memory.as_slice(), gradient)?;
        Ok(d)
    }

    /// The memory is no longer that of the server: only a full round repairs it.
    pub(in crate::federated) const fn desynchronise(&mut self) {
        self.standing = Standing::Following;
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
/// [`ProtocolError::Decode`] when the frame is damaged, of another run, or leads back: an Estimate that is not of the next round, a
/// Model that is not of a later one (see [`Client::rejoin`]). [`ProtocolError::Argument`] when the step leaves the finite
/// numbers. The client stays where it is.
pub fn receive<T: Real, P: Protocol<T>, B: Storage<Elem = T>>(
    config: &P,
    client: &mut Client<B>,
    bytes: &[u8],
) -> Result<(), ProtocolError> {
    let d = message::dimension(client.params().len())?;
    config.validate(client.params().len())?;
    let expect = Expect {
        client: Some(SERVER),
        ..message::expect::<T>(config.run(), d)
    };
    let frame = decode(bytes, &expect)?;
    let found = frame.header.round;
    match (frame.header.kind, frame.payload::<T>()?) {
        (Kind::Model, Payload::Values(values)) => {
            client.check_model(found)?;
            values.copy_into(client.params.as_mut_slice())?;
            client.desynchronise();
        }
        (Kind::Estimate, Payload::Values(values)) => {
            client.check_estimate(found)?;
            step(config.step_size(), &values, client.params.as_mut_slice())?;
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

/// `x <- x - gamma g`, unless an element would leave the finite numbers.
fn step<T: Real>(gamma: T, g: &Values<'_, T>, x: &mut [T]) -> Result<(), Error> {
    let lost = |(&x, g): (&T, T)| !(x - gamma * g).is_finite();
    if let Some(index) = x.iter().zip(g.iter()).position(lost) {
        let name = "params";
        return Err(Error::NonFinite {
            name,
            at: crate::At::Element(index),
        });
    }
    for (x, g) in x.iter_mut().zip(g.iter()) {
        *x -= gamma * g;
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
        w.slice(self.params.as_slice())?;
        w.slice(self.memory.as_slice())?;
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
        r.slice_into(self.params.as_mut_slice())?;
        r.slice_into(self.memory.as_mut_slice())?;
        r.finish()
    }
}
