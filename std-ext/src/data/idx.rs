//! IDX: big-endian dimensions, then unsigned bytes; the format of MNIST.
//!
//! ```text
//! 0x00 0x00 0x08 rank | rank dimensions, u32 big-endian | product of dimensions bytes
//! ```
//!
//! Types other than the unsigned byte (`0x08`) are refused by name, as are bytes past the end.

use std::io::{self, Read, Write};
use std::path::Path;

use super::dataset::Dataset;
use super::error::{DataError, Place, Position, excerpt};
use super::input::Input;
use super::limits::Limits;
use super::targets::{TargetBuilder, TargetKind};

mod folder;

pub use folder::{read_folder, read_set};

/// Type code of the unsigned byte.
const UBYTE: u8 = 0x08;
/// Images are rank 3, colour images rank 4.
const LARGEST_RANK: u8 = 4;

/// An array of bytes with its dimensions.
///
/// ```
/// use thalweg_std::data::{Limits, idx};
/// let file = [0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9];
/// let array = idx::read(&file[..], "tiny", &Limits::default())?;
/// assert_eq!((array.dimensions(), array.bytes()), (&[1, 3][..], &[7, 8, 9][..]));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Array {
    name: String,
    dimensions: Vec<u32>,
    bytes: Vec<u8>,
}

impl Array {
    /// Size along each axis; the first counts the rows.
    ///
    /// ```
    /// use thalweg_std::data::{Limits, idx};
    /// let file = [0, 0, 8, 1, 0, 0, 0, 2, 5, 6];
    /// let array = idx::read(&file[..], "tiny", &Limits::default())?;
    /// assert_eq!(array.dimensions(), [2]);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn dimensions(&self) -> &[u32] {
        &self.dimensions
    }

    /// The elements, last axis fastest; as many as the product of the dimensions.
    ///
    /// ```
    /// use thalweg_std::data::{Limits, idx};
    /// let file = [0, 0, 8, 1, 0, 0, 0, 2, 5, 6];
    /// let array = idx::read(&file[..], "tiny", &Limits::default())?;
    /// assert_eq!(array.bytes(), [5, 6]);
    /// # Ok::<(), thalweg_std::data::DataError>(())
    /// ```
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn rows(&self) -> usize {
        self.dimensions.first().map_or(0, |&rows| rows as usize)
    }
}

/// Reads a file, plain or gzip.
///
/// # Errors
/// As [`read`], and [`DataError::Open`].
///
/// ```
/// use thalweg_std::data::{Limits, idx};
/// assert!(idx::read_path("no/such/file", &Limits::default()).is_err());
/// ```
pub fn read_path(path: impl AsRef<Path>, limits: &Limits) -> Result<Array, DataError> {
    parse(Input::open(path.as_ref(), limits)?, limits)
}

/// Reads from anything, plain or gzip; `name` stands for the path in errors.
///
/// # Errors
/// [`DataError`] with the byte; a header that claims more than arrives is found out after what is there.
///
/// ```
/// use thalweg_std::data::{Limits, idx};
/// let cut = [0, 0, 8, 1, 0, 0, 0, 3, 5, 6];
/// let error = idx::read(&cut[..], "cut", &Limits::default()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "cut at byte 8: the file ends after 2 of 3 bytes; fetch it again"
/// );
/// ```
pub fn read(reader: impl Read, name: &str, limits: &Limits) -> Result<Array, DataError> {
    parse(Input::new(reader, name, limits)?, limits)
}

fn parse(mut input: Input<'_>, limits: &Limits) -> Result<Array, DataError> {
    let start = input.byte_place();
    let mut magic = Vec::with_capacity(4);
    if input.read(&mut magic, 4)? == 0 {
        return Err(DataError::Empty {
            place: input.whole(),
            what: "bytes",
        });
    }
    let rank = match magic[..] {
        [0, 0, UBYTE, rank @ 1..=LARGEST_RANK] => rank,
        _ => {
            input.check_signature(&magic)?;
            return Err(DataError::Unexpected {
                place: start,
                what: "magic number",
                found: excerpt(&magic),
                expected: "00 00 08 and a rank of 1 to 4 (unsigned bytes)",
            });
        }
    };

    let place = input.byte_place();
    let mut header = Vec::with_capacity(16);
    let size = usize::from(rank) * 4;
    let found = input.read(&mut header, size)?;
    if found < size {
        return Err(DataError::Truncated {
            place,
            expected: size as u64,
            found: found as u64,
        });
    }
    let dimensions: Vec<u32> = header
        .as_chunks()
        .0
        .iter()
        .map(|&bytes| u32::from_be_bytes(bytes))
        .collect();
    let product = |sizes: &[u32]| {
        sizes
            .iter()
            .try_fold(1_usize, |n, &size| n.checked_mul(size as usize))
            .unwrap_or(usize::MAX)
    };
    let (rows, sizes) = dimensions.split_first().unwrap_or((&0, &[]));
    let (size, columns) = (product(&dimensions), product(sizes));
    if size == 0 {
        return Err(DataError::Empty {
            place: input.whole(),
            what: "elements",
        });
    }
    let header = |_: &Input<'_>| place.clone();
    input.cap(header, "rows", *rows as usize, limits.rows)?;
    input.cap(header, "columns", columns, limits.columns)?;
    input.cap(header, "values", size, limits.values)?;

    // Nothing is reserved: memory grows with what arrives, not with what the header claims.
    let place = input.byte_place();
    let mut bytes = Vec::new();
    let found = input.read(&mut bytes, size)?;
    if found < size {
        return Err(DataError::Truncated {
            place,
            expected: size as u64,
            found: found as u64,
        });
    }
    // Also makes a gzip stream check its sum.
    let place = input.byte_place();
    let mut rest = Vec::new();
    if input.read(&mut rest, 1)? != 0 {
        return Err(DataError::Unexpected {
            place,
            what: "byte",
            found: excerpt(&rest),
            expected: "the end of the file",
        });
    }
    Ok(Array {
        name: input.whole().file,
        dimensions,
        bytes,
    })
}

/// Joins images, flattened to rows of raw values, with their labels.
///
/// # Errors
/// [`DataError::Count`] when there is not one label for each image; [`DataError::Unexpected`] when the
/// labels are not of rank 1.
///
/// ```
/// use thalweg_std::data::{Limits, idx};
/// let images = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 2, 0, 64, 128, 255];
/// let labels = [0, 0, 8, 1, 0, 0, 0, 2, 5, 0];
/// let limits = Limits::default();
/// let images = idx::read(&images[..], "images", &limits)?;
/// let labels = idx::read(&labels[..], "labels", &limits)?;
/// let data = idx::dataset(&images, &labels)?;
/// assert_eq!(data.row(1), Some(&[128.0, 255.0][..]));
/// assert_eq!((data.labels(), data.class_names()), (&[1, 0][..], &["0".into(), "5".into()][..]));
/// # Ok::<(), thalweg_std::data::DataError>(())
/// ```
pub fn dataset(images: &Array, labels: &Array) -> Result<Dataset, DataError> {
    let place = Place {
        file: labels.name.clone(),
        position: Position::Whole,
    };
    if labels.dimensions.len() != 1 {
        return Err(DataError::Unexpected {
            place,
            what: "rank",
            found: labels.dimensions.len().to_string(),
            expected: "1: labels (are the files swapped?)",
        });
    }
    if labels.rows() != images.rows() {
        return Err(DataError::Count {
            place,
            what: "labels",
            expected: images.rows() as u64,
            found: labels.rows() as u64,
        });
    }
    let mut targets = TargetBuilder::new(TargetKind::Class);
    for label in &labels.bytes {
        // Digits are a label in any case.
        let _ = targets.push(label.to_string().as_bytes());
    }
    let columns = images.bytes.len().checked_div(images.rows()).unwrap_or(0);
    let features = images.bytes.iter().map(|&byte| f32::from(byte)).collect();
    Dataset::new(columns, features, targets.finish())
}

/// Writes an array in the form that [`read`] takes.
///
/// # Errors
/// Those of the writer.
///
/// ```
/// use thalweg_std::data::{Limits, idx};
/// let file = [0, 0, 8, 1, 0, 0, 0, 2, 5, 6];
/// let array = idx::read(&file[..], "tiny", &Limits::default())?;
/// let mut out = Vec::new();
/// idx::write(&array, &mut out)?;
/// assert_eq!(out, file);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write(array: &Array, mut out: impl Write) -> io::Result<()> {
    out.write_all(&[0, 0, UBYTE, array.dimensions.len() as u8])?;
    for size in &array.dimensions {
        out.write_all(&size.to_be_bytes())?;
    }
    out.write_all(&array.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    /// Two images of 1 x 3.
    const FILE: &[u8] = &[
        0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 11, 12, 13, 14, 15,
    ];

    fn parse(bytes: &[u8]) -> Result<Array, DataError> {
        read(bytes, "t", &Limits::default())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// One byte at a time, and interrupted before each.
    struct Trickle<'a>(&'a [u8], bool);

    impl Read for Trickle<'_> {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let most = buf.len().min(1);
            self.0.read(&mut buf[..most])
        }
    }

    #[test]
    fn plain_gzip_and_trickled_bytes_read_alike() {
        let plain = parse(FILE).unwrap();
        assert_eq!(plain.dimensions(), [2, 1, 3]);
        assert_eq!(plain.bytes(), [10, 11, 12, 13, 14, 15]);
        assert_eq!(parse(&gzip(FILE)).unwrap(), plain);
        let (head, tail) = FILE.split_at(7);
        assert_eq!(parse(&[gzip(head), gzip(tail)].concat()).unwrap(), plain);
        let zipped = gzip(FILE);
        for bytes in [FILE, &zipped] {
            let trickled = read(Trickle(bytes, false), "t", &Limits::default()).unwrap();
            assert_eq!(trickled, plain);
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let zipped = gzip(FILE);
        for file in [FILE, &zipped] {
            for length in 0..file.len() {
                assert!(
                    parse(&file[..length]).is_err(),
                    "{length} of {}",
                    file.len()
                );
            }
        }
        assert_eq!(
            parse(&FILE[..20]).unwrap_err().to_string(),
            "t at byte 16: the file ends after 4 of 6 bytes; fetch it again"
        );
        assert!(matches!(parse(&zipped[..30]), Err(DataError::Gzip { .. })));
        assert!(matches!(parse(b""), Err(DataError::Empty { .. })));
    }

    #[test]
    fn every_changed_byte_gives_a_value_or_an_error() {
        let zipped = gzip(FILE);
        for file in [FILE, &zipped] {
            let mut file = file.to_vec();
            for i in 0..file.len() {
                for flip in 1..=255 {
                    file[i] ^= flip;
                    if let Ok(array) = parse(&file) {
                        let product: u32 = array.dimensions().iter().product();
                        assert_eq!(product as usize, array.bytes().len());
                    }
                    file[i] ^= flip;
                }
            }
        }
    }

    #[test]
    fn a_header_that_claims_two_to_the_31_images_is_refused() {
        let mut file = vec![0, 0, 8, 3, 0x80, 0, 0, 0, 0, 0, 0, 28, 0, 0, 0, 28];
        file.extend([1; 100]);
        let error = parse(&file).unwrap_err();
        assert_eq!(
            error.to_string(),
            "t at byte 4: 2147483648 rows exceed the cap of 16777216; \
             raise `Limits::rows` if the file is trusted"
        );
        // Also by one who lifts every cap: the memory used is that of the 100 bytes that are there.
        let open = Limits {
            bytes: u64::MAX,
            rows: usize::MAX,
            columns: usize::MAX,
            values: usize::MAX,
            ..Limits::default()
        };
        let error = read(&file[..], "t", &open).unwrap_err();
        assert!(
            matches!(error, DataError::Truncated { found: 100, .. }),
            "{error}"
        );
        file.splice(4..16, [0xff; 12]);
        assert!(matches!(
            read(&file[..], "t", &open),
            Err(DataError::Truncated { .. })
        ));
    }

    #[test]
    fn a_bomb_stops_at_the_cap_on_bytes() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 2048);
        let mut file = vec![0, 0, 8, 1, 0, 16, 0, 0];
        file.extend(vec![0; 1 << 20]);
        let limits = Limits {
            bytes: 4096,
            ..Limits::default()
        };
        let error = read(&gzip(&file)[..], "t", &limits).unwrap_err();
        assert!(
            matches!(error, DataError::Limit { field: "bytes", .. }),
            "{error}"
        );
    }

    #[test]
    fn other_types_ranks_and_tails_are_named() {
        for (i, byte) in [(0, 1), (1, 1), (2, 0x0d), (3, 0), (3, 5)] {
            let mut file = FILE.to_vec();
            file[i] = byte;
            let error = parse(&file).unwrap_err().to_string();
            assert!(
                error.starts_with("t at byte 0: found magic number"),
                "{error}"
            );
        }
        let mut file = FILE.to_vec();
        file.push(b'x');
        assert_eq!(
            parse(&file).unwrap_err().to_string(),
            "t at byte 22: found byte `x`, expected the end of the file"
        );
        let mut empty = FILE.to_vec();
        empty[7] = 0;
        assert_eq!(parse(&empty).unwrap_err().to_string(), "t: no elements");
    }

    #[test]
    fn labels_must_be_as_many_as_images_and_of_rank_one() {
        let images = parse(FILE).unwrap();
        let labels = parse(&[0, 0, 8, 1, 0, 0, 0, 3, 1, 2, 3]).unwrap();
        assert_eq!(
            dataset(&images, &labels).unwrap_err().to_string(),
            "t: 3 labels, expected 2"
        );
        assert!(matches!(
            dataset(&labels, &images),
            Err(DataError::Unexpected { .. })
        ));
    }
}
