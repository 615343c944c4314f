//! A run over sockets: `--listen` serves it, `--connect` takes part in it, and `--device` gives it boards.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

use thalweg::federated::frame_len;
use thalweg::wire::Crc32c;
use thalweg_std::transport::{Client as Line, Limits, Server, Summary, TransportError, tcp};

use crate::cli::{Failure, bad, input, print_line, real, short, whole};
use crate::progress;

use super::client::Client;
use super::devices::Door;
use super::exchange::Exchange;
use super::method::{self, Method};
use super::problem::Problem;
use super::session::{self, Outcome};
use super::{Options, Plan, Report, Row};

/// Where the other side of the run is.
#[derive(Clone, Debug, clap::Args)]
pub struct Network {
    /// Serve one run to clients that connect here; port 0 takes a free port, and the address is printed
    #[arg(long, value_name = "HOST:PORT", conflicts_with_all = ["connect", "check"])]
    pub listen: Option<Address>,
    /// Take part in the run of the server at this address, by name or number
    #[arg(long, value_name = "HOST:PORT", requires = "client", conflicts_with_all = ["check", "json", "plot"])]
    pub connect: Option<Address>,
    /// Number of this client, from 0
    #[arg(long, value_name = "I", requires = "connect", value_parser = whole::<usize>(0..=usize::MAX as u64))]
    pub client: Option<usize>,
    /// Seconds to wait until all clients have joined, while no client replies, and for a server that is lost
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0, value_parser = real(..))]
    pub patience: f64,
    /// Seconds after which a silent client is left out of a round; after each miss a quarter of that for the next one
    #[arg(long, value_name = "SECONDS", default_value_t = 30.0, value_parser = real(..))]
    pub round_patience: f64,
}

/// `HOST:PORT`, by name or number.
///
/// A name may have several addresses, and others later: each use looks it up and tries all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address(String);

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Self(text.to_owned()))
            }
            _ => Err("must be HOST:PORT, with a port between 0 and 65535"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl Address {
    fn any<T>(&self, attempt: impl FnMut(SocketAddr, usize) -> io::Result<T>) -> io::Result<T> {
        try_all(&self.0.to_socket_addrs()?.collect::<Vec<_>>(), attempt)
    }

    fn connect(&self, timeout: Duration) -> io::Result<TcpStream> {
        self.any(|address, count| tcp::connect(address, timeout / count as u32))
    }

    fn listen(&self) -> io::Result<TcpListener> {
        self.any(|address, _| tcp::listen(address))
    }
}

/// Tries one address after the other, each with their number; the error is that of the last, with the address if there are several.
fn try_all<T>(
    addresses: &[SocketAddr],
    mut attempt: impl FnMut(SocketAddr, usize) -> io::Result<T>,
) -> io::Result<T> {
    let count = addresses.len();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for &address in addresses {
        match attempt(address, count) {
            Ok(found) => return Ok(found),
            Err(error) if count == 1 => last = error,
            Err(error) => last = io::Error::new(error.kind(), format!("{address}: {error}")),
        }
    }
    Err(last)
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
                short(value),
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
                "--{option}: takes one protocol, one compressor and one step size; add for instance --protocol marina --compressor perm-k --step-sizes 0.5"
            ))),
        }
    }

    /// Fingerprint of all that must be equal on both sides in addition to seed and dimension, which every frame states.
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

/// Serves the run that the options ask for, and measures it. The report goes to `deliver` before the clients are sent home; it
/// is also made of a run that ends early, as far as that came.
///
/// Clients of this process are threads with separate sockets. To the server they are clients like all others, boards
/// included: one way for every frame, one place for order and deadlines.
///
/// # Errors
/// Bad options or data, an address that cannot be listened at, clients that do not join or stop replying, boards that fail, what
/// `deliver` returns.
pub fn serve(
    options: &Options,
    deliver: impl FnOnce(&Report) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (network, devices) = (&options.network, &options.devices);
    let local = Address::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let (option, at) = match &network.listen {
        Some(at) => ("listen", at),
        None => ("device", &local),
    };
    let plan = Plan::new(options)?;
    let (method, step) = plan.one_run(option, &options.step_sizes)?;
    let (problem, rule) = (&plan.problem, plan.rule);
    let (d, clients) = (problem.dim(), problem.clients());
    let limits = network.limits(d, clients)?;
    let settings = plan.settings(method, step);
    let crew = devices.crew(problem, rule, method, step, settings)?;
    let listener = at
        .listen()
        .map_err(|error| bad(option, at, &error.to_string()))?;
    let at = listener.local_addr().map_err(input)?;
    // Whoever starts the clients waits for this line.
    print_line(format_args!(
        "listening at {at} for {clients} clients, numbered from 0"
    ));
    let exchange = &method::build(method, problem, rule, step);
    let mut threads = crew.stand_ins;
    if network.listen.is_none() {
        threads.extend(0..clients - crew.seats.len() - threads.len());
    }
    let door =
        Door::new(listener, crew.seats).map_err(|error| bad("device", at, &error.to_string()))?;
    let samples: Vec<u64> = problem.shards.iter().map(|s| s.len() as u64).collect();
    let server = Server::new(door, problem.seed(), d as u32, &samples, limits);
    let mut server = server.with_settings(settings);
    std::thread::scope(|scope| {
        for id in threads {
            let part = TakePart::new(problem, id, at.into(), settings, limits);
            // What it says shows at the server, as a missing reply.
            scope.spawn(move || part.run(exchange).map(drop));
        }
        let early;
        let delivered = match run(&plan, exchange, &mut server) {
            Ok(mut outcome) => {
                early = outcome.early.take();
                let row = Row::new(method, step, Vec::new(), clients, outcome);
                let mut report = plan.report(options, vec![row]);
                report.ended_early = early.as_ref().map(ToString::to_string);
                deliver(&report)
            }
            Err(error) => {
                // It has not begun.
                early = Some(error);
                Ok(())
            }
        };
        // Clients that are left are sent home whatever happened; what can go wrong here has gone wrong before.
        let _ = match &early {
            None => server.stop(),
            Some(_) => server.abort(),
        };
        early.map_or(Ok(()), |error| Err(ended_early(at, error)))?;
        delivered
    })
}

fn ended_early(at: SocketAddr, error: TransportError) -> Failure {
    match error {
        // A board states by itself what has failed.
        TransportError::Io { source, .. } if source.raw_os_error().is_none() => {
            input(format!("server at {at}: {source}"))
        }
        error => advice(&format!("server at {at}"), &error),
    }
}

/// The server of a run.
fn run(
    plan: &Plan,
    exchange: &Exchange,
    server: &mut Server<Door>,
) -> Result<Outcome, TransportError> {
    server.join()?;
    let bar = progress::bar(plan.budget.bits);
    let watch = |bits| bar.set_position(bits);
    let outcome = session::run(exchange, &plan.problem, plan.budget, server, &watch);
    bar.finish_and_clear();
    outcome
}

/// Takes part in a run as one client, until the server ends it.
///
/// # Errors
/// Bad options or data, a server that cannot be reached, that sends the client away, or that ends the run early; a run that was
/// over before the client had a part in it.
pub fn take_part(options: &Options, server: &Address) -> Result<(), Failure> {
    let plan = Plan::new(options)?;
    let (method, step) = plan.one_run("connect", &options.step_sizes)?;
    let (d, clients) = (plan.problem.dim(), plan.problem.clients());
    // Required with --connect.
    let id = options.network.client.unwrap_or(0);
    if id >= clients {
        let rule = format!("must be below the number of clients, {clients}");
        return Err(bad("client", id, &rule));
    }
    let (problem, limits) = (&plan.problem, options.network.limits(d, clients)?);
    let settings = plan.settings(method, step);
    let part = TakePart::new(problem, id, server.clone(), settings, limits);
    let summary = part.run(&method::build(method, problem, plan.rule, step));
    let who = format!("client {id} of the server at {server}");
    let Summary {
        rounds,
        passed,
        repeats,
        reconnects,
    } = summary.map_err(|error| advice(&who, &error))?;
    let did = format!(
        "{rounds} rounds answered, {passed} sat out, {repeats} messages repeated, {reconnects} times reconnected"
    );
    if rounds == 0 {
        return Err(Failure::Input(format!(
            "{who}: the run is over, and this client had no part in it; {did}"
        )));
    }
    print_line(format_args!("{who}: the run is over; {did}"));
    Ok(())
}

/// A client of a run.
struct TakePart<'a> {
    problem: &'a Problem,
    line: Line,
    server: Address,
}

impl<'a> TakePart<'a> {
    fn new(
        problem: &'a Problem,
        id: usize,
        server: Address,
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

    fn run(self, exchange: &Exchange) -> Result<Summary, TransportError> {
        let mut client = Client::new(exchange, self.problem, self.line.id as usize)?;
        let timeout = self.line.limits.round_timeout;
        self.line.run(
            || self.server.connect(timeout),
            |frame, out| client.answer(frame, out),
        )
    }
}

/// The error with what can be done about it.
fn advice(who: &str, error: &TransportError) -> Failure {
    let advice = match error {
        TransportError::NotJoined { .. } => {
            "; start each client with --connect and --client, or give more --patience"
        }
        TransportError::NoReply { passed: 0, .. } => {
            "; the clients are gone or too slow: look at what they say, or give more --patience"
        }
        TransportError::NoReply { .. } => {
            "; clients that start anew wait for a round of full gradients, which MARINA draws at random and EF21 with --restart only"
        }
        TransportError::Silent { .. } | TransportError::Io { .. } => {
            "; is the server running (--listen)? or give more --patience"
        }
        TransportError::Aborted => "; its standard error says why",
        TransportError::SentAway { .. } => {
            "; the server's standard error says why; are both sides the same program?"
        }
        TransportError::Version { .. } | TransportError::Algorithms { .. } => {
            "; use the same version of this program on both sides"
        }
        TransportError::NoSuchClient { .. } => "; give both sides the same --clients",
        TransportError::Displaced { .. } => "; give every client another --client",
        TransportError::Differs { what: "seed", .. } => "; give both sides the same --seed",
        TransportError::Differs {
            what: "dimension", ..
        } => "; give both sides the same --hidden and --data",
        TransportError::Differs { .. }
        | TransportError::Settings { .. }
        | TransportError::Samples { .. } => {
            "; give both sides the same --protocol, --compressor, --k, --restart, --step-sizes, --clients, --concentration and --data"
        }
        _ => "",
    };
    Failure::Input(format!("{who}: {error}{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_a_name_is_tried() {
        let listener = tcp::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let there = listener.local_addr().unwrap();
        // Nobody listens at the first: the port belongs to a socket that is gone.
        let gone = tcp::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let gone = gone.and_then(|listener| listener.local_addr()).unwrap();
        let connect = |address, count| {
            assert_eq!(count, 2);
            tcp::connect(address, Duration::from_secs(5))
        };
        let stream = try_all(&[gone, there], connect).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), there);
        let error = try_all(&[gone, gone], connect).unwrap_err();
        assert!(error.to_string().contains(&gone.to_string()), "{error}");
        assert!(try_all(&[], connect).is_err());
    }

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for right in ["localhost:7000", "127.0.0.1:0", "[::1]:65535"] {
            assert_eq!(right.parse::<Address>().unwrap().to_string(), right);
        }
        for wrong in [
            "",
            "localhost",
            ":7000",
            "localhost:",
            "localhost:65536",
            "a:b",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
    }
}
