//! Lion: the sign of an interpolated momentum.
//!
//! Every parameter moves by the learning rate, up or down; the momentum that decides is fresher (beta1) than the one that
//! is kept (beta2). Learning rates are 3 to 10 times smaller than Adam's, weight decays as much larger.
//!
//! ```text
//! g_t = sign grad + l2 x_t                          sign -1 to maximise
//! c_t = beta1 m_{t-1} + (1 - beta1) g_t
//! x_{t+1} = keep x_t - learning_rate sgn(c_t)       sgn(0) = 0, sgn(NaN) = NaN
//! m_t = beta2 m_{t-1} + (1 - beta2) g_t
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x | parameters | n |
//! | m | momentum | n |
//! | l2, keep | weight decay ([`Decay`]) | scalars |
//!
//! Cost per element: 9 flops, no root, no division, and five accesses (20 bytes in `f32`). State: n elements ([`Config::buffers`]).
//!
//! Reference: Chen et al., *Symbolic discovery of optimization algorithms* (2023), program 1; semantics of `optax.lion`,
//! whose weight decay is [`Decay::Decoupled`] with 1e-3.

use super::{BUFFERS, Precision, elementwise};
use super::{Decay, Terms, check_fraction, check_non_negative, told, told_fraction};
use crate::simd::{self, Lanes, Update};
use crate::{Error, Real};

/// Hyperparameters; [`Config::new`] sets all but the learning rate to optax's defaults.
///
/// ```
/// use thalweg::optim::lion;
/// let config = lion::Config { weight_decay: 0.1, ..lion::Config::new(1e-4) };
/// assert_eq!((config.beta1, config.beta2), (0.9, 0.99));
///
/// use thalweg::optim::{Optimiser, State};
/// let config = lion::Config { weight_decay: 0.0, ..lion::Config::new(0.5) };
/// let mut state = State::new([0.0_f64; 3]);
/// let mut x = [1.0, 1.0, 1.0];
/// config.step(&mut state, &mut x, &[100.0, -1e-9, 0.0])?;
/// assert_eq!(x, [0.5, 1.5, 1.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of a step in every coordinate; finite, at least 0.
    pub learning_rate: f64,
    /// Share of the momentum in the direction; in [0, 1), default 0.9.
    pub beta1: f64,
    /// Decay of the momentum; in [0, 1), default 0.99.
    pub beta2: f64,
    /// Strength of the weight decay; finite, at least 0, default 1e-3.
    pub weight_decay: f64,
    /// What the weight decay means; default [`Decay::Decoupled`].
    pub decay: Decay,
    /// Climbs instead of descending.
    pub maximize: bool,
}

impl Config {
    /// optax's defaults.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::lion::Config::new(1e-4).weight_decay, 1e-3);
    /// ```
    pub const fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 1e-3,
            decay: Decay::Decoupled,
            maximize: false,
        }
    }

    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::lion::Config;
    /// let error = Config { beta2: 1.0, ..Config::new(1e-4) }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`beta2` must be in [0, 1)");
    /// ```
    #[inline]
    pub fn validate(&self) -> Result<(), Error> {
        check_non_negative("learning_rate", self.learning_rate)?;
        check_fraction("beta1", self.beta1)?;
        check_fraction("beta2", self.beta2)?;
        check_non_negative("weight_decay", self.weight_decay)
    }

    /// Lengths of the buffers for `n` parameters: the momentum.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::lion::Config::new(0.1).buffers(10), [10, 0, 0]);
    /// ```
    #[must_use]
    pub const fn buffers(&self, n: usize) -> [usize; BUFFERS] {
        [n, 0, 0]
    }
}

elementwise!(b"LION", lion);

/// `GRADIENT`: the terms change the gradient; `SHRINK`: they shrink the parameters.
#[derive(Clone, Copy, Debug)]
struct Scalars<T, const GRADIENT: bool, const SHRINK: bool> {
    terms: Terms<T>,
    beta1: T,
    /// `1 - beta1`, and the same for beta2.
    one_minus_beta1: T,
    beta2: T,
    one_minus_beta2: T,
    rate: T,
}

impl<T: Real, const GRADIENT: bool, const SHRINK: bool> Update<T, 2, 1>
    for Scalars<T, GRADIENT, SHRINK>
{
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, m]: [L; 2], [g]: [L; 1]) -> [L; 2] {
        let at = |scalar| x.constant(scalar);
        let g = self.terms.gradient::<GRADIENT, _>(x, g);
        let c = at(self.beta1) * m + at(self.one_minus_beta1) * g;
        // Zero and NaN stand for their own sign.
        let move_by = L::select(c.has_sign(), at(self.rate).copy_sign(c), c);
        [
            self.terms.shrink::<SHRINK, _>(x) - move_by,
            (at(self.beta2) * m + at(self.one_minus_beta2) * g).flush(),
        ]
    }
}

/// One step with its scalars worked out.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Prepared<T>(Scalars<T, false, false>);

impl<T: Real> Prepared<T> {
    #[inline]
    pub(super) fn new(config: &Config, _: u64, _: Precision) -> Result<Self, Error> {
        Ok(Self(Scalars {
            terms: Terms::new(
                config.learning_rate,
                config.weight_decay,
                config.decay,
                config.maximize,
            )?,
            beta1: told_fraction("beta1", config.beta1)?,
            one_minus_beta1: T::from_f64(1.0 - config.beta1),
            beta2: told_fraction("beta2", config.beta2)?,
            one_minus_beta2: T::from_f64(1.0 - config.beta2),
            rate: told("learning_rate", config.learning_rate)?,
        }))
    }

    #[inline(always)]
    pub(super) fn run(&self, [m, ..]: [&mut [T]; BUFFERS], x: &mut [T], g: &[T]) {
        let Scalars {
            terms,
            beta1,
            one_minus_beta1,
            beta2,
            one_minus_beta2,
            rate,
        } = self.0;
        macro_rules! run {
            ($gradient:literal, $shrink:literal) => {
                simd::update(
                    &Scalars::<T, $gradient, $shrink> {
                        terms,
                        beta1,
                        one_minus_beta1,
                        beta2,
                        one_minus_beta2,
                        rate,
                    },
                    [x, m],
                    [g],
                )
            };
        }
        if terms.changes_gradient() {
            run!(true, true);
        } else if terms.is_active() {
            run!(false, true);
        } else {
            run!(false, false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::optimiser::tests::assert_refuses;
    use crate::optim::{Optimiser, State};

    #[test]
    fn the_direction_is_fresher_than_the_momentum() {
        let config = Config {
            beta1: 0.5,
            beta2: 0.75,
            weight_decay: 0.0,
            ..Config::new(1.0)
        };
        let mut state = State::new([0.0_f64; 1]);
        let mut x = [0.0];
        config.step(&mut state, &mut x, &[8.0]).unwrap();
        assert_eq!((x, state.memory()), ([-1.0], &[2.0][..]));
        // 0.5 * 2 - 0.5 * 3 < 0, though the new momentum 0.75 * 2 - 0.25 * 3 is positive.
        config.step(&mut state, &mut x, &[-3.0]).unwrap();
        assert_eq!((x, state.memory()), ([0.0], &[0.75][..]));
    }

    #[test]
    fn nan_is_not_a_direction() {
        let mut x = [1.0_f32, 1.0];
        let config = Config::new(0.5);
        config
            .step(&mut State::new([0.0_f32; 2]), &mut x, &[f32::NAN, 1.0])
            .unwrap();
        assert!(x[0].is_nan() && x[1].is_finite());
    }

    #[test]
    fn every_bad_argument_is_named_and_changes_nothing() {
        let good = Config::new(0.1);
        #[rustfmt::skip]
        let bad = [
            ("learning_rate", Config { learning_rate: -1.0, ..good }),
            ("beta1", Config { beta1: f64::NAN, ..good }),
            ("beta2", Config { beta2: 1.5, ..good }),
            ("weight_decay", Config { weight_decay: f64::INFINITY, ..good }),
        ];
        assert_refuses(good, &bad);
    }
}
