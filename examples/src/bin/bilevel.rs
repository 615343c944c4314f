//! Hypergradients without second derivatives compared with their rivals, the direct gradient among them.

use std::process::ExitCode;

use thalweg_examples::{bilevel, cli};

fn main() -> ExitCode {
    let check = cli::Check {
        time: "less than a minute of one core",
        reads: &["problem", "full"],
    };
    cli::program(check, bilevel::main)
}
