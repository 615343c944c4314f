//! Layout and drawing.

use std::fmt::Write as _;

use super::{Axis, Figure, Mark, Panel, Series, Tick};

/// Okabe and Ito's colours without yellow, which is too pale for a line: distinct for colour-blind eyes.
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#56b4e9", "#e69f00",
];
const DASHES: [&str; 4] = ["", "8 3", "2 3", "9 3 2 3"];

const PLOT_WIDTH: f64 = 400.0;
const PLOT_HEIGHT: f64 = 300.0;
/// Left of a plot, at least: label and numbers of the vertical axis.
const LEFT: f64 = 78.0;
/// Right of a plot, at least.
const RIGHT: f64 = 22.0;
const TOP: f64 = 44.0;
/// Below a plot: numbers and label of the horizontal axis.
const BELOW: f64 = 56.0;
/// Between rows of panels.
const GAP: f64 = 16.0;
const ENTRY_HEIGHT: f64 = 22.0;
/// Length of a legend's sample and the gaps around it.
const SAMPLE: f64 = 44.0;
/// Width of the numbers that the least space on the left holds.
const NUMBERS: f64 = 46.0;
/// Width of a character at 13 pixels, on the wide side: most, and those as wide as they are high.
const CHARACTER: f64 = 7.8;
const WIDE_CHARACTER: f64 = 13.2;
/// Sizes of the text of the page and of the labels of axes.
const TEXT: f64 = 13.0;
const LABEL: f64 = 14.0;
/// Least distance between two markers of a line.
const MARKER_GAP: f64 = 42.0;

/// Replaces the characters that XML reserves, and those that it forbids.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The document under construction; writing to a string cannot fail.
struct Canvas(String);

impl Canvas {
    fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], style: &str) {
        let _ = writeln!(
            self.0,
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {style}/>"#
        );
    }

    fn text(&mut self, (x, y): (f64, f64), style: &str, text: &str) {
        let text = escape(text);
        let _ = writeln!(
            self.0,
            r#"<text x="{x:.1}" y="{y:.1}" {style}>{text}</text>"#
        );
    }

    fn path(&mut self, points: &[(f64, f64)], look: Look) {
        let mut d = String::new();
        for (i, (x, y)) in points.iter().enumerate() {
            let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
        }
        let (colour, dash) = (look.colour(), look.dash());
        let _ = writeln!(
            self.0,
            r#"<path d="{d}" fill="none" stroke="{colour}" stroke-width="1.8" stroke-linejoin="round"{dash}/>"#
        );
    }

    /// A level line: thin and grey, so that what lies on it is seen.
    fn contour(&mut self, points: &[(f64, f64)]) {
        let mut d = String::new();
        for (i, (x, y)) in points.iter().enumerate() {
            let _ = write!(d, "{}{x:.1} {y:.1}", if i == 0 { "M" } else { "L" });
        }
        let _ = writeln!(
            self.0,
            r##"<path d="{d}" fill="none" stroke="#808080" stroke-width="1" stroke-linejoin="round"/>"##
        );
    }

    fn marker(&mut self, (x, y): (f64, f64), look: Look) {
        let colour = look.colour();
        let _ = match look.0 % 4 {
            0 => writeln!(
                self.0,
                r#"<circle cx="{x:.1}" cy="{y:.1}" r="3.4" fill="{colour}"/>"#
            ),
            1 => writeln!(
                self.0,
                r#"<rect x="{:.1}" y="{:.1}" width="6.4" height="6.4" fill="{colour}"/>"#,
                x - 3.2,
                y - 3.2
            ),
            2 => writeln!(
                self.0,
                r#"<path d="M{:.1} {:.1}l4 7h-8z" fill="{colour}"/>"#,
                x,
                y - 4.4
            ),
            _ => writeln!(
                self.0,
                r#"<path d="M{:.1} {:.1}l4.2 4.2l-4.2 4.2l-4.2 -4.2z" fill="{colour}"/>"#,
                x,
                y - 4.2
            ),
        };
    }
}

/// Colour, dash and marker by number.
#[derive(Clone, Copy)]
struct Look(usize);

impl Look {
    fn colour(self) -> &'static str {
        COLOURS
            .get(self.0 % COLOURS.len())
            .copied()
            .unwrap_or("#000000")
    }

    fn dash(self) -> String {
        match DASHES.get(self.0 % DASHES.len()) {
            Some(dash) if !dash.is_empty() => format!(r#" stroke-dasharray="{dash}""#),
            _ => String::new(),
        }
    }
}

/// Names in order of appearance, each with the mark of its first series.
fn legend(figure: &Figure) -> Vec<(&str, Mark)> {
    let mut entries: Vec<(&str, Mark)> = Vec::new();
    for series in figure.panels.iter().flat_map(|panel| &panel.series) {
        if !entries.iter().any(|(name, _)| *name == series.name) {
            entries.push((&series.name, series.mark));
        }
    }
    entries
}

fn text_width(text: &str) -> f64 {
    let width = |c: char| match c {
        'M' | 'W' | 'm' | 'w' | '@' | '%' | '—' | '…' => WIDE_CHARACTER,
        // Hangul, and from the radicals of Chinese on.
        '\u{1100}'..='\u{11ff}' | '\u{2e80}'.. => WIDE_CHARACTER,
        _ => CHARACTER,
    };
    text.chars().map(width).sum()
}

/// What the axes of a panel need: ranges and ticks, and how far its numbers reach.
struct Frame<'f> {
    panel: &'f Panel,
    xs: (f64, f64),
    ys: (f64, f64),
    across: Vec<Tick>,
    up: Vec<Tick>,
}

impl<'f> Frame<'f> {
    fn new(panel: &'f Panel) -> Self {
        let shown = |p: &&(f64, f64)| panel.x.holds(p.0) && panel.y.holds(p.1);
        let points = || panel.series.iter().flat_map(|s| &s.points).filter(shown);
        let xs = panel.x.range(points().map(|p| p.0));
        let ys = panel.y.range(points().map(|p| p.1));
        let place = |tick: &Tick| PLOT_WIDTH * panel.x.place(xs, tick.value);
        let mut across = panel.x.ticks(xs.0, xs.1);
        thin(&mut across, place, |tick| text_width(&tick.label) + 6.0);
        let place = |tick: &Tick| PLOT_HEIGHT * panel.y.place(ys, tick.value);
        let mut up = panel.y.ticks(ys.0, ys.1);
        thin(&mut up, place, |_| TEXT + 2.0);
        Self {
            panel,
            xs,
            ys,
            across,
            up,
        }
    }

    /// Space left of the plot, for numbers and label.
    fn left(&self) -> f64 {
        let widths = self.up.iter().map(|tick| text_width(&tick.label));
        LEFT + (widths.fold(0.0, f64::max) - NUMBERS).max(0.0)
    }

    /// Space right of the plot, for half a number.
    fn right(&self) -> f64 {
        let reach = self.across.iter().map(|tick| {
            let place = PLOT_WIDTH * self.panel.x.place(self.xs, tick.value);
            place + text_width(&tick.label) / 2.0 - PLOT_WIDTH
        });
        reach.fold(RIGHT, f64::max)
    }
}

/// Takes the numbers of ticks that would run into the one before, so many pixels wide around their place; the first and
/// the last stay if no others do.
fn thin(ticks: &mut [Tick], place: impl Fn(&Tick) -> f64, width: impl Fn(&Tick) -> f64) {
    let mut free = f64::NEG_INFINITY;
    let mut kept = 0;
    let mut last = None;
    let numbered = |(_, tick): &(usize, &mut Tick)| !tick.label.is_empty();
    for (i, tick) in ticks.iter_mut().enumerate().filter(numbered) {
        let (place, half) = (place(tick), width(tick) / 2.0);
        if place - half >= free {
            free = place + half;
            kept += 1;
        } else {
            last = Some((i, std::mem::take(&mut tick.label)));
        }
    }
    if let (1, Some((i, label))) = (kept, last)
        && let Some(tick) = ticks.get_mut(i)
    {
        tick.label = label;
    }
}

/// A label and its size, fitted into so many pixels: smaller, down to a legible size, then shorter.
fn fitted(text: &str, room: f64) -> (String, f64) {
    const LEAST: f64 = 9.0;
    let width = |text: &str, size: f64| text_width(text) * size / TEXT;
    let size = (LABEL * room / width(text, LABEL).max(1.0)).clamp(LEAST, LABEL);
    let mut text = text.to_owned();
    while width(&text, size) > room + 1e-9 {
        // In place of its last two characters, then of one more each time.
        text.pop();
        text.pop();
        text.push('…');
    }
    (text, size)
}

pub(super) fn draw(figure: &Figure) -> String {
    let entries = legend(figure);
    let frames: Vec<Frame<'_>> = figure.panels.iter().map(Frame::new).collect();
    let left = frames.iter().map(Frame::left).fold(LEFT, f64::max);
    let right = frames.iter().map(Frame::right).fold(RIGHT, f64::max);
    let (cell, row) = (left + PLOT_WIDTH + right, PLOT_HEIGHT + BELOW + GAP);
    let across = match figure.panels.len() {
        n @ 0..=3 => n.max(1),
        4 => 2,
        _ => 3,
    };
    let rows = figure.panels.len().div_ceil(across).max(1);
    let widest = entries
        .iter()
        .map(|(name, _)| text_width(name))
        .fold(0.0, f64::max);
    let entry_width = SAMPLE + widest + 18.0;
    let width = (cell * across as f64)
        .max(text_width(&figure.title) * 1.2 + 40.0)
        .max(if entries.is_empty() {
            0.0
        } else {
            entry_width + 40.0
        })
        .max(360.0);
    let columns = (((width - 40.0) / entry_width) as usize).clamp(1, entries.len().max(1));
    let lines = entries.len().div_ceil(columns);
    let legend_top = TOP + rows as f64 * row - GAP;
    let height = legend_top + lines as f64 * ENTRY_HEIGHT + 14.0;

    let mut canvas = Canvas(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    ));
    let middle = r#"text-anchor="middle" font-size="15" font-weight="bold""#;
    canvas.text((width / 2.0, 24.0), middle, &figure.title);
    let look = |name: &str| Look(entries.iter().position(|(n, _)| *n == name).unwrap_or(0));
    for (i, frame) in frames.iter().enumerate() {
        let left = cell * (i % across) as f64 + left;
        let top = row * (i / across) as f64 + TOP;
        draw_panel(&mut canvas, frame, (left, top), look);
    }
    let left = (width - columns as f64 * entry_width) / 2.0;
    for (i, (name, mark)) in entries.iter().enumerate() {
        let x = left + (i % columns) as f64 * entry_width;
        let y = legend_top + (i / columns) as f64 * ENTRY_HEIGHT + 10.0;
        let sample = [(x, y), (x + 34.0, y)];
        match mark {
            Mark::Line => canvas.path(&sample, Look(i)),
            Mark::Contour => canvas.contour(&sample),
            Mark::Points => {}
        }
        if *mark != Mark::Contour {
            canvas.marker((x + 17.0, y), Look(i));
        }
        canvas.text((x + SAMPLE, y + 4.5), "", name);
    }
    canvas.0.push_str("</svg>\n");
    canvas.0
}

fn draw_panel(
    canvas: &mut Canvas,
    frame: &Frame<'_>,
    (left, top): (f64, f64),
    look: impl Fn(&str) -> Look,
) {
    let &Frame { panel, xs, ys, .. } = frame;
    let bottom = top + PLOT_HEIGHT;
    let across = |x: f64| left + PLOT_WIDTH * panel.x.place(xs, x);
    let up = |y: f64| bottom - PLOT_HEIGHT * panel.y.place(ys, y);
    let grid = |numbered: bool| {
        if numbered {
            r##"stroke="#d0d0d0""##
        } else {
            r##"stroke="#eeeeee""##
        }
    };
    for tick in &frame.across {
        let x = across(tick.value);
        canvas.line([x, top, x, bottom], grid(!tick.label.is_empty()));
        canvas.text((x, bottom + 18.0), r#"text-anchor="middle""#, &tick.label);
    }
    for tick in &frame.up {
        let y = up(tick.value);
        canvas.line(
            [left, y, left + PLOT_WIDTH, y],
            grid(!tick.label.is_empty()),
        );
        canvas.text((left - 7.0, y + 4.5), r#"text-anchor="end""#, &tick.label);
    }
    for series in &panel.series {
        draw_series(
            canvas,
            series,
            [&panel.x, &panel.y],
            (&across, &up),
            look(&series.name),
        );
    }
    let _ = writeln!(
        canvas.0,
        r##"<rect x="{left:.1}" y="{top:.1}" width="{PLOT_WIDTH:.1}" height="{PLOT_HEIGHT:.1}" fill="none" stroke="#404040"/>"##
    );
    let style = |size: f64| {
        // Whole sizes as whole numbers.
        let size = (10.0 * size).floor() / 10.0;
        format!(r#"text-anchor="middle" font-size="{size}""#)
    };
    let (label, size) = fitted(&panel.x.label, PLOT_WIDTH + RIGHT);
    let middle = (left + PLOT_WIDTH / 2.0, bottom + 40.0);
    canvas.text(middle, &style(size), &label);
    let (label, size) = fitted(&panel.y.label, PLOT_HEIGHT + BELOW);
    let (x, y) = (left - frame.left() + 18.0, top + PLOT_HEIGHT / 2.0);
    let turned = format!(r#"{} transform="rotate(-90 {x:.1} {y:.1})""#, style(size));
    canvas.text((x, y), &turned, &label);
}

fn draw_series(
    canvas: &mut Canvas,
    series: &Series,
    [x, y]: [&Axis; 2],
    (across, up): (&dyn Fn(f64) -> f64, &dyn Fn(f64) -> f64),
    look: Look,
) {
    let runs = series
        .points
        .split(|p| !(x.holds(p.0) && y.holds(p.1)))
        .filter(|run| !run.is_empty());
    let mut last = None;
    for run in runs {
        let run: Vec<(f64, f64)> = run.iter().map(|p| (across(p.0), up(p.1))).collect();
        match series.mark {
            Mark::Line => canvas.path(&run, look),
            Mark::Contour => {
                canvas.contour(&run);
                continue;
            }
            Mark::Points => {}
        }
        for &(px, py) in &run {
            let far = |(lx, ly): (f64, f64)| (px - lx).hypot(py - ly) >= MARKER_GAP;
            if series.mark == Mark::Points || last.is_none_or(far) {
                canvas.marker((px, py), look);
                last = Some((px, py));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_and_forbidden_characters_are_replaced() {
        assert_eq!(escape("a<b>&\"c\"\u{1}é"), "a&lt;b&gt;&amp;&quot;c&quot; é");
    }

    fn figure(names: &[&str]) -> Figure {
        let series =
            |name: &&str| Series::line(name, vec![(1.0, 1.0), (2.0, f64::NAN), (3.0, 5.0)]);
        let panel = Panel {
            x: Axis::linear("x"),
            y: Axis::log("y"),
            series: names.iter().map(series).collect(),
        };
        Figure {
            title: "t".into(),
            panels: vec![panel.clone(), panel],
        }
    }

    #[test]
    fn a_name_has_one_entry_and_a_gap_cuts_the_line() {
        let svg = draw(&figure(&["one", "two"]));
        assert_eq!(svg.matches(">one</text>").count(), 1);
        // Two pieces in two panels, and the sample.
        let blue = format!("stroke=\"{}\"", COLOURS[0]);
        assert_eq!(svg.matches(blue.as_str()).count(), 5);
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn a_contour_has_no_markers_and_many_panels_stand_in_rows() {
        let contour = Series::contours("level", (-2.0, 2.0), (-2.0, 2.0), 20, &[1.0], |x, y| {
            x.hypot(y)
        });
        let panel = Panel {
            x: Axis::linear("across"),
            y: Axis::linear("up"),
            series: vec![contour, Series::scatter("points", vec![(0.0, 0.0)])],
        };
        let svg = draw(&Figure {
            title: "t".into(),
            panels: vec![panel; 5],
        });
        // Five circles of the level and the sample; five points and their sample.
        assert_eq!(svg.matches("stroke=\"#808080\"").count(), 6);
        assert_eq!(svg.matches("width=\"6.4\"").count(), 6);
        let labels = |y: f64| {
            svg.matches(&format!(
                "y=\"{y:.1}\" text-anchor=\"middle\" font-size=\"14\">across"
            ))
            .count()
        };
        let first = TOP + PLOT_HEIGHT + 40.0;
        assert_eq!(
            [labels(first), labels(first + PLOT_HEIGHT + BELOW + GAP)],
            [3, 2]
        );
    }

    /// Places, anchors and widths of the texts of one line of the picture.
    fn texts(svg: &str, y: f64) -> Vec<(f64, f64)> {
        let line = format!(" y=\"{y:.1}\" text-anchor=\"middle\">");
        let of = svg
            .lines()
            .filter(|l| l.starts_with("<text ") && l.contains(&line));
        let spans = of.map(|l| {
            let x = l.split('"').nth(1).unwrap().parse::<f64>().unwrap();
            let text = l.split_once('>').unwrap().1.split_once('<').unwrap().0;
            let half = text_width(text) / 2.0;
            (x - half, x + half)
        });
        spans.filter(|(from, to)| to > from).collect()
    }

    #[test]
    fn numbers_of_an_axis_neither_overlap_nor_leave_the_page() {
        for (low, high) in [
            (1e6, 1e6 + 4.0),
            (99_999.0, 99_999.001),
            (-1e-5, 1e-5),
            (-1.7e308, 1.7e308),
            (1e16, 1e16 + 2.0),
            (1e-310, 3e-310),
            (0.0, 1.0),
        ] {
            for x in [Axis::linear("x"), Axis::log("x")] {
                let panel = Panel {
                    x,
                    y: Axis::linear("y"),
                    series: vec![Series::line("s", vec![(low, low), (high, high)])],
                };
                let svg = draw(&Figure {
                    title: "t".into(),
                    panels: vec![panel.clone(), panel],
                });
                assert!(
                    !svg.contains("NaN") && !svg.contains("inf"),
                    "{low:e} {high:e}"
                );
                let spans = texts(&svg, TOP + PLOT_HEIGHT + 18.0);
                assert!(spans.len() >= 4, "{low:e} {high:e}: {spans:?}");
                assert!(
                    spans.is_sorted_by(|a, b| a.1 + 5.0 <= b.0),
                    "{low:e} {high:e}: {spans:?}"
                );
                let width = svg.split('"').nth(3).unwrap().parse::<f64>().unwrap();
                assert!(spans.iter().all(|s| s.0 >= 0.0 && s.1 <= width + 0.5));
            }
        }
    }

    #[test]
    fn long_names_and_labels_stay_inside_the_page() {
        let name = "M".repeat(120);
        let mut figure = figure(&[&name]);
        for panel in &mut figure.panels {
            panel.x.label = "across ".repeat(30);
            panel.y.label = "up ".repeat(40);
        }
        let svg = draw(&figure);
        let width = svg.split('"').nth(3).unwrap().parse::<f64>().unwrap();
        assert!(SAMPLE + text_width(&name) < width);
        let size = |label: &str| -> f64 {
            let line = svg.lines().find(|l| l.contains(label)).unwrap();
            let rest = line.split_once("font-size=\"").unwrap().1;
            rest.split_once('"').unwrap().0.parse().unwrap()
        };
        for (label, room) in [("across ", PLOT_WIDTH), ("up up", PLOT_HEIGHT + BELOW)] {
            let text = svg.lines().find(|l| l.contains(label)).unwrap();
            let text = text.split_once('>').unwrap().1.split_once('<').unwrap().0;
            assert!(text_width(text) * size(label) / TEXT <= room + RIGHT);
            assert!(size(label) >= 9.0 && text.ends_with('…'));
        }
    }

    #[test]
    fn the_legend_lies_below_the_plots_and_inside_the_page() {
        let names: Vec<String> = (0..9)
            .map(|i| format!("series with a long name {i}"))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let svg = draw(&figure(&names));
        let number = |line: &str, key: &str| -> f64 {
            let rest = line.split_once(&format!(" {key}=\"")).unwrap().1;
            rest.split_once('"').unwrap().0.parse().unwrap()
        };
        let head = svg.lines().next().unwrap();
        let (width, height) = (number(head, "width"), number(head, "height"));
        let mut places = Vec::new();
        for line in svg.lines().filter(|l| l.contains("long name")) {
            let (x, y) = (number(line, "x"), number(line, "y"));
            assert!(y > TOP + PLOT_HEIGHT + BELOW && y < height);
            assert!(x + text_width("series with a long name 0") <= width);
            places.push((x, y));
        }
        places.dedup();
        assert_eq!(places.len(), 9);
    }
}
