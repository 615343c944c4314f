//! Gaussian components: parameters, density, responsibilities, draws.
//!
//! ```text
//! Sigma_k = L L^T,  W_k = L^-1          (diagonal: W = 1/sigma)
//! ln N(x) = -(D/2) ln 2 pi - sum_a ln L_aa - |W_k (x - mu_k)|^2 / 2
//! ```
//!
//! | symbol | meaning | shape in `params`, in this order |
//! |---|---|---|
//! | ln pi | log weights | K |
//! | mu | means, row by row | K x D |
//! | W | inverse Cholesky factors, lower triangles row by row; diagonal and spherical: inverse deviations | K x D(D+1)/2, K x D, K; tied: D(D+1)/2 |
//! | sum ln L_aa | half log-determinants of the covariances | K |
//!
//! All of it is one slice of [`params_len`] numbers that the caller owns. Products and squares of a density are added in the order of the
//! columns. Cost of a density: `3 D(D+1)/2 + 2 D` flops, diagonal `4 D`, spherical `3 D`; of a component that is set: `2/3 D^3` in `f64`.
//!
//! Reference: Bishop, *Pattern recognition and machine learning* (2006), 9.2; parameters as in scikit-learn's `GaussianMixture`, whose
//! `precisions_cholesky_` are the transposes of `W`.

use crate::error::{
    check, check_length, check_scratch, ensure_finite, ensure_finite_at, ensure_finite_by,
};
use crate::matrix::MatrixRef;
use crate::memory::{InRows, must, take};
use crate::simd::math;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::{At, Error, Real, Storage};

mod component;
mod triangle;
mod view;

pub(super) use component::{Parts, add_outer, moments_into};
pub(super) use view::Evaluator;
pub use view::MixtureRef;

/// Shape of the covariances.
///
/// ```
/// use thalweg::mixture::gaussian::Covariance;
/// assert_eq!(Covariance::Full.factor_len(3), 6);
/// assert_eq!(Covariance::Diagonal.factor_len(3), 3);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Covariance {
    /// Any positive definite matrix.
    #[default]
    Full,
    /// A variance for each column.
    Diagonal,
    /// One variance for all columns.
    Spherical,
    /// One positive definite matrix for all components.
    Tied,
}

impl Covariance {
    /// Numbers of a factor, and of second moments.
    ///
    /// ```
    /// assert_eq!(thalweg::mixture::gaussian::Covariance::Full.factor_len(10), 55);
    /// ```
    #[must_use]
    pub const fn factor_len(self, d: usize) -> usize {
        match self {
            Self::Full | Self::Tied => d.saturating_mul(d.saturating_add(1)) / 2,
            Self::Diagonal => d,
            Self::Spherical => 1,
        }
    }

    /// Numbers of the factors, and of the second moments, of `k` components: [`Tied`](Self::Tied) has one for all.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::Covariance;
    /// assert_eq!([Covariance::Full, Covariance::Tied].map(|c| c.factors_len(5, 10)), [275, 55]);
    /// ```
    #[must_use]
    pub const fn factors_len(self, k: usize, d: usize) -> usize {
        match self {
            Self::Tied => self.factor_len(d),
            _ => k.saturating_mul(self.factor_len(d)),
        }
    }

    /// Which factor a component has.
    pub(super) const fn factor_of(self, j: usize) -> usize {
        match self {
            Self::Tied => 0,
            _ => j,
        }
    }

    /// Its factors are triangles.
    const fn is_triangle(self) -> bool {
        matches!(self, Self::Full | Self::Tied)
    }

    /// Numbers of a covariance as it is passed in and out: `D x D`, `D` variances, or one.
    ///
    /// ```
    /// assert_eq!(thalweg::mixture::gaussian::Covariance::Full.covariance_len(10), 100);
    /// ```
    #[must_use]
    pub const fn covariance_len(self, d: usize) -> usize {
        match self {
            Self::Full | Self::Tied => d.saturating_mul(d),
            Self::Diagonal => d,
            Self::Spherical => 1,
        }
    }

    /// Elements of scratch with which a component is set or its covariance read: a covariance and its factor, packed.
    ///
    /// ```
    /// assert_eq!(thalweg::mixture::gaussian::Covariance::Full.scratch_len(10), 110);
    /// ```
    #[must_use]
    pub const fn scratch_len(self, d: usize) -> usize {
        self.factor_len(d).saturating_mul(2)
    }
}

/// Numbers of the parameters of `k` components in `d` dimensions.
///
/// ```
/// use thalweg::mixture::gaussian::{Covariance, params_len};
/// assert_eq!(params_len(Covariance::Full, 100, 2), 100 * (1 + 2 + 3 + 1));
/// assert_eq!(params_len(Covariance::Diagonal, 100, 2), 100 * (1 + 2 + 2 + 1));
/// assert_eq!(params_len(Covariance::Tied, 100, 2), 100 * (1 + 2 + 1) + 3);
/// ```
#[must_use]
pub const fn params_len(covariance: Covariance, k: usize, d: usize) -> usize {
    k.saturating_mul(d.saturating_add(2))
        .saturating_add(covariance.factors_len(k, d))
}

/// Lengths of the four parts.
const fn parts(covariance: Covariance, k: usize, d: usize) -> [usize; 4] {
    [k, k.saturating_mul(d), covariance.factors_len(k, d), k]
}

fn check_shape(covariance: Covariance, k: usize, d: usize, len: usize) -> Result<(), Error> {
    check("k", k > 0, "must be positive")?;
    check("d", d > 0, "must be positive")?;
    check_length("params", params_len(covariance, k, d), len)
}

/// Row `j` of rows of `n` numbers.
pub(super) fn row<T>(x: &[T], j: usize, n: usize) -> &[T] {
    let start = j.saturating_mul(n);
    must(x.get(start..start.saturating_add(n)))
}

/// [`row`], to be written.
pub(super) fn row_mut<T>(x: &mut [T], j: usize, n: usize) -> &mut [T] {
    let start = j.saturating_mul(n);
    must(x.get_mut(start..start.saturating_add(n)))
}

/// Refuses a row that is not finite.
pub(super) fn check_row<T: Real>(index: usize, x: &[T]) -> Result<(), Error> {
    ensure_finite_by("data", x, |_| At::Row(index))
}

/// Refuses data without rows, of another width, or with a number that is not finite, by its row.
pub(super) fn check_data<T: Real>(d: usize, data: &MatrixRef<'_, T>) -> Result<(), Error> {
    check("data", data.rows() > 0, "must have a row")?;
    check_length("columns of data", d, data.columns())?;
    let mut rows = data.row_iter().enumerate();
    rows.try_for_each(|(i, x)| check_row(i, x))
}

/// A mixture that is fitted: parameters in owned storage or in the caller's.
///
/// ```
/// use thalweg::mixture::gaussian::{Covariance, Mixture, params_len};
/// let mut mixture = Mixture::new(Covariance::Full, 2, 1, [0.0_f32; params_len(Covariance::Full, 2, 1)])?;
/// mixture.set_component(1, &[5.0], &[0.25], &mut [0.0; 2])?;
/// assert_eq!(mixture.view().means(), [0.0, 5.0]);
/// assert_eq!(mixture.view().factors(), [1.0, 2.0]); // 1/sigma
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mixture<B> {
    covariance: Covariance,
    k: usize,
    d: usize,
    params: B,
}

impl<T: Real, B: Storage<Elem = T>> Mixture<B> {
    /// Standard normal components of equal weight, which exact EM never separates: set means, at least.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `k` or `d` is 0, [`Error::Length`] unless `params` has [`params_len`] numbers.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mixture = Mixture::new(Covariance::Full, 1, 2, [9.0_f32; 7])?;
    /// assert_eq!(mixture.params(), [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn new(covariance: Covariance, k: usize, d: usize, params: B) -> Result<Self, Error> {
        let mut mixture = Self::from_params(covariance, k, d, params)?;
        mixture.make_standard()?;
        Ok(mixture)
    }

    /// Makes all components standard normal, with equal weights.
    pub(super) fn make_standard(&mut self) -> Result<(), Error> {
        let (covariance, k, d) = (self.covariance, self.k, self.d);
        let parts = self.parts()?;
        parts
            .log_weights
            .fill(T::from_f64(-math::scalar::ln(k as f64)));
        parts.means.fill(T::ZERO);
        parts.half_log_determinants.fill(T::ZERO);
        parts.factors.fill(T::ONE);
        if covariance.is_triangle() {
            for factor in parts.factors.in_rows_mut(covariance.factor_len(d)) {
                let mut factor = factor;
                for a in 0..d {
                    take(&mut factor, a).fill(T::ZERO);
                    take(&mut factor, 1);
                }
            }
        }
        Ok(())
    }

    /// Takes parameters as they are; their values are not looked at.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mixture = Mixture::from_params(Covariance::Full, 1, 1, [0.0_f32, 5.0, 1.0, 0.0])?;
    /// assert_eq!(mixture.view().means(), [5.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn from_params(
        covariance: Covariance,
        k: usize,
        d: usize,
        params: B,
    ) -> Result<Self, Error> {
        check_shape(covariance, k, d, params.as_slice().len())?;
        Ok(Self {
            covariance,
            k,
            d,
            params,
        })
    }

    /// All parameters, in the order of the [module](self).
    pub fn params(&self) -> &[T] {
        self.params.as_slice()
    }

    /// [`params`](Self::params), to be written.
    pub(super) fn params_mut(&mut self) -> &mut [T] {
        self.params.as_mut_slice()
    }

    /// The mixture, to be read.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mixture = Mixture::new(Covariance::Full, 1, 2, [0.0_f32; 7])?;
    /// assert_eq!((mixture.view().components(), mixture.view().dim()), (1, 2));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn view(&self) -> MixtureRef<'_, T> {
        let params = self.params.as_slice();
        match MixtureRef::new(self.covariance, self.k, self.d, params) {
            Ok(view) => view,
            // The shape was checked when the mixture was made; storage that shrinks leaves an empty mixture.
            Err(_) => MixtureRef {
                covariance: self.covariance,
                k: 0,
                d: 0,
                log_weights: &[],
                means: &[],
                factors: &[],
                half_log_determinants: &[],
            },
        }
    }

    /// The parameters, to be written.
    pub(super) fn parts(&mut self) -> Result<Parts<'_, T>, Error> {
        Parts::new(self.covariance, self.k, self.d, self.params.as_mut_slice())
    }

    /// Sets the weights, up to a factor; a weight of 0 is a component that is never chosen.
    ///
    /// # Errors
    /// [`Error::Length`]; [`Error::NonFinite`]; [`Error::Parameter`] for a negative weight, or when none is positive. Nothing is changed.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mut mixture = Mixture::new(Covariance::Full, 2, 1, [0.0_f32; 8])?;
    /// mixture.set_weights(&[2.0, 0.0])?;
    /// assert_eq!(mixture.view().log_weights(), [0.0, f32::NEG_INFINITY]);
    /// assert!(mixture.set_weights(&[2.0, -1.0]).is_err());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn set_weights(&mut self, weights: &[T]) -> Result<(), Error> {
        check_length("weights", self.k, weights.len())?;
        let mut total = 0.0;
        for (index, w) in weights.iter().enumerate() {
            ensure_finite_at("weights", w.is_finite(), At::Element(index))?;
            check("weights", *w >= T::ZERO, "must not be negative")?;
            total += w.to_f64();
        }
        let positive = total > 0.0 && total.is_finite();
        check("weights", positive, "must have a positive, finite sum")?;
        for (l, w) in self.parts()?.log_weights.iter_mut().zip(weights) {
            *l = T::from_f64(math::scalar::ln(w.to_f64() / total));
        }
        Ok(())
    }

    /// Sets mean and covariance of a component: `D x D` numbers, of which the lower triangle is read, `D` variances, or one. A tied
    /// covariance is set for all components.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `j` past the last component; [`Error::Length`], `scratch` has [`Covariance::scratch_len`] numbers;
    /// [`Error::NonFinite`]; [`Error::Singular`] when the covariance is not positive definite to working precision. The component is as
    /// before.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mut mixture = Mixture::new(Covariance::Full, 1, 2, [0.0_f64; 7])?;
    /// let mut scratch = [0.0; 8];
    /// // L = [[2, 0], [1, 3]], so W = [[1/2, 0], [-1/6, 1/3]].
    /// mixture.set_component(0, &[1.0, 2.0], &[4.0, 2.0, 2.0, 10.0], &mut scratch)?;
    /// assert_eq!(mixture.view().factors(), [0.5, -1.0 / 6.0, 1.0 / 3.0]);
    /// assert!((mixture.view().half_log_determinants()[0] - 6.0_f64.ln()).abs() < 1e-15);
    /// // A matrix of rank 1.
    /// assert!(mixture.set_component(0, &[0.0; 2], &[1.0; 4], &mut scratch).is_err());
    /// assert_eq!(mixture.view().means(), [1.0, 2.0]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn set_component(
        &mut self,
        j: usize,
        mean: &[T],
        covariance: &[T],
        scratch: &mut [f64],
    ) -> Result<(), Error> {
        let (shape, d) = (self.covariance, self.d);
        check("j", j < self.k, "must be a component")?;
        check_length("mean", d, mean.len())?;
        check_length("covariance", shape.covariance_len(d), covariance.len())?;
        check_scratch("scratch", shape.scratch_len(d), scratch.len())?;
        for (name, x) in [("mean", mean), ("covariance", covariance)] {
            ensure_finite(name, x)?;
        }
        let mut room = scratch.iter_mut();
        let mut read = |from: &[T]| {
            for (x, to) in from.iter().zip(&mut room) {
                *to = x.to_f64();
            }
        };
        if shape.is_triangle() {
            for a in 0..d {
                read(must(row(covariance, a, d).get(..=a)));
            }
        } else {
            read(covariance);
        }
        let mut parts = self.parts()?;
        parts.set_covariance(j, scratch)?;
        for (to, m) in row_mut(parts.means, j, d).iter_mut().zip(mean) {
            *to = *m;
        }
        Ok(())
    }
}

impl<T: Real, B: Storage<Elem = T>> Mixture<B> {
    fn fields(&self) -> [Field; 4] {
        parts(self.covariance, self.k, self.d).map(Field::reals::<T>)
    }
}

impl<T: Real, B: Storage<Elem = T>> Snapshot for Mixture<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let view = self.view();
        let mut writer = Writer::new(out, *b"GMIX", 1)?;
        writer.slice(view.log_weights)?;
        writer.slice(view.means)?;
        writer.slice(view.factors)?;
        writer.slice(view.half_log_determinants)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"GMIX", 1, &self.fields())?;
        let mut rest = self.params.as_mut_slice();
        for n in parts(self.covariance, self.k, self.d) {
            reader.slice_into(take(&mut rest, n))?;
        }
        reader.finish()
    }
}
