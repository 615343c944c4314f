//! A step of component selection compared with a plain loop of the same evaluations, and a step of EM compared with its plain loop.
//!
//! 10,000 rows, 100 components with full covariances; a step visits 200 rows with two proposals each, 600 evaluations. The plain loops
//! evaluate the same log joints (EM: with their log-sum-exps by the standard library) and do nothing else.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use thalweg::matrix::MatrixRef;
use thalweg::mixture::component_selection::{
    Buffers, Config, State, StepSize, scratch_len, statistics_len, step,
};
use thalweg::mixture::em;
use thalweg::mixture::gaussian::{Covariance, Mixture, params_len};
use thalweg::random::{self, Purpose};
use thalweg_benches::race::race;

const N: usize = 10_000;
const K: usize = 100;
const SHAPE: Covariance = Covariance::Full;

/// Rows near means in a cube, and components there.
struct Case {
    d: usize,
    data: Vec<f32>,
    mixture: Mixture<Vec<f32>>,
    state: State<Vec<u32>, Vec<f64>, Vec<f64>, Vec<f32>>,
    words: Vec<u32>,
    scratch: Vec<f64>,
    config: Config,
}

impl Case {
    fn new(d: usize) -> Option<Self> {
        let mut rng = random::stream(1, 0, 0, Purpose::DATA);
        let means: Vec<f32> = (0..K * d)
            .map(|_| 8.0 * random::uniform::<f32>(&mut rng))
            .collect();
        let mut mixture = Mixture::new(SHAPE, K, d, vec![0.0; params_len(SHAPE, K, d)]).ok()?;
        let sigma: Vec<f32> = (0..d * d)
            .map(|i| f32::from(u8::from(i % (d + 1) == 0)))
            .collect();
        let mut scratch = vec![0.0; em::scratch_len(SHAPE, N, K, d)];
        for (j, mean) in means.chunks_exact(d).enumerate() {
            mixture.set_component(j, mean, &sigma, &mut scratch).ok()?;
        }
        let mut data = vec![0.0; N * d];
        for x in data.chunks_exact_mut(d) {
            mixture.view().sample_into(&mut rng, x, &mut scratch).ok()?;
        }
        let config = Config {
            // So small a step that nothing moves far while time is taken.
            step_size: StepSize::Constant(1e-6),
            ..Config::new(7)
        };
        let buffers = Buffers {
            labels: vec![0; N],
            statistics: vec![0.0; statistics_len(SHAPE, K, d)],
            cache: vec![],
            table: vec![],
        };
        let rows = MatrixRef::new(&data, N, d).ok()?;
        let state = State::new(&mixture.view(), rows, 7, buffers, &mut scratch).ok()?;
        debug_assert!(scratch.len() >= scratch_len(SHAPE, K, d));
        Some(Self {
            d,
            mixture,
            state,
            words: vec![0; config.words_len(K)],
            scratch,
            config,
            data,
        })
    }

    fn select(&mut self) {
        let rows = MatrixRef::new(&self.data, N, self.d);
        let done = rows.and_then(|rows| {
            step(
                &self.config,
                &mut self.mixture,
                &mut self.state,
                rows,
                &mut self.words,
                &mut self.scratch,
            )
        });
        debug_assert!(done.is_ok());
    }

    fn em(&mut self) {
        let rows = MatrixRef::new(&self.data, N, self.d);
        let config = em::Config::default();
        let done =
            rows.and_then(|rows| em::step(&config, &mut self.mixture, rows, &mut self.scratch));
        debug_assert!(done.is_ok());
    }

    /// The log joint of a component at a row.
    fn joint(&self, j: usize, i: usize) -> f32 {
        let (d, f) = (self.d, SHAPE.factor_len(self.d));
        let view = self.mixture.view();
        let (Some(x), Some(mean), Some(factor)) = (
            self.data.get(i * d..(i + 1) * d),
            view.means().get(j * d..(j + 1) * d),
            view.factors().get(j * f..(j + 1) * f),
        ) else {
            return f32::NAN;
        };
        let mut packed = factor.iter();
        let mut square = 0.0;
        for a in 1..=d {
            let terms = packed.by_ref().take(a).zip(x).zip(mean);
            let y: f32 = terms.map(|((w, x), m)| w * (x - m)).sum();
            square += y * y;
        }
        let weight = view.log_weights().get(j).copied().unwrap_or(0.0);
        let half = view.half_log_determinants().get(j).copied().unwrap_or(0.0);
        weight - 0.918_938_5 * d as f32 - half - 0.5 * square
    }

    /// As many evaluations as a step of selection, at rows and components as far apart.
    fn evaluations(&self) -> f32 {
        let count = self.config.batch_size * (self.config.moves + 1);
        (0..count)
            .map(|i| self.joint(i * 37 % K, i / 3 * 47 % N))
            .sum()
    }

    /// Log-sum-exps of all rows.
    fn expectations(&self) -> f32 {
        let mut joints = [0.0; K];
        (0..N)
            .map(|i| {
                for (j, l) in joints.iter_mut().enumerate() {
                    *l = self.joint(j, i);
                }
                let most = joints.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                most + joints.iter().map(|l| (l - most).exp()).sum::<f32>().ln()
            })
            .sum()
    }
}

fn steps(c: &mut Criterion) {
    for d in [2, 10] {
        let Some(mut case) = Case::new(d) else { return };
        // Row, mean, factor, and two numbers of a component.
        let per_evaluation = 4 * (2 * d + SHAPE.factor_len(d) + 2);
        race(
            &mut case,
            &mut [
                ("evaluations alone", &mut |case: &mut Case| {
                    black_box(case.evaluations());
                }),
                ("selection step", &mut Case::select),
            ],
        )
        .print(&format!("selection, D = {d}"), 600 * per_evaluation);
        race(
            &mut case,
            &mut [
                ("log-sum-exps alone", &mut |case: &mut Case| {
                    black_box(case.expectations());
                }),
                ("EM step", &mut Case::em),
            ],
        )
        .print(&format!("EM, D = {d}"), N * K * per_evaluation);
    }
    let mut group = c.benchmark_group("mixture");
    for d in [2, 10] {
        let Some(mut case) = Case::new(d) else { return };
        group.throughput(Throughput::Elements(600));
        group.bench_function(BenchmarkId::new("evaluations", d), |b| {
            b.iter(|| black_box(case.evaluations()));
        });
        group.bench_function(BenchmarkId::new("selection", d), |b| {
            b.iter(|| case.select());
        });
        group.throughput(Throughput::Elements((N * K) as u64));
        group.sample_size(20);
        group.bench_function(BenchmarkId::new("em", d), |b| b.iter(|| case.em()));
        group.sample_size(100);
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
