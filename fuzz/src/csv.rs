//! CSV text under each place of the label.

use thalweg_std::data::csv::{self, Header, Label, Options};
use thalweg_std::data::{Limits, TargetKind, Targets};

const LIMITS: Limits = Limits {
    bytes: 1 << 16,
    line_bytes: 1 << 12,
    rows: 1 << 10,
    columns: 1 << 10,
    values: 1 << 12,
    classes: 1 << 6,
};

/// What is accepted is finite, has consistent sizes, and survives being written and read.
pub fn check(bytes: &[u8]) {
    for (label, targets) in [
        (Label::First, TargetKind::Class),
        (Label::Last, TargetKind::Class),
        (Label::Last, TargetKind::Real),
        (Label::Absent, TargetKind::Class),
    ] {
        let options = Options {
            label,
            targets,
            limits: LIMITS,
            ..Options::default()
        };
        let Ok(data) = csv::read(bytes, "fuzz", &options) else {
            continue;
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
}
