//! The protocols under hostile frames and gradients, and clients that are restored, late or without their memory.
#![allow(clippy::unwrap_used, reason = "a helper of a test may stop it")]

#[path = "federated/simulation.rs"]
mod simulation;

use simulation::{Simulation, family, run_of};
use thalweg::compress::{Buffers, Identity, PermK, RandK};
use thalweg::federated::machine::{Client, Server, broadcast, finish, reply, skip, welcome};
use thalweg::federated::{Protocol, ProtocolError, decode, ef21, machine, marina};
use thalweg::snapshot::Snapshot;
use thalweg::wire::DecodeError;
use thalweg::{Error, Real, Storage};

/// Decodes and accepts.
fn accept<T: Real, B: Storage<Elem = T>>(
    config: &impl Protocol<T>,
    server: &mut Server<B>,
    bytes: &[u8],
    buffers: Buffers<'_, T>,
) -> Result<(), ProtocolError> {
    let frame = decode::<T>(bytes, server.params().len())?;
    machine::accept(config, server, 1, &frame, buffers)
}

/// Decodes and receives.
fn receive<T: Real, B: Storage<Elem = T>>(
    config: &impl Protocol<T>,
    client: &mut Client<B>,
    bytes: &[u8],
) -> Result<(), ProtocolError> {
    let frame = decode::<T>(bytes, client.params().len())?;
    machine::receive(config, client, &frame)
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
    let mut server = Server::new(&config, &[1.0_f32; 3], [0.0; 9]).unwrap();
    let mut second = Client::new(&config, 1, [0.0_f32; 6]).unwrap();
    let (mut frame, mut none) = ([0; 128], [0.0; 3]);
    let len = broadcast(&config, &mut server, &mut frame).unwrap();
    receive(&config, &mut second, &frame[..len]).unwrap();
    let len = reply(
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
    let mut client = Client::new(&config, 0, [0.0_f32; 6]).unwrap();
    let mut frame = [0; 128];
    let mut reply_of = |config: &marina::Config<f32, RandK>, gradient: &mut [f32]| {
        reply(
            config,
            &mut client,
            gradient,
            Buffers::values(&mut [0.0; 2]),
            &mut frame,
        )
    };
    let nan = reply_of(&config, &mut [0.0, f32::NAN, 0.0]).unwrap_err();
    assert_eq!(nan.to_string(), "`gradient` is not finite at index 1");
    let short = reply_of(&config, &mut [0.0; 2]).unwrap_err();
    assert_eq!(short.to_string(), "`gradient` has length 2, expected 3");
    for bad in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = reply_of(
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
        let error = reply_of(
            &marina::Config {
                probability: bad,
                ..config
            },
            &mut [0.0; 3],
        )
        .unwrap_err();
        assert_eq!(error.to_string(), "`probability` must be in (0, 1]");
    }
    let error = reply_of(
        &marina::Config {
            compressor: RandK::new(4),
            ..config
        },
        &mut [0.0; 3],
    )
    .unwrap_err();
    assert_eq!(error.to_string(), "`k` must be at most the dimension");
    let mut ninth = Client::new(&config, 9, [0.0_f32; 6]).unwrap();
    let error = reply(
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
    let mut late = Client::new(&config, 1, vec![0.0; 16]).unwrap();
    let mut frame = [0; 256];
    let len = welcome(&config, &simulation.server, &mut frame).unwrap();
    receive(&config, &mut late, &frame[..len]).unwrap();
    assert_eq!(late.params(), simulation.server.params());
    let reply = reply(
        &config,
        &mut late,
        &mut [0.1; 8],
        Buffers::values(&mut [0.0; 8]),
        &mut frame,
    );
    assert_eq!(reply, Err(ProtocolError::NotSynchronised { client: 1 }));
}

type Clients = [Client<Vec<f64>>; 2];

/// Two clients at `(x - c)^2 / 2` with c = 0 and c = 4, from x = 1, without compression.
fn two_of_ef21() -> (ef21::Config<f64, Identity>, Server<Vec<f64>>, Clients) {
    let config = ef21::Config {
        run: run_of(2),
        step_size: 0.5,
        restart: 0.0,
        compressor: Identity,
    };
    let server = Server::new(&config, &[1.0], vec![0.0; 3]).unwrap();
    let client = |id| Client::new(&config, id, vec![0.0; 2]).unwrap();
    (config, server, [client(0), client(1)])
}

/// A round of those two; returns the result of client 1, and passes over it if that is an error.
fn round_of_two(
    config: &ef21::Config<f64, Identity>,
    server: &mut Server<Vec<f64>>,
    clients: &mut Clients,
) -> Result<usize, ProtocolError> {
    let (mut down, mut up, mut values) = ([0; 64], [0; 64], [0.0]);
    let len = broadcast(config, server, &mut down).unwrap();
    let mut said = Ok(0);
    for (client, c) in clients.iter_mut().zip([0.0, 4.0]) {
        receive(config, client, &down[..len]).unwrap();
        let mut gradient = [client.params()[0] - c];
        said = reply(config, client, &mut gradient, Buffers::default(), &mut up);
        match said {
            Ok(len) => accept(config, server, &up[..len], Buffers::values(&mut values)).unwrap(),
            Err(_) => skip(config, server).unwrap(),
        }
    }
    finish(config, server).unwrap();
    said
}

/// A round of those two in which client 1 starts anew.
fn loses_its_memory(
    config: &ef21::Config<f64, Identity>,
    server: &mut Server<Vec<f64>>,
    clients: &mut Clients,
) {
    // It is given the model of the open round, which the other one reaches by itself.
    clients[1] = Client::new(config, 1, vec![0.0; 2]).unwrap();
    let mut frame = [0; 64];
    let len = welcome(config, server, &mut frame).unwrap();
    receive(config, &mut clients[1], &frame[..len]).unwrap();
    let len = broadcast(config, server, &mut frame).unwrap();
    receive(config, &mut clients[0], &frame[..len]).unwrap();
    assert_eq!(clients[0].params(), clients[1].params());
    let mut gradient = [clients[1].params()[0] - 4.0];
    let said = reply(
        config,
        &mut clients[1],
        &mut gradient,
        Buffers::default(),
        &mut frame,
    );
    assert_eq!(said, Err(ProtocolError::NotSynchronised { client: 1 }));
    let mut gradient = [clients[0].params()[0]];
    let buffers = Buffers::default();
    let len = reply(config, &mut clients[0], &mut gradient, buffers, &mut frame).unwrap();
    let mut values = [0.0];
    let buffers = Buffers::values(&mut values);
    accept(config, server, &frame[..len], buffers).unwrap();
    skip(config, server).unwrap();
    finish(config, server).unwrap();
}

#[test]
fn a_client_of_ef21_that_has_lost_its_memory_sits_out_and_leaves_its_last_gradient_behind() {
    let (config, mut server, mut clients) = two_of_ef21();
    round_of_two(&config, &mut server, &mut clients).unwrap();
    loses_its_memory(&config, &mut server, &mut clients);
    for _ in 0..80 {
        let said = round_of_two(&config, &mut server, &mut clients);
        assert_eq!(said, Err(ProtocolError::NotSynchronised { client: 1 }));
    }
    // x - 0 + h_1 = 0 with h_1 = 1 - 4; together they would be at 2.
    assert!(
        (server.params()[0] - 3.0).abs() < 1e-9,
        "{:?}",
        server.params()
    );
}

#[test]
fn a_client_of_ef21_that_has_lost_its_memory_comes_back_at_a_restart() {
    let (config, mut server, mut clients) = two_of_ef21();
    let config = ef21::Config {
        restart: 0.1,
        ..config
    };
    let full = |round| Protocol::<f64>::is_full(&config, round);
    let back = (2..80).find(|&round| full(round)).unwrap();
    assert!(!full(1) && back > 2);
    round_of_two(&config, &mut server, &mut clients).unwrap();
    loses_its_memory(&config, &mut server, &mut clients);
    for round in 2..80 {
        let said = round_of_two(&config, &mut server, &mut clients);
        assert_eq!(said.is_ok(), round >= back, "{round}");
    }
    // Where the gradients of both add up to zero.
    assert!((server.params()[0] - 2.0).abs() < 1e-9);
}

#[test]
fn a_restart_is_a_probability_below_one() {
    let (config, ..) = two_of_ef21();
    for restart in [1.0, -0.1, f64::NAN] {
        let config = ef21::Config { restart, ..config };
        let said = Protocol::<f64>::validate(&config, 1);
        assert!(said.is_err_and(|e| e.to_string().contains("restart")));
    }
}

#[test]
fn a_client_of_ef21_that_has_kept_its_memory_continues_with_the_same_bits() {
    let (config, mut whole, mut clients) = two_of_ef21();
    let (_, mut broken, mut others) = two_of_ef21();
    for round in 0..20 {
        round_of_two(&config, &mut whole, &mut clients).unwrap();
        round_of_two(&config, &mut broken, &mut others).unwrap();
        if round == 7 {
            let mut bytes = [0; 256];
            let len = others[1].save(&mut bytes).unwrap();
            others[1] = Client::new(&config, 1, vec![9.0; 2]).unwrap();
            others[1].restore(&bytes[..len]).unwrap();
        }
    }
    assert_eq!(whole.params()[0].to_bits(), broken.params()[0].to_bits());
    assert!((whole.params()[0] - 2.0).abs() < 1e-4);
}
