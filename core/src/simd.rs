//! Explicit SIMD that gives the same bits at every register width.
//!
//! A kernel is written once, in safe code, against [`Lanes`] and reads like its formula:
//!
//! ```
//! use thalweg::Real;
//! use thalweg::simd::{self, Lanes, Update};
//!
//! #[derive(Clone, Copy)]
//! struct Decay<T>(T);
//! impl<T: Real> Update<T, 1, 1> for Decay<T> {
//!     fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], [g]: [L; 1]) -> [L; 1] {
//!         [x - x.constant(self.0) * g]
//!     }
//! }
//! let mut x = [1.0_f32, 2.0];
//! simd::update(&Decay(0.5), [&mut x], [&[2.0, 2.0]]);
//! assert_eq!(x, [0.0, 1.0]);
//! ```
//!
//! # Tokens
//! An instruction set is a zero-sized token ([`Simd`]) with a private field; only [`dispatch`] hands one
//! out, after detection. Lanes are made from a token alone, so holding lanes proves that the instructions
//! exist, and the operators on them are safe. Everything beneath `run_avx2` and its kin is
//! `#[inline(always)]`, so that the whole kernel is compiled with the features of its instruction set.
//!
//! # The order of sums
//! [`sum`] adds element `i` to logical lane `i mod 32`, whatever the register width: two registers of
//! AVX-512, four of AVX2, thirty-two scalars. Lanes start at -0.0, the neutral element of addition (0.0
//! would turn a sum of negative zeros positive), so a lane that is never fed changes nothing. Then lane `i`
//! takes lane `i + 16`, `i + 8`, ... `i + 1`. Inputs longer than [`BLOCK`] are cut into blocks of that
//! length whose sums are added in order: threads may compute the blocks in any order.
//!
//! # What was rejected
//! Widths chosen per machine (bits would differ), closures in place of the traits (a closure cannot be
//! generic over the register), `std::simd` (not stable), and fused multiply-add as a default (not every
//! target has it; [`Lanes::mul_add`] serves [`Arithmetic::Fast`](crate::Arithmetic::Fast) only).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "operations on lanes, and counts of lanes that divide 32"
)]

use core::fmt::Debug;
use core::ops::{Add, BitAnd, BitOr, BitXor, Div, Mul, Neg, Not, Sub};

use crate::Real;

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
mod arm;
mod backend;
mod dispatch;
mod loops;
pub mod math;
mod prefetch;
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm32;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
mod x86;

pub use dispatch::{Kernel, Level, dispatch, force, level};
pub(crate) use loops::{BARE_METAL, SOFT_FLOAT};
pub use loops::{BLOCK, Map, Sum, Update, map, sum, update};
pub(crate) use prefetch::prefetch;
pub use scalar::{Scalar, Word};

#[cfg(all(target_arch = "arm", target_abi = "eabihf"))]
pub(crate) use arm::sqrt_f32;
#[cfg(not(all(target_arch = "arm", target_abi = "eabihf")))]
pub(crate) use libm::sqrtf as sqrt_f32;

/// Logical lanes of every reduction.
pub const LANES: usize = 32;

mod sealed {
    pub trait Sealed {}
}

/// An instruction set; holding a value proves that the machine has it.
///
/// This trait and those of registers are sealed: a token of another crate would prove nothing, and the loops of this
/// module read and write through pointers by what these implementations say of themselves.
///
/// ```compile_fail
/// #[derive(Clone, Copy, Debug)]
/// struct Wide;
/// impl thalweg::simd::Simd for Wide {
///     type F32 = f32;
///     type F64 = f64;
///     type U32 = thalweg::simd::Word<u32>;
///     type U64 = thalweg::simd::Word<u64>;
///     const LEVEL: thalweg::simd::Level = thalweg::simd::Level::Scalar;
/// }
/// ```
pub trait Simd: sealed::Sealed + Copy + Debug + Send + Sync + 'static {
    /// Lanes of `f32`.
    type F32: Lanes<Scalar = f32, Simd = Self, Bits = Self::U32>;
    /// Lanes of `f64`.
    type F64: Lanes<Scalar = f64, Simd = Self, Bits = Self::U64>;
    /// Lanes of `u32`, as many as of `f32`.
    type U32: BitLanes<Scalar = u32, Simd = Self>;
    /// Lanes of `u64`, as many as of `f64`.
    type U64: BitLanes<Scalar = u64, Simd = Self>;
    /// The level that this token stands for.
    const LEVEL: Level;
}

/// A register of floating-point numbers (or, for [`Scalar`], one number).
///
/// Operators are correctly rounded and never contracted.
pub trait Lanes:
    sealed::Sealed
    + Copy
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// Type of one lane.
    type Scalar: Real<Lanes<Self::Simd> = Self>;
    /// The token.
    type Simd: Simd;
    /// The same register seen as unsigned integers.
    type Bits: BitLanes<Simd = Self::Simd>;
    /// One truth value per lane.
    type Mask: Mask;
    /// `[Scalar; LEN]`.
    type Array: Copy + AsRef<[Self::Scalar]> + AsMut<[Self::Scalar]>;
    /// `[Self; 32 / LEN]`: the 32 logical lanes.
    type Block: Copy + AsRef<[Self]> + AsMut<[Self]>;
    /// Number of lanes.
    const LEN: usize;
    /// Bits with only the sign set.
    const SIGN: <Self::Bits as BitLanes>::Scalar;

    /// The token.
    fn simd(self) -> Self::Simd;
    /// `x` in every lane.
    fn splat(simd: Self::Simd, x: Self::Scalar) -> Self;
    /// `x` in every lane of a register like this one.
    #[inline(always)]
    fn constant(self, x: Self::Scalar) -> Self {
        Self::splat(self.simd(), x)
    }
    /// Reads one group.
    fn load(simd: Self::Simd, x: &Self::Array) -> Self;
    /// Writes one group.
    fn store(self, out: &mut Self::Array);
    /// Whole groups of a slice, and the elements that are left.
    fn groups(x: &[Self::Scalar]) -> (&[Self::Array], &[Self::Scalar]);
    /// Whole groups of a slice, to be written, and the elements that are left.
    fn groups_mut(x: &mut [Self::Scalar]) -> (&mut [Self::Array], &mut [Self::Scalar]);
    /// This register 32 / LEN times.
    fn block(self) -> Self::Block;

    /// Correctly rounded square root.
    fn sqrt(self) -> Self;
    /// `self * a + b`, fused where the machine can: for `Arithmetic::Fast` only.
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Two factors whose product is about `-2 / sqrt(self)` for positive normal lanes: for `Arithmetic::Fast` only.
    ///
    /// They are the machine's estimate `y` and the rest of one Newton step, `self y y - 3`; a kernel multiplies them into
    /// what it has at hand, and hides the factor -2 in a scalar. Relative error at most 2^-21 for `f32`.
    #[inline(always)]
    fn rsqrt_factors(self) -> [Self; 2] {
        let [one, two] = [Self::Scalar::ONE, Self::Scalar::from_usize(2)];
        [self.constant(one) / self.sqrt(), self.constant(-two)]
    }
    /// About `1 / sqrt(self)`: [`rsqrt_factors`](Self::rsqrt_factors) multiplied out.
    #[inline(always)]
    fn rsqrt_fast(self) -> Self {
        let [y, rest] = self.rsqrt_factors();
        y * (self.constant(Self::Scalar::from_f64(-0.5)) * rest)
    }
    /// Zero where the mask is set, else `self`.
    #[inline(always)]
    fn clear(self, mask: Self::Mask) -> Self {
        Self::select(mask, self.constant(Self::Scalar::ZERO), self)
    }
    /// Zero where the magnitude is below the smallest normal number, else `self`; NaN stays.
    #[inline(always)]
    fn flush(self) -> Self {
        self.clear(self.abs().lt(self.constant(Self::Scalar::MIN_POSITIVE)))
    }
    /// [`flush`](Self::flush) for numbers that are not negative (those below zero become zero).
    #[inline(always)]
    fn flush_positive(self) -> Self {
        self.clear(self.lt(self.constant(Self::Scalar::MIN_POSITIVE)))
    }
    /// Neither zero nor NaN.
    #[inline(always)]
    fn has_sign(self) -> Self::Mask {
        self.constant(Self::Scalar::ZERO).lt(self.abs())
    }
    /// Magnitude.
    #[inline(always)]
    fn abs(self) -> Self {
        let sign = Self::Bits::splat(self.simd(), Self::SIGN);
        Self::from_bits(self.to_bits().and_not(sign))
    }
    /// The magnitude of `self` with the sign of `sign`.
    #[inline(always)]
    fn copy_sign(self, sign: Self) -> Self {
        let mask = Self::Bits::splat(self.simd(), Self::SIGN);
        Self::from_bits(self.to_bits().and_not(mask) | (sign.to_bits() & mask))
    }
    /// `self < other` (false for NaN).
    fn lt(self, other: Self) -> Self::Mask;
    /// `self <= other` (false for NaN).
    fn le(self, other: Self) -> Self::Mask;
    /// `self == other` (false for NaN).
    fn eq(self, other: Self) -> Self::Mask;
    /// `yes` where the mask is set, `no` elsewhere.
    fn select(mask: Self::Mask, yes: Self, no: Self) -> Self;
    /// `self` where `self < other`, else `other`: `other` when either is NaN.
    #[inline(always)]
    fn least(self, other: Self) -> Self {
        Self::select(self.lt(other), self, other)
    }
    /// `self` where `other < self`, else `other`: `other` when either is NaN.
    #[inline(always)]
    fn largest(self, other: Self) -> Self {
        Self::select(other.lt(self), self, other)
    }
    /// The bit patterns.
    fn to_bits(self) -> Self::Bits;
    /// The numbers with these bit patterns.
    fn from_bits(bits: Self::Bits) -> Self;

    /// Sum over the lanes of one register by halving.
    #[allow(clippy::disallowed_methods, reason = "half is below the length")]
    #[inline(always)]
    fn halving_sum(self) -> Self::Scalar {
        let mut lanes = Self::splat(self.simd(), Self::Scalar::ZERO).into_array();
        self.store(&mut lanes);
        let mut half = Self::LEN / 2;
        while half > 0 {
            let (low, high) = lanes.as_mut().split_at_mut(half);
            for (a, &b) in low.iter_mut().zip(high.iter()) {
                *a += b;
            }
            half /= 2;
        }
        lanes
            .as_ref()
            .first()
            .copied()
            .unwrap_or(Self::Scalar::ZERO)
    }
    /// The lanes as an array.
    fn into_array(self) -> Self::Array;
}

/// A register of unsigned integers; addition and subtraction wrap.
pub trait BitLanes:
    sealed::Sealed
    + Copy
    + Debug
    + Add<Output = Self>
    + Sub<Output = Self>
    + BitAnd<Output = Self>
    + BitOr<Output = Self>
    + BitXor<Output = Self>
{
    /// Type of one lane: `u32` or `u64`.
    type Scalar: Copy + Default + Debug;
    /// The token.
    type Simd: Simd;
    /// `[Scalar; LEN]`.
    type Array: Copy + AsRef<[Self::Scalar]> + AsMut<[Self::Scalar]>;
    /// Number of lanes.
    const LEN: usize;

    /// `x` in every lane.
    fn splat(simd: Self::Simd, x: Self::Scalar) -> Self;
    /// Reads one group.
    fn load(simd: Self::Simd, x: &Self::Array) -> Self;
    /// Writes one group.
    fn store(self, out: &mut Self::Array);
    /// Whole groups of a slice, and the elements that are left.
    fn groups(x: &[Self::Scalar]) -> (&[Self::Array], &[Self::Scalar]);
    /// Whole groups of a slice, to be written, and the elements that are left.
    fn groups_mut(x: &mut [Self::Scalar]) -> (&mut [Self::Array], &mut [Self::Scalar]);
    /// Logical shift left by `n`, less than the width.
    fn shl(self, n: u32) -> Self;
    /// Logical shift right by `n`, less than the width.
    fn shr(self, n: u32) -> Self;
    /// Rotation left by `n`, between 1 and the width less 1.
    #[inline(always)]
    fn rotl(self, n: u32) -> Self {
        self.shl(n) | self.shr(size_of::<Self::Scalar>() as u32 * 8 - n)
    }
    /// `self & !mask`.
    fn and_not(self, mask: Self) -> Self;
}

/// One truth value per lane.
pub trait Mask:
    sealed::Sealed + Copy + Debug + BitAnd<Output = Self> + BitOr<Output = Self> + Not<Output = Self>
{
    /// Bit `i` is lane `i`; higher bits are zero.
    fn bits(self) -> u32;
    /// Some lane is set.
    #[inline(always)]
    fn any(self) -> bool {
        self.bits() != 0
    }
}
