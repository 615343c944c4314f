//! A family of random quadratics with its draws and constants.

use thalweg::model::quadratic::{Config, Constants, Quadratic, start_into};
use thalweg::random::{self, Purpose};

/// Draws of NumPy's `default_rng(1234).standard_normal(2000)`; `data/quadratic_normals.py` wrote them.
const NORMALS: &str = include_str!("../../data/quadratic_normals.txt");

/// The clients' objectives, their mean, and where descent starts.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Dimension, noise scale, strong convexity.
    pub config: Config,
    /// Constants that the theory's step sizes are made of.
    pub constants: Constants,
    /// One objective a client.
    pub clients: Vec<Quadratic<f64>>,
    /// Their mean.
    pub mean: Quadratic<f64>,
    /// The initial point `(sqrt(d), 0, ..., 0)`.
    pub start: Vec<f64>,
}

impl Problem {
    /// A family of `n` clients on the given draws.
    ///
    /// # Errors
    /// A parameter out of range, or draws that differ in number.
    pub fn new(config: Config, xi: &[f64], xi_linear: &[f64]) -> Result<Self, thalweg::Error> {
        let constants = config.constants(xi)?;
        let mean = config.mean(xi, xi_linear)?;
        let clients = xi
            .iter()
            .zip(xi_linear)
            .map(|(&xi, &linear)| config.worker(xi, linear, constants.shift))
            .collect();
        let mut start = vec![0.0; config.dim];
        start_into(&mut start);
        Ok(Self {
            config,
            constants,
            clients,
            mean,
            start,
        })
    }
}

/// Draws `xi` and `xi'` of `n` clients: the published ones up to 1000 clients when `seed` is `None`, else a keyed stream's.
#[must_use]
pub fn draws(n: usize, seed: Option<u64>) -> (Vec<f64>, Vec<f64>) {
    let published = || NORMALS.lines().filter_map(|line| line.parse().ok());
    if seed.is_none() && 2 * n <= published().count() {
        let both: Vec<f64> = published().take(2 * n).collect();
        let (xi, xi_linear) = both.split_at(n);
        return (xi.to_vec(), xi_linear.to_vec());
    }
    let mut rng = random::stream(seed.unwrap_or(1234), 0, n as u64, Purpose::DATA);
    let mut draw = || (0..n).map(|_| random::normal(&mut rng)).collect();
    (draw(), draw())
}
