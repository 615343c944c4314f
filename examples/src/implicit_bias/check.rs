//! What the figures must be, for every seed.
//!
//! The table of complexities is exact arithmetic on the digits: no draw is in it. Accuracies over drawn problems are means, with bounds
//! that are several standard errors away from what independent programs found.

use super::network::Row;
use super::wide::{Cost, Posterior};
use crate::cli::Claims;

/// Problems that are drawn.
pub(super) const DRAWS: u64 = 8;

/// Networks that are trained on each scale.
pub(super) const NETWORKS: u64 = 32;

/// Labels, rows, layers, `rd`, `tr K^-1`, `c^T K^-1 c`, C1 and its bound: NumPy's Cholesky factors of the same kernels. `rd` and the trace do not
/// depend on the labels.
const TABLE: [(&str, usize, usize, [f64; 5]); 12] = [
    (
        "parity",
        50,
        2,
        [0.145_002, 818.920, 88.788, 35.673, 0.5999],
    ),
    (
        "parity",
        50,
        7,
        [0.111_499, 706.222, 134.489, 29.080, 0.5423],
    ),
    (
        "parity",
        100,
        2,
        [0.078_183, 3341.89, 231.967, 73.245, 0.5682],
    ),
    (
        "parity",
        100,
        7,
        [0.080_629, 2016.68, 226.513, 55.357, 0.4827],
    ),
    (
        "parity",
        200,
        2,
        [0.046_054, 10826.7, 637.700, 139.941, 0.5307],
    ),
    (
        "parity",
        200,
        7,
        [0.062_837, 5085.90, 402.281, 106.111, 0.4437],
    ),
    (
        "pattern",
        50,
        2,
        [0.145_002, 818.920, 1201.60, 87.035, 0.8597],
    ),
    (
        "pattern",
        50,
        7,
        [0.111_499, 706.222, 943.129, 57.780, 0.7452],
    ),
    (
        "pattern",
        100,
        2,
        [0.078_183, 3341.89, 4702.81, 184.507, 0.8597],
    ),
    (
        "pattern",
        100,
        7,
        [0.080_629, 2016.68, 2463.42, 112.767, 0.7104],
    ),
    (
        "pattern",
        200,
        2,
        [0.046_054, 10826.7, 11719.8, 302.397, 0.7925],
    ),
    (
        "pattern",
        200,
        7,
        [0.062_837, 5085.90, 5269.67, 203.466, 0.6589],
    ),
];

/// `-ln P(c)` of parity: rows, layers, the estimate of 40,000 draws with an error of 0.01, C1.
const COMPLEXITY: [(usize, usize, f64, f64); 4] = [
    (10, 2, 6.96, 7.5549),
    (10, 7, 7.96, 8.3812),
    (20, 2, 12.07, 14.7168),
    (20, 7, 13.40, 14.3954),
];

pub(super) fn complexity(rows: &[Cost], claims: &mut Claims) {
    let find = |labels: &str, n: usize, depth: usize| {
        rows.iter()
            .find(|row| (row.labels, row.rows, row.depth) == (labels, n, depth))
    };
    for (labels, n, depth, expected) in TABLE {
        let found = find(labels, n, depth).map_or([f64::NAN; 5], |row| {
            [
                row.root_determinant,
                row.trace,
                row.energy,
                row.c1,
                row.bound_c1,
            ]
        });
        // Six digits are printed, four of the bound.
        let worst = found
            .iter()
            .zip(expected)
            .fold(0.0, |worst: f64, (found, expected)| {
                let digits = if expected < 1.0 && expected > 0.4 {
                    2e-4
                } else {
                    2e-5
                };
                let off = (found / expected - 1.0).abs() / digits;
                if off.is_nan() { off } else { worst.max(off) }
            });
        let figure = format!(
            "{labels}, n = {n}, L = {depth}: rd, trace, energy, C1 and bound, largest error in last digits"
        );
        claims.at_most(&figure, worst, 1.0);
    }
    for (n, depth, c0, c1) in COMPLEXITY {
        let (found, bound) =
            find("parity", n, depth).map_or((f64::NAN, f64::NAN), |row| (row.c0.value, row.c1));
        let figure = format!("parity, n = {n}, L = {depth}: C0, distance to {c0}");
        claims.at_most(&figure, (found - c0).abs(), 0.1);
        claims.at_most(
            &format!("{figure}: C1, distance to {c1}"),
            (bound - c1).abs(),
            2e-4,
        );
    }
    let excess = rows
        .iter()
        .filter(|row| row.c0.reliable)
        .map(|row| row.c0.value - row.c1);
    claims.at_most(
        "C0 less its upper bound C1, largest",
        excess.fold(f64::NEG_INFINITY, f64::max),
        0.05,
    );
}

pub(super) fn posterior(rows: &[Posterior], claims: &mut Claims) {
    let mut depths: Vec<usize> = rows.iter().map(|row| row.depth).collect();
    depths.dedup();
    for depth in depths {
        let of: Vec<&Posterior> = rows.iter().filter(|row| row.depth == depth).collect();
        let mean = |f: &dyn Fn(&Posterior) -> f64| {
            of.iter().map(|row| f(row)).sum::<f64>() / of.len() as f64
        };
        let most = |f: &dyn Fn(&Posterior) -> f64| {
            of.iter()
                .map(|row| f(row))
                .fold(f64::NEG_INFINITY, f64::max)
        };
        let name = |figure: &str| format!("0 and 1, L = {depth}: {figure}");
        claims.at_least(
            &name("mean accuracy of functions with the right signs"),
            mean(&|r| r.gibbs),
            0.62,
        );
        claims.at_most(
            &name("the same less P(c, c')/P(c), largest distance"),
            most(&|r| (r.gibbs - r.quotient).abs()),
            0.02,
        );
        claims.at_most(
            &name("error of the vote less twice that of its functions, largest"),
            most(&|r| (1.0 - r.vote) - 2.0 * (1.0 - r.gibbs)),
            0.02,
        );
        claims.at_most(
            &name("error of the centre of mass less e times that of its functions, largest"),
            most(&|r| (1.0 - r.centre_of_mass) - std::f64::consts::E * (1.0 - r.gibbs)),
            0.02,
        );
        claims.at_least(
            &name("mean accuracy of the centre of mass less that of functions"),
            mean(&|r| r.centre_of_mass - r.gibbs),
            0.05,
        );
        claims.at_least(
            &name("accuracy of the fifth with the largest margins less that with the least, mean"),
            mean(&|r| r.by_margin[4] - r.by_margin[0]),
            0.02,
        );
        let scaled =
            |i: usize| mean(&|r: &Posterior| r.regression.get(i).copied().unwrap_or(f64::NAN));
        claims.at_most(
            &name("regression on 0.01 c: mean accuracy, distance to 1/2"),
            (scaled(0) - 0.5).abs(),
            0.05,
        );
        claims.at_least(
            &name("regression on 100 c less on 0.01 c, mean accuracy"),
            scaled(4) - scaled(0),
            0.2,
        );
    }
}

/// The label scale is the margin: networks on a small one are at chance, on a large one better than functions that merely have the right signs.
pub(super) fn networks(rows: &[Row], posterior: &[Posterior], claims: &mut Claims) {
    let gibbs = posterior.iter().map(|row| row.gibbs).sum::<f64>() / posterior.len() as f64;
    let of = |scale: f64| rows.iter().find(|row| row.scale == scale);
    let accuracy = |scale: f64| of(scale).map_or(f64::NAN, |row| row.accuracy);
    let margin = |scale: f64| of(scale).map_or(f64::NAN, |row| row.margin);
    claims.at_most(
        "networks on 0.01 c: mean accuracy, distance to 1/2",
        (accuracy(0.01) - 0.5).abs(),
        // The deviation between networks is 0.16: five standard errors.
        0.15,
    );
    claims.at_least(
        "networks on 10 c less functions with the right signs, mean accuracy",
        accuracy(10.0) - gibbs,
        0.1,
    );
    for scale in [0.01, 0.1, 1.0, 10.0] {
        let figure = format!("networks on {scale} c: mean of the smallest c f(x), over the scale");
        claims.within(&figure, margin(scale) / scale, 1.1);
    }
    let least = rows.iter().map(|row| row.train).fold(1.0, f64::min);
    claims.at_least("networks: least accuracy on the training rows", least, 1.0);
}
