//! AVX-512 (f, vl, bw, dq): 16 lanes of `f32`, 8 of `f64`, masks in mask registers.

#![allow(unsafe_code, reason = "intrinsics")]
#![allow(
    unused_unsafe,
    reason = "operations on mask registers are plain integer operations"
)]

use core::arch::x86_64::*;

use crate::simd::backend::{bit_lanes, float_lanes, mask_lanes, token};
use crate::simd::{BitLanes, Lanes};

token!(Avx512, Avx512, F32x16, F64x8, U32x16, U64x8);

float_lanes! {
    F32x16(__m512) Avx512 f32 * 16, bits U32x16(u32), mask M32x16;
    splat _mm512_set1_ps; load _mm512_loadu_ps; store _mm512_storeu_ps;
    add _mm512_add_ps; sub _mm512_sub_ps; mul _mm512_mul_ps; div _mm512_div_ps; sqrt _mm512_sqrt_ps;
    mul_add _mm512_fmadd_ps;
    lt _mm512_cmp_ps_mask::<_CMP_LT_OQ>; le _mm512_cmp_ps_mask::<_CMP_LE_OQ>; eq _mm512_cmp_ps_mask::<_CMP_EQ_OQ>;
    select |m, yes, no| _mm512_mask_blend_ps(m, no, yes);
    least _mm512_min_ps; largest _mm512_max_ps;
    to_bits _mm512_castps_si512; from_bits _mm512_castsi512_ps;
    #[inline(always)]
    fn rsqrt_factors(self) -> [Self; 2] {
        // SAFETY: `self` proves the instruction set.
        let y = Self(unsafe { _mm512_rsqrt14_ps(self.0) });
        [y, (self * y).mul_add(y, self.constant(-3.0))]
    }
    #[inline(always)]
    fn flush(self) -> Self {
        // SAFETY: `self` proves the instruction set.
        Self(unsafe {
            let exponents = _mm512_set1_epi32(0x7F80_0000);
            let normal = _mm512_test_epi32_mask(_mm512_castps_si512(self.0), exponents);
            _mm512_maskz_mov_ps(normal, self.0)
        })
    }
    #[inline(always)]
    fn has_sign(self) -> M32x16 {
        // SAFETY: `self` proves the instruction set.
        M32x16(unsafe { _mm512_cmp_ps_mask::<_CMP_NEQ_OQ>(self.0, _mm512_setzero_ps()) })
    }
}
float_lanes! {
    F64x8(__m512d) Avx512 f64 * 8, bits U64x8(u64), mask M64x8;
    splat _mm512_set1_pd; load _mm512_loadu_pd; store _mm512_storeu_pd;
    add _mm512_add_pd; sub _mm512_sub_pd; mul _mm512_mul_pd; div _mm512_div_pd; sqrt _mm512_sqrt_pd;
    mul_add _mm512_fmadd_pd;
    lt _mm512_cmp_pd_mask::<_CMP_LT_OQ>; le _mm512_cmp_pd_mask::<_CMP_LE_OQ>; eq _mm512_cmp_pd_mask::<_CMP_EQ_OQ>;
    select |m, yes, no| _mm512_mask_blend_pd(m, no, yes);
    least _mm512_min_pd; largest _mm512_max_pd;
    to_bits _mm512_castpd_si512; from_bits _mm512_castsi512_pd;
    #[inline(always)]
    fn flush(self) -> Self {
        // SAFETY: `self` proves the instruction set.
        Self(unsafe {
            let exponents = _mm512_set1_epi64(0x7FF0_0000_0000_0000);
            let normal = _mm512_test_epi64_mask(_mm512_castpd_si512(self.0), exponents);
            _mm512_maskz_mov_pd(normal, self.0)
        })
    }
    #[inline(always)]
    fn has_sign(self) -> M64x8 {
        // SAFETY: `self` proves the instruction set.
        M64x8(unsafe { _mm512_cmp_pd_mask::<_CMP_NEQ_OQ>(self.0, _mm512_setzero_pd()) })
    }
}
mask_lanes! {
    M32x16(__mmask16);
    and |a, b| a & b; or |a, b| a | b; not |m: u16| !m; bits u32::from;
}
mask_lanes! {
    M64x8(__mmask8);
    and |a, b| a & b; or |a, b| a | b; not |m: u8| !m; bits u32::from;
}
bit_lanes! {
    U32x16(__m512i) Avx512 u32 * 16;
    splat |x: u32| _mm512_set1_epi32(x as i32); load _mm512_loadu_si512; store _mm512_storeu_si512;
    add _mm512_add_epi32; sub _mm512_sub_epi32;
    and _mm512_and_si512; or _mm512_or_si512; xor _mm512_xor_si512;
    and_not |a, m| _mm512_andnot_si512(m, a);
    shl |a, n: u32| _mm512_sll_epi32(a, _mm_cvtsi32_si128(n as i32));
    shr |a, n: u32| _mm512_srl_epi32(a, _mm_cvtsi32_si128(n as i32));
}
bit_lanes! {
    U64x8(__m512i) Avx512 u64 * 8;
    splat |x: u64| _mm512_set1_epi64(x as i64); load _mm512_loadu_si512; store _mm512_storeu_si512;
    add _mm512_add_epi64; sub _mm512_sub_epi64;
    and _mm512_and_si512; or _mm512_or_si512; xor _mm512_xor_si512;
    and_not |a, m| _mm512_andnot_si512(m, a);
    shl |a, n: u32| _mm512_sll_epi64(a, _mm_cvtsi32_si128(n as i32));
    shr |a, n: u32| _mm512_srl_epi64(a, _mm_cvtsi32_si128(n as i32));
}
