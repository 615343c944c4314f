//! Runs over sockets on 127.0.0.1, clean and with faults, end with the bits of the run in one process.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rand_core::Rng;
use thalweg::compress::{Buffers, RandK};
use thalweg::federated::estimator::{self, Client as State, Server as Machine};
use thalweg::federated::{ProtocolError, Run, frame_len, marina};
use thalweg::random::{self, Purpose};
use thalweg_std::transport::{Accept, Client, Limits, Opening, Server, TransportError, tcp};

const D: usize = 40;
const N: u32 = 3;
const ROUNDS: u64 = 12;
const SEED: u64 = 7;

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

fn limits() -> Limits {
    Limits {
        frame_timeout: Duration::from_millis(100),
        round_timeout: Duration::from_secs(20),
        join_timeout: Duration::from_secs(20),
        ..Limits::new(frame_len::<f32>(D as u32))
    }
}

/// One client's state and its answer to a frame: the gradient of `sum_j (j + 1) (x_j - id)^2 / 2`.
fn client(id: u32) -> impl FnMut(&[u8], &mut [u8]) -> Result<usize, ProtocolError> {
    let mut state = State::new(id, vec![0.0; D], vec![0.0; D]).unwrap();
    move |frame, out| {
        estimator::receive(&config(), &mut state, frame)?;
        let x = state.params().iter().enumerate();
        let mut gradient: Vec<f32> = x.map(|(j, x)| (j + 1) as f32 * (x - id as f32)).collect();
        let mut values = vec![0.0; D];
        let buffers = Buffers::values(&mut values);
        marina::reply(&config(), &mut state, &mut gradient, buffers, out)
    }
}

/// The server's run; `exchange` carries a round.
fn serve(
    mut exchange: impl FnMut(&Opening<'_>) -> Result<Vec<Option<Vec<u8>>>, TransportError>,
) -> Result<Vec<u32>, TransportError> {
    let mut machine = Machine::new(vec![1.0; D], vec![0.0; D], vec![0.0; D]).unwrap();
    let mut frame = vec![0; frame_len::<f32>(D as u32)];
    let mut welcome = frame.clone();
    for round in 0..ROUNDS {
        let len = estimator::broadcast(&config(), &mut machine, &mut frame)?;
        let late = estimator::welcome(&config(), &mut machine, &mut welcome)?;
        let opening = Opening {
            round,
            frame: &frame[..len],
            welcome: &welcome[..late],
        };
        for reply in exchange(&opening)? {
            match reply {
                Some(reply) => {
                    let mut values = vec![0.0; D];
                    let buffers = Buffers::values(&mut values);
                    estimator::accept(&config(), &mut machine, &reply, buffers)?;
                }
                None => estimator::skip(&config(), &mut machine)?,
            }
        }
        estimator::finish(&config(), &mut machine)?;
    }
    Ok(machine.params().iter().map(|x| x.to_bits()).collect())
}

fn in_process() -> Vec<u32> {
    let mut clients: Vec<_> = (0..N).map(client).collect();
    let exchange = |opening: &Opening<'_>| {
        let mut replies = Vec::new();
        for answer in &mut clients {
            let mut out = vec![0; frame_len::<f32>(D as u32)];
            let len = answer(opening.frame, &mut out)?;
            out.truncate(len);
            replies.push(Some(out));
        }
        Ok(replies)
    };
    serve(exchange).unwrap()
}

/// A stream that loses, repeats, changes, cuts and invents what is written, about one write in `rate`.
struct Faulty {
    stream: TcpStream,
    rng: random::Stream,
    rate: u32,
}

impl Read for Faulty {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.stream.read(bytes)
    }
}

impl Write for Faulty {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.rate == 0 || !self.rng.next_u32().is_multiple_of(self.rate) {
            return self.stream.write(bytes);
        }
        match self.rng.next_u32() % 5 {
            0 => {}
            1 => drop((self.stream.write(bytes)?, self.stream.write(bytes)?)),
            2 => {
                let mut bytes = bytes.to_vec();
                let at = self.rng.next_u32() as usize % bytes.len();
                bytes[at] ^= 0x10;
                self.stream.write(&bytes)?;
            }
            3 => drop(self.stream.write(&bytes[..bytes.len() / 2])?),
            _ => drop((
                self.stream.write(b"garbage \xD7TWF")?,
                self.stream.write(bytes)?,
            )),
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

fn faulty(stream: TcpStream, seed: u64, rate: u32) -> Faulty {
    let rng = random::stream(seed, 0, 0, Purpose::DATA);
    Faulty { stream, rng, rate }
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

/// A run over sockets with faults in both directions; a slow-loris stranger stands in the door.
fn over_tcp(seed: u64, rate: u32) -> Vec<u32> {
    let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let mut loris = TcpStream::connect(address).unwrap();
    loris.write_all(b"\xD7T").unwrap();
    let samples = [10; N as usize];
    let door = Door(listener, seed << 32, rate);
    let mut server = Server::new(door, SEED, D as u32, &samples, limits());
    std::thread::scope(|scope| {
        for id in 0..N {
            let limits = limits();
            let me = Client {
                id,
                seed: SEED,
                d: D as u32,
                samples: 10,
                limits,
            };
            scope.spawn(move || {
                let mut lines = seed * 100 + u64::from(id);
                let connect = || {
                    lines += 10;
                    let stream = tcp::connect(address, Duration::from_secs(1))?;
                    Ok(faulty(stream, lines, rate))
                };
                me.run(connect, client(id))
            });
        }
        server.join().unwrap();
        let bits = serve(|opening| server.round(opening)).unwrap();
        server.stop().unwrap();
        assert_eq!(server.left_out(), 0);
        // Nobody waits for a Stop that a fault has taken.
        drop(server);
        bits
    })
}

#[test]
fn a_run_over_tcp_has_the_bits_of_the_run_in_one_process() {
    assert_eq!(over_tcp(1, 0), in_process());
}

#[test]
fn loss_repetition_damage_and_garbage_change_no_bit() {
    for seed in 1..4 {
        assert_eq!(over_tcp(seed, 6), in_process(), "seed {seed}");
    }
}

#[test]
fn a_client_that_never_comes_is_named_in_time() {
    let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let join_timeout = Duration::from_millis(200);
    let limits = Limits {
        join_timeout,
        ..limits()
    };
    let mut server = Server::new(listener, SEED, D as u32, &[10; 2], limits);
    let began = Instant::now();
    let error = server.join().unwrap_err().to_string();
    assert!(error.contains("client 0 has not joined"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
}
