//! Distances between the rows of a cloud, a block of rows at a time: by way of their Gram matrix, or by differences.
//!
//! A distance of the Gram matrix carries an error of `2 m u (|y_i|^2 + |y_j|^2)`. Next to a scale (a bandwidth, a median) it is small
//! while the squared norms are at most [`REACH`] times that scale, which clouds of one piece satisfy with room. A row that is
//! further out (one lost particle, two far clusters) would drown the distances within a group: [`resolving`] then takes the rows as they are, not
//! centred, and squared differences are summed. Only values decide, so the bits are those of any level and any cut into blocks.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use core::ops::Range;

use super::differences::{AddSquare, transpose};
use super::panels::{Distances, Layout, Term};
use super::profile::{DISTANCE, FromDistance, FromGram, IMQ, IMQ_SLOPE, Profile, RBF};
use crate::matrix::{MatrixMut, MatrixRef, Product, gemm, gemm_scratch};
use crate::memory::InRows;
use crate::memory::must;
use crate::simd;
use crate::{Arithmetic, Error, Real};

/// Most rows of distances that are kept at a time: a multiple of every tile but AVX-512's.
const HEIGHT: usize = 144;

/// Squared norms in units of a scale up to which the Gram matrix resolves that scale: its error is then at most `2^10 m u` of it.
///
/// Normal draws reach about `ln(n) (d + 2 ln n) / d` bandwidths of the median rule: 90 for ten thousand in two dimensions.
const REACH: usize = 256;

/// Error for a scratch that an arithmetic slip has cut too short; lengths are checked before.
pub(super) const SHORT: Error = Error::Parameter {
    name: "scratch",
    rule: "must have the stated length",
};

/// Coordinates, and how their distances are taken.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a, T> {
    pub(crate) y: MatrixRef<'a, T>,
    pub(super) norms: &'a [T],
    pub(super) arithmetic: Arithmetic,
    /// By differences: `y` is as it came and transposed; else it is centred and the Gram matrix is used.
    pub(crate) is_explicit: bool,
}

/// Rows that resolve squared distances of the size `scale`: centred if they do so by the Gram matrix, else transposed.
pub(crate) fn resolving<'a, T: Real>(
    arithmetic: Arithmetic,
    m: usize,
    y: &[T],
    buffer: &'a mut [T],
    norms: &'a mut [T],
    scale: T,
) -> Result<Rows<'a, T>, Error> {
    centre(m, y, buffer, norms);
    resolving_centred(arithmetic, m, y, buffer, norms, scale)
}

/// [`resolving`] where `buffer` and `norms` hold the centred rows and their norms already.
pub(super) fn resolving_centred<'a, T: Real>(
    arithmetic: Arithmetic,
    m: usize,
    y: &[T],
    buffer: &'a mut [T],
    norms: &'a mut [T],
    scale: T,
) -> Result<Rows<'a, T>, Error> {
    if centred(arithmetic, m, buffer, norms)?.resolves(scale) {
        return centred(arithmetic, m, buffer, norms);
    }
    let n = norms.len();
    transpose(n, m, y, buffer);
    Ok(Rows {
        y: MatrixRef::new(buffer, m, n)?,
        is_explicit: true,
        norms,
        arithmetic,
    })
}

/// Writes `y` less its column means, and its squared norms.
fn centre<T: Real>(m: usize, y: &[T], buffer: &mut [T], norms: &mut [T]) {
    subtract_mean(m, y, buffer);
    squared_norms(m, buffer, norms);
}

/// Squared norms of rows, each a chain from the first element on: four of them side by side, since one waits for itself.
fn squared_norms<T: Real>(m: usize, y: &[T], norms: &mut [T]) {
    let mut rows = y.in_rows(m);
    let (fours, rest) = norms.as_chunks_mut::<4>();
    for norms in fours {
        let [a, b, c, d] = [(); 4].map(|()| must(rows.next()));
        let mut sums = [T::ZERO; 4];
        for (((&a, &b), &c), &d) in a.iter().zip(b).zip(c).zip(d) {
            for (sum, x) in sums.iter_mut().zip([a, b, c, d]) {
                *sum += x * x;
            }
        }
        *norms = sums;
    }
    for (norm, row) in rest.iter_mut().zip(rows) {
        *norm = row.iter().fold(T::ZERO, |sum, &x| sum + x * x);
    }
}

fn centred<'a, T>(
    arithmetic: Arithmetic,
    m: usize,
    y: &'a [T],
    norms: &'a [T],
) -> Result<Rows<'a, T>, Error> {
    Ok(Rows {
        y: MatrixRef::new(y, norms.len(), m)?,
        norms,
        arithmetic,
        is_explicit: false,
    })
}

/// `out <- x` less its column means.
pub(super) fn subtract_mean<T: Real>(d: usize, x: &[T], out: &mut [T]) {
    // The first row of the result is the mean while it is needed; a cloud without rows has none.
    let Some((mean, rest)) = out.split_at_mut_checked(d) else {
        return;
    };
    let d = d.max(1);
    mean.fill(T::ZERO);
    for row in x.in_rows(d) {
        for (mean, &x) in mean.iter_mut().zip(row) {
            *mean += x;
        }
    }
    // There is a first row, so the divisor is at least 1.
    let n = T::from_usize(must(x.len().checked_div(d)));
    for mean in mean.iter_mut() {
        *mean /= n;
    }
    for (out, row) in rest.in_rows_mut(d).zip(x.in_rows(d).skip(1)) {
        for ((out, &x), &mean) in out.iter_mut().zip(row).zip(&*mean) {
            *out = x - mean;
        }
    }
    for (mean, &x) in mean.iter_mut().zip(x) {
        *mean = x - *mean;
    }
}

impl<T: Real> Rows<'_, T> {
    pub(crate) const fn n(&self) -> usize {
        self.norms.len()
    }

    /// The Gram matrix resolves squared distances of the size `scale`, or differences are taken anyway.
    pub(crate) fn resolves(&self, scale: T) -> bool {
        // Norms that overflow are not a number when the mean overflows too.
        let reach = self.norms.iter().fold(T::ZERO, |most, &norm| {
            if norm.is_nan() {
                T::INFINITY
            } else {
                most.largest(norm)
            }
        });
        // Four norms make a distance; there is room for the rounding of their sum.
        self.is_explicit
            || reach / T::from_usize(REACH) <= scale && reach <= T::MAX / T::from_usize(8)
    }

    /// Rows of a block, and whether the products have room to pack.
    fn height(&self, packed: usize, scratch: usize) -> usize {
        let n = self.n().max(1);
        if scratch >= packed {
            HEIGHT.min(n)
        } else {
            must(scratch.checked_div(n)).clamp(1, HEIGHT)
        }
    }

    /// Profile of the distances of the rows `range` to the rows before `columns`.
    fn block<const PROFILE: u8>(
        &self,
        scale: T,
        range: Range<usize>,
        columns: usize,
        block: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let (m, height) = (self.y.columns(), range.len());
        let mut view = MatrixMut::new(block, height, columns)?;
        if self.is_explicit {
            for (i, out) in range.zip(view.row_iter_mut()) {
                out.fill(T::ZERO);
                for y in self.y.row_iter() {
                    let at = must(y.get(i).copied());
                    simd::update(&AddSquare(at), [&mut *out], [y]);
                }
                // Equal rows, the diagonal among them, are at distance 0.
                simd::update(&FromDistance::<T, PROFILE>(scale), [out], []);
            }
            return Ok(());
        }
        let sources = self.y.block(0..columns, 0..m)?;
        let targets = self.y.block(range.clone(), 0..m)?;
        let minus_two = -(T::ONE + T::ONE);
        let view_of = view.reborrow();
        gemm(
            Product {
                arithmetic: self.arithmetic,
                alpha: minus_two,
                ..Product::PLAIN
            },
            targets,
            sources.t(),
            view_of,
            scratch,
        )?;
        let norms = must(self.norms.get(range.clone()));
        for ((i, out), &norm) in range.zip(view.row_iter_mut()).zip(norms) {
            let body = FromGram::<T, PROFILE> { norm, scale };
            simd::update(&body, [&mut *out], [self.norms]);
            if let Some(diagonal) = out.get_mut(i) {
                *diagonal = if PROFILE == DISTANCE { T::ZERO } else { T::ONE };
            }
        }
        Ok(())
    }

    /// Writes all squared distances of centred rows, for a median and for the sums after it.
    ///
    /// [`kept_len`](super::panels::kept_len) elements of room and [`distances_len`](super::panels::distances_len) of scratch.
    pub(crate) fn keep_distances(&self, kept: &mut [T], scratch: &mut [T]) -> Layout {
        let rows = *self;
        match self.arithmetic {
            Arithmetic::Portable => simd::dispatch(Distances::<T, false> {
                rows,
                kept,
                scratch,
            }),
            Arithmetic::Fast => simd::dispatch(Distances::<T, true> {
                rows,
                kept,
                scratch,
            }),
        }
    }

    /// Calls `visit` with the squared distances of each row to the rows before it, in order.
    pub(crate) fn distances(
        &self,
        mut visit: impl FnMut(&[T]),
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let n = self.n();
        let packed = distances_scratch_len(n, self.y.columns());
        let height = self.height(packed, scratch.len());
        let mut start = 0;
        while start < n {
            let end = n.min(start + height);
            let (block, rest) = scratch
                .split_at_mut_checked((end - start) * end)
                .ok_or(SHORT)?;
            self.block::<DISTANCE>(T::ONE, start..end, end, block, rest)?;
            for (i, row) in (start..end).zip(block.in_rows(end)) {
                visit(must(row.get(..i)));
            }
            start = end;
        }
        Ok(())
    }

    /// The Gaussian kernel between one row and all.
    pub(crate) fn kernel_row(
        &self,
        h: T,
        i: usize,
        row: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        self.block::<RBF>(Profile::Rbf.scale(h), i..i + 1, self.n(), row, scratch)
    }

    /// The multiquadric kernel between one row and all, by differences.
    pub(super) fn imq_row(&self, h: T, i: usize, row: &mut [T]) -> Result<(), Error> {
        self.block::<IMQ>(Profile::Imq.scale(h), i..i + 1, self.n(), row, &mut [])
    }

    /// The slope of the multiquadric kernel between one row and all, by differences.
    pub(super) fn slope_row(&self, h: T, i: usize, row: &mut [T]) -> Result<(), Error> {
        let scale = Profile::ImqSlope.scale(h);
        self.block::<IMQ_SLOPE>(scale, i..i + 1, self.n(), row, &mut [])
    }

    /// A term of the rows `range`, one after another; `row` has room for the kernel values of one.
    pub(super) fn add_rows(
        &self,
        term: Term<'_, T>,
        range: Range<usize>,
        mut out: MatrixMut<'_, T>,
        row: &mut [T],
    ) -> Result<(), Error> {
        let Term {
            profile,
            h,
            w,
            is_added,
        } = term;
        let beta = if is_added { T::ONE } else { T::ZERO };
        let (n, q) = (self.n(), w.columns());
        let row = row.get_mut(..n).ok_or(SHORT)?;
        for (at, i) in range.enumerate() {
            let (scale, one) = (profile.scale(h), i..i + 1);
            match profile {
                Profile::Rbf => self.block::<RBF>(scale, one, n, row, &mut []),
                Profile::Imq => self.block::<IMQ>(scale, one, n, row, &mut []),
                Profile::ImqSlope => self.block::<IMQ_SLOPE>(scale, one, n, row, &mut []),
            }?;
            let k = MatrixRef::new(row, 1, n)?;
            let out = out.block_mut(at..at + 1, 0..q)?;
            gemm(
                Product {
                    arithmetic: self.arithmetic,
                    beta,
                    ..Product::PLAIN
                },
                k,
                w,
                out,
                &mut [],
            )?;
        }
        Ok(())
    }
}

/// Elements of scratch of [`Rows::distances`] at full speed.
pub(crate) const fn distances_scratch_len(n: usize, m: usize) -> usize {
    let height = if n < HEIGHT { n } else { HEIGHT };
    height
        .saturating_mul(n)
        .saturating_add(gemm_scratch(height, n, m))
}
