//! The loops that most kernels share: update in place, map, sum.
//!
//! A kernel supplies a body that is generic over the lanes. [`sum()`] runs it on whole registers, the last row of them padded where a
//! register holds several elements.
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

pub use self::sum::{BLOCK, Sum, sum};

use core::marker::PhantomData;
use core::ptr;

use super::{Kernel, Lanes, Mask, Scalar, Simd, dispatch};
use crate::Real;

mod sum;

/// Groups per turn of the loop of [`update`]: fewer branches where a body is a few instructions long.
const UNROLL: usize = 2;

/// [`UNROLL`] for bodies of three arrays at most that have nothing unusual to look for.
const UNROLL_SHORT: usize = 4;

/// A microcontroller on which every operation is a call: the loop around it costs next to nothing, a second form of it costs flash.
pub(crate) const SOFT_FLOAT: bool = cfg!(all(
    target_os = "none",
    target_pointer_width = "32",
    not(target_abi = "eabihf"),
    not(target_feature = "f")
));

/// No operating system: the stack has kilobytes.
pub(crate) const BARE_METAL: bool = cfg!(target_os = "none");

/// 32-bit ARM with a unit for `f32`: no SIMD, but enough registers to make unrolling pay.
const HAS_UNIT: bool = cfg!(target_abi = "eabihf");

/// [`UNROLL`] there, for bodies that leave registers free.
const UNROLL_UNIT: usize = 8;

/// Groups below which aligning them does not pay for one more.
const ALIGN_FROM: usize = 8;

/// The body of [`update`]: `W` arrays are read and written, `R` only read.
///
/// Bodies are `Copy`: the loop works on a copy, so that the compiler sees that no store changes the scalars
/// and keeps them in registers.
///
/// A body that must treat rare numbers apart can leave that to the loop: [`usual`](Update::usual) does without, and
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

/// An update that ignores the old values; the compiler removes the dead loads.
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
        } else if !SOFT_FLOAT {
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
