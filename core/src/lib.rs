//! Gradient descent and its relatives for places where no framework fits.
//!
//! `no_std`, no allocator, no panics, no clock, no hidden randomness: each algorithm is arithmetic on
//! slices that the caller owns, with explicit SIMD and **the same bits on every target**.
//!
//! Data has one direction: batch -> [`model`] -> gradient -> [`compress`] -> [`wire`] frame ->
//! [`federated`] [`aggregate`] -> [`optim`] step. Beneath lie [`vector`], [`matrix`], [`random`] and [`simd`].
//!
//! # The shape of an algorithm
//! `Config` is plain data, passed at each step, so that schedules and parameter groups need no machinery. `State` holds
//! buffers and counters and is generic over [`Storage`]: an array on a microcontroller, a `Vec` on a server.
//! `step` advances once. Arguments are checked before the first write; an [`Error`] names the argument and leaves
//! everything as it was. Random steps take a generator. Every state that outlives a round saves and restores
//! through [`snapshot`]; the client of FedAvg and the Hessian variance of a round begin anew with the next one.
//!
//! ```
//! use thalweg::optim::{Optimiser, State, sgd};
//! // A parabola, with momentum 1/2 and step 1/4.
//! let config = sgd::Config { momentum: 0.5, ..sgd::Config::new(0.25) };
//! let mut state = State::new([0.0_f64; 1]);
//! let mut x = [8.0];
//! for _ in 0..2 {
//!     let gradient = x;
//!     config.step(&mut state, &mut x, &gradient)?;
//! }
//! assert_eq!(x, [3.5]); // 8 - 8/4 = 6, then 6 - (6 + 8/2)/4
//! # Ok::<(), thalweg::Error>(())
//! ```
//!
//! # By task
//! | you want to | start at |
//! |---|---|
//! | take steps along gradients that you have | [`optim`]: one module an optimiser, with learning rates in [`optim::schedule`], clipping in [`optim::clip`] |
//! | get gradients of a small closed-form model | [`model`]: rows in a [`model::Batch`], [`model::Objective`]; a [`model::Gradient`] needs no rows |
//! | send less than a full gradient | [`compress`]: a table of compressors with their constants |
//! | train over clients | [`federated::machine`]: one server and one client for every protocol |
//! | put messages on a line, or read them from one | [`wire`], and [`wire::Deframer`] for bytes as they come |
//! | sample from a density whose score you have | [`particle`]: SVGD, Stein samplers, their stochastic parents, distances of samples |
//! | fit a mixture of Gaussians | [`mixture`]: EM, or stochastic component selection when there are many components |
//! | differentiate through a training run | [`bilevel::es_jacobian`] from gradients alone, [`bilevel::itd`] and [`bilevel::aid`] with second derivatives |
//! | tell whether training has become stationary | [`dynamics::invariant_measure`] |
//! | know where label noise drives a model of zero loss | [`dynamics::label_noise`], and its limit in [`dynamics::limit_flow`] |
//! | train a network by its tangent kernel | [`kernel::tangent`], and its flow in [`kernel::evolution`] |
//! | know what an infinitely wide network predicts | [`kernel`]: its kernels, regression, posteriors given signs |
//! | save a state and go on from it | [`snapshot`], and [`snapshot::Slots`] for flash that may lose its power |
//! | write a loop on lanes | [`simd`] |
//!
//! # Contracts
//! Whatever is written against one of these works with all that implement it.
//!
//! | contract | verbs | what is written against it |
//! |---|---|---|
//! | [`Storage`] | `as_slice`, `as_mut_slice` | every state |
//! | [`model::Gradient`] | `value`, `gradient_into`, `value_and_gradient_into` at a vector | scores of posteriors, targets of samplers, random quadratics |
//! | [`model::Objective`] | the same for a vector and rows; `on` binds the rows | models, label noise, bilevel problems, training on threads |
//! | [`bilevel::Problem`], [`bilevel::SecondOrder`] | `inner_gradient_into`, `outer_gradients_into`; `hessian_product_into`, `mixed_product_into` | ESJ, HOZOG; ITD, AID, stocBiO |
//! | [`optim::Optimiser`] | `step`, `step_layers`, `lengths` | [`optim::State`] and its snapshot, bf16, threads, the trainer, the C interface |
//! | [`compress::Operator`], [`compress::Compressor`] | `validate`, `lengths`; `compress`, `accumulate`, `bits` | protocols, the codec of messages, wrappers |
//! | [`compress::Unbiased`], [`compress::Contractive`] | `omega`, `ab`; `alpha` | step sizes of the theory |
//! | [`federated::Protocol`] | `reply`, `step`, `is_full` | [`federated::machine`]: clients, servers, snapshots, transports |
//! | [`aggregate::Aggregator`] | `open`, `push`, `finish` | the server |
//! | [`pairs::Executor`] | `sums_into` | sums over pairs of particles, on one thread or several |
//! | [`snapshot::Snapshot`] | `save`, `restore` | checkpoints of every state |
//!
//! Results that the modules state are derived in [`derivations`].
//!
//! # Promises
//! 1. The same bits everywhere, at every SIMD level and for any number of threads ([`simd`] says how, [`bits_and_versions`] on which targets).
//! 2. Faster arithmetic with other bits is named [`Arithmetic::Fast`], and the caller picks it.
//! 3. The caller owns the memory; every length is a `const fn`; a wrong length is an error value.
//! 4. No panic is reachable from a release image.
//! 5. `f32` and `f64`, through [`Real`].
//! 6. Randomness is an argument; shared draws are keyed by (seed, round, client, purpose).
//! 7. A restored run has the bits of the uninterrupted one.
//! 8. Hostile bytes give a value or a named error.
//!
//! # Features
//! | feature | effect |
//! |---|---|
//! | `alloc` | on by default: [`Storage`] for `Vec` and `Box<[T]>`; nothing in the crate allocates |
//! | `nalgebra` | [`matrix`] views of nalgebra's matrices, both ways |
//! | `heapless` | [`Storage`] for `heapless::Vec` |
#![no_std]
#![deny(unsafe_code)]
// An index or a slice that the proof by linking does not reach is refused here; where one stands, its bound is named.
#![warn(clippy::indexing_slicing)]
// Integers that overflow or are divided by zero likewise; arithmetic of floating-point numbers cannot panic.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]
// And methods of slices that panic, which `clippy.toml` lists: a slice's length is not known where an array's is.
#![cfg_attr(not(test), warn(clippy::disallowed_methods))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod aggregate;
pub mod bilevel;
#[cfg(doc)]
#[doc = include_str!("../docs/bits_and_versions.md")]
pub mod bits_and_versions {}
pub mod compress;
#[cfg(doc)]
#[doc = include_str!("../docs/derivations.md")]
pub mod derivations {}
pub mod dynamics;
pub mod error;
pub mod federated;
pub mod kernel;
pub mod matrix;
mod memory;
pub mod mixture;
pub mod model;
pub mod optim;
pub mod pairs;
pub mod particle;
pub mod random;
pub mod real;
pub mod simd;
pub mod snapshot;
pub mod solve;
#[cfg(test)]
mod testing;
pub mod vector;
pub mod wire;

/// Version of the arithmetic: equal versions have equal bits, on every target.
///
/// It rises with each release in which a case of the same-bits suite changes ([`bits_and_versions`]), and goes into the
/// [`Fingerprint`](wire::Fingerprint) by which server and clients refuse each other.
///
/// ```
/// use thalweg::wire::Fingerprint;
/// let other = Fingerprint { algorithms: thalweg::ALGORITHM_VERSION + 1, settings: 7 };
/// assert!(Fingerprint::new(7).differs_in_algorithms(other));
/// ```
pub const ALGORITHM_VERSION: u8 = 1;

pub use error::{At, Error};
pub use federated::ProtocolError;
pub use memory::storage;
/// The crate whose `Rng` the random steps take.
pub use rand_core;
pub use real::{Arithmetic, Real};
pub use storage::Storage;
