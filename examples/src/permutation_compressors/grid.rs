//! Methods, step multipliers and seeds over families of quadratics, in threads.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use thalweg::Error;
use thalweg::compress::{
    Compressor, Contractive, PermK, RandK, TopK, Unbiased, index_bits, perm_k::message_len,
};
use thalweg::federated::{Run, step_size};
use thalweg::model::quadratic::Config;
use thalweg::model::{Batch, Objective};
use thalweg::vector;

use super::problem::{Problem, draws};
use super::published;
use super::simulate::{Descent, Draw, Ef21, Marina, Operator};

/// Bits of a number in the published accounting, whatever the arithmetic.
const NUMBER: u64 = 32;
/// Points of a curve.
const POINTS: u64 = 150;
/// A run whose `|grad f|^2` exceeds that of its start by this factor has diverged.
const DIVERGED: f64 = 1e6;

/// A method of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Method {
    /// MARINA with PermK.
    #[serde(rename = "marina perm_k")]
    PermK,
    /// MARINA with RandK.
    #[serde(rename = "marina rand_k")]
    RandK,
    /// EF21 with TopK.
    #[serde(rename = "ef21 top_k")]
    TopK,
    /// Gradient descent.
    #[serde(rename = "gradient descent")]
    Descent,
}

impl Method {
    /// All, in the order of the table.
    pub const ALL: [Self; 4] = [Self::PermK, Self::RandK, Self::TopK, Self::Descent];

    /// Its runs depend on the seed.
    const fn is_random(self) -> bool {
        matches!(self, Self::PermK | Self::RandK)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::PermK => "MARINA+PermK",
            Self::RandK => "MARINA+RandK",
            Self::TopK => "EF21+TopK",
            Self::Descent => "GD",
        })
    }
}

/// What is run.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// Dimension `d`.
    pub dim: usize,
    /// Strong convexity of the mean.
    pub mu: f64,
    /// Numbers of clients.
    pub clients: Vec<usize>,
    /// Noise scales.
    pub noise: Vec<f64>,
    /// Uplink bits of all clients together.
    pub budget: f64,
    /// Multipliers `2^0, ..., 2^(m-1)` of the theory's step.
    pub multipliers: u32,
    /// First seed.
    pub seed: u64,
    /// Number of seeds, of which the median is reported.
    pub seeds: u64,
    /// Seed of the family's draws; the published draws when absent.
    pub draws: Option<u64>,
    /// Threads.
    pub threads: usize,
    /// Most memory of EF21's clients, in numbers; larger rows go without EF21.
    pub ef21_numbers: usize,
    /// Run what the comparison with the published table needs.
    pub check: bool,
}

impl Default for Settings {
    /// The published small table.
    fn default() -> Self {
        Self {
            dim: 1000,
            mu: 1e-6,
            clients: vec![10, 100, 1000],
            noise: vec![0.0, 0.1, 0.8],
            budget: 2.5e8,
            multipliers: 10,
            seed: 1,
            seeds: 3,
            draws: None,
            threads: 1,
            ef21_numbers: 200_000,
            check: false,
        }
    }
}

impl Settings {
    /// Bits that one client may send.
    #[must_use]
    pub fn client_budget(&self, clients: usize) -> u64 {
        (self.budget / clients as f64) as u64
    }

    /// Runs of which the median is taken.
    fn seeds(&self, clients: usize, noise: f64, method: Method) -> u64 {
        match method {
            Method::TopK | Method::Descent => 1,
            _ if self.check => published::seeds(clients, noise, method),
            _ => self.seeds,
        }
    }

    fn exponents(&self, clients: usize, noise: f64, method: Method) -> Vec<u32> {
        if self.check {
            return published::exponents(clients, noise, method);
        }
        match method {
            Method::TopK if clients.saturating_mul(self.dim) > self.ef21_numbers => Vec::new(),
            Method::Descent => vec![0],
            _ => (0..self.multipliers).collect(),
        }
    }
}

/// A point of a curve.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Uplink bits of a client.
    pub bits: u64,
    /// `|grad f|^2`.
    pub value: f64,
}

/// The result of one step size: medians over seeds, infinite where a run diverged.
#[derive(Clone, Debug, Serialize)]
pub struct Score {
    /// The step is `2^exponent` times the theory's.
    pub exponent: u32,
    /// `|grad f|^2` when the budget is spent.
    pub value: f64,
    /// Least and greatest of the seeds.
    pub range: [f64; 2],
    /// The same when an index costs `ceil(log2 d)` bits.
    pub with_indices: f64,
    /// The same when an index costs 32 bits.
    pub with_words: f64,
    /// Rounds that the budget paid for (first seed).
    pub rounds: u64,
    /// Bits against `|grad f|^2` (first seed).
    pub curve: Vec<Point>,
}

/// One method on one family.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The method.
    pub method: Method,
    /// Step of the theory.
    pub step_size: f64,
    /// Results of the step's multiples, ascending.
    pub scores: Vec<Score>,
}

impl Entry {
    /// The result of `2^exponent` times the theory's step.
    #[must_use]
    pub fn score(&self, exponent: u32) -> Option<&Score> {
        self.scores.iter().find(|score| score.exponent == exponent)
    }

    /// The best result.
    #[must_use]
    pub fn best(&self) -> Option<&Score> {
        self.scores
            .iter()
            .min_by(|a, b| a.value.total_cmp(&b.value))
    }
}

/// One family.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Number of clients.
    pub clients: usize,
    /// Elements that RandK and TopK send.
    pub k: usize,
    /// Noise scale.
    pub noise: f64,
    /// `L_-`, `L_+-`, `L_+`.
    pub smoothness: [f64; 3],
    /// Bits that one client may send.
    pub budget: u64,
    /// Results of the methods that were run.
    pub entries: Vec<Entry>,
}

impl Row {
    /// The result of a method.
    #[must_use]
    pub fn entry(&self, method: Method) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.method == method)
    }
}

/// Work for one thread: runs that share their draws.
struct Job<'p> {
    problem: &'p Problem,
    row: usize,
    method: Method,
    step_size: f64,
    seed: u64,
    exponents: Vec<u32>,
    budget: u64,
    k: usize,
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
    fn weight(&self) -> u64 {
        let rounds = self.budget / self.message_bits()[0].max(1);
        let clients = match self.method {
            Method::TopK if self.problem.config.noise > 0.0 => self.problem.clients.len() as u64,
            _ => 1,
        };
        rounds * clients * self.exponents.len() as u64 + 1
    }
}

/// Theory's step of a method.
fn theory(problem: &Problem, method: Method, probability: f64, k: usize) -> f64 {
    let (d, n, c) = (problem.config.dim, problem.clients.len(), problem.constants);
    let ab = match method {
        Method::PermK => Unbiased::<f64>::ab(&PermK::new(n), d, n),
        Method::RandK => Unbiased::<f64>::ab(&RandK::new(k), d, n),
        Method::TopK => {
            let alpha = Contractive::<f64>::alpha(&TopK { k }, d);
            return step_size::ef21(c.l_minus, c.l_tilde, alpha);
        }
        Method::Descent => return step_size::gradient_descent(c.l_minus),
    };
    step_size::marina(c.l_minus, c.l_plus, c.l_plus_minus, probability, ab)
}

/// Runs the grid; `progress` is told of work done, out of the total that it is told of first.
///
/// # Errors
/// A parameter out of range.
pub fn run(settings: &Settings, progress: &(dyn Fn(Progress) + Sync)) -> Result<Vec<Row>, Error> {
    let d = settings.dim;
    let mut families = Vec::new();
    for &n in &settings.clients {
        thalweg::error::check(
            "clients",
            n > 0 && u32::try_from(n).is_ok(),
            "must be between 1 and 2^32 - 1",
        )?;
        let (xi, xi_linear) = draws(n, settings.draws);
        for &noise in &settings.noise {
            let config = Config {
                dim: d,
                noise,
                mu: settings.mu,
            };
            families.push(Problem::new(config, &xi, &xi_linear)?);
        }
    }
    let mut jobs = Vec::new();
    for (row, problem) in families.iter().enumerate() {
        let (n, k) = (problem.clients.len(), sent(d, problem.clients.len()));
        for method in Method::ALL {
            let exponents = settings.exponents(n, problem.config.noise, method);
            let seeds = settings.seeds(n, problem.config.noise, method);
            let lists: Vec<Vec<u32>> = if method.is_random() {
                vec![exponents]
            } else {
                exponents.into_iter().map(|e| vec![e]).collect()
            };
            for exponents in lists.into_iter().filter(|list| !list.is_empty()) {
                for seed in 0..seeds {
                    jobs.push(Job {
                        problem,
                        row,
                        method,
                        step_size: theory(problem, method, probability(d, n), k),
                        seed: settings.seed.wrapping_add(seed),
                        exponents: exponents.clone(),
                        budget: settings.client_budget(n),
                        k,
                    });
                }
            }
        }
    }
    // Long jobs first, so that no thread is left with one at the end.
    jobs.sort_by_key(|job| std::cmp::Reverse(job.weight()));
    progress(Progress::Total(jobs.iter().map(Job::weight).sum()));
    let outcomes = in_threads(settings.threads, &jobs, |job| {
        let outcome = execute(job);
        progress(Progress::Done(job.weight()));
        outcome
    });
    let mut rows: Vec<Row> = families
        .iter()
        .map(|problem| Row {
            clients: problem.clients.len(),
            k: sent(d, problem.clients.len()),
            noise: problem.config.noise,
            smoothness: [
                problem.constants.l_minus,
                problem.constants.l_plus_minus,
                problem.constants.l_plus,
            ],
            budget: settings.client_budget(problem.clients.len()),
            entries: Vec::new(),
        })
        .collect();
    let mut runs = Vec::new();
    for (job, outcome) in jobs.iter().zip(outcomes) {
        for run in outcome? {
            runs.push((job.row, job.method, job.seed, job.step_size, run));
        }
    }
    for (index, row) in rows.iter_mut().enumerate() {
        for method in Method::ALL {
            let of_entry: Vec<_> = runs
                .iter()
                .filter(|run| run.0 == index && run.1 == method)
                .collect();
            let Some(&&(_, _, _, step_size, _)) = of_entry.first() else {
                continue;
            };
            let mut exponents: Vec<u32> = of_entry.iter().map(|run| run.4.exponent).collect();
            exponents.sort_unstable();
            exponents.dedup();
            let scores = exponents.iter().filter_map(|&exponent| {
                let mut of_step: Vec<_> = of_entry
                    .iter()
                    .filter(|run| run.4.exponent == exponent)
                    .collect();
                of_step.sort_by_key(|run| run.2);
                let of_step: Vec<&Score> = of_step.into_iter().map(|run| &run.4).collect();
                let first = *of_step.first()?;
                let over = |f: fn(&Score) -> f64| of_step.iter().map(move |score| f(score));
                let range = [
                    over(|s| s.value).fold(f64::INFINITY, f64::min),
                    over(|s| s.value).fold(0.0, f64::max),
                ];
                Some(Score {
                    value: median(over(|s| s.value)),
                    with_indices: median(over(|s| s.with_indices)),
                    with_words: median(over(|s| s.with_words)),
                    range,
                    ..first.clone()
                })
            });
            let scores = scores.collect();
            row.entries.push(Entry {
                method,
                step_size,
                scores,
            });
        }
    }
    Ok(rows)
}

/// News of a grid that is being run.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Units of work in all.
    Total(u64),
    /// Units done since the last news.
    Done(u64),
}

/// `K = max(floor(d/n), 1)`.
fn sent(d: usize, n: usize) -> usize {
    (d / n.max(1)).max(1)
}

/// Probability of a whole round: `1/n` for `d >= n`, else `1/d`.
fn probability(d: usize, n: usize) -> f64 {
    1.0 / n.min(d).max(1) as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle), values.len() % 2) {
        (Some(&upper), 1) => upper,
        (Some(&upper), _) => (upper + values.get(middle.wrapping_sub(1)).unwrap_or(&upper)) / 2.0,
        (None, _) => f64::NAN,
    }
}

/// Results of all jobs, in their order, whatever the number of threads.
pub(super) fn in_threads<J: Sync, R: Send>(
    threads: usize,
    jobs: &[J],
    work: impl Fn(&J) -> R + Sync,
) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, jobs.len().max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    let result = work(job);
                    // A thread that panicked has ended the scope's caller as well.
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((index, result));
                }
            });
        }
    });
    let mut done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|&(index, _)| index);
    done.into_iter().map(|(_, result)| result).collect()
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

fn execute(job: &Job<'_>) -> Result<Vec<Score>, Error> {
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
            Compressor::<f64>::validate(&TopK { k: job.k }, d)?;
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
        mean.gradient_into(x, &Batch::none(), &mut [], &mut gradient)?;
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
