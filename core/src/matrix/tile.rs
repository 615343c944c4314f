//! The innermost product: a tile of `C` held in registers, fed from packed panels.
//!
//! ```text
//! for k ascending:  acc[i][j] <- acc[i][j] + a[k][i] * b[k][j]      i < MR, j < NV * LEN
//! ```
//! Panels are contiguous: `a` holds `MR` elements for each `k`, `b` holds `NV` registers for each `k`. The
//! accumulators start from `C` and not from zero, so that a `k` loop cut into blocks adds in the same order
//! as an uncut one. A tile is as large as the register file allows: `MR * NV` accumulators, `NV` registers of
//! `b`, one broadcast of `a` and, without fused multiply-add, one product.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use crate::Real;
use crate::memory::must;
use crate::simd::{Lanes, Level, Simd, prefetch};

/// Rows and registers of a tile at one level, for the match in [`gemm`](super::gemm).
///
/// | level | registers | `MR x NV` | live registers, product included |
/// |---|---|---|---|
/// | scalar | 16 or 32 | 4 x 2 | 12 |
/// | SSE2, simd128 | 16 | 4 x 2 | 12 |
/// | AVX2 | 16 | 6 x 2 | 16 |
/// | NEON | 32 | 8 x 2 | 20 |
/// | AVX-512 | 32 | 14 x 2 | 32 |
pub(crate) const fn shape(level: Level) -> (usize, usize) {
    match level {
        Level::Avx512 => (14, 2),
        Level::Avx2 => (6, 2),
        Level::Neon => (8, 2),
        _ => (4, 2),
    }
}

/// The most rows of a tile at any level.
pub(crate) const MAX_ROWS: usize = 14;
/// The most columns of a tile at any level: two registers of sixteen `f32`.
pub(crate) const MAX_COLUMNS: usize = 32;

/// Terms before the end of a tile at which the next one is asked for: longer than the latency of an L3 cache.
const AHEAD: usize = 32;

/// What becomes of the old value of `C` before the first product is added.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Old<T> {
    /// It stays (`beta = 1`, and every block of `k` but the first).
    Keep,
    /// It is not read (`beta = 0`).
    Overwrite,
    /// It is multiplied by `beta`.
    Scale(T),
}

impl<T: Real> Old<T> {
    /// The form that stands for a factor.
    pub(crate) fn of(beta: T) -> Self {
        if beta == T::ONE {
            Self::Keep
        } else if beta == T::ZERO {
            Self::Overwrite
        } else {
            Self::Scale(beta)
        }
    }
}

/// Adds the product of two packed panels to the tile whose first element is `c[0]`.
///
/// Rows of the tile that `c` does not hold in full are left alone.
#[inline(always)]
pub(crate) fn tile<L: Lanes, const FAST: bool, const MR: usize, const NV: usize>(
    simd: L::Simd,
    a: &[L::Scalar],
    b: &[L::Scalar],
    old: Old<L::Scalar>,
    c: &mut [L::Scalar],
    stride: usize,
) {
    let zero = L::splat(simd, L::Scalar::ZERO);
    let mut acc = [[zero; NV]; MR];
    match old {
        Old::Overwrite => {}
        Old::Keep => {
            for (i, acc) in acc.iter_mut().enumerate() {
                if let Some(row) = row::<L, NV>(c, i * stride) {
                    *acc = row.map(|x| L::load(simd, &x));
                }
            }
        }
        Old::Scale(beta) => {
            let beta = L::splat(simd, beta);
            for (i, acc) in acc.iter_mut().enumerate() {
                if let Some(row) = row::<L, NV>(c, i * stride) {
                    *acc = row.map(|x| beta * L::load(simd, &x));
                }
            }
        }
    }
    let (a, _) = a.as_chunks::<MR>();
    let (b, _) = L::groups(b).0.as_chunks::<NV>();
    let early = a.len().min(b.len()).saturating_sub(AHEAD);
    let (a, late_a) = must(a.split_at_checked(early));
    let (b, late_b) = must(b.split_at_checked(early));
    add::<L, FAST, MR, NV>(simd, a, b, &mut acc);
    // The tile below is next. Asked for any sooner, its lines are displaced by the panels: rows a power of two
    // apart share a few sets of the cache. Where tiles are contiguous the cache sees to it by itself.
    if stride > NV * L::LEN {
        for i in MR..2 * MR {
            prefetch(c.get(i * stride));
            prefetch(c.get(i * stride + NV * L::LEN - 1));
        }
    }
    add::<L, FAST, MR, NV>(simd, late_a, late_b, &mut acc);
    for (i, acc) in acc.iter().enumerate() {
        if let Some(row) = row_mut::<L, NV>(c, i * stride) {
            for (x, acc) in row.iter_mut().zip(acc) {
                acc.store(x);
            }
        }
    }
}

/// Adds the products of the elements of two panels, in order.
#[allow(
    clippy::indexing_slicing,
    reason = "arrays of MR and NV elements in loops up to MR and NV"
)]
#[inline(always)]
fn add<L: Lanes, const FAST: bool, const MR: usize, const NV: usize>(
    simd: L::Simd,
    a: &[[L::Scalar; MR]],
    b: &[[L::Array; NV]],
    acc: &mut [[L; NV]; MR],
) {
    const { assert!(NV == 2) };
    // A broadcast to a register takes the unit that adds for as long as an addition on Zen 4, where the units of sums and of products are
    // two. A product that is the only one to need a factor reads it from memory instead: 28 cycles in place of 42 for the same work.
    if !FAST && matches!(<L::Simd as Simd>::LEVEL, Level::Avx512) {
        add_column::<L, MR, NV, 0>(simd, a, b, acc);
        add_column::<L, MR, NV, 1>(simd, a, b, acc);
        return;
    }
    let mut sum = *acc;
    for (a, b) in a.iter().zip(b) {
        let b = b.map(|x| L::load(simd, &x));
        for i in 0..MR {
            let a = L::splat(simd, a[i]);
            for j in 0..NV {
                sum[i][j] = if FAST {
                    a.mul_add(b[j], sum[i][j])
                } else {
                    sum[i][j] + a * b[j]
                };
            }
        }
    }
    *acc = sum;
}

/// [`add`] for the registers `J` of the rows.
#[allow(
    clippy::indexing_slicing,
    reason = "arrays of MR and NV elements in loops up to MR, and J < NV"
)]
#[inline(always)]
fn add_column<L: Lanes, const MR: usize, const NV: usize, const J: usize>(
    simd: L::Simd,
    a: &[[L::Scalar; MR]],
    b: &[[L::Array; NV]],
    acc: &mut [[L; NV]; MR],
) {
    const { assert!(J < NV) };
    let mut sum = [acc[0][J]; MR];
    for i in 0..MR {
        sum[i] = acc[i][J];
    }
    for (a, b) in a.iter().zip(b) {
        let b = L::load(simd, &b[J]);
        for i in 0..MR {
            sum[i] = sum[i] + L::splat(simd, a[i]) * b;
        }
    }
    for i in 0..MR {
        acc[i][J] = sum[i];
    }
}

/// The registers of a row of the tile that starts at element `at`.
#[inline(always)]
fn row<L: Lanes, const NV: usize>(c: &[L::Scalar], at: usize) -> Option<&[L::Array; NV]> {
    L::groups(c.get(at..)?).0.first_chunk()
}

/// As [`row`], to be written.
#[inline(always)]
fn row_mut<L: Lanes, const NV: usize>(
    c: &mut [L::Scalar],
    at: usize,
) -> Option<&mut [L::Array; NV]> {
    L::groups_mut(c.get_mut(at..)?).0.first_chunk_mut()
}
