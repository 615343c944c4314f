//! The order statistics in the middle of many distances, by counting on lanes.
//!
//! ```text
//! sample         two numbers between which the wanted one almost certainly lies
//! repeat         count what is below either; keep the part that holds the wanted rank; next two by interpolation
//! at most ROOM   collect what is left, bisect its bit patterns
//! ```
//! A count reads the distances once and is bounded by that; three or four are enough for half a million. Where one leaves more than half of them,
//! the next halves the interval of bit patterns instead, so that distances in heaps end as well: after a round or two for each bit.
//! Distances are not negative, so bit patterns are in their order. No result depends on the sample.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of distances, and differences of ordered bit patterns"
)]

use crate::Real;
use crate::memory::must;
use crate::pairs::Kept;
use crate::simd::{self, BitLanes, Kernel, Lanes, Mask, Simd};

/// Candidates that are collected on the stack.
const ROOM: usize = 256;

/// Ranks in the sample that serve as well.
const NEAR: u64 = 2;

/// Distances on either side of the diagonal.
#[derive(Clone, Copy)]
pub(super) struct Distances<'a, T> {
    /// Of ordered pairs.
    pub(super) single: &'a [T],
    /// Of unordered pairs: each counts twice.
    pub(super) double: &'a [T],
    /// Zeros in addition to those.
    pub(super) zeros: u64,
}

impl<'a, T> From<Kept<'a, T>> for Distances<'a, T> {
    fn from(kept: Kept<'a, T>) -> Self {
        Self {
            single: kept.diagonal,
            double: kept.others,
            zeros: 0,
        }
    }
}

impl<T: Real> Distances<'_, T> {
    /// The distance of a rank, from 0, and that of the rank before.
    pub(super) fn select(&self, rank: u64) -> (T, T) {
        let (mut low, mut high) = (
            End::new(0, 0),
            End::new(T::INFINITY.to_bits_u64() + 1, u64::MAX),
        );
        let mut room = [T::ZERO; ROOM];
        let mut guess = self.guess(&mut room);
        // The wanted number is at `low` or above, and below `high`.
        while high.bits - low.bits > 1 {
            if high.below - low.below <= ROOM as u64 {
                return self.finish(rank, low, high, &mut room);
            }
            let left = high.below - low.below;
            let inside = |x: T| x.to_bits_u64().max(low.bits + 1).min(high.bits - 1);
            let [a, b] = guess.map(inside);
            let counts = self.count([a, b].map(T::from_bits_u64));
            for (bits, below) in [a, b].into_iter().zip(counts) {
                if below <= rank {
                    low = if bits > low.bits {
                        End { bits, below }
                    } else {
                        low
                    };
                } else if bits < high.bits {
                    high = End { bits, below };
                }
            }
            guess = if high.below - low.below > left / 2 {
                let middle = low.bits + (high.bits - low.bits) / 2;
                [T::from_bits_u64(middle); 2]
            } else {
                self.interpolate(rank, low, high)
            };
        }
        let found = T::from_bits_u64(low.bits);
        let before = if low.below < rank {
            found
        } else {
            self.largest_below(found)
        };
        (found, before)
    }

    /// Two numbers around the middle of a sample: 5 deviations apart.
    fn guess(&self, room: &mut [T; ROOM]) -> [T; 2] {
        let mut sampled = 0;
        // Numbers of the two in proportion to what they stand for.
        for (all, share) in [(self.single, 1), (self.double, 2)] {
            let weight = self.single.len() + 2 * self.double.len();
            let wanted = (ROOM * share * all.len()).checked_div(weight);
            let wanted = must(wanted);
            let Some(stretch) = all.len().checked_div(wanted) else {
                continue;
            };
            for i in 0..wanted {
                // A multiplicative hash: no period that the layout could share.
                let jitter = u64::from((i as u32).wrapping_mul(0x9E37_79B9)) * stretch as u64;
                let place = i * stretch + (jitter >> 32) as usize;
                if let (Some(to), Some(&x)) = (room.get_mut(sampled), all.get(place)) {
                    // What pads a strip is no distance.
                    *to = x;
                    sampled += usize::from(x < T::INFINITY);
                }
            }
        }
        let sample = Distances {
            single: must(room.get(..sampled)),
            double: &[],
            zeros: 0,
        };
        let (middle, slack) = (sampled as u64 / 2, 5 * (sampled as u64).isqrt() / 4);
        sample.near([middle.saturating_sub(slack), middle + slack])
    }

    /// Numbers whose ranks are about these, of few.
    fn near(&self, ranks: [u64; 2]) -> [T; 2] {
        let (mut low, mut high) = ([0; 2], [T::INFINITY.to_bits_u64(); 2]);
        loop {
            let ([p, q], [r, s]) = (low, high);
            let [a, b] = [p + (r - p) / 2, q + (s - q) / 2];
            let middle = [a, b].map(T::from_bits_u64);
            let counts = self.count(middle);
            let mut is_near = true;
            for (((below, rank), middle), (low, high)) in counts
                .into_iter()
                .zip(ranks)
                .zip([a, b])
                .zip(low.iter_mut().zip(&mut high))
            {
                if below.abs_diff(rank) <= NEAR || *high - *low <= 1 {
                    continue;
                }
                is_near = false;
                if below <= rank {
                    *low = middle;
                } else {
                    *high = middle;
                }
            }
            if is_near {
                return middle;
            }
        }
    }

    /// Two numbers around that of a rank, if what lies between the ends is spread evenly.
    fn interpolate(&self, rank: u64, low: End, high: End) -> [T; 2] {
        let [a, b] = [low, high].map(|end| T::from_bits_u64(end.bits).to_f64());
        let all = (self.single.len() + 2 * self.double.len()) as f64;
        // There are more than ROOM between them.
        let count = (high.below - low.below) as f64;
        let at = (rank - low.below) as f64 / count;
        // Four deviations, and a density that is less even the more of it is between the ends.
        let slack = 2.0 / libm::sqrt(count) + count / (16.0 * all);
        [at - slack, at + slack].map(|at| T::from_f64(a + (b - a) * at.clamp(0.0, 1.0)))
    }

    /// The number of a rank, of few: by its bits, from `low` to `high`.
    fn bisect(&self, rank: u64, mut low: u64, mut high: u64) -> T {
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let [below, _] = self.count([T::from_bits_u64(middle); 2]);
            if below <= rank {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        T::from_bits_u64(low)
    }

    /// Collects what lies from `low` to `high` and takes the number of this rank.
    fn finish(&self, rank: u64, low: End, high: End, room: &mut [T; ROOM]) -> (T, T) {
        let ends = [low, high].map(|end| T::from_bits_u64(end.bits));
        let single = simd::dispatch(Collect {
            x: self.single,
            ends,
            out: &mut room[..],
        });
        let (first, rest) = must(room.split_at_mut_checked(single));
        let double = simd::dispatch(Collect {
            x: self.double,
            ends,
            out: &mut *rest,
        });
        let few = Distances {
            single: first,
            double: must(rest.get(..double)),
            // Those of the diagonal come first wherever 0 is among the candidates.
            zeros: if low.bits == 0 { self.zeros } else { 0 },
        };
        let found = few.bisect(rank - low.below, low.bits, high.bits - 1);
        let [below, _] = few.count([found; 2]);
        let before = if low.below + below < rank {
            found
        } else if below > 0 {
            few.largest_below(found)
        } else {
            self.largest_below(found)
        };
        (found, before)
    }

    /// How many are below either of two numbers.
    fn count(&self, ends: [T; 2]) -> [u64; 2] {
        let single = simd::dispatch(Count {
            x: self.single,
            ends,
        });
        let double = simd::dispatch(Count {
            x: self.double,
            ends,
        });
        let [a, b] = ends.map(|end| if end > T::ZERO { self.zeros } else { 0 });
        let ([p, q], [r, s]) = (single, double);
        [a + p + 2 * r, b + q + 2 * s]
    }

    /// The largest below a number; 0 if there is none.
    fn largest_below(&self, end: T) -> T {
        let [a, b] = [self.single, self.double].map(|x| simd::dispatch(LargestBelow { x, end }));
        a.largest(b)
    }
}

/// A bit pattern, and how many distances are below it.
#[derive(Clone, Copy)]
struct End {
    bits: u64,
    below: u64,
}

impl End {
    const fn new(bits: u64, below: u64) -> Self {
        Self { bits, below }
    }
}

struct Count<'a, T> {
    x: &'a [T],
    ends: [T; 2],
}

impl<T: Real> Kernel for Count<'_, T> {
    type Output = [u64; 2];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [u64; 2] {
        let zero = T::Lanes::<S>::splat(simd, T::ZERO).to_bits();
        let [a, b] = self
            .ends
            .map(|end| T::Lanes::<S>::splat(simd, end).to_bits());
        let top = 8 * size_of::<T>() as u32 - 1;
        let mut counts = [0; 2];
        // Lanes of 32 bits hold the counts of a stretch.
        for x in self.x.chunks(1 << 24) {
            let (groups, rest) = T::Lanes::<S>::groups(x);
            let (mut below, mut under) = (zero, zero);
            for group in groups {
                // As integers: a smaller one borrows from the bit of the sign, which both have clear.
                let x = T::Lanes::<S>::load(simd, group).to_bits();
                below = below + (x - a).shr(top);
                under = under + (x - b).shr(top);
            }
            for (count, lanes) in counts.iter_mut().zip([below, under]) {
                for lane in T::Lanes::<S>::from_bits(lanes).into_array().as_ref() {
                    *count += lane.to_bits_u64();
                }
            }
            for x in rest {
                for (count, end) in counts.iter_mut().zip(self.ends) {
                    *count += u64::from(*x < end);
                }
            }
        }
        counts
    }
}

/// Writes what is at least the first end and below the second, as far as there is room.
struct Collect<'a, T> {
    x: &'a [T],
    ends: [T; 2],
    out: &'a mut [T],
}

impl<T: Real> Kernel for Collect<'_, T> {
    type Output = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let [low, high] = self.ends.map(|end| T::Lanes::<S>::splat(simd, end));
        let mut found = 0;
        let (groups, rest) = T::Lanes::<S>::groups(self.x);
        for group in groups {
            let x = T::Lanes::<S>::load(simd, group);
            let mut mask = (low.le(x) & x.lt(high)).bits();
            while mask != 0 {
                let i = mask.trailing_zeros() as usize;
                mask &= mask - 1;
                if let (Some(to), Some(&x)) = (self.out.get_mut(found), group.as_ref().get(i)) {
                    *to = x;
                    found += 1;
                }
            }
        }
        for &x in rest {
            let [low, high] = self.ends;
            if let Some(to) = self.out.get_mut(found)
                && low <= x
                && x < high
            {
                *to = x;
                found += 1;
            }
        }
        found
    }
}

struct LargestBelow<'a, T> {
    x: &'a [T],
    end: T,
}

impl<T: Real> Kernel for LargestBelow<'_, T> {
    type Output = T;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> T {
        let (zero, end) = (
            T::Lanes::<S>::splat(simd, T::ZERO),
            T::Lanes::<S>::splat(simd, self.end),
        );
        let (groups, rest) = T::Lanes::<S>::groups(self.x);
        let mut most = zero;
        for group in groups {
            let x = T::Lanes::<S>::load(simd, group);
            most = most.largest(T::Lanes::<S>::select(x.lt(end), x, zero));
        }
        let lanes = most.into_array();
        let rest = rest.iter().filter(|x| **x < self.end);
        rest.chain(lanes.as_ref())
            .fold(T::ZERO, |most, &x| most.largest(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{NoiseStream, Purpose, stream};
    use std::vec;
    use std::vec::Vec;

    /// All ranks of interest, against a sort of the multiset.
    fn is_that_of_a_sort<T: Real>(single: &[T], double: &[T], zeros: u64) {
        let mut all: Vec<T> = vec![T::ZERO; zeros as usize];
        all.extend(single);
        all.extend(double.iter().flat_map(|x| [*x, *x]));
        all.retain(|x| x.is_finite());
        all.sort_by(|a, b| a.partial_cmp(b).unwrap());
        let distances = Distances {
            single,
            double,
            zeros,
        };
        let n = all.len();
        for rank in [1, n / 7, n / 2 - 1, n / 2, n / 2 + 1, n - n / 5, n - 1] {
            let rank = rank.clamp(1, n - 1);
            let expected = (all[rank], all[rank - 1]);
            assert_eq!(distances.select(rank as u64), expected, "{rank} of {n}");
        }
    }

    fn laws<T: Real>(n: usize) -> [Vec<T>; 5] {
        let mut normal = vec![T::ZERO; n];
        NoiseStream::new(&mut stream(5, 0, 0, Purpose::DATA)).fill_normal(&mut normal);
        let of = |f: &dyn Fn(T) -> f64| normal.iter().map(|&x| T::from_f64(f(x))).collect();
        [
            of(&|x| x.to_f64().powi(2)),
            // Heaps, one of them of half.
            of(&|x| (x.to_f64().abs() * 3.0).floor()),
            of(&|x| if x > T::ZERO { 2.5 } else { x.to_f64().abs() }),
            // From the least to the largest exponents.
            of(&|x| libm::exp(x.to_f64() * if T::BYTES == 4 { 20.0 } else { 150.0 })),
            of(&|_| 0.0),
        ]
    }

    fn selection_is_that_of_a_sort<T: Real>() {
        for n in [1, 2, 3, 40, 257, 1000, 40_000] {
            for law in laws::<T>(n) {
                is_that_of_a_sort(&[], &law, 7);
                let (single, double) = law.split_at(n / 3);
                let mut padded = single.to_vec();
                padded.resize(n / 2 + 1, T::INFINITY);
                is_that_of_a_sort(&padded, double, 0);
            }
        }
    }

    #[test]
    fn selected_numbers_are_those_of_a_sort_at_every_level() {
        for _ in crate::testing::levels() {
            selection_is_that_of_a_sort::<f32>();
            selection_is_that_of_a_sort::<f64>();
        }
    }

    #[test]
    fn infinite_distances_are_the_largest() {
        let mut x = vec![f32::INFINITY; 1000];
        x[..400].fill(1.0);
        let all = |double| Distances {
            single: &[],
            double,
            zeros: 10,
        };
        assert_eq!(all(&x).select(1005), (f32::INFINITY, f32::INFINITY));
        assert_eq!(all(&x).select(810), (f32::INFINITY, 1.0));
        assert_eq!(all(&x).select(10), (1.0, 0.0));
        assert_eq!(all(&x).select(5), (0.0, 0.0));
    }
}
