//! All settings of all samplers over several seeds, in threads; the best setting of each is a row.

use serde::Serialize;
use thalweg::Error;

use super::measure::{self, Yardstick};
use super::problem::{Kind, Problem};
use super::sampler::{Method, Run, Setting};
use crate::permutation_compressors::grid::in_threads;

/// A particle beyond this has diverged. Not a thousand: on the double banana a particle may be thrown far off a ridge and come back, in
/// two thousand runs of the reference up to 101 away.
const FAR: f64 = 1e6;
/// Discrepancies below this are all as good.
const LEAST: f64 = 1e-5;

/// What every run shares.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Particles.
    pub n: usize,
    /// Steps after which particles are measured; ascending.
    pub checkpoints: Vec<u64>,
    /// Seeds, of which the mean is taken.
    pub seeds: Vec<u64>,
    /// Worker threads.
    pub threads: usize,
}

/// Particles after some steps; means over seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// Score evaluations of a particle, which is steps.
    pub evaluations: u64,
    /// Squared maximum mean discrepancy to the reference.
    pub mmd2: Option<f64>,
    /// Kernel Stein discrepancy.
    pub ksd: f64,
    /// Mean logarithm of the predictive probability of the test rows.
    pub log_predictive: Option<f64>,
}

/// A setting with its figures.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// How it was run.
    #[serde(flatten)]
    pub setting: Setting,
    /// Figures on the way; empty when a seed diverged.
    pub curve: Vec<Point>,
    /// Settings of the same row that diverged.
    pub diverged: Vec<String>,
    /// Variances at the end, mean over seeds.
    pub variance: Vec<f64>,
    /// Covariance of the first two coordinates at the end, mean over seeds.
    pub covariance: f64,
    /// Deviations at the end divided by those of the reference, mean over seeds.
    pub deviation_ratio: Option<Vec<f64>>,
    /// Particles of the first seed at the end.
    #[serde(skip)]
    pub particles: Vec<f64>,
}

/// Rows of one target.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The target.
    pub target: Kind,
    /// In words.
    pub title: String,
    /// Number of parameters.
    pub dimension: usize,
    /// Particles.
    pub particles: usize,
    /// Seeds.
    pub seeds: Vec<u64>,
    /// Bandwidth of the kernel between samples.
    pub width: Option<f64>,
    /// Expected squared discrepancy of as many exact draws.
    pub floor: Option<f64>,
    /// What the finite reference may add.
    #[serde(skip)]
    pub resolution: f64,
    /// Variances of the reference.
    pub reference_variance: Option<Vec<f64>>,
    /// Predictive of the reference.
    pub reference_log_predictive: Option<f64>,
    /// One for each sampler.
    pub rows: Vec<Row>,
}

impl Row {
    /// The point after some steps.
    #[must_use]
    pub fn at(&self, evaluations: u64) -> Option<&Point> {
        self.curve.iter().find(|p| p.evaluations == evaluations)
    }

    /// Mean logarithm of the discrepancy on the way: small when early and late are good.
    fn rank(&self) -> f64 {
        if self.curve.is_empty() {
            return f64::INFINITY;
        }
        let logs = self
            .curve
            .iter()
            .map(|p| p.mmd2.unwrap_or(p.ksd * p.ksd).max(LEAST).ln());
        logs.sum::<f64>() / self.curve.len() as f64
    }
}

/// What one seed of one setting gives.
struct Outcome {
    curve: Vec<Point>,
    theta: Vec<f64>,
}

fn run(
    problem: &Problem,
    yardstick: Option<&Yardstick<'_>>,
    settings: &Settings,
    setting: Setting,
    seed: u64,
) -> Result<Option<Outcome>, Error> {
    let d = problem.dim();
    let mut run = Run::new(problem, setting, settings.n, seed)?;
    let mut curve = Vec::new();
    let mut scores = vec![0.0; settings.n * d];
    for t in 1..=settings.checkpoints.last().copied().unwrap_or(0) {
        match run.advance() {
            Ok(()) => {}
            Err(Error::NonFinite { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
        // A NaN is not below either.
        if !run.theta().iter().all(|x| x.abs() < FAR) {
            return Ok(None);
        }
        if settings.checkpoints.contains(&t) {
            let theta = run.theta();
            problem.scores_into(theta, &mut scores)?;
            curve.push(Point {
                evaluations: t,
                mmd2: yardstick.map(|y| y.mmd2(theta)).transpose()?,
                ksd: measure::ksd(d, theta, &scores)?,
                log_predictive: problem.log_predictive(theta)?,
            });
        }
    }
    let theta = run.theta().to_vec();
    Ok(Some(Outcome { curve, theta }))
}

/// The mean of the seeds' outcomes.
fn row(d: usize, setting: Setting, outcomes: &[Option<Outcome>], reference: Option<&[f64]>) -> Row {
    let done: Vec<&Outcome> = outcomes.iter().flatten().collect();
    let mut row = Row {
        setting,
        curve: Vec::new(),
        diverged: Vec::new(),
        variance: Vec::new(),
        covariance: f64::NAN,
        deviation_ratio: None,
        particles: Vec::new(),
    };
    let (Some(first), true) = (done.first(), done.len() == outcomes.len()) else {
        row.diverged.push(setting.text());
        return row;
    };
    let n = done.len() as f64;
    for (i, point) in first.curve.iter().enumerate() {
        let points = || done.iter().filter_map(|outcome| outcome.curve.get(i));
        let mean = |f: &dyn Fn(&Point) -> Option<f64>| {
            points().map(f).sum::<Option<f64>>().map(|sum| sum / n)
        };
        row.curve.push(Point {
            evaluations: point.evaluations,
            mmd2: mean(&|p| p.mmd2),
            ksd: mean(&|p| Some(p.ksd)).unwrap_or(f64::NAN),
            log_predictive: mean(&|p| p.log_predictive),
        });
    }
    let mut deviations = vec![0.0; d];
    row.variance = vec![0.0; d];
    row.covariance = 0.0;
    for outcome in &done {
        let (_, variance, covariance) = measure::moments(d, &outcome.theta);
        row.covariance += covariance / n;
        for ((sum, deviation), v) in row.variance.iter_mut().zip(&mut deviations).zip(variance) {
            *sum += v / n;
            *deviation += v.sqrt() / n;
        }
    }
    row.deviation_ratio = reference.map(|reference| {
        let pairs = deviations.iter().zip(reference);
        pairs.map(|(s, v)| s / v.sqrt()).collect()
    });
    row.particles.clone_from(&first.theta);
    row
}

/// Runs groups of settings; the best of each group becomes a row, in the order of the groups.
///
/// # Errors
/// What targets and samplers say.
pub fn compare(
    problem: &Problem,
    settings: &Settings,
    groups: &[Vec<Setting>],
    done: &(dyn Fn() + Sync),
) -> Result<Report, Error> {
    let d = problem.dim();
    let yardstick = Yardstick::new(problem)?;
    let jobs: Vec<(Setting, u64)> = groups
        .iter()
        .flatten()
        .flat_map(|&setting| settings.seeds.iter().map(move |&seed| (setting, seed)))
        .collect();
    let outcomes = in_threads(settings.threads, &jobs, |&(setting, seed)| {
        let outcome = run(problem, yardstick.as_ref(), settings, setting, seed);
        done();
        outcome
    });
    let outcomes = outcomes.into_iter().collect::<Result<Vec<_>, _>>()?;
    let reference = problem.reference.as_ref();
    let reference_variance = reference.map(|draws| measure::moments(d, draws).1);
    let mut each = outcomes.chunks(settings.seeds.len().max(1));
    let mut rows = Vec::new();
    for group in groups {
        let tried: Vec<Row> = group
            .iter()
            .zip(each.by_ref())
            .map(|(&setting, outcomes)| row(d, setting, outcomes, reference_variance.as_deref()))
            .collect();
        let diverged = tried.iter().flat_map(|row| row.diverged.clone()).collect();
        let best = tried
            .into_iter()
            .min_by(|a, b| a.rank().total_cmp(&b.rank()));
        rows.extend(best.map(|best| Row { diverged, ..best }));
    }
    Ok(Report {
        target: problem.kind,
        title: problem.title.clone(),
        dimension: d,
        particles: settings.n,
        seeds: settings.seeds.clone(),
        width: yardstick.as_ref().map(|y| y.width),
        floor: yardstick.as_ref().map(|y| y.floor(settings.n)),
        resolution: yardstick.as_ref().map_or(0.0, Yardstick::resolution),
        reference_log_predictive: match reference {
            Some(draws) => problem.log_predictive(draws)?,
            None => None,
        },
        reference_variance,
        rows,
    })
}

/// Samplers that a target can be given.
#[must_use]
pub fn methods(problem: &Problem, wanted: &[Method]) -> Vec<Method> {
    use clap::ValueEnum;
    let all = Method::value_variants().iter().copied();
    all.filter(|m| wanted.is_empty() || wanted.contains(m))
        .filter(|m| *m != Method::Exact || problem.is_exact())
        .collect()
}
