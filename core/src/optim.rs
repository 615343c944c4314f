//! First-order optimisers: one fused pass over parameters, gradient and moments per step.
//!
//! Each member is a `Config` that is passed at every step (parameter groups and schedules then need no
//! machinery); one [`State`] holds the memory and the count of steps of any of them; [`Optimiser::step`] advances:
//!
//! ```
//! use thalweg::optim::{Optimiser, State, adam};
//! let mut params = [1.0_f32; 64];
//! let grad = [0.5_f32; 64];
//!
//! const CONFIG: adam::Config = adam::Config { learning_rate: 1e-3, ..adam::Config::adam() };
//! let mut state = State::new([0.0; CONFIG.state_len(64)]); // a static, a stack value, &mut [f32], or Vec<f32>
//! CONFIG.step(&mut state, &mut params, &grad)?;
//! // The first step of Adam has the length of the learning rate, whatever the gradient.
//! assert!((params[0] - 0.999).abs() < 1e-6);
//! # Ok::<(), thalweg::Error>(())
//! ```
//!
//! | member | buffers of n elements | bytes moved per `f32` | defaults from |
//! |---|---|---|---|
//! | [`sgd`] | 0; 1 with momentum | 12; 20 | PyTorch |
//! | [`adam`], AdamW, AMSGrad | 2; 3 with AMSGrad | 28; 36 | PyTorch |
//! | [`rmsprop`] | 1, one more centred, one more with momentum | 20; 28; 36 | PyTorch |
//! | [`adagrad`] | 1 | 20 | PyTorch |
//! | [`lion`] | 1 | 20 | optax |
//! | [`lamb`] | 2 | 44 | optax |
//! | [`muon`] | 1, and a workspace | 64 and products of matrices | PyTorch |
//! | [`nero`] | one number per row of a matrix, 1 for vectors | 12 | the publication |
//!
//! LAMB, Muon and Nero treat layers or their rows as a whole and are told the layers ([`Optimiser::step_layers`]); the others treat each parameter by itself
//! ([`Elementwise`]), and [`bf16`] keeps their buffers in half of the memory of `f32`.
//!
//! [`schedule`] makes learning rates, [`clip`] makes gradients shorter or refuses them, [`average`] follows the parameters.
//! Every state, those of [`schedule::Plateau`] and [`clip::Guard`] included, is saved and restored through
//! [`Snapshot`](crate::snapshot::Snapshot).
//!
//! # Scalars are `f64`
//! Hyperparameters are `f64` for both scalar types; a step combines them in `f64` and rounds each result once.
//! Numbers near 1 do not survive `f32`: `1 - 0.999_f32` is 1.3e-5 away from 0.001.
//!
//! # Where we differ from PyTorch
//! - Moments whose magnitude falls below the smallest normal number become 0, in Adam and SGD at every 16th step. A parameter whose gradient is
//!   exactly 0 would otherwise keep subnormal moments for hundreds of steps, and x86 machines multiply those many
//!   times slower. The change to a parameter is below `learning_rate * 1e-38 / eps` per step.
//! - Weight decay names its meaning: [`Decay`].
//! - Where squares of gradients are kept, a finite gradient whose square overflows, from 2^64 on (`f64`: 2^512), counts as the
//!   largest whose square does not: the parameter takes a step of the usual length and recovers at the pace of the decay. PyTorch's
//!   second moment becomes infinite, in Adam from 5.8e20 on, and the parameter never moves again.
//! - Momentum is a sum, which a finite gradient may overflow as in PyTorch; [`sgd`] says from where on.
//! - Non-finite gradients are not an error here: they reach the parameter and moments of their own index, no
//!   others; where squares are kept an infinite one counts as NaN. Guards belong before the step.
//! - A hyperparameter that the scalar type cannot tell from 0, 1 or infinity is refused by name: `eps = 1e-50` is 0 in `f32`.
//!
//! # What was rejected
//! A type of state for each optimiser, with a type of storage for each buffer (each repeats the same snapshot, reset and constructors),
//! registries of parameter groups (one call per slice does it), and step counters kept as floats (they stop counting at 2^24).

// What holds the promises above: `optimiser::tests::every_optimiser_resumes_with_the_same_bits` and the tests named `*restored*` and `*resumes*`
// of `schedule::plateau`, `clip` and `average` for saved states; `adam::tests::moments_of_a_silent_parameter_become_zero_not_subnormal`
// for small moments; `extremes` for huge gradients, gradients that are not finite, and numbers that a type cannot tell.
pub mod adagrad;
#[allow(clippy::too_many_arguments, reason = "the buffers of one pass")]
pub mod adam;
pub mod average;
pub mod bf16;
pub mod clip;
pub mod lamb;
pub mod lion;
pub mod muon;
pub mod nero;
pub mod optimiser;
pub mod registry;
pub mod rmsprop;
pub mod schedule;
pub mod sgd;

#[cfg(test)]
mod extremes;

pub use optimiser::{
    BUFFERS, Elementwise, Layer, Memory, Optimiser, Precision, State, Workspace, params_len,
};
use optimiser::{Scalars, elementwise};

use crate::error::check;
use crate::real::kernels;
use crate::simd::Lanes;
use crate::{Error, Real, simd};

kernels! {
    /// Bodies of the optimisers, on slices whose lengths fit, and of averages.
    trait Kernels<T> {
        fn sgd(
            scalars: Scalars<'_, sgd::Config, sgd::Prepared<T>>,
            buffers: [&mut [T]; BUFFERS],
            params: &mut [T],
            grad: &[T],
        ) -> Result<(), Error> {
            scalars.prepared(sgd::Prepared::new)?.run(buffers, params, grad);
            Ok(())
        }
        fn adam(
            scalars: Scalars<'_, adam::Config, adam::Prepared<T>>,
            buffers: [&mut [T]; BUFFERS],
            params: &mut [T],
            grad: &[T],
        ) -> Result<(), Error> {
            scalars.prepared(adam::Prepared::new)?.run(buffers, params, grad);
            Ok(())
        }
        fn rmsprop(
            scalars: Scalars<'_, rmsprop::Config, rmsprop::Prepared<T>>,
            buffers: [&mut [T]; BUFFERS],
            params: &mut [T],
            grad: &[T],
        ) -> Result<(), Error> {
            scalars.prepared(rmsprop::Prepared::new)?.run(buffers, params, grad);
            Ok(())
        }
        fn adagrad(
            scalars: Scalars<'_, adagrad::Config, adagrad::Prepared<T>>,
            buffers: [&mut [T]; BUFFERS],
            params: &mut [T],
            grad: &[T],
        ) -> Result<(), Error> {
            scalars.prepared(adagrad::Prepared::new)?.run(buffers, params, grad);
            Ok(())
        }
        fn lion(
            scalars: Scalars<'_, lion::Config, lion::Prepared<T>>,
            buffers: [&mut [T]; BUFFERS],
            params: &mut [T],
            grad: &[T],
        ) -> Result<(), Error> {
            scalars.prepared(lion::Prepared::new)?.run(buffers, params, grad);
            Ok(())
        }
        fn lamb(prepared: &lamb::Prepared<T>, m: &mut [T], v: &mut [T], params: &mut [T], grad: &[T]) {
            prepared.run(m, v, params, grad);
        }
        fn muon(
            prepared: &muon::Prepared<T>,
            shape: (usize, usize),
            workspace: &mut [T],
            written: [&mut [T]; 2],
            grad: &[T],
        ) -> Result<(), Error> {
            prepared.run(shape, workspace, written, grad)
        }
        fn widen(from: &[u16], to: &mut [T]) {
            simd::dispatch(bf16::Widen { from, to });
        }
        fn narrow(from: &[T], words: &[u32], shift: u32, to: &mut [u16]) {
            simd::dispatch(bf16::Narrow { from, words, shift, to });
        }
        fn blend(old: T, new: T, x: &[T], average: &mut [T]) {
            simd::update(&average::Blend { old, new }, [average], [x]);
        }
        fn move_toward(rate: T, x: &[T], average: &mut [T]) {
            simd::update(&average::Toward(rate), [average], [x]);
        }
        fn synchronise(rate: T, slow: &mut [T], x: &mut [T]) {
            simd::update(&average::Synchronise(rate), [slow, x], []);
        }
        fn quotient(x: &[T], divisor: T, out: &mut [T]) {
            simd::map(&average::Quotient(divisor), [x], [out]);
        }
    }
}

/// What weight decay means.
///
/// ```
/// use thalweg::optim::{sgd, Decay, Optimiser, State};
/// let shrunk = |decay| {
///     let config = sgd::Config { weight_decay: 0.5, decay, ..sgd::Config::new(0.5) };
///     let mut x = [8.0_f64];
///     config.step(&mut State::new([0.0; 0]), &mut x, &[0.0]).map(|()| x[0])
/// };
/// assert_eq!(shrunk(Decay::L2), Ok(6.0));          // x - 0.5 * (0.5 x)
/// assert_eq!(shrunk(Decay::Decoupled), Ok(6.0));   // x - 0.5 * 0.5 * x
/// assert_eq!(shrunk(Decay::Independent), Ok(4.0)); // x - 0.5 * x
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Decay {
    /// `g + weight_decay * x` takes the place of the gradient, and so enters the moments.
    #[default]
    L2,
    /// `x` shrinks by `learning_rate * weight_decay` in addition to the step: PyTorch's AdamW. A product below half the gap at
    /// 1 (6e-8 in `f32`) leaves `x` as it is, as there.
    Decoupled,
    /// `x` shrinks by `weight_decay` alone, whatever the learning rate: the AdamW paper (arXiv:1711.05101).
    Independent,
}

/// Saves and restores a state: the counters in order, then the buffers.
macro_rules! snapshot {
    ([$($p:ident),+] $state:ty, $kind:literal, [$($word:ident),*], [$($buffer:ident),+]) => {
        impl<T: $crate::Real, $($p: $crate::Storage<Elem = T>),+> $crate::snapshot::Snapshot for $state {
            fn snapshot_len(&self) -> usize {
                $crate::snapshot::saved_len(&[
                    $({ let _ = self.$word; $crate::snapshot::Field::U64 },)*
                    $($crate::snapshot::Field::reals::<T>(self.$buffer.as_slice().len()),)+
                ])
            }

            fn save(&self, out: &mut [u8]) -> Result<usize, $crate::snapshot::SnapshotError> {
                let mut writer = $crate::snapshot::Writer::new(out, *$kind, 1)?;
                $(writer.u64(self.$word)?;)*
                $(writer.slice(self.$buffer.as_slice())?;)+
                writer.finish()
            }

            fn restore(&mut self, bytes: &[u8]) -> Result<(), $crate::snapshot::SnapshotError> {
                let fields = [
                    $({ let _ = self.$word; $crate::snapshot::Field::U64 },)*
                    $($crate::snapshot::Field::reals::<T>(self.$buffer.as_slice().len()),)+
                ];
                let mut reader = $crate::snapshot::Reader::new(bytes, *$kind, 1, &fields)?;
                $(self.$word = reader.u64()?;)*
                $(reader.slice_into(self.$buffer.as_mut_slice())?;)+
                reader.finish()
            }
        }
    };
}
pub(crate) use snapshot;

/// How gradient and parameter enter a step: sign, L2 term, shrinkage.
#[derive(Clone, Copy, Debug)]
struct Terms<T> {
    sign: T,
    l2: T,
    keep: T,
}

impl<T: Real> Terms<T> {
    #[inline]
    fn new(
        learning_rate: f64,
        weight_decay: f64,
        decay: Decay,
        maximize: bool,
    ) -> Result<Self, Error> {
        let sign = if maximize { -T::ONE } else { T::ONE };
        if weight_decay == 0.0 {
            return Ok(Self {
                sign,
                l2: T::ZERO,
                keep: T::ONE,
            });
        }
        let (l2, keep) = match decay {
            Decay::L2 => (told("weight_decay", weight_decay)?, T::ONE),
            Decay::Decoupled => (
                T::ZERO,
                narrow("weight_decay", 1.0 - learning_rate * weight_decay)?,
            ),
            Decay::Independent => (T::ZERO, narrow("weight_decay", 1.0 - weight_decay)?),
        };
        Ok(Self { sign, l2, keep })
    }

    /// Some term changes something, so that the kernel has to apply them.
    #[inline]
    fn is_active(&self) -> bool {
        self.changes_gradient() || self.keep != T::ONE
    }

    /// The sign or the L2 term changes the gradient.
    #[inline]
    fn changes_gradient(&self) -> bool {
        self.sign != T::ONE || self.l2 != T::ZERO
    }

    /// `sign g + l2 x`.
    #[inline(always)]
    fn gradient<const ACTIVE: bool, L: Lanes<Scalar = T>>(&self, x: L, g: L) -> L {
        if ACTIVE {
            g.constant(self.sign) * g + x.constant(self.l2) * x
        } else {
            g
        }
    }

    /// `keep x`.
    #[inline(always)]
    fn shrink<const ACTIVE: bool, L: Lanes<Scalar = T>>(&self, x: L) -> L {
        if ACTIVE { x.constant(self.keep) * x } else { x }
    }
}

/// Steps from one flush of subnormal moments to the next.
const FLUSH_EVERY: u64 = 16;

/// The largest `f32` whose square is finite: the one before 2^64.
const ROOT_F32: f64 = 18_446_742_974_197_923_840.0;

/// What a state can hold of squared gradients.
///
/// A kernel computes the second moment as if no square overflowed; the loop compares it with the largest one before it stores
/// ([`Update::unusual`](crate::simd::Update::unusual)), one branch for two registers, and comes back for the rare turn that exceeds it.
/// A branch for each register cost RMSprop 4 % in the second cache, 11 % with fast arithmetic; limiting every gradient 8 %, and 15 to
/// 23 % (AMD EPYC, AVX-512).
#[derive(Clone, Copy, Debug)]
struct Bounds<T> {
    /// The largest second moment, and the largest gradient whose square is below it.
    square: T,
    gradient: T,
}

impl<T: Real> Bounds<T> {
    /// Those of the scalar type; of `f32` for moments in bf16, which has the exponents of `f32`.
    #[inline]
    fn new(precision: Precision) -> Self {
        if T::BYTES == 4 || precision == Precision::Bf16 {
            return Self {
                square: T::from_f64(f32::MAX.into()),
                gradient: T::from_f64(ROOT_F32),
            };
        }
        Self {
            square: T::MAX,
            // The number before 2^512.
            gradient: T::from_f64(f64::from_bits(((1023 + 512) << 52) - 1)),
        }
    }

    /// Lanes beyond the largest second moment; NaN is not.
    #[inline(always)]
    fn exceeded<L: Lanes<Scalar = T>>(&self, moment: L) -> L::Mask {
        moment.constant(self.square).lt(moment)
    }

    /// A finite gradient cut to the largest one; NaN for one that is not finite.
    #[inline(always)]
    fn limit<L: Lanes<Scalar = T>>(&self, g: L) -> L {
        let bound = g.constant(self.gradient);
        // The bounds come first, so that the gradient itself stays where nothing is cut. The product is a zero of its
        // sign, which changes no bit of a finite sum.
        bound.least((-bound).largest(g)) + g * g.constant(T::ZERO)
    }

    /// A norm cut to the largest gradient; NaN stays.
    #[inline]
    fn limit_norm(&self, norm: T) -> T {
        self.gradient.least(norm)
    }

    /// A second moment cut to the largest one; NaN stays.
    #[inline(always)]
    fn cap<L: Lanes<Scalar = T>>(&self, moment: L) -> L {
        moment.constant(self.square).least(moment)
    }
}

/// Rounds a scalar of a step to the type of the parameters.
#[inline]
fn narrow<T: Real>(name: &'static str, x: f64) -> Result<T, Error> {
    let rounded = T::from_f64(x);
    check(
        name,
        rounded.is_finite(),
        "must be finite in the scalar type",
    )?;
    Ok(rounded)
}

/// [`narrow`] for a number that acts by not being 0.
#[inline]
fn told<T: Real>(name: &'static str, x: f64) -> Result<T, Error> {
    told_product(name, x, x)
}

/// [`told`] for a product with a positive factor of the number that was asked for.
#[inline]
fn told_product<T: Real>(name: &'static str, asked: f64, product: f64) -> Result<T, Error> {
    let rounded = narrow(name, product)?;
    check(
        name,
        asked == 0.0 || rounded != T::ZERO,
        "must not round to 0 in the scalar type",
    )?;
    Ok(rounded)
}

/// [`narrow`] for the coefficient of a moving average, which never forgets when it is 1.
#[inline]
fn told_fraction<T: Real>(name: &'static str, x: f64) -> Result<T, Error> {
    let rounded = T::from_f64(x);
    check(
        name,
        rounded < T::ONE,
        "must not round to 1 in the scalar type",
    )?;
    Ok(rounded)
}

/// `1 - beta^t`: positive, because `beta < 1` and `t >= 1`.
fn bias_correction(beta: f64, steps: u64) -> f64 {
    // beta^t <= exp(-t (1 - beta)) < 2^-57 leaves 1 as it is; most steps of a long run end here.
    if steps as f64 * (1.0 - beta) > 40.0 {
        1.0
    } else {
        1.0 - Real::powi(beta, steps)
    }
}

/// Learning rates, decays, epsilons.
#[inline]
fn check_non_negative(name: &'static str, x: f64) -> Result<(), Error> {
    // As bits the numbers from 0 on are in order, infinity and NaN above them and -0.0 higher still: one comparison.
    check(
        name,
        x.to_bits() <= f64::MAX.to_bits() || x == 0.0,
        "must be finite and not negative",
    )
}

/// Coefficients of moving averages.
#[inline]
fn check_fraction(name: &'static str, x: f64) -> Result<(), Error> {
    check(
        name,
        x.to_bits() < 1.0_f64.to_bits() || x == 0.0,
        "must be in [0, 1)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    use core::fmt::Debug;
    use std::vec::Vec;

    pub(super) fn painted<T: Real>(n: usize, phase: usize) -> Vec<T> {
        (0..n)
            .map(|i| T::from_f64(((i * 37 + phase * 53) % 251) as f64 / 64.0 - 1.95))
            .collect()
    }

    /// The result of `run(n)` is that of the scalar level at every level and length.
    pub(super) fn assert_levels_agree<R: PartialEq + Debug>(run: impl Fn(usize) -> R) {
        for n in [0, 1, 3, 4, 5, 8, 9, 15, 17, 31, 33, 1003, 4097] {
            let mut expected = None;
            for level in crate::testing::levels() {
                let found = run(n);
                match &expected {
                    None => expected = Some(found),
                    Some(expected) => assert!(found == *expected, "{level:?} differs at n={n}"),
                }
            }
        }
    }

    #[test]
    fn flush_keeps_normals_and_nan() {
        let least = f32::MIN_POSITIVE;
        assert_eq!(least.flush().to_bits(), least.to_bits());
        assert_eq!((-least).flush().to_bits(), (-least).to_bits());
        assert_eq!((least / 2.0).flush().to_bits(), 0);
        assert_eq!((-least / 2.0).flush().to_bits(), 0);
        assert!(f32::NAN.flush().is_nan());
    }
}
