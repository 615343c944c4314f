//! Sums over pairs on packed panels: kernel values live in the caches only, between two products.
//!
//! ```text
//! pack Y in panels of MR rows (sources), -2 Y in strips of NR rows (targets), W in panels of MR columns
//! for each block of sources J, each block of targets I:
//!   for each strip i of I:
//!     P   <- Y_J (-2 Y_i)^T                   by tiles that leave it as the next product wants it
//!     P   <- k(|y_j|^2 + |y_i|^2 + P)         on lanes
//!     S_i <- S_i + W_J^T P                    the sums of the strip, a column of w in each row
//!     keep P^T                                if all are targets, from I > J: the symmetry of k
//!   for each strip j of J:  S_j <- S_j + W_I^T P^T
//! out_i <- S_i^T
//! ```
//! Distances that were computed for a median are not computed again: [`Kept`] holds the strips of the first product, and the second line is a
//! copy of them.
//!
//! Strips and panels are those of [`gemm`](crate::matrix::gemm()), and so is the tile; blocks reach each sum in the order of the
//! sources, so an element is the same chain. `P` takes the layout of a packed factor without being packed, and the
//! targets sit on the lanes: few columns of `w` are padded to `MR`, not to `NR`.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use core::ops::Range;

use super::gram::Rows;
use super::profile::{DISTANCE, FromDistance, FromGram, IMQ, IMQ_SLOPE, Profile, RBF};
use crate::Real;
use crate::matrix::tile::{self, MAX_COLUMNS, MAX_ROWS, Old, tile};
use crate::matrix::{MatrixMut, MatrixRef, pack};
use crate::memory::InRows;
use crate::memory::{must, take, unreached};
use crate::simd::{Kernel, Lanes, Level, Simd, Update};

/// Sources, or targets, of a block: a multiple of the tile both ways. `P` is half of a first cache.
const fn block(tile_rows: usize) -> usize {
    if tile_rows == MAX_ROWS { MOST } else { 192 }
}

/// The largest block.
const MOST: usize = MAX_ROWS * 16;

/// Elements of `f32` in a cache line: packed panels start at one.
const LINE: usize = 16;

/// Elements of scratch with which the sums of `targets` among `n` rows of `m` coordinates and `q` columns are taken.
pub(super) const fn scratch_len(n: usize, targets: usize, m: usize, q: usize) -> usize {
    let sources = n.saturating_add(MAX_ROWS - 1);
    let rows = sources.saturating_add(targets.saturating_add(MAX_COLUMNS - 1));
    let row = m.saturating_add(q.saturating_add(MAX_ROWS - 1));
    let values = if n < MOST { sources } else { MOST } * MAX_COLUMNS;
    let turned = if n > block(0) && targets == n {
        MOST * MOST
    } else {
        0
    };
    rows.saturating_mul(row)
        .saturating_add(values + turned + LINE - 1)
}

/// Elements of squared distances of `n` rows as [`Distances`] leaves them, at most: half of the square, whole blocks on its diagonal,
/// and what the last tiles are padded with.
pub(crate) const fn kept_len(n: usize) -> usize {
    let padded = n.saturating_add(MAX_COLUMNS - 1);
    let block = if padded < MOST { padded } else { MOST };
    padded.saturating_mul(padded.saturating_add(block)) / 2
}

/// Elements of scratch of [`Distances`] for `n` rows of `m` coordinates.
pub(crate) const fn distances_len(n: usize, m: usize) -> usize {
    let rows = n.saturating_mul(2).saturating_add(MAX_ROWS + MAX_COLUMNS);
    rows.saturating_mul(m).saturating_add(LINE - 1)
}

/// Squared distances in the order in which [`Panels`] asks for them, padded with infinity.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a, T> {
    /// Blocks on the diagonal: each ordered pair of two of their rows, and zeros.
    pub(crate) diagonal: &'a [T],
    /// Blocks on one side of it: each distance stands for two ordered pairs.
    pub(crate) others: &'a [T],
    /// The level that has laid them out.
    level: Level,
}

/// Where the parts of [`Kept`] lie.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    diagonal: usize,
    others: usize,
    level: Level,
}

impl Layout {
    /// The distances in the memory that they were written to.
    pub(crate) fn of<T>(self, kept: &[T]) -> Kept<'_, T> {
        let (diagonal, rest) = must(kept.split_at_checked(self.diagonal));
        Kept {
            diagonal,
            others: must(rest.get(..self.others)),
            level: self.level,
        }
    }
}

/// Writes the squared distances between all rows.
pub(super) struct Distances<'a, T, const FAST: bool> {
    pub(super) rows: Rows<'a, T>,
    /// [`kept_len`] elements.
    pub(super) kept: &'a mut [T],
    /// [`distances_len`] elements.
    pub(super) scratch: &'a mut [T],
}

impl<T: Real, const FAST: bool> Kernel for Distances<'_, T, FAST> {
    type Output = Layout;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Layout {
        match const { tile::shape(S::LEVEL) } {
            (MAX_ROWS, _) => distances::<T, S, FAST, MAX_ROWS, 2>(simd, self),
            (8, _) => distances::<T, S, FAST, 8, 2>(simd, self),
            (6, _) => distances::<T, S, FAST, 6, 2>(simd, self),
            _ => distances::<T, S, FAST, 4, 2>(simd, self),
        }
    }
}

#[inline(always)]
fn distances<T: Real, S: Simd, const FAST: bool, const MR: usize, const NV: usize>(
    simd: S,
    job: Distances<'_, T, FAST>,
) -> Layout {
    let Distances {
        rows,
        kept,
        mut scratch,
    } = job;
    let (n, m) = (rows.n(), rows.y.columns());
    let (nr, block) = (NV * T::Lanes::<S>::LEN, const { block(MR) });
    let misaligned = scratch.as_ptr().align_offset(LINE * size_of::<f32>());
    take(&mut scratch, misaligned.min(LINE - 1));
    let strips = take(&mut scratch, n.div_ceil(nr) * nr * m);
    let sources = scratch;
    pack_sources(rows, MR, sources);
    pack_targets(rows, nr, 0..n, strips);
    let mut len = 0;
    for j0 in (0..n).step_by(block) {
        let depth = block.min(n - j0);
        len += depth.div_ceil(MR) * MR * (depth.div_ceil(nr) * nr);
    }
    let (mut diagonal, mut others) = must(kept.split_at_mut_checked(len));
    let mut written = 0;
    for j0 in (0..n).step_by(block) {
        let depth = block.min(n - j0);
        let padded = depth.div_ceil(MR) * MR;
        let sources = must(sources.get(j0 * m..));
        let own_strips = must(strips.get(j0 * m..));
        for (i, strip) in (j0..n).step_by(nr).zip(own_strips.in_rows(nr * m)) {
            let values = if i < j0 + block {
                take(&mut diagonal, padded * nr)
            } else {
                written += padded * nr;
                take(&mut others, padded * nr)
            };
            let tiles = sources.in_rows(MR * m).zip(values.in_rows_mut(MR * nr));
            for (sources, values) in tiles.take(depth.div_ceil(MR)) {
                tile::<T::Lanes<S>, FAST, MR, NV>(simd, sources, strip, Old::Overwrite, values, nr);
            }
            let (values, padding) = must(values.split_at_mut_checked(depth * nr));
            padding.fill(T::INFINITY);
            let norms = [j0, i].map(|at| must(rows.norms.get(at..)));
            apply::<T, S, DISTANCE, NV>(simd, T::ONE, norms, values);
            set_diagonal(j0, i, nr, values, T::ZERO);
        }
    }
    Layout {
        diagonal: len,
        others: written,
        level: S::LEVEL,
    }
}

/// Panels of all rows.
#[inline(always)]
fn pack_sources<T: Real>(rows: Rows<'_, T>, height: usize, out: &mut [T]) {
    pack(rows.y.into(), height, 0..rows.n(), 0..rows.y.columns(), out);
}

/// Strips of some rows, times -2.
#[inline(always)]
fn pack_targets<T: Real>(rows: Rows<'_, T>, width: usize, targets: Range<usize>, out: &mut [T]) {
    pack(rows.y.into(), width, targets, 0..rows.y.columns(), out);
    for x in out {
        *x = -(*x + *x);
    }
}

/// Sets what a row has with itself, whatever rounding says.
#[inline(always)]
fn set_diagonal<T: Copy>(j0: usize, i: usize, nr: usize, values: &mut [T], itself: T) {
    for (j, values) in (j0..).zip(values.in_rows_mut(nr)) {
        if let Some(k) = j.checked_sub(i).and_then(|r| values.get_mut(r)) {
            *k = itself;
        }
    }
}

/// `K w`, which replaces what it meets or is added to it.
#[derive(Clone, Copy)]
pub(super) struct Term<'a, T> {
    pub(super) profile: Profile,
    pub(super) h: T,
    pub(super) w: MatrixRef<'a, T>,
    pub(super) is_added: bool,
}

/// A term for the rows `targets` of `out`.
pub(super) struct Job<'a, T> {
    pub(super) rows: Rows<'a, T>,
    pub(super) term: Term<'a, T>,
    /// Distances of the same rows: used when all are targets.
    pub(super) kept: Option<Kept<'a, T>>,
    pub(super) targets: Range<usize>,
    pub(super) out: MatrixMut<'a, T>,
    pub(super) scratch: &'a mut [T],
}

/// A job, its products fused or not.
pub(super) struct Panels<'a, T, const FAST: bool>(pub(super) Job<'a, T>);

impl<T: Real, const FAST: bool> Kernel for Panels<'_, T, FAST> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const { assert!(MOST.is_multiple_of(MAX_COLUMNS) && block(0).is_multiple_of(6 * 32)) };
        // `LEVEL` is a constant: one arm remains of each copy of this function.
        match const { tile::shape(S::LEVEL) } {
            (MAX_ROWS, _) => sums::<T, S, FAST, MAX_ROWS, 2>(simd, self.0),
            (8, _) => sums::<T, S, FAST, 8, 2>(simd, self.0),
            (6, _) => sums::<T, S, FAST, 6, 2>(simd, self.0),
            _ => sums::<T, S, FAST, 4, 2>(simd, self.0),
        }
    }
}

#[inline(always)]
fn sums<T: Real, S: Simd, const FAST: bool, const MR: usize, const NV: usize>(
    simd: S,
    job: Job<'_, T>,
) {
    let Job {
        rows,
        term,
        kept,
        targets,
        mut out,
        mut scratch,
    } = job;
    let Term {
        profile,
        h,
        w,
        is_added,
    } = term;
    let (n, m, q, count) = (rows.n(), rows.y.columns(), w.columns(), targets.len());
    let (nr, block, scale) = (
        NV * T::Lanes::<S>::LEN,
        const { block(MR) },
        profile.scale(h),
    );
    let padded_q = q.div_ceil(MR) * MR;
    let padded = count.div_ceil(nr) * nr;
    let is_symmetric = count == n && n > block;
    // Another level has other strips.
    let mut kept = kept.filter(|kept| count == n && kept.level == S::LEVEL);

    let misaligned = scratch.as_ptr().align_offset(LINE * size_of::<f32>());
    take(&mut scratch, misaligned.min(LINE - 1));
    let values = take(&mut scratch, block.min(n.div_ceil(MR) * MR) * nr);
    let turned = take(&mut scratch, if is_symmetric { block * block } else { 0 });
    let strips = take(&mut scratch, padded * m);
    let all_sums = take(&mut scratch, padded * padded_q);
    let weights = take(&mut scratch, n * padded_q);
    let sources = scratch;

    if kept.is_none() {
        pack_sources(rows, MR, sources);
        pack_targets(rows, nr, targets.clone(), strips);
    }
    for j0 in (0..n).step_by(block) {
        let weights = must(weights.get_mut(j0 * padded_q..));
        pack(w.t(), MR, 0..q, j0..j0 + block.min(n - j0), weights);
    }
    all_sums.fill(T::ZERO);
    if is_added {
        each_sum(nr, padded_q, all_sums, &mut out, |sum, out| *sum = *out);
    }

    for j0 in (0..n).step_by(block) {
        let depth = block.min(n - j0);
        let own_sources = must(sources.get(j0 * m..));
        let own_weights = must(weights.get(j0 * padded_q..));
        let first = if is_symmetric { j0 } else { 0 };
        for at in (first..count).step_by(block) {
            let height = block.min(count - at);
            let is_turned = is_symmetric && at > j0;
            let strips = must(strips.get(at * m..));
            let sums = must(all_sums.get_mut(at * padded_q..));
            let strips = strips.in_rows(nr * m).zip(sums.in_rows_mut(nr * padded_q));
            for (r, (strip, sums)) in (0..height).step_by(nr).zip(strips) {
                let i = targets.start + at + r;
                if let Some(kept) = &mut kept {
                    let strips = if at == j0 {
                        &mut kept.diagonal
                    } else {
                        &mut kept.others
                    };
                    let (distances, rest) =
                        must(strips.split_at_checked(depth.div_ceil(MR) * MR * nr));
                    *strips = rest;
                    let values = must(values.get_mut(..depth * nr));
                    match profile {
                        Profile::Rbf => again::<T, S, RBF>(simd, scale, distances, values),
                        Profile::Imq => again::<T, S, IMQ>(simd, scale, distances, values),
                        Profile::ImqSlope => {
                            again::<T, S, IMQ_SLOPE>(simd, scale, distances, values);
                        }
                    }
                } else {
                    let tiles = own_sources.in_rows(MR * m).zip(values.in_rows_mut(MR * nr));
                    for (sources, values) in tiles.take(depth.div_ceil(MR)) {
                        let old = Old::Overwrite;
                        tile::<T::Lanes<S>, FAST, MR, NV>(simd, sources, strip, old, values, nr);
                    }
                    let values = must(values.get_mut(..depth * nr));
                    let norms = [j0, i].map(|at| must(rows.norms.get(at..)));
                    match profile {
                        Profile::Rbf => apply::<T, S, RBF, NV>(simd, scale, norms, values),
                        Profile::Imq => apply::<T, S, IMQ, NV>(simd, scale, norms, values),
                        Profile::ImqSlope => {
                            apply::<T, S, IMQ_SLOPE, NV>(simd, scale, norms, values);
                        }
                    }
                }
                let values = must(values.get_mut(..depth * nr));
                set_diagonal(j0, i, nr, values, T::ONE);
                if is_turned {
                    turn(nr, values, must(turned.get_mut(r * nr..)), block);
                }
                product::<T, S, FAST, MR, NV>(simd, depth, own_weights, values, sums);
            }
            if is_turned {
                let weights = must(weights.get(at * padded_q..));
                let sums = must(all_sums.get_mut(j0 * padded_q..));
                let strips = turned
                    .in_rows(block * nr)
                    .zip(sums.in_rows_mut(nr * padded_q));
                for (values, sums) in strips {
                    product::<T, S, FAST, MR, NV>(simd, height, weights, values, sums);
                }
            }
        }
    }
    each_sum(nr, padded_q, all_sums, &mut out, |sum, out| *out = *sum);
}

/// `S <- S + W^T P` for one strip and `depth` sources.
#[inline(always)]
fn product<T: Real, S: Simd, const FAST: bool, const MR: usize, const NV: usize>(
    simd: S,
    depth: usize,
    weights: &[T],
    values: &[T],
    sums: &mut [T],
) {
    let nr = NV * T::Lanes::<S>::LEN;
    let tiles = weights.in_rows(MR * depth).zip(sums.in_rows_mut(MR * nr));
    for (weights, sums) in tiles {
        tile::<T::Lanes<S>, FAST, MR, NV>(simd, weights, values, Old::Keep, sums, nr);
    }
}

/// Writes `P^T` into strips of `block` rows: the values of a source become a column of its strip.
#[inline(always)]
fn turn<T: Copy>(nr: usize, values: &[T], turned: &mut [T], block: usize) {
    for (p, values) in values.in_rows(nr * nr).enumerate() {
        let strip = must(turned.get_mut(p * block * nr..));
        for (c, values) in values.in_rows(nr).enumerate() {
            for (to, &k) in strip.in_rows_mut(nr).zip(values) {
                if let Some(to) = to.get_mut(c) {
                    *to = k;
                }
            }
        }
    }
}

/// Visits each sum, a strip after another, with its element of `out`.
fn each_sum<T>(
    nr: usize,
    padded_q: usize,
    sums: &mut [T],
    out: &mut MatrixMut<'_, T>,
    mut visit: impl FnMut(&mut T, &mut T),
) {
    for (at, sums) in sums.in_rows_mut(nr * padded_q).enumerate() {
        let rows = at * nr..out.rows().min((at + 1) * nr);
        for (r, i) in rows.enumerate() {
            let row = must(out.row_mut(i));
            for (sums, out) in sums.in_rows_mut(nr).zip(row) {
                if let Some(sum) = sums.get_mut(r) {
                    visit(sum, out);
                }
            }
        }
    }
}

/// `P <- k(q)`.
#[inline(always)]
fn again<T: Real, S: Simd, const PROFILE: u8>(
    simd: S,
    scale: T,
    distances: &[T],
    values: &mut [T],
) {
    let body = FromDistance::<T, PROFILE>(scale);
    let (from, _) = T::Lanes::<S>::groups(distances);
    let (to, _) = T::Lanes::<S>::groups_mut(values);
    for (to, q) in to.iter_mut().zip(from) {
        let [k] = body.apply([T::Lanes::<S>::load(simd, q)], []);
        k.store(to);
    }
}

/// `P <- k(|y_j|^2 + |y_i|^2 + P)`, a source in each row, the targets on the lanes.
#[inline(always)]
fn apply<T: Real, S: Simd, const PROFILE: u8, const NV: usize>(
    simd: S,
    scale: T,
    [sources, targets]: [&[T]; 2],
    values: &mut [T],
) {
    // Past the last target there is none within reach.
    let mut padded = [T::INFINITY; MAX_COLUMNS];
    for (padded, &norm) in padded.iter_mut().zip(targets) {
        *padded = norm;
    }
    let (groups, _) = T::Lanes::<S>::groups(&padded);
    let Some(targets) = groups.first_chunk::<NV>() else {
        // The longest row of a tile has as many groups.
        return unreached();
    };
    let targets = targets.map(|x| T::Lanes::<S>::load(simd, &x));
    let (groups, _) = T::Lanes::<S>::groups_mut(values);
    let (rows, _) = groups.as_chunks_mut::<NV>();
    for (row, &norm) in rows.iter_mut().zip(sources) {
        let body = FromGram::<T, PROFILE> { norm, scale };
        for (x, b) in row.iter_mut().zip(targets) {
            let [k] = body.apply([T::Lanes::<S>::load(simd, x)], [b]);
            k.store(x);
        }
    }
}
