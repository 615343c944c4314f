//! Random dithering: each entry goes to one of the levels around it, as a share of the norm.
//!
//! With `t = |x_j| / |x|` and `s` levels above zero:
//!
//! ```text
//! Dithering         levels 0, 1/s, 2/s, ..., 1          QSGD with the 2-norm; TernGrad: s = 1, maximum norm
//! NaturalDithering  levels 0, 2^(1-s), ..., 1/2, 1
//! t goes to the level above with the probability that makes the mean t, else to the level below
//! C(x)_j = |x| sign(x_j) level_j
//! ```
//!
//! | | `omega` |
//! |---|---|
//! | `Dithering`, 2-norm | `min(d / s^2, sqrt(d) / s)` |
//! | `Dithering`, maximum norm, `s = 1` | `(sqrt(d) - 1) / 2`, tight |
//! | `Dithering`, maximum norm | `min(d / (4 s^2), sqrt(d) / s)` |
//! | `NaturalDithering` | `1/8 + c min(1, c)`, `c = sqrt(d) / 2^(s-1)` |
//!
//! The message is the norm and `d` signed integers in `-s..=s`, each `1 + ceil(log2(s + 1))` bits: there are `s + 1`
//! magnitudes. The norm of an `f32` vector is summed in `f64` and rounded once; levels refer to the rounded norm,
//! which the receiver has. The zero vector has norm 0 and levels 0. Levels are drawn with 23 random bits (`f64`: 52),
//! so that probabilities are exact to that precision.
//!
//! Cost: two passes over `x`, one for the norm; `d` levels written.
//!
//! References: Alistarh et al., "QSGD", 2017, section 3.1 and lemma 3.1; Wen et al., "TernGrad", 2017; Horvath et al.,
//! "Natural compression for distributed deep learning", 2022, section 4.

#![allow(clippy::arithmetic_side_effects, reason = "widths of at most 64 bits")]

use super::natural::rounded;
use super::noise::Noise;
use super::{
    Buffers, Compressor, KIND, Key, Lengths, Message, Operator, Unbiased, Weight, first,
    index_bits, scalar_bits,
};
use crate::compress::Kernels as _;
use crate::error::{check, check_length};
use crate::random::RandomMap;
use crate::simd::{Kernel, LANES, Lanes, Simd};
use crate::{Error, Real, vector};

/// Most levels of [`Dithering`]: they are exact integers of every `Real`.
pub const MAX_LEVELS: u32 = 1 << 20;
/// Most levels of [`NaturalDithering`]: the least is `2^-63`, a normal number.
pub const MOST_NATURAL_LEVELS: u32 = 64;

/// Elements of an `f32` vector whose squares are summed in `f64` at a time.
const CHUNK: usize = 256;

/// The norm that levels divide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Norm {
    /// Euclidean norm.
    #[default]
    Two,
    /// Largest magnitude.
    Max,
}

/// Dithering with equidistant levels.
///
/// ```
/// use thalweg::compress::{Compressor, Dithering, Unbiased};
/// let qsgd = Dithering::qsgd(15);
/// assert_eq!(qsgd.omega(900), 2.0); // min(900/225, 30/15)
/// assert_eq!(Compressor::<f32>::bits(&qsgd, 900), 32 + 900 * (1 + 4));
/// assert_eq!(Dithering::tern_grad().omega(9), 1.0); // (3 - 1)/2
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dithering {
    /// Levels above zero, `s`: between 1 and [`MAX_LEVELS`].
    pub levels: u32,
    /// The norm that they divide.
    pub norm: Norm,
}

impl Dithering {
    /// QSGD: `s` levels of the Euclidean norm.
    ///
    /// ```
    /// use thalweg::compress::{Buffers, Compressor, Dithering, Key, Message};
    /// // 3/5 and 4/5 of the norm lie on levels: nothing is random.
    /// let mut levels = [0; 2];
    /// let buffers = Buffers { levels: &mut levels, ..Buffers::default() };
    /// let message = Dithering::qsgd(5).compress(Key::default(), &[3.0_f32, -4.0], buffers)?;
    /// assert_eq!(message, Message::Dithered { norm: 5.0, most: 5, levels: &[3, -4] });
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub const fn qsgd(levels: u32) -> Self {
        Self {
            levels,
            norm: Norm::Two,
        }
    }

    /// TernGrad: one level of the maximum norm.
    ///
    /// ```
    /// assert_eq!(thalweg::compress::Dithering::tern_grad().levels, 1);
    /// ```
    #[must_use]
    pub const fn tern_grad() -> Self {
        Self {
            levels: 1,
            norm: Norm::Max,
        }
    }
}

/// Dithering whose levels are powers of two.
///
/// ```
/// use thalweg::compress::{Compressor, NaturalDithering, Norm, Unbiased};
/// let c = NaturalDithering { levels: 8, norm: Norm::Two };
/// assert_eq!(c.omega(4096), 0.125 + 0.25); // c = 64/128
/// assert_eq!(Compressor::<f32>::bits(&c, 100), 32 + 100 * (1 + 4));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NaturalDithering {
    /// Levels above zero, `s`: between 1 and [`MOST_NATURAL_LEVELS`].
    pub levels: u32,
    /// The norm that they divide.
    pub norm: Norm,
}

/// `2^MANTISSA_BITS`: added to a smaller integer it puts that integer in the low bits.
fn magic<T: Real>() -> T {
    T::from_f64((1_u64 << T::MANTISSA_BITS) as f64)
}

/// Signed level plus [`magic`], as a number with the sign of `x`.
#[derive(Clone, Copy)]
struct Linear<T> {
    norm: T,
    levels: T,
}
impl<T: Real> RandomMap<T> for Linear<T> {
    type Out = i32;

    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, x: L, noise: L) -> L {
        let (zero, one, magic) = (x.constant(T::ZERO), x.constant(T::ONE), x.constant(magic()));
        // The norm is positive here; it may have been rounded below the largest element.
        let t = (x.abs() / x.constant(self.norm)).least(one) * x.constant(self.levels);
        let nearest = (t + magic) - magic;
        let floor = nearest - L::select(t.lt(nearest), one, zero);
        let up = (noise - one).lt(t - floor);
        let level = floor + L::select(up, one, zero);
        (level + magic).copy_sign(x)
    }

    #[inline(always)]
    fn emit(&self, result: T) -> i32 {
        // Levels have at most 21 bits; the magic number has none there.
        with_sign(result, (result.to_bits_u64() & 0x3F_FFFF) as i32)
    }
}

/// The level itself, zero or a power of two, with the sign of `x`.
#[derive(Clone, Copy)]
struct Powers<T> {
    norm: T,
    least: T,
    levels: u32,
}
impl<T: Real> RandomMap<T> for Powers<T> {
    type Out = i32;

    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, x: L, noise: L) -> L {
        let (zero, one) = (x.constant(T::ZERO), x.constant(T::ONE));
        let least = x.constant(self.least);
        let t = (x.abs() / x.constant(self.norm)).least(one);
        let up = ((noise - one) * least).lt(t);
        let low = L::select(up, least, zero);
        L::select(t.lt(least), low, rounded(t, noise)).copy_sign(x)
    }

    #[inline(always)]
    fn emit(&self, result: T) -> i32 {
        let exponent = |bits: u64| ((bits & T::INFINITY.to_bits_u64()) >> T::MANTISSA_BITS) as i32;
        // The exponent of 1 is that of level `s`.
        let zero = exponent(T::ONE.to_bits_u64()).wrapping_sub(self.levels as i32);
        let level = exponent(result.to_bits_u64()).wrapping_sub(zero);
        with_sign(result, level.max(0))
    }
}

/// `level` with the sign of a number.
#[inline(always)]
fn with_sign<T: Real>(x: T, level: i32) -> i32 {
    let minus = -((x.to_bits_u64() >> (8 * T::BYTES as u32 - 1)) as i32);
    // Two's complement: (m ^ -1) + 1 is -m.
    (level ^ minus).wrapping_sub(minus)
}

/// Squares in `f64`, summed by chunks: those of [`vector::norm2_squared`] added in order.
pub(super) struct WideSquares<'a, T>(pub(super) &'a [T]);

impl<T: Real> Kernel for WideSquares<'_, T> {
    type Output = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let (chunks, rest) = self.0.as_chunks::<CHUNK>();
        let mut sum = 0.0;
        for chunk in chunks {
            let neutral = S::F64::splat(simd, -0.0);
            let mut block = neutral.block();
            for row in chunk.as_chunks::<LANES>().0 {
                let mut wide = [0.0; LANES];
                for (w, x) in wide.iter_mut().zip(row) {
                    *w = x.to_f64();
                }
                for (lanes, x) in block.as_mut().iter_mut().zip(S::F64::groups(&wide).0) {
                    let x = S::F64::load(simd, x);
                    *lanes = *lanes + x * x;
                }
            }
            let lanes = block.as_mut();
            let mut half = lanes.len() / 2;
            while let Some((low, high)) = lanes.split_at_mut_checked(half).filter(|_| half > 0) {
                for (low, high) in low.iter_mut().zip(high) {
                    *low = *low + *high;
                }
                half /= 2;
            }
            sum += lanes.first().map_or(0.0, |x| x.halving_sum());
        }
        let mut wide = [0.0; CHUNK];
        for (w, x) in wide.iter_mut().zip(rest) {
            *w = x.to_f64();
        }
        match wide.get(..rest.len()) {
            Some(wide) if !wide.is_empty() => sum + vector::norm2_squared(wide),
            _ => sum,
        }
    }
}

/// Levels of the magnitudes over the norm, which is positive.
pub(super) fn linear<T: Real>(noise: &mut Noise, norm: T, most: u32, x: &[T], levels: &mut [i32]) {
    let kernel = Linear {
        norm,
        levels: T::from_f64(f64::from(most)),
    };
    noise.map(kernel, x, levels);
}

/// Levels at powers of two.
pub(super) fn powers<T: Real>(noise: &mut Noise, norm: T, most: u32, x: &[T], levels: &mut [i32]) {
    let kernel = Powers {
        norm,
        least: power(1, most),
        levels: most,
    };
    noise.map(kernel, x, levels);
}

/// The norm as the receiver will know it.
fn norm<T: Real>(kind: Norm, x: &[T]) -> Result<T, Error> {
    let norm = match kind {
        Norm::Max => vector::norm_inf(x),
        // Squares of `f32` numbers neither overflow nor vanish in `f64`.
        Norm::Two if T::BYTES == 4 => T::from_f64(Real::sqrt(T::Kernels::wide_squares(x))),
        Norm::Two => vector::norm2(x),
    };
    if norm.is_finite() {
        return Ok(norm);
    }
    Err(match vector::first_non_finite(x) {
        Some(index) => Error::NonFinite {
            name: "x",
            at: crate::At::Element(index),
        },
        None => Error::NonFinite {
            name: "norm",
            at: crate::At::Element(0),
        },
    })
}

/// `out += value(level)` after all levels have been checked.
fn add_levels<T: Real>(
    most: u32,
    levels: &[i32],
    value: impl Fn(i32) -> T,
    out: &mut [T],
) -> Result<(), Error> {
    check_length("message", out.len(), levels.len())?;
    let largest = levels.iter().fold(0, |m, l| l.unsigned_abs().max(m));
    check(
        "message",
        largest <= most,
        "must have levels of at most the compressor's number",
    )?;
    for (o, &level) in out.iter_mut().zip(levels) {
        *o += value(level);
    }
    Ok(())
}

fn check_most(levels: u32, most: u32) -> Result<(), Error> {
    check(
        "message",
        levels == most,
        "must have the compressor's number of levels",
    )
}

fn check_levels(levels: u32, most: u32) -> Result<(), Error> {
    check("levels", levels > 0, "must be at least 1")?;
    check(
        "levels",
        levels <= most,
        "must be at most the stated number",
    )
}

const fn message_bits<T: Real>(levels: u32, d: usize) -> u64 {
    let each = 1 + index_bits((levels as usize).saturating_add(1)) as u64;
    each.saturating_mul(d as u64)
        .saturating_add(scalar_bits::<T>())
}

impl Operator for Dithering {
    fn validate(&self, _: usize) -> Result<(), Error> {
        check_levels(self.levels, MAX_LEVELS)
    }

    fn lengths(&self, d: usize) -> Lengths {
        Lengths {
            levels: d,
            ..Lengths::default()
        }
    }
}

impl<T: Real> Compressor<T> for Dithering {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        self.validate(x.len())?;
        let levels = first("levels", x.len(), buffers.levels)?;
        let norm = norm(self.norm, x)?;
        if norm > T::ZERO {
            T::Kernels::dither(&mut Noise::new(key), norm, self.levels, x, levels);
        } else {
            levels.fill(0);
        }
        Ok(Message::Dithered {
            norm,
            most: self.levels,
            levels,
        })
    }

    fn accumulate(
        &self,
        _: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        let Message::Dithered { norm, most, levels } = *message else {
            return Err(KIND);
        };
        self.validate(out.len())?;
        check_most(self.levels, most)?;
        // In f64: a share of a small norm would vanish in f32. The divisor is at least 1.
        let unit = (weight.times(1, 1)? * norm).to_f64() / f64::from(self.levels);
        let value = |level| T::from_f64(unit * f64::from(level));
        add_levels(self.levels, levels, value, out)
    }

    fn bits(&self, d: usize) -> u64 {
        message_bits::<T>(self.levels, d)
    }
}

impl Unbiased for Dithering {
    fn omega(&self, d: usize) -> f64 {
        // At least one level in a valid compressor.
        let (d, s) = (d as f64, f64::from(self.levels.max(1)));
        let root = libm::sqrt(d);
        match self.norm {
            Norm::Two => (d / (s * s)).min(root / s),
            Norm::Max if self.levels == 1 => (root - 1.0) / 2.0,
            Norm::Max => (d / (4.0 * s * s)).min(root / s),
        }
    }
}

impl Operator for NaturalDithering {
    fn validate(&self, _: usize) -> Result<(), Error> {
        check_levels(self.levels, MOST_NATURAL_LEVELS)
    }

    fn lengths(&self, d: usize) -> Lengths {
        Lengths {
            levels: d,
            ..Lengths::default()
        }
    }
}

impl<T: Real> Compressor<T> for NaturalDithering {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error> {
        self.validate(x.len())?;
        let levels = first("levels", x.len(), buffers.levels)?;
        let norm = norm(self.norm, x)?;
        if norm > T::ZERO {
            T::Kernels::dither_naturally(&mut Noise::new(key), norm, self.levels, x, levels);
        } else {
            levels.fill(0);
        }
        Ok(Message::NaturalDithered {
            norm,
            most: self.levels,
            levels,
        })
    }

    fn accumulate(
        &self,
        _: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error> {
        let Message::NaturalDithered { norm, most, levels } = *message else {
            return Err(KIND);
        };
        self.validate(out.len())?;
        check_most(self.levels, most)?;
        let unit = weight.times(1, 1)? * norm;
        let value = |level: i32| {
            let size = unit * power::<T>(level.unsigned_abs(), self.levels);
            match level {
                0 => T::ZERO,
                1.. => size,
                _ => -size,
            }
        };
        add_levels(self.levels, levels, value, out)
    }

    fn bits(&self, d: usize) -> u64 {
        message_bits::<T>(self.levels, d)
    }
}

impl Unbiased for NaturalDithering {
    fn omega(&self, d: usize) -> f64 {
        // 2^(s-1) for at most 64 levels in a valid compressor.
        let least = (1_u64 << self.levels.saturating_sub(1).min(63)) as f64;
        let c = libm::sqrt(d as f64) / least;
        0.125 + c * c.min(1.0)
    }
}

/// `2^(level - levels)`.
fn power<T: Real>(level: u32, levels: u32) -> T {
    let one = T::ONE.to_bits_u64() >> T::MANTISSA_BITS;
    let exponent = one
        .wrapping_add(u64::from(level))
        .wrapping_sub(u64::from(levels));
    T::from_bits_u64(exponent << T::MANTISSA_BITS)
}

#[cfg(test)]
mod tests;
