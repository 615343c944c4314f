//! The command line of `invariant_measure`, on runs of a moment.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::process::{Command, Output};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_invariant_measure"))
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap()
}

#[test]
fn bad_options_are_named_and_exit_with_2() {
    for (arguments, name) in [
        (&["--step-sizes", "0"][..], "step-sizes"),
        (&["--step-sizes=-1"], "step-sizes"),
        (&["--step-sizes", "nan"], "step-sizes"),
        (&["--steps", "10"], "steps"),
        (&["--full-steps", "10"], "full-steps"),
        (&["--batch", "0"], "batch"),
        (&["--rows", "1"], "rows"),
        (&["--corrupt", "1.5"], "corrupt"),
        (&["--hidden", "0"], "hidden"),
        (&["--decay=-1"], "decay"),
        (&["--threads", "0"], "threads"),
        (&["--unheard-of"], "unheard-of"),
        (&["--data", "no/such.csv", "--format", "csv"], "no/such.csv"),
        (&["--data", "no/such.csv"], "format"),
        (
            &["--check", "--data", "x.csv", "--format", "csv"],
            "--data x.csv: --check does not read it",
        ),
        (&["--plot", "no/such/folder.svg"], "no/such"),
        (&["--json", "no/such/folder.json"], "no/such"),
        // The run that diverges, and the step.
        (
            &[
                "--step-sizes",
                "1e300",
                "--steps",
                "1200",
                "--full-steps",
                "0",
            ],
            "`loss` is not finite at step 1",
        ),
    ] {
        let out = program(arguments);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(name), "{arguments:?}: {text}");
    }
}

#[test]
fn other_data_give_every_table_a_plot_and_json() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let data = format!("{folder}/invariant_measure.csv");
    let rows = (0..60).map(|i| format!("{},{},{}\n", i % 7, i * i % 11, i % 3));
    std::fs::write(&data, rows.collect::<String>()).unwrap();
    let out = program(&[
        "--data",
        &data,
        "--format",
        "csv",
        "--step-sizes",
        "0.1",
        "--steps",
        "1200",
        "--full-steps",
        "0",
        "--hidden",
        "3",
        "--batch",
        "4",
        "--json",
        "im.json",
        "--plot",
        "im.svg",
    ]);
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(
        out.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    for word in [
        "R1",
        "stationary",
        "inconclusive",
        "Kolmogorov",
        "η = 0.1, then 0.01",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let json = std::fs::read_to_string(format!("{folder}/im.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    // The second run lowers its step size once, which empties the windows.
    assert_eq!(json.pointer("/runs/1/resets").unwrap(), 1);
    // Near 1 in a steady state; ten times that with the step size of after the change for what was before.
    let stretches = json.pointer("/runs/1/stretches").unwrap().as_array();
    let ratios = stretches.into_iter().flatten();
    let ratios: Vec<f64> = ratios
        .filter_map(|stretch| stretch.pointer("/norm_ratio")?.as_f64())
        .collect();
    assert!(
        ratios.len() >= 4 && ratios.iter().all(|r| *r < 3.0),
        "{ratios:?}"
    );
    let points = json.pointer("/runs/0/points").unwrap().as_array().unwrap();
    assert_eq!(points.len(), 301);
    for pointer in [
        "/runs/0/end/gradient_l1",
        "/runs/0/end/gradient_linf",
        "/runs/0/end/batch_linf",
        "/runs/0/end/update",
        "/runs/0/end/change",
        "/runs/0/end/along_step",
        "/runs/0/late/distances/0/wasserstein",
        "/calibration/0/distribution",
    ] {
        let value = json.pointer(pointer).and_then(serde_json::Value::as_f64);
        assert!(value.is_some_and(|x| x >= 0.0), "{pointer}: {value:?}");
    }
    let verdict = json.pointer("/runs/0/late/verdicts/0").unwrap();
    assert!(
        verdict
            .as_str()
            .is_some_and(|word| word.contains("station") || word == "inconclusive")
    );
    let picture = std::fs::read_to_string(format!("{folder}/im.svg")).unwrap();
    assert!(picture.contains("η = 0.1") && picture.contains("does not vanish"));
}

/// Decay that leaves nothing of the network: the full gradient is a thousandth of the first.
#[test]
fn the_title_says_when_the_gradient_vanishes() {
    let folder = env!("CARGO_TARGET_TMPDIR");
    let data = format!("{folder}/invariant_measure_decay.csv");
    let rows = (0..60).map(|i| format!("{},{},{}\n", i % 7, i * i % 11, i % 3));
    std::fs::write(&data, rows.collect::<String>()).unwrap();
    let out = program(&[
        "--data",
        &data,
        "--format",
        "csv",
        "--step-sizes",
        "0.001",
        "--decay",
        "1000",
        "--steps",
        "1200",
        "--full-steps",
        "0",
        "--hidden",
        "3",
        "--plot",
        "im_decay.svg",
    ]);
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    let picture = std::fs::read_to_string(format!("{folder}/im_decay.svg")).unwrap();
    assert!(picture.contains("the gradient vanishes") && !picture.contains("does not vanish"));
}
