//! Saved states with hostile numbers, restored into every kind of state; steps follow.

use thalweg::aggregate::Mean;
use thalweg::bilevel::{descent, es_jacobian, ridge};
use thalweg::compress::{Buffers, Identity, Key, TopK, error_feedback};
use thalweg::dynamics::invariant_measure::{
    BatchMeans, Histogram, Monitor, Noise, Observable, Window, compare,
};
use thalweg::dynamics::label_noise::{self, Sparse};
use thalweg::dynamics::limit_flow::{self, Exact, exact_len};
use thalweg::federated::{Run, decode, fed_avg, machine, marina};
use thalweg::matrix::MatrixRef;
use thalweg::mixture::{component_selection, em, gaussian};
use thalweg::optim::{Elementwise, State, adagrad, adam, average, bf16, lion, rmsprop, sgd};
use thalweg::particle::{Particles, momentum, rule, stein, svgd};
use thalweg::random::{self, NoiseStream, Purpose};
use thalweg::snapshot::{FIELD_HEADER, HEADER, Snapshot};
use thalweg::wire::crc32c;

use super::bytes::Bytes;

const D: usize = 5;

/// A restore that is refused changes nothing, one that succeeds is saved as it was, and what follows ends without a panic.
pub fn check(bytes: &[u8]) {
    let bytes = &mut Bytes(bytes);
    let which = bytes.byte() % 22;
    match which {
        0..=6 => optimisers(bytes, which),
        7..=9 => averages(bytes, which),
        10..=14 => measures(bytes, which),
        15 | 16 => mixtures(bytes, which),
        17 => flows(bytes),
        18 => particles(bytes),
        19 => bilevel(bytes),
        20 => protocols(bytes),
        _ => residual(bytes),
    }
}

fn saved(state: &impl Snapshot) -> Vec<u8> {
    let mut image = vec![0; state.snapshot_len()];
    assert_eq!(state.save(&mut image), Ok(image.len()));
    image
}

/// Restores a state from its own bytes, some of whose numbers are others.
fn twist(bytes: &mut Bytes<'_>, state: &mut impl Snapshot) {
    let before = saved(state);
    let mut image = before.clone();
    let damaged = bytes.rarely(8) && !bytes.is_empty();
    let (mut at, end) = (HEADER, image.len() - 4);
    while at + FIELD_HEADER <= end {
        let head = image[at..].first_chunk().expect("a field has a header");
        let head = u64::from_le_bytes(*head);
        let (code, count) = ((head >> 56) as usize, head & ((1 << 56) - 1));
        let size = [0, 4, 8, 1, 2, 4, 8][code];
        at += FIELD_HEADER;
        for _ in 0..count {
            if bytes.byte() % 2 == 1 {
                let number = match code {
                    1 => u64::from((bytes.real() as f32).to_bits()),
                    2 => bytes.real().to_bits(),
                    _ => bytes.count(),
                };
                image[at..at + size].copy_from_slice(&number.to_le_bytes()[..size]);
            }
            at += size;
        }
    }
    if damaged {
        let at = usize::from(bytes.byte()) % image.len();
        image[at] ^= bytes.byte();
    }
    let crc = crc32c(&image[..end]).to_le_bytes();
    image[end..].copy_from_slice(&crc);
    let expected = if state.restore(&image).is_ok() {
        image
    } else {
        before
    };
    assert!(saved(state) == expected, "half restored");
}

fn gradient(bytes: &mut Bytes<'_>) -> [f32; D] {
    [0.0; D].map(|_: f32| bytes.real() as f32)
}

fn optimisers(bytes: &mut Bytes<'_>, which: u8) {
    let (mut x, g) = ([0.5_f32; D], gradient(bytes));
    let sgd = sgd::Config {
        momentum: 0.9,
        dampening: 0.1,
        ..sgd::Config::new(0.1)
    };
    let adam = adam::Config {
        amsgrad: bytes.rarely(2),
        ..Default::default()
    };
    let rmsprop = rmsprop::Config {
        centered: true,
        momentum: 0.9,
        ..Default::default()
    };
    let adagrad = adagrad::Config {
        lr_decay: 0.5,
        ..Default::default()
    };
    match which {
        0 => wide(bytes, &sgd, &mut x, &g),
        1 => wide(bytes, &adam, &mut x, &g),
        2 => wide(bytes, &rmsprop, &mut x, &g),
        3 => wide(bytes, &adagrad, &mut x, &g),
        4 => wide(bytes, &lion::Config::new(0.1), &mut x, &g),
        5 => narrow(bytes, &adam::Config::adam(), &mut x, &g),
        _ => narrow(bytes, &sgd, &mut x, &g),
    }
}

/// Two steps: the counts go on from where they were restored. What a step refuses, it refuses.
fn wide<C: Elementwise>(bytes: &mut Bytes<'_>, config: &C, x: &mut [f32], g: &[f32]) {
    let mut state = State::new(vec![0.0; config.memory_len(D)]);
    twist(bytes, &mut state);
    for _ in 0..2 {
        let _ = config.step(&mut state, x, g);
    }
}

fn narrow<C: Elementwise>(bytes: &mut Bytes<'_>, config: &C, x: &mut [f32], g: &[f32]) {
    let mut noise = NoiseStream::new(&mut random::stream(1, 2, 3, Purpose::NOISE));
    let mut state = State::new(vec![0; config.memory_len(D)]);
    twist(bytes, &mut state);
    for _ in 0..2 {
        let _ = bf16::step(config, &mut state, x, g, &mut noise);
    }
}

fn averages(bytes: &mut Bytes<'_>, which: u8) {
    let (mut x, g) = ([0.5_f32; D], gradient(bytes));
    match which {
        7 => {
            let mut state = average::Ema::<[f32; D]>::new();
            twist(bytes, &mut state);
            let config = average::EmaConfig::default();
            let _ = state.update(&config, &g);
            let _ = state.average_into(&config, &mut x);
        }
        8 => {
            let mut state = average::Swa::<[f32; D]>::new();
            twist(bytes, &mut state);
            let _ = state.update(&g);
        }
        _ => {
            let mut state = average::Lookahead::<[f32; D]>::new();
            twist(bytes, &mut state);
            let config = average::LookaheadConfig {
                period: bytes.count(),
                rate: bytes.real(),
            };
            for _ in 0..3 {
                let _ = state.step(&config, &mut x);
            }
        }
    }
}

/// Observations after a restore; more than a slot or a window takes.
const OBSERVATIONS: usize = 70;

fn measures(bytes: &mut Bytes<'_>, which: u8) {
    let (x, g) = ([0.5_f32; D], gradient(bytes));
    match which {
        10 => {
            let mut means = BatchMeans::new();
            twist(bytes, &mut means);
            (0..OBSERVATIONS).for_each(|_| means.push(1.0));
            let _ = means.summary();
        }
        11 => {
            let (mut one, mut two) = (Window::new(), Window::new());
            twist(bytes, &mut one);
            twist(bytes, &mut two);
            for _ in 0..OBSERVATIONS {
                one.push(bytes.real());
                two.push(1.0);
            }
            let _ = (
                one.mean(),
                one.variance(),
                one.summary(),
                one.correlation_time(),
            );
            let _ = compare(&one, &two, 3);
        }
        12 => {
            let bins = || Histogram::new(0.0, 1.0).expect("a range");
            let (mut one, mut two) = (bins(), bins());
            twist(bytes, &mut one);
            twist(bytes, &mut two);
            [0.5, -2.0, 2.0, bytes.real()]
                .into_iter()
                .for_each(|value| one.push(value));
            let _ = (one.total_variation(&two), one.merge(&two));
        }
        13 => {
            let mut monitor = Monitor::new(32).expect("a length");
            twist(bytes, &mut monitor);
            for _ in 0..OBSERVATIONS {
                let _ = monitor.observe(0.1, 1.0_f32, &x, &g);
            }
            let _ = (monitor.report(Observable::Loss), monitor.norm_ratio());
        }
        _ => {
            let (mut one, mut two) = (Noise::<[f64; D]>::new(), Noise::<[f64; D]>::new());
            twist(bytes, &mut one);
            twist(bytes, &mut two);
            let _ = (one.push(&g), one.merge(&two), one.estimate());
        }
    }
}

fn mixtures(bytes: &mut Bytes<'_>, which: u8) {
    use gaussian::{Covariance, Mixture, params_len};
    let data = [1.0_f32, 2.0, 3.0, 4.0, 0.5, -1.0];
    let rows = MatrixRef::new(&data, 3, 2).expect("a shape");
    let mut scratch = [0.0_f64; 200];
    if which == 15 {
        const LEN: usize = params_len(Covariance::Full, 2, 2);
        let mut mixture = Mixture::new(Covariance::Full, 2, 2, [0.0_f32; LEN]).expect("a shape");
        twist(bytes, &mut mixture);
        let _ = em::step(&em::Config::default(), &mut mixture, rows, &mut scratch);
        let _ = mixture
            .view()
            .responsibilities_into(&[1.0, 2.0], &mut [0.0; 2]);
        return;
    }
    use component_selection::{Config, Current, Proposal, State, statistics_len};
    const LEN: usize = params_len(Covariance::Diagonal, 2, 2);
    let mut mixture = Mixture::new(Covariance::Diagonal, 2, 2, [0.0_f32; LEN]).expect("a shape");
    let memory = component_selection::Buffers {
        labels: [0_u32; 3],
        statistics: [0.0_f64; statistics_len(Covariance::Diagonal, 2, 2)],
        cache: [0.0_f64; 3],
        table: [0.0_f32; 6],
    };
    let state = State::new(&mixture.view(), rows, 5, memory, &mut scratch);
    let mut state = state.expect("lengths");
    twist(bytes, &mut state);
    let config = Config {
        batch_size: 2,
        proposal: if bytes.rarely(2) {
            Proposal::Uniform
        } else {
            Proposal::Table {
                rate: 0.1,
                floor: 0.1,
            }
        },
        current: if bytes.rarely(2) {
            Current::Fresh
        } else {
            Current::Cached
        },
        ..Config::new(5)
    };
    let mut words = vec![0; config.words_len(2)];
    for _ in 0..2 {
        let _ = component_selection::step(
            &config,
            &mut mixture,
            &mut state,
            rows,
            &mut words,
            &mut scratch,
        );
    }
}

fn flows(bytes: &mut Bytes<'_>) {
    let z = [1.0_f32, 0.5];
    let problem = Sparse::new(MatrixRef::new(&z, 1, 2).expect("a shape"), &[1.0]);
    let problem = problem.expect("lengths");
    let mut scratch = [0.0_f32; 30];
    let exact = Exact::new(
        &problem,
        &[1.0; 4],
        [0.0_f32; exact_len(1, 2)],
        &mut scratch,
    );
    let mut exact = exact.expect("a start");
    twist(bytes, &mut exact);
    let config = limit_flow::Config {
        iterations: 5,
        ..Default::default()
    };
    let _ = exact.advance(&config, &problem, 0.01, &mut scratch);
    let mut state = label_noise::State::<[f32; 4]>::new();
    twist(bytes, &mut state);
    let config = label_noise::Config::new(0.1);
    let mut rng = random::stream(1, 2, 3, Purpose::NOISE);
    let _ = label_noise::step(&config, &problem, &mut state, &mut rng);
}

fn particles(bytes: &mut Bytes<'_>) {
    let (mut x, scores) = ([0.1_f32, 0.5, 0.2, 0.9, -1.0, 0.3], [0.5_f32; 6]);
    let mut scratch = vec![0.0_f32; 400];
    let config = stein::sghmc::Config::new(0.1);
    let mut velocity = momentum::State::<[f32; 6]>::new();
    twist(bytes, &mut velocity);
    let _ = stein::sghmc::step(
        &config,
        &mut velocity,
        Particles::new(2, &mut x),
        &scores,
        &mut scratch,
    );
    let mut thermostats = momentum::Thermostats::from_storage([0.0_f32; 6], [0.0_f32; 3]);
    twist(bytes, &mut thermostats);
    let _ = stein::sgnht::step(
        &config,
        &mut thermostats,
        Particles::new(2, &mut x),
        &scores,
        &mut scratch,
    );
    let mut state = rule::State::<[f32; 12]>::new();
    twist(bytes, &mut state);
    let config = svgd::Config {
        rule: rule::Rule::ADAM,
        ..svgd::Config::new(0.1)
    };
    for _ in 0..2 {
        let _ = svgd::step(
            &config,
            &mut state,
            Particles::new(2, &mut x),
            &scores,
            &mut scratch,
        );
    }
}

fn bilevel(bytes: &mut Bytes<'_>) {
    let (a, targets) = ([1.0_f32, 0.5, 0.25, 2.0], [1.0_f32, 0.5]);
    let data = ridge::Data::new(MatrixRef::new(&a, 2, 2).expect("a shape"), &targets);
    let data = data.expect("lengths");
    let problem = ridge::Problem::new(data, data).expect("lengths");
    let mut state = es_jacobian::State::<[f32; 2]>::new();
    twist(bytes, &mut state);
    let inner = descent::Config {
        steps: 2,
        method: descent::Method::gd(0.05),
    };
    let config = es_jacobian::Config {
        directions: 2,
        ..es_jacobian::Config::new(inner)
    };
    let mut scratch = vec![0.0_f32; 300];
    let outer = [0.1, 0.2];
    let _ = es_jacobian::step(
        &config,
        &mut state,
        &problem,
        &outer,
        &mut [0.0; 2],
        &mut scratch,
    );
}

fn protocols(bytes: &mut Bytes<'_>) {
    let run = Run {
        seed: 1,
        clients: 2,
    };
    let marina = marina::Config {
        run,
        step_size: 0.5_f32,
        probability: 0.5,
        compressor: Identity,
    };
    let mut client = machine::Client::new(&marina, 0, [0.0_f32; 2 * D]).expect("lengths");
    twist(bytes, &mut client);
    let mut server = machine::Server::new(&marina, &[0.5; D], [0.0_f32; 3 * D]).expect("lengths");
    twist(bytes, &mut server);
    let mut frame = [0; 200];
    if let Ok(len) = machine::broadcast(&marina, &mut server, &mut frame) {
        let frame = decode::<f32>(&frame[..len], D).expect("our own");
        let _ = machine::receive(&marina, &mut client, &frame);
    }
    let mut memory = [0.0; D];
    let reply = machine::reply(
        &marina,
        &mut client,
        &mut [1.0; D],
        Buffers::default(),
        &mut frame,
    );
    if let Ok(len) = reply {
        let buffers = Buffers::values(&mut memory);
        let frame = decode::<f32>(&frame[..len], D).expect("our own");
        let _ = machine::accept(&marina, &mut server, 1, &frame, buffers);
    }
    for _ in 0..2 {
        let _ = machine::skip(&marina, &mut server);
        let _ = machine::finish(&marina, &mut server);
    }
    let averaging = fed_avg::Config {
        run,
        server_learning_rate: 1.0_f32,
        compressor: Identity,
        aggregator: Mean,
    };
    let mut server =
        machine::Server::new(&averaging, &[0.5; D], [0.0_f32; 2 * D]).expect("lengths");
    twist(bytes, &mut server);
    for _ in 0..2 {
        let _ = machine::skip(&averaging, &mut server);
        let _ = machine::finish(&averaging, &mut server);
    }
}

fn residual(bytes: &mut Bytes<'_>) {
    let grad = gradient(bytes);
    let mut state = error_feedback::State::<[f32; D]>::new();
    twist(bytes, &mut state);
    let config = error_feedback::Config {
        learning_rate: 0.5_f32,
    };
    let (mut scratch, mut values, mut indices) = ([0.0; D], [0.0; 2], [0; 2]);
    let buffers = Buffers {
        indices: &mut indices,
        ..Buffers::values(&mut values)
    };
    let top = TopK { k: 2 };
    let key = Key::default();
    let was_finite = state.residual().iter().all(|e| e.is_finite());
    let _ = error_feedback::step(&config, &top, key, &mut state, &grad, &mut scratch, buffers);
    assert!(!was_finite || state.residual().iter().all(|e| e.is_finite()));
}
