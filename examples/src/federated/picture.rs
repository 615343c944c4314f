//! Loss and accuracy against uplink bits.

use thalweg_std::plot::{Axis, Figure, Panel, Series};

use super::{Point, Report};

/// Two panels that share a legend.
pub(super) fn draw(report: &Report) -> Figure {
    let series = |y: fn(&Point) -> f64| {
        let curve = |p: &Point| (p.uplink_bits as f64, y(p));
        // The start has no place on a logarithmic axis.
        let points = |points: &[Point]| points.iter().skip(1).map(curve).collect();
        report
            .rows
            .iter()
            .map(|row| Series::line(&row.method, points(&row.points)))
            .collect()
    };
    let bits = || Axis::log("uplink bits per client");
    Figure {
        title: format!(
            "{}: {} clients, Dirichlet alpha {}, {} parameters",
            report.data, report.clients, report.alpha, report.dimension
        ),
        panels: vec![
            Panel {
                x: bits(),
                y: Axis::log("training loss"),
                series: series(|p| p.measure.train_loss),
            },
            Panel {
                x: bits(),
                y: Axis::linear("test accuracy, %"),
                series: series(|p| 100.0 * p.measure.test_accuracy),
            },
        ],
    }
}
