//! False alarms and power on AR(1) noise, held against an independent simulation.

use super::*;

/// Samples of a window: 16 slots of 256.
const LEN: usize = 4096;
const RUNS: u64 = 2000;

/// Share of runs that the test of the means rejects once `shift` is added to the second window.
fn rejected(rho: f64, shift: f64) -> f64 {
    let rejects = |seed| {
        let mut x = ar1(rho, 2 * LEN, seed);
        let (a, b) = x.split_at_mut(LEN);
        b.iter_mut().for_each(|x| *x += shift);
        compare(&window(a), &window(b), 1).unwrap().rejects_mean()
    };
    (0..RUNS).filter(|&seed| rejects(seed)).count() as f64 / RUNS as f64
}

/// Rows of the golden file: rho and the share of false alarms with 16 batches.
fn golden() -> Vec<(f64, f64)> {
    let text = include_str!("../../../../tests/golden/invariant_measure.txt");
    let rows = text.lines().map(|line| {
        let mut numbers = line.split(' ').map(|number| number.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    });
    rows.collect()
}

#[test]
fn false_alarms_on_correlated_noise_are_those_of_the_simulation() {
    let rows = golden();
    assert_eq!(rows.len(), 3);
    for (rho, expected) in rows {
        let found = rejected(rho, 0.0);
        // Four deviations of a share of 2000; the file is of 10,000 runs.
        let spread = (1.2 * expected * (1.0 - expected) / RUNS as f64).sqrt();
        assert!(
            (found - expected).abs() < 4.0 * spread,
            "rho {rho}: {found}, {expected}"
        );
        assert!(found < 0.04, "rho {rho}: {found}");
    }
}

/// The statistic is Student's with 30 degrees of freedom about 6: 99.9 % of it lie above 2.75. Six errors of *one* mean are 4.2 of
/// the difference, of which 91 % do.
#[test]
fn a_shift_of_six_standard_errors_of_the_difference_is_found() {
    for rho in [0.0, 0.9, 0.98] {
        // The mean of n samples has variance 1 / ((1 - rho)^2 n).
        let shift = 6.0 * (2.0 / LEN as f64).sqrt() / (1.0 - rho);
        let found = rejected(rho, shift);
        assert!(found > 0.99, "rho {rho}: {found}");
    }
}

/// With 4000 samples the slots have 128, and the last 16 hold 2048: what is between 16 * 2^m and the next is partly left out.
#[test]
fn a_window_that_is_no_power_of_two_is_judged_by_its_later_part() {
    let x = ar1(0.0, 4000, 1);
    assert_eq!(window(&x).summary().unwrap().samples, 2048);
    assert_eq!(window(&x[..2048]).summary().unwrap().samples, 2048);
    assert_eq!(window(&x[..2047]).summary().unwrap().samples, 1024);
}
