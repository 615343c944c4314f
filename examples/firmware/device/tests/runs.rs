//! Runs with device clients end with the bits of the run in one process: in threads with a faulty line, and on emulated boards.
//!
//! `bash examples/firmware/build microbit virt` builds their images; those of an older commit may not fit the tests.
//! `THALWEG_BOARDS="microbit virt" cargo test --test runs -- --ignored` runs the boards.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise"
)]

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use embedded_io::{ErrorType, Read, ReadReady, Write, WriteReady};
use thalweg::compress::{Buffers, Compressor, Identity, PermK, RandK, TopK};
use thalweg::federated::machine::{self, Client as State, Server as Machine};
use thalweg::federated::{Protocol, ProtocolError, Run, decode, ef21, frame_len, marina};
use thalweg::model::{Init, Objective, mlp};
use thalweg::random::{self, Purpose};
use thalweg::vector;
use thalweg::wire::{self, Body, Deframer, Dtype, Expect, Frame, Kind};
use thalweg_device::boards::{self, Board};
use thalweg_device::client::{self, Failure};
use thalweg_device::memory::{self, Memory};
use thalweg_device::shard::{self, Header, Method, Shard};
use thalweg_std::data::{Dataset, digits};
use thalweg_std::transport::{Client, Limits, Opening, Reply, Server, tcp};

/// Of the smallest board.
const SIZES: [usize; 3] = [64, 6, 10];
const D: usize = 460;
/// Rows of each client: more than a block of the network, more than a device takes at once, and uneven.
const ROWS: [u32; 4] = [70, 9, 41, 30];
const N: u32 = 4;
const SEED: u64 = 11;
const ROUNDS: u64 = 8;
/// Fingerprint of what server and shards agree on.
const SETTINGS: u32 = 77;

fn model() -> mlp::Model<'static, f32> {
    mlp::Model::new(&SIZES)
}

fn data() -> Dataset {
    let mut all = digits().unwrap();
    all.scale(1.0 / 16.0);
    all
}

/// The rows of a client in the whole data set.
fn rows(id: u32) -> Vec<u32> {
    let start: u32 = ROWS[..id as usize].iter().sum();
    (start..start + ROWS[id as usize]).map(|i| i * 7).collect()
}

fn header(method: Method, id: u32) -> Header {
    Header {
        method,
        seed: SEED,
        client: id,
        clients: N,
        rows: ROWS[id as usize],
        total: ROWS.iter().sum(),
        features: 64,
        hidden: 6,
        classes: 10,
        k: 46,
        step_size: 0.5,
        probability: 0.25,
        settings: SETTINGS,
    }
}

/// The shard of a client, as a file would hold it.
fn shard(header: Header) -> Vec<u8> {
    let part = data().select(&rows(header.client)).unwrap();
    let inputs = header.rows as usize * usize::from(header.features);
    let shard = Shard {
        header,
        features: &part.features()[..inputs],
        classes: &part.labels()[..header.rows as usize],
    };
    let mut out = vec![0; shard::encoded_len(header.rows, header.features).unwrap()];
    shard::write(&shard, &mut out).unwrap();
    out
}

fn limits() -> Limits {
    Limits {
        // An emulated line carries some ten thousand bytes a second on a busy machine.
        frame_timeout: Duration::from_secs(3),
        round_timeout: Duration::from_secs(60),
        join_timeout: Duration::from_secs(60),
        ..Limits::new(frame_len::<f32>(D as u32))
    }
}

/// A client of the host: rows through a list, all of a block at once.
fn host_client<P: Protocol<f32>>(
    config: P,
    id: u32,
) -> impl FnMut(&Frame<'_>, &mut [u8]) -> Result<usize, ProtocolError> {
    let (data, rows) = (data(), rows(id));
    let mut state = State::new(&config, id, vec![0.0; 2 * D]).unwrap();
    let total: u32 = ROWS.iter().sum();
    move |frame, out| {
        machine::receive(&config, &mut state, frame)?;
        let batch = data.batch()?.select(&rows)?;
        let (mut scratch, mut gradient) =
            (vec![0.0; model().scratch_len(rows.len())], vec![0.0; D]);
        model().gradient_into(state.params(), &batch, &mut gradient, &mut scratch)?;
        let factor = (N as usize * rows.len()) as f64 / f64::from(total);
        vector::scale(factor as f32, &mut gradient);
        let (mut values, mut indices) = (vec![0.0; D], vec![0; D]);
        let buffers = Buffers {
            indices: &mut indices,
            ..Buffers::values(&mut values)
        };
        machine::reply(&config, &mut state, &mut gradient, buffers, out)
    }
}

/// The server's run; `exchange` carries a round.
fn serve<P: Protocol<f32>>(
    config: &P,
    mut exchange: impl FnMut(&Opening<'_>) -> Vec<Option<Reply>>,
) -> Vec<u32> {
    let mut start = vec![0.0; D];
    let rng = &mut random::stream(SEED, 0, 0, Purpose::INIT);
    model()
        .init_into(Init::KaimingNormal, rng, &mut start)
        .unwrap();
    let mut machine = Machine::new(config, &start, vec![0.0; 3 * D]).unwrap();
    let mut frame = vec![0; frame_len::<f32>(D as u32)];
    let mut welcome = frame.clone();
    for round in 0..ROUNDS {
        let len = machine::broadcast(config, &mut machine, &mut frame).unwrap();
        let late = machine::welcome(config, &machine, &mut welcome).unwrap();
        let opening = Opening {
            round,
            frame: &frame[..len],
            welcome: &welcome[..late],
        };
        for reply in exchange(&opening) {
            let (mut values, mut indices) = (vec![0.0; D], vec![0; D]);
            let buffers = Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            };
            let reply = reply.unwrap();
            machine::accept(config, &mut machine, 1, &reply.frame(), buffers).unwrap();
        }
        machine::finish(config, &mut machine).unwrap();
    }
    machine.params().iter().map(|x| x.to_bits()).collect()
}

fn in_process<P: Protocol<f32> + Copy>(config: P) -> Vec<u32> {
    let mut clients: Vec<_> = (0..N).map(|id| host_client(config, id)).collect();
    serve(&config, |opening| {
        let mut replies = Vec::new();
        for client in &mut clients {
            let mut out = vec![0; frame_len::<f32>(D as u32)];
            let frame = decode::<f32>(opening.frame, D).unwrap();
            let len = client(&frame, &mut out).unwrap();
            out.truncate(len);
            replies.push(Some(Reply::new(out, &Expect::default()).unwrap()));
        }
        replies
    })
}

/// Clients that are not threads of the host's client: their numbers, and what to wait for.
type Guests = (Vec<u32>, Vec<JoinHandle<()>>);

/// A run over sockets: `guests` start separate clients for the ids that they answer; the rest are threads of the host.
fn over_tcp<P: Protocol<f32> + Copy + Send>(
    config: P,
    guests: impl FnOnce(SocketAddr) -> Guests,
) -> Vec<u32> {
    let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let samples = ROWS.map(u64::from);
    let server = Server::new(listener, SEED, D as u32, &samples, limits());
    let mut server = server.with_settings(SETTINGS);
    let (guests, waited) = guests(address);
    std::thread::scope(|scope| {
        for id in (0..N).filter(|id| !guests.contains(id)) {
            scope.spawn(move || {
                let me = Client {
                    id,
                    seed: SEED,
                    d: D as u32,
                    samples: samples[id as usize],
                    settings: SETTINGS,
                    limits: limits(),
                };
                let connect = || tcp::connect(address, Duration::from_secs(1));
                me.run(connect, host_client(config, id)).unwrap();
            });
        }
        server.join().unwrap();
        let bits = serve(&config, |opening| server.round(opening).unwrap());
        server.stop().unwrap();
        assert_eq!(server.left_out(), 0);
        // A client that has missed the end sees the line closed.
        drop(server);
        for guest in waited {
            guest.join().unwrap();
        }
        bits
    })
}

/// A socket seen as a serial port that loses, changes and invents a byte in about `rate`, both ways.
struct Port {
    stream: TcpStream,
    arrived: VecDeque<u8>,
    rng: random::Stream,
    rate: u32,
}

impl Port {
    fn passes(&mut self, byte: u8) -> Option<u8> {
        use rand_core::Rng as _;
        if self.rate == 0 || !self.rng.next_u32().is_multiple_of(self.rate) {
            return Some(byte);
        }
        (!self.rng.next_u32().is_multiple_of(3)).then_some(byte ^ 0x20)
    }
}

impl ErrorType for Port {
    type Error = io::Error;
}

impl ReadReady for Port {
    fn read_ready(&mut self) -> io::Result<bool> {
        let mut bytes = [0; 512];
        match io::Read::read(&mut self.stream, &mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                for &byte in &bytes[..count] {
                    let byte = self.passes(byte);
                    self.arrived.extend(byte);
                }
            }
            Err(_) => std::thread::sleep(Duration::from_micros(50)),
        }
        Ok(!self.arrived.is_empty())
    }
}

impl WriteReady for Port {
    fn write_ready(&mut self) -> io::Result<bool> {
        Ok(true)
    }
}

impl Read for Port {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.arrived.len());
        for (to, from) in bytes.iter_mut().zip(self.arrived.drain(..count)) {
            *to = from;
        }
        Ok(count)
    }
}

impl Write for Port {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for &byte in bytes {
            if let Some(byte) = self.passes(byte) {
                io::Write::write_all(&mut self.stream, &[byte])?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The device's client on a shard, at a line that damages a byte in about `rate`; a beat takes 10 ms.
fn device(header: Header, address: SocketAddr, rate: u32) -> Result<client::Summary, Failure> {
    // Words, for the alignment.
    let bytes = shard(header);
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    let flash: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    flash[..bytes.len()].copy_from_slice(&bytes);
    let shard = shard::read(flash).unwrap();
    let mut buffers = Memory::<
        D,
        { memory::scratch_len(&SIZES) },
        { memory::indices_len(&SIZES) },
        { memory::frame_len(&SIZES) },
    >::new();
    let port = Port {
        stream: tcp::connect(address, Duration::from_secs(1)).unwrap(),
        arrived: VecDeque::new(),
        rng: random::stream(5, 0, u64::from(header.client), Purpose::DATA),
        rate,
    };
    let mut last = Instant::now();
    let beat = || {
        let passed = last.elapsed() >= Duration::from_millis(10);
        if passed {
            last = Instant::now();
        }
        passed
    };
    client::run(port, &shard, buffers.lend(), beat)
}

/// The device's client in threads of this process, for clients 0 and 2.
fn in_threads(method: Method, rate: u32) -> impl FnOnce(SocketAddr) -> Guests {
    move |address| {
        let spawn = |id| {
            std::thread::spawn(move || {
                let summary = device(header(method, id), address, rate).unwrap();
                assert_eq!((summary.rounds, summary.passed), (ROUNDS, 0));
                assert!(rate == 0 || summary.repeats > 0);
            })
        };
        let ids = [0, 2];
        (ids.to_vec(), ids.map(spawn).into())
    }
}

const RUN: Run = Run {
    seed: SEED,
    clients: N,
};

fn marina<C: Compressor<f32>>(compressor: C, probability: f64) -> marina::Config<f32, C> {
    marina::Config {
        run: RUN,
        step_size: 0.5,
        probability,
        compressor,
    }
}

const EF21: ef21::Config<f32, TopK> = ef21::Config {
    run: RUN,
    step_size: 0.5,
    restart: 0.25,
    compressor: TopK { k: 46 },
};

#[test]
fn every_method_has_the_bits_of_the_run_in_one_process() {
    let config = marina(Identity, 1.0);
    let guests = in_threads(Method::Whole, 0);
    assert_eq!(over_tcp(config, guests), in_process(config));
    let config = marina(PermK::new(4), 0.25);
    let guests = in_threads(Method::MarinaPermK, 0);
    assert_eq!(over_tcp(config, guests), in_process(config));
    let config = marina(RandK::new(46), 0.25);
    let guests = in_threads(Method::MarinaRandK, 0);
    assert_eq!(over_tcp(config, guests), in_process(config));
    let guests = in_threads(Method::Ef21TopK, 0);
    assert_eq!(over_tcp(EF21, guests), in_process(EF21));
}

#[test]
fn bytes_that_are_lost_or_changed_on_the_line_change_no_bit() {
    let config = marina(PermK::new(4), 0.25);
    let guests = in_threads(Method::MarinaPermK, 4000);
    assert_eq!(over_tcp(config, guests), in_process(config));
}

/// What `clients` end with at a server of the run that waits for all of them.
fn turned_away<T>(clients: impl FnOnce(SocketAddr) -> T) -> T {
    let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let samples = ROWS.map(u64::from);
    let limits = Limits {
        join_timeout: Duration::from_millis(500),
        ..limits()
    };
    let server = Server::new(listener, SEED, D as u32, &samples, limits);
    let mut server = server.with_settings(SETTINGS);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                server.join().unwrap_err();
            }
        });
        let found = clients(address);
        over.store(true, Ordering::Relaxed);
        found
    })
}

/// Shards of other runs, and what is wrong with each.
fn strangers() -> [(Header, &'static str); 4] {
    let own = header(Method::MarinaPermK, 1);
    let settings = SETTINGS + 1;
    [
        (Header { settings, ..own }, "settings"),
        (Header { seed: 12, ..own }, "seed"),
        (Header { hidden: 5, ..own }, "dimension"),
        (Header { rows: 8, ..own }, "rows"),
    ]
}

#[test]
fn shards_of_other_runs_are_turned_away_by_name() {
    turned_away(|address| {
        for (header, word) in strangers() {
            let said = device(header, address, 0).unwrap_err().to_string();
            assert!(said.contains(word), "{said} lacks {word}");
        }
    });
}

#[test]
fn a_device_gives_a_server_up_that_says_nothing() {
    // It listens and takes no connection.
    let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let own = header(Method::Whole, 0);
    assert_eq!(device(own, address, 0), Err(Failure::Silent));
}

/// A server's end of a line, frame by frame.
struct Script {
    stream: TcpStream,
    line: Deframer<Vec<u8>>,
    out: Vec<u8>,
}

impl Script {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        Self {
            stream,
            line: Deframer::new(vec![0; 8 * frame_len::<f32>(D as u32)]),
            out: vec![0; frame_len::<f32>(D as u32)],
        }
    }

    fn say(&mut self, kind: Kind, dtype: Dtype, k: u32, round: u64, body: &Body<'_, f32>) {
        let header = wire::Header {
            client: wire::SERVER,
            round,
            seed: SEED,
            ..wire::Header::new(kind, dtype, D as u32, k)
        };
        let len = wire::encode_into(&header, body, &mut self.out).unwrap();
        io::Write::write_all(&mut self.stream, &self.out[..len]).unwrap();
    }

    /// Opens a round, again after each Hello, until the reply is there.
    fn round(&mut self, round: u64, opening: &[u8]) -> Vec<u8> {
        io::Write::write_all(&mut self.stream, opening).unwrap();
        loop {
            while let Some(found) = self.line.next() {
                let frame = found.unwrap();
                let header = wire::decode(frame, &Expect::default()).unwrap().header;
                match header.kind {
                    Kind::Hello => {
                        let fingerprint = wire::Fingerprint::from_code(header.k);
                        assert_eq!(fingerprint.algorithms, thalweg::ALGORITHM_VERSION);
                        io::Write::write_all(&mut self.stream, opening).unwrap();
                    }
                    _ if header.round == round => return frame.to_vec(),
                    _ => {}
                }
            }
            let count = io::Read::read(&mut self.stream, self.line.space()).unwrap();
            assert!(count > 0, "the client has gone");
            self.line.filled(count);
        }
    }

    /// Forgets what is on its way, as a server does that is started again.
    fn forget(&mut self) {
        let until = Instant::now() + Duration::from_millis(200);
        let short = Duration::from_millis(10);
        self.stream.set_read_timeout(Some(short)).unwrap();
        while Instant::now() < until {
            let _ = io::Read::read(&mut self.stream, &mut [0; 4096]);
        }
        self.stream.set_read_timeout(None).unwrap();
        self.line.clear();
    }

    /// Some rounds of a server that is started at a model of all `start`; the model at its end.
    fn serve<P: Protocol<f32>>(&mut self, config: &P, start: f32, rounds: u64) -> Vec<u32> {
        self.forget();
        let mut machine = Machine::new(config, &[start; D], vec![0.0; 3 * D]).unwrap();
        let mut frame = vec![0; frame_len::<f32>(D as u32)];
        for round in 0..rounds {
            let len = machine::broadcast(config, &mut machine, &mut frame).unwrap();
            let reply = self.round(round, &frame[..len]);
            let (mut values, mut indices) = (vec![0.0; D], vec![0; D]);
            let buffers = Buffers {
                indices: &mut indices,
                ..Buffers::values(&mut values)
            };
            let reply = decode::<f32>(&reply, D).unwrap();
            machine::accept(config, &mut machine, 1, &reply, buffers).unwrap();
            machine::finish(config, &mut machine).unwrap();
        }
        machine.params().iter().map(|x| x.to_bits()).collect()
    }
}

/// What the one client of a run ends with at a server that follows a script.
fn at_script<R: Send>(
    method: Method,
    script: impl FnOnce(&mut Script) -> R + Send,
) -> (Result<client::Summary, Failure>, R) {
    let listener = tcp::listen("127.0.0.1:0".parse().unwrap()).unwrap();
    listener.set_nonblocking(false).unwrap();
    let address = listener.local_addr().unwrap();
    let header = Header {
        clients: 1,
        total: ROWS[0],
        ..header(method, 0)
    };
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let mut line = Script::accept(&listener);
            let result = script(&mut line);
            // The line stays open until the client has read the last frame.
            let _ = io::Read::read_to_end(&mut line.stream, &mut Vec::new());
            result
        });
        let ended = device(header, address, 0);
        (ended, server.join().unwrap())
    })
}

#[test]
fn every_end_of_a_run_has_its_name() {
    type Last = fn(&mut Script);
    let samples = u64::from(ROWS[0]);
    let stop: [Last; 2] = [
        |line| line.say(Kind::Stop, Dtype::None, 0, 0, &Body::Empty),
        |line| line.say(Kind::Stop, Dtype::None, 0, u64::MAX, &Body::Empty),
    ];
    assert!(at_script(Method::Whole, stop[0]).0.is_ok());
    assert_eq!(at_script(Method::Whole, stop[1]).0, Err(Failure::Aborted));
    let rejection_reason = |round, samples, settings| {
        let hello = move |line: &mut Script| {
            let body = Body::Hello { samples };
            line.say(Kind::Hello, Dtype::F32, settings, round, &body);
        };
        at_script(Method::Whole, hello).0.unwrap_err()
    };
    let (expected, found) = (0, samples);
    let other = SETTINGS + 1;
    for (failure, words, said) in [
        (
            Failure::Displaced,
            "another client has taken the place of this one",
            rejection_reason(0, samples, SETTINGS),
        ),
        (
            Failure::SentAway,
            "the server could not use the replies of this client",
            rejection_reason(1, samples, SETTINGS),
        ),
        (
            Failure::Samples { expected, found },
            "the server has no such client",
            rejection_reason(0, 0, SETTINGS),
        ),
        (
            Failure::Settings {
                expected: other,
                found: SETTINGS,
            },
            "settings 00004d, the server has others",
            rejection_reason(0, samples, other),
        ),
    ] {
        assert_eq!((said, said.to_string().as_str()), (failure, words));
    }
    assert_eq!(
        Failure::Aborted.to_string(),
        "the server ended the run early"
    );
}

/// A server that was started again stands at an earlier round, or at the same one with another model: the board begins anew.
#[test]
fn a_server_that_was_started_again_is_followed() {
    let run = Run {
        seed: SEED,
        clients: 1,
    };
    let config = marina::Config {
        run,
        ..marina(Identity, 1.0)
    };
    let ends = |first: u64| {
        at_script(Method::Whole, |line| {
            line.serve(&config, -0.25, first);
            let model = line.serve(&config, 0.5, ROUNDS);
            line.say(Kind::Stop, Dtype::None, 0, 0, &Body::Empty);
            model
        })
    };
    let (summary, alone) = ends(0);
    assert_eq!(summary.unwrap().rounds, ROUNDS);
    assert!(alone.iter().any(|x| *x != 0.5_f32.to_bits()));
    for first in [1, 2, 5, ROUNDS + 3] {
        let (summary, model) = ends(first);
        let summary = summary.unwrap();
        assert_eq!(
            (summary.rounds, summary.passed),
            (first + ROUNDS, 0),
            "{first}"
        );
        assert!(model == alone, "{first}");
    }
    // Compressed differences: the first round of the new server has full gradients, and the client is in it.
    let config = marina::Config {
        run,
        ..marina(RandK::new(46), 0.25)
    };
    let ends = |first: u64| {
        at_script(Method::MarinaRandK, |line| {
            line.serve(&config, -0.25, first);
            let model = line.serve(&config, 0.5, ROUNDS);
            line.say(Kind::Stop, Dtype::None, 0, 0, &Body::Empty);
            model
        })
    };
    assert!(ends(5).1 == ends(0).1);
}

/// An emulator that ends with its owner.
struct Emulator(Child, &'static Board);

impl Emulator {
    fn start(board: &'static Board, header: Header, address: SocketAddr) -> Self {
        let name = format!("{}-{}-{}.shard", board.name, header.client, header.settings);
        let file = folder().join(name);
        fs::write(&file, shard(header)).unwrap();
        let child = Command::new(board.emulator())
            .args(["-M", board.machine, "-display", "none", "-monitor", "none"])
            .args(["-semihosting-config", "enable=on,target=native"])
            .args(["-bios", "none"])
            .args(["-serial", &format!("tcp:{address}")])
            .args(["-device", &loader(board, &file)])
            .arg("-kernel")
            .arg(image(board))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child, board)
    }
}

/// Puts a shard where the image looks for it.
fn loader(board: &Board, file: &Path) -> String {
    let (file, at) = (file.display(), board.shard.origin);
    format!("loader,file={file},addr={at:#x},force-raw=on")
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn folder() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&path).unwrap();
    path
}

fn image(board: &Board) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/firmware");
    root.join(format!("{}.elf", board.name))
}

/// The boards that `THALWEG_BOARDS` names.
fn boards() -> Vec<&'static Board> {
    let names = std::env::var("THALWEG_BOARDS").unwrap_or("microbit".into());
    let board = |name| boards::find(name).unwrap_or_else(|| panic!("no board {name}"));
    names.split_whitespace().map(board).collect()
}

/// Boards take the ids from 0 on, three at most at a time.
fn on_boards<P: Protocol<f32> + Copy + Send>(config: P, method: Method) {
    let expected = in_process(config);
    for boards in boards().chunks(3) {
        let mut machines = Vec::new();
        let guests = |address| {
            for (id, &board) in boards.iter().enumerate() {
                let header = header(method, id as u32);
                machines.push(Emulator::start(board, header, address));
            }
            ((0..boards.len() as u32).collect(), Vec::new())
        };
        let names: Vec<_> = boards.iter().map(|board| board.name).collect();
        assert_eq!(over_tcp(config, guests), expected, "{names:?}");
        for Emulator(child, board) in &mut machines {
            let mut said = String::new();
            let stream = child.stderr.as_mut().unwrap();
            io::Read::read_to_string(stream, &mut said).unwrap();
            assert_eq!(
                child.wait().unwrap().code(),
                Some(0),
                "{}: {said}",
                board.name
            );
            // The board's words at the end: "stack: 2100 bytes of 4000".
            let words: Vec<_> = said.split_whitespace().collect();
            let ["stack:", depth, "bytes", "of", most] = words[..] else {
                panic!("{}: {said}", board.name);
            };
            let number = |text: &str| text.parse::<usize>().unwrap();
            assert!(number(depth) < number(most), "{}: {said}", board.name);
            eprintln!("{}: {}", board.name, said.trim());
        }
    }
}

#[test]
#[ignore = "needs QEMU and `bash examples/firmware/build microbit`"]
fn boards_have_the_bits_of_the_run_in_one_process() {
    on_boards(marina(PermK::new(4), 0.25), Method::MarinaPermK);
    on_boards(marina(RandK::new(46), 0.25), Method::MarinaRandK);
    on_boards(EF21, Method::Ef21TopK);
}

#[test]
#[ignore = "needs QEMU and `bash examples/firmware/build microbit`"]
fn boards_with_shards_of_other_runs_say_what_is_wrong() {
    let board = boards()[0];
    turned_away(|address| {
        for (header, word) in strangers() {
            let Emulator(child, _) = &mut Emulator::start(board, header, address);
            let mut said = String::new();
            let stream = child.stderr.as_mut().unwrap();
            io::Read::read_to_string(stream, &mut said).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(3), "{said}");
            assert!(said.contains(word), "{said} lacks {word}");
        }
    });
}
