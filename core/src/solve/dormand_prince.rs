//! Dormand-Prince 5(4): an initial value problem with an estimate of the error of each step.
//!
//! ```text
//! y' = f(t, y),  y(0) = y0
//!
//! k_i = f(t + c_i h, y + h sum_(j<i) a_ij k_j)    i = 1 .. 7,    y+ = y + h sum_j a_7j k_j,   k_1 of the next step = k_7
//! e = h sum_i e_i k_i                             difference to the embedded solution of order 4
//! |e| = sqrt(mean_n (e_n / (absolute + relative max(|y_n|, |y+_n|)))^2)
//! accepted where |e| <= 1;   h <- h clamp(0.9 |e|^(-1/5), 0.2, 10)
//! ```
//!
//! `y` is a vector of `d` numbers. A step that would pass an output time is shortened to it, and the length that the estimate allows is kept
//! for the step after. The first length is that of Hairer. Times and lengths are `f64`, states are `T`; the norm is a sum in the order of
//! [`simd`](crate::simd), so that the same steps are taken on every target. Cost: six evaluations a step (one is shared), two at the start.
//!
//! Reference: Dormand and Prince, *A family of embedded Runge-Kutta formulae* (1980), table 2; Hairer, Norsett and Wanner, *Solving ordinary
//! differential equations I* (1993), II.4 and II.5.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of evaluations below their bound"
)]

use crate::error::{check, check_scratch, ensure_finite_by};
use crate::memory::{cut, unreached};
use crate::model::copy;
use crate::real::kernels;
use crate::simd::{self, Lanes, Sum};
use crate::{At, Error, Real, vector};

/// `a_ij`, by rows, from the second stage on; the last row is the solution of order 5.
const A: [&[f64]; 6] = [
    &[1.0 / 5.0],
    &[3.0 / 40.0, 9.0 / 40.0],
    &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0],
    &[
        19_372.0 / 6_561.0,
        -25_360.0 / 2_187.0,
        64_448.0 / 6_561.0,
        -212.0 / 729.0,
    ],
    &[
        9_017.0 / 3_168.0,
        -355.0 / 33.0,
        46_732.0 / 5_247.0,
        49.0 / 176.0,
        -5_103.0 / 18_656.0,
    ],
    &[
        35.0 / 384.0,
        0.0,
        500.0 / 1_113.0,
        125.0 / 192.0,
        -2_187.0 / 6_784.0,
        11.0 / 84.0,
    ],
];

/// `c_i` from the second stage on.
const C: [f64; 6] = [1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];

/// `e_i`: weights of order 5 less those of order 4.
const E: [f64; 7] = [
    71.0 / 57_600.0,
    0.0,
    -71.0 / 16_695.0,
    71.0 / 1_920.0,
    -17_253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// Tolerances of [`dormand_prince`].
///
/// ```
/// use thalweg::solve::Tolerance;
/// let tolerance = Tolerance::default();
/// assert_eq!((tolerance.relative, tolerance.absolute), (1e-3, 1e-3));
/// assert!(Tolerance { relative: 0.0, absolute: 0.0, ..tolerance }.validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Error of a step relative to the state; 1e-3 by default.
    pub relative: f64,
    /// Error of a step where the state is near zero, positive; 1e-3 by default.
    pub absolute: f64,
    /// Evaluations of the field after which the integration fails; 100,000 by default.
    pub max_evaluations: u64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            relative: 1e-3,
            absolute: 1e-3,
            max_evaluations: 100_000,
        }
    }
}

impl Tolerance {
    /// Checks the ranges of the fields.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the field.
    pub fn validate(&self) -> Result<(), Error> {
        check(
            "relative",
            self.relative.is_finite() && self.relative >= 0.0,
            "must be finite and not negative",
        )?;
        check(
            "absolute",
            self.absolute.is_finite() && self.absolute > 0.0,
            "must be finite and positive",
        )
    }
}

/// What an integration took.
///
/// ```
/// assert_eq!(thalweg::solve::Steps::default().evaluations, 0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Steps {
    /// Steps that advanced the state.
    pub accepted: u64,
    /// Steps that were repeated with a shorter length.
    pub rejected: u64,
    /// Evaluations of the field.
    pub evaluations: u64,
}

/// Scratch of [`dormand_prince`] in `d` dimensions: seven slopes, a state and an error.
///
/// ```
/// assert_eq!(thalweg::solve::dormand_prince_scratch_len(10), 90);
/// ```
#[must_use]
pub const fn dormand_prince_scratch_len(d: usize) -> usize {
    d.saturating_mul(9)
}

/// Moves `y` from time 0 along the field and calls `visit` with the index of each time and the state there.
///
/// Scratch: [`dormand_prince_scratch_len`].
///
/// # Errors
/// Tolerances out of range, times that are not finite, not negative and increasing, a short scratch: `y` is unchanged. Errors of the field and of
/// `visit`. [`Error::NonFinite`] named `slope` for a field that is not finite at the start; [`Error::NoConvergence`] when the evaluations
/// are used up or the length of a step is below the resolution of the time: `y` is the last state that was accepted.
///
/// ```
/// use thalweg::solve::{Tolerance, dormand_prince, dormand_prince_scratch_len};
/// // y' = -y from 1: exp(-t).
/// let decay = |_: f64, y: &[f64], slope: &mut [f64]| {
///     slope[0] = -y[0];
///     Ok(())
/// };
/// let tolerance = Tolerance { relative: 1e-9, absolute: 1e-9, ..Tolerance::default() };
/// let (mut y, mut seen) = ([1.0], [0.0; 2]);
/// let steps = dormand_prince(&tolerance, decay, &[1.0, 2.0], &mut y, |i, y| {
///     seen[i] = y[0];
///     Ok(())
/// }, &mut [0.0; dormand_prince_scratch_len(1)])?;
/// assert!((seen[0] - (-1.0_f64).exp()).abs() < 1e-8 && (seen[1] - (-2.0_f64).exp()).abs() < 1e-8);
/// assert!(steps.accepted > 10 && y[0] == seen[1]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn dormand_prince<T: Real>(
    tolerance: &Tolerance,
    mut field: impl FnMut(f64, &[T], &mut [T]) -> Result<(), Error>,
    times: &[f64],
    y: &mut [T],
    mut visit: impl FnMut(usize, &[T]) -> Result<(), Error>,
    scratch: &mut [T],
) -> Result<Steps, Error> {
    tolerance.validate()?;
    check_times(times)?;
    check_scratch(
        "scratch",
        dormand_prince_scratch_len(y.len()),
        scratch.len(),
    )?;
    let ([k1, k2, k3, k4, k5, k6, k7, place, error], _) = cut(scratch, [y.len(); 9])?;
    let mut steps = Steps::default();
    let Some(&last) = times.last() else {
        return Ok(steps);
    };
    let (mut t, mut planned) = (0.0, last);
    if last > 0.0 {
        field(0.0, y, k1)?;
        ensure_finite_by("slope", k1, At::Element)?;
        planned = tolerance.first_length(&mut field, y, [k1, k2], [place, error])?;
        steps.evaluations = 2;
    }
    let mut slopes = [k1, k2, k3, k4, k5, k6, k7];
    for (index, &end) in times.iter().enumerate() {
        while t < end {
            // No remainder of less than a hundredth of a step.
            let is_last = t + 1.01 * planned >= end;
            let h = if is_last { end - t } else { planned };
            if t + h <= t || steps.evaluations >= tolerance.max_evaluations {
                return Err(Error::NoConvergence {
                    name: "dormand_prince",
                    iterations: usize::try_from(steps.evaluations).unwrap_or(usize::MAX),
                });
            }
            for (i, (a, c)) in A.iter().zip(C).enumerate() {
                let Some((known, [next, ..])) = slopes.split_at_mut_checked(i + 1) else {
                    unreached();
                    break;
                };
                copy(y, place);
                for (a, k) in a.iter().zip(known) {
                    vector::axpy(T::from_f64(h * a), k, place)?;
                }
                field(t + c * h, place, next)?;
            }
            steps.evaluations += 6;
            error.fill(T::ZERO);
            for (e, k) in E.iter().zip(&slopes) {
                vector::axpy(T::from_f64(h * e), k, error)?;
            }
            let size = tolerance.norm(error, y, place);
            // The power of 0 is infinite; that of NaN shortens a step as far as it goes.
            let factor = (0.9 * libm::pow(size, -0.2)).min(10.0);
            let factor = if size.is_finite() {
                factor.max(0.2)
            } else {
                0.2
            };
            if size <= 1.0 {
                steps.accepted += 1;
                t = if is_last { end } else { t + h };
                copy(place, y);
                let [k1, .., k7] = &mut slopes;
                core::mem::swap(k1, k7);
                // A step that was cut short says nothing against the length that was planned.
                planned = if h < planned {
                    planned.max(h * factor)
                } else {
                    h * factor
                };
            } else {
                steps.rejected += 1;
                planned = h * factor;
            }
        }
        visit(index, y)?;
    }
    Ok(steps)
}

/// Checks that times are finite, not negative and increasing.
pub(crate) fn check_times(times: &[f64]) -> Result<(), Error> {
    let mut before = -1.0;
    check(
        "times",
        times.iter().all(|&t| {
            let follows = t.is_finite() && t >= 0.0 && t > before;
            before = t;
            follows
        }),
        "must be finite, not negative and increasing",
    )
}

impl Tolerance {
    /// Root mean square of `x` in units of the tolerance at two states.
    fn norm<T: Real>(&self, x: &[T], y: &[T], other: &[T]) -> f64 {
        let units = Units {
            absolute: T::from_f64(self.absolute),
            relative: T::from_f64(self.relative),
        };
        let sum = T::Kernels::sum_squares_in(units, x, y, other);
        // A state without numbers has no error.
        libm::sqrt(sum.to_f64() / x.len().max(1) as f64)
    }

    /// Length of the first step: with it, an explicit step of Euler would change the slope by a hundredth of the tolerance to the power 1/5.
    fn first_length<T: Real>(
        &self,
        field: &mut impl FnMut(f64, &[T], &mut [T]) -> Result<(), Error>,
        y: &[T],
        [slope, ahead]: [&mut [T]; 2],
        [place, change]: [&mut [T]; 2],
    ) -> Result<f64, Error> {
        let (size, speed) = (self.norm(y, y, y), self.norm(slope, y, y));
        let trial = if size < 1e-5 || speed < 1e-5 {
            1e-6
        } else {
            0.01 * size / speed
        };
        copy(y, place);
        vector::axpy(T::from_f64(trial), slope, place)?;
        field(trial, place, ahead)?;
        vector::subtract_into(ahead, slope, change)?;
        let bend = (self.norm(change, y, y) / trial).max(speed);
        let length = if bend <= 1e-15 {
            (trial * 1e-3).max(1e-6)
        } else {
            libm::pow(0.01 / bend, 0.2)
        };
        Ok(length.min(100.0 * trial))
    }
}

/// The tolerance, in the scalars of a state.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Units<T> {
    absolute: T,
    relative: T,
}

impl<T: Real> Sum<T, 3, 1> for Units<T> {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x, y, other]: [L; 3]) -> [L; 1] {
        let size = y.abs().largest(other.abs());
        // The absolute tolerance is positive.
        let x = x / (x.constant(self.absolute) + x.constant(self.relative) * size);
        [x * x]
    }
}

kernels! {
    /// The norm of an error.
    trait Kernels<T> {
        fn sum_squares_in(units: Units<T>, x: &[T], y: &[T], other: &[T]) -> T {
            let [sum] = simd::sum(&units, [x, y, other]);
            sum
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tableau_has_order_five() {
        // sum_j a_ij = c_i, sum_j b_j c_j^(q-1) = 1/q up to q = 5; the error weights annihilate polynomials up to degree 3.
        for (a, c) in A.iter().zip(C) {
            assert!((a.iter().sum::<f64>() - c).abs() < 1e-14);
        }
        let nodes: std::vec::Vec<f64> = std::iter::once(0.0).chain(C).collect();
        for q in 1..=5 {
            let moment = |w: &[f64]| {
                let terms = w.iter().zip(&nodes);
                terms.map(|(w, c)| w * c.powi(q - 1)).sum::<f64>()
            };
            assert!((moment(A[5]) - 1.0 / f64::from(q)).abs() < 1e-14);
            assert_eq!(moment(&E).abs() < 1e-15, q < 5, "{q}");
        }
    }
}
