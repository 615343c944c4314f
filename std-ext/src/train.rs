//! Training of a model of many tensors without a framework: groups, schedules, clipping, checkpoints.
//!
//! A [`Trainer`] holds the optimisers of named tensors, by [`Group`]s with separate hyperparameters, chosen by name when the program runs
//! ([`Optimiser`]). [`Trainer::step`] takes one flat slice of parameters and one of gradients, [`Trainer::step_slices`] a slice a tensor. [`Trainer::save`]
//! writes everything that a run needs to go on, and other tools can open: a [`TensorFile`].
//!
//! ```
//! use thalweg::model::{Batch, Objective, mlp};
//! use thalweg::optim::schedule::CosineDecay;
//! use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
//!
//! // XOR by a network of four tanh units; weights decay, biases do not.
//! let model = mlp::Model::<f64> { activation: mlp::Activation::Tanh, ..mlp::Model::new(&[2, 4, 2]) };
//! let optimiser = "adamw".parse::<Optimiser>()?.with_learning_rate(0.1);
//! let groups = [
//!     Group::new("weights", optimiser.with_weight_decay(1e-4)),
//!     Group::new("biases", optimiser.with_weight_decay(0.0)),
//! ];
//! // Names and shapes of PyTorch's `Sequential(Linear(2, 4), Tanh(), Linear(4, 2))`.
//! let tensors = [
//!     Tensor::new("0.weight", &[4, 2], "weights"),
//!     Tensor::new("0.bias", &[4], "biases"),
//!     Tensor::new("2.weight", &[2, 4], "weights"),
//!     Tensor::new("2.bias", &[2], "biases"),
//! ];
//! let schedule = CosineDecay { init: 1.0, steps: 200, alpha: 0.0, exponent: 1.0 };
//! let mut trainer = Trainer::new(&groups, &tensors)?.with_schedule(schedule)?.with_clip(1.0)?;
//!
//! let inputs = [0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0];
//! let batch = Batch::classes(&inputs, 2, &[0, 1, 1, 0])?;
//! let mut params: Vec<f64> = (0..model.dim()).map(|i| ((i * 7 % 11) as f64 - 5.0) / 5.0).collect();
//! let (mut grad, mut scratch) = (vec![0.0; model.dim()], vec![0.0; model.scratch_len(4)]);
//! for _ in 0..200 {
//!     model.gradient_into(&params, &batch, &mut grad, &mut scratch)?;
//!     trainer.step(&mut params, &grad)?;
//! }
//! let loss = model.value_and_gradient_into(&params, &batch, &mut grad, &mut scratch)?;
//! assert!(loss < 0.01, "{loss}"); // ln 2 = 0.69 for a network that knows nothing
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # One step
//! ```text
//! s = value(t) plateau                           what the schedules make of every group's learning rate
//! c = min(1, max_norm / (|g| + 1e-6))            over all tensors, in their order
//! x, state <- step(rate s, state, x, c g)        each tensor by its group's optimiser
//! ```
//! A pass reads the gradient for its norm, or for elements that are not finite; the pass of the step scales it where it is clipped, 8192 elements
//! at a time, and never writes it. The bits are those of [`clip::by_global_norm`](thalweg::optim::clip::by_global_norm) on the tensors followed by the core's
//! `step` on each. A gradient that is not finite is refused before anything is written.
//!
//! # Cost
//! That of the core's steps, and a reading pass: 4 bytes an element in `f32` in addition to the 28 of Adam, 12 to 17 % of a step on a million elements and more.
//! Clipping costs 0.1 to 0.2 ns an element more than overwriting the gradient would, and a norm a tensor, 40 ns. Neighbours of one group are one slice,
//! however many tensors they are; a tensor that is stepped by itself costs a call of the core, which checks the config and takes
//! the powers of beta. Memory: the optimiser's buffers, and one block.
//!
//! # What was rejected
//! Boxed optimisers (an enum has the same arms, can be compared and copied), parameters that the trainer owns (models, averages and
//! protocols want them as one slice), a format of our own for checkpoints (no other tool would open it), and JSON by a general parser (the header has
//! one shape).

mod checkpoint;
mod error;
mod header;
#[allow(
    clippy::too_many_arguments,
    reason = "one step on a range of a run's memory"
)]
mod optimiser;
mod tensors;
#[cfg(test)]
mod tests;
#[allow(
    clippy::too_many_arguments,
    reason = "one step on a range of a run's memory"
)]
mod trainer;

pub use error::TrainError;
pub use optimiser::{Optimiser, UnknownOptimiser};
pub use tensors::TensorFile;
pub use trainer::{Group, Taken, Tensor, Trainer};
