//! Stein stochastic gradient Riemannian Hamiltonian Monte Carlo with a diagonal metric.
//!
//! ```text
//! H = U + |r|^2/2,  S = G^{-1/2},  D = diag(0, S S),  Q = [[0, -S], [S, 0]],  Gamma = (0, gamma)
//! kick   r_i     += (eps/n) sum_j [ k_ij (S_j g_j + gamma_j - S_j^2 r_j) + S_j grad_{theta_j} k_ij + S_j^2 grad_{r_j} k_ij ]
//! drift  theta_i += (eps/n) sum_j S_j [ k_ij r_j - grad_{r_j} k_ij ]
//! gamma_a = d S_a / d theta_a
//! ```
//! `S` is the diagonal at each particle, evaluated at the source, `gamma` its divergence; the caller fills both in addition to the scores. Leaving
//! `gamma` out makes the expectation of the field under p differ from zero.
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | theta, r, g | particles, momenta, scores | n x d |
//! | S, gamma | `metric`, `divergence` | n x d |
//!
//! Cost of a step: three kernel sums with `m = 2 d` and `2 d` columns.
//!
//! An `S` with elements off the diagonal is a [`Recipe`](super::general::Recipe): the momenta of one
//! [`direction_into`](super::general::direction_into), then the positions of the next.
//!
//! Reference: Shen, Heinonen and Kaski (2021); Ma, Chen and Fox, *A complete recipe for stochastic gradient MCMC* (2015), section 4.3.

use super::super::{Evaluated, Particles, check_cloud, check_finite};
use super::sghmc::Config;
use super::{SelectedBandwidth, copy, extend, field, narrow};
use crate::error::{check_length, check_scratch};
use crate::memory::take;
use crate::pairs::{Sequential, field_into, field_scratch_len, least_field_scratch_len};
use crate::particle::Kernels as _;
use crate::simd::{Lanes, Map};
use crate::vector::Kernels as _;
use crate::{Error, Real, Storage};

pub use super::super::momentum::State;

/// `S g + gamma - S^2 r`, `S^2`.
#[derive(Clone, Copy)]
pub(in crate::particle) struct Kick;
impl<T: Real> Map<T, 4, 2> for Kick {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [s, g, gamma, r]: [L; 4]) -> [L; 2] {
        let square = s * s;
        [(s * g + gamma) - square * r, square]
    }
}

/// `S r`, `-S`.
#[derive(Clone, Copy)]
pub(in crate::particle) struct Drift;
impl<T: Real> Map<T, 2, 2> for Drift {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [s, r]: [L; 2]) -> [L; 2] {
        [s * r, -s]
    }
}

/// Elements of scratch with which [`step`] runs at full speed.
///
/// ```
/// use thalweg::particle::stein::{sghmc::Config, sgrhmc};
/// assert!(sgrhmc::least_scratch_len(50, 2) < sgrhmc::scratch_len(&Config::new(0.1), 50, 2));
/// ```
pub const fn scratch_len(config: &Config, n: usize, d: usize) -> usize {
    let m = d.saturating_mul(2);
    let (field, median) = (
        field_scratch_len(n, m, d, true),
        config.bandwidth.scratch_len(n, m, d),
    );
    let larger = if field > median { field } else { median };
    buffers(n, d).saturating_add(larger)
}

/// Elements of scratch that [`step`] needs; the bits are the same.
///
/// ```
/// assert_eq!(thalweg::particle::stein::sgrhmc::least_scratch_len(10, 1), 70 + 10 * (2 + 1 + 1 + 4 + 1));
/// ```
pub const fn least_scratch_len(n: usize, d: usize) -> usize {
    buffers(n, d).saturating_add(least_field_scratch_len(n, d.saturating_mul(2), d, true))
}

/// Coordinates of the kernel, drift, weight, repulsion, two fields.
const fn buffers(n: usize, d: usize) -> usize {
    n.saturating_mul(d).saturating_mul(7)
}

/// One step of symplectic Euler; the friction of the config is not used, that of the metric is. Returns the bandwidth of the drift.
///
/// # Errors
/// As [`sghmc::step`](super::sghmc::step), with `metric` and `divergence` in addition to the scores.
///
/// ```
/// use thalweg::particle::{Evaluated, Particles};
/// use thalweg::particle::stein::{sghmc::Config, sgrhmc};
/// // One particle: r' = S g + gamma - S^2 r = 1 + 0.25 - 1, theta' = S r.
/// let mut state = sgrhmc::State::from_storage([4.0_f64]);
/// let mut x = [0.0];
/// sgrhmc::step(&Config::new(1.0), &mut state, Particles::new(1, &mut x), &Evaluated { scores: &[2.0], metric: &[0.5], divergence: &[0.25] }, &mut [0.0; 64])?;
/// assert_eq!((state.momentum(), x), (&[4.25][..], [2.125]));
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
    config.validate()?;
    let rate: T = narrow("step_size", config.step_size)?;
    let n = check_cloud(d, particles, scores)?;
    let (len, arithmetic) = (particles.len(), config.arithmetic);
    for (name, x) in [
        ("state.momentum", state.momentum()),
        ("metric", metric),
        ("divergence", divergence),
    ] {
        check_length(name, len, x.len())?;
        check_finite(name, x, d)?;
    }
    check_scratch("scratch", least_scratch_len(n, d), scratch.len())?;
    let y = take(&mut scratch, len.saturating_mul(2));
    let [v, s, u, out, second] = core::array::from_fn(|_| take(&mut scratch, len));
    let r = state.momentum.as_mut_slice();
    let at = extend(
        &config.bandwidth,
        arithmetic,
        d,
        [particles, r, &[]],
        y,
        scratch,
    )?;
    T::Kernels::riemannian_kick([metric, scores, divergence, r], [&mut *v, &mut *s]);
    let first = field(arithmetic, &at, d, v, Some(metric), particles);
    field_into(&mut Sequential, &first, out, scratch)?;
    T::Kernels::axpby(at.ratio, r, T::ZERO, r, u);
    v.fill(T::ZERO);
    let friction = field(arithmetic, &at, d, v, Some(s), u);
    field_into(&mut Sequential, &friction, second, scratch)?;
    // The new momenta wait in `second` until they and their bandwidth are known to be finite.
    T::Kernels::step_into(rate, r, out, u);
    T::Kernels::step_from(rate, u, second);
    check_finite("momentum", second, d)?;
    let at = extend(
        &config.bandwidth,
        arithmetic,
        d,
        [particles, second, &[]],
        y,
        scratch,
    )?;
    copy(second, r);
    T::Kernels::riemannian_drift([metric, r], [&mut *v, &mut *s]);
    T::Kernels::axpby(at.ratio, r, T::ZERO, r, u);
    let last = field(arithmetic, &at, d, v, Some(s), u);
    field_into(&mut Sequential, &last, out, scratch)?;
    T::Kernels::step_from(rate, particles, out);
    copy(out, particles);
    state.steps = state.steps.saturating_add(1);
    Ok(at.chosen)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{assert_golden, painted};
    use super::super::{Bandwidth, ExtendedBandwidth, sghmc};
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn the_kick_is_that_of_the_definition_in_numpy() {
        let [x, r, g] = [1, 2, 3].map(|phase| painted::<f64>(phase, 21));
        let metric: Vec<f64> = x.iter().map(|x| 1.0 / (1.0 + x * x).sqrt()).collect();
        let gamma: Vec<f64> = x.iter().map(|x| -x * (1.0 + x * x).powf(-1.5)).collect();
        let config = Config::new(1.0);
        let (mut y, mut momenta) = (x.clone(), r.clone());
        let mut scratch = vec![f64::NAN; scratch_len(&config, 7, 3)];
        let mut state = State::from_storage(&mut momenta[..]);
        step(
            &config,
            &mut state,
            Particles::new(3, &mut y),
            &Evaluated {
                scores: &g,
                metric: &metric,
                divergence: &gamma,
            },
            &mut scratch,
        )
        .unwrap();
        let kick: Vec<f64> = momenta.iter().zip(&r).map(|(a, b)| a - b).collect();
        assert_golden("sgrhmc_momentum", &kick, 1e-13);
        // A tiny step leaves the momenta as painted, so that the drift is the one of the table.
        let mut tiny = r.clone();
        let config = Config {
            step_size: 1e-9,
            ..config
        };
        let mut state = State::from_storage(&mut tiny[..]);
        let mut z = x.clone();
        step(
            &config,
            &mut state,
            Particles::new(3, &mut z),
            &Evaluated {
                scores: &g,
                metric: &metric,
                divergence: &gamma,
            },
            &mut scratch,
        )
        .unwrap();
        let drift: Vec<f64> = z.iter().zip(&x).map(|(a, b)| (a - b) / 1e-9).collect();
        assert_golden("sgrhmc_position", &drift, 1e-6);
    }

    #[test]
    fn the_unit_metric_is_sghmc_with_unit_friction() {
        let [x, r, g] = [1, 2, 3].map(|phase| painted::<f64>(phase, 20));
        let config = Config {
            bandwidth: ExtendedBandwidth::Joint(Bandwidth::Fixed(5.0)),
            ..Config::new(0.3)
        };
        let [mut y, mut z] = [x.clone(), x];
        let [mut p, mut q] = [r.clone(), r];
        let mut scratch = vec![0.0; scratch_len(&config, 10, 2)];
        let (one, none) = ([1.0; 20], [0.0; 20]);
        let mut state = State::from_storage(&mut p[..]);
        step(
            &config,
            &mut state,
            Particles::new(2, &mut y),
            &Evaluated {
                scores: &g,
                metric: &one,
                divergence: &none,
            },
            &mut scratch,
        )
        .unwrap();
        let mut state = State::from_storage(&mut q[..]);
        sghmc::step(
            &config,
            &mut state,
            Particles::new(2, &mut z),
            &g,
            &mut scratch,
        )
        .unwrap();
        for (a, b) in y.iter().chain(&p).zip(z.iter().chain(&q)) {
            assert!((a - b).abs() < 1e-14);
        }
    }
}
