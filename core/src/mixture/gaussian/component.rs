//! A component from its moments, and back.

use super::{Covariance, MixtureRef, check_shape, parts, row, row_mut};
use crate::bilevel::cut;
use crate::error::check_scratch;
use crate::matrix::{MatrixMut, MatrixRef, cholesky, solve_lower};
use crate::simd::math;
use crate::{Error, Real, vector};

/// `s2 += w d d^T`: the lower triangle row by row, or the diagonal.
pub(in crate::mixture) fn add_outer(covariance: Covariance, w: f64, d: &[f64], s2: &mut [f64]) {
    match covariance {
        Covariance::Full => {
            let mut rest = s2;
            for (a, x) in (1..).zip(d) {
                let (row, tail) = rest.split_at_mut_checked(a).unwrap_or_default();
                rest = tail;
                let wx = w * *x;
                for (s, y) in row.iter_mut().zip(d) {
                    *s += wx * *y;
                }
            }
        }
        Covariance::Diagonal => {
            for (s, x) in s2.iter_mut().zip(d) {
                *s += w * *x * *x;
            }
        }
    }
}

/// `s2 / s0 - m m^T + reg I` into a room of [`Covariance::scratch_len`] numbers; `s0` is positive.
pub(in crate::mixture) fn unpack(
    covariance: Covariance,
    (s0, s2): (f64, &[f64]),
    m: &[f64],
    reg: f64,
    room: &mut [f64],
) {
    let mut packed = s2.iter();
    for (a, x) in m.iter().enumerate() {
        let columns = match covariance {
            Covariance::Full => 0..a + 1,
            Covariance::Diagonal => a..a + 1,
        };
        let to = match covariance {
            Covariance::Full => row_mut(room, a, m.len()),
            Covariance::Diagonal => room.get_mut(a..).unwrap_or_default(),
        };
        let right = m.get(columns).unwrap_or_default();
        let mut last = None;
        for ((y, s), to) in right.iter().zip(&mut packed).zip(to) {
            *to = *s / s0 - *x * *y;
            last = Some(to);
        }
        if let Some(diagonal) = last {
            *diagonal += reg;
        }
    }
}

/// Replaces the lower triangle of a symmetric `d x d` matrix by its Cholesky factor, and writes the inverse of that.
fn invert_factor(d: usize, sigma: &mut [f64], inverse: &mut [f64]) -> Result<(), Error> {
    cholesky(MatrixMut::new(sigma, d, d)?)?;
    invert(d, sigma, inverse)
}

/// Writes the inverse of a lower triangular matrix.
fn invert(d: usize, l: &[f64], inverse: &mut [f64]) -> Result<(), Error> {
    inverse.fill(0.0);
    for a in 0..d {
        if let Some(x) = row_mut(inverse, a, d).get_mut(a) {
            *x = 1.0;
        }
    }
    solve_lower(MatrixRef::new(l, d, d)?, MatrixMut::new(inverse, d, d)?)
}

/// What is stored of row `a` of a symmetric or triangular matrix, or of variances.
pub(in crate::mixture) fn line(covariance: Covariance, x: &[f64], a: usize, d: usize) -> &[f64] {
    match covariance {
        Covariance::Full => row(x, a, d).get(..=a).unwrap_or_default(),
        Covariance::Diagonal => row(x, a, 1),
    }
}

/// The parameters of a mixture, to be written.
#[derive(Debug)]
pub(in crate::mixture) struct Parts<'a, T> {
    covariance: Covariance,
    d: usize,
    pub(in crate::mixture) log_weights: &'a mut [T],
    pub(in crate::mixture) means: &'a mut [T],
    pub(super) factors: &'a mut [T],
    pub(super) half_log_determinants: &'a mut [T],
}

impl<'a, T: Real> Parts<'a, T> {
    pub(super) fn new(
        covariance: Covariance,
        k: usize,
        d: usize,
        params: &'a mut [T],
    ) -> Result<Self, Error> {
        check_shape(covariance, k, d, params.len())?;
        let ([log_weights, means, factors, half_log_determinants], _) =
            cut(params, parts(covariance, k, d))?;
        Ok(Self {
            covariance,
            d,
            log_weights,
            means,
            factors,
            half_log_determinants,
        })
    }

    /// Sets the covariance at the front of `room`, which has [`Covariance::scratch_len`] numbers and is overwritten.
    ///
    /// # Errors
    /// [`Error::Singular`] unless it is positive definite and its factor can be told in `T`; the component is as before.
    pub(in crate::mixture) fn set_covariance(
        &mut self,
        j: usize,
        room: &mut [f64],
    ) -> Result<(), Error> {
        let (shape, d) = (self.covariance, self.d);
        let singular = |index| Error::Singular {
            name: "covariance",
            index,
        };
        let ([sigma, inverse], _) = cut(room, [shape.covariance_len(d); 2])?;
        let mut half = 0.0;
        match shape {
            Covariance::Full => {
                invert_factor(d, sigma, inverse).map_err(|error| match error {
                    Error::Singular { index, .. } => singular(index),
                    other => other,
                })?;
                for a in 0..d {
                    // The diagonal of a factor is positive.
                    let pivot = row(sigma, a, d).get(a).copied().unwrap_or(1.0);
                    half += math::scalar::ln(pivot);
                }
            }
            Covariance::Diagonal => {
                for (a, (v, w)) in sigma.iter().zip(inverse.iter_mut()).enumerate() {
                    if !(*v > 0.0 && v.is_finite()) {
                        return Err(singular(a));
                    }
                    *w = 1.0 / libm::sqrt(*v);
                    half += 0.5 * math::scalar::ln(*v);
                }
            }
        }
        for a in 0..d {
            let line = line(shape, inverse, a, d);
            let finite = line.iter().all(|w| T::from_f64(*w).is_finite());
            let pivot = line.last().copied().unwrap_or(0.0);
            if !(finite && T::from_f64(pivot) > T::ZERO) {
                return Err(singular(a));
            }
        }
        let mut to = row_mut(self.factors, j, shape.factor_len(d)).iter_mut();
        for a in 0..d {
            for (w, to) in line(shape, inverse, a, d).iter().zip(&mut to) {
                *to = T::from_f64(*w);
            }
        }
        if let Some(to) = self.half_log_determinants.get_mut(j) {
            *to = T::from_f64(half);
        }
        Ok(())
    }

    /// Writes `centre + m` as the mean of a component.
    pub(in crate::mixture) fn set_mean(&mut self, j: usize, centre: &[f64], m: &[f64]) {
        let to = row_mut(self.means, j, self.d).iter_mut();
        for ((to, c), m) in to.zip(centre).zip(m) {
            *to = T::from_f64(*c + *m);
        }
    }

    /// Log weights in proportion to `weights`, which are floored, and overwritten.
    pub(in crate::mixture) fn set_floored_weights(&mut self, weights: &mut [f64]) {
        for w in weights.iter_mut() {
            *w = Real::largest(*w, crate::mixture::WEIGHT_FLOOR);
        }
        // K floors at least.
        let total = vector::sum(weights);
        crate::simd::update(&LogShare(total), [&mut *weights], []);
        for (l, w) in self.log_weights.iter_mut().zip(weights) {
            *l = T::from_f64(*w);
        }
    }
}

/// `ln(x / total)`.
#[derive(Clone, Copy)]
struct LogShare(f64);
impl crate::simd::Update<f64, 1, 0> for LogShare {
    #[inline(always)]
    fn apply<L: crate::simd::Lanes<Scalar = f64>>(&self, [x]: [L; 1], _: [L; 0]) -> [L; 1] {
        [math::ln(x / x.constant(self.0))]
    }
}

impl<T: Real> MixtureRef<'_, T> {
    /// The covariance of a component at the front of a scratch: symmetric, or variances.
    pub(in crate::mixture) fn covariance_of<'s>(
        &self,
        j: usize,
        scratch: &'s mut [f64],
    ) -> Result<&'s [f64], Error> {
        let (shape, d) = (self.covariance, self.d);
        check_scratch("scratch", shape.scratch_len(d), scratch.len())?;
        let ([sigma, room], _) = cut(scratch, [shape.covariance_len(d); 2])?;
        let factor = row(self.factors, j, shape.factor_len(d));
        if shape == Covariance::Diagonal {
            for (a, (v, w)) in sigma.iter_mut().zip(factor).enumerate() {
                let w = w.to_f64();
                if w == 0.0 {
                    return Err(Error::Singular {
                        name: "factor",
                        index: a,
                    });
                }
                *v = 1.0 / (w * w);
            }
            return Ok(sigma);
        }
        let mut packed = factor.iter();
        for a in 0..d {
            for (to, w) in row_mut(sigma, a, d).iter_mut().take(a + 1).zip(&mut packed) {
                *to = w.to_f64();
            }
        }
        invert(d, sigma, room)?;
        for a in 0..d {
            for b in 0..d {
                let (left, right) = (row(room, a, d), row(room, b, d));
                let x = vector::dot(left, right)?;
                if let Some(to) = row_mut(sigma, a, d).get_mut(b) {
                    *to = x;
                }
            }
        }
        Ok(sigma)
    }
}
