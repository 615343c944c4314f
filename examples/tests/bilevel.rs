//! The command line.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_bilevel");
    Command::new(program).args(arguments).output().unwrap()
}

#[test]
fn wrong_options_are_named_and_end_with_2() {
    for (arguments, text) in [
        (&["--seeds", "0"][..], "between 1 and 1000"),
        (&["--threads", "0"], "between 1 and 256"),
        (
            &["--json", "/nowhere/at/all.json"],
            "the folder does not exist",
        ),
        (
            &["--plot", "/nowhere/at/all.svg"],
            "the folder does not exist",
        ),
        (
            &["--problem", "few-shot", "--shots", "0"],
            "between 1 and 1000",
        ),
        (
            &["--problem", "few-shot", "--ways", "6"],
            "--ways 6: needs 12 classes, half of which no training task has; UCI digits has 10",
        ),
        (
            &["--problem", "few-shot", "--shots", "1000"],
            "--shots 1000: needs 1010 rows of each class, 10 of them to be judged by; class `0` has ",
        ),
        (
            &["--check", "--seeds", "3"],
            "--seeds 3: --check does not read it; it reads --seed, --threads, --json, --plot, --no-plot, --problem and --full",
        ),
        (
            &["--problem", "sine", "--ways", "3"],
            "--ways 3: needs --problem few-shot",
        ),
        (
            &["--problem", "mnist", "--shots", "5"],
            "--shots 5: needs --problem few-shot",
        ),
        (
            &["--problem", "larger", "--full"],
            "--full: needs --problem two-layer",
        ),
        (
            &["--problem", "two-layer", "--seeds", "2"],
            "--seeds 2: needs --problem tables or larger",
        ),
        (&["--sedes", "3"], "--sedes"),
        (
            &["--data", "digits.csv", "--format", "csv"],
            "--data digits.csv: needs --problem hyper-cleaning, few-shot or mnist",
        ),
        (&["--problem", "nothing"], "hyper-cleaning"),
        (&["--problem", "mnist", "--data", "/nowhere"], "--format"),
        (
            &[
                "--problem",
                "mnist",
                "--data",
                "/nowhere",
                "--format",
                "idx",
            ],
            "/nowhere",
        ),
        (
            &[
                "--problem",
                "few-shot",
                "--data",
                "Cargo.toml",
                "--format",
                "csv",
            ],
            "Cargo.toml",
        ),
    ] {
        let output = run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(error.contains(text), "{arguments:?}: {error}");
    }
}

#[test]
fn help_explains() {
    let output = run(&["--help"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && text.contains("direct gradient"),
        "{text}"
    );
}
