//! Ends, limits and refusals. optax 0.2.8 raises for a cosine of no steps, a cycle of no steps, negative scales and no cycles.

use super::*;
use std::string::ToString;

const WARM: WarmupCosineDecay = WarmupCosineDecay {
    init: 0.0,
    peak: 1.0,
    warmup_steps: 10,
    decay_steps: 30,
    end: 0.1,
    exponent: 1.0,
};

const EXPONENTIAL: ExponentialDecay = ExponentialDecay {
    init: 1.0,
    rate: 0.5,
    steps: 4,
    begin: 0,
    staircase: false,
    end: None,
};

#[test]
fn a_warm_up_as_long_as_the_schedule_ends_at_the_end() {
    for warmup_steps in [10, 25] {
        let warm = WarmupCosineDecay {
            warmup_steps,
            decay_steps: 10,
            ..WARM
        };
        assert!((warm.value(9) - 9.0 / warmup_steps as f64).abs() < 1e-15);
        assert_eq!([10, 11, 1000, u64::MAX].map(|t| warm.value(t)), [0.1; 4]);
        assert_eq!(
            warm.validate().unwrap_err().to_string(),
            "`decay_steps` must be above `warmup_steps`"
        );
    }
    let nothing = WarmupCosineDecay {
        warmup_steps: 0,
        decay_steps: 0,
        ..WARM
    };
    assert_eq!(nothing.value(0), 0.1);
}

#[test]
fn a_cosine_leads_from_any_peak_to_any_end() {
    for (peak, end) in [
        (0.0, 0.3),
        (1e-320, 0.3),
        (1e-320, 0.0),
        (-1.0, 2.0),
        (5e-324, 1e300),
    ] {
        let warm = WarmupCosineDecay { peak, end, ..WARM };
        warm.validate().unwrap();
        assert_eq!((warm.value(10), warm.value(30)), (peak, end));
        // Half of the cosine.
        let middle = warm.value(20);
        assert!(
            (middle - 0.5 * (peak + end)).abs() <= 1e-15 * end.abs(),
            "{middle}"
        );
    }
}

#[test]
fn first_and_last_values_are_those_of_the_fields() {
    for (init, end) in [
        (0.1, 1.0),
        (0.2, 1.0),
        (1.0 / 3.0, 0.7),
        (-0.3, 0.1),
        (1e-320, 3.0),
    ] {
        for power in [0.5, 1.0, 2.5] {
            let path = Polynomial {
                power,
                begin: 3,
                ..Polynomial::linear(init, end, 7)
            };
            assert_eq!([0, 3].map(|t| path.value(t)), [init; 2]);
            assert_eq!([10, 11, u64::MAX].map(|t| path.value(t)), [end; 3]);
        }
        let warm = WarmupCosineDecay {
            init,
            peak: end,
            end: init,
            ..WARM
        };
        assert_eq!([0, 10, 30].map(|t| warm.value(t)), [init, end, init]);
        let decay = CosineDecay {
            init,
            steps: 7,
            alpha: 0.3,
            exponent: 1.5,
        };
        assert_eq!(
            [0, 7, 8].map(|t| decay.value(t)),
            [init, init * 0.3, init * 0.3]
        );
        for kind in [Interpolation::Linear, Interpolation::Cosine] {
            let boundaries = &[(4, 0.3), (9, 7.0)];
            let path = PiecewiseInterpolate {
                kind,
                init,
                boundaries,
            };
            let expected = [init, init * 0.3, init * 0.3 * 7.0];
            assert_eq!([0, 4, 9].map(|t| path.value(t)), expected);
        }
        let warm = WarmupConstant {
            init,
            peak: end,
            warmup_steps: 5,
        };
        assert_eq!([0, 5].map(|t| warm.value(t)), [init, end]);
    }
}

#[test]
fn a_cycle_reaches_its_peak_however_small() {
    for peak in [1.0, 0.1, 1e-320, 5e-324, 0.0] {
        let (line, curve) = (
            LinearOnecycle::new(100, peak),
            CosineOnecycle::new(100, peak),
        );
        assert_eq!((line.value(30), curve.value(30)), (peak, peak));
        let first = peak / 25.0;
        assert_eq!([line.value(0), line.value(85), curve.value(0)], [first; 3]);
        assert_eq!([line.value(100), curve.value(u64::MAX)], [first / 1e4; 2]);
    }
    // A cycle too short for its corners ends all the same.
    for steps in [0, 1, 2] {
        let (line, curve) = (
            LinearOnecycle::new(steps, 1.0),
            CosineOnecycle::new(steps, 1.0),
        );
        assert_eq!([line.value(steps), curve.value(steps)], [0.04 / 1e4; 2]);
    }
}

#[test]
fn values_of_valid_schedules_are_finite() {
    let cycles = [
        WARM,
        WarmupCosineDecay {
            decay_steps: 11,
            ..WARM
        },
    ];
    let boundaries = [(1, 0.0), (u64::MAX, 2.0)];
    let all: [&dyn Schedule; 15] = [
        &Constant(-1.0),
        &Polynomial {
            begin: u64::MAX - 1,
            ..Polynomial::linear(1.0, 0.0, u64::MAX)
        },
        &Polynomial {
            power: 1e-300,
            ..Polynomial::linear(1.0, 0.0, 3)
        },
        &EXPONENTIAL,
        &ExponentialDecay {
            init: 0.0,
            rate: 2.0,
            ..EXPONENTIAL
        },
        &ExponentialDecay {
            rate: 1e300,
            end: Some(2.0),
            ..EXPONENTIAL
        },
        &Step {
            init: 0.0,
            rate: 1e300,
            steps: 1,
        },
        &Step {
            init: 1.0,
            rate: 0.0,
            steps: 1,
        },
        &CosineDecay {
            init: 1.0,
            steps: 1,
            alpha: 0.0,
            exponent: 1e-300,
        },
        &WARM,
        &WarmupExponentialDecay {
            init: 0.0,
            warmup_steps: 0,
            decay: EXPONENTIAL,
        },
        &PiecewiseConstant {
            init: 1.0,
            boundaries: &boundaries,
        },
        &PiecewiseInterpolate {
            kind: Interpolation::Cosine,
            init: 1.0,
            boundaries: &boundaries,
        },
        &Sgdr { cycles: &cycles },
        &Noam {
            factor: 1.0,
            dim: 0,
            warmup_steps: 0,
        },
    ];
    for (i, schedule) in all.iter().enumerate() {
        assert_eq!(schedule.validate(), Ok(()), "{i}");
        for t in [
            0,
            1,
            2,
            9,
            10,
            11,
            29,
            30,
            31,
            1 << 53,
            u64::MAX - 1,
            u64::MAX,
        ] {
            let value = schedule.value(t);
            assert!(value.is_finite(), "schedule {i} at {t}: {value}");
        }
    }
}

#[test]
fn every_field_out_of_range_is_named() {
    const NAN: f64 = f64::NAN;
    let line = Polynomial::linear(1.0, 0.0, 4);
    let cosine = CosineDecay {
        init: 1.0,
        steps: 4,
        alpha: 0.0,
        exponent: 1.0,
    };
    let up = LinearOnecycle::new(9, 1.0);
    let curve = CosineOnecycle::new(9, 1.0);
    let step = Step {
        init: 1.0,
        rate: 0.5,
        steps: 3,
    };
    let bad_end = ExponentialDecay {
        end: Some(NAN),
        ..EXPONENTIAL
    };
    let (falling, twice) = ([(9, 1.0), (4, 1.0)], [(4, 1.0), (4, 1.0)]);
    let path = |boundaries| PiecewiseInterpolate {
        kind: Interpolation::Linear,
        init: 1.0,
        boundaries,
    };
    let late: [(u64, &dyn Schedule); 2] = [(9, &line), (4, &line)];
    let broken: [(u64, &dyn Schedule); 1] = [(9, &Constant(NAN))];
    let bad: [(&str, &dyn Schedule); 44] = [
        ("constant", &Constant(NAN)),
        ("init", &Polynomial { init: NAN, ..line }),
        (
            "end",
            &Polynomial {
                end: f64::INFINITY,
                ..line
            },
        ),
        (
            "power",
            &Polynomial {
                power: -1.0,
                ..line
            },
        ),
        ("power", &Polynomial { power: 0.0, ..line }),
        (
            "init",
            &ExponentialDecay {
                init: NAN,
                ..EXPONENTIAL
            },
        ),
        (
            "rate",
            &ExponentialDecay {
                rate: -0.5,
                ..EXPONENTIAL
            },
        ),
        (
            "rate",
            &ExponentialDecay {
                rate: f64::INFINITY,
                ..EXPONENTIAL
            },
        ),
        ("end", &bad_end),
        (
            "init",
            &CosineDecay {
                init: NAN,
                ..cosine
            },
        ),
        ("steps", &CosineDecay { steps: 0, ..cosine }),
        (
            "alpha",
            &CosineDecay {
                alpha: NAN,
                ..cosine
            },
        ),
        (
            "exponent",
            &CosineDecay {
                exponent: -1.0,
                ..cosine
            },
        ),
        ("init", &Step { init: NAN, ..step }),
        ("rate", &Step { rate: -1.0, ..step }),
        (
            "factor",
            &Noam {
                factor: NAN,
                dim: 1,
                warmup_steps: 1,
            },
        ),
        (
            "init",
            &WarmupConstant {
                init: NAN,
                peak: 1.0,
                warmup_steps: 1,
            },
        ),
        (
            "peak",
            &WarmupConstant {
                init: 0.0,
                peak: NAN,
                warmup_steps: 1,
            },
        ),
        ("init", &WarmupCosineDecay { init: NAN, ..WARM }),
        ("peak", &WarmupCosineDecay { peak: NAN, ..WARM }),
        (
            "decay_steps",
            &WarmupCosineDecay {
                decay_steps: 10,
                ..WARM
            },
        ),
        ("end", &WarmupCosineDecay { end: NAN, ..WARM }),
        (
            "exponent",
            &WarmupCosineDecay {
                exponent: 0.0,
                ..WARM
            },
        ),
        (
            "init",
            &WarmupExponentialDecay {
                init: NAN,
                warmup_steps: 1,
                decay: EXPONENTIAL,
            },
        ),
        (
            "end",
            &WarmupExponentialDecay {
                init: 0.0,
                warmup_steps: 1,
                decay: bad_end,
            },
        ),
        (
            "init",
            &PiecewiseConstant {
                init: NAN,
                boundaries: &[],
            },
        ),
        (
            "boundaries",
            &PiecewiseConstant {
                init: 1.0,
                boundaries: &[(1, -1.0)],
            },
        ),
        (
            "boundaries",
            &PiecewiseConstant {
                init: 1.0,
                boundaries: &[(1, NAN)],
            },
        ),
        ("boundaries", &path(&falling)),
        ("boundaries", &path(&twice)),
        ("boundaries", &path(&[(1, -0.5)])),
        ("steps", &LinearOnecycle { steps: 0, ..up }),
        ("peak", &LinearOnecycle { peak: NAN, ..up }),
        ("start", &LinearOnecycle { start: -0.1, ..up }),
        ("last", &LinearOnecycle { last: 0.2, ..up }),
        ("last", &LinearOnecycle { last: 1.5, ..up }),
        ("divisor", &LinearOnecycle { divisor: 0.0, ..up }),
        (
            "final_divisor",
            &LinearOnecycle {
                final_divisor: -1.0,
                ..up
            },
        ),
        (
            "start",
            &CosineOnecycle {
                start: NAN,
                ..curve
            },
        ),
        (
            "divisor",
            &CosineOnecycle {
                divisor: f64::INFINITY,
                ..curve
            },
        ),
        ("cycles", &Sgdr { cycles: &[] }),
        (
            "decay_steps",
            &Sgdr {
                cycles: &[
                    WARM,
                    WarmupCosineDecay {
                        decay_steps: 3,
                        ..WARM
                    },
                ],
            },
        ),
        (
            "rest",
            &Join {
                first: &line,
                rest: &late,
            },
        ),
        (
            "constant",
            &Join {
                first: &line,
                rest: &broken,
            },
        ),
    ];
    for (i, (expected, schedule)) in bad.iter().enumerate() {
        match schedule.validate() {
            Err(Error::Parameter { name, .. }) => assert_eq!(name, *expected, "{i}"),
            other => panic!("{i}, {expected}: {other:?}"),
        }
    }
}
