//! Plots as SVG: panels side by side with linear or logarithmic axes, one legend below. Four panels and more stand in
//! rows. Level lines of a density lie under a scatter of particles.
//!
//! Text is SVG text in the viewer's sans-serif face; widths are estimated on the wide side so that nothing overlaps. Series are told
//! apart by colour, dash and marker. A series of the same name has the same look in every panel. The same figure
//! gives the same bytes.
//!
//! ```
//! use thalweg_std::plot::{Axis, Figure, Panel, Series};
//! let figure = Figure {
//!     title: "a < b".into(),
//!     panels: vec![Panel {
//!         x: Axis::linear("rounds"),
//!         y: Axis::log("loss"),
//!         series: vec![Series::line("descent", vec![(0.0, 1.0), (1.0, 0.1), (2.0, 0.01)])],
//!     }],
//! };
//! let svg = figure.to_svg();
//! assert!(svg.starts_with("<svg ") && svg.contains("a &lt; b") && svg.contains(">descent</text>"));
//! ```

mod axis;
mod contour;
mod svg;

pub use axis::{Axis, Scale, Tick};

/// How a series is drawn.
///
/// ```
/// assert_eq!(thalweg_std::plot::Mark::default(), thalweg_std::plot::Mark::Line);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// A line, with a marker now and then.
    #[default]
    Line,
    /// A marker at each point.
    Points,
    /// A thin grey line without markers.
    Contour,
}

/// Points with a name.
///
/// ```
/// let series = thalweg_std::plot::Series::line("loss", vec![(1.0, 0.5)]);
/// assert_eq!(series.points.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// As the legend shows it.
    pub name: String,
    /// `(x, y)`; a point that is not finite, or not positive on a logarithmic axis, interrupts the line.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub mark: Mark,
}

impl Series {
    /// A line through the points in their order.
    ///
    /// ```
    /// use thalweg_std::plot::{Mark, Series};
    /// assert_eq!(Series::line("a", vec![]).mark, Mark::Line);
    /// ```
    #[must_use]
    pub fn line(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self {
            name: name.to_owned(),
            points,
            mark: Mark::Line,
        }
    }

    /// A marker at each point.
    ///
    /// ```
    /// use thalweg_std::plot::{Mark, Series};
    /// assert_eq!(Series::scatter("a", vec![]).mark, Mark::Points);
    /// ```
    #[must_use]
    pub fn scatter(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self {
            mark: Mark::Points,
            ..Self::line(name, points)
        }
    }

    /// Lines along which a function on a rectangle has one of the levels, from its values at the corners of
    /// `cells x cells` cells. Cells where it is not finite are left out.
    ///
    /// ```
    /// use thalweg_std::plot::Series;
    /// let circle = Series::contours("r = 1", (-2.0, 2.0), (-2.0, 2.0), 40, &[1.0], f64::hypot);
    /// let held = circle.points.iter().filter(|p| p.0.is_finite());
    /// assert!(held.clone().count() > 60 && held.clone().all(|p| (p.0.hypot(p.1) - 1.0).abs() < 0.01));
    /// ```
    #[must_use]
    pub fn contours(
        name: &str,
        x: (f64, f64),
        y: (f64, f64),
        cells: usize,
        levels: &[f64],
        f: impl Fn(f64, f64) -> f64,
    ) -> Self {
        Self {
            mark: Mark::Contour,
            ..Self::line(name, contour::lines(x, y, cells, levels, f))
        }
    }
}

/// One pair of axes.
///
/// ```
/// use thalweg_std::plot::{Axis, Panel};
/// let panel = Panel { x: Axis::linear("x"), y: Axis::linear("y"), series: vec![] };
/// assert_eq!(panel.x.label, "x");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// What is drawn, the first below.
    pub series: Vec<Series>,
}

/// A picture.
///
/// ```
/// let empty = thalweg_std::plot::Figure { title: String::new(), panels: vec![] };
/// assert!(empty.to_svg().ends_with("</svg>\n"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Above all panels.
    pub title: String,
    /// From left to right, then from the top down: up to three in a row.
    pub panels: Vec<Panel>,
}

impl Figure {
    /// The picture as an SVG document.
    ///
    /// ```
    /// let figure = thalweg_std::plot::Figure { title: "nothing".into(), panels: vec![] };
    /// assert!(figure.to_svg().contains(">nothing</text>"));
    /// ```
    #[must_use]
    pub fn to_svg(&self) -> String {
        svg::draw(self)
    }
}
