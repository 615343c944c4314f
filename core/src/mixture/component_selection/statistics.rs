//! Sums of the records of a state, under one factor.

use super::statistics_len;
use crate::error::check_length;
use crate::memory::cut;
use crate::mixture::gaussian::{Covariance, MixtureRef, add_outer, moments_into, row, row_mut};
use crate::{Error, Real, vector};

/// Below this the factor of the statistics is multiplied into them.
const LEAST_FACTOR: f64 = 1e-20;

/// The statistics of one state: `s = factor * t`.
pub(super) struct Statistics<'a> {
    covariance: Covariance,
    pub(super) centre: &'a [f64],
    pub(super) t0: &'a mut [f64],
    pub(super) t1: &'a mut [f64],
    pub(super) t2: &'a mut [f64],
}

impl<'a> Statistics<'a> {
    /// Cuts the buffer of a state.
    pub(super) fn new(
        mixture: &MixtureRef<'_, impl Real>,
        buffer: &'a mut [f64],
    ) -> Result<Self, Error> {
        let (covariance, k, d) = (mixture.covariance(), mixture.components(), mixture.dim());
        check_length(
            "state.statistics",
            statistics_len(covariance, k, d),
            buffer.len(),
        )?;
        let second = covariance.factors_len(k, d);
        let ([centre, t0, t1, t2], _) = cut(buffer, [d, k, k.saturating_mul(d), second])?;
        Ok(Self {
            covariance,
            centre,
            t0,
            t1,
            t2,
        })
    }

    /// Adds `w (1, x, x x^T)` to component `j`; `x` is centred.
    pub(super) fn add(&mut self, j: usize, w: f64, x: &[f64]) {
        let d = x.len();
        if let Some(t0) = self.t0.get_mut(j) {
            *t0 += w;
        }
        for (t, x) in row_mut(self.t1, j, d).iter_mut().zip(x) {
            *t += w * *x;
        }
        add_outer(self.covariance, w, x, self.second(j));
    }

    /// Adds `w` times a packed covariance to the second moments of component `j`.
    pub(super) fn add_covariance(&mut self, j: usize, w: f64, sigma: &[f64]) {
        for (t, x) in self.second(j).iter_mut().zip(sigma) {
            *t += w * *x;
        }
    }

    /// The second moments that component `j` adds to.
    fn second(&mut self, j: usize) -> &mut [f64] {
        let f = self.covariance.factor_len(self.centre.len());
        row_mut(self.t2, self.covariance.factor_of(j), f)
    }

    /// The tied covariance `(t2 - sum_k t1 t1^T / t0) / sum t0 + reg I` at the front of `room`; `m` holds D numbers. False without
    /// statistics. `K D^2` flops.
    pub(super) fn pooled_into(&self, reg: f64, m: &mut [f64], room: &mut [f64]) -> bool {
        let (total, d) = (vector::sum(self.t0), m.len());
        m.fill(0.0);
        moments_into(self.covariance, (total, self.t2), m, reg, room);
        for (j, t0) in self.t0.iter().enumerate().filter(|(_, t0)| **t0 > 0.0) {
            for (m, t1) in m.iter_mut().zip(row(self.t1, j, d)) {
                *m = *t1 / *t0;
            }
            add_outer(self.covariance, -*t0 / total, m, room);
        }
        total > 0.0
    }

    /// Multiplies all statistics by `1 - gamma`; returns their factor.
    pub(super) fn decay(&mut self, factor: f64, gamma: f64) -> f64 {
        let factor = factor * (1.0 - gamma);
        if factor >= LEAST_FACTOR {
            return factor;
        }
        for t in [&mut *self.t0, &mut *self.t1, &mut *self.t2] {
            vector::scale(factor, t);
        }
        1.0
    }
}
