//! Data hyper-cleaning.

use super::*;
use thalweg::bilevel::hyper_cleaning;
use thalweg::model::{Batch, Objective, mlp};

const NETWORK: mlp::Model<'static, f64> = mlp::Model {
    l2: 0.05,
    ..mlp::Model::new(&[4, 3])
};

fn classes(n: usize) -> Vec<u32> {
    (0..n as u32).map(|i| i * 7 % 3).collect()
}

pub(super) fn with_cleaning<R>(
    work: impl FnOnce(&hyper_cleaning::Problem<'_, f64>, [Batch<'_, f64>; 2]) -> R,
) -> R {
    let (a, b) = (painted(9 * 4, 11), painted(6 * 4, 12));
    let (train, validation) = (classes(9), classes(6));
    let train = Batch::classes(&a, 4, &train).unwrap();
    let validation = Batch::classes(&b, 4, &validation).unwrap();
    let problem = hyper_cleaning::Problem::new(NETWORK, train, validation).unwrap();
    work(&problem, [train, validation])
}

fn sigmoid(l: f64) -> f64 {
    1.0 / (1.0 + (-l).exp())
}

#[test]
fn one_step_has_its_closed_form() {
    // w^1 = w^0 - a (sum_i sigmoid(l_i) g_i / n + b w^0);  h_i = -a sigmoid'(l_i) <g_i, f_w(w^1)> / n.
    with_cleaning(|problem, [train, validation]| {
        let (l, w0, alpha) = (painted::<f64>(9, 13), painted::<f64>(15, 14), 0.5);
        let plain = mlp::Model { l2: 0.0, ..NETWORK };
        let mut scratch = vec![0.0; plain.scratch_len(9)];
        let mut each = vec![0.0; 9 * 15];
        plain
            .sample_gradients_into(&w0, &train, &mut each, &mut scratch)
            .unwrap();
        let mut w = w0.clone();
        vector::axpy(-alpha * 0.05, &w0, &mut w).unwrap();
        for (&l, g) in l.iter().zip(each.chunks_exact(15)) {
            vector::axpy(-alpha * sigmoid(l) / 9.0, g, &mut w).unwrap();
        }
        let mut slope = vec![0.0; 15];
        let value = plain
            .value_and_gradient_into(&w, &validation, &mut slope, &mut scratch)
            .unwrap();
        let expected: Vec<f64> = l
            .iter()
            .zip(each.chunks_exact(15))
            .map(|(&l, g)| {
                let steepness = sigmoid(l) * (1.0 - sigmoid(l));
                -alpha * steepness * vector::dot(g, &slope).unwrap() / 9.0
            })
            .collect();
        let config = Config {
            radius: 1e-4,
            direction: Direction::Basis,
            difference: Difference::Central,
            ..Config::new(gd(1, alpha))
        };
        let (h, found) = estimate(&config, problem, &l, &w0);
        assert!((found - value).abs() < 1e-14);
        let draw = Round { seed: 0, number: 0 }.outer();
        let mut own = vec![f64::NAN; problem.scratch_len()];
        let found = problem
            .outer_value(Place::new(&l, &w, &draw), &mut own)
            .unwrap();
        assert!(found > 0.1 && (found - value).abs() < 1e-14);
        assert!(distance(&h, &expected) < 1e-8, "{h:?} {expected:?}");
        assert!(h.iter().any(|h| *h > 1e-4) && h.iter().any(|h| *h < -1e-4));
    });
}

#[test]
fn a_wrong_label_loses_its_weight() {
    // Points on a line with the class of their sign, one of which carries the other class.
    let a: Vec<f64> = (0..10).map(|i| f64::from(i) - 4.5).collect();
    let right: Vec<u32> = a.iter().map(|a| u32::from(*a > 0.0)).collect();
    let mut wrong = right.clone();
    wrong[8] = 0;
    let train = Batch::classes(&a, 1, &wrong).unwrap();
    let validation = Batch::classes(&a, 1, &right).unwrap();
    let network = mlp::Model::new(&[1, 2]);
    let problem = hyper_cleaning::Problem::new(network, train, validation).unwrap();
    let config = Config {
        direction: Direction::Rademacher,
        directions: 20,
        ..Config::new(gd(20, 0.3))
    };
    let mut state = State::<[f64; 4]>::new();
    let mut scratch = vec![0.0; es_jacobian::scratch_len(&config, 10, 4, problem.scratch_len())];
    let (mut l, mut h) = ([0.0; 10], [0.0; 10]);
    for _ in 0..50 {
        es_jacobian::step(&config, &mut state, &problem, &l, &mut h, &mut scratch).unwrap();
        vector::axpy(-20.0, &h, &mut l).unwrap();
    }
    let negative: Vec<usize> = (0..10).filter(|&i| l[i] < 0.0).collect();
    assert!(l.iter().all(|&other| other >= l[8]) && l[8] < -1.0, "{l:?}");
    assert!(negative.contains(&8) && negative.len() < 5, "{l:?}");
}

#[test]
fn sets_that_do_not_fit_are_named() {
    let x = [0.0; 8];
    let rows = |columns| Batch::classes(&x, columns, &[0, 1][..8 / columns]).unwrap();
    let name = |train, validation| {
        let error = hyper_cleaning::Problem::new(NETWORK, train, validation).unwrap_err();
        format!("{error}")
    };
    assert!(name(rows(8), rows(4)).contains("`train` has length 8, expected 4"));
    assert!(name(rows(4), rows(8)).contains("`validation`"));
    assert!(
        name(Batch::classes(&[], 1, &[]).unwrap(), rows(4))
            .contains("`train` must hold at least one row")
    );
}
