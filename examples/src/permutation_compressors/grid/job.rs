//! The runs of one thread: rounds until the budget is spent.

use thalweg::Error;
use thalweg::compress::{
    Contractive, Operator as _, PermK, RandK, TopK, Unbiased, index_bits, perm_k::message_len,
};
use thalweg::federated::{Run, step_size};
use thalweg::model::Gradient;
use thalweg::vector;

use super::{Method, Point, Score, probability};
use crate::permutation_compressors::problem::Problem;
use crate::permutation_compressors::simulate::{Descent, Draw, Ef21, Marina, Operator};

/// Bits of a number in the published accounting, whatever the arithmetic.
const NUMBER: u64 = 32;
/// Points of a curve.
const POINTS: u64 = 150;
/// A run whose `|grad f|^2` exceeds that of its start by this factor has diverged.
const DIVERGED: f64 = 1e6;

/// Work for one thread: runs that share their draws.
pub(super) struct Job<'p> {
    pub(super) problem: &'p Problem,
    pub(super) row: usize,
    pub(super) method: Method,
    pub(super) step_size: f64,
    pub(super) seed: u64,
    pub(super) exponents: Vec<u32>,
    pub(super) budget: u64,
    pub(super) k: usize,
}

impl Job<'_> {
    /// Bits of a compressed message: without indices, with indices of `ceil(log2 d)` bits, with words.
    fn message_bits(&self) -> [u64; 3] {
        let (d, k) = (self.problem.config.dim, self.k as u64);
        match self.method {
            Method::PermK => [NUMBER * message_len(d, self.problem.clients.len()) as u64; 3],
            Method::RandK => [NUMBER * k; 3],
            Method::TopK => {
                let packed = NUMBER + u64::from(index_bits(d));
                [NUMBER * k, packed * k, 2 * NUMBER * k]
            }

            Method::Descent => [NUMBER * d as u64; 3],
        }
    }

    /// Relative time that it takes.
    pub(super) fn weight(&self) -> u64 {
        let rounds = self.budget / self.message_bits()[0].max(1);
        let clients = match self.method {
            Method::TopK if self.problem.config.noise > 0.0 => self.problem.clients.len() as u64,
            _ => 1,
        };
        rounds * clients * self.exponents.len() as u64 + 1
    }
}

/// Theory's step of a method.
pub(super) fn theory(problem: &Problem, method: Method, probability: f64, k: usize) -> f64 {
    let (d, n, c) = (problem.config.dim, problem.clients.len(), problem.constants);
    let ab = match method {
        Method::PermK => PermK::new(n).ab(d, n),
        Method::RandK => RandK::new(k).ab(d, n),
        Method::TopK => {
            let alpha = (TopK { k }).alpha(d);
            return step_size::ef21(c.l_minus, c.l_tilde, alpha);
        }
        Method::Descent => return step_size::gradient_descent(c.l_minus),
    };
    step_size::marina(c.l_minus, c.l_plus, c.l_plus_minus, probability, ab)
}

/// A method that goes round by round.
trait Runner {
    fn round(&mut self, problem: &Problem, draw: Option<&Draw>) -> Result<(), Error>;
    fn params(&self) -> &[f64];
}

impl Runner for Marina {
    fn round(&mut self, problem: &Problem, draw: Option<&Draw>) -> Result<(), Error> {
        draw.map_or(Ok(()), |draw| Self::round(self, problem, draw))
    }
    fn params(&self) -> &[f64] {
        self.params()
    }
}

impl Runner for Ef21 {
    fn round(&mut self, _: &Problem, _: Option<&Draw>) -> Result<(), Error> {
        Self::round(self)
    }
    fn params(&self) -> &[f64] {
        self.params()
    }
}

impl Runner for Descent {
    fn round(&mut self, problem: &Problem, _: Option<&Draw>) -> Result<(), Error> {
        Self::round(self, problem)
    }
    fn params(&self) -> &[f64] {
        self.params()
    }
}

pub(super) fn execute(job: &Job<'_>) -> Result<Vec<Score>, Error> {
    let (problem, d, n) = (
        job.problem,
        job.problem.config.dim,
        job.problem.clients.len(),
    );
    let step = |&exponent: &u32| job.step_size * f64::from(exponent).exp2();
    let run = Run {
        seed: job.seed,
        clients: n as u32,
    };
    match job.method {
        Method::PermK | Method::RandK => {
            let operator = if job.method == Method::PermK {
                Operator::PermK
            } else {
                Operator::RandK(job.k)
            };
            let draw = Draw::new(d, run, probability(d, n), operator)?;
            let runs = job.exponents.iter().map(|e| Marina::new(problem, step(e)));
            let runs = job.exponents.iter().copied().zip(runs).collect();
            drive(job, runs, Some(draw))
        }
        Method::TopK => {
            (TopK { k: job.k }).validate(d)?;
            let runs: Result<Vec<_>, _> = job
                .exponents
                .iter()
                .map(|e| Ef21::new(problem, job.k, step(e)))
                .collect();
            let runs = job.exponents.iter().copied().zip(runs?).collect();
            drive(job, runs, None)
        }
        Method::Descent => {
            let runs = job.exponents.iter().map(|e| Descent::new(problem, step(e)));
            let runs = job.exponents.iter().copied().zip(runs).collect();
            drive(job, runs, None)
        }
    }
}

/// Rounds until the budget is spent.
fn drive<R: Runner>(
    job: &Job<'_>,
    runs: Vec<(u32, R)>,
    mut draw: Option<Draw>,
) -> Result<Vec<Score>, Error> {
    let mut gradient = vec![0.0; job.problem.config.dim];
    let mut square = |x: &[f64]| -> Result<f64, Error> {
        let mean = &job.problem.mean;
        mean.gradient_into(x, &mut gradient, &mut [])?;
        Ok(vector::norm2_squared(&gradient))
    };
    let start = square(&job.problem.start)?;
    let mut lanes: Vec<(R, Score)> = runs
        .into_iter()
        .map(|(exponent, run)| {
            let score = Score {
                exponent,
                value: start,
                range: [start; 2],
                mean_log: start.ln(),
                seeds: 1,
                with_indices: start,
                with_words: start,
                rounds: 0,
                curve: Vec::new(),
            };
            (run, score)
        })
        .collect();
    let whole = NUMBER * job.problem.config.dim as u64;
    let message = job.message_bits();
    let every = (job.budget / POINTS).max(1);
    let (mut bits, mut due, mut is_open) = ([0; 3], 0, [true; 3]);
    for round in 0.. {
        let is_full = round == 0 || draw.as_ref().is_some_and(|draw| draw.is_full(round));
        let cost = if is_full { [whole; 3] } else { message };
        for (way, is_open) in is_open.iter_mut().enumerate() {
            if *is_open && bits[way] + cost[way] > job.budget {
                *is_open = false;
                for (run, score) in lanes.iter_mut().filter(|lane| lane.1.value.is_finite()) {
                    let value = square(run.params())?;
                    *[
                        &mut score.value,
                        &mut score.with_indices,
                        &mut score.with_words,
                    ][way] = value;
                }
            }
            bits[way] += cost[way];
        }
        if !is_open[0] {
            break;
        }
        if let Some(draw) = &mut draw {
            draw.draw(round)?;
        }
        let is_due = bits[0] >= due;
        if is_due {
            due = bits[0] + every;
        }
        for (run, score) in lanes.iter_mut().filter(|lane| lane.1.value.is_finite()) {
            match run.round(job.problem, draw.as_ref()) {
                // TopK refuses what is not a number.
                Err(Error::NonFinite { .. }) => score.value = f64::INFINITY,
                other => other?,
            }
            score.rounds = round + 1;
            if is_due {
                let value = square(run.params())?;
                score.curve.push(Point {
                    bits: bits[0],
                    value,
                });
                if value.is_nan() || value >= DIVERGED * start {
                    score.value = f64::INFINITY;
                }
            }
        }
    }
    for (_, score) in &mut lanes {
        // Larger than at the start is as good as diverged.
        let has_diverged = score.value.is_nan() || score.value > start;
        for value in [
            &mut score.value,
            &mut score.with_indices,
            &mut score.with_words,
        ] {
            if has_diverged || value.is_nan() || *value > start {
                *value = f64::INFINITY;
            }
        }
    }
    Ok(lanes.into_iter().map(|(_, score)| score).collect())
}
