//! CSV text under places of the label, delimiters and rules for missing values.

use thalweg_std::data::csv::{self, Header, Label, MissingRows, Options};
use thalweg_std::data::{Dataset, Limits, TargetKind, Targets};

const LIMITS: Limits = Limits {
    bytes: 1 << 16,
    line_bytes: 1 << 12,
    rows: 1 << 10,
    columns: 1 << 10,
    values: 1 << 12,
    classes: 1 << 6,
};

const COMMON: Options<'static> = Options {
    label: Label::Last,
    header: Header::Detect,
    targets: TargetKind::Class,
    delimiter: b',',
    missing: &[],
    missing_rows: MissingRows::Refuse,
    limits: LIMITS,
};

/// One of them a run: to build a splitter takes longer than to read a short file.
const MODES: [Options<'static>; 8] = [
    Options {
        label: Label::First,
        ..COMMON
    },
    COMMON,
    Options {
        targets: TargetKind::Real,
        ..COMMON
    },
    Options {
        label: Label::Absent,
        ..COMMON
    },
    Options {
        missing: &["x"],
        missing_rows: MissingRows::Drop,
        ..COMMON
    },
    Options {
        label: Label::Absent,
        missing_rows: MissingRows::Mean,
        ..COMMON
    },
    Options {
        delimiter: b' ',
        ..COMMON
    },
    Options {
        label: Label::Field(2),
        missing_rows: MissingRows::Constant(0.5),
        ..COMMON
    },
];

/// What is accepted is finite, has consistent sizes, is what a plain split of the text gives, and survives
/// being written and read.
pub fn check(bytes: &[u8]) {
    let options = MODES[bytes.len() % MODES.len()];
    let Ok(data) = csv::read(bytes, "fuzz", &options) else {
        return;
    };
    let is_labelled = options.label != Label::Absent;
    assert!(data.rows() > 0 && data.rows() <= LIMITS.rows);
    assert!(data.columns() > 0 && data.columns() <= LIMITS.columns);
    assert_eq!(data.features().len(), data.rows() * data.columns());
    assert!(data.features().iter().all(|value| value.is_finite()));
    assert_eq!(!matches!(data.targets(), Targets::Absent), is_labelled);
    assert!(data.targets().len().is_none_or(|n| n == data.rows()));
    assert!(
        data.labels()
            .iter()
            .all(|&label| (label as usize) < data.classes())
    );
    plain_text_splits_alike(bytes, &options, &data);

    let mut written = Vec::new();
    csv::write(&data, &mut written).expect("a vector takes all");
    // Shorter text may print longer: 1e38 has 39 digits. The label is written last.
    let limits = Limits {
        bytes: 1 << 24,
        line_bytes: 1 << 20,
        ..LIMITS
    };
    let label = if is_labelled {
        Label::Last
    } else {
        Label::Absent
    };
    let options = Options {
        label,
        header: Header::Absent,
        targets: options.targets,
        limits,
        ..COMMON
    };
    let again = csv::read(&written[..], "fuzz", &options).expect("own output");
    assert_eq!(again, data);
}

/// Compares with the simplest reader there is, on files without quotes.
fn plain_text_splits_alike(bytes: &[u8], options: &Options<'_>, data: &Dataset) {
    if !bytes.is_ascii() || bytes.contains(&b'"') || bytes.starts_with(&[0x1f]) {
        return;
    }
    let text = std::str::from_utf8(bytes).expect("ASCII");
    let mut rows: Vec<Vec<Option<f32>>> = Vec::new();
    for line in text.split('\n').filter(|line| !is_blank(line)) {
        let mut fields: Vec<&str> = if options.delimiter == b' ' {
            let parts = line.split([' ', '\t']).filter(|part| !part.is_empty());
            parts.filter(|part| *part != "\r").collect()
        } else {
            line.split(',').collect()
        };
        for field in &mut fields {
            *field = field.trim_matches(is_space);
        }
        let label = match options.label {
            Label::First => Some(fields.remove(0)),
            Label::Last => fields.pop(),
            Label::Field(field) => Some(fields.remove(field - 1)),
            Label::Absent | Label::Named(_) => None,
        };
        let values: Vec<Option<f32>> = fields
            .iter()
            .map(|field| field.parse().ok().filter(|value: &f32| value.is_finite()))
            .collect();
        let is_missing = |label: &str| label.is_empty() || label == "x" || is_nan(label);
        let is_whole = values.iter().all(Option::is_some) && !label.is_some_and(is_missing);
        if options.missing_rows != MissingRows::Drop || is_whole {
            rows.push(values);
        }
    }
    // The first may be a header; rows that are dropped look like one.
    let headers = rows.len() - data.rows();
    assert!(headers <= usize::from(options.missing_rows != MissingRows::Drop));
    let rows = &rows[headers..];
    for (i, row) in rows.iter().enumerate() {
        for (j, value) in row.iter().enumerate() {
            let expected = value.or_else(|| match options.missing_rows {
                MissingRows::Mean => Some(mean(rows.iter().filter_map(|row| row[j]))),
                MissingRows::Constant(value) => Some(value),
                _ => None,
            });
            let found = data.row(i).expect("a row")[j];
            assert_eq!(Some(found), expected, "row {i}, column {j}");
        }
    }
}

fn mean(values: impl Iterator<Item = f32> + Clone) -> f32 {
    let count = values.clone().count();
    (values.map(f64::from).sum::<f64>() / count as f64) as f32
}

fn is_nan(text: &str) -> bool {
    text.parse::<f64>().is_ok_and(f64::is_nan)
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

fn is_blank(line: &str) -> bool {
    line.chars().all(is_space)
}
