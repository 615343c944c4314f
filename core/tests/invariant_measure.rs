//! What a step of SGD does to `|theta|^2`, from the sums that are noted before it.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use thalweg::dynamics::invariant_measure::{StepStats, step_stats};
use thalweg::optim::{Optimiser, State, sgd};
use thalweg::random::{self, Purpose};

const D: usize = 1003;
const STEPS: usize = 200;
const RATE: f64 = 0.05;

/// Sums before every step of a run on a noisy parabola, and those of its end.
fn run() -> Vec<StepStats> {
    let mut rng = random::stream(1, 0, 0, Purpose::NOISE);
    let mut draw = |n: usize| -> Vec<f32> { (0..n).map(|_| random::normal(&mut rng)).collect() };
    let (config, mut state) = (sgd::Config::new(RATE), State::new([0.0_f32; 0]));
    let mut theta = draw(D);
    let mut sums = Vec::new();
    for _ in 0..=STEPS {
        let grad: Vec<f32> = theta
            .iter()
            .zip(draw(D))
            .map(|(x, e)| 2.0 * x + e)
            .collect();
        sums.push(step_stats(&theta, &grad).unwrap());
        config.step(&mut state, &mut theta, &grad).unwrap();
    }
    sums
}

/// `|theta'|^2 = |theta|^2 - 2 eta <theta, g> + eta^2 |g|^2`.
#[test]
fn the_identity_of_a_step_holds_at_every_step() {
    for pair in run().windows(2) {
        let [StepStats { gg, tg, tt }, after] = pair else {
            panic!("pairs")
        };
        let expected = tt - 2.0 * RATE * tg + RATE * RATE * gg;
        assert!(
            (after.tt - expected).abs() < 1e-5 * after.tt,
            "{} {expected}",
            after.tt
        );
    }
}

/// `sum_k (phi_{k+1} - phi_k) = phi_T - phi_0`, so the average change of a bounded function vanishes whatever it does.
#[test]
fn changes_telescope_and_their_average_says_nothing() {
    let sums = run();
    let (first, last) = (sums[0].tt, sums[STEPS].tt);
    let changes = sums
        .iter()
        .take(STEPS)
        .map(|s| RATE * RATE * s.gg - 2.0 * RATE * s.tg);
    let total: f64 = changes.sum();
    assert!((total - (last - first)).abs() < 1e-5 * first, "{total}");
    let most = sums.iter().map(|s| s.tt).fold(0.0, f64::max);
    assert!((total / STEPS as f64).abs() <= 2.0 * most / STEPS as f64);
    // By a factor, while that average is of the order of 1 / T.
    assert!(last < 0.3 * first);
}
