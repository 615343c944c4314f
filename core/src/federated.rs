//! Federated protocols: clients and a server that exchange frames.
//!
//! A [`Protocol`] is a `Config`; two state machines over the caller's memory carry it out, the same for all ([`machine`]). The server writes a frame to be
//! broadcast, each client reads it and moves, the caller computes a gradient (or trains locally) at the client's point, the client writes
//! its reply, the server takes the replies in client order and closes the round. Nothing here knows of sockets or threads;
//! a round driven in one process and a round across processes have the same bits.
//!
//! | module | client sends | server keeps | floats per client | floats of the server |
//! |---|---|---|---|---|
//! | [`fed_avg`] | change of the model after local training | model, what the [aggregator](crate::aggregate) keeps | `2 d` + one message, the trained model included | `d` + the aggregator's + one message; `2 d` + one message for the mean |
//! | [`fed_nova`] | that change, over the number of local steps | as FedAvg | as FedAvg | as FedAvg |
//! | [`fed_prox`] | as FedAvg, after training that is held near the model | as FedAvg | as FedAvg | as FedAvg |
//! | [`marina`] | full gradient, or a compressed difference of gradients | model, estimate, sum | `3 d` + one message, the caller's gradient included | `3 d` + one message |
//! | [`ef21`] | compressed difference to its memory | model, estimate, sum | `3 d` + one message, the caller's gradient included | `3 d` + one message |
//! | [`ntk`] | the Jacobian of each of its samples | model, rows of the round | `P` + one row | `N C P` and more |
//!
//! [`ntk`] has other machines, since its rounds differ. [`step_size`] has the step sizes of the theory of MARINA and EF21, [`ledger`] the
//! bits that were sent, [`hessian_variance`] the estimate of the constant `L_+-`.
//!
//! # Order
//! Sums of floating-point numbers depend on their order, so a server takes replies in the order of clients and
//! returns [`ProtocolError::OutOfTurn`] for any other; the transport holds early frames back. A client that stays away is passed
//! over with `skip`.

pub mod ef21;
pub mod fed_avg;
pub mod fed_nova;
pub mod fed_prox;
pub mod hessian_variance;
pub mod ledger;
pub mod machine;
pub mod marina;
mod message;
pub mod ntk;
pub mod protocol;
pub mod step_size;

pub use ledger::Ledger;
pub(crate) use message::MessageKernels;
pub use message::{decode, frame_len};
pub use protocol::Protocol;

use core::fmt;

use crate::Error;
use crate::compress::PermK;
pub use crate::wire::message::kind_of;
use crate::wire::{DecodeError, EncodeError};

/// What server and clients agree on before the first round.
///
/// ```
/// let run = thalweg::federated::Run { seed: 7, clients: 10 };
/// assert_eq!(run.clients, 10);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Run {
    /// Seed of every shared draw; frames of another seed are refused.
    pub seed: u64,
    /// Number of clients, numbered from 0.
    pub clients: u32,
}

impl Run {
    /// PermK for the clients of the run, so that their number is stated once.
    ///
    /// ```
    /// use thalweg::{compress::PermK, federated::Run};
    /// assert_eq!(Run { seed: 7, clients: 10 }.perm_k(), PermK::new(10));
    /// ```
    #[must_use]
    pub const fn perm_k(self) -> PermK {
        PermK::new(self.clients as usize)
    }
}

/// Why a protocol cannot go on with what it was given. The state is as before.
///
/// ```
/// use thalweg::federated::ProtocolError;
/// let error = ProtocolError::OutOfTurn { expected: 2, found: 5 };
/// assert_eq!(error.to_string(), "reply of client 5, expected client 2");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProtocolError {
    /// An argument is wrong.
    Argument(Error),
    /// The bytes are not the frame that is awaited.
    Decode(DecodeError),
    /// The reply does not fit its buffer.
    Encode(EncodeError),
    /// A reply came before its turn, or twice.
    OutOfTurn {
        /// The client whose turn it is; the number of clients when all have been heard.
        expected: u32,
        /// The client that sent.
        found: u32,
    },
    /// The round was closed before every client was heard or skipped.
    Incomplete {
        /// The first client that is missing.
        missing: u32,
    },
    /// No client replied.
    Empty,
    /// A client without the model of a round waits for a broadcast; one that joined in the middle of a run has no previous
    /// gradient either, and waits for a full round.
    NotSynchronised {
        /// The client.
        client: u32,
    },
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument(error) => error.fmt(f),
            Self::Decode(error) => error.fmt(f),
            Self::Encode(error) => error.fmt(f),
            Self::OutOfTurn { expected, found } => {
                write!(f, "reply of client {found}, expected client {expected}")
            }
            Self::Incomplete { missing } => {
                write!(
                    f,
                    "the round is open: client {missing} was neither heard nor skipped"
                )
            }
            Self::Empty => write!(f, "no client replied in this round"),
            Self::NotSynchronised { client } => {
                write!(
                    f,
                    "client {client} has no model or joined late, and waits for a broadcast or a full round"
                )
            }
        }
    }
}

impl core::error::Error for ProtocolError {}

impl From<Error> for ProtocolError {
    fn from(error: Error) -> Self {
        Self::Argument(error)
    }
}

impl From<DecodeError> for ProtocolError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<EncodeError> for ProtocolError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}
