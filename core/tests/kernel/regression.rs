//! Regression on labels times a scale, against closed forms.

use thalweg::Error;
use thalweg::error::At;
use thalweg::kernel::arc_cosine::{Config, nngp_between_into, nngp_into, scratch_len};
use thalweg::kernel::covariance::Covariance;
use thalweg::kernel::regression::{covariance_into, draw_into, mean_into, weights_into};
use thalweg::matrix::{MatrixMut, MatrixRef};
use thalweg::random::{Purpose, stream};

#[test]
fn two_points_have_the_closed_form() {
    // K = [[1, r], [r, 1]], k' = (a, b): mean = alpha (a c1 + b c2 - r (a c2 + b c1)) / (1 - r^2).
    let (r, a, b, alpha) = (0.3, 0.7, -0.2, 3.0);
    let mut memory = [9.0; 4];
    let kernel = [1.0, 9.0, r, 1.0];
    let k = Covariance::new(MatrixRef::new(&kernel, 2, 2).unwrap(), &mut memory).unwrap();
    let (mut w, mut mean) = ([9.0; 2], [9.0; 2]);
    weights_into(&k, &[1.0, -1.0], &mut w).unwrap();
    let cross = [a, b, 1.0, r];
    let cross = MatrixRef::new(&cross, 2, 2).unwrap();
    mean_into(alpha, &w, cross, &mut mean).unwrap();
    let expected = alpha * (a - b - r * (b - a)) / (1.0 - r * r);
    assert!((mean[0] - expected).abs() < 1e-14, "{mean:?} {expected}");
    // The second test point is the first training point: its label, and no variance.
    assert!((mean[1] - alpha).abs() < 1e-14);
    let prior = [1.0, a, a, 1.0];
    let mut out = [9.0; 4];
    let view = MatrixMut::new(&mut out, 2, 2).unwrap();
    covariance_into(
        &k,
        cross,
        MatrixRef::new(&prior, 2, 2).unwrap(),
        view,
        &mut [0.0; 4],
    )
    .unwrap();
    let variance = 1.0 - (a * a + b * b - 2.0 * r * a * b) / (1.0 - r * r);
    assert!((out[0] - variance).abs() < 1e-15, "{out:?} {variance}");
    assert!(out[1].abs() < 1e-15 && out[3].abs() < 1e-15 && out[3] >= 0.0 && out[1] == out[2]);
}

#[test]
fn draws_have_the_mean_and_the_covariance() {
    let mut memory = [0.0; 4];
    let kernel = [2.0_f32, 0.6, 0.6, 0.5];
    let k = Covariance::new(MatrixRef::new(&kernel, 2, 2).unwrap(), &mut memory).unwrap();
    let mut rng = stream(3, 0, 0, Purpose::NOISE);
    let (mut f, mut sums) = ([0.0; 2], [0.0; 5]);
    const N: usize = 40_000;
    for _ in 0..N {
        draw_into(&k, &[1.0, -2.0], &mut rng, &mut f).unwrap();
        let [x, y] = [f[0] - 1.0, f[1] + 2.0];
        for (sum, v) in sums.iter_mut().zip([x, y, x * x, x * y, y * y]) {
            *sum += v / N as f64;
        }
    }
    // Five standard errors.
    for ((found, expected), bound) in sums
        .iter()
        .zip([0.0, 0.0, 2.0, 0.6, 0.5])
        .zip([0.036, 0.018, 0.072, 0.03, 0.018])
    {
        assert!((found - expected).abs() < bound, "{sums:?}");
    }
}

#[test]
fn a_jitter_is_added_only_where_it_is_needed_and_reported() {
    let mut memory = [0.0; 9];
    let identity = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let k = Covariance::new(MatrixRef::new(&identity, 3, 3).unwrap(), &mut memory).unwrap();
    assert_eq!(k.jitter(), 0.0);
    // Two equal rows.
    let twice = [1.0_f32, 1.0, 0.5, 1.0, 1.0, 0.5, 0.5, 0.5, 1.0];
    let k = Covariance::new(MatrixRef::new(&twice, 3, 3).unwrap(), &mut memory).unwrap();
    assert_eq!(k.jitter(), 1e-10);
    let mut w = [0.0; 3];
    weights_into(&k, &[1.0, 1.0, -1.0], &mut w).unwrap();
    assert!(w.iter().all(|w| w.is_finite()), "{w:?}");
    // Not positive definite by more than rounding.
    let indefinite = [1.0, 0.0, 0.0, 1.2, 1.0, 0.0, 0.0, 0.0, 1.0];
    let found = Covariance::new(MatrixRef::new(&indefinite, 3, 3).unwrap(), &mut memory);
    assert!(matches!(
        found,
        Err(Error::Singular {
            name: "kernel",
            index: 1
        })
    ));
    // By about as much as rounding in f32: a larger jitter.
    let nearly = [1.0, 0.0, 0.0, 1.0 + 2e-9, 1.0, 0.0, 0.0, 0.0, 1.0];
    let k = Covariance::new(MatrixRef::new(&nearly, 3, 3).unwrap(), &mut memory).unwrap();
    assert_eq!(k.jitter(), 1e-8);
    let before = memory;
    let nan = [1.0, 0.0, 0.0, f64::NAN, 1.0, 0.0, 0.0, 0.0, 1.0];
    let found = Covariance::new(MatrixRef::new(&nan, 3, 3).unwrap(), &mut memory);
    assert!(matches!(
        found,
        Err(Error::NonFinite {
            name: "kernel",
            at: At::Row(1)
        })
    ));
    assert_eq!(memory, before);
    assert!(Covariance::new(MatrixRef::<f64>::new(&[], 0, 0).unwrap(), &mut []).is_ok());
    assert!(Covariance::new(MatrixRef::new(&identity, 3, 3).unwrap(), &mut memory[..8]).is_err());
}

#[test]
fn wide_networks_interpolate_and_the_scale_moves_only_the_mean() {
    let data = [
        1.0_f32, 0.2, -0.3, 0.5, -1.0, 0.4, 0.0, 0.6, 1.0, 0.9, 0.3, -0.3,
    ];
    let rows = MatrixRef::new(&data, 4, 3).unwrap();
    let (train, test) = (
        rows.block(0..3, 0..3).unwrap(),
        rows.block(3..4, 0..3).unwrap(),
    );
    let config = Config::new(3);
    let (mut k, mut cross) = ([0.0; 9], [0.0; 3]);
    let mut scratch = [0.0; scratch_len(3, 1, 3) + 100];
    nngp_into(
        &config,
        train,
        MatrixMut::new(&mut k, 3, 3).unwrap(),
        &mut scratch,
    )
    .unwrap();
    nngp_between_into(
        &config,
        test,
        train,
        MatrixMut::new(&mut cross, 1, 3).unwrap(),
        &mut scratch,
    )
    .unwrap();
    let (mut memory, mut w) = ([0.0; 9], [0.0; 3]);
    let factor = Covariance::new(MatrixRef::new(&k, 3, 3).unwrap(), &mut memory).unwrap();
    let labels = [1.0, -1.0, 1.0];
    weights_into(&factor, &labels, &mut w).unwrap();
    let mut at_train = [0.0; 3];
    mean_into(1.0, &w, MatrixRef::new(&k, 3, 3).unwrap(), &mut at_train).unwrap();
    assert!(
        at_train
            .iter()
            .zip(labels)
            .all(|(f, c)| (f - c).abs() < 1e-12),
        "{at_train:?}"
    );
    let (mut one, mut ten) = ([0.0], [0.0]);
    let cross = MatrixRef::new(&cross, 1, 3).unwrap();
    mean_into(1.0, &w, cross, &mut one).unwrap();
    mean_into(10.0, &w, cross, &mut ten).unwrap();
    // The test row is near the first.
    assert!(one[0] > 0.5 && (ten[0] - 10.0 * one[0]).abs() < 1e-14);
    assert!(matches!(
        mean_into(f64::NAN, &w, cross, &mut one),
        Err(Error::Parameter { name: "alpha", .. })
    ));
}
