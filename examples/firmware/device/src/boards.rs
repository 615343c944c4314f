//! The emulated boards: processor, memory map, serial port.
//!
//! One table, read by three: the image's build script, which writes the linker's memory map from it; the image, which
//! takes addresses and capacities; and the host, which starts QEMU. It uses nothing but `core`.

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First address.
    pub origin: usize,
    /// Bytes.
    pub len: usize,
}

/// Kinds of serial ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uart {
    /// ARM's CMSDK.
    Cmsdk,
    /// Nordic's nRF51.
    Nrf51,
    /// The PC's.
    Ns16550,
}

/// An emulated board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// Its name, on command lines and of its image.
    pub name: &'static str,
    /// QEMU's name of it.
    pub machine: &'static str,
    /// Its processor.
    pub core: &'static str,
    /// What its image is compiled for.
    pub target: &'static str,
    /// The image: code and constants.
    pub flash: Region,
    /// The shard of one client.
    pub shard: Region,
    /// Data and stack.
    pub ram: Region,
    /// Kind of its serial port.
    pub uart: Uart,
    /// Where the port is.
    pub port: usize,
    /// Hertz of the counter that tells the time.
    pub clock: u32,
    /// Bytes that are kept for the stack.
    pub stack: usize,
    /// Most hidden units of the network.
    pub hidden: usize,
}

const K: usize = 1 << 10;
const M: usize = 1 << 20;

const MPS2: Board = Board {
    name: "mps2-an386",
    machine: "mps2-an386",
    core: "Cortex-M4F",
    target: "thumbv7em-none-eabihf",
    flash: Region { origin: 0, len: M },
    shard: Region {
        origin: 0x10_0000,
        len: 3 * M,
    },
    ram: Region {
        origin: 0x2000_0000,
        len: 4 * M,
    },
    uart: Uart::Cmsdk,
    port: 0x4000_4000,
    clock: 25_000_000,
    stack: 8 * K,
    hidden: 32,
};

const VIRT: Board = Board {
    name: "virt",
    machine: "virt",
    core: "RV32IMAC",
    target: "riscv32imac-unknown-none-elf",
    flash: Region {
        origin: 0x8000_0000,
        len: M,
    },
    shard: Region {
        origin: 0x8010_0000,
        len: 3 * M,
    },
    ram: Region {
        origin: 0x8040_0000,
        len: 4 * M,
    },
    uart: Uart::Ns16550,
    port: 0x1000_0000,
    clock: 10_000_000,
    stack: 8 * K,
    hidden: 32,
};

/// Every board that an image exists for.
pub const BOARDS: [Board; 8] = [
    // QEMU's Cortex-M0 has the system timer that the real nRF51 lacks: there, `beat` needs a timer of the chip.
    Board {
        name: "microbit",
        machine: "microbit",
        core: "Cortex-M0",
        target: "thumbv6m-none-eabi",
        flash: Region {
            origin: 0,
            len: 160 * K,
        },
        shard: Region {
            origin: 0x2_8000,
            len: 96 * K,
        },
        ram: Region {
            origin: 0x2000_0000,
            len: 16 * K,
        },
        uart: Uart::Nrf51,
        port: 0x4000_2000,
        clock: 16_000_000,
        stack: 4 * K,
        hidden: 6,
    },
    Board {
        name: "mps2-an385",
        machine: "mps2-an385",
        core: "Cortex-M3",
        target: "thumbv7m-none-eabi",
        ..MPS2
    },
    MPS2,
    Board {
        name: "mps2-an500",
        machine: "mps2-an500",
        core: "Cortex-M7",
        ..MPS2
    },
    Board {
        name: "mps2-an505",
        machine: "mps2-an505",
        core: "Cortex-M33",
        target: "thumbv8m.main-none-eabihf",
        flash: Region {
            origin: 0x1000_0000,
            len: M,
        },
        shard: Region {
            origin: 0x1010_0000,
            len: 3 * M,
        },
        ram: Region {
            origin: 0x3800_0000,
            len: 2 * M,
        },
        port: 0x5020_0000,
        clock: 20_000_000,
        ..MPS2
    },
    Board {
        name: "mps3-an547",
        machine: "mps3-an547",
        core: "Cortex-M55",
        target: "thumbv8m.main-none-eabihf",
        flash: Region {
            origin: 0,
            len: 256 * K,
        },
        shard: Region {
            origin: 0x4_0000,
            len: 256 * K,
        },
        ram: Region {
            origin: 0x2000_0000,
            len: 512 * K,
        },
        port: 0x5930_3000,
        clock: 32_000_000,
        ..MPS2
    },
    VIRT,
    Board {
        name: "virt-imc",
        core: "RV32IMC",
        target: "riscv32imc-unknown-none-elf",
        ..VIRT
    },
];

/// The board of a name.
///
/// ```
/// use thalweg_device::boards::find;
/// assert_eq!(find("microbit").map(|board| board.ram.len), Some(16 * 1024));
/// assert!(find("toaster").is_none());
/// ```
#[must_use]
pub const fn find(name: &str) -> Option<&'static Board> {
    let mut rest: &'static [Board] = &BOARDS;
    while let [board, others @ ..] = rest {
        if same(board.name.as_bytes(), name.as_bytes()) {
            return Some(board);
        }
        rest = others;
    }
    None
}

const fn same(mut a: &[u8], mut b: &[u8]) -> bool {
    while let ([x, a_rest @ ..], [y, b_rest @ ..]) = (a, b) {
        if *x != *y {
            return false;
        }
        (a, b) = (a_rest, b_rest);
    }
    a.is_empty() && b.is_empty()
}

impl Board {
    /// The emulator that has the machine.
    ///
    /// ```
    /// use thalweg_device::boards::find;
    /// assert_eq!(find("virt").map(|board| board.emulator()), Some("qemu-system-riscv32"));
    /// ```
    #[must_use]
    pub const fn emulator(&self) -> &'static str {
        match self.uart {
            Uart::Ns16550 => "qemu-system-riscv32",
            Uart::Cmsdk | Uart::Nrf51 => "qemu-system-arm",
        }
    }

    /// Whether the image must be told to use the vector extension of its processor.
    ///
    /// ```
    /// use thalweg_device::boards::find;
    /// assert_eq!(find("mps3-an547").map(|board| board.has_helium()), Some(true));
    /// ```
    #[must_use]
    pub const fn has_helium(&self) -> bool {
        same(self.core.as_bytes(), b"Cortex-M55")
    }
}
