//! Accuracy against rounds, bits and seconds.

use thalweg_std::plot::{Axis, Figure, Panel, Series};

use super::{Point, Report, Row};

/// The methods, and of each that was tried at several rates the run with the highest accuracy.
fn tuned(rows: &[Row]) -> Vec<&Row> {
    let family = |row: &Row| row.method.split(", rate").next().map(str::to_owned);
    let mut best: Vec<&Row> = Vec::new();
    for row in rows {
        match best.iter_mut().find(|other| family(other) == family(row)) {
            Some(other) if row.method.contains(", rate") => {
                if row.best() > other.best() {
                    *other = row;
                }
            }
            _ => best.push(row),
        }
    }
    best
}

/// Three panels that share a legend.
pub(super) fn draw(report: &Report) -> Figure {
    let rows = tuned(&report.rows);
    let panel = |axis: Axis, x: fn(&Point) -> f64| Panel {
        x: axis,
        y: Axis::linear("test accuracy, %"),
        series: rows
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
