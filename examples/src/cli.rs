//! Conventions of every command line: common options, exit codes, output files.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

/// Options that every program has.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Seed of every random draw
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Worker threads; the numbers do not depend on it [default: one per processor]
    #[arg(long)]
    pub threads: Option<usize>,
    /// Write every figure of the table here, as JSON
    #[arg(long, value_name = "PATH")]
    pub json: Option<PathBuf>,
    /// Write the picture here, as SVG
    #[arg(long, value_name = "PATH")]
    pub plot: Option<PathBuf>,
    /// Run the small published experiment; exit with 1, naming the figure, if a claim does not hold
    #[arg(long)]
    pub check: bool,
}

/// Most threads that are started.
const MOST_THREADS: usize = 256;

impl Common {
    /// The number of threads to start.
    ///
    /// # Errors
    /// A number outside 1 to 256.
    pub fn threads(&self) -> Result<usize, Failure> {
        let found = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or(found.min(MOST_THREADS));
        if !(1..=MOST_THREADS).contains(&threads) {
            return Err(bad("threads", threads, "must be between 1 and 256"));
        }
        Ok(threads)
    }
}

/// Why a program ends early.
#[derive(Debug)]
pub enum Failure {
    /// Options or data are wrong: exit code 2.
    Input(String),
    /// A claim under `--check` does not hold: exit code 1.
    Claim(String),
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(text) | Self::Claim(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Failure {}

/// An option with a value that cannot be.
pub fn bad(option: &str, value: impl Display, rule: &str) -> Failure {
    Failure::Input(format!("--{option} {value}: {rule}"))
}

/// Any error of a library as a failure of the input.
pub fn input(error: impl Display) -> Failure {
    Failure::Input(error.to_string())
}

/// Prints an error to standard error and turns it into an exit code.
pub fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            match failure {
                Failure::Claim(_) => ExitCode::from(1),
                Failure::Input(_) => ExitCode::from(2),
            }
        }
    }
}

/// Checks, before the work, that a file can be written; what it holds is left alone.
///
/// # Errors
/// A folder that does not exist, a path that is a folder, no permission.
pub fn check_writable(path: &Path) -> Result<(), Failure> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            return Err(Failure::Input(format!(
                "{}: the folder does not exist",
                path.display()
            )));
        }
        _ => {}
    }
    let is_new = !path.exists();
    let open = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(path);
    open.map_err(|error| cannot_write(path, &error))?;
    if is_new {
        // Nothing is left behind by a run that ends early. Another run may have tried the same path and been faster.
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(cannot_write(path, &error));
            }
            _ => {}
        }
    }
    Ok(())
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Input(format!("{}: cannot write: {error}", path.display()))
}

/// Writes a text file, naming the path when that fails.
///
/// # Errors
/// Those of the file system.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| cannot_write(path, &error))
}

/// Writes a value as indented JSON.
///
/// # Errors
/// Those of the file system.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(input)?;
    write(path, &(text + "\n"))
}

/// The claims of `--check`: each is printed as it is stated.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Claims {
    claims: Vec<Claim>,
}

/// One figure and its bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Claim {
    figure: String,
    found: f64,
    bound: f64,
    rule: &'static str,
    holds: bool,
}

impl Claims {
    /// States that `found` is at least `least`.
    pub fn at_least(&mut self, figure: &str, found: f64, least: f64) {
        self.state(figure, found, "at least", least, found >= least);
    }

    /// States that `found` is at most `most`.
    pub fn at_most(&mut self, figure: &str, found: f64, most: f64) {
        self.state(figure, found, "at most", most, found <= most);
    }

    /// States that `found` is between `1 / factor` and `factor`.
    pub fn within(&mut self, figure: &str, found: f64, factor: f64) {
        self.at_least(figure, found, 1.0 / factor);
        self.at_most(figure, found, factor);
    }

    fn state(&mut self, figure: &str, found: f64, rule: &'static str, bound: f64, holds: bool) {
        let claim = Claim {
            figure: figure.to_owned(),
            found,
            bound,
            rule,
            holds,
        };
        println!("{} {}", if holds { "holds" } else { "FAILS" }, claim.text());
        self.claims.push(claim);
    }

    /// Writes every claim to `json` if given, and judges.
    ///
    /// # Errors
    /// [`Failure::Claim`] that lists every claim that failed; those of the file system.
    pub fn verdict(self, json: Option<&Path>) -> Result<(), Failure> {
        if let Some(path) = json {
            write_json(path, &self)?;
        }
        let failed = self.claims.iter().filter(|claim| !claim.holds);
        let failed: Vec<String> = failed.map(Claim::text).collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(Failure::Claim(format!(
            "claims that fail: {}",
            failed.join("; ")
        )))
    }
}

impl Claim {
    fn text(&self) -> String {
        let Self {
            figure,
            found,
            rule,
            bound,
            ..
        } = self;
        format!("{figure}: {found:.4e}, {rule} {bound:.4e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_claim_is_named_and_a_nan_fails() {
        let mut claims = Claims::default();
        claims.at_least("accuracy", 0.9, 0.8);
        claims.at_most("loss", f64::NAN, 1.0);
        let text = claims.verdict(None).unwrap_err().to_string();
        assert!(text.contains("loss") && !text.contains("accuracy"));
    }
}
