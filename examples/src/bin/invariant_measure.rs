//! Training that never becomes stationary: the loss stops, the gradient does not vanish, the weights go on moving.

use std::process::ExitCode;

use thalweg_examples::{cli, invariant_measure};

fn main() -> ExitCode {
    cli::program("less than a minute of one core", invariant_measure::main)
}
