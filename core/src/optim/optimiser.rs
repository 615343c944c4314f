//! The contract of optimisers, and the state that serves all of them.
//!
//! An optimiser is its `Config`: it says how many buffers it keeps and what workspace a step needs, works out the scalars of a step, and advances
//! slices. Everything else is written once against [`Optimiser`]: the step with its checks, the state, its snapshot, moments in
//! [`bf16`](super::bf16), and the tests that read the [registry](super::registry).

use core::fmt;
use core::marker::PhantomData;

use crate::error::{check_length, check_scratch};
use crate::memory::cut;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Stored, Writer, saved_len};
use crate::storage::Zeroed;
use crate::{Error, Real, Storage};

/// Buffers that an optimiser keeps at most.
pub const BUFFERS: usize = 3;

/// Shape of consecutive parameters, for optimisers that treat a layer as a whole.
///
/// ```
/// use thalweg::optim::Layer;
/// assert_eq!(Layer::Matrix { rows: 3, columns: 4 }.len(), 12);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    /// Biases, gains, or parameters of no shape.
    Vector(usize),
    /// Row-major weights: a row is a neuron, a column an input.
    Matrix {
        /// Neurons.
        rows: usize,
        /// Inputs.
        columns: usize,
    },
}

impl Layer {
    /// Number of its parameters.
    ///
    /// ```
    /// assert_eq!(thalweg::optim::Layer::Vector(5).len(), 5);
    /// ```
    #[must_use]
    pub const fn len(self) -> usize {
        match self {
            Self::Vector(n) => n,
            Self::Matrix { rows, columns } => rows.saturating_mul(columns),
        }
    }

    /// It has no parameters.
    ///
    /// ```
    /// assert!(thalweg::optim::Layer::Vector(0).is_empty());
    /// ```
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// Number of the parameters of layers.
///
/// ```
/// use thalweg::optim::{Layer, params_len};
/// assert_eq!(params_len(&[Layer::Matrix { rows: 3, columns: 4 }, Layer::Vector(3)]), 15);
/// ```
#[must_use]
pub const fn params_len(layers: &[Layer]) -> usize {
    let (mut sum, mut rest) = (0_usize, layers);
    while let [layer, tail @ ..] = rest {
        sum = sum.saturating_add(layer.len());
        rest = tail;
    }
    sum
}

/// Elements of all buffers.
pub(super) const fn total([a, b, c]: [usize; BUFFERS]) -> usize {
    a.saturating_add(b).saturating_add(c)
}

/// What a step reads and writes besides parameters and gradient.
///
/// ```
/// use thalweg::optim::Memory;
/// let (mut m, mut v) = ([0.0; 4], [0.0; 4]);
/// let memory = Memory::new([&mut m[..], &mut v[..], &mut []]);
/// assert_eq!((memory.buffers[1].len(), memory.workspace.len()), (4, 0));
/// ```
#[derive(Debug)]
pub struct Memory<'a, T> {
    /// What lasts from one step to the next, of the lengths that [`Optimiser::lengths`] returns.
    pub buffers: [&'a mut [T]; BUFFERS],
    /// At least [`Optimiser::workspace_len`] elements; their contents count for nothing.
    pub workspace: &'a mut [T],
}

impl<'a, T> Memory<'a, T> {
    /// Buffers of an optimiser that needs no workspace.
    #[must_use]
    #[inline]
    pub const fn new(buffers: [&'a mut [T]; BUFFERS]) -> Self {
        Self {
            buffers,
            workspace: &mut [],
        }
    }
}

/// The workspace of a [`State`]: a [`Storage`], or `()` for optimisers that need none.
///
/// ```
/// use thalweg::optim::Workspace;
/// assert_eq!(Workspace::<f32>::as_mut_slice(&mut ()), []);
/// assert_eq!([1.0, 2.0].as_mut_slice().len(), 2);
/// ```
pub trait Workspace<T> {
    /// Its elements.
    fn as_mut_slice(&mut self) -> &mut [T];
}

impl<T> Workspace<T> for () {
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut []
    }
}

impl<T, B: Storage<Elem = T>> Workspace<T> for B {
    #[inline]
    fn as_mut_slice(&mut self) -> &mut [T] {
        Storage::as_mut_slice(self)
    }
}

/// How the buffers are stored between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Precision {
    /// In the type of the parameters.
    Scalar,
    /// In bf16, rounded at random ([`bf16`](super::bf16)).
    Bf16,
}

/// A first-order optimiser: hyperparameters that are passed at every step.
///
/// Implemented by each `Config` of [`optim`](super). A step is [`prepare`](Self::prepare), which may refuse, then [`run`](Self::run), which
/// may not: whatever is refused changes nothing.
///
/// ```
/// use thalweg::optim::{Optimiser, State, lion, sgd};
/// fn descend<C: Optimiser>(config: &C) -> Result<f64, thalweg::Error> {
///     let mut state = State::new(vec![0.0; config.memory_len(1)]);
///     let mut x = [1.0];
///     config.step(&mut state, &mut x, &[2.0])?;
///     Ok(x[0])
/// }
/// assert_eq!(descend(&sgd::Config::new(0.25)), Ok(0.5));
/// assert_eq!(descend(&lion::Config { weight_decay: 0.0, ..lion::Config::new(0.25) }), Ok(0.75));
/// ```
pub trait Optimiser: Copy + PartialEq + fmt::Debug {
    /// Kind of a saved state.
    const KIND: [u8; 4];

    /// The scalars of one step.
    type Prepared<T: Real>: Copy + fmt::Debug + Send + Sync;

    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    fn validate(&self) -> Result<(), Error>;

    /// Checks that the algorithm has a step for these layers.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    #[inline]
    fn check_layers(&self, layers: &[Layer]) -> Result<(), Error> {
        let _ = layers;
        Ok(())
    }

    /// Lengths of the buffers for these layers; 0 for one that is not kept.
    fn lengths(&self, layers: &[Layer]) -> [usize; BUFFERS];

    /// Least length of the workspace that a step on these layers needs.
    #[inline]
    fn workspace_len(&self, layers: &[Layer]) -> usize {
        let _ = layers;
        0
    }

    /// The scalars of the step that follows `steps` steps, under a valid config.
    ///
    /// # Errors
    /// [`Error::Parameter`] for a number that the scalar type cannot hold, or a form that has no buffers of this precision.
    fn prepare<T: Real>(
        &self,
        steps: u64,
        precision: Precision,
    ) -> Result<Self::Prepared<T>, Error>;

    /// Advances parameters and buffers, whose lengths are those of the layers.
    fn run<T: Real>(
        prepared: &Self::Prepared<T>,
        layers: &[Layer],
        memory: Memory<'_, T>,
        params: &mut [T],
        grad: &[T],
    );

    /// [`prepare`](Self::prepare) and [`run`](Self::run) for buffers in the scalar type.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare); nothing is changed then.
    #[inline]
    fn prepare_and_run<T: Real>(
        &self,
        (layers, steps): (&[Layer], u64),
        memory: Memory<'_, T>,
        params: &mut [T],
        grad: &[T],
    ) -> Result<(), Error> {
        let prepared = self.prepare::<T>(steps, Precision::Scalar)?;
        Self::run(&prepared, layers, memory, params, grad);
        Ok(())
    }

    /// Elements of a state for `n` parameters of no shape; what `state_len` of a config is in a `const`.
    fn memory_len(&self, n: usize) -> usize {
        self.layers_memory_len(&[Layer::Vector(n)])
    }

    /// Elements of a state for these layers.
    fn layers_memory_len(&self, layers: &[Layer]) -> usize {
        total(self.lengths(layers))
    }

    /// One step of descent on `params` along `grad`.
    ///
    /// # Errors
    /// [`Error::Length`] when `grad` or the memory of the state does not fit `params`, or the workspace is too short; [`Error::Parameter`] when
    /// the config is not valid. Nothing is changed then.
    #[inline]
    fn step<T: Real, B: Storage<Elem = T>, W: Workspace<T>>(
        &self,
        state: &mut State<Self, B, W>,
        params: &mut [T],
        grad: &[T],
    ) -> Result<(), Error> {
        self.step_layers(&[Layer::Vector(params.len())], state, params, grad)
    }

    /// [`step`](Self::step) on layers that lie one behind the other.
    ///
    /// # Errors
    /// As [`step`](Self::step), and [`Error::Length`] when `params` does not have the length of the layers.
    #[inline]
    fn step_layers<T: Real, B: Storage<Elem = T>, W: Workspace<T>>(
        &self,
        layers: &[Layer],
        state: &mut State<Self, B, W>,
        params: &mut [T],
        grad: &[T],
    ) -> Result<(), Error> {
        let steps = state.steps;
        let memory = state.parts(self, layers)?;
        take_step(self, (layers, steps), memory, params, grad)?;
        state.steps = steps.saturating_add(1);
        Ok(())
    }

    /// The step that follows `steps` steps, on memory that lies anywhere: that of another language, parts of larger buffers.
    ///
    /// # Errors
    /// As [`step_layers`](Self::step_layers).
    ///
    /// ```
    /// use thalweg::optim::{Layer, Memory, Optimiser, sgd};
    /// let (mut x, mut buffer) = ([1.0_f64], [4.0]); // one gradient of 4 came before
    /// let config = sgd::Config { momentum: 0.5, ..sgd::Config::new(0.25) };
    /// let memory = Memory::new([&mut buffer, &mut [], &mut []]);
    /// config.advance(&[Layer::Vector(1)], 1, memory, &mut x, &[2.0])?;
    /// assert_eq!((x, buffer), ([0.0], [4.0])); // 1 - 0.25 (0.5 * 4 + 2)
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    fn advance<T: Real>(
        &self,
        layers: &[Layer],
        steps: u64,
        memory: Memory<'_, T>,
        params: &mut [T],
        grad: &[T],
    ) -> Result<(), Error> {
        for (buffer, expected) in memory.buffers.iter().zip(self.lengths(layers)) {
            check_length("buffer", expected, buffer.len())?;
        }
        take_step(self, (layers, steps), memory, params, grad)
    }
}

/// The step that follows `steps` steps, on buffers whose lengths are those of the layers.
#[inline]
fn take_step<C: Optimiser, T: Real>(
    config: &C,
    (layers, steps): (&[Layer], u64),
    memory: Memory<'_, T>,
    params: &mut [T],
    grad: &[T],
) -> Result<(), Error> {
    config.validate()?;
    config.check_layers(layers)?;
    check_length("params", params_len(layers), params.len())?;
    check_length("grad", params.len(), grad.len())?;
    let least = config.workspace_len(layers);
    check_scratch("workspace", least, memory.workspace.len())?;
    config.prepare_and_run((layers, steps), memory, params, grad)
}

/// Where the scalars of a step come from. A loop that works them out itself has them in registers: one that reads them from memory, just
/// written by its caller, waits 10 ns for them.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Scalars<'a, C, P> {
    /// Those of the step that follows so many.
    Config(&'a C, u64),
    /// Worked out before, for several slices.
    Prepared(&'a P),
}

impl<C, P: Copy> Scalars<'_, C, P> {
    #[inline(always)]
    pub(super) fn prepared(
        self,
        new: impl FnOnce(&C, u64, Precision) -> Result<P, Error>,
    ) -> Result<P, Error> {
        match self {
            Self::Config(config, steps) => new(config, steps, Precision::Scalar),
            Self::Prepared(prepared) => Ok(*prepared),
        }
    }
}

/// An optimiser whose step treats each parameter by itself.
///
/// Any division of the parameters, each part with its own buffers, has the bits of one step on all: what threads and
/// [`bf16`](super::bf16) need.
pub trait Elementwise: Optimiser {}

/// Implements [`Optimiser`] for the `Config` of an elementwise algorithm: its kind, and its line in `optim::Kernels`.
///
/// The file has `Config::validate`, `Config::buffers`, `Prepared::new(&config, steps, precision)`.
macro_rules! elementwise {
    ($kind:literal, $kernel:ident) => {
        impl $crate::optim::Optimiser for Config {
            const KIND: [u8; 4] = *$kind;
            type Prepared<T: Real> = Prepared<T>;

            #[inline]
            fn validate(&self) -> Result<(), Error> {
                Self::validate(self)
            }

            #[inline]
            fn lengths(
                &self,
                layers: &[$crate::optim::Layer],
            ) -> [usize; $crate::optim::optimiser::BUFFERS] {
                self.buffers($crate::optim::params_len(layers))
            }

            #[inline]
            fn prepare<T: Real>(
                &self,
                steps: u64,
                precision: $crate::optim::Precision,
            ) -> Result<Prepared<T>, Error> {
                Prepared::new(self, steps, precision)
            }

            #[inline]
            fn run<T: Real>(
                prepared: &Prepared<T>,
                _: &[$crate::optim::Layer],
                memory: $crate::optim::Memory<'_, T>,
                params: &mut [T],
                grad: &[T],
            ) {
                let scalars = $crate::optim::optimiser::Scalars::Prepared(prepared);
                let done = <T::Kernels as $crate::optim::Kernels<T>>::$kernel(
                    scalars,
                    memory.buffers,
                    params,
                    grad,
                );
                debug_assert!(done.is_ok(), "scalars that were worked out before");
            }

            #[inline]
            fn prepare_and_run<T: Real>(
                &self,
                (_, steps): (&[$crate::optim::Layer], u64),
                memory: $crate::optim::Memory<'_, T>,
                params: &mut [T],
                grad: &[T],
            ) -> Result<(), Error> {
                let scalars = $crate::optim::optimiser::Scalars::Config(self, steps);
                <T::Kernels as $crate::optim::Kernels<T>>::$kernel(
                    scalars,
                    memory.buffers,
                    params,
                    grad,
                )
            }
        }

        impl $crate::optim::Elementwise for Config {}

        impl Config {
            /// Elements of a state for `n` parameters.
            #[must_use]
            pub const fn state_len(&self, n: usize) -> usize {
                $crate::optim::optimiser::total(self.buffers(n))
            }
        }
    };
}
pub(super) use elementwise;

/// The memory of an optimiser, its buffers one behind the other, and the count of steps.
///
/// `C` is the config, which states the length: in a `const` by `state_len`, else by [`Optimiser::memory_len`]. `W` is the workspace of optimisers that
/// need one ([`with_workspace`](Self::with_workspace)); it is no part of what is saved.
///
/// ```
/// use thalweg::optim::{Optimiser, State, adam};
/// const CONFIG: adam::Config = adam::Config::adamw();
/// static EMPTY: State<adam::Config, [f32; CONFIG.state_len(8)]> = State::new([0.0; _]);
/// let mut state = EMPTY;
/// CONFIG.step(&mut state, &mut [1.0; 8], &[0.5; 8])?;
/// assert_eq!((state.steps(), state.memory().len()), (1, 16));
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct State<C, B, W = ()> {
    memory: B,
    workspace: W,
    steps: u64,
    config: PhantomData<fn() -> C>,
}

/// Two states are equal when their steps and buffers are: a workspace holds nothing that lasts.
impl<C, B: PartialEq, W> PartialEq for State<C, B, W> {
    fn eq(&self, other: &Self) -> bool {
        self.steps == other.steps && self.memory == other.memory
    }
}

impl<C, B> State<C, B> {
    /// A state before its first step; `memory` is all zeros.
    #[must_use]
    pub const fn new(memory: B) -> Self {
        Self::resume(memory, 0)
    }

    /// A state over memory that holds one already, with its count of steps: nothing is cleared.
    ///
    /// ```
    /// use thalweg::optim::{Optimiser, State, adagrad};
    /// let (mut x, mut sum) = ([1.0_f64], [16.0]); // one gradient of 4 came before
    /// let mut state = State::resume(&mut sum[..], 1);
    /// let config = adagrad::Config { learning_rate: 0.5, eps: 0.0, ..Default::default() };
    /// config.step(&mut state, &mut x, &[3.0])?;
    /// assert_eq!((x, state.steps()), ([1.0 - 0.5 * 3.0 / 5.0], 2)); // the root of 16 + 9
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub const fn resume(memory: B, steps: u64) -> Self {
        Self {
            memory,
            workspace: (),
            steps,
            config: PhantomData,
        }
    }

    /// The state with a workspace of at least [`Optimiser::workspace_len`] elements, which several states may lend one another.
    ///
    /// ```
    /// use thalweg::optim::{Layer, Optimiser, State, muon};
    /// const LAYERS: [Layer; 1] = [Layer::Matrix { rows: 2, columns: 3 }];
    /// const CONFIG: muon::Config = muon::Config::new(0.02);
    /// let mut state = State::new([0.0; CONFIG.layers_len(&LAYERS)])
    ///     .with_workspace([0.0; CONFIG.workspace_len(&LAYERS)]);
    /// CONFIG.step_layers(&LAYERS, &mut state, &mut [1.0; 6], &[0.5; 6])?;
    /// assert_eq!(state.memory().len(), 6);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    #[must_use]
    pub fn with_workspace<W>(self, workspace: W) -> State<C, B, W> {
        State {
            memory: self.memory,
            workspace,
            steps: self.steps,
            config: self.config,
        }
    }
}

impl<C, B, W> State<C, B, W> {
    /// Steps taken.
    #[must_use]
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Counts a step that has been taken.
    pub(super) const fn count(&mut self) {
        self.steps = self.steps.saturating_add(1);
    }
}

impl<C, B: Storage<Elem: Stored>> State<C, B> {
    /// A state in memory that is passed in; its contents are set to zero.
    ///
    /// ```
    /// use thalweg::optim::{State, lion};
    /// let mut used = [7.0_f32; 4];
    /// assert_eq!(State::<lion::Config, _>::new_in(&mut used[..]).memory(), [0.0; 4]);
    /// ```
    #[must_use]
    pub fn new_in(memory: B) -> Self {
        let mut state = Self::new(memory);
        state.reset();
        state
    }
}

impl<C, B: Storage<Elem: Stored>, W> State<C, B, W> {
    /// Forgets the past.
    pub fn reset(&mut self) {
        self.memory.as_mut_slice().fill(B::Elem::ZEROED);
        self.steps = 0;
    }

    /// The buffers, one behind the other; the `buffers` of a config names them.
    pub fn memory(&self) -> &[B::Elem] {
        self.memory.as_slice()
    }

    /// The buffers that the config keeps, and the workspace.
    #[inline]
    fn parts(&mut self, config: &C, layers: &[Layer]) -> Result<Memory<'_, B::Elem>, Error>
    where
        C: Optimiser,
        W: Workspace<B::Elem>,
    {
        let (lengths, memory) = (config.lengths(layers), self.memory.as_mut_slice());
        check_length("state", total(lengths), memory.len())?;
        Ok(Memory {
            buffers: cut(memory, lengths)?.0,
            workspace: self.workspace.as_mut_slice(),
        })
    }

    /// The buffers that the config keeps.
    #[inline]
    pub(super) fn buffers(
        &mut self,
        config: &C,
        layers: &[Layer],
    ) -> Result<[&mut [B::Elem]; BUFFERS], Error>
    where
        C: Optimiser,
    {
        let (lengths, memory) = (config.lengths(layers), self.memory.as_mut_slice());
        check_length("state", total(lengths), memory.len())?;
        Ok(cut(memory, lengths)?.0)
    }

    fn fields(&self) -> [Field; 2] {
        [Field::U64, B::Elem::field(self.memory().len())]
    }
}

impl<C: Optimiser, B: Storage<Elem: Stored>, W> Snapshot for State<C, B, W> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, C::KIND, 2)?;
        writer.u64(self.steps)?;
        B::Elem::write(&mut writer, self.memory())?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, C::KIND, 2, &self.fields())?;
        self.steps = reader.u64()?;
        B::Elem::read(&mut reader, self.memory.as_mut_slice())?;
        reader.finish()
    }
}

#[cfg(test)]
pub(super) mod tests;
