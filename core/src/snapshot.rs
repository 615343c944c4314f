//! States as bytes: save into a slice, restore from a slice, bit for bit.
//!
//! A saved state is a header, the fields of the state in the order in which it declares them, and a
//! check. Each field carries its element type and its count, so that a state is never restored into buffers
//! of another shape. [`Reader::new`] checks everything before it answers: magic, version, kind,
//! length, CRC-32C, and every field against the layout that the restoring state asks for. A restore that
//! reads only through a `Reader` therefore changes the state completely or not at all.
//!
//! ```text
//! offset  bytes  field (little-endian)
//!      0      4  magic D7 'T' 'W' 'S'
//!      4      1  major version of the format, 1
//!      5      1  minor version of the format, 0
//!      6      2  zero
//!      8      4  kind of the state, four letters
//!     12      4  version of the state
//!     16      8  length of the fields, p
//!     24      p  fields: count (7 bytes), element type (1 byte), elements
//!   24+p      4  CRC-32C of all bytes before it
//!
//! element type: 1 f32, 2 f64, 3 u8, 4 u16, 5 u32, 6 u64
//! ```
//!
//! A single number is a field of count one. Values are stored as bit patterns: the sign of zero and the payload
//! of a NaN survive. A state of another version is refused; what an older version meant is for
//! the state's module to say.
//!
//! The alternative, a reader that checks each field as it comes, is smaller by the list of fields, and leaves
//! a state half restored when the second buffer is found to be too short.

use core::fmt;

use crate::Real;
use crate::wire::crc32c;

/// The first four bytes of every saved state.
pub const MAGIC: [u8; 4] = *b"\xD7TWS";
/// Major version of the format.
pub const MAJOR: u8 = 1;
/// Minor version of the format.
pub const MINOR: u8 = 0;
/// Bytes before the fields.
pub const HEADER: usize = 24;
/// Bytes before the elements of a field.
pub const FIELD_HEADER: usize = 8;

/// Type of the elements of a field.
///
/// ```
/// use thalweg::snapshot::Element;
/// assert_eq!((Element::U16.bytes(), Element::of::<f64>().bytes()), (2, 8));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Element {
    /// IEEE 754 binary32.
    F32 = 1,
    /// IEEE 754 binary64.
    F64 = 2,
    /// Bytes.
    U8 = 3,
    /// 16 bits: also bf16 moments, as bit patterns.
    U16 = 4,
    /// 32 bits.
    U32 = 5,
    /// 64 bits.
    U64 = 6,
}

impl Element {
    /// The type of a real number.
    ///
    /// ```
    /// use thalweg::snapshot::Element;
    /// assert_eq!(Element::of::<f32>(), Element::F32);
    /// ```
    #[must_use]
    pub const fn of<T: Real>() -> Self {
        if T::BYTES == 4 { Self::F32 } else { Self::F64 }
    }

    /// Bytes of one element.
    ///
    /// ```
    /// assert_eq!(thalweg::snapshot::Element::U8.bytes(), 1);
    /// ```
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 => 1,
            Self::U16 => 2,
            Self::F32 | Self::U32 => 4,
            Self::F64 | Self::U64 => 8,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::F32),
            2 => Some(Self::F64),
            3 => Some(Self::U8),
            4 => Some(Self::U16),
            5 => Some(Self::U32),
            6 => Some(Self::U64),
            _ => None,
        }
    }
}

/// One field of a state: the type and the number of its elements.
///
/// ```
/// use thalweg::snapshot::{Element, Field};
/// assert_eq!(Field::U64, Field { element: Element::U64, count: 1 });
/// assert_eq!(Field::reals::<f32>(64).saved_len(), 8 + 4 * 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Field {
    /// Type of an element.
    pub element: Element,
    /// Number of elements.
    pub count: usize,
}

impl Field {
    /// One `u16`.
    pub const U16: Self = Self {
        element: Element::U16,
        count: 1,
    };
    /// One `u32`.
    pub const U32: Self = Self {
        element: Element::U32,
        count: 1,
    };
    /// One `u64`.
    pub const U64: Self = Self {
        element: Element::U64,
        count: 1,
    };

    /// One real number.
    ///
    /// ```
    /// use thalweg::snapshot::Field;
    /// assert_eq!(Field::real::<f64>().saved_len(), 16);
    /// ```
    #[must_use]
    pub const fn real<T: Real>() -> Self {
        Self::reals::<T>(1)
    }

    /// A buffer of real numbers.
    ///
    /// ```
    /// use thalweg::snapshot::Field;
    /// assert_eq!(Field::reals::<f64>(3).saved_len(), 32);
    /// ```
    #[must_use]
    pub const fn reals<T: Real>(count: usize) -> Self {
        Self {
            element: Element::of::<T>(),
            count,
        }
    }

    /// A buffer of words.
    ///
    /// ```
    /// use thalweg::snapshot::Field;
    /// assert_eq!(Field::words::<u16>(3).saved_len(), 14);
    /// ```
    #[must_use]
    pub const fn words<W: Word>(count: usize) -> Self {
        Self {
            element: W::ELEMENT,
            count,
        }
    }

    /// Bytes of the field when saved; `usize::MAX` when that is too large to be counted.
    ///
    /// ```
    /// assert_eq!(thalweg::snapshot::Field::U32.saved_len(), 12);
    /// ```
    #[must_use]
    pub const fn saved_len(self) -> usize {
        self.count
            .saturating_mul(self.element.bytes())
            .saturating_add(FIELD_HEADER)
    }
}

/// Bytes of a saved state with these fields: what [`Snapshot::snapshot_len`] answers.
///
/// ```
/// use thalweg::snapshot::{Field, saved_len};
/// const LEN: usize = saved_len(&[Field::U64, Field::words::<u8>(5)]);
/// assert_eq!(LEN, 24 + 16 + 13 + 4);
/// ```
#[must_use]
pub const fn saved_len(fields: &[Field]) -> usize {
    let (mut len, mut rest) = (HEADER + 4, fields);
    while let [field, tail @ ..] = rest {
        len = len.saturating_add(field.saved_len());
        rest = tail;
    }
    len
}

/// A state that can be saved and restored.
///
/// ```
/// use thalweg::snapshot::*;
/// #[derive(Default)]
/// struct Momentum { step: u64, buffer: [f32; 2] }
///
/// impl Momentum {
///     fn fields(&self) -> [Field; 2] { [Field::U64, Field::reals::<f32>(self.buffer.len())] }
/// }
/// impl Snapshot for Momentum {
///     fn snapshot_len(&self) -> usize { saved_len(&self.fields()) }
///     fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
///         let mut w = Writer::new(out, *b"MOME", 1)?;
///         w.u64(self.step)?;
///         w.slice(&self.buffer)?;
///         w.finish()
///     }
///     fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
///         let mut r = Reader::new(bytes, *b"MOME", 1, &self.fields())?;
///         self.step = r.u64()?;
///         r.slice_into(&mut self.buffer)?;
///         r.finish()
///     }
/// }
///
/// let state = Momentum { step: 7, buffer: [0.5, -0.0] };
/// let mut bytes = [0; 60];
/// assert_eq!(state.save(&mut bytes), Ok(state.snapshot_len()));
/// let mut other = Momentum::default();
/// other.restore(&bytes)?;
/// assert_eq!((other.step, other.buffer), (7, [0.5, -0.0]));
/// # Ok::<(), SnapshotError>(())
/// ```
pub trait Snapshot {
    /// Bytes that [`save`](Self::save) writes.
    fn snapshot_len(&self) -> usize;

    /// Writes the state; answers the number of bytes.
    ///
    /// # Errors
    /// [`SnapshotError::Space`] when `out` is shorter than [`snapshot_len`](Self::snapshot_len).
    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError>;

    /// Takes over a saved state of the same kind and shape. On an error the state is unchanged.
    ///
    /// # Errors
    /// A [`SnapshotError`] that names what differs.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError>;
}

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
    /// A number that the state cannot hold; for the checks that a state makes of its own.
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

/// An unsigned integer of a saved state.
///
/// ```
/// use thalweg::snapshot::{Element, Word};
/// assert_eq!(u16::ELEMENT, Element::U16);
/// assert_eq!(u16::from_word(0x1_0002), 2);
/// ```
pub trait Word: Copy + sealed::Sealed {
    /// Its type.
    const ELEMENT: Element;
    /// The number, zero-extended.
    fn to_word(self) -> u64;
    /// The number in the low bits.
    fn from_word(word: u64) -> Self;
}

mod sealed {
    pub trait Sealed {}
}

macro_rules! word {
    ($($t:ident = $element:ident),*) => {$(
        impl sealed::Sealed for $t {}
        impl Word for $t {
            const ELEMENT: Element = Element::$element;
            fn to_word(self) -> u64 {
                u64::from(self)
            }
            fn from_word(word: u64) -> Self {
                word as Self
            }
        }
    )*};
}
word!(u8 = U8, u16 = U16, u32 = U32, u64 = U64);

/// Writes the fields of a state one after the other.
///
/// ```
/// use thalweg::snapshot::Writer;
/// let mut bytes = [0; 100];
/// let mut writer = Writer::new(&mut bytes, *b"DEMO", 1)?;
/// writer.u64(9)?;
/// writer.slice(&[1.0_f64, 2.0])?;
/// assert_eq!(writer.finish()?, 24 + 16 + 24 + 4);
/// # Ok::<(), thalweg::snapshot::SnapshotError>(())
/// ```
#[derive(Debug)]
pub struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl<'a> Writer<'a> {
    /// Begins a state of a kind and version.
    ///
    /// # Errors
    /// [`SnapshotError::Space`] when `out` cannot hold an empty state.
    ///
    /// ```
    /// use thalweg::snapshot::{SnapshotError, Writer};
    /// let error = Writer::new(&mut [0; 27], *b"DEMO", 1).unwrap_err();
    /// assert_eq!(error, SnapshotError::Space { needed: 28, found: 27 });
    /// ```
    pub fn new(out: &'a mut [u8], kind: [u8; 4], version: u32) -> Result<Self, SnapshotError> {
        let found = out.len();
        if found < HEADER + 4 {
            return Err(SnapshotError::Space {
                needed: HEADER + 4,
                found,
            });
        }
        let mut writer = Self { out, at: 0 };
        writer.put(&MAGIC);
        writer.put(&[MAJOR, MINOR, 0, 0]);
        writer.put(&kind);
        writer.put(&version.to_le_bytes());
        writer.put(&[0; 8]);
        Ok(writer)
    }

    /// Appends a number.
    ///
    /// # Errors
    /// [`SnapshotError::Space`].
    ///
    /// ```
    /// # use thalweg::snapshot::Writer;
    /// let mut out = [0; 64];
    /// let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.u64(7)?;
    /// assert_eq!(w.finish(), Ok(28 + 16));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn u64(&mut self, value: u64) -> Result<(), SnapshotError> {
        self.words(&[value])
    }

    /// Appends a number.
    ///
    /// # Errors
    /// [`SnapshotError::Space`].
    ///
    /// ```
    /// # use thalweg::snapshot::Writer;
    /// let mut out = [0; 64];
    /// let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.u32(7)?;
    /// assert_eq!(w.finish(), Ok(28 + 12));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn u32(&mut self, value: u32) -> Result<(), SnapshotError> {
        self.words(&[value])
    }

    /// Appends a number.
    ///
    /// # Errors
    /// [`SnapshotError::Space`].
    ///
    /// ```
    /// # use thalweg::snapshot::Writer;
    /// let mut out = [0; 64];
    /// let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.u16(7)?;
    /// assert_eq!(w.finish(), Ok(28 + 10));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn u16(&mut self, value: u16) -> Result<(), SnapshotError> {
        self.words(&[value])
    }

    /// Appends a real number.
    ///
    /// # Errors
    /// [`SnapshotError::Space`].
    ///
    /// ```
    /// # use thalweg::snapshot::Writer;
    /// let mut out = [0; 64];
    /// let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.real(0.5_f64)?;
    /// assert_eq!(w.finish(), Ok(28 + 16));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn real<T: Real>(&mut self, value: T) -> Result<(), SnapshotError> {
        self.slice(&[value])
    }

    /// Appends a buffer of real numbers.
    ///
    /// # Errors
    /// [`SnapshotError::Space`].
    ///
    /// ```
    /// # use thalweg::snapshot::Writer;
    /// let mut out = [0; 64];
    /// let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.slice(&[0.5_f32; 3])?;
    /// assert_eq!(w.finish(), Ok(28 + 20));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn slice<T: Real>(&mut self, values: &[T]) -> Result<(), SnapshotError> {
        self.field(
            Field::reals::<T>(values.len()),
            values.iter().map(|x| x.to_bits_u64()),
        )
    }

    /// Appends a buffer of `u8`, `u16`, `u32` or `u64`.
    ///
    /// # Errors
    /// [`SnapshotError::Space`].
    ///
    /// ```
    /// # use thalweg::snapshot::Writer;
    /// let mut out = [0; 64];
    /// let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.words(&[1_u16, 2])?;
    /// assert_eq!(w.finish(), Ok(28 + 12));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn words<W: Word>(&mut self, words: &[W]) -> Result<(), SnapshotError> {
        self.field(
            Field::words::<W>(words.len()),
            words.iter().map(|w| w.to_word()),
        )
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`SnapshotError::Space`].
    ///
    /// ```
    /// # use thalweg::snapshot::Writer;
    /// let mut out = [0; 64];
    /// let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.bytes(b"abc")?;
    /// assert_eq!(w.finish(), Ok(28 + 11));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        self.words(bytes)
    }

    /// Writes length and check; answers the bytes of the saved state.
    ///
    /// # Errors
    /// [`SnapshotError::Space`] when no room for the check is left.
    ///
    /// ```
    /// # use thalweg::snapshot::Writer;
    /// let mut out = [0; 28];
    /// assert_eq!(Writer::new(&mut out, *b"DEMO", 1)?.finish(), Ok(28));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn finish(self) -> Result<usize, SnapshotError> {
        let needed = self.at.saturating_add(4);
        let space = SnapshotError::Space {
            needed,
            found: self.out.len(),
        };
        let (checked, crc) = self
            .out
            .get_mut(..needed)
            .and_then(|all| all.split_last_chunk_mut::<4>())
            .ok_or(space)?;
        let len = checked.len().saturating_sub(HEADER) as u64;
        if let Some(to) = checked.get_mut(16..HEADER) {
            copy(to, &len.to_le_bytes());
        }
        *crc = crc32c(checked).to_le_bytes();
        Ok(needed)
    }

    /// Appends bytes, as far as there is room.
    fn put(&mut self, bytes: &[u8]) {
        if let Some(to) = self.out.get_mut(self.at..) {
            copy(to, bytes);
        }
        self.at = self.at.saturating_add(bytes.len());
    }

    fn field(
        &mut self,
        field: Field,
        words: impl Iterator<Item = u64>,
    ) -> Result<(), SnapshotError> {
        let needed = self.at.saturating_add(field.saved_len());
        let space = SnapshotError::Space {
            needed,
            found: self.out.len(),
        };
        let to = self.out.get_mut(self.at..needed).ok_or(space)?;
        let (head, body) = to.split_first_chunk_mut::<FIELD_HEADER>().ok_or(space)?;
        *head = field_header(field).to_le_bytes();
        for (to, word) in body.chunks_exact_mut(field.element.bytes()).zip(words) {
            copy(to, &word.to_le_bytes());
        }
        self.at = needed;
        Ok(())
    }
}

/// Reads the fields of a state that has been checked as a whole.
///
/// ```
/// use thalweg::snapshot::{Field, Reader, SnapshotError, Writer};
/// let mut bytes = [0; 40];
/// let mut writer = Writer::new(&mut bytes, *b"DEMO", 1)?;
/// writer.real(1.5_f32)?;
/// let len = writer.finish()?;
/// let mut reader = Reader::new(&bytes[..len], *b"DEMO", 1, &[Field::real::<f32>()])?;
/// assert_eq!(reader.real::<f32>()?, 1.5);
/// reader.finish()?;
/// // The same bytes do not restore a state of doubles.
/// assert!(Reader::new(&bytes[..len], *b"DEMO", 1, &[Field::real::<f64>()]).is_err());
/// # Ok::<(), SnapshotError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    /// Fields read so far.
    field: usize,
}

impl<'a> Reader<'a> {
    /// Checks a whole saved state against a kind, a version and a layout.
    ///
    /// Reads that follow the layout cannot fail afterwards.
    ///
    /// # Errors
    /// The first difference, in the order magic, format, length, check, kind, version, fields.
    ///
    /// ```
    /// use thalweg::snapshot::{Reader, SnapshotError};
    /// let error = Reader::new(&[0; 9], *b"DEMO", 1, &[]).unwrap_err();
    /// assert_eq!(error, SnapshotError::Length { expected: 28, found: 9 });
    /// ```
    pub fn new(
        bytes: &'a [u8],
        kind: [u8; 4],
        version: u32,
        fields: &[Field],
    ) -> Result<Self, SnapshotError> {
        let found = bytes.len();
        let short = SnapshotError::Length {
            expected: (HEADER + 4) as u64,
            found,
        };
        if found < HEADER + 4 {
            return Err(short);
        }
        let mut at = bytes;
        let magic = take::<4>(&mut at).ok_or(short)?;
        if magic != MAGIC {
            return Err(SnapshotError::BadMagic { found: magic });
        }
        let [major, minor, reserved @ ..] = take::<4>(&mut at).ok_or(short)?;
        if (major, minor) != (MAJOR, MINOR) {
            return Err(SnapshotError::Format { major, minor });
        }
        let kind_found = take::<4>(&mut at).ok_or(short)?;
        let version_found = u32::from_le_bytes(take(&mut at).ok_or(short)?);
        let announced = u64::from_le_bytes(take(&mut at).ok_or(short)?);
        let expected = announced.saturating_add((HEADER + 4) as u64);
        if expected != found as u64 {
            return Err(SnapshotError::Length { expected, found });
        }
        let (checked, crc) = bytes.split_last_chunk::<4>().ok_or(short)?;
        let (computed, found) = (crc32c(checked), u32::from_le_bytes(*crc));
        if computed != found {
            return Err(SnapshotError::Crc { computed, found });
        }
        if reserved != [0; 2] {
            return Err(SnapshotError::Reserved);
        }
        if kind_found != kind {
            return Err(SnapshotError::Kind {
                expected: kind,
                found: kind_found,
            });
        }
        if version_found != version {
            return Err(SnapshotError::Version {
                expected: version,
                found: version_found,
            });
        }
        let rest = checked.get(HEADER..).ok_or(short)?;
        let mut reader = Self { rest, field: 0 };
        let start = reader.clone();
        for &field in fields {
            if reader.rest.is_empty() {
                let (expected, found) = (fields.len(), reader.field);
                return Err(SnapshotError::Fields { expected, found });
            }
            reader.next(field)?;
        }
        reader.finish()?;
        Ok(start)
    }

    /// The next field, a number.
    ///
    /// # Errors
    /// Only where the read departs from the layout given to [`new`](Self::new).
    ///
    /// ```
    /// # use thalweg::snapshot::{Field, Reader, Writer};
    /// # let mut out = [0; 64];
    /// # let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.u64(7)?;
    /// let len = w.finish()?;
    /// let mut r = Reader::new(&out[..len], *b"DEMO", 1, &[Field::U64])?;
    /// assert_eq!(r.u64(), Ok(7));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.word()
    }

    /// The next field, a number.
    ///
    /// # Errors
    /// Only where the read departs from the layout given to [`new`](Self::new).
    ///
    /// ```
    /// # use thalweg::snapshot::{Field, Reader, Writer};
    /// # let mut out = [0; 64];
    /// # let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.u32(7)?;
    /// let len = w.finish()?;
    /// let mut r = Reader::new(&out[..len], *b"DEMO", 1, &[Field::U32])?;
    /// assert_eq!(r.u32(), Ok(7));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.word()
    }

    /// The next field, a number.
    ///
    /// # Errors
    /// Only where the read departs from the layout given to [`new`](Self::new).
    ///
    /// ```
    /// # use thalweg::snapshot::{Field, Reader, Writer};
    /// # let mut out = [0; 64];
    /// # let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.u16(7)?;
    /// let len = w.finish()?;
    /// let mut r = Reader::new(&out[..len], *b"DEMO", 1, &[Field::U16])?;
    /// assert_eq!(r.u16(), Ok(7));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn u16(&mut self) -> Result<u16, SnapshotError> {
        self.word()
    }

    /// The next field, a real number.
    ///
    /// # Errors
    /// Only where the read departs from the layout given to [`new`](Self::new).
    ///
    /// ```
    /// # use thalweg::snapshot::{Field, Reader, Writer};
    /// # let mut out = [0; 64];
    /// # let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.real(0.5_f64)?;
    /// let len = w.finish()?;
    /// let mut r = Reader::new(&out[..len], *b"DEMO", 1, &[Field::real::<f64>()])?;
    /// assert_eq!(r.real(), Ok(0.5_f64));
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn real<T: Real>(&mut self) -> Result<T, SnapshotError> {
        let mut value = [T::ZERO];
        self.slice_into(&mut value)?;
        let [value] = value;
        Ok(value)
    }

    /// Copies the next field, a buffer of real numbers.
    ///
    /// # Errors
    /// Only where the read departs from the layout given to [`new`](Self::new).
    ///
    /// ```
    /// # use thalweg::snapshot::{Field, Reader, Writer};
    /// # let mut out = [0; 64];
    /// # let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.slice(&[0.5_f32, 2.0])?;
    /// let len = w.finish()?;
    /// let mut r = Reader::new(&out[..len], *b"DEMO", 1, &[Field::reals::<f32>(2)])?;
    /// let mut back = [0.0_f32; 2];
    /// r.slice_into(&mut back)?;
    /// assert_eq!(back, [0.5, 2.0]);
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn slice_into<T: Real>(&mut self, out: &mut [T]) -> Result<(), SnapshotError> {
        let body = self.next(Field::reals::<T>(out.len()))?;
        for (to, from) in out.iter_mut().zip(body.chunks_exact(T::BYTES)) {
            *to = T::from_bits_u64(word(from));
        }
        Ok(())
    }

    /// Copies the next field, a buffer of `u8`, `u16`, `u32` or `u64`.
    ///
    /// # Errors
    /// Only where the read departs from the layout given to [`new`](Self::new).
    ///
    /// ```
    /// # use thalweg::snapshot::{Field, Reader, Writer};
    /// # let mut out = [0; 64];
    /// # let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.words(&[1_u16, 2])?;
    /// let len = w.finish()?;
    /// let mut r = Reader::new(&out[..len], *b"DEMO", 1, &[Field::words::<u16>(2)])?;
    /// let mut back = [0_u16; 2];
    /// r.words_into(&mut back)?;
    /// assert_eq!(back, [1, 2]);
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn words_into<W: Word>(&mut self, out: &mut [W]) -> Result<(), SnapshotError> {
        let body = self.next(Field::words::<W>(out.len()))?;
        for (to, from) in out.iter_mut().zip(body.chunks_exact(W::ELEMENT.bytes())) {
            *to = W::from_word(word(from));
        }
        Ok(())
    }

    /// The next field, so many bytes, lent.
    ///
    /// # Errors
    /// Only where the read departs from the layout given to [`new`](Self::new).
    ///
    /// ```
    /// # use thalweg::snapshot::{Field, Reader, Writer};
    /// # let mut out = [0; 64];
    /// # let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.bytes(b"abc")?;
    /// let len = w.finish()?;
    /// let mut r = Reader::new(&out[..len], *b"DEMO", 1, &[Field::words::<u8>(3)])?;
    /// assert_eq!(r.bytes(3)?, b"abc");
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], SnapshotError> {
        self.next(Field::words::<u8>(count))
    }

    /// Checks that every field has been read.
    ///
    /// # Errors
    /// [`SnapshotError::Fields`] when fields are left.
    ///
    /// ```
    /// # use thalweg::snapshot::{Field, Reader, Writer};
    /// # let mut out = [0; 64];
    /// # let mut w = Writer::new(&mut out, *b"DEMO", 1)?;
    /// w.u64(7)?;
    /// let len = w.finish()?;
    /// let mut r = Reader::new(&out[..len], *b"DEMO", 1, &[Field::U64])?;
    /// assert!(r.clone().finish().is_err());
    /// r.u64()?;
    /// assert!(r.finish().is_ok());
    /// # Ok::<(), thalweg::snapshot::SnapshotError>(())
    /// ```
    pub fn finish(self) -> Result<(), SnapshotError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(SnapshotError::Fields {
                expected: self.field,
                found: self.field.saturating_add(1),
            })
        }
    }

    fn word<W: Word>(&mut self) -> Result<W, SnapshotError> {
        let body = self.next(Field::words::<W>(1))?;
        Ok(W::from_word(word(body)))
    }

    /// The elements of the next field, which must be this one.
    fn next(&mut self, expected: Field) -> Result<&'a [u8], SnapshotError> {
        let field = self.field;
        let torn = SnapshotError::Fields {
            expected: field.saturating_add(1),
            found: field,
        };
        let mut rest = self.rest;
        let header = u64::from_le_bytes(take(&mut rest).ok_or(torn)?);
        let (code, count) = ((header >> 56) as u8, header & ((1 << 56) - 1));
        if Element::from_code(code) != Some(expected.element) {
            return Err(SnapshotError::Element {
                field,
                expected: expected.element,
                found: code,
            });
        }
        if count != expected.count as u64 {
            return Err(SnapshotError::Count {
                field,
                expected: expected.count,
                found: count,
            });
        }
        let len = expected
            .count
            .checked_mul(expected.element.bytes())
            .ok_or(torn)?;
        let (body, rest) = rest.split_at_checked(len).ok_or(torn)?;
        self.rest = rest;
        self.field = field.saturating_add(1);
        Ok(body)
    }
}

/// Count in the low 56 bits, element type in the high 8.
const fn field_header(field: Field) -> u64 {
    (field.count as u64 & ((1 << 56) - 1)) | ((field.element as u64) << 56)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (piece, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*piece)
}

#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    copy(&mut wide, bytes);
    u64::from_le_bytes(wide)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// One field of every type.
    #[derive(Clone, Debug)]
    struct Demo<T> {
        step: u64,
        seed: u32,
        half: Vec<u16>,
        tag: Vec<u8>,
        scale: T,
        a: Vec<T>,
        b: Vec<T>,
    }

    impl<T: Real> Demo<T> {
        fn new(n: usize, m: usize) -> Self {
            let value = |i: usize| T::from_f64(i as f64 * 0.75 - 3.0);
            Self {
                step: 0x0123_4567_89AB_CDEF,
                seed: 0xDEAD_BEEF,
                half: (0..n as u16).map(|i| i.wrapping_mul(0x9E37)).collect(),
                tag: b"moments".to_vec(),
                scale: -T::ZERO,
                a: (0..n).map(value).collect(),
                b: (0..m)
                    .map(|i| if i == 1 { T::NAN } else { -value(i) })
                    .collect(),
            }
        }

        fn fields(&self) -> [Field; 7] {
            [
                Field::U64,
                Field::U32,
                Field::words::<u16>(self.half.len()),
                Field::words::<u8>(self.tag.len()),
                Field::real::<T>(),
                Field::reals::<T>(self.a.len()),
                Field::reals::<T>(self.b.len()),
            ]
        }

        fn bits(&self) -> Vec<u64> {
            let mut bits = vec![self.step, u64::from(self.seed), self.scale.to_bits_u64()];
            bits.extend(self.half.iter().map(|&x| u64::from(x)));
            bits.extend(self.tag.iter().map(|&x| u64::from(x)));
            bits.extend(self.a.iter().chain(&self.b).map(|x| x.to_bits_u64()));
            bits
        }

        fn saved(&self) -> Vec<u8> {
            let mut bytes = vec![0xA5; self.snapshot_len()];
            assert_eq!(self.save(&mut bytes), Ok(bytes.len()));
            bytes
        }
    }

    impl<T: Real> Snapshot for Demo<T> {
        fn snapshot_len(&self) -> usize {
            saved_len(&self.fields())
        }

        fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
            let mut w = Writer::new(out, *b"DEMO", 3)?;
            w.u64(self.step)?;
            w.u32(self.seed)?;
            w.words(&self.half)?;
            w.bytes(&self.tag)?;
            w.real(self.scale)?;
            w.slice(&self.a)?;
            w.slice(&self.b)?;
            w.finish()
        }

        fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
            let mut r = Reader::new(bytes, *b"DEMO", 3, &self.fields())?;
            self.step = r.u64()?;
            self.seed = r.u32()?;
            r.words_into(&mut self.half)?;
            let tag = r.bytes(self.tag.len())?;
            self.tag.copy_from_slice(tag);
            self.scale = r.real()?;
            r.slice_into(&mut self.a)?;
            r.slice_into(&mut self.b)?;
            r.finish()
        }
    }

    /// Another state of the same shape.
    fn blank<T: Real>(n: usize, m: usize) -> Demo<T> {
        let mut blank = Demo::new(n, m);
        (blank.step, blank.seed, blank.scale) = (1, 2, T::ONE);
        blank.tag.fill(b'x');
        blank.half.fill(9);
        blank.a.fill(T::ONE);
        blank.b.fill(T::ONE);
        blank
    }

    fn comes_back<T: Real>() {
        for (n, m) in [(0, 0), (1, 0), (3, 2), (1003, 4097)] {
            let state = Demo::<T>::new(n, m);
            let mut other = blank::<T>(n, m);
            other.restore(&state.saved()).unwrap();
            assert_eq!(other.bits(), state.bits());
            assert_eq!(other.saved(), state.saved());
        }
    }

    #[test]
    fn every_bit_comes_back() {
        comes_back::<f32>();
        comes_back::<f64>();
    }

    #[test]
    fn the_payload_of_a_nan_and_the_sign_of_zero_survive() {
        let patterns = [0x7FF8_0000_0000_1234_u64, 0xFFF0_0000_0000_0001, 1 << 63, 1];
        let values = patterns.map(f64::from_bits);
        let mut bytes = [0; 68];
        let mut w = Writer::new(&mut bytes, *b"BITS", 1).unwrap();
        w.slice(&values).unwrap();
        assert_eq!(w.finish(), Ok(68));
        let mut back = [0.0; 4];
        let mut r = Reader::new(&bytes, *b"BITS", 1, &[Field::reals::<f64>(4)]).unwrap();
        r.slice_into(&mut back).unwrap();
        assert_eq!(back.map(f64::to_bits), patterns);
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_refused_and_changes_nothing() {
        let saved = Demo::<f32>::new(3, 2).saved();
        let mut state = blank::<f32>(3, 2);
        let before = state.bits();
        for bit in 0..8 * saved.len() {
            let mut bad = saved.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(state.restore(&bad).is_err(), "bit {bit}");
            assert_eq!(state.bits(), before, "bit {bit}");
        }
        for len in 0..saved.len() {
            assert!(state.restore(&saved[..len]).is_err(), "length {len}");
            assert_eq!(state.bits(), before, "length {len}");
        }
        let mut long = saved.clone();
        long.push(0);
        let (expected, found) = (saved.len() as u64, long.len());
        assert_eq!(
            state.restore(&long),
            Err(SnapshotError::Length { expected, found })
        );
    }

    #[test]
    fn a_state_of_another_shape_is_named_and_changes_nothing() {
        // Equal in total length: only the last two fields differ.
        let mut state = blank::<f32>(3, 2);
        let before = state.bits();
        let mut swapped = Demo::<f32>::new(3, 3);
        swapped.a.pop();
        assert_eq!(swapped.snapshot_len(), state.snapshot_len());
        let fault = state.restore(&swapped.saved()).unwrap_err();
        assert_eq!(
            fault,
            SnapshotError::Count {
                field: 5,
                expected: 3,
                found: 2
            }
        );
        let fault = state.restore(&Demo::<f64>::new(3, 2).saved()).unwrap_err();
        assert_eq!(
            fault,
            SnapshotError::Element {
                field: 4,
                expected: Element::F32,
                found: 2
            }
        );
        assert_eq!(state.bits(), before);
    }

    #[test]
    fn kind_version_and_fields_are_named() {
        let mut bytes = [0; 60];
        let mut w = Writer::new(&mut bytes, *b"ADAM", 2).unwrap();
        w.u64(5).unwrap();
        w.u16(6).unwrap();
        let len = w.finish().unwrap();
        let bytes = &bytes[..len];
        let layout = [Field::U64, Field::U16];
        assert!(Reader::new(bytes, *b"ADAM", 2, &layout).is_ok());
        let fault = |kind, version, fields: &[Field]| {
            Reader::new(bytes, kind, version, fields).unwrap_err()
        };
        assert_eq!(
            fault(*b"LION", 2, &layout),
            SnapshotError::Kind {
                expected: *b"LION",
                found: *b"ADAM"
            }
        );
        assert_eq!(
            fault(*b"ADAM", 3, &layout),
            SnapshotError::Version {
                expected: 3,
                found: 2
            }
        );
        assert_eq!(
            fault(*b"ADAM", 2, &[Field::U64]),
            SnapshotError::Fields {
                expected: 1,
                found: 2
            }
        );
        assert_eq!(
            fault(*b"ADAM", 2, &[Field::U64, Field::U16, Field::U16]),
            SnapshotError::Fields {
                expected: 3,
                found: 2
            }
        );
        assert_eq!(
            Reader::new(&[0; 28], *b"ADAM", 2, &[]).unwrap_err(),
            SnapshotError::BadMagic { found: [0; 4] }
        );
    }

    #[test]
    fn a_short_destination_is_named() {
        let state = Demo::<f32>::new(3, 2);
        let needed = state.snapshot_len();
        for found in 0..needed {
            let answer = state.save(&mut vec![0; found]);
            assert!(
                matches!(answer, Err(SnapshotError::Space { .. })),
                "length {found}"
            );
        }
        assert_eq!(
            state.save(&mut vec![0; needed - 1]),
            Err(SnapshotError::Space {
                needed,
                found: needed - 1
            })
        );
    }

    #[test]
    fn a_count_from_a_hostile_header_is_never_multiplied() {
        // A field that announces 2^56 - 1 doubles, under a valid check.
        let mut bytes = [0; 36];
        let mut w = Writer::new(&mut bytes, *b"HUGE", 1).unwrap();
        w.slice::<f64>(&[]).unwrap();
        w.finish().unwrap();
        bytes[24..31].fill(0xFF);
        let crc = crc32c(&bytes[..32]).to_le_bytes();
        bytes[32..].copy_from_slice(&crc);
        let fault = Reader::new(&bytes, *b"HUGE", 1, &[Field::reals::<f64>(0)]).unwrap_err();
        assert_eq!(
            fault,
            SnapshotError::Count {
                field: 0,
                expected: 0,
                found: (1 << 56) - 1
            }
        );
    }
}
