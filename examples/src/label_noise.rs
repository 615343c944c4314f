//! Label noise on the sparse model.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | a draw of data and signal, and the runs on it |
//! | [`pursuit`] | the smallest 1-norm, as a linear program |
//! | [`law`] | figures against their laws over independent draws |
//! | [`lasso`] | least squares with a penalty on the 1-norm |
//! | [`experiment`] | recovery, trajectories compared with the limit, and the sweep over samples |
//! | `check` | what the figures must be, for every seed |

mod check;
pub mod experiment;
pub mod lasso;
pub mod law;
mod picture;
pub mod problem;
pub mod pursuit;

use clap::Parser;
use serde::Serialize;
use thalweg::Error;

use crate::cli::{Claims, Common, Failure, bad, input, positive, print, println, short, whole};
use crate::progress;
use crate::table::Table;
use crate::threads::each;

use experiment::{Cell, Large, Recovery, SWEEP, Settings, Trajectory, median};
use problem::Shape;

/// SGD with fresh noise on the labels finds a sparse signal from few samples; descent from the same start does not.
///
/// Three tables: the error |w - w*|^2 / |w*|^2 of each method, seed by seed; the distance of runs to their exact limit at the
/// slow time t = k eta^2; and how often the limit finds the signal against n / (kappa ln d). The last two have the published shapes.
#[derive(Clone, Debug, Parser)]
#[command(name = "label_noise", version)]
pub struct Options {
    /// Options of every program.
    #[command(flatten)]
    pub common: Common,
    /// Dimension of the signal, 2 to 10000
    #[arg(long, default_value_t = 100, value_parser = whole::<usize>(2..=10_000))]
    pub dim: usize,
    /// Samples, up to the dimension
    #[arg(long, default_value_t = 40, value_parser = whole::<usize>(1..=10_000))]
    pub samples: usize,
    /// Non-zeros of the signal, up to the dimension
    #[arg(long, default_value_t = 5, value_parser = whole::<usize>(1..=10_000))]
    pub sparsity: usize,
    /// Data of random signs in place of normal ones
    #[arg(long)]
    pub signs: bool,
    /// Start of every parameter
    #[arg(long, alias = "alpha", default_value_t = 1.0, value_parser = positive())]
    pub start: f64,
    /// Size of the noise on a label
    #[arg(long, default_value_t = 1.0, value_parser = positive())]
    pub noise: f64,
    /// Step size; stable below about 1 / (4 dim start^2)
    #[arg(long, alias = "rate", default_value_t = 1e-3, value_parser = positive())]
    pub step_size: f64,
    /// Slow time at the end: this over step_size^2 steps
    #[arg(long, default_value_t = 2.5, value_parser = positive())]
    pub time: f64,
    /// Steps without noise after that
    #[arg(long, default_value_t = 200_000, value_parser = whole::<u64>(0..=1_000_000_000))]
    pub cool: u64,
    /// Runs, with seeds that follow the first
    #[arg(long, default_value_t = 5, value_parser = whole::<u64>(1..=1000))]
    pub seeds: u64,
    /// Two runs in 400 dimensions too: 10 s
    #[arg(long)]
    pub full: bool,
}

/// Most steps of a run: a quarter of an hour.
const MOST_STEPS: f64 = 1e10;
/// Seeds of the check, as published.
const CHECK_SEEDS: u64 = 20;
/// Seeds of the trajectories, as published; the check takes more for its means.
const TRAJECTORIES: u64 = 2;
const CHECK_TRAJECTORIES: u64 = 8;

/// Seeds with isotropic noise, whose normal numbers cost more than the steps.
const ISOTROPIC: u64 = 3;

/// All figures of the tables.
#[derive(Debug, Serialize)]
struct Report {
    recovery: Vec<Recovery>,
    large: Vec<Large>,
    trajectories: Vec<Trajectory>,
    sweep: Vec<Cell>,
}

/// Runs what the options ask for.
///
/// # Errors
/// Bad options; under `--check`, figures that are off.
pub fn main(options: &Options) -> Result<(), Failure> {
    let files = options.common.files("label_noise", None)?;
    let threads = options.common.threads()?;
    let settings = settings(options)?;
    let (seed, check) = (options.common.seed, options.common.check);
    let seeds = if check { CHECK_SEEDS } else { options.seeds };

    let large = if options.full { TRAJECTORIES } else { 0 };
    let report = run(&settings, seed, [seeds, large], threads, check)?;
    let picture = || picture::figure(&report.recovery, &report.trajectories, &report.sweep);
    let saved = files.save(&report, picture);
    print(&report);
    let delivered = saved.tell();
    if !check {
        return delivered;
    }
    println!();
    let mut claims = Claims::default();
    check::recovery(&report.recovery, &mut claims);
    check::large(&report.large, &mut claims);
    check::trajectory(&report.trajectories, &mut claims);
    check::sweep(&report.sweep, &mut claims);
    check::identities(seed, &mut claims).map_err(input)?;
    files.verdict(claims).and(delivered)
}

/// The published problem, in which `--check` and the trajectories run.
fn published() -> Settings {
    Settings {
        shape: Shape {
            dim: 100,
            samples: 40,
            sparsity: 5,
            signs: false,
        },
        alpha: 1.0,
        noise: 1.0,
        rate: 1e-3,
        time: 2.5,
        cool: 200_000,
    }
}

/// What the options ask for; `--check` fixes all but seed and threads.
fn settings(options: &Options) -> Result<Settings, Failure> {
    if options.common.check {
        return Ok(published());
    }
    let within = |name: &str, value: u64, least: u64, most: u64| {
        if (least..=most).contains(&value) {
            Ok(())
        } else {
            let rule = format!("must be between {least} and {most}");
            Err(bad(name, value, &rule))
        }
    };
    within("samples", options.samples as u64, 1, options.dim as u64)?;
    within("sparsity", options.sparsity as u64, 1, options.dim as u64)?;
    for (name, value) in [
        ("start", options.start),
        ("noise", options.noise),
        ("step-size", options.step_size),
        ("time", options.time),
    ] {
        if !(value.is_finite() && value > 0.0) {
            return Err(bad(name, short(value), "must be finite and positive"));
        }
    }
    let steps = options.time / (options.step_size * options.step_size);
    if steps > MOST_STEPS {
        let rule = format!("needs {steps:.1e} steps of this size, more than {MOST_STEPS:.0e}");
        return Err(bad("time", short(options.time), &rule));
    }
    Ok(Settings {
        shape: Shape {
            dim: options.dim,
            samples: options.samples,
            sparsity: options.sparsity,
            signs: options.signs,
        },
        alpha: options.start,
        noise: options.noise,
        rate: options.step_size,
        time: options.time,
        cool: options.cool,
    })
}

fn run(
    settings: &Settings,
    seed: u64,
    [seeds, large]: [u64; 2],
    threads: usize,
    check: bool,
) -> Result<Report, Failure> {
    let runs = if check {
        CHECK_TRAJECTORIES
    } else {
        TRAJECTORIES
    };
    let cells: Vec<Shape> = SWEEP
        .iter()
        .flat_map(|&(dim, sparsity, samples)| {
            samples.iter().map(move |&samples| Shape {
                dim,
                samples,
                sparsity,
                signs: false,
            })
        })
        .collect();
    let bar =
        progress::bar(seeds + large + runs * check::rates().count() as u64 + cells.len() as u64);
    let seeds: Vec<u64> = (0..seeds).map(|k| seed.wrapping_add(k)).collect();
    let recovery = each(threads, &seeds, |&of| {
        let isotropic = of.wrapping_sub(seed) < ISOTROPIC;
        let row = experiment::recovery(settings, of, isotropic);
        bar.inc(1);
        row
    });
    let recovery = recovery.map_err(|error| named(settings, &error))?;
    let large: Vec<u64> = (0..large).map(|k| seed.wrapping_add(k)).collect();
    let large = each(threads, &large, |&seed| {
        let row = experiment::large(seed);
        bar.inc(1);
        row
    })
    .map_err(input)?;
    let mut times = check::TIMES.to_vec();
    times.push(2.5);
    let published = published();
    // The smallest step, which takes longest, first.
    let runs: Vec<(f64, u64)> = check::rates()
        .rev()
        .flat_map(|rate| (0..runs).map(move |k| (rate, seed.wrapping_add(k))))
        .collect();
    let trajectories = each(threads, &runs, |&(rate, seed)| {
        let run = experiment::trajectory(&published, &times, seed, rate);
        bar.inc(1);
        run
    })
    .map_err(input)?;
    let sweep = each(threads, &cells, |&shape| {
        let mut cell = Cell {
            dim: shape.dim,
            sparsity: shape.sparsity,
            samples: shape.samples,
            ratio: shape.ratio(),
            successes: 0,
            seeds: CHECK_SEEDS as usize,
            least_norm: 0.0,
        };
        for k in 0..CHECK_SEEDS {
            let (error, least) = experiment::sample(shape, seed.wrapping_add(k))?;
            cell.successes += usize::from(error < 0.01);
            cell.least_norm += least / CHECK_SEEDS as f64;
        }
        bar.inc(1);
        Ok(cell)
    })
    .map_err(input)?;
    bar.finish_and_clear();
    Ok(Report {
        recovery,
        large,
        trajectories,
        sweep,
    })
}

/// The option that leads out of an error of the first experiment.
fn named(settings: &Settings, error: &Error) -> Failure {
    match error {
        Error::Unstable { .. } | Error::NonFinite { .. } => {
            let noise = short(settings.noise);
            let rule = format!(
                "{error}; stable below about 1 / (4 dim start^2), and less with --noise {noise}"
            );
            bad("step-size", short(settings.rate), &rule)
        }
        Error::NoConvergence { .. } => bad(
            "start",
            short(settings.alpha),
            &format!(
                "with --noise {} and --time {}: {error}",
                short(settings.noise),
                short(settings.time)
            ),
        ),
        Error::Parameter {
            name: "learning_rate",
            ..
        } => {
            let rule = "leaves descent no step size, which is one over its square";
            bad("start", short(settings.alpha), rule)
        }
        _ => input(error),
    }
}

fn print(report: &Report) {
    let mut table = Table::new(
        1,
        &[
            "seed",
            "descent",
            "least norm",
            "SGD, no noise",
            "isotropic noise",
            "label noise",
            "cooled",
            "limit",
            "limit, late",
            "basis pursuit",
            "Lasso",
            "descent, small start",
        ],
    );
    let columns: [fn(&Recovery) -> f64; 11] = [
        |r| r.descent,
        |r| r.least_norm,
        |r| r.plain_sgd,
        |r| r.isotropic.unwrap_or(f64::NAN),
        |r| r.raw,
        |r| r.cooled,
        |r| r.limit,
        |r| r.sparsest,
        |r| r.pursuit,
        |r| r.lasso,
        |r| r.small_start,
    ];
    let format = |x: f64| {
        if x.is_nan() {
            String::new()
        } else if x < 0.1 {
            format!("{x:.1e}")
        } else {
            format!("{x:.3}")
        }
    };
    for row in &report.recovery {
        let cells = columns.iter().map(|f| format(f(row)));
        table.push([row.seed.to_string()].into_iter().chain(cells).collect());
    }
    let medians = columns.iter().map(|f| {
        format(median(
            report.recovery.iter().map(f).filter(|x| !x.is_nan()),
        ))
    });
    table.push(["median".to_owned()].into_iter().chain(medians).collect());
    println!("Error |w - w*|² / |w*|²\n\n{table}");
    if !report.large.is_empty() {
        let names = [
            "seed",
            "least norm",
            "label noise",
            "cooled",
            "limit",
            "distance",
        ];
        let mut table = Table::new(0, &names);
        for row in &report.large {
            let cells = [
                row.least_norm,
                row.raw,
                row.cooled,
                row.limit,
                row.from_limit,
            ];
            let cells = cells.map(format);
            table.push([row.seed.to_string()].into_iter().chain(cells).collect());
        }
        println!("The same for d = 400, n = 60, kappa = 5, delta = 2\n\n{table}");
    }

    let mut table = Table::new(
        2,
        &[
            "eta",
            "seed",
            "t",
            "distance",
            "bias of ln uv",
            "error",
            "limit's error",
        ],
    );
    for run in &report.trajectories {
        for point in &run.points {
            table.push(vec![
                format!("{:.0e}", run.rate),
                run.seed.to_string(),
                short(point.time),
                format!("{:.3}", point.distance),
                format!("{:.2}", point.bias),
                format(point.error),
                format(point.limit_error),
            ]);
        }
    }
    println!("Runs compared with their limit at t = k eta²\n\n{table}");

    let mut table = Table::new(
        0,
        &[
            "d",
            "kappa",
            "n",
            "n/(kappa ln d)",
            "recovered",
            "least norm",
        ],
    );
    for cell in &report.sweep {
        table.push(vec![
            cell.dim.to_string(),
            cell.sparsity.to_string(),
            cell.samples.to_string(),
            format!("{:.2}", cell.ratio),
            format!("{} of {}", cell.successes, cell.seeds),
            format!("{:.2}", cell.least_norm),
        ]);
    }
    print!("The limit at t = 4, error below 0.01\n\n{table}");
}
