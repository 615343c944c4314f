use super::*;

mod header;
mod missing;

fn parse(text: &[u8]) -> Result<Dataset, DataError> {
    read(text, "t", &Options::default())
}

fn message(text: &[u8]) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn header_quotes_spaces_crlf_and_blank_lines_are_understood() {
    let text = b"\xef\xbb\xbfa,\"b\",kind\r\n\r\n 1 ,\"-2.5e1\",\"x, \"\"y\"\"\"\r\n+3,.5, z \r\n";
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

fn with(text: &[u8], options: Options<'_>) -> Result<Dataset, DataError> {
    read(text, "t", &options)
}

#[test]
fn the_label_may_stand_in_a_field_by_number_or_by_name() {
    let text = b"a, kind ,b\n1,x,2\n";
    for label in [Label::Field(2), Label::Named("kind")] {
        let data = with(
            text,
            Options {
                label,
                ..Options::default()
            },
        )
        .unwrap();
        assert_eq!(data.features(), [1.0, 2.0]);
        assert_eq!(data.class_names(), ["x"]);
    }
    // A name is looked up in the first record even if that looks like data.
    let label = Label::Named("2011");
    let data = with(
        b"2010,2011\n1,2\n",
        Options {
            label,
            ..Options::default()
        },
    )
    .unwrap();
    assert_eq!(
        (data.features(), data.class_names()),
        (&[1.0][..], &["2".into()][..])
    );
    for (text, label, expected) in [
        (
            &b"a,b\n1,2\n"[..],
            Label::Field(3),
            "t:1: 2 fields, and the label is to be field 3; set `Options::label`",
        ),
        (
            b"a,b\n1,2\n",
            Label::Named("c"),
            "t:1: no column is called `c` in `a,b`; \
             set `Options::label` to a name of the header, or to the number of the field",
        ),
        (
            b"a,a\n1,2\n",
            Label::Named("a"),
            "t:1: two columns are called `a` in `a,a`; \
             set `Options::label` to a name of the header, or to the number of the field",
        ),
        (
            b"a;b\n",
            Label::Named("b"),
            "t:1: one field, `a;b`; is the delimiter `;`? set `Options::delimiter`",
        ),
        (
            b"a,b\n",
            Label::Field(0),
            "`label` must be a field number from 1",
        ),
    ] {
        let error = with(
            text,
            Options {
                label,
                ..Options::default()
            },
        )
        .unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    let header = Header::Absent;
    let options = Options {
        label: Label::Named("b"),
        header,
        ..Options::default()
    };
    assert!(matches!(
        with(b"a,b\n", options),
        Err(DataError::Parameter { name: "label", .. })
    ));
}

#[test]
fn runs_of_blanks_are_one_delimiter() {
    let options = Options {
        delimiter: b' ',
        ..Options::default()
    };
    let data = with(
        b"  length \t width   kind\n\t 1   2.5 \t \"two  words\"  \n \t \n3 4 x\r\n",
        options,
    )
    .unwrap();
    assert_eq!(data.features(), [1.0, 2.5, 3.0, 4.0]);
    assert_eq!(data.class_names(), ["two  words", "x"]);
}

#[test]
fn a_file_that_the_options_do_not_fit_gets_a_question() {
    for (text, expected) in [
        (
            &b"7.4;0.7;5\n"[..],
            "t:1: one field, `7.4;0.7;5`; is the delimiter `;`? set `Options::delimiter`",
        ),
        (
            b"a;b;c\n1;2;3\n",
            "t:1: one field, `a;b;c`; is the delimiter `;`? set `Options::delimiter`",
        ),
        (
            b"7.4\t0.7\t5\n",
            "t:1: one field, `7.4\\t0.7\\t5`; is the delimiter a tab? set `Options::delimiter`",
        ),
        (
            b"7.4|0.7|5\n",
            "t:1: one field, `7.4|0.7|5`; is the delimiter `|`? set `Options::delimiter`",
        ),
        (
            b"7.4 0.7 5\n",
            "t:1: one field, `7.4 0.7 5`; is the delimiter a blank? set `Options::delimiter`",
        ),
        (
            b"+1 1:0.5 3:2\n",
            "t:1: `+1 1:0.5 3:2`, pairs as in a LIBSVM file; read it as LIBSVM",
        ),
        (
            b"7\n",
            "t:1: no features: the label is the only field; set `Options::delimiter`, or `Options::label` if there is none",
        ),
        (
            b"7,4;0,7;5\n",
            "t:1 field 2: found value `4;0`, expected a finite number; is the delimiter `;`? set `Options::delimiter`",
        ),
        (
            b"1,\"2,345\",a\n",
            "t:1 field 2: found value `2,345`, expected a number with a decimal point: decimal commas, and commas between \
             thousands, are not read; where no comma is a delimiter, convert them: `tr ',' '.'`",
        ),
        (
            b"1,2\r3,4\r",
            "t:1:4: a line that ends with CR alone, as on old Macs; convert to LF: `tr '\\r' '\\n'`",
        ),
        (
            b"a,\"b\"\r\"1\",2\r",
            "t:1:6: a line that ends with CR alone, as on old Macs; convert to LF: `tr '\\r' '\\n'`",
        ),
        (
            b"1,a\n1e39,b\n",
            "t:2 field 1: found value `1e39`, expected a number that is finite in `f32`, at most 3.4e38 in size",
        ),
    ] {
        assert_eq!(message(text), expected);
    }
    let options = Options {
        delimiter: b';',
        ..Options::default()
    };
    for text in [
        &b"7,4;0,7;5\n"[..],
        b"7,4;0,7;5\n7,8;0,88;5\n",
        b"x;y;z\n7,4;0,7;5\n",
    ] {
        let error = with(text, options).unwrap_err().to_string();
        assert!(
            error.contains("found value `7,4`, expected a number with a decimal point"),
            "{error}"
        );
    }
    let options = Options {
        targets: TargetKind::Real,
        ..options
    };
    let error = with(b"7;0,5\n", options).unwrap_err().to_string();
    assert!(
        error.contains("found label `0,5`, expected a number with a decimal point"),
        "{error}"
    );
    let options = Options {
        label: Label::Absent,
        ..Options::default()
    };
    for (text, delimiter) in [
        (&b"7.4;0.7\n"[..], "`;`"),
        (b"1\t2\n", "a tab"),
        (b"a 1\n2 3\n", "a blank"),
    ] {
        let error = with(text, options).unwrap_err().to_string();
        assert!(
            error.contains(&format!("is the delimiter {delimiter}?")),
            "{error}"
        );
    }
    // Old Macs, one line as long as the file: the cap is not the cause.
    let long = b"1,2,a\r".repeat(4);
    let limits = Limits {
        line_bytes: 8,
        ..Limits::default()
    };
    let error = with(
        &long,
        Options {
            limits,
            ..Options::default()
        },
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("CR alone"), "{error}");
    // Between quotes a carriage return is part of a label.
    assert_eq!(parse(b"1,\"a\rb\"\n").unwrap().class_names(), ["a\rb"]);
}

#[test]
fn many_distinct_targets_are_asked_for_as_numbers() {
    let text: String = (0..5000).map(|i| format!("{i},0.{i}1\n")).collect();
    assert_eq!(
        message(text.as_bytes()),
        "t:4097: 4097 classes exceed the cap of 4096; if the label is a number to be predicted, read it with \
         `TargetKind::Real`; else raise `Limits::classes` if the file is trusted"
    );
}

#[test]
fn identifiers_keep_their_digits() {
    let data = parse(b"1,9007199254740993\n2,9007199254740992\n3,9007199254740994\n").unwrap();
    assert_eq!(data.labels(), [1, 0, 2]);
    assert_eq!(
        data.class_names(),
        ["9007199254740992", "9007199254740993", "9007199254740994"]
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
        (b"1,2,a\n1,a\n", "t:2: 2 fields, expected 3"),
        (b"1,2,a\n1,2,a,\n", "t:2: 4 fields, expected 3"),
        (
            b"1,a\nnan,b\n",
            "t:2 field 1: found value `nan`, expected a finite number; \
             missing values are dropped or filled by `Options::missing_rows`",
        ),
        (
            b"1,a\n-inf,b\n",
            "t:2 field 1: found value `-inf`, expected a finite number",
        ),
        (
            b"1,a\n2\r3,b\n",
            "t:2:2: a line that ends with CR alone, as on old Macs; convert to LF: `tr '\\r' '\\n'`",
        ),
        (
            b"1,\n",
            "t:1 field 2: found label ``, expected a label; rows without one are left out by `Options::missing_rows`, \
             and never filled",
        ),
        (
            b"1,\xff\n",
            "t:1 field 2: found label `\\xff`, expected a label in UTF-8; text in Latin-1 is converted by `iconv -f ISO-8859-1 -t UTF-8`",
        ),
        (
            b"1,a\n2,\"b\n3,c\n",
            "t:2: found record `2,\\\"b`, expected its quotes closed at the end of its line",
        ),
        (
            "1,a\n\u{ff11},b\n".as_bytes(),
            "t:2 field 1: found value `\\xef\\xbc\\x91`, expected a finite number in ASCII: \
             minus signs, spaces and digits of Unicode are not read",
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
