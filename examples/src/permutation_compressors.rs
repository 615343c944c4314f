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

use std::path::{Path, PathBuf};

use clap::Parser;

use crate::cli::{self, Claims, Common, Failure, bad, input};
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
    /// Numbers of clients (comma-separated) [default: 10,100,1000; with --autoencoder: 50]
    #[arg(long, value_delimiter = ',')]
    pub clients: Vec<usize>,
    /// Dimension of the quadratics
    #[arg(long, default_value_t = 1000)]
    pub dim: usize,
    /// Strong convexity of their mean
    #[arg(long, default_value_t = 1e-6, allow_negative_numbers = true)]
    pub mu: f64,
    /// Noise scales: how much the clients' matrices differ (comma-separated)
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "0,0.1,0.8",
        allow_negative_numbers = true
    )]
    pub noise: Vec<f64>,
    /// Uplink bits of all clients together; each may send this divided by their number
    #[arg(long, default_value_t = 2.5e8, allow_negative_numbers = true)]
    pub budget: f64,
    /// How many of the multiples 1, 2, 4, ... of the theory's step are tried
    #[arg(long, default_value_t = 10)]
    pub multipliers: u32,
    /// Runs of which the median is taken, with seeds that follow the first
    #[arg(long, default_value_t = 3)]
    pub seeds: u64,
    /// Seed of the clients' matrices; without it up to 1000 clients have the published ones
    #[arg(long)]
    pub draws: Option<u64>,
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
    if let Some(path) = &options.common.json {
        cli::check_writable(path)?;
    }
    let path = options.common.plot.clone();
    let path = path.unwrap_or_else(|| PathBuf::from("permutation_compressors.svg"));
    cli::check_writable(&path)?;
    if options.autoencoder {
        return autoencoder::main(options, &path);
    }
    if let Some(data) = &options.images.data {
        return Err(bad("data", data.display(), "needs --autoencoder"));
    }
    quadratics(options, &path)
}

fn quadratics(options: &Options, path: &Path) -> Result<(), Failure> {
    let settings = settings(options)?;
    let bar = progress::bar(0);
    let rows = grid::run(&settings, &|news| match news {
        Progress::Total(work) => bar.set_length(work),
        Progress::Done(work) => bar.inc(work),
    })
    .map_err(input)?;
    bar.finish_and_clear();
    print!("{}", table(&rows));
    if let Some(path) = &options.common.json {
        cli::write_json(path, &rows)?;
    }
    if !options.common.check || options.common.plot.is_some() {
        cli::write(path, &picture::quadratics(&rows).to_svg())?;
        println!("\npicture: {}", path.display());
    }
    if options.common.check {
        println!();
        let mut claims = Claims::default();
        published::compare(&rows, &mut claims);
        return claims.verdict(options.common.json.as_deref());
    }
    Ok(())
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
    let within = |name: &str, value: u64, most: u64| {
        if (1..=most).contains(&value) {
            Ok(())
        } else {
            Err(bad(name, value, &format!("must be between 1 and {most}")))
        }
    };
    within("dim", options.dim as u64, 1_000_000)?;
    within("multipliers", options.multipliers.into(), 40)?;
    within("seeds", options.seeds, 1000)?;
    for &n in &options.clients {
        within("clients", n as u64, 100_000)?;
    }
    for (name, value) in [("mu", options.mu)]
        .into_iter()
        .chain(options.noise.iter().map(|&s| ("noise", s)))
    {
        if !(value.is_finite() && value >= 0.0) {
            return Err(bad(name, value, "must be finite and not negative"));
        }
    }
    if !(options.budget > 0.0 && options.budget <= 1e15) {
        return Err(bad("budget", options.budget, "must be between 0 and 1e15"));
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
        noise: options.noise.clone(),
        budget: options.budget,
        multipliers: options.multipliers,
        seeds: options.seeds,
        draws: options.draws,
        ..common
    })
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
                let mut cells = vec![format!("{}, {}, {}", row.clients, row.k, row.noise)];
                cells.extend(row.smoothness.map(|l| format!("{l:.4}")));
                cells
            } else {
                vec![String::new(); 4]
            };
            cells.extend([
                entry.method.to_string(),
                format!("{:.4}", entry.step_size),
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
