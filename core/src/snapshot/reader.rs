//! Bytes into a state, checked as a whole before the first field is read.

use super::{Element, Field, HEADER, MAGIC, MAJOR, MINOR, SnapshotError, Word, copy};
use crate::Real;
use crate::wire::crc32c;

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

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (piece, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*piece)
}

#[inline(always)]
fn word(bytes: &[u8]) -> u64 {
    let mut wide = [0; 8];
    copy(&mut wide, bytes);
    u64::from_le_bytes(wide)
}
