//! Particles that represent a density known by its score: deterministic, interacting, or noisy.
//!
//! `n` points of dimension `d` are one row-major slice of `n d` numbers (`points.as_flattened()` of a `[[T; D]; N]`), their scores
//! `grad log p` another of the same shape. A step reads the scores that the caller has filled in ([`score`] fills them from a
//! closure or an [`Objective`](crate::model::Objective)) and moves all particles at once.
//!
//! | member | state in addition to the particles | what it is |
//! |---|---|---|
//! | [`svgd`] | 0, `n d` or `2 n d` ([`rule`]) | Stein variational gradient descent, which is Stein Langevin dynamics |
//! | [`matrix_svgd`] | as [`svgd`] | the same under a constant matrix kernel |
//! | [`stein`] | momenta `n d`, thermostats `n` | Stein forms of Langevin, SGHMC, SGNHT, SGRHMC, and the general update |
//! | [`langevin`], [`hmc`], [`sghmc`], [`sgnht`] | momenta, thermostats | the stochastic parents, a chain for each particle |
//! | [`bandwidth`], [`pairs`](crate::pairs) | - | median rule; kernel sums in tiles |
//! | [`ksd`], [`mmd`], [`energy_distance`], [`effective_sample_size`], [`split_r_hat`] | - | how good a sample is |
//!
//! # Sums over pairs
//! All interacting members are one sum ([`pairs::field_into`](crate::pairs::field_into)):
//!
//! ```text
//! out_i = (1/n) sum_j k_ij [ v_j + (2/h) s_j (u_i - u_j) ]
//! ```
//!
//! taken as two matrix products with an exponential between them, a block of rows at a time: `n x n` numbers are never stored. Each
//! element is one chain of operations in the order of `j`, so the bits depend neither on the height of the blocks (the
//! length of the scratch), nor on threads, nor on whether symmetry halves the work.
//!
//! # Errors
//! A score that is NaN or infinite is [`Error::NonFinite`] with the index of its *particle*, before anything is written: one bad particle
//! would poison all others in one step.

pub mod bandwidth;
pub mod effective_sample_size;
pub mod energy_distance;
pub mod hmc;
pub mod ksd;
pub mod langevin;
pub mod matrix_svgd;
pub mod mmd;
pub mod momentum;
pub mod rule;
pub mod score;
pub mod sghmc;
pub mod sgnht;
pub mod split_r_hat;
pub mod stein;
pub mod svgd;
pub mod target;

use crate::error::{check, check_length, ensure_finite_by};
use crate::memory::must_or;
use crate::real::kernels;
use crate::{At, Error, Real, simd};

kernels! {
    /// The loops of the particle methods but for the sums over pairs.
    trait Kernels<T> {
        fn step_from(rate: T, x: &[T], f: &mut [T]) {
            simd::update(&rule::Target(rate), [f], [x]);
        }
        fn step_into(rate: T, x: &[T], f: &[T], out: &mut [T]) {
            simd::map(&stein::Moved(rate), [x, f], [out]);
        }
        fn adagrad_rule([rate, old, new, fudge]: [T; 4], x: &mut [T], v: &mut [T], f: &[T]) {
            simd::update(&rule::AdaGrad { rate, old, new, fudge }, [x, v], [f]);
        }
        fn adam_rule(
            first: [T; 2],
            second: [T; 2],
            [rate, fudge]: [T; 2],
            [x, m, v]: [&mut [T]; 3],
            f: &[T],
        ) {
            simd::update(&rule::Adam { first, second, rate, fudge }, [x, m, v], [f]);
        }
        fn posterior_score(weights: score::Weights<T>, x: &[T], gradient: &mut [T]) {
            simd::update(&weights, [gradient], [x]);
        }
        fn langevin([eps, a]: [T; 2], x: &mut [T], scores: &[T], noise: &[T]) {
            simd::update(&langevin::Euler(eps, a), [x], [scores, noise]);
        }
        fn riemannian_langevin([eps, a]: [T; 2], x: &mut [T], read: [&[T]; 4]) {
            simd::update(&langevin::Riemannian(eps, a), [x], read);
        }
        fn sghmc_chain([eps, friction, noise]: [T; 3], x: &mut [T], r: &mut [T], read: [&[T]; 2]) {
            simd::update(&sghmc::Euler { eps, friction, noise }, [x, r], read);
        }
        fn riemannian_kick(read: [&[T]; 4], out: [&mut [T]; 2]) {
            simd::map(&stein::sgrhmc::Kick, read, out);
        }
        fn riemannian_drift(read: [&[T]; 2], out: [&mut [T]; 2]) {
            simd::map(&stein::sgrhmc::Drift, read, out);
        }
        fn metric_times_scores(read: [&[T]; 3], out: &mut [T]) {
            simd::map(&stein::riemannian::Drift, read, [out]);
        }
    }
}

/// Particles that a sampler moves.
///
/// ```
/// use thalweg::particle::Particles;
/// let mut x = [[1.0_f32, 2.0], [3.0, 4.0]];
/// assert_eq!(Particles::new(2, x.as_flattened_mut()).positions, [1.0, 2.0, 3.0, 4.0]);
/// ```
#[derive(Debug, PartialEq)]
pub struct Particles<'a, T> {
    /// Dimension of a particle, at least 1.
    pub d: usize,
    /// Positions, one particle after another: `n d` numbers.
    pub positions: &'a mut [T],
}

impl<'a, T> Particles<'a, T> {
    /// `positions` in rows of `d`; whether `d` divides their number is checked where they move.
    ///
    /// ```
    /// use thalweg::particle::Particles;
    /// assert_eq!(thalweg::particle::Particles::new(3, &mut [0.0; 6]).d, 3);
    /// ```
    pub const fn new(d: usize, positions: &'a mut [T]) -> Self {
        Self { d, positions }
    }
}

/// What the caller evaluates at each particle for a sampler with a diagonal metric; each of `n d` numbers.
///
/// ```
/// use thalweg::particle::Evaluated;
/// // p = N(0, 1) under the metric m(x) = 1 + x^2, at x = 2.
/// let at = Evaluated { scores: &[-2.0], metric: &[5.0], divergence: &[4.0] };
/// assert_eq!(at.metric[0] * at.scores[0] + at.divergence[0], -6.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluated<'a, T> {
    /// Scores `grad log p`.
    pub scores: &'a [T],
    /// Diagonal of the metric; its square root for SGRHMC.
    pub metric: &'a [T],
    /// Derivative of each element of `metric` with respect to its coordinate.
    pub divergence: &'a [T],
}

/// Particles of a slice of `len` numbers.
///
/// # Errors
/// [`Error::Parameter`] when `d` is zero, [`Error::Length`] when `d` does not divide `len`.
///
/// ```
/// assert_eq!(thalweg::particle::count(12, 3), Ok(4));
/// assert!(thalweg::particle::count(12, 5).is_err());
/// ```
pub const fn count(len: usize, d: usize) -> Result<usize, Error> {
    match (len.checked_div(d), len.checked_rem(d)) {
        (Some(n), Some(0)) => Ok(n),
        (Some(n), _) => Err(Error::Length {
            name: "particles",
            expected: n.saturating_mul(d),
            found: len,
        }),
        _ => Err(Error::Parameter {
            name: "d",
            rule: "must be positive",
        }),
    }
}

/// Refuses values that are not finite, by the index of their particle.
fn check_finite<T: Real>(name: &'static str, x: &[T], d: usize) -> Result<(), Error> {
    ensure_finite_by(name, x, |i| At::Particle(must_or(i.checked_div(d), i)))
}

/// Checks shapes and scores; returns the number of particles.
fn check_cloud<T: Real>(d: usize, particles: &[T], scores: &[T]) -> Result<usize, Error> {
    let n = count(particles.len(), d)?;
    check_length("scores", particles.len(), scores.len())?;
    check_finite("particles", particles, d)?;
    check_finite("scores", scores, d)?;
    Ok(n)
}

/// Rounds a scalar of a step to the type of the particles.
fn narrow<T: Real>(name: &'static str, x: f64) -> Result<T, Error> {
    let rounded = T::from_f64(x);
    check(
        name,
        rounded.is_finite(),
        "must be finite in the scalar type",
    )?;
    Ok(rounded)
}

/// Step sizes and scales.
pub(crate) fn check_positive(name: &'static str, x: f64) -> Result<(), Error> {
    check(
        name,
        x > 0.0 && x.is_finite(),
        "must be finite and positive",
    )
}

/// Frictions, floors.
fn check_non_negative(name: &'static str, x: f64) -> Result<(), Error> {
    check(
        name,
        x >= 0.0 && x.is_finite(),
        "must be finite and not negative",
    )
}

use crate::optim::snapshot;

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    /// The inputs of core/tests/golden/particle.py.
    pub(super) fn painted<T: Real>(phase: usize, len: usize) -> Vec<T> {
        (0..len)
            .map(|i| T::from_f64(((i * 37 + phase * 53) % 251) as f64 / 64.0 - 1.95))
            .collect()
    }

    /// A line of core/tests/golden/particle.txt.
    pub(super) fn golden(name: &str) -> Vec<f64> {
        let text = include_str!("../tests/golden/particle.txt");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let numbers = line.unwrap().split_whitespace();
        numbers.map(|number| number.parse().unwrap()).collect()
    }

    /// The numbers agree with a golden line to `tolerance` of its largest.
    #[track_caller]
    pub(super) fn assert_golden<T: Real>(name: &str, found: &[T], tolerance: f64) {
        let expected = golden(name);
        assert_eq!(found.len(), expected.len());
        let size = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let error = (found.to_f64() - expected).abs();
            assert!(
                error <= tolerance * size,
                "{name} {i}: {found} against {expected}"
            );
        }
    }

    #[test]
    fn counts_divide() {
        assert_eq!(count(0, 3), Ok(0));
        assert!(matches!(
            count(7, 3),
            Err(Error::Length { expected: 6, .. })
        ));
        assert!(matches!(
            count(7, 0),
            Err(Error::Parameter { name: "d", .. })
        ));
    }
}
