//! The kernels of `thalweg` on several threads, with the same bits for any number of them.
//!
//! | function | work is cut | bits |
//! |---|---|---|
//! | [`dot`], [`sum`], [`sum_abs`], [`norm2_squared`], [`norm2`] | at multiples of [`BLOCK`], added in block order | those of `thalweg::vector` |
//! | [`axpy`], [`scale`], [`combine_into`] | anywhere | those of one thread |
//! | [`optimiser::ParallelOptimiser`] | at multiples of [`BLOCK`], a state each | those of one state |
//! | [`gemm`] | between rows of the product | those of `thalweg::matrix::gemm` |
//! | [`particle::ThreadExecutor`] | between blocks of rows of sums over pairs | those of one thread |
//! | [`bilevel::ParallelEstimator`] | between directions, added in order | those of `thalweg::bilevel::es_jacobian` |
//! | [`objective::ParallelObjective`] | between fixed blocks of rows, added in block order | its own, for any number of threads |
//!
//! Work runs in rayon's current pool: the global one, or that of `ThreadPool::install`. What is too small to pay
//! for a second thread stays on the calling one.
//!
//! ```
//! let x = vec![0.1_f32; 200_000];
//! assert_eq!(thalweg_std::par::dot(&x, &x)?, thalweg::vector::dot(&x, &x)?);
//! # Ok::<(), thalweg::Error>(())
//! ```

pub mod bilevel;
mod elementwise;
pub mod objective;
pub mod optimiser;
pub mod particle;
mod product;
mod reduce;

pub use elementwise::{axpy, combine_into, scale};
pub use product::gemm;
pub use reduce::{dot, norm2, norm2_squared, sum, sum_abs};

pub use thalweg::simd::BLOCK;

/// Elements below which a pass over memory stays on one thread: to wake a second one costs as much as it would save.
pub const SERIAL: usize = 4 * BLOCK;

/// Elements of one task of an elementwise pass: of the order of an L2 cache, and enough tasks to share.
const CHUNK: usize = 32_768;

/// Runs a closure in a separate pool.
#[cfg(test)]
fn with_threads<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap();
    pool.install(f)
}

/// Numbers in [-1, 1) that repeat with no period near a power of two.
#[cfg(test)]
fn painted(n: usize, phase: u64) -> Vec<f32> {
    use thalweg::random::{Purpose, stream, uniform};
    let mut rng = stream(phase, 0, 0, Purpose::DATA);
    (0..n)
        .map(|_| 2.0 * uniform::<f32>(&mut rng) - 1.0)
        .collect()
}
