//! The protocols against closed forms and against hostile frames; every message goes through the codec.
#![allow(clippy::unwrap_used, reason = "a helper of a test may stop it")]

use thalweg::compress::{Ab, Buffers, Compressor, Identity, PermK, RandK, TopK};
use thalweg::federated::estimator::{
    Client, Protocol, Server, accept, broadcast, finish, receive, skip, welcome,
};
use thalweg::federated::{Ledger, ProtocolError, Run, ef21, fed_avg, frame_len, marina, step_size};
use thalweg::model::quadratic::{Config as Family, Quadratic, start_into};
use thalweg::model::{Batch, Objective};
use thalweg::random::{self, Purpose};
use thalweg::snapshot::Snapshot;
use thalweg::wire::{DecodeError, Dtype, Header, Kind};
use thalweg::{Error, Real};

/// The reply of one of the two estimator protocols.
trait Reply<T: Real>: Protocol<T> {
    fn reply(
        &self,
        client: &mut Client<Vec<T>>,
        gradient: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError>;
}

impl<T: Real, C: Compressor<T>> Reply<T> for marina::Config<T, C> {
    fn reply(
        &self,
        client: &mut Client<Vec<T>>,
        gradient: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        marina::reply(self, client, gradient, buffers, out)
    }
}

impl<T: Real, C: Compressor<T>> Reply<T> for ef21::Config<T, C> {
    fn reply(
        &self,
        client: &mut Client<Vec<T>>,
        gradient: &mut [T],
        buffers: Buffers<'_, T>,
        out: &mut [u8],
    ) -> Result<usize, ProtocolError> {
        ef21::reply(self, client, gradient, buffers, out)
    }
}

struct Simulation<T, P> {
    config: P,
    workers: Vec<Quadratic<T>>,
    server: Server<Vec<T>>,
    clients: Vec<Client<Vec<T>>>,
}

impl<T: Real, P: Reply<T>> Simulation<T, P> {
    fn new(config: P, workers: Vec<Quadratic<T>>, x0: &[T]) -> Self {
        let zeros = || vec![T::ZERO; x0.len()];
        let server = Server::new(x0.to_vec(), zeros(), zeros()).unwrap();
        let clients = (0..workers.len())
            .map(|i| Client::new(i as u32, zeros(), zeros()).unwrap())
            .collect();
        Self {
            config,
            workers,
            server,
            clients,
        }
    }

    /// One round; calls `spy` with each uplink frame before the server sees it.
    fn round(&mut self, mut spy: impl FnMut(&P, &mut Server<Vec<T>>, &mut [u8])) {
        let d = self.server.params().len();
        let lengths = self.config.compressor().lengths(d);
        let (mut values, mut indices) = (
            vec![T::ZERO; lengths.values.max(d)],
            vec![0; lengths.indices.max(d)],
        );
        let (mut down, mut up) = (
            vec![0; frame_len::<T>(d as u32)],
            vec![0; frame_len::<T>(d as u32)],
        );
        let len = broadcast(&self.config, &mut self.server, &mut down).unwrap();
        for (client, f) in self.clients.iter_mut().zip(&self.workers) {
            receive(&self.config, client, &down[..len]).unwrap();
            assert_eq!(client.params(), self.server.params());
            let mut gradient = vec![T::ZERO; d];
            f.gradient_into(client.params(), &Batch::none(), &mut [], &mut gradient)
                .unwrap();
            let buffers = Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            };
            let len = self
                .config
                .reply(client, &mut gradient, buffers, &mut up)
                .unwrap();
            spy(&self.config, &mut self.server, &mut up[..len]);
            let buffers = Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            };
            accept(&self.config, &mut self.server, &up[..len], buffers).unwrap();
        }
        finish(&self.config, &mut self.server).unwrap();
    }
}

fn family(d: usize, n: usize, noise: f64) -> (Vec<Quadratic<f64>>, Quadratic<f64>, Vec<f64>) {
    let family = Family {
        dim: d,
        noise,
        mu: 1e-2,
    };
    let mut rng = random::stream(11, 0, 0, Purpose::DATA);
    let mut draws = || {
        (0..n)
            .map(|_| random::normal(&mut rng))
            .collect::<Vec<f64>>()
    };
    let (xi, xi_linear) = (draws(), draws());
    let shift = family.constants(&xi).unwrap().shift;
    let workers = xi
        .iter()
        .zip(&xi_linear)
        .map(|(&a, &b)| family.worker(a, b, shift))
        .collect();
    let mut x0 = vec![0.0; d];
    start_into(&mut x0);
    (workers, family.mean(&xi, &xi_linear).unwrap(), x0)
}

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
        f.gradient_into(&x, &Batch::none(), &mut [], &mut g)
            .unwrap();
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

fn run<P: Reply<f64>>(
    config: P,
    workers: Vec<Quadratic<f64>>,
    x0: &[f64],
    rounds: usize,
) -> Vec<f64> {
    let mut simulation = Simulation::new(config, workers, x0);
    (0..rounds).for_each(|_| simulation.round(|_, _, _| {}));
    simulation.server.params().to_vec()
}

const fn run_of(clients: usize) -> Run {
    Run {
        seed: 5,
        clients: clients as u32,
    }
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
        compressor: TopK { k: 17 },
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
    };
    let mut server = fed_avg::Server::new(x0.clone(), vec![0.0; 9]).unwrap();
    let (mut down, mut up, mut values) = ([0; 256], [0; 256], [0.0; 9]);
    for _ in 0..40 {
        let len = fed_avg::broadcast(&config, &mut server, &mut down).unwrap();
        for (i, f) in workers.iter().enumerate() {
            let mut client = fed_avg::Client::new(i as u32, vec![0.0; 9], vec![0.0; 9]).unwrap();
            fed_avg::receive(&config, &mut client, &down[..len]).unwrap();
            let mut g = [0.0; 9];
            f.gradient_into(client.params(), &Batch::none(), &mut [], &mut g)
                .unwrap();
            client
                .params_mut()
                .iter_mut()
                .zip(g)
                .for_each(|(x, g)| *x -= 0.5 * g);
            let len = fed_avg::reply(&config, &mut client, Buffers::default(), &mut up).unwrap();
            let buffers = Buffers::values(&mut values);
            fed_avg::accept(&config, &mut server, 7, &up[..len], buffers).unwrap();
        }
        fed_avg::finish(&config, &mut server).unwrap();
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
    };
    let mut server = fed_avg::Server::new([10.0], [0.0]).unwrap();
    let (mut down, mut up, mut values) = ([0; 128], [0; 128], [0.0; 1]);
    let len = fed_avg::broadcast(&config, &mut server, &mut down).unwrap();
    for (id, rows, change) in [(0, 3, 1.0), (1, 1, 4.0)] {
        let mut client = fed_avg::Client::new(id, [0.0], [0.0]).unwrap();
        fed_avg::receive(&config, &mut client, &down[..len]).unwrap();
        client.params_mut().iter_mut().for_each(|x| *x += change);
        let len = fed_avg::reply(&config, &mut client, Buffers::default(), &mut up).unwrap();
        let buffers = Buffers::values(&mut values);
        fed_avg::accept(&config, &mut server, rows, &up[..len], buffers).unwrap();
    }
    fed_avg::finish(&config, &mut server).unwrap();
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
        compressor: TopK { k: 1 },
    };
    let x = run(config, workers, &x0, 20_000);
    let mut g = vec![0.0; 12];
    mean.gradient_into(&x, &Batch::none(), &mut [], &mut g)
        .unwrap();
    assert!(g.iter().map(|g| g * g).sum::<f64>() < 1e-20);
}

#[test]
fn a_refused_frame_leaves_the_round_as_it_was() {
    let (workers, _, x0) = family(13, 3, 0.3);
    let config = marina::Config {
        run: run_of(3),
        step_size: 0.5,
        probability: 0.3,
        compressor: PermK::new(3),
    };
    let mut simulation = Simulation::new(config, workers, &x0);
    let mut saved = vec![0; simulation.server.snapshot_len()];
    let mut after = saved.clone();
    let (mut refused, mut tries) = (0, 0);
    for _ in 0..6 {
        simulation.round(|config, server, frame| {
            server.save(&mut saved).unwrap();
            let (mut values, mut indices) = ([0.0; 13], [0; 13]);
            let mut attempt = |bytes: &[u8], server: &mut Server<Vec<f64>>| {
                let buffers = Buffers {
                    indices: &mut indices,
                    ..Buffers::values(&mut values)
                };
                let refused = accept(config, server, bytes, buffers).is_err();
                server.save(&mut after).unwrap();
                assert!(
                    !refused || saved == after,
                    "a refused frame changed the state"
                );
                refused
            };
            for cut in 0..frame.len() {
                refused += usize::from(attempt(&frame[..cut], server));
                tries += 1;
            }
            for bit in 0..8 * frame.len() {
                frame[bit / 8] ^= 1 << (bit % 8);
                refused += usize::from(attempt(frame, server));
                tries += 1;
                frame[bit / 8] ^= 1 << (bit % 8);
            }
        });
    }
    assert_eq!(refused, tries);
    assert!(tries > 5000);
}

#[test]
fn replies_out_of_turn_and_open_rounds_are_named() {
    let config = marina::Config {
        run: run_of(2),
        step_size: 0.5,
        probability: 1.0,
        compressor: Identity,
    };
    let mut server = Server::new([1.0_f32; 3], [0.0; 3], [0.0; 3]).unwrap();
    let mut second = Client::new(1, [0.0_f32; 3], [0.0; 3]).unwrap();
    let (mut frame, mut none) = ([0; 128], [0.0; 3]);
    let len = broadcast(&config, &mut server, &mut frame).unwrap();
    receive(&config, &mut second, &frame[..len]).unwrap();
    let len = marina::reply(
        &config,
        &mut second,
        &mut [1.0; 3],
        Buffers::default(),
        &mut frame,
    )
    .unwrap();
    let early = accept(
        &config,
        &mut server,
        &frame[..len],
        Buffers::values(&mut none),
    );
    assert_eq!(
        early,
        Err(ProtocolError::OutOfTurn {
            expected: 0,
            found: 1
        })
    );
    assert_eq!(
        finish(&config, &mut server),
        Err(ProtocolError::Incomplete { missing: 0 })
    );
    skip(&config, &mut server).unwrap();
    accept(
        &config,
        &mut server,
        &frame[..len],
        Buffers::values(&mut none),
    )
    .unwrap();
    let twice = accept(
        &config,
        &mut server,
        &frame[..len],
        Buffers::values(&mut none),
    );
    assert_eq!(
        twice,
        Err(ProtocolError::OutOfTurn {
            expected: 2,
            found: 1
        })
    );
    finish(&config, &mut server).unwrap();
    // The absent client does not count in the mean of a full round.
    assert_eq!(server.estimate(), [1.0; 3]);
    let stale = accept(
        &config,
        &mut server,
        &frame[..len],
        Buffers::values(&mut none),
    );
    assert_eq!(
        stale,
        Err(ProtocolError::OutOfTurn {
            expected: 0,
            found: 1
        })
    );
    skip(&config, &mut server).unwrap();
    let stale = accept(
        &config,
        &mut server,
        &frame[..len],
        Buffers::values(&mut none),
    );
    assert_eq!(
        stale,
        Err(ProtocolError::Decode(DecodeError::WrongRound {
            expected: 1,
            found: 0
        }))
    );
}

#[test]
fn hostile_gradients_and_hyperparameters_are_named_and_change_nothing() {
    let config = marina::Config {
        run: run_of(1),
        step_size: 0.5,
        probability: 0.5,
        compressor: RandK::new(2),
    };
    let mut client = Client::new(0, [0.0_f32; 3], [0.0; 3]).unwrap();
    let mut frame = [0; 128];
    let mut reply = |config: &marina::Config<f32, RandK>, gradient: &mut [f32]| {
        marina::reply(
            config,
            &mut client,
            gradient,
            Buffers::values(&mut [0.0; 2]),
            &mut frame,
        )
    };
    let nan = reply(&config, &mut [0.0, f32::NAN, 0.0]).unwrap_err();
    assert_eq!(nan.to_string(), "`gradient` is not finite at index 1");
    let short = reply(&config, &mut [0.0; 2]).unwrap_err();
    assert_eq!(short.to_string(), "`gradient` has length 2, expected 3");
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = reply(
            &marina::Config {
                step_size: bad,
                ..config
            },
            &mut [0.0; 3],
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "`step_size` must be finite and positive");
    }
    for bad in [0.0, -0.5, 1.5, f64::NAN] {
        let error = reply(
            &marina::Config {
                probability: bad,
                ..config
            },
            &mut [0.0; 3],
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "`probability` must be in (0, 1]");
    }
    let error = reply(
        &marina::Config {
            compressor: RandK::new(4),
            ..config
        },
        &mut [0.0; 3],
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "`k` must be at most the dimension");
    let mut ninth = Client::new(9, [0.0_f32; 3], [0.0; 3]).unwrap();
    let error = marina::reply(
        &config,
        &mut ninth,
        &mut [0.0; 3],
        Buffers::default(),
        &mut [0; 128],
    )
    .unwrap_err();
    let rule = "must be below the number of clients";
    assert_eq!(
        error,
        ProtocolError::Argument(Error::Parameter {
            name: "client",
            rule
        })
    );
}

#[test]
fn a_restored_run_has_the_bits_of_the_uninterrupted_one() {
    let (workers, _, x0) = family(23, 4, 0.6);
    let config = marina::Config {
        run: run_of(4),
        step_size: 0.4,
        probability: 0.2,
        compressor: RandK::new(5),
    };
    let mut whole = Simulation::new(config, workers.clone(), &x0);
    (0..7).for_each(|_| whole.round(|_, _, _| {}));
    let mut resumed = Simulation::new(config, workers, &[0.0; 23]);
    let mut bytes = vec![0; whole.server.snapshot_len()];
    let len = whole.server.save(&mut bytes).unwrap();
    resumed.server.restore(&bytes[..len]).unwrap();
    for (from, to) in whole.clients.iter().zip(&mut resumed.clients) {
        let mut bytes = vec![0; from.snapshot_len()];
        from.save(&mut bytes).unwrap();
        to.restore(&bytes).unwrap();
    }
    for _ in 0..7 {
        whole.round(|_, _, _| {});
        resumed.round(|_, _, _| {});
    }
    let bits = |s: &Server<Vec<f64>>| s.params().iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&whole.server), bits(&resumed.server));
    assert_eq!(whole.server.ledger(), resumed.server.ledger());
}

#[test]
fn a_client_that_joins_late_waits_for_a_full_round() {
    let (workers, _, x0) = family(8, 2, 0.2);
    let config = marina::Config {
        run: run_of(2),
        step_size: 0.4,
        probability: 0.3,
        compressor: PermK::new(2),
    };
    let mut simulation = Simulation::new(config, workers, &x0);
    (0..4).for_each(|_| simulation.round(|_, _, _| {}));
    let compressed = (4..)
        .find(|&r| !Protocol::<f64>::is_full(&config, r))
        .unwrap();
    (4..compressed).for_each(|_| simulation.round(|_, _, _| {}));
    let mut late = Client::new(1, vec![0.0; 8], vec![0.0; 8]).unwrap();
    let mut frame = [0; 256];
    let len = welcome(&config, &mut simulation.server, &mut frame).unwrap();
    receive(&config, &mut late, &frame[..len]).unwrap();
    assert_eq!(late.params(), simulation.server.params());
    let reply = marina::reply(
        &config,
        &mut late,
        &mut [0.1; 8],
        Buffers::values(&mut [0.0; 8]),
        &mut frame,
    );
    assert_eq!(reply, Err(ProtocolError::NotSynchronised { client: 1 }));
}
