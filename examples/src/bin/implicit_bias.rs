//! What an architecture knows before it is trained, and what training adds: complexity bounds, posteriors given signs, margins.

use std::process::ExitCode;

use thalweg_examples::{cli, implicit_bias};

fn main() -> ExitCode {
    cli::program("about a minute of one core", implicit_bias::main)
}
