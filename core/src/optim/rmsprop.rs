//! RMSprop: the gradient over the root of its running mean square.
//!
//! The centred form divides by a running standard deviation, which is smaller where the gradient is steady.
//!
//! ```text
//! g_t = sign grad + l2 x_t                          sign -1 to maximise
//! v_t = alpha v_{t-1} + (1 - alpha) g_t^2
//! c_t = alpha c_{t-1} + (1 - alpha) g_t             centred
//! s_t = max(0, v_t - c_t^2)                         centred; else s_t = v_t
//! q_t = g_t / (sqrt(s_t) + eps)                     or g_t / sqrt(s_t + eps) with eps_in_sqrt
//! b_t = momentum b_{t-1} + q_t                      with momentum; else b_t = q_t
//! x_{t+1} = keep x_t - learning_rate b_t
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x | parameters | n |
//! | v | mean square | n |
//! | c | mean, centred only | n or 0 |
//! | b | momentum buffer | n or 0 |
//! | l2, keep | weight decay ([`Decay`]) | scalars |
//!
//! Cost per element: 8 to 14 flops and a comparison, among them a root and a division, and five accesses (20 bytes in `f32`; 8 more
//! with each further buffer). State: n to 3 n elements ([`Config::buffers`]).
//!
//! Where v_t overflows, g_t is cut to the largest number whose square is finite, and v_t to the largest number: an infinite mean square
//! would stop the parameter for the rest of the run. The maximum with 0 is ours too: rounding makes `v - c^2` of a constant gradient negative, and its root NaN.
//! [`Arithmetic::Fast`] fuses products with sums and multiplies by the estimated reciprocal root of `s_t + eps^2` (`s_t + eps` with `eps_in_sqrt`):
//! relative error at most 2^-21 in `f32`, steps longer by at most sqrt(2) where `sqrt(s_t)` is near eps.
//!
//! Reference: Tieleman and Hinton, *Lecture 6.5: RMSprop* (2012); centred form: Graves, *Generating sequences with recurrent
//! neural networks* (2013), equations 38 to 45; semantics of `torch.optim.RMSprop`. optax keeps `decay = 0.9` and
//! `eps_in_sqrt = True`.

use super::{BUFFERS, Precision, elementwise};
use super::{
    Bounds, Decay, Terms, check_fraction, check_non_negative, told, told_fraction, told_product,
};
use crate::simd::{self, Lanes, Update};
use crate::{Arithmetic, Error, Real};

/// Hyperparameters; the defaults are PyTorch's.
///
/// ```
/// use thalweg::optim::rmsprop;
/// let optax = rmsprop::Config { alpha: 0.9, eps_in_sqrt: true, ..Default::default() };
/// assert!(optax.validate().is_ok());
///
/// use thalweg::optim::{Optimiser, State};
/// let config = rmsprop::Config { learning_rate: 0.5, alpha: 0.75, eps: 1.0, ..Default::default() };
/// let mut state = State::new([0.0_f64]);
/// let mut x = [2.0];
/// config.step(&mut state, &mut x, &[6.0])?;
/// // v = 0.25 * 36 = 9, and 6 / (3 + 1) = 1.5.
/// assert_eq!((x, state.memory()), ([1.25], &[9.0][..]));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of a step; finite, at least 0, default 1e-2.
    pub learning_rate: f64,
    /// Decay of the mean square (and mean); in [0, 1), default 0.99.
    pub alpha: f64,
    /// Added to the root; finite, at least 0, default 1e-8. A positive one may not become 0 in the scalar type.
    pub eps: f64,
    /// Adds eps under the root instead.
    pub eps_in_sqrt: bool,
    /// Divides by the standard deviation; needs a state with room for the mean.
    pub centered: bool,
    /// Share of the momentum buffer that is kept; in [0, 1), default 0; above 0 it needs the buffer.
    pub momentum: f64,
    /// Strength of the weight decay; finite, at least 0, default 0.
    pub weight_decay: f64,
    /// What the weight decay means; default [`Decay::L2`].
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
            alpha: 0.99,
            eps: 1e-8,
            eps_in_sqrt: false,
            centered: false,
            momentum: 0.0,
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
    /// use thalweg::optim::rmsprop::Config;
    /// let error = Config { alpha: f64::NAN, ..Default::default() }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`alpha` must be in [0, 1)");
    /// ```
    #[inline]
    pub fn validate(&self) -> Result<(), Error> {
        check_non_negative("learning_rate", self.learning_rate)?;
        check_fraction("alpha", self.alpha)?;
        check_non_negative("eps", self.eps)?;
        check_fraction("momentum", self.momentum)?;
        check_non_negative("weight_decay", self.weight_decay)
    }

    /// Lengths of the buffers for `n` parameters: v, if centred c, with momentum b.
    ///
    /// ```
    /// use thalweg::optim::rmsprop::Config;
    /// assert_eq!(Config { momentum: 0.9, ..Config::default() }.buffers(10), [10, 0, 10]);
    /// assert_eq!(Config::default().state_len(10), 10);
    /// ```
    #[must_use]
    pub const fn buffers(&self, n: usize) -> [usize; BUFFERS] {
        [
            n,
            if self.centered { n } else { 0 },
            if self.momentum == 0.0 { 0 } else { n },
        ]
    }
}

elementwise!(b"RMSP", rmsprop);

/// The scalars of one step. `PLAIN`: no term changes anything, and nothing is added under the root of portable arithmetic.
#[derive(Clone, Copy, Debug)]
struct Scalars<T, const PLAIN: bool, const FAST: bool> {
    terms: Terms<T>,
    alpha: T,
    /// `1 - alpha`.
    new: T,
    /// Added under the root and to it; one of them is 0.
    inner: T,
    outer: T,
    momentum: T,
    rate: T,
    /// Half of it when fast.
    half_rate: T,
    bounds: Bounds<T>,
}

impl<T: Real, const PLAIN: bool, const FAST: bool> Scalars<T, PLAIN, FAST> {
    /// The gradient of a step, and the mean square with it.
    #[inline(always)]
    fn gradient<const WATCH: bool, L: Lanes<Scalar = T>>(&self, x: L, v: L, g: L) -> (L, L) {
        let g = if PLAIN {
            g
        } else {
            self.terms.gradient::<true, _>(x, g)
        };
        let square = self.average(v, g * g).flush_positive();
        if !WATCH {
            return (g, square);
        }
        let exceeded = self.bounds.exceeded(square);
        let g = L::select(exceeded, self.bounds.limit(g), g);
        let limited = self.average(self.bounds.cap(v), g * g);
        (g, L::select(exceeded, self.bounds.cap(limited), square))
    }

    #[inline(always)]
    fn average<L: Lanes<Scalar = T>>(&self, old: L, new: L) -> L {
        let (a, b) = (old.constant(self.alpha), old.constant(self.new));
        if FAST {
            a.mul_add(old, b * new)
        } else {
            a * old + b * new
        }
    }

    /// What is under the root.
    #[inline(always)]
    fn under<L: Lanes<Scalar = T>>(&self, s: L) -> L {
        if PLAIN && !FAST {
            s
        } else {
            s + s.constant(self.inner)
        }
    }

    /// `g / (sqrt(s) + eps)`.
    #[inline(always)]
    fn quotient<L: Lanes<Scalar = T>>(&self, s: L, g: L) -> L {
        if FAST {
            // s >= 0 and inner is normal.
            g * self.under(s).rsqrt_fast()
        } else {
            // s >= 0: the divisor is positive unless eps and s are both 0.
            g / (self.under(s).sqrt() + s.constant(self.outer))
        }
    }

    #[inline(always)]
    fn variance<L: Lanes<Scalar = T>>(v: L, c: L) -> L {
        // Zero comes first, so that a NaN, the second argument, is kept.
        v.constant(T::ZERO).largest(v - c * c)
    }

    #[inline(always)]
    fn heavy<L: Lanes<Scalar = T>>(&self, b: L, q: L) -> L {
        (b.constant(self.momentum) * b + q).flush()
    }

    #[inline(always)]
    fn shrunk<L: Lanes<Scalar = T>>(&self, x: L) -> L {
        if PLAIN {
            x
        } else {
            self.terms.shrink::<true, _>(x)
        }
    }

    #[inline(always)]
    fn advance<L: Lanes<Scalar = T>>(&self, x: L, d: L) -> L {
        self.shrunk(x) - x.constant(self.rate) * d
    }

    #[inline(always)]
    fn bare<const WATCH: bool, L: Lanes<Scalar = T>>(&self, [x, v]: [L; 2], g: L) -> [L; 2] {
        let (g, v) = self.gradient::<WATCH, _>(x, v, g);
        if FAST {
            // As in `quotient`; -2 is in the factors.
            let [y, rest] = self.under(v).rsqrt_factors();
            let step = x.constant(self.half_rate) * g * y;
            return [step.mul_add(rest, self.shrunk(x)), v];
        }
        [self.advance(x, self.quotient(v, g)), v]
    }

    #[inline(always)]
    fn centered<const WATCH: bool, L: Lanes<Scalar = T>>(&self, [x, v, c]: [L; 3], g: L) -> [L; 3] {
        let (g, v) = self.gradient::<WATCH, _>(x, v, g);
        let c = self.average(c, g).flush();
        let s = Self::variance(v, c);
        [self.advance(x, self.quotient(s, g)), v, c]
    }

    #[inline(always)]
    fn with_momentum<const WATCH: bool, L: Lanes<Scalar = T>>(
        &self,
        [x, v, b]: [L; 3],
        g: L,
    ) -> [L; 3] {
        let (g, v) = self.gradient::<WATCH, _>(x, v, g);
        let b = self.heavy(b, self.quotient(v, g));
        [self.advance(x, b), v, b]
    }

    #[inline(always)]
    fn centered_with_momentum<const WATCH: bool, L: Lanes<Scalar = T>>(
        &self,
        [x, v, c, b]: [L; 4],
        g: L,
    ) -> [L; 4] {
        let (g, v) = self.gradient::<WATCH, _>(x, v, g);
        let c = self.average(c, g).flush();
        let s = Self::variance(v, c);
        let b = self.heavy(b, self.quotient(s, g));
        [self.advance(x, b), v, c, b]
    }
}

impl<T: Copy, const A: bool, const B: bool> Scalars<T, A, B> {
    /// The same scalars for another kernel.
    #[inline(always)]
    fn with<const PLAIN: bool, const FAST: bool>(self) -> Scalars<T, PLAIN, FAST> {
        let Self {
            terms,
            alpha,
            new,
            inner,
            outer,
            momentum,
            rate,
            half_rate,
            bounds,
        } = self;
        Scalars {
            terms,
            alpha,
            new,
            inner,
            outer,
            momentum,
            rate,
            half_rate,
            bounds,
        }
    }
}

/// The four shapes of a step, by the buffers that they carry.
#[derive(Clone, Copy)]
struct Bare<S>(S);
#[derive(Clone, Copy)]
struct Centered<S>(S);
#[derive(Clone, Copy)]
struct Heavy<S>(S);
#[derive(Clone, Copy)]
struct CenteredHeavy<S>(S);

macro_rules! shape {
    ($shape:ident, $written:literal, $step:ident) => {
        impl<T: Real, const PLAIN: bool, const FAST: bool> Update<T, $written, 1>
            for $shape<Scalars<T, PLAIN, FAST>>
        {
            const HAS_UNUSUAL: bool = true;

            #[inline(always)]
            fn apply<L: Lanes<Scalar = T>>(
                &self,
                written: [L; $written],
                [g]: [L; 1],
            ) -> [L; $written] {
                self.0.$step::<true, _>(written, g)
            }

            #[inline(always)]
            fn usual<L: Lanes<Scalar = T>>(
                &self,
                written: [L; $written],
                [g]: [L; 1],
            ) -> [L; $written] {
                self.0.$step::<false, _>(written, g)
            }

            #[inline(always)]
            fn unusual<L: Lanes<Scalar = T>>(&self, usual: [L; $written]) -> Option<L::Mask> {
                let [_, v, ..] = usual;
                Some(self.0.bounds.exceeded(v))
            }
        }
    };
}
shape!(Bare, 2, bare);
shape!(Centered, 3, centered);
shape!(Heavy, 3, with_momentum);
shape!(CenteredHeavy, 4, centered_with_momentum);

/// One step with its scalars worked out.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Prepared<T> {
    scalars: Scalars<T, false, false>,
    is_fast: bool,
    /// Nothing is added under the root of portable arithmetic.
    is_bare: bool,
    centered: bool,
    has_momentum: bool,
}

impl<T: Real> Prepared<T> {
    #[inline]
    pub(super) fn new(config: &Config, _: u64, precision: Precision) -> Result<Self, Error> {
        let is_fast = config.arithmetic == Arithmetic::Fast;
        let eps: T = told("eps", config.eps)?;
        let inner = match (config.eps_in_sqrt, is_fast) {
            (true, false) => eps,
            (true, true) => eps.largest(T::MIN_POSITIVE),
            (false, false) => T::ZERO,
            (false, true) => (eps * eps).largest(T::MIN_POSITIVE),
        };
        let scalars = Scalars {
            terms: Terms::new(
                config.learning_rate,
                config.weight_decay,
                config.decay,
                config.maximize,
            )?,
            alpha: told_fraction("alpha", config.alpha)?,
            new: T::from_f64(1.0 - config.alpha),
            inner,
            outer: if config.eps_in_sqrt { T::ZERO } else { eps },
            momentum: told_fraction("momentum", config.momentum)?,
            rate: told("learning_rate", config.learning_rate)?,
            half_rate: told_product(
                "learning_rate",
                config.learning_rate,
                config.learning_rate * if is_fast { 0.5 } else { 1.0 },
            )?,
            bounds: Bounds::new(precision),
        };
        Ok(Self {
            scalars,
            is_fast,
            is_bare: is_fast || !config.eps_in_sqrt,
            centered: config.centered,
            has_momentum: config.momentum != 0.0,
        })
    }

    #[inline(always)]
    pub(super) fn run(&self, buffers: [&mut [T]; BUFFERS], x: &mut [T], g: &[T]) {
        if self.is_fast {
            self.run_in::<true>(buffers, x, g);
        } else {
            self.run_in::<false>(buffers, x, g);
        }
    }

    #[inline]
    fn run_in<const FAST: bool>(&self, [v, c, b]: [&mut [T]; BUFFERS], x: &mut [T], g: &[T]) {
        let scalars = self.scalars.with::<false, FAST>();
        match (self.centered, self.has_momentum) {
            (false, false) if !scalars.terms.is_active() && self.is_bare => {
                simd::update(&Bare(scalars.with::<true, FAST>()), [x, v], [g]);
            }
            (false, false) => simd::update(&Bare(scalars), [x, v], [g]),
            (true, false) => simd::update(&Centered(scalars), [x, v, c], [g]),
            (false, true) => simd::update(&Heavy(scalars), [x, v, b], [g]),
            (true, true) => simd::update(&CenteredHeavy(scalars), [x, v, c, b], [g]),
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
    fn eps_moves_under_the_root_on_request() {
        let config = Config {
            learning_rate: 1.0,
            alpha: 0.75,
            eps: 16.0,
            eps_in_sqrt: true,
            ..Default::default()
        };
        let mut x = [0.0_f64];
        config
            .step(&mut State::new([0.0_f64; 1]), &mut x, &[6.0])
            .unwrap();
        // sqrt(9 + 16) = 5
        assert_eq!(x, [-6.0 / 5.0]);
    }

    #[test]
    fn a_constant_gradient_does_not_turn_the_centred_form_to_nan() {
        let config = Config {
            centered: true,
            ..Default::default()
        };
        let mut state = State::new([0.0_f32; 8]);
        let mut x = [0.0; 4];
        for _ in 0..5000 {
            config
                .step(&mut state, &mut x, &[0.1, 0.3, -0.7, 1e-3])
                .unwrap();
        }
        assert!(x.iter().all(|x| x.is_finite()), "{x:?}");
    }

    #[test]
    fn fast_is_portable_up_to_its_stated_error() {
        for eps_in_sqrt in [false, true] {
            let config = Config {
                // Small against every root, so that its place does not matter.
                eps: 1e-15,
                eps_in_sqrt,
                ..Default::default()
            };
            let fast = Config {
                arithmetic: Arithmetic::Fast,
                ..config
            };
            let (mut x, mut y) = (painted::<f32>(100, 1), painted::<f32>(100, 1));
            let (mut s, mut t) = (State::new([0.0_f32; 100]), State::new([0.0_f32; 100]));
            for phase in 0..20 {
                let g = painted::<f32>(100, phase);
                config.step(&mut s, &mut x, &g).unwrap();
                fast.step(&mut t, &mut y, &g).unwrap();
            }
            assert_ne!(x, painted::<f32>(100, 1));
            for (x, y) in x.iter().zip(&y) {
                assert!((x - y).abs() < 2e-6 * x.abs().max(1.0), "{x} {y}");
            }
        }
    }

    #[test]
    fn every_bad_argument_is_named_and_changes_nothing() {
        let good = Config::default();
        #[rustfmt::skip]
        let bad = [
            ("learning_rate", Config { learning_rate: f64::INFINITY, ..good }),
            ("alpha", Config { alpha: 1.0, ..good }),
            ("eps", Config { eps: f64::NAN, ..good }),
            ("eps", Config { eps: 1e300, ..good }),
            ("momentum", Config { momentum: -0.1, ..good }),
            ("weight_decay", Config { weight_decay: -1.0, ..good }),
        ];
        assert_refuses(good, &bad);
    }
}
