//! CSV text under each place of the label.

use thalweg_std::data::csv::{self, Header, Label, Options};
use thalweg_std::data::{Dataset, Limits, TargetKind, Targets};

const LIMITS: Limits = Limits {
    bytes: 1 << 16,
    line_bytes: 1 << 12,
    rows: 1 << 10,
    columns: 1 << 10,
    values: 1 << 12,
    classes: 1 << 6,
};

/// What is accepted is finite, has consistent sizes, is what a plain split of the text gives, and survives
/// being written and read.
pub fn check(bytes: &[u8]) {
    // One place a run: to build a splitter takes longer than to read a short file.
    let (label, targets) = match bytes.len() % 4 {
        0 => (Label::First, TargetKind::Class),
        1 => (Label::Last, TargetKind::Class),
        2 => (Label::Last, TargetKind::Real),
        _ => (Label::Absent, TargetKind::Class),
    };
    let options = Options {
        label,
        targets,
        limits: LIMITS,
        ..Options::default()
    };
    let Ok(data) = csv::read(bytes, "fuzz", &options) else {
        return;
    };
    assert!(data.rows() > 0 && data.rows() <= LIMITS.rows);
    assert!(data.columns() > 0 && data.columns() <= LIMITS.columns);
    assert_eq!(data.features().len(), data.rows() * data.columns());
    assert!(data.features().iter().all(|value| value.is_finite()));
    assert_eq!(
        matches!(data.targets(), Targets::Absent),
        label == Label::Absent
    );
    assert!(data.targets().len().is_none_or(|n| n == data.rows()));
    assert!(
        data.labels()
            .iter()
            .all(|&label| (label as usize) < data.classes())
    );
    plain_text_splits_alike(bytes, label, &data);

    let mut written = Vec::new();
    csv::write(&data, &mut written).expect("a vector takes all");
    // Shorter text may print longer: 1e38 has 39 digits. The label is written last.
    let limits = Limits {
        bytes: 1 << 24,
        line_bytes: 1 << 20,
        ..LIMITS
    };
    let label = if label == Label::Absent {
        label
    } else {
        Label::Last
    };
    let options = Options {
        label,
        header: Header::Absent,
        limits,
        ..options
    };
    let again = csv::read(&written[..], "fuzz", &options).expect("own output");
    assert_eq!(again, data);
}

/// Compares with the simplest reader there is, on files without quotes.
fn plain_text_splits_alike(bytes: &[u8], label: Label, data: &Dataset) {
    if !bytes.is_ascii() || bytes.contains(&b'"') || bytes.starts_with(&[0x1f]) {
        return;
    }
    let text = std::str::from_utf8(bytes).expect("ASCII");
    let lines: Vec<&str> = text.split('\n').filter(|line| !is_blank(line)).collect();
    // The first may be a header.
    assert!(lines.len() == data.rows() || lines.len() == data.rows() + 1);
    for (i, line) in lines[lines.len() - data.rows()..].iter().enumerate() {
        let mut fields: Vec<&str> = line
            .split(',')
            .map(|field| field.trim_matches(is_space))
            .collect();
        match label {
            Label::First => drop(fields.remove(0)),
            Label::Last => drop(fields.pop()),
            Label::Absent => {}
        }
        let values: Vec<f32> = fields
            .iter()
            .map(|field| field.parse().expect("number"))
            .collect();
        assert_eq!(data.row(i), Some(&values[..]));
    }
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

fn is_blank(line: &str) -> bool {
    line.chars().all(is_space)
}
