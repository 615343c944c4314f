//! Hypergradients of every kind on a small hyper-representation and a small ridge.

use thalweg::Real;
use thalweg::bilevel::descent::Method;
use thalweg::bilevel::differences::{Differences, InnerSlope};
use thalweg::bilevel::es_jacobian::{self, Config, Difference, Direction, Estimate, Start, State};
use thalweg::bilevel::hyper_representation::network::{self, Task};
use thalweg::bilevel::{Draw, Place, Problem, Round, SecondOrder, Variables};
use thalweg::bilevel::{aid, descent, hyper_cleaning, hyper_representation, itd, ridge, stoc_bio};
use thalweg::matrix::MatrixRef;
use thalweg::model::{Batch, mlp};
use thalweg::optim::{adam, sgd};
use thalweg::random;
use thalweg::snapshot::Snapshot;

use crate::{Hash, MISSING, Outcome, paint};

const ROWS: usize = 7;
const COLUMNS: usize = 5;
const FEATURES: usize = 4;

pub(super) fn all<T: Real>(hash: &mut Hash) -> Outcome {
    let (mut a, mut b) = ([T::ZERO; ROWS * COLUMNS], [T::ZERO; ROWS]);
    let (mut c, mut e) = ([T::ZERO; ROWS * COLUMNS], [T::ZERO; ROWS]);
    paint(&mut a, 40);
    paint(&mut b, 41);
    paint(&mut c, 42);
    paint(&mut e, 43);
    let inner = ridge::Data::new(MatrixRef::new(&a, ROWS, COLUMNS)?, &b)?;
    let outer = ridge::Data::new(MatrixRef::new(&c, ROWS, COLUMNS)?, &e)?;
    hash.size(inner.columns());
    one::<T, COLUMNS, COLUMNS>(hash, &ridge::Problem::new(inner, outer)?)?;
    let ridge = T::from_f64(0.1);
    let problem = hyper_representation::Problem::new(inner, outer, FEATURES, ridge)?;
    one::<T, { COLUMNS * FEATURES }, FEATURES>(hash, &problem)
}

fn one<T: Real, const P: usize, const D: usize>(
    hash: &mut Hash,
    problem: &dyn SecondOrder<T>,
) -> Outcome {
    let (mut x, mut h, mut scratch) = ([T::ZERO; P], [T::ZERO; P], [T::ZERO; 160]);
    paint(&mut x, 44);
    let heavy = sgd::Config {
        momentum: 0.5,
        ..sgd::Config::new(0.05)
    };
    let adam = adam::Config {
        learning_rate: 0.05,
        ..adam::Config::adam()
    };
    let gd = Method::gd(0.05);
    let directions = [
        Direction::Gaussian,
        Direction::Rademacher,
        Direction::UnitSphere,
        Direction::UnitSphereTimesP,
        Direction::Basis,
    ];
    for (direction, method) in
        directions
            .into_iter()
            .zip([gd, gd, Method::Sgd(heavy), Method::Adam(adam), gd])
    {
        for estimate in [Estimate::Response, Estimate::OuterValue] {
            for difference in [Difference::Forward, Difference::Central] {
                let inner = descent::Config { steps: 3, method };
                let config = Config {
                    directions: 2,
                    direction,
                    estimate,
                    difference,
                    start: Start::Warm,
                    ..Config::new(inner)
                };
                config.validate::<T>()?;
                hash.size(config.count(P));
                let mut state = State::<[T; D]>::new();
                for _ in 0..2 {
                    let value =
                        es_jacobian::step(&config, &mut state, problem, &x, &mut h, &mut scratch)?;
                    hash.reals(&h);
                    hash.reals(&[value]);
                    saved(hash, &mut state)?;
                }
                hash.size(es_jacobian::scratch_len(
                    &config,
                    P,
                    D,
                    problem.scratch_len(),
                ));
                hash.size(method.state_len(D));
            }
        }
    }
    problem.prepare(&x, &mut scratch)?;
    pieces::<T, P, D>(hash, problem, &x, &mut scratch)?;
    implicit::<T, P, D>(hash, problem, &x, &mut scratch)
}

fn saved<T: Real, const D: usize>(hash: &mut Hash, state: &mut State<[T; D]>) -> Outcome {
    let mut bytes = [0; 128];
    let len = state.save(&mut bytes)?;
    let bytes = bytes.get(..len).ok_or(MISSING)?;
    hash.bytes(bytes);
    state.restore(bytes)?;
    hash.reals(state.y0());
    hash.size(state.rounds() as usize);
    Ok(())
}

/// The steps of an executor that computes the coefficients itself.
fn pieces<T: Real, const P: usize, const D: usize>(
    hash: &mut Hash,
    problem: &dyn SecondOrder<T>,
    x: &[T],
    scratch: &mut [T],
) -> Outcome {
    let config = Config::new(descent::Config {
        steps: 3,
        method: Method::gd(0.05),
    });
    let mut state = State::from_storage([T::ONE; D]);
    let (mut y_n, mut grad_y, mut h, mut u) =
        ([T::ZERO; D], [T::ZERO; D], [T::ZERO; P], [T::ZERO; P]);
    hash.size(es_jacobian::path_len(&config, P, D, problem.scratch_len()));
    let before = state;
    let point = es_jacobian::solve(
        &config,
        &before,
        problem,
        x,
        es_jacobian::Solution {
            y_n: &mut y_n,
            grad_y: &mut grad_y,
            h: &mut h,
        },
        scratch,
    )?;
    es_jacobian::direction_into(config.direction, point.round, 0, &mut u);
    let c = es_jacobian::coefficient(&config, problem, &point, 0, &u, scratch)?;
    es_jacobian::add_direction(&config, c, &u, &mut h)?;
    es_jacobian::finish_into(&h, &mut u)?;
    hash.reals(&u);
    state.advance(Start::Warm, &y_n)?;
    hash.reals(state.y0());
    let round = Round { seed: 1, number: 2 };
    let [inner, outer]: [Draw; 2] = [round.inner(3), round.outer()];
    let word = random::below_u64(&mut inner.stream(), u64::MAX)
        ^ random::below_u64(&mut outer.stream(), u64::MAX);
    hash.word(word ^ random::below_u64(&mut round.direction(4), u64::MAX));
    Ok(())
}

fn implicit<T: Real, const P: usize, const D: usize>(
    hash: &mut Hash,
    problem: &dyn SecondOrder<T>,
    x: &[T],
    scratch: &mut [T],
) -> Outcome {
    let round = Round { seed: 1, number: 0 };
    let inner = descent::Config {
        steps: 3,
        method: Method::gd(0.05),
    };
    let mut h = [T::ZERO; P];
    for solver in [
        aid::Solver::ConjugateGradients,
        aid::Solver::FixedPoint { step_size: 0.05 },
    ] {
        let config = aid::Config {
            inner,
            products: 3,
            solver,
        };
        config.validate()?;
        let mut y = [T::ZERO; D];
        let value = aid::hypergradient(
            &config,
            round,
            problem,
            Variables { x, y: &mut y },
            &mut h,
            scratch,
        )?;
        hash.reals(&h);
        hash.reals(&y);
        hash.reals(&[value]);
        hash.size(aid::scratch_len(&config, P, D, problem.scratch_len()));
    }
    let config = stoc_bio::Config {
        inner,
        products: 3,
        eta: 0.05,
    };
    config.validate()?;
    let mut y = [T::ZERO; D];
    let value = stoc_bio::hypergradient(
        &config,
        round,
        problem,
        Variables { x, y: &mut y },
        &mut h,
        scratch,
    )?;
    hash.reals(&h);
    hash.reals(&[value]);
    let own = problem.scratch_len();
    hash.size(stoc_bio::scratch_len(&config, P, D, own));
    let mut y = [T::ZERO; D];
    let value = itd::hypergradient(
        &inner,
        round,
        problem,
        Variables { x, y: &mut y },
        &mut h,
        scratch,
    )?;
    hash.reals(&h);
    hash.reals(&[value]);
    hash.size(itd::scratch_len(3, P, D, problem.scratch_len()).unwrap_or(0));
    descent::run(&inner, round, problem, x, &mut y, scratch)?;
    hash.reals(&y);
    hash.size(descent::scratch_len(&inner, D));
    products::<T, P, D>(hash, problem, x, &y, scratch)
}

fn products<T: Real, const P: usize, const D: usize>(
    hash: &mut Hash,
    problem: &dyn SecondOrder<T>,
    x: &[T],
    y: &[T],
    scratch: &mut [T],
) -> Outcome {
    let draw = Round { seed: 1, number: 0 }.outer();
    let (mut p, mut d) = ([T::ZERO; P], [T::ZERO; D]);
    hash.size(problem.outer_dim() + problem.inner_dim());
    problem.inner_gradient_into(Place::new(x, y, &draw), &mut d, scratch)?;
    hash.reals(&d);
    hash.reals(&[problem.outer_value(Place::new(x, y, &draw), scratch)?]);
    problem.outer_gradients_into(Place::new(x, y, &draw), &mut p, &mut d, scratch)?;
    hash.reals(&p);
    problem.hessian_product_into(Place::new(x, y, &draw), y, &mut d, scratch)?;
    hash.reals(&d);
    problem.mixed_product_into(Place::new(x, y, &draw), y, &mut p, scratch)?;
    hash.reals(&p);
    Ok(())
}

const SIZES: [usize; 3] = [2, 3, 2];
const NETWORK: mlp::Model<'static, f32> = mlp::Model::new(&SIZES);
const HIDDEN: usize = NETWORK.trunk().dim();
const HEAD: usize = NETWORK.head().dim();
const LABELS: [u32; 4] = [0, 1, 1, 0];
/// Scratch of the networks.
const SCRATCH: usize = 330;

const fn network<T: Real>(l2: T) -> mlp::Model<'static, T> {
    mlp::Model {
        activation: mlp::Activation::Sigmoid,
        l2,
        ..mlp::Model::new(&SIZES)
    }
}

/// Problems of networks: rows with wrong labels; heads of two tasks, with minibatches and without.
pub(super) fn networks<T: Real>(hash: &mut Hash) -> Outcome {
    let mut x = [T::ZERO; 4 * 2];
    paint(&mut x, 45);
    let network = network(T::from_f64(0.1));
    let rows = Batch::classes(&x, 2, &LABELS)?;
    let (support, query) = (rows.range(0, 3)?, rows.range(1, 3)?);
    let flat = mlp::Model {
        sizes: &[2, 2],
        ..network
    };
    gradients::<T, 4, 6>(hash, &hyper_cleaning::Problem::new(flat, rows, query)?)?;
    let tasks = [
        Task { support, query },
        Task {
            support: query,
            query: support,
        },
    ];
    for minibatch in [None, Some(1)] {
        let problem = network::Problem::new(network, &tasks, minibatch)?;
        gradients::<T, HIDDEN, { 2 * HEAD }>(hash, &problem)?;
    }
    parts(hash, &rows)
}

/// Hypergradients from gradients alone.
fn gradients<T: Real, const P: usize, const D: usize>(
    hash: &mut Hash,
    problem: &dyn Problem<T>,
) -> Outcome {
    let (mut x, mut h, mut scratch) = ([T::ZERO; P], [T::ZERO; P], [T::ZERO; SCRATCH]);
    paint(&mut x, 46);
    let config = Config::new(descent::Config {
        steps: 3,
        method: Method::gd(0.3),
    });
    let own = problem.scratch_len();
    hash.size(es_jacobian::scratch_len(&config, P, D, own));
    for estimate in [Estimate::Response, Estimate::OuterValue] {
        let config = Config {
            estimate,
            start: Start::Warm,
            ..config
        };
        let mut state = State::<[T; D]>::new();
        for _ in 0..2 {
            let value = es_jacobian::step(&config, &mut state, problem, &x, &mut h, &mut scratch)?;
            hash.reals(&[value]);
            hash.reals(&h);
        }
        hash.reals(state.y0());
    }
    Ok(())
}

/// Features, and a head on them whose rows are weighted.
fn parts<T: Real>(hash: &mut Hash, rows: &Batch<'_, T>) -> Outcome {
    let network = network(T::ZERO);
    let (mut scratch, mut out) = ([T::ZERO; SCRATCH], [T::ZERO; 4 * 3]);
    let mut params = [T::ZERO; HIDDEN];
    paint(&mut params, 47);
    network.features_into(&params, rows, &mut out, &mut scratch)?;
    hash.reals(&out);
    let (mut params, mut grad) = ([T::ZERO; HEAD], [T::ZERO; HEAD]);
    paint(&mut params, 48);
    let features = Batch::classes(&out, 3, &LABELS)?;
    let weights = [0.0, 0.5, 2.0, 1.0].map(T::from_f64);
    let head = network.head();
    head.weighted_gradient_into(&params, &features, &weights, &mut grad, &mut scratch)?;
    hash.reals(&grad);
    Ok(())
}

/// Slopes of the inner loss, and the products that gradients give.
pub(super) fn differences<T: Real>(hash: &mut Hash) -> Outcome {
    let mut x = [T::ZERO; 4 * 2];
    paint(&mut x, 49);
    let network = network(T::from_f64(0.1));
    let rows = Batch::classes(&x, 2, &LABELS)?;
    let (support, query) = (rows.range(0, 3)?, rows.range(1, 3)?);
    let flat = mlp::Model {
        sizes: &[2, 2],
        ..network
    };
    slopes::<T, _, 4, 6>(hash, &hyper_cleaning::Problem::new(flat, rows, query)?)?;
    let tasks = [Task { support, query }];
    let problem = network::Problem::new(network, &tasks, None)?;
    slopes::<T, _, HIDDEN, HEAD>(hash, &problem)?;
    let data = ridge::Data::new(MatrixRef::new(&x, 4, 2)?, &x[..4])?;
    slopes::<T, _, 2, 2>(hash, &ridge::Problem::new(data, data)?)?;
    let problem = hyper_representation::Problem::new(data, data, 3, T::ONE)?;
    slopes::<T, _, 6, 3>(hash, &problem)
}

fn slopes<T: Real, P: InnerSlope<T>, const X: usize, const Y: usize>(
    hash: &mut Hash,
    problem: &P,
) -> Outcome {
    let (mut x, mut y, mut v) = ([T::ZERO; X], [T::ZERO; Y], [T::ZERO; Y]);
    paint(&mut x, 52);
    paint(&mut y, 53);
    paint(&mut v, 54);
    let draw = Round { seed: 1, number: 2 }.inner(3);
    let (mut of_x, mut of_y, mut scratch) = ([T::ZERO; X], [T::ZERO; Y], [T::ZERO; SCRATCH]);
    problem.inner_slope_into(Place::new(&x, &y, &draw), &mut of_x, &mut scratch)?;
    hash.reals(&of_x);
    let products = Differences::new(problem);
    hash.size(products.scratch_len() + products.outer_dim() + products.inner_dim());
    products.prepare(&x, &mut scratch)?;
    products.mixed_product_into(Place::new(&x, &y, &draw), &v, &mut of_x, &mut scratch)?;
    products.hessian_product_into(Place::new(&x, &y, &draw), &v, &mut of_y, &mut scratch)?;
    hash.reals(&of_x);
    hash.reals(&of_y);
    products.inner_gradient_into(Place::new(&x, &y, &draw), &mut of_y, &mut scratch)?;
    hash.reals(&of_y);
    hash.reals(&[products.outer_value(Place::new(&x, &y, &draw), &mut scratch)?]);
    products.outer_gradients_into(
        Place::new(&x, &y, &draw),
        &mut of_x,
        &mut of_y,
        &mut scratch,
    )?;
    hash.reals(&of_x);
    Ok(())
}
