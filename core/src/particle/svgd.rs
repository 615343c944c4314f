//! Stein variational gradient descent, which is also Stein Langevin dynamics (`D = I`, `Q = 0`).
//!
//! ```text
//! phi_i = (1/n) sum_j [ k_ij grad log p(x_j) + grad_{x_j} k_ij ]
//! x_i  <- x_i + eps phi_i                        all at once; other rules in `rule`
//! ```
//! The first term drives particles uphill along smoothed scores, the second, `(2/h) k_ij (x_i - x_j)` for the Gaussian kernel, keeps
//! them apart. Both are deterministic; the self term `j = i` is included. In the direction of steepest descent of
//! `KL(q | p)` within the unit ball of the kernel's space.
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x | particles | n x d |
//! | k | kernel, bandwidth h ([`bandwidth`](super::bandwidth)) | n x n, never stored |
//! | eps | step size | scalar |
//!
//! Cost: see [`pairs`](crate::pairs), with `m = d`. Stable while `eps (rho/n) / v < 2`, `rho` a row sum of k and `v` the
//! smallest variance of the target. One particle climbs the density; equal particles stay equal; an isolated
//! particle (all `k` underflowed) moves by its own score over `n`.
//!
//! # Variances in many dimensions
//! Means converge, variances come out too small unless there are many more particles than dimensions. On N(0, I) with the Gaussian
//! kernel, `n <= d + 1` particles come to rest at the corners of a regular simplex, whose marginal variance is
//!
//! ```text
//! v = (n - 1)/n h/(2 d) ln(1 + 2 n/h)  <  (n - 1)/d           whatever the fixed bandwidth h
//! v = (n - 1)/n ln(n + 1)/d,   h = 2                          under the median rule
//! ```
//! instead of 1: with `k` the kernel between two corners at the squared distance q, the field of a corner is `x_i (2 n k/h - (1 - k)) / n`,
//! so `k = 1/(1 + 2 n/h)`, and `|x_i|^2 = (n - 1)/(2 n) q` with `q = h ln(1 + 2 n/h)`. 20 particles in 20 dimensions have 0.145. More
//! particles help slowly under the median rule: 40 and 100 in 20 dimensions have 0.17 and 0.20. Do not read error bars off these
//! particles above some ten dimensions; chains ([`langevin`](super::langevin), [`hmc`](super::hmc)) have the right variances there.
//!
//! References: Liu and Wang, *Stein variational gradient descent* (2016), algorithm 1; Ba et al., *Understanding the variance collapse of
//! SVGD in high dimensions* (2022).

use super::bandwidth::{Bandwidth, KEEP_FROM, SelectedBandwidth, with_room};
use super::rule::{Rule, advance, check_state};
use super::{Particles, check_cloud, check_positive};
use crate::error::{check_length, check_scratch};
use crate::memory::take;
use crate::pairs::{
    Executor, Family, Field, Sequential, field_from, field_scratch_len, kept_len,
    least_field_scratch_len,
};
use crate::{Arithmetic, Error, Real, Storage};

pub use super::rule::State;

/// Hyperparameters.
///
/// ```
/// use thalweg::particle::{bandwidth::Bandwidth, rule::Rule, svgd};
/// let published = svgd::Config { rule: Rule::ADAGRAD, ..svgd::Config::new(1e-3) };
/// assert_eq!(published.bandwidth, Bandwidth::median(1.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of a step; finite and positive.
    pub step_size: f64,
    /// Step rule, default constant.
    pub rule: Rule,
    /// Kernel, default Gaussian.
    pub family: Family,
    /// Bandwidth, default the median rule.
    pub bandwidth: Bandwidth,
    /// Arithmetic of the matrix products.
    pub arithmetic: Arithmetic,
}

impl Config {
    /// A constant step, the Gaussian kernel, the median rule.
    ///
    /// ```
    /// assert_eq!(thalweg::particle::svgd::Config::new(0.3).step_size, 0.3);
    /// ```
    pub const fn new(step_size: f64) -> Self {
        Self {
            step_size,
            rule: Rule::Constant,
            family: Family::Rbf,
            bandwidth: Bandwidth::median(1.0),
            arithmetic: Arithmetic::Portable,
        }
    }

    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first that is out of range.
    ///
    /// ```
    /// use thalweg::particle::{bandwidth::Bandwidth, svgd::Config};
    /// let flat = Config { bandwidth: Bandwidth::Fixed(0.0), ..Config::new(0.1) };
    /// assert!(Config::new(0.1).validate().is_ok() && flat.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check_positive("step_size", self.step_size)?;
        self.rule.validate()?;
        self.bandwidth.validate()
    }

    /// Elements of scratch with which [`step`] runs at full speed.
    ///
    /// The median asks for half of the `n^2` distances and some, which from 64 particles on the sums use too; without that room they are computed
    /// several times.
    ///
    /// ```
    /// use thalweg::particle::{bandwidth::Bandwidth, svgd::Config};
    /// let fixed = Config { bandwidth: Bandwidth::Fixed(2.0), ..Config::new(0.1) };
    /// assert!(fixed.least_scratch_len(32, 2) <= fixed.scratch_len(32, 2));
    /// ```
    pub const fn scratch_len(&self, n: usize, d: usize) -> usize {
        let field = field_scratch_len(n, d, d, false);
        let larger = match self.bandwidth {
            // The distances lie where neither the median nor the sums write.
            Bandwidth::Median { .. } if n >= KEEP_FROM => {
                self.work_len(n, d).saturating_add(kept_len(n))
            }
            _ => {
                let median = self.bandwidth.scratch_len(n, d);
                if field > median { field } else { median }
            }
        };
        n.saturating_mul(d).saturating_add(larger)
    }

    /// Scratch of [`direction_into`] less the distances that are kept.
    const fn work_len(&self, n: usize, d: usize) -> usize {
        let field = field_scratch_len(n, d, d, false);
        let median = self.bandwidth.work_len(n, d);
        if field > median { field } else { median }
    }

    /// Elements of scratch that [`step`] needs; the bits are the same.
    ///
    /// ```
    /// use thalweg::particle::{bandwidth::Bandwidth, svgd::Config};
    /// let fixed = Config { bandwidth: Bandwidth::Fixed(2.0), ..Config::new(0.1) };
    /// // The field, centred particles twice, norms, two times 3 columns, one row of the kernel.
    /// assert_eq!(fixed.least_scratch_len(32, 2), 32 * (2 + 2 + 2 + 1 + 6 + 1));
    /// ```
    pub const fn least_scratch_len(&self, n: usize, d: usize) -> usize {
        n.saturating_mul(d)
            .saturating_add(least_field_scratch_len(n, d, d, false))
    }
}

/// Writes `phi`, the direction of a step, and returns the bandwidth.
///
/// Scratch: [`Config::scratch_len`] less `n d`, or less than that; see [`Config::least_scratch_len`]. Rule and step size
/// are not looked at.
///
/// # Errors
/// As [`step`]; `out` is unchanged.
///
/// ```
/// use thalweg::particle::svgd;
/// // One particle: the kernel is 1, nothing repels, and the field is the score.
/// let mut phi = [0.0; 2];
/// let config = svgd::Config::new(0.1);
/// let found = svgd::direction_into(&config, 2, &[5.0_f64, 7.0], &[0.5, -0.25], &mut phi, &mut [0.0; 64])?;
/// assert_eq!(phi, [0.5, -0.25]);
/// assert!(found.is_floored);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn direction_into<T: Real>(
    config: &Config,
    d: usize,
    particles: &[T],
    scores: &[T],
    out: &mut [T],
    scratch: &mut [T],
) -> Result<SelectedBandwidth<T>, Error> {
    direction_with(
        &mut Sequential,
        config,
        d,
        [particles, scores],
        out,
        scratch,
    )
}

fn direction_with<T: Real>(
    executor: &mut impl Executor<T>,
    config: &Config,
    d: usize,
    [particles, scores]: [&[T]; 2],
    out: &mut [T],
    scratch: &mut [T],
) -> Result<SelectedBandwidth<T>, Error> {
    let n = check_cloud(d, particles, scores)?;
    check_length("out", particles.len(), out.len())?;
    let least = least_field_scratch_len(n, d, d, false);
    check_scratch("scratch", least, scratch.len())?;
    let arithmetic = config.arithmetic;
    let rule = &config.bandwidth;
    let (chosen, kept, scratch) = match with_room(n, config.work_len(n, d), scratch) {
        (scratch, room) if !room.is_empty() => {
            let (chosen, kept) = rule.choose_keeping(arithmetic, d, particles, scratch, room)?;
            (chosen, kept, scratch)
        }
        (scratch, _) => (
            rule.choose(arithmetic, d, particles, scratch)?,
            None,
            scratch,
        ),
    };
    let field = Field {
        family: config.family,
        h: chosen.h,
        arithmetic,
        m: d,
        y: particles,
        d,
        drift: scores,
        weight: None,
        repel: particles,
    };
    field_from(executor, &field, kept, out, scratch)?;
    Ok(chosen)
}

/// Moves all particles once; returns the bandwidth.
///
/// `scores` holds `grad log p` at each particle. The state is empty for a constant step.
///
/// # Errors
/// [`Error::Length`] when `d` does not divide the particles, or `scores`, the state or the scratch
/// ([`Config::least_scratch_len`]) do not fit; [`Error::Parameter`] for a config out of range; [`Error::NonFinite`] with the index of the
/// first particle whose position or score is NaN or infinite. Nothing is moved then.
///
/// ```
/// use thalweg::particle::{Particles, bandwidth::Bandwidth, svgd};
/// // Two particles on a flat density only repel: (2/h) k / n = exp(-1/2) / 2.
/// let config = svgd::Config { bandwidth: Bandwidth::Fixed(2.0), ..svgd::Config::new(1.0) };
/// let mut x = [0.0_f64, 1.0];
/// let mut scratch = [0.0; 64];
/// svgd::step(&config, &mut svgd::State::<[f64; 0]>::new(), Particles::new(1, &mut x), &[0.0, 0.0], &mut scratch)?;
/// assert!((x[1] - 1.0 - (-0.5_f64).exp() / 2.0).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    state: &mut State<B>,
    particles: Particles<'_, T>,
    scores: &[T],
    scratch: &mut [T],
) -> Result<SelectedBandwidth<T>, Error> {
    step_with(&mut Sequential, config, state, particles, scores, scratch)
}

/// [`step`] with sums taken by `executor`: several threads, for one. The bits are those of [`step`].
///
/// # Errors
/// As [`step`].
pub fn step_with<T: Real, B: Storage<Elem = T>>(
    executor: &mut impl Executor<T>,
    config: &Config,
    state: &mut State<B>,
    particles: Particles<'_, T>,
    scores: &[T],
    mut scratch: &mut [T],
) -> Result<SelectedBandwidth<T>, Error> {
    let Particles {
        d,
        positions: particles,
    } = particles;
    config.validate()?;
    check_state(&config.rule, state, particles.len())?;
    let n = super::count(particles.len(), d)?;
    check_scratch("scratch", config.least_scratch_len(n, d), scratch.len())?;
    let field = take(&mut scratch, particles.len());
    let chosen = direction_with(executor, config, d, [particles, scores], field, scratch)?;
    advance(&config.rule, config.step_size, state, d, particles, field)?;
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_golden, painted};
    use super::*;
    use crate::pairs::KernelSum;

    use crate::snapshot::Snapshot;
    use std::vec;
    use std::vec::Vec;

    const FIXED: Config = Config {
        bandwidth: Bandwidth::Fixed(2.5),
        ..Config::new(0.1)
    };

    fn phi<T: Real>(config: &Config, d: usize, x: &[T], g: &[T]) -> Vec<T> {
        let mut out = vec![T::NAN; x.len()];
        let mut scratch = vec![T::NAN; config.scratch_len(x.len() / d, d)];
        direction_into(config, d, x, g, &mut out, &mut scratch).unwrap();
        out
    }

    #[test]
    fn the_field_is_that_of_numpy() {
        let (x, g) = (painted::<f64>(1, 21), painted::<f64>(3, 21));
        assert_golden("svgd_fixed", &phi(&FIXED, 3, &x, &g), 1e-14);
        assert_golden("svgd_median", &phi(&Config::new(0.1), 3, &x, &g), 1e-14);
        let imq = Config {
            family: Family::Imq,
            ..FIXED
        };
        assert_golden("svgd_imq", &phi(&imq, 3, &x, &g), 1e-14);
        let (x, g) = (painted::<f32>(1, 21), painted::<f32>(3, 21));
        for arithmetic in [Arithmetic::Portable, Arithmetic::Fast] {
            let config = Config {
                arithmetic,
                ..FIXED
            };
            assert_golden("svgd_fixed", &phi(&config, 3, &x, &g), 2e-6);
        }
    }

    /// One row of the sums after another.
    struct RowByRow;
    impl<T: Real> Executor<T> for RowByRow {
        fn sums_into(
            &mut self,
            sources: &KernelSum<'_, T>,
            out: &mut [T],
            scratch: &mut [T],
        ) -> Result<(), Error> {
            let rows = out.chunks_exact_mut(sources.columns()).enumerate();
            rows.into_iter()
                .try_for_each(|(i, out)| sources.sum_rows_into(i..i + 1, out, scratch))
        }
    }

    fn bits_do_not_depend<T: Real>() {
        for (n, d) in [(1, 3), (7, 3), (13, 1), (150, 5), (301, 17)] {
            let (x, g) = (painted::<T>(1, n * d), painted::<T>(3, n * d));
            for family in [Family::Rbf, Family::Imq] {
                let config = Config {
                    family,
                    ..Config::new(0.1)
                };
                let mut expected = None;
                for level in crate::testing::levels() {
                    let (least, most) = (config.least_scratch_len(n, d), config.scratch_len(n, d));
                    for len in [least, least + 5 * n, most - 1, most] {
                        for is_by_row in [false, true] {
                            let mut y = x.clone();
                            let mut state = State::<[T; 0]>::from_storage([]);
                            let scratch = &mut vec![T::NAN; len];
                            if is_by_row {
                                step_with(
                                    &mut RowByRow,
                                    &config,
                                    &mut state,
                                    Particles::new(d, &mut y),
                                    &g,
                                    scratch,
                                )
                            } else {
                                step(&config, &mut state, Particles::new(d, &mut y), &g, scratch)
                            }
                            .unwrap();
                            let bits: Vec<u64> = y.iter().map(|y| y.to_bits_u64()).collect();
                            let expected = expected.get_or_insert_with(|| bits.clone());
                            assert!(
                                *expected == bits,
                                "{level:?} {n} {d} {family:?} {len} {is_by_row}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn levels_scratch_symmetry_and_rows_leave_the_bits_alone() {
        bits_do_not_depend::<f32>();
        bits_do_not_depend::<f64>();
    }

    #[test]
    fn the_repulsion_sums_to_zero() {
        for family in [Family::Rbf, Family::Imq] {
            let config = Config { family, ..FIXED };
            let x = painted::<f64>(5, 60);
            let phi = phi(&config, 3, &x, &[0.0; 60]);
            assert!(phi.iter().any(|f| f.abs() > 1e-3));
            for c in 0..3 {
                let sum: f64 = phi.iter().skip(c).step_by(3).sum();
                assert!(sum.abs() < 1e-14, "{sum}");
            }
        }
    }

    #[test]
    fn permuted_particles_have_a_permuted_field() {
        let (n, d) = (19, 3);
        let (x, g) = (painted::<f64>(1, n * d), painted::<f64>(3, n * d));
        let turn = |v: &[f64]| -> Vec<f64> {
            (0..n)
                .flat_map(|i| v[(i * 7 % n) * d..][..d].to_vec())
                .collect()
        };
        let expected = turn(&phi(&FIXED, d, &x, &g));
        for (found, expected) in phi(&FIXED, d, &turn(&x), &turn(&g)).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn translation_changes_nothing_and_rotation_rotates() {
        let (x, g) = (painted::<f64>(1, 40), painted::<f64>(3, 40));
        let expected = phi(&Config::new(0.1), 2, &x, &g);
        let far: Vec<f64> = x.iter().map(|x| x + 1000.0).collect();
        for (found, expected) in phi(&Config::new(0.1), 2, &far, &g).iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-11);
        }
        let (c, s) = (0.6, 0.8);
        let rotate = |v: &[f64]| -> Vec<f64> {
            v.chunks(2)
                .flat_map(|v| [c * v[0] - s * v[1], s * v[0] + c * v[1]])
                .collect()
        };
        let found = phi(&Config::new(0.1), 2, &rotate(&x), &rotate(&g));
        for (found, expected) in found.iter().zip(rotate(&expected)) {
            assert!((found - expected).abs() < 1e-14);
        }
    }

    #[test]
    fn a_cloud_far_from_the_origin_keeps_its_field_in_single_precision() {
        let (x, g) = (painted::<f32>(1, 40), painted::<f32>(3, 40));
        let far: Vec<f32> = x.iter().map(|x| x + 4096.0).collect();
        // What the addition kept of the positions, exactly.
        let near: Vec<f32> = far.iter().map(|x| x - 4096.0).collect();
        let (found, expected) = (phi(&FIXED, 2, &far, &g), phi(&FIXED, 2, &near, &g));
        for (found, expected) in found.iter().zip(expected) {
            // The mean itself is known to 4096 u n.
            assert!((found - expected).abs() < 2e-4, "{found} {expected}");
        }
    }

    #[test]
    fn one_particle_climbs_its_own_score_and_equal_ones_stay_equal() {
        let found = phi(&Config::new(0.1), 2, &[5.0_f64, -3.0], &[0.25, 0.5]);
        assert_eq!(found, [0.25, 0.5]);
        let x = [5.0_f64, -3.0].repeat(6);
        let found = phi(&Config::new(0.1), 2, &x, &[0.25, 0.5].repeat(6));
        for f in found.chunks(2) {
            assert!((f[0] - 0.25).abs() < 1e-15 && (f[1] - 0.5).abs() < 1e-15);
            assert_eq!(f, &found[..2]);
        }
        assert_eq!(phi::<f32>(&Config::new(0.1), 2, &[], &[]), []);
    }

    #[test]
    fn an_isolated_particle_feels_its_own_score_over_n() {
        // k underflows beyond 104 h in f32.
        let config = Config {
            bandwidth: Bandwidth::Fixed(1.0),
            ..FIXED
        };
        let found = phi(
            &config,
            1,
            &[0.0_f32, 0.0, 0.0, 20.0],
            &[1.0, 1.0, 1.0, 8.0],
        );
        assert!((found[3] - 2.0).abs() < 1e-5 && (found[0] - 0.75).abs() < 1e-5);
    }

    #[test]
    fn a_bad_score_names_its_particle_and_nothing_moves() {
        let mut x = painted::<f32>(1, 12);
        let (before, mut g) = (x.clone(), painted::<f32>(3, 12));
        g[7] = f32::NAN;
        let mut state = State::from_storage([0.0; 12]);
        let config = Config {
            rule: Rule::ADAGRAD,
            ..FIXED
        };
        let scratch = &mut vec![0.0; config.scratch_len(4, 3)];
        let error = step(&config, &mut state, Particles::new(3, &mut x), &g, scratch).unwrap_err();
        assert_eq!(
            error,
            Error::NonFinite {
                name: "scores",
                at: crate::At::Particle(2)
            }
        );
        g[7] = 0.0;
        for (d, scores, len) in [(5, 12, 99), (0, 12, 99), (3, 11, 99), (3, 12, 20)] {
            let scratch = &mut scratch[..len];
            assert!(
                step(
                    &config,
                    &mut state,
                    Particles::new(d, &mut x),
                    &g[..scores],
                    scratch
                )
                .is_err()
            );
        }
        let bad = Config {
            step_size: -1.0,
            ..config
        };
        assert!(step(&bad, &mut state, Particles::new(3, &mut x), &g, scratch).is_err());
        assert_eq!((x, state.steps()), (before, 0));
    }

    #[test]
    fn rules_move_as_published() {
        let (x, g) = ([0.0_f64, 1.0, 3.0], [0.5, -0.25, 1.0]);
        let f = phi(&FIXED, 1, &x, &g);
        let run = |rule: Rule| {
            let config = Config { rule, ..FIXED };
            let mut buffer = vec![0.0; rule.state_len(3)];
            let mut state = State::from_storage(&mut buffer[..]);
            let (mut y, mut scratch) = (x, vec![0.0; config.scratch_len(3, 1)]);
            step(
                &config,
                &mut state,
                Particles::new(1, &mut y),
                &g,
                &mut scratch,
            )
            .unwrap();
            (y, buffer)
        };
        for i in 0..3 {
            assert_eq!(run(Rule::Constant).0[i], x[i] + 0.1 * f[i]);
            let (y, buffer) = run(Rule::ADAGRAD);
            assert!((y[i] - x[i] - 0.1 * f[i] / (1e-6 + f[i].abs())).abs() < 1e-15);
            assert!((buffer[i] - f[i] * f[i]).abs() < 1e-15);
            let (y, _) = run(Rule::ADAM);
            assert!((y[i] - x[i] - 0.1 * f[i].signum()).abs() < 1e-6);
        }
    }

    #[test]
    fn a_restored_run_has_the_bits_of_the_uninterrupted_one() {
        let config = Config {
            rule: Rule::ADAM,
            ..Config::new(0.05)
        };
        let mut state = State::<[f32; 24]>::new();
        let mut x = painted::<f32>(1, 12);
        let mut scratch = vec![0.0; config.scratch_len(6, 2)];
        let mut advance = |state: &mut State<[f32; 24]>, x: &mut [f32]| {
            for _ in 0..5 {
                let g: Vec<f32> = x.iter().map(|x| -x).collect();
                step(&config, state, Particles::new(2, x), &g, &mut scratch).unwrap();
            }
        };
        advance(&mut state, &mut x);
        let mut bytes = vec![0; state.snapshot_len()];
        state.save(&mut bytes).unwrap();
        let (mut resumed, mut y) = (State::<[f32; 24]>::new(), x.clone());
        resumed.restore(&bytes).unwrap();
        advance(&mut state, &mut x);
        advance(&mut resumed, &mut y);
        assert_eq!((state, x), (resumed, y));
    }

    #[test]
    fn particles_settle_at_the_moments_of_a_gaussian() {
        // p = N(1, 1/4): 30 particles, mean and variance to the accuracy of SVGD.
        let mut x = painted::<f64>(1, 30);
        let config = Config::new(0.1);
        let mut scratch = vec![0.0; config.scratch_len(30, 1)];
        for _ in 0..3000 {
            let g: Vec<f64> = x.iter().map(|x| -4.0 * (x - 1.0)).collect();
            step(
                &config,
                &mut State::<[f64; 0]>::new(),
                Particles::new(1, &mut x),
                &g,
                &mut scratch,
            )
            .unwrap();
        }
        let mean = x.iter().sum::<f64>() / 30.0;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 30.0;
        assert!((mean - 1.0).abs() < 1e-3, "{mean}");
        assert!((variance / 0.25 - 1.0).abs() < 0.1, "{variance}");
    }
}
