//! Steps of label noise compared with the plain loop, with the same draws; the exact limit; the sums of a step compared with a read of the same bytes.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::time::Duration;
use thalweg::dynamics::invariant_measure::step_stats;
use thalweg::dynamics::label_noise::{self, Config, Sparse, State};
use thalweg::dynamics::limit_flow::{self, Exact};
use thalweg::matrix::MatrixRef;
use thalweg::random::{self, Purpose};

const N: usize = 40;
const STEPS: u64 = 1000;

fn normal(count: usize) -> Vec<f64> {
    let mut stream = random::stream(7, 0, 0, Purpose::DATA);
    (0..count).map(|_| random::normal(&mut stream)).collect()
}

fn plain(z: &[f64], y: &[f64], u: &mut [f64], v: &mut [f64], rng: &mut random::Stream) {
    let d = u.len();
    for _ in 0..STEPS {
        let i = random::below_usize(rng, y.len());
        let e: f64 = random::rademacher(rng);
        let Some(row) = z.chunks_exact(d).nth(i) else {
            return;
        };
        let f: f64 = row
            .iter()
            .zip(&*u)
            .zip(&*v)
            .map(|((z, u), v)| z * (u * u - v * v))
            .sum();
        let c = 2.0 * 1e-7 * (f - y.get(i).copied().unwrap_or(0.0) + e);
        for ((z, u), v) in row.iter().zip(&mut *u).zip(&mut *v) {
            *u -= c * z * *u;
            *v += c * z * *v;
        }
    }
}

fn label_noise(c: &mut Criterion) {
    let mut group = c.benchmark_group("label_noise");
    group.throughput(Throughput::Elements(STEPS));
    // Rows of z in L1, in L2, and beyond.
    for d in [100, 1000, 30_000] {
        let (z, y) = (normal(N * d), normal(N));
        let problem = MatrixRef::new(&z, N, d).and_then(|view| Sparse::new(view, &y));
        let Ok(problem) = problem else { continue };
        let mut rng = random::stream(1, 0, 0, Purpose::NOISE);
        // So small a step that nothing moves far while time is taken.
        let config = Config::new(1e-7);
        let mut state = State::uniform(vec![0.0; 2 * d], 1.0);
        group.bench_function(BenchmarkId::new("thalweg", d), |b| {
            b.iter(|| label_noise::run(&config, &problem, black_box(&mut state), STEPS, &mut rng));
        });
        let (mut u, mut v) = (vec![1.0; d], vec![1.0; d]);
        group.bench_function(BenchmarkId::new("plain", d), |b| {
            b.iter(|| plain(&z, &y, black_box(&mut u), black_box(&mut v), &mut rng));
        });
    }
    group.finish();
}

fn exact_limit(c: &mut Criterion) {
    let d = 100;
    let z = normal(N * d);
    let y: Vec<f64> = z
        .chunks(d)
        .filter_map(|row| Some(row.first()? - row.get(1)?))
        .collect();
    let problem = MatrixRef::new(&z, N, d).and_then(|view| Sparse::new(view, &y));
    let Ok(problem) = problem else { return };
    let mut scratch = vec![0.0; limit_flow::exact_scratch_len(N, d)];
    c.bench_function("exact_limit_40_100_to_2.5", |b| {
        b.iter(|| {
            let buffer = vec![0.0; limit_flow::exact_len(N, d)];
            let limit = Exact::new(&problem, black_box(&vec![1.0; 2 * d]), buffer, &mut scratch);
            let config = limit_flow::Config::default();
            limit.and_then(|mut limit| limit.advance(&config, &problem, 2.5, &mut scratch))
        });
    });
}

/// K1: three sums in one pass, compared with one sum of squares over the same bytes and the plain loop.
fn step_sums(c: &mut Criterion) {
    let mut group = c.benchmark_group("step_stats");
    // L1, L2, memory.
    for d in [1000, 100_000, 10_000_000] {
        let mut stream = random::stream(8, 0, 0, Purpose::DATA);
        let both: Vec<f32> = (0..2 * d).map(|_| random::uniform(&mut stream)).collect();
        let (x, g) = both.split_at(d);
        group.throughput(Throughput::Bytes(8 * d as u64));
        group.bench_function(BenchmarkId::new("thalweg", d), |b| {
            b.iter(|| step_stats(black_box(x), black_box(g)));
        });
        group.bench_function(BenchmarkId::new("sum of squares", d), |b| {
            b.iter(|| thalweg::vector::norm2_squared(black_box(&both)));
        });
        group.bench_function(BenchmarkId::new("plain", d), |b| {
            b.iter(|| {
                let (x, g) = (black_box(x), black_box(g));
                x.iter().zip(g).fold([0.0; 3], |[gg, tg, tt], (x, g)| {
                    let (x, g) = (f64::from(*x), f64::from(*g));
                    [gg + g * g, tg + x * g, tt + x * x]
                })
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600));
    targets = label_noise, exact_limit, step_sums
}
criterion_main!(benches);
