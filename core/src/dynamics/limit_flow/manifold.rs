//! A small loss, the basis of its Hessian, and ways onto its manifold of minimisers.

use crate::dynamics::label_noise::{Sparse, halves, state_len};
use crate::error::{check, check_length, check_scratch, ensure_finite_at};
use crate::matrix::{self, MatrixMut, MatrixRef};
use crate::memory::{cut, must, must_or};
use crate::model::copy;
use crate::solve::runge_kutta;
use crate::{At, Error, Real, vector};

/// A loss with two derivatives in closed form, and the third where it is at hand.
///
/// Functions take `&mut self`, so that an implementation may hold scratch.
///
/// ```
/// use thalweg::dynamics::limit_flow::SmoothLoss;
/// use thalweg::matrix::MatrixMut;
/// /// h(a) b^2 / 2 with h(a) = 1 + a^2: the minimisers are the line b = 0.
/// struct Valley;
/// impl SmoothLoss<f64> for Valley {
///     fn dim(&self) -> usize {
///         2
///     }
///     fn gradient_into(&mut self, x: &[f64], out: &mut [f64]) -> Result<(), thalweg::Error> {
///         let [a, b] = [x[0], x[1]];
///         out.copy_from_slice(&[a * b * b, (1.0 + a * a) * b]);
///         Ok(())
///     }
///     fn hessian_into(&mut self, x: &[f64], out: MatrixMut<'_, f64>) -> Result<(), thalweg::Error> {
///         let [a, b] = [x[0], x[1]];
///         out.into_data().copy_from_slice(&[b * b, 2.0 * a * b, 2.0 * a * b, 1.0 + a * a]);
///         Ok(())
///     }
/// }
/// let mut gradient = [0.0; 2];
/// Valley.gradient_into(&[1.0, 3.0], &mut gradient)?;
/// assert_eq!(gradient, [9.0, 6.0]);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub trait SmoothLoss<T: Real> {
    /// Number of parameters `D`.
    fn dim(&self) -> usize;

    /// Writes the gradient, `D` numbers.
    ///
    /// # Errors
    /// Those of the implementation.
    fn gradient_into(&mut self, x: &[T], out: &mut [T]) -> Result<(), Error>;

    /// Writes the Hessian, `D x D`, both triangles.
    ///
    /// # Errors
    /// Those of the implementation.
    fn hessian_into(&mut self, x: &[T], out: MatrixMut<'_, T>) -> Result<(), Error>;

    /// Writes `T[S]_i = sum_jk d_i d_j d_k L(x) S_jk` for symmetric `S`; `scratch` has `D^2 + D` elements.
    ///
    /// The default differences `<H(x), S>` centrally, `2 D` Hessians, each `x_i` moved by `eps^{1/3} (1 + |x_i|)`: the error is of order
    /// `eps^{2/3}`.
    ///
    /// # Errors
    /// Those of [`hessian_into`](Self::hessian_into).
    fn third_into(
        &mut self,
        x: &[T],
        s: MatrixRef<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let d = self.dim();
        let ([hess, moved], _) = cut(scratch, [d.saturating_mul(d), d])?;
        copy(x, moved);
        let relative = T::EPSILON.powf(T::from_f64(1.0 / 3.0));
        for (i, (out, &x)) in out.iter_mut().zip(x).enumerate() {
            let reach = relative * (T::ONE + x.abs());
            let (above, below) = (x + reach, x - reach);
            let mut contraction = |x: T| {
                if let Some(moved) = moved.get_mut(i) {
                    *moved = x;
                }
                self.hessian_into(moved, MatrixMut::new(hess, d, d)?)?;
                let rows = MatrixRef::new(hess, d, d)?.row_iter().zip(s.row_iter());
                rows.map(|(h, s)| vector::dot(h, s))
                    .try_fold(T::ZERO, |sum, term| Ok::<T, Error>(sum + term?))
            };
            // The distance as rounded; not zero, since `reach` is far above a unit in the last place.
            *out = (contraction(above)? - contraction(below)?) / (above - below);
            contraction(x)?;
        }
        Ok(())
    }
}

/// The loss of the sparse model, as a loss in `2 d` parameters with its third derivative in closed form.
impl<T: Real> SmoothLoss<T> for Sparse<'_, T> {
    fn dim(&self) -> usize {
        state_len(Self::dim(self))
    }

    fn gradient_into(&mut self, x: &[T], out: &mut [T]) -> Result<(), Error> {
        let d = Self::dim(self);
        check_length("x", state_len(d), x.len())?;
        check_length("out", state_len(d), out.len())?;
        let (u, v) = halves(x);
        let ([du, dv], _) = cut(out, [d, d])?;
        self.slope_into(x, du);
        let two = T::from_f64(2.0);
        for (((du, dv), u), v) in du.iter_mut().zip(dv).zip(u).zip(v) {
            let slope = *du * two;
            (*du, *dv) = (slope * *u, -slope * *v);
        }
        Ok(())
    }

    /// `(1 / n) sum_i (a_i a_i^T + r_i diag(2 z_i, -2 z_i))` with `a_i = (2 z_i u, -2 z_i v)`.
    fn hessian_into(&mut self, x: &[T], mut out: MatrixMut<'_, T>) -> Result<(), Error> {
        let d = Self::dim(self);
        check_length("x", state_len(d), x.len())?;
        check_length("rows of out", state_len(d), out.rows())?;
        check_length("columns of out", state_len(d), out.columns())?;
        let scale = T::from_f64(4.0) / T::from_usize(self.samples());
        let half = T::from_f64(0.5);
        out.fill(T::ZERO);
        for i in 0..self.samples() {
            let (row, r) = self.residual(i, x);
            // Element j of (z, -z) times (u, v).
            let signed = |j: usize| {
                let z = row.get(j).or_else(|| row.get(j.wrapping_sub(d))).copied();
                if j < d { must(z) } else { -must(z) }
            };
            for (j, (line, &xj)) in out.row_iter_mut().zip(x).enumerate() {
                let left = scale * signed(j) * xj;
                for (k, (h, &xk)) in line.iter_mut().zip(x).enumerate() {
                    *h += left * signed(k) * xk;
                    if j == k {
                        *h += scale * half * r * signed(j);
                    }
                }
            }
        }
        Ok(())
    }

    /// With `a` as above and `D_i = diag(2 z_i, -2 z_i)`: `(1 / n) sum_i (2 D_i S a_i + a_i <D_i, S>)`.
    fn third_into(
        &mut self,
        x: &[T],
        s: MatrixRef<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let d = Self::dim(self);
        check_length("x", state_len(d), x.len())?;
        check_length("rows of s", state_len(d), s.rows())?;
        check_length("out", state_len(d), out.len())?;
        check_scratch("scratch", state_len(d).saturating_mul(2), scratch.len())?;
        let n = T::from_usize(self.samples());
        let two = T::from_f64(2.0);
        let ([a, sa], _) = cut(scratch, [state_len(d); 2])?;
        out.fill(T::ZERO);
        for row in self.data().row_iter() {
            let signed = || row.iter().copied().chain(row.iter().map(|z| -*z));
            for ((a, z), &x) in a.iter_mut().zip(signed()).zip(x) {
                *a = two * z * x;
            }
            matrix::gemv(T::ONE, s, a, T::ZERO, sa)?;
            let diagonal = s.row_iter().enumerate().map(|(j, row)| row.get(j).copied());
            let inner = diagonal
                .zip(signed())
                .fold(T::ZERO, |sum, (s, z)| sum + two * z * must_or(s, T::NAN));
            for (((out, z), &sa), &a) in out.iter_mut().zip(signed()).zip(sa.iter()).zip(a.iter()) {
                // n is positive: checked by `Sparse::new`.
                *out += (two * (two * z) * sa + a * inner) / n;
            }
        }
        Ok(())
    }
}

/// Elements of memory for a [`HessianBasis`] in `d` dimensions.
///
/// ```
/// assert_eq!(thalweg::dynamics::limit_flow::basis_len(4), 28);
/// ```
pub const fn basis_len(d: usize) -> usize {
    d.saturating_mul(d).saturating_add(d.saturating_mul(3))
}

/// Eigenvectors of a Hessian, split into tangent (null) and normal ones.
///
/// An eigenvalue is null when it is at most `1e-9` of the largest, or `16 D` units in the last place where that is more.
///
/// ```
/// use thalweg::dynamics::label_noise::Sparse;
/// use thalweg::dynamics::limit_flow::{HessianBasis, basis_len};
/// use thalweg::matrix::MatrixRef;
/// let mut problem = Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[0.0])?;
/// let mut memory = [0.0; basis_len(2)];
/// let basis = HessianBasis::new(&mut problem, &[1.0, 1.0], &mut memory)?;
/// // H = 4 (1, -1) (1, -1)^T: the tangent is (1, 1) / sqrt 2.
/// assert_eq!(basis.rank(), 1);
/// let mut out = [0.0; 2];
/// basis.tangent_into(&[1.0, 0.0], &mut out)?;
/// assert!((out[0] - 0.5).abs() < 1e-15 && (out[1] - 0.5).abs() < 1e-15);
/// basis.pseudo_inverse_into(&[1.0, 0.0], &mut out)?;
/// assert!((out[0] - 0.0625).abs() < 1e-15 && (out[1] + 0.0625).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct HessianBasis<'a, T> {
    /// Row a is eigenvector a.
    vectors: MatrixRef<'a, T>,
    /// Ascending.
    values: &'a [T],
    /// The number of null values.
    tangents: usize,
}

impl<'a, T: Real> HessianBasis<'a, T> {
    /// The basis at `x`, in `memory` of at least [`basis_len`] elements.
    ///
    /// # Errors
    /// [`Error::Length`], those of the loss and of [`matrix::symmetric_eigen`].
    pub fn new(
        loss: &mut (impl SmoothLoss<T> + ?Sized),
        x: &[T],
        memory: &'a mut [T],
    ) -> Result<Self, Error> {
        let d = loss.dim();
        check_length("x", d, x.len())?;
        check_scratch("memory", basis_len(d), memory.len())?;
        let ([vectors, values], scratch) = cut(memory, [d.saturating_mul(d), d])?;
        loss.hessian_into(x, MatrixMut::new(vectors, d, d)?)?;
        matrix::symmetric_eigen(MatrixMut::new(vectors, d, d)?, values, scratch)?;
        let largest = largest(values).largest(T::ZERO);
        let rounding = T::EPSILON * T::from_usize(d.saturating_mul(16));
        let cut = largest * T::from_f64(1e-9).largest(rounding);
        Ok(Self {
            vectors: MatrixRef::new(vectors, d, d)?,
            tangents: values.iter().filter(|&&value| value <= cut).count(),
            values,
        })
    }

    /// The basis with the `rank` largest eigenvalues as normal ones: off the manifold none is null, but the rank is that of the
    /// points nearby on it.
    #[must_use]
    pub const fn with_rank(self, rank: usize) -> Self {
        Self {
            tangents: self.dim().saturating_sub(rank),
            ..self
        }
    }

    /// Number of parameters.
    pub const fn dim(&self) -> usize {
        self.vectors.rows()
    }

    /// Number of normal directions: the rank of the Hessian.
    pub const fn rank(&self) -> usize {
        self.dim().saturating_sub(self.tangents)
    }

    /// Eigenvectors, one a row, in the order of [`values`](Self::values).
    pub const fn vectors(&self) -> MatrixRef<'a, T> {
        self.vectors
    }

    /// Eigenvalues, ascending; the first `dim - rank` count as zero.
    pub const fn values(&self) -> &'a [T] {
        self.values
    }

    /// Eigenvalue `a`, zero if it counts as zero.
    pub(super) fn value(&self, a: usize) -> T {
        if a < self.tangents {
            T::ZERO
        } else {
            must(self.values.get(a).copied())
        }
    }

    /// The largest eigenvalue.
    pub(super) fn largest(&self) -> T {
        largest(self.values)
    }

    /// Writes `P_t x`.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn tangent_into(&self, x: &[T], out: &mut [T]) -> Result<(), Error> {
        self.filter_into(x, out, |h| if h == T::ZERO { T::ONE } else { T::ZERO })
    }

    /// Writes `H^+ x`.
    ///
    /// # Errors
    /// [`Error::Length`].
    pub fn pseudo_inverse_into(&self, x: &[T], out: &mut [T]) -> Result<(), Error> {
        self.filter_into(x, out, inverse)
    }

    /// `sum_a factor(h_a) <v_a, x> v_a`.
    pub(super) fn filter_into(
        &self,
        x: &[T],
        out: &mut [T],
        factor: impl Fn(T) -> T,
    ) -> Result<(), Error> {
        check_length("x", self.dim(), x.len())?;
        check_length("out", self.dim(), out.len())?;
        out.fill(T::ZERO);
        for (a, v) in self.vectors.row_iter().enumerate() {
            let share = factor(self.value(a));
            if share != T::ZERO {
                vector::axpy(share * vector::dot(v, x)?, v, out)?;
            }
        }
        Ok(())
    }
}

/// The last of ascending values; 0 when there are none, in 0 dimensions.
fn largest<T: Real>(values: &[T]) -> T {
    values.last().map_or(T::ZERO, |value| *value)
}

/// The inverse where there is one, else 0.
pub(super) fn inverse<T: Real>(h: T) -> T {
    if h == T::ZERO { h } else { T::ONE / h }
}

/// Elements of scratch for [`follow_gradient_flow`] in `d` dimensions.
///
/// ```
/// assert_eq!(thalweg::dynamics::limit_flow::gradient_flow_scratch_len(4), 16);
/// ```
pub const fn gradient_flow_scratch_len(d: usize) -> usize {
    d.saturating_mul(2)
        .saturating_add(runge_kutta::scratch_len(d))
}

/// Follows the gradient flow `x' = -grad L` until `|grad L| <= tolerance`: `x` becomes `Phi(x)`. Returns the steps.
///
/// Classical Runge-Kutta of order 4 with a fixed step `dt`, which must be below `2.7` over the largest eigenvalue on the way. Near the
/// manifold the distance that is left is about `tolerance` over the smallest normal eigenvalue; [`retract`] removes it.
///
/// # Errors
/// [`Error::Length`], [`Error::Parameter`], those of the loss; [`Error::NonFinite`] with the step, and
/// [`Error::NoConvergence`] after `most` steps. `x` is then as before.
///
/// ```
/// use thalweg::dynamics::label_noise::Sparse;
/// use thalweg::dynamics::limit_flow::{follow_gradient_flow, gradient_flow_scratch_len};
/// use thalweg::matrix::MatrixRef;
/// let mut problem = Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[1.0])?;
/// let mut x = [1.0, 1.0];
/// follow_gradient_flow(&mut problem, &mut x, 0.01, 1e-13, 1000, &mut [0.0; gradient_flow_scratch_len(2)])?;
/// // u u - v v = 1, and the flow keeps u v = 1.
/// assert!((x[0] * x[0] - x[1] * x[1] - 1.0).abs() < 1e-12 && (x[0] * x[1] - 1.0).abs() < 1e-6);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn follow_gradient_flow<T: Real>(
    loss: &mut (impl SmoothLoss<T> + ?Sized),
    x: &mut [T],
    dt: f64,
    tolerance: f64,
    most: usize,
    scratch: &mut [T],
) -> Result<usize, Error> {
    let d = loss.dim();
    check(
        "dt",
        dt.is_finite() && dt > 0.0,
        "must be finite and positive",
    )?;
    check("tolerance", tolerance >= 0.0, "must be at least 0")?;
    check_length("x", d, x.len())?;
    check_scratch("scratch", gradient_flow_scratch_len(d), scratch.len())?;
    let ([before], scratch) = cut(scratch, [d])?;
    copy(x, before);
    let outcome = flow(loss, x, T::from_f64(dt), tolerance, most, scratch);
    if outcome.is_err() {
        copy(before, x);
    }
    outcome
}

fn flow<T: Real>(
    loss: &mut (impl SmoothLoss<T> + ?Sized),
    x: &mut [T],
    dt: T,
    tolerance: f64,
    most: usize,
    scratch: &mut [T],
) -> Result<usize, Error> {
    let d = x.len();
    let ([slope], scratch) = cut(scratch, [d])?;
    for k in 0..=most {
        loss.gradient_into(x, slope)?;
        if finite_norm(slope, k)? <= T::from_f64(tolerance) {
            return Ok(k);
        }
        let field = |x: &[T], out: &mut [T]| loss.gradient_into(x, out);
        runge_kutta::step(field, -dt, x, slope, scratch)?;
    }
    Err(Error::NoConvergence {
        name: "gradient flow",
        iterations: most,
    })
}

/// `|grad L|` at step `index`.
fn finite_norm<T: Real>(slope: &[T], index: usize) -> Result<T, Error> {
    let norm = vector::norm2(slope);
    let at = At::Step(index as u64);
    ensure_finite_at("gradient", norm.is_finite(), at).map(|()| norm)
}

/// Elements of scratch for [`retract`] in `d` dimensions.
///
/// ```
/// assert_eq!(thalweg::dynamics::limit_flow::retract_scratch_len(4), 40);
/// ```
pub const fn retract_scratch_len(d: usize) -> usize {
    newton_scratch_len(d).saturating_add(d)
}

pub(super) const fn newton_scratch_len(d: usize) -> usize {
    basis_len(d).saturating_add(d.saturating_mul(2))
}

/// Newton steps `x <- x - H^+ grad L`, with `H^+` as at the start and of the given rank, until `|grad L| <= tolerance` or `most` steps
/// are done; returns the gradient's norm.
///
/// For a point near the manifold, which has `D - rank` dimensions: the end differs from `Phi(x)` by the square of the distance to it.
///
/// # Errors
/// [`Error::Length`], [`Error::Parameter`], those of the loss and of [`HessianBasis::new`]; [`Error::NonFinite`] with the step whose
/// gradient is NaN or infinite. `x` is then as before.
///
/// ```
/// use thalweg::dynamics::label_noise::Sparse;
/// use thalweg::dynamics::limit_flow::{retract, retract_scratch_len};
/// use thalweg::matrix::MatrixRef;
/// let mut problem = Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[0.0])?;
/// let mut x = [1.001, 1.0];
/// retract(&mut problem, &mut x, 1, 1e-12, 20, &mut [0.0; retract_scratch_len(2)])?;
/// assert!((x[0] - x[1]).abs() < 1e-12 && (x[0] - 1.0005).abs() < 1e-6);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn retract<T: Real>(
    loss: &mut (impl SmoothLoss<T> + ?Sized),
    x: &mut [T],
    rank: usize,
    tolerance: f64,
    most: usize,
    scratch: &mut [T],
) -> Result<T, Error> {
    let d = loss.dim();
    check("tolerance", tolerance >= 0.0, "must be at least 0")?;
    check_length("x", d, x.len())?;
    check_scratch("scratch", retract_scratch_len(d), scratch.len())?;
    let ([before], scratch) = cut(scratch, [d])?;
    copy(x, before);
    let outcome = newton(loss, x, rank, tolerance, most, scratch);
    if outcome.is_err() {
        copy(before, x);
    }
    outcome
}

/// [`retract`] that leaves `x` anywhere when it fails.
pub(super) fn newton<T: Real>(
    loss: &mut (impl SmoothLoss<T> + ?Sized),
    x: &mut [T],
    rank: usize,
    tolerance: f64,
    most: usize,
    scratch: &mut [T],
) -> Result<T, Error> {
    let d = x.len();
    let tolerance = T::from_f64(tolerance);
    let ([memory, slope, step], _) = cut(scratch, [basis_len(d), d, d])?;
    loss.gradient_into(x, slope)?;
    let mut norm = finite_norm(slope, 0)?;
    if norm > tolerance {
        let basis = HessianBasis::new(loss, x, memory)?.with_rank(rank);
        for k in 1..=most {
            basis.pseudo_inverse_into(slope, step)?;
            vector::axpy(-T::ONE, step, x)?;
            loss.gradient_into(x, slope)?;
            norm = finite_norm(slope, k)?;
            if norm <= tolerance {
                break;
            }
        }
    }
    Ok(norm)
}
