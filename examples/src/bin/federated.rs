//! Federated training of a small network: protocols and compressors at an equal budget of uplink bits.

use std::process::ExitCode;

use thalweg_examples::{cli, federated};

fn main() -> ExitCode {
    cli::program("about half a minute of one core", federated::main)
}
