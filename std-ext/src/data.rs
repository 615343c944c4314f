//! Dataset files in, rows out.
//!
//! | Format | Reader | Gives |
//! |---|---|---|
//! | IDX (MNIST and its kin) | [`idx`] | [`Dataset`] |
//! | LIBSVM | [`libsvm`] | [`SparseDataset`], and from it a [`Dataset`] |
//! | CSV | [`csv`] | [`Dataset`] |
//!
//! [`digits()`] (classes) and [`yacht()`] (numbers) ship with the crate.
//!
//! Each reader reads from a path or from any [`std::io::Read`]; a gzip stream is known by its first two bytes,
//! whatever the file is called. Files are treated as hostile: nothing is allocated in proportion to a number
//! that the file merely claims, everything that grows has a cap in [`Limits`], and what cannot be read
//! is a [`DataError`] that says where, what was found and what to do.
//!
//! What files have in addition to numbers is an option of their reader: headers, the place of the label and missing
//! values in [`csv`], the first index and the queries of rankings in [`libsvm`], the set of a folder in [`idx`]. A file that
//! probably is not what the options say, such as UTF-16 or another delimiter, is an error that asks about it.
//!
//! After reading: [`split`] and [`partition`] divide rows among training set, test set and clients,
//! [`Standardiser`] centres columns, [`Batches`] walks through rows. All are functions of a seed: the same
//! seed gives the same rows on every platform.

mod batches;
pub mod csv;
mod dataset;
mod decimal;
mod digits;
mod draw;
mod error;
pub mod idx;
mod input;
pub mod libsvm;
mod limits;
pub mod partition;
mod pool;
mod sparse;
mod split;
mod standardise;
mod targets;
mod yacht;

pub use batches::Batches;
pub use dataset::Dataset;
pub use digits::digits;
pub use error::{DataError, Place, Position};
pub use limits::Limits;
pub use sparse::{Csr, SparseDataset};
pub use split::split;
pub use standardise::Standardiser;
pub use targets::{TargetKind, Targets};
pub use yacht::yacht;
