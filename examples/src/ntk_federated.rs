//! Federated training by the tangent kernel, and what it costs: few rounds, many bits.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | clients with few classes each, and a network |
//! | [`tangent`] | NTK-FL and CP-NTK-FL through frames |
//! | [`average`] | FedAvg, FedNova, FedProx, and training on pooled rows |
//! | `check` | identities, and what must hold for every seed |

pub mod average;
mod check;
mod picture;
pub mod problem;
pub mod tangent;

use clap::Parser;
use serde::Serialize;
use thalweg::ProtocolError;
use thalweg::federated::ntk::{Rows, projection, server_len};
use thalweg::random::{self, Purpose};

use crate::cli::{Claims, Common, Failure, bad, input, positive, print, println, whole};
use crate::progress;
use crate::source::Source;
use crate::table::Table;
use crate::threads::each;

use average::Training;
use problem::{Problem, Spread};
use tangent::Variant;

/// Federated training of a small network by its tangent kernel, compared with averaging.
///
/// Each client has rows of a few classes. In NTK-FL clients send the Jacobian of each row, and the server descends in function space; CP-NTK-FL projects the inputs,
/// quantises the Jacobians, uses a part of the rows and shuffles them. A row of the table says in which round a method first reaches each accuracy, after how
/// many bits of one client (up and down), and after how many seconds; bits and seconds depend on the machine's frames and speed, rounds do not.
/// Plain NTK-FL discloses the inputs to the server.
#[derive(Clone, Debug, Parser)]
#[command(name = "ntk_federated", version)]
pub struct Options {
    /// Options of every program.
    #[command(flatten)]
    pub common: Common,
    /// Images.
    #[command(flatten)]
    pub source: Source,
    /// Clients in all, 1 to 100000
    #[arg(long, default_value_t = 40, value_parser = whole::<usize>(1..=100_000))]
    pub clients: usize,
    /// Clients of a round, 1 to 1000
    #[arg(long, default_value_t = 8, value_parser = whole::<usize>(1..=1000))]
    pub participants: usize,
    /// Rows of a client, at most, 1 to 10000
    #[arg(long, default_value_t = 40, value_parser = whole::<usize>(1..=10_000))]
    pub samples: usize,
    /// Concentration of the classes of a client, positive
    #[arg(long, default_value_t = 0.1, value_parser = positive())]
    pub concentration: f64,
    /// Units of the hidden layer, 1 to 4096
    #[arg(long, default_value_t = 32, value_parser = whole::<usize>(1..=4096))]
    pub hidden: usize,
    /// Rounds by the tangent kernel, 1 to 10000
    #[arg(long, default_value_t = 15, value_parser = whole::<u64>(1..=10_000))]
    pub rounds: u64,
    /// Rounds of averaging, 1 to 100000
    #[arg(long, default_value_t = 100, value_parser = whole::<u64>(1..=100_000))]
    pub average_rounds: u64,
    /// Times of the flow to choose from, positive and increasing (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "1,2,5,10,20,50,100,200", value_parser = positive())]
    pub times: Vec<f64>,
    /// CP-NTK-FL: fraction of its rows that a client uses in a round, above 0, at most 1
    #[arg(long, default_value_t = 0.5, value_parser = positive())]
    pub fraction: f64,
    /// CP-NTK-FL: numbers that an input is projected to, 1 to 100000
    #[arg(long, default_value_t = 32, value_parser = whole::<usize>(1..=100_000))]
    pub projection: usize,
    /// CP-NTK-FL: fraction of a Jacobian that is sent, above 0, at most 1
    #[arg(long, default_value_t = 0.1, value_parser = positive())]
    pub keep: f64,
    /// CP-NTK-FL: bits of a level, 1 to 24
    #[arg(long, default_value_t = 8, value_parser = whole::<u32>(1..=24))]
    pub bits: u32,
    /// Averaging: rates of the local steps (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "0.03,0.1,0.3", value_parser = positive())]
    pub learning_rates: Vec<f64>,
    /// Averaging: passes over a client's rows in a round, 1 to 1000 (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "1,5", value_parser = whole::<u32>(1..=1000))]
    pub epochs: Vec<u32>,
    /// Averaging: rows of a step, 1 to 10000
    #[arg(long, default_value_t = 20, value_parser = whole::<usize>(1..=10_000))]
    pub batch: usize,
    /// FedProx: weight of the distance to the model of the round
    #[arg(long, default_value_t = 0.1, value_parser = positive())]
    pub mu: f64,
    /// Accuracies to be reached, in percent (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "70,80,85,90", value_parser = positive())]
    pub targets: Vec<f64>,
}

/// Where a method stands after a round.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Point {
    /// Rounds so far.
    pub round: u64,
    /// Bits that a client of every round would have sent, in the mean.
    pub uplink_bits: f64,
    /// Bits that it would have received.
    pub downlink_bits: f64,
    /// Seconds of one thread.
    pub seconds: f64,
    /// Share of the test set that is classified as labelled.
    pub accuracy: f64,
    /// Time of the flow that was chosen; none where the model was kept, and for averaging.
    pub time: Option<f64>,
}

impl Point {
    /// Both ways.
    fn bits(&self) -> f64 {
        self.uplink_bits + self.downlink_bits
    }
}

/// One method.
#[derive(Clone, Debug, Serialize)]
struct Row {
    method: String,
    points: Vec<Point>,
}

impl Row {
    fn best(&self) -> f64 {
        self.points.iter().map(|p| p.accuracy).fold(0.0, f64::max)
    }

    /// Where an accuracy, in percent, is first reached.
    fn first(&self, percent: f64) -> Option<&Point> {
        self.points.iter().find(|p| 100.0 * p.accuracy >= percent)
    }
}

/// All figures of the table.
#[derive(Debug, Serialize)]
struct Report {
    data: String,
    clients: usize,
    participants: usize,
    concentration: f64,
    targets: Vec<f64>,
    rows: Vec<Row>,
}

/// Most bytes of a server's memory.
const MOST_BYTES: usize = 4 << 30;

/// Runs what the options ask for.
///
/// # Errors
/// Bad options or data; under `--check`, figures that are off.
pub fn main(options: &Options) -> Result<(), Failure> {
    let common = &options.common;
    let files = common.files("ntk_federated", options.source.data.as_deref())?;
    let threads = common.threads()?;
    let fixed;
    let options = if common.check {
        let mut published = Options::try_parse_from(["ntk_federated"]).map_err(input)?;
        published.common = common.clone();
        fixed = published;
        &fixed
    } else {
        options
    };
    let (problem, report) = run(options, threads)?;
    let saved = files.save(&report, || picture::draw(&report));
    print(&report);
    let delivered = saved.tell();
    if !common.check {
        return delivered;
    }
    println!();
    let mut claims = Claims::default();
    check::identities(&problem, &mut claims).map_err(input)?;
    check::rows(&problem, &report, &mut claims);
    files.verdict(claims).and(delivered)
}

/// What a thread does.
enum Job {
    Tangent(Variant, bool),
    Average(Training),
    Pooled(Training),
}

fn run(options: &Options, threads: usize) -> Result<(Problem, Report), Failure> {
    let seed = options.common.seed;
    let spread = Spread {
        clients: options.clients,
        participants: options.participants,
        samples: options.samples,
        concentration: options.concentration,
    };
    for (name, value) in [("fraction", options.fraction), ("keep", options.keep)] {
        if value > 1.0 {
            return Err(bad(name, value, "must be above 0 and at most 1"));
        }
    }
    if !options.times.is_sorted_by(|a, b| a < b) {
        return Err(Failure::Input("--times: must be increasing".to_owned()));
    }
    let problem = Problem::new(options.source.load(seed)?, spread, options.hidden, seed)?;
    let mut rng = random::stream(seed, 0, 0, PROJECTION);
    let secret: [u8; projection::SEED] =
        std::array::from_fn(|_| random::below(&mut rng, 256) as u8);
    let projected = problem.projected(&secret, options.projection)?;
    let plain = Variant::PLAIN;
    let quantised = Rows::Quantised {
        keep: options.keep,
        bits: options.bits,
    };
    let private = Variant {
        fraction: options.fraction,
        rows: quantised,
        shuffled: true,
        ..plain
    };
    let mut jobs = vec![
        ("NTK-FL".to_owned(), Job::Tangent(plain, false)),
        (
            format!("NTK-FL, {} of the rows", options.fraction),
            Job::Tangent(
                Variant {
                    fraction: options.fraction,
                    ..plain
                },
                false,
            ),
        ),
        (
            format!("NTK-FL, {} in {} bits", options.keep, options.bits),
            Job::Tangent(
                Variant {
                    rows: quantised,
                    ..plain
                },
                false,
            ),
        ),
        ("CP-NTK-FL".to_owned(), Job::Tangent(private, true)),
        (
            "NTK on pooled rows".to_owned(),
            Job::Tangent(
                Variant {
                    pooled: true,
                    ..plain
                },
                false,
            ),
        ),
    ];
    let base = Training {
        learning_rate: 0.0,
        epochs: 1,
        uneven: false,
        batch: options.batch,
        mu: 0.0,
        normalised: false,
    };
    let most = options.epochs.iter().copied().max().unwrap_or(1);
    for &learning_rate in &options.learning_rates {
        for &epochs in &options.epochs {
            let training = Training {
                learning_rate,
                epochs,
                ..base
            };
            jobs.push((
                format!("FedAvg, rate {learning_rate}, {epochs} passes"),
                Job::Average(training),
            ));
        }
        let uneven = Training {
            learning_rate,
            epochs: most,
            uneven: true,
            ..base
        };
        jobs.push((
            format!("FedAvg, rate {learning_rate}, 1 to {most} passes"),
            Job::Average(uneven),
        ));
        let nova = Training {
            normalised: true,
            ..uneven
        };
        jobs.push((
            format!("FedNova, rate {learning_rate}, 1 to {most} passes"),
            Job::Average(nova),
        ));
        let prox = Training {
            learning_rate,
            epochs: most,
            mu: options.mu,
            ..base
        };
        jobs.push((
            format!("FedProx, rate {learning_rate}, {most} passes"),
            Job::Average(prox),
        ));
        let pooled = Training {
            learning_rate,
            ..base
        };
        jobs.push((
            format!("SGD on pooled rows, rate {learning_rate}"),
            Job::Pooled(pooled),
        ));
    }
    let rounds = |job: &Job| match job {
        Job::Tangent(..) => options.rounds,
        _ => options.average_rounds,
    };
    for (_, job) in &jobs {
        if let Job::Tangent(variant, is_projected) = job {
            let on = if *is_projected { &projected } else { &problem };
            let (p, c) = (on.model().dim(), on.model().outputs());
            let bytes =
                server_len(p, c, options.times.len(), variant.capacity(on)).saturating_mul(4);
            if bytes > MOST_BYTES {
                let rule = format!(
                    "the server would hold {:.1} GB of Jacobians; take less of --participants, --samples or --hidden",
                    bytes as f64 / 1e9
                );
                return Err(bad("samples", options.samples, &rule));
            }
        }
    }
    let bar = progress::bar(jobs.iter().map(|(_, job)| rounds(job)).sum());
    let found = each(threads, &jobs, |(_, job)| {
        let done = || bar.inc(1);
        let points: Result<Vec<Point>, ProtocolError> = match *job {
            Job::Tangent(variant, is_projected) => {
                let on = if is_projected { &projected } else { &problem };
                tangent::run(on, variant, (rounds(job), &options.times), done)
            }
            Job::Average(training) => average::run(&problem, training, rounds(job), done),
            Job::Pooled(training) => average::pooled(&problem, training, rounds(job), done),
        };
        Ok(points)
    });
    let found = found.map_err(input)?;
    bar.finish_and_clear();
    let mut rows = Vec::new();
    for ((method, _), points) in jobs.into_iter().zip(found) {
        rows.push(Row {
            method,
            points: points.map_err(input)?,
        });
    }
    let report = Report {
        data: problem.data.name.clone(),
        clients: options.clients,
        participants: options.participants,
        concentration: options.concentration,
        targets: options.targets.clone(),
        rows,
    };
    Ok((problem, report))
}

/// The seed of the projection.
const PROJECTION: Purpose = Purpose::custom(0x5052);

fn print(report: &Report) {
    let mut header = vec![
        "method".to_owned(),
        "bits a round".to_owned(),
        "best %".to_owned(),
    ];
    for target in &report.targets {
        header.extend([
            format!("{target} %: rounds"),
            "bits".to_owned(),
            "s".to_owned(),
        ]);
    }
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    let mut table = Table::new(1, &header);
    for row in &report.rows {
        let last = row.points.last();
        let each = last.map_or(0.0, |p| p.bits() / p.round as f64);
        let mut cells = vec![
            row.method.clone(),
            format!("{each:.2e}"),
            format!("{:.1}", 100.0 * row.best()),
        ];
        for &target in &report.targets {
            cells.extend(row.first(target).map_or(["-"; 3].map(str::to_owned), |p| {
                [
                    p.round.to_string(),
                    format!("{:.1e}", p.bits()),
                    format!("{:.2}", p.seconds),
                ]
            }));
        }
        table.push(cells);
    }
    print!(
        "{}: {} of {} clients a round, Dirichlet alpha {}; bits of one client, both ways\n\n{table}",
        report.data, report.participants, report.clients, report.concentration
    );
}
