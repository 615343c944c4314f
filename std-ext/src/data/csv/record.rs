//! One line as a record.

use crate::data::error::{DataError, excerpt};
use crate::data::input::Input;

/// One record, split into fields; reused from line to line.
pub(super) struct Record {
    reader: csv_core::Reader,
    delimiter: u8,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Number of fields, at least 1 after a split.
    pub(super) len: usize,
}

impl Record {
    pub(super) fn new(delimiter: u8) -> Self {
        // A carriage return inside a line is data: as a line end it would hide the rest of the line.
        let terminator = csv_core::Terminator::Any(b'\n');
        let mut builder = csv_core::ReaderBuilder::new();
        let reader = builder.delimiter(delimiter).terminator(terminator).build();
        Self {
            reader,
            delimiter,
            text: Vec::new(),
            ends: Vec::new(),
            len: 0,
        }
    }

    /// Splits a line that is not blank.
    pub(super) fn split(&mut self, line: &mut Vec<u8>, input: &Input<'_>) -> Result<(), DataError> {
        if self.delimiter == b' ' {
            single_blanks(line);
        }
        line.push(b'\n');
        // Quotes only make text and fields fewer.
        let most = line.iter().filter(|&&byte| byte == self.delimiter).count() + 1;
        self.text.resize(line.len() + 1, 0);
        self.ends.resize(most + 1, 0);
        let (result, _, _, fields) = self
            .reader
            .read_record(line, &mut self.text, &mut self.ends);
        if !matches!(result, csv_core::ReadRecordResult::Record) {
            return Err(DataError::Unexpected {
                place: input.line_place(),
                what: "record",
                found: excerpt(line.trim_ascii_end()),
                expected: "its quotes closed at the end of its line",
            });
        }
        self.len = fields;
        Ok(())
    }

    /// The fields without the spaces around them.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.ends.get(..self.len).unwrap_or_default();
        let mut start = 0;
        ends.iter().map(move |&end| {
            let field = self.text.get(start..end).unwrap_or_default();
            start = end;
            field.trim_ascii()
        })
    }
}

/// Makes one space of every run of spaces and tabs outside quotes, none of those at the ends.
fn single_blanks(line: &mut Vec<u8>) {
    let mut is_quoted = false;
    let mut previous = b' ';
    line.retain_mut(|byte| {
        is_quoted ^= *byte == b'"';
        if *byte == b'\t' && !is_quoted {
            *byte = b' ';
        }
        let is_kept = is_quoted || *byte != b' ' || previous != b' ';
        previous = *byte;
        is_kept
    });
    if line.last() == Some(&b' ') {
        line.pop();
    }
}
