//! Boards and threads: the bits of threads, boards that are missing or die, and no board that outlives its server.

#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "programs/federated.rs"]
mod programs;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use programs::{DEADLINE, Program, folder, listen, relay, row};
use thalweg::compress::RandK;
use thalweg::federated::{Protocol, Run, marina};

const BOARDS: &str =
    "--clients 3 --hidden 4 --protocol marina --compressor perm-k --step-sizes 0.5";

/// A run with boards whose image is an empty file, and a script in the place of QEMU.
fn with_emulator(test: &str, act: &str, arguments: &str) -> (Option<i32>, String, String) {
    let found = start_with_emulator(test, act, &fake(test, arguments)).end();
    let left = fs::read_dir(folder(test)).unwrap().filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".shard")
    });
    assert_eq!(left.count(), 0, "a shard is left behind");
    found
}

fn fake(test: &str, arguments: &str) -> String {
    fs::write(folder(test).join("mps2-an386.elf"), "").unwrap();
    format!("{BOARDS} {arguments} --firmware . --json server.json")
}

/// A script in the place of QEMU: what it does with the port and the number of the client is `act`. Temporary files lie in the
/// folder of the test.
fn start_with_emulator(test: &str, act: &str, arguments: &str) -> Program {
    let folder = folder(test);
    let script = folder.join("qemu-system-arm");
    let text = format!(
        r#"#!/bin/sh
for argument; do
  case "$argument" in
    tcp:*) port=${{argument##*:}} ;;
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
    let folder = folder.to_str().unwrap();
    let environment = [
        (
            "PATH",
            &*format!("{folder}:{}", std::env::var("PATH").unwrap()),
        ),
        ("TMPDIR", folder),
        ("FEDERATED", env!("CARGO_BIN_EXE_federated")),
    ];
    Program::start_in(test, arguments, &environment)
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

/// Whether a process runs; one that has ended and is not yet buried does not.
fn is_alive(pid: &str) -> bool {
    let state = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // The name before it is in parentheses.
    let state = state
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| !matches!(state, 'Z' | 'X'))
}

/// Waits until a condition holds.
fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn boards_end_with_a_server_that_is_killed() {
    if Command::new("setpriv").arg("--version").output().is_err() {
        // Elsewhere boards end by themselves, after minutes.
        return;
    }
    let test = "orphans";
    let pid = folder(test).join("pid");
    let _ = fs::remove_file(&pid);
    let act = "echo $$ >pid.new; mv pid.new pid; exec sleep 1000";
    let server = start_with_emulator(test, act, &fake(test, "--device mps2-an386"));
    wait_until("the board does not start", || pid.exists());
    let board = fs::read_to_string(pid).unwrap();
    assert!(is_alive(&board));
    // Killed, not ended: it has no say.
    drop(server);
    wait_until("the board has outlived its server", || !is_alive(&board));
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
    for method in [
        "--protocol marina --compressor perm-k --step-sizes 0.5",
        "--protocol ef21 --k 40 --step-sizes 0.5",
    ] {
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
fn a_board_that_is_killed_in_a_round_is_started_again_and_takes_part_again() {
    let test = "killed_board";
    // 64-6-10: d = 460; k / d is the probability of a full round.
    let config = marina::Config {
        run: Run {
            seed: 1,
            clients: 6,
        },
        step_size: 0.25_f32,
        probability: 60.0 / 460.0,
        compressor: RandK::new(60),
    };
    let full: Vec<u64> = (0..40)
        .filter(|&r| Protocol::<f32>::is_full(&config, r))
        .collect();
    // The board has answered every round before this one, and does not receive the frame that opens it.
    let dies = (5..40).find(|&r| !full.contains(&r)).unwrap();
    let back = *full.iter().find(|&&r| r > dies).unwrap();
    let (send, server) = mpsc::channel();
    let (address, told) = relay(server, dies);
    let path = std::env::var("PATH").unwrap();
    let qemu = std::env::split_paths(&path).map(|folder| folder.join("qemu-system-arm"));
    let qemu = { qemu }.find(|qemu| qemu.is_file()).unwrap();
    // The emulator itself, with the relay at its serial port.
    let act = format!(
        r#"for argument; do
  shift
  case "$argument" in tcp:*) argument=tcp:{address} ;; esac
  set -- "$@" "$argument"
done
exec {} "$@""#,
        qemu.display()
    );
    let firmware = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/firmware");
    let arguments = format!(
        "--clients 6 --hidden 6 --protocol marina --compressor rand-k --k 60 --step-sizes 0.25 --rounds 40 --device microbit \
         --firmware {} --json server.json",
        firmware.display()
    );
    let mut program = start_with_emulator(test, &act, &arguments);
    let pid = program.0.id();
    let (address, _lines) = listen(&mut program);
    send.send(address).unwrap();
    told.recv_timeout(DEADLINE).unwrap();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let board = children.split_whitespace().next().unwrap();
    let killed = Command::new("kill").args(["-9", board]).status();
    assert!(killed.unwrap().success());
    let (code, _, errors) = program.end();
    assert_eq!(code, Some(0), "{errors}");
    assert!(
        errors.contains("client 5 on microbit") && errors.contains("started again"),
        "{errors}"
    );
    assert_eq!(row(test, "server.json")["rounds"], 40);
    assert_eq!(row(test, "server.json")["left_out"], back - dies);
}
