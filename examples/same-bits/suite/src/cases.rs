//! The cases, in the order of the table.

use thalweg::compress::{Buffers, PermK, RandK};
use thalweg::federated::estimator::{Client, Server, accept, broadcast, finish, receive};
use thalweg::federated::{ProtocolError, Run, ef21, marina};
use thalweg::matrix::{MatrixMut, MatrixRef, gemm, gemm_scratch};
use thalweg::model::quadratic::Quadratic;
use thalweg::model::{Batch, Objective};
use thalweg::optim::{adam, sgd};
use thalweg::random::{self, Purpose};
use thalweg::simd::{self, Lanes, Map, math};
use thalweg::{Arithmetic, Error, Real, vector};

use crate::{Case, Hash, paint};

/// Every case of the suite.
pub const CASES: &[Case] = &[
    ("vector f32", vectors::<f32>),
    ("vector f64", vectors::<f64>),
    ("math f32", functions::<f32>),
    ("math f64", functions::<f64>),
    ("gemm f32", products::<f32>),
    ("gemm f64", products::<f64>),
    ("random", draws),
    ("optim f32", optimisers::<f32>),
    ("optim f64", optimisers::<f64>),
    ("marina and perm_k", |hash| {
        feed(marina_run(PermK::new(CLIENTS), hash), hash);
    }),
    ("marina and rand_k", |hash| {
        feed(marina_run(RandK::new(9), hash), hash);
    }),
    ("ef21 and top_k", |hash| feed(ef21_run(hash), hash)),
];

/// Feeds an error in place of numbers, so that a wrong length cannot pass unnoticed.
fn must<T: Default>(result: Result<T, Error>, hash: &mut Hash) -> T {
    result.unwrap_or_else(|_| {
        hash.word(0xdead);
        T::default()
    })
}

fn feed(result: Result<(), ProtocolError>, hash: &mut Hash) {
    if result.is_err() {
        hash.word(0xdead);
    }
}

fn vectors<T: Real>(hash: &mut Hash) {
    let (mut x, mut y, mut z) = ([T::ZERO; 257], [T::ZERO; 257], [T::ZERO; 257]);
    for n in [0, 1, 5, 31, 32, 33, 64, 257] {
        let (Some(x), Some(y), Some(z)) = (x.get_mut(..n), y.get_mut(..n), z.get_mut(..n)) else {
            return hash.word(0xdead);
        };
        paint(x, 1);
        paint(y, 2);
        let dot = must(vector::dot(x, y), hash);
        let distance = must(vector::squared_distance(x, y), hash);
        hash.reals(&[
            dot,
            distance,
            vector::sum(x),
            vector::sum_abs(y),
            vector::norm2(x),
        ]);
        hash.reals(&[vector::norm_inf(y)]);
        must(vector::axpy(T::from_f64(0.3), x, y), hash);
        must(
            vector::axpby_into(T::from_f64(0.7), x, T::from_f64(-1.1), y, z),
            hash,
        );
        must(vector::clamp(T::from_f64(-2.5), T::from_f64(1.5), z), hash);
        vector::scale(T::from_f64(1.0 / 3.0), y);
        hash.reals(y);
        hash.reals(z);
    }
}

/// Every function of lane math, five outputs at a time.
#[derive(Clone, Copy)]
struct Functions;
impl<T: Real> Map<T, 1, 5> for Functions {
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 5] {
        [
            math::exp(x),
            math::expm1(x),
            math::ln(x.abs()),
            math::tanh(x),
            math::sigmoid(x),
        ]
    }
}

fn functions<T: Real>(hash: &mut Hash) {
    let mut x = [T::ZERO; 67];
    for (phase, scale) in [(3, 1.0), (4, 0.01), (5, 40.0)] {
        paint(&mut x, phase);
        vector::scale(T::from_f64(scale), &mut x);
        let mut out = [[T::ZERO; 67]; 5];
        simd::map(&Functions, [&x], out.each_mut().map(|o| &mut o[..]));
        out.iter().for_each(|o| hash.reals(o));
    }
}

fn products<T: Real>(hash: &mut Hash) {
    const SHAPE: [usize; 3] = [9, 17, 13];
    let [m, n, k] = SHAPE;
    let (mut a, mut b, mut c) = ([T::ZERO; 117], [T::ZERO; 221], [T::ZERO; 153]);
    let mut scratch = [T::ZERO; 1024];
    paint(&mut a, 6);
    paint(&mut b, 7);
    paint(&mut c, 8);
    hash.word(u64::from(gemm_scratch(m, n, k) <= scratch.len()));
    for transposed in [false, true] {
        let (a, b) = if transposed {
            (
                MatrixRef::new(&a, k, m).map(MatrixRef::t),
                MatrixRef::new(&b, n, k).map(MatrixRef::t),
            )
        } else {
            (
                MatrixRef::new(&a, m, k).map(Into::into),
                MatrixRef::new(&b, k, n).map(Into::into),
            )
        };
        let (Ok(a), Ok(b), Ok(c)) = (a, b, MatrixMut::new(&mut c, m, n)) else {
            return hash.word(0xdead);
        };
        let (alpha, beta) = (T::from_f64(0.7), T::from_f64(-0.3));
        must(
            gemm(Arithmetic::Portable, alpha, a, b, beta, c, &mut scratch),
            hash,
        );
    }
    hash.reals(&c);
}

fn draws(hash: &mut Hash) {
    let mut rng = random::stream(1, 2, 3, Purpose::NOISE);
    for n in [1, 2, 3, 1000, u32::MAX] {
        hash.word(u64::from(random::below(&mut rng, n)));
    }
    for _ in 0..20 {
        hash.reals(&[random::uniform::<f32>(&mut rng), random::normal(&mut rng)]);
        hash.reals(&[random::uniform::<f64>(&mut rng), random::normal(&mut rng)]);
    }
    let mut order = [0_u64, 1, 2, 3, 4, 5, 6];
    random::shuffle(&mut rng, &mut order);
    order.iter().for_each(|&i| hash.word(i));
}

fn optimisers<T: Real>(hash: &mut Hash) {
    let (mut x, mut g) = ([T::ZERO; 65], [T::ZERO; 65]);
    paint(&mut x, 9);
    let mut adam = adam::State::<[T; 65]>::new();
    let mut momentum = sgd::State::<[T; 65]>::new();
    for step in 0..4 {
        paint(&mut g, 10 + step);
        must(
            adam::step(&adam::Config::adamw(), &mut adam, &mut x, &g),
            hash,
        );
        let config = sgd::Config {
            momentum: 0.9,
            nesterov: true,
            ..sgd::Config::new(0.1)
        };
        must(sgd::step(&config, &mut momentum, &mut x, &g), hash);
    }
    hash.reals(&x);
    hash.reals(adam.v());
}

const CLIENTS: usize = 3;
const D: usize = 41;

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

macro_rules! rounds {
    ($config:expr, $reply:path, $hash:expr) => {{
        let config = $config;
        let mut start = [0.0; D];
        paint(&mut start, 14);
        let mut server = Server::new(start, [0.0; D], [0.0; D])?;
        let mut clients = [Client::new(0, [0.0; D], [0.0; D])?; CLIENTS];
        for (id, client) in (0..).zip(&mut clients) {
            *client = Client::new(id, [0.0; D], [0.0; D])?;
        }
        let (mut frame, mut values, mut indices) = ([0; 288], [0.0; D], [0; D]);
        for _ in 0..6 {
            let len = broadcast(&config, &mut server, &mut frame)?;
            for client in &mut clients {
                receive(&config, client, frame.get(..len).unwrap_or_default())?;
            }
            for (i, client) in clients.iter_mut().enumerate() {
                let mut gradient = [0.0; D];
                objective(i).gradient_into(
                    client.params(),
                    &Batch::none(),
                    &mut [],
                    &mut gradient,
                )?;
                let buffers = Buffers {
                    indices: &mut indices,
                    ..Buffers::values(&mut values)
                };
                let len = $reply(&config, client, &mut gradient, buffers, &mut frame)?;
                let reply = frame.get(..len).unwrap_or_default();
                reply.iter().for_each(|&byte| $hash.word(byte.into()));
                let buffers = Buffers {
                    indices: &mut indices,
                    ..Buffers::values(&mut values)
                };
                accept(&config, &mut server, reply, buffers)?;
            }
            finish(&config, &mut server)?;
            $hash.reals(server.params());
        }
        Ok(())
    }};
}

fn marina_run<C: thalweg::compress::Compressor<f32>>(
    compressor: C,
    hash: &mut Hash,
) -> Result<(), ProtocolError> {
    let run = Run {
        seed: 77,
        clients: CLIENTS as u32,
    };
    rounds!(
        marina::Config {
            run,
            step_size: 0.4,
            probability: 0.3,
            compressor
        },
        marina::reply,
        hash
    )
}

fn ef21_run(hash: &mut Hash) -> Result<(), ProtocolError> {
    let run = Run {
        seed: 77,
        clients: CLIENTS as u32,
    };
    let compressor = thalweg::compress::TopK { k: 5 };
    rounds!(
        ef21::Config {
            run,
            step_size: 0.2,
            compressor
        },
        ef21::reply,
        hash
    )
}
