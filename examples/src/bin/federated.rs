//! Federated training of a small network: protocols and compressors at an equal budget of uplink bits.

use std::process::ExitCode;

use thalweg_examples::{cli, federated};

fn main() -> ExitCode {
    let check = cli::Check {
        time: "about half a minute of one core",
        reads: &[],
    };
    cli::program(check, federated::main)
}
