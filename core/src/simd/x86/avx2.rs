//! AVX2 with FMA: 8 lanes of `f32`, 4 of `f64`.

#![allow(unsafe_code, reason = "intrinsics")]

use core::arch::x86_64::*;

use crate::simd::backend::{bit_lanes, float_lanes, mask_lanes, token};
use crate::simd::{BitLanes, Lanes};

token!(Avx2, Avx2, F32x8, F64x4, U32x8, U64x4);

float_lanes! {
    F32x8(__m256) Avx2 f32 * 8, bits U32x8(u32), mask M32x8;
    splat _mm256_set1_ps; load _mm256_loadu_ps; store _mm256_storeu_ps;
    add _mm256_add_ps; sub _mm256_sub_ps; mul _mm256_mul_ps; div _mm256_div_ps; sqrt _mm256_sqrt_ps;
    mul_add _mm256_fmadd_ps;
    lt _mm256_cmp_ps::<_CMP_LT_OQ>; le _mm256_cmp_ps::<_CMP_LE_OQ>; eq _mm256_cmp_ps::<_CMP_EQ_OQ>;
    select |m, yes, no| _mm256_blendv_ps(no, yes, m);
    least _mm256_min_ps; largest _mm256_max_ps;
    to_bits _mm256_castps_si256; from_bits _mm256_castsi256_ps;
    #[inline(always)]
    fn rsqrt_factors(self) -> [Self; 2] {
        // SAFETY: `self` proves the instruction set.
        let y = Self(unsafe { _mm256_rsqrt_ps(self.0) });
        [y, (self * y).mul_add(y, self.constant(-3.0))]
    }
    #[inline(always)]
    fn clear(self, mask: M32x8) -> Self {
        // SAFETY: `self` proves the instruction set.
        Self(unsafe { _mm256_andnot_ps(mask.0, self.0) })
    }
    #[inline(always)]
    fn has_sign(self) -> M32x8 {
        // SAFETY: `self` proves the instruction set.
        M32x8(unsafe { _mm256_cmp_ps::<_CMP_NEQ_OQ>(self.0, _mm256_setzero_ps()) })
    }
}
float_lanes! {
    F64x4(__m256d) Avx2 f64 * 4, bits U64x4(u64), mask M64x4;
    splat _mm256_set1_pd; load _mm256_loadu_pd; store _mm256_storeu_pd;
    add _mm256_add_pd; sub _mm256_sub_pd; mul _mm256_mul_pd; div _mm256_div_pd; sqrt _mm256_sqrt_pd;
    mul_add _mm256_fmadd_pd;
    lt _mm256_cmp_pd::<_CMP_LT_OQ>; le _mm256_cmp_pd::<_CMP_LE_OQ>; eq _mm256_cmp_pd::<_CMP_EQ_OQ>;
    select |m, yes, no| _mm256_blendv_pd(no, yes, m);
    least _mm256_min_pd; largest _mm256_max_pd;
    to_bits _mm256_castpd_si256; from_bits _mm256_castsi256_pd;
    #[inline(always)]
    fn clear(self, mask: M64x4) -> Self {
        // SAFETY: `self` proves the instruction set.
        Self(unsafe { _mm256_andnot_pd(mask.0, self.0) })
    }
    #[inline(always)]
    fn has_sign(self) -> M64x4 {
        // SAFETY: `self` proves the instruction set.
        M64x4(unsafe { _mm256_cmp_pd::<_CMP_NEQ_OQ>(self.0, _mm256_setzero_pd()) })
    }
}
mask_lanes! {
    M32x8(__m256);
    and _mm256_and_ps; or _mm256_or_ps;
    not |m| _mm256_xor_ps(m, _mm256_castsi256_ps(_mm256_set1_epi32(-1)));
    bits |m| _mm256_movemask_ps(m) as u32;
}
mask_lanes! {
    M64x4(__m256d);
    and _mm256_and_pd; or _mm256_or_pd;
    not |m| _mm256_xor_pd(m, _mm256_castsi256_pd(_mm256_set1_epi32(-1)));
    bits |m| _mm256_movemask_pd(m) as u32;
}
bit_lanes! {
    U32x8(__m256i) Avx2 u32 * 8;
    splat |x: u32| _mm256_set1_epi32(x as i32); load _mm256_loadu_si256; store _mm256_storeu_si256;
    add _mm256_add_epi32; sub _mm256_sub_epi32;
    and _mm256_and_si256; or _mm256_or_si256; xor _mm256_xor_si256;
    and_not |a, m| _mm256_andnot_si256(m, a);
    shl |a, n: u32| _mm256_sll_epi32(a, _mm_cvtsi32_si128(n as i32));
    shr |a, n: u32| _mm256_srl_epi32(a, _mm_cvtsi32_si128(n as i32));
}
bit_lanes! {
    U64x4(__m256i) Avx2 u64 * 4;
    splat |x: u64| _mm256_set1_epi64x(x as i64); load _mm256_loadu_si256; store _mm256_storeu_si256;
    add _mm256_add_epi64; sub _mm256_sub_epi64;
    and _mm256_and_si256; or _mm256_or_si256; xor _mm256_xor_si256;
    and_not |a, m| _mm256_andnot_si256(m, a);
    shl |a, n: u32| _mm256_sll_epi64(a, _mm_cvtsi32_si128(n as i32));
    shr |a, n: u32| _mm256_srl_epi64(a, _mm_cvtsi32_si128(n as i32));
}
