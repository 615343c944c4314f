//! Tensor files: safetensors that other tools open, with a check of our own.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::Path;

use thalweg::Real;
use thalweg::wire::{Crc32c, Dtype};

use super::TrainError;
use super::header::{self, METADATA, Metadata};
use crate::files;

/// Longest header of the format, in bytes.
const MOST_HEADER: u64 = 100_000_000;

/// Bytes before the header: its length.
const PREFIX: usize = 8;

/// The data begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// The key of the check, which is the first of the metadata in a file that this module writes.
const CHECK: &str = "thalweg.crc32c";

/// The key of the version of these rules: a file that states it has a check, so that damage to either key shows.
const FILE: &str = "thalweg.file";
const VERSION: &str = "1";

/// What a header begins with up to the eight digits of the check.
const OPENING: &[u8] = b"{\"__metadata__\":{\"thalweg.crc32c\":\"";

/// Digits of the check, and what stands for them while it is computed.
const DIGITS: usize = 8;
const BLANK: [u8; DIGITS] = *b"00000000";

/// Element types of the format whose elements are whole bytes.
const TYPES: [(&str, usize); 16] = [
    ("BOOL", 1),
    ("U8", 1),
    ("I8", 1),
    ("F8_E4M3", 1),
    ("F8_E5M2", 1),
    ("F8_E8M0", 1),
    ("I16", 2),
    ("U16", 2),
    ("F16", 2),
    ("BF16", 2),
    ("I32", 4),
    ("U32", 4),
    ("F32", 4),
    ("I64", 8),
    ("U64", 8),
    ("F64", 8),
];

/// The type of values.
pub(super) fn dtype_of<T: Real>() -> &'static str {
    match Dtype::of::<T>() {
        Dtype::F64 => "F64",
        _ => "F32",
    }
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    name: String,
    dtype: &'static str,
    shape: Vec<usize>,
    /// Its bytes in the data.
    range: Range<usize>,
}

/// Named tensors and texts, in memory: what one file holds.
///
/// The bytes are those of the safetensors format, which PyTorch, NumPy, JAX and candle read: the length of a header (`u64`, little-endian), the header
/// (JSON), the elements of all tensors. The data begin at a multiple of 64. The header's metadata begin with `thalweg.crc32c`, the CRC-32C
/// of the whole file in which the digits of this entry are zeros, and `thalweg.file`, the version of these rules; a file of another tool has neither
/// and is read without a check.
///
/// ```
/// use thalweg_std::train::TensorFile;
/// let mut file = TensorFile::new();
/// file.set("epoch", "3");
/// file.push("0.weight", &[2, 3], &[0.5_f32; 6])?;
/// let bytes = file.to_bytes();
/// assert_eq!((bytes.len() % 64, &bytes[8..10]), (24, &b"{\""[..]));
/// let read = TensorFile::from_bytes(&bytes, "model")?;
/// assert_eq!(read.shape("0.weight"), Some(&[2, 3][..]));
/// assert_eq!(read.values::<f32>("0.weight")?, [0.5; 6]);
/// assert_eq!(read.metadata("epoch"), Some("3"));
/// # Ok::<(), thalweg_std::train::TrainError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TensorFile {
    /// What errors call it.
    file: String,
    metadata: Metadata,
    /// In the order of their bytes.
    entries: Vec<Entry>,
    /// Place of each name among them.
    index: BTreeMap<String, usize>,
    data: Vec<u8>,
}

impl TensorFile {
    /// No tensors.
    ///
    /// ```
    /// assert_eq!(thalweg_std::train::TensorFile::new().names().count(), 0);
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self {
            file: "new tensor file".into(),
            ..Self::default()
        }
    }

    /// Sets an entry of the metadata.
    ///
    /// ```
    /// let mut file = thalweg_std::train::TensorFile::new();
    /// file.set("format", "pt");
    /// assert_eq!(file.metadata("format"), Some("pt"));
    /// ```
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.metadata.insert(key.to_owned(), value.into());
    }

    /// An entry of the metadata.
    #[must_use]
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// All entries of the metadata, by key.
    ///
    /// ```
    /// let mut file = thalweg_std::train::TensorFile::new();
    /// file.set("b", "2");
    /// file.set("a", "1");
    /// assert_eq!(file.entries().collect::<Vec<_>>(), [("a", "1"), ("b", "2")]);
    /// ```
    pub fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }

    /// Names of the tensors, in the order of their bytes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.name.as_str())
    }

    /// Shape of a tensor.
    #[must_use]
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.find(name).map(|entry| entry.shape.as_slice())
    }

    /// Adds a tensor behind the others; `values` are row-major.
    ///
    /// # Errors
    /// [`TrainError::Length`] when shape and values disagree, [`TrainError::Name`] when the name is taken.
    ///
    /// ```
    /// let mut file = thalweg_std::train::TensorFile::new();
    /// file.push("bias", &[2], &[1.0_f64, 2.0])?;
    /// let error = file.push("weight", &[2, 3], &[1.0_f32, 2.0]).unwrap_err();
    /// assert_eq!(error.to_string(), "values of tensor `weight` have 2 elements, its shape 6");
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    pub fn push<T: Real>(
        &mut self,
        name: &str,
        shape: &[usize],
        values: &[T],
    ) -> Result<(), TrainError> {
        let start = self.open(name, shape, values.len())?;
        self.data.reserve(values.len() * T::BYTES);
        for value in values {
            let bytes = value.to_bits_u64().to_le_bytes();
            self.data
                .extend_from_slice(bytes.get(..T::BYTES).unwrap_or_default());
        }
        self.close(name, dtype_of::<T>(), shape, start);
        Ok(())
    }

    /// Adds a tensor of bytes behind the others.
    ///
    /// # Errors
    /// [`TrainError::Name`] when the name is taken.
    ///
    /// ```
    /// let mut file = thalweg_std::train::TensorFile::new();
    /// file.push_bytes("state", &[1, 2, 3])?;
    /// assert_eq!(file.bytes("state")?, [1, 2, 3]);
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    pub fn push_bytes(&mut self, name: &str, bytes: &[u8]) -> Result<(), TrainError> {
        let shape = [bytes.len()];
        let start = self.open(name, &shape, bytes.len())?;
        self.data.extend_from_slice(bytes);
        self.close(name, "U8", &shape, start);
        Ok(())
    }

    fn open(&self, name: &str, shape: &[usize], found: usize) -> Result<usize, TrainError> {
        if name == METADATA || self.find(name).is_some() {
            return Err(TrainError::Name { name: name.into() });
        }
        match count(shape) {
            Some(expected) if expected == found => Ok(self.data.len()),
            expected => Err(TrainError::Length {
                tensor: name.into(),
                what: "values",
                expected: expected.unwrap_or(usize::MAX),
                found,
            }),
        }
    }

    fn close(&mut self, name: &str, dtype: &'static str, shape: &[usize], start: usize) {
        self.index.insert(name.to_owned(), self.entries.len());
        self.entries.push(Entry {
            name: name.to_owned(),
            dtype,
            shape: shape.to_vec(),
            range: start..self.data.len(),
        });
    }

    fn find(&self, name: &str) -> Option<&Entry> {
        self.entries.get(*self.index.get(name)?)
    }

    fn typed(&self, name: &str, dtype: &str) -> Result<&[u8], TrainError> {
        let differs = |found: &str| TrainError::Differs {
            file: self.file.clone(),
            what: format!("tensor `{name}`"),
            found: found.to_owned(),
            expected: dtype.to_owned(),
        };
        let entry = self.find(name).ok_or_else(|| differs("nothing"))?;
        if entry.dtype != dtype {
            return Err(differs(entry.dtype));
        }
        Ok(self.data.get(entry.range.clone()).unwrap_or_default())
    }

    /// The elements of a tensor of this type.
    ///
    /// # Errors
    /// [`TrainError::Differs`] when there is none of this name, or it is of another type.
    ///
    /// ```
    /// let mut file = thalweg_std::train::TensorFile::new();
    /// file.push("bias", &[1], &[1.0_f64])?;
    /// assert_eq!(file.values::<f64>("bias")?, [1.0]);
    /// let error = file.values::<f32>("bias").unwrap_err();
    /// assert_eq!(error.to_string(), "new tensor file: tensor `bias`: found F64, expected F32");
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    pub fn values<T: Real>(&self, name: &str) -> Result<Vec<T>, TrainError> {
        let bytes = self.typed(name, dtype_of::<T>())?;
        Ok(bytes.chunks_exact(T::BYTES).map(value).collect())
    }

    /// Copies the elements of a tensor; nothing is written on an error.
    ///
    /// # Errors
    /// As [`values`](Self::values), and [`TrainError::Length`].
    ///
    /// ```
    /// let mut file = thalweg_std::train::TensorFile::new();
    /// file.push("bias", &[2], &[1.0_f32, -0.0])?;
    /// let mut out = [0.0_f32; 2];
    /// file.copy_into("bias", &mut out)?;
    /// assert_eq!(out.map(f32::to_bits), [0x3F80_0000, 0x8000_0000]);
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    pub fn copy_into<T: Real>(&self, name: &str, out: &mut [T]) -> Result<(), TrainError> {
        let bytes = self.typed(name, dtype_of::<T>())?;
        if bytes.len() != out.len() * T::BYTES {
            return Err(TrainError::Length {
                tensor: name.into(),
                what: "values",
                expected: bytes.len() / T::BYTES,
                found: out.len(),
            });
        }
        for (to, from) in out.iter_mut().zip(bytes.chunks_exact(T::BYTES)) {
            *to = value(from);
        }
        Ok(())
    }

    /// The bytes of a tensor of bytes.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn bytes(&self, name: &str) -> Result<&[u8], TrainError> {
        self.typed(name, "U8")
    }

    /// Length, header and check; the data follow.
    fn head(&self) -> Vec<u8> {
        let mut text = String::from_utf8_lossy(OPENING).into_owned();
        text.push_str(&format!("00000000\",\"{FILE}\":\"{VERSION}\""));
        for (key, value) in &self.metadata {
            if key != CHECK && key != FILE {
                text.push(',');
                header::quoted(key, &mut text);
                text.push(':');
                header::quoted(value, &mut text);
            }
        }
        text.push('}');
        for entry in &self.entries {
            let (dtype, shape) = (entry.dtype, &entry.shape);
            let Range { start, end } = entry.range;
            text.push(',');
            header::quoted(&entry.name, &mut text);
            // Debug of a list of counts is JSON.
            text.push_str(&format!(
                ":{{\"dtype\":\"{dtype}\",\"shape\":{shape:?},\"data_offsets\":[{start},{end}]}}"
            ));
        }
        text.push('}');
        let len = (PREFIX + text.len()).next_multiple_of(ALIGNMENT) - PREFIX;
        let mut head = (len as u64).to_le_bytes().to_vec();
        head.extend_from_slice(text.as_bytes());
        head.resize(PREFIX + len, b' ');
        let mut crc = Crc32c::new();
        crc.update(&head);
        crc.update(&self.data);
        if let Some(digits) = head.get_mut(digits()) {
            digits.copy_from_slice(format!("{:08x}", crc.value()).as_bytes());
        }
        head
    }

    /// The file as bytes.
    ///
    /// ```
    /// let empty = thalweg_std::train::TensorFile::new().to_bytes();
    /// assert_eq!((empty.len(), empty[..8].to_vec()), (128, vec![120, 0, 0, 0, 0, 0, 0, 0]));
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(&self.data);
        bytes
    }

    /// Reads the bytes of a file, which errors call `file`.
    ///
    /// # Errors
    /// [`TrainError::Malformed`] with the place: a header that is not the format's, tensors that overlap or leave bytes out, a length that is not the
    /// one of the shape, a check that does not match.
    ///
    /// ```
    /// use thalweg_std::train::TensorFile;
    /// let mut bytes = TensorFile::new().to_bytes();
    /// bytes[0] = 121;
    /// let error = TensorFile::from_bytes(&bytes, "model").unwrap_err();
    /// assert_eq!(error.to_string(), "model at byte 0: a header of 121 bytes, and 120 follow");
    /// ```
    pub fn from_bytes(bytes: &[u8], file: &str) -> Result<Self, TrainError> {
        let (mut read, data) = Self::parse(bytes, file)?;
        read.data = bytes.get(data..).unwrap_or_default().to_vec();
        Ok(read)
    }

    /// All but the data, and where they begin.
    fn parse(bytes: &[u8], file: &str) -> Result<(Self, usize), TrainError> {
        let malformed = |at: usize, what: String| TrainError::Malformed {
            file: file.to_owned(),
            at: at as u64,
            what,
        };
        let Some((len, rest)) = bytes.split_first_chunk::<PREFIX>() else {
            let what = "a tensor file begins with the eight bytes of a length".to_owned();
            return Err(malformed(0, what));
        };
        let stated = u64::from_le_bytes(*len);
        if stated > MOST_HEADER {
            let what = format!("a header of {stated} bytes, more than {MOST_HEADER}");
            return Err(malformed(0, what));
        }
        let Some((header, data)) = rest.split_at_checked(stated as usize) else {
            let what = format!("a header of {stated} bytes, and {} follow", rest.len());
            return Err(malformed(0, what));
        };
        let (mut metadata, mut tensors) = header::read(header, PREFIX, file)?;
        let (check, version) = (metadata.remove(CHECK), metadata.remove(FILE));
        if version.is_some() || check.is_some() {
            let check = check.unwrap_or_default();
            let found = bytes.get(digits()).unwrap_or_default();
            if !header.starts_with(OPENING) || check.as_bytes() != found {
                let what = format!("`{CHECK}` is not the first entry of the metadata");
                return Err(malformed(PREFIX, what));
            }
            let mut crc = Crc32c::new();
            crc.update(bytes.get(..digits().start).unwrap_or_default());
            crc.update(&BLANK);
            crc.update(bytes.get(digits().end..).unwrap_or_default());
            let computed = format!("{:08x}", crc.value());
            if computed != check {
                let what =
                    format!("the file is damaged: its check is {computed}, it states {check}");
                return Err(malformed(digits().start, what));
            }
            if version.as_deref() != Some(VERSION) {
                let what = format!("`{FILE}` is {version:?}, this program reads {VERSION}");
                return Err(malformed(PREFIX, what));
            }
        }
        tensors.sort_by_key(|tensor| (tensor.begin, tensor.end));
        let (mut entries, mut index) = (Vec::with_capacity(tensors.len()), BTreeMap::new());
        let mut end = 0;
        for tensor in tensors {
            let name = &tensor.name;
            let wrong = |what: String| Err(malformed(PREFIX + tensor.at, what));
            let Some(&(dtype, size)) = TYPES.iter().find(|(dtype, _)| *dtype == tensor.dtype)
            else {
                return wrong(format!(
                    "tensor `{name}` has the unknown type `{}`",
                    tensor.dtype
                ));
            };
            let len = count(&tensor.shape).and_then(|count| count.checked_mul(size));
            if tensor.begin != end || tensor.end < end || tensor.end > data.len() {
                return wrong(format!(
                    "tensor `{name}` lies at {}..{}, expected a range from {end} within {}",
                    tensor.begin,
                    tensor.end,
                    data.len()
                ));
            }
            if len != Some(tensor.end - tensor.begin) {
                let shape = &tensor.shape;
                return wrong(format!(
                    "tensor `{name}` of shape {shape:?} and type {dtype} has {} bytes",
                    tensor.end - tensor.begin
                ));
            }
            if index.insert(name.clone(), entries.len()).is_some() {
                return wrong(format!("a second tensor named `{name}`"));
            }
            end = tensor.end;
            entries.push(Entry {
                range: tensor.begin..tensor.end,
                name: tensor.name,
                dtype,
                shape: tensor.shape,
            });
        }
        if end != data.len() {
            let what = format!("{} bytes that belong to no tensor", data.len() - end);
            return Err(malformed(PREFIX + header.len() + end, what));
        }
        let read = Self {
            file: file.to_owned(),
            metadata,
            entries,
            index,
            data: Vec::new(),
        };
        Ok((read, PREFIX + header.len()))
    }

    /// Writes the file in one piece: whatever happens meanwhile, the path leads to the old file or to the new one, whole.
    ///
    /// # Errors
    /// [`TrainError::Io`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), TrainError> {
        let path = path.as_ref();
        let io = |source| TrainError::Io {
            path: path.display().to_string(),
            what: "write",
            source,
        };
        files::replace(path, &[&self.head(), &self.data]).map_err(io)
    }

    /// Reads a file. Memory grows with its length, of which the header must account for every byte.
    ///
    /// # Errors
    /// [`TrainError::Io`], and those of [`from_bytes`](Self::from_bytes).
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TrainError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let open = || {
            // Pipes and devices have no length, and may have no end.
            if !std::fs::metadata(path)?.is_file() {
                let kind = io::ErrorKind::InvalidInput;
                return Err(io::Error::new(kind, "it is no regular file"));
            }
            std::fs::read(path)
        };
        let mut bytes = open().map_err(|source| TrainError::Io {
            path: name.clone(),
            what: "read",
            source,
        })?;
        let (mut read, data) = Self::parse(&bytes, &name)?;
        bytes.drain(..data);
        read.data = bytes;
        Ok(read)
    }

    /// What errors call the file.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Type of a tensor.
    pub(super) fn dtype(&self, name: &str) -> Option<&'static str> {
        self.find(name).map(|entry| entry.dtype)
    }
}

/// Where the digits of the check stand in a file.
const fn digits() -> Range<usize> {
    let start = PREFIX + OPENING.len();
    start..start + DIGITS
}

/// A value of as many little-endian bytes.
fn value<T: Real>(bytes: &[u8]) -> T {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    T::from_bits_u64(u64::from_le_bytes(word))
}

/// Elements of a shape; `None` beyond the address space.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    // A zero makes the tensor empty, wherever it stands.
    if shape.contains(&0) {
        return Some(0);
    }
    shape
        .iter()
        .try_fold(1_usize, |count, &len| count.checked_mul(len))
}
