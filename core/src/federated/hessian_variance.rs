//! The Hessian variance along a run, without second derivatives.
//!
//! At a pair of points, with `D_i` the change of client i's gradient,
//! ```text
//! v = ( mean |D_i|^2 - |mean D_i|^2 ) / |x+ - x|^2 <= L_+-^2
//! ```
//! so the largest `sqrt(v)` so far is a lower bound of `L_+-`. The clients' changes are pushed one by one;
//! memory is `d` numbers for their sum. The difference is computed in f64 and clamped at 0: it cancels when
//! clients are alike.

use crate::error::{check, check_length};
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
    /// [`Error::Length`] when it is not `d` long, [`Error::NonFinite`] when the square of its norm is not finite; nothing is added.
    pub fn push(&mut self, change: &[T]) -> Result<(), Error> {
        check_length("change", self.dim(), change.len())?;
        let square = vector::norm2_squared(change).to_f64();
        if !square.is_finite() {
            let name = "change";
            let index = vector::first_non_finite(change).unwrap_or(0);
            return Err(Error::NonFinite {
                name,
                at: crate::At::Element(index),
            });
        }
        vector::axpy(T::ONE, change, self.sum.as_mut_slice())?;
        self.squares += square;
        self.count = self.count.saturating_add(1);
        Ok(())
    }

    /// `sqrt(v)` of the clients pushed since the last call, for a move of squared length `moved`.
    ///
    /// # Errors
    /// [`Error::Parameter`] when nothing was pushed or `moved` is not positive; [`Error::NonFinite`] when the square of the sum of the
    /// changes is not finite. The sums are kept.
    pub fn finish(&mut self, moved: f64) -> Result<f64, Error> {
        check("count", self.count > 0, "must be at least one client")?;
        check(
            "moved",
            moved > 0.0 && moved.is_finite(),
            "must be finite and positive",
        )?;
        let n = f64::from(self.count);
        let mean_squared = vector::norm2_squared(self.sum.as_slice()).to_f64() / (n * n);
        if !mean_squared.is_finite() {
            let name = "sum";
            return Err(Error::NonFinite {
                name,
                at: crate::At::Element(0),
            });
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_taken_off_and_clients_that_agree_have_no_variance() {
        // Two clients with changes (3, 4) and (1, 0): mean square 26/2, mean (2, 2) of square 8; 5 over a move of 1/2.
        let mut estimate = HessianVariance::new([9.0_f64; 2]);
        estimate.push(&[3.0, 4.0]).unwrap();
        estimate.push(&[1.0, 0.0]).unwrap();
        let found = estimate.finish(0.5).unwrap();
        assert!((found * found - 10.0).abs() < 1e-14, "{found}");
        for _ in 0..3 {
            estimate.push(&[3.0, 4.0]).unwrap();
        }
        assert_eq!(estimate.finish(0.5), Ok(0.0));
        assert_eq!(estimate.largest(), found);
    }

    #[test]
    fn three_clients_are_averaged_by_three() {
        // Changes (3, 0), (0, 3) and 0: mean square 18/3, mean (1, 1) of square 2.
        let mut estimate = HessianVariance::new([0.0_f64; 2]);
        for change in [[3.0, 0.0], [0.0, 3.0], [0.0, 0.0]] {
            estimate.push(&change).unwrap();
        }
        assert_eq!(estimate.finish(1.0), Ok(2.0));
    }

    #[test]
    fn no_client_and_no_move_are_refused() {
        let mut estimate = HessianVariance::new([0.0_f64; 1]);
        let name = |error| match error {
            Err(Error::Parameter { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(estimate.finish(1.0)), "count");
        estimate.push(&[2.0]).unwrap();
        for moved in [0.0, -1.0, f64::INFINITY, f64::NAN] {
            assert_eq!(name(estimate.finish(moved)), "moved", "{moved}");
        }
        // What was pushed is still there, and one client agrees with itself.
        assert_eq!(estimate.finish(1.0), Ok(0.0));
        assert_eq!(name(estimate.finish(1.0)), "count");
    }

    #[test]
    fn a_square_that_is_not_finite_is_named_and_not_taken_for_no_variance() {
        let mut estimate = HessianVariance::new([0.0_f32; 2]);
        let refused = |name, index| {
            Err(Error::NonFinite {
                name,
                at: crate::At::Element(index),
            })
        };
        for (change, index) in [([0.0, f32::NAN], 1), ([1e20, 0.0], 0)] {
            assert_eq!(estimate.push(&change), refused("change", index));
        }
        // Each square is finite, that of the sum is not.
        for _ in 0..2 {
            estimate.push(&[1.5e19, 0.0]).unwrap();
        }
        assert_eq!(estimate.finish(1.0).map(|_| ()), refused("sum", 0));
        assert_eq!(estimate.largest(), 0.0);
    }
}
