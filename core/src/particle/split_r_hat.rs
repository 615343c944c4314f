//! Split R-hat: whether chains, and the halves of each, agree.
//!
//! ```text
//! each chain is cut into halves of n draws:  W = mean of their variances,  B/n = variance of their means
//! R-hat = sqrt( ((n - 1)/n W + B/n) / W )
//! ```
//! Near 1 when the halves look alike; above 1.01 the chains have not mixed. The draw in the middle of an odd chain is left out. Without rank
//! normalisation. A half whose draws are all equal (compared with one another, not by a variance of rounding errors) has no variance to
//! compare, so the result is NaN: a chain that is stuck from its middle on, at the mean of the others, would look as if it had mixed.
//!
//! Reference: Gelman et al., *Bayesian data analysis*, third edition (2013), section 11.4.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of particles and draws that are slices in memory"
)]

use super::effective_sample_size::{check_chains, is_constant, mean, scale};
use crate::memory::must;
use crate::{Error, Real};

/// Split R-hat of one quantity; NaN when all draws of any chain, or of a half of one, are equal.
///
/// # Errors
/// [`Error::Parameter`] for fewer than 4 draws, [`Error::Length`] for chains of unequal length, [`Error::NonFinite`] with the index of
/// the draw.
///
/// ```
/// use thalweg::particle::split_r_hat::split_r_hat;
/// // Halves (0, 2) and (4, 6): W = 2, B/n = 8, R-hat = sqrt((1 + 8) / 2).
/// let found = split_r_hat(&[&[0.0_f64, 2.0, 4.0, 6.0][..]])?;
/// assert!((found - 4.5_f64.sqrt()).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn split_r_hat<T: Real>(chains: &[&[T]]) -> Result<f64, Error> {
    let n = check_chains(chains)?;
    let half = n / 2;
    let halves = || {
        chains
            .iter()
            .flat_map(move |chain| [chain.get(..half), chain.get(n - half..)].map(must))
    };
    if halves().any(is_constant) {
        return Ok(f64::NAN);
    }
    let scale = scale(chains);
    let draw = |x: &T| scale * x.to_f64();
    let centre = |half: &[T]| mean(half.iter().map(draw));
    // Halves have at least 2 draws, and there are at least two halves.
    let count = half as f64;
    let within = mean(halves().map(|half| {
        let mu = centre(half);
        half.iter()
            .map(|x| (draw(x) - mu) * (draw(x) - mu))
            .sum::<f64>()
            / (count - 1.0)
    }));
    let grand = mean(halves().map(centre));
    let squares = halves().map(|half| (centre(half) - grand) * (centre(half) - grand));
    let between = squares.sum::<f64>() / (2.0 * chains.len() as f64 - 1.0);
    Ok(libm::sqrt(
        ((count - 1.0) / count * within + between) / within,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal, stream};
    use std::vec::Vec;

    #[test]
    fn mixed_chains_are_near_one_and_a_trend_is_not() {
        let mut rng = stream(4, 0, 0, Purpose::DATA);
        let mut chain = |slope: f64| -> Vec<f64> {
            (0..1001)
                .map(|t| slope * f64::from(t) / 1000.0 + normal::<f64>(&mut rng))
                .collect()
        };
        let (a, b, trend) = (chain(0.0), chain(0.0), chain(3.0));
        assert!((split_r_hat(&[&a[..], &b[..]]).unwrap() - 1.0).abs() < 0.01);
        assert!(split_r_hat(&[&trend[..]]).unwrap() > 1.2);
        assert!(split_r_hat(&[&[1.0_f32; 3][..]]).is_err());
    }

    #[test]
    fn a_stuck_chain_or_half_is_not_a_number_among_moving_ones_too() {
        let moving: Vec<f64> = (0..100).map(|t| f64::from(t * t % 7)).collect();
        for value in [0.5, 0.1, 1.0 / 3.0, 7.7, -2.3, 1e-3, 3.0, 1e200, 1e-200] {
            let stuck = [value; 100];
            let mut late = moving.clone();
            late[50..].fill(value);
            for chains in [
                &[&stuck[..]][..],
                &[&moving, &stuck],
                &[&stuck, &[2.0 * value; 100]],
                &[&moving, &late],
            ] {
                assert!(split_r_hat(chains).unwrap().is_nan(), "{value}");
            }
        }
        assert!(split_r_hat(&[&[0.1_f32; 8][..]]).unwrap().is_nan());
    }

    #[test]
    fn draws_of_any_size_have_the_bits_of_their_shape() {
        // Halves (0, 2) and (4, 6) times 2^power.
        for power in [-1060, -700, 0, 700, 1020] {
            let half = 2.0_f64.powi(power / 2);
            let chain = [0.0, 2.0, 4.0, 6.0].map(|x: f64| x * half * half);
            assert_eq!(split_r_hat(&[&chain[..]]), Ok(4.5_f64.sqrt()), "2^{power}");
        }
    }
}
