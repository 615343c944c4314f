//! The samplers of the table, each behind one way to advance.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;
use thalweg::Error;
use thalweg::particle::bandwidth::Bandwidth;
use thalweg::particle::rule::Rule;
use thalweg::particle::stein::{self, ExtendedBandwidth};
use thalweg::particle::{Evaluated, Particles, langevin, momentum, sghmc, sgnht, svgd};
use thalweg::random::{NoiseStream, Purpose, Stream, stream};

use super::problem::{Grid, Problem};

const CLIENT_CHAIN: u64 = 4;

/// A sampler of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Stein variational gradient descent
    Svgd,
    /// The same with AdaGrad's steps, as in its authors' code
    SvgdAdagrad,
    /// Stein SGHMC: momenta, friction, no noise
    SteinSghmc,
    /// The same by Strang's splitting: half a kick, a drift, half a kick
    SteinStrang,
    /// Stein SGNHT: the same with thermostats for frictions
    SteinSgnht,
    /// Stein Riemannian Langevin dynamics
    SteinRld,
    /// Stein SGRHMC: momenta and a metric
    SteinSgrhmc,
    /// Independent Langevin chains
    Langevin,
    /// Independent SGHMC chains: momenta, friction, noise
    Sghmc,
    /// Independent SGNHT chains: momenta, thermostats, noise
    Sgnht,
    /// Independent exact draws: the floor, not a sampler
    Exact,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Svgd => "SVGD",
            Self::SvgdAdagrad => "SVGD, AdaGrad",
            Self::SteinSghmc => "Stein SGHMC",
            Self::SteinStrang => "Stein SGHMC, Strang",
            Self::SteinSgnht => "Stein SGNHT",
            Self::SteinRld => "Stein RLD",
            Self::SteinSgrhmc => "Stein SGRHMC",
            Self::Langevin => "Langevin chains",
            Self::Sghmc => "SGHMC chains",
            Self::Sgnht => "SGNHT chains",
            Self::Exact => "exact draws",
        })
    }
}

/// One choice of everything that a sampler can be told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// The sampler.
    pub method: Method,
    /// Its step.
    pub step: f64,
    /// Friction, where there are momenta.
    pub friction: Option<f64>,
    /// Factor on the median bandwidth, where there is a kernel on positions and momenta.
    pub bandwidth: Option<f64>,
    /// Positions and momenta at the same time in place of one after the other.
    #[serde(skip)]
    pub is_explicit: bool,
    /// A kernel for positions and one for momenta, each with its own median.
    #[serde(skip)]
    pub is_product: bool,
}

impl Setting {
    /// A sampler without momenta.
    #[must_use]
    pub const fn first_order(method: Method, step: f64) -> Self {
        Self {
            method,
            step,
            friction: None,
            bandwidth: None,
            is_explicit: false,
            is_product: false,
        }
    }

    /// Stein SGHMC.
    #[must_use]
    pub const fn stein(step: f64, friction: f64, bandwidth: f64) -> Self {
        Self {
            friction: Some(friction),
            bandwidth: Some(bandwidth),
            ..Self::first_order(Method::SteinSghmc, step)
        }
    }

    /// SGHMC chains.
    #[must_use]
    pub const fn chain(step: f64, friction: f64) -> Self {
        Self {
            friction: Some(friction),
            ..Self::first_order(Method::Sghmc, step)
        }
    }

    /// As the table says it.
    #[must_use]
    pub fn text(&self) -> String {
        if self.method == Method::Exact {
            return String::new();
        }
        let mut text = format!("eps {}", self.step);
        if let Some(c) = self.friction {
            text += &format!(", c {c}");
        }
        if let Some(b) = self.bandwidth {
            text += &format!(", b {b}");
        }
        text
    }
}

impl Method {
    /// Groups of settings of which the best is a row of the table.
    #[must_use]
    pub fn rows(self, grid: &Grid) -> Vec<Vec<Setting>> {
        let first = |steps: &[f64]| {
            let settings = steps.iter().map(|&step| Setting::first_order(self, step));
            vec![settings.collect()]
        };
        let pairs = |steps: &[f64], of: &dyn Fn(f64, f64) -> Setting| -> Vec<Setting> {
            let frictions = grid.friction.iter();
            frictions
                .flat_map(|&c| steps.iter().map(move |&step| of(step, c)))
                .collect()
        };
        match self {
            Self::Svgd => first(grid.descent),
            Self::SvgdAdagrad => first(grid.adaptive),
            Self::SteinSghmc => [1.0, 4.0]
                .iter()
                .map(|&b| pairs(grid.momentum, &|step, c| Setting::stein(step, c, b)))
                .collect(),
            Self::SteinRld => first(grid.descent),
            Self::SteinSgrhmc => vec![
                grid.momentum
                    .iter()
                    .map(|&step| Setting {
                        bandwidth: Some(4.0),
                        ..Setting::first_order(self, step)
                    })
                    .collect(),
            ],
            Self::SteinStrang | Self::SteinSgnht => {
                vec![pairs(grid.momentum, &|step, c| Setting {
                    method: self,
                    ..Setting::stein(step, c, 4.0)
                })]
            }
            Self::Sgnht => vec![pairs(grid.chain, &|step, c| Setting {
                method: self,
                ..Setting::chain(step, c)
            })],
            Self::Langevin => first(grid.langevin),
            Self::Sghmc => vec![pairs(grid.chain, &Setting::chain)],
            Self::Exact => first(&[0.0]),
        }
    }
}

/// Particles on their way.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    problem: &'a Problem,
    state: State,
    theta: Vec<f64>,
    scores: Vec<f64>,
    scratch: Vec<f64>,
}

/// The diagonal of a metric at each particle, and its divergence.
#[derive(Clone, Debug)]
struct Metric {
    diagonal: Vec<f64>,
    divergence: Vec<f64>,
}

impl Metric {
    fn new(len: usize) -> Self {
        Self {
            diagonal: vec![0.0; len],
            divergence: vec![0.0; len],
        }
    }

    /// `(1 + theta^2)^-power`: short steps far out, whatever the target. Nothing here is tuned to one.
    fn fill(&mut self, theta: &[f64], power: f64) {
        let out = self.diagonal.iter_mut().zip(&mut self.divergence);
        for ((m, gamma), x) in out.zip(theta) {
            let q = 1.0 + x * x;
            *m = q.powf(-power);
            *gamma = -2.0 * power * x * *m / q;
        }
    }
}

/// What a sampler remembers in addition to its particles.
#[derive(Clone, Debug)]
enum State {
    Svgd(svgd::Config, svgd::State<Vec<f64>>),
    SteinSghmc {
        config: stein::sghmc::Config,
        state: momentum::State<Vec<f64>>,
        is_explicit: bool,
    },
    SteinStrang(stein::sghmc::Config, momentum::State<Vec<f64>>),
    SteinRld(svgd::Config, svgd::State<Vec<f64>>, Metric),
    SteinSgrhmc(stein::sghmc::Config, momentum::State<Vec<f64>>, Metric),
    SteinSgnht(
        stein::sghmc::Config,
        momentum::Thermostats<Vec<f64>, Vec<f64>>,
    ),
    Langevin(f64, NoiseStream),
    Sghmc(sghmc::Config, momentum::State<Vec<f64>>, NoiseStream),
    Sgnht(
        sghmc::Config,
        momentum::Thermostats<Vec<f64>, Vec<f64>>,
        NoiseStream,
    ),
    Exact(Stream),
}

impl<'a> Run<'a> {
    /// Particles at their start.
    ///
    /// # Errors
    /// None for the targets here.
    pub fn new(problem: &'a Problem, setting: Setting, n: usize, seed: u64) -> Result<Self, Error> {
        let (d, theta) = (problem.dim(), problem.start(n, seed)?);
        let Setting { step, .. } = setting;
        let friction = setting.friction.unwrap_or(1.0);
        let mut rng = stream(seed, 0, CLIENT_CHAIN, Purpose::NOISE);
        let mut lanes = NoiseStream::new(&mut rng);
        let zeros = |len| vec![0.0; len];
        let median = Bandwidth::median(setting.bandwidth.unwrap_or(1.0));
        let interacting = stein::sghmc::Config {
            friction,
            bandwidth: if setting.is_product {
                ExtendedBandwidth::Product {
                    position: median,
                    momentum: median,
                }
            } else {
                ExtendedBandwidth::Joint(median)
            },
            ..stein::sghmc::Config::new(step)
        };
        let chain = sghmc::Config {
            step_size: step,
            friction,
        };
        let mut momenta = || {
            let mut state = momentum::State::from_storage(zeros(n * d));
            state.draw(&mut lanes);
            state
        };
        let (state, scratch) = match setting.method {
            Method::Svgd | Method::SvgdAdagrad => {
                let is_adaptive = setting.method == Method::SvgdAdagrad;
                let rule = if is_adaptive {
                    Rule::ADAGRAD
                } else {
                    Rule::Constant
                };
                let config = svgd::Config {
                    rule,
                    ..svgd::Config::new(step)
                };
                let state = svgd::State::from_storage(zeros(rule.state_len(n * d)));
                (State::Svgd(config, state), config.scratch_len(n, d))
            }
            Method::SteinSghmc => {
                let state = State::SteinSghmc {
                    config: interacting,
                    state: momenta(),
                    is_explicit: setting.is_explicit,
                };
                (state, interacting.scratch_len(n, d))
            }
            Method::SteinStrang => {
                let state = State::SteinStrang(interacting, momenta());
                (state, interacting.scratch_len(n, d))
            }
            Method::SteinRld => {
                let config = svgd::Config::new(step);
                let state = svgd::State::from_storage(Vec::new());
                let len = stein::riemannian::scratch_len(&config, n, d);
                (State::SteinRld(config, state, Metric::new(n * d)), len)
            }
            Method::SteinSgrhmc => {
                let state = State::SteinSgrhmc(interacting, momenta(), Metric::new(n * d));
                (state, stein::sgrhmc::scratch_len(&interacting, n, d))
            }
            Method::Langevin => (State::Langevin(step, lanes), n * d),
            Method::Sghmc => {
                let state = momenta();
                (State::Sghmc(chain, state, lanes), n * d)
            }
            Method::SteinSgnht | Method::Sgnht => {
                let mut state = momentum::Thermostats::from_storage(zeros(n * d), zeros(n));
                state.draw(&mut lanes, friction);
                if setting.method == Method::SteinSgnht {
                    let len = stein::sgnht::scratch_len(&interacting, n, d);
                    (State::SteinSgnht(interacting, state), len)
                } else {
                    (State::Sgnht(chain, state, lanes), n * d)
                }
            }
            Method::Exact => (State::Exact(rng), 0),
        };
        Ok(Self {
            problem,
            state,
            scores: zeros(theta.len()),
            scratch: zeros(scratch),
            theta,
        })
    }

    /// Positions.
    #[must_use]
    pub fn theta(&self) -> &[f64] {
        &self.theta
    }

    /// One step of all particles; one score each.
    ///
    /// # Errors
    /// What the target and the sampler say.
    pub fn advance(&mut self) -> Result<(), Error> {
        let Self {
            problem,
            state,
            theta,
            scores,
            scratch,
        } = self;
        let d = problem.dim();
        if let State::Exact(rng) = state {
            return problem.exact_into(rng, theta);
        }
        // Strang's second kick leaves the scores of where its particles are.
        if !matches!(state, State::SteinStrang(_, state) if state.steps() > 0) {
            problem.scores_into(theta, scores)?;
        }
        match state {
            State::Svgd(config, state) => {
                svgd::step(config, state, Particles::new(d, theta), scores, scratch).map(drop)
            }
            State::SteinSghmc {
                config,
                state,
                is_explicit,
            } if *is_explicit => {
                // The trap: positions move with the momenta of before.
                let before = state.clone();
                stein::sghmc::kick(config, state, d, theta, scores, scratch)?;
                stein::sghmc::drift(config, &before, Particles::new(d, theta), scratch).map(drop)
            }
            State::SteinSghmc { config, state, .. } => {
                stein::sghmc::step(config, state, Particles::new(d, theta), scores, scratch)
                    .map(drop)
            }
            State::SteinStrang(config, state) => {
                let score = |x: &[f64], out: &mut [f64]| problem.scores_into(x, out);
                stein::sghmc::step_strang(
                    config,
                    state,
                    Particles::new(d, theta),
                    scores,
                    score,
                    scratch,
                )
                .map(drop)
            }
            State::SteinRld(config, state, metric) => {
                metric.fill(theta, 1.0);
                let Metric {
                    diagonal,
                    divergence,
                } = metric;
                stein::riemannian::step(
                    config,
                    state,
                    Particles::new(d, theta),
                    &Evaluated {
                        scores,
                        metric: diagonal,
                        divergence,
                    },
                    scratch,
                )
                .map(drop)
            }
            State::SteinSgrhmc(config, state, metric) => {
                metric.fill(theta, 0.5);
                let Metric {
                    diagonal,
                    divergence,
                } = metric;
                stein::sgrhmc::step(
                    config,
                    state,
                    Particles::new(d, theta),
                    &Evaluated {
                        scores,
                        metric: diagonal,
                        divergence,
                    },
                    scratch,
                )
                .map(drop)
            }
            State::SteinSgnht(config, state) => {
                stein::sgnht::step(config, state, Particles::new(d, theta), scores, scratch)
                    .map(drop)
            }
            State::Langevin(step, lanes) => {
                langevin::step(*step, Particles::new(d, theta), scores, lanes, scratch)
            }
            State::Sghmc(config, state, lanes) => sghmc::step(
                config,
                state,
                Particles::new(d, theta),
                scores,
                lanes,
                scratch,
            ),
            State::Sgnht(config, state, lanes) => sgnht::step(
                config,
                state,
                Particles::new(d, theta),
                scores,
                lanes,
                scratch,
            ),
            State::Exact(_) => Ok(()),
        }
    }
}
