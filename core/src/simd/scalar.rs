//! The scalar level: a number is a register of one lane.

use super::sealed::Sealed;
use super::{BitLanes, LANES, Lanes, Level, Mask, Simd};
use crate::Real;

/// The level that every machine has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scalar;

impl Sealed for Scalar {}
impl Simd for Scalar {
    type F32 = f32;
    type F64 = f64;
    type U32 = Word<u32>;
    type U64 = Word<u64>;
    const LEVEL: Level = Level::Scalar;
}

/// An unsigned integer whose addition and subtraction wrap.
#[derive(Clone, Copy, Debug)]
pub struct Word<T>(T);

impl Sealed for bool {}
impl Mask for bool {
    #[inline(always)]
    fn bits(self) -> u32 {
        u32::from(self)
    }
}

macro_rules! scalar {
    ($f:ident, $u:ident) => {
        impl Sealed for $f {}
        impl Lanes for $f {
            type Scalar = $f;
            type Simd = Scalar;
            type Bits = Word<$u>;
            type Mask = bool;
            type Array = [$f; 1];
            type Block = [$f; LANES];
            const LEN: usize = 1;
            const SIGN: $u = 1 << ($u::BITS - 1);

            #[inline(always)]
            fn simd(self) -> Scalar {
                Scalar
            }
            #[inline(always)]
            fn splat(_: Scalar, x: $f) -> Self {
                x
            }
            #[inline(always)]
            fn load(_: Scalar, &[x]: &[$f; 1]) -> Self {
                x
            }
            #[inline(always)]
            fn store(self, out: &mut [$f; 1]) {
                *out = [self];
            }
            #[inline(always)]
            fn into_array(self) -> [$f; 1] {
                [self]
            }
            #[inline(always)]
            fn groups(x: &[$f]) -> (&[[$f; 1]], &[$f]) {
                x.as_chunks()
            }
            #[inline(always)]
            fn groups_mut(x: &mut [$f]) -> (&mut [[$f; 1]], &mut [$f]) {
                x.as_chunks_mut()
            }
            #[inline(always)]
            fn block(self) -> [$f; LANES] {
                [self; LANES]
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                Real::sqrt(self)
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                self * a + b
            }
            #[inline(always)]
            fn lt(self, other: Self) -> bool {
                self < other
            }
            #[inline(always)]
            fn le(self, other: Self) -> bool {
                self <= other
            }
            #[inline(always)]
            fn eq(self, other: Self) -> bool {
                self == other
            }
            #[inline(always)]
            fn select(mask: bool, yes: Self, no: Self) -> Self {
                if mask { yes } else { no }
            }
            #[inline(always)]
            fn to_bits(self) -> Word<$u> {
                Word(<$f>::to_bits(self))
            }
            #[inline(always)]
            fn from_bits(bits: Word<$u>) -> Self {
                <$f>::from_bits(bits.0)
            }
        }

        scalar!(@op $u Add add |a: $u, b| a.wrapping_add(b));
        scalar!(@op $u Sub sub |a: $u, b| a.wrapping_sub(b));
        scalar!(@op $u BitAnd bitand |a: $u, b| a & b);
        scalar!(@op $u BitOr bitor |a: $u, b| a | b);
        scalar!(@op $u BitXor bitxor |a: $u, b| a ^ b);

        impl Sealed for Word<$u> {}
        impl BitLanes for Word<$u> {
            type Scalar = $u;
            type Simd = Scalar;
            type Array = [$u; 1];
            const LEN: usize = 1;

            #[inline(always)]
            fn splat(_: Scalar, x: $u) -> Self {
                Self(x)
            }
            #[inline(always)]
            fn load(_: Scalar, &[x]: &[$u; 1]) -> Self {
                Self(x)
            }
            #[inline(always)]
            fn store(self, out: &mut [$u; 1]) {
                *out = [self.0];
            }
            #[inline(always)]
            fn groups(x: &[$u]) -> (&[[$u; 1]], &[$u]) {
                x.as_chunks()
            }
            #[inline(always)]
            fn groups_mut(x: &mut [$u]) -> (&mut [[$u; 1]], &mut [$u]) {
                x.as_chunks_mut()
            }
            #[inline(always)]
            fn shl(self, n: u32) -> Self {
                Self(self.0.wrapping_shl(n))
            }
            #[inline(always)]
            fn shr(self, n: u32) -> Self {
                Self(self.0.wrapping_shr(n))
            }
            #[inline(always)]
            fn and_not(self, mask: Self) -> Self {
                Self(self.0 & !mask.0)
            }
        }
    };
    (@op $u:ident $op:ident $method:ident $f:expr) => {
        impl core::ops::$op for Word<$u> {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                Self($f(self.0, other.0))
            }
        }
    };
}
scalar!(f32, u32);
scalar!(f64, u64);
