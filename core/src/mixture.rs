//! Mixture models: densities, responsibilities and fitting.
//!
//! ```text
//! p(x) = sum_k pi_k p(x | eta_k)
//! l_k = ln pi_k + ln p(x | eta_k)            log joint of component k
//! r_k = exp(l_k - LSE l)                     responsibility,  LSE v = m + ln sum_k exp(v_k - m),  m = max v
//! ```
//!
//! | member | evaluations of a likelihood a step | what it is |
//! |---|---|---|
//! | [`gaussian`] | - | components with a mean and a full, diagonal, spherical or tied covariance |
//! | [`em`] | `N K` | expectation maximisation over all rows, starts and fits: the baseline, and the oracle of the tests |
//! | [`component_selection`] | `B (M + 1)` with a uniform proposal | a Markov chain over the label of each row (MHSAEM); its baselines SAEM and MCSAEM, `B K` |
//!
//! `N` rows, `K` components, `D` columns; `B` rows of a batch, `M` proposals to each.
//!
//! # Everything in logarithms
//! In ten dimensions a density overflows as soon as the components are narrow. What is impossible has the log joint -inf, and four rules
//! keep it from becoming NaN: a finite row too far away for the scalar type is impossible; the LSE of nothing but -inf is -inf; a row that
//! every component excludes has no responsibilities (all are 0); a chain leaves such a component at the first proposal that is possible,
//! and never enters one. A log joint of +inf, which finite parameters do not have, outweighs all finite ones.
//!
//! # What is `f64`
//! Likelihoods are evaluated in the scalar type of the data. Statistics, means and covariances are formed in `f64` about a centre, factors
//! rounded once: `s2/s0 - mu mu^T` of `f32` data near 1000 with a deviation of 0.1 gives 0.

// The rules of infinity are held by `tests::log_sums_follow_the_rules_of_infinity`,
// `tests::rows_too_far_for_the_scalar_type_are_impossible_and_spoil_no_other` and `core/tests/mixture/refusals.rs`; `f64` by
// `tests::the_variance_of_f32_data_far_from_zero_is_right`.

pub mod component_selection;
pub mod em;
pub mod gaussian;

use crate::real::kernels;
use crate::simd::{self, Lanes, Sum, Update, math};
use crate::{Real, vector};

/// Least weight of a component before weights are scaled to the sum 1: no `ln 0`.
///
/// ```
/// assert_eq!(thalweg::mixture::WEIGHT_FLOOR, 1e-12);
/// ```
pub const WEIGHT_FLOOR: f64 = 1e-12;

/// `exp(x - m)`.
#[derive(Clone, Copy)]
struct ShiftedExp<T>(T);
impl<T: Real> Sum<T, 1, 1> for ShiftedExp<T> {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
        [math::exp(x - x.constant(self.0))]
    }
}
impl<T: Real> Update<T, 1, 0> for ShiftedExp<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], _: [L; 0]) -> [L; 1] {
        [math::exp(x - x.constant(self.0))]
    }
}

kernels! {
    /// Exponentials relative to the largest.
    trait Kernels<T> {
        fn sum_exp(m: T, x: &[T]) -> T {
            let [sum] = simd::sum(&ShiftedExp(m), [x]);
            sum
        }
        fn exp_shifted(m: T, x: &mut [T]) {
            simd::update(&ShiftedExp(m), [x], []);
        }
    }
}

/// The largest element that is not NaN; -inf when there is none.
fn largest<T: Real>(x: &[T]) -> T {
    x.iter().fold(-T::INFINITY, |m, &x| x.largest(m))
}

/// `ln sum_k exp(x_k)`, without overflow; -inf when every element is -inf, and for no elements; +inf when one is. NaN spreads.
///
/// The sum of a finite result is a 32-lane sum of exponentials relative to the largest, so it is at least 1.
///
/// ```
/// use thalweg::mixture::log_sum_exp;
/// assert_eq!(log_sum_exp(&[1000.0_f64, f64::NEG_INFINITY]), 1000.0);
/// assert!((log_sum_exp(&[-5.0_f64, -5.0]) - (2.0_f64.ln() - 5.0)).abs() < 1e-15);
/// assert_eq!(log_sum_exp(&[f64::NEG_INFINITY; 2]), f64::NEG_INFINITY);
/// assert_eq!(log_sum_exp(&[f64::INFINITY, 1.0]), f64::INFINITY);
/// ```
pub fn log_sum_exp<T: Real>(x: &[T]) -> T {
    let m = largest(x);
    if !m.is_finite() {
        // Either nothing is possible, or something is NaN, or one element outweighs all others.
        return x.iter().fold(m, |m, &x| if x.is_nan() { x } else { m });
    }
    m + math::scalar::ln(T::Kernels::sum_exp(m, x))
}

/// Turns log joints into responsibilities, which sum to 1; returns their [`log_sum_exp`].
///
/// Where every element is -inf, all responsibilities are 0. Elements that are +inf share 1 equally, and the others get 0. NaN spreads.
///
/// ```
/// use thalweg::mixture::responsibilities;
/// let mut x = [3.0_f64.ln() - 700.0, -700.0];
/// assert!((responsibilities(&mut x) - (4.0_f64.ln() - 700.0)).abs() < 1e-12);
/// assert!((x[0] - 0.75).abs() < 1e-13);
/// let mut nothing = [f64::NEG_INFINITY; 2];
/// assert_eq!(responsibilities(&mut nothing), f64::NEG_INFINITY);
/// assert_eq!(nothing, [0.0; 2]);
/// ```
pub fn responsibilities<T: Real>(x: &mut [T]) -> T {
    let m = largest(x);
    if !m.is_finite() {
        let all = log_sum_exp(x);
        let certain = x.iter().filter(|x| **x == T::INFINITY).count();
        // Divides where an element is +inf only.
        let share = T::ONE / T::from_usize(certain);
        for x in x {
            *x = match *x == T::INFINITY {
                _ if all.is_nan() => all,
                true => share,
                false => T::ZERO,
            };
        }
        return all;
    }
    T::Kernels::exp_shifted(m, x);
    // At least 1: the largest element has become exp(0).
    let sum = vector::sum(x);
    vector::scale(T::ONE / sum, x);
    m + math::scalar::ln(sum)
}

#[cfg(test)]
mod tests;
