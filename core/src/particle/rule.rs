//! How far particles go along their field.
//!
//! ```text
//! constant   x <- x + eps f
//! AdaGrad    v_1 = f^2,  v_t = decay v_{t-1} + (1 - decay) f^2          x <- x + eps f / (fudge + sqrt(v_t))
//! Adam       m_t = beta1 m_{t-1} + (1 - beta1) f,  v_t likewise         x <- x + eps m^ / (sqrt(v^) + fudge)
//! ```
//! The second is what the published code of SVGD calls AdaGrad: the first step fills the accumulator, later ones average. Both
//! adaptive rules rescale each coordinate, which is legal where the field is a gradient flow (SVGD, Stein Langevin) and
//! breaks the skew part of a Hamiltonian flow: `theta' = r` no longer holds. Samplers with momenta therefore take a step size and no rule.
//!
//! Squares are held at half of the largest finite number: a field whose square overflows shortens the steps of its coordinate until its
//! share of the mean has decayed, not indefinitely. A field that is not finite, or that takes a particle to where it is not, is
//! [`Error::NonFinite`] with the index of the particle; nothing has moved then.
//!
//! References: Liu and Wang (2016), published code; Kingma and Ba, *Adam* (2015).

use super::{check_finite, check_positive, narrow};
use crate::error::{check, check_length};
use crate::memory::must;
use crate::particle::Kernels as _;
use crate::simd::{Lanes, Update};
use crate::storage::Fixed;
use crate::{Error, Real, Storage};

/// A step rule of a pure gradient flow.
///
/// ```
/// use thalweg::particle::rule::Rule;
/// assert_eq!(Rule::ADAGRAD, Rule::AdaGrad { decay: 0.9, fudge: 1e-6 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rule {
    /// The step size times the field.
    #[default]
    Constant,
    /// The rule of the published code of SVGD.
    AdaGrad {
        /// Share of the old accumulator; in [0, 1).
        decay: f64,
        /// Added to the root; finite and positive.
        fudge: f64,
    },
    /// Adam, climbing.
    Adam {
        /// Decay of the mean field; in [0, 1).
        beta1: f64,
        /// Decay of the mean square; in [0, 1).
        beta2: f64,
        /// Added to the root; finite and positive.
        fudge: f64,
    },
}

impl Rule {
    /// AdaGrad with the constants of the published code.
    pub const ADAGRAD: Self = Self::AdaGrad {
        decay: 0.9,
        fudge: 1e-6,
    };
    /// Adam with the constants of its paper.
    pub const ADAM: Self = Self::Adam {
        beta1: 0.9,
        beta2: 0.999,
        fudge: 1e-8,
    };

    /// Elements of state for `len` numbers: 0, `len` or `2 len`.
    ///
    /// ```
    /// use thalweg::particle::rule::Rule;
    /// assert_eq!([Rule::Constant, Rule::ADAGRAD, Rule::ADAM].map(|rule| rule.state_len(6)), [0, 6, 12]);
    /// ```
    pub const fn state_len(&self, len: usize) -> usize {
        match self {
            Self::Constant => 0,
            Self::AdaGrad { .. } => len,
            Self::Adam { .. } => len.saturating_mul(2),
        }
    }

    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first that is out of range.
    ///
    /// ```
    /// use thalweg::particle::rule::Rule;
    /// assert!(Rule::AdaGrad { decay: 1.0, fudge: 1e-6 }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        let fraction = |name, x| check(name, (0.0..1.0).contains(&x), "must be in [0, 1)");
        match *self {
            Self::Constant => Ok(()),
            Self::AdaGrad { decay, fudge } => {
                fraction("decay", decay)?;
                check_positive("fudge", fudge)
            }
            Self::Adam {
                beta1,
                beta2,
                fudge,
            } => {
                fraction("beta1", beta1)?;
                fraction("beta2", beta2)?;
                check_positive("fudge", fudge)
            }
        }
    }
}

/// What a rule remembers; [`Rule::state_len`] elements.
///
/// ```
/// use thalweg::particle::rule::State;
/// const NONE: State<[f32; 0]> = State::new();
/// assert_eq!(NONE.steps(), 0);
/// assert_eq!(State::from_storage(&mut [1.0_f64; 4][..]).buffer(), [0.0; 4]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State<B: Storage> {
    buffer: B,
    steps: u64,
}

impl<B: Storage> State<B> {
    /// A state in a separate array.
    pub const fn new() -> Self
    where
        B: Fixed,
    {
        Self {
            buffer: B::ZERO,
            steps: 0,
        }
    }

    /// A state in memory that is passed in; its contents are set to zero.
    pub fn from_storage(buffer: B) -> Self
    where
        B::Elem: Real,
    {
        let mut state = Self { buffer, steps: 0 };
        state.buffer.as_mut_slice().fill(B::Elem::ZERO);
        state
    }

    /// A state over memory that holds one already, with its count of steps: nothing is cleared.
    ///
    /// ```
    /// use thalweg::particle::rule::State;
    /// let mut moments = [4.0_f64, 9.0];
    /// let state = State::resume(&mut moments[..], 3);
    /// assert_eq!((state.buffer(), state.steps()), (&[4.0, 9.0][..], 3));
    /// ```
    pub const fn resume(buffer: B, steps: u64) -> Self {
        Self { buffer, steps }
    }

    /// Accumulator of AdaGrad; first, then second moments of Adam.
    pub fn buffer(&self) -> &[B::Elem] {
        self.buffer.as_slice()
    }

    /// Steps taken.
    pub const fn steps(&self) -> u64 {
        self.steps
    }
}

impl<B: Fixed> Default for State<B> {
    fn default() -> Self {
        Self::new()
    }
}

super::snapshot!([B] State<B>, b"SVGD", [steps], [buffer]);

/// `f <- x + a f`.
#[derive(Clone, Copy)]
pub(super) struct Target<T>(pub(super) T);
impl<T: Real> Update<T, 1, 1> for Target<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [f]: [L; 1], [x]: [L; 1]) -> [L; 1] {
        [x + x.constant(self.0) * f]
    }
}

/// Most of a square: means of such are finite, rounding included.
fn most<T: Real>() -> T {
    T::MAX / (T::ONE + T::ONE)
}

#[derive(Clone, Copy)]
pub(super) struct AdaGrad<T> {
    pub(super) rate: T,
    pub(super) old: T,
    pub(super) new: T,
    pub(super) fudge: T,
}
impl<T: Real> Update<T, 2, 1> for AdaGrad<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, v]: [L; 2], [f]: [L; 1]) -> [L; 2] {
        let c = |scalar| x.constant(scalar);
        let v = c(self.old) * v + c(self.new) * (f * f).least(c(most()));
        // v >= 0 and fudge > 0.
        [x + c(self.rate) * f / (v.sqrt() + c(self.fudge)), v]
    }
}

#[derive(Clone, Copy)]
pub(super) struct Adam<T> {
    pub(super) first: [T; 2],
    pub(super) second: [T; 2],
    /// `eps sqrt(1 - beta2^t) / (1 - beta1^t)`.
    pub(super) rate: T,
    /// `fudge sqrt(1 - beta2^t)`.
    pub(super) fudge: T,
}
impl<T: Real> Update<T, 3, 1> for Adam<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [x, m, v]: [L; 3], [f]: [L; 1]) -> [L; 3] {
        let c = |scalar| x.constant(scalar);
        let ([a, b], [p, q]) = (self.first, self.second);
        let m = c(a) * m + c(b) * f;
        let v = c(p) * v + c(q) * (f * f).least(c(most()));
        // v >= 0 and fudge > 0.
        [x + c(self.rate) * m / (v.sqrt() + c(self.fudge)), m, v]
    }
}

/// Checks the length of the state for `len` numbers.
pub(super) fn check_state<B: Storage>(
    rule: &Rule,
    state: &State<B>,
    len: usize,
) -> Result<(), Error> {
    check_length(
        "state.buffer",
        rule.state_len(len),
        state.buffer.as_slice().len(),
    )
}

/// Moves `x`, particles of dimension `d`, along `field`, which is overwritten.
///
/// Everything but the field has been checked; on an error nothing has moved.
pub(super) fn advance<T: Real, B: Storage<Elem = T>>(
    rule: &Rule,
    step_size: f64,
    state: &mut State<B>,
    d: usize,
    x: &mut [T],
    field: &mut [T],
) -> Result<(), Error> {
    let rate = narrow("step_size", step_size)?;
    check_finite("field", field, d)?;
    let steps = state.steps.saturating_add(1);
    let buffer = state.buffer.as_mut_slice();
    match *rule {
        Rule::Constant => {
            T::Kernels::step_from(rate, x, field);
            check_finite("field", field, d)?;
            for (x, &to) in x.iter_mut().zip(&*field) {
                *x = to;
            }
        }
        Rule::AdaGrad { decay, fudge } => {
            let decay = if steps == 1 { 0.0 } else { decay };
            let [old, new, fudge] = [decay, 1.0 - decay, fudge].map(T::from_f64);
            T::Kernels::adagrad_rule([rate, old, new, fudge], x, buffer, field);
        }
        Rule::Adam {
            beta1,
            beta2,
            fudge,
        } => {
            // 1 - beta^t > 0: beta < 1 and t >= 1.
            let root = libm::sqrt(1.0 - Real::powi(beta2, steps));
            let correction = 1.0 - Real::powi(beta1, steps);
            let [first, second] = [beta1, beta2].map(|beta| [beta, 1.0 - beta].map(T::from_f64));
            let rate = narrow("step_size", step_size * root / correction)?;
            let fudge = T::from_f64(fudge * root).largest(T::MIN_POSITIVE);
            let (m, v) = must(buffer.split_at_mut_checked(x.len()));
            T::Kernels::adam_rule(first, second, [rate, fudge], [x, m, v], field);
        }
    }
    state.steps = steps;
    Ok(())
}
