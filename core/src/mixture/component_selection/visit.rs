//! What becomes of one row of a batch.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of rows and components that are slices in memory"
)]

use super::{Config, Outcome, Proposal, Statistics, accepts};
use crate::Real;
use crate::memory::must_or;
use crate::mixture::gaussian::Evaluator;
use crate::mixture::responsibilities;
use crate::random::{self, Stream};
use crate::simd::math;

/// What a row keeps from visit to visit.
pub(super) struct Place<'a> {
    pub(super) label: &'a mut u32,
    /// Its log joint, where that is kept.
    pub(super) cache: Option<&'a mut f64>,
    /// Shares of the components in its proposals, where they are kept.
    pub(super) table: &'a mut [f32],
}

/// The visit of a batch, under parameters that do not change.
pub(super) struct Visit<'a, 'm, T> {
    pub(super) config: &'a Config,
    pub(super) evaluator: Evaluator<'m, T>,
    pub(super) statistics: Statistics<'a>,
    /// 1 for each component with a record.
    pub(super) visited: &'a mut [u32],
    /// What a record adds to the statistics.
    pub(super) weight: f64,
    pub(super) outcome: Outcome,
}

impl<T: Real> Visit<'_, '_, T> {
    /// Adds `times` records of component `z`; `x` is centred.
    fn record(&mut self, z: u32, times: f64, x: &[f64]) {
        if times > 0.0 {
            self.statistics.add(z as usize, self.weight * times, x);
            if let Some(mark) = self.visited.get_mut(z as usize) {
                *mark = 1;
            }
        }
    }

    /// A Metropolis-Hastings chain of M proposals; `q` has room for their probabilities.
    pub(super) fn chain(
        &mut self,
        mut rng: Stream,
        row: &[T],
        x: &[f64],
        place: Place<'_>,
        q: &mut [f64],
    ) {
        let config = self.config;
        let Place {
            label,
            mut cache,
            table,
        } = place;
        let table_rate = match config.proposal {
            Proposal::Table { rate, floor } => {
                probabilities_into(table, floor, q);
                for n in table.iter_mut() {
                    *n = (f64::from(*n) * (1.0 - rate)) as f32;
                }
                Some(rate / config.moves as f64)
            }
            _ => None,
        };
        let ln_q = |q: &[f64], z: u32| math::scalar::ln(must_or(q.get(z as usize).copied(), 1.0));
        let mut learn = |z: u32, times: f64| {
            if let (Some(rate), Some(n)) = (table_rate, table.get_mut(z as usize)) {
                *n = (f64::from(*n) + rate * times) as f32;
            }
        };
        let mut current = match &cache {
            Some(last) if !last.is_nan() => **last,
            _ => self.evaluator.log_joint(*label as usize, row),
        };
        // Records of the label since the chain came to it.
        let mut times = 0.0;
        for _ in 0..config.moves {
            let z = match table_rate {
                // Probabilities are positive, with the sum 1.
                Some(_) => must_or(random::categorical(&mut rng, q).ok(), *label as usize) as u32,
                None => random::below(&mut rng, q.len() as u32),
            };
            // In (0, 1], so that its logarithm is finite.
            let u = 1.0 - random::uniform::<f64>(&mut rng);
            if z == *label {
                self.outcome.accepted += 1;
                self.outcome.repeated += 1;
                times += 1.0;
                continue;
            }
            let log_ratio = match table_rate {
                Some(_) => ln_q(q, *label) - ln_q(q, z),
                None => 0.0,
            };
            let proposed = self.evaluator.log_joint(z as usize, row);
            if accepts(current, proposed, config.inverse_temperature, log_ratio, u) {
                self.outcome.accepted += 1;
                self.record(*label, times, x);
                learn(*label, times);
                (*label, current, times) = (z, proposed, 1.0);
            } else {
                times += 1.0;
            }
        }
        self.record(*label, times, x);
        learn(*label, times);
        if let Some(last) = &mut cache {
            **last = current;
        }
    }

    /// Tempered responsibilities of all components; false when none is possible.
    fn expect(&mut self, row: &[T], r: &mut [f64]) -> bool {
        self.evaluator.log_joints_into(row, r);
        let beta = self.config.inverse_temperature;
        // Far rows of a cold chain: tempering overflows, unless it is of the distance to the most likely component.
        let most = r
            .iter()
            .fold(f64::NEG_INFINITY, |m, l| Real::largest(*l, m));
        let shift = if most.is_finite() && !(beta * most).is_finite() {
            most
        } else {
            0.0
        };
        for l in r.iter_mut() {
            // What is not a number is impossible.
            *l = if l.is_nan() {
                f64::NEG_INFINITY
            } else {
                beta * (*l - shift)
            };
        }
        responsibilities(r) > f64::NEG_INFINITY
    }

    /// M labels by responsibility; the old one, M times, where none is possible.
    pub(super) fn posterior(
        &mut self,
        mut rng: Stream,
        row: &[T],
        x: &[f64],
        place: Place<'_>,
        r: &mut [f64],
    ) {
        let possible = self.expect(row, r);
        for _ in 0..self.config.moves {
            if possible && let Ok(z) = random::categorical(&mut rng, r) {
                *place.label = z as u32;
                self.outcome.accepted += 1;
            }
            self.record(*place.label, 1.0, x);
        }
    }

    /// Responsibilities as records.
    pub(super) fn all(&mut self, row: &[T], x: &[f64], r: &mut [f64]) {
        self.expect(row, r);
        for (z, r) in (0..).zip(r.iter()) {
            self.record(z, *r, x);
        }
    }
}

/// `(1 - floor) n / sum n + floor / K`; uniform where the table is empty.
fn probabilities_into(table: &[f32], floor: f64, q: &mut [f64]) {
    let total: f64 = table.iter().map(|n| f64::from(*n)).sum();
    let even = 1.0 / q.len() as f64;
    for (q, n) in q.iter_mut().zip(table) {
        let share = if total > 0.0 {
            f64::from(*n) / total
        } else {
            even
        };
        *q = (1.0 - floor) * share + floor * even;
    }
}
