//! Every state over borrowed slices: the bits of arrays, neighbours untouched, and an error for each wrong length.
//!
//! The same-bits suite links states over arrays, whose lengths the optimiser knows; here they are values of the run.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::error::Error;

use thalweg::aggregate::Mean;
use thalweg::bilevel::{descent, es_jacobian, ridge};
use thalweg::compress::{
    Buffers, Compressor, Key, Message, Natural, RandK, TopK, error_feedback, perm_k, rand_k,
};
use thalweg::dynamics::{invariant_measure, label_noise, limit_flow};
use thalweg::federated::hessian_variance::HessianVariance;
use thalweg::federated::machine::{self, Client, Server};
use thalweg::federated::{Protocol, Run, decode, ef21, fed_avg, marina};
use thalweg::matrix::MatrixRef;
use thalweg::mixture::component_selection::{self, statistics_len};
use thalweg::mixture::em;
use thalweg::mixture::gaussian::{Covariance, Mixture, params_len};
use thalweg::optim::{Optimiser, State, adam, average, bf16, rmsprop, sgd};
use thalweg::particle::momentum::{State as Momentum, Thermostats};
use thalweg::particle::rule::Rule;
use thalweg::particle::{Particles, sghmc, sgnht, stein, svgd};
use thalweg::random::{NoiseStream, Purpose, stream, uniform};
use thalweg::snapshot::Snapshot;
use thalweg::wire::{Body, Deframer, Dtype, Header, Kind, encode_into};
use thalweg::{Real, Storage};

/// Parameters: a register and a rest, and an even number.
const D: usize = 38;
/// What stands on either side of every borrowed buffer.
const GUARD: usize = 5;

/// Everything that a run leaves behind, as bits.
type Outcome = Result<Vec<u64>, Box<dyn Error>>;

fn painted(phase: u64) -> [f32; D] {
    let mut rng = stream(phase, 0, 0, Purpose::DATA);
    std::array::from_fn(|_| 2.0 * uniform::<f32>(&mut rng) - 1.0)
}

fn bits<T: Real>(x: &[T]) -> Vec<u64> {
    x.iter().map(|x| x.to_bits_u64()).collect()
}

fn saved(state: &impl Snapshot) -> Outcome {
    let mut bytes = vec![0; state.snapshot_len()];
    let len = state.save(&mut bytes)?;
    Ok(bytes[..len].iter().map(|b| u64::from(*b)).collect())
}

/// A number that is painted into memory before a state gets it.
trait Paint: Copy + PartialEq + std::fmt::Debug {
    fn paint(i: usize) -> Self;
}
impl Paint for f32 {
    fn paint(i: usize) -> Self {
        (i % 13) as f32 / 8.0 - 0.75
    }
}
impl Paint for f64 {
    fn paint(i: usize) -> Self {
        (i % 13) as f64 / 8.0 - 0.75
    }
}
impl Paint for u8 {
    fn paint(i: usize) -> Self {
        i as u8
    }
}
impl Paint for u16 {
    fn paint(i: usize) -> Self {
        i as u16
    }
}
impl Paint for u32 {
    fn paint(i: usize) -> Self {
        i as u32
    }
}

fn array<T: Paint, const N: usize>() -> [T; N] {
    std::array::from_fn(T::paint)
}

/// Runs with buffers of these lengths, cut out of one allocation with guards between them, and checks the guards.
fn borrowed<T: Paint, const K: usize>(
    lengths: [usize; K],
    run: impl FnOnce([&mut [T]; K]) -> Outcome,
) -> Outcome {
    let total: usize = lengths.iter().map(|len| len + GUARD).sum();
    let guard = T::paint(7);
    let mut memory = vec![guard; total + GUARD];
    let outcome = {
        let mut rest = &mut memory[..];
        let pieces = lengths.map(|len| {
            let (_, tail) = std::mem::take(&mut rest).split_at_mut(GUARD);
            let (piece, tail) = tail.split_at_mut(len);
            rest = tail;
            for (i, x) in piece.iter_mut().enumerate() {
                *x = T::paint(i);
            }
            piece
        });
        run(pieces)
    };
    let mut at = 0;
    for len in lengths.into_iter().chain([0]) {
        assert!(
            memory[at..at + GUARD].iter().all(|x| *x == guard),
            "a neighbour has changed"
        );
        at += GUARD + len;
    }
    outcome
}

/// Slices give the bits of arrays, and are refused when one of them has another length.
macro_rules! alike {
    ($run:ident, $t:ty, $n:expr, $k:literal) => {{
        let name = stringify!($run);
        let expected = $run([array::<$t, { $n }>(); $k]).unwrap();
        assert!(expected.iter().any(|bits| *bits != 0), "{name}");
        let found = borrowed::<$t, $k>([$n; $k], |buffers| $run(buffers)).unwrap();
        assert_eq!(found, expected, "{name}");
        for which in 0..$k {
            for len in [0, 1, $n - 1, $n + 1, 2 * $n] {
                let mut lengths = [$n; $k];
                lengths[which] = len;
                let found = borrowed::<$t, $k>(lengths, |buffers| $run(buffers));
                assert!(found.is_err(), "{name}: {len} elements in buffer {which}");
            }
        }
    }};
}

/// Seventeen steps on the same gradients; an error leaves the parameters alone.
fn steps<S: Snapshot>(
    mut state: S,
    step: impl Fn(&mut S, &mut [f32], &[f32]) -> Result<(), thalweg::Error>,
) -> Outcome {
    let mut x = painted(1);
    for t in 0..17 {
        if let Err(error) = step(&mut state, &mut x, &painted(10 + t)) {
            assert_eq!((t, x), (0, painted(1)), "{error}");
            return Err(error.into());
        }
    }
    assert_ne!(x, painted(1));
    Ok([bits(&x), saved(&state)?].concat())
}

fn descend<C: Optimiser, B: Storage<Elem = f32>>(config: C, memory: B) -> Outcome {
    steps(State::new_in(memory), |s, x, g| config.step(s, x, g))
}

fn heavy_ball<B: Storage<Elem = f32>>([memory]: [B; 1]) -> Outcome {
    let config = sgd::Config {
        momentum: 0.9,
        nesterov: true,
        ..sgd::Config::new(0.1)
    };
    descend(config, memory)
}

fn adamw<B: Storage<Elem = f32>>([memory]: [B; 1]) -> Outcome {
    descend(adam::Config::adamw(), memory)
}

fn centred_rmsprop<B: Storage<Elem = f32>>([memory]: [B; 1]) -> Outcome {
    let config = rmsprop::Config {
        momentum: 0.9,
        centered: true,
        ..rmsprop::Config::default()
    };
    descend(config, memory)
}

fn narrow_adam<B: Storage<Elem = u16>>([memory]: [B; 1]) -> Outcome {
    let config = adam::Config::adamw();
    let lanes = std::cell::RefCell::new(NoiseStream::new(&mut stream(3, 0, 0, Purpose::ROUNDING)));
    steps(State::new_in(memory), |s, x, g| {
        bf16::step(&config, s, x, g, &mut lanes.borrow_mut())
    })
}

#[test]
fn optimisers() {
    alike!(heavy_ball, f32, D, 1);
    alike!(adamw, f32, 2 * D, 1);
    alike!(centred_rmsprop, f32, 3 * D, 1);
    alike!(narrow_adam, u16, 2 * D, 1);
}

/// Two states over the halves of one buffer are two states.
#[test]
fn halves_of_one_buffer_do_not_meet() {
    let config = adam::Config::adamw();
    let (mut memory, mut x) = ([9.0_f32; 4 * D], [painted(1), painted(2)]);
    let (first, second) = memory.split_at_mut(2 * D);
    let (mut a, mut b) = (State::new_in(first), State::new_in(second));
    let (mut c, mut d) = (State::new([0.0_f32; 2 * D]), State::new([0.0_f32; 2 * D]));
    let mut y = x;
    for t in 0..20 {
        config.step(&mut a, &mut x[0], &painted(10 + t)).unwrap();
        config
            .step(&mut b, &mut x[1], &painted(50 + 3 * t))
            .unwrap();
    }
    for t in 0..20 {
        config.step(&mut c, &mut y[0], &painted(10 + t)).unwrap();
    }
    for t in 0..20 {
        config
            .step(&mut d, &mut y[1], &painted(50 + 3 * t))
            .unwrap();
    }
    assert_eq!(x.map(|x| bits(&x)), y.map(|y| bits(&y)));
    assert_eq!(
        (saved(&a).unwrap(), saved(&b).unwrap()),
        (saved(&c).unwrap(), saved(&d).unwrap())
    );
}

/// Bytes of a state over arrays go on in slices, and not in slices of another length.
#[test]
fn saved_states_move_between_storages() {
    let config = adam::Config::adamw();
    let (mut x, mut from) = (painted(1), State::new([0.0_f32; 2 * D]));
    config.step(&mut from, &mut x, &painted(2)).unwrap();
    let mut bytes = vec![0; from.snapshot_len()];
    let len = from.save(&mut bytes).unwrap();
    for n in [0, 1, D - 1, D, D + 1] {
        let mut memory = vec![7.0_f32; n + D];
        let mut to = State::new_in(&mut memory[..]);
        let before = saved(&to).unwrap();
        let restored = to.restore(&bytes[..len]);
        assert_eq!(restored.is_ok(), n == D, "{n}");
        if n != D {
            assert_eq!(saved(&to).unwrap(), before);
            continue;
        }
        let mut y = x;
        config.step(&mut to, &mut y, &painted(3)).unwrap();
        config.step(&mut from, &mut x, &painted(3)).unwrap();
        assert_eq!(
            (bits(&x), saved(&from).unwrap()),
            (bits(&y), saved(&to).unwrap())
        );
    }
}

fn moving_average<B: Storage<Elem = f32>>([b]: [B; 1]) -> Outcome {
    let config = average::EmaConfig {
        debias: true,
        ..average::EmaConfig::default()
    };
    let (mut ema, mut out) = (average::Ema::from_storage(b), [0.0; D]);
    for t in 0..5 {
        ema.update(&config, &painted(t))?;
    }
    ema.average_into(&config, &mut out)?;
    Ok([bits(&out), saved(&ema)?].concat())
}

fn stochastic_average<B: Storage<Elem = f32>>([b]: [B; 1]) -> Outcome {
    let mut swa = average::Swa::from_storage(b);
    for t in 0..5 {
        swa.update(&painted(t))?;
    }
    Ok([bits(swa.average()), saved(&swa)?].concat())
}

fn lookahead<B: Storage<Elem = f32>>([b]: [B; 1]) -> Outcome {
    let config = average::LookaheadConfig {
        period: 2,
        rate: 0.5,
    };
    let (mut slow, mut x) = (average::Lookahead::from_storage(b), painted(1));
    slow.start(&x)?;
    for t in 0..5 {
        thalweg::vector::axpy(-0.1, &painted(t), &mut x)?;
        slow.step(&config, &mut x)?;
    }
    Ok([bits(&x), bits(slow.slow()), saved(&slow)?].concat())
}

#[test]
fn averages() {
    alike!(moving_average, f32, D, 1);
    alike!(stochastic_average, f32, D, 1);
    alike!(lookahead, f32, D, 1);
}

fn feedback<B: Storage<Elem = f32>>([residual]: [B; 1]) -> Outcome {
    let config = error_feedback::Config {
        learning_rate: 0.1_f32,
    };
    let mut state = error_feedback::State::from_buffer(residual);
    let (mut values, mut indices, mut scratch) = ([0.0; D], [0; D], [0.0; D]);
    let mut out = Vec::new();
    for t in 0..4 {
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        let (top, key) = (TopK { k: 9 }, Key::default());
        let g = painted(t);
        let message =
            error_feedback::step(&config, &top, key, &mut state, &g, &mut scratch, buffers)?;
        if let Message::Sparse { indices, values } = message {
            out.extend(indices.iter().map(|i| u64::from(*i)));
            out.extend(bits(values));
        }
    }
    Ok([out, bits(state.residual()), saved(&state)?].concat())
}

fn pool<B: Storage<Elem = u32>>([pool]: [B; 1]) -> Outcome {
    let key = Key {
        seed: 5,
        round: 6,
        client: 1,
    };
    let mut pool = rand_k::Pool::new(pool, 9)?;
    pool.draw(key)?;
    let (x, mut values) = (painted(1), [0.0; D]);
    let sent: Message<'_, f32> = pool.compress(key, &x, Buffers::values(&mut values))?;
    let Message::RandK(values) = sent else {
        return Err("another kind".into());
    };
    let support = pool.support(key)?.iter().map(|i| u64::from(*i));
    Ok(support.chain(bits(values)).collect())
}

fn table<B: Storage<Elem = u32>>([coordinates, clients]: [B; 2]) -> Outcome {
    let key = Key {
        seed: 5,
        round: 6,
        client: 1,
    };
    let mut table = perm_k::Table::new(coordinates, clients)?;
    table.draw(key.seed, key.round)?;
    let (x, mut values) = (painted(1), [0.0; D]);
    let sent: Message<'_, f32> = table.compress(key, &x, Buffers::values(&mut values))?;
    let Message::PermK(values) = sent else {
        return Err("another kind".into());
    };
    let all = table.coordinates().iter().map(|i| u64::from(*i));
    Ok(all.chain(bits(values)).collect())
}

#[test]
fn memories_of_compressors() {
    alike!(feedback, f32, D, 1);
    alike!(pool, u32, D, 1);
    // Both lengths of a table are its own: d, and the number of clients.
    let expected = table([array::<u32, D>(); 2]).unwrap();
    assert_eq!(
        borrowed([D; 2], |b| table::<&mut [u32]>(b)).unwrap(),
        expected
    );
    for d in [0, 1, D - 1, D + 1] {
        assert!(borrowed([d, D], |b| table::<&mut [u32]>(b)).is_err(), "{d}");
    }
    for clients in [0, 1, 2, 5, D, D + 1, 3 * D] {
        let found = borrowed([D, clients], |b| table::<&mut [u32]>(b));
        // Client 1 needs a run of two.
        assert_eq!(found.is_ok(), clients > 1, "{clients}");
    }
}

const RUN: Run = Run {
    seed: 7,
    clients: 1,
};

/// Four rounds of one client.
fn rounds(
    config: &impl Protocol<f32>,
    server: impl Storage<Elem = f32>,
    client: impl Storage<Elem = f32>,
) -> Outcome {
    let mut server = Server::new(config, &painted(9), server)?;
    let mut client = Client::new(config, 0, client)?;
    let (mut frame, mut values, mut indices) = ([0; 8 * D + 64], [0.0; D], [0; D]);
    for t in 0..4 {
        let len = machine::broadcast(config, &mut server, &mut frame)?;
        machine::receive(config, &mut client, &decode::<f32>(&frame[..len], D)?)?;
        let mut local = painted(t);
        thalweg::vector::axpy(0.5, client.params(), &mut local)?;
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        let len = machine::reply(config, &mut client, &mut local, buffers, &mut frame)?;
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        let reply = decode::<f32>(&frame[..len], D)?;
        machine::accept(config, &mut server, 10, &reply, buffers)?;
        machine::finish(config, &mut server)?;
    }
    Ok([bits(server.params()), saved(&server)?, saved(&client)?].concat())
}

const MARINA: marina::Config<f32, RandK> = marina::Config {
    run: RUN,
    step_size: 0.1,
    probability: 0.2,
    compressor: RandK::new(9),
};

const EF21: ef21::Config<f32, TopK> = ef21::Config {
    run: RUN,
    step_size: 0.1,
    restart: 0.0,
    compressor: TopK { k: 9 },
};

const FED_AVG: fed_avg::Config<f32, Natural> = fed_avg::Config {
    run: RUN,
    server_learning_rate: 1.0,
    compressor: Natural,
    aggregator: Mean,
};

fn marina_server<B: Storage<Elem = f32>>([server]: [B; 1]) -> Outcome {
    rounds(&MARINA, server, vec![0.0; 2 * D])
}

fn marina_client<B: Storage<Elem = f32>>([client]: [B; 1]) -> Outcome {
    rounds(&MARINA, vec![0.0; 3 * D], client)
}

fn ef21_client<B: Storage<Elem = f32>>([client]: [B; 1]) -> Outcome {
    rounds(&EF21, vec![0.0; 3 * D], client)
}

fn fed_avg_server<B: Storage<Elem = f32>>([server]: [B; 1]) -> Outcome {
    rounds(&FED_AVG, server, vec![0.0; D])
}

fn fed_avg_client<B: Storage<Elem = f32>>([client]: [B; 1]) -> Outcome {
    rounds(&FED_AVG, vec![0.0; 2 * D], client)
}

fn variance<B: Storage<Elem = f32>>([sum]: [B; 1]) -> Outcome {
    let mut variance = HessianVariance::new(sum);
    for t in 0..3 {
        variance.push(&painted(t))?;
    }
    Ok(bits(&[variance.finish(0.5)?, variance.largest()]))
}

#[test]
fn protocols() {
    alike!(marina_server, f32, 3 * D, 1);
    alike!(marina_client, f32, 2 * D, 1);
    alike!(ef21_client, f32, 2 * D, 1);
    alike!(fed_avg_server, f32, 2 * D, 1);
    alike!(fed_avg_client, f32, D, 1);
    alike!(variance, f32, D, 1);
}

fn stein_adagrad<B: Storage<Elem = f32>>([b]: [B; 1]) -> Outcome {
    let config = svgd::Config {
        rule: Rule::ADAGRAD,
        ..svgd::Config::new(0.1)
    };
    let (mut state, mut scratch) = (svgd::State::from_storage(b), [0.0; 4000]);
    let mut x = painted(1);
    for t in 0..3 {
        let moved = svgd::step(
            &config,
            &mut state,
            Particles::new(2, &mut x),
            &painted(10 + t),
            &mut scratch,
        );
        if let Err(error) = moved {
            assert_eq!(x, painted(1));
            return Err(error.into());
        }
    }
    Ok([bits(&x), bits(state.buffer()), saved(&state)?].concat())
}

fn momenta<B: Storage<Elem = f32>>([momentum]: [B; 1]) -> Outcome {
    let config = sghmc::Config {
        step_size: 0.1,
        friction: 0.5,
    };
    let mut lanes = NoiseStream::new(&mut stream(3, 0, 0, Purpose::NOISE));
    let (mut state, mut x, mut scratch) =
        (Momentum::from_storage(momentum), painted(1), [0.0; 4000]);
    let by_stein = stein::sghmc::Config::new(0.1);
    for t in 0..3 {
        let g = painted(10 + t);
        sghmc::step(
            &config,
            &mut state,
            Particles::new(2, &mut x),
            &g,
            &mut lanes,
            &mut scratch,
        )?;
        stein::sghmc::step(
            &by_stein,
            &mut state,
            Particles::new(2, &mut x),
            &g,
            &mut scratch,
        )?;
    }
    Ok([bits(&x), bits(state.momentum()), saved(&state)?].concat())
}

/// As many thermostats as momenta, in one dimension.
fn thermostats<B: Storage<Elem = f32>>([momentum, thermostat]: [B; 2]) -> Outcome {
    let config = sghmc::Config {
        step_size: 0.1,
        friction: 0.5,
    };
    let mut lanes = NoiseStream::new(&mut stream(3, 0, 0, Purpose::NOISE));
    let mut state = Thermostats::from_storage(momentum, thermostat);
    let (mut x, mut scratch) = (painted(1), [0.0; 4000]);
    for t in 0..3 {
        let g = painted(10 + t);
        sgnht::step(
            &config,
            &mut state,
            Particles::new(1, &mut x),
            &g,
            &mut lanes,
            &mut scratch,
        )?;
    }
    Ok([bits(&x), bits(state.momentum()), bits(state.thermostat())].concat())
}

#[test]
fn samplers() {
    alike!(stein_adagrad, f32, D, 1);
    alike!(momenta, f32, D, 1);
    alike!(thermostats, f32, D, 2);
}

fn hypergradients<B: Storage<Elem = f32>>([y0]: [B; 1]) -> Outcome {
    let (a, b) = (painted(1), painted(2));
    let data = ridge::Data::new(MatrixRef::new(&a, 1, D)?, &b[..1])?;
    let problem = ridge::Problem::new(data, data)?;
    let inner = descent::Config {
        steps: 3,
        method: descent::Method::gd(0.05),
    };
    let config = es_jacobian::Config {
        start: es_jacobian::Start::Warm,
        ..es_jacobian::Config::new(inner)
    };
    let mut state = es_jacobian::State::from_storage(y0);
    let (mut h, mut scratch) = ([0.0; D], [0.0; 1000]);
    let mut out = Vec::new();
    for _ in 0..2 {
        es_jacobian::step(
            &config,
            &mut state,
            &problem,
            &painted(3),
            &mut h,
            &mut scratch,
        )?;
        out.extend(bits(&h));
    }
    Ok([out, bits(state.y0()), saved(&state)?].concat())
}

/// Two samples in half as many dimensions as there are parameters.
const SIGNAL: usize = D / 2;

fn walk<B: Storage<Elem = f32>>([params]: [B; 1]) -> Outcome {
    let z = painted(1);
    let problem = label_noise::Sparse::new(MatrixRef::new(&z, 2, SIGNAL)?, &[0.5, -0.25])?;
    let mut state = label_noise::State::from_params(params);
    let mut rng = stream(1, 2, 3, Purpose::NOISE);
    label_noise::run(
        &label_noise::Config::new(1e-3),
        &problem,
        &mut state,
        40,
        &mut rng,
    )?;
    Ok([bits(state.params()), saved(&state)?].concat())
}

const EXACT: usize = limit_flow::exact_len(2, SIGNAL);

fn limit<B: Storage<Elem = f32>>([buffer]: [B; 1]) -> Outcome {
    let z = painted(1);
    let problem = label_noise::Sparse::new(MatrixRef::new(&z, 2, SIGNAL)?, &[0.5, -0.25])?;
    let mut scratch = [0.0; limit_flow::exact_scratch_len(2, SIGNAL)];
    let start = [1.0; D];
    let mut limit = limit_flow::Exact::new(&problem, &start, buffer, &mut scratch)?;
    limit.advance(
        &limit_flow::Config::default(),
        &problem,
        0.0625,
        &mut scratch,
    )?;
    Ok([bits(limit.params()), saved(&limit)?].concat())
}

fn noise<B: Storage<Elem = f64>>([sum]: [B; 1]) -> Outcome {
    let mut noise = invariant_measure::Noise::from_storage(sum);
    for t in 0..5 {
        noise.push(&painted(t))?;
    }
    assert!(noise.estimate().is_some());
    saved(&noise)
}

#[test]
fn dynamics_and_hypergradients() {
    alike!(hypergradients, f32, D, 1);
    alike!(walk, f32, D, 1);
    alike!(limit, f32, EXACT, 1);
    alike!(noise, f64, D, 1);
}

const K: usize = 3;
const ROWS: usize = D / 2;
const PARAMS: usize = params_len(Covariance::Full, K, 2);
const STATISTICS: usize = statistics_len(Covariance::Full, K, 2);

fn start<B: Storage<Elem = f32>>(params: B) -> Result<Mixture<B>, thalweg::Error> {
    let mut mixture = Mixture::new(Covariance::Full, K, 2, params)?;
    mixture.set_weights(&[0.5, 0.25, 0.25])?;
    for j in 0..K {
        let x = j as f32;
        let sigma = [2.0 + x, 0.0, 0.25 * x, 1.5];
        mixture.set_component(j, &[x - 1.0, 0.5 - x], &sigma, &mut [0.0; 8])?;
    }
    Ok(mixture)
}

fn expectations<B: Storage<Elem = f32>>([params]: [B; 1]) -> Outcome {
    let (x, mut mixture) = (painted(1), start(params)?);
    let rows = MatrixRef::new(&x, ROWS, 2)?;
    let mut scratch = vec![0.0; em::scratch_len(Covariance::Full, ROWS, K, 2)];
    for _ in 0..2 {
        em::step(&em::Config::default(), &mut mixture, rows, &mut scratch)?;
    }
    Ok([bits(mixture.params()), saved(&mixture)?].concat())
}

/// Chains over labels: the labels, the statistics, the cache and the table have each a length.
fn labels<L, S, C, Q>(buffers: component_selection::Buffers<L, S, C, Q>) -> Outcome
where
    L: Storage<Elem = u32>,
    S: Storage<Elem = f64>,
    C: Storage<Elem = f64>,
    Q: Storage<Elem = f32>,
{
    let (x, mut mixture) = (painted(1), start([0.0; PARAMS])?);
    let rows = MatrixRef::new(&x, ROWS, 2)?;
    let config = component_selection::Config {
        batch_size: 4,
        proposal: component_selection::Proposal::Table {
            rate: 0.125,
            floor: 0.25,
        },
        ..component_selection::Config::new(5)
    };
    let mut words = vec![0; config.words_len(K)];
    let mut scratch = vec![0.0; component_selection::scratch_len(Covariance::Full, K, 2).max(64)];
    let mut state =
        component_selection::State::new(&mixture.view(), rows, 5, buffers, &mut scratch)?;
    for _ in 0..3 {
        let (state, words, scratch) = (&mut state, &mut words, &mut scratch);
        component_selection::step(&config, &mut mixture, state, rows, words, scratch)?;
    }
    Ok([bits(mixture.params()), saved(&state)?].concat())
}

#[test]
fn mixtures() {
    alike!(expectations, f32, PARAMS, 1);
    let expected = labels(component_selection::Buffers {
        labels: array::<u32, ROWS>(),
        statistics: array::<f64, STATISTICS>(),
        cache: array::<f64, ROWS>(),
        table: array::<f32, { ROWS * K }>(),
    });
    let run = |[a, b, c, d]: [usize; 4]| {
        borrowed([a], |[labels]| {
            borrowed([b, c], |[statistics, cache]| {
                borrowed([d], |[table]| {
                    let buffers = component_selection::Buffers {
                        labels,
                        statistics,
                        cache,
                        table,
                    };
                    self::labels(buffers)
                })
            })
        })
    };
    let right = [ROWS, STATISTICS, ROWS, ROWS * K];
    assert_eq!(run(right).unwrap(), expected.unwrap());
    for which in 0..4 {
        for len in [0, 1, right[which] - 1, right[which] + 1] {
            let mut lengths = right;
            lengths[which] = len;
            // A cache is needed by no proposal, and by this one a table.
            let is_fine = which == 2 && len == 0;
            assert_eq!(
                run(lengths).is_ok(),
                is_fine,
                "{len} elements in buffer {which}"
            );
        }
    }
}

/// Two frames in pieces of five bytes; those that were found.
fn deframe<B: Storage<Elem = u8>>(buffer: B) -> Vec<Vec<u8>> {
    let mut bytes = [0; 72];
    let header = Header::new(Kind::Dense, Dtype::F32, 5, 5);
    let len = encode_into(&header, &Body::Values(&painted(1)[..5]), &mut bytes).unwrap();
    let mut line = Deframer::new(buffer);
    let mut found = Vec::new();
    for _ in 0..2 {
        for piece in bytes[..len].chunks(5) {
            let mut piece = piece;
            while !piece.is_empty() {
                let space = line.space();
                let most = space.len().min(piece.len());
                if most == 0 {
                    return found;
                }
                space[..most].copy_from_slice(&piece[..most]);
                line.filled(most);
                piece = &piece[most..];
                while let Some(frame) = line.next() {
                    found.extend(frame.ok().map(<[u8]>::to_vec));
                }
            }
        }
    }
    found
}

#[test]
fn a_stream_of_frames() {
    let expected = deframe([0; 128]);
    assert_eq!(expected.len(), 2);
    for len in [0, 1, 4, 47, 48, 51, 52, 71, 72, 73, 128] {
        let mut memory = vec![0xee; len + 2 * GUARD];
        let found = deframe(&mut memory[GUARD..GUARD + len]);
        assert!(
            memory[..GUARD]
                .iter()
                .chain(&memory[GUARD + len..])
                .all(|b| *b == 0xee)
        );
        // Whole where the buffer holds a frame.
        let fits = len >= expected[0].len();
        assert_eq!(found, if fits { &expected[..] } else { &[] }, "{len}");
    }
}
