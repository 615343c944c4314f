//! Diagnostics of training: sums, ratios, windows, curvature.

use thalweg::Real;
use thalweg::dynamics::invariant_measure::{
    BatchMeans, Histogram, Monitor, Noise, Observable, Report, StepStats, Summary, Window, compare,
    critical, curvature_ratio, heavy_ball_ratio, movement, norm_ratio, project_into, shape_ratio,
    step_stats,
};
use thalweg::model::Gradient;
use thalweg::model::quadratic::Quadratic;
use thalweg::snapshot::Snapshot;
use thalweg::solve::{
    Ends, hessian_vector_into, lanczos, lanczos_scratch_len, power_iteration, power_scratch_len,
};

use crate::{Hash, MISSING, Outcome, paint};

const D: usize = 37;

fn numbers(hash: &mut Hash, x: &[Option<f64>]) {
    for x in x {
        hash.reals(&[x.unwrap_or(f64::NAN)]);
    }
}

pub(super) fn sums<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut g) = ([T::ZERO; D], [T::ZERO; D]);
    paint(&mut x, 80);
    paint(&mut g, 81);
    let mut stats: StepStats = step_stats(&x, &g)?;
    stats.merge(&step_stats(&g, &x)?);
    let mut signs = [0.0; 3];
    project_into(&x, 5, &mut signs);
    hash.reals(&[stats.gg, stats.tg, stats.tt, movement(&x, &g)?]);
    hash.reals(&signs);
    numbers(
        hash,
        &[
            norm_ratio(0.1, stats.tg, stats.gg),
            heavy_ball_ratio(0.1, 0.9, stats.tg, stats.gg),
            curvature_ratio(0.1, stats.gg, stats.tt),
        ],
    );

    let (mut noise, mut other) = (Noise::<[f64; D]>::new(), Noise::<[f64; D]>::new());
    noise.push(&x)?;
    other.push(&g)?;
    noise.merge(&other)?;
    let estimate = noise.estimate().ok_or(MISSING)?;
    hash.reals(&[estimate.gradient, estimate.noise]);
    noise.reset();
    if noise.estimate() != Noise::from_storage([1.0; D]).estimate() {
        return Err(MISSING);
    }

    let mut monitor = Monitor::new(32)?;
    for i in 0..64_u32 {
        paint(&mut g, 200 + i);
        monitor.observe(0.1, T::from_f64(f64::from(i % 5)), &x, &g)?;
    }
    let report: Report = monitor.report(Observable::Loss)?;
    hash.reals(&[report.mean_score, report.spread_score, report.critical]);
    hash.size(usize::from(report.rejects_mean()));
    hash.word(monitor.samples() + monitor.resets());
    numbers(
        hash,
        &[monitor.last(Observable::Loss).mean(), monitor.norm_ratio()],
    );
    Ok(())
}

pub(super) fn windows(hash: &mut Hash) -> Outcome {
    let (mut a, mut b) = (Window::new(), Window::new());
    let (mut means, mut more) = (BatchMeans::new(), BatchMeans::new());
    let (mut seen, mut later) = (Histogram::new(-4.0, 4.0)?, Histogram::new(-4.0, 4.0)?);
    let mut x = [0.0_f64; 64];
    paint(&mut x, 82);
    for (i, &x) in x.iter().enumerate() {
        a.push(x);
        b.push(x * 0.5);
        means.push(x);
        seen.push(x);
        later.push(x * 1.5);
        if i >= 32 {
            more.push(x);
        }
    }
    hash.word(a.samples() + means.slot_len() + more.slot_len());
    hash.reals(means.slots());
    means.merge(&more);
    let summary: Summary = means.summary().ok_or(MISSING)?;
    let whole = a.summary().ok_or(MISSING)?;
    hash.reals(&[summary.mean, summary.error, whole.mean, whole.error]);
    numbers(hash, &[a.mean(), a.variance(), a.correlation_time()]);
    let report = compare(&a, &b, 2)?;
    hash.reals(&[report.mean_score, report.spread_score, critical(2)?]);
    numbers(hash, &[seen.total_variation(&later)?]);
    seen.merge(&later)?;
    seen.bins()
        .iter()
        .for_each(|&count| hash.word(count.into()));
    hash.word(u64::from(seen.below()) + u64::from(seen.above()));
    Ok(())
}

pub(super) fn curvature<T: Real>(hash: &mut Hash) -> Outcome {
    const STEPS: usize = 4;
    let problem = Quadratic {
        dim: D,
        curvature: T::from_f64(1.5),
        shift: T::from_f64(0.25),
        linear: T::ONE,
    };
    let gradient = |x: &[T], g: &mut [T]| problem.gradient_into(x, g, &mut []);
    let (mut x, mut v, mut out) = ([T::ZERO; D], [T::ZERO; D], [T::ZERO; D]);
    paint(&mut x, 83);
    paint(&mut v, 84);
    hessian_vector_into(&x, &v, gradient, &mut out, &mut [T::ZERO; 2 * D])?;
    hash.reals(&out);
    let found = power_iteration(&x, gradient, 3, &mut [T::ZERO; power_scratch_len(D)])?;
    hash.reals(&[found.value]);
    let (mut largest, mut smallest) = ([0.0; 2], [0.0; 2]);
    let mut scratch = [T::ZERO; lanczos_scratch_len(D, STEPS)];
    let steps = lanczos(
        &x,
        gradient,
        3,
        STEPS,
        Ends {
            largest: &mut largest,
            smallest: &mut smallest,
        },
        &mut scratch,
    )?;
    hash.size(steps);
    hash.reals(&largest);
    hash.reals(&smallest);
    Ok(())
}

/// Save, restore, join: what the accumulators do on devices that report to one another.
pub(super) fn joined<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut g) = ([T::ZERO; D], [T::ZERO; D]);
    paint(&mut x, 85);
    paint(&mut g, 86);
    let mut monitor = Monitor::new(32)?;
    let mut window = Window::new();
    let mut halves = [Histogram::new(-1.0, 5.0)?; 4];
    for i in 0..64_u32 {
        let loss = f64::from(i % 5) + f64::from(i % 3) * 0.375;
        monitor.observe_after(0.1, T::from_f64(loss), &x, &g)?;
        window.push(loss);
        let half = halves.get_mut(i as usize / 16).ok_or(MISSING)?;
        half.push(loss);
    }
    let (before, last) = (
        monitor.before(Observable::Loss),
        monitor.last(Observable::ParamsGradient),
    );
    numbers(hash, &[before.mean(), last.mean(), last.variance()]);
    let [a, b, c, d] = &halves;
    numbers(hash, &[shape_ratio([a, b], [c, d])?]);
    let mut bytes = [0; 1024];
    let len = window.save(&mut bytes)?;
    let saved = bytes.get(..len).ok_or(MISSING)?;
    hash.bytes(saved);
    let mut other = Window::new();
    other.restore(saved)?;
    other.merge(before);
    numbers(hash, &[other.mean(), other.correlation_time()]);
    let len = a.save(&mut bytes)?;
    let mut restored = *b;
    restored.restore(bytes.get(..len).ok_or(MISSING)?)?;
    hash.size(restored.snapshot_len() + monitor.snapshot_len());
    Ok(())
}
