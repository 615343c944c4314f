//! What the criterion groups share: the plain loops that kernels are judged against, and timing in turn.
//!
//! Every group begins with a table of [`race`]s: contenders called in turn in one process, so that a change of clock or a
//! busy neighbour meets all alike. `cargo bench --bench optim -- none` prints the tables alone.
//!
//! # Figures
//! `cargo bench --bench optim -- none`, AMD EPYC of the Zen 3 generation (two virtual cores, AVX2, 512 KiB of L2), under load
//! from other programs. How many times as fast as the plain loop compiled for AVX2, by the least times of four runs: on buffers
//! 16 bytes past a page, as glibc gives them, and on aligned ones.
//!
//! | step | 1000 | 20,000 | 100,000 |
//! |---|---|---|---|
//! | SGD | 1.25, 0.89 | 1.26, 0.99 | 1.11, 0.98 |
//! | momentum | 0.96, 0.66 | 1.37, 0.86 | 1.30, 1.01 |
//! | Adam, portable | 1.05, 1.09 | 1.15, 1.03 | 1.09, 1.02 |
//! | Adam, fast | 1.49, 1.55 | 1.60, 1.44 | 1.50, 1.44 |
//! | Lion | 0.82, 0.79 | 0.96, 0.81 | 0.95, 0.81 |
//! | RMSprop, portable | 0.82, 0.83 | 0.87, 0.87 | 0.87, 0.86 |
//! | RMSprop, fast | 0.85, 0.86 | 0.89, 0.89 | 0.89, 0.88 |
//! | Adagrad, portable | 0.89, 0.90 | 0.99, 0.98 | 0.98, 0.99 |
//! | Adagrad, fast | 0.98, 0.99 | 1.08, 1.07 | 1.09, 1.09 |
//!
//! With one gradient in 89 always zero and n = 20,000, Adam is 2.1 times (fast: 3.0 times) as fast as the plain loop; its own time
//! does not change. A loop with the traffic of Adam and no arithmetic takes 0.95 (0.66 aligned) of the portable step's time at
//! 100,000, where the four arrays exceed L2: no arithmetic could gain more there than the fast form does. At 1e7 the noise of
//! a shared machine exceeds the differences.

pub mod plain;
pub mod race;
