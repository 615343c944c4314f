//! The trainer: tensors in groups, and a step over all of them.

use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

use thalweg::optim::clip::{self, GlobalNorm};
use thalweg::optim::schedule::{Plateau, ReduceOnPlateau, Schedule};
use thalweg::optim::{BUFFERS, Layer};
use thalweg::simd::{self, Lanes, Map};
use thalweg::{Error, Real};

use super::tensors::count;
use super::{Optimiser, TrainError};

/// Elements of a gradient that are scaled, then stepped, while they are in the second cache with their parameters and buffers. Blocks of 1024 and 2048
/// cost 8 to 15 % more on 100 tensors of 10,000 (AMD EPYC, AVX2, `cargo bench -p thalweg_benches --bench train`): a call of the core takes 70 ns.
pub(super) const BLOCK: usize = 8192;

/// First letters of the names that a checkpoint keeps for its own tensors.
pub(super) const RESERVED: &str = "optimizer.";

/// Tensors that share an optimiser with its hyperparameters.
///
/// ```
/// use thalweg_std::train::{Group, Optimiser};
/// let group = Group::new("biases", Optimiser::adamw().with_weight_decay(0.0));
/// assert_eq!(group.name, "biases");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// What its tensors call it.
    pub name: String,
    /// The optimiser.
    pub optimiser: Optimiser,
}

impl Group {
    /// A group.
    #[must_use]
    pub fn new(name: impl Into<String>, optimiser: Optimiser) -> Self {
        Self {
            name: name.into(),
            optimiser,
        }
    }
}

/// One tensor of a model.
///
/// ```
/// use thalweg_std::train::Tensor;
/// let tensor = Tensor::new("0.weight", &[32, 64], "weights");
/// assert_eq!(tensor.shape, [32, 64]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Its name, that of a checkpoint's tensor.
    pub name: String,
    /// Its shape; the elements are row-major.
    pub shape: Vec<usize>,
    /// The group that it is in.
    pub group: String,
}

impl Tensor {
    /// A tensor.
    #[must_use]
    pub fn new(name: impl Into<String>, shape: &[usize], group: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            group: group.into(),
        }
    }
}

/// A tensor in its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) tensor: Tensor,
    /// Its elements in the flat parameters.
    pub(super) range: Range<usize>,
    /// The run that it lies in.
    pub(super) run: usize,
}

/// Tensors of one group that lie one behind the other and are stepped as one slice; or one tensor that is treated as a whole.
#[derive(Clone, Debug)]
pub(super) struct Run<T> {
    pub(super) group: usize,
    pub(super) start: usize,
    pub(super) len: usize,
    /// The one tensor, and the lengths of its buffers.
    pub(super) layer: Option<(Layer, [usize; BUFFERS])>,
    /// The optimiser's buffers, each of `len` elements where there is no layer.
    pub(super) memory: Vec<T>,
}

impl<T> Run<T> {
    /// Where a buffer has the elements of a tensor.
    pub(super) fn range(&self, buffer: usize, tensor: &Range<usize>) -> Range<usize> {
        let Some((_, lengths)) = &self.layer else {
            let start = buffer * self.len + tensor.start - self.start;
            return start..start + tensor.len();
        };
        let start = lengths.iter().take(buffer).sum();
        start..start + lengths.get(buffer).copied().unwrap_or_default()
    }

    /// The shape of a buffer in a checkpoint: that of the tensor, where it has a number for each element.
    pub(super) fn shape(&self, buffer: usize, placed: &Placed) -> Vec<usize> {
        let len = self.range(buffer, &placed.range).len();
        if len == placed.range.len() {
            placed.tensor.shape.clone()
        } else {
            vec![len]
        }
    }
}

/// A tensor as a layer: its first dimension is the rows, the others are the columns.
fn layer(shape: &[usize]) -> Layer {
    match shape {
        [rows, first, rest @ ..] => Layer::Matrix {
            rows: *rows,
            columns: first * rest.iter().product::<usize>(),
        },
        _ => Layer::Vector(shape.iter().product()),
    }
}

/// What a step was.
///
/// ```
/// use thalweg_std::train::Taken;
/// let taken = Taken { step: 3, norm: Some(2.0_f32), coefficient: 0.5 };
/// assert!(taken.is_clipped());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken<T> {
    /// Number of the step, from 0.
    pub step: u64,
    /// Norm of the gradient of all tensors before clipping; none without clipping.
    pub norm: Option<T>,
    /// What the gradient was multiplied by.
    pub coefficient: T,
}

impl<T: Real> Taken<T> {
    /// The gradient was longer than allowed.
    #[must_use]
    pub fn is_clipped(&self) -> bool {
        self.coefficient != T::ONE
    }
}

/// The optimisers of a model, with their states.
pub struct Trainer<T> {
    pub(super) groups: Vec<Group>,
    pub(super) tensors: Vec<Placed>,
    pub(super) runs: Vec<Run<T>>,
    pub(super) steps: u64,
    pub(super) plateau: Option<(ReduceOnPlateau, Plateau)>,
    schedule: Option<Box<dyn Schedule + Send + Sync>>,
    clip: Option<f64>,
    len: usize,
    scratch: Scratch<T>,
}

/// Temporary memory of a step.
struct Scratch<T> {
    /// A block of a gradient, scaled.
    scaled: Vec<T>,
    /// That of the tensor that needs the most.
    workspace: Vec<T>,
}

impl<T: Real> fmt::Debug for Trainer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trainer")
            .field("groups", &self.groups)
            .field("tensors", &self.tensors.len())
            .field("elements", &self.len)
            .field("steps", &self.steps)
            .field("clip", &self.clip)
            .field("plateau", &self.plateau)
            .finish_non_exhaustive()
    }
}

impl<T: Real> Trainer<T> {
    /// A trainer of tensors that lie one behind the other in this order, with states of zeros.
    ///
    /// # Errors
    /// [`TrainError::Group`] for a hyperparameter out of range, [`TrainError::NoGroup`], [`TrainError::Name`] for a name that occurs twice or begins
    /// with `optimizer.`, [`TrainError::TooLarge`].
    ///
    /// ```
    /// use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
    /// let groups = [Group::new("all", Optimiser::adamw())];
    /// let trainer = Trainer::<f32>::new(&groups, &[Tensor::new("w", &[2, 3], "all")])?;
    /// assert_eq!((trainer.dim(), trainer.steps()), (6, 0));
    /// let error = Trainer::<f32>::new(&groups, &[Tensor::new("w", &[2, 3], "other")]).unwrap_err();
    /// assert_eq!(error.to_string(), "tensor `w` is in the group `other`, which is not declared");
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    pub fn new(groups: &[Group], tensors: &[Tensor]) -> Result<Self, TrainError> {
        let mut names = HashSet::new();
        for Group { name, .. } in groups {
            if !names.insert(name.as_str()) {
                return Err(TrainError::Name { name: name.clone() });
            }
        }
        names.clear();
        let mut trainer = Self {
            groups: groups.to_vec(),
            tensors: Vec::with_capacity(tensors.len()),
            runs: Vec::new(),
            steps: 0,
            plateau: None,
            schedule: None,
            clip: None,
            len: 0,
            scratch: Scratch {
                scaled: Vec::new(),
                workspace: Vec::new(),
            },
        };
        for tensor in tensors {
            let name = &tensor.name;
            if !names.insert(name) || name.starts_with(RESERVED) || name == "__metadata__" {
                return Err(TrainError::Name { name: name.clone() });
            }
            let group = groups.iter().position(|group| group.name == tensor.group);
            let group = group.ok_or_else(|| TrainError::NoGroup {
                tensor: name.clone(),
                group: tensor.group.clone(),
            })?;
            let start = trainer.len;
            let len = count(&tensor.shape).and_then(|len| start.checked_add(len));
            // The largest optimiser keeps three buffers of elements.
            let fits = |len: &usize| {
                len.checked_mul(3 * T::BYTES)
                    .is_some_and(|n| n < isize::MAX as usize)
            };
            let end = len.filter(fits).ok_or_else(|| TrainError::TooLarge {
                tensor: name.clone(),
            })?;
            let is_layered = groups.get(group).is_some_and(|g| g.optimiser.is_layered());
            if is_layered || trainer.runs.last().is_none_or(|run| run.group != group) {
                trainer.runs.push(Run {
                    group,
                    start,
                    len: 0,
                    layer: is_layered.then(|| (layer(&tensor.shape), [0; BUFFERS])),
                    memory: Vec::new(),
                });
            }
            let run = trainer.runs.len() - 1;
            if let Some(run) = trainer.runs.last_mut() {
                run.len = end - run.start;
            }
            trainer.len = end;
            trainer.tensors.push(Placed {
                tensor: tensor.clone(),
                range: start..end,
                run,
            });
        }
        trainer.check_groups()?;
        let mut workspace = 0;
        for run in &mut trainer.runs {
            let Some(Group { name, optimiser }) = groups.get(run.group) else {
                continue;
            };
            let mut len = optimiser.buffers().len() * run.len;
            if let Some((layer, lengths)) = &mut run.layer {
                let found = optimiser.layer_lengths(*layer);
                let (kept, needed) = found.map_err(|source| TrainError::Group {
                    group: name.clone(),
                    source,
                })?;
                (*lengths, workspace) = (kept, workspace.max(needed));
                len = kept.iter().sum();
            }
            run.memory = vec![T::ZERO; len];
        }
        trainer.scratch.workspace = vec![T::ZERO; workspace];
        Ok(trainer)
    }

    /// Clips the gradient of all tensors to this norm: `g min(1, max_norm / (norm + 1e-6))`, as `torch.nn.utils.clip_grad_norm_`.
    ///
    /// # Errors
    /// [`TrainError::Argument`] unless the norm is finite and positive in the scalar type.
    ///
    /// ```
    /// use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
    /// let groups = [Group::new("all", "sgd".parse::<Optimiser>()?.with_learning_rate(1.0))];
    /// let mut trainer = Trainer::new(&groups, &[Tensor::new("w", &[2], "all")])?.with_clip(5.0)?;
    /// let mut params = [0.0_f64; 2];
    /// let taken = trainer.step(&mut params, &[6.0, 8.0])?;
    /// assert_eq!(taken.norm, Some(10.0));
    /// assert!((params[0] + 3.0).abs() < 1e-6 && (params[1] + 4.0).abs() < 1e-6);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_clip(mut self, max_norm: f64) -> Result<Self, TrainError> {
        GlobalNorm::<T>::new().coefficient(T::from_f64(max_norm))?;
        self.clip = Some(max_norm);
        Ok(self)
    }

    /// Multiplies the learning rate of every group by the schedule's value at the number of the step, from 0: groups keep their ratios, and with a
    /// learning rate of 1 the schedule is the rate itself. PyTorch's `LambdaLR`.
    ///
    /// # Errors
    /// [`TrainError::Argument`] with the field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::schedule::Polynomial;
    /// use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
    /// let groups = [Group::new("all", "sgd".parse::<Optimiser>()?.with_learning_rate(8.0))];
    /// let trainer = Trainer::new(&groups, &[Tensor::new("w", &[1], "all")])?;
    /// let mut trainer = trainer.with_schedule(Polynomial::linear(1.0, 0.0, 4))?;
    /// let mut x = [0.0_f64];
    /// for _ in 0..3 {
    ///     trainer.step(&mut x, &[1.0])?;
    /// }
    /// assert_eq!(x, [-18.0]); // 8 (1 + 3/4 + 2/4)
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_schedule(
        mut self,
        schedule: impl Schedule + Send + Sync + 'static,
    ) -> Result<Self, TrainError> {
        schedule.validate()?;
        self.schedule = Some(Box::new(schedule));
        Ok(self)
    }

    /// Multiplies the learning rates by a factor that falls when the metric of [`observe`](Self::observe) stands still.
    ///
    /// # Errors
    /// [`TrainError::Argument`] with the field that is out of range.
    ///
    /// ```
    /// use thalweg::optim::schedule::ReduceOnPlateau;
    /// use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
    /// let groups = [Group::new("all", Optimiser::adamw())];
    /// let trainer = Trainer::<f32>::new(&groups, &[Tensor::new("w", &[1], "all")])?;
    /// let config = ReduceOnPlateau { patience: 0, factor: 0.5, ..Default::default() };
    /// let mut trainer = trainer.with_plateau(config)?;
    /// assert_eq!(trainer.observe(1.0)?, 1.0);
    /// assert_eq!(trainer.observe(1.0)?, 0.5);
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    pub fn with_plateau(mut self, config: ReduceOnPlateau) -> Result<Self, TrainError> {
        config.validate()?;
        self.plateau = Some((config, Plateau::new()));
        Ok(self)
    }

    /// Shows a metric to the plateau schedule; returns its factor, 1 without one.
    ///
    /// # Errors
    /// None for a trainer that was built.
    pub fn observe(&mut self, metric: f64) -> Result<f64, TrainError> {
        match &mut self.plateau {
            Some((config, plateau)) => Ok(plateau.observe(config, metric)?),
            None => Ok(1.0),
        }
    }

    /// Elements of all tensors.
    #[must_use]
    pub const fn dim(&self) -> usize {
        self.len
    }

    /// Steps taken.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The groups, in the order in which they were declared.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The tensors, in their order.
    pub fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.iter().map(|placed| &placed.tensor)
    }

    /// What multiplies the learning rates of the next step.
    ///
    /// ```
    /// use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
    /// let groups = [Group::new("all", Optimiser::adamw())];
    /// assert_eq!(Trainer::<f32>::new(&groups, &[])?.rate_factor(), 1.0);
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    #[must_use]
    pub fn rate_factor(&self) -> f64 {
        let scheduled = self.schedule.as_ref().map_or(1.0, |s| s.value(self.steps));
        let plateau = self.plateau.as_ref().map_or(1.0, |(_, p)| p.scale());
        scheduled * plateau
    }

    /// One step of descent on parameters and gradient that each lie in one slice, tensor behind tensor.
    ///
    /// Everything is checked before the first write: lengths, hyperparameters at the scheduled rate, and that each element of the gradient is
    /// finite. Neighbours of one group are stepped as one slice.
    ///
    /// # Errors
    /// [`TrainError::Argument`] for a wrong length, [`TrainError::NonFinite`] with tensor and element, [`TrainError::Norm`], [`TrainError::Group`].
    /// Trainer and parameters are as before.
    ///
    /// ```
    /// use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
    /// let groups = [Group::new("all", Optimiser::adamw())];
    /// let tensors = [Tensor::new("w", &[2], "all"), Tensor::new("b", &[1], "all")];
    /// let mut trainer = Trainer::new(&groups, &tensors)?;
    /// let mut params = [1.0_f32; 3];
    /// let error = trainer.step(&mut params, &[0.5, 0.5, f32::NAN]).unwrap_err();
    /// assert_eq!(error.to_string(), "the gradient of tensor `b` is not finite at element 0");
    /// assert_eq!((params, trainer.steps()), ([1.0; 3], 0));
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    pub fn step(&mut self, params: &mut [T], grad: &[T]) -> Result<Taken<T>, TrainError> {
        thalweg::error::check_length("params", self.len, params.len())?;
        thalweg::error::check_length("grad", self.len, grad.len())?;
        let slices = |placed: &Placed| grad.get(placed.range.clone()).unwrap_or_default();
        let grads = self.tensors.iter().map(slices);
        let whole = self.clip.is_none() && clip::check_finite(grad).is_ok();
        let (norm, coefficient) = if whole {
            (None, T::ONE)
        } else {
            self.inspect(grads)?
        };
        let optimisers = self.check_groups()?;
        let steps = self.steps;
        for run in &mut self.runs {
            let range = run.start..run.start + run.len;
            let (Some(params), Some(grad), Some(optimiser)) = (
                params.get_mut(range.clone()),
                grad.get(range),
                optimisers.get(run.group),
            ) else {
                continue;
            };
            let scale = (coefficient, &mut self.scratch);
            advance(optimiser, steps, run, 0, params, grad, scale)?;
        }
        self.close(norm, coefficient)
    }

    /// [`step`](Self::step) on tensors that lie anywhere, in the order in which they were declared; the same bits.
    ///
    /// # Errors
    /// As [`step`](Self::step), and [`TrainError::Length`] with the tensor.
    ///
    /// ```
    /// use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
    /// let groups = [Group::new("all", "sgd".parse::<Optimiser>()?.with_learning_rate(0.5))];
    /// let tensors = [Tensor::new("w", &[2], "all"), Tensor::new("b", &[1], "all")];
    /// let mut trainer = Trainer::new(&groups, &tensors)?;
    /// let (mut w, mut b) = ([1.0_f32, 2.0], [3.0]);
    /// trainer.step_slices(&mut [&mut w, &mut b], &[&[2.0, 0.0], &[-2.0]])?;
    /// assert_eq!((w, b), ([0.0, 2.0], [4.0]));
    /// let error = trainer.step_slices(&mut [&mut w, &mut b], &[&[2.0], &[-2.0]]).unwrap_err();
    /// assert_eq!(error.to_string(), "gradients of tensor `w` have 1 elements, its shape 2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn step_slices(
        &mut self,
        params: &mut [&mut [T]],
        grads: &[&[T]],
    ) -> Result<Taken<T>, TrainError> {
        thalweg::error::check_length("params", self.tensors.len(), params.len())?;
        thalweg::error::check_length("grads", self.tensors.len(), grads.len())?;
        for ((placed, params), grad) in self.tensors.iter().zip(&*params).zip(grads) {
            let expected = placed.range.len();
            for (what, found) in [("parameters", params.len()), ("gradients", grad.len())] {
                if found != expected {
                    return Err(TrainError::Length {
                        tensor: placed.tensor.name.clone(),
                        what,
                        expected,
                        found,
                    });
                }
            }
        }
        let (norm, coefficient) = self.inspect(grads.iter().copied())?;
        let optimisers = self.check_groups()?;
        let steps = self.steps;
        for ((placed, params), grad) in self.tensors.iter().zip(params).zip(grads) {
            let Some(run) = self.runs.get_mut(placed.run) else {
                continue;
            };
            let (start, scale) = (
                placed.range.start - run.start,
                (coefficient, &mut self.scratch),
            );
            if let Some(optimiser) = optimisers.get(run.group) {
                advance(optimiser, steps, run, start, params, grad, scale)?;
            }
        }
        self.close(norm, coefficient)
    }

    /// The reading pass: norm of all gradients where they are clipped, and that each element is finite.
    fn inspect<'g>(
        &self,
        grads: impl Iterator<Item = &'g [T]>,
    ) -> Result<(Option<T>, T), TrainError> {
        let mut norm = GlobalNorm::new();
        for (placed, grad) in self.tensors.iter().zip(grads) {
            let seen = match self.clip {
                Some(_) => norm.accumulate(grad),
                None => clip::check_finite(grad),
            };
            let Err(error) = seen else { continue };
            return Err(match error {
                Error::NonFinite {
                    name: "grad",
                    at: thalweg::At::Element(index),
                } => TrainError::NonFinite {
                    tensor: placed.tensor.name.clone(),
                    index,
                },
                _ => TrainError::Norm,
            });
        }
        let Some(max_norm) = self.clip else {
            return Ok((None, T::ONE));
        };
        let found = norm.norm().map_err(|_| TrainError::Norm)?;
        Ok((Some(found), norm.coefficient(T::from_f64(max_norm))?))
    }

    /// The optimisers at the rates of the next step, each of which would take it.
    fn check_groups(&self) -> Result<Vec<Optimiser>, TrainError> {
        let factor = self.rate_factor();
        let at_rate = |group: &Group| {
            let rate = group.optimiser.learning_rate() * factor;
            let optimiser = group.optimiser.with_learning_rate(rate);
            // A step on nothing checks all that a step checks.
            let none = Layer::Matrix {
                rows: 0,
                columns: 0,
            };
            let at = (none, self.steps);
            let checked = optimiser.update_layer(at, &mut [], &mut [], &mut [], &[] as &[T]);
            checked.map_err(|source| TrainError::Group {
                group: group.name.clone(),
                source,
            })?;
            Ok(optimiser)
        };
        self.groups.iter().map(at_rate).collect()
    }

    fn close(&mut self, norm: Option<T>, coefficient: T) -> Result<Taken<T>, TrainError> {
        let step = self.steps;
        self.steps = step.saturating_add(1);
        Ok(Taken {
            step,
            norm,
            coefficient,
        })
    }
}

/// Steps the elements of a run from `start` on. A gradient that is clipped is scaled block by block, each block while the step reads it: it is never
/// written.
fn advance<T: Real>(
    optimiser: &Optimiser,
    steps: u64,
    run: &mut Run<T>,
    start: usize,
    params: &mut [T],
    grad: &[T],
    (coefficient, scratch): (T, &mut Scratch<T>),
) -> Result<(), TrainError> {
    let (memory, len) = (&mut run.memory[..], run.len);
    let Scratch { scaled, workspace } = scratch;
    if let Some((layer, _)) = run.layer {
        let grad = if coefficient == T::ONE {
            grad
        } else {
            scaled.resize(grad.len().max(scaled.len()), T::ZERO);
            let scaled = scaled.get_mut(..grad.len()).unwrap_or_default();
            simd::map(&Scaled(coefficient), [grad], [&mut *scaled]);
            scaled
        };
        return Ok(optimiser.update_layer((layer, steps), memory, workspace, params, grad)?);
    }
    if coefficient == T::ONE {
        let range = start..start + grad.len();
        return Ok(optimiser.update(steps, memory, len, range, params, grad)?);
    }
    scaled.resize(BLOCK.max(scaled.len()), T::ZERO);
    for (i, (params, grad)) in params.chunks_mut(BLOCK).zip(grad.chunks(BLOCK)).enumerate() {
        let scaled = scaled.get_mut(..grad.len()).unwrap_or_default();
        simd::map(&Scaled(coefficient), [grad], [&mut *scaled]);
        let start = start + i * BLOCK;
        let range = start..start + grad.len();
        optimiser.update(steps, memory, len, range, params, scaled)?;
    }
    Ok(())
}

/// `c g`.
#[derive(Clone, Copy)]
struct Scaled<T>(T);

impl<T: Real> Map<T, 1, 1> for Scaled<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [g]: [L; 1]) -> [L; 1] {
        [g.constant(self.0) * g]
    }
}
