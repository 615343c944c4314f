//! Functions given their signs, and the classifiers that they make up.

use super::orthant::{equal_correlation, random_kernel, with};
use thalweg::Error;
use thalweg::kernel::covariance::Covariance;
use thalweg::kernel::estimate::Reading;
use thalweg::kernel::orthant::{
    Config, Orthant, half_normal, probability, scratch_len, sequential,
};
use thalweg::kernel::posterior::{
    Accuracy, State, Tally, conditional_into, margin, precision_into, reject,
};
use thalweg::matrix::{MatrixMut, MatrixRef};
use thalweg::random::{Purpose, stream};
use thalweg::snapshot::Snapshot;

/// Means of the draws of one coordinate and of a product: `(E f_0, E f_0 f_1)`.
type Moments = [f64; 2];

fn rejected(orthant: &Orthant<'_>, n: usize) -> Moments {
    let mut rng = stream(5, 0, 0, Purpose::NOISE);
    let mut f = vec![0.0; orthant.n()];
    let mut sums = [0.0; 2];
    for _ in 0..n {
        reject(orthant, 1_000_000, &mut rng, &mut f).unwrap();
        assert!(margin(orthant.labels(), &f).unwrap() > 0.0);
        sums[0] += f[0] / n as f64;
        sums[1] += f[0] * f[1] / n as f64;
    }
    sums
}

fn chained(orthant: &Orthant<'_>, n: usize) -> Moments {
    let size = orthant.n();
    let mut q = vec![0.0; size * size];
    precision_into(
        &orthant.covariance(),
        MatrixMut::new(&mut q, size, size).unwrap(),
    )
    .unwrap();
    let q = MatrixRef::new(&q, size, size).unwrap();
    let mut state = State::new(vec![0.0; size], orthant.labels()).unwrap();
    let mut sums = [0.0; 2];
    for sweep in 0..n + 200 {
        state.sweep(q, orthant.labels(), 9, 0).unwrap();
        let f = state.values();
        assert!(margin(orthant.labels(), f).unwrap() > 0.0);
        if sweep >= 200 {
            sums[0] += f[0] / n as f64;
            sums[1] += f[0] * f[1] / n as f64;
        }
    }
    sums
}

#[test]
fn the_samplers_agree_with_each_other_and_with_a_closed_form() {
    // One half-normal coordinate, and two of correlation r = 1/2 with equal signs: E f_0 = (1 + r) / (P sqrt(8 pi))
    // with P = 1/3 (moments of a bivariate normal above zero: Rosenbaum 1961).
    with(&[1.0], &[-1.0], |orthant| {
        let mut rng = stream(5, 0, 0, Purpose::NOISE);
        let mut f = [0.0];
        let mean = (0..20_000)
            .map(|_| {
                reject(orthant, 9, &mut rng, &mut f).unwrap();
                f[0]
            })
            .sum::<f64>()
            / 20_000.0;
        assert!(
            (mean + (2.0 / std::f64::consts::PI).sqrt()).abs() < 0.025,
            "{mean}"
        );
    });
    let kernel = equal_correlation(2, 0.5);
    with(&kernel, &[1.0, 1.0], |orthant| {
        let exact = 1.5 / (probability(orthant).unwrap() * (8.0 * std::f64::consts::PI).sqrt());
        type Visit<'a> = &'a mut dyn FnMut(f64, &[f64]);
        let weighted = |method: &dyn Fn(Visit<'_>)| {
            let (mut sum, mut total) = (0.0, 0.0);
            method(&mut |log_weight, f| {
                assert!(margin(orthant.labels(), f).unwrap() >= 0.0);
                sum += log_weight.exp() * f[0];
                total += log_weight.exp();
            });
            sum / total
        };
        let config = Config::new(3, 40_000);
        let b = weighted(&|visit| {
            half_normal(&config, orthant, visit, &mut vec![0.0; scratch_len(2)]).unwrap();
        });
        let c = weighted(&|visit| {
            sequential(&config, orthant, visit, &mut vec![0.0; scratch_len(2)]).unwrap();
        });
        let [r, _] = rejected(orthant, 20_000);
        let [g, _] = chained(orthant, 20_000);
        for (name, found) in [
            ("half-normal", b),
            ("sequential", c),
            ("rejection", r),
            ("chain", g),
        ] {
            assert!((found - exact).abs() < 0.03, "{name} {found} {exact}");
        }
    });
    // Six points, labels of both signs.
    let kernel = random_kernel(6, 4);
    with(&kernel, &[1.0, -1.0, 1.0, 1.0, -1.0, 1.0], |orthant| {
        let (r, g) = (rejected(orthant, 4000), chained(orthant, 8000));
        assert!(
            r.iter().zip(g).all(|(r, g)| (r - g).abs() < 0.05),
            "{r:?} {g:?}"
        );
    });
}

/// Five points and three elsewhere, of one kernel.
fn with_tests(test: impl FnOnce(&Orthant<'_>, MatrixRef<'_, f64>, &[f64], &[f64])) {
    let (n, all) = (5, 8);
    let kernel = random_kernel(all, 2);
    let own: Vec<f64> = (0..n * n).map(|p| kernel[p / n * all + p % n]).collect();
    let cross: Vec<f64> = (0..3 * n)
        .map(|p| kernel[(n + p / n) * all + p % n])
        .collect();
    with(&own, &[1.0, 1.0, -1.0, 1.0, -1.0], |orthant| {
        let (mut a, mut deviation) = (vec![0.0; 3 * n], [0.0; 3]);
        let weights = MatrixMut::new(&mut a, 3, n).unwrap();
        let cross = MatrixRef::new(&cross, 3, n).unwrap();
        conditional_into(
            &orthant.covariance(),
            cross,
            &[1.0; 3],
            weights,
            &mut deviation,
        )
        .unwrap();
        test(
            orthant,
            MatrixRef::new(&a, 3, n).unwrap(),
            &deviation,
            &kernel,
        );
    });
}

#[test]
fn the_probability_elsewhere_is_the_ratio_of_two_orthants() {
    with_tests(|orthant, a, deviation, kernel| {
        let mut tally = Tally::new([9.0; 6]);
        let config = Config::new(4, 20_000);
        let mut scratch = vec![0.0; scratch_len(6)];
        let p = sequential(
            &config,
            orthant,
            |w, f| {
                tally.push(w, f, a, deviation).unwrap();
            },
            &mut scratch,
        )
        .unwrap();
        for t in 0..3 {
            // P((c, 1)) / P(c), each by itself.
            let rows = [0, 1, 2, 3, 4, 5 + t];
            let larger: Vec<f64> = rows
                .iter()
                .flat_map(|i| rows.map(|j| kernel[i * 8 + j]))
                .collect();
            let labels: Vec<f64> = orthant.labels().iter().copied().chain([1.0]).collect();
            let joint = with(&larger, &labels, |larger| {
                sequential(&config, larger, |_, _| (), &mut scratch)
                    .unwrap()
                    .nats()
                    .reliable()
                    .unwrap()
            });
            let ratio = (p.nats().reliable().unwrap() - joint).exp();
            let [above, _] = tally.point(t).unwrap().reliable().unwrap();
            assert!((above - ratio).abs() < 0.01, "{t}: {above} {ratio}");
        }
        // The same by rejection.
        let mut exact = Tally::new([9.0; 6]);
        let mut rng = stream(6, 0, 0, Purpose::NOISE);
        let mut f = [0.0; 5];
        for _ in 0..5000 {
            reject(orthant, 100_000, &mut rng, &mut f).unwrap();
            exact.push(0.0, &f, a, deviation).unwrap();
        }
        for t in 0..3 {
            let read = |tally: &Tally<[f64; 6]>| tally.point(t).unwrap().reliable().unwrap();
            let (x, y) = (read(&tally), read(&exact));
            assert!(
                (x[0] - y[0]).abs() < 0.02 && (x[1] - y[1]).abs() < 0.04,
                "{x:?} {y:?}"
            );
        }
        assert!(tally.point(3).is_none());
    });
}

#[test]
fn votes_and_centres_err_at_most_twice_and_e_times_as_often() {
    with_tests(|orthant, a, deviation, _| {
        for seed in 0..4 {
            let mut tally = Tally::new(vec![0.0; 6]);
            let config = Config::new(seed, 2000);
            let mut scratch = vec![0.0; scratch_len(5)];
            sequential(
                &config,
                orthant,
                |w, f| {
                    tally.push(w, f, a, deviation).unwrap();
                },
                &mut scratch,
            )
            .unwrap();
            for bits in 0..8 {
                let labels = [0, 1, 2].map(|t| if bits >> t & 1 == 1 { 1.0 } else { -1.0 });
                let Accuracy {
                    gibbs,
                    vote,
                    centre_of_mass,
                } = tally.accuracy(&labels).unwrap().reliable().unwrap();
                assert!(1.0 - vote <= 2.0 * (1.0 - gibbs) + 1e-9);
                assert!(1.0 - centre_of_mass <= std::f64::consts::E * (1.0 - gibbs) + 0.02);
            }
        }
    });
}

#[test]
fn a_restored_chain_goes_on_with_the_same_bits() {
    let q = [1.5, -0.5, 0.2, -0.5, 1.0, 0.0, 0.2, 0.0, 2.0];
    let q = MatrixRef::new(&q, 3, 3).unwrap();
    let labels = [1.0, -1.0, 1.0];
    let mut state = State::new([0.0; 3], &labels).unwrap();
    for _ in 0..10 {
        state.sweep(q, &labels, 1, 2).unwrap();
    }
    let mut bytes = vec![0; state.snapshot_len()];
    assert_eq!(state.save(&mut bytes), Ok(bytes.len()));
    let mut other = State::new(vec![0.0; 3], &[1.0; 3]).unwrap();
    other.restore(&bytes).unwrap();
    for _ in 0..10 {
        state.sweep(q, &labels, 1, 2).unwrap();
        other.sweep(q, &labels, 1, 2).unwrap();
    }
    assert_eq!((state.values(), state.sweeps()), (other.values(), 20));
    // Another length, a damaged save: nothing changes.
    let mut short = State::new([0.0; 2], &[1.0; 2]).unwrap();
    assert!(short.restore(&bytes).is_err());
    bytes[40] ^= 1;
    let before = other.clone();
    assert!(other.restore(&bytes).is_err());
    assert_eq!(other, before);
}

#[test]
fn bad_arguments_are_named_and_change_nothing() {
    let labels = [1.0, -1.0];
    let mut state = State::new([0.0; 2], &labels).unwrap();
    let before = state;
    let sweep = |state: &mut State<[f64; 2]>, q: &[f64], n, labels: &[f64]| {
        state.sweep(MatrixRef::new(q, n, n).unwrap(), labels, 1, 1)
    };
    let bad = [
        [1.0, 0.0, 0.0, 0.0],
        [1.0, 0.0, 0.0, f64::NAN],
        [1.0, 0.0, 0.0, -1.0],
    ];
    for q in bad {
        let found = sweep(&mut state, &q, 2, &labels);
        assert_eq!(
            found,
            Err(Error::Singular {
                name: "precision",
                index: 1
            })
        );
    }
    assert!(matches!(
        sweep(&mut state, &[1.0], 1, &labels),
        Err(Error::Length {
            name: "rows of precision",
            ..
        })
    ));
    assert!(matches!(
        sweep(&mut state, &[1.0; 4], 2, &[1.0]),
        Err(Error::Length { name: "labels", .. })
    ));
    assert!(matches!(
        sweep(&mut state, &[1.0; 4], 2, &[1.0, 0.5]),
        Err(Error::Parameter { name: "labels", .. })
    ));
    assert_eq!(state, before);
    assert!(State::new([0.0; 2], &[0.0, 1.0]).is_err() && State::new([0.0; 1], &labels).is_err());
    let mut tally = Tally::new([0.0; 2]);
    let a = MatrixRef::new(&[0.5, 0.5], 1, 2).unwrap();
    for weight in [f64::NAN, f64::INFINITY] {
        assert!(matches!(
            tally.push(weight, &[1.0, 1.0], a, &[1.0]),
            Err(Error::NonFinite { .. })
        ));
    }
    assert!(
        tally.push(0.0, &[1.0], a, &[1.0]).is_err()
            && tally.push(0.0, &[1.0, 1.0], a, &[]).is_err()
    );
    assert_eq!(tally, Tally::new([0.0; 2]));
    tally
        .push(f64::NEG_INFINITY, &[1.0, 1.0], a, &[1.0])
        .unwrap();
    tally.push(-5000.0, &[1.0, 1.0], a, &[0.0]).unwrap();
    // The weight of zero counts for nothing.
    assert_eq!(tally.point(0), Some(Reading::Unreliable([1.0, 1.0])));
    // Signs that never come.
    let mut memory = [0.0; 4];
    let kernel = equal_correlation(2, 1.0 - 1e-12);
    let k = Covariance::new(MatrixRef::new(&kernel, 2, 2).unwrap(), &mut memory).unwrap();
    let orthant = Orthant::new(k, &labels).unwrap();
    let found = reject(
        &orthant,
        50,
        &mut stream(1, 0, 0, Purpose::NOISE),
        &mut [0.0; 2],
    );
    assert_eq!(
        found,
        Err(Error::NoConvergence {
            name: "rejection",
            iterations: 50
        })
    );
    assert!(margin(&[1.0], &[]).is_err());
    assert!(margin(&[1.0, 1.0], &[1.0, f64::NAN]).unwrap().is_nan());
    assert_eq!(margin(&[], &[]), Ok(f64::INFINITY));
}
