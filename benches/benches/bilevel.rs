//! Hypergradients by ESJ beside the inner gradients that they are made of.
//!
//! `inner gradients` calls the problem as often as `esj` does, and does nothing else: the difference is the overhead of directions,
//! perturbations, inner steps, projections and the one outer gradient. The shallow hyper-representation has p = 8192, d = 128, n = 500,
//! N = 20. Beside each pair their ratio is printed, from the least of 200 rounds in which they take turns: 1.04 to 1.05 for
//! directions of signs, 1.07 to 1.09 for Gaussian ones, which take a logarithm, a root and a turn for every two elements (AMD EPYC, AVX2).

#![allow(clippy::expect_used, reason = "a bench stops at the first surprise")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};
use thalweg::bilevel::descent::Method;
use thalweg::bilevel::es_jacobian::Direction;
use thalweg::bilevel::{Problem, Round, descent, es_jacobian, hyper_representation, ridge};
use thalweg::matrix::MatrixRef;
use thalweg::random::{Lanes32, Purpose, stream};

const ROWS: usize = 500;
const INPUTS: usize = 64;
const FEATURES: usize = 128;
const STEPS: u64 = 20;

fn normals(n: usize, phase: u64) -> Vec<f32> {
    let mut out = vec![0.0; n];
    Lanes32::new(&mut stream(phase, 0, 0, Purpose::DATA)).fill_normal(&mut out);
    out
}

fn hypergradient(c: &mut Criterion) {
    let (a, b) = (normals(ROWS * INPUTS, 1), normals(ROWS, 2));
    let (x, y0) = (normals(INPUTS * FEATURES, 3), normals(FEATURES, 4));
    let matrix = MatrixRef::new(&a, ROWS, INPUTS).expect("lengths agree");
    let data = ridge::Data::new(matrix, &b).expect("lengths agree");
    let problem =
        hyper_representation::Problem::new(data, data, FEATURES, 0.1).expect("lengths agree");
    let mut group = c.benchmark_group("hyper_representation");
    group.measurement_time(Duration::from_secs(3));
    let round = Round { seed: 0, number: 0 };
    let own = problem.scratch_len();
    let (mut h, mut grad) = (vec![0.0; x.len()], vec![0.0; FEATURES]);
    for (law, direction) in [
        ("Gaussian", Direction::Gaussian),
        ("signs", Direction::Rademacher),
    ] {
        for directions in [1_usize, 10] {
            let gradients = (directions as u64 + 1) * STEPS;
            let inner = descent::Config {
                steps: STEPS,
                method: Method::gd(1e-3),
            };
            let config = es_jacobian::Config {
                directions,
                direction,
                ..es_jacobian::Config::new(inner)
            };
            let len = es_jacobian::scratch_len(&config, x.len(), FEATURES, own);
            let mut scratch = vec![0.0; len];
            let mut state = es_jacobian::State::from_storage(y0.clone());
            let mut esj = |scratch: &mut [f32]| {
                es_jacobian::step(&config, &mut state, &problem, &x, scratch, &mut h)
                    .expect("a stable path")
            };
            let mut bare = |scratch: &mut [f32]| {
                for t in 0..gradients {
                    let draw = round.inner(t);
                    problem
                        .inner_gradient_into(black_box(&x), &y0, &draw, scratch, &mut grad)
                        .expect("lengths agree");
                }
                grad.first().copied()
            };
            let (mut whole, mut parts) = (Duration::MAX, Duration::MAX);
            for _ in 0..200 {
                let start = Instant::now();
                black_box(esj(&mut scratch));
                whole = whole.min(start.elapsed());
                let start = Instant::now();
                black_box(bare(&mut scratch));
                parts = parts.min(start.elapsed());
            }
            let ratio = whole.as_secs_f64() / parts.as_secs_f64();
            println!("esj/{law}/{directions}: {ratio:.3} of its inner gradients");
            group.throughput(Throughput::Elements(gradients));
            group.bench_function(format!("esj/{law}/{directions}"), |b| {
                b.iter(|| esj(&mut scratch));
            });
            group.bench_function(format!("inner gradients/{law}/{directions}"), |b| {
                b.iter(|| bare(&mut scratch));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, hypergradient);
criterion_main!(benches);
