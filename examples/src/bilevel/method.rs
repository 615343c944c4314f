//! The rows of the tables, and one run of one row.

use std::time::Instant;

use thalweg::bilevel::aid::Solver;
use thalweg::bilevel::es_jacobian::{Direction, Estimate, State};
use thalweg::bilevel::{Place, Round, Variables, aid, descent, es_jacobian, itd, stoc_bio};
use thalweg::optim::{self, Optimiser, adam};
use thalweg::{Error, vector};

use super::problem::{Both, Experiment, Setting};

/// Smoothing radius of every row.
pub const RADIUS: f64 = 0.01;

/// How a hypergradient is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// `f_x` alone.
    Direct,
    /// The exact gradient.
    Itd,
    /// Implicit, with conjugate gradients of so many products.
    Cg(usize),
    /// Implicit, with the fixed point of N products.
    Fp,
    /// Implicit, with the Neumann series of so many products.
    Series(usize),
    /// ESJ or HOZOG: directions and their law.
    Random(Estimate, usize, Direction),
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// As the table shows it.
    pub name: &'static str,
    /// What it does.
    pub kind: Kind,
    /// Step size of the outer Adam.
    pub rate: f64,
}

/// Name of the row without which no comparison is complete.
pub const DIRECT: &str = "direct only";

/// The rows of an experiment.
pub const fn methods(experiment: Experiment) -> &'static [Method] {
    const fn row(name: &'static str, kind: Kind, rate: f64) -> Method {
        Method { name, kind, rate }
    }
    use Direction::{Gaussian, UnitSphere, UnitSphereTimesP};
    use Estimate::{OuterValue, Response};
    match experiment {
        Experiment::A => {
            const {
                &[
                    row(DIRECT, Kind::Direct, 0.05),
                    row("ITD", Kind::Itd, 0.05),
                    row(
                        "ESJ unit sphere, Q = 1",
                        Kind::Random(Response, 1, UnitSphere),
                        0.05,
                    ),
                    row(
                        "ESJ Gaussian, Q = 1",
                        Kind::Random(Response, 1, Gaussian),
                        0.05,
                    ),
                    row(
                        "ESJ sphere times p, Q = 1",
                        Kind::Random(Response, 1, UnitSphereTimesP),
                        0.05,
                    ),
                    row(
                        "ESJ Gaussian, Q = 10",
                        Kind::Random(Response, 10, Gaussian),
                        0.05,
                    ),
                    row("AID-FP", Kind::Fp, 0.05),
                    row("AID-CG", Kind::Cg(20), 0.05),
                    row("stocBiO, all rows", Kind::Series(20), 0.05),
                    row(
                        "HOZOG unit sphere, Q = 1",
                        Kind::Random(OuterValue, 1, UnitSphere),
                        0.1,
                    ),
                    row(
                        "HOZOG Gaussian, Q = 10",
                        Kind::Random(OuterValue, 10, Gaussian),
                        0.1,
                    ),
                ]
            }
        }
        Experiment::Larger => {
            const {
                &[
                    row(DIRECT, Kind::Direct, 0.05),
                    row("ITD", Kind::Itd, 0.05),
                    row(
                        "ESJ unit sphere, Q = 1",
                        Kind::Random(Response, 1, UnitSphere),
                        0.05,
                    ),
                    row(
                        "ESJ Gaussian, Q = 1",
                        Kind::Random(Response, 1, Gaussian),
                        0.05,
                    ),
                    row("AID-FP", Kind::Fp, 0.05),
                    // 0.05 diverges in the publication.
                    row("AID-CG", Kind::Cg(20), 0.01),
                    row(
                        "HOZOG unit sphere, Q = 1",
                        Kind::Random(OuterValue, 1, UnitSphere),
                        0.1,
                    ),
                ]
            }
        }
        Experiment::B => {
            const {
                &[
                    row(DIRECT, Kind::Direct, 0.05),
                    row("ITD", Kind::Itd, 0.05),
                    row("AID-CG", Kind::Cg(10), 0.05),
                    row("AID-FP", Kind::Fp, 0.05),
                    row("stocBiO, all rows", Kind::Series(10), 0.05),
                    row("ESJ Q = 1", Kind::Random(Response, 1, Gaussian), 0.05),
                    row("ESJ Q = 5", Kind::Random(Response, 5, Gaussian), 0.05),
                    row("ESJ Q = 20", Kind::Random(Response, 20, Gaussian), 0.05),
                    row(
                        "ESJ sphere times p, Q = 5",
                        Kind::Random(Response, 5, UnitSphereTimesP),
                        0.05,
                    ),
                    row(
                        "ESJ unit vectors, all 40",
                        Kind::Random(Response, 40, Direction::Basis),
                        0.05,
                    ),
                    row("HOZOG Q = 5", Kind::Random(OuterValue, 5, Gaussian), 0.05),
                ]
            }
        }
    }
}

impl Kind {
    /// Gradients of an outer step with N inner steps, a second-order product counted as one.
    pub const fn cost(self, n: u64) -> u64 {
        match self {
            Self::Direct => n,
            Self::Itd => 3 * n,
            Self::Cg(products) | Self::Series(products) => n + products as u64 + 1,
            Self::Fp => 2 * n + 1,
            Self::Random(_, q, _) => (q as u64 + 1) * n,
        }
    }

    /// Settings of the implicit methods after an inner loop; `step_size` is that of the fixed point and of the series.
    pub const fn implicit(
        self,
        inner: descent::Config,
        step_size: f64,
    ) -> (aid::Config, stoc_bio::Config) {
        let (products, solver) = match self {
            Self::Cg(products) => (products, Solver::ConjugateGradients),
            _ => (inner.steps as usize, Solver::FixedPoint { step_size }),
        };
        let terms = match self {
            Self::Series(products) => products,
            _ => 0,
        };
        let series = stoc_bio::Config {
            inner,
            products: terms,
            eta: step_size,
        };
        let implicit = aid::Config {
            inner,
            products,
            solver,
        };
        (implicit, series)
    }
}

/// The step size of an inner loop: the published choice for the fixed point and the series.
pub const fn descent_rate(method: descent::Method) -> f64 {
    match method {
        descent::Method::Sgd(sgd) => sgd.learning_rate,
        descent::Method::Adam(adam) => adam.learning_rate,
    }
}

/// What a row runs: scratch, state and settings.
#[derive(Clone, Debug)]
pub struct Estimator {
    kind: Kind,
    inner: descent::Config,
    random: es_jacobian::Config,
    implicit: aid::Config,
    series: stoc_bio::Config,
    state: State<Vec<f64>>,
    y: Vec<f64>,
    scratch: Vec<f64>,
}

impl Estimator {
    /// Memory for a problem.
    ///
    /// # Errors
    /// A path too long to be stored.
    pub fn new(
        kind: Kind,
        seed: u64,
        inner: descent::Config,
        problem: &Both<'_>,
        y0: &[f64],
    ) -> Result<Self, Error> {
        let (estimate, directions, direction) = match kind {
            Kind::Random(estimate, directions, direction) => (estimate, directions, direction),
            _ => (Estimate::Response, 0, Direction::Gaussian),
        };
        let random = es_jacobian::Config {
            seed,
            radius: RADIUS,
            estimate,
            directions,
            direction,
            ..es_jacobian::Config::new(inner)
        };
        let (implicit, series) = kind.implicit(inner, descent_rate(inner.method));
        let (p, d, own) = (
            problem.outer_dim(),
            problem.inner_dim(),
            problem.scratch_len(),
        );
        let len = match kind {
            Kind::Direct | Kind::Random(..) => es_jacobian::scratch_len(&random, p, d, own),
            Kind::Cg(_) | Kind::Fp => aid::scratch_len(&implicit, p, d, own),
            Kind::Series(_) => stoc_bio::scratch_len(&series, p, d, own),
            Kind::Itd => itd::scratch_len(inner.steps, p, d, own).unwrap_or(usize::MAX),
        };
        if len > 1 << 30 {
            return Err(Error::Parameter {
                name: "steps",
                rule: "must leave a path that fits in memory",
            });
        }
        Ok(Self {
            kind,
            inner,
            random,
            implicit,
            series,
            state: State::from_storage(y0.to_vec()),
            y: y0.to_vec(),
            scratch: vec![0.0; len],
        })
    }

    /// Numbers of scratch.
    pub fn memory(&self) -> usize {
        self.scratch.len()
    }

    /// Writes the hypergradient at `x`; returns the outer value.
    ///
    /// # Errors
    /// Those of the method: an unstable path.
    pub fn step(&mut self, problem: &Both<'_>, x: &[f64], h: &mut [f64]) -> Result<f64, Error> {
        let Self {
            random,
            inner,
            implicit,
            series,
            state,
            y,
            scratch,
            ..
        } = self;
        let round = Round {
            seed: random.seed,
            number: state.rounds(),
        };
        match self.kind {
            Kind::Direct | Kind::Random(..) => {
                return es_jacobian::step(random, state, problem, x, h, scratch);
            }
            Kind::Itd => {
                y.copy_from_slice(state.y0());
                itd::hypergradient(inner, round, problem, Variables { x, y }, h, scratch)
            }
            Kind::Cg(_) | Kind::Fp => {
                y.copy_from_slice(state.y0());
                aid::hypergradient(implicit, round, problem, Variables { x, y }, h, scratch)
            }
            Kind::Series(_) => {
                y.copy_from_slice(state.y0());
                stoc_bio::hypergradient(series, round, problem, Variables { x, y }, h, scratch)
            }
        }
        .and_then(|value| state.advance(random.start, y).map(|()| value))
    }
}

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// Outer loss before each outer step.
    pub validation: Vec<f64>,
    /// Loss of the test rows at the marks.
    pub test: Vec<f64>,
    /// Numbers of scratch.
    pub memory: usize,
    /// Seconds of all hypergradients.
    pub seconds: f64,
}

/// Trains the outer variable.
///
/// # Errors
/// An unstable path.
pub fn run(experiment: Experiment, method: &Method, seed: u64) -> Result<Run, Error> {
    let constants = experiment.constants();
    let setting = Setting::new(experiment, seed);
    let inner = descent::Config {
        steps: constants.inner,
        method: descent::Method::gd(constants.step_size),
    };
    let config = adam::Config {
        learning_rate: method.rate,
        ..Default::default()
    };
    setting.with(|problem, unseen| {
        let mut x = setting.x0.clone();
        let mut h = vec![0.0; x.len()];
        let mut moments = optim::State::new(vec![0.0; config.state_len(x.len())]);
        let mut estimator = Estimator::new(method.kind, seed, inner, problem, &setting.y0)?;
        let mut out = Run {
            validation: Vec::new(),
            test: Vec::new(),
            memory: estimator.memory(),
            seconds: 0.0,
        };
        let mut own =
            vec![0.0; descent::scratch_len(&inner, setting.y0.len()) + unseen.scratch_len()];
        for k in 0..=constants.marks.into_iter().max().unwrap_or(0) {
            let start = Instant::now();
            out.validation.push(estimator.step(problem, &x, &mut h)?);
            out.seconds += start.elapsed().as_secs_f64();
            if constants.marks.contains(&k) {
                let round = Round {
                    seed,
                    number: k as u64,
                };
                let mut y = setting.y0.clone();
                descent::run(&inner, round, unseen, &x, &mut y, &mut own)?;
                out.test
                    .push(unseen.outer_value(Place::new(&x, &y, &round.outer()), &mut own)?);
            }
            config.step(&mut moments, &mut x, &h)?;
            if experiment == Experiment::B {
                vector::clamp(-6.0, 1.0, &mut x)?;
            }
        }
        Ok(out)
    })
}
