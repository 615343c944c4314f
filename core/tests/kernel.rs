//! Kernels of wide networks and the posteriors over functions that they define.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod kernel {
    mod arc_cosine;
    mod evolution;
    mod network;
    mod orthant;
    mod posterior;
    mod regression;
    mod tangent;
}
