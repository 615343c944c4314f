//! Stochastic gradient Nose-Hoover thermostat: a chain for each particle.
//!
//! ```text
//! r     <- r + eps (g - xi r) + sqrt(2 A eps) N
//! theta <- theta + eps r
//! xi    <- xi + eps (|r|^2/d - 1)
//! ```
//! The thermostat xi of a chain settles at A plus what noise in its scores adds. State: momenta, thermostats. Scratch: `n d`.
//!
//! Reference: Ding et al., *Bayesian sampling using stochastic gradient thermostats* (2014), algorithm 2.

use super::sghmc::Config;
use super::{Particles, check_cloud, check_finite, narrow};
use crate::error::{check_length, check_scratch};
use crate::memory::InRows;
use crate::memory::take;
use crate::random::NoiseStream;
use crate::{Error, Real, Storage, vector};

pub use super::momentum::Thermostats as State;

/// Moves every chain once; the friction of the config is A.
///
/// # Errors
/// As [`sghmc::step`](super::sghmc::step), with the thermostats in addition to the momenta.
///
/// ```
/// use thalweg::particle::Particles;
/// use thalweg::particle::{sghmc, sgnht};
/// use thalweg::random::{self, NoiseStream, Purpose};
/// let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
/// let config = sghmc::Config { step_size: 1.0, friction: 0.0 };
/// let mut state = sgnht::State::from_storage([1.0_f64, 2.0], [0.5]);
/// let mut x = [0.0; 2];
/// sgnht::step(&config, &mut state, Particles::new(2, &mut x), &[1.5, 1.0], &mut lanes, &mut [0.0; 2])?;
/// assert_eq!((x, state.thermostat()), ([2.0, 2.0], &[3.5][..]));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real, B: Storage<Elem = T>, X: Storage<Elem = T>>(
    config: &Config,
    state: &mut State<B, X>,
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
    let n = check_cloud(d, particles, scores)?;
    check_length("state.momentum", particles.len(), state.momentum().len())?;
    check_length("state.thermostat", n, state.thermostat().len())?;
    check_finite("momentum", state.momentum(), d)?;
    check_finite("thermostat", state.thermostat(), 1)?;
    check_scratch("scratch", particles.len(), scratch.len())?;
    let eps: T = narrow("step_size", config.step_size)?;
    let a = T::from_f64(libm::sqrt(2.0 * config.friction * config.step_size));
    let noise = take(&mut scratch, particles.len());
    if config.friction > 0.0 {
        lanes.fill_normal(noise);
    } else {
        noise.fill(T::ZERO);
    }
    // d >= 1: count() has accepted it.
    let share = T::ONE / T::from_usize(d);
    let (r, xi) = (
        state.momentum.as_mut_slice(),
        state.thermostat.as_mut_slice(),
    );
    let moved = particles.in_rows_mut(d).zip(r.in_rows_mut(d)).zip(xi);
    for (((x, r), xi), (g, noise)) in moved.zip(scores.in_rows(d).zip(noise.in_rows(d))) {
        for (((x, r), &g), &noise) in x.iter_mut().zip(r.iter_mut()).zip(g).zip(noise) {
            *r += eps * (g - *xi * *r) + a * noise;
            *x += eps * *r;
        }
        *xi += eps * (vector::norm2_squared(r) * share - T::ONE);
    }
    state.steps = state.steps.saturating_add(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use std::vec;

    #[test]
    fn thermostats_settle_at_the_friction_and_positions_at_the_target() {
        let mut lanes = NoiseStream::new(&mut stream(6, 0, 0, Purpose::NOISE));
        let (mut x, mut g, mut room) = (vec![1.0_f64; 4000], vec![0.0; 4000], vec![0.0; 4000]);
        let (mut momentum, mut thermostat) = (vec![0.0; 4000], vec![1.0; 400]);
        let mut state = State::from_storage(&mut momentum[..], &mut thermostat[..]);
        state.draw(&mut lanes, 1.0);
        let config = Config {
            step_size: 0.05,
            friction: 1.0,
        };
        for _ in 0..600 {
            g.iter_mut().zip(&x).for_each(|(g, x)| *g = -x);
            step(
                &config,
                &mut state,
                Particles::new(10, &mut x),
                &g,
                &mut lanes,
                &mut room,
            )
            .unwrap();
        }
        let variance = x.iter().map(|x| x * x).sum::<f64>() / 4000.0;
        let mean = state.thermostat().iter().sum::<f64>() / 400.0;
        assert!(
            (variance - 1.0).abs() < 0.1 && (mean - 1.0).abs() < 0.1,
            "{variance} {mean}"
        );
    }
}
