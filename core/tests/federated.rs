//! The protocols against closed forms; every message goes through the codec.
#![allow(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[path = "federated/simulation.rs"]
mod simulation;

use simulation::{Simulation, family, run_of};
use thalweg::aggregate::Mean;
use thalweg::compress::{Ab, Buffers, Identity, PermK, RandK, TopK};
use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
use thalweg::federated::{Ledger, Protocol, decode, ef21, fed_avg, marina, step_size};
use thalweg::model::Gradient;
use thalweg::model::quadratic::Quadratic;
use thalweg::wire::{Dtype, Header, Kind};

/// Equal matrices, different linear terms: the Hessian variance is zero.
fn equal_hessians(d: usize, n: usize) -> (Vec<Quadratic<f64>>, Quadratic<f64>, Vec<f64>) {
    let (mut workers, mean, x0) = family(d, n, 0.0);
    let mut total = 0.0;
    for (i, worker) in workers.iter_mut().enumerate() {
        worker.linear = 0.3 * i as f64 - 1.0;
        total += worker.linear;
    }
    (
        workers,
        Quadratic {
            linear: total / n as f64,
            ..mean
        },
        x0,
    )
}

fn gradient_descent(f: &Quadratic<f64>, x0: &[f64], step: f64, steps: usize) -> Vec<f64> {
    let (mut x, mut g) = (x0.to_vec(), vec![0.0; x0.len()]);
    for _ in 0..steps {
        f.gradient_into(&x, &mut g, &mut []).unwrap();
        x.iter_mut().zip(&g).for_each(|(x, g)| *x -= step * g);
    }
    x
}

fn assert_close(found: &[f64], expected: &[f64], tolerance: f64) {
    let moved = expected.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    assert!(moved > 1e-3, "the reference is all but zero");
    for (j, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= tolerance,
            "coordinate {j}: {a} against {b}"
        );
    }
}

fn run<P: Protocol<f64>>(
    config: P,
    workers: Vec<Quadratic<f64>>,
    x0: &[f64],
    rounds: usize,
) -> Vec<f64> {
    let mut simulation = Simulation::new(config, workers, x0);
    (0..rounds).for_each(|_| simulation.round(|_, _, _| {}));
    simulation.server.params().to_vec()
}

#[test]
fn marina_with_perm_k_is_gradient_descent_when_hessians_agree() {
    // d >= n, n >= d with n a multiple of d, and n >= d with idle clients.
    for (d, n) in [(29, 6), (6, 18), (7, 24)] {
        let (workers, mean, x0) = equal_hessians(d, n);
        let config = marina::Config {
            run: run_of(n),
            step_size: 0.9,
            probability: 0.1,
            compressor: PermK::new(n),
        };
        let expected = gradient_descent(&mean, &x0, 0.9, 120);
        assert_close(&run(config, workers, &x0, 120), &expected, 1e-12);
    }
}

#[test]
fn marina_with_full_rounds_only_is_gradient_descent() {
    let (workers, mean, x0) = family(17, 5, 0.8);
    let config = marina::Config {
        run: run_of(5),
        step_size: 0.5,
        probability: 1.0,
        compressor: RandK::new(2),
    };
    assert_close(
        &run(config, workers, &x0, 60),
        &gradient_descent(&mean, &x0, 0.5, 60),
        1e-12,
    );
}

#[test]
fn marina_with_the_identity_is_gradient_descent() {
    let (workers, mean, x0) = family(17, 5, 0.8);
    let config = marina::Config {
        run: run_of(5),
        step_size: 0.5,
        probability: 0.2,
        compressor: Identity,
    };
    assert_close(
        &run(config, workers, &x0, 60),
        &gradient_descent(&mean, &x0, 0.5, 60),
        1e-11,
    );
}

#[test]
fn ef21_that_keeps_everything_is_gradient_descent() {
    let (workers, mean, x0) = family(17, 5, 0.8);
    let config = ef21::Config {
        run: run_of(5),
        step_size: 0.5,
        restart: 0.0,
        compressor: TopK { k: 17 },
    };
    assert_close(
        &run(config, workers, &x0, 60),
        &gradient_descent(&mean, &x0, 0.5, 60),
        1e-11,
    );
}

#[test]
fn ef21_that_restarts_in_every_round_is_gradient_descent() {
    let (workers, mean, x0) = family(17, 5, 0.8);
    let config = ef21::Config {
        run: run_of(5),
        step_size: 0.5,
        restart: 1.0 - 1e-12,
        compressor: TopK { k: 1 },
    };
    assert_close(
        &run(config, workers, &x0, 60),
        &gradient_descent(&mean, &x0, 0.5, 60),
        1e-11,
    );
}

#[test]
fn fed_avg_with_one_local_step_is_gradient_descent() {
    let (workers, mean, x0) = family(9, 4, 0.5);
    let config = fed_avg::Config {
        run: run_of(4),
        server_learning_rate: 1.0,
        compressor: Identity,
        aggregator: Mean,
    };
    let mut server = Server::new(&config, &x0, vec![0.0; 18]).unwrap();
    let (mut down, mut up, mut values) = ([0; 256], [0; 256], [0.0; 9]);
    for _ in 0..40 {
        let len = broadcast(&config, &mut server, &mut down).unwrap();
        for (i, f) in workers.iter().enumerate() {
            let mut client = Client::new(&config, i as u32, vec![0.0; 9]).unwrap();
            receive(
                &config,
                &mut client,
                &decode::<f64>(&down[..len], server.params().len()).unwrap(),
            )
            .unwrap();
            let mut g = [0.0; 9];
            f.gradient_into(client.params(), &mut g, &mut []).unwrap();
            let mut trained = client.params().to_vec();
            trained.iter_mut().zip(g).for_each(|(x, g)| *x -= 0.5 * g);
            let buffers = Buffers::default();
            let len = reply(&config, &mut client, &mut trained, buffers, &mut up).unwrap();
            let buffers = Buffers::values(&mut values);
            accept(
                &config,
                &mut server,
                7,
                &decode::<f64>(&up[..len], 9).unwrap(),
                buffers,
            )
            .unwrap();
        }
        finish(&config, &mut server).unwrap();
    }
    assert_close(
        server.params(),
        &gradient_descent(&mean, &x0, 0.5, 40),
        1e-12,
    );
}

#[test]
fn the_server_of_fed_avg_moves_its_learning_rate_towards_the_weighted_mean() {
    // Changes 1 and 4 with 3 rows and 1 row: mean 1.75, of which a half is taken.
    let config = fed_avg::Config {
        run: run_of(2),
        server_learning_rate: 0.5,
        compressor: Identity,
        aggregator: Mean,
    };
    let mut server = Server::new(&config, &[10.0], [0.0; 2]).unwrap();
    let (mut down, mut up, mut values) = ([0; 128], [0; 128], [0.0; 1]);
    let len = broadcast(&config, &mut server, &mut down).unwrap();
    for (id, rows, change) in [(0, 3, 1.0), (1, 1, 4.0)] {
        let mut client = Client::new(&config, id, [0.0]).unwrap();
        receive(
            &config,
            &mut client,
            &decode::<f64>(&down[..len], server.params().len()).unwrap(),
        )
        .unwrap();
        let mut trained = [client.params()[0] + change];
        let buffers = Buffers::default();
        let len = reply(&config, &mut client, &mut trained, buffers, &mut up).unwrap();
        let buffers = Buffers::values(&mut values);
        accept(
            &config,
            &mut server,
            rows,
            &decode::<f64>(&up[..len], 1).unwrap(),
            buffers,
        )
        .unwrap();
    }
    finish(&config, &mut server).unwrap();
    assert_eq!(server.params(), [10.875]);
}

#[test]
fn the_ledger_takes_the_largest_message_of_each_round_by_itself() {
    let mut ledger = Ledger::default();
    // Rounds of (4, 2) and (1, 3) numbers of 32 bits: 4 + 3.
    for round in [[4, 2], [1, 3]] {
        for k in round {
            ledger.uplink(&Header::new(Kind::PermK, Dtype::F32, 10, k));
        }
        ledger.close_round();
    }
    assert_eq!((ledger.uplink_max, ledger.uplink_total), (32 * 7, 32 * 10));
    assert_eq!((ledger.rounds, ledger.downlink), (2, 0));
}

#[test]
fn step_sizes_are_those_of_the_paper() {
    // Random quadratics with n = 10, d = 1000, s = 0.1 and s = 0.8 (L_-, L_+, L_+-): PermK, then RandK with k = 100.
    let cases = [
        ([1.0127, 1.0217, 0.1349], 0.706, 0.255),
        ([1.1020, 1.5423, 1.0791], 0.231, 0.182),
    ];
    for ([l_minus, l_plus, l_plus_minus], perm_k, rand_k) in cases {
        let step = |ab| step_size::marina(l_minus, l_plus, l_plus_minus, 0.1, ab);
        let ab = |a, b| Ab { a, b };
        assert!((step(ab(1.0, 1.0)) / perm_k - 1.0).abs() < 3e-3);
        assert!((step(ab(0.9, 0.0)) / rand_k - 1.0).abs() < 3e-3);
    }
    // Three owners of every coordinate, n = 6, d = 2, equal Hessians: A = B = 1/5, so L_+ does not enter.
    let ab = Ab { a: 0.2, b: 0.2 };
    assert_eq!(step_size::marina(2.0, 9.0, 0.0, 0.5, ab), 0.5);
}

#[test]
fn ef21_with_one_coordinate_converges_where_plain_top_k_averaging_cannot() {
    let (workers, mean, x0) = family(12, 3, 0.5);
    let config = ef21::Config {
        run: run_of(3),
        step_size: 0.2,
        restart: 0.0,
        compressor: TopK { k: 1 },
    };
    let x = run(config, workers, &x0, 20_000);
    let mut g = vec![0.0; 12];
    mean.gradient_into(&x, &mut g, &mut []).unwrap();
    assert!(g.iter().map(|g| g * g).sum::<f64>() < 1e-20);
}
