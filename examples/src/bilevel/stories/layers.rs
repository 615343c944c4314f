//! Hidden layers without, a linear head within.
//!
//! Two layers: sigmoid(sigmoid(X H1) H2) with a regression head on data of a network of the same shape, the published constants
//! but for biases (started at zero) and, unless asked for, the size. Images: hidden layers and a softmax head, minibatches (ESJ-S),
//! Adam within, warm start; the first half of the training rows within, the second without.
//!
//! The published features of MNIST are those of LeNet-5. There are no convolutions here: two dense layers of 70 and 84 units stand in for
//! them, with 60914 weights for its 60856, and the head of 850 is the same. Nothing is shared between pixels, so accuracies are those of
//! a dense network and not of LeNet.

use thalweg::bilevel::descent::{self, Method as Inner};
use thalweg::bilevel::es_jacobian::{Direction, Start};
use thalweg::bilevel::hyper_representation::network::{Problem, Task};
use thalweg::model::{Batch, Init, Labels, Loss, mlp};
use thalweg::optim::adam;
use thalweg::random::{self, NoiseStream, Purpose};

use super::{DIRECT, Kind, Line, Method, Plan, Report, Scope, Trainer, below, esj, hozog, row};
use crate::bilevel::parallel;
use crate::cli::{Claims, Failure, bad, input};
use crate::source::Data;

/// Outer steps at which the loss of the two-layer network is taken.
const MARKS: [usize; 5] = [0, 10, 20, 50, 99];

const TWO_LAYER: &[Method] = &[
    row(DIRECT, Kind::Direct, 0.01),
    row(UNIT, esj(1, Direction::UnitSphere), 0.01),
    row("ESJ Gaussian, Q = 1", esj(1, Direction::Gaussian), 0.01),
    row("ESJ signs, Q = 10", esj(10, Direction::Rademacher), 0.01),
    row("AID-CG, 10 products", Kind::Cg(10), 0.01),
    row("AID-FP, 10 products", Kind::Fp, 0.01),
    row(HOZOG, hozog(1, Direction::UnitSphere), 0.2),
];

const IMAGES: &[Method] = &[
    row(DIRECT, Kind::Direct, 1e-3),
    row(UNIT, esj(1, Direction::UnitSphere), 1e-3),
    row("ESJ Gaussian, Q = 1", esj(1, Direction::Gaussian), 1e-3),
    row("stocBiO, Q = 10", Kind::Series(10), 1e-3),
    row(HOZOG, hozog(1, Direction::UnitSphere), 1e-3),
];
/// Step size of the series: the inner optimiser is Adam, whose step size says nothing of curvatures.
const ETA: f64 = 0.1;

const UNIT: &str = "ESJ unit sphere, Q = 1";
const HOZOG: &str = "HOZOG unit sphere, Q = 1";
const END: &str = "loss at the end";
const CLAIMED: &[&str] = &[DIRECT, UNIT, HOZOG];

fn normals(seed: u64, number: u64, n: usize) -> Vec<f32> {
    let mut out = vec![0.0; n];
    let mut stream = random::stream(seed, number, 0, Purpose::DATA);
    NoiseStream::new(&mut stream).fill_normal(&mut out);
    out
}

/// Draws of the weights of layers, standard normal, biases zero.
fn layers(seed: u64, number: u64, network: &mlp::Model<'_, f32>) -> Vec<f32> {
    let mut out = normals(seed, number, network.dim());
    let mut rest = &mut out[..];
    for pair in network.sizes.windows(2) {
        if let [inputs, outputs] = *pair {
            let layer = rest.split_off_mut(..outputs * (inputs + 1));
            if let Some((_, biases)) = layer.and_then(|l| l.split_at_mut_checked(outputs * inputs))
            {
                biases.fill(0.0);
            }
        }
    }
    out
}

/// The two-layer network.
///
/// # Errors
/// A path that is not stable.
pub fn two_layer(scope: Scope, seed: u64, threads: usize) -> Result<Report, Failure> {
    let (scale, rows) = if scope.full { (4, 5000) } else { (1, 1250) };
    let sizes = [64 * scale, 128 * scale, 64 * scale, 1];
    let network = mlp::Model {
        activation: mlp::Activation::Sigmoid,
        loss: Loss::Squared,
        l2: 1e-3,
        ..mlp::Model::new(&sizes)
    };
    let truth = layers(seed, 0, &network);
    let mut sets = Vec::new();
    for number in [1, 2] {
        let x = normals(seed, number, rows * network.inputs());
        let batch = Batch::new(&x, network.inputs(), Labels::None).map_err(input)?;
        let mut y = vec![0.0; rows];
        let mut scratch = vec![0.0; network.scratch_len(rows)];
        let drawn = network.outputs_into(&truth, &batch, &mut y, &mut scratch);
        drawn.map_err(input)?;
        for (y, e) in y.iter_mut().zip(normals(seed, number + 2, rows)) {
            *y += 0.1 * e;
        }
        sets.push((x, y));
    }
    let mut batches = Vec::new();
    for (x, y) in &sets {
        batches.push(Batch::targets(x, network.inputs(), y, 1).map_err(input)?);
    }
    let [support, query] = batches[..] else {
        return Err(Failure::Input("two sets are drawn".into()));
    };
    let tasks = [Task { support, query }];
    let problem = Problem::new(network, &tasks, None).map_err(input)?;
    let start = layers(seed, 5, &network);
    let (x0, y0) = start.split_at(network.trunk().dim());
    let methods = scope.methods(TWO_LAYER, CLAIMED);
    let lines = parallel(&methods, threads, |method| {
        let plan = Plan {
            inner: descent::Config {
                steps: 10,
                method: Inner::gd(1e-3),
            },
            radius: 0.1,
            start: Start::Cold,
            seed,
            solver: None,
        };
        let mut trainer = Trainer::new(method, plan, x0.to_vec(), y0.to_vec());
        for _ in 0..=MARKS.into_iter().max().unwrap_or(0) {
            trainer.step(&problem)?;
        }
        let at = |k: &usize| trainer.curve.get(*k).copied().unwrap_or(f64::NAN);
        let figures = MARKS.iter().map(at).collect();
        Ok(trainer.line(method.name, figures))
    })?;
    let mut columns: Vec<String> = MARKS.iter().map(|k| format!("loss at {k}")).collect();
    if let Some(last) = columns.last_mut() {
        *last = END.into();
    }
    let [inputs, hidden, features, _] = sizes;
    Ok(Report {
        title: format!("{inputs} x {hidden} and {hidden} x {features}, {rows} rows"),
        columns,
        lines,
        is_noisy: false,
    })
}

/// Hidden layers on images.
///
/// # Errors
/// Too few rows.
pub fn images(data: &Data, scope: Scope, seed: u64, threads: usize) -> Result<Report, Failure> {
    let train = &data.train;
    // The published constants for MNIST; digits have a fortieth of its rows.
    let large = train.rows() >= 10_000;
    let (hidden, minibatch, outer_steps): (&[usize], _, _) = if large {
        (&[70, 84], 256, 1000)
    } else {
        (&[64], 64, 500)
    };
    if train.rows() < 2 * minibatch {
        let rule = "must have at least 128 training rows";
        return Err(bad("data", &data.name, rule));
    }
    let mut order: Vec<u32> = (0..train.rows() as u32).collect();
    let mut rng = random::stream(seed, 0, 0, Purpose::SELECTION);
    random::shuffle(&mut rng, &mut order);
    let shuffled = train.select(&order).map_err(input)?;
    let (all, half) = (shuffled.batch().map_err(input)?, train.rows() / 2);
    let tasks = [Task {
        support: all.range(0, half).map_err(input)?,
        query: all.range(half, half).map_err(input)?,
    }];
    let test = data.test.batch().map_err(input)?;
    let sizes = [&[train.columns()], hidden, &[train.classes()]].concat();
    let network = mlp::Model::<f32>::new(&sizes);
    let problem = Problem::new(network, &tasks, Some(minibatch)).map_err(input)?;
    let mut start = vec![0.0; network.dim()];
    let rng = &mut random::stream(seed, 0, 0, Purpose::INIT);
    let drawn = network.init_into(Init::KaimingUniform, rng, &mut start);
    drawn.map_err(input)?;
    let (x0, y0) = start.split_at(network.trunk().dim());
    let accuracy = |x: &[f32], y: &[f32]| {
        let mut scratch = vec![0.0; network.scratch_len(test.len())];
        network.accuracy(&[x, y].concat(), &test, &mut scratch)
    };
    let drawn = accuracy(x0, y0).map_err(input)?;
    let mut lines = vec![Line::baseline("all layers as drawn", vec![f64::NAN, drawn])];
    let methods = scope.methods(IMAGES, CLAIMED);
    lines.extend(parallel(&methods, threads, |method| {
        let adam = adam::Config {
            learning_rate: 1e-3,
            ..Default::default()
        };
        let plan = Plan {
            inner: descent::Config {
                steps: 10,
                method: Inner::Adam(adam),
            },
            radius: 0.01,
            start: Start::Warm,
            seed,
            solver: Some(ETA),
        };
        let mut trainer = Trainer::new(method, plan, x0.to_vec(), y0.to_vec());
        for k in 0..outer_steps {
            // The published schedule: 1e-3, 5e-4 after 80 steps, 1e-4 after 180.
            match k {
                80 if large => trainer.scale_rate(0.5),
                180 if large => trainer.scale_rate(0.2),
                _ => {}
            }
            trainer.step(&problem)?;
        }
        // Single minibatches are noisy: the mean over the last tenth of the steps.
        let end = trainer.curve.iter().rev().take(outer_steps / 10);
        let loss = end.sum::<f64>() / (outer_steps / 10) as f64;
        let accuracy = accuracy(&trainer.x, trainer.y()).map_err(input)?;
        Ok(trainer.line(method.name, vec![loss, accuracy]))
    })?);
    Ok(Report {
        title: format!(
            "{}, hidden layers of {hidden:?} ({} weights), minibatches of {minibatch}",
            data.name,
            network.trunk().dim()
        ),
        columns: vec![END.into(), "test accuracy".into()],
        lines,
        is_noisy: true,
    })
}

/// The order that experiment A has, and the published table of the two-layer network: ESJ ahead of HOZOG.
pub fn compare(reports: &[Report], claims: &mut Claims) {
    below(reports, claims, END, UNIT, HOZOG);
    below(reports, claims, END, DIRECT, HOZOG);
}
