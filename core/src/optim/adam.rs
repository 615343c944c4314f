//! Adam, AdamW and AMSGrad.
//!
//! Each parameter has its own step length: the mean gradient over the root of the mean squared gradient, so that the
//! step does not depend on the scale of the gradient. AdamW takes weight decay out of the moments; AMSGrad divides by
//! the largest second moment seen, so that step lengths never grow again.
//!
//! ```text
//! g_t = sign grad + l2 x_t                        sign -1 to maximise
//! m_t = beta1 m_{t-1} + (1 - beta1) g_t
//! v_t = beta2 v_{t-1} + (1 - beta2) g_t^2
//! u_t = max(u_{t-1}, v_t)                         AMSGrad; else u_t = v_t
//! r_t = sqrt(1 - beta2^t)
//! x_{t+1} = keep x_t - learning_rate r_t / (1 - beta1^t) * m_t / (sqrt(u_t) + eps r_t)
//! ```
//!
//! At every 16th step moments below the smallest normal number become 0: a parameter whose gradient is exactly 0 would
//! otherwise keep subnormal moments for hundreds of steps, which x86 machines multiply many times slower. Five operations a
//! group at every step would make a step in cache slower than the plain loop; a silent parameter costs 15 slow steps at
//! most instead.
//!
//! The last line is the published `m_hat / (sqrt(v_hat) + eps)` with r_t multiplied through: one division per
//! element, and the same number up to rounding.
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x | parameters | n |
//! | m, v | first and second moment | n each |
//! | u | largest second moment, AMSGrad only | n or 0 |
//! | l2, keep | weight decay ([`Decay`]) | scalars |
//!
//! Cost per element: 12 flops and a comparison, among them a root and a division, and seven accesses (28 bytes in `f32`; 36 with
//! AMSGrad). State: 2 n elements, 3 n with AMSGrad ([`Config::buffers`]), and the `u64` count of steps; powers of beta are taken in `f64`.
//!
//! With [`Arithmetic::Fast`] products and sums are fused, and the quotient becomes `m_t / sqrt(u_t + eps^2 r_t^2)` by the
//! machine's estimate of the reciprocal root and one Newton step (relative error at most 2^-21 in `f32`). The first moment
//! is `m + (1 - beta1) (g - m)`. The eps
//! inside the root makes steps longer, by at most a factor sqrt(2), and that only where `sqrt(u_t)` is near
//! `eps r_t`. It pays where the data is in cache and the divide unit is the limit; at memory size both are equal.
//!
//! Where v_t overflows, g_t is cut to the largest number whose square is finite, and v_t to the largest number. A huge, finite gradient
//! then moves its parameter by the learning rate, as any first gradient does, and is forgotten like any other; an infinite second
//! moment would stop the parameter for the rest of the run.
//!
//! With `eps = 0` a parameter that has only seen zero gradients becomes NaN, as in PyTorch.
//!
//! References: Kingma and Ba, *Adam* (2015), algorithm 1 and the end of section 2; Loshchilov and Hutter, *Decoupled weight
//! decay regularization* (2019); Reddi, Kale and Kumar, *On the convergence of Adam and beyond* (2018), algorithm 2, with
//! the bias correction of PyTorch: semantics of `torch.optim.Adam` and `AdamW`.

use super::{BUFFERS, Precision, bias_correction, elementwise};
use super::{
    Bounds, Decay, FLUSH_EVERY, Terms, check_fraction, check_non_negative, told_fraction,
    told_product,
};
use crate::error::check;
use crate::simd::{self, Lanes, Update};
use crate::{Arithmetic, Error, Real};

/// Hyperparameters; the defaults are PyTorch's for Adam.
///
/// ```
/// use thalweg::optim::adam;
/// let config = adam::Config { learning_rate: 3e-4, ..adam::Config::adamw() };
/// assert_eq!((config.beta1, config.weight_decay), (0.9, 1e-2));
///
/// use thalweg::optim::{Optimiser, State};
/// let config = adam::Config { learning_rate: 0.5, eps: 0.0, ..Default::default() };
/// let mut state = State::new([0.0_f64; 4]);
/// let mut x = [1.0, 1.0];
/// config.step(&mut state, &mut x, &[3.0, -4.0])?;
/// // Bias correction makes the first step learning_rate * sign(g).
/// assert!((x[0] - 0.5).abs() < 1e-12 && (x[1] - 1.5).abs() < 1e-12);
/// assert!((state.memory()[0] - 0.3).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Length of a step; finite, at least 0, default 1e-3.
    pub learning_rate: f64,
    /// Decay of the first moment; in [0, 1), default 0.9.
    pub beta1: f64,
    /// Decay of the second moment; in [0, 1), default 0.999.
    pub beta2: f64,
    /// Added to the root of the second moment; finite, at least 0, default 1e-8. A positive one may not become 0 in the scalar
    /// type: `eps sqrt(1 - beta2)` is what a first step adds.
    pub eps: f64,
    /// Strength of the weight decay; finite, at least 0, default 0 (1e-2 for [`Config::adamw`]).
    pub weight_decay: f64,
    /// What the weight decay means; default [`Decay::L2`] ([`Decay::Decoupled`] for [`Config::adamw`]).
    pub decay: Decay,
    /// Divides by the largest second moment so far; needs a state with room for it.
    pub amsgrad: bool,
    /// Climbs instead of descending.
    pub maximize: bool,
    /// Portable bits, or fused arithmetic and reciprocal roots.
    pub arithmetic: Arithmetic,
}

impl Config {
    /// PyTorch's defaults for Adam.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::adam::Config::adam().eps, 1e-8);
    /// ```
    pub const fn adam() -> Self {
        Self {
            learning_rate: 1e-3,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            decay: Decay::L2,
            amsgrad: false,
            maximize: false,
            arithmetic: Arithmetic::Portable,
        }
    }

    /// PyTorch's defaults for AdamW (optax and burn take a weight decay of 1e-4).
    ///
    /// ```
    /// use thalweg::optim::{adam, Decay};
    /// assert_eq!(adam::Config::adamw().decay, Decay::Decoupled);
    /// ```
    pub const fn adamw() -> Self {
        Self {
            weight_decay: 1e-2,
            decay: Decay::Decoupled,
            ..Self::adam()
        }
    }

    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::adam::Config;
    /// let error = Config { beta2: 1.0, ..Default::default() }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`beta2` must be in [0, 1)");
    /// ```
    #[inline]
    pub fn validate(&self) -> Result<(), Error> {
        check_non_negative("learning_rate", self.learning_rate)?;
        check_fraction("beta1", self.beta1)?;
        check_fraction("beta2", self.beta2)?;
        check_non_negative("eps", self.eps)?;
        check_non_negative("weight_decay", self.weight_decay)
    }

    /// Lengths of the buffers for `n` parameters: m, v, and with AMSGrad u.
    ///
    /// ```
    /// use thalweg::optim::adam::Config;
    /// assert_eq!(Config::adam().buffers(10), [10, 10, 0]);
    /// assert_eq!(Config { amsgrad: true, ..Config::adam() }.state_len(10), 30);
    /// ```
    #[must_use]
    pub const fn buffers(&self, n: usize) -> [usize; BUFFERS] {
        [n, n, if self.amsgrad { n } else { 0 }]
    }
}

elementwise!(b"ADAM", adam);

impl Default for Config {
    fn default() -> Self {
        Self::adam()
    }
}

/// Elements that are advanced, then flushed, while they are in the first cache.
const FLUSH_CHUNK: usize = 1024;

/// Zero in the place of subnormal moments.
#[derive(Clone, Copy)]
struct Flush;

impl<T: Real> Update<T, 1, 0> for Flush {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [moment]: [L; 1], _: [L; 0]) -> [L; 1] {
        [moment.flush()]
    }
}

/// Sets subnormal moments to zero.
fn flush<T: Real>(moment: &mut [T]) {
    simd::update(&Flush, [moment], []);
}

/// The scalars of one step.
#[derive(Clone, Copy, Debug)]
struct Scalars<T, const ACTIVE: bool, const FAST: bool> {
    terms: Terms<T>,
    beta1: T,
    /// `1 - beta1`, and the same for beta2.
    one_minus_beta1: T,
    beta2: T,
    one_minus_beta2: T,
    /// Half of it when fast.
    rate: T,
    /// `eps r_t`; its square, at least the smallest normal number, when fast.
    eps: T,
    bounds: Bounds<T>,
}

impl<T: Real, const ACTIVE: bool, const FAST: bool> Scalars<T, ACTIVE, FAST> {
    #[inline(always)]
    fn second_moment<L: Lanes<Scalar = T>>(&self, v: L, g: L) -> L {
        let (old, new) = (v.constant(self.beta2), v.constant(self.one_minus_beta2));
        if FAST {
            old.mul_add(v, new * (g * g))
        } else {
            old * v + new * (g * g)
        }
    }

    #[inline(always)]
    fn moments<const WATCH: bool, L: Lanes<Scalar = T>>(&self, x: L, m: L, v: L, g: L) -> (L, L) {
        let mut g = self.terms.gradient::<ACTIVE, _>(x, g);
        let mut second = self.second_moment(v, g);
        if WATCH {
            let exceeded = self.bounds.exceeded(second);
            g = L::select(exceeded, self.bounds.limit(g), g);
            let limited = self.second_moment(self.bounds.cap(v), g);
            second = L::select(exceeded, self.bounds.cap(limited), second);
        }
        let (old, new) = (g.constant(self.beta1), g.constant(self.one_minus_beta1));
        let first = if FAST {
            new.mul_add(g - m, m)
        } else {
            old * m + new * g
        };
        (first, second)
    }

    #[inline(always)]
    fn adam<const WATCH: bool, L: Lanes<Scalar = T>>(&self, [x, m, v]: [L; 3], g: L) -> [L; 3] {
        let (m, v) = self.moments::<WATCH, _>(x, m, v, g);
        [self.advance(x, m, v), m, v]
    }

    #[inline(always)]
    fn amsgrad<const WATCH: bool, L: Lanes<Scalar = T>>(
        &self,
        [x, m, v, u]: [L; 4],
        g: L,
    ) -> [L; 4] {
        let (m, v) = self.moments::<WATCH, _>(x, m, v, g);
        // The new moment comes second, so that its NaN is kept.
        let u = u.largest(v);
        [self.advance(x, m, u), m, v, u]
    }

    #[inline(always)]
    fn advance<L: Lanes<Scalar = T>>(&self, x: L, m: L, u: L) -> L {
        let (rate, eps) = (x.constant(self.rate), x.constant(self.eps));
        let x = self.terms.shrink::<ACTIVE, _>(x);
        if FAST {
            // u >= 0 and eps is normal: the argument is positive and normal.
            let [y, rest] = (u + eps).rsqrt_factors();
            (rate * m * y).mul_add(rest, x)
        } else {
            // u >= 0, so the divisor is positive unless eps and u are both 0.
            x - rate * m / (u.sqrt() + eps)
        }
    }
}

impl<T: Real, const ACTIVE: bool, const FAST: bool> Update<T, 3, 1> for Scalars<T, ACTIVE, FAST> {
    const HAS_UNUSUAL: bool = true;

    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, written: [L; 3], [g]: [L; 1]) -> [L; 3] {
        self.adam::<true, _>(written, g)
    }

    #[inline(always)]
    fn usual<L: Lanes<Scalar = T>>(&self, written: [L; 3], [g]: [L; 1]) -> [L; 3] {
        self.adam::<false, _>(written, g)
    }

    #[inline(always)]
    fn unusual<L: Lanes<Scalar = T>>(&self, [_, _, v]: [L; 3]) -> Option<L::Mask> {
        Some(self.bounds.exceeded(v))
    }
}

impl<T: Real, const ACTIVE: bool, const FAST: bool> Update<T, 4, 1> for Scalars<T, ACTIVE, FAST> {
    const HAS_UNUSUAL: bool = true;

    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, written: [L; 4], [g]: [L; 1]) -> [L; 4] {
        self.amsgrad::<true, _>(written, g)
    }

    #[inline(always)]
    fn usual<L: Lanes<Scalar = T>>(&self, written: [L; 4], [g]: [L; 1]) -> [L; 4] {
        self.amsgrad::<false, _>(written, g)
    }

    #[inline(always)]
    fn unusual<L: Lanes<Scalar = T>>(&self, [_, _, v, _]: [L; 4]) -> Option<L::Mask> {
        Some(self.bounds.exceeded(v))
    }
}

/// One step with its scalars worked out.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Prepared<T> {
    scalars: Scalars<T, false, false>,
    amsgrad: bool,
    is_fast: bool,
    flushes: bool,
}

impl<T: Real> Prepared<T> {
    #[inline]
    pub(super) fn new(config: &Config, steps: u64, precision: Precision) -> Result<Self, Error> {
        check(
            "amsgrad",
            !config.amsgrad || precision == Precision::Scalar,
            "must be off with moments in bf16",
        )?;
        let steps = steps.saturating_add(1);
        let is_fast = config.arithmetic == Arithmetic::Fast;
        let root = libm::sqrt(bias_correction(config.beta2, steps));
        let correction = bias_correction(config.beta1, steps);
        let eps: T = told_product("eps", config.eps, config.eps * root)?;
        let scalars = Scalars {
            beta1: told_fraction("beta1", config.beta1)?,
            one_minus_beta1: T::from_f64(1.0 - config.beta1),
            beta2: told_fraction("beta2", config.beta2)?,
            one_minus_beta2: T::from_f64(1.0 - config.beta2),
            rate: told_product(
                "learning_rate",
                config.learning_rate,
                config.learning_rate * root / correction * if is_fast { 0.5 } else { 1.0 },
            )?,
            eps: if is_fast {
                (eps * eps).largest(T::MIN_POSITIVE)
            } else {
                eps
            },
            bounds: Bounds::new(precision),
            terms: Terms::new(
                config.learning_rate,
                config.weight_decay,
                config.decay,
                config.maximize,
            )?,
        };
        Ok(Self {
            scalars,
            amsgrad: config.amsgrad,
            is_fast,
            flushes: steps.is_multiple_of(FLUSH_EVERY),
        })
    }

    #[inline(always)]
    pub(super) fn run(&self, [m, v, largest]: [&mut [T]; BUFFERS], params: &mut [T], grad: &[T]) {
        if !self.flushes {
            return self.advance(params, m, v, largest, grad);
        }
        let mut largest = largest.chunks_mut(FLUSH_CHUNK);
        for (((x, m), v), g) in (params.chunks_mut(FLUSH_CHUNK))
            .zip(m.chunks_mut(FLUSH_CHUNK))
            .zip(v.chunks_mut(FLUSH_CHUNK))
            .zip(grad.chunks(FLUSH_CHUNK))
        {
            // Empty without AMSGrad.
            let u = largest.next().map_or(&mut [][..], |u| u);
            self.advance(x, m, v, u, g);
            for moment in [m, v, u] {
                flush(moment);
            }
        }
    }

    #[inline(always)]
    fn advance(&self, params: &mut [T], m: &mut [T], v: &mut [T], largest: &mut [T], grad: &[T]) {
        let (scalars, amsgrad) = (self.scalars, self.amsgrad);
        match (scalars.terms.is_active(), self.is_fast) {
            (false, false) => run(scalars, amsgrad, params, m, v, largest, grad),
            (false, true) => {
                let scalars = scalars.with::<false, true>();
                run(scalars, amsgrad, params, m, v, largest, grad);
            }
            (true, false) => {
                let scalars = scalars.with::<true, false>();
                run(scalars, amsgrad, params, m, v, largest, grad);
            }
            (true, true) => {
                let scalars = scalars.with::<true, true>();
                run(scalars, amsgrad, params, m, v, largest, grad);
            }
        }
    }
}

impl<T: Copy> Scalars<T, false, false> {
    /// The same scalars for another kernel.
    #[inline(always)]
    fn with<const ACTIVE: bool, const FAST: bool>(self) -> Scalars<T, ACTIVE, FAST> {
        let Self {
            terms,
            beta1,
            one_minus_beta1,
            beta2,
            one_minus_beta2,
            rate,
            eps,
            bounds,
        } = self;
        Scalars {
            terms,
            beta1,
            one_minus_beta1,
            beta2,
            one_minus_beta2,
            rate,
            eps,
            bounds,
        }
    }
}

#[inline]
fn run<T: Real, const ACTIVE: bool, const FAST: bool>(
    scalars: Scalars<T, ACTIVE, FAST>,
    amsgrad: bool,
    params: &mut [T],
    m: &mut [T],
    v: &mut [T],
    largest: &mut [T],
    grad: &[T],
) {
    if amsgrad {
        simd::update(&scalars, [params, m, v, largest], [grad]);
    } else {
        simd::update(&scalars, [params, m, v], [grad]);
    }
}

#[cfg(test)]
mod tests;
