//! Hypergradients without second derivatives compared with their rivals, the direct gradient among them.

use std::process::ExitCode;

use thalweg_examples::{bilevel, cli};

fn main() -> ExitCode {
    cli::program("less than a minute of one core", bilevel::main)
}
