//! Stein samplers, deterministic and interacting, beside their stochastic parents at equal score evaluations.

use std::process::ExitCode;

use clap::Parser;
use thalweg_examples::{cli, stein_mcmc};

fn main() -> ExitCode {
    cli::finish(stein_mcmc::main(&stein_mcmc::Options::parse()))
}
