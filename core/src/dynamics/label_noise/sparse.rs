//! The sparse linear model: predictions `Z (u u - v v)`.

use crate::error::{check, check_length, check_scratch, ensure_finite, ensure_finite_by};
use crate::matrix::{self, MatrixMut, MatrixRef, Product};
use crate::memory::{cut, must, must_or};
use crate::real::kernels;
use crate::simd::{self, Lanes, Sum, Update};
use crate::{At, Error, Real, vector};

use super::{halves, state_len};

/// The terms of `<z, w>`; `(u - v) (u + v)` keeps the digits that `u u - v v` loses where `u` and `v` are close.
#[derive(Clone, Copy)]
struct Prediction;
impl<T: Real> Sum<T, 3, 1> for Prediction {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [z, u, v]: [L; 3]) -> [L; 1] {
        [z * ((u - v) * (u + v))]
    }
}

/// `u - c z u` and `v + c z v`.
#[derive(Clone, Copy)]
struct Turn<T>(T);
impl<T: Real> Update<T, 2, 1> for Turn<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [u, v]: [L; 2], [z]: [L; 1]) -> [L; 2] {
        let cz = z.constant(self.0) * z;
        [u - cz * u, v + cz * v]
    }
}

/// `z z (u u + v v)`.
#[derive(Clone, Copy)]
struct Curvature;
impl<T: Real> Sum<T, 3, 1> for Curvature {
    #[inline(always)]
    fn terms<L: Lanes<Scalar = T>>(&self, [z, u, v]: [L; 3]) -> [L; 1] {
        [(z * z) * (u * u + v * v)]
    }
}

kernels! {
    /// What the sparse model does with one row.
    trait SparseKernels<T> {
        fn turn(c: T, row: &[T], u: &mut [T], v: &mut [T]) {
            simd::update(&Turn(c), [u, v], [row]);
        }
        fn prediction(row: &[T], u: &[T], v: &[T]) -> T {
            let [f] = simd::sum(&Prediction, [row, u, v]);
            f
        }
        fn curvature(row: &[T], u: &[T], v: &[T]) -> T {
            let [sum] = simd::sum(&Curvature, [row, u, v]);
            sum
        }
    }
}

/// Moves both halves of the parameters along one row.
#[inline]
pub(super) fn turn<T: Real>(c: T, row: &[T], params: &mut [T]) {
    if let Some((u, v)) = params.split_at_mut_checked(params.len() / 2) {
        T::Kernels::turn(c, row, u, v);
    }
}

/// Data of the sparse model, and its loss `L(u, v) = (1 / 2 n) sum_i (<z_i, u u - v v> - y_i)^2`.
///
/// ```
/// use thalweg::dynamics::label_noise::Sparse;
/// use thalweg::matrix::MatrixRef;
/// let problem = Sparse::new(MatrixRef::new(&[1.0_f64, 2.0], 1, 2)?, &[3.0])?;
/// let params = [2.0, 1.0, 1.0, 1.0]; // w = (3, 0)
/// assert_eq!(problem.loss(&params)?, 0.0);
/// // 4 (1 * (4 + 1) + 4 * (1 + 1))
/// assert_eq!(problem.trace(&params)?, 52.0);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Sparse<'a, T> {
    z: MatrixRef<'a, T>,
    y: &'a [T],
    /// The largest magnitude in `z`.
    largest: T,
    /// Some `w` is known to fit every sample, or there are no more samples than dimensions.
    fits: bool,
}

impl<'a, T: Real> Sparse<'a, T> {
    /// The rows of `z` with a label each.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a `z` without elements, [`Error::Length`] unless there is a label per row,
    /// [`Error::NonFinite`] with the place of the first number that is not finite (`i d + j` in `z`).
    ///
    /// ```
    /// use thalweg::dynamics::label_noise::Sparse;
    /// use thalweg::matrix::MatrixRef;
    /// let z = MatrixRef::new(&[1.0_f32, f32::NAN], 1, 2)?;
    /// assert_eq!(Sparse::new(z, &[0.0]).unwrap_err().to_string(), "`z` is not finite at index 1");
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(z: MatrixRef<'a, T>, y: &'a [T]) -> Result<Self, Error> {
        let non_empty = z.rows() > 0 && z.columns() > 0;
        check("z", non_empty, "must have rows and columns")?;
        check_length("y", z.rows(), y.len())?;
        let mut largest = T::ZERO;
        for (i, row) in z.row_iter().enumerate() {
            let before = i.saturating_mul(z.columns());
            ensure_finite_by("z", row, |j| At::Element(before.saturating_add(j)))?;
            largest = vector::norm_inf(row).largest(largest);
        }
        ensure_finite("y", y)?;
        Ok(Self {
            z,
            y,
            largest,
            fits: z.rows() <= z.columns(),
        })
    }

    /// The same, of which [`check_interpolates`](Self::check_interpolates) holds: needed for more samples than dimensions, which
    /// only labels in the range of `z` let fit.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`check_interpolates`](Self::check_interpolates).
    ///
    /// ```
    /// use thalweg::dynamics::label_noise::Sparse;
    /// use thalweg::matrix::MatrixRef;
    /// let z = MatrixRef::new(&[1.0_f64, 2.0], 2, 1)?;
    /// assert!(Sparse::interpolating(z, &[3.0, 6.0], &mut [0.0; 10]).is_ok());
    /// assert!(Sparse::interpolating(z, &[3.0, 5.0], &mut [0.0; 10]).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn interpolating(
        z: MatrixRef<'a, T>,
        y: &'a [T],
        scratch: &mut [T],
    ) -> Result<Self, Error> {
        let problem = Self::new(z, y)?;
        problem.check_interpolates(scratch)?;
        Ok(Self {
            fits: true,
            ..problem
        })
    }

    /// Checks that exact fits exist where that is not plain: without any, label noise has nothing to walk along.
    pub(super) fn check_fits(&self) -> Result<(), Error> {
        check(
            "problem",
            self.fits,
            "must come from `Sparse::interpolating` for more samples than dimensions",
        )
    }

    /// Dimension `d` of the signal; the parameters are twice as many.
    pub const fn dim(&self) -> usize {
        self.z.columns()
    }

    /// Number `n` of samples.
    pub const fn samples(&self) -> usize {
        self.z.rows()
    }

    /// The data, n x d.
    pub const fn data(&self) -> MatrixRef<'a, T> {
        self.z
    }

    /// The labels.
    pub const fn labels(&self) -> &'a [T] {
        self.y
    }

    pub(super) const fn largest(&self) -> T {
        self.largest
    }

    /// Row `i`, and the residual of its prediction.
    #[inline]
    pub(crate) fn residual(&self, i: usize, params: &[T]) -> (&'a [T], T) {
        let (u, v) = halves(params);
        let row = must(self.z.row(i));
        let f = T::Kernels::prediction(row, u, v);
        (row, f - must_or(self.y.get(i).copied(), T::NAN))
    }

    /// `g = Z^T (Z w - y) / n`; returns the loss.
    pub(crate) fn slope_into(&self, params: &[T], g: &mut [T]) -> f64 {
        let n = T::from_usize(self.samples());
        g.fill(T::ZERO);
        let mut squares = 0.0;
        for i in 0..self.samples() {
            let (row, r) = self.residual(i, params);
            squares += r.to_f64() * r.to_f64();
            // Equal lengths: `g` has d elements. n is positive.
            let _ = vector::axpy(r / n, row, g);
        }
        squares / (2.0 * n.to_f64())
    }

    /// The loss at `params`, without noise.
    ///
    /// # Errors
    /// [`Error::Length`] unless `params` has `2 d` elements.
    ///
    /// ```
    /// use thalweg::dynamics::label_noise::Sparse;
    /// use thalweg::matrix::MatrixRef;
    /// let problem = Sparse::new(MatrixRef::new(&[1.0_f64, 2.0], 2, 1)?, &[3.0, 3.0])?;
    /// assert_eq!(problem.loss(&[1.0, 0.0])?, (4.0 + 1.0) / 4.0);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn loss(&self, params: &[T]) -> Result<f64, Error> {
        check_length("params", state_len(self.dim()), params.len())?;
        let squares = (0..self.samples()).map(|i| {
            let r = self.residual(i, params).1.to_f64();
            r * r
        });
        Ok(squares.sum::<f64>() / (2.0 * self.samples() as f64))
    }

    /// Writes `w = u u - v v`.
    ///
    /// # Errors
    /// [`Error::Length`] unless `params` has `2 d` elements and `w` has `d`.
    ///
    /// ```
    /// use thalweg::dynamics::label_noise::Sparse;
    /// use thalweg::matrix::MatrixRef;
    /// let mut w = [0.0];
    /// Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[0.0])?.signal_into(&[3.0, 1.0], &mut w)?;
    /// assert_eq!(w, [8.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn signal_into(&self, params: &[T], w: &mut [T]) -> Result<(), Error> {
        check_length("params", state_len(self.dim()), params.len())?;
        check_length("w", self.dim(), w.len())?;
        let (u, v) = halves(params);
        for ((w, &u), &v) in w.iter_mut().zip(u).zip(v) {
            *w = (u - v) * (u + v);
        }
        Ok(())
    }

    /// Writes `m_j = (1 / n) sum_i z_ij^2`: the rates of the limit, and the weights of its 1-norm.
    ///
    /// # Errors
    /// [`Error::Length`] unless `m` has `d` elements.
    ///
    /// ```
    /// use thalweg::dynamics::label_noise::Sparse;
    /// use thalweg::matrix::MatrixRef;
    /// let problem = Sparse::new(MatrixRef::new(&[1.0_f64, 3.0], 2, 1)?, &[0.0; 2])?;
    /// let mut m = [0.0];
    /// problem.moments_into(&mut m)?;
    /// assert_eq!(m, [5.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn moments_into(&self, m: &mut [T]) -> Result<(), Error> {
        check_length("m", self.dim(), m.len())?;
        let n = T::from_usize(self.samples());
        m.fill(T::ZERO);
        for row in self.z.row_iter() {
            m.iter_mut().zip(row).for_each(|(m, &z)| *m += z * z);
        }
        // n is positive: checked by `new`.
        m.iter_mut().for_each(|m| *m /= n);
        Ok(())
    }

    /// Trace of the Hessian on the exact fits, of the Gauss-Newton matrix elsewhere:
    /// `(4 / n) sum_ij z_ij^2 (u_j^2 + v_j^2)`.
    ///
    /// # Errors
    /// [`Error::Length`] unless `params` has `2 d` elements.
    ///
    /// ```
    /// use thalweg::dynamics::label_noise::Sparse;
    /// use thalweg::matrix::MatrixRef;
    /// let problem = Sparse::new(MatrixRef::new(&[3.0_f64], 1, 1)?, &[0.0])?;
    /// assert_eq!(problem.trace(&[1.0, 1.0])?, 4.0 * 9.0 * 2.0);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn trace(&self, params: &[T]) -> Result<f64, Error> {
        check_length("params", state_len(self.dim()), params.len())?;
        let (u, v) = halves(params);
        let rows = self
            .z
            .row_iter()
            .map(|row| T::Kernels::curvature(row, u, v).to_f64());
        Ok(4.0 * rows.sum::<f64>() / self.samples() as f64)
    }

    /// Checks that some `w` fits every sample: `y` lies in the range of `Z`, up to rounding.
    ///
    /// Of `Z Z^T` the eigenvectors with values below `n eps` of the largest count as null; `y` may have a share of
    /// at most `sqrt(eps)` in them. Cost `n^2 d + 9 n^3` flops.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `y` when no `w` does: there are no exact fits, and so no limit. [`Error::Length`]
    /// when `scratch` is shorter than [`check_interpolates_scratch_len`].
    ///
    /// ```
    /// use thalweg::dynamics::label_noise::Sparse;
    /// use thalweg::matrix::MatrixRef;
    /// // Two samples that are equal, with different labels.
    /// let problem = Sparse::new(MatrixRef::new(&[1.0_f64, 1.0], 2, 1)?, &[1.0, 2.0])?;
    /// let error = problem.check_interpolates(&mut [0.0; 10]).unwrap_err();
    /// assert_eq!(error.to_string(), "`y` has no interpolating solution");
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn check_interpolates(&self, scratch: &mut [T]) -> Result<(), Error> {
        let n = self.samples();
        check_scratch("scratch", check_interpolates_scratch_len(n), scratch.len())?;
        let ([gram, values], rest) = cut(scratch, [n.saturating_mul(n), n])?;
        let target = MatrixMut::new(gram, n, n)?;
        matrix::gemm(Product::PLAIN, self.z, self.z.t(), target, &mut [])?;
        matrix::symmetric_eigen(MatrixMut::new(gram, n, n)?, values, rest)?;
        let cut = must(values.last().copied()) * T::from_usize(n) * T::EPSILON;
        let mut outside = T::ZERO;
        for (row, &value) in MatrixRef::new(gram, n, n)?.row_iter().zip(values.iter()) {
            if value <= cut {
                let part = vector::dot(row, self.y)?;
                outside += part * part;
            }
        }
        let within = outside <= T::EPSILON * vector::norm2_squared(self.y);
        check("y", within, "has no interpolating solution")
    }
}

/// Elements of scratch for [`Sparse::check_interpolates`] with `n` samples.
///
/// ```
/// assert_eq!(thalweg::dynamics::label_noise::check_interpolates_scratch_len(2), 10);
/// ```
pub const fn check_interpolates_scratch_len(n: usize) -> usize {
    n.saturating_mul(n).saturating_add(n.saturating_mul(3))
}
