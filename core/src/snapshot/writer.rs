//! A state into bytes.

use super::field::field_header;
use super::{FIELD_HEADER, Field, HEADER, MAGIC, MAJOR, MINOR, SnapshotError, Word, copy};
use crate::Real;
use crate::wire::crc32c;

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

    /// Writes length and check; returns the bytes of the saved state.
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
