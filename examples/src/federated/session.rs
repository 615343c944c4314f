//! A run: the server's side of every round, whoever carries the frames.
//!
//! A [`Transport`] hands the frame that opens a round to all clients and brings their replies. Threads of this process are one
//! ([`threads`](super::threads)), the sockets of [`thalweg_std::transport`] the other. The server takes replies in the order of
//! clients and never learns who brought them, so a run has the same bits on both.
//!
//! A client cannot end the run of the others: a reply that is refused counts as none, and a round without any reply is opened
//! again until the carrier's patience ends. Whatever ends a run, it has an [`Outcome`] as far as it came.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use thalweg::compress::Buffers;
use thalweg::federated::machine::{self, Server};
use thalweg::federated::{Ledger, Protocol, ProtocolError, frame_len};
use thalweg::wire::{DecodeError, EncodeError, crc32c};
use thalweg_std::transport::{self, Absence, Accept, Opening, Reply, TransportError};

use crate::cli::note;

use super::exchange::Exchange;
use super::problem::{Measure, Problem};

/// Who carries frames between the server and its clients.
pub trait Transport {
    /// Opens a round; returns the reply of each client, in their order, `None` for one that is left out.
    ///
    /// # Errors
    /// [`TransportError::NoReply`] for a round that may be opened again; no reply will come any more; in one process also what a
    /// client's protocol says.
    fn round(&mut self, opening: &Opening<'_>) -> Result<Vec<Option<Reply>>, TransportError>;

    /// Goes on without the reply of a client that the protocol has refused.
    ///
    /// # Errors
    /// [`TransportError::Refused`] where that is an error of the program.
    fn refuse(&mut self, client: u32, source: ProtocolError) -> Result<(), TransportError>;

    /// For how long a round without replies is opened again.
    fn patience(&self) -> Duration {
        Duration::ZERO
    }

    /// Clients without a reply in the round before, and why.
    fn absences(&self) -> &[(u32, Absence)] {
        &[]
    }
}

impl<S: Read + Write, A: Accept<Stream = S>> Transport for transport::Server<A> {
    fn round(&mut self, opening: &Opening<'_>) -> Result<Vec<Option<Reply>>, TransportError> {
        Self::round(self, opening)
    }

    fn refuse(&mut self, client: u32, _: ProtocolError) -> Result<(), TransportError> {
        Self::refuse(self, client)
    }

    fn patience(&self) -> Duration {
        self.limits().join_timeout
    }

    fn absences(&self) -> &[(u32, Absence)] {
        Self::absences(self)
    }
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Uplink bits per client that are never exceeded.
    pub bits: u64,
    /// Rounds that are never exceeded.
    pub rounds: u64,
}

/// A measurement along a run.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Point {
    /// Rounds closed.
    pub rounds: u64,
    /// Uplink bits per client.
    pub uplink_bits: u64,
    /// What was measured.
    #[serde(flatten)]
    pub measure: Measure,
}

/// A run, finished or not.
#[derive(Debug)]
pub struct Outcome {
    /// Measurements, about evenly spaced in the logarithm of bits; the first at the start, the last at the end.
    pub points: Vec<Point>,
    /// Bits of every kind.
    pub ledger: Ledger,
    /// Time of the rounds, measurements left out.
    pub seconds: f64,
    /// The model at the end.
    pub params: Vec<f32>,
    /// Numbers grew beyond what `f32` holds and the run ended early, or the loss ended above its start.
    pub diverged: bool,
    /// Replies that were missing, by client: it was left out of a round or sat it out, or its reply was refused.
    pub missing: Vec<u64>,
    /// Why the run ended before its budget was spent, if it did not diverge.
    pub early: Option<TransportError>,
}

impl Outcome {
    /// The last measurement.
    pub fn last(&self) -> Option<&Point> {
        self.points.last()
    }

    /// CRC-32C of the bytes of the model at the end: equal for runs with equal bits.
    pub fn params_crc(&self) -> String {
        let bytes: Vec<u8> = self.params.iter().flat_map(|x| x.to_le_bytes()).collect();
        format!("{:08x}", crc32c(&bytes))
    }
}

/// Ratio of bits between two measurements.
const SPACING: f64 = 1.12;

/// Runs a protocol until the next round would exceed the budget; `watch` hears the bits of each round.
///
/// # Errors
/// A start that cannot be measured. What ends a run that has begun is in its outcome.
pub fn run(
    exchange: &Exchange,
    problem: &Problem,
    budget: Budget,
    carrier: &mut impl Transport,
    watch: &dyn Fn(u64),
) -> Result<Outcome, TransportError> {
    let start = problem.start().map_err(ProtocolError::from)?;
    let measure = |x: &[f32]| problem.measure(x).map_err(ProtocolError::from);
    let mut points = vec![Point {
        rounds: 0,
        uplink_bits: 0,
        measure: measure(&start)?,
    }];
    let mut room = Room::new(start.len(), problem.clients());
    let mut server = exchange.server(&start)?;
    let protocol = &*exchange.protocol;
    let (mut seconds, mut next, mut diverged, mut early) = (Duration::ZERO, 0.0, false, None);
    loop {
        let ledger = *server.ledger();
        let after = ledger
            .uplink_max
            .saturating_add(protocol.bits(server.round(), server.params().len()));
        let over = after > budget.bits || ledger.rounds >= budget.rounds;
        let last = over || early.is_some();
        watch(ledger.uplink_max);
        let is_measured = points.last().is_some_and(|p| p.rounds == ledger.rounds);
        if !is_measured && (last || ledger.uplink_max as f64 >= next) {
            points.push(Point {
                rounds: ledger.rounds,
                uplink_bits: ledger.uplink_max,
                measure: measure(server.params())?,
            });
            next = ledger.uplink_max as f64 * SPACING;
        }
        if last {
            break;
        }
        let clock = Instant::now();
        let round = room.round(protocol, problem, &mut server, carrier);
        seconds += clock.elapsed();
        match round {
            Ok(()) => {}
            Err(error) if is_divergence(&error) => {
                diverged = true;
                break;
            }
            Err(error) => early = Some(error),
        }
    }
    let loss = |point: Option<&Point>| point.map(|p| p.measure.train_loss);
    // A loss that is not a number is above every other.
    let is_below = loss(points.last()) <= loss(points.first());
    Ok(Outcome {
        points,
        ledger: *server.ledger(),
        seconds: seconds.as_secs_f64(),
        params: server.params().to_vec(),
        diverged: diverged || !is_below,
        missing: room.missing,
        early,
    })
}

/// Numbers that are not finite, wherever they show: at a client, in a sum, in the model that is to be sent.
const fn is_divergence(error: &TransportError) -> bool {
    matches!(
        error,
        TransportError::NotFinite { .. }
            | TransportError::Encode(EncodeError::Invalid(DecodeError::NonFinite { .. }))
            | TransportError::Protocol(
                ProtocolError::Argument(thalweg::Error::NonFinite { .. })
                    | ProtocolError::Encode(EncodeError::Invalid(DecodeError::NonFinite { .. }))
            )
    )
}

/// Memory of the server in addition to its state.
struct Room {
    frame: Vec<u8>,
    welcome: Vec<u8>,
    values: Vec<f32>,
    indices: Vec<u32>,
    levels: Vec<i32>,
    /// Replies that were missing, by client.
    missing: Vec<u64>,
    /// What was said of each client on standard error; each reason is named once.
    named: HashSet<(u32, &'static str)>,
    /// The round that was opened again last.
    quiet: Option<u64>,
}

impl Room {
    fn new(d: usize, clients: usize) -> Self {
        Self {
            frame: vec![0; frame_len::<f32>(d as u32)],
            welcome: vec![0; frame_len::<f32>(d as u32)],
            values: vec![0.0; d],
            indices: vec![0; d],
            levels: vec![0; d],
            missing: vec![0; clients],
            named: HashSet::new(),
            quiet: None,
        }
    }

    fn round(
        &mut self,
        protocol: &dyn Protocol<f32>,
        problem: &Problem,
        server: &mut Server<Vec<f32>>,
        carrier: &mut impl Transport,
    ) -> Result<(), TransportError> {
        let round = server.round();
        let len = machine::broadcast(protocol, server, &mut self.frame)?;
        // For clients that missed a round: the model, whatever the protocol broadcasts.
        let late = machine::welcome(protocol, server, &mut self.welcome)?;
        let (frame, welcome) = (self.frame.clone(), self.welcome.clone());
        let opening = Opening {
            round,
            frame: frame.get(..len).unwrap_or_default(),
            welcome: welcome.get(..late).unwrap_or_default(),
        };
        let began = Instant::now();
        loop {
            let replies = self.collect(&opening, began, carrier)?;
            self.take(protocol, problem, server, carrier, replies)?;
            match machine::finish(protocol, server) {
                // Every reply was refused: the round is as quiet as one without any.
                Err(ProtocolError::Empty) if began.elapsed() < carrier.patience() => {}
                finished => return Ok(finished?),
            }
        }
    }

    /// The replies of a round, which is opened again while nobody replies and patience lasts.
    fn collect(
        &mut self,
        opening: &Opening<'_>,
        began: Instant,
        carrier: &mut impl Transport,
    ) -> Result<Vec<Option<Reply>>, TransportError> {
        loop {
            let replies = carrier.round(opening);
            for &(client, absence) in carrier.absences() {
                self.name(client, opening.round, absence);
            }
            let Err(TransportError::NoReply { round, passed, .. }) = replies else {
                return replies;
            };
            let waited = Duration::from_millis(began.elapsed().as_millis() as u64);
            // Clients that sit a round out will do so again.
            if passed == self.missing.len() || waited >= carrier.patience() {
                return Err(TransportError::NoReply {
                    round,
                    passed,
                    waited,
                });
            }
            if self.quiet.replace(round) != Some(round) {
                note(format_args!(
                    "no client has replied to round {round} within {waited:?}; it is opened again"
                ));
            }
        }
    }

    /// Hands the replies to the protocol, in the order of clients.
    fn take(
        &mut self,
        protocol: &dyn Protocol<f32>,
        problem: &Problem,
        server: &mut Server<Vec<f32>>,
        carrier: &mut impl Transport,
        replies: Vec<Option<Reply>>,
    ) -> Result<(), TransportError> {
        let round = server.round();
        for (client, (shard, reply)) in (0..).zip(problem.shards.iter().zip(replies)) {
            let buffers = Buffers {
                values: &mut self.values,
                indices: &mut self.indices,
                levels: &mut self.levels,
            };
            let accepted = reply.map(|reply| {
                let samples = shard.len() as u32;
                machine::accept(protocol, server, samples, &reply.frame(), buffers)
            });
            if let Some(Ok(())) = accepted {
                continue;
            }
            if let Some(Err(source)) = accepted {
                self.name(client, round, Absence::Refused(source));
                carrier.refuse(client, source)?;
            }
            machine::skip(protocol, server)?;
            if let Some(missing) = self.missing.get_mut(client as usize) {
                *missing += 1;
            }
        }
        Ok(())
    }

    /// Says on standard error why a client has no part in a round, once for each reason.
    fn name(&mut self, client: u32, round: u64, absence: Absence) {
        let (reason, why) = match absence {
            Absence::Silent => ("silent", "it sent nothing in time".to_owned()),
            Absence::SatOut => (
                "sat out",
                "it sits the round out, for it joined late or its numbers are not finite"
                    .to_owned(),
            ),
            Absence::Refused(source) => ("refused", format!("its reply is refused: {source}")),
            Absence::SentAway => (
                "sent away",
                "it was sent away, for its replies were refused too often".to_owned(),
            ),
            _ => ("absent", "it does not reply".to_owned()),
        };
        if self.named.insert((client, reason)) {
            note(format_args!(
                "client {client} has no part in round {round}: {why}"
            ));
        }
    }
}
