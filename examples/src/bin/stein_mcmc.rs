//! Stein samplers, deterministic and interacting, compared with their stochastic parents at equal score evaluations.

use std::process::ExitCode;

use thalweg_examples::{cli, stein_mcmc};

fn main() -> ExitCode {
    let check = cli::Check {
        time: "less than a minute of one core",
        reads: &[],
    };
    cli::program(check, stein_mcmc::main)
}
