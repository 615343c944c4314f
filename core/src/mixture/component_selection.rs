//! Stochastic component selection: a Markov chain over the label of every row (MHSAEM), and its baselines.
//!
//! Expectation maximisation evaluates every component on every row. Here each row remembers one label and a visit of the row
//! evaluates the proposals alone, so that mixtures of many components are fitted with evaluations whose number does not depend on K.
//!
//! ```text
//! I = B of the rows, without replacement
//! for i in I, from its last label z:                            parameters of the step before, for the whole batch
//!   M times: z' ~ q,  a = beta (l_iz' - l_iz) + ln q(z) - ln q(z'),  z <- z' if ln u <= a;  record z
//! s <- (1 - gamma) s + gamma h      h_k = sum over records with z = k of (1, x, x x^T) / (B M)
//! pi_k = s0_k / sum s0,  mu_k = s1_k / s0_k,  Sigma_k = s2_k / s0_k - mu_k mu_k^T + reg I
//! ```
//!
//! | symbol | meaning | shape |
//! |---|---|---|
//! | l | log joints, `ln pi_k + ln p(x_i / eta_k)` | evaluated one at a time |
//! | z | labels, kept from visit to visit | N |
//! | s0, s1, s2 | statistics about the mean of the data, in `f64` | K, K x D, K x D(D+1)/2 or K x D |
//! | q, M, beta, gamma | [`Proposal`], [`Config::moves`], [`Config::inverse_temperature`], [`StepSize`] | |
//! | u | uniform in (0, 1] | |
//! | n | table of a [`Proposal::Table`], `q = (1 - floor) n / sum n + floor / K` | N x K, `f32` |
//!
//! A refused proposal records the old label again: repetitions are part of the estimate. A proposal that is the label itself is
//! accepted and costs no evaluation. Components that no row has visited keep mean and covariance and lose weight. The decay of all
//! statistics is one factor: `s = c t`, `c <- c (1 - gamma)`, records enter `t` over `c`, so a step costs nothing for the
//! components that it does not visit but a logarithm for the weight.
//!
//! | proposal | name in the literature | evaluations a step |
//! |---|---|---|
//! | [`Proposal::Uniform`] | MHSAEM-U | `B (M + 1)`, less one for each proposal of the label itself; `B M` with [`Current::Cached`] |
//! | [`Proposal::Table`] | MHSAEM-TF | the same |
//! | [`Proposal::Posterior`] | MCSAEM | `B K` |
//! | [`Proposal::All`] | SAEM, stepwise mini-batch EM; no labels are drawn | `B K` |
//!
//! The table of a row forgets: `n <- (1 - rate) n + rate h` after a visit with shares `h` of its records, from ones on. It is read once a visit,
//! for draws and ratios alike. At rates above 0.001 it proposes the labels that a row already has, accepts most, and learns less: the share of
//! accepted proposals is no measure.
//!
//! Cost in addition to evaluations: `B M D^2` flops for the statistics, `2/3 D^3` for each of at most `min(K, B M)` components, `K` logarithms.
//!
//! # When it pays
//! Where many components start alike, exact steps separate them slowly and sampled labels fast. From means at rows of the data, mini-batch
//! EM over all K is better for each evaluation. The second eigenvalue of the chain is `1 - 1/(K max r)`: a row that one component owns takes
//! about K proposals to find it, and the gain comes from learning while it searches. The mean log-likelihood is not monotone.
//!
//! Reference: Papez, Pevny and Smidl, *Fitting large mixture models using stochastic component selection* (arXiv 2110.04776), equation 7,
//! the update in closed form for exponential families. SAEM: Delyon, Lavielle and Moulines (1999); stepwise: Cappe and Moulines, *On-line
//! expectation-maximization algorithm for latent data models* (2009). Differences: the current label is evaluated anew at each visit, as
//! equation 7 asks for, where the published code reuses the value of its last visit ([`Current`]); the step size does not start at 1.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "counts of rows and components that are slices in memory"
)]

use super::em::check_reg;
use super::gaussian::{
    Covariance, Evaluator, Mixture, check_data, check_row, moments_into, row, row_mut,
};
use crate::error::{check, check_length, check_scratch};
use crate::matrix::MatrixRef;
use crate::memory::{cut, must, unreached};
use crate::random::{self, Purpose};
use crate::simd::math;
use crate::{Error, Real, Storage};

mod state;
mod statistics;
mod visit;

pub use state::{Buffers, State, statistics_len};
use statistics::Statistics;
use visit::{Place, Visit};

/// Which labels are proposed.
///
/// ```
/// use thalweg::mixture::component_selection::Proposal;
/// assert_eq!(Proposal::default(), Proposal::Uniform);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Proposal {
    /// Every component alike: MHSAEM-U.
    #[default]
    Uniform,
    /// By a table of what each row has visited: MHSAEM-TF. `K` operations a proposal in addition to the evaluation.
    Table {
        /// How fast the table forgets; in [0, 1). 0.001 or less.
        rate: f64,
        /// Share of uniform proposals, which keeps every label in reach; in (0, 1].
        floor: f64,
    },
    /// By their responsibilities, which are never refused: MCSAEM.
    Posterior,
    /// None: responsibilities take the place of records, and labels stay as they are (SAEM).
    All,
}

/// The log joint of the label that a chain stands on.
///
/// ```
/// use thalweg::mixture::component_selection::Current;
/// assert_eq!(Current::default(), Current::Fresh);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Current {
    /// Evaluated at each visit, with the parameters that proposals are evaluated with.
    #[default]
    Fresh,
    /// The value of the last visit, with the parameters of then: one evaluation less, and not a Metropolis-Hastings step any more.
    Cached,
}

/// Step size gamma of the statistics.
///
/// ```
/// use thalweg::mixture::component_selection::StepSize;
/// assert_eq!(StepSize::Constant(0.05).at(7), 0.05);
/// // (14 + 2)^(-1/2)... with the exponent 0.75: 16^(-3/4) = 1/8.
/// assert!((StepSize::RobbinsMonro { offset: 2.0, exponent: 0.75 }.at(14) - 0.125).abs() < 1e-15);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum StepSize {
    /// The same in every step; in (0, 1].
    Constant(f64),
    /// `(t + offset)^-exponent` in step `t`, from 0: sums to infinity, squares do not.
    RobbinsMonro {
        /// At least 1.
        offset: f64,
        /// In (1/2, 1].
        exponent: f64,
    },
}

impl StepSize {
    /// The size of step `t`, the first being 0.
    ///
    /// ```
    /// use thalweg::mixture::component_selection::StepSize;
    /// assert_eq!(StepSize::RobbinsMonro { offset: 1.0, exponent: 1.0 }.at(0), 1.0);
    /// ```
    pub fn at(&self, t: u64) -> f64 {
        match *self {
            Self::Constant(gamma) => gamma,
            Self::RobbinsMonro { offset, exponent } => {
                // At least 1, so the logarithm is not negative.
                math::scalar::exp(-exponent * math::scalar::ln(t as f64 + offset))
            }
        }
    }

    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`].
    ///
    /// ```
    /// use thalweg::mixture::component_selection::StepSize;
    /// assert!(StepSize::Constant(0.0).validate().is_err());
    /// assert!(StepSize::RobbinsMonro { offset: 2.0, exponent: 0.5 }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        match *self {
            Self::Constant(gamma) => check(
                "step_size",
                gamma > 0.0 && gamma <= 1.0,
                "must be in (0, 1]",
            ),
            Self::RobbinsMonro { offset, exponent } => {
                let start = offset >= 1.0 && offset.is_finite();
                check("offset", start, "must be finite and at least 1")?;
                let decay = exponent > 0.5 && exponent <= 1.0;
                check("exponent", decay, "must be in (1/2, 1]")
            }
        }
    }
}

/// Inverse temperature of step `t` of `total`: from 0.1 up to 1.2 at two thirds, then down to 1, in straight lines.
///
/// Reference: Naim and Gildea, *Convergence of the EM algorithm for Gaussian mixtures with unbalanced mixing coefficients* (2012), for
/// anti-annealing; the figures are those of the reference of the [module](self), the lines are ours.
///
/// ```
/// use thalweg::mixture::component_selection::anti_annealing;
/// assert_eq!([0, 200, 300, 400].map(|t| anti_annealing(t, 300)), [0.1, 1.2, 1.0, 1.0]);
/// ```
#[must_use]
pub fn anti_annealing(t: u64, total: u64) -> f64 {
    if t >= total {
        return 1.0;
    }
    let (t, top) = (t as f64, total as f64 * 2.0 / 3.0);
    if t < top {
        0.1 + 1.1 * (t / top)
    } else {
        // Before the end, so that what divides is positive.
        1.2 - 0.2 * ((t - top) / (total as f64 - top))
    }
}

/// Hyperparameters; [`Config::new`] sets all but the seed.
///
/// ```
/// use thalweg::mixture::component_selection::{Config, StepSize};
/// let config = Config { step_size: StepSize::Constant(0.02), ..Config::new(7) };
/// assert_eq!((config.batch_size, config.moves, config.inverse_temperature), (200, 2, 1.0));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Seed of all draws: batches, proposals, acceptance.
    pub seed: u64,
    /// Rows B of a batch; at least 1, at most the rows of the data.
    pub batch_size: usize,
    /// Proposals M to each row of a batch; at least 1.
    pub moves: usize,
    /// Step size gamma of the statistics.
    pub step_size: StepSize,
    /// Inverse temperature beta of the chains and responsibilities; finite and positive. [`anti_annealing`] is a schedule.
    pub inverse_temperature: f64,
    /// Added to the variances; finite, at least 0.
    pub reg_covar: f64,
    /// Which labels are proposed.
    pub proposal: Proposal,
    /// The log joint of the label that a chain stands on.
    pub current: Current,
}

impl Config {
    /// Two uniform proposals to each of 200 rows, a constant step size of 0.05, temperature 1, 1e-6 on the variances.
    ///
    /// ```
    /// assert_eq!(thalweg::mixture::component_selection::Config::new(7).reg_covar, 1e-6);
    /// ```
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            batch_size: 200,
            moves: 2,
            step_size: StepSize::Constant(0.05),
            inverse_temperature: 1.0,
            reg_covar: 1e-6,
            proposal: Proposal::Uniform,
            current: Current::Fresh,
        }
    }

    /// Checks the ranges that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first that is out of range.
    ///
    /// ```
    /// use thalweg::mixture::component_selection::Config;
    /// assert!(Config { moves: 0, ..Config::new(7) }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        check("batch_size", self.batch_size > 0, "must be positive")?;
        check("moves", self.moves > 0, "must be positive")?;
        self.step_size.validate()?;
        let beta = self.inverse_temperature;
        let positive = beta > 0.0 && beta.is_finite();
        check(
            "inverse_temperature",
            positive,
            "must be finite and positive",
        )?;
        if let Proposal::Table { rate, floor } = self.proposal {
            check("rate", (0.0..1.0).contains(&rate), "must be in [0, 1)")?;
            check("floor", floor > 0.0 && floor <= 1.0, "must be in (0, 1]")?;
        }
        check_reg(self.reg_covar)
    }

    /// Words of scratch of a step on `k` components: the batch, marks of components, a table of samples.
    ///
    /// ```
    /// use thalweg::mixture::component_selection::Config;
    /// let config = Config { batch_size: 3, ..Config::new(7) };
    /// assert_eq!(config.words_len(5), 3 + 5 + 8);
    /// ```
    #[must_use]
    pub const fn words_len(&self, k: usize) -> usize {
        random::sample_scratch_len(self.batch_size)
            .saturating_add(self.batch_size)
            .saturating_add(k)
    }
}

/// Numbers of scratch of a step, and of [`State::new`]: a row, a number for each component, two triangles.
///
/// ```
/// use thalweg::mixture::{component_selection::scratch_len, gaussian::Covariance};
/// assert_eq!(scratch_len(Covariance::Full, 100, 2), 2 + 100 + 6);
/// ```
#[must_use]
pub const fn scratch_len(covariance: Covariance, k: usize, d: usize) -> usize {
    covariance
        .scratch_len(d)
        .saturating_add(d)
        .saturating_add(k)
}

/// The Metropolis-Hastings acceptance test.
///
/// `ln u <= beta (proposed - current) + log_ratio`, with `u` in (0, 1] and `log_ratio = ln q(current) - ln q(proposed)`. An impossible
/// proposal, -inf or NaN, is never accepted; from an impossible label every possible one is.
///
/// ```
/// use thalweg::mixture::component_selection::accepts;
/// assert!(accepts(-3.0, -2.0, 1.0, 0.0, 1.0)); // uphill
/// assert!(accepts(-2.0, -3.0, 1.0, 0.0, 0.36) && !accepts(-2.0, -3.0, 1.0, 0.0, 0.37)); // 1/e
/// assert!(accepts(f64::NEG_INFINITY, -9e9, 1.0, 0.0, 1.0));
/// assert!(!accepts(f64::NEG_INFINITY, f64::NEG_INFINITY, 1.0, 0.0, 1e-16));
/// assert!(!accepts(-2.0, f64::NAN, 1.0, 0.0, 1e-16));
/// ```
#[must_use]
pub fn accepts(current: f64, proposed: f64, beta: f64, log_ratio: f64, u: f64) -> bool {
    if proposed.is_nan() || proposed == f64::NEG_INFINITY {
        return false;
    }
    if current.is_nan() || current == f64::NEG_INFINITY {
        return true;
    }
    let a = beta * (proposed - current) + log_ratio;
    // u is positive; most proposals uphill need no logarithm.
    a >= 0.0 || math::scalar::ln(u) <= a
}

/// What a step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Proposals accepted, those of the label itself included; of `B M`. 0 where nothing is proposed.
    pub accepted: u64,
    /// Proposals of the label itself, which cost no evaluation.
    pub repeated: u64,
    /// Likelihoods evaluated.
    pub evaluations: u64,
    /// Components that kept their covariance, because the one of their statistics was not positive definite.
    pub kept: usize,
}

/// One visit of a batch: every chain moves M times, then the visited components are set from the statistics.
///
/// `words` has [`Config::words_len`] words, `scratch` [`scratch_len`] numbers. The draws of a row are those of the stream (seed, step, row,
/// [`Purpose::COMPONENT`]): they depend neither on the other rows of the batch nor on what ran before.
///
/// # Errors
/// [`Error::Parameter`] for a config out of range, a batch larger than the data, or a label that is no component; [`Error::Length`];
/// [`Error::NonFinite`] with the row of the batch that is not finite. State and mixture are as before. Statistics that are not finite are no
/// error: the components that they reach keep mean and covariance.
///
/// ```
/// use thalweg::matrix::MatrixRef;
/// use thalweg::mixture::{component_selection::*, gaussian::*};
/// // One component, the whole data, step size 1: maximum likelihood.
/// let mut mixture = Mixture::new(Covariance::Full, 1, 1, [0.0_f64; 4])?;
/// let data = MatrixRef::new(&[1.0, 3.0, 5.0], 3, 1)?;
/// let mut scratch = [0.0; scratch_len(Covariance::Full, 1, 1)];
/// let statistics = [0.0; statistics_len(Covariance::Full, 1, 1)];
/// let buffers = Buffers { labels: [0; 3], statistics, cache: [], table: [] };
/// let mut state = State::new(&mixture.view(), data, 7, buffers, &mut scratch)?;
/// let config = Config { batch_size: 3, step_size: StepSize::Constant(1.0), reg_covar: 0.0, ..Config::new(7) };
/// let found = step(&config, &mut mixture, &mut state, data, &mut [0; 12], &mut scratch)?;
/// assert!((mixture.view().means()[0] - 3.0).abs() < 1e-15);
/// assert!((mixture.view().factors()[0] - (3.0_f64 / 8.0).sqrt()).abs() < 1e-15);
/// // All proposals are the label itself: only the current one is evaluated.
/// assert_eq!((found.accepted, found.evaluations), (6, 3));
/// # Ok::<(), thalweg::Error>(())
/// ```
pub fn step<T, B, L, S, C, Q>(
    config: &Config,
    mixture: &mut Mixture<B>,
    state: &mut State<L, S, C, Q>,
    data: MatrixRef<'_, T>,
    words: &mut [u32],
    scratch: &mut [f64],
) -> Result<Outcome, Error>
where
    T: Real,
    B: Storage<Elem = T>,
    L: Storage<Elem = u32>,
    S: Storage<Elem = f64>,
    C: Storage<Elem = f64>,
    Q: Storage<Elem = f32>,
{
    config.validate()?;
    let view = mixture.view();
    let (shape, k, d, n) = (
        view.covariance(),
        view.components(),
        view.dim(),
        data.rows(),
    );
    check_length("columns of data", d, data.columns())?;
    let fits = config.batch_size <= n;
    check("batch_size", fits, "must be at most the number of rows")?;
    check_scratch("words", config.words_len(k), words.len())?;
    check_scratch("scratch", scratch_len(shape, k, d), scratch.len())?;
    let size = u32::try_from(n).unwrap_or(0);
    check("data", size > 0, "must have a row, and at most 2^32 - 1")?;
    let t = state.steps;
    let labels = state.buffers.labels.as_mut_slice();
    let cache = match config.current {
        Current::Fresh => &mut [],
        Current::Cached => state.buffers.cache.as_mut_slice(),
    };
    // Without a table its rows are empty.
    let (table, width) = match config.proposal {
        Proposal::Table { .. } => (state.buffers.table.as_mut_slice(), k),
        _ => (&mut [][..], 0),
    };
    check_length("state.labels", n, labels.len())?;
    if config.current == Current::Cached {
        check_length("state.cache", n, cache.len())?;
    }
    check_length("state.table", n.saturating_mul(width), table.len())?;
    let scaled = state.factor > 0.0 && state.factor.is_finite();
    check("state.factor", scaled, "must be finite and positive")?;
    let mut statistics = Statistics::new(&view, state.buffers.statistics.as_mut_slice())?;
    let ([batch, visited], room_of_samples) = cut(words, [config.batch_size, k])?;
    let mut draws = random::stream(config.seed, t, 0, Purpose::BATCH);
    random::sample_into(&mut draws, size, batch, room_of_samples)?;
    for i in batch.iter().map(|i| *i as usize) {
        check_row(i, must(data.row(i)))?;
        let label = labels.get(i).is_some_and(|z| (*z as usize) < k);
        check("state.labels", label, "must be components")?;
        let mut shares = row(table, i, width).iter();
        let shares = shares.all(|n| n.is_finite() && *n >= 0.0);
        check("state.table", shares, "must be finite and not negative")?;
    }

    let ([x, joints, room], _) = cut(scratch, [d, k, shape.scratch_len(d)])?;
    let gamma = config.step_size.at(t);
    let factor = statistics.decay(state.factor, gamma);
    let records = config.batch_size.saturating_mul(match config.proposal {
        Proposal::All => 1,
        _ => config.moves,
    });
    visited.fill(0);
    let mut visit = Visit {
        config,
        evaluator: Evaluator::new(view),
        statistics,
        visited,
        // Both are positive.
        weight: gamma / (factor * records as f64),
        outcome: Outcome::default(),
    };
    for i in batch.iter().map(|i| *i as usize) {
        let row = must(data.row(i));
        let Some(label) = labels.get_mut(i) else {
            unreached();
            continue;
        };
        for ((to, x), c) in x.iter_mut().zip(row).zip(visit.statistics.centre) {
            *to = x.to_f64() - *c;
        }
        let rng = random::stream(config.seed, t, i as u64, Purpose::COMPONENT);
        let place = Place {
            label,
            cache: cache.get_mut(i),
            table: row_mut(table, i, width),
        };
        match config.proposal {
            Proposal::Uniform | Proposal::Table { .. } => visit.chain(rng, row, x, place, joints),
            Proposal::Posterior => visit.posterior(rng, row, x, place, joints),
            Proposal::All => visit.all(row, x, joints),
        }
    }
    let Visit {
        evaluator,
        statistics,
        visited,
        mut outcome,
        ..
    } = visit;
    outcome.evaluations = evaluator.count;

    let mut parts = mixture.parts()?;
    for (j, mark) in visited.iter().enumerate() {
        let Some(t0) = statistics.t0.get(j).filter(|t0| *mark > 0 && **t0 > 0.0) else {
            continue;
        };
        for (m, t1) in x.iter_mut().zip(row(statistics.t1, j, d)) {
            *m = *t1 / *t0;
        }
        if shape != Covariance::Tied {
            let t2 = row(statistics.t2, j, shape.factor_len(d));
            moments_into(shape, (*t0, t2), x, config.reg_covar, room);
            outcome.kept += usize::from(parts.set_covariance(j, room).is_err());
        }
        parts.set_mean(j, statistics.centre, x);
    }
    if shape == Covariance::Tied && statistics.pooled_into(config.reg_covar, x, room) {
        outcome.kept = usize::from(parts.set_covariance(0, room).is_err());
    }
    for (w, t0) in joints.iter_mut().zip(statistics.t0.iter()) {
        *w = factor * *t0;
    }
    parts.set_floored_weights(joints);
    state.factor = factor;
    state.steps = state.steps.saturating_add(1);
    state.evaluations = state.evaluations.saturating_add(outcome.evaluations);
    Ok(outcome)
}
