//! Stochastic gradient descent with momentum.
//!
//! Momentum keeps a decaying sum of gradients: directions that persist add up, those that alternate cancel.
//! Nesterov's form steps along the sum as it will be one gradient later.
//!
//! ```text
//! g_t = sign grad + l2 x_t                         sign -1 to maximise
//! b_t = momentum b_{t-1} + (1 - dampening) g_t     b_1 = g_1: no dampening in the first step
//! d_t = g_t + momentum b_t                         Nesterov; else d_t = b_t; without momentum d_t = g_t
//! x_{t+1} = keep x_t - learning_rate d_t
//! ```
//!
//! Neither b_t nor d_t overflows while every |g_t| is at most (1 - momentum) / 2 of the largest number: in `f32` 1.7e37 at 0.9. Beyond, they may
//! become infinite, as PyTorch's do, at the index of that gradient only, and stay so; [`clip::by_value`](super::clip::by_value) keeps them
//! finite.
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x | parameters | n |
//! | b | momentum buffer, none without momentum ([`Config::buffers`]) | n or 0 |
//! | l2, keep | weight decay ([`Decay`]) | scalars |
//!
//! At every 16th step buffer elements below the smallest normal number become 0, as in [`adam`](super::adam).
//!
//! Cost per element: 2 flops and three accesses (12 bytes in `f32`) without momentum, 4 to 6 flops and five accesses
//! with it. Reference: Sutskever, Martens, Dahl and Hinton, *On the importance of initialization and momentum*
//! (2013); semantics of `torch.optim.SGD`.

use super::{BUFFERS, Precision, elementwise};
use super::{Decay, FLUSH_EVERY, Terms, check_non_negative, told, told_fraction};
use crate::error::check;
use crate::simd::{self, Lanes, Update};
use crate::{Error, Real};

/// Hyperparameters; [`Config::new`] sets all but the learning rate to PyTorch's defaults.
///
/// ```
/// use thalweg::optim::sgd;
/// let config = sgd::Config { momentum: 0.9, nesterov: true, ..sgd::Config::new(0.1) };
/// assert!(config.validate().is_ok());
///
/// use thalweg::optim::{Optimiser, State};
/// let config = sgd::Config { momentum: 0.5, ..sgd::Config::new(0.25) };
/// let mut state = State::new([0.0; 1]);
/// let mut x = [4.0];
/// config.step(&mut state, &mut x, &[4.0])?; // buffer 4
/// assert_eq!(x, [3.0]);
/// config.step(&mut state, &mut x, &[2.0])?; // buffer 0.5 * 4 + 2
/// assert_eq!(x, [2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of a step per unit of gradient; finite, at least 0.
    pub learning_rate: f64,
    /// Share of the buffer that is kept; in [0, 1), default 0.
    pub momentum: f64,
    /// Share of a gradient that does not enter the buffer; in [0, 1], default 0.
    pub dampening: f64,
    /// Strength of the weight decay; finite, at least 0, default 0.
    pub weight_decay: f64,
    /// What the weight decay means; default [`Decay::L2`].
    pub decay: Decay,
    /// Nesterov's form; needs momentum and no dampening.
    pub nesterov: bool,
    /// Climbs instead of descending.
    pub maximize: bool,
}

impl Config {
    /// Plain gradient descent.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::sgd::Config::new(0.1).momentum, 0.0);
    /// ```
    pub const fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            decay: Decay::L2,
            nesterov: false,
            maximize: false,
        }
    }

    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::sgd::Config;
    /// let error = Config { nesterov: true, ..Config::new(0.1) }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`nesterov` needs momentum above 0 and dampening 0");
    /// ```
    #[inline]
    pub fn validate(&self) -> Result<(), Error> {
        check_non_negative("learning_rate", self.learning_rate)?;
        super::check_fraction("momentum", self.momentum)?;
        check(
            "dampening",
            (0.0..=1.0).contains(&self.dampening),
            "must be in [0, 1]",
        )?;
        check_non_negative("weight_decay", self.weight_decay)?;
        check(
            "nesterov",
            !self.nesterov || (self.momentum > 0.0 && self.dampening == 0.0),
            "needs momentum above 0 and dampening 0",
        )
    }

    /// Lengths of the buffers for `n` parameters: b, with momentum.
    ///
    /// ```
    /// use thalweg::optim::sgd::Config;
    /// assert_eq!(Config::new(0.1).buffers(10), [0, 0, 0]);
    /// assert_eq!(Config { momentum: 0.9, ..Config::new(0.1) }.state_len(10), 10);
    /// ```
    #[must_use]
    pub const fn buffers(&self, n: usize) -> [usize; BUFFERS] {
        [if self.momentum == 0.0 { 0 } else { n }, 0, 0]
    }
}

elementwise!(b"SGDM", sgd);

#[derive(Clone, Copy)]
struct Plain<T, const ACTIVE: bool> {
    terms: Terms<T>,
    rate: T,
}

impl<T: Real, const ACTIVE: bool> Update<T, 1, 1> for Plain<T, ACTIVE> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x]: [L; 1], [g]: [L; 1]) -> [L; 1] {
        let g = self.terms.gradient::<ACTIVE, _>(x, g);
        [self.terms.shrink::<ACTIVE, _>(x) - x.constant(self.rate) * g]
    }
}

/// Not `ACTIVE`: no term changes anything, and the gradient enters the buffer undamped.
#[derive(Clone, Copy, Debug)]
struct Momentum<T, const ACTIVE: bool, const NESTEROV: bool, const FLUSH: bool> {
    terms: Terms<T>,
    rate: T,
    /// Share of the old buffer and of the gradient in the new one.
    old: T,
    new: T,
    momentum: T,
}

impl<T: Real, const ACTIVE: bool, const NESTEROV: bool, const FLUSH: bool> Update<T, 2, 1>
    for Momentum<T, ACTIVE, NESTEROV, FLUSH>
{
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, b]: [L; 2], [g]: [L; 1]) -> [L; 2] {
        let g = self.terms.gradient::<ACTIVE, _>(x, g);
        let g_new = if ACTIVE { g.constant(self.new) * g } else { g };
        let b = b.constant(self.old) * b + g_new;
        let b = if FLUSH { b.flush() } else { b };
        let d = if NESTEROV {
            g + b.constant(self.momentum) * b
        } else {
            b
        };
        [
            self.terms.shrink::<ACTIVE, _>(x) - x.constant(self.rate) * d,
            b,
        ]
    }
}

/// One step with its scalars worked out.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Prepared<T> {
    kernel: Momentum<T, false, false, false>,
    has_momentum: bool,
    nesterov: bool,
    flushes: bool,
}

impl<T: Real> Prepared<T> {
    #[inline]
    pub(super) fn new(config: &Config, steps: u64, _: Precision) -> Result<Self, Error> {
        let momentum = told_fraction("momentum", config.momentum)?;
        // The buffer starts as the first gradient, undamped.
        let (old, new) = if steps > 0 {
            (momentum, T::from_f64(1.0 - config.dampening))
        } else {
            (T::ZERO, T::ONE)
        };
        let kernel = Momentum {
            terms: Terms::new(
                config.learning_rate,
                config.weight_decay,
                config.decay,
                config.maximize,
            )?,
            rate: told("learning_rate", config.learning_rate)?,
            old,
            new,
            momentum,
        };
        Ok(Self {
            kernel,
            has_momentum: config.momentum != 0.0,
            nesterov: config.nesterov,
            flushes: steps.saturating_add(1).is_multiple_of(FLUSH_EVERY),
        })
    }

    #[inline(always)]
    pub(super) fn run(&self, [b, ..]: [&mut [T]; BUFFERS], x: &mut [T], g: &[T]) {
        let Momentum {
            terms,
            rate,
            old,
            new,
            momentum,
        } = self.kernel;
        if !self.has_momentum {
            return if terms.is_active() {
                simd::update(&Plain::<T, true> { terms, rate }, [x], [g]);
            } else {
                simd::update(&Plain::<T, false> { terms, rate }, [x], [g]);
            };
        }
        macro_rules! run {
            ($active:literal, $nesterov:literal, $flush:literal) => {
                simd::update(
                    &Momentum::<T, $active, $nesterov, $flush> {
                        terms,
                        rate,
                        old,
                        new,
                        momentum,
                    },
                    [x, b],
                    [g],
                )
            };
        }
        let is_active = terms.is_active() || new != T::ONE;
        match (is_active, self.nesterov, self.flushes) {
            (false, false, false) => run!(false, false, false),
            (false, false, true) => run!(false, false, true),
            (false, true, false) => run!(false, true, false),
            (false, true, true) => run!(false, true, true),
            (true, false, false) => run!(true, false, false),
            (true, false, true) => run!(true, false, true),
            (true, true, false) => run!(true, true, false),
            (true, true, true) => run!(true, true, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::optimiser::tests::assert_refuses;
    use crate::optim::{Optimiser, State};

    #[test]
    fn first_momentum_step_ignores_dampening() {
        let config = Config {
            momentum: 0.5,
            dampening: 0.25,
            ..Config::new(1.0)
        };
        let mut state = State::new([0.0_f64; 1]);
        let mut x = [0.0];
        config.step(&mut state, &mut x, &[8.0]).unwrap();
        assert_eq!((x, state.memory()), ([-8.0], &[8.0][..]));
        config.step(&mut state, &mut x, &[8.0]).unwrap();
        // 0.5 * 8 + 0.75 * 8
        assert_eq!((x, state.memory()), ([-18.0], &[10.0][..]));
    }

    #[test]
    fn nesterov_looks_one_gradient_ahead() {
        let config = Config {
            momentum: 0.5,
            nesterov: true,
            ..Config::new(1.0)
        };
        let mut x = [0.0_f32];
        config
            .step(&mut State::new([0.0_f32; 1]), &mut x, &[8.0])
            .unwrap();
        assert_eq!(x, [-12.0]);
    }

    #[test]
    fn maximize_climbs_and_l2_still_shrinks() {
        let config = Config {
            weight_decay: 0.5,
            maximize: true,
            ..Config::new(0.5)
        };
        let mut x = [4.0_f64];
        config
            .step(&mut State::new([0.0_f64; 0]), &mut x, &[1.0])
            .unwrap();
        // 4 - 0.5 * (-1 + 0.5 * 4)
        assert_eq!(x, [3.5]);
    }

    #[test]
    fn every_bad_argument_is_named_and_changes_nothing() {
        let good = Config {
            momentum: 0.9,
            ..Config::new(0.1)
        };
        let bad = [
            ("learning_rate", Config::new(f64::NAN)),
            ("learning_rate", Config::new(-1.0)),
            ("learning_rate", Config::new(1e300)),
            (
                "momentum",
                Config {
                    momentum: 1.0,
                    ..good
                },
            ),
            (
                "dampening",
                Config {
                    dampening: f64::NAN,
                    ..good
                },
            ),
            (
                "weight_decay",
                Config {
                    weight_decay: f64::INFINITY,
                    ..good
                },
            ),
            (
                "nesterov",
                Config {
                    nesterov: true,
                    dampening: 0.1,
                    ..good
                },
            ),
        ];
        assert_refuses(good, &bad);
    }

    #[test]
    fn a_decayed_buffer_becomes_zero_not_subnormal() {
        let config = Config {
            momentum: 0.5,
            ..Config::new(0.1)
        };
        // More than a chunk, and a part of one.
        let mut state = State::new([0.0_f32; 2500]);
        let mut x = [0.0; 2500];
        config
            .step(&mut state, &mut x, &[f32::MIN_POSITIVE * 4.0; 2500])
            .unwrap();
        for t in 2..16 {
            config.step(&mut state, &mut x, &[0.0; 2500]).unwrap();
            // 4 halved t - 1 times: subnormal from the fourth step on, and nothing has rounded yet.
            let expected = f32::MIN_POSITIVE * 4.0 / (1 << (t - 1)) as f32;
            assert_eq!(state.memory(), [expected; 2500]);
        }
        config.step(&mut state, &mut x, &[0.0; 2500]).unwrap();
        assert_eq!(state.memory(), [0.0; 2500]);
    }
}
