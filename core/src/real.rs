//! The two scalar types, and the choice between portable and fast arithmetic.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "operations on floating-point numbers"
)]

use core::fmt;
use core::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

use crate::simd::{Lanes, Simd};

/// Writes a trait of kernels, a bound of [`Real::Kernels`], and its implementation for either type.
///
/// A function that is generic over `T` is compiled in each crate that calls it, at every level of the processor; the bodies here
/// are compiled in this crate, once for `f32` and once for `f64`. Generic code calls them as `T::Kernels::name(..)`.
macro_rules! kernels {
    (
        $(#[$meta:meta])*
        trait $name:ident<$t:ident> {
            $(fn $f:ident $(<$life:lifetime>)? ($($argument:tt: $type:ty),* $(,)?) $(-> $output:ty)? $body:block)*
        }
    ) => {
        $(#[$meta])*
        #[doc(hidden)]
        #[allow(missing_docs, unreachable_pub, reason = "a bound of a public trait; each is the body of a documented function")]
        pub trait $name<$t>: Sized {
            $(fn $f $(<$life>)? ($(_: $type),*) $(-> $output)?;)*
        }
        $crate::real::kernels!(@of f32, $name<$t> {
            $(fn $f $(<$life>)? ($($argument: $type),*) $(-> $output)? $body)*
        });
        $crate::real::kernels!(@of f64, $name<$t> {
            $(fn $f $(<$life>)? ($($argument: $type),*) $(-> $output)? $body)*
        });
    };
    (@of $real:ident, $name:ident<$t:ident> { $($functions:tt)* }) => {
        const _: () = {
            type $t = $real;
            impl $name<$t> for $crate::real::Compiled {
                $($functions)*
            }
        };
    };
}
pub(crate) use kernels;

/// What implements the traits of [`kernels`].
#[doc(hidden)]
#[derive(Debug)]
pub struct Compiled;

/// Which arithmetic a kernel uses where a faster, less portable form exists.
///
/// ```
/// assert_eq!(thalweg::Arithmetic::default(), thalweg::Arithmetic::Portable);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Arithmetic {
    /// `+ - * /` and square root only, in a fixed order: the same bits on every target.
    #[default]
    Portable,
    /// Fused multiply-add and reciprocal estimates where the machine has them: bits differ between
    /// machines, the error bound is stated by each function that takes this choice.
    Fast,
}

/// A floating-point scalar: `f32` or `f64`.
///
/// The trait is sealed: every kernel is written against it and tested for exactly these two types.
///
/// ```
/// use thalweg::Real;
/// fn norm<T: Real>(x: T, y: T) -> T { (x * x + y * y).sqrt() }
/// assert_eq!(norm(3.0_f32, 4.0), 5.0);
/// assert_eq!(norm(3.0_f64, 4.0), 5.0);
/// ```
pub trait Real:
    Copy
    + Default
    + PartialEq
    + PartialOrd
    + fmt::Debug
    + fmt::Display
    + fmt::LowerExp
    + Send
    + Sync
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
    + DivAssign
    + crate::snapshot::Stored
    + crate::simd::math::Math
    + sealed::Sealed
    + 'static
{
    /// The lanes of an instruction set that hold this scalar.
    type Lanes<S: Simd>: Lanes<Scalar = Self, Simd = S>;
    /// Loops of this crate that are compiled in it; not for callers.
    #[doc(hidden)]
    type Kernels: crate::vector::Kernels<Self>
        + crate::matrix::Kernels<Self>
        + crate::aggregate::OrderKernels<Self>
        + crate::bilevel::es_jacobian::Kernels<Self>
        + crate::bilevel::ridge::Kernels<Self>
        + crate::compress::Kernels<Self>
        + crate::random::Kernels<Self>
        + crate::dynamics::invariant_measure::StatsKernels<Self>
        + crate::dynamics::label_noise::SparseKernels<Self>
        + crate::dynamics::limit_flow::DualKernels<Self>
        + crate::federated::MessageKernels<Self>
        + crate::federated::ef21::Kernels<Self>
        + crate::federated::marina::Kernels<Self>
        + crate::kernel::Kernels<Self>
        + crate::mixture::Kernels<Self>
        + crate::optim::Kernels<Self>
        + crate::particle::Kernels<Self>
        + crate::solve::Kernels<Self>
        + crate::pairs::DifferenceKernels<Self>
        + crate::pairs::PairKernels<Self>
        + crate::model::LossKernels<Self>
        + crate::model::mlp::ActivationKernels<Self>
        + crate::model::quadratic::Kernels<Self>;

    /// `0`.
    const ZERO: Self;
    /// `1`.
    const ONE: Self;
    /// Gap between 1 and the next larger number.
    const EPSILON: Self;
    /// Smallest positive normal number.
    const MIN_POSITIVE: Self;
    /// Largest finite number.
    const MAX: Self;
    /// Positive infinity.
    const INFINITY: Self;
    /// A quiet NaN.
    const NAN: Self;
    /// Stored bits of the significand: 23 or 52.
    const MANTISSA_BITS: u32;
    /// Bytes of the little-endian encoding: 4 or 8.
    const BYTES: usize;

    /// Nearest value to an `f64` (exact for `f64`).
    fn from_f64(x: f64) -> Self;
    /// This value as an `f64` (always exact).
    fn to_f64(self) -> f64;
    /// Nearest value to a count.
    #[inline]
    fn from_usize(n: usize) -> Self {
        Self::from_f64(n as f64)
    }
    /// Correctly rounded square root; NaN for negative arguments.
    fn sqrt(self) -> Self;
    /// Magnitude.
    fn abs(self) -> Self;
    /// Neither NaN nor infinite.
    fn is_finite(self) -> bool;
    /// NaN.
    fn is_nan(self) -> bool;
    /// The bit pattern, zero-extended.
    fn to_bits_u64(self) -> u64;
    /// The value with this bit pattern (low 32 bits for `f32`).
    fn from_bits_u64(bits: u64) -> Self;
    /// Natural exponential (`libm`; outside lane loops).
    fn exp(self) -> Self;
    /// Natural logarithm (`libm`; outside lane loops).
    fn ln(self) -> Self;
    /// `self` to a real power (`libm`; outside lane loops).
    fn powf(self, exponent: Self) -> Self;
    /// `self` to an integer power by squaring, in a fixed order of products.
    #[allow(clippy::indexing_slicing, reason = "one bit in an array of two")]
    #[inline]
    fn powi(self, exponent: u64) -> Self {
        let (mut base, mut left, mut product) = (self, exponent, Self::ONE);
        while left > 0 {
            // A factor of 1 in place of a branch that is mispredicted half of the time.
            product *= [Self::ONE, base][(left & 1) as usize];
            base *= base;
            left >>= 1;
        }
        product
    }
    /// The smaller of the two: `other` when either is NaN.
    #[inline]
    fn least(self, other: Self) -> Self {
        if self < other { self } else { other }
    }
    /// The larger of the two: `other` when either is NaN.
    #[inline]
    fn largest(self, other: Self) -> Self {
        if self > other { self } else { other }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! real {
    ($t:ident, $lanes:ident, $bytes:literal, $bits:ty, $sqrt:path, $exp:path, $ln:path, $pow:path) => {
        impl Real for $t {
            type Lanes<S: Simd> = S::$lanes;
            type Kernels = Compiled;

            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            const EPSILON: Self = $t::EPSILON;
            const MIN_POSITIVE: Self = $t::MIN_POSITIVE;
            const MAX: Self = $t::MAX;
            const INFINITY: Self = $t::INFINITY;
            const NAN: Self = $t::NAN;
            const MANTISSA_BITS: u32 = $t::MANTISSA_DIGITS - 1;
            const BYTES: usize = $bytes;

            #[inline]
            fn from_f64(x: f64) -> Self {
                x as $t
            }
            #[inline]
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            #[inline]
            fn sqrt(self) -> Self {
                $sqrt(self)
            }
            #[inline]
            fn abs(self) -> Self {
                $t::abs(self)
            }
            #[inline]
            fn is_finite(self) -> bool {
                $t::is_finite(self)
            }
            #[inline]
            fn is_nan(self) -> bool {
                $t::is_nan(self)
            }
            #[inline]
            fn to_bits_u64(self) -> u64 {
                u64::from(self.to_bits())
            }
            #[inline]
            fn from_bits_u64(bits: u64) -> Self {
                $t::from_bits(bits as $bits)
            }
            #[inline]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline]
            fn ln(self) -> Self {
                $ln(self)
            }
            #[inline]
            fn powf(self, exponent: Self) -> Self {
                $pow(self, exponent)
            }
        }
    };
}
real!(
    f32,
    F32,
    4,
    u32,
    crate::simd::sqrt_f32,
    libm::expf,
    libm::logf,
    libm::powf
);
real!(
    f64,
    F64,
    8,
    u64,
    libm::sqrt,
    libm::exp,
    libm::log,
    libm::pow
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integer_powers_are_repeated_products() {
        assert_eq!(Real::powi(3.0_f64, 0), 1.0);
        assert_eq!(Real::powi(3.0_f64, 5), 243.0);
        assert_eq!(Real::powi(0.5_f32, 40), 2.0_f32.powi(-40));
    }

    #[test]
    fn least_and_largest_take_the_second_argument_on_nan() {
        assert_eq!(Real::least(f32::NAN, 2.0), 2.0);
        assert!(Real::largest(2.0_f64, f64::NAN).is_nan());
    }
}
