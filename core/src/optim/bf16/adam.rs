//! Adam and AdamW with moments in bf16.
//!
//! The recurrences are those of [`optim::adam`](crate::optim::adam), whose `Config` and kernel this takes; only what
//! is kept between two steps differs:
//!
//! ```text
//! m_t = round(beta1 m_{t-1} + (1 - beta1) g_t)        g_t, x_t and the step as in the wide form,
//! v_t = round(beta2 v_{t-1} + (1 - beta2) g_t^2)      taken with the moments before they are rounded
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | x | parameters | n |
//! | m, v | first and second moment, bits of bf16 | n each ([`state_len`]) |
//!
//! The largest gradient is that of `f32` for both scalar types: bf16 has the exponents of `f32`, and a second moment that is cut where
//! the first is not would lengthen later steps.
//!
//! The mean of v over the random bits is exactly that of the wide form, since v is linear in what is rounded (up to the
//! rounding of `f32`); so is the mean of m when the gradients do not depend on them. One rounding moves a
//! moment by less than 2^-7 of it.
//!
//! Cost per element: the flops of Adam, one random word and two roundings of 5 integer operations each; 20 bytes in
//! `f32` in place of 28. State: 4 bytes per parameter in place of 8. AMSGrad has no narrow form: the largest of
//! randomly rounded numbers is no estimate of the largest.

use super::{BLOCK, Narrow, Widen, draw, next};
use crate::error::{check, check_length};
use crate::optim::Bounds;
use crate::optim::Kernels as _;
use crate::optim::adam::{Config, Prepared};
use crate::random::Lanes32;
use crate::simd;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::storage::Fixed;
use crate::{Error, Real, Storage};

/// Elements (`u16`) of the moments for `n` parameters: 4 bytes per parameter.
///
/// ```
/// use thalweg::optim::bf16::adam;
/// assert_eq!(adam::state_len(10), 20);
/// assert_eq!(size_of::<adam::State<[u16; 10]>>(), 20 * 2 + 8); // and the count of steps
/// ```
pub const fn state_len(n: usize) -> usize {
    n.saturating_mul(2)
}

/// Moments as bits of bf16, and the count of steps.
///
/// ```
/// use thalweg::optim::bf16::adam;
/// const EMPTY: adam::State<[u16; 64]> = adam::State::new();
/// assert_eq!((EMPTY.steps(), EMPTY.v().len()), (0, 64));
/// let (mut m, mut v) = ([0_u16; 8], [0_u16; 8]);
/// let borrowed = adam::State::from_storage(&mut m[..], &mut v[..]);
/// assert_eq!(borrowed.m().len(), 8);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State<B> {
    m: B,
    v: B,
    steps: u64,
}

impl<B: Storage<Elem = u16>> State<B> {
    /// A state in owned arrays.
    pub const fn new() -> Self
    where
        B: Fixed,
    {
        Self {
            m: B::ZERO,
            v: B::ZERO,
            steps: 0,
        }
    }

    /// A state in memory that is passed in; its contents are set to zero.
    pub fn from_storage(m: B, v: B) -> Self {
        let mut state = Self { m, v, steps: 0 };
        state.reset();
        state
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        self.m.as_mut_slice().fill(0);
        self.v.as_mut_slice().fill(0);
        self.steps = 0;
    }

    /// Bits of the first moment, not corrected for its bias; [`widen`](super::widen) reads them.
    pub fn m(&self) -> &[u16] {
        self.m.as_slice()
    }

    /// Bits of the second moment, not corrected for its bias.
    pub fn v(&self) -> &[u16] {
        self.v.as_slice()
    }

    /// Steps taken.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    fn fields(&self) -> [Field; 3] {
        [
            Field::U64,
            Field::words::<u16>(self.m().len()),
            Field::words::<u16>(self.v().len()),
        ]
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
        let mut writer = Writer::new(out, *b"ADBF", 1)?;
        writer.u64(self.steps)?;
        writer.words(self.m())?;
        writer.words(self.v())?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"ADBF", 1, &self.fields())?;
        self.steps = reader.u64()?;
        reader.words_into(self.m.as_mut_slice())?;
        reader.words_into(self.v.as_mut_slice())?;
        reader.finish()
    }
}

/// One step of descent on `params` along `grad`; `lanes` gives the bits that round the moments.
///
/// The upper half of a word rounds m, the lower half v.
///
/// # Errors
/// [`Error::Length`] when `grad` or a moment differs in length from `params`; [`Error::Parameter`] when the config is not
/// valid or asks for AMSGrad. Nothing is changed then, and nothing drawn.
///
/// ```
/// use thalweg::optim::{adam, bf16};
/// use thalweg::random::{Lanes32, Purpose, stream};
/// let config = adam::Config { learning_rate: 0.5, eps: 0.0, ..Default::default() };
/// let mut state = bf16::adam::State::<[u16; 2]>::new();
/// let mut lanes = Lanes32::new(&mut stream(1, 0, 0, Purpose::NOISE));
/// let mut x = [1.0_f32, 1.0];
/// bf16::adam::step(&config, &mut state, &mut x, &[3.0, -4.0], &mut lanes)?;
/// // Bias correction makes the first step learning_rate * sign(g); no rounded moment has entered it.
/// assert!((x[0] - 0.5).abs() < 1e-6 && (x[1] - 1.5).abs() < 1e-6);
/// // The moment 0.3 is kept to within one gap of bf16.
/// assert!((bf16::widen(state.m()[0]) - 0.3).abs() < 0.3 / 128.0);
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
        "amsgrad",
        !config.amsgrad,
        "must be off with moments in bf16",
    )?;
    let n = params.len();
    check_length("grad", n, grad.len())?;
    let (m, v) = (state.m.as_mut_slice(), state.v.as_mut_slice());
    check_length("state.m", n, m.len())?;
    check_length("state.v", n, v.len())?;
    let steps = state.steps.saturating_add(1);
    T::Kernels::bf16_adam(config, steps, [m, v], params, grad, lanes)?;
    state.steps = steps;
    Ok(())
}

/// The step that brings the count of steps to `steps`, on slices of one length.
pub(in crate::optim) fn on_slices<T: Real>(
    config: &Config,
    steps: u64,
    [m, v]: [&mut [u16]; 2],
    params: &mut [T],
    grad: &[T],
    lanes: &mut Lanes32,
) -> Result<(), Error> {
    // Moments are rounded to `f32` before they are rounded to bf16.
    let wide = Prepared::<T>::new(config, steps, Bounds::of_f32())?;

    let mut words = [0; BLOCK];
    let (mut wide_m, mut wide_v) = ([T::ZERO; BLOCK], [T::ZERO; BLOCK]);
    let (mut params, mut all_m, mut all_v) = (params, m, v);
    for g in grad.chunks(BLOCK) {
        let x = next(&mut params);
        let (m, v) = (next(&mut all_m), next(&mut all_v));
        let words = draw(lanes, &mut words, x.len());
        let (to_m, to_v) = (&mut wide_m[..], &mut wide_v[..]);
        simd::dispatch(Widen { from: m, to: to_m });
        simd::dispatch(Widen { from: v, to: to_v });
        wide.run(x, &mut wide_m, &mut wide_v, &mut [], g);
        for (from, shift, to) in [(&wide_m, 16, m), (&wide_v, 0, v)] {
            simd::dispatch(Narrow {
                from: &from[..],
                words,
                shift,
                to,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{round, widen};
    use super::*;
    use crate::optim::adam as wide;
    use crate::optim::tests::{assert_levels_agree, assert_resumes, painted};
    use crate::random::{Purpose, stream};
    use std::vec;
    use std::vec::Vec;

    fn lanes(seed: u64) -> Lanes32 {
        Lanes32::new(&mut stream(seed, 0, 0, Purpose::NOISE))
    }

    #[test]
    fn the_second_moment_arrives_where_rounding_to_nearest_stalls() {
        const N: usize = 1024;
        const STEPS: i32 = 3000;
        let mut state = State::<[u16; N]>::new();
        let (mut x, g, mut lanes) = ([0.0_f32; N], [1.0; N], lanes(1));
        let mut stalled = 0.0_f32;
        for _ in 0..STEPS {
            step(&Config::adam(), &mut state, &mut x, &g, &mut lanes).unwrap();
            let bits = (0.999 * stalled + 0.001).to_bits();
            stalled = widen(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16);
        }
        // v = 1 - 0.999^t in the mean. A step's rounding has variance at most (1 - v) 0.001 * 2^-8, and 0.998 of it
        // is left a step later: at most 2^-9 in all, and 6 standard errors of the mean are 0.0083.
        let mean = state.v().iter().map(|v| f64::from(widen(*v))).sum::<f64>() / N as f64;
        assert!(
            (mean - (1.0 - 0.999_f64.powi(STEPS))).abs() < 0.0083,
            "{mean}"
        );
        assert!(stalled < 0.3, "{stalled}");
    }

    #[test]
    fn a_step_is_the_wide_step_with_rounded_moments() {
        const N: usize = 600;
        let (mut narrow, mut rng) = (State::<[u16; N]>::new(), lanes(2));
        let (mut x, g) = (painted::<f32>(N, 1), painted::<f32>(N, 2));
        let mut exact = wide::State::<[f32; N]>::new();
        let mut y = x.clone();
        let mut words = vec![0; N];
        rng.clone().fill_u32(&mut words);
        step(&Config::adamw(), &mut narrow, &mut x, &g, &mut rng).unwrap();
        wide::step(&Config::adamw(), &mut exact, &mut y, &g).unwrap();
        assert_eq!(x, y);
        for i in 0..N {
            assert_eq!(narrow.m()[i], round(exact.m()[i], (words[i] >> 16) as u16));
            assert_eq!(narrow.v()[i], round(exact.v()[i], words[i] as u16));
        }
    }

    /// Distance to the minimum of a quadratic with curvatures from 0.1 to 10 after 3000 steps.
    fn distances<T: Real>() -> (f64, f64) {
        const N: usize = 64;
        let config = Config {
            learning_rate: 0.01,
            ..Config::adam()
        };
        let curvature = |i: usize| T::from_f64(0.1 * libm::pow(100.0, i as f64 / 63.0));
        let target = painted::<T>(N, 5);
        let (mut narrow, mut exact) = (State::<[u16; N]>::new(), wide::State::<[T; N]>::new());
        let (mut x, mut y, mut lanes) = (vec![T::ZERO; N], vec![T::ZERO; N], lanes(3));
        let gradient =
            |x: &[T]| -> Vec<T> { (0..N).map(|i| curvature(i) * (x[i] - target[i])).collect() };
        for _ in 0..3000 {
            let g = gradient(&x);
            step(&config, &mut narrow, &mut x, &g, &mut lanes).unwrap();
            let g = gradient(&y);
            wide::step(&config, &mut exact, &mut y, &g).unwrap();
        }
        let distance = |x: &[T]| {
            let d = x.iter().zip(&target).map(|(x, t)| (*x - *t).to_f64().abs());
            d.fold(0.0, f64::max)
        };
        (distance(&x), distance(&y))
    }

    #[test]
    fn descent_ends_as_near_as_with_wide_moments_to_within_one_step() {
        for (narrow, exact) in [distances::<f32>(), distances::<f64>()] {
            assert!(exact < 0.01 && narrow < exact + 0.01, "{narrow} {exact}");
        }
    }

    #[test]
    fn a_saved_state_resumes_with_the_same_bits() {
        assert_resumes(State::<[u16; 5]>::new(), |state, x, g| {
            let mut lanes = Lanes32::new(&mut stream(4, state.steps(), 0, Purpose::NOISE));
            step(&Config::adamw(), state, x, g, &mut lanes).unwrap();
        });
    }

    #[test]
    fn bits_do_not_depend_on_the_level() {
        fn bits<T: Real>(n: usize) -> (Vec<u64>, Vec<u16>, Vec<u16>) {
            let (mut m, mut v) = (vec![0; n], vec![0; n]);
            let mut state = State::from_storage(&mut m[..], &mut v[..]);
            let (mut x, mut lanes) = (painted::<T>(n, 1), lanes(5));
            for t in 0..3 {
                let g = painted(n, 10 + t);
                step(&Config::adamw(), &mut state, &mut x, &g, &mut lanes).unwrap();
            }
            (x.iter().map(|x| x.to_bits_u64()).collect(), m, v)
        }
        assert_levels_agree(bits::<f32>);
        assert_levels_agree(bits::<f64>);
    }

    #[test]
    fn every_bad_argument_is_named_and_changes_and_draws_nothing() {
        let good = Config::adam();
        let (mut state, mut lanes) = (State::<[u16; 2]>::new(), lanes(6));
        step(
            &good,
            &mut state,
            &mut [1.0_f32, 2.0],
            &[3.0, 4.0],
            &mut lanes,
        )
        .unwrap();
        let (before, drawn) = (state, lanes.clone());
        let mut x = [1.0_f32, 2.0];
        #[rustfmt::skip]
        let bad = [
            ("amsgrad", Config { amsgrad: true, ..good }),
            ("beta1", Config { beta1: 1.0, ..good }),
            ("learning_rate", Config { learning_rate: 1e300, ..good }),
        ];
        for (expected, config) in bad {
            match step(&config, &mut state, &mut x, &[1.0, 1.0], &mut lanes) {
                Err(Error::Parameter { name, .. }) => assert_eq!(name, expected),
                other => panic!("{config:?} gave {other:?}"),
            }
        }
        assert!(step(&good, &mut state, &mut x, &[1.0], &mut lanes).is_err());
        assert!(step(&good, &mut state, &mut [0.0_f32; 3], &[1.0; 3], &mut lanes).is_err());
        assert_eq!((state, x, lanes), (before, [1.0, 2.0], drawn));
    }

    #[test]
    fn non_finite_gradients_stay_at_their_index() {
        let (mut state, mut lanes) = (State::<[u16; 3]>::new(), lanes(7));
        let mut x = [1.0_f32; 3];
        step(
            &Config::adam(),
            &mut state,
            &mut x,
            &[f32::NAN, f32::INFINITY, 1.0],
            &mut lanes,
        )
        .unwrap();
        assert!(x[0].is_nan() && widen(state.m()[0]).is_nan());
        assert!(x[1].is_nan() && widen(state.v()[1]).is_nan() && x[2] < 1.0);
    }
}
