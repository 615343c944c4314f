//! `|grad f|^2`, or the loss, against uplink bits.

use thalweg_std::plot::{Axis, Figure, Panel, Series};

use super::autoencoder::Report;
use super::grid::{Method, Row};

/// Most panels side by side.
const PANELS: usize = 3;

/// A panel for each number of clients, at the least noise that is not zero.
pub(super) fn quadratics(rows: &[Row]) -> Figure {
    let noise = rows
        .iter()
        .map(|row| row.noise)
        .filter(|&s| s > 0.0)
        .fold(f64::INFINITY, f64::min);
    let shown = if noise.is_finite() { noise } else { 0.0 };
    let panels = rows.iter().filter(|row| row.noise == shown).map(|row| {
        let mut series = Vec::new();
        for entry in &row.entries {
            let mut line = |name: String, score: Option<&super::grid::Score>| {
                let points = score.map_or(Vec::new(), |score| {
                    score
                        .curve
                        .iter()
                        .map(|p| (p.bits as f64, p.value))
                        .collect()
                });
                series.push(Series::line(&name, points));
            };
            match entry.method {
                Method::Descent => line(entry.method.to_string(), entry.best()),
                method => {
                    line(format!("{method}, theory's step"), entry.score(0));
                    line(format!("{method}, best step"), entry.best());
                }
            }
        }
        Panel {
            x: Axis::linear(&format!("uplink bits per client, n = {}", row.clients)),
            y: Axis::log("|grad f|²"),
            series,
        }
    });
    Figure {
        title: format!("Random quadratics, noise s = {shown}, first seed"),
        panels: panels.take(PANELS).collect(),
    }
}

/// A panel for each likeness of the shards.
pub(super) fn autoencoder(report: &Report) -> Figure {
    let mut likeness: Vec<f64> = report.rows.iter().map(|row| row.p_hat).collect();
    likeness.dedup();
    let panels = likeness.into_iter().take(PANELS).map(|p_hat| Panel {
        x: Axis::linear(&format!("uplink bits per client, p̂ = {p_hat}")),
        y: Axis::log("loss"),
        series: report
            .rows
            .iter()
            .filter(|row| row.p_hat == p_hat)
            .filter_map(|row| Some((row, row.best()?)))
            .map(|(row, best)| {
                let points = best.curve.iter().map(|p| (p.bits as f64, p.value));
                Series::line(&row.method.to_string(), points.collect())
            })
            .collect(),
    });
    Figure {
        title: format!(
            "Linear autoencoder of {}: {} clients, {} parameters, best steps",
            report.data, report.clients, report.dimension
        ),
        panels: panels.collect(),
    }
}
