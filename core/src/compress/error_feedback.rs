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
//! Memory: `d` numbers a client, and `d` of scratch. Cost: three passes beside the compressor's.
//!
//! References: Seide et al., "1-bit stochastic gradient descent", 2014; Karimireddy et al., "Error feedback fixes
//! SignSGD", 2019, algorithm 1.

use super::{Buffers, Compressor, Key, Message, Weight};
use crate::error::{check, check_length};
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
    /// A memory with this content: zeros at the start, a saved residual on resume.
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

/// Compresses one step and keeps what was left out; the server subtracts the mean of the messages.
///
/// # Errors
/// Wrong lengths, an invalid step size, and what the compressor answers; the state is unchanged.
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
    let message = compressor.compress(key, v, buffers)?;
    for (e, v) in residual.iter_mut().zip(v) {
        *e = *v;
    }
    compressor.accumulate(key, &message, Weight::Value(-T::ONE), residual)?;
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::super::{Identity, Sign, TopK};
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
