//! 32 generators side by side, for filling slices with noise.
//!
//! Each lane is a xoshiro128++ generator of 32-bit words; the state is four rows of 32 words:
//!
//! ```text
//! out = rotl(s0 + s3, 7) + s0     t = s1 << 9
//! s2 ^= s0   s3 ^= s1   s1 ^= s2   s0 ^= s3   s2 ^= t   s3 = rotl(s3, 11)
//! ```
//!
//! One step of all lanes gives 32 words. Element `j` of a fill takes lane `j mod 32` at step `j / 32` of that
//! fill, whatever the register width. **A fill consumes whole steps**: filling 33 elements takes two steps, so two fills
//! of 16 differ from one of 32, and fills whose lengths are multiples of 32 can be joined. The width of a step in memory
//! decides how a loop is cut, never what it draws.
//!
//! | fill | steps for each 32 elements |
//! |---|---|
//! | [`fill_u32`](NoiseStream::fill_u32), [`fill_rademacher`](NoiseStream::fill_rademacher) | 1 |
//! | [`fill_uniform`](NoiseStream::fill_uniform) | 1 for `f32`, 2 for `f64` |
//! | [`fill_normal`](NoiseStream::fill_normal) | the same, for an even number of rows: 64 elements |
//!
//! The period of a lane is 2^128 - 1; lanes start at states hashed from 4096 bits of the seeding generator. Reference: Blackman
//! and Vigna, *Scrambled linear pseudorandom number generators*, ACM TOMS 47(4), 2021.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "positions in a block of lanes; no divisor is zero"
)]

use rand_core::Rng;

use super::mix;
use crate::Real;
use crate::memory::{must, unreached};
use crate::real::kernels;
use crate::simd::{self, BitLanes, Kernel, LANES, Lanes, Simd};

mod normal;

/// Words of one step.
type Row = [u32; LANES];

/// Rows drawn before they are converted: 1 KiB on the stack, for which the states stay in registers.
const ROWS: usize = 8;

/// Rows after which a long fill turns to the next lanes: 8 KiB stay in the first cache.
const BLOCK_ROWS: usize = 64;

/// 32 generators of 32-bit words with exact save and restore.
///
/// ```
/// use thalweg::random::{self, NoiseStream, Purpose};
/// let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
/// let mut resumed = NoiseStream::from_state(lanes.state());
/// let (mut x, mut y) = ([0.0_f32; 100], [0.0_f32; 100]);
/// lanes.fill_uniform(&mut x);
/// resumed.fill_uniform(&mut y);
/// assert_eq!(x, y);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoiseStream {
    s: [Row; 4],
}

impl NoiseStream {
    /// Generators seeded from a stream: 64 words of it, hashed by the function of SplitMix64.
    ///
    /// Word `2 j` gives `s0` (low half) and `s1` (high half) of lane `j`, word `2 j + 1` gives `s2` and `s3`.
    ///
    /// ```
    /// use thalweg::random::{self, NoiseStream, Purpose};
    /// let stream = random::stream(1, 0, 0, Purpose::NOISE);
    /// assert_eq!(NoiseStream::new(&mut stream.clone()), NoiseStream::new(&mut stream.clone()));
    /// ```
    pub fn new(rng: &mut impl Rng) -> Self {
        let mut s = [[0; LANES]; 4];
        let [s0, s1, s2, s3] = &mut s;
        for (((s0, s1), s2), s3) in s0.iter_mut().zip(s1).zip(s2).zip(s3) {
            let (low, high) = (mix(rng.next_u64()), mix(rng.next_u64()));
            (*s0, *s1) = (low as u32, (low >> 32) as u32);
            (*s2, *s3) = (high as u32, (high >> 32) as u32);
        }
        Self::from_state(s)
    }

    /// The state: row `k` holds word `k` of each lane.
    ///
    /// ```
    /// let lanes = thalweg::random::NoiseStream::from_state([[1; 32], [2; 32], [3; 32], [4; 32]]);
    /// assert_eq!(lanes.state()[3][31], 4);
    /// ```
    #[must_use]
    pub const fn state(&self) -> [[u32; LANES]; 4] {
        self.s
    }

    /// The generators with this state; a lane of four zeros, which xoshiro never leaves, becomes (1, 0, 0, 0).
    ///
    /// ```
    /// use thalweg::random::NoiseStream;
    /// let mut lanes = NoiseStream::from_state([[1; 32], [2; 32], [3; 32], [4; 32]]);
    /// let mut out = [0; 2];
    /// lanes.fill_u32(&mut out);
    /// assert_eq!(out, [(5 << 7) + 1; 2]); // rotate(s0 + s3, 7) + s0 in each lane
    /// ```
    #[must_use]
    pub fn from_state(state: [[u32; LANES]; 4]) -> Self {
        let [mut s0, s1, s2, s3] = state;
        for (((s0, s1), s2), s3) in s0.iter_mut().zip(s1).zip(s2).zip(s3) {
            if *s0 | s1 | s2 | s3 == 0 {
                *s0 = 1;
            }
        }
        Self {
            s: [s0, s1, s2, s3],
        }
    }

    /// Fills a slice with words, all 2^32 equally likely.
    ///
    /// ```
    /// use thalweg::random::{self, NoiseStream, Purpose};
    /// let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
    /// let mut split = lanes.clone();
    /// let (mut x, mut y) = ([0; 64], [0; 64]);
    /// lanes.fill_u32(&mut x);
    /// split.fill_u32(&mut y[..32]);
    /// split.fill_u32(&mut y[32..]);
    /// assert_eq!(x, y);
    /// ```
    pub fn fill_u32(&mut self, out: &mut [u32]) {
        simd::dispatch(FillWords {
            s: &mut self.s,
            out,
        });
    }

    /// Fills a slice with numbers in `[0, 1)`: multiples of 2^-24 (`f32`) or 2^-53 (`f64`), all equally likely.
    ///
    /// `f32`: the top 24 bits of a word. `f64`: the top 53 bits of two words of a lane, the earlier one on top.
    ///
    /// ```
    /// use thalweg::random::{self, NoiseStream, Purpose};
    /// let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
    /// let mut words = [0; 3];
    /// lanes.clone().fill_u32(&mut words);
    /// let mut x = [0.0_f32; 3];
    /// lanes.fill_uniform(&mut x);
    /// assert_eq!(x, words.map(|w| (w >> 8) as f32 / 16_777_216.0));
    /// ```
    pub fn fill_uniform<T: Real>(&mut self, out: &mut [T]) {
        T::Kernels::fill_uniform(self, out);
    }

    /// Writes `body` of each element of `x` and a number in `[1, 2)` to `out`, as far as both reach.
    ///
    /// The bits of a number below its exponent are the top bits of the words of [`fill_uniform`](Self::fill_uniform), all
    /// 2^23 (2^52) equally likely. One pass: numbers live on the stack, 1 KiB at a time.
    pub(crate) fn map<T: Real, B: RandomMap<T>>(&mut self, body: B, x: &[T], out: &mut [B::Out]) {
        simd::dispatch(MapReal {
            s: &mut self.s,
            body,
            x,
            out,
        });
    }

    /// Fills a slice with `1` and `-1`, equally likely: -1 where the top bit of the word is set.
    ///
    /// ```
    /// use thalweg::random::{self, NoiseStream, Purpose};
    /// let mut x = [0.0_f32; 40];
    /// NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE)).fill_rademacher(&mut x);
    /// assert!(x.iter().all(|x| x.abs() == 1.0));
    /// ```
    pub fn fill_rademacher<T: Real>(&mut self, out: &mut [T]) {
        T::Kernels::fill_rademacher(self, out);
    }

    /// Fills a slice with standard normal numbers: pairs of Box and Muller, computed on lanes in `T`.
    ///
    /// Each 64 elements take one row of u and one row of v, uniform as in [`fill_uniform`](Self::fill_uniform):
    /// 32 times `sqrt(-2 ln(1 - u)) cos 2 pi v`, then as many sines. Fills whose lengths are multiples of 64 can be
    /// joined. Magnitudes end at 5.77 (`f32`; the normal law exceeds it with probability 8e-9) and 8.58 (`f64`).
    ///
    /// ```
    /// use thalweg::random::{self, NoiseStream, Purpose};
    /// let mut lanes = NoiseStream::new(&mut random::stream(1, 0, 0, Purpose::NOISE));
    /// let mut u = [0.0_f64; 32];
    /// lanes.clone().fill_uniform(&mut u);
    /// let mut x = [0.0; 64];
    /// lanes.fill_normal(&mut x);
    /// // The pair (x[0], x[32]) has the radius that u[0] asks for.
    /// assert!((x[0] * x[0] + x[32] * x[32] + 2.0 * (1.0 - u[0]).ln()).abs() < 1e-12);
    /// ```
    pub fn fill_normal<T: Real>(&mut self, out: &mut [T]) {
        T::Kernels::fill_normal(self, out);
    }
}

kernels! {
    /// Fills.
    trait Kernels<T> {
        fn fill_uniform(lanes: &mut NoiseStream, out: &mut [T]) {
            let s = &mut lanes.s;
            let law = Uniform;
            simd::dispatch(FillReal::<T, Uniform> { s, out, law });
        }
        fn fill_rademacher(lanes: &mut NoiseStream, out: &mut [T]) {
            let s = &mut lanes.s;
            let law = Sign;
            simd::dispatch(FillReal::<T, Sign> { s, out, law });
        }
        fn fill_normal(lanes: &mut NoiseStream, out: &mut [T]) {
            let s = &mut lanes.s;
            simd::dispatch(normal::FillNormal { s, out });
        }
    }
}

/// The states of the generators of one group.
#[derive(Clone, Copy)]
struct Group<U>([U; 4]);

impl<U: BitLanes> Group<U> {
    #[inline(always)]
    fn load(simd: U::Simd, [a, b, c, d]: [&U::Array; 4]) -> Self {
        let (a, b) = (U::load(simd, a), U::load(simd, b));
        Self([a, b, U::load(simd, c), U::load(simd, d)])
    }

    #[inline(always)]
    fn store(self, out: [&mut U::Array; 4]) {
        for (x, out) in self.0.into_iter().zip(out) {
            x.store(out);
        }
    }

    /// The words of one step.
    #[inline(always)]
    fn next(&mut self) -> U {
        let [a, b, c, d] = self.0;
        let out = (a + d).rotl(7) + a;
        let (c, d) = (c ^ a, d ^ b);
        self.0 = [a ^ d, b ^ c, c ^ b.shl(9), d.rotl(11)];
        out
    }
}

/// The groups of a row by twos.
#[inline(always)]
fn by_twos<U: BitLanes<Scalar = u32>>(row: &mut Row) -> &mut [[U::Array; 2]] {
    U::groups_mut(row).0.as_chunks_mut().0
}

/// Advances every lane by `rows.len()` steps and stores the words; states stay in registers.
///
/// Two groups at a time: a generator is one chain of operations, and a processor has room for two.
#[inline(always)]
fn step_rows<S: Simd>(simd: S, s: &mut [Row; 4], rows: &mut [Row]) {
    const { assert!(LANES.is_multiple_of(2 * S::U32::LEN)) };
    let [a, b, c, d] = s;
    let (a, b) = (by_twos::<S::U32>(a), by_twos::<S::U32>(b));
    let (c, d) = (by_twos::<S::U32>(c), by_twos::<S::U32>(d));
    for ((((g, a), b), c), d) in (0_usize..).zip(a).zip(b).zip(c).zip(d) {
        let ([a, e], [b, f], [c, p], [d, q]) = (a, b, c, d);
        let mut one = Group::<S::U32>::load(simd, [a, b, c, d]);
        let mut two = Group::<S::U32>::load(simd, [e, f, p, q]);
        for row in rows.iter_mut() {
            let (first, second) = (one.next(), two.next());
            if let Some([out, next]) = by_twos::<S::U32>(row).get_mut(g) {
                first.store(out);
                second.store(next);
            }
        }
        one.store([a, b, c, d]);
        two.store([e, f, p, q]);
    }
}

struct FillWords<'a> {
    s: &'a mut [Row; 4],
    out: &'a mut [u32],
}

impl Kernel for FillWords<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let (rows, rest) = self.out.as_chunks_mut::<LANES>();
        for block in rows.chunks_mut(BLOCK_ROWS) {
            step_rows(simd, self.s, block);
        }
        if !rest.is_empty() {
            let mut row = [[0; LANES]];
            step_rows(simd, self.s, &mut row);
            for (out, word) in rest.iter_mut().zip(row.as_flattened()) {
                *out = *word;
            }
        }
    }
}

/// How words become numbers.
trait Law<T: Real> {
    /// Steps for one row of numbers: 1 or 2.
    const STEPS: usize;
    /// A number from the words of one lane at its first and its last step.
    fn number(&self, first: u32, last: u32) -> T;
}

struct Uniform;
impl<T: Real> Law<T> for Uniform {
    const STEPS: usize = T::BYTES / 4;

    #[inline(always)]
    fn number(&self, first: u32, last: u32) -> T {
        // The bits after the point of a number in [1, 2), less 1, plus the last bit: every step is exact, and none
        // is a conversion from an integer, which few instruction sets have for 64 bits.
        let words = (u64::from(first) << 32) | u64::from(last);
        let words = if T::BYTES == 4 { words >> 32 } else { words };
        let width = 8 * T::BYTES as u32;
        let kept = words >> (width - T::MANTISSA_BITS);
        let half = (words >> (width - 1 - T::MANTISSA_BITS)) & 1;
        let bit = half.wrapping_neg() & (T::EPSILON * T::from_f64(0.5)).to_bits_u64();
        T::from_bits_u64(kept | T::ONE.to_bits_u64()) - T::ONE + T::from_bits_u64(bit)
    }
}

struct Mantissa;
impl<T: Real> Law<T> for Mantissa {
    const STEPS: usize = T::BYTES / 4;

    #[inline(always)]
    fn number(&self, first: u32, last: u32) -> T {
        let words = (u64::from(first) << 32) | u64::from(last);
        T::from_bits_u64(T::ONE.to_bits_u64() | words >> (64 - T::MANTISSA_BITS))
    }
}

struct Sign;
impl<T: Real> Law<T> for Sign {
    const STEPS: usize = 1;

    #[inline(always)]
    fn number(&self, first: u32, _: u32) -> T {
        let sign = u64::from(first >> 31) << (8 * T::BYTES as u32 - 1);
        T::from_bits_u64(T::ONE.to_bits_u64() | sign)
    }
}

/// The body of [`NoiseStream::map`].
pub(crate) trait RandomMap<T: Real>: Copy {
    /// What is written.
    type Out: Copy + Default;
    /// A result, as far as lanes can work it out.
    fn apply<L: Lanes<Scalar = T>>(&self, x: L, number: L) -> L;
    /// The result in the form in which it is written.
    fn emit(&self, result: T) -> Self::Out;
}

struct MapReal<'a, T, B: RandomMap<T>>
where
    T: Real,
{
    s: &'a mut [Row; 4],
    body: B,
    x: &'a [T],
    out: &'a mut [B::Out],
}

impl<T: Real, B: RandomMap<T>> Kernel for MapReal<'_, T, B> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut words = [[0; LANES]; ROWS];
        let steps = T::BYTES / 4;
        let body = self.body;
        let size = ROWS / steps * LANES;
        let n = self.x.len().min(self.out.len());
        let x = must(self.x.get(..n));
        let out = must(self.out.get_mut(..n));
        for (x, out) in x.chunks(size).zip(out.chunks_mut(size)) {
            let rows = x.len().div_ceil(LANES) * steps;
            let (used, _) = must(words.split_at_mut_checked(rows));
            step_rows(simd, self.s, used);
            let (x, x_rest) = x.as_chunks();
            let (out, out_rest) = out.as_chunks_mut();
            let mut used = used.chunks(steps);
            for ((x, out), words) in x.iter().zip(out).zip(&mut used) {
                map_row(simd, &body, words, x, out);
            }
            if let Some(words) = used.next() {
                let (mut row, mut results) = ([T::ZERO; LANES], [B::Out::default(); LANES]);
                for (row, x) in row.iter_mut().zip(x_rest) {
                    *row = *x;
                }
                map_row(simd, &body, words, &row, &mut results);
                for (out, result) in out_rest.iter_mut().zip(results) {
                    *out = result;
                }
            }
        }
    }
}

/// A row, in loops of fixed length: numbers and results stay in registers.
#[inline(always)]
fn map_row<T: Real, S: Simd, B: RandomMap<T>>(
    simd: S,
    body: &B,
    words: &[Row],
    x: &[T; LANES],
    out: &mut [B::Out; LANES],
) {
    let (Some(first), Some(last)) = (words.first(), words.last()) else {
        return unreached();
    };
    let mut numbers = [T::ZERO; LANES];
    convert(&Mantissa, first, last, &mut numbers);
    let groups = T::Lanes::<S>::groups_mut(&mut numbers).0;
    for (number, x) in groups.iter_mut().zip(T::Lanes::<S>::groups(x).0) {
        let x = T::Lanes::<S>::load(simd, x);
        body.apply(x, T::Lanes::<S>::load(simd, number))
            .store(number);
    }
    for (out, result) in out.iter_mut().zip(numbers) {
        *out = body.emit(result);
    }
}

struct FillReal<'a, T, L> {
    s: &'a mut [Row; 4],
    out: &'a mut [T],
    law: L,
}

impl<T: Real, L: Law<T>> Kernel for FillReal<'_, T, L> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let mut words = [[0; LANES]; ROWS];
        for block in self.out.chunks_mut(ROWS / L::STEPS * LANES) {
            let steps = block.len().div_ceil(LANES) * L::STEPS;
            let (used, _) = must(words.split_at_mut_checked(steps));
            step_rows(simd, self.s, used);
            if L::STEPS == 1 {
                // One loop of unknown length: short bodies in a loop of 32 are unrolled before they are put in registers.
                for (out, word) in block.iter_mut().zip(used.as_flattened()) {
                    *out = self.law.number(*word, *word);
                }
                continue;
            }
            for (out, words) in block.chunks_mut(LANES).zip(used.chunks(L::STEPS)) {
                let (Some(first), Some(last)) = (words.first(), words.last()) else {
                    return unreached();
                };
                if let Ok(out) = <&mut [T; LANES]>::try_from(&mut *out) {
                    convert(&self.law, first, last, out);
                } else {
                    let mut row = [T::ZERO; LANES];
                    convert(&self.law, first, last, &mut row);
                    for (out, x) in out.iter_mut().zip(row) {
                        *out = x;
                    }
                }
            }
        }
    }
}

/// A row of numbers, in a loop of fixed length that the compiler puts in registers.
#[inline(always)]
fn convert<T: Real>(law: &impl Law<T>, first: &Row, last: &Row, out: &mut [T; LANES]) {
    for ((out, first), last) in out.iter_mut().zip(first).zip(last) {
        *out = law.number(*first, *last);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Purpose, stream};
    use super::*;
    use std::vec;
    use std::vec::Vec;

    pub(super) const LENGTHS: [usize; 16] = [
        0, 1, 3, 4, 7, 8, 16, 31, 32, 33, 63, 65, 127, 129, 1003, 4097,
    ];

    pub(super) fn lanes(seed: u64) -> NoiseStream {
        NoiseStream::new(&mut stream(seed, 0, 0, Purpose::NOISE))
    }

    /// One generator, one word at a time, written for the eye.
    fn word(s: &mut [u32; 4]) -> u32 {
        let out = s[0].wrapping_add(s[3]).rotate_left(7).wrapping_add(s[0]);
        let t = s[1] << 9;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(11);
        out
    }

    /// The words of `steps` steps in the order of elements, and the state after them.
    pub(super) fn plain(lanes: &NoiseStream, steps: usize) -> (Vec<u32>, NoiseStream) {
        let mut states: Vec<[u32; 4]> = (0..32).map(|j| lanes.s.map(|row| row[j])).collect();
        let words = (0..steps * 32).map(|i| word(&mut states[i % 32])).collect();
        let mut s = [[0; 32]; 4];
        for (j, state) in states.iter().enumerate() {
            for k in 0..4 {
                s[k][j] = state[k];
            }
        }
        (words, NoiseStream { s })
    }

    pub(super) fn at_every_level(check: impl Fn(simd::Level)) {
        for level in crate::testing::levels() {
            check(level);
        }
    }

    #[test]
    fn words_are_those_of_the_published_generator() {
        // First outputs of xoshiro128++ from (1, 2, 3, 4): the test of rand_xoshiro, made with the authors' C code.
        let mut lanes = NoiseStream::from_state([[1; 32], [2; 32], [3; 32], [4; 32]]);
        let mut out = [0; 32 * 6];
        lanes.fill_u32(&mut out);
        let expected = [
            641,
            1_573_767,
            3_222_811_527,
            3_517_856_514,
            836_907_274,
            4_247_214_768,
        ];
        for (row, word) in out.as_chunks::<32>().0.iter().zip(expected) {
            assert_eq!(*row, [word; 32]);
        }
    }

    #[test]
    fn every_level_gives_the_words_of_the_plain_loop() {
        at_every_level(|level| {
            for n in LENGTHS {
                let (start, steps) = (lanes(n as u64), n.div_ceil(32));
                let (words, end) = plain(&start, steps);
                let (mut found, mut out) = (start.clone(), vec![0; n]);
                found.fill_u32(&mut out);
                assert_eq!(out, words[..n], "{level:?} n={n}");
                assert_eq!(found, end, "{level:?} n={n}");
            }
        });
    }

    #[test]
    fn every_level_gives_the_numbers_of_the_plain_loop() {
        at_every_level(|level| {
            for n in LENGTHS {
                let (start, steps) = (lanes(n as u64 + 50), n.div_ceil(32));
                let (words, end) = plain(&start, steps);
                let (mut x, mut found) = (vec![0.0_f32; n], start.clone());
                found.fill_uniform(&mut x);
                let plain32 = words.iter().map(|w| (w >> 8) as f32 / 16_777_216.0);
                assert!(plain32.take(n).eq(x.iter().copied()), "{level:?} n={n}");
                assert_eq!(found, end);

                let mut found = start.clone();
                found.fill_rademacher(&mut x);
                let signs = words.iter().map(|w| if *w < 1 << 31 { 1.0 } else { -1.0 });
                assert!(signs.take(n).eq(x.iter().copied()), "{level:?} n={n}");
                assert_eq!(found, end);

                let (words, end) = plain(&start, 2 * steps);
                let (mut y, mut found) = (vec![0.0_f64; n], start.clone());
                found.fill_uniform(&mut y);
                for (j, y) in y.iter().enumerate() {
                    let at = j / 32 * 64 + j % 32;
                    let both = (u64::from(words[at]) << 32) | u64::from(words[at + 32]);
                    let expected = (both >> 11) as f64 / 9_007_199_254_740_992.0;
                    assert_eq!(*y, expected, "{level:?} n={n} j={j}");
                }
                assert_eq!(found, end);

                let mut found = start.clone();
                found.fill_rademacher(&mut y);
                assert!(y.iter().all(|y| y.abs() == 1.0));
            }
        });
    }

    #[test]
    fn the_extreme_words_give_the_extreme_numbers() {
        let (zero, one): (f32, f32) = (Uniform.number(0, 0), Uniform.number(u32::MAX, 0));
        assert_eq!((zero, one), (0.0, 1.0 - f32::EPSILON / 2.0));
        let (zero, one): (f64, f64) = (Uniform.number(0, 0), Uniform.number(u32::MAX, u32::MAX));
        assert_eq!((zero, one), (0.0, 1.0 - f64::EPSILON / 2.0));
        assert_eq!(
            <Uniform as Law<f32>>::number(&Uniform, 1 << 8, 0),
            f32::EPSILON / 2.0
        );
        assert_eq!(
            <Uniform as Law<f64>>::number(&Uniform, 0, 1 << 11),
            f64::EPSILON / 2.0
        );
    }

    #[test]
    fn a_lane_of_zeros_is_replaced() {
        let mut lanes = NoiseStream::from_state([[0; 32]; 4]);
        assert_eq!(lanes.state()[0], [1; 32]);
        let mut out = [0; 96];
        lanes.fill_u32(&mut out);
        assert_ne!(out[64..], [0; 32]);
    }

    #[test]
    fn every_lane_is_uniform_and_lanes_are_uncorrelated() {
        // 64 bins a lane; a chi-square of 63 degrees above 147.5 has probability 1e-8 (SciPy 1.17.1), 32 lanes.
        let rows = 20_000_usize;
        let mut x = vec![0.0_f64; rows * 32];
        lanes(99).fill_uniform(&mut x);
        for lane in 0..32 {
            let mut counts = [0.0; 64];
            for row in x.as_chunks::<32>().0 {
                counts[(row[lane] * 64.0) as usize] += 1.0;
            }
            let expected = rows as f64 / 64.0;
            let chi: f64 = counts
                .iter()
                .map(|c| (c - expected) * (c - expected) / expected)
                .sum();
            assert!(chi < 147.5, "lane {lane}: {chi}");
        }
        // Products of centred neighbours have mean 0 and variance 1/144; 6 standard errors have probability 2e-9.
        let bound = 6.0 / 12.0 / (rows as f64).sqrt();
        for lane in 0..32 {
            for other in 0..lane {
                let mean: f64 = x
                    .as_chunks::<32>()
                    .0
                    .iter()
                    .map(|row| (row[lane] - 0.5) * (row[other] - 0.5))
                    .sum::<f64>()
                    / rows as f64;
                assert!(mean.abs() < bound, "lanes {lane} and {other}: {mean}");
            }
        }
    }
}
