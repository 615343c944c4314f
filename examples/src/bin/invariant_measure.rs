//! Training that never becomes stationary: the loss stops, the gradient does not vanish, the weights go on moving.

use std::process::ExitCode;

use clap::Parser;
use thalweg_examples::{cli, invariant_measure};

fn main() -> ExitCode {
    cli::finish(invariant_measure::main(&invariant_measure::Options::parse()))
}
