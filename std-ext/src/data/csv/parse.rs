//! From lines to rows.

use super::cell::{
    delimiter_of, expected, is_missing, is_missing_label, is_name, is_numeric, is_sparse,
};
use super::fill::fill;
use super::record::Record;
use super::{Header, Label, MissingRows, Options};
use crate::data::dataset::Dataset;
use crate::data::error::{DataError, check, excerpt};
use crate::data::input::{Input, number};
use crate::data::targets::{TargetBuilder, TargetKind};

/// What the first record settles.
#[derive(Clone, Copy)]
struct Layout {
    /// Fields of every record.
    fields: usize,
    /// The field of the label, from 0.
    label: Option<usize>,
    /// Line of the first record.
    line: u64,
    /// Whether it is a header.
    has_header: bool,
}

impl Layout {
    fn columns(&self) -> usize {
        self.fields - usize::from(self.label.is_some())
    }
}

pub(super) fn parse(mut input: Input<'_>, options: &Options<'_>) -> Result<Dataset, DataError> {
    check_options(options)?;
    let delimiter = options.delimiter;
    let limits = &options.limits;
    let mut targets = match options.label {
        Label::Absent => TargetBuilder::Absent,
        _ => TargetBuilder::new(options.targets),
    };
    let mut features = Vec::new();
    let (mut rows, mut dropped) = (0_usize, false);
    let mut layout = None;
    let mut line = Vec::new();
    let mut record = Record::new(delimiter);
    while input.line(&mut line)? {
        if is_blank(&line, delimiter) {
            continue;
        }
        input.check_line_end(&line, true)?;
        record.split(&mut line, &input)?;
        let layout = match layout {
            Some(layout) => layout,
            None => {
                let found = first(&record, &line, &input, options)?;
                layout = Some(found);
                input.cap(
                    Input::line_place,
                    "columns",
                    found.columns(),
                    limits.columns,
                )?;
                if found.has_header {
                    continue;
                }
                found
            }
        };
        if record.len != layout.fields {
            return Err(DataError::Count {
                place: input.line_place(),
                what: "fields",
                expected: layout.fields as u64,
                found: record.len as u64,
            });
        }
        input.cap(Input::line_place, "rows", rows + 1, limits.rows)?;
        let start = features.len();
        let is_whole = row(&record, &input, layout, options, &mut features)?;
        if !is_whole {
            features.truncate(start);
            dropped = true;
            continue;
        }
        if let Some(at) = layout.label {
            let field = record.fields().nth(at).unwrap_or_default();
            targets.push(field).map_err(|reason| {
                let is_number = options.targets == TargetKind::Real;
                let reason = if is_number {
                    expected(field, reason)
                } else {
                    reason
                };
                let is_unclear = is_number && is_name(field, options.missing);
                let expected = first_record_hint(&input, layout, options, is_unclear, reason);
                unexpected(&input, at, "label", field, expected)
            })?;
        }
        rows += 1;
        input.cap(Input::line_place, "values", features.len(), limits.values)?;
        input.cap(
            Input::line_place,
            "classes",
            targets.classes(),
            limits.classes,
        )?;
    }
    if rows == 0 {
        let what = match layout {
            _ if dropped => "rows without a missing value",
            Some(layout) if layout.has_header && options.header == Header::Detect => {
                "rows behind the first record, which was taken for a header; if it is data, set `Options::header`"
            }
            _ => "rows",
        };
        return Err(DataError::Empty {
            place: input.whole(),
            what,
        });
    }
    if let Some(layout) = layout {
        let fields = (0..layout.fields).filter(|&field| Some(field) != layout.label);
        let fields: Vec<usize> = fields.collect();
        fill(&mut features, &fields, options.missing_rows, &input)?;
    }
    Dataset::new(features.len() / rows, features, targets.finish())
}

fn check_options(options: &Options<'_>) -> Result<(), DataError> {
    let delimiter = options.delimiter;
    check(
        "delimiter",
        !delimiter.is_ascii_alphanumeric() && !b"\"+-.\r\n".contains(&delimiter),
        "must not be a character of numbers, quotes or line ends",
    )?;
    check(
        "label",
        options.label != Label::Field(0),
        "must be a field number from 1",
    )?;
    check(
        "label",
        !(matches!(options.label, Label::Named(_)) && options.header == Header::Absent),
        "can be a name only where there is a header",
    )?;
    let is_finite = match options.missing_rows {
        MissingRows::Constant(value) => value.is_finite(),
        _ => true,
    };
    check("missing_rows", is_finite, "must fill with a finite number")
}

/// Nothing but spaces; a tab that delimits is no space.
fn is_blank(line: &[u8], delimiter: u8) -> bool {
    line.iter()
        .all(|byte| byte.is_ascii_whitespace() && (*byte != delimiter || delimiter == b' '))
}

/// Finds the label's field in the first record, and whether the record is a header.
fn first(
    record: &Record,
    line: &[u8],
    input: &Input<'_>,
    options: &Options<'_>,
) -> Result<Layout, DataError> {
    let fields = record.len;
    // What is wrong with a file of one field is most often its delimiter.
    let other = delimiter_of(line).filter(|_| fields == 1);
    let misread = |found: String, cure: &str| {
        let (found, cure) = match other {
            Some(_) if is_sparse(line) => (
                format!(
                    "`{}`, pairs as in a LIBSVM file",
                    excerpt(line.trim_ascii())
                ),
                "read it as LIBSVM".into(),
            ),
            Some(other) => (
                format!("one field, `{}`", excerpt(line.trim_ascii())),
                format!("is the delimiter {}? set `Options::delimiter`", other.name),
            ),
            None => (found, cure.into()),
        };
        DataError::Misread {
            place: input.line_place(),
            found,
            cure,
        }
    };
    let label = match options.label {
        Label::First => Some(0),
        Label::Last => Some(fields.saturating_sub(1)),
        Label::Absent => None,
        Label::Field(field) if field <= fields => Some(field - 1),
        Label::Field(field) => {
            return Err(misread(
                format!("{fields} fields, and the label is to be field {field}"),
                "set `Options::label`",
            ));
        }
        Label::Named(name) => {
            let name = name.trim_ascii().as_bytes();
            let mut places = record.fields().enumerate().filter(|(_, x)| *x == name);
            match (places.next(), places.next()) {
                (Some((at, _)), None) => Some(at),
                (found, _) => {
                    let which = if found.is_some() {
                        "two columns are"
                    } else {
                        "no column is"
                    };
                    let names = excerpt(line.trim_ascii());
                    return Err(misread(
                        format!("{which} called `{}` in `{names}`", excerpt(name)),
                        "set `Options::label` to a name of the header, or to the number of the field",
                    ));
                }
            }
        }
    };
    if fields == usize::from(label.is_some()) {
        return Err(misread(
            "no features: the label is the only field".into(),
            "set `Options::delimiter`, or `Options::label` if there is none",
        ));
    }
    let has_header = match options.header {
        Header::Present => true,
        Header::Absent => false,
        Header::Detect if matches!(options.label, Label::Named(_)) => true,
        Header::Detect => {
            let fields = || record.fields().enumerate();
            let features = || {
                fields()
                    .filter(|(at, _)| Some(*at) != label)
                    .map(|(_, x)| x)
            };
            // `unknown,unknown`: a spelling of missing values that is not among the usual ones.
            let is_repeated = features().nth(1).is_some() && features().is_sorted_by(|a, b| a == b);
            features().any(|x| is_name(x, options.missing))
                && !features().any(is_numeric)
                && !is_repeated
        }
    };
    Ok(Layout {
        fields,
        label,
        line: input.line_number(),
        has_header,
    })
}

/// Appends the features of a record, NaN for those to be filled; `false` if the row is to be left out.
fn row(
    record: &Record,
    input: &Input<'_>,
    layout: Layout,
    options: &Options<'_>,
    features: &mut Vec<f32>,
) -> Result<bool, DataError> {
    let mut is_whole = true;
    for (at, field) in record.fields().enumerate() {
        let is_label = Some(at) == layout.label;
        let value = number(field);
        if let (Ok(value), false, true) = (value, is_label, options.missing.is_empty()) {
            features.push(value);
            continue;
        }
        let is_missing = if is_label {
            is_missing_label(field, options.missing)
        } else {
            is_missing(field, options.missing)
        };
        match (is_missing, is_label, options.missing_rows) {
            (true, _, MissingRows::Drop) => is_whole = false,
            (true, false, MissingRows::Refuse) => {
                let expected = if is_open_first(input, layout, options) {
                    "a finite number; missing values are dropped or filled by `Options::missing_rows`, \
                     a header that looks like data is taken for one by `Options::header`"
                } else {
                    "a finite number; missing values are dropped or filled by `Options::missing_rows`"
                };
                return Err(unexpected(input, at, "value", field, expected));
            }
            (true, false, _) => features.push(f32::NAN),
            (true, true, _) => {
                return Err(unexpected(
                    input,
                    at,
                    "label",
                    field,
                    "a label; rows without one are \
                    left out by `Options::missing_rows`, and never filled",
                ));
            }
            (false, true, _) => {}
            (false, false, _) => features.push(value.map_err(|reason| {
                let reason = expected(field, reason);
                let is_unclear = is_name(field, options.missing);
                let expected = first_record_hint(input, layout, options, is_unclear, reason);
                unexpected(input, at, "value", field, expected)
            })?),
        }
    }
    Ok(is_whole)
}

/// Whether the record at hand is the first, and was taken for data because it looks so.
fn is_open_first(input: &Input<'_>, layout: Layout, options: &Options<'_>) -> bool {
    layout.line == input.line_number() && options.header != Header::Present
}

/// Speaks of the header where a name in the first record is no number.
fn first_record_hint(
    input: &Input<'_>,
    layout: Layout,
    options: &Options<'_>,
    is_unclear: bool,
    reason: &'static str,
) -> &'static str {
    if is_unclear && is_open_first(input, layout, options) {
        "a finite number; if the first record is a header, say so by `Options::header`"
    } else {
        reason
    }
}

fn unexpected(
    input: &Input<'_>,
    at: usize,
    what: &'static str,
    field: &[u8],
    expected: &'static str,
) -> DataError {
    DataError::Unexpected {
        place: input.field_place(at),
        what,
        found: excerpt(field),
        expected,
    }
}
