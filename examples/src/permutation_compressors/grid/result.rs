//! What came out: scores of steps, entries of methods, rows of families.

use serde::Serialize;

use super::Method;

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
    /// Mean of the natural logarithms of the seeds' values.
    pub mean_log: f64,
    /// Number of the seeds.
    pub seeds: usize,
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
