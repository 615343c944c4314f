//! Training that reaches a steady state in distribution and not a stationary point.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | a small network on data with wrong labels |
//! | [`mod@run`] | one run with everything that is measured along it |
//! | [`distribution`] | the distance of two halves of a series, compared with that of halves dealt at random |
//! | [`rule`] | rules by which training is stopped elsewhere |
//! | [`calibration`] | false alarms of tests on correlated noise |
//! | [`end`] | what is measured at one point |
//! | `check` | what the figures must be, for every seed |

pub mod calibration;
mod check;
pub mod distribution;
pub mod end;
mod picture;
pub mod problem;
pub mod rule;
pub mod run;

use clap::Parser;
use serde::Serialize;
use thalweg::dynamics::invariant_measure::Verdict;

use crate::cli::{
    Claims, Common, Failure, bad, input, positive, print, println, real, short, whole,
};
use crate::progress;
use crate::source::Source;
use crate::table::Table;
use crate::threads::each;

use calibration::{CORRELATIONS, Calibration, calibrate};
use problem::{Problem, Shape};
use run::{Plan, Run, Stop, TICK};

/// SGD whose loss has stopped: has the gradient vanished, or has the distribution of the weights become steady?
///
/// A 64-16-10 network on digits of which a fifth have a random label, at constant step sizes, with full gradients, and with a step
/// size that is lowered. Loss, gradient, sharpness; the verdict of two windows per observable: stationary, not stationary or
/// inconclusive; what other rules say; and false alarms of the tests on noise whose verdict is known.
#[derive(Clone, Debug, Parser)]
#[command(name = "invariant_measure", version)]
pub struct Options {
    /// Options of every program.
    #[command(flatten)]
    pub common: Common,
    /// Where the data comes from.
    #[command(flatten)]
    pub source: Source,
    /// Step sizes (comma-separated)
    #[arg(
        long,
        alias = "rates",
        value_delimiter = ',',
        default_value = "0.4,0.2,0.1,0.05",
        value_parser = positive()
    )]
    pub step_sizes: Vec<f64>,
    /// Steps of each run with minibatches
    #[arg(long, default_value_t = 60_000, value_parser = whole::<u64>(LEAST_STEPS..=MOST_STEPS))]
    pub steps: u64,
    /// Steps of the two runs with full gradients; 0 leaves them out
    #[arg(long, default_value_t = 12_000, value_parser = whole::<u64>(0..=MOST_STEPS))]
    pub full_steps: u64,
    /// Rows of a minibatch, drawn with replacement
    #[arg(long, default_value_t = 16, value_parser = whole::<usize>(2..=1 << 20))]
    pub batch: usize,
    /// Most rows, drawn at random from larger data
    #[arg(long, default_value_t = 2000, value_parser = whole::<usize>(2..=1 << 20))]
    pub rows: usize,
    /// Share of rows that get a random label
    #[arg(long, default_value_t = 0.2, value_parser = real(0.0..=1.0))]
    pub corrupt: f64,
    /// Units of the hidden layer
    #[arg(long, default_value_t = 16, value_parser = whole::<usize>(1..=4096))]
    pub hidden: usize,
    /// Weight decay, part of the loss
    #[arg(long, default_value_t = 1e-3, value_parser = real(0.0..))]
    pub decay: f64,
}

/// Fewest steps of a run: three hundred points.
const LEAST_STEPS: u64 = 1200;
/// Steps with full gradients of the check, which are most of its time.
const CHECK_FULL_STEPS: u64 = 2100;
/// Most steps of a run.
const MOST_STEPS: u64 = 100_000_000;
/// Time `eta k` at which the published table is taken.
const TABLE_TIME: f64 = 4800.0;
/// Steps of the published run that is lowered, and its share that comes before.
const LOWERED: (u64, u64) = (32_000, 12_000);
/// Share of the first full gradient below which one counts as vanished, as for the rule of a small gradient.
pub const VANISHED: f64 = 0.01;
/// Runs of the calibration: of the check, and of a run for the eye.
const CALIBRATION_RUNS: (usize, usize) = (2000, 400);

/// All figures of the tables.
#[derive(Debug, Serialize)]
struct Report {
    data: String,
    runs: Vec<Run>,
    calibration: Vec<Calibration>,
}

/// Runs what the options ask for.
///
/// # Errors
/// Bad options or data; under `--check`, figures that are off.
pub fn main(options: &Options) -> Result<(), Failure> {
    let common = options.common.clone();
    let files = common.files("invariant_measure", options.source.data.as_deref())?;
    let threads = options.common.threads()?;
    let check = options.common.check;
    let options = if check {
        // Every other option has the published value for its default.
        Options {
            common: options.common.clone(),
            full_steps: CHECK_FULL_STEPS,
            ..Options::parse_from(["invariant_measure"])
        }
    } else {
        options.clone()
    };
    let plans = plans(&options)?;
    let shape = Shape {
        rows: options.rows,
        corrupt: options.corrupt,
        hidden: options.hidden,
        decay: options.decay,
        batch: options.batch,
    };
    let problem = Problem::load(&options.source, &shape, options.common.seed)?;

    let bar = progress::bar(plans.iter().map(|plan| plan.steps / TICK).sum());
    let runs = each(threads, &plans, |plan| {
        Ok(run::run(&problem, plan, &bar)
            .map_err(|e| Failure::Input(format!("{}: {e}", plan.name))))
    });
    let runs: Result<Vec<Run>, Failure> = runs.map_err(input)?.into_iter().collect();
    bar.finish_and_clear();
    let seed = options.common.seed;
    let (most, few) = CALIBRATION_RUNS;
    let simulations = if check { most } else { few };
    let report = Report {
        data: problem.name.clone(),
        runs: runs?,
        calibration: each(threads, &CORRELATIONS, |&rho| {
            calibrate(rho, simulations, seed)
        })
        .map_err(input)?,
    };
    let saved = files.save(&report, || picture::figure(&report.data, &report.runs));
    println!(
        "{}: {} rows, {} parameters, batches of {}\n",
        problem.name,
        problem.rows(),
        problem.model().dim(),
        problem.batch
    );
    print(&report);
    let delivered = saved.tell();
    if !check {
        return delivered;
    }
    println!();
    let mut claims = Claims::default();
    check::runs(&report.runs, &mut claims);
    check::calibration(&report.calibration, &mut claims);
    files.verdict(claims).and(delivered)
}

/// The runs, the longest first.
fn plans(options: &Options) -> Result<Vec<Plan>, Failure> {
    let within = LEAST_STEPS..=MOST_STEPS;
    if !within.contains(&options.steps) {
        let rule = format!("must be between {LEAST_STEPS} and {MOST_STEPS}");
        return Err(bad("steps", options.steps, &rule));
    }
    if options.full_steps != 0 && !within.contains(&options.full_steps) {
        let rule = format!("must be 0, or between {LEAST_STEPS} and {MOST_STEPS}");
        return Err(bad("full-steps", options.full_steps, &rule));
    }
    if options.step_sizes.is_empty() {
        return Err(bad("step-sizes", "", "must hold a step size"));
    }
    for &rate in &options.step_sizes {
        if !(rate.is_finite() && rate > 0.0) {
            return Err(bad(
                "step-sizes",
                short(rate),
                "must be finite and positive",
            ));
        }
    }
    let follow = !options.common.check;
    let mut plans = Vec::new();
    if options.full_steps > 0 {
        // The published control at the edge of stability, and one below it.
        for rate in [0.4, 0.1] {
            plans.push(Plan {
                name: format!("all rows, η = {}", short(rate)),
                rate,
                full: true,
                steps: options.full_steps,
                table: options.full_steps,
                lowered: None,
                follow,
            });
        }
        if options.common.check {
            plans.truncate(1);
        }
    }
    for &rate in &options.step_sizes {
        let table = (TABLE_TIME / rate).round() as u64;
        plans.push(Plan {
            name: format!("η = {}", short(rate)),
            rate,
            full: false,
            steps: options.steps,
            // Whole quarters.
            table: table.clamp(4, options.steps) / 4 * 4,
            lowered: None,
            follow,
        });
    }
    if let Some(&rate) = options.step_sizes.first() {
        let (steps, before) = LOWERED;
        plans.push(Plan {
            name: format!("η = {}, then {}", short(rate), short(rate / 10.0)),
            rate,
            full: false,
            steps,
            table: steps,
            lowered: Some(before),
            follow,
        });
    }
    Ok(plans)
}

fn print(report: &Report) {
    let mut table = Table::new(
        1,
        &[
            "run",
            "steps",
            "loss: start",
            "3rd quarter",
            "4th",
            "(sd)",
            "|grad|: start",
            "3rd",
            "4th",
            "√noise",
            "sharpness",
            "2/η",
            "least eigenvalue",
            "R2",
        ],
    );
    let optional = |x: Option<f64>| x.map_or("-".to_owned(), |x| format!("{x:.3}"));
    for run in &report.runs {
        let [third, fourth] = run.quarters;
        let first = run.points.first();
        let (loss, gradient) = first.map_or((f64::NAN, f64::NAN), |p| (p.loss, p.gradient));
        let rate = if run.resets > 0 {
            run.rate / 10.0
        } else {
            run.rate
        };
        let [_, _, least] = run.end.eigenvalues;
        table.push(vec![
            run.name.clone(),
            run.table.to_string(),
            format!("{loss:.3}"),
            format!("{:.3}", third.loss),
            format!("{:.3}", fourth.loss),
            format!("{:.3}", fourth.deviation),
            format!("{gradient:.3}"),
            format!("{:.4}", third.gradient),
            format!("{:.4}", fourth.gradient),
            format!("{:.2}", run.end.noise),
            format!(
                "{}{:.2}",
                if run.end.is_sharpness_settled {
                    ""
                } else {
                    "~"
                },
                run.end.sharpness
            ),
            format!("{:.0}", 2.0 / rate),
            format!("{least:.2}"),
            optional(run.curvature_ratio.filter(|_| !run.full)),
        ]);
    }
    println!(
        "1. Loss and full gradient, curvature and noise at the end (~ where the products have not settled on an eigenvalue)\n\n{table}"
    );

    let mut table = Table::new(1, &["run", "|grad|", "100 batches", "without bias"]);
    for run in &report.runs {
        table.push(vec![
            run.name.clone(),
            format!("{:.4}", run.end.gradient),
            format!("{:.4}", run.end.biased),
            format!("{:.4}", run.end.debiased),
        ]);
    }
    println!("2. The full gradient from minibatches\n\n{table}");

    let mut table = Table::new(
        1,
        &[
            "run",
            "|grad|_1",
            "|grad|_inf",
            "batch: |g|",
            "|g|_inf",
            "update",
            "change of grad",
            "along the step",
        ],
    );
    for run in &report.runs {
        let end = &run.end;
        let figures = [
            end.gradient_l1,
            end.gradient_linf,
            end.batch,
            end.batch_linf,
            end.update,
            end.change,
            end.along_step,
        ];
        let cells = figures.map(|x| format!("{x:.4}"));
        table.push([run.name.clone()].into_iter().chain(cells).collect());
    }
    println!(
        "3. Norms, and what one step does: its length, the change of the full gradient, |H v| / |g| along it\n\n{table}"
    );

    let mut table = Table::new(
        2,
        &[
            "run", "steps", "R1", "loss", "<g,g>", "<x,g>", "<x,x>", "z loss", "z <x,x>",
        ],
    );
    for run in &report.runs {
        for stretch in &run.stretches {
            let [loss, _, _, norm] = stretch.observables;
            let mut row = vec![
                run.name.clone(),
                format!("{} to {}", stretch.from, stretch.to),
                stretch
                    .norm_ratio
                    .map_or("-".to_owned(), |r| format!("{r:.3}")),
            ];
            row.extend(stretch.observables.iter().map(|o| o.verdict.to_string()));
            row.extend([format!("{:.1}", loss.mean), format!("{:.1}", norm.mean)]);
            table.push(row);
        }
    }
    println!(
        "4. Verdict of the two halves, per observable; inconclusive where they hold fewer than 50 correlation times, whatever z is\n\n{table}"
    );

    let mut table = Table::new(
        1,
        &[
            "run",
            "loss",
            "|grad|",
            "R2",
            "moved",
            "|x|",
            "projections",
            "shape of loss",
            "W loss",
            "at random",
            "W <x,x>",
            "at random",
            "loss",
            "<x,x>",
        ],
    );
    for run in &report.runs {
        let late = &run.late;
        let count = |verdict: Verdict| {
            let equal = late.projections.iter().filter(|p| p.verdict == verdict);
            equal.count()
        };
        let mut row = vec![
            run.name.clone(),
            format!("{:.3}", late.loss),
            format!("{:.4}", late.gradient),
            optional(late.curvature_ratio.filter(|_| !run.full)),
            format!("{:.2}", late.moved),
            format!("{:.1}", late.norm),
            format!(
                "{} stationary, {} not, {} inconclusive",
                count(Verdict::Stationary),
                count(Verdict::Drifting),
                count(Verdict::Inconclusive)
            ),
            late.shape_ratio
                .map_or("-".to_owned(), |r| format!("{r:.2}")),
        ];
        for distance in late.distances {
            let cells = distance.map_or([f64::NAN; 2], |d| [d.wasserstein, d.threshold]);
            row.extend(cells.map(|x| format!("{x:.2e}")));
        }
        let words = late.verdicts.iter();
        row.extend(words.map(|v| v.map_or("-".to_owned(), |v| v.to_string())));
        table.push(row);
    }
    println!(
        "5. The last fifth of each run. Its halves differ in distribution where their Wasserstein distance is above that of halves dealt \
         at random from 32 blocks; the verdict takes windows and distribution together\n\n{table}"
    );

    let mut table = Table::new(
        1,
        &[
            "run",
            "patience",
            "small gradient",
            "Pflug",
            "SASA (R1)",
            "windows: loss",
            "all four",
        ],
    );
    let cell = |stop: Option<Stop>| {
        stop.map_or("never".to_owned(), |stop| {
            format!("{} ({:.0} %)", stop.step, 100.0 * stop.gradient)
        })
    };
    for run in &report.runs {
        let stops = &run.stops;
        let mut row = vec![run.name.clone()];
        row.extend(
            [
                stops.patience,
                stops.threshold,
                stops.pflug,
                stops.sasa,
                stops.loss_windows,
                stops.all_windows,
            ]
            .map(cell),
        );
        table.push(row);
    }
    println!(
        "6. Step at which a rule first says stop (full gradient there, of the first)\n\n{table}"
    );

    let mut table = Table::new(
        0,
        &[
            "rho",
            "16 batches",
            "63 batches",
            "Kolmogorov-Smirnov",
            "distribution",
            "shift of 6 s.e. found",
            "change of shape found",
        ],
    );
    for row in &report.calibration {
        let mut cells = vec![row.rho.to_string()];
        let shares = [
            row.batch_means,
            row.root_rule,
            row.kolmogorov_smirnov,
            row.distribution,
            row.shifted,
            row.reshaped,
        ];
        cells.extend(shares.map(|share| format!("{:.1} %", 100.0 * share)));
        table.push(cells);
    }
    print!("7. AR(1) noise that is stationary: windows called different at 1 %\n\n{table}");
}
