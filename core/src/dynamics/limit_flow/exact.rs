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
//! `F` is strictly convex for `Z` of full rank: damped Newton by Cholesky, each time starting from the `nu` of the time
//! before. Logarithms of `q` are kept, so that `q e^s` neither overflows nor underflows where it matters; a step onto an
//! overflow is halved. A Hessian that does not factor (more samples than dimensions, or few digits) is raised by
//! a multiple of the identity.
//!
//! Cost: `n^2 d + n^3 / 3` flops an iteration, three to six iterations a time.

use crate::dynamics::label_noise::{Sparse, check_interpolates_scratch_len, state_len};
use crate::error::{check, check_length, check_scratch};
use crate::matrix::{self, MatrixMut, MatrixRef};
use crate::model::copy;
use crate::simd::{self, Lanes, Map, math};
use crate::snapshot::{Field, Reader, Snapshot, SnapshotError, Writer, saved_len};
use crate::{Error, Real, Storage, vector};

/// Halvings of a Newton step; after so many it moves nothing.
const HALVINGS: usize = 60;

/// How the dual problem is solved; the defaults suit both types.
///
/// ```
/// let config = thalweg::dynamics::limit_flow::Config::default();
/// assert_eq!((config.noise, config.spacing), (1.0, 0.05));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// Size delta of the noise on a label; finite. Default 1.
    pub noise: f64,
    /// Longest step of `delta^2 t` between two solutions; positive. Default 0.05.
    pub spacing: f64,
    /// Largest `|Z w - y| / |y|`; at least 0. Default 1e-11; never below 32 units in the last place of the type.
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
        check("noise", self.noise.is_finite(), "must be finite")?;
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

fn parts<T>(buffer: &mut [T], d: usize) -> Parts<'_, T> {
    let (params, rest) = buffer
        .split_at_mut_checked(state_len(d))
        .unwrap_or_default();
    let (ln_q, rest) = rest.split_at_mut_checked(d).unwrap_or_default();
    let (rho, rest) = rest.split_at_mut_checked(d).unwrap_or_default();
    let (m, nu) = rest.split_at_mut_checked(d).unwrap_or_default();
    Parts {
        params,
        ln_q,
        rho,
        m,
        nu,
    }
}

impl<T: Real, B: Storage<Elem = T>> Exact<B> {
    /// The start `(u, v)` at time 0, before it falls to the exact fits: [`advance`](Self::advance) by 0 does that.
    ///
    /// # Errors
    /// [`Error::Length`] unless `params` has `2 d` elements, `buffer` [`exact_len`] and `scratch` at least
    /// [`exact_scratch_len`]; [`Error::NonFinite`] in `params`; [`Error::Parameter`] for a coordinate that is zero and so stays it, and
    /// for labels that nothing fits ([`Sparse::check_interpolates`]).
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
        if let Some(index) = vector::first_non_finite(params) {
            return Err(Error::NonFinite {
                name: "params",
                index,
            });
        }
        let moves = params.iter().all(|x| *x != T::ZERO);
        check("params", moves, "must have no coordinate that is zero")?;
        problem.check_interpolates(scratch)?;
        let parts = parts(buffer.as_mut_slice(), d);
        let (u, v) = params.split_at_checked(d).unwrap_or_default();
        for (((ln_q, rho), u), v) in parts.ln_q.iter_mut().zip(parts.rho).zip(u).zip(v) {
            // In range: not zero.
            let (u, v) = (u.abs().ln(), v.abs().ln());
            (*ln_q, *rho) = (u + v, u - v);
        }
        problem.moments_into(parts.m)?;
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
    /// [`Error::Length`] for a problem or scratch of another size, [`Error::Parameter`] for a bad config or time; nothing is
    /// changed then. [`Error::NoConvergence`] leaves the clock at the last time that was solved, the parameters unspecified.
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
        let mut total = 0;
        for piece in 1..=pieces {
            let clock = start + distance * (piece as f64 / pieces as f64);
            let parts = parts(self.buffer.as_mut_slice(), d);
            total += Dual::new(problem, parts, clock, scratch).solve(config)?;
            self.clock = clock;
        }
        Ok(total)
    }

    /// `u`, then `v`, at the current time.
    pub fn params(&self) -> &[T] {
        let buffer = self.buffer.as_slice();
        buffer.get(..state_len(self.dim)).unwrap_or_default()
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
        let (vectors, nu) = buffer
            .split_at_checked(self.dim.saturating_mul(5))
            .unwrap_or_default();
        writer.slice(vectors)?;
        writer.slice(nu)?;
        writer.finish()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let mut reader = Reader::new(bytes, *b"LNEX", 1, &self.fields())?;
        self.clock = reader.real()?;
        let buffer = self.buffer.as_mut_slice();
        let (vectors, nu) = buffer
            .split_at_mut_checked(self.dim.saturating_mul(5))
            .unwrap_or_default();
        reader.slice_into(vectors)?;
        reader.slice_into(nu)?;
        reader.finish()
    }
}

/// `w` and `2 q cosh s` from `ln q(0)`, `m` and `s`.
#[derive(Clone, Copy)]
struct Signal<T> {
    /// `4 delta^2 t`.
    decay: T,
}
impl<T: Real> Map<T, 3, 2> for Signal<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [ln_q, m, s]: [L; 3]) -> [L; 2] {
        let ln_q = ln_q - m.constant(self.decay) * m;
        let (u2, v2) = (math::exp(ln_q + s), math::exp(ln_q - s));
        [u2 - v2, u2 + v2]
    }
}

/// `|u|` and `|v|`, likewise.
#[derive(Clone, Copy)]
struct Magnitudes<T>(Signal<T>);
impl<T: Real> Map<T, 3, 2> for Magnitudes<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [ln_q, m, s]: [L; 3]) -> [L; 2] {
        let ln_q = ln_q - m.constant(self.0.decay) * m;
        let half = m.constant(T::from_f64(0.5));
        [math::exp((ln_q + s) * half), math::exp((ln_q - s) * half)]
    }
}

/// The dual problem at one time.
struct Dual<'a, 'b, T> {
    problem: &'a Sparse<'b, T>,
    parts: Parts<'a, T>,
    signal: Signal<T>,
    hess: &'a mut [T],
    grad: &'a mut [T],
    step: &'a mut [T],
    trial: &'a mut [T],
    s: &'a mut [T],
    w: &'a mut [T],
    /// `2 q cosh s`.
    weight: &'a mut [T],
}

impl<'a, 'b, T: Real> Dual<'a, 'b, T> {
    fn new(
        problem: &'a Sparse<'b, T>,
        parts: Parts<'a, T>,
        clock: f64,
        scratch: &'a mut [T],
    ) -> Self {
        let (n, d) = (problem.samples(), problem.dim());
        let (hess, rest) = scratch
            .split_at_mut_checked(n.saturating_mul(n))
            .unwrap_or_default();
        let (grad, rest) = rest.split_at_mut_checked(n).unwrap_or_default();
        let (step, rest) = rest.split_at_mut_checked(n).unwrap_or_default();
        let (trial, rest) = rest.split_at_mut_checked(n).unwrap_or_default();
        let (s, rest) = rest.split_at_mut_checked(d).unwrap_or_default();
        let (w, rest) = rest.split_at_mut_checked(d).unwrap_or_default();
        let decay = T::from_f64(4.0 * clock);
        Self {
            problem,
            parts,
            signal: Signal { decay },
            hess,
            grad,
            step,
            trial,
            s,
            w,
            weight: rest.get_mut(..d).unwrap_or_default(),
        }
    }

    /// Damped Newton from the `nu` that is there; then `u` and `v`. Returns the iterations.
    fn solve(mut self, config: &Config) -> Result<usize, Error> {
        let labels = vector::norm2(self.problem.labels());
        let size = if labels > T::ZERO { labels } else { T::ONE };
        let floor = T::EPSILON * T::from_f64(32.0);
        let tolerance = T::from_f64(config.tolerance).largest(floor) * size;
        copy(self.parts.nu, self.trial);
        let mut value = self.evaluate()?;
        for iteration in 0..=config.iterations {
            let residual = vector::norm2(self.grad);
            copy(self.trial, self.parts.nu);
            if residual <= tolerance {
                self.write_params();
                return Ok(iteration);
            }
            self.newton_step()?;
            match self.search(value, residual)? {
                Some(lower) => value = lower,
                None => break,
            }
        }
        Err(Error::NoConvergence {
            name: "exact limit",
            iterations: config.iterations,
        })
    }

    /// `F` at `trial`, infinite or NaN where it overflows; `grad F`, `w` and `2 q cosh s` there.
    fn evaluate(&mut self) -> Result<T, Error> {
        let (z, y) = (self.problem.data(), self.problem.labels());
        let Parts { ln_q, rho, m, .. } = &self.parts;
        copy(rho, self.s);
        matrix::gemv_transposed(T::ONE, z, self.trial, T::ONE, self.s)?;
        let out = [&mut *self.w, &mut *self.weight];
        simd::map(&self.signal, [ln_q, m, self.s], out);
        copy(y, self.grad);
        matrix::gemv(T::ONE, z, self.w, -T::ONE, self.grad)?;
        Ok(vector::sum(self.weight) - vector::dot(y, self.trial)?)
    }

    /// `step = Hess^-1 grad`, the Hessian raised where it does not factor.
    fn newton_step(&mut self) -> Result<(), Error> {
        let (z, n) = (self.problem.data(), self.problem.samples());
        let mut ridge = T::ZERO;
        loop {
            let mut hess = MatrixMut::new(self.hess, n, n)?;
            let mut trace = T::ZERO;
            for (i, (row, out)) in z.row_iter().zip(hess.row_iter_mut()).enumerate() {
                for ((s, z), weight) in self.s.iter_mut().zip(row).zip(self.weight.iter()) {
                    *s = *z * *weight;
                }
                for (out, other) in out.iter_mut().zip(z.row_iter()).take(i + 1) {
                    *out = vector::dot(self.s, other)?;
                }
                trace += out.get(i).copied().unwrap_or(T::ZERO);
            }
            let raise = trace * T::EPSILON;
            if ridge == T::ZERO && n > z.columns() {
                ridge = raise;
            }
            matrix::add_diagonal(ridge, hess.reborrow())?;
            match matrix::cholesky(hess) {
                Ok(()) => break,
                // From a rounding error of the trace to a multiple of it, that is, to descent.
                Err(_) if raise > T::ZERO && ridge <= trace => {
                    ridge = (ridge * T::from_f64(10.0)).largest(raise);
                }
                Err(error) => return Err(error),
            }
        }
        copy(self.grad, self.step);
        matrix::cholesky_solve_vector(MatrixRef::new(self.hess, n, n)?, self.step)
    }

    /// Halves the step until `F`, or at rounding level its gradient, decreases; the new value of `F`.
    fn search(&mut self, value: T, residual: T) -> Result<Option<T>, Error> {
        let half = T::from_f64(0.5);
        let mut share = T::ONE;
        for _ in 0..HALVINGS {
            vector::axpby_into(T::ONE, self.parts.nu, -share, self.step, self.trial)?;
            let lower = self.evaluate()?;
            // False for NaN; an infinite value has an infinite or NaN gradient.
            if lower < value || vector::norm2(self.grad) <= residual * half {
                return Ok(Some(lower));
            }
            share *= half;
        }
        Ok(None)
    }

    /// `u` and `v` at the solution, with the signs that they have.
    fn write_params(self) {
        let Parts {
            ln_q, m, params, ..
        } = self.parts;
        simd::map(
            &Magnitudes(self.signal),
            [ln_q, m, self.s],
            [&mut *self.w, &mut *self.weight],
        );
        let magnitudes = self.w.iter().chain(self.weight.iter());
        for (x, &magnitude) in params.iter_mut().zip(magnitudes) {
            *x = if *x < T::ZERO { -magnitude } else { magnitude };
        }
    }
}

#[cfg(test)]
mod tests;
