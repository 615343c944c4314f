//! Rounds of NTK-FL through frames: what the server computes, what is sent, and what the server can find out.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in helpers too"
)]

use rand_core::Rng;
use thalweg::compress::Buffers;
use thalweg::federated::ntk::{
    self, Client, Config, Rows, Server, client, key_server, projection, server, shuffler,
};
use thalweg::federated::{ProtocolError, Run, decode};
use thalweg::kernel::{evolution, tangent};
use thalweg::matrix::{MatrixMut, MatrixRef};
use thalweg::model::{Batch, Init, Loss, Objective, Outputs, mlp};
use thalweg::random::{self, Purpose};
use thalweg::snapshot::Snapshot;
use thalweg::wire::index_bits;

const SIZES: [usize; 3] = [6, 5, 3];
const P: usize = 6 * 5 + 5 + 5 * 3 + 3;
const C: usize = 3;
const TIMES: [f64; 4] = [0.5, 1.0, 2.0, 4.0];

fn model(loss: Loss) -> mlp::Model<'static, f64> {
    mlp::Model {
        loss,
        ..mlp::Model::new(&SIZES)
    }
}

/// Rows with a class that depends on them, and a model.
struct Problem {
    x: Vec<f64>,
    y: Vec<u32>,
    params: Vec<f64>,
}

impl Problem {
    fn new(rows: usize, seed: u64) -> Self {
        let mut rng = random::stream(seed, 0, 0, Purpose::DATA);
        let x: Vec<f64> = (0..rows * SIZES[0])
            .map(|_| random::normal(&mut rng))
            .collect();
        let y = x
            .chunks(SIZES[0])
            .map(|x| u32::from(x[0] > 0.0) + u32::from(x[1] > 0.5))
            .collect();
        let mut params = vec![0.0; P];
        model(Loss::CrossEntropy)
            .init_into(Init::KaimingNormal, &mut rng, &mut params)
            .unwrap();
        Self { x, y, params }
    }

    fn batch(&self) -> Batch<'_, f64> {
        Batch::classes(&self.x, SIZES[0], &self.y).unwrap()
    }

    fn server(&self, config: &Config<'_>) -> Server<Vec<f64>, Vec<u32>> {
        let n = self.y.len();
        let memory = vec![f64::NAN; ntk::server_len(P, C, config.times.len(), n)];
        Server::new(config, &self.params, memory, vec![0; n]).unwrap()
    }
}

fn config(clients: u32, times: &[f64]) -> Config<'_> {
    Config::new(Run { seed: 4, clients }, C as u32, times)
}

/// All frames that a client with these rows sends at the model of the server.
fn frames(
    config: &Config<'_>,
    id: u32,
    model_frame: &[u8],
    loss: Loss,
    batch: &Batch<'_, f64>,
) -> (Client<Vec<f64>>, Vec<Vec<u8>>) {
    let model = model(loss);
    let mut sender =
        Client::new(config, id, vec![0.0; client::len(P, config.times.len())]).unwrap();
    client::receive(config, &mut sender, &decode::<f64>(model_frame, P).unwrap()).unwrap();
    let room = (C * P).max(batch.len() * C);
    let (mut numbers, mut scratch) = (
        vec![0.0; room],
        vec![0.0; model.outputs_scratch_len(batch.len())],
    );
    let count = config.rows.count(C * P);
    let (mut values, mut indices) = (vec![0.0; count], vec![0; count]);
    let mut out = vec![0; config.frame_len::<f64>(P, batch.len() as u32)];
    let mut sent = Vec::new();
    loop {
        let work = client::Work {
            numbers: &mut numbers,
            scratch: &mut scratch,
            buffers: Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            },
        };
        let next =
            client::next_frame(config, &mut sender, (&model, batch), work, &mut out).unwrap();
        let Some(len) = next else { break };
        sent.push(out[..len].to_vec());
    }
    assert_eq!(sent.len(), batch.len() + 2);
    (sender, sent)
}

fn scratch(rows: usize) -> Vec<f64> {
    vec![0.0; server::scratch_len(P, C, rows)]
}

/// A round whose clients hold these ranges of the rows: all but the choice.
fn taken(
    config: &Config<'_>,
    problem: &Problem,
    loss: Loss,
    parts: &[(usize, usize)],
) -> Server<Vec<f64>, Vec<u32>> {
    let mut server = problem.server(config);
    let mut down = vec![0; config.frame_len::<f64>(P, 0)];
    let len = ntk::broadcast(config, &mut server, &mut down).unwrap();
    for (id, &(start, rows)) in (0..).zip(parts) {
        let batch = problem.batch().range(start, rows).unwrap();
        for frame in frames(config, id, &down[..len], loss, &batch).1 {
            ntk::accept(config, &mut server, &decode::<f64>(&frame, C * P).unwrap()).unwrap();
        }
    }
    ntk::evolve(config, &mut server, &mut scratch(problem.y.len())).unwrap();
    server
}

/// The models of all candidates.
fn candidates(config: &Config<'_>, server: &Server<Vec<f64>, Vec<u32>>) -> Vec<Vec<f64>> {
    let mut seen = Vec::new();
    let mut copy = server.clone();
    let keep = |w: &[f64]| {
        seen.push(w.to_vec());
        Ok(1.0)
    };
    ntk::choose_by(config, &mut copy, keep, &mut scratch(1)).unwrap();
    seen.remove(0);
    seen
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max)
}

#[test]
fn a_short_time_is_a_gradient_step_on_all_rows() {
    let problem = Problem::new(12, 1);
    for loss in [Loss::CrossEntropy, Loss::Squared] {
        let t = 1e-7;
        let config = Config {
            loss,
            ..config(3, &[1e-7])
        };
        let server = taken(&config, &problem, loss, &[(0, 5), (5, 1), (6, 6)]);
        let model = model(loss);
        let (mut gradient, mut work) = (vec![0.0; P], vec![0.0; model.scratch_len(12)]);
        model
            .gradient_into(&problem.params, &problem.batch(), &mut gradient, &mut work)
            .unwrap();
        let stepped = &candidates(&config, &server)[0];
        let found: Vec<f64> = problem
            .params
            .iter()
            .zip(stepped)
            .map(|(w, next)| (w - next) / t)
            .collect();
        assert!(largest_difference(&gradient, &found) < 1e-5, "{loss:?}");
        assert!(gradient.iter().any(|g| g.abs() > 0.1));
    }
}

/// The kernel from the layers of the network, its flow, and one back-propagation of the integrals.
#[test]
fn candidates_are_those_of_the_kernel_of_the_network() {
    let problem = Problem::new(12, 6);
    for loss in [Loss::CrossEntropy, Loss::Squared] {
        let config = Config {
            loss,
            ..config(2, &TIMES)
        };
        let found = candidates(&config, &taken(&config, &problem, loss, &[(0, 7), (7, 5)]));
        let (model, batch, n) = (model(loss), problem.batch(), problem.y.len());
        let mut work = vec![0.0; 100_000];
        let (mut h, mut outputs) = (vec![0.0; n * n], vec![0.0; n * C]);
        let view = MatrixMut::new(&mut h, n, n).unwrap();
        tangent::kernel_into(&model, &problem.params, &batch, view, &mut work).unwrap();
        model
            .outputs_into(&problem.params, &batch, &mut outputs, &mut work)
            .unwrap();
        let round = evolution::Round {
            loss,
            kernel: MatrixRef::new(&h, n, n).unwrap(),
            labels: batch.labels(),
            outputs: &outputs,
        };
        let scale = evolution::Scale {
            loss,
            rows: n,
            outputs: C,
        };
        let follows = evolution::Config {
            tolerance: config.tolerance,
            ..evolution::Config::default()
        };
        let (mut seen, mut other) = (0, vec![0.0; 100_000]);
        let visit = |moment: evolution::Moment<'_, f64>| {
            let (mut pull, mut expected) = ([0.0; P], [0.0; P]);
            let residuals = moment.integral;
            model.jacobian_transpose_times_into(
                &problem.params,
                &batch,
                residuals,
                &mut pull,
                &mut other,
            )?;
            evolution::weights_into(scale, &problem.params, &pull, &mut expected)?;
            let apart = largest_difference(&found[moment.index], &expected);
            let moved = largest_difference(&problem.params, &expected);
            assert!(apart < 1e-9 * moved, "{loss:?} {}: {apart}", moment.index);
            seen += 1;
            Ok(())
        };
        evolution::follow(&follows, &round, &TIMES, visit, &mut work).unwrap();
        assert_eq!(seen, TIMES.len());
    }
}

#[test]
fn the_update_does_not_depend_on_who_has_which_row() {
    let problem = Problem::new(12, 2);
    let loss = Loss::CrossEntropy;
    let one = candidates(
        &config(1, &TIMES),
        &taken(&config(1, &TIMES), &problem, loss, &[(0, 12)]),
    );
    let three = config(3, &TIMES);
    let others = candidates(
        &three,
        &taken(&three, &problem, loss, &[(0, 2), (2, 9), (11, 1)]),
    );
    assert_eq!(one, others);
    assert!(largest_difference(&one[3], &problem.params) > 0.05);
    // The flow lowers the loss of the linear model, and at these times that of the network.
    let model = model(loss);
    let mut work = vec![0.0; model.scratch_len(12)];
    let mut at = |w: &[f64]| model.value(w, &problem.batch(), &mut work).unwrap();
    assert!(at(&one[1]) < at(&problem.params) - 0.05);
}

/// The rest of a round, judged by the clients; the index that was chosen, and the means of the losses.
fn judged(
    config: &Config<'_>,
    server: &mut Server<Vec<f64>, Vec<u32>>,
    clients: &mut [(Client<Vec<f64>>, Batch<'_, f64>)],
) -> Option<usize> {
    let model = model(Loss::CrossEntropy);
    let mut down = vec![0; config.frame_len::<f64>(P, 0)];
    let mut work = vec![0.0; model.scratch_len(64)];
    let mut sum = |w: &[f64], batch: &Batch<'_, f64>| {
        let value = model.value(w, batch, &mut work)?;
        Ok::<_, thalweg::Error>(value * batch.len() as f64)
    };
    for number in 1..=config.times.len() as u32 {
        let len = server::broadcast_candidate(config, server, number, &mut down, &mut scratch(1))
            .unwrap();
        let frame = decode::<f64>(&down[..len], P).unwrap();
        for (client, batch) in &mut *clients {
            client::try_candidate(config, client, &frame, &mut [0.0; P], |w| sum(w, batch))
                .unwrap();
        }
    }
    for (client, batch) in clients {
        let now = sum(client.params(), batch).unwrap();
        let len = client::losses_into(config, client, now, &mut down).unwrap();
        ntk::accept_losses(config, server, &decode::<f64>(&down[..len], P).unwrap()).unwrap();
    }
    ntk::choose(config, server, &mut scratch(1))
        .unwrap()
        .candidate
}

#[test]
fn the_candidate_of_least_real_loss_is_taken_and_every_bit_is_counted() {
    let problem = Problem::new(20, 3);
    let config = config(2, &TIMES);
    let mut server = problem.server(&config);
    let mut down = vec![0; config.frame_len::<f64>(P, 0)];
    let len = ntk::broadcast(&config, &mut server, &mut down).unwrap();
    let mut clients = Vec::new();
    for (id, start, rows) in [(0, 0, 7), (1, 7, 13)] {
        let batch = problem.batch().range(start, rows).unwrap();
        let (client, sent) = frames(&config, id, &down[..len], config.loss, &batch);
        for frame in sent {
            ntk::accept(&config, &mut server, &decode::<f64>(&frame, C * P).unwrap()).unwrap();
        }
        clients.push((client, batch));
    }
    ntk::evolve(&config, &mut server, &mut scratch(20)).unwrap();
    let models = candidates(&config, &server);
    let chosen = judged(&config, &mut server, &mut clients).unwrap();
    let network = model(config.loss);
    let mut work = vec![0.0; network.scratch_len(20)];
    let losses: Vec<f64> = models
        .iter()
        .map(|w| network.value(w, &problem.batch(), &mut work).unwrap())
        .collect();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[chosen], least);
    assert_eq!((server.params(), server.round()), (&models[chosen][..], 1));

    let (n, c, p) = ([7_u64, 13], C as u64, P as u64);
    let label = u64::from(index_bits(C as u32));
    let up = n.map(|n| 64 * n * c * p + 64 * n * c + n * label + 64 * 5);
    let ledger = server.ledger();
    assert_eq!(
        (ledger.uplink_total, ledger.uplink_max),
        (up[0] + up[1], up[1])
    );
    assert_eq!((ledger.downlink, ledger.rounds), (64 * p * 5, 1));
    assert_eq!(ledger.overhead_bytes, 52 * (9 + 15 + 2 + 5));
}

#[test]
fn the_model_is_kept_where_every_candidate_is_worse_or_not_a_number() {
    let problem = Problem::new(8, 4);
    let config = config(1, &TIMES);
    let mut server = taken(&config, &problem, config.loss, &[(0, 8)]);
    let mut calls = 0;
    let worse = |_: &[f64]| {
        calls += 1;
        Ok([0.5, 0.6, f64::NAN, 0.5, f64::INFINITY][calls - 1])
    };
    let chosen = ntk::choose_by(&config, &mut server, worse, &mut scratch(1)).unwrap();
    assert_eq!(
        (chosen.candidate, server.params()),
        (None, &problem.params[..])
    );
}

fn saved(state: &impl Snapshot) -> Vec<u8> {
    let mut bytes = vec![0; state.snapshot_len()];
    state.save(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_round_goes_on_from_any_frame_with_the_same_bits() {
    let problem = Problem::new(6, 5);
    let config = config(2, &TIMES);
    let mut server = problem.server(&config);
    let mut down = vec![0; config.frame_len::<f64>(P, 0)];
    let len = ntk::broadcast(&config, &mut server, &mut down).unwrap();
    let mut sent = Vec::new();
    for (id, start) in [(0, 0), (1, 3)] {
        let batch = problem.batch().range(start, 3).unwrap();
        let (client, frames) = frames(&config, id, &down[..len], config.loss, &batch);
        let mut other = Client::new(&config, 9, vec![7.0; client::len(P, 4)]).unwrap();
        other.restore(&saved(&client)).unwrap();
        assert_eq!(saved(&other), saved(&client));
        sent.extend(frames);
    }
    for cut in 0..=sent.len() {
        let (mut whole, mut other) = (server.clone(), problem.server(&config));
        for (i, frame) in sent.iter().enumerate() {
            if i == cut {
                other.restore(&saved(&whole)).unwrap();
                whole = other.clone();
            }
            ntk::accept(&config, &mut whole, &decode::<f64>(frame, C * P).unwrap()).unwrap();
        }
        ntk::evolve(&config, &mut whole, &mut scratch(6)).unwrap();
        let mut plain = server.clone();
        for frame in &sent {
            ntk::accept(&config, &mut plain, &decode::<f64>(frame, C * P).unwrap()).unwrap();
        }
        ntk::evolve(&config, &mut plain, &mut scratch(6)).unwrap();
        assert_eq!(
            candidates(&config, &whole),
            candidates(&config, &plain),
            "{cut}"
        );
    }
}

#[test]
fn frames_out_of_order_or_of_others_are_refused_and_change_nothing() {
    let problem = Problem::new(4, 6);
    let config = config(2, &TIMES);
    let mut server = problem.server(&config);
    let mut down = vec![0; config.frame_len::<f64>(P, 0)];
    let len = ntk::broadcast(&config, &mut server, &mut down).unwrap();
    let batch = problem.batch().range(0, 2).unwrap();
    let (_, first) = frames(&config, 0, &down[..len], config.loss, &batch);
    let (_, second) = frames(&config, 1, &down[..len], config.loss, &problem.batch());
    let quantised = Config {
        rows: Rows::Quantised { keep: 0.5, bits: 8 },
        ..config
    };
    let (_, small) = frames(&quantised, 0, &down[..len], config.loss, &batch);
    for (i, frame) in first.iter().enumerate() {
        let before = saved(&server);
        let others = first
            .iter()
            .enumerate()
            .filter(|&(j, _)| j != i)
            .map(|(_, frame)| frame);
        for wrong in others
            .chain(&second)
            .chain(&small[2..])
            .chain([&down[..len].to_vec()])
        {
            let frame = decode::<f64>(wrong, C * P).unwrap();
            assert!(ntk::accept(&config, &mut server, &frame).is_err());
            assert!(ntk::accept_losses(&config, &mut server, &frame).is_err());
        }
        let error = ntk::evolve(&config, &mut server, &mut scratch(4)).unwrap_err();
        assert_eq!(error, ProtocolError::Incomplete { missing: 0 });
        assert_eq!(saved(&server), before);
        ntk::accept(&config, &mut server, &decode::<f64>(frame, C * P).unwrap()).unwrap();
    }
    // Room for two samples more, and four are announced.
    let error = ntk::accept(
        &config,
        &mut server,
        &decode::<f64>(&second[0], C * P).unwrap(),
    );
    assert!(matches!(error, Err(ProtocolError::Argument(_))));
    // Without the second client the round goes on with what there is.
    ntk::skip(&config, &mut server).unwrap();
    assert_eq!(server.rows(), 2);
    ntk::evolve(&config, &mut server, &mut scratch(4)).unwrap();
}

#[test]
fn rows_in_many_levels_are_the_plain_ones_and_a_tenth_in_eight_bits_is_near() {
    let problem = Problem::new(12, 7);
    let plain = config(1, &TIMES);
    let exact = candidates(&plain, &taken(&plain, &problem, plain.loss, &[(0, 12)]));
    let fine = Config {
        rows: Rows::Quantised {
            keep: 1.0,
            bits: 24,
        },
        ..plain
    };
    let found = candidates(&fine, &taken(&fine, &problem, fine.loss, &[(0, 12)]));
    assert!(largest_difference(&exact[2], &found[2]) < 1e-5);
    let coarse = Config {
        rows: Rows::Quantised { keep: 0.2, bits: 8 },
        ..plain
    };
    let found = taken(&coarse, &problem, coarse.loss, &[(0, 12)]);
    let kept = found.jacobian().iter().filter(|&&x| x != 0.0).count();
    assert!(kept > 0 && kept <= 12 * (C * P).div_ceil(5));
    // A direction of descent still.
    let model = model(plain.loss);
    let mut work = vec![0.0; model.scratch_len(12)];
    let mut at = |w: &[f64]| model.value(w, &problem.batch(), &mut work).unwrap();
    assert!(at(&candidates(&coarse, &found)[1]) < at(&problem.params) - 0.02);
}

/// The rows of `clients` clients through a shuffler; the server that took them, and how many of the position's guesses of the owner are right.
fn shuffled(problem: &Problem, clients: u32, key: u64) -> (Server<Vec<f64>, Vec<u32>>, usize) {
    let (of_clients, of_server) = (config(clients, &TIMES), config(1, &TIMES));
    let n = problem.y.len();
    let each = n / clients as usize;
    let mut server = problem.server(&of_server);
    let mut down = vec![0; of_clients.frame_len::<f64>(P, n as u32)];
    let len = ntk::broadcast(&of_server, &mut server, &mut down).unwrap();
    let memory = vec![0; shuffler::len::<f64>(&of_clients, P, n as u32)];
    let mut shuffler = shuffler::Shuffler::new::<f64>(&of_clients, P, n as u32, memory).unwrap();
    let mut owners = Vec::new();
    for id in 0..clients {
        let batch = problem.batch().range(id as usize * each, each).unwrap();
        let (_, sent) = frames(&of_clients, id, &down[..len], of_clients.loss, &batch);
        for frame in sent {
            let frame = decode::<f64>(&frame, C * P).unwrap();
            assert!(
                shuffler::next_frame::<f64, _>(&of_clients, &mut shuffler, &mut down.clone())
                    .is_err()
            );
            shuffler::accept::<f64, _>(&of_clients, &mut shuffler, &frame).unwrap();
        }
        owners.extend(vec![id; each]);
    }
    shuffler::release(&of_clients, &mut shuffler, key).unwrap();
    // A state that was saved hands on the same frames.
    let mut other = shuffler.clone();
    other.restore(&saved(&shuffler)).unwrap();
    let mut out = vec![0; of_clients.frame_len::<f64>(P, n as u32)];
    while let Some(len) = shuffler::next_frame::<f64, _>(&of_clients, &mut other, &mut out).unwrap()
    {
        let frame = decode::<f64>(&out[..len], C * P).unwrap();
        assert_eq!(frame.header.client, 0);
        ntk::accept(&of_server, &mut server, &frame).unwrap();
    }
    let row = |i: usize| {
        let mut jacobian = vec![0.0; C * P];
        let model = model(of_server.loss);
        let mut work = vec![0.0; model.outputs_scratch_len(1)];
        model
            .jacobian_into(
                &problem.params,
                &problem.batch().range(i, 1).unwrap(),
                &mut jacobian,
                &mut work,
            )
            .unwrap();
        jacobian
    };
    let rows: Vec<Vec<f64>> = (0..n).map(row).collect();
    let right = server
        .jacobian()
        .chunks(C * P)
        .enumerate()
        .filter(|(at, found)| {
            let source = rows.iter().position(|row| row == found).unwrap();
            owners[source] as usize == at / each
        });
    let right = right.count();
    (server, right)
}

#[test]
fn a_shuffle_changes_the_model_by_rounding_and_hides_whose_a_row_is() {
    let problem = Problem::new(24, 8);
    let plain = config(1, &TIMES);
    let exact = candidates(&plain, &taken(&plain, &problem, plain.loss, &[(0, 24)]));
    let (mut right, rounds) = (0, 60);
    for key in 0..rounds {
        let (mut server, hits) = shuffled(
            &problem,
            4,
            random::stream(key, 0, 0, Purpose::custom(1)).next_u64(),
        );
        right += hits;
        if key == 0 {
            ntk::evolve(&plain, &mut server, &mut scratch(24)).unwrap();
            let found = candidates(&plain, &server);
            assert!(
                found
                    .iter()
                    .zip(&exact)
                    .all(|(a, b)| largest_difference(a, b) < 1e-3)
            );
        }
    }
    // A guess is right for one in four of 24 rows; over 60 rounds the deviation of the share is 0.0115.
    let share = right as f64 / (24 * rounds) as f64;
    assert!((share - 0.25).abs() < 4.0 * 0.0115, "{share}");
}

/// What a server finds of the input of a row: the slope of output `c` in the weights of an active unit `h` over `W2[c, h]`.
fn recovered(params: &[f64], row: &[f64], inputs: usize) -> Vec<f64> {
    let hidden = SIZES[1];
    let second = hidden * (inputs + 1);
    let dim = params.len();
    let (mut best, mut found) = (0.0, vec![0.0; inputs]);
    for c in 0..C {
        for h in 0..hidden {
            let slopes = &row[c * dim + h * inputs..][..inputs];
            let size: f64 = slopes.iter().map(|x| x * x).sum();
            if size > best {
                best = size;
                found = slopes
                    .iter()
                    .map(|x| x / params[second + c * hidden + h])
                    .collect();
            }
        }
    }
    found
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-300)
}

#[test]
fn the_server_reads_inputs_off_plain_rows() {
    let problem = Problem::new(6, 9);
    let config = config(1, &TIMES);
    let server = taken(&config, &problem, config.loss, &[(0, 6)]);
    for (x, row) in problem.x.chunks(6).zip(server.jacobian().chunks(C * P)) {
        // A row without an active unit has no slope; with five units that is one input in thirty-two.
        let found = recovered(&problem.params, row, 6);
        if found.iter().any(|&x| x != 0.0) {
            assert!(largest_difference(x, &found) < 1e-12);
        }
    }
}

/// The mean square of 4,000 normal numbers of variance `|x|^2 / 4000` has the standard error `sqrt(2 / 4000)` of it.
#[test]
fn a_projection_keeps_lengths() {
    let (x, outputs) = ([3.0, -4.0, 12.0], 4000);
    let (mut out, mut scratch) = (vec![0.0; outputs], vec![0.0; outputs]);
    for seed in 1..9 {
        projection::project_into(&[seed; 32], 3, &x, outputs, &mut out, &mut scratch).unwrap();
        let ratio = out.iter().map(|x| x * x).sum::<f64>() / 169.0;
        assert!(
            (ratio - 1.0).abs() < 5.0 * (2.0 / 4000.0_f64).sqrt(),
            "{ratio}"
        );
    }
}

#[test]
fn of_projected_inputs_the_server_finds_nothing_without_the_seed() {
    const INPUTS: usize = 64;
    const PROJECTED: usize = 32;
    const SIZES: [usize; 3] = [PROJECTED, 5, 3];
    let model = mlp::Model::<f64>::new(&SIZES);
    let mut rng = random::stream(10, 0, 0, Purpose::DATA);
    let rows = 50;
    let x: Vec<f64> = (0..rows * INPUTS)
        .map(|_| random::normal(&mut rng))
        .collect();
    let project = |seed: &[u8; 32]| {
        let mut out = vec![0.0; rows * PROJECTED];
        projection::project_into(seed, INPUTS, &x, PROJECTED, &mut out, &mut [0.0; PROJECTED])
            .unwrap();
        out
    };
    // The rows of P: projections of unit vectors.
    let matrix = |seed: &[u8; 32]| {
        let unit: Vec<f64> = (0..INPUTS * INPUTS)
            .map(|i| f64::from(u8::from(i % (INPUTS + 1) == 0)))
            .collect();
        let mut out = vec![0.0; INPUTS * PROJECTED];
        projection::project_into(
            seed,
            INPUTS,
            &unit,
            PROJECTED,
            &mut out,
            &mut [0.0; PROJECTED],
        )
        .unwrap();
        out
    };
    let (secret, guessed) = ([3; 32], [4; 32]);
    let projected = project(&secret);
    let mut params = vec![0.0; model.dim()];
    model
        .init_into(Init::KaimingNormal, &mut rng, &mut params)
        .unwrap();
    let batch = Batch::new(&projected, PROJECTED, thalweg::model::Labels::None).unwrap();
    let mut jacobian = vec![0.0; C * model.dim()];
    let mut work = vec![0.0; model.outputs_scratch_len(1)];
    let (mut known, mut unknown, mut judged) = (0.0, 0.0, 0.0);
    for i in 0..rows {
        model
            .jacobian_into(
                &params,
                &batch.range(i, 1).unwrap(),
                &mut jacobian,
                &mut work,
            )
            .unwrap();
        let found = recovered(&params, &jacobian, PROJECTED);
        if found.iter().all(|&x| x == 0.0) {
            continue;
        }
        // What it finds is the projection, exactly.
        assert!(largest_difference(&found, &projected[i * PROJECTED..][..PROJECTED]) < 1e-12);
        let back = |seed| -> Vec<f64> {
            let rows = matrix(seed);
            rows.chunks(PROJECTED)
                .map(|row| row.iter().zip(&found).map(|(a, b)| a * b).sum())
                .collect()
        };
        let x = &x[i * INPUTS..][..INPUTS];
        known += correlation(x, &back(&secret));
        unknown += correlation(x, &back(&guessed));
        judged += 1.0;
    }
    assert!(judged > 40.0);
    // P P^T x has the correlation sqrt(d' / (d + d')) = 0.58 with x; an unrelated vector 0 with deviation 1/8 each.
    assert!((known / judged - 0.58).abs() < 0.08, "{}", known / judged);
    assert!(
        (unknown / judged).abs() < 4.0 / (64.0 * judged).sqrt(),
        "{}",
        unknown / judged
    );
}

#[test]
fn a_client_is_given_the_seed_once_and_a_foreign_key_is_refused() {
    let config = config(2, &TIMES);
    let mut server = key_server::KeyServer::new([5; 32], vec![0; 2]).unwrap();
    let (mut up, mut down) = ([0; 60], [0; 90]);
    let mut seal = |server: &mut _, id| {
        let len = key_server::public_key_into(&config, id, &[1, 2], &mut up).unwrap();
        let frame = decode::<f32>(&up[..len], 2).unwrap();
        let copy = |_: &[u8], seed: &[u8; 32], out: &mut [u8]| {
            out.copy_from_slice(seed);
            Ok(32)
        };
        key_server::seal(&config, server, &frame, &mut [0; 32], copy, &mut down)
    };
    assert_eq!(seal(&mut server, 1), Ok(52 + 32));
    let mut other = key_server::KeyServer::new([9; 32], vec![0; 2]).unwrap();
    other.restore(&saved(&server)).unwrap();
    for server in [&mut server, &mut other] {
        assert!(seal(server, 1).is_err() && seal(server, 2).is_err());
        assert!(seal(server, 0).is_ok());
    }
    assert_eq!(format!("{other:?}"), "KeyServer { .. }");
}
