//! The parts of a Newton step, each against its definition.

use super::*;
use crate::dynamics::limit_flow::exact::{exact_len, exact_scratch_len, parts};
use std::vec;
use std::vec::Vec;

#[track_caller]
fn assert_near(found: &[f64], expected: impl Iterator<Item = f64>) {
    let expected: Vec<f64> = expected.collect();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        let off = (found - expected).abs();
        assert!(off <= 1e-14 * expected.abs(), "{found} {expected}");
    }
}

#[test]
fn signals_weights_and_magnitudes_are_hyperbolic_functions() {
    let s = [-20.0, -3.0, -0.9, -0.2, -1e-8, 1e-8, 0.3, 0.6, 2.0, 17.0];
    let ln_q = s.map(|s: f64| 0.5 - 0.1 * s);
    let m = s.map(|s: f64| 1.0 + 0.01 * s.abs());
    let (signal, shift) = (Signal { decay: 0.75 }, 1.25);
    let terms = || {
        let q = ln_q.iter().zip(m).map(|(ln_q, m)| (ln_q - 0.75 * m).exp());
        q.zip(s)
    };
    let (mut first, mut second) = ([0.0; 10], [0.0; 10]);
    let body = Weighted { signal, shift };
    simd::map(&body, [&ln_q, &m, &s], [&mut first, &mut second]);
    assert_near(&first, terms().map(|(q, s)| 2.0 * q * s.sinh()));
    assert_near(
        &second,
        terms().map(|(q, s)| 2.0 * q * s.cosh() / shift.exp()),
    );
    let mut alone = s;
    simd::update(&signal, [&mut alone], [&ln_q, &m]);
    assert_eq!(alone, first);
    let body = Magnitudes(signal);
    simd::map(&body, [&ln_q, &m, &s], [&mut first, &mut second]);
    assert_near(&first, terms().map(|(q, s)| (q * s.exp()).sqrt()));
    assert_near(&second, terms().map(|(q, s)| (q * (-s).exp()).sqrt()));
}

/// The dual problem of `z`, n x d, with `work` on it before anything is evaluated.
fn with_dual<R>(z: &[f64], y: &[f64], work: impl FnOnce(&mut Dual<'_, '_, f64>) -> R) -> R {
    let (n, d) = (y.len(), z.len() / y.len());
    let problem = Sparse::new(MatrixRef::new(z, n, d).unwrap(), y).unwrap();
    let mut buffer = vec![0.0; exact_len(n, d)];
    let parts = parts(&mut buffer, d).unwrap();
    problem.moments_into(parts.m).unwrap();
    let mut scratch = vec![0.0; exact_scratch_len(n, d)];
    work(&mut Dual::new(&problem, parts, 0.0, &mut scratch).unwrap())
}

#[test]
fn a_residual_is_solved_to_the_tolerance_or_the_rounding_of_the_larger_side() {
    with_dual(&[3.0, 0.0, 0.0, 1.0], &[3.0, 4.0], |dual| {
        let of = |tolerance| Config {
            tolerance,
            ..Config::default()
        };
        // |y| = 5; 32 + 8 * 3 units.
        let unit = 56.0 * f64::EPSILON;
        dual.w.copy_from_slice(&[0.5, 1.0]);
        assert_near(&[dual.tolerance(&of(1e-3), 3.0)], [5e-3].into_iter());
        assert_near(&[dual.tolerance(&of(0.0), 3.0)], [5.0 * unit].into_iter());
        // sum_ij z_ij^2 w_j^2 = 9 * 4 + 100.
        dual.w.copy_from_slice(&[2.0, 10.0]);
        let expected = 136_f64.sqrt() * unit;
        assert_near(&[dual.tolerance(&of(0.0), 3.0)], [expected].into_iter());
        assert_near(&[dual.tolerance(&of(1e-3), 3.0)], [5e-3].into_iter());
    });
}

/// The diagonal of the Cholesky factor of `Z diag(weight) Z^T`.
fn factored(z: &[f64], n: usize, weight: &[f64]) -> Vec<f64> {
    with_dual(z, &vec![1.0; n], |dual| {
        dual.weight.copy_from_slice(weight);
        dual.factor().unwrap();
        (0..n).map(|i| dual.hess[i * n + i]).collect()
    })
}

#[test]
fn a_hessian_that_factors_is_not_raised() {
    // A rounding error of the trace, 17 eps, would show in the first.
    assert_eq!(factored(&[1.0, 0.0, 0.0, 4.0], 2, &[1.0; 2]), [1.0, 4.0]);
    let wide = [1.0, 0.0, 0.0, 0.0, 4.0, 0.0];
    assert_eq!(factored(&wide, 2, &[1.0; 3]), [1.0, 4.0]);
}

#[test]
fn a_hessian_of_more_samples_than_dimensions_is_raised_by_a_rounding_error_of_its_trace() {
    // Of rank 1, but rounding leaves a last pivot of 2 eps. Raised by r = (9 + b^2) eps it is r (1 + b^2 / 9) = 17 eps, and its rounding.
    let b = 1.845_986_541_230_894_2;
    let found = factored(&[3.0, b], 2, &[1.0]);
    let pivot = found[1] * found[1] / f64::EPSILON;
    assert!((13.0..22.0).contains(&pivot), "{pivot}");
}

#[test]
fn a_hessian_that_does_not_factor_is_raised_tenfold_until_it_does() {
    // diag(1, -1/2): the first multiple of eps / 2 beyond 1/2 is 1e16 eps / 2 = 1.11.
    let found = factored(&[1.0, 0.0, 0.0, 1.0], 2, &[1.0, -0.5]);
    let raise = 0.5e16 * f64::EPSILON;
    assert_near(
        &found,
        [1.0 + raise, raise - 0.5].map(f64::sqrt).into_iter(),
    );
}

#[test]
fn a_step_is_cut_to_the_logarithm_of_its_reach() {
    let e = std::f64::consts::E;
    for (reach, shift, expected) in [
        // Whole up to a reach of 1, of the scaled Hessian e^-shift.
        (0.5, 0.0, 1.0),
        (1.0, 2.0, (-2_f64).exp()),
        (e, 0.0, e.ln_1p() / e),
        (2.0, -30.0, (2.0 * 30_f64.exp()).ln_1p() / 2.0),
        // e^800 is no number.
        (1.0, -800.0, 800.0),
    ] {
        assert_near(&[share(reach, shift)], [expected].into_iter());
    }
}
