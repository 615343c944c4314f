//! Effective sample size of chains.
//!
//! ```text
//! W = mean of the variances within chains (n - 1),  B = n var(means of chains),  V = W (n - 1)/n + B/n
//! rho_t = 1 - (W - mean over chains of gamma_t n/(n - 1)) / V           gamma_t = (1/n) sum of products at lag t
//! P_t = rho_{2t} + rho_{2t+1},  kept while positive, each at most the one before
//! tau = -1 + 2 sum_t P_t,   ESS = m n / max(tau, 1 / log10(m n))
//! ```
//! The initial monotone sequence of Geyer over several chains, as in Stan (without rank normalisation). Chains have equal length, at least 4
//! draws. Lags are taken until a pair is not positive, each in one pass: `O(m n)` per lag, nothing is stored.
//!
//! A chain whose draws are all equal is stuck, or its quantity is a constant; draws cannot tell which, so the result is NaN, whatever the
//! other chains do. Equality is that of the draws: the mean of equal numbers differs from them by rounding, and a variance of such
//! differences is small but positive. Squares neither overflow nor underflow: draws of extreme size are scaled by a power of two.
//!
//! Reference: Gelman et al., *Bayesian data analysis*, third edition (2013), section 11.5; Geyer (1992).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of particles and draws that are slices in memory"
)]

use crate::error::{check, check_length, ensure_finite};
use crate::{Error, Real};

/// Checks equal lengths and finite draws; returns the length.
pub(super) fn check_chains<T: Real>(chains: &[&[T]]) -> Result<usize, Error> {
    let n = chains.first().map_or(0, |chain| chain.len());
    check("chains", n >= 4, "must have at least 4 draws")?;
    for chain in chains {
        check_length("chain", n, chain.len())?;
        ensure_finite("chain", chain)?;
    }
    Ok(n)
}

/// All draws equal the first.
pub(super) fn is_constant<T: Real>(chain: &[T]) -> bool {
    chain.iter().all(|x| chain.first() == Some(x))
}

/// A power of two that brings the draws to a size whose squares, and sums of them, are normal numbers; 1 for all but extreme draws.
///
/// Draws that differ do so by at least `2^-53` of the largest, which leaves their squares far above the least normal number.
pub(super) fn scale<T: Real>(chains: &[&[T]]) -> f64 {
    let draws = chains.iter().flat_map(|chain| chain.iter());
    let most = draws.fold(0.0_f64, |most, x| Real::largest(most, x.to_f64().abs()));
    let [up, down] = [600_i64, -600].map(|power| f64::from_bits(((1023 + power) as u64) << 52));
    match most {
        _ if most > 1e150 => down,
        _ if most < 1e-120 => up,
        _ => 1.0,
    }
}

/// Mean of at least one number.
pub(super) fn mean(x: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = x.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
    sum / count
}

/// Effective number of independent draws among `chains`, for one quantity; NaN when all draws of any chain are equal.
///
/// # Errors
/// [`Error::Parameter`] for fewer than 4 draws, [`Error::Length`] for chains of unequal length, [`Error::NonFinite`] with the index of
/// the draw.
///
/// ```
/// use thalweg::particle::effective_sample_size::effective_sample_size;
/// // An alternating chain has more to say than independent draws: the most that is granted is n log10(n).
/// let chain = [1.0_f64, -1.0].repeat(50);
/// assert_eq!(effective_sample_size(&[&chain[..]])?, 200.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn effective_sample_size<T: Real>(chains: &[&[T]]) -> Result<f64, Error> {
    let n = check_chains(chains)?;
    if chains.iter().any(|chain| is_constant(chain)) {
        return Ok(f64::NAN);
    }
    let (count, m, scale) = (n as f64, chains.len() as f64, scale(chains));
    let draw = |x: &T| scale * x.to_f64();
    let centre = |chain: &[T]| mean(chain.iter().map(draw));
    // Mean over the chains of the autocovariance at a lag, in one pass over each.
    let covariance = |lag: usize| {
        mean(chains.iter().map(|chain| {
            let mu = centre(chain);
            let later = chain.iter().skip(lag);
            let products = chain
                .iter()
                .zip(later)
                .map(|(a, b)| (draw(a) - mu) * (draw(b) - mu));
            products.sum::<f64>() / count
        }))
    };
    // n >= 4.
    let unbiased = count / (count - 1.0);
    let within = covariance(0) * unbiased;
    let grand = mean(chains.iter().map(|chain| centre(chain)));
    let squares = chains
        .iter()
        .map(|chain| (centre(chain) - grand) * (centre(chain) - grand));
    let between = if m > 1.0 {
        squares.sum::<f64>() / (m - 1.0)
    } else {
        0.0
    };
    let total = within / unbiased + between;
    let rho = |lag: usize| {
        if lag == 0 {
            1.0
        } else {
            1.0 - (within - covariance(lag) * unbiased) / total
        }
    };
    let (mut tau, mut last) = (-1.0, f64::INFINITY);
    let mut lag = 0;
    while lag + 1 < n {
        let pair = rho(lag) + rho(lag + 1);
        if pair <= 0.0 {
            break;
        }
        last = last.min(pair);
        tau += 2.0 * last;
        lag += 2;
    }
    let draws = m * count;
    // No chain is constant, so W, and V with it, is positive. draws >= 4, so the logarithm is positive.
    Ok(draws / tau.max(1.0 / libm::log10(draws)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, normal, stream};
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn draws_of_any_size_have_the_bits_of_their_shape() {
        let mut rng = stream(3, 0, 0, Purpose::DATA);
        let mut chain = || -> Vec<f64> { (0..101).map(|_| normal(&mut rng)).collect() };
        let (a, b) = (chain(), chain());
        let at = |power: i32| {
            // 2^power, in two factors that are both normal numbers.
            let half = 2.0_f64.powi(power / 2);
            let scaled = |x: &[f64]| -> Vec<f64> { x.iter().map(|x| x * half * half).collect() };
            effective_sample_size(&[&scaled(&a)[..], &scaled(&b)]).unwrap()
        };
        let expected = at(0);
        assert!((100.0..400.0).contains(&expected), "{expected}");
        for power in [-960, -700, -400, 400, 664, 1020] {
            assert_eq!(at(power), expected, "2^{power}");
        }
    }

    #[test]
    fn an_autoregressive_chain_has_the_share_of_its_formula() {
        // ESS / n = (1 - a) / (1 + a).
        for (a, share) in [(0.0, 1.0), (0.5, 1.0 / 3.0), (0.9, 0.1 / 1.9)] {
            let mut rng = stream(3, 0, 0, Purpose::DATA);
            let chains: Vec<Vec<f64>> = (0..4)
                .map(|_| {
                    let mut x: f64 = normal(&mut rng);
                    let scale = (1.0_f64 - a * a).sqrt();
                    (0..20_000)
                        .map(|_| {
                            x = a * x + scale * normal::<f64>(&mut rng);
                            x
                        })
                        .collect()
                })
                .collect();
            let views: Vec<&[f64]> = chains.iter().map(Vec::as_slice).collect();
            let found = effective_sample_size(&views).unwrap() / 80_000.0;
            assert!((found / share - 1.0).abs() < 0.1, "{a}: {found}");
        }
    }

    #[test]
    fn chains_that_disagree_are_few_draws() {
        let mut rng = stream(3, 0, 0, Purpose::DATA);
        let mut chain =
            |at: f64| -> Vec<f64> { (0..500).map(|_| at + normal::<f64>(&mut rng)).collect() };
        let (a, b) = (chain(0.0), chain(20.0));
        assert!(effective_sample_size(&[&a[..], &b[..]]).unwrap() < 5.0);
    }

    #[test]
    fn constant_short_and_bad_chains() {
        // Values whose mean is not exact, and the first whose is.
        for value in [0.5, 0.1, 1.0 / 3.0, 7.7, -2.3, 1e-3, 1e200, 1e-200, 5e-324] {
            for n in [4, 9, 100] {
                let stuck = vec![value; n];
                let moving: Vec<f64> = (0..n).map(|t| (t * t % 7) as f64).collect();
                for chains in [
                    &[&stuck[..]][..],
                    &[&moving, &stuck],
                    &[&stuck, &moving, &moving],
                ] {
                    let found = effective_sample_size(chains).unwrap();
                    assert!(found.is_nan(), "{value} {n}: {found}");
                }
            }
        }
        let found = effective_sample_size(&[&[0.1_f32; 9][..]]).unwrap();
        assert!(found.is_nan());
        assert!(effective_sample_size::<f32>(&[]).is_err());
        assert!(effective_sample_size(&[&[1.0_f32; 4][..], &[1.0; 5]]).is_err());
        assert!(effective_sample_size(&[&[1.0_f32, 2.0, f32::NAN, 0.0][..]]).is_err());
    }
}
