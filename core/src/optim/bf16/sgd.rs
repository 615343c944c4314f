//! Stochastic gradient descent whose momentum is kept in bf16.
//!
//! The recurrences are those of [`optim::sgd`](crate::optim::sgd), whose `Config` and kernel this takes; only what
//! is kept between two steps differs:
//!
//! ```text
//! b_t = round(momentum b_{t-1} + (1 - dampening) g_t)     g_t, x_t and the step as in the wide form,
//!                                                         taken with the buffer before it is rounded
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x | parameters | n |
//! | b | momentum buffer, bits of bf16 | n |
//!
//! Cost per element: the flops of momentum, one random word and one rounding of 5 integer operations; 16 bytes in `f32`
//! in place of 20. State: 2 bytes per parameter in place of 4. Plain descent keeps nothing and belongs to
//! the wide form: a momentum of 0 is refused here.

use super::{BLOCK, Narrow, Widen, draw, next};
use crate::error::{check, check_length};
use crate::optim::Kernels as _;
use crate::optim::sgd::{Config, Prepared};
use crate::random::Lanes32;
use crate::simd;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::storage::Fixed;
use crate::{Error, Real, Storage};

/// Elements (`u16`) of the momentum buffer for `n` parameters: 2 bytes per parameter.
///
/// ```
/// use thalweg::optim::bf16::sgd;
/// assert_eq!(sgd::state_len(12), 12);
/// assert_eq!(size_of::<sgd::State<[u16; 12]>>(), 12 * 2 + 8); // and the count of steps
/// ```
pub const fn state_len(n: usize) -> usize {
    n
}

/// The momentum buffer as bits of bf16, and the count of steps.
///
/// ```
/// use thalweg::optim::bf16::sgd;
/// const EMPTY: sgd::State<[u16; 64]> = sgd::State::new();
/// assert_eq!((EMPTY.steps(), EMPTY.buffer().len()), (0, 64));
/// let mut memory = [0_u16; 8];
/// let borrowed = sgd::State::from_storage(&mut memory[..]);
/// assert_eq!(borrowed.buffer().len(), 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State<B> {
    buffer: B,
    steps: u64,
}

impl<B: Storage<Elem = u16>> State<B> {
    /// A state in an owned array.
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
    pub fn from_storage(buffer: B) -> Self {
        let mut state = Self { buffer, steps: 0 };
        state.reset();
        state
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        self.buffer.as_mut_slice().fill(0);
        self.steps = 0;
    }

    /// Bits of the decaying sum of gradients; [`widen`](super::widen) reads them.
    pub fn buffer(&self) -> &[u16] {
        self.buffer.as_slice()
    }

    /// Steps taken.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    fn fields(&self) -> [Field; 2] {
        [Field::U64, Field::words::<u16>(self.buffer().len())]
    }
}

impl<B: Fixed<Elem = u16>> Default for State<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Storage<Elem = u16>> Snapshot for State<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"SGBF", 1)?;
        writer.u64(self.steps)?;
        writer.words(self.buffer())?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"SGBF", 1, &self.fields())?;
        self.steps = reader.u64()?;
        reader.words_into(self.buffer.as_mut_slice())?;
        reader.finish()
    }
}

/// One step of descent on `params` along `grad`; the upper halves of the words of `lanes` round the buffer.
///
/// # Errors
/// [`Error::Length`] when `grad` or the buffer differs in length from `params`; [`Error::Parameter`] when the config is
/// not valid or has no momentum. Nothing is changed then, and nothing drawn.
///
/// ```
/// use thalweg::optim::{bf16, sgd};
/// use thalweg::random::{Lanes32, Purpose, stream};
/// let config = sgd::Config { momentum: 0.5, ..sgd::Config::new(0.25) };
/// let mut state = bf16::sgd::State::<[u16; 1]>::new();
/// let mut lanes = Lanes32::new(&mut stream(1, 0, 0, Purpose::NOISE));
/// let mut x = [4.0_f32];
/// bf16::sgd::step(&config, &mut state, &mut x, &[4.0], &mut lanes)?; // buffer 4
/// assert_eq!(x, [3.0]);
/// bf16::sgd::step(&config, &mut state, &mut x, &[2.0], &mut lanes)?; // buffer 0.5 * 4 + 2: bf16 holds both
/// assert_eq!(x, [2.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real, B: Storage<Elem = u16>>(
    config: &Config,
    state: &mut State<B>,
    params: &mut [T],
    grad: &[T],
    lanes: &mut Lanes32,
) -> Result<(), Error> {
    config.validate()?;
    check(
        "momentum",
        config.momentum > 0.0,
        "must be above 0 with a buffer in bf16",
    )?;
    check_length("grad", params.len(), grad.len())?;
    let buffer = state.buffer.as_mut_slice();
    check_length("state.buffer", params.len(), buffer.len())?;
    T::Kernels::bf16_momentum(config, state.steps, buffer, params, grad, lanes)?;
    state.steps = state.steps.saturating_add(1);
    Ok(())
}

/// The step that follows `steps` steps, on slices of one length.
pub(in crate::optim) fn on_slices<T: Real>(
    config: &Config,
    steps: u64,
    buffer: &mut [u16],
    params: &mut [T],
    grad: &[T],
    lanes: &mut Lanes32,
) -> Result<(), Error> {
    let wide = Prepared::<T>::new(config, steps)?;

    let (mut words, mut wide_buffer) = ([0; BLOCK], [T::ZERO; BLOCK]);
    let (mut params, mut buffers) = (params, buffer);
    for g in grad.chunks(BLOCK) {
        let (x, buffer) = (next(&mut params), next(&mut buffers));
        let words = draw(lanes, &mut words, x.len());
        simd::dispatch(Widen {
            from: buffer,
            to: &mut wide_buffer[..],
        });
        wide.run(x, &mut wide_buffer, g);
        simd::dispatch(Narrow {
            from: &wide_buffer[..],
            words,
            shift: 16,
            to: buffer,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{round, widen};
    use super::*;
    use crate::optim::sgd as wide;
    use crate::optim::tests::{assert_levels_agree, assert_resumes, painted};
    use crate::random::{Purpose, stream};
    use std::vec;
    use std::vec::Vec;

    fn lanes(seed: u64) -> Lanes32 {
        Lanes32::new(&mut stream(seed, 0, 0, Purpose::NOISE))
    }

    fn heavy(nesterov: bool) -> Config {
        Config {
            momentum: 0.9,
            nesterov,
            weight_decay: 0.01,
            ..Config::new(0.05)
        }
    }

    #[test]
    fn a_step_is_the_wide_step_with_a_rounded_buffer() {
        const N: usize = 600;
        for nesterov in [false, true] {
            let (mut narrow, mut rng) = (State::<[u16; N]>::new(), lanes(2));
            let (mut x, g) = (painted::<f32>(N, 1), painted::<f32>(N, 2));
            let (mut exact, mut y) = (wide::State::<[f32; N]>::new(), x.clone());
            let mut words = vec![0; N];
            rng.clone().fill_u32(&mut words);
            step(&heavy(nesterov), &mut narrow, &mut x, &g, &mut rng).unwrap();
            wide::step(&heavy(nesterov), &mut exact, &mut y, &g).unwrap();
            assert_eq!(x, y);
            for i in 0..N {
                let expected = round(exact.buffer()[i], (words[i] >> 16) as u16);
                assert_eq!(narrow.buffer()[i], expected, "{i}");
            }
        }
    }

    #[test]
    fn the_buffer_reaches_its_limit_in_the_mean() {
        const N: usize = 1024;
        let config = Config {
            momentum: 0.99,
            ..Config::new(0.0)
        };
        let (mut state, mut lanes) = (State::<[u16; N]>::new(), lanes(1));
        for _ in 0..500 {
            step(
                &config,
                &mut state,
                &mut [0.0_f32; N],
                &[1.0; N],
                &mut lanes,
            )
            .unwrap();
        }
        // b = 100 (1 - 0.99^t). A rounding has variance at most 1/16 (a gap of 1/2 below 128), and 0.98 of it is left a
        // step later: at most 3.2 in all, and 6 standard errors of the mean are 0.34.
        let mean = state
            .buffer()
            .iter()
            .map(|b| f64::from(widen(*b)))
            .sum::<f64>()
            / N as f64;
        let expected = 100.0 * (1.0 - 0.99_f64.powi(500));
        assert!((mean - expected).abs() < 0.34, "{mean} {expected}");
    }

    #[test]
    fn a_saved_state_resumes_with_the_same_bits() {
        assert_resumes(State::<[u16; 5]>::new(), |state, x, g| {
            let mut lanes = Lanes32::new(&mut stream(4, state.steps(), 0, Purpose::NOISE));
            step(&heavy(true), state, x, g, &mut lanes).unwrap();
        });
    }

    #[test]
    fn bits_do_not_depend_on_the_level() {
        fn bits<T: Real>(n: usize) -> (Vec<u64>, Vec<u16>) {
            let mut b = vec![0; n];
            let mut state = State::from_storage(&mut b[..]);
            let (mut x, mut lanes) = (painted::<T>(n, 1), lanes(5));
            for t in 0..3 {
                let g = painted(n, 10 + t);
                step(&heavy(t % 2 == 0), &mut state, &mut x, &g, &mut lanes).unwrap();
            }
            (x.iter().map(|x| x.to_bits_u64()).collect(), b)
        }
        assert_levels_agree(bits::<f32>);
        assert_levels_agree(bits::<f64>);
    }

    #[test]
    fn every_bad_argument_is_named_and_changes_and_draws_nothing() {
        let (mut state, mut lanes) = (State::<[u16; 2]>::new(), lanes(6));
        let good = heavy(false);
        step(
            &good,
            &mut state,
            &mut [1.0_f32, 2.0],
            &[3.0, 4.0],
            &mut lanes,
        )
        .unwrap();
        let (before, drawn, mut x) = (state, lanes.clone(), [1.0_f32, 2.0]);
        for (expected, config) in [
            ("momentum", Config::new(0.1)),
            (
                "learning_rate",
                Config {
                    learning_rate: 1e300,
                    ..good
                },
            ),
        ] {
            match step(&config, &mut state, &mut x, &[1.0, 1.0], &mut lanes) {
                Err(Error::Parameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{config:?} gave {other:?}"),
            }
        }
        assert!(step(&good, &mut state, &mut x, &[1.0], &mut lanes).is_err());
        assert!(step(&good, &mut state, &mut [0.0_f32; 3], &[1.0; 3], &mut lanes).is_err());
        assert_eq!((state, x, lanes), (before, [1.0, 2.0], drawn));
    }
}
