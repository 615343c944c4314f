//! Stochastic gradient descent with fresh noise on the labels.
//!
//! Once every sample is fitted plain descent stops. With a random sign added to the label of each step it goes on: on the
//! slow clock `t = k eta^2` the parameters move along the set of exact fits towards those with a small trace of the
//! Hessian. In the sparse model that trace is a weighted 1-norm, and a sparse vector is found from few samples out of *any*
//! initialisation.
//!
//! ```text
//! i uniform in 0..n,  e = +-delta         drawn anew in each step
//! r = <z_i, u u - v v> - y_i + e
//! u_j <- u_j - 2 eta r z_ij u_j
//! v_j <- v_j + 2 eta r z_ij v_j           both from the old u, v
//! ```
//!
//! This is `x - (eta / 2) grad (f_i - y_i + e)^2`; products are elementwise.
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | u, v | parameters; the prediction is `f = Z w` with `w = u u - v v` | d each |
//! | Z, y | data ([`Sparse`]) | n x d, n |
//! | eta, delta | [`Config`] | scalars |
//!
//! Exactly, but for rounding: `u_j v_j` is multiplied by `1 - (2 eta r z_ij)^2` in each step; `2 eta |r z_ij| >= 1` would turn
//! a sign, and is refused. A coordinate that starts at zero stays zero. At finite `eta` the residual has `E r^2 =
//! delta^2 (1 + O(eta tr H))`, and `w` jitters: end with steps of no noise ([`Config::cool`]).
//!
//! Stability asks for `eta < 1 / (2 sum_j z_ij^2 (u_j^2 + v_j^2))`: about `1 / (4 d)` for standard normal data and
//! `u = v = 1`. Cost of a step: `11 d` flops in two passes, no scratch.
//!
//! [`run_objective`] does the same on any [`Objective`](crate::model::Objective) with a squared loss; [`descend`] is
//! the baseline, full gradients without noise.
//!
//! Reference: Li, Wang and Arora, *What happens after SGD reaches zero loss? A mathematical framework* (ICLR 2022,
//! arXiv 2110.06914), section 6. There the loss has another factor; constants here are those of the recurrence above.

use rand_core::Rng;

use crate::error::{check, check_length, ensure_finite_at};
use crate::memory::{front, must};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::storage::Fixed;
use crate::{At, Error, Real, Storage, random, vector};

mod objective;
mod sparse;

pub use objective::{Fit, Scratch, run_objective};
pub(crate) use sparse::SparseKernels;
pub use sparse::{Sparse, check_interpolates_scratch_len};

/// Step and noise; [`Config::new`] sets the noise to 1.
///
/// ```
/// use thalweg::dynamics::label_noise::Config;
/// let config = Config::new(1e-3);
/// assert_eq!((config.noise, config.cool().noise), (1.0, 0.0));
/// // 2.5e6 steps of 1e-3 are 2.5 units of slow time.
/// assert_eq!(config.steps(2.5), 2_500_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Step size eta; finite and positive.
    pub learning_rate: f64,
    /// Size delta of the noise on a label; finite. The law is symmetric: a negative size mirrors each draw.
    pub noise: f64,
}

impl Config {
    /// Noise of size 1.
    ///
    /// ```
    /// assert_eq!(thalweg::dynamics::label_noise::Config::new(0.01).noise, 1.0);
    /// ```
    pub const fn new(learning_rate: f64) -> Self {
        Self {
            learning_rate,
            noise: 1.0,
        }
    }

    /// The same steps without noise: what takes the jitter away at the end.
    ///
    /// ```
    /// assert_eq!(thalweg::dynamics::label_noise::Config::new(0.01).cool().learning_rate, 0.01);
    /// ```
    #[must_use]
    pub const fn cool(self) -> Self {
        Self { noise: 0.0, ..self }
    }

    /// Steps that reach the slow time `t`: `t / eta^2`, rounded.
    ///
    /// ```
    /// assert_eq!(thalweg::dynamics::label_noise::Config::new(0.5).steps(3.0), 12);
    /// ```
    pub fn steps(&self, t: f64) -> u64 {
        // A float converts with saturation; NaN gives 0.
        libm::round(t / (self.learning_rate * self.learning_rate)) as u64
    }

    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// assert!(thalweg::dynamics::label_noise::Config::new(0.0).validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check(
            "learning_rate",
            self.learning_rate.is_finite() && self.learning_rate > 0.0,
            "must be finite and positive",
        )?;
        check("noise", self.noise.is_finite(), "must be finite")
    }
}

/// Numbers of a state of the sparse model in `d` dimensions: `u`, then `v`.
///
/// ```
/// assert_eq!(thalweg::dynamics::label_noise::state_len(100), 200);
/// ```
pub const fn state_len(d: usize) -> usize {
    d.saturating_mul(2)
}

/// The parameters and the number of steps they have taken.
///
/// ```
/// use thalweg::dynamics::label_noise::State;
/// let state = State::<[f32; 4]>::uniform([0.0; 4], 0.5);
/// assert_eq!((state.u(), state.v()), (&[0.5, 0.5][..], &[0.5, 0.5][..]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State<B> {
    params: B,
    steps: u64,
}

impl<B: Storage> State<B> {
    /// Zeros, which no step moves: a place to restore into.
    pub const fn new() -> Self
    where
        B: Fixed,
    {
        Self {
            params: B::ZERO,
            steps: 0,
        }
    }

    /// Starts from the parameters in `params`.
    ///
    /// ```
    /// let state = thalweg::dynamics::label_noise::State::from_params([1.0, 2.0]);
    /// assert_eq!((state.u(), state.v()), (&[1.0][..], &[2.0][..]));
    /// ```
    pub const fn from_params(params: B) -> Self {
        Self { params, steps: 0 }
    }

    /// Starts from `alpha` in every place of the storage.
    ///
    /// ```
    /// let state = thalweg::dynamics::label_noise::State::uniform([0.0_f64; 2], 1.0);
    /// assert_eq!(state.params(), [1.0, 1.0]);
    /// ```
    pub fn uniform(mut params: B, alpha: B::Elem) -> Self
    where
        B::Elem: Copy,
    {
        params.as_mut_slice().fill(alpha);
        Self::from_params(params)
    }

    /// All parameters.
    pub fn params(&self) -> &[B::Elem] {
        self.params.as_slice()
    }

    /// The first half of the parameters.
    pub fn u(&self) -> &[B::Elem] {
        halves(self.params()).0
    }

    /// The second half of the parameters.
    pub fn v(&self) -> &[B::Elem] {
        halves(self.params()).1
    }

    /// Steps taken.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// Refuses a quantity of the next step that is not finite.
    fn ensure_finite(&self, name: &'static str, is_finite: bool) -> Result<(), Error> {
        ensure_finite_at(name, is_finite, At::Step(self.steps))
    }

    /// The error of a next step that would turn the sign of a coordinate.
    const fn unstable(&self) -> Error {
        Error::Unstable {
            name: "learning_rate",
            step: self.steps,
        }
    }
}

impl<B: Fixed> Default for State<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Real, B: Storage<Elem = T>> State<B> {
    fn fields(&self) -> [Field; 2] {
        [Field::U64, Field::reals::<T>(self.params().len())]
    }
}

impl<T: Real, B: Storage<Elem = T>> Snapshot for State<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"LNSG", 1)?;
        writer.u64(self.steps)?;
        writer.slice(self.params())?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"LNSG", 1, &self.fields())?;
        self.steps = reader.u64()?;
        reader.slice_into(self.params.as_mut_slice())?;
        reader.finish()
    }
}

/// `u` and `v`.
pub(super) fn halves<T>(params: &[T]) -> (&[T], &[T]) {
    must(params.split_at_checked(params.len() / 2))
}

/// One step on a sample and a sign drawn from `rng`; returns its noisy residual `r`.
///
/// # Errors
/// As [`run`].
///
/// ```
/// use thalweg::dynamics::label_noise::{self, Config, Sparse, State};
/// use thalweg::matrix::MatrixRef;
/// use thalweg::random::{self, Purpose};
/// let problem = Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[0.0])?;
/// let mut state = State::from_params([1.0, 1.0]);
/// let config = Config { noise: 0.5, ..Config::new(0.25) };
/// let mut rng = random::stream(1, 0, 0, Purpose::NOISE);
/// let r = label_noise::step(&config, &problem, &mut state, &mut rng)?;
/// assert_eq!(r.abs(), 0.5);
/// // 1 -+ 2/4 * 1/2
/// assert_eq!(state.u()[0], 1.0 - r / 2.0);
/// assert_eq!(state.u()[0] * state.v()[0], 0.9375);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    problem: &Sparse<'_, T>,
    state: &mut State<B>,
    rng: &mut impl Rng,
) -> Result<T, Error> {
    let rates = Rates::new(config)?;
    check_length(
        "state.params",
        state_len(problem.dim()),
        state.params().len(),
    )?;
    problem.check_fits()?;
    rates.step(problem, state, rng)
}

/// `steps` steps; returns the mean of the squared noisy residuals, `delta^2 (1 + O(eta tr H))` on the exact fits.
///
/// Two draws a step, the sample ([`random::below_usize`]) and the sign ([`random::rademacher`]), with or without
/// noise. The bits are those of as many calls of [`step`].
///
/// # Errors
/// [`Error::Parameter`] and [`Error::Length`] for wrong arguments, and for more samples than dimensions unless
/// [`Sparse::interpolating`] has found an exact fit; nothing is changed then. [`Error::NonFinite`] names the step whose
/// residual is NaN or infinite, [`Error::Unstable`] the one that would turn the sign of a coordinate; the state then
/// holds the parameters before that step.
///
/// ```
/// use thalweg::dynamics::label_noise::{self, Config, Sparse, State};
/// use thalweg::matrix::MatrixRef;
/// use thalweg::random::{self, Purpose};
/// // Exact fits are w_1 + w_2 / 2 = 1.
/// let problem = Sparse::new(MatrixRef::new(&[1.0_f64, 0.5], 1, 2)?, &[1.0])?;
/// let mut state = State::uniform([0.0; 4], 1.0);
/// let mut rng = random::stream(1, 0, 0, Purpose::NOISE);
/// let config = Config::new(0.02);
/// label_noise::run(&config, &problem, &mut state, config.steps(20.0), &mut rng)?;
/// label_noise::run(&config.cool(), &problem, &mut state, 1000, &mut rng)?;
/// let mut w = [0.0; 2];
/// problem.signal_into(state.params(), &mut w)?;
/// assert!((w[0] + w[1] / 2.0 - 1.0).abs() < 1e-12);
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn run<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    problem: &Sparse<'_, T>,
    state: &mut State<B>,
    steps: u64,
    rng: &mut impl Rng,
) -> Result<f64, Error> {
    let rates = Rates::new(config)?;
    check_length(
        "state.params",
        state_len(problem.dim()),
        state.params().len(),
    )?;
    problem.check_fits()?;
    let mut squares = 0.0;
    for _ in 0..steps {
        let r = rates.step(problem, state, rng)?.to_f64();
        squares += r * r;
    }
    // At least one, so that no steps give 0.
    Ok(squares / steps.max(1) as f64)
}

/// One step of gradient descent on the loss of [`Sparse`], no noise: `u -= 2 eta g u`, `v += 2 eta g v` with
/// `g = Z^T (Z w - y) / n`; returns the loss before the step.
///
/// # Errors
/// As [`run`]; [`Error::Length`] also when `scratch` is shorter than `d`.
///
/// ```
/// use thalweg::dynamics::label_noise::{self, Config, Sparse, State};
/// use thalweg::matrix::MatrixRef;
/// let problem = Sparse::new(MatrixRef::new(&[1.0_f64], 1, 1)?, &[1.0])?;
/// let mut state = State::from_params([1.0, 1.0]);
/// let loss = label_noise::descend(&Config::new(0.125), &problem, &mut state, &mut [0.0])?;
/// assert_eq!((loss, state.params()), (0.5, &[1.25, 0.75][..]));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn descend<T: Real, B: Storage<Elem = T>>(
    config: &Config,
    problem: &Sparse<'_, T>,
    state: &mut State<B>,
    scratch: &mut [T],
) -> Result<f64, Error> {
    let rates = Rates::<T>::new(config)?;
    let d = problem.dim();
    check_length("state.params", state_len(d), state.params().len())?;
    let g = front("scratch", scratch, d)?;
    let loss = problem.slope_into(state.params(), g);
    state.ensure_finite("residual", loss.is_finite())?;
    // A slope may overflow where the residuals do not; NaN is inf - inf.
    if vector::first_non_finite(g).is_some() || vector::norm_inf(g) * rates.twice >= T::ONE {
        return Err(state.unstable());
    }
    sparse::turn(rates.twice, g, state.params.as_mut_slice());
    state.steps = state.steps.saturating_add(1);
    Ok(loss)
}

/// The scalars of a valid config.
#[derive(Clone, Copy)]
struct Rates<T> {
    /// `2 eta`.
    twice: T,
    noise: T,
}

impl<T: Real> Rates<T> {
    fn new(config: &Config) -> Result<Self, Error> {
        config.validate()?;
        let rates = Self {
            twice: T::from_f64(2.0 * config.learning_rate),
            noise: T::from_f64(config.noise),
        };
        check(
            "learning_rate",
            rates.twice.is_finite() && rates.twice > T::ZERO,
            "must be finite and positive in the type of the parameters",
        )?;
        check(
            "noise",
            rates.noise.is_finite(),
            "must be finite in the type of the parameters",
        )?;
        Ok(rates)
    }

    #[inline]
    fn step<B: Storage<Elem = T>>(
        &self,
        problem: &Sparse<'_, T>,
        state: &mut State<B>,
        rng: &mut impl Rng,
    ) -> Result<T, Error> {
        let i = random::below_usize(rng, problem.samples());
        let e = random::rademacher::<T>(rng) * self.noise;
        self.advance(problem, state, i, e)
    }

    /// The step of sample `i` with noise `e`.
    #[inline]
    fn advance<B: Storage<Elem = T>>(
        &self,
        problem: &Sparse<'_, T>,
        state: &mut State<B>,
        i: usize,
        e: T,
    ) -> Result<T, Error> {
        let (row, residual) = problem.residual(i, state.params());
        let r = residual + e;
        state.ensure_finite("residual", r.is_finite())?;
        let c = self.twice * r;
        // The largest number of the data decides the common case; the row itself the rest. An infinite c turns signs, or makes NaN of
        // a row of zeros.
        let turns = |size: T| !c.is_finite() || c.abs() * size >= T::ONE;
        if turns(problem.largest()) && turns(vector::norm_inf(row)) {
            return Err(state.unstable());
        }
        sparse::turn(c, row, state.params.as_mut_slice());
        state.steps = state.steps.saturating_add(1);
        Ok(r)
    }
}

#[cfg(test)]
mod tests;
