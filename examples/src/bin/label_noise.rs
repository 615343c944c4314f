//! Label noise on the sparse model: recovery from few samples, the limit for small steps, and how many samples it takes.

use std::process::ExitCode;

use thalweg_examples::{cli, label_noise};

fn main() -> ExitCode {
    let check = cli::Check {
        time: "less than a minute of one core",
        reads: &["full"],
    };
    cli::program(check, label_noise::main)
}
