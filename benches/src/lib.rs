//! What the criterion groups share: the plain loops that kernels are judged against, and timing in turn.
//!
//! Every group begins with a table of [`race`]s: contenders called in turn in one process, so that a change of clock or a
//! busy neighbour meets all alike. `cargo bench --bench optim -- none` prints the tables alone.
//!
//! # Figures
//! `cargo bench --bench optim -- none`, AMD EPYC of the Zen 3 generation (two virtual cores, AVX2, 512 KiB of L2), one run, nothing
//! else running. How many times as fast as the plain loop compiled for AVX2, by least times: on buffers 16 bytes past a page, as
//! glibc gives them, and on aligned ones.
//!
//! | step | 1000 | 20,000 | 100,000 | 10,000,000 |
//! |---|---|---|---|---|
//! | SGD | 0.83, 0.90 | 1.26, 0.99 | 1.15, 0.98 | 1.04 |
//! | momentum | 0.95, 0.66 | 1.35, 0.92 | 1.25, 1.00 | 0.93 |
//! | Adam, portable | 1.24, 1.14 | 1.12, 1.04 | 0.94, 0.81 | 1.01 |
//! | Adam, fast | 1.57, 1.44 | 1.60, 1.45 | 1.48, 1.28 | 1.02 |
//! | Lion | 0.80, 0.77 | 0.96, 0.84 | 0.91, 0.78 | 1.03 |
//! | RMSprop, portable | 0.68, 0.68 | 0.87, 0.86 | 0.86, 0.87 | 0.97 |
//! | RMSprop, fast | 0.69, 0.69 | 0.89, 0.88 | 0.89, 0.90 | 0.93 |
//! | Adagrad, portable | 0.74, 0.89 | 0.84, 0.81 | 0.82, 0.96 | 0.99 |
//! | Adagrad, fast | 0.76, 0.98 | 0.85, 0.81 | 1.07, 1.06 | 1.00 |
//!
//! Below 1 the plain loop wins. With one gradient in 89 always zero and n = 20,000, Adam is 1.95 times (fast: 2.7 times) as fast as it.

pub mod plain;
pub mod race;
