//! Hyper-representation by a network: one task or many, all rows or minibatches.

use super::*;
use thalweg::bilevel::hyper_representation::network::{Problem as Network, Task};
use thalweg::model::{Batch, Labels, Loss, Objective, mlp};

pub(super) const MODEL: mlp::Model<'static, f64> = mlp::Model {
    activation: mlp::Activation::Sigmoid,
    l2: 0.3,
    ..mlp::Model::new(&[4, 5, 3, 2])
};
/// Parameters of the hidden layers and of a head.
const P: usize = 5 * 5 + 3 * 6;
const D: usize = 2 * 4;

/// Three tasks of different sizes.
pub(super) fn with_tasks<R>(work: impl FnOnce(&[Task<'_, f64>; 3]) -> R) -> R {
    let (x, y): (Vec<f64>, Vec<u32>) = (painted(30 * 4, 21), (0..30).map(|i| i % 2).collect());
    let rows = |start: usize, len| {
        let all = Batch::classes(&x, 4, &y).unwrap();
        all.range(start, len).unwrap()
    };
    work(
        &[(0, 7, 5), (10, 6, 6), (20, 4, 6)].map(|(start, support, query)| Task {
            support: rows(start, support),
            query: rows(start + 4, query),
        }),
    )
}

fn scratch(problem: &impl Problem<f64>) -> Vec<f64> {
    vec![f64::NAN; problem.scratch_len()]
}

const DRAW: Draw = Round { seed: 3, number: 1 }.inner(2);

#[test]
fn outer_gradients_are_slopes_of_the_outer_value() {
    with_tasks(|tasks| {
        for minibatch in [None, Some(2)] {
            let problem = Network::new(MODEL, tasks, minibatch).unwrap();
            assert_eq!((problem.outer_dim(), problem.inner_dim()), (P, 3 * D));
            let (mut x, mut y) = (painted::<f64>(P, 22), painted::<f64>(3 * D, 23));
            let (mut gx, mut gy) = (vec![f64::NAN; P], vec![f64::NAN; 3 * D]);
            let mut scratch = scratch(&problem);
            let value = problem
                .outer_gradients_into(Place::new(&x, &y, &DRAW), &mut gx, &mut gy, &mut scratch)
                .unwrap();
            let mut at = |x: &[f64], y: &[f64]| {
                problem
                    .outer_value(Place::new(x, y, &DRAW), &mut scratch)
                    .unwrap()
            };
            assert_eq!(value, at(&x, &y));
            for j in 0..P {
                let middle = x[j];
                let [low, high] = [-1e-5, 1e-5].map(|e| {
                    x[j] = middle + e;
                    at(&x, &y)
                });
                x[j] = middle;
                assert!(((high - low) / 2e-5 - gx[j]).abs() < 1e-8, "x {j}");
            }
            for j in 0..3 * D {
                let middle = y[j];
                let [low, high] = [-1e-5, 1e-5].map(|e| {
                    y[j] = middle + e;
                    at(&x, &y)
                });
                y[j] = middle;
                assert!(((high - low) / 2e-5 - gy[j]).abs() < 1e-8, "y {j}");
            }
            assert!(vector::norm_inf(&gx) > 1e-3 && vector::norm_inf(&gy) > 1e-3);
        }
    });
}

/// The inner gradient through the whole network: the part of its gradient that belongs to the head, and the penalty.
fn head_gradient(x: &[f64], y: &[f64], rows: &Batch<'_, f64>) -> Vec<f64> {
    let whole = mlp::Model { l2: 0.0, ..MODEL };
    let params = [x, y].concat();
    let mut grad = vec![0.0; params.len()];
    let mut scratch = vec![0.0; whole.scratch_len(rows.len())];
    whole
        .gradient_into(&params, rows, &mut grad, &mut scratch)
        .unwrap();
    let mut head = grad[P..].to_vec();
    vector::axpy(MODEL.l2, y, &mut head).unwrap();
    head
}

#[test]
fn inner_gradients_are_those_of_the_whole_network_for_its_head() {
    with_tasks(|tasks| {
        let (x, y) = (painted::<f64>(P, 22), painted::<f64>(3 * D, 23));
        let problem = Network::new(MODEL, tasks, None).unwrap();
        let (mut scratch, mut grad) = (scratch(&problem), vec![f64::NAN; 3 * D]);
        problem.prepare(&x, &mut scratch).unwrap();
        for _ in 0..2 {
            problem
                .inner_gradient_into(Place::new(&x, &y, &DRAW), &mut grad, &mut scratch)
                .unwrap();
            for (i, task) in tasks.iter().enumerate() {
                let part = i * D..(i + 1) * D;
                let expected = head_gradient(&x, &y[part.clone()], &task.support);
                assert!(distance(&grad[part], &expected) < 1e-14, "task {i}");
            }
        }
    });
}

#[test]
fn every_step_sees_one_run_of_rows_and_all_runs_are_seen() {
    with_tasks(|tasks| {
        let (x, y) = (painted::<f64>(P, 22), painted::<f64>(3 * D, 23));
        let problem = Network::new(MODEL, tasks, Some(2)).unwrap();
        let (mut scratch, mut grad) = (scratch(&problem), vec![f64::NAN; 3 * D]);
        let mut seen = [[0; 3]; 3];
        for t in 0..40 {
            let draw = Round { seed: 3, number: 1 }.inner(t);
            problem
                .inner_gradient_into(Place::new(&x, &y, &draw), &mut grad, &mut scratch)
                .unwrap();
            for (i, task) in tasks.iter().enumerate() {
                let part = i * D..(i + 1) * D;
                // 7, 6 and 4 rows have 3, 3 and 2 whole runs of 2.
                let runs = task.support.len() / 2;
                let hits: Vec<usize> = (0..runs)
                    .filter(|run| {
                        let rows = task.support.range(2 * run, 2).unwrap();
                        let expected = head_gradient(&x, &y[part.clone()], &rows);
                        distance(&grad[part.clone()], &expected) < 1e-13
                    })
                    .collect();
                assert_eq!(hits.len(), 1, "step {t}, task {i}");
                seen[i][hits[0]] += 1;
            }
        }
        assert!(seen[0].iter().chain(&seen[1]).all(|&n| n > 3), "{seen:?}");
        assert!(seen[2][0] > 3 && seen[2][1] > 3, "{seen:?}");
    });
}

#[test]
fn basis_directions_give_the_slope_of_the_whole_program() {
    with_tasks(|tasks| {
        for minibatch in [None, Some(2)] {
            let problem = Network::new(MODEL, tasks, minibatch).unwrap();
            let (mut x, y0) = (painted::<f64>(P, 22), painted::<f64>(3 * D, 23));
            let config = Config {
                radius: 1e-4,
                direction: Direction::Basis,
                difference: Difference::Central,
                ..Config::new(gd(6, 0.4))
            };
            let direct = Config {
                directions: 0,
                ..config
            };
            let h = estimate(&config, &problem, &x, &y0).0;
            let slopes: Vec<f64> = (0..P)
                .map(|j| {
                    let middle = x[j];
                    let [low, high] = [-1e-4, 1e-4].map(|e| {
                        x[j] = middle + e;
                        estimate(&direct, &problem, &x, &y0).1
                    });
                    x[j] = middle;
                    (high - low) / 2e-4
                })
                .collect();
            assert!(distance(&h, &slopes) < 1e-6);
            // And the direct gradient alone is another.
            let alone = estimate(&direct, &problem, &x, &y0).0;
            assert!(distance(&alone, &slopes) > 1e-3);
        }
    });
}

#[test]
fn tasks_do_not_see_each_other() {
    with_tasks(|tasks| {
        let (x, y0) = (painted::<f64>(P, 22), painted::<f64>(3 * D, 23));
        let config = Config {
            directions: 0,
            start: Start::Warm,
            ..Config::new(gd(6, 0.4))
        };
        let run = |tasks: &[Task<'_, f64>], y0: &[f64]| {
            let problem = Network::new(MODEL, tasks, None).unwrap();
            let mut start = y0.to_vec();
            let mut state = State::from_storage(&mut start[..]);
            let len = es_jacobian::scratch_len(&config, P, y0.len(), problem.scratch_len());
            let (mut scratch, mut h) = (vec![f64::NAN; len], vec![0.0; P]);
            let value = es_jacobian::step(&config, &mut state, &problem, &x, &mut h, &mut scratch);
            (value.unwrap(), h, state.y0().to_vec())
        };
        let (value, h, ends) = run(tasks, &y0);
        let (mut sum, mut mean) = (0.0, vec![0.0; P]);
        for (i, task) in tasks.iter().enumerate() {
            let part = i * D..(i + 1) * D;
            let (value, h, end) = run(&[*task], &y0[part.clone()]);
            assert_eq!(end, ends[part]);
            sum += value;
            vector::axpy(1.0 / 3.0, &h, &mut mean).unwrap();
        }
        assert!((sum / 3.0 - value).abs() < 1e-14);
        assert!(distance(&h, &mean) < 1e-13);
    });
}

#[test]
fn shared_minibatches_keep_the_response_bounded_and_others_do_not() {
    // As the table of the specification: with equal batches |delta| does not depend on mu, with others it grows as 1 / mu.
    with_tasks(|tasks| {
        let problem = Network::new(MODEL, tasks, Some(2)).unwrap();
        let (x, u) = (painted::<f64>(P, 22), painted::<f64>(P, 24));
        let adam = descent::Config {
            steps: 8,
            method: Method::Adam(adam::Config {
                learning_rate: 0.05,
                ..Default::default()
            }),
        };
        for inner in [gd(8, 0.4), adam] {
            let len = descent::scratch_len(&inner, 3 * D) + problem.scratch_len();
            let end = |mu: f64, number| {
                let (mut z, mut y) = (x.clone(), vec![0.0; 3 * D]);
                vector::axpy(mu, &u, &mut z).unwrap();
                let round = Round { seed: 5, number };
                let mut scratch = vec![f64::NAN; len];
                descent::run(&inner, round, &problem, &z, &mut y, &mut scratch).unwrap();
                y
            };
            let size = |mu: f64, number| {
                let gap = vector::squared_distance(&end(mu, number), &end(0.0, 0)).unwrap();
                gap.sqrt() / mu
            };
            let shared = [1e-1, 1e-2, 1e-3].map(|mu| size(mu, 0));
            assert!(shared[2] > 1e-4, "{shared:?}");
            assert!(shared[0] < 5.0 * shared[2], "{shared:?}");
            assert!((shared[1] / shared[2] - 1.0).abs() < 0.1, "{shared:?}");
            let other = [1e-1, 1e-2, 1e-3].map(|mu| size(mu, 1));
            assert!(
                other[2] > 50.0 * other[0] && other[2] > 30.0 * shared[2],
                "{other:?}"
            );
        }
    });
}

#[test]
fn targets_may_be_numbers() {
    let (x, y) = (painted::<f64>(6 * 4, 1), painted::<f64>(6 * 2, 2));
    let rows = Batch::targets(&x, 4, &y, 2).unwrap();
    let tasks = [Task {
        support: rows,
        query: rows,
    }];
    let model = mlp::Model {
        loss: Loss::Squared,
        l2: 0.0,
        ..MODEL
    };
    let problem = Network::new(model, &tasks, None).unwrap();
    let direct = Config {
        directions: 0,
        ..Config::new(gd(400, 0.5))
    };
    let (x, y0) = (painted(P, 22), [0.0; D]);
    let trained = estimate(&direct, &problem, &x, &y0).1;
    let start = problem.outer_value(Place::new(&x, &y0, &DRAW), &mut scratch(&problem));
    assert!(trained < 0.9 * start.unwrap());
}

#[test]
fn shapes_that_do_not_fit_are_named() {
    with_tasks(|tasks| {
        let error = |model, tasks: &[Task<'_, f64>], minibatch| {
            format!("{}", Network::new(model, tasks, minibatch).unwrap_err())
        };
        let shallow = mlp::Model::new(&[4, 2]);
        assert!(error(shallow, tasks, None).contains("`sizes` must have a hidden layer"));
        assert!(error(MODEL, &[], None).contains("`tasks` must hold"));
        assert!(error(MODEL, tasks, Some(0)).contains("`minibatch` must be positive"));
        assert!(error(MODEL, tasks, Some(5)).contains("must hold a minibatch of rows"));
        let narrow = mlp::Model::new(&[3, 5, 2]);
        assert!(error(narrow, tasks, None).contains("`support` has length 4, expected 3"));
        let x = [0.0; 8];
        let rows = Batch::new(&x, 4, Labels::None).unwrap();
        let list = [1, 0];
        let chosen = Task {
            support: rows,
            query: rows.select(&list).unwrap(),
        };
        assert!(error(MODEL, &[chosen], None).contains("`query` must not be a selection"));
    });
}

#[test]
fn the_scratch_is_that_of_the_longest_batch() {
    // Features of 7, 6 and 4 support rows, or of a minibatch for each task in turn; at least the network and its gradient.
    with_tasks(|tasks| {
        let own = |rows| MODEL.scratch_len(rows);
        assert!(own(7) > own(2) && own(2) > own(1));
        for (minibatch, rows, features) in [(None, 7, 17 * 3), (Some(2), 2, 2 * 3)] {
            let problem = Network::new(MODEL, tasks, minibatch).unwrap();
            let expected = (2 * (P + D)).max(features) + own(rows);
            assert_eq!(problem.scratch_len(), expected);
        }
    });
}
