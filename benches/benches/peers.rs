//! Our side of `benches/peers/run.py`, which compares these kernels with NumPy, PyTorch, JAX and scikit-learn.
//!
//! Not for running by hand: with `serve` it reads lines `task size threads seconds` and writes for each the least seconds of a call within that
//! budget, or `none` for what has no form for several threads. Tasks and inputs are those of the script.
//!
//! `python benches/peers/run.py --quick --threads 1 --rounds 3`, AMD EPYC of the Zen 4 generation (AVX-512), numpy 2.4.6, torch 2.15.0, jax 0.10.2,
//! optax 0.2.8, scikit-learn 1.9.1:
//!
//! | task | size | ours | numpy | torch | jax | fastest peer / ours |
//! |---|---|---|---|---|---|---|
//! | topk_1% | 1,000,000 | 135 us | 5.9 ms | 10 ms | 8.18 ms | 43.7 |
//! | topk_0.1% | 1,000,000 | 97.6 us | 5.97 ms | 2.82 ms | 2.21 ms | 22.6 |
//! | sign | 1,000,000 | 39.9 us | 326 us | - | 278 us | 7.0 |
//! | natural | 1,000,000 | 182 us | 2.52 ms | 2.68 ms | 16.7 ms | 13.8 |
//! | qsgd | 1,000,000 | 423 us | 2.75 ms | 3.68 ms | 17.3 ms | 6.5 |
//! | randk_1% | 1,000,000 | 59.7 us | 138 us | 4.67 ms | - | 2.3 |
//! | sgd | 100,000 | 7.64 us | 20.5 us | 29.6 us | 34.4 us | 2.7 |
//! | momentum | 100,000 | 13 us | 40.2 us | 42.6 us | 46.6 us | 3.1 |
//! | adam, portable and fast | 100,000 | 33, 24.4 us | 126 us | 83.8 us | 79.1 us | 2.4, 3.3 |
//! | rmsprop | 100,000 | 28.7 us | - | 120 us | 68.3 us | 2.4 |
//! | adagrad | 100,000 | 27.6 us | - | 61.4 us | 75.2 us | 2.2 |
//! | lion | 100,000 | 20.4 us | - | - | 66.1 us | 3.2 |
//! | svgd_fixed | 100 x 10 | 16.5 us | 36.9 us | 62.6 us | 36.7 us | 2.2 |
//! | svgd_median | 100 x 10 | 22.2 us | 81.2 us | 109 us | 1.57 ms | 3.7 |
//! | svgd_fixed | 1,000 x 50 | 2.06 ms | 3.06 ms | 3.49 ms | 2.53 ms | 1.2 |
//! | svgd_median | 1,000 x 50 | 2.32 ms | 13.5 ms | 11.9 ms | 237 ms | 5.1 |
//! | svgd_fixed | 2,000 x 200 | 26.8 ms | 34.6 ms | 46.1 ms | 32.9 ms | 1.2 |
//! | svgd_median | 2,000 x 200 | 28.2 ms | 83.8 ms | 83.2 ms | 1.16 s | 2.9 |
//! | em_full | 20,000 x 20 x 10 | 38.7 ms | 3.42 ms | 2.91 ms | - | 0.08 (scikit-learn, `f64`: 0.94) |
//! | gemm | 512 | 2.6 ms | 2.5 ms | 2.55 ms | 2.42 ms | 0.93 |
//! | gemm | 1,024 | 21.9 ms | 21.3 ms | 21.6 ms | 19.9 ms | 0.91 |
//!
//! SVGD and gemm take as long in fast arithmetic as in portable on this machine.

use std::hint::black_box;
use std::io::{BufRead, Write};
use std::time::Instant;

use thalweg::compress::{
    Buffers, Compressor, Dithering, Key, Natural, Operator, RandK, Sign, TopK,
};
use thalweg::kernel::tangent::{full_kernel_into, full_kernel_scratch_len, kernel_into};
use thalweg::matrix::{MatrixMut, MatrixRef, Product, gemm, gemm_scratch};
use thalweg::mixture::em;
use thalweg::mixture::gaussian::{Covariance, Mixture, params_len};
use thalweg::model::{Batch, Labels, mlp};
use thalweg::optim::{Optimiser, State, adagrad, adam, lion, rmsprop, sgd};
use thalweg::pairs::Sequential;
use thalweg::particle::bandwidth::Bandwidth;
use thalweg::particle::{Particles, svgd};
use thalweg::random::{NoiseStream, Purpose, stream};
use thalweg::{Arithmetic, Error};
use thalweg_std::par::optimiser::ParallelOptimiser;
use thalweg_std::par::{self, particle::ThreadExecutor};

const KEY: Key = Key {
    seed: 1,
    round: 2,
    client: 3,
};

const RATE: f64 = 1e-6;

/// One call of a task.
type Call = Box<dyn FnMut() -> Result<(), Error> + Send>;

fn normals(n: usize, phase: u64) -> Vec<f32> {
    let mut out = vec![0.0; n];
    NoiseStream::new(&mut stream(phase, 0, 0, Purpose::DATA)).fill_normal(&mut out);
    out
}

fn top_k(d: usize, k: usize) -> Call {
    let (x, c) = (normals(d, 1), TopK { k });
    let lengths = c.lengths(d);
    let (mut values, mut indices) = (vec![0.0; lengths.values], vec![0; lengths.indices]);
    Box::new(move || {
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        c.compress(KEY, black_box(&x), buffers).map(|m| {
            black_box(m);
        })
    })
}

fn values(d: usize, k: usize, c: impl Compressor<f32> + Send + 'static) -> Call {
    let (x, mut values) = (normals(d, 1), vec![0.0; k]);
    Box::new(move || {
        let message = c.compress(KEY, black_box(&x), Buffers::values(&mut values));
        message.map(|m| {
            black_box(m);
        })
    })
}

fn qsgd(d: usize) -> Call {
    let (x, mut levels) = (normals(d, 1), vec![0; d]);
    Box::new(move || {
        let buffers = Buffers {
            levels: &mut levels,
            ..Buffers::default()
        };
        let message = Dithering::qsgd(15).compress(KEY, black_box(&x), buffers);
        message.map(|m| {
            black_box(m);
        })
    })
}

/// A step of one state, or of a state for each block.
fn optimiser<S: Send + 'static>(
    n: usize,
    threads: usize,
    mut state: impl FnMut(usize) -> S,
    step: impl Fn(&mut S, &mut [f32], &[f32]) -> Result<(), Error> + Send + Sync + 'static,
) -> Call {
    let (mut x, g) = (vec![1.0; n], normals(n, 1));
    if threads > 1 {
        let mut states = ParallelOptimiser::new(n, state);
        return Box::new(move || states.step(black_box(&mut x), black_box(&g), &step));
    }
    let mut state = state(n);
    Box::new(move || step(&mut state, black_box(&mut x), black_box(&g)))
}

fn zeros(n: usize) -> Vec<f32> {
    vec![0.0; n]
}

fn svgd(n: usize, d: usize, threads: usize, bandwidth: Bandwidth, arithmetic: Arithmetic) -> Call {
    let config = svgd::Config {
        bandwidth,
        arithmetic,
        ..svgd::Config::new(0.01)
    };
    let (start, scores) = (normals(n * d, 1), normals(n * d, 2));
    let mut x = start.clone();
    let mut scratch = vec![0.0; config.scratch_len(n, d)];
    let mut executor = ThreadExecutor::new();
    Box::new(move || {
        x.copy_from_slice(&start);
        let mut none = svgd::State::<[f32; 0]>::new();
        let s = &mut scratch;
        if threads > 1 {
            svgd::step_with(
                &mut executor,
                &config,
                &mut none,
                Particles::new(d, &mut x),
                &scores,
                s,
            )?;
        } else {
            svgd::step_with(
                &mut Sequential,
                &config,
                &mut none,
                Particles::new(d, &mut x),
                &scores,
                s,
            )?;
        }
        black_box(&x);
        Ok(())
    })
}

fn square(n: usize, threads: usize, arithmetic: Arithmetic) -> Call {
    let (a, b, mut c) = (normals(n * n, 1), normals(n * n, 2), zeros(n * n));
    let mut scratch = zeros(gemm_scratch(n, n, n));
    Box::new(move || {
        let (a, b) = (MatrixRef::new(&a, n, n)?, MatrixRef::new(&b, n, n)?);
        let c = MatrixMut::new(black_box(&mut c), n, n)?;
        if threads > 1 {
            par::gemm(Product::plain(arithmetic), a, b, c)
        } else {
            gemm(Product::plain(arithmetic), a, b, c, &mut scratch)
        }
    })
}

/// A step of EM on normal rows, from means among them and unit covariances.
fn mixture(n: usize, k: usize, d: usize) -> Result<Call, Error> {
    const SHAPE: Covariance = Covariance::Full;
    let data = normals(n * d, 1);
    let mut fitted = Mixture::new(SHAPE, k, d, vec![0.0; params_len(SHAPE, k, d)])?;
    let mut scratch = vec![0.0; em::scratch_len(SHAPE, n, k, d)];
    let unit: Vec<f32> = (0..d * d)
        .map(|i| f32::from(u8::from(i % (d + 1) == 0)))
        .collect();
    for (j, mean) in data.chunks_exact(d).take(k).enumerate() {
        fitted.set_component(j, mean, &unit, &mut scratch)?;
    }
    Ok(Box::new(move || {
        let rows = MatrixRef::new(&data, n, d)?;
        em::step(&em::Config::default(), &mut fitted, rows, &mut scratch).map(|found| {
            black_box(found);
        })
    }))
}

/// The tangent kernel of a network `d-hidden-c` on `n` rows: the mean over outputs, or all pairs of them.
fn tangent(n: usize, sizes: [usize; 3], arithmetic: Arithmetic, is_full: bool) -> Call {
    const fn model(sizes: &[usize; 3], arithmetic: Arithmetic) -> mlp::Model<'_, f32> {
        mlp::Model {
            arithmetic,
            ..mlp::Model::new(sizes)
        }
    }
    let [inputs, _, outputs] = sizes;
    let network = model(&sizes, arithmetic);
    let (x, params) = (normals(n * inputs, 1), normals(network.dim(), 2));
    let size = if is_full { n * outputs } else { n };
    let (mut h, mut scratch) = (
        zeros(size * size),
        zeros(full_kernel_scratch_len(&network, n)),
    );
    Box::new(move || {
        let batch = Batch::new(black_box(&x), inputs, Labels::None)?;
        let view = MatrixMut::new(&mut h, size, size)?;
        let network = model(&sizes, arithmetic);
        if is_full {
            full_kernel_into(&network, &params, &batch, view, &mut scratch)
        } else {
            kernel_into(&network, &params, &batch, view, &mut scratch)
        }
    })
}

/// The numbers of `1000x50`.
fn sizes(size: &str) -> Vec<usize> {
    size.split('x').filter_map(|n| n.parse().ok()).collect()
}

/// The task of a line; `None` for names that are not ours, and for two threads where there is one only.
fn task(name: &str, size: &str, threads: usize) -> Option<Call> {
    use Arithmetic::{Fast, Portable};
    let size = sizes(size);
    let n = size.first().copied()?;
    let parallel = [
        "sgd", "momentum", "adam", "rmsprop", "adagrad", "lion", "svgd", "gemm",
    ];
    if threads > 1 && !parallel.iter().any(|p| name.starts_with(p)) {
        return None;
    }
    let arithmetic = if name.ends_with("fast") {
        Fast
    } else {
        Portable
    };
    Some(match name {
        "topk_1%" => top_k(n, n / 100),
        "topk_0.1%" => top_k(n, n / 1000),
        "sign" => values(n, 0, Sign),
        "natural" => values(n, n, Natural),
        "qsgd" => qsgd(n),
        "randk_1%" => values(n, n / 100, RandK::new(n / 100)),
        "sgd" => {
            let config = sgd::Config::new(RATE);
            let state = |_| State::new([0.0_f32; 0]);
            optimiser(n, threads, state, move |s, x, g| config.step(s, x, g))
        }
        "momentum" => {
            let config = sgd::Config {
                momentum: 0.9,
                ..sgd::Config::new(RATE)
            };
            let state = |n| State::new(zeros(n));
            optimiser(n, threads, state, move |s, x, g| config.step(s, x, g))
        }
        "adam" | "adam_fast" => {
            let config = adam::Config {
                learning_rate: RATE,
                arithmetic,
                ..adam::Config::adam()
            };
            let state = |n| State::new(zeros(2 * n));
            optimiser(n, threads, state, move |s, x, g| config.step(s, x, g))
        }
        "rmsprop" => {
            let config = rmsprop::Config {
                learning_rate: RATE,
                ..Default::default()
            };
            let state = |n| State::new(zeros(n));
            optimiser(n, threads, state, move |s, x, g| config.step(s, x, g))
        }
        "adagrad" => {
            let config = adagrad::Config {
                learning_rate: RATE,
                ..Default::default()
            };
            let state = |n| State::new(zeros(n));
            optimiser(n, threads, state, move |s, x, g| config.step(s, x, g))
        }
        "lion" => {
            let config = lion::Config::new(RATE);
            let state = |n| State::new(zeros(n));
            optimiser(n, threads, state, move |s, x, g| config.step(s, x, g))
        }
        "svgd_fixed" | "svgd_fixed_fast" => {
            let d = size.get(1).copied()?;
            svgd(n, d, threads, Bandwidth::Fixed(d as f64), arithmetic)
        }
        "svgd_median" | "svgd_median_fast" => svgd(
            n,
            size.get(1).copied()?,
            threads,
            Bandwidth::median(1.0),
            arithmetic,
        ),
        "em_full" => mixture(n, size.get(1).copied()?, size.get(2).copied()?).ok()?,
        "ntk" | "ntk_fast" | "ntk_full" | "ntk_full_fast" => {
            let [n, sizes @ ..] = <[usize; 4]>::try_from(size).ok()?;
            tangent(n, sizes, arithmetic, name.starts_with("ntk_full"))
        }
        "gemm" | "gemm_fast" => square(n, threads, arithmetic),
        _ => return None,
    })
}

/// Least seconds of a call within a budget: bursts of calls that are long enough to be timed.
fn least(call: &mut Call, budget: f64) -> Result<f64, Error> {
    let start = Instant::now();
    let mut least = f64::INFINITY;
    let mut calls = 1_usize;
    while least == f64::INFINITY || start.elapsed().as_secs_f64() < budget {
        let burst = Instant::now();
        for _ in 0..calls {
            call()?;
        }
        let seconds = burst.elapsed().as_secs_f64();
        if seconds < 2e-5 && calls < 1 << 20 {
            calls *= 2;
            continue;
        }
        least = least.min(seconds / calls as f64);
    }
    Ok(least)
}

fn main() {
    if !std::env::args().any(|a| a == "serve") {
        println!("python benches/peers/run.py asks this program for its times");
        return;
    }
    let mut current: Option<(String, Call)> = None;
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, size, threads, budget] = words[..] else {
            continue;
        };
        let (threads, budget) = (threads.parse().unwrap_or(1), budget.parse().unwrap_or(0.05));
        let key = format!("{name} {size} {threads}");
        if current.as_ref().is_none_or(|(known, _)| *known != key) {
            drop(current.take());
            current = task(name, size, threads).map(|call| (key, call));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let found = match (&mut current, pool) {
            (Some((_, call)), Ok(pool)) if threads > 1 => pool.install(|| least(call, budget)).ok(),
            (Some((_, call)), _) => least(call, budget).ok(),
            (None, _) => None,
        };
        let answer = found.map_or("none".into(), |seconds| format!("{seconds:e}"));
        if writeln!(out, "{answer}")
            .and_then(|()| out.flush())
            .is_err()
        {
            return;
        }
    }
}
