//! Elementary functions on lanes, with the same bits at every level.
//!
//! Only `+ - * / sqrt`, comparisons, selections and bit operations: a number is rounded to an integer by adding
//! 1.5 * 2^23 (or 1.5 * 2^52), and the integer is read from the bits. No function branches on its argument, so every
//! lane costs the same. The error of each is in its docs, in units of the last place, measured against `f64`
//! functions on every `f32`, and against mpmath for `f64`.
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

use super::{Lanes, Map, Scalar};
use crate::error::check_length;
use crate::{Error, Real};

mod exp;
mod expm1;
mod ln;
mod sigmoid;
mod tanh;
#[cfg(test)]
mod testing;

pub use exp::exp;
pub use expm1::expm1;
pub use ln::ln;
pub use sigmoid::sigmoid;
pub use tanh::tanh;

/// The coefficients of all functions; `f32` and `f64` have them.
pub trait Math: exp::Exp + ln::Ln {}
impl<T: exp::Exp + ln::Ln> Math for T {}

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

/// Declares the slice form and the generic scalar form of functions.
macro_rules! forms {
    ($($name:ident, $into:ident, $Body:ident, $at:literal, $value:literal;)*) => {
        $(
            struct $Body;
            impl<T: Real> Map<T, 1, 1> for $Body {
                #[inline(always)]
                fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
                    [$name(x)]
                }
            }

            #[doc = concat!("[`", stringify!($name), "`] of each element.")]
            ///
            /// # Errors
            /// [`Error::Length`] when the lengths differ.
            ///
            /// ```
            /// let mut out = [0.0_f64];
            #[doc = concat!("thalweg::simd::math::", stringify!($into), "(&[", $at, "], &mut out)?;")]
            #[doc = concat!("assert_eq!(out, [", $value, "]);")]
            /// # Ok::<(), thalweg::Error>(())
            /// ```
            pub fn $into<T: Real>(x: &[T], out: &mut [T]) -> Result<(), Error> {
                check_length("out", x.len(), out.len())?;
                super::map(&$Body, [x], [out]);
                Ok(())
            }
        )*

        /// The functions of one number, for code that is generic over [`Real`].
        ///
        /// Same bits as the lanes.
        pub mod scalar {
            use crate::Real;
            use crate::simd::{Lanes, Scalar};
            $(
                #[doc = concat!("[`", stringify!($name), "`](super::", stringify!($name), ") of one number.")]
                ///
                /// ```
                #[doc = concat!("assert_eq!(thalweg::simd::math::scalar::", stringify!($name), "(", $at, "_f64), ", $value, ");")]
                /// ```
                #[inline]
                pub fn $name<T: Real>(x: T) -> T {
                    super::one(super::$name(T::Lanes::<Scalar>::splat(Scalar, x)))
                }
            )*
        }
    };
}

/// The number in a register of one lane.
#[inline(always)]
fn one<L: Lanes<Simd = Scalar>>(x: L) -> L::Scalar {
    // The sum over one lane is that lane.
    x.halving_sum()
}

forms! {
    exp, exp_into, Exp, "0.0", "1.0";
    expm1, expm1_into, Expm1, "0.0", "0.0";
    ln, ln_into, Ln, "1.0", "0.0";
    tanh, tanh_into, Tanh, "0.0", "0.0";
    sigmoid, sigmoid_into, Sigmoid, "0.0", "0.5";
}
