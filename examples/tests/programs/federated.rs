//! Runs of the example `federated` as processes, and what stands between them.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use thalweg::wire::{Deframer, Expect, Kind, decode};

/// Nothing that goes well takes so long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A separate folder for the files of one test.
pub(crate) fn folder(test: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A process that is killed when the test is over with it.
#[derive(Debug)]
pub(crate) struct Program(pub(crate) Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    pub(crate) fn start(test: &str, arguments: &str) -> Self {
        Self::start_in(test, arguments, &[])
    }

    pub(crate) fn start_in(test: &str, arguments: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_federated"));
        command
            .args(arguments.split_whitespace())
            .envs(environment.iter().copied())
            .current_dir(folder(test));
        let streams = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(streams.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Exit code, output and errors; within the deadline, since the output is small enough to wait in its pipe.
    pub(crate) fn end(mut self) -> (Option<i32>, String, String) {
        let began = Instant::now();
        while self.0.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < DEADLINE, "a process does not end");
            thread::sleep(Duration::from_millis(5));
        }
        let (mut out, mut errors) = (String::new(), String::new());
        if let Some(mut stream) = self.0.stdout.take() {
            stream.read_to_string(&mut out).unwrap();
        }
        let mut stream = self.0.stderr.take().unwrap();
        stream.read_to_string(&mut errors).unwrap();
        (self.0.wait().unwrap().code(), out, errors)
    }
}

/// The one row of a file of figures, without what depends on the clock.
pub(crate) fn row(test: &str, file: &str) -> serde_json::Value {
    let text = fs::read_to_string(folder(test).join(file)).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut row = json["rows"][0].take();
    row["seconds"].take();
    row
}

/// The first line that a server prints states its address; the rest comes at its end.
pub(crate) fn listen(program: &mut Program) -> (String, mpsc::Receiver<String>) {
    let mut out = BufReader::new(program.0.stdout.take().unwrap());
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut first = String::new();
        let _ = out.read_line(&mut first);
        let _ = send.send(first);
        let mut rest = String::new();
        let _ = out.read_to_string(&mut rest);
        let _ = send.send(rest);
    });
    let first = lines.recv_timeout(DEADLINE).unwrap();
    (first.split_whitespace().nth(2).unwrap().to_owned(), lines)
}

/// Carries frames between a client and the server, whose address comes later. The first frame that opens round `dies` does not
/// reach the client: the line is cut, and the receiver hears of it.
pub(crate) fn relay(server: mpsc::Receiver<String>, dies: u64) -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let server = server.recv().unwrap();
        let mut is_armed = true;
        while let Ok((client, _)) = listener.accept() {
            let up = TcpStream::connect(&server).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), up.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let (mut from, mut to) = (up, client);
            let mut deframer = Deframer::new(vec![0; 1 << 16]);
            'line: while let Ok(n @ 1..) = from.read(deframer.space()) {
                deframer.filled(n);
                while let Some(frame) = deframer.next() {
                    let frame = frame.unwrap();
                    let header = decode(frame, &Expect::default()).unwrap().header;
                    let opens = matches!(header.kind, Kind::Model | Kind::Estimate);
                    if is_armed && opens && header.round == dies {
                        is_armed = false;
                        let _ = tell.send(());
                        break 'line;
                    }
                    if to.write_all(frame).is_err() {
                        break 'line;
                    }
                }
            }
        }
    });
    (address, told)
}
