//! Comma-separated values: a row a line, features and one label column.
//!
//! Fields may be quoted as in RFC 4180, but a record may not run over the end of its line: features are
//! numbers, and a quote that is left open would otherwise swallow the file. Spaces around a field are
//! ignored, blank lines skipped. Every record has as many fields as the first.

use std::io::{self, Read, Write};
use std::path::Path;

use super::dataset::Dataset;
use super::error::{DataError, check, excerpt};
use super::input::{Input, number};
use super::limits::Limits;
use super::targets::{TargetBuilder, TargetKind, Targets};

/// Where the label stands.
///
/// ```
/// use thalweg_std::data::csv::{Label, Options, read};
/// let options = Options { label: Label::First, ..Default::default() };
/// assert_eq!(read("cat,1,2\n".as_bytes(), "one", &options)?.class_names(), ["cat"]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Label {
    /// In the first field.
    First,
    /// In the last field.
    #[default]
    Last,
    /// Nowhere: all fields are features.
    Absent,
}

/// Whether the first record names the columns.
///
/// ```
/// use thalweg_std::data::csv::{Header, Options, read};
/// let text = "length,width,kind\n1,2,a\n";
/// assert_eq!(read(text.as_bytes(), "detected", &Options::default())?.rows(), 1);
/// let options = Options { header: Header::Absent, ..Default::default() };
/// assert!(read(text.as_bytes(), "insisted", &options).is_err());
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// It does if none of its feature fields is a number.
    #[default]
    Detect,
    /// It does.
    Present,
    /// It is data.
    Absent,
}

/// How to read a CSV file.
///
/// ```
/// use thalweg_std::data::csv::{Options, read};
/// let options = Options { delimiter: b';', ..Default::default() };
/// assert_eq!(read("1;2;x\n".as_bytes(), "one", &options)?.features(), [1.0, 2.0]);
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the label stands; default last.
    pub label: Label,
    /// Whether the first record names the columns; default found out.
    pub header: Header,
    /// Classes or numbers; default classes.
    pub targets: TargetKind,
    /// Byte between fields; default `,`.
    pub delimiter: u8,
    /// Caps.
    pub limits: Limits,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            label: Label::default(),
            header: Header::default(),
            targets: TargetKind::default(),
            delimiter: b',',
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
pub fn read_path(path: impl AsRef<Path>, options: &Options) -> Result<Dataset, DataError> {
    parse(Input::open(path.as_ref(), &options.limits)?, options)
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
pub fn read(reader: impl Read, name: &str, options: &Options) -> Result<Dataset, DataError> {
    parse(Input::new(reader, name, &options.limits)?, options)
}

fn parse(mut input: Input<'_>, options: &Options) -> Result<Dataset, DataError> {
    let delimiter = options.delimiter;
    check(
        "delimiter",
        !delimiter.is_ascii_alphanumeric() && !b"\"+-.\r\n".contains(&delimiter),
        "must not be a character of numbers, quotes or line ends",
    )?;
    let limits = &options.limits;
    let mut targets = match options.label {
        Label::Absent => TargetBuilder::Absent,
        Label::First | Label::Last => TargetBuilder::new(options.targets),
    };
    let mut features = Vec::new();
    let mut rows = 0;
    let mut count = None;
    let mut line = Vec::new();
    let mut record = Record::new(delimiter);
    while input.line(&mut line)? {
        if line.trim_ascii().is_empty() {
            continue;
        }
        record.split(&mut line, &input)?;
        let fields = record.len;
        let label = match options.label {
            Label::First => Some(0),
            Label::Last => Some(fields.saturating_sub(1)),
            Label::Absent => None,
        };
        let is_label = |field: usize| Some(field) == label;
        let expected = match count {
            Some(expected) => expected,
            None => {
                count = Some(fields);
                let columns = fields.saturating_sub(usize::from(label.is_some()));
                if columns == 0 {
                    return Err(DataError::Empty {
                        place: input.line_place(),
                        what: "features",
                    });
                }
                input.cap(Input::line_place, "columns", columns, limits.columns)?;
                let is_header = match options.header {
                    Header::Present => true,
                    Header::Absent => false,
                    Header::Detect => record
                        .fields()
                        .enumerate()
                        .all(|(i, x)| is_label(i) || !is_numeric(x)),
                };
                if is_header {
                    continue;
                }
                fields
            }
        };
        if fields != expected {
            return Err(DataError::Count {
                place: input.line_place(),
                what: "fields",
                expected: expected as u64,
                found: fields as u64,
            });
        }
        rows += 1;
        input.cap(Input::line_place, "rows", rows, limits.rows)?;
        for (i, field) in record.fields().enumerate() {
            let unexpected = |what, expected| DataError::Unexpected {
                place: input.field_place(i),
                what,
                found: excerpt(field),
                expected,
            };
            if is_label(i) {
                targets
                    .push(field)
                    .map_err(|expected| unexpected("label", expected))?;
            } else {
                let value = number(field);
                features.push(value.ok_or_else(|| unexpected("value", "a finite number"))?);
            }
        }
        input.cap(Input::line_place, "values", features.len(), limits.values)?;
        input.cap(
            Input::line_place,
            "classes",
            targets.classes(),
            limits.classes,
        )?;
    }
    if rows == 0 {
        return Err(DataError::Empty {
            place: input.whole(),
            what: "rows",
        });
    }
    Dataset::new(features.len() / rows, features, targets.finish())
}

/// Also NaN and infinity: a row that holds them is bad data, not a header.
fn is_numeric(field: &[u8]) -> bool {
    std::str::from_utf8(field).is_ok_and(|text| text.parse::<f64>().is_ok())
}

/// One record, split into fields; reused from line to line.
struct Record {
    reader: csv_core::Reader,
    delimiter: u8,
    text: Vec<u8>,
    ends: Vec<usize>,
    /// Number of fields, at least 1 after a split.
    len: usize,
}

impl Record {
    fn new(delimiter: u8) -> Self {
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
    fn split(&mut self, line: &mut Vec<u8>, input: &Input<'_>) -> Result<(), DataError> {
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
    fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.ends.get(..self.len).unwrap_or_default();
        let mut start = 0;
        ends.iter().map(move |&end| {
            let field = self.text.get(start..end).unwrap_or_default();
            start = end;
            field.trim_ascii()
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<Dataset, DataError> {
        read(text, "t", &Options::default())
    }

    fn message(text: &[u8]) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn header_quotes_spaces_crlf_and_blank_lines_are_understood() {
        let text =
            b"\xef\xbb\xbfa,\"b\",kind\r\n\r\n 1 ,\"-2.5e1\",\"x, \"\"y\"\"\"\r\n+3,.5, z \r\n";
        let data = parse(text).unwrap();
        assert_eq!(data.features(), [1.0, -25.0, 3.0, 0.5]);
        assert_eq!(data.class_names(), ["x, \"y\"", "z"]);
        assert_eq!(data.labels(), [0, 1]);
    }

    #[test]
    fn label_column_may_be_first_last_or_absent() {
        let labelled = |label| {
            read(
                &b"7,8,9\n"[..],
                "t",
                &Options {
                    label,
                    ..Options::default()
                },
            )
            .unwrap()
        };
        assert_eq!(labelled(Label::First).features(), [8.0, 9.0]);
        assert_eq!(labelled(Label::First).class_names(), ["7"]);
        assert_eq!(labelled(Label::Last).features(), [7.0, 8.0]);
        assert_eq!(labelled(Label::Absent).features(), [7.0, 8.0, 9.0]);
        assert_eq!(labelled(Label::Absent).targets(), &Targets::Absent);
    }

    #[test]
    fn a_header_has_no_number_among_its_features() {
        assert_eq!(parse(b"x,y,1\n2,3,1\n").unwrap().rows(), 1);
        assert_eq!(
            message(b"1,NA,a\n2,3,b\n"),
            "t:1 field 2: found value `NA`, expected a finite number"
        );
        let present = Options {
            header: Header::Present,
            ..Options::default()
        };
        assert_eq!(
            read(&b"1,2\n3,4\n"[..], "t", &present).unwrap().features(),
            [3.0]
        );
    }

    #[test]
    fn real_targets_keep_their_values() {
        let options = Options {
            targets: TargetKind::Real,
            ..Options::default()
        };
        let data = read(&b"x,y\n1,0.25\n2,-3\n"[..], "t", &options).unwrap();
        assert_eq!(data.targets(), &Targets::Real(vec![0.25, -3.0]));
        assert_eq!((data.labels(), data.classes()), (&[][..], 0));
    }

    #[test]
    fn errors_name_line_and_field() {
        for (text, expected) in [
            (&b""[..], "t: no rows"),
            (b"a,b,c\n", "t: no rows"),
            (b"7\n", "t:1: no features"),
            (b"1,2,a\n1,a\n", "t:2: 2 fields, expected 3"),
            (b"1,2,a\n1,2,a,\n", "t:2: 4 fields, expected 3"),
            (
                b"1,a\nnan,b\n",
                "t:2 field 1: found value `nan`, expected a finite number",
            ),
            (
                b"1,a\n-inf,b\n",
                "t:2 field 1: found value `-inf`, expected a finite number",
            ),
            (
                b"1,a\n1e39,b\n",
                "t:2 field 1: found value `1e39`, expected a finite number",
            ),
            (
                b"1,a\n,b\n",
                "t:2 field 1: found value ``, expected a finite number",
            ),
            (
                b"1,a\n2\r3,b\n",
                "t:2 field 1: found value `2\\r3`, expected a finite number",
            ),
            (b"1,\n", "t:1 field 2: found label ``, expected a label"),
            (
                b"1,\xff\n",
                "t:1 field 2: found label `\\xff`, expected a label in UTF-8",
            ),
            (
                b"1,a\n2,\"b\n3,c\n",
                "t:2: found record `2,\\\"b`, expected its quotes closed at the end of its line",
            ),
            (
                "1,a\n\u{ff11},b\n".as_bytes(),
                "t:2 field 1: found value `\\xef\\xbc\\x91`, expected a finite number",
            ),
        ] {
            assert_eq!(message(text), expected);
        }
    }

    #[test]
    fn a_delimiter_that_is_part_of_numbers_is_refused() {
        for delimiter in *b"0e.-+\"\n\r" {
            let options = Options {
                delimiter,
                ..Options::default()
            };
            assert!(matches!(
                read(&b"1"[..], "t", &options),
                Err(DataError::Parameter { .. })
            ));
        }
        let options = Options {
            delimiter: b'\t',
            ..Options::default()
        };
        assert_eq!(
            read(&b"1\t2\t3\n"[..], "t", &options).unwrap().features(),
            [1.0, 2.0]
        );
    }

    #[test]
    fn every_cap_holds() {
        let text = b"1,2,a\n3,4,b\n";
        for (limits, field) in [
            (
                Limits {
                    bytes: 11,
                    ..Limits::default()
                },
                "bytes",
            ),
            (
                Limits {
                    line_bytes: 4,
                    ..Limits::default()
                },
                "line_bytes",
            ),
            (
                Limits {
                    rows: 1,
                    ..Limits::default()
                },
                "rows",
            ),
            (
                Limits {
                    columns: 1,
                    ..Limits::default()
                },
                "columns",
            ),
            (
                Limits {
                    values: 3,
                    ..Limits::default()
                },
                "values",
            ),
            (
                Limits {
                    classes: 1,
                    ..Limits::default()
                },
                "classes",
            ),
        ] {
            match read(
                &text[..],
                "t",
                &Options {
                    limits,
                    ..Options::default()
                },
            ) {
                Err(DataError::Limit { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
        let exact = Limits {
            bytes: 12,
            line_bytes: 5,
            rows: 2,
            columns: 2,
            values: 4,
            classes: 2,
        };
        assert!(
            read(
                &text[..],
                "t",
                &Options {
                    limits: exact,
                    ..Options::default()
                }
            )
            .is_ok()
        );
    }
}
