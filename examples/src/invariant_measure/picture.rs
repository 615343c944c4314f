//! Loss, gradient, movement, sharpness and the ratio R1 along the runs.

use thalweg_std::plot::{Axis, Figure, Mark, Panel, Series};

use super::run::{Point, Run};

/// Six panels; a run has the same look in each.
pub(super) fn figure(name: &str, runs: &[Run]) -> Figure {
    // Root mean squares of five points: a single gradient says little. The first point has no place on a logarithmic axis.
    let along = |of: fn(&Point) -> f64| -> Vec<Series> {
        let line = |run: &Run| {
            let group = |points: &[Point]| {
                let n = points.len() as f64;
                let step = points.iter().map(|p| p.step as f64).sum::<f64>() / n;
                (
                    step,
                    (points.iter().map(|p| of(p).powi(2)).sum::<f64>() / n).sqrt(),
                )
            };
            let points = run.points.get(1..).unwrap_or_default();
            Series::line(&run.name, points.chunks(5).map(group).collect())
        };
        runs.iter().map(line).collect()
    };
    let edge = {
        let inverse = runs.iter().map(|run| 2.0 / run.rate);
        let (low, high) = inverse.fold((f64::INFINITY, 0.0_f64), |(low, high), x| {
            (x.min(low), x.max(high))
        });
        // Wide enough for a few ticks when there is one step size only.
        let (low, high) = (low / 2.0, high * 2.0);
        Series {
            mark: Mark::Contour,
            ..Series::line("edge of stability, 2/η", vec![(low, low), (high, high)])
        }
    };
    let mut against: Vec<Series> = runs
        .iter()
        // A lowered step size has no one place.
        .filter(|run| run.resets == 0)
        .map(|run| Series::scatter(&run.name, vec![(2.0 / run.rate, run.end.sharpness)]))
        .collect();
    against.push(edge);
    let scaled = runs.iter().filter(|run| run.resets == 0).map(|run| {
        let points = run.sharpness.iter().skip(1);
        let points = points.map(|(k, value)| (*k as f64, value * run.rate / 2.0));
        Series::line(&run.name, points.collect())
    });
    let ratios = runs
        .iter()
        .filter(|run| !run.full && run.resets == 0)
        .map(|run| {
            let points = run.stretches.iter().filter_map(|stretch| {
                let middle = (stretch.from + stretch.to) as f64 / 2.0;
                Some((middle, stretch.norm_ratio?))
            });
            Series::line(&run.name, points.collect())
        });
    let mut panels = vec![
        Panel {
            x: Axis::log("step"),
            y: Axis::linear("loss, all rows"),
            series: along(|p| p.loss),
        },
        Panel {
            x: Axis::log("step"),
            y: Axis::log("norm of the full gradient"),
            series: along(|p| p.gradient),
        },
        Panel {
            x: Axis::log("step"),
            y: Axis::log("weights' movement in 1/300 of the run"),
            series: along(|p| p.moved),
        },
        Panel {
            x: Axis::log("2/η"),
            y: Axis::log("sharpness at the end of table 1"),
            series: against,
        },
        Panel {
            x: Axis::log("step"),
            y: Axis::linear("sharpness over 2/η"),
            series: scaled.collect(),
        },
        Panel {
            x: Axis::log("step"),
            y: Axis::linear("R1 = 2 <x,g> / (η <g,g>)"),
            series: ratios.collect(),
        },
    ];
    // Sharpness along a run is measured too seldom for a short one to have a curve.
    panels.retain(|panel| panel.series.iter().any(|series| !series.points.is_empty()));
    Figure {
        title: format!("{name}: {}", title(runs)),
        panels,
    }
}

/// What the runs with minibatches show.
fn title(runs: &[Run]) -> String {
    let noisy = || runs.iter().filter(|run| !run.full);
    let vanished = noisy().filter(|run| run.vanishes()).count();
    match (vanished, noisy().count()) {
        (0, _) => "the gradient does not vanish, the weights go on moving".into(),
        (all, n) if all == n => "the gradient vanishes".into(),
        (some, n) => format!("the gradient vanishes in {some} of {n} runs with minibatches"),
    }
}
