//! Writes the linker's memory map for the board named by the environment variable `BOARD`, and takes in a shard named
//! by `SHARD`, if there is one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

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
    println!("cargo:rustc-check-cfg=cfg(c_kernels)");
    // `none`, `own`, or the folder of a CMSIS-DSP.
    if let Ok(kernels) = env::var("FIGURES")
        && kernels != "none"
    {
        c_kernels(board, &kernels, &out);
    }
    if env::var("SOFT_FLOAT").is_ok_and(|library| library == "gcc") {
        soft_float(board, &out);
    }
    for variable in ["SOFT_FLOAT", "FIGURES", "BOARD", "HIDDEN", "SHARD"] {
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
    let (mut flash, mut shard) = (board.flash, board.shard);
    // The figures need no shard, and more flash than the smallest board keeps for code.
    if env::var_os("FIGURES").is_some() {
        let end = shard.origin + shard.len;
        (flash.len, shard) = (
            end - flash.origin,
            Region {
                origin: end,
                len: 0,
            },
        );
    }
    let regions = line("FLASH", flash) + &line("SHARD", shard) + &line("RAM", board.ram);
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

/// The processor, for GCC; none for RISC-V, for which no C compiler is asked.
fn processor(board: &Board) -> Option<&'static [&'static str]> {
    Some(match board.core {
        "Cortex-M0" => &["-mcpu=cortex-m0"],
        "Cortex-M3" => &["-mcpu=cortex-m3"],
        "Cortex-M4F" => &["-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"],
        "Cortex-M7" => &["-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
        "Cortex-M33" => &["-mcpu=cortex-m33", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"],
        "Cortex-M55" => &["-mcpu=cortex-m55", "-mfloat-abi=hard", "-mfpu=auto"],
        _ => return None,
    })
}

/// Takes the `+ - * /` that the processor lacks from GCC's library in place of Rust's: the bits are the same, and it runs
/// fewer instructions. Not those of `f64` on the Cortex-M0, where they take 5 KB more flash.
fn soft_float(board: &Board, out: &Path) {
    let Some(processor) = processor(board) else {
        return;
    };
    let mut wanted = Vec::new();
    if processor.len() == 1 {
        wanted.extend(["fadd", "fsub", "fmul", "fdiv"]);
    }
    if board.core != "Cortex-M0" {
        wanted.extend(["dadd", "dsub", "dmul", "ddiv"]);
    }
    let object = out.join("soft_float.o").display().to_string();
    let status = Command::new("arm-none-eabi-gcc")
        .args(processor)
        .args(["-mthumb", "-r", "-nostdlib", "-o", &object])
        .args(wanted.iter().map(|name| format!("-Wl,-u,__aeabi_{name}")))
        .arg("-lgcc")
        .status();
    assert!(
        status.is_ok_and(|s| s.success()),
        "install gcc-arm-none-eabi"
    );
    println!("cargo:rustc-link-arg={object}");
}

/// Compiles the kernels in C that the figures are compared with, or those of a CMSIS-DSP in a folder.
fn c_kernels(board: &Board, folder: &str, out: &Path) {
    let Some(processor) = processor(board) else {
        return;
    };
    let run = |program: &str, arguments: &[&str]| {
        let status = Command::new(program)
            .args(processor)
            .args(arguments)
            .status();
        assert!(
            status.is_ok_and(|s| s.success()),
            "{program} {arguments:?}: install gcc-arm-none-eabi"
        );
    };
    let object = out.join("kernels.o").display().to_string();
    let mut arguments = vec![
        "-O3",
        "-mthumb",
        "-ffunction-sections",
        "-fno-math-errno",
        "-c",
        "c/kernels.c",
        "-o",
        &object,
    ];
    let include = ["Include", "PrivateInclude"].map(|name| format!("-I{folder}/{name}"));
    if Path::new(folder).is_dir() {
        arguments.extend([
            "-DCMSIS_DSP",
            "-D__GNUC_PYTHON__",
            "-DARM_MATH_LOOPUNROLL",
            "-I",
            folder,
        ]);
        arguments.extend(include.iter().map(String::as_str));
    }
    run("arm-none-eabi-gcc", &arguments);
    // With the soft floating point and the square root of their own toolchain, hidden from the rest of the image.
    let linked = out.join("linked.o").display().to_string();
    run(
        "arm-none-eabi-gcc",
        &[
            "-mthumb",
            "-r",
            "-nostdlib",
            &object,
            "-lm",
            "-lgcc",
            "-lc",
            "-lgcc",
            "-o",
            &linked,
        ],
    );
    let names = [
        "arm_dot_prod_f32",
        "arm_scale_f32",
        "arm_add_f32",
        "arm_mean_f32",
        "arm_power_f32",
        "roots_f32",
    ];
    let keep = names.map(|name| format!("--keep-global-symbol={name}"));
    let status = Command::new("arm-none-eabi-objcopy")
        .args(keep)
        .arg(&linked)
        .status();
    assert!(
        status.is_ok_and(|s| s.success()),
        "arm-none-eabi-objcopy failed"
    );
    println!("cargo:rustc-link-arg-bin=figures={linked}");
    println!("cargo:rustc-cfg=c_kernels");
    println!("cargo:rerun-if-changed=c/kernels.c");
}
