//! Permutation compressors compared with their rivals at equal uplink bits: random quadratics, autoencoders of images.

use std::process::ExitCode;

use thalweg_examples::{cli, permutation_compressors};

fn main() -> ExitCode {
    cli::program("about a minute of one core", permutation_compressors::main)
}
