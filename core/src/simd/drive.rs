//! The loops that most kernels share: update in place, map, sum.
//!
//! A kernel supplies a body that is generic over the lanes; the loops of sums run it on whole registers, the last row of them padded
//! where a register holds several elements.
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

use core::marker::PhantomData;
use core::{array, ptr};

use super::{Kernel, LANES, Lanes, Mask, Scalar, Simd, dispatch};
use crate::Real;

/// Longest run of elements that [`sum`] reduces in one go; longer inputs are cut at multiples of it.
pub const BLOCK: usize = 1 << 16;

/// Groups per turn of the loop of [`update`]: fewer branches where a body is a few instructions long.
const UNROLL: usize = 2;

/// [`UNROLL`] for bodies of three arrays at most that have nothing unusual to look for.
const UNROLL_SHORT: usize = 4;

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
///
/// A body that has to look out for rare numbers can leave that to the loop: [`usual`](Update::usual) does without, and
/// [`unusual`](Update::unusual) finds the lanes where that was wrong. The loop asks once for all groups of a turn, before it stores
/// any of them, and comes back with [`apply`](Update::apply).
pub trait Update<T: Real, const W: usize, const R: usize>: Copy {
    /// The loop is to work with [`usual`](Update::usual) and [`unusual`](Update::unusual).
    const HAS_UNUSUAL: bool = false;

    /// The written arrays after the step.
    fn apply<L: Lanes<Scalar = T>>(&self, written: [L; W], read: [L; R]) -> [L; W];

    /// The bits of [`apply`](Update::apply) in every lane that [`unusual`](Update::unusual) does not mark.
    #[inline(always)]
    fn usual<L: Lanes<Scalar = T>>(&self, written: [L; W], read: [L; R]) -> [L; W] {
        self.apply(written, read)
    }

    /// Lanes of [`usual`](Update::usual) results that may differ from those of [`apply`](Update::apply).
    #[inline(always)]
    fn unusual<L: Lanes<Scalar = T>>(&self, usual: [L; W]) -> Option<L::Mask> {
        let _ = usual;
        None
    }
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
///
/// Inlined on x86-64, where kernels are not: a body that is passed on by reference is copied from where its scalars were just
/// stored one by one, and a load that spans several stores waits for all of them, 6 ns.
#[cfg_attr(target_arch = "x86_64", inline(always))]
#[cfg_attr(not(target_arch = "x86_64"), inline)]
pub fn update<T: Real, B: Update<T, W, R>, const W: usize, const R: usize>(
    body: &B,
    mut written: [&mut [T]; W],
    read: [&[T]; R],
) {
    dispatch(UpdateKernel::new(*body, &mut written, &read));
}

/// Applies a body to each element of `read` and writes the results to `out` (to the shortest length).
#[cfg_attr(target_arch = "x86_64", inline(always))]
#[cfg_attr(not(target_arch = "x86_64"), inline)]
pub fn map<T: Real, B: Map<T, R, O>, const R: usize, const O: usize>(
    body: &B,
    read: [&[T]; R],
    mut out: [&mut [T]; O],
) {
    dispatch(UpdateKernel::new(Overwrite(*body), &mut out, &read));
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

/// Pointers to the arrays of an update, all valid for `n` elements while the slices that they come from are borrowed.
struct UpdateKernel<'a, T, B, const W: usize, const R: usize> {
    body: B,
    written: [*mut T; W],
    read: [*const T; R],
    n: usize,
    slices: PhantomData<&'a mut [T]>,
}

impl<'a, T: Real, B: Update<T, W, R>, const W: usize, const R: usize> UpdateKernel<'a, T, B, W, R> {
    #[allow(
        clippy::indexing_slicing,
        reason = "arrays of W and R in loops up to W and R"
    )]
    #[inline(always)]
    fn new(body: B, written: &'a mut [&mut [T]; W], read: &'a [&[T]; R]) -> Self {
        const { assert!(W > 0, "a length comes from a written array") };
        let mut kernel = Self {
            body,
            written: [ptr::null_mut(); W],
            read: [ptr::null(); R],
            n: usize::MAX,
            slices: PhantomData,
        };
        for k in 0..W {
            kernel.n = kernel.n.min(written[k].len());
            kernel.written[k] = written[k].as_mut_ptr();
        }
        for k in 0..R {
            kernel.n = kernel.n.min(read[k].len());
            kernel.read[k] = read[k].as_ptr();
        }
        kernel
    }
}

impl<T: Real, B: Update<T, W, R>, const W: usize, const R: usize> Kernel
    for UpdateKernel<'_, T, B, W, R>
{
    type Output = ();

    #[allow(
        clippy::indexing_slicing,
        reason = "an array of UNROLL in loops up to UNROLL"
    )]
    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self {
            body,
            written,
            read,
            n,
            ..
        } = self;
        let lanes = T::Lanes::<S>::LEN;
        if n < lanes {
            for i in 0..n {
                // SAFETY: i < n, the shortest length; scalar lanes are one element wide.
                unsafe {
                    let (w, r) = load_at::<T, T::Lanes<Scalar>, W, R>(Scalar, written, read, i);
                    store_at(written, i, body.apply(w, r));
                }
            }
            return;
        }
        // Macros, not closures: a closure that is not inlined loses the features of the instruction set.
        macro_rules! load {
            ($i:expr) => {
                // SAFETY: each use below keeps i + LEN <= n, the shortest length.
                unsafe { load_at::<T, T::Lanes<S>, W, R>(simd, written, read, $i) }
            };
        }
        macro_rules! apply {
            ($i:expr) => {{
                let (w, r) = load!($i);
                let out = body.usual(w, r);
                match body.unusual(out) {
                    Some(found) if found.any() => body.apply(w, r),
                    _ => out,
                }
            }};
        }
        macro_rules! write {
            ($i:expr, $out:expr) => {
                // SAFETY: as for `load`; written slices are disjoint.
                unsafe { store_at(written, $i, $out) }
            };
        }
        let start = match written.first() {
            Some(x) if lanes > 1 && n >= ALIGN_FROM * lanes => {
                // Less than LEN in an array of numbers at their natural alignment.
                (x.addr().wrapping_neg() / size_of::<T>()) % lanes
            }
            _ => 0,
        };
        let (first, last) = (0, n - lanes);
        let mut before = None;
        if start > 0 {
            before = Some(apply!(first));
        }
        let mut after = None;
        if !(n - start).is_multiple_of(lanes) {
            after = Some(apply!(last));
        }
        let mut i = start;
        let unroll = if HAS_UNIT && size_of::<T>() == 4 && W + R <= 3 {
            UNROLL_UNIT
        } else if W + R <= 3 {
            UNROLL_SHORT
        } else {
            UNROLL
        };
        // One element a register: the check of each costs less than a second path.
        if const { B::HAS_UNUSUAL } && lanes > 1 {
            while i + UNROLL * lanes <= n {
                let mut outs = [[T::Lanes::<S>::splat(simd, T::ZERO); W]; UNROLL];
                let mut found = None;
                for u in 0..UNROLL {
                    let (w, r) = load!(i + u * lanes);
                    outs[u] = body.usual(w, r);
                    found = match (found, body.unusual(outs[u])) {
                        (Some(a), Some(b)) => Some(a | b),
                        (a, None) => a,
                        (None, b) => b,
                    };
                }
                if let Some(found) = found
                    && found.any()
                {
                    for u in 0..UNROLL {
                        let (w, r) = load!(i + u * lanes);
                        write!(i + u * lanes, body.apply(w, r));
                    }
                } else {
                    for u in 0..UNROLL {
                        write!(i + u * lanes, outs[u]);
                    }
                }
                i += UNROLL * lanes;
            }
        } else {
            while i + unroll * lanes <= n {
                for u in 0..unroll {
                    let out = apply!(i + u * lanes);
                    write!(i + u * lanes, out);
                }
                i += unroll * lanes;
            }
        }
        while i + lanes <= n {
            let out = apply!(i);
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

/// The group that starts at element `i`.
///
/// Counted loops: adapters of iterators are calls in the middle of the kernel where a crate is built in several units without link-time
/// optimisation.
///
/// # Safety
/// Every pointer is valid for `i + L::LEN` elements.
#[allow(
    clippy::indexing_slicing,
    reason = "arrays of W and R in loops up to W and R"
)]
#[inline(always)]
unsafe fn load_at<T: Real, L: Lanes<Scalar = T>, const W: usize, const R: usize>(
    simd: L::Simd,
    written: [*mut T; W],
    read: [*const T; R],
    i: usize,
) -> ([L; W], [L; R]) {
    let zero = L::splat(simd, T::ZERO);
    let (mut w, mut r) = ([zero; W], [zero; R]);
    for k in 0..W {
        // SAFETY: the caller's promise; an `Array` is LEN elements without padding.
        w[k] = L::load(simd, unsafe { &*written[k].add(i).cast::<L::Array>() });
    }
    for k in 0..R {
        // SAFETY: as above.
        r[k] = L::load(simd, unsafe { &*read[k].add(i).cast::<L::Array>() });
    }
    (w, r)
}

/// Writes the group that starts at element `i`.
///
/// # Safety
/// Every pointer is valid for `i + L::LEN` elements, and they do not overlap.
#[allow(clippy::indexing_slicing, reason = "arrays of W in a loop up to W")]
#[inline(always)]
unsafe fn store_at<T: Real, L: Lanes<Scalar = T>, const W: usize>(
    written: [*mut T; W],
    i: usize,
    out: [L; W],
) {
    for k in 0..W {
        // SAFETY: the caller's promise; an `Array` is LEN elements without padding.
        out[k].store(unsafe { &mut *written[k].add(i).cast::<L::Array>() });
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
