//! Eigenvalues of Hessians that are known.

use super::*;

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
        &mut scratch,
        &mut largest,
        &mut smallest,
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
    assert!(matches!(error, Error::NonFinite { index: 1, .. }));
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
        matches!(error, Error::NonFinite { index: 1, .. }),
        "{error:?}"
    );
    let mut scratch = [0.0; lanczos_scratch_len(2, 2)];
    let bad = |_: &[f64], g: &mut [f64]| {
        g.copy_from_slice(&[0.0, f64::NAN]);
        Ok(())
    };
    let error = lanczos(&[1.0, 1.0], bad, 1, 2, &mut scratch, &mut [0.0], &mut []).unwrap_err();
    assert!(
        matches!(error, Error::NonFinite { index: 1, .. }),
        "{error:?}"
    );
}
