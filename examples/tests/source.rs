//! The options of `--data`: each reaches its reader, or is refused by name.

#![allow(clippy::unwrap_used, reason = "a failed read is a failed test")]

use std::fs;
use std::path::PathBuf;

use clap::Parser;
use thalweg_examples::source::{Data, Source};

#[derive(Debug, Parser)]
struct Program {
    #[command(flatten)]
    source: Source,
}

fn file(name: &str, content: impl AsRef<[u8]>) -> String {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content).unwrap();
    path.display().to_string()
}

/// What a program loads, or the message it ends with.
fn load(path: &str, format: &str, options: &[&str]) -> Result<Data, String> {
    let line = ["program", "--data", path, "--format", format];
    let line = line.iter().chain(options);
    let program = Program::try_parse_from(line).map_err(|error| error.to_string())?;
    program.source.load(1).map_err(|error| error.to_string())
}

fn classes(data: &Data) -> &[String] {
    data.train.class_names()
}

#[test]
fn options_of_csv_reach_the_reader() {
    let rows = |line: &dyn Fn(usize) -> String| (0..20).map(line).collect::<String>();
    let class = |i: usize| ["a", "b"][i % 2];

    let path = file(
        "semicolons.csv",
        rows(&|i| format!("{};{i};{}\n", i * i, class(i))),
    );
    assert_eq!(
        load(&path, "csv", &[]).unwrap_err(),
        format!("{path}:1: one field, `0;0;a`; is the delimiter `;`? set --delimiter")
    );
    for name in [";", "semicolon"] {
        let data = load(&path, "csv", &["--delimiter", name]).unwrap();
        assert_eq!(
            (data.train.rows(), data.test.rows(), data.train.columns()),
            (16, 4, 2)
        );
        assert_eq!(classes(&data), ["a", "b"]);
    }
    let path = file("tabs.csv", rows(&|i| format!("{i}\t{}\n", class(i))));
    assert!(load(&path, "csv", &["--delimiter", "tab"]).is_ok());
    let path = file(
        "blanks.csv",
        rows(&|i| format!("  {i}   7  {}\n", class(i))),
    );
    assert!(load(&path, "csv", &["--delimiter", "blank"]).is_ok());

    let path = file(
        "label.csv",
        format!("kind,1\n{}", rows(&|i| format!("{},{i}\n", class(i)))),
    );
    for label in ["first", "1"] {
        let data = load(&path, "csv", &["--label", label, "--header", "present"]).unwrap();
        assert_eq!(classes(&data), ["a", "b"]);
    }
    for label in ["kind", "name:kind"] {
        assert_eq!(
            classes(&load(&path, "csv", &["--label", label]).unwrap()),
            ["a", "b"]
        );
    }
    let data = load(&path, "csv", &["--label", "name:1"]);
    assert!(data.unwrap_err().contains("found value `a`"));

    let years = format!(
        "2010,2011,label\n{}",
        rows(&|i| format!("{i},1,{}\n", class(i)))
    );
    let path = file("years.csv", years);
    assert_eq!(
        classes(&load(&path, "csv", &[]).unwrap()),
        ["a", "b", "label"]
    );
    for header in ["auto", "absent"] {
        assert_eq!(
            load(&path, "csv", &["--header", header])
                .unwrap()
                .train
                .classes(),
            3
        );
    }
    let data = load(&path, "csv", &["--header", "present"]).unwrap();
    assert_eq!(
        (classes(&data), data.train.rows()),
        (&["a".into(), "b".into()][..], 16)
    );

    let gaps = rows(&|i| format!("{},{}\n", if i < 10 { "NA" } else { "-9" }, class(i)));
    let path = file("gaps.csv", gaps + &rows(&|i| format!("{i},{}\n", class(i))));
    assert_eq!(
        load(&path, "csv", &[]).unwrap_err(),
        format!(
            "{path}:1 field 1: found value `NA`, expected a finite number; missing values are dropped or filled by \
             --missing-rows, a header that looks like data is taken for one by --header"
        )
    );
    for (options, rows) in [
        (&["--missing-rows", "drop"][..], 30),
        (&["--missing-rows", "drop", "--missing", "-9,unknown"], 20),
        (&["--missing-rows", "mean"], 40),
        (&["--missing-rows", "median"], 40),
        (&["--missing-rows", "-1.5"], 40),
    ] {
        let data = load(&path, "csv", options).unwrap();
        assert_eq!(data.train.rows() + data.test.rows(), rows, "{options:?}");
    }
}

#[test]
fn distinct_identifiers_are_classes_of_a_program() {
    let text: String = (0..20)
        .map(|i| format!("{i},{}\n", (1_u64 << 53) + i % 2))
        .collect();
    let data = load(&file("ids.csv", text), "csv", &[]).unwrap();
    assert_eq!(classes(&data), ["9007199254740992", "9007199254740993"]);
}

#[test]
fn options_of_libsvm_reach_the_reader() {
    let text: String = (0..20).map(|i| format!("{} 1:{i} 3:1\n", i % 2)).collect();
    let path = file("one_based", &text);
    assert_eq!(load(&path, "libsvm", &[]).unwrap().train.columns(), 3);
    assert_eq!(
        load(&path, "libsvm", &["--zero-based", "yes"])
            .unwrap()
            .train
            .columns(),
        4
    );
    let path = file("zero_based", text + "1 0:1\n");
    assert_eq!(load(&path, "libsvm", &[]).unwrap().train.columns(), 4);
    assert_eq!(
        load(&path, "libsvm", &["--zero-based", "auto"])
            .unwrap()
            .train
            .columns(),
        4
    );
    assert_eq!(
        load(&path, "libsvm", &["--zero-based", "no"]).unwrap_err(),
        format!(
            "{path}:21:3: found index `0`, expected an integer from 1; files that count from 0 are read by --zero-based"
        )
    );
    let ranking: String = (0..20)
        .map(|i| format!("{} qid:7 1:{i}\n", i % 2))
        .collect();
    let path = file("ranking", ranking);
    assert_eq!(
        load(&path, "libsvm", &[]).unwrap_err(),
        format!(
            "{path}:1:3: `qid:7` as in a file for ranking, whose rows belong to queries; set --qid to read such files"
        )
    );
    assert_eq!(
        load(&path, "libsvm", &["--qid", "skip"])
            .unwrap()
            .train
            .columns(),
        1
    );
}

#[test]
fn limits_can_be_set() {
    let text: String = (0..20).map(|i| format!("{i},1:1,7\n")).collect();
    let path = file("limits.csv", &text);
    for (name, least) in [
        ("bytes", text.len()),
        ("line-bytes", 8),
        ("rows", 20),
        ("columns", 2),
        ("values", 40),
        ("classes", 20),
    ] {
        let option = format!("--limit-{name}");
        let by = |limit: usize| {
            load(
                &path,
                "csv",
                &[
                    "--label",
                    "first",
                    "--missing",
                    "1:1",
                    "--missing-rows",
                    "0",
                    &option,
                    &limit.to_string(),
                ],
            )
        };
        assert!(by(least).is_ok(), "{option}: {:?}", by(least));
        let error = by(least - 1).unwrap_err();
        assert!(error.contains(&format!("raise {option} if")), "{error}");
    }
    // Many targets are rarely classes.
    let error = load(
        &path,
        "csv",
        &[
            "--label",
            "first",
            "--missing",
            "1:1",
            "--missing-rows",
            "0",
            "--limit-classes",
            "3",
        ],
    );
    assert!(
        error
            .unwrap_err()
            .contains("if the label is a number to be predicted")
    );

    let wide: String = (0..400).map(|i| format!("{} 1000000:1\n", i % 2)).collect();
    let path = file("wide", wide);
    assert_eq!(
        load(&path, "libsvm", &[]).unwrap_err(),
        format!(
            "{path}: 400 rows of 1000000 columns written out are 400000000 values, more than the cap of 268435456; \
             raise --limit-values if there is memory for 4 bytes each"
        )
    );
    let narrow: String = (0..400).map(|i| format!("{} 10:1\n", i % 2)).collect();
    let path = file("narrow", narrow);
    assert!(load(&path, "libsvm", &["--limit-values", "3999"]).is_err());
    assert!(load(&path, "libsvm", &["--limit-values", "4000"]).is_ok());
}

#[test]
fn options_of_other_formats_are_refused_by_name() {
    let path = file("other", "1,1:1\n");
    for (option, value, formats) in [
        ("--delimiter", ";", "--format csv"),
        ("--label", "first", "--format csv"),
        ("--header", "auto", "--format csv"),
        ("--missing", "x", "--format csv"),
        ("--missing-rows", "drop", "--format csv"),
        ("--zero-based", "auto", "--format libsvm"),
        ("--qid", "skip", "--format libsvm"),
        ("--set", "emnist-letters", "--format idx"),
        (
            "--limit-line-bytes",
            "9",
            "--format csv and --format libsvm",
        ),
        ("--limit-classes", "9", "--format csv and --format libsvm"),
    ] {
        for format in ["csv", "libsvm", "idx"] {
            let error = load(&path, format, &[option, value]).unwrap_err();
            let refused = format!("{option}: applies to {formats}, not to --format {format}");
            assert_eq!(error == refused, !formats.contains(format), "{error}");
        }
        let alone = Program::try_parse_from(["program", option, value]).unwrap_err();
        assert!(alone.to_string().contains("--data"), "{alone}");
    }
    for (option, value, rule) in [
        ("--delimiter", "ab", "takes one ASCII character"),
        ("--label", "none", "a label in every row"),
        ("--label", "0", "numbered from 1"),
        ("--missing-rows", "nan", "a finite number"),
        ("--header", "maybe", "present"),
        (
            "--delimiter",
            "-",
            "--delimiter: must not be a character of numbers",
        ),
        ("--label", "-1", "no column is called `-1`"),
        ("--limit-rows", "0", "must be a whole number between 1 and"),
        ("--limit-rows", "-1", "must be a whole number between 1 and"),
        (
            "--limit-values",
            "1e-3",
            "must be a whole number between 1 and",
        ),
    ] {
        let error = load(&path, "csv", &[option, value]).unwrap_err();
        assert!(error.contains(rule), "{error}");
    }
}

#[test]
fn one_set_of_a_folder_is_chosen() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("emnist");
    fs::create_dir_all(&folder).unwrap();
    for (set, rows) in [("emnist-digits", 2), ("emnist-letters", 3)] {
        for part in ["train", "test"] {
            let images = [
                &[0, 0, 8, 3, 0, 0, 0, rows, 0, 0, 0, 1, 0, 0, 0, 1][..],
                &[9, 8, 7][..rows as usize],
            ]
            .concat();
            let labels = [
                &[0, 0, 8, 1, 0, 0, 0, rows][..],
                &[1, 2, 3][..rows as usize],
            ]
            .concat();
            fs::write(
                folder.join(format!("{set}-{part}-images-idx3-ubyte")),
                images,
            )
            .unwrap();
            fs::write(
                folder.join(format!("{set}-{part}-labels-idx1-ubyte")),
                labels,
            )
            .unwrap();
        }
    }
    let path = folder.display().to_string();
    assert_eq!(
        load(&path, "idx", &[]).unwrap_err(),
        format!(
            "{path}: several sets, `emnist-digits`, `emnist-letters`; name one of them to --set"
        )
    );
    assert_eq!(
        load(&path, "idx", &["--set", "emnist-digits"])
            .unwrap()
            .train
            .rows(),
        2
    );
    assert_eq!(
        load(&path, "idx", &["--set", "emnist-letters"])
            .unwrap()
            .train
            .rows(),
        3
    );
}

#[test]
fn a_folder_in_place_of_a_file_is_named_with_the_format_that_reads_one() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    for format in ["csv", "libsvm"] {
        assert_eq!(
            load(folder, format, &[]).unwrap_err(),
            format!("{folder}: a folder; --format {format} reads one file, --format idx a folder")
        );
    }
}
