//! Label noise around other objectives.

use super::*;

#[test]
fn the_wrapper_is_the_recurrence_on_a_linear_model() {
    let (x, y) = ([1.0_f64, 2.0, -1.0, 0.5], [1.0, -1.0]);
    let batch = Batch::targets(&x, 2, &y, 1).unwrap();
    let config = Config::new(0.125);
    let mut state = State::from_params([0.0; 2]);
    let memory = || Scratch {
        target: std::boxed::Box::leak(vec![0.0].into_boxed_slice()),
        grad: std::boxed::Box::leak(vec![0.0; 2].into_boxed_slice()),
        model: &mut [],
    };
    let model = linear::Model::new(2);
    let mean = run_objective(
        &config,
        Fit {
            objective: &model,
            data: &batch,
        },
        &mut state,
        50,
        &mut stream(11),
        memory(),
    )
    .unwrap();
    let mut rng = stream(11);
    let (mut expected, mut losses) = ([0.0; 2], 0.0);
    for _ in 0..50 {
        let i = random::below_usize(&mut rng, 2);
        let e: f64 = random::rademacher(&mut rng);
        let row = &x[2 * i..][..2];
        let r = row[0] * expected[0] + row[1] * expected[1] - y[i] + e;
        losses += r * r / 2.0;
        expected[0] -= 0.125 * r * row[0];
        expected[1] -= 0.125 * r * row[1];
    }
    assert_close(state.params(), &expected, 1e-13);
    assert_close(&[mean], &[losses / 50.0], 1e-13);
    assert_eq!(state.steps(), 50);
}

#[test]
fn the_wrapper_trains_a_network_and_names_the_step_that_is_not_finite() {
    let x: Vec<f64> = (0..12).map(|i| f64::from(i % 5) / 4.0 - 0.5).collect();
    let y: Vec<f64> = (0..6).map(|i| f64::from(i % 3) - 1.0).collect();
    let batch = Batch::targets(&x, 2, &y, 1).unwrap();
    let layers = [2, 8, 1];
    let model = mlp::Model {
        loss: Loss::Squared,
        ..mlp::Model::new(&layers)
    };
    let d = Objective::<f64>::dim(&model);
    let mut params: Vec<f64> = (0..d).map(|i| ((i * 7 % 11) as f64 - 5.0) / 8.0).collect();
    let (mut target, mut grad) = ([0.0], vec![0.0; d]);
    let mut scratch = vec![0.0; Objective::<f64>::scratch_len(&model, 6)];
    let before = model.value(&params, &batch, &mut scratch).unwrap();
    let mut state = State::from_params(&mut params[..]);
    let config = Config {
        noise: 0.1,
        ..Config::new(0.05)
    };
    let mut go = |state: &mut State<&mut [f64]>| {
        let memory = Scratch {
            target: &mut target,
            grad: &mut grad,
            model: &mut scratch,
        };
        run_objective(
            &config,
            Fit {
                objective: &model,
                data: &batch,
            },
            state,
            3000,
            &mut stream(12),
            memory,
        )
    };
    go(&mut state).unwrap();
    state.params[0] = f64::NAN;
    assert_eq!(
        go(&mut state),
        Err(Error::NonFinite {
            name: "loss",
            at: crate::At::Step(3000)
        })
    );
    params[0] = 0.0;
    let after = model.value(&params, &batch, &mut scratch).unwrap();
    assert!(after < before, "{after} {before}");
}

/// One step of the wrapper on a linear model with one sample; the parameter is as before where it fails.
fn wrapped(rate: f64, [x, y, start]: [f32; 3]) -> Result<f64, Error> {
    let (x, y) = ([x], [y]);
    let batch = Batch::targets(&x, 1, &y, 1).unwrap();
    let mut state = State::from_params([start]);
    let memory = Scratch {
        target: &mut [0.0],
        grad: &mut [0.0],
        model: &mut [],
    };
    let (config, model) = (Config::new(rate), linear::Model::new(1));
    let mut rng = stream(1);
    let outcome = run_objective(
        &config,
        Fit {
            objective: &model,
            data: &batch,
        },
        &mut state,
        1,
        &mut rng,
        memory,
    );
    if outcome.is_err() {
        assert_eq!((state.params(), state.steps()), (&[start][..], 0));
    }
    outcome
}

#[test]
fn the_wrapper_refuses_a_step_out_of_the_type() {
    let (loss, params) = (("loss", 0), ("params", 0));
    for (rate, sample, expected) in [
        // The gradient is finite, the parameters after the step are not.
        (1e25, [1.0, -1e19, 0.0], params),
        // r = -3e18, g = -0.03: up from 3.4e38 by 4.5e36. Down it would be a number.
        (1.5e38, [1e-20, 6.4e18, 3.4e38], params),
        // The square of the residual alone overflows; the gradient alone.
        (0.1, [1.0, -1e20, 0.0], loss),
        (0.1, [1e20, -1e19, 0.0], loss),
    ] {
        let outcome = wrapped(rate, sample);
        let (name, index) = expected;
        assert_eq!(
            outcome,
            Err(Error::NonFinite {
                name,
                at: crate::At::Step(index)
            }),
            "{sample:?}"
        );
    }
    assert!(wrapped(1e18, [1.0, -1e19, 0.0]).is_ok());
}

#[test]
fn the_wrapper_needs_targets() {
    let batch = Batch::new(&[1.0_f64], 1, Labels::None).unwrap();
    let mut state = State::from_params([0.0]);
    let memory = Scratch {
        target: &mut [],
        grad: &mut [0.0],
        model: &mut [],
    };
    let (config, model) = (Config::new(0.1), linear::Model::new(1));
    let mut rng = stream(1);
    let outcome = run_objective(
        &config,
        Fit {
            objective: &model,
            data: &batch,
        },
        &mut state,
        1,
        &mut rng,
        memory,
    );
    let (name, rule) = ("data", "must have targets");
    assert_eq!(outcome, Err(Error::Parameter { name, rule }));
}
