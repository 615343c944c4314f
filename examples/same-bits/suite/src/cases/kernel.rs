//! Kernels of wide networks, and the functions of lane math that they are made of.

use thalweg::kernel::arc_cosine::{self, Config, Order, scratch_len};
use thalweg::kernel::covariance::Covariance;
use thalweg::kernel::estimate::{Reading, Weights};
use thalweg::kernel::orthant::{self, Complexity, Orthant};
use thalweg::kernel::posterior::{self, State, Tally};
use thalweg::kernel::regression;
use thalweg::matrix::{MatrixMut, MatrixRef};
use thalweg::random::{self, Purpose};
use thalweg::simd::math;
use thalweg::snapshot::Snapshot;
use thalweg::{Real, vector};

use crate::{Hash, Outcome, paint};

const N: usize = 7;
const M: usize = 3;
const D: usize = 5;
const SCRATCH: usize = scratch_len(N, M, D);

/// Every layer function, in the forms on slices and on single numbers.
pub(super) fn arc_cosines<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut out) = ([T::ZERO; 35], [T::ZERO; 35]);
    for (phase, scale) in [(3, 0.25), (4, 1e-3), (5, 8.0)] {
        paint(&mut x, phase);
        vector::scale(T::from_f64(scale), &mut x);
        math::ln_normal_cdf_into(&x, &mut out)?;
        hash.reals(&out);
        hash.reals(&[math::scalar::ln_normal_cdf(
            x.first().copied().unwrap_or(T::ZERO),
        )]);
        x = x.map(|x| x.abs());
        math::acos_1m_into(&x, &mut out)?;
        hash.reals(&out);
        math::acos_1m_integral_into(&x, &mut out)?;
        hash.reals(&out);
        for &x in x.iter().take(5) {
            hash.reals(&[math::scalar::acos_1m(x), math::scalar::acos_1m_integral(x)]);
        }
    }
    paint(&mut x, 6);
    // The last row is a near duplicate of the first, the last but one its negative.
    let (first, rest) = x.split_at_mut(D);
    if let (Some(negative), Some(near)) = (rest.get_mut(4 * D..5 * D), first.first_mut()) {
        *near += T::ONE;
        for (to, from) in negative.iter_mut().zip(first.iter()) {
            *to = -*from;
        }
    }
    if let Some(near) = rest.get_mut(5 * D..) {
        for (to, from) in near.iter_mut().zip(first.iter()) {
            *to = *from;
        }
        if let Some(to) = near.last_mut() {
            *to += T::from_f64(0.01);
        }
    }
    let rows = MatrixRef::new(&x, N, D)?;
    let others = rows.block(2..2 + M, 0..D)?;
    let (mut k, mut theta) = ([T::ZERO; N * N], [T::ZERO; N * N]);
    let mut scratch = [T::ZERO; SCRATCH];
    for (depth, order) in [(1, Order::One), (4, Order::One), (3, Order::Zero)] {
        let config = Config {
            order,
            ..Config::new(depth)
        };
        arc_cosine::nngp_into(&config, rows, MatrixMut::new(&mut k, N, N)?, &mut scratch)?;
        hash.reals(&k);
        let (k, theta) = (k.split_at_mut(N * M).0, theta.split_at_mut(N * M).0);
        let between = MatrixMut::new(k, N, M)?;
        arc_cosine::nngp_between_into(&config, rows, others, between, &mut scratch)?;
        hash.reals(k);
        if order == Order::One {
            let (nngp, ntk) = (MatrixMut::new(k, N, M)?, MatrixMut::new(theta, N, M)?);
            arc_cosine::tangent_between_into(&config, rows, others, nngp, ntk, &mut scratch)?;
            hash.reals(theta);
        }
        arc_cosine::nngp_of_cosines(&config, k)?;
        hash.reals(k);
    }
    let config = Config::new(3);
    let (nngp, ntk) = (
        MatrixMut::new(&mut k, N, N)?,
        MatrixMut::new(&mut theta, N, N)?,
    );
    arc_cosine::tangent_into(&config, rows, nngp, ntk, &mut scratch)?;
    hash.reals(&theta);
    arc_cosine::tangent_of_gaps(&config, &mut k, &mut theta)?;
    hash.reals(&theta);
    Ok(())
}

/// Regression on a scale, in `f64`, from kernels of either type.
pub(super) fn regressions<T: Real>(hash: &mut Hash) -> Outcome {
    let kernel = [1.0, 0.0, 0.6, 1.0].map(T::from_f64);
    let cross = [0.5, 0.3, 0.2, 0.4].map(T::from_f64);
    let (mut memory, mut other) = ([0.0; 4], [0.0; 4]);
    let k = Covariance::new(MatrixRef::new(&kernel, 2, 2)?, &mut memory)?;
    hash.reals(k.factor().data());
    hash.reals(&[k.jitter()]);
    hash.size(k.n());
    let (mut weights, mut mean, mut f) = ([0.0; 2], [0.0; 2], [0.0; 2]);
    regression::weights_into(&k, &[1.0, -1.0], &mut weights)?;
    let cross = MatrixRef::new(&cross, 2, 2)?;
    regression::mean_into(3.0, &weights, cross, &mut mean)?;
    hash.reals(&mean);
    let prior = [1.0, 0.1, 0.1, 1.0].map(T::from_f64);
    let (mut out, mut scratch) = ([0.0; 4], [0.0; 4]);
    let view = MatrixMut::new(&mut out, 2, 2)?;
    regression::covariance_into(&k, cross, MatrixRef::new(&prior, 2, 2)?, view, &mut scratch)?;
    hash.reals(&out);
    let spread = Covariance::new(MatrixRef::new(&out, 2, 2)?, &mut other)?;
    let mut rng = random::stream(1, 2, 3, Purpose::NOISE);
    regression::draw_into(&spread, &mean, &mut rng, &mut f)?;
    hash.reals(&f);
    let prior = [T::ONE; 2];
    let view = MatrixMut::new(&mut scratch, 2, 2)?;
    posterior::conditional_into(&k, cross, &prior, view, &mut f)?;
    hash.reals(&scratch);
    hash.reals(&f);
    Ok(())
}

fn read(hash: &mut Hash, complexity: &Complexity) {
    let (Reading::Reliable(x) | Reading::Unreliable(x)) = complexity.nats().map(|x| 2.0 * x);
    hash.reals(&[x, complexity.weights().effective_draws()]);
    hash.word(complexity.weights().draws());
    hash.word(complexity.nats().reliable().is_some().into());
}

/// Probabilities of signs, and functions given them.
pub(super) fn signs(hash: &mut Hash) -> Outcome {
    const SCRATCH: usize = orthant::scratch_len(2);
    let labels = [1.0, -1.0];
    let mut memory = [0.0; 4];
    let k = Covariance::new(MatrixRef::new(&[1.0, 0.0, 0.6, 1.0], 2, 2)?, &mut memory)?;
    let signs = Orthant::new(k, &labels)?;
    hash.size(signs.n());
    hash.reals(signs.labels());
    hash.reals(&[orthant::probability(&signs).unwrap_or(f64::NAN)]);
    let mut scratch = [0.0; SCRATCH];
    let bounds = orthant::bounds(&signs, &mut scratch)?;
    let complexity = bounds.complexity();
    hash.reals(&[
        complexity,
        bounds.rounded_complexity(),
        bounds.published(),
        orthant::pac_bayes(complexity, 2, 0.01)?,
    ]);
    let config = orthant::Config::new(5, 130);
    config.validate()?;
    let mut tally = Tally::new([0.0; 2]);
    let elsewhere = MatrixRef::new(&[0.3, 0.6], 1, 2)?;
    let mut refused = Ok(());
    let mut push = |log_weight: f64, f: &[f64]| {
        let pushed = tally.push(log_weight, f, elsewhere, &[0.5]);
        refused = refused.and(pushed);
    };
    let mut found = orthant::half_normal(&config, &signs, &mut push, &mut scratch)?;
    read(hash, &found);
    let other = orthant::Config { who: 1, ..config };
    found.merge(&orthant::half_normal(
        &other,
        &signs,
        &mut push,
        &mut scratch,
    )?);
    read(hash, &found);
    found = orthant::sequential(&config, &signs, &mut push, &mut scratch)?;
    read(hash, &found);
    refused?;
    let (Some(point), accuracy) = (tally.point(0), tally.accuracy(&[1.0])?) else {
        return Err(crate::MISSING);
    };
    let (Reading::Reliable(point) | Reading::Unreliable(point)) = point;
    let (Reading::Reliable(accuracy) | Reading::Unreliable(accuracy)) = accuracy;
    hash.reals(&point);
    hash.reals(&[accuracy.gibbs, accuracy.vote, accuracy.centre_of_mass]);
    hash.reals(&[tally.weights().ln_mean()]);
    let mut weights = Weights::new();
    let (scale, weight) = weights.push(-3.0);
    weights.merge(tally.weights());
    let (Reading::Reliable(mean) | Reading::Unreliable(mean)) = weights.reading(weights.ln_mean());
    hash.reals(&[scale, weight, mean]);

    let mut f = [0.0; 2];
    let mut rng = random::stream(1, 2, 3, Purpose::NOISE);
    hash.size(posterior::reject(&signs, 1000, &mut rng, &mut f)?);
    hash.reals(&f);
    hash.reals(&[posterior::margin(&labels, &f)?]);
    let mut q = [0.0; 4];
    posterior::precision_into(&signs.covariance(), MatrixMut::new(&mut q, 2, 2)?)?;
    hash.reals(&q);
    let q = MatrixRef::new(&q, 2, 2)?;
    let mut state = State::new(f, &labels)?;
    for _ in 0..3 {
        state.sweep(q, &labels, 8, 1)?;
    }
    hash.reals(state.values());
    hash.word(state.sweeps());
    let mut bytes = [0; 128];
    let written = state.save(&mut bytes)?;
    hash.size(state.snapshot_len());
    let bytes = bytes.get(..written).unwrap_or(&[]);
    hash.bytes(bytes);
    state.restore(bytes)?;
    hash.reals(state.values());
    Ok(())
}
