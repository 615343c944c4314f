//! The functions on slices and on single numbers.

use crate::error::check_length;
use crate::simd::{Lanes, Map, Scalar, map};
use crate::{Error, Real};

/// The number in a register of one lane.
#[inline(always)]
fn one<L: Lanes<Simd = Scalar>>(x: L) -> L::Scalar {
    // The sum over one lane is that lane.
    x.halving_sum()
}

/// Declares both forms of functions of one result, then of functions of two.
macro_rules! forms {
    (
        $($name:ident, $into:ident, $Body:ident, $at:literal, $value:literal;)*
        => pairs:
        $($pair:ident, $pair_into:ident, $Pair:ident, $pair_at:literal, $first:literal, $second:literal;)*
    ) => {
        $(
            #[derive(Clone, Copy)]
            struct $Body;
            impl<T: Real> Map<T, 1, 1> for $Body {
                #[inline(always)]
                fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 1] {
                    [super::$name(x)]
                }
            }

            #[doc = concat!("[`", stringify!($name), "`](super::", stringify!($name), ") of each element.")]
            ///
            /// # Errors
            /// [`Error::Length`] when the lengths differ.
            ///
            /// ```
            /// let mut out = [9.0_f64];
            #[doc = concat!("thalweg::simd::math::", stringify!($into), "(&[", $at, "], &mut out)?;")]
            #[doc = concat!("assert_eq!(out, [", $value, "]);")]
            /// # Ok::<(), thalweg::Error>(())
            /// ```
            pub fn $into<T: Real>(x: &[T], out: &mut [T]) -> Result<(), Error> {
                check_length("out", x.len(), out.len())?;
                map(&$Body, [x], [out]);
                Ok(())
            }
        )*
        $(
            #[derive(Clone, Copy)]
            struct $Pair;
            impl<T: Real> Map<T, 1, 2> for $Pair {
                #[inline(always)]
                fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1]) -> [L; 2] {
                    super::$pair(x).into()
                }
            }

            #[doc = concat!("[`", stringify!($pair), "`](super::", stringify!($pair), ") of each element.")]
            ///
            /// # Errors
            /// [`Error::Length`] when the lengths differ.
            ///
            /// ```
            /// let (mut sin, mut cos) = ([9.0_f64], [9.0_f64]);
            #[doc = concat!("thalweg::simd::math::", stringify!($pair_into), "(&[", $pair_at, "], &mut sin, &mut cos)?;")]
            #[doc = concat!("assert_eq!((sin, cos), ([", $first, "], [", $second, "]));")]
            /// # Ok::<(), thalweg::Error>(())
            /// ```
            pub fn $pair_into<T: Real>(x: &[T], sin: &mut [T], cos: &mut [T]) -> Result<(), Error> {
                check_length("sin", x.len(), sin.len())?;
                check_length("cos", x.len(), cos.len())?;
                map(&$Pair, [x], [sin, cos]);
                Ok(())
            }
        )*

        /// The functions of one number, for code that is generic over [`Real`]: the bits of the lanes.
        pub mod scalar {
            use super::one;
            use crate::Real;
            use crate::simd::{Lanes, Scalar, math};
            $(
                #[doc = concat!("[`", stringify!($name), "`](math::", stringify!($name), ") of one number.")]
                ///
                /// ```
                #[doc = concat!("assert_eq!(thalweg::simd::math::scalar::", stringify!($name), "(", $at, "_f64), ", $value, ");")]
                /// ```
                #[inline]
                pub fn $name<T: Real>(x: T) -> T {
                    one(math::$name(T::Lanes::<Scalar>::splat(Scalar, x)))
                }
            )*
            $(
                #[doc = concat!("[`", stringify!($pair), "`](math::", stringify!($pair), ") of one number.")]
                ///
                /// ```
                #[doc = concat!("let pair = thalweg::simd::math::scalar::", stringify!($pair), "(", $pair_at, "_f64);")]
                #[doc = concat!("assert_eq!(pair, (", $first, ", ", $second, "));")]
                /// ```
                #[inline]
                pub fn $pair<T: Real>(x: T) -> (T, T) {
                    let (sin, cos) = math::$pair(T::Lanes::<Scalar>::splat(Scalar, x));
                    (one(sin), one(cos))
                }
            )*
        }
    };
}

forms! {
    exp, exp_into, Exp, "0.0", "1.0";
    exp2, exp2_into, Exp2, "3.0", "8.0";
    expm1, expm1_into, Expm1, "0.0", "0.0";
    ln, ln_into, Ln, "1.0", "0.0";
    ln_1p, ln_1p_into, Ln1p, "0.0", "0.0";
    tanh, tanh_into, Tanh, "0.0", "0.0";
    sigmoid, sigmoid_into, Sigmoid, "0.0", "0.5";
    softplus, softplus_into, Softplus, "100.0", "100.0";
    erf, erf_into, Erf, "0.0", "0.0";
    normal_cdf, normal_cdf_into, NormalCdf, "0.0", "0.5";
    sin, sin_into, Sin, "0.0", "0.0";
    cos, cos_into, Cos, "0.0", "1.0";
    acos_1m, acos_1m_into, Acos1m, "0.0", "0.0";
    acos_1m_integral, acos_1m_integral_into, Acos1mIntegral, "1.0", "1.0";
    ln_normal_cdf, ln_normal_cdf_into, LnNormalCdf, "1e300", "0.0";
    => pairs:
    sin_cos, sin_cos_into, SinCos, "0.0", "0.0", "1.0";
    sin_cos_turns, sin_cos_turns_into, SinCosTurns, "0.25", "1.0", "0.0";
}
