//! What can be wrong with a dataset, and where.

use std::fmt;
use std::io;

/// A file and a position in it, shown as `a9a:12:7`.
///
/// ```
/// use thalweg_std::data::{Place, Position};
/// let place = Place { file: "a9a".into(), position: Position::Text { line: 12, column: 7 } };
/// assert_eq!(place.to_string(), "a9a:12:7");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Path, or the name given to a reader.
    pub file: String,
    /// Position in it.
    pub position: Position,
}

/// A position in a file; lines, columns and fields count from 1, bytes from 0 after decompression.
///
/// ```
/// use thalweg_std::data::Position;
/// assert_ne!(Position::Line(1), Position::Byte(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The file as a whole.
    Whole,
    /// Offset of a byte.
    Byte(u64),
    /// A line.
    Line(u64),
    /// A byte of a line.
    Text {
        /// The line.
        line: u64,
        /// Byte of the line at which the token starts.
        column: u64,
    },
    /// A field of a record.
    Field {
        /// Line of the record.
        line: u64,
        /// Number of the field.
        field: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        match self.position {
            Position::Whole => Ok(()),
            Position::Byte(offset) => write!(f, " at byte {offset}"),
            Position::Line(line) => write!(f, ":{line}"),
            Position::Text { line, column } => write!(f, ":{line}:{column}"),
            Position::Field { line, field } => write!(f, ":{line} field {field}"),
        }
    }
}

/// A dataset that cannot be read, matched or divided as asked.
///
/// ```
/// use thalweg_std::data::{DataError, libsvm};
/// let error = libsvm::read("1 3:0.5 2:1\n".as_bytes(), "bad", &Default::default()).unwrap_err();
/// assert!(matches!(error, DataError::Unexpected { .. }));
/// assert_eq!(
///     error.to_string(),
///     "bad:1:9: found index `2`, expected an index above the one before it"
/// );
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A path that cannot be opened.
    #[error("{path}: cannot open: {source}")]
    Open {
        /// The path.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// A read that failed.
    #[error("{place}: cannot read: {source}")]
    Read {
        /// How far the reader came.
        place: Place,
        /// What the system says.
        source: io::Error,
    },
    /// A gzip stream that is cut or damaged.
    #[error("{place}: damaged gzip stream: {source}; fetch the file again")]
    Gzip {
        /// How far the decoder came.
        place: Place,
        /// What it says.
        source: io::Error,
    },
    /// Bytes behind a gzip stream that are neither zeros nor gzip.
    #[error(
        "{place}: all data was read and its check sums agree, but what follows the gzip stream is not gzip: `{found}`; \
         cut it off, for instance with `gzip -dc`, which warns and leaves it out"
    )]
    GzipTail {
        /// Where the data ends, after decompression.
        place: Place,
        /// The first of the bytes, escaped.
        found: String,
    },
    /// A file that is probably not what the options say.
    #[error("{place}: {found}; {cure}")]
    Misread {
        /// Where that shows.
        place: Place,
        /// What the file seems to be.
        found: String,
        /// What to do about it.
        cure: String,
    },
    /// A sparse set that is too large to be written out.
    #[error(
        "{rows} rows of {columns} columns written out are {size} values, more than the cap of {limit}; \
         raise `Limits::values` if there is memory for 4 bytes each",
        size = *rows as u128 * *columns as u128
    )]
    TooDense {
        /// Its rows.
        rows: usize,
        /// Its columns.
        columns: usize,
        /// The cap.
        limit: usize,
    },
    /// A file without any of what it should hold.
    #[error("{place}: no {what}")]
    Empty {
        /// The file.
        place: Place,
        /// What is missing.
        what: &'static str,
    },
    /// A token or header field that means nothing here.
    #[error("{place}: found {what} `{found}`, expected {expected}")]
    Unexpected {
        /// Where it starts.
        place: Place,
        /// What stands at this place in the format.
        what: &'static str,
        /// The text, shortened and escaped.
        found: String,
        /// What would be accepted.
        expected: &'static str,
    },
    /// A file that ends before what its header claims.
    #[error("{place}: the file ends after {found} of {expected} bytes; fetch it again")]
    Truncated {
        /// Where the missing part starts.
        place: Place,
        /// Bytes claimed.
        expected: u64,
        /// Bytes there.
        found: u64,
    },
    /// Two counts that must agree and do not.
    #[error("{place}: {found} {what}, expected {expected}")]
    Count {
        /// Where the second count is complete.
        place: Place,
        /// What is counted.
        what: &'static str,
        /// The count that the rest of the data sets.
        expected: u64,
        /// The count found.
        found: u64,
    },
    /// More than [`Limits`](super::Limits) admit.
    #[error(
        "{place}: {found} {field} exceed the cap of {limit}; {alternative}raise `Limits::{field}` if the file is trusted",
        alternative = alternative(field)
    )]
    Limit {
        /// Where the cap is passed.
        place: Place,
        /// Field of [`Limits`](super::Limits).
        field: &'static str,
        /// Count claimed, or reached so far.
        found: u64,
        /// The cap.
        limit: u64,
    },
    /// A class of a test set that the training set has not.
    #[error("row {row}: label `{label}` is not one of the training set's classes")]
    UnknownLabel {
        /// Row, from 0.
        row: usize,
        /// The label as it stands in the file.
        label: String,
    },
    /// An argument outside its range.
    #[error("`{name}` {rule}")]
    Parameter {
        /// The argument.
        name: &'static str,
        /// What it must be.
        rule: &'static str,
    },
}

/// What to do in place of raising a cap, where there is something.
fn alternative(field: &str) -> &'static str {
    match field {
        "classes" => {
            "if the label is a number to be predicted, read it with `TargetKind::Real`; else "
        }
        _ => "",
    }
}

/// Checks a rule on an argument.
pub(super) fn check(name: &'static str, holds: bool, rule: &'static str) -> Result<(), DataError> {
    if holds {
        Ok(())
    } else {
        Err(DataError::Parameter { name, rule })
    }
}

/// Checks that rows can be numbered by `u32`.
pub(super) fn check_rows(rows: usize) -> Result<(), DataError> {
    check("rows", rows <= u32::MAX as usize, "must be below 2^32")
}

/// At most 32 bytes of a token, escaped, for a message.
pub(super) fn excerpt(token: &[u8]) -> String {
    const LONGEST: usize = 32;
    match token.get(..LONGEST) {
        Some(head) if token.len() > LONGEST => format!("{}...", head.escape_ascii()),
        _ => token.escape_ascii().to_string(),
    }
}
