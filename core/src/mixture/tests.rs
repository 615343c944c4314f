//! Densities and full EM, against closed forms and scikit-learn.

use super::em;
use super::gaussian::{Covariance, Mixture, params_len};
use super::*;
use crate::matrix::MatrixRef;
use crate::random::{self, Purpose};
use crate::snapshot::Snapshot;
use crate::{Error, Real};
use std::vec;
use std::vec::Vec;

/// Storage of parameters that needs no allocator.
type Params<T> = heapless::Vec<T, 64>;

const SHAPES: [Covariance; 4] = [
    Covariance::Full,
    Covariance::Diagonal,
    Covariance::Spherical,
    Covariance::Tied,
];

/// A mixture in vectors, with `sigma` scaled for every component.
fn mixture<T: Real>(
    shape: Covariance,
    weights: &[f64],
    means: &[f64],
    sigma: &[f64],
) -> Mixture<Params<T>> {
    let k = weights.len();
    let d = means.len() / k;
    let t = |x: &[f64]| x.iter().map(|x| T::from_f64(*x)).collect::<Vec<T>>();
    let params = Params::from_slice(&vec![T::ZERO; params_len(shape, k, d)]).unwrap();
    let mut mixture = Mixture::new(shape, k, d, params).unwrap();
    mixture.set_weights(&t(weights)).unwrap();
    let mut scratch = vec![0.0; shape.scratch_len(d)];
    for (j, mean) in means.chunks(d).enumerate() {
        let sigma = &sigma[..shape.covariance_len(d)];
        mixture
            .set_component(j, &t(mean), &t(sigma), &mut scratch)
            .unwrap();
    }
    mixture
}

/// Seven points, two components at (0, 0) and (5, 5) with covariance 2 I.
const POINTS: [f64; 14] = [
    0.0, 0.0, 1.0, 0.5, 0.5, 1.0, 4.0, 4.0, 5.0, 4.5, 4.5, 5.5, 2.5, 2.5,
];

fn oracle(shape: Covariance) -> Mixture<Params<f64>> {
    let sigma: &[f64] = match shape {
        Covariance::Full | Covariance::Tied => &[2.0, 0.0, 0.0, 2.0],
        Covariance::Diagonal => &[2.0, 2.0],
        Covariance::Spherical => &[2.0],
    };
    mixture(shape, &[0.5, 0.5], &[0.0, 0.0, 5.0, 5.0], sigma)
}

fn points() -> MatrixRef<'static, f64> {
    MatrixRef::new(&POINTS, 7, 2).unwrap()
}

fn em_step<T: Real>(
    reg_covar: f64,
    mixture: &mut Mixture<Params<T>>,
    data: MatrixRef<'_, T>,
) -> em::Outcome {
    let view = mixture.view();
    let (shape, k, d) = (view.covariance(), view.components(), view.dim());
    let mut scratch = vec![0.0; em::scratch_len(shape, data.rows(), k, d)];
    em::step(&em::Config { reg_covar }, mixture, data, &mut scratch).unwrap()
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{i}: {f} against {e}");
    }
}

fn covariance(mixture: &Mixture<Params<f64>>, j: usize) -> Vec<f64> {
    let shape = mixture.view().covariance();
    let d = mixture.view().dim();
    let mut out = vec![0.0; shape.covariance_len(d)];
    let mut scratch = vec![0.0; shape.scratch_len(d)];
    let view = mixture.view();
    view.covariance_into(j, &mut out, &mut scratch).unwrap();
    out
}

/// scikit-learn `GaussianMixture(2, weights_init, means_init, precisions_init, max_iter=1, reg_covar=0)`.
#[test]
fn a_step_is_that_of_scikit_learn() {
    for (shape, after) in SHAPES.into_iter().zip([-2.426016189, -3.063547759]) {
        let mut mixture = oracle(shape);
        let mut r = [0.0; 2];
        let view = mixture.view();
        view.responsibilities_into(&[1.0, 0.5], &mut r).unwrap();
        assert_near(&r, &[0.999841563781, 0.000158436219], 1e-12);
        view.responsibilities_into(&[2.5, 2.5], &mut r).unwrap();
        assert_near(&r, &[0.5, 0.5], 1e-15);
        let found = em_step(0.0, &mut mixture, points());
        assert_near(&[found.mean_log_likelihood], &[-3.7589517889458484], 2e-15);
        assert_eq!((found.evaluations, found.kept), (14, 0));
        let view = mixture.view();
        let weights: Vec<f64> = view.log_weights().iter().map(|l| l.exp()).collect();
        assert_near(&weights, &[0.50003556, 0.49996444], 5e-9);
        let means = [0.786245588, 0.786244795, 4.213998187, 4.356866284];
        assert_near(view.means(), &means, 5e-10);
        let full = [
            [0.634313673, 0.562897622, 0.562897622, 0.634307916],
            [0.633799524, 0.603216018, 0.603216018, 0.909410119],
        ];
        for (j, full) in full.iter().enumerate() {
            let expected = match shape {
                Covariance::Full => full.to_vec(),
                _ => vec![full[0], full[3]],
            };
            assert_near(&covariance(&mixture, j), &expected, 5e-10);
        }
        let mean = view.mean_log_likelihood(points(), &mut [0.0; 2]).unwrap();
        assert_near(&[mean], &[after], 6e-10);
    }
}

#[test]
fn steps_converge_to_the_optimum_of_scikit_learn_and_never_descend() {
    let mut mixture = oracle(Covariance::Full);
    let mut last = f64::NEG_INFINITY;
    for _ in 0..200 {
        let found = em_step(0.0, &mut mixture, points());
        assert!(found.mean_log_likelihood >= last - 1e-9);
        last = found.mean_log_likelihood;
    }
    assert_near(&[last], &[-2.265376853], 5e-10);
}

/// Rows near three centres.
fn cloud(n: usize, d: usize) -> Vec<f64> {
    let mut rng = random::stream(3, 0, 0, Purpose::DATA);
    (0..n)
        .flat_map(|i| (0..d).map(move |a| (i % 3 * 4 + a) as f64))
        .map(|centre| centre + random::normal::<f64>(&mut rng))
        .collect()
}

#[test]
fn the_mean_log_likelihood_rises_in_every_shape() {
    let x = cloud(300, 3);
    let data = MatrixRef::new(&x, 300, 3).unwrap();
    for shape in SHAPES {
        let sigma = match shape {
            Covariance::Full | Covariance::Tied => {
                vec![9.0, 1.0, 0.0, 1.0, 9.0, 0.0, 0.0, 0.0, 9.0]
            }
            Covariance::Diagonal => vec![9.0; 3],
            Covariance::Spherical => vec![9.0],
        };
        let means: Vec<f64> = x[..12].to_vec();
        let mut mixture = mixture(shape, &[0.1, 0.2, 0.3, 0.4], &means, &sigma);
        let first = em_step(0.0, &mut mixture, data).mean_log_likelihood;
        let mut last = first;
        for _ in 0..60 {
            let found = em_step(0.0, &mut mixture, data).mean_log_likelihood;
            assert!(found >= last - 1e-9, "{shape:?}: {found} after {last}");
            last = found;
        }
        assert!(last > first + 0.5, "{shape:?}: {first} to {last}");
    }
}

#[test]
fn blocks_of_rows_evaluate_twice_and_change_no_bit() {
    let x = cloud(10, 2);
    let data = MatrixRef::new(&x, 10, 2).unwrap();
    for shape in SHAPES {
        let full = em::scratch_len(shape, 10, 2, 2);
        let least = em::least_scratch_len(shape, 2, 2);
        let config = em::Config::default();
        let mut whole = oracle(shape);
        let found = em::step(&config, &mut whole, data, &mut vec![0.0; full]).unwrap();
        assert_eq!(found.evaluations, 20);
        for len in [least, least + 5, full - 1] {
            let mut blocks = oracle(shape);
            let again = em::step(&config, &mut blocks, data, &mut vec![7.0; len]).unwrap();
            assert_eq!(blocks, whole);
            assert_eq!(again.mean_log_likelihood, found.mean_log_likelihood);
            assert_eq!(again.evaluations, 40);
        }
    }
}

/// The density by the inverse and the determinant of a 2 x 2 matrix.
fn density_of_the_plane<T: Real>(tolerance: f64) {
    let [s00, s10, s11] = [1.25, -0.5, 2.0];
    let full = mixture::<T>(
        Covariance::Full,
        &[1.0],
        &[0.5, -1.0],
        &[s00, 9.0, s10, s11],
    );
    let det = s00 * s11 - s10 * s10;
    for i in 0..20 {
        let x = [f64::from(i) * 0.25 - 2.0, 1.5 - f64::from(i % 7) * 0.5];
        let (u, v) = (x[0] - 0.5, x[1] + 1.0);
        let square = (s11 * u * u - 2.0 * s10 * u * v + s00 * v * v) / det;
        let expected = -std::f64::consts::TAU.ln() - 0.5 * det.ln() - 0.5 * square;
        let found = full.view().log_density(0, &x.map(T::from_f64)).unwrap();
        assert_near(&[found.to_f64()], &[expected], tolerance * expected.abs());
    }
}

#[test]
fn densities_are_those_of_the_inverse_matrix() {
    density_of_the_plane::<f64>(1e-15);
    density_of_the_plane::<f32>(1e-6);
}

#[test]
fn a_diagonal_covariance_is_the_full_one_without_off_diagonals() {
    let full = mixture::<f64>(
        Covariance::Full,
        &[1.0],
        &[0.5, -1.0],
        &[4.0, 0.0, 0.0, 0.25],
    );
    let diagonal = mixture::<f64>(Covariance::Diagonal, &[1.0], &[0.5, -1.0], &[4.0, 0.25]);
    for x in [[0.0, 0.0], [7.0, -3.0]] {
        let [a, b] = [&full, &diagonal].map(|m| m.view().log_density(0, &x).unwrap());
        assert_near(&[a], &[b], 1e-14);
    }
    assert_near(&covariance(&diagonal, 0), &[4.0, 0.25], 1e-15);
}

#[test]
fn log_sums_follow_the_rules_of_infinity() {
    let inf = f64::INFINITY;
    assert_eq!(log_sum_exp::<f64>(&[]), -inf);
    assert_eq!(log_sum_exp(&[-inf, -700.0, -inf]), -700.0);
    assert!(log_sum_exp(&[-inf, f64::NAN]).is_nan());
    assert!(log_sum_exp(&[0.0, f64::NAN]).is_nan());
    // 1000 equal terms, far below the range of exp.
    let x = [-1e5_f64; 1000];
    assert_near(&[log_sum_exp(&x)], &[1000.0_f64.ln() - 1e5], 1e-10);
    let mut r = [-inf, -2000.0, -2000.0];
    responsibilities(&mut r);
    assert_eq!(r, [0.0, 0.5, 0.5]);
    let mut broken = [-inf, f64::NAN];
    assert!(responsibilities(&mut broken).is_nan() && broken[0].is_nan());
    // scipy.special.logsumexp 1.17.1: inf, inf, inf, nan, nan.
    assert_eq!(log_sum_exp(&[inf, 1.0]), inf);
    assert_eq!(log_sum_exp(&[-inf, inf, inf]), inf);
    assert_eq!(log_sum_exp(&[f32::INFINITY; 40]), f32::INFINITY);
    assert!(log_sum_exp(&[inf, f64::NAN]).is_nan());
    assert!(log_sum_exp(&[f64::NAN, -inf, inf]).is_nan());
    // The limit of equal numbers that grow, next to others that do not.
    let mut certain = [inf, 1.0, -inf, inf];
    assert_eq!(responsibilities(&mut certain), inf);
    assert_eq!(certain, [0.5, 0.0, 0.0, 0.5]);
    let mut broken = [inf, 1.0, f64::NAN];
    assert!(responsibilities(&mut broken).is_nan() && broken.iter().all(|r| r.is_nan()));
    assert_eq!(responsibilities::<f64>(&mut []), -inf);
}

/// Differences that overflow, times the zeros of a factor without correlations.
fn far_rows_are_impossible<T: Real>() {
    for shape in SHAPES {
        let sigma: &[f64] = match shape {
            Covariance::Full | Covariance::Tied => &[1.0, 0.0, 0.0, 1.0],
            Covariance::Diagonal => &[1.0, 1.0],
            Covariance::Spherical => &[1.0],
        };
        let mut mixture = mixture::<T>(shape, &[0.5, 0.5], &[0.0; 4], sigma);
        let far = [-T::MAX, T::MAX];
        for (j, mean) in [(0, far), (1, [T::ZERO; 2])] {
            let sigma: Vec<T> = sigma.iter().map(|x| T::from_f64(*x)).collect();
            let mut scratch = [0.0; 6];
            mixture
                .set_component(j, &mean, &sigma, &mut scratch)
                .unwrap();
        }
        let view = mixture.view();
        let mut r = [T::ONE; 2];
        for x in [[T::MAX, -T::MAX], [T::MAX, T::ZERO], [T::ZERO, -T::MAX]] {
            assert_eq!(view.log_density(0, &x), Ok(-T::INFINITY));
            assert_eq!(view.log_density(1, &x), Ok(-T::INFINITY));
            assert_eq!(view.responsibilities_into(&x, &mut r), Ok(-T::INFINITY));
            assert_eq!(r, [T::ZERO; 2]);
        }
        // The row at the far mean belongs to it.
        assert!(
            view.responsibilities_into(&far, &mut r)
                .unwrap()
                .is_finite()
        );
        assert_eq!(r, [T::ONE, T::ZERO]);
        for bad in [T::NAN, T::INFINITY] {
            for x in [[bad, T::ZERO], [T::ZERO, bad]] {
                let index = usize::from(!x[1].is_finite());
                let refused = Error::NonFinite {
                    name: "x",
                    at: crate::At::Element(index),
                };
                assert_eq!(view.responsibilities_into(&x, &mut r), Err(refused));
            }
        }
        let rows = [[T::MAX, -T::MAX], [T::ZERO; 2], [T::ONE; 2]];
        let data = MatrixRef::new(rows.as_flattened(), 3, 2).unwrap();
        let found = em_step(1.0, &mut mixture, data);
        assert_eq!(found.mean_log_likelihood, f64::NEG_INFINITY);
        assert!(mixture.params().iter().all(|x| x.is_finite()));
        let half = T::from_f64(0.5);
        assert_eq!(mixture.view().means()[2..], [half; 2]);
    }
}

#[test]
fn rows_too_far_for_the_scalar_type_are_impossible_and_spoil_no_other() {
    far_rows_are_impossible::<f32>();
    far_rows_are_impossible::<f64>();
}

#[test]
fn an_impossible_row_has_no_responsibilities_and_spoils_no_other() {
    // The square of 1e30 overflows f32.
    let data = [0.0_f32, 2.0, 1e30];
    let mut mixture = mixture::<f32>(Covariance::Full, &[1.0], &[0.0], &[1.0]);
    let found = em_step(0.0, &mut mixture, MatrixRef::new(&data, 3, 1).unwrap());
    assert_eq!(found.mean_log_likelihood, f64::NEG_INFINITY);
    assert_eq!(
        (mixture.view().means(), mixture.view().factors()),
        (&[1.0][..], &[1.0][..])
    );
}

/// 1000 numbers near `offset` with a deviation of 0.1, and their variance in `f64`.
fn far_from_zero(offset: f64) -> (Vec<f32>, f64) {
    let mut rng = random::stream(5, 0, 0, Purpose::DATA);
    let x: Vec<f32> = (0..1000)
        .map(|_| (offset + 0.1 * random::normal::<f64>(&mut rng)) as f32)
        .collect();
    let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / 1000.0;
    let square = |x: &f32| (f64::from(*x) - mean) * (f64::from(*x) - mean);
    let variance = x.iter().map(square).sum::<f64>() / 1000.0;
    (x, variance)
}

#[test]
fn the_variance_of_f32_data_far_from_zero_is_right() {
    for offset in [100.0, 1000.0] {
        let (x, variance) = far_from_zero(offset);
        let data = MatrixRef::new(&x, 1000, 1).unwrap();
        let mut mixture = mixture::<f32>(Covariance::Full, &[1.0], &[0.0], &[1e6]);
        em_step(0.0, &mut mixture, data);
        let w = f64::from(mixture.view().factors()[0]);
        assert!((w * w * variance - 1.0).abs() < 1e-6, "{offset}");
    }
}

#[test]
fn a_component_that_collapses_keeps_its_covariance() {
    // The far component owns one row: its covariance is 0.
    let data = [0.0, 1.0, 2.0, 100.0];
    let mut mixture = mixture::<f64>(Covariance::Full, &[0.5, 0.5], &[1.0, 99.0], &[1.0]);
    let found = em_step(0.0, &mut mixture, MatrixRef::new(&data, 4, 1).unwrap());
    assert_eq!(found.kept, 1);
    assert_eq!(mixture.view().means(), [1.0, 100.0]);
    assert_eq!(mixture.view().factors()[1], 1.0);
    // A component that owns nothing keeps everything but its weight.
    let mut idle = self::mixture::<f64>(Covariance::Full, &[0.5, 0.5], &[1.0, 1e5], &[1.0]);
    em_step(0.0, &mut idle, MatrixRef::new(&data[..3], 3, 1).unwrap());
    let view = idle.view();
    assert_eq!((view.means()[1], view.factors()[1]), (1e5, 1.0));
    assert_near(&[view.log_weights()[1]], &[(1e-12_f64 / 3.0).ln()], 1e-9);
}

#[test]
fn what_is_wrong_has_a_name_and_changes_nothing() {
    let mut mixture = oracle(Covariance::Full);
    let before = mixture.clone();
    let config = em::Config::default();
    let mut room = vec![0.0; em::scratch_len(Covariance::Full, 7, 2, 2)];
    let mut bad = POINTS;
    bad[9] = f64::NAN;
    let data = MatrixRef::new(&bad, 7, 2).unwrap();
    let name = "data";
    assert_eq!(
        em::step(&config, &mut mixture, data, &mut room),
        Err(Error::NonFinite {
            name,
            at: crate::At::Row(4)
        })
    );
    let wide = MatrixRef::new(&POINTS, 2, 7).unwrap();
    assert!(matches!(
        em::step(&config, &mut mixture, wide, &mut room),
        Err(Error::Length {
            name: "columns of data",
            ..
        })
    ));
    let none = MatrixRef::new(&[], 0, 2).unwrap();
    assert!(em::step(&config, &mut mixture, none, &mut room).is_err());
    let least = em::least_scratch_len(Covariance::Full, 2, 2);
    assert!(matches!(
        em::step(&config, &mut mixture, points(), &mut room[..least - 1]),
        Err(Error::Length {
            name: "scratch",
            ..
        })
    ));
    let config = em::Config {
        reg_covar: f64::NAN,
    };
    assert!(em::step(&config, &mut mixture, points(), &mut room).is_err());
    let scratch = &mut [0.0; 8];
    for sigma in [[1.0, 0.0, 2.0, 1.0], [0.0; 4], [-1.0, 0.0, 0.0, 1.0]] {
        let error = mixture.set_component(1, &[0.0; 2], &sigma, scratch);
        assert!(matches!(
            error,
            Err(Error::Singular {
                name: "covariance",
                ..
            })
        ));
    }
    assert!(
        mixture
            .set_component(2, &[0.0; 2], &[1.0; 4], scratch)
            .is_err()
    );
    assert!(
        mixture
            .set_component(0, &[f64::NAN, 0.0], &[1.0; 4], scratch)
            .is_err()
    );
    assert!(mixture.set_weights(&[f64::INFINITY, 1.0]).is_err());
    assert!(mixture.set_weights(&[0.0, 0.0]).is_err());
    assert_eq!(mixture, before);
    // A factor beyond the scalar type.
    let mut narrow = self::mixture::<f32>(Covariance::Diagonal, &[1.0], &[0.0], &[1.0]);
    assert!(
        narrow
            .set_component(0, &[0.0], &[1e-45], &mut [0.0; 2])
            .is_ok()
    );
    assert!(Mixture::new(Covariance::Full, 0, 1, [0.0_f32; 0]).is_err());
    assert!(Mixture::new(Covariance::Full, 1, 0, [0.0_f32; 2]).is_err());
    // Parameters that are not numbers are found by the log-likelihood.
    let mut params = Params::from_slice(before.params()).unwrap();
    params[3] = f64::NAN;
    let mut broken = Mixture::from_params(Covariance::Full, 2, 2, params).unwrap();
    assert!(matches!(
        em::step(&em::Config::default(), &mut broken, points(), &mut room),
        Err(Error::NonFinite {
            name: "log-likelihood",
            at: crate::At::Row(0)
        })
    ));
    // An infinite weight outweighs everything, and is no weight.
    let mut params = Params::from_slice(before.params()).unwrap();
    params[1] = f64::INFINITY;
    let mut broken = Mixture::from_params(Covariance::Full, 2, 2, params).unwrap();
    assert_eq!(
        em::step(&em::Config::default(), &mut broken, points(), &mut room),
        Err(Error::NonFinite {
            name: "log-likelihood",
            at: crate::At::Row(0)
        })
    );
}

#[test]
fn draws_have_the_moments_of_the_mixture() {
    let weights = [0.25, 0.75];
    let means = [-2.0, 1.0, 2.0, 0.0];
    let mixture = mixture::<f64>(Covariance::Full, &weights, &means, &[1.0, 0.0, 0.5, 0.5]);
    let mut rng = random::stream(8, 0, 0, Purpose::DATA);
    let (mut x, mut scratch) = ([0.0; 2], [0.0; 2]);
    let (n, mut mean, mut second) = (100_000, [0.0; 2], [0.0; 3]);
    for _ in 0..n {
        mixture
            .view()
            .sample_into(&mut rng, &mut x, &mut scratch)
            .unwrap();
        for ((sum, square), x) in mean.iter_mut().zip(&mut second).zip(&x) {
            *sum += x / f64::from(n);
            *square += x * x / f64::from(n);
        }
        second[2] += x[0] * x[1] / f64::from(n);
    }
    // E x = 1, E y = 1/4; E xx = 1 + 4, E yy = 1/2 + 1/4; E xy = 1/2 - 2/4 = 0. Variances of these below 4, 1; 25, 2; 8.
    let n = f64::from(n).sqrt();
    assert_near(&mean, &[1.0, 0.25], 5.0 * 2.0 / n);
    assert_near(&second, &[5.0, 0.75, 0.0], 5.0 * 5.0 / n);
}

#[test]
fn a_mixture_survives_the_round_trip_and_no_other_shape_does() {
    let mut bytes = [0; 400];
    let mixture = oracle(Covariance::Full);
    let len = mixture.save(&mut bytes).unwrap();
    assert_eq!(len, mixture.snapshot_len());
    let params = Params::from_slice(&[0.0; 14]).unwrap();
    let mut other = Mixture::new(Covariance::Full, 2, 2, params).unwrap();
    other.restore(&bytes[..len]).unwrap();
    assert_eq!(other, mixture);
    let mut diagonal = oracle(Covariance::Diagonal);
    assert!(diagonal.restore(&bytes[..len]).is_err());
    assert_eq!(diagonal, oracle(Covariance::Diagonal));
}
