//! Eigenvalues of Hessians that are known.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use super::lanczos::eigenvalue;
use super::*;
use std::vec;
use std::vec::Vec;

fn curvature<T: Real>(tolerance: f64) {
    let h = [1.0, 0.5, -3.0, 2.0, 0.0];
    let x = [T::ONE; 5];
    let gradient = |x: &[T], g: &mut [T]| {
        g.iter_mut()
            .zip(x)
            .zip(h)
            .for_each(|((g, &x), h)| *g = T::from_f64(h) * x);
        Ok(())
    };
    let mut scratch = [T::ZERO; lanczos_scratch_len(5, 5)];
    let found = power_iteration(&x, gradient, 4, &mut scratch).unwrap();
    assert!((found.value + 3.0).abs() < 1e-3 + tolerance, "{found:?}");
    let (mut largest, mut smallest) = ([0.0; 2], [0.0; 2]);
    lanczos(
        &x,
        gradient,
        4,
        5,
        Ends {
            largest: &mut largest,
            smallest: &mut smallest,
        },
        &mut scratch,
    )
    .unwrap();
    for (found, expected) in largest.iter().chain(&smallest).zip([2.0, 1.0, -3.0, 0.0]) {
        assert!(
            (found - expected).abs() < tolerance,
            "{largest:?} {smallest:?}"
        );
    }
    let flat = |_: &[T], g: &mut [T]| {
        g.fill(T::ONE);
        Ok(())
    };
    assert_eq!(
        power_iteration(&x, flat, 4, &mut scratch).unwrap().value,
        0.0
    );
    let broken = |_: &[T], g: &mut [T]| {
        g.fill(T::NAN);
        Ok(())
    };
    let error = power_iteration(&x, broken, 4, &mut scratch).unwrap_err();
    assert!(matches!(
        error,
        Error::NonFinite {
            at: crate::At::Step(1),
            ..
        }
    ));
    assert!(power_iteration(&x, flat, 4, &mut scratch[..19]).is_err());
    assert_eq!(x, [T::ONE; 5]);
}

#[test]
fn extreme_eigenvalues_of_a_diagonal_hessian_are_its_entries() {
    curvature::<f32>(2e-3);
    curvature::<f64>(1e-7);
}

/// Power iteration on a diagonal Hessian.
fn dominant<T: Real>(h: &[f64], seed: u64) -> Curvature {
    let x: Vec<T> = h.iter().map(|_| T::from_f64(0.25)).collect();
    let gradient = |x: &[T], g: &mut [T]| {
        for ((g, x), h) in g.iter_mut().zip(x).zip(h) {
            *g = T::from_f64(*h) * *x;
        }
        Ok(())
    };
    let mut scratch = vec![T::ZERO; power_scratch_len(h.len())];
    power_iteration(&x, gradient, seed, &mut scratch).unwrap()
}

fn dominant_values<T: Real>(tolerance: f64) {
    for seed in 0..12 {
        for h in [
            &[3.0, -3.0][..],
            &[3.0, -3.0, 1.0, 0.0, -2.5],
            &[-3.0, 3.0, 3.0, -3.0, 3.0],
            // Repeated.
            &[3.0, 3.0, 1.0],
            &[-3.0, -3.0, -3.0, 2.0],
            &[-3.0],
        ] {
            let found = dominant::<T>(h, seed);
            assert!(found.converged, "{h:?} seed {seed}: {found:?}");
            let error = (found.value.abs() - 3.0).abs();
            assert!(error < tolerance, "{h:?} seed {seed}: {found:?}");
            assert!(found.products <= 60 && found.residual <= 0.03);
            // The sign is one that has the modulus.
            assert!(h.contains(&found.value.round()), "{h:?}: {found:?}");
        }
        // A thousand values on [-3, 3]: no gap, so 60 products say what they do not know.
        let dense: Vec<f64> = (0..1001).map(|i| f64::from(i) * 0.006 - 3.0).collect();
        let found = dominant::<T>(&dense, seed);
        let nearest = (found.value.abs() - 3.0).abs();
        assert!(nearest <= 1.5 * found.residual + tolerance, "{found:?}");
        let zero = dominant::<T>(&[0.0; 4], seed);
        assert_eq!((zero.value, zero.converged, zero.products), (0.0, true, 1));
    }
    // The scale of the Hessian does not matter.
    let found = dominant::<T>(&[3e-20, -1e-20], 2);
    assert!((found.value * 1e20 - 3.0).abs() < 1e-2, "{found:?}");
}

#[test]
fn power_iteration_tells_how_far_it_is_from_an_eigenvalue() {
    dominant_values::<f32>(5e-3);
    dominant_values::<f64>(2e-3);
}

#[test]
fn products_that_overflow_are_named() {
    let steep = |x: &[f64], g: &mut [f64]| {
        g.iter_mut().zip(x).for_each(|(g, x)| *g = 1e200 * *x);
        Ok(())
    };
    let error = power_iteration(&[1.0, 1.0], steep, 1, &mut [0.0; 8]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::NonFinite {
                at: crate::At::Step(1),
                ..
            }
        ),
        "{error:?}"
    );
    let mut scratch = [0.0; lanczos_scratch_len(2, 2)];
    // A turn: nothing along the vector, and a square across it that overflows.
    let turn = |x: &[f64], g: &mut [f64]| {
        (g[0], g[1]) = (-1e200 * x[1], 1e200 * x[0]);
        Ok(())
    };
    let error = lanczos(
        &[0.0; 2],
        turn,
        1,
        2,
        Ends {
            largest: &mut [0.0],
            smallest: &mut [],
        },
        &mut scratch,
    )
    .unwrap_err();
    let name = "hessian product";
    assert_eq!(
        error,
        Error::NonFinite {
            name,
            at: crate::At::Step(1)
        }
    );
    let bad = |_: &[f64], g: &mut [f64]| {
        g.copy_from_slice(&[0.0, f64::NAN]);
        Ok(())
    };
    let error = lanczos(
        &[1.0, 1.0],
        bad,
        1,
        2,
        Ends {
            largest: &mut [0.0],
            smallest: &mut [],
        },
        &mut scratch,
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            Error::NonFinite {
                at: crate::At::Step(1),
                ..
            }
        ),
        "{error:?}"
    );
}

fn cubic_gradient<T: Real>(e: f64, tolerance: f64) {
    let cube = |x: &[T], g: &mut [T]| {
        g[0] = x[0] * x[0] * x[0];
        Ok(())
    };
    let mut out = [T::ZERO];
    let at = [T::from_f64(1000.0)];
    hessian_vector_into(&at, &[T::ONE], cube, &mut out, &mut [T::ZERO; 2]).unwrap();
    // ((x + e)^3 - (x - e)^3) / 2 e = 3 x^2 + e^2
    let off = out[0].to_f64() / (3e6 + e * e) - 1.0;
    assert!(off.abs() < tolerance, "{off:e}");
}

#[test]
fn differences_reach_as_far_as_the_parameters_are_large() {
    // 2e-3 and 1e-5 of |x| = 1000; a hundredth of it would drown in rounding, a thousand times it in e^2.
    cubic_gradient::<f32>(2.0, 5e-5);
    cubic_gradient::<f64>(1e-2, 1e-9);
}

#[test]
fn no_parameters_have_no_eigenvalues() {
    let none = |_: &[f64], _: &mut [f64]| Ok(());
    let expected = Error::Parameter {
        name: "params",
        rule: "must not be empty",
    };
    let error = power_iteration(&[], none, 1, &mut []).unwrap_err();
    assert_eq!(error, expected);
    let error = lanczos(
        &[],
        none,
        1,
        1,
        Ends {
            largest: &mut [0.0],
            smallest: &mut [],
        },
        &mut [],
    )
    .unwrap_err();
    assert_eq!(error, expected);
}

/// Power iteration in one dimension, whose product number `k`, from 1, has the quotient `l(k)`.
fn quotients(l: impl Fn(usize) -> f64) -> Curvature {
    let mut calls: usize = 0;
    // At 1e5 the two places of a difference are one to each side: the quotient is exact.
    let gradient = |x: &[f64], g: &mut [f64]| {
        calls += 1;
        g[0] = l(calls.div_ceil(2)) * (x[0] - 1e5).signum();
        Ok(())
    };
    power_iteration(&[1e5], gradient, 1, &mut [0.0; 4]).unwrap()
}

#[test]
fn a_quotient_has_settled_when_it_moves_by_less_than_a_ten_thousandth_after_the_third_product() {
    let constant = quotients(|_| -3.0);
    assert_eq!((constant.value, constant.products), (-3.0, 4));
    // Just under 1e-4, then 1e-4 itself.
    let small = quotients(|k| if k < 4 { 10_000.0 } else { 10_000.5 });
    assert_eq!((small.value, small.products), (10_000.5, 4));
    let edge = quotients(|k| if k < 4 { 9999.0 } else { 10_000.0 });
    assert_eq!((edge.value, edge.products), (10_000.0, 5));
    assert!(constant.converged && small.converged && edge.converged);
}

/// Power iteration on `l` and a rotation of size `r`: every unit vector has the quotient `l` and the residual `r`.
fn turning(l: f64, r: f64) -> Curvature {
    let gradient = |x: &[f64], g: &mut [f64]| {
        (g[0], g[1]) = (l * x[0] - r * x[1], r * x[0] + l * x[1]);
        Ok(())
    };
    power_iteration(&[0.0; 2], gradient, 1, &mut [0.0; 8]).unwrap()
}

#[test]
fn a_residual_of_a_hundredth_of_the_quotient_is_the_largest_that_converges() {
    for l in [1e4, -1.0, 1e-2] {
        let near = turning(l, 0.0099 * l);
        assert!(near.converged && near.products == 4, "{near:?}");
        assert!((near.residual / l.abs() - 0.0099).abs() < 1e-9, "{near:?}");
        let far = turning(l, 0.0101 * l);
        assert!(!far.converged && far.products == 60, "{far:?}");
    }
}

#[test]
fn the_least_normal_product_is_one_and_a_smaller_one_is_nothing() {
    for (size, value, products) in [(1.0, f32::MIN_POSITIVE, 4), (0.5, 0.0, 1)] {
        // The two places of a difference are 499 and 501.
        let gradient = |x: &[f32], g: &mut [f32]| {
            g[0] = size * f32::MIN_POSITIVE * (x[0] - 500.0).signum();
            Ok(())
        };
        let found = power_iteration(&[500.0], gradient, 1, &mut [0.0; 4]).unwrap();
        let expected = (f64::from(value), true, products);
        assert_eq!((found.value, found.converged, found.products), expected);
    }
}

/// A normal number of 24 bits is 0 once in 2^24: the start of this seed is.
#[test]
fn a_start_of_zero_is_replaced() {
    let found = dominant::<f32>(&[-3.0], 5_183_255);
    assert!((found.value + 3.0).abs() < 1e-2, "{found:?}");
}

#[test]
fn lanczos_ends_with_the_invariant_subspace_at_every_scale() {
    for scale in [1e-8, 1.0, 1e6] {
        let gradient = |x: &[f64], g: &mut [f64]| {
            for ((g, x), h) in g.iter_mut().zip(x).zip([1.0, 1.0, 2.0, 2.0]) {
                *g = scale * h * x;
            }
            Ok(())
        };
        let (mut largest, mut smallest) = ([0.0; 3], [0.0; 3]);
        let mut scratch = [0.0; lanczos_scratch_len(4, 4)];
        let made = lanczos(
            &[0.0; 4],
            gradient,
            3,
            4,
            Ends {
                largest: &mut largest,
                smallest: &mut smallest,
            },
            &mut scratch,
        );
        assert_eq!(made, Ok(2));
        for (found, expected) in [(largest, [2.0, 1.0]), (smallest, [1.0, 2.0])] {
            for (found, expected) in found.iter().zip(expected) {
                let off = found / (scale * expected) - 1.0;
                assert!(off.abs() < 1e-12, "{scale}: {found}");
            }
            assert!(found[2].is_nan());
        }
    }
}

#[test]
fn eigenvalues_of_tridiagonal_matrices_have_their_closed_forms() {
    let close = |found: f64, expected: f64| {
        let off = (found - expected).abs();
        assert!(off < 1e-14 * expected.abs().max(1.0), "{found} {expected}");
    };
    // The first middle is an eigenvalue of the leading block: its pivot is 0.
    for (place, expected) in [-1.0, 1.0].into_iter().enumerate() {
        close(eigenvalue(&[0.0, 0.0], &[1.0], place), expected);
    }
    for (place, expected) in [0.0, 20.0].into_iter().enumerate() {
        close(eigenvalue(&[10.0, 10.0], &[10.0], place), expected);
    }
    // The second difference on five places.
    for place in 0..5 {
        let angle = (place as f64 + 1.0) * std::f64::consts::PI / 6.0;
        let found = eigenvalue(&[2.0; 5], &[1.0; 4], place);
        close(found, 2.0 - 2.0 * angle.cos());
    }
}
