//! From bytes to a frame: every length is checked before the first loop, every rule before the frame is returned.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "widths of at most 64 bits times counts of 32, in u64"
)]

use super::bits::Bits;
use super::crc32c::Crc32c;
use super::encode;
use super::payload::{
    Exponents, Kept, Levels, Packed, Payload, QuantisedRow, Values, load, mantissa_bits,
};
use super::{
    ALLOW_NON_FINITE, CAP, DecodeError, Dtype, EncodeError, HEADER, Header, Kind, MAGIC, MAJOR,
    MINOR, OVERHEAD, Shape, index_bits, level_bits, payload_len,
};
use crate::Real;
use crate::memory::must;

/// Header fields that the receiver requires. A mismatch is an error that names the field.
///
/// ```
/// use thalweg::wire::*;
/// let mut bytes = [0; 52];
/// encode_into(&Header { round: 4, ..Header::new(Kind::Ack, Dtype::None, 9, 0) }, &Body::<f32>::Empty, &mut bytes)?;
/// let expect = Expect { round: Some(5), ..Expect::default() };
/// assert_eq!(decode(&bytes, &expect).unwrap_err(), DecodeError::WrongRound { expected: 5, found: 4 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expect {
    /// The only kind to accept.
    pub kind: Option<Kind>,
    /// The only round to accept.
    pub round: Option<u64>,
    /// The only client to accept.
    pub client: Option<u32>,
    /// The only seed to accept.
    pub seed: Option<u64>,
    /// The only dimension to accept.
    pub d: Option<u32>,
    /// The only count to accept.
    pub k: Option<u32>,
    /// The only scalar type to accept.
    pub dtype: Option<Dtype>,
    /// Whether a frame may carry [`ALLOW_NON_FINITE`]. The sender's flag alone opens nothing.
    pub non_finite: bool,
    /// Longest frame to accept, in bytes.
    pub cap: usize,
}

impl Default for Expect {
    fn default() -> Self {
        Self {
            kind: None,
            round: None,
            client: None,
            seed: None,
            d: None,
            k: None,
            dtype: None,
            non_finite: false,
            cap: CAP,
        }
    }
}

/// A validated frame that borrows its bytes.
///
/// ```
/// use thalweg::wire::*;
/// let mut bytes = [0; 60];
/// encode_into(&Header::new(Kind::Dense, Dtype::F32, 2, 2), &Body::Values(&[1.0_f32, 2.0]), &mut bytes)?;
/// let frame = decode(&bytes, &Expect::default())?;
/// assert_eq!(frame.header.d, 2);
/// assert_eq!(frame.minor, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The sender's fields.
    pub header: Header,
    /// Minor version of the sender.
    pub minor: u8,
    payload: &'a [u8],
}

/// Reads a frame that fills `bytes` exactly.
///
/// # Errors
/// A [`DecodeError`]; the first rule broken in the order version, header check, header fields, length,
/// expectations, frame check, content.
///
/// ```
/// use thalweg::wire::{DecodeError, Expect, decode};
/// let error = decode(b"\xD7TWF", &Expect::default()).unwrap_err();
/// assert_eq!(error, DecodeError::Truncated { needed: 52, found: 4 });
/// ```
pub fn decode<'a>(bytes: &'a [u8], expect: &Expect) -> Result<Frame<'a>, DecodeError> {
    let truncated = |needed| DecodeError::Truncated {
        needed,
        found: bytes.len(),
    };
    let (head, rest) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or(truncated(OVERHEAD))?;
    let fixed = Fixed::read(head)?;
    let len = fixed.frame_len(expect.cap)?;
    if bytes.len() < len {
        return Err(truncated(len));
    }
    if bytes.len() > len {
        return Err(DecodeError::TrailingBytes {
            expected: len,
            found: bytes.len(),
        });
    }
    let header = fixed.header;
    expect.check(&header)?;
    let (body, crc) = rest.split_last_chunk::<4>().ok_or(truncated(len))?;
    compare("frame", frame_crc(head, body), *crc)?;
    let (payload, tail) = body.split_at_checked(fixed.payload).ok_or(truncated(len))?;
    check_tail(tail)?;
    check_content(&header, payload)?;
    Ok(Frame {
        header,
        minor: fixed.minor,
        payload,
    })
}

/// The bytes of a frame that have been checked, so that the frame can be lent again without a second reading.
///
/// ```
/// use thalweg::wire::*;
/// let mut bytes = [0; 60];
/// encode_into(&Header::new(Kind::Dense, Dtype::F32, 2, 2), &Body::Values(&[1.0_f32, 2.0]), &mut bytes)?;
/// let checked = Checked::new(bytes, &Expect::default()).map_err(|(_, error)| error)?;
/// assert_eq!((checked.frame().header.d, checked.bytes()), (2, &bytes));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked<B> {
    bytes: B,
    header: Header,
    minor: u8,
    payload: usize,
}

impl<B: AsRef<[u8]>> Checked<B> {
    /// Reads a frame that fills `bytes` exactly.
    ///
    /// # Errors
    /// As [`decode`], with the bytes.
    pub fn new(bytes: B, expect: &Expect) -> Result<Self, (B, DecodeError)> {
        let (header, minor, payload) = match decode(bytes.as_ref(), expect) {
            Ok(frame) => (frame.header, frame.minor, frame.payload.len()),
            Err(error) => return Err((bytes, error)),
        };
        Ok(Self {
            bytes,
            header,
            minor,
            payload,
        })
    }

    /// The frame.
    pub fn frame(&self) -> Frame<'_> {
        let rest = must(self.bytes.as_ref().get(HEADER..));
        Frame {
            header: self.header,
            minor: self.minor,
            payload: must(rest.get(..self.payload)),
        }
    }

    /// The bytes.
    pub const fn bytes(&self) -> &B {
        &self.bytes
    }
}

/// Bytes of the whole frame that starts with this header, for a transport that reads the rest next.
///
/// # Errors
/// A [`DecodeError`] when the header is damaged, of another version, inconsistent, or announces
/// more than `cap` bytes: nothing needs to be allocated or awaited for it.
///
/// ```
/// use thalweg::wire::*;
/// let mut bytes = [0; 60];
/// encode_into(&Header::new(Kind::Dense, Dtype::F32, 2, 2), &Body::Values(&[1.0_f32, 2.0]), &mut bytes)?;
/// let header: &[u8; HEADER] = bytes.first_chunk().unwrap();
/// assert_eq!(frame_len(header, CAP), Ok(60));
/// assert_eq!(frame_len(header, 59), Err(DecodeError::TooLong { cap: 59, found: 60 }));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn frame_len(header: &[u8; HEADER], cap: usize) -> Result<usize, DecodeError> {
    Fixed::read(header)?.frame_len(cap)
}

impl<'a> Frame<'a> {
    /// The content, with values of the type `T`.
    ///
    /// # Errors
    /// [`DecodeError::WrongDtype`] when the frame carries values of another type.
    ///
    /// ```
    /// use thalweg::wire::*;
    /// let mut bytes = [0; 60];
    /// let body: Body<f32> = Body::Hello { samples: 50 };
    /// encode_into(&Header::new(Kind::Hello, Dtype::F32, 2, 0), &body, &mut bytes)?;
    /// let frame = decode(&bytes, &Expect::default())?;
    /// assert!(matches!(frame.payload::<f32>(), Ok(Payload::Hello { samples: 50 })));
    /// assert!(frame.payload::<f64>().is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn payload<T: Real>(&self) -> Result<Payload<'a, T>, DecodeError> {
        let (expected, found) = (Dtype::of::<T>(), self.header.dtype);
        if found != Dtype::None && found != expected {
            return Err(DecodeError::WrongDtype {
                expected: expected.code(),
                found: found.code(),
            });
        }
        Ok(view(&self.header, self.payload))
    }

    /// Writes the frame again, from its numbers.
    ///
    /// A frame of this minor version comes out byte for byte; one of a later minor version loses its tail.
    ///
    /// # Errors
    /// [`EncodeError::Space`] when `out` is too short.
    ///
    /// ```
    /// use thalweg::wire::*;
    /// let (mut bytes, mut again) = ([0; 60], [0; 60]);
    /// encode_into(&Header::new(Kind::Dense, Dtype::F32, 2, 2), &Body::Values(&[1.0_f32, 2.0]), &mut bytes)?;
    /// decode(&bytes, &Expect::default())?.encode_into(&mut again)?;
    /// assert_eq!(bytes, again);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn encode_into(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        match self.header.dtype {
            Dtype::F64 => {
                encode::payload_into(&self.header, &view::<f64>(&self.header, self.payload), out)
            }
            _ => encode::payload_into(&self.header, &view::<f32>(&self.header, self.payload), out),
        }
    }
}

impl Frame<'_> {
    /// Writes the frame of a row again, as that of another client and sample.
    pub(crate) fn forward_into(
        &self,
        client: u32,
        sample: u32,
        out: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let mut header = Header {
            client,
            ..self.header
        };
        if header.kind == Kind::Jacobian {
            header.k = sample;
        }
        match self.header.dtype {
            Dtype::F64 => forward::<f64>(&header, self.payload, sample, out),
            _ => forward::<f32>(&header, self.payload, sample, out),
        }
    }
}

fn forward<T: Real>(
    header: &Header,
    bytes: &[u8],
    sample: u32,
    out: &mut [u8],
) -> Result<usize, EncodeError> {
    let mut payload = view::<T>(header, bytes);
    if let Payload::Quantised(row) = &mut payload {
        row.sample = sample;
    }
    encode::payload_into(header, &payload, out)
}

impl Expect {
    /// Compares the fields of a frame with what is awaited.
    pub(crate) fn check(&self, header: &Header) -> Result<(), DecodeError> {
        let found = header;
        if let Some(expected) = self.kind.filter(|&kind| kind != found.kind) {
            return Err(DecodeError::WrongKind {
                expected,
                found: found.kind,
            });
        }
        if let Some(expected) = self.seed.filter(|&seed| seed != found.seed) {
            return Err(DecodeError::WrongSeed {
                expected,
                found: found.seed,
            });
        }
        if let Some(expected) = self.round.filter(|&round| round != found.round) {
            return Err(DecodeError::WrongRound {
                expected,
                found: found.round,
            });
        }
        if let Some(expected) = self.client.filter(|&client| client != found.client) {
            return Err(DecodeError::WrongClient {
                expected,
                found: found.client,
            });
        }
        if let Some(expected) = self.d.filter(|&d| d != found.d) {
            return Err(DecodeError::WrongDimension {
                expected,
                found: found.d,
            });
        }
        if let Some(expected) = self.k.filter(|&k| k != found.k) {
            return Err(DecodeError::WrongCount {
                expected,
                found: found.k,
            });
        }
        if let Some(expected) = self.dtype.filter(|&dtype| dtype != found.dtype) {
            let (expected, found) = (expected.code(), found.dtype.code());
            return Err(DecodeError::WrongDtype { expected, found });
        }
        if found.flags & ALLOW_NON_FINITE != 0 && !self.non_finite {
            return Err(DecodeError::NonFiniteFlag);
        }
        Ok(())
    }
}

/// The header's fields, consistent with each other.
pub(super) struct Fixed {
    pub(super) header: Header,
    pub(super) payload: usize,
    minor: u8,
    tail: usize,
}

impl Fixed {
    pub(super) fn read(bytes: &[u8; HEADER]) -> Result<Self, DecodeError> {
        let mut at = Cursor(bytes);
        let found = at.take::<4>();
        if found != MAGIC {
            return Err(DecodeError::BadMagic { found });
        }
        let [major, minor, kind, dtype] = at.take::<4>();
        if major != MAJOR {
            return Err(DecodeError::Version { found: major });
        }
        if let Some((_, crc)) = bytes.split_last_chunk::<4>() {
            compare("header", frame_crc(bytes, &[]), *crc)?;
        }
        let flags = u16::from_le_bytes(at.take());
        let tail = usize::from(u16::from_le_bytes(at.take()));
        let client = u32::from_le_bytes(at.take());
        let round = u64::from_le_bytes(at.take());
        let seed = u64::from_le_bytes(at.take());
        let d = u32::from_le_bytes(at.take());
        let k = u32::from_le_bytes(at.take());
        let announced = u64::from(u32::from_le_bytes(at.take()));

        let kind = Kind::from_code(kind).ok_or(DecodeError::Kind { found: kind })?;
        let dtype = Dtype::from_code(dtype).ok_or(DecodeError::Dtype { found: dtype })?;
        let header = Header {
            kind,
            dtype,
            flags,
            client,
            d,
            k,
            round,
            seed,
        };
        let expected = check_header(&header)?;
        if announced != expected {
            return Err(DecodeError::Length {
                expected,
                found: announced,
            });
        }
        if tail > 0 && minor == MINOR {
            return Err(DecodeError::NonCanonical {
                what: "a tail in this minor version",
            });
        }
        let payload = usize::try_from(announced).map_err(|_| DecodeError::TooLong {
            cap: usize::MAX,
            found: announced,
        })?;
        Ok(Self {
            header,
            payload,
            minor,
            tail,
        })
    }

    fn frame_len(&self, cap: usize) -> Result<usize, DecodeError> {
        let found = (self.payload as u64)
            .saturating_add(self.tail as u64)
            .saturating_add(OVERHEAD as u64);
        match usize::try_from(found) {
            Ok(len) if len <= cap => Ok(len),
            _ => Err(DecodeError::TooLong { cap, found }),
        }
    }
}

/// Checks the fields that a sender chooses; returns the length of the payload.
pub(super) fn check_header(header: &Header) -> Result<u64, DecodeError> {
    let Header {
        kind, dtype, d, k, ..
    } = *header;
    if kind.is_scalar_free() != (dtype == Dtype::None) {
        return Err(DecodeError::Dtype {
            found: dtype.code(),
        });
    }
    if header.flags & !ALLOW_NON_FINITE != 0 {
        return Err(DecodeError::NonCanonical {
            what: "an unknown flag",
        });
    }
    if !kind.takes(d, k) {
        return Err(DecodeError::Count { d, k });
    }
    let len = payload_len(kind, dtype, d, k);
    if len > u64::from(u32::MAX) {
        return Err(DecodeError::TooLong {
            cap: u32::MAX as usize,
            found: len,
        });
    }
    Ok(len)
}

/// Reads fixed-size pieces; the pieces of a header add up to its size.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        match self.0.split_first_chunk::<N>() {
            Some((piece, rest)) => {
                self.0 = rest;
                *piece
            }
            None => [0; N],
        }
    }
}

/// Check of a frame: header fields, payload, tail.
///
/// The header's own check is left out. A CRC that has read a message and its CRC always stands at the
/// same value, so it would forget which header it saw, and accept the payload behind another one.
pub(super) fn frame_crc(head: &[u8; HEADER], body: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    if let Some((fields, _)) = head.split_last_chunk::<4>() {
        crc.update(fields);
    }
    crc.update(body);
    crc.value()
}

fn compare(part: &'static str, computed: u32, crc: [u8; 4]) -> Result<(), DecodeError> {
    let found = u32::from_le_bytes(crc);
    if computed == found {
        Ok(())
    } else {
        Err(DecodeError::Crc {
            part,
            computed,
            found,
        })
    }
}

/// Entries (tag, length, value) that fill the tail.
fn check_tail(mut tail: &[u8]) -> Result<(), DecodeError> {
    let torn = DecodeError::NonCanonical {
        what: "a torn tail",
    };
    while !tail.is_empty() {
        let ([_, _, low, high], rest) = tail.split_first_chunk::<4>().ok_or(torn)?;
        let len = usize::from(u16::from_le_bytes([*low, *high]));
        tail = rest.get(len..).ok_or(torn)?;
    }
    Ok(())
}

/// The views of a payload whose length has been checked against the header.
pub(super) fn view<'a, T: Real>(header: &Header, payload: &'a [u8]) -> Payload<'a, T> {
    let (d, k) = (header.d as usize, header.k as usize);
    match header.kind.shape() {
        Shape::Samples => {
            let mut at = Cursor(payload);
            Payload::Hello {
                samples: u64::from_le_bytes(at.take()),
            }
        }
        Shape::Values | Shape::Numbered | Shape::Rows => Payload::Values(Values::new(payload)),
        Shape::Sparse => {
            let values = k.saturating_mul(T::BYTES).min(payload.len());
            let (indices, values) = split(payload, payload.len().saturating_sub(values));
            Payload::Sparse {
                indices: Packed::new(indices, index_bits(header.d), k),
                values: Values::new(values),
            }
        }
        Shape::Natural => {
            let width = Dtype::of::<T>().natural_bits();
            Payload::Natural(Exponents::new(Packed::new(payload, width, d)))
        }
        Shape::Sign => {
            let (scale, signs) = split(payload, T::BYTES);
            Payload::Sign {
                scale: load(scale),
                signs: Packed::new(signs, 1, d),
            }
        }
        Shape::Dithered => {
            let (norm, levels) = split(payload, T::BYTES);
            let codes = Packed::new(levels, level_bits(header.k), d);
            Payload::Dithered {
                norm: load(norm),
                levels: Levels::new(codes),
            }
        }
        Shape::Coin => Payload::Round {
            full: payload.first() == Some(&1),
        },
        Shape::Empty => Payload::Empty,
        Shape::Quantised => {
            let (kept, width) = (Kept::from_code(header.k), index_bits(header.d));
            let mut at = Cursor(payload);
            let sample = u32::from_le_bytes(at.take());
            let (least, rest) = split(at.0, T::BYTES);
            let (largest, rest) = split(rest, T::BYTES);
            // Within the payload, whose length is that of the header.
            let packed = (u64::from(kept.count) * u64::from(width)).div_ceil(8) as usize;
            let (indices, codes) = split(rest, packed);
            let count = kept.count as usize;
            Payload::Quantised(QuantisedRow {
                sample,
                range: [load(least), load(largest)],
                bits: kept.bits,
                indices: Packed::new(indices, width, count),
                codes: Packed::new(codes, 1 + kept.bits, count),
            })
        }
        Shape::Classes => Payload::Classes(Packed::new(payload, index_bits(header.d), k)),
        Shape::Bytes => Payload::Bytes(payload),
    }
}

/// `split_at`, with an empty second half where the cut lies beyond the end.
fn split(bytes: &[u8], at: usize) -> (&[u8], &[u8]) {
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

/// Checks everything inside a payload of the right length.
pub(super) fn check_content(header: &Header, payload: &[u8]) -> Result<(), DecodeError> {
    match header.dtype {
        Dtype::F64 => check_view(header, payload, &view::<f64>(header, payload)),
        _ => check_view(header, payload, &view::<f32>(header, payload)),
    }
}

fn check_view<T: Real>(
    header: &Header,
    bytes: &[u8],
    payload: &Payload<'_, T>,
) -> Result<(), DecodeError> {
    let any = header.flags & ALLOW_NON_FINITE != 0;
    let finite = |first: Option<usize>| match first {
        Some(index) if !any => Err(DecodeError::NonFinite { index }),
        _ => Ok(()),
    };
    match *payload {
        Payload::Values(values) => finite(values.iter().position(|x| !x.is_finite())),
        Payload::Sparse { indices, values } => {
            check_indices(indices.iter(), header.d)?;
            finite(values.iter().position(|x| !x.is_finite()))
        }
        Payload::Natural(exponents) => {
            clear(Bits::new(
                bytes,
                Dtype::of::<T>().natural_bits(),
                exponents.len(),
            ))?;
            finite(exponents.iter().position(|x| !x.is_finite()))
        }
        Payload::Sign { scale, signs } => {
            clear(signs.iter())?;
            finite((!scale.is_finite()).then_some(0))
        }
        Payload::Dithered { norm, levels } => {
            check_levels(levels, header.k)?;
            finite((!norm.is_finite()).then_some(0))
        }
        Payload::Round { .. } => match bytes.first() {
            Some(0 | 1) => Ok(()),
            _ => Err(DecodeError::NonCanonical {
                what: "a coin that is neither 0 nor 1",
            }),
        },
        Payload::Quantised(row) => {
            let [least, largest] = row.range;
            // Flag or not: levels between infinite ends mean nothing.
            if let Some(index) = row.range.iter().position(|x| !x.is_finite()) {
                return Err(DecodeError::NonFinite { index });
            }
            check_indices(row.indices.iter(), header.d)?;
            let mut codes = row.codes.iter();
            let is_constant = codes
                .by_ref()
                .fold(true, |zero, code| zero & (code & !(1 << row.bits) == 0));
            clear(codes)?;
            let rises = T::ZERO <= least
                && least <= largest
                && least.to_bits_u64() != (-T::ZERO).to_bits_u64();
            let has_one_form = match (row.is_empty(), least == largest) {
                (true, _) => largest.to_bits_u64() == 0,
                (false, true) => is_constant,
                (false, false) => true,
            };
            if rises && has_one_form {
                return Ok(());
            }
            Err(DecodeError::NonCanonical {
                what: "a range of magnitudes that is not the least one",
            })
        }
        Payload::Classes(classes) => {
            let mut fields = classes.iter();
            let found = fields
                .by_ref()
                .enumerate()
                .find(|&(_, class)| class >= header.d);
            if let Some((position, index)) = found {
                return Err(DecodeError::IndexRange { position, index });
            }
            clear(fields)
        }
        Payload::Hello { .. } | Payload::Empty | Payload::Bytes(_) => Ok(()),
    }
}

fn check_indices(mut indices: Bits<'_>, d: u32) -> Result<(), DecodeError> {
    let mut least = 0_u64;
    for (position, index) in indices.by_ref().enumerate() {
        if index >= d {
            return Err(DecodeError::IndexRange { position, index });
        }
        if u64::from(index) < least {
            return Err(DecodeError::IndexOrder { position });
        }
        least = u64::from(index) + 1;
    }
    clear(indices)
}

fn check_levels(levels: Levels<'_>, k: u32) -> Result<(), DecodeError> {
    let mut codes = levels.codes().iter();
    let sign = 1_u32 << (level_bits(k) - 1).min(31);
    for (position, code) in codes.by_ref().enumerate() {
        let level = code & (sign - 1);
        if level > k {
            return Err(DecodeError::LevelRange { position, level });
        }
        if code == sign {
            return Err(DecodeError::NonCanonical {
                what: "a level of minus zero",
            });
        }
    }
    clear(codes)
}

/// Checks the padding behind the last field.
fn clear(mut bits: Bits<'_>) -> Result<(), DecodeError> {
    bits.by_ref().for_each(drop);
    if bits.is_clear() {
        Ok(())
    } else {
        Err(DecodeError::NonCanonical {
            what: "padding that is not zero",
        })
    }
}

/// The code of natural compression, `None` where the mantissa is not zero.
pub(super) fn natural_code<T: Real>(value: T) -> Option<u32> {
    let bits = value.to_bits_u64();
    let mantissa = mantissa_bits::<T>();
    (bits & ((1 << mantissa) - 1) == 0).then_some((bits >> mantissa) as u32)
}
