//! What the protocols refuse before anything changes: short memory, compressors of another run, frames that lead back, sums and
//! models that are not finite, states that cannot be.
#![allow(clippy::unwrap_used, reason = "a helper of a test may stop it")]

mod closing;
mod edges;
mod memory;
mod rounds;

use thalweg::aggregate::Mean;
use thalweg::compress::{Buffers, Identity};
use thalweg::federated::machine::{self, Client, Server};
use thalweg::federated::{Protocol, ProtocolError, Run, decode, ef21, fed_avg, marina};
use thalweg::snapshot::Snapshot;
use thalweg::wire::{Body, Dtype, Header, encode_into};

const D: usize = 6;
const ROOM: usize = 200;

const fn run(clients: u32) -> Run {
    Run { seed: 3, clients }
}

/// A run whose rounds after the first are compressed.
fn marina_of<C>(clients: u32, compressor: C) -> marina::Config<f32, C> {
    marina::Config {
        run: run(clients),
        step_size: 0.5,
        probability: 1e-12,
        compressor,
    }
}

fn ef21_of<C>(clients: u32, compressor: C) -> ef21::Config<f32, C> {
    ef21::Config {
        run: run(clients),
        step_size: 0.5,
        restart: 0.0,
        compressor,
    }
}

fn fed_avg_of<C>(clients: u32, compressor: C) -> fed_avg::Config<f32, C> {
    fed_avg::Config {
        run: run(clients),
        server_learning_rate: 1.0,
        compressor,
        aggregator: Mean,
    }
}

/// A server of MARINA or EF21.
fn server() -> Server<[f32; 3 * D]> {
    Server::new(&marina_of(1, Identity), &[1.0; D], [0.0; 3 * D]).unwrap()
}

/// A client of MARINA or EF21.
fn client(id: u32) -> Client<[f32; 2 * D]> {
    Client::new(&marina_of(1, Identity), id, [0.0; 2 * D]).unwrap()
}

/// A server of FedAvg.
fn averaging_from(start: [f32; D]) -> Server<[f32; 2 * D]> {
    Server::new(&fed_avg_of(1, Identity), &start, [0.0; 2 * D]).unwrap()
}

/// A server of FedAvg at 1.
fn averaging() -> Server<[f32; 2 * D]> {
    averaging_from([1.0; D])
}

/// A client of FedAvg.
fn trainer(id: u32) -> Client<[f32; D]> {
    Client::new(&fed_avg_of(1, Identity), id, [0.0; D]).unwrap()
}

/// Decodes and accepts the reply of a client with one sample.
fn accept<P: Protocol<f32>, const N: usize>(
    config: &P,
    server: &mut Server<[f32; N]>,
    bytes: &[u8],
    buffers: Buffers<'_, f32>,
) -> Result<(), ProtocolError> {
    let frame = decode::<f32>(bytes, D)?;
    machine::accept(config, server, 1, &frame, buffers)
}

/// Decodes and receives.
fn receive<P: Protocol<f32>, const N: usize>(
    config: &P,
    client: &mut Client<[f32; N]>,
    bytes: &[u8],
) -> Result<(), ProtocolError> {
    machine::receive(config, client, &decode::<f32>(bytes, D)?)
}

fn saved(state: &impl Snapshot) -> Vec<u8> {
    let mut bytes = vec![0; state.snapshot_len()];
    state.save(&mut bytes).unwrap();
    bytes
}

/// Bytes of a saved number, changed.
fn with_number(bytes: &[u8], at: usize, number: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + number.len()].copy_from_slice(number);
    let end = bytes.len() - 4;
    let crc = thalweg::wire::crc32c(&bytes[..end]).to_le_bytes();
    bytes[end..].copy_from_slice(&crc);
    bytes
}

/// A frame of this header, in `f32`, whose body the header fits.
fn frame(header: Header, body: &Body<'_, f32>) -> Vec<u8> {
    let mut out = vec![0; header.frame_len()];
    encode_into(&header, body, &mut out).unwrap();
    out
}

/// The header of a frame of the run.
fn header(kind: thalweg::wire::Kind, client: u32, round: u64, k: u32) -> Header {
    Header {
        client,
        round,
        seed: run(1).seed,
        ..Header::new(kind, Dtype::F32, D as u32, k)
    }
}

/// Three buffers of these lengths, and what `with` says with them.
fn lent<R>([values, indices, levels]: [usize; 3], with: impl FnOnce(Buffers<'_, f32>) -> R) -> R {
    with(Buffers {
        values: &mut vec![0.0; values],
        indices: &mut vec![0; indices],
        levels: &mut vec![0; levels],
    })
}
