//! Networks whose rows keep unit length, trained to fit labels on a scale: the scale is the margin.
//!
//! ```text
//! f(x) = W_L sqrt(2) relu(W_{L-1} ... sqrt(2) relu(W_1 x))        no biases, rows of every W of norm 1
//! loss = |f(X) - alpha c|_2, not squared, over batches of at most 50 rows
//! ```
//! 100 epochs of Nero, at a learning rate of `0.01 0.9^epoch`.

use serde::Serialize;
use thalweg::Error;
use thalweg::model::{Batch, Labels, Loss, Objective, mlp};
use thalweg::optim::{Layer, Optimiser, State, nero};
use thalweg::random::{self, Purpose};

use super::problem::Signs;

/// Rows of a batch.
const BATCH: usize = 50;
/// Passes over the rows.
const EPOCHS: i32 = 100;

/// What is trained.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Layers of weights.
    pub depth: usize,
    /// Units of a hidden layer.
    pub width: usize,
    /// Scale of the labels.
    pub scale: f64,
    /// Seed of the weights and of the batches.
    pub seed: u64,
    /// Number of the network.
    pub who: u64,
}

/// Networks that were trained on one label scale.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The scale.
    pub scale: f64,
    /// Mean accuracy on the test rows.
    pub accuracy: f64,
    /// Deviation of that between networks.
    pub deviation: f64,
    /// Least accuracy on the training rows.
    pub train: f64,
    /// Mean of the smallest `c f(x)` on the training rows.
    pub margin: f64,
}

impl Row {
    /// Means over networks.
    pub fn new(scale: f64, networks: &[Trained]) -> Self {
        let n = networks.len() as f64;
        let mean = |f: &dyn Fn(&Trained) -> f64| networks.iter().map(f).sum::<f64>() / n;
        let accuracy = mean(&|x| x.test);
        let variance = mean(&|x| (x.test - accuracy).powi(2)) * n / (n - 1.0);
        Self {
            scale,
            accuracy,
            deviation: variance.sqrt(),
            train: networks.iter().map(|x| x.train).fold(1.0, f64::min),
            margin: mean(&|x| x.margin),
        }
    }
}

/// What a network has become.
#[derive(Clone, Copy, Debug)]
pub struct Trained {
    /// Accuracy on the training rows.
    pub train: f64,
    /// Accuracy on the test rows.
    pub test: f64,
    /// Smallest `c f(x)` of the training rows.
    pub margin: f64,
}

/// Trains one network on a label scale.
///
/// # Errors
/// Rows of one number, whose weights cannot be projected.
pub fn train(settings: &Settings, [train, test]: [&Signs; 2]) -> Result<Trained, Error> {
    let Settings {
        depth,
        width,
        scale,
        seed,
        who,
    } = *settings;
    let mut sizes = vec![width; depth + 1];
    if let [first, .., last] = sizes.as_mut_slice() {
        (*first, *last) = (train.columns, 1);
    }
    let model = mlp::Model::<f32> {
        loss: Loss::Squared,
        ..mlp::Model::new(&sizes)
    };
    let layers: Vec<Layer> = sizes
        .iter()
        .zip(sizes.iter().skip(1))
        .map(|(&columns, &rows)| Layer::Matrix { rows, columns })
        .collect();
    // The factors sqrt(2) commute with rectifiers: one power in front of the network.
    let gain = 2.0_f64.sqrt().powi(depth as i32 - 1);
    let targets: Vec<f32> = train
        .labels
        .iter()
        .map(|c| (scale * c / gain) as f32)
        .collect();
    let narrow = |x: &[f64]| -> Vec<f32> { x.iter().map(|&x| x as f32).collect() };
    let (rows, test_rows) = (narrow(&train.features), narrow(&test.features));
    let batch = Batch::targets(&rows, train.columns, &targets, 1)?;

    let mut rng = random::stream(seed, who, 0, Purpose::INIT);
    // Uniform, as any start of this spread: the projection makes rows of norm 1.
    let mut weights: Vec<f32> = Vec::new();
    for (&columns, &rows) in sizes.iter().zip(sizes.iter().skip(1)) {
        weights.extend((0..rows * columns).map(|_| 2.0 * random::uniform::<f32>(&mut rng) - 1.0));
    }
    nero::project(&layers, &mut weights)?;
    let mut params = vec![0.0; model.dim()];
    let mut grad = vec![0.0; model.dim()];
    let mut packed = vec![0.0; weights.len()];
    let mut scratch = vec![0.0; model.scratch_len(BATCH.min(train.len()).max(1))];
    let start = nero::Config::default();
    let mut state = State::new(vec![0.0; start.layers_len(&layers)]);
    let mut order: Vec<u32> = (0..train.len() as u32).collect();
    'training: for epoch in 0..EPOCHS {
        let config = nero::Config {
            learning_rate: 0.01 * 0.9_f64.powi(epoch),
            ..start
        };
        random::shuffle(&mut rng, &mut order);
        for rows in order.chunks(BATCH) {
            place(&layers, &weights, &mut params);
            let batch = batch.select(rows)?;
            let value = model.value_and_gradient_into(&params, &batch, &mut grad, &mut scratch)?;
            // The norm of the residuals, where it is not zero: there is no direction left then.
            let norm = (2.0 * rows.len() as f32 * value).sqrt();
            if norm == 0.0 {
                break 'training;
            }
            let scale = rows.len() as f32 * gain as f32 / norm;
            collect(&layers, &mut grad, scale, &mut packed);
            config.step_layers(&layers, &mut state, &mut weights, &packed)?;
        }
    }
    place(&layers, &weights, &mut params);
    let outputs = |rows: &[f32]| -> Result<Vec<f64>, Error> {
        let n = rows.len() / train.columns;
        let mut out = vec![0.0_f32; n];
        let mut scratch = vec![0.0; model.scratch_len(n)];
        let batch = Batch::new(rows, train.columns, Labels::None)?;
        model.outputs_into(&params, &batch, &mut out, &mut scratch)?;
        Ok(out.iter().map(|&x| gain * f64::from(x)).collect())
    };
    let margins = |rows: &[f32], labels: &[f64]| -> Result<Vec<f64>, Error> {
        let outputs = outputs(rows)?;
        Ok(outputs.iter().zip(labels).map(|(f, c)| f * c).collect())
    };
    let share = |m: &[f64]| m.iter().filter(|m| **m > 0.0).count() as f64 / m.len() as f64;
    let (on_train, on_test) = (
        margins(&rows, &train.labels)?,
        margins(&test_rows, &test.labels)?,
    );
    Ok(Trained {
        train: share(&on_train),
        test: share(&on_test),
        margin: on_train.iter().copied().fold(f64::INFINITY, f64::min),
    })
}

/// Parts of the parameters of a network that are weights; biases lie behind those of their layer.
fn weights_of<'a, T>(layers: &[Layer], params: &'a mut [T]) -> Vec<&'a mut [T]> {
    let mut rest = params;
    let mut parts = Vec::new();
    for layer in layers {
        let Layer::Matrix { rows, columns } = *layer else {
            continue;
        };
        let Some((weights, tail)) = rest.split_at_mut_checked(rows * columns) else {
            break;
        };
        parts.push(weights);
        rest = tail.get_mut(rows..).unwrap_or_default();
    }
    parts
}

/// Writes weights between biases of zero.
fn place(layers: &[Layer], weights: &[f32], params: &mut [f32]) {
    let mut weights = weights.iter();
    for part in weights_of(layers, params) {
        for (to, from) in part.iter_mut().zip(weights.by_ref()) {
            *to = *from;
        }
    }
}

/// Writes the gradient of the weights, times a factor.
fn collect(layers: &[Layer], grad: &mut [f32], factor: f32, out: &mut [f32]) {
    let mut out = out.iter_mut();
    for part in weights_of(layers, grad) {
        for (from, to) in part.iter().zip(out.by_ref()) {
            *to = factor * from;
        }
    }
}
