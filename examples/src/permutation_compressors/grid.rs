//! Methods, step multipliers and seeds over families of quadratics, in threads.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use thalweg::Error;
use thalweg::model::quadratic::Config;

use super::problem::{Problem, draws};

mod job;
mod result;
mod settings;

use job::{Job, execute, theory};
pub use result::{Entry, Point, Row, Score};
pub use settings::{Method, Settings};

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
            let seeds = settings.seeds(method);
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
                let seeds = of_step.len();
                Some(Score {
                    value: median(over(|s| s.value)),
                    with_indices: median(over(|s| s.with_indices)),
                    with_words: median(over(|s| s.with_words)),
                    range,
                    mean_log: over(|s| s.value.ln()).sum::<f64>() / seeds as f64,
                    seeds,
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
pub(crate) fn in_threads<J: Sync, R: Send>(
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
