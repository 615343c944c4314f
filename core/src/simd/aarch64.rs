//! AArch64 NEON: 4 lanes of `f32`, 2 of `f64`. Every AArch64 target of Rust has it.

#![allow(unsafe_code, reason = "intrinsics")]
#![allow(
    unused_unsafe,
    reason = "NEON is part of the AArch64 baseline, so its intrinsics are safe there"
)]

use core::arch::aarch64::*;

use super::backend::{bit_lanes, float_lanes, mask_lanes, token};
use super::{BitLanes, Lanes};

token!(Neon, Neon, F32x4, F64x2, U32x4, U64x2);

float_lanes! {
    F32x4(float32x4_t) Neon f32 * 4, bits U32x4(u32), mask M32x4;
    splat vdupq_n_f32; load |p: *const f32| vld1q_f32(p); store |p: *mut f32, x| vst1q_f32(p, x);
    add vaddq_f32; sub vsubq_f32; mul vmulq_f32; div vdivq_f32; sqrt vsqrtq_f32;
    mul_add |x, a, b| vfmaq_f32(b, x, a);
    lt vcltq_f32; le vcleq_f32; eq vceqq_f32; select vbslq_f32;
    least |a, b| vbslq_f32(vcltq_f32(a, b), a, b); largest |a, b| vbslq_f32(vcltq_f32(b, a), a, b);
    to_bits vreinterpretq_u32_f32; from_bits vreinterpretq_f32_u32;
}
float_lanes! {
    F64x2(float64x2_t) Neon f64 * 2, bits U64x2(u64), mask M64x2;
    splat vdupq_n_f64; load |p: *const f64| vld1q_f64(p); store |p: *mut f64, x| vst1q_f64(p, x);
    add vaddq_f64; sub vsubq_f64; mul vmulq_f64; div vdivq_f64; sqrt vsqrtq_f64;
    mul_add |x, a, b| vfmaq_f64(b, x, a);
    lt vcltq_f64; le vcleq_f64; eq vceqq_f64; select vbslq_f64;
    least |a, b| vbslq_f64(vcltq_f64(a, b), a, b); largest |a, b| vbslq_f64(vcltq_f64(b, a), a, b);
    to_bits vreinterpretq_u64_f64; from_bits vreinterpretq_f64_u64;
}
mask_lanes! {
    M32x4(uint32x4_t);
    and vandq_u32; or vorrq_u32; not vmvnq_u32;
    bits |m| vaddvq_u32(vandq_u32(m, vld1q_u32([1, 2, 4, 8].as_ptr())));
}
mask_lanes! {
    M64x2(uint64x2_t);
    and vandq_u64; or vorrq_u64; not |m| veorq_u64(m, vdupq_n_u64(u64::MAX));
    bits |m| vaddvq_u64(vandq_u64(m, vld1q_u64([1, 2].as_ptr()))) as u32;
}
bit_lanes! {
    U32x4(uint32x4_t) Neon u32 * 4;
    splat vdupq_n_u32; load |p: *const u32| vld1q_u32(p); store |p: *mut u32, x| vst1q_u32(p, x);
    add vaddq_u32; sub vsubq_u32; and vandq_u32; or vorrq_u32; xor veorq_u32; and_not vbicq_u32;
    shl |a, n: u32| vshlq_u32(a, vdupq_n_s32(n as i32));
    shr |a, n: u32| vshlq_u32(a, vdupq_n_s32(-(n as i32)));
}
bit_lanes! {
    U64x2(uint64x2_t) Neon u64 * 2;
    splat vdupq_n_u64; load |p: *const u64| vld1q_u64(p); store |p: *mut u64, x| vst1q_u64(p, x);
    add vaddq_u64; sub vsubq_u64; and vandq_u64; or vorrq_u64; xor veorq_u64; and_not vbicq_u64;
    shl |a, n: u32| vshlq_u64(a, vdupq_n_s64(i64::from(n)));
    shr |a, n: u32| vshlq_u64(a, vdupq_n_s64(-i64::from(n)));
}
