//! A small network on data with wrong labels, which it cannot fit: the noise of its gradients does not vanish.

use thalweg::model::mlp::{self, Activation};
use thalweg::model::{Batch, Init, Loss, Objective};
use thalweg::random::{self, Purpose};
use thalweg::{Arithmetic, Error, vector};
use thalweg_std::data::{Dataset, digits};

use crate::cli::{Failure, bad, input};
use crate::source::Source;

/// What the problem is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shape {
    /// Most rows; drawn at random when there are more.
    pub rows: usize,
    /// Share of rows whose label is replaced by a random one.
    pub corrupt: f64,
    /// Units of the hidden layer.
    pub hidden: usize,
    /// Weight of half the squared norm of the parameters in the loss.
    pub decay: f64,
    /// Rows of a minibatch, drawn with replacement.
    pub batch: usize,
}

/// Most parameters of the network.
const MOST_PARAMETERS: usize = 1 << 20;

/// Rows, labels and sizes of the network, tanh with softmax cross-entropy.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What the data are called.
    pub name: String,
    /// Rows of a minibatch.
    pub batch: usize,
    /// Seed of every draw.
    pub seed: u64,
    features: Vec<f64>,
    labels: Vec<u32>,
    sizes: [usize; 3],
    decay: f64,
}

impl Problem {
    /// All rows of the digits, or the training rows of other data.
    ///
    /// # Errors
    /// What the reader says; options out of range.
    pub fn load(source: &Source, shape: &Shape, seed: u64) -> Result<Self, Failure> {
        let (name, data) = if source.data.is_some() {
            let data = source.load(seed)?;
            (data.name, data.train)
        } else {
            let mut data = digits().map_err(input)?;
            data.scale(1.0 / 16.0);
            ("UCI digits".to_owned(), data)
        };
        Self::new(name, &data, shape, seed)
    }

    fn new(name: String, data: &Dataset, shape: &Shape, seed: u64) -> Result<Self, Failure> {
        if !(0.0..=1.0).contains(&shape.corrupt) {
            return Err(bad("corrupt", shape.corrupt, "must be between 0 and 1"));
        }
        if !(shape.decay.is_finite() && shape.decay >= 0.0) {
            let rule = "must be finite and not negative";
            return Err(bad("decay", shape.decay, rule));
        }
        for (option, value) in [("rows", shape.rows), ("batch", shape.batch)] {
            if !(2..=1 << 20).contains(&value) {
                return Err(bad(option, value, "must be between 2 and 1048576"));
            }
        }
        if !(1..=4096).contains(&shape.hidden) {
            return Err(bad("hidden", shape.hidden, "must be between 1 and 4096"));
        }
        let sizes = [data.columns(), shape.hidden, data.classes()];
        let d = mlp::Model::<f64>::new(&sizes).dim();
        if d > MOST_PARAMETERS {
            let rule = format!("makes a network of {d} parameters, more than {MOST_PARAMETERS}");
            return Err(bad("hidden", shape.hidden, &rule));
        }
        let mut rows: Vec<u32> = (0..data.rows() as u32).collect();
        if rows.len() > shape.rows {
            let mut rng = random::stream(seed, 0, 0, Purpose::DATA);
            random::shuffle(&mut rng, &mut rows);
            rows.truncate(shape.rows);
        }
        let data = data.select(&rows).map_err(input)?;
        let mut labels = data.labels().to_vec();
        let mut order: Vec<u32> = (0..labels.len() as u32).collect();
        let mut rng = random::stream(seed, 1, 0, Purpose::DATA);
        random::shuffle(&mut rng, &mut order);
        let wrong = (shape.corrupt * labels.len() as f64).round() as usize;
        for &row in order.iter().take(wrong) {
            if let Some(label) = labels.get_mut(row as usize) {
                *label = random::below(&mut rng, data.classes() as u32);
            }
        }
        Ok(Self {
            name,
            batch: shape.batch,
            seed,
            features: data.features().iter().map(|&x| f64::from(x)).collect(),
            labels,
            sizes,
            decay: shape.decay,
        })
    }

    /// The network; its loss includes the weight decay.
    pub const fn model(&self) -> mlp::Model<'_, f64> {
        mlp::Model {
            sizes: &self.sizes,
            activation: Activation::Tanh,
            loss: Loss::CrossEntropy,
            l2: self.decay,
            arithmetic: Arithmetic::Portable,
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// All rows.
    ///
    /// # Errors
    /// None: lengths agree.
    pub fn all(&self) -> Result<Batch<'_, f64>, Error> {
        let [columns, ..] = self.sizes;
        Batch::classes(&self.features, columns, &self.labels)
    }

    /// The initial parameters: N(0, 1 / inputs), biases zero.
    ///
    /// # Errors
    /// None: sizes are positive.
    pub fn start(&self) -> Result<Vec<f64>, Error> {
        let model = self.model();
        let mut params = vec![0.0; model.dim()];
        let mut rng = random::stream(self.seed, 0, 0, Purpose::INIT);
        model.init_into(Init::FanInNormal, &mut rng, &mut params)?;
        Ok(params)
    }
}

/// Gradients of a problem, with the memory that they take.
#[derive(Debug)]
pub struct Slope<'a> {
    model: mlp::Model<'a, f64>,
    all: Batch<'a, f64>,
    scratch: Vec<f64>,
}

impl<'a> Slope<'a> {
    /// Takes the memory.
    ///
    /// # Errors
    /// None: lengths agree.
    pub fn new(problem: &'a Problem) -> Result<Self, Error> {
        let (model, all) = (problem.model(), problem.all()?);
        let scratch = vec![0.0; model.scratch_len(all.len().max(problem.batch))];
        Ok(Self {
            model,
            all,
            scratch,
        })
    }

    /// Loss and gradient over all rows.
    ///
    /// # Errors
    /// Wrong lengths.
    pub fn full(&mut self, params: &[f64], grad: &mut [f64]) -> Result<f64, Error> {
        self.model
            .value_and_gradient_into(params, &self.all, grad, &mut self.scratch)
    }

    /// Loss and gradient over some rows.
    ///
    /// # Errors
    /// Wrong lengths, rows that do not exist.
    pub fn batch(&mut self, params: &[f64], rows: &[u32], grad: &mut [f64]) -> Result<f64, Error> {
        let batch = self.all.select(rows)?;
        self.model
            .value_and_gradient_into(params, &batch, grad, &mut self.scratch)
    }

    /// Loss over all rows, and the norm of its gradient.
    ///
    /// # Errors
    /// Wrong lengths.
    pub fn measure(&mut self, params: &[f64], grad: &mut [f64]) -> Result<(f64, f64), Error> {
        let loss = self.full(params, grad)?;
        Ok((loss, vector::norm2_squared(grad).sqrt()))
    }
}
