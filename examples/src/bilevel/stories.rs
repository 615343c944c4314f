//! Problems beyond the two tables: gradients only, single precision.
//!
//! These tables are no evidence for ESJ, one seed each. Cleaning: AID-FP finds more of the wrong labels with a seventh of the gradients.
//! Few shots of digits: layers as drawn classify unseen digits best; of those that train ESJ has the least loss, signs with 3 ways, a single
//! Gaussian direction with 5. Sine waves: AID-FP is ahead, and the direct gradient ahead of ESJ. Two layers: ESJ on the unit sphere is
//! the direct gradient; AID-FP is a little ahead of both, AID-CG fails with 10 inner steps, as published. Minibatches of digits: stocBiO
//! ends at half the loss of the direct gradient.
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
use thalweg::bilevel::aid;
use thalweg::bilevel::differences::{Differences, InnerSlope};
use thalweg::bilevel::es_jacobian::{self, Direction, Estimate, Start, State};
use thalweg::bilevel::{Problem, Round, Variables, descent, itd, stoc_bio};
use thalweg::optim::{self, Optimiser, adam};
use thalweg_std::plot::Panel;

use super::method::{DIRECT, Kind, Method, descent_rate};
use super::picture;
use crate::cli::{Claims, Failure, input};
use crate::source::Source;
use crate::table::Table;

/// Which problem is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Serialize)]
pub enum Story {
    /// The two benchmarks, A and B
    Tables,
    /// A with twice as many inputs, features and rows, 150 outer steps
    Larger,
    /// Data hyper-cleaning: digits of which half carry a wrong label
    HyperCleaning,
    /// Few-shot meta-learning: 3 ways and 5 shots (or --ways, --shots), judged on classes that no training task has; digits, or --data
    FewShot,
    /// Few-shot regression of sine waves from 10 points
    Sine,
    /// Two sigmoid layers and a linear head, a quarter of the published size in each dimension unless --full
    TwoLayer,
    /// Hidden layers and a softmax head with minibatches: digits, or MNIST with --data DIR --format idx and as many weights as LeNet-5
    Mnist,
}

impl Story {
    /// Whether it reads a data set.
    pub const fn has_data(self) -> bool {
        matches!(self, Self::HyperCleaning | Self::FewShot | Self::Mnist)
    }

    /// Runs, with seeds that follow each other: several under `--check`, whose claims are about means.
    pub const fn runs(self, check: bool) -> u64 {
        match self {
            _ if !check => 1,
            Self::HyperCleaning | Self::FewShot => 6,
            _ => 3,
        }
    }
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
    /// Whether the loss of a step is that of fresh tasks or of a minibatch.
    #[serde(skip)]
    pub is_noisy: bool,
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
    pub fn panels(&self) -> Vec<Panel> {
        let lines = self.lines.iter().filter(|line| !line.curve.is_empty());
        let curves: Vec<(&str, &[f64])> = lines.map(|line| (line.name, &line.curve[..])).collect();
        if self.is_noisy {
            picture::noisy(&curves)
        } else {
            picture::plain(&curves)
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

    /// States that the row without which no comparison is complete is there.
    fn holds_direct(&self, claims: &mut Claims) {
        let found = self.lines.iter().filter(|line| line.name == DIRECT).count();
        claims.at_least(&format!("rows named `{DIRECT}`"), found as f64, 1.0);
    }
}

/// States that the mean over the runs of a figure of one row is below that of another.
fn below(reports: &[Report], claims: &mut Claims, column: &str, name: &str, other: &str) {
    let (mean, _) = excess(reports, column, name, other);
    let figure = format!("{column}: {other} minus {name}, mean of {}", reports.len());
    claims.at_least(&figure, mean, 0.0);
}

/// States that the runs do not contradict it, where the difference is no larger than its standard error.
fn not_above(reports: &[Report], claims: &mut Claims, column: &str, name: &str, other: &str) {
    let (mean, error) = excess(reports, column, name, other);
    let runs = reports.len();
    let figure = format!("{column}: {other} minus {name}, mean of {runs} in standard errors");
    // Of means that do not differ one in 200 is lower.
    claims.at_least(&figure, if mean == 0.0 { mean } else { mean / error }, -4.0);
}

/// Mean and standard error, over the runs, of a figure of `other` minus that of `name`.
fn excess(reports: &[Report], column: &str, name: &str, other: &str) -> (f64, f64) {
    let of = |report: &Report| report.figure(other, column) - report.figure(name, column);
    let n = reports.len() as f64;
    let mean = reports.iter().map(of).sum::<f64>() / n;
    let squares: f64 = reports
        .iter()
        .map(|report| (of(report) - mean).powi(2))
        .sum();
    (mean, (squares / (n * (n - 1.0))).sqrt())
}

/// How much of a story is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The published size of the two-layer network.
    pub full: bool,
    /// Classes of a few-shot task.
    pub ways: usize,
    /// Rows of each class that a task learns from.
    pub shots: usize,
    /// Only the rows that claims are made about.
    pub claimed: bool,
}

impl Scope {
    /// The methods that are run, of which some have claims.
    fn methods(self, all: &'static [Method], claimed: &[&str]) -> Vec<&'static Method> {
        let is_run = |method: &&Method| !self.claimed || claimed.contains(&method.name);
        all.iter().filter(is_run).collect()
    }
}

/// Runs a story.
///
/// # Errors
/// Data that cannot be read or is too small; a path that is not stable.
pub fn report(
    story: Story,
    source: &Source,
    scope: Scope,
    seed: u64,
    threads: usize,
) -> Result<Report, Failure> {
    match story {
        Story::Tables | Story::Larger => Err(Failure::Input("the tables are no story".into())),
        Story::HyperCleaning => cleaning::report(&source.load(seed)?, scope, seed, threads),
        Story::FewShot => few_shot::digits(&source.load(seed)?, scope, seed, threads),
        Story::Sine => few_shot::sine(scope, seed, threads),
        Story::TwoLayer => layers::two_layer(scope, seed, threads),
        Story::Mnist => layers::images(&source.load(seed)?, scope, seed, threads),
    }
}

/// States what each story is to show, of the means over its runs.
pub fn compare(story: Story, reports: &[Report], claims: &mut Claims) {
    for report in reports {
        report.holds_direct(claims);
    }
    match story {
        Story::Tables | Story::Larger => {}
        Story::HyperCleaning => cleaning::compare(reports, claims),
        Story::FewShot | Story::Sine => few_shot::compare(story, reports, claims),
        Story::TwoLayer | Story::Mnist => layers::compare(reports, claims),
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
    /// Step size of the fixed point and of the series, if it is not that of the inner loop.
    pub solver: Option<f64>,
}

/// An outer variable in training.
#[derive(Clone, Debug)]
pub struct Trainer {
    kind: Kind,
    config: es_jacobian::Config,
    implicit: aid::Config,
    series: stoc_bio::Config,
    /// End of the inner loop, for the methods that have no random directions.
    y_n: Vec<f32>,
    state: State<Vec<f32>>,
    outer: adam::Config,
    moments: optim::State<adam::Config, Vec<f32>>,
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
        let rate = plan.solver.unwrap_or(descent_rate(plan.inner.method));
        let (implicit, series) = method.kind.implicit(plan.inner, rate);
        Self {
            kind: method.kind,
            implicit,
            series,
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
            moments: optim::State::new([zeros.clone(), zeros.clone()].concat()),
            scratch: Vec::new(),
            h: zeros,
            seconds: 0.0,
            x,
            curve: Vec::new(),
        }
    }

    /// Scales the step size of the outer loop, from the next step on.
    pub const fn scale_rate(&mut self, factor: f64) {
        self.outer.learning_rate *= factor;
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
            series,
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
            Kind::Series(_) => stoc_bio::scratch_len(series, p, d, more),
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
                es_jacobian::step(config, state, problem, x, h, scratch)
            }
            Kind::Itd => itd::hypergradient(
                &inner,
                round,
                &products,
                Variables { x, y: y_n },
                h,
                scratch,
            ),
            Kind::Cg(_) | Kind::Fp => aid::hypergradient(
                implicit,
                round,
                &products,
                Variables { x, y: y_n },
                h,
                scratch,
            ),
            Kind::Series(_) => stoc_bio::hypergradient(
                series,
                round,
                &products,
                Variables { x, y: y_n },
                h,
                scratch,
            ),
        }
        .map_err(input)?;
        if !matches!(kind, Kind::Direct | Kind::Random(..)) {
            state.advance(config.start, y_n).map_err(input)?;
        }
        *seconds += start.elapsed().as_secs_f64();
        curve.push(value.into());
        outer.step(moments, x, h).map_err(input)
    }

    /// Where the inner loop starts: with a warm start, where it ended.
    pub fn y(&self) -> &[f32] {
        self.state.y0()
    }

    /// The row of the table.
    pub fn line(self, name: &'static str, figures: Vec<f64>) -> Line {
        let (n, paths) = (self.config.inner.steps, self.config.directions as u64 + 1);
        let products = match self.kind {
            Kind::Series(products) => products as u64,
            _ => self.implicit.products as u64,
        };
        // A product is a difference of two gradients.
        let each = match self.kind {
            Kind::Direct | Kind::Random(..) => paths * n,
            Kind::Itd => n + 4 * n,
            Kind::Cg(_) | Kind::Fp | Kind::Series(_) => n + 2 * (products + 1),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(pairs: &[[f64; 2]]) -> Vec<Report> {
        let report = |&[a, b]: &[f64; 2]| Report {
            title: String::new(),
            columns: vec!["loss".into()],
            lines: vec![
                Line::baseline("a", vec![a]),
                Line::baseline("b", vec![b]),
                Line::baseline(DIRECT, vec![0.0]),
            ],
            is_noisy: false,
        };
        pairs.iter().map(report).collect()
    }

    fn holds(reports: &[Report], state: impl Fn(&[Report], &mut Claims)) -> bool {
        let mut claims = Claims::default();
        state(reports, &mut claims);
        claims.verdict(None).is_ok()
    }

    #[test]
    fn differences_of_means_have_the_standard_error_of_their_runs() {
        // 1, 2 and 6: mean 3, squares 4 + 1 + 9 over 3 * 2.
        let reports = runs(&[[1.0, 2.0], [1.0, 3.0], [0.0, 6.0]]);
        let (mean, error) = excess(&reports, "loss", "a", "b");
        assert!((mean - 3.0).abs() < 1e-12 && (error - (14.0_f64 / 6.0).sqrt()).abs() < 1e-12);
        assert!(excess(&reports, "loss", "a", "none").0.is_nan());
    }

    #[test]
    fn claims_about_means_fail_where_the_runs_contradict_them() {
        let level = |r: &[Report], c: &mut Claims| not_above(r, c, "loss", "a", "b");
        let order = |r: &[Report], c: &mut Claims| below(r, c, "loss", "a", "b");
        let ahead = runs(&[[1.0, 2.0], [1.0, 3.0], [1.0, 0.5]]);
        assert!(holds(&ahead, level) && holds(&ahead, order));
        // A mean of -0.1 with an error of 0.6; one of -5 with 0.6; none; no figure.
        let behind = runs(&[[1.0, 1.9], [1.0, 1.0], [1.0, -0.2]]);
        assert!(holds(&behind, level) && !holds(&behind, order));
        let far = runs(&[[6.0, 1.9], [6.0, 1.0], [6.0, -0.2]]);
        assert!(!holds(&far, level) && !holds(&far, order));
        let same = runs(&[[1.0, 1.0]; 3]);
        assert!(holds(&same, level) && holds(&same, order));
        assert!(!holds(&runs(&[[f64::NAN, 1.0]; 3]), level));
    }

    #[test]
    fn a_check_runs_the_rows_of_its_claims_only() {
        const ALL: &[Method] = &[row(DIRECT, Kind::Direct, 0.1), row("ITD", Kind::Itd, 0.1)];
        let scope = Scope {
            full: false,
            ways: 3,
            shots: 5,
            claimed: true,
        };
        assert_eq!(scope.methods(ALL, &["ITD"]).len(), 1);
        let scope = Scope {
            claimed: false,
            ..scope
        };
        assert_eq!(scope.methods(ALL, &["ITD"]).len(), 2);
    }
}
