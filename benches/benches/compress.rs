//! Compressors beside what a user would write instead.
//!
//! RandK and PermK stand beside a shuffle of all indices, TopK beside `select_nth_unstable` on (magnitude, index)
//! pairs, the compressors that touch every element beside a copy.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thalweg::compress::{
    Buffers, Compressor, Dithering, Key, Natural, PermK, RandK, Sign, TopK, rand_k,
};
use thalweg::random::{self, Purpose};

const KEY: Key = Key {
    seed: 1,
    round: 2,
    client: 3,
};

fn normal(d: usize) -> Vec<f32> {
    let mut stream = random::stream(7, 0, 0, Purpose::DATA);
    (0..d).map(|_| random::normal(&mut stream)).collect()
}

/// What RandK costs when the indices are shuffled.
fn shared_seed(c: &mut Criterion) {
    let (d, k) = (10_000_000, 100_000);
    let x = normal(d);
    let mut group = c.benchmark_group("shared_seed_1e7_1e5");
    group.sample_size(10);
    let mut values = vec![0.0; k];
    group.bench_function("rand_k", |b| {
        b.iter(|| {
            let buffers = Buffers::values(&mut values);
            RandK::new(k)
                .compress(KEY, black_box(&x), buffers)
                .map(|m| black_box(m).len())
        });
    });
    group.bench_function("perm_k", |b| {
        b.iter(|| {
            let buffers = Buffers::values(&mut values);
            PermK::new(d / k)
                .compress(KEY, black_box(&x), buffers)
                .map(|m| black_box(m).len())
        });
    });
    let mut pool = rand_k::Pool::new(vec![0; d], k);
    if let Ok(pool) = &mut pool {
        group.bench_function("rand_k_pool", |b| {
            b.iter(|| {
                pool.draw(KEY)?;
                let buffers = Buffers::values(&mut values);
                let message = pool.compress(KEY, black_box(&x), buffers)?;
                Ok::<_, thalweg::Error>(black_box(message).len())
            });
        });
    }
    let mut indices: Vec<u32> = (0..d as u32).collect();
    group.bench_function("shuffle", |b| {
        let mut stream = random::stream(1, 2, 3, Purpose::COMPRESSOR);
        b.iter(|| {
            random::shuffle(&mut stream, &mut indices);
            for (v, &i) in values.iter_mut().zip(&indices) {
                *v = x[i as usize];
            }
            values[0]
        });
    });
    group.finish();
}

/// The plain way: pairs, `select_nth_unstable`, the first `k` in order of coordinate.
fn select_nth(x: &[f32], k: usize, pairs: &mut Vec<(u32, u32)>) -> u32 {
    pairs.clear();
    let magnitude = |x: f32| !(x.abs().to_bits());
    pairs.extend(x.iter().zip(0..).map(|(&x, i)| (magnitude(x), i)));
    let (top, _, _) = pairs.select_nth_unstable(k);
    top.sort_unstable_by_key(|pair| pair.1);
    top[0].1
}

fn top_k(c: &mut Criterion) {
    let d = 1_000_000;
    let mut group = c.benchmark_group("top_k_1e6");
    group.sample_size(10);
    let rising: Vec<f32> = (0..d).map(|i| i as f32).collect();
    let constant = vec![1.0_f32; d];
    for (name, x) in [
        ("normal", normal(d)),
        ("rising", rising),
        ("constant", constant),
    ] {
        for k in [d / 100, d / 1000] {
            let top_k = TopK { k };
            let lengths = Compressor::<f32>::lengths(&top_k, d);
            let (mut values, mut indices) = (vec![0.0; lengths.values], vec![0; lengths.indices]);
            group.bench_function(BenchmarkId::new(format!("thalweg_{name}"), k), |b| {
                b.iter(|| {
                    let buffers = Buffers {
                        indices: &mut indices,
                        ..Buffers::values(&mut values)
                    };
                    top_k
                        .compress(KEY, black_box(&x), buffers)
                        .map(|m| black_box(m).len())
                });
            });
            let mut pairs = Vec::with_capacity(d);
            group.bench_function(BenchmarkId::new(format!("select_nth_{name}"), k), |b| {
                b.iter(|| select_nth(black_box(&x), k, &mut pairs));
            });
        }
    }
    group.finish();
}

fn elementwise(c: &mut Criterion) {
    for d in [1000, 100_000, 1_000_000, 10_000_000] {
        let x = normal(d);
        let (mut values, mut levels) = (vec![0.0; d], vec![0; d]);
        let mut group = c.benchmark_group("elementwise");
        group.sample_size(10);
        group.throughput(Throughput::Bytes(8 * d as u64));
        group.bench_function(BenchmarkId::new("natural", d), |b| {
            b.iter(|| {
                let buffers = Buffers::values(&mut values);
                Natural
                    .compress(KEY, black_box(&x), buffers)
                    .map(|m| black_box(m).len())
            });
        });
        let mut copy = vec![0.0_f32; d];
        group.bench_function(BenchmarkId::new("copy", d), |b| {
            b.iter(|| copy.copy_from_slice(black_box(&x)));
        });
        group.bench_function(BenchmarkId::new("natural_in_place", d), |b| {
            b.iter(|| Natural.round(KEY, black_box(&mut copy)));
        });
        group.bench_function(BenchmarkId::new("qsgd_15", d), |b| {
            b.iter(|| {
                let buffers = Buffers {
                    levels: &mut levels,
                    ..Buffers::default()
                };
                let qsgd = Dithering::qsgd(15);
                qsgd.compress(KEY, black_box(&x), buffers)
                    .map(|m| black_box(m).len())
            });
        });
        group.bench_function(BenchmarkId::new("sign", d), |b| {
            b.iter(|| {
                let message = Sign.compress(KEY, black_box(&x), Buffers::default());
                message.map(|m| black_box(m).len())
            });
        });
        group.finish();
    }
}

criterion_group!(benches, shared_seed, top_k, elementwise);
criterion_main!(benches);
