//! A mixture that is read.

use rand_core::Rng;

use super::{Covariance, check_data, check_shape, parts, row, row_mut, triangle};
use crate::error::{check, check_length, ensure_finite};
use crate::matrix::MatrixRef;
use crate::memory::{cut_ref, front, must, must_or};
use crate::mixture::{log_sum_exp, responsibilities};
use crate::simd::math;
use crate::{Error, Real, random};

/// `ln(2 pi) / 2`.
const HALF_LN_TAU: f64 = 0.918_938_533_204_672_7;

/// A mixture that is read: parameters in the caller's slice.
///
/// ```
/// use thalweg::mixture::gaussian::{Covariance, MixtureRef};
/// // One component in one dimension: ln pi = 0, mean 3, 1/sigma = 2, ln sigma = -ln 2.
/// let params = [0.0_f64, 3.0, 2.0, -(2.0_f64.ln())];
/// let mixture = MixtureRef::new(Covariance::Full, 1, 1, &params)?;
/// // 2 / sqrt(2 pi) exp(-(2 * 1)^2 / 2) at 4.
/// let density = 2.0 / core::f64::consts::TAU.sqrt() * (-2.0_f64).exp();
/// assert!((mixture.log_density(0, &[4.0])? - density.ln()).abs() < 1e-15);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MixtureRef<'a, T> {
    pub(super) covariance: Covariance,
    pub(super) k: usize,
    pub(super) d: usize,
    pub(super) log_weights: &'a [T],
    pub(super) means: &'a [T],
    pub(super) factors: &'a [T],
    pub(super) half_log_determinants: &'a [T],
}

impl<'a, T: Real> MixtureRef<'a, T> {
    /// Takes [`params_len`](super::params_len) numbers for a mixture; their values are not looked at.
    ///
    /// # Errors
    /// [`Error::Parameter`] when `k` or `d` is 0, [`Error::Length`].
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, MixtureRef};
    /// assert!(MixtureRef::new(Covariance::Full, 2, 1, &[0.0_f32; 7]).is_err());
    /// ```
    pub fn new(covariance: Covariance, k: usize, d: usize, params: &'a [T]) -> Result<Self, Error> {
        check_shape(covariance, k, d, params.len())?;
        let ([log_weights, means, factors, half_log_determinants], _) =
            cut_ref(params, parts(covariance, k, d))?;
        Ok(Self {
            covariance,
            k,
            d,
            log_weights,
            means,
            factors,
            half_log_determinants,
        })
    }

    /// Shape of the covariances.
    pub const fn covariance(&self) -> Covariance {
        self.covariance
    }

    /// Number of components.
    pub const fn components(&self) -> usize {
        self.k
    }

    /// Number of columns of the data.
    pub const fn dim(&self) -> usize {
        self.d
    }

    /// Logarithms of the weights: K.
    pub const fn log_weights(&self) -> &'a [T] {
        self.log_weights
    }

    /// Means, row by row: K x D.
    pub const fn means(&self) -> &'a [T] {
        self.means
    }

    /// Inverse Cholesky factors or inverse deviations, row by row.
    pub const fn factors(&self) -> &'a [T] {
        self.factors
    }

    /// Half log-determinants of the covariances: K.
    pub const fn half_log_determinants(&self) -> &'a [T] {
        self.half_log_determinants
    }

    /// `ln p(x | eta_j)`, of arguments whose shapes are known.
    #[inline]
    fn density(&self, j: usize, x: &[T]) -> T {
        let half = must_or(self.half_log_determinants.get(j).copied(), T::NAN);
        let mean = row(self.means, j, self.d);
        let shape = self.covariance;
        let factor = row(self.factors, shape.factor_of(j), shape.factor_len(self.d));
        let mut square = T::ZERO;
        match shape {
            Covariance::Full | Covariance::Tied => {
                for row in triangle::rows(factor) {
                    let mut y = T::ZERO;
                    for ((w, x), m) in row.iter().zip(x).zip(mean) {
                        y += *w * (*x - *m);
                    }
                    square += y * y;
                }
            }
            Covariance::Diagonal => {
                for ((w, x), m) in factor.iter().zip(x).zip(mean) {
                    let y = *w * (*x - *m);
                    square += y * y;
                }
            }
            Covariance::Spherical => {
                let w = must_or(factor.first().copied(), T::NAN);
                for (x, m) in x.iter().zip(mean) {
                    let y = w * (*x - *m);
                    square += y * y;
                }
            }
        }
        if square.is_nan() {
            square = self.overflowed(x, mean, factor);
        }
        let constant = T::from_f64(HALF_LN_TAU * self.d as f64);
        -(constant + half) - T::from_f64(0.5) * square
    }

    /// The squared distance of a row for which it came out as NaN: infinite when only its size is the reason, as in `0 (x - m)` with a
    /// difference that overflows.
    #[cold]
    fn overflowed(&self, x: &[T], mean: &[T], factor: &[T]) -> T {
        let all_finite = |x: &[T]| x.iter().all(|x| x.is_finite());
        if [x, mean, factor].into_iter().all(all_finite) {
            T::INFINITY
        } else {
            T::NAN
        }
    }

    /// [`density`](Self::density) with the weight.
    #[inline]
    pub(in crate::mixture) fn log_joint(&self, j: usize, x: &[T]) -> T {
        must_or(self.log_weights.get(j).copied(), T::NAN) + self.density(j, x)
    }

    fn check_point(&self, x: &[T]) -> Result<(), Error> {
        check_length("x", self.d, x.len())?;
        ensure_finite("x", x)
    }

    /// `ln p(x | eta_j)`: the density of one component, without its weight.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `j` past the last component, [`Error::Length`] and [`Error::NonFinite`] for `x`.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mixture = Mixture::new(Covariance::Full, 1, 2, [0.0_f64; 7])?;
    /// // A standard normal density in the plane: 1/(2 pi) exp(-25/2).
    /// let found = mixture.view().log_density(0, &[3.0, 4.0])?;
    /// assert!((found + core::f64::consts::TAU.ln() + 12.5).abs() < 1e-14);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn log_density(&self, j: usize, x: &[T]) -> Result<T, Error> {
        check("j", j < self.k, "must be a component")?;
        self.check_point(x)?;
        Ok(self.density(j, x))
    }

    /// Log joints `ln pi_k + ln p(x | eta_k)` of all components.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NonFinite`] for `x`; `out` is unchanged.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mixture = Mixture::new(Covariance::Diagonal, 2, 1, [0.0_f64; 8])?;
    /// let mut joints = [0.0; 2];
    /// mixture.view().log_joints_into(&[0.0], &mut joints)?;
    /// // 1/2 of 1/sqrt(2 pi).
    /// let half = -(2.0 * core::f64::consts::TAU.sqrt()).ln();
    /// assert!(joints.iter().all(|l| (l - half).abs() < 1e-15));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn log_joints_into(&self, x: &[T], out: &mut [T]) -> Result<(), Error> {
        self.check_point(x)?;
        check_length("out", self.k, out.len())?;
        for (j, out) in out.iter_mut().enumerate() {
            *out = self.log_joint(j, x);
        }
        Ok(())
    }

    /// Responsibilities of the components for a row; returns `ln p(x)`.
    ///
    /// # Errors
    /// As [`log_joints_into`](Self::log_joints_into).
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mut mixture = Mixture::new(Covariance::Full, 2, 1, [0.0_f64; 8])?;
    /// mixture.set_weights(&[3.0, 1.0])?;
    /// let mut r = [0.0; 2];
    /// let log_density = mixture.view().responsibilities_into(&[0.0], &mut r)?;
    /// assert!((r[0] - 0.75).abs() < 1e-15 && (r[1] - 0.25).abs() < 1e-15);
    /// assert!((log_density + core::f64::consts::TAU.ln() / 2.0).abs() < 1e-15);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn responsibilities_into(&self, x: &[T], out: &mut [T]) -> Result<T, Error> {
        self.log_joints_into(x, out)?;
        Ok(responsibilities(out))
    }

    /// `(1/N) sum_i ln p(x_i)`, added in the order of the rows in `f64`; `scratch` holds K numbers.
    ///
    /// # Errors
    /// [`Error::Length`] for the width of `data` or the scratch, [`Error::Parameter`] without rows, [`Error::NonFinite`] with the row.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mixture = Mixture::new(Covariance::Full, 1, 1, [0.0_f64; 4])?;
    /// let data = MatrixRef::new(&[1.0, -2.0], 2, 1)?;
    /// // -ln(2 pi)/2 - (1 + 4)/4
    /// let mean = mixture.view().mean_log_likelihood(data, &mut [0.0])?;
    /// assert!((mean + core::f64::consts::TAU.ln() / 2.0 + 1.25).abs() < 1e-15);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn mean_log_likelihood(
        &self,
        data: MatrixRef<'_, T>,
        scratch: &mut [T],
    ) -> Result<f64, Error> {
        check_data(self.d, &data)?;
        let joints = front("scratch", scratch, self.k)?;
        let mut sum = 0.0;
        for x in data.row_iter() {
            for (j, l) in joints.iter_mut().enumerate() {
                *l = self.log_joint(j, x);
            }
            sum += log_sum_exp(joints).to_f64();
        }
        Ok(sum / data.rows() as f64)
    }

    /// The likeliest component of each row, the first of those that are equally likely.
    ///
    /// # Errors
    /// [`Error::Length`] for the width of `data` or the labels, [`Error::Parameter`] without rows, [`Error::NonFinite`] with the row.
    ///
    /// ```
    /// use thalweg::matrix::MatrixRef;
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mut mixture = Mixture::new(Covariance::Spherical, 2, 1, [0.0_f64; 8])?;
    /// mixture.set_component(1, &[4.0], &[1.0], &mut [0.0; 2])?;
    /// let (data, mut labels) = (MatrixRef::new(&[1.0, 2.0, 2.5], 3, 1)?, [9; 3]);
    /// mixture.view().predict_into(data, &mut labels)?;
    /// assert_eq!(labels, [0, 0, 1]); // 2 is halfway
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn predict_into(&self, data: MatrixRef<'_, T>, labels: &mut [u32]) -> Result<(), Error> {
        check_data(self.d, &data)?;
        check_length("labels", data.rows(), labels.len())?;
        for (x, label) in data.row_iter().zip(labels) {
            let mut best = -T::INFINITY;
            *label = 0;
            for (j, at) in (0..self.k).zip(0_u32..) {
                let joint = self.log_joint(j, x);
                if joint > best {
                    (best, *label) = (joint, at);
                }
            }
        }
        Ok(())
    }

    /// Numbers that a fit chooses: means, covariances, and all weights but one.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, MixtureRef};
    /// let params = [0.0_f32; 2 * (1 + 3 + 6 + 1)];
    /// assert_eq!(MixtureRef::new(Covariance::Full, 2, 3, &params)?.free_parameters(), 2 * (3 + 6) + 1);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub const fn free_parameters(&self) -> usize {
        self.k
            .saturating_mul(self.d.saturating_add(1))
            .saturating_add(self.covariance.factors_len(self.k, self.d))
            .saturating_sub(1)
    }

    /// Bayesian information criterion of a mean log-likelihood over `rows` rows, `p ln N - 2 N mean`: the lower the better.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mixture = Mixture::new(Covariance::Full, 1, 1, [0.0_f64; 4])?;
    /// let expected = 2.0 * 100.0_f64.ln() + 300.0; // two parameters
    /// assert!((mixture.view().bic(-1.5, 100) - expected).abs() < 1e-12);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn bic(&self, mean_log_likelihood: f64, rows: usize) -> f64 {
        let n = rows as f64;
        self.free_parameters() as f64 * math::scalar::ln(n) - 2.0 * n * mean_log_likelihood
    }

    /// Akaike's information criterion of a mean log-likelihood over `rows` rows, `2 p - 2 N mean`: the lower the better.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mixture = Mixture::new(Covariance::Full, 1, 1, [0.0_f64; 4])?;
    /// assert_eq!(mixture.view().aic(-1.5, 100), 304.0);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn aic(&self, mean_log_likelihood: f64, rows: usize) -> f64 {
        2.0 * (self.free_parameters() as f64 - rows as f64 * mean_log_likelihood)
    }

    /// Covariance of a component, symmetric, its variances or its variance; [`Covariance::scratch_len`] numbers of scratch.
    ///
    /// # Errors
    /// [`Error::Parameter`] for `j` past the last component, [`Error::Length`], [`Error::Singular`] when the factor has a zero pivot;
    /// `out` is unchanged.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// let mut mixture = Mixture::new(Covariance::Full, 1, 2, [0.0_f64; 7])?;
    /// let mut scratch = [0.0; Covariance::Full.scratch_len(2)];
    /// mixture.set_component(0, &[1.0, 2.0], &[4.0, 2.0, 2.0, 10.0], &mut scratch)?;
    /// let mut found = [0.0; 4];
    /// mixture.view().covariance_into(0, &mut found, &mut scratch)?;
    /// assert!(found.iter().zip([4.0, 2.0, 2.0, 10.0]).all(|(x, y)| (x - y).abs() < 1e-14));
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn covariance_into(
        &self,
        j: usize,
        out: &mut [T],
        scratch: &mut [f64],
    ) -> Result<(), Error> {
        check("j", j < self.k, "must be a component")?;
        check_length("out", self.covariance.covariance_len(self.d), out.len())?;
        let sigma = self.covariance_of(j, scratch)?;
        if !self.covariance.is_triangle() {
            for (out, x) in out.iter_mut().zip(sigma) {
                *out = T::from_f64(*x);
            }
            return Ok(());
        }
        for (a, sigma) in triangle::rows(sigma).enumerate() {
            for (b, x) in sigma.iter().enumerate() {
                for (row, column) in [(a, b), (b, a)] {
                    if let Some(out) = row_mut(out, row, self.d).get_mut(column) {
                        *out = T::from_f64(*x);
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes a row drawn from the mixture; `scratch` holds K numbers.
    ///
    /// The component by its weight ([`random::categorical`]), then `D` normal numbers `z`, and `mu + W^-1 z` by forward substitution.
    ///
    /// # Errors
    /// [`Error::Length`], and [`Error::Parameter`] or [`Error::NonFinite`] when the weights are not those of a distribution; nothing is drawn
    /// or written then.
    ///
    /// ```
    /// use thalweg::mixture::gaussian::{Covariance, Mixture};
    /// use thalweg::random::{self, Purpose};
    /// let mut mixture = Mixture::new(Covariance::Full, 1, 1, [0.0_f64; 4])?;
    /// mixture.set_component(0, &[7.0], &[1e-24], &mut [0.0; 2])?;
    /// let mut x = [0.0];
    /// mixture.view().sample_into(&mut random::stream(1, 0, 0, Purpose::DATA), &mut x, &mut [0.0])?;
    /// assert!((x[0] - 7.0).abs() < 1e-11);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn sample_into(
        &self,
        rng: &mut impl Rng,
        out: &mut [T],
        scratch: &mut [f64],
    ) -> Result<(), Error> {
        check_length("out", self.d, out.len())?;
        let weights = front("scratch", scratch, self.k)?;
        for (w, l) in weights.iter_mut().zip(self.log_weights) {
            *w = math::scalar::exp(l.to_f64());
        }
        let j = random::categorical(rng, weights)?;
        let mean = row(self.means, j, self.d);
        let shape = self.covariance;
        let mut factor = row(self.factors, shape.factor_of(j), shape.factor_len(self.d));
        for a in 0..self.d {
            let width = if shape.is_triangle() { a } else { 0 };
            let (w, rest) = must(factor.split_at_checked(width));
            let (done, left) = must(out.split_at_mut_checked(a));
            if let (Some((pivot, rest)), Some(x)) = (rest.split_first(), left.first_mut()) {
                if shape != Covariance::Spherical {
                    factor = rest;
                }
                let mut y: T = random::normal(rng);
                for (w, done) in w.iter().zip(&*done) {
                    y -= *w * *done;
                }
                // A factor has positive pivots.
                *x = y / *pivot;
            }
        }
        for (x, m) in out.iter_mut().zip(mean) {
            *x += *m;
        }
        Ok(())
    }
}

/// Where likelihoods are evaluated while a mixture is fitted: it counts them.
#[derive(Clone, Copy, Debug)]
pub(in crate::mixture) struct Evaluator<'a, T> {
    pub(in crate::mixture) mixture: MixtureRef<'a, T>,
    pub(in crate::mixture) count: u64,
}

impl<'a, T: Real> Evaluator<'a, T> {
    pub(in crate::mixture) const fn new(mixture: MixtureRef<'a, T>) -> Self {
        Self { mixture, count: 0 }
    }

    /// `ln pi_j + ln p(x | eta_j)`, exactly as an `f64`.
    #[inline]
    pub(in crate::mixture) fn log_joint(&mut self, j: usize, x: &[T]) -> f64 {
        self.count = self.count.saturating_add(1);
        self.mixture.log_joint(j, x).to_f64()
    }

    /// Those of all components.
    pub(in crate::mixture) fn log_joints_into(&mut self, x: &[T], out: &mut [f64]) {
        for (j, out) in out.iter_mut().enumerate() {
            *out = self.log_joint(j, x);
        }
    }
}
