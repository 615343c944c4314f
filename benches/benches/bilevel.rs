//! Hypergradients by ESJ compared with the inner gradients that they are made of.
//!
//! `inner gradients` asks the problem for what ESJ asks it on its inner paths, preparation of each path included, and does nothing
//! else: the difference is the overhead of directions, perturbations, inner steps, projections and the one outer gradient, which is
//! a gradient of the problem too, and so is counted with the others in the second ratio. The shallow
//! hyper-representation has p = 8192, d = 128, n = 500, N = 20 and 50. All call the problem through one pointer: two copies of it that the
//! compiler has made for two callers differ by as much as what is measured.
//!
//! The ratios are printed from the least of 1000 rounds in which they take turns, each shorter than a time slice (AMD EPYC Zen 3,
//! AVX2, `cargo bench -p thalweg_benches --bench bilevel -- none`; middle of eight runs on a busy machine, their range without the
//! worst): the time of a hypergradient as a multiple of that of
//!
//! | directions | Q = 1: inner gradients | all | Q = 4: inner | all | Q = 1, N = 50: inner | all |
//! |---|---|---|---|---|---|---|
//! | Gaussian | 1.06, 1.03 to 1.07 | 1.03 | 1.06, 1.03 to 1.07 | 1.05, 1.02 to 1.06 | 1.03, 1.01 to 1.05 | 1.02 |
//! | Gaussian, central | 1.04, 1.01 to 1.05 | 1.02 | 1.03, 1.01 to 1.05 | 1.03 | 1.02, 0.99 to 1.03 | 1.01 |
//! | signs | 1.04, 1.01 to 1.05 | 1.01 | 1.03, 0.99 to 1.04 | 1.02 | 1.02, 0.98 to 1.03 | 1.01 |
//!
//! Both read and write the same memory: where it lies changes the ratio by more than what is measured (0.90 to 1.14 from run to run where
//! each had its own). On Zen 4 with AVX-512, two runs: Gaussian 1.07, 1.06 to 1.07 and 1.03 for the three cases, central 1.05, 1.04, 1.02 to
//! 1.03, signs 1.05 to 1.06, 1.04, 1.02 to 1.03; of all gradients 1.04, 1.05 to 1.06, 1.02 for Gaussian ones.
//!
//! A Gaussian direction takes as long as 1.1 inner gradients, one of signs 0.2.

#![allow(clippy::expect_used, reason = "a bench stops at the first surprise")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::{Duration, Instant};
use thalweg::bilevel::descent::Method;
use thalweg::bilevel::es_jacobian::{Difference, Direction};
use thalweg::bilevel::{Place, Problem, Round, descent, es_jacobian, hyper_representation, ridge};
use thalweg::matrix::MatrixRef;
use thalweg::random::{NoiseStream, Purpose, stream};
use thalweg_benches::race::Buffer;

const ROWS: usize = 500;
const INPUTS: usize = 64;
const FEATURES: usize = 128;
const ROUNDS: usize = 1000;

/// On a page: a vector that crosses two lines takes twice as long to load, and what the two sides read must lie alike.
fn zeros(n: usize) -> Buffer<f32> {
    Buffer::new(n, 0, |_| 0.0)
}

fn normals(n: usize, phase: u64) -> Buffer<f32> {
    let mut out = zeros(n);
    NoiseStream::new(&mut stream(phase, 0, 0, Purpose::DATA)).fill_normal(&mut out);
    out
}

/// A call that works on the memory of all.
type Contender<'a> = &'a mut dyn FnMut(&mut [f32]);

/// The least seconds of some rounds of each, taken in turns on the same memory.
fn least(memory: &mut [f32], mut contenders: [Contender<'_>; 3]) -> [f64; 3] {
    let mut least = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        for (least, run) in least.iter_mut().zip(&mut contenders) {
            let start = Instant::now();
            run(memory);
            *least = start.elapsed().min(*least);
        }
    }
    least.map(|least| least.as_secs_f64())
}

fn hypergradient(c: &mut Criterion) {
    let (a, b) = (normals(ROWS * INPUTS, 1), normals(ROWS, 2));
    let (x, y0) = (normals(INPUTS * FEATURES, 3), normals(FEATURES, 4));
    let matrix = MatrixRef::new(&a, ROWS, INPUTS).expect("lengths agree");
    let data = ridge::Data::new(matrix, &b).expect("lengths agree");
    let problem =
        hyper_representation::Problem::new(data, data, FEATURES, 0.1).expect("lengths agree");
    let problem: &dyn Problem<f32> = black_box(&problem);
    let mut group = c.benchmark_group("hyper_representation");
    group.measurement_time(Duration::from_secs(3));
    let round = Round { seed: 0, number: 0 };
    let mut h = zeros(x.len());
    for (law, direction, difference) in [
        ("Gaussian", Direction::Gaussian, Difference::Forward),
        ("Gaussian central", Direction::Gaussian, Difference::Central),
        ("signs", Direction::Rademacher, Difference::Forward),
    ] {
        for (steps, directions) in [(20, 1_usize), (20, 4), (50, 1)] {
            let inner = descent::Config {
                steps,
                method: Method::gd(1e-3),
            };
            let config = es_jacobian::Config {
                directions,
                direction,
                difference,
                ..es_jacobian::Config::new(inner)
            };
            let each = if difference == Difference::Central {
                2
            } else {
                1
            };
            let paths = (each * directions + 1) as u64;
            let len = es_jacobian::scratch_len(&config, x.len(), FEATURES, problem.scratch_len());
            let mut scratch = zeros(len);
            let mut state = es_jacobian::State::from_storage(normals(FEATURES, 4));
            let mut esj = |scratch: &mut [f32]| {
                es_jacobian::step(&config, &mut state, problem, &x, &mut h, scratch)
                    .expect("a stable path");
            };
            let mut bare = |scratch: &mut [f32]| {
                // What ESJ reads and writes lies here: where memory lies tells more than what is measured.
                let (_, path) = scratch.split_at_mut(2 * (x.len() + FEATURES));
                let (z, path) = path.split_at_mut(x.len());
                let (y, path) = path.split_at_mut(FEATURES);
                let (grad, path) = path.split_at_mut(FEATURES);
                for i in 0..paths {
                    let x = if i == 0 { &*x } else { &*z };
                    problem.prepare(x, path).expect("lengths agree");
                    for t in 0..steps {
                        problem
                            .inner_gradient_into(Place::new(x, y, &round.inner(t)), grad, path)
                            .expect("lengths agree");
                    }
                }
            };
            let (mut grad_x, mut grad_y) = (zeros(x.len()), zeros(FEATURES));
            let mut outer = |scratch: &mut [f32]| {
                problem
                    .outer_gradients_into(
                        Place::new(&x, &y0, &round.outer()),
                        &mut grad_x,
                        &mut grad_y,
                        scratch,
                    )
                    .map(black_box)
                    .expect("lengths agree");
            };
            let [whole, inner, outer] = least(&mut scratch, [&mut esj, &mut bare, &mut outer]);
            let case = format!("{law}/{directions}/{steps}");
            println!(
                "esj/{case}: {:.3} of its inner gradients, {:.3} of all its gradients",
                whole / inner,
                whole / (inner + outer)
            );
            group.throughput(Throughput::Elements(paths * steps));
            group.bench_function(format!("esj/{case}"), |b| {
                b.iter(|| esj(&mut scratch));
            });
            group.bench_function(format!("inner gradients/{case}"), |b| {
                b.iter(|| bare(&mut scratch));
            });
        }
        let mut u = vec![0.0_f32; x.len()];
        group.throughput(Throughput::Elements(u.len() as u64));
        group.bench_function(format!("direction/{law}"), |b| {
            b.iter(|| es_jacobian::direction_into(direction, round, 0, &mut u));
        });
    }
    group.finish();
}

criterion_group!(benches, hypergradient);
criterion_main!(benches);
