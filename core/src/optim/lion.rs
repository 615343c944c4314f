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
//! Cost per element: 9 flops, no root, no division, and five accesses (20 bytes in `f32`). State: [`state_len`] elements.
//!
//! Reference: Chen et al., *Symbolic discovery of optimization algorithms* (2023), program 1; semantics of `optax.lion`,
//! whose weight decay is [`Decay::Decoupled`] with 1e-3.

use super::{Decay, Terms, check_fraction, check_non_negative, told, told_fraction};
use crate::error::check_length;
use crate::optim::Kernels as _;
use crate::simd::{self, Lanes, Update};
use crate::storage::Fixed;
use crate::{Error, Real, Storage};

/// Hyperparameters; [`Config::new`] sets all but the learning rate to optax's defaults.
///
/// ```
/// use thalweg::optim::lion;
/// let config = lion::Config { weight_decay: 0.1, ..lion::Config::new(1e-4) };
/// assert_eq!((config.beta1, config.beta2), (0.9, 0.99));
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
}

/// Elements of the momentum for `n` parameters.
///
/// ```
/// assert_eq!(thalweg::optim::lion::state_len(10), 10);
/// ```
pub const fn state_len(n: usize) -> usize {
    n
}

/// The momentum.
///
/// ```
/// use thalweg::optim::lion;
/// const EMPTY: lion::State<[f32; 64]> = lion::State::new();
/// assert_eq!(EMPTY.momentum().len(), 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State<B> {
    momentum: B,
}

impl<B: Storage> State<B> {
    /// A state in an owned array.
    pub const fn new() -> Self
    where
        B: Fixed,
    {
        Self { momentum: B::ZERO }
    }

    /// A state in memory that is passed in; its contents are set to zero.
    pub fn from_storage(momentum: B) -> Self
    where
        B::Elem: Real,
    {
        let mut state = Self { momentum };
        state.reset();
        state
    }

    /// A state over memory that holds one already: nothing is cleared.
    ///
    /// ```
    /// use thalweg::optim::lion::{self, Config, State};
    /// let (mut params, mut momentum) = ([1.0_f64], [-2.0]);
    /// let config = Config { weight_decay: 0.0, ..Config::new(0.25) };
    /// lion::step(&config, &mut State::resume(&mut momentum[..]), &mut params, &[1.0])?;
    /// assert_eq!(params, [1.25]); // against the sign of 0.9 * -2 + 0.1
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub const fn resume(momentum: B) -> Self {
        Self { momentum }
    }

    /// Forgets the past.
    pub fn reset(&mut self)
    where
        B::Elem: Real,
    {
        self.momentum.as_mut_slice().fill(B::Elem::ZERO);
    }

    /// Running mean of gradients.
    pub fn momentum(&self) -> &[B::Elem] {
        self.momentum.as_slice()
    }
}

impl<B: Fixed> Default for State<B> {
    fn default() -> Self {
        Self::new()
    }
}

super::snapshot!([B] State<B>, b"LION", [], [momentum]);

/// `GRADIENT`: the terms change the gradient; `SHRINK`: they shrink the parameters.
#[derive(Clone, Copy)]
struct Scalars<T, const GRADIENT: bool, const SHRINK: bool> {
    terms: Terms<T>,
    beta1: T,
    /// `1 - beta1`, and the same for beta2.
    new1: T,
    beta2: T,
    new2: T,
    rate: T,
}

impl<T: Real, const GRADIENT: bool, const SHRINK: bool> Update<T, 2, 1>
    for Scalars<T, GRADIENT, SHRINK>
{
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, m]: [L; 2], [g]: [L; 1]) -> [L; 2] {
        let at = |scalar| x.constant(scalar);
        let g = self.terms.gradient::<GRADIENT, _>(x, g);
        let c = at(self.beta1) * m + at(self.new1) * g;
        // Zero and NaN stand for their own sign.
        let move_by = L::select(c.has_sign(), at(self.rate).copy_sign(c), c);
        [
            self.terms.shrink::<SHRINK, _>(x) - move_by,
            (at(self.beta2) * m + at(self.new2) * g).flush(),
        ]
    }
}

/// One step of descent on `params` along `grad`.
///
/// # Errors
/// [`Error::Length`] when `grad` or the momentum differs in length from `params`; [`Error::Parameter`] when the config is
/// not valid. Nothing is changed then.
///
/// ```
/// use thalweg::optim::lion;
/// let config = lion::Config { weight_decay: 0.0, ..lion::Config::new(0.5) };
/// let mut state = lion::State::<[f64; 3]>::new();
/// let mut x = [1.0, 1.0, 1.0];
/// lion::step(&config, &mut state, &mut x, &[100.0, -1e-9, 0.0])?;
/// assert_eq!(x, [0.5, 1.5, 1.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    state: &mut State<B>,
    params: &mut [T],
    grad: &[T],
) -> Result<(), Error> {
    config.validate()?;
    check_length("grad", params.len(), grad.len())?;
    let momentum = state.momentum.as_mut_slice();
    check_length("state.momentum", params.len(), momentum.len())?;
    T::Kernels::lion(config, momentum, params, grad)
}

/// The step, on slices of one length.
pub(super) fn on_slices<T: Real>(
    config: &Config,
    momentum: &mut [T],
    params: &mut [T],
    grad: &[T],
) -> Result<(), Error> {
    let terms = Terms::new(
        config.learning_rate,
        config.weight_decay,
        config.decay,
        config.maximize,
    )?;
    let (beta1, beta2) = (
        told_fraction("beta1", config.beta1)?,
        told_fraction("beta2", config.beta2)?,
    );
    let rate = told("learning_rate", config.learning_rate)?;
    macro_rules! run {
        ($gradient:literal, $shrink:literal) => {
            simd::update(
                &Scalars::<T, $gradient, $shrink> {
                    terms,
                    beta1,
                    new1: T::from_f64(1.0 - config.beta1),
                    beta2,
                    new2: T::from_f64(1.0 - config.beta2),
                    rate,
                },
                [params, momentum],
                [grad],
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
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::{assert_levels_agree, painted};
    use std::vec::Vec;

    #[test]
    fn the_direction_is_fresher_than_the_momentum() {
        let config = Config {
            beta1: 0.5,
            beta2: 0.75,
            weight_decay: 0.0,
            ..Config::new(1.0)
        };
        let mut state = State::<[f64; 1]>::new();
        let mut x = [0.0];
        step(&config, &mut state, &mut x, &[8.0]).unwrap();
        assert_eq!((x, state.momentum()), ([-1.0], &[2.0][..]));
        // 0.5 * 2 - 0.5 * 3 < 0, though the new momentum 0.75 * 2 - 0.25 * 3 is positive.
        step(&config, &mut state, &mut x, &[-3.0]).unwrap();
        assert_eq!((x, state.momentum()), ([0.0], &[0.75][..]));
    }

    #[test]
    fn nan_is_not_a_direction() {
        let mut x = [1.0_f32, 1.0];
        let config = Config::new(0.5);
        step(
            &config,
            &mut State::<[f32; 2]>::new(),
            &mut x,
            &[f32::NAN, 1.0],
        )
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
        let mut state = State::<[f32; 2]>::new();
        let mut x = [1.0_f32, 2.0];
        for (expected, config) in bad {
            match step(&config, &mut state, &mut x, &[1.0, 1.0]) {
                Err(Error::Parameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{config:?} gave {other:?}"),
            }
        }
        assert!(step(&good, &mut state, &mut x, &[1.0]).is_err());
        assert!(step(&good, &mut state, &mut [0.0; 3], &[1.0; 3]).is_err());
        assert_eq!((state, x), (State::new(), [1.0, 2.0]));
    }

    #[test]
    fn bits_do_not_depend_on_the_level() {
        assert_levels_agree(|n| {
            let (mut x, mut m) = (painted::<f32>(n, 1), painted::<f32>(n, 2));
            let mut state = State::from_storage(&mut m[..]);
            for t in 0..3 {
                step(&Config::new(0.01), &mut state, &mut x, &painted(n, 10 + t)).unwrap();
            }
            let bits = [&x[..], state.momentum()];
            bits.concat()
                .iter()
                .map(|v| v.to_bits())
                .collect::<Vec<_>>()
        });
    }
}
