//! 32-bit ARM with a floating-point unit: the hardware square root.
//!
//! Lanes are scalar there; `libm::sqrtf` is a software routine of some 100 instructions.

#![allow(unsafe_code, reason = "one instruction of assembly")]

/// Correctly rounded square root by `vsqrt.f32`.
#[inline(always)]
pub(crate) fn sqrt_f32(x: f32) -> f32 {
    // The operand class of these registers is not open to inline assembly on stable Rust, so the
    // instruction sits in a separate function, whose argument and result are s0 by the calling convention;
    // nor is its mnemonic, so it is spelt in its encoding (the same in Thumb and ARM state).
    #[unsafe(naked)]
    extern "C" fn vsqrt(x: f32) -> f32 {
        core::arch::naked_asm!(".inst 0xeeb10ac0 @ vsqrt.f32 s0, s0", "bx lr")
    }
    vsqrt(x)
}
