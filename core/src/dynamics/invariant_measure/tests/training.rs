//! Diagnostics during a training run: what they may not touch, and identities that hold along it.

use super::*;
use crate::model::{Batch, Init, Objective, mlp};
use crate::optim::{Optimiser, State, sgd};
use crate::solve::{Ends, lanczos, lanczos_scratch_len, power_iteration};

const MODEL: [usize; 3] = [5, 4, 3];
const ROWS: usize = 24;
const BATCH: usize = 6;

/// What a run of SGD on a network shows at each step: step size, loss, parameters, minibatch gradient.
struct Run<T> {
    x: Vec<T>,
    /// The word that the stream of the batches gives next.
    word: u64,
}

fn train<T: Real>(
    steps: usize,
    mut watch: impl FnMut(usize, f64, T, &[T], &[T], &dyn Fn(&[T], &mut [T]) -> Result<(), Error>),
) -> Run<T> {
    use rand_core::Rng;
    let model = mlp::Model {
        activation: mlp::Activation::Tanh,
        l2: T::from_f64(0.01),
        ..mlp::Model::<T>::new(&MODEL)
    };
    let features: Vec<T> = data(ROWS * MODEL[0]).0;
    let labels: Vec<u32> = (0..ROWS as u32).map(|i| i * 7 % 3).collect();
    let all = Batch::classes(&features, MODEL[0], &labels).unwrap();
    let mut x = vec![T::ZERO; model.dim()];
    let mut rng = random::stream(3, 0, 0, Purpose::INIT);
    model
        .init_into(Init::FanInNormal, &mut rng, &mut x)
        .unwrap();
    let mut batches = random::stream(3, 0, 0, Purpose::BATCH);
    let mut scratch = vec![T::ZERO; model.scratch_len(ROWS)];
    let (mut g, mut state) = (vec![T::ZERO; x.len()], State::new([T::ZERO; 0]));
    let config = sgd::Config::new(0.2);
    let full = |x: &[T], g: &mut [T]| {
        let mut scratch = vec![T::ZERO; model.scratch_len(ROWS)];
        model.gradient_into(x, &all, g, &mut scratch)
    };
    for k in 0..steps {
        let mut rows = [0; BATCH];
        rows.iter_mut()
            .for_each(|row| *row = random::below(&mut batches, ROWS as u32));
        let batch = all.select(&rows).unwrap();
        let loss = model
            .value_and_gradient_into(&x, &batch, &mut g, &mut scratch)
            .unwrap();
        watch(k, config.learning_rate, loss, &x, &g, &full);
        config.step(&mut state, &mut x, &g).unwrap();
    }
    Run {
        x,
        word: batches.next_u64(),
    }
}

fn is_untouched<T: Real>() {
    let alone = train::<T>(200, |_, _, _, _, _, _| {});
    let mut monitor = Monitor::new(50).unwrap();
    let mut noise = Noise::<[f64; 39]>::new();
    let mut scratch = vec![T::ZERO; lanczos_scratch_len(alone.x.len(), 4)];
    let mut reference = vec![T::ZERO; alone.x.len()];
    let watched = train::<T>(200, |k, rate, loss, x, g, full| {
        monitor.observe(rate, loss, x, g).unwrap();
        noise.push(g).unwrap();
        let mut sums = [0.0; 3];
        project_into(x, 3, &mut sums);
        assert!(movement(x, &reference).unwrap() > 0.0);
        reference.copy_from_slice(x);
        if k % 50 == 0 {
            power_iteration(x, full, 3, &mut scratch).unwrap();
            let (mut largest, mut smallest) = ([0.0; 2], [0.0; 1]);
            lanczos(
                x,
                full,
                3,
                4,
                Ends {
                    largest: &mut largest,
                    smallest: &mut smallest,
                },
                &mut scratch,
            )
            .unwrap();
        }
    });
    let bits = |run: &Run<T>| -> Vec<u64> { run.x.iter().map(|x| x.to_bits_u64()).collect() };
    assert_eq!(bits(&watched), bits(&alone));
    assert_eq!(watched.word, alone.word);
    assert_eq!(monitor.samples(), 200);
}

#[test]
fn a_run_that_is_watched_has_the_bits_of_one_that_is_not() {
    is_untouched::<f32>();
    is_untouched::<f64>();
}

/// `|x'|^2 - |x|^2 = -2 eta <x, g> + eta^2 <g, g>` at every step, to `tolerance` of `|x|^2`.
fn identity<T: Real>(tolerance: f64) {
    let mut expected: Option<f64> = None;
    let mut worst = 0.0_f64;
    train::<T>(300, |_, rate, _, x, g, _| {
        let s = step_stats(x, g).unwrap();
        if let Some(expected) = expected {
            worst = worst.max((s.tt - expected).abs() / s.tt);
        }
        expected = Some(s.tt - 2.0 * rate * s.tg + rate * rate * s.gg);
    });
    assert!(worst < tolerance, "{worst:e}");
    assert!(worst > 0.0, "rounding leaves something");
}

#[test]
fn the_norm_changes_by_its_identity_in_both_types() {
    // Published: 1e-5 for f32 parameters with f64 sums, 3.4e-13 for f64.
    identity::<f32>(1e-5);
    identity::<f64>(3.4e-13);
}

#[test]
fn sums_of_f32_are_those_of_the_same_numbers_in_f64() {
    let (x, g) = data::<f32>(4097);
    let wide = |x: &[f32]| -> Vec<f64> { x.iter().map(|&x| f64::from(x)).collect() };
    let (narrow, wide) = (
        step_stats(&x, &g).unwrap(),
        step_stats(&wide(&x), &wide(&g)).unwrap(),
    );
    assert_eq!(narrow, wide);
}

#[test]
fn changes_of_any_function_telescope_and_their_mean_is_bounded() {
    // Of a bounded function and of |x|^2, along a run that is far from its end.
    let (mut values, mut norms) = (Vec::new(), Vec::new());
    train::<f64>(150, |_, _, _, x, g, _| {
        values.push(x[0].tanh());
        norms.push(step_stats(x, g).unwrap().tt);
    });
    for phi in [&values, &norms] {
        let t = (phi.len() - 1) as f64;
        let changes: f64 = phi.windows(2).map(|pair| pair[1] - pair[0]).sum();
        let ends = phi[phi.len() - 1] - phi[0];
        assert!((changes - ends).abs() < 1e-13 * t, "{changes} {ends}");
        let most = phi.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        assert!((changes / t).abs() <= 2.0 * most / t + 1e-13);
    }
    // The small mean change says nothing: the two halves of the same norm differ.
    let report = compare(&window(&norms[..75]), &window(&norms[75..]), 1).unwrap();
    assert!(report.rejects_mean(), "{report:?}");
}

#[test]
fn a_step_size_that_changes_inside_a_window_begins_all_windows_anew() {
    let mut monitor = Monitor::new(64).unwrap();
    let push = |monitor: &mut Monitor, rate, loss| {
        monitor.observe(rate, loss, &[1.0], &[0.5]).unwrap();
    };
    (0..128).for_each(|_| push(&mut monitor, 0.1, 5.0));
    assert_eq!(
        monitor.report(Observable::Loss).unwrap().verdict,
        Verdict::Stationary
    );
    (0..32).for_each(|_| push(&mut monitor, 0.1, 5.0));
    // In the middle of the third window.
    (0..127).for_each(|_| push(&mut monitor, 0.01, 1.0));
    assert_eq!((monitor.resets(), monitor.samples()), (1, 127));
    let error = monitor.report(Observable::Loss).unwrap_err();
    assert!(matches!(
        error,
        Error::Parameter {
            name: "samples",
            ..
        }
    ));
    push(&mut monitor, 0.01, 1.0);
    // Nothing of the steps of 0.1 is left.
    assert_eq!(monitor.before(Observable::Loss).mean(), Some(1.0));
    assert_eq!(
        monitor.report(Observable::Loss).unwrap().verdict,
        Verdict::Stationary
    );
}

#[test]
fn numbers_that_are_not_finite_name_their_step_and_are_not_noted() {
    let mut monitor = Monitor::new(32).unwrap();
    (0..40).for_each(|_| monitor.observe(0.1, 1.0, &[1.0], &[1.0]).unwrap());
    let before = monitor;
    let (one, nan) = ([1.0], [f64::NAN]);
    for (loss, x, g, name) in [
        (f64::INFINITY, one, one, "loss"),
        (1.0, nan, one, "params"),
        (1.0, one, nan, "grad"),
        (1.0, one, [1e200], "grad"), // its square overflows
    ] {
        let error = monitor.observe(0.1, loss, &x, &g).unwrap_err();
        assert_eq!(
            error,
            Error::NonFinite {
                name,
                at: crate::At::Step(40)
            }
        );
        assert_eq!(monitor, before);
    }
    let error = monitor.observe(0.1, 1.0, &[1.0], &[1.0, 2.0]).unwrap_err();
    assert!(matches!(error, Error::Length { name: "grad", .. }));
    assert_eq!(monitor, before);
    assert!(Monitor::new(31).is_err());
}

#[test]
fn a_step_that_is_noted_afterwards_has_the_sums_of_before() {
    let (mut before, mut after) = (Monitor::new(64).unwrap(), Monitor::new(64).unwrap());
    let mut last: Option<(f64, f64, Vec<f64>)> = None;
    train::<f64>(129, |_, rate, loss, x, g, _| {
        if let Some((loss, rate, g)) = last.take() {
            after.observe_after(rate, loss, x, &g).unwrap();
        }
        before.observe(rate, loss, x, g).unwrap();
        last = Some((loss, rate, g.to_vec()));
    });
    for observable in Observable::ALL {
        let pair = [&before, &after].map(|m| m.last(observable).mean().unwrap());
        assert!(
            (pair[0] / pair[1] - 1.0).abs() < 1e-12,
            "{observable:?} {pair:?}"
        );
    }
}
