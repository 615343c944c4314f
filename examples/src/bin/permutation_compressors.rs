//! Permutation compressors beside their rivals at equal uplink bits: random quadratics, autoencoders of images.

use std::process::ExitCode;

use clap::Parser;
use thalweg_examples::{cli, permutation_compressors};

fn main() -> ExitCode {
    cli::finish(permutation_compressors::main(
        &permutation_compressors::Options::parse(),
    ))
}
