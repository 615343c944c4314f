//! Radial kernels and the sums over pairs of particles that every interacting sampler is made of.
//!
//! ```text
//! q_ij = |y_i - y_j|^2                     by the Gram matrix of centred rows, or by differences (below); 0 for i = j
//! RBF  k = exp(-q/h)         grad_{y_j} k = (2/h) k (y_i - y_j)
//! IMQ  k = (1 + q/h)^(-1/2)  grad_{y_j} k = (1/h) (1 + q/h)^(-3/2) (y_i - y_j)
//! out_i = (1/n) sum_j [ k_ij v_j + l_ij s_j (u_i - u_j) ]      l = (2/h) k, or (1/h) (1 + q/h)^(-3/2)
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | y | coordinates in which distances are taken | n x m |
//! | v | what a source adds: its drift | n x d |
//! | s | weight of the repulsion of a source, elementwise; 1 when absent | n x d |
//! | u | what repels, a linear image of the particles | n x d |
//!
//! The gradient is with respect to the *source* j; gradients with respect to i never appear.
//!
//! # How it is done
//! ```text
//! for each block of sources J, of targets I:
//!   K     <- k(|y_i|^2 + |y_j|^2 - 2 Y_I Y_J^T)        a strip of I after another, exponentials on lanes
//!   out_I <- out_I + K W_J                             W = [ v - (2/h) s u | s ]
//!   out_J <- out_J + K^T W_I                           if all are targets, from I > J: the symmetry of K
//! out_i <- (out_i + (2/h) u_i (K s)_i) / n
//! ```
//! Every element is the chain over j of [`gemm`](crate::matrix::gemm()), so blocks, threads and symmetry leave the bits alone. Norms are
//! chains in the order of the Gram matrix: under [`Arithmetic::Portable`] equal rows are at distance 0 exactly. Cost:
//! `n^2 (m + 2 d)` flops and `n^2 / 2` exponentials; rows by themselves, for threads, `n^2 (2 m + 2 d)` and `n^2`. Repulsion of
//! the IMQ kernel has separate weights and costs the same again. Values of the Gaussian kernel below the least normal number are 0.
//!
//! # Rows far from the mean
//! A distance of the Gram matrix carries an error of `2 m u (|y_i|^2 + |y_j|^2)` with `u` the unit roundoff and `y` centred, and a repulsion
//! `(2/h) (u_i sum k - sum k u_j)` one of `u |u_i| / h`. Both are small next to what they act on while every row lies within `16 sqrt(h)`
//! of the mean, `|y_i|^2 <= 256 h`: kernel values are then right to `2^10 m u` at worst, most of them to a few `u`. As soon as one
//! row is further out (a particle that was thrown away, two clusters that are far apart) all sums of that step are taken by differences,
//! pair by pair: `q = sum (y_ic - y_jc)^2` and `l s (u_i - u_j)`, whose errors are relative to the pair, wherever it is. A common offset
//! does neither harm nor slow down. The coordinates and h alone decide, not the level, the scratch or the threads, so the bits are the same
//! everywhere. The price is paid while such a row is there: `n^2 (3 m + 5 d)` flops without tiles. Microseconds of
//! [`svgd::direction_into`](crate::particle::svgd::direction_into), `f32`, one thread, Zen 4 with AVX-512, draws of N(0, I) and the same with one of them 1e6 away:
//!
//! | (n, d) | fixed h | one lost | median rule | one lost |
//! |---|---|---|---|---|
//! | (100, 2) | 12 | 26 | 17 | 39 |
//! | (100, 10) | 16 | 105 | 21 | 132 |
//! | (1000, 50) | 2030 | 11800 | 2230 | 15100 |
//! | (2000, 200) | 25800 | 143000 | 29200 | 183000 |
//!
//! A sum is a chain of n terms in the scalar type, not pairwise and not in `f64`: it adds up to `n u` of the sum of magnitudes.
//!
//! Rejected: differences pair by pair for every cloud (no tile reuse), a robust centre such as the coordinate-wise median (cures
//! one lost particle, not two, nor two far clusters), one `n x n` matrix (memory traffic instead of
//! arithmetic, from n = 1000), and two calls of `gemm` for each block (kernel values are packed again: 1.4 times slower).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices and sizes of matrices that are slices in memory"
)]

mod differences;
mod gram;
mod panels;
mod profile;

use core::ops::Range;

use self::differences::{Columns, transpose};
use self::gram::{SHORT, resolving_centred, subtract_mean};
use self::panels::{Job, Panels, Term};
use self::profile::Profile;
use crate::error::{check, check_length, check_scratch};
use crate::matrix::{MatrixMut, MatrixRef};
use crate::memory::InRows;
use crate::memory::take;
use crate::real::kernels;
use crate::simd;
use crate::{Arithmetic, Error, Real};

pub(crate) use self::differences::DifferenceKernels;
pub(crate) use self::gram::{Rows, distances_scratch_len, resolving};
pub(crate) use self::panels::{Kept, distances_len, kept_len};

/// Family of the kernel.
///
/// ```
/// assert_eq!(thalweg::pairs::Family::default(), thalweg::pairs::Family::Rbf);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Family {
    /// `exp(-q/h)`.
    #[default]
    Rbf,
    /// `(1 + q/h)^(-1/2)`, with tails that reach isolated particles.
    Imq,
}

/// One sum over pairs; see the [module](self).
///
/// ```
/// use thalweg::pairs::{Family, Field, Sequential, field_into, field_scratch_len};
/// // Two particles at distance 1 with k = exp(-1/2) repel by (2/h) k / n = k / 2.
/// let (y, drift) = ([0.0_f64, 1.0], [0.0; 2]);
/// let field = Field { m: 1, y: &y, d: 1, drift: &drift, weight: None, repel: &y, ..Field::rbf(2.0) };
/// let (mut out, mut scratch) = ([0.0; 2], [0.0; field_scratch_len(2, 1, 1, false)]);
/// field_into(&mut Sequential, &field, &mut out, &mut scratch)?;
/// assert!((out[1] - (-0.5_f64).exp() / 2.0).abs() < 1e-15 && out[0] == -out[1]);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Field<'a, T> {
    /// Family of the kernel.
    pub family: Family,
    /// Bandwidth, a squared length; positive.
    pub h: T,
    /// Arithmetic of the two products.
    pub arithmetic: Arithmetic,
    /// Columns of `y`.
    pub m: usize,
    /// Coordinates of the kernel, `n m`.
    pub y: &'a [T],
    /// Columns of `drift`, `weight` and `repel`.
    pub d: usize,
    /// Drift of the sources, `n d`.
    pub drift: &'a [T],
    /// Weight of the repulsion of a source, `n d`; 1 when absent.
    pub weight: Option<&'a [T]>,
    /// What repels, `n d`.
    pub repel: &'a [T],
}

impl<T: Real> Field<'_, T> {
    /// No particles yet, under a Gaussian kernel.
    ///
    /// ```
    /// assert_eq!(thalweg::pairs::Field::rbf(2.0_f32).h, 2.0);
    /// ```
    pub const fn rbf(h: T) -> Self {
        Self {
            family: Family::Rbf,
            h,
            arithmetic: Arithmetic::Portable,
            m: 1,
            y: &[],
            d: 1,
            drift: &[],
            weight: None,
            repel: &[],
        }
    }

    /// Factor of the repulsion: `2/h`, or `1/h` before the slope of IMQ.
    fn pull(&self) -> T {
        // h > 0 is checked.
        match self.family {
            Family::Rbf => (T::ONE + T::ONE) / self.h,
            Family::Imq => T::ONE / self.h,
        }
    }
}

/// Columns of the sums: the drift and one weight, or a weight for each column.
const fn columns(d: usize, is_weighted: bool) -> usize {
    d.saturating_add(if is_weighted { d } else { 1 })
}

/// Elements that [`field_into`] keeps in addition to its blocks.
const fn fixed_len(n: usize, m: usize, d: usize, is_weighted: bool) -> usize {
    // Centred y, its norms, centred u, the columns w and their sums.
    let row = m
        .saturating_add(1)
        .saturating_add(d)
        .saturating_add(columns(d, is_weighted).saturating_mul(2));
    n.saturating_mul(row)
}

/// Elements of scratch with which [`field_into`] runs at full speed.
///
/// `n (m + d + 2 q + 1)` with `q = d + 1` (`2 d` with weights), about `2 n (m + q)` for the packed factors, and blocks of kernel
/// values whose size does not grow.
///
/// ```
/// use thalweg::pairs::{field_scratch_len, least_field_scratch_len};
/// assert_eq!(least_field_scratch_len(32, 2, 2, false), 32 * (2 + 1 + 2 + 6) + 32);
/// assert!(field_scratch_len(2000, 200, 200, false) < 2000 * 2000);
/// ```
pub const fn field_scratch_len(n: usize, m: usize, d: usize, is_weighted: bool) -> usize {
    fixed_len(n, m, d, is_weighted).saturating_add(panels::scratch_len(
        n,
        n,
        m,
        columns(d, is_weighted),
    ))
}

/// Elements of scratch that [`field_into`] needs: one row of kernel values, and plain loops. The bits are the same.
///
/// ```
/// assert_eq!(thalweg::pairs::least_field_scratch_len(10, 1, 1, false), 70 + 10);
/// ```
pub const fn least_field_scratch_len(n: usize, m: usize, d: usize, is_weighted: bool) -> usize {
    fixed_len(n, m, d, is_weighted).saturating_add(n)
}

/// A sum whose sources are laid out: rows of it may be taken by several threads.
///
/// Made by [`field_into`] and handed to its [`Executor`].
#[derive(Clone, Copy)]
pub struct KernelSum<'a, T> {
    rows: Rows<'a, T>,
    /// `[v - c s u | s]` with `c = 2/h`; for IMQ `[-c s u | s]` with `c = 1/h`, and `v` apart.
    w: MatrixRef<'a, T>,
    columns: Columns<'a, T>,
    field: Field<'a, T>,
    kept: Option<Kept<'a, T>>,
}

impl<T: Real> core::fmt::Debug for KernelSum<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "KernelSum({} x {})", self.n(), self.columns())
    }
}

impl<T: Real> KernelSum<'_, T> {
    /// Number of particles.
    pub const fn n(&self) -> usize {
        self.rows.n()
    }

    /// Columns of the sums.
    pub const fn columns(&self) -> usize {
        self.w.columns()
    }

    /// Elements of scratch with which the sums of `rows` particles run at full speed; [`n`](Self::n) are enough.
    pub const fn scratch_len(&self, rows: usize) -> usize {
        if self.rows.is_explicit {
            return self.n();
        }
        panels::scratch_len(self.n(), rows, self.rows.y.columns(), self.columns())
    }

    /// Sums of the particles of a range, [`columns`](Self::columns) for each; the bits do not depend on how ranges are cut.
    ///
    /// # Errors
    /// [`Error::Length`] when `out` or `scratch` is too short, [`Error::Parameter`] for a range past the end.
    pub fn sum_rows_into(
        &self,
        range: Range<usize>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        T::Kernels::kernel_sums(self, range, out, scratch)
    }

    fn sums_of(&self, range: Range<usize>, out: &mut [T], scratch: &mut [T]) -> Result<(), Error> {
        check_scratch("scratch", self.n(), scratch.len())?;
        check(
            "range",
            self.rows.norms.get(range.clone()).is_some(),
            "must be among the particles",
        )?;
        let mut out = MatrixMut::new(out, range.len(), self.columns())?;
        if self.rows.is_explicit {
            return self.rows_by_differences(range, out, scratch);
        }
        let (h, w) = (self.field.h, self.w);
        let is_added = false;
        if self.field.family == Family::Rbf {
            let profile = Profile::Rbf;
            let term = Term {
                profile,
                h,
                w,
                is_added,
            };
            return self.sum(term, range, out, scratch);
        }
        let drift = MatrixRef::new(self.field.drift, self.n(), self.field.d)?;
        let slope = Term {
            profile: Profile::ImqSlope,
            h,
            w,
            is_added,
        };
        self.sum(slope, range.clone(), out.reborrow(), scratch)?;
        // The chain of the drift follows that of the repulsion in the first columns.
        let out = out.block_mut(0..range.len(), 0..drift.columns())?;
        let drift = Term {
            profile: Profile::Imq,
            h,
            w: drift,
            is_added: true,
        };
        self.sum(drift, range, out, scratch)
    }

    /// A term of some rows.
    fn sum(
        &self,
        term: Term<'_, T>,
        targets: Range<usize>,
        out: MatrixMut<'_, T>,
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let rows = self.rows;
        if scratch.len() < self.scratch_len(targets.len()) {
            return rows.add_rows(term, targets, out, scratch);
        }
        let job = Job {
            rows,
            term,
            kept: self.kept,
            targets,
            out,
            scratch,
        };
        match rows.arithmetic {
            Arithmetic::Portable => simd::dispatch(Panels::<T, false>(job)),
            Arithmetic::Fast => simd::dispatch(Panels::<T, true>(job)),
        }
        Ok(())
    }
}

kernels! {
    /// Sums and medians over pairs.
    trait PairKernels<T> {
        fn kernel_sums(
            sources: &KernelSum<'_, T>,
            range: Range<usize>,
            out: &mut [T],
            scratch: &mut [T],
        ) -> Result<(), Error> {
            sources.sums_of(range, out, scratch)
        }
        fn median_of_pairs<'a>(
            arithmetic: Arithmetic,
            m: usize,
            y: &[T],
            scratch: &mut [T],
            room: &'a mut [T],
        ) -> Result<(T, Option<Kept<'a, T>>), Error> {
            crate::particle::bandwidth::median_keeping(arithmetic, m, y, scratch, room)
        }
    }
}

/// Who takes the sums: the calling thread ([`Sequential`]), or several.
///
/// ```
/// # use thalweg::particle::Particles;
/// use thalweg::pairs::{Executor, KernelSum};
/// /// One row after another, as the slowest machine would.
/// struct RowByRow;
/// impl Executor<f32> for RowByRow {
///     fn sums_into(&mut self, s: &KernelSum<'_, f32>, out: &mut [f32], scratch: &mut [f32]) -> Result<(), thalweg::Error> {
///         let rows = out.chunks_exact_mut(s.columns()).enumerate();
///         rows.into_iter().try_for_each(|(i, out)| s.sum_rows_into(i..i + 1, out, scratch))
///     }
/// }
/// # use thalweg::particle::svgd;
/// # let (mut x, mut y) = ([0.0_f32, 1.0, 3.0, -2.0], [0.0_f32, 1.0, 3.0, -2.0]);
/// # let mut scratch = [0.0; 4000];
/// # let config = svgd::Config::new(0.1);
/// # svgd::step(&config, &mut svgd::State::<[f32; 0]>::new(), Particles::new(2, &mut x), &[1.0; 4], &mut scratch)?;
/// # svgd::step_with(&mut RowByRow, &config, &mut svgd::State::<[f32; 0]>::new(), Particles::new(2, &mut y), &[1.0; 4], &mut scratch)?;
/// # assert_eq!(x, y);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub trait Executor<T: Real> {
    /// Writes all sums, `n` rows of [`KernelSum::columns`], with the bits of [`KernelSum::sum_rows_into`].
    ///
    /// # Errors
    /// Those of [`KernelSum::sum_rows_into`].
    fn sums_into(
        &mut self,
        sources: &KernelSum<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error>;
}

/// The calling thread takes all sums.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sequential;

impl<T: Real> Executor<T> for Sequential {
    fn sums_into(
        &mut self,
        sources: &KernelSum<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        sources.sum_rows_into(0..sources.n(), out, scratch)
    }
}

/// Writes the field of [`Field`], `n d` numbers.
///
/// Scratch: [`field_scratch_len`], or anything down to [`least_field_scratch_len`]: rows are then taken fewer at a time, by plain
/// loops, with the same bits (under [`Arithmetic::Portable`]).
///
/// # Errors
/// [`Error::Length`] when the shapes do not fit, [`Error::Parameter`] when `h` or its inverse is not finite and positive; `out` is
/// unchanged. What is finite or not is checked by the samplers.
pub fn field_into<T: Real>(
    executor: &mut impl Executor<T>,
    field: &Field<'_, T>,
    out: &mut [T],
    scratch: &mut [T],
) -> Result<(), Error> {
    field_from(executor, field, None, out, scratch)
}

/// [`field_into`] with the distances of `y` under this arithmetic, if they are at hand: the scratch then begins with what they were made from,
/// centred rows and their norms.
pub(crate) fn field_from<T: Real>(
    executor: &mut impl Executor<T>,
    field: &Field<'_, T>,
    kept: Option<Kept<'_, T>>,
    out: &mut [T],
    mut scratch: &mut [T],
) -> Result<(), Error> {
    let Field {
        m,
        d,
        h,
        arithmetic,
        weight,
        ..
    } = *field;
    let n = crate::particle::count(field.y.len(), m)?;
    let (len, q) = (n.saturating_mul(d), columns(d, weight.is_some()));
    check_length("drift", len, field.drift.len())?;
    check_length("weight", len, weight.map_or(len, <[T]>::len))?;
    check_length("repel", len, field.repel.len())?;
    check_length("out", len, out.len())?;
    crate::particle::check_positive("h", h.to_f64())?;
    let (is_rbf, c) = (field.family == Family::Rbf, field.pull());
    check("h", c.is_finite(), "must have a finite inverse")?;
    let least = least_field_scratch_len(n, m, d, weight.is_some());
    check_scratch("scratch", least, scratch.len())?;
    if len == 0 {
        return Ok(());
    }
    let y = take(&mut scratch, field.y.len());
    let norms = take(&mut scratch, n);
    let u = take(&mut scratch, len);
    let w = take(&mut scratch, n * q);
    let sums = take(&mut scratch, n * q);
    let rows = match kept {
        Some(_) => resolving_centred(arithmetic, m, field.y, y, norms, h)?,
        None => resolving(arithmetic, m, field.y, y, norms, h)?,
    };
    // Differences do not see a shift of u, and the sums lose fewer digits near the origin.
    if m == d && core::ptr::eq(field.y, field.repel) && !rows.is_explicit {
        for (u, y) in u.in_rows_mut(d).zip(rows.y.row_iter()) {
            for (u, &y) in u.iter_mut().zip(y) {
                *u = y;
            }
        }
    } else {
        subtract_mean(d, field.repel, u);
    }
    let one = T::ONE;
    for ((w, u), v) in w
        .in_rows_mut(q)
        .zip(u.in_rows(d))
        .zip(field.drift.in_rows(d))
    {
        let (w, s) = w.split_at_mut_checked(d).ok_or(SHORT)?;
        s.fill(one);
        for ((w, &u), &v) in w.iter_mut().zip(u).zip(v) {
            *w = if is_rbf { v - c * u } else { -(c * u) };
        }
    }
    if let Some(weight) = weight {
        let rows = w.in_rows_mut(q).zip(u.in_rows(d));
        let drifts = field.drift.in_rows(d).zip(weight.in_rows(d));
        for ((w, u), (v, weight)) in rows.zip(drifts) {
            let (w, s) = w.split_at_mut_checked(d).ok_or(SHORT)?;
            for ((((w, s), &u), &v), &weight) in w.iter_mut().zip(s).zip(u).zip(v).zip(weight) {
                let pull = c * (weight * u);
                *w = if is_rbf { v - pull } else { -pull };
                *s = weight;
            }
        }
    }
    if rows.is_explicit {
        transpose(n, d, field.repel, u);
        let (drift, weights) = w.split_at_mut_checked(len).ok_or(SHORT)?;
        transpose(n, d, field.drift, drift);
        if let Some(weight) = weight {
            transpose(n, d, weight, weights);
        }
    }
    let sources = KernelSum {
        rows,
        columns: Columns { w, u },
        w: MatrixRef::new(w, n, q)?,
        field: *field,
        kept,
    };
    executor.sums_into(&sources, sums, scratch)?;
    // n >= 1: len > 0.
    let inverse = one / T::from_usize(n);
    if rows.is_explicit {
        // The sums hold differences.
        for (out, sums) in out.in_rows_mut(d).zip(sums.in_rows(q)) {
            for (out, &sum) in out.iter_mut().zip(sums) {
                *out = sum * inverse;
            }
        }
        return Ok(());
    }
    for ((out, sums), u) in out.in_rows_mut(d).zip(sums.in_rows(q)).zip(u.in_rows(d)) {
        let (sums, s) = sums.split_at_checked(d).ok_or(SHORT)?;
        if let [s] = *s {
            // One weight for all columns (or the only one).
            for ((out, &sum), &u) in out.iter_mut().zip(sums).zip(u) {
                *out = (sum + c * (u * s)) * inverse;
            }
        } else {
            for (((out, &sum), &u), &s) in out.iter_mut().zip(sums).zip(u).zip(s) {
                *out = (sum + c * (u * s)) * inverse;
            }
        }
    }
    Ok(())
}
