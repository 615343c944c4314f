//! Level lines of a function of two variables, by marching squares.
//!
//! ```text
//! corners at or above the level  ->  which sides of the cell the line crosses; the place on a side by linear interpolation
//! two opposite corners above     ->  two lines, joined as the mean of the four corners says
//! ```
//! Crossings are linked from cell to cell, so that a level gives few long lines and not many segments. A cell with a
//! corner that is not finite is left out.
//!
//! Lorensen and Cline: Marching cubes, SIGGRAPH 1987, in two dimensions.

use std::collections::BTreeMap;

/// Side of a cell: column and row of its lower left end, and whether it points up.
type Side = (usize, usize, bool);

/// Values at the corners of `cells x cells` cells on a rectangle.
struct Grid {
    x: (f64, f64),
    y: (f64, f64),
    cells: usize,
    values: Vec<f64>,
}

/// Lines along which `f` is one of `levels`, a point that is not finite after each.
pub(super) fn lines(
    x: (f64, f64),
    y: (f64, f64),
    cells: usize,
    levels: &[f64],
    f: impl Fn(f64, f64) -> f64,
) -> Vec<(f64, f64)> {
    let corners = 0..=cells;
    let values = corners
        .clone()
        .flat_map(|j| corners.clone().map(move |i| (i, j)))
        .map(|(i, j)| f(between(x, i, cells), between(y, j, cells)))
        .collect();
    let grid = Grid {
        x,
        y,
        cells,
        values,
    };
    let mut points = Vec::new();
    for &level in levels {
        for line in linked(&grid.segments(level)) {
            points.extend(line.into_iter().map(|side| grid.crossing(side, level)));
            points.push((f64::NAN, f64::NAN));
        }
    }
    points
}

fn between((low, high): (f64, f64), i: usize, cells: usize) -> f64 {
    let share = i as f64 / cells.max(1) as f64;
    // Not by the width, which may not be finite.
    low * (1.0 - share) + high * share
}

impl Grid {
    fn value(&self, i: usize, j: usize) -> f64 {
        let value = self.values.get(j * (self.cells + 1) + i);
        value.copied().unwrap_or(f64::NAN)
    }

    /// Pairs of sides that a line of the level joins inside a cell.
    fn segments(&self, level: f64) -> Vec<(Side, Side)> {
        let mut segments = Vec::new();
        for j in 0..self.cells {
            for i in 0..self.cells {
                let [a, b, c, d] =
                    [(0, 0), (1, 0), (1, 1), (0, 1)].map(|(u, v)| self.value(i + u, j + v));
                let mean = a / 4.0 + b / 4.0 + c / 4.0 + d / 4.0;
                if !mean.is_finite() {
                    continue;
                }
                let (below, right) = ((i, j, false), (i + 1, j, true));
                let (above, left) = ((i, j + 1, false), (i, j, true));
                let sides = [below, right, above, left];
                let is_up = [a, b, c, d].map(|value| value >= level);
                // A side is crossed where its ends differ; corner k lies between sides k - 1 and k.
                let crossed: Vec<Side> = (0..4)
                    .filter(|&k| is_up[k] != is_up[(k + 1) % 4])
                    .map(|k| sides[k])
                    .collect();
                match crossed[..] {
                    [from, to] => segments.push((from, to)),
                    // The middle joins corners a and c, or cuts them off.
                    [..] if crossed.len() == 4 && (mean >= level) == is_up[0] => {
                        segments.extend([(below, right), (above, left)]);
                    }
                    [..] if crossed.len() == 4 => {
                        segments.extend([(left, below), (right, above)]);
                    }
                    _ => {}
                }
            }
        }
        segments
    }

    /// Where the level is met on a side whose ends lie on either side of it.
    fn crossing(&self, (i, j, is_up): Side, level: f64) -> (f64, f64) {
        let (u, v) = if is_up { (i, j + 1) } else { (i + 1, j) };
        let (from, to) = (self.value(i, j), self.value(u, v));
        let share = (level - from) / (to - from);
        let mix = |a: f64, b: f64| a + share * (b - a);
        (
            mix(
                between(self.x, i, self.cells),
                between(self.x, u, self.cells),
            ),
            mix(
                between(self.y, j, self.cells),
                between(self.y, v, self.cells),
            ),
        )
    }
}

/// Chains of segments; a closed one ends where it starts.
fn linked(segments: &[(Side, Side)]) -> Vec<Vec<Side>> {
    let mut neighbours: BTreeMap<Side, Vec<Side>> = BTreeMap::new();
    for &(from, to) in segments {
        neighbours.entry(from).or_default().push(to);
        neighbours.entry(to).or_default().push(from);
    }
    // Ends of open lines first: what is left after them is closed.
    let ends = neighbours.iter().filter(|(_, to)| to.len() == 1);
    let mut starts: Vec<Side> = ends.map(|(side, _)| *side).collect();
    starts.extend(neighbours.keys());
    let mut lines = Vec::new();
    for start in starts {
        let mut line = vec![start];
        let mut at = start;
        while let Some(next) = neighbours.get_mut(&at).and_then(Vec::pop) {
            if let Some(back) = neighbours.get_mut(&next)
                && let Some(place) = back.iter().position(|side| *side == at)
            {
                back.swap_remove(place);
            }
            line.push(next);
            at = next;
        }
        if line.len() > 1 {
            lines.push(line);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(points: &[(f64, f64)]) -> Vec<&[(f64, f64)]> {
        let lines = points.split(|p| p.0.is_nan());
        lines.filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn a_circle_is_one_closed_line_at_its_radius() {
        let points = lines((-2.0, 2.0), (-2.0, 2.0), 80, &[1.0], |x, y| x * x + y * y);
        let found = split(&points);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].first(), found[0].last());
        // A chord of a cell's diagonal, 0.07, sags by 0.07^2 / 8 and less; so does the interpolation.
        assert!(found[0].iter().all(|p| (p.0.hypot(p.1) - 1.0).abs() < 2e-3));
        let mut angles: Vec<f64> = found[0].iter().map(|p| p.1.atan2(p.0)).collect();
        angles.sort_by(f64::total_cmp);
        assert!(angles.windows(2).all(|w| w[1] - w[0] < 0.08), "no gap");
    }

    #[test]
    fn levels_of_a_plane_are_straight_open_lines() {
        let points = lines((0.0, 1.0), (0.0, 3.0), 7, &[0.5, 1.25], |x, y| x + y);
        let found = split(&points);
        assert_eq!(found.len(), 2);
        for (line, level) in found.iter().zip([0.5, 1.25]) {
            assert!(line.iter().all(|p| (p.0 + p.1 - level).abs() < 1e-12));
            assert_ne!(line.first(), line.last());
        }
    }

    #[test]
    fn a_saddle_joins_the_corners_that_the_middle_joins() {
        // Corners 1, -1, 1, -1 about a middle of 0: at level -0.1 the high corners are joined, at 0.1 the low ones.
        for (level, parts) in [(-0.1, 1.0), (0.1, -1.0)] {
            let points = lines((-1.0, 1.0), (-1.0, 1.0), 1, &[level], |x, y| x * y);
            for line in split(&points) {
                let middle = (line[0].0 + line[1].0) * (line[0].1 + line[1].1);
                assert!(
                    middle * parts < 0.0,
                    "the line cuts off a corner of the other sign"
                );
            }
            assert_eq!(split(&points).len(), 2);
        }
    }

    #[test]
    fn two_hills_are_two_lines_and_a_hole_in_the_values_is_left_out() {
        let hills = |x: f64, y: f64| (-(x.abs() - 2.0).powi(2) - y * y).exp();
        let points = lines((-4.0, 4.0), (-2.0, 2.0), 64, &[0.5], hills);
        assert_eq!(split(&points).len(), 2);
        let holed = |x: f64, y: f64| if x > 0.0 { f64::NAN } else { hills(x, y) };
        let points = lines((-4.0, 4.0), (-2.0, 2.0), 64, &[0.5], holed);
        assert_eq!(split(&points).len(), 1);
        assert!(lines((0.0, 1.0), (0.0, 1.0), 0, &[0.5], hills).is_empty());
        assert!(lines((0.0, 1.0), (0.0, 1.0), 9, &[5.0], hills).is_empty());
    }
}
