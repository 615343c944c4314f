//! The dual problem at one time: Newton steps whose length grows with the logarithm.
//!
//! `F` is a sum of exponentials of linear functions, so that `|D^3 F[p, p, p]| <= reach D^2 F[p, p]` with `reach = max_j |Z^T p|_j`:
//! a Newton step `p` may be taken whole while `reach <= 1`, and lowers `F` for certain when it is cut to
//! `ln(1 + reach) / reach` of its length. No value of `F` is needed, none cancels, and the first step from `q = e^{-700}` goes
//! as far as one from 1. Reference: Sun and Tran-Dinh, *Generalized self-concordant functions* (Mathematical Programming
//! 178, 2019), theorem 2 with exponent 2.
//!
//! The Hessian is scaled by the largest of its weights `2 q cosh s`, whose logarithm is kept separately: neither very
//! small nor very large starts leave the range of the type.

#![allow(
    clippy::arithmetic_side_effects,
    reason = "indices below the length of a slice, and counts that are bounded where they are restored"
)]

use super::{Config, Parts};
use crate::dynamics::label_noise::Sparse;
use crate::error::ensure_finite_at;
use crate::matrix::{self, MatrixMut, MatrixRef};
use crate::memory::{cut, must};
use crate::model::copy;
use crate::real::kernels;
use crate::simd::{self, Lanes, Map, Update, math};
use crate::{At, Error, Real, vector};

/// Times that the diagonal of a Hessian is raised tenfold, from a rounding error of its trace.
const RAISES: usize = 40;

/// `w = 2 q sinh s` in place of `s`, from `ln q(0)` and `m`.
#[derive(Clone, Copy)]
struct Signal<T> {
    /// `4 delta^2 t`.
    decay: T,
}

impl<T: Real> Signal<T> {
    /// `2 sinh a` of two factors where `a` is small, `e^a (1 - e^{-2 a})` where it is large: `q` and `e^a` need not be numbers of the
    /// type, and nothing cancels. The sign is that of `s`, whatever that of the product.
    #[inline(always)]
    fn value<L: Lanes<Scalar = T>>(&self, ln_q: L, m: L, s: L) -> L {
        let one = m.constant(T::ONE);
        let (level, a) = (ln_q - m.constant(self.decay) * m, s.abs());
        let grown = math::expm1(a);
        let near = math::exp(level) * (grown + grown / (one + grown));
        let far = math::exp(level + a) * math::expm1(-(a + a));
        L::select(a.le(one), near, far).copy_sign(s)
    }
}

impl<T: Real> Update<T, 1, 2> for Signal<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [s]: [L; 1], [ln_q, m]: [L; 2]) -> [L; 1] {
        [self.value(ln_q, m, s)]
    }
}

/// `w`, and `2 q cosh s` over `e^shift`.
#[derive(Clone, Copy)]
struct Weighted<T> {
    signal: Signal<T>,
    shift: T,
}
impl<T: Real> Map<T, 3, 2> for Weighted<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [ln_q, m, s]: [L; 3]) -> [L; 2] {
        let (level, a) = (ln_q - m.constant(self.signal.decay) * m, s.abs());
        let two = m.constant(T::from_f64(2.0));
        let scaled = math::exp(level + a - m.constant(self.shift));
        let weight = scaled * (two + math::expm1(-(a + a)));
        [self.signal.value(ln_q, m, s), weight]
    }
}

/// `|u|` and `|v|`. Near each other they share the factor `sqrt q`, whose rounding then leaves their ratio alone.
#[derive(Clone, Copy)]
struct Magnitudes<T>(Signal<T>);
impl<T: Real> Map<T, 3, 2> for Magnitudes<T> {
    #[inline(always)]
    fn apply<L: Lanes<Scalar = T>>(&self, [ln_q, m, s]: [L; 3]) -> [L; 2] {
        let half = m.constant(T::from_f64(0.5));
        let (level, s) = ((ln_q - m.constant(self.0.decay) * m) * half, s * half);
        let near = s.abs().le(half);
        let root = math::exp(level);
        let side = |s: L| L::select(near, root * math::exp(s), math::exp(level + s));
        [side(s), side(-s)]
    }
}

kernels! {
    /// The maps of the dual.
    trait DualKernels<T> {
        fn signal(decay: T, ln_q: &[T], m: &[T], s: &mut [T]) {
            simd::update(&Signal { decay }, [s], [ln_q, m]);
        }
        fn weighted(decay: T, shift: T, read: [&[T]; 3], out: [&mut [T]; 2]) {
            let signal = Signal { decay };
            simd::map(&Weighted { signal, shift }, read, out);
        }
        fn magnitudes(decay: T, read: [&[T]; 3], out: [&mut [T]; 2]) {
            simd::map(&Magnitudes(Signal { decay }), read, out);
        }
    }
}

/// The dual problem at one time.
pub(super) struct Dual<'a, 'b, T> {
    problem: &'a Sparse<'b, T>,
    parts: Parts<'a, T>,
    /// `4 delta^2 t`.
    decay: T,
    hess: &'a mut [T],
    grad: &'a mut [T],
    step: &'a mut [T],
    /// `nu`, until it is found.
    trial: &'a mut [T],
    s: &'a mut [T],
    w: &'a mut [T],
    /// `2 q cosh s`, the largest about 1.
    weight: &'a mut [T],
}

/// Scalars that an evaluation finds.
struct Size<T> {
    /// Logarithm of the scale of the weights.
    shift: T,
    /// The largest `|s|`.
    most: T,
}

impl<'a, 'b, T: Real> Dual<'a, 'b, T> {
    pub(super) fn new(
        problem: &'a Sparse<'b, T>,
        parts: Parts<'a, T>,
        clock: f64,
        scratch: &'a mut [T],
    ) -> Result<Self, Error> {
        let (n, d) = (problem.samples(), problem.dim());
        let ([hess, grad, step, trial, s, w, weight], _) =
            cut(scratch, [n.saturating_mul(n), n, n, n, d, d, d])?;
        let decay = T::from_f64(4.0 * clock);
        Ok(Self {
            problem,
            parts,
            decay,
            hess,
            grad,
            step,
            trial,
            s,
            w,
            weight,
        })
    }

    /// Newton from the `nu` that is there; writes `nu`, `u` and `v` once they are found. Returns the iterations.
    pub(super) fn solve(mut self, config: &Config) -> Result<usize, Error> {
        copy(self.parts.nu, self.trial);
        let mut iteration = 0;
        loop {
            let size = self.evaluate()?;
            let residual = vector::norm2(self.grad).to_f64();
            let at = At::Step(iteration as u64);
            ensure_finite_at("residual", residual.is_finite(), at)?;
            if residual <= self.tolerance(config, size.most) {
                self.write();
                return Ok(iteration);
            }
            if iteration == config.iterations {
                return Err(Error::NoConvergence {
                    name: "exact limit",
                    iterations: config.iterations,
                });
            }
            self.advance(size.shift)?;
            iteration += 1;
        }
    }

    /// `s`, `w`, the weights and `grad F` at `trial`.
    fn evaluate(&mut self) -> Result<Size<T>, Error> {
        let (z, y) = (self.problem.data(), self.problem.labels());
        let Parts { ln_q, rho, m, .. } = &self.parts;
        copy(rho, self.s);
        matrix::gemv_transposed(T::ONE, z, self.trial, T::ONE, self.s)?;
        let (mut shift, mut most) = (-T::INFINITY, T::ZERO);
        for (index, ((ln_q, m), s)) in ln_q.iter().zip(m.iter()).zip(&*self.s).enumerate() {
            let level = *ln_q - self.decay * *m + s.abs();
            ensure_finite_at("exponent", level.is_finite(), At::Element(index))?;
            (shift, most) = (level.largest(shift), s.abs().largest(most));
        }
        let out = [&mut *self.w, &mut *self.weight];
        T::Kernels::weighted(self.decay, shift, [ln_q, m, self.s], out);
        copy(y, self.grad);
        matrix::gemv(T::ONE, z, self.w, -T::ONE, self.grad)?;
        Ok(Size { shift, most })
    }

    /// The residual that counts as solved: what the config asks for, or the rounding of `Z w`.
    fn tolerance(&self, config: &Config, most: T) -> f64 {
        let labels = vector::norm2(self.problem.labels()).to_f64();
        let squares = self.parts.m.iter().zip(&*self.w).map(|(m, w)| {
            let w = w.to_f64();
            m.to_f64() * w * w
        });
        let spread = libm::sqrt(self.problem.samples() as f64 * squares.sum::<f64>());
        // A rounding of s is one of |s| units in w.
        let units = 32.0 + 8.0 * most.to_f64();
        (config.tolerance * labels).max(units * T::EPSILON.to_f64() * labels.max(spread))
    }

    /// One step of `trial`.
    fn advance(&mut self, shift: T) -> Result<(), Error> {
        self.factor()?;
        let n = self.problem.samples();
        copy(self.grad, self.step);
        matrix::cholesky_solve_vector(MatrixRef::new(self.hess, n, n)?, self.step)?;
        let z = self.problem.data();
        // `w` is written anew by the next evaluation.
        matrix::gemv_transposed(T::ONE, z, self.step, T::ZERO, self.w)?;
        let share = share(vector::norm_inf(self.w).to_f64(), shift.to_f64());
        vector::axpy(-T::from_f64(share), self.step, self.trial)
    }

    /// The Cholesky factor of `Z diag(weight) Z^T`, raised by a multiple of the identity where there is none.
    fn factor(&mut self) -> Result<(), Error> {
        let (z, n) = (self.problem.data(), self.problem.samples());
        let mut ridge = T::ZERO;
        let mut failed = Error::Singular {
            name: "hessian",
            index: 0,
        };
        for _ in 0..RAISES {
            let mut hess = MatrixMut::new(self.hess, n, n)?;
            let mut trace = T::ZERO;
            for (i, (row, out)) in z.row_iter().zip(hess.row_iter_mut()).enumerate() {
                // `s` is written anew by the next evaluation.
                for ((s, z), weight) in self.s.iter_mut().zip(row).zip(self.weight.iter()) {
                    *s = *z * *weight;
                }
                for (out, other) in out.iter_mut().zip(z.row_iter()).take(i + 1) {
                    *out = vector::dot(self.s, other)?;
                }
                trace += must(out.get(i).copied());
            }
            ensure_finite_at("hessian", trace.is_finite(), At::Value)?;
            let raise = trace * T::EPSILON;
            if ridge == T::ZERO && n > z.columns() {
                ridge = raise;
            }
            matrix::add_diagonal(ridge, hess.reborrow())?;
            match matrix::cholesky(hess) {
                Ok(()) => return Ok(()),
                Err(error) => failed = error,
            }
            // From a rounding error of the trace to a multiple of it, that is, to descent.
            ridge = (ridge * T::from_f64(10.0)).largest(raise);
        }
        Err(failed)
    }

    /// `nu`; `u` and `v` with the signs that they have, also where one has become too small for the type.
    fn write(self) {
        copy(self.trial, self.parts.nu);
        let Parts {
            ln_q, m, params, ..
        } = self.parts;
        let out = [&mut *self.w, &mut *self.weight];
        T::Kernels::magnitudes(self.decay, [ln_q, m, self.s], out);
        let magnitudes = self.w.iter().chain(self.weight.iter());
        for (x, &magnitude) in params.iter_mut().zip(magnitudes) {
            *x = T::from_f64(magnitude.to_f64().copysign(x.to_f64()));
        }
    }
}

/// How much of `H^-1 grad F` to take, when that of the scaled `H` reaches so far and the scale is `e^shift`.
fn share(reach: f64, shift: f64) -> f64 {
    // Minus infinity for a step of nothing, of which any share will do.
    let log = libm::log(reach) - shift;
    if log <= 0.0 {
        return libm::exp(-shift);
    }
    // Beyond, 1 + e^log is e^log in all digits, and may overflow.
    let length = if log < 40.0 {
        libm::log1p(libm::exp(log))
    } else {
        log
    };
    // Positive: its logarithm is finite.
    length / reach
}

#[cfg(test)]
mod tests;
