//! The three experiments, each over seeds in threads.

use serde::Serialize;
use thalweg::dynamics::label_noise::{self, Config, State};
use thalweg::random::{self, NoiseStream, Purpose};
use thalweg::{Error, vector};

use super::problem::{Instance, Limit, Shape};

/// Penalty of the Lasso over the smallest with which it is zero.
pub const PENALTY: f64 = 0.01;

/// Stands in for the end of time: the limit has settled by then wherever a sparse signal is found.
pub const LATE: f64 = 8.0;

/// What a run depends on in addition to its seed.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Shape of the problem.
    pub shape: Shape,
    /// Start of every parameter.
    pub alpha: f64,
    /// Size of the noise.
    pub noise: f64,
    /// Step size.
    pub rate: f64,
    /// Slow time at the end.
    pub time: f64,
    /// Steps without noise after that.
    pub cool: u64,
}

/// `|w - w*|^2 / |w*|^2` by each method, for one seed.
#[derive(Clone, Debug, Serialize)]
pub struct Recovery {
    /// Seed of data, signal and noise.
    pub seed: u64,
    /// Gradient descent from `alpha`.
    pub descent: f64,
    /// Its largest `|u v / alpha^2 - 1|`.
    pub product_change: f64,
    /// Gradient descent from 1e-3.
    pub small_start: f64,
    /// The fit of smallest 2-norm.
    pub least_norm: f64,
    /// Single samples without noise, as many steps as the cool-down.
    pub plain_sgd: f64,
    /// Single samples and normal noise on every parameter, then cooled; some seeds only, and unless it leaves the stable steps.
    pub isotropic: Option<f64>,
    /// Label noise.
    pub raw: f64,
    /// Label noise, then steps without.
    pub cooled: f64,
    /// The exact limit at the same time.
    pub limit: f64,
    /// `|w - w_limit| / |w_limit|` of label noise.
    pub from_limit: f64,
    /// The same, cooled.
    pub cooled_from_limit: f64,
    /// The exact limit at [`LATE`].
    pub sparsest: f64,
    /// The fit of smallest 1-norm.
    pub pursuit: f64,
    /// The Lasso with [`PENALTY`] of the largest penalty.
    pub lasso: f64,
    /// Its duality gap, over its value.
    pub lasso_gap: f64,
    /// `|w - w_1| / |w_1|` of the limit at [`LATE`] and the fit of smallest weighted 1-norm, its end.
    pub from_program: f64,
}

/// One seed of the first experiment.
///
/// # Errors
/// Steps that are too large for the data.
pub fn recovery(settings: &Settings, seed: u64, isotropic: bool) -> Result<Recovery, Error> {
    let instance = Instance::<f64>::new(settings.shape, seed);
    let problem = instance.problem()?;
    let alpha = settings.alpha;
    let descent = instance.descend(alpha, instance.shape.stable_rate(alpha), 40_000)?;
    let products = descent.u().iter().zip(descent.v());
    let product_change = products
        .map(|(u, v)| (u * v / (alpha * alpha) - 1.0).abs())
        .fold(0.0, f64::max);
    let small = instance.descend(1e-3, 2.5 * instance.shape.stable_rate(1e-3), 60_000)?;

    let config = Config {
        noise: settings.noise,
        ..Config::new(settings.rate)
    };
    let mut rng = random::stream(seed, 0, 0, Purpose::NOISE);
    let mut plain = instance.start(alpha);
    label_noise::run(
        &config.cool(),
        &problem,
        &mut plain,
        settings.cool,
        &mut rng,
    )?;
    let mut state = instance.start(alpha);
    label_noise::run(
        &config,
        &problem,
        &mut state,
        config.steps(settings.time),
        &mut rng,
    )?;
    let raw = instance.signal(state.params())?;
    label_noise::run(
        &config.cool(),
        &problem,
        &mut state,
        settings.cool,
        &mut rng,
    )?;
    let cooled = instance.signal(state.params())?;

    let mut limit = Limit::new(&instance, alpha, settings.noise)?;
    let at_time = limit.at(settings.time)?;
    let late = LATE / (settings.noise * settings.noise);
    let late = limit.at(late.max(settings.time))?;
    let lasso = instance.lasso(PENALTY)?;
    let isotropic = if isotropic {
        self::isotropic(settings, seed)?
    } else {
        None
    };
    Ok(Recovery {
        seed,
        descent: instance.error(descent.params())?,
        product_change,
        small_start: instance.error(small.params())?,
        least_norm: instance.error_of(&instance.least_norm()?)?,
        plain_sgd: instance.error(plain.params())?,
        isotropic,
        raw: instance.error_of(&raw)?,
        cooled: instance.error_of(&cooled)?,
        limit: instance.error_of(&at_time)?,
        from_limit: from(&raw, &at_time)?,
        cooled_from_limit: from(&cooled, &at_time)?,
        sparsest: instance.error_of(&late)?,
        pursuit: instance.error_of(&instance.pursuit(false)?)?,
        lasso: instance.error_of(&lasso.w)?,
        lasso_gap: lasso.gap,
        from_program: from(&late, &instance.pursuit(true)?)?,
    })
}

/// `|w - v| / |v|`.
fn from(w: &[f64], v: &[f64]) -> Result<f64, Error> {
    Ok((vector::squared_distance(w, v)? / vector::norm2_squared(v)).sqrt())
}

/// Steps of single samples with normal noise on every parameter in place of the labels; then steps without.
///
/// The noise has the power that label noise has at the signal itself, `delta^2 tr H` shared by all parameters: the least that it has
/// on its way. More of it, that of the start, drives the parameters to where the steps are not stable. In `f32`, for time.
///
/// # Errors
/// Bad settings.
pub fn isotropic(settings: &Settings, seed: u64) -> Result<Option<f64>, Error> {
    let instance = Instance::<f32>::new(settings.shape, seed);
    let problem = instance.problem()?;
    let config = Config::new(settings.rate);
    let root = |sign: f32| {
        let parts = instance.signal.iter();
        parts.map(move |w| (sign * w).max(0.0).sqrt())
    };
    let signal: Vec<f32> = root(1.0).chain(root(-1.0)).collect();
    let share = problem.trace(&signal)? / signal.len() as f64;
    let size = (settings.rate * settings.noise * share.sqrt()) as f32;
    let mut rng = random::stream(seed, 4, 0, Purpose::NOISE);
    let mut lanes = NoiseStream::new(&mut random::stream(seed, 5, 0, Purpose::NOISE));
    let mut params = vec![settings.alpha as f32; signal.len()];
    let mut noise = vec![0.0; params.len()];
    for _ in 0..config.steps(settings.time) {
        let mut state = State::from_params(&mut params[..]);
        match label_noise::step(&config.cool(), &problem, &mut state, &mut rng) {
            Err(Error::Unstable { .. } | Error::NonFinite { .. }) => return Ok(None),
            outcome => outcome?,
        };
        lanes.fill_normal(&mut noise);
        vector::axpy(size, &noise, &mut params)?;
    }
    let mut state = State::from_params(&mut params[..]);
    match label_noise::run(
        &config.cool(),
        &problem,
        &mut state,
        settings.cool,
        &mut rng,
    ) {
        Err(Error::Unstable { .. } | Error::NonFinite { .. }) => Ok(None),
        outcome => outcome
            .and_then(|_| instance.error(state.params()))
            .map(Some),
    }
}

/// One run in 400 dimensions.
#[derive(Clone, Debug, Serialize)]
pub struct Large {
    /// Seed of data, signal and noise.
    pub seed: u64,
    /// Error of the fit of smallest 2-norm, which descent finds.
    pub least_norm: f64,
    /// Label noise.
    pub raw: f64,
    /// Label noise, then steps without.
    pub cooled: f64,
    /// The exact limit at the same time.
    pub limit: f64,
    /// `|w - w_limit| / |w_limit|` of label noise.
    pub from_limit: f64,
}

/// The published run in 400 dimensions: 60 samples, 7e6 steps of 3e-4 with noise of size 2.
///
/// # Errors
/// Steps that are too large for the data.
pub fn large(seed: u64) -> Result<Large, Error> {
    let shape = Shape {
        dim: 400,
        samples: 60,
        sparsity: 5,
        signs: false,
    };
    let instance = Instance::<f64>::new(shape, seed);
    let problem = instance.problem()?;
    let config = Config {
        noise: 2.0,
        ..Config::new(3e-4)
    };
    let mut rng = random::stream(seed, 0, 0, Purpose::NOISE);
    let mut state = instance.start(1.0);
    label_noise::run(&config, &problem, &mut state, 7_000_000, &mut rng)?;
    let raw = instance.signal(state.params())?;
    label_noise::run(&config.cool(), &problem, &mut state, 200_000, &mut rng)?;
    let mut limit = Limit::new(&instance, 1.0, config.noise)?;
    let there = limit.at(7e6 * config.learning_rate * config.learning_rate)?;
    Ok(Large {
        seed,
        least_norm: instance.error_of(&instance.least_norm()?)?,
        raw: instance.error_of(&raw)?,
        cooled: instance.error(state.params())?,
        limit: instance.error_of(&there)?,
        from_limit: from(&raw, &there)?,
    })
}

/// Distances of the limit to the fit of smallest weighted 1-norm at these times, from few samples, where no sparse signal is found.
///
/// # Errors
/// A limit that is not reached.
pub fn approach(seed: u64, times: [f64; 2]) -> Result<[f64; 2], Error> {
    let shape = Shape {
        dim: 100,
        samples: 20,
        sparsity: 5,
        signs: false,
    };
    let instance = Instance::<f64>::new(shape, seed);
    let end = instance.pursuit(true)?;
    let mut limit = Limit::new(&instance, 1.0, 1.0)?;
    let mut out = [0.0; 2];
    for (out, time) in out.iter_mut().zip(times) {
        *out = from(&limit.at(time)?, &end)?;
    }
    Ok(out)
}

/// One run compared with the limit.
#[derive(Clone, Debug, Serialize)]
pub struct Trajectory {
    /// Seed of data and noise.
    pub seed: u64,
    /// Step size.
    pub rate: f64,
    /// The points.
    pub points: Vec<Point>,
}

/// A run and the limit at one time.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// `t = k eta^2`.
    pub time: f64,
    /// `|w - w_limit| / |w_limit|`.
    pub distance: f64,
    /// Mean of `ln (u v)` less that of the limit.
    pub bias: f64,
    /// `|w - w*|^2 / |w*|^2` of the run.
    pub error: f64,
    /// The same of the limit.
    pub limit_error: f64,
}

/// One seed and step size of the second experiment.
///
/// # Errors
/// Steps that are too large for the data.
pub fn trajectory(
    settings: &Settings,
    times: &[f64],
    seed: u64,
    rate: f64,
) -> Result<Trajectory, Error> {
    let instance = Instance::<f64>::new(settings.shape, seed);
    let problem = instance.problem()?;
    let config = Config {
        noise: settings.noise,
        ..Config::new(rate)
    };
    let mut limit = Limit::new(&instance, settings.alpha, settings.noise)?;
    let mut state = instance.start(settings.alpha);
    let mut rng = random::stream(seed, 1, 0, Purpose::NOISE);
    let mut points = Vec::new();
    for &time in times {
        let steps = config.steps(time).saturating_sub(state.steps());
        label_noise::run(&config, &problem, &mut state, steps, &mut rng)?;
        let w_limit = limit.at(time)?;
        let w = instance.signal(state.params())?;
        let log = |params: &[f64]| {
            let (u, v) = params.split_at(params.len() / 2);
            let logs = u.iter().zip(v).map(|(u, v)| u.abs().ln() + v.abs().ln());
            logs.sum::<f64>() / u.len() as f64
        };
        points.push(Point {
            time,
            distance: from(&w, &w_limit)?,
            bias: log(state.params()) - log(limit.params()),
            error: instance.error_of(&w)?,
            limit_error: instance.error_of(&w_limit)?,
        });
    }
    Ok(Trajectory { seed, rate, points })
}

/// One cell of the sample sweep: the exact limit at `t = 4`.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Dimension.
    pub dim: usize,
    /// Non-zeros.
    pub sparsity: usize,
    /// Samples.
    pub samples: usize,
    /// `n / (kappa ln d)`.
    pub ratio: f64,
    /// Seeds with an error below 0.01.
    pub successes: usize,
    /// Seeds.
    pub seeds: usize,
    /// Mean error of the fit of smallest 2-norm, which gradient descent finds.
    pub least_norm: f64,
}

/// Dimension, non-zeros and samples of the sweep, as published.
pub const SWEEP: [(usize, usize, &[usize]); 3] = [
    (100, 5, &[20, 25, 30, 40, 60]),
    (400, 5, &[30, 40, 50, 60]),
    (100, 10, &[30, 40, 50, 60]),
];

/// One seed of one cell: the errors of the limit and of the smallest 2-norm.
///
/// # Errors
/// A limit that is not reached.
pub fn sample(shape: Shape, seed: u64) -> Result<(f64, f64), Error> {
    let instance = Instance::<f64>::new(shape, seed);
    let mut limit = Limit::new(&instance, 1.0, 1.0)?;
    let error = instance.error_of(&limit.at(4.0)?)?;
    Ok((error, instance.error_of(&instance.least_norm()?)?))
}

/// The middle of a list (of the upper half, for an even number); NaN for none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
