//! Stochastic component selection.

use super::{MixtureShape, mixture, view};
use crate::{Error, Fault, Status, choice, finish, one, one_mut, slice_mut};
use thalweg::Real;
use thalweg::mixture::component_selection::{
    self, Buffers, Config, Current, Proposal, State, StepSize, statistics_len,
};
use thalweg::mixture::gaussian::Covariance;

/// Every component alike (MHSAEM-U).
pub const THALWEG_PROPOSAL_UNIFORM: u32 = 0;
/// By a table of what each row has visited (MHSAEM-TF).
pub const THALWEG_PROPOSAL_TABLE: u32 = 1;
/// By responsibilities (MCSAEM).
pub const THALWEG_PROPOSAL_POSTERIOR: u32 = 2;
/// None: responsibilities of all components (SAEM).
pub const THALWEG_PROPOSAL_ALL: u32 = 3;
/// The log joint of a label is evaluated at each visit.
pub const THALWEG_CURRENT_FRESH: u32 = 0;
/// It is the one of the last visit.
pub const THALWEG_CURRENT_CACHED: u32 = 1;

/// Hyperparameters: [`Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct ComponentSelectionConfig {
    /// Seed of all draws.
    pub seed: u64,
    /// Rows of a batch.
    pub batch_size: u64,
    /// Proposals to each row of a batch.
    pub moves: u64,
    /// Step size of the statistics; 0 asks for `(t + step_offset)^-step_exponent` in step `t`.
    pub step_size: f64,
    /// At least 1.
    pub step_offset: f64,
    /// In (1/2, 1].
    pub step_exponent: f64,
    /// Inverse temperature of chains and responsibilities.
    pub inverse_temperature: f64,
    /// Added to the variances.
    pub reg_covar: f64,
    /// How fast a table forgets.
    pub table_rate: f64,
    /// Share of uniform proposals in addition to a table.
    pub table_floor: f64,
    /// One of `THALWEG_PROPOSAL_*`.
    pub proposal: u32,
    /// One of `THALWEG_CURRENT_*`.
    pub current: u32,
}

/// The chains, in the caller's memory: [`State`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct ComponentSelectionState {
    /// The label of each row.
    pub labels: *mut u32,
    /// As many numbers as the lengths of the mixture say.
    pub statistics: *mut f64,
    /// A number for each row; null without `THALWEG_CURRENT_CACHED`.
    pub cache: *mut f64,
    /// A number for each row and component; null without `THALWEG_PROPOSAL_TABLE`.
    pub table: *mut f32,
    /// What the statistics are to be multiplied with.
    pub factor: f64,
    /// Steps taken.
    pub steps: u64,
    /// Likelihoods evaluated in all steps.
    pub evaluations: u64,
}

/// What a step of component selection has done: [`component_selection::Outcome`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ComponentSelectionOutcome {
    /// Proposals accepted, those of the label itself included.
    pub accepted: u64,
    /// Proposals of the label itself.
    pub repeated: u64,
    /// Likelihoods evaluated.
    pub evaluations: u64,
    /// Components that kept their covariance.
    pub kept: u64,
}

/// Two uniform proposals to each of 200 rows, a constant step size of 0.05, temperature 1.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_component_selection_config(seed: u64) -> ComponentSelectionConfig {
    let config = Config::new(seed);
    ComponentSelectionConfig {
        seed,
        batch_size: config.batch_size as u64,
        moves: config.moves as u64,
        step_size: config.step_size.at(0),
        step_offset: 2.0,
        step_exponent: 0.6,
        inverse_temperature: config.inverse_temperature,
        reg_covar: config.reg_covar,
        table_rate: 1e-3,
        table_floor: 0.02,
        proposal: THALWEG_PROPOSAL_UNIFORM,
        current: THALWEG_CURRENT_FRESH,
    }
}

/// A count of the caller's; what does not fit is more than any buffer has.
fn count(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn read(config: &ComponentSelectionConfig) -> Result<Config, Fault> {
    Ok(Config {
        seed: config.seed,
        batch_size: count(config.batch_size),
        moves: count(config.moves),
        step_size: if config.step_size == 0.0 {
            StepSize::RobbinsMonro {
                offset: config.step_offset,
                exponent: config.step_exponent,
            }
        } else {
            StepSize::Constant(config.step_size)
        },
        inverse_temperature: config.inverse_temperature,
        reg_covar: config.reg_covar,
        proposal: choice(
            "proposal",
            config.proposal,
            [
                Proposal::Uniform,
                Proposal::Table {
                    rate: config.table_rate,
                    floor: config.table_floor,
                },
                Proposal::Posterior,
                Proposal::All,
            ],
        )?,
        current: choice("current", config.current, [Current::Fresh, Current::Cached])?,
    })
}

type Parts<'a> = Buffers<&'a mut [u32], &'a mut [f64], &'a mut [f64], &'a mut [f32]>;

/// The buffers of a state.
unsafe fn buffers<'a>(
    state: &ComponentSelectionState,
    (k, d, covariance): (usize, usize, Covariance),
    rows: usize,
) -> Result<Parts<'a>, Fault> {
    let unless_null = |null: bool, len: usize| if null { 0 } else { len };
    let cache = unless_null(state.cache.is_null(), rows);
    let table = unless_null(state.table.is_null(), rows.saturating_mul(k));
    // SAFETY: the contract of the call.
    unsafe {
        Ok(Buffers {
            labels: slice_mut("labels", state.labels, rows)?,
            statistics: slice_mut(
                "statistics",
                state.statistics,
                statistics_len(covariance, k, d),
            )?,
            cache: slice_mut("cache", state.cache, cache)?,
            table: slice_mut("table", state.table, table)?,
        })
    }
}

/// Words of scratch of a step of component selection.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_component_selection_words(batch_size: u64, components: usize) -> usize {
    let config = Config {
        batch_size: count(batch_size),
        ..Config::new(0)
    };
    config.words_len(components)
}

unsafe fn init<T: Real>(
    seed: u64,
    shape: *const MixtureShape,
    params: *const T,
    state: *mut ComponentSelectionState,
    data: *const T,
    rows: usize,
    scratch: *mut f64,
    scratch_len: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let view = view(shape, params)?;
        let data = super::rows(data, rows, view.dim())?;
        let scratch = slice_mut("scratch", scratch, scratch_len)?;
        let state = one_mut("state", state)?;
        let buffers = buffers(state, super::shape(shape)?, rows)?;
        let fresh = State::new(&view, data, seed, buffers, scratch)?;
        (state.factor, state.steps) = (fresh.factor(), fresh.steps());
        state.evaluations = fresh.evaluations();
    }
    Ok(())
}

unsafe fn step<T: Real>(
    config: *const ComponentSelectionConfig,
    shape: *const MixtureShape,
    params: *mut T,
    state: *mut ComponentSelectionState,
    data: *const T,
    rows: usize,
    words: *mut u32,
    words_len: usize,
    scratch: *mut f64,
    scratch_len: usize,
    outcome: *mut ComponentSelectionOutcome,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let config = read(one("config", config)?)?;
        let mut mixture = mixture(shape, params)?;
        let data = super::rows(data, rows, mixture.view().dim())?;
        let words = slice_mut("words", words, words_len)?;
        let scratch = slice_mut("scratch", scratch, scratch_len)?;
        let outcome = one_mut("outcome", outcome)?;
        let kept = one_mut("state", state)?;
        let buffers = buffers(kept, super::shape(shape)?, rows)?;
        let mut state = State::resume(buffers, kept.factor, kept.steps, kept.evaluations);
        let found =
            component_selection::step(&config, &mut mixture, &mut state, data, words, scratch)?;
        (kept.factor, kept.steps) = (state.factor(), state.steps());
        kept.evaluations = state.evaluations();
        *outcome = ComponentSelectionOutcome {
            accepted: found.accepted,
            repeated: found.repeated,
            evaluations: found.evaluations,
            kept: found.kept as u64,
        };
    }
    Ok(())
}

/// Fills the buffers of a state, whose pointers are set: uniform labels, and statistics of the parameters.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_component_selection_init_f32(
    seed: u64,
    shape: *const MixtureShape,
    params: *const f32,
    state: *mut ComponentSelectionState,
    data: *const f32,
    rows: usize,
    scratch: *mut f64,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            init(seed, shape, params, state, data, rows, scratch, scratch_len),
        )
    }
}

/// [`thalweg_component_selection_init_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_component_selection_init_f64(
    seed: u64,
    shape: *const MixtureShape,
    params: *const f64,
    state: *mut ComponentSelectionState,
    data: *const f64,
    rows: usize,
    scratch: *mut f64,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            init(seed, shape, params, state, data, rows, scratch, scratch_len),
        )
    }
}

/// One visit of a batch. `words`: [`thalweg_component_selection_words`].
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_component_selection_step_f32(
    config: *const ComponentSelectionConfig,
    shape: *const MixtureShape,
    params: *mut f32,
    state: *mut ComponentSelectionState,
    data: *const f32,
    rows: usize,
    words: *mut u32,
    words_len: usize,
    scratch: *mut f64,
    scratch_len: usize,
    outcome: *mut ComponentSelectionOutcome,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            step(
                config,
                shape,
                params,
                state,
                data,
                rows,
                words,
                words_len,
                scratch,
                scratch_len,
                outcome,
            ),
        )
    }
}

/// [`thalweg_component_selection_step_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_component_selection_step_f64(
    config: *const ComponentSelectionConfig,
    shape: *const MixtureShape,
    params: *mut f64,
    state: *mut ComponentSelectionState,
    data: *const f64,
    rows: usize,
    words: *mut u32,
    words_len: usize,
    scratch: *mut f64,
    scratch_len: usize,
    outcome: *mut ComponentSelectionOutcome,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            step(
                config,
                shape,
                params,
                state,
                data,
                rows,
                words,
                words_len,
                scratch,
                scratch_len,
                outcome,
            ),
        )
    }
}
