//! Compressors compared with what a user would write instead.
//!
//! RandK and PermK are compared with a shuffle of all indices, TopK with `select_nth_unstable` on (magnitude, index)
//! pairs, the compressors that touch every element with a copy: eight bytes an element.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thalweg::compress::{
    Buffers, Compressor, Dithering, Key, Natural, Operator, PermK, RandK, Sign, TopK, rand_k,
};
use thalweg::random::{self, NoiseStream, Purpose};
use thalweg_benches::plain;
use thalweg_benches::race::{Contender, race};

const KEY: Key = Key {
    seed: 1,
    round: 2,
    client: 3,
};

fn normal(d: usize) -> Vec<f32> {
    let mut stream = random::stream(7, 0, 0, Purpose::DATA);
    (0..d).map(|_| random::normal(&mut stream)).collect()
}

/// What all contenders of a race work on.
struct Shared {
    x: Vec<f32>,
    values: Vec<f32>,
    words: Vec<u32>,
    levels: Vec<i32>,
    pairs: Vec<(u32, u32)>,
}

impl Shared {
    fn new(x: Vec<f32>) -> Self {
        let d = x.len();
        Self {
            x,
            values: vec![0.0; d],
            words: vec![0; d],
            levels: vec![0; d],
            pairs: Vec::with_capacity(d),
        }
    }
}

fn natural(s: &mut Shared) {
    let message = Natural.compress(KEY, black_box(&s.x), Buffers::values(&mut s.values));
    debug_assert!(black_box(message).is_ok());
}

fn qsgd(s: &mut Shared) {
    let buffers = Buffers {
        levels: &mut s.levels,
        ..Buffers::default()
    };
    let message = Dithering::qsgd(15).compress(KEY, black_box(&s.x), buffers);
    debug_assert!(black_box(message).is_ok());
}

fn sign(s: &mut Shared) {
    let message = Sign.compress(KEY, black_box(&s.x), Buffers::default());
    debug_assert!(black_box(message).is_ok());
}

fn races() {
    println!(
        "Least time of a call, bytes moved, times as fast as the first: by least times, by the median of rounds"
    );
    for d in [1000, 100_000, 1_000_000, 10_000_000] {
        let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
        let mut field: [Contender<'_, Shared>; 5] = [
            ("copy", &mut |s: &mut Shared| {
                black_box(&mut s.values).copy_from_slice(black_box(&s.x));
            }),
            ("words", &mut |s: &mut Shared| {
                lanes.fill_u32(black_box(&mut s.words));
            }),
            ("natural", &mut natural),
            ("qsgd 15", &mut qsgd),
            ("sign", &mut sign),
        ];
        race(&mut Shared::new(normal(d)), &mut field).print(&format!("d = {d}"), 8 * d);
    }
    let d = 1_000_000;
    for (name, x) in inputs(d) {
        let mut shared = Shared::new(x);
        for k in [d / 100, d / 1000] {
            let lengths = (TopK { k }).lengths(d);
            let (mut values, mut indices) = (vec![0.0; lengths.values], vec![0; lengths.indices]);
            let mut field: [Contender<'_, Shared>; 2] = [
                ("select_nth", &mut |s: &mut Shared| {
                    black_box(plain::select_nth(black_box(&s.x), k, &mut s.pairs));
                }),
                ("top_k", &mut |s: &mut Shared| {
                    let buffers = Buffers {
                        indices: &mut indices,
                        ..Buffers::values(&mut values)
                    };
                    let message = TopK { k }.compress(KEY, black_box(&s.x), buffers);
                    debug_assert!(black_box(message).is_ok());
                }),
            ];
            race(&mut shared, &mut field).print(&format!("{name}, d = {d}, k = {k}"), 4 * d);
        }
    }
    let (d, k) = (10_000_000, 100_000);
    let mut shared = Shared::new(normal(d));
    let mut indices: Vec<u32> = (0..d as u32).collect();
    let mut stream = random::stream(1, 2, 3, Purpose::COMPRESSOR);
    let mut field: [Contender<'_, Shared>; 3] = [
        ("shuffle", &mut |s: &mut Shared| {
            random::shuffle(&mut stream, &mut indices);
            for (v, &i) in s.values.iter_mut().zip(indices.iter().take(k)) {
                *v = s.x[i as usize];
            }
        }),
        ("rand_k", &mut |s: &mut Shared| {
            let buffers = Buffers::values(&mut s.values[..k]);
            let is_done = black_box(RandK::new(k).compress(KEY, &s.x, buffers)).is_ok();
            debug_assert!(is_done);
        }),
        ("perm_k", &mut |s: &mut Shared| {
            let buffers = Buffers::values(&mut s.values[..k]);
            let is_done = black_box(PermK::new(d / k).compress(KEY, &s.x, buffers)).is_ok();
            debug_assert!(is_done);
        }),
    ];
    race(&mut shared, &mut field).print(&format!("d = {d}, k = {k}"), 12 * k);
}

/// Inputs of TopK, by name.
fn inputs(d: usize) -> [(&'static str, Vec<f32>); 3] {
    [
        ("normal", normal(d)),
        ("rising", (0..d).map(|i| i as f32).collect()),
        ("constant", vec![1.0; d]),
    ]
}

/// What RandK costs when the indices are shuffled.
fn shared_seed(c: &mut Criterion) {
    races();
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

fn top_k(c: &mut Criterion) {
    let d = 1_000_000;
    let mut group = c.benchmark_group("top_k_1e6");
    group.sample_size(10);
    for (name, x) in inputs(d) {
        for k in [d / 100, d / 1000] {
            let top_k = TopK { k };
            let lengths = top_k.lengths(d);
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
                b.iter(|| plain::select_nth(black_box(&x), k, &mut pairs));
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
