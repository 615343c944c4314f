//! Rounds that cannot close, and saved states that cannot be.

use thalweg::Error;
use thalweg::aggregate::Mean;
use thalweg::federated::machine::{broadcast, finish, reopen, skip};
use thalweg::snapshot::SnapshotError;
use thalweg::wire::Kind;

use super::*;

type FedAvg = Server<[f32; 2 * D]>;

fn dense(client: u32, round: u64, value: f32) -> Vec<u8> {
    let values = [value; D];
    frame(
        header(Kind::Dense, client, round, D as u32),
        &Body::Values(&values),
    )
}

fn give(config: &marina::Config<f32, Identity>, server: &mut Server<[f32; 3 * D]>, value: f32) {
    let bytes = dense(server.turn(), server.round(), value);
    lent([D; 3], |buffers| accept(config, server, &bytes, buffers)).unwrap();
}

fn give_change(config: &fed_avg::Config<f32, Identity>, server: &mut FedAvg, value: f32) {
    let bytes = dense(server.turn(), server.round(), value);
    lent([D; 3], |buffers| accept(config, server, &bytes, buffers)).unwrap();
}

#[test]
fn a_round_without_replies_begins_again() {
    let (config, mut server) = (marina_of(2, Identity), server());
    let opened = saved(&server);
    skip(&config, &mut server).unwrap();
    skip(&config, &mut server).unwrap();
    assert_eq!(finish(&config, &mut server), Err(ProtocolError::Empty));
    assert_eq!((server.turn(), saved(&server)), (0, opened));
    broadcast(&config, &mut server, &mut [0; ROOM]).unwrap();
    give(&config, &mut server, 2.0);
    skip(&config, &mut server).unwrap();
    finish(&config, &mut server).unwrap();
    // 1 - 0.5 (2).
    assert_eq!((server.round(), server.params()), (1, &[0.0; D][..]));

    let (config, mut server) = (fed_avg_of(2, Identity), averaging());
    let opened = saved(&server);
    skip(&config, &mut server).unwrap();
    skip(&config, &mut server).unwrap();
    let error = finish(&config, &mut server);
    assert_eq!(error, Err(ProtocolError::Empty));
    assert_eq!((server.turn(), saved(&server)), (0, opened));
    broadcast(&config, &mut server, &mut [0; ROOM]).unwrap();
    give_change(&config, &mut server, 2.0);
    skip(&config, &mut server).unwrap();
    finish(&config, &mut server).unwrap();
    assert_eq!((server.round(), server.params()), (1, &[3.0; D][..]));
}

#[test]
fn a_compressed_round_without_replies_closes_without_a_change() {
    let (config, mut server) = (marina_of(1, Identity), server());
    give(&config, &mut server, 2.0);
    finish(&config, &mut server).unwrap();
    skip(&config, &mut server).unwrap();
    finish(&config, &mut server).unwrap();
    assert_eq!((server.round(), server.params()), (2, &[-1.0; D][..]));
}

#[test]
fn finite_replies_that_would_make_the_model_infinite_do_not_close_the_round() {
    // The estimate is finite, the step is not; then the sum is not either.
    let config = marina::Config {
        step_size: 2.0,
        ..marina_of(2, Identity)
    };
    for (replies, name) in [([f32::MAX, 0.0], "params"), ([f32::MAX; 2], "estimate")] {
        // Half of the largest number, times 4.
        let config = marina::Config {
            step_size: 4.0,
            ..config
        };
        let mut server = server();
        let opened = saved(&server);
        replies
            .iter()
            .for_each(|&value| give(&config, &mut server, value));
        let before = saved(&server);
        let error = finish(&config, &mut server);
        assert_eq!(
            error,
            Err(Error::NonFinite {
                name,
                at: thalweg::At::Element(0)
            }
            .into())
        );
        assert_eq!(saved(&server), before);
        reopen(&config, &mut server).unwrap();
        // All but the bits that were sent is as it was.
        let words = 24 + 16 + 12 + 12..24 + 16 + 12 + 12 + 8 + 48;
        let after = saved(&server);
        assert_eq!(after[..words.start], opened[..words.start]);
        let end = after.len() - 4;
        assert_eq!(after[words.end..end], opened[words.end..end]);
        give(&config, &mut server, 1.0);
        give(&config, &mut server, 0.0);
        finish(&config, &mut server).unwrap();
        assert_eq!(server.params(), [-1.0; D]);
        // A compressed round begins again at the estimate.
        give(&config, &mut server, f32::MAX);
        give(&config, &mut server, f32::MAX);
        assert!(finish(&config, &mut server).is_err());
        reopen(&config, &mut server).unwrap();
        skip(&config, &mut server).unwrap();
        skip(&config, &mut server).unwrap();
        finish(&config, &mut server).unwrap();
        assert_eq!(server.params(), [-3.0; D]);
    }
    let config = fed_avg::Config {
        server_learning_rate: 4.0,
        aggregator: Mean,
        ..fed_avg_of(2, Identity)
    };
    for (replies, name) in [([f32::MAX, 0.0], "params"), ([f32::MAX; 2], "sum")] {
        let mut server = averaging();
        replies
            .iter()
            .for_each(|&value| give_change(&config, &mut server, value));
        let before = saved(&server);
        let error = finish(&config, &mut server);
        assert_eq!(
            error,
            Err(Error::NonFinite {
                name,
                at: thalweg::At::Element(0)
            }
            .into())
        );
        assert_eq!(saved(&server), before);
        reopen(&config, &mut server).unwrap();
        give_change(&config, &mut server, 1.0);
        give_change(&config, &mut server, 0.0);
        finish(&config, &mut server).unwrap();
        assert_eq!(server.params(), [3.0; D]);
    }
}

#[test]
fn one_client_and_the_largest_gradient() {
    let config = marina::Config {
        step_size: 2.0,
        ..marina_of(1, Identity)
    };
    let mut server = Server::new(&config, &[0.0_f32; D], [0.0; 3 * D]).unwrap();
    give(&config, &mut server, f32::MAX);
    let name = "params";
    let error = finish(&config, &mut server);
    assert_eq!(
        error,
        Err(Error::NonFinite {
            name,
            at: thalweg::At::Element(0)
        }
        .into())
    );
    assert_eq!((server.round(), server.params()), (0, &[0.0; D][..]));
    broadcast(&config, &mut server, &mut [0; ROOM]).unwrap();
}

#[test]
fn counts_that_no_round_reaches_are_not_restored() {
    // Round, turn and count stand behind a field header each: at 32, 48 and 60.
    let (config, mut state) = (marina_of(1, Identity), server());
    let before = saved(&state);
    for (turn, heard) in [(0_u32, 1_u32), (0, 7), (0, u32::MAX), (3, 4)] {
        let bytes = with_number(&before, 48, &turn.to_le_bytes());
        let bytes = with_number(&bytes, 60, &heard.to_le_bytes());
        let error = state.restore(&bytes);
        let named = matches!(error, Err(SnapshotError::Value { name: "heard", .. }));
        assert!(named, "{turn} {heard}: {error:?}");
        assert_eq!(saved(&state), before);
    }
    // More clients than the run has: only the run knows.
    let bytes = with_number(&before, 48, &2_u32.to_le_bytes());
    let bytes = with_number(&bytes, 60, &2_u32.to_le_bytes());
    state.restore(&bytes).unwrap();
    let rule = "must be as many as had their turn in the round";
    let name = "clients";
    let error = finish(&config, &mut state);
    assert_eq!(error, Err(Error::Parameter { name, rule }.into()));
    let out_of_turn = ProtocolError::OutOfTurn {
        expected: 2,
        found: 2,
    };
    assert_eq!(skip(&config, &mut state), Err(out_of_turn));
    assert_eq!(saved(&state), bytes);

    let mut state = averaging();
    let before = saved(&state);
    for (turn, weight) in [(0_u32, 1_u64), (1, 1 << 32), (2, u64::MAX)] {
        let bytes = with_number(&before, 48, &turn.to_le_bytes());
        let bytes = with_number(&bytes, 60, &weight.to_le_bytes());
        let error = state.restore(&bytes);
        let named = matches!(error, Err(SnapshotError::Value { name: "weight", .. }));
        assert!(named, "{turn} {weight}: {error:?}");
        assert_eq!(saved(&state), before);
    }
    let bytes = with_number(&before, 48, &2_u32.to_le_bytes());
    let bytes = with_number(&bytes, 60, &9_u64.to_le_bytes());
    state.restore(&bytes).unwrap();
    let error = finish(&fed_avg_of(1, Identity), &mut state);
    assert_eq!(error, Err(Error::Parameter { name, rule }.into()));

    let mut state = client(0);
    let before = saved(&state);
    let error = state.restore(&with_number(&before, 60, &3_u32.to_le_bytes()));
    assert!(matches!(
        error,
        Err(SnapshotError::Value {
            name: "standing",
            ..
        })
    ));
    assert_eq!(saved(&state), before);
}

#[test]
fn rounds_end_before_their_number_does() {
    let (config, mut server) = (marina_of(1, Identity), server());
    let bytes = with_number(&saved(&server), 32, &u64::MAX.to_le_bytes());
    server.restore(&bytes).unwrap();
    skip(&config, &mut server).unwrap();
    let before = saved(&server);
    let rule = "must be below 2^64 - 1";
    let name = "round";
    let error = finish(&config, &mut server);
    assert_eq!(error, Err(Error::Parameter { name, rule }.into()));
    assert_eq!(saved(&server), before);
}
