//! A trainer and its model in one tensor file, and back.

use std::collections::BTreeMap;
use std::path::Path;

use thalweg::optim::schedule::Plateau;
use thalweg::snapshot::Snapshot;
use thalweg::{ALGORITHM_VERSION, Error, Real};

use super::tensors::dtype_of;
use super::trainer::RESERVED;
use super::{TensorFile, TrainError, Trainer};

/// Version of the container; another one is refused.
const VERSION: &str = "1";

const CONTAINER: &str = "thalweg.train";
const ALGORITHMS: &str = "thalweg.algorithms";
const STEP: &str = "thalweg.step";
const GROUP: &str = "thalweg.group.";
const OPTIMISER: &str = "thalweg.optimiser.";
const NUMBER: &str = "thalweg.number.";

/// Name of a tensor of the state.
fn state(name: &str, buffer: &str) -> String {
    format!("{RESERVED}{name}.{buffer}")
}

fn plateau() -> String {
    format!("{RESERVED}plateau")
}

impl<T: Real> Trainer<T> {
    /// Parameters, states, position of the schedules and numbers of the caller, such as seeds, as one tensor file.
    ///
    /// Parameters have the names and shapes of their tensors; `optimizer.NAME.BUFFER` is a buffer of the optimiser. The metadata hold
    /// `format` = `pt` (what readers of model files look for), the version of the container and of the [algorithms](ALGORITHM_VERSION), the step, the
    /// optimiser of each tensor, the hyperparameters of each group for the reader's information, and the numbers.
    ///
    /// # Errors
    /// [`TrainError::Argument`] when `params` has another length than the model.
    ///
    /// ```
    /// use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
    /// let groups = [Group::new("all", Optimiser::adamw())];
    /// let trainer = Trainer::new(&groups, &[Tensor::new("w", &[1, 2], "all")])?;
    /// let file = trainer.checkpoint(&[0.5_f32, 0.25], &[("seed", 7)])?;
    /// let names: Vec<_> = file.names().collect();
    /// assert_eq!(names, ["w", "optimizer.w.exp_avg", "optimizer.w.exp_avg_sq"]);
    /// assert_eq!(file.metadata("thalweg.optimiser.w"), Some("adamw"));
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    pub fn checkpoint(
        &self,
        params: &[T],
        numbers: &[(&str, u64)],
    ) -> Result<TensorFile, TrainError> {
        thalweg::error::check_length("params", self.dim(), params.len())?;
        let mut file = TensorFile::new();
        file.set("format", "pt");
        file.set(CONTAINER, VERSION);
        file.set(ALGORITHMS, ALGORITHM_VERSION.to_string());
        file.set(STEP, self.steps.to_string());
        for group in &self.groups {
            file.set(
                &format!("{GROUP}{}", group.name),
                group.optimiser.to_string(),
            );
        }
        for (name, number) in numbers {
            file.set(&format!("{NUMBER}{name}"), number.to_string());
        }
        for placed in &self.tensors {
            let (tensor, range) = (&placed.tensor, placed.range.clone());
            let values = params.get(range).unwrap_or_default();
            file.push(&tensor.name, &tensor.shape, values)?;
        }
        for placed in &self.tensors {
            let tensor = &placed.tensor;
            let Some((run, group)) = self.place(placed.run) else {
                continue;
            };
            let key = format!("{OPTIMISER}{}", tensor.name);
            file.set(&key, group.optimiser.name());
            for (at, buffer) in group.optimiser.buffers().iter().enumerate() {
                let values = run.memory.get(run.range(at, &placed.range));
                file.push(
                    &state(&tensor.name, buffer),
                    &run.shape(at, placed),
                    values.unwrap_or_default(),
                )?;
            }
        }
        if let Some((_, position)) = &self.plateau {
            let mut bytes = vec![0; position.snapshot_len()];
            position.save(&mut bytes).map_err(|_| SHORT)?;
            file.push_bytes(&plateau(), &bytes)?;
        }
        Ok(file)
    }

    /// Takes over what [`checkpoint`](Self::checkpoint) wrote; returns the caller's numbers. A run that goes on has the bits of one that never stopped, if
    /// groups, clipping and schedules are those of the trainer that wrote the file.
    ///
    /// Learning rates and other hyperparameters are this trainer's: they may differ. Tensors, shapes, scalar type and optimisers may not.
    ///
    /// # Errors
    /// [`TrainError::Differs`] with the name of the tensor and what differs. Trainer and parameters are as before.
    ///
    /// ```
    /// use thalweg_std::train::{Group, Optimiser, Tensor, Trainer};
    /// let new = |name: &str| {
    ///     let groups = [Group::new("all", name.parse::<Optimiser>().unwrap())];
    ///     Trainer::<f32>::new(&groups, &[Tensor::new("w", &[2], "all")])
    /// };
    /// let mut params = [1.0, 2.0];
    /// let mut trainer = new("adamw")?;
    /// trainer.step(&mut params, &[0.5, 0.5])?;
    /// let file = trainer.checkpoint(&params, &[("seed", 7)])?;
    ///
    /// let (mut other, mut resumed) = (new("adamw")?, [0.0; 2]);
    /// assert_eq!(other.restore(&file, &mut resumed)?["seed"], 7);
    /// assert_eq!((resumed, other.steps()), (params, 1));
    /// let error = new("lion")?.restore(&file, &mut resumed).unwrap_err();
    /// assert_eq!(error.to_string(), "new tensor file: optimiser of tensor `w`: found adamw, expected lion");
    /// # Ok::<(), thalweg_std::train::TrainError>(())
    /// ```
    pub fn restore(
        &mut self,
        file: &TensorFile,
        params: &mut [T],
    ) -> Result<BTreeMap<String, u64>, TrainError> {
        thalweg::error::check_length("params", self.dim(), params.len())?;
        let differs = |what: String, found: String, expected: String| TrainError::Differs {
            file: file.file().to_owned(),
            what,
            found,
            expected,
        };
        let found = file.metadata(CONTAINER).unwrap_or("nothing");
        if found != VERSION {
            let what = "version of the checkpoint".to_owned();
            return Err(differs(what, found.to_owned(), VERSION.to_owned()));
        }
        let number = |key: &str| {
            let found = file.metadata(key).unwrap_or("nothing");
            found
                .parse::<u64>()
                .map_err(|_| differs(format!("`{key}`"), found.to_owned(), "a number".to_owned()))
        };
        let steps = number(STEP)?;
        let mut numbers = BTreeMap::new();
        for (key, _) in file.entries() {
            if let Some(name) = key.strip_prefix(NUMBER) {
                numbers.insert(name.to_owned(), number(key)?);
            }
        }
        let mut tensors = 0;
        for placed in &self.tensors {
            let tensor = &placed.tensor;
            let Some((run, group)) = self.place(placed.run) else {
                continue;
            };
            let name = group.optimiser.name();
            let key = format!("{OPTIMISER}{}", tensor.name);
            let found = file.metadata(&key).unwrap_or("nothing");
            if found != name {
                let what = format!("optimiser of tensor `{}`", tensor.name);
                return Err(differs(what, found.to_owned(), name.to_owned()));
            }
            let buffers = group.optimiser.buffers().iter().enumerate();
            let states =
                buffers.map(|(at, buffer)| (state(&tensor.name, buffer), run.shape(at, placed)));
            let itself = (tensor.name.clone(), tensor.shape.clone());
            for (name, shape) in std::iter::once(itself).chain(states) {
                let expected = format!("{} {shape:?}", dtype_of::<T>());
                let found = match (file.dtype(&name), file.shape(&name)) {
                    (Some(dtype), Some(shape)) => format!("{dtype} {shape:?}"),
                    _ => "nothing".to_owned(),
                };
                if found != expected {
                    return Err(differs(format!("tensor `{name}`"), found, expected));
                }
                tensors += 1;
            }
        }
        let mut position = Plateau::new();
        if self.plateau.is_some() {
            let name = plateau();
            let restored = position.restore(file.bytes(&name)?);
            restored.map_err(|error| {
                let expected = "the state of a plateau schedule".to_owned();
                differs(format!("tensor `{name}`"), error.to_string(), expected)
            })?;
            tensors += 1;
        }
        let surplus = file.names().count();
        if surplus != tensors {
            let what = "number of tensors".to_owned();
            return Err(differs(what, surplus.to_string(), tensors.to_string()));
        }

        // Types and shapes are those of the memory: nothing below can fail half-way.
        for placed in &self.tensors {
            let name = &placed.tensor.name;
            if let Some(to) = params.get_mut(placed.range.clone()) {
                file.copy_into(name, to)?;
            }
            let Some(run) = self.runs.get_mut(placed.run) else {
                continue;
            };
            let group = self.groups.get(run.group);
            let buffers = group.map_or(&[][..], |group| group.optimiser.buffers());
            for (at, buffer) in buffers.iter().enumerate() {
                let range = run.range(at, &placed.range);
                if let Some(to) = run.memory.get_mut(range) {
                    file.copy_into(&state(name, buffer), to)?;
                }
            }
        }
        self.steps = steps;
        if let Some((_, plateau)) = &mut self.plateau {
            *plateau = position;
        }
        Ok(numbers)
    }

    /// Writes a [`checkpoint`](Self::checkpoint) to a file in one piece: a process that is killed leaves the old file or the new one.
    ///
    /// # Errors
    /// As [`checkpoint`](Self::checkpoint) and [`TensorFile::write`].
    pub fn save(
        &self,
        path: impl AsRef<Path>,
        params: &[T],
        numbers: &[(&str, u64)],
    ) -> Result<(), TrainError> {
        self.checkpoint(params, numbers)?.write(path)
    }

    /// Reads a file and [`restore`](Self::restore)s it; returns the caller's numbers.
    ///
    /// # Errors
    /// As [`TensorFile::read`] and [`restore`](Self::restore).
    pub fn load(
        &mut self,
        path: impl AsRef<Path>,
        params: &mut [T],
    ) -> Result<BTreeMap<String, u64>, TrainError> {
        self.restore(&TensorFile::read(path)?, params)
    }

    /// A run with its group.
    fn place(&self, run: usize) -> Option<(&super::trainer::Run<T>, &super::Group)> {
        let run = self.runs.get(run)?;
        Some((run, self.groups.get(run.group)?))
    }
}

/// Error for a buffer that is shorter than the state says it needs.
const SHORT: Error = Error::Parameter {
    name: "plateau",
    rule: "must have a state of the length that it states",
};
