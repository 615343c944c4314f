//! Gaussian mixtures: parameters, density, EM.

use super::{Error, Fault, Status, choice, finish, one, one_mut, slice, slice_mut};
use thalweg::Real;
use thalweg::matrix::MatrixRef;
use thalweg::mixture::component_selection::{scratch_len, statistics_len};
use thalweg::mixture::em;
use thalweg::mixture::gaussian::{Covariance, Mixture, MixtureRef, params_len};

pub mod component_selection;

/// Any positive definite covariance.
pub const THALWEG_COVARIANCE_FULL: u32 = 0;
/// A variance for each column.
pub const THALWEG_COVARIANCE_DIAGONAL: u32 = 1;
/// One variance for all columns.
pub const THALWEG_COVARIANCE_SPHERICAL: u32 = 2;
/// One positive definite covariance for all components.
pub const THALWEG_COVARIANCE_TIED: u32 = 3;
/// Components, columns of the data, and shape of the covariances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct MixtureShape {
    /// Number of components; at least 1.
    pub components: usize,
    /// Number of columns; at least 1.
    pub dim: usize,
    /// One of `THALWEG_COVARIANCE_*`.
    pub covariance: u32,
}

/// Lengths of the buffers of a mixture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct MixtureLengths {
    /// Numbers of the parameters: log weights, means, inverse factors, half log-determinants.
    pub params: usize,
    /// Doubles of scratch with which a component is set.
    pub component_scratch: usize,
    /// Doubles of scratch with which a step of EM evaluates each likelihood once.
    pub em_scratch: usize,
    /// Doubles of scratch that a step of EM needs.
    pub em_least_scratch: usize,
    /// Doubles of the statistics of component selection.
    pub statistics: usize,
    /// Doubles of scratch of component selection.
    pub selection_scratch: usize,
}

/// Hyperparameters: [`em::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct EmConfig {
    /// Added to the variances.
    pub reg_covar: f64,
}

/// What a step of EM has found: [`em::Outcome`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct EmOutcome {
    /// Mean log-likelihood before the step.
    pub mean_log_likelihood: f64,
    /// Likelihoods evaluated.
    pub evaluations: u64,
    /// Components that kept their covariance.
    pub kept: u64,
}

/// 1e-6 on the variances, as in scikit-learn.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_em_config() -> EmConfig {
    EmConfig {
        reg_covar: em::Config::default().reg_covar,
    }
}

/// Components, columns, covariance.
unsafe fn shape(pointer: *const MixtureShape) -> Result<(usize, usize, Covariance), Fault> {
    // SAFETY: the contract of the call.
    let shape = unsafe { one("shape", pointer)? };
    let shapes = [
        Covariance::Full,
        Covariance::Diagonal,
        Covariance::Spherical,
        Covariance::Tied,
    ];
    let covariance = choice("covariance", shape.covariance, shapes)?;
    Ok((shape.components, shape.dim, covariance))
}

/// A mixture that is read.
unsafe fn view<'a, T: Real>(
    of: *const MixtureShape,
    params: *const T,
) -> Result<MixtureRef<'a, T>, Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let (k, d, covariance) = shape(of)?;
        let params = slice("params", params, params_len(covariance, k, d))?;
        Ok(MixtureRef::new(covariance, k, d, params)?)
    }
}

/// A mixture that is written.
unsafe fn mixture<'a, T: Real>(
    of: *const MixtureShape,
    params: *mut T,
) -> Result<Mixture<&'a mut [T]>, Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let (k, d, covariance) = shape(of)?;
        let params = slice_mut("params", params, params_len(covariance, k, d))?;
        Ok(Mixture::from_params(covariance, k, d, params)?)
    }
}

/// Rows of the data.
unsafe fn rows<'a, T: Real>(
    data: *const T,
    rows: usize,
    d: usize,
) -> Result<MatrixRef<'a, T>, Fault> {
    // SAFETY: the contract of the call.
    let data = unsafe { slice("data", data, rows.saturating_mul(d))? };
    Ok(MatrixRef::new(data, rows, d)?)
}

/// Lengths of the buffers of a mixture that is fitted to `rows` rows.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_lengths(
    shape: *const MixtureShape,
    rows: usize,
    lengths: *mut MixtureLengths,
    error: *mut Error,
) -> Status {
    let run = || {
        // SAFETY: the contract of the call.
        let ((k, d, covariance), lengths) =
            unsafe { (self::shape(shape)?, one_mut("lengths", lengths)?) };
        *lengths = MixtureLengths {
            params: params_len(covariance, k, d),
            component_scratch: covariance.scratch_len(d),
            em_scratch: em::scratch_len(covariance, rows, k, d),
            em_least_scratch: em::least_scratch_len(covariance, k, d),
            statistics: statistics_len(covariance, k, d),
            selection_scratch: scratch_len(covariance, k, d),
        };
        Ok(())
    };
    // SAFETY: the contract of the call.
    unsafe { finish(error, run()) }
}

unsafe fn init<T: Real>(shape: *const MixtureShape, params: *mut T) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let (k, d, covariance) = self::shape(shape)?;
        let params = slice_mut("params", params, params_len(covariance, k, d))?;
        Mixture::new(covariance, k, d, params)?;
    }
    Ok(())
}

unsafe fn set_weights<T: Real>(
    shape: *const MixtureShape,
    params: *mut T,
    weights: *const T,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let mut mixture = mixture(shape, params)?;
        let weights = slice("weights", weights, mixture.view().components())?;
        Ok(mixture.set_weights(weights)?)
    }
}

unsafe fn set_component<T: Real>(
    shape: *const MixtureShape,
    params: *mut T,
    component: usize,
    mean: *const T,
    covariance: *const T,
    scratch: *mut f64,
    scratch_len: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let mut mixture = mixture(shape, params)?;
        let (of, d) = (mixture.view().covariance(), mixture.view().dim());
        let mean = slice("mean", mean, d)?;
        let covariance = slice("covariance", covariance, of.covariance_len(d))?;
        let scratch = slice_mut("scratch", scratch, scratch_len)?;
        Ok(mixture.set_component(component, mean, covariance, scratch)?)
    }
}

unsafe fn log_joints<T: Real>(
    shape: *const MixtureShape,
    params: *const T,
    x: *const T,
    out: *mut T,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let view = view(shape, params)?;
        let x = slice("x", x, view.dim())?;
        let out = slice_mut("out", out, view.components())?;
        Ok(view.log_joints_into(x, out)?)
    }
}

unsafe fn responsibilities<T: Real>(
    shape: *const MixtureShape,
    params: *const T,
    x: *const T,
    out: *mut T,
    log_density: *mut T,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let view = view(shape, params)?;
        let x = slice("x", x, view.dim())?;
        let out = slice_mut("out", out, view.components())?;
        let log_density = one_mut("log_density", log_density)?;
        *log_density = view.responsibilities_into(x, out)?;
    }
    Ok(())
}

unsafe fn mean_log_likelihood<T: Real>(
    shape: *const MixtureShape,
    params: *const T,
    data: *const T,
    rows: usize,
    scratch: *mut T,
    out: *mut f64,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let view = view(shape, params)?;
        let data = self::rows(data, rows, view.dim())?;
        let scratch = slice_mut("scratch", scratch, view.components())?;
        *one_mut("out", out)? = view.mean_log_likelihood(data, scratch)?;
    }
    Ok(())
}

unsafe fn em_step<T: Real>(
    config: *const EmConfig,
    shape: *const MixtureShape,
    params: *mut T,
    data: *const T,
    rows: usize,
    scratch: *mut f64,
    scratch_len: usize,
    outcome: *mut EmOutcome,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    unsafe {
        let &EmConfig { reg_covar } = one("config", config)?;
        let mut mixture = mixture(shape, params)?;
        let data = self::rows(data, rows, mixture.view().dim())?;
        let scratch = slice_mut("scratch", scratch, scratch_len)?;
        let outcome = one_mut("outcome", outcome)?;
        let found = em::step(&em::Config { reg_covar }, &mut mixture, data, scratch)?;
        *outcome = EmOutcome {
            mean_log_likelihood: found.mean_log_likelihood,
            evaluations: found.evaluations,
            kept: found.kept as u64,
        };
    }
    Ok(())
}

/// Standard normal components of equal weight.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_init_f32(
    shape: *const MixtureShape,
    params: *mut f32,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, init(shape, params)) }
}

/// [`thalweg_mixture_init_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_init_f64(
    shape: *const MixtureShape,
    params: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, init(shape, params)) }
}

/// Sets the weights of all components, up to a factor.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_set_weights_f32(
    shape: *const MixtureShape,
    params: *mut f32,
    weights: *const f32,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, set_weights(shape, params, weights)) }
}

/// [`thalweg_mixture_set_weights_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_set_weights_f64(
    shape: *const MixtureShape,
    params: *mut f64,
    weights: *const f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, set_weights(shape, params, weights)) }
}

/// Sets mean and covariance of a component, numbered from 0: `dim x dim` numbers or `dim` variances.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_set_component_f32(
    shape: *const MixtureShape,
    params: *mut f32,
    component: usize,
    mean: *const f32,
    covariance: *const f32,
    scratch: *mut f64,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            set_component(
                shape,
                params,
                component,
                mean,
                covariance,
                scratch,
                scratch_len,
            ),
        )
    }
}

/// [`thalweg_mixture_set_component_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_set_component_f64(
    shape: *const MixtureShape,
    params: *mut f64,
    component: usize,
    mean: *const f64,
    covariance: *const f64,
    scratch: *mut f64,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            set_component(
                shape,
                params,
                component,
                mean,
                covariance,
                scratch,
                scratch_len,
            ),
        )
    }
}

/// Log weight and log density of each component at one row; `out` receives `components` numbers.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_log_joints_f32(
    shape: *const MixtureShape,
    params: *const f32,
    x: *const f32,
    out: *mut f32,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, log_joints(shape, params, x, out)) }
}

/// [`thalweg_mixture_log_joints_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_log_joints_f64(
    shape: *const MixtureShape,
    params: *const f64,
    x: *const f64,
    out: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, log_joints(shape, params, x, out)) }
}

/// Responsibilities of the components for one row, and the log density of the mixture there.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_responsibilities_f32(
    shape: *const MixtureShape,
    params: *const f32,
    x: *const f32,
    out: *mut f32,
    log_density: *mut f32,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, responsibilities(shape, params, x, out, log_density)) }
}

/// [`thalweg_mixture_responsibilities_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_responsibilities_f64(
    shape: *const MixtureShape,
    params: *const f64,
    x: *const f64,
    out: *mut f64,
    log_density: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, responsibilities(shape, params, x, out, log_density)) }
}

/// Mean log-likelihood of `rows` rows; `scratch` holds `components` numbers.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_mean_log_likelihood_f32(
    shape: *const MixtureShape,
    params: *const f32,
    data: *const f32,
    rows: usize,
    scratch: *mut f32,
    out: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            mean_log_likelihood(shape, params, data, rows, scratch, out),
        )
    }
}

/// [`thalweg_mixture_mean_log_likelihood_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_mixture_mean_log_likelihood_f64(
    shape: *const MixtureShape,
    params: *const f64,
    data: *const f64,
    rows: usize,
    scratch: *mut f64,
    out: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            mean_log_likelihood(shape, params, data, rows, scratch, out),
        )
    }
}

/// One step of expectation maximisation over `rows` rows.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_em_step_f32(
    config: *const EmConfig,
    shape: *const MixtureShape,
    params: *mut f32,
    data: *const f32,
    rows: usize,
    scratch: *mut f64,
    scratch_len: usize,
    outcome: *mut EmOutcome,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            em_step(
                config,
                shape,
                params,
                data,
                rows,
                scratch,
                scratch_len,
                outcome,
            ),
        )
    }
}

/// [`thalweg_em_step_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_em_step_f64(
    config: *const EmConfig,
    shape: *const MixtureShape,
    params: *mut f64,
    data: *const f64,
    rows: usize,
    scratch: *mut f64,
    scratch_len: usize,
    outcome: *mut EmOutcome,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            em_step(
                config,
                shape,
                params,
                data,
                rows,
                scratch,
                scratch_len,
                outcome,
            ),
        )
    }
}
