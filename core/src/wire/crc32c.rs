//! CRC-32C (Castagnoli): the check that every frame and every saved state ends with.
//!
//! ```text
//! polynomial 0x1EDC6F41, reflected 0x82F63B78; initial value and final xor 0xFFFFFFFF
//! table[b] = b * x^8 mod P
//! crc <- table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
//! ```
//!
//! One table of 256 words (1 KB, built at compile time). Sixteen words would save 960 bytes of flash and
//! cost two dependent look-ups a byte. The usual fast form, slicing by eight, takes 8 KB, half of the flash of
//! a small device. We keep the 1 KB table and gain the speed elsewhere: a long input is cut
//! into four strands that run side by side, which hides the latency of the look-up, and the strands
//! are joined by multiplying with a power of `x` known at compile time.
//!
//! All errors of up to three bits are found, and all bursts of up to 32 bits, in any frame shorter
//! than 2^31 bits. CRC finds accidents; it is no defence against forgery.
//!
//! Reference: G. Castagnoli, S. Brauer, M. Herrmann (1993), "Optimization of cyclic redundancy-check
//! codes with 24 and 32 parity bits"; parameters as in RFC 3720, appendix B.4.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "widths of at most 64 bits times counts of 32, in u64"
)]

/// `P` with the bits reflected, without its leading term.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// Bytes of one strand of the four that run side by side.
const STRAND: usize = 256;

const TABLE: [u32; 256] = table();

/// `x^(8 * STRAND) mod P`, reflected.
const SHIFT: u32 = power(8 * STRAND as u32);

#[allow(
    clippy::indexing_slicing,
    reason = "evaluated by the compiler, which refuses an index out of range"
)]
const fn table() -> [u32; 256] {
    let mut table = [0_u32; 256];
    let mut b = 0;
    while b < 256 {
        let mut crc = b as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = times_x(crc);
            bit += 1;
        }
        table[b] = crc;
        b += 1;
    }
    table
}

/// `a * x mod P`; the highest power sits in the lowest bit.
const fn times_x(a: u32) -> u32 {
    (a >> 1) ^ if a & 1 == 1 { POLYNOMIAL } else { 0 }
}

/// `x^exponent mod P`.
const fn power(exponent: u32) -> u32 {
    let mut p = 1 << 31;
    let mut i = 0;
    while i < exponent {
        p = times_x(p);
        i += 1;
    }
    p
}

/// `a * b mod P`.
const fn product(a: u32, mut b: u32) -> u32 {
    let (mut sum, mut bit) = (0, 1_u32 << 31);
    while bit != 0 {
        if a & bit != 0 {
            sum ^= b;
        }
        b = times_x(b);
        bit >>= 1;
    }
    sum
}

/// A CRC-32C in the making.
///
/// ```
/// use thalweg::wire::Crc32c;
/// let mut crc = Crc32c::new();
/// crc.update(b"1234");
/// crc.update(b"56789");
/// assert_eq!(crc.value(), 0xE306_9283);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32c(u32);

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

impl Crc32c {
    /// The check of no bytes.
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Crc32c::new().value(), 0);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self(!0)
    }

    /// Appends bytes.
    ///
    /// ```
    /// let mut crc = thalweg::wire::Crc32c::new();
    /// crc.update(&[0; 32]);
    /// assert_eq!(crc.value(), 0x8A91_36AA); // RFC 3720, B.4
    /// ```
    pub fn update(&mut self, bytes: &[u8]) {
        let (groups, rest) = bytes.as_chunks::<{ 4 * STRAND }>();
        let mut crc = self.0;
        for group in groups {
            crc = four_strands(crc, group);
        }
        self.0 = rest.iter().fold(crc, |crc, &byte| one(crc, byte));
    }

    /// The check of all bytes so far.
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Crc32c::default().value(), 0);
    /// ```
    #[must_use]
    pub const fn value(self) -> u32 {
        !self.0
    }
}

/// CRC-32C of a slice.
///
/// ```
/// assert_eq!(thalweg::wire::crc32c(b"123456789"), 0xE306_9283);
/// ```
#[must_use]
pub fn crc32c(bytes: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(bytes);
    crc.value()
}

#[allow(
    clippy::indexing_slicing,
    reason = "a byte in a table of 256: no bounds check remains"
)]
#[inline(always)]
fn one(crc: u32, byte: u8) -> u32 {
    TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8)
}

/// Four independent strands; `crc(A B) = crc(A) * x^(8 |B|) + crc(B)` joins them.
#[allow(clippy::disallowed_methods, reason = "an array of four strands")]
fn four_strands(crc: u32, group: &[u8; 4 * STRAND]) -> u32 {
    let (a, rest) = group.split_at(STRAND);
    let (b, rest) = rest.split_at(STRAND);
    let (c, d) = rest.split_at(STRAND);
    let (mut p, mut q, mut r, mut s) = (crc, 0, 0, 0);
    for (((&a, &b), &c), &d) in a.iter().zip(b).zip(c).zip(d) {
        p = one(p, a);
        q = one(q, b);
        r = one(r, c);
        s = one(s, d);
    }
    product(product(product(p, SHIFT) ^ q, SHIFT) ^ r, SHIFT) ^ s
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// Bit by bit from the definition, no table.
    fn naive(bytes: &[u8]) -> u32 {
        let mut crc = !0_u32;
        for &byte in bytes {
            crc ^= u32::from(byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ ((crc & 1) * 0x82F6_3B78);
            }
        }
        !crc
    }

    #[test]
    fn known_answers_of_rfc_3720() {
        let up: Vec<u8> = (0..32).collect();
        let down: Vec<u8> = (0..32).rev().collect();
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8A91_36AA);
        assert_eq!(crc32c(&[0xFF; 32]), 0x62A8_AB43);
        assert_eq!(crc32c(&up), 0x46DD_794E);
        assert_eq!(crc32c(&down), 0x113F_DB5C);
    }

    #[test]
    fn strands_agree_with_the_definition_at_every_length_and_cut() {
        let bytes: Vec<u8> = (0..4097_u32)
            .map(|i| (i % 251) as u8 ^ (i >> 8) as u8)
            .collect();
        for n in [
            0, 1, 255, 256, 1003, 1023, 1024, 1025, 2047, 2048, 2049, 4096, 4097,
        ] {
            assert_eq!(crc32c(&bytes[..n]), naive(&bytes[..n]), "length {n}");
        }
        let whole = naive(&bytes);
        for cut in [0, 1, 7, 1000, 1024, 3000, 4097] {
            let mut crc = Crc32c::new();
            crc.update(&bytes[..cut]);
            crc.update(&bytes[cut..]);
            assert_eq!(crc.value(), whole, "cut {cut}");
        }
    }
}
