//! A shard: the rows of one client, and what it must know of the run, as bytes that are read where they lie.
//!
//! ```text
//! offset  bytes  field (little-endian)
//!      0      4  magic D7 'T' 'W' 'D'
//!      4      1  major version, 2
//!      5      1  minor version, 0
//!      6      1  method: 1 full gradients, 2 MARINA + PermK, 3 MARINA + RandK, 4 EF21 + TopK
//!      7      1  zero
//!      8      8  seed of the run
//!     16      4  client
//!     20      4  clients
//!     24      4  rows, m
//!     28      4  rows of all clients together
//!     32      2  features of a row, f
//!     34      2  hidden units
//!     36      2  classes
//!     38      2  zero
//!     40      4  k, coordinates in a message of RandK and TopK
//!     44      4  step size, f32
//!     48      8  probability of a full round, f64; 0 is allowed for EF21 and 1 is not
//!     56      4  fingerprint of the server's settings, of which Hello states 24 bits; 0 for none
//!     60      4  zero
//!     64      4  CRC-32C of the rows
//!     68      4  CRC-32C of bytes 0..68
//!     72   4 m f  features, f32, row after row
//!   + 72   4 m   classes, u32
//! ```
//! The numbers begin at a multiple of 8, so a shard at an aligned address is two slices of them without a copy.

use core::fmt;

use thalweg::wire::Crc32c;

/// Bytes before the rows.
pub const HEADER: usize = 72;

const MAGIC: [u8; 4] = *b"\xD7TWD";
const MAJOR: u8 = 2;

/// Protocol and compressor of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Method {
    /// Every round sends the full gradient.
    Whole = 1,
    /// MARINA with PermK.
    MarinaPermK = 2,
    /// MARINA with RandK.
    MarinaRandK = 3,
    /// EF21 with TopK.
    Ef21TopK = 4,
}

impl Method {
    const ALL: [Self; 4] = [
        Self::Whole,
        Self::MarinaPermK,
        Self::MarinaRandK,
        Self::Ef21TopK,
    ];

    fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&method| method as u8 == code)
    }
}

/// What a client must know in addition to its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header {
    /// Protocol and compressor.
    pub method: Method,
    /// Seed of the run.
    pub seed: u64,
    /// The client's number.
    pub client: u32,
    /// Clients of the run.
    pub clients: u32,
    /// Rows of this client.
    pub rows: u32,
    /// Rows of all clients together.
    pub total: u32,
    /// Numbers of a row.
    pub features: u16,
    /// Hidden units of the network.
    pub hidden: u16,
    /// Classes.
    pub classes: u16,
    /// Coordinates in a message of RandK and TopK; 0 for the others.
    pub k: u32,
    /// Step size of the server's step, which the client takes as well.
    pub step_size: f32,
    /// Probability of a full round of MARINA; 1 for the others.
    pub probability: f64,
    /// Fingerprint of the server's settings, 0 for none.
    pub settings: u32,
}

/// A shard in flash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shard<'a> {
    /// What the client must know.
    pub header: Header,
    /// Row after row.
    pub features: &'a [f32],
    /// One class per row.
    pub classes: &'a [u32],
}

/// Why bytes are not a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardError {
    /// Fewer bytes than the header, or than the header announces.
    Truncated {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// Not a shard.
    Magic,
    /// A version that this build does not read.
    Version {
        /// The major version.
        found: u8,
    },
    /// The check of the header, or of the rows, is wrong.
    Crc {
        /// `"header"` or `"rows"`.
        part: &'static str,
    },
    /// A field is out of its range.
    Field {
        /// Its name.
        name: &'static str,
    },
    /// The bytes do not begin at a multiple of 4, or the machine is big-endian.
    Alignment,
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { needed, found } => {
                write!(f, "the shard has {needed} bytes, {found} are there")
            }
            Self::Magic => f.write_str("no shard begins here"),
            Self::Version { found } => write!(f, "shard of version {found}, expected {MAJOR}"),
            Self::Crc { part } => write!(f, "the check of the shard's {part} is wrong"),
            Self::Field { name } => write!(f, "`{name}` of the shard is out of range"),
            Self::Alignment => f.write_str("the shard is not aligned for this machine"),
        }
    }
}

impl core::error::Error for ShardError {}

/// Bytes of a shard; `None` where they do not fit the address space.
///
/// ```
/// // 72 for the header, 10 rows of 64 numbers and a class.
/// assert_eq!(thalweg_device::shard::encoded_len(10, 64), Some(72 + 10 * 65 * 4));
/// ```
#[must_use]
pub const fn encoded_len(rows: u32, features: u16) -> Option<usize> {
    // At most 2^32 * 2^16 * 4 + 72.
    let len = HEADER as u64 + 4 * rows as u64 * (features as u64 + 1);
    if len > usize::MAX as u64 {
        None
    } else {
        Some(len as usize)
    }
}

/// Reads the shard that begins at the first byte; what follows it is left alone.
///
/// # Errors
/// A [`ShardError`] for whatever else the bytes may be.
///
/// ```
/// use thalweg_device::shard::{ShardError, read};
/// assert_eq!(read(&[0xFF; 72]), Err(ShardError::Magic));
/// ```
pub fn read(bytes: &[u8]) -> Result<Shard<'_>, ShardError> {
    let truncated = |needed| ShardError::Truncated {
        needed,
        found: bytes.len(),
    };
    let (head, rest) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or(truncated(HEADER))?;
    let mut fields = Fields(head);
    if fields.take() != MAGIC {
        return Err(ShardError::Magic);
    }
    let [major, _, method, zero] = fields.take();
    if major != MAJOR {
        return Err(ShardError::Version { found: major });
    }
    let (body, check) = head.split_last_chunk::<4>().ok_or(truncated(HEADER))?;
    if crc(body) != u32::from_le_bytes(*check) {
        return Err(ShardError::Crc { part: "header" });
    }
    let header = Header {
        method: Method::from_code(method).ok_or(ShardError::Field { name: "method" })?,
        seed: u64::from_le_bytes(fields.take()),
        client: u32::from_le_bytes(fields.take()),
        clients: u32::from_le_bytes(fields.take()),
        rows: u32::from_le_bytes(fields.take()),
        total: u32::from_le_bytes(fields.take()),
        features: u16::from_le_bytes(fields.take()),
        hidden: u16::from_le_bytes(fields.take()),
        classes: u16::from_le_bytes(fields.take()),
        k: {
            let reserved = u16::from_le_bytes(fields.take());
            if reserved != 0 || zero != 0 {
                return Err(ShardError::Field { name: "reserved" });
            }
            u32::from_le_bytes(fields.take())
        },
        step_size: f32::from_le_bytes(fields.take()),
        probability: f64::from_le_bytes(fields.take()),
        settings: u32::from_le_bytes(fields.take()),
    };
    if u32::from_le_bytes(fields.take()) != 0 {
        return Err(ShardError::Field { name: "reserved" });
    }
    header.validate()?;
    let len = encoded_len(header.rows, header.features).ok_or(truncated(usize::MAX))?;
    let rows = rest
        .get(..len.saturating_sub(HEADER))
        .ok_or(truncated(len))?;
    if crc(rows) != u32::from_le_bytes(fields.take()) {
        return Err(ShardError::Crc { part: "rows" });
    }
    if cfg!(target_endian = "big") {
        return Err(ShardError::Alignment);
    }
    let classes = 4 * header.rows as usize;
    let (features, classes) = rows
        .split_at_checked(rows.len().saturating_sub(classes))
        .ok_or(truncated(len))?;
    let shard = Shard {
        header,
        features: bytemuck::try_cast_slice(features).map_err(|_| ShardError::Alignment)?,
        classes: bytemuck::try_cast_slice(classes).map_err(|_| ShardError::Alignment)?,
    };
    shard.validate()?;
    Ok(shard)
}

/// Writes a shard; returns its length.
///
/// # Errors
/// [`ShardError::Field`] for a field out of range or rows that the header does not announce; [`ShardError::Truncated`] when `out` is
/// short.
pub fn write(shard: &Shard<'_>, out: &mut [u8]) -> Result<usize, ShardError> {
    let header = &shard.header;
    header.validate()?;
    shard.validate()?;
    let needed = encoded_len(header.rows, header.features).unwrap_or(usize::MAX);
    let found = out.len();
    let truncated = ShardError::Truncated { needed, found };
    let out = out.get_mut(..needed).ok_or(truncated)?;
    let (head, rows) = out.split_first_chunk_mut::<HEADER>().ok_or(truncated)?;
    let numbers = shard.features.iter().map(|x| x.to_le_bytes());
    let classes = shard.classes.iter().map(|c| c.to_le_bytes());
    for (to, from) in rows
        .as_chunks_mut()
        .0
        .iter_mut()
        .zip(numbers.chain(classes))
    {
        *to = from;
    }
    let check = crc(rows).to_le_bytes();
    let pieces: [&[u8]; 17] = [
        &MAGIC,
        &[MAJOR, 0, header.method as u8, 0],
        &header.seed.to_le_bytes(),
        &header.client.to_le_bytes(),
        &header.clients.to_le_bytes(),
        &header.rows.to_le_bytes(),
        &header.total.to_le_bytes(),
        &header.features.to_le_bytes(),
        &header.hidden.to_le_bytes(),
        &header.classes.to_le_bytes(),
        &[0, 0],
        &header.k.to_le_bytes(),
        &header.step_size.to_le_bytes(),
        &header.probability.to_le_bytes(),
        &header.settings.to_le_bytes(),
        &[0; 4],
        &check,
    ];
    let bytes = pieces.into_iter().flatten();
    for (to, from) in head.iter_mut().zip(bytes) {
        *to = *from;
    }
    if let Some((body, check)) = head.split_last_chunk_mut::<4>() {
        *check = crc(body).to_le_bytes();
    }
    Ok(needed)
}

impl Header {
    /// Checks every field.
    fn validate(&self) -> Result<(), ShardError> {
        let step = self.step_size;
        let probability = match self.method {
            Method::Ef21TopK => (0.0..1.0).contains(&self.probability),
            _ => self.probability > 0.0 && self.probability <= 1.0,
        };
        let fields = [
            ("clients", self.clients > 0),
            ("client", self.client < self.clients),
            ("rows", self.rows > 0),
            ("total", self.total >= self.rows),
            ("features", self.features > 0),
            ("hidden", self.hidden > 0),
            ("classes", self.classes > 1),
            ("step_size", step.is_finite() && step > 0.0),
            ("probability", probability),
        ];
        match fields.into_iter().find(|&(_, holds)| !holds) {
            Some((name, _)) => Err(ShardError::Field { name }),
            None => Ok(()),
        }
    }
}

impl Shard<'_> {
    /// Checks the rows against the header.
    fn validate(&self) -> Result<(), ShardError> {
        let (rows, features) = (self.header.rows as usize, self.header.features as usize);
        let whole = rows.checked_mul(features) == Some(self.features.len());
        let classes = u32::from(self.header.classes);
        let fields = [
            ("rows", self.classes.len() == rows),
            (
                "feature",
                whole && self.features.iter().all(|x| x.is_finite()),
            ),
            ("class", self.classes.iter().all(|&c| c < classes)),
        ];
        match fields.into_iter().find(|&(_, holds)| !holds) {
            Some((name, _)) => Err(ShardError::Field { name }),
            None => Ok(()),
        }
    }
}

/// The bytes of the header, from front to back.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        // The header is as long as its fields together.
        let Some((field, rest)) = self.0.split_first_chunk() else {
            return [0; N];
        };
        self.0 = rest;
        *field
    }
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc32c::new();
    crc.update(bytes);
    crc.value()
}

#[cfg(test)]
mod tests {
    use std::vec;
    use std::vec::Vec;

    use super::*;

    const HEADER_OF_TEST: Header = Header {
        method: Method::Ef21TopK,
        seed: 0x0102_0304_0506_0708,
        client: 1,
        clients: 3,
        rows: 2,
        total: 9,
        features: 3,
        hidden: 4,
        classes: 5,
        k: 7,
        step_size: 0.5,
        probability: 0.0,
        settings: 0x0A0B_0C0D,
    };
    const SHARD: Shard<'static> = Shard {
        header: HEADER_OF_TEST,
        features: &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        classes: &[4, 0],
    };

    /// Words, so that the bytes are aligned.
    fn written() -> Vec<u32> {
        let mut words = vec![u32::MAX; 32];
        let len = write(&SHARD, bytemuck::cast_slice_mut(&mut words)).unwrap();
        assert_eq!(len, 72 + 32);
        words
    }

    #[test]
    fn what_was_written_is_read_where_it_lies() {
        let words = written();
        let bytes = bytemuck::cast_slice(&words);
        let shard = read(bytes).unwrap();
        assert_eq!(shard, SHARD);
        assert_eq!(shard.features.as_ptr().cast(), bytes[72..].as_ptr());
        // Offsets of the table in the module's docs.
        assert_eq!(bytes[..8], [0xD7, b'T', b'W', b'D', 2, 0, 4, 0]);
        assert_eq!(bytes[8..20], [8, 7, 6, 5, 4, 3, 2, 1, 1, 0, 0, 0]);
        assert_eq!(bytes[40..48], [7, 0, 0, 0, 0, 0, 0, 0x3F]);
        assert_eq!(bytes[56..60], [0x0D, 0x0C, 0x0B, 0x0A]);
        assert_eq!(bytes[72..76], 1.0_f32.to_le_bytes());
    }

    #[test]
    fn every_damaged_bit_and_every_missing_byte_is_noticed() {
        let mut words = written();
        for bit in 0..8 * (72 + 32) {
            // The minor version of a later writer is not looked at by itself; the check covers it.
            words[bit / 32] ^= 1 << (bit % 32);
            assert!(read(bytemuck::cast_slice(&words)).is_err(), "bit {bit}");
            words[bit / 32] ^= 1 << (bit % 32);
        }
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        for len in 0..72 + 32 {
            let needed = if len < 72 { 72 } else { 104 };
            let truncated = ShardError::Truncated { needed, found: len };
            assert_eq!(read(&bytes[..len]), Err(truncated));
        }
    }

    #[test]
    fn fields_out_of_range_are_named_on_both_ways() {
        let bad = |change: &dyn Fn(&mut Header)| {
            let mut header = HEADER_OF_TEST;
            change(&mut header);
            let mut out = [0; 200];
            match write(&Shard { header, ..SHARD }, &mut out) {
                Err(ShardError::Field { name }) => name,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(bad(&|h| h.client = 3), "client");
        assert_eq!(bad(&|h| h.clients = 0), "clients");
        assert_eq!(bad(&|h| h.rows = 0), "rows");
        assert_eq!(bad(&|h| h.rows = 3), "rows");
        assert_eq!(bad(&|h| h.total = 1), "total");
        assert_eq!(bad(&|h| h.classes = 4), "class");
        assert_eq!(bad(&|h| h.step_size = f32::NAN), "step_size");
        assert_eq!(bad(&|h| h.probability = 1.0), "probability");
        let never = |h: &mut Header| (h.method, h.probability) = (Method::MarinaRandK, 0.0);
        assert_eq!(bad(&never), "probability");
        // The same on the way in: a right check over a wrong field.
        let mut words = written();
        words[9] = 0; // Classes.
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        let check = crc(&bytes[..68]).to_le_bytes();
        bytes[68..72].copy_from_slice(&check);
        assert_eq!(read(bytes), Err(ShardError::Field { name: "classes" }));
    }

    #[test]
    fn bytes_at_an_odd_address_are_refused() {
        let mut words = vec![0_u32; 28];
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
        write(&SHARD, &mut bytes[1..]).unwrap();
        assert_eq!(read(&bytes[1..]), Err(ShardError::Alignment));
    }
}
