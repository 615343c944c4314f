//! The function that the clients minimise together: a network on rows that are spread among them.
//!
//! ```text
//! f(x) = mean loss over all M rows = (1/n) sum_i f_i(x),   f_i(x) = (n m_i / M) mean loss over the m_i rows of client i
//! ```
//! The factor makes the plain mean over clients, which MARINA and EF21 take, the same function that FedAvg's
//! mean weighted by samples aims at: one loss and one gradient serve every row of the table.

use thalweg::model::{Batch, Init, Objective, mlp};
use thalweg::random::{self, Purpose};
use thalweg::{Error, vector};
use thalweg_std::data::partition::{self, Shards};

use crate::cli::{Failure, bad, input};
use crate::source::Data;

/// How rows are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Each class divided in proportions drawn from Dirichlet(alpha).
    Dirichlet(f64),
    /// Every client holds the same rows.
    Identical,
}

/// Least concentration: below it most classes have one client.
pub const LEAST_CONCENTRATION: f64 = 1e-9;

/// Most parameters; every client holds several vectors of this length.
const MOST_PARAMETERS: usize = 1 << 24;

/// Data, shards and network.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Training and test set.
    pub data: Data,
    /// Rows of each client, none empty.
    pub shards: Shards,
    sizes: [usize; 3],
    rows: Vec<u32>,
    seed: u64,
}

/// What is measured at a point.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Measure {
    /// Mean cross-entropy over the clients' rows.
    pub train_loss: f64,
    /// Euclidean norm of its gradient, all rows.
    pub gradient_norm: f64,
    /// Share of the test set that is classified as labelled.
    pub test_accuracy: f64,
}

impl Problem {
    /// Spreads the training rows over `clients`.
    ///
    /// # Errors
    /// A number of clients or a concentration that the partition refuses.
    pub fn new(
        data: Data,
        clients: usize,
        spread: Spread,
        hidden: usize,
        seed: u64,
    ) -> Result<Self, Failure> {
        let rows = data.train.rows();
        if !(1..=rows).contains(&clients) {
            let rule = format!(
                "must be between 1 and the {rows} training rows of {}; a client without rows has no gradient",
                data.name
            );
            return Err(bad("clients", clients, &rule));
        }
        if !(1..=4096).contains(&hidden) {
            return Err(bad("hidden", hidden, "must be between 1 and 4096"));
        }
        let sizes = [data.train.columns(), hidden, data.train.classes()];
        let d = mlp::Model::<f32>::new(&sizes).dim();
        if d > MOST_PARAMETERS {
            let rule = format!("makes a network of {d} parameters, more than {MOST_PARAMETERS}");
            return Err(bad("hidden", hidden, &rule));
        }
        let shards = match spread {
            Spread::Dirichlet(alpha) => {
                if !(alpha.is_finite() && alpha >= LEAST_CONCENTRATION) {
                    let rule = format!("must be finite and at least {LEAST_CONCENTRATION:e}");
                    return Err(bad("concentration", alpha, &rule));
                }
                partition::dirichlet_by_class(data.train.labels(), clients, alpha, seed)
            }
            Spread::Identical => {
                partition::homogeneous(rows, clients, 1.0, seed).map(|parts| parts.shards)
            }
        }
        .map_err(input)?;
        Ok(Self {
            sizes,
            rows: shards.concat(),
            data,
            shards,
            seed,
        })
    }

    /// The network.
    pub fn model(&self) -> mlp::Model<'_, f32> {
        mlp::Model::new(&self.sizes)
    }

    /// Inputs, hidden units and classes of the network.
    pub const fn sizes(&self) -> [usize; 3] {
        self.sizes
    }

    /// Parameters of the network.
    pub fn dim(&self) -> usize {
        self.model().dim()
    }

    /// Seed of the partition, of the initial network and of every draw of a run.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// Number of clients.
    pub fn clients(&self) -> usize {
        self.shards.len()
    }

    /// The initial network, the same for every protocol.
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

    /// Writes the gradient of `f_i` at `x`.
    ///
    /// # Errors
    /// Lengths that do not fit the network.
    pub fn client_gradient(
        &self,
        client: usize,
        x: &[f32],
        scratch: &mut Vec<f32>,
        gradient: &mut [f32],
    ) -> Result<(), Error> {
        let shard = self.shards.get(client).map_or(&[][..], Vec::as_slice);
        self.gradient(shard, x, scratch, gradient)?;
        let factor = (self.clients() * shard.len()) as f64 / self.rows.len() as f64;
        vector::scale(factor as f32, gradient);
        Ok(())
    }

    /// Writes the gradient of the mean loss over some rows of the training set.
    ///
    /// # Errors
    /// As [`Problem::client_gradient`].
    pub fn gradient(
        &self,
        rows: &[u32],
        x: &[f32],
        scratch: &mut Vec<f32>,
        gradient: &mut [f32],
    ) -> Result<(), Error> {
        let batch = self.data.train.batch()?.select(rows)?;
        scratch.resize(self.model().scratch_len(rows.len()), 0.0);
        self.model().gradient_into(x, &batch, gradient, scratch)
    }

    /// Loss, norm of the true gradient, and accuracy.
    ///
    /// # Errors
    /// As [`Problem::client_gradient`].
    pub fn measure(&self, x: &[f32]) -> Result<Measure, Error> {
        let model = self.model();
        let train = self.data.train.batch()?.select(&self.rows)?;
        let test: Batch<'_, f32> = self.data.test.batch()?;
        let mut scratch = vec![0.0; model.scratch_len(train.len().max(test.len()))];
        let mut gradient = vec![0.0; x.len()];
        let loss = model.value_and_gradient_into(x, &train, &mut gradient, &mut scratch)?;
        Ok(Measure {
            train_loss: f64::from(loss),
            gradient_norm: f64::from(vector::norm2(&gradient)),
            test_accuracy: model.accuracy(x, &test, &mut scratch)?,
        })
    }
}
