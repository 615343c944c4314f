//! Dot product and norm compared with the plain loops, and with what the load ports allow.
//!
//! `loads` reads the same bytes with nothing but vector `or`: the practical limit of the load ports.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use thalweg::simd::{self, BitLanes, Kernel, Lanes, Simd};
use thalweg::vector;

fn plain_dot(x: &[f32], y: &[f32]) -> f32 {
    x.iter().zip(y).map(|(a, b)| a * b).sum()
}

fn plain_norm(x: &[f32]) -> f32 {
    x.iter().map(|a| a * a).sum::<f32>().sqrt()
}

/// Reads every element once, with four independent registers.
struct Loads<'a>(&'a [f32]);
impl Kernel for Loads<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let zero = S::U32::splat(simd, 0);
        let mut acc = [zero; 4];
        for four in S::F32::groups(self.0).0.chunks_exact(4) {
            for (a, x) in acc.iter_mut().zip(four) {
                *a = *a | S::F32::load(simd, x).to_bits();
            }
        }
        S::F32::from_bits((acc[0] | acc[1]) | (acc[2] | acc[3])).halving_sum()
    }
}

fn vectors(c: &mut Criterion) {
    for n in [1000, 4096, 100_000, 10_000_000] {
        let x: Vec<f32> = (0..n).map(|i| (i % 97) as f32 * 0.01).collect();
        let y: Vec<f32> = (0..n).map(|i| (i % 89) as f32 * 0.01).collect();
        let mut group = c.benchmark_group("dot");
        group.throughput(Throughput::Bytes(8 * n as u64));
        group.bench_function(BenchmarkId::new("thalweg", n), |b| {
            b.iter(|| vector::dot(black_box(&x), black_box(&y)));
        });
        group.bench_function(BenchmarkId::new("plain", n), |b| {
            b.iter(|| plain_dot(black_box(&x), black_box(&y)));
        });
        group.bench_function(BenchmarkId::new("loads", n), |b| {
            b.iter(|| simd::dispatch(Loads(black_box(&x))) + simd::dispatch(Loads(black_box(&y))));
        });
        group.finish();
        let mut group = c.benchmark_group("norm2");
        group.throughput(Throughput::Bytes(4 * n as u64));
        group.bench_function(BenchmarkId::new("thalweg", n), |b| {
            b.iter(|| vector::norm2(black_box(&x)));
        });
        group.bench_function(BenchmarkId::new("plain", n), |b| {
            b.iter(|| plain_norm(black_box(&x)));
        });
        group.bench_function(BenchmarkId::new("loads", n), |b| {
            b.iter(|| simd::dispatch(Loads(black_box(&x))));
        });
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots().sample_size(20);
    targets = vectors
}
criterion_main!(benches);
