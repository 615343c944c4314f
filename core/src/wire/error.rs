//! What can be wrong with a frame.

use core::fmt;

use super::Kind;

/// Why bytes are not an acceptable frame.
///
/// ```
/// use thalweg::wire::{DecodeError, Expect, decode};
/// let error = decode(&[0; 52], &Expect::default()).unwrap_err();
/// assert_eq!(error, DecodeError::BadMagic { found: [0; 4] });
/// assert_eq!(error.to_string(), "frame starts with [0, 0, 0, 0], not with the magic");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Fewer bytes than the header, or than the header announces.
    Truncated {
        /// Bytes that are needed.
        needed: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// More bytes than the header announces.
    TrailingBytes {
        /// Length that the header announces.
        expected: usize,
        /// Bytes that there are.
        found: usize,
    },
    /// Not a frame of ours.
    BadMagic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// A major version that this build does not read.
    Version {
        /// The major version of the frame.
        found: u8,
    },
    /// The check of the header, or of the whole frame, does not match.
    Crc {
        /// Part that is damaged: `"header"` or `"frame"`.
        part: &'static str,
        /// Check of the bytes that arrived.
        computed: u32,
        /// Check that the bytes carry.
        found: u32,
    },
    /// A kind that this build does not know.
    Kind {
        /// The code of the kind.
        found: u8,
    },
    /// A scalar type that is unknown, reserved, or not one that the kind can carry.
    Dtype {
        /// The code of the type.
        found: u8,
    },
    /// The payload's length is not the one that kind, type, `d` and `k` give.
    Length {
        /// Bytes that the header's other fields ask for.
        expected: u64,
        /// Bytes announced.
        found: u64,
    },
    /// The frame is longer than the caller allows.
    TooLong {
        /// The cap.
        cap: usize,
        /// Bytes announced.
        found: u64,
    },
    /// `k` is out of range for the kind and `d`.
    Count {
        /// Dimension.
        d: u32,
        /// Count (levels of a dithered kind).
        k: u32,
    },
    /// A frame of another kind than the one awaited.
    WrongKind {
        /// Kind awaited.
        expected: Kind,
        /// Kind of the frame.
        found: Kind,
    },
    /// A frame of another round.
    WrongRound {
        /// Round awaited.
        expected: u64,
        /// Round of the frame.
        found: u64,
    },
    /// A frame of another client.
    WrongClient {
        /// Client awaited.
        expected: u32,
        /// Client of the frame.
        found: u32,
    },
    /// A frame of another run.
    WrongSeed {
        /// Seed awaited.
        expected: u64,
        /// Seed of the frame.
        found: u64,
    },
    /// A frame of another dimension.
    WrongDimension {
        /// Dimension awaited.
        expected: u32,
        /// Dimension of the frame.
        found: u32,
    },
    /// A frame with another number of values.
    WrongCount {
        /// Count awaited.
        expected: u32,
        /// Count of the frame.
        found: u32,
    },
    /// A frame of another scalar type.
    WrongDtype {
        /// Code of the type awaited.
        expected: u8,
        /// Code of the frame's type.
        found: u8,
    },
    /// Indices of a sparse payload do not increase.
    IndexOrder {
        /// Position of the first index that is not above its predecessor.
        position: usize,
    },
    /// An index of a sparse payload is not below `d`.
    IndexRange {
        /// Its position.
        position: usize,
        /// The index.
        index: u32,
    },
    /// A level above the announced number of levels.
    LevelRange {
        /// Its position.
        position: usize,
        /// The magnitude of the level.
        level: u32,
    },
    /// A value that is NaN or infinite.
    NonFinite {
        /// Position of the first one; a scale or norm counts as position 0.
        index: usize,
    },
    /// The frame is flagged as carrying NaN or infinities, and the receiver does not allow that.
    NonFiniteFlag,
    /// A second way to write the same frame: unknown flags, padding that is not zero, a tail where
    /// none can be, a level of minus zero.
    NonCanonical {
        /// What is out of form.
        what: &'static str,
    },
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { needed, found } => {
                write!(f, "frame needs {needed} bytes, found {found}")
            }
            Self::TrailingBytes { expected, found } => {
                write!(f, "frame has {expected} bytes, found {found}")
            }
            Self::BadMagic { found } => {
                write!(f, "frame starts with {found:?}, not with the magic")
            }
            Self::Version { found } => write!(f, "frame has major version {found}"),
            Self::Crc {
                part,
                computed,
                found,
            } => {
                write!(
                    f,
                    "{part} carries the check {found:#010x}, computed {computed:#010x}"
                )
            }
            Self::Kind { found } => write!(f, "frame has the unknown kind {found}"),
            Self::Dtype { found } => write!(f, "frame has the unusable scalar type {found}"),
            Self::Length { expected, found } => {
                write!(f, "payload announces {found} bytes, expected {expected}")
            }
            Self::TooLong { cap, found } => {
                write!(
                    f,
                    "frame announces {found} bytes, at most {cap} are allowed"
                )
            }
            Self::Count { d, k } => write!(f, "count {k} does not fit dimension {d}"),
            Self::WrongKind { expected, found } => {
                write!(f, "frame has kind {found:?}, expected {expected:?}")
            }
            Self::WrongRound { expected, found } => {
                write!(f, "frame has round {found}, expected {expected}")
            }
            Self::WrongClient { expected, found } => {
                write!(f, "frame has client {found}, expected {expected}")
            }
            Self::WrongSeed { expected, found } => {
                write!(f, "frame has seed {found}, expected {expected}")
            }
            Self::WrongDimension { expected, found } => {
                write!(f, "frame has dimension {found}, expected {expected}")
            }
            Self::WrongCount { expected, found } => {
                write!(f, "frame has count {found}, expected {expected}")
            }
            Self::WrongDtype { expected, found } => {
                write!(f, "frame has scalar type {found}, expected {expected}")
            }
            Self::IndexOrder { position } => {
                write!(
                    f,
                    "index at position {position} is not above its predecessor"
                )
            }
            Self::IndexRange { position, index } => {
                write!(
                    f,
                    "index {index} at position {position} is not below the dimension"
                )
            }
            Self::LevelRange { position, level } => {
                write!(
                    f,
                    "level {level} at position {position} is above the number of levels"
                )
            }
            Self::NonFinite { index } => write!(f, "value at position {index} is not finite"),
            Self::NonFiniteFlag => f.write_str("frame announces values that are not finite"),
            Self::NonCanonical { what } => write!(f, "frame is not in canonical form: {what}"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Why a frame cannot be written.
///
/// ```
/// use thalweg::wire::{Body, Dtype, EncodeError, Header, Kind, encode_into};
/// let header = Header::new(Kind::Model, Dtype::F32, 3, 3);
/// let error = encode_into(&header, &Body::Values(&[1.0_f32; 3]), &mut [0; 63]).unwrap_err();
/// assert_eq!(error, EncodeError::Space { needed: 64, found: 63 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The destination is too short.
    Space {
        /// Bytes of the frame.
        needed: usize,
        /// Bytes of the destination.
        found: usize,
    },
    /// The body is not the one that the header's kind carries.
    Body {
        /// The kind of the header.
        kind: Kind,
    },
    /// A slice of the body has another length than the header says.
    Length {
        /// The slice.
        name: &'static str,
        /// Elements that the header announces.
        expected: usize,
        /// Elements of the slice.
        found: usize,
    },
    /// A value that is not zero, infinite, or a normal power of two, in a [`Kind::Natural`] frame.
    NotPowerOfTwo {
        /// Its position.
        index: usize,
    },
    /// The frame would not be accepted by [`decode`](super::decode).
    Invalid(DecodeError),
}

impl From<DecodeError> for EncodeError {
    fn from(error: DecodeError) -> Self {
        Self::Invalid(error)
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Space { needed, found } => {
                write!(f, "frame needs {needed} bytes, destination has {found}")
            }
            Self::Body { kind } => write!(f, "body does not belong to the kind {kind:?}"),
            Self::Length {
                name,
                expected,
                found,
            } => {
                write!(f, "`{name}` has length {found}, expected {expected}")
            }
            Self::NotPowerOfTwo { index } => {
                write!(f, "value at position {index} is not a normal power of two")
            }
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for EncodeError {}
