//! False alarms of three tests of stationarity on correlated noise that is stationary, and what a shift takes to be found.
//!
//! ```text
//! x_{t+1} = rho x_t + e_t,  two windows of 4096, level 1 %
//! ```
//! The published windows hold 4000 samples in 16 batches of 250. The library's batches have a power of two as length: of 4000 samples
//! it judges the last 2048, of 4096 all.

use serde::Serialize;
use thalweg::Error;
use thalweg::dynamics::invariant_measure::{Window, compare};
use thalweg::random::{self, Purpose, normal};

use super::distribution::halves;
use super::rule::kolmogorov_smirnov;

/// Samples of a window.
const LEN: usize = 4096;
/// Runs of the test of distributions.
const DEALS: usize = 200;
/// Batches by the rule of the root.
const ROOT: usize = 63;
/// `scipy.stats.t.isf(0.005, 124)`, SciPy 1.17.1.
const ROOT_CRITICAL: f64 = 2.6161;
/// Correlations of successive samples.
pub const CORRELATIONS: [f64; 3] = [0.0, 0.9, 0.98];

/// Shares of runs that are called not stationary.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Calibration {
    /// Correlation of successive samples.
    pub rho: f64,
    /// Runs.
    pub runs: usize,
    /// 16 batch means a window: the library's test.
    pub batch_means: f64,
    /// 63 of them.
    pub root_rule: f64,
    /// Kolmogorov and Smirnov, as if samples were independent.
    pub kolmogorov_smirnov: f64,
    /// Runs of the test of distributions, which takes longer.
    pub deals: usize,
    /// The distance of distributions, compared with that of blocks dealt at random.
    pub distribution: f64,
    /// The same, once the second window has two values only, with the same mean and deviation.
    pub reshaped: f64,
    /// The library's test, once the second window is shifted by six standard errors of the difference.
    pub shifted: f64,
}

fn sample(rho: f64, seed: u64) -> Vec<f64> {
    let mut rng = random::stream(seed, 0, 0, Purpose::NOISE);
    // Started in its stationary law; |rho| < 1.
    let mut x = normal::<f64>(&mut rng) / (1.0 - rho * rho).sqrt();
    let draws = (0..2 * LEN).map(|_| {
        x = rho * x + normal::<f64>(&mut rng);
        x
    });
    draws.collect()
}

fn window(x: &[f64]) -> Window {
    let mut window = Window::new();
    x.iter().for_each(|&x| window.push(x));
    window
}

/// Mean and squared standard error from 63 batches.
fn root_rule(x: &[f64]) -> (f64, f64) {
    let size = x.len() / ROOT;
    let means: Vec<f64> = x
        .chunks_exact(size)
        .take(ROOT)
        .map(|batch| batch.iter().sum::<f64>() / size as f64)
        .collect();
    let n = ROOT as f64;
    let mean = means.iter().sum::<f64>() / n;
    let squares: f64 = means.iter().map(|m| (m - mean).powi(2)).sum();
    (mean, squares / (n - 1.0) / n)
}

/// Which tests reject one run: batch means, root rule, Kolmogorov-Smirnov, batch means after a shift.
fn rejections(rho: f64, seed: u64) -> Result<[bool; 4], Error> {
    let mut x = sample(rho, seed);
    let (a, b) = x.split_at(LEN);
    let first = window(a);
    let batch_means = compare(&first, &window(b), 1)?.rejects_mean();
    let ((m, s), (n, t)) = (root_rule(a), root_rule(b));
    let root = (m - n).abs() > ROOT_CRITICAL * (s + t).sqrt();
    let distance = kolmogorov_smirnov(a, b) > 1.0;
    // The mean of n samples has variance 1 / ((1 - rho)^2 n) for large n.
    let shift = 6.0 * (2.0 / LEN as f64).sqrt() / (1.0 - rho);
    let (_, later) = x.split_at_mut(LEN);
    later.iter_mut().for_each(|x| *x += shift);
    let shifted = compare(&first, &window(later), 1)?.rejects_mean();
    Ok([batch_means, root, distance, shifted])
}

/// Shares over `runs` seeds.
///
/// # Errors
/// None: windows are of equal length.
pub fn calibrate(rho: f64, runs: usize, seed: u64) -> Result<Calibration, Error> {
    let mut counts = [0_usize; 4];
    for k in 0..runs as u64 {
        let found = rejections(rho, seed.wrapping_add(k))?;
        for (count, found) in counts.iter_mut().zip(found) {
            *count += usize::from(found);
        }
    }
    let [batch_means, root_rule, kolmogorov_smirnov, shifted] =
        counts.map(|count| count as f64 / runs.max(1) as f64);
    let deals = runs.min(DEALS);
    let mut differs = [0_usize; 2];
    for k in 0..deals as u64 {
        let seed = seed.wrapping_add(k);
        let mut x = sample(rho, seed);
        let is_apart = |x: &[f64]| halves(x, seed).is_some_and(|d| d.differs);
        let [same, reshaped] = &mut differs;
        *same += usize::from(is_apart(&x));
        let deviation = 1.0 / (1.0 - rho * rho).sqrt();
        let (_, later) = x.split_at_mut(LEN);
        later.iter_mut().for_each(|x| *x = deviation.copysign(*x));
        *reshaped += usize::from(is_apart(&x));
    }
    let [distribution, reshaped] = differs.map(|count| count as f64 / deals.max(1) as f64);
    Ok(Calibration {
        rho,
        runs,
        batch_means,
        root_rule,
        kolmogorov_smirnov,
        deals,
        distribution,
        shifted,
        reshaped,
    })
}
