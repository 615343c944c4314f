//! What the criterion groups share: the plain loops that kernels are judged against, and timing in turn.
//!
//! Every group begins with a table of [`race`]s: contenders called in turn in one process, so that a change of clock or a
//! busy neighbour meets all alike. `cargo bench --bench optim -- none` prints the tables alone. `python benches/peers/run.py` sets ours
//! beside NumPy, PyTorch, JAX and scikit-learn; its table is in `benches/benches/peers.rs`.
//!
//! # Figures
//! `cargo bench --bench optim -- none`, AMD EPYC of the Zen 3 generation (two virtual cores, AVX2, 512 KiB of L2), one run, nothing
//! else running. How many times as fast as the plain loop compiled for AVX2, by least times: on buffers 16 bytes past a page, as
//! glibc gives them, and on aligned ones.
//!
//! | step | 1000 | 20,000 | 100,000 | 10,000,000 |
//! |---|---|---|---|---|
//! | SGD | 1.25, 0.89 | 1.26, 0.99 | 1.14, 0.99 | 0.97 |
//! | momentum | 1.04, 0.71 | 1.35, 0.91 | 1.67, 1.29 | 0.95 |
//! | Adam, portable | 1.07, 1.15 | 1.17, 1.05 | 1.08, 0.99 | 1.03 |
//! | Adam, fast | 1.51, 1.61 | 1.63, 1.48 | 1.58, 1.45 | 1.04 |
//! | Lion | 0.84, 0.79 | 0.97, 0.83 | 1.42, 1.16 | 0.99 |
//! | RMSprop, portable | 0.82, 0.83 | 0.87, 0.87 | 0.87, 0.85 | 0.98 |
//! | RMSprop, fast | 0.85, 0.86 | 0.89, 0.89 | 0.89, 0.88 | 0.97 |
//! | Adagrad, portable | 0.89, 0.90 | 0.99, 0.96 | 0.99, 0.96 | 0.92 |
//! | Adagrad, fast | 0.98, 0.99 | 1.08, 1.06 | 1.09, 1.05 | 0.90 |
//!
//! Below 1 the plain loop wins: it neither flushes subnormal moments nor asks whether there is weight decay. At 10,000,000 a
//! run differs from the next by 0.05 (momentum 0.94 to 1.02 over seven). With one gradient in 89 always zero and n = 20,000, Adam is
//! 2.1 times (fast: 3.0 times) as fast as the loop.
//!
//! `cargo bench --bench compress -- none`, three runs, idle: of one million normal values the largest 1 % and 0.1 % by `TopK` are found
//! 7.1 to 7.6 and 8.8 to 9.7 times as fast as by `select_nth_unstable` on pairs (least times; medians 6.3 to 6.9 and 7.5 to 8.2); of
//! rising values 6.3 to 7.1 and 7.3 to 8.6, of equal ones 8.0 to 8.2 and 8.7 to 9.9. `RandK` and `PermK` of 1e5
//! out of 1e7: more than 140 times a shuffle. gemm of 512 and 1024, `Fast`, against `matrixmultiply`, beside other programs: 1.02 to 1.05,
//! 1.00 to 1.02.

pub mod plain;
pub mod race;
