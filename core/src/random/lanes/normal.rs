//! Normal draws on lanes: Box and Muller's pairs, row by row.
//!
//! ```text
//! r = sqrt(-2 ln(1 - u))     x = r cos 2 pi v     y = r sin 2 pi v     u, v uniform in [0, 1)
//! ```
//!
//! One row of u and the row of v that follows it give a row of x and then a row of y, so 64 elements. The logarithm and
//! the turns are those of [`simd::math`](crate::simd::math), in the type of the result: the same bits at every level.
//! (`normal_pair` in this family takes another generator and `f64` throughout.)
//!
//! Reference: Box and Muller, *A note on the generation of random normal deviates*, Annals of Mathematical Statistics
//! 29(2), 1958.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions in a block of lanes; no divisor is zero"
)]

use super::{Law, Row, Uniform, convert, step_rows};
use crate::Real;
use crate::memory::must;
use crate::simd::{Kernel, LANES, Lanes, Simd, math};

/// Rows of words drawn before they are converted: 1 KiB on the stack.
const ROWS: usize = 8;

/// The elements of one row of u and one of v.
type Pair<T> = [T; 2 * LANES];

/// A slice to be filled with normal numbers.
pub(super) struct FillNormal<'a, T> {
    pub(super) s: &'a mut [Row; 4],
    pub(super) out: &'a mut [T],
}

impl<T: Real> Kernel for FillNormal<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let steps = <Uniform as Law<T>>::STEPS;
        let mut words = [[0; LANES]; ROWS];
        let (pairs, rest) = self.out.as_chunks_mut();
        for block in pairs.chunks_mut(ROWS / (2 * steps)) {
            draw(simd, self.s, &mut words, block);
        }
        if !rest.is_empty() {
            let mut last = [[T::ZERO; 2 * LANES]];
            draw(simd, self.s, &mut words, &mut last);
            for (out, x) in rest.iter_mut().zip(last.as_flattened()) {
                *out = *x;
            }
        }
    }
}

/// Fills at most as many pairs as there are words for.
#[inline(always)]
fn draw<T: Real, S: Simd>(
    simd: S,
    s: &mut [Row; 4],
    words: &mut [Row; ROWS],
    pairs: &mut [Pair<T>],
) {
    let steps = <Uniform as Law<T>>::STEPS;
    let (used, _) = must(words.split_at_mut_checked(pairs.len() * 2 * steps));
    step_rows(simd, s, used);
    let (rows, _) = pairs.as_flattened_mut().as_chunks_mut();
    for (row, words) in rows.iter_mut().zip(used.chunks(steps)) {
        if let (Some(first), Some(last)) = (words.first(), words.last()) {
            convert(&Uniform, first, last, row);
        }
    }
    polar(simd, pairs);
}

/// Takes rows of u and of v, leaves rows of x and of y.
///
/// Two loops: the logarithm and the root are one long chain of operations, and a processor has more of them under way at a
/// time when nothing else lies between.
#[allow(clippy::disallowed_methods, reason = "a pair has twice as many lanes")]
#[inline(always)]
fn polar<T: Real, S: Simd>(simd: S, pairs: &mut [Pair<T>]) {
    let one = T::Lanes::<S>::splat(simd, T::ONE);
    let minus_two = T::Lanes::<S>::splat(simd, T::from_f64(-2.0));
    for pair in pairs.iter_mut() {
        let (u, _) = pair.split_at_mut(LANES);
        for u in T::Lanes::<S>::groups_mut(u).0 {
            // 1 - u is exact and in (0, 1], far above the least normal number.
            math::ln_normal(one - T::Lanes::<S>::load(simd, u)).store(u);
        }
    }
    for pair in pairs {
        let (r, v) = pair.split_at_mut(LANES);
        let (r, v) = (
            T::Lanes::<S>::groups_mut(r).0,
            T::Lanes::<S>::groups_mut(v).0,
        );
        for (r, v) in r.iter_mut().zip(v) {
            let radius = (minus_two * T::Lanes::<S>::load(simd, r)).sqrt();
            let (sin, cos) = math::sin_cos_of_turn(T::Lanes::<S>::load(simd, v));
            (radius * cos).store(r);
            (radius * sin).store(v);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{LENGTHS, at_every_level, lanes, plain};
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// The draws of one fill in `f64`, from the words of the plain generator and the functions of the standard library.
    fn expected<T: Real>(words: &[u32], n: usize) -> Vec<f64> {
        let uniform = |row: usize, lane: usize| {
            let word = |step: usize| f64::from(words[step * 32 + lane]);
            if T::BYTES == 4 {
                (word(row) / 256.0).floor() / 16_777_216.0
            } else {
                let low = (word(2 * row + 1) / 2048.0).floor();
                (word(2 * row) * 2_097_152.0 + low) / 9_007_199_254_740_992.0
            }
        };
        let draw = |i: usize| {
            let (pair, lane) = (i / 64, i % 32);
            let (u, v) = (uniform(2 * pair, lane), uniform(2 * pair + 1, lane));
            let r = (-2.0 * (-u).ln_1p()).sqrt();
            let (sin, cos) = (std::f64::consts::TAU * v).sin_cos();
            r * if i % 64 < 32 { cos } else { sin }
        };
        (0..n).map(draw).collect()
    }

    fn is_the_plain_loop<T: Real>(tolerance: f64) {
        at_every_level(|level| {
            for n in LENGTHS {
                let start = lanes(n as u64 + 70);
                let (words, end) = plain(&start, n.div_ceil(64) * 2 * T::BYTES / 4);
                let (mut found, mut x) = (start, vec![T::ZERO; n]);
                found.fill_normal(&mut x);
                assert_eq!(found, end, "{level:?} n={n}");
                for (i, (x, e)) in x.iter().zip(expected::<T>(&words, n)).enumerate() {
                    let error = (x.to_f64() - e).abs();
                    assert!(error <= tolerance, "{level:?} n={n} i={i}: {x} {e}");
                }
            }
        });
    }

    #[test]
    fn every_level_draws_the_pairs_of_the_plain_loop() {
        // |x| < 8.6, ln 1 ULP, the root half of that and its own half, the turn 2.3, the product 1/2: below
        // 4 ULP of 8, and 2e-15 for the angle that the plain loop rounds.
        is_the_plain_loop::<f32>(4.0 * 8.0 * f64::from(f32::EPSILON));
        is_the_plain_loop::<f64>(4.0 * 8.0 * f64::EPSILON + 2e-14);
    }

    #[test]
    fn every_level_draws_the_same_bits() {
        fn bits<T: Real>(n: usize) -> Vec<u64> {
            let mut x = vec![T::ZERO; n];
            lanes(71).fill_normal(&mut x);
            x.iter().map(|x| x.to_bits_u64()).collect()
        }
        for n in LENGTHS {
            let expected = (bits::<f32>(n), bits::<f64>(n));
            at_every_level(|level| {
                assert_eq!(
                    (bits::<f32>(n), bits::<f64>(n)),
                    expected,
                    "{level:?} n={n}"
                );
            });
        }
    }

    fn is_normal<T: Real>(seed: u64) {
        const N: usize = 200_000;
        let mut x = vec![T::ZERO; N];
        lanes(seed).fill_normal(&mut x);
        let mut x: Vec<f64> = x.iter().map(|x| x.to_f64()).collect();
        let mean = |f: &dyn Fn(usize) -> f64| (0..N).map(f).sum::<f64>() / N as f64;
        // Raw moments 0, 1, 0, 3 with variances of x^k 1, 2, 15, 96; 5 standard errors: false alarm 5.7e-7 each.
        for (k, (expected, variance)) in [(0.0, 1.0), (1.0, 2.0), (0.0, 15.0), (3.0, 96.0_f64)]
            .into_iter()
            .enumerate()
        {
            let found = mean(&|i| x[i].powi(k as i32 + 1));
            let bound = 5.0 * (variance / N as f64).sqrt();
            assert!(
                (found - expected).abs() < bound,
                "moment {}: {found}",
                k + 1
            );
        }
        // The two members of a pair, and their squares, are uncorrelated: 5 standard errors of N / 2 pairs.
        let pairs = || {
            (0..N / 64 * 64)
                .filter(|i| i % 64 < 32)
                .map(|i| (x[i], x[i + 32]))
        };
        let bound = 5.0 / (N as f64 / 2.0).sqrt();
        let count = pairs().count() as f64;
        assert!((pairs().map(|(x, y)| x * y).sum::<f64>() / count).abs() < bound);
        let squares = pairs().map(|(x, y)| (x * x - 1.0) * (y * y - 1.0));
        assert!((squares.sum::<f64>() / count).abs() < 2.0 * bound);
        // Kolmogorov and Smirnov: P(D sqrt(N) > 2.69) = 2 exp(-2 * 2.69^2) = 1e-6.
        x.sort_by(f64::total_cmp);
        let furthest = x.iter().enumerate().map(|(i, x)| {
            let p = 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
            (p - i as f64 / N as f64)
                .abs()
                .max((p - (i + 1) as f64 / N as f64).abs())
        });
        let d = furthest.fold(0.0, f64::max);
        assert!(d * (N as f64).sqrt() < 2.69, "{d}");
    }

    #[test]
    fn draws_follow_the_standard_normal() {
        is_normal::<f32>(72);
        is_normal::<f64>(73);
    }

    #[test]
    fn the_extreme_words_give_the_stated_bounds() {
        // u = 0 gives r = 0, the largest u gives the largest magnitude: sqrt(2 * 24 ln 2), sqrt(2 * 53 ln 2).
        fn ends<T: Real>(u: T, v: T) -> (T, T) {
            let mut pair = [[u; 64]];
            pair[0][32..].fill(v);
            polar(crate::simd::Scalar, &mut pair);
            (pair[0][0], pair[0][32])
        }
        assert_eq!(ends(0.0_f32, 0.0), (0.0, 0.0));
        let (x, y) = ends(1.0 - f32::EPSILON / 2.0, 0.0);
        assert!((x - 5.768_108).abs() < 1e-5 && y == 0.0);
        let (x, y) = ends(1.0 - f64::EPSILON / 2.0, 0.5);
        assert!((x + 8.571_674_348_652_905).abs() < 1e-12 && y == 0.0);
    }
}
