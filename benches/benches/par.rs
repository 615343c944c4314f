//! Two threads compared with one, for what a round spends its time on; small work has to stay on one thread.
//!
//! `halves` is the ceiling of a machine whose memory is the limit: two threads, a contiguous half each, nothing else. AMD EPYC
//! (Zen 3, 2 cores), two threads against one at n = 1e7: dot 1.65 (halves 1.67), axpy 1.51 (1.43).

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use thalweg::matrix::{MatrixMut, MatrixRef, Product};
use thalweg::model::{Batch, Objective, mlp};
use thalweg::optim::{Optimiser, State, adam, sgd};
use thalweg::{Arithmetic, Error, matrix, vector};
use thalweg_benches::race::{Contender, race};
use thalweg_std::par::{self, objective::ParallelObjective, optimiser::ParallelOptimiser};

const RATE: f64 = 1e-6;

const ADAM: adam::Config = adam::Config {
    learning_rate: RATE,
    ..adam::Config::adam()
};

/// Vectors of a length, and the states of one thread and of many.
struct Shared {
    x: Vec<f32>,
    g: Vec<f32>,
    one: State<adam::Config, Vec<f32>>,
    many: ParallelOptimiser<State<adam::Config, Vec<f32>>>,
}

impl Shared {
    fn new(n: usize) -> Self {
        let state = |n| State::new(vec![0.0; 2 * n]);
        Self {
            x: vec![1.0; n],
            g: (0..n).map(|i| (i % 97) as f32 * 0.01 - 0.475).collect(),
            one: state(n),
            many: ParallelOptimiser::new(n, state),
        }
    }
}

fn check(done: Result<(), Error>) {
    debug_assert!(done.is_ok());
}

fn elementwise(n: usize) {
    let mut shared = Shared::new(n);
    let descent = sgd::Config::new(RATE);
    let mut stateless = ParallelOptimiser::new(n, |_| State::new([0.0_f32; 0]));
    let half = n / 2;
    let mut pairs: [(&str, usize, &mut [Contender<'_, Shared>]); 3] = [
        (
            "dot",
            8,
            &mut [
                ("one", &mut |s: &mut Shared| {
                    let _ = black_box(vector::dot(black_box(&s.x), &s.g));
                }),
                ("par", &mut |s: &mut Shared| {
                    let _ = black_box(par::dot(black_box(&s.x), &s.g));
                }),
                ("halves", &mut |s: &mut Shared| {
                    let ((x, y), (g, h)) = (s.x.split_at(half), s.g.split_at(half));
                    let sum = |x, g| vector::dot(black_box(x), g);
                    let _ = black_box(rayon::join(|| sum(x, g), || sum(y, h)));
                }),
            ],
        ),
        (
            "sgd",
            12,
            &mut [
                ("one", &mut |s: &mut Shared| {
                    let mut state = State::new([0.0_f32; 0]);
                    check(descent.step(&mut state, black_box(&mut s.x), &s.g));
                }),
                ("par", &mut |s: &mut Shared| {
                    check(stateless.step(black_box(&mut s.x), &s.g, |state, x, g| {
                        descent.step(state, x, g)
                    }));
                }),
                ("halves", &mut |s: &mut Shared| {
                    let ((x, y), (g, h)) = (s.x.split_at_mut(half), s.g.split_at(half));
                    let descend = |x: &mut [f32], g| {
                        let mut state = State::new([0.0_f32; 0]);
                        check(descent.step(&mut state, black_box(x), g));
                    };
                    rayon::join(|| descend(x, g), || descend(y, h));
                }),
            ],
        ),
        (
            "adam",
            28,
            &mut [
                ("one", &mut |s: &mut Shared| {
                    check(ADAM.step(&mut s.one, black_box(&mut s.x), &s.g));
                }),
                ("par", &mut |s: &mut Shared| {
                    check(s.many.step(black_box(&mut s.x), &s.g, |state, x, g| {
                        ADAM.step(state, x, g)
                    }));
                }),
            ],
        ),
    ];
    for (name, bytes, pair) in &mut pairs {
        race(&mut shared, pair).print(&format!("{name}, n = {n}"), *bytes * n);
    }
}

fn product(n: usize) {
    let a: Vec<f32> = (0..n * n).map(|i| (i % 97) as f32 * 0.01 - 0.475).collect();
    let mut c = vec![0.0_f32; n * n];
    let mut scratch = vec![0.0; matrix::gemm_scratch(n, n, n)];
    let run = |c: &mut [f32], scratch: Option<&mut [f32]>| {
        let (Ok(a), Ok(c)) = (MatrixRef::new(&a, n, n), MatrixMut::new(c, n, n)) else {
            return;
        };
        check(match scratch {
            Some(scratch) => matrix::gemm(Product::plain(Arithmetic::Fast), a, a, c, scratch),
            None => par::gemm(Product::plain(Arithmetic::Fast), a, a, c),
        });
    };
    let mut field: [Contender<'_, Vec<f32>>; 2] = [
        ("one", &mut |c: &mut Vec<f32>| run(c, Some(&mut scratch))),
        ("par", &mut |c: &mut Vec<f32>| run(c, None)),
    ];
    race(&mut c, &mut field).print(&format!("gemm, {n} x {n}"), 12 * n * n);
}

fn objective(rows: usize) {
    let model = mlp::Model::<f32>::new(&[64, 32, 10]);
    let features: Vec<f32> = (0..rows * 64).map(|i| (i % 97) as f32 * 0.01).collect();
    let labels: Vec<u32> = (0..rows as u32).map(|i| i * 7 % 10).collect();
    let params: Vec<f32> = (0..model.dim()).map(|i| (i % 89) as f32 * 0.001).collect();
    let Ok(batch) = Batch::classes(&features, 64, &labels) else {
        return;
    };
    let mut scratch = vec![0.0; model.scratch_len(rows)];
    let mut parts = ParallelObjective::new();
    let mut field: [Contender<'_, Vec<f32>>; 2] = [
        ("one", &mut |grad: &mut Vec<f32>| {
            let _ = model.value_and_gradient_into(&params, &batch, grad, &mut scratch);
        }),
        ("par", &mut |grad: &mut Vec<f32>| {
            let _ = parts.value_and_gradient_into(&model, &params, &batch, grad);
        }),
    ];
    race(&mut vec![0.0; model.dim()], &mut field)
        .print(&format!("objective, {rows} rows of 64"), 4 * rows * 64);
}

fn races() {
    println!(
        "{} threads. Least time of a call, bytes moved, times as fast as one thread: by least times, by the median of rounds",
        rayon::current_num_threads()
    );
    for n in [1000, 100_000, 1_000_000, 10_000_000] {
        elementwise(n);
    }
    for n in [32, 512, 1024] {
        product(n);
    }
    for rows in [32, 2048, 16_384] {
        objective(rows);
    }
}

fn threads(c: &mut Criterion) {
    races();
    let mut group = c.benchmark_group("par");
    group.sample_size(10);
    for n in [1000, 10_000_000] {
        let mut s = Shared::new(n);
        group.bench_function(BenchmarkId::new("adam_one", n), |b| {
            b.iter(|| ADAM.step(&mut s.one, black_box(&mut s.x), &s.g));
        });
        group.bench_function(BenchmarkId::new("adam_par", n), |b| {
            b.iter(|| {
                s.many.step(black_box(&mut s.x), &s.g, |state, x, g| {
                    ADAM.step(state, x, g)
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, threads);
criterion_main!(benches);
