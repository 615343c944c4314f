//! Stein samplers compared with their stochastic parents at equal score evaluations.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | targets with starts, step grids, reference draws and test rows |
//! | [`reference`](mod@reference) | draws of posteriors to measure against |
//! | [`sampler`] | the samplers behind one way to advance |
//! | [`measure`] | discrepancies between particles and targets |
//! | [`compare`] | settings and seeds in threads; the best of each sampler |
//! | [`check`] | the published tables |

pub mod check;
pub mod compare;
pub mod measure;
mod picture;
pub mod problem;
pub mod reference;
pub mod sampler;

use clap::Parser;

use crate::cli::{Common, Failure, bad, input, print, println, whole};
use crate::progress;
use crate::source::Source;
use crate::table::Table;

use compare::{Point, Report, Row, Settings};
use problem::{Kind, Problem};
use sampler::{Method, Setting};

/// Stein variational gradient descent, Stein SGHMC and their stochastic parents at equal score evaluations.
///
/// MMD² is measured against 3000 reference draws; log p is the mean log predictive probability of held-out rows. Each
/// sampler is shown at its best setting of a small grid: least mean logarithm of MMD² over the run (of KSD² where there are
/// no reference draws). Figures are means over seeds. The line under each table says which sampler wins where.
#[derive(Clone, Debug, Parser)]
#[command(name = "stein_mcmc", version)]
pub struct Options {
    /// Options of every program.
    #[command(flatten)]
    pub common: Common,
    /// Targets (comma-separated)
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "gaussian,correlated,mixture,banana"
    )]
    pub target: Vec<Kind>,
    /// Samplers (comma-separated) [default: all]
    #[arg(long, value_enum, value_delimiter = ',')]
    pub sampler: Vec<Method>,
    /// Particles
    #[arg(long, default_value_t = 50, value_parser = whole::<usize>(2..=5000))]
    pub particles: usize,
    /// Steps, each with one score for every particle
    #[arg(long, default_value_t = 200, value_parser = whole::<u64>(1..=100_000))]
    pub steps: u64,
    /// Runs of which the mean is taken, with seeds that follow the first [default: 4; 1 with data]
    #[arg(long, value_parser = whole::<u64>(1..=1000))]
    pub seeds: Option<u64>,
    /// Most training rows of the logistic regression
    #[arg(long, default_value_t = 500, value_parser = whole::<usize>(2..=1_000_000))]
    pub rows: usize,
    /// Data of the logistic regression.
    #[command(flatten)]
    pub source: Source,
}

/// Runs what the options ask for.
///
/// # Errors
/// Bad options or data; under `--check`, figures that are off.
pub fn main(options: &Options) -> Result<(), Failure> {
    let files = options
        .common
        .files("stein_mcmc", options.source.data.as_deref())?;
    let threads = options.common.threads()?;
    if options.common.check {
        let (pictures, claims) = check::run(options.common.seed, threads)?;
        let delivered = files.save(&(), || picture::draw(&pictures)).tell();
        return files.verdict(claims).and(delivered);
    }
    validate(options)?;
    let mut reports = Vec::new();
    for &kind in &options.target {
        let problem = Problem::new(kind, &options.source, options.rows, options.common.seed)?;
        let has_data = matches!(kind, Kind::Logistic | Kind::Bnn);
        let seeds = options.seeds.unwrap_or(if has_data { 1 } else { 4 });
        let settings = Settings {
            n: options.particles,
            checkpoints: checkpoints(options.steps),
            seeds: (0..seeds)
                .map(|i| options.common.seed.wrapping_add(i))
                .collect(),
            threads,
        };
        let groups: Vec<Vec<Setting>> = compare::methods(&problem, &options.sampler)
            .into_iter()
            .flat_map(|method| method.rows(&problem.grid))
            .collect();
        if groups.is_empty() {
            return Err(bad("sampler", "exact", "needs a target with exact draws"));
        }
        let jobs: usize = groups.iter().map(Vec::len).sum();
        let bar = progress::bar(jobs as u64 * seeds);
        bar.set_message(kind.name());
        let report = compare::compare(&problem, &settings, &groups, &|| bar.inc(1));
        bar.finish_and_clear();
        let report = report.map_err(input)?;
        print_report(&report);
        reports.push((problem, report));
    }
    let figures: Vec<&Report> = reports.iter().map(|(_, report)| report).collect();
    files.save(&figures, || picture::draw(&reports)).tell()
}

fn validate(options: &Options) -> Result<(), Failure> {
    if let (Some(path), false) = (
        &options.source.data,
        options.target.contains(&Kind::Logistic),
    ) {
        return Err(bad("data", path.display(), "needs --target logistic"));
    }
    Ok(())
}

/// The end, and halves of it down to a thirty-second.
fn checkpoints(steps: u64) -> Vec<u64> {
    let mut points: Vec<u64> = (0..6).rev().map(|i| (steps >> i).max(1)).collect();
    points.dedup();
    points
}

/// Columns of the table: the last four points.
fn columns(report: &Report) -> Vec<u64> {
    let longest = report
        .rows
        .iter()
        .map(|row| &row.curve)
        .max_by_key(|curve| curve.len());
    let points = longest.map_or(&[][..], Vec::as_slice);
    let last = points
        .get(points.len().saturating_sub(4)..)
        .unwrap_or(points);
    last.iter().map(|p| p.evaluations).collect()
}

fn print_report(report: &Report) {
    println!(
        "{}: {} particles in {} dimensions, {} seed(s)",
        report.title,
        report.particles,
        report.dimension,
        report.seeds.len()
    );
    print!("{}", table(report));
    println!("{}\n", verdict(report));
}

fn table(report: &Report) -> Table {
    let (columns, has_reference) = (columns(report), report.floor.is_some());
    let has_data = report
        .rows
        .iter()
        .any(|row| row.curve.iter().any(|p| p.log_predictive.is_some()));
    let mut header = vec!["sampler".to_owned(), "setting".to_owned()];
    let figure = if has_reference { "MMD²" } else { "KSD" };
    header.extend(columns.iter().map(|step| format!("{figure} @{step}")));
    if has_reference {
        header.push("KSD".into());
    }
    header.push(if has_data { "log p" } else { "variances" }.into());
    if has_reference && has_data {
        header.push("deviation / reference".into());
    }
    header.push("diverged".into());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = Table::new(2, &header);
    for row in &report.rows {
        let mut cells = vec![row.setting.method.to_string(), row.setting.text()];
        let show = |p: Option<f64>| p.map_or("-".to_owned(), |x| format!("{x:.4}"));
        let value = |p: &Point| if has_reference { p.mmd2 } else { Some(p.ksd) };
        cells.extend(
            columns
                .iter()
                .map(|&step| show(row.at(step).and_then(value))),
        );
        let last = row.curve.last();
        if has_reference {
            cells.push(last.map_or("-".to_owned(), |p| format!("{:.3}", p.ksd)));
        }
        cells.push(if has_data {
            last.and_then(|p| p.log_predictive)
                .map_or("-".to_owned(), |x| format!("{x:.4}"))
        } else {
            let shown = row.variance.iter().take(2).map(|v| format!("{v:.3}"));
            shown.collect::<Vec<_>>().join(", ")
        });
        if has_reference && has_data {
            let ratios = row.deviation_ratio.as_deref().unwrap_or_default();
            let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
            let most = ratios.iter().copied().fold(0.0, f64::max);
            cells.push(if row.curve.is_empty() {
                "-".into()
            } else {
                format!("{least:.2} to {most:.2}")
            });
        }
        cells.push(row.diverged.len().to_string());
        table.push(cells);
    }
    table
}

/// Which sampler wins where, and where Stein SGHMC loses to plain SVGD or to SGHMC chains.
fn verdict(report: &Report) -> String {
    let value = |p: &Point| p.mmd2.unwrap_or(p.ksd * p.ksd);
    let best = |method: Option<Method>, step: u64| {
        let rows = report.rows.iter().filter(|row| match method {
            Some(method) => row.setting.method == method,
            None => row.setting.method != Method::Exact,
        });
        rows.filter_map(|row| Some((row, value(row.at(step)?))))
            .min_by(|a, b| a.1.total_cmp(&b.1))
    };
    let mut parts = Vec::new();
    for step in columns(report) {
        let Some((row, least)) = best(None, step) else {
            continue;
        };
        let mut part = format!("@{step} {} ({least:.4})", name(row));
        if let Some((_, stein)) = best(Some(Method::SteinSghmc), step) {
            for rival in [Method::Svgd, Method::Sghmc] {
                if let Some((_, other)) = best(Some(rival), step).filter(|(_, v)| *v < stein) {
                    part += &format!(", {rival} beats Stein SGHMC x{:.1}", stein / other);
                }
            }
        }
        parts.push(part);
    }
    let figure = if report.floor.is_some() {
        "MMD²"
    } else {
        "KSD²"
    };
    let mut text = format!("lowest {figure}: {}", parts.join("; "));
    if let Some(floor) = report.floor {
        text += &format!("; {} exact draws: {floor:.4}", report.particles);
    }
    if let Some(p) = report.reference_log_predictive {
        text += &format!("; log p of the reference {p:.4}");
    }
    text
}

/// A row as the verdict calls it.
fn name(row: &Row) -> String {
    match row.setting.bandwidth {
        Some(b) => format!("{} b {b}", row.setting.method),
        None => row.setting.method.to_string(),
    }
}
