//! The command line of `implicit_bias`: wrong options, broken data, keys of the JSON, any number of threads.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::PathBuf;
use std::process::{Command, Output};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_implicit_bias"))
        .args(arguments)
        .current_dir(folder())
        .output()
        .unwrap()
}

const SMALL: [&str; 16] = [
    "--networks",
    "2",
    "--width",
    "16",
    "--depths",
    "2,3",
    "--rows",
    "4,30",
    "--test",
    "10",
    "--draws",
    "2",
    "--functions",
    "200",
    "--probability-draws",
    "500",
];

#[test]
fn a_small_run_writes_every_figure_and_does_not_depend_on_threads() {
    let run = |threads: &str| {
        let (json, plot) = (
            format!("implicit_{threads}.json"),
            format!("implicit_{threads}.svg"),
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
    for word in ["parity", "pattern", "Gibbs", "centre of mass", "α = 100"] {
        assert!(table.contains(word), "{word}: {table}");
    }
    assert!(plot.starts_with("<svg ") && plot.contains("regression, L = 3"));
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = report["complexity"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    for row in rows {
        let c0 = &row["c0"];
        assert!(c0["value"].is_f64() && c0["reliable"].is_boolean());
        assert!(row["bound_c1"].as_f64().unwrap() < 1.0);
    }
    let rows = report["networks"].as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        for key in ["scale", "accuracy", "deviation", "train", "margin"] {
            assert!(row[key].is_f64(), "{key}: {row}");
        }
    }
    let rows = report["posterior"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let gibbs = row["gibbs"].as_f64().unwrap();
        assert!(gibbs > 0.5 && gibbs < 1.0, "{row}");
        assert_eq!(row["by_margin"].as_array().unwrap().len(), 5);
        assert_eq!(row["regression"].as_array().unwrap().len(), 5);
    }
}

#[test]
fn bad_options_are_named_and_exit_with_2() {
    for (arguments, words) in [
        (&["--classes", "1"][..], "--classes 1: must be two classes"),
        (&["--classes", "3,3"], "must be two different classes"),
        (&["--classes", "0,12"], "has 0 rows, of which"),
        (
            &["--rows", "2000"],
            "is more than the 1797 rows of the data",
        ),
        (&["--rows", "1"], "--rows"),
        (&["--depths", "0"], "--depths"),
        (&["--scales", "-1"], "--scales"),
        (&["--test", "400"], "rows, of which"),
        (&["--data", "nowhere", "--format", "idx"], "nowhere"),
        (&["--data", "."], "--format"),
    ] {
        let out = program(&[arguments, &["--no-plot"]].concat());
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(words), "{arguments:?}: {text}");
    }
}
