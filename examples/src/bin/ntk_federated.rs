//! Federated training by the tangent kernel of a network, compared with averaging at rounds, bits and seconds.

use std::process::ExitCode;

use thalweg_examples::{cli, ntk_federated};

fn main() -> ExitCode {
    let check = cli::Check {
        time: "about a minute of one core",
        reads: &[],
    };
    cli::program(check, ntk_federated::main)
}
