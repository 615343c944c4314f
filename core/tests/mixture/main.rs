//! Stochastic component selection: exact transitions, frequencies, a plain reference, and the published finding.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use thalweg::matrix::MatrixRef;
use thalweg::mixture::component_selection::{
    Buffers, Config, Current, Outcome, Proposal, State, StepSize, accepts, anti_annealing,
    scratch_len, statistics_len, step,
};
use thalweg::mixture::em;
use thalweg::mixture::gaussian::{Covariance, Mixture, params_len};
use thalweg::random::{self, Purpose, Stream};
use thalweg::snapshot::Snapshot;
use thalweg::{At, Error, Real};

mod chain;
mod hundred;
mod recurrence;
mod refusals;
mod shapes;

const SHAPES: [Covariance; 4] = [
    Covariance::Full,
    Covariance::Diagonal,
    Covariance::Spherical,
    Covariance::Tied,
];

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{i}: {f} against {e}");
    }
}

fn wide<T: Real>(x: &[T]) -> Vec<f64> {
    x.iter().map(|x| x.to_f64()).collect()
}

fn narrow<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|x| T::from_f64(*x)).collect()
}

type Vectors = Buffers<Vec<u32>, Vec<f64>, Vec<f64>, Vec<f32>>;

/// Buffers without a cache.
fn buffers(labels: Vec<u32>, statistics: Vec<f64>, table: Vec<f32>) -> Vectors {
    Buffers {
        labels,
        statistics,
        cache: vec![],
        table,
    }
}

/// A mixture and its chains, in separate vectors.
#[derive(Clone, Debug)]
struct Fit<T> {
    mixture: Mixture<Vec<T>>,
    state: State<Vec<u32>, Vec<f64>, Vec<f64>, Vec<f32>>,
    data: Vec<T>,
    words: Vec<u32>,
    scratch: Vec<f64>,
}

impl<T: Real> Fit<T> {
    /// Components of covariance `variance I`; cache and table with `memory`.
    fn new(
        shape: Covariance,
        weights: &[f64],
        means: &[f64],
        variance: f64,
        data: &[f64],
        memory: bool,
    ) -> Self {
        let k = weights.len();
        let d = means.len() / k;
        let params = vec![T::ZERO; params_len(shape, k, d)];
        let mut mixture = Mixture::new(shape, k, d, params).unwrap();
        mixture.set_weights(&narrow::<T>(weights)).unwrap();
        let sigma: Vec<f64> = match shape {
            Covariance::Full | Covariance::Tied => (0..d * d)
                .map(|i| if i % (d + 1) == 0 { variance } else { 0.0 })
                .collect(),
            Covariance::Diagonal => vec![variance; d],
            Covariance::Spherical => vec![variance],
        };
        let mut scratch = vec![0.0; scratch_len(shape, k, d)];
        for (j, mean) in means.chunks(d).enumerate() {
            mixture
                .set_component(j, &narrow::<T>(mean), &narrow::<T>(&sigma), &mut scratch)
                .unwrap();
        }
        let n = data.len() / d;
        let data = narrow::<T>(data);
        let state = State::new(
            &mixture.view(),
            MatrixRef::new(&data, n, d).unwrap(),
            11,
            Buffers {
                cache: vec![0.0; if memory { n } else { 0 }],
                ..buffers(
                    vec![0; n],
                    vec![0.0; statistics_len(shape, k, d)],
                    vec![0.0; if memory { n * k } else { 0 }],
                )
            },
            &mut scratch,
        )
        .unwrap();
        Self {
            mixture,
            state,
            data,
            words: vec![0; 4 * n + k + 4],
            scratch,
        }
    }

    fn rows(&self) -> usize {
        self.data.len() / self.mixture.view().dim()
    }

    fn step(&mut self, config: &Config) -> Result<Outcome, Error> {
        let data = MatrixRef::new(&self.data, self.rows(), self.mixture.view().dim())?;
        step(
            config,
            &mut self.mixture,
            &mut self.state,
            data,
            &mut self.words,
            &mut self.scratch,
        )
    }

    fn mean_log_likelihood(&self) -> f64 {
        let view = self.mixture.view();
        let data = MatrixRef::new(&self.data, self.rows(), view.dim()).unwrap();
        let mut scratch = vec![T::ZERO; view.components()];
        view.mean_log_likelihood(data, &mut scratch).unwrap()
    }
}

fn normals(rng: &mut Stream, n: usize) -> Vec<f64> {
    (0..n).map(|_| random::normal::<f64>(rng)).collect()
}

/// Rows near four centres of the plane.
fn cloud(n: usize) -> Vec<f64> {
    let mut rng = random::stream(3, 0, 0, Purpose::DATA);
    let centres = [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0], [4.0, 4.0]];
    (0..n)
        .flat_map(|i| centres[i % 4])
        .zip(normals(&mut rng, 2 * n))
        .map(|(centre, z)| centre + 0.8 * z)
        .collect()
}

/// Four components, none where a centre is.
const MEANS: [f64; 8] = [1.0, 1.0, 3.0, 1.0, 1.0, 2.5, 2.0, 3.0];
const WEIGHTS: [f64; 4] = [0.1, 0.2, 0.3, 0.4];
