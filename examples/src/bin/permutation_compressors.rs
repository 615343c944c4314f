//! Permutation compressors on random quadratics: bits against the norm of the gradient.
//!
//! `cargo run --release --bin permutation_compressors` runs the published small table; `--check` compares with it.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use thalweg_examples::permutation_compressors::grid::{self, Method, Progress, Row, Settings};
use thalweg_examples::permutation_compressors::published;

/// MARINA with PermK and RandK, EF21 with TopK, and gradient descent, at equal uplink bits.
///
/// Each number is |grad f|^2 once every client has sent its share of the budget, 32 bits a number: with the step
/// of the theory, and with the best of its multiples by powers of two. Medians over seeds.
#[derive(Debug, Parser)]
#[command(name = "permutation_compressors")]
struct Options {
    /// Dimension of the quadratics.
    #[arg(long, default_value_t = 1000)]
    dim: usize,
    /// Strong convexity of their mean.
    #[arg(long, default_value_t = 1e-6)]
    mu: f64,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1000])]
    clients: Vec<usize>,
    /// Noise scales: how much the clients' matrices differ.
    #[arg(long, value_delimiter = ',', default_values_t = [0.0, 0.1, 0.8])]
    noise: Vec<f64>,
    /// Uplink bits of all clients together; each may send this divided by their number.
    #[arg(long, default_value_t = 2.5e8)]
    budget: f64,
    /// Multiples 1, 2, 4, ... of the theory's step that are tried.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=40))]
    multipliers: u32,
    /// Seed of the compressors' draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs of which the median is taken, with seeds that follow the first.
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Seed of the clients' matrices; without it, up to 1000 clients have the published ones.
    #[arg(long)]
    draws: Option<u64>,
    /// Threads; results do not depend on their number [default: all processors].
    #[arg(long)]
    threads: Option<usize>,
    /// Write every figure of the table, with the curves.
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Compare with the published table; exit with 1 and name the figures that are off.
    #[arg(long)]
    check: bool,
}

impl Options {
    fn settings(&self) -> Result<Settings, String> {
        let positive = |name: &str, holds: bool| {
            if holds {
                Ok(())
            } else {
                Err(format!("--{name} must be positive"))
            }
        };
        positive("dim", self.dim > 0)?;
        positive("budget", self.budget.is_finite() && self.budget > 0.0)?;
        positive("seeds", self.seeds > 0)?;
        positive("threads", self.threads != Some(0))?;
        let common = Settings {
            seed: self.seed,
            threads: self
                .threads
                .or_else(|| std::thread::available_parallelism().ok().map(Into::into))
                .unwrap_or(1),
            check: self.check,
            ..Settings::default()
        };
        if self.check {
            // The published table fixes the rest.
            return Ok(common);
        }
        Ok(Settings {
            dim: self.dim,
            mu: self.mu,
            clients: self.clients.clone(),
            noise: self.noise.clone(),
            budget: self.budget,
            multipliers: self.multipliers,
            seeds: self.seeds,
            draws: self.draws,
            ..common
        })
    }
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("permutation_compressors: {error}");
            ExitCode::from(2)
        }
    }
}

/// False when the comparison fails.
fn run(options: &Options) -> Result<bool, Box<dyn Error>> {
    let settings = options.settings()?;
    let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(
        "{wide_bar} {percent}% {elapsed}",
    )?);
    let rows = grid::run(&settings, &|news| match news {
        Progress::Total(work) => bar.set_length(work),
        Progress::Done(work) => bar.inc(work),
    })?;
    bar.finish_and_clear();
    print_table(&rows);
    if let Some(path) = &options.json {
        std::fs::write(path, serde_json::to_string_pretty(&rows)?)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    if !options.check {
        return Ok(true);
    }
    let (compared, off) = published::compare(&rows);
    for figure in &off {
        eprintln!("check: {figure}");
    }
    println!(
        "check: {} of {compared} figures agree",
        compared - off.len()
    );
    Ok(off.is_empty())
}

fn print_table(rows: &[Row]) {
    println!(
        "    n    K    s |    L_-   L_+-    L_+ | method        gamma  rounds |  theory   best (step) | indices at log2 d"
    );
    for row in rows {
        for entry in &row.entries {
            let head = if entry.method == Method::PermK {
                let [minus, plus_minus, plus] = row.smoothness;
                format!(
                    "{:5} {:4} {:4} | {minus:6.4} {plus_minus:6.4} {plus:6.4}",
                    row.clients, row.k, row.noise
                )
            } else {
                format!("{:15} | {:20}", "", "")
            };
            let (Some(theory), Some(best)) = (entry.score(0), entry.best()) else {
                continue;
            };
            println!(
                "{head} | {:12} {:6.4} {:7} | {:8.1e} {:8.1e} (x{:<3}) | {:8.1e} {:8.1e}",
                entry.method,
                entry.step_size,
                theory.rounds,
                theory.value,
                best.value,
                1_u64 << best.exponent,
                theory.with_indices,
                best.with_indices,
            );
        }
    }
}
