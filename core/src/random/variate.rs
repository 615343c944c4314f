//! Draws from the distributions that algorithms ask for one number at a time.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions in a block of lanes; no divisor is zero"
)]

use rand_core::Rng;

use crate::error::{check, ensure_finite_at};
use crate::{At, Error, Real};

/// A number in `[0, 1)`: a multiple of 2^-24 (`f32`) or 2^-53 (`f64`), all equally likely.
///
/// One 64-bit word; the `f32` is the `f64` of the same word rounded down.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let stream = random::stream(1, 0, 0, Purpose::DATA);
/// let (x, y): (f32, f64) = (random::uniform(&mut stream.clone()), random::uniform(&mut stream.clone()));
/// assert!(0.0 <= x && f64::from(x) <= y && y < 1.0 && y - f64::from(x) < 1e-7);
/// ```
#[inline]
pub fn uniform<T: Real>(rng: &mut impl Rng) -> T {
    // 24 or 53 bits convert without rounding, and the product with a power of two is exact.
    let top = rng.next_u64() >> (63 - T::MANTISSA_BITS);
    T::from_f64(top as f64 * (1.0 / (1_u64 << (T::MANTISSA_BITS + 1)) as f64))
}

/// A standard normal number; the first of a [`normal_pair`].
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let x: f64 = random::normal(&mut random::stream(1, 0, 0, Purpose::NOISE));
/// assert!(x.abs() < 8.6);
/// ```
#[inline]
pub fn normal<T: Real>(rng: &mut impl Rng) -> T {
    let [x, _] = normal_pair(rng);
    x
}

/// Two independent standard normal numbers from two words: the method of Box and Muller.
///
/// ```text
/// r = sqrt(-2 ln(1 - u))     (r cos 2 pi v, r sin 2 pi v)     u, v uniform in [0, 1)
/// ```
///
/// Computed in `f64` with the pure-Rust functions of `libm` and rounded once, so the bits do not depend on
/// the machine, and the `f32` is the rounded `f64`. `1 - u >= 2^-53` bounds the magnitude by 8.58.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let mut rng = random::stream(1, 0, 0, Purpose::NOISE);
/// let (u, v): (f64, f64) = (random::uniform(&mut rng.clone()), { random::uniform::<f64>(&mut rng); random::uniform(&mut rng) });
/// let [x, y] = random::normal_pair::<f64>(&mut random::stream(1, 0, 0, Purpose::NOISE));
/// assert!((x * x + y * y + 2.0 * (1.0 - u).ln()).abs() < 1e-12);
/// assert!((y * (6.283185307179586 * v).cos() - x * (6.283185307179586 * v).sin()).abs() < 1e-12);
/// ```
#[inline]
pub fn normal_pair<T: Real>(rng: &mut impl Rng) -> [T; 2] {
    let (u, v): (f64, f64) = (uniform(rng), uniform(rng));
    // 1 - u is exact and in [2^-53, 1], so the logarithm is finite and not positive.
    let r = libm::sqrt(-2.0 * libm::log(1.0 - u));
    let angle = core::f64::consts::TAU * v;
    [
        T::from_f64(r * libm::cos(angle)),
        T::from_f64(r * libm::sin(angle)),
    ]
}

/// `1` or `-1`, equally likely: the top bit of one word.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let x: f32 = random::rademacher(&mut random::stream(1, 0, 0, Purpose::NOISE));
/// assert_eq!(x * x, 1.0);
/// ```
#[inline]
pub fn rademacher<T: Real>(rng: &mut impl Rng) -> T {
    if rng.next_u64() >> 63 == 0 {
        T::ONE
    } else {
        -T::ONE
    }
}

/// True with probability `p`; never for `p <= 0` or NaN, always for `p >= 1`. One word in every case.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let mut rng = random::stream(1, 0, 0, Purpose::COIN);
/// assert!(random::bernoulli(&mut rng, 1.0));
/// assert!(!random::bernoulli(&mut rng, 0.0));
/// ```
#[inline]
pub fn bernoulli(rng: &mut impl Rng, p: f64) -> bool {
    uniform::<f64>(rng) < p
}

/// Index `i` with probability `weights[i] / sum(weights)`. One word.
///
/// Sums run in order in `f64`; an index of zero weight is never returned.
///
/// # Errors
/// [`Error::NonFinite`] for a weight that is NaN or infinite, [`Error::Parameter`] for a negative one or when no
/// weight is positive; nothing is drawn then.
///
/// ```
/// use thalweg::random::{self, Purpose};
/// let mut rng = random::stream(1, 0, 0, Purpose::DATA);
/// assert_eq!(random::categorical(&mut rng, &[0.0_f32, 2.0, 0.0])?, 1);
/// assert!(random::categorical(&mut rng, &[0.0_f32]).is_err());
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn categorical<T: Real>(rng: &mut impl Rng, weights: &[T]) -> Result<usize, Error> {
    let mut total = 0.0;
    for (index, w) in weights.iter().enumerate() {
        ensure_finite_at("weights", w.is_finite(), At::Element(index))?;
        check("weights", *w >= T::ZERO, "must not be negative")?;
        total += w.to_f64();
    }
    check("weights", total > 0.0, "must have a positive element")?;
    check("weights", total.is_finite(), "must have a finite sum")?;
    let mut left = uniform::<f64>(rng) * total;
    let mut chosen = 0;
    for (i, w) in weights.iter().enumerate().filter(|(_, w)| **w > T::ZERO) {
        chosen = i;
        left -= w.to_f64();
        if left < 0.0 {
            break;
        }
    }
    // Rounding may leave `left` at zero past the end: then the last positive weight is chosen.
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::super::{Purpose, Stream, stream};
    use super::*;

    /// Mean and raw moments two to four of `n` draws.
    fn moments(n: u32, mut draw: impl FnMut() -> f64) -> [f64; 4] {
        let mut sums = [0.0; 4];
        for _ in 0..n {
            let x = draw();
            for (k, s) in sums.iter_mut().enumerate() {
                *s += x.powi(k as i32 + 1);
            }
        }
        sums.map(|s| s / f64::from(n))
    }

    /// Asserts that an average of `n` draws of variance `variance` lies within 5 standard errors of `mean`:
    /// false alarm 5.7e-7 for each call.
    #[track_caller]
    fn assert_mean(found: f64, mean: f64, variance: f64, n: u32) {
        let bound = 5.0 * (variance / f64::from(n)).sqrt();
        assert!((found - mean).abs() < bound, "{found} vs {mean} +- {bound}");
    }

    #[test]
    fn uniform_has_the_moments_of_the_unit_interval() {
        let mut rng = stream(21, 0, 0, Purpose::DATA);
        let n = 400_000;
        for m in [
            moments(n, || uniform::<f64>(&mut rng)),
            moments(n, || f64::from(uniform::<f32>(&mut rng))),
        ] {
            for k in 1..=4 {
                // E u^k = 1/(k+1), E u^2k = 1/(2k+1).
                let mean = 1.0 / f64::from(k + 1);
                assert_mean(
                    m[k as usize - 1],
                    mean,
                    1.0 / f64::from(2 * k + 1) - mean * mean,
                    n,
                );
            }
        }
    }

    #[test]
    fn uniform_spans_zero_to_the_number_below_one() {
        // s0 + s3 = 0 and s0 = x: the first output is rotate(0, 23) + x = x.
        let first = |x: u64| Stream::from_state([x, 5, 6, x.wrapping_neg()]);
        assert_eq!(uniform::<f32>(&mut first(0)), 0.0);
        assert_eq!(
            uniform::<f32>(&mut first(u64::MAX)),
            1.0 - f32::EPSILON / 2.0
        );
        assert_eq!(
            uniform::<f64>(&mut first(u64::MAX)),
            1.0 - f64::EPSILON / 2.0
        );
        assert_eq!(uniform::<f64>(&mut first(1 << 63)), 0.5);
    }

    #[test]
    fn normal_has_the_moments_of_the_standard_normal() {
        let mut rng = stream(22, 0, 0, Purpose::NOISE);
        let n = 400_000;
        for m in [
            moments(n, || normal::<f64>(&mut rng)),
            moments(n, || f64::from(normal::<f32>(&mut rng))),
            moments(n, || normal_pair::<f64>(&mut rng)[1]),
        ] {
            // Raw moments 0, 1, 0, 3; variances of x^k: 1, 2, 15, 96.
            for ((found, mean), variance) in m
                .into_iter()
                .zip([0.0, 1.0, 0.0, 3.0])
                .zip([1.0, 2.0, 15.0, 96.0])
            {
                assert_mean(found, mean, variance, n);
            }
        }
    }

    #[test]
    fn normal_tails_have_their_probability() {
        // P(|x| > 3) = 0.0026997960632601866 (SciPy 1.17.1, 2 * norm.sf(3)).
        let mut rng = stream(23, 0, 0, Purpose::NOISE);
        let (n, p) = (400_000, 0.002_699_796_063_260_186_6);
        let m = moments(n, || {
            f64::from(u8::from(normal::<f64>(&mut rng).abs() > 3.0))
        });
        assert_mean(m[0], p, p * (1.0 - p), n);
    }

    #[test]
    fn draws_match_python() {
        // core/tests/golden/random.py; the C library's sine and cosine may differ in the last place.
        let key = stream(1, 2, 3, Purpose(4));
        assert_eq!(uniform::<f64>(&mut key.clone()), 0.583_182_256_852_509_1);
        let [x, y] = normal_pair::<f64>(&mut key.clone());
        assert!((x - 0.203_089_455_922_095_3).abs() < 1e-15);
        assert!((y + 1.307_274_688_781_273_4).abs() < 1e-15);
    }

    #[test]
    fn the_members_of_a_pair_are_uncorrelated() {
        let mut rng = stream(24, 0, 0, Purpose::NOISE);
        let n = 400_000;
        let m = moments(n, || {
            let [x, y] = normal_pair::<f64>(&mut rng);
            x * y
        });
        assert_mean(m[0], 0.0, 1.0, n);
        assert_mean(m[1], 1.0, 8.0, n);
    }

    #[test]
    fn signs_and_coins_are_fair() {
        let mut rng = stream(25, 0, 0, Purpose::COIN);
        let n = 400_000;
        assert_mean(moments(n, || rademacher::<f64>(&mut rng))[0], 0.0, 1.0, n);
        let coin = moments(n, || f64::from(u8::from(bernoulli(&mut rng, 0.3))))[0];
        assert_mean(coin, 0.3, 0.21, n);
        assert!(!bernoulli(&mut rng, f64::NAN));
    }

    #[test]
    fn categorical_follows_its_weights() {
        let mut rng = stream(26, 0, 0, Purpose::DATA);
        let (n, weights) = (400_000, [1.0_f32, 0.0, 4.0, 5.0, 0.0]);
        let mut counts = [0.0; 5];
        for _ in 0..n {
            counts[categorical(&mut rng, &weights).unwrap()] += 1.0;
        }
        for (count, p) in counts.into_iter().zip([0.1, 0.0, 0.4, 0.5, 0.0]) {
            if p == 0.0 {
                assert_eq!(count, 0.0);
            } else {
                assert_mean(count / f64::from(n), p, p * (1.0 - p), n);
            }
        }
    }

    #[test]
    fn categorical_names_what_is_wrong_and_draws_nothing() {
        let mut rng = stream(27, 0, 0, Purpose::DATA);
        let before = rng.clone();
        for weights in [
            &[][..],
            &[0.0],
            &[1.0, -1.0],
            &[1.0, f64::NAN],
            &[f64::MAX, f64::MAX],
        ] {
            assert!(categorical(&mut rng, weights).is_err());
        }
        assert_eq!(rng, before);
    }
}
