//! Gradient descent and its relatives for places where no framework fits.
//!
//! `no_std`, no allocator, no panics, no clock, no hidden randomness: each algorithm is arithmetic on
//! slices that the caller owns, with explicit SIMD and **the same bits on every target**.
#![no_std]
#![deny(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod compress;
pub mod error;
pub mod federated;
pub mod matrix;
pub mod model;
pub mod optim;
pub mod random;
pub mod real;
pub mod simd;
pub mod snapshot;
pub mod storage;
pub mod vector;
pub mod wire;

pub use error::Error;
pub use real::{Arithmetic, Real};
pub use storage::Storage;
