//! Loss and accuracy against uplink bits.

use thalweg_std::plot::{Axis, Figure, Panel, Series};

use super::{Point, Row};

/// Two panels that share a legend.
pub(super) fn draw(title: String, rows: &[Row]) -> Figure {
    let series = |y: fn(&Point) -> f64| {
        let curve = |p: &Point| (p.uplink_bits as f64, y(p));
        // The start has no place on a logarithmic axis.
        let points = |points: &[Point]| points.iter().skip(1).map(curve).collect();
        rows.iter()
            .map(|row| Series::line(&row.method, points(&row.points)))
            .collect()
    };
    let bits = || Axis::log("uplink bits per client");
    Figure {
        title,
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
