//! Fields of a few bits each, packed without gaps, lowest bit first.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "widths of at most 64 bits times counts of 32, in u64"
)]

/// Reads `width`-bit fields from bytes.
///
/// ```
/// use thalweg::wire::Bits;
/// // 5, 3, 6 in three bits each: 110 011 101, read from the right.
/// let fields: Vec<u32> = Bits::new(&[0b1001_1101, 0b1], 3, 3).collect();
/// assert_eq!(fields, [5, 3, 6]);
/// ```
#[derive(Clone, Debug)]
pub struct Bits<'a> {
    bytes: core::slice::Iter<'a, u8>,
    /// Bits taken from `bytes` and not yet handed out: the low `held` ones.
    window: u64,
    held: u32,
    width: u32,
    left: usize,
}

impl<'a> Bits<'a> {
    /// `count` fields of `width` bits (at most 32; a larger width reads as 32).
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Bits::new(&[0xFF], 8, 1).next(), Some(255));
    /// ```
    #[must_use]
    pub fn new(bytes: &'a [u8], width: u32, count: usize) -> Self {
        Self {
            bytes: bytes.iter(),
            window: 0,
            held: 0,
            width: width.min(32),
            left: count,
        }
    }

    /// Whether the bits that are left are all zero.
    pub(super) fn is_clear(&self) -> bool {
        self.window == 0 && self.bytes.as_slice().iter().all(|&byte| byte == 0)
    }
}

impl Iterator for Bits<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        self.left = self.left.checked_sub(1)?;
        while self.held < self.width {
            // At most 31 bits are held here, so the shift is below 32.
            self.window |= u64::from(*self.bytes.next()?) << self.held;
            self.held += 8;
        }
        let field = (self.window & ((1_u64 << self.width) - 1)) as u32;
        self.window >>= self.width;
        self.held -= self.width;
        Some(field)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }
}

/// Writes fields of `width` bits; bits of a field above its width are dropped, the last byte is
/// padded with zeros, and what does not fit is dropped.
pub(super) fn pack(out: &mut [u8], width: u32, fields: impl Iterator<Item = u32>) {
    let width = width.min(32);
    let mask = (1_u64 << width) - 1;
    let (mut window, mut held) = (0_u64, 0_u32);
    let mut out = out.iter_mut();
    for field in fields {
        window |= (u64::from(field) & mask) << held;
        held += width;
        while held >= 8 {
            let Some(byte) = out.next() else { return };
            *byte = window as u8;
            window >>= 8;
            held -= 8;
        }
    }
    if held > 0
        && let Some(byte) = out.next()
    {
        *byte = window as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn every_width_comes_back() {
        for width in 0..=32_u32 {
            let mask = ((1_u64 << width) - 1) as u32;
            for count in [0_usize, 1, 7, 8, 9, 31, 33, 1003] {
                let fields: Vec<u32> = (0..count as u32)
                    .map(|i| i.wrapping_mul(0x9E37_79B9) & mask)
                    .collect();
                let mut bytes = vec![0xAA; (count * width as usize).div_ceil(8)];
                pack(&mut bytes, width, fields.iter().copied());
                let mut bits = Bits::new(&bytes, width, count);
                let back: Vec<u32> = bits.by_ref().collect();
                assert_eq!(back, fields, "width {width}, count {count}");
                assert!(bits.is_clear(), "width {width}, count {count}");
            }
        }
    }

    #[test]
    fn what_is_not_needed_is_left_alone() {
        let mut out = [0xAA; 3];
        pack(&mut out, 4, [1, 2, 3, 4].into_iter());
        assert_eq!(out, [0x21, 0x43, 0xAA]);
        pack(&mut out, 4, [5].into_iter());
        assert_eq!(out, [0x05, 0x43, 0xAA]);
    }

    #[test]
    fn whatever_stands_behind_the_fields_is_seen() {
        for (bytes, clear) in [
            (&[0b111][..], true),
            (&[0b1111], false),
            (&[0b111, 0], true),
            (&[0b111, 0, 1], false),
        ] {
            let mut bits = Bits::new(bytes, 3, 1);
            assert_eq!((bits.next(), bits.is_clear()), (Some(7), clear));
        }
    }

    #[test]
    fn the_hint_is_the_number_of_fields_left() {
        let mut bits = Bits::new(&[0xFF; 2], 5, 9);
        assert_eq!(bits.size_hint(), (0, Some(9)));
        bits.next();
        assert_eq!(bits.size_hint(), (0, Some(8)));
    }

    #[test]
    fn short_bytes_end_the_fields() {
        assert_eq!(Bits::new(&[0xFF], 5, 9).count(), 1);
    }
}
