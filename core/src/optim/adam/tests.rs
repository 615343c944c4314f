use super::*;
use crate::optim::optimiser::tests::assert_refuses;
use crate::optim::tests::painted;
use crate::optim::{Optimiser, State};

#[test]
fn first_step_has_the_length_of_the_learning_rate() {
    let config = Config {
        learning_rate: 0.25,
        ..Config::adam()
    };
    for g in [1e-3, -5.0, 1e6] {
        let mut x = [2.0_f64];
        config
            .step(&mut State::new([0.0_f64; 2]), &mut x, &[g])
            .unwrap();
        assert!((x[0] - (2.0 - 0.25 * g.signum())).abs() < 1e-5);
    }
}

#[test]
fn decoupled_decay_shrinks_params_by_rate_times_decay() {
    let config = Config {
        learning_rate: 0.5,
        weight_decay: 0.25,
        ..Config::adamw()
    };
    let mut x = [8.0_f32];
    config
        .step(&mut State::new([0.0_f32; 2]), &mut x, &[0.0])
        .unwrap();
    assert_eq!(x, [7.0]);
    let config = Config {
        decay: Decay::Independent,
        ..config
    };
    let mut x = [8.0_f32];
    config
        .step(&mut State::new([0.0_f32; 2]), &mut x, &[0.0])
        .unwrap();
    assert_eq!(x, [6.0]);
}

#[test]
fn amsgrad_remembers_the_largest_moment() {
    let config = Config {
        beta2: 0.5,
        amsgrad: true,
        ..Config::adam()
    };
    let mut state = State::new([0.0_f64; 3]);
    let mut x = [0.0];
    config.step(&mut state, &mut x, &[4.0]).unwrap();
    config.step(&mut state, &mut x, &[0.0]).unwrap();
    assert_eq!(state.memory()[1..], [4.0, 8.0]);
}

#[test]
fn fast_is_portable_up_to_its_stated_error() {
    let mut portable = painted::<f32>(1003, 1);
    let mut fast = portable.clone();
    let config = Config::adamw();
    let (mut p, mut f) = (State::new([0.0_f32; 2006]), State::new([0.0_f32; 2006]));
    for t in 0..30 {
        let g = painted::<f32>(1003, t);
        config.step(&mut p, &mut portable, &g).unwrap();
        let config = Config {
            arithmetic: Arithmetic::Fast,
            ..config
        };
        config.step(&mut f, &mut fast, &g).unwrap();
    }
    for (i, (p, f)) in portable.iter().zip(&fast).enumerate() {
        // 30 steps of at most 1e-3, each within 2^-20, and as many roundings of the parameter.
        assert!(
            (p - f).abs() < 3e-8 + 30.0 * 1.2e-7 * p.abs(),
            "{i}: {p} {f}"
        );
    }
    assert_ne!(portable, painted::<f32>(1003, 1));
}

#[test]
fn moments_of_a_silent_parameter_become_zero_not_subnormal() {
    let config = Config::adam();
    let mut state = State::new([0.0_f32; 2]);
    let mut x = [1.0];
    config.step(&mut state, &mut x, &[1e-12]).unwrap();
    let mut subnormal = 0;
    for _ in 0..2000 {
        config.step(&mut state, &mut x, &[0.0]).unwrap();
        let is_kept = |s: f32| s == 0.0 || s.abs() >= f32::MIN_POSITIVE;
        if !(is_kept(state.memory()[0]) && is_kept(state.memory()[1])) {
            assert!(!state.steps().is_multiple_of(FLUSH_EVERY));
            subnormal += 1;
        }
    }
    assert!(subnormal < FLUSH_EVERY);
    assert_eq!(state.memory()[0], 0.0);
}

#[test]
fn non_finite_gradients_stay_at_their_index() {
    let mut state = State::new([0.0_f32; 6]);
    let mut x = [1.0; 3];
    Config::adam()
        .step(&mut state, &mut x, &[f32::NAN, 1.0, 1.0])
        .unwrap();
    assert!(x[0].is_nan() && x[1].is_finite() && x[1] == x[2]);
}

#[test]
fn every_bad_argument_is_named_and_changes_nothing() {
    let good = Config::adam();
    #[rustfmt::skip]
    let bad = [
        ("learning_rate", Config { learning_rate: f64::NAN, ..good }),
        ("learning_rate", Config { learning_rate: -1e-3, ..good }),
        ("learning_rate", Config { learning_rate: 1e300, ..good }),
        ("beta1", Config { beta1: 1.0, ..good }),
        ("beta2", Config { beta2: -0.1, ..good }),
        ("beta2", Config { beta2: f64::NAN, ..good }),
        ("eps", Config { eps: -1e-8, ..good }),
        ("weight_decay", Config { weight_decay: f64::INFINITY, ..good }),
    ];
    assert_refuses(good, &bad);
}
