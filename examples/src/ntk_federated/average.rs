//! Averaging of models that clients have trained: FedAvg, FedNova, FedProx; and the same training on pooled rows.

use thalweg::ProtocolError;
use thalweg::aggregate::Mean;
use thalweg::compress::{Buffers, Identity};
use thalweg::federated::machine::{Client, Server, accept, broadcast, finish, receive, reply};
use thalweg::federated::{Protocol, decode, fed_avg, fed_nova, fed_prox, frame_len};
use thalweg::model::Objective;
use thalweg::random::{self, Purpose, below};
use thalweg::vector;

use super::Point;
use super::problem::Problem;

/// How clients train, and how the server averages.
#[derive(Clone, Copy, Debug)]
pub struct Training {
    /// Rate of the local steps.
    pub learning_rate: f64,
    /// Passes over a client's rows; with `uneven` each client draws from 1 to this many in each round.
    pub epochs: u32,
    /// Whether the numbers of passes differ.
    pub uneven: bool,
    /// Rows of a step.
    pub batch: usize,
    /// Weight of the distance to the model of the round.
    pub mu: f64,
    /// Whether changes are divided by the number of steps: FedNova.
    pub normalised: bool,
}

impl Training {
    fn epochs(&self, problem: &Problem, round: u64, client: u32) -> u32 {
        if !self.uneven {
            return self.epochs;
        }
        let mut rng = random::stream(problem.seed, round, client.into(), EPOCHS);
        1 + below(&mut rng, self.epochs.max(1))
    }

    fn steps(&self, epochs: u32, rows: usize) -> u32 {
        epochs * rows.div_ceil(self.batch.max(1)) as u32
    }

    /// Trains `y` on some rows, from where it is.
    fn train(
        &self,
        problem: &Problem,
        (round, client, epochs): (u64, u32, u32),
        rows: &[u32],
        y: &mut [f32],
    ) -> Result<(), ProtocolError> {
        let (model, start, mut order) = (problem.model(), y.to_vec(), rows.to_vec());
        let (mut gradient, mut scratch) =
            (vec![0.0; y.len()], vec![0.0; model.scratch_len(self.batch)]);
        let mut rng = random::stream(problem.seed, round, client.into(), ORDER);
        for _ in 0..epochs {
            random::shuffle(&mut rng, &mut order);
            for rows in order.chunks(self.batch.max(1)) {
                model.gradient_into(y, &problem.batch(rows)?, &mut gradient, &mut scratch)?;
                if self.mu > 0.0 {
                    fed_prox::add_proximal_gradient(self.mu as f32, y, &start, &mut gradient)?;
                }
                vector::axpy(-self.learning_rate as f32, &gradient, y)?;
            }
        }
        Ok(())
    }
}

/// Passes of a client in a round.
const EPOCHS: Purpose = Purpose::custom(0x4550);
/// Order of its rows.
const ORDER: Purpose = Purpose::custom(0x4F52);

/// Rounds of averaging; `done` is called after each.
///
/// # Errors
/// Options that the protocol refuses, models that are not finite.
pub fn run(
    problem: &Problem,
    training: Training,
    rounds: u64,
    done: impl Fn(),
) -> Result<Vec<Point>, ProtocolError> {
    let average = fed_avg::Config {
        run: problem.run(),
        server_learning_rate: 1.0_f32,
        compressor: Identity,
        aggregator: Mean,
    };
    let (start, d) = (problem.start()?, problem.model().dim());
    let mut server = Server::new(&average, &start, vec![0.0; average.server_len(d)])?;
    let room = frame_len::<f32>(d as u32);
    let (mut down, mut up, mut values) = (vec![0; room], vec![0; room], vec![0.0; d]);
    let mut points = Vec::new();
    let clock = std::time::Instant::now();
    for round in 0..rounds {
        let mut shares = Vec::new();
        for client in problem.selected(round)? {
            let epochs = training.epochs(problem, round, client);
            shares.push((client, epochs, problem.rows(client, round, 1.0)?));
        }
        let work = |(_, epochs, rows): &(u32, u32, Vec<u32>)| {
            (rows.len() as u32, training.steps(*epochs, rows.len()))
        };
        let nova = |steps| -> Result<_, ProtocolError> {
            let effective_steps = fed_nova::effective_steps(shares.iter().map(work))?;
            Ok(fed_nova::Config {
                average,
                steps,
                effective_steps,
            })
        };
        let for_server = nova(1)?;
        let protocol: &dyn Protocol<f32> = if training.normalised {
            &for_server
        } else {
            &average
        };
        let len = broadcast(protocol, &mut server, &mut down)?;
        for (id, share) in (0..).zip(&shares) {
            let (samples, steps) = work(share);
            let of_client = nova(steps)?;
            let protocol: &dyn Protocol<f32> = if training.normalised {
                &of_client
            } else {
                &average
            };
            let mut client = Client::new(protocol, id, vec![0.0; d])?;
            receive(
                protocol,
                &mut client,
                &decode::<f32>(down.get(..len).unwrap_or_default(), d)?,
            )?;
            let mut trained = client.params().to_vec();
            training.train(problem, (round, share.0, share.1), &share.2, &mut trained)?;
            let len = reply(
                protocol,
                &mut client,
                &mut trained,
                Buffers::default(),
                &mut up,
            )?;
            let frame = decode::<f32>(up.get(..len).unwrap_or_default(), d)?;
            accept(
                protocol,
                &mut server,
                samples,
                &frame,
                Buffers::values(&mut values),
            )?;
        }
        finish(protocol, &mut server)?;
        let ledger = server.ledger();
        points.push(Point {
            round: round + 1,
            uplink_bits: ledger.uplink_mean(problem.participants),
            downlink_bits: ledger.downlink as f64,
            seconds: clock.elapsed().as_secs_f64(),
            accuracy: problem.accuracy(server.params())?,
            time: None,
        });
        done();
    }
    Ok(points)
}

/// Rounds of the same training on as many rows of all classes as a round's clients have.
///
/// # Errors
/// None for a problem that was built.
pub fn pooled(
    problem: &Problem,
    training: Training,
    rounds: u64,
    done: impl Fn(),
) -> Result<Vec<Point>, ProtocolError> {
    let mut x = problem.start()?;
    let mut points = Vec::new();
    let clock = std::time::Instant::now();
    for round in 0..rounds {
        let rows = problem.pooled_rows(round)?;
        training.train(problem, (round, 0, training.epochs), &rows, &mut x)?;
        points.push(Point {
            round: round + 1,
            uplink_bits: 0.0,
            downlink_bits: 0.0,
            seconds: clock.elapsed().as_secs_f64(),
            accuracy: problem.accuracy(&x)?,
            time: None,
        });
        done();
    }
    Ok(points)
}
