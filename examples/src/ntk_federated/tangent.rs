//! Rounds of NTK-FL through the frames that its roles exchange.

use thalweg::ProtocolError;
use thalweg::compress::Buffers;
use thalweg::federated::ntk::{self, Client, Config, Rows, Server, client, server, shuffler};
use thalweg::federated::{Run, decode};
use thalweg::model::{Batch, Outputs};
use thalweg::random::{self, Purpose};

use super::Point;
use super::problem::Problem;

/// Which of the four switches are on, and the baseline.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    /// Fraction of its rows that a client uses in a round.
    pub fraction: f64,
    /// How a row is sent.
    pub rows: Rows,
    /// Whether a shuffler stands between clients and server, which then chooses by its validation set.
    pub shuffled: bool,
    /// Whether one client has rows of all classes alike, as many as those of a round.
    pub pooled: bool,
}

impl Variant {
    /// NTK-FL as published.
    pub const PLAIN: Self = Self {
        fraction: 1.0,
        rows: Rows::Dense,
        shuffled: false,
        pooled: false,
    };

    /// Rows of a round, at most.
    pub fn capacity(&self, problem: &Problem) -> usize {
        let each = if self.pooled {
            problem.largest_shard()
        } else {
            (self.fraction * problem.largest_shard() as f64)
                .round()
                .max(1.0) as usize
        };
        problem.participants as usize * each
    }
}

/// Numbers and bytes that are lent to every client.
struct Buffer {
    numbers: Vec<f32>,
    scratch: Vec<f32>,
    values: Vec<f32>,
    indices: Vec<u32>,
    up: Vec<u8>,
}

impl Buffer {
    fn next(
        &mut self,
        config: &Config<'_>,
        client: &mut Client<Vec<f32>>,
        problem: &Problem,
        batch: &Batch<'_, f32>,
    ) -> Result<Option<usize>, ProtocolError> {
        let work = client::Work {
            numbers: &mut self.numbers,
            scratch: &mut self.scratch,
            buffers: Buffers {
                indices: &mut self.indices,
                ..Buffers::values(&mut self.values)
            },
        };
        let model = problem.model();
        client::next_frame(config, client, (&model, batch), work, &mut self.up)
    }
}

/// Rounds of NTK-FL; `done` is called after each.
///
/// # Errors
/// Options that the protocol refuses.
pub fn run(
    problem: &Problem,
    variant: Variant,
    (rounds, times): (u64, &[f64]),
    done: impl Fn(),
) -> Result<Vec<Point>, ProtocolError> {
    let model = problem.model();
    let (p, c) = (model.dim(), model.outputs());
    let run = Run {
        clients: if variant.pooled {
            1
        } else {
            problem.participants
        },
        ..problem.run()
    };
    let config = Config {
        rows: variant.rows,
        ..Config::new(run, c as u32, times)
    };
    let one = Config {
        run: Run { clients: 1, ..run },
        ..config
    };
    let of_server = if variant.shuffled { one } else { config };
    let capacity = variant.capacity(problem);
    let memory = vec![0.0; ntk::server_len(p, c, times.len(), capacity)];
    let mut server = Server::new(&of_server, &problem.start()?, memory, vec![0; capacity])?;
    let bytes = if variant.shuffled {
        shuffler::len::<f32>(&config, p, capacity as u32)
    } else {
        0
    };
    let slots = if variant.shuffled { capacity as u32 } else { 0 };
    let mut shuffler = shuffler::Shuffler::new::<f32>(&config, p, slots, vec![0; bytes])?;
    let count = config.rows.count(c * p);
    let longest = config.frame_len::<f32>(p, capacity as u32);
    let mut buffer = Buffer {
        numbers: vec![0.0; (c * p).max(capacity * c)],
        scratch: vec![0.0; model.outputs_scratch_len(capacity)],
        values: vec![0.0; count],
        indices: vec![0; count],
        up: vec![0; longest],
    };
    let mut down = vec![0; longest];
    let mut scratch = vec![0.0; server::scratch_len(p, c, capacity)];
    let mut points = Vec::new();
    let clock = std::time::Instant::now();
    for round in 0..rounds {
        let len = ntk::broadcast(&of_server, &mut server, &mut down)?;
        let selected = problem.selected(round)?;
        let shares: Vec<Vec<u32>> = if variant.pooled {
            vec![problem.pooled_rows(round)?]
        } else {
            let of = |&client| problem.rows(client, round, variant.fraction);
            selected.iter().map(of).collect::<Result<_, _>>()?
        };
        shuffler.open(round);
        let mut clients = Vec::new();
        for (id, rows) in (0..).zip(&shares) {
            let batch = problem.batch(rows)?;
            let mut sender = Client::new(&config, id, vec![0.0; client::len(p, times.len())])?;
            client::receive(
                &config,
                &mut sender,
                &decode::<f32>(down.get(..len).unwrap_or_default(), p)?,
            )?;
            while let Some(len) = buffer.next(&config, &mut sender, problem, &batch)? {
                let frame = decode::<f32>(buffer.up.get(..len).unwrap_or_default(), c * p)?;
                if variant.shuffled {
                    shuffler::accept::<f32, _>(&config, &mut shuffler, &frame)?;
                } else {
                    ntk::accept(&of_server, &mut server, &frame)?;
                }
            }
            clients.push((sender, batch));
        }
        if variant.shuffled {
            let mut secret = random::stream(problem.seed, round, 0, SHUFFLE);
            let key = random::below_u64(&mut secret, u64::MAX);
            shuffler::release(&config, &mut shuffler, key)?;
            while let Some(len) =
                shuffler::next_frame::<f32, _>(&config, &mut shuffler, &mut buffer.up)?
            {
                let frame = decode::<f32>(buffer.up.get(..len).unwrap_or_default(), c * p)?;
                ntk::accept(&of_server, &mut server, &frame)?;
            }
        }
        ntk::evolve(&of_server, &mut server, &mut scratch)?;
        let chosen = if variant.shuffled {
            let validation = problem.batch(&problem.validation)?;
            let loss = |x: &[f32]| problem.loss_sum(x, &validation);
            ntk::choose_by(&of_server, &mut server, loss, &mut scratch)?
        } else {
            judge(
                problem,
                &config,
                &mut server,
                &mut clients,
                (&mut down, &mut scratch),
            )?
        };
        let ledger = server.ledger();
        points.push(Point {
            round: round + 1,
            uplink_bits: ledger.uplink_mean(config.run.clients),
            downlink_bits: ledger.downlink as f64,
            seconds: clock.elapsed().as_secs_f64(),
            accuracy: problem.accuracy(server.params())?,
            time: chosen.candidate.and_then(|i| times.get(i).copied()),
        });
        done();
    }
    if variant.pooled {
        // Nothing crosses a link where all rows are in one place.
        for point in &mut points {
            (point.uplink_bits, point.downlink_bits) = (0.0, 0.0);
        }
    }
    Ok(points)
}

/// The key of a shuffle.
const SHUFFLE: Purpose = Purpose::custom(0x5348);

type Sender<'a> = (Client<Vec<f32>>, Batch<'a, f32>);

/// Sends the candidates, and closes the round by the losses that come back.
fn judge(
    problem: &Problem,
    config: &Config<'_>,
    server: &mut Server<Vec<f32>, Vec<u32>>,
    clients: &mut [Sender<'_>],
    (down, scratch): (&mut [u8], &mut [f32]),
) -> Result<thalweg::kernel::evolution::Chosen, ProtocolError> {
    let p = problem.model().dim();
    let mut candidate = vec![0.0; p];
    for number in 1..=config.times.len() as u32 {
        let len = server::broadcast_candidate(config, server, number, down, scratch)?;
        let frame = decode::<f32>(down.get(..len).unwrap_or_default(), p)?;
        for (client, batch) in &mut *clients {
            let loss = |x: &[f32]| problem.loss_sum(x, batch);
            client::try_candidate(config, client, &frame, &mut candidate, loss)?;
        }
    }
    for (client, batch) in clients {
        let now = problem.loss_sum(client.params(), batch)?;
        let len = client::losses_into(config, client, now, down)?;
        ntk::accept_losses(
            config,
            server,
            &decode::<f32>(down.get(..len).unwrap_or_default(), p)?,
        )?;
    }
    ntk::choose(config, server, scratch)
}
