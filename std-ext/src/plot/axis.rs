//! Axes: range, ticks, and the way from a value to its place.

/// How values are spaced.
///
/// ```
/// use thalweg_std::plot::Scale;
/// assert_ne!(Scale::Linear, Scale::Log);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly.
    Linear,
    /// By their logarithm.
    Log,
}

/// An axis.
///
/// ```
/// use thalweg_std::plot::{Axis, Scale};
/// assert_eq!(Axis::log("bits").scale, Scale::Log);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: String,
    /// How values are spaced.
    pub scale: Scale,
}

/// A line across the panel.
///
/// ```
/// let tick = thalweg_std::plot::Tick { value: 0.5, label: "0.5".into() };
/// assert_eq!(tick.value, 0.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Tick {
    /// Where.
    pub value: f64,
    /// Its number; empty for a line without one.
    pub label: String,
}

/// Most numbered ticks of an axis.
const MOST: usize = 7;

impl Axis {
    /// Values evenly spaced.
    ///
    /// ```
    /// use thalweg_std::plot::{Axis, Scale};
    /// assert_eq!(Axis::linear("rounds").scale, Scale::Linear);
    /// ```
    #[must_use]
    pub fn linear(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            scale: Scale::Linear,
        }
    }

    /// Values spaced by their logarithm.
    ///
    /// ```
    /// assert_eq!(thalweg_std::plot::Axis::log("bits").label, "bits");
    /// ```
    #[must_use]
    pub fn log(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            scale: Scale::Log,
        }
    }

    /// The axis has a place for the value.
    pub(super) fn holds(&self, x: f64) -> bool {
        x.is_finite() && (self.scale == Scale::Linear || x > 0.0)
    }

    /// The range that shows all values, a little wider than they are; never empty.
    pub(super) fn range(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let held = values.filter(|&x| self.holds(x));
        let (low, high) = held.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| {
            (a.min(x), b.max(x))
        });
        match self.scale {
            _ if low > high => (1.0, 10.0),
            Scale::Linear => {
                let margin = if high > low {
                    0.04 * (high - low)
                } else {
                    0.5 * low.abs().max(1.0)
                };
                (low - margin, high + margin)
            }
            Scale::Log => {
                let ratio = (high / low).powf(0.04).max(1.05);
                (
                    (low / ratio).max(f64::MIN_POSITIVE),
                    (high * ratio).min(f64::MAX),
                )
            }
        }
    }

    /// Place of a value between 0 and 1 on a range.
    pub(super) fn place(&self, (low, high): (f64, f64), x: f64) -> f64 {
        match self.scale {
            // Halved first: the width of a range of finite numbers may not be finite.
            Scale::Linear => (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0),
            Scale::Log => (x.ln() - low.ln()) / (high.ln() - low.ln()),
        }
    }

    /// Ticks on a range: multiples of 1, 2 or 5 times a power of ten; on a logarithmic axis powers of ten, with 2 and 5
    /// between them where there is room.
    ///
    /// ```
    /// use thalweg_std::plot::Axis;
    /// let labels = |axis: Axis, low, high| {
    ///     axis.ticks(low, high).into_iter().map(|t| t.label).collect::<Vec<_>>().join(" ")
    /// };
    /// assert_eq!(labels(Axis::linear("x"), 0.0, 1.0), "0.0 0.2 0.4 0.6 0.8 1.0");
    /// assert_eq!(labels(Axis::log("x"), 0.5, 2000.0), "1 10 100 1000");
    /// ```
    #[must_use]
    pub fn ticks(&self, low: f64, high: f64) -> Vec<Tick> {
        if !(self.holds(low) && self.holds(high) && low < high) {
            return Vec::new();
        }
        match self.scale {
            Scale::Linear => linear_ticks(low, high),
            Scale::Log => log_ticks(low, high),
        }
    }
}

/// The least of 1, 2, 5 times a power of ten that gives at most [`MOST`] ticks.
fn linear_ticks(low: f64, high: f64) -> Vec<Tick> {
    let rough = high / MOST as f64 - low / MOST as f64;
    let exponent = rough.log10().floor();
    let unit = 10_f64.powf(exponent);
    let factor = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .find(|f| f * unit >= rough)
        .unwrap_or(10.0);
    let step = factor * unit;
    let (first, last) = ((low / step).ceil(), (high / step).floor());
    let count = (last - first).clamp(0.0, 2.0 * MOST as f64) as usize;
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    (0..=count)
        .map(|i| {
            let value = (first + i as f64) * step;
            Tick {
                value,
                label: number(value, decimals),
            }
        })
        .collect()
}

/// A number of an evenly spaced axis.
fn number(value: f64, decimals: usize) -> String {
    let value = if value == 0.0 { 0.0 } else { value };
    if value.abs() >= 1e6 || decimals > 5 {
        return format!("{value:.1e}");
    }
    format!("{value:.decimals$}")
}

fn log_ticks(low: f64, high: f64) -> Vec<Tick> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let decades = (last - first).max(1) as usize;
    // Whole decades inside the range; with few of them, 2 and 5 have room for a number too.
    let stride = decades.div_ceil(MOST).max(1);
    let factors: &[u32] = if decades <= 2 { &[1, 2, 5] } else { &[1] };
    let mut ticks = Vec::new();
    for exponent in first..=last {
        for factor in 1..10 {
            let value: f64 = format!("{factor}e{exponent}").parse().unwrap_or(f64::NAN);
            if !(low..=high).contains(&value) {
                continue;
            }
            let numbered = factors.contains(&factor) && exponent.rem_euclid(stride as i32) == 0;
            // Lines between powers only while they do not crowd.
            if numbered || decades <= 4 {
                let label = if numbered {
                    power(factor, exponent)
                } else {
                    String::new()
                };
                ticks.push(Tick { value, label });
            }
        }
    }
    ticks
}

/// `factor 10^exponent`, in digits while they are few.
fn power(factor: u32, exponent: i32) -> String {
    match exponent {
        0..=3 => format!("{}", u64::from(factor) * 10_u64.pow(exponent as u32)),
        -3..=-1 => format!(
            "0.{}{factor}",
            "0".repeat(exponent.unsigned_abs() as usize - 1)
        ),
        _ => format!("{factor}e{exponent}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(axis: &Axis, low: f64, high: f64) -> Vec<(f64, String)> {
        axis.ticks(low, high)
            .into_iter()
            .filter(|t| !t.label.is_empty())
            .map(|t| (t.value, t.label))
            .collect()
    }

    #[test]
    fn linear_ticks_are_round_multiples_inside_the_range() {
        let axis = Axis::linear("x");
        let values =
            |low, high| -> Vec<f64> { axis.ticks(low, high).iter().map(|t| t.value).collect() };
        assert_eq!(values(0.0, 7.0), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(values(-30.0, 95.0), [-20.0, 0.0, 20.0, 40.0, 60.0, 80.0]);
        assert_eq!(
            values(86.0, 98.0),
            [86.0, 88.0, 90.0, 92.0, 94.0, 96.0, 98.0]
        );
        let labels: Vec<String> = axis
            .ticks(0.01, 0.05)
            .into_iter()
            .map(|t| t.label)
            .collect();
        assert_eq!(labels, ["0.01", "0.02", "0.03", "0.04", "0.05"]);
    }

    #[test]
    fn log_ticks_are_powers_of_ten_with_2_and_5_where_there_is_room() {
        let axis = Axis::log("x");
        let labels = |low, high| -> Vec<String> {
            numbered(&axis, low, high)
                .into_iter()
                .map(|t| t.1)
                .collect()
        };
        assert_eq!(labels(0.03, 0.6), ["0.05", "0.1", "0.2", "0.5"]);
        assert_eq!(labels(1e-9, 1e5).len(), 7);
        assert_eq!(labels(7e4, 2e7), ["1e5", "1e6", "1e7"]);
        for (value, label) in numbered(&axis, 1e-9, 1e9) {
            assert_eq!(label.parse(), Ok(value));
        }
    }

    #[test]
    fn places_are_proportional_and_ranges_hold_every_value() {
        assert_eq!(Axis::linear("x").place((2.0, 6.0), 3.0), 0.25);
        assert!((Axis::log("x").place((1.0, 1e4), 10.0) - 0.25).abs() < 1e-15);
        for axis in [Axis::linear("x"), Axis::log("x")] {
            for values in [
                vec![3.0],
                vec![],
                vec![f64::NAN, f64::INFINITY],
                vec![f64::MAX, f64::MIN_POSITIVE],
                vec![-f64::MAX, f64::MAX],
            ] {
                let (low, high) = axis.range(values.iter().copied());
                assert!(low < high, "{values:?}");
                for x in values.into_iter().filter(|&x| axis.holds(x)) {
                    let place = axis.place((low, high), x);
                    assert!(
                        (0.0..=1.0).contains(&place) || !(high - low).is_finite(),
                        "{x} {place}"
                    );
                }
                assert!(axis.ticks(low, high).len() < 100);
            }
        }
    }

    #[test]
    fn no_range_no_ticks() {
        assert!(Axis::linear("x").ticks(1.0, 1.0).is_empty());
        assert!(Axis::log("x").ticks(0.0, 1.0).is_empty());
        assert!(Axis::linear("x").ticks(f64::NAN, 1.0).is_empty());
    }
}
