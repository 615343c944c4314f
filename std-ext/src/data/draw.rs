//! Draws behind splits, partitions and batches; the same on every platform.

use rand_core::Rng;
use thalweg::random::{Purpose, Stream, below_usize, normal, shuffle, uniform};

/// What a stream of [`Purpose::PARTITION`] is for: the round of its key.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Split,
    Iid,
    ByClass,
    ByClient,
    Homogeneous,
    Replace,
}

/// The stream of one client (or class) of a partition.
pub(super) fn stream(seed: u64, kind: Kind, client: u64) -> Stream {
    thalweg::random::stream(seed, kind as u64, client, Purpose::PARTITION)
}

/// Puts a uniform choice of `count` elements, in random order, at the front (Fisher-Yates).
pub(super) fn shuffle_front(rng: &mut impl Rng, elements: &mut [u32], count: usize) {
    for i in 0..count.min(elements.len()) {
        let j = i + below_usize(rng, elements.len() - i);
        elements.swap(i, j);
    }
}

/// The integers `0..n`, at most 2^32 of them, in random order.
pub(super) fn permutation(rng: &mut impl Rng, n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    shuffle(rng, &mut order);
    order
}

/// Logarithm of a Gamma(alpha, 1) variate.
///
/// Marsaglia and Tsang 2000 for `alpha + 1`, times `u^(1/alpha)`, which takes it down to `alpha`. For small
/// alpha that power underflows, its logarithm does not.
fn ln_gamma(rng: &mut impl Rng, alpha: f64) -> f64 {
    let d = alpha + 1.0 - 1.0 / 3.0;
    let c = 1.0 / libm::sqrt(9.0 * d);
    loop {
        let x: f64 = normal(rng);
        let t = 1.0 + c * x;
        if t <= 0.0 {
            continue;
        }
        let ln_v = 3.0 * libm::log(t);
        // 1 - u is in (0, 1]: its logarithm is finite.
        if libm::log(1.0 - uniform::<f64>(rng)) < 0.5 * x * x + d * (1.0 - t * t * t + ln_v) {
            return libm::log(d) + ln_v + libm::log(1.0 - uniform::<f64>(rng)) / alpha;
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

    fn rng() -> Stream {
        stream(7, Kind::Split, 0)
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
    fn each_choice_of_two_in_order_is_as_frequent() {
        let mut rng = rng();
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..120_000 {
            let mut elements = [0, 1, 2, 3];
            shuffle_front(&mut rng, &mut elements, 2);
            *counts.entry([elements[0], elements[1]]).or_insert(0_u32) += 1;
        }
        let chi: f64 = counts
            .values()
            .map(|&c| (f64::from(c) - 1e4).powi(2) / 1e4)
            .sum();
        // Chi-square with 11 degrees of freedom at one in a thousand.
        assert!(counts.len() == 12 && chi < 31.26, "{counts:?}");
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
