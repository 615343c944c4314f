//! Keyed draws behind splits, partitions and batches: integer arithmetic and `libm`, so the same everywhere.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// What a stream is drawn for; two purposes never share a stream.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Split = 1,
    Iid,
    ByClass,
    ByClient,
    Homogeneous,
    Replace,
    Shuffle,
    Resample,
}

/// The stream of a key; `round` and `client` are zero where there is none.
pub(super) fn stream(seed: u64, round: u64, client: u64, purpose: Purpose) -> impl Rng {
    // SplitMix64's finaliser between the words: keys that differ in one bit give unrelated streams.
    let mix = |hash: u64, word: u64| {
        let z = (hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let key = [purpose as u64, seed, round, client]
        .into_iter()
        .fold(0, mix);
    Xoshiro256PlusPlus::seed_from_u64(key)
}

/// An integer in `0..n`, unbiased (Lemire 2019, arXiv 1805.10941, algorithm 5); 0 where `n` is 0.
pub(super) fn below(rng: &mut impl Rng, n: usize) -> usize {
    let n = n as u64;
    loop {
        let wide = u128::from(rng.next_u64()) * u128::from(n);
        // The low half must not fall among the first 2^64 mod n, which are one too many.
        let low = wide as u64;
        if low >= n || low >= n.wrapping_neg().checked_rem(n).unwrap_or(0) {
            return (wide >> 64) as usize;
        }
    }
}

/// A multiple of 2^-53 in `[0, 1)`.
pub(super) fn uniform(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
}

/// Puts a uniform choice of `count` elements, in random order, at the front (Fisher-Yates).
pub(super) fn shuffle_front(rng: &mut impl Rng, elements: &mut [usize], count: usize) {
    for i in 0..count.min(elements.len()) {
        let j = i + below(rng, elements.len() - i);
        elements.swap(i, j);
    }
}

/// The integers `0..n` in random order.
pub(super) fn permutation(rng: &mut impl Rng, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    shuffle_front(rng, &mut order, n);
    order
}

/// A standard normal variate (Marsaglia's polar method, one of the pair).
fn normal(rng: &mut impl Rng) -> f64 {
    loop {
        let (u, v) = (2.0 * uniform(rng) - 1.0, 2.0 * uniform(rng) - 1.0);
        let s = u * u + v * v;
        if s > 0.0 && s < 1.0 {
            return u * libm::sqrt(-2.0 * libm::log(s) / s);
        }
    }
}

/// Logarithm of a Gamma(alpha, 1) variate.
///
/// Marsaglia and Tsang 2000 for `alpha + 1`, times `u^(1/alpha)`, which takes it down to `alpha`. For small alpha
/// that power underflows, its logarithm does not.
fn ln_gamma(rng: &mut impl Rng, alpha: f64) -> f64 {
    let d = alpha + 1.0 - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let x = normal(rng);
        let t = 1.0 + c * x;
        if t <= 0.0 {
            continue;
        }
        let ln_v = 3.0 * libm::log(t);
        // 1 - u is in (0, 1]: its logarithm is finite.
        if libm::log(1.0 - uniform(rng)) < 0.5 * x * x + d * (1.0 - t * t * t + ln_v) {
            return libm::log(d) + ln_v + libm::log(1.0 - uniform(rng)) / alpha;
        }
    }
}

/// A point of the simplex from the symmetric Dirichlet distribution; `alpha` finite and at least 1e-9.
pub(super) fn dirichlet(rng: &mut impl Rng, alpha: f64, n: usize) -> Vec<f64> {
    let mut q: Vec<f64> = (0..n).map(|_| ln_gamma(rng, alpha)).collect();
    // Finite: |ln(1 - u)| is below 37.
    let largest = q
        .iter()
        .fold(f64::NEG_INFINITY, |a, &b| if b > a { b } else { a });
    for x in &mut q {
        *x = libm::exp(*x - largest);
    }
    // At least 1: the largest term.
    let sum: f64 = q.iter().sum();
    for x in &mut q {
        *x /= sum;
    }
    q
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rng() -> impl Rng {
        stream(7, 0, 0, Purpose::Split)
    }

    /// Mean and variance of a sample.
    fn moments(n: usize, mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let (mut sum, mut square) = (0.0, 0.0);
        for _ in 0..n {
            let x = draw();
            sum += x;
            square += x * x;
        }
        let mean = sum / n as f64;
        (mean, square / n as f64 - mean * mean)
    }

    #[test]
    fn keys_that_differ_in_one_word_give_other_streams() {
        let first = |seed, round, client, purpose| stream(seed, round, client, purpose).next_u64();
        let mut seen = vec![
            first(0, 0, 0, Purpose::Split),
            first(1, 0, 0, Purpose::Split),
            first(0, 1, 0, Purpose::Split),
            first(0, 0, 1, Purpose::Split),
            first(0, 0, 0, Purpose::Iid),
        ];
        assert_eq!(first(1, 0, 0, Purpose::Split), seen[1]);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 5);
    }

    #[test]
    fn bounded_integers_are_uniform() {
        let mut rng = rng();
        let mut counts = [0_u32; 7];
        for _ in 0..70_000 {
            counts[below(&mut rng, 7)] += 1;
        }
        // Chi-square with 6 degrees of freedom: 22.46 is passed once in a thousand.
        let chi: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4)
            .sum();
        assert!(chi < 22.46, "{counts:?}");
        assert_eq!((below(&mut rng, 0), below(&mut rng, 1)), (0, 0));
    }

    #[test]
    fn a_bound_above_half_the_range_is_not_biased() {
        // Without rejection the lower third of 0..3*2^62 would come twice as often as the upper two.
        let (n, mut rng) = (3_u64 << 62, rng());
        let low = (0..30_000)
            .filter(|_| (below(&mut rng, n as usize) as u64) < n / 3)
            .count();
        // Standard deviation 82.
        assert!((9_600..10_400).contains(&low), "{low}");
    }

    #[test]
    fn each_order_of_three_is_as_frequent() {
        let mut rng = rng();
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..60_000 {
            *counts.entry(permutation(&mut rng, 3)).or_insert(0_u32) += 1;
        }
        let chi: f64 = counts
            .values()
            .map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4)
            .sum();
        // Chi-square with 5 degrees of freedom at one in a thousand.
        assert!(counts.len() == 6 && chi < 20.52, "{counts:?}");
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let mut rng = rng();
        let (mean, variance) = moments(100_000, || normal(&mut rng));
        // Standard errors 0.0032 and 0.0045.
        assert!(
            mean.abs() < 0.015 && (variance - 1.0).abs() < 0.02,
            "{mean} {variance}"
        );
    }

    #[test]
    fn gamma_has_mean_and_variance_alpha() {
        for alpha in [0.1, 0.5, 1.0, 3.0, 20.0] {
            let mut rng = rng();
            let (mean, variance) = moments(100_000, || libm::exp(ln_gamma(&mut rng, alpha)));
            // Standard errors sqrt(a / n) and sqrt((6 a + 2 a^2) / n); five of each.
            let mean_error = 5.0 * libm::sqrt(alpha / 1e5);
            let variance_error = 5.0 * libm::sqrt((6.0 * alpha + 2.0 * alpha * alpha) / 1e5);
            assert!((mean - alpha).abs() < mean_error, "{alpha}: {mean}");
            assert!(
                (variance - alpha).abs() < variance_error,
                "{alpha}: {variance}"
            );
        }
    }

    #[test]
    fn dirichlet_components_have_their_mean_and_variance() {
        for alpha in [0.1, 1.0, 10.0] {
            let mut rng = rng();
            let (mean, variance) = moments(50_000, || dirichlet(&mut rng, alpha, 5)[2]);
            let expected = 0.2 * 0.8 / (5.0 * alpha + 1.0);
            assert!(
                (mean - 0.2).abs() < 5.0 * libm::sqrt(expected / 5e4),
                "{alpha}: {mean}"
            );
            assert!(
                (variance / expected - 1.0).abs() < 0.05,
                "{alpha}: {variance}"
            );
        }
    }

    #[test]
    fn dirichlet_stays_on_the_simplex_at_extreme_alpha() {
        for alpha in [1e-9, 1e-3, 1e9, 1e300] {
            let q = dirichlet(&mut rng(), alpha, 10);
            assert!(q.iter().all(|x| (0.0..=1.0).contains(x)), "{alpha}: {q:?}");
            assert!((q.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        }
        // Nearly all mass on one component, nearly equal masses.
        let max = |alpha| {
            dirichlet(&mut rng(), alpha, 10)
                .into_iter()
                .fold(0.0, f64::max)
        };
        assert!(max(1e-3) > 0.99 && max(1e9) < 0.1001);
    }
}
