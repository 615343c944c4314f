//! Aggregators: how a server combines the vectors of its clients.
//!
//! Vectors are pushed one by one, with their weights; then [`Aggregator::finish`] combines what is there. Memory is the caller's, and
//! nothing is allocated. The bits depend on the vectors and their order alone, not on registers or threads.
//!
//! | aggregator | value of a coordinate | vectors that may be anything | memory for `n` vectors of length `d` |
//! |---|---|---|---|
//! | [`Mean`] | weighted mean | none | `d` |
//! | [`Median`] | median | fewer than `n / 2` | `(n + 1) d` |
//! | [`TrimmedMean`] | mean without the `floor(beta n)` least and greatest | `floor(beta n)` | `(n + 1) d` |
//!
//! While no more than so many vectors are of adversaries, each coordinate lies between the least and the greatest value of the others.

mod mean;
mod median;
mod ordered;
mod pointer;
mod trimmed;

pub use mean::Mean;
pub use median::Median;
pub(crate) use ordered::OrderKernels;
pub use trimmed::TrimmedMean;

use crate::compress::Weight;
use crate::error::{check, check_length, ensure_finite};
use crate::{Error, Real, vector};

/// What has been pushed: the length of the vectors, the sum of their weights, and the aggregator's memory.
#[derive(Debug)]
pub struct Pushed<'m, T> {
    /// Length of each vector.
    pub d: usize,
    /// Sum of the weights; the number of vectors where weights do not count.
    pub total: u64,
    /// As long as [`Aggregator::memory_len`] says.
    pub memory: &'m mut [T],
}

/// What was combined: each coordinate is that of `sum` over `divisor`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combined<'m, T> {
    /// One number a coordinate.
    pub sum: &'m [T],
    /// The divisor of all, at least 1.
    pub divisor: T,
}

/// Adds the vector times a weight to a slice.
pub type Add<'a, T> = &'a mut dyn FnMut(Weight<T>, &mut [T]) -> Result<(), Error>;

/// A rule that combines vectors of one length.
///
/// A reference to an aggregator is one too, and so is a `Box` of one (feature `alloc`).
///
/// ```
/// use thalweg::aggregate::{Aggregator, Mean};
/// let mut memory = [0.0_f32; 2];
/// let mut pushed = Mean.open(2, 2, &mut memory)?;
/// Mean.push_slice(&mut pushed, 3, &[1.0, 2.0])?;
/// Mean.push_slice(&mut pushed, 1, &[5.0, 2.0])?;
/// let mut mean = [0.0; 2];
/// Mean.finish_into(&mut pushed, &mut mean)?;
/// assert_eq!(mean, [2.0, 2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub trait Aggregator<T: Real> {
    /// Checks the parameters for `n` vectors.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter.
    fn validate(&self, n: usize) -> Result<(), Error>;

    /// Numbers of memory for `n` vectors of length `d`.
    fn memory_len(&self, n: usize, d: usize) -> usize;

    /// Whether this is the mean, which keeps nothing but a sum that differences can be added to.
    fn is_mean(&self) -> bool {
        false
    }

    /// Takes one more vector, as what adds it to a slice: a message need not be unpacked first.
    ///
    /// # Errors
    /// What `add` says, and what the aggregator refuses; nothing has changed then.
    fn push(&self, pushed: &mut Pushed<'_, T>, weight: u32, add: Add<'_, T>) -> Result<(), Error>;

    /// Combines what was pushed. It may be called again, with the same outcome.
    ///
    /// # Errors
    /// [`Error::Parameter`] when nothing was pushed.
    fn finish<'m>(&self, pushed: &'m mut Pushed<'_, T>) -> Result<Combined<'m, T>, Error>;

    /// Begins anew in a memory for `n` vectors of length `d`, whatever it holds.
    ///
    /// # Errors
    /// [`Error::Length`] when the memory is not as long as [`memory_len`](Self::memory_len), and what [`validate`](Self::validate) says.
    fn open<'m>(&self, n: usize, d: usize, memory: &'m mut [T]) -> Result<Pushed<'m, T>, Error> {
        self.validate(n)?;
        check_length("memory", self.memory_len(n, d), memory.len())?;
        // The neutral element of addition.
        memory.fill(-T::ZERO);
        Ok(Pushed {
            d,
            total: 0,
            memory,
        })
    }

    /// Takes one more vector, from a slice.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFinite`] at its first element that is not finite, [`Error::Parameter`] for a weight of zero or
    /// more vectors than the memory is for.
    fn push_slice(&self, pushed: &mut Pushed<'_, T>, weight: u32, x: &[T]) -> Result<(), Error> {
        check_length("x", pushed.d, x.len())?;
        check("weight", weight > 0, "must be at least 1")?;
        ensure_finite("x", x)?;
        self.push(pushed, weight, &mut |weight, out| {
            vector::axpy(weight.times(1, 1)?, x, out)
        })
    }

    /// Combines what was pushed, and writes it to `out`.
    ///
    /// # Errors
    /// [`Error::Length`], and as [`finish`](Self::finish).
    fn finish_into(&self, pushed: &mut Pushed<'_, T>, out: &mut [T]) -> Result<(), Error> {
        check_length("out", pushed.d, out.len())?;
        let Combined { sum, divisor } = self.finish(pushed)?;
        for (out, &s) in out.iter_mut().zip(sum) {
            *out = s / divisor;
        }
        Ok(())
    }
}

/// Checks that something was pushed.
fn check_total(total: u64) -> Result<(), Error> {
    check("pushed", total > 0, "must hold a vector")
}
