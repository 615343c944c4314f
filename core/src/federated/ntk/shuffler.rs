//! The shuffling server: takes the rows of all clients and hands them on as those of one, in a random order.
//!
//! ```text
//! row i of client m  ->  row pi^-1(offset_m + i) of client 0, with its label and its outputs;   pi a random permutation of 0..N
//! ```
//! The main server then runs with one client. It is sent nothing before the last row has come, so that times say nothing of the order.
//! The order is a [`Permutation`] of a key that the caller draws for each round; it hides who sent a row as long as the key is secret.

use crate::error::{check, check_length};
use crate::federated::{ProtocolError, message};
use crate::memory::must;
use crate::random::Permutation;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::wire::{self, Dtype, Expect, Frame, Header, Kind, Payload};
use crate::{Error, Real, Storage};

use super::Config;
use super::arrival::{Arrival, Piece};

/// The shuffler: a slot for each sample, with label, outputs and the frame of the row.
#[derive(Clone, Copy, Debug)]
pub struct Shuffler<B> {
    round: u64,
    turn: u32,
    /// Samples of the clients that are complete.
    rows: u32,
    open: Arrival,
    /// Frames handed on, and the key of their order, once all clients have been heard.
    sent: u32,
    key: Option<u64>,
    slot: usize,
    capacity: u32,
    memory: B,
}

/// Bytes of memory for at most `samples` samples in a round.
///
/// ```
/// use thalweg::federated::{Run, ntk::{Config, shuffler}};
/// let config = Config::new(Run { seed: 1, clients: 3 }, 2, &[1.0]);
/// // A label, two outputs, and a frame of 2 x 5 numbers.
/// assert_eq!(shuffler::len::<f32>(&config, 5, 7), 7 * (4 + 8 + 52 + 40));
/// ```
#[must_use]
pub fn len<T: Real>(config: &Config<'_>, parameters: usize, samples: u32) -> usize {
    slot_len::<T>(config, parameters).saturating_mul(samples as usize)
}

fn slot_len<T: Real>(config: &Config<'_>, parameters: usize) -> usize {
    let row = config.row_len(parameters).unwrap_or(u32::MAX);
    let outputs = (config.outputs as usize).saturating_mul(T::BYTES);
    let frame = config.rows.frame_len::<T>(row);
    outputs.saturating_add(4).saturating_add(frame)
}

impl<B: Storage<Elem = u8>> Shuffler<B> {
    /// A shuffler for rounds of at most `samples` samples; `memory` is as long as [`len`] says.
    ///
    /// # Errors
    /// [`Error::Length`] for a memory of another length, and what [`Config::validate`] says.
    pub fn new<T: Real>(
        config: &Config<'_>,
        parameters: usize,
        samples: u32,
        memory: B,
    ) -> Result<Self, Error> {
        config.validate()?;
        config.row_len(parameters)?;
        let expected = len::<T>(config, parameters, samples);
        check_length("memory", expected, memory.as_slice().len())?;
        Ok(Self {
            round: 0,
            turn: 0,
            rows: 0,
            open: Arrival::default(),
            sent: 0,
            key: None,
            slot: slot_len::<T>(config, parameters),
            capacity: samples,
            memory,
        })
    }

    /// Opens a round: nothing has been heard.
    pub const fn open(&mut self, round: u64) {
        (self.round, self.turn, self.rows) = (round, 0, 0);
        (self.sent, self.key) = (0, None);
        self.open = Arrival {
            samples: 0,
            has_outputs: false,
            rows: 0,
        };
    }

    /// The client whose frame is awaited.
    #[must_use]
    pub const fn turn(&self) -> u32 {
        self.turn
    }

    /// Samples of the round so far, of clients that are complete.
    #[must_use]
    pub const fn rows(&self) -> u32 {
        self.rows
    }

    /// Label, outputs and frame of a sample.
    fn slot(&self, i: usize, outputs: usize) -> [&[u8]; 3] {
        let start = i.saturating_mul(self.slot);
        let slot = must(must(self.memory.as_slice().get(start..)).get(..self.slot));
        let (label, rest) = must(slot.split_at_checked(4));
        let (outputs, frame) = must(rest.split_at_checked(outputs));
        [label, outputs, frame]
    }

    fn slots(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let start = (self.rows as usize).saturating_mul(self.slot);
        let rest = must(self.memory.as_mut_slice().get_mut(start..));
        rest.chunks_exact_mut(self.slot.max(1))
    }

    fn fields(&self) -> [Field; 4] {
        [
            Field::words::<u64>(2),
            Field::words::<u32>(5),
            Field::words::<u8>(2),
            Field::words::<u8>(self.memory.as_slice().len()),
        ]
    }
}

/// Takes the next frame of the client whose turn it is, as [`server::accept`](super::accept).
///
/// # Errors
/// As [`server::accept`](super::accept); [`ProtocolError::Argument`] after [`release`].
pub fn accept<T: Real, B: Storage<Elem = u8>>(
    config: &Config<'_>,
    shuffler: &mut Shuffler<B>,
    frame: &Frame<'_>,
) -> Result<(), ProtocolError> {
    config.validate()?;
    check("shuffler", shuffler.key.is_none(), "must be taking rows")?;
    message::check_turn(config.run, shuffler.turn, frame.header.client)?;
    let of_round = Expect {
        round: Some(shuffler.round),
        seed: Some(config.run.seed),
        ..Expect::default()
    };
    of_round.check(&frame.header)?;
    let payload = frame.payload::<T>()?;
    let room = shuffler.capacity.saturating_sub(shuffler.rows);
    let piece = shuffler.open.next(frame, room)?;
    let width = (config.outputs as usize).saturating_mul(T::BYTES);
    match (piece, payload) {
        (Piece::Labels, Payload::Classes(classes)) => {
            check_length("classes", config.outputs as usize, frame.header.d as usize)?;
            for (slot, class) in shuffler.slots().zip(classes.iter()) {
                put(slot, 0, &class.to_le_bytes());
            }
        }
        (Piece::Outputs, Payload::Values(values)) => {
            check_length("outputs", config.outputs as usize, frame.header.d as usize)?;
            let mut values = values.iter();
            for slot in shuffler.slots().take(frame.header.k as usize) {
                let outputs = must(slot.get_mut(4..width.saturating_add(4)));
                for (to, x) in outputs.chunks_exact_mut(T::BYTES).zip(values.by_ref()) {
                    put(to, 0, must(x.to_bits_u64().to_le_bytes().get(..T::BYTES)));
                }
            }
        }
        (Piece::Row, _) => {
            let at = shuffler.open.rows as usize;
            let slot = must(shuffler.slots().nth(at));
            let place = must(slot.get_mut(width.saturating_add(4)..));
            frame.encode_into(place)?;
        }
        _ => {
            let rule = "must carry what its kind says";
            return Err(Error::Parameter {
                name: "frame",
                rule,
            }
            .into());
        }
    }
    if shuffler.open.take(piece, frame.header.k) {
        shuffler.rows = shuffler.rows.saturating_add(shuffler.open.samples);
        pass(shuffler);
    }
    Ok(())
}

fn put(slot: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, &from) in slot.iter_mut().skip(at).zip(bytes) {
        *to = from;
    }
}

fn pass<B>(shuffler: &mut Shuffler<B>) {
    shuffler.open = Arrival::default();
    shuffler.turn = shuffler.turn.saturating_add(1);
}

/// Passes over the client whose turn it is; rows that it has sent are discarded.
///
/// # Errors
/// [`ProtocolError::OutOfTurn`] when every client has been heard or skipped.
pub fn skip<B: Storage<Elem = u8>>(
    config: &Config<'_>,
    shuffler: &mut Shuffler<B>,
) -> Result<(), ProtocolError> {
    message::check_turn(config.run, shuffler.turn, shuffler.turn)?;
    pass(shuffler);
    Ok(())
}

/// Closes the taking of rows; they are handed on in the order of a secret `key`.
///
/// # Errors
/// [`ProtocolError::Incomplete`] while a client is missing, [`ProtocolError::Empty`] without rows.
pub fn release<B: Storage<Elem = u8>>(
    config: &Config<'_>,
    shuffler: &mut Shuffler<B>,
    key: u64,
) -> Result<(), ProtocolError> {
    message::close(config.run, shuffler.round, shuffler.turn)?;
    if shuffler.rows == 0 {
        return Err(ProtocolError::Empty);
    }
    (shuffler.key, shuffler.sent) = (Some(key), 0);
    Ok(())
}

/// Writes the next frame for the main server, or nothing after the last.
///
/// # Errors
/// [`ProtocolError::Argument`] before [`release`]; [`ProtocolError::Encode`] when `out` is short: the frame can be asked for again.
pub fn next_frame<T: Real, B: Storage<Elem = u8>>(
    config: &Config<'_>,
    shuffler: &mut Shuffler<B>,
    out: &mut [u8],
) -> Result<Option<usize>, ProtocolError> {
    let Some(key) = shuffler.key else {
        let rule = "must have been released";
        return Err(Error::Parameter {
            name: "shuffler",
            rule,
        }
        .into());
    };
    let rows = shuffler.rows;
    let order = Permutation::new(key, rows.into());
    let width = (config.outputs as usize).saturating_mul(T::BYTES);
    // Below the number of rows.
    let from = |i: u32| shuffler.slot(order.forward(i.into()) as usize, width);
    let header = |kind, dtype| Header {
        client: 0,
        round: shuffler.round,
        seed: config.run.seed,
        ..Header::new(kind, dtype, config.outputs, rows)
    };
    let len = match shuffler.sent {
        0 => {
            let class = |i| {
                let [label, ..] = from(i);
                u32::from_le_bytes(*must_chunk(label))
            };
            wire::classes_into(
                &header(Kind::Labels, Dtype::None),
                (0..rows).map(class),
                out,
            )?
        }
        1 => {
            let header = header(Kind::Logits, Dtype::of::<T>());
            let payload = wire::start(&header, out)?;
            for (to, i) in payload.chunks_exact_mut(width.max(1)).zip(0..) {
                let [_, outputs, _] = from(i);
                put(to, 0, outputs);
            }
            wire::seal(out)?
        }
        sent if sent.saturating_sub(2) < rows => {
            let sample = sent.saturating_sub(2);
            let [.., slot] = from(sample);
            let len = wire::frame_len(must_chunk(slot), slot.len())?;
            let frame = wire::decode(must(slot.get(..len)), &Expect::default())?;
            frame.forward_into(0, sample, out)?
        }
        _ => return Ok(None),
    };
    shuffler.sent = shuffler.sent.saturating_add(1);
    Ok(Some(len))
}

/// The first bytes of a slot, which is long enough.
fn must_chunk<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    crate::memory::must_or(bytes.first_chunk(), &[0; N])
}

impl<B: Storage<Elem = u8>> Snapshot for Shuffler<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut w = Writer::new(out, *b"NTKX", 1)?;
        w.words(&[self.round, self.key.unwrap_or(0)])?;
        w.words(&[
            self.turn,
            self.rows,
            self.open.samples,
            self.open.rows,
            self.sent,
        ])?;
        w.bytes(&[self.open.has_outputs, self.key.is_some()].map(u8::from))?;
        w.bytes(self.memory.as_slice())?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"NTKX", 1, &self.fields())?;
        let (mut wide, mut counts) = ([0_u64; 2], [0_u32; 5]);
        r.words_into(&mut wide)?;
        r.words_into(&mut counts)?;
        let [round, key] = wide;
        let [turn, rows, samples, received, sent] = counts;
        let (has_outputs, is_released) = match r.bytes(2)? {
            &[a @ 0..=1, b @ 0..=1] => (a == 1, b == 1),
            _ => (true, true),
        };
        let open = Arrival {
            samples,
            has_outputs,
            rows: received,
        };
        let released = !is_released || rows > 0 && open == Arrival::default();
        if !(open.is_sound(rows, self.capacity) && released) {
            return Err(SnapshotError::Value {
                name: "rows",
                rule: "must be a place that a round can reach",
            });
        }
        (self.round, self.turn, self.rows) = (round, turn, rows);
        (self.open, self.sent) = (open, sent);
        self.key = is_released.then_some(key);
        let memory = self.memory.as_mut_slice();
        let len = memory.len();
        put(memory, 0, r.bytes(len)?);
        r.finish()
    }
}
