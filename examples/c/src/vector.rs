//! Reductions and updates of vectors.

use super::{Error, Fault, Status, finish, one_mut, slice, slice_mut};
use thalweg::{Real, vector};

unsafe fn dot<T: Real>(x: *const T, y: *const T, n: usize, out: *mut T) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (x, y, out) = unsafe { (slice("x", x, n)?, slice("y", y, n)?, one_mut("out", out)?) };
    *out = vector::dot(x, y)?;
    Ok(())
}

unsafe fn norm<T: Real>(x: *const T, n: usize, out: *mut T) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (x, out) = unsafe { (slice("x", x, n)?, one_mut("out", out)?) };
    *out = vector::norm2(x);
    Ok(())
}

unsafe fn axpy<T: Real>(a: T, x: *const T, y: *mut T, n: usize) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (x, y) = unsafe { (slice("x", x, n)?, slice_mut("y", y, n)?) };
    Ok(vector::axpy(a, x, y)?)
}

/// Writes `sum_i x_i y_i` to `out`, with the same bits on every target.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_dot_f32(
    x: *const f32,
    y: *const f32,
    n: usize,
    out: *mut f32,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, dot(x, y, n, out)) }
}

/// [`thalweg_dot_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_dot_f64(
    x: *const f64,
    y: *const f64,
    n: usize,
    out: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, dot(x, y, n, out)) }
}

/// Writes the Euclidean norm of `x` to `out`, without overflow of the squares.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_norm2_f32(
    x: *const f32,
    n: usize,
    out: *mut f32,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, norm(x, n, out)) }
}

/// [`thalweg_norm2_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_norm2_f64(
    x: *const f64,
    n: usize,
    out: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, norm(x, n, out)) }
}

/// `y <- y + a x`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_axpy_f32(
    a: f32,
    x: *const f32,
    y: *mut f32,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, axpy(a, x, y, n)) }
}

/// [`thalweg_axpy_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_axpy_f64(
    a: f64,
    x: *const f64,
    y: *mut f64,
    n: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe { finish(error, axpy(a, x, y, n)) }
}
