//! Rows of very different clients, and a network for them.

use thalweg::federated::ntk::{projection, sample_into, sample_stream};
use thalweg::model::{Batch, Init, Objective, mlp};
use thalweg::random::{self, Purpose, sample_scratch_len};
use thalweg::{Error, federated};
use thalweg_std::data::partition::{self, Shards};

use crate::cli::{Failure, bad, input};
use crate::source::Data;

/// Rows that the server has for itself in the shuffled variant, which has no losses of clients.
const VALIDATION: usize = 100;

/// Data, shards and network.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Training and test set.
    pub data: Data,
    /// Rows of each client, none empty; clients may share rows.
    pub shards: Shards,
    /// Rows of the server's own validation set, in no shard.
    pub validation: Vec<u32>,
    /// Clients of a round.
    pub participants: u32,
    /// Seed of every draw.
    pub seed: u64,
    sizes: [usize; 3],
}

/// How rows are spread.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    /// Clients in all.
    pub clients: usize,
    /// Clients of a round.
    pub participants: usize,
    /// Rows of a client, at most.
    pub samples: usize,
    /// Concentration of the Dirichlet distribution over classes.
    pub concentration: f64,
}

impl Problem {
    /// Draws the classes of each client from a Dirichlet distribution, and its rows from the classes.
    ///
    /// # Errors
    /// Too few rows, more participants than clients, and what the partition says.
    pub fn new(data: Data, spread: Spread, hidden: usize, seed: u64) -> Result<Self, Failure> {
        let rows = data.train.rows();
        if rows < 2 * VALIDATION {
            let rule = format!("must hold at least {} training rows", 2 * VALIDATION);
            return Err(bad("data", data.name, &rule));
        }
        if spread.participants > spread.clients {
            let rule = format!("must be at most the {} clients", spread.clients);
            return Err(bad("participants", spread.participants, &rule));
        }
        let mut order: Vec<u32> = (0..rows as u32).collect();
        let mut rng = random::stream(seed, 1, 0, Purpose::PARTITION);
        random::shuffle(&mut rng, &mut order);
        let (validation, rest) = order.split_at(VALIDATION);
        let labels = data.train.labels();
        let of_rest: Vec<u32> = rest
            .iter()
            .filter_map(|&i| labels.get(i as usize).copied())
            .collect();
        let Spread {
            clients,
            samples,
            concentration,
            ..
        } = spread;
        let shards =
            partition::dirichlet_by_client(&of_rest, clients, samples, concentration, seed)
                .map_err(input)?;
        let named = |shard: &Vec<u32>| {
            shard
                .iter()
                .filter_map(|&i| rest.get(i as usize).copied())
                .collect()
        };
        Ok(Self {
            sizes: [data.train.columns(), hidden, data.train.classes()],
            shards: shards.iter().map(named).collect(),
            validation: validation.to_vec(),
            participants: spread.participants as u32,
            data,
            seed,
        })
    }

    /// The same clients with inputs projected to `columns` numbers.
    ///
    /// # Errors
    /// None for a problem that was built.
    pub fn projected(
        &self,
        seed: &[u8; projection::SEED],
        columns: usize,
    ) -> Result<Self, Failure> {
        let mut problem = self.clone();
        for set in [&mut problem.data.train, &mut problem.data.test] {
            let mut out = vec![0.0; set.rows() * columns];
            let (from, width) = (set.features(), set.columns());
            projection::project_into(
                seed,
                width,
                from,
                columns,
                &mut out,
                &mut vec![0.0; columns],
            )
            .map_err(input)?;
            *set = thalweg_std::data::Dataset::new(columns, out, set.targets().clone())
                .map_err(input)?;
        }
        let [_, hidden, classes] = self.sizes;
        problem.sizes = [columns, hidden, classes];
        Ok(problem)
    }

    /// The network.
    pub fn model(&self) -> mlp::Model<'_, f32> {
        mlp::Model::new(&self.sizes)
    }

    /// Most rows of a client.
    pub fn largest_shard(&self) -> usize {
        self.shards.iter().map(Vec::len).max().unwrap_or(0)
    }

    /// The initial network, the same for every method on these inputs.
    ///
    /// # Errors
    /// None for a problem that was built.
    pub fn start(&self) -> Result<Vec<f32>, Error> {
        let mut x = vec![0.0; self.model().dim()];
        let mut rng = random::stream(self.seed, 0, 0, Purpose::INIT);
        self.model()
            .init_into(Init::KaimingNormal, &mut rng, &mut x)?;
        Ok(x)
    }

    /// Clients of a round, the same for every method.
    ///
    /// # Errors
    /// None for a problem that was built.
    pub fn selected(&self, round: u64) -> Result<Vec<u32>, Error> {
        let mut out = vec![0; self.participants as usize];
        let mut scratch = vec![0; sample_scratch_len(out.len())];
        let mut rng = random::stream(self.seed, round, 0, Purpose::SELECTION);
        random::sample_into(&mut rng, self.shards.len() as u32, &mut out, &mut scratch)?;
        Ok(out)
    }

    /// Rows of a client in a round: a fraction of its shard.
    ///
    /// # Errors
    /// A fraction that is not above 0 and at most 1.
    pub fn rows(&self, client: u32, round: u64, fraction: f64) -> Result<Vec<u32>, Error> {
        let shard = self
            .shards
            .get(client as usize)
            .map_or(&[][..], Vec::as_slice);
        let n = shard.len();
        let (mut out, mut scratch) = (vec![0; n], vec![0; sample_scratch_len(n)]);
        let mut rng = sample_stream(self.seed, round, client);
        let count = sample_into(&mut rng, fraction, n as u32, &mut out, &mut scratch)?;
        Ok(out
            .iter()
            .take(count)
            .filter_map(|&i| shard.get(i as usize).copied())
            .collect())
    }

    /// As many rows as a round's clients have together, from all of the training set alike.
    ///
    /// # Errors
    /// None for a problem that was built.
    pub fn pooled_rows(&self, round: u64) -> Result<Vec<u32>, Error> {
        let all: Vec<u32> = self.shards.concat();
        let n = (self.participants as usize * self.largest_shard()).min(all.len());
        let (mut out, mut scratch) = (vec![0; n], vec![0; sample_scratch_len(n)]);
        let mut rng = random::stream(self.seed, round, 1, Purpose::SELECTION);
        random::sample_into(&mut rng, all.len() as u32, &mut out, &mut scratch)?;
        Ok(out
            .iter()
            .filter_map(|&i| all.get(i as usize).copied())
            .collect())
    }

    /// Rows of the training set.
    ///
    /// # Errors
    /// None for rows of the set.
    pub fn batch<'a>(&'a self, rows: &'a [u32]) -> Result<Batch<'a, f32>, Error> {
        self.data.train.batch()?.select(rows)
    }

    /// Share of the test set that is classified as labelled.
    ///
    /// # Errors
    /// None for parameters of the network.
    pub fn accuracy(&self, x: &[f32]) -> Result<f64, Error> {
        let test = self.data.test.batch()?;
        let mut scratch = vec![0.0; self.model().scratch_len(test.len())];
        self.model().accuracy(x, &test, &mut scratch)
    }

    /// Sum of the losses over some rows.
    ///
    /// # Errors
    /// None for parameters of the network and rows of the set.
    pub fn loss_sum(&self, x: &[f32], batch: &Batch<'_, f32>) -> Result<f32, Error> {
        let mut scratch = vec![0.0; self.model().scratch_len(batch.len())];
        Ok(self.model().value(x, batch, &mut scratch)? * batch.len() as f32)
    }

    /// Seed and number of clients of a round.
    pub const fn run(&self) -> federated::Run {
        federated::Run {
            seed: self.seed,
            clients: self.participants,
        }
    }
}
