//! Sums in the fixed order of the [module](crate::simd): 32 logical lanes, then a halving tree.

use core::array;

use super::HAS_UNIT;
use crate::Real;
use crate::simd::{Kernel, LANES, Lanes, Simd, dispatch};

/// Longest run of elements that [`sum`] reduces in one go; longer inputs are cut at multiples of it.
pub const BLOCK: usize = 1 << 16;

/// Accumulators of a sum that stay in registers there: it passes over the rows as often as it takes.
const PASS: usize = 8;

/// The body of [`sum`]: `O` terms per element of `R` arrays.
pub trait Sum<T: Real, const R: usize, const O: usize>: Copy {
    /// The terms to be added.
    fn terms<L: Lanes<Scalar = T>>(&self, read: [L; R]) -> [L; O];
}

/// Adds terms over slices of equal length in the fixed order of the [module](crate::simd).
#[inline]
pub fn sum<T: Real, B: Sum<T, R, O>, const R: usize, const O: usize>(
    body: &B,
    read: [&[T]; R],
) -> [T; O] {
    dispatch(SumKernel { body: *body, read })
}

struct SumKernel<'a, T, B, const R: usize, const O: usize> {
    body: B,
    read: [&'a [T]; R],
}

impl<T: Real, B: Sum<T, R, O>, const R: usize, const O: usize> Kernel
    for SumKernel<'_, T, B, R, O>
{
    type Output = [T; O];

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> [T; O] {
        const { assert!(R > 0, "a length comes from a read array") };
        let n = shortest(self.read.iter().map(|x| x.len()));
        let read = self.read.map(<[T]>::as_ptr);
        let mut total = [-T::ZERO; O];
        let mut start = 0;
        while start < n {
            let end = n.min(start + BLOCK);
            // SAFETY: end <= n, the shortest length.
            let part =
                unsafe { sum_block::<T, T::Lanes<S>, B, R, O>(simd, &self.body, read, start, end) };
            for (t, p) in total.iter_mut().zip(part) {
                *t += p;
            }
            start = end;
        }
        total
    }
}

/// Sums the terms of the elements from `start` to `end`.
///
/// # Safety
/// Every pointer is valid for `end` elements.
#[allow(
    clippy::indexing_slicing,
    reason = "a block is LANES / LEN registers in loops up to that number; arrays of R rows in from_fn"
)]
#[inline(always)]
unsafe fn sum_block<
    T: Real,
    L: Lanes<Scalar = T>,
    B: Sum<T, R, O>,
    const R: usize,
    const O: usize,
>(
    simd: L::Simd,
    body: &B,
    read: [*const T; R],
    start: usize,
    end: usize,
) -> [T; O] {
    let neutral = L::splat(simd, -T::ZERO);
    let mut acc = [neutral.block(); O];
    let whole = end - (end - start) % LANES;
    let mut i = start;
    if HAS_UNIT && size_of::<T>() == 4 && L::LEN == 1 && start < whole {
        // SAFETY: the caller's promise.
        return unsafe { sum_in_passes::<T, L, B, R, O>(simd, body, read, start, end) };
    }
    while i < whole {
        for r in 0..LANES / L::LEN {
            let at = i + r * L::LEN;
            let mut x = [neutral; R];
            for (x, p) in x.iter_mut().zip(read) {
                // SAFETY: at + LEN <= i + 32 <= end; an `Array` is LEN elements without padding.
                *x = L::load(simd, unsafe { &*p.add(at).cast::<L::Array>() });
            }
            for (a, t) in acc.iter_mut().zip(body.terms(x)) {
                let a = &mut a.as_mut()[r];
                *a = *a + t;
            }
        }
        i += LANES;
    }
    if i < end && L::LEN == 1 {
        for (r, at) in (0..LANES).zip(i..end) {
            let mut x = [neutral; R];
            for (x, p) in x.iter_mut().zip(read) {
                // SAFETY: at < end; an `Array` is one element without padding.
                *x = L::load(simd, unsafe { &*p.add(at).cast::<L::Array>() });
            }
            for (a, t) in acc.iter_mut().zip(body.terms(x)) {
                let a = &mut a.as_mut()[r];
                *a = *a + t;
            }
        }
    } else if i < end {
        // The last, partial row of lanes: pad, compute, and let the padding add -0.0.
        let padded: [[T; LANES]; R] = read.map(|p| {
            let mut row = [T::ZERO; LANES];
            // SAFETY: elements i..end are readable.
            let tail = unsafe { core::slice::from_raw_parts(p.add(i), end - i) };
            for (a, b) in row.iter_mut().zip(tail) {
                *a = *b;
            }
            row
        });
        let place: [T; LANES] = array::from_fn(T::from_usize);
        let count = L::splat(simd, T::from_usize(end - i));
        for r in 0..LANES / L::LEN {
            let group = |row: &[T; LANES]| {
                // SAFETY: r * LEN + LEN <= 32.
                L::load(simd, unsafe {
                    &*row.as_ptr().add(r * L::LEN).cast::<L::Array>()
                })
            };
            let fed = group(&place).lt(count);
            let x = array::from_fn(|j| group(&padded[j]));
            for (a, t) in acc.iter_mut().zip(body.terms(x)) {
                let a = &mut a.as_mut()[r];
                *a = *a + L::select(fed, t, neutral);
            }
        }
    }
    // Loops, not closures: a closure that is not inlined loses the features of the instruction set.
    let mut sums = [-T::ZERO; O];
    for (sum, block) in sums.iter_mut().zip(&mut acc) {
        let lanes = block.as_mut();
        let mut half = LANES / L::LEN / 2;
        if L::LEN == 1 && end - start < LANES {
            // Lanes without an element hold the neutral number: a sum with it costs a call where floating point is soft.
            let mut filled = end - start;
            while let Some((low, high)) = lanes.split_at_mut_checked(half).filter(|_| half > 0) {
                let high = high.iter().take(filled.saturating_sub(half));
                for (low, high) in low.iter_mut().zip(high) {
                    *low = *low + *high;
                }
                filled = filled.min(half);
                half /= 2;
            }
        }
        while half > 0 {
            for r in 0..half {
                lanes[r] = lanes[r] + lanes[r + half];
            }
            half /= 2;
        }
        *sum = lanes[0].halving_sum();
    }
    sums
}

/// [`sum_block`] for one element a register, with a whole row or more: the lanes in passes of as many as stay in registers.
///
/// # Safety
/// As [`sum_block`]; `L` is one element wide, and 32 elements or more are summed.
#[allow(
    clippy::indexing_slicing,
    reason = "arrays of PASS elements in loops up to PASS, of O in loops up to O"
)]
#[inline(always)]
unsafe fn sum_in_passes<
    T: Real,
    L: Lanes<Scalar = T>,
    B: Sum<T, R, O>,
    const R: usize,
    const O: usize,
>(
    simd: L::Simd,
    body: &B,
    read: [*const T; R],
    start: usize,
    end: usize,
) -> [T; O] {
    const { assert!(LANES == 4 * PASS && PASS == 8) };
    let read = read.map(|p| p.wrapping_add(start));
    macro_rules! pass {
        ($first:expr) => {
            // SAFETY: the caller's promise, from `start` on.
            unsafe { sum_pass::<T, L, B, R, O>(simd, body, read, end - start, $first) }
        };
    }
    // The tree: lane r takes lane r + 16, then r + 8. As few passes as can be are alive at a time.
    let mut total = pass!(0);
    add_pass(&mut total, &pass!(2 * PASS));
    let mut other = pass!(PASS);
    add_pass(&mut other, &pass!(3 * PASS));
    add_pass(&mut total, &other);
    let mut sums = [-T::ZERO; O];
    for o in 0..O {
        let [a, b, c, d, e, f, g, h] = total[o];
        let (a, b, c, d) = (a + e, b + f, c + g, d + h);
        sums[o] = ((a + c) + (b + d)).halving_sum();
    }
    sums
}

#[allow(
    clippy::indexing_slicing,
    reason = "arrays of PASS elements in loops up to PASS, of O in loops up to O"
)]
#[inline(always)]
fn add_pass<L: Lanes, const O: usize>(total: &mut [[L; PASS]; O], other: &[[L; PASS]; O]) {
    for o in 0..O {
        for r in 0..PASS {
            total[o][r] = total[o][r] + other[o][r];
        }
    }
}

/// The lanes from `first` on of the sum of `n` elements: one pass.
///
/// # Safety
/// `L` is one element wide, and every pointer is valid for `n` elements.
#[allow(
    clippy::indexing_slicing,
    reason = "an array of PASS elements in a loop up to PASS"
)]
#[inline(always)]
unsafe fn sum_pass<
    T: Real,
    L: Lanes<Scalar = T>,
    B: Sum<T, R, O>,
    const R: usize,
    const O: usize,
>(
    simd: L::Simd,
    body: &B,
    read: [*const T; R],
    n: usize,
    first: usize,
) -> [[L; PASS]; O] {
    let neutral = L::splat(simd, -T::ZERO);
    let mut part = [[neutral; PASS]; O];
    let mut read = read.map(|p| p.wrapping_add(first));
    macro_rules! add {
        ($at:expr, $r:expr) => {
            let mut x = [neutral; R];
            for (x, p) in x.iter_mut().zip(read) {
                // SAFETY: each use below stays below n; an `Array` is one element without padding.
                *x = L::load(simd, unsafe { &*p.add($at).cast::<L::Array>() });
            }
            for (part, t) in part.iter_mut().zip(body.terms(x)) {
                part[$r] = part[$r] + t;
            }
        };
    }
    let rows = n / LANES;
    // Two rows a turn: a row is 16 instructions, and its loop 3.
    for _ in 0..rows / 2 {
        for r in 0..PASS {
            add!(r, r);
        }
        for r in 0..PASS {
            add!(LANES + r, r);
        }
        read = read.map(|p| p.wrapping_add(2 * LANES));
    }
    if !rows.is_multiple_of(2) {
        for r in 0..PASS {
            add!(r, r);
        }
        read = read.map(|p| p.wrapping_add(LANES));
    }
    let rest = n % LANES;
    if first < rest {
        for r in 0..PASS {
            if first + r < rest {
                add!(r, r);
            }
        }
    }
    part
}

#[inline(always)]
fn shortest(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.fold(usize::MAX, usize::min)
}
