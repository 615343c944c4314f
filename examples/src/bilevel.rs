//! Bilevel optimisation without second derivatives, compared with its rivals and the direct gradient.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | the benchmarks and their data |
//! | [`method`] | the rows, and one run of one row |
//! | [`published`] | means of many draws by NumPy with their deviations, and the comparison with them |
//! | [`picture`] | panels, and curves of noisy losses as quantiles of windows |
//! | [`stories`] | problems with gradients only: hyper-cleaning, few-shot learning, hidden layers |

pub mod method;
pub mod picture;
pub mod problem;
pub mod published;
pub mod stories;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clap::Parser;
use serde::Serialize;
use thalweg::bilevel::descent;
use thalweg::bilevel::es_jacobian::{Direction, Estimate};
use thalweg_std::plot::Figure;

use crate::cli::{Claims, Common, Failure, Files, bad, input, println, whole};
use crate::progress;
use crate::source::Source;
use crate::table::{Table, si};

use method::{Estimator, Kind, Method, methods, run};
use problem::{Experiment, Setting};
use stories::Story;

/// ESJ, HOZOG, ITD, AID, stocBiO and the direct gradient on two bilevel benchmarks.
///
/// A: shallow hyper-representation, where the outer loss depends on x itself and the direct gradient alone does what the published curve
/// does. B: per-feature ridge, where it does nothing. Losses are means over seeds at equal outer steps; the last column compares at
/// equal inner gradients, a second-order product counted as one. Then memory and time of one hypergradient against N.
///
/// --problem chooses another story, with gradients only; its table has the direct gradient too.
#[derive(Clone, Debug, Parser)]
#[command(name = "bilevel", version)]
pub struct Options {
    /// Options of every program.
    #[command(flatten)]
    pub common: Common,
    /// Runs of the tables that are averaged, with seeds that follow the first [default: 3 for A, 5 for B]
    #[arg(long, value_parser = whole::<u64>(1..=1000))]
    pub seeds: Option<u64>,
    /// What is run
    #[arg(long, value_enum, default_value_t = Story::Tables)]
    pub problem: Story,
    /// The published size of the two-layer network: minutes
    #[arg(long)]
    pub full: bool,
    /// Classes of a few-shot task of digits, half of all at most [default: 3]
    #[arg(long, value_parser = whole::<usize>(2..=100))]
    pub ways: Option<usize>,
    /// Rows of each class that a few-shot task learns from [default: 5]
    #[arg(long, value_parser = whole::<usize>(1..=1000))]
    pub shots: Option<usize>,
    /// Data of hyper-cleaning, few-shot and mnist
    #[command(flatten)]
    pub source: Source,
}

/// One row of a table: means over seeds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Which benchmark.
    pub experiment: Experiment,
    /// The method.
    pub name: &'static str,
    /// Outer steps of the next two.
    pub steps: [usize; 5],
    /// Outer loss.
    pub validation: Vec<f64>,
    /// Loss of unseen rows; in A the outer loss.
    pub test: Vec<f64>,
    /// Outer loss once as many inner gradients are spent as the direct gradient needs for all steps.
    pub equal_gradients: f64,
    /// Gradients of one outer step.
    pub gradients: u64,
    /// Numbers of scratch.
    pub memory: usize,
    /// Milliseconds of one hypergradient.
    pub milliseconds: f64,
    /// Outer loss at every step.
    #[serde(skip)]
    pub curve: Vec<f64>,
    /// Outer loss and loss of unseen rows at the last of the steps, run by run.
    pub ends: Vec<[f64; 2]>,
}

/// Memory and time against the number of inner steps, on B.
#[derive(Clone, Debug, Serialize)]
pub struct Length {
    /// Inner steps N.
    pub steps: u64,
    /// Numbers of scratch of ESJ with one direction.
    pub esj: usize,
    /// Those of ITD.
    pub itd: usize,
    /// Milliseconds of a hypergradient of ESJ.
    pub esj_milliseconds: f64,
    /// Those of ITD.
    pub itd_milliseconds: f64,
}

#[derive(Serialize)]
struct Figures<'a> {
    rows: &'a [Row],
    lengths: &'a [Length],
}

/// Runs what the options ask for.
///
/// # Errors
/// Bad options; under `--check`, figures that are off.
pub fn main(options: &Options) -> Result<(), Failure> {
    let files = options
        .common
        .files("bilevel", options.source.data.as_deref())?;
    let threads = options.common.threads()?;
    refuse_idle(options)?;
    let experiments = match options.problem {
        Story::Tables => &[Experiment::A, Experiment::B][..],
        Story::Larger => &[Experiment::Larger],
        _ => return tell(options, &files, threads),
    };
    let Common { seed, check, .. } = options.common;
    let rows = rows(experiments, seed, options.seeds, check, threads)?;
    let mut lengths = Vec::new();
    if options.problem == Story::Tables {
        lengths = of_lengths(options.common.seed).map_err(input)?;
    }
    let figures = Figures {
        rows: &rows,
        lengths: &lengths,
    };
    let saved = files.save(&figures, || picture::tables(&rows, &lengths));
    for &experiment in experiments {
        println!("{}", table(experiment, &rows));
    }
    if options.problem == Story::Tables {
        println!("{}", memory_table(&lengths));
    }
    let delivered = saved.tell();
    if !check {
        return delivered;
    }
    let mut claims = Claims::default();
    for &experiment in experiments {
        published::compare(experiment, &rows, &mut claims);
    }
    if options.problem == Story::Tables {
        published::compare_lengths(&lengths, &mut claims);
    }
    files.verdict(claims).and(delivered)
}

/// Refuses options that the chosen problem would not read.
fn refuse_idle(options: &Options) -> Result<(), Failure> {
    let problem = options.problem;
    if let (Some(path), false) = (&options.source.data, problem.has_data()) {
        let rule = "needs --problem hyper-cleaning, few-shot or mnist";
        return Err(bad("data", path.display(), rule));
    }
    let few_shot = problem == Story::FewShot;
    for (name, number) in [("ways", options.ways), ("shots", options.shots)] {
        if let (Some(number), false) = (number, few_shot) {
            return Err(bad(name, number, "needs --problem few-shot"));
        }
    }
    if options.full && problem != Story::TwoLayer {
        return Err(Failure::Input("--full: needs --problem two-layer".into()));
    }
    let has_tables = matches!(problem, Story::Tables | Story::Larger);
    if let (Some(seeds), false) = (options.seeds, has_tables) {
        return Err(bad("seeds", seeds, "needs --problem tables or larger"));
    }
    Ok(())
}

/// Runs another story.
fn tell(options: &Options, files: &Files<'_>, threads: usize) -> Result<(), Failure> {
    let Options {
        common,
        problem,
        full,
        ways,
        shots,
        source,
        ..
    } = options;
    let scope = stories::Scope {
        full: *full,
        ways: ways.unwrap_or(3),
        shots: shots.unwrap_or(5),
        claimed: common.check,
    };
    let seeds = (0..problem.runs(common.check)).map(|i| common.seed.wrapping_add(i));
    let mut reports = Vec::new();
    for seed in seeds {
        reports.push(stories::report(*problem, source, scope, seed, threads)?);
    }
    let [report, ..] = &reports[..] else {
        return Err(Failure::Input("no run was asked for".into()));
    };
    let saved = files.save(report, || Figure {
        title: report.title.clone(),
        panels: report.panels(),
    });
    if reports.len() == 1 {
        println!("{}", report.table());
    }
    let delivered = saved.tell();
    if !common.check {
        return delivered;
    }
    let mut claims = Claims::default();
    stories::compare(*problem, &reports, &mut claims);
    files.verdict(claims).and(delivered)
}

/// The results of all jobs in their order, shared among threads.
///
/// # Errors
/// That of the first job that fails.
pub fn parallel<J: Sync, R: Send>(
    jobs: &[J],
    threads: usize,
    work: impl Fn(&J) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let bar = progress::bar(jobs.len() as u64);
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(jobs.len()) {
            scope.spawn(|| {
                while let Some((i, job)) = {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    jobs.get(i).map(|job| (i, job))
                } {
                    let outcome = work(job);
                    if let Ok(mut done) = done.lock() {
                        done.push((i, outcome));
                    }
                    bar.inc(1);
                }
            });
        }
    });
    bar.finish_and_clear();
    let mut done = done.into_inner().map_err(input)?;
    done.sort_by_key(|(i, _)| *i);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

/// All rows of some experiments, or those of claims, runs shared among threads.
///
/// # Errors
/// A path that is not stable.
pub fn rows(
    experiments: &[Experiment],
    seed: u64,
    seeds: Option<u64>,
    claimed: bool,
    threads: usize,
) -> Result<Vec<Row>, Failure> {
    let mut jobs: Vec<(Experiment, &Method, u64)> = Vec::new();
    for &experiment in experiments {
        let count = seeds.unwrap_or(experiment.constants().seeds);
        let is_run = |method: &&Method| !claimed || published::is_claimed(experiment, method.name);
        for method in methods(experiment).iter().filter(is_run) {
            jobs.extend((0..count).map(|i| (experiment, method, seed.wrapping_add(i))));
        }
    }
    let done = parallel(&jobs, threads, |&(experiment, method, seed)| {
        let outcome = run(experiment, method, seed);
        let named = |error| Failure::Input(format!("{experiment:?}, {}: {error}", method.name));
        Ok((experiment, method.name, outcome.map_err(named)?))
    })?;
    let same = |a: &(Experiment, &str, _), b: &(Experiment, &str, _)| (a.0, a.1) == (b.0, b.1);
    let mut rows = Vec::new();
    for group in done.chunk_by(same) {
        let Some(&(experiment, name, _)) = group.first() else {
            continue;
        };
        let runs: Vec<&method::Run> = group.iter().map(|(_, _, run)| run).collect();
        let mean = |at: &dyn Fn(&method::Run) -> Option<f64>| {
            runs.iter()
                .map(|run| at(run).unwrap_or(f64::NAN))
                .sum::<f64>()
                / runs.len() as f64
        };
        let constants = experiment.constants();
        let [.., last] = constants.marks;
        let length = last + 1;
        let method = methods(experiment)
            .iter()
            .find(|method| method.name == name);
        let gradients = method.map_or(0, |method| method.kind.cost(constants.inner));
        // Losses are taken before a step: after `steps` of them.
        let afford = (constants.inner * last as u64 / gradients) as usize;
        let curve: Vec<f64> = (0..length)
            .map(|k| mean(&|run| run.validation.get(k).copied()))
            .collect();
        let pick = |k: usize| curve.get(k).copied().unwrap_or(f64::NAN);
        rows.push(Row {
            experiment,
            name,
            steps: constants.marks,
            validation: constants.marks.iter().map(|&k| pick(k)).collect(),
            test: (0..constants.marks.len())
                .map(|i| mean(&|run| run.test.get(i).copied()))
                .collect(),
            equal_gradients: pick(afford),
            gradients,
            memory: runs.first().map_or(0, |run| run.memory),
            milliseconds: 1e3 * mean(&|run| Some(run.seconds)) / length as f64,
            curve,
            ends: runs
                .iter()
                .filter_map(|run| Some([*run.validation.last()?, *run.test.last()?]))
                .collect(),
        });
    }
    Ok(rows)
}

/// Memory and time of one hypergradient on B as the inner loop grows.
fn of_lengths(seed: u64) -> Result<Vec<Length>, thalweg::Error> {
    let setting = Setting::new(Experiment::B, seed);
    let one = Kind::Random(Estimate::Response, 1, Direction::Gaussian);
    setting.with(|problem, _| {
        [10, 100, 1000, 10_000]
            .into_iter()
            .map(|steps| {
                let inner = descent::Config {
                    steps,
                    method: descent::Method::gd(Experiment::B.constants().step_size),
                };
                let mut h = vec![0.0; setting.x0.len()];
                let mut measure = |kind| -> Result<(usize, f64), thalweg::Error> {
                    let mut estimator = Estimator::new(kind, seed, inner, problem, &setting.y0)?;
                    let start = Instant::now();
                    estimator.step(problem, &setting.x0, &mut h)?;
                    Ok((estimator.memory(), 1e3 * start.elapsed().as_secs_f64()))
                };
                let (esj, itd) = (measure(one)?, measure(Kind::Itd)?);
                Ok(Length {
                    steps,
                    esj: esj.0,
                    itd: itd.0,
                    esj_milliseconds: esj.1,
                    itd_milliseconds: itd.1,
                })
            })
            .collect()
    })
}

fn table(experiment: Experiment, rows: &[Row]) -> Table {
    let (title, unseen) = match experiment {
        Experiment::A => ("A: hyper-representation, outer loss at step", false),
        Experiment::Larger => ("hyper-representation, 128 x 256, outer loss at step", false),
        Experiment::B => ("B: per-feature ridge, validation / test loss at step", true),
    };
    let steps = experiment.constants().marks.map(|step| step.to_string());
    let mut header = vec![title];
    header.extend(steps.iter().map(String::as_str));
    header.extend(["at equal gradients", "gradients", "numbers", "ms"]);
    let mut table = Table::new(1, &header);
    for row in rows.iter().filter(|row| row.experiment == experiment) {
        let mut cells = vec![row.name.to_owned()];
        cells.extend(row.validation.iter().zip(&row.test).map(|(v, t)| {
            if unseen {
                format!("{v:.3} / {t:.3}")
            } else {
                short(*v)
            }
        }));
        cells.extend([
            short(row.equal_gradients),
            row.gradients.to_string(),
            si(row.memory as f64),
            format!("{:.3}", row.milliseconds),
        ]);
        table.push(cells);
    }
    table
}

/// Three digits.
fn short(x: f64) -> String {
    let digits = if x >= 100.0 {
        0
    } else if x >= 10.0 {
        1
    } else if x >= 1.0 {
        2
    } else if x >= 0.1 {
        3
    } else {
        4
    };
    format!("{x:.digits$}")
}

fn memory_table(lengths: &[Length]) -> Table {
    let header = [
        "B: inner steps",
        "ESJ numbers",
        "ITD numbers",
        "ESJ ms",
        "ITD ms",
    ];
    let mut table = Table::new(0, &header);
    for row in lengths {
        table.push(vec![
            row.steps.to_string(),
            row.esj.to_string(),
            row.itd.to_string(),
            format!("{:.3}", row.esj_milliseconds),
            format!("{:.3}", row.itd_milliseconds),
        ]);
    }
    table
}
