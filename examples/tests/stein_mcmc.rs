//! The command line of `stein_mcmc`: wrong options, broken data, keys of the JSON, any number of threads.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stein_mcmc"))
        .args(arguments)
        .current_dir(folder())
        .output()
        .unwrap()
}

const SMALL: [&str; 8] = [
    "--target",
    "gaussian,banana",
    "--particles",
    "12",
    "--steps",
    "20",
    "--seeds",
    "2",
];

#[test]
fn a_small_run_writes_every_figure_and_does_not_depend_on_threads() {
    let run = |threads: &str| {
        let (json, plot) = (
            format!("stein_{threads}.json"),
            format!("stein_{threads}.svg"),
        );
        let files = ["--threads", threads, "--json", &json, "--plot", &plot];
        let out = program(&[&SMALL[..], &files].concat());
        assert!(out.status.success(), "{out:?}");
        let read = |name: &str| std::fs::read_to_string(folder().join(name)).unwrap();
        let table = String::from_utf8(out.stdout).unwrap().replace(&plot, "");
        (table, read(&json), read(&plot))
    };
    let (table, json, plot) = run("1");
    assert_eq!((table.clone(), json.clone(), plot.clone()), run("3"));
    for word in [
        "SVGD",
        "Stein SGHMC",
        "SGHMC chains",
        "exact draws",
        "lowest MMD²",
    ] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert!(plot.starts_with("<svg ") && plot.contains("density"));
    let reports: serde_json::Value = serde_json::from_str(&json).unwrap();
    let reports = reports.as_array().unwrap();
    assert_eq!(reports.len(), 2);
    for report in reports {
        for key in [
            "target",
            "dimension",
            "particles",
            "seeds",
            "width",
            "floor",
            "rows",
        ] {
            assert!(!report[key].is_null(), "{key}");
        }
        for row in report["rows"].as_array().unwrap() {
            for key in ["method", "step", "curve", "variance", "diverged"] {
                assert!(!row[key].is_null(), "{key}");
            }
            for point in row["curve"].as_array().unwrap() {
                assert!(point["mmd2"].is_f64() && point["ksd"].is_f64());
            }
        }
    }
}

#[test]
fn data_with_too_many_columns_is_refused_before_memory_is_taken() {
    let path = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("wide.csv");
    let rows = ["1.5,", "2.5,"].map(|cell| cell.repeat(2001));
    let rows: String = (0..10)
        .map(|i| format!("{}{}\n", rows[i % 2], i % 2))
        .collect();
    std::fs::write(&path, rows).unwrap();
    let path = path.to_str().unwrap();
    let out = program(&["--target", "logistic", "--data", path, "--format", "csv"]);
    let text = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(2), "{text}");
    let message = format!("--data {path}: must have at most 2000 columns");
    assert!(
        text.contains(&message) && text.contains("found 2001"),
        "{text}"
    );
}

#[test]
fn bad_options_are_named_and_exit_with_2() {
    for (arguments, name) in [
        (&["--particles", "1"][..], "particles"),
        (&["--steps", "0"], "steps"),
        (&["--seeds", "0"], "seeds"),
        (&["--rows", "1"], "rows"),
        (&["--threads", "0"], "threads"),
        (&["--target", "sphinx"], "sphinx"),
        (&["--sampler", "dice"], "dice"),
        (&["--unheard-of"], "unheard-of"),
        (&["--data", "x", "--format", "csv"], "--target logistic"),
        (&["--data", "x"], "--format"),
        (
            &["--check", "--data", "x", "--format", "csv"],
            "--data x: --check does not read it",
        ),
        (&["--plot", "no/such/folder.svg"], "no/such"),
        (&["--json", "no/such/folder.json"], "no/such"),
        (&["--target", "bnn", "--sampler", "exact"], "exact draws"),
    ] {
        let out = program(arguments);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(name), "{arguments:?}: {text}");
    }
}

#[test]
fn broken_data_is_named_and_exits_with_2() {
    let files = [
        (
            "stein_broken.svm",
            "libsvm",
            "1 1:0.5\n-1 x:2\n",
            "stein_broken.svm",
        ),
        (
            "stein_three.csv",
            "csv",
            "1,a\n2,b\n3,c\n4,a\n5,b\n6,c\n7,a\n8,b\n",
            "two classes",
        ),
        ("stein_short.csv", "csv", "1,a\n2,b\n", "five rows"),
    ];
    for (name, format, text, expected) in files {
        std::fs::write(folder().join(name), text).unwrap();
        let out = program(&["--target", "logistic", "--data", name, "--format", format]);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{name}: {text}");
        assert!(text.contains(expected), "{name}: {text}");
    }
}
