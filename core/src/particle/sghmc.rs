//! Stochastic gradient Hamiltonian Monte Carlo: a chain for each particle.
//!
//! ```text
//! r     <- r + eps (g - c r) + sqrt(2 c eps) N
//! theta <- theta + eps r
//! ```
//! Particles do not interact; N are independent standard normal numbers. With friction `c = 0` no number is drawn. State: momenta.
//! Scratch: `n d` for the noise.
//!
//! Reference: Chen, Fox and Guestrin, *Stochastic gradient Hamiltonian Monte Carlo* (2014), equation 9, with the variance of the noise
//! of the scores taken as 0.

use super::{Particles, check_cloud, check_finite, check_non_negative, check_positive, narrow};
use crate::error::{check_length, check_scratch};
use crate::memory::take;
use crate::particle::Kernels as _;
use crate::random::NoiseStream;
use crate::simd::{Lanes, Update};
use crate::{Error, Real, Storage};

pub use super::momentum::State;

/// Hyperparameters.
///
/// ```
/// let config = thalweg::particle::sghmc::Config { step_size: 0.2, friction: 1.0 };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of a step; finite and positive.
    pub step_size: f64,
    /// Friction c; finite, at least 0.
    pub friction: f64,
}

impl Config {
    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first that is out of range.
    ///
    /// ```
    /// assert!(thalweg::particle::sghmc::Config { step_size: 0.1, friction: -1.0 }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check_positive("step_size", self.step_size)?;
        check_non_negative("friction", self.friction)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Euler<T> {
    pub(super) eps: T,
    pub(super) friction: T,
    pub(super) noise: T,
}
impl<T: Real> Update<T, 2, 2> for Euler<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, r]: [L; 2], [g, noise]: [L; 2]) -> [L; 2] {
        let c = |scalar| x.constant(scalar);
        let r = r + (c(self.eps) * (g - c(self.friction) * r) + c(self.noise) * noise);
        [x + c(self.eps) * r, r]
    }
}

/// Moves every chain once.
///
/// # Errors
/// [`Error::Length`] when shapes do not fit or `scratch` has fewer than `n d` elements, [`Error::Parameter`] for a config out of range,
/// [`Error::NonFinite`] with the index of the particle. Nothing is drawn or moved then.
///
/// ```
/// use thalweg::particle::Particles;
/// use thalweg::particle::sghmc;
/// use thalweg::random::{self, NoiseStream, Purpose};
/// let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
/// let config = sghmc::Config { step_size: 0.5, friction: 0.0 };
/// let mut state = sghmc::State::from_storage([1.0_f64]);
/// let mut x = [0.0];
/// sghmc::step(&config, &mut state, Particles::new(1, &mut x), &[-1.0], &mut lanes, &mut [0.0])?;
/// assert_eq!((x, state.momentum()), ([0.25], &[0.5][..]));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    state: &mut State<B>,
    particles: Particles<'_, T>,
    scores: &[T],
    lanes: &mut NoiseStream,
    mut scratch: &mut [T],
) -> Result<(), Error> {
    let Particles {
        d,
        positions: particles,
    } = particles;
    config.validate()?;
    check_cloud(d, particles, scores)?;
    check_length("state.momentum", particles.len(), state.momentum().len())?;
    check_finite("momentum", state.momentum(), d)?;
    check_scratch("scratch", particles.len(), scratch.len())?;
    let scalars = [
        narrow("step_size", config.step_size)?,
        narrow("friction", config.friction)?,
        T::from_f64(libm::sqrt(2.0 * config.friction * config.step_size)),
    ];
    let noise = take(&mut scratch, particles.len());
    if config.friction > 0.0 {
        lanes.fill_normal(noise);
    } else {
        noise.fill(T::ZERO);
    }
    let r = state.momentum.as_mut_slice();
    T::Kernels::sghmc_chain(scalars, particles, r, [scores, noise]);
    state.steps = state.steps.saturating_add(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use std::vec;

    #[test]
    fn chains_reach_the_moments_of_a_gaussian() {
        let mut lanes = NoiseStream::new(&mut stream(6, 0, 0, Purpose::NOISE));
        let (mut x, mut g, mut room) = (vec![3.0_f64; 4000], vec![0.0; 4000], vec![0.0; 4000]);
        let mut momentum = vec![0.0; 4000];
        let mut state = State::from_storage(&mut momentum[..]);
        let config = Config {
            step_size: 0.05,
            friction: 1.0,
        };
        for _ in 0..400 {
            g.iter_mut().zip(&x).for_each(|(g, x)| *g = -x / 4.0);
            step(
                &config,
                &mut state,
                Particles::new(2, &mut x),
                &g,
                &mut lanes,
                &mut room,
            )
            .unwrap();
        }
        let variance = x.iter().map(|x| x * x).sum::<f64>() / 4000.0;
        let heat = state.momentum().iter().map(|r| r * r).sum::<f64>() / 4000.0;
        assert!(
            (variance / 4.0 - 1.0).abs() < 0.1 && (heat - 1.0).abs() < 0.1,
            "{variance} {heat}"
        );
    }

    #[test]
    fn without_friction_the_generator_is_not_touched() {
        let mut lanes = NoiseStream::new(&mut stream(6, 0, 0, Purpose::NOISE));
        let before = lanes.clone();
        let config = Config {
            step_size: 0.05,
            friction: 0.0,
        };
        let mut state = State::<[f32; 2]>::new();
        step(
            &config,
            &mut state,
            Particles::new(2, &mut [1.0; 2]),
            &[1.0; 2],
            &mut lanes,
            &mut [0.0; 2],
        )
        .unwrap();
        assert_eq!(lanes, before);
    }
}
