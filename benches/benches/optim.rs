//! Optimiser steps beside the plain loops they replace, at L1, L2 and memory size.
//!
//! `plain` is the loop as one writes it, in the baseline instruction set; `native` is the same source compiled for AVX2 and FMA
//! where the machine has them. `silent` cases feed gradients of which one in 89 is always 0: the plain loop's moments
//! become subnormal there, ours do not.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use thalweg::Arithmetic;
use thalweg::optim::{adagrad, adam, lion, rmsprop, sgd};

const RATE: f32 = 1e-6;

#[inline(always)]
fn sgd_loop(x: &mut [f32], g: &[f32]) {
    for (x, g) in x.iter_mut().zip(g) {
        *x -= RATE * g;
    }
}

#[inline(always)]
fn momentum_loop(x: &mut [f32], b: &mut [f32], g: &[f32]) {
    for ((x, b), g) in x.iter_mut().zip(b).zip(g) {
        *b = 0.9 * *b + g;
        *x -= RATE * *b;
    }
}

#[inline(always)]
fn adam_loop(x: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], t: i32) {
    let rate = RATE / (1.0 - 0.9_f32.powi(t));
    let root = (1.0 - 0.999_f32.powi(t)).sqrt();
    for (((x, m), v), g) in x.iter_mut().zip(m).zip(v).zip(g) {
        *m = 0.9 * *m + 0.1 * g;
        *v = 0.999 * *v + 0.001 * g * g;
        *x -= rate * *m / (v.sqrt() / root + 1e-8);
    }
}

#[inline(always)]
fn lion_loop(x: &mut [f32], m: &mut [f32], g: &[f32]) {
    for ((x, m), g) in x.iter_mut().zip(m).zip(g) {
        let c = 0.9 * *m + 0.1 * g;
        let sign = if c == 0.0 { c } else { c.signum() };
        *x -= RATE * (sign + 1e-3 * *x);
        *m = 0.99 * *m + 0.01 * g;
    }
}

#[inline(always)]
fn rmsprop_loop(x: &mut [f32], v: &mut [f32], g: &[f32]) {
    for ((x, v), g) in x.iter_mut().zip(v).zip(g) {
        *v = 0.99 * *v + 0.01 * g * g;
        *x -= RATE * g / (v.sqrt() + 1e-8);
    }
}

#[inline(always)]
fn adagrad_loop(x: &mut [f32], s: &mut [f32], g: &[f32]) {
    for ((x, s), g) in x.iter_mut().zip(s).zip(g) {
        *s += g * g;
        *x -= RATE * g / (s.sqrt() + 1e-10);
    }
}

/// A loop compiled for AVX2 and FMA, to be called behind [`has_native`] only.
#[cfg(target_arch = "x86_64")]
macro_rules! native {
    ($name:ident = $body:ident($($arg:ident: $t:ty),*)) => {
        fn $name($($arg: $t),*) {
            #[target_feature(enable = "avx2,fma")]
            fn inner($($arg: $t),*) {
                $body($($arg),*);
            }
            // SAFETY: callers have asked `has_native`.
            unsafe { inner($($arg),*) }
        }
    };
}
#[cfg(not(target_arch = "x86_64"))]
macro_rules! native {
    ($name:ident = $body:ident($($arg:ident: $t:ty),*)) => {
        fn $name($($arg: $t),*) {
            $body($($arg),*);
        }
    };
}
native!(native_sgd = sgd_loop(x: &mut [f32], g: &[f32]));
native!(native_momentum = momentum_loop(x: &mut [f32], b: &mut [f32], g: &[f32]));
native!(native_adam = adam_loop(x: &mut [f32], m: &mut [f32], v: &mut [f32], g: &[f32], t: i32));

fn has_native() -> bool {
    thalweg::simd::Level::Avx2.is_available()
}

fn optimisers(c: &mut Criterion) {
    for n in [1000_usize, 100_000, 10_000_000] {
        let g: Vec<f32> = (0..n).map(|i| (i % 97) as f32 * 0.01 - 0.475).collect();
        let mut x = vec![1.0_f32; n];
        sgd_group(c, n, &mut x, &g);
        momentum_group(c, n, &mut x, &g);
        adam_group(c, "adam", n, &mut x, &g);
        single_buffer_groups(c, n, &mut x, &g);
        let silent: Vec<f32> = (0..n)
            .map(|i| if i % 89 == 0 { 0.0 } else { g[i] })
            .collect();
        if n == 100_000 {
            adam_group(c, "adam silent", n, &mut x, &silent);
        }
    }
}

fn sgd_group(c: &mut Criterion, n: usize, x: &mut [f32], g: &[f32]) {
    let mut group = c.benchmark_group("sgd");
    group.throughput(Throughput::Bytes(12 * n as u64));
    let config = sgd::Config::new(f64::from(RATE));
    let mut state = sgd::State::<[f32; 0]>::new();
    group.bench_function(BenchmarkId::new("thalweg", n), |b| {
        b.iter(|| sgd::step(&config, &mut state, black_box(x), black_box(g)));
    });
    group.bench_function(BenchmarkId::new("plain", n), |b| {
        b.iter(|| sgd_loop(black_box(x), black_box(g)));
    });
    if has_native() {
        group.bench_function(BenchmarkId::new("native", n), |b| {
            b.iter(|| native_sgd(black_box(x), black_box(g)));
        });
    }
    group.finish();
}

fn momentum_group(c: &mut Criterion, n: usize, x: &mut [f32], g: &[f32]) {
    let mut group = c.benchmark_group("momentum");
    group.throughput(Throughput::Bytes(20 * n as u64));
    let config = sgd::Config {
        momentum: 0.9,
        ..sgd::Config::new(f64::from(RATE))
    };
    let mut state = sgd::State::from_storage(vec![0.0_f32; n]);
    group.bench_function(BenchmarkId::new("thalweg", n), |b| {
        b.iter(|| sgd::step(&config, &mut state, black_box(x), black_box(g)));
    });
    let mut buffer = vec![0.0_f32; n];
    group.bench_function(BenchmarkId::new("plain", n), |b| {
        b.iter(|| momentum_loop(black_box(x), &mut buffer, black_box(g)));
    });
    if has_native() {
        group.bench_function(BenchmarkId::new("native", n), |b| {
            b.iter(|| native_momentum(black_box(x), &mut buffer, black_box(g)));
        });
    }
    group.finish();
}

fn adam_group(c: &mut Criterion, name: &str, n: usize, x: &mut [f32], g: &[f32]) {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Bytes(28 * n as u64));
    let warm = vec![0.3_f32; n];
    for arithmetic in [Arithmetic::Portable, Arithmetic::Fast] {
        let config = adam::Config {
            learning_rate: f64::from(RATE),
            arithmetic,
            ..Default::default()
        };
        let mut state = adam::State::from_storage(vec![0.0_f32; n], vec![0.0; n]);
        // One loud step, then silence where the gradient is 0: 1000 steps reach the subnormal range.
        if name != "adam" {
            let _ = adam::step(&config, &mut state, x, &warm);
            for _ in 0..1000 {
                let _ = adam::step(&config, &mut state, x, g);
            }
        }
        group.bench_function(BenchmarkId::new(format!("{arithmetic:?}"), n), |b| {
            b.iter(|| adam::step(&config, &mut state, black_box(x), black_box(g)));
        });
    }
    let (mut m, mut v, mut t) = (vec![0.0_f32; n], vec![0.0_f32; n], 0);
    if name != "adam" {
        adam_loop(x, &mut m, &mut v, &warm, 1);
        for t in 2..1000 {
            adam_loop(x, &mut m, &mut v, g, t);
        }
    }
    group.bench_function(BenchmarkId::new("plain", n), |b| {
        b.iter(|| {
            t += 1;
            adam_loop(black_box(x), &mut m, &mut v, black_box(g), t);
        });
    });
    if has_native() {
        group.bench_function(BenchmarkId::new("native", n), |b| {
            b.iter(|| {
                t += 1;
                native_adam(black_box(x), &mut m, &mut v, black_box(g), t);
            });
        });
    }
    group.finish();
}

/// Lion, RMSprop, Adagrad: 20 bytes per element, to be held against `momentum`, which moves as many.
fn single_buffer_groups(c: &mut Criterion, n: usize, x: &mut [f32], g: &[f32]) {
    let rate = f64::from(RATE);
    let mut buffer = vec![0.0_f32; n];
    let bytes = Throughput::Bytes(20 * n as u64);

    let mut group = c.benchmark_group("lion");
    group.throughput(bytes.clone());
    let mut state = lion::State::from_storage(vec![0.0_f32; n]);
    let config = lion::Config::new(rate);
    group.bench_function(BenchmarkId::new("thalweg", n), |b| {
        b.iter(|| lion::step(&config, &mut state, black_box(x), black_box(g)));
    });
    group.bench_function(BenchmarkId::new("plain", n), |b| {
        b.iter(|| lion_loop(black_box(x), &mut buffer, black_box(g)));
    });
    group.finish();

    for arithmetic in [Arithmetic::Portable, Arithmetic::Fast] {
        let mut group = c.benchmark_group("rmsprop");
        group.throughput(bytes.clone());
        let mut state = rmsprop::State::from_storage(vec![0.0_f32; n]);
        let config = rmsprop::Config {
            learning_rate: rate,
            arithmetic,
            ..Default::default()
        };
        group.bench_function(BenchmarkId::new(format!("{arithmetic:?}"), n), |b| {
            b.iter(|| rmsprop::step(&config, &mut state, black_box(x), black_box(g)));
        });
        group.finish();
        let mut group = c.benchmark_group("adagrad");
        group.throughput(bytes.clone());
        let mut state = adagrad::State::from_storage(vec![0.0_f32; n]);
        let config = adagrad::Config {
            learning_rate: rate,
            arithmetic,
            ..Default::default()
        };
        group.bench_function(BenchmarkId::new(format!("{arithmetic:?}"), n), |b| {
            b.iter(|| adagrad::step(&config, &mut state, black_box(x), black_box(g)));
        });
        group.finish();
    }
    buffer.fill(0.0);
    c.bench_function(&format!("rmsprop/plain/{n}"), |b| {
        b.iter(|| rmsprop_loop(black_box(x), &mut buffer, black_box(g)));
    });
    buffer.fill(0.0);
    c.bench_function(&format!("adagrad/plain/{n}"), |b| {
        b.iter(|| adagrad_loop(black_box(x), &mut buffer, black_box(g)));
    });
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
