//! Rounds of MARINA, EF21 and gradient descent on quadratics, in one process and without frames.
//!
//! All matrices of the family are combinations of one tridiagonal matrix and the identity, so the products `4 T x` are
//! computed once and client `i` has its gradient's element `j` for five flops:
//!
//! ```text
//! grad f_i(x)_j = (nu_i / 4) (4 T x)_j + c x_j - [j = 0] b_i
//! ```
//!
//! A compressed MARINA round asks for about `d` such elements at two points, whoever owns them: `O(d)`, not `O(n d)`. A
//! whole round costs `O(n d)` and has probability `1/n`. EF21 keeps `n` memories of length `d`, clients with equal
//! objectives share one; its round costs `O(d)` for each distinct client.
//!
//! Every operation is the one that the machines of [`thalweg::federated`] do, in their order: iterates have the same bits.

use thalweg::Error;
use thalweg::compress::{
    Buffers, Compressor, Key, Message, Operator as _, PermK, RandK, TopK, Weight, perm_k::Table,
};
use thalweg::federated::Run;
use thalweg::federated::{Protocol, marina};
use thalweg::model::Gradient;
use thalweg::model::quadratic::Quadratic;
use thalweg::vector;

use super::problem::Problem;

/// Which elements clients send in a compressed round of MARINA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Blocks of one shared permutation.
    PermK,
    /// `k` elements, drawn by each client for itself.
    RandK(usize),
}

/// What every client does in one round of MARINA.
#[derive(Debug)]
pub struct Draw {
    clients: usize,
    dim: usize,
    run: Run,
    probability: f64,
    operator: Operator,
    table: Table<Vec<u32>, Vec<u32>>,
    drawn: Vec<u32>,
    /// Client and coordinate of each element that is sent, in the order in which the server adds.
    pairs: Vec<(u32, u32)>,
    factor: f64,
    is_full: bool,
}

impl Draw {
    /// The draws of a run of `n` clients in dimension `d`.
    ///
    /// # Errors
    /// No clients, no dimension, or a `k` outside `1..=d`.
    pub fn new(dim: usize, run: Run, probability: f64, operator: Operator) -> Result<Self, Error> {
        let clients = run.clients as usize;
        let table = Table::new(vec![0; dim], vec![0; clients])?;
        let drawn = match operator {
            Operator::PermK => Vec::new(),
            Operator::RandK(k) => {
                RandK::new(k).validate(dim)?;
                vec![0; k]
            }
        };
        Ok(Self {
            clients,
            dim,
            run,
            probability,
            operator,
            table,
            drawn,
            pairs: Vec::new(),
            factor: 1.0,
            is_full: true,
        })
    }

    /// All clients send full gradients in this round.
    #[must_use]
    pub fn is_full(&self, round: u64) -> bool {
        let config = marina::Config {
            run: self.run,
            step_size: 1.0,
            probability: self.probability,
            compressor: PermK::new(self.clients),
        };
        Protocol::<f64>::is_full(&config, round)
    }

    /// Draws the coin and the supports of a round.
    ///
    /// # Errors
    /// None beyond those of [`Draw::new`].
    pub fn draw(&mut self, round: u64) -> Result<(), Error> {
        self.is_full = self.is_full(round);
        self.pairs.clear();
        if self.is_full {
            return Ok(());
        }
        let seed = self.run.seed;
        let n = self.clients;
        let (numerator, denominator) = match self.operator {
            Operator::PermK => {
                self.table.draw(seed, round)?;
                let mut owners = 1;
                for client in 0..self.run.clients {
                    let key = Key {
                        seed,
                        round,
                        client,
                    };
                    let (support, share) = self.table.support(key)?;
                    owners = share.owners;
                    self.pairs.extend(support.iter().map(|&j| (client, j)));
                }
                (n, owners)
            }
            Operator::RandK(k) => {
                for client in 0..self.run.clients {
                    let key = Key {
                        seed,
                        round,
                        client,
                    };
                    RandK::new(k).support_into(key, self.dim, &mut self.drawn)?;
                    self.pairs.extend(self.drawn.iter().map(|&j| (client, j)));
                }
                (self.dim, k)
            }
        };
        self.factor = Weight::Mean(n).times(numerator, denominator)?;
        Ok(())
    }
}

/// A point, with `4 T x` next to it.
#[derive(Clone, Debug)]
struct Point {
    x: Vec<f64>,
    bend: Vec<f64>,
}

impl Point {
    fn new(x: Vec<f64>) -> Self {
        let bend = vec![0.0; x.len()];
        Self { x, bend }
    }

    fn update_bend(&mut self) -> Result<(), Error> {
        let four_t = Quadratic {
            dim: self.x.len(),
            curvature: 4.0,
            shift: 0.0,
            linear: 0.0,
        };
        four_t.apply_into(&self.x, &mut self.bend)
    }
}

/// Element `j` of the gradient of `f`, from the elements of `4 T x` and `x`.
#[inline]
fn element(f: &Quadratic<f64>, j: u32, bend: f64, x: f64) -> f64 {
    let slope = f.curvature * 0.25 * bend + f.shift * x;
    if j == 0 { slope - f.linear } else { slope }
}

/// One run of MARINA with one step size.
#[derive(Clone, Debug)]
pub struct Marina {
    step_size: f64,
    now: Point,
    previous: Point,
    estimate: Vec<f64>,
}

impl Marina {
    /// A run that starts at the problem's initial point.
    #[must_use]
    pub fn new(problem: &Problem, step_size: f64) -> Self {
        let zeros = vec![0.0; problem.config.dim];
        Self {
            step_size,
            now: Point::new(problem.start.clone()),
            previous: Point::new(zeros.clone()),
            estimate: zeros,
        }
    }

    /// The model.
    #[must_use]
    pub fn params(&self) -> &[f64] {
        &self.now.x
    }

    /// One round with the given draws, which are those of the round after the last one.
    ///
    /// # Errors
    /// Draws of another dimension.
    pub fn round(&mut self, problem: &Problem, draw: &Draw) -> Result<(), Error> {
        self.now.update_bend()?;
        let (now, previous) = (&self.now, &self.previous);
        if draw.is_full {
            self.estimate.fill(-0.0);
            for f in &problem.clients {
                let quarter = f.curvature * 0.25;
                let mut elements = self.estimate.iter_mut().zip(&now.bend).zip(&now.x);
                if let Some(((sum, &bend), &x)) = elements.next() {
                    *sum += element(f, 0, bend, x);
                }
                for ((sum, &bend), &x) in elements {
                    *sum += quarter * bend + f.shift * x;
                }
            }
            let n = problem.clients.len() as f64;
            self.estimate.iter_mut().for_each(|g| *g /= n);
        } else {
            for &(client, j) in &draw.pairs {
                let (f, at) = (&problem.clients[client as usize], j as usize);
                let change = element(f, j, now.bend[at], now.x[at])
                    - element(f, j, previous.bend[at], previous.x[at]);
                self.estimate[at] += draw.factor * change;
            }
        }
        std::mem::swap(&mut self.now, &mut self.previous);
        step(
            self.step_size,
            &self.previous.x,
            &self.estimate,
            &mut self.now.x,
        );
        Ok(())
    }
}

/// `after <- x - gamma g`.
fn step(gamma: f64, x: &[f64], g: &[f64], after: &mut [f64]) {
    for ((after, &x), &g) in after.iter_mut().zip(x).zip(g) {
        *after = x - gamma * g;
    }
}

/// One run of EF21 with TopK.
#[derive(Clone, Debug)]
pub struct Ef21 {
    top_k: TopK,
    step_size: f64,
    is_started: bool,
    x: Vec<f64>,
    estimate: Vec<f64>,
    gradient: Vec<f64>,
    /// One client of each kind, with its memory.
    distinct: Vec<(Quadratic<f64>, Vec<f64>)>,
    /// Kind of each client.
    kinds: Vec<usize>,
    /// Messages of the kinds, `k` elements each.
    values: Vec<f64>,
    indices: Vec<u32>,
}

impl Ef21 {
    /// A run that starts at the problem's initial point with full gradients.
    ///
    /// # Errors
    /// `k` outside `1..=d`.
    pub fn new(problem: &Problem, k: usize, step_size: f64) -> Result<Self, Error> {
        let top_k = TopK { k };
        top_k.validate(problem.config.dim)?;
        let zeros = vec![0.0; problem.config.dim];
        let mut distinct: Vec<(Quadratic<f64>, Vec<f64>)> = Vec::new();
        let kinds = problem.clients.iter().map(|f| {
            let known = distinct.iter().position(|(other, _)| other == f);
            known.unwrap_or_else(|| {
                distinct.push((*f, zeros.clone()));
                distinct.len() - 1
            })
        });
        let kinds = kinds.collect();
        Ok(Self {
            top_k,
            step_size,
            is_started: false,
            x: problem.start.clone(),
            estimate: zeros.clone(),
            gradient: zeros,
            values: vec![0.0; k * distinct.len()],
            indices: vec![0; k * distinct.len()],
            distinct,
            kinds,
        })
    }

    /// The model.
    #[must_use]
    pub fn params(&self) -> &[f64] {
        &self.x
    }

    /// Clients that differ.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.distinct.len()
    }

    /// One round.
    ///
    /// # Errors
    /// [`Error::NonFinite`] once the run has diverged.
    pub fn round(&mut self) -> Result<(), Error> {
        let (k, key) = (self.top_k.k, Key::default());
        let n = self.kinds.len();
        if self.is_started {
            let messages = self.values.chunks_mut(k).zip(self.indices.chunks_mut(k));
            for ((f, memory), (values, indices)) in self.distinct.iter_mut().zip(messages) {
                f.gradient_into(&self.x, &mut self.gradient, &mut [])?;
                for (gradient, &h) in self.gradient.iter_mut().zip(&*memory) {
                    *gradient -= h;
                }
                let buffers = Buffers {
                    values,
                    indices,
                    ..Buffers::default()
                };
                let message = self.top_k.compress(key, &self.gradient, buffers)?;
                self.top_k.accumulate(key, &message, Weight::ONE, memory)?;
            }
            for &kind in &self.kinds {
                let span = kind * k..(kind + 1) * k;
                let message = Message::Sparse {
                    indices: &self.indices[span.clone()],
                    values: &self.values[span],
                };
                self.top_k
                    .accumulate(key, &message, Weight::Mean(n), &mut self.estimate)?;
            }
        } else {
            for (f, memory) in &mut self.distinct {
                f.gradient_into(&self.x, memory, &mut [])?;
            }
            self.estimate.fill(-0.0);
            for &kind in &self.kinds {
                vector::axpy(1.0, &self.distinct[kind].1, &mut self.estimate)?;
            }
            self.estimate.iter_mut().for_each(|g| *g /= n as f64);
            self.is_started = true;
        }
        for (x, &g) in self.x.iter_mut().zip(&self.estimate) {
            *x -= self.step_size * g;
        }
        Ok(())
    }
}

/// Gradient descent on the mean.
#[derive(Clone, Debug)]
pub struct Descent {
    step_size: f64,
    x: Vec<f64>,
    gradient: Vec<f64>,
}

impl Descent {
    /// A run that starts at the problem's initial point.
    #[must_use]
    pub fn new(problem: &Problem, step_size: f64) -> Self {
        Self {
            step_size,
            x: problem.start.clone(),
            gradient: vec![0.0; problem.config.dim],
        }
    }

    /// The model.
    #[must_use]
    pub fn params(&self) -> &[f64] {
        &self.x
    }

    /// One step.
    ///
    /// # Errors
    /// None for a problem whose parts have one dimension.
    pub fn round(&mut self, problem: &Problem) -> Result<(), Error> {
        let mean = &problem.mean;
        mean.gradient_into(&self.x, &mut self.gradient, &mut [])?;
        vector::axpy(-self.step_size, &self.gradient, &mut self.x)
    }
}
