//! The command line of `ntk_federated`: wrong options, keys of the JSON, any number of threads.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ntk_federated"))
        .args(arguments)
        .current_dir(folder())
        .output()
        .unwrap()
}

const SMALL: [&str; 18] = [
    "--clients",
    "6",
    "--participants",
    "3",
    "--samples",
    "10",
    "--hidden",
    "8",
    "--rounds",
    "2",
    "--average-rounds",
    "4",
    "--learning-rates",
    "0.1",
    "--epochs",
    "1,2",
    "--projection",
    "16",
];

#[test]
fn a_small_run_writes_every_figure_and_does_not_depend_on_threads() {
    let run = |threads: &str| {
        let (json, plot) = (format!("ntk_{threads}.json"), format!("ntk_{threads}.svg"));
        let files = ["--threads", threads, "--json", &json, "--plot", &plot];
        let out = program(&[&SMALL[..], &files].concat());
        assert!(out.status.success(), "{out:?}");
        let plot = std::fs::read_to_string(folder().join(plot)).unwrap();
        assert!(plot.starts_with("<svg ") && plot.contains("CP-NTK-FL"));
        let text = std::fs::read_to_string(folder().join(json)).unwrap();
        let mut report: Value = serde_json::from_str(&text).unwrap();
        for row in report["rows"].as_array_mut().unwrap() {
            for point in row["points"].as_array_mut().unwrap() {
                assert!(point["seconds"].take().as_f64().unwrap() >= 0.0);
            }
        }
        report
    };
    let report = run("1");
    assert_eq!(report, run("3"));
    let rows = report["rows"].as_array().unwrap();
    let find = |name: &str| {
        let found = rows.iter().find(|row| row["method"] == name).unwrap();
        found["points"].as_array().unwrap()
    };
    assert_eq!(find("NTK-FL").len(), 2);
    assert_eq!(find("FedAvg, rate 0.1, 1 passes").len(), 4);
    // 64 inputs, 8 units, 10 classes: 610 parameters, each way once a round.
    let first = &find("FedAvg, rate 0.1, 1 passes")[0];
    assert_eq!(
        [&first["uplink_bits"], &first["downlink_bits"]],
        [19_520.0, 19_520.0]
    );
    let bits = |name: &str| find(name)[0]["uplink_bits"].as_f64().unwrap();
    assert!(bits("NTK-FL") > 20.0 * bits("CP-NTK-FL"));
}

#[test]
fn wrong_options_are_named() {
    for (options, named) in [
        (&["--participants", "50"][..], "--participants 50"),
        (&["--keep", "1.5"], "--keep 1.5"),
        (&["--fraction", "2"], "--fraction 2"),
        (&["--times", "2,1"], "--times"),
        (&["--bits", "25"], "--bits"),
        (
            &[
                "--samples",
                "10000",
                "--participants",
                "40",
                "--hidden",
                "512",
            ],
            "--samples 10000",
        ),
    ] {
        let out = program(options);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{text}");
        assert!(text.contains(named), "{named}: {text}");
    }
}
