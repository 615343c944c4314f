//! The limit of label noise on the sparse model, solved exactly at any time.
//!
//! Along the limit `u_j v_j` decays at a known rate, and the fit fixes the rest:
//!
//! ```text
//! ln q_j(t) = ln |u_j(0) v_j(0)| - 4 delta^2 m_j t          rho_j = ln (|u_j(0)| / |v_j(0)|)
//! s = rho + Z^T nu,   w_j = 2 q_j sinh s_j,   u_j^2 = q_j e^{s_j},   v_j^2 = q_j e^{-s_j}
//! nu = argmin F,  F(nu) = sum_j 2 q_j cosh s_j - <y, nu>    grad F = Z w - y,  Hess F = Z diag(2 q cosh s) Z^T
//! ```
//!
//! So the limit at time t is plain gradient flow from a start that has shrunk by `e^{-2 delta^2 m_j t}`: from the
//! smallest 2-norm to the smallest `sum_j m_j |w_j|`. Signs of `u` and `v` never change.
//!
//! `F` is strictly convex for `Z` of full rank: Newton by Cholesky, each time starting from the `nu` of the time before, a step
//! that reaches farther than 1 cut to its logarithm. Logarithms of `q` are kept, and `2 q sinh s` is a product, so that starts
//! from `1e-150` to `1e8` keep their digits. A Hessian that does not factor (more samples than dimensions, or few
//! digits) is raised by a multiple of the identity.
//!
//! Cost: `n^2 d + n^3 / 3` flops an iteration; three to six iterations a time, one or two from starts above 10, up to
//! some forty from very small ones.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices below the length of a slice, and counts that are bounded where they are restored"
)]

use crate::dynamics::label_noise::{Sparse, check_interpolates_scratch_len, halves, state_len};
use crate::error::{check, check_length, check_scratch, ensure_finite};
use crate::matrix;
use crate::memory::{cut, cut_ref, must};
use crate::model::copy;
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::{Error, Real, Storage};

mod dual;

use dual::Dual;
pub(crate) use dual::DualKernels;

/// Most solutions of one call: slow time 3276 at the default spacing.
const MOST_SOLUTIONS: u64 = 1 << 16;

/// How the dual problem is solved; the defaults suit both types.
///
/// ```
/// let config = thalweg::dynamics::limit_flow::Config::default();
/// assert_eq!((config.noise, config.spacing), (1.0, 0.05));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Size delta of the noise on a label; its square is finite. Default 1.
    pub noise: f64,
    /// Longest step of `delta^2 t` between two solutions; positive. Default 0.05.
    pub spacing: f64,
    /// Largest `|Z w - y| / |y|`; at least 0. Default 1e-11. What rounding leaves always counts as solved: `32 + 8 max |s|` units
    /// in the last place of the larger of `|y|` and `(sum_ij z_ij^2 w_j^2)^{1/2}`.
    pub tolerance: f64,
    /// Most Newton iterations for one time; default 200.
    pub iterations: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            noise: 1.0,
            spacing: 0.05,
            tolerance: 1e-11,
            iterations: 200,
        }
    }
}

impl Config {
    /// Checks every range that the fields state.
    ///
    /// # Errors
    /// [`Error::Parameter`] with the name of the first field that is out of range.
    ///
    /// ```
    /// use thalweg::dynamics::limit_flow::Config;
    /// assert!(Config { spacing: 0.0, ..Config::default() }.validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<(), Error> {
        let square = self.noise * self.noise;
        check("noise", square.is_finite(), "must have a finite square")?;
        check(
            "spacing",
            self.spacing.is_finite() && self.spacing > 0.0,
            "must be finite and positive",
        )?;
        check(
            "tolerance",
            self.tolerance.is_finite() && self.tolerance >= 0.0,
            "must be finite and at least 0",
        )
    }
}

/// Numbers of an [`Exact`] for `n` samples in `d` dimensions: `5 d + n`.
///
/// ```
/// assert_eq!(thalweg::dynamics::limit_flow::exact_len(40, 100), 540);
/// ```
pub const fn exact_len(n: usize, d: usize) -> usize {
    d.saturating_mul(5).saturating_add(n)
}

/// Elements of scratch for [`Exact`]: `n^2 + 3 n + 3 d`.
///
/// ```
/// assert_eq!(thalweg::dynamics::limit_flow::exact_scratch_len(2, 3), 19);
/// ```
pub const fn exact_scratch_len(n: usize, d: usize) -> usize {
    check_interpolates_scratch_len(n).saturating_add(d.saturating_mul(3))
}

/// The limit at one time, with what leads to the next.
///
/// ```
/// use thalweg::dynamics::label_noise::Sparse;
/// use thalweg::dynamics::limit_flow::{Config, Exact, exact_len, exact_scratch_len};
/// use thalweg::matrix::MatrixRef;
/// // Exact fits are w_1 + w_2 / 2 = 1. Moments are 1 and 1/4: of |w_1| + |w_2| / 4 the minimum is at (0, 2).
/// let problem = Sparse::new(MatrixRef::new(&[1.0_f64, 0.5], 1, 2)?, &[1.0])?;
/// let mut scratch = [0.0; exact_scratch_len(1, 2)];
/// let mut limit = Exact::new(&problem, &[1.0; 4], [0.0; exact_len(1, 2)], &mut scratch)?;
/// limit.advance(&Config::default(), &problem, 12.0, &mut scratch)?;
/// let mut w = [0.0; 2];
/// problem.signal_into(limit.params(), &mut w)?;
/// assert!(w[0].abs() < 1e-8 && (w[1] - 2.0).abs() < 1e-8);
/// # Ok::<(), thalweg::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Exact<B> {
    /// `u, v, ln q(0), rho, m` of `dim` elements each, then `nu`.
    buffer: B,
    dim: usize,
    /// `delta^2 t`.
    clock: f64,
}

/// The parts of the buffer.
struct Parts<'a, T> {
    params: &'a mut [T],
    ln_q: &'a mut [T],
    rho: &'a mut [T],
    m: &'a mut [T],
    nu: &'a mut [T],
}

fn parts<T>(buffer: &mut [T], d: usize) -> Result<Parts<'_, T>, Error> {
    let ([params, ln_q, rho, m], nu) = cut(buffer, [state_len(d), d, d, d])?;
    Ok(Parts {
        params,
        ln_q,
        rho,
        m,
        nu,
    })
}

impl<T: Real, B: Storage<Elem = T>> Exact<B> {
    /// The start `(u, v)` at time 0, before it falls to the exact fits: [`advance`](Self::advance) by 0 does that.
    ///
    /// # Errors
    /// [`Error::Length`] unless `params` has `2 d` elements, `buffer` [`exact_len`] and `scratch` at least
    /// [`exact_scratch_len`]; [`Error::NonFinite`] in `params`, and for data whose squares overflow; [`Error::Parameter`] for a coordinate that is zero
    /// and so stays it, and for labels that nothing fits ([`Sparse::check_interpolates`]).
    pub fn new(
        problem: &Sparse<'_, T>,
        params: &[T],
        mut buffer: B,
        scratch: &mut [T],
    ) -> Result<Self, Error> {
        let (n, d) = (problem.samples(), problem.dim());
        check_length("params", state_len(d), params.len())?;
        check_length("buffer", exact_len(n, d), buffer.as_slice().len())?;
        check_scratch("scratch", exact_scratch_len(n, d), scratch.len())?;
        ensure_finite("params", params)?;
        let moves = params.iter().all(|x| *x != T::ZERO);
        check("params", moves, "must have no coordinate that is zero")?;
        problem.check_interpolates(scratch)?;
        let parts = parts(buffer.as_mut_slice(), d)?;
        let (u, v) = halves(params);
        for (((ln_q, rho), u), v) in parts.ln_q.iter_mut().zip(parts.rho).zip(u).zip(v) {
            // In range: not zero.
            let (u, v) = (u.abs().ln(), v.abs().ln());
            (*ln_q, *rho) = (u + v, u - v);
        }
        problem.moments_into(parts.m)?;
        ensure_finite("moments of z", parts.m)?;
        parts.nu.fill(T::ZERO);
        parts
            .params
            .iter_mut()
            .zip(params)
            .for_each(|(to, x)| *to = *x);
        Ok(Self {
            buffer,
            dim: d,
            clock: 0.0,
        })
    }

    /// Moves on by the time `dt` and solves there; returns the Newton iterations that it took.
    ///
    /// # Errors
    /// [`Error::Length`] for a problem or scratch of another size, [`Error::Parameter`] for a bad config, a bad time or one that takes
    /// more than 65,536 solutions at the [`spacing`](Config::spacing); nothing is changed then. [`Error::NoConvergence`],
    /// [`Error::Singular`], and [`Error::NonFinite`] for an exponent, a residual or a Hessian that leaves the range of the type,
    /// leave clock and parameters at the last time that was solved.
    pub fn advance(
        &mut self,
        config: &Config,
        problem: &Sparse<'_, T>,
        dt: f64,
        scratch: &mut [T],
    ) -> Result<usize, Error> {
        config.validate()?;
        check(
            "dt",
            dt.is_finite() && dt >= 0.0,
            "must be finite and at least 0",
        )?;
        let (n, d) = (problem.samples(), problem.dim());
        check_length("problem", self.dim, d)?;
        check_length("buffer", exact_len(n, d), self.buffer.as_slice().len())?;
        check_scratch("scratch", exact_scratch_len(n, d), scratch.len())?;
        let (start, distance) = (self.clock, config.noise * config.noise * dt);
        // The quotient may exceed any count; the cast saturates.
        let pieces = (libm::ceil(distance / config.spacing) as u64).max(1);
        check(
            "dt",
            pieces <= MOST_SOLUTIONS,
            "must take at most 65536 solutions at the spacing of the config",
        )?;
        let mut total = 0;
        for piece in 1..=pieces {
            let clock = start + distance * (piece as f64 / pieces as f64);
            let parts = parts(self.buffer.as_mut_slice(), d)?;
            total += Dual::new(problem, parts, clock, scratch)?.solve(config)?;
            self.clock = clock;
        }
        Ok(total)
    }

    /// `u`, then `v`, at the current time.
    pub fn params(&self) -> &[T] {
        must(self.buffer.as_slice().get(..state_len(self.dim)))
    }

    /// Writes `w = 2 q sinh s` at the current time, with the digits that `u u - v v` loses where `u` and `v` are large and close.
    ///
    /// Before the first [`advance`](Self::advance) it is that of the start.
    ///
    /// # Errors
    /// [`Error::Length`] for a problem of another size, and unless `w` has `d` elements.
    ///
    /// ```
    /// use thalweg::dynamics::label_noise::Sparse;
    /// use thalweg::dynamics::limit_flow::{Config, Exact, exact_len, exact_scratch_len};
    /// use thalweg::matrix::MatrixRef;
    /// // From u = v = 1e6 the flow ends at the fit of smallest 2-norm.
    /// let problem = Sparse::new(MatrixRef::new(&[1.0_f64, 2.0], 1, 2)?, &[5.0])?;
    /// let mut scratch = [0.0; exact_scratch_len(1, 2)];
    /// let mut limit = Exact::new(&problem, &[1e6; 4], [0.0; exact_len(1, 2)], &mut scratch)?;
    /// limit.advance(&Config::default(), &problem, 0.0, &mut scratch)?;
    /// let mut w = [0.0; 2];
    /// limit.signal_into(&problem, &mut w)?;
    /// assert!((w[0] - 1.0).abs() < 1e-12 && (w[1] - 2.0).abs() < 1e-12);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn signal_into(&self, problem: &Sparse<'_, T>, w: &mut [T]) -> Result<(), Error> {
        let (n, d) = (problem.samples(), problem.dim());
        let buffer = self.buffer.as_slice();
        check_length("problem", self.dim, d)?;
        check_length("buffer", exact_len(n, d), buffer.len())?;
        check_length("w", d, w.len())?;
        let ([_, ln_q, rho, m], nu) = cut_ref(buffer, [state_len(d), d, d, d])?;
        copy(rho, w);
        matrix::gemv_transposed(T::ONE, problem.data(), nu, T::ONE, w)?;
        let decay = T::from_f64(4.0 * self.clock);
        T::Kernels::signal(decay, ln_q, m, w);
        Ok(())
    }

    /// `delta^2 t`: slow time in units of the noise.
    pub const fn clock(&self) -> f64 {
        self.clock
    }

    fn fields(&self) -> [Field; 3] {
        let vectors = self.dim.saturating_mul(5);
        let samples = self.buffer.as_slice().len().saturating_sub(vectors);
        [
            Field::real::<f64>(),
            Field::reals::<T>(vectors),
            Field::reals::<T>(samples),
        ]
    }
}

impl<T: Real, B: Storage<Elem = T>> Snapshot for Exact<B> {
    fn snapshot_len(&self) -> usize {
        saved_len(&self.fields())
    }

    fn save(&self, out: &mut [u8]) -> Result<usize, SnapshotError> {
        let mut writer = Writer::new(out, *b"LNEX", 1)?;
        writer.real(self.clock)?;
        let buffer = self.buffer.as_slice();
        let (vectors, nu) = must(buffer.split_at_checked(self.dim.saturating_mul(5)));
        writer.slice(vectors)?;
        writer.slice(nu)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"LNEX", 1, &self.fields())?;
        let clock: f64 = reader.real()?;
        if !(clock.is_finite() && clock >= 0.0) {
            return Err(SnapshotError::Value {
                name: "clock",
                rule: "must be finite and at least 0",
            });
        }
        self.clock = clock;
        let buffer = self.buffer.as_mut_slice();
        let (vectors, nu) = must(buffer.split_at_mut_checked(self.dim.saturating_mul(5)));
        reader.slice_into(vectors)?;
        reader.slice_into(nu)?;
        reader.finish()
    }
}

#[cfg(test)]
mod tests;
