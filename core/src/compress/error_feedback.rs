//! Error feedback (EF14): what a message leaves out is kept and sent later.
//!
//! ```text
//! v = e + gamma g        what should have been applied by now
//! m = C(v)               the message; the server takes x <- x - mean m
//! e = v - m
//! ```
//!
//! | symbol | shape | meaning |
//! |---|---|---|
//! | `e` | d | residual of a client, zero at the start |
//! | `gamma` | | step size |
//! | `g` | d | gradient of the client |
//!
//! The step size is inside the memory: what has been left out is a step that was already scaled, and a change of
//! `gamma` during the run does not rescale it. Sums of messages and residual conserve the steps: at all times
//! `sum m + e = sum gamma g`, up to rounding.
//!
//! Memory: `d` numbers a client, and `d` of scratch. Cost: three passes in addition to the compressor's.
//!
//! References: Seide et al., "1-bit stochastic gradient descent", 2014; Karimireddy et al., "Error feedback fixes
//! SignSGD", 2019, algorithm 1.

use super::{Buffers, Compressor, Key, Message, Weight};
use crate::error::{check, check_length};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::storage::Fixed;
use crate::{Error, Real, Storage, vector};

/// Parameters of a step.
///
/// ```
/// use thalweg::compress::error_feedback::Config;
/// assert!(Config { learning_rate: 0.1_f32 }.validate().is_ok());
/// assert!(Config { learning_rate: f32::NAN }.validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config<T> {
    /// Step size `gamma`, finite and not negative.
    pub learning_rate: T,
}

impl<T: Real> Config<T> {
    /// Checks the range of the step size.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    pub fn validate(&self) -> Result<(), Error> {
        let gamma = self.learning_rate;
        let fits = gamma.is_finite() && gamma >= T::ZERO;
        check("learning_rate", fits, "must be finite and not negative")
    }
}

/// What a client has not sent yet.
///
/// ```
/// let state = thalweg::compress::error_feedback::State::<[f32; 3]>::new();
/// assert_eq!(state.residual(), [0.0; 3]);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct State<B> {
    residual: B,
}

impl<B: Fixed> State<B> {
    /// An empty memory.
    ///
    /// ```
    /// use thalweg::compress::error_feedback::State;
    /// static MEMORY: State<[f32; 8]> = State::new();
    /// assert_eq!(MEMORY.residual().len(), 8);
    /// ```
    #[must_use]
    pub const fn new() -> Self {
        Self { residual: B::ZERO }
    }
}

impl<B: Fixed> Default for State<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real, B: Storage<Elem = T>> State<B> {
    /// A memory with this content: zeros at the start. A saved one is restored through [`Snapshot`].
    ///
    /// ```
    /// use thalweg::compress::error_feedback::State;
    /// let mut buffer = [0.5_f32; 4];
    /// assert_eq!(State::from_buffer(&mut buffer[..]).residual(), [0.5; 4]);
    /// ```
    #[must_use]
    pub const fn from_buffer(residual: B) -> Self {
        Self { residual }
    }

    /// The residual `e`.
    ///
    /// ```
    /// use thalweg::compress::error_feedback::State;
    /// assert_eq!(State::<[f64; 2]>::new().residual(), [0.0, 0.0]);
    /// ```
    pub fn residual(&self) -> &[T] {
        self.residual.as_slice()
    }
}

impl<T: Real, B: Storage<Elem = T>> Snapshot for State<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&[Field::reals::<T>(self.residual().len())])
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut w = Writer::new(out, *b"EF14", 1)?;
        w.slice(self.residual())?;
        w.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let fields = [Field::reals::<T>(self.residual().len())];
        let mut r = Reader::new(bytes, *b"EF14", 1, &fields)?;
        r.slice_into(self.residual.as_mut_slice())?;
        r.finish()
    }
}

/// Compresses one step and keeps what was left out; the server subtracts the mean of the messages.
///
/// # Errors
/// Wrong lengths, an invalid step size, [`Error::NonFinite`] for a gradient (`grad`) or a sum `e + gamma g` (`step`) that is not
/// finite, and what the compressor returns; the state is unchanged. A compressor that is not contractive may leave a residual that is
/// not finite: [`Error::NonFinite`] too, and the residual then holds the whole of `e + gamma g`, as if nothing had been sent.
///
/// ```
/// use thalweg::compress::{Buffers, Key, Message, TopK, error_feedback::{self, Config, State}};
/// let config = Config { learning_rate: 0.5_f32 };
/// let mut state = State::<[f32; 3]>::new();
/// let (mut scratch, mut values, mut indices) = ([0.0; 3], [0.0; 1], [0; 1]);
/// let buffers = Buffers { indices: &mut indices, ..Buffers::values(&mut values) };
/// let grad = [4.0, -6.0, 2.0];
/// let message = error_feedback::step(&config, &TopK { k: 1 }, Key::default(), &mut state, &grad, &mut scratch, buffers)?;
/// assert_eq!(message, Message::Sparse { indices: &[1], values: &[-3.0] });
/// assert_eq!(state.residual(), [2.0, 0.0, 1.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<'m, T: Real, B: Storage<Elem = T>>(
    config: &Config<T>,
    compressor: &impl Compressor<T>,
    key: Key,
    state: &mut State<B>,
    grad: &[T],
    scratch: &'m mut [T],
    buffers: Buffers<'m, T>,
) -> Result<Message<'m, T>, Error> {
    config.validate()?;
    let residual = state.residual.as_mut_slice();
    check_length("grad", residual.len(), grad.len())?;
    check_length("scratch", residual.len(), scratch.len())?;
    vector::axpby_into(T::ONE, residual, config.learning_rate, grad, scratch)?;
    let v: &'m [T] = scratch;
    if let Some(step) = vector::first_non_finite(v) {
        return Err(match vector::first_non_finite(grad) {
            Some(index) => Error::NonFinite {
                name: "grad",
                at: crate::At::Element(index),
            },
            None => Error::NonFinite {
                name: "step",
                at: crate::At::Element(step),
            },
        });
    }
    let message = compressor.compress(key, v, buffers)?;
    keep(residual, v);
    compressor.accumulate(key, &message, Weight::Value(-T::ONE), residual)?;
    if let Some(index) = vector::first_non_finite(residual) {
        keep(residual, v);
        let name = "residual";
        return Err(Error::NonFinite {
            name,
            at: crate::At::Element(index),
        });
    }
    Ok(message)
}

fn keep<T: Real>(residual: &mut [T], v: &[T]) {
    for (e, v) in residual.iter_mut().zip(v) {
        *e = *v;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Identity, Natural, Sign, TopK};
    use super::*;

    #[test]
    fn the_identity_leaves_no_residual() {
        let mut state = State::<[f32; 3]>::new();
        let (mut scratch, config) = (
            [0.0; 3],
            Config {
                learning_rate: 0.25,
            },
        );
        let message = step(
            &config,
            &Identity,
            Key::default(),
            &mut state,
            &[1.0, -2.0, 3.0],
            &mut scratch,
            Buffers::default(),
        );
        assert_eq!(message, Ok(Message::Dense(&[0.25, -0.5, 0.75])));
        assert_eq!(state.residual(), [0.0; 3]);
    }

    #[test]
    fn messages_and_residual_conserve_the_steps() {
        // Multiples of 1/8 with few bits: every operation of TopK's loop is exact.
        let mut state = State::<[f32; 5]>::new();
        let (mut sent, mut due) = ([0.0_f32; 5], [0.0_f32; 5]);
        for round in 0_u32..40 {
            // The step size changes during the run.
            let learning_rate = if round < 20 { 0.5 } else { 0.125 };
            let grad: [f32; 5] =
                core::array::from_fn(|j| ((round * 7 + j as u32 * 3) % 11) as f32 - 4.0);
            let (mut scratch, mut values, mut indices) = ([0.0; 5], [0.0; 2], [0; 2]);
            let buffers = Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            };
            let (c, key) = (TopK { k: 2 }, Key::default());
            let config = Config { learning_rate };
            let message = step(&config, &c, key, &mut state, &grad, &mut scratch, buffers).unwrap();
            c.accumulate(key, &message, Weight::ONE, &mut sent).unwrap();
            due.iter_mut()
                .zip(grad)
                .for_each(|(d, g)| *d += learning_rate * g);
            for j in 0..5 {
                assert_eq!(sent[j] + state.residual()[j], due[j], "round {round}");
            }
        }
        assert!(sent.iter().all(|s| *s != 0.0));
    }

    #[test]
    fn scaled_sign_with_memory_reaches_the_minimum_of_a_quadratic() {
        // f(x) = sum a_j x_j^2 / 2: without memory the sign steps cannot tell a_j apart.
        let a = [1.0_f64, 0.1, 0.5, 2.0];
        let mut x = [1.0, -1.0, 2.0, 0.5];
        let mut state = State::<[f64; 4]>::new();
        let config = Config {
            learning_rate: 0.05,
        };
        for round in 0..4000 {
            let grad: [f64; 4] = core::array::from_fn(|j| a[j] * x[j]);
            let mut scratch = [0.0; 4];
            let key = Key {
                round,
                ..Key::default()
            };
            let message = step(
                &config,
                &Sign,
                key,
                &mut state,
                &grad,
                &mut scratch,
                Buffers::default(),
            )
            .unwrap();
            Sign.accumulate(key, &message, Weight::Value(-1.0), &mut x)
                .unwrap();
        }
        assert!(vector::norm2(&x) < 1e-3, "{x:?}");
    }

    /// One step at rate 1 from a residual; what it returned, and the residual after it.
    fn from<C: Compressor<f32>, const D: usize>(
        c: &C,
        residual: [f32; D],
        grad: [f32; D],
    ) -> (Result<(), Error>, [f32; D]) {
        let mut state = State::from_buffer(residual);
        let (mut scratch, mut values, mut indices) = ([0.0; D], [0.0; D], [0; D]);
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        let config = Config { learning_rate: 1.0 };
        let key = Key::default();
        let message = step(&config, c, key, &mut state, &grad, &mut scratch, buffers);
        (message.map(|_| ()), state.residual)
    }

    #[test]
    fn what_is_not_finite_is_named_and_the_memory_forgets_nothing_and_keeps_nothing_of_it() {
        let refused = |name, index| {
            Err(Error::NonFinite {
                name,
                at: crate::At::Element(index),
            })
        };
        for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            let grad = [1.0, bad, 2.0];
            let residual = [0.5; 3];
            assert_eq!(
                from(&TopK { k: 1 }, residual, grad),
                (refused("grad", 1), residual)
            );
            assert_eq!(
                from(&Identity, residual, grad),
                (refused("grad", 1), residual)
            );
            assert_eq!(
                from(&Natural, residual, grad),
                (refused("grad", 1), residual)
            );
            assert_eq!(from(&Sign, residual, grad), (refused("grad", 1), residual));
        }
        // Two finite numbers whose sum is not.
        let residual = [0.0, 0.0, f32::MAX];
        assert_eq!(
            from(&TopK { k: 1 }, residual, residual),
            (refused("step", 2), residual)
        );
        // A good step follows.
        let (message, left) = from(&TopK { k: 1 }, [0.0; 3], [1.0, 5.0, 2.0]);
        assert_eq!((message, left), (Ok(()), [1.0, 0.0, 2.0]));
    }

    #[test]
    fn a_multiple_that_overflows_is_not_sent_and_the_step_is_kept() {
        // RandK alone is not contractive: four times the element that it draws.
        let c = super::super::RandK::new(1);
        let (message, left) = from(&c, [0.0; 4], [2e38; 4]);
        let named = matches!(
            message,
            Err(Error::NonFinite {
                name: "residual",
                ..
            })
        );
        assert!(named && left == [2e38; 4], "{message:?} {left:?}");
    }

    #[test]
    fn a_saved_residual_is_the_same_memory() {
        let state = State::from_buffer([0.5_f32, -0.0, 3.0]);
        let mut bytes = [0; 64];
        let len = state.save(&mut bytes).unwrap();
        assert_eq!(len, state.snapshot_len());
        let mut other = State::<[f32; 3]>::new();
        other.restore(&bytes[..len]).unwrap();
        let bits = |state: &State<[f32; 3]>| state.residual.map(f32::to_bits);
        assert_eq!(bits(&other), bits(&state));
        // Not a memory of another length, and not from damaged bytes.
        let mut longer = State::<[f32; 4]>::new();
        assert!(longer.restore(&bytes[..len]).is_err());
        bytes[40] ^= 1;
        assert!(other.restore(&bytes[..len]).is_err());
        assert_eq!(bits(&other), bits(&state));
    }

    #[test]
    fn a_failed_step_leaves_the_residual() {
        let mut state = State::from_buffer([1.0_f32, 2.0]);
        let mut scratch = [0.0; 2];
        let config = Config { learning_rate: 1.0 };
        let mut failed = |grad: &[f32], config: &Config<f32>| {
            let c = TopK { k: 1 };
            let buffers = Buffers::default();
            step(
                config,
                &c,
                Key::default(),
                &mut state,
                grad,
                &mut scratch,
                buffers,
            )
            .is_err()
        };
        assert!(failed(&[1.0], &config));
        assert!(failed(&[1.0, f32::NAN], &config));
        assert!(failed(&[1.0, 1.0], &config));
        assert!(failed(
            &[1.0, 1.0],
            &Config {
                learning_rate: -1.0
            }
        ));
        assert_eq!(state.residual(), [1.0, 2.0]);
    }
}
