//! Few-shot meta-learning: hidden layers such that a linear head learns a task from a few rows.
//!
//! Digits, or the classes of `--data`: a task is three of the first seven classes (`--ways` of the others) with five rows each to learn
//! from (`--shots`) and ten to be judged by; the test tasks are made of the last classes, which no training task has. Sine waves: amplitude in 0.1 .. 5, phase in 0 .. pi, ten points in -5 .. 5
//! to learn from and ten to be judged by (Finn, Abbeel and Levine, *Model-agnostic meta-learning*, ICML 2017). Heads start at
//! zero in every task. The second-order products of AID are differences of gradients; ITD has no row, since its reverse pass is that of
//! plain descent and not of momentum.

use thalweg::bilevel::es_jacobian::{Direction, Start};
use thalweg::bilevel::hyper_representation::network::{Problem, Task};
use thalweg::bilevel::{Place, Problem as _, Round, descent};
use thalweg::model::{Batch, Init, Loss, mlp};
use thalweg::optim::sgd;
use thalweg::random::{self, Purpose, Stream};
use thalweg_std::data::Dataset;

use super::{
    DIRECT, Kind, Line, Method, Plan, Report, Scope, Trainer, below, esj, hozog, not_above, row,
};
use crate::bilevel::parallel;
use crate::cli::{Claims, Failure, bad, input};
use crate::source::Data;

const QUERIES: usize = 10;
const POINTS: usize = 10;
/// Tasks of an outer step, and of the test.
const TASKS: usize = 16;
const TEST_TASKS: usize = 200;

const METHODS: &[Method] = &[
    row(DIRECT, Kind::Direct, 0.01),
    row("ESJ Gaussian, Q = 1", esj(1, Direction::Gaussian), 0.01),
    row(
        "ESJ unit sphere, Q = 1",
        esj(1, Direction::UnitSphere),
        0.01,
    ),
    row(SIGNS, esj(20, Direction::Rademacher), 0.01),
    row("AID-CG, 10 products", Kind::Cg(10), 0.01),
    row("AID-FP, 30 products", Kind::Fp, 0.01),
    row(
        "HOZOG signs, Q = 20",
        hozog(20, Direction::Rademacher),
        0.01,
    ),
];

const UNTRAINED: &str = "hidden layers as drawn";
const SIGNS: &str = "ESJ signs, Q = 20";
const LOSS: &str = "loss of test tasks";

/// Where tasks come from.
enum Family<'a> {
    /// Rows of each class that tasks may have, the classes of a task, and their rows to learn from.
    Classes(&'a Dataset, Vec<Vec<u32>>, [usize; 2]),
    Sine,
}

/// Rows of a task with their labels.
#[derive(Clone, Debug, Default)]
struct Rows {
    features: Vec<f32>,
    classes: Vec<u32>,
    targets: Vec<f32>,
}

impl Rows {
    fn batch(&self, columns: usize) -> Result<Batch<'_, f32>, thalweg::Error> {
        if self.targets.is_empty() {
            Batch::classes(&self.features, columns, &self.classes)
        } else {
            Batch::targets(&self.features, columns, &self.targets, 1)
        }
    }
}

impl<'a> Family<'a> {
    /// Tasks from these classes of a data set.
    fn classes(
        data: &'a Dataset,
        classes: std::ops::Range<u32>,
        [ways, shots]: [usize; 2],
    ) -> Result<Self, Failure> {
        let rows = |class| {
            let labels = (0..).zip(data.labels());
            labels
                .filter(|(_, label)| **label == class)
                .map(|(i, _)| i)
                .collect()
        };
        let by_class: Vec<Vec<u32>> = classes.clone().map(rows).collect();
        let needed = shots + QUERIES;
        let mut few = classes
            .zip(&by_class)
            .filter(|(_, rows)| rows.len() < needed);
        if let Some((class, rows)) = few.next() {
            let name = data.class_names().get(class as usize);
            let (name, found) = (name.map_or("", String::as_str), rows.len());
            let rule = format!(
                "needs {needed} rows of each class, {QUERIES} of them to be judged by; class `{name}` has {found}"
            );
            return Err(bad("shots", shots, &rule));
        }
        Ok(Self::Classes(data, by_class, [ways, shots]))
    }

    /// Rows to learn from, rows to be judged by.
    fn task(&self, rng: &mut Stream) -> [Rows; 2] {
        let mut task = [Rows::default(), Rows::default()];
        match self {
            Self::Classes(data, by_class, [count, shots]) => {
                let mut ways: Vec<&Vec<u32>> = by_class.iter().collect();
                random::shuffle(rng, &mut ways);
                for (way, rows) in (0..*count as u32).zip(ways) {
                    let mut rows = rows.clone();
                    random::shuffle(rng, &mut rows);
                    let (support, rest) = rows.split_at(*shots);
                    let (query, _) = rest.split_at(QUERIES);
                    for (to, chosen) in task.iter_mut().zip([support, query]) {
                        for &i in chosen {
                            to.features.extend(data.row(i as usize).unwrap_or_default());
                            to.classes.push(way);
                        }
                    }
                }
            }
            Self::Sine => {
                let mut within =
                    |low: f32, high: f32| low + (high - low) * random::uniform::<f32>(rng);
                let (amplitude, phase) = (within(0.1, 5.0), within(0.0, std::f32::consts::PI));
                for rows in &mut task {
                    for _ in 0..POINTS {
                        let x = within(-5.0, 5.0);
                        rows.features.push(x);
                        rows.targets.push(amplitude * (x + phase).sin());
                    }
                }
            }
        }
        task
    }

    fn tasks(&self, count: usize, rng: &mut Stream) -> Vec<[Rows; 2]> {
        (0..count).map(|_| self.task(rng)).collect()
    }
}

/// Views of tasks.
fn views(tasks: &[[Rows; 2]], columns: usize) -> Result<Vec<Task<'_, f32>>, thalweg::Error> {
    let mut out = Vec::new();
    for [support, query] in tasks {
        let (support, query) = (support.batch(columns)?, query.batch(columns)?);
        out.push(Task { support, query });
    }
    Ok(out)
}

/// What the two families differ in.
struct Story<'a> {
    title: String,
    network: mlp::Model<'a, f32>,
    inner: descent::Config,
    outer_steps: usize,
    train: Family<'a>,
    test: Family<'a>,
}

impl Story<'_> {
    /// Loss of test tasks once their heads are trained, and the share of right classes where there are some.
    fn judge(&self, x: &[f32], tasks: &[Task<'_, f32>]) -> Result<Vec<f64>, thalweg::Error> {
        let problem = Problem::new(self.network, tasks, None)?;
        let head = self.network.head().dim();
        let mut y = vec![0.0; problem.inner_dim()];
        let own = problem.scratch_len();
        let mut scratch = vec![0.0; descent::scratch_len(&self.inner, y.len()) + own];
        let round = Round { seed: 0, number: 0 };
        descent::run(&self.inner, round, &problem, x, &mut y, &mut scratch)?;
        let loss = problem.outer_value(Place::new(x, &y, &round.outer()), &mut scratch)?;
        let mut figures = vec![f64::from(loss)];
        if self.network.loss == Loss::CrossEntropy {
            let mut right = 0.0;
            for (task, y) in tasks.iter().zip(y.chunks_exact(head)) {
                let params = [x, y].concat();
                right += self.network.accuracy(&params, &task.query, &mut scratch)?;
            }
            figures.push(right / tasks.len() as f64);
        }
        Ok(figures)
    }

    fn report(&self, scope: Scope, seed: u64, threads: usize) -> Result<Report, Failure> {
        let columns = self.network.inputs();
        let mut rng = random::stream(seed, 0, 1, Purpose::DATA);
        let test_tasks = self.test.tasks(TEST_TASKS, &mut rng);
        let test = views(&test_tasks, columns).map_err(input)?;
        let mut x0 = vec![0.0; self.network.trunk().dim()];
        let rng = &mut random::stream(seed, 0, 0, Purpose::INIT);
        let drawn = self
            .network
            .trunk()
            .init_into(Init::XavierUniform, rng, &mut x0);
        drawn.map_err(input)?;
        let mut columns_of_table = vec![LOSS.to_owned()];
        if self.network.loss == Loss::CrossEntropy {
            columns_of_table.push("accuracy".into());
        }
        let mut lines = vec![Line::baseline(
            UNTRAINED,
            self.judge(&x0, &test).map_err(input)?,
        )];
        let methods = scope.methods(METHODS, &[DIRECT, SIGNS]);
        lines.extend(parallel(&methods, threads, |method| {
            let plan = Plan {
                inner: self.inner,
                radius: 0.01,
                start: Start::Cold,
                seed,
                solver: None,
            };
            let y0 = vec![0.0; TASKS * self.network.head().dim()];
            let mut trainer = Trainer::new(method, plan, x0.clone(), y0);
            for k in 0..self.outer_steps {
                let mut rng = random::stream(seed, k as u64, 0, Purpose::DATA);
                let tasks = self.train.tasks(TASKS, &mut rng);
                let tasks = views(&tasks, columns).map_err(input)?;
                trainer.step(&Problem::new(self.network, &tasks, None).map_err(input)?)?;
            }
            let figures = self.judge(&trainer.x, &test).map_err(input)?;
            Ok(trainer.line(method.name, figures))
        })?);
        Ok(Report {
            title: self.title.clone(),
            columns: columns_of_table,
            lines,
            is_noisy: true,
        })
    }
}

/// Digits, or the images of `--data`.
///
/// # Errors
/// Too few classes or rows.
pub fn digits(data: &Data, scope: Scope, seed: u64, threads: usize) -> Result<Report, Failure> {
    let Scope { ways, shots, .. } = scope;
    let sizes = [data.train.columns(), 64, ways];
    let momentum = sgd::Config {
        momentum: 0.9,
        ..sgd::Config::new(0.1)
    };
    let classes = data.train.classes() as u32;
    if 2 * ways > classes as usize {
        let rule = format!(
            "needs {} classes, half of which no training task has; {} has {classes}",
            2 * ways,
            data.name
        );
        return Err(bad("ways", ways, &rule));
    }
    let unseen = classes.saturating_sub(ways as u32);
    let story = Story {
        title: format!("{}, {ways} ways, {shots} shots", data.name),
        network: mlp::Model {
            l2: 0.01,
            ..mlp::Model::new(&sizes)
        },
        inner: descent::Config {
            steps: 30,
            method: descent::Method::Sgd(momentum),
        },
        outer_steps: 200,
        train: Family::classes(&data.train, 0..unseen, [ways, shots])?,
        test: Family::classes(&data.train, unseen..classes, [ways, shots])?,
    };
    story.report(scope, seed, threads)
}

/// Sine waves.
///
/// # Errors
/// A path that is not stable.
pub fn sine(scope: Scope, seed: u64, threads: usize) -> Result<Report, Failure> {
    let momentum = sgd::Config {
        momentum: 0.9,
        ..sgd::Config::new(0.02)
    };
    let story = Story {
        title: format!("sine waves from {POINTS} points"),
        network: mlp::Model {
            activation: mlp::Activation::Tanh,
            loss: Loss::Squared,
            l2: 1e-3,
            ..mlp::Model::new(&[1, 40, 40, 1])
        },
        inner: descent::Config {
            steps: 30,
            method: descent::Method::Sgd(momentum),
        },
        outer_steps: 300,
        train: Family::Sine,
        test: Family::Sine,
    };
    story.report(scope, seed, threads)
}

/// Layers trained through the response of the heads serve new tasks better than drawn ones and, on digits, than those that are
/// trained as if the heads stood still: an order of rows, not a published figure. On sine waves the direct gradient wins.
pub fn compare(story: super::Story, reports: &[Report], claims: &mut Claims) {
    if story == super::Story::FewShot {
        below(reports, claims, LOSS, SIGNS, DIRECT);
        // Layers as drawn serve digits almost as well: the difference is that of the draws.
        not_above(reports, claims, LOSS, SIGNS, UNTRAINED);
    } else {
        below(reports, claims, LOSS, SIGNS, UNTRAINED);
    }
}
