//! Stein variational gradient descent.

use super::{Error, Fault, Status, arithmetic, choice, finish, one, one_mut, slice, slice_mut};
use thalweg::Real;
use thalweg::pairs::Family;
use thalweg::particle::bandwidth::Bandwidth;
use thalweg::particle::rule::{Rule, State};
use thalweg::particle::{Particles, count, svgd};

/// `exp(-q/h)`.
pub const THALWEG_KERNEL_RBF: u32 = 0;
/// `(1 + q/h)^(-1/2)`.
pub const THALWEG_KERNEL_IMQ: u32 = 1;
/// The step size times the field.
pub const THALWEG_RULE_CONSTANT: u32 = 0;
/// AdaGrad with the constants of SVGD's published code.
pub const THALWEG_RULE_ADAGRAD: u32 = 1;
/// Adam with the constants of its paper.
pub const THALWEG_RULE_ADAM: u32 = 2;

/// Hyperparameters: [`svgd::Config`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub struct SvgdConfig {
    /// Length of a step.
    pub step_size: f64,
    /// Bandwidth, a squared length; 0 asks for the median rule.
    pub bandwidth: f64,
    /// One of `THALWEG_KERNEL_*`.
    pub kernel: u32,
    /// One of `THALWEG_RULE_*`.
    pub rule: u32,
    /// One of `THALWEG_ARITHMETIC_*`.
    pub arithmetic: u32,
}

/// A constant step, the Gaussian kernel, the median rule.
#[unsafe(no_mangle)]
pub extern "C" fn thalweg_svgd_config(step_size: f64) -> SvgdConfig {
    SvgdConfig {
        step_size,
        bandwidth: 0.0,
        kernel: THALWEG_KERNEL_RBF,
        rule: THALWEG_RULE_CONSTANT,
        arithmetic: super::THALWEG_ARITHMETIC_PORTABLE,
    }
}

fn read(config: &SvgdConfig) -> Result<svgd::Config, Fault> {
    Ok(svgd::Config {
        step_size: config.step_size,
        rule: choice(
            "rule",
            config.rule,
            [Rule::Constant, Rule::ADAGRAD, Rule::ADAM],
        )?,
        family: choice("kernel", config.kernel, [Family::Rbf, Family::Imq])?,
        bandwidth: if config.bandwidth == 0.0 {
            Bandwidth::default()
        } else {
            Bandwidth::Fixed(config.bandwidth)
        },
        arithmetic: arithmetic(config.arithmetic)?,
    })
}

/// Elements of state and of scratch that a step of `n` particles in `d` dimensions needs.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_svgd_lengths(
    config: *const SvgdConfig,
    n: usize,
    d: usize,
    state: *mut usize,
    scratch: *mut usize,
    error: *mut Error,
) -> Status {
    let run = || {
        // SAFETY: the contract of the call.
        let (config, state, scratch) = unsafe {
            (
                read(one("config", config)?)?,
                one_mut("state", state)?,
                one_mut("scratch", scratch)?,
            )
        };
        *state = config.rule.state_len(n.saturating_mul(d));
        *scratch = config.scratch_len(n, d);
        Ok(())
    };
    // SAFETY: the contract of the call.
    unsafe { finish(error, run()) }
}

unsafe fn step<T: Real>(
    config: *const SvgdConfig,
    steps: *mut u64,
    state: *mut T,
    particles: *mut T,
    scores: *const T,
    n: usize,
    d: usize,
    scratch: *mut T,
    scratch_len: usize,
) -> Result<(), Fault> {
    // SAFETY: the contract of the call.
    let (config, steps) = unsafe { (read(one("config", config)?)?, one_mut("steps", steps)?) };
    let len = n.saturating_mul(d);
    count(len, d)?;
    // SAFETY: the contract of the call.
    let (state, particles, scores, scratch) = unsafe {
        (
            slice_mut("state", state, config.rule.state_len(len))?,
            slice_mut("particles", particles, len)?,
            slice("scores", scores, len)?,
            slice_mut("scratch", scratch, scratch_len)?,
        )
    };
    let mut state = State::resume(state, *steps);
    svgd::step(
        &config,
        &mut state,
        Particles::new(d, particles),
        scores,
        scratch,
    )?;
    *steps = state.steps();
    Ok(())
}

/// Moves `n` particles in `d` dimensions once; `scores` holds `grad log p` at each. `state` may be null for a constant step.
/// Lengths: [`thalweg_svgd_lengths`].
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_svgd_step_f32(
    config: *const SvgdConfig,
    steps: *mut u64,
    state: *mut f32,
    particles: *mut f32,
    scores: *const f32,
    n: usize,
    d: usize,
    scratch: *mut f32,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            step(
                config,
                steps,
                state,
                particles,
                scores,
                n,
                d,
                scratch,
                scratch_len,
            ),
        )
    }
}

/// [`thalweg_svgd_step_f32`] in `f64`.
///
/// # Safety
/// See [the crate](crate).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn thalweg_svgd_step_f64(
    config: *const SvgdConfig,
    steps: *mut u64,
    state: *mut f64,
    particles: *mut f64,
    scores: *const f64,
    n: usize,
    d: usize,
    scratch: *mut f64,
    scratch_len: usize,
    error: *mut Error,
) -> Status {
    // SAFETY: the contract of the call.
    unsafe {
        finish(
            error,
            step(
                config,
                steps,
                state,
                particles,
                scores,
                n,
                d,
                scratch,
                scratch_len,
            ),
        )
    }
}
