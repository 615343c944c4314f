//! Threads, dataset files, training, transports and plots around the `thalweg` kernels.

#[cfg(feature = "data")]
pub mod data;
pub mod files;
#[cfg(feature = "par")]
pub mod par;
#[cfg(feature = "plot")]
pub mod plot;
#[cfg(feature = "train")]
pub mod train;
#[cfg(feature = "transport")]
pub mod transport;
