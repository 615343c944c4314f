//! What is to be predicted, and how labels become class numbers.

use std::collections::BTreeMap;

use super::decimal::Decimal;
use super::error::{DataError, check};
use super::input::number;

/// How a reader takes the label column.
///
/// ```
/// use thalweg_std::data::TargetKind;
/// assert_eq!(TargetKind::default(), TargetKind::Class);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetKind {
    /// Each distinct label is a class; labels that are numbers are distinct by value, whatever their size:
    /// `+1`, `01`, `1.0` and `1e0` are one class, `9007199254740992` and `9007199254740993` are two.
    #[default]
    Class,
    /// Each label is a number to be predicted.
    Real,
}

/// What is to be predicted for each row.
///
/// ```
/// use thalweg_std::data::Targets;
/// let targets = Targets::Class { labels: vec![1, 0], names: vec!["-1".into(), "1".into()] };
/// assert_eq!(targets.len(), Some(2));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Nothing: the file has no label column.
    Absent,
    /// A class.
    Class {
        /// Class of each row, in `0..names.len()`.
        labels: Vec<u32>,
        /// Label of each class: ascending if all are numbers, else in byte order. Words are spelled as in the file,
        /// numbers by their digits, without `+`, leading zeros and zeros behind the last digit of a fraction.
        names: Vec<String>,
    },
    /// A number for each row.
    Real(Vec<f32>),
}

impl Targets {
    /// Number of rows with a target; `None` where targets are absent.
    ///
    /// ```
    /// assert_eq!(thalweg_std::data::Targets::Real(vec![0.5]).len(), Some(1));
    /// ```
    #[must_use]
    #[allow(
        clippy::len_without_is_empty,
        reason = "absent is not empty: the count is an option"
    )]
    pub fn len(&self) -> Option<usize> {
        match self {
            Self::Absent => None,
            Self::Class { labels, .. } => Some(labels.len()),
            Self::Real(values) => Some(values.len()),
        }
    }

    /// The targets of some rows, or `None` if one is out of range.
    pub(super) fn select(&self, rows: &[u32]) -> Option<Self> {
        Some(match self {
            Self::Absent => Self::Absent,
            Self::Class { labels, names } => Self::Class {
                labels: rows
                    .iter()
                    .map(|&i| labels.get(i as usize).copied())
                    .collect::<Option<_>>()?,
                names: names.clone(),
            },
            Self::Real(values) => Self::Real(
                rows.iter()
                    .map(|&i| values.get(i as usize).copied())
                    .collect::<Option<_>>()?,
            ),
        })
    }

    /// Numbers classes as `other` does.
    pub(super) fn match_to(&mut self, other: &Self) -> Result<(), DataError> {
        match (self, other) {
            (Self::Class { labels, names }, Self::Class { names: wanted, .. }) => {
                let mut map = Vec::with_capacity(names.len());
                for (class, name) in names.iter().enumerate() {
                    let place = wanted.iter().position(|other| other == name);
                    map.push(place.map(|place| place as u32).ok_or_else(|| {
                        DataError::UnknownLabel {
                            row: labels
                                .iter()
                                .position(|&l| l as usize == class)
                                .unwrap_or(0),
                            label: name.clone(),
                        }
                    })?);
                }
                for label in labels {
                    // In range by construction; zero is never taken.
                    *label = map.get(*label as usize).copied().unwrap_or(0);
                }
                names.clone_from(wanted);
                Ok(())
            }
            (Self::Real(_), Self::Real(_)) | (Self::Absent, Self::Absent) => Ok(()),
            _ => check("targets", false, "must be of the same kind in both sets"),
        }
    }
}

/// Collects labels as they are read.
pub(super) enum TargetBuilder {
    Absent,
    Class {
        labels: Vec<u32>,
        seen: BTreeMap<String, u32>,
    },
    Real(Vec<f32>),
}

impl TargetBuilder {
    pub(super) fn new(kind: TargetKind) -> Self {
        match kind {
            TargetKind::Class => Self::Class {
                labels: Vec::new(),
                seen: BTreeMap::new(),
            },
            TargetKind::Real => Self::Real(Vec::new()),
        }
    }

    /// Takes the label of the next row; on failure says what was expected.
    pub(super) fn push(&mut self, token: &[u8]) -> Result<(), &'static str> {
        match self {
            Self::Absent => {}
            Self::Real(values) => values.push(number(token)?),
            Self::Class { labels, seen } => {
                let name = class_name(token)?;
                let next = seen.len() as u32;
                labels.push(*seen.entry(name).or_insert(next));
            }
        }
        Ok(())
    }

    /// Number of classes so far.
    pub(super) fn classes(&self) -> usize {
        match self {
            Self::Class { seen, .. } => seen.len(),
            Self::Absent | Self::Real(_) => 0,
        }
    }

    /// Numbers the classes in the order of their labels.
    pub(super) fn finish(self) -> Targets {
        match self {
            Self::Absent => Targets::Absent,
            Self::Real(values) => Targets::Real(values),
            Self::Class { mut labels, seen } => {
                let mut order: Vec<(String, u32)> = seen.into_iter().collect();
                let value = |name: &str| Decimal::parse(name.as_bytes());
                if order.iter().all(|(name, _)| value(name).is_some()) {
                    order.sort_by_cached_key(|(name, _)| value(name));
                }
                let mut map = vec![0; order.len()];
                for (class, (_, first)) in order.iter().enumerate() {
                    if let Some(slot) = map.get_mut(*first as usize) {
                        *slot = class as u32;
                    }
                }
                for label in &mut labels {
                    *label = map.get(*label as usize).copied().unwrap_or(0);
                }
                Targets::Class {
                    labels,
                    names: order.into_iter().map(|(name, _)| name).collect(),
                }
            }
        }
    }
}

/// The name of a label's class.
fn class_name(token: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(token).map_err(
        |_| "a label in UTF-8; text in Latin-1 is converted by `iconv -f ISO-8859-1 -t UTF-8`",
    )?;
    if Decimal::is_plain(token) {
        return Ok(text.to_owned());
    }
    if let Some(number) = Decimal::parse(token) {
        return Ok(number.to_string());
    }
    match text.parse::<f64>() {
        Ok(_) if token.iter().any(u8::is_ascii_digit) => {
            Err("a label; a number's exponent has at most six digits")
        }
        Ok(_) => Err("a label, not NaN or infinite"),
        Err(_) if text.is_empty() => Err("a label"),
        Err(_) => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(tokens: &[&str]) -> (Vec<u32>, Vec<String>) {
        let mut builder = TargetBuilder::new(TargetKind::Class);
        for token in tokens {
            builder.push(token.as_bytes()).unwrap();
        }
        match builder.finish() {
            Targets::Class { labels, names } => (labels, names),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numeric_labels_are_ordered_by_value_and_merged() {
        let (labels, names) = classes(&["10", "+1", "-1", "1.0", "9"]);
        assert_eq!(names, ["-1", "1", "9", "10"]);
        assert_eq!(labels, [3, 1, 0, 1, 2]);
    }

    #[test]
    fn one_word_among_numbers_makes_labels_text() {
        let (labels, names) = classes(&["10", "9", "x"]);
        assert_eq!(names, ["10", "9", "x"]);
        assert_eq!(labels, [0, 1, 2]);
    }

    #[test]
    fn negative_zero_is_zero() {
        assert_eq!(classes(&["-0", "0"]).1, ["0"]);
    }

    /// Neighbours that are one number in `f64`, and integers beyond 64 bits.
    #[test]
    fn distinct_integers_are_distinct_classes() {
        for tokens in [
            ["9007199254740992", "9007199254740993", "9007199254740994"],
            ["-9007199254740993", "-9007199254740992", "9007199254740993"],
            [
                "-9223372036854775809",
                "-9223372036854775808",
                "9223372036854775807",
            ],
            [
                "18446744073709551614",
                "18446744073709551615",
                "18446744073709551616",
            ],
            ["0.1", "0.10000000000000001", "0.2"],
        ] {
            let (labels, names) = classes(&tokens);
            assert_eq!(
                (labels, &names[..]),
                (vec![0, 1, 2], &tokens.map(String::from)[..])
            );
        }
    }

    #[test]
    fn one_number_in_many_spellings_is_one_class() {
        let (labels, names) = classes(&["1", "+1", "01", "1.0", "1e0", "1.00e+00", "2e3", "2000"]);
        assert_eq!(names, ["1", "2000"]);
        assert_eq!(labels, [0, 0, 0, 0, 0, 0, 1, 1]);
    }

    #[test]
    fn labels_that_are_no_labels_are_refused() {
        for token in [&b"nan"[..], b"inf", b"-inf", b"", b"\xff", b"1e1234567"] {
            assert!(TargetBuilder::new(TargetKind::Class).push(token).is_err());
        }
        for token in [&b"nan"[..], b"1e99", b"x", b""] {
            assert!(TargetBuilder::new(TargetKind::Real).push(token).is_err());
        }
    }
}
