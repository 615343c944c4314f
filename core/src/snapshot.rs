//! States as bytes: save into a slice, restore from a slice, bit for bit.
//!
//! A saved state is a header, the fields of the state in the order in which it declares them, and a
//! check. Each field carries its element type and its count, so that a state is never restored into buffers
//! of another shape. [`Reader::new`] checks everything before it returns: magic, version, kind,
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

mod error;
mod field;
mod reader;
mod slots;
mod stored;
#[cfg(test)]
mod tests;
mod writer;

pub use error::SnapshotError;
pub use field::{Element, Field, Word, saved_len};
pub use reader::Reader;
pub use slots::{Flash, Slots, SlotsError};
pub use stored::Stored;
pub use writer::Writer;

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

    /// Writes the state; returns the number of bytes.
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

#[inline(always)]
fn copy(to: &mut [u8], from: &[u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
