//! Kernels of infinitely wide networks, and regression with them.

use super::{Error, Fault, Status, arithmetic, choice, finish, one, slice, slice_mut};
use thalweg::Real;
use thalweg::kernel::arc_cosine::{self, Order};
use thalweg::kernel::covariance::Covariance;
use thalweg::kernel::regression;
use thalweg::matrix::{MatrixMut, MatrixRef};

/// Unit steps.
pub const THALWEG_ARC_COSINE_STEP: u32 = 0;
/// Rectifiers.
pub const THALWEG_ARC_COSINE_RECTIFIER: u32 = 1;

/// A wide network: [`arc_cosine::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct ArcCosineConfig {
    /// Layers of weights, at least 1.
    pub depth: u32,
    /// One of `THALWEG_ARC_COSINE_*`.
    pub order: u32,
    /// One of `THALWEG_ARITHMETIC_*`.
    pub arithmetic: u32,
}

/// Rectifiers with so many layers of weights.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_arc_cosine_config(depth: u32) -> ArcCosineConfig {
    ArcCosineConfig {
        depth,
        order: THALWEG_ARC_COSINE_RECTIFIER,
        arithmetic: super::THALWEG_ARITHMETIC_PORTABLE,
    }
}

/// Elements of scratch for the kernels of `n` and `m` rows of `d` numbers.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_arc_cosine_scratch_len(n: usize, m: usize, d: usize) -> usize {
    arc_cosine::scratch_len(n, m, d)
}

fn read(config: &ArcCosineConfig) -> Result<arc_cosine::Config, Fault> {
    Ok(arc_cosine::Config {
        depth: config.depth as usize,
        order: choice("order", config.order, [Order::Zero, Order::One])?,
        arithmetic: arithmetic(config.arithmetic)?,
    })
}

/// Two sets of rows, the second of which may be empty.
struct Rows<T> {
    x: *const T,
    n: usize,
    y: *const T,
    m: usize,
    d: usize,
}

impl<T> Rows<T> {
    const fn columns(&self) -> usize {
        if self.m == 0 { self.n } else { self.m }
    }

    unsafe fn views<'a>(&self) -> Result<(MatrixRef<'a, T>, Option<MatrixRef<'a, T>>), Fault> {
        let Self { x, n, y, m, d } = *self;
        // SAFETY: the contract of the call.
        let (x, y) = unsafe {
            (
                slice("x", x, n.saturating_mul(d))?,
                slice("y", y, m.saturating_mul(d))?,
            )
        };
        let y = if m == 0 {
            None
        } else {
            Some(MatrixRef::new(y, m, d)?)
        };
        Ok((MatrixRef::new(x, n, d)?, y))
    }
}

unsafe fn nngp<T: Real>(
    config: *const ArcCosineConfig,
    rows: Rows<T>,
    kernel: *mut T,
    scratch: *mut T,
    scratch_len: usize,
) -> Result<(), Fault> {
    let (n, m) = (rows.n, rows.columns());
    // SAFETY: the contract of the call.
    let (config, (x, y), kernel, scratch) = unsafe {
        (
            read(one("config", config)?)?,
            rows.views()?,
            slice_mut("kernel", kernel, n.saturating_mul(m))?,
            slice_mut("scratch", scratch, scratch_len)?,
        )
    };
    let kernel = MatrixMut::new(kernel, n, m)?;
    match y {
        None => arc_cosine::nngp_into(&config, x, kernel, scratch),
        Some(y) => arc_cosine::nngp_between_into(&config, x, y, kernel, scratch),
    }?;
    Ok(())
}

unsafe fn tangents<T: Real>(
    config: *const ArcCosineConfig,
    rows: Rows<T>,
    [kernel, tangent]: [*mut T; 2],
    scratch: *mut T,
    scratch_len: usize,
) -> Result<(), Fault> {
    let (n, m) = (rows.n, rows.columns());
    // SAFETY: the contract of the call.
    let (config, (x, y), kernel, tangent, scratch) = unsafe {
        (
            read(one("config", config)?)?,
            rows.views()?,
            slice_mut("kernel", kernel, n.saturating_mul(m))?,
            slice_mut("tangent", tangent, n.saturating_mul(m))?,
            slice_mut("scratch", scratch, scratch_len)?,
        )
    };
    let (kernel, tangent) = (
        MatrixMut::new(kernel, n, m)?,
        MatrixMut::new(tangent, n, m)?,
    );
    match y {
        None => arc_cosine::tangent_into(&config, x, kernel, tangent, scratch),
        Some(y) => arc_cosine::tangent_between_into(&config, x, y, kernel, tangent, scratch),
    }?;
    Ok(())
}

unsafe fn regress<T: Real>(
    alpha: f64,
    kernel: *const T,
    labels: *const f64,
    n: usize,
    cross: *const T,
    tests: usize,
    memory: *mut f64,
    weights: *mut f64,
    mean: *mut f64,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (kernel, labels, cross, memory, weights, mean) = unsafe {
        (
            slice("kernel", kernel, n.saturating_mul(n))?,
            slice("labels", labels, n)?,
            slice("cross", cross, tests.saturating_mul(n))?,
            slice_mut("memory", memory, n.saturating_mul(n))?,
            slice_mut("weights", weights, n)?,
            slice_mut("mean", mean, tests)?,
        )
    };
    let covariance = Covariance::new(MatrixRef::new(kernel, n, n)?, memory)?;
    regression::weights_into(&covariance, labels, weights)?;
    Ok(regression::mean_into(
        alpha,
        weights,
        MatrixRef::new(cross, tests, n)?,
        mean,
    )?)
}

/// Kernel of a wide network between the `n` rows of `x` and the `m` rows of `y`, `n x m`; within `x`, `n x n`, for `m` 0. `scratch` has
/// `thalweg_arc_cosine_scratch_len` elements.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_arc_cosine_nngp_f32(
    config: *const ArcCosineConfig,
    x: *const f32,
    n: usize,
    y: *const f32,
    m: usize,
    d: usize,
    kernel: *mut f32,
    scratch: *mut f32,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    let rows = Rows { x, n, y, m, d };
    // SAFETY: the contract of the call.
    unsafe { finish(error, nngp(config, rows, kernel, scratch, scratch_len)) }
}

/// [`thalweg_arc_cosine_nngp_f32`] with the tangent kernel, which needs rectifiers.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_arc_cosine_tangent_f32(
    config: *const ArcCosineConfig,
    x: *const f32,
    n: usize,
    y: *const f32,
    m: usize,
    d: usize,
    kernel: *mut f32,
    tangent: *mut f32,
    scratch: *mut f32,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    let rows = Rows { x, n, y, m, d };
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            tangents(config, rows, [kernel, tangent], scratch, scratch_len),
        )
    }
}

/// Mean of regression on labels times `alpha`: `kernel` is `n x n` between the training rows, `cross` `tests x n`. `memory` has `n n` elements, `weights`
/// takes `n`, `mean` one for each test row.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_kernel_regression_f32(
    alpha: f64,
    kernel: *const f32,
    labels: *const f64,
    n: usize,
    cross: *const f32,
    tests: usize,
    memory: *mut f64,
    weights: *mut f64,
    mean: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            regress(
                alpha, kernel, labels, n, cross, tests, memory, weights, mean,
            ),
        )
    }
}

/// [`thalweg_arc_cosine_nngp_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_arc_cosine_nngp_f64(
    config: *const ArcCosineConfig,
    x: *const f64,
    n: usize,
    y: *const f64,
    m: usize,
    d: usize,
    kernel: *mut f64,
    scratch: *mut f64,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    let rows = Rows { x, n, y, m, d };
    // SAFETY: the contract of the call.
    unsafe { finish(error, nngp(config, rows, kernel, scratch, scratch_len)) }
}

/// [`thalweg_arc_cosine_tangent_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_arc_cosine_tangent_f64(
    config: *const ArcCosineConfig,
    x: *const f64,
    n: usize,
    y: *const f64,
    m: usize,
    d: usize,
    kernel: *mut f64,
    tangent: *mut f64,
    scratch: *mut f64,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    let rows = Rows { x, n, y, m, d };
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            tangents(config, rows, [kernel, tangent], scratch, scratch_len),
        )
    }
}

/// [`thalweg_kernel_regression_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_kernel_regression_f64(
    alpha: f64,
    kernel: *const f64,
    labels: *const f64,
    n: usize,
    cross: *const f64,
    tests: usize,
    memory: *mut f64,
    weights: *mut f64,
    mean: *mut f64,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            regress(
                alpha, kernel, labels, n, cross, tests, memory, weights, mean,
            ),
        )
    }
}
