//! Second-order products by differences of gradients.

use super::cleaning::with_cleaning;
use super::network::{MODEL, with_tasks};
use super::*;
use thalweg::bilevel::differences::{Differences, InnerSlope};
use thalweg::bilevel::hyper_representation::network::Problem as Network;
use thalweg::model::mlp;

const DRAW: Draw = Round { seed: 1, number: 2 }.inner(3);

/// Both products at a painted point of the given size.
fn products<P: SecondOrder<f64>>(problem: &P, x: &[f64], size: f64) -> [Vec<f64>; 2] {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    let (mut y, v) = (painted::<f64>(d, 51), painted::<f64>(d, 52));
    vector::scale(size, &mut y);
    let mut scratch = vec![f64::NAN; problem.scratch_len()];
    let (mut hessian, mut mixed) = (vec![f64::NAN; d], vec![f64::NAN; p]);
    problem.prepare(x, &mut scratch).unwrap();
    // Twice: a mixed product leaves what the next product needs.
    for _ in 0..2 {
        problem
            .mixed_product_into(Place::new(x, &y, &DRAW), &v, &mut mixed, &mut scratch)
            .unwrap();
        problem
            .hessian_product_into(Place::new(x, &y, &DRAW), &v, &mut hessian, &mut scratch)
            .unwrap();
    }
    [hessian, mixed]
}

#[test]
fn differences_are_the_products_where_these_are_known() {
    // g is quadratic in y: only rounding is left.
    fn check(problem: &(impl SecondOrder<f64> + InnerSlope<f64>), x: &[f64]) {
        // The shift grows with y: far out a shift of the length of 1 would drown in the rounding of the gradients.
        for size in [1.0, 1e6] {
            let expected = products(problem, x, size);
            let found = products(&Differences::new(problem), x, size);
            for (found, expected) in found.iter().zip(&expected) {
                assert!(vector::norm2(expected) > 0.1);
                let off = distance(found, expected);
                assert!(off < 1e-9, "{size}: {off}");
            }
        }
    }
    with_ridge(|problem, x| check(problem, x));
    with_representation(|problem, x| check(problem, x));
}

#[test]
fn products_scale_with_their_vector() {
    // The shift of y has the length of y or 1, whatever |v|: g is not quadratic here.
    with_cleaning(|problem, _| {
        let problem = Differences::new(problem);
        let (p, d) = (problem.outer_dim(), problem.inner_dim());
        let (x, y, v) = (
            painted::<f64>(p, 53),
            painted::<f64>(d, 51),
            painted::<f64>(d, 52),
        );
        let mut scratch = vec![f64::NAN; problem.scratch_len()];
        let mut of = |scale: f64| {
            let v: Vec<f64> = v.iter().map(|v| v * scale).collect();
            let (mut hessian, mut mixed) = (vec![0.0; d], vec![0.0; p]);
            problem.prepare(&x, &mut scratch).unwrap();
            problem
                .hessian_product_into(Place::new(&x, &y, &DRAW), &v, &mut hessian, &mut scratch)
                .unwrap();
            problem
                .mixed_product_into(Place::new(&x, &y, &DRAW), &v, &mut mixed, &mut scratch)
                .unwrap();
            [hessian, mixed].map(|mut product| {
                vector::scale(1.0 / scale, &mut product);
                product
            })
        };
        let one = of(1.0);
        for scale in [1e-200, 1e-9, 1e3, 1e9, 1e200] {
            for (found, expected) in of(scale).iter().zip(&one) {
                let off = distance(found, expected);
                assert!(
                    vector::norm2(expected) > 1e-2 && off < 1e-9,
                    "{scale}: {off}"
                );
            }
        }
    });
}

#[test]
fn no_direction_has_products_of_zero() {
    with_ridge(|problem, x| {
        let problem = Differences::new(problem);
        let (zeros, mut out) = ([0.0; 12], [f64::NAN; 12]);
        let mut scratch = vec![f64::NAN; problem.scratch_len()];
        problem
            .hessian_product_into(Place::new(x, &zeros, &DRAW), &zeros, &mut out, &mut scratch)
            .unwrap();
        assert_eq!(out, zeros);
        problem
            .mixed_product_into(Place::new(x, x, &DRAW), &zeros, &mut out, &mut scratch)
            .unwrap();
        assert_eq!(out, zeros);
    });
}

/// Reverse mode through differences compared with central differences of whole runs along every unit vector.
fn agree<P: InnerSlope<f64>>(problem: &P, step: f64) {
    let (x, y0) = (
        painted::<f64>(problem.outer_dim(), 61),
        painted::<f64>(problem.inner_dim(), 62),
    );
    let inner = gd(6, step);
    let itd = itd_gradient(&Differences::new(problem), &inner, &x, &y0);
    let config = Config {
        radius: 1e-4,
        directions: 1,
        direction: Direction::Basis,
        difference: Difference::Central,
        ..Config::new(inner)
    };
    let (paths, _) = estimate(&config, problem, &x, &y0);
    assert!(vector::norm2(&paths) > 1e-4);
    assert!(distance(&itd, &paths) < 1e-6, "{}", distance(&itd, &paths));
}

#[test]
fn itd_by_differences_is_the_response_along_unit_vectors() {
    with_cleaning(|problem, _| agree(problem, 0.5));
    with_tasks(|tasks| {
        for minibatch in [None, Some(2)] {
            agree(&Network::new(MODEL, tasks, minibatch).unwrap(), 0.2);
        }
    });
}

#[test]
fn at_the_minimum_aid_by_differences_is_itd() {
    with_tasks(|tasks| {
        let strong = mlp::Model { l2: 1.0, ..MODEL };
        let problem = Network::new(strong, tasks, None).unwrap();
        let problem = Differences::new(&problem);
        let (x, y0) = (
            painted::<f64>(problem.outer_dim(), 61),
            painted::<f64>(problem.inner_dim(), 62),
        );
        let inner = gd(200, 0.5);
        let itd = itd_gradient(&problem, &inner, &x, &y0);
        for solver in [
            Solver::ConjugateGradients,
            Solver::FixedPoint { step_size: 0.5 },
        ] {
            let config = aid::Config {
                inner,
                products: 60,
                solver,
            };
            let aid = aid_gradient(&problem, &config, &x, &y0);
            assert!(
                distance(&aid, &itd) < 1e-6,
                "{solver:?} {}",
                distance(&aid, &itd)
            );
        }
    });
}

#[test]
fn the_outer_loss_is_that_of_the_problem() {
    fn check(problem: &impl InnerSlope<f64>, x: &[f64]) {
        let (p, d) = (problem.outer_dim(), problem.inner_dim());
        let y = painted::<f64>(d, 51);
        let products = Differences::new(problem);
        let mut scratch = vec![f64::NAN; products.scratch_len()];
        let (mut gx, mut gy) = (vec![f64::NAN; p], vec![f64::NAN; d]);
        let expected = problem
            .outer_gradients_into(Place::new(x, &y, &DRAW), &mut gx, &mut gy, &mut scratch)
            .unwrap();
        assert!(expected > 0.01);
        for found in [
            problem
                .outer_value(Place::new(x, &y, &DRAW), &mut scratch)
                .unwrap(),
            products
                .outer_value(Place::new(x, &y, &DRAW), &mut scratch)
                .unwrap(),
        ] {
            assert!((found / expected - 1.0).abs() < 1e-14);
        }
    }
    with_ridge(|problem, x| check(problem, x));
    with_representation(|problem, x| check(problem, x));
}
