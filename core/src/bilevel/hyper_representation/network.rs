//! Hyper-representation by a network: its hidden layers without, a head for every task within.
//!
//! ```text
//! z(x; a) = features of row a: all layers but the last, parameters x
//! g(x, W) = sum_i  mean over support_i of loss(W_i z(x; a), c) + b |W_i|^2 / 2       W = (W_1 .. W_T), biases included
//! f(x, W) = (1/T) sum_i  mean over query_i of loss(W_i z(x; a), c)
//! ```
//!
//! p = parameters of the hidden layers, d = T times those of the head, b the network's `l2`. One task is hyper-representation
//! of any depth; T tasks of a few rows, fresh in every round, are few-shot meta-learning. The inner losses add up, so that each
//! head descends as if it were alone.
//!
//! Without minibatches the features of the support rows are computed once per path, since x does not change along it: an inner
//! gradient then costs no more than the head. With minibatches of B rows, step t sees one of the `floor(n / B)` runs of B rows
//! that follow each other, drawn anew (the same for all paths): shuffle the rows beforehand.
//!
//! Reference: Sow, Ji and Liang, *On the convergence theory for Hessian-free bilevel algorithms*, NeurIPS 2022, section 5; Ji, Yang and
//! Liang, *Bilevel optimization: convergence analysis and enhanced design*, ICML 2021, section 5.1 (heads of tasks).

#![allow(
    clippy::arithmetic_side_effects,
    reason = "rows of a slice; the divisor is at least 1"
)]

use crate::bilevel::differences::InnerSlope;
use crate::bilevel::{Place, without_penalty};
use crate::error::{check, check_length};
use crate::memory::{cut, must};
use crate::model::{Batch, Objective, copy, mlp};
use crate::random;
use crate::{Error, Real, vector};

/// Rows that a head is trained on, and rows that it is judged by.
///
/// ```
/// use thalweg::bilevel::hyper_representation::network::Task;
/// use thalweg::model::Batch;
/// let rows = Batch::classes(&[1.0_f32, -1.0], 1, &[0, 1])?;
/// assert_eq!(Task { support: rows, query: rows }.support.len(), 2);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Task<'a, T> {
    /// The rows of the inner loss.
    pub support: Batch<'a, T>,
    /// The rows of the outer loss.
    pub query: Batch<'a, T>,
}

/// A network and its tasks.
///
/// ```
/// use thalweg::bilevel::Problem as _;
/// use thalweg::bilevel::hyper_representation::network::{Problem, Task};
/// use thalweg::model::{Batch, mlp};
/// let rows = Batch::classes(&[1.0_f32, 0.0, -1.0, 0.5], 2, &[0, 1])?;
/// let tasks = [Task { support: rows, query: rows }; 3];
/// let problem = Problem::new(mlp::Model::new(&[2, 4, 2]), &tasks, None)?;
/// assert_eq!((problem.outer_dim(), problem.inner_dim()), (4 * 3, 3 * 2 * 5));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a, T> {
    network: mlp::Model<'a, T>,
    tasks: &'a [Task<'a, T>],
    minibatch: Option<usize>,
}

impl<'a, T: Real> Problem<'a, T> {
    /// A network with hidden layers, its tasks, and the rows of a minibatch if not all are taken.
    ///
    /// # Errors
    /// A network out of range or without hidden layer; [`Error::Length`] of its features; [`Error::Parameter`] without tasks, for
    /// rows that are a selection by list, or fewer than a minibatch.
    pub fn new(
        network: mlp::Model<'a, T>,
        tasks: &'a [Task<'a, T>],
        minibatch: Option<usize>,
    ) -> Result<Self, Error> {
        network.validate()?;
        let hidden = network.sizes.len() > 2;
        check("sizes", hidden, "must have a hidden layer")?;
        check("tasks", !tasks.is_empty(), "must hold at least one task")?;
        let least = minibatch.unwrap_or(1);
        check("minibatch", least > 0, "must be positive")?;
        for task in tasks {
            for (name, batch) in [("support", &task.support), ("query", &task.query)] {
                check_length(name, network.inputs(), batch.columns())?;
                check(name, !batch.is_selection(), "must not be a selection")?;
                check(name, batch.len() >= least, "must hold a minibatch of rows")?;
            }
        }
        Ok(Self {
            network,
            tasks,
            minibatch,
        })
    }

    /// Most rows of any step.
    fn rows(&self) -> usize {
        self.minibatch.unwrap_or_else(|| {
            let rows = |task: &Task<'_, T>| task.support.len().max(task.query.len());
            must(self.tasks.iter().map(rows).max())
        })
    }

    /// Numbers in the features of all support rows that a step sees.
    fn features_len(&self) -> usize {
        let rows = match self.minibatch {
            Some(rows) => rows,
            None => self.tasks.iter().map(|task| task.support.len()).sum(),
        };
        rows.saturating_mul(self.network.head().inputs())
    }

    /// The rows of one step: all, or the minibatch that its draw picks for the next task.
    fn pick<'b>(
        &self,
        rows: &Batch<'b, T>,
        generator: &mut random::Stream,
    ) -> Result<Batch<'b, T>, Error> {
        let Some(size) = self.minibatch else {
            return Ok(*rows);
        };
        // A minibatch is positive.
        let runs = rows.len() / size.max(1);
        let run = random::below_usize(generator, runs);
        rows.range(run.saturating_mul(size), size)
    }

    /// Weighted sum of the tasks' losses on their query rows, or those of support, and its gradients where slices are given.
    fn losses(
        &self,
        rows_of: fn(&Task<'a, T>) -> Batch<'a, T>,
        share: T,
        at: Place<'_, T>,
        mut grads: Option<[&mut [T]; 2]>,
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let Place { x, y, draw } = at;
        let network = without_penalty(self.network);
        let dim = network.dim();
        let ([params, grad], scratch) = cut(scratch, [dim, dim])?;
        let (trunk, head) = must(params.split_at_mut_checked(x.len()));
        copy(x, trunk);
        let heads = head.len().max(1);
        let mut generator = draw.stream();
        let mut sum = T::ZERO;
        if let Some([grad_x, _]) = &mut grads {
            grad_x.fill(T::ZERO);
        }
        for (i, (task, y)) in self.tasks.iter().zip(y.chunks_exact(heads)).enumerate() {
            let rows = self.pick(&rows_of(task), &mut generator)?;
            let (_, head) = must(params.split_at_mut_checked(x.len()));
            copy(y, head);
            let Some([grad_x, grad_y]) = &mut grads else {
                sum += network.value(params, &rows, scratch)?;
                continue;
            };
            sum += network.value_and_gradient_into(params, &rows, grad, scratch)?;
            let (of_trunk, of_head) = must(grad.split_at_checked(x.len()));
            vector::axpy(share, of_trunk, grad_x)?;
            if let Some(grad_y) = grad_y.chunks_exact_mut(heads).nth(i) {
                copy(of_head, grad_y);
                vector::scale(share, grad_y);
            }
        }
        Ok(sum * share)
    }

    /// Value of the outer loss, and its gradients where slices are given for them.
    fn outer(
        &self,
        at: Place<'_, T>,
        grads: Option<[&mut [T]; 2]>,
        scratch: &mut [T],
    ) -> Result<T, Error> {
        let share = T::ONE / T::from_usize(self.tasks.len());
        self.losses(|task| task.query, share, at, grads, scratch)
    }
}

impl<T: Real> crate::bilevel::Problem<T> for Problem<'_, T> {
    fn outer_dim(&self) -> usize {
        self.network.trunk().dim()
    }

    fn inner_dim(&self) -> usize {
        let head = self.network.head().dim();
        self.tasks.len().saturating_mul(head)
    }

    /// Features of support rows, parameters and gradient of the whole network, and its own.
    fn scratch_len(&self) -> usize {
        let whole = self.network.dim().saturating_mul(2);
        self.features_len()
            .max(whole)
            .saturating_add(self.network.scratch_len(self.rows()))
    }

    fn prepare(&self, x: &[T], scratch: &mut [T]) -> Result<(), Error> {
        if self.minibatch.is_some() {
            return Ok(());
        }
        let ([mut features], scratch) = cut(scratch, [self.features_len()])?;
        let width = self.network.head().inputs();
        for task in self.tasks {
            let len = task.support.len().saturating_mul(width);
            let ([out], rest) = cut(features, [len])?;
            self.network.features_into(x, &task.support, out, scratch)?;
            features = rest;
        }
        Ok(())
    }

    fn inner_gradient_into(
        &self,
        at: Place<'_, T>,
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let Place { x, y, draw } = at;
        let head = self.network.head();
        let ([mut features], scratch) = cut(scratch, [self.features_len()])?;
        let mut generator = draw.stream();
        let size = head.dim().max(1);
        let heads = y.chunks_exact(size).zip(grad_y.chunks_exact_mut(size));
        for (task, (y, grad)) in self.tasks.iter().zip(heads) {
            let rows = self.pick(&task.support, &mut generator)?;
            let len = rows.len().saturating_mul(head.inputs());
            let ([z], rest) = cut(features, [len])?;
            if self.minibatch.is_some() {
                self.network.features_into(x, &rows, z, scratch)?;
            }
            let batch = Batch::new(z, head.inputs(), rows.labels())?;
            head.gradient_into(y, &batch, grad, scratch)?;
            // Prepared features lie one task after another; those of a minibatch are needed no longer.
            features = if self.minibatch.is_some() { z } else { rest };
        }
        Ok(())
    }

    fn outer_value(&self, at: Place<'_, T>, scratch: &mut [T]) -> Result<T, Error> {
        self.outer(at, None, scratch)
    }

    fn outer_gradients_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        grad_y: &mut [T],
        scratch: &mut [T],
    ) -> Result<T, Error> {
        self.outer(at, Some([grad_x, grad_y]), scratch)
    }
}

impl<T: Real> InnerSlope<T> for Problem<'_, T> {
    fn inner_slope_into(
        &self,
        at: Place<'_, T>,
        grad_x: &mut [T],
        scratch: &mut [T],
    ) -> Result<(), Error> {
        let grads = Some([grad_x, &mut []]);
        self.losses(|task| task.support, T::ONE, at, grads, scratch)
            .map(drop)
    }
}
