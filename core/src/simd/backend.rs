//! Macros that turn a list of intrinsics into lanes; every backend is written with them.
//!
//! Each expression given to a macro is expanded inside a separate `unsafe` block. The fact relied on is
//! always the same: the value (or the token argument) exists, so the machine has the instruction set; loads and
//! stores go through references to arrays of exactly `LEN` elements and need no alignment.

#![allow(
    unused_macros,
    unused_imports,
    reason = "the scalar-only targets use none of them"
)]

/// Implements `Lanes` for a newtype over a register.
macro_rules! float_lanes {
    ($name:ident($reg:ty) $token:ident $t:ident * $len:literal, bits $bits:ident($bt:ty), mask $mask:ident;
     splat $splat:expr; load $load:expr; store $store:expr;
     add $add:expr; sub $sub:expr; mul $mul:expr; div $div:expr; sqrt $sqrt:expr; mul_add $fma:expr;
     lt $lt:expr; le $le:expr; eq $eq:expr; select $select:expr; least $least:expr; largest $largest:expr;
     to_bits $to:expr; from_bits $from:expr;
     $($extra:item)*) => {
        #[doc = concat!(stringify!($len), " lanes of `", stringify!($t), "`.")]
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub(crate) struct $name(pub(super) $reg);

        float_lanes!(@op $name Add add $add);
        float_lanes!(@op $name Sub sub $sub);
        float_lanes!(@op $name Mul mul $mul);
        float_lanes!(@op $name Div div $div);

        impl core::ops::Neg for $name {
            type Output = Self;
            #[inline(always)]
            fn neg(self) -> Self {
                Self::from_bits(self.to_bits() ^ $bits::splat(self.simd(), Self::SIGN))
            }
        }

        impl $crate::simd::sealed::Sealed for $name {}
        impl $crate::simd::Lanes for $name {
            type Scalar = $t;
            type Simd = $token;
            type Bits = $bits;
            type Mask = $mask;
            type Array = [$t; $len];
            type Block = [Self; $crate::simd::LANES / $len];
            const LEN: usize = $len;
            const SIGN: $bt = 1 << (<$bt>::BITS - 1);

            #[inline(always)]
            fn simd(self) -> $token {
                $token(())
            }
            #[inline(always)]
            fn splat(_: $token, x: $t) -> Self {
                // SAFETY: the token proves the instruction set.
                Self(unsafe { ($splat)(x) })
            }
            #[inline(always)]
            fn load(_: $token, x: &[$t; $len]) -> Self {
                // SAFETY: the token proves the instruction set; the array has LEN elements.
                Self(unsafe { ($load)(x.as_ptr().cast()) })
            }
            #[inline(always)]
            fn store(self, out: &mut [$t; $len]) {
                // SAFETY: `self` proves the instruction set; the array has LEN elements.
                unsafe { ($store)(out.as_mut_ptr().cast(), self.0) }
            }
            #[inline(always)]
            fn into_array(self) -> [$t; $len] {
                let mut out = [0.0; $len];
                self.store(&mut out);
                out
            }
            #[inline(always)]
            fn groups(x: &[$t]) -> (&[[$t; $len]], &[$t]) {
                x.as_chunks()
            }
            #[inline(always)]
            fn groups_mut(x: &mut [$t]) -> (&mut [[$t; $len]], &mut [$t]) {
                x.as_chunks_mut()
            }
            #[inline(always)]
            fn block(self) -> Self::Block {
                [self; $crate::simd::LANES / $len]
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                // SAFETY: `self` proves the instruction set.
                Self(unsafe { ($sqrt)(self.0) })
            }
            #[inline(always)]
            fn mul_add(self, a: Self, b: Self) -> Self {
                // SAFETY: `self` proves the instruction set.
                Self(unsafe { ($fma)(self.0, a.0, b.0) })
            }
            #[inline(always)]
            fn lt(self, other: Self) -> $mask {
                // SAFETY: `self` proves the instruction set.
                $mask(unsafe { ($lt)(self.0, other.0) })
            }
            #[inline(always)]
            fn le(self, other: Self) -> $mask {
                // SAFETY: `self` proves the instruction set.
                $mask(unsafe { ($le)(self.0, other.0) })
            }
            #[inline(always)]
            fn eq(self, other: Self) -> $mask {
                // SAFETY: `self` proves the instruction set.
                $mask(unsafe { ($eq)(self.0, other.0) })
            }
            #[inline(always)]
            fn select(mask: $mask, yes: Self, no: Self) -> Self {
                // SAFETY: `yes` proves the instruction set.
                Self(unsafe { ($select)(mask.0, yes.0, no.0) })
            }
            #[inline(always)]
            fn least(self, other: Self) -> Self {
                // SAFETY: `self` proves the instruction set.
                Self(unsafe { ($least)(self.0, other.0) })
            }
            #[inline(always)]
            fn largest(self, other: Self) -> Self {
                // SAFETY: `self` proves the instruction set.
                Self(unsafe { ($largest)(self.0, other.0) })
            }
            #[inline(always)]
            fn to_bits(self) -> $bits {
                // SAFETY: `self` proves the instruction set.
                $bits(unsafe { ($to)(self.0) })
            }
            #[inline(always)]
            fn from_bits(bits: $bits) -> Self {
                // SAFETY: `bits` proves the instruction set.
                Self(unsafe { ($from)(bits.0) })
            }
            $($extra)*
        }
    };
    (@op $name:ident $op:ident $method:ident $f:expr) => {
        impl core::ops::$op for $name {
            type Output = Self;
            #[inline(always)]
            fn $method(self, other: Self) -> Self {
                // SAFETY: `self` proves the instruction set.
                Self(unsafe { ($f)(self.0, other.0) })
            }
        }
    };
}

/// Implements `BitLanes` for a newtype over an integer register.
macro_rules! bit_lanes {
    ($name:ident($reg:ty) $token:ident $t:ident * $len:literal;
     splat $splat:expr; load $load:expr; store $store:expr; add $add:expr; sub $sub:expr;
     and $and:expr; or $or:expr; xor $xor:expr; and_not $and_not:expr; shl $shl:expr; shr $shr:expr;) => {
        #[doc = concat!(stringify!($len), " lanes of `", stringify!($t), "`.")]
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub(crate) struct $name(pub(super) $reg);

        float_lanes!(@op $name Add add $add);
        float_lanes!(@op $name Sub sub $sub);
        float_lanes!(@op $name BitAnd bitand $and);
        float_lanes!(@op $name BitOr bitor $or);
        float_lanes!(@op $name BitXor bitxor $xor);

        impl $crate::simd::sealed::Sealed for $name {}
        impl $crate::simd::BitLanes for $name {
            type Scalar = $t;
            type Simd = $token;
            type Array = [$t; $len];
            const LEN: usize = $len;

            #[inline(always)]
            fn splat(_: $token, x: $t) -> Self {
                // SAFETY: the token proves the instruction set.
                Self(unsafe { ($splat)(x) })
            }
            #[inline(always)]
            fn load(_: $token, x: &[$t; $len]) -> Self {
                // SAFETY: the token proves the instruction set; the array has LEN elements.
                Self(unsafe { ($load)(x.as_ptr().cast()) })
            }
            #[inline(always)]
            fn store(self, out: &mut [$t; $len]) {
                // SAFETY: `self` proves the instruction set; the array has LEN elements.
                unsafe { ($store)(out.as_mut_ptr().cast(), self.0) }
            }
            #[inline(always)]
            fn groups(x: &[$t]) -> (&[[$t; $len]], &[$t]) {
                x.as_chunks()
            }
            #[inline(always)]
            fn groups_mut(x: &mut [$t]) -> (&mut [[$t; $len]], &mut [$t]) {
                x.as_chunks_mut()
            }
            #[inline(always)]
            fn shl(self, n: u32) -> Self {
                // SAFETY: `self` proves the instruction set.
                Self(unsafe { ($shl)(self.0, n) })
            }
            #[inline(always)]
            fn shr(self, n: u32) -> Self {
                // SAFETY: `self` proves the instruction set.
                Self(unsafe { ($shr)(self.0, n) })
            }
            #[inline(always)]
            fn and_not(self, mask: Self) -> Self {
                // SAFETY: `self` proves the instruction set.
                Self(unsafe { ($and_not)(self.0, mask.0) })
            }
        }
    };
}

/// Implements `Mask` for a newtype.
macro_rules! mask_lanes {
    ($name:ident($reg:ty); and $and:expr; or $or:expr; not $not:expr; bits $bits:expr;) => {
        #[doc = "Truth values, one per lane."]
        #[derive(Clone, Copy, Debug)]
        #[repr(transparent)]
        pub(crate) struct $name(pub(super) $reg);

        float_lanes!(@op $name BitAnd bitand $and);
        float_lanes!(@op $name BitOr bitor $or);

        impl core::ops::Not for $name {
            type Output = Self;
            #[inline(always)]
            fn not(self) -> Self {
                // SAFETY: `self` proves the instruction set.
                Self(unsafe { ($not)(self.0) })
            }
        }

        impl $crate::simd::sealed::Sealed for $name {}
        impl $crate::simd::Mask for $name {
            #[inline(always)]
            fn bits(self) -> u32 {
                // SAFETY: `self` proves the instruction set.
                unsafe { ($bits)(self.0) }
            }
        }
    };
}

/// Declares a token and the lanes that belong to it.
macro_rules! token {
    ($name:ident, $level:ident, $f32:ident, $f64:ident, $u32:ident, $u64:ident) => {
        #[doc = concat!("Proof that the machine has the `", stringify!($level), "` level.")]
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $name(pub(in crate::simd) ());

        impl $crate::simd::sealed::Sealed for $name {}
        impl $crate::simd::Simd for $name {
            type F32 = $f32;
            type F64 = $f64;
            type U32 = $u32;
            type U64 = $u64;
            const LEVEL: $crate::simd::Level = $crate::simd::Level::$level;
        }
    };
}

pub(super) use {bit_lanes, float_lanes, mask_lanes, token};
