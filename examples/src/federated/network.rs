//! A run over sockets: `--listen` serves it, `--connect` takes part in it, and `--device` gives it boards.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::time::Duration;

use thalweg::federated::{ProtocolError, frame_len};
use thalweg::wire::Crc32c;
use thalweg_std::transport::{Client as Line, Limits, Server, Summary, TransportError, tcp};

use crate::cli::{Failure, bad, input};
use crate::progress;

use super::client::Client;
use super::devices::Door;
use super::exchange::Exchange;
use super::method::{self, Method, Part};
use super::problem::Problem;
use super::session::{self, Outcome};
use super::{Options, Plan, Report, Row};

/// Where the other side of the run is.
#[derive(Clone, Debug, clap::Args)]
pub struct Network {
    /// Serve one run to clients that connect here; port 0 takes a free port, and the address is printed
    #[arg(long, value_name = "ADDR", value_parser = address, conflicts_with_all = ["connect", "check"])]
    pub listen: Option<SocketAddr>,
    /// Take part in the run of the server at this address
    #[arg(long, value_name = "ADDR", value_parser = address, requires = "client", conflicts_with_all = ["check", "json", "plot"])]
    pub connect: Option<SocketAddr>,
    /// Number of this client, from 0
    #[arg(long, value_name = "I", requires = "connect")]
    pub client: Option<usize>,
    /// Seconds to wait until all clients have joined, and for a server that is lost
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub patience: f64,
    /// Seconds after which a silent client is left out of a round
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0)]
    pub round_patience: f64,
}

/// `HOST:PORT`, by name or number.
fn address(text: &str) -> Result<SocketAddr, String> {
    let found = text.to_socket_addrs().map_err(|error| error.to_string())?;
    let first = { found }.next();
    first.ok_or_else(|| "the name has no address".into())
}

/// Frames go out again after this share of the lesser patience.
const ASKED_AGAIN: u32 = 10;

impl Network {
    /// Deadlines and sizes for a network of `d` parameters and some clients.
    fn limits(&self, d: usize, clients: usize) -> Result<Limits, Failure> {
        let seconds = |name, value: f64| {
            if value.is_finite() && (1e-3..=1e6).contains(&value) {
                return Ok(Duration::from_secs_f64(value));
            }
            Err(bad(
                name,
                value,
                "must be between 0.001 and 1000000 seconds",
            ))
        };
        let round_timeout = seconds("round-patience", self.round_patience)?;
        let join_timeout = seconds("patience", self.patience)?;
        let common = Limits::new(frame_len::<f32>(d as u32));
        Ok(Limits {
            frame_timeout: round_timeout.min(join_timeout) / ASKED_AGAIN,
            round_timeout,
            join_timeout,
            strangers: common.strangers.max(2 * clients),
            ..common
        })
    }
}

impl Plan {
    /// The one run that the options ask for: server and client must not have to agree on more.
    fn one_run(&self, option: &str, steps: &[f64]) -> Result<(Method, f64), Failure> {
        match (&self.methods[..], steps) {
            (&[method], &[step]) => Ok((method, step)),
            _ => Err(Failure::Input(format!(
                "--{option}: takes one protocol, one compressor and one step size; add for instance --protocol marina --compressor perm-k --steps 0.5"
            ))),
        }
    }

    /// Fingerprint of all that must be equal on both sides beside seed and dimension, which every frame states.
    fn settings(&self, method: Method, step: f64) -> u32 {
        let version = env!("CARGO_PKG_VERSION");
        let k = self.rule.k(self.problem.dim());
        let mut crc = Crc32c::new();
        let restart = self.rule.restart;
        crc.update(
            format!("{version} {method} k {k} restart {restart:e} step {step:e}").as_bytes(),
        );
        let train = &self.problem.data.train;
        let rows = self.problem.shards.iter();
        let features = train.features().iter().map(|x| x.to_bits());
        let shards = rows.flat_map(|rows| std::iter::once(rows.len() as u32).chain(rows.clone()));
        let words = features.chain(train.labels().iter().copied()).chain(shards);
        words.for_each(|word| crc.update(&word.to_le_bytes()));
        // 0 would state nothing.
        crc.value().max(1)
    }
}

/// Serves the run that the options ask for, and measures it.
///
/// Clients of this process are threads with sockets of their own. To the server they are clients like all others, boards
/// included: one way for every frame, one place for order and deadlines.
///
/// # Errors
/// Bad options or data, an address that cannot be listened at, clients that do not join or stop replying, boards that fail.
pub fn serve(options: &Options) -> Result<Report, Failure> {
    let (network, devices) = (&options.network, &options.devices);
    let (option, at) = match network.listen {
        Some(at) => ("listen", at),
        None => ("device", SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
    };
    let plan = Plan::new(options)?;
    let (method, step) = plan.one_run(option, &options.steps)?;
    let (problem, rule) = (&plan.problem, plan.rule);
    let (d, clients) = (problem.dim(), problem.clients());
    let limits = network.limits(d, clients)?;
    let settings = plan.settings(method, step);
    let crew = devices.crew(problem, rule, method, step, settings)?;
    let listener = tcp::listen(at).map_err(|error| bad(option, at, &error.to_string()))?;
    let at = listener.local_addr().unwrap_or(at);
    println!("listening at {at} for {clients} clients, numbered from 0");
    // Whoever starts the clients waits for this line.
    let _ = std::io::stdout().flush();
    let mut threads = crew.stand_ins;
    if network.listen.is_none() {
        threads.extend(0..clients - crew.seats.len() - threads.len());
    }
    let door =
        Door::new(listener, crew.seats).map_err(|error| bad("device", at, &error.to_string()))?;
    let samples: Vec<u64> = problem.shards.iter().map(|s| s.len() as u64).collect();
    let server = Server::new(door, problem.seed(), d as u32, &samples, limits);
    let mut server = server.with_settings(settings);
    let outcome = std::thread::scope(|scope| {
        for id in threads {
            let part = TakePart::new(problem, id, at, settings, limits);
            // What it says shows at the server, as a missing reply.
            scope.spawn(move || method::cast(method, problem, rule, step, part).map(drop));
        }
        let part = Serve {
            plan: &plan,
            server: &mut server,
        };
        let outcome = method::cast(method, problem, rule, step, part);
        // Clients that are left are sent home whatever happened.
        let _ = server.stop();
        outcome
    });
    let outcome = outcome.map_err(|error| match error {
        // The door states what has failed: the listener or a board.
        TransportError::Io { source, .. } => input(format!("server at {at}: {source}")),
        error => advice(&format!("server at {at}"), &error),
    })?;
    let row = Row::new(method, step, Vec::new(), clients, outcome);
    Ok(plan.report(options, vec![row]))
}

/// The server of a run.
struct Serve<'a> {
    plan: &'a Plan,
    server: &'a mut Server<Door>,
}

impl Part for Serve<'_> {
    type Out = Result<Outcome, TransportError>;

    fn play<E: Exchange>(self, exchange: &E) -> Self::Out {
        let Plan {
            problem, budget, ..
        } = self.plan;
        self.server.join()?;
        let bar = progress::bar(budget.bits);
        let watch = |bits| bar.set_position(bits);
        let outcome = session::run(exchange, problem, *budget, self.server, &watch);
        bar.finish_and_clear();
        outcome
    }
}

/// Takes part in a run as one client, until the server ends it.
///
/// # Errors
/// Bad options or data, a server that cannot be reached or that sends the client away.
pub fn take_part(options: &Options, server: SocketAddr) -> Result<(), Failure> {
    let plan = Plan::new(options)?;
    let (method, step) = plan.one_run("connect", &options.steps)?;
    let (d, clients) = (plan.problem.dim(), plan.problem.clients());
    let id = options.network.client.unwrap_or(0);
    if id >= clients {
        let rule = format!("must be below the number of clients, {clients}");
        return Err(bad("client", id, &rule));
    }
    let (problem, limits) = (&plan.problem, options.network.limits(d, clients)?);
    let part = TakePart::new(problem, id, server, plan.settings(method, step), limits);
    let summary = method::cast(method, problem, plan.rule, step, part);
    let who = format!("client {id} of the server at {server}");
    let Summary {
        rounds,
        passed,
        repeats,
        reconnects,
    } = summary.map_err(|error| advice(&who, &error))?;
    println!(
        "{who}: the run is over; {rounds} rounds answered, {passed} sat out, {repeats} messages repeated, {reconnects} times reconnected"
    );
    Ok(())
}

/// A client of a run.
struct TakePart<'a> {
    problem: &'a Problem,
    line: Line,
    server: SocketAddr,
}

impl<'a> TakePart<'a> {
    fn new(
        problem: &'a Problem,
        id: usize,
        server: SocketAddr,
        settings: u32,
        limits: Limits,
    ) -> Self {
        let line = Line {
            id: id as u32,
            seed: problem.seed(),
            d: problem.dim() as u32,
            samples: problem.shards.get(id).map_or(0, Vec::len) as u64,
            settings,
            limits,
        };
        Self {
            problem,
            line,
            server,
        }
    }
}

impl Part for TakePart<'_> {
    type Out = Result<Summary, TransportError>;

    fn play<E: Exchange>(self, exchange: &E) -> Self::Out {
        let mut client = Client::new(exchange, self.problem, self.line.id as usize)?;
        let timeout = self.line.limits.round_timeout;
        self.line.run(
            || tcp::connect(self.server, timeout),
            |frame, out| client.answer(frame, out),
        )
    }
}

/// The error with what can be done about it.
fn advice(who: &str, error: &TransportError) -> Failure {
    use thalweg::wire::DecodeError::{WrongDimension, WrongSeed};
    let advice = match error {
        TransportError::NotJoined { .. } => {
            "; start each client with --connect and --client, or give more --patience"
        }
        TransportError::NoReply { .. } => {
            "; clients that start anew wait for a round of whole gradients, which EF21 has with --restart only; or give more --round-patience"
        }
        TransportError::Silent { .. } | TransportError::Io { .. } => {
            "; is the server running (--listen)? or give more --patience"
        }
        TransportError::Settings { .. } | TransportError::Samples { .. } => {
            "; give both sides the same --protocol, --compressor, --k, --restart, --steps, --clients, --alpha and --data"
        }
        TransportError::NoSuchClient { .. } => "; give both sides the same --clients",
        TransportError::Displaced { .. } => "; give every client a --client of its own",
        TransportError::Protocol(ProtocolError::Decode(WrongSeed { .. })) => {
            "; give both sides the same --seed"
        }
        TransportError::Protocol(ProtocolError::Decode(WrongDimension { .. })) => {
            "; give both sides the same --hidden and --data"
        }
        _ => "",
    };
    Failure::Input(format!("{who}: {error}{advice}"))
}
