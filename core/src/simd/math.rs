//! Elementary functions on lanes, with the same bits at every level.
//!
//! Only `+ - * / sqrt`, comparisons, selections and bit operations: a number is rounded to an integer by adding
//! 1.5 * 2^23 (or 1.5 * 2^52), and the integer is read from the bits. No function branches on its argument, so every
//! lane costs the same. Largest errors, subnormal results included, in units of the last place (1/2 is correct rounding); in
//! brackets the largest found over every `f32`, against glibc 2.36 in `f64` (erf and its kin: the crate libm):
//!
//! | function | ULP, `f32` | ULP, `f64` | arguments |
//! |---|---|---|---|
//! | [`exp`] | 1.2 (1.022) | 1.2 | all |
//! | [`exp2`] | 1.2 (1.026) | 1.2 | all; exact at integers |
//! | [`expm1`] | 1.3 (1.272) | 1.3 | all |
//! | [`ln`] | 0.9 (0.835) | 0.9 | all |
//! | [`ln_1p`] | 0.9 (0.839) | 0.9 | all |
//! | [`tanh`] | 3.0 (2.499) | 3.0 | all |
//! | [`sigmoid`] | 2.5 (2.402) | 2.5 | all |
//! | [`softplus`] | 2.0 (1.676) | 2.0 | all |
//! | [`erf`] | 1.5 (1.412) | 1.5 | all |
//! | [`normal_cdf`] | 5.0 (4.476) | 4.5 | all |
//! | [`ln_normal_cdf`] | 7.0 | 7.0 | all |
//! | [`sin`], [`cos`], [`sin_cos`] | 2.6 (2.450) | 1.4 | magnitude up to 6400 (`f32`), 1.6e6 (`f64`), else NaN |
//! | [`sin_cos_turns`] | 2.3 (2.132) | 1.6 | magnitude up to 2^20, else NaN; exact at quarter turns |
//! | [`acos_1m`] | 1.5 | 1.5 | 0 to 2, else NaN |
//! | [`acos_1m_integral`] | 3.0 | 3.0 | 0 to 2, else NaN |
//! | [`scale`] | 0.5 | 0.5 | all; exact unless subnormal |
//!
//! Tests hold these figures for `f32` against `f64` functions on a grid of bit patterns, and on every bit pattern when
//! asked (`cargo test --release -p thalweg --lib math -- --ignored everywhere`); for `f64` against a table from
//! mpmath (`core/tests/golden/math_table.py`).
//!
//! The coefficients come from `core/tests/golden/coefficients.py`, a Remez exchange.
//!
//! ```
//! use thalweg::simd::math;
//! let mut y = [0.0_f32; 2];
//! math::exp_into(&[0.0, f32::NEG_INFINITY], &mut y)?;
//! assert_eq!(y, [1.0, 0.0]);
//! // A single number is a register of one lane.
//! assert_eq!(math::exp(0.0_f32), 1.0);
//! # Ok::<(), thalweg::Error>(())
//! ```

use super::Lanes;
use crate::Real;

mod acos_1m;
mod erf;
mod exp;
mod exp2;
mod expm1;
mod forms;
mod ln;
mod ln_1p;
mod normal_cdf;
mod sigmoid;
mod sin_cos;
mod softplus;
mod tanh;
#[cfg(test)]
mod testing;

pub use acos_1m::{acos_1m, acos_1m_integral};
pub(crate) use acos_1m::{acos_1m_integral_near, acos_1m_near};
pub use erf::erf;
pub use exp::exp;
pub(crate) use exp2::exp2_down;
pub use exp2::{exp2, scale};
pub use expm1::expm1;
pub use forms::*;
pub use ln::ln;
pub(crate) use ln::ln_normal;
pub use ln_1p::ln_1p;
pub use normal_cdf::{ln_normal_cdf, normal_cdf};
pub use sigmoid::sigmoid;
pub(crate) use sin_cos::sin_cos_of_turn;
pub use sin_cos::{cos, sin, sin_cos, sin_cos_turns};
pub use softplus::softplus;
pub use tanh::tanh;

/// The coefficients of all functions; `f32` and `f64` have them.
pub trait Math: acos_1m::Acos + erf::Erf + ln::Ln + normal_cdf::Normal + sin_cos::SinCos {}
impl Math for f32 {}
impl Math for f64 {}

/// `c[0] + c[1] x + ...` by Horner's rule.
#[inline(always)]
fn polynomial<L: Lanes, const N: usize>(x: L, c: [L::Scalar; N]) -> L {
    let mut highest_first = c.into_iter().rev().map(|c| x.constant(c));
    let first = highest_first.next().unwrap_or(x);
    highest_first.fold(first, |sum, c| sum * x + c)
}

/// A bit pattern in every lane of a register like `x`.
#[inline(always)]
fn pattern<L: Lanes>(x: L, bits: u64) -> L::Bits {
    x.constant(L::Scalar::from_bits_u64(bits)).to_bits()
}
