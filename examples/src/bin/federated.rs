//! Federated training of a small network: protocols and compressors at an equal budget of uplink bits.

use std::process::ExitCode;

use clap::Parser;
use thalweg_examples::{cli, federated};

fn main() -> ExitCode {
    cli::finish(federated::main(&federated::Options::parse()))
}
