//! Which minibatch every second-order product sees, and the Neumann series of stocBiO.

use super::*;
use thalweg::bilevel::stoc_bio;

const ROUND: Round = Round { seed: 9, number: 5 };

/// The curvature that a draw names.
fn curvature(draw: &Draw) -> f64 {
    0.5 + random::uniform::<f64>(&mut draw.stream())
}

/// `g = a y^2 / 2 - b x y` and `f = (y - 2)^2 / 2` with `a` and `b` from the draw.
struct Drawn;

impl Problem<f64> for Drawn {
    fn outer_dim(&self) -> usize {
        1
    }
    fn inner_dim(&self) -> usize {
        1
    }
    fn scratch_len(&self) -> usize {
        0
    }
    fn inner_gradient_into(
        &self,
        at: Place<'_, f64>,
        grad: &mut [f64],
        _: &mut [f64],
    ) -> Result<(), Error> {
        let Place { x, y, draw } = at;
        let a = curvature(draw);
        grad[0] = a * y[0] - 2.0 * a * x[0];
        Ok(())
    }
    fn outer_value(&self, at: Place<'_, f64>, _: &mut [f64]) -> Result<f64, Error> {
        let Place { y, .. } = at;
        Ok((y[0] - 2.0).powi(2) / 2.0)
    }
    fn outer_gradients_into(
        &self,
        at: Place<'_, f64>,
        grad_x: &mut [f64],
        grad_y: &mut [f64],
        scratch: &mut [f64],
    ) -> Result<f64, Error> {
        let Place { x, y, draw } = at;
        (grad_x[0], grad_y[0]) = (0.0, y[0] - 2.0);
        self.outer_value(Place::new(x, y, draw), scratch)
    }
}

impl SecondOrder<f64> for Drawn {
    fn hessian_product_into(
        &self,
        at: Place<'_, f64>,
        v: &[f64],
        out: &mut [f64],
        _: &mut [f64],
    ) -> Result<(), Error> {
        let Place { draw, .. } = at;
        out[0] = curvature(draw) * v[0];
        Ok(())
    }
    fn mixed_product_into(
        &self,
        at: Place<'_, f64>,
        v: &[f64],
        out: &mut [f64],
        _: &mut [f64],
    ) -> Result<(), Error> {
        let Place { draw, .. } = at;
        out[0] = -2.0 * curvature(draw) * v[0];
        Ok(())
    }
}

/// y^N and f_y there, from y^0 = 0 by steps of 0.1.
fn end(x: f64, steps: u64) -> (f64, f64) {
    let y = (0..steps).fold(0.0, |y, t| {
        let a = curvature(&ROUND.inner(t));
        y - 0.1 * (a * y - 2.0 * a * x)
    });
    (y, y - 2.0)
}

#[test]
fn aid_takes_the_minibatch_after_those_of_the_inner_loop() {
    let (x, steps) = (0.7, 6);
    let (_, slope) = end(x, steps);
    let a = curvature(&ROUND.inner(steps));
    for (products, solver, v) in [
        (1, Solver::ConjugateGradients, slope / a),
        (
            2,
            Solver::FixedPoint { step_size: 0.5 },
            0.5 * slope * (2.0 - 0.5 * a),
        ),
    ] {
        let config = aid::Config {
            inner: gd(steps, 0.1),
            products,
            solver,
        };
        let (mut y, mut h, mut scratch) = ([0.0], [0.0], [0.0; 7]);
        aid::hypergradient(
            &config,
            ROUND,
            &Drawn,
            Variables { x: &[x], y: &mut y },
            &mut h,
            &mut scratch,
        )
        .unwrap();
        let expected = 2.0 * a * v;
        assert!(
            (h[0] / expected - 1.0).abs() < 1e-12,
            "{solver:?} {h:?} {expected}"
        );
    }
}

#[test]
fn every_product_of_the_series_sees_a_minibatch_that_no_other_sees() {
    let (x, steps, eta) = (0.7, 6, 0.4);
    let (y_n, slope) = end(x, steps);
    for products in [0, 1, 4] {
        let config = stoc_bio::Config {
            inner: gd(steps, 0.1),
            products,
            eta,
        };
        // eta sum_q prod_{j < q} (1 - eta a_j) f_y, and the mixed product on the last minibatch.
        let (mut term, mut v) = (slope, slope);
        for q in 0..products as u64 {
            term *= 1.0 - eta * curvature(&ROUND.inner(steps + q));
            v += term;
        }
        let last = curvature(&ROUND.inner(steps + products as u64));
        let (mut y, mut h, mut scratch) = ([0.0], [0.0], [0.0; 6]);
        let value = stoc_bio::hypergradient(
            &config,
            ROUND,
            &Drawn,
            Variables { x: &[x], y: &mut y },
            &mut h,
            &mut scratch,
        )
        .unwrap();
        let expected = 2.0 * last * eta * v;
        assert!((h[0] / expected - 1.0).abs() < 1e-12, "{h:?} {expected}");
        assert!((y[0] - y_n).abs() < 1e-15 && (value - slope * slope / 2.0).abs() < 1e-14);
    }
}

fn series(
    problem: &impl SecondOrder<f64>,
    config: &stoc_bio::Config,
    x: &[f64],
    y0: &[f64],
) -> Vec<f64> {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    let len = stoc_bio::scratch_len(config, p, d, problem.scratch_len());
    let (mut y, mut h, mut scratch) = (y0.to_vec(), vec![0.0; p], vec![f64::NAN; len]);
    stoc_bio::hypergradient(
        config,
        ROUND,
        problem,
        Variables { x, y: &mut y },
        &mut h,
        &mut scratch,
    )
    .unwrap();
    h
}

#[test]
fn on_a_ridge_with_orthogonal_columns_the_series_has_its_closed_form() {
    // X = diag(s): curvatures k_j = s_j^2 / n + e^{l_j}, w*_j = s_j y_j / (n k_j), f_w = s_j (s_j w_j - z_j) / n, and
    // h_j = -e^{l_j} w_j f_w (1 - (1 - eta k_j)^{Q + 1}) / k_j.
    let (s, t, z) = ([1.0, 2.0, 0.5], [1.0, -1.0, 2.0], [0.5, 1.5, -1.0]);
    let mut features = [0.0; 9];
    for (j, s) in s.into_iter().enumerate() {
        features[4 * j] = s;
    }
    let matrix = MatrixRef::new(&features, 3, 3).unwrap();
    let data = |targets| ridge::Data::new(matrix, targets).unwrap();
    let problem = ridge::Problem::new(data(&t), data(&z)).unwrap();
    let (l, eta) = ([0.0, -1.0, 0.5_f64], 0.3);
    for products in [0, 1, 5, 200] {
        let config = stoc_bio::Config {
            inner: gd(2000, 0.5),
            products,
            eta,
        };
        let found = series(&problem, &config, &l, &[0.0; 3]);
        for j in 0..3 {
            let penalty = l[j].exp();
            let k = s[j] * s[j] / 3.0 + penalty;
            let w = s[j] * t[j] / (3.0 * k);
            let slope = s[j] * (s[j] * w - z[j]) / 3.0;
            let share = 1.0 - (1.0 - eta * k).powi(products as i32 + 1);
            let expected = -penalty * w * slope * share / k;
            assert!((found[j] / expected - 1.0).abs() < 1e-9, "{products} {j}");
        }
    }
}

#[test]
fn on_all_rows_the_series_is_the_fixed_point_with_one_product_more() {
    with_ridge(|problem, x| {
        for products in [0, 3, 60] {
            let (inner, y0) = (gd(30, 0.2), vec![0.0; 12]);
            let eta = 0.25;
            let config = stoc_bio::Config {
                inner,
                products,
                eta,
            };
            let fixed = aid::Config {
                inner,
                products: products + 1,
                solver: Solver::FixedPoint { step_size: eta },
            };
            let expected = aid_gradient(problem, &fixed, x, &y0);
            assert!(distance(&series(problem, &config, x, &y0), &expected) < 1e-12);
        }
    });
}

#[test]
fn step_sizes_that_the_type_cannot_hold_are_refused() {
    for step_size in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-60, 1e39] {
        let (mut y, mut h, mut scratch) = ([1.0_f32], [7.0_f32], [0.0; 9]);
        let (data, target) = ([1.0_f32], [3.0]);
        let data = ridge::Data::new(MatrixRef::new(&data, 1, 1).unwrap(), &target).unwrap();
        let problem = ridge::Problem::new(data, data).unwrap();
        let (inner, products) = (gd(1, 0.1), 2);
        let config = stoc_bio::Config {
            inner,
            products,
            eta: step_size,
        };
        let error = stoc_bio::hypergradient(
            &config,
            ROUND,
            &problem,
            Variables {
                x: &[0.0],
                y: &mut y,
            },
            &mut h,
            &mut scratch,
        );
        assert!(error.unwrap_err().to_string().starts_with("`eta` must be"));
        let solver = Solver::FixedPoint { step_size };
        let config = aid::Config {
            inner,
            products,
            solver,
        };
        let error = aid::hypergradient(
            &config,
            ROUND,
            &problem,
            Variables {
                x: &[0.0],
                y: &mut y,
            },
            &mut h,
            &mut scratch,
        );
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("`step_size` must be"), "{text}");
        assert_eq!((y, h), ([1.0], [7.0]));
    }
}
