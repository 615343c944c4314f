//! Whether the first record is a header.

use super::*;

#[test]
fn a_header_has_a_name_and_no_number_among_its_features() {
    for (text, label, rows) in [
        (&b"x,y,1\n2,3,1\n"[..], Label::Last, 1),
        (b"1,x,y\n1,2,3\n", Label::First, 1),
        (b"x,y\n2,3\n", Label::Absent, 1),
        // As pandas writes a table with its index, and a table of elements.
        (b",x,label\n0,3,a\n", Label::Last, 1),
        (b"RI,Na,Type\n1.5,13,1\n", Label::Last, 1),
        (b"gr\xc3\xb6\xc3\x9fe,label\n3,a\n", Label::Last, 1),
        // Names that are numbers cannot be told from data.
        (b"2010,2011,2012,label\n1,2,3,x\n", Label::Last, 2),
        (b"label,2010,2011\nx,1,2\n", Label::First, 2),
        (b"2010,2011\n1,2\n", Label::Absent, 2),
    ] {
        let data = with(
            text,
            Options {
                label,
                ..Options::default()
            },
        );
        assert_eq!(data.unwrap().rows(), rows, "{}", text.escape_ascii());
    }
    let options = Options {
        header: Header::Present,
        ..Options::default()
    };
    let data = with(b"2010,2011,2012,label\n1,2,3,x\n", options).unwrap();
    assert_eq!((data.rows(), data.class_names()), (1, &["x".into()][..]));
}

#[test]
fn a_first_row_without_values_is_no_header() {
    for (label, [before, behind]) in [
        (Label::Last, ["", ",a"]),
        (Label::First, ["a,", ""]),
        (Label::Absent, ["", ""]),
    ] {
        for missing in [
            "", "NA", "na", "N/A", "#N/A", "<NA>", "?", "nan", "NaN", "-nan", "NULL", "None", "-",
            "--", ".", "\\N", "#DIV/0!", "*",
        ] {
            let text = format!(
                "{before}{missing},{missing}{behind}\n{before}1,2{behind}\n{before}3,4{behind}\n"
            );
            let options = Options {
                label,
                ..Options::default()
            };
            let error = with(text.as_bytes(), options).unwrap_err();
            let DataError::Unexpected {
                place,
                what: "value",
                found,
                ..
            } = error
            else {
                panic!("{text}: {error}")
            };
            assert_eq!(found, missing.escape_default().to_string());
            let field = if label == Label::First { 2 } else { 1 };
            assert_eq!(place.to_string(), format!("t:1 field {field}"));
            // The other rows are read once these are left out.
            let options = Options {
                missing_rows: MissingRows::Drop,
                ..options
            };
            let data = with(text.as_bytes(), options).unwrap();
            assert_eq!(data.features(), [1.0, 2.0, 3.0, 4.0], "{text}");
        }
    }
    // Parts of a record that the delimiter does not divide.
    let options = Options {
        label: Label::Absent,
        ..Options::default()
    };
    assert!(matches!(
        with(b"1.5;x\n", options),
        Err(DataError::Unexpected { .. })
    ));
    // A spelling that is unknown shows by being repeated, and can be listed.
    for (text, label) in [
        (&b"unknown,unknown,a\n1,2,b\n"[..], Label::Last),
        (b"tbd,tbd\n1,2\n", Label::Absent),
    ] {
        let options = Options {
            label,
            ..Options::default()
        };
        assert!(matches!(
            with(text, options),
            Err(DataError::Unexpected { .. })
        ));
        let missing_rows = MissingRows::Drop;
        let options = Options {
            missing: &["unknown", "tbd"],
            missing_rows,
            ..options
        };
        assert_eq!(with(text, options).unwrap().features(), [1.0, 2.0]);
    }
    let options = Options {
        missing: &["unknown"],
        missing_rows: MissingRows::Drop,
        ..Options::default()
    };
    assert_eq!(
        with(b"unknown,a\n1,b\n", options).unwrap().features(),
        [1.0]
    );
    // Nor are numbers that the options do not fit, or what has no letter.
    for text in [
        &b"7,4;x\n7,5;y\n"[..],
        b"7,4e3;x\n",
        b"1.234,5;x\n",
        b"2020-01-01;x\n",
        "\u{2212}1;x\n".as_bytes(),
    ] {
        let options = Options {
            delimiter: b';',
            ..Options::default()
        };
        assert!(
            matches!(with(text, options), Err(DataError::Unexpected { .. })),
            "{}",
            text.escape_ascii()
        );
    }
}

#[test]
fn names_and_numbers_in_the_first_record_lead_to_the_option() {
    for (text, label, field, name) in [
        ("age,2020,label\n1,2,x\n", Label::Last, 1, "age"),
        ("label,2020,age\nx,1,2\n", Label::First, 3, "age"),
        ("2020,age\n1,2\n", Label::Absent, 2, "age"),
        (
            "sepal length,2020,label\n1,2,x\n",
            Label::Last,
            1,
            "sepal length",
        ),
    ] {
        let error = with(
            text.as_bytes(),
            Options {
                label,
                ..Options::default()
            },
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "t:1 field {field}: found value `{name}`, expected a finite number; \
                 if the first record is a header, say so by `Options::header`"
            )
        );
        let options = Options {
            label,
            header: Header::Present,
            ..Options::default()
        };
        assert_eq!(with(text.as_bytes(), options).unwrap().rows(), 1);
    }
    let options = Options {
        targets: TargetKind::Real,
        ..Options::default()
    };
    assert_eq!(
        with(b"2010,y\n1,2\n", options).unwrap_err().to_string(),
        "t:1 field 2: found label `y`, expected a finite number; if the first record is a header, say so by `Options::header`"
    );
    assert_eq!(
        message(b"red,apple\n"),
        "t: no rows behind the first record, which was taken for a header; if it is data, set `Options::header`"
    );
}
