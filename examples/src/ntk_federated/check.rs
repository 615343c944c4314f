//! Identities of the method, and what must hold for every seed.

use thalweg::ProtocolError;
use thalweg::federated::ntk::Rows;

use super::average::{self, Training};
use super::problem::Problem;
use super::tangent::{self, Variant};
use super::{Point, Report, Row};
use crate::cli::Claims;

/// Largest difference of the accuracies of two runs.
fn apart(a: &[Point], b: &[Point]) -> f64 {
    let pairs = a.iter().zip(b);
    pairs
        .map(|(a, b)| (a.accuracy - b.accuracy).abs())
        .fold(0.0, f64::max)
}

/// What is equal by construction, on the clients of the run.
pub(super) fn identities(problem: &Problem, claims: &mut Claims) -> Result<(), ProtocolError> {
    let times = (1, &[10.0][..]);
    let plain = tangent::run(problem, Variant::PLAIN, times, || ())?;
    let exact = Variant {
        rows: Rows::Quantised {
            keep: 1.0,
            bits: 24,
        },
        ..Variant::PLAIN
    };
    let found = tangent::run(problem, exact, times, || ())?;
    // Of 359 test rows one may lie on the boundary.
    claims.at_most(
        "NTK-FL with all elements in 24 bits, difference of accuracy",
        apart(&plain, &found),
        0.006,
    );

    let training = Training {
        learning_rate: 0.1,
        epochs: 1,
        uneven: false,
        batch: 1000,
        mu: 0.0,
        normalised: false,
    };
    let average = average::run(problem, training, 2, || ())?;
    let nova = average::run(
        problem,
        Training {
            normalised: true,
            ..training
        },
        2,
        || (),
    )?;
    claims.at_most(
        "FedNova with one step of each client less FedAvg, accuracy",
        apart(&average, &nova),
        0.0,
    );

    let (p, c) = (
        problem.model().dim() as f64,
        problem.model().outputs() as f64,
    );
    let sizes = problem
        .selected(0)?
        .into_iter()
        .filter_map(|i| problem.shards.get(i as usize).map(Vec::len));
    let n = sizes.sum::<usize>() as f64 / f64::from(problem.participants);
    // Jacobian, outputs, labels of 4 bits, losses of the model and of one candidate.
    let expected = 32.0 * n * c * p + 32.0 * n * c + 4.0 * n + 64.0;
    let up = plain.first().map_or(f64::NAN, |p| p.uplink_bits);
    claims.within(
        "NTK-FL: uplink bits of a client, over 32 N C P + 32 N C + N log2 C and its losses",
        up / expected,
        1.0 + 1e-9,
    );
    let down = plain.first().map_or(f64::NAN, |p| p.downlink_bits);
    claims.within(
        "NTK-FL: downlink bits, over those of the model and one candidate",
        down / (64.0 * p),
        1.0 + 1e-9,
    );
    Ok(())
}

/// The table.
pub(super) fn rows(problem: &Problem, report: &Report, claims: &mut Claims) {
    let find = |name: &str| report.rows.iter().find(|row| row.method == name);
    let rounds = |row: Option<&Row>| {
        row.and_then(|row| row.first(80.0))
            .map_or(f64::INFINITY, |p| p.round as f64)
    };
    let is_average = |row: &&Row| row.method.starts_with("FedAvg");
    let tuned = report
        .rows
        .iter()
        .filter(is_average)
        .map(|row| rounds(Some(row)))
        .fold(f64::INFINITY, f64::min);
    let tangent = rounds(find("NTK-FL"));
    claims.at_least(
        "rounds to 80 %: tuned FedAvg over NTK-FL",
        tuned / tangent,
        1.0,
    );
    claims.at_most("rounds of NTK-FL to 80 %", tangent, 10.0);
    let best = |name: &str| find(name).map_or(f64::NAN, Row::best);
    claims.at_least("NTK-FL: best accuracy", best("NTK-FL"), 0.85);
    claims.at_most(
        "CP-NTK-FL: best accuracy below that of NTK-FL",
        best("NTK-FL") - best("CP-NTK-FL"),
        0.15,
    );
    let up = |name: &str| {
        find(name)
            .and_then(|row| row.points.first())
            .map_or(f64::NAN, |p| p.uplink_bits)
    };
    let model = 32.0 * problem.model().dim() as f64;
    claims.at_least(
        "NTK-FL: uplink bits of a round, over those of FedAvg",
        up("NTK-FL") / model,
        100.0,
    );
    claims.at_least(
        "uplink bits of NTK-FL over those of CP-NTK-FL",
        up("NTK-FL") / up("CP-NTK-FL"),
        20.0,
    );
}
