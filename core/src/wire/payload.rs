//! What is inside a frame: slices on the way out, views on the way in.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "widths of at most 64 bits times counts of 32, in u64"
)]

use core::marker::PhantomData;

use super::bits::Bits;
use crate::Real;

/// The content of a frame to be written.
///
/// ```
/// use thalweg::wire::{Body, Dtype, Header, Kind, encode_into};
/// let mut out = [0; 64];
/// let header = Header::new(Kind::Sparse, Dtype::F32, 8, 2);
/// let body = Body::Sparse { indices: &[1, 6], values: &[0.5_f32, -3.0] };
/// assert_eq!(encode_into(&header, &body, &mut out), Ok(52 + 1 + 8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Body<'a, T: Real> {
    /// [`Kind::Hello`](super::Kind::Hello).
    Hello {
        /// Samples that the client holds: its weight in an average.
        samples: u64,
    },
    /// Model, Estimate, Dense, Jacobian, Candidate, Losses: `d` values. PermK, RandK, RandSeqK: `k` values in the order of the shared
    /// draw. Logits: `k` rows of `d` values.
    Values(&'a [T]),
    /// Sparse.
    Sparse {
        /// `k` indices, strictly increasing, below `d`.
        indices: &'a [u32],
        /// `k` values.
        values: &'a [T],
    },
    /// Natural: `d` values, each zero or a normal power of two with a sign.
    Natural(&'a [T]),
    /// Sign.
    Sign {
        /// Magnitude of every entry.
        scale: T,
        /// `d` values of which only the sign bit is sent.
        values: &'a [T],
    },
    /// Dithered, NaturalDithered.
    Dithered {
        /// Norm that the levels divide.
        norm: T,
        /// `d` signed levels in `-k..=k`.
        levels: &'a [i32],
    },
    /// Round.
    Round {
        /// Whether this round is uncompressed.
        full: bool,
    },
    /// Ack, Drop, Stop.
    Empty,
    /// QuantisedJacobian.
    Quantised {
        /// Number of the sample.
        sample: u32,
        /// Least and largest magnitude of the elements that are sent.
        range: [T; 2],
        /// Indices, strictly increasing, below `d`.
        indices: &'a [u32],
        /// A code for each: the level in the low bits of [`Kept::bits`], the sign in the bit above.
        codes: &'a [u32],
    },
    /// Labels: `k` classes below `d`.
    Classes(&'a [u32]),
    /// PublicKey, SealedSeed: `k` bytes.
    Bytes(&'a [u8]),
}

/// What a frame says of a quantised row in place of its count: bits of a level, and elements that are sent.
///
/// ```
/// use thalweg::wire::Kept;
/// let kept = Kept { bits: 8, count: 1000 };
/// assert_eq!(kept.code(), (8 << 27) + 1000);
/// assert_eq!(Kept::from_code(kept.code()), kept);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kept {
    /// Bits of a level, 1 to [`MAX_BITS`](Self::MAX_BITS).
    pub bits: u32,
    /// Elements that are sent, at most [`MAX_COUNT`](Self::MAX_COUNT).
    pub count: u32,
}

impl Kept {
    /// Most bits of a level, so that each level is an `f32`.
    pub const MAX_BITS: u32 = 24;
    /// Most elements.
    pub const MAX_COUNT: u32 = (1 << 27) - 1;

    /// The `k` of the frame; of bits and count only as many bits as there are places.
    #[must_use]
    pub const fn code(self) -> u32 {
        (self.bits << 27) | (self.count & Self::MAX_COUNT)
    }

    /// From the `k` of a frame.
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        Self {
            bits: code >> 27,
            count: code & Self::MAX_COUNT,
        }
    }
}

/// The content of a frame that has been read, as views of its bytes.
///
/// ```
/// use thalweg::wire::{Body, Dtype, Expect, Header, Kind, Payload, decode, encode_into};
/// let mut bytes = [0; 60];
/// let header = Header::new(Kind::PermK, Dtype::F32, 9, 2);
/// encode_into(&header, &Body::Values(&[1.5_f32, -2.0]), &mut bytes)?;
/// let frame = decode(&bytes, &Expect::default())?;
/// let Payload::Values(values) = frame.payload::<f32>()? else { unreachable!() };
/// assert_eq!(values.iter().sum::<f32>(), -0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Payload<'a, T: Real> {
    /// [`Kind::Hello`](super::Kind::Hello).
    Hello {
        /// Samples that the client holds.
        samples: u64,
    },
    /// Model, Estimate, Dense, PermK, RandK, RandSeqK, Jacobian, Logits, Candidate, Losses.
    Values(Values<'a, T>),
    /// Sparse.
    Sparse {
        /// Strictly increasing indices below `d`.
        indices: Packed<'a>,
        /// Their values.
        values: Values<'a, T>,
    },
    /// Natural.
    Natural(Exponents<'a, T>),
    /// Sign.
    Sign {
        /// Magnitude of every entry.
        scale: T,
        /// One bit each: 1 stands for minus.
        signs: Packed<'a>,
    },
    /// Dithered, NaturalDithered.
    Dithered {
        /// Norm that the levels divide.
        norm: T,
        /// Signed levels.
        levels: Levels<'a>,
    },
    /// Round.
    Round {
        /// Whether this round is uncompressed.
        full: bool,
    },
    /// Ack, Drop, Stop.
    Empty,
    /// QuantisedJacobian.
    Quantised(QuantisedRow<'a, T>),
    /// Labels.
    Classes(Packed<'a>),
    /// PublicKey, SealedSeed.
    Bytes(&'a [u8]),
}

/// The large elements of a row, in levels between the least and the largest magnitude.
///
/// ```text
/// value = sign (least + level (largest - least) / (2^q - 1)), exactly the largest at the last level
/// ```
///
/// ```
/// use thalweg::wire::*;
/// let header = Header::new(Kind::QuantisedJacobian, Dtype::F32, 8, Kept { bits: 2, count: 2 }.code());
/// let body = Body::Quantised { sample: 7, range: [1.0_f32, 2.5], indices: &[1, 6], codes: &[0b011, 0b101] };
/// let mut bytes = [0; 66];
/// encode_into(&header, &body, &mut bytes)?;
/// let Payload::Quantised(row) = decode(&bytes, &Expect::default())?.payload::<f32>()? else { unreachable!() };
/// assert_eq!((row.sample, row.range), (7, [1.0, 2.5]));
/// assert_eq!(row.iter().collect::<Vec<_>>(), [(1, 2.5), (6, -1.5)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct QuantisedRow<'a, T> {
    /// Number of the sample.
    pub sample: u32,
    /// Least and largest magnitude.
    pub range: [T; 2],
    pub(super) bits: u32,
    pub(super) indices: Packed<'a>,
    pub(super) codes: Packed<'a>,
}

impl<'a, T: Real> QuantisedRow<'a, T> {
    /// Number of elements that were sent.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indices.len
    }

    /// No elements.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The elements in order, with their indices.
    pub fn iter(&self) -> impl Iterator<Item = (u32, T)> + Clone + use<'a, T> {
        let bits = self.bits.clamp(1, Kept::MAX_BITS);
        let ([least, largest], sign) = (self.range, 1_u32 << bits);
        let last = sign - 1;
        let step = (largest - least) / T::from_f64(last.into());
        self.indices
            .iter()
            .zip(self.codes.iter())
            .map(move |(index, code)| {
                let level = code & last;
                let size = if level == last && least < largest {
                    largest
                } else {
                    least + T::from_f64(level.into()) * step
                };
                (index, if code & sign == 0 { size } else { -size })
            })
    }
}

/// Values at any alignment, little-endian.
///
/// ```
/// # use thalweg::wire::*;
/// let mut bytes = [0; 60];
/// encode_into(&Header::new(Kind::Model, Dtype::F32, 2, 2), &Body::Values(&[1.0_f32, 4.0]), &mut bytes)?;
/// let Payload::Values(values) = decode(&bytes, &Expect::default())?.payload::<f32>()? else { unreachable!() };
/// assert_eq!((values.len(), values.get(1)), (2, Some(4.0)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Values<'a, T> {
    bytes: &'a [u8],
    scalar: PhantomData<T>,
}

impl<'a, T: Real> Values<'a, T> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            scalar: PhantomData,
        }
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / T::BYTES
    }

    /// No values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The value at a position.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<T> {
        let start = i.checked_mul(T::BYTES)?;
        self.bytes
            .get(start..start.checked_add(T::BYTES)?)
            .map(load)
    }

    /// The values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = T> + Clone + use<'a, T> {
        self.bytes.chunks_exact(T::BYTES).map(load)
    }

    /// Copies the values.
    ///
    /// # Errors
    /// [`Error::Length`](crate::Error::Length) when `out` has another length.
    pub fn copy_into(&self, out: &mut [T]) -> Result<(), crate::Error> {
        crate::error::check_length("out", self.len(), out.len())?;
        for (to, from) in out.iter_mut().zip(self.iter()) {
            *to = from;
        }
        Ok(())
    }
}

/// Packed unsigned fields: indices, or signs of one bit.
///
/// ```
/// # use thalweg::wire::*;
/// let mut bytes = [0; 61];
/// let body = Body::Sparse { indices: &[1, 6], values: &[1.0_f32, 4.0] };
/// encode_into(&Header::new(Kind::Sparse, Dtype::F32, 8, 2), &body, &mut bytes)?;
/// let Payload::Sparse { indices, .. } = decode(&bytes, &Expect::default())?.payload::<f32>()? else { unreachable!() };
/// assert_eq!(indices.iter().collect::<Vec<_>>(), [1, 6]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    bytes: &'a [u8],
    width: u32,
    len: usize,
}

impl<'a> Packed<'a> {
    pub(super) fn new(bytes: &'a [u8], width: u32, len: usize) -> Self {
        Self { bytes, width, len }
    }

    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No fields.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The fields in order.
    #[must_use]
    pub fn iter(&self) -> Bits<'a> {
        Bits::new(self.bytes, self.width, self.len)
    }
}

/// Signed powers of two.
///
/// ```
/// # use thalweg::wire::*;
/// let mut bytes = [0; 55];
/// encode_into(&Header::new(Kind::Natural, Dtype::F32, 2, 2), &Body::Natural(&[0.25_f32, -8.0]), &mut bytes)?;
/// let Payload::Natural(values) = decode(&bytes, &Expect::default())?.payload::<f32>()? else { unreachable!() };
/// assert_eq!(values.iter().collect::<Vec<_>>(), [0.25, -8.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Exponents<'a, T> {
    codes: Packed<'a>,
    scalar: PhantomData<T>,
}

impl<'a, T: Real> Exponents<'a, T> {
    pub(super) fn new(codes: Packed<'a>) -> Self {
        Self {
            codes,
            scalar: PhantomData,
        }
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len
    }

    /// No values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The values in order.
    pub fn iter(&self) -> impl Iterator<Item = T> + Clone + use<'a, T> {
        self.codes
            .iter()
            .map(|code| T::from_bits_u64(u64::from(code) << mantissa_bits::<T>()))
    }
}

/// Signed levels.
///
/// ```
/// # use thalweg::wire::*;
/// let mut bytes = [0; 57];
/// let body = Body::Dithered { norm: 2.0_f32, levels: &[3, -1] };
/// encode_into(&Header::new(Kind::Dithered, Dtype::F32, 2, 3), &body, &mut bytes)?;
/// let Payload::Dithered { levels, .. } = decode(&bytes, &Expect::default())?.payload::<f32>()? else { unreachable!() };
/// assert_eq!(levels.iter().collect::<Vec<_>>(), [3, -1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Levels<'a> {
    codes: Packed<'a>,
}

impl<'a> Levels<'a> {
    pub(super) fn new(codes: Packed<'a>) -> Self {
        Self { codes }
    }

    /// Number of levels sent, `d`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.codes.len
    }

    /// No levels.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// The levels in order.
    pub fn iter(&self) -> impl Iterator<Item = i32> + Clone + use<'a> {
        // A level has at least two bits, one of sign; at most 32.
        let sign = 1_u32 << self.codes.width.saturating_sub(1).min(31);
        self.codes.iter().map(move |code| {
            let magnitude = (code & (sign - 1)) as i32;
            if code & sign == 0 {
                magnitude
            } else {
                -magnitude
            }
        })
    }

    /// The codes as sent: magnitude in the low bits, sign above.
    pub(super) fn codes(&self) -> Packed<'a> {
        self.codes
    }
}

/// Bits below the exponent.
pub(super) const fn mantissa_bits<T: Real>() -> u32 {
    if T::BYTES == 4 { 23 } else { 52 }
}

/// Reads one value; missing bytes read as zero.
#[inline(always)]
pub(super) fn load<T: Real>(bytes: &[u8]) -> T {
    let mut wide = [0; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    T::from_bits_u64(u64::from_le_bytes(wide))
}

/// Writes one value; bytes beyond the value are left alone.
#[inline(always)]
pub(super) fn store<T: Real>(value: T, out: &mut [u8]) {
    let bytes = value.to_bits_u64().to_le_bytes();
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = from;
    }
}
