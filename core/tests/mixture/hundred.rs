//! The published finding on a hundred components.

use super::*;

/// 100 normal densities of the plane in the unit square, 10000 rows, and the mean log-likelihood of the truth.
fn hundred_components<T: Real>() -> (Vec<f64>, f64) {
    const K: usize = 100;
    const N: usize = 10_000;
    let mut rng = random::stream(1, 0, 0, Purpose::DATA);
    let uniform = |rng: &mut Stream| random::uniform::<f64>(rng);
    // Dirichlet(5): sums of five exponential numbers.
    let weights: Vec<f64> = (0..K)
        .map(|_| (0..5).map(|_| -(1.0 - uniform(&mut rng)).ln()).sum())
        .collect();
    let mut truth = Mixture::new(
        Covariance::Full,
        K,
        2,
        vec![T::ZERO; params_len(Covariance::Full, K, 2)],
    )
    .unwrap();
    truth.set_weights(&narrow::<T>(&weights)).unwrap();
    let scaled = |x: f64| T::from_f64(x);
    for j in 0..K {
        let mean = [uniform(&mut rng), uniform(&mut rng)].map(scaled);
        let [a, b] = [0; 2].map(|_| (0.3 + 1.2 * uniform(&mut rng)) / 400.0);
        let (s, c) = (std::f64::consts::TAU * uniform(&mut rng)).sin_cos();
        let off = (a - b) * s * c;
        let sigma = [a * c * c + b * s * s, off, off, a * s * s + b * c * c].map(scaled);
        truth
            .set_component(j, &mean, &sigma, &mut [0.0; 8])
            .unwrap();
    }
    let mut data = vec![T::ZERO; 2 * N];
    for x in data.chunks_exact_mut(2) {
        truth
            .view()
            .sample_into(&mut rng, x, &mut [0.0; K])
            .unwrap();
    }
    let rows = MatrixRef::new(&data, N, 2).unwrap();
    let mean = truth
        .view()
        .mean_log_likelihood(rows, &mut [T::ZERO; K])
        .unwrap();
    (wide(&data), mean)
}

/// Means in the unit square, identity covariances, random weights.
fn hundred_alike<T: Real>(data: &[f64]) -> Fit<T> {
    let mut rng = random::stream(2, 0, 0, Purpose::INIT);
    let mut numbers = vec![0.0; 300];
    numbers.fill_with(|| random::uniform::<f64>(&mut rng));
    let (means, weights) = numbers.split_at(200);
    Fit::new(Covariance::Full, weights, means, 1.0, data, true)
}

fn published(seed: u64) -> Config {
    Config {
        reg_covar: 2.5e-5,
        ..Config::new(seed)
    }
}

/// Mean log-likelihoods when so many evaluations for each row have been spent.
fn curve<T: Real>(fit: &mut Fit<T>, config: &Config, budgets: &[u64]) -> Vec<f64> {
    budgets
        .iter()
        .map(|budget| {
            while fit.state.evaluations() < budget * 10_000 {
                fit.step(config).unwrap();
            }
            fit.mean_log_likelihood()
        })
        .collect()
}

/// Mean log-likelihood of full EM when so many evaluations for each row have been spent.
fn exact<T: Real>(data: &[f64], budget: u64) -> f64 {
    let mut mixture = hundred_alike::<T>(data).mixture;
    let rows = narrow::<T>(data);
    let rows = MatrixRef::new(&rows, 10_000, 2).unwrap();
    let config = em::Config { reg_covar: 2.5e-5 };
    let mut scratch = vec![0.0; em::scratch_len(Covariance::Full, 10_000, 100, 2)];
    let mut evaluations = 0;
    while evaluations < budget * 10_000 {
        let found = em::step(&config, &mut mixture, rows, &mut scratch).unwrap();
        evaluations += found.evaluations;
    }
    let view = mixture.view();
    view.mean_log_likelihood(rows, &mut [T::ZERO; 100]).unwrap()
}

#[test]
fn a_hundred_components_that_start_alike_separate_in_two_hundred_evaluations_a_row() {
    let (data, truth) = hundred_components::<f32>();
    assert!((0.03..0.12).contains(&truth), "{truth}");
    let mut fit = hundred_alike::<f32>(&data);
    let found = curve(&mut fit, &published(7), &[200]);
    assert!(found[0] > -0.02, "{found:?}");
    // Full EM has evaluated every component twice, and each still describes the whole.
    let found = exact::<f32>(&data, 200);
    assert!(found < -0.35, "{found}");
}

#[test]
#[ignore = "takes ten seconds: cargo test --release -p thalweg --features alloc --test mixture -- --ignored --nocapture"]
fn the_table_of_evaluations_for_a_row() {
    let (data, truth) = hundred_components::<f64>();
    println!("truth {truth:.3}");
    let budgets = [25, 50, 100, 200];
    let slow = StepSize::Constant(0.02);
    let base = published(7);
    for (name, config, level) in [
        ("U M=2 .05", base, -0.02),
        (
            "U M=2 .02",
            Config {
                step_size: slow,
                ..base
            },
            -0.05,
        ),
        (
            "U M=1 .02",
            Config {
                step_size: slow,
                moves: 1,
                ..base
            },
            -0.05,
        ),
    ] {
        let mut fit = hundred_alike::<f64>(&data);
        let found = curve(&mut fit, &config, &budgets);
        println!("{name} {found:.3?}");
        assert!(found[3] > level, "{name}: {found:?}");
    }
    let reach = |config: &Config, most: u64| {
        let mut fit = hundred_alike::<f64>(&data);
        (1..=most).find(|budget| curve(&mut fit, config, &[*budget])[0] > -0.1)
    };
    let fast = reach(&base, 200).unwrap();
    let all = Config {
        proposal: Proposal::All,
        ..base
    };
    let mut fit = hundred_alike::<f64>(&data);
    println!("SAEM .05 {:.3?}", curve(&mut fit, &all, &budgets));
    let never = curve(&mut fit, &all, &[15 * fast]);
    println!(
        "-0.1 by U after {fast}; SAEM after {} has {never:.3?}",
        15 * fast
    );
    assert!(never[0] < -0.1);
    let mut fit = hundred_alike::<f64>(&data);
    let posterior = Config {
        proposal: Proposal::Posterior,
        ..base
    };
    println!("MCSAEM .05 {:.3?}", curve(&mut fit, &posterior, &budgets));
    let found = exact::<f64>(&data, 1000);
    println!("EM at 1000 {found:.3}");
    assert!(found < -0.35, "{found}");
}
