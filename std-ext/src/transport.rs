//! Frames over sockets and serial lines: a server that serves many clients from one thread, and a client.
//!
//! [`Server`] and [`Client`] drive the frames of [`thalweg::wire`] over anything that implements [`Read`](std::io::Read) and
//! [`Write`](std::io::Write): [`TcpStream`](std::net::TcpStream), a serial port, a pipe of a test. The stream's calls must
//! come back soon, with [`WouldBlock`](std::io::ErrorKind::WouldBlock) or [`TimedOut`](std::io::ErrorKind::TimedOut) when nothing
//! moves; [`tcp`] prepares sockets so.
//!
//! # Framing
//! By length, on every line: a frame's header states the length behind a separate check, and
//! [`Deframer`](thalweg::wire::Deframer) finds the next frame after damage. Its module says why there is no COBS.
//!
//! # The conversation
//! ```text
//! client                         server
//! Hello(round wanted)    ->                        on connecting, after damage, after a silence
//!                        <-      Model | Estimate  opens round r; again after `frame_timeout` without a reply
//! reply of round r       ->                        again, the same bytes, whenever round r is opened again
//! Drop(round r)          ->                        the client cannot take part in round r
//!                        <-      Drop(round r)     the round was closed without this client
//!                        <-      Hello             the client is sent away: the field that differs, or round 1
//!                        <-      Stop              the run is over; the client closes
//! ```
//! Every message may be lost, repeated, reordered or damaged. Both sides may repeat all they say: a round is opened
//! by its number, a client computes each reply once and keeps it, a server takes the first. The next round acknowledges the last.
//!
//! A client that is silent for `round_timeout` is left out of the round. One that lost its connection and kept its state
//! continues, with the bits of a run without the loss, if it is back within the round; one that missed a round or starts anew
//! is given the model, and takes part as the protocol allows a late client to. No further round waits for a client that was
//! left out, until it asks or replies again; and then for a quarter of the time after each miss, so that a client that asks and
//! never replies cannot hold up every round. A round without any reply changes nothing and may be opened again.
//!
//! A reply that cannot be used, because its values are not finite or the protocol refuses it, counts as none. After three of
//! them the client is sent away by a Hello of round 1.
//!
//! A Stop of round 0 ends a run that is finished, one of round 2^64 - 1 a run that ends early. A server that is killed says
//! nothing: its clients try to connect for `join_timeout`, and if it is started again they begin anew with its model.
//!
//! # Who is let in
//! A Hello of another seed, dimension, version of the algorithms, fingerprint of settings or shard is sent away with a Hello that names the first
//! of them that differs, and no value of the run: seed, fingerprint and rows are what a client has to know. The version,
//! [`thalweg::ALGORITHM_VERSION`], is stated: programs of two versions have other bits, and both of them say so.
//!
//! A connection for a client that is there already waits while the older one sends something every two `frame_timeout`, and is sent
//! away after that; if the older one has not replied yet or falls silent, the newer one takes its place. A line of another major
//! version is answered with an empty frame of this one, and closed.
//!
//! # Limits
//! Memory: one frame in and two frames out per connection, whatever arrives; TCP's own window holds back a sender that is faster.
//! A reader that is too slow for two frames misses rounds. Connections that have not said Hello are capped, and closed in time;
//! when the system has no descriptors left, the oldest are closed and the cap is lowered.
//! Work: 64 damaged frames in a row end a connection. Pauses grow with the silence, to 20 ms.
//! Time: every wait has a deadline in [`Limits`]; what runs out is a [`TransportError`].
//!
//! Frames are not authenticated here: put the port behind a tunnel that is.

mod client;
mod error;
mod limits;
mod line;
mod server;
pub mod tcp;

pub use client::{Client, Summary};
pub use error::TransportError;
pub use limits::Limits;
pub use server::{Absence, Accept, Fixed, Opening, Reply, Server};
