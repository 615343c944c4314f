//! Steps of SVGD compared with the plain loop over pairs, at one and at two threads.
//!
//! `cargo bench --bench particle` first prints one line per size: microseconds of a step with a fixed bandwidth, and its
//! share of the multiply-add peak of a core, measured in the same run. `python benches/peers/run.py --only svgd` compares the same step with
//! NumPy, PyTorch and JAX. Microseconds (Zen 3, AVX2, two cores, nothing else running; NumPy 2.4.6,
//! PyTorch 2.15.0, JAX 0.10.2; the lesser of two runs each):
//!
//! | (n, d) | threads | Portable | Fast | NumPy | PyTorch | JAX | fastest over Portable |
//! |---|---|---|---|---|---|---|---|
//! | (100, 10) | 1 | 21 | 20 | 61 | 106 | 72 | 2.9 |
//! | | 2 | 21 | 20 | 61 | 106 | 53 | 2.5 |
//! | (1000, 50) | 1 | 2655 | 2543 | 4548 | 4626 | 3858 | 1.45 |
//! | | 2 | 1730 | 1687 | 3948 | 4635 | 2257 | 1.31 |
//! | (2000, 200) | 1 | 33504 | 30945 | 45510 | 50632 | 45467 | 1.36 |
//! | | 2 | 21994 | 20988 | 31042 | 26161 | 24012 | 1.09 |
//!
//! At a peak of 101 GFLOP/s Fast does `3 n^2 d` flops at 0.58 and 0.77 of it for the larger two, exponentials and all.

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use thalweg::Arithmetic;
use thalweg::pairs::{Executor, Sequential};
use thalweg::particle::bandwidth::Bandwidth;
use thalweg::particle::{Particles, svgd};
use thalweg::simd::{Kernel, Lanes, Simd, dispatch};
use thalweg_std::par::particle::ThreadExecutor;

const SIZES: [(usize, usize); 3] = [(100, 10), (1000, 50), (2000, 200)];

fn painted(n: usize, phase: usize) -> Vec<f32> {
    (0..n)
        .map(|i| ((i * 37 + phase * 53 + i / 251) % 251) as f32 / 128.0 - 0.98)
        .collect()
}

/// A step from the same particles each time: they are copied in first.
struct Case {
    d: usize,
    start: Vec<f32>,
    particles: Vec<f32>,
    scores: Vec<f32>,
    scratch: Vec<f32>,
    config: svgd::Config,
}

impl Case {
    fn new(n: usize, d: usize, bandwidth: Bandwidth, arithmetic: Arithmetic) -> Self {
        let config = svgd::Config {
            bandwidth,
            arithmetic,
            ..svgd::Config::new(0.01)
        };
        Self {
            d,
            start: painted(n * d, 1),
            particles: painted(n * d, 1),
            scores: painted(n * d, 2),
            scratch: vec![0.0; config.scratch_len(n, d)],
            config,
        }
    }

    fn step(&mut self, executor: &mut impl Executor<f32>) {
        self.particles.copy_from_slice(&self.start);
        let mut none = svgd::State::<[f32; 0]>::new();
        let (particles, scratch) = (&mut self.particles, &mut self.scratch);
        let (config, d) = (&self.config, self.d);
        let done = svgd::step_with(
            executor,
            config,
            &mut none,
            Particles::new(d, particles),
            &self.scores,
            scratch,
        );
        debug_assert!(done.is_ok());
        black_box(&self.particles);
    }

    /// The published sum, pair by pair, in one thread.
    fn plain(&mut self) {
        let (d, h) = (self.d, self.d as f32);
        let rate = 0.01 * d as f32 / self.start.len() as f32;
        for (out, x) in self
            .particles
            .chunks_exact_mut(d)
            .zip(self.start.chunks_exact(d))
        {
            out.fill(0.0);
            for (y, g) in self.start.chunks_exact(d).zip(self.scores.chunks_exact(d)) {
                let q: f32 = x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum();
                let k = (-q / h).exp();
                for (((out, x), y), g) in out.iter_mut().zip(x).zip(y).zip(g) {
                    *out += k * (g + 2.0 / h * (x - y));
                }
            }
            for (out, x) in out.iter_mut().zip(x) {
                *out = x + rate * *out;
            }
        }
        black_box(&self.particles);
    }
}

/// Multiply-adds on twelve independent registers.
struct Peak(usize);

impl Kernel for Peak {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f32 {
        let splat = |x| S::F32::splat(simd, x);
        let mut acc = [splat(0.5); 12];
        let (a, b) = (splat(black_box(0.999)), splat(black_box(1e-3)));
        for _ in 0..self.0 {
            for acc in &mut acc {
                *acc = acc.mul_add(a, b);
            }
        }
        acc.into_iter()
            .fold(splat(0.0), |sum, x| sum + x)
            .halving_sum()
    }
}

struct Width;

impl Kernel for Width {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::F32::LEN
    }
}

/// The best of nine: on a machine that others use, a median tells about them.
fn seconds(repeats: usize, mut f: impl FnMut()) -> f64 {
    (0..9)
        .map(|_| {
            let start = Instant::now();
            (0..repeats).for_each(|_| f());
            start.elapsed().as_secs_f64() / repeats as f64
        })
        .fold(f64::INFINITY, f64::min)
}

fn ratios() {
    let flops = 24e5 * dispatch(Width) as f64;
    let peak = flops
        / seconds(5, || {
            black_box(dispatch(Peak(100_000)));
        });
    println!("multiply-add peak of one core: {:.1} GFLOP/s", peak * 1e-9);
    println!(
        "svgd, us of a step: Portable; Fast; Portable and Fast on two threads; Fast with the median"
    );
    println!("  then 3 n^2 d flops over the time of Fast on one thread, as a share of the peak");
    let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(2).build() else {
        return;
    };
    for (n, d) in SIZES {
        let repeats = 50_000_000 / (n * n * d) + 1;
        let fixed = Bandwidth::Fixed(d as f64);
        let mut portable = Case::new(n, d, fixed, Arithmetic::Portable);
        let mut fast = Case::new(n, d, fixed, Arithmetic::Fast);
        let mut median = Case::new(n, d, Bandwidth::median(1.0), Arithmetic::Fast);
        let mut threads = ThreadExecutor::new();
        let times = [
            seconds(repeats, || portable.step(&mut Sequential)),
            seconds(repeats, || fast.step(&mut Sequential)),
            pool.install(|| seconds(repeats, || portable.step(&mut threads))),
            pool.install(|| seconds(repeats, || fast.step(&mut threads))),
            seconds(repeats, || median.step(&mut Sequential)),
        ];
        let share = 3.0 * (n * n * d) as f64 / times[1] / peak;
        let us = times.map(|t| format!("{:.1}", t * 1e6)).join("  ");
        println!("  ({n}, {d}): {us}   {share:.2}");
    }
}

fn steps(criterion: &mut Criterion) {
    ratios();
    let mut group = criterion.benchmark_group("svgd");
    group.sample_size(10);
    for (n, d) in SIZES {
        let (name, fixed) = (format!("{n}x{d}"), Bandwidth::Fixed(d as f64));
        for (form, arithmetic) in [
            ("portable", Arithmetic::Portable),
            ("fast", Arithmetic::Fast),
        ] {
            let mut case = Case::new(n, d, fixed, arithmetic);
            group.bench_function(BenchmarkId::new(form, &name), |b| {
                b.iter(|| case.step(&mut Sequential));
            });
        }
        if n < 2000 {
            let mut case = Case::new(n, d, fixed, Arithmetic::Portable);
            group.bench_function(BenchmarkId::new("plain", &name), |b| {
                b.iter(|| case.plain());
            });
        }
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
