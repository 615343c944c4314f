//! The contract of a protocol: what differs between FedAvg, MARINA and EF21.
//!
//! The [`machine`](super::machine) carries out the rounds; a protocol states its hyperparameters and turns a client's result into a
//! message. The trait is object-safe, so that a program may choose the protocol when it runs.

use crate::aggregate::{Aggregator, Mean};
use crate::compress::{Buffers, Compressor, Key};
use crate::error::check;
use crate::random::{self, Purpose};
use crate::{Error, Real};

use super::machine::Standing;
use super::{ProtocolError, Run};

/// A protocol between one server and its clients.
///
/// ```
/// use thalweg::aggregate::Mean;
/// use thalweg::compress::Identity;
/// use thalweg::federated::{Protocol, Run, fed_avg, marina};
/// let run = Run { seed: 1, clients: 4 };
/// let marina = marina::Config { run, step_size: 0.5_f32, probability: 0.25, compressor: run.perm_k() };
/// let average = fed_avg::Config { run, server_learning_rate: 1.0, compressor: Identity, aggregator: Mean };
/// for (protocol, server, client) in [(&marina as &dyn Protocol<f32>, 30, 20), (&average, 20, 10)] {
///     assert_eq!((protocol.server_len(10), protocol.client_len(10)), (server, client));
/// }
/// ```
pub trait Protocol<T: Real> {
    /// Seed and number of clients.
    fn run(&self) -> Run;

    /// Factor of the aggregate in the step of the model: `-gamma`, or the server's learning rate.
    fn step(&self) -> T;

    /// The operator on what clients send in rounds that are not full.
    fn compressor(&self) -> &dyn Compressor<T>;

    /// How the server combines the replies of a round; the mean for a protocol that keeps an estimate, to which the mean of compressed
    /// differences is added.
    fn aggregator(&self) -> &dyn Aggregator<T> {
        &Mean
    }

    /// Whether replies add to what server and clients keep: the server an estimate of the gradient, a client a memory.
    ///
    /// The server then broadcasts the estimate after round 0, and a client follows with a separate step. Otherwise it broadcasts the
    /// model in every round.
    fn keeps_estimate(&self) -> bool;

    /// Whether all clients send full vectors in this round, from which the estimate begins anew.
    fn is_full(&self, round: u64) -> bool;

    /// Weight of a reply for the aggregator, from the number of samples of its client, at least 1.
    fn weight(&self, samples: u32) -> u32 {
        let _ = samples;
        1
    }

    /// Checks the hyperparameters against a dimension.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the hyperparameter.
    fn validate(&self, d: usize) -> Result<(), Error>;

    /// Compresses `local`, the client's gradient or its trained model, and writes the reply to `out`; returns its length.
    ///
    /// For rounds that are not full; [`machine::reply`](super::machine::reply) calls it after all checks, and `local` becomes scratch.
    ///
    /// # Errors
    /// What the compressor says.
    fn reply(
        &self,
        place: Place<'_, T>,
        local: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError>;

    /// Numbers that a client keeps for a model of `d`.
    fn client_len(&self, d: usize) -> usize {
        let buffers = if self.keeps_estimate() { 2 } else { 1 };
        d.saturating_mul(buffers)
    }

    /// Numbers that the server keeps for a model of `d`: the model, the estimate if there is one, the aggregator's.
    fn server_len(&self, d: usize) -> usize {
        let clients = self.run().clients as usize;
        self.client_len(d)
            .saturating_add(self.aggregator().memory_len(clients, d))
    }

    /// Uplink bits of the largest reply in a round, without the frame around it.
    fn bits(&self, round: u64, d: usize) -> u64 {
        if self.is_full(round) {
            (d as u64).saturating_mul(8).saturating_mul(T::BYTES as u64)
        } else {
            self.compressor().bits(d)
        }
    }
}

/// Where a client stands when it writes a reply.
#[derive(Debug)]
pub struct Place<'a, T> {
    /// Names the draws of the message.
    pub key: Key,
    /// Dimension of the model, as frames state it.
    pub d: u32,
    /// The model of the round.
    pub params: &'a [T],
    /// What the client remembers; empty for a protocol that keeps no estimate.
    pub memory: &'a mut [T],
    pub(super) standing: &'a mut Standing,
}

impl<T> Place<'_, T> {
    /// States that the memory is no longer what the server believes: only a full round repairs it.
    pub fn desynchronise(&mut self) {
        *self.standing = Standing::Following;
    }
}

/// The first round sends full gradients, and every other one with a probability: one coin for all clients and the server.
pub(super) fn is_full(run: Run, round: u64, probability: f64) -> bool {
    let mut coin = random::stream(run.seed, round, 0, Purpose::COIN);
    round == 0 || random::bernoulli(&mut coin, probability)
}

/// Checks what every protocol has: clients, as many as the compressor is made for, and a step.
pub(super) fn validate<T: Real>(
    run: Run,
    compressor: &impl Compressor<T>,
    (name, step): (&'static str, T),
    d: usize,
) -> Result<(), Error> {
    check("clients", run.clients > 0, "must be at least 1")?;
    compressor.validate(d)?;
    let stated = compressor.clients();
    check(
        "clients",
        stated.is_none_or(|n| u32::try_from(n) == Ok(run.clients)),
        "must be as many in the compressor as in the run",
    )?;
    check(
        name,
        step.is_finite() && step > T::ZERO,
        "must be finite and positive",
    )
}
