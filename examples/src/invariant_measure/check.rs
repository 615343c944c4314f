//! What the figures must be, for every seed.
//!
//! Each figure of a run is compared with its law over independent seeds of another program. In addition: the claims of the paper, with wide
//! margins.

use super::calibration::Calibration;
use super::run::{Point, Quarter, Run};
use crate::cli::Claims;
use crate::label_noise::law::Laws;

/// Written by `invariant_measure.py` there, of sixteen seeds (one figure: of eight). A check has one run of each step size: eight deviations
/// of the difference are one in a million of Student's law with 15 degrees of freedom (with 7: one in ten thousand), so that forty seeds of
/// fifty figures hold.
const LAWS: Laws = Laws {
    text: include_str!("../../tests/reference/invariant_measure.txt"),
    errors: 8.0,
};

/// Step sizes.
const RATES: [f64; 4] = [0.4, 0.2, 0.1, 0.05];

fn of_rate(runs: &[Run], rate: f64) -> Option<&Run> {
    runs.iter()
        .find(|run| !run.full && run.resets == 0 && run.rate == rate)
}

/// States every claim about the runs. A run that is absent has no figures, and its claims fail.
pub(super) fn runs(runs: &[Run], claims: &mut Claims) {
    let figure =
        |run: Option<&Run>, f: &dyn Fn(&Run) -> Option<f64>| run.and_then(f).unwrap_or(f64::NAN);
    let quarter = |run: Option<&Run>, i: usize| {
        let of = |f: fn(&Quarter) -> f64| figure(run, &|run| run.quarters.get(i).map(f));
        (of(|q| q.loss), of(|q| q.gradient))
    };
    for rate in RATES {
        let run = of_rate(runs, rate);
        let (third, (loss, gradient)) = (quarter(run, 0).0, quarter(run, 1));
        let first = |f: fn(&Point) -> f64| figure(run, &|run| run.points.first().map(f));
        let sharpness = figure(run, &|run| Some(run.end.sharpness));
        let moved = figure(run, &|run| Some(run.late.moved / run.late.norm));
        for (name, value) in [
            ("fall of the loss", first(|p| p.loss) - loss),
            ("loss", loss),
            ("rms gradient", gradient),
            ("loss, third to fourth quarter", third - loss),
            ("movement over norm", moved),
            ("sharpness", sharpness),
        ] {
            LAWS.agrees(claims, &format!("eta {rate}: {name}"), [value].into_iter());
        }
        // What the paper says, for every seed: the loss has fallen and stopped, the gradient is there, the weights go on.
        let name = format!("eta {rate}: loss, third to fourth quarter, over its fall");
        claims.at_most(
            &name,
            (third - loss).abs() / (first(|p| p.loss) - loss),
            0.1,
        );
        let name = format!("eta {rate}: rms full gradient over the first");
        claims.at_least(&name, gradient / first(|p| p.gradient), 0.2);
        let name = format!("eta {rate}: weights' movement in the last fifth over their norm");
        claims.at_least(&name, moved, 0.03);
        let name = format!("eta {rate}: sharpness over 2 / eta, under the edge");
        claims.at_most(&name, sharpness * rate / 2.0, 1.0);
    }
    let tenth = of_rate(runs, 0.1);
    let ratio = figure(tenth, &|run| run.curvature_ratio);
    LAWS.agrees(claims, "eta 0.1: R2", [ratio].into_iter());
    // The stretch from 0.6 to 0.8 of 60000 steps is the published last pair, 36000 to 48000.
    let score = figure(tenth, &|run| {
        let [loss, ..] = run.stretches.get(4)?.observables;
        Some(loss.mean)
    });
    let name = "eta 0.1: score of the loss, 36000 to 48000";
    LAWS.agrees(claims, name, [score].into_iter());

    // R1: published 0.48, 0.81, 0.976, 0.996, 0.997 at 0.4.
    let fast = of_rate(runs, 0.4);
    for (name, stretch) in [("400 to 800", 0), ("36000 to 48000", 4)] {
        let ratio = figure(fast, &|run| run.stretches.get(stretch)?.norm_ratio);
        LAWS.agrees(claims, &format!("eta 0.4: R1, {name}"), [ratio].into_iter());
    }

    // Lowered tenfold after 12000 steps: a smaller gradient that is not zero, larger noise and curvature.
    let lowered = runs.iter().find(|run| run.resets == 1);
    let over = |f: &dyn Fn(&Run) -> Option<f64>| figure(lowered, f) / figure(fast, f);
    let gradient = figure(lowered, &|run| Some(run.late.gradient));
    for (name, value) in [
        (
            "noise, root, over that before",
            over(&|run| Some(run.end.noise)),
        ),
        (
            "sharpness over that before",
            over(&|run| Some(run.end.sharpness)),
        ),
        (
            "rms gradient over that before",
            gradient / quarter(fast, 1).1,
        ),
        ("rms gradient", gradient),
    ] {
        LAWS.agrees(claims, &format!("lowered: {name}"), [value].into_iter());
    }

    // Without noise the gradient goes: published .478 to .0090 after 2000 steps.
    let full = runs.iter().find(|run| run.full && run.rate == 0.4);
    let fall = figure(full, &|run| {
        let first = run.points.first()?;
        let later = run.points.iter().find(|point| point.step >= 2000)?;
        Some(later.gradient / first.gradient)
    });
    let name = "all rows, eta 0.4: ln gradient after 2000 steps over the first";
    LAWS.agrees(claims, name, [fall.ln()].into_iter());
    let name = "all rows, eta 0.4: gradient after 2000 steps over the first";
    claims.at_most(name, fall, 0.1);
}

/// Published shares of rejections: 16 batches, 63 batches, Kolmogorov-Smirnov.
const REJECTED: [(f64, f64, f64, Option<f64>); 3] = [
    (0.0, 0.013, 0.012, None),
    (0.9, 0.017, 0.021, None),
    (0.98, 0.020, 0.096, Some(0.93)),
];

/// Calibration: within five deviations of the difference of two shares, the published ones taken as of 1000 runs.
pub(super) fn calibration(rows: &[Calibration], claims: &mut Claims) {
    for (row, (rho, batches, root, distance)) in rows.iter().zip(REJECTED) {
        let pairs = [
            ("16 batches", row.batch_means, Some(batches)),
            ("63 batches", row.root_rule, Some(root)),
            ("independent samples", row.kolmogorov_smirnov, distance),
        ];
        for (test, found, published) in pairs {
            let Some(share) = published else { continue };
            let spread = (share * (1.0 - share) * (1e-3 + 1.0 / row.runs as f64)).sqrt();
            let name = format!("AR(1), rho {rho}, {test}: rejections, distance to {share}");
            claims.at_most(&name, (found - share).abs(), 5.0 * spread);
        }
        let name = format!("AR(1), rho {rho}: shifts of six standard errors that are found");
        claims.at_least(&name, row.shifted, 0.99);
        // Five deviations above one in a hundred; blocks of 256 are short for a correlation time of 99.
        let spread = 5.0 * (0.01 * 0.99 / row.deals as f64).sqrt();
        let most = if rho < 0.95 { 0.01 + spread } else { 0.2 };
        let name = format!("AR(1), rho {rho}, distribution: false alarms");
        claims.at_most(&name, row.distribution, most);
        if rho < 0.95 {
            let name = format!("AR(1), rho {rho}, distribution: changes of shape that are found");
            claims.at_least(&name, row.reshaped, 0.95);
        }
    }
    let last = rows.last().map_or(f64::NAN, |row| row.batch_means);
    claims.at_most("AR(1), rho 0.98: false alarms", last, 0.04);
}
