//! Probabilities of signs: closed forms, estimates, bounds.

use thalweg::Error;
use thalweg::kernel::covariance::Covariance;
use thalweg::kernel::estimate::Reading;
use thalweg::kernel::orthant::{
    Bounds, Complexity, Config, Orthant, bounds, half_normal, pac_bayes, probability, scratch_len,
    sequential,
};
use thalweg::matrix::MatrixRef;
use thalweg::random::{Purpose, stream, uniform};

/// Runs a test on a kernel and labels.
pub(super) fn with<R>(kernel: &[f64], labels: &[f64], test: impl FnOnce(&Orthant<'_>) -> R) -> R {
    let n = labels.len();
    let mut memory = vec![0.0; n * n];
    let kernel = MatrixRef::new(kernel, n, n).unwrap();
    let covariance = Covariance::new(kernel, &mut memory).unwrap();
    assert_eq!(covariance.jitter(), 0.0);
    test(&Orthant::new(covariance, labels).unwrap())
}

pub(super) fn equal_correlation(n: usize, r: f64) -> Vec<f64> {
    (0..n * n)
        .map(|at| if at / n == at % n { 1.0 } else { r })
        .collect()
}

type Method = fn(&Config, &Orthant<'_>, fn(f64, &[f64]), &mut [f64]) -> Result<Complexity, Error>;

fn by(method: Method, seed: u64, draws: usize, orthant: &Orthant<'_>) -> Complexity {
    let mut scratch = vec![f64::NAN; scratch_len(orthant.n())];
    method(&Config::new(seed, draws), orthant, |_, _| (), &mut scratch).unwrap()
}

fn b(seed: u64, draws: usize, orthant: &Orthant<'_>) -> Complexity {
    by(|c, o, f, w| half_normal(c, o, f, w), seed, draws, orthant)
}

fn c(seed: u64, draws: usize, orthant: &Orthant<'_>) -> Complexity {
    by(|c, o, f, w| sequential(c, o, f, w), seed, draws, orthant)
}

fn nats(complexity: &Complexity) -> f64 {
    complexity
        .nats()
        .reliable()
        .unwrap_or_else(|| panic!("{complexity:?}"))
}

fn bounds_of(orthant: &Orthant<'_>) -> Bounds {
    bounds(orthant, &mut vec![f64::NAN; scratch_len(orthant.n())]).unwrap()
}

#[test]
fn independent_signs_cost_ln_2_each() {
    let n = 100;
    let labels: Vec<f64> = (0..n)
        .map(|i| if i % 3 == 0 { 1.0 } else { -1.0 })
        .collect();
    with(&equal_correlation(n, 0.0), &labels, |orthant| {
        for estimate in [b(1, 150, orthant), c(1, 150, orthant)] {
            assert!((nats(&estimate) - 69.3147).abs() < 5e-5, "{estimate:?}");
            // Weights without variance.
            assert!((estimate.weights().effective_draws() - 150.0).abs() < 1e-6);
        }
        let found = bounds_of(orthant);
        assert!((found.rounded_complexity() - 70.0).abs() < 1e-10);
        assert!((found.complexity() - 69.3147).abs() < 5e-5);
        assert!((found.published() - 50.0).abs() < 1e-10);
        let error = pac_bayes(found.complexity(), n, 0.01).unwrap();
        assert!((error - 0.550_754).abs() < 5e-7, "{error}");
    });
}

#[test]
fn two_points_have_the_published_values() {
    for (r, c0, c1) in [
        (-0.5, 1.791_759, 1.922_253),
        (0.0, 1.386_294, 1.4),
        (0.5, 1.098_612, 1.187_148),
    ] {
        for labels in [[1.0, 1.0], [-1.0, -1.0]] {
            with(&[1.0, r, r, 1.0], &labels, |orthant| {
                assert!(
                    (-probability(orthant).unwrap().ln() - c0).abs() < 5.1e-7,
                    "{r}"
                );
                assert!(
                    (bounds_of(orthant).rounded_complexity() - c1).abs() < 5.1e-7,
                    "{r}"
                );
                assert!((nats(&c(5, 20_000, orthant)) - c0).abs() < 0.02, "{r}");
                assert!((nats(&b(5, 20_000, orthant)) - c0).abs() < 0.03, "{r}");
            });
        }
        // One sign turned: the correlation turns.
        with(&[1.0, r, r, 1.0], &[1.0, -1.0], |orthant| {
            let turned = 0.25 + (-r).asin() / std::f64::consts::TAU;
            assert!((probability(orthant).unwrap() - turned).abs() < 1e-15);
        });
    }
}

#[test]
fn the_scale_of_the_kernel_does_not_matter() {
    let kernel = [4.0, 0.5 * 6.0, 0.5 * 6.0, 9.0];
    with(&kernel, &[1.0, 1.0], |orthant| {
        assert!((probability(orthant).unwrap() - 1.0 / 3.0).abs() < 1e-15);
        assert!((nats(&c(5, 20_000, orthant)) - 1.098_612).abs() < 0.02);
    });
}

#[test]
fn three_points_have_the_published_value() {
    let kernel = [1.0, 0.5, 0.3, 0.5, 1.0, -0.2, 0.3, -0.2, 1.0];
    with(&kernel, &[1.0; 3], |orthant| {
        let p = probability(orthant).unwrap();
        assert!((p - 0.174_889_8).abs() < 5.1e-8, "{p}");
        let found = bounds_of(orthant);
        assert!((found.rounded_complexity() - 1.956_583).abs() < 5.1e-7);
        assert!((nats(&c(2, 40_000, orthant)) + p.ln()).abs() < 0.02);
        assert!((nats(&b(2, 40_000, orthant)) + p.ln()).abs() < 0.03);
    });
    with(&[1.0], &[-1.0], |orthant| {
        assert_eq!(probability(orthant), Some(0.5));
    });
    with(&equal_correlation(4, 0.1), &[1.0; 4], |orthant| {
        assert_eq!(probability(orthant), None);
    });
}

#[test]
fn equal_correlations_of_a_half_give_one_in_n_plus_1() {
    for (n, draws, bound) in [
        (5, 20_000, 0.02),
        (10, 20_000, 0.03),
        (20, 40_000, 0.05),
        (50, 40_000, 0.1),
    ] {
        with(&equal_correlation(n, 0.5), &vec![1.0; n], |orthant| {
            let (found, exact) = (c(3, draws, orthant), ((n + 1) as f64).ln());
            assert!(
                (nats(&found) - exact).abs() < bound,
                "{n}: {found:?} {exact}"
            );
            let limits = bounds_of(orthant);
            assert!(
                exact < limits.complexity() && limits.complexity() < limits.rounded_complexity()
            );
        });
    }
}

#[test]
fn half_normal_weights_break_down_and_say_so() {
    // rho = 1/2, n = 20: 19 effective draws of a million; a tenth of them here.
    with(&equal_correlation(20, 0.5), &[1.0; 20], |orthant| {
        let found = b(1, 100_000, orthant);
        let Reading::Unreliable(value) = found.nats() else {
            panic!("{found:?}");
        };
        assert!(value > 3.3, "too low for what is published: {value}");
        assert!(found.weights().effective_draws() < 100.0);
    });
    // At n = 5 they hold.
    with(&equal_correlation(5, 0.5), &[1.0; 5], |orthant| {
        let found = b(1, 100_000, orthant);
        assert!((nats(&found) - 6.0_f64.ln()).abs() < 0.05, "{found:?}");
    });
}

/// A covariance with a unit diagonal from `n` directions in a space of `n + 2` dimensions.
pub(super) fn random_kernel(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = stream(seed, 0, 0, Purpose::DATA);
    let d = n + 2;
    let mut x: Vec<f64> = (0..n * d).map(|_| uniform::<f64>(&mut rng) - 0.3).collect();
    for row in x.chunks_exact_mut(d) {
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        row.iter_mut().for_each(|v| *v /= norm);
    }
    let at = |i: usize, j: usize| (0..d).map(|k| x[i * d + k] * x[j * d + k]).sum();
    (0..n * n).map(|p| at(p / n, p % n)).collect()
}

#[test]
fn all_sign_vectors_have_probability_one_together() {
    let n = 6;
    let kernel = random_kernel(n, 4);
    let mut total = 0.0;
    for bits in 0..1 << n {
        let labels: Vec<f64> = (0..n)
            .map(|i| if bits >> i & 1 == 1 { 1.0 } else { -1.0 })
            .collect();
        let opposite: Vec<f64> = labels.iter().map(|c| -c).collect();
        let c0 = with(&kernel, &labels, |orthant| {
            let c0 = nats(&c(8, 4000, orthant));
            let limits = bounds_of(orthant);
            assert!(
                c0 < limits.complexity() + 0.02
                    && limits.complexity() < limits.rounded_complexity()
            );
            c0
        });
        // The law is symmetric, and so are the draws.
        let other = with(&kernel, &opposite, |orthant| nats(&c(8, 4000, orthant)));
        assert!((c0 - other).abs() < 1e-12);
        total += (-c0).exp();
    }
    assert!((total - 1.0).abs() < 0.01, "{total}");
}

#[test]
fn the_order_of_the_points_does_not_matter() {
    let n = 5;
    let kernel = random_kernel(n, 9);
    let labels = [1.0, -1.0, -1.0, 1.0, 1.0];
    let order = [3, 0, 4, 2, 1];
    let moved: Vec<f64> = (0..n * n)
        .map(|p| kernel[order[p / n] * n + order[p % n]])
        .collect();
    let moved_labels = order.map(|i| labels[i]);
    let read = |orthant: &Orthant<'_>| {
        (
            nats(&c(8, 40_000, orthant)),
            bounds_of(orthant).complexity(),
        )
    };
    let (a, limit) = with(&kernel, &labels, read);
    let (b, other) = with(&moved, &moved_labels, read);
    assert!(
        (a - b).abs() < 0.02 && (limit - other).abs() < 1e-12,
        "{a} {b}"
    );
}

#[test]
fn keys_split_a_run_and_its_parts_merge() {
    with(&equal_correlation(5, 0.5), &[1.0; 5], |orthant| {
        let mut scratch = vec![0.0; scratch_len(5)];
        let mut run = |who| {
            let config = Config {
                who,
                ..Config::new(1, 5000)
            };
            sequential(&config, orthant, |_, _| (), &mut scratch).unwrap()
        };
        let (mut a, b) = (run(0), run(1));
        assert_ne!(a, b);
        assert_eq!(a, run(0));
        let mean = ((-nats(&a)).exp() + (-nats(&b)).exp()) / 2.0;
        a.merge(&b);
        assert_eq!(a.weights().draws(), 10_000);
        assert!((nats(&a) + mean.ln()).abs() < 1e-12);
    });
}

#[test]
fn far_orthants_stay_finite() {
    // Signs against a correlation: P is about 0.07.
    with(&equal_correlation(2, 0.9), &[1.0, -1.0], |orthant| {
        let exact = -probability(orthant).unwrap().ln();
        let found = nats(&c(1, 20_000, orthant));
        assert!((found - exact).abs() < 0.05, "{found} {exact}");
    });
    // P is 2e-6, and one draw in a hundred thousand matters.
    with(
        &equal_correlation(2, 1.0 - 1e-10),
        &[1.0, -1.0],
        |orthant| {
            let exact = -probability(orthant).unwrap().ln();
            assert!((exact - 13.002).abs() < 0.01, "{exact}");
            assert_eq!(c(1, 20_000, orthant).nats().reliable(), None);
        },
    );
    let n = 30;
    let labels: Vec<f64> = (0..n)
        .map(|i| if i % 2 == 0 { 1.0 } else { -1.0 })
        .collect();
    with(&equal_correlation(n, 0.999), &labels, |orthant| {
        let (Reading::Reliable(x) | Reading::Unreliable(x)) = c(1, 200, orthant).nats();
        // -ln of the integral of phi(z) (Phi(a z) Phi(-a z))^15 over z with a^2 = 0.999 / 0.001, by Simpson's rule.
        assert!((x - 25.721_453).abs() < 0.5, "{x}");
    });
}

#[test]
fn bad_arguments_are_named() {
    let name = |error: Error| match error {
        Error::Length { name, .. } | Error::Parameter { name, .. } => name,
        other => panic!("{other:?}"),
    };
    let mut memory = [0.0; 4];
    let kernel = equal_correlation(2, 0.5);
    let k = Covariance::new(MatrixRef::new(&kernel, 2, 2).unwrap(), &mut memory).unwrap();
    assert_eq!(name(Orthant::new(k, &[1.0, 0.0]).unwrap_err()), "labels");
    assert_eq!(
        name(Orthant::new(k, &[1.0, f64::NAN]).unwrap_err()),
        "labels"
    );
    assert_eq!(name(Orthant::new(k, &[1.0]).unwrap_err()), "labels");
    let orthant = Orthant::new(k, &[1.0, 1.0]).unwrap();
    let mut scratch = vec![0.0; scratch_len(2)];
    let short = scratch_len(2) - 1;
    let none = Config::new(1, 0);
    for draws in [
        half_normal::<fn(f64, &[f64])>,
        sequential::<fn(f64, &[f64])>,
    ] {
        assert_eq!(
            name(draws(&none, &orthant, |_, _| (), &mut scratch).unwrap_err()),
            "draws"
        );
        let found = draws(
            &Config::new(1, 9),
            &orthant,
            |_, _| (),
            &mut scratch[..short],
        );
        assert_eq!(name(found.unwrap_err()), "scratch");
    }
    assert_eq!(
        name(bounds(&orthant, &mut scratch[..short]).unwrap_err()),
        "scratch"
    );
    for (c, n, delta, named) in [
        (1.0, 1, 0.01, "n"),
        (1.0, 2, 0.0, "delta"),
        (1.0, 2, 1.0, "delta"),
        (1.0, 2, f64::NAN, "delta"),
        (-1.0, 2, 0.1, "complexity"),
        (f64::NAN, 2, 0.1, "complexity"),
    ] {
        assert_eq!(name(pac_bayes(c, n, delta).unwrap_err()), named);
    }
    // No points: certain.
    with(&[], &[], |orthant| {
        assert_eq!(probability(orthant), Some(1.0));
        assert_eq!(
            (nats(&c(1, 200, orthant)), nats(&b(1, 200, orthant))),
            (0.0, 0.0)
        );
        assert_eq!(bounds_of(orthant).rounded_complexity(), 0.0);
    });
}
