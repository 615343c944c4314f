//! The loops that most kernels share: update in place, map, sum.
//!
//! A kernel supplies a body that is generic over the lanes; the loops of sums run it on whole registers, the last of them
//! padded.
//!
//! Elementwise loops need no padding. What is left at an end is covered by one more register, which overlaps its
//! neighbour: it is read before anything is written and stored last, and what it stores a second time has the same
//! bits, since no element looks at another. A register at the front that overlaps in the same way lets the groups behind it be
//! aligned: large allocations of glibc start 16 bytes past a line, and stores that cross lines are what a short body spends
//! its time on.
//! Only slices shorter than one register run on [`Scalar`](super::Scalar) lanes.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "offsets below the length of a slice; a whole number of registers in a block"
)]
#![allow(
    unsafe_code,
    reason = "one length check at the edge in place of one per group"
)]

use core::array;

use super::{Kernel, LANES, Lanes, Scalar, Simd, dispatch};
use crate::Real;

/// Longest run of elements that [`sum`] reduces in one go; longer inputs are cut at multiples of it.
pub const BLOCK: usize = 1 << 16;

/// Groups per turn of the loop of [`update`]: fewer branches where a body is a few instructions long.
const UNROLL: usize = 2;

/// 32-bit ARM with a unit for `f32`: no lanes, but registers that are worth to be filled. (Where every operation is a call, the loop
/// around it costs nothing.)
const HAS_UNIT: bool = cfg!(target_abi = "eabihf");

/// [`UNROLL`] there, for bodies that leave registers free.
const UNROLL_UNIT: usize = 8;

/// Accumulators of a sum that stay in registers there: it passes over the rows as often as it takes.
const PASS: usize = 8;

/// Groups below which aligning them does not pay for one more.
const ALIGN_FROM: usize = 8;

/// The body of [`update`]: `W` arrays are read and written, `R` only read.
///
/// Bodies are `Copy`: the loop works on a copy of its own, so that the compiler sees that no store changes the scalars
/// and keeps them in registers.
pub trait Update<T: Real, const W: usize, const R: usize>: Copy {
    /// The written arrays after the step.
    fn apply<L: Lanes<Scalar = T>>(&self, written: [L; W], read: [L; R]) -> [L; W];
}

/// The body of [`map`]: `O` arrays are written from `R` that are read.
pub trait Map<T: Real, const R: usize, const O: usize>: Copy {
    /// The outputs.
    fn apply<L: Lanes<Scalar = T>>(&self, read: [L; R]) -> [L; O];
}

/// The body of [`sum`]: `O` terms per element of `R` arrays.
pub trait Sum<T: Real, const R: usize, const O: usize>: Copy {
    /// The terms to be added.
    fn terms<L: Lanes<Scalar = T>>(&self, read: [L; R]) -> [L; O];
}

/// Applies a body to each element of slices of equal length (to the shortest, where they differ).
///
/// One pass: each array is read once and each written array written once.
#[inline]
pub fn update<T: Real, B: Update<T, W, R>, const W: usize, const R: usize>(
    body: &B,
    written: [&mut [T]; W],
    read: [&[T]; R],
) {
    dispatch(UpdateKernel {
        body: *body,
        written,
        read,
    });
}

/// Applies a body to each element of `read` and writes the results to `out` (to the shortest length).
#[inline]
pub fn map<T: Real, B: Map<T, R, O>, const R: usize, const O: usize>(
    body: &B,
    read: [&[T]; R],
    out: [&mut [T]; O],
) {
    dispatch(UpdateKernel {
        body: Overwrite(*body),
        written: out,
        read,
    });
}

/// Adds terms over slices of equal length in the fixed order of the [module](super).
#[inline]
pub fn sum<T: Real, B: Sum<T, R, O>, const R: usize, const O: usize>(
    body: &B,
    read: [&[T]; R],
) -> [T; O] {
    dispatch(SumKernel { body: *body, read })
}

/// An update that does not look at what it overwrites; the loads are dead and vanish.
#[derive(Clone, Copy)]
struct Overwrite<B>(B);

impl<T: Real, B: Map<T, R, O>, const R: usize, const O: usize> Update<T, O, R> for Overwrite<B> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, _: [L; O], read: [L; R]) -> [L; O] {
        self.0.apply(read)
    }
}

struct UpdateKernel<'a, T, B, const W: usize, const R: usize> {
    body: B,
    written: [&'a mut [T]; W],
    read: [&'a [T]; R],
}

impl<T: Real, B: Update<T, W, R>, const W: usize, const R: usize> Kernel
    for UpdateKernel<'_, T, B, W, R>
{
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const { assert!(W > 0, "a length comes from a written array") };
        let n = shortest(
            self.written
                .iter()
                .map(|x| x.len())
                .chain(self.read.iter().map(|x| x.len())),
        );
        let written = self.written.map(<[T]>::as_mut_ptr);
        let read = self.read.map(<[T]>::as_ptr);
        let body = self.body;
        let lanes = T::Lanes::<S>::LEN;
        if n < lanes {
            for i in 0..n {
                // SAFETY: i < n, the shortest length; scalar lanes are one element wide.
                unsafe {
                    let out =
                        apply_at::<T, T::Lanes<Scalar>, B, W, R>(Scalar, &body, written, read, i);
                    store_at(written, i, out);
                }
            }
            return;
        }
        // Macros, not closures: a closure that is not inlined loses the features of the instruction set.
        macro_rules! results {
            ($i:expr) => {
                // SAFETY: each use below keeps i + LEN <= n, the shortest length.
                unsafe { apply_at::<T, T::Lanes<S>, B, W, R>(simd, &body, written, read, $i) }
            };
        }
        macro_rules! write {
            ($i:expr, $out:expr) => {
                // SAFETY: as for `results`; written slices are disjoint.
                unsafe { store_at(written, $i, $out) }
            };
        }
        let start = match written.first() {
            Some(x) if lanes > 1 && n >= ALIGN_FROM * lanes => {
                // Less than LEN in an array of numbers at their natural alignment.
                x.align_offset(lanes * size_of::<T>()) % lanes
            }
            _ => 0,
        };
        let (first, last) = (0, n - lanes);
        let mut before = None;
        if start > 0 {
            before = Some(results!(first));
        }
        let mut after = None;
        if !(n - start).is_multiple_of(lanes) {
            after = Some(results!(last));
        }
        let mut i = start;
        let unroll = if HAS_UNIT && size_of::<T>() == 4 && W + R <= 3 {
            UNROLL_UNIT
        } else {
            UNROLL
        };
        while i + unroll * lanes <= n {
            for u in 0..unroll {
                let out = results!(i + u * lanes);
                write!(i + u * lanes, out);
            }
            i += unroll * lanes;
        }
        while i + lanes <= n {
            let out = results!(i);
            write!(i, out);
            i += lanes;
        }
        if let Some(out) = before {
            write!(first, out);
        }
        if let Some(out) = after {
            write!(last, out);
        }
    }
}

/// The body's results for the group that starts at element `i`.
///
/// # Safety
/// Every pointer is valid for `i + L::LEN` elements.
#[inline(always)]
unsafe fn apply_at<
    T: Real,
    L: Lanes<Scalar = T>,
    B: Update<T, W, R>,
    const W: usize,
    const R: usize,
>(
    simd: L::Simd,
    body: &B,
    written: [*mut T; W],
    read: [*const T; R],
    i: usize,
) -> [L; W] {
    let zero = L::splat(simd, T::ZERO);
    let (mut w, mut r) = ([zero; W], [zero; R]);
    for (w, p) in w.iter_mut().zip(written) {
        // SAFETY: the caller's promise; an `Array` is LEN elements without padding.
        *w = L::load(simd, unsafe { &*p.add(i).cast::<L::Array>() });
    }
    for (r, p) in r.iter_mut().zip(read) {
        // SAFETY: as above.
        *r = L::load(simd, unsafe { &*p.add(i).cast::<L::Array>() });
    }
    body.apply(w, r)
}

/// Writes the group that starts at element `i`.
///
/// # Safety
/// Every pointer is valid for `i + L::LEN` elements, and they do not overlap.
#[inline(always)]
unsafe fn store_at<T: Real, L: Lanes<Scalar = T>, const W: usize>(
    written: [*mut T; W],
    i: usize,
    out: [L; W],
) {
    for (p, x) in written.into_iter().zip(out) {
        // SAFETY: the caller's promise; an `Array` is LEN elements without padding.
        x.store(unsafe { &mut *p.add(i).cast::<L::Array>() });
    }
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
        for first in (0..LANES).step_by(PASS) {
            let rows = (whole - start) / LANES;
            // SAFETY: there is a row, and start + first + (rows - 1) * 32 + PASS <= whole <= end.
            unsafe {
                let read = read.map(|p| p.add(start + first));
                sum_rows::<T, L, B, R, O>(simd, body, read, rows, first, &mut acc);
            }
        }
        i = whole;
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
    if i < end {
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

/// Sums `rows` rows into the accumulators from `first` on: one pass.
///
/// # Safety
/// `L` is one element wide, and every pointer is valid for `PASS` elements in each row.
#[allow(
    clippy::indexing_slicing,
    reason = "an array of PASS elements in a loop up to PASS"
)]
#[inline(never)]
unsafe fn sum_rows<
    T: Real,
    L: Lanes<Scalar = T>,
    B: Sum<T, R, O>,
    const R: usize,
    const O: usize,
>(
    simd: L::Simd,
    body: &B,
    mut read: [*const T; R],
    rows: usize,
    first: usize,
    acc: &mut [L::Block; O],
) {
    let neutral = L::splat(simd, -T::ZERO);
    let mut part = [[neutral; PASS]; O];
    for _ in 0..rows {
        for r in 0..PASS {
            let mut x = [neutral; R];
            for (x, p) in x.iter_mut().zip(read) {
                // SAFETY: the caller's promise; an `Array` is one element without padding.
                *x = L::load(simd, unsafe { &*p.add(r).cast::<L::Array>() });
            }
            for (part, t) in part.iter_mut().zip(body.terms(x)) {
                part[r] = part[r] + t;
            }
        }
        read = read.map(|p| p.wrapping_add(LANES));
    }
    for (part, acc) in part.iter().zip(acc) {
        for (part, a) in part.iter().zip(acc.as_mut().iter_mut().skip(first)) {
            *a = *part;
        }
    }
}

#[inline(always)]
fn shortest(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.fold(usize::MAX, usize::min)
}
