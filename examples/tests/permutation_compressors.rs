//! The simulation of quadratics against the machines that exchange frames, and the command line.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::process::{Command, Output};

use thalweg::compress::{Buffers, Compressor, PermK, RandK, TopK};
use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
use thalweg::federated::{Protocol, Run, decode, ef21, frame_len, marina};
use thalweg::model::Gradient;
use thalweg::model::quadratic::Config;
use thalweg_examples::permutation_compressors::problem::{Problem, draws};
use thalweg_examples::permutation_compressors::simulate::{Draw, Ef21, Marina, Operator};

/// The server's model after each round, all messages as frames.
fn framed(problem: &Problem, config: &dyn Protocol<f64>, rounds: u64) -> Vec<Vec<f64>> {
    let d = problem.config.dim;
    let zeros = || vec![0.0; d];
    let mut server = Server::new(config, &problem.start, vec![0.0; 3 * d]).unwrap();
    let mut clients: Vec<_> = (0..problem.clients.len())
        .map(|id| Client::new(config, id as u32, vec![0.0; 2 * d]).unwrap())
        .collect();
    let (mut values, mut indices) = (zeros(), vec![0; d]);
    let mut down = vec![0; frame_len::<f64>(d as u32)];
    let mut up = down.clone();
    let mut models = Vec::new();
    for _ in 0..rounds {
        let len = broadcast(config, &mut server, &mut down).unwrap();
        for (client, f) in clients.iter_mut().zip(&problem.clients) {
            receive(config, client, &decode::<f64>(&down[..len], d).unwrap()).unwrap();
            let mut gradient = zeros();
            f.gradient_into(client.params(), &mut gradient, &mut [])
                .unwrap();
            let buffers = Buffers {
                values: &mut values,
                indices: &mut indices,
                ..Buffers::default()
            };
            let len = reply(config, client, &mut gradient, buffers, &mut up).unwrap();
            let buffers = Buffers {
                values: &mut values,
                indices: &mut indices,
                ..Buffers::default()
            };
            let frame = decode::<f64>(&up[..len], d).unwrap();
            accept(config, &mut server, 1, &frame, buffers).unwrap();
        }
        finish(config, &mut server).unwrap();
        models.push(server.params().to_vec());
    }
    models
}

fn problem(dim: usize, n: usize, noise: f64) -> Problem {
    let config = Config {
        dim,
        noise,
        mu: 1e-3,
    };
    let (xi, xi_linear) = draws(n, None);
    Problem::new(config, &xi, &xi_linear).unwrap()
}

fn assert_same_bits(round: usize, found: &[f64], expected: &[f64]) {
    let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert!(expected.iter().any(|x| x.abs() > 1e-3));
    assert_eq!(bits(found), bits(expected), "round {round}");
}

fn check_marina<C: Compressor<f64> + Copy>(problem: &Problem, compressor: C, operator: Operator) {
    let run = Run {
        seed: 9,
        clients: problem.clients.len() as u32,
    };
    let config = marina::Config {
        run,
        step_size: 0.37,
        probability: 0.15,
        compressor,
    };
    let expected = framed(problem, &config, 60);
    let mut draw = Draw::new(problem.config.dim, run, config.probability, operator).unwrap();
    let mut simulated = Marina::new(problem, config.step_size);
    let mut full = 0;
    for (round, expected) in expected.iter().enumerate() {
        draw.draw(round as u64).unwrap();
        full += u32::from(draw.is_full(round as u64));
        simulated.round(problem, &draw).unwrap();
        assert_same_bits(round, simulated.params(), expected);
    }
    assert!(full > 2 && full < 30, "both kinds of round: {full}");
}

#[test]
fn simulated_marina_with_perm_k_has_the_bits_of_the_framed_protocol() {
    // n divides d; it does not; one client; more clients than coordinates, with two owners and idle clients.
    for (d, n) in [(60, 6), (37, 5), (9, 1), (6, 15), (1, 3)] {
        for noise in [0.0, 0.8] {
            check_marina(&problem(d, n, noise), PermK::new(n), Operator::PermK);
        }
    }
}

#[test]
fn simulated_marina_with_rand_k_has_the_bits_of_the_framed_protocol() {
    for (d, n, k) in [(60, 6, 10), (37, 5, 37), (9, 1, 2), (6, 15, 1)] {
        check_marina(&problem(d, n, 0.8), RandK::new(k), Operator::RandK(k));
    }
}

#[test]
fn simulated_ef21_has_the_bits_of_the_framed_protocol() {
    // Without noise all clients are one kind and share a memory.
    for (noise, distinct) in [(0.0, 1), (0.8, 7)] {
        let problem = problem(40, 7, noise);
        let config = ef21::Config {
            run: Run {
                seed: 9,
                clients: 7,
            },
            step_size: 0.2,
            restart: 0.0,
            compressor: TopK { k: 5 },
        };
        let expected = framed(&problem, &config, 80);
        let mut simulated = Ef21::new(&problem, 5, config.step_size).unwrap();
        assert_eq!(simulated.distinct(), distinct);
        for (round, expected) in expected.iter().enumerate() {
            simulated.round().unwrap();
            assert_same_bits(round, simulated.params(), expected);
        }
    }
}

fn program(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_permutation_compressors"))
        .args(arguments)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap()
}

#[test]
fn a_small_grid_runs_and_does_not_depend_on_threads() {
    let grid = [
        "--dim",
        "30",
        "--clients",
        "3,50",
        "--noise-scales",
        "0,0.5",
    ];
    let small = ["--budget", "3e5", "--mu", "1e-3", "--multipliers", "3"];
    let table = |threads| {
        let out = program(&[&grid[..], &small, &["--threads", threads]].concat());
        assert!(out.status.success(), "{out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    let one = table("1");
    assert_eq!(one.matches("MARINA+PermK").count(), 4);
    assert_eq!(one, table("3"));
}

#[test]
fn bad_options_are_named_and_exit_with_2() {
    for (arguments, name) in [
        (&["--dim", "0"][..], "dim"),
        (&["--clients", "0"], "clients"),
        (&["--noise-scales=-1"], "noise-scales"),
        (&["--mu", "nan"], "mu"),
        (&["--budget", "0"], "budget"),
        (&["--seeds", "0"], "seeds"),
        (&["--threads", "0"], "threads"),
        (&["--multipliers", "99"], "multipliers"),
        (&["--unheard-of"], "unheard-of"),
        (&["--data", "nowhere"], "--autoencoder"),
        (&["--plot", "no/such/folder.svg"], "no/such"),
        (&["--plot", "."], "cannot write"),
        (&["--json", "no/such/folder.json"], "no/such"),
        (&["--check", "--plot", "."], "cannot write"),
        (&["--autoencoder", "--check"], "MNIST"),
        (&["--autoencoder", "--data", "nowhere"], "nowhere"),
        (&["--autoencoder", "--p-hat", "2"], "p-hat"),
        (&["--autoencoder", "--pool", "3"], "pool"),
        (&["--autoencoder", "--step-sizes", "-1"], "step-sizes"),
        (&["--autoencoder", "--step-sizes=0"], "step-sizes"),
        (&["--autoencoder", "--rounds", "0"], "rounds"),
        (&["--autoencoder", "--code", "0"], "code"),
        (&["--autoencoder", "--clients", "0"], "clients"),
        (&["--autoencoder", "--clients", "1797"], "clients"),
    ] {
        let out = program(arguments);
        let text = String::from_utf8(out.stderr).unwrap();
        assert_eq!(out.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(name), "{arguments:?}: {text}");
    }
}
