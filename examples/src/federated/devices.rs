//! Boards as clients: QEMU runs the image of `examples/firmware`, and its serial port is a connection to the server.
//!
//! Nothing else of a run knows of boards. The shard goes into a file that QEMU puts into the board's flash; [`Door`]
//! looks after the emulators whenever the server looks for connections, and ends them with itself.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use thalweg_device::boards::{self, Board};
use thalweg_device::shard::{self, Header, Shard};
use thalweg_std::transport::Accept;

use crate::cli::{Failure, bad, input, note};

use super::method::{CompressorName, Method, ProtocolName, Rule};
use super::problem::Problem;

/// Clients on emulated boards.
#[derive(Clone, Debug, clap::Args)]
pub struct Devices {
    /// Let the last COUNT clients be emulated boards (repeatable): one of microbit, mps2-an385, mps2-an386, mps2-an500,
    /// mps2-an505, mps3-an547, virt, virt-imc; the others are threads, or come to --listen
    #[arg(long, value_name = "BOARD=COUNT", value_parser = order, conflicts_with_all = ["connect", "check"])]
    pub device: Vec<(&'static Board, usize)>,
    /// Folder with the images of the boards, as `bash examples/firmware/build` makes it
    #[arg(long, value_name = "DIR", default_value = "target/firmware")]
    pub firmware: PathBuf,
    /// Let threads stand in for boards whose emulator or image is missing
    #[arg(long, requires = "device")]
    pub without_missing_boards: bool,
}

/// `BOARD=COUNT`.
fn order(text: &str) -> Result<(&'static Board, usize), String> {
    let (name, count) = text.split_once('=').unwrap_or((text, "1"));
    let Some(board) = boards::find(name) else {
        let known = boards::BOARDS.map(|board| board.name).join(", ");
        return Err(format!("there is no board {name}; known are {known}"));
    };
    match count.parse() {
        Ok(count @ 1..) => Ok((board, count)),
        _ => Err(format!("{count} is no number of boards")),
    }
}

/// A client on a board: its image, and its shard as the board's flash holds it.
#[derive(Clone, Debug)]
pub struct Seat {
    board: &'static Board,
    image: PathBuf,
    client: usize,
    shard: Vec<u8>,
}

/// Who takes part: boards, and threads that stand in for those that are missing.
#[derive(Clone, Debug, Default)]
pub struct Crew {
    /// The boards.
    pub seats: Vec<Seat>,
    /// The clients that threads stand in for.
    pub stand_ins: Vec<usize>,
}

impl Devices {
    /// Assigns the last clients to the boards, in the order of the options.
    ///
    /// # Errors
    /// More boards than clients, a method that the image does not have, a shard that does not fit, and an emulator or an image that
    /// is missing.
    pub fn crew(
        &self,
        problem: &Problem,
        rule: Rule,
        method: Method,
        step: f64,
        settings: u32,
    ) -> Result<Crew, Failure> {
        let boards = self.device.iter();
        let boards: Vec<_> = boards
            .flat_map(|&(board, count)| std::iter::repeat_n(board, count))
            .collect();
        let clients = problem.clients();
        let Some(first) = clients.checked_sub(boards.len()) else {
            let rule = format!("must be at most the {clients} of --clients");
            return Err(bad("device", format!("{} boards", boards.len()), &rule));
        };
        let mut crew = Crew::default();
        for (client, board) in (first..).zip(boards) {
            let image = self.firmware.join(format!("{}.elf", board.name));
            match self.missing(board, &image) {
                None => {
                    let run = (method, step, settings);
                    let shard = write(problem, rule, run, client, board)?;
                    crew.seats.push(Seat {
                        board,
                        image,
                        client,
                        shard,
                    });
                }
                Some(missing) if self.without_missing_boards => {
                    note(format_args!("client {client} is a thread: {missing}"));
                    crew.stand_ins.push(client);
                }
                Some(missing) => {
                    let advice = "or run its clients in threads with --without-missing-boards";
                    return Err(bad("device", board.name, &format!("{missing}, {advice}")));
                }
            }
        }
        Ok(crew)
    }

    /// What a board lacks, and how to get it.
    fn missing(&self, board: &Board, image: &Path) -> Option<String> {
        let emulator = board.emulator();
        if !is_installed(emulator) {
            let package = match emulator {
                "qemu-system-arm" => "qemu-system-arm",
                _ => "qemu-system-misc",
            };
            return Some(format!(
                "{emulator} is not installed; apt-get install {package}"
            ));
        }
        (!image.is_file()).then(|| {
            format!(
                "{} does not exist; bash examples/firmware/build {} in the repository's folder makes target/firmware, --firmware names another",
                image.display(),
                board.name
            )
        })
    }
}

/// Whether a program is in one of the folders of PATH.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The shard of a client for a board's flash.
fn write(
    problem: &Problem,
    rule: Rule,
    (method, step, settings): (Method, f64, u32),
    client: usize,
    board: &Board,
) -> Result<Vec<u8>, Failure> {
    let (d, clients) = (problem.dim(), problem.clients());
    let k = rule.k(d);
    let (kind, k) = match (method.protocol, method.compressor) {
        (ProtocolName::Gd | ProtocolName::Marina, CompressorName::Identity) => {
            (shard::Method::Whole, 0)
        }
        (ProtocolName::Marina, CompressorName::PermK) => (shard::Method::MarinaPermK, 0),
        (ProtocolName::Marina, CompressorName::RandK) => (shard::Method::MarinaRandK, k),
        (ProtocolName::Ef21, CompressorName::TopK) => (shard::Method::Ef21TopK, k),
        _ => {
            let rule = "does not run on boards; they have gd, marina with perm-k or rand-k, and ef21 with top-k";
            return Err(bad("device", method, rule));
        }
    };
    let probability = match method.protocol {
        ProtocolName::Marina => method.compressor.probability(k, clients, d),
        ProtocolName::Ef21 => rule.restart,
        _ => 1.0,
    };
    let rows = problem.shards.get(client).map_or(&[][..], Vec::as_slice);
    let part = problem.data.train.select(rows).map_err(input)?;
    let [features, hidden, classes] = problem.sizes();
    let narrow = |name, value: usize| {
        let rule = "must be below 65536 on a board";
        u16::try_from(value).map_err(|_| bad(name, value, rule))
    };
    let header = Header {
        method: kind,
        seed: problem.seed(),
        client: client as u32,
        clients: clients as u32,
        rows: rows.len() as u32,
        total: problem.shards.iter().map(Vec::len).sum::<usize>() as u32,
        features: narrow("data", features)?,
        hidden: narrow("hidden", hidden)?,
        classes: narrow("data", classes)?,
        k: k as u32,
        step_size: step as f32,
        probability,
        settings,
    };
    let len = shard::encoded_len(header.rows, header.features).unwrap_or(usize::MAX);
    if len > board.shard.len {
        let rule = format!(
            "the {} rows of client {client} take {len} bytes, its flash keeps {} for them; more --clients have fewer rows",
            rows.len(),
            board.shard.len
        );
        return Err(bad("device", board.name, &rule));
    }
    let mut out = vec![0; len];
    let shard = Shard {
        header,
        features: part.features(),
        classes: part.labels(),
    };
    shard::write(&shard, &mut out).map_err(input)?;
    Ok(out)
}

/// How often a board that was killed is started again.
const LIVES: u32 = 3;

/// How often the emulators are looked after.
const LOOK: Duration = Duration::from_millis(50);

/// A board that runs; it ends, and its file goes, when this is dropped.
#[derive(Debug)]
struct Emulator {
    seat: Seat,
    file: PathBuf,
    server: SocketAddr,
    child: Child,
    lives: u32,
}

impl Emulator {
    fn start(seat: Seat, server: SocketAddr) -> io::Result<Self> {
        let name = format!("thalweg-{}-{}.shard", std::process::id(), seat.client);
        let file = std::env::temp_dir().join(name);
        std::fs::write(&file, &seat.shard)?;
        let child = spawn(&seat, &file, server).inspect_err(|_| {
            // The error that matters is the emulator's.
            let _ = std::fs::remove_file(&file);
        })?;
        Ok(Self {
            seat,
            file,
            server,
            child,
            lives: LIVES,
        })
    }

    /// Starts the board again if it was killed; returns whether it still runs.
    fn tend(&mut self) -> io::Result<bool> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(true);
        };
        if status.success() {
            return Ok(false);
        }
        let who = format!("client {} on {}", self.seat.client, self.seat.board.name);
        if status.code().is_none() && self.lives > 0 {
            self.lives -= 1;
            note(format_args!("{who}: {status}; it is started again"));
            let again = spawn(&self.seat, &self.file, self.server);
            // Not the bare error: one that is short of descriptors would be taken for the listener's.
            self.child = again.map_err(|error| {
                io::Error::other(format!("{who}: cannot be started again: {error}"))
            })?;
            return Ok(true);
        }
        let mut text = String::new();
        if let Some(mut stream) = self.child.stderr.take() {
            stream.read_to_string(&mut text)?;
        }
        Err(io::Error::other(format!(
            "{who}: {status}: {}",
            text.trim()
        )))
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.file);
    }
}

/// A program that is killed when this one ends in whatever way, where util-linux can arrange it. Elsewhere a board whose server was
/// killed ends after two minutes of silence.
fn bound(program: &str) -> Command {
    if !is_installed("setpriv") {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", program]);
    command
}

/// Starts QEMU with the image, the shard in flash, and the serial port connected to the server.
fn spawn(seat: &Seat, file: &Path, server: SocketAddr) -> io::Result<Child> {
    let at = seat.board.shard.origin;
    let loader = format!("loader,file={},addr={at:#x},force-raw=on", file.display());
    // The line is never closed while the server runs, so QEMU need not open it again.
    let uart = format!("tcp:{server}");
    let arguments = [
        ["-M", seat.board.machine],
        ["-display", "none"],
        ["-monitor", "none"],
        ["-bios", "none"],
        ["-semihosting-config", "enable=on,target=native"],
        ["-serial", &uart],
        ["-device", &loader],
    ];
    bound(seat.board.emulator())
        .args(arguments.as_flattened())
        .args([OsStr::new("-kernel"), seat.image.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
}

/// The server's listener, which looks after the boards.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    emulators: Vec<Emulator>,
    looked: Instant,
}

impl Door {
    /// Starts the boards, with their serial ports connected to the listener.
    ///
    /// # Errors
    /// An emulator that cannot be started, a shard that cannot be written.
    pub fn new(listener: TcpListener, seats: Vec<Seat>) -> io::Result<Self> {
        let mut server = listener.local_addr()?;
        if server.ip().is_unspecified() {
            server.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        let start = |seat| Emulator::start(seat, server);
        Ok(Self {
            listener,
            emulators: seats.into_iter().map(start).collect::<Result<_, _>>()?,
            looked: Instant::now(),
        })
    }
}

impl Accept for Door {
    type Stream = TcpStream;

    fn accept(&mut self) -> io::Result<Option<TcpStream>> {
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            let mut running = Vec::new();
            for mut emulator in self.emulators.drain(..) {
                if emulator.tend()? {
                    running.push(emulator);
                }
            }
            self.emulators = running;
        }
        Accept::accept(&mut self.listener)
    }
}
