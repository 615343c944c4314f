//! Arguments at the ends of their ranges, and models at the end of the finite numbers.

use thalweg::Error;
use thalweg::aggregate::Mean;
use thalweg::compress::Operator;
use thalweg::federated::machine::{finish, reply, skip};
use thalweg::wire::{DecodeError, Kind, SERVER};

use super::*;

/// The name of the argument that is refused.
fn argument<R>(found: Result<R, ProtocolError>) -> &'static str {
    match found {
        Err(ProtocolError::Argument(Error::Parameter { name, .. })) => name,
        _ => "none",
    }
}

fn values_of(kind: Kind, client: u32, round: u64, values: [f32; D]) -> Vec<u8> {
    frame(
        header(kind, client, round, D as u32),
        &Body::Values(&values),
    )
}

#[test]
fn step_sizes_are_finite_and_positive() {
    for (rate, fits) in [
        (1e-30, true),
        (0.0, false),
        (-1.0, false),
        (f32::INFINITY, false),
        (f32::NAN, false),
    ] {
        let config = marina::Config {
            step_size: rate,
            ..marina_of(2, Identity)
        };
        assert_eq!(config.validate(D).is_ok(), fits, "{rate}");
        let config = ef21::Config {
            step_size: rate,
            ..ef21_of(2, Identity)
        };
        assert_eq!(config.validate(D).is_ok(), fits, "{rate}");
        let config = fed_avg::Config {
            server_learning_rate: rate,
            aggregator: Mean,
            ..fed_avg_of(2, Identity)
        };
        assert_eq!(config.validate(D).is_ok(), fits, "{rate}");
    }
    let none = marina_of(0, Identity).validate(D).map_err(Into::into);
    assert_eq!(argument(none), "clients");
}

#[test]
fn a_client_beyond_the_last_sends_nothing() {
    let (mut out, config) = ([0; ROOM], marina_of(2, Identity));
    for (id, fits) in [(0, true), (1, true), (2, false)] {
        let mut client = client(id);
        assert_eq!(client.id(), id);
        let start = values_of(Kind::Model, SERVER, 0, [1.0; D]);
        receive(&config, &mut client, &start).unwrap();
        let said = reply(
            &config,
            &mut client,
            &mut [1.0; D],
            Buffers::default(),
            &mut out,
        );
        assert!(fits && said.is_ok() || argument(said) == "client");
        let config = fed_avg_of(2, Identity);
        let mut client = trainer(id);
        assert_eq!(client.id(), id);
        receive(&config, &mut client, &start).unwrap();
        let said = reply(
            &config,
            &mut client,
            &mut [1.0; D],
            Buffers::default(),
            &mut out,
        );
        assert!(fits && said.is_ok() || argument(said) == "client");
    }
}

#[test]
fn every_client_has_one_turn() {
    let (config, mut server) = (marina_of(2, Identity), server());
    let (average, mut other) = (fed_avg_of(2, Identity), averaging());
    for _ in 0..2 {
        skip(&config, &mut server).unwrap();
        skip(&average, &mut other).unwrap();
    }
    let (expected, found) = (2, 2);
    let error = Err(ProtocolError::OutOfTurn { expected, found });
    assert_eq!(skip(&config, &mut server), error);
    assert_eq!(skip(&average, &mut other), error);
}

#[test]
fn a_broadcast_is_a_frame_of_the_server_of_the_kind_and_type_awaited() {
    let (expected, found) = (SERVER, 1);
    let other_client = DecodeError::WrongClient { expected, found };
    let (expected, found) = (Kind::Model, Kind::Estimate);
    let other_kind = DecodeError::WrongKind { expected, found };
    let (expected, found) = (Dtype::F32.code(), Dtype::F64.code());
    let other_type = DecodeError::WrongDtype { expected, found };
    let head = Header {
        dtype: Dtype::F64,
        ..header(Kind::Model, SERVER, 0, D as u32)
    };
    let mut doubles = vec![0; head.frame_len()];
    encode_into(&head, &Body::Values(&[1.0_f64; D]), &mut doubles).unwrap();

    let config = fed_avg_of(2, Identity);
    let mut client = trainer(0);
    for (bytes, error) in [
        (values_of(Kind::Model, 1, 0, [1.0; D]), other_client),
        (values_of(Kind::Estimate, SERVER, 0, [1.0; D]), other_kind),
        (doubles.clone(), other_type),
    ] {
        let found = receive(&config, &mut client, &bytes);
        assert_eq!(found, Err(error.into()));
        assert_eq!(client.params(), [0.0; D]);
    }

    let config = marina_of(2, Identity);
    let mut client = super::client(0);
    let before = saved(&client);
    for (bytes, error) in [
        (values_of(Kind::Model, 1, 0, [1.0; D]), other_client),
        (doubles, other_type),
    ] {
        let found = receive(&config, &mut client, &bytes);
        assert_eq!(found, Err(error.into()));
    }
    let head = Header {
        dtype: Dtype::None,
        ..header(Kind::Ack, SERVER, 0, 0)
    };
    let found = receive(&config, &mut client, &frame(head, &Body::Empty));
    assert_eq!((argument(found), saved(&client)), ("frame", before));
}

#[test]
fn a_step_of_a_client_may_end_at_any_finite_number() {
    let config = marina::Config {
        step_size: 1.0,
        ..marina_of(1, Identity)
    };
    let mut client = client(0);
    let start = values_of(Kind::Model, SERVER, 3, [f32::MAX; D]);
    receive(&config, &mut client, &start).unwrap();
    let half = f32::MAX / 2.0;
    // Away from the end; the other way leads beyond it.
    let step = values_of(Kind::Estimate, SERVER, 4, [half; D]);
    receive(&config, &mut client, &step).unwrap();
    assert_eq!(client.params(), [half; D]);
    let step = values_of(
        Kind::Estimate,
        SERVER,
        5,
        [half, half, -f32::MAX, 0.0, 0.0, 0.0],
    );
    let before = saved(&client);
    let found = receive(&config, &mut client, &step);
    let (name, index) = ("params", 2);
    assert_eq!(
        found,
        Err(Error::NonFinite {
            name,
            at: thalweg::At::Element(index)
        }
        .into())
    );
    assert_eq!(saved(&client), before);
}

#[test]
fn the_model_of_a_server_may_end_at_any_finite_number() {
    // Two full gradients of MAX/2 in every element: the sum is MAX, their mean MAX/2.
    let (half, top) = (f32::MAX / 2.0, f32::MAX);
    let config = marina::Config {
        step_size: 1.0,
        ..marina_of(2, Identity)
    };
    let closed = |start: [f32; D]| {
        let mut server = Server::new(&config, &start, [0.0; 3 * D]).unwrap();
        for client in 0..2 {
            let bytes = values_of(Kind::Dense, client, 0, [half; D]);
            accept(&config, &mut server, &bytes, Buffers::default()).unwrap();
        }
        finish(&config, &mut server).map(|()| server)
    };
    let server = closed([top, top, half, 0.0, 0.0, 0.0]).unwrap();
    assert_eq!(server.params(), [half, half, 0.0, -half, -half, -half]);
    let (name, index) = ("params", 1);
    let error = closed([top, -top, 0.0, 0.0, 0.0, 0.0]).unwrap_err();
    assert_eq!(
        error,
        Error::NonFinite {
            name,
            at: thalweg::At::Element(index)
        }
        .into()
    );

    // Two changes of MAX/4 with two samples each: again the sum is MAX, but the mean MAX/4.
    let quarter = f32::MAX / 4.0;
    let config = fed_avg_of(2, Identity);
    let closed = |start: [f32; D]| {
        let mut server = averaging_from(start);
        for client in 0..2 {
            let bytes = values_of(Kind::Dense, client, 0, [quarter; D]);
            lent([D; 3], |b| {
                machine::accept(&config, &mut server, 2, &decode::<f32>(&bytes, D)?, b)
            })
            .unwrap();
        }
        finish(&config, &mut server).map(|()| server)
    };
    let server = closed([-top, -half, 0.0, quarter, quarter, quarter]).unwrap();
    let down = -0.75 * top;
    assert_eq!(server.params(), [down, -quarter, quarter, half, half, half]);
    let error = closed([-top, top, 0.0, 0.0, 0.0, 0.0]).unwrap_err();
    assert_eq!(
        error,
        Error::NonFinite {
            name,
            at: thalweg::At::Element(index)
        }
        .into()
    );
}

#[test]
fn replies_state_at_least_one_sample_and_at_most_what_their_field_holds() {
    let config = fed_avg_of(1, Identity);
    let mut server = averaging();
    let bytes = values_of(Kind::Dense, 0, 0, [1.0; D]);
    let mut give = |samples| {
        lent([D; 3], |b| {
            machine::accept(&config, &mut server, samples, &decode::<f32>(&bytes, D)?, b)
        })
    };
    assert_eq!(argument(give(0)), "samples");
    give(u32::MAX).unwrap();
    let mut other = averaging_from([0.0; D]);
    other.restore(&saved(&server)).unwrap();
    assert_eq!(saved(&other), saved(&server));
}

#[test]
fn a_client_that_follows_without_a_memory_is_saved_as_one() {
    let config = marina_of(1, Identity);
    let mut client = client(0);
    let start = values_of(Kind::Model, SERVER, 5, [2.0; D]);
    receive(&config, &mut client, &start).unwrap();
    let mut other = super::client(3);
    other.restore(&saved(&client)).unwrap();
    assert_eq!(saved(&other), saved(&client));
    assert_eq!((other.id(), other.round()), (0, 5));
    assert_eq!(Identity.clients(), None);
}
