//! Threads, dataset files, transports and plots around the `thalweg` kernels.

pub mod data;
pub mod par;
pub mod plot;
pub mod transport;
