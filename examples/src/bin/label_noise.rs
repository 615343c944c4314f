//! Label noise on the sparse model: recovery from few samples, the limit for small steps, and how many samples it takes.

use std::process::ExitCode;

use thalweg_examples::{cli, label_noise};

fn main() -> ExitCode {
    cli::program("less than a minute of one core", label_noise::main)
}
