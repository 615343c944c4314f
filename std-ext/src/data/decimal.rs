//! Numbers as they are written: exact, however many digits.
//!
//! A class may be numbered by a 64-bit identifier or by a longer one. Through `f64` neighbours beyond 2^53 become one
//! class; here two labels are equal only if they are the same number.

use std::cmp::Ordering;
use std::fmt;

/// Zeros that are written out before an exponent is.
const MOST_ZEROS: i64 = 21;

/// `0.d1 d2 d3... * 10^point`, with a sign.
///
/// The first and the last digit are not zero; zero has no digits, and neither sign nor point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    is_negative: bool,
    /// Each 0 to 9, as ASCII.
    digits: Vec<u8>,
    point: i64,
}

impl Decimal {
    /// Reads `[+-]digits[.digits][e[+-]digits]`, as `f64` does but for its words; an exponent has at most six digits.
    pub(super) fn parse(token: &[u8]) -> Option<Self> {
        let (is_negative, rest) = sign(token);
        let split = rest.iter().position(|byte| matches!(byte, b'e' | b'E'));
        let (mantissa, exponent) = match split {
            Some(at) => (rest.get(..at)?, exponent(rest.get(at + 1..)?)?),
            None => (rest, 0),
        };
        let point = mantissa.iter().position(|&byte| byte == b'.');
        let whole = point.unwrap_or(mantissa.len());
        let mut digits = mantissa.to_vec();
        if let Some(point) = point {
            digits.remove(point);
        }
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let leading = digits.iter().take_while(|&&digit| digit == b'0').count();
        digits.drain(..leading);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self {
                is_negative: false,
                digits,
                point: 0,
            });
        }
        Some(Self {
            is_negative,
            digits,
            point: whole as i64 - leading as i64 + exponent,
        })
    }

    /// Whether a text is the spelling of an integer from 0 that [`Decimal`] gives: most labels are, and need no parsing.
    pub(super) fn is_plain(token: &[u8]) -> bool {
        let is_short = token.len() <= MOST_ZEROS as usize;
        let begins_well = token == b"0" || token.first().is_some_and(|&digit| digit != b'0');
        is_short && begins_well && token.iter().all(u8::is_ascii_digit)
    }

    fn size(&self, other: &Self) -> Ordering {
        // Without trailing zeros the shorter of two numbers that begin alike is the smaller.
        match (self.digits.is_empty(), other.digits.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            (false, false) => {
                let point = self.point.cmp(&other.point);
                point.then_with(|| self.digits.cmp(&other.digits))
            }
        }
    }
}

fn sign(token: &[u8]) -> (bool, &[u8]) {
    match token.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, token),
    }
}

fn exponent(token: &[u8]) -> Option<i64> {
    let (is_negative, digits) = sign(token);
    if digits.is_empty() || digits.len() > 6 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits
        .iter()
        .fold(0, |value, digit| 10 * value + i64::from(digit - b'0'));
    Some(if is_negative { -value } else { value })
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.is_negative, other.is_negative) {
            (false, false) => self.size(other),
            (true, true) => other.size(self),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The one spelling of a number: `parse` gives it back.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = std::str::from_utf8(&self.digits).map_err(|_| fmt::Error)?;
        if digits.is_empty() {
            return f.write_str("0");
        }
        if self.is_negative {
            f.write_str("-")?;
        }
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let (point, length) = (self.point, digits.len() as i64);
        if point >= length && point - length <= MOST_ZEROS {
            return write!(f, "{digits}{}", zeros(point - length));
        }
        if (1..length).contains(&point) {
            let (whole, rest) = digits.split_at(point as usize);
            return write!(f, "{whole}.{rest}");
        }
        if point <= 0 && -point <= MOST_ZEROS {
            return write!(f, "0.{}{digits}", zeros(-point));
        }
        let (first, rest) = digits.split_at(1);
        let dot = if rest.is_empty() { "" } else { "." };
        write!(f, "{first}{dot}{rest}e{}", point - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(token: &str) -> Option<String> {
        Decimal::parse(token.as_bytes()).map(|number| number.to_string())
    }

    #[test]
    fn a_number_has_one_spelling() {
        for (tokens, expected) in [
            (
                &["1", "+1", "01", "1.", "1.0", "1e0", "10e-1", "0.1E+1"][..],
                "1",
            ),
            (&["0", "-0", "+0.0", "0e9", ".0"], "0"),
            (&["-2.50", "-25e-1"], "-2.5"),
            (&["1e3", "1000", "1000.0"], "1000"),
            (&["9007199254740993"], "9007199254740993"),
            (&["0018446744073709551616"], "18446744073709551616"),
            (&["1e30", "1000000000000000000000000000000"], "1e30"),
            (&["12e-30"], "1.2e-29"),
            (&[".5"], "0.5"),
        ] {
            for token in tokens {
                assert_eq!(text(token).as_deref(), Some(expected), "{token}");
            }
            assert_eq!(text(expected).as_deref(), Some(expected));
        }
    }

    #[test]
    fn plain_integers_are_spelled_as_they_stand() {
        for token in ["0", "7", "10", "9007199254740993", "100000000000000000000"] {
            assert!(Decimal::is_plain(token.as_bytes()));
            assert_eq!(text(token).as_deref(), Some(token));
        }
        for token in ["", "00", "01", "+1", "-1", "1.", "x", "1e3"] {
            assert!(!Decimal::is_plain(token.as_bytes()));
        }
    }

    #[test]
    fn what_f64_does_not_read_is_no_number() {
        for token in [
            "",
            "+",
            ".",
            "e5",
            "1e",
            "1e+",
            "1e1.5",
            "--1",
            "1_000",
            "1,5",
            "0x10",
            "1 ",
            "٣",
            "nan",
            "inf",
            "1.2.3",
            "1e1234567",
        ] {
            assert_eq!(text(token), None, "{token}");
        }
    }

    #[test]
    fn order_is_that_of_the_values() {
        let ascending = [
            "-1e40",
            "-10",
            "-9.5",
            "-9",
            "-0.5",
            "0",
            "1e-40",
            "0.05",
            "0.5",
            "0.51",
            "1",
            "1.5",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "1e40",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                let [a, b] = [a, b].map(|token| Decimal::parse(token.as_bytes()).unwrap());
                assert_eq!(a.cmp(&b), i.cmp(&j), "{a} {b}");
            }
        }
    }
}
