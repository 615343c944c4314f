//! Compression by shared permutations on random quadratics and on autoencoders of images.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | a family of quadratics with its draws and constants |
//! | [`simulate`] | rounds of MARINA, EF21 and gradient descent in O(d), with the bits of `thalweg::federated` |
//! | [`grid`] | methods, step multipliers and seeds over the families, in threads |
//! | [`published`] | the published table, and the comparison with it |
//! | [`autoencoder`] | the same protocols over frames on a linear autoencoder of images |

pub mod autoencoder;
pub mod grid;
mod picture;
pub mod problem;
pub mod published;
pub mod simulate;

use std::ops::Bound::{Excluded, Included};

use clap::Parser;

use crate::cli::{Claims, Common, Failure, Files, bad, input, println, real, short, whole};
use crate::progress;
use crate::table::Table;

use grid::{Method, Progress, Row, Settings};

/// MARINA with PermK and RandK, EF21 with TopK, and gradient descent, at equal uplink bits.
///
/// Quadratics: each number is |grad f|^2 once every client has sent its share of the budget, with the step of the
/// theory and with the best of its multiples by powers of two; medians over seeds. Bits are counted as published: 32
/// a number and none for TopK's indices; two more columns count them.
///
/// With --autoencoder: the loss of a linear autoencoder after a number of rounds, every message a frame.
#[derive(Clone, Debug, Parser)]
#[command(name = "permutation_compressors", version)]
pub struct Options {
    /// Options of every program.
    #[command(flatten)]
    pub common: Common,
    /// Numbers of clients, up to 100000 (comma-separated) [default: 10,100,1000; with --autoencoder: 50]
    #[arg(long, value_delimiter = ',', value_parser = whole::<usize>(1..=100_000))]
    pub clients: Vec<usize>,
    /// Dimension of the quadratics, up to 1000000
    #[arg(long, default_value_t = 1000, value_parser = whole::<usize>(1..=1_000_000))]
    pub dim: usize,
    /// Strong convexity of their mean
    #[arg(long, default_value_t = 1e-6, value_parser = real(0.0..))]
    pub mu: f64,
    /// Noise scales: how much the clients' matrices differ (comma-separated)
    #[arg(long, alias = "noise", value_delimiter = ',', default_value = "0,0.1,0.8", value_parser = real(0.0..))]
    pub noise_scales: Vec<f64>,
    /// Uplink bits of all clients together, like 250M; each may send this divided by their number
    #[arg(long, default_value_t = 2.5e8, value_parser = real((Excluded(0.0), Included(1e15))))]
    pub budget: f64,
    /// How many of the multiples 1, 2, 4, ... of the theory's step are tried, up to 40
    #[arg(long, default_value_t = 10, value_parser = whole::<u32>(1..=40))]
    pub multipliers: u32,
    /// Runs of which the median is taken, with seeds that follow the first, up to 1000
    #[arg(long, default_value_t = 3, value_parser = whole::<u64>(1..=1000))]
    pub seeds: u64,
    /// Seed of the clients' matrices; without it up to 1000 clients have the published ones
    #[arg(long, alias = "draws", value_parser = whole::<u64>(0..=u64::MAX))]
    pub family_seed: Option<u64>,
    /// Train autoencoders in place of quadratics
    #[arg(long)]
    pub autoencoder: bool,
    /// Options of the autoencoder.
    #[command(flatten)]
    pub images: autoencoder::Images,
}

/// Runs what the options ask for.
///
/// # Errors
/// Bad options or data; under `--check`, figures that are off.
pub fn main(options: &Options) -> Result<(), Failure> {
    let files = options
        .common
        .files("permutation_compressors", options.images.data.as_deref())?;
    if options.autoencoder {
        return autoencoder::main(options, &files);
    }
    if let Some(data) = &options.images.data {
        return Err(bad("data", data.display(), "needs --autoencoder"));
    }
    quadratics(options, &files)
}

fn quadratics(options: &Options, files: &Files<'_>) -> Result<(), Failure> {
    let settings = settings(options)?;
    let bar = progress::bar(0);
    let rows = grid::run(&settings, &|news| match news {
        Progress::Total(work) => bar.set_length(work),
        Progress::Done(work) => bar.inc(work),
    })
    .map_err(input)?;
    bar.finish_and_clear();
    let delivered = files.deliver(&rows, || picture::quadratics(&rows), table(&rows));
    if !options.common.check {
        return delivered;
    }
    println!();
    let mut claims = Claims::default();
    published::compare(&rows, &mut claims);
    files.verdict(claims).and(delivered)
}

/// The grid that the options ask for; `--check` fixes all but seed and threads.
fn settings(options: &Options) -> Result<Settings, Failure> {
    let common = Settings {
        seed: options.common.seed,
        threads: options.common.threads()?,
        check: options.common.check,
        ..Settings::default()
    };
    if options.common.check {
        return Ok(common);
    }
    let clients = if options.clients.is_empty() {
        common.clients.clone()
    } else {
        options.clients.clone()
    };
    Ok(Settings {
        dim: options.dim,
        mu: options.mu,
        clients,
        noise: options.noise_scales.clone(),
        budget: options.budget,
        multipliers: options.multipliers,
        seeds: options.seeds,
        draws: options.family_seed,
        ..common
    })
}

/// Four decimals, of a number of any size in a few characters.
fn decimals(x: f64) -> String {
    if x.abs() < 1e7 {
        format!("{x:.4}")
    } else {
        format!("{x:.4e}")
    }
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(
        4,
        &[
            "n, K, s",
            "L_-",
            "L_+-",
            "L_+",
            "method",
            "gamma",
            "rounds",
            "theory",
            "best",
            "step",
            "indices: theory",
            "best",
        ],
    );
    for row in rows {
        for entry in &row.entries {
            let (Some(theory), Some(best)) = (entry.score(0), entry.best()) else {
                continue;
            };
            let mut cells = if entry.method == Method::PermK {
                let mut cells = vec![format!("{}, {}, {}", row.clients, row.k, short(row.noise))];
                cells.extend(row.smoothness.map(decimals));
                cells
            } else {
                vec![String::new(); 4]
            };
            cells.extend([
                entry.method.to_string(),
                decimals(entry.step_size),
                theory.rounds.to_string(),
                format!("{:.1e}", theory.value),
                format!("{:.1e}", best.value),
                format!("x{}", 1_u64 << best.exponent),
                format!("{:.1e}", theory.with_indices),
                format!("{:.1e}", best.with_indices),
            ]);
            table.push(cells);
        }
    }
    table
}
