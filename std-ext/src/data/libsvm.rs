//! LIBSVM text: `label index:value index:value ...`, a row a line.
//!
//! Indices count from 1 and increase along the line. Spaces or tabs separate, also at the end of the line; a
//! line ends with LF or CR LF; `#` starts a comment; blank lines are skipped; a bare label is a row of zeros.
//! Labels are numbers. Ranking files (`qid:`) are refused.

use std::io::{self, Read, Write};
use std::path::Path;

use super::error::{DataError, excerpt};
use super::input::{Input, number};
use super::limits::Limits;
use super::sparse::{Csr, SparseDataset};
use super::targets::{TargetBuilder, TargetKind, Targets};

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
    /// Number of columns; the largest index of the file where `None`.
    pub columns: Option<usize>,
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
    parse(Input::open(path.as_ref(), &options.limits)?, options)
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
    parse(Input::new(reader, name, &options.limits)?, options)
}

fn parse(mut input: Input<'_>, options: &Options) -> Result<SparseDataset, DataError> {
    let limits = &options.limits;
    // Indices are stored as u32.
    let widest = options
        .columns
        .unwrap_or(limits.columns)
        .min(limits.columns)
        .min(u32::MAX as usize);
    let mut targets = TargetBuilder::new(options.targets);
    let mut csr = Csr {
        columns: 0,
        starts: vec![0],
        indices: Vec::new(),
        values: Vec::new(),
    };
    let mut line = Vec::new();
    while input.line(&mut line)? {
        let mut tokens = tokens(&line);
        let Some((at, label)) = tokens.next() else {
            continue;
        };
        input.cap(Input::line_place, "rows", csr.starts.len(), limits.rows)?;
        let bad_label = |expected| DataError::Unexpected {
            place: input.column_place(at),
            what: "label",
            found: excerpt(label),
            expected,
        };
        number::<f64>(label).ok_or_else(|| bad_label("a finite number"))?;
        targets.push(label).map_err(bad_label)?;
        input.cap(
            Input::line_place,
            "classes",
            targets.classes(),
            limits.classes,
        )?;

        let mut previous = 0;
        for (at, token) in tokens {
            let unexpected = |what, part: &[u8], expected| DataError::Unexpected {
                place: input.column_place(at),
                what,
                found: excerpt(part),
                expected,
            };
            let colon = token.iter().position(|&byte| byte == b':');
            let (index, value) = colon
                .and_then(|colon| token.split_at_checked(colon))
                .ok_or_else(|| unexpected("pair", token, "`index:value`"))?;
            let value = value.get(1..).unwrap_or_default();
            let column = std::str::from_utf8(index)
                .ok()
                .and_then(|text| text.parse().ok());
            let column: usize =
                column.ok_or_else(|| unexpected("index", index, "an integer from 1"))?;
            if column == 0 {
                return Err(unexpected("index", index, "an integer from 1"));
            }
            if column <= previous {
                return Err(unexpected(
                    "index",
                    index,
                    "an index above the one before it",
                ));
            }
            if options.columns.is_some_and(|columns| column > columns) {
                return Err(unexpected(
                    "index",
                    index,
                    "an index within the columns asked for",
                ));
            }
            input.cap(|input| input.column_place(at), "columns", column, widest)?;
            let value =
                number(value).ok_or_else(|| unexpected("value", value, "a finite number"))?;
            input.cap(
                Input::line_place,
                "values",
                csr.values.len() + 1,
                limits.values,
            )?;
            csr.indices.push((column - 1) as u32);
            csr.values.push(value);
            previous = column;
        }
        csr.columns = csr.columns.max(previous);
        csr.starts.push(csr.values.len());
    }
    if csr.rows() == 0 {
        return Err(DataError::Empty {
            place: input.whole(),
            what: "rows",
        });
    }
    csr.columns = options.columns.unwrap_or(csr.columns);
    if csr.columns == 0 {
        return Err(DataError::Empty {
            place: input.whole(),
            what: "features",
        });
    }
    Ok(SparseDataset {
        features: csr,
        targets: targets.finish(),
    })
}

/// The words of a line before its comment, each with the byte at which it starts.
fn tokens(line: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let end = line
        .iter()
        .position(|&byte| byte == b'#')
        .unwrap_or(line.len());
    let mut at = 0;
    line.get(..end)
        .unwrap_or(line)
        .split(u8::is_ascii_whitespace)
        .filter_map(move |word| {
            let start = at;
            at += word.len() + 1;
            (!word.is_empty()).then_some((start, word))
        })
}

/// Writes a set in the form that [`read`] takes, with the labels of the original file.
///
/// A set without targets is written with label 0.
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
        let (indices, values) = data.features.row(i).unwrap_or_default();
        for (&j, value) in indices.iter().zip(values) {
            write!(out, " {}:{value}", u64::from(j) + 1)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<SparseDataset, DataError> {
        read(text, "t", &Options::default())
    }

    fn message(text: &[u8]) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn every_permitted_liberty_is_taken() {
        let text =
            b"\xef\xbb\xbf+1 1:1 3:-2.5e-1 \r\n# only a comment\n\n  -1\t2:.5#tail\n-1 \n1.0 4:7";
        let data = parse(text).unwrap();
        assert_eq!((data.features.rows(), data.features.columns()), (4, 4));
        assert_eq!(data.features.row(0), Some((&[0, 2][..], &[1.0, -0.25][..])));
        assert_eq!(data.features.row(1), Some((&[1][..], &[0.5][..])));
        assert_eq!(data.features.row(2), Some((&[][..], &[][..])));
        assert_eq!(data.features.row(3), Some((&[3][..], &[7.0][..])));
        assert_eq!(data.features.row(4), None);
        let Targets::Class { labels, names } = data.targets else {
            panic!()
        };
        assert_eq!(
            (labels, names),
            (vec![1, 0, 0, 1], vec!["-1".to_owned(), "1".to_owned()])
        );
    }

    #[test]
    fn real_targets_keep_their_values() {
        let options = Options {
            targets: TargetKind::Real,
            ..Options::default()
        };
        let data = read(&b"0.25 1:1\n-3 1:2\n"[..], "t", &options).unwrap();
        assert_eq!(data.targets, Targets::Real(vec![0.25, -3.0]));
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, expected) in [
            (&b""[..], "t: no rows"),
            (b"# nothing\n\n", "t: no rows"),
            (b"1\n2\n", "t: no features"),
            (
                b"1 0:1",
                "t:1:3: found index `0`, expected an integer from 1",
            ),
            (
                b"1 1:1\n1 2:1 2:1",
                "t:2:7: found index `2`, expected an index above the one before it",
            ),
            (
                b"1 3:1 2:1",
                "t:1:7: found index `2`, expected an index above the one before it",
            ),
            (
                b"1 -3:1",
                "t:1:3: found index `-3`, expected an integer from 1",
            ),
            (
                b"1 1:nan",
                "t:1:3: found value `nan`, expected a finite number",
            ),
            (
                b"1 1:1e39",
                "t:1:3: found value `1e39`, expected a finite number",
            ),
            (b"1 1:", "t:1:3: found value ``, expected a finite number"),
            (
                b"1 1:1:1",
                "t:1:3: found value `1:1`, expected a finite number",
            ),
            (
                b"1 qid:7 1:1",
                "t:1:3: found index `qid`, expected an integer from 1",
            ),
            (b"1 7", "t:1:3: found pair `7`, expected `index:value`"),
            (
                b"inf 1:1",
                "t:1:1: found label `inf`, expected a finite number",
            ),
            (
                b"1,2 1:1",
                "t:1:1: found label `1,2`, expected a finite number",
            ),
            (
                b"1 \xff\xfe:1",
                "t:1:3: found index `\\xff\\xfe`, expected an integer from 1",
            ),
            (
                "1 1:\u{664}".as_bytes(),
                "t:1:3: found value `\\xd9\\xa4`, expected a finite number",
            ),
            (
                b"1 99999999999999999999:1",
                "t:1:3: found index `99999999999999999999`, expected an integer from 1",
            ),
            (
                b"1 4000000000:1",
                "t:1:3: 4000000000 columns exceed the cap of 1048576; \
                 raise `Limits::columns` if the file is trusted",
            ),
        ] {
            assert_eq!(message(text), expected);
        }
    }

    #[test]
    fn every_cap_holds() {
        let text = b"1 1:1 2:1\n2 1:1\n";
        for (limits, field) in [
            (
                Limits {
                    bytes: 15,
                    ..Limits::default()
                },
                "bytes",
            ),
            (
                Limits {
                    line_bytes: 8,
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
                    values: 2,
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
            let options = Options {
                limits,
                ..Options::default()
            };
            match read(&text[..], "t", &options) {
                Err(DataError::Limit { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
        let exact = Limits {
            bytes: 16,
            line_bytes: 9,
            rows: 2,
            columns: 2,
            values: 3,
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

    #[test]
    fn a_dense_copy_over_the_cap_is_refused_before_it_is_made() {
        let data = parse(b"1 1000000:1\n2 1:1\n").unwrap();
        let limits = Limits {
            values: 1_999_999,
            ..Limits::default()
        };
        assert!(data.to_dense(&limits).is_err());
    }
}
