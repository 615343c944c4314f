//! Stein stochastic gradient Nose-Hoover thermostat.
//!
//! ```text
//! H = U + |r|^2/2 + (d/2) (xi - A)^2,  D = diag(0, A I, 0),  Gamma = (0, 0, -1)
//! Q = [[0, -I, 0], [I, 0, r/d], [0, -r^T/d, 0]]
//! kick   r_i     += (eps/n) sum_j [ k_ij (g_j - xi_j r_j) + grad_{theta_j} k + A grad_{r_j} k + (r_j/d) grad_{xi_j} k ]
//! drift  theta_i += (eps/n) sum_j [ k_ij r_j - grad_{r_j} k ]
//!        xi_i    += (eps/n) sum_j [ k_ij (|r_j|^2/d - 1) - (r_j/d) . grad_{r_j} k ]
//! ```
//! The thermostat xi learns the friction that noise of unknown strength in the scores asks for. `d/2` in H, not
//! `1/(2 d)`: with the latter the drift is not that of SGNHT. The kernel is joint in (theta, r, xi).
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | theta, r, g | particles, momenta, scores | n x d |
//! | xi | thermostats | n |
//! | A | friction | scalar |
//!
//! Cost of a step: four kernel sums with `m = 2 d + 1`, two of them with `2 d` columns.
//!
//! Reference: Shen, Heinonen and Kaski (2021); Ding et al., *Bayesian sampling using stochastic gradient thermostats* (2014).

use super::super::{Particles, check_cloud, check_finite};
use super::sghmc::Config;
use super::{SelectedBandwidth, copy, extend, field, narrow};
use crate::error::{check_length, check_scratch};
use crate::memory::InRows;
use crate::memory::take;
use crate::pairs::{Sequential, field_into, field_scratch_len, least_field_scratch_len};
use crate::particle::Kernels as _;
use crate::vector::Kernels as _;
use crate::{Error, Real, Storage};

pub use super::super::momentum::Thermostats as State;
use super::ExtendedBandwidth;

/// Elements of scratch with which [`step`] runs at full speed.
///
/// ```
/// use thalweg::particle::stein::{sghmc::Config, sgnht};
/// assert!(sgnht::least_scratch_len(50, 2) < sgnht::scratch_len(&Config::new(0.1), 50, 2));
/// ```
pub const fn scratch_len(config: &Config, n: usize, d: usize) -> usize {
    let m = d.saturating_mul(2).saturating_add(1);
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
/// assert_eq!(thalweg::particle::stein::sgnht::least_scratch_len(10, 1), 80 + 10 * (3 + 1 + 1 + 4 + 1));
/// ```
pub const fn least_scratch_len(n: usize, d: usize) -> usize {
    let m = d.saturating_mul(2).saturating_add(1);
    buffers(n, d).saturating_add(least_field_scratch_len(n, m, d, true))
}

/// Coordinates of the kernel, drift, weight, repulsion, two fields.
const fn buffers(n: usize, d: usize) -> usize {
    n.saturating_mul(d.saturating_mul(7).saturating_add(1))
}

/// One step: momenta first, then positions and thermostats with the new momenta. Returns the bandwidth of the drift.
///
/// The friction of the config is A.
///
/// # Errors
/// As [`sghmc::step`](super::sghmc::step), with the thermostats in addition to the momenta; [`Error::Parameter`] for a
/// bandwidth that is not [`ExtendedBandwidth::Joint`].
///
/// ```
/// use thalweg::particle::Particles;
/// use thalweg::particle::stein::{sghmc::Config, sgnht};
/// // One particle in two dimensions: r' = g - xi r, xi' = |r|^2/2 - 1, theta' = r.
/// let mut state = sgnht::State::from_storage([1.0_f64, 2.0], [0.5]);
/// let mut x = [0.0, 0.0];
/// sgnht::step(&Config::new(1.0), &mut state, Particles::new(2, &mut x), &[1.5, 1.0], &mut [0.0; 64])?;
/// assert_eq!((state.momentum(), state.thermostat(), x), (&[2.0, 2.0][..], &[3.5][..], [2.0, 2.0]));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real, B: Storage<Elem = T>, X: Storage<Elem = T>>(
    config: &Config,
    state: &mut State<B, X>,
    particles: Particles<'_, T>,
    scores: &[T],
    mut scratch: &mut [T],
) -> Result<SelectedBandwidth<T>, Error> {
    let Particles {
        d,
        positions: particles,
    } = particles;
    config.validate()?;
    let is_joint = matches!(config.bandwidth, ExtendedBandwidth::Joint(_));
    crate::error::check("bandwidth", is_joint, "must be joint")?;
    let rate: T = narrow("step_size", config.step_size)?;
    let n = check_cloud(d, particles, scores)?;
    let (len, arithmetic, a) = (
        particles.len(),
        config.arithmetic,
        T::from_f64(config.friction),
    );
    check_length("state.momentum", len, state.momentum().len())?;
    check_length("state.thermostat", n, state.thermostat().len())?;
    check_finite("momentum", state.momentum(), d)?;
    check_finite("thermostat", state.thermostat(), 1)?;
    check_scratch("scratch", least_scratch_len(n, d), scratch.len())?;
    let y = take(&mut scratch, len.saturating_mul(2).saturating_add(n));
    let [v, s, u, out, second] = core::array::from_fn(|_| take(&mut scratch, len));
    let (r, xi) = (
        state.momentum.as_mut_slice(),
        state.thermostat.as_mut_slice(),
    );
    // d >= 1: count() has accepted it.
    let share = T::ONE / T::from_usize(d);

    let at = extend(
        &config.bandwidth,
        arithmetic,
        d,
        [particles, r, xi],
        y,
        scratch,
    )?;
    let rows = v.in_rows_mut(d).zip(scores.in_rows(d)).zip(r.in_rows(d));
    for ((v, (g, r)), &xi) in rows.map(|((v, g), r)| (v, (g, r))).zip(&*xi) {
        for ((v, &g), &r) in v.iter_mut().zip(g).zip(r) {
            *v = g - xi * r;
        }
    }
    T::Kernels::axpby(T::ONE, particles, a, r, u);
    field_into(
        &mut Sequential,
        &field(arithmetic, &at, d, v, None, u),
        out,
        scratch,
    )?;
    T::Kernels::axpby(share, r, T::ZERO, r, s);
    for (u, &xi) in u.in_rows_mut(d).zip(&*xi) {
        u.fill(xi);
    }
    v.fill(T::ZERO);
    field_into(
        &mut Sequential,
        &field(arithmetic, &at, d, v, Some(s), u),
        second,
        scratch,
    )?;
    // The new momenta wait in `second` until they and their bandwidth are known to be finite.
    T::Kernels::step_into(rate, r, out, u);
    T::Kernels::step_from(rate, u, second);
    check_finite("momentum", second, d)?;
    let at = extend(
        &config.bandwidth,
        arithmetic,
        d,
        [particles, second, xi],
        y,
        scratch,
    )?;
    copy(second, r);
    T::Kernels::axpby(-T::ONE, r, T::ZERO, r, u);
    field_into(
        &mut Sequential,
        &field(arithmetic, &at, d, r, None, u),
        out,
        scratch,
    )?;
    for ((v, s), &r) in v.iter_mut().zip(s.iter_mut()).zip(&*r) {
        // The columns add up to |r|^2/d - 1.
        *v = share * (r * r - T::ONE);
        *s = -(share * r);
    }
    field_into(
        &mut Sequential,
        &field(arithmetic, &at, d, v, Some(s), r),
        second,
        scratch,
    )?;
    T::Kernels::step_from(rate, particles, out);
    copy(out, particles);
    for (xi, f) in xi.iter_mut().zip(second.in_rows(d)) {
        *xi += rate * f.iter().fold(T::ZERO, |sum, &f| sum + f);
    }
    state.steps = state.steps.saturating_add(1);
    Ok(at.chosen)
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::{assert_golden, painted};
    use super::super::Bandwidth;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn the_fields_are_those_of_the_definition_in_numpy() {
        let [x, r, g] = [1, 2, 3].map(|phase| painted::<f64>(phase, 21));
        let xi: Vec<f64> = (0..7).map(|i| 0.9 + 0.1 * f64::from(i)).collect();
        // A tiny step leaves the momenta as painted for the drift.
        let config = Config {
            friction: 0.7,
            bandwidth: ExtendedBandwidth::Joint(Bandwidth::Fixed(6.0)),
            ..Config::new(1e-9)
        };
        let (mut y, mut momenta, mut thermostats) = (x.clone(), r.clone(), xi.clone());
        let mut scratch = vec![f64::NAN; scratch_len(&config, 7, 3)];
        let mut state = State::from_storage(&mut momenta[..], &mut thermostats[..]);
        step(
            &config,
            &mut state,
            Particles::new(3, &mut y),
            &g,
            &mut scratch,
        )
        .unwrap();
        let rate = |after: &[f64], before: &[f64]| -> Vec<f64> {
            after
                .iter()
                .zip(before)
                .map(|(a, b)| (a - b) / 1e-9)
                .collect()
        };
        assert_golden("sgnht_momentum", &rate(&momenta, &r), 2e-6);
        assert_golden("sgnht_position", &rate(&y, &x), 2e-6);
        assert_golden("sgnht_thermostat", &rate(&thermostats, &xi), 2e-6);
    }

    #[test]
    fn thermostats_are_checked_by_name() {
        let mut state = State::from_storage([0.0_f64; 4], [0.0, f64::NAN]);
        let mut scratch = [0.0; 400];
        let (mut x, config) = ([0.0, 1.0, 2.0, 3.0], Config::new(0.1));
        let error = step(
            &config,
            &mut state,
            Particles::new(2, &mut x),
            &[0.0; 4],
            &mut scratch,
        )
        .unwrap_err();
        assert_eq!(
            error,
            Error::NonFinite {
                name: "thermostat",
                at: crate::At::Particle(1)
            }
        );
        let mut state = State::from_storage([0.0_f64; 4], [0.0; 3]);
        assert!(
            step(
                &config,
                &mut state,
                Particles::new(2, &mut x),
                &[0.0; 4],
                &mut scratch
            )
            .is_err()
        );
    }
}
