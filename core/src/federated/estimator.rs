//! Client and server state machines shared by MARINA and EF21; the server maintains an estimate of the gradient.
//!
//! ```text
//! round 0    server broadcasts x^0 (Model); every client sends its full gradient at x^0
//! round r    server broadcasts g (Estimate); server and clients take the step x <- x - gamma g
//!            client i sends its message at the new x; the server forms the next g
//! ```
//! The server's state after [`finish`] and a client's after [`receive`] of the frame that [`broadcast`] then writes
//! hold the same `x`, bit for bit: both compute `x_j - gamma g_j` from the same numbers.
//!
//! Replies accumulate in `sum`; only [`finish`] replaces `g`. A rejected frame leaves the round unchanged, so the client may resend.
//!
//! # Rounds
//! A client moves forwards only: it takes the Estimate of the next round, or the Model of a later one. A frame that was replayed
//! or overtaken is refused. A server that was started again begins at an earlier round; a client that knows this from its
//! connection calls [`Client::rejoin`] and takes the Model of any round.

mod client;
mod server;

pub use client::{Client, receive};
pub use server::{Server, accept, broadcast, finish, reopen, skip, welcome};

use crate::compress::Compressor;
use crate::error::check;
use crate::random::{self, Purpose};
use crate::{Error, Real};

use super::{Run, message};

/// A protocol whose server keeps an estimate of the gradient.
pub trait Protocol<T: Real> {
    /// The operator of compressed rounds.
    type Compressor: Compressor<T>;
    /// Seed and number of clients.
    fn run(&self) -> Run;
    /// Step size `gamma`.
    fn step_size(&self) -> T;
    /// The operator of compressed rounds.
    fn compressor(&self) -> &Self::Compressor;
    /// Whether all clients send full gradients in this round. Round 0 is always full.
    fn is_full(&self, round: u64) -> bool;
    /// Checks the hyperparameters against a dimension.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the hyperparameter.
    fn validate(&self, d: usize) -> Result<(), Error> {
        validate(self, d)
    }
}

/// The first round sends full gradients, and every other one with a probability: one coin for all clients and the server.
pub(super) fn is_full(run: Run, round: u64, probability: f64) -> bool {
    let mut coin = random::stream(run.seed, round, 0, Purpose::COIN);
    round == 0 || random::bernoulli(&mut coin, probability)
}

/// Checks what every protocol has.
pub(super) fn validate<T: Real, P: Protocol<T> + ?Sized>(
    config: &P,
    d: usize,
) -> Result<(), Error> {
    message::check_run(config.run(), config.compressor(), d)?;
    let step = config.step_size();
    check(
        "step_size",
        step.is_finite() && step > T::ZERO,
        "must be finite and positive",
    )
}
