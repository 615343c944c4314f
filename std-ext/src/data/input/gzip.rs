//! A gzip file: members one after the other, zero bytes between and behind them.
//!
//! RFC 1952 knows no padding, but tapes, `dd` and block devices add it; gzip(1) skips zeros at the end, Python's
//! `gzip` between members too. Anything else behind a member is the error [`Tail`], no damage: the data in front of it
//! is complete.

use std::fmt;
use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use crate::data::error::excerpt;

/// Reads the members as one stream.
pub(super) struct Members<R> {
    /// `None` after the last member.
    decoder: Option<GzDecoder<R>>,
    /// Whether a member is complete.
    is_later: bool,
}

/// Bytes behind a complete member that begin no other.
#[derive(Debug)]
pub(super) struct Tail {
    /// The first of them, escaped.
    pub(super) found: String,
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not gzip", self.found)
    }
}

impl std::error::Error for Tail {}

impl<R: BufRead> Members<R> {
    pub(super) fn new(reader: R) -> Self {
        Self {
            decoder: Some(GzDecoder::new(reader)),
            is_later: false,
        }
    }

    /// Goes to the next member, or to the end of the file.
    ///
    /// After an error the decoder stands where it stood: an interrupted read may be tried again.
    fn advance(&mut self) -> io::Result<()> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(());
        };
        let reader = decoder.get_mut();
        loop {
            let bytes = reader.fill_buf()?;
            let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
            match bytes.get(zeros) {
                None if bytes.is_empty() => {
                    self.decoder = None;
                    return Ok(());
                }
                None => reader.consume(zeros),
                Some(0x1f) => {
                    reader.consume(zeros);
                    break;
                }
                Some(_) => {
                    let found = excerpt(bytes.get(zeros..).unwrap_or_default());
                    return Err(io::Error::other(Tail { found }));
                }
            }
        }
        self.is_later = true;
        self.decoder = self
            .decoder
            .take()
            .map(|decoder| GzDecoder::new(decoder.into_inner()));
        Ok(())
    }
}

impl<R: BufRead> Read for Members<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(decoder) = &mut self.decoder {
            match decoder.read(out) {
                Ok(0) if !out.is_empty() => self.advance()?,
                // One byte agrees with a member's magic number, the rest of its header does not.
                Err(error)
                    if self.is_later
                        && decoder.header().is_none()
                        && error.kind() == io::ErrorKind::InvalidInput =>
                {
                    let found = String::from("\\x1f...");
                    return Err(io::Error::other(Tail { found }));
                }
                result => return result,
            }
        }
        Ok(0)
    }
}
