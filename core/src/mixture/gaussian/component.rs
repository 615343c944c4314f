//! A component from its moments, and back.

use super::{Covariance, MixtureRef, check_shape, parts, row, row_mut, triangle};
use crate::error::check_scratch;
use crate::memory::{cut, must, take};
use crate::simd::math;
use crate::{Error, Real, vector};

/// `s2 += w d d^T`: the lower triangle row by row, the diagonal, or its mean.
pub(in crate::mixture) fn add_outer(covariance: Covariance, w: f64, d: &[f64], s2: &mut [f64]) {
    match covariance {
        Covariance::Full | Covariance::Tied => {
            let mut rest = s2;
            for (a, x) in (1..).zip(d) {
                let row = take(&mut rest, a);
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
        Covariance::Spherical => {
            let square = d.iter().fold(0.0, |sum, x| sum + *x * *x);
            for s in s2 {
                *s += w * square / d.len() as f64;
            }
        }
    }
}

/// `s2 / s0 - m m^T + reg I`, packed as `s2` is, at the front of a room of [`Covariance::scratch_len`] numbers; `s0` is positive.
pub(in crate::mixture) fn moments_into(
    covariance: Covariance,
    (s0, s2): (f64, &[f64]),
    m: &[f64],
    reg: f64,
    room: &mut [f64],
) {
    let mut to = room.iter_mut().zip(s2);
    if covariance == Covariance::Spherical {
        let square = m.iter().fold(0.0, |sum, x| sum + *x * *x);
        for (to, s) in to {
            *to = *s / s0 - square / m.len() as f64 + reg;
        }
        return;
    }
    for (a, x) in m.iter().enumerate() {
        let first = if covariance.is_triangle() { 0 } else { a };
        let mut last = None;
        for (y, (to, s)) in must(m.get(first..=a)).iter().zip(&mut to) {
            *to = *s / s0 - *x * *y;
            last = Some(to);
        }
        if let Some(diagonal) = last {
            *diagonal += reg;
        }
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

    /// Sets the covariance that is packed at the front of `room`, which has [`Covariance::scratch_len`] numbers and is overwritten; a tied
    /// one for all components.
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
        let ([sigma, inverse], _) = cut(room, [shape.factor_len(d); 2])?;
        let mut half = 0.0;
        match shape {
            Covariance::Full | Covariance::Tied => {
                triangle::cholesky(sigma).map_err(singular)?;
                triangle::invert(sigma, inverse).map_err(singular)?;
                for pivot in triangle::rows(sigma).filter_map(|row| row.last()) {
                    // The diagonal of a factor is positive.
                    half += math::scalar::ln(*pivot);
                }
            }
            Covariance::Diagonal | Covariance::Spherical => {
                for (a, (v, w)) in sigma.iter().zip(inverse.iter_mut()).enumerate() {
                    if !(*v > 0.0 && v.is_finite()) {
                        return Err(singular(a));
                    }
                    *w = 1.0 / libm::sqrt(*v);
                    half += 0.5 * math::scalar::ln(*v);
                }
                if shape == Covariance::Spherical {
                    half *= d as f64;
                }
            }
        }
        // In T a pivot may be 0, and everything infinite.
        let told = |w: &f64| T::from_f64(*w).is_finite();
        let positive = |w: &f64| T::from_f64(*w) > T::ZERO;
        let is_good = |row: &[f64]| row.iter().all(told) && row.last().is_some_and(positive);
        let bad = if shape.is_triangle() {
            triangle::rows(inverse).position(|row| !is_good(row))
        } else {
            inverse.iter().position(|w| !is_good(&[*w]))
        };
        if let Some(index) = bad {
            return Err(singular(index));
        }
        let to = row_mut(self.factors, shape.factor_of(j), shape.factor_len(d));
        for (to, w) in to.iter_mut().zip(inverse) {
            *to = T::from_f64(*w);
        }
        let half = T::from_f64(half);
        if shape == Covariance::Tied {
            self.half_log_determinants.fill(half);
        } else if let Some(to) = self.half_log_determinants.get_mut(j) {
            *to = half;
        }
        Ok(())
    }

    /// Writes `centre + m` as the mean of a component, unless `T` cannot tell it.
    pub(in crate::mixture) fn set_mean(&mut self, j: usize, centre: &[f64], m: &[f64]) {
        let sums = || centre.iter().zip(m).map(|(c, m)| T::from_f64(*c + *m));
        if sums().all(T::is_finite) {
            let to = row_mut(self.means, j, self.d).iter_mut();
            to.zip(sums()).for_each(|(to, x)| *to = x);
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
    /// The covariance of a component at the front of a scratch, packed.
    pub(in crate::mixture) fn covariance_of<'s>(
        &self,
        j: usize,
        scratch: &'s mut [f64],
    ) -> Result<&'s [f64], Error> {
        let (shape, d) = (self.covariance, self.d);
        check_scratch("scratch", shape.scratch_len(d), scratch.len())?;
        let ([sigma, room], _) = cut(scratch, [shape.factor_len(d); 2])?;
        let singular = |index| Error::Singular {
            name: "factor",
            index,
        };
        let factor = row(self.factors, shape.factor_of(j), shape.factor_len(d));
        for (to, w) in room.iter_mut().zip(factor) {
            *to = w.to_f64();
        }
        match shape {
            Covariance::Full | Covariance::Tied => {
                triangle::invert(room, sigma).map_err(singular)?;
                triangle::square(sigma);
            }
            Covariance::Diagonal | Covariance::Spherical => {
                for (a, (v, w)) in sigma.iter_mut().zip(room).enumerate() {
                    if *w == 0.0 {
                        return Err(singular(a));
                    }
                    *v = 1.0 / (*w * *w);
                }
            }
        }
        Ok(sigma)
    }
}
