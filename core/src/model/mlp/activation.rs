//! The functions between layers, and their slopes.

use crate::Real;
use crate::real::kernels;
use crate::simd::{self, Lanes, Update, math};

/// The function between layers.
///
/// ```
/// assert_eq!(thalweg::model::mlp::Activation::default(), thalweg::model::mlp::Activation::Relu);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(0, z)`.
    #[default]
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + exp(-z))`.
    Sigmoid,
}

#[derive(Clone, Copy)]
struct Relu;
impl<T: Real> Update<T, 1, 0> for Relu {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [z]: [L; 1], _: [L; 0]) -> [L; 1] {
        // The second argument is kept when it is NaN.
        [z.constant(T::ZERO).largest(z)]
    }
}

#[derive(Clone, Copy)]
struct ReluSlope;
impl<T: Real> Update<T, 1, 1> for ReluSlope {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [delta]: [L; 1], [a]: [L; 1]) -> [L; 1] {
        let zero = a.constant(T::ZERO);
        [L::select(a.le(zero), zero, delta)]
    }
}

#[derive(Clone, Copy)]
struct Tanh;
impl<T: Real> Update<T, 1, 0> for Tanh {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [z]: [L; 1], _: [L; 0]) -> [L; 1] {
        [math::tanh(z)]
    }
}

#[derive(Clone, Copy)]
struct TanhSlope;
impl<T: Real> Update<T, 1, 1> for TanhSlope {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [delta]: [L; 1], [a]: [L; 1]) -> [L; 1] {
        [(a.constant(T::ONE) - a * a) * delta]
    }
}

#[derive(Clone, Copy)]
struct Sigmoid;
impl<T: Real> Update<T, 1, 0> for Sigmoid {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [z]: [L; 1], _: [L; 0]) -> [L; 1] {
        [math::sigmoid(z)]
    }
}

#[derive(Clone, Copy)]
struct SigmoidSlope;
impl<T: Real> Update<T, 1, 1> for SigmoidSlope {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [delta]: [L; 1], [a]: [L; 1]) -> [L; 1] {
        [(a - a * a) * delta]
    }
}

impl Activation {
    /// `a <- h(a)`.
    pub(super) fn apply<T: Real>(self, a: &mut [T]) {
        T::Kernels::activate(self, a);
    }

    /// `delta <- h'(z) * delta`, where `a = h(z)`.
    pub(super) fn slope<T: Real>(self, a: &[T], delta: &mut [T]) {
        T::Kernels::times_slope(self, a, delta);
    }
}

kernels! {
    /// Activations of a block of rows.
    trait ActivationKernels<T> {
        fn activate(activation: Activation, a: &mut [T]) {
            match activation {
                Activation::Relu => simd::update(&Relu, [a], []),
                Activation::Tanh => simd::update(&Tanh, [a], []),
                Activation::Sigmoid => simd::update(&Sigmoid, [a], []),
            }
        }
        fn times_slope(activation: Activation, a: &[T], delta: &mut [T]) {
            match activation {
                Activation::Relu => simd::update(&ReluSlope, [delta], [a]),
                Activation::Tanh => simd::update(&TanhSlope, [delta], [a]),
                Activation::Sigmoid => simd::update(&SigmoidSlope, [delta], [a]),
            }
        }
    }
}
