//! Moments kept in 16 bits, rounded at random so that small changes are not lost.
//!
//! bf16 is the upper half of an `f32`: its exponents, and 8 significant bits. A moving average with decay 0.999
//! changes by less than a thousandth per step, and half a gap of bf16 is a few thousandths of the number: rounded
//! to nearest, the average of squared gradients stops at a quarter of its limit. Rounding at random, up as often as the
//! discarded part says, has the right mean, so the average arrives:
//!
//! ```text
//! round(x, r) = upper half of (bits(x) + r)     r uniform in 0 .. 2^16
//! E round(x, r) = x                             exactly: up with probability (lower half of x) / 2^16
//! ```
//!
//! [`step_layers`] wraps those that treat layers as a whole, [`step`] any elementwise optimiser: the state holds bits (`State<adam::Config, [u16; 2 * n]>`), parameters, gradients and
//! arithmetic stay in `f32` or `f64`. Blocks of 1024 parameters (256 on bare metal) have their moments widened, are advanced by the kernel of the wide form, with
//! the moments before they are rounded, and the moments are rounded again; the wide block lives on the stack.
//!
//! | member | bytes of moments per parameter | wide form (`f32`) | bytes moved per `f32` |
//! |---|---|---|---|
//! | Adam | 4 | 8 | 20 in place of 28 |
//! | momentum, Lion, Adagrad, RMSprop | 2 | 4 | 16 in place of 20 |
//!
//! Cost per parameter: that of the optimiser, one random word for two buffers, and 5 integer operations a rounding. One rounding moves
//! a moment by less than 2^-7 of it. The mean of Adam's v over the random bits is exactly that of the wide form, since v is linear in what is
//! rounded (up to the rounding of `f32`); so is the mean of m when the gradients do not depend on them. The largest gradient is that of `f32`
//! for both scalar types: bf16 has the exponents of `f32`, and a second moment that is cut where the first is not would lengthen later
//! steps. AMSGrad is refused: the largest of randomly rounded numbers is no estimate of the largest.
//!
//! # The random bits
//! They come from the [`NoiseStream`] that the step is given: one word for each parameter and pair of buffers, the upper half for the first of the
//! pair, the lower half for the second, drawn in runs of 256 (so `n` parameters consume `ceil(n / 32)` steps of the generator). To resume, save
//! its [`state`](NoiseStream::state) too, or key it by the step, and nothing needs to be saved:
//!
//! ```
//! use thalweg::optim::{State, adam, bf16};
//! use thalweg::random::{NoiseStream, Purpose, stream};
//! let mut state = State::new([0_u16; 4]);
//! let mut x = [1.0_f32, -1.0];
//! for _ in 0..10 {
//!     let mut lanes = NoiseStream::new(&mut stream(7, state.steps(), 0, Purpose::NOISE));
//!     bf16::step(&adam::Config::adam(), &mut state, &mut x, &[0.5, -0.5], &mut lanes)?;
//! }
//! // The gradient is constant, so ten steps have about ten times the length of the learning rate.
//! assert!((x[0] - 0.99).abs() < 3e-4 && (x[1] + 0.99).abs() < 3e-4);
//! # Ok::<(), thalweg::Error>(())
//! ```
//!
//! # At the edges
//! Zero and numbers below the smallest normal one become zero, as in every optimiser here; infinities stay; NaN stays NaN.
//! A finite number above the largest bf16, 3.39e38, becomes that number rather than infinity: an `f64` moment
//! is rounded to `f32` first, and is cut there.
//!
//! References: Gupta, Agrawal, Gopalakrishnan and Narayanan, *Deep learning with limited numerical precision*
//! (2015), section 3.1, for the rounding; Zamirai, Zhang, Aberger and De Sa, *Revisiting bfloat16 training* (2020),
//! for its use with bf16.

#![allow(clippy::arithmetic_side_effects, reason = "a sum that cannot overflow")]

use super::optimiser::total;
use super::{
    BUFFERS, Elementwise, Kernels as _, Layer, Memory, Optimiser, Precision, State, Workspace,
    params_len,
};
use crate::error::{check_length, check_scratch};
use crate::memory::{cut, must, take};
use crate::random::NoiseStream;
use crate::simd::{BARE_METAL, Kernel, Simd};
use crate::{Error, Real, Storage};

/// Parameters whose random bits are drawn at a time: part of what the bits of a step are.
const RUN: usize = 256;

/// Parameters that are widened at a time: the calls that a block costs take a fifth of a step of momentum on one run.
const BLOCK: usize = if BARE_METAL { RUN } else { 4 * RUN };

/// The largest finite bf16 followed by ones: every magnitude up to it is cut to a finite number.
const TOP: u32 = 0x7F7F_FFFF;
const INFINITE: u32 = 0x7F80_0000;
const LEAST_NORMAL: u32 = 0x0080_0000;

/// The number with these bits.
///
/// ```
/// assert_eq!(thalweg::optim::bf16::widen(0x3FC0), 1.5);
/// ```
#[inline(always)]
#[must_use]
pub fn widen(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// The bits of one of the two bf16 numbers around `x`: its mean over all `random` is `x`.
///
/// ```
/// use thalweg::optim::bf16::{round, widen};
/// // 1 + 2^-9 is a quarter of the way from 1 to the next number, 1 + 2^-7.
/// let x = 1.0 + 1.0 / 512.0;
/// let ups = (0..=u16::MAX).filter(|&r| widen(round(x, r)) > x).count();
/// assert_eq!(ups, 65536 / 4);
/// ```
#[inline(always)]
#[must_use]
pub fn round(x: f32, random: u16) -> u16 {
    let bits = x.to_bits();
    let (sign, magnitude) = (bits & 0x8000_0000, bits & 0x7FFF_FFFF);
    // The sum is below 2^31 + 2^16.
    let sum = magnitude + u32::from(random);
    let finite = sign | if sum < TOP { sum } else { TOP };
    let kept = if magnitude < LEAST_NORMAL { 0 } else { finite };
    // A NaN whose payload lies in the lower half would turn into an infinity.
    let kept = if magnitude == INFINITE { bits } else { kept };
    let kept = if magnitude > INFINITE {
        sign | 0x7FC0_0000
    } else {
        kept
    };
    (kept >> 16) as u16
}

/// Widens a block.
pub(super) struct Widen<'a, T> {
    pub(super) from: &'a [u16],
    pub(super) to: &'a mut [T],
}

impl<T: Real> Kernel for Widen<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for (to, from) in self.to.iter_mut().zip(self.from) {
            *to = T::from_f64(f64::from(widen(*from)));
        }
    }
}

/// Rounds a block with 16 bits of each word, from bit `shift` on.
pub(super) struct Narrow<'a, T> {
    pub(super) from: &'a [T],
    pub(super) words: &'a [u32],
    pub(super) shift: u32,
    pub(super) to: &'a mut [u16],
}

impl<T: Real> Kernel for Narrow<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for ((to, from), word) in self.to.iter_mut().zip(self.from).zip(self.words) {
            let random = word.wrapping_shr(self.shift) as u16;
            *to = round(nearest(*from), random);
        }
    }
}

/// The nearest `f32`; a finite number beyond all of them becomes the largest.
#[inline(always)]
fn nearest<T: Real>(x: T) -> f32 {
    let y = x.to_f64() as f32;
    if T::BYTES == 8 && x.is_finite() {
        y.clamp(-f32::MAX, f32::MAX)
    } else {
        y
    }
}

/// One step of descent on `params` along `grad` with a state in bf16; `lanes` gives the bits that round it.
///
/// # Errors
/// [`Error::Length`] when `grad` or the memory of the state does not fit `params`; [`Error::Parameter`] when the config is not valid or
/// has no form in bf16. Nothing is changed then, and nothing drawn.
///
/// ```
/// use thalweg::optim::{State, adam, bf16};
/// use thalweg::random::{NoiseStream, Purpose, stream};
/// let config = adam::Config { learning_rate: 0.5, eps: 0.0, ..Default::default() };
/// let mut state = State::new([0_u16; 4]);
/// let mut lanes = NoiseStream::new(&mut stream(1, 0, 0, Purpose::NOISE));
/// let mut x = [1.0_f32, 1.0];
/// bf16::step(&config, &mut state, &mut x, &[3.0, -4.0], &mut lanes)?;
/// // Bias correction makes the first step learning_rate * sign(g); no rounded moment has entered it.
/// assert!((x[0] - 0.5).abs() < 1e-6 && (x[1] - 1.5).abs() < 1e-6);
/// // The moment 0.3 is kept to within one gap of bf16.
/// assert!((bf16::widen(state.memory()[0]) - 0.3).abs() < 0.3 / 128.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<C: Elementwise, T: Real, B: Storage<Elem = u16>>(
    config: &C,
    state: &mut State<C, B>,
    params: &mut [T],
    grad: &[T],
    lanes: &mut NoiseStream,
) -> Result<(), Error> {
    config.validate()?;
    check_length("grad", params.len(), grad.len())?;
    let prepared = config.prepare::<T>(state.steps(), Precision::Bf16)?;
    let (mut buffers, _) = state.parts::<T>(config, &[Layer::Vector(params.len())])?;
    let mut params = params;
    let mut wide = [[T::ZERO; BLOCK]; BUFFERS];
    for grad in grad.chunks(BLOCK) {
        block::<C, T>(&prepared, &mut buffers, &mut wide, &mut params, grad, lanes);
    }
    state.count();
    Ok(())
}

/// Elements of the workspace of [`step_layers`]: the buffers of one layer in the scalar type, and the workspace of its step.
///
/// ```
/// use thalweg::optim::{Layer, bf16, lamb};
/// let layers = [Layer::Vector(10), Layer::Vector(30)];
/// assert_eq!(bf16::workspace_len(&lamb::Config::new(0.1), &layers), 60);
/// ```
pub fn workspace_len<C: Optimiser>(config: &C, layers: &[Layer]) -> usize {
    let of = |layer: &Layer| {
        let layer = [*layer];
        total(config.lengths(&layer)).saturating_add(config.workspace_len(&layer))
    };
    layers.iter().map(of).max().unwrap_or(0)
}

/// [`step`] for optimisers that treat layers as a whole: the buffers of one layer at a time are widened into the workspace of the state, of at least
/// [`workspace_len`] elements, advanced, and rounded again.
///
/// Each element of a buffer takes the upper half of a word; words are drawn for 256 elements at a time, layer by layer, buffer by buffer.
///
/// # Errors
/// As [`step`], and [`Error::Length`] where the workspace is too short.
///
/// ```
/// use thalweg::optim::{Layer, State, bf16, lamb};
/// use thalweg::random::{NoiseStream, Purpose, stream};
/// let (layers, config) = ([Layer::Vector(2)], lamb::Config { eps: 0.0, ..lamb::Config::new(0.1) });
/// let mut state = State::new([0_u16; 4]).with_workspace([0.0_f64; 4]);
/// let mut lanes = NoiseStream::new(&mut stream(1, 0, 0, Purpose::NOISE));
/// let mut x = [3.0, 4.0];
/// bf16::step_layers(&config, &layers, &mut state, &mut x, &[7.0, -1e-3], &mut lanes)?;
/// // A tenth of the norm 5, along signs of norm sqrt(2).
/// assert!((x[0] - (3.0 - 0.5 / 2.0_f64.sqrt())).abs() < 1e-12);
/// assert!((bf16::widen(state.memory()[0]) - 0.7).abs() < 0.7 / 128.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step_layers<C: Optimiser, T: Real, B: Storage<Elem = u16>, W: Workspace<T>>(
    config: &C,
    layers: &[Layer],
    state: &mut State<C, B, W>,
    params: &mut [T],
    grad: &[T],
    lanes: &mut NoiseStream,
) -> Result<(), Error> {
    config.validate()?;
    config.check_layers(layers)?;
    check_length("params", params_len(layers), params.len())?;
    check_length("grad", params.len(), grad.len())?;
    let prepared = config.prepare::<T>(state.steps(), Precision::Bf16)?;
    let (mut rest, workspace) = state.parts(config, layers)?;
    check_scratch("workspace", workspace_len(config, layers), workspace.len())?;
    let (mut params, mut grad) = (params, grad);
    for &layer in layers {
        let lengths = config.lengths(&[layer]);
        let (mut buffers, workspace) = cut(workspace, lengths)?;
        let mut of = lengths.iter();
        let mut narrow = rest
            .each_mut()
            .map(|rest| take(rest, must(of.next().copied())));
        for (narrow, wide) in narrow.iter().zip(&mut buffers) {
            T::Kernels::widen(narrow, wide);
        }
        let (g, tail) = must(grad.split_at_checked(layer.len()));
        grad = tail;
        let memory = Memory {
            buffers: buffers.each_mut().map(|buffer| &mut **buffer),
            workspace,
        };
        C::run(
            &prepared,
            &[layer],
            memory,
            take(&mut params, layer.len()),
            g,
        );
        for (narrow, wide) in narrow.iter_mut().zip(&buffers) {
            for (to, from) in narrow.chunks_mut(RUN).zip(wide.chunks(RUN)) {
                let mut words = [0; RUN];
                let words = must(words.get_mut(..from.len()));
                lanes.fill_u32(words);
                T::Kernels::narrow(from, words, 16, to);
            }
        }
    }
    state.count();
    Ok(())
}

/// Advances the parameters of a block, and takes them and their buffers off the front.
fn block<C: Elementwise, T: Real>(
    prepared: &C::Prepared<T>,
    rest: &mut [&mut [u16]; BUFFERS],
    wide: &mut [[T; BLOCK]; BUFFERS],
    params: &mut &mut [T],
    grad: &[T],
    lanes: &mut NoiseStream,
) {
    let n = grad.len();
    let params = take(params, n);
    // A buffer that is not kept is empty.
    let mut narrow = rest.each_mut().map(|rest| take(rest, n.min(rest.len())));
    let mut of = narrow.iter();
    let mut buffers = wide.each_mut().map(|wide| {
        let from = of.next().map_or(&[][..], |from| from);
        let to = must(wide.get_mut(..from.len()));
        T::Kernels::widen(from, to);
        to
    });
    C::run(
        prepared,
        &[Layer::Vector(n)],
        Memory::new(buffers.each_mut().map(|buffer| &mut **buffer)),
        params,
        grad,
    );
    // A word for two buffers.
    let kept = narrow.iter().filter(|to| !to.is_empty()).count();
    let mut words = [[0; BLOCK]; BUFFERS.div_ceil(2)];
    for start in (0..n).step_by(RUN) {
        for words in words.iter_mut().take(kept.div_ceil(2)) {
            lanes.fill_u32(must(words.get_mut(start..n.min(start + RUN))));
        }
    }
    let halves = words.iter().flat_map(|words| [(words, 16), (words, 0)]);
    let rounded = buffers.iter().zip(&mut narrow);
    for ((from, to), (words, shift)) in rounded.filter(|(_, to)| !to.is_empty()).zip(halves) {
        T::Kernels::narrow(from, must(words.get(..n)), shift, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::tests::painted;
    use crate::optim::{adam, sgd};
    use crate::random::{Purpose, stream};
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn the_mean_over_all_random_words_is_the_number() {
        for x in [
            1.0_f32,
            1.001,
            -0.1,
            std::f32::consts::PI,
            1e-30,
            -2.5e37,
            1.999_999_9,
            f32::MIN_POSITIVE * 1.7,
        ] {
            let sum: f64 = (0..=u16::MAX).map(|r| f64::from(widen(round(x, r)))).sum();
            // Every term is a multiple of the gap, so the sum of 2^16 of them is exact.
            assert_eq!(sum / 65536.0, f64::from(x), "{x}");
        }
    }

    #[test]
    fn numbers_with_eight_significant_bits_are_kept() {
        for bits in (0x0080..0x7F80_u16).flat_map(|b| [b, b | 0x8000]) {
            for r in [0, 1, 0x8000, u16::MAX] {
                assert_eq!(round(widen(bits), r), bits);
            }
        }
    }

    #[test]
    fn edges_stay_where_they_are_and_subnormals_become_zero() {
        for r in [0, 1, 0x7FFF, 0x8000, u16::MAX] {
            assert_eq!((round(0.0, r), round(-0.0, r)), (0, 0));
            assert_eq!(round(f32::MIN_POSITIVE / 2.0, r), 0);
            assert_eq!(round(-1e-45, r), 0);
            assert_eq!(round(f32::INFINITY, r), 0x7F80);
            assert_eq!(round(f32::NEG_INFINITY, r), 0xFF80);
            assert_eq!((round(f32::MAX, r), round(f32::MIN, r)), (0x7F7F, 0xFF7F));
            assert!(widen(round(f32::NAN, r)).is_nan());
            assert!(widen(round(f32::from_bits(0x7F80_0001), r)).is_nan());
            assert_eq!(round(nearest(1e300_f64), r), 0x7F7F);
            assert_eq!(round(nearest(f64::NEG_INFINITY), r), 0xFF80);
            assert!(widen(round(nearest(f64::NAN), r)).is_nan());
        }
    }

    fn lanes(seed: u64) -> NoiseStream {
        NoiseStream::new(&mut stream(seed, 0, 0, Purpose::NOISE))
    }

    #[test]
    fn the_second_moment_arrives_where_rounding_to_nearest_stalls() {
        const N: usize = 1024;
        const STEPS: i32 = 3000;
        let mut state = State::new([0_u16; 2 * N]);
        let (mut x, g, mut lanes) = ([0.0_f32; N], [1.0; N], lanes(1));
        let mut stalled = 0.0_f32;
        for _ in 0..STEPS {
            step(&adam::Config::adam(), &mut state, &mut x, &g, &mut lanes).unwrap();
            let bits = (0.999 * stalled + 0.001).to_bits();
            stalled = widen(((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16) as u16);
        }
        // v = 1 - 0.999^t in the mean. A step's rounding has variance at most (1 - v) 0.001 * 2^-8, and 0.998 of it
        // is left a step later: at most 2^-9 in all, and 6 standard errors of the mean are 0.0083.
        let mean = state.memory()[N..]
            .iter()
            .map(|v| f64::from(widen(*v)))
            .sum::<f64>()
            / N as f64;
        assert!(
            (mean - (1.0 - 0.999_f64.powi(STEPS))).abs() < 0.0083,
            "{mean}"
        );
        assert!(stalled < 0.3, "{stalled}");
    }

    /// Distance to the minimum of a quadratic with curvatures from 0.1 to 10 after 3000 steps.
    fn distances<T: Real>() -> (f64, f64) {
        const N: usize = 64;
        let config = adam::Config {
            learning_rate: 0.01,
            ..adam::Config::adam()
        };
        let curvature = |i: usize| T::from_f64(0.1 * libm::pow(100.0, i as f64 / 63.0));
        let target = painted::<T>(N, 5);
        let (mut narrow, mut exact) = (State::new([0_u16; 2 * N]), State::new([T::ZERO; 2 * N]));
        let (mut x, mut y, mut lanes) = (vec![T::ZERO; N], vec![T::ZERO; N], lanes(3));
        let gradient =
            |x: &[T]| -> Vec<T> { (0..N).map(|i| curvature(i) * (x[i] - target[i])).collect() };
        for _ in 0..3000 {
            let g = gradient(&x);
            step(&config, &mut narrow, &mut x, &g, &mut lanes).unwrap();
            let g = gradient(&y);
            config.step(&mut exact, &mut y, &g).unwrap();
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
    fn the_buffer_reaches_its_limit_in_the_mean() {
        const N: usize = 1024;
        let config = sgd::Config {
            momentum: 0.99,
            ..sgd::Config::new(0.0)
        };
        let (mut state, mut lanes) = (State::new([0_u16; N]), lanes(1));
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
            .memory()
            .iter()
            .map(|b| f64::from(widen(*b)))
            .sum::<f64>()
            / N as f64;
        let expected = 100.0 * (1.0 - 0.99_f64.powi(500));
        assert!((mean - expected).abs() < 0.34, "{mean} {expected}");
    }

    #[test]
    fn non_finite_gradients_stay_at_their_index() {
        let (mut state, mut lanes) = (State::new([0_u16; 6]), lanes(7));
        let mut x = [1.0_f32; 3];
        step(
            &adam::Config::adam(),
            &mut state,
            &mut x,
            &[f32::NAN, f32::INFINITY, 1.0],
            &mut lanes,
        )
        .unwrap();
        assert!(x[0].is_nan() && widen(state.memory()[0]).is_nan());
        assert!(x[1].is_nan() && widen(state.memory()[4]).is_nan() && x[2] < 1.0);
    }
}
