//! Hamiltonian Monte Carlo: a chain for each particle, with a Metropolis test.
//!
//! ```text
//! r ~ N(0, I),  H = -log p(theta) + |r|^2/2
//! L times:  r += eps/2 g(theta),  theta += eps r,  r += eps/2 g(theta)
//! accept with probability min(1, exp(H_before - H_after))
//! ```
//! Exact for any step size. A proposal whose density is not finite is rejected, one of infinite density included: it would be accepted
//! whatever the uniform number says and never left. A trajectory that reaches a position or a score that is not finite ends there and is
//! rejected: the density is not asked at positions that are not finite. Densities on the way only matter at the end. State: none; the
//! momenta of the last step are left in the scratch. Scratch: `3 d`.
//!
//! Reference: Neal, *MCMC using Hamiltonian dynamics* (2011), figure 2.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of particles and draws that are slices in memory"
)]

use crate::memory::InRows;
use crate::memory::take;
use rand_core::Rng;

use super::{Particles, check_finite, check_positive, count, narrow};
use crate::error::{check, check_scratch, ensure_finite_at};
use crate::random::{normal, uniform};
use crate::{At, Error, Real, vector};

/// Hyperparameters.
///
/// ```
/// let config = thalweg::particle::hmc::Config { step_size: 0.1, leapfrog_steps: 10 };
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of a leapfrog step; finite and positive.
    pub step_size: f64,
    /// Leapfrog steps of a proposal; positive.
    pub leapfrog_steps: usize,
}

impl Config {
    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first that is out of range.
    ///
    /// ```
    /// assert!(thalweg::particle::hmc::Config { step_size: 0.1, leapfrog_steps: 0 }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check_positive("step_size", self.step_size)?;
        check(
            "leapfrog_steps",
            self.leapfrog_steps > 0,
            "must be positive",
        )
    }
}

/// Elements of scratch of [`step`].
///
/// ```
/// assert_eq!(thalweg::particle::hmc::scratch_len(5), 15);
/// ```
pub const fn scratch_len(d: usize) -> usize {
    d.saturating_mul(3)
}

/// Moves every chain once; returns how many proposals were accepted. `density(x, g)` returns `log p(x)` and writes its gradient.
///
/// Costs at most `leapfrog_steps + 1` densities per particle, at finite positions. A particle draws `d` normal numbers and a uniform one,
/// whatever becomes of its proposal.
///
/// # Errors
/// [`Error::Length`] when shapes or scratch do not fit, [`Error::Parameter`] for a config out of range, [`Error::NonFinite`]
/// with the index of the first particle whose position is not finite, or where the density or score is not: chains before it have
/// moved in the latter case.
///
/// ```
/// use thalweg::particle::{Particles, hmc};
/// use thalweg::random::{self, Purpose};
/// let config = hmc::Config { step_size: 0.01, leapfrog_steps: 3 };
/// let mut rng = random::stream(1, 0, 0, Purpose::NOISE);
/// let mut x = [1.0_f64, 2.0];
/// let density = |x: &[f64], g: &mut [f64]| {
///     g[0] = -x[0];
///     -x[0] * x[0] / 2.0
/// };
/// let accepted = hmc::step(&config, Particles::new(1, &mut x), &mut rng, density, &mut [0.0; 3])?;
/// assert_eq!(accepted, 2); // short steps keep the energy
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real>(
    config: &Config,
    particles: Particles<'_, T>,
    rng: &mut impl Rng,
    mut density: impl FnMut(&[T], &mut [T]) -> T,
    mut scratch: &mut [T],
) -> Result<usize, Error> {
    let Particles {
        d,
        positions: particles,
    } = particles;
    config.validate()?;
    count(particles.len(), d)?;
    check_finite("particles", particles, d)?;
    check_scratch("scratch", scratch_len(d), scratch.len())?;
    let eps: T = narrow("step_size", config.step_size)?;
    let half = eps / (T::ONE + T::ONE);
    let [x, r, g] = core::array::from_fn(|_| take(&mut scratch, d));
    let mut accepted = 0;
    for (index, particle) in particles.in_rows_mut(d).enumerate() {
        for (x, &from) in x.iter_mut().zip(&*particle) {
            *x = from;
        }
        r.fill_with(|| normal(rng));
        let mut log_p = density(x, g).to_f64();
        let is_finite = log_p.is_finite() && vector::first_non_finite(g).is_none();
        ensure_finite_at("density", is_finite, At::Particle(index))?;
        let before = vector::norm2_squared(r).to_f64() / 2.0 - log_p;
        let is_finite = |x: &[T]| vector::first_non_finite(x).is_none();
        let mut is_sound = true;
        for _ in 0..config.leapfrog_steps {
            vector::axpy(half, g, r)?;
            vector::axpy(eps, r, x)?;
            is_sound = is_finite(x);
            if is_sound {
                log_p = density(x, g).to_f64();
                is_sound = is_finite(g);
            }
            if !is_sound {
                break;
            }
            vector::axpy(half, g, r)?;
        }
        is_sound = is_sound && log_p.is_finite();
        let after = vector::norm2_squared(r).to_f64() / 2.0 - log_p;
        // One uniform in every case; momenta that overflow have an infinite energy, and exp(-inf) is 0.
        let is_accepted = uniform::<f64>(rng) < libm::exp(before - after);
        if is_sound && is_accepted {
            for (particle, &x) in particle.iter_mut().zip(&*x) {
                *particle = x;
            }
            accepted += 1;
        }
    }
    Ok(accepted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};
    use std::vec;

    #[test]
    fn long_steps_are_corrected_by_the_test() {
        // N(0, 4) with leapfrog steps of 1.5: the accepted chain has the exact variance.
        let config = Config {
            step_size: 1.5,
            leapfrog_steps: 2,
        };
        let mut rng = stream(2, 0, 0, Purpose::NOISE);
        let (mut x, mut scratch) = (vec![0.0_f64; 4000], [0.0; 6]);
        let mut accepted = 0;
        for _ in 0..30 {
            accepted += step(
                &config,
                Particles::new(2, &mut x),
                &mut rng,
                |x, g| {
                    g.copy_from_slice(&[-x[0] / 4.0, -x[1] / 4.0]);
                    -(x[0] * x[0] + x[1] * x[1]) / 8.0
                },
                &mut scratch,
            )
            .unwrap();
        }
        let variance = x.iter().map(|x| x * x).sum::<f64>() / 4000.0;
        assert!((variance / 4.0 - 1.0).abs() < 0.1, "{variance}");
        assert!((20_000..60_000).contains(&accepted), "{accepted}");
    }

    #[test]
    fn an_infinite_density_is_rejected_and_never_entered() {
        let config = Config {
            step_size: 0.5,
            leapfrog_steps: 1,
        };
        for wall in [f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let mut rng = stream(2, 0, 0, Purpose::NOISE);
            let (mut x, mut accepted, mut largest) = ([0.5_f64], 0, f64::MIN);
            for _ in 0..400 {
                accepted += step(
                    &config,
                    Particles::new(1, &mut x),
                    &mut rng,
                    |x, g| {
                        g[0] = -x[0];
                        if x[0] > 1.0 { wall } else { -x[0] * x[0] / 2.0 }
                    },
                    &mut [0.0; 3],
                )
                .unwrap();
                largest = largest.max(x[0]);
            }
            assert!(
                accepted > 200 && largest <= 1.0,
                "{wall} {accepted} {largest}"
            );
        }
    }

    #[test]
    fn the_density_is_asked_at_finite_positions_only() {
        // Scores that are not finite or so large that the next position is not; momenta of both signs.
        for bad in [f32::NAN, f32::INFINITY, -f32::INFINITY, f32::MAX, -f32::MAX] {
            let config = Config {
                step_size: 3.0,
                leapfrog_steps: 5,
            };
            let mut rng = stream(7, 0, 0, Purpose::NOISE);
            let mut x = [0.5_f32, -0.5];
            for _ in 0..100 {
                step(
                    &config,
                    Particles::new(2, &mut x),
                    &mut rng,
                    |x, g| {
                        assert!(x.iter().all(|x| x.is_finite()), "{bad} {x:?}");
                        let radius = x[0] * x[0] + x[1] * x[1];
                        let far = if radius > 9.0 { bad } else { 0.0 };
                        g.copy_from_slice(&[-x[0], far - x[1]]);
                        -radius / 2.0
                    },
                    &mut [0.0; 6],
                )
                .unwrap();
                assert!(x.iter().all(|x| x.abs() <= 3.0), "{bad} {x:?}");
            }
        }
    }

    #[test]
    fn a_density_that_is_not_finite_names_its_particle_and_bad_proposals_are_rejected() {
        let config = Config {
            step_size: 1.0,
            leapfrog_steps: 1,
        };
        let mut rng = stream(2, 0, 0, Purpose::NOISE);
        let mut x = [1.0_f64, 2.0];
        let mut run = |limit: f64| {
            step(
                &config,
                Particles::new(1, &mut x),
                &mut rng,
                |x, g| {
                    g[0] = 0.0;
                    if x[0] == limit { f64::NAN } else { 0.0 }
                },
                &mut [0.0; 3],
            )
        };
        assert_eq!(
            run(2.0),
            Err(Error::NonFinite {
                name: "density",
                at: At::Particle(1)
            })
        );
        let mut x = [0.0_f64];
        let found = step(
            &config,
            Particles::new(1, &mut x),
            &mut rng,
            |x, g| {
                g[0] = 0.0;
                if x[0] == 0.0 { 0.0 } else { f64::NAN }
            },
            &mut [0.0; 3],
        );
        assert_eq!((found, x), (Ok(0), [0.0]));
    }
}
