//! Sparse signals with their samples, and the runs on them.

use thalweg::dynamics::label_noise::{self, Config, Sparse, State};
use thalweg::dynamics::limit_flow::{self, Exact};
use thalweg::matrix::{self, MatrixMut, MatrixRef, Product};
use thalweg::random::{self, Purpose};
use thalweg::{Error, Real, vector};

use super::lasso::{Lasso, largest_penalty, lasso};
use super::pursuit::basis_pursuit;

/// Slow time between two solutions of a limit, in units of the noise: the end does not depend on it.
const SPACING: f64 = 0.5;

/// Dimension, samples, non-zeros, and the law of the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Dimension d of the signal.
    pub dim: usize,
    /// Samples n.
    pub samples: usize,
    /// Non-zeros kappa of the signal.
    pub sparsity: usize,
    /// Data are random signs, and not normal.
    pub signs: bool,
}

impl Shape {
    /// A step size with which descent from `alpha` is stable, by a factor of about 20: 2e-3 in 100 dimensions from 1, and from
    /// any smaller start, since the parameters end at the size of the signal.
    pub fn stable_rate(&self, alpha: f64) -> f64 {
        0.2 / (self.dim as f64 * (alpha * alpha).max(1.0))
    }

    /// `n / (kappa ln d)`.
    pub fn ratio(&self) -> f64 {
        self.samples as f64 / (self.sparsity as f64 * (self.dim as f64).ln())
    }
}

/// One draw of data and signal.
#[derive(Clone, Debug)]
pub struct Instance<T> {
    /// Its shape.
    pub shape: Shape,
    /// Row-major data.
    pub z: Vec<T>,
    /// Labels.
    pub y: Vec<T>,
    /// The signal, with `kappa` signs at random places.
    pub signal: Vec<T>,
}

impl<T: Real> Instance<T> {
    /// The draw of a seed: the same numbers in both types, up to rounding.
    pub fn new(shape: Shape, seed: u64) -> Self {
        let mut rng = random::stream(seed, 0, 0, Purpose::DATA);
        let count = shape.samples * shape.dim;
        let z: Vec<T> = (0..count)
            .map(|_| {
                if shape.signs {
                    random::rademacher(&mut rng)
                } else {
                    random::normal(&mut rng)
                }
            })
            .collect();
        let mut rng = random::stream(seed, 0, 0, Purpose::INIT);
        let mut places: Vec<usize> = (0..shape.dim).collect();
        random::shuffle(&mut rng, &mut places);
        let mut signal = vec![T::ZERO; shape.dim];
        for &place in places.iter().take(shape.sparsity) {
            if let Some(x) = signal.get_mut(place) {
                *x = random::rademacher(&mut rng);
            }
        }
        let rows = z.chunks(shape.dim);
        let y = rows.map(|row| vector::dot(row, &signal).unwrap_or(T::NAN));
        Self {
            shape,
            y: y.collect(),
            z,
            signal,
        }
    }

    /// The data as the library takes them.
    ///
    /// # Errors
    /// Data that are not finite.
    pub fn problem(&self) -> Result<Sparse<'_, T>, Error> {
        let Shape { dim, samples, .. } = self.shape;
        Sparse::new(MatrixRef::new(&self.z, samples, dim)?, &self.y)
    }

    /// `|w - w*|^2 / |w*|^2` of parameters.
    ///
    /// # Errors
    /// Parameters of another length.
    pub fn error(&self, params: &[T]) -> Result<f64, Error> {
        let w = self.signal(params)?;
        self.error_of(&w)
    }

    /// `|w - w*|^2 / |w*|^2`.
    ///
    /// # Errors
    /// A signal of another length.
    pub fn error_of(&self, w: &[T]) -> Result<f64, Error> {
        let distance = vector::squared_distance(w, &self.signal)?;
        Ok(distance.to_f64() / vector::norm2_squared(&self.signal).to_f64())
    }

    /// `w` of parameters.
    ///
    /// # Errors
    /// Parameters of another length.
    pub fn signal(&self, params: &[T]) -> Result<Vec<T>, Error> {
        let mut w = vec![T::ZERO; self.shape.dim];
        self.problem()?.signal_into(params, &mut w)?;
        Ok(w)
    }

    /// All parameters at `alpha`.
    pub fn start(&self, alpha: f64) -> State<Vec<T>> {
        State::uniform(vec![T::ZERO; 2 * self.shape.dim], T::from_f64(alpha))
    }

    /// Gradient descent from `alpha`, until the loss is below 1e-24 or the steps are done.
    ///
    /// # Errors
    /// Steps that are too large.
    pub fn descend(&self, alpha: f64, rate: f64, steps: u64) -> Result<State<Vec<T>>, Error> {
        let (problem, config) = (self.problem()?, Config::new(rate));
        let (mut state, mut scratch) = (self.start(alpha), vec![T::ZERO; self.shape.dim]);
        for _ in 0..steps {
            if label_noise::descend(&config, &problem, &mut state, &mut scratch)? < 1e-24 {
                break;
            }
        }
        Ok(state)
    }

    /// The fit of smallest 2-norm, `Z^T (Z Z^T)^-1 y`.
    ///
    /// # Errors
    /// Samples that depend on one another.
    pub fn least_norm(&self) -> Result<Vec<T>, Error> {
        let Shape { dim, samples, .. } = self.shape;
        let z = MatrixRef::new(&self.z, samples, dim)?;
        let mut gram = vec![T::ZERO; samples * samples];
        let out = MatrixMut::new(&mut gram, samples, samples)?;
        matrix::gemm(Product::PLAIN, z, z.t(), out, &mut [])?;
        matrix::cholesky(MatrixMut::new(&mut gram, samples, samples)?)?;
        let (mut dual, mut w) = (self.y.clone(), vec![T::ZERO; dim]);
        matrix::cholesky_solve_vector(MatrixRef::new(&gram, samples, samples)?, &mut dual)?;
        matrix::gemv_transposed(T::ONE, z, &dual, T::ZERO, &mut w)?;
        Ok(w)
    }
}

impl Instance<f64> {
    /// The fit of smallest 1-norm: basis pursuit; or of smallest `sum_j m_j |w_j|`, the end of the limit.
    ///
    /// # Errors
    /// Samples that depend on one another.
    pub fn pursuit(&self, weighted: bool) -> Result<Vec<f64>, Error> {
        let mut c = vec![1.0; self.shape.dim];
        if weighted {
            self.problem()?.moments_into(&mut c)?;
        }
        let Shape { dim, samples, .. } = self.shape;
        basis_pursuit(MatrixRef::new(&self.z, samples, dim)?, &self.y, &c)
    }

    /// The Lasso with this share of the smallest penalty that makes it zero.
    ///
    /// # Errors
    /// A duality gap that stays.
    pub fn lasso(&self, share: f64) -> Result<Lasso, Error> {
        let Shape { dim, samples, .. } = self.shape;
        let z = MatrixRef::new(&self.z, samples, dim)?;
        lasso(z, &self.y, share * largest_penalty(z, &self.y)?)
    }
}

/// The limit of an instance, at one time after another.
#[derive(Debug)]
pub struct Limit<'a> {
    problem: Sparse<'a, f64>,
    config: limit_flow::Config,
    exact: Exact<Vec<f64>>,
    scratch: Vec<f64>,
    time: f64,
}

impl<'a> Limit<'a> {
    /// From all parameters at `alpha`.
    ///
    /// # Errors
    /// Labels that nothing fits.
    pub fn new(instance: &'a Instance<f64>, alpha: f64, noise: f64) -> Result<Self, Error> {
        let problem = instance.problem()?;
        let Shape { dim, samples, .. } = instance.shape;
        let mut scratch = vec![0.0; limit_flow::exact_scratch_len(samples, dim)];
        let buffer = vec![0.0; limit_flow::exact_len(samples, dim)];
        let start = vec![alpha; 2 * dim];
        let exact = Exact::new(&problem, &start, buffer, &mut scratch)?;
        let config = limit_flow::Config {
            noise,
            spacing: SPACING,
            ..limit_flow::Config::default()
        };
        Ok(Self {
            problem,
            config,
            exact,
            scratch,
            time: 0.0,
        })
    }

    /// The signal at time `t`, not before the last one.
    ///
    /// # Errors
    /// A time that the solver does not reach.
    pub fn at(&mut self, t: f64) -> Result<Vec<f64>, Error> {
        let dt = t - self.time;
        self.exact
            .advance(&self.config, &self.problem, dt, &mut self.scratch)?;
        self.time = t;
        let mut w = vec![0.0; self.problem.dim()];
        self.exact.signal_into(&self.problem, &mut w)?;
        Ok(w)
    }

    /// The parameters at that time.
    pub fn params(&self) -> &[f64] {
        self.exact.params()
    }
}
