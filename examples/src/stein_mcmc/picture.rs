//! Discrepancies on the way, and particles over their densities.

use thalweg_std::plot::{Axis, Figure, Panel, Series};

use super::compare::{Point, Report, Row};
use super::problem::{Kind, Problem};
use super::sampler::Method;

/// Cells of a density on each side of its window.
const CELLS: usize = 120;
/// Densities on the lines, relative to the largest.
const LEVELS: [f64; 4] = [0.8, 0.4, 0.1, 0.01];
/// Panels with particles where one target is shown.
const SCATTERS: usize = 5;

/// Where a density of two coordinates lives.
fn window(kind: Kind) -> Option<[(f64, f64); 2]> {
    match kind {
        Kind::Gaussian => Some([(-7.0, 7.0), (-1.2, 1.2)]),
        Kind::Correlated => Some([(-3.5, 3.5), (-3.5, 3.5)]),
        Kind::Mixture => Some([(-4.5, 4.5), (-2.5, 5.0)]),
        Kind::Banana => Some([(-2.2, 2.2), (-1.3, 3.2)]),
        Kind::Funnel => Some([(-5.0, 5.0), (-6.0, 6.0)]),
        Kind::Neal | Kind::Logistic | Kind::Synthetic | Kind::Bnn => None,
    }
}

/// A row of panels for each target of two coordinates; two rows when it is the only one.
pub(super) fn draw(reports: &[(Problem, Report)]) -> Figure {
    let mut panels = Vec::new();
    for (problem, report) in reports {
        let few = if reports.len() == 1 { SCATTERS } else { 2 };
        let scattered: Vec<&Row> = shown(report).take(few).collect();
        if report.floor.is_some() {
            panels.push(curve(report, "MMD²", |p| p.mmd2));
        }
        if let (Some(window), false) = (window(report.target), scattered.is_empty()) {
            panels.extend(
                scattered
                    .into_iter()
                    .map(|row| scatter(problem, row, window)),
            );
        } else {
            panels.push(curve(report, "KSD", |p| Some(p.ksd)));
            panels.push(Panel {
                y: Axis::linear(&format!("log predictive, {}", report.target.name())),
                ..curve(report, "log predictive", |p| p.log_predictive)
            });
        }
    }
    let n = reports.first().map_or(0, |(_, report)| report.particles);
    Figure {
        title: format!("{n} particles, each sampler at its best step of a grid"),
        panels,
    }
}

/// Rows whose particles are drawn, the more telling first.
fn shown(report: &Report) -> impl Iterator<Item = &Row> {
    let order = [
        Method::SteinSghmc,
        Method::Svgd,
        Method::Sghmc,
        Method::SvgdAdagrad,
        Method::Langevin,
        Method::Exact,
    ];
    order.into_iter().filter_map(|method| {
        let rows = report
            .rows
            .iter()
            .filter(|row| row.setting.method == method);
        let last = |row: &&Row| {
            row.curve
                .last()
                .and_then(|p| p.mmd2)
                .unwrap_or(f64::INFINITY)
        };
        rows.filter(|row| !row.curve.is_empty())
            .min_by(|a, b| last(a).total_cmp(&last(b)))
    })
}

fn curve(report: &Report, label: &str, figure: impl Fn(&Point) -> Option<f64>) -> Panel {
    let series = report.rows.iter().filter(|row| !row.curve.is_empty());
    Panel {
        x: Axis::log("score evaluations per particle"),
        y: Axis::log(&format!("{label}, {}", report.target.name())),
        series: series
            .map(|row| {
                let points = row.curve.iter();
                let points = points.filter_map(|p| Some((p.evaluations as f64, figure(p)?)));
                Series::line(&name(row), points.collect())
            })
            .collect(),
    }
}

/// As the legend calls it.
fn name(row: &Row) -> String {
    match row.setting.bandwidth {
        Some(b) => format!("{}, b = {b}", row.setting.method),
        None => row.setting.method.to_string(),
    }
}

fn scatter(problem: &Problem, row: &Row, [x, y]: [(f64, f64); 2]) -> Panel {
    let log = |x: f64, y: f64| problem.energy(&[x, y]).map_or(f64::NAN, |u| -u);
    // The largest on a lattice stands for the mode.
    let steps = || (0..=CELLS).map(|i| i as f64 / CELLS as f64);
    let place = |(low, high): (f64, f64), s: f64| low + s * (high - low);
    let most = steps()
        .flat_map(|s| steps().map(move |t| (s, t)))
        .map(|(s, t)| log(place(x, s), place(y, t)))
        .filter(|l| l.is_finite())
        .fold(f64::NEG_INFINITY, f64::max);
    let levels = LEVELS.map(|level| level.ln());
    let within = |p: &&[f64]| (x.0..=x.1).contains(&p[0]) && (y.0..=y.1).contains(&p[1]);
    let all = row.particles.chunks_exact(2);
    let inside: Vec<(f64, f64)> = all.clone().filter(within).map(|p| (p[0], p[1])).collect();
    let outside = all.len() - inside.len();
    let mut label = format!(
        "{}, after {}",
        name(row),
        row.curve.last().map_or(0, |p| p.evaluations)
    );
    if outside > 0 {
        label += &format!(" ({outside} outside)");
    }
    Panel {
        x: Axis::linear(&label),
        y: Axis::linear("second coordinate"),
        series: vec![
            Series::contours(
                "density 0.8, 0.4, 0.1, 0.01 of the mode",
                x,
                y,
                CELLS,
                &levels,
                |x, y| log(x, y) - most,
            ),
            Series::scatter(&name(row), inside),
        ],
    }
}
