//! What is refused, and what a failure names.

use super::*;
use thalweg::bilevel::stoc_bio;

#[test]
fn an_unstable_perturbed_path_is_named() {
    // Curvature 1 + exp(l): the base is stable at step 0.9, a path at l + mu is not.
    let (features, targets) = ([1.0_f64], [1.0]);
    let data = ridge::Data::new(MatrixRef::new(&features, 1, 1).unwrap(), &targets).unwrap();
    let problem = ridge::Problem::new(data, data).unwrap();
    let config = Config {
        radius: 5.0,
        direction: Direction::Basis,
        ..Config::new(gd(2000, 0.9))
    };
    assert_eq!(
        try_estimate(&config, &problem, &[0.0], &[0.0]).unwrap_err(),
        Error::NonFinite {
            name: "perturbed inner path",
            at: At::Direction(0)
        }
    );
    // w - w* grows by r = |1 - 0.9 (1 + e^5)| a step, from w* = 1 / (1 + e^5): the first w whose square is beyond 1.8e308.
    let growth = 0.9 * (1.0 + 5_f64.exp()) - 1.0;
    let steps = (f64::MAX.ln() / 2.0 + (1.0 + 5_f64.exp()).ln()) / growth.ln();
    assert_eq!(
        try_estimate(&config, &problem, &[5.0], &[0.0]).unwrap_err(),
        Error::NonFinite {
            name: "inner path",
            at: At::Step(steps.ceil() as u64 - 1)
        }
    );
    // The first random direction that goes uphill is the one that is named.
    let config = Config {
        direction: Direction::Gaussian,
        directions: 8,
        ..config
    };
    let first = (0..8).find(|&j| {
        let mut u = [0.0_f64];
        let round = Round { seed: 0, number: 0 };
        es_jacobian::direction_into(Direction::Gaussian, round, j, &mut u);
        0.9 * (1.0 + (5.0 * u[0]).exp()) > 2.1
    });
    let error = try_estimate(&config, &problem, &[0.0], &[0.0]).unwrap_err();
    let index = first.unwrap();
    let name = "perturbed inner path";
    assert_eq!(
        error,
        Error::NonFinite {
            name,
            at: At::Direction(index)
        }
    );
    assert!(format!("{error}").contains(&format!("direction {index}")));
}

#[test]
fn radii_that_the_type_cannot_resolve_and_wrong_lengths_are_refused() {
    let config = |radius| Config {
        radius,
        ..Config::new(gd(2, 0.1))
    };
    for radius in [0.0, -0.1, f64::NAN, f64::INFINITY, 1e-6] {
        assert!(config(radius).validate::<f32>().is_err(), "{radius}");
    }
    assert!(config(1e39).validate::<f32>().is_err());
    assert!(config(1e-5).validate::<f32>().is_ok());
    assert!(config(1e-6).validate::<f64>().is_ok());
    assert!(config(1e-15).validate::<f64>().is_err());
    let mut state = State::<[f64; 1]>::new();
    let (mut scratch, mut h) = ([0.0; 7], [7.0]);
    let config = config(0.1);
    let mut run = |x: &[f64], scratch: &mut [f64], h: &mut [f64]| {
        es_jacobian::step(&config, &mut state, &TOY, x, h, scratch)
    };
    let short = run(&[1.0], &mut scratch[..6], &mut h).unwrap_err();
    assert_eq!(format!("{short}"), "`scratch` has length 6, expected 7");
    assert!(run(&[1.0; 2], &mut scratch, &mut h).is_err());
    assert!(run(&[1.0], &mut scratch, &mut []).is_err());
    assert_eq!(h, [7.0]);
    let heavy = sgd::Config {
        momentum: 0.9,
        ..sgd::Config::new(0.1)
    };
    for method in [Method::Adam(adam::Config::default()), Method::Sgd(heavy)] {
        let inner = descent::Config { steps: 1, method };
        let refused = with_ridge(|problem, x| {
            let round = Round { seed: 0, number: 0 };
            let (mut y, mut h, mut scratch) = ([0.0; 12], [0.0; 12], [0.0; 200]);
            itd::hypergradient(
                &inner,
                round,
                problem,
                Variables { x, y: &mut y },
                &mut h,
                &mut scratch,
            )
        });
        let rule = "must be plain gradient descent";
        let name = "method";
        assert_eq!(refused, Err(Error::Parameter { name, rule }));
    }
}

#[test]
fn a_residual_that_is_not_finite_names_the_step_of_the_solver() {
    with_ridge(|problem, x| {
        let run = |inner, solver, x: &[f64]| {
            let config = aid::Config {
                inner,
                products: 5,
                solver,
            };
            let (mut y, mut h, mut scratch) = ([0.0; 12], [0.0; 12], [0.0; 200]);
            let round = Round { seed: 0, number: 0 };
            aid::hypergradient(
                &config,
                round,
                problem,
                Variables { x, y: &mut y },
                &mut h,
                &mut scratch,
            )
        };
        // v = eta f_y after the first step: the square of the next residual is beyond 1e308.
        let fixed = Solver::FixedPoint { step_size: 1e200 };
        let name = "residual";
        let error = Error::NonFinite {
            name,
            at: At::Step(1),
        };
        assert_eq!(run(gd(3, 0.2), fixed, x), Err(error));
        // exp(800) is infinite; without an inner step nothing shows before the first product.
        let error = Error::NonFinite {
            name,
            at: At::Step(0),
        };
        let steep = [800.0; 12];
        assert_eq!(
            run(gd(0, 0.2), Solver::ConjugateGradients, &steep),
            Err(error)
        );
        let name = "inner path";
        let error = Error::NonFinite {
            name,
            at: At::Step(0),
        };
        assert_eq!(
            run(gd(1, 0.2), Solver::ConjugateGradients, &steep),
            Err(error)
        );
        let (mut y, mut h, mut scratch) = ([0.0; 12], [0.0; 12], [0.0; 200]);
        let round = Round { seed: 0, number: 0 };
        let inner = gd(1, 0.2);
        let found = itd::hypergradient(
            &inner,
            round,
            problem,
            Variables {
                x: &steep,
                y: &mut y,
            },
            &mut h,
            &mut scratch,
        );
        assert_eq!(found, Err(error));
    });
}

#[test]
fn settings_out_of_range_are_refused_by_every_config() {
    fn name(outcome: Result<(), Error>) -> &'static str {
        match outcome {
            Err(Error::Parameter { name, .. }) => name,
            other => panic!("{other:?}"),
        }
    }
    let (good, products) = (gd(3, 0.2), 5);
    let aid = |inner, solver| {
        let config = aid::Config {
            inner,
            products,
            solver,
        };
        config.validate()
    };
    let stoc_bio = |inner, eta| {
        let config = stoc_bio::Config {
            inner,
            products,
            eta,
        };
        config.validate()
    };
    for step in [0.0, -0.1, f64::NAN, f64::INFINITY] {
        let fixed = Solver::FixedPoint { step_size: step };
        assert_eq!(name(aid(good, fixed)), "step_size");
        assert_eq!(name(stoc_bio(good, step)), "eta");
    }
    let bad = gd(0, f64::NAN);
    assert_eq!(name(bad.validate()), "learning_rate");
    assert_eq!(name(aid(bad, Solver::ConjugateGradients)), "learning_rate");
    assert_eq!(name(stoc_bio(bad, 0.1)), "learning_rate");
    let method = Method::Adam(adam::Config {
        amsgrad: true,
        ..Default::default()
    });
    assert_eq!(
        name(descent::Config { method, ..good }.validate()),
        "amsgrad"
    );
    assert_eq!(aid(good, Solver::FixedPoint { step_size: 0.1 }), Ok(()));
    assert_eq!(stoc_bio(good, 0.1), Ok(()));
}
