//! The limit of SGD with small steps on a manifold of minimisers.
//!
//! When every sample can be fitted, the minimisers of the loss `L >= 0` form a manifold. SGD with step `eta` falls to
//! it in `1 / eta` steps and then, on the slow clock `t = k eta^2`, drifts along it. With `Phi(x)` the end of the gradient
//! flow from `x` and `Sigma` the covariance of one stochastic gradient, the limit is Ito's formula for `Phi`:
//!
//! ```text
//! dY = P_t Sigma^{1/2} dW + 1/2 d2Phi(Y)[Sigma] dt
//! d2Phi[S] = - H^+ T[P_t S P_t]  -  P_t ( 2 T[H^+ S P_t]  +  T[Lyap_H^{-1}(P_n S P_n)] )
//! T[S]_i = sum_jk d_i d_j d_k L  S_jk,      Lyap_H(S) = H S + S H
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | H, H^+ | Hessian of `L`, pseudo-inverse | D x D |
//! | P_t, P_n | orthogonal projections on the null space of H (the tangent space) and on its range | D x D |
//!
//! | member | what |
//! |---|---|
//! | [`Exact`] | label noise on the sparse model, solved at any time by a convex problem in n variables |
//! | [`SmoothLoss`], [`HessianBasis`] | a small loss with its derivatives; the eigendecomposition of its Hessian |
//! | [`drift_into`], [`second_derivative_into`] | the formulas above, D up to a few hundred |
//! | [`follow_gradient_flow`], [`retract`], [`step`] | gradient flow to the manifold, Newton projection onto it, Euler steps on it |
//! | [`hutchinson_trace`] | trace of a Hessian from its products with random signs |
//!
//! Two noises have short forms: isotropic, `dY = P_t dW - 1/2 H^+ T[P_t] dt - 1/4 P_t grad ln |H|_+ dt`, and label noise
//! `Sigma = c H`, with which nothing diffuses: `Y' = -(c / 4) P_t grad tr H` ([`Noise`]).
//!
//! Reference: Li, Wang and Arora (ICLR 2022, arXiv 2110.06914), theorem 4.6; Katzenberger, *Solutions of a stochastic
//! differential equation forced onto a manifold by a large drift* (Annals of Probability 19, 1991).

mod drift;
mod exact;
mod manifold;
mod trace;

pub use drift::{
    Noise, drift_into, drift_scratch_len, second_derivative_into, step, step_scratch_len,
};
pub(crate) use exact::DualKernels;
pub use exact::{Config, Exact, exact_len, exact_scratch_len};
pub use manifold::{
    HessianBasis, SmoothLoss, basis_len, follow_gradient_flow, gradient_flow_scratch_len, retract,
    retract_scratch_len,
};
pub use trace::{Estimate, hutchinson_trace};
