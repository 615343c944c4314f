//! Arc-cosine kernels of order 0 and 1 at any depth, and the tangent kernel of the same networks.
//!
//! A network of random weights becomes a Gaussian process as its layers widen. Its covariance depends on two inputs through the cosine `c`
//! of their angle alone, and each hidden layer maps that cosine:
//!
//! ```text
//! K^1 = c = <x, y> / (|x| |y|)
//! K^(l+1) = h(K^l)                        h(c) = (sqrt(1 - c^2) + c (pi - acos c)) / pi     order 1, sqrt(2) relu
//!                                         h(c) = 1 - acos(c) / pi                           order 0, sqrt(2) step
//! Theta^1 = K^1,   Theta^(l+1) = K^(l+1) + Theta^l h'(K^l)      h' of order 1 is h of order 0
//! ```
//!
//! `L` layers of weights apply `h` `L - 1` times. `Theta`, the neural tangent kernel, is that of training all layers, every weight scaled by
//! `1/sqrt(fan_in)`; its diagonal is exactly `L`, that of `K` exactly 1.
//!
//! # Angles near 0 and pi
//! `h` has slope 1 and a square-root singularity at `c = 1`, where a rounded cosine has lost the angle. With `g(x) = (1/pi) int_0^x acos(1 -
//! t) dt` ([`acos_1m_integral`](crate::simd::math::acos_1m_integral)) the layer is `h(c) = g(1 + c)` and `1 - h(c) = (1 - c) - g(1 - c)`: no
//! cancellation and no arc cosine, one square root and one polynomial. So `1 - c` (or `1 + c`, while the cosine is negative) is carried through
//! the layers as a separate quantity, and the kernel is one less that, rounded once. Pairs of rows whose cosine is within 1/64 of 1 or -1
//! take it as half the squared distance of the normalised rows, not from the inner product: relative error of `1 -+ c` about `d u` up to
//! angles of `u`, `u` the unit roundoff. Each layer adds about `3 u`.
//!
//! # Memory and cost
//! `N` and `M` rows of `d` numbers: the destination, and [`scratch_len`] numbers for normalised rows and packed factors. `N^2 d` flops for
//! the inner products of one set ([`syrk`]), then about 30 flops a layer and pair below the diagonal; twice that for two sets.
//! [`Config::arithmetic`] is that of the inner products; layers are always portable.
//!
//! Reference: Cho and Saul, *Kernel methods for deep learning* (2009), equations 4 to 8; Jacot, Gabriel and Hongler, *Neural tangent kernel*
//! (2018), theorem 1; Lee et al., *Deep neural networks as Gaussian processes* (2018).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of rows that are slices in memory"
)]

use crate::error::{At, check, check_length, check_scratch, ensure_finite_at};
use crate::kernel::Kernels as _;
use crate::matrix::{MatrixMut, MatrixRef, Product, Upper, gemm, gemm_scratch, symmetrize, syrk};
use crate::memory::{cut, must_or};
use crate::{Arithmetic, Error, Real, vector};

pub(super) mod layers;

/// Cosines of a larger magnitude are computed from distances.
const NEAR: f64 = 1.0 - 1.0 / 64.0;

/// The unit of the hidden layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// `sqrt(2)` times the unit step.
    Zero,
    /// `sqrt(2) max(0, x)`.
    #[default]
    One,
}

/// An infinitely wide network.
///
/// ```
/// use thalweg::kernel::arc_cosine::{Config, Order};
/// let config = Config::new(3);
/// assert_eq!((config.depth, config.order), (3, Order::One));
/// assert!(Config::new(0).validate().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Layers of weights, `L >= 1`; 1 is the linear kernel.
    pub depth: usize,
    /// The hidden units; rectifiers by default.
    pub order: Order,
    /// Arithmetic of the inner products.
    pub arithmetic: Arithmetic,
}

impl Config {
    /// A network of rectifiers with so many layers of weights.
    #[must_use]
    pub const fn new(depth: usize) -> Self {
        Self {
            depth,
            order: Order::One,
            arithmetic: Arithmetic::Portable,
        }
    }

    /// Checks the depth.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `depth` 0.
    pub fn validate(&self) -> Result<(), Error> {
        check("depth", self.depth > 0, "must be positive")
    }

    /// The tangent kernel needs a unit with a slope.
    fn validate_tangent(&self) -> Result<(), Error> {
        self.validate()?;
        check(
            "order",
            self.order == Order::One,
            "must be one: the slope of a step is zero",
        )
    }
}

/// Elements of scratch for kernels between `n` and `m` rows of `d` numbers; `m = 0` for kernels within one set.
///
/// ```
/// use thalweg::kernel::arc_cosine::scratch_len;
/// use thalweg::matrix::gemm_scratch;
/// assert_eq!(scratch_len(10, 0, 3), 30 + gemm_scratch(10, 10, 3));
/// assert_eq!(scratch_len(10, 20, 3), 90 + gemm_scratch(10, 20, 3));
/// ```
#[must_use]
pub const fn scratch_len(n: usize, m: usize, d: usize) -> usize {
    let other = if m == 0 { n } else { m };
    n.saturating_add(m)
        .saturating_mul(d)
        .saturating_add(gemm_scratch(n, other, d))
}

/// Kernel of all pairs of rows of `x`: symmetric, with a unit diagonal.
///
/// `x` is `n x d`, `out` is `n x n`. Equal rows have a kernel of exactly 1. Scratch: [`scratch_len`]`(n, 0, d)`; with at least `n d` but fewer,
/// plain loops give the same bits (with [`Arithmetic::Portable`]).
///
/// # Errors
/// [`Error::Parameter`] for a depth of 0, [`Error::Length`] when shapes or scratch do not fit, [`Error::NonFinite`] named `x` with the first
/// row that holds NaN or infinity, or `direction of x` with the first row that is zero. `out` is unchanged.
///
/// ```
/// use thalweg::kernel::arc_cosine::{Config, nngp_into, scratch_len};
/// use thalweg::matrix::{MatrixMut, MatrixRef};
/// // Two orthogonal rows: h(0) = 1 / pi.
/// let x = MatrixRef::new(&[3.0_f64, 0.0, 0.0, 4.0], 2, 2)?;
/// let mut k = [0.0; 4];
/// let mut scratch = [0.0; scratch_len(2, 0, 2)];
/// nngp_into(&Config::new(2), x, MatrixMut::new(&mut k, 2, 2)?, &mut scratch)?;
/// assert!((k[0], k[3]) == (1.0, 1.0) && k[1] == k[2]);
/// assert!((k[1] - core::f64::consts::FRAC_1_PI).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn nngp_into<T: Real>(
    config: &Config,
    x: MatrixRef<'_, T>,
    mut out: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    config.validate()?;
    gaps_within(config.arithmetic, x, "out", &mut out, scratch)?;
    for (i, row) in out.row_iter_mut().enumerate() {
        if let Some(row) = row.get_mut(..=i) {
            T::Kernels::nngp_of_gaps(*config, row);
        }
    }
    symmetrize(out)
}

/// Kernel between the rows of `x` and those of `y`.
///
/// `x` is `n x d`, `y` is `m x d`, `out` is `n x m`. Scratch: [`scratch_len`]`(n, m, d)`, or down to `(n + m) d` as in [`nngp_into`].
///
/// # Errors
/// As [`nngp_into`], with `y` as well; `out` is unchanged.
///
/// ```
/// use thalweg::kernel::arc_cosine::{Config, nngp_between_into, scratch_len};
/// use thalweg::matrix::{MatrixMut, MatrixRef};
/// // Parallel and antiparallel: h(1) = 1, h(-1) = 0.
/// let (x, y) = (MatrixRef::new(&[2.0_f32], 1, 1)?, MatrixRef::new(&[3.0_f32, -5.0], 2, 1)?);
/// let mut k = [9.0; 2];
/// nngp_between_into(&Config::new(2), x, y, MatrixMut::new(&mut k, 1, 2)?, &mut [0.0; scratch_len(1, 2, 1)])?;
/// assert_eq!(k, [1.0, 0.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn nngp_between_into<T: Real>(
    config: &Config,
    x: MatrixRef<'_, T>,
    y: MatrixRef<'_, T>,
    mut out: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    config.validate()?;
    gaps_between(config.arithmetic, x, y, "out", &mut out, scratch)?;
    for row in out.row_iter_mut() {
        T::Kernels::nngp_of_gaps(*config, row);
    }
    Ok(())
}

/// Kernel and tangent kernel of all pairs of rows of `x`; the diagonals are exactly 1 and `depth`.
///
/// Both destinations are `n x n`. Work as for [`nngp_into`].
///
/// # Errors
/// As [`nngp_into`]; [`Error::Parameter`] for [`Order::Zero`] too.
///
/// ```
/// use thalweg::kernel::arc_cosine::{Config, tangent_into, scratch_len};
/// use thalweg::matrix::{MatrixMut, MatrixRef};
/// let x = MatrixRef::new(&[3.0_f64, 0.0, 0.0, 4.0], 2, 2)?;
/// let (mut k, mut theta) = ([0.0; 4], [0.0; 4]);
/// let (nngp, ntk) = (MatrixMut::new(&mut k, 2, 2)?, MatrixMut::new(&mut theta, 2, 2)?);
/// tangent_into(&Config::new(2), x, nngp, ntk, &mut [0.0; scratch_len(2, 0, 2)])?;
/// // Theta = h(0) + 0 h'(0) away from the diagonal.
/// assert_eq!((theta[0], theta[1]), (2.0, k[1]));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn tangent_into<T: Real>(
    config: &Config,
    x: MatrixRef<'_, T>,
    mut nngp: MatrixMut<'_, T>,
    mut ntk: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    config.validate_tangent()?;
    check_length("rows of ntk", x.rows(), ntk.rows())?;
    check_length("columns of ntk", x.rows(), ntk.columns())?;
    gaps_within(config.arithmetic, x, "nngp", &mut nngp, scratch)?;
    let rows = nngp.row_iter_mut().zip(ntk.row_iter_mut());
    for (i, (k, theta)) in rows.enumerate() {
        if let (Some(k), Some(theta)) = (k.get_mut(..=i), theta.get_mut(..=i)) {
            T::Kernels::tangent_of_gaps(config.depth - 1, k, theta);
        }
    }
    symmetrize(nngp)?;
    symmetrize(ntk)
}

/// Kernel and tangent kernel between the rows of `x` and those of `y`, both `n x m`.
///
/// Work as for [`nngp_between_into`].
///
/// # Errors
/// As [`tangent_into`], with `y` as well.
///
/// ```
/// use thalweg::kernel::arc_cosine::{Config, tangent_between_into, scratch_len};
/// use thalweg::matrix::{MatrixMut, MatrixRef};
/// let (x, y) = (MatrixRef::new(&[2.0_f32], 1, 1)?, MatrixRef::new(&[3.0_f32, -5.0], 2, 1)?);
/// let (mut k, mut theta) = ([9.0; 2], [9.0; 2]);
/// let (nngp, ntk) = (MatrixMut::new(&mut k, 1, 2)?, MatrixMut::new(&mut theta, 1, 2)?);
/// tangent_between_into(&Config::new(3), x, y, nngp, ntk, &mut [0.0; scratch_len(1, 2, 1)])?;
/// // h(h(-1)) = h(0), and the slope at the first layer is 0.
/// assert!(theta[0] == 3.0 && theta[1] == k[1] && k[1] > 0.3183 && k[1] < 0.3184);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn tangent_between_into<T: Real>(
    config: &Config,
    x: MatrixRef<'_, T>,
    y: MatrixRef<'_, T>,
    mut nngp: MatrixMut<'_, T>,
    mut ntk: MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    config.validate_tangent()?;
    check_length("rows of ntk", x.rows(), ntk.rows())?;
    check_length("columns of ntk", y.rows(), ntk.columns())?;
    gaps_between(config.arithmetic, x, y, "nngp", &mut nngp, scratch)?;
    for (k, theta) in nngp.row_iter_mut().zip(ntk.row_iter_mut()) {
        T::Kernels::tangent_of_gaps(config.depth - 1, k, theta);
    }
    Ok(())
}

/// Replaces cosines by kernels, element by element; they are clipped to [-1, 1], and NaN stays.
///
/// # Errors
/// [`Error::Parameter`] for a depth of 0.
///
/// ```
/// use thalweg::kernel::arc_cosine::{Config, nngp_of_cosines};
/// let mut c = [0.4_f64, 1.0, -1.0];
/// nngp_of_cosines(&Config::new(2), &mut c)?;
/// assert!((c[0] - 0.5441318).abs() < 1e-7);
/// assert_eq!(c[1..], [1.0, 0.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn nngp_of_cosines<T: Real>(config: &Config, cosines: &mut [T]) -> Result<(), Error> {
    config.validate()?;
    T::Kernels::gaps_of_cosines(cosines);
    T::Kernels::nngp_of_gaps(*config, cosines);
    Ok(())
}

/// Replaces signed gaps by kernels, and writes tangent kernels: for angles that a rounded cosine does not resolve.
///
/// A gap `s >= 0` is `1 - c`, one below zero is `-(1 + c)`, and -0 means `c = -1`; magnitudes up to 1. Others give NaN.
///
/// # Errors
/// [`Error::Parameter`] for a depth of 0 or [`Order::Zero`], [`Error::Length`] when the lengths differ.
///
/// ```
/// use thalweg::kernel::arc_cosine::{Config, tangent_of_gaps};
/// let (mut k, mut theta) = ([0.0_f64, -0.0, 1.0], [0.0; 3]);
/// tangent_of_gaps(&Config::new(2), &mut k, &mut theta)?;
/// assert_eq!((k[0], k[1], theta[0], theta[1]), (1.0, 0.0, 2.0, 0.0));
/// assert_eq!(theta[2], k[2]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn tangent_of_gaps<T: Real>(
    config: &Config,
    gaps: &mut [T],
    ntk: &mut [T],
) -> Result<(), Error> {
    config.validate_tangent()?;
    check_length("ntk", gaps.len(), ntk.len())?;
    for gap in gaps.iter_mut() {
        if gap.abs() > T::ONE {
            *gap = T::NAN;
        }
    }
    T::Kernels::tangent_of_gaps(config.depth - 1, gaps, ntk);
    Ok(())
}

/// Checks that every row has a direction.
fn check_rows<T: Real>(names: [&'static str; 2], x: MatrixRef<'_, T>) -> Result<(), Error> {
    let [name, direction] = names;
    for (index, row) in x.row_iter().enumerate() {
        let is_finite = vector::first_non_finite(row).is_none();
        ensure_finite_at(name, is_finite, At::Row(index))?;
        let has_direction = vector::norm_inf(row) != T::ZERO;
        ensure_finite_at(direction, has_direction, At::Row(index))?;
    }
    Ok(())
}

const X: [&str; 2] = ["x", "direction of x"];
const Y: [&str; 2] = ["y", "direction of y"];

/// Rows over their norms; none is zero: see [`check_rows`].
fn normalise<'a, T: Real>(
    x: MatrixRef<'_, T>,
    out: &'a mut [T],
) -> Result<MatrixRef<'a, T>, Error> {
    let (n, d) = (x.rows(), x.columns());
    for (out, x) in MatrixMut::new(out, n, d)?.row_iter_mut().zip(x.row_iter()) {
        // Powers of two: a norm that is subnormal has lost digits, and one may overflow where the numbers do not.
        let (norm, least) = (vector::norm2(x), T::MIN_POSITIVE);
        let scale = if norm < least / T::EPSILON {
            T::ONE / least
        } else if norm.is_finite() {
            T::ONE
        } else {
            least
        };
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x * scale;
        }
        // Not zero: the row is not.
        let norm = vector::norm2(out);
        out.iter_mut().for_each(|x| *x /= norm);
    }
    MatrixRef::new(out, n, d)
}

/// Signed gaps of all pairs of rows in the lower triangle; on the diagonal 0.
fn gaps_within<T: Real>(
    arithmetic: Arithmetic,
    x: MatrixRef<'_, T>,
    name: &'static str,
    out: &mut MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    let n = x.rows();
    check_length(name, n, out.rows())?;
    check_length(name, n, out.columns())?;
    let units = n.saturating_mul(x.columns());
    check_scratch("scratch", units, scratch.len())?;
    check_rows(X, x)?;
    let ([units], pack) = cut(scratch, [units])?;
    let x = normalise(x, units)?;
    let plain = Product::plain(arithmetic);
    syrk(plain, x, Upper::Leave, out.reborrow(), pack)?;
    for (i, (row, u)) in out.row_iter_mut().zip(x.row_iter()).enumerate() {
        let Some((row, rest)) = row.split_at_mut_checked(i) else {
            break;
        };
        if let Some(diagonal) = rest.first_mut() {
            *diagonal = T::ZERO;
        }
        gaps_of_row(u, x, row);
    }
    Ok(())
}

/// Signed gaps of all pairs of a row of `x` and a row of `y`.
fn gaps_between<T: Real>(
    arithmetic: Arithmetic,
    x: MatrixRef<'_, T>,
    y: MatrixRef<'_, T>,
    name: &'static str,
    out: &mut MatrixMut<'_, T>,
    scratch: &mut [T],
) -> Result<(), Error> {
    let d = x.columns();
    check_length("columns of y", d, y.columns())?;
    check_length(name, x.rows(), out.rows())?;
    check_length(name, y.rows(), out.columns())?;
    let (nx, ny) = (x.rows().saturating_mul(d), y.rows().saturating_mul(d));
    check_scratch("scratch", nx.saturating_add(ny), scratch.len())?;
    check_rows(X, x)?;
    check_rows(Y, y)?;
    let ([x_units, y_units], pack) = cut(scratch, [nx, ny])?;
    let (x, y) = (normalise(x, x_units)?, normalise(y, y_units)?);
    let plain = Product::plain(arithmetic);
    gemm(plain, x, y.t(), out.reborrow(), pack)?;
    for (row, u) in out.row_iter_mut().zip(x.row_iter()) {
        gaps_of_row(u, y, row);
    }
    Ok(())
}

/// Replaces the cosines of a unit vector with rows by signed gaps.
fn gaps_of_row<T: Real>(u: &[T], rows: MatrixRef<'_, T>, cosines: &mut [T]) {
    const CHUNK: usize = 64;
    let near = T::from_f64(NEAR);
    for (at, chunk) in (0..).step_by(CHUNK).zip(cosines.chunks_mut(CHUNK)) {
        // Few chunks hold such a pair, and the count vectorises.
        let found: u32 = chunk.iter().map(|c| u32::from(c.abs() > near)).sum();
        let mut flags = [T::ZERO; CHUNK];
        if found > 0 {
            for (flag, &c) in flags.iter_mut().zip(&*chunk) {
                *flag = c;
            }
        }
        T::Kernels::gaps_of_cosines(chunk);
        if found > 0 {
            for (j, (gap, c)) in chunk.iter_mut().zip(flags).enumerate() {
                if c.abs() > near {
                    *gap = near_gap(u, must_or(rows.row(at + j), u), c);
                }
            }
        }
    }
}

/// Half the squared distance of two unit vectors, or of one and the other's negative.
fn near_gap<T: Real>(u: &[T], v: &[T], cosine: T) -> T {
    let half = T::from_f64(0.5);
    if cosine > T::ZERO {
        // + 0: a sum without terms is -0.
        half * must_or(vector::squared_distance(u, v).ok(), T::NAN) + T::ZERO
    } else {
        -(half * T::Kernels::squared_sum(u, v) + T::ZERO)
    }
}
