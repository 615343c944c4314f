//! What is refused, and what a failure names.

use super::*;

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
            index: 0
        }
    );
    // w - w* grows by r = |1 - 0.9 (1 + e^5)| a step, from w* = 1 / (1 + e^5): the first w whose square is beyond 1.8e308.
    let growth = 0.9 * (1.0 + 5_f64.exp()) - 1.0;
    let steps = (f64::MAX.ln() / 2.0 + (1.0 + 5_f64.exp()).ln()) / growth.ln();
    assert_eq!(
        try_estimate(&config, &problem, &[5.0], &[0.0]).unwrap_err(),
        Error::NonFinite {
            name: "inner path",
            index: steps.ceil() as usize - 1
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
    assert_eq!(error, Error::NonFinite { name, index });
    assert!(format!("{error}").contains(&format!("index {index}")));
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
        es_jacobian::step(&config, &mut state, &TOY, x, scratch, h)
    };
    let short = run(&[1.0], &mut scratch[..6], &mut h).unwrap_err();
    assert_eq!(format!("{short}"), "`scratch` has length 6, expected 7");
    assert!(run(&[1.0; 2], &mut scratch, &mut h).is_err());
    assert!(run(&[1.0], &mut scratch, &mut []).is_err());
    assert_eq!(h, [7.0]);
    let adam = descent::Config {
        steps: 1,
        method: Method::Adam(adam::Config::default()),
    };
    let refused = with_ridge(|problem, x| {
        let round = Round { seed: 0, number: 0 };
        let (mut y, mut h, mut scratch) = ([0.0; 12], [0.0; 12], [0.0; 200]);
        itd::hypergradient(&adam, round, problem, x, &mut y, &mut scratch, &mut h)
    });
    assert!(refused.is_err());
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
            aid::hypergradient(&config, round, problem, x, &mut y, &mut scratch, &mut h)
        };
        // v = eta f_y after the first step: the square of the next residual is beyond 1e308.
        let fixed = Solver::FixedPoint { step_size: 1e200 };
        let name = "residual";
        let error = Error::NonFinite { name, index: 1 };
        assert_eq!(run(gd(3, 0.2), fixed, x), Err(error));
        // exp(800) is infinite; without an inner step nothing shows before the first product.
        let error = Error::NonFinite { name, index: 0 };
        let steep = [800.0; 12];
        assert_eq!(
            run(gd(0, 0.2), Solver::ConjugateGradients, &steep),
            Err(error)
        );
        let name = "inner path";
        let error = Error::NonFinite { name, index: 0 };
        assert_eq!(
            run(gd(1, 0.2), Solver::ConjugateGradients, &steep),
            Err(error)
        );
        let (mut y, mut h, mut scratch) = ([0.0; 12], [0.0; 12], [0.0; 200]);
        let round = Round { seed: 0, number: 0 };
        let inner = gd(1, 0.2);
        let found =
            itd::hypergradient(&inner, round, problem, &steep, &mut y, &mut scratch, &mut h);
        assert_eq!(found, Err(error));
    });
}
