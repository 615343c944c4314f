//! LIBSVM text: `label index:value index:value ...`, a row a line; also known as SVMlight.
//!
//! Indices count from 1, or from 0 ([`ZeroBased`]), and increase along the line. Spaces or tabs separate, also at the
//! end of the line; a line ends with LF or CR LF; `#` starts a comment; blank lines are skipped; a bare label is a row of
//! zeros. Labels are numbers, classes by value however many digits they have (scikit-learn rounds them to `f64`).
//!
//! In files for ranking `qid:` and the number of a query follow the label; [`Qid`] says what becomes of it.
//! Files with several labels a row (`1,3 2:0.5`) are refused by name.

use std::io::{self, Read, Write};
use std::path::Path;

use super::error::DataError;
use super::input::Input;
use super::limits::Limits;
use super::sparse::SparseDataset;
use super::targets::{TargetKind, Targets};

mod parse;
#[cfg(test)]
mod tests;

/// Whether the first column has index 0.
///
/// ```
/// use thalweg_std::data::libsvm::{Options, ZeroBased, read};
/// let columns = |text: &str, zero_based| {
///     let options = Options { zero_based, ..Default::default() };
///     read(text.as_bytes(), "t", &options).map(|data| data.features.columns())
/// };
/// assert_eq!(columns("1 1:5 3:5\n", ZeroBased::Auto)?, 3);
/// assert_eq!(columns("1 1:5 3:5\n2 0:5\n", ZeroBased::Auto)?, 4);
/// assert_eq!(columns("1 1:5 3:5\n", ZeroBased::Yes)?, 4);
/// assert!(columns("1 0:5\n", ZeroBased::No).is_err());
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroBased {
    /// It has if an index of 0 occurs anywhere in the file. Not for a part of a set, such as a test file, in which the
    /// first column may be zero throughout.
    #[default]
    Auto,
    /// It has.
    Yes,
    /// It has index 1.
    No,
}

/// What becomes of `qid:`, the query that a row of a file for ranking belongs to.
///
/// ```
/// use thalweg_std::data::libsvm::{Options, Qid, read};
/// let text = "2 qid:7 1:0.5\n0 qid:7 2:1\n";
/// let error = read(text.as_bytes(), "rank", &Options::default()).unwrap_err();
/// assert!(error.to_string().starts_with("rank:1:3: `qid:7` as in a file for ranking"));
/// let options = Options { qid: Qid::Keep, ..Default::default() };
/// assert_eq!(read(text.as_bytes(), "rank", &options)?.query_ids, [7, 7]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Qid {
    /// It is an error: rows of one query are not independent.
    #[default]
    Refuse,
    /// It goes to [`SparseDataset::query_ids`]; all rows have one, or none.
    Keep,
    /// It is ignored.
    Skip,
}

/// How to read a LIBSVM file.
///
/// ```
/// use thalweg_std::data::libsvm;
/// let options = libsvm::Options { columns: Some(300), ..Default::default() };
/// let data = libsvm::read("1 2:1\n".as_bytes(), "w8a", &options)?;
/// assert_eq!(data.features.columns(), 300);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Classes or numbers.
    pub targets: TargetKind,
    /// Number of columns; where `None`, as many as the largest index of the file needs.
    pub columns: Option<usize>,
    /// Whether the first column has index 0; default found out.
    pub zero_based: ZeroBased,
    /// What becomes of query identifiers; default an error.
    pub qid: Qid,
    /// Caps.
    pub limits: Limits,
}

/// Reads a file, plain or gzip.
///
/// # Errors
/// As [`read`], and [`DataError::Open`].
///
/// ```
/// use thalweg_std::data::{DataError, libsvm};
/// let error = libsvm::read_path("no/such/file", &Default::default()).unwrap_err();
/// assert!(matches!(error, DataError::Open { .. }));
/// ```
pub fn read_path(path: impl AsRef<Path>, options: &Options) -> Result<SparseDataset, DataError> {
    parse::parse(Input::open(path.as_ref(), &options.limits)?, options)
}

/// Reads from anything, plain or gzip; `name` stands for the path in errors.
///
/// # Errors
/// [`DataError`] with line and column; nothing is returned of a file that is partly readable.
///
/// ```
/// use thalweg_std::data::libsvm;
/// let data = libsvm::read("+1 1:0.5 7:2 # note\n-1\n".as_bytes(), "two", &Default::default())?;
/// assert_eq!((data.features.rows(), data.features.columns()), (2, 7));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn read(reader: impl Read, name: &str, options: &Options) -> Result<SparseDataset, DataError> {
    parse::parse(Input::new(reader, name, &options.limits)?, options)
}

/// Writes a set in the form that [`read`] takes, with the labels of the original file.
///
/// A set without targets is written with label 0, indices count from 1, query identifiers follow the label.
///
/// # Errors
/// Those of the writer.
///
/// ```
/// use thalweg_std::data::libsvm;
/// let data = libsvm::read("+1 1:0.50 # note\n\n-1\n".as_bytes(), "two", &Default::default())?;
/// let mut text = Vec::new();
/// libsvm::write(&data, &mut text)?;
/// assert_eq!(text, b"1 1:0.5\n-1\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(data: &SparseDataset, mut out: impl Write) -> io::Result<()> {
    for i in 0..data.features.rows() {
        match &data.targets {
            Targets::Absent => write!(out, "0")?,
            Targets::Real(values) => write!(out, "{}", values.get(i).unwrap_or(&0.0))?,
            Targets::Class { labels, names } => {
                let name = labels.get(i).and_then(|&label| names.get(label as usize));
                write!(out, "{}", name.map_or("0", String::as_str))?;
            }
        }
        if let Some(query) = data.query_ids.get(i) {
            write!(out, " qid:{query}")?;
        }
        let (indices, values) = data.features.row(i).unwrap_or_default();
        for (&j, value) in indices.iter().zip(values) {
            write!(out, " {}:{value}", u64::from(j) + 1)?;
        }
        writeln!(out)?;
    }
    Ok(())
}
