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

/// Most numbered steps of an axis.
const MOST: usize = 7;
/// Multiples of a step beyond this differ in no digit that a number has.
const MOST_DIGITS: f64 = 1e15;
/// The smallest positive number.
const SMALLEST: f64 = f64::from_bits(1);

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

    /// The range that shows all values, a little wider than they are; finite and never empty.
    pub(super) fn range(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        let held = values.filter(|&x| self.holds(x));
        let (low, high) = held.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| {
            (a.min(x), b.max(x))
        });
        let (wide_low, wide_high, least) = match self.scale {
            _ if low > high => return (1.0, 10.0),
            Scale::Linear => {
                // Not of the difference, which may not be finite.
                let margin = if high > low {
                    0.04 * high - 0.04 * low
                } else if low == 0.0 {
                    0.5
                } else {
                    0.5 * low.abs()
                };
                (low - margin, high + margin, -f64::MAX)
            }
            Scale::Log => {
                let ratio = (0.04 * (high.ln() - low.ln())).exp().max(1.05);
                (low / ratio, high * ratio, SMALLEST)
            }
        };
        // At the ends of the numbers and among subnormals a margin may be rounded away: one number on each side.
        (
            wide_low.min(low.next_down()).max(least),
            wide_high.max(high.next_up()).min(f64::MAX),
        )
    }

    /// Place of a value between 0 and 1 on a range.
    pub(super) fn place(&self, (low, high): (f64, f64), x: f64) -> f64 {
        match self.scale {
            Scale::Linear if (high - low).is_finite() => (x - low) / (high - low),
            // Halved first: the width of a range of finite numbers may not be finite.
            Scale::Linear => (x / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0),
            Scale::Log => (x.ln() - low.ln()) / (high.ln() - low.ln()),
        }
    }

    /// Ticks on a range: multiples of 1, 2 or 5 times a power of ten; on a logarithmic axis powers of ten, between them
    /// 2 and 5 or all digits where there is room, and evenly spaced ones on less than a decade.
    ///
    /// Two at least have a number, and no two the same.
    ///
    /// ```
    /// use thalweg_std::plot::Axis;
    /// let labels = |axis: Axis, low, high| {
    ///     let ticks = axis.ticks(low, high).into_iter().map(|t| t.label);
    ///     ticks.filter(|label| !label.is_empty()).collect::<Vec<_>>().join(" ")
    /// };
    /// assert_eq!(labels(Axis::linear("x"), 0.0, 1.0), "0.0 0.2 0.4 0.6 0.8 1.0");
    /// assert_eq!(labels(Axis::log("x"), 0.5, 2000.0), "1 10 100 1000");
    /// assert_eq!(labels(Axis::log("x"), 0.03, 0.06), "0.03 0.04 0.05 0.06");
    /// ```
    #[must_use]
    pub fn ticks(&self, low: f64, high: f64) -> Vec<Tick> {
        if !(self.holds(low) && self.holds(high) && low < high) {
            return Vec::new();
        }
        let ticks = match self.scale {
            Scale::Linear => linear_ticks(low, high, MOST),
            Scale::Log => log_ticks(low, high),
        };
        if numbered(&ticks) >= 2 {
            return ticks;
        }
        // Neighbours among the numbers: their shortest digits.
        let end = |value: f64| Tick {
            value,
            label: format!("{value:e}"),
        };
        vec![end(low), end(high)]
    }
}

/// How many have a number.
fn numbered(ticks: &[Tick]) -> usize {
    ticks.iter().filter(|tick| !tick.label.is_empty()).count()
}

/// The number `digits 10^exponent`, correctly rounded.
fn decimal(digits: i64, exponent: i32) -> f64 {
    format!("{digits}e{exponent}").parse().unwrap_or(f64::NAN)
}

/// Multiples of the least of 1, 2, 5 times a power of ten that gives at most so many steps; none where the step is lost
/// among the digits of the ends.
fn linear_ticks(low: f64, high: f64, most: usize) -> Vec<Tick> {
    let rough = high / most as f64 - low / most as f64;
    if rough < f64::MIN_POSITIVE {
        return Vec::new();
    }
    let power = rough.log10().floor() as i32;
    let Some((factor, exponent)) = [(1, power), (2, power), (5, power), (1, power + 1)]
        .into_iter()
        .find(|&(factor, exponent)| decimal(factor, exponent) >= rough)
    else {
        return Vec::new();
    };
    let step = decimal(factor, exponent);
    // One too many at each end, where the quotient may be rounded across a tick.
    let (first, last) = ((low / step).floor(), (high / step).ceil());
    if first.abs().max(last.abs()) > MOST_DIGITS {
        return Vec::new();
    }
    let multiples = (first as i64..=last as i64).map(|i| i * factor);
    let held = multiples.filter(|&digits| (low..=high).contains(&decimal(digits, exponent)));
    let held: Vec<i64> = held.collect();
    let largest = held.iter().map(|digits| digits.abs()).max().unwrap_or(0);
    let write = notation(largest, exponent);
    held.into_iter()
        .map(|digits| Tick {
            value: decimal(digits, exponent),
            label: write(digits, exponent),
        })
        .collect()
}

/// How `digits 10^exponent` is written on an axis whose largest digits are these: in plain digits, unless those are many.
fn notation(largest: i64, exponent: i32) -> fn(i64, i32) -> String {
    let length = largest.to_string().len() as i32;
    let magnitude = length - 1 + exponent;
    // Characters of the longest number: digits with their point, or a mantissa with its exponent.
    let plain = magnitude.max(0) + 1 + (-exponent).max(0);
    let scientific = length + 3;
    if (-5..6).contains(&magnitude) && exponent >= -5 || plain <= scientific {
        in_digits
    } else {
        with_exponent
    }
}

/// `-0.25`, `3000`.
fn in_digits(digits: i64, exponent: i32) -> String {
    let decimals = usize::try_from(-exponent).unwrap_or(0);
    format!("{:.decimals$}", decimal(digits, exponent))
}

/// `-2.5e-7`, with all digits that stand.
fn with_exponent(digits: i64, exponent: i32) -> String {
    if digits == 0 {
        return "0".into();
    }
    let decimals = digits.abs().to_string().len() - 1;
    format!("{:.decimals$e}", decimal(digits, exponent))
}

/// Ticks of the densest of four kinds that has at most [`MOST`] numbers; where that leaves fewer than three, of the first
/// kind that has three.
fn log_ticks(low: f64, high: f64) -> Vec<Tick> {
    let kinds = [
        decade_ticks(low, high, &[1]),
        decade_ticks(low, high, &[1, 2, 5]),
        decade_ticks(low, high, &[1, 2, 3, 4, 5, 6, 7, 8, 9]),
    ];
    let fitting = kinds.iter().filter(|kind| numbered(kind) <= MOST);
    let densest = fitting.max_by_key(|kind| numbered(kind));
    if let Some(densest) = densest.filter(|kind| numbered(kind) >= 3) {
        return densest.clone();
    }
    let several = kinds.into_iter().find(|kind| numbered(kind) >= 3);
    // With 7 steps there may be only two ticks.
    several.unwrap_or_else(|| linear_ticks(low, high, MOST + 1))
}

/// Multiples of powers of ten, of which those by `factors` have a number.
fn decade_ticks(low: f64, high: f64, factors: &[i64]) -> Vec<Tick> {
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let decades = (last - first).max(1) as usize;
    // Whole decades inside the range.
    let stride = decades.div_ceil(MOST).max(1);
    let mut ticks = Vec::new();
    for exponent in first..=last {
        for factor in 1..10 {
            let value = decimal(factor, exponent);
            // Several digits may stand for one subnormal number.
            let is_new = ticks.last().is_none_or(|tick: &Tick| tick.value < value);
            if !((low..=high).contains(&value) && is_new) {
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
fn power(factor: i64, exponent: i32) -> String {
    if (-3..=3).contains(&exponent) {
        in_digits(factor, exponent)
    } else {
        with_exponent(factor, exponent)
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
                vec![0.0],
                vec![1e-9],
                vec![f64::MAX],
                vec![-f64::MAX],
                vec![SMALLEST],
                vec![SMALLEST, 2.0 * SMALLEST],
                vec![1e-310, 3e-310],
                vec![f64::MIN_POSITIVE, 3.0 * f64::MIN_POSITIVE],
                vec![1.0, 1.0_f64.next_up()],
                vec![1e16, 1e16 + 2.0],
                vec![f64::NAN, f64::INFINITY],
                vec![f64::MAX, f64::MIN_POSITIVE],
                vec![f64::MAX, SMALLEST],
                vec![-f64::MAX, f64::MAX],
                vec![-1.7e308, 1.7e308],
                vec![1.7e308, 1.79e308],
            ] {
                let (low, high) = axis.range(values.iter().copied());
                assert!(
                    low < high && axis.holds(low) && axis.holds(high),
                    "{values:?}"
                );
                for x in values.iter().copied().filter(|&x| axis.holds(x)) {
                    let place = axis.place((low, high), x);
                    assert!((0.0..=1.0).contains(&place), "{values:?}: {x} {place}");
                }
                assert_ticks(&axis, low, high);
            }
        }
    }

    /// Inside the range, ascending, with two numbers at least that are all different, and right.
    fn assert_ticks(axis: &Axis, low: f64, high: f64) {
        let ticks = axis.ticks(low, high);
        assert!(ticks.len() < 100, "{low:e} {high:e}");
        assert!(
            ticks.is_sorted_by(|a, b| a.value < b.value),
            "{low:e} {high:e}"
        );
        let found = numbered(axis, low, high);
        assert!(found.len() >= 2, "{low:e} {high:e}: {found:?}");
        let labels: std::collections::BTreeSet<&str> = found.iter().map(|t| t.1.as_str()).collect();
        assert_eq!(labels.len(), found.len(), "{low:e} {high:e}: {found:?}");
        for (value, label) in &found {
            assert!((low..=high).contains(value), "{low:e} {high:e}: {label}");
            assert_eq!(label.parse(), Ok(*value), "{low:e} {high:e}");
        }
    }

    #[test]
    fn every_positive_range_has_three_numbers_on_a_logarithmic_axis() {
        let axis = Axis::log("x");
        for (low, high, expected) in [
            (0.3, 0.9, "0.3 0.4 0.5 0.6 0.7 0.8 0.9"),
            (1.0, 1.05, "1.00 1.01 1.02 1.03 1.04 1.05"),
            (3e-7, 4e-7, "3.0e-7 3.2e-7 3.4e-7 3.6e-7 3.8e-7 4.0e-7"),
            (2.0, 9.0, "2 3 4 5 6 7 8 9"),
            (0.2, 30.0, "0.2 0.5 1 2 5 10 20"),
            (6.0, 14.0, "6 7 8 9 10"),
        ] {
            let labels: Vec<String> = numbered(&axis, low, high)
                .into_iter()
                .map(|t| t.1)
                .collect();
            assert_eq!(labels.join(" "), expected);
        }
        // Every width from a thousandth of a decade to a hundred of them, from every digit of several decades.
        for exponent in [-300, -12, -4, -1, 0, 3, 5, 9, 200] {
            for start in [1.0, 1.1, 1.9, 2.0, 2.7, 3.3, 4.99, 5.01, 6.0, 7.7, 9.0, 9.9] {
                for width in [
                    0.001, 0.01, 0.05, 0.2, 0.4, 0.7, 0.95, 1.3, 2.0, 3.5, 9.0, 80.0,
                ] {
                    let low = start * 10_f64.powi(exponent);
                    let high = low * 10_f64.powf(width);
                    assert_ticks(&axis, low, high);
                    assert!(numbered(&axis, low, high).len() >= 3, "{low:e} {high:e}");
                }
            }
        }
    }

    #[test]
    fn neighbouring_ticks_differ_in_their_digits() {
        let labels = |low, high| -> Vec<String> {
            let ticks = Axis::linear("x").ticks(low, high);
            ticks.into_iter().map(|t| t.label).collect()
        };
        assert_eq!(
            labels(1_000_000.0, 1_000_004.0),
            ["1000000", "1000001", "1000002", "1000003", "1000004"]
        );
        assert_eq!(labels(0.0, 2e7), ["0", "5e6", "1.0e7", "1.5e7", "2.0e7"]);
        assert_eq!(labels(-4e-7, 4e-7), ["-4e-7", "-2e-7", "0", "2e-7", "4e-7"]);
        assert_eq!(labels(1e16, 1e16 + 2.0), ["1e16", "1.0000000000000002e16"]);
        for low in [-1e9, -123.456, -1e-3, 0.0, 1.0, 99_999.0, 1e12] {
            for width in [1e-3, 0.02, 1.0, 37.0, 5e4, 8e8, 1e15] {
                assert_ticks(&Axis::linear("x"), low, low + width);
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
