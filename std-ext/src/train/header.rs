//! The header of a tensor file: JSON of one shape, read and written without a general parser.
//!
//! ```text
//! header   = { "__metadata__": { string: string, ... }, string: tensor, ... }
//! tensor   = { "dtype": string, "shape": [count, ...], "data_offsets": [count, count] }   in any order
//! ```
//! White space is allowed between tokens, and spaces behind the last. Nothing recurses, and no memory is taken but for what the text holds.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::TrainError;

/// A tensor as the header states it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stated {
    pub(super) name: String,
    /// Offset of the name in the header.
    pub(super) at: usize,
    pub(super) dtype: String,
    pub(super) shape: Vec<usize>,
    pub(super) begin: usize,
    pub(super) end: usize,
}

/// Name and value of each entry of the metadata.
pub(super) type Metadata = BTreeMap<String, String>;

pub(super) const METADATA: &str = "__metadata__";

/// A string with its quotes.
pub(super) fn quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            c if u32::from(c) < 0x20 => {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A place in the header, and what is wrong there.
type Wrong = (usize, String);

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn wrong<T>(&self, what: impl Into<String>) -> Result<T, Wrong> {
        Err((self.at, what.into()))
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Whether this byte is next; it is taken then.
    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), Wrong> {
        if self.takes(byte) {
            return Ok(());
        }
        self.wrong(format!("expected `{}`", char::from(byte)))
    }

    fn string(&mut self) -> Result<String, Wrong> {
        self.expect(b'"')?;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest
                .find(|c: char| c == '"' || c == '\\' || u32::from(c) < 0x20)
                .unwrap_or(rest.len());
            out.push_str(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return self.wrong("a string that does not end"),
            }
        }
    }

    fn escape(&mut self) -> Result<char, Wrong> {
        let code = self.text.as_bytes().get(self.at + 1).copied();
        let plain = match code {
            Some(c @ (b'"' | b'\\' | b'/')) => Some(char::from(c)),
            Some(b'b') => Some('\u{8}'),
            Some(b'f') => Some('\u{c}'),
            Some(b'n') => Some('\n'),
            Some(b'r') => Some('\r'),
            Some(b't') => Some('\t'),
            _ => None,
        };
        if let Some(plain) = plain {
            self.at += 2;
            return Ok(plain);
        }
        let unit = |at: usize| {
            let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
            // `from_str_radix` takes a sign too.
            let all = digits.bytes().all(|b| b.is_ascii_hexdigit());
            u16::from_str_radix(digits, 16).ok().filter(|_| all)
        };
        let units = [unit(self.at), unit(self.at + 6)];
        let pair = match units {
            [Some(first), second] => char::decode_utf16([first].into_iter().chain(second)).next(),
            _ => None,
        };
        match pair {
            Some(Ok(c)) => {
                self.at += 6 * c.len_utf16();
                Ok(c)
            }
            _ => self.wrong("an escape that stands for no character"),
        }
    }

    fn count(&mut self) -> Result<usize, Wrong> {
        self.space();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.find(|c: char| !c.is_ascii_digit());
        let digits = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        match digits.parse() {
            Ok(count) => {
                self.at += digits.len();
                Ok(count)
            }
            Err(_) => self.wrong("expected a count that fits the address space"),
        }
    }

    fn counts(&mut self) -> Result<Vec<usize>, Wrong> {
        self.expect(b'[')?;
        let mut counts = Vec::new();
        if self.takes(b']') {
            return Ok(counts);
        }
        loop {
            counts.push(self.count()?);
            if self.takes(b']') {
                return Ok(counts);
            }
            self.expect(b',')?;
        }
    }

    /// The members of an object; `member` reads the value behind each key.
    fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, String, usize) -> Result<(), Wrong>,
    ) -> Result<(), Wrong> {
        self.expect(b'{')?;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            self.space();
            let at = self.at;
            let key = self.string()?;
            self.expect(b':')?;
            member(self, key, at)?;
            if self.takes(b'}') {
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn tensor(&mut self, name: String, at: usize) -> Result<Stated, Wrong> {
        let (mut dtype, mut shape, mut offsets) = (None, None, None);
        self.object(|parser, key, at| {
            let again = match key.as_str() {
                "dtype" => dtype.replace(parser.string()?).is_some(),
                "shape" => shape.replace(parser.counts()?).is_some(),
                "data_offsets" => offsets.replace(parser.counts()?).is_some(),
                _ => return Err((at, format!("a tensor has no `{key}`"))),
            };
            if again {
                return Err((at, format!("`{key}` occurs twice")));
            }
            Ok(())
        })?;
        let (Some(dtype), Some(shape), Some(offsets)) = (dtype, shape, offsets) else {
            return Err((
                at,
                format!("tensor `{name}` lacks dtype, shape or data_offsets"),
            ));
        };
        let [begin, end] = offsets[..] else {
            return Err((at, format!("tensor `{name}` has no two offsets")));
        };
        Ok(Stated {
            name,
            at,
            dtype,
            shape,
            begin,
            end,
        })
    }
}

/// Reads a header; offsets in errors count from its first byte.
fn parse(header: &[u8]) -> Result<(Metadata, Vec<Stated>), Wrong> {
    let text = std::str::from_utf8(header)
        .map_err(|error| (error.valid_up_to(), "the header is not UTF-8".to_owned()))?;
    let mut parser = Parser { text, at: 0 };
    if parser.peek() != Some(b'{') {
        return parser.wrong("the header does not begin with `{`");
    }
    let (mut metadata, mut tensors) = (None, Vec::new());
    parser.object(|parser, key, at| {
        if key != METADATA {
            tensors.push(parser.tensor(key, at)?);
            return Ok(());
        }
        let mut entries = Metadata::new();
        parser.object(|parser, key, at| {
            let value = parser.string()?;
            match entries.insert(key.clone(), value) {
                None => Ok(()),
                Some(_) => Err((at, format!("`{key}` occurs twice"))),
            }
        })?;
        match metadata.replace(entries) {
            None => Ok(()),
            Some(_) => Err((at, format!("`{METADATA}` occurs twice"))),
        }
    })?;
    parser.space();
    if parser.peek().is_some() {
        return parser.wrong("text behind the header's last `}`");
    }
    Ok((metadata.unwrap_or_default(), tensors))
}

/// Reads the header that begins at byte `base` of a file.
pub(super) fn read(
    header: &[u8],
    base: usize,
    file: &str,
) -> Result<(Metadata, Vec<Stated>), TrainError> {
    parse(header).map_err(|(at, what)| TrainError::Malformed {
        file: file.to_owned(),
        at: (base + at) as u64,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_in_any_order_and_with_escapes() {
        let text = "{ \"a\\u00e9\\uD83D\\uDE00\\n\" : {\"shape\":[2, 3],\r\n\"data_offsets\":[0,24],\"dtype\":\"F32\"},\
                    \"__metadata__\":{\"k\":\"\\\"v\\\\\"}}  ";
        let (metadata, tensors) = parse(text.as_bytes()).unwrap();
        assert_eq!(metadata["k"], "\"v\\");
        assert_eq!(tensors[0].name, "a\u{e9}\u{1F600}\n");
        assert_eq!((&tensors[0].shape[..], tensors[0].end), (&[2, 3][..], 24));
        let mut again = String::new();
        quoted("a\"\\\n\u{e9}", &mut again);
        assert_eq!(again, "\"a\\\"\\\\\\u000a\u{e9}\"");
        assert_eq!(parse(b"{}"), Ok((Metadata::new(), Vec::new())));
    }

    #[test]
    fn text_that_is_no_header_is_refused_at_its_place() {
        let tensor = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
        let cases: [(&[u8], usize); 14] = [
            (b"", 0),
            (b" {}", 0),
            (b"[]", 0),
            (b"{", 1),
            (b"{}}", 2),
            (b"{\"a\":1}", 5),
            (b"{\"a", 3),
            (b"{\"a\\u12\":", 3),
            (b"{\"a\\ud800\":", 3),
            (b"{\"a\\x\":", 3),
            (b"{\"\xFF\":", 2),
            (tensor.as_bytes(), tensor.len()),
            (b"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 20),
            (
                b"{\"a\":{\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]}}",
                29,
            ),
        ];
        for (text, at) in cases {
            let found = parse(text).unwrap_err();
            assert_eq!(
                found.0,
                at,
                "{}: {}",
                String::from_utf8_lossy(text),
                found.1
            );
        }
        for text in [
            &b"{\"__metadata__\":{},\"__metadata__\":{}}"[..],
            b"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}",
            b"{\"__metadata__\":{\"a\":1}}",
            b"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}",
            b"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}",
            b"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}",
            b"{\"a\":{\"other\":\"F32\"}}",
            b"{\"a\":{},}",
        ] {
            assert!(parse(text).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}
