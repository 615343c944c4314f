//! An emulated board that is killed in the middle of its checkpoints continues from the last good one.
//!
//! `bash examples/firmware/build virt` builds its image; `cargo test --test power -- --ignored` runs it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rand_core::Rng;
use thalweg::random::{self, Purpose};

const KILLS: u32 = 6;

struct Emulator(Child);

impl Drop for Emulator {
    /// The power fails: no signal that QEMU could answer.
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(image: &Path, flash: &Path) -> (Emulator, Receiver<String>) {
    let mut child = Command::new("qemu-system-riscv32")
        .args(["-M", "virt", "-bios", "none", "-display", "none"])
        .args(["-monitor", "none", "-serial", "null"])
        .args(["-semihosting-config", "enable=on,target=native"])
        .arg("-drive")
        .arg(format!(
            "if=pflash,unit=1,format=raw,file={}",
            flash.display()
        ))
        .arg("-device")
        .arg(format!("loader,file={}", image.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        lines
            .map_while(Result::ok)
            .try_for_each(|line| tell.send(line))
    });
    (Emulator(child), told)
}

/// The number in the next line that begins with `word`.
#[track_caller]
fn number(lines: &Receiver<String>, word: &str) -> u64 {
    let began = Instant::now();
    loop {
        let left = Duration::from_secs(30).saturating_sub(began.elapsed());
        let line = lines.recv_timeout(left).unwrap();
        if let Some((_, number)) = line.split_once(word) {
            return number.trim().parse().unwrap();
        }
        assert!(!line.contains("not the state"), "{line}");
    }
}

#[test]
#[ignore = "needs QEMU and `bash examples/firmware/build virt`"]
fn a_board_that_loses_its_power_continues_from_the_last_good_checkpoint() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../target/firmware");
    let image = root.join("checkpoints.elf");
    let flash = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("flash");
    let file = File::create(&flash).unwrap();
    file.set_len(32 << 20).unwrap();
    let mut rng = random::stream(3, 0, 0, Purpose::DATA);
    let mut saved = 0;
    for kill in 0..KILLS {
        let (board, lines) = start(&image, &flash);
        let restored = number(&lines, "restored ");
        // What was said to be saved is there; the one under way may have been finished.
        assert!(
            (saved..=saved + 1).contains(&restored),
            "{restored} after {saved}"
        );
        saved = restored;
        if kill % 2 == 0 {
            saved = number(&lines, "saved ");
        }
        std::thread::sleep(Duration::from_millis(u64::from(rng.next_u32() % 300)));
        drop(board);
        // What was said before the end.
        while let Ok(line) = lines.recv() {
            if let Some((_, number)) = line.split_once("saved ") {
                saved = number.trim().parse().unwrap_or(saved);
            }
        }
    }
    assert!(saved >= u64::from(KILLS) / 2, "{saved}");
}
