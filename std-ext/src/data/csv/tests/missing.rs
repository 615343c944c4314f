//! Rows with missing values.

use super::*;

/// Numbers of pandas and scikit-learn, printed by `tests.py`.
#[test]
fn rows_with_missing_values_are_refused_dropped_or_filled() {
    const TEXT: &[u8] = b"1,NA,a\n2,10,b\n,20,b\n7,?,a\n4,45,a\n";
    assert_eq!(
        message(TEXT),
        "t:1 field 2: found value `NA`, expected a finite number; missing values are dropped or filled by \
         `Options::missing_rows`, a header that looks like data is taken for one by `Options::header`"
    );
    assert_eq!(
        message(&TEXT[7..]),
        "t:2 field 1: found value ``, expected a finite number; missing values are dropped or filled by `Options::missing_rows`"
    );
    let by = |missing_rows| {
        with(
            TEXT,
            Options {
                missing_rows,
                ..Options::default()
            },
        )
        .unwrap()
    };
    let dropped = by(MissingRows::Drop);
    assert_eq!(dropped.features(), [2.0, 10.0, 4.0, 45.0]);
    assert_eq!(
        (dropped.labels(), dropped.class_names()),
        (&[1, 0][..], &["a".into(), "b".into()][..])
    );
    let mean = by(MissingRows::Mean);
    assert_eq!(
        mean.features(),
        [1.0, 25.0, 2.0, 10.0, 3.5, 20.0, 7.0, 25.0, 4.0, 45.0]
    );
    assert_eq!(mean.labels(), [0, 1, 1, 0, 0]);
    let median = by(MissingRows::Median);
    assert_eq!(
        median.features(),
        [1.0, 20.0, 2.0, 10.0, 3.0, 20.0, 7.0, 20.0, 4.0, 45.0]
    );
    let constant = by(MissingRows::Constant(-1.5));
    assert_eq!(
        constant.features(),
        [1.0, -1.5, 2.0, 10.0, -1.5, 20.0, 7.0, -1.5, 4.0, 45.0]
    );
}

#[test]
fn listed_spellings_are_missing_by_value_also_as_labels() {
    let drop = Options {
        missing_rows: MissingRows::Drop,
        ..Options::default()
    };
    let listed = Options {
        missing: &["-999", "unknown"],
        ..drop
    };
    let text = b"1,-999.0,a\n2,3,b\nunknown,4,b\n5,6,unknown\n7,8,-\n";
    assert_eq!(with(text, listed).unwrap().features(), [2.0, 3.0, 7.0, 8.0]);
    // A label of no letters is a label, an empty one or NaN is not.
    let data = with(b"1,+\n2,-\n3,?\n4,none\n5,\n6,nan\n", drop).unwrap();
    assert_eq!(data.features(), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(data.class_names(), ["+", "-", "?", "none"]);
    // Refused, not read as a number, while nothing else is asked for.
    let refuse = Options {
        missing: &["-999"],
        ..Options::default()
    };
    assert!(with(b"1,-999,a\n", refuse).is_err());
    let fill = Options {
        missing_rows: MissingRows::Mean,
        ..Options::default()
    };
    assert_eq!(
        with(b"1,2,a\n3,4,\n", fill).unwrap_err().to_string(),
        "t:2 field 3: found label ``, expected a label; rows without one are left out by `Options::missing_rows`, and never filled"
    );
}

#[test]
fn what_cannot_be_filled_is_named() {
    let by = |missing_rows| Options {
        missing_rows,
        ..Options::default()
    };
    for rule in [MissingRows::Mean, MissingRows::Median] {
        assert_eq!(
            with(b"1,?,a\n2,?,b\n", by(rule)).unwrap_err().to_string(),
            "t: every value of field 2 is missing; there is nothing to fill it from: \
             take the column out, or fill with a number (`Options::missing_rows`)"
        );
    }
    assert_eq!(
        with(b"1,?,a\n2,?,b\n", by(MissingRows::Drop))
            .unwrap_err()
            .to_string(),
        "t: no rows without a missing value"
    );
    assert!(with(b"1,2,a\n", by(MissingRows::Constant(f32::NAN))).is_err());
    // Bad data is no missing value.
    for text in [&b"1,inf,a\n"[..], b"1,1e39,a\n", b"1,red,a\n"] {
        assert!(with(text, by(MissingRows::Drop)).is_err());
        assert!(with(text, by(MissingRows::Mean)).is_err());
    }
}

#[test]
fn a_record_of_empty_cells_between_tabs_is_no_blank_line() {
    let options = Options {
        delimiter: b'\t',
        missing_rows: MissingRows::Constant(9.0),
        label: Label::Absent,
        ..Options::default()
    };
    let data = with(b"1\t2\n\t\n \n3\t4\n", options).unwrap();
    assert_eq!(data.features(), [1.0, 2.0, 9.0, 9.0, 3.0, 4.0]);
}
