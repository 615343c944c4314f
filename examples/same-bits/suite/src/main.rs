//! Runs the suite at every SIMD level of this machine.
//!
//! `same_bits` compares with the table and fails when a number differs; `same_bits --print` writes the table.

use same_bits::Case;
use std::process::ExitCode;
use thalweg::simd::{self, Level};

const ALL: [&[Case]; 2] = [same_bits::SMALL, same_bits::LARGE];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check(),
        ["--print"] => print(),
        _ => {
            eprintln!("usage: same_bits [--print]");
            ExitCode::from(2)
        }
    }
}

fn check() -> ExitCode {
    let mut all = true;
    for level in Level::ALL
        .into_iter()
        .filter(|level| simd::force(Some(*level)))
    {
        let same = same_bits::run(&ALL, |case| {
            if !case.is_same() {
                eprintln!("{level:?}: {case:x?}");
            }
        });
        println!(
            "{level:?}: {} cases, {}",
            ALL.iter().map(|group| group.len()).sum::<usize>(),
            if same { "same bits" } else { "DIFFERENT" }
        );
        all &= same;
    }
    if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print() -> ExitCode {
    println!("//! Hashes of the cases, from `cargo run --bin same_bits -- --print`.\n");
    println!("/// One number a case, in order.\n#[rustfmt::skip]\npub const EXPECTED: &[u64] = &[");
    let mut refused = false;
    same_bits::run(&ALL, |case| {
        println!("    {:#018x}, // {}", case.found, case.name);
        if let Err(line) = case.outcome {
            eprintln!("{}: {line:?}", case.name);
            refused = true;
        }
    });
    println!("];");
    if refused {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
