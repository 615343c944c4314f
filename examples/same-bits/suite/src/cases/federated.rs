//! Protocols whose machines exchange frames.

use thalweg::aggregate::Mean;
use thalweg::compress::{Ab, Buffers, Compressor, Message, Natural, RandK, TopK};
use thalweg::federated::hessian_variance::HessianVariance;
use thalweg::federated::machine::{self, Client, Server};
use thalweg::federated::{
    self, Ledger, Protocol, Run, decode, ef21, fed_avg, kind_of, marina, step_size,
};
use thalweg::model::Gradient;
use thalweg::model::quadratic::Quadratic;
use thalweg::snapshot::Snapshot;
use thalweg::vector;
use thalweg::wire::{Dtype, Header, Kind};

use crate::{Hash, MISSING, Outcome, paint};

const CLIENTS: usize = 3;
const D: usize = 41;
const RUN: Run = Run {
    seed: 77,
    clients: CLIENTS as u32,
};

/// The objective of one client: they differ in curvature and in the linear term.
fn objective(client: usize) -> Quadratic<f32> {
    let i = client as f32;
    Quadratic {
        dim: D,
        curvature: 1.0 + 0.1 * i,
        shift: 0.05,
        linear: 0.5 - i,
    }
}

fn gradient(client: usize, x: &[f32]) -> Result<[f32; D], thalweg::Error> {
    let mut grad = [0.0; D];
    objective(client).gradient_into(x, &mut grad, &mut [])?;
    Ok(grad)
}

fn start() -> [f32; D] {
    let mut x = [0.0; D];
    paint(&mut x, 70);
    x
}

/// Saves a state, and restores it from its own bytes.
fn resume(state: &mut impl Snapshot, hash: &mut Hash) -> Outcome {
    let mut bytes = [0; 768];
    let len = state.save(&mut bytes)?;
    let saved = bytes.get(..len).ok_or(MISSING)?;
    hash.bytes(saved);
    hash.size(state.snapshot_len());
    state.restore(saved)?;
    Ok(())
}

fn buffers<'b>(values: &'b mut [f32], indices: &'b mut [u32]) -> Buffers<'b, f32> {
    Buffers {
        indices,
        ..Buffers::values(values)
    }
}

/// Rounds of a protocol that keeps an estimate; a client sits one out.
fn rounds(config: &dyn Protocol<f32>, hash: &mut Hash) -> Outcome {
    config.validate(D)?;
    let mut server = Server::new(config, &start(), [0.0; 3 * D])?;
    let mut clients = [Client::new(config, 0, [0.0; 2 * D])?; CLIENTS];
    for (id, client) in (0..).zip(&mut clients) {
        *client = Client::new(config, id, [0.0; 2 * D])?;
    }
    let (mut frame, mut values, mut indices) = ([0; 288], [0.0; D], [0; D]);
    for round in 0..6 {
        let len = machine::broadcast(config, &mut server, &mut frame)?;
        if round == 0 {
            // Nothing has been heard: neither changes a bit of what follows.
            machine::skip(config, &mut server)?;
            machine::reopen(config, &mut server)?;
            clients.iter_mut().for_each(Client::rejoin);
        }
        let opening = decode::<f32>(frame.get(..len).ok_or(MISSING)?, D)?;
        for client in &mut clients {
            machine::receive(config, client, &opening)?;
        }
        for (i, client) in clients.iter_mut().enumerate() {
            if (i, round) == (1, 4) {
                machine::skip(config, &mut server)?;
                continue;
            }
            let mut gradient = gradient(i, client.params())?;
            let lent = buffers(&mut values, &mut indices);
            let len = machine::reply(config, client, &mut gradient, lent, &mut frame)?;
            let reply = frame.get(..len).ok_or(MISSING)?;
            hash.bytes(reply);
            let (reply, lent) = (decode::<f32>(reply, D)?, buffers(&mut values, &mut indices));
            machine::accept(config, &mut server, 1, &reply, lent)?;
            hash.word(u64::from(server.turn()));
        }
        machine::finish(config, &mut server)?;
        hash.reals(server.params());
        resume(&mut server, hash)?;
    }
    for client in &mut clients {
        hash.word(client.round() + u64::from(client.id()));
        resume(client, hash)?;
    }
    hash.size(machine::welcome(config, &server, &mut frame)?);
    hash.reals(server.estimate());
    hash.word(server.round());
    let ledger = server.ledger();
    hash.word(ledger.uplink_max ^ ledger.downlink.rotate_left(32));
    hash.reals(&[ledger.uplink_mean(RUN.clients)]);
    Ok(())
}

fn marina_run<C: Compressor<f32>>(compressor: C, hash: &mut Hash) -> Outcome {
    let config = marina::Config {
        run: RUN,
        step_size: 0.4,
        probability: 0.3,
        compressor,
    };
    rounds(&config, hash)
}

pub(super) fn marina_perm_k(hash: &mut Hash) -> Outcome {
    marina_run(RUN.perm_k(), hash)
}

pub(super) fn marina_rand_k(hash: &mut Hash) -> Outcome {
    marina_run(RandK::new(9), hash)
}

pub(super) fn ef21_top_k(hash: &mut Hash) -> Outcome {
    let config = ef21::Config {
        run: RUN,
        step_size: 0.2,
        restart: 0.0,
        compressor: TopK { k: 5 },
    };
    rounds(&config, hash)
}

pub(super) fn fed_avg_natural(hash: &mut Hash) -> Outcome {
    let config = fed_avg::Config {
        run: RUN,
        server_learning_rate: 0.9,
        compressor: Natural,
        aggregator: Mean,
    };
    let mut server = Server::new(&config, &start(), [0.0; 2 * D])?;
    let (mut frame, mut values) = ([0; 288], [0.0; D]);
    machine::skip(&config, &mut server)?;
    machine::reopen(&config, &mut server)?;
    for round in 0..4 {
        for id in 0..RUN.clients {
            if (id, round) == (2, 1) {
                machine::skip(&config, &mut server)?;
                continue;
            }
            let mut client = Client::new(&config, id, [0.0; D])?;
            let len = machine::broadcast(&config, &mut server, &mut frame)?;
            let opening = decode::<f32>(frame.get(..len).ok_or(MISSING)?, D)?;
            machine::receive(&config, &mut client, &opening)?;
            let mut trained = [0.0; D];
            vector::axpy(1.0, client.params(), &mut trained)?;
            for _ in 0..3 {
                let gradient = gradient(id as usize, &trained)?;
                vector::axpy(-0.2, &gradient, &mut trained)?;
            }
            let lent = Buffers::values(&mut values);
            let len = machine::reply(&config, &mut client, &mut trained, lent, &mut frame)?;
            let reply = frame.get(..len).ok_or(MISSING)?;
            hash.bytes(reply);
            let (reply, lent) = (decode::<f32>(reply, D)?, Buffers::values(&mut values));
            machine::accept(&config, &mut server, 10 + id, &reply, lent)?;
            hash.word(client.round() + u64::from(client.id()) + u64::from(server.turn()));
        }
        machine::finish(&config, &mut server)?;
        hash.reals(server.params());
        resume(&mut server, hash)?;
    }
    hash.word(server.round() + server.ledger().overhead_bytes);
    Ok(())
}

pub(super) fn constants(hash: &mut Hash) -> Outcome {
    let mut variance = HessianVariance::new([0.0_f32; D]);
    let (x, mut y) = (start(), start());
    vector::scale(0.5, &mut y);
    for i in 0..CLIENTS {
        let mut change = gradient(i, &x)?;
        vector::axpy(-1.0, &gradient(i, &y)?, &mut change)?;
        variance.push(&change)?;
    }
    let moved = vector::squared_distance(&x, &y)?;
    hash.reals(&[variance.finish(moved.into())?, variance.largest()]);
    hash.size(variance.dim());
    let ab = Ab { a: 2.0, b: 1.5 };
    hash.reals(&[
        step_size::gradient_descent(3.0),
        step_size::marina(3.0, 4.0, 2.0, 0.3, ab),
        step_size::ef21(3.0, 4.0, 0.1),
    ]);
    hash.size(federated::frame_len::<f32>(41));
    let mut ledger = Ledger::default();
    let header = Header::new(Kind::Sparse, Dtype::F32, 41, 5);
    ledger.uplink(&header);
    ledger.broadcast(&header);
    ledger.close_round();
    hash.word(ledger.uplink_max ^ ledger.overhead_bytes.rotate_left(32));
    hash.word(kind_of(&Message::PermK(&x)).code().into());
    Ok(())
}
