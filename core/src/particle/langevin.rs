//! Langevin dynamics: a chain for each particle, with noise.
//!
//! ```text
//! LD    theta <- theta + eps g + sqrt(2 eps) N
//! RLD   theta <- theta + eps (m g + Gamma) + sqrt(2 eps m) N       m diagonal, Gamma_a = d m_a / d theta_a
//! ```
//! N are independent standard normal numbers. Particles do not interact. No Metropolis test: the error of the stationary law is of
//! order eps. State: none. Scratch: `n d` for the noise.
//!
//! Reference: Welling and Teh, *Bayesian learning via stochastic gradient Langevin dynamics* (2011); Girolami and Calderhead (2011).

use super::{Evaluated, Particles, check_cloud, check_finite, check_positive, narrow};
use crate::error::{check_length, check_scratch};
use crate::memory::take;
use crate::particle::Kernels as _;
use crate::random::NoiseStream;
use crate::simd::{Lanes, Update};
use crate::{Error, Real};

/// `x + eps g + a N`.
#[derive(Clone, Copy)]
pub(super) struct Euler<T>(pub(super) T, pub(super) T);
impl<T: Real> Update<T, 1, 2> for Euler<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], [g, noise]: [L; 2]) -> [L; 1] {
        [x + (x.constant(self.0) * g + x.constant(self.1) * noise)]
    }
}

/// `x + eps (m g + Gamma) + a sqrt(m) N`; m >= 0 is checked.
#[derive(Clone, Copy)]
pub(super) struct Riemannian<T>(pub(super) T, pub(super) T);
impl<T: Real> Update<T, 1, 4> for Riemannian<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], [g, m, gamma, noise]: [L; 4]) -> [L; 1] {
        let (eps, a) = (x.constant(self.0), x.constant(self.1));
        [x + (eps * (m * g + gamma) + a * (m.sqrt() * noise))]
    }
}

/// Moves every chain once.
///
/// # Errors
/// [`Error::Length`] when shapes do not fit or `scratch` has fewer than `n d` elements, [`Error::Parameter`] for a step size out of range,
/// [`Error::NonFinite`] with the index of the particle. Nothing is drawn or moved then.
///
/// ```
/// use thalweg::particle::Particles;
/// use thalweg::particle::langevin;
/// use thalweg::random::{self, NoiseStream, Purpose};
/// let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
/// let mut noise = [0.0_f64; 2];
/// lanes.clone().fill_normal(&mut noise);
/// let mut x = [1.0, -1.0];
/// langevin::step(0.02, Particles::new(1, &mut x), &[-1.0, 1.0], &mut lanes, &mut [0.0; 2])?;
/// assert!((x[0] - (1.0 - 0.02 + 0.2 * noise[0])).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real>(
    step_size: f64,
    particles: Particles<'_, T>,
    scores: &[T],
    lanes: &mut NoiseStream,
    mut scratch: &mut [T],
) -> Result<(), Error> {
    let Particles {
        d,
        positions: particles,
    } = particles;
    check_positive("step_size", step_size)?;
    check_cloud(d, particles, scores)?;
    check_scratch("scratch", particles.len(), scratch.len())?;
    let scalars = [
        narrow("step_size", step_size)?,
        T::from_f64(libm::sqrt(2.0 * step_size)),
    ];
    let noise = take(&mut scratch, particles.len());
    lanes.fill_normal(noise);
    T::Kernels::langevin(scalars, particles, scores, noise);
    Ok(())
}

/// Moves every chain once under a diagonal metric; see [`stein::riemannian`](super::stein::riemannian) for `metric` and `divergence`.
///
/// # Errors
/// As [`step`], and [`Error::Parameter`] for a negative metric.
///
/// ```
/// use thalweg::particle::{Evaluated, Particles};
/// use thalweg::particle::langevin;
/// use thalweg::random::{self, NoiseStream, Purpose};
/// let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
/// let mut x = [1.0_f32];
/// // No metric, no noise: eps Gamma is left.
/// langevin::riemannian_step(0.5, Particles::new(1, &mut x), &Evaluated { scores: &[9.0], metric: &[0.0], divergence: &[0.25] }, &mut lanes, &mut [0.0])?;
/// assert_eq!(x, [1.125]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn riemannian_step<T: Real>(
    step_size: f64,
    particles: Particles<'_, T>,
    evaluated: &Evaluated<'_, T>,
    lanes: &mut NoiseStream,
    mut scratch: &mut [T],
) -> Result<(), Error> {
    let Particles {
        d,
        positions: particles,
    } = particles;
    let Evaluated {
        scores,
        metric,
        divergence,
    } = *evaluated;
    check_positive("step_size", step_size)?;
    check_cloud(d, particles, scores)?;
    for (name, x) in [("metric", metric), ("divergence", divergence)] {
        check_length(name, particles.len(), x.len())?;
        check_finite(name, x, d)?;
    }
    let is_psd = metric.iter().all(|&m| m >= T::ZERO);
    crate::error::check("metric", is_psd, "must not be negative")?;
    check_scratch("scratch", particles.len(), scratch.len())?;
    let scalars = [
        narrow("step_size", step_size)?,
        T::from_f64(libm::sqrt(2.0 * step_size)),
    ];
    let noise = take(&mut scratch, particles.len());
    lanes.fill_normal(noise);
    T::Kernels::riemannian_langevin(scalars, particles, [scores, metric, divergence, noise]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use std::vec;

    #[test]
    fn the_stationary_variance_is_that_of_the_discrete_chain() {
        // theta' = (1 - eps) theta + sqrt(2 eps) N: variance 2 eps / (1 - (1 - eps)^2) = 1 / (1 - eps/2).
        let mut lanes = NoiseStream::new(&mut stream(5, 0, 0, Purpose::NOISE));
        let (mut x, mut g, mut room) = (vec![0.0_f64; 4000], vec![0.0; 4000], vec![0.0; 4000]);
        for _ in 0..60 {
            g.iter_mut().zip(&x).for_each(|(g, x)| *g = -x);
            step(0.2, Particles::new(2, &mut x), &g, &mut lanes, &mut room).unwrap();
        }
        let variance = x.iter().map(|x| x * x).sum::<f64>() / 4000.0;
        // Standard error sqrt(2/4000) = 0.022.
        assert!((variance - 1.0 / 0.9).abs() < 0.1, "{variance}");
    }

    #[test]
    fn the_unit_metric_is_langevin() {
        let mut lanes = NoiseStream::new(&mut stream(5, 0, 0, Purpose::NOISE));
        let mut other = lanes.clone();
        let (mut x, mut y, mut room) = ([1.0_f32, 2.0], [1.0_f32, 2.0], [0.0; 2]);
        step(
            0.1,
            Particles::new(2, &mut x),
            &[0.5, -1.0],
            &mut lanes,
            &mut room,
        )
        .unwrap();
        riemannian_step(
            0.1,
            Particles::new(2, &mut y),
            &Evaluated {
                scores: &[0.5, -1.0],
                metric: &[1.0; 2],
                divergence: &[0.0; 2],
            },
            &mut other,
            &mut room,
        )
        .unwrap();
        assert_eq!((x, lanes), (y, other));
        let bad = riemannian_step(
            0.1,
            Particles::new(2, &mut y),
            &Evaluated {
                scores: &[0.0; 2],
                metric: &[-1.0; 2],
                divergence: &[0.0; 2],
            },
            &mut NoiseStream::from_state([[1; 32]; 4]),
            &mut room,
        );
        assert!(bad.is_err());
    }
}
