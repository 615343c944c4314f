//! What is run: methods, families, budgets.

use std::fmt;

use serde::Serialize;

use crate::permutation_compressors::published;

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
    pub(in crate::permutation_compressors) const fn is_random(self) -> bool {
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
    pub(super) fn seeds(&self, method: Method) -> u64 {
        match method {
            Method::TopK | Method::Descent => 1,
            _ if self.check => published::seeds(method),
            _ => self.seeds,
        }
    }

    pub(super) fn exponents(&self, clients: usize, noise: f64, method: Method) -> Vec<u32> {
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
