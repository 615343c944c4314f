//! What an architecture knows before it is trained, and what training adds: complexity bounds, posteriors given signs, margins.

use std::process::ExitCode;

use thalweg_examples::{cli, implicit_bias};

fn main() -> ExitCode {
    let check = cli::Check {
        time: "about a minute of one core",
        reads: &[],
    };
    cli::program(check, implicit_bias::main)
}
