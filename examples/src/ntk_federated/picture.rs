//! Accuracy against rounds, bits and seconds.

use thalweg_std::plot::{Axis, Figure, Panel, Series};

use super::{Point, Report};

/// Three panels that share a legend.
pub(super) fn draw(report: &Report) -> Figure {
    let panel = |axis: Axis, x: fn(&Point) -> f64| Panel {
        x: axis,
        y: Axis::linear("test accuracy, %"),
        series: report
            .rows
            .iter()
            .map(|row| {
                let points = row.points.iter().map(|p| (x(p), 100.0 * p.accuracy));
                Series::line(&row.method, points.collect())
            })
            .collect(),
    };
    Figure {
        title: format!(
            "{}: {} of {} clients a round, Dirichlet alpha {}",
            report.data, report.participants, report.clients, report.concentration
        ),
        panels: vec![
            panel(Axis::log("rounds"), |p| p.round as f64),
            panel(Axis::log("bits of one client, both ways"), Point::bits),
            panel(Axis::log("seconds"), |p| p.seconds),
        ],
    }
}
