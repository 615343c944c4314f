//! The benchmarks with their data.

use thalweg::Error;
use thalweg::bilevel::ridge::Data;
use thalweg::bilevel::{SecondOrder, hyper_representation, ridge};
use thalweg::matrix::MatrixRef;
use thalweg::random::{self, Purpose, Stream};

/// Which benchmark, with its published constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Experiment {
    /// Shallow hyper-representation: the outer loss depends on x directly.
    A,
    /// Per-feature ridge: it does not.
    B,
    /// A with twice as many inputs, features and rows.
    Larger,
}

/// Constants of a benchmark.
#[derive(Clone, Copy, Debug)]
pub struct Constants {
    /// Inner steps N.
    pub inner: u64,
    /// Inner step size alpha.
    pub step_size: f64,
    /// Outer steps at which the table is taken.
    pub marks: [usize; 5],
    /// Inputs, features and rows of the shallow problem.
    shape: [usize; 3],
    /// Runs that are averaged.
    pub seeds: u64,
}

impl Experiment {
    /// The published constants.
    pub const fn constants(self) -> Constants {
        match self {
            Self::A => Constants {
                inner: 20,
                step_size: 1e-3,
                marks: [0, 10, 20, 50, 99],
                shape: [64, 128, 500],
                seeds: 3,
            },
            Self::Larger => Constants {
                inner: 20,
                step_size: 1e-3,
                marks: [0, 10, 20, 50, 149],
                shape: [128, 256, 1000],
                seeds: 3,
            },
            Self::B => Constants {
                inner: 50,
                step_size: 0.2,
                marks: [0, 50, 100, 200, 300],
                shape: [0; 3],
                seeds: 5,
            },
        }
    }
}

const PENALTIES: usize = 40;
const ACTIVE: usize = 8;

fn normals(rng: &mut Stream, n: usize) -> Vec<f64> {
    (0..n).map(|_| random::normal(rng)).collect()
}

/// Rows with targets.
#[derive(Clone, Debug)]
struct Rows {
    features: Vec<f64>,
    targets: Vec<f64>,
    columns: usize,
}

impl Rows {
    /// Standard normal rows, `y = <row, weights> + noise normal`.
    fn new(rng: &mut Stream, rows: usize, weights: &[f64], noise: f64) -> Self {
        let columns = weights.len();
        let features = normals(rng, rows * columns);
        let targets = features.chunks_exact(columns).map(|row| {
            let clean: f64 = row.iter().zip(weights).map(|(x, w)| x * w).sum();
            clean + noise * random::normal::<f64>(rng)
        });
        let targets = targets.collect();
        Self {
            features,
            targets,
            columns,
        }
    }

    fn data(&self) -> Result<Data<'_, f64>, Error> {
        let matrix = MatrixRef::new(&self.features, self.targets.len(), self.columns)?;
        Data::new(matrix, &self.targets)
    }
}

/// Data and starts of one run.
#[derive(Clone, Debug)]
pub struct Setting {
    experiment: Experiment,
    inner: Rows,
    outer: Rows,
    test: Rows,
    /// Start of the outer variable.
    pub x0: Vec<f64>,
    /// Start of every inner loop.
    pub y0: Vec<f64>,
}

impl Setting {
    /// Draws the data of a seed.
    pub fn new(experiment: Experiment, seed: u64) -> Self {
        let mut rng = random::stream(seed, experiment as u64, 0, Purpose::DATA);
        let rng = &mut rng;
        match experiment {
            Experiment::A | Experiment::Larger => {
                let [inputs, features, rows] = experiment.constants().shape;
                let (h, w) = (normals(rng, inputs * features), normals(rng, features));
                let product = |row: &[f64]| row.iter().zip(&w).map(|(h, w)| h * w).sum();
                let weights: Vec<f64> = h.chunks_exact(features).map(product).collect();
                let [inner, outer] = [(); 2].map(|()| Rows::new(rng, rows, &weights, 0.1));
                Self {
                    experiment,
                    test: outer.clone(),
                    inner,
                    outer,
                    x0: normals(rng, inputs * features),
                    y0: normals(rng, features),
                }
            }
            Experiment::B => {
                let mut weights = vec![0.0; PENALTIES];
                for w in weights.iter_mut().take(ACTIVE) {
                    *w = random::rademacher::<f64>(rng) * (0.5 + random::uniform::<f64>(rng));
                }
                random::shuffle(rng, &mut weights);
                let [inner, outer, test] =
                    [60, 60, 2000].map(|rows| Rows::new(rng, rows, &weights, 0.5));
                Self {
                    experiment,
                    inner,
                    outer,
                    test,
                    x0: vec![0.0; PENALTIES],
                    y0: vec![0.0; PENALTIES],
                }
            }
        }
    }

    /// Runs `work` with the problem of validation and that of the test rows.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn with<R>(&self, work: impl FnOnce(&Both, &Both) -> Result<R, Error>) -> Result<R, Error> {
        let (inner, outer, test) = (self.inner.data()?, self.outer.data()?, self.test.data()?);
        match self.experiment {
            Experiment::A | Experiment::Larger => {
                let features = self.y0.len();
                let problem = |rows| hyper_representation::Problem::new(inner, rows, features, 0.1);
                work(&problem(outer)?, &problem(test)?)
            }
            Experiment::B => {
                let problem = |rows| ridge::Problem::new(inner, rows);
                work(&problem(outer)?, &problem(test)?)
            }
        }
    }
}

/// A problem with first and second derivatives.
pub type Both<'a> = dyn SecondOrder<f64> + 'a;
