//! Permutation compressors compared with their rivals at equal uplink bits: random quadratics, autoencoders of images.

use std::process::ExitCode;

use thalweg_examples::{cli, permutation_compressors};

fn main() -> ExitCode {
    let check = cli::Check {
        time: "about a minute of one core",
        reads: &["autoencoder", "data"],
    };
    cli::program(check, permutation_compressors::main)
}
