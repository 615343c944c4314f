//! Compressors: what a client sends in place of a vector, and what the message stands for.
//!
//! A compressor `C` is a plain value with its parameters. [`Compressor::compress`] turns `x` into a [`Message`] of slices
//! that the caller lends (or of `x` itself); [`Compressor::accumulate`] adds `weight C(x)` to a vector. Randomness is keyed:
//! the same [`Key`] gives the same support on both ends, so PermK, RandK and RandSeqK send values alone.
//!
//! ```
//! use thalweg::compress::{Buffers, Compressor, Key, PermK, Weight};
//! // Three clients whose blocks of one shared permutation cover the vector: the mean of equal inputs is the input.
//! let x = [0.1_f32, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7];
//! let perm_k = PermK::new(3);
//! let (mut values, mut mean) = ([0.0; 3], [0.0; 7]);
//! for client in 0..3 {
//!     let key = Key { seed: 9, round: 0, client };
//!     let message = perm_k.compress(key, &x, Buffers::values(&mut values))?;
//!     perm_k.accumulate(key, &message, Weight::Mean(3), &mut mean)?;
//! }
//! assert_eq!(mean, x);
//! # Ok::<(), thalweg::Error>(())
//! ```
//!
//! # Two families
//! ```text
//! Unbiased     E C(x) = x,  E |C(x)|^2 <= (omega + 1) |x|^2
//! Contractive  E |C(x) - x|^2 <= (1 - alpha) |x|^2,  0 < alpha <= 1
//! AB           E |mean C_i(a_i) - mean a_i|^2 <= A mean |a_i|^2 - B |mean a_i|^2
//! ```
//! Every step size of the theory is a function of `omega`, `alpha` or `(A, B)`, so these are methods.
//!
//! | compressor | family | constant | largest message, `B` bits a number |
//! |---|---|---|---|
//! | [`Identity`] | both | `omega = 0`, `alpha = 1` | `B d` |
//! | [`PermK`], `d >= n` | unbiased | `omega = n - 1`, `A = B = 1` | `B ceil(d/n)` |
//! | [`PermK`], `n >= d`, `q = floor(n/d)` | unbiased | `omega = n/q - 1`, `A = B = (n-q)/(q(n-1))` | `B` |
//! | [`RandK`], [`RandSeqK`] | unbiased | `omega = d/k - 1` | `B k` |
//! | [`Natural`] | unbiased | `omega = 1/8` | `9 d` (`f64`: `12 d`) |
//! | [`Dithering`] (QSGD, TernGrad), [`NaturalDithering`], `s` levels | unbiased | see [`dithering`] | `B + d (1 + ceil(log2(s + 1)))` |
//! | [`Lazy`] | unbiased | `omega = 1/p - 1` | `1 + B d`, mean `1 + p B d` |
//! | [`TopK`] | contractive | `alpha = k/d` | `k (B + ceil(log2 d))` |
//! | [`Sign`] | contractive | `alpha >= 1/d` | `B + d` |
//! | [`Contracted`] of `C` | contractive | `alpha = 1/(1 + omega)` | that of `C` |
//!
//! Bits are those of a message without its frame. Reference codes count `ceil(log2 s)` bits for a level, though there are
//! `s + 1`, and no bits for TopK's indices; both are counted here. Composing two unbiased compressors gives
//! `omega = (omega_1 + 1)(omega_2 + 1) - 1`.
//!
//! # The multiplier is folded
//! A message carries the elements of `x` as they are; the multiplier (`n` for PermK, `d/k` for RandK) meets the weight of
//! the mean in [`Weight`] as one ratio of integers. PermK's `n (1/n)` is 1 exactly: multiplying a difference of two nearly equal
//! gradients by 10^4 and dividing it again would round twice.
//!
//! # What was rejected
//! A generator passed to `compress` (the server cannot rebuild the support of one client), compressors that own their
//! residual (memory is [`error_feedback`]'s, so that the same compressor serves EF14, EF21 and MARINA), and one message
//! type per compressor (the frame codec and the protocols are written once, against [`Message`]).
//!
//! References: Szlendak, Tyurin, Richtarik, "Permutation compressors for provably faster distributed nonconvex
//! optimization", 2022; Beznosikov et al., "On biased compression for distributed learning", 2020.

#![allow(clippy::arithmetic_side_effects, reason = "widths of at most 64 bits")]

mod contracted;
pub mod dithering;
mod draw;
#[allow(
    clippy::too_many_arguments,
    reason = "compressor, draw and memory of one step"
)]
pub mod error_feedback;
mod identity;
mod lazy;
mod natural;
mod noise;
pub mod perm_k;
mod pointer;
pub mod rand_k;
mod sign;
pub mod top_k;

pub use contracted::Contracted;
pub use dithering::{Dithering, NaturalDithering, Norm};
pub use identity::Identity;
pub use lazy::Lazy;
pub use natural::Natural;
pub use perm_k::PermK;
pub use rand_k::{RandK, RandSeqK};
pub use sign::Sign;
pub use top_k::TopK;

use crate::error::{check, check_scratch};
use crate::real::kernels;
use crate::{Error, Real};

kernels! {
    /// What the compressors do on lanes.
    trait Kernels<T> {
        fn natural(noise: &mut noise::Noise, x: &[T], out: &mut [T]) {
            noise.map(natural::Round, x, out);
        }
        fn dither(noise: &mut noise::Noise, norm: T, most: u32, x: &[T], levels: &mut [i32]) {
            dithering::linear(noise, norm, most, x, levels);
        }
        fn dither_naturally(noise: &mut noise::Noise, norm: T, most: u32, x: &[T], levels: &mut [i32]) {
            dithering::powers(noise, norm, most, x, levels);
        }
        fn add_signs(factor: T, values: &[T], out: &mut [T]) {
            crate::simd::update(&sign::AddSign(factor), [out], [values]);
        }
        fn wide_squares(x: &[T]) -> f64 {
            crate::simd::dispatch(dithering::WideSquares(x))
        }
        fn top_k(
            x: &[T],
            k: usize,
            values: &mut [T],
            indices: &mut [u32],
        ) -> Result<(), Error> {
            top_k::select(x, k, values, indices)
        }
    }
}

/// Names one draw: equal keys give equal draws on every machine.
///
/// ```
/// use thalweg::compress::{Key, RandK};
/// let key = Key { seed: 1, round: 2, client: 3 };
/// let (mut there, mut here) = ([0; 4], [0; 4]);
/// RandK::new(4).support_into(key, 100, &mut there)?;
/// RandK::new(4).support_into(key, 100, &mut here)?;
/// assert_eq!(there, here);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// Round of the protocol.
    pub round: u64,
    /// Client that sends.
    pub client: u32,
}

/// What a compressor sends, as slices that the caller or the input lends.
///
/// Values are elements of the input before any multiplier.
///
/// ```
/// use thalweg::compress::{Buffers, Compressor, Identity, Key, Message};
/// let message = Identity.compress(Key::default(), &[1.0_f32, 2.0], Buffers::default())?;
/// assert_eq!(message, Message::Dense(&[1.0, 2.0]));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Message<'a, T> {
    /// All elements.
    Dense(&'a [T]),
    /// The elements of one block of the shared permutation, in its order; empty for an idle client.
    PermK(&'a [T]),
    /// The elements at `k` drawn coordinates, in the order of the draw.
    RandK(&'a [T]),
    /// The elements at `k` cyclically consecutive coordinates.
    RandSeqK(&'a [T]),
    /// Chosen coordinates with their elements.
    Sparse {
        /// Strictly increasing coordinates.
        indices: &'a [u32],
        /// Their elements.
        values: &'a [T],
    },
    /// All elements, each zero or a power of two with a sign.
    Natural(&'a [T]),
    /// One magnitude, with the sign bits of all elements.
    Sign {
        /// Magnitude of every element.
        scale: T,
        /// Elements of which only the sign bit counts.
        values: &'a [T],
    },
    /// Multiples of `norm / levels`.
    Dithered {
        /// Norm that the levels divide.
        norm: T,
        /// Number of levels above zero.
        most: u32,
        /// Signed levels.
        levels: &'a [i32],
    },
    /// Halvings of the norm.
    NaturalDithered {
        /// Norm that the levels divide.
        norm: T,
        /// Number of levels above zero.
        most: u32,
        /// Signed levels.
        levels: &'a [i32],
    },
    /// Nothing: the client stays silent.
    Nothing,
}

impl<T> Message<'_, T> {
    /// Number of elements or levels that are sent.
    ///
    /// ```
    /// # use thalweg::compress::Message;
    /// assert_eq!(Message::Dense(&[1.0_f32, 2.0]).len(), 2);
    /// ```
    #[must_use]
    pub const fn len(&self) -> usize {
        match self {
            Self::Dense(values)
            | Self::PermK(values)
            | Self::RandK(values)
            | Self::RandSeqK(values)
            | Self::Natural(values)
            | Self::Sign { values, .. }
            | Self::Sparse { values, .. } => values.len(),
            Self::Dithered { levels, .. } | Self::NaturalDithered { levels, .. } => levels.len(),
            Self::Nothing => 0,
        }
    }

    /// Nothing is sent.
    ///
    /// ```
    /// # use thalweg::compress::Message;
    /// assert!(Message::<f32>::PermK(&[]).is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Lengths of the [`Buffers`] that a compressor asks for.
///
/// ```
/// use thalweg::compress::{Lengths, Operator, RandK};
/// let lengths = RandK::new(5).lengths(100);
/// assert_eq!(lengths, Lengths { values: 5, indices: 0, levels: 0 });
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lengths {
    /// Numbers.
    pub values: usize,
    /// Coordinates.
    pub indices: usize,
    /// Signed levels.
    pub levels: usize,
}

impl Lengths {
    /// Checks that buffers are long enough, before anything is written to one of them.
    pub(crate) const fn check<T>(&self, buffers: &Buffers<'_, T>) -> Result<(), Error> {
        let checks = [
            check_scratch("values", self.values, buffers.values.len()),
            check_scratch("indices", self.indices, buffers.indices.len()),
            check_scratch("levels", self.levels, buffers.levels.len()),
        ];
        match checks {
            [Ok(()), Ok(()), Ok(())] => Ok(()),
            [Err(error), _, _] | [_, Err(error), _] | [_, _, Err(error)] => Err(error),
        }
    }
}

/// Memory that the caller lends for one message; a buffer may be longer than asked for.
///
/// ```
/// use thalweg::compress::Buffers;
/// let (mut values, mut indices) = ([0.0_f32; 4], [0; 4]);
/// let buffers = Buffers { indices: &mut indices, ..Buffers::values(&mut values) };
/// assert_eq!(buffers.values.len() + buffers.indices.len(), 8);
/// ```
#[derive(Debug)]
pub struct Buffers<'a, T> {
    /// Numbers.
    pub values: &'a mut [T],
    /// Coordinates.
    pub indices: &'a mut [u32],
    /// Signed levels.
    pub levels: &'a mut [i32],
}

impl<T> Default for Buffers<'_, T> {
    fn default() -> Self {
        Self {
            values: &mut [],
            indices: &mut [],
            levels: &mut [],
        }
    }
}

impl<'a, T> Buffers<'a, T> {
    /// Numbers alone: all that PermK, RandK, RandSeqK and natural compression need.
    ///
    /// ```
    /// assert_eq!(thalweg::compress::Buffers::values(&mut [0.0_f32; 3]).values.len(), 3);
    /// ```
    #[must_use]
    pub fn values(values: &'a mut [T]) -> Self {
        Self {
            values,
            ..Self::default()
        }
    }
}

/// Weight of one message in a sum.
///
/// ```
/// use thalweg::compress::Weight;
/// // 1/49 rounds, and 49 * (1/49) is not 1; the ratio of integers is.
/// assert_ne!(49.0 * (1.0_f64 / 49.0), 1.0);
/// assert_eq!(Weight::<f64>::Mean(49).times(49, 1)?, 1.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weight<T> {
    /// `1/n`: the message is one of `n` in a plain mean.
    Mean(usize),
    /// A number.
    Value(T),
}

impl<T: Real> Weight<T> {
    /// Weight 1: what is added is `C(x)`.
    pub const ONE: Self = Self::Value(T::ONE);

    /// `weight * numerator / denominator`, with one division of integers; 1 exactly where they cancel.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a mean of no messages or a denominator of zero.
    ///
    /// ```
    /// use thalweg::compress::Weight;
    /// assert_eq!(Weight::Value(3.0_f32).times(10, 4)?, 7.5);
    /// assert!(Weight::<f32>::Mean(0).times(1, 1).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn times(self, numerator: usize, denominator: usize) -> Result<T, Error> {
        check("denominator", denominator > 0, "must be at least 1")?;
        let (numerator, denominator) = (numerator as f64, denominator as f64);
        match self {
            Self::Mean(n) => {
                check("weight", n > 0, "must be a mean of at least one message")?;
                // Exact products of integers below 2^53; the divisor is at least 1.
                Ok(T::from_f64(numerator / (denominator * n as f64)))
            }
            Self::Value(w) => Ok(w * T::from_f64(numerator / denominator)),
        }
    }

    /// `weight / divisor`.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a mean of no messages or a divisor that is not positive.
    ///
    /// ```
    /// use thalweg::compress::Weight;
    /// assert_eq!(Weight::<f32>::Mean(4).over(0.5)?, 0.5);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn over(self, divisor: f64) -> Result<T, Error> {
        check("divisor", divisor > 0.0, "must be positive")?;
        match self {
            Self::Mean(n) => {
                check("weight", n > 0, "must be a mean of at least one message")?;
                Ok(T::from_f64(1.0 / (divisor * n as f64)))
            }
            Self::Value(w) => Ok(w * T::from_f64(1.0 / divisor)),
        }
    }
}

/// What is known of a compressor without numbers to compress: its parameters, its constants, its buffers.
///
/// ```
/// use thalweg::compress::{Contractive, Operator, PermK, TopK, Unbiased};
/// let operators: [&dyn Operator; 2] = [&TopK { k: 10 }, &PermK::new(4)];
/// assert_eq!(operators.map(|c| c.lengths(100).values), [10, 25]);
/// assert_eq!((TopK { k: 10 }.alpha(100), PermK::new(4).omega(100)), (0.1, 3.0));
/// ```
pub trait Operator {
    /// Checks the parameters against a dimension.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the parameter.
    fn validate(&self, d: usize) -> Result<(), Error>;

    /// Buffers that a message of a vector of length `d` needs.
    fn lengths(&self, d: usize) -> Lengths;

    /// The number of clients that the compressor is made for; `None` where any number will do.
    ///
    /// A protocol refuses a compressor that is made for another number than its run has. A compressor that wraps another one must
    /// state the number of that one.
    ///
    /// ```
    /// use thalweg::compress::{Contracted, Operator, PermK, RandK};
    /// assert_eq!(Contracted(PermK::new(4)).clients(), Some(4));
    /// assert_eq!(RandK::new(4).clients(), None);
    /// ```
    fn clients(&self) -> Option<usize> {
        None
    }

    /// Checks that the draw of a key is at hand, so that [`compress`](Compressor::compress) cannot fail for its sake.
    ///
    /// Tables are drawn beforehand, for one round; the other compressors draw at any time. A compressor that wraps another one must ask
    /// that one.
    ///
    /// # Errors
    /// [`Error::Parameter`] naming the part of the key.
    ///
    /// ```
    /// use thalweg::compress::{Key, Operator, perm_k::Table};
    /// let mut table = Table::new([0_u32; 5], [0_u32; 2])?;
    /// table.draw(3, 7)?;
    /// let key = Key { seed: 3, round: 7, client: 1 };
    /// assert!(table.check_key(key).is_ok());
    /// assert!(table.check_key(Key { round: 8, ..key }).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    fn check_key(&self, key: Key) -> Result<(), Error> {
        let _ = key;
        Ok(())
    }
}

/// A compression operator on vectors of any length.
///
/// A reference to a compressor is one too, and so is a `Box` of one (feature `alloc`), also where the type behind it is chosen when the
/// program runs.
///
/// ```
/// use thalweg::compress::{Compressor, Identity, TopK};
/// use thalweg::federated::Protocol;
/// let compressor: &dyn Compressor<f32> = if 1000 < 50 { &Identity } else { &TopK { k: 10 } };
/// assert_eq!(compressor.bits(1000), 10 * (32 + 10));
/// let config = thalweg::federated::fed_avg::Config {
///     run: thalweg::federated::Run { seed: 1, clients: 4 },
///     compressor,
///     server_learning_rate: 1.0,
///     aggregator: thalweg::aggregate::Mean,
/// };
/// assert!(config.validate(1000).is_ok());
/// ```
pub trait Compressor<T: Real>: Operator {
    /// Compresses `x`; the message lives in the buffers or in `x`.
    ///
    /// # Errors
    /// What [`Operator::validate`] says, a client beyond their number, a buffer that is too short, or a NaN where an
    /// order is needed. The buffers then hold nothing of use.
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [T],
        buffers: Buffers<'m, T>,
    ) -> Result<Message<'m, T>, Error>;

    /// `out <- out + weight C(x)`, from the message of the same key.
    ///
    /// # Errors
    /// As [`Compressor::compress`], and a message of another kind, length or range; `out` is untouched.
    fn accumulate(
        &self,
        key: Key,
        message: &Message<'_, T>,
        weight: Weight<T>,
        out: &mut [T],
    ) -> Result<(), Error>;

    /// Uplink bits of the largest message of a vector of length `d`, without the frame around it.
    fn bits(&self, d: usize) -> u64;
}

/// `E C(x) = x` and `E |C(x)|^2 <= (omega + 1) |x|^2`.
pub trait Unbiased: Operator {
    /// The constant for vectors of length `d`.
    fn omega(&self, d: usize) -> f64;

    /// The pair of the AB inequality for `n` clients; `(omega/n, 0)` when their draws are independent.
    fn ab(&self, d: usize, n: usize) -> Ab {
        // At least one client: the divisor is positive.
        Ab {
            a: self.omega(d) / n.max(1) as f64,
            b: 0.0,
        }
    }
}

/// `E |C(x) - x|^2 <= (1 - alpha) |x|^2`.
pub trait Contractive: Operator {
    /// The constant for vectors of length `d`, in `(0, 1]`.
    fn alpha(&self, d: usize) -> f64;
}

/// Constants of `E |mean C_i(a_i) - mean a_i|^2 <= A mean |a_i|^2 - B |mean a_i|^2`.
///
/// ```
/// use thalweg::compress::{Ab, PermK, Unbiased};
/// assert_eq!(PermK::new(3).ab(8, 3), Ab { a: 1.0, b: 1.0 });
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ab {
    /// `A >= B`.
    pub a: f64,
    /// `B >= 0`.
    pub b: f64,
}

/// `k` from a ratio of the dimension, at least 1 and at most `d`.
///
/// ```
/// use thalweg::compress::k_from_ratio;
/// assert_eq!(k_from_ratio(1000, 0.01), 10);
/// assert_eq!(k_from_ratio(1000, 0.0), 1);
/// ```
#[must_use]
pub fn k_from_ratio(d: usize, ratio: f64) -> usize {
    // The cast saturates, and takes NaN to 0.
    ((d as f64 * ratio) as usize).clamp(1, d.max(1))
}

/// Bits of one coordinate of a vector of length `d`: `ceil(log2 d)`.
///
/// ```
/// use thalweg::compress::index_bits;
/// assert_eq!((index_bits(1), index_bits(2), index_bits(1000), index_bits(1024)), (0, 1, 10, 10));
/// ```
#[must_use]
pub const fn index_bits(d: usize) -> u32 {
    usize::BITS - d.saturating_sub(1).leading_zeros()
}

/// Bits of one number.
const fn scalar_bits<T: Real>() -> u64 {
    8 * T::BYTES as u64
}

const KIND: Error = Error::Parameter {
    name: "message",
    rule: "must be of the kind that the compressor sends",
};

/// Coordinates are stored in 32 bits.
fn check_dimension(d: usize) -> Result<(), Error> {
    check("x", d > 0, "must not be empty")?;
    let fits = u32::try_from(d).is_ok();
    check("x", fits, "must have fewer than 2^32 elements")
}

/// A count of coordinates, `1 <= k <= d`.
fn check_k(k: usize, d: usize) -> Result<(), Error> {
    check_dimension(d)?;
    check("k", k > 0, "must be at least 1")?;
    check("k", k <= d, "must be at most the dimension")
}

/// The first `len` elements of a buffer that must hold them.
fn first<'m, T>(name: &'static str, len: usize, buffer: &'m mut [T]) -> Result<&'m mut [T], Error> {
    let found = buffer.len();
    buffer.get_mut(..len).ok_or(Error::Length {
        name,
        expected: len,
        found,
    })
}

/// `values <- x[indices]`; a coordinate past the end reads as zero (callers pass none).
fn gather<T: Real>(indices: &[u32], x: &[T], values: &mut [T]) {
    for (value, &i) in values.iter_mut().zip(indices) {
        *value = x.get(i as usize).copied().unwrap_or(T::ZERO);
    }
}

/// `out[indices] += factor * values`; a coordinate past the end is skipped (callers pass none).
fn scatter<T: Real>(indices: &[u32], values: &[T], factor: T, out: &mut [T]) {
    for (&value, &i) in values.iter().zip(indices) {
        if let Some(o) = out.get_mut(i as usize) {
            *o += factor * value;
        }
    }
}

#[cfg(test)]
mod tests;
