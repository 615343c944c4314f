//! Frames of other rounds, runs and kinds, and clients that rejoin.

use thalweg::Error;
use thalweg::compress::PermK;
use thalweg::federated::machine::{broadcast, finish, reply, welcome};
use thalweg::wire::{DecodeError, Kind, SERVER};

use super::*;

fn wrong_round(expected: u64, found: u64) -> ProtocolError {
    ProtocolError::Decode(DecodeError::WrongRound { expected, found })
}

fn model(round: u64, value: f32) -> Vec<u8> {
    let values = [value; D];
    frame(
        header(Kind::Model, SERVER, round, D as u32),
        &Body::Values(&values),
    )
}

fn estimate(round: u64, value: f32) -> Vec<u8> {
    let values = [value; D];
    frame(
        header(Kind::Estimate, SERVER, round, D as u32),
        &Body::Values(&values),
    )
}

/// A client of MARINA that has replied to round 0.
fn synchronised() -> Client<[f32; 2 * D]> {
    let mut client = client(0);
    receive(&marina_of(1, Identity), &mut client, &model(0, 1.0)).unwrap();
    let gradient = &mut [1.0; D];
    let config = marina_of(1, Identity);
    reply(
        &config,
        &mut client,
        gradient,
        Buffers::default(),
        &mut [0; ROOM],
    )
    .unwrap();
    client
}

/// Refuses the frame, and leaves the client alone.
fn refused(client: &mut Client<[f32; 2 * D]>, bytes: &[u8], expected: ProtocolError) {
    let before = saved(client);
    let found = receive(&marina_of(1, Identity), client, bytes);
    assert_eq!((found, saved(client)), (Err(expected), before));
}

#[test]
fn a_replayed_model_does_not_set_a_client_back() {
    let config = marina_of(1, Identity);
    let mut client = synchronised();
    refused(&mut client, &model(0, 1.0), wrong_round(1, 0));
    for round in 1..=3 {
        receive(&config, &mut client, &estimate(round, 0.25)).unwrap();
    }
    // 1 - 3 (0.5) 0.25.
    assert_eq!(client.params(), [0.625; D]);
    for round in 0..=3 {
        refused(&mut client, &model(round, 1.0), wrong_round(4, round));
    }
    receive(&config, &mut client, &model(4, 9.0)).unwrap();
    assert_eq!((client.round(), client.params()), (4, &[9.0; D][..]));
}

#[test]
fn a_late_client_may_read_its_model_again_but_none_before_it() {
    let config = marina_of(1, Identity);
    let mut client = client(0);
    receive(&config, &mut client, &model(5, 2.0)).unwrap();
    refused(&mut client, &model(4, 1.0), wrong_round(5, 4));
    receive(&config, &mut client, &model(5, 2.0)).unwrap();
    receive(&config, &mut client, &estimate(6, 2.0)).unwrap();
    assert_eq!((client.round(), client.params()), (6, &[1.0; D][..]));
    refused(&mut client, &model(5, 2.0), wrong_round(6, 5));
}

#[test]
fn an_estimate_is_taken_in_the_round_after_the_clients_only() {
    let mut client = synchronised();
    for round in [0, 2, 3, u64::MAX] {
        refused(&mut client, &estimate(round, 1.0), wrong_round(1, round));
    }
    let config = marina_of(1, Identity);
    receive(&config, &mut client, &estimate(1, 1.0)).unwrap();
    refused(&mut client, &estimate(1, 1.0), wrong_round(2, 1));
}

#[test]
fn the_last_round_is_not_read_twice() {
    let mut client = synchronised();
    receive(&marina_of(1, Identity), &mut client, &model(u64::MAX, 1.0)).unwrap();
    let rule = "must be below 2^64 - 1";
    let error = Error::Parameter {
        name: "round",
        rule,
    };
    refused(&mut client, &estimate(u64::MAX, 1.0), error.into());
}

#[test]
fn a_client_without_a_model_takes_no_estimate_and_sends_no_reply() {
    let mut client = client(0);
    refused(&mut client, &estimate(1, 1.0), wrong_round(0, 1));
    let (expected, found) = (Kind::Model, Kind::Estimate);
    let error = DecodeError::WrongKind { expected, found };
    refused(&mut client, &estimate(0, 1.0), error.into());
    let (mut out, config) = ([0; ROOM], marina_of(1, Identity));
    let said = reply(
        &config,
        &mut client,
        &mut [1.0; D],
        Buffers::default(),
        &mut out,
    );
    assert_eq!(said, Err(ProtocolError::NotSynchronised { client: 0 }));
}

#[test]
fn a_model_in_the_middle_of_a_run_takes_the_memory_of_a_client_out_of_the_run() {
    let config = marina_of(1, Identity);
    let mut out = [0; ROOM];
    let mut client = synchronised();
    receive(&config, &mut client, &model(1, 5.0)).unwrap();
    let said = reply(
        &config,
        &mut client,
        &mut [1.0; D],
        Buffers::default(),
        &mut out,
    );
    assert_eq!(said, Err(ProtocolError::NotSynchronised { client: 0 }));
    let config = ef21_of(1, Identity);
    let said = reply(
        &config,
        &mut client,
        &mut [1.0; D],
        Buffers::default(),
        &mut out,
    );
    assert_eq!(said, Err(ProtocolError::NotSynchronised { client: 0 }));
}

#[test]
fn a_client_that_rejoins_takes_the_model_of_a_server_that_began_again() {
    let config = marina_of(1, Identity);
    let mut client = synchronised();
    for round in 1..=7 {
        receive(&config, &mut client, &estimate(round, 0.25)).unwrap();
    }
    client.rejoin();
    assert_eq!(client.round(), 0);
    // Only a model: its own is of another run of the rounds.
    refused(&mut client, &estimate(1, 1.0), wrong_round(0, 1));
    refused(&mut client, &estimate(8, 1.0), wrong_round(0, 8));
    let mut server = server();
    let mut down = [0; ROOM];
    let len = broadcast(&config, &mut server, &mut down).unwrap();
    receive(&config, &mut client, &down[..len]).unwrap();
    let mut up = [0; ROOM];
    let len = reply(
        &config,
        &mut client,
        &mut [2.0; D],
        Buffers::default(),
        &mut up,
    );
    accept(
        &config,
        &mut server,
        &up[..len.unwrap()],
        Buffers::default(),
    )
    .unwrap();
    finish(&config, &mut server).unwrap();
    let len = broadcast(&config, &mut server, &mut down).unwrap();
    receive(&config, &mut client, &down[..len]).unwrap();
    assert_eq!((client.round(), client.params()), (1, server.params()));
}

#[test]
fn a_saved_client_is_as_far_as_it_was() {
    for client in [client(0), synchronised()] {
        let mut other = synchronised();
        other.restore(&saved(&client)).unwrap();
        assert_eq!(saved(&other), saved(&client));
    }
    let mut other = client(3);
    other.restore(&saved(&synchronised())).unwrap();
    refused(&mut other, &model(0, 1.0), wrong_round(1, 0));
    other.rejoin();
    let rejoined = saved(&other);
    other.restore(&saved(&synchronised())).unwrap();
    other.restore(&rejoined).unwrap();
    receive(&marina_of(1, Identity), &mut other, &model(0, 1.0)).unwrap();
}

#[test]
fn a_replayed_model_does_not_set_a_client_of_fed_avg_back() {
    let config = fed_avg_of(1, Identity);
    let mut client = trainer(0);
    for (round, value) in [(0, 1.0), (3, 2.0), (3, 2.0)] {
        receive(&config, &mut client, &model(round, value)).unwrap();
    }
    let error = receive(&config, &mut client, &model(2, 1.0));
    assert_eq!(error, Err(wrong_round(3, 2)));
    assert_eq!((client.round(), client.params()), (3, &[2.0; D][..]));
    client.rejoin();
    receive(&config, &mut client, &model(0, 4.0)).unwrap();
    assert_eq!((client.round(), client.params()), (0, &[4.0; D][..]));
}

#[test]
fn an_estimate_that_would_make_the_model_infinite_leaves_the_client() {
    let mut client = synchronised();
    let mut values = [0.0; D];
    values[4] = f32::MAX;
    let far = marina::Config {
        step_size: 2.0,
        ..marina_of(1, Identity)
    };
    let bytes = frame(
        header(Kind::Estimate, SERVER, 1, D as u32),
        &Body::Values(&values),
    );
    let before = saved(&client);
    let name = "params";
    let error = receive(&far, &mut client, &bytes);
    assert_eq!(
        error,
        Err(Error::NonFinite {
            name,
            at: thalweg::At::Element(4)
        }
        .into())
    );
    assert_eq!(saved(&client), before);
}

#[test]
fn a_full_round_takes_full_gradients_only() {
    let config = marina_of(1, PermK::new(1));
    let mut server = server();
    let before = saved(&server);
    let values = [1.0; D];
    let rule = "must carry a full gradient in a full round";
    let name = "frame";
    for kind in [
        Kind::PermK,
        Kind::RandK,
        Kind::RandSeqK,
        Kind::Model,
        Kind::Estimate,
    ] {
        // As long as a full gradient.
        let bytes = frame(header(kind, 0, 0, D as u32), &Body::Values(&values));
        let error = lent([D; 3], |buffers| {
            accept(&config, &mut server, &bytes, buffers)
        });
        assert_eq!(
            error,
            Err(Error::Parameter { name, rule }.into()),
            "{kind:?}"
        );
        assert_eq!(saved(&server), before);
    }
    let bytes = frame(header(Kind::Dense, 0, 0, D as u32), &Body::Values(&values));
    lent([0; 3], |buffers| {
        accept(&config, &mut server, &bytes, buffers)
    })
    .unwrap();
}

#[test]
fn a_reply_of_another_run_round_type_or_dimension_is_named() {
    let config = marina_of(1, Identity);
    let own = header(Kind::Dense, 0, 0, D as u32);
    let values = [1.0; D];
    let mut server = server();
    let before = saved(&server);
    let mut refused = |bytes: &[u8], expected: DecodeError| {
        let error = accept(&config, &mut server, bytes, Buffers::default());
        assert_eq!(error, Err(expected.into()));
        assert_eq!(saved(&server), before);
        let fed_avg = fed_avg_of(1, Identity);
        let mut server = averaging();
        let before = saved(&server);
        let error = lent([D; 3], |b| accept(&fed_avg, &mut server, bytes, b));
        assert_eq!((error, saved(&server)), (Err(expected.into()), before));
    };
    let (expected, found) = (3, 4);
    let other = Header { seed: 4, ..own };
    let bytes = frame(other, &Body::Values(&values));
    refused(&bytes, DecodeError::WrongSeed { expected, found });
    let other = Header { round: 1, ..own };
    let (expected, found) = (0, 1);
    let bytes = frame(other, &Body::Values(&values));
    refused(&bytes, DecodeError::WrongRound { expected, found });
    let other = Header { d: 5, k: 5, ..own };
    let (expected, found) = (6, 5);
    let bytes = frame(other, &Body::Values(&values[1..]));
    refused(&bytes, DecodeError::WrongDimension { expected, found });
    let other = Header {
        dtype: Dtype::F64,
        ..own
    };
    let mut bytes = vec![0; other.frame_len()];
    encode_into(&other, &Body::Values(&[1.0_f64; D]), &mut bytes).unwrap();
    let (expected, found) = (1, 2);
    refused(&bytes, DecodeError::WrongDtype { expected, found });
}

#[test]
fn a_broadcast_is_counted_once_a_round_and_a_welcome_not_at_all() {
    let config = marina_of(1, Identity);
    let (mut server, mut out) = (server(), [0; ROOM]);
    for round in 0..3 {
        for _ in 0..2 {
            broadcast(&config, &mut server, &mut out).unwrap();
            welcome(&config, &server, &mut out).unwrap();
        }
        // Six floats down in each round, and as many up in each that is closed.
        let ledger = *server.ledger();
        assert_eq!(
            (ledger.downlink, ledger.overhead_bytes),
            (192 * (round + 1), 52 * (2 * round + 1))
        );
        // A server that is restored in the middle of a round has not forgotten that.
        let bytes = saved(&server);
        server.restore(&bytes).unwrap();
        broadcast(&config, &mut server, &mut out).unwrap();
        assert_eq!(*server.ledger(), ledger);
        let bytes = frame(
            header(Kind::Dense, 0, round, D as u32),
            &Body::Values(&[0.0; D]),
        );
        lent([D; 3], |buffers| {
            accept(&config, &mut server, &bytes, buffers)
        })
        .unwrap();
        finish(&config, &mut server).unwrap();
        assert_eq!(server.ledger().uplink_max, 192 * (round + 1));
    }
    let config = fed_avg_of(2, Identity);
    let mut server = averaging();
    for _ in 0..3 {
        broadcast(&config, &mut server, &mut out).unwrap();
    }
    assert_eq!(
        (server.ledger().downlink, server.ledger().overhead_bytes),
        (192, 52)
    );
}
