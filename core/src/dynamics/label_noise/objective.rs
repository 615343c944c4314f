//! Label noise around any objective with a squared loss.

use rand_core::Rng;

use crate::error::{check, check_length, check_scratch};
use crate::memory::must;
use crate::model::{Batch, Labels, Objective};
use crate::{Error, Real, Storage, random, vector};

use super::{Config, Rates, State};

/// An objective and the rows that it is fitted to, of which each step sees one.
///
/// ```
/// use thalweg::dynamics::label_noise::Fit;
/// use thalweg::model::{Batch, linear::Model};
/// let data = Batch::targets(&[2.0_f64], 1, &[0.0], 1)?;
/// let fit = Fit { objective: &Model::<f64>::new(1), data: &data };
/// assert_eq!(fit.data.len(), 1);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Debug)]
pub struct Fit<'a, 'b, O: ?Sized, T> {
    /// With a squared loss.
    pub objective: &'a O,
    /// Rows with targets.
    pub data: &'a Batch<'b, T>,
}

/// Memory of [`run_objective`].
///
/// ```
/// use thalweg::dynamics::label_noise::Scratch;
/// let memory = Scratch { target: &mut [0.0_f32; 1], grad: &mut [0.0; 3], model: &mut [] };
/// assert_eq!(memory.grad.len(), 3);
/// ```
#[derive(Debug)]
pub struct Scratch<'a, T> {
    /// The noisy label: as many numbers as a row has targets.
    pub target: &'a mut [T],
    /// The gradient: as many numbers as parameters.
    pub grad: &'a mut [T],
    /// What the objective asks for a batch of one row.
    pub model: &'a mut [T],
}

/// `steps` steps `x <- x - eta grad F_i(x; y_i - e)`, with `F_i` the objective on row `i` alone; returns the mean of the
/// noisy losses.
///
/// For `F_i = (f_i - y_i)^2 / 2` this is `x - eta (f_i - y_i + e) grad f_i`, the recurrence of the
/// [module](super). Each target of a row has a separate sign, drawn after the row. An objective that divides by its
/// number of outputs (a network with [`Loss::Squared`](crate::model::Loss::Squared)) makes the clock slower by that
/// factor squared; with a penalty on the parameters there are no exact fits to walk along.
///
/// # Errors
/// [`Error::Parameter`] for a batch without rows or without targets, [`Error::Length`] for wrong lengths, and what the
/// objective returns; nothing is changed then. [`Error::NonFinite`] names the step whose loss, gradient or new parameters are
/// not finite; the state then holds the parameters before it.
///
/// ```
/// use thalweg::dynamics::label_noise::{self, Config, Fit, Scratch, State};
/// use thalweg::model::{Batch, linear::Model};
/// use thalweg::random::{self, Purpose};
/// let data = Batch::targets(&[2.0_f64], 1, &[0.0], 1)?;
/// let memory = Scratch { target: &mut [0.0], grad: &mut [0.0], model: &mut [] };
/// let mut state = State::from_params([0.0]);
/// let mut rng = random::stream(1, 0, 0, Purpose::NOISE);
/// let fit = Fit { objective: &Model::<f64>::new(1), data: &data };
/// let loss = label_noise::run_objective(&Config::new(0.25), fit, &mut state, 1, &mut rng, memory)?;
/// // Residual +-1, gradient +-2.
/// assert_eq!((loss, state.params()[0].abs()), (0.5, 0.5));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn run_objective<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    fit: Fit<'_, '_, impl Objective<T> + ?Sized, T>,
    state: &mut State<B>,
    steps: u64,
    rng: &mut impl Rng,
    memory: Scratch<'_, T>,
) -> Result<f64, Error> {
    let Fit { objective, data } = fit;
    let rates = Rates::<T>::new(config)?;
    let Scratch {
        target,
        grad,
        model,
    } = memory;
    check("data", !data.is_empty(), "must have rows")?;
    let width = data.target(0).map_or(0, <[T]>::len);
    check("data", width > 0, "must have targets")?;
    check_length("params", objective.dim(), state.params().len())?;
    check_length("target", width, target.len())?;
    check_length("grad", objective.dim(), grad.len())?;
    check_scratch("model", objective.scratch_len(1), model.len())?;
    let rate = T::from_f64(config.learning_rate);
    let mut sum = 0.0;
    for _ in 0..steps {
        let i = random::below_usize(rng, data.len());
        for (noisy, &y) in target.iter_mut().zip(must(data.target(i))) {
            *noisy = y - random::rademacher::<T>(rng) * rates.noise;
        }
        let row = must(data.row(i));
        let labels = Labels::Targets {
            values: target,
            width,
        };
        let sample = Batch::new(row, row.len(), labels)?;
        let loss = objective.value_and_gradient_into(state.params(), &sample, grad, model)?;
        let is_finite = loss.is_finite() && vector::first_non_finite(grad).is_none();
        state.ensure_finite("loss", is_finite)?;
        let mut moved = state.params().iter().zip(&*grad);
        state.ensure_finite("params", moved.all(|(x, g)| (*x - rate * *g).is_finite()))?;
        vector::axpy(-rate, grad, state.params.as_mut_slice())?;
        state.steps = state.steps.saturating_add(1);
        sum += loss.to_f64();
    }
    Ok(sum / steps.max(1) as f64)
}
