//! Matrix products compared with `matrixmultiply` and the plain triple loop.
//!
//! `cargo bench --bench matrix` first prints the ratios that the documentation quotes: medians of runs that
//! are interleaved in one process, so that a change of clock or load meets all contenders alike.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use thalweg::matrix::{MatrixMut, MatrixRef, Product, gemm, gemm_scratch};
use thalweg::{Arithmetic, Real};

const SIZES: [usize; 4] = [64, 256, 512, 1024];

fn painted<T: Real>(n: usize, phase: usize) -> Vec<T> {
    (0..n)
        .map(|i| T::from_f64(((i * 37 + phase) % 251) as f64 / 256.0 - 0.48))
        .collect()
}

/// Square operands, a result and scratch.
struct Case<T> {
    n: usize,
    a: Vec<T>,
    b: Vec<T>,
    c: Vec<T>,
    scratch: Vec<T>,
}

impl<T: Real> Case<T> {
    fn new(n: usize) -> Self {
        Self {
            n,
            a: painted(n * n, 3),
            b: painted(n * n, 71),
            c: painted(n * n, 5),
            scratch: painted(gemm_scratch(n, n, n), 0),
        }
    }

    fn ours(&mut self, arithmetic: Arithmetic) {
        let n = self.n;
        let (Ok(a), Ok(b), Ok(c)) = (
            MatrixRef::new(&self.a, n, n),
            MatrixRef::new(&self.b, n, n),
            MatrixMut::new(&mut self.c, n, n),
        ) else {
            return;
        };
        let done = gemm(Product::plain(arithmetic), a, b, c, &mut self.scratch);
        debug_assert!(done.is_ok());
        black_box(&self.c);
    }

    /// The plain loop in the order that a compiler vectorises.
    fn naive(&mut self) {
        let n = self.n;
        for (c, a) in self.c.chunks_exact_mut(n).zip(self.a.chunks_exact(n)) {
            c.fill(T::ZERO);
            for (&a, b) in a.iter().zip(self.b.chunks_exact(n)) {
                for (c, &b) in c.iter_mut().zip(b) {
                    *c += a * b;
                }
            }
        }
        black_box(&self.c);
    }
}

trait Peer {
    fn peer(&mut self);
}

macro_rules! peer {
    ($t:ty, $gemm:ident) => {
        impl Peer for Case<$t> {
            fn peer(&mut self) {
                let (n, s) = (self.n, self.n as isize);
                let (a, b, c) = (self.a.as_ptr(), self.b.as_ptr(), self.c.as_mut_ptr());
                // SAFETY: three n x n row-major matrices, the result apart from the factors.
                unsafe {
                    matrixmultiply::$gemm(n, n, n, 1.0, a, s, 1, b, s, 1, 0.0, c, s, 1);
                }
                black_box(&self.c);
            }
        }
    };
}
peer!(f32, sgemm);
peer!(f64, dgemm);

fn median(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

fn ratios<T: Real>(name: &str)
where
    Case<T>: Peer,
{
    println!(
        "gemm {name}: us of matrixmultiply, its time over ours (Fast, Portable), ours Fast in GFLOP/s"
    );
    for n in SIZES {
        let mut case = Case::<T>::new(n);
        let repeats = (1 << 22) / (n * n * n) + 1;
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..15 {
            let mut run = |slot: usize, f: &mut dyn FnMut()| {
                let start = Instant::now();
                for _ in 0..repeats {
                    f();
                }
                times[slot].push(start.elapsed() / repeats as u32);
            };
            run(0, &mut || case.peer());
            run(1, &mut || case.ours(Arithmetic::Fast));
            run(2, &mut || case.ours(Arithmetic::Portable));
        }
        let [peer, fast, portable] = times.each_mut().map(|t| median(t));
        println!(
            "  {n:5}: {:10.1}  {:.2}  {:.2}  {:.1}",
            peer * 1e6,
            peer / fast,
            peer / portable,
            2e-9 * (n * n * n) as f64 / fast
        );
    }
}

fn products(criterion: &mut Criterion) {
    ratios::<f32>("f32");
    ratios::<f64>("f64");
    let mut group = criterion.benchmark_group("gemm");
    group.sample_size(10);
    for n in SIZES {
        let mut case = Case::<f32>::new(n);
        group.throughput(Throughput::Elements(2 * (n * n * n) as u64));
        group.bench_function(BenchmarkId::new("fast", n), |b| {
            b.iter(|| case.ours(Arithmetic::Fast));
        });
        group.bench_function(BenchmarkId::new("portable", n), |b| {
            b.iter(|| case.ours(Arithmetic::Portable));
        });
        group.bench_function(BenchmarkId::new("matrixmultiply", n), |b| {
            b.iter(|| case.peer());
        });
        group.bench_function(BenchmarkId::new("naive", n), |b| b.iter(|| case.naive()));
    }
    group.finish();
}

criterion_group!(benches, products);
criterion_main!(benches);
