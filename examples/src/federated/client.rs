//! A client: its protocol state, its shard, and the memory that it works with.

use thalweg::federated::{ProtocolError, machine};
use thalweg::wire::{Frame, Kind};
use thalweg_std::data::Batches;

use super::exchange::{Exchange, Local};
use super::problem::Problem;

/// Rows of a mini-batch of local training.
const BATCH: usize = 16;

/// A client of a run, in a thread or in a separate process.
#[derive(Debug)]
pub struct Client<'a> {
    exchange: &'a Exchange,
    state: machine::Client<Vec<f32>>,
    local: Local<'a>,
}

impl<'a> Client<'a> {
    /// A client that has heard nothing.
    ///
    /// # Errors
    /// A shard without rows.
    pub fn new(
        exchange: &'a Exchange,
        problem: &'a Problem,
        id: usize,
    ) -> Result<Self, ProtocolError> {
        let d = problem.dim();
        let rows = problem.shards.get(id).map_or(0, Vec::len);
        let seed = problem.seed();
        let batches = Batches::epochs(rows, BATCH.min(rows), seed, id as u64);
        let batches = batches.map_err(|_| thalweg::Error::Parameter {
            name: "shard",
            rule: "must have a row",
        })?;
        Ok(Self {
            exchange,
            state: exchange.client(id as u32, d)?,
            local: Local {
                problem,
                client: id,
                scratch: Vec::new(),
                gradient: vec![0.0; d],
                trained: Vec::new(),
                values: vec![0.0; d],
                indices: vec![0; d],
                levels: vec![0; d],
                batches,
                rows: Vec::new(),
            },
        })
    }

    /// Its number.
    pub const fn id(&self) -> usize {
        self.local.client
    }

    /// Reads the frame that opens a round, computes, writes the reply; returns its length.
    ///
    /// A Model of a round that the client has seen comes from a server that was started again (the transport holds back
    /// frames that were overtaken): the client begins anew with it.
    ///
    /// # Errors
    /// What the protocol says; a gradient that is not finite.
    pub fn answer(&mut self, frame: &Frame<'_>, out: &mut [u8]) -> Result<usize, ProtocolError> {
        let header = frame.header;
        if header.kind == Kind::Model && header.round <= self.state.round() {
            self.state.rejoin();
        }
        self.exchange
            .answer(&mut self.state, &mut self.local, frame, out)
    }
}
