//! What a field is: a number, a name, a missing value, or a number that the options do not fit.

use crate::data::decimal::Decimal;

/// Spellings of a missing value, in lower case.
const MISSING: [&str; 28] = [
    "na",
    "n/a",
    "n.a.",
    "<na>",
    "#n/a",
    "#n/a n/a",
    "#na",
    "nan",
    "+nan",
    "-nan",
    "1.#ind",
    "-1.#ind",
    "1.#qnan",
    "-1.#qnan",
    "null",
    "nil",
    "none",
    "missing",
    "nat",
    "\\n",
    "#div/0!",
    "#value!",
    "#ref!",
    "#num!",
    "#name?",
    "#null!",
    "nan(ind)",
    "-nan(ind)",
];

/// Also NaN and infinity: a row that holds them is bad data, not a header.
pub(super) fn is_numeric(field: &[u8]) -> bool {
    std::str::from_utf8(field).is_ok_and(|text| text.parse::<f64>().is_ok())
}

/// One of the usual spellings of a missing feature, or one of those listed.
pub(super) fn is_missing(field: &[u8], listed: &[&str]) -> bool {
    !field
        .iter()
        .any(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
        || MISSING
            .iter()
            .any(|word| field.eq_ignore_ascii_case(word.as_bytes()))
        || is_listed(field, listed)
}

/// Empty, NaN or listed: a label has no other way to be missing.
pub(super) fn is_missing_label(field: &[u8], listed: &[&str]) -> bool {
    let is_nan = || {
        let text = std::str::from_utf8(field);
        text.is_ok_and(|text| text.parse::<f64>().is_ok_and(f64::is_nan))
    };
    field.is_empty() || is_nan() || is_listed(field, listed)
}

/// Whether a field is one of the listed spellings; numbers by value.
fn is_listed(field: &[u8], listed: &[&str]) -> bool {
    listed.iter().any(|word| {
        let word = word.trim_ascii().as_bytes();
        word == field || {
            let number = Decimal::parse(word);
            number.is_some() && number == Decimal::parse(field)
        }
    })
}

/// What a column may be called: it has a letter, and is neither a missing value nor a number with a comma or
/// another delimiter in it.
pub(super) fn is_name(field: &[u8], listed: &[&str]) -> bool {
    let text = String::from_utf8_lossy(field);
    text.chars().any(char::is_alphabetic)
        && !is_numeric(field)
        && !has_comma(field)
        && divided_by(field).is_none()
        && !is_missing(field, listed)
}

/// What was expected of a feature that is neither number nor missing.
///
/// Looks for what the file may be instead; `reason` is what the number reader says.
pub(super) fn expected(field: &[u8], reason: &'static str) -> &'static str {
    if has_comma(field) {
        return "a number with a decimal point: decimal commas, and commas between thousands, are not read; \
                where no comma is a delimiter, convert them: `tr ',' '.'`";
    }
    if !field.is_ascii() && String::from_utf8_lossy(field).contains(char::is_numeric) {
        return "a finite number in ASCII: minus signs, spaces and digits of Unicode are not read";
    }
    divided_by(field).map_or(reason, |other| other.expected)
}

/// A number but for a decimal comma, or for commas between thousands.
fn has_comma(field: &[u8]) -> bool {
    let mut parts = field.split(|&byte| byte == b',');
    let (Some(first), Some(second)) = (parts.next(), parts.next()) else {
        return false;
    };
    let is_group = |part: &[u8]| {
        let digits = part.split(|&byte| byte == b'.').next();
        digits.is_some_and(|digits| digits.len() == 3)
    };
    let rest: Vec<&[u8]> = parts.collect();
    let is_decimal = rest.is_empty() && is_numeric(&[first, second].join(&b'.'));
    let is_thousands = is_group(second)
        && rest.iter().all(|part| is_group(part))
        && is_numeric(
            &[first, second]
                .into_iter()
                .chain(rest)
                .collect::<Vec<_>>()
                .concat(),
        );
    is_decimal || is_thousands
}

/// A byte that may stand between fields, what it is called, and what to ask who took it for a part of a number.
pub(super) struct Delimiter {
    byte: u8,
    pub(super) name: &'static str,
    expected: &'static str,
}

const DELIMITERS: [Delimiter; 5] = [
    Delimiter {
        byte: b';',
        name: "`;`",
        expected: "a finite number; is the delimiter `;`? set `Options::delimiter`",
    },
    Delimiter {
        byte: b'\t',
        name: "a tab",
        expected: "a finite number; is the delimiter a tab? set `Options::delimiter`",
    },
    Delimiter {
        byte: b'|',
        name: "`|`",
        expected: "a finite number; is the delimiter `|`? set `Options::delimiter`",
    },
    Delimiter {
        byte: b',',
        name: "`,`",
        expected: "a finite number; is the delimiter `,`? set `Options::delimiter`",
    },
    Delimiter {
        byte: b' ',
        name: "a blank",
        expected: "a finite number; is the delimiter a blank? set `Options::delimiter`",
    },
];

/// The first delimiter that occurs in a line of one field.
pub(super) fn delimiter_of(line: &[u8]) -> Option<&'static Delimiter> {
    let line = line.trim_ascii();
    DELIMITERS.iter().find(|other| line.contains(&other.byte))
}

/// A label and `index:value`, the first words of a LIBSVM file.
pub(super) fn is_sparse(line: &[u8]) -> bool {
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let is_label = words.next().is_some_and(is_numeric);
    let pair = words.next().unwrap_or_default();
    let mut parts = pair.split(|&byte| byte == b':');
    let (index, value) = (parts.next(), parts.next());
    is_label
        && index.is_some_and(|index| index == b"qid" || index.iter().all(u8::is_ascii_digit))
        && value.is_some_and(is_numeric)
}

/// The delimiter that numbers stand between in a field; all parts are numbers where it is common in text.
fn divided_by(field: &[u8]) -> Option<&'static Delimiter> {
    DELIMITERS.iter().find(|other| {
        let mut parts = field
            .split(|byte| *byte == other.byte)
            .filter(|part| !part.is_empty());
        field.contains(&other.byte)
            && match other.byte {
                b',' | b' ' => parts.all(is_numeric),
                _ => parts.any(is_numeric),
            }
    })
}
