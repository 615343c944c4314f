//! What a line of a file says that is not text of lines: other encodings, packed files, stray bytes.

use super::Input;
use crate::data::error::DataError;

/// First bytes, what begins with them, and how to come to text.
const SIGNATURES: [(&[u8], &str, &str); 11] = [
    (
        b"\xff\xfe\0\0",
        "the text is UTF-32, little-endian",
        "convert it: `iconv -f UTF-32 -t UTF-8`",
    ),
    (
        b"\0\0\xfe\xff",
        "the text is UTF-32, big-endian",
        "convert it: `iconv -f UTF-32 -t UTF-8`",
    ),
    (
        b"\xff\xfe",
        "the text is UTF-16, little-endian",
        "convert it: `iconv -f UTF-16 -t UTF-8`",
    ),
    (
        b"\xfe\xff",
        "the text is UTF-16, big-endian",
        "convert it: `iconv -f UTF-16 -t UTF-8`",
    ),
    (
        b"\x1f\x8b",
        "a gzip file within a gzip file",
        "unpack it once: `gunzip`",
    ),
    (
        b"PK\x03\x04",
        "a zip archive or a workbook",
        "unpack it: `unzip`; save a sheet of a workbook as CSV",
    ),
    (b"BZh91AY&SY", "a bzip2 file", "unpack it: `bunzip2`"),
    (b"\xfd7zX", "an xz file", "unpack it: `unxz`"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it: `unzstd`"),
    (
        b"<!DOCTYPE",
        "a web page",
        "fetch the file itself, not the page that shows it",
    ),
    (
        b"<html",
        "a web page",
        "fetch the file itself, not the page that shows it",
    ),
];

impl Input<'_> {
    /// Names a file by its first bytes where that is none that a reader takes.
    pub(in crate::data) fn check_signature(&self, head: &[u8]) -> Result<(), DataError> {
        let known = SIGNATURES.iter().find(|(first, ..)| {
            head.get(..first.len())
                .is_some_and(|bytes| bytes.eq_ignore_ascii_case(first))
        });
        match known {
            None => Ok(()),
            Some((_, found, cure)) => Err(DataError::Misread {
                place: self.whole(),
                found: (*found).into(),
                cure: (*cure).into(),
            }),
        }
    }

    /// Refuses a line that is no text; `start` is the offset of its first byte.
    pub(super) fn check_text(&self, start: u64, line: &[u8]) -> Result<(), DataError> {
        if self.line == 1 {
            self.check_signature(line)?;
        }
        // Two fast searches where there is nothing to find.
        if !line.contains(&0) && !line.contains(&0x1a) {
            return Ok(());
        }
        let Some(at) = line.iter().position(|&byte| matches!(byte, 0 | 0x1a)) else {
            return Ok(());
        };
        let misread = |found: &str, cure: &str| DataError::Misread {
            place: self.column_place(at),
            found: found.into(),
            cure: cure.into(),
        };
        if line.get(at) == Some(&0x1a) {
            return Err(misread(
                "the byte \\x1a, Ctrl-Z, which ended files under CP/M and DOS",
                "cut it off: `tr -d '\\032'`",
            ));
        }
        // A line of UTF-16 ends within a character: parity counts from the start of the file.
        let zeros_at = |parity: u64| {
            let places = line.iter().zip(start..);
            places
                .filter(|(byte, place)| **byte == 0 && place % 2 == parity)
                .count()
        };
        let (even, odd) = (zeros_at(0), zeros_at(1));
        // Three of four characters below U+0100; padding has nothing in between.
        let is_wide = |zeros: usize| {
            zeros >= 2 && line.len() - zeros >= 2 && 8 * zeros >= 3 * (line.len() - 1)
        };
        Err(match (even, odd) {
            (0, zeros) if is_wide(zeros) => misread(
                "zero bytes as in UTF-16, little-endian",
                "convert it: `iconv -f UTF-16LE -t UTF-8`",
            ),
            (zeros, 0) if is_wide(zeros) => misread(
                "zero bytes as in UTF-16, big-endian",
                "convert it: `iconv -f UTF-16BE -t UTF-8`",
            ),
            _ => misread(
                "the byte \\x00, NUL, which text does not have",
                "cut padding off: `tr -d '\\000'`; a file with more of them is not text",
            ),
        })
    }

    /// Refuses a carriage return that ends a line by itself; between quotes it is data, where there are quotes.
    pub(in crate::data) fn check_line_end(
        &self,
        line: &[u8],
        has_quotes: bool,
    ) -> Result<(), DataError> {
        if !line.contains(&b'\r') {
            return Ok(());
        }
        let mut is_quoted = false;
        let text = line.trim_ascii_end();
        let first = text.len() - text.trim_ascii_start().len();
        for (at, &byte) in text.iter().enumerate().skip(first) {
            is_quoted ^= has_quotes && byte == b'"';
            if byte == b'\r' && !is_quoted {
                return Err(DataError::Misread {
                    place: self.column_place(at),
                    found: "a line that ends with CR alone, as on old Macs".into(),
                    cure: "convert to LF: `tr '\\r' '\\n'`".into(),
                });
            }
        }
        Ok(())
    }
}
