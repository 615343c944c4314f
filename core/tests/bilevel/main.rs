//! Claims of the publication on bilevel optimisation, on problems with known solutions.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use thalweg::bilevel::aid::Solver;
use thalweg::bilevel::descent::Method;
use thalweg::bilevel::es_jacobian::{
    Config, Difference, Direction, Estimate, Solution, Start, State,
};
use thalweg::bilevel::{
    Draw, Place, Problem, Round, SecondOrder, Variables, aid, descent, es_jacobian,
    hyper_representation, itd, ridge,
};
use thalweg::matrix::MatrixRef;
use thalweg::optim::{adam, sgd};
use thalweg::random::{self, Purpose};
use thalweg::snapshot::Snapshot;
use thalweg::{At, Error, Real, vector};

mod cleaning;
mod differences;
mod directions;
mod exact;
mod failures;
mod inner;
mod network;
mod precision;
mod prepared;
mod refusals;
mod stochastic;

/// Numbers in [-1, 1).
fn painted<T: Real>(n: usize, phase: u64) -> Vec<T> {
    let mut rng = random::stream(phase, 0, 0, Purpose::DATA);
    (0..n)
        .map(|_| T::from_f64(2.0 * random::uniform::<f64>(&mut rng) - 1.0))
        .collect()
}

/// `g = a y^2 / 2 - b x y + noise y`, `f = c x + y^2 / 2` for each of n coordinates, or one x for all y.
struct Toy {
    n: usize,
    a: f64,
    b: f64,
    c: f64,
    /// Minibatch noise; the draw of a step shifts the gradient.
    noise: f64,
    /// Keeps paths apart, as a wrong program would: the noise depends on x.
    unequal: bool,
}

const TOY: Toy = Toy {
    n: 1,
    a: 2.0,
    b: 3.0,
    c: 0.0,
    noise: 0.0,
    unequal: false,
};

impl<T: Real> Problem<T> for Toy {
    fn outer_dim(&self) -> usize {
        self.n
    }
    fn inner_dim(&self) -> usize {
        self.n
    }
    fn scratch_len(&self) -> usize {
        0
    }
    fn inner_gradient_into(
        &self,
        at: Place<'_, T>,
        grad: &mut [T],
        _: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, draw } = at;
        let mut rng = draw.stream();
        if self.unequal {
            rng = random::stream(x[0].to_bits_u64(), y[0].to_bits_u64(), 0, Purpose::NOISE);
        }
        for ((g, &x), &y) in grad.iter_mut().zip(x).zip(y) {
            let noise = self.noise * random::normal::<f64>(&mut rng);
            *g = T::from_f64(self.a) * y - T::from_f64(self.b) * x + T::from_f64(noise);
        }
        Ok(())
    }
    fn outer_value(&self, at: Place<'_, T>, _: &mut [T]) -> Result<T, Error> {
        let Place { x, y, .. } = at;
        let direct = vector::sum(x) * T::from_f64(self.c);
        Ok(direct + vector::norm2_squared(y) / T::from_f64(2.0))
    }
    fn outer_gradients_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let Place { x, y, draw } = at;
        grad_x.fill(T::from_f64(self.c));
        grad_y.copy_from_slice(y);
        self.outer_value(Place::new(x, y, draw), scratch)
    }
}

fn gd(steps: u64, step_size: f64) -> descent::Config {
    descent::Config {
        steps,
        method: Method::gd(step_size),
    }
}

/// The hypergradient of one round and the outer value.
fn estimate<T: Real>(config: &Config, problem: &impl Problem<T>, x: &[T], y0: &[T]) -> (Vec<T>, T) {
    try_estimate(config, problem, x, y0).unwrap()
}

fn try_estimate<T: Real>(
    config: &Config,
    problem: &impl Problem<T>,
    x: &[T],
    y0: &[T],
) -> Result<(Vec<T>, T), Error> {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    let mut start = y0.to_vec();
    let mut state = State::from_storage(&mut start[..]);
    let len = es_jacobian::scratch_len(config, p, d, problem.scratch_len());
    let (mut scratch, mut h) = (vec![T::NAN; len], vec![T::NAN; p]);
    let value = es_jacobian::step(config, &mut state, problem, x, &mut h, &mut scratch)?;
    Ok((h, value))
}

/// Ridge data: n rows in d columns.
fn rows(n: usize, d: usize, phase: u64) -> (Vec<f64>, Vec<f64>) {
    (painted(n * d, phase), painted(n, phase + 100))
}

fn with_ridge<R>(work: impl FnOnce(&ridge::Problem<'_, f64>, &[f64]) -> R) -> R {
    let ((a, b), (c, e)) = (rows(30, 12, 1), rows(25, 12, 2));
    let train = ridge::Data::new(MatrixRef::new(&a, 30, 12).unwrap(), &b).unwrap();
    let validation = ridge::Data::new(MatrixRef::new(&c, 25, 12).unwrap(), &e).unwrap();
    let problem = ridge::Problem::new(train, validation).unwrap();
    work(&problem, &painted(12, 3))
}

fn with_representation<R>(
    work: impl FnOnce(&hyper_representation::Problem<'_, f64>, &[f64]) -> R,
) -> R {
    let ((a, b), (c, e)) = (rows(30, 5, 1), rows(25, 5, 2));
    let inner = ridge::Data::new(MatrixRef::new(&a, 30, 5).unwrap(), &b).unwrap();
    let outer = ridge::Data::new(MatrixRef::new(&c, 25, 5).unwrap(), &e).unwrap();
    let problem = hyper_representation::Problem::new(inner, outer, 7, 0.1).unwrap();
    work(&problem, &painted(35, 3))
}

fn itd_gradient(
    problem: &impl SecondOrder<f64>,
    inner: &descent::Config,
    x: &[f64],
    y0: &[f64],
) -> Vec<f64> {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    let len = itd::scratch_len(inner.steps, p, d, problem.scratch_len()).unwrap();
    let (mut y, mut h, mut scratch) = (y0.to_vec(), vec![0.0; p], vec![f64::NAN; len]);
    let round = Round { seed: 0, number: 0 };
    itd::hypergradient(
        inner,
        round,
        problem,
        Variables { x, y: &mut y },
        &mut h,
        &mut scratch,
    )
    .unwrap();
    h
}

fn aid_gradient(
    problem: &impl SecondOrder<f64>,
    config: &aid::Config,
    x: &[f64],
    y0: &[f64],
) -> Vec<f64> {
    let (p, d) = (problem.outer_dim(), problem.inner_dim());
    let len = aid::scratch_len(config, p, d, problem.scratch_len());
    let (mut y, mut h, mut scratch) = (y0.to_vec(), vec![0.0; p], vec![f64::NAN; len]);
    let round = Round { seed: 0, number: 0 };
    aid::hypergradient(
        config,
        round,
        problem,
        Variables { x, y: &mut y },
        &mut h,
        &mut scratch,
    )
    .unwrap();
    h
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    vector::squared_distance(a, b).unwrap().sqrt() / vector::norm2(b)
}
