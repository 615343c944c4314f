//! From an element of the Gram matrix to one of the kernel.

use crate::Real;
use crate::simd::{Lanes, Update, math};

/// A function of the squared distance.
#[derive(Clone, Copy)]
pub(super) enum Profile {
    Rbf,
    Imq,
    /// `(1 + q/h)^(-3/2)`.
    ImqSlope,
}

impl Profile {
    /// Factor of the squared distance under the bandwidth `h`, which every caller has found positive.
    pub(super) fn scale<T: Real>(self, h: T) -> T {
        match self {
            Self::Rbf => T::from_f64(-core::f64::consts::LOG2_E) / h,
            Self::Imq | Self::ImqSlope => T::ONE / h,
        }
    }
}

/// Profile of `max(0, (a + b_j) + g_j)`, `g = -2 <y_i, y_j>`.
#[derive(Clone, Copy)]
pub(super) struct FromGram<T, const PROFILE: u8> {
    pub(super) norm: T,
    /// `-log2(e)/h` (RBF) or `1/h`.
    pub(super) scale: T,
}

impl<T: Real, const PROFILE: u8> Update<T, 1, 1> for FromGram<T, PROFILE> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [g]: [L; 1], [b]: [L; 1]) -> [L; 1] {
        let zero = g.constant(T::ZERO);
        let q = zero.largest((g.constant(self.norm) + b) + g);
        FromDistance::<T, PROFILE>(self.scale).apply([q], [])
    }
}

/// Profile of a squared distance under the scale `-log2(e)/h` (RBF) or `1/h`.
#[derive(Clone, Copy)]
pub(super) struct FromDistance<T, const PROFILE: u8>(pub(super) T);

impl<T: Real, const PROFILE: u8> Update<T, 1, 0> for FromDistance<T, PROFILE> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [q]: [L; 1], []: [L; 0]) -> [L; 1] {
        let one = q.constant(T::ONE);
        let x = q.constant(self.0) * q;
        [match PROFILE {
            DISTANCE => q,
            RBF => math::exp2_down(x),
            IMQ => one / (one + x).sqrt(),
            // q >= 0: the argument of the root is at least 1.
            _ => {
                let y = one + x;
                one / (y * y.sqrt())
            }
        }]
    }
}

pub(super) const DISTANCE: u8 = 0;
pub(super) const RBF: u8 = 1;
pub(super) const IMQ: u8 = 2;
pub(super) const IMQ_SLOPE: u8 = 3;
