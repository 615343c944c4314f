//! Iterations on an operator that is given by its products: linear systems, extreme eigenvalues, flows.
//!
//! | member | what it is | scratch | cost |
//! |---|---|---|---|
//! | [`hessian_vector_into`] | `H v` by central differences of gradients | 2 d | 2 gradients |
//! | [`power_iteration`] | the eigenvalue of a Hessian of largest modulus | 4 d | 2 gradients a product |
//! | [`lanczos`](lanczos()) | both ends of the spectrum of a Hessian, in m steps | (m + 4) d | 2 gradients a product |
//! | [`dormand_prince`](dormand_prince()) | `y(t)` of an initial value problem, with control of the error | 9 d | 6 evaluations a step |
//!
//! Conjugate gradients serve [`bilevel::aid`](crate::bilevel::aid), the classical Runge-Kutta step
//! [`dynamics::limit_flow`](crate::dynamics::limit_flow).

pub(crate) mod conjugate_gradients;
mod dormand_prince;
mod hessian_vector;
mod lanczos;
mod power;
pub(crate) mod runge_kutta;
#[cfg(test)]
mod tests;

pub(crate) use dormand_prince::{Kernels, check_times};
pub use dormand_prince::{Steps, Tolerance, dormand_prince, dormand_prince_scratch_len};
pub(crate) use hessian_vector::central_difference_into;
pub use hessian_vector::hessian_vector_into;
pub use lanczos::{Ends, MOST_LANCZOS, lanczos, lanczos_scratch_len};
pub use power::{Curvature, power_iteration, power_scratch_len};

use crate::dynamics::invariant_measure::square;
use crate::error::ensure_finite_at;
use crate::random::{self, NoiseStream, Purpose};
use crate::{At, Error, Real, vector};

/// A random unit vector. The first axis in place of a draw of zeros: of a single parameter one in 2^24 is, in `f32`.
fn start<T: Real>(seed: u64, v: &mut [T]) {
    NoiseStream::new(&mut random::stream(seed, 0, 1, Purpose::DIRECTION)).fill_normal(v);
    let norm = libm::sqrt(square(v));
    if norm > 0.0 {
        vector::scale(T::from_f64(1.0 / norm), v);
    } else if let Some(first) = v.first_mut() {
        *first = T::ONE;
    }
}

/// Checks what came of product `step`, the first being 1.
fn finite(value: f64, step: usize) -> Result<(), Error> {
    ensure_finite_at("hessian product", value.is_finite(), At::Step(step as u64))
}
