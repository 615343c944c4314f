//! Why a state cannot be saved or restored.

use core::fmt;

use super::{Element, MAJOR, MINOR};

/// Why a state cannot be saved or restored.
///
/// ```
/// use thalweg::snapshot::{Reader, SnapshotError, Writer};
/// let mut bytes = [0; 28];
/// Writer::new(&mut bytes, *b"ADAM", 1)?.finish()?;
/// let error = Reader::new(&bytes, *b"LION", 1, &[]).unwrap_err();
/// assert_eq!(error.to_string(), "saved state has kind ADAM, expected LION");
/// # Ok::<(), SnapshotError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The destination is too short.
    Space {
        /// Bytes needed so far.
        needed: usize,
        /// Bytes of the destination.
        found: usize,
    },
    /// The bytes are not as many as the header announces.
    Length {
        /// Bytes that the header (or the smallest state) asks for.
        expected: u64,
        /// Bytes that there are.
        found: usize,
    },
    /// Not a saved state of ours.
    BadMagic {
        /// The first four bytes.
        found: [u8; 4],
    },
    /// Another version of the format.
    Format {
        /// Major version found.
        major: u8,
        /// Minor version found.
        minor: u8,
    },
    /// The check does not match.
    Crc {
        /// Check of the bytes that arrived.
        computed: u32,
        /// Check that the bytes carry.
        found: u32,
    },
    /// A state of another algorithm.
    Kind {
        /// Kind asked for.
        expected: [u8; 4],
        /// Kind found.
        found: [u8; 4],
    },
    /// Another version of the same state.
    Version {
        /// Version asked for.
        expected: u32,
        /// Version found.
        found: u32,
    },
    /// Elements of another type: an `f32` state for an `f64` one.
    Element {
        /// Position of the field.
        field: usize,
        /// Type asked for.
        expected: Element,
        /// Code of the type found.
        found: u8,
    },
    /// A field with another number of elements.
    Count {
        /// Position of the field.
        field: usize,
        /// Elements asked for.
        expected: usize,
        /// Elements found.
        found: u64,
    },
    /// More or fewer fields than asked for.
    Fields {
        /// Fields asked for.
        expected: usize,
        /// Fields found; one more than asked for stands for any surplus.
        found: usize,
    },
    /// Bytes that must be zero are not.
    Reserved,
    /// A number that the state cannot hold; for the checks that a state adds.
    Value {
        /// The number.
        name: &'static str,
        /// What it must be, as a clause.
        rule: &'static str,
    },
}

impl fmt::Display for SnapshotError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Space { needed, found } => {
                write!(
                    f,
                    "saved state needs {needed} bytes, destination has {found}"
                )
            }
            Self::Length { expected, found } => {
                write!(f, "saved state has {found} bytes, expected {expected}")
            }
            Self::BadMagic { found } => {
                write!(f, "saved state starts with {found:?}, not with the magic")
            }
            Self::Format { major, minor } => {
                write!(
                    f,
                    "saved state has format {major}.{minor}, expected {MAJOR}.{MINOR}"
                )
            }
            Self::Crc { computed, found } => {
                write!(
                    f,
                    "saved state carries the check {found:#010x}, computed {computed:#010x}"
                )
            }
            Self::Kind { expected, found } => {
                let (found, expected) = (found.escape_ascii(), expected.escape_ascii());
                write!(f, "saved state has kind {found}, expected {expected}")
            }
            Self::Version { expected, found } => {
                write!(f, "saved state has version {found}, expected {expected}")
            }
            Self::Element {
                field,
                expected,
                found,
            } => {
                write!(
                    f,
                    "field {field} has element type {found}, expected {expected:?}"
                )
            }
            Self::Count {
                field,
                expected,
                found,
            } => {
                write!(f, "field {field} has {found} elements, expected {expected}")
            }
            Self::Fields { expected, found } => {
                write!(f, "saved state has {found} fields, expected {expected}")
            }
            Self::Reserved => f.write_str("saved state has reserved bytes that are not zero"),
            Self::Value { name, rule } => write!(f, "`{name}` {rule}"),
        }
    }
}

impl core::error::Error for SnapshotError {}
