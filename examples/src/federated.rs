//! The main job: a network trained over clients by FedAvg, MARINA and EF21 at one budget of uplink bits.

pub mod check;
pub mod client;
pub mod devices;
pub mod exchange;
pub mod method;
pub mod network;
mod picture;
pub mod problem;
pub mod session;
pub mod threads;

use std::path::PathBuf;

use clap::Parser;
use serde::Serialize;
use thalweg_std::transport::TransportError;

use crate::cli::{self, Common, Failure, bad, input};
use crate::progress;
use crate::source::Source;
use crate::table::{Table, si};

use devices::Devices;
use exchange::Exchange;
use method::{CompressorName, Method, ProtocolName, Rule};
use network::Network;
use problem::{Problem, Spread};
use session::{Budget, Outcome, Point};
use threads::Threads;

/// Train a small network over clients with shards of their own, and compare protocols at an equal
/// budget of uplink bits per client.
///
/// Every message is a frame of the wire codec and travels between threads through a channel. Bits are those of
/// payloads, TopK's indices included. Each protocol tries the same step sizes on a part of the budget and keeps the
/// one with the least training loss; the time of those trials is not in the table.
#[derive(Clone, Debug, Parser)]
#[command(name = "federated", version, after_long_help = PROCESSES)]
pub struct Options {
    /// Options of every program.
    #[command(flatten)]
    pub common: Common,
    /// Where the data comes from.
    #[command(flatten)]
    pub source: Source,
    /// Where the other side is.
    #[command(flatten)]
    pub network: Network,
    /// Which clients are boards.
    #[command(flatten)]
    pub devices: Devices,
    /// Run these protocols only (comma-separated)
    #[arg(long, value_enum, value_delimiter = ',')]
    pub protocol: Vec<ProtocolName>,
    /// Compressor of the one protocol named by --protocol
    #[arg(long, value_enum)]
    pub compressor: Option<CompressorName>,
    /// Coordinates in a message of rand-k, rand-seq-k and top-k [default: d / clients]
    #[arg(long)]
    pub k: Option<usize>,
    /// Probability that a round of EF21 sends whole gradients, which takes back clients that missed a round
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true)]
    pub restart: f64,
    /// Number of clients
    #[arg(long, default_value_t = 10)]
    pub clients: usize,
    /// Concentration of the Dirichlet distribution of each class over clients; small is uneven
    #[arg(long, default_value_t = 0.5, allow_negative_numbers = true)]
    pub alpha: f64,
    /// Hidden units of the network
    #[arg(long, default_value_t = 32)]
    pub hidden: usize,
    /// Uplink bits per client [default: 200 gradients of 32 d bits]
    #[arg(long)]
    pub bits: Option<u64>,
    /// End every run after this many rounds, even if bits are left
    #[arg(long)]
    pub rounds: Option<u64>,
    /// Step sizes to try (comma-separated); a single one is used as it is
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "0.125,0.25,0.5,1,2",
        allow_negative_numbers = true
    )]
    pub steps: Vec<f64>,
}

/// What `--help` says about runs over sockets.
const PROCESSES: &str = "\
One run over several processes, with the bits of the same run in one process:
  federated --protocol marina --compressor perm-k --steps 0.5 --clients 2 --rounds 300 --listen 127.0.0.1:7000
  federated --protocol marina --compressor perm-k --steps 0.5 --clients 2 --connect 127.0.0.1:7000 --client 0
  federated --protocol marina --compressor perm-k --steps 0.5 --clients 2 --connect 127.0.0.1:7000 --client 1
Server and clients take the same protocol, compressor, step size, data and seed; a difference is an error that names it.
A client that loses its line connects again and goes on. One that was killed and is started again is given the model: FedAvg
takes it back at once, MARINA at the next round of whole gradients, EF21 too, but has none after the first without --restart.
Boards beside threads in one run, in QEMU, with the bits of threads alone:
  bash examples/firmware/build microbit
  federated --protocol marina --compressor perm-k --steps 0.5 --hidden 6 --rounds 20 --device microbit=2
Frames are checked for damage, not authenticated: keep the port inside a tunnel that is.";

/// Share of the budget that each trial of a step size gets.
const TRIAL: u64 = 4;

/// Gradients of the default budget.
const GRADIENTS: u64 = 200;

/// One line of the table, with its curve.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Protocol and compressor.
    pub method: String,
    /// Step size in use.
    pub step_size: f64,
    /// Training loss of each step size on a part of the budget; none if it diverged.
    pub trials: Vec<(f64, Option<f64>)>,
    /// Rounds closed.
    pub rounds: u64,
    /// Uplink bits per client: the largest message of each round, added.
    pub uplink_bits: u64,
    /// Mean over clients of the uplink bits.
    pub uplink_bits_mean: f64,
    /// Bits of the broadcasts, each counted once.
    pub downlink_bits: u64,
    /// Headers and checks of all frames.
    pub overhead_bytes: u64,
    /// Mean cross-entropy over the clients' rows at the end.
    pub train_loss: f64,
    /// Norm of its gradient at the end.
    pub gradient_norm: f64,
    /// Accuracy on the test set at the end.
    pub test_accuracy: f64,
    /// Time of the rounds.
    pub seconds: f64,
    /// The run ended early because numbers were not finite, or its loss above that of the start.
    pub diverged: bool,
    /// CRC-32C of the bytes of the final parameters: runs with equal bits have equal ones.
    pub params_crc: String,
    /// Replies that were missing: clients that were left out of a round or sat it out.
    pub left_out: u64,
    /// The curve.
    pub points: Vec<Point>,
}

/// All figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the data.
    pub data: String,
    /// Rows to learn from.
    pub train_rows: usize,
    /// Rows to be judged by.
    pub test_rows: usize,
    /// Parameters of the network.
    pub dimension: usize,
    /// Number of clients.
    pub clients: usize,
    /// Rows of each client.
    pub shard_rows: Vec<usize>,
    /// Concentration.
    pub alpha: f64,
    /// Seed.
    pub seed: u64,
    /// Uplink bits that no client exceeds.
    pub budget_bits: u64,
    /// One per method.
    pub rows: Vec<Row>,
}

/// Runs what the options ask for.
///
/// # Errors
/// Bad options or data; under `--check`, a claim that does not hold.
pub fn main(options: &Options) -> Result<(), Failure> {
    let json = options.common.json.as_deref();
    json.map_or(Ok(()), cli::check_writable)?;
    if options.common.check {
        return check::run(options);
    }
    if let Some(server) = options.network.connect {
        return network::take_part(options, server);
    }
    let path = options.common.plot.clone();
    let path = path.unwrap_or_else(|| PathBuf::from("federated.svg"));
    cli::check_writable(&path)?;
    let report = if options.network.listen.is_some() || !options.devices.device.is_empty() {
        network::serve(options)?
    } else {
        compare(options)?
    };
    let span = |rows: &[usize]| {
        let least = rows.iter().min().copied().unwrap_or(0);
        let most = rows.iter().max().copied().unwrap_or(0);
        format!("{least} to {most}")
    };
    println!(
        "{}: {} training rows over {} clients ({} each, Dirichlet alpha {}), {} test rows; network of {} parameters",
        report.data,
        report.train_rows,
        report.clients,
        span(&report.shard_rows),
        report.alpha,
        report.test_rows,
        report.dimension
    );
    println!(
        "budget: {}bit uplink per client\n",
        si(report.budget_bits as f64)
    );
    print!("{}", table(&report));
    cli::write(&path, &picture::draw(&report).to_svg())?;
    println!("\n{}\npicture: {}", verdict(&report), path.display());
    if let [row] = &report.rows[..] {
        let (crc, left_out) = (&row.params_crc, row.left_out);
        println!("final parameters: CRC-32C {crc}; replies that were missing: {left_out}");
    }
    if let Some(path) = json {
        cli::write_json(path, &report)?;
    }
    Ok(())
}

/// Runs every method at one budget.
///
/// # Errors
/// Bad options or data.
pub fn compare(options: &Options) -> Result<Report, Failure> {
    let threads = options.common.threads()?;
    let plan = Plan::new(options)?;
    let bench = Bench {
        problem: &plan.problem,
        rule: plan.rule,
        threads,
    };
    let row = |&method| bench.row(method, plan.budget, &options.steps);
    let rows = plan.methods.iter().map(row).collect::<Result<_, _>>()?;
    Ok(plan.report(options, rows))
}

/// What the options ask for, checked.
struct Plan {
    problem: Problem,
    methods: Vec<Method>,
    rule: Rule,
    budget: Budget,
}

impl Plan {
    fn new(options: &Options) -> Result<Self, Failure> {
        let seed = options.common.seed;
        check_steps(&options.steps)?;
        if options.rounds == Some(0) {
            return Err(bad("rounds", 0, "must be at least 1"));
        }
        let rule = Rule {
            clients: options.clients,
            k: options.k,
            restart: options.restart,
        };
        let methods = method::select(&options.protocol, options.compressor)?;
        let data = options.source.load(seed)?;
        let spread = Spread::Dirichlet(options.alpha);
        let problem = Problem::new(data, options.clients, spread, options.hidden, seed)?;
        let d = problem.dim();
        rule.check(d)?;
        let gradient = 32 * d as u64;
        let bits = options.bits.unwrap_or(GRADIENTS * gradient);
        if bits < gradient {
            let rule = format!("must be at least {gradient}, one gradient of {d} numbers");
            return Err(bad("bits", bits, &rule));
        }
        let rounds = options.rounds.unwrap_or(u64::MAX);
        Ok(Self {
            problem,
            methods,
            rule,
            budget: Budget { bits, rounds },
        })
    }

    fn report(&self, options: &Options, rows: Vec<Row>) -> Report {
        let problem = &self.problem;
        Report {
            data: problem.data.name.clone(),
            train_rows: problem.data.train.rows(),
            test_rows: problem.data.test.rows(),
            dimension: problem.dim(),
            clients: problem.clients(),
            shard_rows: problem.shards.iter().map(Vec::len).collect(),
            alpha: options.alpha,
            seed: problem.seed(),
            budget_bits: self.budget.bits,
            rows,
        }
    }
}

fn check_steps(steps: &[f64]) -> Result<(), Failure> {
    // The networks are in f32.
    let fits = |step: f64| (step as f32).is_finite() && step as f32 > 0.0;
    match steps.iter().find(|&&step| !fits(step)) {
        Some(step) => Err(bad("steps", step, "must be positive and finite as f32")),
        None => Ok(()),
    }
}

/// What every run of a comparison shares.
#[derive(Clone, Copy, Debug)]
pub struct Bench<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// Sizes of messages.
    pub rule: Rule,
    /// Worker threads.
    pub threads: usize,
}

impl Bench<'_> {
    /// Chooses a step size on a part of the budget, then runs the whole; one that diverges only there gives way to the next
    /// smaller.
    ///
    /// # Errors
    /// What the protocol says; every step size diverges.
    pub fn row(&self, method: Method, budget: Budget, steps: &[f64]) -> Result<Row, Failure> {
        let part = Budget {
            bits: (budget.bits / TRIAL).max(32 * self.problem.model().dim() as u64),
            rounds: budget.rounds.div_ceil(TRIAL),
        };
        let mut trials = Vec::new();
        if let [_, _, ..] = steps {
            for &step in steps {
                let label = format!("{method}, step {step}");
                let outcome = self.run(method, part, step, &label)?;
                let loss = outcome.last().map(|p| p.measure.train_loss);
                let loss = loss.filter(|l| !outcome.diverged && l.is_finite());
                trials.push((step, loss));
            }
        }
        let best = trials
            .iter()
            .filter_map(|&(step, loss)| Some((step, loss?)))
            .min_by(|a, b| a.1.total_cmp(&b.1));
        let step = match (best, steps) {
            (Some((step, _)), _) | (None, &[step]) => step,
            _ => {
                return Err(Failure::Input(format!(
                    "--steps: {method} diverges with every step size; try smaller ones"
                )));
            }
        };
        let whole = |step| {
            self.run(
                method,
                budget,
                step,
                &format!("{method}, step {step}, whole budget"),
            )
        };
        let (mut step, mut outcome) = (step, whole(step)?);
        let smaller = |step: f64| {
            let smaller = steps.iter().copied().filter(move |&s| s < step);
            smaller.max_by(f64::total_cmp)
        };
        while let (true, Some(next)) = (outcome.diverged, smaller(step)) {
            (step, outcome) = (next, whole(next)?);
        }
        let clients = self.problem.clients();
        Ok(Row::new(method, step, trials, clients, outcome))
    }

    /// One run with a progress bar.
    ///
    /// # Errors
    /// What the protocol says.
    pub fn run(
        &self,
        method: Method,
        budget: Budget,
        step: f64,
        label: &str,
    ) -> Result<Outcome, Failure> {
        let bar = progress::bar(budget.bits);
        bar.set_message(label.to_owned());
        let part = InThreads {
            bench: self,
            budget,
            watch: &|bits| bar.set_position(bits),
        };
        let outcome = method::cast(method, self.problem, self.rule, step, part);
        bar.finish_and_clear();
        outcome.map_err(input)
    }
}

/// A whole run in this process.
struct InThreads<'a> {
    bench: &'a Bench<'a>,
    budget: Budget,
    watch: &'a dyn Fn(u64),
}

impl method::Part for InThreads<'_> {
    type Out = Result<Outcome, TransportError>;

    fn play<E: Exchange>(self, exchange: &E) -> Self::Out {
        let Bench {
            problem, threads, ..
        } = *self.bench;
        std::thread::scope(|scope| {
            let mut clients = Threads::start(scope, exchange, problem, threads)?;
            session::run(exchange, problem, self.budget, &mut clients, self.watch)
        })
    }
}

impl Row {
    /// The figures of a run.
    fn new(
        method: Method,
        step_size: f64,
        trials: Vec<(f64, Option<f64>)>,
        clients: usize,
        outcome: Outcome,
    ) -> Self {
        let last = outcome.last().map(|p| p.measure);
        let figure = |f: fn(problem::Measure) -> f64| last.map_or(f64::NAN, f);
        Self {
            method: method.to_string(),
            step_size,
            trials,
            rounds: outcome.ledger.rounds,
            uplink_bits: outcome.ledger.uplink_max,
            uplink_bits_mean: outcome.ledger.uplink_mean(clients as u32),
            downlink_bits: outcome.ledger.downlink,
            overhead_bytes: outcome.ledger.overhead_bytes,
            train_loss: figure(|m| m.train_loss),
            gradient_norm: figure(|m| m.gradient_norm),
            test_accuracy: figure(|m| m.test_accuracy),
            seconds: outcome.seconds,
            diverged: outcome.diverged,
            params_crc: outcome.params_crc(),
            left_out: outcome.left_out,
            points: outcome.points,
        }
    }
}

fn table(report: &Report) -> Table {
    let mut table = Table::new(
        1,
        &[
            "method",
            "step",
            "rounds",
            "uplink bits/client",
            "train loss",
            "|gradient|",
            "test accuracy",
            "seconds",
        ],
    );
    for row in &report.rows {
        let mark = if row.diverged { " (diverged)" } else { "" };
        table.push(vec![
            format!("{}{mark}", row.method),
            row.step_size.to_string(),
            row.rounds.to_string(),
            si(row.uplink_bits as f64),
            format!("{:.3e}", row.train_loss),
            format!("{:.3e}", row.gradient_norm),
            format!("{:.2} %", 100.0 * row.test_accuracy),
            format!("{:.2}", row.seconds),
        ]);
    }
    table
}

/// Who is first, by loss and by accuracy.
fn verdict(report: &Report) -> String {
    let runs = || report.rows.iter().filter(|row| !row.diverged);
    let loss = runs().min_by(|a, b| a.train_loss.total_cmp(&b.train_loss));
    let accuracy = runs()
        .map(|row| row.test_accuracy)
        .fold(0.0, |a: f64, b| a.max(b));
    let first: Vec<&str> = runs()
        .filter(|row| row.test_accuracy == accuracy)
        .map(|row| row.method.as_str())
        .collect();
    let Some(loss) = loss.map(|row| row.method.as_str()) else {
        return "every run diverged; try smaller --steps".into();
    };
    format!(
        "least training loss: {loss}; best test accuracy: {}",
        first.join(", ")
    )
}
