//! Infinitely wide networks: complexity of labels, posteriors given signs, regression on a label scale.

use serde::Serialize;
use thalweg::kernel::arc_cosine::{self, nngp_between_into, nngp_into};
use thalweg::kernel::covariance::Covariance;
use thalweg::kernel::estimate::Reading;
use thalweg::kernel::orthant::{self, Bounds, Complexity, Orthant};
use thalweg::kernel::posterior::{self, Tally};
use thalweg::kernel::regression;
use thalweg::matrix::{MatrixMut, MatrixRef};
use thalweg::random::{self, Purpose};
use thalweg::simd::math::scalar::normal_cdf;
use thalweg::{Error, vector};

use super::problem::Signs;

/// Confidence of the bounds is one less this.
pub const DELTA: f64 = 0.01;

/// Most draws that a rejection takes for one function.
const TRIES: usize = 10_000_000;

/// The kernel of rows, `n x n`.
fn kernel(depth: usize, rows: &Signs) -> Result<Vec<f64>, Error> {
    let (n, d) = (rows.len(), rows.columns);
    let mut out = vec![0.0; n * n];
    let mut scratch = vec![0.0; arc_cosine::scratch_len(n, 0, d)];
    let x = MatrixRef::new(&rows.features, n, d)?;
    let config = arc_cosine::Config::new(depth);
    nngp_into(&config, x, MatrixMut::new(&mut out, n, n)?, &mut scratch)?;
    Ok(out)
}

/// The kernel between test and training rows, `N_t x n`.
fn cross_kernel(depth: usize, test: &Signs, train: &Signs) -> Result<Vec<f64>, Error> {
    let (t, n, d) = (test.len(), train.len(), train.columns);
    let mut out = vec![0.0; t * n];
    let mut scratch = vec![0.0; arc_cosine::scratch_len(t, n, d)];
    let x = MatrixRef::new(&test.features, t, d)?;
    let y = MatrixRef::new(&train.features, n, d)?;
    let config = arc_cosine::Config::new(depth);
    nngp_between_into(&config, x, y, MatrixMut::new(&mut out, t, n)?, &mut scratch)?;
    Ok(out)
}

/// An estimate with the number of draws that it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// Effective draws.
    pub effective_draws: f64,
    /// Whether there are enough of them.
    pub reliable: bool,
}

impl Estimate {
    fn new(found: &Complexity) -> Self {
        let reading = found.nats();
        let (Reading::Reliable(value) | Reading::Unreliable(value)) = reading;
        Self {
            value,
            effective_draws: found.weights().effective_draws(),
            reliable: matches!(reading, Reading::Reliable(_)),
        }
    }
}

/// What signs cost a network of some depth.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// Where the labels come from.
    pub labels: &'static str,
    /// Rows.
    pub rows: usize,
    /// Layers of weights.
    pub depth: usize,
    /// `det(K)^(1/n)`.
    pub root_determinant: f64,
    /// `tr K^-1`.
    pub trace: f64,
    /// `c^T K^-1 c`.
    pub energy: f64,
    /// Upper bound on `-ln P(c)` as published.
    pub c1: f64,
    /// Upper bound on the mean error of functions that have these signs, from `c1`.
    pub bound_c1: f64,
    /// `-ln P(c)`, one coordinate after another.
    pub c0: Estimate,
    /// `-ln P(c)` by half-normal magnitudes, the published estimator.
    pub half_normal: Estimate,
    /// The bound on the error from `c0`.
    pub bound_c0: f64,
}

/// Bounds and estimates for labelled rows.
///
/// # Errors
/// A kernel that is singular beyond the largest jitter.
pub fn cost(
    labels: &'static str,
    depth: usize,
    rows: &Signs,
    config: &orthant::Config,
) -> Result<Cost, Error> {
    let n = rows.len();
    let kernel = kernel(depth, rows)?;
    let mut memory = vec![0.0; n * n];
    let k = Covariance::new(MatrixRef::new(&kernel, n, n)?, &mut memory)?;
    let orthant = Orthant::new(k, &rows.labels)?;
    let mut scratch = vec![0.0; orthant::scratch_len(n)];
    let bounds: Bounds = orthant::bounds(&orthant, &mut scratch)?;
    let c1 = bounds.rounded_complexity();
    let c0 = Estimate::new(&orthant::sequential(
        config,
        &orthant,
        |_, _| (),
        &mut scratch,
    )?);
    let half_normal = orthant::half_normal(config, &orthant, |_, _| (), &mut scratch)?;
    Ok(Cost {
        labels,
        rows: n,
        depth,
        root_determinant: bounds.root_determinant,
        trace: bounds.trace_of_inverse,
        energy: bounds.energy,
        c1,
        bound_c1: orthant::pac_bayes(c1, n, DELTA)?,
        c0,
        half_normal: Estimate::new(&half_normal),
        bound_c0: orthant::pac_bayes(c0.value.max(0.0), n, DELTA)?,
    })
}

/// How functions with the right signs on the training rows do on the test rows.
#[derive(Clone, Debug, Serialize)]
pub struct Posterior {
    /// Layers of weights.
    pub depth: usize,
    /// Number of the drawn problem.
    pub draw: u64,
    /// `P(c)`.
    pub probability: f64,
    /// Mean accuracy of functions.
    pub gibbs: f64,
    /// The same as a quotient of probabilities, `P((c, c')) / P(c)`.
    pub quotient: f64,
    /// Accuracy of their vote.
    pub vote: f64,
    /// Accuracy of the sign of their mean.
    pub centre_of_mass: f64,
    /// Accuracy of the kernel's interpolation.
    pub interpolation: f64,
    /// Mean accuracy of functions, by fifths of their smallest `|f|` on the training rows, ascending.
    pub by_margin: [f64; 5],
    /// Accuracy of a draw of the regression on `alpha c`, for each scale.
    pub regression: Vec<f64>,
    /// Accuracy of the nearest training row.
    pub nearest: f64,
}

/// How many draws, with which seed.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    /// Functions with the right signs.
    pub functions: usize,
    /// Draws of an estimate of a probability.
    pub probabilities: usize,
    /// Seed.
    pub seed: u64,
    /// Number of the drawn problem.
    pub draw: u64,
}

/// Draws functions given their signs, and reads them at the test rows in every way.
///
/// # Errors
/// Signs so improbable that rejection does not find them.
pub fn posterior(
    depth: usize,
    [train, test]: [&Signs; 2],
    scales: &[f64],
    draws: Draws,
) -> Result<Posterior, Error> {
    let (n, t) = (train.len(), test.len());
    let (inner, cross) = (kernel(depth, train)?, cross_kernel(depth, test, train)?);
    let cross = MatrixRef::new(&cross, t, n)?;
    let mut memory = vec![0.0; n * n];
    let k = Covariance::new(MatrixRef::new(&inner, n, n)?, &mut memory)?;
    let orthant = Orthant::new(k, &train.labels)?;
    let (mut weights, mut deviations) = (vec![0.0; t * n], vec![0.0; t]);
    let prior = vec![1.0; t];
    let view = MatrixMut::new(&mut weights, t, n)?;
    posterior::conditional_into(&k, cross, &prior, view, &mut deviations)?;
    let weights = MatrixRef::new(&weights, t, n)?;

    let mut rng = random::stream(draws.seed, draws.draw, depth as u64, Purpose::NOISE);
    let mut tally = Tally::new(vec![0.0; 2 * t]);
    let mut f = vec![0.0; n];
    let mut functions = Vec::with_capacity(draws.functions);
    for _ in 0..draws.functions {
        posterior::reject(&orthant, TRIES, &mut rng, &mut f)?;
        tally.push(0.0, &f, weights, &deviations)?;
        let margin = posterior::margin(&train.labels, &f)?;
        functions.push((margin, accuracy(&f, weights, &deviations, &test.labels)?));
    }
    let (Reading::Reliable(found) | Reading::Unreliable(found)) = tally.accuracy(&test.labels)?;
    functions.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut by_margin = [0.0; 5];
    let fifth = functions.len().div_ceil(5).max(1);
    for (mean, part) in by_margin.iter_mut().zip(functions.chunks(fifth)) {
        *mean = part.iter().map(|(_, x)| x).sum::<f64>() / part.len() as f64;
    }

    let mut solved = vec![0.0; n];
    regression::weights_into(&k, &train.labels, &mut solved)?;
    let mut mean = vec![0.0; t];
    regression::mean_into(1.0, &solved, cross, &mut mean)?;
    let interpolation = share(mean.iter().zip(&test.labels).map(|(m, c)| m * c > 0.0));
    let regression = scales.iter().map(|scale| {
        let points = mean.iter().zip(&deviations).zip(&test.labels);
        let right = points.map(|((m, &deviation), c)| {
            let z = scale * m * c / deviation;
            if z.is_nan() { 0.0 } else { normal_cdf(z) }
        });
        right.sum::<f64>() / t as f64
    });

    let config = orthant::Config {
        who: draws.draw,
        ..orthant::Config::new(draws.seed, draws.probabilities)
    };
    let mut scratch = vec![0.0; orthant::scratch_len(n + 1)];
    let c0 = orthant::sequential(&config, &orthant, |_, _| (), &mut scratch)?;
    let c0 = Estimate::new(&c0).value;
    let mut quotient = 0.0;
    for (row, &label) in cross.row_iter().zip(&test.labels) {
        quotient += (c0 - with_one_more(&inner, row, train, label, &config, &mut scratch)?).exp();
    }
    Ok(Posterior {
        depth,
        draw: draws.draw,
        probability: (-c0).exp(),
        gibbs: found.gibbs,
        quotient: quotient / t as f64,
        vote: found.vote,
        centre_of_mass: found.centre_of_mass,
        interpolation,
        by_margin,
        regression: regression.collect(),
        nearest: nearest([train, test])?,
    })
}

/// `-ln P((c, c'))`: the kernel with a row more.
fn with_one_more(
    inner: &[f64],
    row: &[f64],
    train: &Signs,
    label: f64,
    config: &orthant::Config,
    scratch: &mut [f64],
) -> Result<f64, Error> {
    let (n, m) = (train.len(), train.len() + 1);
    let mut kernel = Vec::with_capacity(m * m);
    for (of, &last) in inner.chunks_exact(n).zip(row) {
        kernel.extend_from_slice(of);
        kernel.push(last);
    }
    kernel.extend_from_slice(row);
    kernel.push(1.0);
    let labels: Vec<f64> = train.labels.iter().copied().chain([label]).collect();
    let mut memory = vec![0.0; m * m];
    let k = Covariance::new(MatrixRef::new(&kernel, m, m)?, &mut memory)?;
    let found = orthant::sequential(config, &Orthant::new(k, &labels)?, |_, _| (), scratch)?;
    Ok(Estimate::new(&found).value)
}

/// Mean over test rows of the probability that a function with these values is right there.
fn accuracy(
    f: &[f64],
    weights: MatrixRef<'_, f64>,
    deviations: &[f64],
    labels: &[f64],
) -> Result<f64, Error> {
    let mut sum = 0.0;
    for ((row, &deviation), c) in weights.row_iter().zip(deviations).zip(labels) {
        let z = c * vector::dot(row, f)? / deviation;
        sum += if z.is_nan() { 0.0 } else { normal_cdf(z) };
    }
    Ok(sum / labels.len() as f64)
}

/// Share of the test rows whose nearest training row has their label.
fn nearest([train, test]: [&Signs; 2]) -> Result<f64, Error> {
    let mut right = 0;
    for (x, c) in test.features.chunks_exact(test.columns).zip(&test.labels) {
        let (mut least, mut label) = (f64::INFINITY, 0.0);
        for (y, &of) in train
            .features
            .chunks_exact(train.columns)
            .zip(&train.labels)
        {
            let distance = vector::squared_distance(x, y)?;
            if distance < least {
                (least, label) = (distance, of);
            }
        }
        right += usize::from(label * c > 0.0);
    }
    Ok(right as f64 / test.len() as f64)
}

fn share(of: impl Iterator<Item = bool>) -> f64 {
    let (mut right, mut all) = (0, 0);
    for is in of {
        right += usize::from(is);
        all += 1;
    }
    right as f64 / f64::from(all)
}
