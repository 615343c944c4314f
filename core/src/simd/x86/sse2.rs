//! SSE2: 4 lanes of `f32`, 2 of `f64`. There is no fused multiply-add and no blend.

#![allow(unsafe_code, reason = "intrinsics")]
#![allow(
    unused_unsafe,
    reason = "SSE2 is part of the x86-64 baseline, so its intrinsics are safe there"
)]

use core::arch::x86_64::*;

use crate::simd::backend::{bit_lanes, float_lanes, mask_lanes, token};
use crate::simd::{BitLanes, Lanes};

token!(Sse2, Sse2, F32x4, F64x2, U32x4, U64x2);

float_lanes! {
    F32x4(__m128) Sse2 f32 * 4, bits U32x4(u32), mask M32x4;
    splat _mm_set1_ps; load _mm_loadu_ps; store _mm_storeu_ps;
    add _mm_add_ps; sub _mm_sub_ps; mul _mm_mul_ps; div _mm_div_ps; sqrt _mm_sqrt_ps;
    mul_add |x, a, b| _mm_add_ps(_mm_mul_ps(x, a), b);
    lt _mm_cmplt_ps; le _mm_cmple_ps; eq _mm_cmpeq_ps;
    select |m, yes, no| _mm_or_ps(_mm_and_ps(m, yes), _mm_andnot_ps(m, no));
    least _mm_min_ps; largest _mm_max_ps;
    to_bits _mm_castps_si128; from_bits _mm_castsi128_ps;
}
float_lanes! {
    F64x2(__m128d) Sse2 f64 * 2, bits U64x2(u64), mask M64x2;
    splat _mm_set1_pd; load _mm_loadu_pd; store _mm_storeu_pd;
    add _mm_add_pd; sub _mm_sub_pd; mul _mm_mul_pd; div _mm_div_pd; sqrt _mm_sqrt_pd;
    mul_add |x, a, b| _mm_add_pd(_mm_mul_pd(x, a), b);
    lt _mm_cmplt_pd; le _mm_cmple_pd; eq _mm_cmpeq_pd;
    select |m, yes, no| _mm_or_pd(_mm_and_pd(m, yes), _mm_andnot_pd(m, no));
    least _mm_min_pd; largest _mm_max_pd;
    to_bits _mm_castpd_si128; from_bits _mm_castsi128_pd;
}
mask_lanes! {
    M32x4(__m128);
    and _mm_and_ps; or _mm_or_ps;
    not |m| _mm_xor_ps(m, _mm_castsi128_ps(_mm_set1_epi32(-1)));
    bits |m| _mm_movemask_ps(m) as u32;
}
mask_lanes! {
    M64x2(__m128d);
    and _mm_and_pd; or _mm_or_pd;
    not |m| _mm_xor_pd(m, _mm_castsi128_pd(_mm_set1_epi32(-1)));
    bits |m| _mm_movemask_pd(m) as u32;
}
bit_lanes! {
    U32x4(__m128i) Sse2 u32 * 4;
    splat |x: u32| _mm_set1_epi32(x as i32); load _mm_loadu_si128; store _mm_storeu_si128;
    add _mm_add_epi32; sub _mm_sub_epi32;
    and _mm_and_si128; or _mm_or_si128; xor _mm_xor_si128; and_not |a, m| _mm_andnot_si128(m, a);
    shl |a, n: u32| _mm_sll_epi32(a, _mm_cvtsi32_si128(n as i32));
    shr |a, n: u32| _mm_srl_epi32(a, _mm_cvtsi32_si128(n as i32));
}
bit_lanes! {
    U64x2(__m128i) Sse2 u64 * 2;
    splat |x: u64| _mm_set1_epi64x(x as i64); load _mm_loadu_si128; store _mm_storeu_si128;
    add _mm_add_epi64; sub _mm_sub_epi64;
    and _mm_and_si128; or _mm_or_si128; xor _mm_xor_si128; and_not |a, m| _mm_andnot_si128(m, a);
    shl |a, n: u32| _mm_sll_epi64(a, _mm_cvtsi32_si128(n as i32));
    shr |a, n: u32| _mm_srl_epi64(a, _mm_cvtsi32_si128(n as i32));
}
