//! Problems beyond the two tables: gradients only, single precision.
//!
//! These tables are no evidence for ESJ, one seed each. Cleaning: AID-FP finds more of the wrong labels with a seventh of the gradients.
//! Few shots of digits: layers as drawn classify unseen digits best; of those that train ESJ has the least loss, signs with 3 ways, a single
//! Gaussian direction with 5. Sine waves: AID-FP is ahead, and the direct gradient ahead of ESJ. Two layers: ESJ on the unit sphere is
//! the direct gradient; AID-FP is a little ahead of both, AID-CG fails with 10 inner steps, as published.
//!
//! | module | problem |
//! |---|---|
//! | [`cleaning`] | labels of digits, half of them wrong, found through the weights of their rows |
//! | [`few_shot`] | features that new tasks learn from quickly: digits not seen before, sine waves |
//! | [`layers`] | hidden layers without and a linear head within: the two-layer network, and images with minibatches |

pub mod cleaning;
pub mod few_shot;
pub mod layers;

use std::time::Instant;

use serde::Serialize;
use thalweg::bilevel::aid::{self, Solver};
use thalweg::bilevel::differences::{Differences, InnerSlope};
use thalweg::bilevel::es_jacobian::{self, Direction, Estimate, Start, State};
use thalweg::bilevel::{Problem, Round, descent, itd};
use thalweg::optim::adam;
use thalweg_std::plot::{Axis, Panel, Series};

use super::method::{DIRECT, Kind, Method};
use crate::cli::{Claims, Failure, input};
use crate::source::Source;
use crate::table::Table;

/// Which problem is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
pub enum Story {
    /// The two benchmarks, A and B
    Tables,
    /// Data hyper-cleaning: digits of which half carry a wrong label
    HyperCleaning,
    /// Few-shot meta-learning: 3 ways (or --ways), 5 shots, judged on digits that no training task has
    FewShot,
    /// Few-shot regression of sine waves from 10 points
    Sine,
    /// Two sigmoid layers and a linear head, a quarter of the published size in each dimension unless --full
    TwoLayer,
    /// A hidden layer and a softmax head with minibatches: digits, or MNIST with --data DIR --format idx
    Mnist,
}

/// One line of the table of a story.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The method, or a baseline.
    pub name: &'static str,
    /// The figures, in order of the columns; NaN where a figure has no meaning.
    pub figures: Vec<f64>,
    /// Inner gradients of the whole run.
    pub gradients: u64,
    /// Seconds of all hypergradients.
    pub seconds: f64,
    /// Outer loss at every outer step.
    #[serde(skip)]
    pub curve: Vec<f64>,
}

impl Line {
    /// A row that spends no inner gradients.
    const fn baseline(name: &'static str, figures: Vec<f64>) -> Self {
        Self {
            name,
            figures,
            gradients: 0,
            seconds: 0.0,
            curve: Vec::new(),
        }
    }
}

/// The table of a story.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// What it is about.
    pub title: String,
    /// Names of the figures.
    pub columns: Vec<String>,
    /// The rows.
    pub lines: Vec<Line>,
}

impl Report {
    /// For people.
    pub fn table(&self) -> Table {
        let mut header = vec![self.title.as_str()];
        header.extend(self.columns.iter().map(String::as_str));
        header.extend(["inner gradients", "s"]);
        let mut table = Table::new(1, &header);
        for line in &self.lines {
            let mut cells = vec![line.name.to_owned()];
            cells.extend(line.figures.iter().map(|&x| super::short(x)));
            cells.extend([line.gradients.to_string(), format!("{:.2}", line.seconds)]);
            table.push(cells);
        }
        table
    }

    /// The outer loss of every method.
    pub fn panel(&self) -> Panel {
        let curves = self.lines.iter().filter(|line| !line.curve.is_empty());
        let series = curves.map(|line| {
            let points = line.curve.iter().enumerate().map(|(k, &y)| (k as f64, y));
            Series::line(line.name, points.collect())
        });
        Panel {
            x: Axis::linear("outer steps"),
            y: Axis::log("outer loss"),
            series: series.collect(),
        }
    }

    /// A figure by the names of its row and column; NaN, which fails every claim, if there is none.
    fn figure(&self, name: &str, column: &str) -> f64 {
        let line = self.lines.iter().find(|line| line.name == name);
        let at = self.columns.iter().position(|found| found == column);
        line.zip(at)
            .and_then(|(line, at)| line.figures.get(at))
            .copied()
            .unwrap_or(f64::NAN)
    }

    /// States that a figure of one row is at most that of another.
    fn below(&self, claims: &mut Claims, column: &str, name: &str, other: &str) {
        let ratio = self.figure(name, column) / self.figure(other, column);
        claims.at_most(&format!("{column}: {name} by {other}"), ratio, 1.0);
    }

    /// States that the row without which no comparison is complete is there.
    fn holds_direct(&self, claims: &mut Claims) {
        let found = self.lines.iter().filter(|line| line.name == DIRECT).count();
        claims.at_least(&format!("rows named `{DIRECT}`"), found as f64, 1.0);
    }
}

/// How large a story is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The published size of the two-layer network.
    pub full: bool,
    /// Classes of a few-shot task.
    pub ways: usize,
}

/// Runs a story.
///
/// # Errors
/// Data that cannot be read or is too small; a path that is not stable.
pub fn report(
    story: Story,
    source: &Source,
    size: Size,
    seed: u64,
    threads: usize,
) -> Result<Report, Failure> {
    match story {
        Story::Tables => Err(Failure::Input("the tables are no story".into())),
        Story::HyperCleaning => cleaning::report(&source.load(seed)?, seed, threads),
        Story::FewShot => few_shot::digits(&source.load(seed)?, size.ways, seed, threads),
        Story::Sine => few_shot::sine(seed, threads),
        Story::TwoLayer => layers::two_layer(size.full, seed, threads),
        Story::Mnist => layers::images(&source.load(seed)?, seed, threads),
    }
}

/// States what each story is to show.
pub fn compare(story: Story, report: &Report, claims: &mut Claims) {
    report.holds_direct(claims);
    match story {
        Story::Tables => {}
        Story::HyperCleaning => cleaning::compare(report, claims),
        Story::FewShot | Story::Sine => few_shot::compare(story, report, claims),
        Story::TwoLayer | Story::Mnist => layers::compare(report, claims),
    }
}

/// A row of a story.
const fn row(name: &'static str, kind: Kind, rate: f64) -> Method {
    Method { name, kind, rate }
}

const fn esj(directions: usize, direction: Direction) -> Kind {
    Kind::Random(Estimate::Response, directions, direction)
}

const fn hozog(directions: usize, direction: Direction) -> Kind {
    Kind::Random(Estimate::OuterValue, directions, direction)
}

/// What the paths of a story have in common.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The inner loop.
    pub inner: descent::Config,
    /// Smoothing radius.
    pub radius: f64,
    /// Where the inner loop starts.
    pub start: Start,
    /// Seed of directions and minibatches.
    pub seed: u64,
}

/// An outer variable in training.
#[derive(Clone, Debug)]
pub struct Trainer {
    kind: Kind,
    config: es_jacobian::Config,
    implicit: aid::Config,
    /// End of the inner loop, for the methods that have no random directions.
    y_n: Vec<f32>,
    state: State<Vec<f32>>,
    outer: adam::Config,
    moments: adam::State<Vec<f32>>,
    scratch: Vec<f32>,
    h: Vec<f32>,
    seconds: f64,
    /// The outer variable.
    pub x: Vec<f32>,
    /// Outer loss before every step.
    pub curve: Vec<f64>,
}

impl Trainer {
    /// A start.
    pub fn new(method: &Method, plan: Plan, x: Vec<f32>, y: Vec<f32>) -> Self {
        let (estimate, directions, direction) = match method.kind {
            Kind::Random(estimate, directions, direction) => (estimate, directions, direction),
            _ => (Estimate::Response, 0, Direction::Gaussian),
        };
        let zeros = vec![0.0; x.len()];
        let (products, solver) = match (method.kind, plan.inner.method) {
            (Kind::Cg(products), _) => (products, Solver::ConjugateGradients),
            (_, descent::Method::Sgd(sgd)) => {
                let step_size = sgd.learning_rate;
                (plan.inner.steps as usize, Solver::FixedPoint { step_size })
            }
            _ => (0, Solver::ConjugateGradients),
        };
        Self {
            kind: method.kind,
            implicit: aid::Config {
                inner: plan.inner,
                products,
                solver,
            },
            y_n: y.clone(),
            config: es_jacobian::Config {
                seed: plan.seed,
                radius: plan.radius,
                estimate,
                directions,
                direction,
                start: plan.start,
                ..es_jacobian::Config::new(plan.inner)
            },
            state: State::from_storage(y),
            outer: adam::Config {
                learning_rate: method.rate,
                ..Default::default()
            },
            moments: adam::State::from_storage(zeros.clone(), zeros.clone()),
            scratch: Vec::new(),
            h: zeros,
            seconds: 0.0,
            x,
            curve: Vec::new(),
        }
    }

    /// One outer step.
    ///
    /// # Errors
    /// A path that is not stable.
    pub fn step(&mut self, problem: &impl InnerSlope<f32>) -> Result<(), Failure> {
        let Self {
            kind,
            config,
            implicit,
            y_n,
            state,
            outer,
            moments,
            scratch,
            h,
            seconds,
            x,
            curve,
        } = self;
        let (p, d) = (problem.outer_dim(), problem.inner_dim());
        let (inner, products) = (config.inner, Differences::new(problem));
        let (own, more) = (problem.scratch_len(), products.scratch_len());
        let len = match kind {
            Kind::Direct | Kind::Random(..) => es_jacobian::scratch_len(config, p, d, own),
            Kind::Cg(_) | Kind::Fp => aid::scratch_len(implicit, p, d, more),
            Kind::Itd => itd::scratch_len(inner.steps, p, d, more).unwrap_or(usize::MAX),
        };
        scratch.resize(len, 0.0);
        let round = Round {
            seed: config.seed,
            number: state.rounds(),
        };
        y_n.copy_from_slice(state.y0());
        let start = Instant::now();
        let value = match kind {
            Kind::Direct | Kind::Random(..) => {
                es_jacobian::step(config, state, problem, x, scratch, h)
            }
            Kind::Itd => itd::hypergradient(&inner, round, &products, x, y_n, scratch, h),
            Kind::Cg(_) | Kind::Fp => {
                aid::hypergradient(implicit, round, &products, x, y_n, scratch, h)
            }
        }
        .map_err(input)?;
        if !matches!(kind, Kind::Direct | Kind::Random(..)) {
            state.advance(config.start, y_n).map_err(input)?;
        }
        *seconds += start.elapsed().as_secs_f64();
        curve.push(value.into());
        adam::step(outer, moments, x, h).map_err(input)
    }

    /// Where the inner loop starts: with a warm start, where it ended.
    pub fn y(&self) -> &[f32] {
        self.state.y0()
    }

    /// The row of the table.
    pub fn line(self, name: &'static str, figures: Vec<f64>) -> Line {
        let (n, paths) = (self.config.inner.steps, self.config.directions as u64 + 1);
        let products = self.implicit.products as u64;
        // A product is a difference of two gradients.
        let each = match self.kind {
            Kind::Direct | Kind::Random(..) => paths * n,
            Kind::Itd => n + 4 * n,
            Kind::Cg(_) | Kind::Fp => n + 2 * (products + 1),
        };
        Line {
            name,
            figures,
            gradients: self.state.rounds() * each,
            seconds: self.seconds,
            curve: self.curve,
        }
    }
}
