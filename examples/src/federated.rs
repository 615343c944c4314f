//! The main job: a network trained over clients by FedAvg, MARINA and EF21 at one budget of uplink bits.

pub mod check;
pub mod client;
pub mod devices;
pub mod exchange;
pub mod method;
pub mod model_file;
pub mod network;
mod picture;
pub mod problem;
pub mod session;
mod text;
pub mod threads;

use clap::Parser;
use serde::Serialize;

use crate::cli::{Common, Failure, bad, input, note, positive, real, short, whole};
use crate::progress;
use crate::source::Source;

use devices::Devices;
use method::{AggregatorName, CompressorName, Method, ProtocolName, Rule};
use model_file::ModelFile;
use network::Network;
use problem::{Problem, Spread};
use session::{Budget, Outcome, Point};
use threads::Threads;

/// Train a small network over clients with separate shards, and compare protocols at an equal
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
    /// Where the model goes.
    #[command(flatten)]
    pub model: ModelFile,
    /// Run these protocols only (comma-separated)
    #[arg(long, value_enum, value_delimiter = ',')]
    pub protocol: Vec<ProtocolName>,
    /// Compressor of the one protocol named by --protocol
    #[arg(long, value_enum)]
    pub compressor: Option<CompressorName>,
    /// Coordinates in a message of rand-k, rand-seq-k and top-k [default: d / clients]
    #[arg(long, value_parser = whole::<usize>(0..=usize::MAX as u64))]
    pub k: Option<usize>,
    /// Probability that a round of EF21 sends full gradients, which takes back clients that missed a round
    #[arg(long, default_value_t = 0.0, value_parser = real(0.0..1.0))]
    pub restart: f64,
    /// How FedAvg combines the changes of the model: mean, median, or trimmed:BETA [trimmed: 0.1] without the fraction BETA of the values at either end of each coordinate
    #[arg(long, default_value_t)]
    pub aggregator: AggregatorName,
    /// How many clients of FedAvg, the last ones, are hostile: each adds 1e6 to every parameter that it sends
    #[arg(long, default_value_t = 0, value_parser = whole::<usize>(0..=usize::MAX as u64))]
    pub hostile: usize,
    /// Number of clients
    #[arg(long, default_value_t = 10, value_parser = whole::<usize>(0..=usize::MAX as u64))]
    pub clients: usize,
    /// Concentration of the Dirichlet distribution of each class over clients; small is uneven
    #[arg(long, alias = "alpha", default_value_t = 0.5, value_parser = real(problem::LEAST_CONCENTRATION..))]
    pub concentration: f64,
    /// Hidden units of the network
    #[arg(long, default_value_t = 32, value_parser = whole::<usize>(0..=usize::MAX as u64))]
    pub hidden: usize,
    /// Uplink bits per client [default: 200 gradients of 32 d bits]
    #[arg(long, value_parser = whole::<u64>(0..=u64::MAX))]
    pub bits: Option<u64>,
    /// End every run after this many rounds, even if bits are left
    #[arg(long, value_parser = whole::<u64>(0..=u64::MAX))]
    pub rounds: Option<u64>,
    /// Step sizes to try (comma-separated); a single one is used as it is
    #[arg(
        long,
        alias = "steps",
        value_delimiter = ',',
        default_value = "0.125,0.25,0.5,1,2",
        value_parser = positive()
    )]
    pub step_sizes: Vec<f64>,
}

/// What `--help` says about runs over sockets.
const PROCESSES: &str = "\
One run over several processes, with the bits of the same run in one process:
  federated --protocol marina --compressor perm-k --step-sizes 0.5 --clients 2 --rounds 300 --listen 127.0.0.1:7000
  federated --protocol marina --compressor perm-k --step-sizes 0.5 --clients 2 --connect 127.0.0.1:7000 --client 0
  federated --protocol marina --compressor perm-k --step-sizes 0.5 --clients 2 --connect 127.0.0.1:7000 --client 1
Server and clients take the same protocol, compressor, step size, data and seed; a difference is an error that names it.
A client that loses its line connects again and goes on. One that was killed and is started again is given the model: FedAvg
takes it back at once, MARINA at the next round of full gradients, EF21 too, but has none after the first without --restart.
A reply that is refused counts as none, and its client is sent away after three; a round without any reply is opened again
until --patience ends. A server that is started again at its address within --patience begins anew with the clients that wait.
Whatever ends a run, the server writes its results. A client ends with 0 if the run is finished, with 2 if the server ended it
early, is gone, or has sent the client away, and if the client had no part in the run.
Boards and threads in one run, in QEMU, with the bits of threads alone:
  bash examples/firmware/build microbit
  federated --protocol marina --compressor perm-k --step-sizes 0.5 --hidden 6 --rounds 20 --device microbit=2
Frames are checked for damage, not authenticated: keep the port inside a tunnel that is.
The model of a run, in one process or at the server, for PyTorch's Sequential(Linear, ReLU, Linear):
  federated --protocol marina --compressor perm-k --step-sizes 0.5 --save model.safetensors
A run that ends early saves what it has; the file's metadata say so.";

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
    /// Replies that were missing: clients that were left out of a round or sat it out, or whose reply was refused.
    pub left_out: u64,
    /// The same by client.
    pub missing: Vec<u64>,
    /// The curve.
    pub points: Vec<Point>,
    /// The model at the end.
    #[serde(skip)]
    pub params: Vec<f32>,
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
    /// Why a run ended before its budget was spent, or not all methods were run.
    pub ended_early: Option<String>,
    /// Inputs, hidden units and classes of the network.
    #[serde(skip)]
    pub sizes: [usize; 3],
}

/// Runs what the options ask for.
///
/// # Errors
/// Bad options or data; a run that ends early, after the results so far have been written; under `--check`, a claim that does not
/// hold.
pub fn main(options: &Options) -> Result<(), Failure> {
    if options.common.check {
        return check::run(options);
    }
    if let Some(server) = &options.network.connect {
        return network::take_part(options, server);
    }
    let files = options
        .common
        .files("federated", options.source.data.as_deref())?;
    options.model.check(options, &files)?;
    let deliver = |report: &Report| {
        let model = options.model.write(report);
        let picture = || picture::draw(text::title(report), &report.rows);
        let rest = files.deliver(report, picture, text::of(report));
        model.and(rest)
    };
    if options.network.listen.is_some() || !options.devices.device.is_empty() {
        return network::serve(options, deliver);
    }
    let (report, early) = compare_until(options)?;
    let delivered = if report.rows.is_empty() {
        Ok(())
    } else {
        deliver(&report)
    };
    match early {
        None => delivered,
        Some(early) => {
            if let Err(error) = delivered {
                note(format_args!("error: {error}"));
            }
            Err(early)
        }
    }
}

/// Runs every method at one budget.
///
/// # Errors
/// Bad options or data, a method that diverges with every step size.
pub fn compare(options: &Options) -> Result<Report, Failure> {
    match compare_until(options)? {
        (report, None) => Ok(report),
        (_, Some(early)) => Err(early),
    }
}

/// Runs method after method; one that fails ends the comparison, and the report holds those before it.
fn compare_until(options: &Options) -> Result<(Report, Option<Failure>), Failure> {
    let threads = options.common.threads()?;
    let plan = Plan::new(options)?;
    let bench = Bench {
        problem: &plan.problem,
        rule: plan.rule,
        threads,
    };
    let (mut rows, mut early) = (Vec::new(), None);
    for &method in &plan.methods {
        match bench.row(method, plan.budget, &options.step_sizes) {
            Ok(row) => rows.push(row),
            Err(failure) => {
                early = Some(failure);
                break;
            }
        }
    }
    let mut report = plan.report(options, rows);
    report.ended_early = early.as_ref().map(ToString::to_string);
    Ok((report, early))
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
        check_steps(&options.step_sizes)?;
        if options.rounds == Some(0) {
            return Err(bad("rounds", 0, "must be at least 1"));
        }
        let rule = Rule {
            clients: options.clients,
            k: options.k,
            restart: options.restart,
            aggregator: options.aggregator,
            hostile: options.hostile,
        };
        let methods = method::select(&options.protocol, options.compressor)?;
        rule.check_methods(&methods)?;
        let data = options.source.load(seed)?;
        let spread = Spread::Dirichlet(options.concentration);
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
            alpha: options.concentration,
            seed: problem.seed(),
            budget_bits: self.budget.bits,
            rows,
            ended_early: None,
            sizes: problem.sizes(),
        }
    }
}

fn check_steps(steps: &[f64]) -> Result<(), Failure> {
    // The networks are in f32.
    let fits = |step: f64| (step as f32).is_finite() && step as f32 > 0.0;
    match steps.iter().find(|&&step| !fits(step)) {
        Some(&step) => {
            let rule = "must be positive and finite as f32";
            Err(bad("step-sizes", short(step), rule))
        }
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
                let label = format!("{method}, step {}", short(step));
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
                    "--step-sizes: {method} diverges with every step size; try smaller ones"
                )));
            }
        };
        let whole = |step| {
            self.run(
                method,
                budget,
                step,
                &format!("{method}, step {}, whole budget", short(step)),
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
        let exchange = &method::build(method, self.problem, self.rule, step);
        let outcome = std::thread::scope(|scope| {
            let mut clients = Threads::start(scope, exchange, self.problem, self.threads)?;
            let watch = |bits| bar.set_position(bits);
            session::run(exchange, self.problem, budget, &mut clients, &watch)
        });
        bar.finish_and_clear();
        let mut outcome = outcome.map_err(input)?;
        // Threads of this process end no run but for a fault of the program.
        outcome
            .early
            .take()
            .map_or(Ok(outcome), |error| Err(input(error)))
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
            left_out: outcome.missing.iter().sum(),
            missing: outcome.missing,
            points: outcome.points,
            params: outcome.params,
        }
    }
}
