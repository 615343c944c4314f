//! What the criterion groups share: the plain loops that kernels are judged against, and timing in turn.
//!
//! Every group begins with a table of [`race`]s: contenders called in turn in one process, so that a change of clock or a
//! busy neighbour meets all alike. `cargo bench --bench optim -- none` prints the tables alone. `python benches/peers/run.py` sets ours
//! with NumPy, PyTorch, JAX and scikit-learn; its table is in `benches/benches/peers.rs`.
//!
//! # Figures
//! `cargo bench -p thalweg_benches --bench optim -- race`, AMD EPYC of the Zen 4 generation (two virtual cores, 1 MiB of L2 each), one run
//! while other programs run. How many times as fast as the plain loop compiled for the same level, by least times; columns are n = 1000,
//! 20,000, 100,000 and 10,000,000, on buffers 0, 16 and 4 bytes past a page, the last also in huge pages.
//!
//! ```text
//! avx512 f32
//!   sgd, portable     | 0.96 1.44 1.44 | 1.00 1.18 1.18 | 0.99 1.17 1.17 | 1.01 0.97 0.99 1.00 |
//!   momentum, portable| 0.93 1.33 1.34 | 0.99 1.43 1.55 | 1.07 1.39 1.36 | 1.00 0.98 1.04 1.00 |
//!   adam, portable    | 1.01 1.03 1.02 | 1.14 1.29 1.16 | 1.25 1.25 1.38 | 1.11 1.06 1.13 1.10 |
//!   adam, fast        | 1.40 1.42 1.41 | 1.63 1.85 1.67 | 1.80 1.78 1.98 | 1.12 1.06 1.11 1.09 |
//!   lion, portable    | 1.18 1.17 1.18 | 1.26 1.32 1.32 | 1.18 1.31 1.30 | 0.97 1.05 1.06 1.04 |
//!   rmsprop, portable | 0.96 0.95 0.95 | 1.00 1.00 1.00 | 1.00 1.00 1.00 | 0.98 1.02 1.01 0.98 |
//!   rmsprop, fast     | 1.32 1.31 1.31 | 1.38 1.38 1.38 | 1.38 1.38 1.38 | 0.95 0.99 1.04 0.99 |
//!   adagrad, portable | 0.99 0.96 0.97 | 1.00 1.00 1.01 | 1.00 1.01 1.01 | 1.04 1.04 1.09 1.01 |
//!   adagrad, fast     | 1.64 1.59 1.62 | 1.70 1.71 1.71 | 1.70 1.72 1.72 | 1.02 1.02 1.03 1.03 |
//! avx512 f64
//!   sgd, portable     | 0.94 1.41 1.41 | 1.00 1.18 1.17 | 1.00 1.15 1.14 | 1.01 0.98 0.99 1.02 |
//!   momentum, portable| 0.98 1.52 1.52 | 0.99 1.57 1.54 | 1.08 1.38 1.40 | 1.01 1.03 1.01 0.99 |
//!   adam, portable    | 0.99 0.99 0.99 | 1.11 1.12 1.10 | 1.10 1.15 1.19 | 1.14 1.14 1.21 1.03 |
//!   adam, fast        | 0.98 0.99 0.98 | 1.10 1.11 1.09 | 1.09 1.15 1.18 | 1.11 1.14 1.21 1.04 |
//!   lion, portable    | 1.14 1.13 1.13 | 1.15 1.23 1.23 | 1.15 1.22 1.23 | 0.97 1.07 1.03 1.00 |
//!   rmsprop, portable | 0.99 0.97 0.97 | 1.00 1.00 1.00 | 1.00 1.00 1.00 | 1.01 1.01 0.99 1.00 |
//!   rmsprop, fast     | 0.98 0.97 0.96 | 0.99 0.99 0.99 | 1.00 0.99 0.99 | 1.00 0.97 0.99 0.99 |
//!   adagrad, portable | 1.00 0.98 0.98 | 1.01 1.01 1.01 | 1.01 1.00 1.00 | 1.01 1.02 1.04 1.00 |
//!   adagrad, fast     | 1.00 0.98 0.98 | 1.00 1.00 1.00 | 1.00 1.00 1.00 | 0.98 1.01 1.02 0.99 |
//! avx2 f32
//!   sgd, portable     | 0.99 1.46 1.45 | 1.00 1.06 1.06 | 1.00 1.05 1.06 | 1.01 0.98 0.97 1.06 |
//!   momentum, portable| 0.91 1.31 1.32 | 1.00 1.38 1.38 | 1.01 1.21 1.20 | 0.94 1.03 1.01 1.03 |
//!   adam, portable    | 1.03 1.03 1.03 | 0.98 1.09 1.11 | 0.98 1.10 1.10 | 1.01 1.04 1.12 1.00 |
//!   adam, fast        | 1.39 1.38 1.39 | 1.39 1.53 1.56 | 1.37 1.55 1.54 | 1.01 1.01 1.05 1.02 |
//!   lion, portable    | 1.19 1.17 1.17 | 1.24 1.38 1.38 | 1.23 1.36 1.38 | 1.02 1.04 1.09 1.03 |
//!   rmsprop, portable | 0.93 0.92 0.92 | 0.97 0.98 0.98 | 0.97 0.99 0.99 | 0.91 1.01 0.98 0.93 |
//!   rmsprop, fast     | 1.32 1.33 1.32 | 1.43 1.44 1.44 | 1.43 1.45 1.44 | 0.94 0.97 0.98 0.96 |
//!   adagrad, portable | 0.96 0.94 0.94 | 0.99 0.99 0.99 | 0.99 0.99 0.99 | 0.95 0.99 0.98 0.97 |
//!   adagrad, fast     | 1.70 1.70 1.69 | 1.85 1.83 1.83 | 1.78 1.81 1.81 | 0.97 1.02 0.99 0.96 |
//! avx2 f64
//!   sgd, portable     | 1.08 1.62 1.62 | 1.00 1.06 1.06 | 1.00 1.06 1.05 | 0.98 0.97 0.96 1.01 |
//!   momentum, portable| 0.95 1.54 1.55 | 1.01 1.39 1.38 | 1.00 1.21 1.21 | 0.97 1.04 1.01 0.98 |
//!   adam, portable    | 0.99 1.01 1.02 | 1.00 1.03 1.04 | 0.99 1.03 1.04 | 1.04 0.96 1.17 0.98 |
//!   adam, fast        | 0.99 1.01 1.01 | 0.99 1.03 1.03 | 0.99 1.03 1.03 | 1.03 0.99 1.11 0.98 |
//!   lion, portable    | 1.18 1.23 1.24 | 1.20 1.34 1.34 | 1.20 1.34 1.34 | 1.01 1.02 1.06 1.00 |
//!   rmsprop, portable | 0.98 0.98 0.98 | 1.00 1.00 1.00 | 1.00 1.01 1.00 | 0.98 0.98 0.97 0.99 |
//!   rmsprop, fast     | 0.98 0.97 0.97 | 0.99 0.99 0.99 | 0.99 0.99 0.98 | 0.96 0.93 0.97 0.98 |
//!   adagrad, portable | 0.99 0.99 0.99 | 1.00 1.00 1.00 | 1.00 1.00 1.00 | 0.97 1.01 0.97 0.99 |
//!   adagrad, fast     | 0.98 0.98 0.98 | 0.99 0.99 0.99 | 0.99 0.99 0.99 | 0.97 0.99 0.96 0.98 |
//! ```
//!
//! Below 1 the plain loop wins: at n = 1000 by the 4 to 9 ns that a step takes to check its config, round its scalars and find the
//! level, of 45 (SGD) to 280 (RMSprop). At 10,000,000 figures of two runs differ by 0.05.
//!
//! In memory the kind of page moves a time by 15 %, for the plain loop and for PyTorch alike. One thread, 10,000,000 `f32`, milliseconds,
//! our steps (AVX-512, `-- race avx512 f32 10000000 long`) and the fused ones of PyTorch 2.15.0 timed one after the other; NumPy asks for
//! huge pages, and tensors made from its arrays lie in them:
//!
//! | step | ours | PyTorch | ours, huge pages | PyTorch, memory of NumPy |
//! |---|---|---|---|---|
//! | SGD | 2.1 to 2.3 | 2.1 | 2.4 | 2.3 |
//! | momentum | 4.1 | 4.5 | 3.5 | 4.0 |
//! | Adagrad | 3.6 to 4.2 | 4.3 | 3.3 | 3.9 |
//!
//! With one gradient in 89 always zero and n = 20,000, Adam is 2.2 times (fast: 3.1 times) as fast as the AVX-512 loop (`-- none`).
//!
//! `cargo bench --bench compress -- none`, three runs, idle: of one million normal values the largest 1 % and 0.1 % by `TopK` are found
//! 7.1 to 7.6 and 8.8 to 9.7 times as fast as by `select_nth_unstable` on pairs (least times; medians 6.3 to 6.9 and 7.5 to 8.2); of
//! rising values 6.3 to 7.1 and 7.3 to 8.6, of equal ones 8.0 to 8.2 and 8.7 to 9.9. `RandK` and `PermK` of 1e5
//! out of 1e7: more than 140 times a shuffle. gemm of 512 and 1024, `Fast`, against `matrixmultiply`, while other programs run: 1.02 to 1.05,
//! 1.00 to 1.02.
//!
//! `cargo bench --bench kernel`, Intel Xeon (AVX-512), other programs running, least times: the kernel of 2000 rows of 784 numbers for three layers takes
//! 97 ms `Portable` and 55 ms `Fast`, of which the product of the rows is 71 and 48; 22 and 39 times as fast as the plain loop. For 1000 rows of 64 and seven layers
//! 4.9 and 4.1 ms, 25 and 30 times. A draw of the sequential estimator takes 12 to 25 times as long as one of half-normal magnitudes.
//!
//! `cargo bench --bench aggregate`, AVX-512, other programs running, least times: the median of 9 vectors of 1e3 and 1e5 numbers takes 1/18.6 and 1/12.0 of
//! the time of `sort_unstable_by` on each column, of 25 vectors 1/6.7, of 101 1/6.3 (1/2.1 of `select_nth_unstable_by`); the trimmed mean 1/17.7, 1/11.8, 1/10.1, 1/6.9.
//! The mean takes 1/3.3 to 1/12.6 of the time of the median.
//!
//! `cargo bench --bench train`, AMD EPYC (AVX-512), other programs running, at real-time priority, least times in microseconds of AdamW on
//! tensors of one group in one slice, of two groups in turn, and in separate slices; the core's step on one slice, which checks nothing, and for
//! clipping takes three passes and writes the gradient, where the trainer reads it twice:
//!
//! | tensors | core | one group | two groups | slices | clipped: core | one group | two groups | slices |
//! |---|---|---|---|---|---|---|---|---|
//! | 20 of 50 | 0.33 | 0.46 | 1.72 | 2.21 | 0.44 | 1.17 | 2.61 | 2.68 |
//! | 100 of 200 | 5.54 | 6.40 | 13.2 | 15.4 | 7.05 | 10.6 | 18.0 | 18.3 |
//! | 100 of 10,000 | 327 | 372 | 449 | 424 | 449 | 553 | 607 | 604 |
//! | 100 of 100,000 | 5749 | 6720 | 6952 | 6658 | 7126 | 9160 | 9409 | 9021 |
//!
//! A tensor by itself costs 70 ns, the reading pass a tenth of a step. A gradient that is scaled block by block costs 0.1 to 0.2 ns an element more than
//! one that is overwritten: its pass waits for memory, and the one of the step does not wait less.

pub mod plain;
pub mod race;
