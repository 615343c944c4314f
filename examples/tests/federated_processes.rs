//! One run over several processes: the bits of the run in one process, rejoining, and errors that name what to do.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "programs/federated.rs"]
mod programs;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use programs::{DEADLINE, Program, folder, listen, relay, row};
use thalweg::compress::{RandK, TopK};
use thalweg::federated::{Protocol, Run, ef21, marina};
use thalweg::wire::{
    Body, Deframer, Dtype, Expect, HEADER, Header, Kind, Payload, crc32c, decode, encode_into,
};
use thalweg_std::train::TensorFile;

const SMALL: &str = "--clients 3 --hidden 4";
const PERM_K: &str = "--protocol marina --compressor perm-k --step-sizes 0.5";

/// A server at a free port.
struct Server(Program, String, mpsc::Receiver<String>);

impl Server {
    fn start(test: &str, arguments: &str) -> Self {
        Self::start_at(test, arguments, "127.0.0.1:0")
    }

    fn start_at(test: &str, arguments: &str, address: &str) -> Self {
        let arguments = format!("{arguments} --listen {address} --json server.json");
        let mut program = Program::start(test, &arguments);
        let (address, lines) = listen(&mut program);
        Self(program, address, lines)
    }

    /// Exit code, output and errors.
    fn end(self) -> (Option<i32>, String, String) {
        let (code, _, errors) = self.0.end();
        (code, self.2.recv_timeout(DEADLINE).unwrap(), errors)
    }
}

fn client(test: &str, arguments: &str, address: &str, id: usize) -> Program {
    Program::start(
        test,
        &format!("{arguments} --connect {address} --client {id}"),
    )
}

#[test]
fn a_run_over_processes_has_the_bits_of_the_run_in_one() {
    let test = "same_bits";
    for method in [
        PERM_K,
        "--protocol marina --compressor rand-k --k 20 --step-sizes 0.25",
        "--protocol ef21 --step-sizes 0.5",
        "--protocol fedavg --step-sizes 0.25",
    ] {
        let common = format!("{SMALL} {method}");
        let rounds = format!("{common} --rounds 12");
        let (code, ..) = Program::start(test, &format!("{rounds} --json alone.json")).end();
        assert_eq!(code, Some(0));
        let server = Server::start(test, &format!("{rounds} --save model"));
        let clients = [0, 1, 2].map(|id| client(test, &common, &server.1, id));
        for program in clients {
            let (code, out, errors) = program.end();
            assert_eq!(code, Some(0), "{errors}");
            assert!(out.contains("12 rounds answered, 0 sat out"), "{out}");
        }
        let (code, out, errors) = server.end();
        assert_eq!(code, Some(0), "{errors}");
        let (alone, apart) = (row(test, "alone.json"), row(test, "server.json"));
        assert_eq!(alone, apart);
        let crc = alone["params_crc"].as_str().unwrap();
        assert_eq!(crc.len(), 8);
        let model = TensorFile::read(folder(test).join("model")).unwrap();
        let values = model
            .names()
            .flat_map(|name| model.values::<f32>(name).unwrap());
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        assert_eq!(format!("{:08x}", crc32c(&bytes)), crc);
        assert!(
            out.contains(&format!("CRC-32C {crc}; replies that were missing: 0")),
            "{out}"
        );
    }
}

const TWO: Run = Run {
    seed: 1,
    clients: 2,
};

#[test]
fn a_client_of_marina_that_is_killed_in_a_round_and_started_again_takes_part_again() {
    // 64-4-10: d = 310; k / d is the probability of a full round.
    let config = marina::Config {
        run: TWO,
        step_size: 0.25_f32,
        probability: 30.0 / 310.0,
        compressor: RandK::new(30),
    };
    killed(
        "killed",
        "--protocol marina --compressor rand-k --k 30",
        &config,
    );
}

#[test]
fn a_client_of_ef21_that_is_killed_in_a_round_and_started_again_takes_part_again() {
    let config = ef21::Config {
        run: TWO,
        step_size: 0.25_f32,
        restart: 0.1,
        compressor: TopK { k: 30 },
    };
    killed(
        "killed_ef21",
        "--protocol ef21 --compressor top-k --k 30 --restart 0.1",
        &config,
    );
}

/// FedAvg gives a client that starts anew the model at once; its mini-batches must be those of the client that was killed.
#[test]
fn a_client_of_fedavg_that_is_killed_in_a_round_and_started_again_changes_no_bit() {
    let test = "killed_fedavg";
    let common = &format!("{SMALL} --protocol fedavg --step-sizes 0.25");
    let rounds = format!("{common} --rounds 20");
    let alone = format!("{rounds} --json alone.json");
    assert_eq!(Program::start(test, &alone).end().0, Some(0));
    let server = Server::start(test, &rounds);
    let (send, at) = mpsc::channel();
    send.send(server.1.clone()).unwrap();
    let (address, told) = relay(at, 7);
    let others = [0, 2].map(|id| client(test, common, &server.1, id));
    let mortal = client(test, common, &address, 1);
    told.recv_timeout(DEADLINE).unwrap();
    drop(mortal);
    let (code, out, errors) = client(test, common, &address, 1).end();
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("13 rounds answered, 0 sat out"), "{out}");
    for other in others {
        assert_eq!(other.end().0, Some(0));
    }
    assert_eq!(server.end().0, Some(0));
    let (alone, apart) = (row(test, "alone.json"), row(test, "server.json"));
    assert_eq!(apart["left_out"], 0);
    assert_eq!(alone, apart);
}

/// What a client says first: header and samples.
fn hello(test: &str, common: &str, id: usize) -> (Header, u64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let _client = client(test, common, &address, id);
    let (mut stream, _) = listener.accept().unwrap();
    let mut bytes = [0; HEADER + 12];
    stream.read_exact(&mut bytes).unwrap();
    let found = decode(&bytes, &Expect::default()).unwrap();
    let samples = match found.payload::<f32>() {
        Ok(Payload::Hello { samples }) => Some(samples),
        _ => None,
    };
    (found.header, samples.unwrap())
}

fn frame(header: &Header, body: &Body<'_, f32>) -> Vec<u8> {
    let mut out = vec![0; header.frame_len()];
    encode_into(header, body, &mut out).unwrap();
    out
}

/// Takes part as a client that says a right Hello and replies with forged frames, until the line ends.
fn forge(address: &str, (hello, samples): (Header, u64), reply: impl Fn(u64) -> Vec<u8>) {
    let mut stream = TcpStream::connect(address).unwrap();
    let said = frame(&hello, &Body::Hello { samples });
    stream.write_all(&said).unwrap();
    let mut deframer = Deframer::new(vec![0; 1 << 16]);
    while let Ok(n @ 1..) = stream.read(deframer.space()) {
        deframer.filled(n);
        while let Some(Ok(found)) = deframer.next() {
            let header = decode(found, &Expect::default()).unwrap().header;
            if header.kind == Kind::Model && stream.write_all(&reply(header.round)).is_err() {
                return;
            }
        }
    }
}

#[test]
fn a_client_whose_replies_are_refused_is_named_and_the_others_finish() {
    let test = "forged";
    let common = "--clients 2 --hidden 4 --protocol fedavg --step-sizes 0.25";
    let (said, samples) = hello(test, common, 1);
    let of = |kind, dtype, k| Header {
        kind,
        dtype,
        k,
        ..said
    };
    let ack = of(Kind::Ack, Dtype::None, 0);
    let ack = |round| frame(&Header { round, ..ack }, &Body::Empty);
    let short = of(Kind::RandK, Dtype::F32, 2);
    let short = |round| frame(&Header { round, ..short }, &Body::Values(&[0.5; 2]));
    let forms: [&(dyn Fn(u64) -> Vec<u8> + Sync); 2] = [&ack, &short];
    for form in forms {
        let server = Server::start(test, &format!("{common} --rounds 10"));
        let honest = client(test, common, &server.1, 0);
        thread::scope(|scope| {
            scope.spawn(|| forge(&server.1, (said, samples), form));
            assert_eq!(honest.end().0, Some(0));
        });
        let (code, out, errors) = server.end();
        assert_eq!(code, Some(0), "{errors}");
        assert!(out.contains("missing: 10 (client 1: 10)"), "{out}");
        for words in [
            "client 1 has no part in round 0: its reply is refused",
            "client 1 has no part in round 3: it was sent away",
        ] {
            assert_eq!(errors.matches(words).count(), 1, "{errors}");
        }
    }
}

#[test]
fn a_run_that_ends_early_leaves_its_results_and_its_clients_say_so() {
    let test = "ends_early";
    let common = "--clients 2 --hidden 4 --protocol gd --step-sizes 0.5 --bits 1G --patience 1 --round-patience 0.3";
    let _ = fs::remove_file(folder(test).join("server.json"));
    let server = Server::start(test, common);
    let (send, at) = mpsc::channel();
    send.send(server.1.clone()).unwrap();
    // Both are killed in round 3.
    let (address, told) = relay(at, 3);
    let clients =
        [&server.1, &address].map(|at| client(test, common, at, usize::from(*at == address)));
    told.recv_timeout(DEADLINE).unwrap();
    drop(clients);
    let (code, out, errors) = server.end();
    assert_eq!(code, Some(2), "{errors}");
    for words in ["no client replied to round", "--patience"] {
        assert!(errors.contains(words), "{errors}");
    }
    assert!(
        out.contains("gradient descent") && out.contains("ended early: no client"),
        "{out}"
    );
    let rounds = row(test, "server.json")["rounds"].as_u64().unwrap();
    assert!(rounds >= 3, "{rounds}");
    // A client that is alone: the server gives up, and it had no part in anything.
    let server = Server::start(test, common);
    let alone = client(
        test,
        &common.replace("--patience 1", "--patience 20"),
        &server.1,
        0,
    );
    assert_eq!(server.end().0, Some(2));
    let (code, _, errors) = alone.end();
    assert_eq!(code, Some(2), "{errors}");
    assert!(
        errors.contains("the server has ended the run early"),
        "{errors}"
    );
}

#[test]
fn clients_go_on_with_a_server_that_was_killed_and_started_again() {
    let test = "killed_server";
    for method in ["--protocol fedavg --step-sizes 0.25", PERM_K] {
        let common = format!("{SMALL} {method}");
        let server = Server::start(test, &format!("{common} --bits 1G"));
        let clients = [0, 1, 2].map(|id| client(test, &common, &server.1, id));
        thread::sleep(Duration::from_millis(300));
        let address = server.1.clone();
        drop(server);
        let rounds = format!("{common} --rounds 12");
        let alone = format!("{rounds} --json alone.json");
        assert_eq!(Program::start(test, &alone).end().0, Some(0));
        let server = Server::start_at(test, &rounds, &address);
        for program in clients {
            let (code, _, errors) = program.end();
            assert_eq!(code, Some(0), "{errors}");
        }
        assert_eq!(server.end().0, Some(0));
        assert_eq!(row(test, "alone.json"), row(test, "server.json"));
    }
}

#[test]
fn a_run_over_processes_that_diverges_says_so_as_in_one_process() {
    let test = "diverges_apart";
    for protocol in ["gd", "fedavg"] {
        let common = format!("--clients 2 --hidden 4 --protocol {protocol} --step-sizes 1e30");
        let server = Server::start(test, &common);
        let clients = [0, 1].map(|id| client(test, &common, &server.1, id));
        let (code, out, errors) = server.end();
        assert_eq!(code, Some(0), "{errors}");
        assert!(out.contains("(diverged)") && out.contains("1e30"), "{out}");
        for program in clients {
            program.end();
        }
    }
}

#[test]
fn files_are_written_when_nobody_reads_the_table() {
    let test = "nobody_reads";
    for (stdout, code) in [("/dev/full", Some(2)), ("", Some(0))] {
        for file in ["out.json", "out.svg"] {
            let _ = fs::remove_file(folder(test).join(file));
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_federated"));
        let arguments = "--protocol gd --step-sizes 0.5 --rounds 2 --clients 2 --hidden 4 --json out.json --plot out.svg";
        command
            .args(arguments.split_whitespace())
            .current_dir(folder(test));
        command.stderr(Stdio::piped());
        let child = match fs::OpenOptions::new().write(true).open(stdout) {
            Ok(full) => command.stdout(full).spawn().unwrap(),
            Err(_) if !stdout.is_empty() => continue,
            Err(_) => {
                let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
                drop(child.stdout.take());
                child
            }
        };
        let output = child.wait_with_output().unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), code, "{errors}");
        for file in ["out.json", "out.svg"] {
            assert!(fs::metadata(folder(test).join(file)).unwrap().len() > 500);
        }
    }
    // The same paths would leave one of them.
    let (code, _, errors) = Program::start(test, "--rounds 1 --json same --plot same").end();
    assert_eq!(code, Some(2));
    assert!(errors.contains("same"), "{errors}");
}

/// Kills one of two clients in a round of compressed messages, and starts it again.
fn killed(test: &str, method: &str, config: &impl Protocol<f32>) {
    let full: Vec<u64> = (0..60).filter(|&r| config.is_full(r)).collect();
    // The client does not receive the frame that opens this round.
    let dies = (5..60).find(|&r| !full.contains(&r)).unwrap();
    let back = *full.iter().find(|&&r| r > dies).unwrap();
    let common = &format!("--clients 2 --hidden 4 --step-sizes 0.25 {method}");
    let server = Server::start(test, &format!("{common} --rounds 60"));
    let (send, at) = mpsc::channel();
    send.send(server.1.clone()).unwrap();
    let (address, told) = relay(at, dies);
    let other = client(test, common, &server.1, 0);
    let mortal = client(test, common, &address, 1);
    told.recv_timeout(DEADLINE).unwrap();
    drop(mortal);
    let (code, out, errors) = client(test, common, &address, 1).end();
    assert_eq!(code, Some(0), "{errors}");
    let summary = format!("{} rounds answered, {} sat out", 60 - back, back - dies);
    assert!(out.contains(&summary), "{out} lacks {summary}");
    assert_eq!(other.end().0, Some(0));
    assert_eq!(server.end().0, Some(0));
    assert_eq!(row(test, "server.json")["left_out"], back - dies);
    assert_eq!(row(test, "server.json")["rounds"], 60);
}

#[test]
fn a_client_with_other_settings_is_told_which_and_the_server_waits_for_the_right_one() {
    let test = "settings";
    let server = Server::start(test, &format!("{SMALL} {PERM_K} --rounds 3"));
    for (arguments, words) in [
        (
            format!("{SMALL} {PERM_K} --seed 2"),
            &["seed", "--seed"][..],
        ),
        (
            format!("--clients 3 --hidden 5 {PERM_K}"),
            &["dimension", "--hidden"],
        ),
        (
            format!("--clients 4 --hidden 4 {PERM_K}"),
            &["settings", "--clients"],
        ),
        (
            format!("{SMALL} {PERM_K} --concentration 0.6"),
            &["settings", "--concentration"],
        ),
        (
            format!("{SMALL} --protocol marina --compressor perm-k --step-sizes 0.25"),
            &["settings", "--step-sizes"],
        ),
        (
            format!("{SMALL} --protocol ef21 --step-sizes 0.5"),
            &["settings", "--protocol"],
        ),
    ] {
        let (code, _, errors) = client(test, &arguments, &server.1, 1).end();
        assert_eq!(code, Some(2), "{arguments}: {errors}");
        let who = format!("client 1 of the server at {}", server.1);
        for word in [&who[..]].iter().chain(words) {
            assert!(errors.contains(word), "{arguments}: {errors} lacks {word}");
        }
    }
    let common = format!("{SMALL} {PERM_K}");
    let clients = [0, 1, 2].map(|id| client(test, &common, &server.1, id));
    for program in clients {
        assert_eq!(program.end().0, Some(0));
    }
    assert_eq!(server.end().0, Some(0));
}

#[test]
fn what_cannot_begin_is_named_in_time() {
    let test = "refused_processes";
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap();
    let one = format!("{SMALL} {PERM_K} --patience 0.2");
    for (arguments, words) in [
        (
            format!("{one} --listen nowhere"),
            &["--listen", "nowhere"][..],
        ),
        (format!("{one} --listen {taken}"), &["--listen", "in use"]),
        (
            format!("{one} --listen 127.0.0.1:0"),
            &["client 0 has not joined within 200ms", "--connect"],
        ),
        (
            format!("{one} --connect 127.0.0.1:1 --client 0"),
            &["client 0", "127.0.0.1:1", "cannot connect", "--listen"],
        ),
        (
            // A listener that never answers.
            format!("{one} --connect {taken} --client 2"),
            &["client 2", "silent for 200ms", "--patience"],
        ),
        (
            format!("{one} --connect 127.0.0.1:1 --client 3"),
            &["--client 3", "below the number of clients, 3"],
        ),
        (format!("{one} --connect 127.0.0.1:1"), &["--client"]),
        (format!("{one} --client 1"), &["--connect"]),
        (
            format!("{one} --listen 127.0.0.1:0 --connect 127.0.0.1:1 --client 0"),
            &["--listen", "cannot be used with"],
        ),
        (
            format!("{one} --listen 127.0.0.1:0 --round-patience 0"),
            &["--round-patience 0", "between 0.001"],
        ),
        (
            format!("{one} --listen 127.0.0.1:0 --patience nan"),
            &["--patience"],
        ),
        (
            "--listen 127.0.0.1:0".to_owned(),
            &["--listen", "one protocol", "--compressor perm-k"],
        ),
    ] {
        let (code, _, errors) = Program::start(test, &arguments).end();
        assert_eq!(code, Some(2), "{arguments}: {errors}");
        for word in words {
            assert!(errors.contains(word), "{arguments}: {errors} lacks {word}");
        }
    }
}

#[test]
fn the_help_shows_a_run_in_three_commands_one_with_boards_and_one_that_saves() {
    let (code, out, _) = Program::start("help", "--help").end();
    assert_eq!(code, Some(0));
    let commands = out.lines().filter(|l| l.trim().starts_with("federated --"));
    assert_eq!(commands.count(), 5, "{out}");
}
