//! A keyed permutation of `0..d` that is computed, not stored.
//!
//! An index is written with two digits, `i = x b + y` with `a b >= d`, and each round adds a keyed hash of
//! one digit to the other (a Feistel network of mixed radix):
//!
//! ```text
//! a = the least even number >= sqrt(d)     b = ceil(d / a)
//! repeat rounds / 2 times:
//!     x <- (x + floor(a H(y + key_r)     / 2^32)) mod a
//!     y <- (y + floor(b H(x + key_{r+1}) / 2^32)) mod b
//! until x b + y < d                                           (cycle walking)
//! H(v): v ^= v >> 16; v *= 0x7feb352d; v ^= v >> 15; v *= 0x846ca68b      (mod 2^32)
//! ```
//!
//! Each round can be undone, so the network is a bijection of `0..a b`. Restricted to `0..d` by walking along the
//! cycle until the value is in range, it is a bijection there. At most `a - 1` of the `a b` values are out of range,
//! so a walk has `1 + O(1/sqrt(d))` steps on average; a binary network has up to 4 and its lanes wait for the
//! slowest. `a` is even because with two odd radices every reachable permutation would be even.
//!
//! # Rounds
//! For a network of random functions the frequencies of pairs differ from the uniform ones by a relative error near
//! `2.2 b^(1 - rounds/2)`, measured over 10^6 keys for d from 7 to 113 and 4 to 12 rounds. Four rounds fail a chi-square
//! test at each of these d, and at d = 10^6 within one permutation (neighbours' differences); ten still fail at d = 24.
//! The number of rounds here is the least even one with `b^(rounds/2 - 1) >= 10^6`, at most 42:
//!
//! | d | 3, 4 | 9 | 24 | 113 | 1000 | 10^4 | from 10^6 | from 10^12 |
//! |---|---|---|---|---|---|---|---|---|
//! | rounds | 42 | 28 | 22 | 14 | 10 | 8 | 6 | 4 |
//!
//! # Period of use
//! A deviation of 2e-6 shows in a chi-square test of one pair of positions only after some 10^12 keys. The tests
//! here cover 2 10^4 to 9 10^5 keys for each d; over 10^5 keys those of pairs notice 14 rounds in place of 42 at d = 8,
//! 8 in place of 28 at d = 9 and 6 in place of 22 at d = 24. Keys have 64 bits: beyond 2^32 independent random keys expect a repeated
//! permutation, and for d > 20 most orders are not reachable at all. This is not a cipher: whoever sees outputs may
//! recover the key.
//!
//! Cost: 9 integer operations and two multiplications (one of 32 x 32 -> 64 bits) per round, one division by `b`
//! for the digits; 64 bytes. Reference: Black and Rogaway, *Ciphers with arbitrary finite domains*, CT-RSA 2002
//! (generalised Feistel, cycle walking); the constants of `H` are Wellons' `lowbias32`.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "digits of fixed width; no divisor is zero"
)]

use core::num::{NonZeroU32, NonZeroU64};

use super::mix;
use crate::Error;
use crate::error::check;
use crate::memory::must_or;
use crate::simd;

mod batch;
#[cfg(test)]
mod tests;

use batch::Batch;

/// Step of the SplitMix64 counter that expands the key.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// `b^(rounds/2 - 1)` reaches this number.
const MIXING: u64 = 1_000_000;

/// Rounds for `b = 2`, the most that any `d` takes.
const MOST_ROUNDS: u32 = 42;

/// Round keys; round `r` uses number `r mod 8` plus a multiple of an odd constant that counts the reuses.
const KEYS: usize = 8;

/// A keyed bijection of `0..d` without a table.
///
/// ```
/// use thalweg::random::Permutation;
/// let p = Permutation::new(7, 5);
/// let mut seen = [false; 5];
/// for i in 0..5 {
///     seen[p.forward(i) as usize] = true;
///     assert_eq!(p.inverse(p.forward(i)), i);
/// }
/// assert_eq!(seen, [true; 5]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permutation {
    d: u64,
    /// `a - 1` and `b - 1`: the radices themselves may be 2^32.
    a1: u32,
    b1: u32,
    rounds: u32,
    keys: [u32; KEYS],
}

impl Permutation {
    /// The permutation of `0..d` that belongs to a key; the identity for `d < 2`.
    ///
    /// Take the key from a stream ([`Rng::next_u64`](rand_core::Rng::next_u64)) that both ends of a link share.
    ///
    /// ```
    /// use thalweg::random::Permutation;
    /// assert_eq!(Permutation::new(1, 1).forward(0), 0);
    /// assert_eq!(Permutation::new(1, 1000), Permutation::new(1, 1000));
    /// ```
    #[must_use]
    pub fn new(key: u64, d: u64) -> Self {
        let root = d.isqrt();
        let ceiling = root + u64::from(root * root < d);
        let a = (ceiling + (ceiling & 1)).max(2);
        let b = must_or(NonZeroU64::new(a), NonZeroU64::MIN);
        let b = (d / b + u64::from(d % b != 0)).max(1);
        let (mut rounds, mut mixing) = (2, 1);
        while mixing < MIXING && rounds < MOST_ROUNDS {
            mixing *= b;
            rounds += 2;
        }
        let mut keys = [0; KEYS];
        let mut counter = mix(key);
        for pair in keys.as_chunks_mut().0 {
            let word = mix(counter);
            *pair = [word as u32, (word >> 32) as u32];
            counter = counter.wrapping_add(GOLDEN);
        }
        Self {
            d,
            a1: (a - 1) as u32,
            b1: (b - 1) as u32,
            rounds,
            keys,
        }
    }

    /// Number of elements.
    ///
    /// ```
    /// assert_eq!(thalweg::random::Permutation::new(1, 9).len(), 9);
    /// ```
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.d
    }

    /// There are no elements.
    ///
    /// ```
    /// assert!(thalweg::random::Permutation::new(1, 0).is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.d == 0
    }

    /// Where `i` goes; `i` itself when it is not below `d`.
    ///
    /// ```
    /// let p = thalweg::random::Permutation::new(3, 100);
    /// assert!(p.forward(42) < 100);
    /// assert_eq!(p.forward(100), 100);
    /// ```
    #[inline]
    #[must_use]
    pub fn forward(&self, i: u64) -> u64 {
        if i >= self.d {
            return i;
        }
        let [x, y] = self.digits(i);
        self.walk(x, y)
    }

    /// What goes to `j`: `inverse(forward(i)) == i`; `j` itself when it is not below `d`.
    ///
    /// ```
    /// let p = thalweg::random::Permutation::new(3, 100);
    /// assert_eq!(p.forward(p.inverse(42)), 42);
    /// ```
    #[must_use]
    pub fn inverse(&self, j: u64) -> u64 {
        if j >= self.d {
            return j;
        }
        let [mut x, mut y] = self.digits(j);
        loop {
            let mut r = self.rounds;
            while r > 0 {
                r = r.wrapping_sub(2);
                y = subtract(
                    y,
                    scaled(hash(x.wrapping_add(self.key(r + 1))), self.b1),
                    self.b1,
                );
                x = subtract(
                    x,
                    scaled(hash(y.wrapping_add(self.key(r))), self.a1),
                    self.a1,
                );
            }
            let i = self.join(x, y);
            if i < self.d {
                return i;
            }
        }
    }

    /// Where `start`, `start + 1`, ... go, 32 at a time.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `start + out.len()` is above `d`, or `d` is above 2^32 so that an index may not fit in
    /// an element; nothing is written then.
    ///
    /// ```
    /// let p = thalweg::random::Permutation::new(3, 100);
    /// let mut out = [0; 40];
    /// p.forward_into(60, &mut out)?;
    /// assert_eq!(u64::from(out[39]), p.forward(99));
    /// assert!(p.forward_into(61, &mut out).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn forward_into(&self, start: u64, out: &mut [u32]) -> Result<(), Error> {
        check("d", self.d <= 1 << 32, "must be at most 2^32")?;
        let fits = start
            .checked_add(out.len() as u64)
            .is_some_and(|end| end <= self.d);
        check(
            "start",
            fits,
            "must be at most `d` less the length of `out`",
        )?;
        simd::dispatch(Batch {
            permutation: self,
            start,
            out,
        });
        Ok(())
    }

    /// The key of round `r`.
    #[allow(
        clippy::indexing_slicing,
        reason = "a remainder of KEYS in an array of KEYS elements"
    )]
    #[inline(always)]
    fn key(&self, r: u32) -> u32 {
        let reuse = (r / KEYS as u32).wrapping_mul(0x9E37_79B9);
        self.keys[r as usize % KEYS].wrapping_add(reuse)
    }

    #[inline(always)]
    fn digits(&self, i: u64) -> [u32; 2] {
        match self.b1.checked_add(1).and_then(NonZeroU32::new) {
            // The usual case has a 32-bit division.
            Some(b) => match u32::try_from(i) {
                Ok(i) => [i / b, i % b],
                Err(_) => {
                    let b = NonZeroU64::from(b);
                    [(i / b) as u32, (i % b) as u32]
                }
            },
            None => [(i >> 32) as u32, i as u32],
        }
    }

    /// Values of the network pass 2^32, so that 32 bits do not show whether one is in range.
    #[inline(always)]
    fn wraps(&self) -> bool {
        self.join(self.a1, self.b1) > u64::from(u32::MAX)
    }

    #[inline(always)]
    fn join(&self, x: u32, y: u32) -> u64 {
        // At most a b - 1 < 2^64: x b + y with b = b1 + 1.
        u64::from(x) * u64::from(self.b1) + u64::from(x) + u64::from(y)
    }

    /// Runs the rounds until the value is in range; it ends because the start of the cycle is in range.
    #[inline]
    fn walk(&self, mut x: u32, mut y: u32) -> u64 {
        loop {
            let mut r = 0;
            while r < self.rounds {
                x = add(
                    x,
                    scaled(hash(y.wrapping_add(self.key(r))), self.a1),
                    self.a1,
                );
                y = add(
                    y,
                    scaled(hash(x.wrapping_add(self.key(r + 1))), self.b1),
                    self.b1,
                );
                r += 2;
            }
            let i = self.join(x, y);
            if i < self.d {
                return i;
            }
        }
    }
}

/// The round function; its high bits depend on every bit of `v`.
#[inline(always)]
fn hash(mut v: u32) -> u32 {
    v ^= v >> 16;
    v = v.wrapping_mul(0x7feb_352d);
    v ^= v >> 15;
    v.wrapping_mul(0x846c_a68b)
}

/// `floor(h n / 2^32)` for `n = n1 + 1`.
#[inline(always)]
fn scaled(h: u32, n1: u32) -> u32 {
    ((u64::from(h) * u64::from(n1) + u64::from(h)) >> 32) as u32
}

/// `(x + f) mod n` for `n = n1 + 1`; `x` and `f` are at most `n1`.
#[inline(always)]
fn add(x: u32, f: u32, n1: u32) -> u32 {
    // n1 - f does not underflow, and the sum is in range exactly when x does not exceed it.
    let sum = x.wrapping_add(f);
    if x > n1.wrapping_sub(f) {
        sum.wrapping_sub(n1).wrapping_sub(1)
    } else {
        sum
    }
}

/// `(x - f) mod n` for `n = n1 + 1`; `x` and `f` are at most `n1`.
#[inline(always)]
fn subtract(x: u32, f: u32, n1: u32) -> u32 {
    let difference = x.wrapping_sub(f);
    if x < f {
        difference.wrapping_add(n1).wrapping_add(1)
    } else {
        difference
    }
}
