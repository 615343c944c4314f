//! The four shapes of covariances, weights of rows, starts and fits, against scikit-learn and closed forms.

use super::*;
use thalweg::mixture::em::{Fit as Until, Init, Rows};

const ROWS: usize = 60;
const K: usize = 3;
const D: usize = 3;

/// The rows of `golden/mixture.py`.
fn data() -> Vec<f64> {
    let centres = [[0.0, 0.0, 0.0], [3.0, 0.0, 1.5], [0.5, 2.5, -1.0]];
    (0..ROWS * D)
        .map(|i| {
            let word = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(12_345);
            let noise = f64::from(word >> 20) / 1024.0 - 2.0;
            centres[i / D % 3][i % D] + noise * [1.0, 0.5, 0.75][i % D]
        })
        .collect()
}

/// The start of `golden/mixture.py`: standard components.
fn begin<T: Real>(shape: Covariance) -> Mixture<Vec<T>> {
    let means = [0.0, 0.0, 0.0, 2.0, 0.0, 1.0, 1.0, 2.0, 0.0];
    let mut mixture = Mixture::new(shape, K, D, vec![T::ZERO; params_len(shape, K, D)]).unwrap();
    mixture
        .set_weights(&narrow::<T>(&[0.25, 0.25, 0.5]))
        .unwrap();
    let unit: Vec<f64> = match shape.covariance_len(D) {
        9 => vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        len => vec![1.0; len],
    };
    let mut scratch = vec![0.0; shape.scratch_len(D)];
    for (j, mean) in means.chunks(D).enumerate() {
        mixture
            .set_component(j, &narrow::<T>(mean), &narrow::<T>(&unit), &mut scratch)
            .unwrap();
    }
    mixture
}

/// Covariances as `golden/mixture.py` packs them.
fn packed(mixture: &Mixture<Vec<f64>>) -> Vec<f64> {
    let view = mixture.view();
    let shape = view.covariance();
    let mut scratch = vec![0.0; shape.scratch_len(D)];
    let components = if shape == Covariance::Tied { 1 } else { K };
    let mut all = vec![];
    for j in 0..components {
        let mut sigma = vec![0.0; shape.covariance_len(D)];
        view.covariance_into(j, &mut sigma, &mut scratch).unwrap();
        if sigma.len() == D * D {
            all.extend((0..D).flat_map(|a| sigma[a * D..=a * D + a].to_vec()));
        } else {
            all.extend(sigma);
        }
    }
    all
}

fn golden() -> impl Iterator<Item = (&'static str, Covariance, usize, Vec<f64>, Vec<u32>)> {
    include_str!("../golden/mixture.txt")
        .lines()
        .skip(1)
        .map(|line| {
            let mut words = line.split(' ');
            let rows = words.next().unwrap();
            let shape = match words.next().unwrap() {
                "full" => Covariance::Full,
                "diag" => Covariance::Diagonal,
                "spherical" => Covariance::Spherical,
                _ => Covariance::Tied,
            };
            let steps = words.next().unwrap().parse().unwrap();
            let words: Vec<&str> = words.collect();
            let (numbers, labels) = words.split_at(words.len() - ROWS);
            (
                rows,
                shape,
                steps,
                numbers.iter().map(|x| x.parse().unwrap()).collect(),
                labels.iter().map(|x| x.parse().unwrap()).collect(),
            )
        })
}

#[test]
fn four_shapes_agree_with_scikit_learn() {
    let config = em::Config { reg_covar: 1e-3 };
    let mut cases = 0;
    for (rows, shape, steps, numbers, labels) in golden() {
        let x = data();
        // Half of the rows twice, the others not at all.
        let twice: Vec<f64> = (0..ROWS)
            .map(|i| if i < ROWS / 2 { 2.0 } else { 0.0 })
            .collect();
        let matrix = MatrixRef::new(&x, ROWS, D).unwrap();
        let of = Rows {
            data: matrix,
            weights: (rows == "twice").then_some(&twice),
        };
        for scratch in [
            em::scratch_len(shape, ROWS, K, D),
            em::least_scratch_len(shape, K, D),
        ] {
            let mut mixture = begin::<f64>(shape);
            let mut scratch = vec![f64::NAN; scratch];
            for _ in 0..steps {
                em::step(&config, &mut mixture, of, &mut scratch).unwrap();
            }
            let view = mixture.view();
            let mut found: Vec<f64> = view.log_weights().iter().map(|l| l.exp()).collect();
            found.extend(view.means());
            found.extend(packed(&mixture));
            let mean = if rows == "twice" {
                let half = MatrixRef::new(&x[..ROWS / 2 * D], ROWS / 2, D).unwrap();
                view.mean_log_likelihood(half, &mut [0.0; K]).unwrap()
            } else {
                view.mean_log_likelihood(matrix, &mut [0.0; K]).unwrap()
            };
            found.extend([mean, view.bic(mean, ROWS), view.aic(mean, ROWS)]);
            assert_eq!(found.len(), numbers.len(), "{shape:?}");
            for (i, (f, e)) in found.iter().zip(&numbers).enumerate() {
                assert!(
                    (f - e).abs() <= 1e-10 * e.abs().max(1.0),
                    "{rows} {shape:?} {steps} {i}: {f} against {e}"
                );
            }
            if rows == "all" {
                let mut predicted = vec![9; ROWS];
                view.predict_into(matrix, &mut predicted).unwrap();
                assert_eq!(predicted, labels, "{shape:?}");
            }
        }
        cases += 1;
    }
    assert_eq!(cases, 10);
}

/// Every weight differs: a row of weight 3 is three rows.
#[test]
fn a_weight_is_a_number_of_equal_rows() {
    let x = data();
    let weights: Vec<f64> = (0..ROWS).map(|i| (i % 4) as f64).collect();
    let repeated: Vec<f64> = x
        .chunks(D)
        .enumerate()
        .flat_map(|(i, row)| row.repeat(i % 4))
        .collect();
    let of = Rows {
        data: MatrixRef::new(&x, ROWS, D).unwrap(),
        weights: Some(&weights),
    };
    let n = repeated.len() / D;
    let many = MatrixRef::new(&repeated, n, D).unwrap();
    assert_eq!(of.total(), n as f64);
    for shape in SHAPES {
        let (mut weighted, mut plain) = (begin::<f64>(shape), begin::<f64>(shape));
        let mut scratch = vec![0.0; em::scratch_len(shape, n, K, D)];
        let config = em::Config::default();
        for _ in 0..3 {
            let found = em::step(&config, &mut weighted, of, &mut scratch).unwrap();
            let expected = em::step(&config, &mut plain, many, &mut scratch).unwrap();
            let (found, expected) = (found.mean_log_likelihood, expected.mean_log_likelihood);
            assert!((found - expected).abs() < 1e-12, "{shape:?}");
        }
        assert_near(weighted.params(), plain.params(), 1e-11);
    }
}

/// Two clusters, and far away a row that does not count: no centre starts there. Lloyd's steps end where every centre is the mean of the rows that
/// are nearest to it.
#[test]
fn k_means_ends_at_a_fixed_point_and_heeds_weights() {
    let shape = Covariance::Diagonal;
    let far = [0.0, 0.5, 10.0, 10.5, 1e4];
    let rows = Rows {
        data: MatrixRef::new(&far, 5, 1).unwrap(),
        weights: Some(&[1.0, 1.0, 1.0, 1.0, 0.0]),
    };
    for seed in 0..20 {
        let mut mixture = Mixture::new(shape, 2, 1, vec![0.0; params_len(shape, 2, 1)]).unwrap();
        let mut scratch = vec![0.0; em::start_scratch_len(shape, 5, 2, 1)];
        let config = em::Config::default();
        em::start(
            &config,
            Init::KMeans,
            &mut mixture,
            rows,
            seed,
            &mut scratch,
        )
        .unwrap();
        let mut means = mixture.view().means().to_vec();
        means.sort_by(f64::total_cmp);
        assert_near(&means, &[0.25, 10.25], 1e-12);
    }
    let x = data();
    let matrix = MatrixRef::new(&x, ROWS, D).unwrap();
    for seed in 0..20 {
        let mut mixture = Mixture::new(shape, K, D, vec![0.0; params_len(shape, K, D)]).unwrap();
        let mut scratch = vec![0.0; em::start_scratch_len(shape, ROWS, K, D)];
        let config = em::Config::default();
        em::start(
            &config,
            Init::KMeans,
            &mut mixture,
            matrix,
            seed,
            &mut scratch,
        )
        .unwrap();
        let means = mixture.view().means().to_vec();
        let (mut sums, mut counts) = (vec![0.0; K * D], [0.0; K]);
        for row in x.chunks(D) {
            let square = |j: &usize| -> f64 {
                let mean = &means[j * D..(j + 1) * D];
                row.iter().zip(mean).map(|(x, m)| (x - m) * (x - m)).sum()
            };
            let nearest = (0..K)
                .min_by(|a, b| square(a).total_cmp(&square(b)))
                .unwrap();
            counts[nearest] += 1.0;
            for (sum, x) in sums[nearest * D..].iter_mut().zip(row) {
                *sum += x;
            }
        }
        for (j, count) in counts.into_iter().enumerate() {
            let expected: Vec<f64> = sums[j * D..(j + 1) * D].iter().map(|s| s / count).collect();
            assert_near(&means[j * D..(j + 1) * D], &expected, 1e-12);
        }
    }
}

#[test]
fn of_components_that_are_equally_likely_the_first_is_predicted() {
    let mut mixture = Mixture::new(Covariance::Spherical, 2, 1, vec![0.0_f64; 8]).unwrap();
    mixture
        .set_component(1, &[4.0], &[1.0], &mut [0.0; 2])
        .unwrap();
    let data = MatrixRef::new(&[2.0, 3.0, 1.0], 3, 1).unwrap();
    let mut labels = [9; 3];
    mixture.view().predict_into(data, &mut labels).unwrap();
    assert_eq!(labels, [0, 1, 0]);
}

/// With step size 1 on the whole data and all components visited by their responsibilities, selection is a step of EM.
#[test]
fn a_whole_batch_of_all_components_is_a_step_of_em() {
    let x = data();
    let matrix = MatrixRef::new(&x, ROWS, D).unwrap();
    for shape in SHAPES {
        let (mut stepped, mut selected) = (begin::<f64>(shape), begin::<f64>(shape));
        let mut scratch =
            vec![0.0; em::scratch_len(shape, ROWS, K, D).max(scratch_len(shape, K, D))];
        em::step(&em::Config::default(), &mut stepped, matrix, &mut scratch).unwrap();
        let memory = buffers(
            vec![0; ROWS],
            vec![0.0; statistics_len(shape, K, D)],
            vec![],
        );
        let mut state = State::new(&selected.view(), matrix, 7, memory, &mut scratch).unwrap();
        let config = Config {
            batch_size: ROWS,
            step_size: StepSize::Constant(1.0),
            proposal: Proposal::All,
            ..Config::new(7)
        };
        let mut words = vec![0; config.words_len(K)];
        step(
            &config,
            &mut selected,
            &mut state,
            matrix,
            &mut words,
            &mut scratch,
        )
        .unwrap();
        assert_near(stepped.params(), selected.params(), 1e-12);
    }
}

#[test]
fn draws_have_the_covariance_of_their_shape() {
    let mut rng = random::stream(5, 0, 0, Purpose::DATA);
    for shape in SHAPES {
        let mut mixture = Mixture::new(shape, 1, 2, vec![0.0; params_len(shape, 1, 2)]).unwrap();
        let sigma: &[f64] = match shape {
            Covariance::Full | Covariance::Tied => &[4.0, 2.0, 2.0, 10.0],
            Covariance::Diagonal => &[4.0, 10.0],
            Covariance::Spherical => &[4.0],
        };
        mixture
            .set_component(0, &[1.0, 2.0], sigma, &mut [0.0; 8])
            .unwrap();
        let expected = match shape {
            Covariance::Full | Covariance::Tied => [4.0, 2.0, 10.0],
            Covariance::Diagonal => [4.0, 0.0, 10.0],
            Covariance::Spherical => [4.0, 0.0, 4.0],
        };
        let (n, mut sums) = (20_000, [0.0; 3]);
        for _ in 0..n {
            let mut x = [0.0; 2];
            mixture
                .view()
                .sample_into(&mut rng, &mut x, &mut [0.0])
                .unwrap();
            let (a, b) = (x[0] - 1.0, x[1] - 2.0);
            for (sum, term) in sums.iter_mut().zip([a * a, a * b, b * b]) {
                *sum += term / f64::from(n);
            }
        }
        // Five standard errors of a second moment, at most sqrt(2) 10 / sqrt(n).
        assert_near(&sums, &expected, 0.5);
    }
}

#[test]
fn a_fit_stops_where_the_likelihood_does_and_reports_it() {
    let x = data();
    let matrix = MatrixRef::new(&x, ROWS, D).unwrap();
    for shape in SHAPES {
        let mut mixture = begin::<f64>(shape);
        let mut scratch = vec![0.0; em::scratch_len(shape, ROWS, K, D)];
        let config = Until {
            tol: 1e-9,
            max_iter: 2000,
            ..Until::default()
        };
        let found = em::fit(&config, &mut mixture, matrix, &mut scratch).unwrap();
        assert!(found.converged, "{shape:?}");
        assert_eq!(found.evaluations, (found.iterations * ROWS * K) as u64);
        let after = mixture
            .view()
            .mean_log_likelihood(matrix, &mut [0.0; K])
            .unwrap();
        assert!(
            (after - found.mean_log_likelihood).abs() < 1e-9,
            "{shape:?}"
        );
        let short = Until {
            max_iter: 2,
            ..config
        };
        let found = em::fit(&short, &mut begin::<f64>(shape), matrix, &mut scratch).unwrap();
        assert!(!found.converged && found.iterations == 2);
    }
}

#[test]
fn starts_find_three_clusters_far_apart_for_every_seed() {
    let x: Vec<f64> = (0..90)
        .map(|i| f64::from(i % 3) * 100.0 + f64::from(i) * 0.01)
        .collect();
    let matrix = MatrixRef::new(&x, 90, 1).unwrap();
    // The mean of 0.01 (i, i + 3, ..) over 30 of them, and 100 i.
    let expected = [0.435, 100.445, 200.455];
    for shape in SHAPES {
        for seed in 0..40 {
            let mut mixture =
                Mixture::new(shape, 3, 1, vec![0.0; params_len(shape, 3, 1)]).unwrap();
            let mut scratch = vec![0.0; em::start_scratch_len(shape, 90, 3, 1)];
            em::start(
                &em::Config::default(),
                Init::KMeans,
                &mut mixture,
                matrix,
                seed,
                &mut scratch,
            )
            .unwrap();
            let mut means = mixture.view().means().to_vec();
            means.sort_by(f64::total_cmp);
            assert_near(&means, &expected, 1e-9);
            assert_near(mixture.view().log_weights(), &[-(3.0_f64.ln()); 3], 1e-12);
        }
    }
}

#[test]
fn random_rows_are_means_with_the_covariance_of_all() {
    let x = data();
    let matrix = MatrixRef::new(&x, ROWS, D).unwrap();
    let mean: Vec<f64> = (0..D)
        .map(|a| x.iter().skip(a).step_by(D).sum::<f64>() / ROWS as f64)
        .collect();
    let shape = Covariance::Full;
    let mut mixture = Mixture::new(shape, K, D, vec![0.0; params_len(shape, K, D)]).unwrap();
    let mut scratch = vec![0.0; em::start_scratch_len(shape, ROWS, K, D)];
    let config = em::Config { reg_covar: 0.0 };
    em::start(
        &config,
        Init::RandomRows,
        &mut mixture,
        matrix,
        3,
        &mut scratch,
    )
    .unwrap();
    for found in mixture.view().means().chunks(D) {
        assert!(x.chunks(D).any(|row| row == found));
    }
    let mut sigma = [0.0; D * D];
    for j in 0..K {
        mixture
            .view()
            .covariance_into(j, &mut sigma, &mut scratch)
            .unwrap();
        for a in 0..D {
            for b in 0..D {
                let expected = x
                    .chunks(D)
                    .map(|row| (row[a] - mean[a]) * (row[b] - mean[b]))
                    .sum::<f64>()
                    / ROWS as f64;
                assert!((sigma[a * D + b] - expected).abs() < 1e-12);
            }
        }
    }
}

#[test]
fn the_unit_cube_is_the_start_of_the_paper() {
    let x = data();
    let matrix = MatrixRef::new(&x, ROWS, D).unwrap();
    let shape = Covariance::Full;
    let mut scratch = vec![0.0; em::start_scratch_len(shape, ROWS, 200, D)];
    let mut mixture = Mixture::new(shape, 200, D, vec![0.0; params_len(shape, 200, D)]).unwrap();
    em::start(
        &em::Config::default(),
        Init::UnitCube,
        &mut mixture,
        matrix,
        3,
        &mut scratch,
    )
    .unwrap();
    let view = mixture.view();
    let means = view.means();
    assert!(means.iter().all(|m| (0.0..1.0).contains(m)));
    // Five standard errors of the mean of 600 uniform numbers.
    let mean = means.iter().sum::<f64>() / 600.0;
    assert!((mean - 0.5).abs() < 5.0 * (1.0_f64 / 12.0 / 600.0).sqrt());
    let total: f64 = view.log_weights().iter().map(|l| l.exp()).sum();
    assert!((total - 1.0).abs() < 1e-12);
    assert!(view.half_log_determinants().iter().all(|h| *h == 0.0));
}

#[test]
fn several_starts_keep_the_best_and_count_all() {
    let x = data();
    let matrix = MatrixRef::new(&x, ROWS, D).unwrap();
    let shape = Covariance::Diagonal;
    let len = params_len(shape, K, D);
    let mut scratch = vec![0.0; em::start_scratch_len(shape, ROWS, K, D)];
    let mut one = |seed: u64| {
        let mut mixture = Mixture::new(shape, K, D, vec![0.0; len]).unwrap();
        em::start(
            &em::Config::default(),
            Init::RandomRows,
            &mut mixture,
            matrix,
            seed,
            &mut scratch,
        )
        .unwrap();
        let found = em::fit(&Until::default(), &mut mixture, matrix, &mut scratch).unwrap();
        (found, mixture)
    };
    let each: Vec<_> = (20..26).map(&mut one).collect();
    let mut best = &each[0];
    for other in &each {
        if other.0.mean_log_likelihood > best.0.mean_log_likelihood {
            best = other;
        }
    }
    let evaluations: u64 = each.iter().map(|(found, _)| found.evaluations).sum();
    let mut mixture = Mixture::new(shape, K, D, vec![0.0; len]).unwrap();
    let mut memory = vec![0.0; len];
    let mut scratch = vec![0.0; em::start_scratch_len(shape, ROWS, K, D)];
    let found = em::fit_starts(
        &Until::default(),
        (Init::RandomRows, 20, 6),
        &mut mixture,
        &mut memory,
        matrix,
        &mut scratch,
    )
    .unwrap();
    assert_eq!(
        found,
        em::Fitted {
            evaluations,
            ..best.0
        }
    );
    assert_eq!(mixture.params(), best.1.params());
}

#[test]
fn duplicates_and_fewer_rows_than_components_have_finite_fits() {
    for x in [vec![2.0; 4], vec![1.0, 5.0], vec![3.0]] {
        let n = x.len();
        let matrix = MatrixRef::new(&x, n, 1).unwrap();
        for shape in SHAPES {
            let mut mixture =
                Mixture::new(shape, 3, 1, vec![0.0; params_len(shape, 3, 1)]).unwrap();
            let mut scratch = vec![0.0; em::start_scratch_len(shape, n, 3, 1)];
            let len = mixture.params().len();
            let found = em::fit_starts(
                &Until::default(),
                (Init::KMeans, 1, 2),
                &mut mixture,
                &mut vec![0.0; len],
                matrix,
                &mut scratch,
            )
            .unwrap();
            assert!(found.mean_log_likelihood.is_finite(), "{shape:?} {x:?}");
            assert!(
                mixture.params().iter().all(|p| p.is_finite()),
                "{shape:?} {x:?}"
            );
        }
    }
}

#[test]
fn bad_weights_starts_and_settings_are_named_and_change_nothing() {
    let x = data();
    let data = MatrixRef::new(&x, ROWS, D).unwrap();
    let shape = Covariance::Spherical;
    let mut mixture = begin::<f64>(shape);
    let before = mixture.clone();
    let mut scratch = vec![0.0; em::start_scratch_len(shape, ROWS, K, D)];
    let mut name = |mixture: &mut Mixture<Vec<f64>>, weights: &[f64]| {
        let rows = Rows {
            data,
            weights: Some(weights),
        };
        match em::step(&em::Config::default(), mixture, rows, &mut scratch) {
            Err(
                Error::Length { name, .. }
                | Error::Parameter { name, .. }
                | Error::NonFinite { name, .. },
            ) => name,
            other => panic!("{other:?}"),
        }
    };
    let mut weights = vec![1.0; ROWS];
    assert_eq!(name(&mut mixture, &weights[1..]), "weights");
    assert_eq!(name(&mut mixture, &[0.0; ROWS]), "weights");
    weights[7] = -1.0;
    assert_eq!(name(&mut mixture, &weights), "weights");
    weights[7] = f64::NAN;
    assert_eq!(name(&mut mixture, &weights), "weights");
    assert_eq!(mixture, before);
    let far = [1e200, -1e200, 0.0];
    let far = MatrixRef::new(&far, 3, 1).unwrap();
    let mut one = Mixture::new(shape, 2, 1, vec![0.0; params_len(shape, 2, 1)]).unwrap();
    let found = em::start(
        &em::Config::default(),
        Init::KMeans,
        &mut one,
        far,
        1,
        &mut [0.0; 99],
    );
    assert!(
        matches!(found, Err(Error::Parameter { name: "data", .. })),
        "{found:?}"
    );
    let found = em::fit(
        &Until {
            tol: f64::NAN,
            ..Until::default()
        },
        &mut mixture,
        data,
        &mut [0.0; 999],
    );
    assert!(matches!(found, Err(Error::Parameter { name: "tol", .. })));
    assert_eq!(mixture, before);
}
