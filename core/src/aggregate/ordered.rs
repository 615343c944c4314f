//! Vectors kept as rows, and the sum of the middle values of each coordinate: what the median and the trimmed mean share.
//!
//! Memory is one row of `d` numbers for the sum, then `n` rows, one a vector. The columns are sorted by Batcher's merge exchange (Knuth,
//! *The Art of Computer Programming* 3, section 5.2.2, Algorithm M). Its comparisons depend on `n` alone, so that each is one operation
//! on two rows, element by element on lanes; at most `n (log2 n)^2 / 4 + O(n log n)` of them. Columns are sorted in blocks, whose rows stay in the
//! cache.
//!
//! NaN counts as the greatest number, and the zeros as equal. The sum begins at +0, so that a zero is +0 whatever the order of the vectors.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "rows and columns below the length of the memory"
)]

use super::{Add, Combined, Pushed, check_total};
use crate::compress::Weight;
use crate::memory::{cut, must};
use crate::real::kernels;
use crate::simd::{self, Lanes, Update};
use crate::vector::Kernels as _;
use crate::{Error, Real};

/// Columns that are sorted at once.
const BLOCK: usize = 512;

/// Numbers of memory for `n` vectors of length `d`.
pub(super) const fn memory_len(n: usize, d: usize) -> usize {
    n.saturating_add(1).saturating_mul(d)
}

/// Keeps one more vector.
pub(super) fn push<T: Real>(pushed: &mut Pushed<'_, T>, add: Add<'_, T>) -> Result<(), Error> {
    let (d, total) = (pushed.d, pushed.total);
    let kept = usize::try_from(total).unwrap_or(usize::MAX);
    let begin = memory_len(kept, d);
    let row = pushed.memory.get_mut(begin..begin.saturating_add(d));
    let row = row.ok_or(Error::Parameter {
        name: "pushed",
        rule: "must be at most as many vectors as the memory is for",
    })?;
    row.fill(-T::ZERO);
    add(Weight::ONE, row)?;
    pushed.total = total.saturating_add(1);
    Ok(())
}

/// Sorts the columns, and adds the values that are left of each when the `trim(n)` least and greatest of its `n` are left out.
pub(super) fn finish<'m, T: Real>(
    pushed: &'m mut Pushed<'_, T>,
    trim: impl Fn(usize) -> usize,
) -> Result<Combined<'m, T>, Error> {
    check_total(pushed.total)?;
    let d = pushed.d;
    let n = usize::try_from(pushed.total).unwrap_or(usize::MAX);
    let ([sum, rows], _) = cut(pushed.memory, [d, n.saturating_mul(d)])?;
    // At least one is left, also where the fraction was rounded up to one half.
    let trim = trim(n).min((n - 1) / 2);
    sum.fill(T::ZERO);
    for begin in (0..d).step_by(BLOCK) {
        let block = begin..d.min(begin + BLOCK);
        merge_exchange(n, |low, high| {
            let (head, tail) = must(rows.split_at_mut_checked(high * d));
            let low = low * d;
            let low = must(head.get_mut(low + block.start..low + block.end));
            T::Kernels::exchange(low, must(tail.get_mut(block.clone())));
        });
        for row in trim..n - trim {
            let row = row * d;
            let row = must(rows.get(row + block.start..row + block.end));
            T::Kernels::axpy(T::ONE, row, must(sum.get_mut(block.clone())));
        }
    }
    Ok(Combined {
        sum,
        divisor: T::from_usize(n - 2 * trim),
    })
}

/// Batcher's network on `n` places: calls `exchange(i, j)`, `i < j`, for each comparison in turn.
fn merge_exchange(n: usize, mut exchange: impl FnMut(usize, usize)) {
    let top = n.next_power_of_two() / 2;
    let mut p = top;
    while p > 0 {
        let (mut q, mut r, mut step) = (top, 0, p);
        loop {
            for i in (0..n.saturating_sub(step)).filter(|i| i & p == r) {
                exchange(i, i + step);
            }
            if q == p {
                break;
            }
            (step, q, r) = (q - p, q / 2, p);
        }
        p /= 2;
    }
}

/// `(low, high) <- (min, max)`.
#[derive(Clone, Copy)]
struct Exchange;
impl<T: Real> Update<T, 2, 0> for Exchange {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [low, high]: [L; 2], _: [L; 0]) -> [L; 2] {
        let swap = high.lt(low) | !low.eq(low);
        [L::select(swap, high, low), L::select(swap, low, high)]
    }
}

kernels! {
    /// A comparison of two rows.
    trait OrderKernels<T> {
        fn exchange(low: &mut [T], high: &mut [T]) {
            simd::update(&Exchange, [low, high], []);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::{Aggregator, Median, TrimmedMean};
    use crate::testing::levels;
    use std::string::ToString;
    use std::vec;
    use std::vec::Vec;

    #[test]
    fn the_network_sorts_every_row_of_zeros_and_ones_and_so_every_row() {
        for n in 1..=13 {
            for bits in 0..1_u32 << n {
                let mut row: Vec<u32> = (0..n).map(|i| bits >> i & 1).collect();
                merge_exchange(n, |i, j| {
                    let (low, high) = (row[i].min(row[j]), row[i].max(row[j]));
                    (row[i], row[j]) = (low, high);
                });
                assert!(row.is_sorted(), "{n}: {bits:b}");
            }
        }
    }

    /// Rows whose columns have equal values and both zeros.
    fn rows(n: usize, d: usize) -> Vec<Vec<f64>> {
        let value = |i: usize, j: usize| ((i * 7919 + j * 104_729) % 23) as f64 - 11.0;
        let signed = |x: f64, i: usize| {
            if x == 0.0 && i.is_multiple_of(2) {
                -x
            } else {
                x
            }
        };
        let row = |i| (0..d).map(|j| signed(value(i, j), i)).collect();
        (0..n).map(row).collect()
    }

    fn combine(rule: &dyn Aggregator<f64>, rows: &[Vec<f64>]) -> Vec<u64> {
        let (n, d) = (rows.len(), rows[0].len());
        let mut memory = vec![0.0; rule.memory_len(n, d)];
        let mut pushed = rule.open(n, d, &mut memory).unwrap();
        for row in rows {
            rule.push_slice(&mut pushed, 1, row).unwrap();
        }
        let mut out = vec![0.0; d];
        rule.finish_into(&mut pushed, &mut out).unwrap();
        out.into_iter().map(f64::to_bits).collect()
    }

    #[test]
    fn every_column_is_that_of_a_plain_sort_at_every_level() {
        for level in levels() {
            for (n, d) in [
                (1, 3),
                (2, 33),
                (5, BLOCK + 1),
                (8, BLOCK),
                (21, 70),
                (40, 7),
            ] {
                let rows = rows(n, d);
                for k in 0..n.div_ceil(2) {
                    let rule = TrimmedMean {
                        fraction: (k as f64 + 0.5) / n as f64,
                    };
                    let plain = (0..d).map(|j| {
                        let mut column: Vec<f64> = rows.iter().map(|row| row[j]).collect();
                        column.sort_by(f64::total_cmp);
                        let kept = &column[k..n - k];
                        let sum = kept.iter().fold(0.0, |sum, x| sum + x);
                        (sum / kept.len() as f64).to_bits()
                    });
                    let plain: Vec<u64> = plain.collect();
                    if (k as f64 + 0.5) < n as f64 / 2.0 {
                        assert_eq!(combine(&rule, &rows), plain, "{level:?}: {n}, {d}, {k}");
                    }
                    if k == (n - 1) / 2 {
                        assert_eq!(combine(&Median, &rows), plain, "{level:?}: {n}, {d}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_the_vectors_changes_no_bit() {
        let mut rows = rows(9, 50);
        for row in &mut rows {
            row.iter_mut().for_each(|x| *x = (*x * 0.1).exp());
        }
        let rule = TrimmedMean { fraction: 0.2 };
        let [median, trimmed] = [combine(&Median, &rows), combine(&rule, &rows)];
        for turn in 1..9 {
            rows.rotate_left(turn);
            assert_eq!(combine(&Median, &rows), median);
            assert_eq!(combine(&rule, &rows), trimmed);
        }
    }

    #[test]
    fn nan_is_refused_and_counts_as_the_greatest_where_it_gets_in() {
        let mut memory = [0.0_f32; 4];
        for places in [
            [f32::NAN, 1.0, 2.0],
            [1.0, f32::NAN, 2.0],
            [1.0, 2.0, f32::NAN],
        ] {
            let mut pushed = Median.open(3, 1, &mut memory).unwrap();
            for x in places {
                assert_eq!(Median.push_slice(&mut pushed, 1, &[x]).is_err(), x.is_nan());
            }
            let mut pushed = Median.open(3, 1, &mut memory).unwrap();
            for x in places {
                let mut add = |_: Weight<f32>, row: &mut [f32]| {
                    row[0] += x;
                    Ok(())
                };
                Median.push(&mut pushed, 1, &mut add).unwrap();
            }
            assert_eq!(Median.finish(&mut pushed).unwrap().sum, [2.0]);
        }
    }

    #[test]
    fn nothing_pushed_too_many_and_memory_of_another_length_are_refused() {
        let mut memory = [0.0_f32; 6];
        assert!(Median.open(1, 2, &mut memory).is_err());
        let mut pushed = Median.open(2, 2, &mut memory).unwrap();
        assert!(Median.finish(&mut pushed).is_err());
        for _ in 0..2 {
            Median.push_slice(&mut pushed, 1, &[1.0, 2.0]).unwrap();
        }
        let refused = Median.push_slice(&mut pushed, 1, &[1.0, 2.0]).unwrap_err();
        let rule = "`pushed` must be at most as many vectors as the memory is for";
        assert_eq!(refused.to_string(), rule);
        assert_eq!(pushed.total, 2);
        pushed.total = 9;
        assert!(Median.finish(&mut pushed).is_err());
        let mut none: [f32; 0] = [];
        let mut pushed = Median.open(1, 0, &mut none).unwrap();
        Median.push_slice(&mut pushed, 1, &[]).unwrap();
        assert!(Median.finish_into(&mut pushed, &mut []).is_ok());
    }
}
