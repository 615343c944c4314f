//! What the example programs share: command lines, data, progress, tables, and the systems they run.
//!
//! A program is a thin `main` in `src/bin`: it parses, calls a module here, prints a table, writes JSON and a
//! picture, and returns an exit code: 0, 1 when `--check` finds a claim that does not hold, 2 for bad input.

pub mod bilevel;
pub mod cli;
pub mod federated;
pub mod implicit_bias;
pub mod invariant_measure;
pub mod label_noise;
pub mod ntk_federated;
pub mod permutation_compressors;
pub mod progress;
pub mod source;
pub mod stein_mcmc;
pub mod table;
pub mod threads;

/// The README's example is a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct ReadmeExample;
