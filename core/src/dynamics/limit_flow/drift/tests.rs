use super::*;
use crate::dynamics::label_noise::Sparse;
use crate::dynamics::limit_flow::{
    follow_gradient_flow, gradient_flow_scratch_len, hutchinson_trace, retract, retract_scratch_len,
};
use crate::dynamics::tests::{SHAPE, START, assert_close, data, golden, labels, levels};
use crate::random::{self, Purpose};
use std::vec;
use std::vec::Vec;

mod circle;
mod edges;

/// `|F|^2 / 2` of a quadratic map from 4 to 2 dimensions: `F_m = <b_m, x> + <x, Q_m x> / 2 - c_m`.
#[derive(Clone)]
struct Map {
    b: [[f64; 4]; 2],
    q: [[[f64; 4]; 4]; 2],
    c: [f64; 2],
}

impl Map {
    fn random(seed: u64) -> Self {
        let mut rng = random::stream(seed, 0, 0, Purpose::DATA);
        let mut draw = |size: f64| size * random::normal::<f64>(&mut rng);
        let b = [(); 2].map(|()| [(); 4].map(|()| draw(1.0)));
        let mut q = [(); 2].map(|()| [(); 4].map(|()| [(); 4].map(|()| draw(0.2))));
        for q in &mut q {
            for i in 0..4 {
                for j in 0..i {
                    q[i][j] = q[j][i];
                }
            }
        }
        Self {
            b,
            q,
            c: [draw(0.3), draw(0.3)],
        }
    }

    fn jacobian(&self, x: &[f64]) -> [[f64; 4]; 2] {
        let mut j = self.b;
        for (j, q) in j.iter_mut().zip(&self.q) {
            for (j, q) in j.iter_mut().zip(q) {
                *j += q.iter().zip(x).map(|(q, x)| q * x).sum::<f64>();
            }
        }
        j
    }

    fn residual(&self, x: &[f64]) -> [f64; 2] {
        let half = |m: usize| {
            let quadratic = self.q[m].iter().zip(x).map(|(row, xi)| {
                let inner = row.iter().zip(x).map(|(q, x)| q * x).sum::<f64>();
                0.5 * xi * inner
            });
            let linear = self.b[m].iter().zip(x).map(|(b, x)| b * x);
            linear.chain(quadratic).sum::<f64>() - self.c[m]
        };
        [half(0), half(1)]
    }
}

impl SmoothLoss<f64> for Map {
    fn dim(&self) -> usize {
        4
    }

    fn gradient_into(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), Error> {
        let (j, f) = (self.jacobian(x), self.residual(x));
        for (i, out) in out.iter_mut().enumerate() {
            *out = f[0] * j[0][i] + f[1] * j[1][i];
        }
        Ok(())
    }

    fn hessian_into(&mut self, x: &[f64], mut out: MatrixMut<'_, f64>) -> Result<(), Error> {
        let (j, f) = (self.jacobian(x), self.residual(x));
        for (i, row) in out.row_iter_mut().enumerate() {
            for (k, out) in row.iter_mut().enumerate() {
                *out = (0..2)
                    .map(|m| j[m][i] * j[m][k] + f[m] * self.q[m][i][k])
                    .sum();
            }
        }
        Ok(())
    }
}

/// `Phi(x)`.
fn phi(map: &mut Map, x: [f64; 4]) -> [f64; 4] {
    let mut x = x;
    let mut scratch = [0.0; gradient_flow_scratch_len(4)];
    follow_gradient_flow(map, &mut x, 0.01, 1e-14, 100_000, &mut scratch).unwrap();
    x
}

fn along(x: [f64; 4], h: f64, v: [f64; 4]) -> [f64; 4] {
    core::array::from_fn(|i| x[i] + h * v[i])
}

/// A point on the manifold, and its basis's memory.
fn point(map: &mut Map) -> [f64; 4] {
    let x = phi(map, [0.3, -0.2, 0.1, 0.4]);
    assert!(map.residual(&x).iter().all(|f| f.abs() < 1e-13));
    x
}

const DIRECTIONS: [[f64; 4]; 4] = [
    [1.0, 0.0, 0.0, 0.0],
    [0.5, -0.5, 0.5, 0.5],
    [0.0, 0.6, 0.8, 0.0],
    [0.1, 0.7, -0.1, 0.7],
];

#[test]
fn the_first_derivative_of_phi_is_the_tangent_projection() {
    for seed in [1, 2, 3] {
        let mut map = Map::random(seed);
        let x = point(&mut map);
        let mut memory = [0.0; basis_len(4)];
        let basis = HessianBasis::new(&mut map, &x, &mut memory).unwrap();
        assert_eq!(basis.rank(), 2);
        for v in DIRECTIONS {
            let (a, b) = (
                phi(&mut map, along(x, 1e-4, v)),
                phi(&mut map, along(x, -1e-4, v)),
            );
            let found: [f64; 4] = core::array::from_fn(|i| (a[i] - b[i]) / 2e-4);
            let mut expected = [0.0; 4];
            basis.tangent_into(&v, &mut expected).unwrap();
            assert_close(&found, &expected, 1e-7);
        }
    }
}

#[test]
fn the_second_derivative_of_phi_is_the_difference_of_phi() {
    for seed in [1, 2, 3] {
        let mut map = Map::random(seed);
        let x = point(&mut map);
        let mut memory = [0.0; basis_len(4)];
        let basis = HessianBasis::new(&mut map, &x, &mut memory).unwrap();
        let mut most = 0.0_f64;
        for v in DIRECTIONS {
            let h = 3e-3;
            let (a, b) = (
                phi(&mut map, along(x, h, v)),
                phi(&mut map, along(x, -h, v)),
            );
            let expected: [f64; 4] = core::array::from_fn(|i| (a[i] - 2.0 * x[i] + b[i]) / (h * h));
            let outer: Vec<f64> = v.iter().flat_map(|a| v.map(|b| a * b)).collect();
            let noise = Noise::Covariance(MatrixRef::new(&outer, 4, 4).unwrap());
            let (mut scratch, mut found) = ([0.0; drift_scratch_len(4)], [0.0; 4]);
            second_derivative_into(&mut map, &x, &basis, noise, &mut found, &mut scratch).unwrap();
            assert_close(&found, &expected, 1e-3);
            most = expected.iter().fold(most, |m, x| m.max(x.abs()));
        }
        assert!(most > 0.05, "the second derivative must be felt: {most}");
    }
}

/// Central differences of a function of four numbers.
fn gradient(f: impl Fn([f64; 4]) -> f64, x: [f64; 4]) -> [f64; 4] {
    core::array::from_fn(|i| {
        let mut v = [0.0; 4];
        v[i] = 1.0;
        (f(along(x, 1e-5, v)) - f(along(x, -1e-5, v))) / 2e-5
    })
}

#[test]
fn the_drifts_of_label_and_normal_noise_descend_the_trace_and_the_logarithm_of_the_determinant() {
    for seed in [1, 2, 3] {
        let mut map = Map::random(seed);
        let x = point(&mut map);
        let mut memory = [0.0; basis_len(4)];
        let basis = HessianBasis::new(&mut map, &x, &mut memory).unwrap();
        let (mut scratch, mut found) = ([0.0; drift_scratch_len(4)], [0.0; 4]);
        let mut expected = [0.0; 4];

        let other = map.clone();
        let gram = |x: [f64; 4], a: usize, b: usize| {
            let j = other.jacobian(&x);
            (0..4).map(|i| j[a][i] * j[b][i]).sum::<f64>()
        };
        let trace = gradient(|x| gram(x, 0, 0) + gram(x, 1, 1), x);
        basis
            .tangent_into(&trace.map(|g| -0.25 * g), &mut expected)
            .unwrap();
        drift_into(
            &mut map,
            &x,
            &basis,
            Noise::Label(1.0),
            &mut found,
            &mut scratch,
        )
        .unwrap();
        assert_close(&found, &expected, 1e-8);
        // The same through a covariance.
        let mut hess = [0.0; 16];
        map.hessian_into(&x, MatrixMut::new(&mut hess, 4, 4).unwrap())
            .unwrap();
        let noise = Noise::Covariance(MatrixRef::new(&hess, 4, 4).unwrap());
        drift_into(&mut map, &x, &basis, noise, &mut found, &mut scratch).unwrap();
        assert_close(&found, &expected, 1e-8);

        let log = |x| (gram(x, 0, 0) * gram(x, 1, 1) - gram(x, 0, 1).powi(2)).ln();
        basis
            .tangent_into(&gradient(log, x).map(|g| -0.25 * g), &mut expected)
            .unwrap();
        let mut normal = [0.0; 16];
        for (i, row) in normal.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let unit: [f64; 4] = core::array::from_fn(|j| f64::from(u8::from(i == j)));
            basis.tangent_into(&unit, row).unwrap();
            *row = core::array::from_fn(|j| unit[j] - row[j]);
        }
        let noise = Noise::Covariance(MatrixRef::new(&normal, 4, 4).unwrap());
        drift_into(&mut map, &x, &basis, noise, &mut found, &mut scratch).unwrap();
        assert_close(&found, &expected, 1e-8);
        assert!(expected.iter().any(|x| x.abs() > 1e-2));
    }
}

/// `h(a) b^2 / 2` with `h(a) = 1 + a^2`.
struct Valley;
impl<T: Real> SmoothLoss<T> for Valley {
    fn dim(&self) -> usize {
        2
    }
    fn gradient_into(&mut self, x: &[T], out: &mut [T]) -> Result<(), Error> {
        let [a, b] = [x[0], x[1]];
        out.copy_from_slice(&[a * b * b, (T::ONE + a * a) * b]);
        Ok(())
    }
    fn hessian_into(&mut self, x: &[T], out: MatrixMut<'_, T>) -> Result<(), Error> {
        let [a, b] = [x[0], x[1]];
        let mixed = (T::ONE + T::ONE) * a * b;
        out.into_data()
            .copy_from_slice(&[b * b, mixed, mixed, T::ONE + a * a]);
        Ok(())
    }
}

fn valley<T: Real>(tolerance: f64) {
    let x = [T::from_f64(0.75), T::ZERO];
    let mut memory = [T::ZERO; basis_len(2)];
    let basis = HessianBasis::new(&mut Valley, &x, &mut memory).unwrap();
    let (mut scratch, mut out) = ([T::ZERO; drift_scratch_len(2)], [T::ZERO; 2]);
    let c = T::from_f64(2.0);
    drift_into(
        &mut Valley,
        &x,
        &basis,
        Noise::Isotropic(c),
        &mut out,
        &mut scratch,
    )
    .unwrap();
    // -c h' / (4 h), h' = 2 a
    assert_close(&out, &[-2.0 * 1.5 / (4.0 * 1.5625), 0.0], tolerance);
    drift_into(
        &mut Valley,
        &x,
        &basis,
        Noise::Label(c),
        &mut out,
        &mut scratch,
    )
    .unwrap();
    assert_close(&out, &[-2.0 * 1.5 / 4.0, 0.0], tolerance);
}

#[test]
fn the_drift_in_a_valley_has_its_closed_form() {
    valley::<f64>(1e-9);
    valley::<f32>(2e-3);
}

/// A sparse problem whose third derivative is differenced.
struct Differenced<'a, T>(Sparse<'a, T>);
impl<T: Real> SmoothLoss<T> for Differenced<'_, T> {
    fn dim(&self) -> usize {
        SmoothLoss::dim(&self.0)
    }
    fn gradient_into(&mut self, x: &[T], out: &mut [T]) -> Result<(), Error> {
        self.0.gradient_into(x, out)
    }
    fn hessian_into(&mut self, x: &[T], out: MatrixMut<'_, T>) -> Result<(), Error> {
        self.0.hessian_into(x, out)
    }
}

#[test]
fn derivatives_of_the_sparse_model_are_differences_of_one_another() {
    let [n, d] = SHAPE;
    let (z, y) = (data::<f64>(), labels::<f64>());
    let mut problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    let mut gradient = [0.0; 12];
    problem.gradient_into(&START, &mut gradient).unwrap();
    let mut hess = [0.0; 144];
    problem
        .hessian_into(&START, MatrixMut::new(&mut hess, 12, 12).unwrap())
        .unwrap();
    for i in 0..12 {
        let moved = |h: f64| {
            let mut x = START;
            x[i] += h;
            x
        };
        let slope =
            (problem.loss(&moved(1e-5)).unwrap() - problem.loss(&moved(-1e-5)).unwrap()) / 2e-5;
        assert_close(&[slope], &[gradient[i]], 1e-8);
        let (mut a, mut b) = ([0.0; 12], [0.0; 12]);
        problem.gradient_into(&moved(1e-5), &mut a).unwrap();
        problem.gradient_into(&moved(-1e-5), &mut b).unwrap();
        let column: [f64; 12] = core::array::from_fn(|j| (a[j] - b[j]) / 2e-5);
        assert_close(&column, &hess[12 * i..][..12], 1e-8);
    }
    // Any symmetric S.
    let s: Vec<f64> = (0..144)
        .map(|k| {
            let (i, j) = (k / 12, k % 12);
            ((i * j + i + j) % 7) as f64 - 3.0
        })
        .collect();
    let s = MatrixRef::new(&s, 12, 12).unwrap();
    let (mut found, mut expected) = ([0.0; 12], [0.0; 12]);
    let mut scratch = [0.0; 156];
    problem
        .third_into(&START, s, &mut found, &mut scratch)
        .unwrap();
    Differenced(problem)
        .third_into(&START, s, &mut expected, &mut scratch)
        .unwrap();
    assert_close(&found, &expected, 1e-8);
    assert!(found.iter().all(|x| *x != 0.0));
}

#[test]
fn the_trace_is_that_of_the_hessian_on_exact_fits_and_of_random_signs() {
    let [n, d] = SHAPE;
    let (z, y) = (data::<f64>(), labels::<f64>());
    let mut problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    let x = golden("limit 0.25");
    let mut hess = [0.0; 144];
    problem
        .hessian_into(&x, MatrixMut::new(&mut hess, 12, 12).unwrap())
        .unwrap();
    let hess = MatrixRef::new(&hess, 12, 12).unwrap();
    let exact = matrix::trace(hess).unwrap();
    let formula = problem.trace(&x).unwrap();
    assert!((formula / exact - 1.0).abs() < 1e-9, "{formula} {exact}");
    let mut rng = random::stream(1, 0, 0, Purpose::DIRECTION);
    let product = |s: &[f64], out: &mut [f64]| matrix::gemv(1.0, hess, s, 0.0, out);
    let (mut signs, mut out) = ([0.0; 12], [0.0; 12]);
    let found = hutchinson_trace(product, 4000, &mut signs, &mut out, &mut rng).unwrap();
    assert!(
        (found.mean - exact).abs() < 4.0 * found.error,
        "{found:?} {exact}"
    );
    assert!(found.error < 0.05 * exact);
}

fn walk<T: Real>(dt: f64, tolerance: f64) {
    let [n, d] = SHAPE;
    let (z, y) = (data::<T>(), labels::<T>());
    let mut problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    let mut x: Vec<T> = golden("limit 0.0").into_iter().map(T::from_f64).collect();
    let mut scratch = vec![T::ZERO; step_scratch_len(12)];
    for _ in 0..(0.25 / dt) as usize {
        step(
            &mut problem,
            &mut x,
            Noise::Label(T::ONE),
            dt,
            &[],
            &mut scratch,
        )
        .unwrap();
    }
    assert!(problem.loss(&x).unwrap() < 1e-10);
    assert_close(&x, &golden("limit 0.25"), tolerance);
}

#[test]
fn euler_steps_of_the_general_drift_follow_the_exact_limit() {
    walk::<f64>(1.0 / 256.0, 1.5e-2);
    // A quarter of the step, a quarter of the error.
    walk::<f64>(1.0 / 1024.0, 4e-3);
    walk::<f32>(1.0 / 256.0, 1.5e-2);
}

#[test]
fn an_increment_moves_along_the_manifold_only() {
    let mut map = Map::random(1);
    let x = point(&mut map);
    let mut memory = [0.0; basis_len(4)];
    let basis = HessianBasis::new(&mut map, &x, &mut memory).unwrap();
    let increment = DIRECTIONS[1].map(|v| 1e-3 * v);
    let mut tangent = [0.0; 4];
    basis.tangent_into(&increment, &mut tangent).unwrap();
    let mut moved = x;
    let mut scratch = [0.0; step_scratch_len(4)];
    step(
        &mut map,
        &mut moved,
        Noise::Isotropic(1.0),
        0.0,
        &increment,
        &mut scratch,
    )
    .unwrap();
    assert!(map.residual(&moved).iter().all(|f| f.abs() < 1e-14));
    let expected: [f64; 4] = core::array::from_fn(|i| x[i] + tangent[i]);
    // Curvature of the manifold, second order in the increment.
    assert_close(&moved, &expected, 2e-6);
    assert!(vector::norm2(&tangent) > 1e-4);
}

#[test]
fn every_level_gives_the_same_bits() {
    let [n, d] = SHAPE;
    let (z, y) = (data::<f32>(), labels::<f32>());
    let mut problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    let start: Vec<f32> = golden("limit 0.0").into_iter().map(|x| x as f32).collect();
    levels(|| {
        let mut x = start.clone();
        let mut scratch = vec![0.0; step_scratch_len(12)];
        for _ in 0..5 {
            step(
                &mut problem.clone(),
                &mut x,
                Noise::Isotropic(1.0),
                0.01,
                &[],
                &mut scratch,
            )
            .unwrap();
        }
        x.iter().map(|x| x.to_bits()).collect()
    });
    let mut out = [0.0; 12];
    problem.gradient_into(&start, &mut out).unwrap();
}

#[test]
fn wrong_lengths_and_flows_without_end_are_named() {
    let mut x = [0.75_f64, 0.5];
    let mut memory = [0.0; basis_len(2)];
    assert!(HessianBasis::new(&mut Valley, &x, &mut memory[1..]).is_err());
    let basis = HessianBasis::new(&mut Valley, &x, &mut memory).unwrap();
    let mut out = [0.0; 2];
    let noise = Noise::Label(1.0);
    let mut scratch = [0.0; step_scratch_len(2)];
    assert!(drift_into(&mut Valley, &x[..1], &basis, noise, &mut out, &mut scratch).is_err());
    assert!(drift_into(&mut Valley, &x, &basis, noise, &mut out, &mut scratch[..17]).is_err());
    let wide = MatrixRef::new(&[0.0; 6], 2, 3).unwrap();
    let noise = Noise::Covariance(wide);
    assert!(drift_into(&mut Valley, &x, &basis, noise, &mut out, &mut scratch).is_err());
    let error = follow_gradient_flow(&mut Valley, &mut x, 0.1, 0.0, 7, &mut scratch).unwrap_err();
    assert_eq!(
        error,
        Error::NoConvergence {
            name: "gradient flow",
            iterations: 7
        }
    );
    let mut x = [f64::NAN, 1.0];
    let error = follow_gradient_flow(&mut Valley, &mut x, 0.1, 0.0, 7, &mut scratch).unwrap_err();
    assert!(matches!(
        error,
        Error::NonFinite {
            at: crate::At::Step(0),
            ..
        }
    ));
    assert!(
        step(
            &mut Valley,
            &mut x,
            Noise::Label(1.0),
            f64::NAN,
            &[],
            &mut scratch
        )
        .is_err()
    );
}

/// The flow of `(u u - v v - 1)^2 / 2` keeps `u v`; classical Runge-Kutta loses of it the fourth power of its step.
#[test]
fn the_gradient_flow_is_of_fourth_order() {
    let problem = Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1).unwrap(), &[1.0]).unwrap();
    let error = |dt: f64| {
        let mut x = [1.5, 0.75];
        let mut scratch = [0.0; gradient_flow_scratch_len(2)];
        follow_gradient_flow(
            &mut problem.clone(),
            &mut x,
            dt,
            1e-13,
            10_000,
            &mut scratch,
        )
        .unwrap();
        (x[0] * x[1] - 1.125).abs()
    };
    let [coarse, middle, fine] = [0.04, 0.02, 0.01].map(error);
    for ratio in [coarse / middle, middle / fine] {
        assert!((14.0..19.0).contains(&ratio), "{coarse} {middle} {fine}");
    }
    assert!(fine < 1e-7, "{fine}");
}

/// Near the valley `b = 0` the Hessian has full rank, `b^2 (1 - 3 a^2)`: a Newton step of that rank moves `a` by `a (1 + a^2) / (1 - 3 a^2)`
/// whatever `b` is; of rank 1, by the square of `b`.
#[test]
fn a_retraction_keeps_to_the_rank_of_the_manifold() {
    let (a, b) = (0.3, 1e-2);
    let mut x = [a, b];
    let mut scratch = [0.0; retract_scratch_len(2)];
    let left = retract(&mut Valley, &mut x, 1, 1e-14, 20, &mut scratch).unwrap();
    assert!(left <= 1e-14 && x[1].abs() < 1e-13);
    assert!((x[0] - a).abs() < b * b, "{x:?}");
    let mut memory = [0.0; basis_len(2)];
    let basis = HessianBasis::new(&mut Valley, &[a, b], &mut memory).unwrap();
    assert_eq!((basis.rank(), basis.with_rank(1).rank()), (2, 1));
    let mut out = [0.0; 2];
    basis
        .with_rank(0)
        .tangent_into(&[1.0, -2.0], &mut out)
        .unwrap();
    assert_close(&out, &[1.0, -2.0], 1e-15);
}

#[test]
fn ways_to_the_manifold_that_fail_leave_the_place() {
    let start = [0.75_f64, 0.5];
    let mut x = start;
    let mut scratch = [0.0; retract_scratch_len(2)];
    // Steps far too long, then too few.
    for (dt, most) in [(1e3, 100), (1e-3, 5)] {
        assert!(follow_gradient_flow(&mut Valley, &mut x, dt, 0.0, most, &mut scratch).is_err());
        assert_eq!(x, start);
    }
    let mut far = [1e200, 1e200];
    let error = retract(&mut Valley, &mut far, 1, 0.0, 5, &mut scratch).unwrap_err();
    assert!(matches!(error, Error::NonFinite { .. }), "{error:?}");
    assert_eq!(far, [1e200, 1e200]);
}
