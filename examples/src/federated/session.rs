//! A run: the server's side of every round, whoever carries the frames.
//!
//! A [`Carrier`] hands the frame that opens a round to all clients and brings their replies. Threads of this process are one
//! ([`threads`](super::threads)), the sockets of [`thalweg_std::transport`] the other. The server takes replies in the order of
//! clients and never learns who brought them, so a run has the same bits on both.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use thalweg::compress::Buffers;
use thalweg::federated::{Ledger, ProtocolError, frame_len};
use thalweg::wire::{Body, Dtype, Header, Kind, crc32c, encode_into};
use thalweg_std::transport::{self, Accept, Opening, TransportError};

use super::exchange::Exchange;
use super::problem::{Measure, Problem};

/// Who carries frames between the server and its clients.
pub trait Carrier {
    /// Opens a round; answers with the reply of each client, in their order, `None` for one that is left out.
    ///
    /// # Errors
    /// No reply will come any more; in one process also what a client's protocol says.
    fn round(&mut self, opening: &Opening<'_>) -> Result<Vec<Option<Vec<u8>>>, TransportError>;
}

impl<S: Read + Write, A: Accept<Stream = S>> Carrier for transport::Server<A> {
    fn round(&mut self, opening: &Opening<'_>) -> Result<Vec<Option<Vec<u8>>>, TransportError> {
        Self::round(self, opening)
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

/// A finished run.
#[derive(Clone, Debug)]
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
    /// Replies that were missing: clients that were left out of a round or sat it out.
    pub left_out: u64,
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
/// What the protocol or the carrier says, except for numbers that are not finite: those end the run as diverged.
pub fn run<E: Exchange>(
    exchange: &E,
    problem: &Problem,
    budget: Budget,
    carrier: &mut impl Carrier,
    watch: &dyn Fn(u64),
) -> Result<Outcome, TransportError> {
    let start = problem.start().map_err(ProtocolError::from)?;
    let measure = |x: &[f32]| problem.measure(x).map_err(ProtocolError::from);
    let mut points = vec![Point {
        rounds: 0,
        uplink_bits: 0,
        measure: measure(&start)?,
    }];
    let mut room = Room::new(start.len());
    let mut server = exchange.server(start)?;
    let (mut seconds, mut next, mut diverged) = (Duration::ZERO, 0.0, false);
    loop {
        let ledger = *exchange.ledger(&server);
        let after = ledger
            .uplink_max
            .saturating_add(exchange.next_bits(&server));
        let last = after > budget.bits || ledger.rounds >= budget.rounds;
        watch(ledger.uplink_max);
        if ledger.rounds > 0 && (last || ledger.uplink_max as f64 >= next) {
            points.push(Point {
                rounds: ledger.rounds,
                uplink_bits: ledger.uplink_max,
                measure: measure(exchange.params(&server))?,
            });
            next = ledger.uplink_max as f64 * SPACING;
        }
        if last {
            break;
        }
        let clock = Instant::now();
        let round = room.round(exchange, problem, &mut server, carrier);
        seconds += clock.elapsed();
        match round {
            Ok(()) => {}
            Err(TransportError::Protocol(ProtocolError::Argument(thalweg::Error::NonFinite {
                ..
            }))) => {
                diverged = true;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    let loss = |point: Option<&Point>| point.map(|p| p.measure.train_loss);
    diverged |= loss(points.last()) > loss(points.first());
    Ok(Outcome {
        points,
        ledger: *exchange.ledger(&server),
        seconds: seconds.as_secs_f64(),
        params: exchange.params(&server).to_vec(),
        diverged,
        left_out: room.left_out,
    })
}

/// Memory of the server beside its state.
struct Room {
    frame: Vec<u8>,
    welcome: Vec<u8>,
    values: Vec<f32>,
    indices: Vec<u32>,
    levels: Vec<i32>,
    left_out: u64,
}

impl Room {
    fn new(d: usize) -> Self {
        Self {
            frame: vec![0; frame_len::<f32>(d as u32)],
            welcome: vec![0; frame_len::<f32>(d as u32)],
            values: vec![0.0; d],
            indices: vec![0; d],
            levels: vec![0; d],
            left_out: 0,
        }
    }

    fn round<E: Exchange>(
        &mut self,
        exchange: &E,
        problem: &Problem,
        server: &mut E::Server,
        carrier: &mut impl Carrier,
    ) -> Result<(), TransportError> {
        let round = exchange.ledger(server).rounds;
        let len = exchange.broadcast(server, &mut self.frame)?;
        // For clients that missed a round: the model, whatever the protocol broadcasts. The ledger counts broadcasts only.
        let d = self.values.len() as u32;
        let header = Header {
            round,
            seed: problem.seed(),
            ..Header::new(Kind::Model, Dtype::F32, d, d)
        };
        let model = Body::Values(exchange.params(server));
        let late = encode_into(&header, &model, &mut self.welcome)?;
        let opening = Opening {
            round,
            frame: self.frame.get(..len).unwrap_or_default(),
            welcome: self.welcome.get(..late).unwrap_or_default(),
        };
        let replies = carrier.round(&opening)?;
        for (client, (shard, reply)) in problem.shards.iter().zip(replies).enumerate() {
            let Some(frame) = reply else {
                exchange.skip(server)?;
                self.left_out += 1;
                continue;
            };
            let buffers = Buffers {
                values: &mut self.values,
                indices: &mut self.indices,
                levels: &mut self.levels,
            };
            let client = client as u32;
            exchange
                .accept(server, shard.len() as u32, &frame, buffers)
                .map_err(|source| TransportError::Refused { client, source })?;
        }
        Ok(exchange.finish(server)?)
    }
}
