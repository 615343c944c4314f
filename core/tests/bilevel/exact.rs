//! Closed forms, the exact gradient and its rivals, the limit of small radii.

use super::*;

#[test]
fn the_scalar_response_has_its_closed_form_at_every_radius() {
    // y^N = r y0 + (1 - r) (b/a) x; the coefficient along e_1 is (1 - r) (b/a) y^N.
    let (x, y0) = (0.7, -0.4);
    for steps in [1, 5, 40] {
        let r = (1.0 - 0.1 * TOY.a).powi(steps);
        let y = r * y0 + (1.0 - r) * TOY.b / TOY.a * x;
        let expected = (1.0 - r) * TOY.b / TOY.a * y;
        for radius in [1e-3, 1.0, 100.0] {
            for difference in [Difference::Forward, Difference::Central] {
                let config = Config {
                    radius,
                    difference,
                    direction: Direction::Basis,
                    ..Config::new(gd(steps as u64, 0.1))
                };
                let (h, value) = estimate::<f64>(&config, &TOY, &[x], &[y0]);
                assert!((h[0] - expected).abs() < 1e-11 * expected.abs(), "{radius}");
                assert!((value - y * y / 2.0).abs() < 1e-14);
                let (h, _) = estimate::<f32>(&config, &TOY, &[x as f32], &[y0 as f32]);
                assert!((f64::from(h[0]) - expected).abs() < 1e-3, "{radius}");
            }
        }
    }
}

#[test]
fn itd_is_the_derivative_of_the_whole_path() {
    fn check(problem: &impl SecondOrder<f64>, x: &[f64], alpha: f64) {
        let (p, d) = (problem.outer_dim(), problem.inner_dim());
        let (inner, y0) = (gd(7, alpha), painted::<f64>(d, 9));
        let h = itd_gradient(problem, &inner, x, &y0);
        let direct = Config {
            directions: 0,
            ..Config::new(inner)
        };
        let at = |j: usize, step: f64| {
            let mut x = x.to_vec();
            x[j] += step;
            estimate(&direct, problem, &x, &y0).1
        };
        // Fourth-order central differences.
        let e = 1e-3;
        let slopes: Vec<f64> = (0..p)
            .map(|j| {
                (8.0 * (at(j, e) - at(j, -e)) - (at(j, 2.0 * e) - at(j, -2.0 * e))) / (12.0 * e)
            })
            .collect();
        let off = distance(&slopes, &h);
        assert!(off < 1e-9, "{off}");
    }
    with_ridge(|problem, x| check(problem, x, 0.2));
    with_representation(|problem, x| check(problem, x, 0.1));
}

#[test]
fn basis_directions_reproduce_itd_and_errors_fall_as_the_order_says() {
    fn check(problem: &impl SecondOrder<f64>, x: &[f64], alpha: f64) {
        let (inner, y0) = (gd(7, alpha), painted::<f64>(problem.inner_dim(), 9));
        let exact = itd_gradient(problem, &inner, x, &y0);
        for (difference, rate) in [(Difference::Forward, 2.0), (Difference::Central, 4.0)] {
            let off = [2e-2, 1e-2].map(|radius| {
                let config = Config {
                    radius,
                    difference,
                    direction: Direction::Basis,
                    ..Config::new(inner)
                };
                distance(&estimate(&config, problem, x, &y0).0, &exact)
            });
            assert!(off[1] < 2e-2, "{off:?}");
            assert!((off[0] / off[1] / rate - 1.0).abs() < 0.1, "{off:?}");
        }
        // Differences of f along the basis hold its direct term, too.
        for way in [Estimate::Response, Estimate::OuterValue] {
            let fine = Config {
                radius: 1e-5,
                difference: Difference::Central,
                direction: Direction::Basis,
                estimate: way,
                ..Config::new(inner)
            };
            let off = distance(&estimate(&fine, problem, x, &y0).0, &exact);
            assert!(off < 1e-8, "{way:?}: {off}");
        }
    }
    with_ridge(|problem, x| check(problem, x, 0.2));
    with_representation(|problem, x| check(problem, x, 0.1));
}

#[test]
fn every_baseline_meets_the_exact_gradient_of_a_converged_inner_loop() {
    with_ridge(|problem, x| {
        let (inner, y0) = (gd(400, 0.3), vec![0.0; 12]);
        let exact = itd_gradient(problem, &inner, x, &y0);
        for (products, solver) in [
            (14, Solver::ConjugateGradients),
            (400, Solver::FixedPoint { step_size: 0.3 }),
        ] {
            let config = aid::Config {
                inner,
                products,
                solver,
            };
            let off = distance(&aid_gradient(problem, &config, x, &y0), &exact);
            assert!(off < 1e-10, "{solver:?}: {off}");
        }
    });
    with_representation(|problem, x| {
        let (inner, y0) = (gd(6000, 0.2), vec![0.0; 7]);
        let exact = itd_gradient(problem, &inner, x, &y0);
        let config = aid::Config {
            inner,
            products: 20,
            solver: Solver::ConjugateGradients,
        };
        let off = distance(&aid_gradient(problem, &config, x, &y0), &exact);
        assert!(off < 1e-8, "{off}");
    });
}

#[test]
fn the_fixed_point_on_the_path_of_one_step_is_itd() {
    // N = M = 1 from y^0: both are f_x - alpha d/dx <g_y, f_y>, ITD with the mixed term at y^0, AID at y^1. At a minimum
    // y^0 = y^1 they agree.
    with_ridge(|problem, x| {
        let mut w = vec![0.0; 12];
        let mut scratch = vec![0.0; 100];
        let round = Round { seed: 0, number: 0 };
        descent::run(&gd(500, 0.3), round, problem, x, &mut w, &mut scratch).unwrap();
        let config = aid::Config {
            inner: gd(1, 0.3),
            products: 1,
            solver: Solver::FixedPoint { step_size: 0.3 },
        };
        let exact = itd_gradient(problem, &gd(1, 0.3), x, &w);
        assert!(distance(&aid_gradient(problem, &config, x, &w), &exact) < 1e-12);
    });
}

#[test]
fn without_directions_steps_or_slope_the_direct_gradient_is_left_bit_for_bit() {
    let toy = Toy {
        n: 3,
        c: -0.0,
        ..TOY
    };
    let (x, y0) = (painted::<f64>(3, 5), [0.0; 3]);
    let none = Config {
        directions: 0,
        ..Config::new(gd(3, 0.1))
    };
    for direction in [
        Direction::Gaussian,
        Direction::UnitSphereTimesP,
        Direction::Basis,
    ] {
        // Q = 0; N = 0; f_y = 0, since y stays at 0 when b is 0.
        let flat = Toy { b: 0.0, ..toy };
        for (config, toy) in [
            (Config { direction, ..none }, &toy),
            (
                Config {
                    direction,
                    ..Config::new(gd(0, 0.1))
                },
                &toy,
            ),
            (
                Config {
                    direction,
                    ..Config::new(gd(3, 0.1))
                },
                &flat,
            ),
        ] {
            let (h, _) = estimate(&config, toy, &x, &y0);
            assert!(
                h.iter().all(|h| h.to_bits() == (-0.0_f64).to_bits()),
                "{h:?}"
            );
        }
    }
    let whole = Config {
        estimate: Estimate::OuterValue,
        ..none
    };
    let (h, _) = estimate(&whole, &Toy { c: 5.0, ..toy }, &x, &y0);
    assert_eq!(h, [5.0; 3]);
}

#[test]
fn hozog_differs_from_esj_by_the_radius_where_f_has_no_direct_term() {
    with_ridge(|problem, x| {
        let y0 = vec![0.0; 12];
        let gap = [1e-2, 1e-3, 1e-4].map(|radius| {
            let esj = Config {
                radius,
                directions: 5,
                ..Config::new(gd(20, 0.2))
            };
            let hozog = Config {
                estimate: Estimate::OuterValue,
                ..esj
            };
            let esj = estimate(&esj, problem, x, &y0).0;
            distance(&estimate(&hozog, problem, x, &y0).0, &esj) / radius
        });
        assert!(gap[0] > 1e-4, "the two are the same program: {gap:?}");
        assert!((gap[1] / gap[2] - 1.0).abs() < 0.02, "{gap:?}");
    });
}

#[test]
fn hozog_sees_the_direct_term_through_the_directions() {
    // f = c x + y^2/2 with N = 0: h = c u u^T 1, exact with basis directions.
    let config = Config {
        estimate: Estimate::OuterValue,
        direction: Direction::Basis,
        ..Config::new(gd(0, 0.1))
    };
    let (h, _) = estimate(
        &config,
        &Toy {
            n: 3,
            c: 5.0,
            ..TOY
        },
        &[0.25; 3],
        &[0.0; 3],
    );
    assert!(h.iter().all(|h| (h - 5.0).abs() < 1e-10), "{h:?}");
}

#[test]
fn memory_does_not_grow_with_steps_or_directions_but_that_of_itd_does() {
    let (few, many) = (
        Config::new(gd(10, 0.1)),
        Config {
            directions: 99,
            ..Config::new(gd(1000, 0.1))
        },
    );
    let len = |config| es_jacobian::scratch_len(config, 30, 20, 0);
    assert_eq!((len(&few), len(&many)), (170, 170)); // 4 d + 3 p
    assert_eq!(itd::scratch_len(1000, 30, 20, 0), Some(20 * 1003 + 60));
    assert_eq!(itd::scratch_len(u64::MAX, 30, 20, 0), None);
}

#[test]
fn descent_on_a_ridge_ends_at_its_normal_equations() {
    // (X^T X / n + e^l) w = X^T y / n with orthogonal features: 3 w_1 = 3, 3/2 w_2 = -1/2.
    let (features, targets) = ([2.0, 0.0, 0.0, 1.0], [3.0, -1.0]);
    let data = ridge::Data::new(MatrixRef::new(&features, 2, 2).unwrap(), &targets).unwrap();
    let problem = ridge::Problem::new(data, data).unwrap();
    let (mut w, mut scratch) = ([0.0; 2], [f64::NAN; 6]);
    let round = Round { seed: 0, number: 0 };
    let inner = gd(200, 0.3);
    descent::run(&inner, round, &problem, &[0.0; 2], &mut w, &mut scratch).unwrap();
    assert!(distance(&w, &[1.0, -1.0 / 3.0]) < 1e-14, "{w:?}");
    // Residuals -1 and 2/3.
    let value = problem.outer_value(Place::new(&[0.0; 2], &w, &round.outer()), &mut scratch);
    assert!((value.unwrap() - (1.0 + 4.0 / 9.0) / 4.0).abs() < 1e-14);
}

#[test]
fn a_direction_without_curvature_ends_the_conjugate_gradients() {
    // No training row has the second feature, and exp(-800) is 0: of f_y = (0, -1) the Hessian leaves nothing, v stays 0.
    let (train, validation) = ([1.0, 0.0], [0.0, 1.0]);
    let of = |row| ridge::Data::new(MatrixRef::new(row, 1, 2).unwrap(), &[1.0]).unwrap();
    let problem = ridge::Problem::new(of(&train), of(&validation)).unwrap();
    let config = aid::Config {
        inner: gd(1, 0.5),
        products: 3,
        solver: Solver::ConjugateGradients,
    };
    let h = aid_gradient(&problem, &config, &[0.0, -800.0], &[0.0; 2]);
    assert_eq!(h, [0.0; 2]);
}
