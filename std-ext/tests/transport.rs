//! Runs over sockets on 127.0.0.1, clean and with faults, end with the bits of the run in one process or a named error.
//!
//! Where a fault costs a reply, the bits are those of the run in one process without that reply.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use rand_core::Rng;
use thalweg::compress::{Buffers, RandK};
use thalweg::federated::machine::{self, Client as State, Server as Machine};
use thalweg::federated::{Protocol, ProtocolError, Run, frame_len, marina};
use thalweg::random::{self, Purpose};
use thalweg::wire::{Body, DecodeError, Dtype, Expect, Frame, Header, Kind, decode, encode_into};
use thalweg_std::transport::{
    Absence, Accept, Client, Fixed, Limits, Opening, Reply, Server, Summary, TransportError, tcp,
};

#[path = "transport/rounds.rs"]
mod rounds;
#[path = "transport/strangers.rs"]
mod strangers;

const D: usize = 40;
const N: u32 = 3;
const ROUNDS: u64 = 12;
const SEED: u64 = 7;
const SAMPLES: u64 = 10;
const SETTINGS: u32 = 0xC0FFEE;

type Config = marina::Config<f32, RandK>;

fn config() -> Config {
    marina::Config {
        run: Run {
            seed: SEED,
            clients: N,
        },
        step_size: 0.01,
        probability: 0.3,
        compressor: RandK::new(9),
    }
}

/// Long enough for a busy machine; nothing that goes well waits for them.
fn limits() -> Limits {
    Limits {
        frame_timeout: Duration::from_millis(40),
        round_timeout: Duration::from_secs(20),
        join_timeout: Duration::from_secs(10),
        ..Limits::new(frame_len::<f32>(D as u32))
    }
}

/// Short enough for a test in which a client stays silent.
fn hasty() -> Limits {
    let mut limits = limits();
    limits.round_timeout = Duration::from_secs(1);
    limits
}

fn me(id: u32) -> Client {
    Client {
        id,
        seed: SEED,
        d: D as u32,
        samples: SAMPLES,
        settings: SETTINGS,
        limits: limits(),
    }
}

/// One client's state and its answer to a frame: the gradient of `sum_j (j + 1) (x_j - id)^2 / 2`.
fn client(id: u32) -> impl FnMut(&Frame<'_>, &mut [u8]) -> Result<usize, ProtocolError> + Send {
    let mut state = State::new(&config(), id, vec![0.0; 2 * D]).unwrap();
    move |frame, out| {
        match machine::receive(&config(), &mut state, frame) {
            Err(ProtocolError::Decode(DecodeError::WrongRound { .. }))
                if frame.header.kind == Kind::Model =>
            {
                // A server that was started again.
                state.rejoin();
                machine::receive(&config(), &mut state, frame)?;
            }
            received => received?,
        }
        let x = state.params().iter().enumerate();
        let mut gradient: Vec<f32> = x.map(|(j, x)| (j + 1) as f32 * (x - id as f32)).collect();
        let mut values = vec![0.0; D];
        let buffers = Buffers::values(&mut values);
        machine::reply(&config(), &mut state, &mut gradient, buffers, out)
    }
}

type Replies = Result<Vec<Option<Reply>>, TransportError>;

/// The server's run; `exchange` carries a round.
fn serve(mut exchange: impl FnMut(&Opening<'_>) -> Replies) -> Result<Vec<u32>, TransportError> {
    serve_all(|opening, _| exchange(opening))
}

/// As [`serve`]; `exchange` also hears whose replies of the round before were refused. They count as none.
fn serve_all(
    mut exchange: impl FnMut(&Opening<'_>, &[u32]) -> Replies,
) -> Result<Vec<u32>, TransportError> {
    let mut refused = Vec::new();
    let mut machine = Machine::new(&config(), &[1.0; D], vec![0.0; 3 * D]).unwrap();
    let mut frame = vec![0; frame_len::<f32>(D as u32)];
    let mut welcome = frame.clone();
    for round in 0..ROUNDS {
        let len = machine::broadcast(&config(), &mut machine, &mut frame)?;
        let late = machine::welcome(&config(), &machine, &mut welcome)?;
        let opening = Opening {
            round,
            frame: &frame[..len],
            welcome: &welcome[..late],
        };
        let replies = exchange(&opening, &refused)?;
        refused.clear();
        for (id, reply) in (0..).zip(replies) {
            let mut values = vec![0.0; D];
            let buffers = Buffers::values(&mut values);
            let accepted = reply
                .map(|reply| machine::accept(&config(), &mut machine, 1, &reply.frame(), buffers));
            if accepted.as_ref().is_some_and(Result::is_err) {
                refused.push(id);
            }
            if accepted.is_none_or(|accepted| accepted.is_err()) {
                machine::skip(&config(), &mut machine)?;
            }
        }
        machine::finish(&config(), &mut machine)?;
    }
    Ok(machine.params().iter().map(|x| x.to_bits()).collect())
}

/// The run in one process; a reply is missing where `absent` holds for its round and client.
fn in_process(absent: impl Fn(u64, u32) -> bool) -> Vec<u32> {
    let mut clients: Vec<_> = (0..N).map(client).collect();
    let exchange = |opening: &Opening<'_>| {
        let mut replies = Vec::new();
        for (id, answer) in (0..N).zip(&mut clients) {
            let mut out = vec![0; frame_len::<f32>(D as u32)];
            let frame = decode(opening.frame, &Expect::default()).unwrap();
            let len = answer(&frame, &mut out)?;
            out.truncate(len);
            let reply = Reply::new(out, &Expect::default()).unwrap();
            replies.push((!absent(opening.round, id)).then_some(reply));
        }
        Ok(replies)
    };
    serve(exchange).unwrap()
}

fn undisturbed() -> Vec<u32> {
    in_process(|_, _| false)
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn server<A: Accept>(door: A, limits: Limits) -> Server<A> {
    let samples = [SAMPLES; N as usize];
    Server::new(door, SEED, D as u32, &samples, limits).with_settings(SETTINGS)
}

/// Bits of a run, and how often a client was left out.
fn run<A: Accept>(door: A, limits: Limits) -> (Vec<u32>, u64) {
    let mut server = server(door, limits);
    server.join().unwrap();
    let bits = serve(|opening| server.round(opening)).unwrap();
    server.stop().unwrap();
    (bits, server.left_out())
}

type Ended = Result<Summary, TransportError>;

/// A client in a thread, over plain sockets.
fn start<'s>(
    scope: &'s Scope<'s, '_>,
    me: Client,
    address: SocketAddr,
) -> ScopedJoinHandle<'s, Ended> {
    let connect = move || tcp::connect(address, Duration::from_secs(1));
    scope.spawn(move || me.run(connect, client(me.id)))
}

fn frame(header: Header, body: &Body<'_, f32>) -> Vec<u8> {
    let mut out = vec![0; header.frame_len()];
    encode_into(&header, body, &mut out).unwrap();
    out
}

fn hello(id: u32) -> Vec<u8> {
    let header = Header {
        client: id,
        seed: SEED,
        ..Header::new(Kind::Hello, Dtype::F32, D as u32, SETTINGS)
    };
    frame(header, &Body::Hello { samples: SAMPLES })
}

/// A stream that loses, repeats, changes, cuts, invents or delays what is written, about one write in `rate`.
struct Faulty {
    stream: TcpStream,
    rng: random::Stream,
    rate: u32,
    /// Sent after the write that follows.
    held: Vec<u8>,
}

impl Read for Faulty {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.rate == 0 {
            return self.stream.write(bytes);
        }
        let late = std::mem::take(&mut self.held);
        let mut put = |bytes: &[u8]| self.stream.write(bytes).map(drop);
        if self.rng.next_u32().is_multiple_of(self.rate) {
            match self.rng.next_u32() % 6 {
                0 => {}
                1 => put(bytes).and_then(|()| put(bytes))?,
                2 => {
                    let mut bytes = bytes.to_vec();
                    let at = self.rng.next_u32() as usize % bytes.len();
                    bytes[at] ^= 0x10;
                    put(&bytes)?;
                }
                3 => put(&bytes[..bytes.len() / 2])?,
                4 => put(b"garbage \xD7TWF").and_then(|()| put(bytes))?,
                _ => self.held = bytes.to_vec(),
            }
        } else {
            put(bytes)?;
        }
        self.stream.write(&late)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn faulty(stream: TcpStream, seed: u64, rate: u32) -> Faulty {
    Faulty {
        stream,
        rng: random::stream(seed, 0, 0, Purpose::DATA),
        rate,
        held: Vec::new(),
    }
}

/// A listener whose streams are faulty.
struct Door(TcpListener, u64, u32);

impl Accept for Door {
    type Stream = Faulty;

    fn accept(&mut self) -> io::Result<Option<Faulty>> {
        self.1 += 1;
        let stream = Accept::accept(&mut self.0)?;
        Ok(stream.map(|stream| faulty(stream, self.1, self.2)))
    }
}

/// A run over sockets with faults in both directions.
fn over_tcp(seed: u64, rate: u32) -> Vec<u32> {
    let (listener, address) = listen();
    thread::scope(|scope| {
        for id in 0..N {
            scope.spawn(move || {
                let mut lines = seed * 100 + u64::from(id);
                let connect = || {
                    lines += 10;
                    let stream = tcp::connect(address, Duration::from_secs(1))?;
                    Ok(faulty(stream, lines, rate))
                };
                me(id).run(connect, client(id))
            });
        }
        let (bits, left_out) = run(Door(listener, seed << 32, rate), limits());
        assert_eq!(left_out, 0);
        bits
    })
}

#[test]
fn a_run_over_tcp_has_the_bits_of_the_run_in_one_process() {
    assert_eq!(over_tcp(1, 0), undisturbed());
}

#[test]
fn loss_repetition_reordering_damage_and_garbage_change_no_bit() {
    for seed in 1..4 {
        assert_eq!(over_tcp(seed, 6), undisturbed(), "seed {seed}");
    }
}

/// A stream that is cut after so many bytes.
struct Short(TcpStream, usize);

impl Short {
    fn pay(&mut self, count: usize) -> io::Result<usize> {
        self.1 = self.1.checked_sub(count).ok_or(ErrorKind::BrokenPipe)?;
        Ok(count)
    }
}

impl Read for Short {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(bytes)?;
        self.pay(count)
    }
}

impl Write for Short {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(bytes)?;
        self.pay(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[test]
fn a_client_that_loses_its_line_and_keeps_its_state_goes_on_with_the_same_bits() {
    let (listener, address) = listen();
    thread::scope(|scope| {
        let _others = [1, 2].map(|id| start(scope, me(id), address));
        let cut = scope.spawn(move || {
            // From nothing but the Hello to some rounds.
            let mut bytes = 30;
            let connect = || {
                bytes += 97;
                Ok(Short(tcp::connect(address, Duration::from_secs(1))?, bytes))
            };
            me(0).run(connect, client(0))
        });
        assert_eq!(run(listener, limits()), (undisturbed(), 0));
        assert!(cut.join().unwrap().unwrap().reconnects >= 5);
    });
}

#[test]
fn a_client_that_dies_and_starts_anew_takes_part_from_the_next_full_round_on() {
    let is_full = |round| Protocol::<f32>::is_full(&config(), round);
    let dies = (1..).find(|&r| !is_full(r) && !is_full(r + 1)).unwrap();
    let back = (dies..ROUNDS - 1).find(|&r| is_full(r)).unwrap();
    let (listener, address) = listen();
    thread::scope(|scope| {
        let _others = [0, 2].map(|id| start(scope, me(id), address));
        scope.spawn(move || {
            let connect = || tcp::connect(address, Duration::from_secs(1));
            let (mut answer, mut rounds) = (client(1), 0);
            let mortal = |frame: &Frame<'_>, out: &mut [u8]| {
                rounds += 1;
                if rounds > dies {
                    return Err(ProtocolError::Empty);
                }
                answer(frame, out)
            };
            me(1).run(connect, mortal).unwrap_err();
            let summary = me(1).run(connect, client(1)).unwrap();
            assert_eq!(
                (summary.passed, summary.rounds),
                (back - dies, ROUNDS - back)
            );
        });
        let absent = |round, id| id == 1 && (dies..back).contains(&round);
        assert_eq!(run(listener, limits()), (in_process(absent), 0));
    });
}

/// A peer that joins as client 2 and then does what it should not; it ends when the server has closed the line.
fn misbehave(address: SocketAddr, act: impl Fn(&mut TcpStream) -> io::Result<()>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(&hello(2)).unwrap();
    while act(&mut stream).is_ok() {}
}

#[test]
fn a_peer_that_drips_or_sends_what_no_round_asked_for_is_left_out_and_changes_no_other_bit() {
    let reply = Header {
        client: 2,
        seed: SEED,
        ..Header::new(Kind::Dense, Dtype::F32, D as u32, D as u32)
    };
    let good = frame(reply, &Body::Values(&[1.0; D]));
    let drip = |stream: &mut TcpStream| {
        for byte in &good {
            thread::sleep(Duration::from_millis(2));
            stream.write_all(std::slice::from_ref(byte))?;
        }
        Ok(())
    };
    // Longer than any frame of the run, with a header that is right.
    let long = frame(
        Header {
            d: 1 << 16,
            k: 1 << 16,
            ..reply
        },
        &Body::Values(&[1.0; 1 << 16]),
    );
    let flood = |stream: &mut TcpStream| stream.write_all(&long);
    // A round that never was, and a client that is somebody else.
    let stray = [
        Header {
            round: 1 << 40,
            ..reply
        },
        Header { client: 1, ..reply },
    ];
    let stray = stray.map(|header| frame(header, &Body::Values(&[9.0; D])));
    let stray = |stream: &mut TcpStream| {
        thread::sleep(Duration::from_millis(1));
        stream.write_all(&stray.concat())
    };
    type Act<'a> = &'a (dyn Fn(&mut TcpStream) -> io::Result<()> + Sync);
    let acts: [(&str, Act<'_>); 3] = [("drip", &drip), ("flood", &flood), ("stray", &stray)];
    let one = |name: &str, act: Act<'_>| {
        let (listener, address) = listen();
        thread::scope(|scope| {
            let _others = [0, 1].map(|id| start(scope, me(id), address));
            scope.spawn(move || misbehave(address, act));
            let found = run(listener, hasty());
            assert_eq!(found, (in_process(|_, id| id == 2), ROUNDS), "{name}");
        });
    };
    thread::scope(|scope| {
        for (name, act) in acts {
            scope.spawn(move || one(name, act));
        }
    });
}

/// A stream that has a Hello to say, takes a few bytes and then nothing.
struct Wall {
    hello: Vec<u8>,
    room: usize,
}

impl Read for Wall {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.hello.as_slice().read(bytes)?;
        self.hello.drain(..count);
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(count)
    }
}

impl Write for Wall {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room);
        self.room -= count;
        if count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn readers_that_never_read_end_the_run_with_a_named_error_in_time() {
    let wall = |id| Wall {
        hello: hello(id),
        room: 70,
    };
    let began = Instant::now();
    let mut server = server(Fixed((0..N).map(wall).collect()), hasty());
    server.join().unwrap();
    let error = serve(|opening| server.round(opening)).unwrap_err();
    assert!(matches!(error, TransportError::NoReply { round: 0, .. }));
    server.stop().unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_reader_that_never_reads_is_left_out_and_changes_no_other_bit() {
    let (listener, address) = listen();
    thread::scope(|scope| {
        let _others = [0, 1].map(|id| start(scope, me(id), address));
        let silent = |_: &mut TcpStream| {
            thread::sleep(Duration::from_millis(1200));
            Err(ErrorKind::TimedOut.into())
        };
        scope.spawn(move || misbehave(address, silent));
        let found = run(listener, hasty());
        assert_eq!(found, (in_process(|_, id| id == 2), ROUNDS));
    });
}

/// A client that soon gives up a server that is silent.
fn impatient(id: u32) -> Client {
    let mut client = me(id);
    client.limits.join_timeout = Duration::from_millis(200);
    client
}

#[test]
fn a_client_that_never_comes_is_named_in_time_and_the_others_are_told_to_wait_until_then() {
    let (listener, address) = listen();
    let mut limits = limits();
    limits.join_timeout = Duration::from_millis(600);
    thread::scope(|scope| {
        let early = start(scope, impatient(1), address);
        let began = Instant::now();
        let mut server = server(listener, limits);
        let error = server.join().unwrap_err().to_string();
        assert!(error.contains("client 0 has not joined"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(5));
        server.stop().unwrap();
        assert_eq!(early.join().unwrap().unwrap().rounds, 0);
    });
}

#[test]
fn a_server_that_is_silent_or_gone_is_named_in_time() {
    let (listener, address) = listen();
    let began = Instant::now();
    let connect = || tcp::connect(address, Duration::from_secs(1));
    // The system takes the connection into the queue; nobody answers.
    let error = impatient(0).run(connect, client(0)).unwrap_err();
    assert!(matches!(error, TransportError::Silent { .. }), "{error}");
    drop(listener);
    let error = impatient(0).run(connect, client(0)).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("cannot connect to the server"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(5));
}
