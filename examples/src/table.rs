//! Tables for people: columns aligned, text to the left, numbers to the right.

use std::fmt;

/// Rows of cells under a header.
#[derive(Clone, Debug)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    left: usize,
}

impl Table {
    /// A table whose first `left` columns hold text.
    pub fn new(left: usize, header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|&cell| cell.to_owned()).collect(),
            rows: Vec::new(),
            left,
        }
    }

    /// Appends a row.
    pub fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = || std::iter::once(&self.header).chain(&self.rows);
        let columns = lines().map(Vec::len).max().unwrap_or(0);
        let width = |j: usize| {
            lines()
                .filter_map(|row| row.get(j))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (i, row) in lines().enumerate() {
            let mut line = String::new();
            for (j, (cell, &w)) in row.iter().zip(&widths).enumerate() {
                let gap = if j == 0 { "" } else { "  " };
                line += &if j < self.left {
                    format!("{gap}{cell:<w$}")
                } else {
                    format!("{gap}{cell:>w$}")
                };
            }
            writeln!(f, "{}", line.trim_end())?;
            if i == 0 {
                let rule: Vec<String> = widths.iter().map(|&w| "-".repeat(w)).collect();
                writeln!(f, "{}", rule.join("  "))?;
            }
        }
        Ok(())
    }
}

/// A count with a unit of thousands: `15.42 M`.
pub fn si(x: f64) -> String {
    for (unit, size) in [("G", 1e9), ("M", 1e6), ("k", 1e3)] {
        if x >= size {
            return format!("{:.2} {unit}", x / size);
        }
    }
    format!("{x:.0}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_left_and_numbers_go_right() {
        let mut table = Table::new(1, &["name", "x"]);
        table.push(vec!["a".into(), "10".into()]);
        assert_eq!(table.to_string(), "name   x\n----  --\na     10\n");
    }

    #[test]
    fn counts_have_units() {
        assert_eq!([si(999.0), si(15_424_000.0)], ["999", "15.42 M"]);
    }
}
