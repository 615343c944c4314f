//! The Hessian variance along a run, without second derivatives.
//!
//! At a pair of points, with `D_i` the change of client i's gradient,
//! ```text
//! v = ( mean |D_i|^2 - |mean D_i|^2 ) / |x+ - x|^2 <= L_+-^2
//! ```
//! so the largest `sqrt(v)` so far is a lower bound of `L_+-`. The clients' changes are pushed one by one;
//! memory is `d` numbers for their sum. The difference is computed in f64 and clamped at 0: it cancels when
//! clients are alike.

use crate::error::check;
use crate::{Error, Real, Storage, vector};

/// The streaming estimate; its buffer has length `d`.
///
/// ```
/// use thalweg::federated::hessian_variance::HessianVariance;
/// // Two clients in one dimension with curvatures 1 and 3: the variance is 1.
/// let mut estimate = HessianVariance::new([0.0_f64]);
/// estimate.push(&[0.5 * 1.0])?;
/// estimate.push(&[0.5 * 3.0])?;
/// assert_eq!(estimate.finish(0.25)?, 1.0);
/// assert_eq!(estimate.largest(), 1.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HessianVariance<B> {
    sum: B,
    squares: f64,
    count: u32,
    largest: f64,
}

impl<T: Real, B: Storage<Elem = T>> HessianVariance<B> {
    /// Starts with a buffer of length `d`, whatever it holds.
    pub fn new(mut sum: B) -> Self {
        sum.as_mut_slice().fill(T::ZERO);
        Self {
            sum,
            squares: 0.0,
            count: 0,
            largest: 0.0,
        }
    }

    /// Adds the change of one client's gradient.
    ///
    /// # Errors
    /// [`Error::Length`] when it is not `d` long.
    pub fn push(&mut self, change: &[T]) -> Result<(), Error> {
        vector::axpy(T::ONE, change, self.sum.as_mut_slice())?;
        self.squares += vector::norm2_squared(change).to_f64();
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// `sqrt(v)` of the clients pushed since the last call, for a move of squared length `moved`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when nothing was pushed or `moved` is not positive; the sums are kept.
    pub fn finish(&mut self, moved: f64) -> Result<f64, Error> {
        check("count", self.count > 0, "must be at least one client")?;
        check(
            "moved",
            moved > 0.0 && moved.is_finite(),
            "must be finite and positive",
        )?;
        let n = f64::from(self.count);
        let mean_squared = vector::norm2_squared(self.sum.as_slice()).to_f64() / (n * n);
        let variance = (self.squares / n - mean_squared).max(0.0) / moved;
        let root = libm::sqrt(variance);
        self.largest = self.largest.max(root);
        self.sum.as_mut_slice().fill(T::ZERO);
        (self.squares, self.count) = (0.0, 0);
        Ok(root)
    }

    /// The largest estimate so far: a lower bound of `L_+-`.
    #[must_use]
    pub const fn largest(&self) -> f64 {
        self.largest
    }

    /// Length of the vectors that are pushed.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.sum.as_slice().len()
    }
}
