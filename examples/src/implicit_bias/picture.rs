//! Bounds against samples, and accuracies against the label scale.

use thalweg_std::plot::{Axis, Figure, Panel, Series};

use super::Report;

fn mean(of: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = of.fold((0.0, 0.0), |(sum, n), x| (sum + x, n + 1.0));
    sum / n
}

/// Three panels.
pub(super) fn figure(report: &Report) -> Figure {
    let mut kinds: Vec<(&str, usize)> = report
        .complexity
        .iter()
        .map(|row| (row.labels, row.depth))
        .collect();
    kinds.dedup();
    let bounds = kinds.iter().map(|&(labels, depth)| {
        let rows = report.complexity.iter();
        let rows = rows.filter(|row| (row.labels, row.depth) == (labels, depth));
        let points = rows.map(|row| (row.rows as f64, row.bound_c1));
        Series::line(&format!("{labels}, L = {depth}"), points.collect())
    });
    let mut depths: Vec<usize> = report.posterior.iter().map(|row| row.depth).collect();
    depths.dedup();
    let of = |depth: usize| {
        report
            .posterior
            .iter()
            .filter(move |row| row.depth == depth)
    };
    let scales = depths.iter().map(|&depth| {
        let points = report.scales.iter().enumerate().map(|(i, &scale)| {
            let accuracies = of(depth).filter_map(|row| row.regression.get(i).copied());
            (scale, mean(accuracies))
        });
        Series::line(&format!("regression, L = {depth}"), points.collect())
    });
    let margins = depths.iter().map(|&depth| {
        let points = (0..5).map(|i| {
            let accuracies = of(depth).filter_map(|row| row.by_margin.get(i).copied());
            (i as f64 + 1.0, mean(accuracies))
        });
        Series::line(&format!("posterior, L = {depth}"), points.collect())
    });
    let trained = report.networks.iter();
    let trained = trained.map(|row| (row.scale, row.accuracy));
    let trained = Series::line("trained networks", trained.collect());
    Figure {
        title: "What wide networks know before training, and what the label scale adds".into(),
        panels: vec![
            Panel {
                x: Axis::log("rows n"),
                y: Axis::linear("bound on the mean error, from C1"),
                series: bounds.collect(),
            },
            Panel {
                x: Axis::linear("fifth of the functions, by smallest |f|"),
                y: Axis::linear("mean accuracy"),
                series: margins.collect(),
            },
            Panel {
                x: Axis::log("label scale α"),
                y: Axis::linear("mean accuracy"),
                series: scales.chain([trained]).collect(),
            },
        ],
    }
}
