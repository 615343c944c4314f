//! Stein Riemannian Langevin dynamics with a diagonal metric.
//!
//! ```text
//! D = diag(m(theta)),  Q = 0,  Gamma_a = d m_a / d theta_a
//! theta_i <- theta_i + (eps/n) sum_j [ k_ij (m_j g_j + Gamma_j) + m_j grad_{theta_j} k_ij ]
//! ```
//! `m` is the diagonal of the inverse metric at each particle, `Gamma` its divergence; the caller fills both in addition to the scores. With
//! `m = 1` and `Gamma = 0` this is SVGD. For metrics that are not diagonal see [`general`](super::general).
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | theta, g | particles, scores | n x d |
//! | m, Gamma | `metric`, `divergence` | n x d |
//!
//! Cost: a kernel sum with `2 d` columns, see [`pairs`](crate::pairs).
//!
//! A metric with elements off the diagonal is a [`Recipe`](super::general::Recipe): one [`direction_into`](super::general::direction_into) is a
//! step.
//!
//! Reference: Shen, Heinonen and Kaski (2021); Girolami and Calderhead, *Riemann manifold Langevin and Hamiltonian Monte Carlo* (2011).

use super::super::rule::{State, advance, check_state};
use super::super::svgd::Config;
use super::super::{Evaluated, Particles, check_cloud, check_finite};
use super::SelectedBandwidth;
use crate::error::{check_length, check_scratch};
use crate::memory::take;
use crate::pairs::{Field, Sequential, field_into, field_scratch_len, least_field_scratch_len};
use crate::particle::Kernels as _;
use crate::simd::{Lanes, Map};
use crate::{Error, Real, Storage};

/// `m g + Gamma`.
#[derive(Clone, Copy)]
pub(in crate::particle) struct Drift;
impl<T: Real> Map<T, 3, 1> for Drift {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [m, g, gamma]: [L; 3]) -> [L; 1] {
        [m * g + gamma]
    }
}

/// Elements of scratch with which [`step`] runs at full speed.
///
/// ```
/// use thalweg::particle::{stein::riemannian, svgd::Config};
/// assert!(riemannian::least_scratch_len(50, 2) < riemannian::scratch_len(&Config::new(0.1), 50, 2));
/// ```
pub const fn scratch_len(config: &Config, n: usize, d: usize) -> usize {
    let (field, median) = (
        field_scratch_len(n, d, d, true),
        config.bandwidth.scratch_len(n, d),
    );
    let larger = if field > median { field } else { median };
    n.saturating_mul(d).saturating_mul(2).saturating_add(larger)
}

/// Elements of scratch that [`step`] needs; the bits are the same.
///
/// ```
/// assert_eq!(thalweg::particle::stein::riemannian::least_scratch_len(10, 1), 20 + 10 * (1 + 1 + 1 + 4 + 1));
/// ```
pub const fn least_scratch_len(n: usize, d: usize) -> usize {
    n.saturating_mul(d)
        .saturating_mul(2)
        .saturating_add(least_field_scratch_len(n, d, d, true))
}

/// Moves all particles once, under the step rule of the config; returns the bandwidth.
///
/// # Errors
/// As [`svgd::step`](crate::particle::svgd::step), with `metric` and `divergence` in addition to the scores.
///
/// ```
/// use thalweg::particle::{Evaluated, Particles};
/// use thalweg::particle::{stein::riemannian, svgd};
/// // One particle: eps (m g + Gamma).
/// let mut x = [1.0_f64];
/// let mut state = svgd::State::<[f64; 0]>::new();
/// riemannian::step(&svgd::Config::new(0.5), &mut state, Particles::new(1, &mut x), &Evaluated { scores: &[3.0], metric: &[0.5], divergence: &[0.25] }, &mut [0.0; 32])?;
/// assert_eq!(x, [1.875]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    state: &mut State<B>,
    particles: Particles<'_, T>,
    evaluated: &Evaluated<'_, T>,
    mut scratch: &mut [T],
) -> Result<SelectedBandwidth<T>, Error> {
    let Particles {
        d,
        positions: particles,
    } = particles;
    let Evaluated {
        scores,
        metric,
        divergence,
    } = *evaluated;
    let len = particles.len();
    config.validate()?;
    check_state(&config.rule, state, len)?;
    let n = check_cloud(d, particles, scores)?;
    check_length("metric", len, metric.len())?;
    check_length("divergence", len, divergence.len())?;
    check_finite("metric", metric, d)?;
    check_finite("divergence", divergence, d)?;
    check_scratch("scratch", least_scratch_len(n, d), scratch.len())?;
    let [v, out] = core::array::from_fn(|_| take(&mut scratch, len));
    let arithmetic = config.arithmetic;
    let chosen = config.bandwidth.choose(arithmetic, d, particles, scratch)?;
    T::Kernels::metric_times_scores([metric, scores, divergence], v);
    let field = Field {
        family: config.family,
        h: chosen.h,
        arithmetic,
        m: d,
        y: particles,
        d,
        drift: v,
        weight: Some(metric),
        repel: particles,
    };
    field_into(&mut Sequential, &field, out, scratch)?;
    advance(&config.rule, config.step_size, state, d, particles, out)?;
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{assert_golden, painted};
    use super::*;
    use crate::particle::bandwidth::Bandwidth;
    use crate::particle::svgd;
    use std::vec;
    use std::vec::Vec;

    const CONFIG: Config = Config {
        bandwidth: Bandwidth::Fixed(2.5),
        ..Config::new(1.0)
    };

    fn moved(x: &[f64], g: &[f64], metric: &[f64], gamma: &[f64]) -> Vec<f64> {
        let (mut y, n) = (x.to_vec(), x.len() / 3);
        let mut scratch = vec![f64::NAN; scratch_len(&CONFIG, n, 3)];
        let mut state = State::<[f64; 0]>::new();
        step(
            &CONFIG,
            &mut state,
            Particles::new(3, &mut y),
            &Evaluated {
                scores: g,
                metric,
                divergence: gamma,
            },
            &mut scratch,
        )
        .unwrap();
        y.iter().zip(x).map(|(y, x)| y - x).collect()
    }

    #[test]
    fn the_field_is_that_of_the_definition_in_numpy() {
        let (x, g) = (painted::<f64>(1, 21), painted::<f64>(3, 21));
        let metric: Vec<f64> = x.iter().map(|x| 1.0 / (1.0 + x * x).sqrt()).collect();
        let gamma: Vec<f64> = x.iter().map(|x| -x * (1.0 + x * x).powf(-1.5)).collect();
        assert_golden("rld", &moved(&x, &g, &metric, &gamma), 1e-13);
    }

    #[test]
    fn the_unit_metric_is_svgd() {
        let (x, g) = (painted::<f64>(1, 21), painted::<f64>(3, 21));
        let found = moved(&x, &g, &[1.0; 21], &[0.0; 21]);
        let (mut y, mut scratch) = (x.clone(), vec![0.0; CONFIG.scratch_len(7, 3)]);
        svgd::step(
            &CONFIG,
            &mut State::<[f64; 0]>::new(),
            Particles::new(3, &mut y),
            &g,
            &mut scratch,
        )
        .unwrap();
        for ((found, y), x) in found.iter().zip(y).zip(x) {
            assert_eq!(*found, y - x);
        }
    }
}
