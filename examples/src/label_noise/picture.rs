//! Errors of every method, errors and distances along time, and successes against samples.

use thalweg_std::plot::{Axis, Figure, Panel, Series};

use super::experiment::{Cell, Recovery, Trajectory};

/// The error of a method, where it ran.
type Of = fn(&Recovery) -> Option<f64>;

/// Errors below are drawn here: basis pursuit is exact but for its gap.
const LEAST: f64 = 1e-8;

/// Four panels; the second and the third are of the first seed where there are several.
pub(super) fn figure(rows: &[Recovery], runs: &[Trajectory], cells: &[Cell]) -> Figure {
    let methods: [(&str, Of); 7] = [
        ("descent", |r| Some(r.descent)),
        ("isotropic noise", |r| r.isotropic),
        ("label noise", |r| Some(r.raw)),
        ("label noise, cooled", |r| Some(r.cooled)),
        ("limit", |r| Some(r.limit)),
        ("Lasso", |r| Some(r.lasso)),
        ("basis pursuit", |r| Some(r.pursuit)),
    ];
    // Seeds may be large; their order is what tells them apart.
    let methods = methods.iter().map(|(name, of)| {
        let points = rows.iter().enumerate();
        let points = points.filter_map(|(k, row)| Some((k as f64 + 1.0, of(row)?.max(LEAST))));
        Series::scatter(name, points.collect())
    });
    let first = runs.iter().map(|run| run.seed).min();
    let runs: Vec<&Trajectory> = runs.iter().filter(|run| Some(run.seed) == first).collect();
    let name = |run: &Trajectory| format!("η = {:.0e}", run.rate);
    let mut errors: Vec<Series> = runs
        .iter()
        .map(|run| {
            let points = run.points.iter().map(|point| (point.time, point.error));
            Series::line(&name(run), points.collect())
        })
        .collect();
    if let Some(run) = runs.last() {
        let points = run.points.iter().map(|p| (p.time, p.limit_error));
        errors.push(Series::line("limit", points.collect()));
    }
    let distances = runs.iter().map(|run| {
        let points = run.points.iter().map(|point| (point.time, point.distance));
        Series::line(&name(run), points.collect())
    });
    let mut shapes: Vec<(usize, usize)> = cells.iter().map(|c| (c.dim, c.sparsity)).collect();
    shapes.dedup();
    let sweep = shapes.into_iter().map(|(dim, sparsity)| {
        let points = cells
            .iter()
            .filter(|cell| (cell.dim, cell.sparsity) == (dim, sparsity))
            .map(|cell| (cell.ratio, cell.successes as f64 / cell.seeds as f64));
        Series::line(&format!("d = {dim}, κ = {sparsity}"), points.collect())
    });
    Figure {
        title: "Label noise: from the smallest 2-norm to the sparse signal".into(),
        panels: vec![
            Panel {
                x: Axis::linear("seed, by its place in the table"),
                y: Axis::log("|w − w*|² / |w*|², or 1e-8"),
                series: methods.collect(),
            },
            Panel {
                x: Axis::linear("t = k η²"),
                y: Axis::log("|w − w*|² / |w*|²"),
                series: errors,
            },
            Panel {
                x: Axis::linear("t = k η²"),
                y: Axis::log("distance to the limit"),
                series: distances.collect(),
            },
            Panel {
                x: Axis::linear("n / (κ ln d)"),
                y: Axis::linear("share recovered"),
                series: sweep.collect(),
            },
        ],
    }
}
