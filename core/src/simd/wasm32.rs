//! WebAssembly simd128: 4 lanes of `f32`, 2 of `f64`. There is no fused multiply-add.

#![allow(unsafe_code, reason = "loads and stores through pointers")]
#![allow(
    unused_unsafe,
    reason = "all but loads and stores are safe once simd128 is enabled"
)]

use core::arch::wasm32::*;

use super::backend::{bit_lanes, float_lanes, mask_lanes, token};
use super::{BitLanes, Lanes};

token!(Simd128, Simd128, F32x4, F64x2, U32x4, U64x2);

float_lanes! {
    F32x4(v128) Simd128 f32 * 4, bits U32x4(u32), mask M32x4;
    splat f32x4_splat; load |p: *const v128| v128_load(p); store |p: *mut v128, x| v128_store(p, x);
    add f32x4_add; sub f32x4_sub; mul f32x4_mul; div f32x4_div; sqrt f32x4_sqrt;
    mul_add |x, a, b| f32x4_add(f32x4_mul(x, a), b);
    lt f32x4_lt; le f32x4_le; eq f32x4_eq; select |m, yes, no| v128_bitselect(yes, no, m);
    least |a, b| f32x4_pmin(b, a); largest |a, b| f32x4_pmax(b, a);
    to_bits |x| x; from_bits |x| x;
}
float_lanes! {
    F64x2(v128) Simd128 f64 * 2, bits U64x2(u64), mask M64x2;
    splat f64x2_splat; load |p: *const v128| v128_load(p); store |p: *mut v128, x| v128_store(p, x);
    add f64x2_add; sub f64x2_sub; mul f64x2_mul; div f64x2_div; sqrt f64x2_sqrt;
    mul_add |x, a, b| f64x2_add(f64x2_mul(x, a), b);
    lt f64x2_lt; le f64x2_le; eq f64x2_eq; select |m, yes, no| v128_bitselect(yes, no, m);
    least |a, b| f64x2_pmin(b, a); largest |a, b| f64x2_pmax(b, a);
    to_bits |x| x; from_bits |x| x;
}
mask_lanes! {
    M32x4(v128);
    and v128_and; or v128_or; not v128_not; bits |m| u32::from(i32x4_bitmask(m));
}
mask_lanes! {
    M64x2(v128);
    and v128_and; or v128_or; not v128_not; bits |m| u32::from(i64x2_bitmask(m));
}
bit_lanes! {
    U32x4(v128) Simd128 u32 * 4;
    splat u32x4_splat; load |p: *const v128| v128_load(p); store |p: *mut v128, x| v128_store(p, x);
    add u32x4_add; sub u32x4_sub; and v128_and; or v128_or; xor v128_xor; and_not v128_andnot;
    shl u32x4_shl; shr u32x4_shr;
}
bit_lanes! {
    U64x2(v128) Simd128 u64 * 2;
    splat u64x2_splat; load |p: *const v128| v128_load(p); store |p: *mut v128, x| v128_store(p, x);
    add u64x2_add; sub u64x2_sub; and v128_and; or v128_or; xor v128_xor; and_not v128_andnot;
    shl u64x2_shl; shr u64x2_shr;
}
