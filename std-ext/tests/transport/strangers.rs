//! Who is not a client of the run: wrong clients, strangers, and connections that want the place of a client.

use super::*;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use thalweg::ALGORITHM_VERSION;
use thalweg::wire::{Fingerprint, MAJOR, Payload, SERVER};

#[test]
fn the_older_of_two_connections_that_claim_one_client_ends_by_name() {
    let (listener, address) = listen();
    thread::scope(|scope| {
        // The listener's queue holds the first until the server looks; the others come after it has been displaced.
        let older = start(scope, me(0), address);
        scope.spawn(move || {
            thread::sleep(Duration::from_millis(100));
            let newer = start(scope, me(0), address);
            let error = older.join().unwrap().unwrap_err();
            assert!(matches!(error, TransportError::Displaced { client: 0 }));
            let _others = [1, 2].map(|id| start(scope, me(id), address));
            assert_eq!(newer.join().unwrap().unwrap().rounds, ROUNDS);
        });
        assert_eq!(run(listener, limits()), (undisturbed(), 0));
    });
}

#[test]
fn a_client_of_another_run_is_told_the_difference_and_the_run_goes_on() {
    let (listener, address) = listen();
    let wrong = [
        (Client { id: N, ..me(0) }, "there is no client 3"),
        (
            Client { seed: 8, ..me(0) },
            "client 0 has another seed than its server",
        ),
        (
            Client { d: 41, ..me(0) },
            "client 0 has another dimension than its server",
        ),
        (
            Client {
                samples: 9,
                ..me(0)
            },
            "client 0 has another number of samples than its server",
        ),
        (
            Client {
                settings: 5,
                ..me(0)
            },
            "client 0 has another fingerprint of its settings than its server",
        ),
    ];
    thread::scope(|scope| {
        scope.spawn(move || {
            for (who, words) in wrong {
                let error = start(scope, who, address).join().unwrap().unwrap_err();
                let text = error.to_string();
                assert!(text.contains(words), "{text}");
            }
            // One that states no settings is taken at its word.
            let silent = Client {
                settings: 0,
                ..me(0)
            };
            let _all = [silent, me(1), me(2)].map(|who| start(scope, who, address));
        });
        assert_eq!(run(listener, limits()), (undisturbed(), 0));
    });
}

#[test]
fn strangers_in_any_number_keep_no_client_out() {
    let (listener, address) = listen();
    let say: [&[u8]; 4] = [b"", b"\xD7T", b"GET / HTTP/1.1\r\n\r\n", &[0xFF; 4096]];
    let mut strangers = Vec::new();
    for text in say.iter().cycle().take(60) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(text).unwrap();
        strangers.push(stream);
    }
    thread::scope(|scope| {
        let _all = [0, 1, 2].map(|id| start(scope, me(id), address));
        assert_eq!(run(listener, limits()), (undisturbed(), 0));
    });
}

/// What a server says to one Hello.
fn asked(address: SocketAddr, header: Header, samples: u64) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    let limit = Some(Duration::from_secs(5));
    stream.set_read_timeout(limit).unwrap();
    let said = frame(header, &Body::Hello { samples });
    stream.write_all(&said).unwrap();
    let mut answer = vec![0; said.len()];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[test]
fn a_stranger_hears_which_field_differs_and_no_value_of_the_run() {
    let (listener, address) = listen();
    let known = Header {
        client: 1,
        seed: SEED,
        ..Header::new(Kind::Hello, Dtype::F32, D as u32, SETTINGS)
    };
    let fields = |bytes: &[u8]| {
        let found = decode(bytes, &Expect::default()).unwrap();
        let Ok(Payload::Hello { samples }) = found.payload::<f32>() else {
            panic!("no Hello");
        };
        let Header { seed, d, k, .. } = found.header;
        [seed, u64::from(d), u64::from(k), samples]
    };
    let secret = [SEED, D as u64, u64::from(SETTINGS), SAMPLES];
    thread::scope(|scope| {
        let honest = [0, 1, 2].map(|id| start(scope, me(id), address));
        scope.spawn(move || {
            // It has found out so many of the fields, in the order in which they are compared.
            for right in 0..4 {
                let said = [0, 1, 2, 3].map(|i| if i < right { secret[i] } else { 99 });
                let header = Header {
                    seed: said[0],
                    d: said[1] as u32,
                    k: said[2] as u32,
                    ..known
                };
                let heard = fields(&asked(address, header, said[3]));
                for (i, &heard) in heard.iter().enumerate() {
                    assert_eq!(heard == said[i], i != right, "{right} {i}");
                    assert!(i < right || heard != secret[i], "{right} {i}");
                }
            }
        });
        let mut server = server(listener, limits());
        server.join().unwrap();
        // The server looks at strangers while rounds are open.
        let bits = serve(|opening| {
            thread::sleep(Duration::from_millis(20));
            server.round(opening)
        });
        server.stop().unwrap();
        assert_eq!(bits.unwrap(), undisturbed());
        for client in honest {
            client.join().unwrap().unwrap();
        }
    });
}

#[test]
fn a_client_that_answers_keeps_its_place_and_gives_it_up_when_it_is_silent() {
    let (listener, address) = listen();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let others = [1, 2].map(|id| start(scope, me(id), address));
        let honest = scope.spawn(move || {
            let mut answer = client(0);
            let connect = || tcp::connect(address, Duration::from_secs(1));
            me(0).run(connect, |frame, out| {
                thread::sleep(Duration::from_millis(80));
                if frame.header.round == 1 {
                    // The server has its reply to round 0.
                    let _ = tell.send(());
                }
                answer(frame, out)
            })
        });
        let thief = scope.spawn(move || {
            // It knows all that a client knows, and comes when the client has answered.
            told.recv().unwrap();
            start(scope, me(0), address).join().unwrap()
        });
        // 0.4 s without a word free a place: none that is computing for a moment loses it.
        let mut limits = limits();
        limits.frame_timeout = Duration::from_millis(200);
        assert_eq!(run(listener, limits), (undisturbed(), 0));
        assert_eq!(honest.join().unwrap().unwrap().rounds, ROUNDS);
        let error = thief.join().unwrap().unwrap_err();
        assert!(
            matches!(error, TransportError::Displaced { client: 0 }),
            "{error}"
        );
        for other in others {
            other.join().unwrap().unwrap();
        }
    });
    // A line that is open and silent: the client is back on another one, as after a network that has lost it.
    let (listener, address) = listen();
    thread::scope(|scope| {
        let _others = [1, 2].map(|id| start(scope, me(id), address));
        scope.spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&hello(0)).unwrap();
            thread::sleep(Duration::from_millis(100));
            assert_eq!(
                start(scope, me(0), address).join().unwrap().unwrap().rounds,
                ROUNDS
            );
            drop(stream);
        });
        assert_eq!(run(listener, limits()), (undisturbed(), 0));
    });
}

/// A listener of a process that may have so many streams open.
struct Narrow {
    listener: TcpListener,
    open: Arc<AtomicUsize>,
    most: usize,
}

struct Counted(TcpStream, Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Read for Counted {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Accept for Narrow {
    type Stream = Counted;

    fn accept(&mut self) -> io::Result<Option<Counted>> {
        if self.open.load(Ordering::Relaxed) >= self.most {
            // EMFILE; 10024 is its number on Windows.
            let code = if cfg!(windows) { 10024 } else { 24 };
            return Err(io::Error::from_raw_os_error(code));
        }
        let stream = Accept::accept(&mut self.listener)?;
        Ok(stream.map(|stream| {
            self.open.fetch_add(1, Ordering::Relaxed);
            Counted(stream, Arc::clone(&self.open))
        }))
    }
}

#[test]
fn strangers_that_use_up_the_descriptors_are_closed_and_the_run_goes_on() {
    let (listener, address) = listen();
    let strangers: Vec<_> = (0..60)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    let open = Arc::new(AtomicUsize::new(0));
    let narrow = |most| Narrow {
        listener: listener.try_clone().unwrap(),
        open: Arc::clone(&open),
        most,
    };
    thread::scope(|scope| {
        let _all = [0, 1, 2].map(|id| start(scope, me(id), address));
        assert_eq!(run(narrow(9), limits()), (undisturbed(), 0));
    });
    drop(strangers);
    // Too few for the clients themselves.
    thread::scope(|scope| {
        let _all = [0, 1, 2].map(|id| start(scope, impatient(id), address));
        let mut limits = limits();
        limits.join_timeout = Duration::from_millis(600);
        let mut server = server(narrow(2), limits);
        let error = server.join().unwrap_err();
        assert!(matches!(error, TransportError::Io { .. }), "{error}");
        assert!(error.to_string().contains("no more connections"), "{error}");
        server.abort().unwrap();
    });
}

#[test]
fn another_major_version_is_answered_at_once_and_named_by_a_client() {
    let (listener, address) = listen();
    let mut later = hello(0);
    later[4] = MAJOR + 1;
    thread::scope(|scope| {
        let said = later.clone();
        scope.spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(5)))
                .unwrap();
            stream.write_all(&said).unwrap();
            let mut heard = Vec::new();
            // Until the server closes the line.
            stream.read_to_end(&mut heard).unwrap();
            assert_eq!(heard[..5], [0xD7, b'T', b'W', b'F', MAJOR]);
            let _all = [0, 1, 2].map(|id| start(scope, me(id), address));
        });
        assert_eq!(run(listener, limits()), (undisturbed(), 0));
    });
    let (listener, address) = listen();
    listener.set_nonblocking(false).unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().unwrap();
                stream.write_all(&later).unwrap();
            }
        });
        let began = Instant::now();
        let error = start(scope, me(0), address).join().unwrap().unwrap_err();
        assert!(
            matches!(error, TransportError::Version { found: 2 }),
            "{error}"
        );
        assert!(began.elapsed() < Duration::from_secs(5));
    });
}

#[test]
fn a_stranger_that_sends_damage_is_closed_after_so_many_frames() {
    let (listener, address) = listen();
    // Right headers, wrong frames.
    let mut damaged = hello(0);
    *damaged.last_mut().unwrap() ^= 1;
    let forms = [damaged.repeat(70), vec![7; 1 << 16]];
    thread::scope(|scope| {
        scope.spawn(move || {
            for bytes in forms {
                let mut stream = TcpStream::connect(address).unwrap();
                stream
                    .set_read_timeout(Some(Duration::from_secs(9)))
                    .unwrap();
                let _ = stream.write_all(&bytes);
                // The end of the line, or its reset: bytes are left that nobody reads.
                match stream.read(&mut [0]) {
                    Ok(count) => assert_eq!(count, 0),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
                }
            }
            let _all = [0, 1, 2].map(|id| start(scope, me(id), address));
        });
        assert_eq!(run(listener, limits()), (undisturbed(), 0));
    });
}

/// Counts how often a server looks for connections.
struct Watched(usize);

impl Accept for Watched {
    type Stream = TcpStream;

    fn accept(&mut self) -> io::Result<Option<TcpStream>> {
        self.0 += 1;
        // Looks every 0.2 ms would be 3000 in 0.6 s. Pauses of a sixteenth of the silence, from 0.2 to 20 ms, make about 100.
        assert!(
            self.0 < 400,
            "a look every {:?}",
            Duration::from_millis(600) / 400
        );
        Ok(None)
    }
}

#[test]
fn a_server_to_which_nobody_talks_looks_less_and_less_often() {
    let mut limits = limits();
    limits.join_timeout = Duration::from_millis(600);
    let error = server(Watched(0), limits).join().unwrap_err();
    assert!(matches!(
        error,
        TransportError::NotJoined { missing: 0, .. }
    ));
}

#[test]
fn another_version_of_the_algorithms_is_refused_on_both_sides_and_both_are_named() {
    let other = Fingerprint {
        algorithms: ALGORITHM_VERSION + 1,
        ..Fingerprint::new(SETTINGS)
    };
    let said = Header {
        client: 1,
        seed: SEED,
        ..Header::new(Kind::Hello, Dtype::F32, D as u32, other.code())
    };
    let (own, next) = (ALGORITHM_VERSION, ALGORITHM_VERSION + 1);
    let (listener, address) = listen();
    thread::scope(|scope| {
        let heard = scope.spawn(move || asked(address, said, SAMPLES));
        let mut limits = limits();
        limits.join_timeout = Duration::from_secs(1);
        let error = server(listener, limits).join().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("client 1 has version {next} of the algorithms, its server version {own}")
        );
        let heard = heard.join().unwrap();
        let k = decode(&heard, &Expect::default()).unwrap().header.k;
        assert_eq!(Fingerprint::from_code(k), Fingerprint::new(SETTINGS));
    });
    // The server is the one of another version.
    let (mut listener, address) = listen();
    thread::scope(|scope| {
        let client = start(scope, me(1), address);
        let mut stream = loop {
            match Accept::accept(&mut listener).unwrap() {
                Some(stream) => break stream,
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        let header = Header {
            client: SERVER,
            ..said
        };
        let answer = frame(header, &Body::Hello { samples: SAMPLES });
        stream.write_all(&answer).unwrap();
        let error = client.join().unwrap().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("client 1 has version {own} of the algorithms, its server version {next}")
        );
    });
}
