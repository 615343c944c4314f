//! What an architecture knows before it is trained, and what training adds.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | images with signs |
//! | [`wide`] | infinitely wide networks: bounds on the error, posteriors given signs, regression on a label scale |
//! | [`network`] | networks trained to fit labels on a scale, which sets their margin |
//! | `check` | what the figures must be, for every seed |

mod check;
pub mod network;
mod picture;
pub mod problem;
pub mod wide;

use clap::Parser;
use serde::Serialize;
use thalweg::kernel::orthant;

use crate::cli::{Claims, Common, Failure, bad, input, positive, print, println, short, whole};
use crate::progress;
use crate::source::Source;
use crate::table::Table;
use crate::threads::each;

use network::Row;
use problem::{Data, Signs};
use wide::{Cost, Draws, Posterior};

/// Bounds on the error of wide networks from the signs of their labels, and classifiers from their posteriors.
///
/// Three tables. Complexity: what the signs of the first rows (odd or even class, and a fixed pattern that has nothing to do with them) cost an infinitely
/// wide network of each depth in nats, and the bound on the mean error of networks with these signs. Posterior: networks with the right signs on a few rows of two classes, and how often they are right elsewhere. Scale: networks trained by Nero to fit `alpha` times the labels, and the regression of infinitely wide ones.
#[derive(Clone, Debug, Parser)]
#[command(name = "implicit_bias", version)]
pub struct Options {
    /// Options of every program.
    #[command(flatten)]
    pub common: Common,
    /// Images.
    #[command(flatten)]
    pub source: Source,
    /// Layers of weights, 1 to 100 (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "2,7", value_parser = whole::<usize>(1..=100))]
    pub depths: Vec<usize>,
    /// Rows whose labels are measured, 2 to 2000 (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "10,20,50,100,200", value_parser = whole::<usize>(2..=2000))]
    pub rows: Vec<usize>,
    /// The two classes to tell apart
    #[arg(long, value_delimiter = ',', default_value = "0,1", value_parser = whole::<u32>(0..=u64::from(u32::MAX)))]
    pub classes: Vec<u32>,
    /// Rows of them to learn from, 2 to 12
    #[arg(long, default_value_t = 5, value_parser = whole::<usize>(2..=12))]
    pub train: usize,
    /// Rows of them to be judged by, 2 to 2000
    #[arg(long, default_value_t = 50, value_parser = whole::<usize>(2..=2000))]
    pub test: usize,
    /// Label scales, positive (comma-separated)
    #[arg(long, alias = "alpha", value_delimiter = ',', default_value = "0.01,0.1,1,10,100", value_parser = positive())]
    pub scales: Vec<f64>,
    /// Draws of the two-class problem, 1 to 1000
    #[arg(long, default_value_t = 3, value_parser = whole::<u64>(1..=1000))]
    pub draws: u64,
    /// Functions drawn for each, 100 to 1000000
    #[arg(long, default_value_t = 5000, value_parser = whole::<usize>(100..=1_000_000))]
    pub functions: usize,
    /// Networks trained on each label scale, 2 to 1000
    #[arg(long, default_value_t = 12, value_parser = whole::<u64>(2..=1000))]
    pub networks: u64,
    /// Layers of weights of a trained network, 2 to 20
    #[arg(long, default_value_t = 3, value_parser = whole::<usize>(2..=20))]
    pub network_depth: usize,
    /// Units of its hidden layers, 2 to 4096
    #[arg(long, default_value_t = 256, value_parser = whole::<usize>(2..=4096))]
    pub width: usize,
    /// Draws of an estimate of a probability, 100 to 10000000
    #[arg(long, default_value_t = 20_000, value_parser = whole::<usize>(100..=10_000_000))]
    pub probability_draws: usize,
}

/// All figures of the tables.
#[derive(Debug, Serialize)]
struct Report {
    data: String,
    scales: Vec<f64>,
    complexity: Vec<Cost>,
    posterior: Vec<Posterior>,
    networks: Vec<Row>,
}

/// Runs what the options ask for.
///
/// # Errors
/// Bad options or data; under `--check`, figures that are off.
pub fn main(options: &Options) -> Result<(), Failure> {
    let common = &options.common;
    let files = common.files("implicit_bias", options.source.data.as_deref())?;
    let threads = common.threads()?;
    let fixed;
    let options = if common.check {
        fixed = published(common)?;
        &fixed
    } else {
        options
    };
    let report = run(options, threads)?;
    let saved = files.save(&report, || picture::figure(&report));
    print(&report);
    let delivered = saved.tell();
    if !common.check {
        return delivered;
    }
    println!();
    let mut claims = Claims::default();
    check::complexity(&report.complexity, &mut claims);
    check::posterior(&report.posterior, &mut claims);
    check::networks(&report.networks, &report.posterior, &mut claims);
    files.verdict(claims).and(delivered)
}

/// The published problem, in which `--check` runs: the defaults, and more draws.
fn published(common: &Common) -> Result<Options, Failure> {
    let mut options = Options::try_parse_from(["implicit_bias"]).map_err(input)?;
    options.common = common.clone();
    options.draws = check::DRAWS;
    options.networks = check::NETWORKS;
    Ok(options)
}

fn run(options: &Options, threads: usize) -> Result<Report, Failure> {
    let seed = options.common.seed;
    let data = Data::load(&options.source, seed)?;
    let &[negative, positive] = options.classes.as_slice() else {
        let found = options.classes.len();
        return Err(bad("classes", found, "must be two classes"));
    };
    for &rows in &options.rows {
        if rows > data.train.len() {
            let rule = format!("is more than the {} rows of the data", data.train.len());
            return Err(bad("rows", rows, &rule));
        }
    }
    let problems: Vec<[Signs; 2]> = (0..options.draws)
        .map(|k| {
            let rows = [options.train, options.test];
            data.pair([negative, positive], rows, seed.wrapping_add(k))
        })
        .collect::<Result<_, _>>()?;

    let labelled: Vec<(&'static str, usize, usize)> = ["parity", "pattern"]
        .into_iter()
        .flat_map(|labels| {
            let depths = options.depths.iter();
            depths.flat_map(move |&depth| options.rows.iter().map(move |&n| (labels, depth, n)))
        })
        .collect();
    let drawn: Vec<(usize, u64)> = options
        .depths
        .iter()
        .flat_map(|&depth| (0..options.draws).map(move |k| (depth, k)))
        .collect();
    let trained: Vec<(f64, u64)> = options
        .scales
        .iter()
        .flat_map(|&scale| (0..options.networks).map(move |k| (scale, k)))
        .collect();
    let bar = progress::bar((labelled.len() + drawn.len() + trained.len()) as u64);
    let config = orthant::Config::new(seed, options.probability_draws);
    let complexity = each(threads, &labelled, |&(labels, depth, n)| {
        let rows = match labels {
            "parity" => data.train.parity(n),
            _ => data.train.pattern(n),
        };
        let cost = wide::cost(labels, depth, &rows, &config);
        bar.inc(1);
        cost
    })
    .map_err(input)?;
    let posterior = each(threads, &drawn, |&(depth, draw)| {
        let draws = Draws {
            functions: options.functions,
            probabilities: options.probability_draws,
            seed,
            draw,
        };
        let found = problems
            .get(draw as usize)
            .map(|[train, test]| wide::posterior(depth, [train, test], &options.scales, draws));
        bar.inc(1);
        found.transpose()
    })
    .map_err(input)?;
    let networks = each(threads, &trained, |&(scale, who)| {
        let settings = network::Settings {
            depth: options.network_depth,
            width: options.width,
            scale,
            seed,
            who,
        };
        let problem = problems.get((who % options.draws) as usize);
        let found = problem.map(|[train, test]| network::train(&settings, [train, test]));
        bar.inc(1);
        found.transpose()
    })
    .map_err(input)?;
    let networks: Vec<network::Trained> = networks.into_iter().flatten().collect();
    let rows = networks.chunks(options.networks as usize);
    let networks = options.scales.iter().zip(rows);
    bar.finish_and_clear();
    Ok(Report {
        data: data.name,
        scales: options.scales.clone(),
        complexity,
        posterior: posterior.into_iter().flatten().collect(),
        networks: networks.map(|(&scale, row)| Row::new(scale, row)).collect(),
    })
}

fn print(report: &Report) {
    let header = [
        "labels",
        "L",
        "n",
        "rd",
        "tr K⁻¹",
        "c K⁻¹ c",
        "C1",
        "error ≤, C1",
        "C0",
        "draws",
        "error ≤, C0",
        "C0 by half-normals",
        "draws",
    ];
    let mut table = Table::new(1, &header);
    let mark = |of: &wide::Estimate| if of.reliable { "" } else { "?" };
    let estimate = |of: &wide::Estimate| format!("{:.2}{}", of.value, mark(of));
    for row in &report.complexity {
        table.push(vec![
            row.labels.to_owned(),
            row.depth.to_string(),
            row.rows.to_string(),
            format!("{:.6}", row.root_determinant),
            format!("{:.2}", row.trace),
            format!("{:.3}", row.energy),
            format!("{:.3}", row.c1),
            format!("{:.4}", row.bound_c1),
            estimate(&row.c0),
            format!("{:.0}", row.c0.effective_draws),
            format!("{:.4}{}", row.bound_c0, mark(&row.c0)),
            estimate(&row.half_normal),
            format!("{:.0}", row.half_normal.effective_draws),
        ]);
    }
    println!(
        "{}: nats of the signs of the first n rows, and bounds on the mean error of networks that have them\n\
         (? marks estimates that hang on fewer than 100 effective draws)\n\n{table}",
        report.data
    );

    let header = [
        "L",
        "draw",
        "P(c)",
        "Gibbs",
        "P(c, c')/P(c)",
        "vote",
        "centre of mass",
        "interpolation",
        "nearest row",
        "least fifth of margins",
        "largest fifth",
    ];
    let mut table = Table::new(0, &header);
    for row in &report.posterior {
        let [least, .., largest] = row.by_margin;
        let mut cells = vec![row.depth.to_string(), (row.draw + 1).to_string()];
        cells.push(format!("{:.4}", row.probability));
        let accuracies = [
            row.gibbs,
            row.quotient,
            row.vote,
            row.centre_of_mass,
            row.interpolation,
            row.nearest,
            least,
            largest,
        ];
        cells.extend(accuracies.map(|x| format!("{x:.3}")));
        table.push(cells);
    }
    println!("Accuracy of infinitely wide networks with the right signs on a few rows\n\n{table}");

    let scales = report.scales.iter().map(|scale| format!("α = {scale}"));
    let names: Vec<String> = ["L".to_owned(), "draw".to_owned()]
        .into_iter()
        .chain(scales)
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut table = Table::new(0, &names);
    for row in &report.posterior {
        let mut cells = vec![row.depth.to_string(), (row.draw + 1).to_string()];
        cells.extend(row.regression.iter().map(|x| format!("{x:.3}")));
        table.push(cells);
    }
    println!("Accuracy of a draw of the regression on α c\n\n{table}");

    let header = [
        "α",
        "accuracy",
        "deviation",
        "on training rows, least",
        "smallest c f(x), mean",
    ];
    let mut table = Table::new(0, &header);
    for row in &report.networks {
        table.push(vec![
            short(row.scale),
            format!("{:.3}", row.accuracy),
            format!("{:.3}", row.deviation),
            format!("{:.2}", row.train),
            format!("{:.3}", row.margin),
        ]);
    }
    print!("Networks trained to fit α c\n\n{table}");
}
