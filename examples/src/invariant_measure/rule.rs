//! Rules by which training is stopped elsewhere, each fed at every step or evaluation.
//!
//! | rule | says stop when |
//! |---|---|
//! | [`Patience`] | the loss has not fallen by 0.001 in 20 evaluations |
//! | [`Threshold`] | the full gradient is below 1 % of its first norm |
//! | [`Pflug`] | the running sum of `<g_k, g_{k+1}>` after 1000 steps is negative |
//! | [`Sasa`] | `<x, g> - eta / 2 <g, g>` is zero within 2 % of `eta / 2 <g, g>`, with 80 % confidence |
//! | [`kolmogorov_smirnov`] | two windows do not differ as samples that are taken for independent |
//!
//! Pflug, *On the determination of the step size in stochastic quasigradient methods*, 1983; Yaida, *Fluctuation-dissipation relations
//! for stochastic gradient descent*, 2018; Lang, Xiao and Zhang, *Using statistics to automate stochastic optimization*, 2019.

use thalweg::dynamics::invariant_measure::{BatchMeans, step_stats};
use thalweg::{Error, vector};

/// Early stopping on the loss.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    best: f64,
    waited: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            best: f64::INFINITY,
            waited: 0,
        }
    }
}

impl Patience {
    /// Takes an evaluation.
    pub fn stops(&mut self, loss: f64) -> bool {
        if loss < self.best - 1e-3 {
            (self.best, self.waited) = (loss, 0);
        } else {
            self.waited += 1;
        }
        self.waited >= 20
    }
}

/// A small gradient.
#[derive(Clone, Copy, Debug, Default)]
pub struct Threshold(Option<f64>);

impl Threshold {
    /// Takes the norm of a full gradient.
    pub fn stops(&mut self, gradient: f64) -> bool {
        gradient < super::VANISHED * *self.0.get_or_insert(gradient)
    }
}

/// The sign of successive gradients' products.
#[derive(Clone, Debug)]
pub struct Pflug {
    before: Vec<f64>,
    sum: f64,
    steps: u64,
}

impl Pflug {
    /// Steps before products count.
    const BURN_IN: u64 = 1000;

    /// For `d` parameters.
    pub fn new(d: usize) -> Self {
        Self {
            before: vec![0.0; d],
            sum: 0.0,
            steps: 0,
        }
    }

    /// Takes a minibatch gradient.
    ///
    /// # Errors
    /// Another length.
    pub fn stops(&mut self, grad: &[f64]) -> Result<bool, Error> {
        self.steps += 1;
        if self.steps > Self::BURN_IN {
            self.sum += vector::dot(&self.before, grad)?;
        }
        self.before.copy_from_slice(grad);
        Ok(self.steps > Self::BURN_IN && self.sum < 0.0)
    }
}

/// The test of SASA for plain SGD, on the last 16 to 32 of the batch means since the start.
#[derive(Clone, Debug, Default)]
pub struct Sasa {
    difference: BatchMeans,
    square: BatchMeans,
    steps: u64,
}

impl Sasa {
    /// Steps between tests.
    const EVERY: u64 = 1000;
    /// `scipy.stats.t.isf(0.1, 15)`, SciPy 1.17.1.
    const QUANTILE: f64 = 1.340_61;

    /// Takes a step, before the parameters move.
    ///
    /// # Errors
    /// Lengths that differ.
    pub fn stops(&mut self, rate: f64, params: &[f64], grad: &[f64]) -> Result<bool, Error> {
        let stats = step_stats(params, grad)?;
        let half = 0.5 * rate * stats.gg;
        self.difference.push(stats.tg - half);
        self.square.push(half);
        self.steps += 1;
        if !self.steps.is_multiple_of(Self::EVERY) {
            return Ok(false);
        }
        let (difference, square) = (self.difference.summary(), self.square.summary());
        Ok(difference.zip(square).is_some_and(|(difference, square)| {
            difference.mean.abs() + Self::QUANTILE * difference.error < 0.02 * square.mean
        }))
    }
}

/// The largest distance of two empirical distributions, over its 1 % point for independent samples of equal number.
pub fn kolmogorov_smirnov(a: &[f64], b: &[f64]) -> f64 {
    let sorted = |x: &[f64]| {
        let mut x = x.to_vec();
        x.sort_by(f64::total_cmp);
        x
    };
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j, mut gap) = (0, 0, 0.0_f64);
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let least = x.min(*y);
        i += a
            .iter()
            .skip(i)
            .take_while(|x| **x <= least)
            .count()
            .max(usize::from(x.is_nan()));
        j += b
            .iter()
            .skip(j)
            .take_while(|y| **y <= least)
            .count()
            .max(usize::from(y.is_nan()));
        gap = gap.max((i as f64 / a.len() as f64 - j as f64 / b.len() as f64).abs());
    }
    // Two samples of n: 1.628 sqrt(2 / n).
    gap / (1.628 * (2.0 / a.len().max(1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_two_samples_is_that_of_their_distributions() {
        // Halves apart: distance 1, of 8 samples each.
        let (a, b) = ([0.0; 8], [1.0; 8]);
        let most = 1.0 / (1.628 * 0.5);
        assert!((kolmogorov_smirnov(&a, &b) - most).abs() < 1e-12);
        assert_eq!(kolmogorov_smirnov(&a, &a), 0.0);
        // 3 of 4 below 1 against 1 of 4.
        let found = kolmogorov_smirnov(&[0.0, 0.0, 0.0, 2.0], &[0.0, 2.0, 2.0, 2.0]);
        assert!((found * 1.628 * 0.5_f64.sqrt() - 0.5).abs() < 1e-12);
    }

    #[test]
    fn each_rule_stops_where_its_condition_first_holds() {
        let mut patience = Patience::default();
        let stop = (0..).find(|&k| patience.stops(1.0 / f64::from(k + 1)));
        // 20 evaluations of 1 / k bring less than 0.001 once 20 / k^2 does: near k = 140.
        assert!(stop.is_some_and(|k| (100..200).contains(&k)), "{stop:?}");
        let mut threshold = Threshold::default();
        assert_eq!((0..9).find(|&k| threshold.stops(0.5_f64.powi(k))), Some(7));
        let mut pflug = Pflug::new(1);
        // Equal signs, then alternating ones.
        let stop = (0_u64..5000).find(|&k| {
            let g = if k > 2000 && k % 2 == 0 { -1.0 } else { 1.0 };
            pflug.stops(&[g]).unwrap_or(false)
        });
        assert!(stop.is_some_and(|k| k > 2500), "{stop:?}");
        // x = 1, g = 2, eta = 1: the difference is exactly zero.
        let mut sasa = Sasa::default();
        let stop = (1..=3000).find(|_| sasa.stops(1.0, &[1.0], &[2.0]).unwrap_or(false));
        assert_eq!(stop, Some(1000));
        let mut sasa = Sasa::default();
        assert!((1..=3000).all(|_| !sasa.stops(1.0, &[1.5], &[2.0]).unwrap_or(true)));
    }
}
