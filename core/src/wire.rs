//! Frames: what clients and server send each other, as bytes in the caller's slices.
//!
//! A frame is a fixed header, a payload whose length follows from the header, and a check. Everything is
//! little-endian. [`encode_into`] writes a frame into a slice, [`decode`] lends its parts without a
//! copy, [`Deframer`] finds frames in a stream of bytes, and [`frame_len`] tells how much follows a header.
//!
//! ```text
//! offset  bytes  field
//!      0      4  magic D7 'T' 'W' 'F' (no text file starts with D7 54)
//!      4      1  major version, 1
//!      5      1  minor version, 0
//!      6      1  kind
//!      7      1  scalar type: 0 none, 1 f32, 2 f64, 3 reserved for bf16
//!      8      2  flags: bit 0, values may be NaN or infinite
//!     10      2  length of the tail, t
//!     12      4  client, FFFFFFFF for the server
//!     16      8  round
//!     24      8  seed of the run
//!     32      4  d, dimension
//!     36      4  k, values sent (dithered kinds: number of levels; Hello: version of the algorithms, fingerprint of the settings;
//!                kinds 17 to 24: below)
//!     40      4  length of the payload, p
//!     44      4  CRC-32C of bytes 0..44
//!     48      p  payload
//!   48+p      t  tail, empty in minor version 0
//! 48+p+t      4  CRC-32C of bytes 0..44 and 48..48+p+t
//! ```
//!
//! The order has three reasons. Magic and major come first, since they alone keep their place in
//! every version. The 64-bit fields lie at multiples of eight and the payload at a multiple of
//! sixteen. The header has a separate check, so that a stream never waits for a length that a flipped bit
//! made up. The check of the whole comes last, so that a sender can compute it while the bytes leave;
//! it continues the header's check and skips its four bytes.
//!
//! # Kinds and payloads
//!
//! ```text
//! code kind              k       payload                                              payload bits
//!   1  Hello             any     number of samples, u64                               64
//!   2  Model             d       values                                               B d
//!   3  Estimate          d       values                                               B d
//!   4  Dense             d       values                                               B d
//!   5  PermK             <= d    values                                               B k
//!   6  RandK             <= d    values                                               B k
//!   7  RandSeqK          <= d    values                                               B k
//!   8  Sparse            <= d    k indices of w bits, padding to a byte, values       (w + B) k
//!   9  Natural           d       d codes: exponent, then sign                         9 d (f64: 12 d)
//!  10  Sign              d       scale, d bits (1: negative)                          B + d
//!  11  Dithered          levels  norm, d codes: magnitude, then sign                  B + (1 + v) d
//!  12  NaturalDithered   levels  as Dithered; level j stands for 2^(j - k) of the norm
//!  13  Round             0       one byte: the coin, 0 compressed, 1 full             8
//!  14  Ack               0       none                                                 0
//!  15  Drop              0       none                                                 0
//!  16  Stop              0       none                                                 0
//!  17  Jacobian          sample  values, the C x P slopes of one sample's outputs      B d
//!  18  QuantisedJacobian kept    sample u32, least and largest magnitude, n indices,   32 + 2 B + (w + 1 + q) n
//!                                n codes: level of q bits, then sign
//!  19  Labels            samples k classes below d                                     w k
//!  20  Logits            samples k rows of d values                                    B d k
//!  21  Candidate         number  values                                               B d
//!  22  Losses            d       values                                               B d
//!  23  PublicKey         bytes   k bytes                                              8 k
//!  24  SealedSeed        bytes   k bytes                                              8 k
//!
//! B = 32 or 64, w = ceil(log2 d), v = ceil(log2(k + 1)); the k of kind 18 is Kept: q in its highest 5 bits, n in the other 27
//! ```
//!
//! The `k` of a Hello is a [`Fingerprint`]: the version of this crate's algorithms, and 24 bits that whoever drives the run computes from its
//! settings. [`message`] writes and reads what a compressor sends.
//! The `round` of a Stop is 2^64 - 1 where the run ended early, and that of a server's Hello 1 where it refuses the client's replies;
//! readers that do not look at it see a Stop and a Hello.
//! Kinds 17 to 24 are those of [`federated::ntk`](crate::federated::ntk). The `d` of a Jacobian is the length of the row, `C P`; that of Labels
//! and Logits is the number of classes.
//! PermK, RandK and RandSeqK send no indices: both ends derive them from (seed, round, client). Packed
//! fields fill each byte from its lowest bit, and the bits past the last field are zero.
//!
//! # One form
//!
//! Equal contents have equal bytes: indices increase strictly and stay below `d`, padding and unknown
//! flags are zero, a level of minus zero does not exist, and a frame of minor version 0 has no tail. [`decode`]
//! refuses the rest by name. A later minor version may append a tail of (tag `u16`, length `u16`,
//! value) entries; this build checks that they fill the tail and skips them.
//!
//! CRC finds accidents. Authenticity belongs to the transport around the frames.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "widths of at most 64 bits times counts of 32, in u64"
)]

mod bits;
mod crc32c;
mod decode;
mod encode;
mod error;
mod fingerprint;
pub mod message;
mod payload;
mod stream;
#[cfg(test)]
mod tests;

pub use bits::Bits;
pub use crc32c::{Crc32c, crc32c};
pub use decode::{Checked, Expect, Frame, decode, frame_len};
pub(crate) use encode::{classes_into, quantised_into};
pub use encode::{encode_into, seal, start};
pub use error::{DecodeError, EncodeError};
pub use fingerprint::Fingerprint;
pub use payload::{Body, Exponents, Kept, Levels, Packed, Payload, QuantisedRow, Values};
pub use stream::{Deframer, Position};

use crate::Real;

/// The first four bytes of every frame.
pub const MAGIC: [u8; 4] = *b"\xD7TWF";
/// Major version: another one is refused.
pub const MAJOR: u8 = 1;
/// Minor version: what a higher one appends is skipped.
pub const MINOR: u8 = 0;
/// Bytes of the header.
pub const HEADER: usize = 48;
/// Bytes of a frame in addition to its payload.
pub const OVERHEAD: usize = HEADER + 4;
/// The `client` of a frame that the server sends.
pub const SERVER: u32 = u32::MAX;
/// Flag: values may be NaN or infinite.
pub const ALLOW_NON_FINITE: u16 = 1;
/// Default cap on the length of a frame, 256 MiB.
pub const CAP: usize = 1 << 28;

/// What a frame carries.
///
/// ```
/// use thalweg::wire::Kind;
/// assert_eq!(Kind::PermK.code(), 5);
/// assert_eq!(Kind::from_code(5), Some(Kind::PermK));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// A client joins; it states its number of samples.
    Hello = 1,
    /// The server broadcasts the model, all `d` values.
    Model = 2,
    /// The server broadcasts its gradient estimate, all `d` values.
    Estimate = 3,
    /// A client sends all `d` values.
    Dense = 4,
    /// The values of a client's block of the shared permutation.
    PermK = 5,
    /// The values at `k` coordinates drawn from the shared seed.
    RandK = 6,
    /// The values at `k` consecutive coordinates from a shared random start.
    RandSeqK = 7,
    /// `k` increasing indices and their values: TopK.
    Sparse = 8,
    /// Signed powers of two: natural compression.
    Natural = 9,
    /// A scale and `d` signs.
    Sign = 10,
    /// A norm and `d` signed levels: QSGD, TernGrad.
    Dithered = 11,
    /// A norm and `d` signed levels at powers of two: natural dithering.
    NaturalDithered = 12,
    /// The server opens a round and states its coin.
    Round = 13,
    /// Received and applied.
    Ack = 14,
    /// A client leaves, or is left out of this round.
    Drop = 15,
    /// The run ends.
    Stop = 16,
    /// The Jacobian of the outputs for sample `k`, outputs by parameters.
    Jacobian = 17,
    /// The Jacobian of one sample, its large elements only, quantised.
    QuantisedJacobian = 18,
    /// The classes of a client's samples.
    Labels = 19,
    /// The outputs of the model on a client's samples, row after row.
    Logits = 20,
    /// A model that the server may choose, with its number.
    Candidate = 21,
    /// The losses of the candidates, summed over a client's samples.
    Losses = 22,
    /// The public key of a client.
    PublicKey = 23,
    /// A seed, encrypted for one client.
    SealedSeed = 24,
}

/// The layouts that the kinds share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Samples,
    Values,
    Sparse,
    Natural,
    Sign,
    Dithered,
    Coin,
    Empty,
    Numbered,
    Quantised,
    Classes,
    Rows,
    Bytes,
}

impl Kind {
    /// Every kind, by ascending code.
    pub const ALL: [Self; 24] = [
        Self::Hello,
        Self::Model,
        Self::Estimate,
        Self::Dense,
        Self::PermK,
        Self::RandK,
        Self::RandSeqK,
        Self::Sparse,
        Self::Natural,
        Self::Sign,
        Self::Dithered,
        Self::NaturalDithered,
        Self::Round,
        Self::Ack,
        Self::Drop,
        Self::Stop,
        Self::Jacobian,
        Self::QuantisedJacobian,
        Self::Labels,
        Self::Logits,
        Self::Candidate,
        Self::Losses,
        Self::PublicKey,
        Self::SealedSeed,
    ];

    /// The byte that stands for the kind.
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Kind::Stop.code(), 16);
    /// ```
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a byte, `None` for one without meaning.
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Kind::from_code(0), None);
    /// ```
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    pub(crate) const fn shape(self) -> Shape {
        match self {
            Self::Hello => Shape::Samples,
            Self::Model | Self::Estimate | Self::Dense => Shape::Values,
            Self::PermK | Self::RandK | Self::RandSeqK | Self::Losses => Shape::Values,
            Self::Sparse => Shape::Sparse,
            Self::Natural => Shape::Natural,
            Self::Sign => Shape::Sign,
            Self::Dithered | Self::NaturalDithered => Shape::Dithered,
            Self::Round => Shape::Coin,
            Self::Ack | Self::Drop | Self::Stop => Shape::Empty,
            Self::Jacobian | Self::Candidate => Shape::Numbered,
            Self::QuantisedJacobian => Shape::Quantised,
            Self::Labels => Shape::Classes,
            Self::Logits => Shape::Rows,
            Self::PublicKey | Self::SealedSeed => Shape::Bytes,
        }
    }

    /// Whether a frame of the kind carries no values, so that its scalar type is [`Dtype::None`].
    ///
    /// ```
    /// use thalweg::wire::Kind;
    /// assert!(Kind::Ack.is_scalar_free() && Kind::Labels.is_scalar_free() && !Kind::Losses.is_scalar_free());
    /// ```
    #[must_use]
    pub const fn is_scalar_free(self) -> bool {
        matches!(
            self.shape(),
            Shape::Coin | Shape::Empty | Shape::Classes | Shape::Bytes
        )
    }

    /// Whether `k` fits the kind in dimension `d`.
    ///
    /// ```
    /// use thalweg::wire::Kind;
    /// assert!(Kind::PermK.takes(5, 2) && !Kind::PermK.takes(5, 6));
    /// assert!(!Kind::Dense.takes(5, 2));
    /// ```
    #[must_use]
    pub const fn takes(self, d: u32, k: u32) -> bool {
        match self {
            Self::Hello | Self::Jacobian | Self::Candidate | Self::Logits => true,
            Self::PublicKey | Self::SealedSeed => true,
            // With a single class a label has no bits, and any number of labels would fit a frame.
            Self::Labels => d >= 2,
            Self::QuantisedJacobian => {
                let kept = Kept::from_code(k);
                1 <= kept.bits && kept.bits <= Kept::MAX_BITS && kept.count <= d
            }
            Self::Round | Self::Ack | Self::Drop | Self::Stop => k == 0,
            Self::Model | Self::Estimate | Self::Dense | Self::Natural => k == d,
            Self::Sign | Self::Losses => k == d,
            Self::PermK | Self::RandK | Self::RandSeqK | Self::Sparse => k <= d,
            Self::Dithered | Self::NaturalDithered => 1 <= k && k <= i32::MAX as u32,
        }
    }
}

/// The scalar type of a payload.
///
/// ```
/// use thalweg::wire::Dtype;
/// assert_eq!(Dtype::of::<f64>(), Dtype::F64);
/// assert_eq!(Dtype::F64.bytes(), 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Dtype {
    /// No values: Round, Ack, Drop, Stop, Labels, PublicKey, SealedSeed.
    None = 0,
    /// IEEE 754 binary32.
    F32 = 1,
    /// IEEE 754 binary64.
    F64 = 2,
}

impl Dtype {
    /// The type's mark.
    ///
    /// ```
    /// use thalweg::wire::Dtype;
    /// assert_eq!(Dtype::of::<f32>(), Dtype::F32);
    /// ```
    #[must_use]
    pub const fn of<T: Real>() -> Self {
        if T::BYTES == 4 { Self::F32 } else { Self::F64 }
    }

    /// The byte that stands for the type.
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Dtype::F32.code(), 1);
    /// ```
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The type of a byte; `None` for 3, which is reserved for bf16, and above.
    ///
    /// ```
    /// use thalweg::wire::Dtype;
    /// assert_eq!(Dtype::from_code(2), Some(Dtype::F64));
    /// assert_eq!(Dtype::from_code(3), None);
    /// ```
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::F32),
            2 => Some(Self::F64),
            _ => None,
        }
    }

    /// Bytes of one value.
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Dtype::None.bytes(), 0);
    /// ```
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::None => 0,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    /// Bits of sign and exponent: one code of natural compression.
    ///
    /// ```
    /// assert_eq!(thalweg::wire::Dtype::F32.natural_bits(), 9);
    /// ```
    #[must_use]
    pub const fn natural_bits(self) -> u32 {
        match self {
            Self::None => 0,
            Self::F32 => 9,
            Self::F64 => 12,
        }
    }
}

/// The fields of a frame that the sender chooses.
///
/// ```
/// use thalweg::wire::{Dtype, Header, Kind};
/// let header = Header { round: 7, client: 3, ..Header::new(Kind::PermK, Dtype::F32, 64, 16) };
/// assert_eq!((header.round, header.client, header.seed), (7, 3, 0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// What the frame carries.
    pub kind: Kind,
    /// Scalar type of the values.
    pub dtype: Dtype,
    /// [`ALLOW_NON_FINITE`] or zero.
    pub flags: u16,
    /// The sender's number, [`SERVER`] for the server.
    pub client: u32,
    /// Dimension of the model.
    pub d: u32,
    /// Values sent; levels of a dithered kind; [`Fingerprint`] of a Hello; for kinds 17 to 24 see the [module](self).
    pub k: u32,
    /// Round of the protocol.
    pub round: u64,
    /// Seed of the run, from which shared draws come.
    pub seed: u64,
}

impl Header {
    /// A header of round 0, seed 0, from the server, without flags.
    ///
    /// ```
    /// use thalweg::wire::{Dtype, Header, Kind, SERVER};
    /// assert_eq!(Header::new(Kind::Stop, Dtype::None, 5, 0).client, SERVER);
    /// ```
    #[must_use]
    pub const fn new(kind: Kind, dtype: Dtype, d: u32, k: u32) -> Self {
        Self {
            kind,
            dtype,
            flags: 0,
            client: SERVER,
            d,
            k,
            round: 0,
            seed: 0,
        }
    }

    /// Bytes of the whole frame.
    ///
    /// ```
    /// use thalweg::wire::{Dtype, Header, Kind};
    /// assert_eq!(Header::new(Kind::Model, Dtype::F64, 3, 3).frame_len(), 52 + 24);
    /// ```
    #[must_use]
    pub const fn frame_len(&self) -> usize {
        encoded_len(self.kind, self.dtype, self.d, self.k)
    }
}

/// Bits of one index below `d`: `ceil(log2 d)`.
///
/// ```
/// use thalweg::wire::index_bits;
/// assert_eq!([index_bits(1), index_bits(2), index_bits(1000), index_bits(1024), index_bits(1025)], [0, 1, 10, 10, 11]);
/// ```
#[must_use]
pub const fn index_bits(d: u32) -> u32 {
    32 - d.saturating_sub(1).leading_zeros()
}

/// Bits of one signed level of a dithered kind with `levels` levels: `1 + ceil(log2(levels + 1))`.
///
/// ```
/// use thalweg::wire::level_bits;
/// assert_eq!([level_bits(1), level_bits(3), level_bits(4), level_bits(255)], [2, 3, 4, 9]);
/// ```
#[must_use]
pub const fn level_bits(levels: u32) -> u32 {
    // ceil(log2(s + 1)) is the number of binary digits of s.
    1 + (32 - levels.leading_zeros())
}

/// Bits of a payload that carry information: the figure of a ledger, without padding.
///
/// ```
/// use thalweg::wire::{Dtype, Kind, payload_bits};
/// assert_eq!(payload_bits(Kind::PermK, Dtype::F32, 1000, 10), 320);
/// assert_eq!(payload_bits(Kind::Sparse, Dtype::F32, 1000, 10), 420); // 10 (32 + 10)
/// assert_eq!(payload_bits(Kind::Natural, Dtype::F32, 1000, 1000), 9000);
/// ```
#[must_use]
pub const fn payload_bits(kind: Kind, dtype: Dtype, d: u32, k: u32) -> u64 {
    // No product can overflow: 2^32 counts of at most 96 bits; but for that of two counts, which saturates.
    let (d64, k64, value) = (d as u64, k as u64, 8 * dtype.bytes() as u64);
    match kind.shape() {
        Shape::Samples => 64,
        Shape::Values => k64 * value,
        Shape::Sparse => k64 * (index_bits(d) as u64 + value),
        Shape::Natural => d64 * dtype.natural_bits() as u64,
        Shape::Sign => value + d64,
        Shape::Dithered => value + d64 * level_bits(k) as u64,
        Shape::Coin => 8,
        Shape::Empty => 0,
        Shape::Numbered => d64 * value,
        Shape::Quantised => {
            let kept = Kept::from_code(k);
            let each = (index_bits(d) + 1 + kept.bits) as u64;
            32 + 2 * value + each * kept.count as u64
        }
        Shape::Classes => k64 * index_bits(d) as u64,
        Shape::Rows => d64.saturating_mul(k64).saturating_mul(value),
        Shape::Bytes => 8 * k64,
    }
}

/// Bytes of a payload.
///
/// ```
/// use thalweg::wire::{Dtype, Kind, payload_len};
/// assert_eq!(payload_len(Kind::Sparse, Dtype::F32, 1000, 3), 4 + 12); // 30 bits of indices
/// ```
#[must_use]
pub const fn payload_len(kind: Kind, dtype: Dtype, d: u32, k: u32) -> u64 {
    if matches!(kind.shape(), Shape::Quantised) {
        // Indices and codes are padded each.
        let (kept, value) = (Kept::from_code(k), dtype.bytes() as u64);
        let indices = (kept.count as u64 * index_bits(d) as u64).div_ceil(8);
        return 4 + 2 * value + indices + (kept.count as u64 * (1 + kept.bits as u64)).div_ceil(8);
    }
    // The values of a sparse frame are whole bytes, so that the indices in front of them are padded by as much as the sum.
    payload_bits(kind, dtype, d, k).div_ceil(8)
}

/// Bytes of a frame: the length of the buffer that [`encode_into`] needs.
///
/// `usize::MAX` where the frame does not fit the address space.
///
/// ```
/// use thalweg::wire::{Dtype, Kind, encoded_len};
/// const LEN: usize = encoded_len(Kind::PermK, Dtype::F32, 64, 8);
/// assert_eq!(LEN, 52 + 32);
/// let buffer = [0_u8; LEN];
/// # let _ = buffer;
/// ```
#[must_use]
pub const fn encoded_len(kind: Kind, dtype: Dtype, d: u32, k: u32) -> usize {
    let len = payload_len(kind, dtype, d, k) + OVERHEAD as u64;
    if len <= usize::MAX as u64 {
        len as usize
    } else {
        usize::MAX
    }
}
