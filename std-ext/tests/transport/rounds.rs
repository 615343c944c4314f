//! Replies that are refused, rounds that are quiet, clients that hold rounds up, runs that end early or begin again.

use super::*;

use thalweg::wire::{ALLOW_NON_FINITE, crc32c};

/// A client in a thread that replies with what `forge` makes of the round.
fn forger<'s>(
    scope: &'s Scope<'s, '_>,
    id: u32,
    address: SocketAddr,
    forge: impl Fn(u64) -> Vec<u8> + Send + 's,
) -> ScopedJoinHandle<'s, Ended> {
    let connect = move || tcp::connect(address, Duration::from_secs(1));
    scope.spawn(move || {
        me(id).run(connect, |frame, out| {
            let round = frame.header.round;
            let reply = forge(round);
            out[..reply.len()].copy_from_slice(&reply);
            Ok(reply.len())
        })
    })
}

fn reply(kind: Kind, dtype: Dtype, k: u32, round: u64) -> Header {
    Header {
        client: 2,
        seed: SEED,
        round,
        ..Header::new(kind, dtype, D as u32, k)
    }
}

/// A reply of NaN: announced by the flag in even rounds, hidden in odd ones.
fn not_a_number(round: u64) -> Vec<u8> {
    let header = reply(Kind::Dense, Dtype::F32, D as u32, round);
    if round.is_multiple_of(2) {
        let flags = ALLOW_NON_FINITE;
        return frame(Header { flags, ..header }, &Body::Values(&[f32::NAN; D]));
    }
    let mut bytes = frame(header, &Body::Values(&[1.0; D]));
    let end = bytes.len() - 4;
    bytes[end - 4..end].copy_from_slice(&f32::NAN.to_le_bytes());
    let check = crc32c(&[&bytes[..44], &bytes[48..end]].concat());
    bytes[end..].copy_from_slice(&check.to_le_bytes());
    bytes
}

/// A run in which client 2 replies with forged frames: bits, reasons by round, and how the forger ended.
fn forged(forge: impl Fn(u64) -> Vec<u8> + Send + 'static) -> (Vec<u32>, Vec<Absence>, Ended) {
    let (listener, address) = listen();
    let mut reasons = Vec::new();
    thread::scope(|scope| {
        let _others = [0, 1].map(|id| start(scope, me(id), address));
        let forger = forger(scope, 2, address, forge);
        let mut server = server(listener, limits());
        server.join().unwrap();
        let began = Instant::now();
        let bits = serve_all(|opening, refused| {
            for &id in refused {
                assert_eq!(id, 2);
                server.refuse(id)?;
            }
            let replies = server.round(opening)?;
            reasons.extend(server.absences().iter().map(|&(id, why)| {
                assert_eq!(id, 2);
                why
            }));
            Ok(replies)
        });
        server.stop().unwrap();
        // No round waits for it, though patience is 20 s.
        assert!(began.elapsed() < Duration::from_secs(5));
        (bits.unwrap(), reasons, forger.join().unwrap())
    })
}

#[test]
fn a_client_that_replies_with_nan_is_refused_by_name_and_sent_away_after_three_times() {
    let (bits, reasons, ended) = forged(not_a_number);
    assert_eq!(bits, in_process(|_, id| id == 2));
    let flagged = ProtocolError::Decode(DecodeError::NonFiniteFlag);
    let hidden = ProtocolError::Decode(DecodeError::NonFinite { index: D - 1 });
    assert_eq!(
        reasons[..3],
        [flagged, hidden, flagged].map(Absence::Refused)
    );
    assert!(reasons[3..].iter().all(|&why| why == Absence::SentAway));
    let error = ended.unwrap_err();
    assert!(matches!(error, TransportError::SentAway { client: 2 }));
}

#[test]
fn a_client_that_replies_with_a_frame_of_another_kind_is_sent_away_and_changes_no_other_bit() {
    let control = |round| frame(reply(Kind::Ack, Dtype::None, 0, round), &Body::Empty);
    let values = |kind, k| {
        move |round| {
            let header = reply(kind, Dtype::F32, k, round);
            frame(header, &Body::Values(&[1.0; D][..k as usize]))
        }
    };
    let wrong = |found| {
        let expected = Kind::Dense;
        Absence::Refused(DecodeError::WrongKind { expected, found }.into())
    };
    type Forge = Box<dyn Fn(u64) -> Vec<u8> + Send>;
    let forms: [(Forge, Option<Absence>); 3] = [
        (Box::new(control), Some(wrong(Kind::Ack))),
        (
            Box::new(values(Kind::Model, D as u32)),
            Some(wrong(Kind::Model)),
        ),
        // What the protocol refuses.
        (Box::new(values(Kind::PermK, 1)), None),
    ];
    for (form, why) in forms {
        let (bits, reasons, ended) = forged(form);
        assert_eq!(bits, in_process(|_, id| id == 2));
        let (refused, gone) = reasons.split_at(reasons.len() + 3 - ROUNDS as usize);
        assert_eq!(refused, why.map_or(vec![], |why| vec![why; 3]));
        assert!(gone.iter().all(|&why| why == Absence::SentAway));
        let error = ended.unwrap_err();
        assert!(matches!(error, TransportError::SentAway { client: 2 }));
    }
}

/// Frames that are too long to be any of the run, with right headers.
#[test]
fn a_client_whose_line_is_closed_for_damage_holds_up_no_round() {
    let (listener, address) = listen();
    let long = Header {
        d: 1 << 10,
        k: 1 << 10,
        ..reply(Kind::Dense, Dtype::F32, 0, 0)
    };
    let long = frame(long, &Body::Values(&[1.0; 1 << 10]));
    thread::scope(|scope| {
        let _others = [0, 1].map(|id| start(scope, me(id), address));
        scope.spawn(move || misbehave(address, |stream| stream.write_all(&long)));
        let began = Instant::now();
        assert_eq!(
            run(listener, limits()),
            (in_process(|_, id| id == 2), ROUNDS)
        );
        // Patience is 20 s.
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_client_that_asks_and_never_replies_holds_up_the_run_for_a_round_and_a_half() {
    let (listener, address) = listen();
    thread::scope(|scope| {
        let _others = [0, 1].map(|id| start(scope, me(id), address));
        let ask = |stream: &mut TcpStream| {
            thread::sleep(Duration::from_millis(5));
            stream.write_all(&hello(2))
        };
        scope.spawn(move || misbehave(address, ask));
        let began = Instant::now();
        let found = run(listener, hasty());
        assert_eq!(found, (in_process(|_, id| id == 2), ROUNDS));
        // 1 s for the first round, a quarter for the second, and so on: 4/3 s. It would be 12 s with the whole patience each time.
        let took = began.elapsed();
        assert!(took > Duration::from_secs(1) && took < Duration::from_secs(4));
    });
}

#[test]
fn a_quiet_round_can_be_opened_again_and_changes_no_bit() {
    let (listener, address) = listen();
    thread::scope(|scope| {
        for id in 0..N {
            scope.spawn(move || {
                let mut answer = client(id);
                let connect = || tcp::connect(address, Duration::from_secs(1));
                me(id).run(connect, |frame, out| {
                    let round = frame.header.round;
                    if round == 4 {
                        thread::sleep(Duration::from_millis(1050));
                    }
                    answer(frame, out)
                })
            });
        }
        let mut limits = limits();
        limits.round_timeout = Duration::from_millis(300);
        let mut server = server(listener, limits);
        server.join().unwrap();
        let mut quiet = 0;
        let bits = serve(|opening| {
            loop {
                match server.round(opening) {
                    Err(TransportError::NoReply { round, passed, .. }) => {
                        assert_eq!((round, passed), (4, 0));
                        assert_eq!(server.absences(), [0, 1, 2].map(|id| (id, Absence::Silent)));
                        quiet += 1;
                    }
                    found => return found,
                }
            }
        });
        server.stop().unwrap();
        assert_eq!(bits.unwrap(), undisturbed());
        assert!(quiet >= 2 && server.left_out() == 0, "{quiet}");
    });
}

#[test]
fn numbers_of_every_client_that_are_not_finite_are_named_so() {
    let (listener, address) = listen();
    thread::scope(|scope| {
        let clients = [0, 1, 2].map(|id| {
            scope.spawn(move || {
                let mut answer = client(id);
                let connect = || tcp::connect(address, Duration::from_secs(1));
                me(id).run(connect, |frame, out| {
                    if frame.header.round == 3 {
                        let name = "gradient";
                        return Err(thalweg::Error::NonFinite {
                            name,
                            at: thalweg::At::Element(0),
                        }
                        .into());
                    }
                    answer(frame, out)
                })
            })
        });
        let mut server = server(listener, limits());
        server.join().unwrap();
        let error = serve(|opening| server.round(opening)).unwrap_err();
        assert!(
            matches!(error, TransportError::NotFinite { round: 3 }),
            "{error}"
        );
        server.abort().unwrap();
        for client in clients {
            let error = client.join().unwrap().unwrap_err();
            assert!(matches!(error, TransportError::Aborted), "{error}");
        }
    });
}

#[test]
fn clients_begin_anew_with_a_server_that_was_killed_and_started_again() {
    let (listener, address) = listen();
    thread::scope(|scope| {
        let clients = [0, 1, 2].map(|id| start(scope, me(id), address));
        let mut first = server(listener.try_clone().unwrap(), limits());
        first.join().unwrap();
        let mut left = 7;
        let error = serve(|opening| {
            left -= 1;
            if left == 0 {
                return Err(ProtocolError::Empty.into());
            }
            first.round(opening)
        });
        error.unwrap_err();
        // Its lines close without a word.
        drop(first);
        assert_eq!(run(listener, limits()), (undisturbed(), 0));
        for client in clients {
            assert_eq!(client.join().unwrap().unwrap().rounds, 6 + ROUNDS);
        }
    });
}
