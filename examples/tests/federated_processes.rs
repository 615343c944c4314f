//! One run over several processes: the bits of the run in one process, rejoining, and errors that name what to do.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use thalweg::compress::RandK;
use thalweg::federated::estimator::Protocol;
use thalweg::federated::{Run, marina};

/// Nothing that goes well takes so long.
const DEADLINE: Duration = Duration::from_secs(60);

const SMALL: &str = "--clients 3 --hidden 4";
const PERM_K: &str = "--protocol marina --compressor perm-k --steps 0.5";

/// A folder of its own for the files of one test.
fn folder(test: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    fs::create_dir_all(&path).unwrap();
    path
}

/// A process that is killed when the test is over with it.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Program {
    fn start(test: &str, arguments: &str) -> Self {
        Self::start_in(test, arguments, &[])
    }

    fn start_in(test: &str, arguments: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_federated"));
        command
            .args(arguments.split_whitespace())
            .envs(environment.iter().copied())
            .current_dir(folder(test));
        let streams = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(streams.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Exit code, output and errors; within the deadline, since the output is small enough to wait in its pipe.
    fn end(mut self) -> (Option<i32>, String, String) {
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

/// A server at a free port.
struct Server(Program, String, mpsc::Receiver<String>);

impl Server {
    fn start(test: &str, arguments: &str) -> Self {
        let arguments = format!("{arguments} --listen 127.0.0.1:0 --json server.json");
        let mut program = Program::start(test, &arguments);
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
        let address = first.split_whitespace().nth(2).unwrap().to_owned();
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

/// The one row of a file of figures, without what depends on the clock.
fn row(test: &str, file: &str) -> serde_json::Value {
    let text = fs::read_to_string(folder(test).join(file)).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut row = json["rows"][0].take();
    row["seconds"].take();
    row
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

/// Carries bytes between a client and the server; tells of the first `count` bytes that the server has sent.
fn relay(server: &str, count: usize) -> (String, mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (tell, told) = mpsc::channel();
    let server = server.to_owned();
    thread::spawn(move || {
        let mut left = Some(count);
        while let Ok((client, _)) = listener.accept() {
            let up = TcpStream::connect(&server).unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), up.try_clone().unwrap());
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let (mut from, mut to) = (up, client);
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                left = left.map(|left| left.saturating_sub(n));
                if left == Some(0) {
                    // The client is dead before the bytes could reach it.
                    left = None;
                    let _ = tell.send(());
                    break;
                }
                if to.write_all(&bytes[..n]).is_err() {
                    break;
                }
            }
        }
    });
    (address, told)
}

#[test]
fn a_client_that_is_killed_in_a_round_and_started_again_takes_part_again() {
    let test = "killed";
    // 64-4-10: d = 310; k / d is the probability of a full round.
    let config = marina::Config {
        run: Run {
            seed: 1,
            clients: 2,
        },
        step_size: 0.25_f32,
        probability: 30.0 / 310.0,
        compressor: RandK::new(30),
    };
    let full: Vec<u64> = (0..60)
        .filter(|&r| Protocol::<f32>::is_full(&config, r))
        .collect();
    // The client does not receive the frame that opens this round.
    let dies = (5..60).find(|&r| !full.contains(&r)).unwrap();
    let back = *full.iter().find(|&&r| r > dies).unwrap();
    let common = "--clients 2 --hidden 4 --protocol marina --compressor rand-k --k 30 --steps 0.25";
    let server = Server::start(test, &format!("{common} --rounds 60"));
    let frame = 52 + 4 * 310;
    let before = 52 + frame * dies as usize;
    let (address, told) = relay(&server.1, before + 1);
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

const BOARDS: &str = "--clients 3 --hidden 4 --protocol marina --compressor perm-k --steps 0.5";

/// A script in the place of QEMU: what it does with the port and the number of the client is `act`. It runs with an
/// image that is an empty file, and with the folder of the test for temporary files.
fn with_emulator(test: &str, act: &str, arguments: &str) -> (Option<i32>, String, String) {
    let folder = folder(test);
    let script = folder.join("qemu-system-arm");
    let text = format!(
        r#"#!/bin/sh
for argument; do
  case "$argument" in
    socket,*) port=${{argument##*port=}}; port=${{port%%,*}} ;;
    loader,*) file=${{argument#*file=}}; file=${{file%%,*}} ;;
  esac
done
id=${{file##*-}}; id=${{id%.shard}}
{act}
"#
    );
    // By a shell: a program that another thread starts meanwhile would inherit the open file, and an open file cannot be run.
    let mut shell = Command::new("sh");
    shell.args(["-c", "printf %s \"$1\" >\"$0\" && chmod 755 \"$0\""]);
    assert!(shell.arg(&script).arg(text).status().unwrap().success());
    fs::write(folder.join("mps2-an386.elf"), "").unwrap();
    let folder = folder.to_str().unwrap();
    let environment = [
        (
            "PATH",
            &*format!("{folder}:{}", std::env::var("PATH").unwrap()),
        ),
        ("TMPDIR", folder),
        ("FEDERATED", env!("CARGO_BIN_EXE_federated")),
    ];
    let arguments = format!("{BOARDS} {arguments} --firmware . --json server.json");
    let found = Program::start_in(test, &arguments, &environment).end();
    let left = fs::read_dir(folder).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".shard")
    });
    assert_eq!(left.count(), 0, "a shard is left behind");
    found
}

#[test]
fn programs_of_their_own_in_the_place_of_boards_and_threads_have_the_bits_of_threads() {
    let test = "fake_boards";
    let alone = format!("{BOARDS} --rounds 6 --json alone.json");
    assert_eq!(Program::start(test, &alone).end().0, Some(0));
    // The first one is killed before it has said anything.
    let _ = fs::remove_dir(folder(test).join("died"));
    let act = format!(
        "mkdir died 2>/dev/null && kill -9 $$
exec \"$FEDERATED\" {BOARDS} --connect 127.0.0.1:$port --client $id"
    );
    let (code, out, errors) = with_emulator(test, &act, "--rounds 6 --device mps2-an386=2");
    assert_eq!(code, Some(0), "{errors}");
    assert!(out.contains("replies that were missing: 0"), "{out}");
    assert!(
        errors.contains("on mps2-an386") && errors.contains("started again"),
        "{errors}"
    );
    assert_eq!(row(test, "server.json"), row(test, "alone.json"));
}

#[test]
fn a_board_that_gives_up_or_never_speaks_ends_the_run_by_name_and_is_reaped() {
    let test = "bad_boards";
    let act = "echo 'no shard in flash' >&2; exit 2";
    let (code, _, errors) = with_emulator(test, act, "--device mps2-an386");
    assert_eq!(code, Some(2));
    for word in [
        "client 2 on mps2-an386",
        "exit status: 2",
        "no shard in flash",
    ] {
        assert!(errors.contains(word), "{errors} lacks {word}");
    }
    let act = "echo $$ >pid; exec sleep 1000";
    let (code, _, errors) = with_emulator(test, act, "--device mps2-an386 --patience 0.5");
    assert_eq!(code, Some(2));
    assert!(errors.contains("client 2 has not joined"), "{errors}");
    let pid = fs::read_to_string(folder(test).join("pid")).unwrap();
    assert!(!PathBuf::from(format!("/proc/{}", pid.trim())).exists());
}

#[test]
fn boards_that_cannot_be_are_named_and_left_out_only_if_asked_to() {
    let test = "no_boards";
    let empty = folder(test).join("empty");
    fs::create_dir_all(&empty).unwrap();
    let no_emulator = [("PATH", empty.to_str().unwrap())];
    let one = format!("{BOARDS} --rounds 3");
    let refused = |arguments: &str, environment: &[(&str, &str)], words: &[&str]| {
        let arguments = format!("{one} {arguments}");
        let (code, _, errors) = Program::start_in(test, &arguments, environment).end();
        assert_eq!(code, Some(2), "{arguments}: {errors}");
        for word in words {
            assert!(errors.contains(word), "{arguments}: {errors} lacks {word}");
        }
    };
    refused(
        "--device toaster=1",
        &[],
        &["toaster", "known are microbit"],
    );
    refused("--device microbit=0", &[], &["0 is no number of boards"]);
    refused("--device microbit=4", &[], &["4 boards", "at most the 3"]);
    refused("--without-missing-boards", &[], &["--device"]);
    refused(
        "--device microbit=1",
        &no_emulator,
        &[
            "qemu-system-arm is not installed",
            "apt-get install qemu-system-arm",
            "--without-missing-boards",
        ],
    );
    refused(
        "--device virt=1",
        &no_emulator,
        &["qemu-system-riscv32 is not installed", "qemu-system-misc"],
    );
    assert_eq!(
        Program::start(test, &format!("{one} --json alone.json"))
            .end()
            .0,
        Some(0)
    );
    let arguments =
        format!("{one} --device microbit=2 --without-missing-boards --json server.json");
    let (code, _, errors) = Program::start_in(test, &arguments, &no_emulator).end();
    assert_eq!(code, Some(0), "{errors}");
    assert!(errors.contains("client 1 is a thread"), "{errors}");
    assert_eq!(row(test, "server.json"), row(test, "alone.json"));
}

#[test]
#[ignore = "needs QEMU and `bash examples/firmware/build microbit mps2-an386 virt`"]
fn boards_beside_threads_have_the_bits_of_threads() {
    let test = "boards";
    let firmware = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/firmware");
    let firmware = format!("--firmware {}", firmware.display());
    for method in [PERM_K, "--protocol ef21 --k 40 --steps 0.5"] {
        let one = format!("--clients 6 --hidden 6 {method} --rounds 4");
        let alone = format!("{one} --json alone.json");
        assert_eq!(Program::start(test, &alone).end().0, Some(0));
        let boards = "--device microbit=2 --device mps2-an386 --device virt";
        let arguments = format!("{one} {boards} {firmware} --json server.json");
        let (code, _, errors) = Program::start(test, &arguments).end();
        assert_eq!(code, Some(0), "{errors}");
        assert_eq!(
            row(test, "server.json"),
            row(test, "alone.json"),
            "{method}"
        );
    }
}

#[test]
#[ignore = "needs QEMU and `bash examples/firmware/build microbit`"]
fn a_board_that_is_killed_is_started_again_and_the_run_ends() {
    let test = "killed_board";
    let firmware = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/firmware");
    let one = "--clients 6 --hidden 6 --protocol marina --compressor rand-k --k 60 --steps 0.25";
    let arguments = format!(
        "{one} --rounds 40 --device microbit --firmware {} --json server.json",
        firmware.display()
    );
    let server = Program::start(test, &arguments);
    let pid = server.0.id();
    // Well into the run: a board takes less than a second to join, a round some tens of milliseconds.
    thread::sleep(Duration::from_millis(2500));
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let board = children.split_whitespace().next().unwrap();
    assert!(
        Command::new("kill")
            .args(["-9", board])
            .status()
            .unwrap()
            .success()
    );
    let (code, _, errors) = server.end();
    assert_eq!(code, Some(0), "{errors}");
    // On a slow machine the board dies before it has joined, and no reply is missing.
    assert!(
        errors.contains("client 5 on microbit") && errors.contains("started again"),
        "{errors}"
    );
    assert_eq!(row(test, "server.json")["rounds"], 40);
}
