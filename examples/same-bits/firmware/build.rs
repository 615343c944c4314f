//! Writes the linker's memory map for the board named by the environment variable `BOARD`; without it, for the first below that
//! runs the target.

use std::{env, fs, path::PathBuf};

fn main() {
    let target = env::var("TARGET").expect("cargo sets TARGET");
    let board = env::var("BOARD").unwrap_or_else(|_| {
        let usual = match target.as_str() {
            "thumbv6m-none-eabi" => "microbit",
            "thumbv7m-none-eabi" => "mps2-an385",
            target if target.starts_with("riscv32") => "virt",
            _ => "mps2-an386",
        };
        usual.into()
    });
    let arm = |flash: &str, ram: &str| format!("MEMORY {{\n  FLASH : {flash}\n  RAM : {ram}\n}}\n");
    let memory = match board.as_str() {
        "microbit" => arm(
            "ORIGIN = 0, LENGTH = 256K",
            "ORIGIN = 0x20000000, LENGTH = 16K",
        ),
        "mps2-an385" | "mps2-an386" => arm(
            "ORIGIN = 0, LENGTH = 4M",
            "ORIGIN = 0x20000000, LENGTH = 4M",
        ),
        "virt" => "MEMORY {\n  RAM : ORIGIN = 0x80000000, LENGTH = 16M\n}\n\
                   REGION_ALIAS(\"REGION_TEXT\", RAM);\nREGION_ALIAS(\"REGION_RODATA\", RAM);\n\
                   REGION_ALIAS(\"REGION_DATA\", RAM);\nREGION_ALIAS(\"REGION_BSS\", RAM);\n\
                   REGION_ALIAS(\"REGION_HEAP\", RAM);\nREGION_ALIAS(\"REGION_STACK\", RAM);\n"
            .into(),
        other => panic!("BOARD={other}: known boards are microbit, mps2-an385, mps2-an386, virt"),
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("memory.x"), memory).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-check-cfg=cfg(small_flash)");
    if board == "microbit" {
        println!("cargo:rustc-cfg=small_flash");
    }
    println!("cargo:rerun-if-env-changed=BOARD");
    println!("cargo:rerun-if-changed=build.rs");
}
