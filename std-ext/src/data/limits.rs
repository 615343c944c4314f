//! Caps on what a file may ask for.

/// How much a reader accepts before it stops with [`DataError::Limit`](super::DataError::Limit).
///
/// The defaults admit MNIST, its relatives of the same size and the LIBSVM sets of the compression papers on a
/// machine with 4 GB. Raise a field for a larger file that is trusted.
///
/// ```
/// use thalweg_std::data::{Limits, libsvm};
/// let limits = Limits { rows: 1, ..Limits::default() };
/// let options = libsvm::Options { limits, ..Default::default() };
/// let error = libsvm::read("1 1:1\n2 1:1\n".as_bytes(), "two rows", &options).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "two rows:2: 2 rows exceed the cap of 1; raise `Limits::rows` if the file is trusted"
/// );
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes after decompression; default 2^30.
    pub bytes: u64,
    /// Bytes of a line of text without its end; default 2^20.
    pub line_bytes: usize,
    /// Rows; default 2^24.
    pub rows: usize,
    /// Columns, and so the largest LIBSVM index; default 2^20.
    pub columns: usize,
    /// Stored numbers: rows times columns when dense, non-zeros when sparse; default 2^28 (1 GiB of `f32`).
    pub values: usize,
    /// Distinct class labels; default 2^12.
    pub classes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 1 << 30,
            line_bytes: 1 << 20,
            rows: 1 << 24,
            columns: 1 << 20,
            values: 1 << 28,
            classes: 1 << 12,
        }
    }
}
