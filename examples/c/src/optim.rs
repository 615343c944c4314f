//! Optimiser steps: the state is the caller's slices and a counter, both zero before the first step.

mod config;

pub use config::*;

use super::{Error, Fault, Status, arithmetic, finish, flag, one, one_mut, slice, slice_mut};
use config::decay;
use thalweg::Real;
use thalweg::optim::{adagrad, adam, clip, lion, rmsprop, sgd};

unsafe fn sgd_step<T: Real>(
    config: *const SgdConfig,
    steps: *mut u64,
    buffer: *mut T,
    params: *mut T,
    grad: *const T,
    n: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (config, steps, params, grad) = unsafe {
        (
            one("config", config)?,
            one_mut("steps", steps)?,
            slice_mut("params", params, n)?,
            slice("grad", grad, n)?,
        )
    };
    let config = sgd::Config {
        learning_rate: config.learning_rate,
        momentum: config.momentum,
        dampening: config.dampening,
        weight_decay: config.weight_decay,
        decay: decay(config.decay)?,
        nesterov: flag("nesterov", config.nesterov)?,
        maximize: flag("maximize", config.maximize)?,
    };
    let room = if config.momentum == 0.0 { 0 } else { n };
    // SAFETY: the contract of the call.
    let buffer = unsafe { slice_mut("buffer", buffer, room)? };
    let mut state = sgd::State::resume(buffer, *steps);
    sgd::step(&config, &mut state, params, grad)?;
    *steps = state.steps();
    Ok(())
}

unsafe fn adam_step<T: Real>(
    config: *const AdamConfig,
    steps: *mut u64,
    m: *mut T,
    v: *mut T,
    largest: *mut T,
    params: *mut T,
    grad: *const T,
    n: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (config, steps, params, grad) = unsafe {
        (
            one("config", config)?,
            one_mut("steps", steps)?,
            slice_mut("params", params, n)?,
            slice("grad", grad, n)?,
        )
    };
    let config = adam::Config {
        learning_rate: config.learning_rate,
        beta1: config.beta1,
        beta2: config.beta2,
        eps: config.eps,
        weight_decay: config.weight_decay,
        decay: decay(config.decay)?,
        amsgrad: flag("amsgrad", config.amsgrad)?,
        maximize: flag("maximize", config.maximize)?,
        arithmetic: arithmetic(config.arithmetic)?,
    };
    let room = if config.amsgrad { n } else { 0 };
    // SAFETY: the contract of the call.
    let (m, v, largest) = unsafe {
        (
            slice_mut("m", m, n)?,
            slice_mut("v", v, n)?,
            slice_mut("largest", largest, room)?,
        )
    };
    let mut state = adam::State::resume(m, v, largest, *steps);
    adam::step(&config, &mut state, params, grad)?;
    *steps = state.steps();
    Ok(())
}

unsafe fn lion_step<T: Real>(
    config: *const LionConfig,
    momentum: *mut T,
    params: *mut T,
    grad: *const T,
    n: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (config, momentum, params, grad) = unsafe {
        (
            one("config", config)?,
            slice_mut("momentum", momentum, n)?,
            slice_mut("params", params, n)?,
            slice("grad", grad, n)?,
        )
    };
    let config = lion::Config {
        learning_rate: config.learning_rate,
        beta1: config.beta1,
        beta2: config.beta2,
        weight_decay: config.weight_decay,
        decay: decay(config.decay)?,
        maximize: flag("maximize", config.maximize)?,
    };
    Ok(lion::step(
        &config,
        &mut lion::State::resume(momentum),
        params,
        grad,
    )?)
}

unsafe fn rmsprop_step<T: Real>(
    config: *const RmspropConfig,
    mean_square: *mut T,
    mean: *mut T,
    buffer: *mut T,
    params: *mut T,
    grad: *const T,
    n: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (config, params, grad) = unsafe {
        (
            one("config", config)?,
            slice_mut("params", params, n)?,
            slice("grad", grad, n)?,
        )
    };
    let config = rmsprop::Config {
        learning_rate: config.learning_rate,
        alpha: config.alpha,
        eps: config.eps,
        eps_in_sqrt: flag("eps_in_sqrt", config.eps_in_sqrt)?,
        centered: flag("centered", config.centered)?,
        momentum: config.momentum,
        weight_decay: config.weight_decay,
        decay: decay(config.decay)?,
        maximize: flag("maximize", config.maximize)?,
        arithmetic: arithmetic(config.arithmetic)?,
    };
    let of = |is_used| if is_used { n } else { 0 };
    // SAFETY: the contract of the call.
    let (mean_square, mean, buffer) = unsafe {
        (
            slice_mut("mean_square", mean_square, n)?,
            slice_mut("mean", mean, of(config.centered))?,
            slice_mut("buffer", buffer, of(config.momentum != 0.0))?,
        )
    };
    let mut state = rmsprop::State::resume(mean_square, mean, buffer);
    Ok(rmsprop::step(&config, &mut state, params, grad)?)
}

unsafe fn adagrad_step<T: Real>(
    config: *const AdagradConfig,
    steps: *mut u64,
    sum: *mut T,
    params: *mut T,
    grad: *const T,
    n: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (config, steps, sum, params, grad) = unsafe {
        (
            one("config", config)?,
            one_mut("steps", steps)?,
            slice_mut("sum", sum, n)?,
            slice_mut("params", params, n)?,
            slice("grad", grad, n)?,
        )
    };
    let config = adagrad::Config {
        learning_rate: config.learning_rate,
        lr_decay: config.lr_decay,
        initial_accumulator: config.initial_accumulator,
        eps: config.eps,
        weight_decay: config.weight_decay,
        decay: decay(config.decay)?,
        maximize: flag("maximize", config.maximize)?,
        arithmetic: arithmetic(config.arithmetic)?,
    };
    let mut state = adagrad::State::resume(sum, *steps);
    adagrad::step(&config, &mut state, params, grad)?;
    *steps = state.steps();
    Ok(())
}

unsafe fn clip_step<T: Real>(
    max_norm: T,
    grad: *mut T,
    n: usize,
    norm: *mut T,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (grad, norm) = unsafe { (slice_mut("grad", grad, n)?, one_mut("norm", norm)?) };
    *norm = clip::by_global_norm(max_norm, &mut [grad])?;
    Ok(())
}

/// One step of gradient descent on `params` along `grad`; `buffer` is read only with momentum, and may be null without.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_sgd_step_f32(
    config: *const SgdConfig,
    steps: *mut u64,
    buffer: *mut f32,
    params: *mut f32,
    grad: *const f32,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, sgd_step(config, steps, buffer, params, grad, n)) }
}

/// [`thalweg_sgd_step_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_sgd_step_f64(
    config: *const SgdConfig,
    steps: *mut u64,
    buffer: *mut f64,
    params: *mut f64,
    grad: *const f64,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, sgd_step(config, steps, buffer, params, grad, n)) }
}

/// One step of Adam; `largest` is read only by AMSGrad, and may be null otherwise.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_adam_step_f32(
    config: *const AdamConfig,
    steps: *mut u64,
    m: *mut f32,
    v: *mut f32,
    largest: *mut f32,
    params: *mut f32,
    grad: *const f32,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            adam_step(config, steps, m, v, largest, params, grad, n),
        )
    }
}

/// [`thalweg_adam_step_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_adam_step_f64(
    config: *const AdamConfig,
    steps: *mut u64,
    m: *mut f64,
    v: *mut f64,
    largest: *mut f64,
    params: *mut f64,
    grad: *const f64,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            adam_step(config, steps, m, v, largest, params, grad, n),
        )
    }
}

/// One step of Lion.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_lion_step_f32(
    config: *const LionConfig,
    momentum: *mut f32,
    params: *mut f32,
    grad: *const f32,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, lion_step(config, momentum, params, grad, n)) }
}

/// [`thalweg_lion_step_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_lion_step_f64(
    config: *const LionConfig,
    momentum: *mut f64,
    params: *mut f64,
    grad: *const f64,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, lion_step(config, momentum, params, grad, n)) }
}

/// One step of RMSprop; `mean` is read only when centred, `buffer` only with momentum.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_rmsprop_step_f32(
    config: *const RmspropConfig,
    mean_square: *mut f32,
    mean: *mut f32,
    buffer: *mut f32,
    params: *mut f32,
    grad: *const f32,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            rmsprop_step(config, mean_square, mean, buffer, params, grad, n),
        )
    }
}

/// [`thalweg_rmsprop_step_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_rmsprop_step_f64(
    config: *const RmspropConfig,
    mean_square: *mut f64,
    mean: *mut f64,
    buffer: *mut f64,
    params: *mut f64,
    grad: *const f64,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            rmsprop_step(config, mean_square, mean, buffer, params, grad, n),
        )
    }
}

/// One step of Adagrad.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_adagrad_step_f32(
    config: *const AdagradConfig,
    steps: *mut u64,
    sum: *mut f32,
    params: *mut f32,
    grad: *const f32,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, adagrad_step(config, steps, sum, params, grad, n)) }
}

/// [`thalweg_adagrad_step_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_adagrad_step_f64(
    config: *const AdagradConfig,
    steps: *mut u64,
    sum: *mut f64,
    params: *mut f64,
    grad: *const f64,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, adagrad_step(config, steps, sum, params, grad, n)) }
}

/// Scales `grad` down to `max_norm` where its norm is larger; writes the norm before.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_clip_by_norm_f32(
    max_norm: f32,
    grad: *mut f32,
    n: usize,
    norm: *mut f32,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, clip_step(max_norm, grad, n, norm)) }
}

/// [`thalweg_clip_by_norm_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_clip_by_norm_f64(
    max_norm: f64,
    grad: *mut f64,
    n: usize,
    norm: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, clip_step(max_norm, grad, n, norm)) }
}
