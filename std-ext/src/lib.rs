//! Threads, dataset files, transports and plots around the `thalweg` kernels.

#[cfg(feature = "data")]
pub mod data;
#[cfg(feature = "par")]
pub mod par;
#[cfg(feature = "plot")]
pub mod plot;
#[cfg(feature = "transport")]
pub mod transport;
