//! Copies of blocks, in the order in which tiles read them.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use core::ops::Range;

use crate::Real;
use crate::matrix::{Factor, MatrixRef};
use crate::memory::must;

/// Elements taken from a row before it is the next one's turn: a cache line of `f32`. The rows' lines are then on their way
/// together.
const RUN: usize = 16;

/// Copies some rows and columns of a factor into panels of `width` rows.
///
/// In a panel, the `width` elements of one column follow each other; missing rows are zeros.
#[inline(always)]
pub(crate) fn pack<T: Real>(
    source: Factor<'_, T>,
    width: usize,
    rows: Range<usize>,
    columns: Range<usize>,
    out: &mut [T],
) {
    let (i0, count, k0, depth) = (rows.start, rows.len(), columns.start, columns.len());
    let panels = (0..count).step_by(width);
    // Without columns there is nothing to copy; said so that no check of a chunk's length remains.
    let depth = depth.max(1);
    match source {
        Factor::Plain(m) => {
            for (at, panel) in panels.zip(out.chunks_exact_mut((width * depth).max(1))) {
                let blocks = panel.chunks_mut(width * RUN);
                for (p, block) in (0..depth).step_by(RUN).zip(blocks) {
                    for r in 0..width {
                        let row = if at + r < count {
                            segment(m, i0 + at + r, k0 + p, RUN.min(depth - p))
                        } else {
                            &[]
                        };
                        let to = block.chunks_exact_mut(width).filter_map(|x| x.get_mut(r));
                        if row.is_empty() {
                            to.for_each(|x| *x = T::ZERO);
                        } else {
                            to.zip(row).for_each(|(x, y)| *x = *y);
                        }
                    }
                }
            }
        }
        Factor::Transposed(m) => {
            let (whole, left) = (count / width, count % width);
            // A row at a time: rows are contiguous, panels need not be.
            for p in 0..depth {
                let from = segment(m, k0 + p, i0, count);
                let mut to = out.chunks_exact_mut(width).skip(p).step_by(depth);
                let from = from.chunks_exact(width);
                let rest = from.remainder();
                for (to, from) in to.by_ref().zip(from).take(whole) {
                    to.iter_mut().zip(from).for_each(|(x, y)| *x = *y);
                }
                if left > 0
                    && let Some(to) = to.next()
                {
                    let rest = rest.iter().copied().chain(core::iter::repeat(T::ZERO));
                    to.iter_mut().zip(rest).for_each(|(x, y)| *x = y);
                }
            }
        }
    }
}

/// Elements `start .. start + length` of a row.
#[inline(always)]
fn segment<T>(m: MatrixRef<'_, T>, i: usize, start: usize, length: usize) -> &[T] {
    must(m.row(i).and_then(|row| row.get(start..start + length)))
}
