//! Why a run over a transport ends early.

use std::io;
use std::time::Duration;

use thalweg::federated::ProtocolError;
use thalweg::wire::{EncodeError, MAJOR};

/// Why a run over a transport ends early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// The listener, or every attempt to connect, failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Clients did not join before the first round.
    #[error("client {missing} has not joined within {waited:?}; all {clients} are needed to begin")]
    NotJoined {
        /// The first client that is missing.
        missing: u32,
        /// Clients of the run.
        clients: u32,
        /// The time that was given.
        waited: Duration,
    },
    /// A round ended without a single reply.
    #[error("no client replied to round {round} within {waited:?}; {passed} could not take part")]
    NoReply {
        /// The round.
        round: u64,
        /// Clients that said that they sit the round out: they joined late, or their numbers were not finite.
        passed: usize,
        /// The time that was given.
        waited: Duration,
    },
    /// A client heard nothing from its server.
    #[error("the server has been silent for {waited:?}")]
    Silent {
        /// The time that was given.
        waited: Duration,
    },
    /// A client and its server compute with other algorithms: their bits differ.
    #[error("client {client} has version {found} of the algorithms, its server version {expected}")]
    Algorithms {
        /// The client.
        client: u32,
        /// [`thalweg::ALGORITHM_VERSION`] of the server.
        expected: u8,
        /// That of the client.
        found: u8,
    },
    /// A client and its server do not run the same thing.
    #[error("client {client} has settings {found:06x}, its server {expected:06x}")]
    Settings {
        /// The client.
        client: u32,
        /// Fingerprint of the server's settings.
        expected: u32,
        /// Fingerprint of the client's.
        found: u32,
    },
    /// A client and its server do not run the same thing; the server keeps its own value to itself.
    #[error("client {client} has another {what} than its server")]
    Differs {
        /// The client.
        client: u32,
        /// What differs.
        what: &'static str,
    },
    /// The other side speaks another major version of the wire format.
    #[error("the other side speaks major version {found} of the wire format, this program {MAJOR}")]
    Version {
        /// The version of the other side.
        found: u8,
    },
    /// The server has ended the run before its end.
    #[error("the server has ended the run early")]
    Aborted,
    /// The server does not accept the replies of a client any more.
    #[error("the server has refused the replies of client {client} and sent it away")]
    SentAway {
        /// The client.
        client: u32,
    },
    /// No client had finite numbers to send.
    #[error("the numbers of every client are not finite in round {round}")]
    NotFinite {
        /// The round.
        round: u64,
    },
    /// A client has a number that the run does not have.
    #[error("there is no client {client} in this run")]
    NoSuchClient {
        /// The number.
        client: u32,
    },
    /// Another connection said that it is this client, and took its place.
    #[error("another connection has taken the place of client {client}")]
    Displaced {
        /// The client.
        client: u32,
    },
    /// The protocol refused the reply of a client.
    #[error("the reply of client {client} is refused: {source}")]
    Refused {
        /// The client.
        client: u32,
        /// Why.
        #[source]
        source: ProtocolError,
    },
    /// A client announced another shard than the server's options give it.
    #[error("client {client} has {found} samples, expected {expected}: its options differ")]
    Samples {
        /// The client.
        client: u32,
        /// Samples of its shard.
        expected: u64,
        /// Samples announced.
        found: u64,
    },
    /// The protocol refused.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// A message cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
