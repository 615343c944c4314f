use super::*;
use crate::dynamics::label_noise::{self, State};
use crate::dynamics::tests::{SHAPE, START, assert_close, data, golden, labels, levels};
use crate::matrix::{MatrixMut, MatrixRef, Product};
use crate::random::{self, Purpose};
use crate::vector;
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
    let least = least_norm(view, &y);
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
    assert!(matches!(
        infinite,
        Error::NonFinite {
            at: crate::At::Element(1),
            ..
        }
    ));
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

/// `Z^T (Z Z^T)^-1 y`.
fn least_norm<T: Real>(z: MatrixRef<'_, T>, y: &[T]) -> Vec<T> {
    let n = z.rows();
    let mut gram = vec![T::ZERO; n * n];
    let out = MatrixMut::new(&mut gram, n, n).unwrap();
    matrix::gemm(Product::PLAIN, z, z.t(), out, &mut []).unwrap();
    matrix::cholesky(MatrixMut::new(&mut gram, n, n).unwrap()).unwrap();
    let mut dual = y.to_vec();
    matrix::cholesky_solve_vector(MatrixRef::new(&gram, n, n).unwrap(), &mut dual).unwrap();
    let mut w = vec![T::ZERO; z.columns()];
    matrix::gemv_transposed(T::ONE, z, &dual, T::ZERO, &mut w).unwrap();
    w
}

/// The signal at time 0 from `u = v = alpha`, and the iterations that it took.
fn settled<T: Real>(problem: &Sparse<'_, T>, alpha: f64) -> (Vec<f64>, usize) {
    let (n, d) = (problem.samples(), problem.dim());
    let mut scratch = vec![T::ZERO; exact_scratch_len(n, d)];
    let buffer = [T::ZERO; exact_len(40, 100)];
    let start = vec![T::from_f64(alpha); 2 * d];
    let mut limit = Exact::new(problem, &start, buffer, &mut scratch).unwrap();
    let outcome = limit.advance(&Config::default(), problem, 0.0, &mut scratch);
    let iterations = outcome.unwrap_or_else(|error| panic!("alpha {alpha:e}: {error}"));
    let mut w = vec![T::ZERO; d];
    limit.signal_into(problem, &mut w).unwrap();
    (w.into_iter().map(T::to_f64).collect(), iterations)
}

fn narrow<T: Real>(x: &[f64]) -> Vec<T> {
    x.iter().map(|x| T::from_f64(*x)).collect()
}

/// The flow from `alpha` differs from the smallest norm by `s^2 / 6` with `s = w / 2 alpha^2`.
fn large_starts<T: Real>(tolerance: f64) {
    let (n, d) = (40, 100);
    let [z, y, _] = problem(n, d, 5);
    let (z, y) = (narrow::<T>(&z), narrow::<T>(&y));
    let view = MatrixRef::new(&z, n, d).unwrap();
    let problem = Sparse::new(view, &y).unwrap();
    let least: Vec<f64> = least_norm(view, &y).into_iter().map(T::to_f64).collect();
    for alpha in [70.0, 100.0, 1e3, 1e4, 1e6, 1e8] {
        let (w, iterations) = settled(&problem, alpha);
        let few = (1..=2).contains(&iterations);
        assert!(few, "alpha {alpha:e}: {iterations}");
        let (found, bent) = (distance(&w, &least), alpha.powi(-4));
        assert!(found < tolerance + bent, "alpha {alpha:e}: {found:e}");
    }
}

#[test]
fn large_starts_take_two_newton_steps_to_the_smallest_norm() {
    large_starts::<f64>(1e-11);
    large_starts::<f32>(1e-5);
}

/// The smaller the start, the nearer to the smallest 1-norm, which is the signal here.
fn small_starts<T: Real>(alphas: &[f64], tolerance: f64) {
    let (n, d) = (40, 100);
    let [z, y, w_star] = problem(n, d, 5);
    let (z, y) = (narrow::<T>(&z), narrow::<T>(&y));
    let problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    for &alpha in alphas {
        let (w, iterations) = settled(&problem, alpha);
        let found = distance(&w, &w_star);
        assert!(found < tolerance, "alpha {alpha:e}: {found:e}");
        assert!(iterations <= 100, "alpha {alpha:e}: {iterations}");
    }
}

#[test]
fn small_starts_find_the_sparse_signal() {
    small_starts::<f64>(&[1e-5, 1e-8, 1e-11, 1e-15, 1e-30, 1e-100, 1e-150], 1e-4);
    small_starts::<f32>(&[1e-5, 1e-8, 1e-11, 1e-15, 1e-20, 1e-30], 1e-3);
}

#[test]
fn large_starts_of_both_signs_fit_up_to_the_rounding_of_their_size() {
    let (n, d) = (40, 100);
    let [z, y, _] = problem(n, d, 5);
    let problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    let mut rng = random::stream(24, 0, 0, Purpose::INIT);
    let start: Vec<f64> = (0..2 * d)
        .map(|_| 1e3 * (0.5 + random::uniform::<f64>(&mut rng)))
        .collect();
    let mut scratch = vec![0.0; exact_scratch_len(n, d)];
    let buffer = [0.0; exact_len(40, 100)];
    let mut limit = Exact::new(&problem, &start, buffer, &mut scratch).unwrap();
    let mut before = vec![0.0; d];
    limit.signal_into(&problem, &mut before).unwrap();
    let direct = start[..d]
        .iter()
        .zip(&start[d..])
        .map(|(u, v)| u * u - v * v);
    assert_close(&before, &direct.collect::<Vec<_>>(), 1e-12);
    limit
        .advance(&Config::default(), &problem, 0.0, &mut scratch)
        .unwrap();
    let mut w = vec![0.0; d];
    limit.signal_into(&problem, &mut w).unwrap();
    let mut left = y.clone();
    matrix::gemv(-1.0, problem.data(), &w, 1.0, &mut left).unwrap();
    // w is of size 1e6, y of size 1.
    assert!(vector::norm2(&left) < 1e-6, "{}", vector::norm2(&left));
    assert!(vector::norm_inf(&w) > 1e4);
    assert!(limit.signal_into(&problem, &mut w[1..]).is_err());
}

#[test]
fn starts_that_overflow_are_an_error_and_leave_the_state() {
    let problem = Sparse::new(MatrixRef::new(&[1.0_f32, 0.5], 1, 2).unwrap(), &[1.0]).unwrap();
    let mut scratch = [0.0; exact_scratch_len(1, 2)];
    for size in [1e20, 3e38] {
        let buffer = [0.0; exact_len(1, 2)];
        let mut limit = Exact::new(&problem, &[size; 4], buffer, &mut scratch).unwrap();
        let before = limit;
        let outcome = limit.advance(&Config::default(), &problem, 0.0, &mut scratch);
        assert!(
            matches!(outcome, Err(Error::NonFinite { .. })),
            "{outcome:?}"
        );
        assert_eq!(limit, before);
    }
    // Squares of the data overflow.
    let data = [1e20_f32, 0.5];
    let huge = Sparse::new(MatrixRef::new(&data, 1, 2).unwrap(), &[1.0]).unwrap();
    let buffer = [0.0; exact_len(1, 2)];
    assert!(Exact::new(&huge, &[1.0; 4], buffer, &mut scratch).is_err());
}

#[test]
fn times_that_take_too_many_solutions_are_refused() {
    let problem = Sparse::new(MatrixRef::new(&[1.0_f64, 0.5], 1, 2).unwrap(), &[1.0]).unwrap();
    let mut scratch = [0.0; exact_scratch_len(1, 2)];
    let buffer = [0.0; exact_len(1, 2)];
    let mut limit = Exact::new(&problem, &[1.0; 4], buffer, &mut scratch).unwrap();
    let before = limit;
    let config = Config::default();
    let tiny = Config {
        spacing: 1e-300,
        ..config
    };
    let loud = Config {
        noise: 1e154,
        ..config
    };
    for (config, dt) in [
        (config, 1e15),
        (config, f64::MAX),
        (tiny, 1e-200),
        (loud, 1.0),
    ] {
        let outcome = limit.advance(&config, &problem, dt, &mut scratch);
        assert!(
            matches!(outcome, Err(Error::Parameter { name: "dt", .. })),
            "{outcome:?}"
        );
    }
    let infinite = Config {
        noise: 1e155,
        ..config
    };
    assert!(infinite.validate().is_err());
    assert_eq!(limit, before);
    // The most that is allowed; the limit has long been at (0, 2).
    let coarse = Config {
        spacing: 0.5,
        ..config
    };
    limit
        .advance(&coarse, &problem, 3000.0, &mut scratch)
        .unwrap();
    let mut w = [0.0; 2];
    limit.signal_into(&problem, &mut w).unwrap();
    assert_close(&w, &[0.0, 2.0], 1e-9);
}

/// Every field of a saved state overwritten by each of these in turn: an error or a result, and soon.
#[test]
fn hostile_states_end_in_time_with_a_named_error() {
    let problem = Sparse::new(MatrixRef::new(&[1.0_f32, 0.5], 1, 2).unwrap(), &[1.0]).unwrap();
    let mut scratch = [0.0; exact_scratch_len(1, 2)];
    let buffer = [0.0; exact_len(1, 2)];
    let config = Config::default();
    let mut limit = Exact::new(&problem, &[1.0; 4], buffer, &mut scratch).unwrap();
    limit.advance(&config, &problem, 0.1, &mut scratch).unwrap();
    let mut bytes = vec![0; limit.snapshot_len()];
    limit.save(&mut bytes).unwrap();
    let good = limit;
    let end = bytes.len() - 4;
    let mut errors = 0;
    for at in (crate::snapshot::HEADER..end - 3).step_by(4) {
        for value in [
            f32::NAN,
            f32::INFINITY,
            -f32::MAX,
            f32::MAX,
            90.0,
            -1e4,
            1e-45,
        ] {
            let mut hostile = bytes.clone();
            hostile[at..at + 4].copy_from_slice(&value.to_le_bytes());
            let check = crate::wire::crc32c(&hostile[..end]);
            hostile[end..].copy_from_slice(&check.to_le_bytes());
            let mut other = good;
            match other.restore(&hostile) {
                Err(_) => assert_eq!(other, good),
                Ok(()) => {
                    let outcome = other.advance(&config, &problem, 0.25, &mut scratch);
                    errors += usize::from(outcome.is_err());
                    assert!(outcome.is_err() || other.clock().is_finite());
                }
            }
        }
    }
    assert!(errors > 20, "{errors}");
    // The clock is a number of eight bytes behind the header of its field.
    let at = crate::snapshot::HEADER + crate::snapshot::FIELD_HEADER;
    for clock in [f64::NAN, f64::INFINITY, -1.0] {
        let mut hostile = bytes.clone();
        hostile[at..at + 8].copy_from_slice(&clock.to_le_bytes());
        let check = crate::wire::crc32c(&hostile[..end]);
        hostile[end..].copy_from_slice(&check.to_le_bytes());
        let mut other = good;
        let error = other.restore(&hostile).unwrap_err();
        assert!(matches!(error, SnapshotError::Value { name: "clock", .. }));
        assert_eq!(other, good);
    }
}

#[test]
fn the_end_does_not_depend_on_the_times_between() {
    let (n, d) = (40, 100);
    let [z, y, _] = problem(n, d, 5);
    let problem = Sparse::new(MatrixRef::new(&z, n, d).unwrap(), &y).unwrap();
    let mut scratch = vec![0.0; exact_scratch_len(n, d)];
    let ends = [0.05, 0.5, 4.0].map(|spacing| {
        let buffer = [0.0; exact_len(40, 100)];
        let mut limit = Exact::new(&problem, &[1.0; 200], buffer, &mut scratch).unwrap();
        let config = Config {
            spacing,
            ..Config::default()
        };
        limit.advance(&config, &problem, 4.0, &mut scratch).unwrap();
        let mut w = vec![0.0; d];
        limit.signal_into(&problem, &mut w).unwrap();
        w
    });
    let [fine, others @ ..] = &ends;
    for other in others {
        assert!(distance(other, fine) < 1e-9, "{}", distance(other, fine));
    }
}

#[test]
fn settings_and_times_out_of_range_are_named() {
    fn name(config: Config) -> &'static str {
        match config.validate() {
            Err(Error::Parameter { name, .. }) => name,
            other => panic!("{config:?}: {other:?}"),
        }
    }
    let config = Config::default();
    for spacing in [0.0, -0.05, f64::INFINITY, f64::NAN] {
        assert_eq!(name(Config { spacing, ..config }), "spacing");
    }
    for tolerance in [-1e-11, f64::INFINITY, f64::NAN] {
        assert_eq!(
            name(Config {
                tolerance,
                ..config
            }),
            "tolerance"
        );
    }
    let strict = Config {
        tolerance: 0.0,
        ..config
    };
    assert_eq!(strict.validate(), Ok(()));
    let problem = Sparse::new(MatrixRef::new(&[1.0_f64, 0.5], 1, 2).unwrap(), &[1.0]).unwrap();
    let mut scratch = [0.0; exact_scratch_len(1, 2)];
    let buffer = [0.0; exact_len(1, 2)];
    let mut limit = Exact::new(&problem, &[1.0; 4], buffer, &mut scratch).unwrap();
    let before = limit;
    for dt in [-0.1, f64::INFINITY, f64::NAN] {
        let outcome = limit.advance(&config, &problem, dt, &mut scratch);
        let (name, rule) = ("dt", "must be finite and at least 0");
        assert_eq!(outcome, Err(Error::Parameter { name, rule }));
    }
    let hasty = Config {
        iterations: 1,
        ..config
    };
    let outcome = limit.advance(&hasty, &problem, 0.0, &mut scratch);
    let (name, iterations) = ("exact limit", 1);
    assert_eq!(outcome, Err(Error::NoConvergence { name, iterations }));
    assert_eq!(limit, before);
}

#[test]
fn signs_outlast_magnitudes_that_the_type_does_not_hold() {
    // w tends to (0, 2): 2 q_2 sinh s_2 = 2 with q_2 = e^{-t} makes s_2 = t + ln 2, and s_1 is twice that. With q_1 = e^{-4 t},
    // v_1 = e^{-3 t} / 2: 0 in f32 from t = 35 on.
    let problem = Sparse::new(MatrixRef::new(&[1.0_f32, 0.5], 1, 2).unwrap(), &[1.0]).unwrap();
    let mut scratch = [0.0; exact_scratch_len(1, 2)];
    let buffer = [0.0; exact_len(1, 2)];
    let start = [-1.0, 1.0, -1.0, 1.0];
    let mut limit = Exact::new(&problem, &start, buffer, &mut scratch).unwrap();
    let config = Config {
        spacing: 0.5,
        ..Config::default()
    };
    for _ in 0..2 {
        limit
            .advance(&config, &problem, 60.0, &mut scratch)
            .unwrap();
        assert_eq!(limit.params()[2], 0.0);
        let found = limit.params().iter().zip(start);
        assert!(
            found.clone().all(|(x, start)| x.signum() == start),
            "{found:?}"
        );
    }
}
