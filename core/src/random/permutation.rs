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
//! | d | 3, 4 | 9 | 24 | 113 | 1000 | 10^4 | from 10^6 |
//! |---|---|---|---|---|---|---|---|
//! | rounds | 42 | 28 | 22 | 14 | 10 | 8 | 6 |
//!
//! # Period of use
//! A deviation of 2e-6 shows in a chi-square test of one pair of positions only after some 10^12 keys. The tests
//! here cover 2 10^4 to 4 10^5 keys for each d. Keys have 64 bits: beyond 2^32 independent random keys expect a repeated
//! permutation, and for d > 20 most orders are not reachable at all. This is not a cipher: whoever sees outputs may
//! recover the key.
//!
//! Cost: 9 integer operations and two multiplications (one of 32 x 32 -> 64 bits) per round, one division by `b`
//! for the digits; 64 bytes. Reference: Black and Rogaway, *Ciphers with arbitrary finite domains*, CT-RSA 2002
//! (generalised Feistel, cycle walking); the constants of `H` are Wellons' `lowbias32`.

use core::num::{NonZeroU32, NonZeroU64};

use super::mix;
use crate::Error;
use crate::error::check;
use crate::simd::{self, Kernel, LANES, Simd};

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
        let b = NonZeroU64::new(a).map_or(1, |a| (d / a + u64::from(d % a != 0)).max(1));
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

/// 32 indices side by side, in plain arrays that the compiler puts in the registers of the level.
struct Batch<'a> {
    permutation: &'a Permutation,
    start: u64,
    out: &'a mut [u32],
}

impl Kernel for Batch<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let p = self.permutation;
        let (rows, rest) = self.out.as_chunks_mut::<LANES>();
        let mut next = p.digits(self.start);
        for row in rows {
            *row = p.row(&mut next, LANES);
        }
        if !rest.is_empty() {
            let stored = rest.len();
            for (out, i) in rest.iter_mut().zip(p.row(&mut next, stored)) {
                *out = i;
            }
        }
    }
}

impl Permutation {
    /// Where the next 32 indices go; `d` is at most 2^32, so that the radices are at most 2^16.
    ///
    /// Only the first `stored` lanes walk: an index past the end may lie on a cycle that is never in range.
    #[inline(always)]
    fn row(&self, next: &mut [u32; 2], stored: usize) -> [u32; LANES] {
        let (a1, b1) = (self.a1, self.b1);
        let (mut x, mut y) = ([0; LANES], [0; LANES]);
        let [nx, ny] = next;
        for (x, y) in x.iter_mut().zip(&mut y) {
            (*x, *y) = (*nx, *ny);
            if *ny == b1 {
                // Wraps past the last index, where no lane is stored.
                (*nx, *ny) = (if *nx == a1 { 0 } else { *nx + 1 }, 0);
            } else {
                *ny += 1;
            }
        }
        let mut r = 0;
        while r < self.rounds {
            let (kx, ky) = (self.key(r), self.key(r + 1));
            for (x, y) in x.iter_mut().zip(&y) {
                *x = add(*x, scaled(hash(y.wrapping_add(kx)), a1), a1);
            }
            for (y, x) in y.iter_mut().zip(&x) {
                *y = add(*y, scaled(hash(x.wrapping_add(ky)), b1), b1);
            }
            r += 2;
        }
        let b = b1.wrapping_add(1);
        let d1 = self.d.wrapping_sub(1) as u32;
        let mut i = [0; LANES];
        let mut outside = self.wraps();
        for (i, (x, y)) in i.iter_mut().zip(x.iter().zip(&y)) {
            *i = x.wrapping_mul(b).wrapping_add(*y);
            outside |= *i > d1;
        }
        if outside {
            for (i, (x, y)) in i.iter_mut().zip(x.iter().zip(&y)).take(stored) {
                if self.join(*x, *y) >= self.d {
                    *i = self.walk(*x, *y) as u32;
                }
            }
        }
        i
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    const SIZES: [u64; 24] = [
        1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 24, 31, 63, 64, 65, 113, 127, 1003, 4095, 4097,
        10_007, 65_537,
    ];

    fn assert_bijection(key: u64, d: u64) {
        let p = Permutation::new(key, d);
        let mut seen = vec![false; d as usize];
        for i in 0..d {
            let j = p.forward(i);
            assert!(j < d, "d={d} i={i} j={j}");
            assert!(!seen[j as usize], "d={d}: {j} is hit twice");
            seen[j as usize] = true;
            assert_eq!(p.inverse(j), i, "d={d}");
        }
    }

    #[test]
    fn it_is_a_bijection_of_every_small_range() {
        for d in 1..400 {
            for key in 0..4 {
                assert_bijection(key, d);
            }
        }
    }

    #[test]
    fn it_is_a_bijection_of_large_ranges() {
        for d in SIZES
            .into_iter()
            .chain([1_000_000, (1 << 20) - 1, 1 << 20, 999_983])
        {
            assert_bijection(0x1234_5678_9ABC_DEF0, d);
        }
    }

    #[test]
    fn wide_ranges_invert_and_stay_in_range() {
        for d in [
            (1 << 32) - 1,
            1 << 32,
            (1 << 32) + 1,
            10_000_000_000,
            (1 << 40) - 87,
            u64::MAX - (1 << 33),
            u64::MAX - 1,
            u64::MAX,
        ] {
            let p = Permutation::new(5, d);
            for i in (0..2000).flat_map(|i| [i, d - 1 - i, d / 2 + i]) {
                let j = p.forward(i);
                assert!(j < d);
                assert_eq!(p.inverse(j), i, "d={d}");
            }
            assert_eq!(p.forward(d), d);
        }
    }

    #[test]
    fn nothing_is_permuted_in_an_empty_range() {
        let p = Permutation::new(5, 0);
        assert_eq!((p.forward(0), p.inverse(3)), (0, 3));
        assert!(p.forward_into(0, &mut []).is_ok());
        assert!(p.forward_into(0, &mut [0]).is_err());
    }

    #[test]
    fn the_batch_equals_single_calls_at_every_level() {
        for level in simd::Level::ALL {
            if !simd::force(Some(level)) {
                continue;
            }
            for d in SIZES.into_iter().chain([1_000_000, (1 << 32) - 1, 1 << 32]) {
                let p = Permutation::new(d ^ 77, d);
                for (start, n) in [(0, 0), (0, 1), (0, 31), (0, 33), (d / 3, 1003), (d, 0)] {
                    let n = n.min(d - start) as usize;
                    for start in [start, d - n as u64] {
                        let mut out = vec![0; n];
                        p.forward_into(start, &mut out).unwrap();
                        for (i, j) in (start..).zip(out) {
                            assert_eq!(u64::from(j), p.forward(i), "{level:?} d={d} i={i}");
                        }
                    }
                }
            }
        }
        simd::force(None);
    }

    #[test]
    fn a_batch_out_of_range_writes_nothing() {
        let mut out = [9; 4];
        assert!(Permutation::new(1, 10).forward_into(7, &mut out).is_err());
        assert!(
            Permutation::new(1, 10)
                .forward_into(u64::MAX, &mut out)
                .is_err()
        );
        assert!(
            Permutation::new(1, (1 << 32) + 1)
                .forward_into(0, &mut out)
                .is_err()
        );
        assert_eq!(out, [9; 4]);
    }

    #[test]
    fn values_match_python() {
        // core/tests/golden/random.py.
        let row = |key, d, start: u64| -> Vec<u64> {
            let p = Permutation::new(key, d);
            (start..start + 6).map(|i| p.forward(i)).collect()
        };
        assert_eq!(row(1, 9, 0), [6, 4, 3, 1, 7, 5]);
        assert_eq!(row(2, 24, 10), [22, 6, 14, 7, 21, 5]);
        assert_eq!(row(3, 113, 100), [61, 62, 14, 77, 4, 49]);
        assert_eq!(
            row(4, 1_000_000, 0),
            [98_760, 205_207, 943_035, 350_504, 818_928, 332_370]
        );
        assert_eq!(
            row(5, 1 << 32, 0),
            [
                1_441_548_728,
                3_816_681_096,
                4_076_776_175,
                973_347_087,
                1_472_875_810,
                2_947_262_361
            ]
        );
        assert_eq!(
            row(6, u64::MAX, 1 << 63)[..3],
            [
                10_218_079_225_475_702_952,
                11_571_182_895_051_492_413,
                13_486_176_255_537_812_098
            ]
        );
    }

    /// Chi-square of counts against expectations as a normal score (Wilson and Hilferty): above 5 with probability
    /// 3e-7, which is the false alarm of each comparison below.
    fn score(cells: impl IntoIterator<Item = (f64, f64)>) -> f64 {
        let (mut chi, mut freedom) = (0.0, -1.0);
        for (count, expected) in cells {
            chi += (count - expected) * (count - expected) / expected;
            freedom += 1.0;
        }
        let spread = 2.0 / (9.0 * freedom);
        ((chi / freedom).cbrt() - 1.0 + spread) / spread.sqrt()
    }

    #[test]
    fn every_order_of_two_to_five_is_equally_likely() {
        for (d, orders) in [(2, 2), (3, 6), (4, 24), (5, 120)] {
            let keys = 1200 * orders;
            let mut counts = BTreeMap::new();
            for key in 0..keys {
                let p = Permutation::new(key, d);
                let code = (0..d).fold(0, |code, i| code * 8 + p.forward(i));
                *counts.entry(code).or_insert(0.0) += 1.0;
            }
            assert_eq!(counts.len() as u64, orders);
            let z = score(counts.into_values().map(|c| (c, 1200.0)));
            assert!(z < 5.0, "d={d} z={z}");
        }
    }

    #[test]
    fn every_position_goes_everywhere_equally_often() {
        for d in [7, 24, 113] {
            let keys = 20_000;
            let mut counts = vec![vec![0.0; d as usize]; d as usize];
            for key in 0..keys {
                let p = Permutation::new(key, d);
                for i in 0..d {
                    counts[i as usize][p.forward(i) as usize] += 1.0;
                }
            }
            for row in counts {
                let z = score(row.into_iter().map(|c| (c, keys as f64 / d as f64)));
                assert!(z < 5.0, "d={d} z={z}");
            }
        }
    }

    #[test]
    fn pairs_go_to_every_pair_of_places_equally_often() {
        // Pairs that share a digit are the last that a network with too few rounds mixes.
        let keys = 100_000;
        for d in [7_u64, 16, 24, 113] {
            let b = u64::from(Permutation::new(0, d).b1) + 1;
            for (i, j) in [
                (0, 1),
                (0, b),
                (d / 2, d - 1),
                (0, d - 1),
                (b - 1, 2 * b - 1),
            ] {
                let mut counts = vec![0.0; (d * d) as usize];
                for key in 0..keys {
                    let p = Permutation::new(key, d);
                    counts[(p.forward(i) * d + p.forward(j)) as usize] += 1.0;
                }
                let expected = keys as f64 / (d * (d - 1)) as f64;
                let cells = (0..d * d)
                    .filter(|c| c / d != c % d)
                    .map(|c| (counts[c as usize], expected));
                let z = score(cells);
                assert!(z < 5.0, "d={d} ({i}, {j}) z={z}");
            }
        }
    }

    #[test]
    fn neighbours_in_a_large_range_part_at_random() {
        // Differences of images of neighbours, in 64 cells, over a whole permutation and over keys.
        let cells = 64;
        for d in [4096_u64, 1_000_000] {
            let p = Permutation::new(11, d);
            for step in [1, u64::from(p.b1) + 1] {
                let mut counts = vec![0.0; cells as usize];
                for i in 0..d {
                    let (u, v) = (p.forward(i), p.forward((i + step) % d));
                    counts[(((v + d - u) % d) * cells / d) as usize] += 1.0;
                }
                let z = score(counts.iter().map(|c| (*c, d as f64 / cells as f64)));
                assert!(z < 5.0, "d={d} step={step} z={z}");
            }
        }
    }

    #[test]
    fn the_first_element_and_its_neighbour_keys_are_uniform() {
        // Image of 0 for key k, and its difference to the image for key k + 1.
        let (cells, keys) = (100_u64, 400_000);
        for d in [1000_u64, 1_000_000] {
            let mut first = vec![0.0; cells as usize];
            let mut change = first.clone();
            let mut last = Permutation::new(u64::MAX, d).forward(0);
            for key in 0..keys {
                let j = Permutation::new(key, d).forward(0);
                first[(j * cells / d) as usize] += 1.0;
                change[((j + d - last) % d * cells / d) as usize] += 1.0;
                last = j;
            }
            for counts in [first, change] {
                let z = score(counts.iter().map(|c| (*c, keys as f64 / cells as f64)));
                assert!(z < 5.0, "d={d} z={z}");
            }
        }
    }

    #[test]
    fn fixed_points_have_mean_one_and_variance_one() {
        for d in [10_u64, 113, 1000] {
            let keys = 20_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for key in 0..keys {
                let p = Permutation::new(key, d);
                let mut image = vec![0; d as usize];
                p.forward_into(0, &mut image).unwrap();
                let n = (0..d)
                    .zip(image)
                    .filter(|(i, j)| *i == u64::from(*j))
                    .count() as f64;
                sum += n;
                squares += (n - 1.0) * (n - 1.0);
            }
            // Poisson(1) to within 1/10!: variance 1, fourth central moment 4. 5 standard errors: 5.7e-7.
            let n = keys as f64;
            assert!((sum / n - 1.0).abs() < 5.0 / n.sqrt(), "d={d} {}", sum / n);
            assert!((squares / n - 1.0).abs() < 5.0 * (3.0 / n).sqrt(), "d={d}");
        }
    }

    #[test]
    fn half_of_the_permutations_are_odd() {
        // With two odd radices (d = 9 as 3 x 3) none would be.
        for d in [9_u64, 25, 113] {
            let keys = 20_000;
            let mut odd = 0.0;
            for key in 0..keys {
                let p = Permutation::new(key, d);
                let image: Vec<u64> = (0..d).map(|i| p.forward(i)).collect();
                let mut seen = vec![false; d as usize];
                let mut sign = 0;
                for start in 0..d as usize {
                    let (mut at, mut length) = (start, 0);
                    while !seen[at] {
                        seen[at] = true;
                        at = image[at] as usize;
                        length += 1;
                    }
                    sign ^= u32::from(length > 0 && length % 2 == 0);
                }
                odd += f64::from(sign);
            }
            let n = keys as f64;
            // 5 standard errors of a fair coin.
            assert!((odd / n - 0.5).abs() < 2.5 / n.sqrt(), "d={d} {}", odd / n);
        }
    }
}
