//! One run over several processes: the bits of the run in one process, rejoining, and errors that name what to do.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "programs/federated.rs"]
mod programs;

use std::net::TcpListener;
use std::sync::mpsc;

use programs::{DEADLINE, Program, listen, relay, row};
use thalweg::compress::{RandK, TopK};
use thalweg::federated::estimator::Protocol;
use thalweg::federated::{Run, ef21, marina};

const SMALL: &str = "--clients 3 --hidden 4";
const PERM_K: &str = "--protocol marina --compressor perm-k --steps 0.5";

/// A server at a free port.
struct Server(Program, String, mpsc::Receiver<String>);

impl Server {
    fn start(test: &str, arguments: &str) -> Self {
        let arguments = format!("{arguments} --listen 127.0.0.1:0 --json server.json");
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
        "--protocol marina --compressor rand-k --k 20 --steps 0.25",
        "--protocol ef21 --steps 0.5",
        "--protocol fedavg --steps 0.25",
    ] {
        let common = format!("{SMALL} {method}");
        let rounds = format!("{common} --rounds 12");
        let (code, ..) = Program::start(test, &format!("{rounds} --json alone.json")).end();
        assert_eq!(code, Some(0));
        let server = Server::start(test, &rounds);
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

/// Kills one of two clients in a round of compressed messages, and starts it again.
fn killed(test: &str, method: &str, config: &impl Protocol<f32>) {
    let full: Vec<u64> = (0..60).filter(|&r| config.is_full(r)).collect();
    // The client does not receive the frame that opens this round.
    let dies = (5..60).find(|&r| !full.contains(&r)).unwrap();
    let back = *full.iter().find(|&&r| r > dies).unwrap();
    let common = &format!("--clients 2 --hidden 4 --steps 0.25 {method}");
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
            format!("{SMALL} {PERM_K} --alpha 0.6"),
            &["settings", "--alpha"],
        ),
        (
            format!("{SMALL} --protocol marina --compressor perm-k --steps 0.25"),
            &["settings", "--steps"],
        ),
        (
            format!("{SMALL} --protocol ef21 --steps 0.5"),
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
fn the_help_shows_a_run_in_three_commands_and_one_with_boards() {
    let (code, out, _) = Program::start("help", "--help").end();
    assert_eq!(code, Some(0));
    let commands = out.lines().filter(|l| l.trim().starts_with("federated --"));
    assert_eq!(commands.count(), 4, "{out}");
}
