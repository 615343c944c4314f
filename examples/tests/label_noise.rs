//! The command line of `label_noise`, on runs of a moment.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends at the first surprise"
)]

use std::process::{Command, Output};

use thalweg_examples::label_noise::experiment::{Settings, recovery};
use thalweg_examples::label_noise::problem::{Instance, Shape};

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_label_noise"))
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap()
}

#[test]
fn bad_options_are_named_and_exit_with_2() {
    for (arguments, name) in [
        (&["--dim", "1"][..], "dim"),
        (&["--samples", "0"], "samples"),
        (&["--samples", "101"], "samples"),
        (&["--sparsity", "0"], "sparsity"),
        (&["--seeds", "0"], "seeds"),
        (&["--start", "0"], "--start"),
        (&["--noise=-1"], "noise"),
        (&["--step-size", "nan"], "--step-size"),
        (&["--time", "inf"], "time"),
        (&["--time", "1e300"], "--time 1e300: needs "),
        (&["--step-size", "1e-9"], "time"),
        (&["--threads", "0"], "threads"),
        (&["--unheard-of"], "unheard-of"),
        (&["--plot", "no/such/folder.svg"], "no/such"),
        (&["--json", "no/such/folder.json"], "no/such"),
        // Unstable: the library names parameter and step.
        (
            &["--step-size", "0.5", "--seeds", "1"],
            "--step-size 0.5: `learning_rate` is too large at step",
        ),
    ] {
        let out = program(arguments);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(name), "{arguments:?}: {text}");
    }
}

#[test]
fn a_small_problem_is_recovered_by_noise_and_not_by_descent() {
    let settings = Settings {
        shape: Shape {
            dim: 40,
            samples: 20,
            sparsity: 2,
            signs: false,
        },
        alpha: 1.0,
        noise: 1.0,
        rate: 2e-3,
        time: 2.5,
        cool: 50_000,
    };
    let row = recovery(&settings, 1, true).unwrap();
    assert!(row.raw < 0.03 && row.cooled < 0.03, "{row:?}");
    assert!(row.lasso < 0.01 && row.lasso_gap <= 1e-9, "{row:?}");
    assert!(row.from_limit < 0.3, "{row:?}");
    assert!(row.isotropic > Some(0.4) && row.pursuit < 1e-9, "{row:?}");
    assert!(
        row.descent > 0.2 && (row.descent - row.least_norm).abs() < 0.01,
        "{row:?}"
    );
}

/// The baselines take their step sizes from the shape and the start; a start of 10 is within their stability as one of 1 is.
#[test]
fn baselines_are_stable_for_every_start() {
    for (dim, alpha, rate) in [
        (40, 10.0, 1e-6),
        (40, 70.0, 1e-9),
        (200, 3.0, 1e-6),
        (40, 0.01, 1e-6),
    ] {
        let settings = Settings {
            shape: Shape {
                dim,
                samples: 20,
                sparsity: 2,
                signs: false,
            },
            alpha,
            noise: 1.0,
            rate,
            time: 1e-8_f64.min(1e4 * rate * rate),
            cool: 100,
        };
        let row = recovery(&settings, 1, false);
        let row = row.unwrap_or_else(|error| panic!("alpha {alpha}: {error}"));
        // Descent fits; from a large start at the smallest norm.
        if alpha > 2.0 {
            assert!((row.descent - row.least_norm).abs() < 0.01, "{row:?}");
            assert!(row.product_change < 0.1, "{row:?}");
        }
    }
}

#[test]
fn both_types_have_the_same_draws() {
    let shape = Shape {
        dim: 30,
        samples: 10,
        sparsity: 3,
        signs: false,
    };
    let (wide, narrow) = (
        Instance::<f64>::new(shape, 4),
        Instance::<f32>::new(shape, 4),
    );
    assert!(wide.z.iter().zip(&narrow.z).all(|(a, b)| *a as f32 == *b));
    assert_eq!(wide.signal.iter().filter(|x| x.abs() == 1.0).count(), 3);
}
