//! Sums over pairs by differences: what the Gram matrix cannot resolve.
//!
//! ```text
//! q_ij  = sum_c (y_ic - y_jc)^2                                      a chain over c for each j, the j on lanes
//! out_i = sum_j k_ij v_j + sum_j l_ij s_j (u_i - u_j)                32-lane sums over j
//! ```
//! Neither distances nor repulsion cancel: both are relative to the pair, wherever it is. Coordinates, drift, weights and what repels are laid
//! out by columns, so that a row of the sums is a few passes over arrays of length n. It is taken by itself: threads, blocks and levels leave the
//! bits alone. Cost: `n^2 (3 m + 5 d)` flops without reuse of registers.

use core::ops::Range;

use super::gram::SHORT;
use super::{Family, KernelSum};
use crate::matrix::MatrixMut;
use crate::memory::InRows;
use crate::memory::must;
use crate::real::kernels;
use crate::simd::{self, Lanes, Sum, Update};
use crate::vector::Kernels as _;
use crate::{Error, Real};

/// Writes the columns of `n` rows of `d` numbers one after another.
pub(super) fn transpose<T: Copy>(n: usize, d: usize, x: &[T], out: &mut [T]) {
    for (c, out) in out.in_rows_mut(n).enumerate() {
        for (out, row) in out.iter_mut().zip(x.in_rows(d)) {
            if let Some(&x) = row.get(c) {
                *out = x;
            }
        }
    }
}

/// `q + (y - a)^2`.
#[derive(Clone, Copy)]
pub(super) struct AddSquare<T>(pub(super) T);
impl<T: Real> Update<T, 1, 1> for AddSquare<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [q]: [L; 1], [y]: [L; 1]) -> [L; 1] {
        let delta = y - q.constant(self.0);
        [q + delta * delta]
    }
}

/// `l s (a - u)`; nothing where l is 0, though the difference may be infinite.
#[derive(Clone, Copy)]
struct Repulsion<T>(T);
impl<T: Real> Sum<T, 3, 1> for Repulsion<T> {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [l, s, u]: [L; 3]) -> [L; 1] {
        let pull = l * (s * (l.constant(self.0) - u));
        [pull.clear(l.eq(l.constant(T::ZERO)))]
    }
}

/// [`Repulsion`] with `s = 1`.
#[derive(Clone, Copy)]
struct Unweighted<T>(T);
impl<T: Real> Sum<T, 2, 1> for Unweighted<T> {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [l, u]: [L; 2]) -> [L; 1] {
        let pull = l * (l.constant(self.0) - u);
        [pull.clear(l.eq(l.constant(T::ZERO)))]
    }
}

kernels! {
    /// The repulsion of one particle in one coordinate.
    trait DifferenceKernels<T> {
        fn repulsion(target: T, l: &[T], s: &[T], u: &[T]) -> T {
            let [pull] = simd::sum(&Repulsion(target), [l, s, u]);
            pull
        }
        fn unweighted_repulsion(target: T, l: &[T], u: &[T]) -> T {
            let [pull] = simd::sum(&Unweighted(target), [l, u]);
            pull
        }
    }
}

/// The operands of the sums by columns.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a, T> {
    /// Drift, then the weights if there are any.
    pub(super) w: &'a [T],
    /// What repels.
    pub(super) u: &'a [T],
}

impl<T: Real> KernelSum<'_, T> {
    /// Sums of the particles of a range; `row` has room for the kernel values of one. Columns of the weights are 0.
    pub(super) fn rows_by_differences(
        &self,
        range: Range<usize>,
        mut out: MatrixMut<'_, T>,
        row: &mut [T],
    ) -> Result<(), Error> {
        let (d, h) = (self.field.d, self.field.h);
        let row = row.get_mut(..self.n()).ok_or(SHORT)?;
        for (sums, i) in out.row_iter_mut().zip(range) {
            sums.fill(T::ZERO);
            let (sums, _) = sums.split_at_mut_checked(d).ok_or(SHORT)?;
            match self.field.family {
                Family::Rbf => self.rows.kernel_row(h, i, row, &mut [])?,
                Family::Imq => self.rows.slope_row(h, i, row)?,
            }
            self.add_repulsion(i, row, sums);
            if self.field.family == Family::Imq {
                self.rows.imq_row(h, i, row)?;
            }
            let drift = self.columns.w.in_rows(self.n());
            for (sum, v) in sums.iter_mut().zip(drift) {
                *sum += T::Kernels::dot(row, v);
            }
        }
        Ok(())
    }

    fn add_repulsion(&self, i: usize, l: &[T], sums: &mut [T]) {
        let (n, c) = (self.n(), self.field.pull());
        let Columns { w, u } = self.columns;
        let target = |u: &[T]| must(u.get(i).copied());
        if self.field.weight.is_some() {
            let weights = w.in_rows(n).skip(self.field.d);
            for ((sum, u), s) in sums.iter_mut().zip(u.in_rows(n)).zip(weights) {
                *sum += c * T::Kernels::repulsion(target(u), l, s, u);
            }
        } else {
            for (sum, u) in sums.iter_mut().zip(u.in_rows(n)) {
                *sum += c * T::Kernels::unweighted_repulsion(target(u), l, u);
            }
        }
    }
}
