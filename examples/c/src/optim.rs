//! Optimiser steps: the state is the caller's slices and a counter, both zero before the first step.

mod config;

pub use config::*;

use super::{Error, Fault, Status, finish, one, one_mut, slice, slice_mut};
use config::Hyperparameters;
use thalweg::Real;
use thalweg::optim::{BUFFERS, Layer, Memory, Optimiser, clip};

/// One step of any optimiser; of the buffers those that the config keeps are read, and the count where there is one.
unsafe fn step<T: Real, C: Hyperparameters>(
    config: *const C,
    steps: Option<*mut u64>,
    buffers: [(&'static str, *mut T); BUFFERS],
    params: *mut T,
    grad: *const T,
    n: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (config, steps, params, grad) = unsafe {
        (
            one("config", config)?.read()?,
            steps.map(|steps| one_mut("steps", steps)).transpose()?,
            slice_mut("params", params, n)?,
            slice("grad", grad, n)?,
        )
    };
    let layers = [Layer::Vector(n)];
    let [(a, i), (b, j), (c, k)] = buffers;
    let [x, y, z] = config.lengths(&layers);
    // SAFETY: the contract of the call.
    let buffers = unsafe {
        [
            slice_mut(a, i, x)?,
            slice_mut(b, j, y)?,
            slice_mut(c, k, z)?,
        ]
    };
    let taken = steps.as_ref().map_or(0, |steps| **steps);
    config.advance(&layers, taken, Memory::new(buffers), params, grad)?;
    if let Some(steps) = steps {
        *steps = taken.saturating_add(1);
    }
    Ok(())
}

/// The place of a buffer that an optimiser does not have.
const fn none<T>() -> (&'static str, *mut T) {
    ("", core::ptr::null_mut())
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
    unsafe {
        finish(
            error,
            step(
                config,
                Some(steps),
                [("buffer", buffer), none(), none()],
                params,
                grad,
                n,
            ),
        )
    }
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
    unsafe {
        finish(
            error,
            step(
                config,
                Some(steps),
                [("buffer", buffer), none(), none()],
                params,
                grad,
                n,
            ),
        )
    }
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
            step(
                config,
                Some(steps),
                [("m", m), ("v", v), ("largest", largest)],
                params,
                grad,
                n,
            ),
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
            step(
                config,
                Some(steps),
                [("m", m), ("v", v), ("largest", largest)],
                params,
                grad,
                n,
            ),
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
    unsafe {
        finish(
            error,
            step(
                config,
                None,
                [("momentum", momentum), none(), none()],
                params,
                grad,
                n,
            ),
        )
    }
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
    unsafe {
        finish(
            error,
            step(
                config,
                None,
                [("momentum", momentum), none(), none()],
                params,
                grad,
                n,
            ),
        )
    }
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
            step(
                config,
                None,
                [
                    ("mean_square", mean_square),
                    ("mean", mean),
                    ("buffer", buffer),
                ],
                params,
                grad,
                n,
            ),
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
            step(
                config,
                None,
                [
                    ("mean_square", mean_square),
                    ("mean", mean),
                    ("buffer", buffer),
                ],
                params,
                grad,
                n,
            ),
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
    unsafe {
        finish(
            error,
            step(
                config,
                Some(steps),
                [("sum", sum), none(), none()],
                params,
                grad,
                n,
            ),
        )
    }
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
    unsafe {
        finish(
            error,
            step(
                config,
                Some(steps),
                [("sum", sum), none(), none()],
                params,
                grad,
                n,
            ),
        )
    }
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
