//! Bytes of a file or reader: decompressed where needed, counted, with a cap on the total and on each line.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

use super::error::{DataError, Place, Position};
use super::limits::Limits;
use gzip::{Members, Tail};

mod gzip;
mod text;

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Bytes that a file may have beyond the cap on its contents: the headers of gzip, blocks that do not compress.
const OVERHEAD: u64 = 1 << 20;

pub(super) struct Input<'r> {
    reader: Box<dyn BufRead + 'r>,
    name: String,
    is_gzip: bool,
    limits: Limits,
    /// Bytes handed out.
    offset: u64,
    /// Lines handed out.
    line: u64,
}

impl<'r> Input<'r> {
    pub(super) fn open(path: &Path, limits: &Limits) -> Result<Input<'static>, DataError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Input::new(file, &name, limits),
            Err(source) => Err(DataError::Open { path: name, source }),
        }
    }

    pub(super) fn new(
        reader: impl Read + 'r,
        name: &str,
        limits: &Limits,
    ) -> Result<Self, DataError> {
        // Empty gzip members and zero padding yield no bytes to count: the compressed side has a cap too.
        let mut reader = Capped {
            left: limits.bytes.saturating_add(OVERHEAD),
            reader,
        };
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        let read = reader
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut head);
        let is_gzip = head == GZIP_MAGIC;
        let whole = BufReader::new(Cursor::new(head).chain(reader));
        let reader: Box<dyn BufRead + 'r> = if is_gzip {
            Box::new(BufReader::new(Members::new(whole)))
        } else {
            Box::new(whole)
        };
        let (name, limits) = (name.to_owned(), *limits);
        let input = Self {
            reader,
            name,
            is_gzip,
            limits,
            offset: 0,
            line: 0,
        };
        match read {
            Ok(_) => Ok(input),
            Err(source) => Err(input.read_error(source)),
        }
    }

    pub(super) fn at(&self, position: Position) -> Place {
        Place {
            file: self.name.clone(),
            position,
        }
    }

    /// The file as a whole.
    pub(super) fn whole(&self) -> Place {
        self.at(Position::Whole)
    }

    /// Number of the line handed out last, from 1.
    pub(super) fn line_number(&self) -> u64 {
        self.line
    }

    /// The line handed out last.
    pub(super) fn line_place(&self) -> Place {
        self.at(Position::Line(self.line))
    }

    /// A byte, counted from 0, of the line handed out last.
    pub(super) fn column_place(&self, byte: usize) -> Place {
        self.at(Position::Text {
            line: self.line,
            column: byte as u64 + 1,
        })
    }

    /// A field, counted from 0, of the line handed out last.
    pub(super) fn field_place(&self, field: usize) -> Place {
        self.at(Position::Field {
            line: self.line,
            field: field as u64 + 1,
        })
    }

    /// The next byte to be handed out.
    pub(super) fn byte_place(&self) -> Place {
        self.at(Position::Byte(self.offset))
    }

    /// Refuses a count above its cap.
    pub(super) fn cap(
        &self,
        place: impl FnOnce(&Self) -> Place,
        field: &'static str,
        found: usize,
        limit: usize,
    ) -> Result<(), DataError> {
        if found <= limit {
            return Ok(());
        }
        Err(DataError::Limit {
            place: place(self),
            field,
            found: found as u64,
            limit: limit as u64,
        })
    }

    fn read_error(&self, source: io::Error) -> DataError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        if source.get_ref().is_some_and(|inner| inner.is::<OverCap>()) {
            return DataError::Limit {
                place: self.whole(),
                field: "bytes",
                found: self.limits.bytes.saturating_add(OVERHEAD),
                limit: self.limits.bytes,
            };
        }
        let place = self.byte_place();
        if let Some(tail) = source.get_ref().and_then(|inner| inner.downcast_ref()) {
            let Tail { found } = tail;
            return DataError::GzipTail {
                place,
                found: found.clone(),
            };
        }
        match source.kind() {
            InvalidData | InvalidInput | UnexpectedEof if self.is_gzip => {
                DataError::Gzip { place, source }
            }
            _ => DataError::Read { place, source },
        }
    }

    /// What is buffered, at most `most` bytes; empty at the end of the file only.
    fn peek(&mut self, most: usize) -> Result<&[u8], DataError> {
        loop {
            match self.reader.fill_buf() {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.read_error(source)),
            }
        }
        // Already buffered: this call returns at once, and ends the borrow of the loop above.
        let bytes = self.reader.fill_buf().unwrap_or_default();
        Ok(bytes.get(..most).unwrap_or(bytes))
    }

    fn consume(&mut self, count: usize) -> Result<(), DataError> {
        self.reader.consume(count);
        self.offset = self.offset.saturating_add(count as u64);
        if self.offset <= self.limits.bytes {
            return Ok(());
        }
        Err(DataError::Limit {
            place: self.whole(),
            field: "bytes",
            found: self.offset,
            limit: self.limits.bytes,
        })
    }

    /// Appends up to `count` bytes, as they arrive, and returns how many there were.
    pub(super) fn read(&mut self, out: &mut Vec<u8>, count: usize) -> Result<usize, DataError> {
        let mut done = 0;
        while done < count {
            let bytes = self.peek(count - done)?;
            let taken = bytes.len();
            if taken == 0 {
                break;
            }
            out.extend_from_slice(bytes);
            self.consume(taken)?;
            done += taken;
        }
        Ok(done)
    }

    /// Reads the next line without its end (LF or CR LF); `false` at the end of the file.
    pub(super) fn line(&mut self, out: &mut Vec<u8>) -> Result<bool, DataError> {
        out.clear();
        self.line += 1;
        let start = self.offset;
        let longest = self.limits.line_bytes;
        let mut seen = false;
        loop {
            let bytes = self.peek(usize::MAX)?;
            if bytes.is_empty() {
                break;
            }
            seen = true;
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let taken = end.map_or(bytes.len(), |end| end + 1);
            out.extend_from_slice(bytes.get(..end.unwrap_or(taken)).unwrap_or(bytes));
            self.consume(taken)?;
            if out.len() > longest {
                self.check_text(start, out)?;
                self.check_line_end(out, false)?;
                self.cap(Self::line_place, "line_bytes", out.len(), longest)?;
            }
            if end.is_some() {
                break;
            }
        }
        if out.last() == Some(&b'\r') {
            out.pop();
        }
        self.check_text(start, out)?;
        if self.line == 1 && out.starts_with(BYTE_ORDER_MARK) {
            out.drain(..BYTE_ORDER_MARK.len());
        }
        Ok(seen)
    }
}

/// A reader that fails, and does not end, after so many bytes.
struct Capped<R> {
    left: u64,
    reader: R,
}

/// More bytes than the cap.
#[derive(Debug)]
struct OverCap;

impl fmt::Display for OverCap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the file is longer than the cap on bytes")
    }
}

impl std::error::Error for OverCap {}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        // One byte more shows whether the file ends at the cap.
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX);
        let most = most.min(out.len());
        let read = self.reader.read(out.get_mut(..most).unwrap_or_default())?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::other(OverCap)),
        }
        Ok(read)
    }
}

/// A number that is finite in `f32`; on failure what was expected.
pub(super) fn number(token: &[u8]) -> Result<f32, &'static str> {
    let value = std::str::from_utf8(token).map(str::parse::<f32>);
    match value {
        Ok(Ok(value)) if value.is_finite() => Ok(value),
        // `inf` and `nan` have no digit.
        Ok(Ok(_)) if token.iter().any(u8::is_ascii_digit) => {
            Err("a number that is finite in `f32`, at most 3.4e38 in size")
        }
        _ => Err("a finite number"),
    }
}
