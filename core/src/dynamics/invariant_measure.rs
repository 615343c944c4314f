//! Diagnostics of training as a stationary process: has the loss stopped because the gradient vanished, or because
//! the weights have reached a steady state in distribution?
//!
//! One step is `x_{k+1} = F(x_k, batch_k)`. A measure is invariant when a step leaves it as it is. The time average of
//! a bounded function telescopes, so `|mean of change| <= 2 sup / T` for **every** bounded run: a small average change of
//! the loss is no evidence of anything. Two windows that are compared with the right error bars are.
//!
//! | kernel | function | memory | cost |
//! |---|---|---|---|
//! | K1 | [`step_stats`]: `<g,g>`, `<x,g>`, `<x,x>` in one pass | none | 6 d |
//! | K2 | [`movement`]: `abs(x - reference)^2` | d (the reference) | 3 d |
//! | K3 | [`project_into`]: r sums with hashed signs | none | 2 r d |
//! | K4 | [`norm_ratio`], [`heavy_ball_ratio`], [`curvature_ratio`] | none | O(1) |
//! | K5 | [`Noise`]: full gradient without bias, and noise | d + 2 numbers | 3 d |
//! | K6 | [`BatchMeans`], [`Window`] | 36 and 75 numbers | O(1) |
//! | K7 | [`Histogram`], [`shape_ratio`] | 66 counts | O(1) |
//! | K8 | [`power_iteration`](crate::solve::power_iteration), [`lanczos`](crate::solve::lanczos()) | 4 d; (m + 4) d | 2 gradients a product |
//!
//! Sums are in `f64` for both scalar types, in 32 logical lanes and blocks of [`simd::BLOCK`](crate::simd::BLOCK)
//! elements: the bits do not depend on the SIMD level. Parameters are only read; signs and start vectors come from separate
//! keyed streams, so a run that is watched has the bits of one that is not.
//!
//! # Two lines in a loop
//! ```
//! use thalweg::dynamics::invariant_measure::{Monitor, Observable, Verdict};
//! use thalweg::optim::{Optimiser, State, sgd};
//! let (config, mut state) = (sgd::Config::new(0.25), State::new([0.0_f64; 0]));
//! let mut monitor = Monitor::new(64)?; // one
//! let mut x = [8.0];
//! for _ in 0..1024 {
//!     let (loss, gradient) = (x[0] * x[0], [2.0 * x[0]]);
//!     monitor.observe(config.learning_rate, loss, &x, &gradient)?; // two
//!     config.step(&mut state, &mut x, &gradient)?;
//! }
//! // Halved at each step: both windows are at the minimum to 1e-77.
//! assert_eq!(monitor.report(Observable::Loss)?.verdict, Verdict::Stationary);
//! assert_eq!(monitor.norm_ratio(), None); // there is no gradient left
//! # Ok::<(), thalweg::Error>(())
//! ```
//!
//! A server shows its model after the step:
//! ```
//! use thalweg::compress::{Buffers, Identity};
//! use thalweg::dynamics::invariant_measure::{Monitor, Observable, Verdict};
//! use thalweg::federated::machine::{self, Client, Server};
//! use thalweg::federated::{Run, decode, marina};
//! let run = Run { seed: 7, clients: 1 };
//! let config = marina::Config { run, step_size: 0.25, probability: 0.5, compressor: Identity };
//! let mut server = Server::new(&config, &[8.0], [0.0; 3])?;
//! let mut client = Client::new(&config, 0, [0.0; 2])?;
//! let (mut frame, mut values) = ([0; 128], [0.0]);
//! let mut monitor = Monitor::new(64)?; // one
//! for _ in 0..1024 {
//!     let len = machine::broadcast(&config, &mut server, &mut frame)?;
//!     machine::receive(&config, &mut client, &decode::<f64>(&frame[..len], 1)?)?;
//!     let mut gradient = [2.0 * client.params()[0]];
//!     let len = machine::reply(&config, &mut client, &mut gradient, Buffers::values(&mut values), &mut frame)?;
//!     machine::accept(&config, &mut server, 1, &decode::<f64>(&frame[..len], 1)?, Buffers::values(&mut values))?;
//!     machine::finish(&config, &mut server)?;
//!     let x = server.params();
//!     monitor.observe_after(config.step_size, x[0] * x[0], x, server.estimate())?; // two
//! }
//! assert_eq!(monitor.report(Observable::Loss)?.verdict, Verdict::Stationary);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//! Windows of `16 2^m` steps are judged whole; of others the last `16 2^m`.
//!
//! # Where we differ from the paper
//! The authors' scripts log the squared norm of a mean of M batch gradients, which is too large by noise / M; [`Noise`]
//! takes that off. The gradient is that of what is optimised, weight decay included.
//!
//! Reference: Zhang, Li, Sra and Jadbabaie, *Neural Network Weights Do Not Converge to Stationary Points: An Invariant
//! Measure Perspective*, ICML 2022. Ratios: Yaida, *Fluctuation-dissipation relations for stochastic gradient descent*,
//! 2018. Batch means: Lang, Xiao and Zhang, *Using statistics to automate stochastic optimization*, 2019.

mod batch_means;
mod histogram;
mod monitor;
mod noise;
mod stats;
#[cfg(test)]
mod tests;
mod window;

pub use batch_means::{BatchMeans, MEANS, SLOTS, Summary};
pub use histogram::{BINS, Histogram, shape_ratio};
pub use monitor::{Monitor, Observable};
pub use noise::{Noise, NoiseEstimate};
pub(crate) use stats::{StatsKernels, square};
pub use stats::{
    StepStats, curvature_ratio, heavy_ball_ratio, movement, norm_ratio, project_into, step_stats,
};
pub use window::{Report, Verdict, Window, compare, critical};
