//! Hypergradients by ESJ beside the inner gradients that they are made of.
//!
//! `inner gradients` calls the problem as often as `esj` does, and does nothing else: the difference is the overhead of directions,
//! perturbations, inner steps and projections. The shallow hyper-representation has p = 8192, d = 128, n = 500, N = 20.

#![allow(clippy::expect_used, reason = "a bench stops at the first surprise")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use thalweg::bilevel::descent::Method;
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
    for directions in [1_usize, 10] {
        let gradients = (directions as u64 + 1) * STEPS;
        group.throughput(Throughput::Elements(gradients));
        let inner = descent::Config {
            steps: STEPS,
            method: Method::gd(1e-3),
        };
        let config = es_jacobian::Config {
            directions,
            ..es_jacobian::Config::new(inner)
        };
        let own = problem.scratch_len();
        let len = es_jacobian::scratch_len(&config, x.len(), FEATURES, own);
        let (mut scratch, mut h) = (vec![0.0; len], vec![0.0; x.len()]);
        let mut state = es_jacobian::State::from_storage(y0.clone());
        group.bench_function(format!("esj/{directions}"), |b| {
            b.iter(|| {
                es_jacobian::step(&config, &mut state, &problem, &x, &mut scratch, &mut h)
                    .expect("a stable path")
            });
        });
        let mut grad = vec![0.0; FEATURES];
        group.bench_function(format!("inner gradients/{directions}"), |b| {
            b.iter(|| {
                let round = Round { seed: 0, number: 0 };
                for t in 0..gradients {
                    problem
                        .inner_gradient_into(
                            black_box(&x),
                            &y0,
                            &round.inner(t),
                            &mut scratch,
                            &mut grad,
                        )
                        .expect("lengths agree");
                }
                grad[0]
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hypergradient);
criterion_main!(benches);
