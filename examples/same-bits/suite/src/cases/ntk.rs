//! Rounds of NTK-FL, plain and through a shuffler; FedNova and FedProx.

use thalweg::compress::Buffers;
use thalweg::federated::ntk::{
    self, Client, Config, Rows, Server, client, key_server, projection, server, shuffler,
};
use thalweg::federated::{ProtocolError, Run, decode, fed_nova, fed_prox};
use thalweg::model::{Batch, Init, Objective, mlp};
use thalweg::random::{self, Purpose};
use thalweg::snapshot::Snapshot;
use thalweg::wire::Kept;

use crate::{Hash, MISSING, Outcome, paint};

const SIZES: [usize; 3] = [4, 3, 3];
const P: usize = 27;
const C: usize = 3;
const ROWS: usize = 6;
const TIMES: [f64; 2] = [0.5, 2.0];
const ROOM: usize = 512;
const SCRATCH: usize = 2048;

/// What a client lends.
struct Memory {
    numbers: [f32; P * C],
    scratch: [f32; 256],
    values: [f32; P * C],
    indices: [u32; P * C],
}

fn resume(state: &mut impl Snapshot, hash: &mut Hash) -> Outcome {
    let mut bytes = [0; 8192];
    let len = state.save(&mut bytes)?;
    let saved = bytes.get(..len).ok_or(MISSING)?;
    hash.bytes(saved);
    hash.size(state.snapshot_len());
    state.restore(saved)?;
    Ok(())
}

const LEN: usize = ntk::server_len(P, C, 2, ROWS);

fn round(rows: Rows, shuffled: bool, hash: &mut Hash) -> Outcome {
    let run = Run {
        seed: 3,
        clients: 3,
    };
    let config = Config {
        rows,
        ..Config::new(run, C as u32, &TIMES)
    };
    config.validate()?;
    rows.validate()?;
    let one = Config {
        run: Run { clients: 1, ..run },
        ..config
    };
    let of_server = if shuffled { one } else { config };
    let model = mlp::Model::<f32>::new(&SIZES);
    let (mut params, mut x) = ([0.0; P], [0.0_f32; 4 * ROWS]);
    let rng = &mut random::stream(3, 0, 0, Purpose::INIT);
    model.init_into(Init::KaimingNormal, rng, &mut params)?;
    paint(&mut x, 90);
    let all = Batch::classes(&x, 4, &[0, 1, 2, 0, 1, 2])?;
    hash.size(config.frame_len::<f32>(P, 2) + rows.count(C * P));
    hash.size(rows.frame_len::<f32>((C * P) as u32));
    hash.word(rows.bits::<f32>((C * P) as u32));

    let mut server = Server::new(&of_server, &params, [0.0_f32; LEN], [0; ROWS])?;
    let mut handed = [0; 6 * (4 + 12 + 400)];
    let slots = shuffler::len::<f32>(&config, P, ROWS as u32);
    let handed = handed.get_mut(..slots).ok_or(MISSING)?;
    let mut shuffler = shuffler::Shuffler::new::<f32>(&config, P, ROWS as u32, handed)?;
    shuffler.open(0);
    let mut memory = Memory {
        numbers: [0.0; P * C],
        scratch: [0.0; 256],
        values: [0.0; P * C],
        indices: [0; P * C],
    };
    let (mut down, mut up, mut scratch) = ([0; ROOM], [0; ROOM], [0.0; SCRATCH]);
    hash.word((server::scratch_len(P, C, ROWS) <= SCRATCH).into());
    let len = ntk::broadcast(&of_server, &mut server, &mut down)?;
    let mut clients = [Client::new(&config, 9, [0.0_f32; client::len(P, 2)])?; 2];
    for (id, client) in (0..).zip(&mut clients) {
        client.renumber(id);
        let frame = decode::<f32>(down.get(..len).ok_or(MISSING)?, P)?;
        client::receive(&config, client, &frame)?;
        let batch = all.range(3 * id as usize, 3)?;
        loop {
            let work = client::Work {
                numbers: &mut memory.numbers,
                scratch: &mut memory.scratch,
                buffers: Buffers {
                    indices: &mut memory.indices,
                    ..Buffers::values(&mut memory.values)
                },
            };
            let next = client::next_frame(&config, client, (&model, &batch), work, &mut up)?;
            let Some(len) = next else { break };
            let frame = decode::<f32>(up.get(..len).ok_or(MISSING)?, C * P)?;
            if shuffled {
                shuffler::accept::<f32, _>(&config, &mut shuffler, &frame)?;
            } else {
                ntk::accept(&of_server, &mut server, &frame)?;
            }
        }
        resume(client, hash)?;
        hash.word(u64::from(client.id()) + client.round());
        hash.reals(client.params());
    }
    if shuffled {
        shuffler::skip(&config, &mut shuffler)?;
        hash.word((shuffler.turn() + shuffler.rows()).into());
        shuffler::release(&config, &mut shuffler, 12)?;
        resume(&mut shuffler, hash)?;
        while let Some(len) = shuffler::next_frame::<f32, _>(&config, &mut shuffler, &mut up)? {
            let frame = up.get(..len).ok_or(MISSING)?;
            hash.bytes(frame);
            ntk::accept(&of_server, &mut server, &decode::<f32>(frame, C * P)?)?;
        }
    } else {
        ntk::skip(&config, &mut server)?;
    }
    hash.reals(server.jacobian());
    ntk::evolve(&of_server, &mut server, &mut scratch)?;
    resume(&mut server, hash)?;
    let mut loss = |w: &[f32], batch: &Batch<'_, f32>| {
        let sum = model.value(w, batch, &mut memory.scratch)?;
        Ok::<f32, thalweg::Error>(sum * batch.len() as f32)
    };
    let chosen = if shuffled {
        ntk::choose_by(&of_server, &mut server, |w| loss(w, &all), &mut scratch)?
    } else {
        for number in [1, 2] {
            let len =
                server::broadcast_candidate(&config, &mut server, number, &mut down, &mut scratch)?;
            let frame = decode::<f32>(down.get(..len).ok_or(MISSING)?, P)?;
            for (id, client) in (0..).zip(&mut clients) {
                let batch = all.range(3 * id, 3)?;
                let sum = |w: &[f32]| loss(w, &batch);
                client::try_candidate(&config, client, &frame, &mut [0.0; P], sum)?;
            }
        }
        for (id, client) in (0..).zip(&mut clients) {
            let now = loss(client.params(), &all.range(3 * id, 3)?)?;
            let len = client::losses_into(&config, client, now, &mut up)?;
            let frame = up.get(..len).ok_or(MISSING)?;
            hash.bytes(frame);
            ntk::accept_losses(&config, &mut server, &decode::<f32>(frame, 3)?)?;
        }
        ntk::skip(&config, &mut server)?;
        ntk::choose(&config, &mut server, &mut scratch)?
    };
    hash.index(chosen.candidate);
    hash.reals(&[chosen.loss]);
    hash.reals(server.params());
    hash.word(server.ledger().uplink_total + server.ledger().downlink);
    server::reopen(&of_server, &mut server)?;
    hash.word(server.round() + u64::from(server.turn() + server.rows()));
    Ok(())
}

pub(super) fn plain(hash: &mut Hash) -> Outcome {
    round(Rows::Dense, false, hash)
}

pub(super) fn private(hash: &mut Hash) -> Outcome {
    round(Rows::Quantised { keep: 0.4, bits: 5 }, true, hash)?;
    let kept = Kept { bits: 5, count: 33 };
    hash.word((Kept::from_code(kept.code()) == kept).into());
    let (mut rows, mut scratch) = ([0; 16], [0; 16]);
    let rng = &mut ntk::sample_stream(1, 2, 3);
    hash.size(ntk::sample_into(rng, 0.6, 8, &mut rows, &mut scratch)?);
    rows.iter().for_each(|&row| hash.word(row.into()));
    let (mut x, mut out) = ([0.0_f32; 12], [0.0; 14]);
    paint(&mut x, 91);
    projection::project_into(&[5; 32], 6, &x, 7, &mut out, &mut [0.0; 7])?;
    hash.reals(&out);

    let config = Config::new(
        Run {
            seed: 3,
            clients: 2,
        },
        3,
        &TIMES,
    );
    let mut server = key_server::KeyServer::new([7; 32], [0; 2])?;
    let (mut up, mut down) = ([0; 64], [0; 96]);
    let len = key_server::public_key_into(&config, 1, &[1, 2, 3], &mut up)?;
    let frame = decode::<f32>(up.get(..len).ok_or(MISSING)?, 3)?;
    let mask = |key: &[u8], from: &[u8], to: &mut [u8]| {
        for ((to, from), key) in to.iter_mut().zip(from).zip(key.iter().cycle()) {
            *to = from ^ key;
        }
    };
    let encrypt = |key: &[u8], seed: &[u8; 32], to: &mut [u8]| {
        mask(key, seed, to);
        Ok(32)
    };
    let len = key_server::seal(
        &config,
        &mut server,
        &frame,
        &mut [0; 32],
        encrypt,
        &mut down,
    )?;
    let frame = down.get(..len).ok_or(MISSING)?;
    hash.bytes(frame);
    let decrypt = |from: &[u8], seed: &mut [u8; 32]| {
        mask(&[1, 2, 3], from, seed);
        Ok(())
    };
    let seed = key_server::open(&config, &decode::<f32>(frame, 3)?, decrypt)?;
    hash.bytes(&seed);
    resume(&mut server, hash)?;
    Ok(())
}

/// FedNova's factor, and the gradient of FedProx.
pub(super) fn averages(hash: &mut Hash) -> Outcome {
    let steps: Result<f64, ProtocolError> = Ok(fed_nova::effective_steps([(30, 3), (11, 7)])?);
    hash.reals(&[steps?]);
    let (mut x, mut y, mut gradient) = ([0.0_f32; 9], [0.0; 9], [0.5; 9]);
    paint(&mut x, 92);
    paint(&mut y, 93);
    fed_prox::add_proximal_gradient(0.3, &y, &x, &mut gradient)?;
    hash.reals(&gradient);
    Ok(())
}
