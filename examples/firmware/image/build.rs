//! Writes the linker's memory map for the board named by the environment variable `BOARD`, and takes in a shard named
//! by `SHARD`, if there is one.

use std::{env, fs, path::PathBuf};

#[path = "../device/src/boards.rs"]
#[allow(dead_code)]
mod boards;

use boards::{Board, Region, Uart};

fn main() {
    let name = env::var("BOARD").unwrap_or_else(|_| "mps2-an386".into());
    let Some(board) = boards::find(&name) else {
        let known = boards::BOARDS.map(|board| board.name).join(", ");
        panic!("BOARD={name}: known boards are {known}");
    };
    let target = env::var("TARGET").expect("cargo sets TARGET");
    assert_eq!(target, board.target, "the target of {name}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("memory.x"), memory(board)).expect("OUT_DIR is writable");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-env=BOARD={name}");

    println!("cargo:rustc-check-cfg=cfg(uart, values(\"cmsdk\", \"nrf51\", \"ns16550\"))");
    let uart = match board.uart {
        Uart::Cmsdk => "cmsdk",
        Uart::Nrf51 => "nrf51",
        Uart::Ns16550 => "ns16550",
    };
    println!("cargo:rustc-cfg=uart=\"{uart}\"");

    // Hidden units that the image has memory for, if not the board's.
    let hidden = env::var("HIDDEN").unwrap_or_else(|_| board.hidden.to_string());
    println!("cargo:rustc-env=HIDDEN={hidden}");

    println!("cargo:rustc-check-cfg=cfg(shard)");
    if let Ok(shard) = env::var("SHARD") {
        let path = fs::canonicalize(&shard).unwrap_or_else(|e| panic!("SHARD={shard}: {e}"));
        println!("cargo:rustc-cfg=shard");
        println!("cargo:rustc-env=SHARD={}", path.display());
        println!("cargo:rerun-if-changed={}", path.display());
    }
    for variable in ["BOARD", "HIDDEN", "SHARD"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=../device/src/boards.rs");
}

/// Flash, shard and RAM, and where the runtime's sections go.
fn memory(board: &Board) -> String {
    let line = |name: &str, region: Region| {
        let Region { origin, len } = region;
        format!("  {name} : ORIGIN = {origin:#x}, LENGTH = {len:#x}\n")
    };
    let regions =
        line("FLASH", board.flash) + &line("SHARD", board.shard) + &line("RAM", board.ram);
    // A shard that is part of the image lies where a loader would put it.
    let shard = "SECTIONS {\n  .shard ORIGIN(SHARD) : { KEEP(*(.shard)) } > SHARD\n} INSERT AFTER .rodata;\n\
                 PROVIDE(__shard = ORIGIN(SHARD));\n";
    let stack = board.stack;
    let alias = match board.uart {
        Uart::Ns16550 => {
            let alias =
                |name: &str, region: &str| format!("REGION_ALIAS(\"REGION_{name}\", {region});\n");
            ["TEXT", "RODATA"].map(|name| alias(name, "FLASH")).concat()
                + &["DATA", "BSS", "HEAP", "STACK"]
                    .map(|name| alias(name, "RAM"))
                    .concat()
        }
        _ => String::new(),
    };
    format!("MEMORY {{\n{regions}}}\n{alias}{shard}PROVIDE(__stack_reserve = {stack});\n")
}
