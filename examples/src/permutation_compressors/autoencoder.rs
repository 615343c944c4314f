//! A linear autoencoder of images over clients whose shards are more or less alike; every message is a frame.
//!
//! Rows are cut in `n + 1` parts; part 0 is a hold-out, and each row of the others is replaced by the hold-out's of the same
//! position with probability `p_hat`: at 1 all clients are equal. The table gives the mean loss of all clients after a
//! number of rounds, for the best of the step sizes.

use std::path::PathBuf;

use clap::Parser;
use serde::Serialize;
use thalweg::compress::{Buffers, PermK, RandK, TopK};
use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
use thalweg::federated::{Protocol, ProtocolError, Run, decode, ef21, frame_len, marina};
use thalweg::model::{Batch, Init, Labels, Objective, autoencoder::Model};
use thalweg::random::{self, Purpose};
use thalweg_std::data::{Dataset, Limits, digits, idx, partition};

use crate::cli::{Claims, Failure, Files, bad, input, positive, println, real, short, whole};
use crate::progress;
use crate::table::{Table, si};

use super::grid::{Method, Point, in_threads};
use super::picture;

/// Pixels of the published experiment: MNIST's after averaging squares of 2 x 2.
const PIXELS: usize = 14 * 14;
/// Points of a curve.
const POINTS: u64 = 80;
/// Most rounds of a run.
const MOST_ROUNDS: u64 = 1_000_000_000;

/// Options of the autoencoder.
#[derive(Clone, Debug, clap::Args)]
pub struct Images {
    /// Folder with the files of MNIST, plain or .gz, for --autoencoder [default: the digits in the repository]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Autoencoder: side of the squares whose mean becomes one pixel [default: 2 for MNIST, 1 for the digits]
    #[arg(long, value_parser = whole::<usize>(1..=1024))]
    pub pool: Option<usize>,
    /// Autoencoder: width of the code, up to 1024
    #[arg(long, default_value_t = 16, value_parser = whole::<usize>(1..=1024))]
    pub code: usize,
    /// Autoencoder: images of each client
    #[arg(long, default_value_t = 20, value_parser = whole::<usize>(1..=1_000_000))]
    pub samples: usize,
    /// Autoencoder: likeness of the shards, from 0 (disjoint) to 1 (equal) (comma-separated)
    #[arg(long, value_delimiter = ',', default_value = "1,0.5,0", value_parser = real(0.0..=1.0))]
    pub p_hat: Vec<f64>,
    /// Autoencoder: rounds of MARINA
    #[arg(long, default_value_t = 400, value_parser = whole::<u64>(1..=MOST_ROUNDS))]
    pub rounds: u64,
    /// Autoencoder: rounds of EF21 [default: 71/40 of MARINA's, about as many bits without indices]
    #[arg(long, value_parser = whole::<u64>(1..=MOST_ROUNDS))]
    pub ef21_rounds: Option<u64>,
    /// Autoencoder: step sizes (comma-separated)
    #[arg(
        long,
        alias = "steps",
        value_delimiter = ',',
        default_value = "2,4,8",
        value_parser = positive()
    )]
    pub step_sizes: Vec<f64>,
}

impl super::Options {
    /// The published experiment with these data, seed and threads.
    fn published(&self) -> Result<Self, Failure> {
        if self.images.data.is_none() {
            return Err(Failure::Input(
                "--check: the published losses of --autoencoder are those of MNIST; name its folder with --data".into(),
            ));
        }
        // Every other option has the published value for its default.
        let defaults = Self::parse_from(["permutation_compressors"]);
        Ok(Self {
            common: self.common.clone(),
            autoencoder: true,
            images: Images {
                data: self.images.data.clone(),
                ..defaults.images
            },
            ..defaults
        })
    }
}

/// One step size of one method.
#[derive(Clone, Debug, Serialize)]
pub struct Trial {
    /// The step.
    pub step_size: f64,
    /// Loss at MARINA's number of rounds; absent when the run diverged.
    pub loss: Option<f64>,
    /// Loss at the end, which is later for EF21.
    pub last_loss: Option<f64>,
    /// Uplink bits of a client at MARINA's number of rounds, TopK's indices included.
    pub bits: u64,
    /// The same without indices.
    pub bits_without_indices: u64,
    /// Uplink bits at the end, indices included.
    pub last_bits: u64,
    /// Bits without indices, and loss.
    pub curve: Vec<Point>,
}

/// One method at one likeness.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Likeness of the shards.
    pub p_hat: f64,
    /// The method.
    pub method: Method,
    /// All step sizes.
    pub trials: Vec<Trial>,
}

impl Row {
    /// The step with the least loss.
    #[must_use]
    pub fn best(&self) -> Option<&Trial> {
        let finite = self.trials.iter().filter(|trial| trial.loss.is_some());
        finite.min_by(|a, b| {
            let loss = |trial: &Trial| trial.loss.unwrap_or(f64::INFINITY);
            loss(a).total_cmp(&loss(b))
        })
    }
}

/// All figures of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the data.
    pub data: String,
    /// Number of clients.
    pub clients: usize,
    /// Parameters.
    pub dimension: usize,
    /// Elements that RandK and TopK send.
    pub k: usize,
    /// Seed.
    pub seed: u64,
    /// One for each likeness and method.
    pub rows: Vec<Row>,
}

/// Images of all clients, the model, and where descent starts.
#[derive(Debug)]
struct Problem {
    model: Model<f32>,
    /// Pixels of each client's images.
    shards: Vec<Vec<f32>>,
    start: Vec<f32>,
}

impl Problem {
    fn new(
        images: &Dataset,
        clients: usize,
        code: usize,
        p_hat: f64,
        seed: u64,
    ) -> Result<Self, Failure> {
        let model = Model::new(images.columns(), code);
        let parts = partition::homogeneous(images.rows(), clients, p_hat, seed).map_err(input)?;
        let pixels = |rows: &Vec<u32>| {
            let rows = rows.iter().filter_map(|&i| images.row(i as usize));
            rows.flatten().copied().collect()
        };
        let mut start = vec![0.0; model.dim()];
        let mut rng = random::stream(seed, 0, 0, Purpose::INIT);
        model
            .init_into(Init::XavierNormal, &mut rng, &mut start)
            .map_err(input)?;
        Ok(Self {
            model,
            shards: parts.shards.iter().map(pixels).collect(),
            start,
        })
    }

    fn batch(&self, client: usize) -> Result<Batch<'_, f32>, thalweg::Error> {
        let pixels = self.shards.get(client).map_or(&[][..], Vec::as_slice);
        Batch::new(pixels, self.model.pixels, Labels::None)
    }

    fn scratch(&self) -> Vec<f32> {
        let rows = self
            .shards
            .iter()
            .map(|shard| shard.len() / self.model.pixels);
        vec![0.0; self.model.scratch_len(rows.max().unwrap_or(0))]
    }

    /// Mean loss of all clients.
    fn loss(&self, x: &[f32], scratch: &mut [f32]) -> Result<f64, thalweg::Error> {
        let mut sum = 0.0;
        for client in 0..self.shards.len() {
            sum += f64::from(self.model.value(x, &self.batch(client)?, scratch)?);
        }
        Ok(sum / self.shards.len() as f64)
    }
}

/// What one thread runs.
struct Job<'p> {
    problem: &'p Problem,
    row: usize,
    method: Method,
    step_size: f64,
    rounds: u64,
    last: u64,
    k: usize,
    seed: u64,
}

/// Runs the protocols on images.
///
/// # Errors
/// Bad options or data; under `--check`, figures that are off.
pub(super) fn main(options: &super::Options, files: &Files<'_>) -> Result<(), Failure> {
    let published;
    let options = if options.common.check {
        published = options.published()?;
        &published
    } else {
        options
    };
    let report = compare(options)?;
    let text = format!(
        "{}: {} clients, {} parameters, K = {}\n{}",
        report.data,
        report.clients,
        report.dimension,
        report.k,
        table(&report)
    );
    let delivered = files.deliver(&report, || picture::autoencoder(&report), text);
    if !options.common.check {
        return delivered;
    }
    println!();
    let mut claims = Claims::default();
    check(&report, &mut claims);
    files.verdict(claims).and(delivered)
}

/// Runs every method, step size and likeness.
///
/// # Errors
/// Bad options or data.
pub fn compare(options: &super::Options) -> Result<Report, Failure> {
    let (own, seed) = (&options.images, options.common.seed);
    let threads = options.common.threads()?;
    let clients = match *options.clients.as_slice() {
        [] => 50,
        [n] => n,
        _ => {
            return Err(Failure::Input(
                "--clients: one number with --autoencoder".into(),
            ));
        }
    };
    let (data, images) = own.images(clients)?;
    if options.common.check && images.columns() != PIXELS {
        return Err(bad("data", data, "must hold images of 28 x 28 pixels"));
    }
    let last = own
        .ef21_rounds
        .unwrap_or(own.rounds.saturating_mul(71) / 40);
    let problems: Result<Vec<_>, _> = own
        .p_hat
        .iter()
        .map(|&p_hat| Problem::new(&images, clients, own.code, p_hat, seed))
        .collect();
    let problems = problems?;
    let dimension = Model::<f32>::new(images.columns(), own.code).dim();
    let k = (dimension / clients).max(1);
    let methods = [Method::PermK, Method::RandK, Method::TopK];
    let (mut rows, mut jobs) = (Vec::new(), Vec::new());
    for (problem, &p_hat) in problems.iter().zip(&own.p_hat) {
        for method in methods {
            for &step_size in &own.step_sizes {
                jobs.push(Job {
                    problem,
                    row: rows.len(),
                    method,
                    step_size,
                    rounds: own.rounds,
                    last: if method == Method::TopK {
                        last.max(own.rounds)
                    } else {
                        own.rounds
                    },
                    k,
                    seed,
                });
            }
            rows.push(Row {
                p_hat,
                method,
                trials: Vec::new(),
            });
        }
    }
    let bar = progress::bar(jobs.iter().map(|job| job.last).sum());
    let trials = in_threads(threads, &jobs, |job| {
        let trial = execute(job);
        bar.inc(job.last);
        trial
    });
    bar.finish_and_clear();
    for (job, trial) in jobs.iter().zip(trials) {
        if let Some(row) = rows.get_mut(job.row) {
            row.trials.push(trial.map_err(input)?);
        }
    }
    Ok(Report {
        data,
        clients,
        dimension,
        k,
        seed,
        rows,
    })
}

impl Images {
    /// Name of the data, and as many images as the clients and the hold-out need.
    fn images(&self, clients: usize) -> Result<(String, Dataset), Failure> {
        let (name, mut all, side, pool) = if let Some(path) = &self.data {
            let (train, _) = idx::read_folder(path, &Limits::default()).map_err(input)?;
            (path.display().to_string(), train, 1.0 / 255.0, 2)
        } else {
            (
                "UCI digits".to_owned(),
                digits().map_err(input)?,
                1.0 / 16.0,
                1,
            )
        };
        all.scale(side);
        let wanted = clients.saturating_add(1).saturating_mul(self.samples);
        if wanted > all.rows() {
            let rule = format!(
                "and {} samples each, with a hold-out, must need between 2 and {} images of {name}",
                self.samples,
                all.rows()
            );
            return Err(bad("clients", clients, &rule));
        }
        let rows: Vec<u32> = (0..wanted as u32).collect();
        let all = all.select(&rows).map_err(input)?;
        let side = all.columns().isqrt();
        let pool = self.pool.unwrap_or(pool);
        let images = all
            .mean_pool(side, side, pool)
            .map_err(|error| bad("pool", pool, &error.to_string()))?;
        Ok((name, images))
    }
}

fn execute(job: &Job<'_>) -> Result<Trial, ProtocolError> {
    let n = job.problem.shards.len();
    let run = Run {
        seed: job.seed,
        clients: n as u32,
    };
    let step_size = job.step_size as f32;
    let d = job.problem.model.dim();
    match job.method {
        Method::PermK => follow(
            job,
            &marina::Config {
                run,
                step_size,
                probability: 1.0 / n.min(d) as f64,
                compressor: PermK::new(n),
            },
        ),
        Method::RandK => follow(
            job,
            &marina::Config {
                run,
                step_size,
                probability: job.k as f64 / d as f64,
                compressor: RandK::new(job.k),
            },
        ),
        Method::TopK | Method::Descent => follow(
            job,
            &ef21::Config {
                run,
                step_size,
                restart: 0.0,
                compressor: TopK { k: job.k },
            },
        ),
    }
}

/// Rounds over frames; an estimate or a gradient that is not finite ends them.
fn follow(job: &Job<'_>, config: &dyn Protocol<f32>) -> Result<Trial, ProtocolError> {
    let problem = job.problem;
    let d = problem.start.len();
    let zeros = || vec![0.0; d];
    let mut server = Server::new(config, &problem.start, vec![0.0; config.server_len(d)])?;
    let clients = 0..problem.shards.len() as u32;
    let clients: Result<Vec<_>, _> = clients
        .map(|id| Client::new(config, id, vec![0.0; config.client_len(d)]))
        .collect();
    let mut clients = clients?;
    let lengths = config.compressor().lengths(d);
    let (mut values, mut indices) = (vec![0.0; lengths.values], vec![0; lengths.indices]);
    let frame = frame_len::<f32>(u32::try_from(d).unwrap_or(u32::MAX));
    let (mut down, mut up) = (vec![0; frame], vec![0; frame]);
    let (mut gradient, mut scratch) = (zeros(), problem.scratch());
    let mut trial = Trial {
        step_size: job.step_size,
        loss: None,
        last_loss: None,
        bits: 0,
        bits_without_indices: 0,
        last_bits: 0,
        curve: Vec::new(),
    };
    let start = problem.loss(&problem.start, &mut scratch)?;
    let every = (job.last / POINTS).max(1);
    let mut bits = 0;
    for round in 0..job.last {
        let numbers = if config.is_full(round) {
            d
        } else if job.method == Method::PermK {
            d.div_ceil(clients.len())
        } else {
            job.k
        };
        let mut turn = || -> Result<(), ProtocolError> {
            let len = broadcast(config, &mut server, &mut down)?;
            let opening = decode::<f32>(down.get(..len).unwrap_or_default(), d)?;
            for (id, client) in clients.iter_mut().enumerate() {
                receive(config, client, &opening)?;
                problem.model.gradient_into(
                    client.params(),
                    &problem.batch(id)?,
                    &mut gradient,
                    &mut scratch,
                )?;
                let buffers = Buffers {
                    values: &mut values,
                    indices: &mut indices,
                    ..Buffers::default()
                };
                let len = reply(config, client, &mut gradient, buffers, &mut up)?;
                let buffers = Buffers {
                    values: &mut values,
                    indices: &mut indices,
                    ..Buffers::default()
                };
                let reply = decode::<f32>(up.get(..len).unwrap_or_default(), d)?;
                accept(config, &mut server, 1, &reply, buffers)?;
            }
            finish(config, &mut server)
        };
        match turn() {
            Err(ProtocolError::Argument(thalweg::Error::NonFinite { .. })) => return Ok(trial),
            other => other?,
        }
        bits += 32 * numbers as u64;
        let (is_mark, is_last) = (round + 1 == job.rounds, round + 1 == job.last);
        if is_mark || is_last || round % every == 0 {
            let value = problem.loss(server.params(), &mut scratch)?;
            // Larger than at the start is as good as diverged.
            let loss = Some(value).filter(|&value| value <= start);
            trial.curve.push(Point { bits, value });
            if is_mark {
                trial.loss = loss;
                trial.bits = server.ledger().uplink_max;
                trial.bits_without_indices = bits;
            }
            if is_last {
                trial.last_loss = loss;
                trial.last_bits = server.ledger().uplink_max;
            }
        }
    }
    Ok(trial)
}

fn table(report: &Report) -> Table {
    let mut table = Table::new(
        2,
        &[
            "p-hat",
            "method",
            "loss",
            "step",
            "bits",
            "with indices",
            "loss at the end",
            "with indices",
        ],
    );
    let number = |x: Option<f64>| x.map_or("diverged".to_owned(), |x| format!("{x:.5}"));
    for row in &report.rows {
        let mut cells = vec![format!("{}", row.p_hat), row.method.to_string()];
        if let Some(best) = row.best() {
            cells.extend([
                number(best.loss),
                short(best.step_size),
                si(best.bits_without_indices as f64),
                si(best.bits as f64),
                number(best.last_loss),
                si(best.last_bits as f64),
            ]);
        } else {
            cells.push(number(None));
        }
        table.push(cells);
    }
    table
}

/// Published losses: likeness, method, loss after 400 rounds.
const PUBLISHED: [(f64, Method, f64); 9] = [
    (1.0, Method::PermK, 0.00347),
    (1.0, Method::RandK, 0.00669),
    (1.0, Method::TopK, 0.00742),
    (0.5, Method::PermK, 0.01704),
    (0.5, Method::RandK, 0.01716),
    (0.5, Method::TopK, 0.01751),
    (0.0, Method::PermK, 0.02037),
    (0.0, Method::RandK, 0.02119),
    (0.0, Method::TopK, 0.02070),
];

/// Other images, another initial point and other coins than the published ones: a fifth either way.
const TOLERANCE: f64 = 1.2;

fn check(report: &Report, claims: &mut Claims) {
    let loss = |p_hat, method| {
        let mut rows = report.rows.iter();
        rows.find(|row| row.p_hat == p_hat && row.method == method)
            .and_then(|row| row.best()?.loss)
            .unwrap_or(f64::NAN)
    };
    for (p_hat, method, expected) in PUBLISHED {
        let figure = format!("p-hat {p_hat}: loss of {method}");
        claims.at_most(&figure, loss(p_hat, method), expected * TOLERANCE);
        claims.at_least(&figure, loss(p_hat, method), expected / TOLERANCE);
    }
    claims.at_most(
        "equal clients: loss of PermK over RandK",
        loss(1.0, Method::PermK) / loss(1.0, Method::RandK),
        1.0,
    );
}
