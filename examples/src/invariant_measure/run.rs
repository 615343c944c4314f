//! One run with everything that is measured along it.

use indicatif::ProgressBar;
use serde::{Serialize, Serializer};
use thalweg::dynamics::invariant_measure::{
    self as diagnostics, Histogram, Monitor, Observable, Verdict, Window, compare, curvature_ratio,
    movement, norm_ratio, project_into, shape_ratio, step_stats,
};
use thalweg::optim::{Optimiser, State, sgd};
use thalweg::solve::{self, power_iteration};
use thalweg::{Error, vector};
use thalweg_std::data::Batches;

use super::distribution::{self, Distance};
use super::end::{self, End, measure};
use super::problem::{Problem, Slope};
use super::rule::{Patience, Pflug, Sasa, Threshold};

/// What is run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// As tables call it.
    pub name: String,
    /// Step size.
    pub rate: f64,
    /// All rows in every step, no noise.
    pub full: bool,
    /// Steps in all.
    pub steps: u64,
    /// Steps of the quarters: the first table.
    pub table: u64,
    /// From this step on the step size is a tenth.
    pub lowered: Option<u64>,
    /// Follow the sharpness along the run.
    pub follow: bool,
}

/// Full loss and gradient at one step.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Steps taken.
    pub step: u64,
    /// Loss over all rows.
    pub loss: f64,
    /// Norm of its gradient.
    pub gradient: f64,
    /// Distance from the parameters at the point before.
    pub moved: f64,
}

/// Means of the points in a quarter of the table's steps.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Quarter {
    /// Mean loss.
    pub loss: f64,
    /// Its deviation.
    pub deviation: f64,
    /// Root of the mean squared norm of the full gradient.
    pub gradient: f64,
}

/// One observable in two halves of a window.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Judgement {
    /// The verdict in words.
    #[serde(serialize_with = "words")]
    pub verdict: Verdict,
    /// Score of the means.
    pub mean: f64,
    /// Score of the spreads.
    pub spread: f64,
    /// Correlation time in samples.
    pub correlation_time: f64,
    /// The means alone are not rejected, whatever the guard says.
    pub is_level: bool,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn words<S: Serializer>(verdict: &Verdict, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(verdict)
}

impl Judgement {
    /// Two windows that were not filled at one step size.
    const NONE: Self = Self {
        verdict: Verdict::Inconclusive,
        mean: f64::NAN,
        spread: f64::NAN,
        correlation_time: f64::NAN,
        is_level: false,
    };
}

impl From<diagnostics::Report> for Judgement {
    fn from(report: diagnostics::Report) -> Self {
        Self {
            verdict: report.verdict,
            mean: report.mean_score,
            spread: report.spread_score,
            correlation_time: report.correlation_time,
            is_level: !report.rejects_mean(),
        }
    }
}

/// Two halves of a stretch of the run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stretch {
    /// First step.
    pub from: u64,
    /// Step after the last.
    pub to: u64,
    /// `2 mean<x,g> / (eta mean<g,g>)` over both.
    pub norm_ratio: Option<f64>,
    /// Loss, `<g,g>`, `<x,g>`, `<x,x>`.
    pub observables: [Judgement; 4],
}

/// The last fifth of the run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Late {
    /// Means of the points.
    pub loss: f64,
    /// Root of the mean squared norm of the full gradient.
    pub gradient: f64,
    /// `(eta / 2) mean(g^T H g) / mean|grad|^2`.
    pub curvature_ratio: Option<f64>,
    /// Distance between first and last parameters.
    pub moved: f64,
    /// Norm of the last parameters.
    pub norm: f64,
    /// Four signed sums of the parameters.
    pub projections: Vec<Judgement>,
    /// Shape of the loss: distance of the halves over that inside them.
    pub shape_ratio: Option<f64>,
    /// Distance of the halves in distribution: loss, `<x,x>`.
    pub distances: [Option<Distance>; 2],
    /// Windows and distribution together: loss, `<x,x>`.
    #[serde(serialize_with = "both_words")]
    pub verdicts: [Option<Verdict>; 2],
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn both_words<S: Serializer>(verdicts: &[Option<Verdict>; 2], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(verdicts.iter().map(|v| v.map(|v| v.to_string())))
}

/// Mean and spread by the windows, then the distribution: whichever differs, the observable drifts. Windows that are too short leave it open.
pub fn together(windows: Verdict, distance: Option<Distance>) -> Verdict {
    match (windows, distance) {
        (Verdict::Stationary, Some(distance)) if distance.differs => Verdict::Drifting,
        (Verdict::Stationary, None) => Verdict::Inconclusive,
        (verdict, _) => verdict,
    }
}

/// Where a rule first says stop.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stop {
    /// Steps taken.
    pub step: u64,
    /// Norm of the full gradient at the last point, over the first.
    pub gradient: f64,
}

/// The rules, as in the third table.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Stops {
    /// Early stopping on the full loss.
    pub patience: Option<Stop>,
    /// A small full gradient.
    pub threshold: Option<Stop>,
    /// Negative products of successive gradients.
    pub pflug: Option<Stop>,
    /// The confidence interval of the ratio R1.
    pub sasa: Option<Stop>,
    /// Two windows of a thirtieth of the run with a stationary loss.
    pub loss_windows: Option<Stop>,
    /// The same, all four observables.
    pub all_windows: Option<Stop>,
}

/// A run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// As tables call it.
    pub name: String,
    /// First step size.
    pub rate: f64,
    /// No noise.
    pub full: bool,
    /// Steps in all.
    pub steps: u64,
    /// Steps of the quarters.
    pub table: u64,
    /// Three hundred points.
    pub points: Vec<Point>,
    /// Third and fourth quarter of the table's steps.
    pub quarters: [Quarter; 2],
    /// R2 in the fourth quarter.
    pub curvature_ratio: Option<f64>,
    /// At the end of the table's steps.
    pub end: End,
    /// Sharpness along the run.
    pub sharpness: Vec<(u64, f64)>,
    /// Stretches, each later and longer.
    pub stretches: Vec<Stretch>,
    /// The last fifth.
    pub late: Late,
    /// Where rules stop.
    pub stops: Stops,
    /// Times that a change of the step size has emptied the monitor.
    pub resets: u64,
}

impl Run {
    /// The full gradient of the last fifth is below a hundredth of the first.
    pub fn vanishes(&self) -> bool {
        let first = self.points.first().map_or(f64::NAN, |point| point.gradient);
        self.late.gradient < super::VANISHED * first
    }
}

/// Stretches as fractions of the run; the last is the late one.
pub const STRETCHES: [(f64, f64); 6] = [
    (1.0 / 150.0, 1.0 / 75.0),
    (1.0 / 30.0, 1.0 / 15.0),
    (2.0 / 15.0, 0.2),
    (0.3, 0.4),
    (0.6, 0.8),
    (0.8, 1.0),
];
/// Fewest steps of a window.
const LEAST_WINDOW: u64 = 32;
/// Points of a run.
pub const POINTS: u64 = 300;
/// Signed sums of the parameters that are followed.
const PROJECTIONS: usize = 4;
/// Steps between two of them.
const PROJECT_EVERY: u64 = 10;
/// Units of progress: steps.
pub const TICK: u64 = 600;

/// Sums of R2.
#[derive(Clone, Copy, Default)]
struct Balance {
    curvature: f64,
    gradient: f64,
    count: f64,
}

impl Balance {
    fn ratio(&self, rate: f64) -> Option<f64> {
        let n = self.count.max(1.0);
        curvature_ratio(rate, self.curvature / n, self.gradient / n)
    }
}

/// Runs a plan.
///
/// # Errors
/// A step size with which the loss is not finite, named with the step.
pub fn run(problem: &Problem, plan: &Plan, bar: &ProgressBar) -> Result<Run, Error> {
    let mut slope = Slope::new(problem)?;
    let mut x = problem.start()?;
    let d = x.len();
    let (mut g, mut full, mut product) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    let mut scratch = vec![0.0; end::scratch_len(d)];
    let mut batches = Batches::with_replacement(problem.rows(), problem.batch, problem.seed, 0)
        .map_err(|_| Error::Parameter {
            name: "rows",
            rule: "must be positive",
        })?;
    let mut optimiser = State::new([0.0_f64; 0]);
    let mut config = sgd::Config::new(plan.rate);
    let every = (plan.steps / POINTS).max(1);

    let spans = STRETCHES.map(|(a, b)| {
        let at = |share: f64| (share * plan.steps as f64).round() as u64;
        (at(a), at(b))
    });
    let mut monitors = Vec::new();
    for (from, to) in spans {
        monitors.push(Monitor::new(((to - from) / 2).max(LEAST_WINDOW))?);
    }
    let late_from = spans.last().map_or(0, |span| span.0);
    let late_half = (plan.steps - late_from) / 2;
    let fourth_from = plan.table - plan.table / 4;
    let short_len = (plan.steps / 30).max(LEAST_WINDOW);
    let mut short = Monitor::new(short_len)?;
    let (mut patience, mut threshold) = (Patience::default(), Threshold::default());
    let (mut pflug, mut sasa) = (Pflug::new(d), Sasa::default());
    let mut stops = Stops::default();
    let (mut points, mut sharpness): (Vec<Point>, Vec<(u64, f64)>) = (Vec::new(), Vec::new());
    let (mut balance, mut late_balance) = (Balance::default(), Balance::default());
    let (mut end, mut next_sharpness) = (End::default(), 0);
    let (mut reference, mut late_start) = (x.clone(), x.clone());
    let mut projections = [[Window::new(); 2]; PROJECTIONS];
    let mut histograms: Option<[Histogram; 4]> = None;
    let mut samples: [Vec<f64>; 2] = [Vec::new(), Vec::new()];

    for k in 0..=plan.steps {
        if plan.lowered == Some(k) {
            config.learning_rate = plan.rate / 10.0;
        }
        if k % every == 0 || k == plan.steps {
            let (loss, gradient) = slope.measure(&x, &mut full)?;
            let moved = movement(&x, &reference)?.sqrt();
            reference.copy_from_slice(&x);
            points.push(Point {
                step: k,
                loss,
                gradient,
                moved,
            });
            let first = points.first().map_or(1.0, |point| point.gradient);
            let stop = Stop {
                step: k,
                gradient: gradient / first,
            };
            if patience.stops(loss) {
                stops.patience.get_or_insert(stop);
            }
            if threshold.stops(gradient) {
                stops.threshold.get_or_insert(stop);
            }
        }
        if k == plan.table {
            end = measure(problem, &mut slope, &x, plan, &mut scratch)?;
        }
        if plan.follow && k >= next_sharpness && k % every == 0 {
            let gradient = |x: &[f64], g: &mut [f64]| slope.full(x, g).map(drop);
            let found = power_iteration(&x, gradient, problem.seed, &mut scratch)?;
            sharpness.push((k, found.value));
            next_sharpness = (2 * k).max(every);
        }
        if k == plan.steps {
            break;
        }

        let loss = if plan.full {
            slope.full(&x, &mut g)?
        } else {
            slope.batch(&x, batches.next_batch(), &mut g)?
        };
        let rate = config.learning_rate;
        short.observe(rate, loss, &x, &g)?;
        for ((from, to), monitor) in spans.iter().zip(&mut monitors) {
            if (*from..*to).contains(&k) {
                monitor.observe(rate, loss, &x, &g)?;
            }
        }
        let is_late = k >= late_from;
        if k % every == 0 && (is_late || (fourth_from..plan.table).contains(&k)) {
            // g^T H g by one product along g.
            let square = vector::norm2_squared(&g);
            if square > 0.0 {
                let inverse = 1.0 / square.sqrt();
                let v: Vec<f64> = g.iter().map(|g| g * inverse).collect();
                let gradient = |x: &[f64], g: &mut [f64]| slope.full(x, g).map(drop);
                solve::hessian_vector_into(&x, &v, gradient, &mut product, &mut scratch)?;
                let curvature = square * vector::dot(&v, &product)?;
                let norm = vector::norm2_squared(&full);
                for (balance, takes) in [
                    (&mut balance, (fourth_from..plan.table).contains(&k)),
                    (&mut late_balance, is_late),
                ] {
                    if takes {
                        balance.curvature += curvature;
                        balance.gradient += norm;
                        balance.count += 1.0;
                    }
                }
            }
        }
        if is_late {
            let place = k - late_from;
            if place == 0 {
                late_start.copy_from_slice(&x);
                let top = 2.0 * points.last().map_or(1.0, |point| point.loss);
                histograms = Some([Histogram::new(0.0, top)?; 4]);
            }
            let quarter = (2 * place / late_half.max(1)).min(3) as usize;
            if let Some(histogram) = histograms.as_mut().and_then(|h| h.get_mut(quarter)) {
                histogram.push(loss);
            }
            let [losses, norms] = &mut samples;
            losses.push(loss);
            norms.push(step_stats(&x, &g)?.tt);
            if place % PROJECT_EVERY == 0 && place < 2 * late_half {
                let mut sums = [0.0; PROJECTIONS];
                project_into(&x, problem.seed, &mut sums);
                for ([first, second], sum) in projections.iter_mut().zip(sums) {
                    if place < late_half {
                        first.push(sum);
                    } else {
                        second.push(sum);
                    }
                }
            }
        }
        let first = points.first().map_or(1.0, |point| point.gradient);
        let stop = Stop {
            step: k + 1,
            gradient: points.last().map_or(f64::NAN, |point| point.gradient) / first,
        };
        if pflug.stops(&g)? {
            stops.pflug.get_or_insert(stop);
        }
        if sasa.stops(rate, &x, &g)? {
            stops.sasa.get_or_insert(stop);
        }
        if stops.all_windows.is_none() {
            let reports = Observable::ALL.map(|observable| short.report(observable));
            let is_stationary = |report: &Result<diagnostics::Report, Error>| {
                report
                    .as_ref()
                    .is_ok_and(|report| report.verdict == Verdict::Stationary)
            };
            let is_boundary = short.samples().is_multiple_of(short_len);
            if is_boundary && reports.first().is_some_and(is_stationary) {
                stops.loss_windows.get_or_insert(stop);
            }
            if is_boundary && reports.iter().all(is_stationary) {
                stops.all_windows.get_or_insert(stop);
            }
        }
        config.step(&mut optimiser, &mut x, &g)?;
        if (k + 1) % TICK == 0 {
            bar.inc(1);
        }
    }

    let mut stretches = Vec::new();
    for ((from, to), monitor) in spans.into_iter().zip(&monitors) {
        let report = |observable| {
            let report = monitor.report(observable);
            report.map_or(Judgement::NONE, Judgement::from)
        };
        // A stretch across the change has no two windows at one step size.
        let is_lowered = plan.lowered.is_some_and(|first| first < to);
        let rate = if is_lowered {
            plan.rate / 10.0
        } else {
            plan.rate
        };
        let [_, gg, tg, _] = Observable::ALL;
        let mean = |observable| {
            let both = [monitor.before(observable), monitor.last(observable)];
            both.iter().filter_map(|w| w.mean()).sum::<f64>() / 2.0
        };
        stretches.push(Stretch {
            from,
            to,
            norm_ratio: norm_ratio(rate, mean(tg), mean(gg)),
            observables: Observable::ALL.map(report),
        });
    }
    let quarter = |from: u64, to: u64| {
        let inside = || points.iter().filter(move |p| (from..to).contains(&p.step));
        let n = inside().count().max(1) as f64;
        let loss = inside().map(|p| p.loss).sum::<f64>() / n;
        let squares: f64 = inside().map(|p| (p.loss - loss).powi(2)).sum();
        Quarter {
            loss,
            deviation: (squares / n).sqrt(),
            gradient: (inside().map(|p| p.gradient.powi(2)).sum::<f64>() / n).sqrt(),
        }
    };
    let last = quarter(late_from, plan.steps);
    let judged: Result<Vec<Judgement>, Error> = projections
        .iter()
        .map(|[first, second]| compare(first, second, PROJECTIONS).map(Judgement::from))
        .collect();
    let shape = match &histograms {
        Some([a, b, c, d]) => shape_ratio([a, b], [c, d])?,
        None => None,
    };
    let distances = samples
        .each_ref()
        .map(|samples| distribution::halves(samples, problem.seed));
    let late_windows = stretches.last().map(|stretch| {
        let [loss, _, _, norm] = stretch.observables;
        [loss.verdict, norm.verdict]
    });
    let [first, second] = distances;
    let verdicts = late_windows.map_or([None; 2], |[loss, norm]| {
        [Some(together(loss, first)), Some(together(norm, second))]
    });
    Ok(Run {
        name: plan.name.clone(),
        rate: plan.rate,
        full: plan.full,
        steps: plan.steps,
        table: plan.table,
        quarters: [
            quarter(plan.table / 2, fourth_from),
            quarter(fourth_from, plan.table),
        ],
        curvature_ratio: balance.ratio(config.learning_rate),
        end,
        sharpness,
        stretches,
        late: Late {
            loss: last.loss,
            gradient: last.gradient,
            curvature_ratio: late_balance.ratio(config.learning_rate),
            moved: movement(&x, &late_start)?.sqrt(),
            norm: vector::norm2_squared(&x).sqrt(),
            projections: judged?,
            shape_ratio: shape,
            distances,
            verdicts,
        },
        stops,
        resets: short.resets(),
        points,
    })
}
