//! The radius in single and double precision, on the shallow hyper-representation with its published constants.

use super::*;

/// `(y^N(x + mu u) - y^N(x - mu u)) / (2 mu)`, or the forward form, computed in `T` as [`es_jacobian`] does.
fn response<T: Real>(mu: f64, difference: Difference) -> Vec<f64> {
    let normals = |n, phase| {
        let mut rng = random::stream(phase, 0, 0, Purpose::DATA);
        let draws = (0..n).map(|_| T::from_f64(random::normal(&mut rng)));
        draws.collect::<Vec<T>>()
    };
    let (rows, columns, features) = (500, 64, 128);
    let (a, x, y0) = (
        normals(rows * columns, 1),
        normals(columns * features, 2),
        normals(features, 3),
    );
    let (h_true, w_true, noise) = (
        normals(columns * features, 4),
        normals(features, 5),
        normals(rows, 6),
    );
    let weights: Vec<T> = h_true
        .chunks_exact(features)
        .map(|h| vector::dot(h, &w_true).unwrap())
        .collect();
    let targets: Vec<T> = a
        .chunks_exact(columns)
        .zip(noise)
        .map(|(row, e)| vector::dot(row, &weights).unwrap() + T::from_f64(0.1) * e)
        .collect();
    let matrix = MatrixRef::new(&a, rows, columns).unwrap();
    let data = ridge::Data::new(matrix, &targets).unwrap();
    let problem = hyper_representation::Problem::new(data, data, features, T::from_f64(0.1));
    let problem = problem.unwrap();
    let u = normals(columns * features, 7);
    let inner = gd(20, 1e-3);
    let own = descent::scratch_len(&inner, features);
    let mut scratch = vec![T::ZERO; own + problem.scratch_len()];
    let mut end = |mu: f64| {
        let (mut z, mut y) = (vec![T::ZERO; x.len()], y0.clone());
        vector::axpby_into(T::ONE, &x, T::from_f64(mu), &u, &mut z).unwrap();
        let round = Round { seed: 0, number: 0 };
        descent::run(&inner, round, &problem, &z, &mut y, &mut scratch).unwrap();
        y
    };
    let (plus, minus, width) = match difference {
        Difference::Forward => (end(mu), end(0.0), mu),
        Difference::Central => (end(mu), end(-mu), 2.0 * mu),
    };
    let quotients = plus.iter().zip(&minus);
    quotients
        .map(|(&p, &m)| ((p - m) / T::from_f64(width)).to_f64())
        .collect()
}

#[test]
fn errors_of_the_response_are_those_of_the_published_table() {
    // Relative errors forward in f64, forward in f32, central in f32, for other draws of data and direction: within a factor of 2.5
    // where the bias of the difference decides, and no more than 4 times as large where rounding does.
    let reference = response::<f64>(1e-4, Difference::Central);
    let off = |found: Vec<f64>| distance(&found, &reference);
    for (mu, wide, narrow, central) in [
        (1e-1, 1.1e-1, 1.1e-1, 1.4e-2),
        (1e-2, 1.1e-2, 1.1e-2, 1.5e-4),
        (1e-3, 1.1e-3, 1.1e-3, 6e-5),
        (3e-4, 3.3e-4, 5.8e-4, 2e-4),
        (1e-4, 1.1e-4, 1.2e-3, 8e-4),
        (1e-6, 1e-6, 1.1e-1, 7e-2),
    ] {
        let found = off(response::<f64>(mu, Difference::Forward));
        assert!((wide / 2.5..wide * 2.5).contains(&found), "{mu}: {found}");
        for (difference, expected) in [
            (Difference::Forward, narrow),
            (Difference::Central, central),
        ] {
            let found = off(response::<f32>(mu, difference));
            assert!(found < 4.0 * expected, "{mu} {difference:?}: {found}");
            if mu >= 1e-2 {
                assert!(found > expected / 2.5, "{mu} {difference:?}: {found}");
            }
        }
    }
    // Why radii of 1e-6 and less are refused in f32.
    assert!(off(response::<f32>(1e-6, Difference::Forward)) > 0.02);
}

#[test]
fn f32_resolves_the_response_of_the_representation_at_the_default_radius() {
    // The table of the publication's constants: at mu = 1e-2 single precision adds little to the bias of the difference.
    with_representation(|problem, x| {
        let ((a, b), (c, e)) = (rows(30, 5, 1), rows(25, 5, 2));
        let narrow = |v: &[f64]| v.iter().map(|&v| v as f32).collect::<Vec<f32>>();
        let (a, b, c, e) = (narrow(&a), narrow(&b), narrow(&c), narrow(&e));
        let inner = ridge::Data::new(MatrixRef::new(&a, 30, 5).unwrap(), &b).unwrap();
        let outer = ridge::Data::new(MatrixRef::new(&c, 25, 5).unwrap(), &e).unwrap();
        let single = hyper_representation::Problem::new(inner, outer, 7, 0.1).unwrap();
        let config = Config {
            direction: Direction::Basis,
            difference: Difference::Central,
            ..Config::new(gd(7, 0.1))
        };
        let y0 = painted::<f64>(7, 9);
        let wide = estimate(&config, problem, x, &y0).0;
        let narrow_h = estimate(&config, &single, &narrow(x), &narrow(&y0)).0;
        let widened: Vec<f64> = narrow_h.iter().map(|&v| f64::from(v)).collect();
        let off = distance(&widened, &wide);
        assert!(off < 1e-3, "{off}");
    });
}

/// `g = (y_1^2 + 2 y_2^2) / 2 - x y`, `f = c y`: y* = A^-1 x, and the hypergradient is A^-1 c, that is (c_1, c_2 / 2).
struct Slight<T>([T; 2]);

impl<T: Real> Problem<T> for Slight<T> {
    fn outer_dim(&self) -> usize {
        2
    }
    fn inner_dim(&self) -> usize {
        2
    }
    fn scratch_len(&self) -> usize {
        0
    }
    fn inner_gradient_into(
        &self,
        at: Place<'_, T>,
        grad: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, .. } = at;
        (grad[0], grad[1]) = (y[0] - x[0], y[1] + y[1] - x[1]);
        Ok(())
    }
    fn outer_value(&self, at: Place<'_, T>, _: &mut [T]) -> Result<T, Error> {
        let Place { y, .. } = at;
        vector::dot(&self.0, y)
    }
    fn outer_gradients_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let Place { x, y, draw } = at;
        grad_x.fill(T::ZERO);
        grad_y.copy_from_slice(&self.0);
        self.outer_value(Place::new(x, y, draw), scratch)
    }
}

impl<T: Real> SecondOrder<T> for Slight<T> {
    fn hessian_product_into(
        &self,
        _: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        (out[0], out[1]) = (v[0], v[1] + v[1]);
        Ok(())
    }
    fn mixed_product_into(
        &self,
        _: Place<'_, T>,
        v: &[T],
        out: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        (out[0], out[1]) = (-v[0], -v[1]);
        Ok(())
    }
}

#[test]
fn conjugate_gradients_solve_for_slopes_whose_squares_underflow() {
    fn check<T: Real>(size: f64, tolerance: f64) {
        let c = [T::from_f64(size), T::from_f64(-3.0 * size)];
        let config = aid::Config {
            inner: gd(1, 0.5),
            products: 2,
            solver: Solver::ConjugateGradients,
        };
        let (mut y, mut h, mut scratch) = ([T::ZERO; 2], [T::NAN; 2], [T::NAN; 14]);
        let round = Round { seed: 0, number: 0 };
        let x = [T::ONE; 2];
        aid::hypergradient(
            &config,
            round,
            &Slight(c),
            Variables { x: &x, y: &mut y },
            &mut h,
            &mut scratch,
        )
        .unwrap();
        for (found, expected) in h.iter().zip([c[0], T::from_f64(0.5) * c[1]]) {
            let (found, expected) = (found.to_f64(), expected.to_f64());
            assert!(
                (found / expected - 1.0).abs() < tolerance,
                "{size:e}: {found:e} against {expected:e}"
            );
        }
    }
    for exponent in [0, 9, 10, 13, 15, 18, 19, 20, 22, 23, 25, 30, 37] {
        check::<f32>(10.0_f64.powi(-exponent), 1e-6);
    }
    // A subnormal slope has fewer digits.
    check::<f32>(1e-42, 2e-3);
    for exponent in [100, 138, 140, 154, 160, 162, 170, 250, 307] {
        check::<f64>(10.0_f64.powi(-exponent), 1e-14);
    }
}
