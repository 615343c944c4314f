//! The server of NTK-FL: takes rows, never inputs.

use crate::error::{check, check_length, ensure_finite};
use crate::federated::{Ledger, ProtocolError, message};
use crate::kernel::evolution::{
    self, Chosen, Moment, Round, Scale, choose_tau, follow, follow_scratch_len, weights_into,
};
use crate::kernel::tangent::add_transposed_product;
use crate::matrix::{MatrixMut, MatrixRef, Product, Upper, gemm_scratch, syrk};
use crate::memory::{cut, cut_ref, must};
use crate::model::{Labels, copy};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::wire::{self, Body, Dtype, Expect, Frame, Header, Kind, Payload, payload_bits};
use crate::{Error, Real, Storage};

use super::arrival::{Arrival, Piece};
use super::{Config, row};

/// The server: the model, the rows of a round, and the integrated residuals at each candidate time.
///
/// ```text
/// parameters P | Jacobian N x C x P | outputs N x C | integrals times x N x C | losses times + 1          labels: N
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Server<B, L> {
    round: u64,
    turn: u32,
    /// Whether candidates are being judged; else rows are being taken.
    judges: bool,
    has_losses: bool,
    /// Samples of the clients that are complete.
    rows: u32,
    open: Arrival,
    /// Bits and frames that the client whose turn it is has sent.
    sent: [u64; 2],
    d: u32,
    capacity: u32,
    times: u32,
    outputs: u32,
    ledger: Ledger,
    memory: B,
    labels: L,
}

/// Numbers of the server's memory for a model of `parameters` parameters and `outputs` outputs, `times` candidates and at most `samples`
/// samples in a round: `P + N C (P + 1 + times) + times + 1`. Labels take `samples` words more.
///
/// ```
/// use thalweg::federated::ntk::server_len;
/// assert_eq!(server_len(5, 2, 3, 4), 5 + 8 * (5 + 1 + 3) + 4);
/// // 21 clients with 200 samples of MNIST each: 13 GB.
/// assert_eq!(server_len(79_510, 10, 12, 4200), 42_000 * 79_523 + 79_523);
/// assert_eq!(server_len(usize::MAX, 2, 3, 4), usize::MAX);
/// ```
#[must_use]
pub const fn server_len(parameters: usize, outputs: usize, times: usize, samples: usize) -> usize {
    let each = parameters.saturating_add(times).saturating_add(1);
    let rows = samples.saturating_mul(outputs).saturating_mul(each);
    let rest = parameters.saturating_add(times).saturating_add(1);
    rows.saturating_add(rest)
}

/// Elements of scratch of [`evolve`]: the kernel, and what following it takes. No function needs more.
///
/// ```
/// use thalweg::federated::ntk::server::scratch_len;
/// assert!(scratch_len(5, 2, 4) >= 16 + 11 * 16);
/// assert_eq!(scratch_len(5, 2, usize::MAX), usize::MAX);
/// ```
#[must_use]
pub const fn scratch_len(parameters: usize, outputs: usize, samples: usize) -> usize {
    let follow = follow_scratch_len(samples, outputs);
    let product = gemm_scratch(samples, samples, parameters.saturating_mul(outputs));
    let work = if follow < product { product } else { follow };
    let evolve = samples.saturating_mul(samples).saturating_add(work);
    let weights = parameters.saturating_mul(2);
    if evolve < weights { weights } else { evolve }
}

const JUDGES: &str = "must be called when all rows have been taken and followed";

impl<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>> Server<B, L> {
    /// A server with its first model, for rounds of at most as many samples as `labels` is long.
    ///
    /// `memory` is as long as [`server_len`] says, whatever it holds.
    ///
    /// # Errors
    /// [`Error::Length`] for a memory of another length, [`Error::NonFinite`] for a model that is not finite, and what [`Config::validate`] says.
    ///
    /// ```
    /// use thalweg::federated::{Run, ntk::{Config, Server, server_len}};
    /// let config = Config::new(Run { seed: 1, clients: 2 }, 2, &[10.0]);
    /// let server = Server::new(&config, &[1.0_f32, 2.0], [0.0; server_len(2, 2, 1, 3)], [0; 3])?;
    /// assert_eq!((server.round(), server.params(), server.turn()), (0, &[1.0, 2.0][..], 0));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(config: &Config<'_>, params: &[T], memory: B, labels: L) -> Result<Self, Error> {
        config.validate()?;
        ensure_finite("params", params)?;
        config.row_len(params.len())?;
        let samples = labels.as_slice().len();
        let (outputs, times) = (config.outputs as usize, config.times.len());
        let expected = server_len(params.len(), outputs, times, samples);
        check_length("memory", expected, memory.as_slice().len())?;
        let mut server = Self {
            round: 0,
            turn: 0,
            judges: false,
            has_losses: false,
            rows: 0,
            open: Arrival::default(),
            sent: [0; 2],
            d: message::dimension(params.len())?,
            capacity: u32::try_from(samples).unwrap_or(u32::MAX),
            times: times as u32,
            outputs: config.outputs,
            ledger: Ledger::default(),
            memory,
            labels,
        };
        copy(params, server.parts()?.params);
        Ok(server)
    }

    /// The round that is open.
    #[must_use]
    pub const fn round(&self) -> u64 {
        self.round
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

    /// The model of the open round.
    #[must_use]
    pub fn params(&self) -> &[T] {
        must(self.memory.as_slice().get(..self.d as usize))
    }

    /// The Jacobian of the samples that have come: rows x outputs x parameters.
    ///
    /// Inputs can be read off it, unless clients project them: see the [module](super).
    #[must_use]
    pub fn jacobian(&self) -> &[T] {
        let [_, row, ..] = self.lengths();
        let len = (self.rows as usize).saturating_mul(row);
        let rest = must(self.memory.as_slice().get(self.d as usize..));
        must(rest.get(..len))
    }

    /// The bits sent so far.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Parameters, row, outputs, candidates, samples.
    const fn lengths(&self) -> [usize; 5] {
        let (p, c) = (self.d as usize, self.outputs as usize);
        let samples = self.capacity as usize;
        [p, p.saturating_mul(c), c, self.times as usize, samples]
    }

    fn parts(&mut self) -> Result<Parts<'_, T>, Error> {
        split(self.lengths(), self.memory.as_mut_slice())
    }

    /// Checks that the state is one of this configuration.
    fn check(&self, config: &Config<'_>) -> Result<(), Error> {
        config.validate()?;
        let fits = config.outputs == self.outputs && config.times.len() == self.times as usize;
        check("server", fits, "must be that of the configuration")
    }

    fn open(&mut self) {
        (self.turn, self.rows) = (0, 0);
        (self.judges, self.has_losses) = (false, false);
        (self.open, self.sent) = (Arrival::default(), [0; 2]);
    }

    fn fields(&self) -> [Field; 6] {
        [
            Field::words::<u64>(3),
            Field::words::<u32>(4),
            Field::words::<u8>(3),
            Field::words::<u64>(Ledger::WORDS),
            Field::reals::<T>(self.memory.as_slice().len()),
            Field::words::<u32>(self.labels.as_slice().len()),
        ]
    }
}

struct Parts<'a, T> {
    params: &'a mut [T],
    jacobian: &'a mut [T],
    outputs: &'a mut [T],
    integrals: &'a mut [T],
    losses: &'a mut [T],
}

fn split<T>([p, row, c, times, n]: [usize; 5], memory: &mut [T]) -> Result<Parts<'_, T>, Error> {
    let width = n.saturating_mul(c);
    let lengths = [p, n.saturating_mul(row), width, times.saturating_mul(width)];
    let ([params, jacobian, outputs, integrals], losses) = cut(memory, lengths)?;
    Ok(Parts {
        params,
        jacobian,
        outputs,
        integrals,
        losses,
    })
}

/// Writes the model of the round, for all clients.
///
/// # Errors
/// [`ProtocolError::Encode`] when `out` is shorter than the frame.
pub fn broadcast<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
    out: &mut [u8],
) -> Result<usize, ProtocolError> {
    server.check(config)?;
    let header = header::<T>(config, server, Kind::Model, server.d);
    let len = wire::encode_into(&header, &Body::Values(server.params()), out)?;
    server.ledger.broadcast(&header);
    Ok(len)
}

fn header<T: Real>(
    config: &Config<'_>,
    server: &Server<impl Storage<Elem = T>, impl Storage<Elem = u32>>,
    kind: Kind,
    k: u32,
) -> Header {
    Header {
        round: server.round,
        seed: config.run.seed,
        ..Header::new(kind, Dtype::of::<T>(), server.d, k)
    }
}

/// Takes the next frame of the client whose turn it is: its labels, its outputs, then its rows. With the last row the turn passes on.
///
/// # Errors
/// [`ProtocolError::OutOfTurn`], [`ProtocolError::Decode`] for a foreign frame, [`ProtocolError::Argument`] for one that is not the next of
/// its client, for more samples than there is room for, and for a row that is not sent as the run says. The round is as before.
pub fn accept<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
    frame: &Frame<'_>,
) -> Result<(), ProtocolError> {
    server.check(config)?;
    check("server", !server.judges, "must be taking rows")?;
    let [_, row_len, c, ..] = server.lengths();
    let d = match frame.header.kind {
        Kind::Labels | Kind::Logits => server.outputs,
        _ => config.row_len(server.d as usize)?,
    };
    check_frame(config, server, frame, d)?;
    let (open, rows) = (server.open, server.rows as usize);
    let payload = frame.payload::<T>()?;
    let piece = open.next(frame, server.capacity.saturating_sub(server.rows))?;
    match (piece, payload) {
        (Piece::Labels, Payload::Classes(classes)) => {
            let labels = must(server.labels.as_mut_slice().get_mut(rows..));
            for (to, class) in labels.iter_mut().zip(classes.iter()) {
                *to = class;
            }
        }
        (Piece::Outputs, Payload::Values(values)) => {
            let outputs = server.parts()?.outputs;
            let outputs = must(outputs.get_mut(rows.saturating_mul(c)..));
            values.copy_into(must(outputs.get_mut(..values.len())))?;
        }
        _ => {
            let at = rows
                .saturating_add(open.rows as usize)
                .saturating_mul(row_len);
            let jacobian = must(server.parts()?.jacobian.get_mut(at..));
            row::decode_into(config.rows, frame, must(jacobian.get_mut(..row_len)))?;
        }
    }
    let Header {
        kind, dtype, d, k, ..
    } = frame.header;
    let [bits, frames] = server.sent;
    server.sent = [
        bits.saturating_add(payload_bits(kind, dtype, d, k)),
        frames.saturating_add(1),
    ];
    if server.open.take(piece, k) {
        server.rows = server.rows.saturating_add(server.open.samples);
        pass(server);
    }
    Ok(())
}

/// Ends the turn of a client.
fn pass<B, L>(server: &mut Server<B, L>) {
    let [bits, frames] = server.sent;
    server.ledger.uplink_frames(bits, frames);
    (server.open, server.sent) = (Arrival::default(), [0; 2]);
    server.turn = server.turn.saturating_add(1);
}

fn check_frame<B, L>(
    config: &Config<'_>,
    server: &Server<B, L>,
    frame: &Frame<'_>,
    d: u32,
) -> Result<(), ProtocolError> {
    message::check_turn(config.run, server.turn, frame.header.client)?;
    let expect = Expect {
        round: Some(server.round),
        ..message::expect(config.run, d)
    };
    Ok(expect.check(&frame.header)?)
}

/// Passes over the client whose turn it is; rows that it has sent are discarded, and count as sent.
///
/// # Errors
/// [`ProtocolError::OutOfTurn`] when every client has been heard or skipped.
pub fn skip<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
) -> Result<(), ProtocolError> {
    server.check(config)?;
    message::check_turn(config.run, server.turn, server.turn)?;
    pass(server);
    Ok(())
}

/// Builds the kernel of the rows and follows its flow; afterwards the candidates can be sent and judged.
///
/// `N^2 C P` flops for the kernel, then some hundred products of it with `N x C` numbers. Scratch: [`scratch_len`] of the samples that have come.
///
/// # Errors
/// [`ProtocolError::Incomplete`] while a client is missing, [`ProtocolError::Empty`] without rows: it is client 0's turn again.
/// [`ProtocolError::Argument`] for a short scratch, a kernel that is not finite, or an integration that fails; the round stays as it is.
pub fn evolve<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
    scratch: &mut [T],
) -> Result<(), ProtocolError> {
    server.check(config)?;
    check("server", !server.judges, "must be taking rows")?;
    message::close(config.run, server.round, server.turn)?;
    let (rows, lengths) = (server.rows as usize, server.lengths());
    let [_, row_len, c, ..] = lengths;
    if rows == 0 {
        server.open();
        return Err(ProtocolError::Empty);
    }
    let len = rows.saturating_mul(c);
    let (labels, memory) = (&server.labels, &mut server.memory);
    let labels = must(labels.as_slice().get(..rows));
    let parts = split(lengths, memory.as_mut_slice())?;
    let jacobian = must(parts.jacobian.get(..rows.saturating_mul(row_len)));
    let ([kernel], work) = cut(scratch, [rows.saturating_mul(rows)])?;
    let how = Product {
        alpha: T::ONE / T::from_usize(c),
        ..Product::PLAIN
    };
    let h = MatrixMut::new(kernel, rows, rows)?;
    syrk(
        how,
        MatrixRef::new(jacobian, rows, row_len)?,
        Upper::Mirror,
        h,
        work,
    )?;
    let round = Round {
        loss: config.loss,
        kernel: MatrixRef::new(kernel, rows, rows)?,
        labels: Labels::Classes(labels),
        outputs: must(parts.outputs.get(..len)),
    };
    let evolution = evolution::Config {
        tolerance: config.tolerance,
        ..evolution::Config::default()
    };
    let len = len.max(1);
    let integrals = &mut *parts.integrals;
    let visit = |moment: Moment<'_, T>| {
        let start = moment.index.saturating_mul(len);
        let to = must(integrals.get_mut(start..));
        copy(moment.integral, to);
        Ok(())
    };
    follow(&evolution, &round, config.times, visit, work)?;
    parts.losses.fill(T::ZERO);
    (server.turn, server.judges) = (0, true);
    Ok(())
}

/// Writes the model of candidate `number`, of time `config.times[number - 1]`, to the end of scratch; `2 P` of it.
fn candidate<'s, T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &Server<B, L>,
    number: u32,
    scratch: &'s mut [T],
) -> Result<&'s mut [T], Error> {
    server.check(config)?;
    check("server", server.judges, JUDGES)?;
    let rule = "must be between 1 and the number of times";
    check("number", (1..=server.times).contains(&number), rule)?;
    let [p, row, c, times, n] = server.lengths();
    let (rows, width) = (server.rows as usize, n.saturating_mul(c));
    let lengths = [p, n.saturating_mul(row), width, times.saturating_mul(width)];
    let ([params, jacobian, _, integrals], _) = cut_ref(server.memory.as_slice(), lengths)?;
    let len = rows.saturating_mul(c);
    let start = (number as usize).saturating_sub(1).saturating_mul(len);
    let integral = must(must(integrals.get(start..)).get(..len));
    let jacobian = must(jacobian.get(..rows.saturating_mul(row)));
    let ([product, model], _) = cut(scratch, [p, p])?;
    product.fill(T::ZERO);
    add_transposed_product(jacobian, integral, product)?;
    let scale = Scale {
        loss: config.loss,
        rows,
        outputs: c,
    };
    weights_into(scale, params, product, model)?;
    Ok(model)
}

/// Writes the frame of candidate `number`, from 1 on, for all clients; each is counted as it is written. Scratch: `2 P`.
///
/// # Errors
/// [`ProtocolError::Argument`] for a number without a time, before [`evolve`], and for a model that is not finite;
/// [`ProtocolError::Encode`] when `out` is shorter than the frame.
pub fn broadcast_candidate<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
    number: u32,
    out: &mut [u8],
    scratch: &mut [T],
) -> Result<usize, ProtocolError> {
    let model = candidate(config, server, number, scratch)?;
    let header = header::<T>(config, server, Kind::Candidate, number);
    let len = wire::encode_into(&header, &Body::Values(&*model), out)?;
    server.ledger.downlink_also(&header);
    Ok(len)
}

/// Takes the losses of the client whose turn it is: sums over its samples, of the model of the round and of each candidate.
///
/// # Errors
/// [`ProtocolError::OutOfTurn`], [`ProtocolError::Decode`] for a foreign frame, [`ProtocolError::Argument`] before [`evolve`].
pub fn accept_losses<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
    frame: &Frame<'_>,
) -> Result<(), ProtocolError> {
    server.check(config)?;
    check("server", server.judges, JUDGES)?;
    check_frame(config, server, frame, server.times.saturating_add(1))?;
    let (Kind::Losses, Payload::Values(values)) = (frame.header.kind, frame.payload::<T>()?) else {
        let (expected, found) = (Kind::Losses, frame.header.kind);
        return Err(wire::DecodeError::WrongKind { expected, found }.into());
    };
    for (sum, loss) in server.parts()?.losses.iter_mut().zip(values.iter()) {
        *sum += loss;
    }
    server.ledger.uplink_also(&frame.header, !server.has_losses);
    (server.has_losses, server.turn) = (true, server.turn.saturating_add(1));
    Ok(())
}

/// Closes the round with the candidate of least loss of the clients; the model of the round is one of them. Scratch: `2 P`.
///
/// The loss that is returned is the mean over the samples of the round; that of clients that were skipped is missing in each sum alike.
///
/// # Errors
/// [`ProtocolError::Incomplete`] while a client is missing, [`ProtocolError::Empty`] without losses, [`ProtocolError::Argument`]
/// before [`evolve`] and for a model that is not finite.
pub fn choose<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
    scratch: &mut [T],
) -> Result<Chosen, ProtocolError> {
    server.check(config)?;
    check("server", server.judges, JUDGES)?;
    message::close(config.run, server.round, server.turn)?;
    if !server.has_losses {
        server.turn = 0;
        return Err(ProtocolError::Empty);
    }
    let rows = f64::from(server.rows);
    let losses = server.parts()?.losses;
    let mut means = losses.iter().map(|sum| sum.to_f64() / rows);
    let at_zero = must(means.next());
    let chosen = earliest(at_zero, means);
    finish(config, server, chosen, scratch)
}

/// Closes the round with the candidate of least `loss`, which the server evaluates by itself, as on a validation set. Scratch: `2 P`.
///
/// No candidate is sent.
///
/// # Errors
/// Those of `loss`; [`ProtocolError::Argument`] before [`evolve`] and for a model that is not finite.
pub fn choose_by<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
    mut loss: impl FnMut(&[T]) -> Result<T, Error>,
    scratch: &mut [T],
) -> Result<Chosen, ProtocolError> {
    server.check(config)?;
    check("server", server.judges, JUDGES)?;
    let mut chosen = Chosen {
        candidate: None,
        loss: loss(server.params())?.to_f64(),
    };
    for number in 1..=server.times {
        let at = loss(candidate(config, server, number, scratch)?)?;
        chosen = better(chosen, number, at.to_f64());
    }
    finish(config, server, chosen, scratch)
}

/// [`choose_tau`] of losses as they come.
fn earliest(at_zero: f64, losses: impl Iterator<Item = f64>) -> Chosen {
    let start = Chosen {
        candidate: None,
        loss: at_zero,
    };
    (1..)
        .zip(losses)
        .fold(start, |chosen, (number, loss)| better(chosen, number, loss))
}

fn better(chosen: Chosen, number: u32, loss: f64) -> Chosen {
    match choose_tau(chosen.loss, &[loss]).candidate {
        Some(_) => Chosen {
            candidate: Some((number as usize).saturating_sub(1)),
            loss,
        },
        None => chosen,
    }
}

fn finish<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
    chosen: Chosen,
    scratch: &mut [T],
) -> Result<Chosen, ProtocolError> {
    let next = server.round.checked_add(1).ok_or(message::LAST_ROUND)?;
    if let Some(index) = chosen.candidate {
        let number = u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1);
        let model = candidate(config, server, number, scratch)?;
        ensure_finite("params", model)?;
        copy(model, server.parts()?.params);
    }
    server.round = next;
    server.open();
    server.ledger.close_round();
    Ok(chosen)
}

/// Discards the rows of the open round: it is client 0's turn again.
///
/// # Errors
/// [`Error::Parameter`] for another configuration.
pub fn reopen<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>>(
    config: &Config<'_>,
    server: &mut Server<B, L>,
) -> Result<(), Error> {
    server.check(config)?;
    server.open();
    Ok(())
}

impl<T: Real, B: Storage<Elem = T>, L: Storage<Elem = u32>> Snapshot for Server<B, L> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let open = self.open;
        let mut w = Writer::new(out, *b"NTKS", 1)?;
        let [bits, frames] = self.sent;
        w.words(&[self.round, bits, frames])?;
        w.words(&[self.turn, self.rows, open.samples, open.rows])?;
        w.bytes(&[self.judges, open.has_outputs, self.has_losses].map(u8::from))?;
        w.words(&self.ledger.words())?;
        w.slice(self.memory.as_slice())?;
        w.words(self.labels.as_slice())?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut r = Reader::new(bytes, *b"NTKS", 1, &self.fields())?;
        let (mut wide, mut counts, mut words) = ([0_u64; 3], [0_u32; 4], [0; Ledger::WORDS]);
        r.words_into(&mut wide)?;
        r.words_into(&mut counts)?;
        let flags = r.bytes(3)?;
        let [judges, has_outputs, has_losses] = [0, 1, 2].map(|i| flags.get(i) == Some(&1));
        let [turn, rows, samples, received] = counts;
        let open = Arrival {
            samples,
            has_outputs,
            rows: received,
        };
        let judged = !judges || rows > 0 && open == Arrival::default();
        let fits = open.is_sound(rows, self.capacity) && judged;
        if !fits || flags.iter().any(|&flag| flag > 1) {
            return Err(SnapshotError::Value {
                name: "rows",
                rule: "must be a place that a round can reach",
            });
        }
        r.words_into(&mut words)?;
        let [round, bits, frames] = wide;
        (self.round, self.turn, self.rows) = (round, turn, rows);
        (self.judges, self.has_losses) = (judges, has_losses);
        (self.open, self.sent) = (open, [bits, frames]);
        self.ledger = Ledger::from_words(words);
        r.slice_into(self.memory.as_mut_slice())?;
        r.words_into(self.labels.as_mut_slice())?;
        r.finish()
    }
}
