//! Markov chain dynamics without noise: the diffusion Stein operator applied to particles.
//!
//! ```text
//! dz = [ M grad log p + Gamma ] dt + sqrt(2 D) dW,   M = D + Q      leaves p invariant (Ma, Chen and Fox 2015)
//! phi_i = (1/n) sum_j [ k_ij (M_j G_j + Gamma_j) + M_j grad_{z_j} k_ij ]
//! Gamma_a = sum_b d/dz_b M_ab
//! ```
//! `D` is symmetric and positive semi-definite, `Q` skew, both evaluated at the *source* j. The kernel term takes the place of
//! the noise: adding `sqrt(2 D)` as well would count it twice.
//!
//! | member | z | D | Q |
//! |---|---|---|---|
//! | [`langevin`] (SVGD) | theta | I | 0 |
//! | [`riemannian`] | theta | diagonal metric | 0 |
//! | [`sghmc`] | theta, r | friction on r | `[[0, -I], [I, 0]]` |
//! | [`sgnht`] | theta, r, xi | friction on r | with a thermostat |
//! | [`sgrhmc`] | theta, r | `S S` on r | `[[0, -S], [S, 0]]`, S a diagonal metric |
//! | [`general`] | any | the caller's | the caller's |
//!
//! Samplers with momenta move r first and theta with the new r: explicit Euler diverges. Adaptive rules would rescale
//! `theta' = r`, so these samplers take a step size and no [`Rule`](super::rule::Rule). With zero friction nothing dissipates, and the particles
//! do not converge: Stein HMC is [`sghmc`] with friction 0, for tests of energy.
//!
//! KL decreases along the flow for constant M; for a metric that varies this is not guaranteed.
//!
//! Reference: Shen, Heinonen and Kaski, *De-randomizing MCMC dynamics with the diffusion Stein operator* (2021).

pub mod general;
pub mod riemannian;
pub mod sghmc;
pub mod sgnht;
pub mod sgrhmc;

pub use super::svgd as langevin;

use super::bandwidth::{Bandwidth, SelectedBandwidth};
use super::narrow;
use crate::memory::InRows;
use crate::pairs::{Family, Field};
use crate::simd::{self, Lanes};
use crate::{Arithmetic, Error, Real};

/// Bandwidth of the kernel on an extended state.
///
/// ```
/// use thalweg::particle::{bandwidth::Bandwidth, stein::ExtendedBandwidth};
/// assert_eq!(ExtendedBandwidth::default(), ExtendedBandwidth::Joint(Bandwidth::median(4.0)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ExtendedBandwidth {
    /// `exp(-(|dtheta|^2 + |dr|^2)/h)`, h of the joint distances. Default, with 4 times the median rule.
    Joint(Bandwidth),
    /// `exp(-|dtheta|^2/h_theta - |dr|^2/h_r)`. Two median rules make the exponents add, so that the kernel is nearly
    /// diagonal and the particles contract: give larger scales, or a fixed momentum bandwidth.
    Product {
        /// Of the positions.
        position: Bandwidth,
        /// Of the momenta.
        momentum: Bandwidth,
    },
}

impl Default for ExtendedBandwidth {
    fn default() -> Self {
        Self::Joint(Bandwidth::median(4.0))
    }
}

impl ExtendedBandwidth {
    /// Elements of scratch of the choice for `m` joint coordinates, `d` of each kind.
    const fn scratch_len(&self, n: usize, m: usize, d: usize) -> usize {
        match self {
            Self::Joint(rule) => rule.scratch_len(n, m),
            Self::Product { position, momentum } => {
                let (a, b) = (position.scratch_len(n, d), momentum.scratch_len(n, d));
                if a > b { a } else { b }
            }
        }
    }
}

/// Coordinates of the kernel, its bandwidth, and the square of the scale of the momenta in them.
struct Coordinates<'a, T> {
    y: &'a [T],
    m: usize,
    chosen: SelectedBandwidth<T>,
    ratio: T,
}

/// Lays out (theta, r) or (theta, r, xi) as rows for the kernel, and chooses the bandwidth.
fn extend<'a, T: Real>(
    rule: &ExtendedBandwidth,
    arithmetic: Arithmetic,
    d: usize,
    [theta, r, xi]: [&[T]; 3],
    y: &'a mut [T],
    scratch: &mut [T],
) -> Result<Coordinates<'a, T>, Error> {
    // Without particles d is whatever the caller says.
    let m = d
        .saturating_mul(2)
        .saturating_add(usize::from(!xi.is_empty()));
    let lay = |y: &mut [T], scale: T| {
        let rows = theta.in_rows(d).zip(r.in_rows(d)).enumerate();
        for ((i, (theta, r)), y) in rows.zip(y.in_rows_mut(m)) {
            let momenta = r.iter().map(|&r| scale * r);
            let all = theta
                .iter()
                .copied()
                .chain(momenta)
                .chain(xi.get(i).copied());
            for (y, z) in y.iter_mut().zip(all) {
                *y = z;
            }
        }
    };
    let (chosen, ratio) = match *rule {
        ExtendedBandwidth::Joint(rule) => {
            lay(y, T::ONE);
            (rule.choose(arithmetic, m, y, scratch)?, T::ONE)
        }
        ExtendedBandwidth::Product { position, momentum } => {
            let position = position.choose(arithmetic, d, theta, scratch)?;
            let momentum = momentum.choose(arithmetic, d, r, scratch)?;
            // Both bandwidths are positive.
            let ratio: T = narrow(
                "momentum bandwidth",
                position.h.to_f64() / momentum.h.to_f64(),
            )?;
            lay(y, ratio.sqrt());
            (position, ratio)
        }
    };
    Ok(Coordinates {
        y,
        m,
        chosen,
        ratio,
    })
}

/// A sum over pairs with the Gaussian kernel on these coordinates.
fn field<'a, T: Real>(
    arithmetic: Arithmetic,
    at: &Coordinates<'a, T>,
    d: usize,
    drift: &'a [T],
    weight: Option<&'a [T]>,
    repel: &'a [T],
) -> Field<'a, T> {
    Field {
        family: Family::Rbf,
        h: at.chosen.h,
        arithmetic,
        m: at.m,
        y: at.y,
        d,
        drift,
        weight,
        repel,
    }
}

/// `out <- x + a f`.
#[derive(Clone, Copy)]
pub(super) struct Moved<T>(pub(super) T);
impl<T: Real> simd::Map<T, 2, 1> for Moved<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, f]: [L; 2]) -> [L; 1] {
        [x + x.constant(self.0) * f]
    }
}

fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}
