//! Training dynamics: label-noise SGD, its limiting flow, and tests of stationarity.
//!
//! | module | what |
//! |---|---|
//! | [`label_noise`] | SGD with noisy labels: it drifts along the exact fits towards flat ones |
//! | [`limit_flow`] | its limit for small steps, solved exactly for the sparse model; the drift of small models |
//! | [`invariant_measure`] | whether training stands still, or has reached a steady state in distribution |

pub mod invariant_measure;
pub mod label_noise;
pub mod limit_flow;

#[cfg(test)]
mod tests;
