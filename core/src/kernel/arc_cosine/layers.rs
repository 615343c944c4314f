//! The layers of one pair of inputs, on lanes.
//!
//! A *signed gap* `s` stands for a cosine with all digits at both ends: `c = 1 - s` for `s >= 0`, `c = -1 - s` for `s < 0`, and -0 for -1.

use super::{Config, Order};
use crate::Real;
use crate::simd::math::{acos_1m_integral_near, acos_1m_near};
use crate::simd::{self, Lanes, Sum, Update};

/// `(x + y)^2`.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct SquaredSum;
impl<T: Real> Sum<T, 2, 1> for SquaredSum {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x, y]: [L; 2]) -> [L; 1] {
        let sum = x + y;
        [sum * sum]
    }
}

/// Signed gaps of cosines, which are clipped to [-1, 1]; NaN stays.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Gap;
impl<T: Real> Update<T, 1, 0> for Gap {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [c]: [L; 1], []: [L; 0]) -> [L; 1] {
        // 0 where 1 - |c| is negative; NaN stays.
        let gap = c.constant(T::ZERO).largest(c.constant(T::ONE) - c.abs());
        [gap.copy_sign(c)]
    }
}

/// A cosine, its distance from 1, and the derivative of the layer that made it; cosines are not negative from the first layer on.
#[derive(Clone, Copy)]
struct Pair<L> {
    cosine: L,
    gap: L,
}

/// `1 / pi`.
#[inline(always)]
fn frac_1_pi<L: Lanes>(like: L) -> L {
    like.constant(L::Scalar::from_f64(core::f64::consts::FRAC_1_PI))
}

/// Where the cosine is negative, and the distance to 1 or -1.
#[inline(always)]
fn split<L: Lanes>(s: L) -> (L::Mask, L) {
    let one = s.constant(L::Scalar::ONE);
    (one.copy_sign(s).lt(s.constant(L::Scalar::ZERO)), s.abs())
}

/// The cosine itself.
#[inline(always)]
fn cosine<L: Lanes>(s: L) -> L {
    let one = s.constant(L::Scalar::ONE);
    (one - s.abs()).copy_sign(s)
}

/// One rectifier layer: `h(c) = c + g(1 - c) = g(1 + c)` with `g(x)` the integral of `acos(1 - t)` over pi.
#[inline(always)]
fn rectify<L: Lanes>(is_negative: L::Mask, e: L) -> Pair<L> {
    let one = e.constant(L::Scalar::ONE);
    let g = acos_1m_integral_near(e) * frac_1_pi(e);
    let gap = e - g;
    Pair {
        cosine: L::select(is_negative, g, one - gap),
        gap: L::select(is_negative, one - g, gap),
    }
}

/// One layer of steps, the derivative of [`rectify`]: `1 - acos(c) / pi`, and its distance from 1.
#[inline(always)]
fn step<L: Lanes>(is_negative: L::Mask, e: L) -> Pair<L> {
    let one = e.constant(L::Scalar::ONE);
    let a = acos_1m_near(e) * frac_1_pi(e);
    Pair {
        cosine: L::select(is_negative, a, one - a),
        gap: L::select(is_negative, one - a, a),
    }
}

/// Kernel of a network with `0 + 2` layers of weights or more: what is left after the first hidden layer.
#[derive(Clone, Copy)]
struct Rectified(usize);
impl<T: Real> Update<T, 1, 0> for Rectified {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [s]: [L; 1], []: [L; 0]) -> [L; 1] {
        let (is_negative, e) = split(s);
        let mut pair = rectify(is_negative, e);
        for _ in 0..self.0 {
            pair.gap = pair.gap - acos_1m_integral_near(pair.gap) * frac_1_pi(s);
            pair.cosine = s.constant(T::ONE) - pair.gap;
        }
        [pair.cosine]
    }
}

/// [`Rectified`] with steps.
#[derive(Clone, Copy)]
struct Stepped(usize);
impl<T: Real> Update<T, 1, 0> for Stepped {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [s]: [L; 1], []: [L; 0]) -> [L; 1] {
        let (is_negative, e) = split(s);
        let mut pair = step(is_negative, e);
        for _ in 0..self.0 {
            pair.gap = acos_1m_near(pair.gap) * frac_1_pi(s);
            pair.cosine = s.constant(T::ONE) - pair.gap;
        }
        [pair.cosine]
    }
}

/// A network without hidden layers.
#[derive(Clone, Copy)]
struct Plain;
impl<T: Real> Update<T, 1, 0> for Plain {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [s]: [L; 1], []: [L; 0]) -> [L; 1] {
        [cosine(s)]
    }
}

/// Kernel and tangent kernel of so many rectifier layers; the gap comes in the first array.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct Tangent(pub(in crate::kernel) usize);
impl<T: Real> Update<T, 2, 0> for Tangent {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [s, _]: [L; 2], []: [L; 0]) -> [L; 2] {
        let (is_negative, e) = split(s);
        let mut cosine = cosine(s);
        let mut ntk = cosine;
        if self.0 > 0 {
            let slope = step(is_negative, e).cosine;
            let mut pair = rectify(is_negative, e);
            ntk = pair.cosine + ntk * slope;
            for _ in 1..self.0 {
                let slope = s.constant(T::ONE) - acos_1m_near(pair.gap) * frac_1_pi(s);
                pair.gap = pair.gap - acos_1m_integral_near(pair.gap) * frac_1_pi(s);
                pair.cosine = s.constant(T::ONE) - pair.gap;
                ntk = pair.cosine + ntk * slope;
            }
            cosine = pair.cosine;
        }
        [cosine, ntk]
    }
}

/// Replaces signed gaps by kernels.
#[inline(always)]
pub(in crate::kernel) fn nngp<T: Real>(config: Config, x: &mut [T]) {
    match (config.order, config.depth.checked_sub(2)) {
        (_, None) => simd::update(&Plain, [x], []),
        (Order::One, Some(rest)) => simd::update(&Rectified(rest), [x], []),
        (Order::Zero, Some(rest)) => simd::update(&Stepped(rest), [x], []),
    }
}
