//! A run: clients in threads, frames in channels, a server that keeps the ledger.
//!
//! Client `i` lives in thread `i mod threads`. The server holds early replies back and takes them in the order of
//! clients, so that the numbers do not depend on the threads.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use thalweg::compress::Buffers;
use thalweg::federated::{Ledger, ProtocolError, frame_len};
use thalweg_std::data::Batches;

use super::exchange::{Exchange, Local};
use super::problem::{Measure, Problem};

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
    /// Numbers grew beyond what `f32` holds, and the run ended early.
    pub diverged: bool,
}

impl Outcome {
    /// The last measurement.
    pub fn last(&self) -> Option<&Point> {
        self.points.last()
    }
}

/// Ratio of bits between two measurements.
const SPACING: f64 = 1.12;

/// Rows of a mini-batch of local training.
const BATCH: usize = 16;

type Up = (usize, Result<Vec<u8>, ProtocolError>);

/// Runs a protocol until the next round would exceed the budget; `watch` hears the bits of each round.
///
/// # Errors
/// What the protocol says, except for numbers that are not finite: those end the run as diverged.
pub fn run<E: Exchange>(
    exchange: &E,
    problem: &Problem,
    budget: Budget,
    threads: usize,
    seed: u64,
    watch: &dyn Fn(u64),
) -> Result<Outcome, ProtocolError> {
    let start = problem.start()?;
    let (d, clients) = (start.len(), problem.clients());
    std::thread::scope(|scope| {
        let (reply, replies) = mpsc::channel::<Up>();
        let mut workers = Vec::new();
        for thread in 0..threads.min(clients) {
            let (to_worker, broadcasts) = mpsc::channel::<Arc<[u8]>>();
            let reply = reply.clone();
            workers.push(to_worker);
            let ids = (thread..clients).step_by(threads);
            scope.spawn(move || work(exchange, problem, d, seed, ids, &broadcasts, &reply));
        }
        // With the original gone, the channel closes when the last worker ends.
        drop(reply);
        serve(exchange, problem, budget, start, &workers, &replies, watch)
    })
}

/// The life of some clients: a broadcast in, a reply of each out.
fn work<E: Exchange>(
    exchange: &E,
    problem: &Problem,
    d: usize,
    seed: u64,
    ids: impl Iterator<Item = usize>,
    broadcasts: &Receiver<Arc<[u8]>>,
    reply: &Sender<Up>,
) {
    let mut clients = Vec::new();
    for id in ids {
        let rows = problem.shards.get(id).map_or(0, Vec::len);
        // A shard has a row at least, and fewer than 2^32.
        let Ok(batches) = Batches::epochs(rows, BATCH.min(rows), seed, id as u64) else {
            return;
        };
        let Ok(client) = exchange.client(id as u32, d) else {
            return;
        };
        let local = Local {
            problem,
            client: id,
            scratch: Vec::new(),
            gradient: vec![0.0; d],
            values: vec![0.0; d],
            indices: vec![0; d],
            levels: vec![0; d],
            batches,
            rows: Vec::new(),
        };
        clients.push((client, local));
    }
    let mut out = vec![0; frame_len::<f32>(d as u32)];
    while let Ok(frame) = broadcasts.recv() {
        for (client, local) in &mut clients {
            let result = exchange
                .answer(client, local, &frame, &mut out)
                .map(|len| out.get(..len).unwrap_or_default().to_vec());
            if reply.send((local.client, result)).is_err() {
                return;
            }
        }
    }
}

/// The life of the server.
fn serve<E: Exchange>(
    exchange: &E,
    problem: &Problem,
    budget: Budget,
    start: Vec<f32>,
    workers: &[Sender<Arc<[u8]>>],
    replies: &Receiver<Up>,
    watch: &dyn Fn(u64),
) -> Result<Outcome, ProtocolError> {
    let d = start.len();
    let mut points = vec![Point {
        rounds: 0,
        uplink_bits: 0,
        measure: problem.measure(&start)?,
    }];
    let mut server = exchange.server(start)?;
    let mut room = Room {
        frame: vec![0; frame_len::<f32>(d as u32)],
        values: vec![0.0; d],
        indices: vec![0; d],
        levels: vec![0; d],
        early: vec![None; problem.clients()],
    };
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
                measure: problem.measure(exchange.params(&server))?,
            });
            next = ledger.uplink_max as f64 * SPACING;
        }
        if last {
            break;
        }
        let clock = Instant::now();
        let round = room.round(exchange, problem, &mut server, workers, replies);
        seconds += clock.elapsed();
        match round {
            Ok(()) => {}
            Err(ProtocolError::Argument(thalweg::Error::NonFinite { .. })) => {
                diverged = true;
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Outcome {
        points,
        ledger: *exchange.ledger(&server),
        seconds: seconds.as_secs_f64(),
        params: exchange.params(&server).to_vec(),
        diverged,
    })
}

/// Memory of the server beside its state.
struct Room {
    frame: Vec<u8>,
    values: Vec<f32>,
    indices: Vec<u32>,
    levels: Vec<i32>,
    early: Vec<Option<Vec<u8>>>,
}

impl Room {
    fn round<E: Exchange>(
        &mut self,
        exchange: &E,
        problem: &Problem,
        server: &mut E::Server,
        workers: &[Sender<Arc<[u8]>>],
        replies: &Receiver<Up>,
    ) -> Result<(), ProtocolError> {
        let len = exchange.broadcast(server, &mut self.frame)?;
        let frame: Arc<[u8]> = self.frame.get(..len).unwrap_or_default().into();
        for worker in workers {
            // A worker that is gone shows below, as a missing reply.
            let _ = worker.send(Arc::clone(&frame));
        }
        let mut turn = 0;
        while let Some(shard) = problem.shards.get(turn) {
            let Some(frame) = self.early.get_mut(turn).and_then(Option::take) else {
                let missing = ProtocolError::Incomplete {
                    missing: turn as u32,
                };
                let (client, reply) = replies.recv().map_err(|_| missing)?;
                if let Some(place) = self.early.get_mut(client) {
                    *place = Some(reply?);
                }
                continue;
            };
            let buffers = Buffers {
                values: &mut self.values,
                indices: &mut self.indices,
                levels: &mut self.levels,
            };
            exchange.accept(server, shard.len() as u32, &frame, buffers)?;
            turn += 1;
        }
        exchange.finish(server)
    }
}
