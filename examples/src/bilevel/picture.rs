//! Panels of the tables and of the stories.
//!
//! The legend lies below all panels, so methods that all panels share have one name there, and rows whose curves coincide with a drawn
//! one are left to the table. A loss on fresh tasks or minibatches changes more from step to step than from method to method: its curve is
//! the median of a window that moves along, and in a separate panel with the 10 % and 90 % quantiles of that window.

use thalweg_std::plot::{Axis, Figure, Mark, Panel, Series};

use super::method::DIRECT;
use super::problem::Experiment;
use super::{Length, Row};

/// What the legend calls a row; `None` for a row that is not drawn.
fn legend(row: &Row) -> Option<&'static str> {
    Some(match (row.experiment, row.name) {
        (Experiment::A, "ESJ Gaussian, Q = 10") | (Experiment::B, "ESJ Q = 20") => {
            "ESJ Gaussian, Q = 10 (A), 20 (B)"
        }
        (Experiment::B, "ESJ Q = 1") => "ESJ Gaussian, Q = 1",
        (Experiment::A, "HOZOG Gaussian, Q = 10") | (Experiment::B, "HOZOG Q = 5") => {
            "HOZOG Gaussian, Q = 10 (A), 5 (B)"
        }
        // Curves near those of AID-FP, of the Gaussian, of HOZOG and of ITD.
        (_, "stocBiO, all rows" | "ESJ sphere times p, Q = 1" | "ESJ sphere times p, Q = 5")
        | (Experiment::A, "HOZOG unit sphere, Q = 1")
        | (Experiment::B, "ESJ Q = 5" | "ESJ unit vectors, all 40") => return None,
        (_, name) => name,
    })
}

/// Losses of every experiment in `rows`, and memory where there are lengths.
pub fn tables(rows: &[Row], lengths: &[Length]) -> Figure {
    let mut panels = Vec::new();
    for (experiment, label) in [
        (Experiment::A, "A: outer loss"),
        (Experiment::B, "B: validation loss"),
        (Experiment::Larger, "outer loss"),
    ] {
        let rows = rows.iter().filter(|row| row.experiment == experiment);
        let series: Vec<Series> = rows
            .filter_map(|row| Some(line(legend(row)?, &row.curve)))
            .collect();
        if !series.is_empty() {
            panels.push(losses(label, series));
        }
    }
    let memory = |name, of: fn(&Length) -> usize| {
        let points = lengths.iter().map(|l| (l.steps as f64, of(l) as f64));
        Series::line(name, points.collect())
    };
    let title = if lengths.is_empty() {
        "Hypergradients: hyper-representation, 128 x 256"
    } else {
        panels.push(Panel {
            x: Axis::log("inner steps N"),
            y: Axis::log("B: numbers of scratch"),
            series: vec![
                memory("ESJ Gaussian, Q = 1", |l| l.esj),
                memory("ITD", |l| l.itd),
            ],
        });
        "Hypergradients: hyper-representation (A), per-feature ridge (B)"
    };
    Figure {
        title: title.into(),
        panels,
    }
}

fn line(name: &str, curve: &[f64]) -> Series {
    let points = curve.iter().enumerate().map(|(k, &y)| (k as f64, y));
    Series::line(name, points.collect())
}

/// A panel against outer steps; logarithmic where the losses span a decade.
pub fn losses(label: &str, series: Vec<Series>) -> Panel {
    let points = || series.iter().flat_map(|series| &series.points);
    let least = points().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let most = points().map(|p| p.1).fold(0.0, f64::max);
    Panel {
        x: Axis::linear("outer steps"),
        y: if most >= 10.0 * least {
            Axis::log(label)
        } else {
            Axis::linear(label)
        },
        series,
    }
}

/// Curves as they are, in one panel.
pub fn plain(curves: &[(&str, &[f64])]) -> Vec<Panel> {
    let series = curves.iter().map(|(name, curve)| line(name, curve));
    vec![losses("outer loss", series.collect())]
}

/// The medians of all curves in one panel, then each with its band and the median of the direct gradient.
pub fn noisy(curves: &[(&str, &[f64])]) -> Vec<Panel> {
    let medians: Vec<Series> = curves
        .iter()
        .map(|(name, curve)| line(name, &quantiles(curve, 0.5)))
        .collect();
    let direct = medians.iter().find(|series| series.name == DIRECT).cloned();
    let mut panels = vec![losses("outer loss, medians", medians.clone())];
    for ((name, curve), median) in curves.iter().zip(medians) {
        let mut band = line("10 % and 90 % of a window", &quantiles(curve, 0.1));
        // A point that is not finite interrupts the line.
        band.points.push((f64::NAN, f64::NAN));
        band.points.extend(line("", &quantiles(curve, 0.9)).points);
        band.mark = Mark::Contour;
        let mut series = vec![band];
        series.extend(direct.clone().filter(|direct| direct.name != *name));
        series.push(median);
        panels.push(losses(name, series));
    }
    panels
}

/// A quantile of a window of a tenth of the curve, centred at every point and cut at the ends.
fn quantiles(curve: &[f64], share: f64) -> Vec<f64> {
    let reach = curve.len() / 20;
    (0..curve.len())
        .map(|k| {
            let end = (k + reach + 1).min(curve.len());
            let window = curve.get(k.saturating_sub(reach)..end);
            let mut window = window.unwrap_or_default().to_vec();
            window.sort_by(f64::total_cmp);
            let at = share * (window.len().saturating_sub(1)) as f64;
            window.get(at.round() as usize).copied().unwrap_or(f64::NAN)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_a_centred_window_cut_at_the_ends() {
        // Ninety points, four on each side; every other loss is 100 more.
        let curve: Vec<f64> = (0..90).map(|k| f64::from(k + 100 * (k % 2))).collect();
        let median = quantiles(&curve, 0.5);
        // Around 40: 36, 38, 40, 42, 44, 137, 139, 141, 143; around 0: 0, 2, 4, 101, 103.
        assert_eq!((median[40], quantiles(&curve, 0.1)[40]), (44.0, 38.0));
        assert_eq!(quantiles(&curve, 0.9)[40], 141.0);
        assert_eq!((median[0], median.len()), (4.0, 90));
        assert!(quantiles(&[], 0.5).is_empty());
    }

    #[test]
    fn a_loss_under_a_decade_has_a_linear_axis() {
        let scale = |curve: &[f64]| plain(&[("a", curve)])[0].y.scale;
        assert_eq!(scale(&[2.0, 0.3]), thalweg_std::plot::Scale::Linear);
        assert_eq!(scale(&[3.0, 0.3]), thalweg_std::plot::Scale::Log);
    }

    #[test]
    fn every_panel_of_a_noisy_story_shows_the_direct_gradient_once() {
        let curve = [3.0, 2.0, 1.0];
        let panels = noisy(&[(DIRECT, &curve), ("a", &curve), ("b", &curve)]);
        assert_eq!(panels.len(), 4);
        for panel in &panels {
            let direct = panel.series.iter().filter(|s| s.name == DIRECT).count();
            assert_eq!(direct, 1);
        }
    }
}
