//! Training that never becomes stationary: the loss stops, the gradient does not vanish, the weights go on moving.

use std::process::ExitCode;

use thalweg_examples::{cli, invariant_measure};

fn main() -> ExitCode {
    let check = cli::Check {
        time: "less than a minute of one core",
        reads: &[],
    };
    cli::program(check, invariant_measure::main)
}
