//! Short memory, and compressors of another run.

use thalweg::Error;
use thalweg::compress::{
    Compressor, Contracted, Dithering, Key, Lazy, Lengths, Message, Natural, Operator, PermK,
    RandK, Sign, TopK, Unbiased, Weight, perm_k, rand_k,
};
use thalweg::federated::machine::{broadcast, finish, reply};
use thalweg::wire::{EncodeError, Expect, Payload, decode};

use super::*;

/// A compressed reply with each buffer one too short, and with a frame one too short, is refused; nothing has changed, and the
/// reply that follows is that of a client that was never refused.
fn short_memory_is_refused(config: &impl Protocol<f32>) {
    let mut server = server();
    let mut client = client(0);
    let mut frame = [0; ROOM];
    let whole = config.compressor().lengths(D);
    let whole = [whole.values, whole.indices, whole.levels];
    let needed = 52 + config.compressor().bits(D).div_ceil(8) as usize;
    for gradient in [[1.0; D], [3.0, -1.0, 0.5, 2.0, 0.25, -4.0]] {
        let len = broadcast(config, &mut server, &mut frame).unwrap();
        receive(config, &mut client, &frame[..len]).unwrap();
        let (before, mut lost) = (saved(&client), gradient);
        if client.round() == 1 {
            for (which, name) in [(0, "values"), (1, "indices"), (2, "levels")] {
                let mut short = whole;
                let Some(less) = whole[which].checked_sub(1) else {
                    continue;
                };
                short[which] = less;
                let error = lent(short, |buffers| {
                    reply(config, &mut client, &mut lost, buffers, &mut [0; ROOM])
                });
                let expected = Error::Length {
                    name,
                    expected: whole[which],
                    found: less,
                };
                assert_eq!(error, Err(expected.into()));
            }
            let error = lent(whole, |buffers| {
                let out = &mut vec![0; needed - 1];
                reply(config, &mut client, &mut lost, buffers, out)
            });
            let found = needed - 1;
            let expected = EncodeError::Space { needed, found };
            assert_eq!(error, Err(ProtocolError::Encode(expected)));
            assert_eq!((saved(&client), lost), (before, gradient));
            let mut never_refused = client;
            let (mut one, mut two) = ([0; ROOM], [0; ROOM]);
            let mut other = gradient;
            lent(whole, |buffers| {
                reply(config, &mut client, &mut lost, buffers, &mut one).unwrap()
            });
            lent(whole, |buffers| {
                reply(config, &mut never_refused, &mut other, buffers, &mut two).unwrap()
            });
            assert_eq!(one, two);
            return;
        }
        let len = lent(whole, |buffers| {
            reply(config, &mut client, &mut lost, buffers, &mut frame).unwrap()
        });
        lent([D; 3], |buffers| {
            accept(config, &mut server, &frame[..len], buffers).unwrap();
        });
        finish(config, &mut server).unwrap();
    }
}

#[test]
fn short_buffers_are_named_before_the_memory_of_a_client_is_exchanged() {
    macro_rules! both {
        ($($compressor:expr),*) => {$(
            short_memory_is_refused(&marina_of(1, $compressor) );
            short_memory_is_refused(&ef21_of(1, $compressor) );
        )*};
    }
    both!(
        Dithering::qsgd(4),
        TopK { k: 2 },
        RandK::new(2),
        Natural,
        PermK::new(1),
        Sign,
        Contracted(Natural),
        Lazy { p: 1.0 }
    );
}

#[test]
fn short_buffers_are_named_before_a_trained_model_is_spent() {
    let config = fed_avg_of(1, Dithering::qsgd(4));
    let mut server = averaging();
    let mut client = trainer(0);
    let mut frame = [0; ROOM];
    let len = broadcast(&config, &mut server, &mut frame).unwrap();
    receive(&config, &mut client, &frame[..len]).unwrap();
    let mut trained = [2.0; D];
    let mut refused = |levels: usize, room: usize| {
        let (mut levels, mut out) = (vec![0; levels], vec![0; room]);
        let buffers = Buffers {
            levels: &mut levels,
            ..Buffers::default()
        };
        reply(&config, &mut client, &mut trained, buffers, &mut out).map(|len| out[..len].to_vec())
    };
    assert!(refused(D - 1, ROOM).is_err());
    assert!(refused(D, 58).is_err());
    // Each element has changed by 1: the norm is sqrt(6).
    let reply = refused(D, ROOM).unwrap();
    let frame = decode(&reply, &Expect::default()).unwrap();
    let Payload::Dithered { norm, .. } = frame.payload::<f32>().unwrap() else {
        panic!("another kind")
    };
    assert_eq!(norm, 6.0_f32.sqrt());
    // The model of the round is as it was: the change of the scratch that is left, 1 - 1, is none.
    let again = refused(D, ROOM).unwrap();
    let frame = decode(&again, &Expect::default()).unwrap();
    let Payload::Dithered { norm, .. } = frame.payload::<f32>().unwrap() else {
        panic!("another kind")
    };
    assert_eq!(norm, 0.0);
}

#[test]
fn a_change_that_no_compressor_can_take_leaves_the_client_as_it_was() {
    // Finite gradients, whose difference has an infinite norm: dithering refuses it.
    let config = marina_of(1, Dithering::qsgd(4));
    let (mut server, mut client, mut frame) = (server(), client(0), [0; ROOM]);
    let len = broadcast(&config, &mut server, &mut frame).unwrap();
    receive(&config, &mut client, &frame[..len]).unwrap();
    let len = lent([0, 0, D], |b| {
        reply(&config, &mut client, &mut [0.0; D], b, &mut frame)
    });
    lent([0; 3], |b| {
        accept(&config, &mut server, &frame[..len.unwrap()], b).unwrap();
    });
    finish(&config, &mut server).unwrap();
    let len = broadcast(&config, &mut server, &mut frame).unwrap();
    receive(&config, &mut client, &frame[..len]).unwrap();
    let (before, mut gradient) = (saved(&client), [2e38; D]);
    let error = lent([0, 0, D], |b| {
        reply(&config, &mut client, &mut gradient, b, &mut frame)
    });
    let expected = Error::NonFinite {
        name: "change of the gradient",
        at: thalweg::At::Element(0),
    };
    assert_eq!(error, Err(expected.into()));
    assert_eq!((saved(&client), gradient), (before, [2e38; D]));
}

#[test]
fn a_table_of_another_round_is_named_before_the_memory_of_a_client_is_exchanged() {
    let mut table = perm_k::Table::new([0_u32; D], [0_u32; 1]).unwrap();
    table.draw(3, 0).unwrap();
    let mut pool = rand_k::Pool::new([0_u32; D], 2).unwrap();
    pool.draw(Key {
        seed: 3,
        round: 0,
        client: 0,
    })
    .unwrap();
    table_of_another_round(&marina_of(1, table.clone()));
    table_of_another_round(&ef21_of(1, table.clone()));
    table_of_another_round(&marina_of(1, Contracted(table)));
    table_of_another_round(&marina_of(1, pool));
}

fn table_of_another_round(config: &impl Protocol<f32>) {
    let (mut server, mut client, mut frame) = (server(), client(0), [0; ROOM]);
    let len = broadcast(config, &mut server, &mut frame).unwrap();
    receive(config, &mut client, &frame[..len]).unwrap();
    let len = reply(
        config,
        &mut client,
        &mut [1.0; D],
        Buffers::default(),
        &mut frame,
    )
    .unwrap();
    lent([0; 3], |buffers| {
        accept(config, &mut server, &frame[..len], buffers)
    })
    .unwrap();
    finish(config, &mut server).unwrap();
    let len = broadcast(config, &mut server, &mut frame).unwrap();
    receive(config, &mut client, &frame[..len]).unwrap();
    let (before, mut gradient) = (saved(&client), [2.0; D]);
    let error = lent([D; 3], |buffers| {
        reply(config, &mut client, &mut gradient, buffers, &mut frame)
    });
    let named = |error| matches!(error, Err(ProtocolError::Argument(Error::Parameter { .. })));
    assert!(named(error), "{error:?}");
    assert_eq!((saved(&client), gradient), (before, [2.0; D]));
}

#[test]
fn models_of_no_numbers_are_trained_like_others() {
    let config = marina_of(1, Identity);
    let mut server = Server::new(&config, &[], [0.0_f32; 0]).unwrap();
    let mut client = Client::new(&config, 0, [0.0_f32; 0]).unwrap();
    let mut frame = [0; 56];
    for _ in 0..3 {
        let len = broadcast(&config, &mut server, &mut frame).unwrap();
        receive(&config, &mut client, &frame[..len]).unwrap();
        let len = reply(
            &config,
            &mut client,
            &mut [],
            Buffers::default(),
            &mut frame,
        );
        accept(
            &config,
            &mut server,
            &frame[..len.unwrap()],
            Buffers::default(),
        )
        .unwrap();
        finish(&config, &mut server).unwrap();
    }
    assert_eq!((server.round(), client.round()), (3, 2));
}

#[test]
fn a_compressor_for_another_number_of_clients_is_refused_by_every_protocol() {
    let rule = "must be as many in the compressor as in the run";
    let expected = Err(Error::Parameter {
        name: "clients",
        rule,
    });
    macro_rules! refused {
        ($($compressor:expr),*) => {$(
            assert_eq!(Protocol::<f32>::validate(&marina_of(3, $compressor), D), expected);
            assert_eq!(Protocol::<f32>::validate(&ef21_of(3, $compressor), D), expected);
            assert_eq!(fed_avg_of(3, $compressor).validate(D), expected);
        )*};
    }
    refused!(
        PermK::new(2),
        PermK::new(4),
        PermK::contiguous(2),
        perm_k::Table::new([0_u32; D], [0_u32; 2]).unwrap(),
        Contracted(PermK::new(2)),
        Contracted(Wrapped(PermK::new(2)))
    );
    for config in [
        marina_of(3, PermK::new(3)),
        marina_of(3, PermK::contiguous(3)),
    ] {
        assert_eq!(Protocol::<f32>::validate(&config, D), Ok(()));
    }
    assert_eq!(
        fed_avg_of(3, perm_k::Table::new([0_u32; D], [0_u32; 3]).unwrap()).validate(D),
        Ok(())
    );
    assert_eq!(fed_avg_of(3, RandK::new(2)).validate(D), Ok(()));
    // Nothing is written either.
    let (config, mut frame) = (marina_of(3, PermK::new(2)), [7; ROOM]);
    assert!(broadcast(&config, &mut server(), &mut frame).is_err());
    assert_eq!(frame, [7; ROOM]);
}

/// A wrapper of a caller's that forwards everything.
#[derive(Clone, Copy)]
struct Wrapped<C>(C);

impl<C: Operator> Operator for Wrapped<C> {
    fn validate(&self, d: usize) -> Result<(), Error> {
        self.0.validate(d)
    }
    fn lengths(&self, d: usize) -> Lengths {
        self.0.lengths(d)
    }
    fn clients(&self) -> Option<usize> {
        self.0.clients()
    }
    fn check_key(&self, key: Key) -> Result<(), Error> {
        self.0.check_key(key)
    }
}

impl<C: Compressor<f32>> Compressor<f32> for Wrapped<C> {
    fn compress<'m>(
        &self,
        key: Key,
        x: &'m [f32],
        buffers: Buffers<'m, f32>,
    ) -> Result<Message<'m, f32>, Error> {
        self.0.compress(key, x, buffers)
    }
    fn accumulate(
        &self,
        key: Key,
        message: &Message<'_, f32>,
        weight: Weight<f32>,
        out: &mut [f32],
    ) -> Result<(), Error> {
        self.0.accumulate(key, message, weight, out)
    }
    fn bits(&self, d: usize) -> u64 {
        self.0.bits(d)
    }
}

impl<C: Operator> Unbiased for Wrapped<C> {
    fn omega(&self, _: usize) -> f64 {
        0.0
    }
}
