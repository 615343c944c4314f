//! Averages of parameters along a run: exponential, uniform (SWA), Lookahead.
//!
//! The last iterate of a stochastic run rattles about a minimum; an average of iterates lies nearer to it.
//!
//! ```text
//! Ema        a_t = decay a_{t-1} + (1 - decay) x_t     a_1 = x_1, or with debias a_0 = 0, read a_t / (1 - decay^t)
//! Swa        a_t = a_{t-1} + (x_t - a_{t-1}) / t
//! Lookahead  every `period` steps: s <- s + rate (x - s), x <- s
//! ```
//!
//! | state | elements | accesses per update |
//! |---|---|---|
//! | [`Ema`], [`Swa`] | n | 3 |
//! | [`Lookahead`] | n | 0; 4 every `period` steps |
//!
//! References: Polyak and Juditsky (1992); Izmailov et al., *Averaging weights leads to wider optima and better
//! generalization* (2018), equation 1; Zhang et al., *Lookahead optimizer* (2019), algorithm 1. Semantics of
//! `torch.optim.swa_utils` and, with `debias`, of `optax.ema`.

use super::{check_fraction, narrow, told, told_fraction};
use crate::error::{check, check_length};
use crate::optim::Kernels as _;
use crate::simd::{Lanes, Map, Update};
use crate::storage::Fixed;
use crate::{Error, Real, Storage};

/// `a <- old a + new x`, flushed.
#[derive(Clone, Copy)]
pub(super) struct Blend<T> {
    pub(super) old: T,
    pub(super) new: T,
}

impl<T: Real> Update<T, 1, 1> for Blend<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [a]: [L; 1], [x]: [L; 1]) -> [L; 1] {
        [(a.constant(self.old) * a + x.constant(self.new) * x).flush()]
    }
}

/// `a <- a + rate (x - a)`.
#[derive(Clone, Copy)]
pub(super) struct Toward<T>(pub(super) T);

impl<T: Real> Update<T, 1, 1> for Toward<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [a]: [L; 1], [x]: [L; 1]) -> [L; 1] {
        [a + a.constant(self.0) * (x - a)]
    }
}

/// `s <- s + rate (x - s)`, `x <- s`.
#[derive(Clone, Copy)]
pub(super) struct Synchronise<T>(pub(super) T);

impl<T: Real> Update<T, 2, 0> for Synchronise<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [s, x]: [L; 2], _: [L; 0]) -> [L; 2] {
        let s = s + s.constant(self.0) * (x - s);
        [s, s]
    }
}

#[derive(Clone, Copy)]
pub(super) struct Quotient<T>(pub(super) T);

impl<T: Real> Map<T, 1, 1> for Quotient<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [a]: [L; 1]) -> [L; 1] {
        [a / a.constant(self.0)]
    }
}

/// A buffer and a count.
macro_rules! state {
    ($(#[$doc:meta])* $name:ident $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub struct $name<B> {
            buffer: B,
            steps: u64,
        }

        impl<B: Storage> $name<B> {
            /// A state in an owned array.
            pub const fn new() -> Self
            where
                B: Fixed,
            {
                Self { buffer: B::ZERO, steps: 0 }
            }

            /// A state in memory that is passed in; its contents are set to zero.
            pub fn from_storage(buffer: B) -> Self
            where
                B::Elem: Real,
            {
                let mut state = Self { buffer, steps: 0 };
                state.reset();
                state
            }

            /// Forgets the past.
            pub fn reset(&mut self)
            where
                B::Elem: Real,
            {
                self.buffer.as_mut_slice().fill(B::Elem::ZERO);
                self.steps = 0;
            }

            /// Updates so far.
            pub const fn steps(&self) -> u64 {
                self.steps
            }
        }

        impl<B: Fixed> Default for $name<B> {
            fn default() -> Self {
                Self::new()
            }
        }

        super::snapshot!([B] $name<B>, $kind, [steps], [buffer]);
    };
}

state! {
    /// Exponential moving average.
    ///
    /// ```
    /// use thalweg::optim::average::{Ema, EmaConfig};
    /// let config = EmaConfig { decay: 0.75, debias: false };
    /// let mut ema = Ema::<[f32; 1]>::new();
    /// ema.update(&config, &[8.0])?; // the first value itself
    /// ema.update(&config, &[4.0])?; // 0.75 * 8 + 0.25 * 4
    /// let mut out = [0.0];
    /// ema.average_into(&config, &mut out)?;
    /// assert_eq!(out, [7.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    Ema b"EMAV"
}

/// Hyperparameters of [`Ema`].
///
/// ```
/// assert_eq!(thalweg::optim::average::EmaConfig::default().decay, 0.999);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EmaConfig {
    /// Share of the average that is kept; in [0, 1), in the scalar type too; default 0.999.
    pub decay: f64,
    /// Starts from 0 and divides by `1 - decay^t` when read, instead of starting from the first parameters.
    pub debias: bool,
}

impl Default for EmaConfig {
    fn default() -> Self {
        Self {
            decay: 0.999,
            debias: false,
        }
    }
}

impl EmaConfig {
    /// Checks the range that the field states.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    ///
    /// ```
    /// use thalweg::optim::average::EmaConfig;
    /// let error = EmaConfig { decay: 1.0, debias: true }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`decay` must be in [0, 1)");
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check_fraction("decay", self.decay)
    }
}

impl<T: Real, B: Storage<Elem = T>> Ema<B> {
    /// Takes parameters into the average.
    ///
    /// # Errors
    /// [`Error::Length`] when `params` and the state differ; [`Error::Parameter`] when the config is not valid. Nothing is changed then.
    pub fn update(&mut self, config: &EmaConfig, params: &[T]) -> Result<(), Error> {
        config.validate()?;
        let old = told_fraction("decay", config.decay)?;
        let buffer = self.buffer.as_mut_slice();
        check_length("params", buffer.len(), params.len())?;
        if self.steps == 0 && !config.debias {
            copy(params, buffer);
        } else {
            T::Kernels::blend(old, T::from_f64(1.0 - config.decay), params, buffer);
        }
        self.steps = self.steps.saturating_add(1);
        Ok(())
    }

    /// Writes the average; zeros before the first update.
    ///
    /// # Errors
    /// [`Error::Length`] when `out` and the state differ; [`Error::Parameter`] when the config is not valid. Nothing is written then.
    pub fn average_into(&self, config: &EmaConfig, out: &mut [T]) -> Result<(), Error> {
        config.validate()?;
        let buffer = self.buffer.as_slice();
        check_length("out", buffer.len(), out.len())?;
        if config.debias && self.steps > 0 {
            // decay < 1 and steps >= 1: positive.
            let weight = 1.0 - Real::powi(config.decay, self.steps);
            T::Kernels::quotient(buffer, narrow("decay", weight)?, out);
        } else {
            copy(buffer, out);
        }
        Ok(())
    }
}

state! {
    /// Uniform average of the parameters that were shown: stochastic weight averaging.
    ///
    /// ```
    /// use thalweg::optim::average::Swa;
    /// let mut swa = Swa::<[f64; 1]>::new();
    /// for x in [1.0, 2.0, 6.0] {
    ///     swa.update(&[x])?;
    /// }
    /// assert_eq!((swa.average(), swa.steps()), (&[3.0][..], 3));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    Swa b"SWAV"
}

impl<T: Real, B: Storage<Elem = T>> Swa<B> {
    /// Takes parameters into the average.
    ///
    /// # Errors
    /// [`Error::Length`] when `params` and the state differ.
    pub fn update(&mut self, params: &[T]) -> Result<(), Error> {
        let buffer = self.buffer.as_mut_slice();
        check_length("params", buffer.len(), params.len())?;
        let steps = self.steps.saturating_add(1);
        // steps >= 1.
        T::Kernels::move_toward(T::from_f64(1.0 / steps as f64), params, buffer);
        self.steps = steps;
        Ok(())
    }

    /// The average; zeros before the first update.
    pub fn average(&self) -> &[T] {
        self.buffer.as_slice()
    }
}

state! {
    /// Slow parameters that follow the fast ones, and to which the fast ones return.
    ///
    /// ```
    /// use thalweg::optim::average::{Lookahead, LookaheadConfig};
    /// let config = LookaheadConfig { period: 2, rate: 0.5 };
    /// let mut state = Lookahead::<[f32; 1]>::new();
    /// let mut x = [0.0];
    /// state.start(&x)?;
    /// x[0] = 3.0; // a step of the inner optimiser
    /// assert!(!state.step(&config, &mut x)?);
    /// x[0] = 8.0; // another
    /// assert!(state.step(&config, &mut x)?);
    /// assert_eq!(x, [4.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    Lookahead b"LOOK"
}

/// Hyperparameters of [`Lookahead`].
///
/// ```
/// assert_eq!(thalweg::optim::average::LookaheadConfig::default().period, 6);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LookaheadConfig {
    /// Fast steps between synchronisations; at least 1, default 6.
    pub period: u64,
    /// Length of the slow step; in (0, 1], not 0 in the scalar type; default 0.5.
    pub rate: f64,
}

impl Default for LookaheadConfig {
    fn default() -> Self {
        Self {
            period: 6,
            rate: 0.5,
        }
    }
}

impl LookaheadConfig {
    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::average::LookaheadConfig;
    /// let error = LookaheadConfig { period: 0, rate: 0.5 }.validate().unwrap_err();
    /// assert_eq!(error.to_string(), "`period` must be at least 1");
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check("period", self.period > 0, "must be at least 1")?;
        let inside = self.rate > 0.0 && self.rate <= 1.0;
        check("rate", inside, "must be in (0, 1]")
    }
}

impl<T: Real, B: Storage<Elem = T>> Lookahead<B> {
    /// Sets the slow parameters; to be called once, before the first fast step.
    ///
    /// # Errors
    /// [`Error::Length`] when `params` and the state differ.
    pub fn start(&mut self, params: &[T]) -> Result<(), Error> {
        let buffer = self.buffer.as_mut_slice();
        check_length("params", buffer.len(), params.len())?;
        copy(params, buffer);
        self.steps = 0;
        Ok(())
    }

    /// To be called after each fast step; true when the parameters were set back to the slow ones.
    ///
    /// # Errors
    /// [`Error::Length`] when `params` and the state differ; [`Error::Parameter`] when the config is out of range. Nothing is changed
    /// then.
    pub fn step(&mut self, config: &LookaheadConfig, params: &mut [T]) -> Result<bool, Error> {
        config.validate()?;
        let rate = told("rate", config.rate)?;
        let buffer = self.buffer.as_mut_slice();
        check_length("params", buffer.len(), params.len())?;
        self.steps = self.steps.saturating_add(1);
        // A period of 0 has been refused.
        let synchronises = self.steps.checked_rem(config.period) == Some(0);
        if synchronises {
            T::Kernels::synchronise(rate, buffer, params);
        }
        Ok(synchronises)
    }

    /// The slow parameters.
    pub fn slow(&self) -> &[T] {
        self.buffer.as_slice()
    }
}

/// Copies the common length.
pub(super) fn copy<T: Copy>(from: &[T], to: &mut [T]) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::Snapshot;

    #[test]
    fn a_debiased_average_of_a_constant_is_the_constant() {
        let config = EmaConfig {
            decay: 0.9,
            debias: true,
        };
        let mut ema = Ema::<[f64; 2]>::new();
        let mut out = [7.0; 2];
        ema.average_into(&config, &mut out).unwrap();
        assert_eq!(out, [0.0; 2]);
        for _ in 0..5 {
            ema.update(&config, &[3.0, -1.0]).unwrap();
            ema.average_into(&config, &mut out).unwrap();
            assert!((out[0] - 3.0).abs() < 1e-14 && (out[1] + 1.0).abs() < 1e-14);
        }
    }

    /// The name of the parameter that is refused.
    fn refused<R: core::fmt::Debug>(answer: Result<R, Error>) -> &'static str {
        match answer {
            Err(Error::Parameter { name, .. }) => name,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bad_arguments_are_named_and_change_nothing() {
        let mut ema = Ema::<[f32; 2]>::new();
        ema.update(&EmaConfig::default(), &[1.0, 2.0]).unwrap();
        let before = ema;
        // The last one is 1 in f32: the average would forget nothing.
        for decay in [1.0, -0.1, f64::NAN, 1.0 - 1e-9] {
            let debias = false;
            let found = ema.update(&EmaConfig { decay, debias }, &[1.0, 2.0]);
            assert_eq!(refused(found), "decay");
        }
        assert!(ema.update(&EmaConfig::default(), &[1.0]).is_err());
        assert_eq!(ema, before);
        let mut slow = Lookahead::<[f32; 1]>::new();
        for (expected, period, rate) in [
            ("period", 0, 0.5),
            ("rate", 1, 0.0),
            ("rate", 1, 1.5),
            ("rate", 1, f64::NAN),
            ("rate", 1, 1e-50),
        ] {
            let config = LookaheadConfig { period, rate };
            assert_eq!(refused(slow.step(&config, &mut [1.0])), expected);
        }
        assert_eq!(slow, Lookahead::new());
    }

    /// Seven updates, save, seven more; restore the save elsewhere, seven more: the same bits.
    fn resumes<S: Snapshot + Clone + PartialEq + core::fmt::Debug>(
        fresh: S,
        mut update: impl FnMut(&mut S, &mut [f32; 3]),
    ) {
        let (mut state, mut x) = (fresh.clone(), [0.1, 0.2, 0.3]);
        let mut advance = |state: &mut S, x: &mut [f32; 3]| {
            for t in 0..7 {
                *x = x.map(|x| 0.9 * x + 0.01 * t as f32);
                update(state, x);
            }
        };
        advance(&mut state, &mut x);
        let mut bytes = [0; 128];
        let len = state.save(&mut bytes).unwrap();
        assert_eq!(len, state.snapshot_len());
        let (mut resumed, mut y) = (fresh.clone(), x);
        resumed.restore(&bytes[..len]).unwrap();
        advance(&mut state, &mut x);
        advance(&mut resumed, &mut y);
        assert_eq!((&state, x), (&resumed, y));
        assert_ne!(state, fresh);
        let before = resumed.clone();
        bytes[30] ^= 1;
        assert!(resumed.restore(&bytes[..len]).is_err());
        assert_eq!(resumed, before);
    }

    #[test]
    fn restored_averages_continue_with_the_same_bits() {
        for debias in [false, true] {
            let config = EmaConfig { decay: 0.9, debias };
            resumes(Ema::<[f32; 3]>::new(), |ema, x| {
                ema.update(&config, x).unwrap();
            });
        }
        resumes(Swa::<[f32; 3]>::new(), |swa, x| swa.update(x).unwrap());
        // Seven steps are not a multiple of the period: the restored count matters.
        let config = LookaheadConfig {
            period: 3,
            rate: 0.5,
        };
        resumes(Lookahead::<[f32; 3]>::new(), |slow, x| {
            slow.step(&config, x).unwrap();
        });
        let mut bytes = [0; 128];
        let len = Ema::<[f32; 3]>::new().save(&mut bytes).unwrap();
        assert!(Swa::<[f32; 3]>::new().restore(&bytes[..len]).is_err());
    }
}
