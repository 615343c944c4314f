//! Hypergradients without second derivatives compared with their rivals, the direct gradient among them.

use std::process::ExitCode;

use clap::Parser;
use thalweg_examples::{bilevel, cli};

fn main() -> ExitCode {
    cli::finish(bilevel::main(&bilevel::Options::parse()))
}
