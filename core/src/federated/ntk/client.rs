//! The client of NTK-FL: sends labels, outputs and one row after another, then the losses of the candidates.

use crate::compress::{Buffers, Key};
use crate::error::{check, check_length, check_scratch, ensure_finite};
use crate::federated::{ProtocolError, message};
use crate::memory::must;

use crate::model::{Batch, Outputs};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::wire::{self, Body, DecodeError, Dtype, Expect, Frame, Header, Kind, Payload, SERVER};
use crate::{Error, Real, Storage};

use super::{Config, row};

/// A client: the model of the round, and the sums of losses of the candidates.
///
/// ```text
/// parameters P | losses times + 1
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Client<B> {
    id: u32,
    round: u64,
    has_model: bool,
    /// Frames sent in the round.
    sent: u32,
    /// Candidates heard in the round.
    heard: u32,
    times: u32,
    memory: B,
}

/// Numbers of a client's memory for a model of `parameters` parameters and `times` candidates.
///
/// ```
/// assert_eq!(thalweg::federated::ntk::client::len(79_510, 12), 79_523);
/// ```
#[must_use]
pub const fn len(parameters: usize, times: usize) -> usize {
    parameters.saturating_add(times).saturating_add(1)
}

impl<T: Real, B: Storage<Elem = T>> Client<B> {
    /// A client before its first broadcast; `memory` is as long as [`len`] says.
    ///
    /// # Errors
    /// What [`Config::validate`] says; [`Error::Length`] for a memory without a parameter.
    ///
    /// ```
    /// use thalweg::federated::{Run, ntk::{Client, Config}};
    /// let config = Config::new(Run { seed: 1, clients: 2 }, 2, &[1.0, 2.0]);
    /// assert_eq!(Client::new(&config, 1, [0.0_f32; 8])?.params().len(), 5);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(config: &Config<'_>, id: u32, memory: B) -> Result<Self, Error> {
        config.validate()?;
        let (least, found) = (len(1, config.times.len()), memory.as_slice().len());
        check_scratch("memory", least, found)?;
        Ok(Self {
            id,
            round: 0,
            has_model: false,
            sent: 0,
            heard: 0,
            times: config.times.len() as u32,
            memory,
        })
    }

    /// Its number.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Takes another number: in each round the server numbers those that take part from 0.
    pub const fn renumber(&mut self, id: u32) {
        self.id = id;
    }

    /// The round of the last broadcast.
    #[must_use]
    pub const fn round(&self) -> u64 {
        self.round
    }

    /// The model of the round.
    #[must_use]
    pub fn params(&self) -> &[T] {
        must(self.memory.as_slice().get(..self.dim()))
    }

    fn dim(&self) -> usize {
        let found = self.memory.as_slice().len();
        found.saturating_sub(self.times as usize).saturating_sub(1)
    }

    fn losses(&mut self) -> &mut [T] {
        let d = self.dim();
        must(self.memory.as_mut_slice().get_mut(d..))
    }

    fn check(&self, config: &Config<'_>) -> Result<(), Error> {
        config.validate()?;
        let rule = "must be below the number of clients";
        check("client", self.id < config.run.clients, rule)?;
        check(
            "client",
            config.times.len() == self.times as usize,
            "must be that of the configuration",
        )
    }

    fn check_sent(&self, config: &Config<'_>, is_next: bool) -> Result<(), ProtocolError> {
        self.check(config)?;
        if !self.has_model {
            return Err(ProtocolError::NotSynchronised { client: self.id });
        }
        Ok(check(
            "client",
            is_next,
            "must send labels, outputs, then rows, once a round",
        )?)
    }

    const fn key(&self, config: &Config<'_>) -> Key {
        Key {
            seed: config.run.seed,
            round: self.round,
            client: self.id,
        }
    }

    fn header(&self, config: &Config<'_>, kind: Kind, d: u32, k: u32) -> Header {
        Header {
            client: self.id,
            round: self.round,
            seed: config.run.seed,
            ..Header::new(
                kind,
                if kind.is_scalar_free() {
                    Dtype::None
                } else {
                    Dtype::of::<T>()
                },
                d,
                k,
            )
        }
    }

    fn fields(&self) -> [Field; 4] {
        [
            Field::U64,
            Field::words::<u32>(3),
            Field::words::<u8>(1),
            Field::reals::<T>(self.memory.as_slice().len()),
        ]
    }
}

/// Reads the model of a round, of a later one than the last.
///
/// # Errors
/// [`ProtocolError::Decode`] when the frame is of another run, or of a round that is over. The client stays where it is.
pub fn receive<T: Real, B: Storage<Elem = T>>(
    config: &Config<'_>,
    client: &mut Client<B>,
    frame: &Frame<'_>,
) -> Result<(), ProtocolError> {
    client.check(config)?;
    let d = message::dimension(client.dim())?;
    let expect = Expect {
        kind: Some(Kind::Model),
        client: Some(SERVER),
        ..message::expect(config.run, d)
    };
    expect.check(&frame.header)?;
    let (found, least) = (
        frame.header.round,
        client.round.saturating_add(u64::from(client.has_model)),
    );
    if found < least {
        let expected = least;
        return Err(DecodeError::WrongRound { expected, found }.into());
    }
    if let Payload::Values(values) = frame.payload::<T>()? {
        values.copy_into(must(client.memory.as_mut_slice().get_mut(..d as usize)))?;
    }
    client.losses().fill(T::ZERO);
    (client.round, client.has_model) = (found, true);
    (client.sent, client.heard) = (0, 0);
    Ok(())
}

/// Writes the next frame of the round, or nothing after the last: labels, outputs, and a row for each sample of the batch.
///
/// `jacobian` holds one row, `C P` numbers, and `outputs` the outputs of the batch, `N_m C`, in the second frame only. `buffers` have
/// [`Rows::count`](super::Rows::count) values and indices; `out` [`Config::frame_len`] bytes. Each row is computed as it is sent.
///
/// # Errors
/// [`ProtocolError::NotSynchronised`] without a model; [`ProtocolError::Argument`] for wrong lengths, a batch without classes or samples, and
/// a Jacobian that is not finite; [`ProtocolError::Encode`] when `out` is short. The frame can be asked for again.
pub fn next_frame<T: Real, B: Storage<Elem = T>>(
    config: &Config<'_>,
    client: &mut Client<B>,
    (model, batch): (&impl Outputs<T>, &Batch<'_, T>),
    work: Work<'_, T>,
    out: &mut [u8],
) -> Result<Option<usize>, ProtocolError> {
    client.check_sent(config, true)?;
    check_length("params", model.dim(), client.dim())?;
    check(
        "model",
        model.outputs() == config.outputs as usize,
        "must have the outputs of the configuration",
    )?;
    check("batch", !batch.is_empty(), "must have at least one row")?;
    let n = u32::try_from(batch.len()).unwrap_or(u32::MAX);
    let c = config.outputs as usize;
    let len = match client.sent {
        0 => {
            let header = client.header(config, Kind::Labels, config.outputs, n);
            batch.check_classes(c)?;
            let classes = (0..batch.len()).filter_map(|i| batch.class(i));
            wire::classes_into(&header, classes, out)?
        }
        1 => {
            let header = client.header(config, Kind::Logits, config.outputs, n);
            let outputs =
                crate::memory::front("numbers", work.numbers, batch.len().saturating_mul(c))?;
            model.outputs_into(client.params(), batch, outputs, work.scratch)?;
            ensure_finite("outputs", outputs)?;
            wire::encode_into(&header, &Body::Values(&*outputs), out)?
        }
        sent if sent.saturating_sub(2) < n => {
            let (i, size) = (sent.saturating_sub(2), config.row_len(client.dim())?);
            let row = batch.range(i as usize, 1)?;
            let jacobian = crate::memory::front("numbers", work.numbers, size as usize)?;
            model.jacobian_into(client.params(), &row, jacobian, work.scratch)?;
            row::encode_into(
                config.rows,
                (client.key(config), i),
                jacobian,
                work.buffers,
                out,
            )?
        }
        _ => return Ok(None),
    };
    client.sent = client.sent.saturating_add(1);
    Ok(Some(len))
}

/// Memory that a client lends to [`next_frame`].
#[derive(Debug)]
pub struct Work<'a, T> {
    /// A row or the outputs of the batch: `max(C P, N_m C)` numbers.
    pub numbers: &'a mut [T],
    /// Scratch of the model for one row and for the batch: [`Outputs::outputs_scratch_len`].
    pub scratch: &'a mut [T],
    /// Values and indices of a quantised row.
    pub buffers: Buffers<'a, T>,
}

/// Reads a candidate into `candidate`, `P` numbers, has `loss` add up its losses over the client's samples, and keeps the sum.
///
/// A sum that is not finite counts as the largest finite number: that candidate is not chosen.
///
/// # Errors
/// [`ProtocolError::Decode`] when the frame is of another run or round, or not the next candidate; [`ProtocolError::Argument`] for a wrong length, and the errors of
/// `loss`. The client stays where it is.
pub fn try_candidate<T: Real, B: Storage<Elem = T>>(
    config: &Config<'_>,
    client: &mut Client<B>,
    frame: &Frame<'_>,
    candidate: &mut [T],
    loss: impl FnOnce(&[T]) -> Result<T, Error>,
) -> Result<(), ProtocolError> {
    client.check_sent(config, client.sent > 0)?;
    check_length("candidate", client.dim(), candidate.len())?;
    let expect = Expect {
        kind: Some(Kind::Candidate),
        client: Some(SERVER),
        round: Some(client.round),
        k: Some(client.heard.saturating_add(1)),
        ..message::expect(config.run, message::dimension(client.dim())?)
    };
    expect.check(&frame.header)?;
    check(
        "candidate",
        client.heard < client.times,
        "must be one of the times",
    )?;
    if let Payload::Values(values) = frame.payload::<T>()? {
        values.copy_into(candidate)?;
    }
    let sum = finite(loss(candidate)?);
    client.heard = client.heard.saturating_add(1);
    let at = client.heard as usize;
    if let Some(place) = client.losses().get_mut(at) {
        *place = sum;
    }
    Ok(())
}

/// Writes the losses, after the last candidate; `at_model` is that of the model of the round, summed over the client's samples.
///
/// # Errors
/// [`ProtocolError::Argument`] before the last candidate; [`ProtocolError::Encode`] when `out` is short.
pub fn losses_into<T: Real, B: Storage<Elem = T>>(
    config: &Config<'_>,
    client: &mut Client<B>,
    at_model: T,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    client.check_sent(config, client.sent > 0 && client.heard == client.times)?;
    let count = client.times.saturating_add(1);
    let header = client.header(config, Kind::Losses, count, count);
    let losses = client.losses();
    if let Some(first) = losses.first_mut() {
        *first = finite(at_model);
    }
    Ok(wire::encode_into(&header, &Body::Values(&*losses), out)?)
}

fn finite<T: Real>(x: T) -> T {
    if x.is_finite() {
        x
    } else {
        T::from_f64(f32::MAX.into())
    }
}

impl<T: Real, B: Storage<Elem = T>> Snapshot for Client<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut w = Writer::new(out, *b"NTKC", 1)?;
        w.u64(self.round)?;
        w.words(&[self.id, self.sent, self.heard])?;
        w.bytes(&[u8::from(self.has_model)])?;
        w.slice(self.memory.as_slice())?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"NTKC", 1, &self.fields())?;
        let (round, mut counts) = (r.u64()?, [0_u32; 3]);
        r.words_into(&mut counts)?;
        let [id, sent, heard] = counts;
        let has_model = match r.bytes(1)? {
            [flag @ 0..=1] if heard <= self.times => *flag == 1,
            _ => {
                return Err(SnapshotError::Value {
                    name: "heard",
                    rule: "must be at most the number of candidates, behind a flag of 0 or 1",
                });
            }
        };
        (self.id, self.round, self.has_model) = (id, round, has_model);
        (self.sent, self.heard) = (sent, heard);
        r.slice_into(self.memory.as_mut_slice())?;
        r.finish()
    }
}
