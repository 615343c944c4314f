//! LAMB: Adam's direction, with the length of a layer's step in proportion to the norm of its weights.
//!
//! A layer whose direction is long against its weights takes a shorter step, so that large batches train at large learning rates.
//!
//! ```text
//! m_t = beta1 m_{t-1} + (1 - beta1) g
//! v_t = beta2 v_{t-1} + (1 - beta2) g^2
//! r_t = m_t / (1 - beta1^t) / (sqrt(v_t / (1 - beta2^t)) + eps) + weight_decay x_t
//! x_{t+1} = x_t - learning_rate |x_t| / |r_t| r_t          per layer; the quotient is 1 where a norm is 0
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x, g | parameters of a layer and their gradient | n |
//! | m, v | first and second moment ([`Config::buffers`]) | n each |
//!
//! Cost per element: 24 flops in three passes, two roots and two divisions, since r is worked out twice and not stored; 44 bytes in `f32`.
//! Norms are sums in the fixed order of [`simd`], so that bits do not depend on the machine.
//!
//! A gradient whose square overflows is cut to the largest that has one, and v to the largest number, as in [`adam`](super::adam). A gradient that is not
//! finite makes the norm of its layer so, and the layer with it; other layers are as without it. Norms whose square overflows (2^64 in `f32`) are infinite.
//!
//! Reference: You et al., *Large batch optimization for deep learning: training BERT in 76 minutes* (2020), algorithm 2 with phi the identity; the quotient at
//! norms of 0, and the defaults, are those of `optax.lamb`.

use super::{BUFFERS, Bounds, Kernels as _, Layer, Memory, Optimiser, Precision, bias_correction};
use super::{check_fraction, check_non_negative, told, told_fraction};
use crate::memory::{must, take};
use crate::simd::{self, Lanes, Sum, Update};
use crate::{Error, Real};

/// Hyperparameters; [`Config::new`] sets all but the learning rate to optax's defaults.
///
/// ```
/// use thalweg::optim::{Optimiser, State, lamb};
/// // The first direction is the sign of the gradient, of norm sqrt(2); the weights have norm 5.
/// let config = lamb::Config { eps: 0.0, ..lamb::Config::new(0.1) };
/// let (mut x, mut state) = ([3.0_f64, 4.0], State::new([0.0; 4]));
/// config.step(&mut state, &mut x, &[7.0, -1e-3])?;
/// let step = 0.1 * 5.0 / 2.0_f64.sqrt();
/// assert!((x[0] - (3.0 - step)).abs() < 1e-12 && (x[1] - (4.0 + step)).abs() < 1e-12);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of a step over the norm of the weights; finite, at least 0.
    pub learning_rate: f64,
    /// Decay of the first moment; in [0, 1), default 0.9.
    pub beta1: f64,
    /// Decay of the second moment; in [0, 1), default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment; finite, at least 0, default 1e-6. A positive one may not become 0 in the scalar type.
    pub eps: f64,
    /// Share of the weights in the direction; finite, at least 0, default 0.
    pub weight_decay: f64,
}

impl Config {
    /// optax's defaults.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::lamb::Config::new(0.01).eps, 1e-6);
    /// ```
    #[must_use]
    pub const fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-6,
            weight_decay: 0.0,
        }
    }

    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::lamb::Config;
    /// let error = Config { eps: -1.0, ..Config::new(0.1) }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`eps` must be finite and not negative");
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check_non_negative("learning_rate", self.learning_rate)?;
        check_fraction("beta1", self.beta1)?;
        check_fraction("beta2", self.beta2)?;
        check_non_negative("eps", self.eps)?;
        check_non_negative("weight_decay", self.weight_decay)
    }

    /// Lengths of the buffers for `n` parameters: m, v.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::lamb::Config::new(0.1).buffers(10), [10, 10, 0]);
    /// ```
    #[must_use]
    pub const fn buffers(&self, n: usize) -> [usize; BUFFERS] {
        [n, n, 0]
    }
}

/// The scalars of one step.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Prepared<T> {
    beta1: T,
    /// `1 - beta1`, and the same for beta2.
    one_minus_beta1: T,
    beta2: T,
    one_minus_beta2: T,
    /// `1 / (1 - beta1^t)`, and the same for beta2.
    unbiased1: T,
    unbiased2: T,
    eps: T,
    weight_decay: T,
    rate: T,
    bounds: Bounds<T>,
}

/// The moments of a step.
#[derive(Clone, Copy)]
struct Moments<T>(Prepared<T>);

impl<T: Real> Moments<T> {
    #[inline(always)]
    fn second<L: Lanes<Scalar = T>>(&self, v: L, g: L) -> L {
        g.constant(self.0.beta2) * v + g.constant(self.0.one_minus_beta2) * (g * g)
    }
}

impl<T: Real> Update<T, 2, 1> for Moments<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [m, v]: [L; 2], [g]: [L; 1]) -> [L; 2] {
        let bounds = &self.0.bounds;
        let second = self.second(v, g);
        let exceeded = bounds.exceeded(second);
        let g = L::select(exceeded, bounds.limit(g), g);
        let limited = bounds.cap(self.second(bounds.cap(v), g));
        [
            (g.constant(self.0.beta1) * m + g.constant(self.0.one_minus_beta1) * g).flush(),
            L::select(exceeded, limited, second).flush_positive(),
        ]
    }
}

impl<T: Real> Prepared<T> {
    /// r.
    #[inline(always)]
    fn direction<L: Lanes<Scalar = T>>(&self, x: L, m: L, v: L) -> L {
        let at = |scalar| x.constant(scalar);
        // v >= 0, so the divisor is positive unless eps and v are both 0.
        let root = (at(self.unbiased2) * v).sqrt() + at(self.eps);
        at(self.unbiased1) * m / root + at(self.weight_decay) * x
    }
}

/// Squared norms of weights and direction.
#[derive(Clone, Copy)]
struct Norms<T>(Prepared<T>);

impl<T: Real> Sum<T, 3, 2> for Norms<T> {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [x, m, v]: [L; 3]) -> [L; 2] {
        let r = self.0.direction(x, m, v);
        [x * x, r * r]
    }
}

/// The step of the weights; the second field is the rate with the quotient of norms.
#[derive(Clone, Copy)]
struct Advance<T>(Prepared<T>, T);

impl<T: Real> Update<T, 1, 2> for Advance<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], [m, v]: [L; 2]) -> [L; 1] {
        [x - x.constant(self.1) * self.0.direction(x, m, v)]
    }
}

impl<T: Real> Prepared<T> {
    /// The step of one layer.
    pub(super) fn run(&self, m: &mut [T], v: &mut [T], x: &mut [T], g: &[T]) {
        simd::update(&Moments(*self), [&mut *m, &mut *v], [g]);
        let [x2, r2] = simd::sum(&Norms(*self), [&*x, &*m, &*v]);
        let rate = if x2 == T::ZERO || r2 == T::ZERO {
            self.rate
        } else {
            self.rate * (x2.sqrt() / r2.sqrt())
        };
        simd::update(&Advance(*self, rate), [x], [m, v]);
    }
}

impl Optimiser for Config {
    const KIND: [u8; 4] = *b"LAMB";
    type Prepared<T: Real> = Prepared<T>;

    fn validate(&self) -> Result<(), Error> {
        Self::validate(self)
    }

    fn lengths(&self, layers: &[Layer]) -> [usize; BUFFERS] {
        self.buffers(super::params_len(layers))
    }

    fn prepare<T: Real>(&self, steps: u64, precision: Precision) -> Result<Prepared<T>, Error> {
        let t = steps.saturating_add(1);
        Ok(Prepared {
            beta1: told_fraction("beta1", self.beta1)?,
            one_minus_beta1: T::from_f64(1.0 - self.beta1),
            beta2: told_fraction("beta2", self.beta2)?,
            one_minus_beta2: T::from_f64(1.0 - self.beta2),
            unbiased1: T::from_f64(1.0 / bias_correction(self.beta1, t)),
            unbiased2: T::from_f64(1.0 / bias_correction(self.beta2, t)),
            eps: told("eps", self.eps)?,
            weight_decay: told("weight_decay", self.weight_decay)?,
            rate: told("learning_rate", self.learning_rate)?,
            bounds: Bounds::new(precision),
        })
    }

    fn run<T: Real>(
        prepared: &Prepared<T>,
        layers: &[Layer],
        memory: Memory<'_, T>,
        params: &mut [T],
        grad: &[T],
    ) {
        let [mut m, mut v, _] = memory.buffers;
        let (mut params, mut grad) = (params, grad);
        for layer in layers {
            let n = layer.len();
            let (g, rest) = must(grad.split_at_checked(n));
            grad = rest;
            let (m, v) = (take(&mut m, n), take(&mut v, n));
            T::Kernels::lamb(prepared, m, v, take(&mut params, n), g);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::State;
    use crate::optim::optimiser::tests::assert_refuses;

    /// beta1 = 1/2, beta2 = 3/4, eps = 1, weight_decay = 1/2, worked by hand.
    #[test]
    fn two_steps_are_those_worked_by_hand() {
        let config = Config {
            learning_rate: 0.5,
            beta1: 0.5,
            beta2: 0.75,
            eps: 1.0,
            weight_decay: 0.5,
        };
        let (mut x, mut state) = ([3.0_f64, -4.0], State::new([0.0; 4]));
        config.step(&mut state, &mut x, &[3.0, -1.0]).unwrap();
        // m = (1.5, -0.5), v = (2.25, 0.25), both unbiased to (3, -1) and (9, 1): r = (3/4 + 3/2, -1/2 - 2).
        assert_eq!(state.memory(), [1.5, -0.5, 2.25, 0.25]);
        let (a, b) = (2.25_f64, -2.5);
        let ratio = 5.0 / (a * a + b * b).sqrt();
        let expected = [3.0 - 0.5 * ratio * a, -4.0 - 0.5 * ratio * b];
        assert!((x[0] - expected[0]).abs() < 1e-14 && (x[1] - expected[1]).abs() < 1e-14);
        // m = (0.75, 0.75) over 3/4, v = (1.6875, 1.1875) over 7/16.
        let mut x = [0.0, 2.0];
        config.step(&mut state, &mut x, &[0.0, 2.0]).unwrap();
        assert_eq!(state.memory(), [0.75, 0.75, 1.6875, 1.1875]);
        let a = 1.0 / ((1.6875_f64 * 16.0 / 7.0).sqrt() + 1.0);
        let b = 1.0 / ((1.1875_f64 * 16.0 / 7.0).sqrt() + 1.0) + 1.0;
        let ratio = 2.0 / (a * a + b * b).sqrt();
        let expected = [-0.5 * ratio * a, 2.0 - 0.5 * ratio * b];
        assert!((x[0] - expected[0]).abs() < 1e-14 && (x[1] - expected[1]).abs() < 1e-14);
    }

    #[test]
    fn weights_of_norm_zero_take_the_step_of_adam() {
        let config = Config {
            eps: 0.0,
            ..Config::new(0.25)
        };
        let mut x = [0.0_f64; 3];
        config
            .step(&mut State::new([0.0; 6]), &mut x, &[5.0, -1e-3, 1.0])
            .unwrap();
        for (x, expected) in x.iter().zip([-0.25, 0.25, -0.25]) {
            assert!((x - expected).abs() < 1e-12);
        }
        let mut x = [3.0_f64, 4.0];
        Config::new(0.25)
            .step(&mut State::new([0.0; 4]), &mut x, &[0.0, 0.0])
            .unwrap();
        assert_eq!(x, [3.0, 4.0]);
    }

    #[test]
    fn a_huge_gradient_moves_the_layer_by_the_rate_and_a_nan_stays_in_its_layer() {
        let config = Config::new(0.1);
        let (mut x, mut state) = ([3.0_f32, 4.0], State::new([0.0; 4]));
        config.step(&mut state, &mut x, &[1e30, 1e30]).unwrap();
        let step = ((x[0] - 3.0).powi(2) + (x[1] - 4.0).powi(2)).sqrt();
        assert!((step - 0.5).abs() < 1e-5, "{x:?}");
        let (layers, mut x) = ([Layer::Vector(2); 2], [1.0_f32; 4]);
        config
            .step_layers(
                &layers,
                &mut State::new([0.0; 8]),
                &mut x,
                &[f32::NAN, 1.0, 1.0, 1.0],
            )
            .unwrap();
        assert!(x[0].is_nan() && x[2].is_finite() && x[3] < 1.0);
    }

    #[test]
    fn every_bad_argument_is_named_and_changes_nothing() {
        let good = Config::new(0.1);
        #[rustfmt::skip]
        let bad = [
            ("learning_rate", Config { learning_rate: f64::NAN, ..good }),
            ("beta1", Config { beta1: 1.0, ..good }),
            ("beta2", Config { beta2: -0.5, ..good }),
            ("eps", Config { eps: 1e-50, ..good }),
            ("weight_decay", Config { weight_decay: f64::INFINITY, ..good }),
        ];
        assert_refuses(good, &bad);
    }
}
