//! Schedules against optax and torch: the values in `golden/schedule.txt`.
//!
//! Regenerate with `golden/schedule.py`; the versions are in the first line of the file.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking, in helpers too"
)]

use thalweg::optim::schedule::*;

const GOLDEN: &str = include_str!("golden/schedule.txt");

fn value(name: &str, t: u64) -> f64 {
    let exponential = ExponentialDecay {
        init: 1.0,
        rate: 0.6,
        steps: 7,
        begin: 2,
        staircase: false,
        end: None,
    };
    let warm = WarmupCosineDecay {
        init: 0.1,
        peak: 0.9,
        warmup_steps: 8,
        decay_steps: 30,
        end: 0.05,
        exponent: 1.0,
    };
    let path = |kind| PiecewiseInterpolate {
        kind,
        init: 1.0,
        boundaries: &[(10, 0.5), (20, 3.0), (30, 0.1)],
    };
    match name {
        "linear" => Polynomial {
            begin: 5,
            ..Polynomial::linear(0.2, 1.0, 10)
        }
        .value(t),
        "polynomial" => Polynomial {
            init: 1.0,
            end: 0.1,
            power: 2.5,
            steps: 20,
            begin: 3,
        }
        .value(t),
        "exponential" => exponential.value(t),
        "staircase" => ExponentialDecay {
            staircase: true,
            end: Some(0.3),
            ..exponential
        }
        .value(t),
        "growth" => ExponentialDecay {
            rate: 1.6,
            begin: 0,
            end: Some(3.0),
            ..exponential
        }
        .value(t),
        "cosine" => CosineDecay {
            init: 0.7,
            steps: 25,
            alpha: 0.1,
            exponent: 1.5,
        }
        .value(t),
        "warmup_constant" => WarmupConstant {
            init: 0.1,
            peak: 0.9,
            warmup_steps: 8,
        }
        .value(t),
        "warmup_cosine" => warm.value(t),
        "warmup_exponential" => WarmupExponentialDecay {
            init: 0.1,
            warmup_steps: 8,
            decay: ExponentialDecay {
                init: 0.9,
                rate: 0.7,
                steps: 5,
                begin: 2,
                staircase: false,
                end: Some(0.2),
            },
        }
        .value(t),
        "piecewise_constant" => PiecewiseConstant {
            init: 1.0,
            boundaries: &[(10, 0.5), (20, 0.1), (30, 4.0)],
        }
        .value(t),
        "piecewise_linear" => path(Interpolation::Linear).value(t),
        "piecewise_cosine" => path(Interpolation::Cosine).value(t),
        "linear_onecycle" => LinearOnecycle::new(35, 0.8).value(t),
        "cosine_onecycle" => CosineOnecycle::new(35, 0.8).value(t),
        "sgdr" => Sgdr {
            cycles: &[
                WarmupCosineDecay {
                    peak: 1.0,
                    warmup_steps: 3,
                    decay_steps: 10,
                    ..warm
                },
                WarmupCosineDecay {
                    init: 0.05,
                    peak: 0.6,
                    warmup_steps: 2,
                    decay_steps: 20,
                    end: 0.01,
                    ..warm
                },
            ],
        }
        .value(t),
        "join" => Join {
            first: &Constant(0.4),
            rest: &[
                (6, &Polynomial::linear(1.0, 0.0, 10)),
                (
                    20,
                    &CosineDecay {
                        init: 0.3,
                        steps: 9,
                        alpha: 0.0,
                        exponent: 1.0,
                    },
                ),
            ],
        }
        .value(t),
        "step" => Step {
            init: 0.3,
            rate: 0.4,
            steps: 9,
        }
        .value(t),
        "plateau" => {
            let config = ReduceOnPlateau {
                factor: 0.5,
                patience: 2,
                threshold: 1e-2,
                cooldown: 3,
                least: 0.05,
                ..ReduceOnPlateau::default()
            };
            let mut plateau = Plateau::new();
            for s in 0..=t {
                let s = s as f64;
                let loss = if s < 12.0 {
                    1.0 / (1.0 + s)
                } else {
                    0.09 - 0.0001 * s
                };
                plateau.observe(&config, loss).unwrap();
            }
            plateau.scale()
        }
        other => panic!("no such schedule: {other}"),
    }
}

#[test]
fn values_are_those_of_optax_and_torch() {
    let mut cases = 0;
    for line in GOLDEN.lines().filter(|l| !l.starts_with('#')) {
        let (name, bits) = line.split_once(' ').unwrap();
        for (t, word) in bits.split(' ').enumerate() {
            let expected = f64::from_bits(u64::from_str_radix(word, 16).unwrap());
            let found = value(name, t as u64);
            let error = (found - expected).abs();
            assert!(
                error <= 1e-13,
                "{name} at {t}: {found}, expected {expected}"
            );
            cases += 1;
        }
    }
    assert_eq!(cases, 18 * 40);
}
