//! Numbers of the command line: with a range that the error states, and `k`, `M`, `G` for thousands, millions, billions.

use std::ops::{Bound, RangeBounds, RangeInclusive};

/// Suffixes and the powers of ten that they stand for.
const UNITS: [(&str, i32); 4] = [("k", 3), ("K", 3), ("M", 6), ("G", 9)];

/// A parser of whole numbers in a range: digits, also `1.5M`, `2e6`, `40k`.
///
/// Exact: nothing is rounded, and a number beyond the type is out of range like any other. The error says what is allowed.
pub fn whole<T: TryFrom<u64>>(
    range: RangeInclusive<u64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text: &str| {
        let rule = || {
            let (least, most) = (range.start(), range.end());
            format!(
                "must be a whole number between {least} and {most}; k, M and G stand for 10^3, 10^6 and 10^9"
            )
        };
        let value = exact(text).filter(|value| range.contains(value));
        value
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(rule)
    }
}

/// A parser of finite numbers in a range, with the same suffixes. The error says what is allowed.
pub fn real(
    range: impl RangeBounds<f64> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync + 'static {
    move |text: &str| {
        let (digits, exponent) = unit(text);
        // The suffix as a power of ten in the text: rounded once.
        let value = match exponent {
            0 => digits.parse(),
            _ if digits.contains(['e', 'E']) => text.parse(),
            _ => format!("{digits}e{exponent}").parse(),
        };
        let held = value.ok().filter(|x: &f64| x.is_finite());
        held.filter(|x| range.contains(x))
            .ok_or_else(|| rule(&range))
    }
}

/// [`real`] above 0.
pub fn positive() -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync + 'static {
    real((Bound::Excluded(0.0), Bound::Unbounded))
}

/// The bounds in words.
fn rule(range: &impl RangeBounds<f64>) -> String {
    // Small bounds have many zeros otherwise.
    let text = |x: f64| match x.abs() {
        size if size > 0.0 && size < 1e-4 => format!("{x:e}"),
        _ => x.to_string(),
    };
    let low = match range.start_bound() {
        Bound::Included(x) => format!(" of at least {}", text(*x)),
        Bound::Excluded(x) => format!(" above {}", text(*x)),
        Bound::Unbounded => String::new(),
    };
    let high = match range.end_bound() {
        Bound::Included(x) => format!(" of at most {}", text(*x)),
        Bound::Excluded(x) => format!(" below {}", text(*x)),
        Bound::Unbounded => String::new(),
    };
    let and = if low.is_empty() || high.is_empty() {
        ""
    } else {
        " and"
    };
    format!("must be a finite number{low}{and}{high}")
}

/// A number without its suffix, and the power of ten of the suffix.
fn unit(text: &str) -> (&str, i32) {
    let found = UNITS
        .iter()
        .find_map(|&(unit, power)| Some((text.strip_suffix(unit)?, power)));
    found.unwrap_or((text, 0))
}

/// The whole number that a text stands for; `None` if it is no number, not whole, negative or beyond `u64`.
fn exact(text: &str) -> Option<u64> {
    let (text, mut exponent) = unit(text);
    let (mantissa, power) = match text.split_once(['e', 'E']) {
        Some(_) if exponent > 0 => return None,
        Some((mantissa, power)) => (mantissa, power.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let mantissa = mantissa.strip_prefix('+').unwrap_or(mantissa);
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let after = after.trim_end_matches('0');
    let is_number = before
        .bytes()
        .chain(after.bytes())
        .all(|b| b.is_ascii_digit());
    if !is_number || before.is_empty() {
        return None;
    }
    exponent = exponent
        .checked_add(power)?
        .checked_sub(i32::try_from(after.len()).ok()?)?;
    let mut value = 0_u64;
    for digit in before.bytes().chain(after.bytes()) {
        value = value
            .checked_mul(10)?
            .checked_add(u64::from(digit - b'0'))?;
    }
    if value == 0 {
        return Some(0);
    }
    let scale = 10_u64.checked_pow(exponent.unsigned_abs())?;
    if exponent >= 0 {
        value.checked_mul(scale)
    } else {
        value.is_multiple_of(scale).then_some(value / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_exact_with_suffixes_and_decimals() {
        let parse = whole::<u64>(0..=u64::MAX);
        for (text, value) in [
            ("0", 0),
            ("007", 7),
            ("+3", 3),
            ("1M", 1_000_000),
            ("1.5M", 1_500_000),
            ("0.25k", 250),
            ("2.000", 2),
            ("3G", 3_000_000_000),
            ("40K", 40_000),
            ("2e6", 2_000_000),
            ("2.5E8", 250_000_000),
            ("1200e-2", 12),
            ("0e99999", 0),
            ("9007199254740993", 9_007_199_254_740_993),
            ("18446744073709551615", u64::MAX),
            ("18.446744073709551615e18", u64::MAX),
        ] {
            assert_eq!(parse(text), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_is_no_whole_number_or_out_of_range_is_told_the_range() {
        let parse = whole::<u32>(1..=5000);
        for text in [
            "",
            "-1",
            "0",
            "5001",
            "5.001k",
            "1.0005k",
            "x",
            "k",
            ".5k",
            "1e",
            "1e3k",
            "1_000",
            "0x10",
            "1 k",
            "nan",
            "1e-1",
            "18446744073709551616",
            "99999999999G",
            "1e99999999999",
            "1e-2147483648",
        ] {
            let rule = parse(text).expect_err(text);
            assert!(rule.contains("between 1 and 5000"), "{text}: {rule}");
        }
        // In range, but not in the type.
        assert!(whole::<u8>(0..=1000)("256").is_err());
        assert_eq!(whole::<u8>(0..=1000)("255"), Ok(255));
    }

    #[test]
    fn real_numbers_state_their_bounds() {
        let parse = real(0.0..=1.0);
        assert_eq!(parse("0.5"), Ok(0.5));
        assert_eq!(parse("1"), Ok(1.0));
        for text in ["-1", "1.1", "nan", "inf", "", "x", "1e999", "1k"] {
            let rule = parse(text).expect_err(text);
            assert_eq!(
                rule,
                "must be a finite number of at least 0 and of at most 1"
            );
        }
        assert_eq!(real(..)("2.5G"), Ok(2.5e9));
        assert_eq!(real(..)("-0.1k"), Ok(-100.0));
        assert!(real(..)("1e3k").is_err() && real(..)("inf").is_err());
        assert_eq!(
            positive()("0"),
            Err("must be a finite number above 0".to_owned())
        );
        assert!(positive()("5e-324").is_ok());
        assert_eq!(
            real(1e-9..0.5)("0.5"),
            Err("must be a finite number of at least 1e-9 and below 0.5".to_owned())
        );
    }
}
