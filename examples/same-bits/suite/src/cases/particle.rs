//! Particles: sums over pairs, samplers with and without noise, gauges of a sample.

use thalweg::model::quadratic::Quadratic;
use thalweg::pairs::{
    Executor, Family, Field, KernelSum, Sequential, field_into, field_scratch_len,
    least_field_scratch_len,
};
use thalweg::particle::bandwidth::{Bandwidth, median_squared_distance};
use thalweg::particle::effective_sample_size::effective_sample_size;
use thalweg::particle::momentum::{State, Thermostats};
use thalweg::particle::rule::{self, Rule};
use thalweg::particle::split_r_hat::split_r_hat;
use thalweg::particle::stein::{self, ExtendedBandwidth, general::Recipe};
use thalweg::particle::{
    Evaluated, Particles, count, energy_distance, hmc, ksd, langevin, matrix_svgd, mmd, score,
    sghmc, sgnht, svgd,
};
use thalweg::random::{self, NoiseStream, Purpose};
use thalweg::{Arithmetic, Error, Real, matrix::MatrixRef};

use crate::{Hash, MISSING, Outcome, paint};

/// One row of the sums after another.
struct RowByRow;

impl<T: Real> Executor<T> for RowByRow {
    fn sums_into(
        &mut self,
        sources: &KernelSum<'_, T>,
        out: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        sources.sum_rows_into(0..sources.n(), out, scratch)?;
        let rows = out.chunks_exact_mut(sources.columns().max(1));
        debug_assert!(sources.scratch_len(1) >= sources.n());
        rows.enumerate()
            .try_for_each(|(i, out)| sources.sum_rows_into(i..i + 1, out, scratch))
    }
}

/// Thirty-two particles in two dimensions, in the memory of a microcontroller.
pub(super) fn device<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut scores) = ([[T::ZERO; 2]; 32], [T::ZERO; 64]);
    paint(x.as_flattened_mut(), 1);
    let config = svgd::Config::new(0.1);
    config.validate()?;
    let mut scratch = [T::ZERO; 32 * 14];
    hash.size(config.least_scratch_len(32, 2));
    let mut state = svgd::State::<[T; 0]>::from_storage([]);
    for _ in 0..3 {
        let particles = x.as_flattened_mut();
        score::from_fn(2, particles, &mut scores, |x, g| {
            for (g, &x) in g.iter_mut().zip(x) {
                *g = -x;
            }
        })?;
        let chosen = svgd::step(
            &config,
            &mut state,
            Particles::new(2, particles),
            &scores,
            &mut scratch,
        )?;
        hash.reals(&[chosen.h]);
    }
    hash.reals(x.as_flattened());
    hash.size(count(64, 2)?);
    Ok(())
}

pub(super) fn svgd<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut g, mut phi) = ([T::ZERO; 21], [T::ZERO; 21], [T::ZERO; 21]);
    // Room for packed factors at every width.
    let mut scratch = [T::ZERO; 2100];
    paint(&mut g, 2);
    for rule in [Rule::Constant, Rule::ADAGRAD, Rule::ADAM] {
        rule.validate()?;
        let mut buffer = [T::ZERO; 42];
        let buffer = buffer.get_mut(..rule.state_len(21)).ok_or(MISSING)?;
        let steps = rule::State::from_storage(&mut *buffer).steps();
        let mut state = rule::State::resume(buffer, steps);
        for family in [Family::Rbf, Family::Imq] {
            paint(&mut x, 1);
            let config = svgd::Config {
                rule,
                family,
                bandwidth: Bandwidth::median(2.0),
                ..svgd::Config::new(0.1)
            };
            svgd::step_with(
                &mut RowByRow,
                &config,
                &mut state,
                Particles::new(3, &mut x),
                &g,
                &mut scratch,
            )?;
            hash.reals(&x);
            svgd::direction_into(&config, 3, &x, &g, &mut phi, &mut scratch)?;
            hash.reals(&phi);
            hash.size(config.scratch_len(7, 3));
        }
        hash.reals(state.buffer());
        hash.word(state.steps());
    }
    hash.word(rule::State::<[T; 2]>::new().steps());
    let rule = Bandwidth::default();
    rule.validate()?;
    let chosen = rule.choose(Arithmetic::Portable, 3, &x, &mut scratch)?;
    let med = median_squared_distance(Arithmetic::Portable, 3, &x, &mut scratch)?;
    hash.reals(&[chosen.h, med]);
    hash.size(rule.scratch_len(7, 3) + rule.least_scratch_len(7, 3));
    let field = Field {
        m: 3,
        y: &x,
        d: 3,
        drift: &g,
        weight: Some(&phi),
        repel: &x,
        ..Field::rbf(chosen.h)
    };
    let mut out = [T::ZERO; 21];
    field_into(&mut Sequential, &field, &mut out, &mut scratch)?;
    hash.reals(&out);
    hash.size(field_scratch_len(7, 3, 3, true) + least_field_scratch_len(7, 3, 3, true));
    let half = T::from_f64(0.5);
    let factor = [
        half,
        T::ZERO,
        T::ZERO,
        half,
        half,
        T::ZERO,
        half,
        half,
        T::ONE,
    ];
    let factor = MatrixRef::new(&factor, 3, 3)?;
    let config = svgd::Config::new(0.1);
    let mut none = svgd::State::<[T; 0]>::new();
    matrix_svgd::step(&config, &mut none, factor, &mut x, &g, &mut scratch)?;
    hash.reals(&x);
    hash.size(matrix_svgd::scratch_len(&config, 7, 3) + matrix_svgd::least_scratch_len(7, 3));
    let f = Quadratic {
        dim: 3,
        curvature: T::ONE,
        shift: T::ZERO,
        linear: half,
    };
    score::from_gradient(
        &f,
        score::Weights {
            rows: T::from_usize(10),
            precision: half,
        },
        &x,
        &mut g,
        &mut [],
    )?;
    hash.reals(&g);
    Ok(())
}

/// Friction that depends on the position.
struct Sloped;

impl<T: Real> Recipe<T> for Sloped {
    fn apply(&self, z: &[T], v: &[T], out: &mut [T]) {
        if let ([theta, _], [a, b], [x, y]) = (z, v, out) {
            (*x, *y) = (-*b, *a + *theta * *theta * *b);
        }
    }
}

pub(super) fn deterministic<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut g, mut metric) = ([T::ZERO; 16], [T::ZERO; 16], [T::ZERO; 16]);
    let mut scratch = [T::ZERO; 400];
    paint(&mut x, 3);
    paint(&mut g, 4);
    paint(&mut metric, 5);
    metric.iter_mut().for_each(|m| *m = *m * *m);
    let mut lanes = NoiseStream::new(&mut random::stream(3, 0, 0, Purpose::INIT));
    let product = ExtendedBandwidth::Product {
        position: Bandwidth::median(4.0),
        momentum: Bandwidth::Fixed(2.0),
    };
    let config = stein::sghmc::Config::new(0.1);
    config.validate()?;
    hash.size(config.scratch_len(8, 2) + config.least_scratch_len(8, 2));
    let mut state = State::<[T; 16]>::new();
    state.draw(&mut lanes);
    for bandwidth in [config.bandwidth, product] {
        let config = stein::sghmc::Config {
            bandwidth,
            ..config
        };
        stein::sghmc::step(
            &config,
            &mut state,
            Particles::new(2, &mut x),
            &g,
            &mut scratch,
        )?;
        let by = &mut RowByRow;
        stein::sghmc::step_with(
            by,
            &config,
            &mut state,
            Particles::new(2, &mut x),
            &g,
            &mut scratch,
        )?;
        let half = stein::sghmc::Config {
            step_size: 0.5 * config.step_size,
            ..config
        };
        stein::sghmc::kick(&half, &mut state, 2, &x, &g, &mut scratch)?;
        stein::sghmc::drift(&half, &state, Particles::new(2, &mut x), &mut scratch)?;
        let refill = |x: &[T], g: &mut [T]| score::from_fn(2, x, g, |x, g| paint_from(x, g));
        stein::sghmc::step_strang(
            &config,
            &mut state,
            Particles::new(2, &mut x),
            &mut g,
            refill,
            &mut scratch,
        )?;
        let (s, room) = (&metric, &mut scratch);
        stein::sgrhmc::step(
            &config,
            &mut state,
            Particles::new(2, &mut x),
            &Evaluated {
                scores: &g,
                metric: s,
                divergence: &[T::ZERO; 16],
            },
            room,
        )?;
        hash.reals(&x);
        hash.reals(state.momentum());
    }
    hash.word(state.steps());
    hash.size(stein::sgrhmc::scratch_len(&config, 8, 2) + stein::sgrhmc::least_scratch_len(8, 2));
    let mut none = svgd::State::<[T; 0]>::new();
    let (rld, s, room) = (svgd::Config::new(0.1), &metric, &mut scratch);
    stein::riemannian::step(
        &rld,
        &mut none,
        Particles::new(2, &mut x),
        &Evaluated {
            scores: &g,
            metric: s,
            divergence: &[T::ONE; 16],
        },
        room,
    )?;
    hash.size(stein::riemannian::scratch_len(&rld, 8, 2));
    hash.size(stein::riemannian::least_scratch_len(8, 2));
    let mut state = Thermostats::from_storage([T::ZERO; 16], [T::ZERO; 8]);
    state.draw(&mut lanes, T::ONE);
    stein::sgnht::step(
        &config,
        &mut state,
        Particles::new(2, &mut x),
        &g,
        &mut scratch,
    )?;
    hash.size(stein::sgnht::scratch_len(&config, 8, 2) + stein::sgnht::least_scratch_len(8, 2));
    hash.reals(state.momentum());
    hash.reals(state.thermostat());
    hash.word(state.steps());
    let h = T::ONE;
    stein::general::direction_into(
        &stein::general::Config::new(2, h),
        &Sloped,
        &x,
        &g,
        &mut metric,
        &mut scratch,
    )?;
    hash.size(stein::general::scratch_len(8, 2) + stein::general::least_scratch_len(8, 2));
    Recipe::<T>::add_divergence(&Sloped, &x, &mut metric);
    hash.size(usize::from(Recipe::<T>::is_constant(&Sloped)));
    hash.reals(&metric);
    hash.reals(&x);
    Ok(())
}

/// The score of a standard normal density.
fn paint_from<T: Real>(x: &[T], g: &mut [T]) {
    for (g, &x) in g.iter_mut().zip(x) {
        *g = -x;
    }
}

pub(super) fn chains<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut x, mut g, mut metric) = ([T::ZERO; 16], [T::ZERO; 16], [T::ZERO; 16]);
    let mut scratch = [T::ZERO; 16];
    paint(&mut x, 6);
    paint(&mut g, 7);
    paint(&mut metric, 8);
    metric.iter_mut().for_each(|m| *m = *m * *m);
    let mut rng = random::stream(4, 0, 0, Purpose::NOISE);
    let mut lanes = NoiseStream::new(&mut rng);
    let room = &mut scratch;
    langevin::step(0.1, Particles::new(2, &mut x), &g, &mut lanes, room)?;
    langevin::riemannian_step(
        0.1,
        Particles::new(2, &mut x),
        &Evaluated {
            scores: &g,
            metric: &metric,
            divergence: &metric,
        },
        &mut lanes,
        room,
    )?;
    let config = sghmc::Config {
        step_size: 0.1,
        friction: 0.5,
    };
    config.validate()?;
    let mut state = State::from_storage([T::ONE; 16]);
    sghmc::step(
        &config,
        &mut state,
        Particles::new(2, &mut x),
        &g,
        &mut lanes,
        room,
    )?;
    let mut thermostats = Thermostats::from_storage([T::ONE; 16], [T::ONE; 8]);
    sgnht::step(
        &config,
        &mut thermostats,
        Particles::new(2, &mut x),
        &g,
        &mut lanes,
        room,
    )?;
    let leapfrog = hmc::Config {
        step_size: 0.3,
        leapfrog_steps: 3,
    };
    leapfrog.validate()?;
    hash.size(hmc::scratch_len(2));
    let accepted = hmc::step(
        &leapfrog,
        Particles::new(2, &mut x),
        &mut rng,
        |x, g| {
            paint_from(x, g);
            let square = x.iter().fold(T::ZERO, |sum, &x| sum + x * x);
            T::from_f64(-0.5) * square
        },
        room,
    )?;
    hash.size(accepted);
    hash.reals(&x);
    hash.reals(state.momentum());
    hash.reals(thermostats.thermostat());

    paint_from(&x, &mut g);
    for family in [Family::Rbf, Family::Imq] {
        let config = ksd::Config { family, h: 1.5 };
        config.validate()?;
        let found = ksd::squared(&config, 2, &x, &g)?;
        hash.reals(&[found.v, found.u]);
    }
    let reference = mmd::Reference::new(2, &metric, 2.0)?;
    hash.reals(&[reference.squared(&x)?, reference.mean_kernel()]);
    let reference = energy_distance::Reference::new(2, &metric)?;
    hash.reals(&[reference.distance(&x)?]);
    let (a, b) = x.split_at_checked(8).ok_or(MISSING)?;
    hash.reals(&[effective_sample_size(&[a, b])?, split_r_hat(&[a, b])?]);
    Ok(())
}
