//! Optimiser steps beside the plain loops they replace, at L1, L2 and memory size.
//!
//! `native` is the plain loop compiled for AVX2, `plain` the same for the baseline instruction set, `traffic` a loop with the
//! same loads and stores and next to no arithmetic: the bytes that a step moves. `silent` cases feed gradients of which one
//! in 89 is always 0: the moments of a plain loop become subnormal there, ours do not.
//!
//! Buffers start 16 bytes past a page, as large allocations of glibc do, or (`aligned`) on the page.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use thalweg::Arithmetic::{self, Fast, Portable};
use thalweg::optim::{adagrad, adam, lion, rmsprop, sgd};
use thalweg_benches::plain;
use thalweg_benches::race::{Buffer, Contender, race};

const RATE: f64 = plain::RATE as f64;

/// `f32` between an allocation of glibc and the page before it.
const GLIBC: usize = 4;

/// Parameters and gradient that all contenders share.
struct Shared {
    x: Buffer,
    g: Buffer,
}

impl Shared {
    fn new(n: usize, offset: usize, is_silent: bool) -> Self {
        let gradient = |i| {
            if is_silent && i % 89 == 0 {
                0.0
            } else {
                (i % 97) as f32 * 0.01 - 0.475
            }
        };
        Self {
            x: Buffer::new(n, offset, |_| 1.0),
            g: Buffer::new(n, offset, gradient),
        }
    }
}

type Step = Box<dyn FnMut(&mut Shared)>;

/// The contenders for parameters of a length at an offset, the reference first.
type Contenders = fn(usize, usize) -> Vec<(&'static str, Step)>;

/// Name, arrays that are read or written, contenders.
const GROUPS: [(&str, usize, Contenders); 6] = [
    ("sgd", 3, sgd_contenders),
    ("momentum", 5, momentum_contenders),
    ("adam", 7, adam_contenders),
    ("lion", 5, lion_contenders),
    ("rmsprop", 5, rmsprop_contenders),
    ("adagrad", 5, adagrad_contenders),
];

fn zeros(n: usize, offset: usize) -> Buffer {
    Buffer::new(n, offset, |_| 0.0)
}

fn sgd_contenders(_: usize, _: usize) -> Vec<(&'static str, Step)> {
    let mut state = sgd::State::<[f32; 0]>::new();
    vec![
        (
            "native",
            Box::new(|s| plain::native_sgd(black_box(&mut s.x), black_box(&s.g))),
        ),
        (
            "plain",
            Box::new(|s| plain::sgd(black_box(&mut s.x), black_box(&s.g))),
        ),
        (
            "traffic",
            Box::new(|s| plain::native_traffic2(black_box(&mut s.x), black_box(&s.g))),
        ),
        (
            "portable",
            Box::new(move |s| {
                let config = sgd::Config::new(RATE);
                let done = sgd::step(&config, &mut state, black_box(&mut s.x), black_box(&s.g));
                debug_assert!(done.is_ok());
            }),
        ),
    ]
}

/// A plain loop with one buffer.
fn looped(n: usize, offset: usize, f: fn(&mut [f32], &mut [f32], &[f32])) -> Step {
    let mut buffer = zeros(n, offset);
    Box::new(move |s| f(black_box(&mut s.x), &mut buffer, black_box(&s.g)))
}

fn momentum_contenders(n: usize, offset: usize) -> Vec<(&'static str, Step)> {
    let mut state = sgd::State::from_storage(zeros(n, offset));
    let config = sgd::Config {
        momentum: 0.9,
        ..sgd::Config::new(RATE)
    };
    vec![
        ("native", looped(n, offset, plain::native_momentum)),
        ("plain", looped(n, offset, plain::momentum)),
        ("traffic", looped(n, offset, plain::native_traffic3)),
        (
            "portable",
            Box::new(move |s| {
                let done = sgd::step(&config, &mut state, black_box(&mut s.x), black_box(&s.g));
                debug_assert!(done.is_ok());
            }),
        ),
    ]
}

/// A plain loop: parameters, two moments, gradient, count of steps.
type AdamLoop = fn(&mut [f32], &mut [f32], &mut [f32], &[f32], i32);

fn adam_contenders(n: usize, offset: usize) -> Vec<(&'static str, Step)> {
    let looped = |f: AdamLoop| -> Step {
        let (mut m, mut v, mut t) = (zeros(n, offset), zeros(n, offset), 0);
        Box::new(move |s| {
            t += 1;
            f(black_box(&mut s.x), &mut m, &mut v, black_box(&s.g), t);
        })
    };
    let ours = |arithmetic| -> Step {
        let mut state = adam::State::from_storage(zeros(n, offset), zeros(n, offset));
        let config = adam::Config {
            learning_rate: RATE,
            arithmetic,
            ..Default::default()
        };
        Box::new(move |s| {
            let done = adam::step(&config, &mut state, black_box(&mut s.x), black_box(&s.g));
            debug_assert!(done.is_ok());
        })
    };
    vec![
        ("native", looped(plain::native_adam)),
        ("plain", looped(plain::adam)),
        (
            "traffic",
            looped(|x, m, v, g, _| plain::native_traffic4(x, m, v, g)),
        ),
        ("portable", ours(Portable)),
        ("fast", ours(Fast)),
    ]
}

fn lion_contenders(n: usize, offset: usize) -> Vec<(&'static str, Step)> {
    let mut state = lion::State::from_storage(zeros(n, offset));
    let config = lion::Config::new(RATE);
    vec![
        ("native", looped(n, offset, plain::native_lion)),
        ("plain", looped(n, offset, plain::lion)),
        ("traffic", looped(n, offset, plain::native_traffic3)),
        (
            "portable",
            Box::new(move |s| {
                let done = lion::step(&config, &mut state, black_box(&mut s.x), black_box(&s.g));
                debug_assert!(done.is_ok());
            }),
        ),
    ]
}

fn rmsprop_contenders(n: usize, offset: usize) -> Vec<(&'static str, Step)> {
    let ours = |arithmetic: Arithmetic| -> Step {
        let mut state = rmsprop::State::from_storage(zeros(n, offset));
        let config = rmsprop::Config {
            learning_rate: RATE,
            arithmetic,
            ..Default::default()
        };
        Box::new(move |s| {
            let done = rmsprop::step(&config, &mut state, black_box(&mut s.x), black_box(&s.g));
            debug_assert!(done.is_ok());
        })
    };
    vec![
        ("native", looped(n, offset, plain::native_rmsprop)),
        ("plain", looped(n, offset, plain::rmsprop)),
        ("traffic", looped(n, offset, plain::native_traffic3)),
        ("portable", ours(Portable)),
        ("fast", ours(Fast)),
    ]
}

fn adagrad_contenders(n: usize, offset: usize) -> Vec<(&'static str, Step)> {
    let ours = |arithmetic: Arithmetic| -> Step {
        let mut state = adagrad::State::from_storage(zeros(n, offset));
        let config = adagrad::Config {
            learning_rate: RATE,
            arithmetic,
            ..Default::default()
        };
        Box::new(move |s| {
            let done = adagrad::step(&config, &mut state, black_box(&mut s.x), black_box(&s.g));
            debug_assert!(done.is_ok());
        })
    };
    vec![
        ("native", looped(n, offset, plain::native_adagrad)),
        ("plain", looped(n, offset, plain::adagrad)),
        ("traffic", looped(n, offset, plain::native_traffic3)),
        ("portable", ours(Portable)),
        ("fast", ours(Fast)),
    ]
}

fn run(name: &str, arrays: usize, contenders: Contenders, n: usize, offset: usize) {
    let mut steps = contenders(n, offset);
    let mut field: Vec<Contender<'_, Shared>> = (steps.iter_mut())
        .map(|(name, step)| (*name, &mut **step as _))
        .collect();
    let place = if offset == 0 { ", aligned" } else { "" };
    race(&mut Shared::new(n, offset, false), &mut field)
        .print(&format!("{name}, n = {n}{place}"), 4 * arrays * n);
}

/// A loud step, then a thousand silent ones on one element in 89: its first moment is below the normal range in a plain loop.
fn silence(n: usize) {
    let mut steps = adam_contenders(n, GLIBC);
    let mut shared = Shared::new(n, GLIBC, true);
    let mut loud = Shared {
        x: Buffer::new(n, GLIBC, |_| 1.0),
        g: Buffer::new(n, GLIBC, |_| 0.3),
    };
    for (_, step) in &mut steps {
        step(&mut loud);
        for _ in 0..1000 {
            step(&mut shared);
        }
    }
    let mut field: Vec<Contender<'_, Shared>> = (steps.iter_mut())
        .map(|(name, step)| (*name, &mut **step as _))
        .collect();
    race(&mut shared, &mut field).print(&format!("adam, n = {n}, 1 in 89 silent"), 28 * n);
}

fn races() {
    println!(
        "Least time of a call, bytes moved, times as fast as the first: by least times, by the median of rounds"
    );
    for n in [1000, 20_000, 100_000, 10_000_000] {
        for (name, arrays, contenders) in GROUPS {
            run(name, arrays, contenders, n, GLIBC);
            if n < 1_000_000 {
                run(name, arrays, contenders, n, 0);
            }
        }
    }
    silence(20_000);
}

fn optimisers(c: &mut Criterion) {
    races();
    for (name, arrays, contenders) in GROUPS {
        let mut group = c.benchmark_group(name);
        for n in [1000, 100_000, 10_000_000] {
            group.throughput(Throughput::Bytes(4 * (arrays * n) as u64));
            let mut shared = Shared::new(n, GLIBC, false);
            for (contender, mut step) in contenders(n, GLIBC) {
                group.bench_function(BenchmarkId::new(contender, n), |b| {
                    b.iter(|| step(&mut shared));
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = optimisers
}
criterion_main!(benches);
