//! Targets with their starts, step grids, reference draws and test rows.

use clap::ValueEnum;
use serde::Serialize;
use thalweg::model::{Batch, Gradient, Labels, Loss, Objective, logistic, mlp};
use thalweg::particle::score;
use thalweg::particle::target::{DoubleBanana, Funnel, Gaussian, Mixture, Posterior, Regression};
use thalweg::random::{Purpose, Stream, normal, stream};
use thalweg::{Error, vector};
use thalweg_std::data::{Dataset, Standardiser, Targets, digits, yacht};

use super::reference;
use crate::cli::{Failure, bad, input};
use crate::source::Source;

/// Reference draws of each target.
const DRAWS: usize = 3000;
/// Hidden units of the network.
const HIDDEN: usize = 16;
const CLIENT_REFERENCE: u64 = 1;
const CLIENT_START: u64 = 2;
const CLIENT_DATA: u64 = 3;

/// A density to draw from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// N(0, diag(4, 0.04)), started at (4, 4): an ill-conditioned way to go
    Gaussian,
    /// N(0, [[1, .9], [.9, 1]]), started at (3, 3)
    Correlated,
    /// Three round modes
    Mixture,
    /// Two thin curved ridges
    Banana,
    /// Neal's funnel, narrowed to scale 1.5 in two dimensions, which a picture shows
    Funnel,
    /// Neal's funnel as published: ten dimensions, scale 3
    Neal,
    /// Bayesian logistic regression: digits 0 and 1, or --data
    Logistic,
    /// Bayesian logistic regression on 200 generated rows with 6 weights
    Synthetic,
    /// A Bayesian network of 16 tanh units with unknown noise on the yacht tests
    Bnn,
}

impl Kind {
    /// As the command line writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gaussian => "gaussian",
            Self::Correlated => "correlated",
            Self::Mixture => "mixture",
            Self::Banana => "banana",
            Self::Funnel => "funnel",
            Self::Neal => "neal",
            Self::Logistic => "logistic",
            Self::Synthetic => "synthetic",
            Self::Bnn => "bnn",
        }
    }
}

/// What the energy is made of.
#[derive(Clone, Debug)]
enum Density {
    Gaussian([f64; 4]),
    Mixture,
    Banana,
    Funnel(Funnel<f64>),
    Logistic { train: Rows<u32> },
    Network { train: Rows<f64>, sizes: [usize; 3] },
}

/// Features and what is to be predicted from them.
#[derive(Clone, Debug)]
struct Rows<Y> {
    columns: usize,
    features: Vec<f64>,
    labels: Vec<Y>,
}

impl Rows<u32> {
    fn batch(&self) -> Result<Batch<'_, f64>, Error> {
        Batch::classes(&self.features, self.columns, &self.labels)
    }
}

impl Rows<f64> {
    fn batch(&self) -> Result<Batch<'_, f64>, Error> {
        Batch::targets(&self.features, self.columns, &self.labels, 1)
    }
}

/// Steps that are tried, by kind of sampler.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    /// SVGD.
    pub descent: &'static [f64],
    /// SVGD with AdaGrad.
    pub adaptive: &'static [f64],
    /// Stein samplers with momenta.
    pub momentum: &'static [f64],
    /// Langevin chains.
    pub langevin: &'static [f64],
    /// Chains with momenta.
    pub chain: &'static [f64],
    /// Frictions of the samplers with momenta.
    pub friction: &'static [f64],
}

/// A target.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Which.
    pub kind: Kind,
    /// What it is, in words.
    pub title: String,
    /// Steps to try.
    pub grid: Grid,
    /// Draws to measure against, where there are any.
    pub reference: Option<Vec<f64>>,
    /// Bandwidth of the kernel between samples; chosen from the reference where absent.
    pub width: Option<f64>,
    density: Density,
    test: Option<Density>,
    /// Mean and deviation of the start, in every coordinate.
    start: (f64, f64),
}

/// Lower Cholesky factors of the covariances.
const ILL: [f64; 4] = [2.0, 0.0, 0.0, 0.2];
const CORRELATED: [f64; 4] = [1.0, 0.0, 0.9, 0.435_889_894_354_067_4];

const MIXTURE: Mixture<'static, f64> = Mixture {
    means: &[-2.0, 0.0, 2.0, 0.0, 0.0, 2.5],
    weights: &[0.4, 0.4, 0.2],
    variances: &[0.5; 3],
};
/// Curvature varies by `e^(2 scale)`: at 3 no single step serves neck and mouth, at 1.5 one does.
const FUNNEL: Funnel<f64> = Funnel { dim: 2, scale: 1.5 };
const NEAL: Funnel<f64> = Funnel {
    dim: 10,
    scale: 3.0,
};
/// Inverse variance of the prior of all weights: N(0, 4 I).
const PRECISION: f64 = 0.25;

impl Problem {
    /// The target with its data and, if wanted, its reference draws.
    ///
    /// # Errors
    /// Data that cannot be read or is not of two classes.
    pub fn new(kind: Kind, source: &Source, rows: usize, seed: u64) -> Result<Self, Failure> {
        let two = |title: &str, density, start, width, grid| Self {
            kind,
            title: title.to_owned(),
            grid,
            reference: None,
            width,
            density,
            test: None,
            start,
        };
        let grid = Grid {
            descent: &[0.1, 0.2, 0.3],
            adaptive: &[0.05, 0.1, 0.2],
            momentum: &[0.2, 0.4, 0.6],
            langevin: &[0.01, 0.02, 0.04],
            chain: &[0.1, 0.2, 0.3],
            friction: &[1.0, 2.0],
        };
        let mut problem = match kind {
            Kind::Gaussian => two(
                "N(0, diag(4, 0.04))",
                Density::Gaussian(ILL),
                (4.0, 0.5),
                None,
                grid,
            ),
            Kind::Correlated => two(
                "N(0, [[1, .9], [.9, 1]])",
                Density::Gaussian(CORRELATED),
                (3.0, 1.0),
                Some(2.08),
                Grid {
                    descent: &[0.2, 0.4, 0.6],
                    momentum: &[0.3, 0.5, 0.7],
                    langevin: &[0.02, 0.05, 0.1],
                    ..grid
                },
            ),
            Kind::Mixture => two(
                "mixture of three",
                Density::Mixture,
                (0.0, 1.0),
                Some(8.5),
                Grid {
                    descent: &[0.5, 1.0, 1.5],
                    momentum: &[0.25, 0.5, 0.7],
                    langevin: &[0.05, 0.1, 0.2],
                    ..grid
                },
            ),
            Kind::Banana => two(
                "double banana",
                Density::Banana,
                (0.0, 1.0),
                None,
                Grid {
                    descent: &[0.01, 0.02, 0.03],
                    adaptive: &[0.01, 0.05, 0.1],
                    momentum: &[0.05, 0.1, 0.15],
                    langevin: &[0.0003, 0.001, 0.003],
                    chain: &[0.005, 0.01, 0.02],
                    friction: &[1.0, 3.0],
                },
            ),
            Kind::Funnel => two(
                "funnel, scale 1.5",
                Density::Funnel(FUNNEL),
                (0.0, 1.0),
                None,
                Grid {
                    descent: &[0.05, 0.2, 0.5],
                    momentum: &[0.1, 0.2, 0.4],
                    langevin: &[0.02, 0.05, 0.1],
                    chain: &[0.05, 0.1, 0.2],
                    ..grid
                },
            ),
            Kind::Neal => two(
                "Neal's funnel, 10 dimensions, scale 3",
                Density::Funnel(NEAL),
                (0.0, 1.0),
                None,
                Grid {
                    descent: &[0.01, 0.05, 0.2],
                    momentum: &[0.02, 0.05, 0.1],
                    langevin: &[0.001, 0.005, 0.02],
                    chain: &[0.01, 0.02, 0.05],
                    ..grid
                },
            ),
            Kind::Logistic => return classes(source, rows, seed),
            Kind::Synthetic => synthetic(seed)?,
            Kind::Bnn => return network(seed),
        };
        problem.draw_reference(DRAWS, seed)?;
        Ok(problem)
    }

    /// Takes so many exact draws of the target as its reference; more draws of a seed begin with the same ones.
    ///
    /// # Errors
    /// A target without exact draws.
    pub fn draw_reference(&mut self, draws: usize, seed: u64) -> Result<(), Failure> {
        let mut reference = vec![0.0; draws * self.dim()];
        let mut rng = stream(seed, 0, CLIENT_REFERENCE, Purpose::DATA);
        self.exact_into(&mut rng, &mut reference).map_err(input)?;
        self.reference = Some(reference);
        Ok(())
    }

    /// Number of parameters.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.density.with(|energy| Ok(energy.dim())).unwrap_or(0)
    }

    /// There is a formula of one draw.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !matches!(self.kind, Kind::Logistic | Kind::Bnn)
    }

    /// `-ln p` at a point, up to a constant.
    ///
    /// # Errors
    /// A wrong length.
    pub fn energy(&self, x: &[f64]) -> Result<f64, Error> {
        self.density.with(|energy| {
            let mut scratch = vec![0.0; energy.scratch_len()];
            energy.value(x, &mut scratch)
        })
    }

    /// Scores of all particles.
    ///
    /// # Errors
    /// Wrong lengths.
    pub fn scores_into(&self, theta: &[f64], scores: &mut [f64]) -> Result<(), Error> {
        self.density.with(|energy| {
            let mut scratch = vec![0.0; energy.scratch_len()];
            score::from_gradient(
                energy,
                score::Weights::flat(1.0),
                theta,
                scores,
                &mut scratch,
            )
        })
    }

    /// Where `n` particles start.
    ///
    /// # Errors
    /// None for the targets here.
    pub fn start(&self, n: usize, seed: u64) -> Result<Vec<f64>, Error> {
        let mut rng = stream(seed, 0, CLIENT_START, Purpose::INIT);
        let (mean, deviation) = self.start;
        let mut theta: Vec<f64> = (0..n * self.dim())
            .map(|_| mean + deviation * normal::<f64>(&mut rng))
            .collect();
        if let Density::Network { sizes, .. } = &self.density {
            let model = network_model(sizes);
            for row in theta.chunks_exact_mut(model.dim() + 1) {
                // The last, the logarithm of the noise's inverse variance, stays as it is.
                if let Some((_, weights)) = row.split_last_mut() {
                    model.init_into(thalweg::model::Init::FanInNormal, &mut rng, weights)?;
                }
            }
        }
        Ok(theta)
    }

    /// Fills rows with exact draws.
    ///
    /// # Errors
    /// A target without a way to draw exactly.
    pub fn exact_into(&self, rng: &mut Stream, out: &mut [f64]) -> Result<(), Error> {
        if let Density::Logistic { .. } = self.density {
            return reference::rejection_into(self, rng, out);
        }
        for x in out.chunks_exact_mut(self.dim()) {
            match &self.density {
                Density::Gaussian(factor) => gaussian(factor).sample_into(rng, x)?,
                Density::Mixture => MIXTURE.sample_into(rng, x)?,
                Density::Banana => while !DoubleBanana::default().attempt_into(rng, x)? {},
                Density::Funnel(funnel) => funnel.sample_into(rng, x)?,
                Density::Logistic { .. } | Density::Network { .. } => {
                    return Err(Error::Parameter {
                        name: "target",
                        rule: "must have exact draws",
                    });
                }
            }
        }
        Ok(())
    }

    /// Mean over the test rows of `ln mean_i p(y | theta_i)`; `None` for a target without data.
    ///
    /// # Errors
    /// Wrong lengths.
    pub fn log_predictive(&self, theta: &[f64]) -> Result<Option<f64>, Error> {
        let d = self.dim();
        let n = (theta.len() / d).max(1);
        let (rows, mut likelihood) = match &self.test {
            None => return Ok(None),
            Some(Density::Logistic { train: test }) => {
                let mut likelihood = vec![0.0; test.labels.len()];
                for w in theta.chunks_exact(d) {
                    let rows = test.features.chunks_exact(d).zip(&test.labels);
                    for ((a, y), sum) in rows.zip(&mut likelihood) {
                        let score = vector::dot(a, w)?;
                        let margin = if *y == 1 { score } else { -score };
                        *sum += 1.0 / (1.0 + (-margin).exp());
                    }
                }
                (test.labels.len(), likelihood)
            }
            Some(Density::Network { train: test, sizes }) => {
                let model = network_model(sizes);
                let rows = test.labels.len();
                let (mut likelihood, mut f) = (vec![0.0; rows], vec![0.0; rows]);
                let mut scratch = vec![0.0; model.scratch_len(rows)];
                let batch = Batch::new(&test.features, test.columns, Labels::None)?;
                for row in theta.chunks_exact(d) {
                    let (s, w) = row.split_last().unwrap_or((&0.0, &[]));
                    model.outputs_into(w, &batch, &mut f, &mut scratch)?;
                    let peak = (0.5 * s).exp() / core::f64::consts::TAU.sqrt();
                    for ((sum, f), y) in likelihood.iter_mut().zip(&f).zip(&test.labels) {
                        *sum += peak * (-0.5 * s.exp() * (f - y) * (f - y)).exp();
                    }
                }
                (rows, likelihood)
            }
            Some(_) => return Ok(None),
        };
        for p in &mut likelihood {
            // The least positive number stands for a row that no particle explains.
            *p = (*p / n as f64).max(f64::MIN_POSITIVE).ln();
        }
        Ok(Some(likelihood.iter().sum::<f64>() / rows as f64))
    }
}

impl Density {
    /// Calls with the energy and its batch.
    fn with<R>(&self, f: impl FnOnce(&dyn Gradient<f64>) -> Result<R, Error>) -> Result<R, Error> {
        match self {
            Self::Gaussian(factor) => f(&gaussian(factor)),
            Self::Mixture => f(&MIXTURE),
            Self::Banana => f(&DoubleBanana::default()),
            Self::Funnel(funnel) => f(funnel),
            Self::Logistic { train } => {
                let energy = Posterior {
                    objective: logistic::Model::new(train.columns),
                    rows: train.labels.len() as f64,
                    precision: PRECISION,
                };
                f(&energy.on(&train.batch()?))
            }
            Self::Network { train, sizes } => {
                let energy = Regression {
                    objective: network_model(sizes),
                    rows: train.labels.len() as f64,
                    precision: 1.0,
                    shape: 1.0,
                    rate: 0.1,
                };
                f(&energy.on(&train.batch()?))
            }
        }
    }
}

fn gaussian(factor: &[f64; 4]) -> Gaussian<'_, f64> {
    Gaussian {
        mean: &[0.0; 2],
        factor,
    }
}

fn network_model(sizes: &[usize]) -> mlp::Model<'_, f64> {
    mlp::Model {
        activation: mlp::Activation::Tanh,
        loss: Loss::Squared,
        ..mlp::Model::new(sizes)
    }
}

/// Rows of the two classes that come first, with a feature that is always 1 at the end.
fn two_classes(data: &Dataset, most: usize) -> Rows<u32> {
    let mut rows = Rows {
        columns: data.columns() + 1,
        features: Vec::new(),
        labels: Vec::new(),
    };
    let each = data.features().chunks_exact(data.columns());
    for (x, &y) in each.zip(data.labels()).filter(|(_, y)| **y < 2).take(most) {
        rows.features.extend(x.iter().map(|&x| f64::from(x)));
        rows.features.push(1.0);
        rows.labels.push(y);
    }
    rows
}

/// Columns of a posterior whose Hessian takes minutes.
const MOST_COLUMNS: usize = 2000;

fn classes(source: &Source, most: usize, seed: u64) -> Result<Problem, Failure> {
    let (name, train, test) = if source.data.is_some() {
        let data = source.load(seed)?;
        if data.train.classes() != 2 {
            return Err(bad("data", &data.name, "must hold two classes"));
        }
        if data.train.columns() > MOST_COLUMNS {
            let rule = format!(
                "must have at most {MOST_COLUMNS} columns: the reference draws need a Hessian; found {}",
                data.train.columns()
            );
            return Err(bad("data", &data.name, &rule));
        }
        (data.name, data.train, data.test)
    } else {
        let mut all = digits().map_err(input)?;
        all.scale(1.0 / 16.0);
        let list = (0_u32..).zip(all.labels()).filter(|(_, y)| **y < 2);
        let list: Vec<u32> = list.map(|(i, _)| i).collect();
        let two = all.select(&list).map_err(input)?;
        let (train, test) = two.split(two.rows() / 5, seed).map_err(input)?;
        ("UCI digits 0 and 1".into(), train, test)
    };
    let (train, test) = (two_classes(&train, most), two_classes(&test, most));
    if !train.labels.contains(&0) || !train.labels.contains(&1) {
        return Err(bad("rows", most, "leave one class only"));
    }
    let title = format!(
        "logistic regression, {name}: {} rows, {} weights",
        train.labels.len(),
        train.columns
    );
    let mut problem = logistic_problem(Kind::Logistic, title, train, test);
    let draws = reference::hamiltonian(&problem, DRAWS, seed).map_err(input)?;
    problem.reference = Some(draws);
    Ok(problem)
}

fn logistic_problem(kind: Kind, title: String, train: Rows<u32>, test: Rows<u32>) -> Problem {
    Problem {
        kind,
        title,
        grid: Grid {
            descent: &[0.01, 0.03, 0.1],
            adaptive: &[0.02, 0.05, 0.1],
            momentum: &[0.05, 0.1, 0.2],
            langevin: &[0.001, 0.003, 0.01],
            chain: &[0.02, 0.05, 0.1],
            friction: &[1.0, 3.0],
        },
        reference: None,
        width: None,
        density: Density::Logistic { train },
        test: Some(Density::Logistic { train: test }),
        start: (0.0, 0.5),
    }
}

/// 200 rows of five normal features and an intercept; weights and signs from the model itself.
fn synthetic(seed: u64) -> Result<Problem, Failure> {
    let mut rng = stream(seed, 0, CLIENT_DATA, Purpose::DATA);
    let w: [f64; 6] = core::array::from_fn(|_| normal(&mut rng));
    let mut rows = |count: usize| -> Result<Rows<u32>, Error> {
        let mut rows = Rows {
            columns: 6,
            features: Vec::new(),
            labels: Vec::new(),
        };
        for _ in 0..count {
            let mut a: [f64; 6] = core::array::from_fn(|_| normal(&mut rng));
            a[5] = 1.0;
            let p = 1.0 / (1.0 + (-vector::dot(&a, &w)?).exp());
            rows.labels
                .push(u32::from(thalweg::random::bernoulli(&mut rng, p)));
            rows.features.extend(a);
        }
        Ok(rows)
    };
    let (train, test) = (rows(200).map_err(input)?, rows(1000).map_err(input)?);
    let title = "logistic regression, 200 generated rows, 6 weights".into();
    Ok(logistic_problem(Kind::Synthetic, title, train, test))
}

/// The yacht tests: columns of mean 0 and variance 1, target included; a fifth held out.
fn network(seed: u64) -> Result<Problem, Failure> {
    let all = yacht().map_err(input)?;
    let (mut train, mut test) = all.split(all.rows() / 5, seed).map_err(input)?;
    let scale = Standardiser::fit(&train);
    scale.apply(&mut train).map_err(input)?;
    scale.apply(&mut test).map_err(input)?;
    let numbers = |data: &Dataset| match data.targets() {
        Targets::Real(y) => y.iter().map(|&y| f64::from(y)).collect(),
        _ => Vec::new(),
    };
    let rows = |data: &Dataset, labels: Vec<f64>| Rows {
        columns: data.columns(),
        features: data.features().iter().map(|&x| f64::from(x)).collect(),
        labels,
    };
    let (mut y, mut held): (Vec<f64>, Vec<f64>) = (numbers(&train), numbers(&test));
    let count = y.len().max(1) as f64;
    let mean = y.iter().sum::<f64>() / count;
    let deviation = (y.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / count).sqrt();
    for y in y.iter_mut().chain(&mut held) {
        *y = (*y - mean) / deviation;
    }
    let sizes = [train.columns(), HIDDEN, 1];
    let (train, test) = (rows(&train, y), rows(&test, held));
    Ok(Problem {
        kind: Kind::Bnn,
        title: format!(
            "Bayesian network, UCI yacht: {} rows, {} parameters",
            train.labels.len(),
            network_model(&sizes).dim() + 1
        ),
        grid: Grid {
            descent: &[0.0003, 0.001, 0.003],
            adaptive: &[0.005, 0.01, 0.03],
            momentum: &[0.005, 0.01, 0.03],
            langevin: &[0.00003, 0.0001, 0.0003],
            chain: &[0.003, 0.01, 0.02],
            friction: &[1.0, 3.0],
        },
        reference: None,
        width: None,
        density: Density::Network { train, sizes },
        test: Some(Density::Network { train: test, sizes }),
        start: (0.0, 0.1),
    })
}
