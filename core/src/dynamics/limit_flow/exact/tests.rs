use super::*;
use crate::dynamics::label_noise::{self, State};
use crate::dynamics::tests::{SHAPE, START, assert_close, data, golden, labels, levels};
use crate::random::{self, Purpose};
use std::vec;
use std::vec::Vec;

fn limit_matches<T: Real>(tolerance: f64) {
    let [n, d] = SHAPE;
    let (z, y) = (data::<T>(), labels::<T>());
    let problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    let mut scratch = vec![T::ZERO; exact_scratch_len(n, d)];
    let start = START.map(T::from_f64);
    let buffer = [T::ZERO; exact_len(SHAPE[0], SHAPE[1])];
    let mut limit = Exact::new(&problem, &start, buffer, &mut scratch).unwrap();
    assert_eq!(limit.params(), start);
    // The clock runs delta^2 = 1/4 as fast.
    let config = Config {
        noise: 0.5,
        ..Config::default()
    };
    for (dt, name) in [(0.0, "0.0"), (1.0, "0.25"), (2.0, "0.75")] {
        limit.advance(&config, &problem, dt, &mut scratch).unwrap();
        let expected = golden(&std::format!("limit {name}"));
        assert_close(limit.params(), &expected, tolerance);
    }
    assert_eq!(limit.clock(), 0.75);
}

#[test]
fn the_limit_from_a_general_start_matches_scipy() {
    limit_matches::<f64>(2e-10);
    limit_matches::<f32>(2e-5);
}

/// Normal data, labels of a signal with `kappa` signs.
fn problem(n: usize, d: usize, kappa: usize) -> [Vec<f64>; 3] {
    let mut rng = random::stream(21, 0, 0, Purpose::DATA);
    let z: Vec<f64> = (0..n * d).map(|_| random::normal(&mut rng)).collect();
    let w: Vec<f64> = (0..d)
        .map(|j| match (j < kappa, j % 2) {
            (true, 0) => 1.0,
            (true, _) => -1.0,
            _ => 0.0,
        })
        .collect();
    let y = z.chunks(d).map(|row| vector::dot(row, &w).unwrap());
    [z.clone(), y.collect(), w]
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    (vector::squared_distance(a, b).unwrap() / vector::norm2_squared(b)).sqrt()
}

#[test]
fn from_a_large_start_time_zero_is_the_smallest_norm_and_late_times_are_the_sparse_signal() {
    const N: usize = 20;
    const D: usize = 40;
    let (n, d) = (N, D);
    let [z, y, w_star] = problem(n, d, 2);
    let view = MatrixRef::new(&z, n, d).unwrap();
    let problem = Sparse::new(view, &y).unwrap();
    let mut scratch = vec![0.0; exact_scratch_len(n, d)];
    let buffer = [0.0; exact_len(N, D)];
    let large = vec![50.0; 2 * d];
    let mut limit = Exact::new(&problem, &large, buffer, &mut scratch).unwrap();
    limit
        .advance(&Config::default(), &problem, 0.0, &mut scratch)
        .unwrap();
    let mut w = vec![0.0; d];
    problem.signal_into(limit.params(), &mut w).unwrap();
    // Z^T (Z Z^T)^-1 y.
    let mut gram = vec![0.0; n * n];
    let exact = crate::Arithmetic::Portable;
    let out = MatrixMut::new(&mut gram, n, n).unwrap();
    matrix::gemm(exact, 1.0, view, view.t(), 0.0, out, &mut []).unwrap();
    matrix::cholesky(MatrixMut::new(&mut gram, n, n).unwrap()).unwrap();
    let mut dual = y.clone();
    matrix::cholesky_solve_vector(MatrixRef::new(&gram, n, n).unwrap(), &mut dual).unwrap();
    let mut least = vec![0.0; d];
    matrix::gemv_transposed(1.0, view, &dual, 0.0, &mut least).unwrap();
    assert!(distance(&w, &least) < 1e-5, "{}", distance(&w, &least));
    assert!(distance(&least, &w_star) > 0.3);

    let mut limit = Exact::new(&problem, &vec![1.0; 2 * d], buffer, &mut scratch).unwrap();
    limit
        .advance(&Config::default(), &problem, 12.0, &mut scratch)
        .unwrap();
    problem.signal_into(limit.params(), &mut w).unwrap();
    // Off the support |w_j| falls like exp(-4 m_j t (1 - |c_j|)), where |c_j| < 1 is the dual certificate of the 1-norm:
    // exp(-24) already for |c_j| = 1/2.
    assert!(distance(&w, &w_star) < 1e-8, "{}", distance(&w, &w_star));
}

#[test]
fn sgd_with_small_steps_stays_near_the_limit_of_a_general_start() {
    let (n, d) = (40, 100);
    let [z, y, _] = problem(n, d, 5);
    let problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    let mut rng = random::stream(22, 0, 0, Purpose::INIT);
    let start: Vec<f64> = (0..2 * d)
        .map(|_| {
            let size = 0.5 + random::uniform::<f64>(&mut rng);
            size * random::rademacher::<f64>(&mut rng)
        })
        .collect();
    let mut scratch = vec![0.0; exact_scratch_len(n, d)];
    let buffer = [0.0; exact_len(40, 100)];
    let mut limit = Exact::new(&problem, &start, buffer, &mut scratch).unwrap();
    limit
        .advance(&Config::default(), &problem, 1.0, &mut scratch)
        .unwrap();
    let config = label_noise::Config::new(5e-4);
    let mut state = State::from_params(<[f64; 200]>::try_from(&start[..]).unwrap());
    let mut rng = random::stream(23, 0, 0, Purpose::NOISE);
    label_noise::run(&config, &problem, &mut state, config.steps(1.0), &mut rng).unwrap();
    let (mut w, mut v) = (vec![0.0; d], vec![0.0; d]);
    problem.signal_into(state.params(), &mut w).unwrap();
    problem.signal_into(limit.params(), &mut v).unwrap();
    // Published for one draw: 0.061.
    assert!(distance(&w, &v) < 0.15, "{}", distance(&w, &v));
    problem.signal_into(&start, &mut w).unwrap();
    assert!(distance(&w, &v) > 1.0);
    let same_signs = limit.params().iter().zip(&start);
    assert!(same_signs.clone().all(|(x, start)| x * start > 0.0));
}

#[test]
fn consistent_data_with_more_samples_than_dimensions_are_solved() {
    let z = [1.0_f64, 2.0, 0.0, 1.0, 3.0, -1.0, 2.0, 2.0, -1.0, 0.5];
    let y: Vec<f64> = z.chunks(2).map(|row| 2.0 * row[0] - row[1]).collect();
    let problem = Sparse::new(MatrixRef::new(&z, 5, 2).unwrap(), &y).unwrap();
    let mut scratch = [0.0; exact_scratch_len(5, 2)];
    let mut limit = Exact::new(&problem, &[1.0; 4], [0.0; exact_len(5, 2)], &mut scratch).unwrap();
    limit
        .advance(&Config::default(), &problem, 2.0, &mut scratch)
        .unwrap();
    let mut w = [0.0; 2];
    problem.signal_into(limit.params(), &mut w).unwrap();
    assert_close(&w, &[2.0, -1.0], 1e-10);
}

#[test]
fn bad_starts_and_labels_are_refused() {
    let z = [1.0_f64, 1.0];
    let problem = Sparse::new(MatrixRef::new(&z, 2, 1).unwrap(), &[1.0, 2.0]).unwrap();
    let mut scratch = [0.0; exact_scratch_len(2, 1)];
    let buffer = [0.0; exact_len(2, 1)];
    let mut start = |problem: &Sparse<'_, f64>, params: &[f64]| {
        Exact::new(problem, params, buffer, &mut scratch).map(drop)
    };
    let error = start(&problem, &[1.0, 1.0]).unwrap_err();
    assert_eq!(
        error,
        Error::Parameter {
            name: "y",
            rule: "has no interpolating solution"
        }
    );
    let good = Sparse::new(MatrixRef::new(&z, 2, 1).unwrap(), &[1.0, 1.0]).unwrap();
    assert_eq!(start(&good, &[1.0, 1.0]), Ok(()));
    for params in [[0.0, 1.0], [1.0, -0.0]] {
        let error = start(&good, &params).unwrap_err();
        assert_eq!(
            error,
            Error::Parameter {
                name: "params",
                rule: "must have no coordinate that is zero"
            }
        );
    }
    let infinite = start(&good, &[1.0, f64::INFINITY]).unwrap_err();
    assert!(matches!(infinite, Error::NonFinite { index: 1, .. }));
}

#[test]
fn a_restored_limit_has_the_bits_of_the_uninterrupted_one_at_every_level() {
    let [n, d] = SHAPE;
    let (z, y) = (data::<f32>(), labels::<f32>());
    let problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    let config = Config::default();
    levels(|| {
        let mut scratch = vec![0.0; exact_scratch_len(n, d)];
        let start = START.map(|x| x as f32);
        let new = |scratch: &mut [f32]| {
            Exact::new(
                &problem,
                &start,
                [0.0; exact_len(SHAPE[0], SHAPE[1])],
                scratch,
            )
            .unwrap()
        };
        let mut whole = new(&mut scratch);
        whole.advance(&config, &problem, 0.5, &mut scratch).unwrap();
        let mut bytes = vec![0; whole.snapshot_len()];
        whole.save(&mut bytes).unwrap();
        whole.advance(&config, &problem, 0.5, &mut scratch).unwrap();
        let mut resumed = new(&mut scratch);
        resumed.restore(&bytes).unwrap();
        resumed
            .advance(&config, &problem, 0.5, &mut scratch)
            .unwrap();
        assert_eq!(resumed, whole);
        whole.params().iter().map(|x| x.to_bits()).collect()
    });
}
