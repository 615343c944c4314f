//! Client and server of every [`Protocol`]: one pair of state machines.
//!
//! ```text
//! round 0    server broadcasts x^0 (Model); every client computes at x^0 and replies
//! round r    server broadcasts g (Estimate), all take the step x <- x + s g, s the protocol's step;
//!            without an estimate it broadcasts x^r (Model)
//!            client i replies from its result at the new x; the server combines the replies
//! ```
//! With an estimate, the server's state after [`finish`] and a client's after [`receive`] of the frame that [`broadcast`] then writes
//! hold the same `x`, bit for bit: both compute `x_j + s g_j` from the same numbers.
//!
//! | call | of the | does |
//! |---|---|---|
//! | [`broadcast`], [`welcome`] | server | writes the frame that opens the round, for all or for one that joins |
//! | [`receive`] | client | reads it and moves |
//! | [`reply`] | client | writes its message, from its gradient at [`Client::params`] or the model that it trained from there |
//! | [`accept`], [`skip`] | server | takes the next reply, or goes on without it |
//! | [`finish`], [`reopen`] | server | closes the round, or discards its replies |
//!
//! Frames are decoded where they arrive, once ([`decode`](super::decode)); what is read here is a [`Frame`](crate::wire::Frame).
//! Replies accumulate in the aggregator's memory; only [`finish`] moves the model. A rejected frame leaves the round unchanged, so the
//! client may resend.
//!
//! # Rounds
//! A client moves forwards only: it takes the Estimate of the next round, or the Model of a later one. A frame that was replayed
//! or overtaken is refused. A server that was started again begins at an earlier round; a client that knows this from its
//! connection calls [`Client::rejoin`] and takes the Model of any round.

mod client;
mod server;

pub(super) use client::Standing;
pub use client::{Client, receive, reply};
pub use server::{Server, accept, broadcast, finish, reopen, skip, welcome};

use super::{Protocol, message};
use crate::error::{check, check_length};
use crate::{Error, Real};

/// Checks the hyperparameters, the aggregator, and that a state of `found` numbers is one of `d` parameters of this protocol.
fn check_state<T: Real, P: Protocol<T> + ?Sized>(
    config: &P,
    d: usize,
    expected: usize,
    found: usize,
) -> Result<u32, Error> {
    config.validate(d)?;
    let aggregator = config.aggregator();
    aggregator.validate(config.run().clients as usize)?;
    check(
        "aggregator",
        aggregator.is_mean() || !config.keeps_estimate(),
        "must be the mean where an estimate is kept",
    )?;
    check_length("memory", expected, found)?;
    message::dimension(d)
}
