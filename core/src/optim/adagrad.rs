//! Adagrad: the gradient over the root of the sum of all its squares.
//!
//! Rare features keep long steps, frequent ones short; the sum only grows, so steps shrink like `1 / sqrt(t)`.
//!
//! ```text
//! g_t = sign grad + l2 x_t                          sign -1 to maximise
//! s_t = s_{t-1} + g_t^2                             s_0 = initial_accumulator
//! x_{t+1} = keep x_t - learning_rate / (1 + (t - 1) lr_decay) * g_t / (sqrt(s_t) + eps)
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x | parameters | n |
//! | s | sum of squares | n |
//! | l2, keep | weight decay ([`Decay`]) | scalars |
//!
//! Cost per element: 9 flops and a comparison, among them a root and a division, and five accesses (20 bytes in `f32`). State:
//! n elements ([`Config::buffers`]) and the `u64` count of steps. The first step writes `initial_accumulator` into the sum.
//!
//! [`Arithmetic::Fast`] fuses products with sums and multiplies by the estimated reciprocal root of `s_t + eps^2`: relative error at most 2^-21 in
//! `f32`, steps longer by at most sqrt(2) where `sqrt(s_t)` is near eps. With `eps = 0` a parameter that has only
//! seen zero gradients becomes NaN in portable arithmetic, as in PyTorch.
//!
//! Where s_t overflows, g_t is cut to the largest number whose square is finite, and s_t to the largest number: the step of a huge, finite
//! gradient has the length of the learning rate. Its parameter hardly moves again all the same, since the sum forgets nothing.
//!
//! Reference: Duchi, Hazan and Singer, *Adaptive subgradient methods for online learning and stochastic optimization*, JMLR 12
//! (2011), figure 1, diagonal form; semantics of `torch.optim.Adagrad`.

use super::{BUFFERS, Precision, elementwise};
use super::{Bounds, Decay, Terms, check_non_negative, narrow, told, told_product};
use crate::simd::{self, Lanes, Update};
use crate::{Arithmetic, Error, Real};

/// Hyperparameters; the defaults are PyTorch's.
///
/// ```
/// use thalweg::optim::adagrad;
/// let config = adagrad::Config { initial_accumulator: 0.1, ..Default::default() };
/// assert_eq!((config.learning_rate, config.eps), (1e-2, 1e-10));
///
/// use thalweg::optim::{Optimiser, State};
/// let config = adagrad::Config { learning_rate: 1.0, eps: 0.0, ..Default::default() };
/// let mut state = State::new([0.0_f64]);
/// let mut x = [0.0];
/// config.step(&mut state, &mut x, &[3.0])?; // 3 / sqrt(9)
/// config.step(&mut state, &mut x, &[4.0])?; // 4 / sqrt(25)
/// assert_eq!((x, state.memory()), ([-1.8], &[25.0][..]));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of the first step; finite, at least 0, default 1e-2.
    pub learning_rate: f64,
    /// Decay of the learning rate per step; finite, at least 0, default 0.
    pub lr_decay: f64,
    /// Where the sum of squares starts; finite, at least 0, default 0. A positive one may not become 0 in the scalar type.
    pub initial_accumulator: f64,
    /// Added to the root; finite, at least 0, default 1e-10. A positive one may not become 0 in the scalar type.
    pub eps: f64,
    /// Strength of the weight decay; finite, at least 0, default 0.
    pub weight_decay: f64,
    /// What the weight decay means (with the learning rate before `lr_decay`); default [`Decay::L2`].
    pub decay: Decay,
    /// Climbs instead of descending.
    pub maximize: bool,
    /// Portable bits, or fused arithmetic and reciprocal roots.
    pub arithmetic: Arithmetic,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            learning_rate: 1e-2,
            lr_decay: 0.0,
            initial_accumulator: 0.0,
            eps: 1e-10,
            weight_decay: 0.0,
            decay: Decay::L2,
            maximize: false,
            arithmetic: Arithmetic::Portable,
        }
    }
}

impl Config {
    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::adagrad::Config;
    /// let error = Config { lr_decay: -1.0, ..Default::default() }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`lr_decay` must be finite and not negative");
    /// ```
    #[inline]
    pub fn validate(&self) -> Result<(), Error> {
        check_non_negative("learning_rate", self.learning_rate)?;
        check_non_negative("lr_decay", self.lr_decay)?;
        check_non_negative("initial_accumulator", self.initial_accumulator)?;
        check_non_negative("eps", self.eps)?;
        check_non_negative("weight_decay", self.weight_decay)
    }

    /// Lengths of the buffers for `n` parameters: the sum of squares.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::adagrad::Config::default().buffers(10), [10, 0, 0]);
    /// ```
    #[must_use]
    pub const fn buffers(&self, n: usize) -> [usize; BUFFERS] {
        [n, 0, 0]
    }
}

elementwise!(b"ADAG", adagrad);

#[derive(Clone, Copy, Debug)]
struct Scalars<T, const ACTIVE: bool, const FAST: bool> {
    terms: Terms<T>,
    /// Half of it when fast.
    rate: T,
    /// Its square, at least the smallest normal number, when fast.
    eps: T,
    bounds: Bounds<T>,
}

impl<T: Real, const ACTIVE: bool, const FAST: bool> Scalars<T, ACTIVE, FAST> {
    #[inline(always)]
    fn sum<L: Lanes<Scalar = T>>(s: L, g: L) -> L {
        if FAST { g.mul_add(g, s) } else { s + g * g }
    }

    #[inline(always)]
    fn advance<const WATCH: bool, L: Lanes<Scalar = T>>(&self, [x, s]: [L; 2], g: L) -> [L; 2] {
        let (rate, eps) = (x.constant(self.rate), x.constant(self.eps));
        let mut g = self.terms.gradient::<ACTIVE, _>(x, g);
        let mut sum = Self::sum(s, g).flush_positive();
        if WATCH {
            let exceeded = self.bounds.exceeded(sum);
            g = L::select(exceeded, self.bounds.limit(g), g);
            sum = L::select(exceeded, self.bounds.cap(Self::sum(s, g)), sum);
        }
        let x = self.terms.shrink::<ACTIVE, _>(x);
        let x = if FAST {
            // The sum is at least 0 and eps is normal: the argument is positive and normal.
            let [y, rest] = (sum + eps).rsqrt_factors();
            (rate * g * y).mul_add(rest, x)
        } else {
            // The root is at least 0, so the divisor is positive unless eps and the sum are both 0.
            x - rate * g / (sum.sqrt() + eps)
        };
        [x, sum]
    }
}

impl<T: Real, const ACTIVE: bool, const FAST: bool> Update<T, 2, 1> for Scalars<T, ACTIVE, FAST> {
    const HAS_UNUSUAL: bool = true;

    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, written: [L; 2], [g]: [L; 1]) -> [L; 2] {
        self.advance::<true, _>(written, g)
    }

    #[inline(always)]
    fn usual<L: Lanes<Scalar = T>>(&self, written: [L; 2], [g]: [L; 1]) -> [L; 2] {
        self.advance::<false, _>(written, g)
    }

    #[inline(always)]
    fn unusual<L: Lanes<Scalar = T>>(&self, [_, sum]: [L; 2]) -> Option<L::Mask> {
        Some(self.bounds.exceeded(sum))
    }
}

/// One step with its scalars worked out.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Prepared<T> {
    scalars: Scalars<T, false, false>,
    /// What the first step writes into the sum.
    initial: Option<T>,
    is_fast: bool,
}

impl<T: Real> Prepared<T> {
    #[inline]
    pub(super) fn new(config: &Config, steps: u64, precision: Precision) -> Result<Self, Error> {
        let is_fast = config.arithmetic == Arithmetic::Fast;
        let share = if is_fast { 0.5 } else { 1.0 };
        // At least 1; what a long decay leaves of a rate that can be told may round to 0.
        let divisor = 1.0 + steps as f64 * config.lr_decay;
        told_product::<T>(
            "learning_rate",
            config.learning_rate,
            config.learning_rate * share,
        )?;
        let eps: T = told("eps", config.eps)?;
        let initial = told("initial_accumulator", config.initial_accumulator)?;
        let scalars = Scalars {
            terms: Terms::new(
                config.learning_rate,
                config.weight_decay,
                config.decay,
                config.maximize,
            )?,
            rate: narrow("learning_rate", config.learning_rate / divisor * share)?,
            eps: if is_fast {
                (eps * eps).largest(T::MIN_POSITIVE)
            } else {
                eps
            },
            bounds: Bounds::new(precision),
        };
        Ok(Self {
            scalars,
            initial: (steps == 0).then_some(initial),
            is_fast,
        })
    }

    #[inline(always)]
    pub(super) fn run(&self, [sum, ..]: [&mut [T]; BUFFERS], x: &mut [T], g: &[T]) {
        if let Some(initial) = self.initial {
            sum.fill(initial);
        }
        let Scalars {
            terms,
            rate,
            eps,
            bounds,
        } = self.scalars;
        macro_rules! run {
            ($active:literal, $fast:literal) => {
                simd::update(
                    &Scalars::<T, $active, $fast> {
                        terms,
                        rate,
                        eps,
                        bounds,
                    },
                    [x, sum],
                    [g],
                )
            };
        }
        match (terms.is_active(), self.is_fast) {
            (false, false) => run!(false, false),
            (false, true) => run!(false, true),
            (true, false) => run!(true, false),
            (true, true) => run!(true, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::optimiser::tests::assert_refuses;
    use crate::optim::tests::painted;
    use crate::optim::{Optimiser, State};

    #[test]
    fn the_sum_starts_where_the_config_says() {
        let config = Config {
            learning_rate: 1.0,
            initial_accumulator: 16.0,
            eps: 1.0,
            ..Default::default()
        };
        let mut state = State::new([0.0_f32; 1]);
        let mut x = [0.0];
        config.step(&mut state, &mut x, &[3.0]).unwrap();
        assert_eq!((x, state.memory()), ([-0.5], &[25.0][..]));
    }

    #[test]
    fn the_rate_decays_from_the_second_step_on() {
        let config = Config {
            learning_rate: 1.0,
            lr_decay: 1.0,
            eps: 0.0,
            ..Default::default()
        };
        let mut state = State::new([0.0_f64; 1]);
        let mut x = [0.0];
        config.step(&mut state, &mut x, &[3.0]).unwrap();
        assert_eq!(x, [-1.0]);
        config.step(&mut state, &mut x, &[4.0]).unwrap();
        assert_eq!(x, [-1.4]);
    }

    #[test]
    fn fast_is_portable_up_to_its_stated_error() {
        let fast = Config {
            arithmetic: Arithmetic::Fast,
            ..Default::default()
        };
        let (mut x, mut y) = (painted::<f32>(100, 1), painted::<f32>(100, 1));
        let (mut s, mut t) = (State::new([0.0_f32; 100]), State::new([0.0_f32; 100]));
        for phase in 0..20 {
            let g = painted::<f32>(100, phase);
            Config::default().step(&mut s, &mut x, &g).unwrap();
            fast.step(&mut t, &mut y, &g).unwrap();
        }
        assert_ne!(x, painted::<f32>(100, 1));
        for (x, y) in x.iter().zip(&y) {
            assert!((x - y).abs() < 2e-6 * x.abs().max(1.0), "{x} {y}");
        }
    }

    #[test]
    fn every_bad_argument_is_named_and_changes_nothing() {
        let good = Config::default();
        #[rustfmt::skip]
        let bad = [
            ("learning_rate", Config { learning_rate: f64::NAN, ..good }),
            ("lr_decay", Config { lr_decay: f64::INFINITY, ..good }),
            ("initial_accumulator", Config { initial_accumulator: -1.0, ..good }),
            ("initial_accumulator", Config { initial_accumulator: 1e300, ..good }),
            ("eps", Config { eps: -1.0, ..good }),
            ("weight_decay", Config { weight_decay: f64::NAN, ..good }),
        ];
        assert_refuses(good, &bad);
    }
}
