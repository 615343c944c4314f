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
            b"1 0:1 0:2",
            "t:1:7: found index `0`, expected an index above the one before it",
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
            "t:1:3: found index `-3`, expected an integer from 0",
        ),
        (
            b"1 1:nan",
            "t:1:3: found value `nan`, expected a finite number",
        ),
        (
            b"1 1:1e39",
            "t:1:3: found value `1e39`, expected a number that is finite in `f32`, at most 3.4e38 in size",
        ),
        (b"1 1:", "t:1:3: found value ``, expected a finite number"),
        (
            b"1 1:1:1",
            "t:1:3: found value `1:1`, expected a finite number",
        ),
        (
            b"1 qid:7 1:1",
            "t:1:3: `qid:7` as in a file for ranking, whose rows belong to queries; set `Options::qid` to read such files",
        ),
        (b"1 7", "t:1:3: found pair `7`, expected `index:value`"),
        (
            b"inf 1:1",
            "t:1:1: found label `inf`, expected a finite number",
        ),
        (
            b"1,2 1:1",
            "t:1:1: the label `1,2` is a list, as in a multilabel file; only files with one label a row are read",
        ),
        (
            b"1:1 2:1",
            "t:1:1: a row without a label, `1:1` stands in its place; \
             put a label first; multilabel files, which have such rows, are not read",
        ),
        (
            b"5.1,3.5,0",
            "t:1:1: `5.1,3.5,0` and no `index:value`, as in a CSV file; read it as CSV",
        ),
        (
            b"1 1:1 # one\r2 1:1\r",
            "t:1:12: a line that ends with CR alone, as on old Macs; convert to LF: `tr '\\r' '\\n'`",
        ),
        (
            b"1 \xff\xfe:1",
            "t:1:3: found index `\\xff\\xfe`, expected an integer from 0",
        ),
        (
            "1 1:\u{664}".as_bytes(),
            "t:1:3: found value `\\xd9\\xa4`, expected a finite number",
        ),
        (
            b"1 99999999999999999999:1",
            "t:1:3: found index `99999999999999999999`, expected an integer from 0",
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

/// scikit-learn 1.9.1: `load_svmlight_file(..., zero_based=...)` on these texts, printed by `tests.py`.
#[test]
fn indices_count_from_zero_where_one_is_zero_or_as_asked() {
    let by = |text: &str, zero_based| {
        let options = Options {
            zero_based,
            ..Options::default()
        };
        let data = read(text.as_bytes(), "t", &options)?;
        data.to_dense(&Limits::default())
            .map(|dense| dense.features().to_vec())
    };
    let from_one = "1 1:5 3:6\n2 2:7\n";
    let from_zero = "1 1:5 3:6\n2 0:7\n";
    use ZeroBased::{Auto, No, Yes};
    assert_eq!(by(from_one, Auto).unwrap(), [5., 0., 6., 0., 7., 0.]);
    assert_eq!(by(from_one, No).unwrap(), [5., 0., 6., 0., 7., 0.]);
    assert_eq!(by(from_one, Yes).unwrap(), [0., 5., 0., 6., 0., 0., 7., 0.]);
    assert_eq!(
        by(from_zero, Auto).unwrap(),
        [0., 5., 0., 6., 7., 0., 0., 0.]
    );
    assert_eq!(
        by(from_zero, Yes).unwrap(),
        [0., 5., 0., 6., 7., 0., 0., 0.]
    );
    assert_eq!(
        by(from_zero, No).unwrap_err().to_string(),
        "t:2:3: found index `0`, expected an integer from 1; files that count from 0 are read by `Options::zero_based`"
    );
}

#[test]
fn a_zero_index_counts_against_the_columns() {
    let by = |text: &str, columns, limit, zero_based| {
        let limits = Limits {
            columns: limit,
            ..Limits::default()
        };
        let options = Options {
            columns,
            limits,
            zero_based,
            ..Options::default()
        };
        read(text.as_bytes(), "t", &options).map(|data| data.features.columns())
    };
    for zero_based in [ZeroBased::Auto, ZeroBased::Yes] {
        assert_eq!(by("1 2:1\n1 0:1\n", Some(3), 9, zero_based).unwrap(), 3);
        assert_eq!(by("1 2:1\n1 0:1\n", None, 3, zero_based).unwrap(), 3);
        assert!(matches!(
            by("1 3:1\n1 0:1\n", None, 3, zero_based),
            Err(DataError::Limit {
                field: "columns",
                found: 4,
                limit: 3,
                ..
            })
        ));
        assert!(by("1 3:1\n1 0:1\n", Some(3), 9, zero_based).is_err());
    }
    assert_eq!(by("1 3:1\n", Some(3), 9, ZeroBased::Auto).unwrap(), 3);
    assert_eq!(
        by("1 3:1\n1 0:1\n", Some(3), 9, ZeroBased::Auto)
            .unwrap_err()
            .to_string(),
        "t: 4 columns, since an index of 0 occurs, expected 3"
    );
    assert_eq!(
        by("1 3:1\n", Some(3), 9, ZeroBased::Yes)
            .unwrap_err()
            .to_string(),
        "t:1:3: found index `3`, expected an index within the columns asked for"
    );
}

#[test]
fn queries_are_kept_or_skipped() {
    let by = |text: &str, qid| {
        read(
            text.as_bytes(),
            "t",
            &Options {
                qid,
                ..Options::default()
            },
        )
    };
    let text = "2 qid:1 1:5\n1 qid:-7\t2:6 # a note\n0 qid:1\n";
    let kept = by(text, Qid::Keep).unwrap();
    assert_eq!(kept.query_ids, [1, -7, 1]);
    let skipped = by(text, Qid::Skip).unwrap();
    assert_eq!(skipped.query_ids, []);
    assert_eq!(
        (&skipped.features, &skipped.targets),
        (&kept.features, &kept.targets)
    );
    assert_eq!(kept.features, parse(b"2 1:5\n1 2:6\n0\n").unwrap().features);
    let mut written = Vec::new();
    write(&kept, &mut written).unwrap();
    assert_eq!(written, b"2 qid:1 1:5\n1 qid:-7 2:6\n0 qid:1\n");

    assert_eq!(by("1 1:1\n", Qid::Keep).unwrap().query_ids, []);
    assert_eq!(
        by("1 qid:1\n2 1:1\n", Qid::Skip).unwrap().features.rows(),
        2
    );
    for (text, expected) in [
        (
            "1 qid:1 1:1\n2 1:1\n",
            "t:2: a row without `qid:` behind rows with one; add it, or set `Options::qid` to skip all",
        ),
        (
            "1 1:1\n2 qid:1 1:1\n",
            "t:2:3: a row with `qid:` behind rows without one; take it out, or set `Options::qid` to skip all",
        ),
        (
            "1 qid:x 1:1\n",
            "t:1:3: found query `qid:x`, expected `qid:` and an integer of 64 bits",
        ),
        (
            "1 qid:9223372036854775808\n",
            "t:1:3: found query `qid:9223372036854775808`, expected `qid:` and an integer of 64 bits",
        ),
        (
            "1 qid:1 qid:2 1:1\n",
            "t:1:9: found pair `qid:2`, expected `qid:` behind the label only, once a row",
        ),
        (
            "1 1:1 qid:2\n",
            "t:1:7: found pair `qid:2`, expected `qid:` behind the label only, once a row",
        ),
    ] {
        assert_eq!(by(text, Qid::Keep).unwrap_err().to_string(), expected);
    }
}

/// Two of these are one number in `f64`.
#[test]
fn identifiers_keep_their_digits() {
    let data =
        parse(b"9007199254740993 1:1\n9007199254740992 1:1\n+9007199254740993.0 1:1\n").unwrap();
    let Targets::Class { labels, names } = data.targets else {
        panic!()
    };
    assert_eq!(labels, [1, 0, 1]);
    assert_eq!(names, ["9007199254740992", "9007199254740993"]);
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
    assert_eq!(
        data.to_dense(&limits).unwrap_err().to_string(),
        "2 rows of 1000000 columns written out are 2000000 values, more than the cap of 1999999; \
         raise `Limits::values` if there is memory for 4 bytes each"
    );
}
