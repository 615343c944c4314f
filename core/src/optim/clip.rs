//! Gradient clipping by global norm, value, block or unit, and rejection of gradients that are not finite.
//!
//! Global clipping has two phases, so that it works on tensors that nobody owns together: every gradient is
//! shown to a [`GlobalNorm`], then every gradient is scaled by the one [`coefficient`](GlobalNorm::coefficient).
//!
//! ```
//! use thalweg::optim::clip;
//! let (mut a, mut b) = ([3.0_f64, 0.0], [0.0_f64, 4.0, 0.0]);
//! let mut norm = clip::GlobalNorm::new();
//! norm.accumulate(&a)?;
//! norm.accumulate(&b)?;
//! assert_eq!(norm.norm()?, 5.0);
//! let coefficient = norm.coefficient(1.0)?;
//! clip::scale(coefficient, &mut a);
//! clip::scale(coefficient, &mut b);
//! assert!((a[0] - 0.6).abs() < 1e-6 && (b[1] - 0.8).abs() < 1e-6);
//! # Ok::<(), thalweg::Error>(())
//! ```
//!
//! | function | gradient becomes | semantics |
//! |---|---|---|
//! | [`GlobalNorm`], [`scale`] | `g min(1, max_norm / (norm + 1e-6))` | `torch.nn.utils.clip_grad_norm_` |
//! | [`by_value`] | each element within `[-limit, limit]` | `torch.nn.utils.clip_grad_value_` |
//! | [`by_block_rms`] | `g / max(1, rms(g) / threshold)` | `optax.clip_by_block_rms` |
//! | [`adaptive`] | norm at most `clipping max(norm(x), eps)` | `optax.adaptive_grad_clip`, one unit |
//! | [`Guard`] | applied or skipped as a whole | `optax.apply_if_finite` |
//!
//! # Non-finite gradients
//! One infinite element would set every other to zero, one NaN would spread to all; both libraries let that pass. Here a
//! non-finite gradient is hostile: every function returns [`Error::NonFinite`] with the index of its first such
//! element and writes nothing. A norm that overflows although its elements are finite is refused too.
//!
//! Cost: one reading pass for the norm or the check, one writing pass where something is clipped.
//!
//! # Gradients within the limits
//! [`by_value`], [`by_block_rms`] and [`adaptive`] leave the bits of a gradient whose rounded norm is within its limit. Clipping by the global norm does so
//! up to `norm + 1e-6 <= max_norm`; above it, PyTorch's 1e-6 counts: a norm equal to `max_norm` becomes `max_norm^2 / (max_norm + 1e-6)`,
//! which matters where norms are not far above 1e-6.

// What holds it: `tests::gradients_within_the_limits_keep_their_bits`, `tests::limits_that_are_reached_exactly_change_nothing` and
// `tests::the_global_norm_leaves_bits_up_to_a_millionth_below_the_limit`.

use crate::error::{check, check_length};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::{Error, Real, vector};

/// Added to the norm before the division, as PyTorch does.
const NORM_EPS: f64 = 1e-6;

/// Least norm of a unit's gradient that [`adaptive`] divides by, as in optax.
const UNIT_EPS: f64 = 1e-6;

/// Norm of a finite slice.
fn finite_norm<T: Real>(name: &'static str, x: &[T]) -> Result<T, Error> {
    let norm = vector::norm2(x);
    if norm.is_finite() {
        return Ok(norm);
    }
    let index = vector::first_non_finite(x);
    Err(match index {
        Some(index) => Error::NonFinite {
            name,
            at: crate::At::Element(index),
        },
        None => Error::NonFinite {
            name: "norm",
            at: crate::At::Element(0),
        },
    })
}

fn check_limit<T: Real>(name: &'static str, limit: T) -> Result<(), Error> {
    check(
        name,
        limit.is_finite() && limit > T::ZERO,
        "must be finite and positive",
    )
}

/// Norm over gradients that are shown one after the other.
///
/// The sum of squares is kept relative to the largest norm so far, so it neither overflows nor underflows. Once a gradient
/// was not finite, every later call returns that error.
///
/// ```
/// use thalweg::optim::clip::GlobalNorm;
/// let mut norm = GlobalNorm::new();
/// assert!(norm.accumulate(&[1.0_f32, f32::NAN]).is_err());
/// assert!(norm.coefficient(1.0).is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GlobalNorm<T> {
    largest: T,
    /// Sum of `(norm / largest)^2`.
    ratios: T,
    error: Option<Error>,
}

impl<T: Real> GlobalNorm<T> {
    /// The norm of nothing, 0.
    pub const fn new() -> Self {
        Self {
            largest: T::ZERO,
            ratios: T::ZERO,
            error: None,
        }
    }

    /// Takes one gradient into the norm.
    ///
    /// # Errors
    /// [`Error::NonFinite`] with the index of the first NaN or infinite element.
    pub fn accumulate(&mut self, grad: &[T]) -> Result<(), Error> {
        let norm = match finite_norm("grad", grad) {
            Ok(norm) => norm,
            Err(error) => {
                self.error = self.error.or(Some(error));
                return Err(error);
            }
        };
        if norm > self.largest {
            // norm > 0.
            let ratio = self.largest / norm;
            self.ratios = T::ONE + self.ratios * (ratio * ratio);
            self.largest = norm;
        } else if norm > T::ZERO {
            // largest >= norm > 0.
            let ratio = norm / self.largest;
            self.ratios += ratio * ratio;
        }
        Ok(())
    }

    /// The norm so far.
    ///
    /// # Errors
    /// [`Error::NonFinite`] when a gradient was not finite, or the norm overflows.
    pub fn norm(&self) -> Result<T, Error> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let norm = self.largest * self.ratios.sqrt();
        if norm.is_finite() {
            Ok(norm)
        } else {
            Err(Error::NonFinite {
                name: "norm",
                at: crate::At::Element(0),
            })
        }
    }

    /// What every gradient is to be scaled by: `min(1, max_norm / (norm + 1e-6))`.
    ///
    /// # Errors
    /// As [`norm`](Self::norm); [`Error::Parameter`] unless `max_norm` is finite and positive.
    pub fn coefficient(&self, max_norm: T) -> Result<T, Error> {
        check_limit("max_norm", max_norm)?;
        // The divisor is at least 1e-6.
        let coefficient = max_norm / (self.norm()? + T::from_f64(NORM_EPS));
        Ok(coefficient.least(T::ONE))
    }
}

impl<T: Real> Default for GlobalNorm<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// The second phase: `grad <- coefficient grad`; a coefficient of 1 touches nothing.
///
/// ```
/// let mut grad = [2.0_f32, -4.0];
/// thalweg::optim::clip::scale(0.5, &mut grad);
/// assert_eq!(grad, [1.0, -2.0]);
/// ```
pub fn scale<T: Real>(coefficient: T, grad: &mut [T]) {
    if coefficient != T::ONE {
        vector::scale(coefficient, grad);
    }
}

/// Both phases on a list of gradients; returns the norm before clipping.
///
/// # Errors
/// [`Error::NonFinite`] for the first gradient that is not finite, [`Error::Parameter`] unless `max_norm` is finite and
/// positive. Nothing is changed then.
///
/// ```
/// let (mut a, mut b) = ([6.0_f32], [8.0_f32]);
/// assert_eq!(thalweg::optim::clip::by_global_norm(5.0, &mut [&mut a, &mut b])?, 10.0);
/// assert!((a[0] - 3.0).abs() < 1e-5 && (b[0] - 4.0).abs() < 1e-5);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn by_global_norm<T: Real>(max_norm: T, grads: &mut [&mut [T]]) -> Result<T, Error> {
    let mut norm = GlobalNorm::new();
    for grad in grads.iter() {
        norm.accumulate(grad)?;
    }
    let coefficient = norm.coefficient(max_norm)?;
    for grad in grads {
        scale(coefficient, grad);
    }
    norm.norm()
}

/// Limits each element to `[-limit, limit]`.
///
/// # Errors
/// [`Error::NonFinite`], [`Error::Parameter`] unless `limit` is finite and positive. Nothing is changed then.
///
/// ```
/// let mut grad = [2.0_f32, -4.0, 0.5];
/// thalweg::optim::clip::by_value(1.0, &mut grad)?;
/// assert_eq!(grad, [1.0, -1.0, 0.5]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn by_value<T: Real>(limit: T, grad: &mut [T]) -> Result<(), Error> {
    check_limit("limit", limit)?;
    check_finite(grad)?;
    vector::clamp(-limit, limit, grad)
}

/// Divides by `max(1, rms / threshold)`, `rms` the root of the mean square of this block.
///
/// # Errors
/// [`Error::NonFinite`], [`Error::Parameter`] unless `threshold` is finite and positive. Nothing is changed then.
///
/// ```
/// let mut grad = [2.0_f64, -2.0, 2.0, -2.0];
/// thalweg::optim::clip::by_block_rms(0.5, &mut grad)?;
/// assert_eq!(grad, [0.5, -0.5, 0.5, -0.5]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn by_block_rms<T: Real>(threshold: T, grad: &mut [T]) -> Result<(), Error> {
    check_limit("threshold", threshold)?;
    // An empty block has norm 0, and 0 / 1 is within any threshold.
    let rms = finite_norm("grad", grad)? / T::from_usize(grad.len().max(1)).sqrt();
    if rms > threshold {
        scale(threshold / rms, grad);
    }
    Ok(())
}

/// Limits the norm of one unit's gradient to `clipping * max(norm of its parameters, eps)`.
///
/// A unit is what one output depends on: a row of a weight matrix, or the whole of a vector. NFNets take `clipping` 0.01 and
/// `eps` 1e-3 (Brock et al., *High-performance large-scale image recognition without normalization*, 2021, equation 3).
///
/// # Errors
/// [`Error::Length`], [`Error::NonFinite`], [`Error::Parameter`] unless `clipping` and `eps` are finite and positive. Nothing is
/// changed then.
///
/// ```
/// let mut grad = [30.0_f64, 40.0];
/// thalweg::optim::clip::adaptive(0.5, 1e-3, &[6.0, 8.0], &mut grad)?;
/// assert_eq!(grad, [3.0, 4.0]); // 0.5 * 10 of 50
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn adaptive<T: Real>(clipping: T, eps: T, params: &[T], grad: &mut [T]) -> Result<(), Error> {
    check_limit("clipping", clipping)?;
    check_limit("eps", eps)?;
    check_length("grad", params.len(), grad.len())?;
    let limit = clipping * finite_norm("params", params)?.largest(eps);
    let norm = finite_norm("grad", grad)?;
    if norm > limit {
        scale(limit / norm.largest(T::from_f64(UNIT_EPS)), grad);
    }
    Ok(())
}

/// Refuses a gradient with a NaN or infinite element.
///
/// # Errors
/// [`Error::NonFinite`] with the index of the first such element.
///
/// ```
/// use thalweg::optim::clip::check_finite;
/// assert!(check_finite(&[1.0_f32, 2.0]).is_ok());
/// let error = check_finite(&[1.0_f32, f32::INFINITY]).unwrap_err();
/// assert_eq!(error.to_string(), "`grad` is not finite at index 1");
/// ```
pub fn check_finite<T: Real>(grad: &[T]) -> Result<(), Error> {
    match vector::first_non_finite(grad) {
        None => Ok(()),
        Some(index) => Err(Error::NonFinite {
            name: "grad",
            at: crate::At::Element(index),
        }),
    }
}

/// What to do with a gradient.
///
/// ```
/// use thalweg::optim::clip::Verdict;
/// assert_ne!(Verdict::Apply, Verdict::Skip { index: 3 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// Take the step.
    Apply,
    /// Leave the step out.
    Skip {
        /// First element that is not finite.
        index: usize,
    },
}

/// Skips steps whose gradient is not finite, and counts them; a state that can be saved.
///
/// ```
/// use thalweg::optim::clip::{Guard, Verdict};
/// let mut guard = Guard::new();
/// assert_eq!(guard.inspect(2, &[f32::NAN]), Ok(Verdict::Skip { index: 0 }));
/// assert_eq!(guard.inspect(2, &[1.0_f32]), Ok(Verdict::Apply));
/// assert_eq!((guard.consecutive(), guard.skipped()), (0, 1));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    consecutive: u64,
    skipped: u64,
}

impl Guard {
    /// Nothing skipped.
    pub const fn new() -> Self {
        Self {
            consecutive: 0,
            skipped: 0,
        }
    }

    /// Judges a gradient.
    ///
    /// # Errors
    /// [`Error::NonFinite`] when more than `tolerated` gradients in a row were not finite: the run has diverged (optax would
    /// apply the update at that point).
    pub fn inspect<T: Real>(&mut self, tolerated: u64, grad: &[T]) -> Result<Verdict, Error> {
        let Err(error) = check_finite(grad) else {
            self.consecutive = 0;
            return Ok(Verdict::Apply);
        };
        self.consecutive = self.consecutive.saturating_add(1);
        self.skipped = self.skipped.saturating_add(1);
        match error {
            Error::NonFinite {
                at: crate::At::Element(index),
                ..
            } if self.consecutive <= tolerated => Ok(Verdict::Skip { index }),
            error => Err(error),
        }
    }

    /// Gradients refused since the last good one.
    pub const fn consecutive(&self) -> u64 {
        self.consecutive
    }

    /// Gradients refused in all.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }
}

const KIND: [u8; 4] = *b"GARD";
const FIELDS: [Field; 2] = [Field::U64; 2];

impl Snapshot for Guard {
    fn snapshot_len(&self) -> usize {
        saved_len(&FIELDS)
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, KIND, 1)?;
        writer.u64(self.consecutive)?;
        writer.u64(self.skipped)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, KIND, 1, &FIELDS)?;
        let restored = Self {
            consecutive: reader.u64()?,
            skipped: reader.u64()?,
        };
        if restored.consecutive > restored.skipped {
            return Err(SnapshotError::Value {
                name: "consecutive",
                rule: "must be at most `skipped`",
            });
        }
        reader.finish()?;
        *self = restored;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::painted;

    #[test]
    fn the_global_norm_is_that_of_the_concatenation() {
        let (a, b, c) = (
            painted::<f64>(100, 1),
            painted::<f64>(7, 2),
            painted::<f64>(33, 3),
        );
        let all = [&a[..], &b, &c].concat();
        let expected = all.iter().map(|x| x * x).sum::<f64>().sqrt();
        let mut norm = GlobalNorm::new();
        for part in [&a[..], &b, &[], &c] {
            norm.accumulate(part).unwrap();
        }
        assert!((norm.norm().unwrap() / expected - 1.0).abs() < 1e-14);
    }

    #[test]
    fn huge_and_tiny_gradients_have_a_norm() {
        for scale in [1e-300, 1.0, 1e300] {
            let mut norm = GlobalNorm::new();
            norm.accumulate(&[3.0 * scale]).unwrap();
            norm.accumulate(&[4.0 * scale]).unwrap();
            assert!((norm.norm().unwrap() / scale - 5.0).abs() < 1e-14);
        }
        let mut norm = GlobalNorm::new();
        norm.accumulate(&[f64::MAX]).unwrap();
        norm.accumulate(&[f64::MAX]).unwrap();
        assert!(norm.norm().is_err());
    }

    #[test]
    fn gradients_within_the_limits_keep_their_bits() {
        let before = painted::<f32>(50, 3);
        let mut grad = before.clone();
        by_global_norm(1e9, &mut [&mut grad[..]]).unwrap();
        by_value(1e9, &mut grad).unwrap();
        by_block_rms(1e9, &mut grad).unwrap();
        adaptive(1.0, 1e9, &before, &mut grad).unwrap();
        assert_eq!(grad, before);
    }

    #[test]
    fn the_global_norm_leaves_bits_up_to_a_millionth_below_the_limit() {
        // torch.nn.utils.clip_grad_norm_ of these: max_norm / (norm + 1e-6) of each element.
        for (max_norm, before, after) in [
            (1.0, [0.6, 0.8], [0.6 / 1.000_001, 0.8 / 1.000_001]),
            (1e-6, [1e-7, 0.0], [1e-7 / 1.1, 0.0]),
            (5.0, [3.0, 4.0], [3.0 / 1.000_000_2, 4.0 / 1.000_000_2]),
        ] {
            let mut grad: [f64; 2] = before;
            by_global_norm(max_norm, &mut [&mut grad[..]]).unwrap();
            for (found, expected) in grad.iter().zip(after) {
                assert!((found - expected).abs() <= 2e-15, "{found} {expected}");
            }
            let mut grad = before;
            by_global_norm(max_norm + 1.1e-6, &mut [&mut grad[..]]).unwrap();
            assert_eq!(grad, before);
        }
    }

    #[test]
    fn limits_that_are_reached_exactly_change_nothing() {
        // Norm 5, root of the mean square 5 / sqrt 2 < 4, limit 0.5 times 10.
        let mut grad = [3.0_f32, -4.0];
        by_value(4.0, &mut grad).unwrap();
        by_block_rms(4.0, &mut grad).unwrap();
        adaptive(0.5, 1e-3, &[6.0, 8.0], &mut grad).unwrap();
        assert_eq!(grad, [3.0, -4.0]);
    }

    #[test]
    fn non_finite_gradients_are_refused_and_left_alone() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let before = [1.0, 5.0, bad, 2.0];
            let bits = before.map(f32::to_bits);
            let expected = Err(Error::NonFinite {
                name: "grad",
                at: crate::At::Element(2),
            });
            let mut grad = before;
            assert_eq!(by_value(1.0, &mut grad), expected);
            assert_eq!(by_block_rms(1.0, &mut grad), expected);
            assert_eq!(adaptive(1.0, 1.0, &[1.0; 4], &mut grad), expected);
            let mut good = [9.0];
            let both = by_global_norm(1.0, &mut [&mut good, &mut grad]);
            assert_eq!(both.map(|_| ()), expected);
            assert_eq!((good, grad.map(f32::to_bits)), ([9.0], bits));
        }
    }

    #[test]
    fn limits_must_be_finite_and_positive() {
        for limit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(by_value(limit, &mut [1.0]).is_err());
            assert!(by_block_rms(limit, &mut [1.0]).is_err());
            assert!(adaptive(limit, 1.0, &[1.0], &mut [1.0]).is_err());
            assert!(by_global_norm(limit, &mut [&mut [1.0]]).is_err());
        }
    }

    #[test]
    fn the_guard_gives_up_after_the_tolerated_run() {
        let mut guard = Guard::new();
        let bad = [f64::NAN];
        assert_eq!(guard.inspect(2, &bad), Ok(Verdict::Skip { index: 0 }));
        assert_eq!(guard.inspect(2, &bad), Ok(Verdict::Skip { index: 0 }));
        assert!(guard.inspect(2, &bad).is_err());
        assert_eq!(guard.inspect(2, &[1.0]), Ok(Verdict::Apply));
        assert_eq!((guard.consecutive(), guard.skipped()), (0, 3));
    }

    #[test]
    fn a_restored_guard_goes_on_counting() {
        let mut guard = Guard::new();
        let (good, bad) = ([1.0_f32], [f32::INFINITY]);
        for grad in [&bad, &good, &bad, &bad] {
            assert!(guard.inspect(2, grad).is_ok());
        }
        let mut bytes = [0; 64];
        let len = guard.save(&mut bytes).unwrap();
        assert_eq!(len, guard.snapshot_len());
        let mut resumed = Guard::new();
        resumed.restore(&bytes[..len]).unwrap();
        assert_eq!((resumed.consecutive(), resumed.skipped()), (2, 3));
        // A third one in a row is one too many, for both.
        assert_eq!(resumed.inspect(2, &bad), guard.inspect(2, &bad));
        assert!(resumed.inspect(2, &bad).is_err());
        bytes[30] ^= 1;
        assert!(Guard::new().restore(&bytes[..len]).is_err());
    }

    #[test]
    fn counts_that_no_run_reaches_are_not_restored() {
        let bad = Guard {
            consecutive: 3,
            skipped: 2,
        };
        let mut bytes = [0; 64];
        let len = bad.save(&mut bytes).unwrap();
        let mut guard = Guard::new();
        assert!(matches!(
            guard.restore(&bytes[..len]),
            Err(SnapshotError::Value {
                name: "consecutive",
                ..
            })
        ));
        assert_eq!(guard, Guard::new());
        // At the largest counts nothing overflows.
        let full = Guard {
            consecutive: u64::MAX,
            skipped: u64::MAX,
        };
        let len = full.save(&mut bytes).unwrap();
        guard.restore(&bytes[..len]).unwrap();
        assert!(guard.inspect(2, &[f64::NAN]).is_err());
        assert_eq!((guard.consecutive(), guard.skipped()), (u64::MAX, u64::MAX));
    }
}
