//! Comma-separated values: a row a line, features and one label column.
//!
//! Fields may be quoted as in RFC 4180, but a record may not run over the end of its line: features are
//! numbers, and a quote that is left open would otherwise swallow the file. Spaces around a field are
//! ignored, blank lines skipped. Every record has as many fields as the first. Lines end with LF or CR LF.
//!
//! # Headers
//!
//! Whether the first record names the columns is found out unless [`Options::header`] says it: it does if at least
//! one of its features is a name, none is a number, and they are not all the same. A name has a letter and is not one of
//! the spellings of a missing value. Three kinds of file need the option:
//!
//! | First record | Is taken for | Then |
//! |---|---|---|
//! | `2010,2011,2012,label`: names that are numbers | data; `label` becomes a class | [`Header::Present`] |
//! | `age,2020,label`: some of the names are numbers | data, and refused for `age` | [`Header::Present`] |
//! | `red,round,apple`: data that a feature reader cannot read | a header | [`Header::Absent`], and an error |
//!
//! # Missing values
//!
//! A cell is missing if it is empty, has neither letter nor digit (`?`, `-`, `.`), is one of the spellings of spreadsheets,
//! databases and statistics programs in any case (`NA`, `N/A`, `#N/A`, `<NA>`, `NaN`, `NULL`, `nil`, `None`, `missing`,
//! `NaT`, `\N`, `#DIV/0!` and its kin), or is listed in [`Options::missing`]. A row with one is an error unless
//! [`Options::missing_rows`] drops or fills it. Labels are stricter, since `-` and `none` are good names of classes: one
//! is missing if it is empty, NaN or listed. It is never filled.

use std::io::{self, Read, Write};
use std::path::Path;

use super::dataset::Dataset;
use super::error::DataError;
use super::input::Input;
use super::limits::Limits;
use super::targets::{TargetKind, Targets};

mod cell;
mod fill;
mod parse;
mod record;
#[cfg(test)]
mod tests;

/// Where the label stands.
///
/// ```
/// use thalweg_std::data::csv::{Label, Options, read};
/// let options = Options { label: Label::First, ..Default::default() };
/// assert_eq!(read("cat,1,2\n".as_bytes(), "one", &options)?.class_names(), ["cat"]);
/// let options = Options { label: Label::Named("kind"), ..Default::default() };
/// let data = read("length,kind,width\n1,cat,2\n".as_bytes(), "two", &options)?;
/// assert_eq!((data.features(), data.class_names()), (&[1.0, 2.0][..], &["cat".into()][..]));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Label<'a> {
    /// In the first field.
    First,
    /// In the last field.
    #[default]
    Last,
    /// Nowhere: all fields are features.
    Absent,
    /// In the field of this number, counted from 1 as in errors.
    Field(usize),
    /// In the field that the header calls so; the first record is a header then.
    Named(&'a str),
}

/// Whether the first record names the columns.
///
/// ```
/// use thalweg_std::data::csv::{Header, Options, read};
/// let text = "length,width,kind\n1,2,a\n";
/// assert_eq!(read(text.as_bytes(), "detected", &Options::default())?.rows(), 1);
/// let options = Options { header: Header::Absent, ..Default::default() };
/// assert!(read(text.as_bytes(), "insisted", &options).is_err());
///
/// // Years name these columns: nothing tells them from data.
/// let text = "2010,2011,label\n1,2,a\n";
/// assert_eq!(read(text.as_bytes(), "detected", &Options::default())?.rows(), 2);
/// let options = Options { header: Header::Present, ..Default::default() };
/// assert_eq!(read(text.as_bytes(), "insisted", &options)?.rows(), 1);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// It does if a feature is a name, none is a number and they are not all the same; see [the module](self#headers).
    #[default]
    Detect,
    /// It does.
    Present,
    /// It is data.
    Absent,
}

/// What becomes of a row with a missing value.
///
/// Means and medians are those of the values that are there, over the whole file: rows that are held out later are among them.
///
/// ```
/// use thalweg_std::data::csv::{MissingRows, Options, read};
/// let text = "1,2,a\nNA,4,b\n5,?,b\n";
/// assert!(read(text.as_bytes(), "refused", &Options::default()).is_err());
/// let with = |missing_rows| {
///     let options = Options { missing_rows, ..Default::default() };
///     read(text.as_bytes(), "t", &options).map(|data| data.features().to_vec())
/// };
/// assert_eq!(with(MissingRows::Drop)?, [1.0, 2.0]);
/// assert_eq!(with(MissingRows::Mean)?, [1.0, 2.0, 3.0, 4.0, 5.0, 3.0]);
/// assert_eq!(with(MissingRows::Constant(-1.0))?, [1.0, 2.0, -1.0, 4.0, 5.0, -1.0]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum MissingRows {
    /// It is an error.
    #[default]
    Refuse,
    /// It is left out, also where its label is missing.
    Drop,
    /// The mean of the column stands in.
    Mean,
    /// The median of the column stands in; of an even number of values the mean of the two in the middle.
    Median,
    /// This number stands in.
    Constant(f32),
}

/// How to read a CSV file.
///
/// ```
/// use thalweg_std::data::csv::{Options, read};
/// let options = Options { delimiter: b';', ..Default::default() };
/// assert_eq!(read("1;2;x\n".as_bytes(), "one", &options)?.features(), [1.0, 2.0]);
/// let options = Options { delimiter: b' ', ..Default::default() };
/// assert_eq!(read("  1   2 \t x\n".as_bytes(), "blanks", &options)?.features(), [1.0, 2.0]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options<'a> {
    /// Where the label stands; default last.
    pub label: Label<'a>,
    /// Whether the first record names the columns; default found out.
    pub header: Header,
    /// Classes or numbers; default classes.
    pub targets: TargetKind,
    /// Byte between fields; default `,`. With a blank, any number of spaces and tabs separates two fields.
    pub delimiter: u8,
    /// Spellings of a missing value beyond the usual ones; numbers are compared by value. Default none.
    pub missing: &'a [&'a str],
    /// What becomes of a row with a missing value; default an error.
    pub missing_rows: MissingRows,
    /// Caps.
    pub limits: Limits,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            label: Label::default(),
            header: Header::default(),
            targets: TargetKind::default(),
            delimiter: b',',
            missing: &[],
            missing_rows: MissingRows::default(),
            limits: Limits::default(),
        }
    }
}

/// Reads a file, plain or gzip.
///
/// # Errors
/// As [`read`], and [`DataError::Open`].
///
/// ```
/// use thalweg_std::data::csv;
/// assert!(csv::read_path("no/such/file", &Default::default()).is_err());
/// ```
pub fn read_path(path: impl AsRef<Path>, options: &Options<'_>) -> Result<Dataset, DataError> {
    parse::parse(Input::open(path.as_ref(), &options.limits)?, options)
}

/// Reads from anything, plain or gzip; `name` stands for the path in errors.
///
/// # Errors
/// [`DataError`] with line and field; nothing is returned of a file that is partly readable.
///
/// ```
/// use thalweg_std::data::csv;
/// let data = csv::read("1,2,cat\n3,4,dog\n".as_bytes(), "two", &Default::default())?;
/// assert_eq!((data.features(), data.labels()), (&[1., 2., 3., 4.][..], &[0, 1][..]));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn read(reader: impl Read, name: &str, options: &Options<'_>) -> Result<Dataset, DataError> {
    parse::parse(Input::new(reader, name, &options.limits)?, options)
}

/// Writes a set in the form that [`read`] takes with [`Label::Last`] (or [`Label::Absent`], where targets are
/// absent), without a header.
///
/// # Errors
/// Those of the writer.
///
/// ```
/// use thalweg_std::data::csv;
/// let data = csv::read("a, b, kind\n1.50, 2, 'x'\n".as_bytes(), "one", &Default::default())?;
/// let mut text = Vec::new();
/// csv::write(&data, &mut text)?;
/// assert_eq!(text, b"1.5,2,\"'x'\"\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(data: &Dataset, mut out: impl Write) -> io::Result<()> {
    for (i, row) in data.features().chunks_exact(data.columns()).enumerate() {
        for (j, value) in row.iter().enumerate() {
            write!(out, "{}{value}", if j == 0 { "" } else { "," })?;
        }
        match data.targets() {
            Targets::Absent => {}
            Targets::Real(values) => write!(out, ",{}", values.get(i).unwrap_or(&0.0))?,
            Targets::Class { labels, names } => {
                let name = labels.get(i).and_then(|&label| names.get(label as usize));
                let name = name.map_or("", String::as_str);
                if name.parse::<f64>().is_ok() {
                    write!(out, ",{name}")?;
                } else {
                    write!(out, ",\"{}\"", name.replace('"', "\"\""))?;
                }
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
