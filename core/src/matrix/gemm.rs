//! Matrix times matrix.
//!
//! ```text
//! c_ij <- beta c_ij                          (0 for beta = 0, whatever C holds)
//! for k ascending:  c_ij <- c_ij + (alpha a_ik) b_kj
//! ```
//! `A` is `m x k`, `B` is `k x n`, `C` is `m x n`; `A` and `B` may be plain or transposed. Each element is one
//! chain of products and sums, so its bits depend neither on blocking, nor on the register width, nor on how
//! `m` and `n` are divided. With [`Arithmetic::Fast`] the product and the sum are fused where the machine can:
//! one rounding per term in place of two, and on x86-64 about twice the speed.
//!
//! # How it is done
//! ```text
//! for each NC columns of B:
//!   for each KC rows of those:           pack B: KC x NC in panels of NR columns      (outer cache)
//!     for each MC rows of A:             pack alpha A: MC x KC in panels of MR rows   (L2)
//!       for each panel of B, of A:       tile of C in registers                       (L1: one panel of B)
//! ```
//! Packing makes the innermost reads contiguous and pads the edges with zeros; the padding is computed and not
//! stored. Reference: Goto, van de Geijn, "Anatomy of high-performance matrix multiplication" (2008); Van Zee,
//! van de Geijn, "BLIS" (2015).
//!
//! Cost: `2 m n k` flops; reads of `A`: `n / NC` times, of `B`: once, of `C`: `k / KC` times. The error of an element
//! is at most `(k + 2) u sum_k |alpha a_ik b_kj| + 2 u |beta c_ij|` to first order, `u` the unit roundoff (`k` for
//! `k + 2` where fused and `alpha = 1`).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

use super::gemv::{ROWS, rescale};
use super::tile::{self, MAX_COLUMNS, MAX_ROWS, Old};
use super::{Factor, MatrixMut};
use crate::error::check_length;
use crate::matrix::Kernels as _;
use crate::memory::must;
use crate::simd::{self, Kernel, Lanes, Level, SOFT_FLOAT, Simd};
use crate::{Arithmetic, Error, Real};

mod pack;

pub(crate) use pack::pack;

/// Most rows of `A` that are packed at a time: a multiple of 4, 6 and 8.
const MC: usize = 144;
/// Most terms of a sum between two visits of a tile.
const KC: usize = 256;
/// Most columns of `B` that are packed at a time: a multiple of every tile.
const NC: usize = 1024;
/// Elements of `f32` in a cache line: packed `B` starts at one, so that no register of it straddles two.
const LINE: usize = 16;

/// Elements of scratch with which [`gemm`] packs an `m x k` times `k x n` product.
///
/// At most `1168 * 256 + 15`, however large the matrices.
///
/// ```
/// use thalweg::matrix::gemm_scratch;
/// assert_eq!(gemm_scratch(10_000, 10_000, 10_000), (144 + 1024) * 256 + 15);
/// assert!(gemm_scratch(8, 8, 8) <= (8 + 13 + 8 + 31) * 8 + 15);
/// ```
pub const fn gemm_scratch(m: usize, n: usize, k: usize) -> usize {
    if m == 0 || n == 0 || k == 0 {
        return 0;
    }
    let k = at_most(k, KC);
    at_most(m.saturating_add(MAX_ROWS - 1), MC) * k
        + at_most(n.saturating_add(MAX_COLUMNS - 1), NC) * k
        + LINE
        - 1
}

const fn at_most(n: usize, bound: usize) -> usize {
    if n < bound { n } else { bound }
}

/// How factors are multiplied, and what becomes of the old `C`: `C <- alpha A B + beta C`.
///
/// ```
/// use thalweg::matrix::Product;
/// let minus = Product { alpha: -1.0_f32, ..Product::PLAIN };
/// assert_eq!((minus.alpha, minus.beta), (-1.0, 0.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Product<T> {
    /// Portable, or fused multiply-add.
    pub arithmetic: Arithmetic,
    /// What the products are multiplied by.
    pub alpha: T,
    /// What the old elements are multiplied by; 0 overwrites them, whatever they are.
    pub beta: T,
}

impl<T: Real> Product<T> {
    /// `C <- A B`, with the same bits everywhere.
    pub const PLAIN: Self = Self::plain(Arithmetic::Portable);

    /// `C <- A B`.
    #[must_use]
    pub const fn plain(arithmetic: Arithmetic) -> Self {
        Self {
            arithmetic,
            alpha: T::ONE,
            beta: T::ZERO,
        }
    }

    /// `C <- C + A B`.
    #[must_use]
    pub const fn adding(arithmetic: Arithmetic) -> Self {
        Self {
            beta: T::ONE,
            ..Self::plain(arithmetic)
        }
    }
}

/// Which elements of `C` are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All.
    Whole,
    /// Those with `j <= i`.
    Lower,
}

/// `C <- alpha A B + beta C`.
///
/// With a `scratch` of at least [`gemm_scratch`]`(m, n, k)` elements the factors are packed. With a shorter one, down to an
/// empty slice, plain loops give the same bits (with [`Arithmetic::Portable`]) at a lower speed: that form suits
/// microcontrollers, and those without a floating-point unit have no other.
///
/// To share the work among threads, split `C` with [`MatrixMut::split_rows_at`] and `A` with
/// [`Factor::row_range`]; each thread brings its own scratch. The bits do not depend on the split.
///
/// # Errors
/// [`Error::Length`] when the shapes do not fit; `C` is unchanged.
///
/// ```
/// use thalweg::matrix::{MatrixMut, MatrixRef, Product, gemm};
/// let a = MatrixRef::new(&[1.0_f32, 2.0, 3.0, 4.0], 2, 2)?;
/// let mut c = [f32::NAN; 4];
/// gemm(Product::PLAIN, a, a.t(), MatrixMut::new(&mut c, 2, 2)?, &mut [])?;
/// assert_eq!(c, [5.0, 11.0, 11.0, 25.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn gemm<'a, T: Real>(
    how: Product<T>,
    a: impl Into<Factor<'a, T>>,
    b: impl Into<Factor<'a, T>>,
    c: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    product(how, a.into(), b.into(), Part::Whole, c, scratch)
}

/// [`gemm`] on a part of `C`.
pub(super) fn product<T: Real>(
    how: Product<T>,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
    part: Part,
    c: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    check_length("rows of b", a.columns(), b.rows())?;
    check_length("rows of c", a.rows(), c.rows())?;
    check_length("columns of c", b.columns(), c.columns())?;
    let (m, n, k) = (c.rows(), c.columns(), a.columns());
    let Some((scratch, _)) = scratch.split_at_mut_checked(gemm_scratch(m, n, k)) else {
        unpacked(how, a, b, part, c);
        return Ok(());
    };
    if SOFT_FLOAT || m == 0 || n == 0 || k == 0 {
        unpacked(how, a, b, part, c);
        return Ok(());
    }
    let job = Job {
        how,
        a,
        b,
        c,
        part,
        scratch,
    };
    T::Kernels::product(job);
    Ok(())
}

/// The product in blocks; nothing is empty.
pub(super) fn packed<T: Real>(job: Job<'_, T>) {
    match job.how.arithmetic {
        Arithmetic::Portable => simd::dispatch(Packed::<T, false>(job)),
        Arithmetic::Fast => simd::dispatch(Packed::<T, true>(job)),
    }
}

/// The same chain of operations without packing: `C` a row at a time.
fn unpacked<T: Real>(
    how: Product<T>,
    a: Factor<'_, T>,
    b: Factor<'_, T>,
    part: Part,
    mut c: MatrixMut<'_, T>,
) {
    let Product { alpha, beta, .. } = how;
    let k = a.columns();
    let factor = |i, p| {
        let x = must(a.get(i, p));
        if alpha == T::ONE { x } else { alpha * x }
    };
    for (i, row) in c.row_iter_mut().enumerate() {
        let width = match part {
            Part::Whole => row.len(),
            Part::Lower => row.len().min(i + 1),
        };
        let row = must(row.get_mut(..width));
        rescale(beta, row);
        match b {
            Factor::Plain(b) => {
                let mut p = 0;
                let rows = |p| must(b.row(p));
                while k - p >= ROWS {
                    let factors = core::array::from_fn(|r| factor(i, p + r));
                    let four: [&[T]; ROWS] = core::array::from_fn(|r| rows(p + r));
                    T::Kernels::add_four_rows(factors, four, row);
                    p += ROWS;
                }
                while p < k {
                    T::Kernels::add_row(factor(i, p), rows(p), row);
                    p += 1;
                }
            }
            Factor::Transposed(b) => {
                for (c, column) in row.iter_mut().zip(b.row_iter()) {
                    let mut sum = *c;
                    for (p, x) in column.iter().enumerate() {
                        sum += factor(i, p) * *x;
                    }
                    *c = sum;
                }
            }
        }
    }
}

/// A product whose lengths have been checked.
#[derive(Debug)]
pub struct Job<'a, T> {
    how: Product<T>,
    a: Factor<'a, T>,
    b: Factor<'a, T>,
    c: MatrixMut<'a, T>,
    part: Part,
    scratch: &'a mut [T],
}

struct Packed<'a, T, const FAST: bool>(Job<'a, T>);

impl<T: Real, const FAST: bool> Kernel for Packed<'_, T, FAST> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        const {
            assert!(NC.is_multiple_of(MAX_COLUMNS) && tile::shape(Level::Avx512).0 == MAX_ROWS);
        }
        // `LEVEL` is a constant: one arm remains of each copy of this function.
        match const { tile::shape(S::LEVEL) } {
            (14, _) => blocks::<T, S, FAST, 14, 2>(simd, self.0),
            (8, _) => blocks::<T, S, FAST, 8, 2>(simd, self.0),
            (6, _) => blocks::<T, S, FAST, 6, 2>(simd, self.0),
            _ => blocks::<T, S, FAST, 4, 2>(simd, self.0),
        }
    }
}

/// The loops over blocks, see the module docs.
#[inline(always)]
fn blocks<T: Real, S: Simd, const FAST: bool, const MR: usize, const NV: usize>(
    simd: S,
    job: Job<'_, T>,
) {
    let Job {
        how: Product { alpha, beta, .. },
        a,
        b,
        c,
        part,
        scratch,
    } = job;
    let (m, n, k, stride) = (c.rows(), c.columns(), a.columns(), c.stride());
    let c = c.into_data();
    let (nr, mc) = (NV * T::Lanes::<S>::LEN, MC / MR * MR);
    let start = at_most(
        scratch.as_ptr().align_offset(LINE * size_of::<f32>()),
        LINE - 1,
    );
    let scratch = must(scratch.get_mut(start..));
    let columns_b = at_most(n.saturating_add(MAX_COLUMNS - 1), NC);
    let (pack_b, pack_a) = must(scratch.split_at_mut_checked(columns_b * at_most(k, KC)));
    let mut j0 = 0;
    while j0 < n {
        let width = at_most(n - j0, NC);
        let mut k0 = 0;
        while k0 < k {
            let depth = at_most(k - k0, KC);
            let old = if k0 == 0 { Old::of(beta) } else { Old::Keep };
            pack(b.t(), nr, j0..j0 + width, k0..k0 + depth, pack_b);
            let mut i0 = 0;
            while i0 < m {
                let height = at_most(m - i0, mc);
                // Rows above the diagonal of this block of columns have nothing to write.
                if part == Part::Whole || i0 + height > j0 {
                    pack(a, MR, i0..i0 + height, k0..k0 + depth, pack_a);
                    if alpha != T::ONE {
                        let used = height.div_ceil(MR) * MR * depth;
                        for x in pack_a.iter_mut().take(used) {
                            *x = alpha * *x;
                        }
                    }
                    for (jt, b) in (0..width).step_by(nr).zip(pack_b.chunks_exact(nr * depth)) {
                        for (it, a) in (0..height).step_by(MR).zip(pack_a.chunks_exact(MR * depth))
                        {
                            let (i, j) = (i0 + it, j0 + jt);
                            let (rows, columns) = (at_most(m - i, MR), at_most(n - j, nr));
                            if part == Part::Lower && j >= i + rows {
                                continue;
                            }
                            // i < m and j < n, so the first element of the tile is within `c`.
                            let c = must(c.get_mut(i * stride + j..));
                            let inside = part == Part::Whole || j + columns <= i + 1;
                            if rows == MR && columns == nr && inside {
                                tile::tile::<T::Lanes<S>, FAST, MR, NV>(simd, a, b, old, c, stride);
                            } else {
                                let limit = |r: usize| match part {
                                    _ if r >= rows => 0,
                                    Part::Whole => columns,
                                    Part::Lower => at_most((i + r + 1).saturating_sub(j), columns),
                                };
                                edge::<T, S, FAST, MR, NV>(simd, [a, b], old, c, stride, limit);
                            }
                        }
                    }
                }
                i0 += height;
            }
            k0 += depth;
        }
        j0 += width;
    }
}

/// A tile of which only the first `limit(r)` elements of row `r` are part of `C`.
#[inline(always)]
fn edge<T: Real, S: Simd, const FAST: bool, const MR: usize, const NV: usize>(
    simd: S,
    [a, b]: [&[T]; 2],
    old: Old<T>,
    c: &mut [T],
    stride: usize,
    limit: impl Fn(usize) -> usize,
) {
    let mut local = [[T::ZERO; MAX_COLUMNS]; MR];
    for (r, local) in local.iter_mut().enumerate() {
        let length = limit(r);
        if length > 0 {
            let c = must(c.get(r * stride..));
            for (to, from) in local.iter_mut().zip(c).take(length) {
                *to = *from;
            }
        }
    }
    tile::tile::<T::Lanes<S>, FAST, MR, NV>(simd, a, b, old, local.as_flattened_mut(), MAX_COLUMNS);
    for (r, local) in local.iter().enumerate() {
        let length = limit(r);
        if length > 0 {
            let c = must(c.get_mut(r * stride..));
            for (from, to) in local.iter().zip(c).take(length) {
                *to = *from;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::MatrixRef;
    use std::vec;
    use std::vec::Vec;

    fn painted<T: Real>(n: usize, phase: usize) -> Vec<T> {
        (0..n)
            .map(|i| T::from_f64(((i * 37 + phase) % 251) as f64 / 16.0 - 7.8))
            .collect()
    }

    /// The definition, written for the eye.
    fn naive<T: Real>(
        alpha: T,
        a: Factor<'_, T>,
        b: Factor<'_, T>,
        beta: T,
        c: &mut MatrixMut<'_, T>,
    ) {
        for i in 0..c.rows() {
            for j in 0..c.columns() {
                let c = c.get_mut(i, j).unwrap();
                let mut sum = if beta == T::ZERO { T::ZERO } else { beta * *c };
                for k in 0..a.columns() {
                    sum += (alpha * a.get(i, k).unwrap()) * b.get(k, j).unwrap();
                }
                *c = sum;
            }
        }
    }

    fn at_every_level(mut check: impl FnMut(simd::Level)) {
        for level in crate::testing::levels() {
            check(level);
        }
    }

    /// A stored matrix of the shape that gives `rows x columns` in the role asked for.
    fn stored(transposed: bool, rows: usize, columns: usize, gap: usize) -> (usize, usize, usize) {
        let (r, c) = if transposed {
            (columns, rows)
        } else {
            (rows, columns)
        };
        (r, c, c + gap)
    }

    fn compare<T: Real>(m: usize, n: usize, k: usize, gap: usize, alpha: f64, beta: f64) {
        let (alpha, beta) = (T::from_f64(alpha), T::from_f64(beta));
        for (ta, tb) in [(false, false), (false, true), (true, false), (true, true)] {
            let (ar, ac, astride) = stored(ta, m, k, gap);
            let (br, bc, bstride) = stored(tb, k, n, gap);
            let (a, b) = (
                painted::<T>(ar * astride, 3),
                painted::<T>(br * bstride, 71),
            );
            let a = MatrixRef::with_stride(&a, ar, ac, astride).unwrap();
            let b = MatrixRef::with_stride(&b, br, bc, bstride).unwrap();
            let a = if ta { a.t() } else { a.into() };
            let b = if tb { b.t() } else { b.into() };
            let c0 = painted::<T>(m * (n + gap), 13);
            let mut expected = c0.clone();
            let mut view = MatrixMut::with_stride(&mut expected, m, n, n + gap).unwrap();
            naive(alpha, a, b, beta, &mut view);
            at_every_level(|level| {
                for length in [gemm_scratch(m, n, k), 0] {
                    let (mut c, mut scratch) = (c0.clone(), vec![T::NAN; length]);
                    let view = MatrixMut::with_stride(&mut c, m, n, n + gap).unwrap();
                    gemm(
                        Product {
                            alpha,
                            beta,
                            ..Product::PLAIN
                        },
                        a,
                        b,
                        view,
                        &mut scratch,
                    )
                    .unwrap();
                    for (at, (x, y)) in c.iter().zip(&expected).enumerate() {
                        assert_eq!(
                            x.to_bits_u64(),
                            y.to_bits_u64(),
                            "{level:?} m={m} n={n} k={k} gap={gap} {ta} {tb} scratch={length} at {at}: {x:e} {y:e}"
                        );
                    }
                }
            });
        }
    }

    #[test]
    fn portable_has_the_bits_of_the_triple_loop_at_every_level_and_transpose() {
        for (m, n, k) in [
            (0, 3, 2),
            (3, 0, 2),
            (3, 2, 0),
            (1, 1, 1),
            (1, 33, 5),
            (33, 1, 5),
            (4, 8, 3),
            (6, 16, 1),
            (7, 17, 19),
            (13, 31, 64),
            (14, 32, 33),
            (29, 65, 40),
        ] {
            compare::<f32>(m, n, k, 0, 1.0, 0.0);
            compare::<f64>(m, n, k, 3, 0.3, -1.7);
            compare::<f32>(m, n, k, 5, -2.1, 1.0);
        }
    }

    #[test]
    fn portable_has_the_bits_of_the_triple_loop_across_blocks() {
        compare::<f32>(MC + 7, 37, KC + 9, 1, 1.0, 0.7);
        compare::<f32>(9, NC + 35, 17, 0, 0.3, 1.0);
        compare::<f64>(MC + 15, 19, 2 * KC + 1, 0, 1.0, 0.0);
    }

    #[test]
    fn beta_zero_ignores_nan_and_beta_one_keeps_it() {
        let a = [1.0_f64; 9];
        let a = MatrixRef::new(&a, 3, 3).unwrap();
        for length in [0, gemm_scratch(3, 3, 3)] {
            let mut c = [f64::NAN; 9];
            let mut scratch = vec![0.0; length];
            let view = MatrixMut::new(&mut c, 3, 3).unwrap();
            gemm(Product::plain(Arithmetic::Fast), a, a, view, &mut scratch).unwrap();
            assert_eq!(c, [3.0; 9]);
            c[4] = f64::NAN;
            let view = MatrixMut::new(&mut c, 3, 3).unwrap();
            gemm(
                Product {
                    beta: 1.0,
                    ..Product::PLAIN
                },
                a,
                a,
                view,
                &mut scratch,
            )
            .unwrap();
            assert!(c[4].is_nan() && c[0] == 6.0 && c[5] == 6.0);
        }
    }

    #[test]
    fn fast_is_within_the_stated_bound_of_the_exact_product() {
        let (m, n, k) = (45, 70, 300);
        let (a, b) = (painted::<f32>(m * k, 3), painted::<f32>(k * n, 71));
        let (am, bm) = (
            MatrixRef::new(&a, m, k).unwrap(),
            MatrixRef::new(&b, k, n).unwrap(),
        );
        let mut c = vec![0.0_f32; m * n];
        let mut scratch = vec![0.0; gemm_scratch(m, n, k)];
        at_every_level(|level| {
            let view = MatrixMut::new(&mut c, m, n).unwrap();
            gemm(Product::plain(Arithmetic::Fast), am, bm, view, &mut scratch).unwrap();
            for i in 0..m {
                for j in 0..n {
                    let terms = |p: usize| f64::from(a[i * k + p]) * f64::from(b[p * n + j]);
                    let exact: f64 = (0..k).map(terms).sum();
                    let size: f64 = (0..k).map(|p| terms(p).abs()).sum();
                    let bound = (k + 2) as f64 * f64::from(f32::EPSILON) / 2.0 * size;
                    let error = (f64::from(c[i * n + j]) - exact).abs();
                    assert!(error <= bound, "{level:?} {i} {j}: {error} {bound}");
                }
            }
        });
    }

    #[test]
    fn rows_divided_among_workers_have_the_bits_of_the_whole() {
        let (m, n, k) = (61, 45, 90);
        let (a, b) = (painted::<f32>(m * k, 3), painted::<f32>(k * n, 71));
        let a = Factor::from(MatrixRef::new(&a, m, k).unwrap());
        let b = MatrixRef::new(&b, k, n).unwrap();
        let mut scratch = vec![0.0; gemm_scratch(m, n, k)];
        for arithmetic in [Arithmetic::Portable, Arithmetic::Fast] {
            let (mut whole, mut parts) = (vec![0.0; m * n], vec![0.0; m * n]);
            let view = MatrixMut::new(&mut whole, m, n).unwrap();
            gemm(
                Product {
                    arithmetic,
                    alpha: 0.5,
                    ..Product::PLAIN
                },
                a,
                b,
                view,
                &mut scratch,
            )
            .unwrap();
            let mut rest = MatrixMut::new(&mut parts, m, n).unwrap();
            let mut start = 0;
            for rows in [10, 1, 37, 13] {
                let (top, bottom) = rest.split_rows_at(rows);
                let a = a.row_range(start..start + rows).unwrap();
                gemm(
                    Product {
                        arithmetic,
                        alpha: 0.5,
                        ..Product::PLAIN
                    },
                    a,
                    b,
                    top,
                    &mut scratch,
                )
                .unwrap();
                (start, rest) = (start + rows, bottom);
            }
            assert_eq!(whole, parts);
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_named_and_nothing_is_written() {
        let data = [1.0_f32; 12];
        let a = MatrixRef::new(&data, 3, 4).unwrap();
        let mut c = [7.0_f32; 9];
        let mut run = |b: Factor<'_, f32>, m, n| {
            let view = MatrixMut::new(&mut c[..m * n], m, n).unwrap();
            match gemm(Product::PLAIN, a, b, view, &mut []) {
                Err(Error::Length { name, .. }) => name,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(run(a.into(), 3, 3), "rows of b");
        assert_eq!(run(a.t(), 2, 3), "rows of c");
        assert_eq!(run(a.t(), 3, 2), "columns of c");
        assert_eq!(c, [7.0; 9]);
    }
}
