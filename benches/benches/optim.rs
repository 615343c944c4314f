//! Optimiser steps compared with the plain loops they replace, at L1, L2 and memory size.
//!
//! Muon is compared with the products of matrices of its step, on a square of as many weights, at most 100,000.
//!
//! `native` is the plain loop compiled for the level that our steps run on, `plain` the same for the baseline instruction set,
//! `traffic` a loop with the same loads and stores and next to no arithmetic: the bytes that a step moves. `silent` cases feed
//! gradients of which one in 89 is always 0: the moments of a plain loop become subnormal there, ours do not.
//!
//! Buffers start on a page, 16 bytes past it, as large allocations of glibc do, or 4 bytes (one `f64`) past it; those of memory
//! size also lie in huge pages.
//!
//! `cargo bench -p thalweg_benches --bench optim -- race` prints how many times as fast as `native` every step is, at every level, type,
//! length and place; words that follow (`avx2`, `f64`, `momentum`, `fast`, `20000`) choose among them, and `long` prints times.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group};
use std::hint::black_box;
use std::time::Duration;
use thalweg::Arithmetic::{self, Fast, Portable};
use thalweg::Real;
use thalweg::matrix::{self, MatrixMut, MatrixRef, Product, Upper};
use thalweg::optim::{
    Elementwise, Layer, Optimiser, State, adagrad, adam, bf16, lamb, lion, muon, nero, rmsprop, sgd,
};
use thalweg::random::{self, NoiseStream, Purpose};
use thalweg::simd::{self, Level};
use thalweg_benches::plain;
use thalweg_benches::race::{Buffer, Contender, race, race_within};

const RATE: f64 = plain::RATE;

/// Bytes between an allocation of glibc and the page before it.
const GLIBC: usize = 16;

/// The plain loops of a type.
trait Number: Real {
    const NAME: &'static str;
    fn sgd(level: Level) -> fn(&mut [Self], &[Self]);
    fn traffic2(level: Level) -> fn(&mut [Self], &[Self]);
    fn momentum(level: Level) -> Looped<Self>;
    fn lion(level: Level) -> Looped<Self>;
    fn rmsprop(level: Level) -> Looped<Self>;
    fn adagrad(level: Level) -> Looped<Self>;
    fn traffic3(level: Level) -> Looped<Self>;
    fn adam(level: Level) -> AdamLoop<Self>;
    fn lamb(level: Level) -> AdamLoop<Self>;
    fn nero(level: Level) -> NeroLoop<Self>;
    fn traffic4(level: Level) -> TrafficLoop<Self>;
}

/// A plain loop with one buffer.
type Looped<T> = fn(&mut [T], &mut [T], &[T]);

/// A plain loop: parameters, two moments, gradient, count of steps.
type AdamLoop<T> = fn(&mut [T], &mut [T], &mut [T], &[T], i32);

/// A plain loop: parameters, a number a row, gradient, count of steps.
type NeroLoop<T> = fn(&mut [T], &mut [T], &[T], i32);

/// The traffic of Adam: parameters, two moments, gradient.
type TrafficLoop<T> = fn(&mut [T], &mut [T], &mut [T], &[T]);

macro_rules! number {
    ($t:ident, $module:ident) => {
        impl Number for $t {
            const NAME: &'static str = stringify!($t);
            number!(@loops $module
                sgd: fn(&mut [Self], &[Self]), traffic2: fn(&mut [Self], &[Self]),
                momentum: Looped<Self>, lion: Looped<Self>, rmsprop: Looped<Self>, adagrad: Looped<Self>,
                traffic3: Looped<Self>, adam: AdamLoop<Self>, lamb: AdamLoop<Self>, nero: NeroLoop<Self>,
                traffic4: TrafficLoop<Self>);
        }
    };
    (@loops $module:ident $($name:ident: $f:ty),*) => {
        $(fn $name(level: Level) -> $f {
            plain::$module::$name(level)
        })*
    };
}
number!(f32, single);
number!(f64, double);

/// Parameters and gradient that all contenders share.
struct Shared<T> {
    x: Buffer<T>,
    g: Buffer<T>,
}

impl<T: Real> Shared<T> {
    fn new(n: usize, offset: usize, is_silent: bool) -> Self {
        let gradient = |i| {
            if is_silent && i % 89 == 0 {
                0.0
            } else {
                (i % 97) as f64 * 0.01 - 0.475
            }
        };
        Self {
            x: buffer(n, offset, |_| 1.0),
            g: buffer(n, offset, gradient),
        }
    }
}

type Step<T> = Box<dyn FnMut(&mut Shared<T>)>;

/// The contenders of a level for parameters of a length at an offset, the plain loop first.
type Contenders<T> = fn(Level, usize, usize) -> Vec<(&'static str, Step<T>)>;

/// Name, arrays that are read or written, contenders.
const fn groups<T: Number>() -> [(&'static str, usize, Contenders<T>); 9] {
    [
        ("sgd", 3, sgd_contenders),
        ("momentum", 5, momentum_contenders),
        ("adam", 7, adam_contenders),
        ("lion", 5, lion_contenders),
        ("rmsprop", 5, rmsprop_contenders),
        ("adagrad", 5, adagrad_contenders),
        ("lamb", 11, lamb_contenders),
        ("nero", 3, nero_contenders),
        ("muon", 16, muon_contenders),
    ]
}

/// `n` numbers that start `place` bytes past a page, or as many as the type allows; [`HUGE`]: in huge pages.
fn buffer<T: Real>(n: usize, place: usize, f: impl Fn(usize) -> f64) -> Buffer<T> {
    if place == HUGE {
        Buffer::huge(n, f)
    } else {
        Buffer::new(n, place.div_ceil(T::BYTES), f)
    }
}

fn zeros<T: Real>(n: usize, offset: usize) -> Buffer<T> {
    buffer(n, offset, |_| 0.0)
}

fn sgd_contenders<T: Number>(level: Level, _: usize, _: usize) -> Vec<(&'static str, Step<T>)> {
    let mut state = State::new([T::ZERO; 0]);
    let looped = |f: fn(&mut [T], &[T])| -> Step<T> {
        Box::new(move |s| f(black_box(&mut s.x), black_box(&s.g)))
    };
    let config = sgd::Config::new(RATE);
    vec![
        ("native", looped(T::sgd(level))),
        ("plain", looped(T::sgd(Level::Scalar))),
        ("traffic", looped(T::traffic2(level))),
        (
            "portable",
            Box::new(move |s| {
                let config = black_box(&config);
                let done = config.step(&mut state, black_box(&mut s.x), black_box(&s.g));
                debug_assert!(done.is_ok());
            }),
        ),
    ]
}

fn looped<T: Number>(n: usize, offset: usize, f: Looped<T>) -> Step<T> {
    let mut buffer = zeros(n, offset);
    Box::new(move |s| f(black_box(&mut s.x), &mut buffer, black_box(&s.g)))
}

fn momentum_contenders<T: Number>(
    level: Level,
    n: usize,
    offset: usize,
) -> Vec<(&'static str, Step<T>)> {
    let mut state = State::new_in(zeros(n, offset));
    let config = sgd::Config {
        momentum: 0.9,
        ..sgd::Config::new(RATE)
    };
    vec![
        ("native", looped(n, offset, T::momentum(level))),
        ("plain", looped(n, offset, T::momentum(Level::Scalar))),
        ("traffic", looped(n, offset, T::traffic3(level))),
        (
            "portable",
            Box::new(move |s| {
                let config = black_box(&config);
                let done = config.step(&mut state, black_box(&mut s.x), black_box(&s.g));
                debug_assert!(done.is_ok());
            }),
        ),
        ("bf16", narrow(config, n)),
    ]
}

fn adam_contenders<T: Number>(
    level: Level,
    n: usize,
    offset: usize,
) -> Vec<(&'static str, Step<T>)> {
    let looped = |f: AdamLoop<T>| -> Step<T> {
        let (mut m, mut v, mut t) = (zeros(n, offset), zeros(n, offset), 0);
        Box::new(move |s| {
            t += 1;
            f(black_box(&mut s.x), &mut m, &mut v, black_box(&s.g), t);
        })
    };
    let traffic = |f: TrafficLoop<T>| -> Step<T> {
        let (mut m, mut v) = (zeros(n, offset), zeros(n, offset));
        Box::new(move |s| f(black_box(&mut s.x), &mut m, &mut v, black_box(&s.g)))
    };
    let ours = |arithmetic| -> Step<T> {
        let mut state = State::new(zeros(2 * n, offset));
        let config = adam::Config {
            learning_rate: RATE,
            arithmetic,
            ..Default::default()
        };
        Box::new(move |s| {
            let config = black_box(&config);
            let done = config.step(&mut state, black_box(&mut s.x), black_box(&s.g));
            debug_assert!(done.is_ok());
        })
    };
    vec![
        ("native", looped(T::adam(level))),
        ("plain", looped(T::adam(Level::Scalar))),
        ("traffic", traffic(T::traffic4(level))),
        ("portable", ours(Portable)),
        ("fast", ours(Fast)),
        ("bf16", narrow(adam::Config::adam(), n)),
    ]
}

fn lion_contenders<T: Number>(
    level: Level,
    n: usize,
    offset: usize,
) -> Vec<(&'static str, Step<T>)> {
    let mut state = State::new_in(zeros(n, offset));
    let config = lion::Config::new(RATE);
    vec![
        ("native", looped(n, offset, T::lion(level))),
        ("plain", looped(n, offset, T::lion(Level::Scalar))),
        ("traffic", looped(n, offset, T::traffic3(level))),
        (
            "portable",
            Box::new(move |s| {
                let config = black_box(&config);
                let done = config.step(&mut state, black_box(&mut s.x), black_box(&s.g));
                debug_assert!(done.is_ok());
            }),
        ),
    ]
}

fn rmsprop_contenders<T: Number>(
    level: Level,
    n: usize,
    offset: usize,
) -> Vec<(&'static str, Step<T>)> {
    let ours = |arithmetic: Arithmetic| -> Step<T> {
        let mut state = State::new_in(zeros(n, offset));
        let config = rmsprop::Config {
            learning_rate: RATE,
            arithmetic,
            ..Default::default()
        };
        Box::new(move |s| {
            let config = black_box(&config);
            let done = config.step(&mut state, black_box(&mut s.x), black_box(&s.g));
            debug_assert!(done.is_ok());
        })
    };
    vec![
        ("native", looped(n, offset, T::rmsprop(level))),
        ("plain", looped(n, offset, T::rmsprop(Level::Scalar))),
        ("traffic", looped(n, offset, T::traffic3(level))),
        ("portable", ours(Portable)),
        ("fast", ours(Fast)),
    ]
}

fn adagrad_contenders<T: Number>(
    level: Level,
    n: usize,
    offset: usize,
) -> Vec<(&'static str, Step<T>)> {
    let ours = |arithmetic: Arithmetic| -> Step<T> {
        let mut state = State::new_in(zeros(n, offset));
        let config = adagrad::Config {
            learning_rate: RATE,
            arithmetic,
            ..Default::default()
        };
        Box::new(move |s| {
            let config = black_box(&config);
            let done = config.step(&mut state, black_box(&mut s.x), black_box(&s.g));
            debug_assert!(done.is_ok());
        })
    };
    vec![
        ("native", looped(n, offset, T::adagrad(level))),
        ("plain", looped(n, offset, T::adagrad(Level::Scalar))),
        ("traffic", looped(n, offset, T::traffic3(level))),
        ("portable", ours(Portable)),
        ("fast", ours(Fast)),
    ]
}

/// A step with moments in bf16.
fn narrow<T: Number, C: Elementwise + 'static>(config: C, n: usize) -> Step<T> {
    let mut state = State::new(vec![0; config.memory_len(n)]);
    let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
    Box::new(move |s| {
        let (config, x) = (black_box(&config), black_box(&mut s.x));
        let done = bf16::step(config, &mut state, x, black_box(&s.g), &mut lanes);
        debug_assert!(done.is_ok());
    })
}

/// A step of an optimiser on one layer.
fn layered<T: Number, C: Optimiser + 'static>(config: C, layer: Layer, offset: usize) -> Step<T> {
    let layers = [layer];
    let memory = zeros(config.layers_memory_len(&layers), offset);
    let workspace = zeros(config.workspace_len(&layers), offset);
    let mut state = State::new_in(memory).with_workspace(workspace);
    Box::new(move |s| {
        let (config, n) = (black_box(&config), layer.len());
        let (x, g) = (black_box(&mut s.x[..n]), black_box(&s.g[..n]));
        let done = config.step_layers(&layers, &mut state, x, g);
        debug_assert!(done.is_ok());
    })
}

fn lamb_contenders<T: Number>(
    level: Level,
    n: usize,
    offset: usize,
) -> Vec<(&'static str, Step<T>)> {
    let looped = |f: AdamLoop<T>| -> Step<T> {
        let (mut m, mut v, mut t) = (zeros(n, offset), zeros(n, offset), 0);
        Box::new(move |s| {
            t += 1;
            f(black_box(&mut s.x), &mut m, &mut v, black_box(&s.g), t);
        })
    };
    vec![
        ("native", looped(T::lamb(level))),
        ("plain", looped(T::lamb(Level::Scalar))),
        (
            "portable",
            layered(lamb::Config::new(RATE), Layer::Vector(n), offset),
        ),
    ]
}

/// Rows of [`plain::ROW`] inputs, whose number divides every length.
fn nero_contenders<T: Number>(
    level: Level,
    n: usize,
    offset: usize,
) -> Vec<(&'static str, Step<T>)> {
    let (rows, columns) = (n / plain::ROW, plain::ROW);
    let looped = |f: NeroLoop<T>| -> Step<T> {
        let (mut v, mut t) = (zeros(rows, offset), 0);
        Box::new(move |s| {
            t += 1;
            f(black_box(&mut s.x), &mut v, black_box(&s.g), t);
        })
    };
    let config = nero::Config {
        learning_rate: RATE,
        ..Default::default()
    };
    vec![
        ("native", looped(T::nero(level))),
        ("plain", looped(T::nero(Level::Scalar))),
        (
            "portable",
            layered(config, Layer::Matrix { rows, columns }, offset),
        ),
    ]
}

/// A square of at most so many weights; the first contender is the products of a step alone, in portable arithmetic.
fn muon_contenders<T: Number>(_: Level, n: usize, offset: usize) -> Vec<(&'static str, Step<T>)> {
    let side = n.isqrt();
    let config = muon::Config::new(RATE);
    let fast = muon::Config {
        arithmetic: Fast,
        ..config
    };
    let layer = Layer::Matrix {
        rows: side,
        columns: side,
    };
    let [mut a, mut b] = [(); 2].map(|()| zeros::<T>(side * side, offset));
    let mut scratch = zeros(matrix::gemm_scratch(side, side, side), offset);
    let products: Step<T> = Box::new(move |s| {
        let x = MatrixRef::new(&s.g[..side * side], side, side);
        let mut product = || -> Result<(), thalweg::Error> {
            let out = MatrixMut::new(&mut a, side, side)?;
            matrix::syrk(Product::PLAIN, x?, Upper::Mirror, out, &mut scratch)?;
            let out = MatrixMut::new(&mut b, side, side)?;
            matrix::syrk(Product::PLAIN, x?, Upper::Mirror, out, &mut scratch)?;
            let out = MatrixMut::new(&mut a, side, side)?;
            matrix::gemm(Product::PLAIN, x?, x?, out, &mut scratch)
        };
        for _ in 0..config.iterations {
            let done = product();
            debug_assert!(done.is_ok());
        }
    });
    vec![
        ("products", products),
        ("portable", layered(config, layer, offset)),
        ("fast", layered(fast, layer, offset)),
    ]
}

const LENGTHS: [usize; 4] = [1000, 20_000, 100_000, 10_000_000];

/// Muon on ten million weights takes half a minute.
fn is_too_long(group: &str, n: usize) -> bool {
    group == "muon" && n > 100_000
}

/// Bytes past a page.
const PLACES: [usize; 3] = [0, GLIBC, 4];

/// Times that the buffers of a race are placed anew, the old ones kept: pages of a physical address that a cache has no room for
/// double a time, for whichever contender they are dealt to. Least times are those over all of them.
const PLACINGS: usize = 3;

/// The place of buffers in huge pages: [`PLACES`] and this one where memory is the limit.
const HUGE: usize = usize::MAX;

/// What the words on the command line ask for: everything of a kind where none of its words is there.
struct Choice {
    words: Vec<String>,
}

impl Choice {
    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|w| w == word)
    }

    fn wants(&self, word: &str, kind: &[&str]) -> bool {
        self.has(word) || !kind.iter().any(|w| self.has(w))
    }
}

/// Our steps against the plain loop at one level: a row a step, a column a length and place.
fn table<T: Number>(level: Level, name: &str, choice: &Choice) {
    let types = [f32::NAME, f64::NAME];
    let levels = ["avx512", "avx2", "sse2"];
    let lengths = LENGTHS.map(|n| n.to_string());
    let lengths = lengths.each_ref().map(String::as_str);
    if !choice.wants(T::NAME, &types) || !choice.wants(name, &levels) {
        return;
    }
    // The best level is found as in a program, not forced.
    if simd::level() != level && !simd::force(Some(level)) {
        return;
    }
    let names = groups::<T>().map(|(name, ..)| name);
    println!("{name} {}", T::NAME);
    for (group, arrays, contenders) in groups::<T>() {
        if !choice.wants(group, &names) {
            continue;
        }
        let mut rows: Vec<(&'static str, String)> = Vec::new();
        for n in LENGTHS {
            if !choice.wants(&n.to_string(), &lengths) || is_too_long(group, n) {
                continue;
            }
            let huge = (n >= 1_000_000).then_some(HUGE);
            for place in PLACES.into_iter().chain(huge) {
                let mut kept = Vec::new();
                let mut least: Vec<(&'static str, f64)> = Vec::new();
                for _ in 0..PLACINGS {
                    let mut steps = contenders(level, n, place);
                    steps.retain(|(name, _)| !["plain", "traffic"].contains(name));
                    let mut shared = Shared::new(n, place, false);
                    let race = {
                        let mut field: Vec<Contender<'_, Shared<T>>> = (steps.iter_mut())
                            .map(|(name, step)| (*name, &mut **step as _))
                            .collect();
                        race_within(0.05, &mut shared, &mut field)
                    };
                    if choice.has("long") {
                        let place = if place == HUGE {
                            "in huge pages".into()
                        } else {
                            format!("{place} bytes past a page")
                        };
                        let title = format!("{group}, n = {n}, {place}");
                        race.print(&title, T::BYTES * arrays * n);
                    }
                    for (i, (name, _)) in steps.iter().enumerate() {
                        if least.len() == i {
                            least.push((name, f64::INFINITY));
                        }
                        least[i].1 = least[i].1.min(race.least(i));
                    }
                    kept.push((steps, shared));
                }
                for (i, (name, time)) in least.iter().enumerate().skip(1) {
                    if rows.len() < i {
                        rows.push((name, String::new()));
                    }
                    rows[i - 1].1 += &format!(" {:.2}", least[0].1 / time);
                }
            }
            for (_, row) in &mut rows {
                row.push_str(" |");
            }
        }
        for (name, row) in rows {
            println!("  {:<18}|{row}", format!("{group}, {name}"));
        }
    }
    simd::force(None);
}

fn run<T: Number>(name: &str, arrays: usize, contenders: Contenders<T>, n: usize, place: usize) {
    let mut steps = contenders(simd::level(), n, place);
    let mut field: Vec<Contender<'_, Shared<T>>> = (steps.iter_mut())
        .map(|(name, step)| (*name, &mut **step as _))
        .collect();
    race(&mut Shared::new(n, place, false), &mut field).print(
        &format!("{name}, n = {n}, {place} bytes past a page"),
        T::BYTES * arrays * n,
    );
}

/// A loud step, then a thousand silent ones on one element in 89: its first moment is below the normal range in a plain loop.
fn silence(n: usize) {
    let mut steps = adam_contenders(simd::level(), n, GLIBC);
    let mut shared = Shared::<f32>::new(n, GLIBC, true);
    let mut loud = Shared {
        x: buffer(n, GLIBC, |_| 1.0),
        g: buffer(n, GLIBC, |_| 0.3),
    };
    for (_, step) in &mut steps {
        step(&mut loud);
        for _ in 0..1000 {
            step(&mut shared);
        }
    }
    let mut field: Vec<Contender<'_, Shared<f32>>> = (steps.iter_mut())
        .map(|(name, step)| (*name, &mut **step as _))
        .collect();
    race(&mut shared, &mut field).print(&format!("adam, n = {n}, 1 in 89 silent"), 28 * n);
}

fn races() {
    println!(
        "Least time of a call, bytes moved, times as fast as the first: by least times, by the median of rounds"
    );
    for n in LENGTHS {
        for (name, arrays, contenders) in groups::<f32>() {
            if is_too_long(name, n) {
                continue;
            }
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
    for (name, arrays, contenders) in groups::<f32>() {
        let mut group = c.benchmark_group(name);
        for n in [1000, 100_000, 10_000_000] {
            if is_too_long(name, n) {
                continue;
            }
            group.throughput(Throughput::Bytes(4 * (arrays * n) as u64));
            let mut shared = Shared::new(n, GLIBC, false);
            for (contender, mut step) in contenders(simd::level(), n, GLIBC) {
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

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "race") {
        let choice = Choice { words };
        println!(
            "Times as fast as the plain loop compiled for the level; n = {LENGTHS:?}, at {PLACES:?} bytes past a page, the last also in huge pages"
        );
        for (level, name) in [
            (Level::Avx512, "avx512"),
            (Level::Avx2, "avx2"),
            (Level::Sse2, "sse2"),
        ] {
            table::<f32>(level, name, &choice);
            table::<f64>(level, name, &choice);
        }
        return;
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
