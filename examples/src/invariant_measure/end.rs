//! What is measured at one point: gradient, noise, curvature, and what a step from there does.

use serde::Serialize;
use thalweg::dynamics::invariant_measure::{self as diagnostics, Noise, movement};
use thalweg::solve::{
    self, Ends, lanczos, lanczos_scratch_len, power_iteration, power_scratch_len,
};
use thalweg::{Error, vector};
use thalweg_std::data::Batches;

use super::problem::{Problem, Slope};
use super::run::Plan;

/// Minibatches of an estimate of noise.
const BATCHES: u64 = 100;
/// Steps that are tried from one point.
const STEPS_FROM: u32 = 50;
/// Steps of Lanczos.
const LANCZOS: usize = 24;

/// Memory of [`measure`] and of [`power_iteration`].
pub(super) const fn scratch_len(d: usize) -> usize {
    let (a, b) = (lanczos_scratch_len(d, LANCZOS), power_scratch_len(d));
    if a > b { a } else { b }
}

/// What is measured at the end of the table's steps.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct End {
    /// Norm of the full gradient there.
    pub gradient: f64,
    /// The same from 100 minibatches, as the mean's norm.
    pub biased: f64,
    /// The same without its bias; the sign is that of the estimate of the square.
    pub debiased: f64,
    /// Root of the noise `E |g - grad|^2`.
    pub noise: f64,
    /// 1-norm of the full gradient.
    pub gradient_l1: f64,
    /// Largest magnitude in the full gradient.
    pub gradient_linf: f64,
    /// Root of the mean squared norm of a minibatch gradient.
    pub batch: f64,
    /// Mean of the largest magnitude in a minibatch gradient.
    pub batch_linf: f64,
    /// Root of the mean squared length of a step.
    pub update: f64,
    /// Root of the mean squared change of the full gradient in a step.
    pub change: f64,
    /// Sharpness along the step: mean of `|H_2 v| / |g_2|` with `v = g_1 / |g_1|`, over pairs of minibatches.
    pub along_step: f64,
    /// Hessian's eigenvalue of largest modulus.
    pub sharpness: f64,
    /// The products have settled on it: an eigenvalue lies within a hundredth.
    pub is_sharpness_settled: bool,
    /// Two largest eigenvalues and the smallest, by Lanczos.
    pub eigenvalues: [f64; 3],
}

/// Gradient, noise and curvature at one point.
pub(super) fn measure(
    problem: &Problem,
    slope: &mut Slope<'_>,
    x: &[f64],
    plan: &Plan,
    scratch: &mut [f64],
) -> Result<End, Error> {
    let rate = if plan.lowered.is_some() {
        plan.rate / 10.0
    } else {
        plan.rate
    };
    let mut g = vec![0.0; x.len()];
    let (_, gradient) = slope.measure(x, &mut g)?;
    let (gradient_l1, gradient_linf) = (vector::sum_abs(&g), vector::norm_inf(&g));
    let along = along(problem, slope, x, rate, plan.full, scratch)?;
    // Batches of a separate stream: the run does not know that it is measured.
    let batches = Batches::with_replacement(problem.rows(), problem.batch, problem.seed, 1);
    let mut noise = Noise::from_storage(vec![0.0; x.len()]);
    if let Ok(mut batches) = batches {
        for _ in 0..BATCHES {
            slope.batch(x, batches.next_batch(), &mut g)?;
            noise.push(&g)?;
        }
    }
    let estimate = noise.estimate();
    let root = |square: f64| square.abs().sqrt() * square.signum();
    let of = |f: fn(&diagnostics::NoiseEstimate) -> f64| {
        estimate.as_ref().map_or(f64::NAN, |e| root(f(e)))
    };
    let mut gradient_of = |x: &[f64], g: &mut [f64]| slope.full(x, g).map(drop);
    let found = power_iteration(x, &mut gradient_of, problem.seed, scratch)?;
    let (mut largest, mut smallest) = ([0.0; 2], [0.0; 1]);
    let steps = LANCZOS.min(x.len());
    lanczos(
        x,
        gradient_of,
        problem.seed,
        steps,
        Ends {
            largest: &mut largest,
            smallest: &mut smallest,
        },
        scratch,
    )?;
    let ([a, b], [c]) = (largest, smallest);
    Ok(End {
        gradient,
        biased: of(|e| e.biased),
        debiased: of(|e| e.gradient),
        noise: of(|e| e.noise),
        gradient_l1,
        gradient_linf,
        sharpness: found.value,
        is_sharpness_settled: found.converged,
        eigenvalues: [a, b, c],
        ..along
    })
}

/// What steps from one point do: their lengths, and the gradient behind them.
fn along(
    problem: &Problem,
    slope: &mut Slope<'_>,
    x: &[f64],
    rate: f64,
    full: bool,
    scratch: &mut [f64],
) -> Result<End, Error> {
    let d = x.len();
    let (mut before, mut after) = (vec![0.0; d], vec![0.0; d]);
    let (mut g, mut moved, mut product) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    slope.full(x, &mut before)?;
    let mut batches = Batches::with_replacement(problem.rows(), problem.batch, problem.seed, 2)
        .map_err(|_| Error::Parameter {
            name: "rows",
            rule: "must be positive",
        })?;
    let mut end = End::default();
    for _ in 0..STEPS_FROM {
        let rows = batches.next_batch().to_vec();
        slope.batch(x, &rows, &mut g)?;
        end.batch += vector::norm2_squared(&g);
        end.batch_linf += vector::norm_inf(&g);
        if full {
            g.copy_from_slice(&before);
        }
        let square = vector::norm2_squared(&g);
        end.update += rate * rate * square;
        vector::axpby_into(1.0, x, -rate, &g, &mut moved)?;
        slope.full(&moved, &mut after)?;
        end.change += movement(&after, &before)?;
        if square > 0.0 {
            // The Hessian of another batch along this step.
            let other = batches.next_batch().to_vec();
            vector::scale(1.0 / square.sqrt(), &mut g);
            let gradient = |x: &[f64], out: &mut [f64]| slope.batch(x, &other, out).map(drop);
            solve::hessian_vector_into(x, &g, gradient, &mut product, scratch)?;
            slope.batch(x, &other, &mut moved)?;
            end.along_step += vector::norm2(&product) / vector::norm2(&moved);
        }
    }
    let n = STEPS_FROM as f64;
    end.batch = (end.batch / n).sqrt();
    end.update = (end.update / n).sqrt();
    end.change = (end.change / n).sqrt();
    end.batch_linf /= n;
    end.along_step /= n;
    Ok(end)
}
