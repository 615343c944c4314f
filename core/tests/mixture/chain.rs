//! Labels: exact transitions, frequencies, tables.

use super::*;

/// `P(proposal is accepted)`, from the rule itself: the largest `u` that it lets pass.
fn acceptance(current: f64, proposed: f64, log_ratio: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    if accepts(current, proposed, 1.0, log_ratio, high) {
        return 1.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if accepts(current, proposed, 1.0, log_ratio, middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

#[test]
fn transitions_are_the_rational_numbers_of_the_theory() {
    let r: [f64; 3] = [0.5, 0.3, 0.2];
    let uniform = [
        [2.0 / 3.0, 0.2, 0.4 / 3.0],
        [1.0 / 3.0, 4.0 / 9.0, 2.0 / 9.0],
        [1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0],
    ];
    let unequal = [[0.8, 0.12, 0.08], [0.2, 0.6, 0.2], [0.2, 0.3, 0.5]];
    for (q, expected, rate) in [
        ([1.0_f64 / 3.0; 3], uniform, 0.8),
        ([0.2, 0.3, 0.5], unequal, 0.61),
    ] {
        let mut t = [[0.0; 3]; 3];
        let mut accepted = 0.0;
        for a in 0..3 {
            for b in 0..3 {
                let ratio = q[a].ln() - q[b].ln();
                let p = q[b] * acceptance(r[a].ln(), r[b].ln(), ratio);
                accepted += r[a] * p;
                if a != b {
                    t[a][b] = p;
                }
            }
            t[a][a] = 1.0 - t[a].iter().sum::<f64>();
            assert_near(&t[a], &expected[a], 1e-14);
        }
        assert_near(&[accepted], &[rate], 1e-14);
        for b in 0..3 {
            let moved: f64 = (0..3).map(|a| r[a] * t[a][b]).sum();
            assert_near(&[moved], &[r[b]], 1e-15);
        }
    }
}

/// Frequencies of the last labels of 200 equal rows under components that do not move, and the share of accepted proposals.
fn frequencies(moves: usize, beta: f64, current: Current, q: [f32; 3]) -> ([f64; 3], f64, f64) {
    let data = [0.3; 200];
    let (weights, means) = ([0.5, 0.3, 0.2], [0.0; 3]);
    let mut fit = Fit::<f64>::new(Covariance::Full, &weights, &means, 1.0, &data, true);
    let config = Config {
        moves,
        inverse_temperature: beta,
        // Statistics gain 1e-30 of themselves: not a bit of a mean.
        step_size: StepSize::Constant(1e-30),
        reg_covar: 0.0,
        current,
        proposal: if q == [1.0; 3] {
            Proposal::Uniform
        } else {
            Proposal::Table {
                rate: 0.0,
                floor: 1e-6,
            }
        },
        ..Config::new(5)
    };
    let fresh = fit.state;
    let cache = vec![f64::NAN; 200];
    let table = q.repeat(200);
    let buffers = Buffers {
        cache,
        ..buffers(fresh.labels().to_vec(), fresh.statistics().to_vec(), table)
    };
    fit.state = State::resume(buffers, 1.0, 0, 0);
    for _ in 0..20 {
        fit.step(&config).unwrap();
    }
    let (mut counts, mut accepted, steps) = ([0.0; 3], 0, 5000);
    for _ in 0..steps {
        accepted += fit.step(&config).unwrap().accepted;
        for z in fit.state.labels() {
            counts[*z as usize] += 1.0;
        }
    }
    assert_near(&wide(fit.mixture.view().means()), &means, 1e-12);
    let n = f64::from(steps) * 200.0;
    let rate = accepted as f64 / (n * moves as f64);
    (counts.map(|c| c / n), rate, n)
}

#[test]
fn labels_visit_components_by_their_responsibilities() {
    let (even, unequal) = ([1.0; 3], [2.0, 3.0, 5.0]);
    for (moves, beta, current, q) in [
        (1, 1.0, Current::Fresh, even),
        (5, 1.0, Current::Fresh, even),
        (1, 2.0, Current::Fresh, even),
        (2, 1.0, Current::Cached, even),
        (1, 1.0, Current::Fresh, unequal),
        (5, 1.0, Current::Cached, unequal),
    ] {
        let mut r = [0.5_f64, 0.3, 0.2].map(|r| r.powf(beta));
        let sum: f64 = r.iter().sum();
        r = r.map(|r| r / sum);
        let (found, accepted, n) = frequencies(moves, beta, current, q);
        let q = q.map(|n| f64::from(n) / f64::from(q.iter().sum::<f32>()));
        // The second eigenvalue of an independent proposal, and what it takes off the number of draws.
        let largest = r.iter().zip(q).map(|(r, q)| r / q).fold(0.0, f64::max);
        let lambda = (1.0 - 1.0 / largest).powi(moves as i32);
        for (f, r) in found.iter().zip(r) {
            let error = (r * (1.0 - r) / n * (1.0 + lambda) / (1.0 - lambda)).sqrt();
            assert!((f - r).abs() < 4.0 * error, "M = {moves}: {f} against {r}");
        }
        let rate: f64 = (0..9)
            .map(|i| (i / 3, i % 3))
            .map(|(a, b)| (r[a] * q[b]).min(r[b] * q[a]))
            .sum();
        assert!((accepted - rate).abs() < 3e-3, "{accepted} against {rate}");
    }
}

#[test]
fn tempered_responsibilities_are_powers() {
    // Components that differ by their weights alone: pi^2 in proportion at the inverse temperature 2.
    let expected = [0.25, 0.09, 0.04].map(|r| r / 0.38);
    let (data, weights) = ([0.3; 200], [0.5, 0.3, 0.2]);
    for (proposal, moves) in [(Proposal::All, 1), (Proposal::Posterior, 500)] {
        let mut fit = Fit::<f64>::new(Covariance::Full, &weights, &[0.0; 3], 1.0, &data, false);
        let config = Config {
            moves,
            batch_size: 200,
            inverse_temperature: 2.0,
            step_size: StepSize::Constant(1.0),
            proposal,
            ..Config::new(5)
        };
        fit.step(&config).unwrap();
        let found = wide(fit.mixture.view().log_weights());
        for (found, r) in found.into_iter().map(f64::exp).zip(expected) {
            let deviation = (r * (1.0 - r) / (200.0 * moves as f64)).sqrt();
            let tolerance = if moves == 1 { 1e-12 } else { 4.0 * deviation };
            assert!(
                (found - r).abs() < tolerance,
                "{proposal:?}: {found} against {r}"
            );
        }
    }
}

#[test]
fn a_table_moves_towards_the_shares_of_the_records() {
    let mut fit = Fit::<f64>::new(
        Covariance::Full,
        &[0.5, 0.5],
        &[0.0, 0.0],
        1.0,
        &[0.3, 0.4],
        true,
    );
    let config = Config {
        batch_size: 2,
        moves: 4,
        step_size: StepSize::Constant(1.0),
        proposal: Proposal::Table {
            rate: 0.25,
            floor: 0.5,
        },
        ..Config::new(5)
    };
    assert_eq!(fit.state.table(), [1.0; 4]);
    fit.step(&config).unwrap();
    // Shares of four records are quarters, and those of all rows are the weights at step size 1.
    let table = fit.state.table();
    let shares: Vec<f32> = table.iter().map(|n| (n - 0.75) * 4.0).collect();
    for shares in shares.chunks(2) {
        assert_eq!(shares[0] + shares[1], 1.0);
        assert_eq!((shares[0] * 4.0).fract(), 0.0);
    }
    let weight = f64::from(shares[0] + shares[2]) / 2.0;
    let found = fit.mixture.view().log_weights()[0].exp();
    assert_near(&[found], &[weight.max(1e-12)], 1e-11);
}

#[test]
fn an_unequal_proposal_is_corrected_by_its_ratio() {
    let (r, q): ([f64; 3], [f64; 3]) = ([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]);
    let mut rng = random::stream(9, 0, 0, Purpose::COMPONENT);
    let (mut z, mut counts, n) = (0, [0.0; 3], 1_000_000);
    for _ in 0..n {
        let new = random::categorical(&mut rng, &q).unwrap();
        let u = 1.0 - random::uniform::<f64>(&mut rng);
        if accepts(r[z].ln(), r[new].ln(), 1.0, q[z].ln() - q[new].ln(), u) {
            z = new;
        }
        counts[z] += 1.0 / f64::from(n);
    }
    // Eigenvalue 0.6: four times the variance of independent draws.
    for (f, r) in counts.iter().zip(r) {
        assert!((f - r).abs() < 4.0 * (4.0 * r * (1.0 - r) / f64::from(n)).sqrt());
    }
}

#[test]
fn the_floor_of_a_table_proposes_what_no_visit_has_recorded() {
    // Equal components, and tables that hold label 0 alone: q = (1 - 0.4) (1, 0) + 0.4 / 2 = (0.8, 0.2).
    const N: usize = 16_000;
    let data = [0.3; N];
    let mut fit = Fit::<f64>::new(Covariance::Full, &[0.5, 0.5], &[0.0; 2], 1.0, &data, true);
    let buffers = Buffers {
        cache: vec![f64::NAN; N],
        ..buffers(
            vec![0; N],
            fit.state.statistics().to_vec(),
            [1.0, 0.0].repeat(N),
        )
    };
    fit.state = State::resume(buffers, 1.0, 0, 0);
    let config = Config {
        batch_size: N,
        moves: 1,
        step_size: StepSize::Constant(1e-30),
        reg_covar: 0.0,
        proposal: Proposal::Table {
            rate: 0.0,
            floor: 0.4,
        },
        ..Config::new(5)
    };
    let ones = |fit: &Fit<f64>| fit.state.labels().iter().sum::<u32>() as f64 / N as f64;
    // From 0 every proposal of 1 is accepted, ln 0.8 - ln 0.2 > 0. Six standard errors of N draws.
    let found = fit.step(&config).unwrap();
    let error = |p: f64| 6.0 * (p * (1.0 - p) / N as f64).sqrt();
    assert_near(&[ones(&fit)], &[0.2], error(0.2));
    assert_eq!(found.accepted, N as u64);
    // Back from 1 to 0: proposed with 0.8, accepted with 0.2 / 0.8. So 0.2 each way, and after t steps (1 - 0.6^t) / 2.
    fit.step(&config).unwrap();
    assert_near(&[ones(&fit)], &[0.32], error(0.32));
    for _ in 0..30 {
        fit.step(&config).unwrap();
    }
    assert_near(&[ones(&fit)], &[0.5], error(0.5));
}

#[test]
fn far_rows_have_responsibilities_at_any_temperature() {
    // Log joints near -5e299; times 1e10 both overflow, and their distance says which component is nearer.
    let data = [1e150, 1e150];
    let (weights, means) = ([0.5, 0.5], [0.0, 1e149]);
    for proposal in [Proposal::Posterior, Proposal::All] {
        let mut fit = Fit::<f64>::new(Covariance::Full, &weights, &means, 1.0, &data, false);
        let config = Config {
            batch_size: 2,
            inverse_temperature: 1e10,
            step_size: StepSize::Constant(0.5),
            proposal,
            ..Config::new(5)
        };
        fit.step(&config).unwrap();
        if proposal == Proposal::Posterior {
            assert_eq!(fit.state.labels(), [1, 1]);
        }
        // All that is new went to component 1: s0 = 0.5 (1/2, 1/2) + 0.5 (0, 1).
        let view = fit.mixture.view();
        let found: Vec<f64> = view.log_weights().iter().map(|l| l.exp()).collect();
        assert_near(&found, &[0.25, 0.75], 1e-12);
    }
}
