//! Memory that callers lend: its owners, how it is cut into parts, and what must be there.

mod carve;
mod must;
mod rows;
pub mod storage;

pub(crate) use carve::{cut, cut_ref, front, front_ref, take};
pub(crate) use must::{must, must_or, unreached};
pub(crate) use rows::InRows;
